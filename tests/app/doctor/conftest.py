"""Run the doctor, and serve a site for it: the example app with the development core."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import NoneType, SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from supertokens_python.recipe import session
from werkzeug.serving import BaseWSGIServer, make_server

import example_app.app
import example_app.sign_in
from example_app.core import DevelopmentCore
from flask_ssr_session import FlaskSSRSession
from tests.sdk.conftest import (
    key_factory,
    lagging_clock,
    live_core,
    rsa_keys,
    sdk_environment,
)

# Imported fixtures, for pytest to find.
__all__ = ["key_factory", "lagging_clock", "live_core", "rsa_keys", "sdk_environment"]

MakeApp = Callable[..., Flask]


@pytest.fixture(autouse=True)
def no_sdk() -> None:
    """Replace the fixture that hides the SDK: these tests initialise it."""


class Site:
    """A server whose address is known before its app exists."""

    def __init__(self, server: BaseWSGIServer) -> None:
        self._server = server
        self.port = server.server_port
        self.url = f"http://localhost:{self.port}"

    def show(self, app: Flask) -> None:
        self._server.app = app


@pytest.fixture
def site() -> Iterator[Site]:
    # One thread serves all requests: the SDK leaves an event loop open in every thread it runs in.
    server = make_server("127.0.0.1", 0, Flask("nothing"))

    def serve() -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        server.serve_forever(poll_interval=0.01)
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield Site(server)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def example(
    live_core: DevelopmentCore,
    sdk_environment: None,  # noqa: ARG001
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> MakeApp:
    def make(settings: dict[str, str] | None = None, **session_options: Any) -> Flask:
        for name, value in (settings or {}).items():
            monkeypatch.setenv(f"EXAMPLE_SSR_SESSION_{name}", value)
        # These options replace the example's own.
        options = SimpleNamespace(init=partial(session.init, **session_options))
        monkeypatch.setattr(example_app.sign_in, "session", options)
        app = example_app.app.create_app(live_core.uri, site.url)
        site.show(app)
        return app

    return make


def run(app: Flask, *arguments: str, **options: Any) -> Result:
    """Run the doctor on an app, and check that it does not fail itself."""
    result = app.test_cli_runner().invoke(args=["ssr-session", "doctor", *arguments], **options)
    assert isinstance(result.exception, (SystemExit, NoneType)), result.exception
    return result


def line(result: Result, check: str) -> str:
    """Return the only line of a check, without the spaces that align it."""
    found = [row for row in result.stdout.splitlines() if row.split()[1:2] == [check]]
    assert len(found) == 1, result.output
    return " ".join(found[0].split())


def checks_run(result: Result) -> set[str]:
    """Return the names of the checks in the output."""
    return {row.split()[1] for row in result.stdout.splitlines()[:-1]}


def signed_in(app: Flask) -> str:
    """Sign a user up and return the access token."""
    fields = [
        {"id": "email", "value": "ada@example.test"},
        {"id": "password", "value": "correct horse 1"},
    ]
    client = app.test_client()
    client.post("/auth/signup", json={"formFields": fields}, headers={"st-auth-mode": "cookie"})
    cookie = client.get_cookie("sAccessToken")
    assert cookie is not None
    return cookie.value


def app_without_sdk(**settings: Any) -> Flask:
    """Return an app that serves pages only; its API is another process."""
    app = Flask("app_without_sdk")
    FlaskSSRSession(app, **{"api_domain": "https://api.example.com", **settings})
    return app
