"""Unsafe requests that another site sent, through whole apps.

Which requests these are, tests/sansio/test_cross_site.py says.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Request, g, render_template
from flask.testing import FlaskClient
from flask.views import MethodView
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import TestResponse

import flask_ssr_session as ssr
from flask_ssr_session.testing import outage, sign_in
from tests.browser_requests import ACCEPT_PAGE, FETCH, PAGE
from tests.tables import rows
from tests.tokens import expired_token, make_token

from . import apps
from .visitors import Logs, cookies, page_shown, signed_in

EVIL = "https://evil.example"
FORM = PAGE | {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
FOREIGN_FORM = PAGE | {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}
FOREIGN_FETCH = FETCH | {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}
# The headers of a browser on plain http, to a host that is not this machine.
OLD_FORM = {"Accept": ACCEPT_PAGE, "Origin": "http://localhost"}

UNSAFE = ["POST", "PUT", "PATCH", "DELETE"]


def with_more_views(app: Flask) -> Flask:
    """Give *app* views of each kind for every method, which return the user that they saw."""
    apps.with_views(app)

    def view() -> str:
        assert g.session is ssr.get_ssr_session()
        return f"seen by {g.session.user_id if g.session else 'nobody'}"

    class Methods(MethodView):
        async def post(self) -> str:
            return view()

    app.add_url_rule("/class", view_func=Methods.as_view("class"), methods=["POST"])
    app.add_url_rule("/guarded", view_func=ssr.session_required(Methods.as_view("guarded")))
    views = {
        "/reads": view,
        "/asks": ssr.session_required(view),
        "/may": ssr.session_optional(view),
        "/admin": ssr.session_required(role="admin")(view),
        "/ignored": ssr.session_exempt(lambda: "ignored"),
    }
    return apps.add_views(app, views)


@pytest.fixture
def app() -> Flask:
    return with_more_views(apps.make_app())


@pytest.fixture
def member(app: Flask) -> FlaskClient:
    return signed_in(app)


def is_refused(response: TestResponse, page: bool = True) -> bool:
    """Return whether *response* is the refusal, as a page or for a script."""
    if response.headers.get("SSR-Session") != "refused; reason=cross_site":
        return False
    assert response.status_code == 403
    if not page:
        return response.json == {"message": "refused: another site sent this request"}
    # After sign-in or a refresh, the visitor would repeat the rejected request.
    for way in ("<script", "http-equiv", "<form", "redirectToPath", "/auth"):
        assert way not in response.text
    return page_shown(response) == "refused" and "This was not done" in response.text


# --- refused, and its twin -----------------------------------------------------------------------


SENDERS: dict[str, Any] = {
    "form of this site": (FORM, "user-1"),
    "no browser": ({}, "user-1"),
    "form of another site": (FOREIGN_FORM, "page"),
    "script of another site": (FOREIGN_FETCH, "JSON"),
}


@rows("headers, answer", SENDERS)
def test_other_site_is_stranger_or_refused(member: FlaskClient, headers: Any, answer: str) -> None:
    """No decorator is needed for the latter: ``if g.session`` is what such views go by."""
    is_own = answer == "user-1"
    for method in UNSAFE:
        for path in ("/asks", "/asks?a=1&b=%22%3E"):
            response = member.open(path, method=method, headers=headers)
            if is_own:
                assert response.text == "seen by user-1", (method, path)
            else:
                assert is_refused(response, page=answer == "page"), (method, path)
            if answer == "page":  # a way back to a fresh start
                href = path.replace("&", "&amp;")
                assert f'<a class="ssr-session-button" href="{href}">' in response.text
        for path in ("/reads", "/may"):
            response = member.open(path, method=method, headers=headers)
            user = "user-1" if is_own else "nobody"
            assert (response.status_code, response.text) == (200, f"seen by {user}"), (method, path)
    for method in ("GET", "HEAD"):  # links of other sites work
        response = member.open("/asks", method=method, headers=headers)
        assert response.text == ("seen by user-1" if method == "GET" else "")
        assert (response.status_code, "SSR-Session" in response.headers) == (200, False)


OTHER_VIEWS: dict[str, Any] = {
    "class-based async view": ("/class", "seen by nobody", "seen by user-1"),
    "class-based async view, guarded": ("/guarded", None, "seen by user-1"),
    "template": ("/page", None, "content"),
    # Claims are not looked at in a refused request.
    "a role": ("/admin", None, "seen by user-1"),
    "optional template": ("/maybe", "for None", "for user-1"),
    "error page": ("/nowhere", "404: None", "404: user-1"),
}


@rows("path, foreign, own", OTHER_VIEWS)
def test_views_of_other_kinds(app: Flask, path: str, foreign: str | None, own: str) -> None:
    maybe = "{% if needs_refresh(optional=True) %}x{% else %}for {{ name() }}{% endif %}"
    name: Callable[[], Any] = lambda: g.session and g.session.user_id  # noqa: E731
    app.jinja_env.globals["name"] = name
    apps.with_templates(app, page=apps.TEMPLATE_GUARD, maybe=maybe)
    app.add_url_rule("/maybe", "maybe", lambda: render_template("maybe.html"), methods=["POST"])
    app.register_error_handler(404, lambda _error: f"404: {name()}")
    seen: list[Any] = []
    app.before_request(lambda: seen.append(g.session))
    client = app.test_client()
    for role in ("editor", "admin"):
        sign_in(client, roles=[role])
        response = client.post(path, headers=FOREIGN_FORM)
        assert response.text == foreign if foreign else is_refused(response), role
    assert client.post(path, headers=FORM).text == own
    assert [session is None for session in seen] == [True, True, False]


@pytest.mark.parametrize("flow", ["inline", "redirect"])
def test_refusal_needs_no_keys_and_does_not_depend_on_the_session(flow: str) -> None:
    app = with_more_views(apps.make_app(refresh_flow=flow, always_try_refresh=flow == "redirect"))
    client = app.test_client(use_cookies=False)
    two = cookies(make_token(user_id="a"), make_token(user_id="b"))
    for cookie in ({}, cookies(), cookies(make_token()), cookies(expired_token()), two):
        for path in ("/asks", "/page"):
            assert is_refused(client.post(path, headers=FOREIGN_FORM | cookie)), cookie
            assert is_refused(client.post(path, headers=FOREIGN_FETCH | cookie), page=False), cookie
    with outage(app):
        assert is_refused(client.post("/asks", headers=FOREIGN_FORM | cookies(make_token())))
        assert client.post("/asks", headers=FORM | cookies(make_token())).status_code == 503


WAYS_BACK: dict[str, Any] = {
    "sign-in": ("/sign-in", "/"),
    "the refresh page": ("/refresh-session", "/"),
    # Werkzeug has dropped the slash that would have made it a host.
    "another host": ("//evil.example", "/evil.example"),
    "another host by a backslash": ("/\\evil", "/"),
}


@rows("path, target", WAYS_BACK)
def test_way_back_leads_to_no_other_site_and_not_round(path: str, target: str) -> None:
    app = with_more_views(apps.make_app(login_url="/sign-in"))
    app.url_map.merge_slashes = False
    for code in (404, 405):
        app.register_error_handler(code, lambda error: (render_template("page.html"), error.code))
    app.add_url_rule("/sign-in", "sign_in", lambda: "sign in", methods=["GET"])
    at = {"PATH_INFO": path, "REQUEST_URI": path}
    response = app.test_client().post("/", headers=FOREIGN_FORM, environ_overrides=at)
    assert page_shown(response) == "refused"
    assert re.findall(r'<a class="ssr-session-button" href="([^"]*)"', response.text) == [target]


def test_require_session_everywhere_refuses_and_leaves_open_what_is_open() -> None:
    app = with_more_views(apps.make_app(login_url="/sign-in"))
    app.before_request(ssr.require_session)
    app.add_url_rule("/sign-in", "sign_in", lambda: "sign in", methods=["GET", "POST"])
    client = signed_in(app)
    for path in ("/asks", "/reads", "/nowhere"):
        assert is_refused(client.post(path, headers=FOREIGN_FORM)), path
        assert is_refused(client.post(path, headers=FOREIGN_FETCH), page=False), path
    for path, text in (
        ("/may", "seen by nobody"),
        ("/ignored", "ignored"),
        # Rejecting a session that another site starts in the browser is up to the sign-in API.
        ("/sign-in", "sign in"),
    ):
        assert client.post(path, headers=FOREIGN_FORM).text == text
    assert client.post("/auth/session/refresh", headers=FOREIGN_FETCH).status_code == 404
    preflight = FOREIGN_FETCH | {"Access-Control-Request-Method": "POST"}
    response = client.options("/asks", headers=preflight)
    assert (response.status_code, "POST" in response.headers["Allow"]) == (200, True)

    app.view_functions["/may"] = ssr.session_optional(apps.requiring(lambda: "done"))
    assert is_refused(client.post("/may", headers=FOREIGN_FORM))
    assert client.post("/may", headers=FORM).text == "done"


# --- whom the app trusts -------------------------------------------------------------------------

PARTNER, WEBSITE = "https://partner.example:8443", "https://www.example.com"
UPSTREAM, SITE = "http://127.0.0.1:8000", "https://app.example.com"
TRUST = ["HTTPS://Partner.Example:8443/"]


def who(app: Flask, headers: dict[str, str], base_url: str | None = None) -> str:
    client = app.test_client(use_cookies=False)
    headers = headers | cookies(make_token())
    return client.post("/reads", headers=headers, base_url=base_url).text.removeprefix("seen by ")


TRUSTED: dict[str, Any] = {
    "partner by a setting": (TRUST, None, PARTNER, "user-1"),
    "website of the SDK": ([], WEBSITE, WEBSITE, "user-1"),
    "partner beside a website": (TRUST, WEBSITE, PARTNER, "user-1"),
    "another site": (TRUST, WEBSITE, EVIL, "nobody"),
    "check switched off": ("insecure", None, EVIL, "user-1"),
}


@rows("trusted, website, origin, user", TRUSTED)
def test_trusted_origins_may_send(
    monkeypatch: pytest.MonkeyPatch, trusted: Any, website: str | None, origin: str, user: str
) -> None:
    monkeypatch.setattr(ssr.app_state, "read_sdk", lambda: apps.sdk_values(website_origin=website))
    is_off = trusted == "insecure"
    settings = {"insecure_cross_site": is_off, "trusted_origins": [] if is_off else trusted}
    app = with_more_views(apps.make_app(**settings))
    for site in ("same-site", "cross-site", None):
        headers = {"Origin": origin} if site is None else {"Origin": origin, "Sec-Fetch-Site": site}
        # A proxy that changes Host stops nobody who is trusted.
        for base_url in (None, UPSTREAM):
            assert who(app, headers, base_url) == user, (site, base_url)


def test_host_that_a_trusted_proxy_forwards_counts_and_a_visitors_does_not(app: Flask) -> None:
    assert who(app, PAGE | {"Sec-Fetch-Site": "same-origin", "Origin": SITE}, UPSTREAM) == "user-1"
    old = {"Accept": ACCEPT_PAGE, "Origin": SITE, "X-Forwarded-Host": "app.example.com"}
    assert who(app, old, UPSTREAM) == "nobody"
    app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1)  # type: ignore[method-assign]
    assert who(app, old, UPSTREAM) == "user-1"
    # The browser names its own page's origin, whatever else is sent along.
    assert who(app, old | {"Origin": EVIL}, UPSTREAM) == "nobody"


def test_untrusted_host_is_no_defect_of_ours(app: Flask, member: FlaskClient, caplog: Logs) -> None:
    app.request_class = type("Strict", (Request,), {"trusted_hosts": ["localhost"]})
    assert member.post("/asks", headers=OLD_FORM).text == "seen by user-1"
    cookie = cookies(make_token())
    bad = member.post("/asks", headers=OLD_FORM | cookie, base_url="https://other.test")
    assert bad.status_code in (400, 403)
    assert "internal" not in caplog.text


def test_method_that_middleware_has_replaced_counts(app: Flask, member: FlaskClient) -> None:
    inner: Any = app.wsgi_app
    delete = {"REQUEST_METHOD": "DELETE"}
    app.wsgi_app = lambda env, go: inner(env | delete, go)  # type: ignore[assignment, method-assign]
    assert is_refused(member.get("/asks", headers=FOREIGN_FORM))
    assert member.get("/asks", headers=FORM).text == "seen by user-1"


def test_websocket_of_another_site_is_refused(app: Flask, member: FlaskClient) -> None:
    """Its handshake is a GET with cookies that no CORS stops."""
    connected: Any = ssr.session_required(lambda: "connected")
    app.add_url_rule("/feed", "feed", connected, websocket=True)
    stranger = lambda: "nobody" if g.session is None else "?"  # noqa: E731
    app.add_url_rule("/chat", "chat", stranger, websocket=True)
    handshake = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    foreign = handshake | {"Origin": EVIL}
    modern = foreign | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "websocket"}
    for headers in (foreign, modern):
        assert is_refused(member.get("/feed", headers=headers), page=False)
        assert member.get("/chat", headers=headers).text == "nobody"
    own = handshake | {"Origin": "http://localhost"}
    assert member.get("/feed", headers=own).text == "connected"
