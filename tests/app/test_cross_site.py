"""Unsafe requests that another site sent, through whole apps."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Request, g, render_template
from flask.testing import FlaskClient
from flask.views import MethodView
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import TestResponse

from flask_ssr_session import (
    ConfigError,
    FlaskSSRSession,
    app_state,
    get_ssr_session,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.testing import expire, outage, sign_in
from tests.browser_requests import ACCEPT_PAGE, FETCH, PAGE
from tests.tokens import expired_token, make_token

from .conftest import (
    API_DOMAIN,
    TEMPLATE_GUARD,
    cookies,
    make_app,
    page_shown,
    sdk_values,
    with_templates,
    with_views,
)

EVIL = "https://evil.example"
FORM = PAGE | {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
FOREIGN_FORM = PAGE | {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}
FOREIGN_FETCH = FETCH | {"Sec-Fetch-Site": "cross-site", "Origin": EVIL}
# The headers of a browser on plain http, to a host that is not this machine.
OLD_FORM = {"Accept": ACCEPT_PAGE, "Origin": "http://localhost"}
FOREIGN_OLD_FORM = OLD_FORM | {"Origin": "http://evil.example"}

REFUSED_JSON = {"message": "refused: another site sent this request"}


def with_more_views(app: Flask) -> Flask:
    """Give *app* views of each kind for every method, which return the user that they saw."""
    with_views(app)
    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

    def view() -> str:
        assert g.session is get_ssr_session()
        return f"seen by {g.session.user_id if g.session else 'nobody'}"

    app.add_url_rule("/reads", "reads", lambda: view(), methods=methods)
    app.add_url_rule("/asks", "asks", session_required(lambda: view()), methods=methods)
    app.add_url_rule("/may", "may", session_optional(lambda: view()), methods=methods)
    app.add_url_rule("/hook", "hook", session_exempt(lambda: "hooked"), methods=methods)
    return app


@pytest.fixture
def app() -> Flask:
    return with_more_views(make_app())


@pytest.fixture
def signed_in(app: Flask) -> FlaskClient:
    client = app.test_client()
    sign_in(client)
    return client


def assert_is_refused(response: TestResponse, *, page: bool = True) -> None:
    assert response.status_code == 403
    assert response.headers["SSR-Session"] == "refused; reason=cross_site"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Robots-Tag"] == "noindex"
    assert response.headers["Vary"] == "Cookie"
    assert not {"Location", "Retry-After", "HX-Refresh", "Set-Cookie"} & set(
        response.headers.keys()
    )
    if not page:
        assert response.json == REFUSED_JSON
        return
    assert page_shown(response) == "refused"
    # After sign-in or a refresh, the visitor would repeat the rejected request.
    for way in ("<script", "http-equiv", "<form", "redirectToPath", "/auth"):
        assert way not in response.text


# --- refused, and its twin -----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/asks", "/asks?a=1&b=%22%3E"])
def test_view_that_asks_is_closed_to_other_sites(
    signed_in: FlaskClient, path: str, method: str
) -> None:
    for foreign in (FOREIGN_FORM, FOREIGN_OLD_FORM):
        response = signed_in.open(path, method=method, headers=foreign)
        assert_is_refused(response)
        assert f'href="{path.replace("&", "&amp;")}"' in response.text
    for own in (FORM, OLD_FORM):
        assert signed_in.open(path, method=method, headers=own).text == "seen by user-1"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_script_of_another_site_is_told_in_json(signed_in: FlaskClient, method: str) -> None:
    for foreign in (FOREIGN_FETCH, {"Origin": EVIL}, FOREIGN_FETCH | {"HX-Request": "true"}):
        assert_is_refused(signed_in.open("/asks", method=method, headers=foreign), page=False)
    for own in (FETCH, {"Origin": "http://localhost"}, {}):
        response = signed_in.open("/asks", method=method, headers=own)
        assert response.text == "seen by user-1"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_links_of_other_sites_work(signed_in: FlaskClient, method: str) -> None:
    for foreign in (FOREIGN_FORM, FOREIGN_FETCH, FOREIGN_OLD_FORM):
        response = signed_in.open("/asks", method=method, headers=foreign)
        assert response.status_code == 200
        assert "SSR-Session" not in response.headers


@pytest.mark.parametrize("path", ["/reads", "/may"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_view_that_only_reads_sees_a_stranger(
    signed_in: FlaskClient, path: str, method: str
) -> None:
    """No decorator is needed for it: ``if g.session`` is what such views go by."""
    for foreign in (FOREIGN_FORM, FOREIGN_FETCH, FOREIGN_OLD_FORM):
        response = signed_in.open(path, method=method, headers=foreign)
        assert (response.status_code, response.text) == (200, "seen by nobody")
    assert signed_in.open(path, method=method, headers=FORM).text == "seen by user-1"


def test_hooks_and_error_pages_see_a_stranger(app: Flask, signed_in: FlaskClient) -> None:
    seen: list[Any] = []
    app.before_request(lambda: seen.append(g.session))
    app.register_error_handler(404, lambda _error: (f"seen by {g.session}", 404))
    assert signed_in.post("/nowhere", headers=FOREIGN_FORM).text == "seen by None"
    assert "read-only" in signed_in.post("/nowhere", headers=FORM).text
    assert [session is None for session in seen] == [True, False]


@pytest.mark.parametrize("always_try_refresh", [False, True])
@pytest.mark.parametrize("refresh_flow", ["inline", "redirect"])
@pytest.mark.parametrize(
    "make_cookies",
    [
        dict,
        cookies,
        lambda: cookies(make_token()),
        lambda: cookies(expired_token()),
        lambda: cookies("junk"),
        lambda: cookies(make_token(user_id="a"), make_token(user_id="b")),
    ],
    ids=["stranger", "token missing", "active", "expired", "invalid", "duplicate"],
)
def test_refusal_does_not_depend_on_the_session(
    make_cookies: Callable[[], dict[str, str]], refresh_flow: str, always_try_refresh: bool
) -> None:
    settings: dict[str, Any] = {
        "always_try_refresh": always_try_refresh,
        "refresh_flow": refresh_flow,
    }
    client = with_more_views(make_app(**settings)).test_client(use_cookies=False)
    for path in ("/asks", "/page"):
        assert_is_refused(client.post(path, headers=FOREIGN_FORM | make_cookies()))
        assert_is_refused(client.post(path, headers=FOREIGN_FETCH | make_cookies()), page=False)


def test_refusal_needs_no_keys(app: Flask, signed_in: FlaskClient) -> None:
    with outage(app):
        assert_is_refused(signed_in.post("/asks", headers=FOREIGN_FORM))
        assert signed_in.post("/asks", headers=FORM).status_code == 503


def test_template_shows_the_refusal_and_nothing_else(signed_in: FlaskClient) -> None:
    response = signed_in.post("/page", headers=FOREIGN_FORM)
    assert_is_refused(response)
    assert "content" not in response.text
    assert_is_refused(signed_in.post("/page", headers=FOREIGN_FETCH), page=False)
    assert signed_in.post("/page", headers=FORM).text == "content"


def test_optional_template_shows_what_strangers_see(app: Flask, signed_in: FlaskClient) -> None:
    with_templates(
        app, page="{% if needs_refresh(optional=True) %}x{% else %}for {{ g.session }}{% endif %}"
    )
    assert signed_in.post("/page", headers=FOREIGN_FORM).text == "for None"


def test_refused_visitor_is_shown_a_way_back_to_a_fresh_start(signed_in: FlaskClient) -> None:
    response = signed_in.post("/asks?q=1", headers=FOREIGN_FORM)
    assert "This was not done" in response.text
    assert '<a class="ssr-session-button" href="/asks?q=1">' in response.text
    assert signed_in.get("/asks?q=1", headers=PAGE).text == "seen by user-1"


@pytest.mark.parametrize("path", ["/sign-in", "/refresh-session", "//evil.example", "/\\evil"])
def test_way_back_leads_to_no_other_site_and_not_round(path: str) -> None:
    app = with_more_views(make_app(login_url="/sign-in"))
    app.url_map.merge_slashes = False
    app.register_error_handler(405, lambda _error: (render_template("page.html"), 405))
    app.register_error_handler(404, lambda _error: (render_template("page.html"), 404))
    app.add_url_rule("/sign-in", "sign_in", lambda: "sign in", methods=["GET"])
    client = app.test_client()
    response = client.post(
        "/", headers=FOREIGN_FORM, environ_overrides={"PATH_INFO": path, "REQUEST_URI": path}
    )
    assert page_shown(response) == "refused"
    back = re.findall(r'<a class="ssr-session-button" href="([^"]*)"', response.text)
    # Werkzeug has dropped the slash that would have made it a host.
    assert back == ["/evil.example" if path == "//evil.example" else "/"]


# --- require_session -----------------------------------------------------------------------------


def test_require_session_everywhere_refuses_and_leaves_open_what_is_open() -> None:
    app = with_more_views(make_app(login_url="/sign-in"))
    app.before_request(require_session)
    app.add_url_rule("/sign-in", "sign_in", lambda: "sign in", methods=["GET", "POST"])
    client = app.test_client()
    sign_in(client)
    for path in ("/asks", "/reads", "/nowhere"):
        assert_is_refused(client.post(path, headers=FOREIGN_FORM))
        assert_is_refused(client.post(path, headers=FOREIGN_FETCH), page=False)
    assert client.post("/may", headers=FOREIGN_FORM).text == "seen by nobody"
    assert client.post("/hook", headers=FOREIGN_FORM).text == "hooked"
    # Rejecting a session that another site starts in the browser is up to the sign-in API.
    assert client.post("/sign-in", headers=FOREIGN_FORM).text == "sign in"


def test_require_session_inside_an_optional_view_refuses(app: Flask) -> None:
    @app.route("/inside", methods=["POST"])
    @session_optional
    def inside() -> str:
        require_session()
        return "done"

    client = app.test_client()
    sign_in(client)
    assert_is_refused(client.post("/inside", headers=FOREIGN_FORM))
    assert client.post("/inside", headers=FORM).text == "done"


def test_claims_are_not_looked_at_in_a_refused_request(app: Flask) -> None:
    view = session_required(role="admin")(lambda: "done")
    app.add_url_rule("/admin", "admin", view, methods=["POST"])
    client = app.test_client()
    for roles in (["admin"], ["editor"]):
        sign_in(client, roles=roles)
        assert_is_refused(client.post("/admin", headers=FOREIGN_FORM))
    assert client.post("/admin", headers=FORM).status_code == 403
    sign_in(client, roles=["admin"])
    assert client.post("/admin", headers=FORM).text == "done"


def test_async_and_class_based_views_are_covered(app: Flask, signed_in: FlaskClient) -> None:
    class Methods(MethodView):
        async def post(self) -> str:
            return "seen by nobody" if g.session is None else "done"

    app.add_url_rule("/class", view_func=Methods.as_view("class"))
    app.add_url_rule("/guarded", view_func=session_required(Methods.as_view("guarded")))
    assert signed_in.post("/class", headers=FOREIGN_FORM).text == "seen by nobody"
    assert_is_refused(signed_in.post("/guarded", headers=FOREIGN_FORM))
    for path in ("/class", "/guarded"):
        assert signed_in.post(path, headers=FORM).text == "done"


# --- what is left alone --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/hook", 200),
        ("POST", "/auth/session/refresh", 404),
        ("POST", "/auth/signin", 404),
        ("DELETE", "/auth", 404),
    ],
)
def test_ignored_views_and_the_api_are_left_alone(
    signed_in: FlaskClient, method: str, path: str, status: int
) -> None:
    response = signed_in.open(path, method=method, headers=FOREIGN_FETCH)
    assert response.status_code == status
    assert not {"Vary", "SSR-Session", "Cache-Control"} & set(response.headers.keys())


def test_preflight_is_answered(app: Flask, signed_in: FlaskClient) -> None:
    app.before_request(require_session)
    preflight = FOREIGN_FETCH | {"Access-Control-Request-Method": "POST"}
    response = signed_in.options("/asks", headers=preflight)
    assert response.status_code == 200
    assert "POST" in response.headers["Allow"]
    assert_is_refused(signed_in.post("/asks", headers=FOREIGN_FETCH), page=False)


# --- whom the app trusts -------------------------------------------------------------------------


def posted(app: Flask, headers: dict[str, str], **options: Any) -> str:
    client = app.test_client(use_cookies=False)
    response = client.post("/reads", headers=headers | cookies(make_token()), **options)
    return response.text.removeprefix("seen by ")


@pytest.mark.parametrize("site", ["cross-site", "same-site", None])
def test_trusted_origins_may_send(site: str | None) -> None:
    partner = "https://partner.example:8443"
    app = with_more_views(make_app(trusted_origins=["HTTPS://Partner.Example:8443/"]))
    headers = {} if site is None else {"Sec-Fetch-Site": site}
    assert posted(app, headers | {"Origin": partner}) == "user-1"
    for origin in ("https://partner.example", EVIL, "null", f"{partner}.evil.example"):
        assert posted(app, headers | {"Origin": origin}) == "nobody"


@pytest.mark.parametrize("site", ["same-site", "cross-site", None])
def test_website_of_the_sdk_may_send(monkeypatch: pytest.MonkeyPatch, site: str | None) -> None:
    monkeypatch.setattr(app_state, "read_sdk", sdk_values)
    app = with_more_views(make_app(trusted_origins=["https://partner.example"]))
    headers = {} if site is None else {"Sec-Fetch-Site": site}
    for origin in ("https://www.example.com", "https://partner.example"):
        assert posted(app, headers | {"Origin": origin}) == "user-1"
    for origin in ("http://www.example.com", "https://example.com", EVIL):
        assert posted(app, headers | {"Origin": origin}) == "nobody"


@pytest.mark.parametrize(
    "value",
    [
        "https://partner.example",
        ["partner.example"],
        ["*"],
        ["https://*.partner.example"],
        ["https://partner.example/path"],
        ["null"],
        [""],
        [None],
        [b"https://partner.example"],
        ["https://user@partner.example"],
        ["https://partner.example:port"],
    ],
)
def test_origin_that_none_can_be_is_refused_at_setup(value: Any) -> None:
    with pytest.raises(ConfigError, match="trusted_origins"):
        FlaskSSRSession(Flask("wrong"), api_domain=API_DOMAIN, trusted_origins=value)
    app = Flask("wrong")
    app.config["SSR_SESSION_TRUSTED_ORIGINS"] = value
    with pytest.raises(ConfigError, match="SSR_SESSION_TRUSTED_ORIGINS"):
        FlaskSSRSession(app, api_domain=API_DOMAIN)


def test_check_is_off_only_by_a_switch_that_says_so() -> None:
    app = with_more_views(make_app(insecure_cross_site=True))
    for headers in (FOREIGN_FORM, FOREIGN_FETCH, FOREIGN_OLD_FORM, {"Origin": "null"}):
        assert posted(app, headers) == "user-1"
    for value in (1, "yes", "False"):
        with pytest.raises(ConfigError, match="insecure_cross_site"):
            make_app(insecure_cross_site=value)
    assert posted(with_more_views(make_app(insecure_cross_site=False)), FOREIGN_FORM) == "nobody"


def test_apps_do_not_share_whom_they_trust() -> None:
    trusting = with_more_views(make_app("trusting", trusted_origins=[EVIL]))
    other = with_more_views(make_app("other"))
    assert [posted(app, FOREIGN_FORM) for app in (trusting, other)] == ["user-1", "nobody"]


# --- proxies -------------------------------------------------------------------------------------

UPSTREAM = "http://127.0.0.1:8000"
SITE = "https://app.example.com"


def test_upstream_host_of_a_proxy_stops_no_browser_that_says_where_it_comes_from(
    app: Flask,
) -> None:
    headers = PAGE | {"Sec-Fetch-Site": "same-origin", "Origin": SITE}
    assert posted(app, headers, base_url=UPSTREAM) == "user-1"
    foreign = headers | {"Sec-Fetch-Site": "cross-site"}
    assert posted(app, foreign, base_url=UPSTREAM) == "nobody"


@pytest.mark.parametrize("site", ["http://app.example.com", SITE])
def test_upstream_host_of_a_proxy_stops_no_older_browser_where_the_sdk_knows_the_site(
    monkeypatch: pytest.MonkeyPatch, site: str
) -> None:
    old = {"Accept": ACCEPT_PAGE, "Origin": site}
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk_values(website_origin=site))
    assert posted(with_more_views(make_app()), old, base_url=UPSTREAM) == "user-1"
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk_values(website_origin=None))
    assert posted(with_more_views(make_app()), old, base_url=UPSTREAM) == "nobody"
    trusting = with_more_views(make_app(trusted_origins=[site]))
    assert posted(trusting, old, base_url=UPSTREAM) == "user-1"


def test_host_that_a_trusted_proxy_forwards_counts_and_a_visitors_does_not(app: Flask) -> None:
    old = {"Accept": ACCEPT_PAGE, "Origin": SITE, "X-Forwarded-Host": "app.example.com"}
    assert posted(app, old, base_url=UPSTREAM) == "nobody"
    app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1)  # type: ignore[method-assign]
    assert posted(app, old, base_url=UPSTREAM) == "user-1"
    # The browser names its own page's origin, whatever else is sent along.
    assert posted(app, old | {"Origin": EVIL}, base_url=UPSTREAM) == "nobody"


@pytest.mark.parametrize(
    ("host", "origin", "who"),
    [
        ("localhost:5000", "http://localhost:5000", "user-1"),
        ("localhost:5000", "http://localhost:5001", "nobody"),
        ("localhost:5000", "http://localhost", "nobody"),
        ("localhost", "http://localhost:80", "user-1"),
        ("LOCALHOST:5000", "http://localhost:5000", "user-1"),
        ("[::1]:5000", "http://[::1]:5000", "user-1"),
        ("xn--bcher-kva.example", "https://xn--bcher-kva.example", "user-1"),
        ("xn--bcher-kva.example", EVIL, "nobody"),
        ("app.example.com:443", "https://app.example.com", "user-1"),
        ("evil.example", EVIL, "user-1"),  # its own cookies: a page of that host is no other site
        ("localhost@evil.example", EVIL, "nobody"),
        ("localhost, evil.example", EVIL, "nobody"),
        ("localhost evil.example", EVIL, "nobody"),
        ("evil.example/localhost", EVIL, "nobody"),
        ("", EVIL, "nobody"),
    ],
)
def test_host_of_the_request_is_an_own_origin(app: Flask, host: str, origin: str, who: str) -> None:
    old = {"Accept": ACCEPT_PAGE, "Origin": origin, "Host": host}
    assert posted(app, old) == who


def test_host_that_the_app_does_not_trust_is_its_400_and_no_defect_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Strict(Request):
        trusted_hosts = ["app.example.com"]  # noqa: RUF012 - as Werkzeug declares it

    app = with_more_views(make_app())
    app.request_class = Strict
    old = {"Accept": ACCEPT_PAGE, "Origin": SITE}
    client = app.test_client(use_cookies=False)
    good = client.post("/asks", headers=old | cookies(make_token()), base_url=SITE)
    assert good.text == "seen by user-1"
    bad = client.post("/asks", headers=old | cookies(make_token()), base_url="https://other.test")
    assert bad.status_code in (400, 403)
    assert "internal" not in caplog.text


# --- in disguise ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"])
def test_get_that_asks_to_be_taken_for_a_post_is_one(app: Flask, name: str) -> None:
    """Middleware that honours it may have handed the view another method than the browser's."""
    client = app.test_client()
    sign_in(client)
    for method in ("DELETE", "post", " Put "):
        headers = FOREIGN_FORM | {name: method}
        assert_is_refused(client.get("/asks", headers=headers))
        assert client.get("/asks", headers=FORM | {name: method}).text == "seen by user-1"
    assert client.get("/asks", headers=FOREIGN_FORM | {name: "HEAD"}).text == "seen by user-1"
    assert_is_refused(client.post("/asks", headers=FOREIGN_FORM | {name: "GET"}))


def test_method_that_middleware_has_replaced_counts(app: Flask) -> None:
    inner = app.wsgi_app

    def middleware(environ: dict[str, Any], start_response: Any) -> Any:
        if "_method=DELETE" in environ["QUERY_STRING"]:
            environ["REQUEST_METHOD"] = "DELETE"
        return inner(environ, start_response)

    app.wsgi_app = middleware  # type: ignore[method-assign]
    client = app.test_client()
    sign_in(client)
    assert_is_refused(client.get("/asks?_method=DELETE", headers=FOREIGN_FORM))
    assert client.get("/asks?_method=DELETE", headers=FORM).text == "seen by user-1"


@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "h2c, websocket"])
def test_websocket_of_another_site_is_refused(app: Flask, upgrade: str) -> None:
    """Its handshake is a GET with cookies that no CORS stops."""
    # Werkzeug takes one alone for a WebSocket and matches it with rules for these only.
    options = {"websocket": upgrade.lower() == "websocket"}
    app.add_url_rule("/feed", "feed", session_required(lambda: "connected"), **options)
    app.add_url_rule("/chat", "chat", lambda: "nobody" if g.session is None else "?", **options)
    client = app.test_client()
    sign_in(client)
    handshake = {"Upgrade": upgrade, "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    foreign = handshake | {"Origin": EVIL}
    assert_is_refused(client.get("/feed", headers=foreign), page=False)
    assert client.get("/chat", headers=foreign).text == "nobody"
    modern = foreign | {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "websocket"}
    assert_is_refused(client.get("/feed", headers=modern), page=False)
    own = handshake | {"Origin": "http://localhost"}
    assert client.get("/feed", headers=own).text == "connected"


# --- what an operator sees -----------------------------------------------------------------------


def test_refusals_are_logged_without_what_the_other_site_sent(
    signed_in: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for _ in range(3):
        signed_in.post("/asks?secret=1", headers=FOREIGN_FORM | {"Origin": "https://x\x7f"})
    (line,) = [r for r in caplog.records if r.name.startswith("flask_ssr_session")]
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith("cross_site:")
    assert "secret" not in caplog.text


def test_session_is_back_with_the_next_request(app: Flask) -> None:
    client = app.test_client()
    sign_in(client)
    with client:
        client.post("/reads", headers=FOREIGN_FORM)
        assert get_ssr_session() is None
        client.post("/reads", headers=FORM)
        assert get_ssr_session() is not None
    expire(client)
    assert page_shown(client.post("/asks", headers=FORM)) == "refresh"


def test_own_look_of_the_app_is_shown(app: Flask, signed_in: FlaskClient) -> None:
    with_templates(app, refresh_document="not for you", page=TEMPLATE_GUARD)
    response = signed_in.post("/asks", headers=FOREIGN_FORM)
    assert (response.status_code, response.text) == (403, "not for you")


def test_refusal_takes_no_words_from_the_refresh_page(app: Flask) -> None:
    """Both pages of ours can be "refused": this request, or the token right after its renewal."""
    client = app.test_client(use_cookies=False)
    refused = client.post("/asks", headers=FOREIGN_FORM).text
    refresh = client.get("/asks", headers=PAGE | cookies(expired_token())).text
    for said, on, not_on in (
        ("This was not done", refused, refresh),
        ("this site does not accept it", refresh, refused),
    ):
        assert said in on
        assert said not in not_on
