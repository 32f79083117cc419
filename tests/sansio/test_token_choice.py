"""Several cookies named like the access token: the newest that verifies counts, or none does."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from flask_ssr_session.sansio import token_choice
from flask_ssr_session.sansio.states import Reason
from tests.clocks import SteppedClock
from tests.tables import rows
from tests.token_table import NOW, by_stranger

from .test_verdict import fetched, token, verdict

R = Reason


def t(**claims: Any) -> str:
    """Return a token of Anna."""
    return token(**{"sub": "anna", **claims})


def forged(**claims: Any) -> str:
    return by_stranger({"sub": "anna", **claims})()


OLD, NEW = {"iat": NOW - 20, "sessionHandle": "old"}, {"iat": NOW - 10, "sessionHandle": "new"}

TOKENS: dict[str, Any] = {
    "two of one user": (lambda: [t(**OLD), t(**NEW)], R.ACTIVE),
    "two users": (lambda: [t(), t(sub="bert", iat=NOW - 10)], R.DUPLICATE),
    "two users, and junk": (lambda: [t(), t(sub="bert"), "junk"], R.DUPLICATE),
    # It may be wrong about these, since the worst that it leads to is a refresh.
    "another user, forged": (lambda: [t(), forged(sub="bert")], R.DUPLICATE),
    "another's, expired": (lambda: [t(), forged(sub="bert", exp=NOW)], R.DUPLICATE),
    "another user's token of another type": (lambda: [t(), t(sub="bert", stt=1)], R.ACTIVE),
    "an expired one": (lambda: [t(), t(exp=NOW)], R.ACTIVE),
    "one of a retired key": (lambda: [t(), t(kid="d-retired")], R.ACTIVE),
    "one from the future": (lambda: [t(), t(iat=NOW + 61)], R.ACTIVE),
    "a forged one": (lambda: [t(), forged()], R.ACTIVE),
    "junk": (lambda: [t(), "junk"], R.ACTIVE),
    "an expired one beside junk": (lambda: [t(exp=NOW), "junk"], R.EXPIRED),
    "an expired one beside an older one": (lambda: [t(exp=NOW), t(kid="x", iat=1)], R.EXPIRED),
    "an expired one beside a newer one": (lambda: [t(exp=NOW, iat=1), t(kid="x")], R.INVALID),
    "expired, and from the future": (lambda: [t(exp=NOW), t(iat=NOW + 61)], R.CLOCK),
    "one token twice, and an empty cookie": (lambda: [t(), t(), ""], R.ACTIVE),
    "four different": (lambda: [t(), "a", "b", "c"], R.ACTIVE),
    "four different, one of them twice": (lambda: [t(), "a", "b", "c", "c"], R.ACTIVE),
    "five different": (lambda: [t(), "a", "b", "c", "d"], R.DUPLICATE),
}


@rows("made, reason", TOKENS)
def test_tokens_in_every_order(made: Any, reason: R) -> None:
    tokens = made()
    for order in permutations(tokens):
        decided = verdict(*order)
        assert decided.reason is reason, order
        assert (decided.session is not None) == (reason is R.ACTIVE), order
        assert len(decided.fingerprint) == (0 if reason is R.ACTIVE else 16), order
        has_detail = reason is R.INVALID or len(set(tokens)) == 5
        assert (decided.detail is not None) == has_detail, order


def test_newest_that_verifies_is_the_session() -> None:
    for order in permutations([t(**OLD), t(**NEW), forged(iat=NOW), "junk"]):
        session: Any = verdict(*order).session
        assert session.session_handle == "new"


def test_token_that_could_not_be_checked_makes_an_outage() -> None:
    for order in permutations([t(), t(exp=NOW), "junk"]):
        keys = fetched(SteppedClock(), is_outage=True)
        assert verdict(*order, keys=keys).reason is R.KEYS_UNAVAILABLE, order


def test_planted_cookies_push_no_token_out_of_sight() -> None:
    """The browser sends cookies for longer paths first, and a neighbour chooses the paths."""
    planted = [t(sub="attacker", iat=NOW - age) for age in range(5)]
    for count in range(1, 6):
        decided = verdict(*planted[:count], t(sub="victim"))
        assert (decided.reason, decided.session) == (R.DUPLICATE, None), count
    # The refresh replaced the visitor's own cookie, and the page can see that something changed.
    renewed = verdict(*planted, t(sub="victim", sessionHandle="renewed"))
    assert renewed.fingerprint != decided.fingerprint


def test_none_of_too_many_tokens_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    monkeypatch.setattr(token_choice, "decode_unverified_token", decoded.append)
    good = t()
    decided = verdict(*(f"{good}{number}" for number in range(5_000)))

    assert (decided.reason, decoded) == (R.DUPLICATE, [])
    assert decided.detail == "the browser sends 5000 different tokens; more than 4 are not compared"
