"""Origins are compared in one spelling, and loopback is this machine only."""

from __future__ import annotations

import pytest

from flask_ssr_session.sansio.origins import is_loopback, parse_origin
from tests.tables import rows

SCHEME, MISSING, MORE = "begin with https", "host is missing", "nothing may follow"
USER, PORT, NO_URL = "user information", "port has to be a number", "cannot have this host"
NAME = "host has to be one name"


@rows(
    "raw, origin",
    {
        "as it should be": ("https://app.example.com", "https://app.example.com"),
        "a slash behind": ("https://app.example.com/", "https://app.example.com"),
        "blanks around": ("  https://app.example.com ", "https://app.example.com"),
        "capitals": ("HTTPS://App.Example.Com", "https://app.example.com"),
        "the port of https": ("https://app.example.com:443", "https://app.example.com"),
        "the port of http": ("http://app.example.com:80", "http://app.example.com"),
        "an empty port": ("https://app.example.com:", "https://app.example.com"),
        "the port of the other": ("http://app.example.com:443", "http://app.example.com:443"),
        "another port": ("https://app.example.com:8443", "https://app.example.com:8443"),
        "the largest port": ("https://app.example.com:65535", "https://app.example.com:65535"),
        "localhost": ("http://localhost:5000", "http://localhost:5000"),
        "IPv4": ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        "IPv6": ("http://[::1]:5000", "http://[::1]:5000"),
        "IPv6 in capitals": ("https://[2001:DB8::1]:443", "https://[2001:db8::1]"),
        "a line": ("https://my_host", "https://my_host"),
        "Punycode": ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    },
)
def test_origin_has_one_spelling(raw: str, origin: str) -> None:
    assert parse_origin(raw) == origin
    assert parse_origin(origin) == origin


@rows(
    "raw, message",
    {
        "nothing": ("", SCHEME),
        "a host": ("app.example.com", SCHEME),
        "no scheme": ("//app.example.com", SCHEME),
        "a path": ("/auth", SCHEME),
        "another scheme": ("ftp://app.example.com", SCHEME),
        "a host for a scheme": ("localhost:5000", SCHEME),
        "no host": ("https://", MISSING),
        "a port only": ("https://:443", MISSING),
        "no slashes": ("https:app.example.com", MORE),
        "a path behind": ("https://app.example.com/auth", MORE),
        "a query behind": ("https://app.example.com?x=1", MORE),
        "a fragment behind": ("https://app.example.com#x", MORE),
        "a user": ("https://user@app.example.com", USER),
        "a user and a password": ("https://user:secret@app.example.com", USER),
        "an empty user": ("https://@app.example.com", USER),
        "a port that is a word": ("https://app.example.com:port", PORT),
        "a port too large": ("https://app.example.com:65536", PORT),
        "a password for a port": ("https://user:secret", PORT),
        "a word in brackets": ("https://[secret]", "host"),
        "half a bracket": ("https://[::1", NO_URL),
        "a full-width slash": ("https://secret\uff0f.example", NO_URL),
        "a wildcard": ("https://*.example.com", NAME),
        "a blank": ("https://app example.com", NAME),
        "a backslash": ("https://app\\example.com", NAME),
        "a letter beyond ASCII": ("https://b\u00fccher.example", NAME),
        "two origins": ("https://a.example,https", NAME),
        "an encoded dot": ("https://app%2eexample.com", NAME),
        "a zone": ("https://[fe80::1%25eth0]", NAME),
    },
)
def test_anything_but_an_origin_is_refused_without_repeating_it(raw: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_origin(raw)

    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@rows(
    "url, expected",
    {
        "localhost": ("http://localhost:5000/x", True),
        "localhost in capitals": ("http://LOCALHOST/", True),
        "a name below localhost": ("http://app.localhost/", True),
        "127.0.0.1": ("http://127.0.0.1:8000", True),
        "another address of its network": ("http://127.9.9.9", True),
        "the loopback of IPv6": ("http://[::1]:8000/", True),
        "localhost as a label": ("http://localhost.example.com", False),
        "a name that ends alike": ("http://notlocalhost", False),
        "localhost as a user": ("http://localhost@evil.example", False),
        "127.0.0.1 as a label": ("http://127.0.0.1.example.com", False),
        "a private address": ("http://10.0.0.1", False),
        "any address": ("http://0.0.0.0", False),
        "an address of IPv6": ("http://[2001:db8::1]", False),
        "a short name": ("http://core:3567", False),
        "no URL": ("localhost", False),
        "nothing": ("", False),
    },
)
def test_loopback_is_this_machine_and_no_name_like_it(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
