"""What a check reports.

A finding names hosts and settings. It contains no token, no secret, no user information of a URL,
no text that a server sent, and no path except those of the API, the refresh page and a view.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's output.

    :ivar check: a slug for scripts.
    :ivar message: what the check found.
    :ivar advice: what to do; empty if there is nothing to do.
    """

    check: str
    level: Level
    message: str
    advice: str = ""


def ok(check: str, message: str) -> Finding:
    """Return a finding that needs no action."""
    return Finding(check, Level.OK, message)


def warning(check: str, message: str, advice: str) -> Finding:
    """Return a finding that may be intended."""
    return Finding(check, Level.WARNING, message, advice)


def problem(check: str, message: str, advice: str) -> Finding:
    """Return a finding that breaks sessions, or makes them unsafe."""
    return Finding(check, Level.PROBLEM, message, advice)


def format_age(seconds: float) -> str:
    """Return a duration, without its sign, in the largest unit that fits into it twice."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{abs(seconds) / size:.0f} {unit}"
    return f"{abs(seconds):.0f} s"
