"""Properties of all tokens, checked with generated ones."""

from __future__ import annotations

import contextlib
import itertools
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flask_ssr_session.errors import TokenDefect, TokenError
from flask_ssr_session.sansio.base64url import decode_base64url
from flask_ssr_session.sansio.jwt import decode_unverified_token
from flask_ssr_session.sansio.verification import TokenRules, verify_access_token
from flask_ssr_session.session import SSRSession
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.key_set import KeySet, StaticKeys

from .fuzz_tokens import NAMES, NOW, STRICTER, VALUES
from .reference_verifiers import ReferenceVerifiers

SIGNER = SessionSigner()
JUDGES = ReferenceVerifiers(SIGNER.public_key)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
# Mostly names that mean something and values near the edge of a rule.
MEMBERS = st.dictionaries(
    st.sampled_from(NAMES) | st.text(max_size=8), st.sampled_from(VALUES) | JSON, max_size=4
)
# What an app may put into a token without touching the claims of the session.
OWN_CLAIMS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), max_size=8).map(lambda name: f"x-{name}"),
    JSON,
    max_size=5,
)
IDENTIFIERS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1, max_size=40
)


class WatchedKeys(StaticKeys):
    """One key, and whether it was requested."""

    def __init__(self) -> None:
        super().__init__(KeySet({SIGNER.kid: SIGNER.public_key}))
        self.asked: list[str] = []

    def get_or_fetch(self, kid: str, issued_at: float) -> RSAPublicKey | None:
        self.asked.append(kid)
        return super().get_or_fetch(kid, issued_at)


def verdict(token: str, keys: StaticKeys) -> SSRSession | TokenDefect:
    """Return the result for *token*; any undocumented error is raised."""
    try:
        return verify_access_token(token, keys, TokenRules(), NOW)
    except TokenError as error:
        return error.reason


# Any text


# Text that has the form of a token, with segments that may even be base64url.
NEARLY_TOKENS = st.lists(
    st.text(st.characters(codec=None), max_size=30)
    | st.binary(max_size=60).map(lambda data: urlsafe_b64encode(data).decode().rstrip("="))
    | MEMBERS.map(lambda members: urlsafe_b64encode(json.dumps(members).encode()).decode()),
    max_size=5,
).map(".".join)


@settings(max_examples=500, deadline=None)
@given(
    st.text(st.characters(codec=None))
    | st.binary().map(lambda b: b.decode("latin-1"))
    | NEARLY_TOKENS
)
@example("")
@example("..")
@example("e30.e30.")
@example("\ud800.\udfff.\ud800")
@example("e30=.e30=.AA==")
@example("W10.W10.AA")
@example("W1tb" * 2000 + ".e30.AA")
@example("MTEx" * 2000 + ".e30.AA")
def test_any_text_is_refused_and_no_key_is_asked_for(text: str) -> None:
    keys = WatchedKeys()

    assert isinstance(verdict(text, keys), TokenDefect)
    assert keys.asked == []


# Any claims, properly signed


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_a_member_is_judged_as_others_judge_it(name: str) -> None:
    for value in VALUES:
        assert_judged_alike({name: value}, {})
        assert_judged_alike({}, {name: value})


@settings(max_examples=300, deadline=None)
@given(header=MEMBERS, claims=MEMBERS)
@example(header={}, claims={})
@example(header={}, claims={"exp": 10**300})
@example(header={"version": "6"}, claims={"nbf": 0.5})
def test_whatever_was_signed_is_judged_as_others_judge_it(
    header: dict[str, Any], claims: dict[str, Any]
) -> None:
    assert_judged_alike(header, claims)


def assert_judged_alike(header: dict[str, Any], claims: dict[str, Any]) -> None:
    """Compare the verdict on a good token with these members changed."""
    token = SIGNER.sign(SIGNER.claims(issued_at=NOW) | claims, SIGNER.header() | header)
    keys = WatchedKeys()
    outcome = verdict(token, keys)
    accepted = JUDGES.accept(token, NOW)
    assert accepted or isinstance(outcome, TokenDefect)
    assert not accepted or isinstance(outcome, SSRSession) or outcome in STRICTER
    try:
        decode_unverified_token(token)
    except TokenError:
        assert keys.asked == []


@settings(max_examples=300, deadline=None)
@given(OWN_CLAIMS, IDENTIFIERS, IDENTIFIERS)
def test_what_was_signed_comes_back_equal_and_read_only(
    own_claims: dict[str, Any], user_id: str, tenant_id: str
) -> None:
    claims = SIGNER.claims(user_id, tenant_id=tenant_id, issued_at=NOW, **own_claims)

    session = verdict(SIGNER.sign(claims), WatchedKeys())

    assert isinstance(session, SSRSession)
    assert session.get_access_token_payload() == claims
    assert (session.user_id, session.tenant_id) == (user_id, tenant_id)
    assert_read_only(session.access_token_payload)
    # What was given away is a copy.
    session.get_access_token_payload().clear()
    assert session.get_access_token_payload() == claims


def assert_read_only(value: Any) -> None:
    if isinstance(value, Mapping):
        with pytest.raises(TypeError):
            value["new"] = 1  # type: ignore[index]
        for item in value.values():
            assert_read_only(item)
    elif isinstance(value, tuple):
        for item in value:
            assert_read_only(item)
    else:
        assert value is None or isinstance(value, (bool, int, float, str))


# Damage


def test_no_flipped_bit_goes_unnoticed() -> None:
    """Each of all bits of a token, the one that no ASCII character has included."""
    token = SIGNER.sign(SIGNER.claims(issued_at=NOW, valid_seconds=60))
    keys = WatchedKeys()
    data = token.encode("ascii")
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            assert isinstance(verdict(flipped.decode("latin-1"), keys), TokenDefect)

    assert isinstance(verdict(token, keys), SSRSession)


def test_no_flipped_bit_under_the_spelling_goes_unnoticed() -> None:
    """Each of all bits of what the segments spell, spelled again as it should be."""
    token = SIGNER.sign(SIGNER.claims(issued_at=NOW, valid_seconds=60))
    keys = WatchedKeys()
    segments = [decode_base64url(segment) for segment in token.encode().split(b".")]
    for which, data in enumerate(segments):
        for place in range(len(data)):
            for bit in range(8):
                flipped = bytearray(data)
                flipped[place] ^= 1 << bit
                bent = [*segments[:which], bytes(flipped), *segments[which + 1 :]]
                assert isinstance(verdict(spelled(bent), keys), TokenDefect)

    assert isinstance(verdict(spelled(segments), keys), SSRSession)


def spelled(segments: list[bytes]) -> str:
    return b".".join(urlsafe_b64encode(data).rstrip(b"=") for data in segments).decode()


# Base64url


@settings(max_examples=1000, deadline=None)
@given(st.text("AQgw_-Zz09+/= \n", max_size=9).map(str.encode))
@example(b"A")
@example(b"AB")
@example(b"AAA=")
@example(b"+/+/")
@example(b"AA\nAA")
def test_whatever_decodes_is_the_only_spelling_of_what_it_decodes_to(segment: bytes) -> None:
    """Made of characters that a lenient decoder takes, so that most of it nearly decodes."""
    with contextlib.suppress(ValueError):
        assert urlsafe_b64encode(decode_base64url(segment)).rstrip(b"=") == segment


def test_of_all_pairs_of_characters_just_the_spellings_of_one_byte_decode() -> None:
    found = set()
    for pair in itertools.product(range(256), repeat=2):
        with contextlib.suppress(ValueError):
            decode_base64url(bytes(pair))
            found.add(bytes(pair))

    assert found == {urlsafe_b64encode(bytes([byte])).rstrip(b"=") for byte in range(256)}
