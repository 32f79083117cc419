"""Which unsafe requests are cross-site; every row is a request that browsers or clients send."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from flask_ssr_session.sansio.cross_site import (
    is_cross_site,
    is_same_origin,
    is_trivially_safe,
    is_unsafe,
)

OWN = "https://app.example.com/"
WEBSITE, PARTNER = "https://www.example.com", "https://partner.example:8443"
TRUSTED = frozenset({WEBSITE, PARTNER})


def asked(
    site: str | None, origin: str | None, own_url: str = OWN, trusted: frozenset[str] = TRUSTED
) -> bool:
    """Return whether an unsafe request with these two headers is cross-site."""
    headers = {"Sec-Fetch-Site": site, "Origin": origin}
    return is_cross_site(headers.get, urlsplit(own_url).netloc, trusted)


APP, PLAIN = "https://app.example.com", "http://app.example.com"
EVIL, SIBLING = "https://evil.example", "https://blog.example.com"

# id: Sec-Fetch-Site, Origin, target host, is it cross-site?
ROWS: dict[str, tuple[str | None, str | None, str, bool]] = {
    # A browser that sends Sec-Fetch-Site
    "form of this site": ("same-origin", APP, OWN, False),
    "form of this site, Origin left out": ("same-origin", None, OWN, False),
    "form of this site, Referrer-Policy no-referrer": ("same-origin", "null", OWN, False),
    "form of this site behind a proxy that changes Host": (
        *("same-origin", APP, "http://127.0.0.1:8000/", False),
    ),
    "typed, bookmarked, or from another program": ("none", None, OWN, False),
    "reload of a post after a restart": ("none", "null", OWN, False),
    "form of another site": ("cross-site", EVIL, OWN, True),
    "form of another site, Origin left out": ("cross-site", None, OWN, True),
    "form in a sandboxed frame": ("cross-site", "null", OWN, True),
    "form of another site that names ours": ("cross-site", APP, OWN, True),
    "page of ours on plain http": ("cross-site", PLAIN, OWN, True),
    "form of a sibling": ("same-site", SIBLING, OWN, True),
    "form of a sibling, Origin left out": ("same-site", None, OWN, True),
    "sandboxed frame of a sibling": ("same-site", "null", OWN, True),
    "same host, other port": ("same-site", "https://app.example.com:8443", OWN, True),
    "the SDK's website": ("same-site", WEBSITE, OWN, False),
    "the SDK's website, port written out": ("same-site", f"{WEBSITE}:443", OWN, False),
    "the SDK's website, capitals": ("same-site", "HTTPS://WWW.EXAMPLE.COM", OWN, False),
    "the SDK's website on plain http": ("cross-site", "http://www.example.com", OWN, True),
    "the SDK's website at another port": ("same-site", f"{WEBSITE}:8443", OWN, True),
    "trusted partner": ("cross-site", PARTNER, OWN, False),
    "trusted partner's host at the usual port": (
        "cross-site",
        "https://partner.example",
        OWN,
        True,
    ),
    "sub-domain of the partner": ("cross-site", "https://x.partner.example:8443", OWN, True),
    "host that begins like the partner's": (
        *("cross-site", "https://partner.example.evil.example:8443", OWN, True),
    ),
    "host that ends like the partner's": (
        *("cross-site", "https://evilpartner.example:8443", OWN, True),
    ),
    "partner as user information": (
        *("cross-site", "https://partner.example:8443@evil.example", OWN, True),
    ),
    "a word of tomorrow": ("same-planet", EVIL, OWN, True),
    "a word of tomorrow from the partner": ("same-planet", PARTNER, OWN, False),
    "an empty word": ("", APP, OWN, True),
    "the right word in capitals": ("Same-Origin", APP, OWN, True),
    "the right word twice": ("same-origin, same-origin", APP, OWN, True),
    "the right word behind a wrong one": ("cross-site, same-origin", EVIL, OWN, True),
    "spaces around the right word": (" same-origin", APP, OWN, True),
    # A browser on plain http, or an older one: only Origin
    "older browser, this site": (None, APP, OWN, False),
    "older browser, another site": (None, EVIL, OWN, True),
    "a proxy names the port of TLS": (None, APP, "http://app.example.com:443/", False),
    "a proxy names the port of plain http": (None, APP, "http://app.example.com:80/", False),
    "a proxy names another port": (None, APP, "http://app.example.com:8443/", True),
    "a host in Punycode": (
        None,
        "http://xn--bcher-kva.example",
        "http://xn--bcher-kva.example/",
        False,
    ),
    "older browser, sibling": (None, SIBLING, OWN, True),
    "older browser, sandboxed frame": (None, "null", OWN, True),
    "older browser, nothing": (None, "", OWN, True),
    "plain http, this site": (None, PLAIN, "http://app.example.com/", False),
    "plain http, another site": (None, "http://evil.example", "http://app.example.com/", True),
    "TLS ended by a proxy": (None, APP, "http://app.example.com/", False),
    "plain http page sends to TLS": (None, PLAIN, OWN, False),
    "port kept": (None, "http://localhost:5000", "http://localhost:5000/", False),
    "other port": (None, "http://localhost:5001", "http://localhost:5000/", True),
    "usual port written out by the proxy": (None, APP, "https://app.example.com:443/", False),
    "another name of this machine": (
        *(None, "http://127.0.0.1:5000", "http://localhost:5000/", True),
    ),
    "IPv6": (None, "http://[::1]:5000", "http://[::1]:5000/", False),
    "capitals": (None, "HTTPS://APP.Example.Com", OWN, False),
    "proxy that changes Host, website known": (None, WEBSITE, "http://127.0.0.1:8000/", False),
    "proxy that changes Host, website unknown": (None, APP, "http://127.0.0.1:8000/", True),
    "Host that no host can be": (None, APP, "https://app example com/", True),
    "Host missing": (None, APP, "https:///", True),
    "trusted partner, older browser": (None, PARTNER, OWN, False),
    "dot at the end": (None, f"{APP}.", OWN, True),
    "path behind it": (None, f"{APP}/path", OWN, True),
    "two origins": (None, f"{APP} {EVIL}", OWN, True),
    "two headers": (None, f"{APP}, {EVIL}", OWN, True),
    "ours as user information": (None, f"{APP}@evil.example", OWN, True),
    "host that begins like ours": (None, f"{APP}.evil.example", OWN, True),
    "an extension of the browser": (None, "chrome-extension://abcdef", OWN, True),
    "a file": (None, "file://", OWN, True),
    "a scheme alone": (None, "https://", OWN, True),
    "not Unicode": (None, "https://app.example.com\ud800", OWN, True),
    "newline": (None, f"{APP}\n{EVIL}", OWN, True),
    # Neither: curl, a server, a mobile app
    "no browser": (None, None, OWN, False),
    "no browser, no Host": (None, None, "http:///", False),
}


@pytest.mark.parametrize(("site", "origin", "own_url", "refused"), ROWS.values(), ids=ROWS)
def test_where_an_unsafe_request_comes_from(
    site: str | None, origin: str | None, own_url: str, refused: bool
) -> None:
    assert asked(site, origin, own_url) is refused


def test_table_is_long_and_has_both_answers() -> None:
    assert len(ROWS) >= 60
    assert {row[-1] for row in ROWS.values()} == {True, False}


@pytest.mark.parametrize("site", ["same-site", "cross-site", None])
def test_no_origin_is_trusted_by_default(site: str | None) -> None:
    assert asked(site, WEBSITE, trusted=frozenset())
    assert not asked(site, WEBSITE, trusted=frozenset({WEBSITE}))


@pytest.mark.parametrize(
    ("site", "origin", "is_proven"),
    [
        pytest.param("same-origin", None, True, id="the browser says so"),
        pytest.param("none", None, False, id="typed"),
        pytest.param("same-site", WEBSITE, False, id="trusted sibling"),
        pytest.param("cross-site", EVIL, False, id="another site"),
        pytest.param(None, APP, True, id="older browser, this site"),
        pytest.param(None, WEBSITE, False, id="older browser, trusted sibling"),
        pytest.param(None, EVIL, False, id="older browser, another site"),
        pytest.param(None, None, False, id="no browser"),
    ],
)
def test_same_origin_needs_proof(site: str | None, origin: str | None, is_proven: bool) -> None:
    headers = {"Sec-Fetch-Site": site, "Origin": origin}

    assert is_same_origin(headers.get, urlsplit(OWN).netloc) is is_proven


@pytest.mark.parametrize(
    ("method", "headers", "unsafe"),
    [
        *(
            pytest.param(method, {}, False, id=method)
            for method in ("GET", "HEAD", "OPTIONS", "TRACE")
        ),
        *(
            pytest.param(method, {}, True, id=method)
            for method in ("POST", "PUT", "PATCH", "DELETE", "CONNECT", "PROPFIND", "get ", "")
        ),
        pytest.param("get", {}, False, id="small letters"),
        pytest.param("post", {}, True, id="small letters of another"),
        pytest.param("GET", {"X-HTTP-Method-Override": "DELETE"}, True, id="override"),
        pytest.param("GET", {"X-HTTP-Method": "put"}, True, id="override by the second name"),
        pytest.param("GET", {"X-Method-Override": " PATCH "}, True, id="override by the third"),
        pytest.param("GET", {"X-HTTP-Method-Override": "HEAD"}, False, id="override, as safe"),
        pytest.param("POST", {"X-HTTP-Method-Override": "GET"}, True, id="override to a safe one"),
        pytest.param("GET", {"Upgrade": "websocket"}, True, id="WebSocket"),
        pytest.param("GET", {"Upgrade": "h2c, WebSocket"}, True, id="WebSocket among others"),
        pytest.param("GET", {"Upgrade": "h2c"}, False, id="another upgrade"),
    ],
)
def test_methods_that_may_change_something(
    method: str, headers: dict[str, str], unsafe: bool
) -> None:
    assert is_unsafe(method, headers.get) is unsafe
    environ = {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()}
    assert is_trivially_safe(method, {"HTTP_ACCEPT": "*/*", **environ}) is (
        method == "GET" and not headers
    )
