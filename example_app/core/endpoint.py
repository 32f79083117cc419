"""What an endpoint is: fields in, JSON out; outcomes are told by ``status``, not by HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .fields import Fields
from .server import Response

JSON = dict[str, Any]
Endpoint = Callable[[Fields], "JSON | Response"]
EndpointTable = dict[str, dict[str, Endpoint]]
"""Path without application and tenant, then method."""


def ok(**content: Any) -> JSON:
    """Answer that the thing was done. Times in JSON are milliseconds since the epoch."""
    return {"status": "OK", **content}
