"""The developer controls, in the process and over HTTP."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

from flask_ssr_session.dev_core import DevelopmentCore, RequestLogEntry

from .support import CONTROL, SteppedClock, send
from .test_http import NEW_SESSION

KEY_SET = "/.well-known/jwks.json"


def control(core: DevelopmentCore, method: str, path: str, body: Any = None) -> Any:
    answer = send(core.uri, method, f"/development/{path}", body=body, headers=CONTROL)
    assert answer.status == 200, answer.text
    return answer.json


def create_session(core: DevelopmentCore, user_id: str = "user-1") -> Any:
    body = {**NEW_SESSION, "userId": user_id}
    return send(core.uri, "POST", "/public/recipe/session", body=body).json


# Who may use them


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param(CONTROL, 200, id="header"),
        pytest.param({"X-Development-Core": "1"}, 200, id="other case"),
        pytest.param({**CONTROL, "Host": "localhost:3567"}, 200, id="localhost"),
        pytest.param({}, 403, id="no header"),
        pytest.param({"x-development-core": "0"}, 403, id="other value"),
        pytest.param({**CONTROL, "Host": "attacker.example"}, 403, id="rebound name"),
        pytest.param({**CONTROL, "Host": "localhost.attacker.example"}, 403, id="longer name"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/development/state"), ("POST", "/development/key-server/stop")]
)
def test_controls_demand_their_header_and_a_loopback_name(
    core: DevelopmentCore, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    assert send(core.uri, method, path, headers=headers).status == status
    changed = method == "POST" and status == 200
    assert core.state()["keyServer"] == ("unavailable" if changed else "serving")


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:3567", 200), ("127.0.0.1", 200), ("attacker.example", 403), ("", 403)],
)
def test_nothing_is_told_under_a_name_that_is_not_this_machines(
    core: DevelopmentCore, host: str, status: int
) -> None:
    answer = send(core.uri, "GET", "/.well-known/jwks.json", headers={"Host": host})
    assert answer.status == status
    assert ("keys" in answer.text) is (status == 200)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "state"),
        ("GET", "requests"),
        ("POST", "requests/clear"),
        ("GET", "sessions"),
        ("POST", "sessions/revoke"),
        ("POST", "signing-key/rotate"),
        ("POST", "key-server/stop"),
        ("POST", "key-server/start"),
        ("POST", "refresh-endpoint/stop"),
        ("POST", "refresh-endpoint/start"),
    ],
)
def test_changes_are_post_only_and_looking_is_get_only(
    core: DevelopmentCore, method: str, path: str
) -> None:
    other = "GET" if method == "POST" else "POST"
    url = f"/development/{path}"
    assert send(core.uri, other, url, headers=CONTROL).status == 405
    assert send(core.uri, method, url, headers=CONTROL).status == 200


def test_unknown_control_is_404(core: DevelopmentCore) -> None:
    assert send(core.uri, "POST", "/development/unknown", headers=CONTROL).status == 404


@pytest.mark.parametrize(
    "raw_body", [b"{", b'{"scheduled":"yes"}', b'{"scheduled":true,"dropOld":true}']
)
def test_wrong_fields_of_a_control_are_400_and_change_nothing(
    core: DevelopmentCore, raw_body: bytes
) -> None:
    before = core.state()
    url = "/development/signing-key/rotate"
    answer = send(core.uri, "POST", url, raw_body=raw_body, headers=CONTROL)
    assert answer.status == 400
    assert core.state() == before


# Keys


def published(core: DevelopmentCore) -> list[str]:
    return [key["kid"] for key in send(core.uri, "GET", KEY_SET).json["keys"]]


def test_rotation_over_http_is_the_one_in_the_process(core: DevelopmentCore) -> None:
    (old, static) = published(core)
    scheduled = control(core, "POST", "signing-key/rotate", {"scheduled": True})["kid"]
    assert published(core) == [scheduled, old, static]
    unscheduled = core.rotate_signing_key()
    assert published(core) == [unscheduled, scheduled, old, static]
    last = control(core, "POST", "signing-key/rotate", {"dropOld": True})["kid"]
    assert published(core) == [last, static]


def test_state_tells_when_a_key_begins_to_sign(core: DevelopmentCore) -> None:
    kid = core.rotate_signing_key(scheduled=True)
    newest = control(core, "GET", "state")["signingKeys"][0]
    assert newest["kid"] == kid
    assert newest["signsFrom"] - newest["created"] == 60_000


# Outages


def test_stopped_key_server_answers_503_until_it_is_started(core: DevelopmentCore) -> None:
    core.stop_key_server()
    assert send(core.uri, "GET", KEY_SET).status == 503
    assert send(core.uri, "GET", "/recipe/jwt/jwks").status == 503
    assert send(core.uri, "GET", "/hello").status == 200
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
    token = create_session(core)["refreshToken"]["token"]
    body = {"refreshToken": token, "enableAntiCsrf": False}
    control(core, "POST", "refresh-endpoint/stop")
    assert control(core, "GET", "state")["refreshEndpoint"] == "failing"
    assert send(core.uri, "POST", "/recipe/session/refresh", body=body).status == 500
    core.start_refresh_endpoint()
    assert send(core.uri, "POST", "/recipe/session/refresh", body=body).json["status"] == "OK"


# The request log


def test_log_tells_method_bare_path_time_and_status(
    core: DevelopmentCore, clock: SteppedClock
) -> None:
    create_session(core)
    clock.advance(1)
    send(core.uri, "GET", "/appid-x/public/users/by-accountinfo?email=a%40b.co")
    send(core.uri, "DELETE", "/unknown")
    assert core.request_log() == [
        RequestLogEntry("POST", "/recipe/session", clock.now - 1, 200),
        RequestLogEntry("GET", "/users/by-accountinfo", clock.now, 200),
        RequestLogEntry("DELETE", "/unknown", clock.now, 404),
    ]


def test_controls_are_not_in_the_log_and_can_clear_it(core: DevelopmentCore) -> None:
    send(core.uri, "GET", "/hello")
    assert [entry["path"] for entry in control(core, "GET", "requests")["requests"]] == ["/hello"]
    control(core, "POST", "requests/clear")
    assert core.request_log() == []
    send(core.uri, "GET", "/hello")
    core.clear_request_log()
    assert control(core, "GET", "requests")["requests"] == []


def test_log_keeps_the_last_thousand_requests(core: DevelopmentCore) -> None:
    for number in range(1001):
        core.log_request("GET", f"/{number}", 200)
    paths = [entry.path for entry in core.request_log()]
    assert (len(paths), paths[0], paths[-1]) == (1000, "/1", "/1000")


# Sessions


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
    assert core.list_sessions() == []
