"""Visitors of an app: their cookies and requests, and what they are shown."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeAlias

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_ssr_session import request_verdict
from flask_ssr_session.testing import core_outage, outage, sign_in
from flask_ssr_session.testing.backend import backend_of
from tests.browser_requests import PAGE
from tests.tokens import expired_token, make_token

Logs: TypeAlias = pytest.LogCaptureFixture


def cookies(*tokens: str, front: bool = True) -> dict[str, str]:
    """Return the header of a browser with these access tokens."""
    pairs = [f"sAccessToken={token}" for token in tokens]
    return {"Cookie": "; ".join([*pairs, "sFrontToken=e30="] if front else pairs)}


# The cookies of a visitor who gets this reason, as far as cookies decide it.
VISITORS: dict[str, Callable[[], dict[str, str]]] = {
    "active": lambda: cookies(make_token()),
    "mfa_pending": lambda: cookies(make_token(mfa_complete=False)),
    "expired": lambda: cookies(expired_token()),
    "invalid": lambda: cookies("junk"),
    "duplicate": lambda: cookies(make_token(user_id="a"), make_token(user_id="b")),
    "revoked": lambda: cookies(make_token(sessionHandle="revoked")),
    "token_missing": cookies,
    "anonymous": dict,
    "keys_unavailable": lambda: cookies(make_token()),
    "clock": lambda: cookies(make_token(issued_at=time.time() + 120)),
    "core_unavailable": lambda: cookies(make_token()),
    "internal": lambda: cookies(make_token()),
    "cross_site": lambda: cookies(make_token()) | {"Origin": "https://evil.example"},
}


@contextmanager
def visiting(app: Flask, reason: str, headers: dict[str, str] = PAGE) -> Iterator[dict[str, str]]:
    """Let visitors of *app* get this *reason*; the value is *headers* with those of a visitor."""
    if reason == "cross_site":  # what is unsafe by its method alone is in test_cross_site.py
        headers = headers | {"X-HTTP-Method-Override": "POST"}
        if "Sec-Fetch-Site" in headers:
            headers |= {"Sec-Fetch-Site": "cross-site"}
    backend_of(app).revoked_handles.add("revoked")
    ways: dict[str, AbstractContextManager[Any]] = {
        "keys_unavailable": outage(app),
        "core_unavailable": core_outage(app),
    }
    with ways.get(reason) or nullcontext(), pytest.MonkeyPatch.context() as patch:
        if reason == "internal":
            patch.setattr(request_verdict, "decide", None)
        yield headers | VISITORS[reason]()


def ask(
    app: Flask, path: str, headers: Any = PAGE, method: Any = "GET", **claims: Any
) -> TestResponse:
    """Return what *app* responds to a visitor with a token of these claims."""
    client = app.test_client(use_cookies=False)
    return client.open(path, method=method, headers={**headers, **cookies(make_token(**claims))})


def signed_in(app: Flask, user_id: str = "user-1", **claims: Any) -> FlaskClient:
    """Return a client of *app* with the cookies of a session."""
    client = app.test_client()
    sign_in(client, user_id, **claims)
    return client


def failed_claims(response: TestResponse) -> list[str]:
    """Return the ids of the failed claims that a script is told of."""
    errors = (response.json or {}).get("claimValidationErrors", []) if response.is_json else []
    return [error["id"] for error in errors]


def page_shown(response: TestResponse) -> str:
    """Return which page of this package *response* shows, for example ``refresh``, or ""."""
    found = re.search(r'data-ssr-session="(\w+)"', response.text)
    return found.group(1) if found else ""
