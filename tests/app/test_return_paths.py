"""Return paths through an app: from a parameter, and to where the visitor was, below any mount."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes, urlsplit

import pytest
from flask import Blueprint, Flask
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import Client, TestResponse

from flask_ssr_session import safe_return_path, session_required
from tests.browser_requests import PAGE
from tests.return_paths import HOSTILE, LEGITIMATE, OWN_ORIGIN, REFRESH, SIGN_IN
from tests.tables import rows, shown
from tests.tokens import expired_token

from .apps import make_app
from .visitors import cookies, page_shown

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


def attribute(text: str, name: str) -> str:
    """Return what an element of a page has for *name*; all that have it agree."""
    (found,) = {part.partition('"')[0] for part in text.split(f' {name}="')[1:]}
    return unescape(found)


def in_query(url: str | None, name: str) -> str:
    """Return the one value that the query of *url* has for *name*."""
    pairs = parse_qsl(urlsplit(url or "").query, strict_parsing=True)
    (value,) = (value for key, value in pairs if key == name)
    return value


def with_pages(flow: str) -> Flask:
    """Return an app with a page below a blueprint below a blueprint, ``/x/…``."""
    app = make_app(refresh_flow=flow, redirect_origins=[OWN_ORIGIN])
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    inner.add_url_rule("/<path:rest>", "page", session_required(lambda rest: rest))
    outer.register_blueprint(inner, url_prefix="/x")
    app.register_blueprint(outer, url_prefix="/")
    return app


@pytest.fixture(scope="module")
def inline() -> Flask:
    return with_pages("inline")


@pytest.fixture(scope="module")
def redirecting() -> Flask:
    return with_pages("redirect")


OWN_HOST = "http://localhost/a"  # which the request names, and no setting
REFUSED = (HOSTILE["scheme javascript"], HOSTILE["header in the path"], REFRESH, SIGN_IN, OWN_HOST)
KEPT = ("/dashboard?next=//evil.example", "/a#javascript:alert(1)", f"{OWN_ORIGIN}/a?b#c")


@rows("raw, back", {shown(v): (v, "/") for v in REFUSED} | {shown(v): (v, v) for v in KEPT})
def test_parameter_is_judged_by_the_table(inline: Flask, raw: str, back: str) -> None:
    with inline.test_request_context():
        assert safe_return_path(raw) == back
    page = inline.test_client().get(f"{REFRESH}?redirectBack={quote(raw, safe='')}", headers=PAGE)
    assert attribute(page.text, "data-return-to") == back
    assert in_query(attribute(page.text, "data-sign-in"), "redirectToPath") == back
    assert f'href="{back}" data-ssr-here' in unescape(page.text)


# How an app is mounted: prefix, WSGI application, and what SCRIPT_NAME begins with.
Mount = tuple[str, Callable[[Flask], "WSGIApplication"], str]


MOUNTS: dict[str, Mount] = {
    "root": ("", lambda app: app, ""),
    "script name": ("/shop", lambda app: app, "/shop"),
    "non-ASCII script name": ("/caf%C3%A9%201", lambda app: app, "/caf\xc3\xa9 1"),
    "proxy": ("/front/shop", lambda app: ProxyFix(app, x_prefix=1), ""),
}


def ask(mount: Mount, app: Flask, address: str, *, is_stranger: bool = False) -> TestResponse:
    """Request *address*, in exactly this spelling, from *app* at this mount point."""
    path, _, query = address.partition("?")
    cookie = {} if is_stranger else cookies(expired_token())
    return Client(mount[1](app), use_cookies=False).get(
        headers=PAGE | cookie | {"X-Forwarded-Prefix": "/front/shop"},
        environ_overrides={
            "SCRIPT_NAME": mount[2],
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
        },
    )


@rows("mount", MOUNTS)
def test_each_answer_leads_back_exactly(inline: Flask, redirecting: Flask, mount: Mount) -> None:
    prefix = mount[0]
    for name, address in LEGITIMATE.items():
        back = prefix + address
        here = ask(mount, inline, address)
        assert here.status_code == 200, name
        assert "data-return-to" not in here.text  # the script goes back to where the browser is
        assert in_query(attribute(here.text, "data-sign-in"), "redirectToPath") == back, name
        assert f'href="{back}"' in unescape(here.text), name

        location = ask(mount, redirecting, address).headers["Location"]
        assert urlsplit(location).path == prefix + REFRESH, name
        assert in_query(location, "redirectBack") == back, name
        there = ask(mount, redirecting, location.removeprefix(prefix))
        assert attribute(there.text, "data-return-to") == back, name
        assert in_query(attribute(there.text, "data-sign-in"), "redirectToPath") == back, name

        for app in (inline, redirecting):
            sign_in = ask(mount, app, address, is_stranger=True).headers["Location"]
            assert urlsplit(sign_in).path == SIGN_IN, name
            assert in_query(sign_in, "redirectToPath") == back, name


# Servers pass decoded paths to an app, so all spellings of a path return as one.
SPELLINGS: dict[str, Any] = {
    "a slash": ("/x/a%2Fb", "/x/a/b"),
    "a question mark and a hash": ("/x/a%3fb%23c", "/x/a%3Fb%23c"),
    "Latin-1": ("/x/latin%E9", "/x/latin%EF%BF%BD"),
}


@rows("asked, back", SPELLINGS)
def test_any_spelling_is_one_path(inline: Flask, redirecting: Flask, asked: str, back: str) -> None:
    assert unquote(asked) == unquote(back)
    for (name, mount), query in itertools.product(MOUNTS.items(), ("", "?q=%7E%c3%a9%2f")):
        refresh = ask(mount, redirecting, asked + query).location
        assert in_query(refresh, "redirectBack") == mount[0] + back + query, name
        sign_in = ask(mount, inline, asked + query, is_stranger=True).location
        assert in_query(sign_in, "redirectToPath") == mount[0] + back + query, name


@rows("mount", {name: mount for name, mount in MOUNTS.items() if name != "root"})
def test_mounted_app_knows_its_pages_by_their_mounted_paths(inline: Flask, mount: Mount) -> None:
    prefix = mount[0]

    def led(raw: str) -> str:
        page = ask(mount, inline, f"{REFRESH}?redirectBack={quote(raw, safe='')}")
        return attribute(page.text, "data-return-to")

    for nested in (REFRESH, f"{REFRESH}/", f"{REFRESH}?redirectBack=/x", "/%72efresh-session"):
        assert led(prefix + nested) == "/", nested
    for other in (REFRESH, f"{prefix}{prefix}{REFRESH}", f"{prefix}/x{REFRESH}"):
        assert led(other) == other
    # The sign-in path of the setting starts at the root of the host.
    assert (led(SIGN_IN), led(prefix + SIGN_IN)) == ("/", prefix + SIGN_IN)


@pytest.mark.parametrize("slashes", ["//", "///", "/%2F"])
def test_doubled_slash_is_no_other_name_for_our_refresh_page(inline: Flask, slashes: str) -> None:
    mount, nested = MOUNTS["script name"], f"{slashes}{REFRESH[1:]}"
    # Twin: for the router it is a path of this app.
    assert page_shown(ask(mount, inline, unquote(nested))) == "refresh"
    page = ask(mount, inline, f"{REFRESH}?redirectBack={quote(mount[0] + nested)}")
    assert attribute(page.text, "data-return-to") == "/"
