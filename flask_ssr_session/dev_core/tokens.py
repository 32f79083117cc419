"""Access tokens (signed, readable JWTs) and refresh tokens (encrypted, opaque).

PyJWT and ``cryptography`` sign and encrypt; this module knows only the contents.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from .keys import SigningKey

ALGORITHM = "RS256"

# Claims that the core writes. The application's payload must not contain them.
PROTECTED_CLAIMS = frozenset(
    {
        "sub",
        "rsub",
        "iat",
        "exp",
        "sessionHandle",
        "refreshTokenHash1",
        "parentRefreshTokenHash1",
        "antiCsrfToken",
        "tId",
    }
)

# This core has one tenant: the default tenant of every SuperTokens core.
TENANT_ID = "public"

# The token version of CDI 4.0 and later. Other JWTs of these keys have none.
_ACCESS_TOKEN_VERSION = "5"  # noqa: S105
_REFRESH_TOKEN_VERSION = "V2"  # noqa: S105
_GCM_IV_BYTES = 12


class InvalidAccessTokenError(Exception):
    """An access token that is malformed, signed by no published key, or too old."""


def hash_token(text: str) -> str:
    """Return the lower-case hex SHA-256 of the text. Tokens refer to each other by it."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class AccessToken:
    """The content of an access token. Times are seconds since the epoch."""

    session_handle: str
    user_id: str
    issued_at: int
    expires_at: int
    refresh_token_hash: str
    parent_refresh_token_hash: str | None
    """Hash of the refresh token that was exchanged for this; ``None`` once the child is current."""
    anti_csrf_token: str | None = field(repr=False)
    payload: Mapping[str, Any] = field(repr=False)

    def sign(self, key: SigningKey) -> str:
        """Return the JWT."""
        claims = {
            **self.payload,
            "sub": self.user_id,
            "rsub": self.user_id,
            "tId": TENANT_ID,
            "iat": self.issued_at,
            "exp": self.expires_at,
            "sessionHandle": self.session_handle,
            "refreshTokenHash1": self.refresh_token_hash,
            "parentRefreshTokenHash1": self.parent_refresh_token_hash,
            "antiCsrfToken": self.anti_csrf_token,
        }
        headers = {"kid": key.kid, "version": _ACCESS_TOKEN_VERSION}
        return jwt.encode(claims, key.private_key, algorithm=ALGORITHM, headers=headers)


def sign_custom_jwt(payload: Mapping[str, Any], key: SigningKey) -> str:
    """Return a JWT that is not a session's: the same keys, but no version in its header."""
    return jwt.encode(dict(payload), key.private_key, algorithm=ALGORITHM, headers={"kid": key.kid})


def verify_access_token(
    raw_token: str, find_key: Callable[[str | None], SigningKey | None], *, now_ms: int
) -> AccessToken:
    """Check signature, structure and expiry, and return the content.

    :param find_key: returns the published key with an id, or ``None``.
    :raises InvalidAccessTokenError: a check failed.
    """
    try:
        header = jwt.get_unverified_header(raw_token)
        key = find_key(header.get("kid"))
        if key is None:
            raise InvalidAccessTokenError("signed by no published key")
        claims = jwt.decode(
            raw_token,
            key.private_key.public_key(),
            algorithms=[ALGORITHM],
            # PyJWT checks only the signature: it would compare the times with the machine's clock.
            options={
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "verify_aud": False,
            },
        )
    except jwt.PyJWTError as error:
        raise InvalidAccessTokenError("not a token of this core") from error
    if header.get("version") != _ACCESS_TOKEN_VERSION:
        raise InvalidAccessTokenError("not a session's access token")
    token = _from_claims(claims)
    if token.expires_at * 1000 <= now_ms:
        raise InvalidAccessTokenError("expired")
    return token


def decode_unverified_access_token(raw_token: str) -> AccessToken:
    """Return the content without checking signature and expiry.

    :raises InvalidAccessTokenError: the text is not an access token.
    """
    try:
        claims = jwt.decode(raw_token, options={"verify_signature": False})
    except jwt.PyJWTError as error:
        raise InvalidAccessTokenError("not a token") from error
    return _from_claims(claims)


def _from_claims(claims: Mapping[str, Any]) -> AccessToken:
    def require(name: str, *kinds: type) -> Any:
        # In Python a bool is an int, but it is no time.
        if name not in claims or type(claims[name]) not in kinds:
            raise InvalidAccessTokenError(f"claim {name} is missing or of the wrong type")
        return claims[name]

    require("rsub", str)
    require("tId", str)
    return AccessToken(
        session_handle=require("sessionHandle", str),
        user_id=require("sub", str),
        issued_at=require("iat", int),
        expires_at=require("exp", int),
        refresh_token_hash=require("refreshTokenHash1", str),
        parent_refresh_token_hash=require("parentRefreshTokenHash1", str, type(None)),
        anti_csrf_token=require("antiCsrfToken", str, type(None)),
        payload={name: value for name, value in claims.items() if name not in PROTECTED_CLAIMS},
    )


@dataclass(frozen=True)
class RefreshToken:
    """The content of a refresh token."""

    session_handle: str
    user_id: str
    parent_hash: str | None
    """Hash of the parent refresh token; ``None`` for a session's first."""
    anti_csrf_token: str | None = field(repr=False)


class RefreshTokenBox:
    """Encrypts and decrypts refresh tokens: ``<base64 AES-256-GCM>.<nonce>.V2``."""

    def __init__(self, key: bytes) -> None:
        """:param key: 32 bytes."""
        self._cipher = AESGCM(key)

    def seal(self, token: RefreshToken) -> str:
        """Return the encrypted token. Encrypting the same content again gives another text."""
        nonce = secrets.token_hex(32)
        content = {
            "sessionHandle": token.session_handle,
            "userId": token.user_id,
            "parentRefreshTokenHash1": token.parent_hash,
            "antiCsrfToken": token.anti_csrf_token,
            "nonce": nonce,
        }
        initialisation_vector = os.urandom(_GCM_IV_BYTES)
        sealed = self._cipher.encrypt(initialisation_vector, json.dumps(content).encode(), None)
        blob = base64.b64encode(initialisation_vector + sealed).decode()
        return f"{blob}.{nonce}.{_REFRESH_TOKEN_VERSION}"

    def open(self, raw_token: str) -> RefreshToken | None:
        """Return the content, or ``None`` if the text was not encrypted with this key."""
        blob, _, rest = raw_token.partition(".")
        nonce, _, version = rest.partition(".")
        if version != _REFRESH_TOKEN_VERSION:
            return None
        try:
            sealed = base64.b64decode(blob, validate=True)
            content = json.loads(
                self._cipher.decrypt(sealed[:_GCM_IV_BYTES], sealed[_GCM_IV_BYTES:], None)
            )
        except (ValueError, InvalidTag):
            return None
        if content["nonce"] != nonce:
            return None
        return RefreshToken(
            session_handle=content["sessionHandle"],
            user_id=content["userId"],
            parent_hash=content["parentRefreshTokenHash1"],
            anti_csrf_token=content["antiCsrfToken"],
        )
