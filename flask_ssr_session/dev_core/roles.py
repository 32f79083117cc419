"""Roles, their permissions and their users.

A method that may return ``None`` returns it for an unknown role.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from .store import Store


class Roles:
    """All roles of one core. Users are ids; they need not exist."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(self, role: str, permissions: Sequence[str]) -> bool:
        """Create the role, or add permissions to it; return whether it is new."""
        with self._store.transaction() as db:
            created = db.execute("INSERT OR IGNORE INTO roles VALUES (?)", (role,)).rowcount > 0
            db.executemany(
                "INSERT OR IGNORE INTO role_permissions VALUES (?, ?)",
                [(role, permission) for permission in permissions],
            )
            return created

    def remove(self, role: str) -> bool:
        """Delete the role; return whether it existed."""
        with self._store.transaction() as db:
            return db.execute("DELETE FROM roles WHERE role = ?", (role,)).rowcount > 0

    def list_all(self) -> list[str]:
        """Return every role."""
        return self._column("SELECT role FROM roles ORDER BY role")

    def permissions_of(self, role: str) -> list[str] | None:
        """Return the permissions of the role."""
        with self._store.transaction() as db:
            if not _exists(db, role):
                return None
            return self._column(
                "SELECT permission FROM role_permissions WHERE role = ? ORDER BY permission", role
            )

    def remove_permissions(self, role: str, permissions: Sequence[str]) -> bool:
        """Remove permissions from the role; return whether the role exists."""
        with self._store.transaction() as db:
            db.executemany(
                "DELETE FROM role_permissions WHERE role = ? AND permission = ?",
                [(role, permission) for permission in permissions],
            )
            return _exists(db, role)

    def roles_with_permission(self, permission: str) -> list[str]:
        """Return the roles with this permission."""
        return self._column(
            "SELECT role FROM role_permissions WHERE permission = ? ORDER BY role", permission
        )

    def give(self, user_id: str, role: str) -> bool | None:
        """Give the user the role; return whether it is new to the user."""
        with self._store.transaction() as db:
            if not _exists(db, role):
                return None
            cursor = db.execute("INSERT OR IGNORE INTO user_roles VALUES (?, ?)", (user_id, role))
            return cursor.rowcount > 0

    def take(self, user_id: str, role: str) -> bool | None:
        """Take the role from the user; return whether the user had it."""
        with self._store.transaction() as db:
            if not _exists(db, role):
                return None
            cursor = db.execute(
                "DELETE FROM user_roles WHERE user_id = ? AND role = ?", (user_id, role)
            )
            return cursor.rowcount > 0

    def roles_of(self, user_id: str) -> list[str]:
        """Return the user's roles."""
        return self._column("SELECT role FROM user_roles WHERE user_id = ? ORDER BY role", user_id)

    def users_with(self, role: str) -> list[str] | None:
        """Return the ids of the users who have the role."""
        with self._store.transaction() as db:
            if not _exists(db, role):
                return None
            return self._column(
                "SELECT user_id FROM user_roles WHERE role = ? ORDER BY user_id", role
            )

    def _column(self, statement: str, *parameters: str) -> list[str]:
        with self._store.transaction() as db:
            return [value for (value,) in db.execute(statement, parameters)]


def _exists(db: sqlite3.Connection, role: str) -> bool:
    row = db.execute("SELECT 1 FROM roles WHERE role = ?", (role,)).fetchone()
    return row is not None
