"""Where a visitor may be redirected: to a path of this site, or to an allowed origin."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flask_ssr_session.sansio.origins import is_loopback, parse_origin
from flask_ssr_session.sansio.return_path import (
    local_path,
    redirect_target,
    with_query,
    with_return_path,
)

ALLOWED = frozenset({"https://app.example.com", "http://localhost:3000", "https://[2001:db8::1]"})
OWN_PATHS = frozenset({"/refresh-session", "/auth"})


def target(raw: str | None) -> str:
    return redirect_target(raw, allowed_origins=ALLOWED, looping_paths=OWN_PATHS)


# Valid return paths stay the same byte for byte


@pytest.mark.parametrize(
    "raw",
    [
        "/",
        "/dashboard",
        "/dashboard/",
        "/a/b/c.html",
        "/a//b",
        "/a;v=1/b",
        "/~user/@name/!x$&'()*+,;=:",
        "/a|b/[c]^",
        "/100%25",
        "/5%25-off",
        "/caf%C3%A9",
        "/caf%c3%a9",
        "/a%20b",
        "/a%2Fb",
        "/a%3Fb%23c",
        "/a%5Cb",
        "/%E4%B8%AD%E6%96%87",
        "/latin%E9",
        "/...",
        "/.well-known/x",
        "/..a/b..",
        "/search?q=a+b&c=%2Fd&e",
        "/search?next=https://evil.example/&x=//evil.example",
        "/search?q=\\`{}|^[]'",
        "/search?a?b?c",
        "/search?q=%ZZ",
        "/page#top",
        "/page?x=1#/route/2?y=3",
        "/page#a#b",
        "/page#%20{}|`",
        "/javascript:alert(1)",
        "/http://evil.example",
        "/authors",
        "/auth/sub",
        "/refresh-session-2",
        "https://app.example.com/",
        "https://app.example.com/a?b=c#d",
        "https://[2001:db8::1]/a",
        "http://localhost:3000/a",
    ],
)
def test_legitimate_way_back_is_kept_byte_for_byte(raw: str) -> None:
    assert target(raw) == raw


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param("/café", "/caf%C3%A9", id="letter"),
        pytest.param('/a"<b>', "/a%22%3Cb%3E", id="signs of HTML"),
        pytest.param("/a`{b}", "/a%60%7Bb%7D", id="signs a browser encodes in a path"),
        pytest.param('/a?"<b>', "/a?%22%3Cb%3E", id="signs of HTML in a query"),
        pytest.param("/a#<b>", "/a#%3Cb%3E", id="signs of HTML in a fragment"),
        pytest.param("/a\x85b", "/a%C2%85b", id="control character of ISO 8859"),
        pytest.param("/a\u2028b", "/a%E2%80%A8b", id="line separator"),
        pytest.param("/\u202egpj", "/%E2%80%AEgpj", id="direction override"),
        pytest.param("/a?", "/a", id="empty query"),
        pytest.param("https://app.example.com", "https://app.example.com/", id="no path"),
        pytest.param("https://app.example.com?a", "https://app.example.com/?a", id="query only"),
        pytest.param("HTTPS://APP.Example.COM/A", "https://app.example.com/A", id="capitals"),
        pytest.param("https://app.example.com:443/", "https://app.example.com/", id="its port"),
        pytest.param("https://app.example.com:/", "https://app.example.com/", id="empty port"),
        pytest.param("https://[2001:DB8::1]:443/", "https://[2001:db8::1]/", id="IPv6"),
    ],
)
def test_way_back_is_spelled_our_way(raw: str, expected: str) -> None:
    assert target(raw) == expected


# Everything else becomes "/"


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param("dashboard", id="relative"),
        pytest.param("./dashboard", id="relative with a dot"),
        pytest.param("../dashboard", id="relative upwards"),
        pytest.param("?a=b", id="query only"),
        pytest.param("#top", id="fragment only"),
        pytest.param("@evil.example", id="user info only"),
        pytest.param("//evil.example", id="two slashes"),
        pytest.param("//evil.example/%2e%2e", id="two slashes and dots"),
        pytest.param("///evil.example", id="three slashes"),
        pytest.param("////evil.example", id="four slashes"),
        pytest.param("//app.example.com/a", id="two slashes to a good host"),
        pytest.param("///app.example.com/a", id="three slashes to a good host"),
        pytest.param("/\\evil.example", id="slash, backslash"),
        pytest.param("\\/evil.example", id="backslash, slash"),
        pytest.param("\\\\evil.example", id="two backslashes"),
        pytest.param("/a\\b", id="backslash in a path"),
        pytest.param("/\t/evil.example", id="tabulator between slashes"),
        pytest.param("/\n/evil.example", id="line feed between slashes"),
        pytest.param("/\r/evil.example", id="carriage return between slashes"),
        pytest.param("\t//evil.example", id="tabulator in front"),
        pytest.param(" //evil.example", id="blank in front"),
        pytest.param(" /dashboard", id="blank in front of a path"),
        pytest.param("/a b", id="blank"),
        pytest.param("/a\x00", id="nul"),
        pytest.param("/a\x7f", id="delete"),
        pytest.param("/a\r\nSet-Cookie: x=y", id="header"),
        pytest.param("/a%0d%0aSet-Cookie:x", id="encoded header"),
        pytest.param("/a%250aSet-Cookie:x", id="header encoded twice"),
        pytest.param("/a%00", id="encoded nul"),
        pytest.param("/a%7F", id="encoded delete"),
        pytest.param("/%2Fevil.example", id="encoded second slash"),
        pytest.param("/%2fevil.example", id="encoded in small letters"),
        pytest.param("/%5Cevil.example", id="encoded backslash"),
        pytest.param("%2F%2Fevil.example", id="both slashes encoded"),
        pytest.param("/%252Fevil.example", id="slash encoded twice"),
        pytest.param("/%25252525252525252Fevil.example", id="slash encoded often"),
        pytest.param("/%2525252525252525255Cevil.example", id="backslash encoded often"),
        pytest.param("/.//evil.example", id="dot and two slashes"),
        pytest.param("/..//evil.example", id="two dots and two slashes"),
        pytest.param("/a/../..//evil.example", id="two dots behind a path"),
        pytest.param("/%2e%2e//evil.example", id="encoded dots"),
        pytest.param("/%2E/%2Fevil.example", id="encoded dot and slash"),
        pytest.param("/a/%2e%2e%2fauth", id="encoded way to sign-in"),
        pytest.param("/a/..%5Cauth", id="two dots and a backslash"),
        pytest.param("/a/.", id="dot at the end"),
        pytest.param("javascript:alert(1)", id="javascript"),
        pytest.param("JaVaScRiPt:alert(1)", id="javascript in mixed letters"),
        pytest.param("java\nscript:alert(1)", id="javascript with a line feed"),
        pytest.param("javascript://app.example.com/%0aalert(1)", id="javascript with a good host"),
        pytest.param("data:text/html,<script>", id="data"),
        pytest.param("vbscript:x", id="vbscript"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("ftp://app.example.com/", id="ftp"),
        pytest.param("wss://app.example.com/", id="websocket"),
        pytest.param("view-source:https://app.example.com/", id="view-source"),
        pytest.param("https://evil.example/", id="other host"),
        pytest.param("http://app.example.com/", id="good host without TLS"),
        pytest.param("https://app.example.com:8443/", id="good host, other port"),
        pytest.param("https://localhost:3000/", id="good host and port, other scheme"),
        pytest.param("https://app.example.com.evil.example/", id="good host as a label"),
        pytest.param("https://evil-app.example.com/", id="good host as an end"),
        pytest.param("https://app.example.com./", id="dot behind the host"),
        pytest.param("https://app.example.com@evil.example/", id="good host as a user"),
        pytest.param("https://evil.example@app.example.com/", id="user info"),
        pytest.param("https://:@app.example.com/", id="empty user info"),
        pytest.param("https://app.example.com\\@evil.example/", id="backslash and user info"),
        pytest.param("https://app.example.com\\.evil.example/", id="backslash in the host"),
        pytest.param("https://evil.example\\app.example.com/", id="backslash behind the host"),
        pytest.param("https:\\\\app.example.com/", id="backslashes for slashes"),
        pytest.param("https:app.example.com", id="no slashes"),
        pytest.param("https:/app.example.com", id="one slash"),
        pytest.param("https:///app.example.com/", id="full URL with three slashes"),
        pytest.param("https://", id="no host"),
        pytest.param("https://:443/", id="port only"),
        pytest.param("https://app.example.com:x/", id="port no number"),
        pytest.param("https://app.example.com:99999/", id="port too large"),
        pytest.param("https://app.example.com:\u0664\u0664\u0663/", id="port in other digits"),
        pytest.param("https://app.example.com%2eevil.example/", id="encoded dot in the host"),
        pytest.param("https://app.example.com%00.evil.example/", id="nul in the host"),
        pytest.param("https://app\u3002example.com/", id="ideographic full stop"),
        pytest.param("https://\uff41pp.example.com/", id="fullwidth letter"),
        pytest.param("https://app.example.com\uff0fevil/", id="fullwidth slash"),
        pytest.param("https://[::1", id="half an IPv6 address"),
        pytest.param("https://[app.example.com]/", id="good host in brackets"),
        pytest.param("https://[app.example.com/", id="half a bracket"),
        pytest.param("https://app.example.com//evil.example", id="two slashes behind a good host"),
        pytest.param("https://app.example.com/%2Fevil.example", id="encoded behind a good host"),
        pytest.param("https://app.example.com/../a", id="dots behind a good host"),
        pytest.param("/a\ud800", id="surrogate in a path"),
        pytest.param("/a?\ud800", id="surrogate in a query"),
        pytest.param("/a#\ud800", id="surrogate in a fragment"),
    ],
)
def test_anything_else_leads_to_the_front_page(raw: str | None) -> None:
    assert target(raw) == "/"


@pytest.mark.parametrize(
    "raw",
    [
        "/refresh-session",
        "/refresh-session/",
        "/refresh-session?redirectBack=/x",
        "/refresh-session#x",
        "/refresh%2Dsession",
        "/refresh%252Dsession",
        "/auth",
        "/auth//",
        "/auth?redirectToPath=/x",
        "/%61uth",
        "https://app.example.com/auth",
    ],
)
def test_our_own_pages_are_no_way_back(raw: str) -> None:
    assert target(raw) == "/"


def test_no_origin_is_allowed_unless_it_is_listed() -> None:
    for raw in ("https://app.example.com/", "http://localhost/"):
        assert redirect_target(raw, allowed_origins=(), looping_paths=()) == "/"


@settings(max_examples=500)
@given(st.text(st.sampled_from("/\\.%25eEfFcC:@?#\t\n aA[]") | st.characters(codec=None)))
@example("/%")
@example("/%25")
@example("/%2")
def test_result_is_always_a_path_of_this_site(raw: str) -> None:
    result = target(raw)

    assert result.isascii()
    assert result.isprintable()
    assert " " not in result
    if not any(result.startswith(f"{origin}/") for origin in ALLOWED):
        assert result.startswith("/")
        assert result[1:2] not in ("/", "\\")
        assert not urlsplit(result).netloc
        # The result is stable: it is its own target.
        assert target(result) == result


@given(st.text(st.characters(codec="utf-8")), st.binary(max_size=30))
def test_any_path_of_this_site_survives_being_written_and_read(path: str, query: bytes) -> None:
    written = local_path("", "/" + path, query)

    assert written.isascii()
    assert written.isprintable()
    assert target(written) in (written, "/")


def test_long_values_cost_little() -> None:
    for unit in ("%25", "/a", "../", "\\", "%2", "a:", "#?"):
        target("/" + unit * 200_000)


# with_query


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/auth", "/auth?back=/a%3Fb%3D1%26c%23d"),
        ("/auth?x=1", "/auth?x=1&back=/a%3Fb%3D1%26c%23d"),
        ("/auth#form", "/auth?back=/a%3Fb%3D1%26c%23d#form"),
        ("https://a.example/x?y#z?", "https://a.example/x?y&back=/a%3Fb%3D1%26c%23d#z?"),
    ],
)
def test_query_is_added_in_front_of_the_fragment(url: str, expected: str) -> None:
    assert with_query(url, back="/a?b=1&c#d") == expected


def test_added_values_cannot_leave_their_parameter() -> None:
    assert with_query("/a", x='"<&#?+ ü\r\n', y="2") == "/a?x=%22%3C%26%23%3F%2B%20%C3%BC%0D%0A&y=2"


@pytest.mark.parametrize(
    ("chars", "is_kept"),
    [
        pytest.param(4000, True, id="as long as a server reads"),
        pytest.param(4001, False, id="one character longer"),
        pytest.param(1_000_000, False, id="a megabyte"),
    ],
)
@pytest.mark.parametrize("url", ["/auth", "/auth?x=1", "https://a.example/sign-in#form"])
def test_way_back_that_makes_the_address_too_long_is_left_out(
    url: str, chars: int, is_kept: bool
) -> None:
    target = "/" + "a" * (chars - len(with_query(url, back="/")))

    location = with_return_path(url, "back", target)

    assert location == (with_query(url, back=target) if is_kept else url)


# local_path


@pytest.mark.parametrize(
    ("root", "path", "query", "expected"),
    [
        pytest.param("", "/a/b", b"", "/a/b", id="path"),
        pytest.param("/app", "/a", b"", "/app/a", id="mounted"),
        pytest.param("/app/", "/a", b"", "/app/a", id="mounted with a slash"),
        pytest.param("", "/a", b"x=%2F&y=+", "/a?x=%2F&y=+", id="query"),
        pytest.param("", "/café ü", b"", "/caf%C3%A9%20%C3%BC", id="letters and a blank"),
        pytest.param("", "/100%", b"", "/100%25", id="percent"),
        pytest.param("", "/a?b#c", b"", "/a%3Fb%23c", id="signs that end a path"),
        pytest.param("", "/a\\b", b"", "/a%5Cb", id="backslash"),
        pytest.param("", "/~@!$&'()*+,;=:|[]^", b"", "/~@!$&'()*+,;=:|[]^", id="kept as they are"),
        pytest.param("", "/a", b"x='\\`{}|^", "/a?x='\\`{}|^", id="kept in a query"),
        pytest.param("", "/a", b'x="<\xe9>#', "/a?x=%22%3C%E9%3E%23", id="bytes in a query"),
        pytest.param("", "/a", b"x=\r\n", "/a?x=%0D%0A", id="line feeds in a query"),
    ],
)
def test_path_is_written_as_a_browser_writes_it(
    root: str, path: str, query: bytes, expected: str
) -> None:
    assert local_path(root, path, query) == expected


# parse_origin and is_loopback


@pytest.mark.parametrize(
    ("raw", "origin"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("https://app.example.com/", "https://app.example.com"),
        ("  https://app.example.com ", "https://app.example.com"),
        ("HTTPS://App.Example.Com", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("http://app.example.com:80", "http://app.example.com"),
        ("http://app.example.com:443", "http://app.example.com:443"),
        ("https://app.example.com:8443", "https://app.example.com:8443"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        ("https://my_host", "https://my_host"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
    ],
)
def test_origin_has_one_spelling(raw: str, origin: str) -> None:
    assert parse_origin(raw) == origin


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("", "begin with https"),
        ("app.example.com", "begin with https"),
        ("//app.example.com", "begin with https"),
        ("/auth", "begin with https"),
        ("ftp://app.example.com", "begin with https"),
        ("localhost:5000", "begin with https"),
        ("https://", "host is missing"),
        ("https://:443", "host is missing"),
        ("https:app.example.com", "nothing may follow"),
        ("https://app.example.com/auth", "nothing may follow"),
        ("https://app.example.com?x=1", "nothing may follow"),
        ("https://app.example.com#x", "nothing may follow"),
        ("https://user@app.example.com", "user information"),
        ("https://user:secret@app.example.com", "user information"),
        ("https://app.example.com:port", "port has to be a number"),
        ("https://app.example.com:70000", "port has to be a number"),
        ("https://user:secret", "port has to be a number"),
        ("https://[secret]", "host"),
        ("https://[::1", "cannot have this host"),
        ("https://secret\uff0f.example", "cannot have this host"),
        ("https://*.example.com", "host has to be one name"),
        ("https://app example.com", "host has to be one name"),
        ("https://app\\example.com", "host has to be one name"),
        ("https://bücher.example", "host has to be one name"),
        ("https://a.example,https", "host has to be one name"),
        ("https://app%2eexample.com", "host has to be one name"),
    ],
)
def test_anything_but_an_origin_is_named(raw: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse_origin(raw)

    assert "secret" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:5000/x", True),
        ("http://LOCALHOST/", True),
        ("http://app.localhost/", True),
        ("http://127.0.0.1:8000", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8000/", True),
        ("http://localhost.example.com", False),
        ("http://notlocalhost", False),
        ("http://localhost@evil.example", False),
        ("http://127.0.0.1.example.com", False),
        ("http://10.0.0.1", False),
        ("http://0.0.0.0", False),
        ("http://[2001:db8::1]", False),
        ("http://core:3567", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_and_no_name_like_it(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected
