"""``SSR_SESSION_LOGIN_URL`` as an endpoint, and as a function of the request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Request, g, render_template_string, request, url_for
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from flask_ssr_session import ConfigError, FlaskSSRSession, require_session, safe_return_path
from flask_ssr_session.testing import install_test_keys
from tests.browser_requests import PAGE
from tests.tables import rows

from .conftest import API_DOMAIN, make_app, read_from, sdk_values

LoginURL = str | Callable[..., Any]

SECRET = "s3cr3t"  # must not appear in a log
ACCOUNTS = "https://accounts.example.com"
WEBSITE = "https://www.example.com"  # of the SDK
GET_OR_POST = ["GET", "POST"]


def view(**values: Any) -> str:
    return f"page {values}"


def closed_app(login_url: LoginURL, rules: dict[str, str]) -> Flask:
    """Return an app that requires a session everywhere.

    :param rules: rule to endpoint.
    """
    app = make_app(login_url=login_url, sdk=sdk_values(), redirect_origins=[ACCOUNTS])
    app.before_request(require_session)
    for rule, endpoint in {"/private": "private", **rules}.items():
        app.add_url_rule(rule, endpoint, view, methods=GET_OR_POST)
    return app


def sign_in_of(client: Client, path: str = "/private", **environ: Any) -> str:
    """Return where a visitor of *path* signs in, without the return path."""
    answer = client.get(path, headers=PAGE, **environ)
    assert answer.status_code == 302
    return answer.headers["Location"].partition("redirectToPath")[0][:-1]


def is_open(client: Client, asked: str, **environ: Any) -> bool:
    method, _, path = asked.partition(" ")
    answer = client.open(path, method=method, headers=PAGE, **environ)
    assert answer.status_code in (200, 302, 401)
    return answer.text.startswith("page ")


async def waits(_: Request) -> str:
    await asyncio.sleep(0)
    return "/in"


async def waits_for_nothing(_: Request) -> str:
    return "/in"


def raises(_: Request) -> str:
    raise LookupError(SECRET)


IN = {"/in": "sign_in"}


@rows(
    "login_url, rules, expected",
    {
        "an endpoint": ("sign_in", IN, "/in"),
        "an endpoint of a blueprint": ("a.sign-in", {"/in": "a.sign-in"}, "/in"),
        "a slash at its end": ("sign_in", {"/in/": "sign_in"}, "/in/"),
        "letters beyond ASCII": ("sign_in", {"/é": "sign_in"}, "/%C3%A9"),
        "a function of the request": (lambda r: f"/in-{r.method.lower()}", {}, "/in-get"),
        "a function with a query": (lambda _: "/in?how=mail", {}, "/in?how=mail"),
        "a function that builds it": (lambda _: url_for("in"), {"/é/": "in"}, "/%C3%A9/"),
        "a coroutine that does not wait": (waits_for_nothing, {}, "/in"),
        "the SDK's website": (lambda _: f"{WEBSITE}/in", {}, f"{WEBSITE}/in"),
        "an origin of the settings": (lambda _: f"{ACCOUNTS}/in?a", {}, f"{ACCOUNTS}/in?a"),
    },
)
def test_visitor_is_sent_where_the_setting_leads(
    login_url: LoginURL, rules: dict[str, str], expected: str, caplog: pytest.LogCaptureFixture
) -> None:
    client = closed_app(login_url, rules).test_client()
    assert sign_in_of(client) == expected
    # The refresh page leads there, too, and does not return there.
    refresh = client.get(f"/refresh-session?redirectBack={expected}", headers=PAGE).text
    assert f'data-sign-in="{expected.replace("%C3%A9", "é")}' in refresh.replace("&amp;", "&")
    assert 'redirectToPath=/"' in refresh or "://" in expected
    assert "login_url_failed" not in caplog.text


@rows(
    "login_url",
    {
        "raises": raises,
        "returns nothing": lambda _: None,
        "returns no text": lambda _: 5,
        "waits": waits,
        "an endpoint": lambda _: "private",
        "another site": lambda _: f"https://{SECRET}.example/in",
        "another scheme": lambda _: "http://accounts.example.com/in",
        "another port": lambda _: f"{ACCOUNTS}:8443/in",
        "a user": lambda _: "https://accounts.example.com@evil.example/in",
        "two slashes": lambda _: f"//{SECRET}.example/in",
        "two slashes, encoded": lambda _: f"/%2f{SECRET}.example/in",
        "a backslash": lambda _: f"/\\{SECRET}.example",
        "a backslash, encoded": lambda _: f"/%5C{SECRET}.example",
        "a tab": lambda _: f"/\t/{SECRET}.example",
        "a fragment": lambda _: f"/in#{SECRET}",
        "a line in its query": lambda _: f"/in?\n{SECRET}",
        "dots": lambda _: f"/x/../{SECRET}",
        "a script": lambda _: f"javascript:alert('{SECRET}')",
    },
)
def test_function_that_fails_leads_to_the_default_and_is_logged(
    login_url: LoginURL, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "flask_ssr_session")
    client = closed_app(login_url, {}).test_client()
    assert [sign_in_of(client) for _ in range(3)] == ["/auth"] * 3
    (record,) = caplog.records
    assert record.getMessage().startswith("login_url_failed: SSR_SESSION_LOGIN_URL ")
    assert SECRET not in caplog.text


UI = {"/in": "sign_in", "/in/<path:rest>": "sign_in"}
SITE = {"/": "site", "/<path:rest>": "site"}


@rows(
    "login_url, rules, asked, expected",
    {
        "the endpoint": ("sign_in", IN, "GET /in", True),
        "the endpoint: POST": ("sign_in", IN, "POST /in", True),
        "another endpoint": ("sign_in", IN, "GET /private", False),
        "at any of its URLs": ("sign_in", IN | {"/login": "sign_in"}, "POST /login", True),
        "with any query": ("sign_in", IN, "POST /in?a=b", True),
        "the home page": ("sign_in", {"/": "sign_in"}, "GET /", True),
        "the home page: POST": ("sign_in", {"/": "sign_in"}, "POST /", False),
        "an endpoint that is called like a path": ("/in", IN | {"/x": "/in"}, "GET /x", False),
        # A route for several pages: what lies below sign-in is open as it is for a path.
        "below the endpoint": ("sign_in", UI, "GET /in/mfa", True),
        "below the endpoint: POST": ("sign_in", UI, "POST /in/mfa", False),
        "a catch-all": ("site", SITE, "GET /private/x", False),
        "the result": (lambda _: "/in", IN, "POST /in", True),
        "not the result": (lambda _: "/out", IN, "POST /in", False),
        "the result for this request": (lambda r: f"/{r.endpoint}", {"/a": "a"}, "GET /a", True),
        "the result by its query": (lambda _: "/in?a", IN, "GET /in?a", True),
        "the result without its query": (lambda _: "/in?a", IN, "GET /in", False),
        "below the result": (lambda _: "/in", UI, "GET /in/mfa", True),
        "a URL with this path": (lambda _: f"{ACCOUNTS}/in", IN, "GET /in", False),
        "the default, if the function fails": (raises, {"/auth": "auth"}, "GET /auth", True),
    },
)
def test_hook_opens_the_page_that_the_setting_leads_to(
    login_url: LoginURL, rules: dict[str, str], asked: str, expected: bool
) -> None:
    assert is_open(closed_app(login_url, rules).test_client(), asked) is expected


def test_function_is_called_once_per_request() -> None:
    calls: list[str] = []

    def login_url(asked: Request) -> str:
        calls.append(asked.path)
        # What leads to sign-in itself does not call it again.
        assert safe_return_path("/auth") == "/"
        return "/in"

    app = closed_app(login_url, IN)
    client = app.test_client()
    client.get("/private", headers=PAGE)
    client.get("/in", headers=PAGE)
    client.get("/refresh-session?redirectBack=/in", headers=PAGE)
    client.get("/static/none", headers=PAGE)
    assert calls == ["/private", "/in", "/refresh-session"]


def with_languages(app: Flask, default: str | None = "en") -> Flask:
    """Let every URL of *app* begin with a language, which links keep."""

    @app.url_value_preprocessor
    def read(_endpoint: str | None, values: dict[str, Any] | None) -> None:
        g.language = (values or {}).pop("language", default)

    @app.url_defaults
    def write(endpoint: str, values: dict[str, Any]) -> None:
        if g.language and app.url_map.is_endpoint_expecting(endpoint, "language"):
            values.setdefault("language", g.language)

    return app


LANGUAGES = {"/<language>/in": "sign_in", "/<language>/news": "news", "/<language>/<x>/in": "deep"}


@rows("login_url", {"endpoint": "sign_in", "function": lambda _: url_for("sign_in")})
def test_sign_in_keeps_the_language_of_the_page(login_url: LoginURL) -> None:
    client = with_languages(closed_app(login_url, LANGUAGES)).test_client()
    # Without a language in its URL, the first request cannot tell either.
    assert sign_in_of(client) == "/en/in"
    assert sign_in_of(client, "/de/news") == "/de/in"
    for asked, expected in (("POST /de/in", True), ("GET /de/x/in", False)):
        assert is_open(client, asked) is expected, asked


@rows("login_url, expected", {"endpoint": ("sign_in", True), "path": (lambda _: "/en/in", False)})
def test_endpoint_is_sign_in_in_every_language(login_url: LoginURL, expected: bool) -> None:
    app = closed_app(login_url, LANGUAGES)
    # Links do not keep the language of the page.
    app.url_defaults(lambda _endpoint, values: values.setdefault("language", "en"))
    client = app.test_client()
    assert sign_in_of(client, "/de/news") == "/en/in"
    assert is_open(client, "POST /de/in") is expected


def test_query_that_links_get_does_not_select_the_endpoint() -> None:
    app = closed_app("sign_in", IN)
    app.url_defaults(lambda _endpoint, values: values.setdefault("language", "en"))
    assert sign_in_of(app.test_client()) == "/in?language=en"
    assert is_open(app.test_client(), "POST /in")


def test_endpoint_without_its_argument_leads_to_the_default(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = with_languages(closed_app("sign_in", LANGUAGES), default=None).test_client()
    assert sign_in_of(client) == "/auth"
    assert "login_url_failed: SSR_SESSION_LOGIN_URL failed with BuildError" in caplog.text
    assert sign_in_of(client, "/de/news") == "/de/in"


@rows(
    "login_url, mount, expected",
    {
        "an endpoint": ("sign_in", "/shop", "/shop/in"),
        "a function that builds it": (lambda _: url_for("sign_in"), "/shop", "/shop/in"),
        "a path of the whole host": (lambda _: "/in", "/shop", "/in"),
        # A proxy's header may say so.
        "a mount point that names a host": ("sign_in", "//evil.example", "/auth"),
    },
)
def test_mounted_app(login_url: LoginURL, mount: str, expected: str) -> None:
    app = closed_app(login_url, IN)
    client = Client(DispatcherMiddleware(Flask("outer"), {mount: app}))
    environ = {"SCRIPT_NAME": mount} if mount.startswith("//") else {}
    client = app.test_client() if environ else client
    path = "/private" if environ else f"{mount}/private"
    assert sign_in_of(client, path, environ_overrides=environ) == expected
    assert is_open(client, f"POST {path.removesuffix('private')}in") is (expected != "/in")


def test_endpoint_on_another_host_is_sign_in_there_alone() -> None:
    app = Flask("hosts", host_matching=True, static_host="site.test")
    app.testing = True
    FlaskSSRSession(app, api_domain=API_DOMAIN, login_url="sign_in")
    read_from(app, lambda: None)
    install_test_keys(app)
    app.before_request(require_session)
    app.url_defaults(lambda _endpoint, values: values.setdefault("language", "en"))
    app.add_url_rule("/<language>/in", "sign_in", view, host="site.test", methods=GET_OR_POST)
    app.add_url_rule("/<path:rest>", "admin", view, host="admin.test", methods=GET_OR_POST)
    client = app.test_client()
    site, admin = {"base_url": "http://site.test"}, {"base_url": "http://admin.test"}
    assert sign_in_of(client, "/private", **admin) == "http://site.test/en/in"
    for host, expected in ((site, True), (admin, False)):
        assert is_open(client, "POST /en/in", **host) is expected


@rows(
    "rule, methods, is_right",
    {
        "an endpoint": ("/in", ["GET"], True),
        "another one": ("", ["GET"], False),
        "no GET": ("/in", ["POST"], False),
        "an argument": ("/<language>/in", ["GET"], False),
    },
)
def test_first_request_rejects_an_endpoint_that_no_link_can_lead_to(
    rule: str, methods: list[str], is_right: bool
) -> None:
    app = make_app(login_url="sign_in")
    app.add_url_rule(rule or "/in", "sign_in" if rule else "other", view, methods=methods)
    if is_right:
        app.test_client().get("/in")
        return
    with pytest.raises(
        ConfigError, match="SSR_SESSION_LOGIN_URL is 'sign_in': the app has no such"
    ):
        app.test_client().get("/in")


def test_page_for_an_untrusted_host_is_an_error_of_the_request_alone() -> None:
    app = closed_app("sign_in", IN)
    app.config["TRUSTED_HOSTS"] = ["localhost"]
    app.register_error_handler(
        400, lambda _error: (render_template_string("{{ needs_refresh }}") + request.path, 400)
    )
    answer = app.test_client().get("/private", headers=PAGE, base_url="http://evil.example")
    assert (answer.status_code, answer.text) == (400, "True/private")
