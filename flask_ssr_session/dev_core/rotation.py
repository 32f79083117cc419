"""How refresh tokens replace each other, by the two versions of a core's rules.

Only two hashes are kept per session: of the *current* refresh token, and of the one before.
"""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Protocol

from .session_records import (
    Granted,
    SessionRecord,
    TheftDetected,
    Unauthorised,
    make_current,
    save_rotation,
)
from .token_issuer import TokenIssuer
from .tokens import AccessToken, RefreshToken, hash_token

# refresh_token_rotation_grace_period of a core.
GRACE_MS = 30_000

GONE = Unauthorised("the session does not exist or has expired")


class Rotation(Protocol):
    """The rules of one version. All methods run inside a transaction."""

    names_parent: bool
    """Whether an access token names the refresh token that was exchanged for it."""

    def accept(
        self, db: sqlite3.Connection, record: SessionRecord, presented: RefreshToken, raw_hash: str
    ) -> SessionRecord | TheftDetected:
        """Decide about a refresh token of a live session.

        :param raw_hash: the hash of the token itself.
        """

    def store_child(
        self, db: sqlite3.Connection, record: SessionRecord, raw_hash: str, child_hash: str
    ) -> None:
        """Note that the token with *raw_hash* was exchanged for *child_hash*."""

    def verify(
        self,
        db: sqlite3.Connection,
        record: SessionRecord | None,
        token: AccessToken,
        *,
        check_database: bool,
    ) -> Granted | Unauthorised:
        """Decide about an access token whose signature and expiry are good.

        :param record: the session, even if it has expired: the access token is still valid.
        """


class RotationAtFirstUse:
    """CDI 5.4: a child becomes current when it, or its access token, is used for the first time.

    Until then the parent may be used again, which covers a lost response. Afterwards its use is
    theft.
    """

    names_parent = True

    def __init__(self, issuer: TokenIssuer) -> None:
        self._issuer = issuer

    def accept(
        self, db: sqlite3.Connection, record: SessionRecord, presented: RefreshToken, raw_hash: str
    ) -> SessionRecord | TheftDetected:
        """Accept the current token and its children."""
        if record.is_current(raw_hash):
            return record
        if record.has_current_as_parent(presented.parent_hash):
            return self._promote(db, record, raw_hash)
        return TheftDetected(record.handle, record.user_id)

    def store_child(
        self, db: sqlite3.Connection, record: SessionRecord, raw_hash: str, child_hash: str
    ) -> None:
        """Do nothing: the child's first use tells that it has arrived."""

    def verify(
        self,
        db: sqlite3.Connection,
        record: SessionRecord | None,
        token: AccessToken,
        *,
        check_database: bool,
    ) -> Granted | Unauthorised:
        """Renew the token of a child and of a changed payload."""
        unchanged = Granted(token.session_handle, token.user_id, token.payload)
        if token.parent_refresh_token_hash is None and not check_database:
            return unchanged
        if record is None:
            return GONE
        payload_changed = record.payload != token.payload
        if token.parent_refresh_token_hash is None and not payload_changed:
            return unchanged
        if record.has_current_as_parent(token.parent_refresh_token_hash):
            record = self._promote(db, record, token.refresh_token_hash)
        elif not record.is_current(token.refresh_token_hash) and not payload_changed:
            # The token belongs to an abandoned branch. It stays valid until it expires.
            return unchanged
        renewed = self._issuer.access_token(
            record, token.refresh_token_hash, None, token.anti_csrf_token
        )
        return Granted(record.handle, record.user_id, record.payload, access_token=renewed)

    def _promote(
        self, db: sqlite3.Connection, record: SessionRecord, refresh_token_hash: str
    ) -> SessionRecord:
        return make_current(
            db,
            record,
            refresh_token_hash,
            now_ms=self._issuer.now_ms(),
            expires_ms=self._issuer.expires_ms(),
        )


class RotationInRefresh:
    """CDI 5.6: the child is current at once; the token before it works for 30 seconds more.

    A token that comes later removes the session.
    """

    names_parent = False

    def __init__(self, issuer: TokenIssuer) -> None:
        self._issuer = issuer

    def accept(
        self, db: sqlite3.Connection, record: SessionRecord, presented: RefreshToken, raw_hash: str
    ) -> SessionRecord | TheftDetected:
        """Accept the current token, and for a while the one before it."""
        now_ms = self._issuer.now_ms()
        if record.is_current(raw_hash):
            return record
        if record.has_current_as_parent(presented.parent_hash):
            # From before the core spoke this version: its first use makes it current.
            return make_current(
                db, record, raw_hash, now_ms=now_ms, expires_ms=self._issuer.expires_ms()
            )
        if record.is_previous(raw_hash):
            if record.rotated_ms is not None and now_ms - record.rotated_ms <= GRACE_MS:
                return record
            subtype = "RECENT_PREV"
        elif presented.parent_hash is not None and record.is_previous(presented.parent_hash):
            subtype = "ORPHANED_BRANCH"
        else:
            subtype = "STALE_LINEAGE"
        db.execute("DELETE FROM sessions WHERE handle = ?", (record.handle,))
        return TheftDetected(record.handle, record.user_id, subtype)

    def store_child(
        self, db: sqlite3.Connection, record: SessionRecord, raw_hash: str, child_hash: str
    ) -> None:
        """Make the child current."""
        if record.is_current(raw_hash):
            make_current(
                db,
                record,
                child_hash,
                now_ms=self._issuer.now_ms(),
                expires_ms=self._issuer.expires_ms(),
            )
            return
        # A second exchange of the token before: it replaces the first child, and the time in which
        # it works is not prolonged.
        save_rotation(
            db,
            replace(
                record,
                refresh_token_hash_2=hash_token(child_hash),
                expires_ms=self._issuer.expires_ms(),
            ),
        )

    def verify(
        self,
        db: sqlite3.Connection,  # noqa: ARG002
        record: SessionRecord | None,
        token: AccessToken,
        *,
        check_database: bool,
    ) -> Granted | Unauthorised:
        """Change nothing; only say whether the payload has changed."""
        unchanged = Granted(token.session_handle, token.user_id, token.payload)
        if not check_database:
            return unchanged
        if record is None:
            return GONE
        of_this_session = (
            record.is_current(token.refresh_token_hash)
            or record.is_previous(token.refresh_token_hash)
            or record.has_current_as_parent(token.parent_refresh_token_hash)
        )
        if not of_this_session:
            return GONE
        return replace(unchanged, payload_update_available=record.payload != token.payload)
