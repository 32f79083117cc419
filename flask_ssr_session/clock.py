"""The source of the time, which tests replace instead of sleeping."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for the times in tokens, monotonic time for durations."""

    def wall(self) -> float:
        """Return seconds since the epoch, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never decrease; only differences are meaningful."""
        ...


class SystemClock:
    """The clock of this machine."""

    # Bound here, so that freezegun does not freeze it: waits must end.
    monotonic = staticmethod(time.monotonic)

    def wall(self) -> float:
        """Return ``time.time()``, which freezegun can freeze."""
        return time.time()
