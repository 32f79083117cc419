"""What caches may do with a response: one row per response, one letter per state."""

from __future__ import annotations

from typing import Any

from flask_ssr_session.sansio.cache_policy import Caching, choose_caching
from flask_ssr_session.sansio.states import SessionState
from tests.tables import rows

HTML: dict[str, Any] = {"media_type": "text/html"}
JSON: dict[str, Any] = {"media_type": "application/json"}
STREAM: dict[str, Any] = {"streams": True}
OPTIONAL: dict[str, Any] = {"optional": True}
PROTECTED: dict[str, Any] = {"protected": True}

# ACTIVE, PENDING, REFRESH, ANONYMOUS, UNAVAILABLE, REFUSED: the order of the states.
LETTERS = {"-": Caching.LEAVE, "p": Caching.PRIVATE, "n": Caching.NO_STORE}


CACHING: dict[str, Any] = {
    "a page is private, and not stored while nothing is known": (HTML, "p---nn"),
    "a page as XML": ({"media_type": "application/xhtml+xml"}, "p---nn"),
    "a page in capitals": ({"media_type": "Text/HTML"}, "p---nn"),
    "a stream of Turbo": ({"media_type": "text/vnd.turbo-stream.html"}, "p---nn"),
    "an optional page shows another content after a refresh": (HTML | OPTIONAL, "pnn-nn"),
    "a protected page is stored for nobody else": (HTML | PROTECTED, "pnnnnn"),
    "a streamed page may still turn into ours": (HTML | STREAM, "pnnnnn"),
    "JSON is the app's own affair": (JSON, "------"),
    "protected JSON": (JSON | PROTECTED, "pnnnnn"),
    "optional JSON": (JSON | OPTIONAL, "-nn-nn"),
    "a streamed CSV": ({"media_type": "text/csv"} | STREAM, "------"),
    "no type": ({"media_type": ""}, "------"),
}


@rows("response, expected", CACHING)
def test_caches_may_do(response: dict[str, Any], expected: str) -> None:
    for state, letter in zip(SessionState, expected, strict=True):
        assert choose_caching(state, **response) is LETTERS[letter], state
