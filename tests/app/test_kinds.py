"""The requests of real clients, and the response to each that lacks the required session."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from werkzeug.datastructures import Headers
from werkzeug.test import TestResponse

from flask_ssr_session import session_required
from flask_ssr_session.sansio.request_kind import kind_of_request
from flask_ssr_session.sansio.states import RequestKind
from flask_ssr_session.testing import outage
from tests.tokens import expired_token, make_token

from .conftest import cookies, make_app, page_shown

DOCUMENT, PREFETCH, SCRIPT = RequestKind.DOCUMENT, RequestKind.PREFETCH, RequestKind.SCRIPT

# What engines accept of a page, and of an image.
CHROMIUM = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/jxl,image/avif,image/webp,"
    "image/apng,*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
OLD_FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8"
SAFARI = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
IMAGE = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"


def sent(
    accept: str | None = None, fetch: str = "", *, site: str = "same-origin", **more: str
) -> dict[str, str]:
    """Return headers.

    :param fetch: ``Sec-Fetch-Mode`` and ``Sec-Fetch-Dest``, "navigate document"; empty for none.
    :param more: other headers, with ``_`` for ``-``.
    """
    headers = {} if accept is None else {"Accept": accept}
    if fetch:
        mode, destination = fetch.split()
        headers |= {
            "Sec-Fetch-Site": site,
            "Sec-Fetch-Mode": mode,
            "Sec-Fetch-Dest": destination,
        }
    return headers | {name.replace("_", "-"): value for name, value in more.items()}


UPGRADE = {"Upgrade_Insecure_Requests": "1"}
XHR = {"X_Requested_With": "XMLHttpRequest"}
SOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
HTMX_2 = {"HX_Request": "true", "HX_Current_URL": "https://example.com/", "HX_Target": "list"}
HTMX_4 = {
    "HX_Request": "true",
    "HX_Request_Type": "partial",
    "HX_Source": "button#get",
    "HX_Current_URL": "https://example.com/",
}
TURBO = "text/html, application/xhtml+xml"
SDK = {"rid": "anti-csrf", "st_auth_mode": "cookie"}

ROWS: dict[str, tuple[str, RequestKind, dict[str, str]]] = {
    # Pages
    "Chromium, address bar": (
        "GET",
        DOCUMENT,
        sent(CHROMIUM, "navigate document", site="none", Sec_Fetch_User="?1", **UPGRADE),
    ),
    "Chromium, link on another site": (
        "GET",
        DOCUMENT,
        sent(CHROMIUM, "navigate document", site="cross-site", **UPGRADE),
    ),
    "Chromium, reload": (
        "GET",
        DOCUMENT,
        sent(CHROMIUM, "navigate document", Cache_Control="max-age=0", **UPGRADE),
    ),
    "Chromium, form": (
        "POST",
        DOCUMENT,
        sent(CHROMIUM, "navigate document", Origin="http://localhost", **UPGRADE),
    ),
    "Chromium, plain http": ("GET", DOCUMENT, sent(CHROMIUM, **UPGRADE)),
    "Chromium, form, plain http": (
        "POST",
        DOCUMENT,
        sent(CHROMIUM, Origin="http://localhost", **UPGRADE),
    ),
    "Chromium, view-source": (
        "GET",
        DOCUMENT,
        sent(CHROMIUM, "navigate document", site="none", **UPGRADE),
    ),
    "Chromium, save page as": ("GET", SCRIPT, sent("*/*", "no-cors empty", site="none")),
    "Firefox, address bar": (
        "GET",
        DOCUMENT,
        sent(FIREFOX, "navigate document", site="none", Priority="u=0, i", **UPGRADE),
    ),
    "Firefox, plain http": ("GET", DOCUMENT, sent(FIREFOX, Priority="u=0, i", **UPGRADE)),
    "Firefox 60, before Fetch Metadata": ("GET", DOCUMENT, sent(OLD_FIREFOX, **UPGRADE)),
    "Firefox, reader view": (
        "GET",
        DOCUMENT,
        sent(FIREFOX, "navigate document", site="none", **UPGRADE),
    ),
    "Safari 17": ("GET", DOCUMENT, sent(SAFARI, "navigate document", Priority="u=0, i")),
    "Safari 15, no Sec-Fetch-*": ("GET", DOCUMENT, sent(SAFARI)),
    "Safari 15, form": ("POST", DOCUMENT, sent(SAFARI, Origin="http://localhost")),
    "Android WebView": (
        "GET",
        DOCUMENT,
        sent(CHROMIUM, "navigate document", X_Requested_With="com.example.app", **UPGRADE),
    ),
    "HEAD of a page": ("HEAD", DOCUMENT, sent(CHROMIUM, "navigate document", **UPGRADE)),
    "Lynx": ("GET", DOCUMENT, sent("text/html, text/plain, text/sgml, text/css, */*;q=0.01")),
    "Internet Explorer 11": ("GET", DOCUMENT, sent("text/html, application/xhtml+xml, */*")),
    # Pages in pages
    "iframe": ("GET", DOCUMENT, sent(CHROMIUM, "navigate iframe", **UPGRADE)),
    "iframe on another site": (
        "GET",
        DOCUMENT,
        sent(CHROMIUM, "navigate iframe", site="cross-site", **UPGRADE),
    ),
    "frame of a frameset": ("GET", DOCUMENT, sent(FIREFOX, "navigate frame", **UPGRADE)),
    "Chromium, object": ("GET", DOCUMENT, sent(CHROMIUM, "navigate object", **UPGRADE)),
    "Chromium, embed": ("GET", DOCUMENT, sent(CHROMIUM, "navigate embed", **UPGRADE)),
    "iframe, plain http": ("GET", DOCUMENT, sent(FIREFOX, **UPGRADE)),
    # Pages through a service worker
    "Chromium, fetch(event.request)": (
        "GET",
        DOCUMENT,
        sent(CHROMIUM, "same-origin empty", **UPGRADE),
    ),
    "Firefox, fetch(event.request)": ("GET", DOCUMENT, sent(FIREFOX, "navigate empty", **UPGRADE)),
    "a request rebuilt with its headers": (
        "GET",
        DOCUMENT,
        sent(CHROMIUM, "cors empty", **UPGRADE),
    ),
    "a request rebuilt from its address": ("GET", SCRIPT, sent("*/*", "cors empty")),
    # Prefetched pages
    "speculation rules, prefetch": (
        "GET",
        PREFETCH,
        sent(CHROMIUM, "navigate document", site="none", Sec_Purpose="prefetch", **UPGRADE),
    ),
    "speculation rules, prerender": (
        "GET",
        DOCUMENT,
        sent(CHROMIUM, "navigate document", Sec_Purpose="prefetch;prerender", **UPGRADE),
    ),
    "old Chromium, prerender": (
        "GET",
        DOCUMENT,
        sent(
            CHROMIUM,
            "navigate document",
            Sec_Purpose="prefetch;prerender",
            Purpose="prefetch",
            **UPGRADE,
        ),
    ),
    "prefetch by a proxy": (
        "GET",
        PREFETCH,
        sent(CHROMIUM, "navigate document", Sec_Purpose="prefetch;anonymous-client-ip", **UPGRADE),
    ),
    "Safari, top hit": ("GET", PREFETCH, sent(SAFARI, "navigate document", Purpose="prefetch")),
    "old Firefox, link": ("GET", PREFETCH, sent(FIREFOX, X_Moz="prefetch")),
    "link, plain http": ("GET", PREFETCH, sent(FIREFOX, Sec_Purpose="prefetch")),
    "Chromium, link": ("GET", SCRIPT, sent(CHROMIUM, "no-cors empty", Sec_Purpose="prefetch")),
    "Firefox, link": ("GET", SCRIPT, sent(FIREFOX, "no-cors empty", Sec_Purpose="prefetch")),
    # Scripts
    "Chromium, fetch": ("GET", SCRIPT, sent("*/*", "cors empty")),
    "Firefox, fetch with a body": (
        "POST",
        SCRIPT,
        sent("*/*", "cors empty", Origin="http://localhost"),
    ),
    "Safari, fetch": ("GET", SCRIPT, sent("*/*", "cors empty", Priority="u=3, i")),
    "Safari 15, fetch": ("GET", SCRIPT, sent("*/*")),
    "fetch of JSON": ("GET", SCRIPT, sent("application/json", "cors empty")),
    "fetch of HTML, plain http": ("GET", SCRIPT, sent("text/html")),
    "fetch with PUT": ("PUT", SCRIPT, sent("*/*", "cors empty")),
    "fetch with HEAD": ("HEAD", SCRIPT, sent("*/*", "cors empty")),
    "fetch by the SDK": ("GET", SCRIPT, sent("*/*", "cors empty", **SDK)),
    "XMLHttpRequest": ("GET", SCRIPT, sent("*/*", "cors empty")),
    "axios": ("GET", SCRIPT, sent("application/json, text/plain, */*", "cors empty")),
    "axios, plain http": ("POST", SCRIPT, sent("application/json, text/plain, */*")),
    "jQuery.load": ("GET", SCRIPT, sent("text/html, */*; q=0.01", "cors empty", **XHR)),
    "jQuery.load, plain http": ("GET", SCRIPT, sent("text/html, */*; q=0.01", **XHR)),
    "Chromium, a download": ("GET", SCRIPT, sent(None, "navigate empty")),
    "EventSource": ("GET", SCRIPT, sent("text/event-stream", "cors empty")),
    "sendBeacon": ("POST", SCRIPT, sent("*/*", "no-cors empty")),
    "keepalive ping": ("POST", SCRIPT, sent("*/*", "no-cors empty", Ping_To="https://x.test/")),
    # htmx
    "htmx 2": ("GET", SCRIPT, sent("*/*", "cors empty", **HTMX_2)),
    "htmx 2, plain http": ("GET", SCRIPT, sent("*/*", **HTMX_2)),
    "htmx 2, boosted": ("GET", SCRIPT, sent("*/*", "cors empty", HX_Boosted="true", **HTMX_2)),
    "htmx 2, form": ("POST", SCRIPT, sent("*/*", "cors empty", **HTMX_2)),
    "htmx 2 with the SDK": ("GET", SCRIPT, sent("*/*", "cors empty", **HTMX_2, **SDK)),
    "htmx 4": ("GET", SCRIPT, sent("text/html", "cors empty", **HTMX_4)),
    "htmx 4, plain http": ("GET", SCRIPT, sent("text/html", **HTMX_4)),
    "htmx 4, form": ("POST", SCRIPT, sent("text/html", "cors empty", **HTMX_4)),
    "htmx 4 with the SDK": ("GET", SCRIPT, sent("text/html", "cors empty", **HTMX_4, **SDK)),
    # Turbo
    "Turbo visit": ("GET", SCRIPT, sent(TURBO, "same-origin empty")),
    "Turbo visit, plain http": ("GET", SCRIPT, sent(TURBO)),
    "Turbo frame": ("GET", SCRIPT, sent(TURBO, "same-origin empty", Turbo_Frame="list")),
    "Turbo form": (
        "POST",
        SCRIPT,
        sent(f"text/vnd.turbo-stream.html, {TURBO}", "same-origin empty"),
    ),
    "Turbo, pointer rests": (
        "GET",
        SCRIPT,
        sent(TURBO, "same-origin empty", X_Sec_Purpose="prefetch"),
    ),
    # What a page is made of
    "img": ("GET", SCRIPT, sent(IMAGE, "no-cors image")),
    "img, plain http": ("GET", SCRIPT, sent(IMAGE)),
    "style sheet": ("GET", SCRIPT, sent("text/css,*/*;q=0.1", "no-cors style")),
    "script": ("GET", SCRIPT, sent("*/*", "no-cors script")),
    "font": ("GET", SCRIPT, sent("*/*", "cors font")),
    "video": ("GET", SCRIPT, sent("*/*", "no-cors video", Range="bytes=0-")),
    "worker": ("GET", SCRIPT, sent("*/*", "same-origin worker")),
    "service worker": ("GET", SCRIPT, sent("*/*", "same-origin serviceworker")),
    "manifest": ("GET", SCRIPT, sent("*/*", "cors manifest")),
    "WebSocket": ("GET", SCRIPT, sent(None, "websocket websocket", **SOCKET)),
    "WebSocket, plain http": ("GET", SCRIPT, sent(None, **SOCKET)),
    "WebSocket of a client that accepts pages": ("GET", SCRIPT, sent(FIREFOX, **SOCKET)),
    # Programs
    "curl": ("GET", SCRIPT, sent("*/*", User_Agent="curl/8.5.0")),
    "curl -I": ("HEAD", SCRIPT, sent("*/*", User_Agent="curl/8.5.0")),
    "wget": ("GET", SCRIPT, sent("*/*", User_Agent="Wget/1.21.4")),
    "requests": ("GET", SCRIPT, sent("*/*", User_Agent="python-requests/2.34")),
    "Python's urllib": ("GET", SCRIPT, sent(User_Agent="Python-urllib/3.11")),
    "JSON client": ("GET", SCRIPT, sent("application/json")),
    "Go": ("GET", SCRIPT, sent(User_Agent="Go-http-client/2.0")),
    "RSS reader": (
        "GET",
        SCRIPT,
        sent("application/atom+xml, application/rss+xml;q=0.9, text/html;q=0.5"),
    ),
    "RSS reader that accepts all": (
        "GET",
        SCRIPT,
        sent("application/rss+xml, application/xml;q=0.9, */*;q=0.8"),
    ),
    "link preview": ("GET", SCRIPT, sent("*/*", User_Agent="facebookexternalhit/1.1")),
    "link preview with a browser's Accept": ("GET", DOCUMENT, sent(FIREFOX)),
    "load balancer": ("GET", SCRIPT, sent(User_Agent="ELB-HealthChecker/2.0")),
}


@pytest.mark.parametrize("row", ROWS)
def test_client_is_taken_for_what_it_is(row: str) -> None:
    _, kind, headers = ROWS[row]
    assert kind_of_request(Headers(headers).get) is kind


APP = make_app("kinds")


@APP.route("/account", methods=["GET", "POST", "PUT"])
@APP.route("/account", websocket=True)
@session_required
def account() -> str:
    return "content"


# state: (the response to a safe page request, to a posted form, to a script)
ANSWERS = {
    "refresh": ("200 refresh", "401 refresh", "401 try refresh token"),
    "anonymous": (
        "302 /auth?redirectToPath=/account",
        "401 sign_in",
        "401 unauthorised",
    ),
    "unavailable": ("503 outage", "503 outage", "503 session cannot be checked right now"),
}


def said(response: TestResponse) -> str:
    """Return the status and the reason, for pages and scripts alike."""
    shown = response.headers.get("Location") or page_shown(response)
    if response.is_json and response.data:
        shown = response.get_json()["message"]
    return f"{response.status_code} {shown}".strip()


@pytest.mark.parametrize("row", ROWS)
def test_client_with_a_session_gets_the_content(row: str) -> None:
    method, _, headers = ROWS[row]
    client = APP.test_client(use_cookies=False)
    response = client.open("/account", method=method, headers=headers | cookies(make_token()))
    assert (response.status_code, response.text) == (200, "" if method == "HEAD" else "content")


@pytest.mark.parametrize("state", ANSWERS)
@pytest.mark.parametrize("row", ROWS)
def test_client_gets_an_answer_that_it_understands(row: str, state: str) -> None:
    method, kind, headers = ROWS[row]
    page, sent_page, script = ANSWERS[state]
    expected = page if method in ("GET", "HEAD") else sent_page
    if kind is not DOCUMENT:
        expected = "503" if kind is PREFETCH else script
    cookie = {
        "refresh": cookies(expired_token()),
        "anonymous": {},
        "unavailable": cookies(make_token()),
    }[state]
    client = APP.test_client(use_cookies=False)
    with outage(APP) if state == "unavailable" else nullcontext():
        response = client.open("/account", method=method, headers=headers | cookie)
    if method == "HEAD":
        assert response.data == b""
        assert said(response).split()[0] == expected.split()[0]
    else:
        assert said(response) == expected
    if kind is not DOCUMENT:
        assert b"<" not in response.data
    assert response.headers["Cache-Control"] == "no-store"
