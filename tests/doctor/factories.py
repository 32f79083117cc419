"""A faultless environment, server responses and a network, for the tests of the doctor."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from email.message import Message
from types import NoneType
from typing import Any

from click.testing import Result
from flask import Flask

from flask_ssr_session import FlaskSSRSession
from flask_ssr_session.app_state import AppState
from flask_ssr_session.config.resolved import ResolvedSettings, SDKSettings
from flask_ssr_session.config.sdk import SDKCookieSettings
from flask_ssr_session.config.settings import Settings
from flask_ssr_session.doctor.claim_setup import ClaimSetup
from flask_ssr_session.doctor.environment import Environment
from flask_ssr_session.doctor.finding import Finding, Level
from flask_ssr_session.doctor.hosts import is_top_level
from flask_ssr_session.doctor.probes import Answer, ProbeResult
from flask_ssr_session.errors import FetchError
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.fetch import FetchedResponse
from tests.tables import rows

NOW = 1_700_000_000.0
API = "https://api.example.com"
PAGES = "https://www.example.com"
DOWN = FetchError("no complete answer in time")

SDK = SDKSettings(
    api_domain=API,
    api_base_path="/auth",
    website_origin=PAGES,
    website_base_path="/auth",
    cookie_domain=".example.com",
    dynamic_signing_key=True,
    session_expired_status=401,
    key_uris=("http://core:3567/.well-known/jwks.json",),
    core_headers={"cdi-version": "5.4"},
)
COOKIES = SDKCookieSettings(secure=True, same_site="lax", older_domain="")

CLAIMS = ClaimSetup(added=("st-ev", "st-mfa"))
PROBED = {
    **dict.fromkeys(("key_servers", "cores"), "http://user:secret@core-{}:3567/secret"),
    **dict.fromkeys(("refresh_api", "preflight", "api_key_set"), API),
    **dict.fromkeys(("refresh_page", "repeated_page"), f"{PAGES}/refresh-session"),
    "script": f"{PAGES}/ssr.js",
    "sign_in": f"{PAGES}/auth",
}

Check = Callable[[Environment], Iterator[Finding]]
# One finding, or several in their order: the beginning of each line of output; "…" is any text.
Expected = str | tuple[str, ...]


def make_environment(
    *,
    site: str | None = PAGES,
    sdk: dict[str, Any] | None = None,
    cookies: dict[str, Any] | None = None,
    version: str | None = "0.31.4",
    has_sdk_middleware: bool = True,
    static_kids: Collection[str] = (),
    has_sdk: bool = True,
    claims: dict[str, Any] | None = None,
    **settings: Any,
) -> Environment:
    """Return an offline environment without a fault, except for the given values.

    :param has_sdk: False for a page process without the SDK.
    :param settings: of the app; also answers to probes, by the name of the probe.
    """
    probes = {name: settings.pop(name) for name in PROBED if name in settings}
    values = SDK.replace(**sdk or {}) if has_sdk else None
    if not has_sdk:
        settings = {"api_domain": API, "cookie_domain": ".example.com", **settings}
    state = AppState(Flask("doctor"), Settings())
    state.settings = Settings.from_mappings({}, settings)
    environment = Environment(
        state=state,
        resolved=ResolvedSettings.resolve(state.settings, values),
        sdk=values,
        cookies=COOKIES.replace(**cookies or {}) if has_sdk else None,
        sdk_version=version,
        has_sdk_middleware=has_sdk_middleware and has_sdk,
        front_page=site,
        static_kids=frozenset(static_kids),
        is_public_suffix=lambda domain: is_top_level(domain) or domain == "co.uk",
        is_offline=True,
    )
    for name, answer in probes.items():
        url = PROBED[name]
        if isinstance(answer, tuple):
            several = [result(url.format(n), each) for n, each in enumerate(answer)]
            vars(environment)[name] = tuple(several)
        else:
            vars(environment)[name] = None if answer is None else result(url, answer)
    if claims is not None:
        vars(environment)["claims"] = replace(CLAIMS, **claims)
    return environment


def table(check: Check, table: Mapping[str, Any], probe: str = "", **common: Any) -> Any:
    """Return a test of *check*; a row has the changes of the environment, and the findings.

    :param probe: a row may have the answer to this probe in place of the changes.
    :param common: changes of every row.
    """

    @rows("changes, expected", table)
    def test(changes: Any, expected: Expected) -> None:
        changes = changes if isinstance(changes, dict) else {probe: changes}
        assert_findings(check(make_environment(**common | changes)), expected)

    return test


def result(url: str, answer: Answer | str) -> ProbeResult:
    """Return the result of a probe.

    :param answer: or the ids of the keys in a key set, separated by spaces.
    """
    if isinstance(answer, str):
        answer = keys(*answer.split())
    return ProbeResult(url, answer, NOW)


def reply(
    body: bytes | str | dict[str, Any] = b"", status: int = 200, **headers: str | tuple[str, ...]
) -> FetchedResponse:
    """Return a response; a header with several values gets a line for each."""
    message = Message()
    for name, values in headers.items():
        for value in (values,) if isinstance(values, str) else values:
            message[name.replace("_", "-")] = value
    if isinstance(body, dict):
        body = json.dumps(body)
    data = body.encode() if isinstance(body, str) else body
    return FetchedResponse(status=status, headers=message, body=data)


def keys(*kids: str, **headers: Any) -> FetchedResponse:
    return reply({"keys": [SessionSigner(kid).jwk() for kid in kids]}, **headers)


def assert_findings(findings: Iterable[Finding], expected: Expected) -> None:
    """Check that *findings* are exactly *expected*, that only faults have advice, and no secret."""
    lines = []
    for finding in findings:
        assert finding.message
        assert bool(finding.advice) is (finding.level is not Level.OK), finding
        assert "secret" not in repr(finding)
        line = f"{finding.level.value} {finding.check} {finding.message}"
        lines.append(line + (f" -> {finding.advice}" if finding.advice else ""))
    wanted = [expected] * bool(expected) if isinstance(expected, str) else [*expected]
    assert len(lines) == len(wanted), lines
    for line, text in zip(lines, wanted, strict=True):
        pattern = ".*".join(map(re.escape, text.split("…")))
        assert re.match(pattern, line, re.DOTALL), f"{line!r} is not {text!r}"


class Network:
    """Answers the doctor's requests, and remembers them as ``METHOD url``."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.headers: dict[str, Mapping[str, str]] = {}

    def request(
        self, method: str, url: str, _deadline: object, headers: Mapping[str, str]
    ) -> FetchedResponse:
        self.requests.append(f"{method} {url}")
        self.headers[f"{method} {url}"] = headers
        answer = self.answers.get(f"{method} {url}", DOWN)
        if isinstance(answer, FetchError):
            raise answer
        return answer


def pages_app(**settings: Any) -> Flask:
    """Return an app that serves pages only; its API is another process."""
    app = Flask("pages_app")
    FlaskSSRSession(app, **{"api_domain": API, **settings})
    return app


def run(app: Flask, *arguments: str, **options: Any) -> Result:
    """Run the doctor on an app, and check that it does not fail itself."""
    result = app.test_cli_runner().invoke(args=["ssr-session", "doctor", *arguments], **options)
    assert isinstance(result.exception, (SystemExit, NoneType)), result.exception
    return result


def line(result: Result, check: str) -> str:
    """Return the only line of a check, without the spaces that align it."""
    found = [row for row in result.stdout.splitlines() if row.split()[1:2] == [check]]
    assert len(found) == 1, result.output
    return " ".join(found[0].split())


def checks_run(result: Result) -> set[str]:
    return {row.split()[1] for row in result.stdout.splitlines()[:-1]}
