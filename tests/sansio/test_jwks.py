"""Which keys of a key set may sign a session."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from flask_ssr_session.errors import FetchError
from flask_ssr_session.sansio.jwks import parse_key_set
from flask_ssr_session.testing import SessionSigner
from tests.tables import rows
from tests.token_table import SIGNER, encode, stranger
from tests.tokens import ABSENT, edited

JWK = SIGNER.jwk()


@cache
def neighbour() -> dict[str, str]:
    """Return another key, which is usable under its own key id."""
    return stranger().jwk() | {"kid": "d-good"}


def number(value: int) -> str:
    """Encode a number as in RFC 7518."""
    return encode(value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def bits(count: int) -> str:
    """Return a modulus of this size: no product of known primes, so it verifies nothing."""
    return number((1 << (count - 1)) | 1)


@rows(
    "edits, is_usable",
    {
        "as the core writes it": ({}, True),
        "kty EC": ({"kty": "EC"}, False),
        "kty in small letters": ({"kty": "rsa"}, False),
        "no kty": ({"kty": ABSENT}, False),
        "an elliptic key": ({"kty": "EC", "crv": "P-256", "x": number(1), "y": number(2)}, False),
        "no use": ({"use": ABSENT}, True),
        "for encryption": ({"use": "enc"}, False),
        "use null": ({"use": None}, False),
        "no alg": ({"alg": ABSENT}, True),
        "RS512": ({"alg": "RS512"}, False),
        "RSA-OAEP": ({"alg": "RSA-OAEP"}, False),
        "to verify": ({"key_ops": ["verify"]}, True),
        "to sign and verify": ({"key_ops": ("sign", "verify")}, True),
        "to encrypt": ({"key_ops": ["encrypt"]}, False),
        "for nothing": ({"key_ops": []}, False),
        "key_ops a text": ({"key_ops": "verify"}, False),
        "kid of one character": ({"kid": "k"}, True),
        "kid of 128 characters": ({"kid": "k" * 128}, True),
        "kid of 129 characters": ({"kid": "k" * 129}, False),
        "empty kid": ({"kid": ""}, False),
        "no kid": ({"kid": ABSENT}, False),
        "kid a number": ({"kid": 1}, False),
        "kid a list": ({"kid": ["d-test"]}, False),
        "2048 bits": ({"n": bits(2048)}, True),
        "2047 bits": ({"n": bits(2047)}, False),
        "1024 bits": ({"n": bits(1024)}, False),
        "8192 bits": ({"n": bits(8192)}, True),
        "8193 bits": ({"n": bits(8193)}, False),
        "a megabyte of modulus": ({"n": "A" * 1_000_000}, False),
        "2048 bits behind as many zeros as are read": ({"n": bits(2048).rjust(2048, "A")}, True),
        "and one group more": ({"n": bits(2048).rjust(2052, "A")}, False),
        "no n": ({"n": ABSENT}, False),
        "empty n": ({"n": ""}, False),
        "n a number": ({"n": 1 << 2047}, False),
        "n in other letters": ({"n": "\u00fc" * 400}, False),
        "n padded": ({"n": f"{bits(2048)}=="}, False),
        "n in base64": ({"n": f"+/{bits(2048)[2:]}"}, False),
        "e 3": ({"e": number(3)}, True),
        "e 1": ({"e": number(1)}, False),
        "e even": ({"e": number(4)}, False),
        "e 0": ({"e": number(0)}, False),
        "e above n": ({"e": bits(8193)}, False),
        "e a number": ({"e": 65537}, False),
        "e null": ({"e": None}, False),
        "no e": ({"e": ABSENT}, False),
        "members that nobody knows": ({"x5c": ["MIIB"], "unknown": 1}, True),
    },
)
def test_only_rsa_signing_keys_of_a_good_size_are_used(
    edits: dict[str, Any], is_usable: bool
) -> None:
    entry = edited(JWK, edits)

    beside = parse_key_set({"keys": [entry, neighbour()]})

    assert list(beside) == [*([entry["kid"]] if is_usable else []), "d-good"]
    assert beside["d-good"].public_numbers() == stranger().public_key.public_numbers()
    if not edits:
        assert beside["d-test"].public_numbers() == SIGNER.public_key.public_numbers()


@rows("entry", {repr(e): e for e in (None, 1, "text", [], ["kty"], {}, {"kty": "RSA", "kid": "d"})})
def test_bad_neighbour_is_skipped(entry: object) -> None:
    assert list(parse_key_set({"keys": [entry, JWK, entry]})) == ["d-test"]
    with pytest.raises(FetchError, match="no usable RSA signing key"):
        parse_key_set({"keys": [entry]})


def test_short_key_that_really_signs_is_not_used() -> None:
    short = generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505

    assert list(parse_key_set({"keys": [SessionSigner("d-short", short).jwk(), JWK]})) == ["d-test"]


ONE, OTHER, THIRD = "one", "other", "third"


@rows(
    "entries, usable",
    {
        "two keys of two names": ((ONE, THIRD), ["d-test", "d-good"]),
        "one key twice": ((ONE, THIRD, ONE), ["d-test", "d-good"]),
        "two keys of one name": ((ONE, THIRD, OTHER), ["d-good"]),
        "two keys of one name, one of them twice": ((ONE, OTHER, THIRD, ONE), ["d-good"]),
        "one key of two names": ((OTHER, THIRD), ["d-test", "d-good"]),
    },
)
def test_name_of_two_keys_names_neither(entries: tuple[str, ...], usable: list[str]) -> None:
    known = {ONE: JWK, OTHER: neighbour() | {"kid": "d-test"}, THIRD: neighbour()}

    assert list(parse_key_set({"keys": [known[entry] for entry in entries]})) == usable


@rows("form", {"bytes": lambda s: json.dumps(s).encode(), "text": json.dumps, "decoded": dict})
def test_key_set_may_be_text_or_decoded(form: Any) -> None:
    for keys in ([JWK], (JWK,)):
        assert list(parse_key_set(form({"keys": keys}))) == ["d-test"]


@rows(
    "document, message",
    {
        "nothing": (b"", "not JSON"),
        "a page": (b"<html>", "not JSON"),
        "no text": (b"\xff\xfe\xfd", "not JSON"),
        "very deep": (b"[" * 100_000, "not JSON"),
        "very many digits": (b'{"keys": ' + b"9" * 10_000 + b"}", "not JSON"),
        "a list": (b"[]", "not a key set"),
        "null": (b"null", "not a key set"),
        "no keys": (b"{}", "not a key set"),
        "keys null": (b'{"keys": null}', "not a key set"),
        "keys an object": (b'{"keys": {"kty": "RSA"}}', "not a key set"),
        "keys a text": (b'{"keys": "RSA"}', "not a key set"),
        "keys empty": (b'{"keys": []}', "no usable RSA"),
        "no key in it": (b'{"status": "OK", "keys": [1, 2]}', "no usable RSA"),
    },
)
def test_anything_but_a_key_set_is_a_failure(document: bytes, message: str) -> None:
    with pytest.raises(FetchError, match=message) as caught:
        parse_key_set(document)

    assert caught.value.__suppress_context__ or caught.value.__context__ is None
