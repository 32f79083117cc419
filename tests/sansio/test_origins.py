"""Origins are compared in one spelling, and loopback is this machine only."""

from __future__ import annotations

import pytest

from flask_ssr_session.sansio.origins import is_loopback, parse_origin
from tests.tables import rows, shown

OURS = "https://app.example.com"

# Spellings of an origin.
SPELLINGS = {
    OURS: (f"{OURS}/", f"  {OURS} ", "HTTPS://App.Example.Com", f"{OURS}:443", f"{OURS}:"),
    "http://app.example.com": ("http://app.example.com:80", "HTTP://app.example.com"),
    "https://[2001:db8::1]": ("https://[2001:DB8::1]:443",),
    # These have one spelling only.
    **dict.fromkeys(("http://app.example.com:443", f"{OURS}:8443", f"{OURS}:65535"), ()),
    **dict.fromkeys(("http://localhost:5000", "http://127.0.0.1:5000", "http://[::1]:5000"), ()),
    **dict.fromkeys(("https://my_host", "https://xn--bcher-kva.example"), ()),
}
# What is no origin, by what is said about it.
REFUSED = {
    "begin with https": (
        *("", "app.example.com", "//app.example.com", "/auth", "ftp://app.example.com"),
        "localhost:5000",
    ),
    "host is missing": ("https://", "https://:443"),
    "nothing may follow": ("https:app.example.com", f"{OURS}/auth", f"{OURS}?x=1", f"{OURS}#x"),
    "user information": (
        *("https://user@a.example", "https://user:secret@a.example", "https://@a.example"),
    ),
    "port has to be a number": (f"{OURS}:port", f"{OURS}:65536", "https://user:secret"),
    "cannot have this host": ("https://[::1", "https://secret\uff0f.example"),
    # Versions of Python differ in whether the URL or the host is at fault.
    "host": ("https://[secret]",),
    "host has to be one name": (
        *("https://*.example.com", "https://app example.com", "https://app\\example.com"),
        *("https://b\u00fccher.example", "https://a.example,https", "https://app%2eexample.com"),
        "https://[fe80::1%25eth0]",
    ),
}
LOOPBACK = (
    *("http://localhost:5000/x", "http://LOCALHOST/", "http://app.localhost/"),
    *("http://127.0.0.1:8000", "http://127.9.9.9", "http://[::1]:8000/"),
)
ELSEWHERE = (
    *("http://localhost.example.com", "http://notlocalhost", "http://localhost@evil.example"),
    *("http://127.0.0.1.example.com", "http://10.0.0.1", "http://0.0.0.0", "http://[2001:db8::1]"),
    *("http://core:3567", "localhost", ""),
)


@rows("raw, origin", {shown(r): (r, o) for o, more in SPELLINGS.items() for r in (o, *more)})
def test_origin_has_one_spelling(raw: str, origin: str) -> None:
    assert parse_origin(raw) == origin


@rows("raw, message", {shown(r): (r, m) for m, refused in REFUSED.items() for r in refused})
def test_anything_but_an_origin_is_refused_without_repeating_it(raw: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_origin(raw)

    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@rows("url, expected", {shown(u): (u, u in LOOPBACK) for u in (*LOOPBACK, *ELSEWHERE)})
def test_loopback_is_this_machine_and_no_name_like_it(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
