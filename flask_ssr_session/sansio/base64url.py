"""Decode base64url, and limit the length of key ids, for tokens (JWS) and key sets (JWK) alike."""

from __future__ import annotations

import binascii

MAX_KID_CHARS = 128

# Base64url to base64. Characters that only base64 has are mapped to one that neither has.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")


def decode_base64url(segment: bytes) -> bytes:
    """Decode base64url in its canonical form, without padding (RFC 7515 section 2).

    :raises ValueError: *segment* is in any other form.
    """
    encoded = segment.translate(_TO_BASE64) + b"=" * (-len(segment) % 4)
    decoded = binascii.a2b_base64(encoded)
    # a2b_base64 ignores stray characters and spare bits. Without this check one session could be
    # sent as many different tokens, which defeats everything that compares tokens.
    if binascii.b2a_base64(decoded, newline=False) != encoded:
        raise ValueError("not canonical base64url")
    return decoded
