"""One request, one verdict: the whole table, several cookies, and arbitrary text as a cookie."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flask_ssr_session.errors import FetchError, TokenDefect
from flask_ssr_session.sansio.jwt import MAX_TOKEN_CHARS
from flask_ssr_session.sansio.states import Reason, SessionState
from flask_ssr_session.sansio.verdict import Verdict, decide
from flask_ssr_session.sansio.verification import KeySource, TokenRules
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.throttled_log import ThrottledLog
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.key_age import FetchedKeys
from flask_ssr_session.upstream.key_set import KeySet, StaticKeys

from .clocks import SteppedClock

NOW = 1_700_000_000.0

MakeToken = Callable[..., str]


@pytest.fixture
def make_token(signer: SessionSigner) -> MakeToken:
    """Make a token; a member ``kid`` goes into its header."""

    def make(kid: str = "d-test", **claims: Any) -> str:
        return signer.sign(
            signer.claims(**{"issued_at": NOW, **claims}), signer.header() | {"kid": kid}
        )

    return make


@pytest.fixture
def forge(other_private_key: RSAPrivateKey) -> MakeToken:
    """Make a well-formed token that another key signed."""
    forger = SessionSigner("d-test", other_private_key)

    def make(**claims: Any) -> str:
        return forger.sign(forger.claims(**{"issued_at": NOW, **claims}))

    return make


@pytest.fixture
def keys(signer: SessionSigner) -> StaticKeys:
    return StaticKeys(KeySet({signer.kid: signer.public_key}))


@pytest.fixture
def fetched_keys(signer: SessionSigner, clock: SteppedClock) -> FetchedKeys:
    """Keys that were fetched a second ago, so that an unknown one may be too new to be known."""
    document = json.dumps({"keys": [signer.jwk()]}).encode()
    keys = FetchedKeys(
        ["https://core.example"],
        max_stale_seconds=0,
        clock=clock,
        log=ThrottledLog(clock),
        fetch=lambda _url, _deadline: (document, None),
    )
    keys.get_or_fetch("d-test", NOW)
    clock.advance(1)
    return keys


@pytest.fixture
def no_keys(clock: SteppedClock) -> FetchedKeys:
    def fail(_url: str, _deadline: Deadline) -> tuple[bytes, float | None]:
        raise FetchError("the test has an outage")

    return FetchedKeys(
        ["https://core.example"],
        max_stale_seconds=0,
        clock=clock,
        log=ThrottledLog(clock),
        fetch=fail,
    )


def verdict(
    *raw_tokens: str,
    keys: KeySource,
    has_front_token: bool = True,
    rules: TokenRules | None = None,
    now: float = NOW,
) -> Verdict:
    return decide(
        raw_tokens,
        has_front_token=has_front_token,
        keys=keys,
        rules=rules or TokenRules(),
        now=now,
    )


# The table


def test_good_token_is_active(make_token: MakeToken, keys: StaticKeys) -> None:
    decided = verdict(make_token(user_id="anna"), keys=keys)

    assert decided.state is SessionState.ACTIVE
    assert decided.reason is Reason.ACTIVE
    assert decided.session is not None
    assert decided.session.user_id == "anna"
    assert decided.fingerprint == ""


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (Reason.ACTIVE, SessionState.ACTIVE),
        (Reason.EXPIRED, SessionState.REFRESH),
        (Reason.INVALID, SessionState.REFRESH),
        (Reason.DUPLICATE, SessionState.REFRESH),
        (Reason.REVOKED, SessionState.REFRESH),
        (Reason.TOKEN_MISSING, SessionState.REFRESH),
        (Reason.ANONYMOUS, SessionState.ANONYMOUS),
        (Reason.KEYS_UNAVAILABLE, SessionState.UNAVAILABLE),
        (Reason.CLOCK, SessionState.UNAVAILABLE),
        (Reason.CORE_UNAVAILABLE, SessionState.UNAVAILABLE),
        (Reason.INTERNAL, SessionState.UNAVAILABLE),
        (Reason.CROSS_SITE, SessionState.REFUSED),
    ],
)
def test_each_reason_has_its_state(reason: Reason, state: SessionState) -> None:
    assert Verdict(reason).state is state


def test_every_reason_has_a_state() -> None:
    assert {Verdict(reason).state for reason in Reason} == set(SessionState)


@pytest.mark.parametrize(
    ("claims", "now", "reason", "detail"),
    [
        pytest.param({}, NOW + 3599, Reason.ACTIVE, None, id="one second left"),
        pytest.param({}, NOW + 3600, Reason.EXPIRED, None, id="expired"),
        pytest.param({"stt": 1}, NOW, Reason.INVALID, "token_type", id="OAuth2 token"),
        pytest.param({"sub": 5}, NOW, Reason.INVALID, "claims", id="wrong structure"),
        pytest.param({"sub": 5}, NOW + 3600, Reason.INVALID, "claims", id="and expired"),
        pytest.param({"kid": "d-no"}, NOW, Reason.INVALID, "key_unknown", id="unknown key"),
        pytest.param({"kid": "d-no"}, NOW + 3600, Reason.EXPIRED, None, id="expired, no key"),
        pytest.param({"kid": "s-no"}, NOW, Reason.INVALID, "key_kind", id="other kind of key"),
        pytest.param({"iat": NOW + 60}, NOW, Reason.ACTIVE, None, id="60 s ahead"),
        pytest.param({"iat": NOW + 61}, NOW, Reason.CLOCK, None, id="61 s ahead"),
        pytest.param({"iat": NOW + 3661}, NOW + 3600, Reason.EXPIRED, None, id="ahead and expired"),
    ],
)
def test_one_token_with_keys(
    make_token: MakeToken,
    keys: StaticKeys,
    claims: dict[str, Any],
    now: float,
    reason: Reason,
    detail: str | None,
) -> None:
    decided = verdict(make_token(**claims), keys=keys, now=now, rules=TokenRules(kid_prefix="d-"))

    assert (decided.reason, decided.detail) == (reason, detail)
    assert (decided.session is not None) == (reason is Reason.ACTIVE)
    assert (decided.fingerprint == "") == (reason is Reason.ACTIVE)


def test_foreign_signature_is_invalid(forge: MakeToken, keys: StaticKeys) -> None:
    decided = verdict(forge(), keys=keys)

    assert (decided.reason, decided.detail) == (Reason.INVALID, TokenDefect.SIGNATURE.value)


@pytest.mark.parametrize(
    ("claims", "now", "reason"),
    [
        pytest.param({}, NOW, Reason.KEYS_UNAVAILABLE, id="good"),
        pytest.param({"iat": NOW + 999}, NOW, Reason.KEYS_UNAVAILABLE, id="from the future"),
        pytest.param({}, NOW + 3600, Reason.EXPIRED, id="expired"),
        pytest.param({"stt": 1}, NOW, Reason.INVALID, id="no session token"),
    ],
)
def test_one_token_in_an_outage(
    make_token: MakeToken,
    no_keys: FetchedKeys,
    claims: dict[str, Any],
    now: float,
    reason: Reason,
) -> None:
    assert verdict(make_token(**claims), keys=no_keys, now=now).reason is reason


def test_key_that_may_be_too_new_is_unavailable(
    make_token: MakeToken, fetched_keys: FetchedKeys
) -> None:
    new, old = make_token(kid="d-new"), make_token(kid="d-new", iat=NOW - 60)

    assert verdict(new, keys=fetched_keys).reason is Reason.KEYS_UNAVAILABLE
    assert verdict(old, keys=fetched_keys).reason is Reason.INVALID
    assert verdict(make_token(), keys=fetched_keys).reason is Reason.ACTIVE


@pytest.mark.parametrize("raw_tokens", [[], [""], ["", ""]])
@pytest.mark.parametrize(
    ("has_front_token", "reason"), [(True, Reason.TOKEN_MISSING), (False, Reason.ANONYMOUS)]
)
def test_no_token(
    no_keys: FetchedKeys, raw_tokens: list[str], has_front_token: bool, reason: Reason
) -> None:
    decided = verdict(*raw_tokens, keys=no_keys, has_front_token=has_front_token)

    assert decided == Verdict(reason)


@pytest.mark.parametrize("has_front_token", [True, False])
def test_front_token_does_not_matter_beside_a_token(
    make_token: MakeToken, keys: StaticKeys, has_front_token: bool
) -> None:
    good = verdict(make_token(), keys=keys, has_front_token=has_front_token)
    bad = verdict("junk", keys=keys, has_front_token=has_front_token)

    assert (good.reason, bad.reason) == (Reason.ACTIVE, Reason.INVALID)


# Several cookies of the name


def in_every_order(raw_tokens: Sequence[str]) -> list[tuple[str, ...]]:
    return list(itertools.permutations(raw_tokens))


def test_newest_that_verifies_is_the_session(
    make_token: MakeToken, forge: MakeToken, keys: StaticKeys
) -> None:
    newest = make_token(sessionHandle="newest", iat=NOW - 10)
    older = make_token(sessionHandle="older", iat=NOW - 20)
    forged = forge(iat=NOW)

    for order in in_every_order([older, newest, forged, "junk"]):
        decided = verdict(*order, keys=keys)
        assert decided.session is not None
        assert decided.session.session_handle == "newest"


@pytest.mark.parametrize(
    "beside",
    [
        pytest.param({"exp": NOW}, id="expired"),
        pytest.param({"kid": "d-retired"}, id="of a retired key"),
        pytest.param({"iat": NOW + 61}, id="from the future"),
        pytest.param({"stt": 1}, id="of another type"),
    ],
)
def test_one_good_token_is_enough(
    make_token: MakeToken, keys: StaticKeys, beside: dict[str, Any]
) -> None:
    good, bad = make_token(), make_token(**beside)

    for order in in_every_order([good, bad]):
        assert verdict(*order, keys=keys).reason is Reason.ACTIVE
    assert verdict(bad, keys=keys).reason is not Reason.ACTIVE


def test_one_token_twice_is_one_token(make_token: MakeToken, keys: StaticKeys) -> None:
    token = make_token()

    assert verdict(token, token, "", token, keys=keys).reason is Reason.ACTIVE


def test_second_user_is_a_duplicate(make_token: MakeToken, keys: StaticKeys) -> None:
    anna, bert = make_token(user_id="anna"), make_token(user_id="bert", iat=NOW - 10)

    for order in in_every_order([anna, bert, "junk"]):
        decided = verdict(*order, keys=keys)
        assert (decided.reason, decided.session) == (Reason.DUPLICATE, None)
        assert decided.fingerprint
    assert verdict(anna, make_token(user_id="anna"), keys=keys).reason is Reason.ACTIVE


@pytest.mark.parametrize("claims", [{}, {"exp": NOW}], ids=["current", "expired"])
def test_second_user_counts_unverified(
    make_token: MakeToken, forge: MakeToken, keys: StaticKeys, claims: dict[str, Any]
) -> None:
    """It may be wrong about that, since the worst it leads to is a refresh."""
    decided = verdict(make_token(user_id="anna"), forge(user_id="bert", **claims), keys=keys)

    assert decided.reason is Reason.DUPLICATE


def test_second_user_of_a_token_without_shape_does_not_count(
    make_token: MakeToken, keys: StaticKeys
) -> None:
    other = make_token(user_id="bert", stt=1)

    assert verdict(make_token(user_id="anna"), other, keys=keys).reason is Reason.ACTIVE


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        pytest.param(["a", "b", "c"], Reason.ACTIVE, id="four different values"),
        pytest.param(["a", "", "a", "b", "b", "c"], Reason.ACTIVE, id="four, some of them twice"),
        pytest.param(["a", "b", "c", "d"], Reason.DUPLICATE, id="five"),
        pytest.param(["a", "b", "c", "d", "d", ""], Reason.DUPLICATE, id="five, one of them twice"),
    ],
)
def test_more_than_four_different_values_are_a_duplicate(
    make_token: MakeToken, keys: StaticKeys, others: list[str], reason: Reason
) -> None:
    good = make_token()

    for order in ([*others, good], [good, *others]):
        decided = verdict(*order, keys=keys)
        assert decided.reason is reason
        assert (decided.session is None) == (reason is Reason.DUPLICATE)


def test_planted_cookies_push_no_token_out_of_sight(
    make_token: MakeToken, keys: StaticKeys
) -> None:
    """The browser sends cookies for longer paths first, and a neighbour chooses the paths."""
    planted = [make_token(user_id="attacker", iat=NOW - age) for age in range(5)]
    own = make_token(user_id="victim")

    for count in range(1, 6):
        decided = verdict(*planted[:count], own, keys=keys)
        assert (decided.reason, decided.session) == (Reason.DUPLICATE, None)
    # The refresh replaced the visitor's own cookie, and the page can see that something changed.
    renewed = verdict(*planted, make_token(user_id="victim"), keys=keys)
    assert renewed.fingerprint != decided.fingerprint


def test_thousands_of_tokens_are_decoded_no_more(
    make_token: MakeToken, keys: StaticKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    monkeypatch.setattr(
        "flask_ssr_session.sansio.token_choice.decode_unverified_token",
        lambda raw: decoded.append(raw),
    )
    token = make_token()

    decided = verdict(*(f"{token}{number}" for number in range(5_000)), keys=keys)

    assert (decided.reason, decoded) == (Reason.DUPLICATE, [])


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        pytest.param([{"exp": NOW}, {"stt": 1}], Reason.EXPIRED, id="expired beside invalid"),
        pytest.param([{"exp": NOW}, {"kid": "d-no", "iat": 1}], Reason.EXPIRED, id="newest"),
        pytest.param([{"exp": NOW, "iat": 1}, {"kid": "d-no"}], Reason.INVALID, id="newest too"),
        pytest.param([{"exp": NOW}, {"iat": NOW + 61}], Reason.CLOCK, id="clock"),
    ],
)
def test_reason_of_several_is_the_newest_ones_unless_nothing_is_known(
    make_token: MakeToken, keys: StaticKeys, rows: list[dict[str, Any]], reason: Reason
) -> None:
    for order in in_every_order([make_token(**row) for row in rows]):
        assert verdict(*order, keys=keys).reason is reason


def test_one_unknown_among_several_is_an_outage(
    make_token: MakeToken, no_keys: FetchedKeys
) -> None:
    for order in in_every_order([make_token(), make_token(exp=NOW), "junk"]):
        assert verdict(*order, keys=no_keys).reason is Reason.KEYS_UNAVAILABLE


# The fingerprint


def test_fingerprint_tells_tokens_apart_and_is_no_token(
    make_token: MakeToken, keys: StaticKeys
) -> None:
    one, other = make_token(exp=NOW, sessionHandle="a"), make_token(exp=NOW, sessionHandle="b")

    first, again = verdict(one, keys=keys).fingerprint, verdict(one, keys=keys).fingerprint

    assert first == again != verdict(other, keys=keys).fingerprint
    assert len(first) == 16
    assert int(first, 16) >= 0


def test_what_is_too_long_is_looked_at_no_further(keys: StaticKeys) -> None:
    too_long = "a" * (MAX_TOKEN_CHARS + 1)

    assert (
        verdict(too_long, keys=keys)
        == verdict(too_long + "b" * 1_000_000, keys=keys)
        != verdict(too_long[1:], keys=keys)
    )


def test_verdict_shows_no_claim_and_no_token(make_token: MakeToken, keys: StaticKeys) -> None:
    for token in (make_token(user_id="anna"), make_token(user_id="anna", exp=NOW)):
        shown = repr(verdict(token, keys=keys))

        assert "anna" not in shown
        assert token not in shown


# Anything at all


@settings(max_examples=300, deadline=None)
@given(raw_tokens=st.lists(st.text(st.characters(codec=None)), max_size=6))
@example(raw_tokens=["\ud800.\udfff.\ud800"])
@example(raw_tokens=["..", ".", "...", "\x00"])
@example(raw_tokens=["a", "b", "c", "d", "e"])
def test_any_text_gets_a_verdict(signer: SessionSigner, raw_tokens: list[str]) -> None:
    keys = StaticKeys(KeySet({signer.kid: signer.public_key}))

    decided = verdict(*raw_tokens, keys=keys)

    different = {raw for raw in raw_tokens if raw}
    expected = Reason.INVALID if different else Reason.TOKEN_MISSING
    assert decided.reason is (Reason.DUPLICATE if len(different) > 4 else expected)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_damage_to_a_token_gets_a_refusal(signer: SessionSigner, data: st.DataObject) -> None:
    keys = StaticKeys(KeySet({signer.kid: signer.public_key}))
    token = signer.sign(signer.claims(issued_at=NOW))
    start = data.draw(st.integers(0, len(token)))
    end = data.draw(st.integers(start, min(len(token), start + 40)))
    inserted = data.draw(st.text(st.sampled_from("AZaz09-_.=+/ e30\ud800"), max_size=20))
    damaged = token[:start] + inserted + token[end:]

    decided = verdict(damaged, token[:start], keys=keys)

    assert (decided.reason is Reason.ACTIVE) == (token in (damaged, token[:start]))


@pytest.mark.parametrize(
    "raw_token",
    [
        pytest.param("a" * 1_000_000, id="letters"),
        pytest.param("." * 1_000_000, id="dots"),
        pytest.param("\ud800" * 1_000_000, id="surrogates"),
        pytest.param("e30." * 250_000, id="segments"),
        pytest.param("\x00" * 1_000_000, id="nul"),
    ],
)
def test_megabytes_get_a_verdict(keys: StaticKeys, raw_token: str) -> None:
    decided = verdict(*(raw_token + str(number) for number in range(6)), keys=keys)

    assert (decided.reason, decided.detail) == (Reason.INVALID, TokenDefect.TOO_LARGE.value)
