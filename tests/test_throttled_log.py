"""The throttled log: one line per reason in ten seconds, with the number of suppressed ones."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from flask_ssr_session.throttled_log import ThrottledLog

from .clocks import SteppedClock
from .tables import rows

MORE = "x: 1 (1 similar messages suppressed)"

TWO = [(0, "x", 0), (9.9, "x", 0), (0.1, "x", 1)]
OTHERS = [(0, "x", 1), (0, "y", 1), (0, "x", 2), (0, "y", 2)]
FORMAT = "100 % %s %(x)s {y}"

WRITES: dict[str, Any] = {
    "the first line of a reason is written": ([(0, "x", 1)], ["x: 1"]),
    "ten seconds later comes the next": ([(0, "x", 1), (10, "x", 2)], ["x: 1", "x: 2"]),
    "what came before it is counted": (TWO, ["x: 0", MORE]),
    "the count starts anew with every line": ([*TWO, (10, "x", 2)], ["x: 0", MORE, "x: 2"]),
    "reasons do not hold each other back": (OTHERS, ["x: 1", "y: 1"]),
    "nor does a clock that went back": ([(0, "x", 1), (-5, "x", 2)], ["x: 1", "x: 2"]),
    "a message is no format": ([(0, "x", FORMAT)], [f"x: {FORMAT}"]),
}


@rows("writes, expected", WRITES)
def test_log_has_the_lines(
    clock: SteppedClock, caplog: pytest.LogCaptureFixture, writes: Any, expected: list[str]
) -> None:
    # Two logs, each of an app: they do not hold each other back either.
    for log in (ThrottledLog(clock), ThrottledLog(clock)):
        caplog.clear()
        for seconds, reason, message in writes:
            clock.advance(seconds)
            log.write(logging.WARNING, reason, str(message))
        assert caplog.messages == expected


def test_line_has_its_level(clock: SteppedClock, caplog: pytest.LogCaptureFixture) -> None:
    ThrottledLog(clock).write(logging.ERROR, "internal", "text")
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("flask_ssr_session", logging.ERROR)
