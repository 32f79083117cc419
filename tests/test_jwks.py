"""Which keys of a key set may sign a session, and the cache of tokens they verified."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm

from flask_ssr_session.errors import FetchError
from flask_ssr_session.sansio.jwks import parse_key_set
from flask_ssr_session.session import SSRSession
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.key_set import MAX_CACHED_CHARS, MAX_CACHED_TOKENS, KeySet


class Absent:
    """Removes a member from a key."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()


def number(value: int) -> str:
    """Encode a number as in RFC 7518."""
    data = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
    return urlsafe_b64encode(data).rstrip(b"=").decode()


# Not products of known primes: as a modulus they verify nothing, but have the right size.
MODULUS_OF_BITS = {bits: (1 << (bits - 1)) | 1 for bits in (1024, 2047, 2048, 4096, 8192, 8193)}


def with_edits(jwk: Mapping[str, Any], edits: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**jwk, **edits}.items() if value is not ABSENT}


def test_key_set_of_a_core_gives_its_keys(
    signer: SessionSigner, other_private_key: RSAPrivateKey
) -> None:
    static = SessionSigner("s-test", other_private_key)
    document = json.dumps({"keys": [signer.jwk(), static.jwk()]})

    keys = parse_key_set(document)

    assert list(keys) == ["d-test", "s-test"]
    assert keys["d-test"].public_numbers() == signer.public_key.public_numbers()
    assert keys["s-test"].public_numbers() == static.public_key.public_numbers()


@pytest.mark.parametrize("kind", ["bytes", "text", "mapping", "mapping with a tuple"])
def test_key_set_may_be_text_or_decoded(signer: SessionSigner, kind: str) -> None:
    keys = {"keys": [signer.jwk()]}
    document: Any = {
        "bytes": json.dumps(keys).encode(),
        "text": json.dumps(keys),
        "mapping": keys,
        "mapping with a tuple": {"keys": (signer.jwk(),)},
    }[kind]

    assert list(parse_key_set(document)) == ["d-test"]


@pytest.mark.parametrize(
    ("edits", "is_usable"),
    [
        pytest.param({}, True, id="as the core writes it"),
        pytest.param({"kty": "EC"}, False, id="kty EC"),
        pytest.param({"kty": "rsa"}, False, id="kty in small letters"),
        pytest.param({"kty": ABSENT}, False, id="no kty"),
        pytest.param({"use": ABSENT}, True, id="no use"),
        pytest.param({"use": "enc"}, False, id="for encryption"),
        pytest.param({"use": None}, False, id="use null"),
        pytest.param({"alg": ABSENT}, True, id="no alg"),
        pytest.param({"alg": "RS512"}, False, id="RS512"),
        pytest.param({"alg": "RSA-OAEP"}, False, id="RSA-OAEP"),
        pytest.param({"key_ops": ["verify"]}, True, id="to verify"),
        pytest.param({"key_ops": ["sign", "verify"]}, True, id="to sign and verify"),
        pytest.param({"key_ops": ["encrypt"]}, False, id="to encrypt"),
        pytest.param({"key_ops": []}, False, id="for nothing"),
        pytest.param({"key_ops": "verify"}, False, id="key_ops no list"),
        pytest.param({"kid": "k" * 128}, True, id="kid of 128 characters"),
        pytest.param({"kid": "k" * 129}, False, id="kid of 129 characters"),
        pytest.param({"kid": ""}, False, id="empty kid"),
        pytest.param({"kid": ABSENT}, False, id="no kid"),
        pytest.param({"kid": 1}, False, id="kid a number"),
        pytest.param({"kid": ["d-test"]}, False, id="kid a list"),
        pytest.param({"n": number(MODULUS_OF_BITS[2048])}, True, id="2048 bits"),
        pytest.param({"n": number(MODULUS_OF_BITS[2047])}, False, id="2047 bits"),
        pytest.param({"n": number(MODULUS_OF_BITS[1024])}, False, id="1024 bits"),
        pytest.param({"n": number(MODULUS_OF_BITS[4096])}, True, id="4096 bits"),
        pytest.param({"n": number(MODULUS_OF_BITS[8192])}, True, id="8192 bits"),
        pytest.param({"n": number(MODULUS_OF_BITS[8193])}, False, id="8193 bits"),
        pytest.param({"n": "A" * 1_000_000}, False, id="a megabyte of modulus"),
        pytest.param({"n": ABSENT}, False, id="no n"),
        pytest.param({"n": ""}, False, id="empty n"),
        pytest.param({"n": 1 << 2047}, False, id="n a number"),
        pytest.param({"n": "ü" * 400}, False, id="n no ascii"),
        pytest.param({"n": number(MODULUS_OF_BITS[2048]) + "=="}, False, id="n padded"),
        pytest.param({"n": "+/" + number(MODULUS_OF_BITS[2048])[2:]}, False, id="n in base64"),
        pytest.param({"e": number(3)}, True, id="e 3"),
        pytest.param({"e": number(1)}, False, id="e 1"),
        pytest.param({"e": number(4)}, False, id="e even"),
        pytest.param({"e": number(0)}, False, id="e 0"),
        pytest.param({"e": number(MODULUS_OF_BITS[8193])}, False, id="e above n"),
        pytest.param({"e": 65537}, False, id="e a number"),
        pytest.param({"e": ABSENT}, False, id="no e"),
        pytest.param({"x5c": ["MIIB"], "unknown": 1}, True, id="other members"),
    ],
)
def test_only_rsa_signing_keys_of_a_good_size_are_used(
    signer: SessionSigner,
    other_private_key: RSAPrivateKey,
    edits: dict[str, Any],
    is_usable: bool,
) -> None:
    neighbour = SessionSigner("d-good", other_private_key).jwk()
    edited = with_edits(signer.jwk(), edits)

    beside = parse_key_set({"keys": [edited, neighbour]})

    assert len(beside) == 1 + is_usable
    assert "d-good" in beside
    assert (edited.get("kid") in list(beside)) == is_usable


def test_short_key_that_really_signs_is_not_used(signer: SessionSigner) -> None:
    short = generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505

    document = {"keys": [SessionSigner("d-short", short).jwk(), signer.jwk()]}

    assert list(parse_key_set(document)) == ["d-test"]


def test_elliptic_key_is_no_rsa_key(signer: SessionSigner) -> None:
    elliptic = ECAlgorithm.to_jwk(generate_ec_key(SECP256R1()).public_key(), as_dict=True)

    document = {"keys": [{**elliptic, "kid": "d-test"}, signer.jwk()]}

    assert list(parse_key_set(document)) == ["d-test"]


@pytest.mark.parametrize(
    "entry", [None, 1, "text", [], ["kty"], {}, {"kty": "RSA", "kid": "d-bad"}], ids=repr
)
def test_bad_neighbour_is_skipped(signer: SessionSigner, entry: object) -> None:
    assert list(parse_key_set({"keys": [entry, signer.jwk(), entry]})) == ["d-test"]
    with pytest.raises(FetchError, match="no usable RSA signing key"):
        parse_key_set({"keys": [entry]})


def test_kid_of_two_keys_names_neither(
    signer: SessionSigner, other_private_key: RSAPrivateKey
) -> None:
    one, other = signer.jwk(), SessionSigner("d-test", other_private_key).jwk()
    third = SessionSigner("d-good", other_private_key).jwk()

    assert list(parse_key_set({"keys": [one, third, one]})) == ["d-test", "d-good"]
    assert list(parse_key_set({"keys": [one, third, other]})) == ["d-good"]
    assert list(parse_key_set({"keys": [one, other, third, one]})) == ["d-good"]
    with pytest.raises(FetchError):
        parse_key_set({"keys": [one, other]})


def test_two_kids_may_name_one_key(signer: SessionSigner) -> None:
    document = {"keys": [signer.jwk(), signer.jwk() | {"kid": "s-test"}]}

    assert list(parse_key_set(document)) == ["d-test", "s-test"]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param(b"", "not JSON", id="nothing"),
        pytest.param(b"<html>", "not JSON", id="a page"),
        pytest.param(b"\xff\xfe\xfd", "not JSON", id="no text"),
        pytest.param(b"[" * 100_000, "not JSON", id="very deep"),
        pytest.param(b'{"keys": ' + b"9" * 10_000 + b"}", "not JSON", id="very many digits"),
        pytest.param(b"[]", "not a key set", id="a list"),
        pytest.param(b"null", "not a key set", id="null"),
        pytest.param(b"{}", "not a key set", id="no keys"),
        pytest.param(b'{"keys": null}', "not a key set", id="keys null"),
        pytest.param(b'{"keys": {"kty": "RSA"}}', "not a key set", id="keys an object"),
        pytest.param(b'{"keys": "RSA"}', "not a key set", id="keys a text"),
        pytest.param(b'{"keys": []}', "no usable RSA", id="keys empty"),
        pytest.param(b'{"status": "OK", "keys": [1, 2]}', "no usable RSA", id="no key in it"),
    ],
)
def test_anything_but_a_key_set_is_a_failure(document: bytes, message: str) -> None:
    with pytest.raises(FetchError, match=message):
        parse_key_set(document)


@settings(max_examples=200, deadline=None)
@given(
    edits=st.dictionaries(
        st.sampled_from(["kty", "use", "alg", "kid", "n", "e", "key_ops"]),
        st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.integers()),
    )
)
def test_whatever_a_key_holds_the_others_stay(signer: SessionSigner, edits: dict[str, Any]) -> None:
    good = signer.jwk() | {"kid": "d-good"}

    assert "d-good" in parse_key_set({"keys": [{**signer.jwk(), "kid": "d-x", **edits}, good]})


# Tokens that a key set verified


@pytest.fixture
def key_set(signer: SessionSigner) -> KeySet:
    return KeySet({signer.kid: signer.public_key})


def session(user_id: str = "anna") -> SSRSession:
    return SSRSession({"sub": user_id})


def test_token_is_cached_for_the_same_key(key_set: KeySet, signer: SessionSigner) -> None:
    kept, key = session(), key_set.keys["d-test"]

    key_set.put("token", "d-test", key, kept)

    assert key_set.get("token") is kept
    assert key_set.get("toke") is None
    assert KeySet(key_set.keys).get("token") is None
    assert signer.public_key is not key


def test_token_of_a_replaced_key_is_not_cached(key_set: KeySet, signer: SessionSigner) -> None:
    """A refresh ran meanwhile, so the key may not be in the new set."""
    key_set.put("equal", "d-test", signer.public_key, session())
    key_set.put("gone", "d-gone", key_set.keys["d-test"], session())

    assert key_set.get("equal") is None
    assert key_set.get("gone") is None


def test_keys_of_the_source_are_copied(signer: SessionSigner) -> None:
    source = {"d-test": signer.public_key}
    key_set = KeySet(source)
    source.clear()

    assert list(key_set.keys) == ["d-test"]


def test_long_tokens_are_not_cached(key_set: KeySet) -> None:
    key = key_set.keys["d-test"]
    for length in (4096, 4097):
        key_set.put("a" * length, "d-test", key, session())

    assert MAX_CACHED_CHARS == 4096
    assert key_set.get("a" * 4096) is not None
    assert key_set.get("a" * 4097) is None


def test_the_last_1024_tokens_are_cached(key_set: KeySet) -> None:
    key = key_set.keys["d-test"]
    for count in range(1024):
        key_set.put(str(count), "d-test", key, session())
    assert MAX_CACHED_TOKENS == 1024
    assert key_set.get("0") is not None

    key_set.put("1024", "d-test", key, session())

    assert key_set.get("0") is None
    assert all(key_set.get(str(count)) for count in range(1, 1025))


def test_many_threads_may_remember_at_once(key_set: KeySet) -> None:
    key = key_set.keys["d-test"]

    def remember(thread: int) -> None:
        for count in range(500):
            key_set.put(f"{thread}-{count}", "d-test", key, session())
            key_set.get(f"{thread}-{count - 3}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(remember, range(8)))

    remembered = [key_set.get(f"{t}-{c}") for t in range(8) for c in range(500)]
    assert sum(item is not None for item in remembered) == 1024
