"""Parse a JSON Web Key Set into the keys that may sign a session.

A key set is trusted as far as its connection. A malformed key, or one for another purpose, is
skipped: one bad entry must not sign out all users.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from ..errors import FetchError
from .base64url import MAX_KID_CHARS, decode_base64url

# NIST SP 800-131A requires 2,048 bits. The upper limit bounds the time that one check takes.
MIN_KEY_BITS = 2048
MAX_KEY_BITS = 8192


def parse_key_set(document: bytes | str | Mapping[str, Any]) -> dict[str, RSAPublicKey]:
    """Return the usable signing keys of a JSON Web Key Set by key id (RFC 7517).

    An RSA key of 2,048 to 8,192 bits is usable if it has a key id and is not reserved for anything
    but RS256 signatures. If two different keys have the same key id, neither is usable.

    :raises FetchError: *document* is not a key set, or contains no usable key.
    """
    try:
        value = document if isinstance(document, Mapping) else json.loads(document)
    except (ValueError, RecursionError):
        raise FetchError("the document is not JSON") from None
    entries = value.get("keys") if isinstance(value, Mapping) else None
    if not isinstance(entries, (list, tuple)):
        raise FetchError("the document is not a key set")
    usable: dict[str, RSAPublicKey] = {}
    ambiguous: set[str] = set()
    for entry in entries:
        key = _signing_key(entry)
        if key is None:
            continue
        kid = entry["kid"]
        if kid in usable and usable[kid].public_numbers() != key.public_numbers():
            ambiguous.add(kid)
        usable[kid] = key
    for kid in ambiguous:
        del usable[kid]
    if not usable:
        raise FetchError("the key set contains no usable RSA signing key")
    return usable


def _signing_key(entry: Any) -> RSAPublicKey | None:
    """Return the key of one entry, or None if it cannot sign a session."""
    if not isinstance(entry, Mapping) or entry.get("kty") != "RSA":
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, (list, tuple)) or "verify" not in operations:
        return None
    kid = entry.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARS:
        return None
    modulus, exponent = _number(entry.get("n")), _number(entry.get("e"))
    if modulus is None or exponent is None:
        return None
    if not MIN_KEY_BITS <= modulus.bit_length() <= MAX_KEY_BITS:
        return None
    try:
        return RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError:
        return None


def _number(value: Any) -> int | None:
    """Decode a Base64urlUInt (RFC 7518 section 2)."""
    # No key in range has longer numbers: do not decode them.
    if not isinstance(value, str) or not value.isascii() or len(value) > MAX_KEY_BITS // 4:
        return None
    try:
        return int.from_bytes(decode_base64url(value.encode("ascii")), "big")
    except ValueError:
        return None
