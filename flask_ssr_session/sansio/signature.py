"""Check the signature of a token. Only this module and ``jwks`` load ``cryptography``."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

_PADDING = PKCS1v15()
_HASH = SHA256()


def is_signed_by(key: RSAPublicKey, signed: bytes, signature: bytes) -> bool:
    """Return whether *signature* is that of *key* on *signed*, by RS256 (RFC 7518 section 3.3)."""
    try:
        key.verify(signature, signed, _PADDING, _HASH)
    except InvalidSignature:
        return False
    return True
