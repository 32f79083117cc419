"""The kind of a request, by the headers that real clients send."""

from __future__ import annotations

from typing import Any

from werkzeug.datastructures import Headers

from flask_ssr_session.sansio.request_kind import SAFE_METHODS, kind_of_request
from flask_ssr_session.sansio.states import RequestKind
from tests.tables import rows

# What engines accept of a page, and of an image.
CHROMIUM = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;"
    "q=0.8,application/signed-exchange;v=b3;q=0.7"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
IMAGE = "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5"
TURBO = "text/html, application/xhtml+xml"
JQUERY = "text/html, */*; q=0.01"
AXIOS = "application/json, text/plain, */*"
RSS = "application/rss+xml, application/xml;q=0.9"

UPGRADE = {"Upgrade-Insecure-Requests": "1"}
XHR = {"X-Requested-With": "XMLHttpRequest"}
WEBVIEW = {"X-Requested-With": "com.example.app"}
SOCKET = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
HTMX = {"HX-Request": "true", "HX-Target": "list"}
FRAME = {"Turbo-Frame": "list"}


def sent(accept: str | None = None, fetch: str = "", *more: dict[str, str]) -> dict[str, str]:
    """Return headers.

    :param fetch: ``Sec-Fetch-Mode`` and ``Sec-Fetch-Dest``, "navigate document"; empty for none.
    """
    headers = {} if accept is None else {"Accept": accept}
    if fetch:
        mode, destination = fetch.split()
        headers |= {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": mode}
        headers |= {"Sec-Fetch-Dest": destination}
    for others in more:
        headers |= others
    return headers


def purpose(value: str, name: str = "Sec-Purpose") -> dict[str, str]:
    """Return the headers of a Chromium navigation with this purpose."""
    return sent(CHROMIUM, "navigate document", UPGRADE, {name: value})


PAGES = {
    "Chromium": sent(CHROMIUM, "navigate document", UPGRADE),
    "Chromium, plain http": sent(CHROMIUM, "", UPGRADE),
    "Firefox": sent(FIREFOX, "navigate document", UPGRADE),
    "Firefox, plain http, or before Fetch Metadata": sent(FIREFOX, "", UPGRADE),
    "Safari 17": sent(FIREFOX, "navigate document"),
    "Safari 15": sent(FIREFOX),
    "Internet Explorer 11": sent("text/html, application/xhtml+xml, */*"),
    "media types in capitals": sent("TEXT/HTML, */*"),
    "Android WebView": sent(CHROMIUM, "navigate document", UPGRADE, WEBVIEW),
    "Android WebView, plain http": sent(CHROMIUM, "", UPGRADE, WEBVIEW),
    "an iframe": sent(CHROMIUM, "navigate iframe", UPGRADE),
    "an object": sent(CHROMIUM, "navigate object", UPGRADE),
    "the destination document alone": {"Sec-Fetch-Dest": "document"},
    "the destination iframe alone": {"Sec-Fetch-Dest": "iframe"},
    "the destination frame alone": {"Sec-Fetch-Dest": "frame"},
    "Chromium through a service worker": sent(CHROMIUM, "same-origin empty", UPGRADE),
    "Firefox through a service worker": sent(FIREFOX, "navigate empty", UPGRADE),
    "a worker that keeps the headers": sent(CHROMIUM, "cors empty", UPGRADE),
    "another upgrade": sent(CHROMIUM, "navigate document", {"Upgrade": "h2c"}),
    "a prerender": purpose("prefetch;prerender"),
    "a prerender of an older Chromium": purpose("prefetch;prerender") | {"Purpose": "prefetch"},
    "another purpose": purpose("preview", "Purpose"),
}
PREFETCHES = {
    "Chromium, speculation rules": purpose("prefetch"),
    "Chromium, through a proxy": purpose("prefetch;anonymous-client-ip"),
    "in capitals": purpose("Prefetch"),
    "Chromium before Sec-Purpose": purpose("prefetch", "Purpose"),
    "an older Firefox, plain http": sent(FIREFOX, "", {"X-Moz": "prefetch"}),
    "Safari, top hit": sent(FIREFOX, "navigate document", {"Purpose": "prefetch"}),
}
SCRIPTS = {
    "fetch": sent("*/*", "cors empty"),
    "fetch of HTML, plain http": sent("text/html"),
    "fetch with the Accept of a page": sent(FIREFOX, "cors empty"),
    "fetch that asks for an upgrade, but for no page": sent("*/*", "cors empty", UPGRADE),
    "the same, plain http": sent("*/*", "", UPGRADE),
    "Fetch Metadata may be the site alone": sent(FIREFOX, "", {"Sec-Fetch-Site": "same-origin"}),
    "or the mode alone": sent(FIREFOX, "", {"Sec-Fetch-Mode": "cors"}),
    "or the destination alone": sent(FIREFOX, "", {"Sec-Fetch-Dest": "empty"}),
    "an upgrade must be 1": sent(TURBO, "", {"Upgrade-Insecure-Requests": "0"}),
    "a link that prefetches": sent(CHROMIUM, "no-cors empty", {"Sec-Purpose": "prefetch"}),
    "axios": sent(AXIOS, "cors empty"),
    "axios, plain http": sent(AXIOS),
    "jQuery": sent(JQUERY, "cors empty", XHR),
    "jQuery, plain http": sent(JQUERY, "", XHR),
    "a download, or a page saved": sent(None, "navigate empty"),
    "htmx 2": sent("*/*", "cors empty", HTMX),
    "htmx 4": sent("text/html", "cors empty", HTMX),
    "htmx 4, plain http": sent("text/html, */*", "", HTMX),
    "Turbo visit": sent(TURBO, "same-origin empty"),
    "Turbo visit, plain http": sent(TURBO),
    "Turbo frame, plain http": sent(f"{TURBO}, */*", "", FRAME),
    "img, plain http": sent(IMAGE),
    "WebSocket": sent(None, "websocket websocket", SOCKET),
    "WebSocket, plain http": sent(None, "", SOCKET),
    "WebSocket that accepts pages": sent(CHROMIUM, "navigate document", UPGRADE, SOCKET),
    "WebSocket in capitals": sent(FIREFOX, "", {"Upgrade": "WebSocket"}),
    "curl, wget, requests, link previews": sent("*/*"),
    "urllib, Go, load balancers": sent(),
    "a reader of feeds": sent(f"{RSS}, text/html;q=0.5"),
    "a reader of feeds that accepts all": sent(f"{RSS}, */*;q=0.8"),
}

CLIENTS: dict[str, Any] = (
    {f"{name} asks for a page": (RequestKind.DOCUMENT, sent) for name, sent in PAGES.items()}
    | {f"{name} prefetches": (RequestKind.PREFETCH, sent) for name, sent in PREFETCHES.items()}
    | {f"{name} is no page": (RequestKind.SCRIPT, sent) for name, sent in SCRIPTS.items()}
)


@rows("kind, headers", CLIENTS)
def test_client_is_taken_for_what_it_is(kind: RequestKind, headers: dict[str, str]) -> None:
    assert kind_of_request(Headers(headers).get) is kind


def test_safe_methods_are_those_that_change_nothing() -> None:
    assert {"GET", "HEAD", "OPTIONS", "TRACE"} == SAFE_METHODS
