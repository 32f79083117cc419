"""The server of the development core: its address, its API key, requests that are none."""

from __future__ import annotations

import logging
import socket
import sqlite3
from contextlib import nullcontext
from typing import Any
from urllib.parse import urlsplit

import pytest

from flask_ssr_session.dev_core import DevelopmentCore

from ..tables import rows
from .conftest import KeyFactory
from .support import CDI, send
from .test_contract import NEW_SESSION, SPEND

API_KEYS: dict[str, Any] = {
    "the key": ("/recipe/roles", {"api-key": "secret"}, 200),
    "another key": ("/recipe/roles", {"api-key": "wrong"}, 401),
    "no key": ("/recipe/roles", {}, 401),
    "another key for the versions": ("/apiversion", {"api-key": "wrong"}, 401),
    "the key for the versions": ("/apiversion", {"api-key": "secret"}, 200),
    "no key for the key set": ("/.well-known/jwks.json", {}, 200),
    "no key for the greeting": ("/hello", {}, 200),
}


@rows("path, headers, status", API_KEYS)
def test_api_key_is_wanted_where_a_core_wants_it(
    key_factory: KeyFactory, path: str, headers: dict[str, str], status: int
) -> None:
    with DevelopmentCore(api_key="secret", key_factory=key_factory) as core:
        answer = send(core.uri, "GET", path, headers=CDI | headers)

    assert answer.status == status
    assert (answer.text == "Invalid API key") == (status == 401)


def test_empty_api_key_is_refused(key_factory: KeyFactory) -> None:
    with pytest.raises(ValueError, match="API key is empty"):
        DevelopmentCore(api_key="", key_factory=key_factory)


@rows("origin", {"a site": "https://evil.example", "a hidden one": "null"})
def test_page_in_a_browser_changes_nothing(core: DevelopmentCore, origin: str) -> None:
    # Neither a preflight nor the Host header keeps such a POST of plain text away.
    headers = CDI | {"origin": origin, "content-type": "text/plain"}
    answer = send(core.uri, "POST", "/recipe/session", body=NEW_SESSION, headers=headers)
    assert answer.status == 403
    assert core.list_sessions() == []


def test_number_of_too_many_digits_is_400(core: DevelopmentCore) -> None:
    assert send(core.uri, "GET", f"/users?timeJoinedOrder=ASC&limit={'9' * 5000}").status == 400


def raw_exchange(uri: str, content: bytes) -> bytes:
    address = urlsplit(uri)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=5) as client:
        client.sendall(content)
        client.shutdown(socket.SHUT_WR)
        return client.makefile("rb").read()


HEAD = b"PUT /recipe/role HTTP/1.1\r\nHost: localhost\r\nContent-Length: "

CONTENTS: dict[str, Any] = {
    "a good request": (HEAD + b'15\r\n\r\n{"role":"user"}', b" 200 "),
    "a negative length": (HEAD + b"-1\r\n\r\n", b" 400 "),
    "a length of letters": (HEAD + b"x\r\n\r\n", b" 400 "),
    "a length in superscript": (HEAD + b"\xb2\r\n\r\n", b" 400 "),
    "a length above 1 MiB": (HEAD + b"1048577\r\n\r\n", b" 413 "),
    "a path without a slash": (b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", b" 404 "),
}


@rows("content, status", CONTENTS)
def test_request_is_read_in_limits(core: DevelopmentCore, content: bytes, status: bytes) -> None:
    assert status in raw_exchange(core.uri, content).split(b"\r\n")[0]


BODIES: dict[str, Any] = {
    "too deep": b"[" * 100_000,
    "half a surrogate pair": b'{"role":"\\ud800"}',
    "an empty name": b'{"role":""}',
    "null": b'{"role":null}',
}


@rows("raw_body", BODIES)
def test_body_that_cannot_be_kept_is_400(core: DevelopmentCore, raw_body: bytes) -> None:
    assert send(core.uri, "PUT", "/recipe/role", body=raw_body).status == 400


def test_client_that_leaves_in_the_middle_harms_nobody(core: DevelopmentCore) -> None:
    address = urlsplit(core.uri)
    for content in (b"", b"GET /rec", b"nonsense\r\n\r\n", b"GET /hello HTTP/1.0\r\n"):
        with socket.create_connection((address.hostname or "", address.port or 0)) as client:
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
    spent = session["refreshToken"]["token"]
    send(core.uri, "POST", "/recipe/session/refresh", body=SPEND | {"refreshToken": spent})
    send(core.uri, "GET", "/recipe/session?sessionHandle=handle-in-query")

    assert "POST /recipe/session/refresh: 200" in caplog.text
    for secret in (spent, session["accessToken"]["token"], "handle-in-query"):
        assert secret not in caplog.text


def test_core_keeps_its_address_and_data_over_a_stop(core: DevelopmentCore) -> None:
    uri = core.uri
    assert uri.startswith("http://127.0.0.1:")
    handle = send(uri, "POST", "/recipe/session", body=NEW_SESSION).json["session"]["handle"]
    core.stop()
    with pytest.raises(ConnectionRefusedError):
        send(uri, "GET", "/hello")
    with pytest.raises(RuntimeError, match="start"):
        _ = core.uri
    assert core.start() == uri
    assert core.start() == uri
    assert send(uri, "GET", f"/recipe/session?sessionHandle={handle}").json["status"] == "OK"


def test_closed_core_has_no_database(key_factory: KeyFactory) -> None:
    core = DevelopmentCore(key_factory=key_factory)
    assert core.list_sessions() == []
    core.close()
    with pytest.raises(sqlite3.ProgrammingError):
        core.list_sessions()


# The seconds of access tokens, and the minutes of refresh tokens.
SETTINGS: dict[str, Any] = {
    "a minute outlives 59 s": (59, 1, "5.4", None),
    "a minute does not outlive 60 s": (60, 1, "5.4", "live longer"),
    "no access token": (0, 1, "5.4", "live longer"),
    "no refresh token": (1, 0, "5.4", "live longer"),
    "an unknown CDI": (1, 1, "6.0", "5.4 or 5.6"),
}


@rows("seconds, minutes, cdi, message", SETTINGS)
def test_settings_are_checked(seconds: int, minutes: int, cdi: str, message: str | None) -> None:
    life = {"access_token_validity_seconds": seconds, "refresh_token_validity_minutes": minutes}
    with nullcontext() if message is None else pytest.raises(ValueError, match=message):
        DevelopmentCore(cdi=cdi, **life).close()  # type: ignore[arg-type]
