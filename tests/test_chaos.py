"""A few minutes of the chaos run, and proof that it detects violations."""

from __future__ import annotations

import sys

import pytest

from flask_ssr_session import app_state, throttled_log
from flask_ssr_session.sansio import verification
from flask_ssr_session.upstream import key_age, key_fetcher
from flask_ssr_session.upstream.key_age import FetchedKeys

from . import chaos
from .chaos import Chaos, ViolationError

# Its few minutes contain nearly everything, and take little real time.
SEED = 11


@pytest.fixture(autouse=True)
def no_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests may have initialised the SDK, which is global."""
    monkeypatch.setattr(app_state, "read_sdk", lambda: None)


def test_few_minutes_of_chaos_break_no_promise() -> None:
    figures = Chaos(SEED, minutes=5).run()

    assert figures.users.keys() >= {"active", "expired", "invalid", "keys_unavailable"}
    assert figures.others.keys() >= {"anonymous", "duplicate", "invalid", "token_missing"}
    assert figures.fetches.keys() >= {"up", "hang", "late", "closed", "status 500"}
    assert figures.events.keys() >= {"usual", "flood", "crowd", "fork", "clear"}


@pytest.mark.parametrize(
    ("broken", "name", "value", "message"),
    [
        pytest.param(
            key_fetcher, "COOLDOWN_SECONDS", 1.0, "s after the one before", id="too many fetches"
        ),
        pytest.param(
            FetchedKeys,
            "clear",
            lambda _keys: None,
            "allowed: ['keys_unavailable']",
            id="never cleared",
        ),
        pytest.param(throttled_log, "THROTTLE_SECONDS", 1.0, "two lines of", id="talks too much"),
        pytest.param(
            key_age,
            "parse_key_set",
            None,
            "internal: TypeError",
            id="an exception inside",
        ),
    ],
)
def test_broken_promise_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, broken: object, name: str, value: object, message: str
) -> None:
    monkeypatch.setattr(broken, name, value)

    with pytest.raises(ViolationError) as caught:
        Chaos(SEED, minutes=60).run()

    assert f"seed {SEED}, " in str(caught.value)
    assert message in str(caught.value)


def test_command_shows_its_figures_and_says_by_its_status_how_it_went(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["chaos", "--minutes", "0.5", "--seed", str(SEED)])
    assert chaos.main() == 0
    assert "every answer as promised" in capsys.readouterr().out

    monkeypatch.setattr(verification, "_has_expired", lambda *_: True)
    assert chaos.main() == 1
    printed = capsys.readouterr()
    assert "slowest request" in printed.out
    assert "every answer as promised" not in printed.out
    assert f"seed {SEED}, " in printed.err
