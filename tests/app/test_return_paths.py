"""Return paths (``redirectBack`` and after sign-in), below mount points and with real servers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from html import unescape
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes, urlsplit

import pytest
from flask import Blueprint, Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.serving import make_server
from werkzeug.test import Client, TestResponse

from flask_ssr_session import safe_return_path, session_required
from tests.browser_requests import PAGE
from tests.tokens import expired_token

from ..return_paths import HARMLESS, HOSTILE, LEGITIMATE, REFRESH, SIGN_IN, served_app
from .conftest import cookies, make_app, page_shown

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

ROOT = Path(__file__).parents[2]
OWN_ORIGIN = "https://app.example.com"

rows = pytest.mark.parametrize


def attribute(text: str, name: str) -> str:
    """Return what an element of a page has for *name*; all that have it agree."""
    (found,) = {part.partition('"')[0] for part in text.split(f' {name}="')[1:]}
    return unescape(found)


def in_query(url: str, name: str) -> str:
    """Return the one value that the query of *url* has for *name*."""
    (value,) = (v for k, v in parse_qsl(urlsplit(url).query, strict_parsing=True) if k == name)
    return value


@pytest.fixture(scope="module")
def app() -> Flask:
    return make_app(redirect_origins=[OWN_ORIGIN])


# --- values from anywhere ------------------------------------------------------------------------


def test_table_is_long_and_names_no_value_twice() -> None:
    assert len(HOSTILE) == len(set(HOSTILE.values())) >= 500
    assert not set(HOSTILE.values()) & {*HARMLESS.values(), *LEGITIMATE.values()}


@rows("raw", HOSTILE.values(), ids=HOSTILE)
def test_hostile_value_leads_to_the_front_page(app: Flask, raw: str) -> None:
    with app.test_request_context():
        assert safe_return_path(raw) == "/"
    if any("\ud800" <= char <= "\udfff" for char in raw):
        return  # no URL holds half a character; what a decoder makes of it is another value
    page = app.test_client().get(f"{REFRESH}?redirectBack={quote(raw, safe='')}", headers=PAGE)
    assert attribute(page.text, "data-return-to") == "/"
    assert attribute(page.text, "data-sign-in") == f"{SIGN_IN}?redirectToPath=/"
    assert 'href="/" data-ssr-here' in page.text


@rows("raw", [*HARMLESS.values(), *LEGITIMATE.values()], ids=[*HARMLESS, *LEGITIMATE])
@rows("origin", ["", OWN_ORIGIN], ids=["", "full URL"])
def test_value_that_only_looks_hostile_is_kept_byte_for_byte(
    app: Flask, raw: str, origin: str
) -> None:
    page = app.test_client().get(
        f"{REFRESH}?redirectBack={quote(origin + raw, safe='')}", headers=PAGE
    )
    assert attribute(page.text, "data-return-to") == origin + raw
    assert in_query(attribute(page.text, "data-sign-in"), "redirectToPath") == origin + raw


# --- our own answers lead back to where the visitor was ------------------------------------------


def _plain(app: Flask) -> tuple[WSGIApplication, str, str]:
    return app, "", ""


def _script_name(app: Flask) -> tuple[WSGIApplication, str, str]:
    return app, "/shop", ""


def _dispatched(app: Flask) -> tuple[WSGIApplication, str, str]:
    return DispatcherMiddleware(Flask("outer"), {"/deep/shop": app}), "", "/deep/shop"


def _behind_proxy(app: Flask) -> tuple[WSGIApplication, str, str]:
    return ProxyFix(app, x_prefix=1), "", ""


# How an app is mounted: the WSGI application, and what SCRIPT_NAME and PATH_INFO begin with.
MOUNTS: dict[str, Callable[[Flask], tuple[WSGIApplication, str, str]]] = {
    "root": _plain,
    "script name": _script_name,
    "non-ASCII script name": lambda app: (app, "/caf\xc3\xa9 1", ""),
    "dispatcher": _dispatched,
    "proxy": _behind_proxy,
}
PREFIXES = {
    "root": "",
    "script name": "/shop",
    "non-ASCII script name": "/caf%C3%A9%201",
    "dispatcher": "/deep/shop",
    "proxy": "/front/shop",
}


def ask(mount: str, app: Flask, address: str, cookie: dict[str, str]) -> TestResponse:
    """Request *address*, in exactly this spelling, from *app* at this mount point."""
    server, script_name, in_front = MOUNTS[mount](app)
    path, _, query = address.partition("?")
    return Client(server, use_cookies=False).get(
        headers=PAGE | cookie | {"X-Forwarded-Prefix": "/front/shop"},
        environ_overrides={
            "SCRIPT_NAME": script_name,
            "PATH_INFO": in_front + unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
        },
    )


def with_pages(flow: str) -> Flask:
    """Return an app with a page below a blueprint below a blueprint, ``/x/…``."""
    app = make_app(refresh_flow=flow)
    outer, inner = Blueprint("outer", __name__), Blueprint("inner", __name__)
    inner.add_url_rule("/<path:rest>", "page", session_required(lambda rest: rest))
    outer.register_blueprint(inner, url_prefix="/x")
    app.register_blueprint(outer, url_prefix="/")
    return app


@pytest.fixture(scope="module")
def apps() -> dict[str, Flask]:
    return {flow: with_pages(flow) for flow in ("inline", "redirect")}


@pytest.fixture(scope="module")
def expired() -> dict[str, str]:
    return cookies(expired_token())


@rows("address", LEGITIMATE.values(), ids=LEGITIMATE)
@rows("mount", MOUNTS)
def test_every_answer_leads_back_byte_for_byte(
    apps: dict[str, Flask], expired: dict[str, str], mount: str, address: str
) -> None:
    back = PREFIXES[mount] + address

    inline = ask(mount, apps["inline"], address, expired)
    assert inline.status_code == 200
    assert "data-return-to" not in inline.text  # the script goes back to where the browser is
    assert in_query(attribute(inline.text, "data-sign-in"), "redirectToPath") == back
    assert f'href="{back}"' in unescape(inline.text)

    redirected = ask(mount, apps["redirect"], address, expired).headers["Location"]
    assert urlsplit(redirected).path == PREFIXES[mount] + REFRESH
    assert in_query(redirected, "redirectBack") == back
    there = ask(mount, apps["redirect"], redirected.removeprefix(PREFIXES[mount]), expired)
    assert attribute(there.text, "data-return-to") == back
    assert in_query(attribute(there.text, "data-sign-in"), "redirectToPath") == back

    for flow in apps.values():
        sign_in = ask(mount, flow, address, {}).headers["Location"]
        assert urlsplit(sign_in).path == SIGN_IN
        assert in_query(sign_in, "redirectToPath") == back
        with flow.test_request_context():
            assert safe_return_path(back) == back


# Servers pass decoded paths to an app, so all spellings of a path return as one.
@rows(
    ("asked", "back"),
    [
        pytest.param("/x/%7Eme", "/x/~me", id="sign that needs no code"),
        pytest.param("/x/%41", "/x/A", id="letter"),
        pytest.param("/x/caf%c3%a9", "/x/caf%C3%A9", id="small letters"),
        pytest.param("/x/a%2Fb", "/x/a/b", id="slash"),
        pytest.param("/x/a%5cb", "/x/a%5Cb", id="backslash"),
        pytest.param("/x/%3Aa%40", "/x/:a@", id="colon and at sign"),
        pytest.param("/x/a%3fb%23c", "/x/a%3Fb%23c", id="question mark and hash"),
        pytest.param("/x/a%22%3c", "/x/a%22%3C", id="signs of HTML"),
    ],
)
@rows("mount", MOUNTS)
def test_path_spelled_otherwise_comes_back_as_the_same_path(
    apps: dict[str, Flask], expired: dict[str, str], mount: str, asked: str, back: str
) -> None:
    assert unquote(asked) == unquote(back)
    for query in ("", "?q=%7E%c3%a9%2f%2F"):
        for location, name in (
            (ask(mount, apps["redirect"], asked + query, expired).location, "redirectBack"),
            (ask(mount, apps["inline"], asked + query, {}).location, "redirectToPath"),
        ):
            assert location is not None
            assert in_query(location, name) == PREFIXES[mount] + back + query


@rows("asked", ["/x/latin%E9", "/x/%FF%FE", "/x/%ED%A0%80"])
def test_path_that_is_not_utf_8_comes_back_as_the_app_saw_it(
    apps: dict[str, Flask], expired: dict[str, str], asked: str
) -> None:
    location = ask("root", apps["redirect"], asked, expired).headers["Location"]
    assert unquote(in_query(location, "redirectBack")) == unquote(asked, errors="replace")


@rows("mount", [mount for mount in MOUNTS if mount != "root"])
def test_mounted_app_knows_its_own_pages_by_their_mounted_paths(
    apps: dict[str, Flask], mount: str
) -> None:
    prefix = PREFIXES[mount]

    def redirect_to(raw: str) -> str:
        page = ask(mount, apps["inline"], f"{REFRESH}?redirectBack={quote(raw, safe='')}", {})
        return attribute(page.text, "data-return-to")

    for nested in (REFRESH, f"{REFRESH}/", f"{REFRESH}?redirectBack=/x", "/%72efresh-session"):
        assert redirect_to(prefix + nested) == "/"
    for other in (REFRESH, f"{prefix}{prefix}{REFRESH}", f"{prefix}/x{REFRESH}"):
        assert redirect_to(other) == other
    # The sign-in path of the setting starts at the root of the host.
    assert redirect_to(SIGN_IN) == "/"
    assert redirect_to(prefix + SIGN_IN) == prefix + SIGN_IN


@rows("spelled", ["/shop//refresh-session", "/shop///refresh-session", "/shop/%2Frefresh-session"])
def test_doubled_slash_is_no_other_name_for_our_refresh_page(
    apps: dict[str, Flask], spelled: str
) -> None:
    # Twin: for the router it is a path of this app.
    routed = ask("script name", apps["inline"], unquote(spelled).removeprefix("/shop"), {})
    assert page_shown(routed) == "refresh"
    page = ask("script name", apps["inline"], f"{REFRESH}?redirectBack={quote(spelled)}", {})
    assert attribute(page.text, "data-return-to") == "/"


# --- over real servers ---------------------------------------------------------------------------


@contextmanager
def _werkzeug() -> Iterator[int]:
    server = make_server("127.0.0.1", 0, served_app("redirect"))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def _gunicorn(*options: str, mount: str = "") -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "gunicorn", "--workers=1", "--log-level=error", *options),
            f"--bind=fd://{listener.fileno()}",
            "tests.return_paths:served_app('redirect')",
        ],
        cwd=ROOT,
        env=os.environ | {"SCRIPT_NAME": mount},
        pass_fds=[listener.fileno()],
    )
    listener.close()
    try:
        yield port
    finally:
        process.terminate()
        process.wait(10)


@pytest.fixture(scope="module", params=["werkzeug", "gunicorn", "mounted gunicorn"])
def server(request: pytest.FixtureRequest) -> Iterator[tuple[int, str]]:
    """The port of a server, and where it mounts the app."""
    name: str = request.param
    mount = "/shop" if "mounted" in name else ""
    with (
        _werkzeug()
        if name == "werkzeug"
        # The way to the refresh page is longer than the address it leads back to.
        else _gunicorn("--limit-request-line=0", mount=mount)
    ) as port:
        yield port, mount


def over_the_wire(port: int, address: str, *, is_stranger: bool = False) -> tuple[int, str, str]:
    """Ask for *address* as it is; return status, the place that the answer leads to, and its text.

    A token that does not verify needs no key here, and leads to the refresh page as well.
    """
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        cookie = {} if is_stranger else {"Cookie": "sAccessToken=junk"}
        connection.request("GET", address, headers=PAGE | cookie)
        response = connection.getresponse()
        return response.status, response.headers.get("Location", ""), response.read().decode()


@rows("address", LEGITIMATE.values(), ids=LEGITIMATE)
def test_real_server_leads_back_byte_for_byte(server: tuple[int, str], address: str) -> None:
    port, mount = server
    asked = mount + address
    status, to_refresh, _ = over_the_wire(port, asked)
    assert (status, urlsplit(to_refresh).path) == (302, mount + REFRESH)
    assert in_query(to_refresh, "redirectBack") == asked
    status, _, page = over_the_wire(port, to_refresh)
    assert (status, attribute(page, "data-return-to")) == (200, asked)
    status, to_sign_in, _ = over_the_wire(port, asked, is_stranger=True)
    assert (status, in_query(to_sign_in, "redirectToPath")) == (302, asked)


@rows(
    ("address", "status", "back"),
    [
        # The router merges several slashes, and redirects to a path of this app.
        pytest.param("/x//evil.example", 308, None, id="two slashes"),
        pytest.param("/x/..%2f..%2f%2fevil.example", 302, "/", id="dots, encoded slashes"),
        pytest.param("/x/../evil.example", 302, "/", id="dots"),
        pytest.param("/x/%2e%2e%2fevil.example", 302, "/", id="encoded dots"),
        pytest.param("/x/a%09b", 302, "/", id="tabulator"),
        pytest.param("/x/a%0d%0aSet-Cookie:a=b", 404, None, id="header"),
        pytest.param("/x/%5c%5cevil.example", 302, "/x/%5C%5Cevil.example", id="backslashes"),
    ],
)
def test_hostile_address_leads_nowhere_else(
    server: tuple[int, str], address: str, status: int, back: str | None
) -> None:
    """What stands in the first line of a request, not in a parameter."""
    port, mount = server
    answered, location, _ = over_the_wire(port, mount + address)
    assert answered == status
    if back is None:
        assert urlsplit(location).hostname in (None, "127.0.0.1")
    else:
        assert in_query(location, "redirectBack") == (mount + back if back != "/" else back)


def test_address_that_a_server_just_takes_is_not_lost_on_the_way_to_the_refresh_page() -> None:
    address = "/x/a?" + "&".join(f"k{number}=%C3%A9+{number}" for number in range(200))
    assert 2500 < len(address) < 4000
    with _gunicorn() as port:
        status, location, page = over_the_wire(port, address)
        if status == 302:
            status, _, page = over_the_wire(port, location)
        assert status == 200
        assert address in unescape(page)
        # Without a session: to sign-in, without a return path. No view serves it here.
        status, location, _ = over_the_wire(port, address, is_stranger=True)
        assert (status, location) == (302, SIGN_IN)
        assert over_the_wire(port, location, is_stranger=True)[0] == 404
