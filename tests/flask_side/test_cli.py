"""``flask ssr-session doctor`` on the example app, served beside the development core."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result
from flask import Flask, Response, g, request
from jinja2 import ChoiceLoader, DictLoader
from supertokens_python.recipe import session
from werkzeug.serving import BaseWSGIServer, make_server

import example_app.app
import example_app.sign_in
from example_app.core import DevelopmentCore
from flask_ssr_session import FlaskSSRSession, session_required
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.tokens import decode_base64url
from tests.beside_sdk.conftest import (
    key_factory,
    lagging_clock,
    live_core,
    rsa_keys,
    sdk_environment,
)

__all__ = ["key_factory", "lagging_clock", "live_core", "rsa_keys", "sdk_environment"]

MakeApp = Callable[..., Flask]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_sdk() -> None:
    """Here the SDK is read, where a test initialises it."""


class Site:
    """A server that has its address before it has its app."""

    def __init__(self, server: BaseWSGIServer) -> None:
        self._server = server
        self.port = server.server_port
        self.url = f"http://localhost:{self.port}"

    def show(self, app: Flask) -> None:
        self._server.app = app


@pytest.fixture
def site() -> Iterator[Site]:
    # One request at a time: the SDK leaves an event loop open in every thread that it meets.
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
        # The SDK's options are the example's own but for these.
        options = SimpleNamespace(init=partial(session.init, **session_options))
        monkeypatch.setattr(example_app.sign_in, "session", options)
        app = example_app.app.create_app(live_core.uri, site.url)
        site.show(app)
        return app

    return make


def run(app: Flask, *arguments: str, **options: Any) -> Result:
    return app.test_cli_runner().invoke(args=["ssr-session", "doctor", *arguments], **options)


def line(result: Result, check: str) -> str:
    """Return the one line of a check, without the blanks that align it."""
    found = [row for row in result.stdout.splitlines() if row.split()[1:2] == [check]]
    assert len(found) == 1, result.output
    return " ".join(found[0].split())


# --- the example app -----------------------------------------------------------------------------


def test_the_example_has_no_problem(example: MakeApp, site: Site) -> None:
    result = run(example())

    assert result.exit_code == 0
    assert line(result, "site") == f"ok site seen from {site.url}, with the API at {site.url}"
    assert line(result, "refresh_page") == "ok refresh_page /refresh-session shows it"
    assert line(result, "script") == "ok script browsers get the script as it was built"
    assert result.stdout.splitlines()[-1] == "15 ok, 0 warnings, 0 problems"


def test_answer_for_scripts_has_the_same_findings(example: MakeApp) -> None:
    app = example()
    told = json.loads(run(app, "--json").stdout)

    assert told["counts"] == {"ok": 15, "warning": 0, "problem": 0}
    lines = run(app).stdout.splitlines()
    assert [finding["check"] for finding in told["findings"]] == [
        row.split()[1] for row in lines[:-1]
    ]


def test_pages_opened_at_another_name_of_this_machine(example: MakeApp, site: Site) -> None:
    result = run(example(), "--url", f"http://127.0.0.1:{site.port}")

    assert result.exit_code == 1
    assert line(result, "cookie_domain") == (
        "problem cookie_domain to a browser, 127.0.0.1 and localhost are two hosts that share no "
        "cookies -> open the site at localhost, or give the SDK domains at 127.0.0.1"
    )


def test_cookie_domain_of_another_site(example: MakeApp) -> None:
    result = run(example(cookie_domain=".example.com"))

    assert result.exit_code == 1
    assert line(result, "cookie_domain").startswith(
        "problem cookie_domain session cookies are set for example.com, so browsers refuse them "
        "from the API at localhost -> set session.init(cookie_domain=...)"
    )


def test_sdk_that_takes_tokens_from_headers_only(example: MakeApp) -> None:
    result = run(example(get_token_transfer_method=lambda *_: "header"))

    assert result.exit_code == 1
    assert line(result, "setup").startswith(
        "problem setup The SuperTokens SDK is set up to take tokens from headers only"
    )


def test_core_that_is_down(example: MakeApp, live_core: DevelopmentCore) -> None:
    app = example()
    live_core.stop_key_server()
    result = run(app)

    assert result.exit_code == 1
    place = live_core.uri.removeprefix("http://")
    assert result.stdout.splitlines()[-1].endswith("0 warnings, 2 problems")
    assert line(result, "keys") == (
        f"problem keys no keys can be had from {place} (status 503), so nobody's token can be "
        "checked -> start the core, or correct connection_uri or SSR_SESSION_JWKS_URI"
    )
    live_core.start_key_server()
    assert run(app).exit_code == 0


@pytest.mark.parametrize(
    ("seconds", "finding"),
    [
        (3, "ok clock this machine and the key server tell the same time"),
        (30, "warning clock the key server's clock is 30 s ahead of ours"),
        (300, "problem clock the key server's clock is 5 min ahead of ours: tokens begin in the"),
        (-300, "problem clock the key server's clock is 5 min behind ours: tokens run out early"),
    ],
)
def test_clock_of_this_machine(
    example: MakeApp, monkeypatch: pytest.MonkeyPatch, seconds: float, finding: str
) -> None:
    app = example()
    wall = app.extensions["ssr_session"].clock.wall
    clock = SimpleNamespace(wall=lambda: wall() - seconds - 0.5)
    monkeypatch.setattr(app.extensions["ssr_session"], "clock", clock)

    # An answer that was on its way for long is a second older.
    assert line(run(app), "clock").startswith((finding, finding.replace("30 s", "29 s")))


def test_api_base_path_that_the_api_does_not_have(example: MakeApp) -> None:
    result = run(example({"API_BASE_PATH": "/api/auth"}))

    assert result.exit_code == 1
    assert line(result, "settings") == (
        "problem settings SSR_SESSION_API_BASE_PATH is not what the SDK in this process has -> "
        "leave SSR_SESSION_API_BASE_PATH out: the SDK's value is used then"
    )
    assert "below /api/auth (status 404) ->" in line(result, "refresh_api")


def test_issuer_that_the_sdk_does_not_write(example: MakeApp, site: Site) -> None:
    result = run(example({"ISSUER": "https://example.com/auth"}))

    assert result.exit_code == 1
    assert line(result, "settings").startswith(
        "problem settings SSR_SESSION_ISSUER is not the issuer that the SDK writes, so no token"
    )
    assert run(example({"ISSUER": f"{site.url}/auth"})).exit_code == 0


def test_override_that_does_not_render(example: MakeApp) -> None:
    app = example()
    broken = {"refresh_page.html": "{% macro refresh_page() %}{{ nothing.at.all }}{% endmacro %}"}
    app.jinja_loader = ChoiceLoader([DictLoader(broken), app.jinja_loader])  # type: ignore[list-item]
    result = run(app)

    assert result.exit_code == 1
    assert line(result, "templates").startswith(
        "problem templates refresh_document.html or refresh_page.html of the app failed with "
        "UndefinedError"
    )


def test_override_that_renders(example: MakeApp) -> None:
    app = example()
    sound = (
        "{% from 'flask_ssr_session/refresh_page.html' import refresh_page as original %}"
        "{% macro refresh_page() %}<b>Wait</b>{{ original() }}{% endmacro %}"
    )
    loaders = [DictLoader({"refresh_page.html": sound}), app.jinja_loader]
    app.jinja_loader = ChoiceLoader(loaders)  # type: ignore[arg-type]
    result = run(app)

    assert result.exit_code == 0
    assert line(result, "templates") == (
        "ok templates the app's own templates show every page of ours"
    )


def test_override_that_fails_in_an_outage_alone(example: MakeApp) -> None:
    app = example()
    broken = (
        "{% from 'flask_ssr_session/refresh_page.html' import refresh_page as original %}"
        "{% macro refresh_page() %}{{ original() }}"
        "{% if ssr_refresh_view().page == 'outage' %}{{ nothing.at.all }}{% endif %}{% endmacro %}"
    )
    loaders = [DictLoader({"refresh_page.html": broken}), app.jinja_loader]
    app.jinja_loader = ChoiceLoader(loaders)  # type: ignore[arg-type]

    assert line(run(app), "templates").startswith("problem templates")


def test_override_is_shown_what_the_hooks_of_the_app_set(example: MakeApp) -> None:
    app = example()
    asking = (
        "{% from 'flask_ssr_session/refresh_page.html' import refresh_page as original %}"
        "{% macro refresh_page() %}{{ g.menu.title }}{{ original() }}{% endmacro %}"
    )
    loaders = [DictLoader({"refresh_page.html": asking}), app.jinja_loader]
    app.jinja_loader = ChoiceLoader(loaders)  # type: ignore[arg-type]

    @app.before_request
    def set_menu() -> None:
        g.menu = {"title": "Menu"}

    assert line(run(app), "templates").startswith("ok templates")


def test_app_that_fails_in_debug_is_a_line_and_no_traceback() -> None:
    app = bare()
    app.testing = True

    @app.before_request
    def fail() -> None:
        raise ZeroDivisionError

    result = run(app, "--offline", "--url", "https://www.example.com")

    assert result.exit_code == 1
    assert "(the app failed with ZeroDivisionError)" in line(result, "refresh_page")


def test_decorator_above_its_route(example: MakeApp) -> None:
    app = example()

    @session_required
    @app.get("/secret")
    def secret() -> str:
        return "secret"

    result = run(app)

    assert result.exit_code == 1
    assert line(result, "decorators").startswith(
        "problem decorators The view of endpoint 'secret' runs without the session decorator"
    )
    assert len(result.stdout.splitlines()) == 2


def test_content_policy_that_stops_the_script(example: MakeApp) -> None:
    app = example()

    @app.after_request
    def forbid(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = "default-src 'self'; script-src 'none'"
        return response

    result = run(app)

    assert result.exit_code == 1
    assert line(result, "csp").startswith(
        "problem csp the Content-Security-Policy stops the refresh page (script-src) -> allow"
    )


def test_sign_in_url_that_leads_nowhere(example: MakeApp) -> None:
    result = run(example({"LOGIN_URL": "/nowhere"}))

    assert result.exit_code == 1
    assert line(result, "sign_in") == (
        "problem sign_in there is no sign-in page where visitors are sent to -> set "
        "SSR_SESSION_LOGIN_URL to the sign-in page, or website_base_path of the SDK"
    )


def test_sign_in_page_that_asks_for_a_session(example: MakeApp) -> None:
    result = run(example({"LOGIN_URL": "/account"}))

    assert line(result, "sign_in").startswith(
        "problem sign_in the sign-in page itself asks for a session, so nobody can ever sign in"
    )


def test_hook_that_stands_before_the_refresh_page(example: MakeApp) -> None:
    app = example()
    app.before_request(lambda: ("Members only", 403))
    result = run(app, "--offline")

    assert result.exit_code == 1
    assert line(result, "refresh_page").startswith(
        "problem refresh_page /refresh-session shows no refresh page (status 403) -> let hooks"
    )


def test_view_of_the_app_that_answers_in_place_of_the_refresh_page(example: MakeApp) -> None:
    app = example()
    app.view_functions["ssr_session.refresh"] = lambda: "One moment"
    result = run(app, "--offline")

    assert line(result, "refresh_page") == (
        "problem refresh_page /refresh-session shows no refresh page (status 200) -> let hooks of "
        "the app, and what stands before it, pass the endpoint 'ssr_session.refresh' and all below "
        "it; remove a view of your own at that address"
    )


def test_script_that_a_proxy_keeps_back(example: MakeApp, site: Site) -> None:
    app = example()
    served = app.wsgi_app

    def without_scripts(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"].endswith(".js"):
            environ["PATH_INFO"] = "/gone"
        return served(environ, start_response)

    app.wsgi_app = without_scripts  # type: ignore[method-assign]
    site.show(app)

    assert line(run(app), "script").startswith(
        "problem script the refresh page's script is not there (status 404) -> let proxies"
    )


def test_secure_cookies_on_plain_http(example: MakeApp) -> None:
    result = run(
        example({"API_DOMAIN": "http://www.example.com"}, cookie_secure=True),
        "--offline",
        "--url",
        "http://www.example.com",
    )

    assert line(result, "cookie_secure") == (
        "problem cookie_secure session cookies are Secure, and over plain http to "
        "www.example.com no browser keeps or sends those -> serve it over https; in development "
        "alone, session.init(cookie_secure=False)"
    )


def test_site_that_is_not_started(example: MakeApp) -> None:
    app = example()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        result = run(app, "--url", f"http://localhost:{port}")

    assert line(result, "refresh_page") == (
        f"problem refresh_page nothing answers at localhost:{port} (the connection failed "
        "(ConnectionRefusedError)) -> start the site, name it with --url, or pass --offline"
    )


@pytest.mark.parametrize("lets_in", [True, False])
def test_api_elsewhere_has_to_let_the_pages_in(example: MakeApp, site: Site, lets_in: bool) -> None:
    api = example()
    asked: list[str | None] = []

    @api.before_request
    def answer_preflight() -> Response | None:
        if request.method != "OPTIONS":
            return None
        asked.append(request.headers.get("Access-Control-Request-Method"))
        response = Response()
        if lets_in:
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Allow-Credentials"] = "true"
        response.headers["Access-Control-Allow-Headers"] = request.headers[
            "Access-Control-Request-Headers"
        ]
        return response

    shown = line(run(bare(api_domain=site.url), "--url", "http://localhost:1"), "cors")

    assert shown.startswith(
        f"ok cors the API at localhost:{site.port} lets pages of http://localhost:1 refresh"
        if lets_in
        else f"problem cors the API at localhost:{site.port} does not name the site in Access-"
    )
    assert asked == ["POST"]


def test_clock_is_compared_with_the_api_where_no_keys_are_fetched(
    example: MakeApp, site: Site
) -> None:
    example()
    pages = bare(api_domain=site.url, jwks={"keys": [SessionSigner("s-1").jwk()]})

    assert line(run(pages, "--url", site.url), "clock") == (
        "ok clock this machine and the API tell the same time"
    )


def test_offline_asks_nobody(example: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    app = example()

    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    result = run(app, "--offline")

    assert result.exit_code == 0
    assert line(result, "csp").startswith("ok csp")
    assert "keys" not in [row.split()[1] for row in result.stdout.splitlines()]


# --- one token -----------------------------------------------------------------------------------


def signed_in(app: Flask) -> str:
    """Sign somebody up and return the access token."""
    fields = [
        {"id": "email", "value": "ada@example.test"},
        {"id": "password", "value": "correct horse 1"},
    ]
    client = app.test_client()
    client.post("/auth/signup", json={"formFields": fields}, headers={"st-auth-mode": "cookie"})
    cookie = client.get_cookie("sAccessToken")
    assert cookie is not None
    return cookie.value


def test_good_token_is_explained_and_not_repeated(example: MakeApp) -> None:
    app = example()
    token = signed_in(app)
    result = run(app, "--token", "-", input=f"sAccessToken={token}\n")

    assert result.exit_code == 0
    assert line(result, "token") == "ok token the token proves a session"
    assert line(result, "sub") == "ok sub present"
    assert line(result, "st-role").startswith("ok st-role present, fetched ")
    payload = json.loads(decode_base64url(token.split(".")[1].encode()))
    secrets = {*token.split("."), *(value for value in payload.values() if isinstance(value, str))}
    # "public" and the like are words of ours, too.
    assert not [value for value in secrets if len(value) > 8 and value in result.output]


def test_token_of_another_core_is_refused(example: MakeApp) -> None:
    signer = SessionSigner("d-1700000000000")
    result = run(example(), "--token", "-", input=signer.sign(signer.claims()))

    assert result.exit_code == 1
    assert line(result, "token").startswith(
        "problem token the token is refused: no key of the key set signed it"
    ) or line(result, "token").startswith("problem token nothing is known about the token")


def test_token_is_looked_at_offline_as_far_as_that_goes(example: MakeApp) -> None:
    app = example()
    result = run(app, "--token", "-", "--offline", input=signed_in(app))

    assert result.exit_code == 0
    assert line(result, "token").startswith(
        "warning token well formed and in time; the signature was not checked"
    )


def test_token_on_the_command_line_is_refused_and_not_repeated() -> None:
    app = Flask("arguments")
    FlaskSSRSession(app, api_domain="https://api.example.com")
    result = run(app, "--token", "eyJhbGciOiJSUzI1NiJ9.x.y")

    assert result.exit_code == 2
    assert "--token -" in result.output
    assert "eyJ" not in result.output


# --- without an SDK ------------------------------------------------------------------------------


def bare(**settings: Any) -> Flask:
    app = Flask("bare")
    FlaskSSRSession(app, **{"api_domain": "https://api.example.com", **settings})
    return app


def test_address_is_needed_where_no_sdk_tells_it() -> None:
    app = bare()

    assert line(run(app, "--offline"), "site").startswith("warning site nobody says where")
    assert "site seen from https://www.example.com" in line(
        run(app, "--offline", "--url", "https://www.example.com/"), "site"
    )


def test_server_name_tells_the_address() -> None:
    app = bare()
    app.config.update(SERVER_NAME="www.example.com", PREFERRED_URL_SCHEME="https")

    assert "seen from https://www.example.com," in line(run(app, "--offline"), "site")


def test_mount_point_belongs_to_the_address() -> None:
    result = run(bare(), "--offline", "--url", "https://www.example.com/mounted/")

    assert line(result, "refresh_page") == "ok refresh_page /refresh-session shows it"


@pytest.mark.parametrize("url", ["www.example.com", "ftp://x.example", "https://x.example/?a=1"])
def test_address_that_is_none_is_refused(url: str) -> None:
    result = run(bare(), "--url", url)

    assert result.exit_code == 2
    assert "for example https://www.example.com" in result.output


def test_missing_api_domain_is_named() -> None:
    result = run(bare(api_domain=None))

    assert result.exit_code == 1
    assert "SSR_SESSION_API_DOMAIN" in line(result, "setup")


def test_static_keys_are_looked_at_without_network() -> None:
    static = SessionSigner("s-test").jwk()
    assert "1 key (1 static) in SSR_SESSION_JWKS" in line(
        run(bare(jwks={"keys": [static]}), "--offline"), "keys"
    )
    dynamic = SessionSigner("d-1700000000000").jwk()
    assert line(run(bare(jwks={"keys": [dynamic]}), "--offline"), "keys").startswith(
        "warning keys SSR_SESSION_JWKS holds dynamic keys"
    )


# --- how it looks --------------------------------------------------------------------------------


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    app = bare()

    assert "\x1b[" not in run(app, "--offline").output
    assert "\x1b[33mwarning" in run(app, "--offline", color=True).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in run(app, "--offline", color=True).output


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_token_that_is_typed_in_a_terminal_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text(
        "from flask import Flask\n"
        "from flask_ssr_session import FlaskSSRSession\n"
        "app = Flask('typed')\n"
        "FlaskSSRSession(app, api_domain='https://api.example.com')\n"
    )
    signer = SessionSigner()
    token = signer.sign(signer.claims())
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "flask", "--app", "typed", "ssr-session", "doctor"]
    with subprocess.Popen(
        [*command, "--offline", "--token", "-"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        start_new_session=True,
    ) as process:
        os.close(theirs)
        shown = _shown(ours, until=b"(not shown)")
        os.write(ours, token.encode() + b"\n")
        shown += _shown(ours)
        os.close(ours)
        assert process.wait() == 0

    assert "\x1b[33mwarning" in shown
    assert "well formed and in time" in shown
    assert not [part for part in token.split(".") if part in shown]


def _shown(terminal: int, until: bytes | None = None) -> str:
    """Return what a terminal shows from now on, to its end where nothing else is said."""
    shown = b""
    while until is None or until not in shown:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # as Linux says that nobody is at the other end any more
            break
        if not chunk:
            break
        shown += chunk
    return shown.decode()


NOTHING_LOADED = """
import sys
from flask import Flask
from flask_ssr_session import FlaskSSRSession
FlaskSSRSession(Flask("lazy"), api_domain="https://api.example.com")
names = [name.partition(".")[2] for name in sys.modules if name.startswith("flask_ssr_session.")]
sys.stdout.write(",".join(name for name in names if name.startswith(("checkup", "doctor"))))
"""


def test_serving_loads_nothing_of_the_doctor() -> None:
    result = subprocess.run(
        [sys.executable, "-c", NOTHING_LOADED], capture_output=True, text=True, check=True
    )

    assert result.stdout == ""
