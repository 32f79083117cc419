"""Sign access tokens as a SuperTokens core does, with a key that lives in this process only."""

from __future__ import annotations

import json
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from threading import Lock
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256

from .recipe_claims import recipe_claims

# Without this lock, two threads could create two keys: lru_cache does not wait.
_key_lock = Lock()


@lru_cache
def _process_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


class SessionSigner:
    """Signs access tokens as a SuperTokens core does, with a throw-away key.

    :param kid: the key id in the token's header. SuperTokens' own begin with ``d-`` or ``s-``.
    :param private_key: an RSA key; None for the one key of this process.
    :param issuer: claim ``iss`` of new claims; None leaves it out.
    """

    def __init__(
        self,
        kid: str = "d-test",
        private_key: RSAPrivateKey | None = None,
        *,
        issuer: str | None = None,
    ) -> None:
        self.kid = kid
        self.issuer = issuer
        with _key_lock:
            self.private_key = private_key or _process_key()

    @property
    def public_key(self) -> RSAPublicKey:
        """The key that verifies the signer's tokens."""
        return self.private_key.public_key()

    def jwk(self) -> dict[str, str]:
        """Return the public key in the form of SuperTokens' key set."""
        numbers = self.public_key.public_numbers()
        return {
            "kty": "RSA",
            "kid": self.kid,
            "n": _base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
            "e": _base64url(numbers.e.to_bytes(3, "big")),
            "alg": "RS256",
            "use": "sig",
        }

    def header(self) -> dict[str, Any]:
        """Return the header of a session's access token."""
        return {"alg": "RS256", "kid": self.kid, "typ": "JWT", "version": "5"}

    def claims(
        self,
        user_id: str = "user-1",
        *,
        tenant_id: str = "public",
        roles: Sequence[str] | None = None,
        permissions: Sequence[str] | None = None,
        email_verified: bool | None = None,
        mfa_complete: bool | None = None,
        factors: Mapping[str, float] | Sequence[str] | None = None,
        issued_at: float | None = None,
        valid_seconds: float = 3600,
        **payload: Any,
    ) -> dict[str, Any]:
        """Return the claims of a new session.

        :param roles: claim ``st-role``; None leaves it out.
        :param permissions: claim ``st-perm``; None leaves it out.
        :param email_verified: claim ``st-ev``; None leaves it out.
        :param mfa_complete: claim ``st-mfa``: whether the user completed all factors of sign-in;
            None leaves it out unless *factors* are given.
        :param factors: the factors that the user completed, or how many seconds ago each was; None
            for ``emailpassword`` now, if the token has ``st-mfa`` at all.
        :param issued_at: seconds since the epoch; None for now.
        :param payload: more claims, or other values for these.
        :raises MisuseError: a claim has the wrong name or type.
        """
        now = int(time.time() if issued_at is None else issued_at)
        claims: dict[str, Any] = {
            "sub": user_id,
            "rsub": user_id,
            "tId": tenant_id,
            "sessionHandle": str(uuid.uuid4()),
            "refreshTokenHash1": sha256(uuid.uuid4().bytes).hexdigest(),
            "parentRefreshTokenHash1": None,
            "antiCsrfToken": None,
            "iat": now,
            "exp": now + int(valid_seconds),
        }
        if self.issuer is not None:
            claims["iss"] = self.issuer
        return claims | recipe_claims(
            now,
            payload,
            roles=roles,
            permissions=permissions,
            email_verified=email_verified,
            mfa_complete=mfa_complete,
            factors=factors,
        )

    def sign(self, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
        """Return a signed token of *claims*.

        :param header: None for :meth:`header`.
        """
        return self.sign_raw(
            json.dumps(self.header() if header is None else header).encode(),
            json.dumps(claims).encode(),
        )

    def sign_raw(self, header: bytes, payload: bytes) -> str:
        """Return a signed token of any bytes, well formed or not."""
        signed = f"{_base64url(header)}.{_base64url(payload)}"
        signature = self.private_key.sign(signed.encode("ascii"), PKCS1v15(), SHA256())
        return f"{signed}.{_base64url(signature)}"


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
