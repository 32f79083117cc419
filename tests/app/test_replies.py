"""The response to a request, by the state of its session and by the kind of request."""

from __future__ import annotations

import io
import logging
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask, Request, Response, make_response, render_template, send_file
from flask.testing import FlaskClient
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import TestResponse

from flask_ssr_session import (
    MisuseError,
    SessionState,
    app_state,
    request_verdict,
    session_exempt,
    session_required,
)
from flask_ssr_session.clock import SystemClock
from flask_ssr_session.testing import expire, outage, sign_in
from tests.browser_requests import ACCEPT_PAGE, FETCH, PAGE
from tests.tokens import expired_token, make_token

from .conftest import (
    TEMPLATE_GUARD,
    cookies,
    is_down,
    make_app,
    page_shown,
    sdk_values,
    stub_revocation,
    with_templates,
    with_views,
)

# --- the table -----------------------------------------------------------------------------------


def _fail(*_args: Any, **_options: Any) -> None:
    raise RuntimeError("a defect")


# reason: (state, the cookies that lead to it)
REASONS: dict[str, tuple[str, Callable[[], dict[str, str]]]] = {
    "active": ("active", lambda: cookies(make_token())),
    "expired": ("refresh", lambda: cookies(expired_token())),
    "invalid": ("refresh", lambda: cookies("junk")),
    "duplicate": ("refresh", lambda: cookies(make_token(user_id="a"), make_token(user_id="b"))),
    "token_missing": ("refresh", cookies),
    "anonymous": ("anonymous", dict),
    "keys_unavailable": ("unavailable", lambda: cookies(make_token())),
    "clock": ("unavailable", lambda: cookies(make_token(issued_at=time.time() + 120))),
    "internal": ("unavailable", lambda: cookies(make_token())),
    "revoked": ("refresh", lambda: cookies(make_token())),
    "core_unavailable": ("unavailable", lambda: cookies(make_token())),
    "cross_site": ("refused", lambda: cookies(make_token())),
}


def request_for(reason: str, headers: dict[str, str]) -> dict[str, str]:
    """Return the request's headers with the cookies that lead to *reason*."""
    headers = headers | REASONS[reason][1]()
    if reason != "cross_site":
        return headers
    # What is unsafe by its method alone is in test_cross_site.py.
    headers |= {"X-HTTP-Method-Override": "POST", "Origin": "https://evil.example"}
    return headers | {"Sec-Fetch-Site": "cross-site"} if "Sec-Fetch-Site" in headers else headers


def arrange(
    reason: str, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> AbstractContextManager[None]:
    """Change the environment of *app* so that a valid token gets this *reason*."""
    if reason == "keys_unavailable":
        return outage(app)
    if reason == "internal":
        monkeypatch.setattr(request_verdict, "decide", _fail)
    if reason in ("revoked", "core_unavailable"):
        ssr = app.extensions["ssr_session"]
        monkeypatch.setattr(app_state, "read_sdk", sdk_values)
        monkeypatch.setattr(ssr, "settings", replace(ssr.settings, check_revoked=True))
        stub_revocation(app, is_down if reason == "core_unavailable" else lambda _handle: True)
    return nullcontext()


KINDS: dict[str, tuple[str, dict[str, str]]] = {
    "page": ("GET", PAGE),
    "page, no fetch metadata": ("GET", {"Accept": ACCEPT_PAGE}),
    "page in a frame": ("GET", PAGE | {"Sec-Fetch-Dest": "iframe"}),
    "prerendered page": ("GET", PAGE | {"Sec-Purpose": "prefetch;prerender"}),
    "posted page": ("POST", PAGE),
    "prefetched page": ("GET", PAGE | {"Sec-Purpose": "prefetch"}),
    "fetch": ("GET", FETCH),
    "posting fetch": ("POST", FETCH),
    "JSON client": ("GET", {"Accept": "application/json"}),
    "client without headers": ("GET", {}),
    "XMLHttpRequest": ("GET", {"Accept": ACCEPT_PAGE, "X-Requested-With": "XMLHttpRequest"}),
    "htmx with the SDK": ("GET", FETCH | {"HX-Request": "true", "st-auth-mode": "cookie"}),
    "htmx alone": ("GET", FETCH | {"HX-Request": "true"}),
}

# state: kind: (status, what is shown)
PAGES = ("page", "page, no fetch metadata", "page in a frame", "prerendered page")
SCRIPTS = tuple(kind for kind in KINDS if "page" not in kind)
ANSWERS: dict[str, dict[str, tuple[int, str]]] = {
    "active": dict.fromkeys(KINDS, (200, "account of user-1")),
    "refresh": {
        **dict.fromkeys(PAGES, (200, "refresh")),
        "posted page": (401, "refresh"),
        "prefetched page": (503, ""),
        **dict.fromkeys(SCRIPTS, (401, "try refresh token")),
    },
    "anonymous": {
        **dict.fromkeys(PAGES, (302, "/auth?redirectToPath=/account%3Fq%3D1")),
        "posted page": (401, "sign_in"),
        "prefetched page": (503, ""),
        **dict.fromkeys(SCRIPTS, (401, "unauthorised")),
    },
    "unavailable": {
        **dict.fromkeys(PAGES, (503, "outage")),
        "posted page": (503, "outage"),
        "prefetched page": (503, ""),
        **dict.fromkeys(SCRIPTS, (503, "session cannot be checked right now")),
    },
    "refused": {
        **dict.fromkeys((*PAGES, "posted page"), (403, "refused")),
        **dict.fromkeys(
            ("prefetched page", *SCRIPTS), (403, "refused: another site sent this request")
        ),
    },
}


def _shown(response: TestResponse) -> str:
    if response.status_code == 302:
        return response.headers["Location"]
    if response.is_json:
        assert isinstance(response.json, dict)
        return str(response.json["message"])
    return page_shown(response) or response.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reason", REASONS)
def test_answer_fits_the_state_and_who_asks(
    app: Flask, monkeypatch: pytest.MonkeyPatch, reason: str, kind: str
) -> None:
    session_state = REASONS[reason][0]
    method, headers = KINDS[kind]
    client = app.test_client(use_cookies=False)
    with arrange(reason, app, monkeypatch):
        response = client.open("/account?q=1", method=method, headers=request_for(reason, headers))

    assert (response.status_code, _shown(response)) == ANSWERS[session_state][kind]
    assert "Set-Cookie" not in response.headers
    assert "front-token" not in response.headers
    assert response.headers["Vary"] == "Cookie"
    if session_state == "active":
        assert response.headers["Cache-Control"] == "private"
        assert not {"X-Robots-Tag", "SSR-Session", "Retry-After", "HX-Reswap"} & set(
            response.headers.keys()
        )
        return
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Robots-Tag"] == "noindex"
    assert response.headers["SSR-Session"] == f"{session_state}; reason={reason}"
    retries = session_state == "unavailable" and kind != "prefetched page"
    assert response.headers.get("Retry-After") == ("10" if retries else None)
    assert response.headers.get("HX-Reswap") == ("none" if "htmx" in kind else None)
    ways = {"refresh": "/refresh-session?redirectBack=/", "anonymous": "/auth?redirectToPath=/"}
    way = ways.get(session_state) if kind == "htmx alone" else None
    assert response.headers.get("HX-Redirect") == way


@pytest.mark.parametrize(
    ("page", "back"),
    [
        ("https://app.example.com/list?q=%C3%A4&page=2#row", "/list%3Fq%3D%25C3%25A4%26page%3D2"),
        ("https://evil.example/list", "/list"),
        ("https://evil.example//evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/refresh-session?redirectBack=/x", "/"),
        ("http://[", "/"),
        ("", "/"),
    ],
)
def test_htmx_alone_leaves_the_page_and_comes_back_to_it(app: Flask, page: str, back: str) -> None:
    """To reload a page that is open to all would never end, as it refreshes nothing."""
    client = app.test_client(use_cookies=False)
    headers = FETCH | {"HX-Request": "true", "HX-Current-URL": page}
    for cookie, way in (
        (cookies("junk"), "/refresh-session?redirectBack="),
        ({}, "/auth?redirectToPath="),
    ):
        response = client.get("/account", headers=headers | cookie)
        assert response.headers["HX-Redirect"] == way + back
        # What was typed into a form is only on the page.
        response = client.post("/account", headers=headers | cookie)
        assert response.status_code == 401
        assert "HX-Redirect" not in response.headers


# Encoded once more in a query, each "é" takes ten characters.
FITTING, TOO_LONG = ("/account?" + "%C3%A9" * count for count in (380, 420))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param(lambda client, page: client.get(page, headers=PAGE), "/auth", id="redirect"),
        pytest.param(
            lambda client, page: client.get(
                "/account", headers=FETCH | {"HX-Request": "true", "HX-Current-URL": page}
            ),
            "/auth",
            id="htmx, stranger",
        ),
        pytest.param(
            lambda client, page: client.get(
                "/account",
                headers=FETCH | cookies("junk") | {"HX-Request": "true", "HX-Current-URL": page},
            ),
            "/refresh-session",
            id="htmx, refresh",
        ),
        pytest.param(
            lambda client, page: client.post(page, headers=PAGE), "/auth", id="link on our page"
        ),
        pytest.param(
            lambda client, page: client.get(page, headers=PAGE | cookies("junk")),
            "/auth",
            id="script of the refresh page",
        ),
    ],
)
def test_way_back_that_no_server_would_read_is_dropped(
    app: Flask, asked: Callable[[FlaskClient, str], TestResponse], expected: str
) -> None:
    def redirect_to(page: str) -> str:
        response = asked(app.test_client(use_cookies=False), page)
        named = response.headers.get("Location") or response.headers.get("HX-Redirect")
        if named is not None:
            return named
        # The script's and the link's are one address.
        addresses = set(re.findall(r'(?:href|data-sign-in)="(/auth[^"]*)"', response.text))
        assert len(addresses) == 1
        return str(addresses.pop())

    parameter = "redirectBack" if expected == "/refresh-session" else "redirectToPath"
    assert redirect_to(FITTING) == f"{expected}?{parameter}={quote(FITTING, safe='/')}"
    assert redirect_to(TOO_LONG) == expected


@pytest.mark.parametrize("reason", REASONS)
def test_head_gets_the_headers_of_get_without_the_body(
    app: Flask, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    client = app.test_client(use_cookies=False)
    headers = request_for(reason, PAGE)
    with arrange(reason, app, monkeypatch):
        head = client.head("/account", headers=headers)
        get = client.get("/account", headers=headers)

    assert head.data == b""
    assert get.data
    assert head.status_code == get.status_code
    assert dict(head.headers) == dict(get.headers)


@pytest.mark.parametrize("reason", REASONS)
def test_page_that_never_asks_is_open_in_every_state(
    app: Flask, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    client = app.test_client(use_cookies=False)
    with arrange(reason, app, monkeypatch):
        response = client.get("/open", headers=request_for(reason, PAGE))
    assert (response.status_code, response.text) == (200, "open")
    assert response.headers["Vary"] == "Cookie"
    assert "SSR-Session" not in response.headers
    said = {"active": "private", "unavailable": "no-store", "refused": "no-store"}
    assert response.headers.get("Cache-Control") == said.get(REASONS[reason][0])


def test_clock_outage_names_the_clock(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    ahead = client.get("/account", headers=PAGE | cookies(make_token(issued_at=time.time() + 120)))
    with outage(app):
        keyless = client.get("/account", headers=PAGE | cookies(make_token()))
    assert "clock" in ahead.text
    assert "clock" not in keyless.text


@pytest.mark.parametrize("reason", sorted(REASONS.keys() - {"active", "anonymous"}))
def test_a_line_of_the_log_says_what_its_reason_means(
    app: Flask, monkeypatch: pytest.MonkeyPatch, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "flask_ssr_session")
    client = app.test_client(use_cookies=False)
    with arrange(reason, app, monkeypatch):
        client.get("/account", headers=request_for(reason, PAGE))
    (line,) = [text for text in caplog.messages if text.startswith(f"{reason}: ")]
    meaning = line.removeprefix(f"{reason}: ")
    assert meaning not in {each.value for each in SessionState}


def test_body_for_scripts_has_the_status_that_the_sdk_uses(
    monkeypatch: pytest.MonkeyPatch, client: FlaskClient
) -> None:
    assert client.get("/account", headers=FETCH).status_code == 401
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk_values(session_expired_status=440))
    with_sdk = with_views(make_app()).test_client()
    assert with_sdk.get("/account", headers=FETCH).status_code == 440


# --- the redirect flow, and the literal guide ----------------------------------------------------


@pytest.mark.parametrize("reason", ["expired", "invalid", "duplicate", "token_missing", "revoked"])
@pytest.mark.parametrize("kind", PAGES)
def test_redirect_flow_sends_a_page_to_the_refresh_page(
    monkeypatch: pytest.MonkeyPatch, reason: str, kind: str
) -> None:
    app = with_views(make_app(refresh_flow="redirect"))
    client = app.test_client(use_cookies=False)
    with arrange(reason, app, monkeypatch):
        response = client.get("/account?q=1", headers=request_for(reason, KINDS[kind][1]))
    assert response.status_code == 302
    assert response.headers["Location"] == "/refresh-session?redirectBack=/account%3Fq%3D1"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["SSR-Session"] == f"refresh; reason={reason}"


@pytest.mark.parametrize("kind", ["posted page", "fetch", "prefetched page", "htmx alone"])
def test_redirect_flow_redirects_nothing_but_pages_that_may_be_asked_for_again(kind: str) -> None:
    client = with_views(make_app(refresh_flow="redirect")).test_client(use_cookies=False)
    method, headers = KINDS[kind]
    response = client.open("/account", method=method, headers=headers | cookies(expired_token()))
    assert (response.status_code, _shown(response)) == ANSWERS["refresh"][kind]


def test_redirect_flow_sends_strangers_straight_to_sign_in() -> None:
    client = with_views(make_app(refresh_flow="redirect")).test_client()
    response = client.get("/account", headers=PAGE)
    assert response.headers["Location"] == "/auth?redirectToPath=/account"


def test_redirect_flow_shows_outages_in_place() -> None:
    app = with_views(make_app(refresh_flow="redirect"))
    client = app.test_client()
    sign_in(client)
    with outage(app):
        response = client.get("/account", headers=PAGE)
    assert (response.status_code, page_shown(response)) == (503, "outage")


def test_redirect_flow_tells_the_refresh_page_that_the_page_is_optional() -> None:
    client = with_views(make_app(refresh_flow="redirect")).test_client(use_cookies=False)
    headers = PAGE | cookies(expired_token())
    optional = client.get("/news", headers=headers).headers["Location"]
    required = client.get("/account", headers=headers).headers["Location"]
    assert optional == "/refresh-session?redirectBack=/news&optional=1"
    assert required == "/refresh-session?redirectBack=/account"


@pytest.mark.parametrize(
    ("flow", "kind", "expected"),
    [
        ("inline", "page", (200, "refresh")),
        ("redirect", "page", (302, "/refresh-session?redirectBack=/account")),
        ("inline", "posted page", (401, "refresh")),
        ("inline", "fetch", (401, "try refresh token")),
        ("inline", "prefetched page", (503, "")),
    ],
)
def test_always_try_refresh_refreshes_strangers_first(
    flow: str, kind: str, expected: tuple[int, str]
) -> None:
    client = with_views(make_app(always_try_refresh=True, refresh_flow=flow)).test_client()
    method, headers = KINDS[kind]
    response = client.open("/account", method=method, headers=headers)
    assert (response.status_code, _shown(response)) == expected
    assert response.headers["SSR-Session"] == "anonymous; reason=anonymous"


def test_always_try_refresh_holds_for_templates_too() -> None:
    literal = with_views(make_app(always_try_refresh=True)).test_client()
    plain = with_views(make_app()).test_client()
    assert page_shown(literal.get("/page", headers=PAGE)) == "refresh"
    assert page_shown(plain.get("/page", headers=PAGE)) == "sign_in"


# --- a sign-in page that requires a session ------------------------------------------------------


@pytest.mark.parametrize(
    ("login_url", "always_try_refresh", "flow"),
    [
        ("/login", False, "inline"),
        ("/login", True, "inline"),
        ("/login", True, "redirect"),
        ("/login?theme=dark", False, "inline"),
        ("/login/", False, "inline"),
        ("http://localhost/login", False, "inline"),
    ],
)
@pytest.mark.parametrize("by", ["decorator", "template"])
def test_sign_in_page_that_needs_a_session_is_an_error_and_no_loop(
    login_url: str, always_try_refresh: bool, flow: str, by: str
) -> None:
    app = with_views(
        make_app(login_url=login_url, always_try_refresh=always_try_refresh, refresh_flow=flow)
    )
    if by == "decorator":
        app.add_url_rule("/login", "login", session_required(lambda: "sign in here"))
    else:
        app.add_url_rule("/login", "login", lambda: render_template("page.html"))
    client = app.test_client()
    with pytest.raises(MisuseError, match=r"'/login' itself requires a session"):
        client.get("/login?theme=dark", headers=PAGE)


def test_other_page_leads_to_the_same_sign_in_page() -> None:
    app = with_views(make_app(login_url="/login"))
    app.add_url_rule("/login", "login", lambda: "sign in here")
    client = app.test_client()
    assert client.get("/account", headers=PAGE).headers["Location"] == (
        "/login?redirectToPath=/account"
    )
    assert client.get("/login", headers=PAGE).text == "sign in here"


def test_foreign_host_header_opens_nothing_on_a_sign_in_page_given_as_full_url() -> None:
    app = make_app(login_url="https://signin.example.com/account")
    with_views(app)
    response = app.test_client().get(
        "/account", headers=PAGE | {"Host": "signin.example.com"}, base_url="http://localhost"
    )
    assert "account of" not in response.text
    assert response.status_code == 302


def test_error_page_at_the_sign_in_path_does_not_lead_to_itself() -> None:
    for always_try_refresh in (False, True):
        app = with_views(make_app(always_try_refresh=always_try_refresh))

        def not_found(_error: Exception) -> tuple[str, int]:
            return render_template("page.html"), 404

        app.register_error_handler(404, not_found)
        client = app.test_client()
        for path, leads_away in (("/auth", False), ("/elsewhere", not always_try_refresh)):
            response = client.get(path, headers=PAGE)
            assert response.status_code == 404
            assert ("http-equiv" in response.text) is leads_away
            assert ("<script" in response.text) is (path == "/elsewhere" and always_try_refresh)


# --- where redirects lead ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "back"),
    [
        ("/x/plain", "/x/plain"),
        ("/x/plain?a=1&b=2", "/x/plain%3Fa%3D1%26b%3D2"),
        ("/x/%C3%A9t%C3%A9", "/x/%25C3%25A9t%25C3%25A9"),
        ("/x/été?q=ü", "/x/%25C3%25A9t%25C3%25A9%3Fq%3D%25C3%25BC"),
        ("/x/a@b", "/x/a%40b"),
        ("/x/a%20b", "/x/a%2520b"),
        ("/x/a?next=//evil.example", "/x/a%3Fnext%3D//evil.example"),
        ("/x/a?next=https://evil.example/", "/x/a%3Fnext%3Dhttps%3A//evil.example/"),
        ("/x/a%2Fb", "/x/a/b"),
        ("/x/..%2f..%2fetc", "/"),
        ("/x/%5Cevil", "/x/%255Cevil"),
        ("/x/%09tab", "/"),
        ("/x/a?q=%0d%0aSet-Cookie:a", "/x/a%3Fq%3D%250d%250aSet-Cookie%3Aa"),
        ('/x/a?q="><script>', "/x/a%3Fq%3D%2522%3E%3Cscript%3E"),
        ("/x/100%25", "/x/100%2525"),
    ],
)
def test_return_path_comes_back_as_the_browser_wrote_it_or_not_at_all(path: str, back: str) -> None:
    app = make_app()
    app.add_url_rule("/x/<path:rest>", "x", session_required(lambda **_: "secret"))
    response = app.test_client().get(path, headers=PAGE)
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/auth?redirectToPath=/")
    found = response.headers["Location"].removeprefix("/auth?redirectToPath=")
    # No browser sends "<" and ">" unescaped; both spellings are safe.
    assert found.replace("%253E%253C", "%3E%3C").replace("%253E", "%3E") in (
        back,
        back.replace("%3E", "%253E").replace("%3C", "%253C"),
    )


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example", "///evil.example"])
def test_path_that_a_browser_takes_for_a_host_is_no_way_back(path: str) -> None:
    app = with_views(make_app())
    app.register_error_handler(404, lambda _error: (render_template("page.html"), 404))
    app.url_map.merge_slashes = False
    response = app.test_client(use_cookies=False).get(
        "/", headers=PAGE | cookies(expired_token()), environ_overrides={"PATH_INFO": path}
    )
    assert response.status_code == 404
    links = re.findall(r'(?:href|data-[a-z-]+)="(/[^"]*)"', response.text)
    assert len(links) == 8
    assert not [link for link in links if link.startswith(("//", "/\\")) or "=//" in link]


def test_mounted_app_leads_back_below_its_mount_point() -> None:
    client = with_views(make_app(refresh_flow="redirect")).test_client(use_cookies=False)
    stranger = client.get("/account", headers=PAGE, base_url="http://localhost/shop")
    returning = client.get(
        "/account", headers=PAGE | cookies(expired_token()), base_url="http://localhost/shop"
    )
    assert stranger.headers["Location"] == "/auth?redirectToPath=/shop/account"
    assert returning.headers["Location"] == "/shop/refresh-session?redirectBack=/shop/account"


def test_application_root_counts_as_mount_point() -> None:
    app = with_views(make_app(refresh_flow="redirect"))
    app.config["APPLICATION_ROOT"] = "/shop"
    response = app.test_client(use_cookies=False).get(
        "/account", headers=PAGE | cookies(expired_token())
    )
    assert response.headers["Location"] == "/shop/refresh-session?redirectBack=/shop/account"


def test_prefix_of_a_trusted_proxy_counts_and_its_host_does_not() -> None:
    app = with_views(make_app(refresh_flow="redirect"))
    forwarded = {"X-Forwarded-Prefix": "/shop", "X-Forwarded-Host": "evil.example"}
    headers = PAGE | cookies(expired_token()) | forwarded
    client = app.test_client(use_cookies=False)
    assert client.get("/account", headers=headers).headers["Location"] == (
        "/refresh-session?redirectBack=/account"
    )
    app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1, x_host=1)  # type: ignore[method-assign]
    assert client.get("/account", headers=headers).headers["Location"] == (
        "/shop/refresh-session?redirectBack=/shop/account"
    )


# --- caches --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("set_by_view", "sent"),
    [
        (None, "private"),
        ("public, max-age=60", "max-age=60, private"),
        ("s-maxage=60", "private"),
        ("public, s-maxage=60, max-age=5", "max-age=5, private"),
        ("private, max-age=60", "private, max-age=60"),
        ("no-store", "no-store"),
        ("no-cache", "no-cache, private"),
        ("public, no-store", "no-store"),
    ],
)
def test_page_of_one_user_is_kept_by_no_shared_cache(set_by_view: str | None, sent: str) -> None:
    app = make_app()

    def view() -> Response:
        response = make_response("secret")
        if set_by_view is not None:
            response.headers["Cache-Control"] = set_by_view
        return response

    app.add_url_rule("/guarded", "guarded", session_required(view))
    app.add_url_rule("/free", "free", session_exempt(lambda: view()))
    client = app.test_client()
    sign_in(client)
    guarded, free = client.get("/guarded"), client.get("/free")
    assert guarded.text == "secret"
    assert guarded.headers["Cache-Control"] == sent
    assert free.headers.get("Cache-Control") == set_by_view


def test_file_behind_session_required_is_private(app: Flask, client: FlaskClient) -> None:
    @app.route("/invoice")
    @session_required
    def invoice() -> Response:
        return send_file(io.BytesIO(b"secret"), download_name="invoice.txt", max_age=3600)

    sign_in(client)
    response = client.get("/invoice")
    assert response.data == b"secret"
    assert response.cache_control.private
    assert not response.cache_control.public
    assert response.cache_control.max_age == 3600


def test_shared_caching_is_warned_of_once_per_endpoint(
    app: Flask,
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def view() -> Response:
        response = make_response("secret")
        response.cache_control.public = True
        return response

    app.add_url_rule("/one", "one", session_required(view))
    app.add_url_rule("/two", "two", session_required(view))
    sign_in(client)
    for hour in range(3):
        monkeypatch.setattr(SystemClock, "monotonic", lambda _self, hour=hour: 3600.0 * (1 + hour))
        for path in ("/one", "/one", "/two"):
            assert client.get(path).text == "secret"
    lines = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [line.partition(":")[0] for line in lines] == ["private.one", "private.two"]


@pytest.mark.parametrize("path", ["/account", "/page"])
@pytest.mark.parametrize("headers", [PAGE, FETCH], ids=["page", "fetch"])
@pytest.mark.parametrize("reason", ["expired", "anonymous"])
def test_header_set_for_all_answers_of_the_app_cannot_make_ours_cacheable(
    app: Flask, path: str, headers: dict[str, str], reason: str
) -> None:
    @app.after_request
    def cache_everything(response: Response) -> Response:
        response.headers["Cache-Control"] = "public, max-age=300"
        return response

    client = app.test_client(use_cookies=False)
    refused = client.get(path, headers=headers | REASONS[reason][1]())
    assert refused.headers["Cache-Control"] == "no-store"
    assert client.get("/open", headers=headers).headers["Cache-Control"] == "public, max-age=300"


# --- a refresh page in a template, asked for by a script -----------------------------------------


@pytest.mark.parametrize("kind", ["fetch", "htmx alone", "prefetched page"])
@pytest.mark.parametrize(
    "reason",
    ["expired", "anonymous", "keys_unavailable", "revoked", "core_unavailable", "cross_site"],
)
def test_script_gets_a_status_where_a_template_rendered_the_refresh_page(
    app: Flask, monkeypatch: pytest.MonkeyPatch, reason: str, kind: str
) -> None:
    session_state = REASONS[reason][0]
    client = app.test_client(use_cookies=False)
    with arrange(reason, app, monkeypatch):
        response = client.get("/page", headers=request_for(reason, KINDS[kind][1]))
    assert (response.status_code, _shown(response)) == ANSWERS[session_state][kind]
    assert response.headers["SSR-Session"] == f"{session_state}; reason={reason}"
    assert response.content_length == len(response.data)


def test_script_with_a_session_gets_what_the_template_shows(client: FlaskClient) -> None:
    sign_in(client)
    response = client.get("/page", headers=FETCH)
    assert (response.status_code, response.text) == (200, "content")


def test_status_for_scripts_keeps_the_headers_of_other_hooks(app: Flask) -> None:
    @app.after_request
    def cross_origin(response: Response) -> Response:
        response.headers["Access-Control-Allow-Origin"] = "https://other.example"
        response.headers["Content-Encoding"] = "identity"
        response.set_cookie("theme", "dark")
        response.vary.add("Origin")
        response.set_etag("of-the-page")
        return response

    response = app.test_client(use_cookies=False).get("/page", headers=FETCH)
    assert response.status_code == 401
    assert response.headers["Access-Control-Allow-Origin"] == "https://other.example"
    assert response.headers["Set-Cookie"].startswith("theme=dark")
    assert set(response.vary) == {"Origin", "Cookie"}
    assert "ETag" not in response.headers
    assert "Content-Encoding" not in response.headers
    assert response.headers["Content-Type"] == "application/json"


def test_optional_part_of_a_layout_does_not_turn_an_outage_into_401(app: Flask) -> None:
    with_templates(app, page=TEMPLATE_GUARD + "{% if needs_refresh(optional=True) %}{% endif %}")
    with outage(app):
        response = app.test_client(use_cookies=False).get(
            "/page", headers=FETCH | cookies(make_token())
        )
    assert response.status_code == 503


def test_script_with_a_session_is_not_refused_for_a_refresh_page_shown_needlessly(
    app: Flask, client: FlaskClient
) -> None:
    with_templates(
        app, page="{% from 'refresh_page.html' import refresh_page %}{{ refresh_page() }}"
    )
    sign_in(client)
    response = client.get("/page", headers=FETCH)
    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"


# --- one answer, whatever the app's error handlers do --------------------------------------------


def test_outage_page_has_its_status_even_where_the_app_shows_a_page_of_its_own(
    app: Flask, client: FlaskClient
) -> None:
    with_templates(app, refresh_document="closed for today")
    sign_in(client)
    with outage(app):
        response = client.get("/account", headers=PAGE)
    assert (response.status_code, response.text) == (503, "closed for today")
    assert response.headers["Retry-After"] == "10"
    expire(client)
    assert client.get("/account", headers=PAGE).status_code == 200


def test_page_of_ours_says_what_it_needs_and_may_be_framed_by_its_own_site(
    client: FlaskClient,
) -> None:
    sign_in(client)
    expire(client)
    response = client.get("/account", headers=PAGE)
    assert response.headers["Referrer-Policy"] == "same-origin"
    policy = response.headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in policy
    assert "script-src 'self';" in policy
    assert "connect-src 'self' https://api.example.com;" in policy


@pytest.mark.parametrize("path", ["/account", "/page"])
@pytest.mark.parametrize(
    ("api_domain", "cookie_domain", "is_warned"),
    [
        ("http://localhost:5000", None, False),
        ("http://127.0.0.1:5000", None, True),
        ("https://api.example.com", ".example.com", False),
    ],
    ids=["same host", "other host", "shared by a cookie domain"],
)
def test_page_on_a_host_that_gets_no_cookies_is_warned_of_once(
    path: str,
    api_domain: str,
    cookie_domain: str | None,
    is_warned: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = with_views(make_app(api_domain=api_domain, cookie_domain=cookie_domain))
    client = app.test_client()
    for _ in range(2):
        client.get(path, headers=PAGE)
    assert caplog.text.count("other_host") == is_warned


@pytest.mark.parametrize("host", ["api.example.com", "evil.example"])
def test_page_at_a_host_that_is_not_trusted_asks_for_a_session_all_the_same(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Flask shows the app's page for 400 there, or before version 3.1 the view's own."""

    class CarefulRequest(Request):
        trusted_hosts = ["api.example.com"]  # noqa: RUF012 - as Werkzeug declares it

    app = with_views(make_app())
    app.request_class = CarefulRequest
    app.register_error_handler(400, lambda _error: (render_template("page.html"), 400))
    response = app.test_client().get("/page", headers=PAGE | {"Host": host})
    assert response.status_code in (200, 400)
    assert page_shown(response) == "sign_in"
    assert "other_host" not in caplog.text


@pytest.mark.parametrize(("host", "is_warned"), [("[::1]:5000", False), ("[::2]:5000", True)])
def test_host_without_a_name_is_the_same_host_by_its_address(
    host: str, is_warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = with_views(make_app(api_domain="http://[::1]:5000"))
    app.test_client().get("/account", headers=PAGE | {"Host": host})
    assert ("other_host" in caplog.text) is is_warned


@pytest.mark.parametrize(
    ("login_url", "mount_point", "is_warned"),
    [
        ("/sign-in", "", False),
        ("/sub/sign-in", "/sub", False),
        ("/elsewhere/sign-in", "/sub", False),
        ("https://login.example.com/", "", False),
        ("/signin", "", True),
        ("/sub/signin", "/sub", True),
    ],
)
def test_sign_in_page_that_does_not_exist_is_warned_of_once(
    login_url: str, mount_point: str, is_warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = with_views(make_app(login_url=login_url))
    app.add_url_rule("/sign-in", "sign_in", lambda: "sign in")
    client = app.test_client()
    for _ in range(2):
        client.get("/account", headers=PAGE, base_url=f"http://localhost{mount_point}")
    assert caplog.text.count("no_sign_in") == is_warned


_FROM_A_PAGE = {"Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize(
    ("headers", "answered", "is_warned"),
    [
        (_FROM_A_PAGE, "st-access-token", True),
        (_FROM_A_PAGE, "front-token", False),
        (_FROM_A_PAGE | {"st-auth-mode": "header"}, "st-access-token", False),
        ({}, "st-access-token", False),
    ],
    ids=["page without the SDK", "cookies were set", "asked for headers", "no browser"],
)
def test_page_that_signs_in_without_asking_for_cookies_is_warned_of_once(
    headers: dict[str, str], answered: str, is_warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    token = make_token()

    @app.before_request
    def play_the_api() -> Response:
        return Response(headers={answered: token})

    for _ in range(2):
        app.test_client().post("/auth/signin", headers=headers)
    assert caplog.text.count("header_tokens") == is_warned
    assert token not in caplog.text


@pytest.mark.parametrize(
    ("own", "sent"),
    [
        (None, "Cookie"),
        ("Accept-Language", "Accept-Language, Cookie"),
        ("cookie", "cookie"),
        ("*", "*, Cookie"),
    ],
)
def test_what_a_view_varies_by_is_kept_beside_the_cookie(
    app: Flask, client: FlaskClient, own: str | None, sent: str
) -> None:
    @app.route("/varies")
    def varies() -> Any:
        return "", {} if own is None else {"vary": own}

    assert client.get("/varies").headers.getlist("Vary") == [sent]


# --- what no browser sends -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["a" * 64, "a..b", ".", "[::1", "localhost:x", "ä"], ids=lambda host: host[:8]
)
@pytest.mark.parametrize("path", ["/account", "/page", "/nowhere", "/refresh-session"])
def test_strange_host_is_no_error_of_ours(app: Flask, host: str, path: str) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    for code in (400, 404):
        app.register_error_handler(code, lambda error: (render_template("page.html"), error.code))
    environ = {"HTTP_HOST": host.encode().decode("latin-1")}
    client = app.test_client(use_cookies=False)
    for visitor in ({}, cookies("junk")):
        answer = client.get(path, headers=PAGE | visitor, environ_overrides=environ)
        assert answer.status_code < 500
        assert "content" not in answer.text.replace('content="', "")


@pytest.mark.parametrize("path", ["/account", "/page", "/news", "/refresh-session"])
def test_query_of_bytes_that_are_no_text_is_no_error_of_ours(app: Flask, path: str) -> None:
    environ = {"QUERY_STRING": "redirectBack=\xff\xfe&continueSignedOut=1"}
    client = app.test_client(use_cookies=False)
    for visitor in ({}, cookies("junk")):
        answer = client.get(path, headers=PAGE | visitor, environ_overrides=environ)
        assert answer.status_code in (200, 302)


@pytest.mark.parametrize(
    ("mount_point", "refresh_path"),
    [
        pytest.param("/shop", "/shop/refresh-session", id="plain"),
        pytest.param("/s p", "/s%20p/refresh-session", id="blank"),
        pytest.param("//evil.example", "/evil.example/refresh-session", id="two slashes"),
        pytest.param("/\\evil.example", "/refresh-session", id="backslash"),
        pytest.param("/\t/evil.example", "/refresh-session", id="tab"),
        pytest.param("/%5Cevil.example", "/refresh-session", id="encoded backslash"),
    ],
)
def test_mount_point_of_a_proxy_names_no_other_host(
    app: Flask, mount_point: str, refresh_path: str
) -> None:
    client = app.test_client(use_cookies=False)
    answer = client.get(
        "/account", headers=PAGE | cookies("junk"), environ_overrides={"SCRIPT_NAME": mount_point}
    )
    assert f'src="{refresh_path}/ssr-session-' in answer.text
