"""The throttled log: one line per reason in ten seconds, with the number of suppressed ones."""

from __future__ import annotations

import logging

import pytest

from flask_ssr_session.throttled_log import ThrottledLog

from .clocks import SteppedClock


@pytest.fixture
def log(clock: SteppedClock, caplog: pytest.LogCaptureFixture) -> ThrottledLog:
    caplog.set_level(logging.DEBUG, "flask_ssr_session")
    return ThrottledLog(clock)


def test_first_line_of_a_reason_is_written(
    log: ThrottledLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.write(logging.ERROR, "internal", "something happened")

    record = caplog.records[0]
    assert (record.name, record.levelno) == ("flask_ssr_session", logging.ERROR)
    assert record.getMessage() == "internal: something happened"


def test_ten_seconds_of_a_reason_are_one_line(
    log: ThrottledLog, clock: SteppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(201):
        log.write(logging.WARNING, "invalid", "signature")
        clock.advance(0.125)

    assert caplog.messages == [
        "invalid: signature",
        "invalid: signature (79 similar messages suppressed)",
        "invalid: signature (79 similar messages suppressed)",
    ]


def test_count_starts_anew_with_every_line(
    log: ThrottledLog, clock: SteppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    for seconds in (0, 9.9, 0.1, 10):
        clock.advance(seconds)
        log.write(logging.WARNING, "invalid", "signature")

    assert caplog.messages == [
        "invalid: signature",
        "invalid: signature (1 similar messages suppressed)",
        "invalid: signature",
    ]


def test_reasons_do_not_hold_each_other_back(
    log: ThrottledLog, caplog: pytest.LogCaptureFixture
) -> None:
    for reason in ("invalid", "duplicate", "invalid"):
        log.write(logging.WARNING, reason, "text")

    assert caplog.messages == ["invalid: text", "duplicate: text"]


def test_two_apps_do_not_hold_each_other_back(
    clock: SteppedClock, caplog: pytest.LogCaptureFixture
) -> None:
    for log in (ThrottledLog(clock), ThrottledLog(clock)):
        log.write(logging.WARNING, "invalid", "text")

    assert caplog.messages == ["invalid: text"] * 2


def test_message_is_not_a_format(log: ThrottledLog, caplog: pytest.LogCaptureFixture) -> None:
    log.write(logging.WARNING, "invalid", "100 %s %d %(x)s {y}")

    assert caplog.messages == ["invalid: 100 %s %d %(x)s {y}"]


def test_error_is_written_with_its_traceback(
    log: ThrottledLog, caplog: pytest.LogCaptureFixture
) -> None:
    error = ValueError("cause")
    log.write(logging.ERROR, "internal", "text", exc_info=error)

    assert caplog.records[0].exc_info == (ValueError, error, None)
