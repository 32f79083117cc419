"""Sessions: creation, refresh, verification, changes, removal."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from .keys import SigningKeys, load_refresh_token_key
from .rotation import GONE, Rotation, RotationAtFirstUse, RotationInRefresh
from .session_records import (
    Granted,
    SessionRecord,
    TheftDetected,
    TryRefresh,
    Unauthorised,
    find_live,
    find_session,
    insert_session,
    session_from_row,
)
from .store import Store
from .token_issuer import TokenIssuer, new_anti_csrf_token
from .tokens import (
    InvalidAccessTokenError,
    RefreshToken,
    RefreshTokenBox,
    decode_unverified_access_token,
    hash_token,
    verify_access_token,
)

# A core's job that removes expired sessions runs this often.
_EXPIRED_ROWS_KEPT_MS = 12 * 3600 * 1000


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
        cdi: str = "5.4",
    ) -> None:
        """Keep sessions in *store*.

        :param clock: returns seconds since the epoch.
        :param cdi: the version whose rules for rotation apply, 5.4 or 5.6.
        """
        self._store = store
        self._keys = keys
        self._box = RefreshTokenBox(load_refresh_token_key(store))
        self._issuer = TokenIssuer(
            keys,
            self._box,
            access_token_validity_seconds=access_token_validity_seconds,
            refresh_token_validity_minutes=refresh_token_validity_minutes,
            clock=clock,
        )
        rules = RotationInRefresh if cdi == "5.6" else RotationAtFirstUse
        self._rotation: Rotation = rules(self._issuer)

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
        anti_csrf_token = new_anti_csrf_token(enable_anti_csrf)
        refresh_token = self._issuer.refresh_token(
            RefreshToken(handle, user_id, parent_hash=None, anti_csrf_token=anti_csrf_token)
        )
        record = SessionRecord(
            handle=handle,
            user_id=user_id,
            created_ms=refresh_token.created_ms,
            expires_ms=refresh_token.expires_ms,
            uses_static_key=not use_dynamic_key,
            refresh_token_hash_2=hash_token(hash_token(refresh_token.token)),
            payload=dict(payload),
            data=dict(data),
        )
        with self._store.transaction() as db:
            db.execute(
                "DELETE FROM sessions WHERE expires_ms < ?",
                (record.created_ms - _EXPIRED_ROWS_KEPT_MS,),
            )
            insert_session(db, record)
        return self._issuer.pair(record, refresh_token, None, anti_csrf_token)

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
        raw_hash = hash_token(raw_refresh_token)
        with self._store.transaction() as db:
            found = find_live(db, presented.session_handle, self._issuer.now_ms())
            if found is None:
                return GONE
            accepted = self._rotation.accept(db, found, presented, raw_hash)
            if isinstance(accepted, TheftDetected):
                return accepted
            record = replace(accepted, uses_static_key=not use_dynamic_key)
            db.execute(
                "UPDATE sessions SET uses_static_key = ? WHERE handle = ?",
                (record.uses_static_key, record.handle),
            )
            new_token = new_anti_csrf_token(enable_anti_csrf)
            child = self._issuer.refresh_token(
                RefreshToken(record.handle, record.user_id, raw_hash, new_token)
            )
            self._rotation.store_child(db, record, raw_hash, hash_token(child.token))
        parent_hash = raw_hash if self._rotation.names_parent else None
        return self._issuer.pair(record, child, parent_hash, new_token)

    def verify(
        self,
        raw_access_token: str,
        *,
        check_database: bool,
        enable_anti_csrf: bool = False,
        do_anti_csrf_check: bool = False,
        anti_csrf_token: str | None = None,
    ) -> Granted | Unauthorised | TryRefresh:
        """Verify an access token.

        :param check_database: also notice a removed session or a changed payload.
        :param anti_csrf_token: the request's token, or ``None``.
        """
        try:
            token = verify_access_token(
                raw_access_token, self._keys.find, now_ms=self._issuer.now_ms()
            )
        except InvalidAccessTokenError as error:
            return TryRefresh(str(error))
        if (
            enable_anti_csrf
            and do_anti_csrf_check
            and (anti_csrf_token is None or anti_csrf_token != token.anti_csrf_token)
        ):
            return TryRefresh("anti-csrf check failed")
        with self._store.transaction() as db:
            record = find_session(db, token.session_handle)
            return self._rotation.verify(db, record, token, check_database=check_database)

    def regenerate(
        self, raw_access_token: str, payload: Mapping[str, Any] | None
    ) -> Granted | Unauthorised:
        """Replace the session's payload, and the access token if it has not expired.

        The new token expires when the old one does. The signature is not checked: the caller has
        checked it, perhaps just before the key was retired.

        :param payload: ``None`` keeps the payload.
        :raises InvalidAccessTokenError: the text is not an access token.
        """
        token = decode_unverified_access_token(raw_access_token)
        with self._store.transaction() as db:
            record = find_live(db, token.session_handle, self._issuer.now_ms())
            if record is None:
                return GONE
            if payload is not None:
                self.replace_payload(record.handle, payload)
                record = replace(record, payload=dict(payload))
        if token.expires_at * 1000 <= self._issuer.now_ms():
            return Granted(record.handle, record.user_id, record.payload)
        renewed = self._issuer.access_token(
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
            return find_live(db, handle, self._issuer.now_ms())

    def list_live(self, user_id: str | None = None) -> list[SessionRecord]:
        """Return the sessions of one user, or of all users, oldest first, without expired ones."""
        with self._store.transaction() as db:
            rows = db.execute(
                "SELECT * FROM sessions WHERE (? IS NULL OR user_id = ?) AND expires_ms >= ?"
                " ORDER BY created_ms, handle",
                (user_id, user_id, self._issuer.now_ms()),
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
            cursor = db.execute(statement, (json.dumps(value), handle, self._issuer.now_ms()))
            return cursor.rowcount > 0
