"""Return paths over real servers, which pass on the first line of a request in their own ways."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask
from werkzeug.serving import make_server

from flask_ssr_session import FlaskSSRSession, session_required
from flask_ssr_session.testing import SessionSigner
from tests.app.test_return_paths import attribute, in_query
from tests.browser_requests import PAGE
from tests.return_paths import LEGITIMATE, REFRESH, SIGN_IN

from .support import serve

APP = "tests.servers.test_return_paths:served_app()"


def served_app() -> Flask:
    """Return an app that requires a session below ``/x/``; for a server to import."""
    app = Flask(__name__)
    keys = {"keys": [SessionSigner().jwk()]}
    FlaskSSRSession(app, api_domain="https://api.example.com", jwks=keys, refresh_flow="redirect")
    app.add_url_rule("/x/<path:rest>", "x", session_required(lambda rest: rest))
    return app


@pytest.fixture(scope="module", params=["werkzeug", "gunicorn", "mounted gunicorn"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[int, str]]:
    """The port of a server, and where it mounts the app."""
    if request.param != "werkzeug":
        mount = "/shop" if "mounted" in request.param else ""
        # The way to the refresh page is longer than the address it leads back to.
        options, folder = ["--limit-request-line=0"], tmp_path_factory.mktemp("server")
        with serve(folder, None, *options, app=APP, SCRIPT_NAME=mount) as gunicorn:
            yield gunicorn.port, mount
        return
    werkzeug = make_server("127.0.0.1", 0, served_app())
    thread = threading.Thread(target=werkzeug.serve_forever)
    thread.start()
    yield werkzeug.server_port, ""
    werkzeug.shutdown()
    thread.join()
    werkzeug.server_close()


def over_the_wire(port: int, address: str, *, is_stranger: bool = False) -> tuple[int, str, str]:
    """Ask for *address* as it is; return status, the place that the answer leads to, and its text.

    A token that does not verify needs no key here, and leads to the refresh page as well.
    """
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        cookie = {} if is_stranger else {"Cookie": "sAccessToken=junk"}
        connection.request("GET", address, headers=PAGE | cookie)
        response = connection.getresponse()
        return response.status, response.headers.get("Location", ""), response.read().decode()


def test_real_server_leads_back_byte_for_byte(server: tuple[int, str]) -> None:
    port, mount = server
    for name, address in LEGITIMATE.items():
        asked = mount + address
        status, to_refresh, _ = over_the_wire(port, asked)
        assert (status, urlsplit(to_refresh).path) == (302, mount + REFRESH), name
        assert in_query(to_refresh, "redirectBack") == asked, name
        status, _, page = over_the_wire(port, to_refresh)
        assert (status, attribute(page, "data-return-to")) == (200, asked), name
        status, to_sign_in, _ = over_the_wire(port, asked, is_stranger=True)
        assert (status, in_query(to_sign_in, "redirectToPath")) == (302, asked), name


# Addresses in the first line of a request, the status, and where the refresh page leads.
HOSTILE_ADDRESSES = {
    # The router merges several slashes, and redirects to a path of this app.
    "two slashes": ("/x//evil.example", 308, None),
    "dots, encoded slashes": ("/x/..%2f..%2f%2fevil.example", 302, "/"),
    "dots": ("/x/../evil.example", 302, "/"),
    "encoded dots": ("/x/%2e%2e%2fevil.example", 302, "/"),
    "a tabulator": ("/x/a%09b", 302, "/"),
    "a header": ("/x/a%0d%0aSet-Cookie:a=b", 404, None),
    "backslashes": ("/x/%5c%5cevil.example", 302, "/x/%5C%5Cevil.example"),
}


def test_hostile_address_leads_nowhere_else(server: tuple[int, str]) -> None:
    port, mount = server
    for name, (address, expected, back) in HOSTILE_ADDRESSES.items():
        status, location, _ = over_the_wire(port, mount + address)
        assert status == expected, name
        if back is None:
            assert urlsplit(location).hostname in (None, "127.0.0.1"), name
        else:
            led = in_query(location, "redirectBack")
            assert led == (mount + back if back != "/" else back), name


def test_address_that_a_server_just_takes_is_not_lost_on_the_way(tmp_path: Path) -> None:
    address = "/x/a?" + "&".join(f"k{number}=%C3%A9+{number}" for number in range(200))
    assert 2500 < len(address) < 4000
    with serve(tmp_path, None, app=APP) as gunicorn:
        status, location, page = over_the_wire(gunicorn.port, address)
        if status == 302:
            status, _, page = over_the_wire(gunicorn.port, location)
        assert status == 200
        assert address in unescape(page)
        # Without a session: to sign-in, without a return path. No view serves it here.
        status, location, _ = over_the_wire(gunicorn.port, address, is_stranger=True)
        assert (status, location) == (302, SIGN_IN)
        assert over_the_wire(gunicorn.port, location, is_stranger=True)[0] == 404
