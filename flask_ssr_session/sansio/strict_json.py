"""Decode JSON that every parser reads the same."""

from __future__ import annotations

import json
import math
from typing import Any

# Of tokens and of claims.
MAX_DEPTH = 32


def _reject_constant(_name: str) -> float:
    raise ValueError("NaN and Infinity are not JSON")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def _without_duplicates(members: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(members)
    # Parsers differ in which of two members with one name they keep (RFC 8259 section 4).
    if len(result) != len(members):
        raise ValueError("two members have the same name")
    return result


decode_json = json.JSONDecoder(
    object_pairs_hook=_without_duplicates,
    parse_constant=_reject_constant,
    parse_float=_finite_float,
).decode
"""Return the value of a text; raise ValueError, or RecursionError if it is nested very deeply."""


def is_nested_deeper(value: dict[str, Any], levels: int) -> bool:
    """Return whether *value* has more than this many levels of objects and lists."""
    containers: list[Any] = [value]
    for _ in range(levels):
        containers = [
            item
            for container in containers
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, (dict, list))
        ]
        if not containers:
            return False
    return True
