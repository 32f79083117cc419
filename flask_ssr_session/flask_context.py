"""The current request and ``g`` themselves, without Flask's proxies around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flask.globals
from flask import Flask, Request, current_app, g
from flask import request as flask_request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import SecurityError

# Flask 3.2 merges the two contexts.
_request_context: Any = vars(flask.globals).get("request_ctx", flask.globals.app_ctx)

# The methods of the proxies themselves: these run several times in every request, and each
# function around them would cost 0.1 µs.
_get_context: Callable[[], object] = _request_context._get_current_object
_get_g: Callable[[], object] = g._get_current_object

current_request: Callable[[], Request] = flask_request._get_current_object  # type: ignore[attr-defined]
"""Return the request itself. Every attribute access on ``flask.request`` resolves it again."""

current_flask: Callable[[], Flask] = current_app._get_current_object  # type: ignore[attr-defined]
"""Return the app itself."""


def current_context_id() -> int:
    """Return a number for the request context; a copy shares the request, and perhaps ``g``."""
    return id(_get_context())


def trusted_host(request: Request) -> str:
    """Return host and port that *request* was sent to; empty if the app does not trust them."""
    try:
        return request.host
    except SecurityError:
        return ""


def check_trusted_host(request: Request) -> None:
    """Check the host that *request* was sent to.

    :raises SecurityError: the app does not trust it.
    """
    _ = request.host


def query_args(request: Request) -> MultiDict[str, str]:
    """Return the query of *request*; empty if its bytes are not text, which no browser sends."""
    try:
        return request.args
    except UnicodeDecodeError:
        return MultiDict()


def current_g() -> dict[str, Any]:
    """Return the values of ``g`` in the current app context, by name."""
    values: dict[str, Any] = vars(_get_g())
    return values
