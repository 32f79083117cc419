"""TOTP devices, their codes, and users' metadata."""

from __future__ import annotations

from typing import Any

import pyotp
import pytest
from flask import Flask
from supertokens_python.framework.flask import Middleware
from supertokens_python.recipe import emailpassword, multifactorauth, session, totp
from supertokens_python.recipe.multifactorauth.syncio import (
    add_to_required_secondary_factors_for_user,
)

from flask_ssr_session.dev_core import DevelopmentCore
from flask_ssr_session.dev_core.totp import COOLDOWN_MS, MAX_ATTEMPTS

from ..clocks import SteppedClock
from ..tables import rows
from .sdk import init_sdk, sign_up
from .support import LaggingClock, send

PERIOD = 30


class User:
    def __init__(self, uri: str, clock: SteppedClock) -> None:
        self._uri = uri
        self._clock = clock

    def call(self, method: str, path: str, **fields: Any) -> Any:
        body = {"userId": "user-1", **fields}
        if method == "GET":
            return send(self._uri, "GET", f"/recipe/{path}?userId=user-1").json
        answer = send(self._uri, method, f"/recipe/{path}", body=body)
        return answer.json if answer.status == 200 else answer.status

    def create(self, name: str | None = None, skew: int = 1) -> Any:
        fields = {} if name is None else {"deviceName": name}
        return self.call("POST", "totp/device", skew=skew, period=PERIOD, **fields)

    def code(self, device: Any, periods_late: int = 0) -> str:
        at = int(self._clock.wall_now) - periods_late * PERIOD
        return pyotp.TOTP(device["secret"], interval=PERIOD).at(at)

    def verify_device(self, device: Any, code: str) -> Any:
        return self.call("POST", "totp/device/verify", deviceName=device["deviceName"], totp=code)

    def verify(self, code: str) -> Any:
        return self.call("POST", "totp/verify", totp=code)


@pytest.fixture
def user(core: DevelopmentCore, clock: SteppedClock) -> User:
    return User(core.uri, clock)


def test_device_is_made_verified_used_renamed_and_removed(user: User, clock: SteppedClock) -> None:
    assert user.verify("123456") == {"status": "UNKNOWN_USER_ID_ERROR"}
    device = user.create()
    assert (device["status"], device["deviceName"]) == ("OK", "TOTP Device 1")
    assert user.create()["deviceName"] == "TOTP Device 2"
    assert user.verify(user.code(device)) == {"status": "UNKNOWN_USER_ID_ERROR"}
    first, again = (user.verify_device(device, code) for code in (user.code(device), "any"))
    assert first == {"status": "OK", "wasAlreadyVerified": False}
    assert again == {"status": "OK", "wasAlreadyVerified": True}
    clock.advance(PERIOD)
    assert user.verify(user.code(device)) == {"status": "OK"}
    listed = user.call("GET", "totp/device/list")["devices"]
    assert listed[0] == {"name": "TOTP Device 1", "period": PERIOD, "skew": 1, "verified": True}
    removed = [
        user.call("POST", "totp/device/remove", deviceName="TOTP Device 1")["didDeviceExist"]
        for _ in range(2)
    ]
    assert removed == [True, False]


CODES: dict[str, Any] = {
    "of now": (lambda user, device: user.code(device), True),
    "of the period before": (lambda user, device: user.code(device, 1), True),
    "of the period after": (lambda user, device: user.code(device, -1), True),
    "older": (lambda user, device: user.code(device, 2), False),
    "of another device": (lambda user, _: user.code(user.create()), False),
    "no code": (lambda *_: "x", False),
}


@rows("code, is_good", CODES)
def test_code_fits_in_the_skew(user: User, code: Any, is_good: bool) -> None:
    device = user.create()
    answer = user.verify_device(device, code(user, device))

    assert answer["status"] == ("OK" if is_good else "INVALID_TOTP_ERROR")


def test_code_works_once(user: User, clock: SteppedClock) -> None:
    device = user.create()
    user.verify_device(device, user.code(device))
    counts = {"currentNumberOfFailedAttempts": 1, "maxNumberOfFailedAttempts": MAX_ATTEMPTS}
    assert user.verify(user.code(device)) == {"status": "INVALID_TOTP_ERROR", **counts}
    clock.advance(PERIOD)
    assert user.verify(user.code(device))["status"] == "OK"


def test_wrong_codes_in_a_row_are_limited(user: User, clock: SteppedClock) -> None:
    device = user.create()
    for number in range(1, MAX_ATTEMPTS + 1):
        assert user.verify_device(device, "x")["currentNumberOfFailedAttempts"] == number
    refused = user.verify_device(device, user.code(device))
    assert (refused["status"], refused["retryAfterMs"]) == ("LIMIT_REACHED_ERROR", COOLDOWN_MS)
    clock.advance(COOLDOWN_MS / 1000)
    assert user.verify_device(device, user.code(device))["status"] == "OK"


def test_good_code_ends_the_count_of_wrong_ones(user: User) -> None:
    device = user.create()
    for _ in range(MAX_ATTEMPTS - 1):
        user.verify_device(device, "x")
    user.verify_device(device, user.code(device))
    assert user.verify("x")["currentNumberOfFailedAttempts"] == 1


NAMES: dict[str, Any] = {
    "free": ("one", "three", "OK"),
    "its own": ("one", "one", "OK"),
    "taken": ("one", "two", "DEVICE_ALREADY_EXISTS_ERROR"),
    "of no device": ("none", "three", "UNKNOWN_DEVICE_ERROR"),
}


@rows("name, new_name, status", NAMES)
def test_device_is_renamed(user: User, name: str, new_name: str, status: str) -> None:
    user.create("one")
    user.create("two")
    names = {"existingDeviceName": name, "newDeviceName": new_name}

    assert user.call("PUT", "totp/device", **names) == {"status": status}


def test_name_of_a_verified_device_is_taken(user: User) -> None:
    first = user.create("mine")
    second = user.create("mine")
    assert first["secret"] != second["secret"]
    user.verify_device(second, user.code(second))
    assert user.create("mine") == {"status": "DEVICE_ALREADY_EXISTS_ERROR"}
    assert user.verify_device({"deviceName": "none"}, "x") == {"status": "UNKNOWN_DEVICE_ERROR"}


def test_metadata_are_merged_and_removed(user: User) -> None:
    def update(**metadata: Any) -> Any:
        return user.call("PUT", "user/metadata", metadataUpdate=metadata)["metadata"]

    assert user.call("GET", "user/metadata")["metadata"] == {}
    assert update(a=1, b={"c": 2}) == {"a": 1, "b": {"c": 2}}
    assert update(b={"d": 3}, a=None) == {"b": {"d": 3}}
    assert user.call("GET", "user/metadata")["metadata"] == {"b": {"d": 3}}
    user.call("POST", "user/metadata/remove")
    assert user.call("GET", "user/metadata")["metadata"] == {}


def test_second_factor_completes_sign_in_with_the_sdk(
    live_core: DevelopmentCore,
    lagging_clock: LaggingClock,
    sdk_environment: None,  # noqa: ARG001
) -> None:
    transfer = session.init(get_token_transfer_method=lambda *_: "cookie", anti_csrf="NONE")
    factors = multifactorauth.init(first_factors=["emailpassword"])
    init_sdk(live_core.uri, [emailpassword.init(), transfer, totp.init(), factors])
    app = Flask(__name__)
    Middleware(app)
    client = app.test_client()
    add_to_required_secondary_factors_for_user(sign_up(client), "totp")

    def next_factors() -> Any:
        info: Any = client.put("/auth/mfa/info").json
        return info["factors"]["next"]

    assert next_factors() == ["totp"]
    device: Any = client.post("/auth/totp/device", json={}).json
    code = pyotp.TOTP(device["secret"]).at(int(lagging_clock()))
    body = {"deviceName": device["deviceName"], "totp": code}
    verified = client.post("/auth/totp/device/verify", json=body).json
    assert verified == {"status": "OK", "wasAlreadyVerified": False}
    assert next_factors() == []
