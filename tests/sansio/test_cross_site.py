"""Which unsafe requests are cross-site; every row is a request that browsers or clients send."""

from __future__ import annotations

from typing import Any

import pytest

from flask_ssr_session.sansio import cross_site
from tests.tables import rows

HOST = "app.example.com"
APP, PLAIN = f"https://{HOST}", f"http://{HOST}"
EVIL, SIBLING = "https://evil.example", "https://blog.example.com"
WEBSITE, PARTNER = "https://www.example.com", "https://partner.example:8443"
TRUSTED = frozenset({WEBSITE, PARTNER})
PUNYCODE = "xn--bcher-kva.example"

# Refused: another site sent it. Passes: it is not refused. Own: certainly from a page of this host.
REFUSED, PASSES, OWN = "refused", "passes", "own"

# Sec-Fetch-Site, Origin, target host
REQUESTS: dict[str, tuple[str | None, str | None, str, str]] = {
    # A browser that sends Sec-Fetch-Site
    "form of this site": ("same-origin", APP, HOST, OWN),
    "form of this site, Origin left out": ("same-origin", None, HOST, OWN),
    "form of this site, Referrer-Policy no-referrer": ("same-origin", "null", HOST, OWN),
    "form of this site, a proxy changes Host": ("same-origin", APP, "127.0.0.1:8000", OWN),
    "typed, bookmarked, or from another program": ("none", None, HOST, PASSES),
    "reload of a post after a restart": ("none", "null", HOST, PASSES),
    "form of another site": ("cross-site", EVIL, HOST, REFUSED),
    "form in a sandboxed frame": ("cross-site", "null", HOST, REFUSED),
    "form of another site that names ours": ("cross-site", APP, HOST, REFUSED),
    "page of ours on plain http": ("cross-site", PLAIN, HOST, REFUSED),
    "form of a sibling": ("same-site", SIBLING, HOST, REFUSED),
    "same host, other port": ("same-site", f"{APP}:8443", HOST, REFUSED),
    "the SDK's website": ("same-site", WEBSITE, HOST, PASSES),
    "the SDK's website, port written out": ("same-site", f"{WEBSITE}:443", HOST, PASSES),
    "the SDK's website, capitals": ("same-site", "HTTPS://WWW.EXAMPLE.COM", HOST, PASSES),
    "the SDK's website on plain http": ("cross-site", "http://www.example.com", HOST, REFUSED),
    "trusted partner": ("cross-site", PARTNER, HOST, PASSES),
    "host that begins like the partner's": ("cross-site", f"{PARTNER}.evil.example", HOST, REFUSED),
    "host that ends so": ("cross-site", "https://evilpartner.example:8443", HOST, REFUSED),
    "partner as user information": ("cross-site", f"{PARTNER}@evil.example", HOST, REFUSED),
    "a word of tomorrow from the partner": ("same-planet", PARTNER, HOST, PASSES),
    "an empty word": ("", APP, HOST, REFUSED),
    "the right word in capitals": ("Same-Origin", APP, HOST, REFUSED),
    "the right word twice": ("same-origin, same-origin", APP, HOST, REFUSED),
    "spaces around the right word": (" same-origin", APP, HOST, REFUSED),
    # A browser on plain http, or an older one: only Origin
    "older browser, this site": (None, APP, HOST, OWN),
    "older browser, another site": (None, EVIL, HOST, REFUSED),
    "a proxy names the port of TLS": (None, APP, f"{HOST}:443", OWN),
    "a proxy names the port of plain http": (None, APP, f"{HOST}:80", OWN),
    "a proxy names another port": (None, APP, f"{HOST}:8443", REFUSED),
    "a host in Punycode": (None, f"http://{PUNYCODE}", PUNYCODE, OWN),
    "older browser, nothing": (None, "", HOST, REFUSED),
    "plain http, this site, or TLS ended by a proxy": (None, PLAIN, HOST, OWN),
    "port kept": (None, "http://localhost:5000", "localhost:5000", OWN),
    "other port": (None, "http://localhost:5001", "localhost:5000", REFUSED),
    "usual port written out by the browser": (None, "http://localhost:80", "localhost", OWN),
    "another name of this machine": (None, "http://127.0.0.1:5000", "localhost:5000", REFUSED),
    "IPv6": (None, "http://[::1]:5000", "[::1]:5000", OWN),
    "capitals": (None, "HTTPS://APP.Example.Com", HOST, OWN),
    "capitals in Host": (None, APP, HOST.upper(), OWN),
    "a proxy changes Host, website known": (None, WEBSITE, "127.0.0.1:8000", PASSES),
    "a proxy changes Host, website unknown": (None, APP, "127.0.0.1:8000", REFUSED),
    "Host that no host can be": (None, APP, "app example com", REFUSED),
    "Host with user information": (None, EVIL, f"{HOST}@evil.example", REFUSED),
    "Host with a path": (None, EVIL, f"evil.example/{HOST}", REFUSED),
    "Host missing": (None, APP, "", REFUSED),
    "trusted partner, older browser": (None, PARTNER, HOST, PASSES),
    "dot at the end": (None, f"{APP}.", HOST, REFUSED),
    "path behind it": (None, f"{APP}/path", HOST, REFUSED),
    "two origins": (None, f"{APP} {EVIL}", HOST, REFUSED),
    "ours as user information": (None, f"{APP}@evil.example", HOST, REFUSED),
    "an extension of the browser": (None, "chrome-extension://abcdef", HOST, REFUSED),
    "not Unicode": (None, f"{APP}\ud800", HOST, REFUSED),
    "newline": (None, f"{APP}\n{EVIL}", HOST, REFUSED),
    # Neither: curl, a server, a mobile app
    "no browser": (None, None, HOST, PASSES),
    "no browser, no Host": (None, None, "", PASSES),
}


@rows("site, origin, host, verdict", REQUESTS)
def test_origin_of_a_request(site: str | None, origin: str | None, host: str, verdict: str) -> None:
    headers = {"Sec-Fetch-Site": site, "Origin": origin}
    assert cross_site.is_cross_site(headers.get, host, TRUSTED) is (verdict == REFUSED)
    assert cross_site.is_same_origin(headers.get, host) is (verdict == OWN)


@pytest.mark.parametrize("site", ["same-site", "cross-site", None])
def test_no_origin_is_trusted_by_default(site: str | None) -> None:
    headers = {"Sec-Fetch-Site": site, "Origin": WEBSITE}
    assert cross_site.is_cross_site(headers.get, HOST, frozenset())
    assert not cross_site.is_cross_site(headers.get, HOST, {WEBSITE})


OVERRIDE = "X-HTTP-Method-Override"
UNSAFE = ("POST", "PUT", "PATCH", "DELETE", "CONNECT", "PROPFIND", "post", "", "get ")

METHODS: dict[str, Any] = {
    **{method: (method, {}, False) for method in ("GET", "HEAD", "OPTIONS", "TRACE", "get")},
    **{f"{each!r}": (each, {}, True) for each in UNSAFE},
    "override": ("GET", {OVERRIDE: "DELETE"}, True),
    "override by the second name": ("GET", {"X-HTTP-Method": "put"}, True),
    "override by the third": ("GET", {"X-Method-Override": " PATCH "}, True),
    "override, as safe": ("GET", {OVERRIDE: "HEAD"}, False),
    "override to a safe one": ("POST", {OVERRIDE: "GET"}, True),
    "WebSocket": ("GET", {"Upgrade": "websocket"}, True),
    "WebSocket among others": ("GET", {"Upgrade": "h2c, WebSocket"}, True),
    "another upgrade": ("GET", {"Upgrade": "h2c"}, False),
}


@rows("method, headers, unsafe", METHODS)
def test_methods_that_may_change_state(method: str, headers: dict[str, str], unsafe: bool) -> None:
    assert cross_site.is_unsafe(method, headers.get) is unsafe
    environ = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()}
    is_safe = cross_site.is_trivially_safe(method, {"HTTP_ACCEPT": "*/*", **environ})
    assert is_safe is (method == "GET" and not headers)
