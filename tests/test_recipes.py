"""The recipes of docs/recipes.rst keep what they promise."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest
import sentry_sdk
from flask import Flask
from sentry_sdk.integrations.flask import FlaskIntegration
from structlog.contextvars import get_contextvars

from flask_ssr_session import FlaskSSRSession
from flask_ssr_session.testing import expire, install_test_keys, outage, sign_in, sign_out
from tests.app.conftest import EMAIL, FakeGlobalClaims, page_shown, read_from, sdk_values
from tests.sdk.conftest import *  # noqa: F403 - fixtures, for pytest to find
from tests.tables import rows
from tests.test_docs import BROWSER, TEXTS, Run, blocks, run, signed_in

__all__ = ["run"]


@pytest.fixture
def names(run: Run) -> dict[str, Any]:
    return run("recipes")


@pytest.fixture
def app(names: dict[str, Any]) -> Flask:
    app: Flask = names["app"]
    return app


def test_each_recipe_is_short() -> None:
    for block in blocks(TEXTS["recipes"]):
        assert sum(bool(line) for line in block.source.splitlines()) <= 20


def test_limiter_counts_each_user_and_each_address(app: Flask) -> None:
    client = signed_in(app)
    assert [client.get("/search").status_code for _ in range(11)] == [200] * 10 + [429]
    sign_in(client, "user-2")
    assert client.get("/search").status_code == 200
    # An expired token gives nobody another count.
    expire(client)
    assert [client.get("/search").status_code for _ in range(5)] == [200] * 5
    sign_out(client)
    assert [client.get("/search").status_code for _ in range(6)] == [200] * 5 + [429]
    sign_in(client, "user-3")
    assert client.get("/search").status_code == 200


def test_limiter_counts_users_if_it_is_set_up_first(names: dict[str, Any]) -> None:
    app = Flask("limiter_first")
    app.testing = True
    limiter = names["Limiter"]
    limiter(names["user_or_address"], app=app, storage_uri="memory://", default_limits=["1/hour"])
    FlaskSSRSession(app, api_domain="http://localhost")
    app.add_url_rule("/", "home", lambda: "")
    client = signed_in(app)
    assert [client.get("/").status_code for _ in range(2)] == [200, 429]
    sign_in(client, "user-2")
    assert client.get("/").status_code == 200


def test_caching_keeps_the_pages_of_users_apart(app: Flask, names: dict[str, Any]) -> None:
    client = signed_in(app)
    for user in ("user-1", "user-2", "user-1"):
        sign_in(client, user)
        assert client.get("/statistics").text == f"Statistics of {user}"
    keys = {repr((user, "/statistics?")) for user in ("user-1", "user-2")}
    assert all(names["cache"].get(key) for key in keys)
    expire(client)
    assert page_shown(client.get("/statistics", headers=BROWSER)) == "refresh"
    sign_out(client)
    assert client.get("/statistics", headers=BROWSER).status_code == 302


ADMINS: dict[str, Any] = {
    "admin": ({"roles": ["admin"], "email_verified": True}, 200, ""),
    "no admin": ({"roles": ["reader"], "email_verified": True}, 403, ""),
    # What SuperTokens' recipes require of every session.
    "unverified": ({"roles": ["admin"], "email_verified": False}, 403, "repair"),
}


@rows("claims, status, page", ADMINS)
def test_admin_is_for_admins(app: Flask, claims: Mapping[str, Any], status: int, page: str) -> None:
    read_from(app, lambda: sdk_values(global_claims=FakeGlobalClaims(EMAIL)))
    install_test_keys(app)
    client = app.test_client()
    sign_in(client, **claims)
    shown = client.get("/admin/", headers=BROWSER)
    assert (shown.status_code, page_shown(shown)) == (status, page)
    assert ('class="navbar' in shown.text) is (status == 200)


def test_admin_responds_as_every_page_does(app: Flask) -> None:
    client = signed_in(app)
    expire(client)
    assert page_shown(client.get("/admin/", headers=BROWSER)) == "refresh"
    sign_out(client)
    assert client.get("/admin/", headers=BROWSER).location == "/auth?redirectToPath=/admin/"
    sign_in(client, roles=["admin"])
    with outage(app):
        assert client.get("/admin/", headers=BROWSER).status_code == 503


HANDSHAKE = {"Upgrade": "websocket", "Sec-Fetch-Site": "same-origin"}
OTHER_SITE = {**HANDSHAKE, "Sec-Fetch-Site": "cross-site"}

SOCKETS: dict[str, Any] = {
    "session": (None, HANDSHAKE, True),
    "session, from another site": (None, OTHER_SITE, False),
    "expired": (expire, HANDSHAKE, False),
    "stranger": (sign_out, HANDSHAKE, False),
}


@rows("visitor, headers, connects", SOCKETS)
def test_a_socket_needs_a_session(
    app: Flask, names: dict[str, Any], visitor: Any, headers: dict[str, str], connects: bool
) -> None:
    client = signed_in(app)
    if visitor:
        visitor(client)
    names["disconnect_at"] = lambda *_: None
    socket = names["socketio"].test_client(app, flask_test_client=client, headers=headers)
    assert socket.is_connected() is connects


def test_a_socket_ends_with_its_token(
    app: Flask, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks: list[partial[None]] = []
    slept: list[float] = []
    socketio = names["socketio"]
    start = lambda *task: tasks.append(partial(*task))  # noqa: E731
    monkeypatch.setattr(socketio, "start_background_task", start)
    monkeypatch.setattr(socketio, "sleep", slept.append)
    client = signed_in(app)
    sign_in(client, valid_seconds=600)
    socket = socketio.test_client(app, flask_test_client=client)
    assert socket.is_connected()
    (disconnect,) = tasks
    disconnect()
    assert 500 < slept[0] <= 600
    assert not socket.is_connected()


@pytest.fixture
def sent_to_sentry() -> Iterator[list[dict[str, Any]]]:
    """Initialise Sentry, which keeps its events here and sends none."""
    events: list[dict[str, Any]] = []
    sentry_sdk.init(
        "http://key@127.0.0.1:9/1",
        before_send=lambda event, _hint: events.append(dict(event)),
        before_send_transaction=lambda event, _hint: events.append(dict(event)),
        traces_sample_rate=1.0,
        default_integrations=False,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        integrations=[FlaskIntegration()],
    )
    # Without Sentry, the requests of other tests have written into the scope of this thread.
    with sentry_sdk.isolation_scope() as scope:
        scope.clear()
        yield events
    sentry_sdk.get_client().close(timeout=0)
    sentry_sdk.get_global_scope().set_client(None)


def test_sentry_knows_the_user_alone(app: Flask, sent_to_sentry: list[dict[str, Any]]) -> None:
    app.add_url_rule("/event", "event", lambda: str(sentry_sdk.capture_message("here")))
    client = signed_in(app)
    sign_in(client, "user-1", plan="a claim of the app")
    token: Any = client.get_cookie("sAccessToken")
    client.get("/event")
    sign_out(client)
    client.get("/event")
    of_user, of_stranger = (each for each in sent_to_sentry if each.get("message"))
    assert of_user["user"] == {"id": "user-1"}
    assert "user" not in of_stranger
    told = json.dumps(sent_to_sentry, default=str)
    assert "a claim of the app" not in told
    assert token.value not in told


def test_sentry_is_told_why_one_refreshes(app: Flask, sent_to_sentry: list[dict[str, Any]]) -> None:
    client = signed_in(app)
    client.get("/statistics", headers=BROWSER)
    expire(client)
    client.get("/statistics", headers=BROWSER)
    tags = [each.get("tags", {}).get("ssr_session.reason") for each in sent_to_sentry]
    assert tags == [None, "expired"]


def test_structlog_names_the_user_in_the_lines_of_one_request(app: Flask) -> None:
    bound: list[dict[str, Any]] = []

    @app.get("/line")
    def line() -> str:
        bound.append(get_contextvars())
        return ""

    client = signed_in(app)
    client.get("/line")
    sign_out(client)
    client.get("/line")
    assert bound == [{"user_id": "user-1"}, {}]
