"""Tests that freeze or move time: the app's clock follows the test's, its waits use real time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timezone

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from freezegun import freeze_time

from flask_ssr_session import session_required
from flask_ssr_session.clock import SystemClock
from flask_ssr_session.testing import expire, outage, revoke, sign_in
from tests.browser_requests import FETCH

from .conftest import make_app

Move = Callable[[float], object]

MOMENTS = {
    "past": datetime(2009, 2, 13, 23, 31, 30, tzinfo=timezone.utc),
    "future": datetime(2051, 5, 5, tzinfo=timezone.utc),
}


@contextmanager
def by_freezegun(moment: datetime, ticks: bool) -> Iterator[Move]:
    """Yield what moves the clock on by seconds, and back by negative ones."""
    with freeze_time(moment, tick=ticks) as frozen:
        yield frozen.tick


@contextmanager
def by_time_machine(moment: datetime, ticks: bool) -> Iterator[Move]:
    with time_machine.travel(moment, tick=ticks) as traveller:
        yield traveller.shift


TOOLS = {"freezegun": by_freezegun, "time-machine": by_time_machine}


def make_tested_app() -> Flask:
    app = make_app()
    app.add_url_rule("/account", "account", session_required(lambda: "account"))
    app.add_url_rule("/billing", "billing", session_required(check_revoked=True)(lambda: "billing"))
    return app


def reason(client: FlaskClient, path: str = "/account") -> str:
    """Return the reason why a page is kept back; ``active`` where it is shown."""
    response = client.get(path, headers=FETCH)
    return response.headers.get("SSR-Session", "active").rpartition("=")[2]


@pytest.mark.parametrize("is_made_before", [True, False], ids=["app made before", "made within"])
@pytest.mark.parametrize("ticks", [False, True], ids=["stands still", "ticks"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("tool", TOOLS)
def test_verdicts_follow_the_clock_of_the_test(
    tool: str, moment: str, ticks: bool, is_made_before: bool
) -> None:
    app = make_tested_app()
    with TOOLS[tool](MOMENTS[moment], ticks) as move:
        if not is_made_before:
            app = make_tested_app()
        client = app.test_client()
        sign_in(client, valid_seconds=100)
        assert reason(client) == "active"
        with outage(app):
            assert reason(client) == "keys_unavailable"
        move(90)
        assert reason(client) == "active"
        move(11)
        assert reason(client) == "expired"
        sign_in(client)
        assert reason(client) == "active"
        expire(client)
        assert reason(client) == "expired"
        sign_in(client)
        revoke(client)
        assert (reason(client), reason(client, "/billing")) == ("active", "revoked")


@pytest.mark.parametrize("tool", TOOLS)
def test_token_of_another_time_is_judged_by_the_time_of_the_request(tool: str) -> None:
    client = make_tested_app().test_client()
    sign_in(client)
    assert reason(client) == "active"
    for moment, expected in (("past", "clock"), ("future", "expired")):
        with TOOLS[tool](MOMENTS[moment], False):
            assert reason(client) == expected
    assert reason(client) == "active"


@pytest.mark.parametrize("tool", TOOLS)
def test_time_that_goes_back_leaves_no_verdict_of_later(tool: str) -> None:
    client = make_tested_app().test_client()
    with TOOLS[tool](MOMENTS["future"], False) as move:
        sign_in(client)
        assert reason(client) == "active"
        move(-59)
        assert reason(client) == "active"
        move(-2)
        assert reason(client) == "clock"


@pytest.mark.parametrize("tool", TOOLS)
def test_what_measures_how_long_something_took_is_never_frozen(tool: str) -> None:
    """Else keys would not age, and a pause after a failure would not end."""
    clock = SystemClock()
    with TOOLS[tool](MOMENTS["future"], False):
        assert clock.wall() == clock.wall() == MOMENTS["future"].timestamp()
        before = clock.monotonic()
        end = time.process_time() + 0.001
        while clock.monotonic() == before and time.process_time() < end:
            pass
        assert 0 < clock.monotonic() - before < 3600
    assert abs(clock.wall() - time.time()) < 3600
