"""The endpoints of the TOTP and UserMetadata recipes, which MultiFactorAuth works with.

A real core asks for a licence; this one does not.
"""

from __future__ import annotations

import json

from .endpoint import JSON, EndpointTable, ok
from .fields import Fields
from .store import Store
from .totp import MAX_ATTEMPTS, Devices, LimitReached, Outcome, WrongCode

_MAX_PERIOD_SECONDS = 300
_MAX_SKEW = 10


class FactorEndpoints:
    """Add, list, rename, remove and verify authenticator apps; keep users' metadata."""

    def __init__(self, devices: Devices, store: Store) -> None:
        self._devices = devices
        self._store = store
        self.table: EndpointTable = {
            "/recipe/totp/device": {"POST": self._create_device, "PUT": self._rename_device},
            "/recipe/totp/device/list": {"GET": self._list_devices},
            "/recipe/totp/device/remove": {"POST": self._remove_device},
            "/recipe/totp/device/verify": {"POST": self._verify_device},
            "/recipe/totp/verify": {"POST": self._verify},
            "/recipe/user/metadata": {"GET": self._metadata, "PUT": self._update_metadata},
            "/recipe/user/metadata/remove": {"POST": self._remove_metadata},
        }

    def _create_device(self, fields: Fields) -> JSON:
        name = fields.optional_text("deviceName")
        device = self._devices.create(
            fields.text("userId"),
            None if name is None else fields.text("deviceName"),
            period=fields.whole_number("period", at_least=1, at_most=_MAX_PERIOD_SECONDS),
            skew=fields.whole_number("skew", at_least=0, at_most=_MAX_SKEW),
        )
        if device is None:
            return {"status": "DEVICE_ALREADY_EXISTS_ERROR"}
        return ok(deviceName=device.name, secret=device.secret)

    def _rename_device(self, fields: Fields) -> JSON:
        names = fields.text("existingDeviceName"), fields.text("newDeviceName")
        return {"status": self._devices.rename(fields.text("userId"), *names)}

    def _list_devices(self, fields: Fields) -> JSON:
        devices = [
            {
                "name": device.name,
                "period": device.period,
                "skew": device.skew,
                "verified": device.is_verified,
            }
            for device in self._devices.list_all(fields.text("userId"))
        ]
        return ok(devices=devices)

    def _remove_device(self, fields: Fields) -> JSON:
        existed = self._devices.remove(fields.text("userId"), fields.text("deviceName"))
        return ok(didDeviceExist=existed)

    def _verify_device(self, fields: Fields) -> JSON:
        outcome = self._devices.verify_device(
            fields.text("userId"), fields.text("deviceName"), fields.text("totp")
        )
        if outcome is None:
            return {"status": "UNKNOWN_DEVICE_ERROR"}
        refusal = _refusal(outcome)
        return refusal or ok(wasAlreadyVerified=getattr(outcome, "is_verified", False))

    def _verify(self, fields: Fields) -> JSON:
        outcome = self._devices.verify(fields.text("userId"), fields.text("totp"))
        if outcome is None:
            return {"status": "UNKNOWN_USER_ID_ERROR"}
        return _refusal(outcome) or ok()

    def _metadata(self, fields: Fields) -> JSON:
        return ok(metadata=self._load(fields.text("userId")))

    def _update_metadata(self, fields: Fields) -> JSON:
        user_id, update = fields.text("userId"), fields.object("metadataUpdate")
        with self._store.transaction() as db:
            merged = self._load(user_id) | update
            metadata = {name: value for name, value in merged.items() if value is not None}
            db.execute(
                "INSERT OR REPLACE INTO user_metadata VALUES (?, ?)",
                (user_id, json.dumps(metadata)),
            )
        return ok(metadata=metadata)

    def _remove_metadata(self, fields: Fields) -> JSON:
        with self._store.transaction() as db:
            db.execute("DELETE FROM user_metadata WHERE user_id = ?", (fields.text("userId"),))
        return ok()

    def _load(self, user_id: str) -> JSON:
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT metadata FROM user_metadata WHERE user_id = ?", (user_id,)
            ).fetchone()
        metadata: JSON = {} if row is None else json.loads(row["metadata"])
        return metadata


def _refusal(outcome: Outcome) -> JSON | None:
    """Return the JSON of a code that was refused, or ``None``."""
    if isinstance(outcome, WrongCode):
        return {
            "status": "INVALID_TOTP_ERROR",
            "currentNumberOfFailedAttempts": outcome.failed_attempts,
            "maxNumberOfFailedAttempts": MAX_ATTEMPTS,
        }
    if isinstance(outcome, LimitReached):
        return {
            "status": "LIMIT_REACHED_ERROR",
            "retryAfterMs": outcome.retry_after_ms,
            "currentNumberOfFailedAttempts": MAX_ATTEMPTS,
            "maxNumberOfFailedAttempts": MAX_ATTEMPTS,
        }
    return None
