"""How old keys may get, who waits for newer ones, and what an outage means; time is stepped."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from flask_ssr_session.errors import FetchError, KeysUnavailableError, TokenError
from flask_ssr_session.sansio.verification import TokenRules, verify_access_token
from flask_ssr_session.session import SSRSession
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.throttled_log import ThrottledLog
from flask_ssr_session.upstream import deadline
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.key_age import FetchedKeys

from ..clocks import SteppedClock
from ..key_servers import Background, FakeKeyServer
from ..tables import rows
from ..token_table import stranger

DAY = 24 * 3600.0

# When a fetch in the background ends.
AT_ONCE, SLOW, HANGS, NO_THREAD = "at once", "slow", "held", "none"
# The key that the server publishes, or the key id that a token names; a server may be down.
TEST, NEW, OTHER, DOWN = "d-test", "d-new", "d-other", "down"
# What a look-up says of a key: it is there; there is no such key; nothing is known.
KEY, NO_KEY, UNKNOWN = "key", "no key", "unknown"

# Seconds since the step before, the server's mode and key, the key that a token issued just now
# needs; what is said, the seconds waited for a fetch, and the fetches started.
Step = tuple[float, str, str, str, str, float, int]


class Bench:
    def __init__(self, signer: SessionSigner, clock: SteppedClock, max_stale: float = DAY) -> None:
        self.clock = clock
        self.server = FakeKeyServer(signer.jwk())
        self.background = Background(self.server, clock)
        uris = ["https://user:secret@core.example/jwks?secret"]
        log, fetch = ThrottledLog(clock), self.server.fetch
        self.keys = FetchedKeys(
            uris, max_stale_seconds=max_stale, clock=clock, log=log, fetch=fetch
        )

    def change(self, mode: str, published: str) -> None:
        self.background.mode = mode
        self.server.is_down = published == DOWN
        self.server.kids = [published]

    def look_up(self, kid: str, issued_before: float = 0.0) -> str:
        try:
            key = self.keys.get_or_fetch(kid, self.clock.wall() - issued_before)
        except KeysUnavailableError:
            return UNKNOWN
        return NO_KEY if key is None else KEY

    def take(self, step: Step) -> tuple[str, list[float], int]:
        """Return what happened: what was said, the waits, and the number of fetches."""
        seconds, mode, published, kid, *_ = step
        self.clock.advance(seconds)
        self.change(mode, published)
        self.background.waits.clear()
        before = len(self.server.asked)
        said = self.look_up(kid)
        if mode == SLOW:
            self.background.release_all()
        return said, self.background.waits, len(self.server.asked) - before

    def check(self, step: Step) -> None:
        _, _, _, _, said, waited, fetches = step
        assert self.take(step) == (said, [waited] if waited else [], fetches), step

    def verify(self, token: str) -> SSRSession | str:
        """Return the session, or what is said instead."""
        try:
            return verify_access_token(token, self.keys, TokenRules(), self.clock.wall())
        except TokenError as error:
            return error.reason.value
        except KeysUnavailableError:
            return UNKNOWN


@pytest.fixture
def cold(signer: SessionSigner, clock: SteppedClock) -> Iterator[Bench]:
    bench = Bench(signer, clock)
    with bench.background:
        yield bench


@pytest.fixture
def warm(cold: Bench) -> Bench:
    """Has keys that were fetched at this moment."""
    assert cold.look_up(TEST) == KEY
    return cold


def test_nothing_is_fetched_before_a_token_asks(cold: Bench) -> None:
    cold.keys.clear()
    assert cold.keys.token_cache.get("token") is None
    assert cold.server.asked == []
    cold.check((0, HANGS, TEST, TEST, KEY, 0, 1))


AGES: dict[str, Any] = {
    # The published key is new: a look-up of the old key shows which keys serve.
    "keys are used as they are under 240 s": (None, (239.9, SLOW, NEW, TEST, KEY, 0, 0)),
    "keys are renewed from 240 s on": (None, (240, SLOW, NEW, TEST, KEY, 0, 1)),
    "a long max-age lets them be for 240 s": (3600, (239.9, SLOW, NEW, TEST, KEY, 0, 0)),
    "a long max-age lets them be no longer": (3600, (240, SLOW, NEW, TEST, KEY, 0, 1)),
    "a short max-age lets them be under it": (60, (59.9, SLOW, NEW, TEST, KEY, 0, 0)),
    "a short max-age has them renewed at it": (60, (60, SLOW, NEW, TEST, KEY, 0, 1)),
    "a max-age of 0 does not end the cooldown": (0, (9.9, SLOW, NEW, TEST, KEY, 0, 0)),
    "a max-age of 0 has them renewed after 10 s": (0, (10, SLOW, NEW, TEST, KEY, 0, 1)),
    "under 300 s nobody waits": (None, (299.9, SLOW, NEW, TEST, KEY, 0, 1)),
    "from 300 s on, a request waits for new keys": (None, (300, SLOW, NEW, TEST, NO_KEY, 1, 1)),
    "the request that waited gets them": (None, (300, SLOW, NEW, NEW, KEY, 1, 1)),
    "a request after a night waits, too": (None, (8 * 3600, SLOW, NEW, TEST, NO_KEY, 1, 1)),
    "a request waits a second, then old keys serve": (None, (300, HANGS, NEW, TEST, KEY, 1, 1)),
    "a request fetches too old keys itself": (None, (DAY + 0.1, HANGS, NEW, NEW, KEY, 0, 1)),
    "old keys and an unknown key are one wait": (None, (300, HANGS, NEW, NEW, UNKNOWN, 1, 1)),
    "without threads, a request renews keys": (None, (240, NO_THREAD, NEW, NEW, KEY, 0, 1)),
    "without threads, it renews old keys, too": (None, (300, NO_THREAD, NEW, NEW, KEY, 0, 1)),
    "an unknown key is looked for": (None, (10, SLOW, NEW, NEW, KEY, 1, 1)),
    "within the cooldown nothing is looked for": (None, (9.9, SLOW, NEW, NEW, UNKNOWN, 0, 0)),
    "keys fetched just now know every key": (None, (0, SLOW, NEW, NEW, NO_KEY, 0, 0)),
    "new keys without it show that there is none": (None, (10, SLOW, NEW, OTHER, NO_KEY, 1, 1)),
    "a fetch that hangs shows nothing": (None, (10, HANGS, NEW, OTHER, UNKNOWN, 1, 1)),
    "an outage shows nothing": (None, (10, SLOW, DOWN, OTHER, UNKNOWN, 1, 1)),
    "in an outage known keys serve": (None, (300, SLOW, DOWN, TEST, KEY, 1, 1)),
}


@rows("max_age, step", AGES)
def test_age_decides_what_is_served_and_who(cold: Bench, max_age: float | None, step: Step) -> None:
    cold.server.max_age = max_age
    cold.check((0, AT_ONCE, TEST, TEST, KEY, 0, 1))

    cold.check(step)


CLOCKS: dict[str, Any] = {
    "the machine slept": (240.0, 10.0, 1),
    "the wall clock was set back": (-3600.0, 240.0, 1),
    "both are young": (239.9, 239.9, 0),
}


@rows("wall_seconds, monotonic_seconds, fetches", CLOCKS)
def test_the_older_of_both_clocks_counts(
    warm: Bench, wall_seconds: float, monotonic_seconds: float, fetches: int
) -> None:
    warm.clock.wall_now += wall_seconds
    warm.clock.monotonic_now += monotonic_seconds

    warm.check((0, SLOW, NEW, TEST, KEY, 0, fetches))


ISSUED: dict[str, Any] = {
    "issued when the keys were fetched": (0.0, KEY),
    "issued after it": (-60.0, KEY),
    "issued 5 s before it, which clocks may differ": (5.0, KEY),
    "issued longer before it": (5.1, NO_KEY),
}


@rows("issued_before, said", ISSUED)
def test_key_is_looked_for_if_it_could_be_new(warm: Bench, issued_before: float, said: str) -> None:
    warm.clock.advance(10)
    warm.change(AT_ONCE, NEW)

    assert warm.look_up(NEW, 10 + issued_before) == said


# Keys were fetched just now, unless it is "cold"; "arrive" ends a fetch that hangs.
STORIES: dict[str, list[Step | str]] = {
    "the first good answer knows every key": ["cold", (0, HANGS, TEST, OTHER, NO_KEY, 0, 1)],
    "the next requests join a fetch that hangs, in its first second only": [
        (240, HANGS, NEW, TEST, KEY, 0, 1),
        (0.4, HANGS, NEW, NEW, UNKNOWN, 0.6, 0),
        (0, HANGS, NEW, NEW, UNKNOWN, 0, 0),
        (0, HANGS, NEW, TEST, KEY, 0, 0),
        "arrive",
        (0, HANGS, NEW, NEW, KEY, 0, 0),
    ],
    "a request joins a fetch and gets its keys": [
        (240, HANGS, NEW, TEST, KEY, 0, 1),
        (0, SLOW, NEW, NEW, KEY, 1, 0),
    ],
    "a key looked for in an outage is found at its end": [
        (10, SLOW, DOWN, NEW, UNKNOWN, 1, 1),
        (10, SLOW, NEW, NEW, KEY, 1, 1),
    ],
    "a known outage delays no request that has keys": [
        (300, SLOW, DOWN, TEST, KEY, 1, 1),
        (10, HANGS, DOWN, TEST, KEY, 0, 1),
        (0, HANGS, DOWN, TEST, KEY, 0, 0),
    ],
    "a known outage delays no unknown key that did not start the fetch": [
        (300, SLOW, DOWN, TEST, KEY, 1, 1),
        (10, HANGS, DOWN, TEST, KEY, 0, 1),
        (0, HANGS, DOWN, NEW, UNKNOWN, 0, 0),
    ],
    "an unknown key does not wait for the longer pause after failures": [
        (240, AT_ONCE, DOWN, TEST, KEY, 0, 1),
        (60, AT_ONCE, DOWN, TEST, KEY, 0, 1),
        (60, AT_ONCE, DOWN, TEST, KEY, 0, 1),
        (9.9, AT_ONCE, NEW, NEW, UNKNOWN, 0, 0),
        (0.1, AT_ONCE, NEW, NEW, KEY, 0, 1),
    ],
    "pauses are short again after a good answer": [
        *[(240, AT_ONCE, DOWN, TEST, KEY, 0, 1)] * 4,
        (60, AT_ONCE, TEST, TEST, KEY, 0, 1),
        (240, AT_ONCE, DOWN, TEST, KEY, 0, 1),
        (10, AT_ONCE, DOWN, TEST, KEY, 0, 1),
    ],
    "the first good answer ends a long outage within 10 s": [
        "cold",
        *[(10, AT_ONCE, DOWN, TEST, UNKNOWN, 0, 1)] * 100,
        (9.9, AT_ONCE, TEST, TEST, UNKNOWN, 0, 0),
        (0.1, AT_ONCE, TEST, TEST, KEY, 0, 1),
    ],
    "keys that became too old are replaced by the first good answer": [
        (DAY, AT_ONCE, DOWN, TEST, KEY, 0, 1),
        (10, AT_ONCE, DOWN, TEST, UNKNOWN, 0, 1),
        (10, AT_ONCE, TEST, TEST, KEY, 0, 1),
    ],
    "a fetch that does not end is repeated after 5 s, and is late": [
        (240, HANGS, OTHER, TEST, KEY, 0, 1),
        (4.9, HANGS, NEW, TEST, KEY, 0, 0),
        (0.1, HANGS, NEW, NEW, KEY, 0, 1),
        "arrive",
        (0, HANGS, NEW, NEW, KEY, 0, 0),
        (0, HANGS, NEW, OTHER, NO_KEY, 0, 0),
    ],
    "clear() drops the keys, and ends the cooldown": ["clear", (0, HANGS, NEW, TEST, NO_KEY, 0, 1)],
    "clear() ends the pause after a failure": [
        "cold",
        (0, AT_ONCE, DOWN, TEST, UNKNOWN, 0, 1),
        (0, AT_ONCE, TEST, TEST, UNKNOWN, 0, 0),
        "clear",
        (0, AT_ONCE, TEST, TEST, KEY, 0, 1),
    ],
    "a fetch from before clear() brings nothing": [
        (240, HANGS, TEST, TEST, KEY, 0, 1),
        "clear",
        "arrive",
        (0, HANGS, NEW, TEST, NO_KEY, 0, 1),
    ],
    "a fetch from before clear() replaces no newer keys": [
        (240, HANGS, TEST, TEST, KEY, 0, 1),
        "clear",
        (0, HANGS, NEW, NEW, KEY, 0, 1),
        "arrive",
        (0, HANGS, NEW, NEW, KEY, 0, 0),
    ],
}


@rows("steps", STORIES)
def test_keys_over_time(cold: Bench, steps: list[Step | str]) -> None:
    if steps[0] != "cold":
        assert cold.look_up(TEST) == KEY
    for step in steps:
        if step == "clear":
            cold.keys.clear()
        elif step == "arrive":
            cold.background.release()
        elif not isinstance(step, str):
            cold.check(step)


FETCHES: dict[str, Any] = {
    "without keys every 10 s": (False, 0, DOWN, TEST, [0, *range(10, 251, 10)]),
    "with too old keys every 10 s": (True, DAY + 1, DOWN, TEST, [0, *range(10, 251, 10)]),
    "usable keys lengthen the pauses": (True, 240, DOWN, TEST, [0, 10, 30, 70, 130, 190, 250]),
    "for an unknown key every 10 s": (True, 0, TEST, OTHER, [*range(10, 251, 10)]),
    "for an unknown key in an outage": (True, 0, DOWN, OTHER, [*range(10, 251, 10)]),
}


@rows("is_warm, age, published, kid, fetched_at", FETCHES)
def test_one_fetch_at_a_time_however_many_requests(
    cold: Bench, is_warm: bool, age: float, published: str, kid: str, fetched_at: list[int]
) -> None:
    if is_warm:
        assert cold.look_up(TEST) == KEY
    cold.clock.advance(age)
    fetched = []
    for second in range(260):
        said, _, fetches = cold.take((0, AT_ONCE, published, kid, "", 0, 0))
        assert fetches <= 1, f"second {second}"
        fetched += [second] * fetches
        # Only keys of this very moment show that there is no such key.
        if kid == OTHER:
            known = second == 0 or (fetches and published != DOWN)
            assert said == (NO_KEY if known else UNKNOWN), f"second {second}"
        cold.clock.advance(1)
    assert fetched == fetched_at


OUTAGES: dict[str, Any] = {
    "a day": (DAY, DAY),
    "ten minutes": (600.0, 600.0),
    "as long as keys count as young": (300.0, 300.0),
    "a setting of 0 still lets young keys serve": (0.0, 300.0),
}


@rows("max_stale_seconds, serves_for", OUTAGES)
def test_last_good_keys_serve_through_an_outage(
    signer: SessionSigner, clock: SteppedClock, max_stale_seconds: float, serves_for: float
) -> None:
    bench = Bench(signer, clock, max_stale_seconds)
    with bench.background:
        bench.check((0, AT_ONCE, TEST, TEST, KEY, 0, 1))
        bench.check((serves_for, AT_ONCE, DOWN, TEST, KEY, 0, 1))
        assert bench.take((0.1, AT_ONCE, DOWN, TEST, "", 0, 0))[0] == UNKNOWN
        bench.clock.advance(10)
        with pytest.raises(KeysUnavailableError):
            bench.keys.usable_cache_or_fetch()
        bench.check((10, AT_ONCE, TEST, TEST, KEY, 0, 1))
        assert bench.keys.usable_cache_or_fetch() is bench.keys.token_cache


BAD_ANSWERS: dict[str, Any] = {
    "nothing": (b"", "the document is not JSON"),
    "a list": (b"[]", "the document is not a key set"),
    "no keys": (b'{"keys": []}', "the key set contains no usable RSA signing key"),
}


@rows("body, problem", BAD_ANSWERS)
def test_bad_answer_is_an_outage(
    warm: Bench, caplog: pytest.LogCaptureFixture, body: bytes, problem: str
) -> None:
    warm.server.body = body
    known = warm.keys.token_cache
    warm.check((400, AT_ONCE, TEST, TEST, KEY, 0, 1))
    assert warm.keys.token_cache is known
    warm.keys.clear()
    warm.check((0, AT_ONCE, TEST, TEST, UNKNOWN, 0, 1))
    said = [message.partition(": ")[2].partition(" at ")[0] for message in caplog.messages]
    assert said == [problem] * 2


def test_log_names_the_host_and_each_outage(cold: Bench, caplog: pytest.LogCaptureFixture) -> None:
    for step in (
        (0, AT_ONCE, DOWN, TEST, UNKNOWN, 0, 1),
        (10, AT_ONCE, TEST, TEST, KEY, 0, 1),
        (400, AT_ONCE, DOWN, TEST, KEY, 0, 1),
        (DAY, AT_ONCE, DOWN, TEST, UNKNOWN, 0, 1),
    ):
        cold.check(step)

    down = "the server is down at core.example"
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, f"keys_not_fetched: {down}; there are no keys"),
        (logging.WARNING, "keys_renewed: keys were renewed; failed attempts before: 1"),
        (logging.WARNING, f"keys_not_renewed: {down}; keys 400 s old stay in use, at most 86400 s"),
        (logging.ERROR, f"keys_not_fetched: {down}; keys 86800 s old are too old to be used"),
    ]


def test_addresses_are_tried_in_turn_within_three_seconds(
    signer: SessionSigner, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "monotonic", clock.monotonic)
    shares: dict[str, float] = {}

    def fetch(url: str, left: Deadline) -> tuple[bytes, float | None]:
        shares[url] = left.remaining()
        if url == "a":
            raise FetchError("down")
        return b"[]" if url == "b" else json.dumps({"keys": [signer.jwk()]}).encode(), None

    log = ThrottledLog(clock)
    keys = FetchedKeys([*"abcd"], max_stale_seconds=0, clock=clock, log=log, fetch=fetch)

    assert keys.get_or_fetch("d-test", clock.wall())
    assert shares == {"a": 3 / 4, "b": 1, "c": 3 / 2}


# A token is valid for two days and was verified once; then the server changes.
VERIFIED: dict[str, Any] = {
    "it is not verified again with the same keys": (239, TEST, None),
    "it stays valid for 299 s after its key was removed": (299, NEW, None),
    "after 300 s its key is known to be gone": (300, NEW, "key_unknown"),
    "a night without requests is no excuse": (8 * 3600, NEW, "key_unknown"),
    "it is still valid in an outage": (DAY, DOWN, None),
    "too old keys verify nothing in an outage": (DAY + 1, DOWN, UNKNOWN),
    "it expires in an outage": (2 * DAY + 1, DOWN, "expired"),
    "its key was replaced under the same name": (300, "forger", "signature"),
}


@rows("age, published, said", VERIFIED)
def test_verified_token_lives_no_longer_than_its_key(
    warm: Bench, signer: SessionSigner, age: float, published: str, said: str | None
) -> None:
    token = signer.sign(signer.claims(issued_at=warm.clock.wall(), valid_seconds=2 * DAY))
    session = warm.verify(token)
    assert isinstance(session, SSRSession)
    assert warm.verify(token) is session
    warm.change(SLOW, published)
    if published == "forger":
        warm.server.body = json.dumps({"keys": [stranger().jwk()]}).encode()
    warm.clock.advance(age)
    assert warm.verify(token) == (said or session)


def test_renewed_keys_verify_a_token_anew(warm: Bench, signer: SessionSigner) -> None:
    token = signer.sign(signer.claims(issued_at=warm.clock.wall()))
    session = warm.verify(token)
    warm.clock.advance(300)
    renewed = warm.verify(token)
    assert isinstance(renewed, SSRSession)
    assert renewed is not session
    warm.keys.clear()
    assert warm.keys.token_cache.get(token) is None
    warm.change(AT_ONCE, NEW)
    assert warm.verify(token) == "key_unknown"
