"""Log lines that an outage or an attacker cannot turn into a flood."""

from __future__ import annotations

import logging

from .clock import Clock

logger = logging.getLogger("flask_ssr_session")

THROTTLE_SECONDS = 10.0


class ThrottledLog:
    """Write at most one line per reason in :data:`THROTTLE_SECONDS`, with the number held back."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def write(
        self, level: int, reason: str, message: str, *, exc_info: BaseException | None = None
    ) -> None:
        """Log *message* under the slug *reason*, or count it where one was logged just now.

        *reason* must come from a fixed set of our own: each one seen is remembered for ever.
        Two threads may at worst write one line twice; no lock is worth avoiding that.
        """
        now = self._clock.monotonic()
        last = self._last.get(reason)
        if last is not None and 0 <= now - last < THROTTLE_SECONDS:
            self._held_back[reason] = self._held_back.get(reason, 0) + 1
            return
        self._last[reason] = now
        held_back = self._held_back.pop(reason, 0)
        suffix = f" ({held_back} more like it held back)" if held_back else ""
        logger.log(level, "%s: %s%s", reason, message, suffix, exc_info=exc_info)
