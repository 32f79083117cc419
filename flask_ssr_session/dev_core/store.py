"""The SQLite database: its tables, and transactions for several threads.

The modules that own the tables know the meaning of the rows.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SCHEMA_VERSION = 2

# Times are milliseconds since the epoch unless the name says otherwise; JSON is stored as text.
_SCHEMA = """
CREATE TABLE signing_keys (
    kid TEXT PRIMARY KEY,
    is_dynamic INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    signs_from_ms INTEGER NOT NULL,
    private_key_pem BLOB NOT NULL
);
CREATE TABLE secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE sessions (
    handle TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    refresh_token_hash_2 TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    uses_static_key INTEGER NOT NULL,
    payload TEXT NOT NULL,
    data TEXT NOT NULL,
    previous_hash_2 TEXT,
    rotated_ms INTEGER
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    joined_ms INTEGER NOT NULL
);
CREATE TABLE verified_emails (
    user_id TEXT NOT NULL, email TEXT NOT NULL, PRIMARY KEY (user_id, email)
);
CREATE TABLE one_time_tokens (
    token_hash TEXT PRIMARY KEY,
    purpose TEXT NOT NULL,
    user_id TEXT NOT NULL,
    email TEXT NOT NULL,
    expires_ms INTEGER NOT NULL
);
CREATE TABLE roles (role TEXT PRIMARY KEY);
CREATE TABLE role_permissions (
    role TEXT NOT NULL REFERENCES roles ON DELETE CASCADE,
    permission TEXT NOT NULL,
    PRIMARY KEY (role, permission)
);
CREATE TABLE user_roles (
    user_id TEXT NOT NULL,
    role TEXT NOT NULL REFERENCES roles ON DELETE CASCADE,
    PRIMARY KEY (user_id, role)
);
CREATE TABLE totp_devices (
    user_id TEXT NOT NULL,
    name TEXT NOT NULL,
    secret TEXT NOT NULL,
    period INTEGER NOT NULL,
    skew INTEGER NOT NULL,
    is_verified INTEGER NOT NULL,
    PRIMARY KEY (user_id, name)
);
CREATE TABLE totp_attempts (
    user_id TEXT NOT NULL,
    code TEXT NOT NULL,
    is_valid INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
);
CREATE TABLE user_metadata (user_id TEXT PRIMARY KEY, metadata TEXT NOT NULL);
"""


class Store:
    """One database, in a file or in memory."""

    def __init__(self, database: str | Path | None) -> None:
        """Open the database and create its tables if it is new.

        :param database: a file; a new file is readable by its owner only. ``None`` keeps everything
            in memory.
        :raises OSError: the file cannot be created or opened.
        :raises ValueError: the file holds the tables of another version or program.
        """
        if database is not None:
            Path(database).touch(mode=0o600)
        self._connection = sqlite3.connect(
            ":memory:" if database is None else database,
            isolation_level=None,
            check_same_thread=False,
        )
        # A store that is garbage-collected without close() must not leave an open connection.
        self.close = weakref.finalize(self, self._connection.close)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._lock = threading.RLock()
        self._create_tables(database)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Give one thread at a time the connection; commit at the end, roll back on an exception.

        A transaction inside another one of the same thread is part of the outer one.
        """
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            # IMMEDIATE locks out a second process: what is read here decides what is written.
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def _create_tables(self, database: str | Path | None) -> None:
        with self.transaction() as db:
            (version,) = db.execute("PRAGMA user_version").fetchone()
            if version == _SCHEMA_VERSION:
                return
            if version != 0 or db.execute("SELECT 1 FROM sqlite_master").fetchone() is not None:
                raise ValueError(f"{database}: not a database of this development core; remove it")
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
