"""Every token of the table that a cookie can carry, in one request each."""

from __future__ import annotations

from flask import Flask

from flask_ssr_session.errors import TokenDefect
from tests.browser_requests import FETCH
from tests.clocks import SteppedClock
from tests.token_table import NOW, TABLE, can_be_sent, good_keys, token_of

from .apps import make_app, with_views
from .visitors import cookies

ANSWERS = {
    None: (200, None),
    TokenDefect.EXPIRED: (401, "refresh; reason=expired"),
    TokenDefect.NOT_YET_VALID: (503, "unavailable; reason=clock"),
}


def frozen_app() -> Flask:
    """Return an app in the time of the table, which trusts its keys."""
    app = with_views(make_app())
    state = app.extensions["ssr_session"]
    state.clock = SteppedClock(wall=NOW)
    state.override_keys_for_testing(good_keys(), lambda _handle: False)
    return app


def test_request_with_a_token_of_the_table_gets_the_answer_for_its_defect() -> None:
    client = frozen_app().test_client(use_cookies=False)
    sent = {row: token_of(row) for row in TABLE if can_be_sent(token_of(row))}
    assert len(sent) > 600
    for row, token in sent.items():
        response = client.get("/account", headers={**FETCH, **cookies(token)})

        expected = ANSWERS.get(TABLE[row][1], (401, "refresh; reason=invalid"))
        assert (response.status_code, response.headers.get("SSR-Session")) == expected, row
        assert "Set-Cookie" not in response.headers, row
        assert ("no-store" in response.headers["Cache-Control"]) == (expected[0] != 200), row
        assert len(token) < 50 or token not in f"{response.headers}{response.text}", row
