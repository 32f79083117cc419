"""What every endpoint has in common: paths, versions, bodies, errors."""

from __future__ import annotations

import logging
import socket
import sqlite3
from typing import Any
from urllib.parse import urlsplit

import jwt
import pytest

from flask_ssr_session.dev_core import DevelopmentCore

from .conftest import KeyFactory
from .support import CONTROL, VERSION, SteppedClock, send

NEW_SESSION = {
    "userId": "user-1",
    "userDataInJWT": {},
    "userDataInDatabase": {},
    "useDynamicSigningKey": True,
    "enableAntiCsrf": False,
}


def test_core_listens_on_the_loopback_interface_only(core: DevelopmentCore) -> None:
    assert core.uri.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/recipe/roles", 200),
        ("/public/recipe/roles", 200),
        ("/appid-x/recipe/roles", 200),
        ("/appid-x/public/recipe/roles", 200),
        ("/public/users/count", 200),
        ("/other/recipe/roles", 400),
        ("/appid-x/other/recipe/roles", 400),
        ("/recipe/rolesx", 404),
        ("/recipe/roles/", 404),
        ("/public/public/recipe/roles", 404),
        ("/unknown", 404),
        ("/", 404),
        ("//", 404),
        ("/appid-x", 404),
        ("*", 404),
        ("/development", 404),
    ],
)
def test_application_and_tenant_may_stand_before_a_path(
    core: DevelopmentCore, path: str, status: int
) -> None:
    assert send(core.uri, "GET", path).status == status


def test_unknown_tenant_is_an_answer_only_where_tenants_are_looked_up(
    core: DevelopmentCore,
) -> None:
    path = "/recipe/multitenancy/tenant/v2"
    assert send(core.uri, "GET", f"/public{path}").json == {
        "status": "OK",
        "tenantId": "public",
        "thirdParty": {"providers": []},
        "coreConfig": {},
    }
    assert send(core.uri, "GET", f"/other{path}").json == {"status": "TENANT_NOT_FOUND_ERROR"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"cdi-version": "5.4"}, 200, id="right"),
        pytest.param({"CDI-Version": "5.4"}, 200, id="other case"),
        pytest.param({"cdi-version": "5.3"}, 400, id="older"),
        pytest.param({}, 400, id="missing"),
    ],
)
def test_recipes_need_the_version_this_core_speaks(
    core: DevelopmentCore, headers: dict[str, str], status: int
) -> None:
    assert send(core.uri, "GET", "/recipe/roles", headers=headers).status == status


@pytest.mark.parametrize("path", ["/apiversion", "/hello", "/.well-known/jwks.json"])
def test_version_key_set_and_greeting_need_no_version(core: DevelopmentCore, path: str) -> None:
    assert send(core.uri, "GET", path, headers={}).status == 200


def test_only_the_version_the_sdk_speaks_is_offered(core: DevelopmentCore) -> None:
    answer = send(core.uri, "GET", "/apiversion?apiDomain=http://localhost", headers={})
    assert answer.json == {"versions": ["5.4"]}


def test_hello_is_plain_text(core: DevelopmentCore) -> None:
    assert send(core.uri, "GET", "/hello").text == "Hello"


@pytest.mark.parametrize(
    ("raw_body", "status"),
    [
        pytest.param(b'{"role":"admin","permissions":[]}', 200, id="object"),
        pytest.param(b'{"role":"admin"}', 200, id="optional field left out"),
        pytest.param(b'{"role":"admin","permissions":"read"}', 400, id="wrong type"),
        pytest.param(b'{"role":"admin","permissions":[1]}', 400, id="wrong type inside"),
        pytest.param(b'{"role":1}', 400, id="number for a string"),
        pytest.param(b'{"role":""}', 400, id="empty string"),
        pytest.param(b'{"role":null}', 400, id="null"),
        pytest.param(b"{}", 400, id="field missing"),
        pytest.param(b"", 400, id="no body"),
        pytest.param(b'{"role":"admin"', 400, id="cut off"),
        pytest.param(b'["admin"]', 400, id="array"),
        pytest.param(b'{"role":"\xff"}', 400, id="not UTF-8"),
        pytest.param(b'{"role":"\\ud800"}', 400, id="half a surrogate pair"),
        pytest.param(b"[" * 100_000, 400, id="too deep"),
        pytest.param(b" " * (1024 * 1024 + 1), 413, id="too long"),
    ],
)
def test_body_must_be_a_json_object_with_the_right_fields(
    core: DevelopmentCore, raw_body: bytes, status: int
) -> None:
    assert send(core.uri, "PUT", "/recipe/role", raw_body=raw_body).status == status


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", 200), ("POST", 405), ("PUT", 405), ("DELETE", 405), ("HEAD", 405), ("OPTIONS", 405)],
)
def test_known_path_takes_only_its_methods(core: DevelopmentCore, method: str, status: int) -> None:
    assert send(core.uri, method, "/recipe/roles").status == status


def raw_exchange(uri: str, content: bytes) -> bytes:
    address = urlsplit(uri)
    assert address.hostname is not None
    with socket.create_connection((address.hostname, address.port or 0), timeout=5) as connection:
        connection.sendall(content)
        return connection.makefile("rb").read()


@pytest.mark.parametrize("length", ["-1", "x", "\u00b2"])
def test_content_length_must_be_a_number(core: DevelopmentCore, length: str) -> None:
    head = f"POST /recipe/role HTTP/1.1\r\nContent-Length: {length}\r\n\r\n"
    assert b" 400 " in raw_exchange(core.uri, head.encode("latin-1")).split(b"\r\n")[0]


def test_client_that_leaves_in_the_middle_harms_nobody(core: DevelopmentCore) -> None:
    raw = urlsplit(core.uri)
    for content in (b"", b"GET /rec", b"nonsense\r\n\r\n", b"GET /hello HTTP/1.0\r\n"):
        with socket.create_connection((raw.hostname or "", raw.port or 0), timeout=5) as client:
            client.sendall(content)
    assert send(core.uri, "GET", "/hello").status == 200


def test_error_inside_is_500_and_logged_without_the_request_body(
    core: DevelopmentCore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise LookupError("broken on purpose")

    monkeypatch.setattr("flask_ssr_session.dev_core.roles.Roles.create", fail)
    answer = send(core.uri, "PUT", "/recipe/role?mail=a@b.co", body={"role": "secret-value"})
    assert (answer.status, answer.text) == (500, "internal error")
    assert "PUT /recipe/role failed" in caplog.text
    assert "secret-value" not in caplog.text
    assert "a@b.co" not in caplog.text
    assert [entry.status for entry in core.request_log()] == [500]


def test_log_holds_no_token(core: DevelopmentCore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    session = send(core.uri, "POST", "/public/recipe/session", body=NEW_SESSION).json
    refresh_token = session["refreshToken"]["token"]
    send(
        core.uri,
        "POST",
        "/recipe/session/refresh",
        body={"refreshToken": refresh_token, "enableAntiCsrf": False},
    )
    send(core.uri, "GET", "/recipe/session?sessionHandle=handle-in-query")
    assert "POST /recipe/session/refresh: 200" in caplog.text
    for secret in (refresh_token, session["accessToken"]["token"], "handle-in-query"):
        assert secret not in caplog.text


# The key set


def test_key_set_may_be_kept_until_the_next_key(core: DevelopmentCore, clock: SteppedClock) -> None:
    clock.advance(3600)
    answer = send(core.uri, "GET", "/.well-known/jwks.json", headers={})
    assert answer.headers["Cache-Control"] == f"max-age={167 * 3600}, must-revalidate"
    assert [key["kid"][:2] for key in answer.json["keys"]] == ["d-", "s-"]
    assert set(answer.json) == {"keys"}


def test_deprecated_key_set_has_a_status_too(core: DevelopmentCore) -> None:
    new = send(core.uri, "GET", "/.well-known/jwks.json").json
    assert send(core.uri, "GET", "/recipe/jwt/jwks").json == {**new, "status": "OK"}


@pytest.mark.parametrize(
    ("payload", "issuer"),
    [({}, "http://api"), ({"iss": "http://api/auth"}, "http://api/auth")],
    ids=["domain of the caller", "issuer in the payload"],
)
def test_custom_jwt_has_the_issuer_its_payload_names(
    core: DevelopmentCore, payload: dict[str, str], issuer: str
) -> None:
    body = {"payload": payload, "algorithm": "RS256", "jwksDomain": "http://api"}
    token = send(core.uri, "POST", "/recipe/jwt", body=body).json["jwt"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["iss"] == issuer
    assert claims["exp"] - claims["iat"] == 3_153_600_000


def test_custom_jwt_of_another_algorithm_is_not_made(core: DevelopmentCore) -> None:
    body = {"payload": {}, "algorithm": "ES256", "jwksDomain": "http://api"}
    answer = send(core.uri, "POST", "/recipe/jwt", body=body)
    assert answer.json == {"status": "UNSUPPORTED_ALGORITHM_ERROR"}


# Request shapes of the session recipe that the SDK never sends


@pytest.mark.parametrize(
    "name",
    [
        "sub",
        "rsub",
        "iat",
        "exp",
        "sessionHandle",
        "refreshTokenHash1",
        "parentRefreshTokenHash1",
        "antiCsrfToken",
        "tId",
    ],
)
def test_payload_may_not_name_a_claim_of_the_core(core: DevelopmentCore, name: str) -> None:
    payload = {"userDataInJWT": {name: "mine"}}
    created = send(core.uri, "POST", "/recipe/session", body={**NEW_SESSION, **payload})
    assert (created.status, name in created.text) == (400, True)
    good = send(core.uri, "POST", "/recipe/session", body=NEW_SESSION).json
    handle, token = good["session"]["handle"], good["accessToken"]["token"]
    replaced = send(core.uri, "PUT", "/recipe/jwt/data", body={"sessionHandle": handle, **payload})
    assert replaced.status == 400
    regenerated = send(
        core.uri, "POST", "/recipe/session/regenerate", body={"accessToken": token, **payload}
    )
    assert regenerated.status == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param({"sessionHandles": []}, 200, id="handles"),
        pytest.param({"userId": "u"}, 200, id="user"),
        pytest.param({"userId": "u", "sessionHandles": []}, 400, id="both"),
        pytest.param({}, 400, id="neither"),
    ],
)
def test_removal_takes_either_handles_or_a_user(
    core: DevelopmentCore, body: dict[str, Any], status: int
) -> None:
    assert send(core.uri, "POST", "/recipe/session/remove", body=body).status == status


def test_regenerating_what_is_no_token_is_a_bad_request(core: DevelopmentCore) -> None:
    body = {"accessToken": "not a token", "userDataInJWT": {}}
    assert send(core.uri, "POST", "/recipe/session/regenerate", body=body).status == 400


def test_unchanged_tokens_are_absent_from_an_answer(core: DevelopmentCore) -> None:
    created = send(core.uri, "POST", "/recipe/session", body=NEW_SESSION).json
    assert "antiCsrfToken" not in created
    verified = send(
        core.uri,
        "POST",
        "/recipe/session/verify",
        body={
            "accessToken": created["accessToken"]["token"],
            "doAntiCsrfCheck": False,
            "enableAntiCsrf": False,
            "checkDatabase": True,
        },
    ).json
    assert verified == {"status": "OK", "session": created["session"]}


# Starting and stopping


def test_core_keeps_its_address_and_data_over_a_stop(core: DevelopmentCore) -> None:
    uri = core.uri
    handle = send(uri, "POST", "/recipe/session", body=NEW_SESSION).json["session"]["handle"]
    core.stop()
    with pytest.raises(ConnectionRefusedError):
        send(uri, "GET", "/hello")
    with pytest.raises(RuntimeError, match="start"):
        _ = core.uri
    assert core.start() == uri
    assert core.start() == uri
    assert [record.handle for record in core.list_sessions()] == [handle]
    assert send(uri, "GET", f"/recipe/session?sessionHandle={handle}").json["status"] == "OK"


def test_closed_core_has_no_database(key_factory: KeyFactory) -> None:
    core = DevelopmentCore(key_factory=key_factory)
    assert core.list_sessions() == []
    core.close()
    with pytest.raises(sqlite3.ProgrammingError):
        core.list_sessions()


def test_port_in_use_is_an_error(core: DevelopmentCore, key_factory: KeyFactory) -> None:
    port = urlsplit(core.uri).port
    assert port is not None
    other = DevelopmentCore(port=port, key_factory=key_factory)
    with pytest.raises(OSError, match="in use"):
        other.start()
    other.close()


@pytest.mark.parametrize(
    ("access_seconds", "refresh_minutes", "accepted"),
    [(59, 1, True), (60, 1, False), (0, 1, False), (1, 0, False)],
)
def test_refresh_token_must_outlive_the_access_token(
    key_factory: KeyFactory, access_seconds: int, refresh_minutes: int, accepted: bool
) -> None:
    def make() -> None:
        DevelopmentCore(
            access_token_validity_seconds=access_seconds,
            refresh_token_validity_minutes=refresh_minutes,
            key_factory=key_factory,
        ).close()

    if accepted:
        make()
    else:
        with pytest.raises(ValueError, match="live longer"):
            make()


def test_versions_and_control_headers_are_not_mixed_up(core: DevelopmentCore) -> None:
    assert send(core.uri, "GET", "/recipe/roles", headers=CONTROL).status == 400
    assert send(core.uri, "GET", "/recipe/roles", headers={**VERSION, **CONTROL}).status == 200
