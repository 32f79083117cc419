"""Sessions in the database, and the outcomes of operations on them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .tokens import hash_token


@dataclass(frozen=True)
class SessionRecord:
    """One session in the database. Times are milliseconds since the epoch."""

    handle: str
    user_id: str
    created_ms: int
    expires_ms: int
    uses_static_key: bool
    refresh_token_hash_2: str = field(repr=False)
    """Hash of the hash of the current refresh token."""
    payload: dict[str, Any] = field(repr=False)
    """The application's own claims, merged into every access token."""
    data: dict[str, Any] = field(repr=False)
    """Data of the application that stay in the database."""
    previous_hash_2: str | None = field(default=None, repr=False)
    """The same hash of the refresh token that was current before; ``None`` for the first."""
    rotated_ms: int | None = None
    """When the current refresh token replaced the previous one."""

    def is_current(self, refresh_token_hash: str) -> bool:
        """Return whether this is the hash of the current refresh token."""
        return hash_token(refresh_token_hash) == self.refresh_token_hash_2

    def is_previous(self, refresh_token_hash: str) -> bool:
        """Return whether this is the hash of the refresh token before the current one."""
        return hash_token(refresh_token_hash) == self.previous_hash_2

    def has_current_as_parent(self, parent_hash: str | None) -> bool:
        """Return whether a token with this parent is a child of the current refresh token."""
        return parent_hash is not None and self.is_current(parent_hash)


@dataclass(frozen=True)
class IssuedToken:
    """A token for the browser. Times are milliseconds since the epoch."""

    token: str = field(repr=False)
    created_ms: int
    expires_ms: int


@dataclass(frozen=True)
class Granted:
    """The session is valid. A token that did not change is ``None``."""

    handle: str
    user_id: str
    payload: Mapping[str, Any] = field(repr=False)
    access_token: IssuedToken | None = None
    refresh_token: IssuedToken | None = None
    anti_csrf_token: str | None = field(default=None, repr=False)
    payload_update_available: bool | None = None
    """Whether the database has another payload; ``None`` if nobody looked. CDI 5.6 only."""


@dataclass(frozen=True)
class Unauthorised:
    """The session does not exist, and a refresh cannot help."""

    message: str


@dataclass(frozen=True)
class TryRefresh:
    """The access token is invalid; a refresh may replace it."""

    message: str


@dataclass(frozen=True)
class TheftDetected:
    """A refresh token was used that another one has replaced.

    At CDI 5.4 the session stays unchanged; at 5.6 it is removed.
    """

    handle: str
    user_id: str
    subtype: str | None = None
    """Which token was used, by CDI 5.6."""


def insert_session(db: sqlite3.Connection, record: SessionRecord) -> None:
    """Store a new session."""
    db.execute(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.handle,
            record.user_id,
            record.refresh_token_hash_2,
            record.created_ms,
            record.expires_ms,
            record.uses_static_key,
            json.dumps(record.payload),
            json.dumps(record.data),
            record.previous_hash_2,
            record.rotated_ms,
        ),
    )


def find_session(db: sqlite3.Connection, handle: str) -> SessionRecord | None:
    """Return the session, even if it has expired, or ``None``."""
    row = db.execute("SELECT * FROM sessions WHERE handle = ?", (handle,)).fetchone()
    return None if row is None else session_from_row(row)


def find_live(db: sqlite3.Connection, handle: str, now_ms: int) -> SessionRecord | None:
    """Return the session, or ``None`` if it is gone or has expired."""
    record = find_session(db, handle)
    return None if record is None or record.expires_ms < now_ms else record


def session_from_row(row: sqlite3.Row) -> SessionRecord:
    """Return the session in a row of the table."""
    return SessionRecord(
        handle=row["handle"],
        user_id=row["user_id"],
        created_ms=row["created_ms"],
        expires_ms=row["expires_ms"],
        uses_static_key=bool(row["uses_static_key"]),
        refresh_token_hash_2=row["refresh_token_hash_2"],
        payload=json.loads(row["payload"]),
        data=json.loads(row["data"]),
        previous_hash_2=row["previous_hash_2"],
        rotated_ms=row["rotated_ms"],
    )


def make_current(
    db: sqlite3.Connection,
    record: SessionRecord,
    refresh_token_hash: str,
    *,
    now_ms: int,
    expires_ms: int,
) -> SessionRecord:
    """Make this refresh token the current one, and return the session as it is then.

    Nothing else prolongs a session.
    """
    changed = replace(
        record,
        refresh_token_hash_2=hash_token(refresh_token_hash),
        previous_hash_2=record.refresh_token_hash_2,
        rotated_ms=now_ms,
        expires_ms=expires_ms,
    )
    save_rotation(db, changed)
    return changed


def save_rotation(db: sqlite3.Connection, record: SessionRecord) -> None:
    """Store which refresh tokens of a session are current and previous, and its expiry."""
    db.execute(
        "UPDATE sessions SET refresh_token_hash_2 = ?, previous_hash_2 = ?, rotated_ms = ?,"
        " expires_ms = ? WHERE handle = ?",
        (
            record.refresh_token_hash_2,
            record.previous_hash_2,
            record.rotated_ms,
            record.expires_ms,
            record.handle,
        ),
    )
