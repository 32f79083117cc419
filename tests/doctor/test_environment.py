"""Which requests the doctor sends, and where; a network without machines answers."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, g

from flask_ssr_session.doctor import environment, probes
from flask_ssr_session.doctor.check_pages import check_sign_in
from flask_ssr_session.doctor.environment import read_environment
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.fetch import FetchedResponse
from tests.clocks import SteppedClock
from tests.tables import rows

from . import factories
from .factories import API, NOW, PAGES, SDK, Network, checks_run, keys, line, pages_app, reply, run
from .test_check_pages import PAGE

CORE = "http://core:3567"
PAGE_AT = f"GET {PAGES}/refresh-session?redirectBack=/flask-ssr-session-doctor"
SCRIPT = f"GET {PAGES}/refresh-session/ssr-session-0b.js"
KEYS, API_KEYS = f"GET {CORE}/.well-known/jwks.json", f"GET {API}/auth/jwt/jwks.json"
REFRESH, PREFLIGHT = f"POST {API}/auth/session/refresh", f"OPTIONS {API}/auth/session/refresh"
QUERY = f"GET {CORE}/recipe/session?sessionHandle=flask-ssr-session-doctor"
SIGN_IN, APART = f"GET {PAGES}/auth", "https://www.example.net"


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    network = Network()
    monkeypatch.setattr(probes, "request", network.request)
    page = reply(PAGE, Cache_Control="no-store", Content_Type="text/html")
    network.answers = {
        KEYS: keys("d-1"),
        API_KEYS: keys("d-1"),
        REFRESH: reply(status=401, front_token="remove", Date="Tue, 14 Nov 2023 22:13:20 GMT"),
        PAGE_AT: page,
        SIGN_IN: reply(),
        PAGE_AT.replace(PAGES, APART): page,
    }
    return network


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulate an SDK whose core requires an API key."""
    values = vars(SDK) | {"core_headers": {"api-key": "key-of-ada"}}
    values["session_uris"] = (f"{CORE}/recipe/session",)
    monkeypatch.setattr(environment, "read_sdk", lambda: type(SDK)(**values))
    monkeypatch.setattr(environment, "read_cookie_settings", lambda: factories.COOKIES)


def app_at(seconds: float, **settings: Any) -> Flask:
    """Return an app whose clock is *seconds* ahead of the network's."""
    app = pages_app(**settings)
    app.extensions["ssr_session"].clock = SteppedClock(wall=NOW + seconds)
    return app


@pytest.mark.usefixtures("sdk")
def test_every_server_is_asked_as_a_browser_without_cookies(network: Network) -> None:
    result = run(app_at(0))
    asked = [KEYS, QUERY, REFRESH, PREFLIGHT, API_KEYS, PAGE_AT, PAGE_AT, SCRIPT, SIGN_IN]
    assert network.requests == asked
    shown_to = [url for url, headers in network.headers.items() if "key-of-ada" in repr(headers)]
    assert shown_to == [QUERY]
    assert "key-of-ada" not in result.output
    assert not [url for url, headers in network.headers.items() if "Cookie" in headers]
    assert network.headers[REFRESH]["Origin"] == network.headers[PREFLIGHT]["Origin"] == PAGES
    assert network.headers[REFRESH]["st-auth-mode"] == "cookie"
    assert network.headers[PREFLIGHT]["Access-Control-Request-Method"] == "POST"
    assert network.headers[PAGE_AT]["Sec-Fetch-Dest"] == "document"


AT_APART = [each.replace(PAGES, APART) for each in (PAGE_AT, PAGE_AT, SCRIPT, SIGN_IN)]
REST = PREFLIGHT, PAGE_AT, PAGE_AT, SCRIPT, SIGN_IN
STATIC = {"jwks": {"keys": [SessionSigner("s-1").jwk()]}}

ASKED: dict[str, Any] = {
    "keys come from the API": ({}, (), [API_KEYS, REFRESH]),
    "keys come with the settings": (STATIC, (), [REFRESH, API_KEYS]),
    "nothing is asked offline": (STATIC, ("--offline", "--url", APART), []),
    "the site is asked if it is known": ({}, ("--url", PAGES), [API_KEYS, REFRESH, *REST]),
    "a site apart needs no preflight": ({}, ("--url", APART), [API_KEYS, REFRESH, *AT_APART]),
}


@rows("settings, arguments, expected", ASKED)
def test_process_without_an_sdk_asks_no_core(
    network: Network, settings: dict[str, Any], arguments: tuple[str, ...], expected: list[str]
) -> None:
    result = run(app_at(0, **settings), *arguments)
    assert network.requests == expected
    assert "core" not in checks_run(result)
    assert ("csp" in checks_run(result)) is (PAGES in arguments)


FAILING = {"claim_pages": {"user": "welcome"}}

HERE: dict[str, Any] = {
    "both are asked": (True, {}, [KEYS, QUERY, REFRESH]),
    "neither is": (True, FAILING, [KEYS, QUERY]),
    "the API of another process": (False, FAILING, [KEYS, QUERY, REFRESH]),
}


@pytest.mark.usefixtures("sdk")
@rows("serves_api, settings, first", HERE)
def test_api_of_an_app_that_fails_is_not_asked(
    network: Network, serves_api: bool, settings: Any, first: list[str]
) -> None:
    app = app_at(0, **settings)
    if serves_api:
        app.before_request(middleware)
    result = run(app)
    assert network.requests[:3] == first
    assert ("templates" in checks_run(result)) is ("refresh_page" in checks_run(result))
    assert ("refresh_page" in checks_run(result)) is (settings == {})


def middleware() -> None:
    pass


middleware.__module__ = "supertokens_python.framework.flask"


def test_site_that_does_not_respond_is_asked_for_nothing_else(network: Network) -> None:
    del network.answers[PAGE_AT]
    result = run(app_at(0), "--url", PAGES)
    assert "nothing responds at www.example.com" in line(result, "refresh_page")
    assert network.requests[-1] == PAGE_AT
    assert not {"script", "sign_in", "csp"} & checks_run(result)


def to(location: str) -> FetchedResponse:
    return reply(status=302, Location=location)


TWICE = {"/enter": to("/auth/"), "/auth/": to("/a")}
AWAY = {"/auth": to("https://id.example.net/")}

SIGN_INS: dict[str, Any] = {
    "a page": ("/auth", {}, ["/auth"]),
    "a page by a function": (lambda asked: f"/in?{asked.host}", {}, ["/in?www.example.com"]),
    "a page that redirects": ("/auth", {"/auth": to("/auth/")}, ["/auth", "/auth/"]),
    "a page that redirects twice": ("/enter", TWICE, ["/enter", "/auth/"]),
    "a page that leads elsewhere": ("/auth", AWAY, ["/auth"]),
}


@rows("login_url, answers, expected", SIGN_INS)
def test_sign_in_page_is_requested_after_one_redirect(
    network: Network, login_url: Any, answers: dict[str, Any], expected: list[str]
) -> None:
    network.answers |= {f"GET {PAGES}{path}": answer for path, answer in answers.items()}
    run(app_at(0, login_url=login_url), "--url", PAGES)
    behind = network.requests[network.requests.index(SCRIPT) + 1 :]
    assert behind == [f"GET {PAGES}{path}" for path in expected]


def test_sign_in_endpoint_gets_the_language_of_the_front_page() -> None:
    app = pages_app(login_url="in")
    app.url_value_preprocessor(lambda _endpoint, _values: setattr(g, "language", "de"))
    app.url_defaults(lambda _endpoint, values: values.setdefault("language", g.language))
    app.add_url_rule("/<language>/in", "in", lambda **_: "")
    found = read_environment(app.extensions["ssr_session"], PAGES, offline=True)
    with app.app_context():
        assert found.sign_in_url == f"{PAGES}/de/in"


NO_VIEW = "warning sign_in no view of this app serves the sign-in page…-> add a view for it, or set"

VIEWS: dict[str, Any] = {
    "a view": ("/auth", "", "/auth", ""),
    "a view with a slash": ("/auth", "", "/auth/", ""),
    "a view of another page": ("/auth", "", "/other", NO_VIEW),
    "a view below a mount point": ("/shop/auth", "/shop", "/auth", ""),
    "no view below it": ("/shop/auth", "/shop", "/shop/auth", NO_VIEW),
    "another app": ("/auth", "/shop", "/other", ""),
    "another site": ("https://id.example.net/auth", "", "/other", ""),
    "a function": (lambda _: "/auth", "", "/other", NO_VIEW),
}


@rows("login_url, mount_point, rule, expected", VIEWS)
def test_sign_in_page_needs_a_view_offline(
    login_url: Any, mount_point: str, rule: str, expected: str
) -> None:
    app = pages_app(login_url=login_url)
    app.add_url_rule(rule, "it", lambda: "")
    found = read_environment(app.extensions["ssr_session"], PAGES + mount_point, offline=True)
    with app.app_context():
        factories.assert_findings(check_sign_in(found), expected)


def test_this_machines_clock_is_the_apps(network: Network) -> None:
    network.answers[API_KEYS] = keys("d-1", Date="Tue, 14 Nov 2023 22:13:20 GMT")
    # Without an SDK, keys come from the API.
    for settings in ({}, STATIC):
        for seconds, expected in ((0, "ok clock"), (30, "warning clock"), (-300, "problem clock")):
            found = line(run(app_at(seconds, **settings)), "clock")
            assert found.startswith(expected), seconds
            assert "the API" in found


SERVER_NAMES: dict[str, Any] = {
    "a host": ("www.example.com", "https", "https://www.example.com"),
    "a host with its port": ("localhost:5000", "https", "https://localhost:5000"),
    "a host that is not ASCII": ("exämple.com", "https", None),
    "a scheme that is no page's": ("www.example.com", "ws", None),
}


@rows("server_name, scheme, site", SERVER_NAMES)
def test_server_name_gives_the_address(server_name: str, scheme: str, site: str | None) -> None:
    app = pages_app()
    app.config.update(SERVER_NAME=server_name, PREFERRED_URL_SCHEME=scheme)
    result = run(app, "--offline")
    if site is not None:
        assert line(result, "site") == f"ok site the site is at {site}, and the API at {API}"
    else:
        assert result.exit_code == 1
        assert "SERVER_NAME is not an address that browsers can open" in line(result, "server_name")
        assert line(result, "site").startswith("warning site the site's address is unknown")
        assert "server_name" not in checks_run(run(app, "--offline", "--url", PAGES))


@pytest.mark.usefixtures("sdk")
def test_mount_point_of_the_app_belongs_to_the_address(network: Network) -> None:
    app = app_at(0)
    app.config["APPLICATION_ROOT"] = "/mounted"
    run(app)
    assert PAGE_AT.replace(PAGES, f"{PAGES}/mounted") in network.requests


def test_no_secret_of_an_address_is_printed(network: Network) -> None:
    app = app_at(0)
    state = app.extensions["ssr_session"]
    # Settings reject such a value; the SDK does not.
    object.__setattr__(state.settings, "api_domain", "https://me:pass-word@api.example.com")
    for arguments in ((), ("--json",), ("--offline",)):
        result = run(app, "--url", PAGES, *arguments)
        assert result.exit_code == 1, arguments
        assert "holds user information" in result.output
        assert "pass-word" not in result.output
    assert network.requests == []
