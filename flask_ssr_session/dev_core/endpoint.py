"""The type of endpoints: fields in, JSON out. ``status`` in the JSON tells the outcome."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .fields import Fields
from .server import Response

JSON = dict[str, Any]
Endpoint = Callable[[Fields], "JSON | Response"]
EndpointTable = dict[str, dict[str, Endpoint]]
"""Endpoints by path, without application and tenant, and by method."""


def ok(**content: Any) -> JSON:
    """Return the JSON of a success. Its times are milliseconds since the epoch."""
    return {"status": "OK", **content}
