"""Control the development core, and tell it from a real core and from one that is down."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from flask import current_app

_TIMEOUT_SECONDS = 3


class Core(NamedTuple):
    """What answers at the address of the core.

    :ivar kind: ``development``, ``real`` or ``down``.
    :ivar state: the state of a development core.
    """

    kind: str
    state: dict[str, Any] | None = None


def find_core() -> Core:
    """Ask which core is running."""
    try:
        state = control("GET", "state")
    except (OSError, HTTPException):
        return Core("down")
    return Core("real") if state is None else Core("development", state)


def control(method: str, name: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Call a control of the development core; None if the core is a real one.

    :raises OSError: the core is down. HTTPException: it closed the connection.
    """
    parts = urlsplit(current_app.config["CORE_URI"].split(";")[0])
    connection = HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(
            method,
            f"/development/{name}",
            body=json.dumps(body or {}) if method == "POST" else None,
            headers={"x-development-core": "1", "content-type": "application/json"},
        )
        response = connection.getresponse()
        if response.status != 200:
            return None
        content: dict[str, Any] = json.load(response)
    except ValueError:
        return None
    finally:
        connection.close()
    return content
