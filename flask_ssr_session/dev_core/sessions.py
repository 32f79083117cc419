"""Sessions: creation, refresh with rotation and theft detection, verification, removal.

The rules are those of a core at CDI 5.4. Only one hash is kept per session, of the *current*
refresh token. Refreshing makes a child that carries its parent's hash; the child becomes current
("is promoted") when it, or the access token issued with it, is used for the first time. Until then
the parent may be used again, which covers a lost response; afterwards its use is theft.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from .keys import SigningKeys, load_refresh_token_key
from .session_records import (
    Granted,
    IssuedToken,
    SessionRecord,
    TheftDetected,
    TryRefresh,
    Unauthorised,
    find_session,
    insert_session,
    session_from_row,
)
from .store import Store
from .tokens import (
    AccessToken,
    InvalidAccessTokenError,
    RefreshToken,
    RefreshTokenBox,
    decode_unverified_access_token,
    hash_token,
    verify_access_token,
)

# A core's job that removes expired sessions runs this often.
_EXPIRED_ROWS_KEPT_MS = 12 * 3600 * 1000


_GONE = Unauthorised("the session does not exist or has expired")


class Sessions:
    """All sessions of one core."""

    def __init__(
        self,
        store: Store,
        keys: SigningKeys,
        *,
        access_token_validity_seconds: int,
        refresh_token_validity_minutes: int,
        clock: Callable[[], float],
    ) -> None:
        """:param clock: returns seconds since the epoch."""
        self._store = store
        self._keys = keys
        self._box = RefreshTokenBox(load_refresh_token_key(store))
        self._access_token_validity_seconds = access_token_validity_seconds
        self._refresh_token_validity_ms = refresh_token_validity_minutes * 60_000
        self._clock = clock

    def create(
        self,
        user_id: str,
        *,
        payload: Mapping[str, Any],
        data: Mapping[str, Any],
        use_dynamic_key: bool,
        enable_anti_csrf: bool,
    ) -> Granted:
        """Create a session. The user need not exist."""
        handle = str(uuid.uuid4())
        anti_csrf_token = _new_anti_csrf_token(enable_anti_csrf)
        refresh_token = self._issue_refresh_token(
            RefreshToken(handle, user_id, parent_hash=None, anti_csrf_token=anti_csrf_token)
        )
        refresh_token_hash = hash_token(refresh_token.token)
        record = SessionRecord(
            handle=handle,
            user_id=user_id,
            created_ms=refresh_token.created_ms,
            expires_ms=refresh_token.expires_ms,
            uses_static_key=not use_dynamic_key,
            refresh_token_hash_2=hash_token(refresh_token_hash),
            payload=dict(payload),
            data=dict(data),
        )
        with self._store.transaction() as db:
            db.execute(
                "DELETE FROM sessions WHERE expires_ms < ?",
                (record.created_ms - _EXPIRED_ROWS_KEPT_MS,),
            )
            insert_session(db, record)
        return self._grant_pair(record, refresh_token, None, anti_csrf_token)

    def refresh(
        self,
        raw_refresh_token: str,
        *,
        use_dynamic_key: bool,
        enable_anti_csrf: bool,
        anti_csrf_token: str | None = None,
    ) -> Granted | Unauthorised | TheftDetected:
        """Exchange a refresh token for a new pair of tokens.

        :param anti_csrf_token: the request's token, or ``None``.
        """
        presented = self._box.open(raw_refresh_token)
        if presented is None:
            return Unauthorised("not a refresh token of this core")
        if (
            enable_anti_csrf
            and presented.anti_csrf_token is not None
            and presented.anti_csrf_token != anti_csrf_token
        ):
            return Unauthorised("anti-csrf check failed")
        presented_hash = hash_token(raw_refresh_token)
        with self._store.transaction() as db:
            record = self._find_live(db, presented.session_handle)
            if record is None:
                return _GONE
            if hash_token(presented_hash) != record.refresh_token_hash_2:
                if not _is_child_of_current(presented.parent_hash, record):
                    return TheftDetected(record.handle, record.user_id)
                self._promote(db, record.handle, presented_hash)
            db.execute(
                "UPDATE sessions SET uses_static_key = ? WHERE handle = ?",
                (not use_dynamic_key, record.handle),
            )
        record = replace(record, uses_static_key=not use_dynamic_key)
        new_anti_csrf_token = _new_anti_csrf_token(enable_anti_csrf)
        child = self._issue_refresh_token(
            RefreshToken(record.handle, record.user_id, presented_hash, new_anti_csrf_token)
        )
        return self._grant_pair(record, child, presented_hash, new_anti_csrf_token)

    def verify(
        self,
        raw_access_token: str,
        *,
        check_database: bool,
        enable_anti_csrf: bool = False,
        do_anti_csrf_check: bool = False,
        anti_csrf_token: str | None = None,
    ) -> Granted | Unauthorised | TryRefresh:
        """Verify an access token, and promote the refresh token that was issued with it.

        :param check_database: also notice a removed session or a changed payload.
        :param anti_csrf_token: the request's token, or ``None``.
        """
        try:
            token = verify_access_token(raw_access_token, self._keys.find, now_ms=self._now_ms())
        except InvalidAccessTokenError as error:
            return TryRefresh(str(error))
        if (
            enable_anti_csrf
            and do_anti_csrf_check
            and (anti_csrf_token is None or anti_csrf_token != token.anti_csrf_token)
        ):
            return TryRefresh("anti-csrf check failed")
        unchanged = Granted(token.session_handle, token.user_id, token.payload)
        if token.parent_refresh_token_hash is None and not check_database:
            return unchanged
        with self._store.transaction() as db:
            # The row may have expired: the access token is still valid.
            record = find_session(db, token.session_handle)
            if record is None:
                return _GONE
            payload_changed = record.payload != token.payload
            if token.parent_refresh_token_hash is None and not payload_changed:
                return unchanged
            is_current = hash_token(token.refresh_token_hash) == record.refresh_token_hash_2
            if _is_child_of_current(token.parent_refresh_token_hash, record):
                self._promote(db, record.handle, token.refresh_token_hash)
            elif not is_current and not payload_changed:
                # The token belongs to an abandoned branch. It stays valid until it expires.
                return unchanged
        renewed = self._issue_access_token(
            record, token.refresh_token_hash, None, token.anti_csrf_token
        )
        return Granted(record.handle, record.user_id, record.payload, access_token=renewed)

    def regenerate(
        self, raw_access_token: str, payload: Mapping[str, Any]
    ) -> Granted | Unauthorised:
        """Replace the session's payload, and the access token if it has not expired.

        The new token expires when the old one does. The signature is not checked: the caller has
        checked it, perhaps just before the key was retired.

        :raises InvalidAccessTokenError: the text is not an access token.
        """
        token = decode_unverified_access_token(raw_access_token)
        with self._store.transaction() as db:
            record = self._find_live(db, token.session_handle)
            if record is None:
                return _GONE
            self.replace_payload(record.handle, payload)
        record = replace(record, payload=dict(payload))
        if token.expires_at * 1000 <= self._now_ms():
            return Granted(record.handle, record.user_id, record.payload)
        renewed = self._issue_access_token(
            record,
            token.refresh_token_hash,
            token.parent_refresh_token_hash,
            token.anti_csrf_token,
            expires_at=token.expires_at,
        )
        return Granted(record.handle, record.user_id, record.payload, access_token=renewed)

    def find(self, handle: str) -> SessionRecord | None:
        """Return the session, or ``None`` if it is gone or has expired."""
        with self._store.transaction() as db:
            return self._find_live(db, handle)

    def list_live(self, user_id: str | None = None) -> list[SessionRecord]:
        """Return the sessions of one user, or of all users, oldest first, without expired ones."""
        with self._store.transaction() as db:
            rows = db.execute(
                "SELECT * FROM sessions WHERE (? IS NULL OR user_id = ?) AND expires_ms >= ?"
                " ORDER BY created_ms, handle",
                (user_id, user_id, self._now_ms()),
            ).fetchall()
        return [session_from_row(row) for row in rows]

    def remove(self, handles: list[str]) -> list[str]:
        """Delete these sessions and return the handles of those that existed."""
        with self._store.transaction() as db:
            return [
                handle
                for handle in handles
                if db.execute("DELETE FROM sessions WHERE handle = ?", (handle,)).rowcount
            ]

    def remove_all(self, user_id: str | None = None) -> list[str]:
        """Delete the sessions of one user, or of all users, and return their handles."""
        with self._store.transaction():
            return self.remove([record.handle for record in self.list_live(user_id)])

    def replace_payload(self, handle: str, payload: Mapping[str, Any]) -> bool:
        """Store a new payload; ``False`` if the session is gone or has expired."""
        return self._replace(
            "UPDATE sessions SET payload = ? WHERE handle = ? AND expires_ms >= ?", handle, payload
        )

    def replace_data(self, handle: str, data: Mapping[str, Any]) -> bool:
        """Store new data; ``False`` if the session is gone or has expired."""
        return self._replace(
            "UPDATE sessions SET data = ? WHERE handle = ? AND expires_ms >= ?", handle, data
        )

    def _replace(self, statement: str, handle: str, value: Mapping[str, Any]) -> bool:
        with self._store.transaction() as db:
            cursor = db.execute(statement, (json.dumps(value), handle, self._now_ms()))
            return cursor.rowcount > 0

    def _find_live(self, db: sqlite3.Connection, handle: str) -> SessionRecord | None:
        record = find_session(db, handle)
        return None if record is None or record.expires_ms < self._now_ms() else record

    def _promote(self, db: sqlite3.Connection, handle: str, refresh_token_hash: str) -> None:
        """Make this refresh token the current one; the only event that prolongs a session."""
        db.execute(
            "UPDATE sessions SET refresh_token_hash_2 = ?, expires_ms = ? WHERE handle = ?",
            (
                hash_token(refresh_token_hash),
                self._now_ms() + self._refresh_token_validity_ms,
                handle,
            ),
        )

    def _grant_pair(
        self,
        record: SessionRecord,
        refresh_token: IssuedToken,
        parent_hash: str | None,
        anti_csrf_token: str | None,
    ) -> Granted:
        access_token = self._issue_access_token(
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

    def _issue_access_token(
        self,
        record: SessionRecord,
        refresh_token_hash: str,
        parent_hash: str | None,
        anti_csrf_token: str | None,
        *,
        expires_at: int | None = None,
    ) -> IssuedToken:
        # Rounded down to whole seconds: verifiers refuse a token from the future.
        issued_at = self._now_ms() // 1000
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

    def _issue_refresh_token(self, content: RefreshToken) -> IssuedToken:
        now_ms = self._now_ms()
        return IssuedToken(
            self._box.seal(content), now_ms, now_ms + self._refresh_token_validity_ms
        )

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _is_child_of_current(parent_hash: str | None, record: SessionRecord) -> bool:
    return parent_hash is not None and hash_token(parent_hash) == record.refresh_token_hash_2


def _new_anti_csrf_token(enabled: bool) -> str | None:
    return str(uuid.uuid4()) if enabled else None
