"""The doctor beside SuperTokens' SDK: the example app is served with the development core."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server

import example_app.app
from flask_ssr_session.dev_core import DevelopmentCore
from flask_ssr_session.doctor import command
from flask_ssr_session.testing import SessionSigner
from tests.dev_core.sdk import sign_up
from tests.sdk.conftest import *  # noqa: F403 - fixtures, for pytest to find

from .factories import checks_run, line, pages_app, run


@pytest.fixture
def example(live_core: DevelopmentCore, sdk_environment: None) -> Iterator[tuple[Flask, str]]:  # noqa: ARG001
    """The example app and its address. One thread serves it, and the SDK keeps one event loop."""
    server = make_server("127.0.0.1", 0, Flask("nothing"))
    url = f"http://localhost:{server.server_port}"
    server.app = app = example_app.app.create_app(live_core.uri, url)

    def serve() -> None:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        server.serve_forever(poll_interval=0.01)
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    yield app, url
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_example_has_no_problem_and_is_not_changed(
    example: tuple[Flask, str], live_core: DevelopmentCore
) -> None:
    app, url = example
    client = app.test_client()
    sign_up(client)
    token: Any = client.get_cookie("sAccessToken")
    sessions = live_core.list_sessions()
    live_core.clear_request_log()
    result = run(app, "--json")

    assert result.exit_code == 0
    assert live_core.list_sessions() == sessions
    # The refresh API did not call its core: the core saw two requests of the doctor, and the API's
    # own request for the key set.
    requests = sorted((entry.method, entry.path) for entry in live_core.request_log())
    key_set = ("GET", "/.well-known/jwks.json")
    assert requests == [key_set, key_set, ("GET", "/recipe/session")]
    output = json.loads(result.stdout)
    assert output["counts"] == {"ok": 20, "warning": 0, "problem": 0}
    says = {finding["check"]: finding["says"] for finding in output["findings"]}
    assert says["site"] == f"the site is at {url}, and the API at {url}"
    assert {"script", "core", "refresh_api", "api_keys", "api_cookies", "sign_in"} <= says.keys()

    explained = json.loads(run(app, "--json", "--token", "-", input=token.value).stdout)["findings"]
    told = {(finding["check"], finding["says"]) for finding in explained}
    assert ("token", "the token proves a session") in told
    # The names of checks and claims fit their column.
    assert max(map(len, says)) <= command._CHECK_WIDTH
    assert max(len(finding["check"]) for finding in explained) == command._CLAIM_WIDTH


def test_core_that_is_down_is_the_only_problem(
    example: tuple[Flask, str], live_core: DevelopmentCore
) -> None:
    live_core.stop_key_server()
    result = run(example[0])

    assert result.exit_code == 1
    # No other check sends it a request, or compares anything with it.
    assert result.stdout.splitlines()[-1].endswith("0 warnings, 1 problem")
    assert not {"core", "api_keys"} & checks_run(result)
    host = live_core.uri.removeprefix("http://")
    assert f"no keys could be fetched from {host} (status 503)" in line(result, "keys")
    live_core.start_key_server()
    assert run(example[0]).exit_code == 0


def test_pages_without_an_sdk_are_compared_with_the_api(example: tuple[Flask, str]) -> None:
    _, url = example
    jwks = {"keys": [SessionSigner("s-1").jwk()]}
    result = run(pages_app(api_domain=url, jwks=jwks, cookie_domain="sub.localhost"), "--url", url)
    assert "its own host only" in line(result, "api_cookies")
    assert "has different keys" in line(result, "api_keys")
    alike = run(pages_app(api_domain=url), "--url", url)
    assert line(alike, "api_cookies").startswith("ok")
    assert line(alike, "cookie_secure").startswith("ok")
