"""The one place that tells the time, so that tests can step it instead of sleeping."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for what tokens say, monotonic time for how long something took."""

    def wall(self) -> float:
        """Return seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards; only differences mean anything."""
        ...


class SystemClock:
    """The clock of this machine."""

    # Bound here, so that freezegun, which freezes this clock with the other one, stops no wait.
    monotonic = staticmethod(time.monotonic)

    def wall(self) -> float:
        """Return what ``time.time`` says now, a test's frozen time included."""
        return time.time()
