"""A log that an outage or an attacker cannot flood."""

from __future__ import annotations

import logging

from .clock import Clock

logger = logging.getLogger("flask_ssr_session")

THROTTLE_SECONDS = 10.0


class ThrottledLog:
    """Writes at most one line per reason in :data:`THROTTLE_SECONDS`, and counts the others."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[str, float] = {}
        self._suppressed: dict[str, int] = {}

    def write(self, level: int, reason: str, message: str) -> None:
        """Log *message* under the slug *reason*, or count it if one was logged recently.

        :param reason: one of a fixed set, because each reason is stored forever.

        Without a lock, two threads may write the same line at the same moment.
        """
        now = self._clock.monotonic()
        last = self._last.get(reason)
        if last is not None and 0 <= now - last < THROTTLE_SECONDS:
            self._suppressed[reason] = self._suppressed.get(reason, 0) + 1
            return
        self._last[reason] = now
        suppressed = self._suppressed.pop(reason, 0)
        suffix = f" ({suppressed} similar messages suppressed)" if suppressed else ""
        # Never with a traceback, which may contain a token.
        logger.log(level, "%s: %s%s", reason, message, suffix)
