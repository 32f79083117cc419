"""Sessions in the database, and the outcomes of operations on them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
    """A refresh token was reused after its child was used. The session stays unchanged."""

    handle: str
    user_id: str


def insert_session(db: sqlite3.Connection, record: SessionRecord) -> None:
    db.execute(
        "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            record.handle,
            record.user_id,
            record.refresh_token_hash_2,
            record.created_ms,
            record.expires_ms,
            record.uses_static_key,
            json.dumps(record.payload),
            json.dumps(record.data),
        ),
    )


def find_session(db: sqlite3.Connection, handle: str) -> SessionRecord | None:
    row = db.execute("SELECT * FROM sessions WHERE handle = ?", (handle,)).fetchone()
    return None if row is None else session_from_row(row)


def session_from_row(row: sqlite3.Row) -> SessionRecord:
    return SessionRecord(
        handle=row["handle"],
        user_id=row["user_id"],
        created_ms=row["created_ms"],
        expires_ms=row["expires_ms"],
        uses_static_key=bool(row["uses_static_key"]),
        refresh_token_hash_2=row["refresh_token_hash_2"],
        payload=json.loads(row["payload"]),
        data=json.loads(row["data"]),
    )
