"""One request, one verdict: from no token, from one, and from arbitrary text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flask_ssr_session.errors import FetchError, TokenDefect
from flask_ssr_session.sansio.jwt import MAX_TOKEN_CHARS
from flask_ssr_session.sansio.states import Reason, SessionState
from flask_ssr_session.sansio.verdict import Verdict, apply_mfa, decide
from flask_ssr_session.sansio.verification import TokenRules
from flask_ssr_session.session import SSRSession, deep_freeze
from flask_ssr_session.throttled_log import ThrottledLog
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.key_age import FetchedKeys
from tests.clocks import SteppedClock
from tests.tables import rows
from tests.token_table import CLAIMS, NOW, SIGNER, by_stranger, encode, good_keys, h, written

R = Reason
S = SessionState


def token(kid: str = "d-test", **claims: Any) -> str:
    return h({"kid": kid}, claims)()


def verdict(*raw_tokens: str, **more: Any) -> Verdict:
    usual: dict[str, Any] = {"keys": good_keys(), "rules": TokenRules(), "now": NOW}
    return decide(raw_tokens, **{"has_front_token": True, **usual, **more})


def fetched(clock: SteppedClock, *, is_outage: bool) -> FetchedKeys:
    def fetch(_url: str, _deadline: Deadline) -> tuple[bytes, float | None]:
        if is_outage:
            raise FetchError("the test has an outage")
        return json.dumps({"keys": [SIGNER.jwk()]}).encode(), None

    log, uris = ThrottledLog(clock), ["https://core.example"]
    return FetchedKeys(uris, max_stale_seconds=0, clock=clock, log=log, fetch=fetch)


REASONS = {
    S.ACTIVE: {R.ACTIVE},
    S.PENDING: {R.MFA_PENDING},
    S.REFRESH: {R.EXPIRED, R.INVALID, R.DUPLICATE, R.REVOKED, R.REVOKED_BY_APP, R.TOKEN_MISSING},
    S.ANONYMOUS: {R.ANONYMOUS},
    S.UNAVAILABLE: {
        *(R.KEYS_UNAVAILABLE, R.CLOCK, R.CORE_UNAVAILABLE, R.REVOCATION_UNKNOWN, R.INTERNAL)
    },
    S.REFUSED: {R.CROSS_SITE},
}


@pytest.mark.parametrize("state", SessionState)
def test_each_reason_has_its_state(state: SessionState) -> None:
    assert {reason for reason in Reason if Verdict(reason).state is state} == REASONS[state]


@rows("raw_tokens", {"no cookies": [], "an empty cookie": [""], "empty cookies": ["", ""]})
def test_request_without_a_token(clock: SteppedClock, raw_tokens: list[str]) -> None:
    keys = fetched(clock, is_outage=True)

    for has_front_token, reason in ((True, R.TOKEN_MISSING), (False, R.ANONYMOUS)):
        assert verdict(*raw_tokens, keys=keys, has_front_token=has_front_token) == Verdict(reason)
        # It does not matter beside a token.
        assert verdict(token(), has_front_token=has_front_token).reason is R.ACTIVE
        assert verdict("junk", has_front_token=has_front_token).reason is R.INVALID


# The table of tokens says what each defect leads to, with keys. These depend on more.
TOKENS: dict[str, Any] = {
    "a good token in an outage": ({}, NOW, True, R.KEYS_UNAVAILABLE),
    "expired in an outage": ({}, NOW + 3600, True, R.EXPIRED),
    "from the future": ({"iat": NOW + 61}, NOW, False, R.CLOCK),
    "from the future in an outage": ({"iat": NOW + 61}, NOW, True, R.KEYS_UNAVAILABLE),
    "no session's token in an outage": ({"stt": 1}, NOW, True, R.INVALID),
    "an old unknown key": ({"kid": "d-new", "iat": NOW - 60}, NOW, False, R.INVALID),
    "a key that may be too new": ({"kid": "d-new"}, NOW, False, R.KEYS_UNAVAILABLE),
}


@rows("claims, now, is_outage, reason", TOKENS)
def test_one_token(
    clock: SteppedClock, claims: dict[str, Any], now: float, is_outage: bool, reason: R
) -> None:
    keys = fetched(clock, is_outage=is_outage)
    if not is_outage:
        keys.get_or_fetch("d-test", NOW)
        clock.advance(1)

    decided = verdict(token(**claims), keys=keys, now=now)

    assert decided.reason is reason
    assert (decided.session is not None) == (reason is R.ACTIVE)
    assert bool(decided.detail) == (reason in (R.INVALID, R.KEYS_UNAVAILABLE))


def test_rules_of_the_settings_count() -> None:
    decided = verdict(token(), rules=TokenRules(kid_prefix="s-"))

    assert (decided.reason, decided.detail) == (R.INVALID, TokenDefect.KEY_KIND.value)
    assert verdict(token(), rules=TokenRules(kid_prefix="d-")).reason is R.ACTIVE


def test_fingerprint_tells_tokens_apart_and_is_no_token() -> None:
    one, other = token(exp=NOW, sessionHandle="a"), token(exp=NOW, sessionHandle="b")
    first = verdict(one).fingerprint

    assert first == verdict(one).fingerprint != verdict(other).fingerprint
    assert len(first) == 16
    assert int(first, 16) >= 0


def test_what_is_too_long_is_read_no_further() -> None:
    too_long = "a" * (MAX_TOKEN_CHARS + 1)

    assert verdict(too_long) == verdict(too_long + "b" * 1_000_000) != verdict(too_long[1:])
    # Six of them are one, since they do not differ where they are read.
    decided = verdict(*(too_long + "b" * 1_000_000 + str(number) for number in range(6)))
    assert (decided.reason, decided.detail) == (R.INVALID, TokenDefect.TOO_LARGE.value)


def test_verdict_shows_no_claim_and_no_token() -> None:
    for raw in (token(sub="anna"), token(sub="anna", exp=NOW), by_stranger({"sub": "anna"})()):
        shown = repr(verdict(raw))

        assert "anna" not in shown
        assert raw not in shown


PENDING: dict[str, Any] = {
    "no claim, none required": (None, False, R.ACTIVE),
    "no claim, one required": (None, True, R.MFA_PENDING),
    "complete": ({"c": {}, "v": True}, True, R.ACTIVE),
    "incomplete": ({"c": {}, "v": False}, False, R.MFA_PENDING),
    "no value": ({"c": {}}, False, R.MFA_PENDING),
    "a number for true": ({"v": 1}, False, R.MFA_PENDING),
    "true without its wrapping": (True, False, R.MFA_PENDING),
    "a list": ([True], False, R.MFA_PENDING),
}


@rows("claim, is_required, reason", PENDING)
def test_session_pends_until_it_is_complete(claim: object, is_required: bool, reason: R) -> None:
    claims = CLAIMS if claim is None else CLAIMS | {"st-mfa": claim}
    decided = Verdict(R.ACTIVE, SSRSession(deep_freeze(claims)))

    outcome = apply_mfa(decided, lambda: is_required)

    assert outcome.reason is reason
    pending = None if reason is R.ACTIVE else decided.session
    assert (outcome.session or pending, outcome.pending_session) == (decided.session, pending)
    expired = Verdict(R.EXPIRED, fingerprint="x")
    assert apply_mfa(expired, lambda: True) is expired


# Anything at all

NEARLY_TOKENS = st.lists(
    st.text(st.characters(codec=None), max_size=30)
    | st.binary(max_size=60).map(encode)
    | st.sampled_from([SIGNER.header(), CLAIMS, {}, []]).map(lambda value: encode(written(value))),
    max_size=5,
).map(".".join)


@settings(max_examples=200, deadline=None)
@given(raw_tokens=st.lists(st.text(st.characters(codec=None)) | NEARLY_TOKENS, max_size=6))
@example(raw_tokens=["\ud800.\udfff.\ud800"])
@example(raw_tokens=["..", ".", "...", "\x00"])
@example(raw_tokens=["e30=.e30=.AA==", "W10.W10.AA", "W1tb" * 2000 + ".e30.AA"])
def test_any_text_gets_a_verdict(raw_tokens: list[str]) -> None:
    decided = verdict(*raw_tokens)

    different = {raw for raw in raw_tokens if raw}
    expected = R.INVALID if different else R.TOKEN_MISSING
    allowed = {R.DUPLICATE} if len(different) > 4 else {expected, R.EXPIRED, R.CLOCK}
    assert decided.reason in allowed
