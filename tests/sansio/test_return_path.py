"""Where a visitor may be redirected: to a path of this site, or to an allowed origin."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flask_ssr_session.sansio.return_path import local_path, redirect_target, with_query
from flask_ssr_session.sansio.return_path import with_return_path as added
from tests import return_paths as paths
from tests.return_paths import OWN_ORIGIN, REFRESH, SIGN_IN
from tests.tables import rows

ALLOWED = frozenset({OWN_ORIGIN, "http://localhost:3000", "https://[2001:db8::1]"})


def target(raw: str | None) -> str:
    return redirect_target(raw, allowed_origins=ALLOWED, looping_paths={REFRESH, SIGN_IN})


def test_refused_value_leads_to_the_front_page() -> None:
    assert len(paths.HOSTILE) > 500
    led = {name: target(value) for name, value in paths.HOSTILE.items()}
    assert {name: to for name, to in led.items() if to != "/"} == {}
    assert target(None) == "/"
    # Twins: an origin counts only if it is listed.
    for raw in (f"{OWN_ORIGIN}/a", "http://localhost:3000/a"):
        assert target(raw) == raw
        assert redirect_target(raw, allowed_origins=(), looping_paths=()) == "/"
    assert redirect_target(SIGN_IN, allowed_origins=(), looping_paths=()) == SIGN_IN


@pytest.mark.parametrize("origin", ["", *sorted(ALLOWED)])
def test_legitimate_value_is_kept_byte_for_byte(origin: str) -> None:
    for name, value in (paths.HARMLESS | paths.LEGITIMATE | {"the front page": "/"}).items():
        assert target(origin + value) == origin + value, name


@rows("raw, expected", {ascii(raw): (raw, expected) for raw, expected in paths.RESPELLED.items()})
def test_value_is_written_as_browsers_write_it(raw: str, expected: str) -> None:
    assert target(raw) == expected


@settings(max_examples=300)
@given(st.text(st.sampled_from("/\\.%25eEfFcC:@?#\t\n aA[]") | st.characters(codec=None)))
@example("/%")
@example("/a/%2525252525252e/b")
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


@settings(max_examples=100)
@given(st.text(st.characters(codec="utf-8")), st.binary(max_size=30))
def test_any_path_of_this_site_survives_being_written_and_read(path: str, query: bytes) -> None:
    written = local_path("", "/" + path, query)

    assert written.isascii()
    assert written.isprintable()
    assert target(written) in (written, "/")


def test_long_values_cost_little() -> None:
    for unit in ("%25", "/a", "../", "\\", "%2", "a:", "#?"):
        target("/" + unit * 200_000)


QUERIES: dict[str, Any] = {
    "a path": ("/auth", "/auth?back=/a%3Fb%3D1%26c%23d"),
    "a query": ("/auth?x=1", "/auth?x=1&back=/a%3Fb%3D1%26c%23d"),
    "a fragment": ("/auth#form", "/auth?back=/a%3Fb%3D1%26c%23d#form"),
    "both": ("https://a.example/x?y#z?", "https://a.example/x?y&back=/a%3Fb%3D1%26c%23d#z?"),
}


@rows("url, expected", QUERIES)
def test_query_is_added_in_front_of_the_fragment(url: str, expected: str) -> None:
    assert with_query(url, back="/a?b=1&c#d") == expected


def test_added_values_cannot_leave_their_parameter() -> None:
    assert with_query("/a", x='"<&#?+ \u00fc\r\n', y="2") == (
        "/a?x=%22%3C%26%23%3F%2B%20%C3%BC%0D%0A&y=2"
    )


@pytest.mark.parametrize("url", ["/auth", "/auth?x=1", "https://a.example/sign-in#form"])
def test_value_that_makes_an_address_of_more_than_4000_characters_is_left_out(url: str) -> None:
    for chars, is_kept in ((4000, True), (4001, False), (1_000_000, False)):
        back = "/" + "a" * (chars - len(with_query(url, back="/")))
        assert added(url, "back", back) == (with_query(url, back=back) if is_kept else url), chars


PATHS: dict[str, Any] = {
    "a path": ("", "/a/b", b"", "/a/b"),
    "mounted": ("/app", "/a", b"", "/app/a"),
    "mounted with a slash": ("/app/", "/a", b"", "/app/a"),
    "a query": ("", "/a", b"x=%2F&y=+", "/a?x=%2F&y=+"),
    "letters and a blank": ("", "/caf\u00e9 \u00fc", b"", "/caf%C3%A9%20%C3%BC"),
    "a percent sign": ("", "/100%", b"", "/100%25"),
    "signs that end a path": ("", "/a?b#c", b"", "/a%3Fb%23c"),
    "a backslash": ("", "/a\\b", b"", "/a%5Cb"),
    "signs kept in a path": ("", "/~@!$&'()*+,;=:|[]^", b"", "/~@!$&'()*+,;=:|[]^"),
    "signs kept in a query": ("", "/a", b"x='\\`{}|^", "/a?x='\\`{}|^"),
    "bytes in a query": ("", "/a", b'x="<\xe9>#', "/a?x=%22%3C%E9%3E%23"),
    "line feeds in a query": ("", "/a", b"x=\r\n", "/a?x=%0D%0A"),
}


@rows("root, path, query, expected", PATHS)
def test_path_is_written_as_by_browsers(root: str, path: str, query: bytes, expected: str) -> None:
    assert local_path(root, path, query) == expected
