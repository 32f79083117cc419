"""A setup without a fault, and answers, for the tests of what the doctor makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from email.message import Message
from typing import Any

from flask_ssr_session.config.sdk import SDKCookieSettings
from flask_ssr_session.config.settings import ResolvedSettings, SDKSettings, Settings
from flask_ssr_session.doctor.finding import Environment, Finding, Level, is_top_level
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


def setup(
    *,
    site: str | None = PAGES,
    sdk: dict[str, Any] | None = None,
    cookies: dict[str, Any] | None = None,
    version: str | None = "0.31.4",
    answers_api: bool = True,
    public_suffixes: tuple[str, ...] = ("co.uk",),
    **settings: Any,
) -> Environment:
    """Return a setup without a fault, but for what is said otherwise."""
    values = replace(SDK, **sdk or {})
    checked = Settings.from_mappings({}, settings)
    return Environment(
        settings=checked,
        deployment=ResolvedSettings.of(checked, values),
        sdk=values,
        cookies=COOKIES._replace(**cookies or {}),
        sdk_version=version,
        answers_api=answers_api,
        site=site,
        is_public_suffix=lambda domain: is_top_level(domain) or domain in public_suffixes,
    )


def pages_alone(**settings: Any) -> Environment:
    """Return what a process of pages knows, without the SDK."""
    checked = Settings.from_mappings({}, {"api_domain": API, "cookie_domain": ".example.com"})
    return Environment(
        checked,
        ResolvedSettings.of(checked, None),
        sdk_version="0.31.4",
        **{"site": PAGES, **settings},
    )


def problems(findings: Iterable[Finding]) -> list[str]:
    """Return what is wrong, as ``level check``."""
    return [f"{f.level.value} {f.check}" for f in findings if f.level is not Level.OK]


def reply(
    body: bytes | str | dict[str, Any] = b"", status: int = 200, **headers: str | tuple[str, ...]
) -> FetchedResponse:
    """Return an answer; of a header with several values, there is one line for each."""
    message = Message()
    for name, values in headers.items():
        for value in (values,) if isinstance(values, str) else values:
            message[name.replace("_", "-")] = value
    if isinstance(body, dict):
        body = json.dumps(body)
    return FetchedResponse(status, message, body.encode() if isinstance(body, str) else body)


def keys(*kids: str, **headers: Any) -> FetchedResponse:
    return reply({"keys": [SessionSigner(kid).jwk() for kid in kids]}, **headers)
