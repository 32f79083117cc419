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

    wall = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
