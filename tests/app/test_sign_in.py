"""The sign-in page: where visitors are sent, and which requests a hook for the whole app admits.

``SSR_SESSION_LOGIN_URL`` is a path or a URL, an endpoint, or a function of the request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Request, g, render_template_string, request, url_for
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

import flask_ssr_session as ssr
from flask_ssr_session.testing import sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows
from tests.tokens import expired_token

from .apps import make_app, sdk_values
from .visitors import Logs, cookies

LoginURL = str | Callable[..., Any] | None

SECRET = "s3cr3t"  # must not appear in a log
ACCOUNTS = "https://accounts.example.com"
WEBSITE = "https://www.example.com"  # of the SDK
NO_SDK = None
GET_OR_POST = ["GET", "POST"]


def page(**_: str) -> str:
    """Stand for any view, and for the one page that serves all paths of the prebuilt UI."""
    return f"page by {request.method}"


def closed_app(login_url: Any, rules: Any, website: Any = "/auth", **sdk: Any) -> Flask:
    """Return an app that requires a session everywhere.

    :param rules: rule to endpoint.
    :param website: the SDK's website base path as it is normalised.
    """
    values = sdk_values(website_base_path=website, api_base_path="/api", **sdk)
    settings: dict[str, Any] = {"api_base_path": "/api", "redirect_origins": [ACCOUNTS]}
    app = make_app(login_url=login_url, sdk=None if website is NO_SDK else values, **settings)
    app.before_request(ssr.require_session)
    for rule, endpoint in rules.items():
        app.add_url_rule(rule, endpoint, page, methods=GET_OR_POST)
    return app


def sign_in_of(client: Client, path: str = "/private", **environ: Any) -> str:
    """Return where a visitor of *path* signs in, without the return path."""
    answer = client.get(path, headers=PAGE, **environ)
    assert answer.status_code == 302
    return answer.headers["Location"].partition("redirectToPath")[0][:-1]


def is_open(client: Client, asked: str, headers: Any = FETCH, **environ: Any) -> bool:
    """Return whether the view answered, and not this package."""
    method, _, path = asked.partition(" ")
    answer = client.open(path, method=method, headers=headers, **environ)
    assert answer.status_code in (200, 302, 401)
    return answer.status_code == 200 and "SSR-Session" not in answer.headers


# --- where a visitor is sent ---------------------------------------------------------------------


async def waits(_: Request) -> str:
    await asyncio.sleep(0)
    return "/in"


async def waits_for_nothing(_: Request) -> str:
    return "/in"


def raises(_: Request) -> str:
    raise LookupError(SECRET)


IN = {"/in": "sign_in"}
LED: dict[str, Any] = {
    "an endpoint": ("sign_in", IN, "/in"),
    "an endpoint of a blueprint": ("a.sign-in", {"/in": "a.sign-in"}, "/in"),
    "a slash at its end": ("sign_in", {"/in/": "sign_in"}, "/in/"),
    "letters beyond ASCII": ("sign_in", {"/é": "sign_in"}, "/%C3%A9"),
    "a function of the request": (lambda r: f"/in-{r.method.lower()}", {}, "/in-get"),
    "a function that builds it": (lambda _: url_for("in"), {"/é/": "in"}, "/%C3%A9/"),
    "a path with a query": (lambda _: "/in?a=%26", {}, "/in?a=%26"),
    "a coroutine that does not wait": (waits_for_nothing, {}, "/in"),
    "the SDK's website": (lambda _: f"{WEBSITE}/in", {}, f"{WEBSITE}/in"),
    "an origin of the settings": (lambda _: f"{ACCOUNTS}/in?a", {}, f"{ACCOUNTS}/in?a"),
}


@rows("login_url, rules, expected", LED)
def test_visitor_is_led_to_sign_in(login_url: Any, rules: Any, expected: str, caplog: Logs) -> None:
    client = closed_app(login_url, rules).test_client()
    assert sign_in_of(client) == expected
    # The refresh page leads there, too, and does not return there.
    refresh = client.get(f"/refresh-session?redirectBack={expected}", headers=PAGE).text
    assert f'data-sign-in="{expected.replace("%C3%A9", "é")}' in refresh.replace("&amp;", "&")
    assert 'redirectToPath=/"' in refresh or "://" in expected
    assert "login_url_failed" not in caplog.text


FAILS: dict[str, LoginURL] = {
    "raises": raises,
    "returns nothing": lambda _: None,
    "returns no text": lambda _: 5,
    "waits": waits,
    "an endpoint": lambda _: "private",
    "another site": lambda _: f"https://{SECRET}.example/in",
    "another port": lambda _: f"{ACCOUNTS}:8443/in",
    "a user": lambda _: "https://accounts.example.com@evil.example/in",
    "two slashes": lambda _: f"//{SECRET}.example/in",
    "a backslash, encoded": lambda _: f"/%5C{SECRET}.example",
    "dots": lambda _: f"/x/../{SECRET}",
    "a fragment": lambda _: f"/in#{SECRET}",
    "a line in its query": lambda _: f"/in?\n{SECRET}",
    "a script": lambda _: f"javascript:alert('{SECRET}')",
}


@rows("login_url", FAILS)
def test_function_that_fails_is_logged_and_the_default_used(login_url: Any, caplog: Logs) -> None:
    client = closed_app(login_url, {}).test_client()
    assert [sign_in_of(client) for _ in range(3)] == ["/auth"] * 3
    (message,) = (record.getMessage() for record in caplog.records if record.levelname == "ERROR")
    assert message.startswith("login_url_failed: SSR_SESSION_LOGIN_URL ")
    assert SECRET not in caplog.text


def test_function_is_called_once_per_request() -> None:
    calls: list[str] = []

    def login_url(asked: Request) -> str:
        calls.append(asked.path)
        # What leads to sign-in itself does not call it again.
        assert ssr.safe_return_path("/auth") == "/"
        return "/in"

    client = closed_app(login_url, IN).test_client()
    for path in ("/private", "/in", "/refresh-session?redirectBack=/in", "/static/none"):
        client.get(path, headers=PAGE)
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


def in_english(_endpoint: str, values: dict[str, Any]) -> None:
    values.setdefault("language", "en")


LANGUAGES = {"/<language>/in": "sign_in", "/<language>/news": "news", "/<language>/<x>/in": "deep"}


@rows("login_url", {"endpoint": "sign_in", "function": lambda _: url_for("sign_in")})
def test_sign_in_keeps_the_language_of_the_page(login_url: LoginURL) -> None:
    client = with_languages(closed_app(login_url, LANGUAGES)).test_client()
    # Without a language in its URL, the first request cannot tell either.
    assert sign_in_of(client) == "/en/in"
    assert sign_in_of(client, "/de/news") == "/de/in"
    assert is_open(client, "POST /de/in")
    assert not is_open(client, "GET /de/x/in")


@rows("login_url, expected", {"endpoint": ("sign_in", True), "path": (lambda _: "/en/in", False)})
def test_endpoint_is_sign_in_in_every_language(login_url: LoginURL, expected: bool) -> None:
    app = closed_app(login_url, LANGUAGES)
    app.url_defaults(in_english)  # links do not keep the language of the page
    assert sign_in_of(app.test_client(), "/de/news") == "/en/in"
    assert is_open(app.test_client(), "POST /de/in") is expected


def test_query_that_links_get_does_not_select_the_endpoint() -> None:
    app = closed_app("sign_in", IN)
    app.url_defaults(in_english)
    assert sign_in_of(app.test_client()) == "/in?language=en"
    assert is_open(app.test_client(), "POST /in")


def test_endpoint_without_its_argument_leads_to_the_default(caplog: Logs) -> None:
    client = with_languages(closed_app("sign_in", LANGUAGES), default=None).test_client()
    assert sign_in_of(client) == "/auth"
    assert "login_url_failed: SSR_SESSION_LOGIN_URL failed with BuildError" in caplog.text
    assert sign_in_of(client, "/de/news") == "/de/in"


UNREACHABLE: dict[str, Any] = {
    "an endpoint": ("/in", "sign_in", "GET", True),
    "another one": ("/in", "other", "GET", False),
    "no GET": ("/in", "sign_in", "POST", False),
    "an argument": ("/<language>/in", "sign_in", "GET", False),
}


@rows("rule, endpoint, method, is_right", UNREACHABLE)
def test_first_request_rejects_an_endpoint_that_no_link_can_lead_to(
    rule: str, endpoint: str, method: str, is_right: bool
) -> None:
    app = make_app(login_url="sign_in")
    app.add_url_rule(rule, endpoint, page, methods=[method])
    if is_right:
        assert app.test_client().get("/in").status_code == 200
        return
    with pytest.raises(ssr.ConfigError, match="LOGIN_URL is 'sign_in': the app has no such"):
        app.test_client().get("/in")


def test_page_for_an_untrusted_host_is_an_error_of_the_request_alone() -> None:
    app = closed_app("sign_in", IN)
    app.request_class = type("Careful", (Request,), {"trusted_hosts": ["localhost"]})
    app.register_error_handler(
        400, lambda _error: (render_template_string("{{ needs_refresh }}") + request.path, 400)
    )
    client = app.test_client()
    answer = client.get("/private", headers=PAGE, base_url="http://evil.example")
    assert (answer.status_code, answer.text) == (400, "True/private")
    assert sign_in_of(client, base_url="http://localhost") == "/in"


# --- what a hook opens ---------------------------------------------------------------------------

UI = {"/auth": "ui", "/auth/<path:rest>": "ui"}
SLASH = {"/auth/": "ui", "/auth/<path:rest>": "ui"}
BESIDE_ALL = {"/auth": "ui", "/<path:rest>": "other"}
ADMIN = UI | {"/admin": "admin", "/auth/admin": "admin", "/authentic": "ui"}
UI_IN = {"/in": "sign_in", "/in/<path:rest>": "sign_in"}
BESIDE = {"/in": "ui", "/auth/<path:rest>": "ui"}
OTHER_IN = {"/in": "other", "/auth/<path:rest>": "ui"}
# A catch-all view must not be open because it also serves sign-in.
SITE = {"/": "site", "/<path:rest>": "site"}
ABROAD = "https://accounts.example.com/auth"


OPEN: dict[str, Any] = {
    # The prebuilt UI's own pages, and what differs from them in one thing.
    "new password": (UI, None, "/auth", "GET /auth/reset-password?token=x", True),
    "POST below sign-in": (UI, None, "/auth", "POST /auth/mfa", False),
    "POST to sign-in at a path of its own": (UI, None, "/auth", "POST /auth", True),
    "other view below it": (ADMIN, None, "/auth", "GET /auth/admin", False),
    "no slash between": (ADMIN, None, "/auth", "GET /authentic", False),
    "slash that its route lacks": (BESIDE_ALL, None, "/auth", "GET /auth/", False),
    "dots": (UI, None, "/auth", "GET /auth/../admin", False),
    # Where sign-in and website base path are.
    "sign-in with a slash at its end": (SLASH, None, "/auth", "GET /auth/mfa", True),
    "no SDK: below sign-in": (UI, None, NO_SDK, "GET /auth/mfa", True),
    "below a sign-in path that was set": (UI_IN, "/in", "/auth", "GET /in/reset", True),
    "sign-in elsewhere, same view": (BESIDE, "/in", "/auth", "GET /auth/mfa", True),
    "sign-in elsewhere, other view": (OTHER_IN, "/in", "/auth", "GET /auth/mfa", False),
    "sign-in at another site": (UI, ABROAD, "/auth", "GET /auth/mfa", False),
    "whole site: sign-in": (SITE, None, "/auth", "GET /auth", True),
    "whole site: elsewhere": (SITE, None, "/auth", "GET /admin", False),
    "whole site: home page": (SITE, None, "/auth", "GET /", False),
    "base path /: sign-in": (SITE, None, "", "GET /", True),
    "base path /: POST": (SITE, None, "", "POST /", False),
    "base path /: below a sign-in path": (UI_IN, "/in", "", "GET /in/mfa", False),
    "by query: sign-in": (SITE, "/?signin", "/auth", "GET /?signin", True),
    "by query, with a fragment": (SITE, "/?signin#in", "/auth", "GET /?signin", True),
    "by query: home": (SITE, "/?signin", "/auth", "GET /", False),
    "by query: below the base path": (SITE, "/?signin", "/auth", "GET /auth/mfa", False),
    "by query: POST": (SITE, "/in?signin", "/auth", "POST /in?signin", False),
    "twin: POST without a query": (SITE, "/in", "/auth", "POST /in", True),
    # Of two values, some views read the first and others the last.
    "by value, with another parameter": (SITE, "/?page=in", "/auth", "GET /?page=in&x=1", True),
    "by value: the other first": (SITE, "/?page=in", "/auth", "GET /?page=a&page=in", False),
    "by value: the other last": (SITE, "/?page=in", "/auth", "GET /?page=in&page=a", False),
    "by two values: the first differs": (SITE, "/?p=in&q=", "/auth", "GET /?p=a&q=", False),
    # By its endpoint.
    "the endpoint": (IN, "sign_in", "/auth", "POST /in?a=b", True),
    "another endpoint": (IN | {"/other": "other"}, "sign_in", "/auth", "GET /other", False),
    "at any of its URLs": (IN | {"/login": "sign_in"}, "sign_in", "/auth", "POST /login", True),
    "the home page": ({"/": "sign_in"}, "sign_in", "/auth", "GET /", True),
    "the home page: POST": ({"/": "sign_in"}, "sign_in", "/auth", "POST /", False),
    "an endpoint that is called like a path": (IN | {"/x": "/in"}, "/in", "/auth", "GET /x", False),
    # A route for several pages: what lies below sign-in is open as it is for a path.
    "below the endpoint": (UI_IN, "sign_in", "/auth", "GET /in/mfa", True),
    "below the endpoint: POST": (UI_IN, "sign_in", "/auth", "POST /in/mfa", False),
    "a catch-all": (SITE, "site", "/auth", "GET /private/x", False),
    # By a function.
    "the result": (IN, lambda _: "/in", "/auth", "POST /in", True),
    "not the result": (IN, lambda _: "/out", "/auth", "POST /in", False),
    "the result for this request": ({"/a": "a"}, lambda r: f"/{r.endpoint}", "/", "GET /a", True),
    "a URL with this path": (IN, lambda _: f"{ACCOUNTS}/in", "/auth", "GET /in", False),
    "the default, if the function fails": (UI, raises, "/auth", "GET /auth", True),
}


@rows("rules, login_url, website, asked, expected", OPEN)
def test_hook_opens_sign_in_and_what_belongs_to_it(
    rules: dict[str, str], login_url: LoginURL, website: str | None, asked: str, expected: bool
) -> None:
    client = closed_app(login_url, rules, website).test_client(use_cookies=False)
    for name, cookie in (("stranger", {}), ("expired", cookies(expired_token()))):
        assert is_open(client, asked, FETCH | cookie) is expected, name


MOUNTED: dict[str, Any] = {
    "below the mount point": ("/shop", "/shop/auth", None, "/shop/auth/mfa", True),
    "of another app's UI": ("/shop", "/auth", None, "/shop/auth/mfa", False),
    "base path is the mount point": ("/shop", "/shop", None, "/shop/mfa", False),
    "sign-in is the mount point": ("/shop", "/shop", None, "/shop/", True),
    "base path is above it": ("/shop/eu", "/shop", None, "/shop/eu/mfa", False),
    "sign-in of another app": ("/shop", "/shop/auth", "/in", "/shop/auth/mfa", False),
    "sign-in of its own": ("/shop", "/shop/auth", "/shop/in", "/shop/auth/mfa", True),
    "and the UI of another app": ("/shop", "/auth", "/shop/in", "/shop/auth/mfa", False),
    "and the UI at the mount point": ("/shop", "/shop", "/shop/in", "/shop/admin", False),
}


@rows("mount, website, login_url, asked, expected", MOUNTED)
def test_mounted_app_opens_its_own_sign_in_alone(
    mount: str, website: str, login_url: LoginURL, asked: str, expected: bool
) -> None:
    app = closed_app(login_url, SITE, website)
    client = Client(DispatcherMiddleware(Flask("outer"), {mount: app}))
    assert is_open(client, f"GET {asked}") is expected


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
def test_mounted_app_leads_to_its_sign_in(login_url: LoginURL, mount: str, expected: str) -> None:
    client = closed_app(login_url, IN).test_client()
    environ: dict[str, Any] = {"environ_overrides": {"SCRIPT_NAME": mount}}
    assert sign_in_of(client, **environ) == expected
    assert is_open(client, "POST /in", **environ) is (expected != "/in")


SITE_TEST = "https://site.test"


HOSTS: dict[str, Any] = {
    "the site's": ("/auth", SITE_TEST, "site.test", "/auth", True),
    "written for it": ("/auth", SITE_TEST, "other.test", "/auth", True),
    "caught by another's": ("/auth", SITE_TEST, "admin.test", "/auth", False),
    "below the site's": ("/auth", SITE_TEST, "site.test", "/auth/mfa", True),
    "below another's": ("/auth", SITE_TEST, "admin.test", "/auth/mfa", False),
    "no SDK, caught by another's": ("/auth", NO_SDK, "admin.test", "/auth", False),
    "home page of another": ("/", SITE_TEST, "admin.test", "/", False),
    "no SDK, a home page": ("/", NO_SDK, "admin.test", "/", False),
    "the endpoint": ("site", NO_SDK, "site.test", "/auth", True),
    "the endpoint's path on another": ("site", NO_SDK, "admin.test", "/auth", False),
}


@rows("login_url, website, host, path, expected", HOSTS)
def test_sign_in_is_open_on_its_own_host(
    login_url: str, website: str | None, host: str, path: str, expected: bool
) -> None:
    app = Flask("hosts", host_matching=True, static_host="site.test")
    sdk = sdk_values(website_origin=website, api_base_path="/api")
    make_app(app, api_base_path="/api", login_url=login_url, sdk=sdk if website else None)
    app.before_request(ssr.require_session)
    app.url_defaults(in_english)
    for its_host, endpoint, rules in (
        ("site.test", "site", ["/auth", "/auth/<path:rest>"]),
        ("other.test", "other", ["/auth"]),
        ("admin.test", "admin", ["/<path:rest>"]),
    ):
        for rule in ["/", *rules]:
            app.add_url_rule(rule, endpoint, page, host=its_host, methods=GET_OR_POST)
    client, base_url = app.test_client(), f"https://{host}"
    assert is_open(client, f"GET {path}", base_url=base_url) is expected
    # A sign-in page that is the home page, and pages below sign-in, take safe methods only.
    posted = is_open(client, f"POST {path}", base_url=base_url)
    assert posted is (expected and path == "/auth")


@pytest.mark.parametrize("path", ["/auth/mfa", "/in?signin"])
def test_unsafe_request_in_the_dress_of_a_get_is_none_of_them(path: str) -> None:
    client = closed_app(path if "?" in path else None, UI | {"/in": "ui"}).test_client()
    assert is_open(client, f"GET {path}")
    websocket = {"Upgrade": "websocket", "Connection": "Upgrade"}
    for dress in ({"X-HTTP-Method-Override": "POST"}, websocket):
        assert client.get(path, headers=FETCH | dress).status_code != 200, dress


@pytest.mark.parametrize("login_url", ["/", "/?signin", "/in?signin"])
def test_sign_in_without_a_path_of_its_own_takes_no_post(caplog: Logs, login_url: str) -> None:
    caplog.set_level(logging.WARNING, "flask_ssr_session")
    client = closed_app(login_url, {"/": "home", "/in": "in"}).test_client()
    elsewhere = PAGE | {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    for _ in range(3):
        assert is_open(client, f"GET {login_url}", PAGE)
        # A page, not a loop and not an error of the developer's.
        assert client.post(login_url, headers=PAGE).status_code == 401
        assert client.post(login_url, headers=elsewhere).status_code == 403
    assert sum("sign_in_safe_only" in record.message for record in caplog.records) == 1
    sign_in(client)
    own = client.post(login_url, headers=PAGE | {"Sec-Fetch-Site": "same-origin"})
    assert own.text == "page by POST"
    assert client.post(login_url, headers=elsewhere).status_code == 403


def test_mark_on_the_view_keeps_post_where_sign_in_has_no_path_of_its_own() -> None:
    app = closed_app("/?signin", {})
    app.add_url_rule("/", "home", ssr.session_optional(lambda: "posted"), methods=GET_OR_POST)
    assert app.test_client().post("/?signin", headers=PAGE).text == "posted"


def test_page_below_sign_in_that_asks_for_a_session_leads_to_sign_in() -> None:
    """Only where sign-in itself asked for one, it would lead to itself."""
    app = closed_app(None, {})
    secret = ssr.session_required(lambda **_: "secret")
    app.add_url_rule("/auth", "ui", secret)
    app.add_url_rule("/auth/<path:rest>", "ui", secret)
    answer = app.test_client().get("/auth/settings", headers=PAGE)
    assert (answer.status_code, answer.location) == (302, "/auth?redirectToPath=/auth/settings")
