"""The controls over HTTP, who may use them, and the request log."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from flask_ssr_session.dev_core import DevelopmentCore, RequestLogEntry

from ..clocks import SteppedClock
from ..tables import rows
from .support import CONTROL, send
from .test_contract import NEW_SESSION, SPEND

KEY_SET = "/.well-known/jwks.json"


def control(core: DevelopmentCore, method: str, path: str, body: Any = None) -> Any:
    answer = send(core.uri, method, f"/development/{path}", body=body, headers=CONTROL)
    assert answer.status == 200, answer.text
    return answer.json


def create_session(core: DevelopmentCore, user_id: str = "user-1") -> Any:
    body = {**NEW_SESSION, "userId": user_id}
    return send(core.uri, "POST", "/public/recipe/session", body=body).json


CONTROL_HEADERS: dict[str, Any] = {
    "the header": (CONTROL, 200),
    "the header in other case": ({"X-Development-Core": "1"}, 200),
    "the name localhost": ({**CONTROL, "Host": "localhost:3567"}, 200),
    "no header": ({}, 403),
    "another value": ({"x-development-core": "0"}, 403),
    "a name that was rebound": ({**CONTROL, "Host": "attacker.example"}, 403),
    "a longer name": ({**CONTROL, "Host": "localhost.attacker.example"}, 403),
}


@rows("headers, status", CONTROL_HEADERS)
@pytest.mark.parametrize(("method", "path"), [("GET", "state"), ("POST", "key-server/stop")])
def test_controls_demand_their_header_and_a_loopback_name(
    core: DevelopmentCore, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = send(core.uri, method, f"/development/{path}", headers=headers)

    assert answer.status == status
    is_changed = method == "POST" and status == 200
    assert core.state()["keyServer"] == ("unavailable" if is_changed else "serving")


HOSTS: dict[str, Any] = {
    "localhost": ("localhost:3567", 200),
    "the address": ("127.0.0.1", 200),
    "another name": ("attacker.example", 403),
    "no name": ("", 403),
}


@rows("host, status", HOSTS)
def test_nothing_is_told_under_a_name_that_is_not_this_machines(
    core: DevelopmentCore, host: str, status: int
) -> None:
    answer = send(core.uri, "GET", KEY_SET, headers={"Host": host})

    assert (answer.status, "keys" in answer.text) == (status, status == 200)


CONTROLS: dict[str, Any] = {
    path: (method, path)
    for method, paths in {
        "GET": "state requests sessions",
        "POST": "requests/clear sessions/revoke signing-key/rotate key-server/stop"
        " key-server/start refresh-endpoint/stop refresh-endpoint/start",
    }.items()
    for path in paths.split()
}


@rows("method, path", CONTROLS)
def test_changes_are_post_and_reading_is_get(core: DevelopmentCore, method: str, path: str) -> None:
    other = "GET" if method == "POST" else "POST"
    url = f"/development/{path}"

    assert send(core.uri, other, url, headers=CONTROL).status == 405
    assert send(core.uri, method, url, headers=CONTROL).status == 200


WRONG: dict[str, Any] = {
    "unknown control": ("unknown", b"", 404),
    "no JSON": ("signing-key/rotate", b"{", 400),
    "wrong type": ("signing-key/rotate", b'{"scheduled":"yes"}', 400),
    "no key left to sign": ("signing-key/rotate", b'{"scheduled":true,"dropOld":true}', 400),
}


@rows("path, raw_body, status", WRONG)
def test_wrong_control_changes_nothing(
    core: DevelopmentCore, path: str, raw_body: bytes, status: int
) -> None:
    before = core.state()
    url = f"/development/{path}"

    assert send(core.uri, "POST", url, body=raw_body, headers=CONTROL).status == status
    assert core.state() == before


def test_rotation_over_http_is_the_one_in_the_process(core: DevelopmentCore) -> None:
    def published() -> list[str]:
        return [key["kid"] for key in send(core.uri, "GET", KEY_SET).json["keys"]]

    (old, static) = published()
    scheduled = control(core, "POST", "signing-key/rotate", {"scheduled": True})["kid"]
    newest = control(core, "GET", "state")["signingKeys"][0]
    assert (newest["kid"], newest["signsFrom"] - newest["created"]) == (scheduled, 60_000)
    unscheduled = core.rotate_signing_key()
    assert published() == [unscheduled, scheduled, old, static]
    last = control(core, "POST", "signing-key/rotate", {"dropOld": True})["kid"]
    assert published() == [last, static]


def test_stopped_key_server_answers_503_until_it_is_started(core: DevelopmentCore) -> None:
    core.stop_key_server()
    for path, status in {KEY_SET: 503, "/recipe/jwt/jwks": 503, "/hello": 200}.items():
        assert send(core.uri, "GET", path).status == status, path
    core.start_key_server()
    assert send(core.uri, "GET", KEY_SET).status == 200


def test_refusing_key_server_closes_the_connection_without_an_answer(core: DevelopmentCore) -> None:
    control(core, "POST", "key-server/stop", {"refuse": True})
    with pytest.raises(http.client.RemoteDisconnected):
        send(core.uri, "GET", KEY_SET)
    assert core.request_log()[-1].status is None
    assert control(core, "GET", "requests")["requests"][-1]["status"] is None
    control(core, "POST", "key-server/start")
    assert send(core.uri, "GET", KEY_SET).status == 200


def test_stopped_refresh_endpoint_answers_500_and_spends_nothing(core: DevelopmentCore) -> None:
    body = SPEND | {"refreshToken": create_session(core)["refreshToken"]["token"]}
    control(core, "POST", "refresh-endpoint/stop")
    assert control(core, "GET", "state")["refreshEndpoint"] == "failing"
    assert send(core.uri, "POST", "/recipe/session/refresh", body=body).status == 500
    core.start_refresh_endpoint()
    assert send(core.uri, "POST", "/recipe/session/refresh", body=body).json["status"] == "OK"


def test_log_has_method_path_time_and_status(core: DevelopmentCore, clock: SteppedClock) -> None:
    create_session(core)
    clock.advance(1)
    send(core.uri, "GET", "/public/users/by-accountinfo?doUnionOfAccountInfo=true&email=a%40b.co")
    send(core.uri, "DELETE", "/unknown")
    control(core, "GET", "state")

    assert core.request_log() == [
        RequestLogEntry("POST", "/recipe/session", clock.wall_now - 1, 200),
        RequestLogEntry("GET", "/users/by-accountinfo", clock.wall_now, 200),
        RequestLogEntry("DELETE", "/unknown", clock.wall_now, 404),
    ]
    control(core, "POST", "requests/clear")
    assert core.request_log() == []


def test_log_keeps_the_last_thousand_requests(core: DevelopmentCore) -> None:
    for number in range(1001):
        core.log_request("GET", f"/{number}", 200)
    paths = [entry.path for entry in core.request_log()]
    assert (len(paths), paths[0], paths[-1]) == (1000, "/1", "/1000")
    core.clear_request_log()
    assert core.request_log() == []


def test_sessions_are_listed_and_revoked_by_user_or_all(core: DevelopmentCore) -> None:
    mine, other, third = (
        create_session(core, user)["session"]["handle"] for user in ("user-1", "user-2", "user-3")
    )
    (listed,) = control(core, "GET", "sessions?userId=user-1")["sessions"]
    assert (listed["sessionHandle"], listed["userId"]) == (mine, "user-1")
    assert listed["expiry"] - listed["timeCreated"] == 144_000 * 60_000
    assert len(control(core, "GET", "sessions")["sessions"]) == 3
    revoked = control(core, "POST", "sessions/revoke", {"userId": "user-1"})
    assert revoked["sessionHandlesRevoked"] == [mine]
    assert core.revoke_sessions("user-2") == [other]
    assert control(core, "POST", "sessions/revoke")["sessionHandlesRevoked"] == [third]
