"""One sequence of bytes has one spelling."""

from __future__ import annotations

import itertools
from base64 import urlsafe_b64encode

import pytest

from flask_ssr_session.sansio.base64url import decode_base64url


def decoded(segment: bytes) -> bytes | None:
    try:
        return decode_base64url(segment)
    except ValueError:
        return None


@pytest.mark.parametrize("length", range(70))
def test_what_was_encoded_is_decoded(length: int) -> None:
    for data in (b"\xff" * length, bytes(length), bytes(range(256))[-length:]):
        assert decoded(urlsafe_b64encode(data).rstrip(b"=")) == data


def test_what_decodes_is_the_only_spelling_of_its_bytes() -> None:
    """The alphabet is one that a lenient decoder takes, so that much of it nearly decodes."""
    for length in range(6):
        for chosen in itertools.product(b"AQg_-+/= \n", repeat=length):
            data = decoded(bytes(chosen))
            assert data is None or urlsafe_b64encode(data).rstrip(b"=") == bytes(chosen)


def test_of_all_pairs_of_characters_only_the_spellings_of_one_byte_decode() -> None:
    pairs = {bytes(pair) for pair in itertools.product(range(256), repeat=2)}

    found = {pair for pair in pairs if decoded(pair) is not None}

    assert found == {urlsafe_b64encode(bytes([byte])).rstrip(b"=") for byte in range(256)}
