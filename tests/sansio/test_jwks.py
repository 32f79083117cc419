"""Which keys of a key set may sign a session."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from flask_ssr_session.errors import FetchError
from flask_ssr_session.sansio.jwks import parse_key_set
from tests.tables import rows, shown
from tests.token_table import SIGNER, encode, stranger
from tests.tokens import ABSENT, edited

JWK = SIGNER.jwk()


@cache
def neighbour() -> dict[str, str]:
    return stranger().jwk() | {"kid": "d-good"}


def number(value: int) -> str:
    """Encode a number as in RFC 7518."""
    return encode(value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def bits(count: int) -> str:
    """Return a modulus of this size: no product of known primes, so it verifies nothing."""
    return number((1 << (count - 1)) | 1)


# What a member may be, and what it may not be; the others are as the core writes them.
USABLE: dict[str, tuple[Any, ...]] = {
    "kty": ("RSA",),
    "use": (ABSENT, "sig"),
    "alg": (ABSENT, "RS256"),
    "key_ops": (ABSENT, ["verify"], ("sign", "verify")),
    "kid": ("k", "k" * 128),
    # The last one has as many zeros in front as are read at all.
    "n": (bits(2048), bits(8192), bits(2048).rjust(2048, "A")),
    "e": (number(3), number(65537)),
    "unknown": (ABSENT, 1),
}
UNUSABLE: dict[str, tuple[Any, ...]] = {
    "kty": ("EC", "rsa", ABSENT),
    "use": ("enc",),
    "alg": ("RS512", "RSA-OAEP"),
    "key_ops": (["encrypt"], "verify"),
    "kid": ("k" * 129, ABSENT, ["d-test"]),
    "n": (
        *(bits(2047), bits(1024), bits(8193), "A" * 1_000_000, bits(2048).rjust(2052, "A")),
        *(ABSENT, 1 << 2047, "\u00fc" * 400, f"{bits(2048)}==", f"+/{bits(2048)[2:]}"),
    ),
    "e": (number(1), number(4), number(0), bits(8193), 65537, ABSENT),
}


@pytest.mark.parametrize("name", USABLE | UNUSABLE)
def test_only_rsa_signing_keys_of_a_good_size_are_used(name: str) -> None:
    # None of the members may be of these types, or empty.
    refused = (None, True, 1, [], {}, "", *UNUSABLE[name]) if name in UNUSABLE else ()
    values = [(v, True) for v in USABLE[name]] + [(v, False) for v in refused]
    for value, is_usable in values:
        entry = edited(JWK, {name: value})
        beside = parse_key_set({"keys": [entry, neighbour()]})
        expected = [*([entry["kid"]] if is_usable else []), "d-good"]
        assert list(beside) == expected, f"{name} is {shown(value)}"


def test_key_set_of_a_core_gives_its_keys() -> None:
    keys = parse_key_set(json.dumps({"keys": [JWK, neighbour()]}))

    for kid, key in (("d-test", SIGNER.public_key), ("d-good", stranger().public_key)):
        assert keys[kid].public_numbers() == key.public_numbers()


@rows("entry", {repr(e): e for e in (None, 1, "text", [], ["kty"], {}, {"kty": "RSA", "kid": "d"})})
def test_bad_neighbour_is_skipped(entry: object) -> None:
    assert list(parse_key_set({"keys": [entry, JWK, entry]})) == ["d-test"]
    with pytest.raises(FetchError, match="no usable RSA signing key"):
        parse_key_set({"keys": [entry]})


def test_name_of_two_keys_names_neither() -> None:
    one, good, other = JWK, neighbour(), neighbour() | {"kid": "d-test"}
    for entries, usable in (
        ([one, good], ["d-test", "d-good"]),
        ([one, good, one], ["d-test", "d-good"]),
        ([other, good], ["d-test", "d-good"]),  # one key of two names
        ([one, good, other], ["d-good"]),
        ([one, other, good, one], ["d-good"]),
    ):
        assert list(parse_key_set({"keys": entries})) == usable, [e["n"][:9] for e in entries]


@rows("form", {"bytes": lambda s: json.dumps(s).encode(), "text": json.dumps, "decoded": dict})
def test_key_set_may_be_text_or_decoded(form: Any) -> None:
    for keys in ([JWK], (JWK,)):
        assert list(parse_key_set(form({"keys": keys}))) == ["d-test"]


NO_KEY_SETS: dict[str, tuple[bytes, ...]] = {
    "not JSON": (
        *(b"", b"<html>", b"\xff\xfe\xfd", b"[" * 100_000, b'{"keys":' + b"9" * 10_000 + b"}"),
    ),
    "not a key set": (
        *(b"[]", b"null", b"{}", b'{"keys": null}', b'{"keys": {"kty": "RSA"}}'),
        b'{"keys": "RSA"}',
    ),
    "no usable RSA": (b'{"keys": []}', b'{"status": "OK", "keys": [1, 2]}'),
}


@rows("document, message", {shown(d): (d, m) for m, texts in NO_KEY_SETS.items() for d in texts})
def test_anything_but_a_key_set_is_a_failure(document: bytes, message: str) -> None:
    with pytest.raises(FetchError, match=message) as caught:
        parse_key_set(document)

    assert caught.value.__suppress_context__ or caught.value.__context__ is None
