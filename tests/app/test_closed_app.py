"""An app-wide ``require_session``: which sign-in requests it admits, and which it never admits."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

from flask_ssr_session import (
    FlaskSSRSession,
    app_state,
    require_session,
    session_optional,
    session_required,
)
from flask_ssr_session.testing import expire, install_test_keys, sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tokens import expired_token

from .conftest import cookies, make_app, sdk_values

BOTH = ["GET", "POST"]


def ui(rest: str = "") -> str:
    """Stand for the view that serves SuperTokens' prebuilt UI: one page for all its paths."""
    return f"{request.method} {rest}"


def closed_app(
    monkeypatch: pytest.MonkeyPatch,
    rules: dict[str, str],
    *,
    website: str | None = "/auth",
    **settings: Any,
) -> Flask:
    """Return an app that requires a session everywhere.

    :param rules: rule to endpoint; all endpoints answer by :func:`ui`.
    :param website: the SDK's website base path as it is normalised; None without an SDK.
    """
    sdk = (
        sdk_values(website_base_path=website, api_base_path="/api") if website is not None else None
    )
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk)
    app = make_app(api_base_path="/api", **settings)
    app.before_request(require_session)
    for rule, endpoint in rules.items():
        app.add_url_rule(rule, endpoint, app.view_functions.get(endpoint, ui), methods=BOTH)
    return app


def passes(response: TestResponse) -> bool:
    """Return whether the view answered, and not this package."""
    assert response.status_code in (200, 302, 401)
    return response.status_code == 200 and "SSR-Session" not in response.headers


UI = {"/auth": "ui", "/auth/<path:rest>": "ui"}
WITH_ADMIN = UI | {"/admin": "admin", "/auth/admin": "admin", "/authentic": "ui"}
WHOLE_SITE = {"/": "site", "/<path:rest>": "site"}


@pytest.mark.parametrize(
    ("rules", "options", "asked", "is_open"),
    [
        # The prebuilt UI's own pages, and what differs from them in one thing.
        pytest.param(UI, {}, "GET /auth/reset-password?token=x", True, id="new password"),
        pytest.param(UI, {}, "GET /auth/verify-email?token=x", True, id="verify e-mail"),
        pytest.param(UI, {}, "GET /auth/callback/google?code=x", True, id="callback"),
        pytest.param(UI, {}, "GET /auth/mfa", True, id="second factor"),
        pytest.param(UI, {}, "HEAD /auth/mfa", True, id="HEAD"),
        pytest.param(UI, {}, "POST /auth/mfa", False, id="POST below sign-in"),
        pytest.param(UI, {}, "POST /auth", True, id="POST to sign-in at a path of its own"),
        pytest.param(WITH_ADMIN, {}, "GET /auth/mfa", True, id="UI beside other views"),
        pytest.param(WITH_ADMIN, {}, "GET /auth/admin", False, id="other view below it"),
        pytest.param(WITH_ADMIN, {}, "GET /authentic", False, id="no slash between"),
        pytest.param(
            {"/auth": "ui", "/auth/<path:rest>": "other"},
            {},
            "GET /auth/mfa",
            False,
            id="other view for all below it",
        ),
        pytest.param(UI, {}, "GET /auth/../admin", False, id="dots"),
        pytest.param(UI, {}, "GET /auth/%2e%2e/admin", False, id="encoded dots"),
        pytest.param(UI, {}, "GET /auth/%252e%252e/admin", False, id="dots encoded twice"),
        pytest.param(UI, {}, "GET /auth%2fmfa", True, id="encoded slash, the same to the router"),
        pytest.param(UI, {}, "GET /auth/..%5cadmin", False, id="backslash"),
        pytest.param(UI, {}, "GET /auth/mfa/", True, id="slash at the end"),
        # Where sign-in and website base path are.
        pytest.param(
            {"/auth/": "ui", "/auth/<path:rest>": "ui"},
            {},
            "GET /auth/mfa",
            True,
            id="sign-in with a slash at its end",
        ),
        pytest.param(UI, {"website": None}, "GET /auth/mfa", True, id="no SDK: below sign-in"),
        pytest.param(
            {"/sign-in": "ui", "/sign-in/<path:rest>": "ui"},
            {"login_url": "/sign-in"},
            "GET /sign-in/reset",
            True,
            id="below a sign-in path that was set",
        ),
        pytest.param(
            {"/sign-in": "ui", "/auth/<path:rest>": "ui"},
            {"login_url": "/sign-in"},
            "GET /auth/mfa",
            True,
            id="sign-in elsewhere, same view",
        ),
        pytest.param(
            {"/sign-in": "other", "/auth/<path:rest>": "ui"},
            {"login_url": "/sign-in"},
            "GET /auth/mfa",
            False,
            id="sign-in elsewhere, other view",
        ),
        pytest.param(
            UI,
            {"login_url": "https://accounts.example.com/auth"},
            "GET /auth/mfa",
            False,
            id="sign-in at another site",
        ),
        pytest.param(
            WHOLE_SITE,
            {"login_url": "https://accounts.example.com/auth"},
            "GET /auth/mfa",
            False,
            id="whole site: sign-in at another site",
        ),
        # A catch-all view must not be open because it also serves sign-in.
        pytest.param(WHOLE_SITE, {}, "GET /auth", True, id="whole site: sign-in"),
        pytest.param(WHOLE_SITE, {}, "GET /auth/mfa", True, id="whole site: below sign-in"),
        pytest.param(WHOLE_SITE, {}, "GET /admin", False, id="whole site: elsewhere"),
        pytest.param(WHOLE_SITE, {}, "GET /", False, id="whole site: home page"),
        pytest.param(WHOLE_SITE, {"website": ""}, "GET /", True, id="base path /: sign-in"),
        pytest.param(WHOLE_SITE, {"website": ""}, "POST /", False, id="base path /: POST"),
        pytest.param(WHOLE_SITE, {"website": ""}, "GET /admin", False, id="base path /: page"),
        pytest.param(
            {"/in": "ui", "/in/<path:rest>": "ui"},
            {"website": "", "login_url": "/in"},
            "GET /in/mfa",
            False,
            id="base path /: below a sign-in path that was set",
        ),
        pytest.param(
            WHOLE_SITE, {"login_url": "/?signin"}, "GET /?signin", True, id="by query: sign-in"
        ),
        pytest.param(WHOLE_SITE, {"login_url": "/?signin"}, "GET /", False, id="by query: home"),
        pytest.param(
            WHOLE_SITE,
            {"login_url": "/?signin"},
            "GET /auth/mfa",
            False,
            id="by query: below the base path",
        ),
        pytest.param(
            WHOLE_SITE,
            {"login_url": "/in?signin"},
            "GET /in/page?signin",
            False,
            id="by query: below its path",
        ),
        pytest.param(
            WHOLE_SITE, {"login_url": "/in?signin"}, "POST /in?signin", False, id="by query: POST"
        ),
        pytest.param(
            WHOLE_SITE, {"login_url": "/in"}, "POST /in", True, id="twin: POST without a query"
        ),
    ],
)
@pytest.mark.parametrize("cookie", [{}, cookies(expired_token())], ids=["stranger", "expired"])
def test_hook_opens_sign_in_and_what_belongs_to_it(
    monkeypatch: pytest.MonkeyPatch,
    cookie: dict[str, str],
    rules: dict[str, str],
    options: dict[str, Any],
    asked: str,
    is_open: bool,
) -> None:
    method, _, path = asked.partition(" ")
    client = closed_app(monkeypatch, rules, **options).test_client(use_cookies=False)

    assert passes(client.open(path, method=method, headers=FETCH | cookie)) == is_open


@pytest.mark.parametrize(
    ("mount", "website", "login_url", "asked", "is_open"),
    [
        pytest.param(
            "/shop", "/shop/auth", None, "/shop/auth/mfa", True, id="below the mount point"
        ),
        pytest.param("/shop", "/auth", None, "/shop/auth/mfa", False, id="of another app's UI"),
        pytest.param("/shop", "/shop", None, "/shop/mfa", False, id="base path is the mount point"),
        pytest.param("/shop", "/shop", None, "/shop/", True, id="sign-in is the mount point"),
        pytest.param("/shop/eu", "/shop", None, "/shop/eu/mfa", False, id="base path is above it"),
        pytest.param(
            "/shop", "/shop/auth", "/in", "/shop/auth/mfa", False, id="sign-in of another app"
        ),
        pytest.param(
            "/shop", "/shop/auth", "/shop/in", "/shop/auth/mfa", True, id="sign-in of its own"
        ),
        pytest.param(
            "/shop", "/auth", "/shop/in", "/shop/auth/mfa", False, id="and the UI of another app"
        ),
        pytest.param(
            "/shop", "/shop", "/shop/in", "/shop/admin", False, id="and the UI at the mount point"
        ),
    ],
)
def test_mounted_app_opens_its_own_sign_in_alone(
    monkeypatch: pytest.MonkeyPatch,
    mount: str,
    website: str,
    login_url: str | None,
    asked: str,
    is_open: bool,
) -> None:
    app = closed_app(monkeypatch, WHOLE_SITE, website=website, login_url=login_url)
    client = Client(DispatcherMiddleware(Flask("outer"), {mount: app}))

    assert passes(client.get(asked, headers=FETCH)) == is_open


def test_each_host_opens_what_its_own_sign_in_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk_values(api_base_path="/api"))
    app = make_app(api_base_path="/api")
    app.url_map.host_matching = True
    app.before_request(require_session)
    for host, endpoint in (("www.example.com", "ui"), ("admin.example.com", "admin")):
        app.add_url_rule("/auth/<path:rest>", endpoint, ui, host=host)
    app.add_url_rule("/auth", "ui", ui, host="www.example.com")
    client = app.test_client()

    for host, is_open in (("www", True), ("admin", False)):
        response = client.get("/auth/mfa", base_url=f"https://{host}.example.com", headers=FETCH)
        assert passes(response) == is_open


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"X-HTTP-Method-Override": "POST"}, id="method override"),
        pytest.param({"Upgrade": "websocket", "Connection": "Upgrade"}, id="WebSocket"),
    ],
)
@pytest.mark.parametrize("path", ["/auth/mfa", "/in?signin"])
def test_unsafe_request_in_the_dress_of_a_get_is_none_of_them(
    monkeypatch: pytest.MonkeyPatch, path: str, headers: dict[str, str]
) -> None:
    login_url = path if "?" in path else None
    client = closed_app(monkeypatch, UI | {"/in": "ui"}, login_url=login_url).test_client()

    assert passes(client.get(path, headers=FETCH))
    assert client.get(path, headers=FETCH | headers).status_code != 200


@pytest.mark.parametrize("login_url", ["/", "/?signin", "/in?signin"])
def test_sign_in_without_a_path_of_its_own_takes_no_post_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, login_url: str
) -> None:
    caplog.set_level(logging.WARNING, "flask_ssr_session")
    app = closed_app(monkeypatch, {"/": "home", "/in": "in"}, login_url=login_url)
    client = app.test_client()
    elsewhere = PAGE | {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}

    for _ in range(3):
        assert passes(client.get(login_url, headers=PAGE))
        # A page, not a loop and not an error of the developer's.
        assert client.post(login_url, headers=PAGE).status_code == 401
        assert client.post(login_url, headers=elsewhere).status_code == 403
    assert sum("sign_in_safe_only" in record.message for record in caplog.records) == 1

    sign_in(client)
    assert client.post(login_url, headers=PAGE | {"Sec-Fetch-Site": "same-origin"}).text == "POST "
    assert client.post(login_url, headers=elsewhere).status_code == 403


def test_mark_on_the_view_keeps_post_where_sign_in_has_no_path_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = closed_app(monkeypatch, {}, login_url="/?signin")
    app.add_url_rule("/", "home", session_optional(lambda: "posted"), methods=BOTH)

    assert app.test_client().post("/?signin", headers=PAGE).text == "posted"


def test_nobody_is_sent_away_from_the_pages_of_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    client = closed_app(monkeypatch, UI).test_client()
    sign_in(client)
    expire(client)

    assert client.get("/auth/reset-password", headers=PAGE).text == "GET reset-password"


def test_page_below_sign_in_that_asks_for_a_session_leads_to_sign_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only where sign-in itself asked for one, it would lead to itself."""
    app = closed_app(monkeypatch, {})
    page = session_required(lambda **_: "secret")
    app.add_url_rule("/auth", "ui", page)
    app.add_url_rule("/auth/<path:rest>", "ui", page)
    response = app.test_client().get("/auth/settings", headers=PAGE)
    assert (response.status_code, response.location) == (
        302,
        "/auth?redirectToPath=/auth/settings",
    )


# --- sign-in by its query, and on several hosts --------------------------------------------------


@pytest.mark.parametrize(
    ("query", "is_open"),
    [
        pytest.param("page=login", True, id="as it is set"),
        pytest.param("page=login&next=/x", True, id="with another parameter"),
        pytest.param("page=admin", False, id="another page"),
        pytest.param("page=admin&page=login", False, id="twice, the other one first"),
        pytest.param("page=login&page=admin", False, id="twice, the other one last"),
        pytest.param("", False, id="none"),
    ],
)
def test_sign_in_by_its_query_is_open_for_just_these_values(
    monkeypatch: pytest.MonkeyPatch, query: str, is_open: bool
) -> None:
    app = closed_app(monkeypatch, {"/": "front"}, login_url="/?page=login")
    assert passes(app.test_client().get(f"/?{query}", headers=FETCH)) is is_open


def several_hosts(monkeypatch: pytest.MonkeyPatch, login_url: str, website: str | None) -> Flask:
    """Return a closed app with a page for all of another host's paths."""
    sdk = None if website is None else sdk_values(website_origin=website, api_base_path="/api")
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk)
    app = Flask("hosts", host_matching=True, static_host="site.test")
    app.testing = True
    FlaskSSRSession(
        app, api_domain="https://api.example.com", api_base_path="/api", login_url=login_url
    )
    install_test_keys(app)
    app.before_request(require_session)
    for host, rule in {
        "site.test": "/login",
        "other.test": "/login",
        "admin.test": "/<rest>",
    }.items():
        app.add_url_rule(rule, f"{host}.page", ui, host=host, methods=BOTH)
        app.add_url_rule("/", f"{host}.home", ui, host=host, methods=BOTH)
    return app


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize(
    ("login_url", "website", "host", "is_open"),
    [
        pytest.param("/login", "https://site.test", "site.test", True, id="the site's"),
        pytest.param("/login", "https://site.test", "other.test", True, id="written for it"),
        pytest.param("/login", "https://site.test", "admin.test", False, id="caught by another's"),
        pytest.param("/login", None, "site.test", True, id="no SDK, written for it"),
        pytest.param("/login", None, "admin.test", False, id="no SDK, caught by another's"),
        pytest.param("/", "https://site.test", "site.test", True, id="home page of the site"),
        pytest.param("/", "https://site.test", "admin.test", False, id="home page of another"),
        pytest.param("/", None, "admin.test", False, id="no SDK, a home page"),
    ],
)
def test_sign_in_is_open_on_its_own_host(
    monkeypatch: pytest.MonkeyPatch,
    login_url: str,
    website: str | None,
    host: str,
    is_open: bool,
    method: str,
) -> None:
    app = several_hosts(monkeypatch, login_url, website)
    answer = app.test_client().open(
        login_url, method=method, base_url=f"https://{host}", headers=FETCH
    )
    # A sign-in page that is the home page takes safe methods only.
    assert passes(answer) is (is_open and not (login_url == "/" and method == "POST"))
