"""What caches may do with a response: one table, state by state."""

from __future__ import annotations

from typing import Any

import pytest

from flask_ssr_session.sansio.cache_policy import Caching, choose_caching
from flask_ssr_session.sansio.states import SessionState

LEAVE, PRIVATE, NO_STORE = Caching.LEAVE, Caching.PRIVATE, Caching.NO_STORE

HTML: dict[str, Any] = {"media_type": "text/html"}
JSON: dict[str, Any] = {"media_type": "application/json"}
STREAM: dict[str, Any] = {"streams": True}
OPTIONAL: dict[str, Any] = {"optional": True}
PROTECTED: dict[str, Any] = {"protected": True}

# what the answer is: what becomes of it for an active session, a stranger, a visitor whose token
# has run out, in an outage, for a request of another site, and for a half signed-in visitor
ANSWERS: dict[str, tuple[dict[str, Any], tuple[Caching, ...]]] = {
    "page": (
        HTML,
        (PRIVATE, LEAVE, LEAVE, NO_STORE, NO_STORE, LEAVE),
    ),
    "page as XML": (
        {"media_type": "application/xhtml+xml"},
        (PRIVATE, LEAVE, LEAVE, NO_STORE, NO_STORE, LEAVE),
    ),
    "page in capitals": (
        {"media_type": "Text/HTML"},
        (PRIVATE, LEAVE, LEAVE, NO_STORE, NO_STORE, LEAVE),
    ),
    "optional page": (
        HTML | OPTIONAL,
        (PRIVATE, LEAVE, NO_STORE, NO_STORE, NO_STORE, NO_STORE),
    ),
    "protected page": (
        HTML | PROTECTED,
        (PRIVATE, NO_STORE, NO_STORE, NO_STORE, NO_STORE, NO_STORE),
    ),
    "streamed page": (
        HTML | STREAM,
        (PRIVATE, NO_STORE, NO_STORE, NO_STORE, NO_STORE, NO_STORE),
    ),
    "JSON": (
        JSON,
        (LEAVE, LEAVE, LEAVE, LEAVE, LEAVE, LEAVE),
    ),
    "protected JSON": (
        JSON | PROTECTED,
        (PRIVATE, NO_STORE, NO_STORE, NO_STORE, NO_STORE, NO_STORE),
    ),
    "optional JSON": (
        JSON | OPTIONAL,
        (LEAVE, LEAVE, NO_STORE, NO_STORE, NO_STORE, NO_STORE),
    ),
    "streamed CSV": (
        {"media_type": "text/csv"} | STREAM,
        (LEAVE, LEAVE, LEAVE, LEAVE, LEAVE, LEAVE),
    ),
    "no type": (
        {"media_type": ""},
        (LEAVE, LEAVE, LEAVE, LEAVE, LEAVE, LEAVE),
    ),
}

STATES = (
    SessionState.ACTIVE,
    SessionState.ANONYMOUS,
    SessionState.REFRESH,
    SessionState.UNAVAILABLE,
    SessionState.REFUSED,
    SessionState.PENDING,
)


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("state", STATES, ids=[state.value for state in STATES])
def test_caches_may_do_what_the_table_says(state: SessionState, answer: str) -> None:
    known, expected = ANSWERS[answer]
    assert choose_caching(state, **known) is expected[STATES.index(state)]
