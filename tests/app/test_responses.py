"""The responses through the client: reason, request and way to ask, and their setup."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from types import FrameType
from typing import Any

import pytest
from flask import Flask, Request, Response, render_template
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder, TestResponse

from flask_ssr_session import MisuseError, require_session, session_required
from flask_ssr_session.pages.refresh_page import refresh_view
from flask_ssr_session.request_facts import read_facts
from flask_ssr_session.request_verdict import decide_request
from flask_ssr_session.sansio.request_kind import kind_of_request
from flask_ssr_session.sansio.response_policy import plan_response
from flask_ssr_session.sansio.return_path import redirect_target
from flask_ssr_session.sansio.states import STATE_OF_REASON, Reason
from flask_ssr_session.sign_in import is_sign_in_page
from flask_ssr_session.testing import outage
from tests.browser_requests import ACCEPT_PAGE, FETCH, PAGE
from tests.tables import rows
from tests.tokens import make_token

from .apps import TEMPLATE_GUARD, make_app, sdk_values, with_templates, with_views
from .visitors import VISITORS, Logs, cookies, page_shown, visiting

HTMX = FETCH | {"HX-Request": "true"}
expired, good = VISITORS["expired"], VISITORS["active"]
PREFETCH = PAGE | {"Sec-Purpose": "prefetch"}


def plain(app: Flask) -> FlaskClient:
    """Return a client that sends only the cookies of its requests."""
    return app.test_client(use_cookies=False)


def shown(response: TestResponse) -> str:
    """Return the status, and what the response shows or where it leads."""
    found = response.headers.get("Location") or page_shown(response)
    if response.is_json:
        assert isinstance(response.json, dict)
        found = str(response.json["message"])
    return f"{response.status_code} {found or response.text}".strip()


# --- the matrix ----------------------------------------------------------------------------------

REQUESTS: dict[str, tuple[str, dict[str, str]]] = {
    "page": ("GET", PAGE),
    "page, plain http": ("GET", {"Accept": ACCEPT_PAGE}),
    "prerender": ("GET", PAGE | {"Sec-Purpose": "prefetch;prerender"}),
    "posted page": ("POST", PAGE),
    "prefetch": ("GET", PREFETCH),
    "fetch": ("GET", FETCH),
    "posting fetch": ("POST", FETCH),
    "client without headers": ("GET", {}),
    "htmx with the SDK": ("GET", HTMX | {"st-auth-mode": "cookie"}),
    "htmx alone": ("GET", HTMX),
    "posting htmx": ("POST", HTMX),
}
# state: (page of a view, page of a template, posted page, prefetch, script)
Q = "/account%3Fq%3D1"
SIGN_IN = f"302 /auth?redirectToPath={Q}"
SHOWN = {
    "active": ("200 content",) * 5,
    "pending": (*("403 repair",) * 3, "503", "403 invalid claim"),
    "refresh": ("200 refresh", "200 refresh", "401 refresh", "503", "401 try refresh token"),
    "anonymous": (SIGN_IN, "200 sign_in", "401 sign_in", "503", "401 unauthorised"),
    "unavailable": (*("503 outage",) * 3, "503", "503 session cannot be checked right now"),
    "refused": (*("403 refused",) * 3, *("403 refused: another site sent this request",) * 2),
}
HX_REDIRECTS = {
    "pending": "/auth/mfa?redirectToPath=/",
    "refresh": "/refresh-session?redirectBack=/",
    "anonymous": "/auth?redirectToPath=/",
}


@pytest.fixture(scope="module")
def matrix_app() -> Flask:
    app = with_templates(make_app(check_revoked=True), page=TEMPLATE_GUARD)
    app.extensions["ssr_session"]._read_sdk = sdk_values  # it knows the page of a second factor
    methods = ["GET", "POST"]
    app.add_url_rule("/account", "account", session_required(lambda: "content"), methods=methods)
    app.add_url_rule("/page", "page", lambda: render_template("page.html"), methods=methods)
    app.add_url_rule("/open", "open", lambda: "open", methods=methods)
    return app


@pytest.mark.parametrize("request_name", REQUESTS)
@pytest.mark.parametrize("reason", VISITORS)
def test_response_fits_reason_and_kind(matrix_app: Flask, reason: str, request_name: str) -> None:
    state = STATE_OF_REASON[Reason(reason)].value
    method, headers = REQUESTS[request_name]
    place = {"posted page": 2, "prefetch": 3}.get(request_name, 4)
    is_page = request_name in ("page", "page, plain http", "prerender")
    client = plain(matrix_app)
    for path, page in (("/account", 0), ("/page", 1)):
        with visiting(matrix_app, reason, headers) as asked:
            response = client.open(f"{path}?q=1", method=method, headers=asked)
            head = client.head(f"{path}?q=1", headers=asked) if method == "GET" else None
        assert shown(response) == SHOWN[state][page if is_page else place], path
        sent = response.headers
        if head is not None:
            assert (head.data, head.status_code) == (b"", response.status_code), path
            assert dict(head.headers) == dict(sent), path
        assert response.content_length == len(response.data), path
        # Invariants: nothing of the cookie leaves, nothing is set, no cache mixes two visitors.
        token = asked.get("Cookie", "").partition("=")[2].partition(";")[0]
        everything = f"{sent}{response.text}"
        assert not [part for part in token.split(".")[1:] if part in everything], path
        assert not {"Set-Cookie", "front-token"} & set(sent.keys()), path
        assert sent["Vary"] == "Cookie", path
        if state == "active":
            assert sent["Cache-Control"] == "private", path
            ours = {"X-Robots-Tag", "SSR-Session", "Retry-After", "HX-Reswap", "HX-Redirect"}
            assert not ours & set(sent.keys()), path
            continue
        assert sent["Cache-Control"] == "no-store", path
        assert sent["X-Robots-Tag"] == "noindex", path
        assert sent["SSR-Session"] == f"{state}; reason={reason}", path
        # After a template, the hook has set the status of its page first.
        retries = state == "unavailable" and (request_name != "prefetch" or path == "/page")
        assert sent.get("Retry-After") == ("10" if retries else None), path
        assert sent.get("HX-Reswap") == ("none" if "htmx" in request_name else None), path
        way = HX_REDIRECTS.get(state) if request_name == "htmx alone" else None
        assert sent.get("HX-Redirect") == way, path
        if not is_page:
            assert place == 2 or b"<" not in response.data, path
        elif sent["Content-Type"].startswith("text/html") and "Location" not in sent:
            clock = "clock" if reason == "clock" else "session cannot be checked at the moment"
            assert (clock in response.text) is (state == "unavailable"), path


@pytest.mark.parametrize("reason", VISITORS)
def test_open_page_is_open_and_logs_say_why(matrix_app: Flask, caplog: Logs, reason: str) -> None:
    matrix_app.extensions["ssr_session"].log._last.clear()
    caplog.set_level(logging.DEBUG, "flask_ssr_session")
    with visiting(matrix_app, reason) as headers:
        response = plain(matrix_app).get("/open", headers=headers)
    assert shown(response) == "200 open"
    assert response.headers["Vary"] == "Cookie"
    assert "SSR-Session" not in response.headers
    said = {"active": "private", "unavailable": "no-store", "refused": "no-store"}
    state = STATE_OF_REASON[Reason(reason)].value
    assert response.headers.get("Cache-Control") == said.get(state)
    quiet = ("expired", "token_missing", "mfa_pending")
    level = "DEBUG" if reason in quiet else "ERROR" if reason == "internal" else "WARNING"
    expected = [] if reason in ("active", "anonymous") else [(level, reason)]
    lines = [(r.levelname, *r.getMessage().split(": ", 1)) for r in caplog.records]
    assert [line[:2] for line in lines] == expected
    # A reason has words of its own, not only the name of its state.
    assert not [line for line in lines if line[2].startswith(state)]
    assert "evil" not in caplog.text


# --- settings, and where redirects lead ----------------------------------------------------------

REDIRECT: dict[str, Any] = {"refresh_flow": "redirect"}
NEXT = {"login_url": "/in", "login_return_param": "next"}
OPTIONAL_WAY = "302 /refresh-session?redirectBack=/news&optional=1"
late: Callable[[], Any] = lambda: cookies(make_token(valid_seconds=-60))  # noqa: E731
SETTINGS: dict[str, Any] = {
    "an optional view": (REDIRECT, expired, "/news", OPTIONAL_WAY),
    "a template has no redirect": (REDIRECT, expired, "/page", "200 refresh"),
    "strangers refresh": ({"always_try_refresh": True}, dict, "/account", "200 refresh"),
    "sign-in elsewhere": (NEXT, dict, "/account", "302 /in?next=/account"),
    "within the leeway": ({"leeway_seconds": 300}, late, "/account", "200 account of user-1"),
    "without a leeway": ({}, late, "/account", "200 refresh"),
}


@rows("settings, cookies_of, path, expected", SETTINGS)
def test_settings_decide(settings: Any, cookies_of: Any, path: str, expected: str) -> None:
    response = plain(with_views(make_app(**settings))).get(path, headers=PAGE | cookies_of())
    assert shown(response) == expected


def test_script_gets_the_status_that_the_sdk_uses() -> None:
    client = plain(with_views(make_app(sdk=sdk_values(session_expired_status=440))))
    for headers in (FETCH, FETCH | expired()):
        assert client.get("/account", headers=headers).status_code == 440


MOUNT_POINTS: dict[str, Any] = {
    "a blank": ("/s p", "/s%20p/refresh-session"),
    "brackets": ("/s(1)", "/s(1)/refresh-session"),
    "two slashes": ("//evil.example", "/evil.example/refresh-session"),
    "a backslash": ("/\\evil.example", "/refresh-session"),
    "a tab": ("/\t/evil.example", "/refresh-session"),
    "an encoded backslash": ("/%5Cevil.example", "/refresh-session"),
}


@rows("mount_point, refresh_path", MOUNT_POINTS)
def test_mount_point_of_a_proxy_names_no_other_host(
    app: Flask, caplog: Logs, mount_point: str, refresh_path: str
) -> None:
    mounted = {"SCRIPT_NAME": mount_point}
    for path in ("/account", "/refresh-session"):
        response = plain(app).get(path, headers=PAGE | cookies("junk"), environ_overrides=mounted)
        assert f'src="{refresh_path}/ssr-session-' in response.text
        assert '"//' not in response.text
    assert "override_broken" not in caplog.text  # the script is found, whatever its path


def test_path_that_a_browser_takes_for_a_host_is_no_way_back() -> None:
    app = with_views(make_app())
    app.register_error_handler(404, lambda _error: (render_template("page.html"), 404))
    app.url_map.merge_slashes = False
    for path in ("//evil.example/x", "/\\evil.example", "///evil.example"):
        at, headers = {"PATH_INFO": path}, PAGE | expired()
        response = plain(app).get("/", headers=headers, environ_overrides=at)
        links = re.findall(r'(?:href|data-[a-z-]+)="(/[^"]*)"', response.text)
        assert (response.status_code, len(links)) == (404, 8), path
        assert not re.search(r'="(//|/\\|[^"]*=//)', response.text), path


HTMX_PAGES: dict[str, Any] = {
    "path and query": ("https://a.example/l?q=%C3%A4#row", "/l%3Fq%3D%25C3%25A4"),
    "a path like a host": ("https://evil.example//evil.example", "/"),
    "the refresh page": ("/refresh-session?redirectBack=/x", "/"),
    "not a URL": ("http://[", "/"),
}


@rows("page, back", HTMX_PAGES)
def test_htmx_leaves_its_page_and_comes_back_to_it(matrix_app: Flask, page: str, back: str) -> None:
    """To reload a page that is open to all would never end, as it refreshes nothing."""
    headers = HTMX | {"HX-Current-URL": page}
    refresh = plain(matrix_app).get("/account", headers=headers | cookies("junk"))
    assert refresh.headers["HX-Redirect"] == f"/refresh-session?redirectBack={back}"
    stranger = plain(matrix_app).get("/account", headers=headers)
    assert stranger.headers["HX-Redirect"] == f"/auth?redirectToPath={back}"


# --- a sign-in page that asks for a session ------------------------------------------------------


LOGIN_URLS = {
    "inline": "/login",
    "chosen by a query": "/login?theme=dark",
    "with a slash": "/login/",
    "a full URL": "http://localhost/login",
}


@rows("login_url", LOGIN_URLS)
def test_sign_in_page_that_needs_a_session_is_an_error(caplog: Logs, login_url: str) -> None:
    for view in (session_required(lambda: "sign in"), lambda: render_template("page.html")):
        app = with_views(make_app(login_url=login_url))
        app.add_url_rule("/login", "login", view)
        with pytest.raises(MisuseError, match=r"'/login' itself requires a session"):
            app.test_client().get("/login?theme=dark", headers=PAGE)
        app.testing = False
        caplog.clear()
        response = app.test_client().get("/login?theme=dark", headers=PAGE)
        assert shown(response) == "200 sign_in"
        assert "sign_in_closed: The sign-in page '/login'" in caplog.text


def test_host_header_opens_nothing_for_a_sign_in_page_given_as_full_url() -> None:
    app = with_views(make_app(login_url="https://signin.example.com/account"))
    response = plain(app).get("/account", headers=PAGE | {"Host": "signin.example.com"})
    assert shown(response).startswith("302 https://signin.example.com/account?")


def test_error_page_at_the_sign_in_path_does_not_lead_to_itself() -> None:
    for always in (False, True):
        app = with_views(make_app(always_try_refresh=always))
        app.register_error_handler(404, lambda _error: (render_template("page.html"), 404))
        for path, leads_away in (("/auth", False), ("/elsewhere", not always)):
            response = plain(app).get(path, headers=PAGE)
            assert response.status_code == 404, path
            assert ("http-equiv" in response.text) is leads_away, path
            assert ("<script" in response.text) is (path == "/elsewhere" and always), path


# --- a page of ours among the app's own ----------------------------------------------------------


def test_status_for_scripts_keeps_the_headers_of_other_hooks(app: Flask) -> None:
    @app.after_request
    def cross_origin(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = "https://other.example"
        response.headers["Content-Encoding"] = "identity"
        response.headers["Content-Disposition"] = "inline"
        response.set_cookie("theme", "dark")
        response.vary.add("Origin")
        response.set_etag("of-the-page")
        return response

    response = plain(app).get("/page", headers=FETCH)
    assert shown(response) == "401 unauthorised"
    assert response.headers["Access-Control-Allow-Origin"] == "https://other.example"
    assert response.headers["Set-Cookie"].startswith("theme=dark")
    assert set(response.vary) == {"Origin", "Cookie"}
    assert not {"ETag", "Content-Encoding", "Content-Disposition"} & set(response.headers.keys())


def test_script_is_not_refused_for_a_refresh_page_shown_needlessly(app: Flask) -> None:
    with_templates(app, page=TEMPLATE_GUARD.replace("needs_refresh", "true"))
    response = plain(app).get("/page", headers=FETCH | good())
    assert shown(response) == "200 refresh"
    assert response.headers["Cache-Control"] == "no-store"


PART = "{{ orders() }}"
ASKS_SOFTLY = "{% if needs_refresh(optional=True) %}x{% endif %}"


PARTS: dict[str, Any] = {
    "a guarded part, expired page": (PART, lambda: PAGE | expired(), False, "200 refresh"),
    "a guarded part, fetch": (PART, lambda: FETCH | expired(), False, "401 try refresh token"),
    "a guarded part, htmx": (PART, lambda: HTMX, False, "401 unauthorised"),
    "a guarded part, outage": (PART, lambda: FETCH | good(), True, "503 session cannot be"),
    "an optional part, outage": (ASKS_SOFTLY, lambda: FETCH | good(), True, "503 session can"),
}


@rows("added, headers, in_outage, expected", PARTS)
def test_part_of_a_page_does_not_hide_what_the_whole_page_needs(
    added: str, headers: Callable[[], dict[str, str]], in_outage: bool, expected: str
) -> None:
    app = with_views(make_app())
    with_templates(app, page=TEMPLATE_GUARD + added)
    part: Callable[[], Any] = session_required(lambda: "orders")
    app.jinja_env.globals["orders"] = lambda: out if isinstance(out := part(), str) else ""
    with outage(app) if in_outage else nullcontext():
        response = plain(app).get("/page", headers=headers())
    assert shown(response).startswith(expected)
    assert response.headers.get("Retry-After") == ("10" if in_outage else None)


def test_redirect_of_a_required_view_is_not_optional_for_an_optional_part_of_it() -> None:
    app = with_templates(make_app(**REDIRECT), menu=ASKS_SOFTLY)
    app.before_request(lambda: render_template("menu.html") and None)
    app.add_url_rule("/account", "account", session_required(lambda: "account"))
    response = plain(app).get("/account", headers=PAGE | expired())
    assert response.location == "/refresh-session?redirectBack=/account"


DOCUMENTS: dict[str, Any] = {
    "without the macro": ("<p>back soon</p>", "<p>back soon</p>", "<p>back soon</p>"),
    "with it": (TEMPLATE_GUARD, "outage", "refused"),
}


@rows("document, in_outage, cross_site", DOCUMENTS)
def test_page_of_the_app_has_our_status(document: str, in_outage: str, cross_site: str) -> None:
    app = with_templates(with_views(make_app()), refresh_document=document)
    app.after_request(lambda response: response.set_etag("of-the-app") or response)
    foreign = PAGE | {"Sec-Fetch-Site": "cross-site"}
    refused = plain(app).post("/account", headers=foreign | good())
    with outage(app):
        response = plain(app).get("/account", headers=PAGE | good())
    assert (shown(response), shown(refused)) == (f"503 {in_outage}", f"403 {cross_site}")
    assert response.headers["Retry-After"] == "10"
    assert "ETag" not in response.headers


def test_revocation_that_cannot_be_checked_closes_every_guard_of_the_request() -> None:
    app = make_app()
    keys = app.extensions["ssr_session_test_keys"].keys
    app.extensions["ssr_session"].override_keys_for_testing(keys)
    guarded: Callable[[], Any] = session_required(check_revoked=True)(lambda: "secret")

    @app.route("/twice")
    def twice() -> Any:
        with pytest.raises(MisuseError):
            require_session(check_revoked=True)
        return guarded()

    with pytest.raises(MisuseError, match="only the SDK knows"):
        plain(app).get("/twice", headers=PAGE | good())


# --- warnings about a setup that keeps visitors out, once each -----------------------------------


def api(domain: str, **more: str) -> dict[str, Any]:
    return {"api_domain": f"http://{domain}:5000", **more}


def at(login_url: str) -> dict[str, str]:
    return {"login_url": login_url}


DEAD_ENDS: dict[str, Any] = {
    "the API's host": (api("localhost"), "localhost", "other_host", False),
    "another host": (api("127.0.0.1"), "localhost", "other_host", True),
    "a cookie domain": ({"cookie_domain": ".example.com"}, "localhost", "other_host", False),
    "an address of IPv6": (api("[::1]"), "[::1]:5000", "other_host", False),
    "another address": (api("[::1]"), "[::2]:5000", "other_host", True),
    "sign-in exists": (at("/sign-in"), "localhost", "no_sign_in", False),
    "sign-in is missing": (at("/signin"), "localhost", "no_sign_in", True),
    "sign-in exists, mounted": (at("/sub/sign-in"), "localhost/sub", "no_sign_in", False),
    "it is missing, mounted": (at("/sub/signin"), "localhost/sub", "no_sign_in", True),
    "another app's": (at("/else/sign-in"), "localhost/sub", "no_sign_in", False),
    "another site's": (at("https://l.example.com/"), "localhost", "no_sign_in", False),
}


@rows("settings, host, reason, is_warned", DEAD_ENDS)
def test_dead_end_is_warned_of_once(
    caplog: Logs, settings: dict[str, Any], host: str, reason: str, is_warned: bool
) -> None:
    for path in ("/account", "/page"):
        app = with_views(make_app(**settings))
        app.add_url_rule("/sign-in", "sign_in", lambda: "sign in")
        caplog.clear()
        for _ in range(2):
            app.extensions["ssr_session"].log._last.clear()
            plain(app).get(path, headers=PAGE, base_url=f"http://{host}")
        assert caplog.text.count(reason) == is_warned, path


MODE = {"st-auth-mode": "header"}
API, COOKIE_DOMAIN = api("localhost"), api("localhost", cookie_domain=".example.com")
IN_HEADER, IN_COOKIES = "st-access-token", "front-token"
SIGN_INS: dict[str, Any] = {
    "a page without the SDK": ("same-origin", {}, IN_HEADER, "/auth/x", "header_tokens"),
    "of the same site": ("same-site", {}, IN_HEADER, "/auth/x", "header_tokens"),
    "of another site": ("cross-site", {}, IN_HEADER, "/auth/x", None),
    "cookies were set": ("same-origin", {}, IN_COOKIES, "/auth/x", None),
    "it asked so": ("same-origin", MODE, IN_HEADER, "/auth/x", None),
    "no browser": (None, {}, IN_HEADER, "/auth/x", None),
    "a view of the app": ("same-origin", {}, IN_HEADER, "/auth/own", None),
    "at another host": ("same-origin", {"Host": "127.0.0.1"}, IN_HEADER, "/auth/x", "other_host"),
    "at no trusted host": ("same-origin", {"Host": "evil.example"}, IN_HEADER, "/auth/x", None),
}


@rows("site, headers, answered, path, reason", SIGN_INS)
def test_page_that_signs_in_without_asking_for_cookies_is_warned_of_once(
    caplog: Logs, site: str, headers: Any, answered: str, path: str, reason: str | None
) -> None:
    for settings in (API, COOKIE_DOMAIN):
        app, token = make_app(**settings), make_token()
        trusted = {"trusted_hosts": ["localhost", "127.0.0.1"]}
        app.request_class = type("Careful", (Request,), trusted)
        app.before_request(lambda token=token: Response(headers={answered: token}))
        app.add_url_rule("/auth/own", "own", lambda: "", methods=["POST"])
        caplog.clear()
        for _ in range(2):
            app.extensions["ssr_session"].log._last.clear()
            app.test_client().post(path, headers={"Sec-Fetch-Site": site, **headers})
        # Where cookies have a domain, no host is another one.
        told = "header_tokens" if reason and settings is COOKIE_DOMAIN else reason
        counts = {each: caplog.text.count(f" {each}: ") for each in ("header_tokens", "other_host")}
        assert counts == {each: each == told for each in counts}
        assert token not in caplog.text


@rows("host", {"trusted": "api.example.com", "not trusted": "evil.example"})
def test_page_at_a_host_that_is_not_trusted_asks_for_a_session(host: str, caplog: Logs) -> None:
    """Flask shows the app's page for 400 there, or before version 3.1 the view's own."""
    app = with_views(make_app())
    app.request_class = type("Careful", (Request,), {"trusted_hosts": ["api.example.com"]})
    app.register_error_handler(400, lambda _error: (render_template("page.html"), 400))
    response = plain(app).get("/page", headers=PAGE | {"Host": host})
    assert response.status_code in (200, 400)
    assert page_shown(response) == "sign_in"
    assert "other_host" not in caplog.text


STRANGE: dict[str, Any] = {
    f"host {host[:8]}": {"HTTP_HOST": host.encode().decode("latin-1")}
    for host in ("a" * 64, "a..b", ".", "[::1", "localhost:x", "ä")
} | {"query": {"QUERY_STRING": "redirectBack=\xff\xfe&continueSignedOut=1"}}


@rows("environ", STRANGE)
def test_strange_request_is_no_error_of_ours(environ: dict[str, str]) -> None:
    app = with_views(make_app())
    app.config["PROPAGATE_EXCEPTIONS"] = False
    for code in (400, 404):
        app.register_error_handler(code, lambda error: (render_template("page.html"), error.code))
    for path in ("/account", "/page", "/news", "/nowhere", "/refresh-session"):
        for visitor in ({}, cookies("junk")):
            headers = Headers(PAGE | visitor)
            builder = EnvironBuilder(path, headers=headers, environ_overrides=environ)
            # The test client of Werkzeug 3.0 fails itself at such a host.
            response = Response.from_app(app, builder.get_environ())
            assert response.status_code < 500, path
            text = response.get_data(as_text=True)
            assert "content" not in text.replace('content="', ""), path


ONCE = (
    decide_request,
    plan_response,
    read_facts,
    kind_of_request,
    redirect_target,
    is_sign_in_page,
)


COMPUTED: dict[str, Any] = {
    "an expired page": ("/account?q=1", PAGE, expired, 1, 1),
    "an expired page of a template": ("/page", PAGE, expired, 1, 1),
    "an expired fetch": ("/account", FETCH, expired, 1, 0),
    "a stranger's page": ("/account", PAGE, dict, 1, 0),
    "a page that is shown": ("/account", PAGE, good, 0, 0),
}


@rows("path, headers, cookies_of, others, rendered", COMPUTED)
def test_request_computes_what_it_needs_once(
    matrix_app: Flask, path: str, headers: Any, cookies_of: Any, others: int, rendered: int
) -> None:
    names = {function.__code__: function.__name__ for function in (*ONCE, refresh_view)}
    counts = dict.fromkeys(names.values(), 0)

    def count(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code in names:
            counts[names[frame.f_code]] += 1

    client, sent, before = plain(matrix_app), headers | cookies_of(), sys.getprofile()
    client.get(path, headers=sent)
    sys.setprofile(count)
    try:
        client.get(path, headers=sent)
    finally:
        sys.setprofile(before)
    expected = dict.fromkeys(names.values(), others)
    assert counts == expected | {"decide_request": 1, "refresh_view": rendered}
