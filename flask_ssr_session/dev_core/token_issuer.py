"""Make access tokens and refresh tokens for sessions."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from .keys import SigningKeys
from .session_records import Granted, IssuedToken, SessionRecord
from .tokens import AccessToken, RefreshToken, RefreshTokenBox, hash_token


class TokenIssuer:
    """Makes the tokens of one core."""

    def __init__(
        self,
        keys: SigningKeys,
        box: RefreshTokenBox,
        *,
        access_token_validity_seconds: int,
        refresh_token_validity_minutes: int,
        clock: Callable[[], float],
    ) -> None:
        """:param clock: returns seconds since the epoch."""
        self._keys = keys
        self._box = box
        self._access_token_validity_seconds = access_token_validity_seconds
        self._refresh_token_validity_ms = refresh_token_validity_minutes * 60_000
        self._clock = clock

    def now_ms(self) -> int:
        """Return the time in milliseconds since the epoch."""
        return int(self._clock() * 1000)

    def expires_ms(self) -> int:
        """Return when a session that is used now expires, if it is not used again."""
        return self.now_ms() + self._refresh_token_validity_ms

    def refresh_token(self, content: RefreshToken) -> IssuedToken:
        """Return an encrypted refresh token."""
        return IssuedToken(self._box.seal(content), self.now_ms(), self.expires_ms())

    def access_token(
        self,
        record: SessionRecord,
        refresh_token_hash: str,
        parent_hash: str | None,
        anti_csrf_token: str | None,
        *,
        expires_at: int | None = None,
    ) -> IssuedToken:
        """Return a signed access token with the payload of *record*.

        :param expires_at: seconds since the epoch; ``None`` for the usual lifetime.
        """
        # Rounded down to whole seconds: verifiers refuse a token from the future.
        issued_at = self.now_ms() // 1000
        if expires_at is None:
            expires_at = issued_at + self._access_token_validity_seconds
        token = AccessToken(
            session_handle=record.handle,
            user_id=record.user_id,
            issued_at=issued_at,
            expires_at=expires_at,
            refresh_token_hash=refresh_token_hash,
            parent_refresh_token_hash=parent_hash,
            anti_csrf_token=anti_csrf_token,
            payload=record.payload,
        )
        key = self._keys.signing_key(dynamic=not record.uses_static_key)
        return IssuedToken(token.sign(key), issued_at * 1000, expires_at * 1000)

    def pair(
        self,
        record: SessionRecord,
        refresh_token: IssuedToken,
        parent_hash: str | None,
        anti_csrf_token: str | None,
    ) -> Granted:
        """Return both tokens of a session."""
        access_token = self.access_token(
            record, hash_token(refresh_token.token), parent_hash, anti_csrf_token
        )
        return Granted(
            record.handle,
            record.user_id,
            record.payload,
            access_token,
            refresh_token,
            anti_csrf_token,
        )


def new_anti_csrf_token(enabled: bool) -> str | None:
    """Return a token against cross-site requests, or ``None`` if they are switched off."""
    return str(uuid.uuid4()) if enabled else None
