"""Tokens that are sent by e-mail and work once, and the addresses that they verify."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from enum import Enum

from .store import Store
from .tokens import hash_token
from .users import normalise_email


class Purpose(Enum):
    """The purpose of a token."""

    EMAIL_VERIFICATION = "email_verification"
    PASSWORD_RESET = "password_reset"  # noqa: S105


# A core's defaults: email_verification_token_lifetime and password_reset_token_lifetime.
_LIFETIME_MS = {
    Purpose.EMAIL_VERIFICATION: 24 * 3600 * 1000,
    Purpose.PASSWORD_RESET: 3600 * 1000,
}


class Verification:
    """One-time tokens and verified addresses. The database keeps only the tokens' hashes."""

    def __init__(self, store: Store, *, clock: Callable[[], float]) -> None:
        """:param clock: returns seconds since the epoch."""
        self._store = store
        self._clock = clock

    def create_token(self, purpose: Purpose, user_id: str, raw_email: str) -> str:
        """Return a new token. Older tokens of the same user and address stay valid."""
        token = secrets.token_urlsafe(48)
        expires_ms = self._now_ms() + _LIFETIME_MS[purpose]
        with self._store.transaction() as db:
            db.execute("DELETE FROM one_time_tokens WHERE expires_ms < ?", (self._now_ms(),))
            db.execute(
                "INSERT INTO one_time_tokens VALUES (?, ?, ?, ?, ?)",
                (
                    hash_token(token),
                    purpose.value,
                    user_id,
                    normalise_email(raw_email),
                    expires_ms,
                ),
            )
        return token

    def consume_token(self, purpose: Purpose, raw_token: str) -> tuple[str, str] | None:
        """Delete a token and return its user id and address, or ``None`` if it is invalid.

        All other tokens of the same purpose, user and address are deleted, too.
        """
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT user_id, email FROM one_time_tokens"
                " WHERE token_hash = ? AND purpose = ? AND expires_ms >= ?",
                (hash_token(raw_token), purpose.value, self._now_ms()),
            ).fetchone()
            if row is None:
                return None
            self.forget_tokens(purpose, row["user_id"], row["email"])
            return row["user_id"], row["email"]

    def forget_tokens(self, purpose: Purpose, user_id: str, raw_email: str) -> None:
        """Delete all tokens of this purpose, user and address."""
        with self._store.transaction() as db:
            db.execute(
                "DELETE FROM one_time_tokens WHERE purpose = ? AND user_id = ? AND email = ?",
                (purpose.value, user_id, normalise_email(raw_email)),
            )

    def verify_email(self, raw_token: str) -> tuple[str, str] | None:
        """Consume a token, mark its address as verified, and return user id and address."""
        with self._store.transaction() as db:
            proven = self.consume_token(Purpose.EMAIL_VERIFICATION, raw_token)
            if proven is not None:
                db.execute("INSERT OR IGNORE INTO verified_emails VALUES (?, ?)", proven)
            return proven

    def unverify_email(self, user_id: str, raw_email: str) -> None:
        """Mark an address as not verified."""
        with self._store.transaction() as db:
            db.execute(
                "DELETE FROM verified_emails WHERE user_id = ? AND email = ?",
                (user_id, normalise_email(raw_email)),
            )

    def is_email_verified(self, user_id: str, raw_email: str) -> bool:
        """Return whether this user has verified this address."""
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT 1 FROM verified_emails WHERE user_id = ? AND email = ?",
                (user_id, normalise_email(raw_email)),
            ).fetchone()
        return row is not None

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)
