"""What caches may do with a response: one row per response, one letter per state."""

from __future__ import annotations

from flask_ssr_session.sansio.cache_policy import Caching, choose_caching
from flask_ssr_session.sansio.states import SessionState
from tests.tables import rows

# ACTIVE, PENDING, REFRESH, ANONYMOUS, UNAVAILABLE, REFUSED: the order of the states.
LETTERS = {"-": Caching.LEAVE, "p": Caching.PRIVATE, "n": Caching.NO_STORE}


# The type of the response, and what holds for it.
CACHING = {
    "a page is private, and not stored while nothing is known": ("text/html", "p---nn"),
    "a page as XML": ("application/xhtml+xml", "p---nn"),
    "a page in capitals": ("Text/HTML", "p---nn"),
    "a stream of Turbo": ("text/vnd.turbo-stream.html", "p---nn"),
    "an optional page shows another content after a refresh": ("text/html optional", "pnn-nn"),
    "a protected page is stored for nobody else": ("text/html protected", "pnnnnn"),
    "a streamed page may still turn into ours": ("text/html streams", "pnnnnn"),
    "JSON is the app's own affair": ("application/json", "------"),
    "protected JSON": ("application/json protected", "pnnnnn"),
    "optional JSON": ("application/json optional", "-nn-nn"),
    "a streamed CSV": ("text/csv streams", "------"),
    "no type": ("", "------"),
}


@rows("response, expected", CACHING)
def test_caches_may_do(response: str, expected: str) -> None:
    media_type, *switches = response.split(" ")
    for state, letter in zip(SessionState, expected, strict=True):
        caching = choose_caching(state, media_type=media_type, **dict.fromkeys(switches, True))
        assert caching is LETTERS[letter], state
