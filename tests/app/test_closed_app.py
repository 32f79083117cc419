"""An app-wide ``require_session``: which sign-in requests it admits, and which it never admits."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from flask import Flask, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

from flask_ssr_session import app_state, require_session, session_optional, session_required
from flask_ssr_session.testing import expire, sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows
from tests.tokens import expired_token

from .conftest import cookies, make_app, sdk_values

GET_OR_POST = ["GET", "POST"]
NO_SDK = None


def ui(rest: str = "") -> str:
    """Stand for the view that serves SuperTokens' prebuilt UI: one page for all its paths."""
    return f"{request.method} {rest}"


def closed_app(
    monkeypatch: pytest.MonkeyPatch,
    rules: dict[str, str],
    login_url: str | None = None,
    website: str | None = "/auth",
) -> Flask:
    """Return an app that requires a session everywhere.

    :param rules: rule to endpoint; all endpoints answer by :func:`ui`.
    :param website: the SDK's website base path as it is normalised.
    """
    sdk = sdk_values(website_base_path=website, api_base_path="/api")
    monkeypatch.setattr(app_state, "read_sdk", lambda: None if website is NO_SDK else sdk)
    app = make_app(api_base_path="/api", login_url=login_url)
    app.before_request(require_session)
    for rule, endpoint in rules.items():
        view = app.view_functions.get(endpoint, ui)
        app.add_url_rule(rule, endpoint, view, methods=GET_OR_POST)
    return app


def passes(response: TestResponse) -> bool:
    """Return whether the view answered, and not this package."""
    assert response.status_code in (200, 302, 401)
    return response.status_code == 200 and "SSR-Session" not in response.headers


UI = {"/auth": "ui", "/auth/<path:rest>": "ui"}
SLASH = {"/auth/": "ui", "/auth/<path:rest>": "ui"}
OTHER_BELOW = {"/auth": "ui", "/auth/<path:rest>": "other"}
BESIDE_ALL = {"/auth": "ui", "/<path:rest>": "other"}
ADMIN = UI | {"/admin": "admin", "/auth/admin": "admin", "/authentic": "ui"}
UI_IN = {"/in": "ui", "/in/<path:rest>": "ui"}
BESIDE = {"/in": "ui", "/auth/<path:rest>": "ui"}
OTHER_IN = {"/in": "other", "/auth/<path:rest>": "ui"}
# A catch-all view must not be open because it also serves sign-in.
SITE = {"/": "site", "/<path:rest>": "site"}
ABROAD = "https://accounts.example.com/auth"


SIGN_IN: dict[str, Any] = {
    # The prebuilt UI's own pages, and what differs from them in one thing.
    "new password": (UI, None, "/auth", "GET /auth/reset-password?token=x", True),
    "second factor": (UI, None, "/auth", "GET /auth/mfa", True),
    "HEAD": (UI, None, "/auth", "HEAD /auth/mfa", True),
    "POST below sign-in": (UI, None, "/auth", "POST /auth/mfa", False),
    "POST to sign-in at a path of its own": (UI, None, "/auth", "POST /auth", True),
    "other view below it": (ADMIN, None, "/auth", "GET /auth/admin", False),
    "no slash between": (ADMIN, None, "/auth", "GET /authentic", False),
    "other view for all below it": (OTHER_BELOW, None, "/auth", "GET /auth/mfa", False),
    "slash that its route lacks": (BESIDE_ALL, None, "/auth", "GET /auth/", False),
    "encoded slash at its end": (BESIDE_ALL, None, "/auth", "GET /auth%2f", False),
    "dots": (UI, None, "/auth", "GET /auth/../admin", False),
    "encoded slash, the same to the router": (UI, None, "/auth", "GET /auth%2fmfa", True),
    "backslash": (UI, None, "/auth", "GET /auth/..%5cadmin", False),
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
    "by query: home": (SITE, "/?signin", "/auth", "GET /", False),
    "by query: below the base path": (SITE, "/?signin", "/auth", "GET /auth/mfa", False),
    "by query: POST": (SITE, "/in?signin", "/auth", "POST /in?signin", False),
    "twin: POST without a query": (SITE, "/in", "/auth", "POST /in", True),
    # Of two values, some views read the first and others the last.
    "by value, with another parameter": (SITE, "/?page=in", "/auth", "GET /?page=in&x=1", True),
    "by value: another page": (SITE, "/?page=in", "/auth", "GET /?page=admin", False),
    "by value: the other first": (SITE, "/?page=in", "/auth", "GET /?page=a&page=in", False),
    "by value: the other last": (SITE, "/?page=in", "/auth", "GET /?page=in&page=a", False),
    "by two values": (SITE, "/?p=in&q=", "/auth", "GET /?q=&p=in", True),
    "by two values: the first differs": (SITE, "/?p=in&q=", "/auth", "GET /?p=a&q=", False),
}


@rows("rules, login_url, website, asked, is_open", SIGN_IN)
def test_hook_opens_sign_in_and_what_belongs_to_it(
    monkeypatch: pytest.MonkeyPatch,
    rules: dict[str, str],
    login_url: str | None,
    website: str | None,
    asked: str,
    is_open: bool,
) -> None:
    method, _, path = asked.partition(" ")
    client = closed_app(monkeypatch, rules, login_url, website).test_client(use_cookies=False)
    for name, cookie in (("stranger", {}), ("expired", cookies(expired_token()))):
        answer = client.open(path, method=method, headers=FETCH | cookie)
        assert passes(answer) == is_open, name


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


@rows("mount, website, login_url, asked, is_open", MOUNTED)
def test_mounted_app_opens_its_own_sign_in_alone(
    monkeypatch: pytest.MonkeyPatch,
    mount: str,
    website: str,
    login_url: str | None,
    asked: str,
    is_open: bool,
) -> None:
    app = closed_app(monkeypatch, SITE, login_url, website)
    client = Client(DispatcherMiddleware(Flask("outer"), {mount: app}))
    assert passes(client.get(asked, headers=FETCH)) == is_open


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
}


@rows("login_url, website, host, path, is_open", HOSTS)
def test_sign_in_is_open_on_its_own_host(
    monkeypatch: pytest.MonkeyPatch,
    login_url: str,
    website: str | None,
    host: str,
    path: str,
    is_open: bool,
) -> None:
    sdk = sdk_values(website_origin=website, api_base_path="/api")
    monkeypatch.setattr(app_state, "read_sdk", lambda: None if website is NO_SDK else sdk)
    app = Flask("hosts", host_matching=True, static_host="site.test")
    make_app(app, api_base_path="/api", login_url=login_url)
    app.before_request(require_session)
    for its_host, endpoint, rules in (
        ("site.test", "site", ["/auth", "/auth/<path:rest>"]),
        ("other.test", "other", ["/auth"]),
        ("admin.test", "admin", ["/<path:rest>"]),
    ):
        for rule in ["/", *rules]:
            app.add_url_rule(rule, endpoint, ui, host=its_host, methods=GET_OR_POST)
    for method in GET_OR_POST:
        answer = app.test_client().open(
            path, method=method, base_url=f"https://{host}", headers=FETCH
        )
        # A sign-in page that is the home page, and pages below sign-in, take safe methods only.
        takes_it = method == "GET" or path == "/auth"
        assert passes(answer) is (is_open and takes_it), method


@pytest.mark.parametrize("path", ["/auth/mfa", "/in?signin"])
def test_unsafe_request_in_the_dress_of_a_get_is_none_of_them(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    login_url = path if "?" in path else None
    client = closed_app(monkeypatch, UI | {"/in": "ui"}, login_url).test_client()
    assert passes(client.get(path, headers=FETCH))
    for dress in (
        {"X-HTTP-Method-Override": "POST"},
        {"Upgrade": "websocket", "Connection": "Upgrade"},
    ):
        assert client.get(path, headers=FETCH | dress).status_code != 200, dress


@pytest.mark.parametrize("login_url", ["/", "/?signin", "/in?signin"])
def test_sign_in_without_a_path_of_its_own_takes_no_post_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, login_url: str
) -> None:
    caplog.set_level(logging.WARNING, "flask_ssr_session")
    client = closed_app(monkeypatch, {"/": "home", "/in": "in"}, login_url).test_client()
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
    app.add_url_rule("/", "home", session_optional(lambda: "posted"), methods=GET_OR_POST)
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
    answer = app.test_client().get("/auth/settings", headers=PAGE)
    assert (answer.status_code, answer.location) == (302, "/auth?redirectToPath=/auth/settings")
