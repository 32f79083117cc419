"""What the doctor says and what it knows: the words of its findings, and the setup they are about.

A finding names hosts and settings; it repeats no token, no secret, no path of an address but
the API's and the refresh page's, no user part, and nothing that a server said.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """What a finding means for the visitors."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    :ivar check: what was looked at, a word for scripts.
    :ivar message: what is so.
    :ivar advice: what to do; empty where there is nothing to do.
    """

    check: str
    level: Level
    message: str
    advice: str = ""


def ok(check: str, message: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(check, Level.OK, message)


def warning(check: str, message: str, advice: str) -> Finding:
    """Return a finding that may be meant so."""
    return Finding(check, Level.WARNING, message, advice)


def problem(check: str, message: str, advice: str) -> Finding:
    """Return a finding that keeps sessions from working, or from being safe."""
    return Finding(check, Level.PROBLEM, message, advice)


def format_age(seconds: float) -> str:
    """Return a span of time in the largest unit that has two of it."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{abs(seconds) / size:.0f} {unit}"
    return f"{abs(seconds):.0f} s"
