"""Access tokens (signed JWTs that anyone may read) and refresh tokens (sealed, opaque).

Signing and sealing are done by PyJWT and ``cryptography``; this module knows only the contents.
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

# Claims the core itself writes. An application's own payload may use none of these names.
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

# This core has one tenant, the one every SuperTokens core starts with.
TENANT_ID = "public"

# The token version of CDI 4.0 and later; it tells a session's token from other JWTs of these keys.
_ACCESS_TOKEN_VERSION = "5"  # noqa: S105
_REFRESH_TOKEN_VERSION = "V2"  # noqa: S105
_GCM_IV_BYTES = 12


class InvalidAccessTokenError(Exception):
    """An access token that is malformed, signed by no published key, or too old."""


def hash_token(text: str) -> str:
    """Return the lower-case hex SHA-256 of the text, the form in which tokens name each other."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class AccessToken:
    """What an access token says. Times are seconds since the epoch."""

    session_handle: str
    user_id: str
    issued_at: int
    expires_at: int
    refresh_token_hash: str
    parent_refresh_token_hash: str | None
    """Hash of the refresh token that was spent for this one; ``None`` once the child is current."""
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
    """Return a JWT that is no session token: same keys, no version in its header."""
    return jwt.encode(dict(payload), key.private_key, algorithm=ALGORITHM, headers={"kid": key.kid})


def verify_access_token(
    raw_token: str, find_key: Callable[[str | None], SigningKey | None], *, now_ms: int
) -> AccessToken:
    """Check signature, structure and expiry, and return what the token says.

    :param find_key: returns the published key of a name, or ``None``.
    :raises InvalidAccessTokenError: any of the checks failed.
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
            # Only the signature is PyJWT's: it would judge the times by the machine's clock.
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
    """Return what the token says without checking who said it or when.

    :raises InvalidAccessTokenError: the text is not an access token at all.
    """
    try:
        claims = jwt.decode(raw_token, options={"verify_signature": False})
    except jwt.PyJWTError as error:
        raise InvalidAccessTokenError("not a token") from error
    return _from_claims(claims)


def _from_claims(claims: Mapping[str, Any]) -> AccessToken:
    def require(name: str, *kinds: type) -> Any:
        # A bool is an int to Python, and no time to anyone.
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
    """What is sealed inside a refresh token."""

    session_handle: str
    user_id: str
    parent_hash: str | None
    """Hash of the refresh token this one came from; ``None`` for a session's first."""
    anti_csrf_token: str | None = field(repr=False)


class RefreshTokenBox:
    """Seals and opens refresh tokens: ``<base64 AES-256-GCM>.<nonce>.V2``."""

    def __init__(self, key: bytes) -> None:
        """:param key: 32 bytes."""
        self._cipher = AESGCM(key)

    def seal(self, token: RefreshToken) -> str:
        """Return a text only this key opens; two seals of one content differ."""
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
        """Return the content, or ``None`` if this key did not seal the text."""
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
