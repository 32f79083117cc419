"""One break at a time: a single finding names it, and says what to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner
from flask import Flask
from flask.cli import NoAppException, ScriptInfo

from flask_ssr_session.doctor import probes
from flask_ssr_session.doctor.command import doctor
from flask_ssr_session.doctor.routes_command import routes
from flask_ssr_session.errors import CertificateError
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.fetch import FetchedResponse
from tests.clocks import SteppedClock
from tests.tables import rows

from .factories import NOW, PAGES, Network, pages_app, reply, run
from .test_check_keys import date

Serve = Callable[[str], FetchedResponse]
REFRESH = f"{PAGES}/auth/session/refresh"
NO_SESSION = {"message": "unauthorised"}
CLEARED = ("sAccessToken=; Path=/; Secure", "sRefreshToken=; Path=/auth/session/refresh; Secure")
SIGNED_OUT: dict[str, Any] = {"status": 401, "front_token": "remove", "Set_Cookie": CLEARED}
API = "problem refresh_api the refresh API at www.example.com, below /auth, "
REMOVED = f"{API}responds, but something on the way removes {{}} from its responses"
UNTRUSTED = CertificateError("this process does not trust its certificate: self-signed certificate")


def fail(_serve: Serve, _url: str) -> FetchedResponse:
    raise UNTRUSTED


def api_says(body: Any = NO_SESSION, **changes: Any) -> Callable[[Serve, str], FetchedResponse]:
    """Return a proxy that replaces the API's response."""
    said = reply(body, **SIGNED_OUT | changes)
    return lambda serve, url: said if url == REFRESH else serve(url)


def pages_say(answer: FetchedResponse) -> Callable[[Serve, str], FetchedResponse]:
    return lambda serve, url: answer if "/refresh-session" in url else serve(url)


def late(serve: Serve, url: str) -> FetchedResponse:
    answer = serve(url)
    answer.headers["Date"] = date(-61)["Date"]
    return answer


def proxied(change: Callable[[str], str]) -> Callable[[Serve, str], FetchedResponse]:
    return lambda serve, url: serve(change(url))


NOT_RUNNING = "does not run or cannot be reached"
PAGES_DOWN = f"problem refresh_page the site at www.example.com {NOT_RUNNING}"
NO_QUERY = "problem refresh_page the query of a URL does not reach the app…-> make the proxy pass"
NOT_THEIRS = f"{API}does not respond as SuperTokens does (status 401)"
SIGN_IN = "<script src=/supertokens.js></script>"
BARE: dict[str, Any] = {"front_token": (), "Set_Cookie": ()}

BREAKS: dict[str, Any] = {
    "nothing is broken": (proxied(str), ""),
    "the app is down": (lambda *_: reply(status=502), f"{API}does not run or cannot be…502"),
    "the app is too slow": (lambda *_: reply(status=504), f"{API}does not run or…(status 504)"),
    "no server is left": (lambda *_: reply(status=503), f"{API}is not available (status 503)"),
    "Cloudflare reaches no server": (lambda *_: reply(status=521), f"{API}does not run or"),
    "only pages are down": (pages_say(reply(status=502)), PAGES_DOWN),
    "the certificate is not trusted": (fail, f"{API}is running, but this process does not tr"),
    "front-token is removed": (api_says(front_token=()), REMOVED.format("front-token")),
    "Set-Cookie is removed, too": (api_says(**BARE), REMOVED.format("front-token and Set-Cookie")),
    "something else responds with 401": (api_says({"message": "no"}, **BARE), NOT_THEIRS),
    "the query is dropped": (proxied(lambda url: url.partition("?")[0]), NO_QUERY),
    "the clock of the site is behind": (late, "problem clock the clock of the site is 61 s beh"),
}


@rows("proxy, expected", BREAKS)
def test_one_break_on_the_way_is_one_finding(
    proxy: Callable[[Serve, str], FetchedResponse], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"jwks": {"keys": [SessionSigner("s-1").jwk()]}}
    app = pages_app(api_domain=PAGES, **settings)
    app.extensions["ssr_session"].clock = SteppedClock(wall=NOW)
    app.add_url_rule("/auth", "sign_in", lambda: SIGN_IN)
    app.add_url_rule("/auth/jwt/jwks.json", "keys", lambda: settings["jwks"])

    def serve(url: str) -> FetchedResponse:
        if url == REFRESH:
            return reply(NO_SESSION, **SIGNED_OUT)
        answer = app.test_client().get(url, headers=dict(probes.PAGE_HEADERS))
        named = {name.replace("-", "_"): value for name, value in answer.headers}
        return reply(answer.data, answer.status_code, **named)

    class Proxy(Network):
        def request(self, _method: str, url: str, *_: object) -> FetchedResponse:
            return proxy(serve, url)

    monkeypatch.setattr(probes, "request", Proxy().request)
    *lines, _ = run(app, "--url", PAGES).stdout.splitlines()
    found = [" ".join(line.split()) for line in lines if not line.startswith("ok")]
    start, _, more = expected.partition("…")
    assert len(found) == bool(expected), found
    assert all(line.startswith(start) and more in line and " -> " in line for line in found), found


def raised(error: Exception) -> Callable[[], Flask]:
    def create_app() -> Flask:
        raise error

    return create_app


WRONG_FOLDER = "Could not locate a Flask application. Use the 'flask --app' option."
IMPORT = "While importing 'x', an ImportError was raised:\n\nTraceback: …\nImportError: No module y"
NO_MODULE = "app the app cannot be imported: ImportError: No module y -> install what is missing"
WRONG_VALUE = "setup refresh_flow must be either inline or redirect, for example inline. -> fix"
FAILS = "app the app fails while it is created: "
AT_THIS_LINE = f"JSONDecodeError at {__file__}:"
AT_LINE_1 = "SyntaxError at shop.py:1 -> fix this f"
NO_SYNTAX = partial(compile, "secret = = 1", "shop.py", "exec")

CREATED: dict[str, Any] = {
    "the wrong folder": (raised(NoAppException(WRONG_FOLDER)), "app flask finds no app: Could"),
    "a missing module": (raised(NoAppException(IMPORT)), NO_MODULE),
    "another app": (lambda: Flask("shop"), "app the app 'shop' does not use flask_ssr_session"),
    "a wrong value": (lambda: pages_app(refresh_flow="secret"), WRONG_VALUE),
    "an error of the app": (lambda: json.loads("secret"), f"{FAILS}{AT_THIS_LINE}"),
    "an error of Python": (lambda: NO_SYNTAX(), f"{FAILS}{AT_LINE_1}"),
}


@rows("create_app, expected", CREATED)
@pytest.mark.parametrize("arguments", [[], ["--token", "-"]])
def test_app_that_cannot_be_checked_is_one_line(
    create_app: Callable[..., Any], expected: str, arguments: list[str]
) -> None:
    script = ScriptInfo(create_app=create_app, set_debug_flag=False)
    listed = CliRunner().invoke(routes, obj=script)
    result = CliRunner().invoke(doctor, arguments, obj=script)
    line, counts = result.stdout.splitlines()
    assert " ".join(line.split()).startswith(f"problem {expected}")
    assert (result.exit_code, counts) == (1, "0 ok, 0 warnings, 1 problem")
    assert "secret" not in result.output + listed.output
    (error,) = listed.output.splitlines()
    assert error.startswith(f"Error: {expected.partition(' ')[2]}")
    assert (listed.exit_code, "ssr-session doctor" in listed.output) == (1, False)
