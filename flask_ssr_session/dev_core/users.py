"""Accounts with an e-mail address and a password."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .store import Store

# scrypt with N = 2^14, r = 8, p = 1 takes 16 MiB and tens of milliseconds.
_SCRYPT_COST = 2**14
_SCRYPT_BLOCK_SIZE = 8
_SCRYPT_PARALLELISM = 1
_SALT_BYTES = 16

_PAGES: dict[str, tuple[str, tuple[int, str]]] = {
    "ASC": (
        "WHERE (joined_ms, users.id) >= (?, ?) ORDER BY joined_ms, users.id LIMIT ?",
        (0, ""),
    ),
    "DESC": (
        "WHERE (joined_ms, users.id) <= (?, ?) ORDER BY joined_ms DESC, users.id DESC LIMIT ?",
        (2**63 - 1, ""),
    ),
}

_TABLES_OF_USERS = (
    "sessions",
    "user_roles",
    "verified_emails",
    "one_time_tokens",
    "totp_devices",
    "totp_attempts",
    "user_metadata",
)


@dataclass(frozen=True)
class User:
    """One account. ``joined_ms`` is in milliseconds since the epoch."""

    id: str
    email: str
    joined_ms: int
    is_email_verified: bool


def normalise_email(raw_email: str) -> str:
    """Return the spelling under which an address is stored and found."""
    return raw_email.strip().lower()


class Users:
    """All accounts of one core."""

    def __init__(self, store: Store, *, clock: Callable[[], float]) -> None:
        """:param clock: returns seconds since the epoch."""
        self._store = store
        self._clock = clock

    def sign_up(self, raw_email: str, password: str) -> User | None:
        """Create an account, or return ``None`` if the address has one already."""
        email = normalise_email(raw_email)
        user = User(str(uuid.uuid4()), email, int(self._clock() * 1000), is_email_verified=False)
        row = (user.id, email, _hash_password(password), user.joined_ms)
        with self._store.transaction() as db:
            cursor = db.execute("INSERT OR IGNORE INTO users VALUES (?, ?, ?, ?)", row)
            return user if cursor.rowcount else None

    def sign_in(self, raw_email: str, password: str) -> User | None:
        """Return the account, or ``None`` if address or password are wrong."""
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT id, password_hash FROM users WHERE email = ?", (normalise_email(raw_email),)
            ).fetchone()
        if row is None or not _is_password(password, row["password_hash"]):
            return None
        return self.find(row["id"])

    def find(self, user_id: str) -> User | None:
        """Return the account with this id, or ``None``."""
        users = self._select("WHERE users.id = ?", (user_id,))
        return users[0] if users else None

    def find_by_email(self, raw_email: str) -> User | None:
        """Return the account with this address, or ``None``."""
        users = self._select("WHERE users.email = ?", (normalise_email(raw_email),))
        return users[0] if users else None

    def list_page(
        self, *, order: Literal["ASC", "DESC"], limit: int, raw_page_token: str | None
    ) -> tuple[list[User], str | None]:
        """Return a page of accounts by time of joining, and the token of the next page or ``None``.

        :raises ValueError: the token is not one of this function.
        """
        condition, start = _PAGES[order]
        if raw_page_token is not None:
            start = _parse_page_token(raw_page_token)
        # Select one more than the limit: the next page starts there.
        users = self._select(condition, (*start, limit + 1))
        if len(users) <= limit:
            return users, None
        first_of_next = users[limit]
        token = f"{first_of_next.joined_ms};{first_of_next.id}"
        return users[:limit], base64.urlsafe_b64encode(token.encode()).decode()

    def count(self) -> int:
        """Return the number of accounts."""
        with self._store.transaction() as db:
            (count,) = db.execute("SELECT count(*) FROM users").fetchone()
        return int(count)

    def change(
        self, user_id: str, *, raw_email: str | None, password: str | None
    ) -> Literal["OK", "UNKNOWN_USER_ID_ERROR", "EMAIL_ALREADY_EXISTS_ERROR"]:
        """Change the address, the password, or both; ``None`` keeps the old one."""
        password_hash = None if password is None else _hash_password(password)
        email = None if raw_email is None else normalise_email(raw_email)
        try:
            with self._store.transaction() as db:
                cursor = db.execute(
                    "UPDATE users SET email = coalesce(?, email),"
                    " password_hash = coalesce(?, password_hash) WHERE id = ?",
                    (email, password_hash, user_id),
                )
        except sqlite3.IntegrityError:
            return "EMAIL_ALREADY_EXISTS_ERROR"
        return "OK" if cursor.rowcount else "UNKNOWN_USER_ID_ERROR"

    def remove(self, user_id: str) -> None:
        """Delete the account with all that belongs to it."""
        with self._store.transaction() as db:
            db.execute("DELETE FROM users WHERE id = ?", (user_id,))
            for table in _TABLES_OF_USERS:
                db.execute(f"DELETE FROM {table} WHERE user_id = ?", (user_id,))  # noqa: S608

    def _select(self, condition: str, parameters: tuple[object, ...]) -> list[User]:
        statement = (
            "SELECT users.*, verified_emails.email IS NOT NULL AS is_email_verified FROM users"
            " LEFT JOIN verified_emails"
            " ON verified_emails.user_id = users.id AND verified_emails.email = users.email "
        )
        with self._store.transaction() as db:
            rows = db.execute(statement + condition, parameters).fetchall()
        return [
            User(row["id"], row["email"], row["joined_ms"], bool(row["is_email_verified"]))
            for row in rows
        ]


def _parse_page_token(raw_page_token: str) -> tuple[int, str]:
    try:
        joined_ms, _, user_id = base64.urlsafe_b64decode(raw_page_token).decode().partition(";")
        return int(joined_ms), user_id
    except ValueError as error:
        raise ValueError("not a pagination token of this core") from error


def _hash_password(password: str) -> str:
    salt = os.urandom(_SALT_BYTES)
    return f"{salt.hex()}:{_scrypt(password, salt).hex()}"


def _is_password(password: str, stored: str) -> bool:
    salt, _, expected = stored.partition(":")
    return hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)), bytes.fromhex(expected))


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(
        password.encode(),
        salt=salt,
        n=_SCRYPT_COST,
        r=_SCRYPT_BLOCK_SIZE,
        p=_SCRYPT_PARALLELISM,
    )
