"""A faultless environment and server responses, for the tests of the doctor's checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from email.message import Message
from typing import Any

from flask import Flask

from flask_ssr_session.app_state import AppState
from flask_ssr_session.config.resolved import ResolvedSettings, SDKSettings
from flask_ssr_session.config.sdk import SDKCookieSettings
from flask_ssr_session.config.settings import Settings
from flask_ssr_session.doctor.environment import Environment
from flask_ssr_session.doctor.finding import Finding, Level
from flask_ssr_session.doctor.hosts import is_top_level
from flask_ssr_session.doctor.probes import Answer, ProbeResult
from flask_ssr_session.errors import FetchError
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.fetch import FetchedResponse

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
)
COOKIES = SDKCookieSettings(secure=True, same_site="lax", older_domain="")

Check = Callable[[Environment], Iterator[Finding]]


def make_environment(
    *,
    site: str | None = PAGES,
    sdk: dict[str, Any] | None = None,
    cookies: dict[str, Any] | None = None,
    version: str | None = "0.31.4",
    has_sdk_middleware: bool = True,
    public_suffixes: tuple[str, ...] = ("co.uk",),
    static_kids: Collection[str] = (),
    **settings: Any,
) -> Environment:
    """Return an offline environment without a fault, except for the given values."""
    values = replace(SDK, **sdk or {})
    state = _state(settings)
    return Environment(
        state=state,
        resolved=ResolvedSettings.resolve(state.settings, values),
        sdk=values,
        cookies=COOKIES._replace(**cookies or {}),
        sdk_version=version,
        has_sdk_middleware=has_sdk_middleware,
        front_page=site,
        static_kids=frozenset(static_kids),
        is_public_suffix=lambda domain: is_top_level(domain) or domain in public_suffixes,
        is_offline=True,
    )


def environment_without_sdk(
    site: str | None = PAGES, static_kids: Collection[str] = ()
) -> Environment:
    """Return the offline environment of a page process without the SDK."""
    state = _state({"api_domain": API, "cookie_domain": ".example.com"})
    return Environment(
        state=state,
        resolved=ResolvedSettings.resolve(state.settings, None),
        sdk_version="0.31.4",
        front_page=site,
        static_kids=frozenset(static_kids),
        is_offline=True,
    )


def _state(settings: dict[str, Any]) -> AppState:
    state = AppState(Flask("doctor"), Settings())
    state.settings = Settings.from_mappings({}, settings)
    return state


def given(environment: Environment, **probes: Any) -> Environment:
    """Return *environment* with the results of these probes."""
    vars(environment).update(probes)
    return environment


def result(url: str, answer: Answer) -> ProbeResult:
    return ProbeResult(url, answer, NOW)


def findings_of(environment: Environment, *checks: Check) -> list[Finding]:
    return [finding for check in checks for finding in check(environment)]


def problems(findings: Iterable[Finding]) -> list[str]:
    """Return the warnings and problems, as ``level check``."""
    return [f"{f.level.value} {f.check}" for f in findings if f.level is not Level.OK]


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
    return FetchedResponse(status, message, body.encode() if isinstance(body, str) else body)


def keys(*kids: str, **headers: Any) -> FetchedResponse:
    return reply({"keys": [SessionSigner(kid).jwk() for kid in kids]}, **headers)
