"""Second factors by one-time codes of an authenticator app (TOTP, RFC 6238), by pyotp."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import pyotp

from .store import Store

# A core's defaults: totp_max_attempts, totp_rate_limit_cooldown_sec.
MAX_ATTEMPTS = 5
COOLDOWN_MS = 900_000


@dataclass(frozen=True)
class Device:
    """One authenticator app of a user.

    :ivar period: seconds for which a code is shown.
    :ivar skew: how many periods a code may be early or late.
    """

    name: str
    secret: str = field(repr=False)
    period: int
    skew: int
    is_verified: bool


@dataclass(frozen=True)
class WrongCode:
    """The code fits no device, or was used before."""

    failed_attempts: int


@dataclass(frozen=True)
class LimitReached:
    """Too many wrong codes in a row."""

    retry_after_ms: int


Outcome = Device | WrongCode | LimitReached


class Devices:
    """The authenticator apps of all users."""

    def __init__(self, store: Store, *, clock: Callable[[], float]) -> None:
        """:param clock: returns seconds since the epoch."""
        self._store = store
        self._clock = clock

    def create(self, user_id: str, name: str | None, *, period: int, skew: int) -> Device | None:
        """Add a device that is not verified yet; ``None`` if a verified one has the name.

        :param name: ``None`` for the next free one.
        """
        with self._store.transaction() as db:
            taken = {device.name: device for device in self.list_all(user_id)}
            number = 1
            while name is None:
                free = f"TOTP Device {number}"
                name = free if free not in taken else None
                number += 1
            if name in taken and taken[name].is_verified:
                return None
            device = Device(name, pyotp.random_base32(), period, skew, is_verified=False)
            db.execute(
                "INSERT OR REPLACE INTO totp_devices VALUES (?, ?, ?, ?, ?, ?)",
                (user_id, name, device.secret, period, skew, False),
            )
            return device

    def list_all(self, user_id: str) -> list[Device]:
        """Return the devices of a user, verified or not."""
        with self._store.transaction() as db:
            rows = db.execute(
                "SELECT * FROM totp_devices WHERE user_id = ? ORDER BY name", (user_id,)
            ).fetchall()
        return [
            Device(row["name"], row["secret"], row["period"], row["skew"], bool(row["is_verified"]))
            for row in rows
        ]

    def rename(
        self, user_id: str, name: str, new_name: str
    ) -> Literal["OK", "UNKNOWN_DEVICE_ERROR", "DEVICE_ALREADY_EXISTS_ERROR"]:
        """Give a device another name, and return the outcome as the core names it."""
        with self._store.transaction() as db:
            names = {device.name for device in self.list_all(user_id)}
            if name not in names:
                return "UNKNOWN_DEVICE_ERROR"
            if new_name in names - {name}:
                return "DEVICE_ALREADY_EXISTS_ERROR"
            db.execute(
                "UPDATE totp_devices SET name = ? WHERE user_id = ? AND name = ?",
                (new_name, user_id, name),
            )
            return "OK"

    def remove(self, user_id: str, name: str) -> bool:
        """Remove a device; ``False`` if there is none of that name."""
        with self._store.transaction() as db:
            cursor = db.execute(
                "DELETE FROM totp_devices WHERE user_id = ? AND name = ?", (user_id, name)
            )
            return cursor.rowcount > 0

    def verify_device(self, user_id: str, name: str, code: str) -> Outcome | None:
        """Check a code of one device, which counts as verified from then on.

        The returned device is as it was before; ``None`` if there is none of that name.
        """
        device = next((each for each in self.list_all(user_id) if each.name == name), None)
        if device is None or device.is_verified:
            return device
        with self._store.transaction() as db:
            outcome = self._check(db, user_id, [device], code)
            if isinstance(outcome, Device):
                db.execute(
                    "UPDATE totp_devices SET is_verified = 1 WHERE user_id = ? AND name = ?",
                    (user_id, name),
                )
        return outcome

    def verify(self, user_id: str, code: str) -> Outcome | None:
        """Check a code of any verified device; ``None`` if the user has none."""
        devices = [device for device in self.list_all(user_id) if device.is_verified]
        if not devices:
            return None
        with self._store.transaction() as db:
            return self._check(db, user_id, devices, code)

    def _check(
        self, db: sqlite3.Connection, user_id: str, devices: list[Device], code: str
    ) -> Outcome:
        now = self._clock()
        now_ms = int(now * 1000)
        db.execute("DELETE FROM totp_attempts WHERE expires_ms <= ?", (now_ms,))
        attempts = db.execute(
            "SELECT * FROM totp_attempts WHERE user_id = ? ORDER BY rowid DESC", (user_id,)
        ).fetchall()
        failures = next(
            (count for count, row in enumerate(attempts) if row["is_valid"]), len(attempts)
        )
        if failures >= MAX_ATTEMPTS:
            return LimitReached(attempts[0]["expires_ms"] - now_ms)
        is_used = any(row["is_valid"] and row["code"] == code for row in attempts)
        device = None if is_used else next((d for d in devices if _fits(d, code, now)), None)
        # A good code is remembered until no device shows it any more, so that it works once.
        kept_ms = COOLDOWN_MS
        if device is not None:
            kept_ms = device.period * (2 * device.skew + 1) * 1000
        db.execute(
            "INSERT INTO totp_attempts VALUES (?, ?, ?, ?)",
            (user_id, code, device is not None, now_ms + kept_ms),
        )
        return WrongCode(failures + 1) if device is None else device


def _fits(device: Device, code: str, now: float) -> bool:
    return pyotp.TOTP(device.secret, interval=device.period).verify(
        code, for_time=int(now), valid_window=device.skew
    )
