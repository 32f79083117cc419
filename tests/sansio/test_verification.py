"""The table of tokens before our verifier, the verdict and independent judges; then the rest."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from flask_ssr_session.errors import KeysUnavailableError, TokenError
from flask_ssr_session.errors import TokenDefect as D
from flask_ssr_session.sansio import signature, verification  # noqa: F401 - as init_app does
from flask_ssr_session.sansio.base64url import decode_base64url
from flask_ssr_session.sansio.jwks import parse_key_set
from flask_ssr_session.sansio.jwt import decode_unverified_token
from flask_ssr_session.sansio.states import Reason
from flask_ssr_session.sansio.verdict import Verdict, decide
from flask_ssr_session.sansio.verification import TokenRules, verify_access_token
from flask_ssr_session.session import SSRSession
from flask_ssr_session.upstream.key_set import MAX_CACHED_CHARS, StaticKeys
from tests import token_table
from tests.judges import STRICTER, Judges
from tests.tables import rows
from tests.token_table import CLAIMS, NOW, SIGNER, TABLE, by_stranger, c, encode, good_keys, h
from tests.tokens import ABSENT

JUDGES = Judges(SIGNER.public_key, token_table.GOOD_KIDS)

# Of a token that reaches these rules, the key is looked up; the others need no key.
NEED_A_KEY = (None, D.KEY_UNKNOWN, D.SIGNATURE, D.NOT_YET_VALID)
REASONS = {None: Reason.ACTIVE, D.EXPIRED: Reason.EXPIRED, D.NOT_YET_VALID: Reason.CLOCK}

# Made once with this package's signer; header and claims as SuperTokens core 12 writes them.
PINNED_TOKEN = (
    "eyJraWQiOiJkLTE3MDAwMDAwMDAwMDAiLCJ0eXAiOiJKV1QiLCJ2ZXJzaW9uIjoiNSIsImFsZyI6IlJTMjU2In0."
    "eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMzYwMCwic3ViIjoiNGJkM2ExYTQtN2QxYy00YTBlLTlkMzUt"
    "MGY3ZjBhM2E1YjExIiwidElkIjoicHVibGljIiwicnN1YiI6IjRiZDNhMWE0LTdkMWMtNGEwZS05ZDM1LTBmN2Yw"
    "YTNhNWIxMSIsInNlc3Npb25IYW5kbGUiOiJhOWMwYzNjMi01OGEwLTRiMGUtOGI4YS02YTdkNGY2ZDJjOWUiLCJy"
    "ZWZyZXNoVG9rZW5IYXNoMSI6IjlmODZkMDgxODg0YzdkNjU5YTJmZWFhMGM1NWFkMDE1YTNiZjRmMWIyYjBiODIy"
    "Y2QxNWQ2YzE1YjBmMDBhMDgiLCJwYXJlbnRSZWZyZXNoVG9rZW5IYXNoMSI6bnVsbCwiYW50aUNzcmZUb2tlbiI6"
    "bnVsbCwiaXNzIjoiaHR0cDovL2xvY2FsaG9zdDo1MDAwL2F1dGgiLCJzdC1yb2xlIjp7InYiOlsiYWRtaW4iXSwi"
    "dCI6MTcwMDAwMDAwMDAwMH19.QH8R5uVzY0Ju2DR8djL3dUKpSaoUpaQw_9yfl7zZr2QjWqCOknyx4H40QDSFGr7"
    "YB_UJfjRbPJpxXBBHELfvwH7kwuEmJpwNOvz_6Wwbs1Y1hBC_6b3q23vCY4mGSdiBo3MPt1ORUv3MQBqY_h1-Z5M"
    "vLRM_C0NqWRU-JtJnCTxT6wE5gSNrY5zr3yeYci0dQmOe4wrzTgNcq3Xp6YF535Du9UVDLy69WrNIlbSD9jLffCv"
    "tme0pPsfW4YmJ4wk0i56lRWbbPUZd1lzLPLtdD8OPvuvGOlVpjzgHRQ_KTOyT4gAeSdaYy40kmtwyEjQeO_wGRsL"
    "rKL-pa1RfGZzsYQ"
)
PINNED_KEY = {
    "kty": "RSA",
    "kid": "d-1700000000000",
    "n": (
        "qQ19HvKq1DEwTsbhzaiuAQihuMZ4r3jJzDsB53hGcm6RjLgc_YssNdb29mHZ11r95Md4DO7FfDBrsazt5w1O4h4a"
        "MN9ziO2cohPqwT4d_c1jTCwldZn4c68-GbFep1ZSMR1swj3TWmJMWull9ujR0T10cGmnFAA2NGPfurmfESS5qcJt"
        "Ww4XbKjIEZR61Es4dL4xMD3FE8j2tMEv5_g7ZUP2Lf6layxUU42VYM5fORjTE9d30kXyu8VV4YwLfe2N4UWYLBRR"
        "SbFI6FGf-ERp3YBcF-6Iqk9ffnwS_QI804ecXyJPsyXLk6H6gh5wmU7JTK10S1uDT-wEebT6FiA1nw"
    ),
    "e": "AQAB",
    "alg": "RS256",
    "use": "sig",
}


class CountedKeys(StaticKeys):
    """The good keys, and a record of the look-ups."""

    def __init__(self, *, is_outage: bool = False) -> None:
        super().__init__(good_keys().token_cache)
        self.asked: list[tuple[str, float]] = []
        self._is_outage = is_outage

    def get_or_fetch(self, kid: str, issued_at: float) -> RSAPublicKey | None:
        self.asked.append((kid, issued_at))
        if self._is_outage:
            raise KeysUnavailableError("out of reach")
        return super().get_or_fetch(kid, issued_at)


@pytest.fixture
def keys() -> CountedKeys:
    return CountedKeys()


def judged(
    token: str, keys: StaticKeys, rules: TokenRules | None = None, now: float = NOW
) -> SSRSession | TokenError:
    try:
        return verify_access_token(token, keys, rules or TokenRules(), now)
    except TokenError as error:
        return error


def defect_of(token: str, keys: StaticKeys, *more: Any) -> D | None:
    return getattr(judged(token, keys, *more), "reason", None)


@pytest.fixture(scope="module")
def touched() -> Iterator[list[str]]:
    """A list that fills with what the process touches outside itself while ``armed`` is in it."""
    events: list[str] = []

    def hook(event: str, _arguments: object) -> None:
        if events and event.partition(".")[0] in ("open", "socket", "subprocess", "os", "urllib"):
            events.append(event)

    sys.addaudithook(hook)
    events.append("armed")
    open(__file__, encoding="utf-8").close()  # noqa: PTH123 - an event, to see that it works
    assert events == ["armed", "open"]
    yield events
    events.clear()


@pytest.mark.parametrize("row", TABLE)
def test_each_token_is_judged_alike_by_all(row: str, keys: CountedKeys, touched: list[str]) -> None:
    token, expected = token_table.token_of(row), TABLE[row][1]
    touched[:] = ["armed"]
    outcome = judged(token, keys)
    verdict = decide([token], has_front_token=True, keys=keys, rules=TokenRules(), now=NOW)
    seen = touched.copy()
    touched.clear()
    claims = JUDGES.claims(token, NOW)

    assert seen == ["armed"]
    assert bool(keys.asked) == (expected in NEED_A_KEY)
    assert verdict.reason is REASONS.get(expected, Reason.INVALID)
    if isinstance(outcome, SSRSession):
        assert expected is None
        assert outcome.get_access_token_payload() == claims
        # The verdict took it from the cache, which holds no long tokens.
        assert (verdict.session is outcome) == (len(token) <= MAX_CACHED_CHARS)
        assert verdict == Verdict(Reason.ACTIVE, verdict.session)
        return
    assert (outcome.reason, str(outcome)) == (expected, outcome.reason.value)
    assert CLAIMS["refreshTokenHash1"] not in repr(outcome)
    assert claims is None or expected in STRICTER
    assert keys.token_cache.get(token) is None
    assert verdict.detail == (None if expected in REASONS else outcome.reason.value)
    assert (verdict.session, verdict.pending_session) == (None, None)
    assert len(verdict.fingerprint) == 16


@pytest.mark.parametrize("name", token_table.NAMES)
def test_every_value_of_a_member_is_judged_as_others_judge_it(name: str) -> None:
    keys = CountedKeys()
    for value in token_table.VALUES:
        for where, token in (("header", h({name: value})()), ("claims", c({name: value})())):
            defect, claims = defect_of(token, keys), JUDGES.claims(token, NOW)
            assert claims is not None or defect is not None, (where, value)
            assert claims is None or defect in (None, *STRICTER), (where, value)


@pytest.mark.parametrize("place", range(3), ids=["header", "payload", "signature"])
def test_no_flipped_bit_goes_unnoticed(place: int, keys: CountedKeys) -> None:
    """Each bit of a segment, and each bit of what it spells, spelled again as it should be."""
    segments = h({})().split(".")

    def is_refused(changed: str) -> bool:
        token = ".".join([*segments[:place], changed, *segments[place + 1 :]])
        return isinstance(judged(token, keys), TokenError)

    text, data = segments[place].encode(), decode_base64url(segments[place].encode())
    assert not is_refused(encode(data))
    for index in range(8 * len(text)):
        assert is_refused(flipped(text, index).decode("latin-1")), f"bit {index} of the text"
    for index in range(8 * len(data)):
        assert is_refused(encode(flipped(data, index))), f"bit {index} of the bytes"


def flipped(data: bytes, index: int) -> bytes:
    result = bytearray(data)
    result[index // 8] ^= 1 << index % 8
    return bytes(result)


def test_pinned_token_verifies_with_pinned_key() -> None:
    usable = parse_key_set({"keys": [PINNED_KEY]})
    keys = CountedKeys()
    keys.token_cache.keys.update(usable)

    session = verify_access_token(PINNED_TOKEN, keys, TokenRules(), 1_700_003_599.0)

    assert session.user_id == "4bd3a1a4-7d1c-4a0e-9d35-0f7f0a3a5b11"
    assert session.session_handle == "a9c0c3c2-58a0-4b0e-8b8a-6a7d4f6d2c9e"
    assert session.roles == ("admin",)
    judges = Judges(usable["d-1700000000000"], ["d-1700000000000"])
    assert session.get_access_token_payload() == judges.claims(PINNED_TOKEN, NOW)
    assert keys.asked == [("d-1700000000000", NOW)]
    assert defect_of(PINNED_TOKEN, keys, None, 1_700_003_600.0) is D.EXPIRED


A, RULES = "https://a.example/auth", TokenRules

SETTINGS: dict[str, Any] = {
    "the issuer is the one of the settings": (RULES(issuer=A), c({"iss": A}), None),
    "the settings name no issuer": (RULES(), c({"iss": "x"}), None),
    "the issuer is absent": (RULES(issuer=A), c({"iss": ABSENT}), D.ISSUER),
    "the issuer is null": (RULES(issuer=A), c({"iss": None}), D.ISSUER),
    "the issuer has a slash more": (RULES(issuer=A), c({"iss": f"{A}/"}), D.ISSUER),
    "the issuer is a list": (RULES(issuer=A), c({"iss": [A]}), D.ISSUER),
    "a dynamic key is required": (RULES(kid_prefix="d-"), h({"kid": "d-test"}), None),
    "any kind of key will do": (RULES(), h({"kid": "d"}), None),
    "another kind of key": (RULES(kid_prefix="s-"), h({"kid": "d-test"}), D.KEY_KIND),
    "a key of no kind": (RULES(kid_prefix="d-"), h({"kid": "d"}), D.KEY_KIND),
    "the prefix within": (RULES(kid_prefix="d-"), h({"kid": "xd-test"}), D.KEY_KIND),
    "a capital prefix": (RULES(kid_prefix="d-"), h({"kid": "D-test"}), D.KEY_KIND),
    "expired within the leeway": (RULES(leeway_seconds=30), c({"exp": NOW - 29}), None),
    "expired at its end": (RULES(leeway_seconds=30), c({"exp": NOW - 30}), D.EXPIRED),
}


@rows("rules, token, defect", SETTINGS)
def test_settings_decide(rules: TokenRules, token: Any, defect: D | None) -> None:
    keys = CountedKeys()

    assert defect_of(token(), keys, rules) is defect
    assert bool(keys.asked) == (defect is None)


def test_expired_comes_before_the_settings_and_an_outage() -> None:
    rules = TokenRules(issuer=A, kid_prefix="d-")
    for header, claims in (({"kid": "s-test"}, {"iss": A}), ({}, {"iss": "x"}), ({}, {"iss": A})):
        keys = CountedKeys(is_outage=True)
        assert defect_of(h(header, claims | {"exp": NOW})(), keys, rules) is D.EXPIRED, claims
    with pytest.raises(KeysUnavailableError):
        judged(c({"iss": A})(), keys, rules)


def test_later_version_is_accepted_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    verification._log_newer_version.cache_clear()
    with caplog.at_level(logging.WARNING, "flask_ssr_session"):
        assert defect_of(by_stranger({}, {"version": "6"})(), CountedKeys()) is D.SIGNATURE
        assert caplog.messages == []
        for version in ("5", "6", "6", "12", "6", "12"):
            assert defect_of(h({"version": version})(), CountedKeys()) is None

    logged = [message.partition(";")[0].rpartition(" ")[2] for message in caplog.messages]
    assert logged == ["6", "12"]


# Tokens that were verified before


def test_token_is_verified_once_and_still_expires(keys: CountedKeys) -> None:
    token, rules = c({"exp": NOW + 10})(), TokenRules(leeway_seconds=5)
    session = judged(token, keys, rules)

    assert isinstance(session, SSRSession)
    assert judged(token, keys, rules, NOW + 14) is session
    assert defect_of(token, keys, rules, NOW + 15) is D.EXPIRED
    assert len(keys.asked) == 1


def test_cache_goes_by_the_whole_token(keys: CountedKeys) -> None:
    token = h({})()
    judged(token, keys)

    assert defect_of(token[:-10] + "A" * 10, keys) is D.SIGNATURE
    assert defect_of(f"{token}=", keys) is D.ENCODING


def test_refused_token_is_verified_again(keys: CountedKeys) -> None:
    for token in (by_stranger({})(), c({"iat": NOW + 61})()):
        assert defect_of(token, keys) == defect_of(token, keys) is not None
    assert len(keys.asked) == 4


def test_header_that_was_checked_before_excuses_no_other(keys: CountedKeys) -> None:
    """A valid header is checked once for all tokens of a key, an invalid one each time."""
    for number, alg in enumerate(("RS256", "none", "none", "RS256")):
        token = h({"alg": alg}, {"sessionHandle": str(number)})()
        assert defect_of(token, keys) is (None if alg == "RS256" else D.ALGORITHM)


def test_token_that_is_parsed_already_is_not_parsed_again(keys: CountedKeys) -> None:
    parsed = decode_unverified_token(h({})())

    session = verify_access_token("anything", keys, TokenRules(), NOW, parsed)

    assert session.get_access_token_payload() == parsed.payload
