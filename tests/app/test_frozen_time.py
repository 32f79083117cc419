"""Tests that freeze or move time: the app's clock follows the test's, its waits use real time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Any

import time_machine
from flask import Flask
from flask.testing import FlaskClient
from freezegun import freeze_time

from flask_ssr_session import session_required
from flask_ssr_session.clock import SystemClock
from flask_ssr_session.testing import expire, outage, revoke, sign_in
from tests.browser_requests import FETCH
from tests.tables import rows

from .apps import make_app
from .visitors import signed_in

Tool = Callable[..., AbstractContextManager[Any]]

PAST = datetime(2009, 2, 13, 23, 31, 30, tzinfo=timezone.utc)
FUTURE = datetime(2051, 5, 5, tzinfo=timezone.utc)
TOOLS: dict[str, tuple[Tool, str]] = {
    "freezegun": (freeze_time, "tick"),
    "time-machine": (time_machine.travel, "shift"),
}
WITH_EACH_TOOL = rows("tool, shift", TOOLS)


def make_tested_app() -> Flask:
    app = make_app()
    app.add_url_rule("/account", "account", session_required(lambda: "account"))
    app.add_url_rule("/billing", "billing", session_required(check_revoked=True)(lambda: "billing"))
    return app


def reason(client: FlaskClient, path: str = "/account") -> str:
    """Return the reason why a page is kept back; ``active`` where it is shown."""
    response = client.get(path, headers=FETCH)
    return response.headers.get("SSR-Session", "active").rpartition("=")[2]


@rows("moment", {"past": PAST, "future": FUTURE})
@rows("ticks", {"stands still": False, "ticks": True})
@WITH_EACH_TOOL
def test_verdicts_follow_its_clock(tool: Tool, shift: str, ticks: bool, moment: datetime) -> None:
    before = make_tested_app()
    with tool(moment, tick=ticks) as frozen:
        for app in (before, make_tested_app()):
            client = signed_in(app, valid_seconds=100)
            assert reason(client) == "active"
            with outage(app):
                assert reason(client) == "keys_unavailable"
            getattr(frozen, shift)(90)
            assert reason(client) == "active"
            getattr(frozen, shift)(11)
            assert reason(client) == "expired"
            sign_in(client)
            assert reason(client) == "active"
            expire(client)
            assert reason(client) == "expired"
            sign_in(client)
            revoke(client)
            assert (reason(client), reason(client, "/billing")) == ("active", "revoked")


@WITH_EACH_TOOL
def test_token_is_judged_by_the_time_of_the_request(tool: Tool, shift: str) -> None:
    client = signed_in(make_tested_app())
    assert reason(client) == "active"
    for moment, expected in ((PAST, "clock"), (FUTURE, "expired")):
        with tool(moment, tick=False):
            assert reason(client) == expected
    assert reason(client) == "active"
    # Time that goes back leaves no verdict of later.
    with tool(FUTURE, tick=False) as frozen:
        sign_in(client)
        assert reason(client) == "active"
        for seconds, expected in ((-59, "active"), (-2, "clock")):
            getattr(frozen, shift)(seconds)
            assert reason(client) == expected


@rows("tool", {name: tool for name, (tool, _) in TOOLS.items()})
def test_what_measures_how_long_something_took_is_never_frozen(tool: Tool) -> None:
    """Else keys would not age, and a pause after a failure would not end."""
    clock = SystemClock()
    with tool(FUTURE, tick=False):
        assert clock.wall() == clock.wall() == FUTURE.timestamp()
        before = clock.monotonic()
        end = time.process_time() + 0.001
        while clock.monotonic() == before and time.process_time() < end:
            pass
        assert 0 < clock.monotonic() - before < 3600
    assert abs(clock.wall() - time.time()) < 3600
