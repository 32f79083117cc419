"""How old keys may get, who fetches, who waits, and what an outage means; time is stepped."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from flask_ssr_session.errors import (
    FetchError,
    KeysUnavailableError,
    TokenDefect,
    TokenExpiredError,
    TokenInvalidError,
)
from flask_ssr_session.sansio.verification import TokenRules, verify_access_token
from flask_ssr_session.session import SSRSession
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.throttled_log import ThrottledLog
from flask_ssr_session.upstream import key_age
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.key_age import FetchedKeys
from flask_ssr_session.upstream.key_set import KeySet, StaticKeys

from .clocks import SteppedClock
from .fake_key_server import FakeKeyServer, count_waiters, finish_background

DAY = 24 * 3600.0


@pytest.fixture
def server(signer: SessionSigner) -> Iterator[FakeKeyServer]:
    server = FakeKeyServer(signer.jwk())
    yield server
    server.close()


@pytest.fixture
def keys(server: FakeKeyServer, clock: SteppedClock) -> FetchedKeys:
    return make_keys(server, clock)


@pytest.fixture
def warm_keys(keys: FetchedKeys, clock: SteppedClock) -> FetchedKeys:
    """Keys that were fetched at this moment."""
    assert has_key(keys, clock)
    return keys


@pytest.fixture
def short_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make requests wait a shorter time for a fetch that hangs."""
    monkeypatch.setattr(key_age, "WAIT_SECONDS", 0.05)


def make_keys(
    server: FakeKeyServer, clock: SteppedClock, *uris: str, max_stale_seconds: float = DAY
) -> FetchedKeys:
    return FetchedKeys(
        uris or ["https://core.example/jwks"],
        max_stale_seconds=max_stale_seconds,
        clock=clock,
        log=ThrottledLog(clock),
        fetch=server.fetch,
    )


def has_key(keys: FetchedKeys, clock: SteppedClock, kid: str = "d-test") -> bool:
    """Look a key up for a token issued just now."""
    return keys.get_or_fetch(kid, clock.wall()) is not None


def is_unavailable(keys: FetchedKeys, clock: SteppedClock, kid: str = "d-test") -> bool:
    try:
        keys.get_or_fetch(kid, clock.wall())
    except KeysUnavailableError:
        return True
    return False


# Before the first token


def test_nothing_is_fetched_before_a_token_asks(
    keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    keys.clear()
    assert keys.token_cache.get("token") is None
    assert server.asked == []

    assert has_key(keys, clock)

    assert server.asked == ["https://core.example/jwks"]
    assert server.threads == [threading.current_thread().name]


def test_many_cold_requests_make_one_fetch(
    keys: FetchedKeys,
    server: FakeKeyServer,
    clock: SteppedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wait_for_waiters = count_waiters(monkeypatch)
    gate = server.hold()
    with ThreadPoolExecutor(20) as pool:
        results = [pool.submit(has_key, keys, clock) for _ in range(20)]
        assert server.began.wait(5)
        wait_for_waiters(19)
        assert not any(result.done() for result in results)
        gate.set()

        # Waiting threads continue when the fetch is done, not when their time is over.
        assert [result.result(1.5) for result in results] == [True] * 20
    assert len(server.asked) == 1


def test_unknown_kid_of_the_first_fetch_is_known_to_be_wrong(
    keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    assert not has_key(keys, clock, "d-other")
    assert len(server.asked) == 1


# Age


@pytest.mark.parametrize(
    ("max_age", "age", "is_renewed"),
    [
        pytest.param(None, 239.9, False, id="no max-age: under 240 s"),
        pytest.param(None, 240.0, True, id="no max-age: 240 s"),
        pytest.param(3600.0, 239.9, False, id="long max-age: under 240 s"),
        pytest.param(3600.0, 240.0, True, id="long max-age: 240 s"),
        pytest.param(60.0, 59.9, False, id="short max-age: under it"),
        pytest.param(60.0, 60.0, True, id="short max-age: it"),
        pytest.param(0.0, 9.9, False, id="no max-age at all: within the cooldown"),
        pytest.param(0.0, 10.0, True, id="no max-age at all: after the cooldown"),
    ],
)
def test_keys_are_renewed_when_they_are_no_longer_fresh(
    keys: FetchedKeys,
    server: FakeKeyServer,
    clock: SteppedClock,
    max_age: float | None,
    age: float,
    is_renewed: bool,
) -> None:
    server.max_age = max_age
    assert has_key(keys, clock)
    clock.advance(age)

    assert has_key(keys, clock)
    finish_background()

    assert len(server.asked) == 1 + is_renewed


@pytest.mark.parametrize("age", [240.0, 299.9])
def test_up_to_300_s_requests_go_on_while_keys_are_renewed(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock, age: float
) -> None:
    server.kids = ["d-new"]
    gate = server.hold()
    server.began.clear()
    clock.advance(age)

    started = time.monotonic()
    assert all(has_key(warm_keys, clock) for _ in range(10))
    assert time.monotonic() - started < 0.5

    assert server.began.wait(5)
    gate.set()
    finish_background()
    assert server.threads[1:] == ["ssr-session-keys"]
    assert has_key(warm_keys, clock, "d-new")


@pytest.mark.parametrize("age", [300.0, 8 * 3600.0])
def test_over_300_s_the_request_waits_for_new_keys(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock, age: float
) -> None:
    server.kids = ["d-new"]
    clock.advance(age)

    assert has_key(warm_keys, clock, "d-new")
    assert not has_key(warm_keys, clock, "d-test")
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("wall_seconds", "monotonic_seconds"),
    [
        pytest.param(240.0, 10.0, id="the machine slept"),
        pytest.param(-3600.0, 240.0, id="the wall clock was set back"),
    ],
)
def test_the_older_of_both_clocks_counts(
    warm_keys: FetchedKeys,
    server: FakeKeyServer,
    clock: SteppedClock,
    wall_seconds: float,
    monotonic_seconds: float,
) -> None:
    clock.wall_now += wall_seconds
    clock.monotonic_now += monotonic_seconds

    assert has_key(warm_keys, clock)
    finish_background()

    assert len(server.asked) == 2


def test_fetch_that_hangs_holds_a_request_one_second(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    server.hold()
    clock.advance(300)

    started = time.monotonic()
    assert has_key(warm_keys, clock)

    assert 0.9 < time.monotonic() - started < 2.5
    assert len(server.asked) == 2


@pytest.mark.usefixtures("short_wait")
def test_waiting_requests_join_one_fetch(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    server.hold()
    clock.advance(300)

    with ThreadPoolExecutor(10) as pool:
        assert all(pool.map(lambda _: has_key(warm_keys, clock), range(10)))

    assert len(server.asked) == 2


class RunningClock(SteppedClock):
    """A stepped clock that also advances with the machine's monotonic clock."""

    def __init__(self) -> None:
        super().__init__()
        self._started = time.monotonic()

    def monotonic(self) -> float:
        return super().monotonic() + time.monotonic() - self._started


def test_old_keys_and_an_unknown_kid_together_hold_a_request_no_longer(
    server: FakeKeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_age, "WAIT_SECONDS", 0.4)
    clock = RunningClock()
    keys = make_keys(server, clock)
    assert has_key(keys, clock)
    server.hold()
    clock.advance(300)

    started = time.monotonic()
    assert is_unavailable(keys, clock, "d-new")

    assert 0.3 < time.monotonic() - started < 0.7


# Unknown key ids


@pytest.mark.parametrize(
    ("issued_before", "is_asked"),
    [
        pytest.param(0.0, True, id="at the fetch"),
        pytest.param(5.0, True, id="5 s before it"),
        pytest.param(5.1, False, id="longer before it"),
        pytest.param(3600.0, False, id="an hour before it"),
        pytest.param(-60.0, True, id="after it"),
    ],
)
def test_only_a_key_that_could_be_new_is_fetched(
    warm_keys: FetchedKeys,
    server: FakeKeyServer,
    clock: SteppedClock,
    issued_before: float,
    is_asked: bool,
) -> None:
    fetched_at = clock.wall()
    clock.advance(10)

    assert warm_keys.get_or_fetch("d-other", fetched_at - issued_before) is None

    assert len(server.asked) == 1 + is_asked


def test_new_key_is_found_at_once(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    server.kids = ["d-new", "d-test"]
    clock.advance(10)

    assert has_key(warm_keys, clock, "d-new")


def test_unknown_key_ids_make_one_fetch_per_10_s(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    outcomes = []
    for _ in range(21):
        outcomes.append(is_unavailable(warm_keys, clock, "d-other"))
        clock.advance(1)

    assert len(server.asked) == 3
    # The key set was fetched at this moment, so the key does not exist.
    assert [second for second, outcome in enumerate(outcomes) if not outcome] == [0, 10, 20]


@pytest.mark.usefixtures("short_wait")
def test_unknown_key_with_a_fetch_that_hangs_is_unavailable(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    gate = server.hold()
    server.kids = ["d-new"]
    clock.advance(10)

    assert is_unavailable(warm_keys, clock, "d-new")
    assert has_key(warm_keys, clock)
    gate.set()
    finish_background()

    assert has_key(warm_keys, clock, "d-new")
    assert len(server.asked) == 2


@pytest.mark.usefixtures("short_wait")
def test_fetch_that_hangs_is_waited_for_in_its_first_second_only(
    server: FakeKeyServer,
    warm_keys: FetchedKeys,
    clock: SteppedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Made-up key ids delay a server once while a fetch hangs, however many they are."""
    clock.advance(10)
    server.hold()
    assert is_unavailable(warm_keys, clock, "d-first")
    monkeypatch.setattr(key_age, "WAIT_SECONDS", 3.0)
    clock.advance(3)
    before = time.monotonic()
    assert is_unavailable(warm_keys, clock, "d-second")
    assert time.monotonic() - before < 2
    assert len(server.asked) == 2


def test_requests_with_keys_do_not_wait_in_a_known_outage(
    server: FakeKeyServer, warm_keys: FetchedKeys, clock: SteppedClock
) -> None:
    """Not even if made-up key ids cause more fetches than the pauses after failures allow."""
    server.is_down = True
    clock.advance(301)
    assert has_key(warm_keys, clock)
    clock.advance(10)
    server.began.clear()
    server.hold()
    threading.Thread(target=is_unavailable, args=(warm_keys, clock, "d-new")).start()
    assert server.began.wait(5)
    before = time.monotonic()
    assert has_key(warm_keys, clock)
    assert time.monotonic() - before < 0.5


def test_first_token_of_a_new_key_waits_for_the_end_of_an_outage(
    server: FakeKeyServer, warm_keys: FetchedKeys, clock: SteppedClock
) -> None:
    server.is_down = True
    clock.advance(10)
    assert is_unavailable(warm_keys, clock, "d-new")
    server.is_down = False
    server.kids = ["d-new"]
    clock.advance(10)
    assert has_key(warm_keys, clock, "d-new")


@pytest.mark.usefixtures("short_wait")
def test_known_outage_holds_up_one_unknown_key_at_a_time(
    server: FakeKeyServer,
    warm_keys: FetchedKeys,
    clock: SteppedClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server.is_down = True
    clock.advance(10)
    assert is_unavailable(warm_keys, clock, "d-new")
    clock.advance(10)
    server.hold()
    assert is_unavailable(warm_keys, clock, "d-new")
    monkeypatch.setattr(key_age, "WAIT_SECONDS", 3.0)
    before = time.monotonic()
    assert is_unavailable(warm_keys, clock, "d-newer")
    assert time.monotonic() - before < 1


def test_unknown_key_joins_the_fetch_that_runs(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    server.kids = ["d-new"]
    gate = server.hold()
    clock.advance(240)
    assert has_key(warm_keys, clock)
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(has_key, warm_keys, clock, "d-new")
        gate.set()

        assert result.result(5)
    assert len(server.asked) == 2


# Failures


def test_without_keys_one_fetch_per_10_s(
    keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    server.is_down = True
    fetched_at = []
    for second in range(41):
        before = len(server.asked)
        assert is_unavailable(keys, clock)
        if len(server.asked) > before:
            fetched_at.append(second)
        clock.advance(1)

    assert fetched_at == [0, 10, 20, 30, 40]


def test_first_good_answer_ends_an_outage_within_10_s(
    keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    server.is_down = True
    for _ in range(100):
        assert is_unavailable(keys, clock)
        clock.advance(10)
    server.is_down = False

    assert has_key(keys, clock)


def test_pauses_grow_to_60_s_while_keys_are_at_hand(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    server.is_down = True
    clock.advance(240)
    fetched_at = []
    for second in range(260):
        before = len(server.asked)
        assert has_key(warm_keys, clock)
        finish_background()
        if len(server.asked) > before:
            fetched_at.append(second)
        clock.advance(1)

    assert fetched_at == [0, 10, 30, 70, 130, 190, 250]


def test_pauses_are_short_again_after_a_good_answer(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    server.is_down = True
    for _ in range(10):
        clock.advance(60)
        assert has_key(warm_keys, clock)
        finish_background()
    server.is_down = False
    clock.advance(300)
    assert has_key(warm_keys, clock)
    asked = len(server.asked)
    server.is_down = True
    clock.advance(300)

    for _ in range(2):
        assert has_key(warm_keys, clock)
        finish_background()
        clock.advance(10)

    assert len(server.asked) == asked + 2


def test_unknown_kid_does_not_wait_for_the_longer_pause(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    server.is_down = True
    for _ in range(10):
        clock.advance(60)
        assert has_key(warm_keys, clock)
        finish_background()
    server.is_down = False
    server.kids = ["d-new"]

    clock.advance(9.9)
    assert is_unavailable(warm_keys, clock, "d-new")
    asked = len(server.asked)
    clock.advance(0.1)
    # After failures this request may not wait, so only the next one gets the key.
    with contextlib.suppress(KeysUnavailableError):
        has_key(warm_keys, clock, "d-new")
    finish_background()
    assert has_key(warm_keys, clock, "d-new")
    assert len(server.asked) == asked + 1


@pytest.mark.parametrize(
    ("max_stale_seconds", "serves_for"),
    [
        pytest.param(DAY, DAY, id="a day"),
        pytest.param(600.0, 600.0, id="ten minutes"),
        pytest.param(300.0, 300.0, id="as long as keys count as young"),
        pytest.param(0.0, 300.0, id="not at all"),
    ],
)
def test_last_good_keys_serve_through_an_outage(
    server: FakeKeyServer, clock: SteppedClock, max_stale_seconds: float, serves_for: float
) -> None:
    keys = make_keys(server, clock, max_stale_seconds=max_stale_seconds)
    assert has_key(keys, clock)
    server.is_down = True

    clock.advance(serves_for)
    assert has_key(keys, clock)
    clock.advance(0.1)
    assert is_unavailable(keys, clock)

    server.is_down = False
    clock.advance(10)
    assert has_key(keys, clock)


def test_too_old_keys_are_fetched_every_10_s(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    server.is_down = True
    clock.advance(DAY + 1)
    for _ in range(5):
        assert is_unavailable(warm_keys, clock)
        clock.advance(10)

    assert len(server.asked) == 6


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{}", b'{"keys": []}', b'{"keys": [{"kty": "RSA", "kid": "d-test"}]}'],
    ids=["nothing", "a page", "no keys", "empty", "unusable"],
)
def test_bad_answer_does_not_replace_good_keys(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock, body: bytes
) -> None:
    server.body = body
    clock.advance(400)

    assert has_key(warm_keys, clock)
    assert len(server.asked) == 2


def test_failures_are_logged_quietly(
    keys: FetchedKeys,
    server: FakeKeyServer,
    clock: SteppedClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.is_down = True
    assert is_unavailable(keys, clock)
    server.is_down = False
    clock.advance(10)
    assert has_key(keys, clock)
    server.is_down = True
    clock.advance(400)
    assert has_key(keys, clock)
    finish_background()

    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "keys_not_fetched: the server is down at core.example; there are no keys"),
        (logging.WARNING, "keys_renewed: keys were renewed; failed attempts before: 1"),
        (
            logging.WARNING,
            "keys_not_renewed: the server is down at core.example; keys 400 s old stay in use, "  # noqa: ISC004
            "at most 86400 s",
        ),
    ]


def test_unforeseen_error_of_a_fetch_does_not_block_the_next(
    clock: SteppedClock, server: FakeKeyServer
) -> None:
    outcomes: list[BaseException | None] = [MemoryError(), None]

    def fetch(url: str, deadline: Deadline) -> tuple[bytes, float | None]:
        if error := outcomes.pop(0):
            raise error
        return server.fetch(url, deadline)

    keys = FetchedKeys(
        ["https://a.example"],
        max_stale_seconds=DAY,
        clock=clock,
        log=ThrottledLog(clock),
        fetch=fetch,
    )
    with pytest.raises(MemoryError):
        has_key(keys, clock)
    assert is_unavailable(keys, clock)
    clock.advance(10)

    assert has_key(keys, clock)


# Several addresses


def test_addresses_are_tried_in_turn(signer: SessionSigner, clock: SteppedClock) -> None:
    asked: list[str] = []
    shares: list[float] = []

    def fetch(url: str, deadline: Deadline) -> tuple[bytes, float | None]:
        asked.append(url)
        shares.append(deadline.remaining())
        if url == "a":
            raise FetchError("down")
        if url == "b":
            return b"[]", None
        return json.dumps({"keys": [signer.jwk()]}).encode(), None

    keys = FetchedKeys(
        ["a", "b", "c", "d"], max_stale_seconds=0, clock=clock, log=ThrottledLog(clock), fetch=fetch
    )

    assert has_key(keys, clock)
    assert asked == ["a", "b", "c"]
    # The first address must leave time for the others.
    assert shares[0] == pytest.approx(3 / 4, abs=0.1)
    assert shares[2] == pytest.approx(3 / 2, abs=0.1)


def test_one_address_has_the_whole_time(signer: SessionSigner, clock: SteppedClock) -> None:
    shares: list[float] = []

    def fetch(_url: str, deadline: Deadline) -> tuple[bytes, float | None]:
        shares.append(deadline.remaining())
        return json.dumps({"keys": [signer.jwk()]}).encode(), None

    keys = FetchedKeys(
        ["a"], max_stale_seconds=0, clock=clock, log=ThrottledLog(clock), fetch=fetch
    )

    assert has_key(keys, clock)
    assert shares == [pytest.approx(3, abs=0.1)]


def test_address_that_hangs_leaves_the_next_its_turn(
    signer: SessionSigner, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_age, "FETCH_SECONDS", 1.0)

    def fetch(url: str, deadline: Deadline) -> tuple[bytes, float | None]:
        while url == "hangs":
            deadline.remaining()
        assert deadline.remaining()
        return json.dumps({"keys": [signer.jwk()]}).encode(), None

    keys = FetchedKeys(
        ["hangs", "good"], max_stale_seconds=0, clock=clock, log=ThrottledLog(clock), fetch=fetch
    )

    assert has_key(keys, clock)


# Tokens verified before


def test_token_is_verified_once_per_key_set(
    warm_keys: FetchedKeys, clock: SteppedClock, signer: SessionSigner
) -> None:
    token = signer.sign(signer.claims(issued_at=clock.wall()))

    first, second = verify(token, warm_keys, clock), verify(token, warm_keys, clock)
    clock.advance(300)
    third = verify(token, warm_keys, clock)

    assert first is second is not third


def verify(token: str, keys: FetchedKeys, clock: SteppedClock) -> SSRSession:
    return verify_access_token(token, keys, TokenRules(), clock.wall())


def test_token_of_a_removed_key_is_invalid_within_300_s(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock, signer: SessionSigner
) -> None:
    token = signer.sign(signer.claims(issued_at=clock.wall()))
    session = verify(token, warm_keys, clock)
    server.kids = ["d-new"]
    gate = server.hold()

    clock.advance(299)
    assert verify(token, warm_keys, clock) is session
    gate.set()
    finish_background()
    with pytest.raises(TokenInvalidError) as caught:
        verify(token, warm_keys, clock)
    assert caught.value.reason is TokenDefect.KEY_UNKNOWN


def test_idle_night_does_not_let_a_removed_key_in(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock, signer: SessionSigner
) -> None:
    token = signer.sign(signer.claims(issued_at=clock.wall(), valid_seconds=DAY))
    verify(token, warm_keys, clock)
    server.kids = ["d-new"]
    clock.advance(8 * 3600)

    with pytest.raises(TokenInvalidError) as caught:
        verify(token, warm_keys, clock)

    assert caught.value.reason is TokenDefect.KEY_UNKNOWN


def test_cached_token_expires_even_in_an_outage(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock, signer: SessionSigner
) -> None:
    token = signer.sign(signer.claims(issued_at=clock.wall(), valid_seconds=2 * DAY))
    verify(token, warm_keys, clock)
    server.is_down = True

    clock.advance(DAY + 1)
    with pytest.raises(KeysUnavailableError):
        verify(token, warm_keys, clock)
    clock.advance(DAY)
    with pytest.raises(TokenExpiredError):
        verify(token, warm_keys, clock)


def test_key_replaced_under_its_name_verifies_nothing_more(
    warm_keys: FetchedKeys,
    server: FakeKeyServer,
    clock: SteppedClock,
    signer: SessionSigner,
    other_private_key: RSAPrivateKey,
) -> None:
    token = signer.sign(signer.claims(issued_at=clock.wall()))
    verify(token, warm_keys, clock)
    server.body = json.dumps({"keys": [SessionSigner("d-test", other_private_key).jwk()]}).encode()
    clock.advance(300)

    with pytest.raises(TokenInvalidError) as caught:
        verify(token, warm_keys, clock)

    assert caught.value.reason is TokenDefect.SIGNATURE


# clear()


def test_clear_drops_keys_and_tokens_at_once(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock, signer: SessionSigner
) -> None:
    token = signer.sign(signer.claims(issued_at=clock.wall()))
    verify(token, warm_keys, clock)
    server.kids = ["d-new"]

    warm_keys.clear()

    assert warm_keys.token_cache.get(token) is None
    with pytest.raises(TokenInvalidError):
        verify(token, warm_keys, clock)
    assert len(server.asked) == 2


def test_clear_ends_the_pause_after_a_failure(
    keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    server.is_down = True
    assert is_unavailable(keys, clock)
    server.is_down = False
    assert is_unavailable(keys, clock)

    keys.clear()

    assert has_key(keys, clock)


def test_fetch_that_began_before_clear_is_dropped(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    gate = server.hold()
    server.began.clear()
    clock.advance(240)
    assert has_key(warm_keys, clock)
    assert server.began.wait(5)

    warm_keys.clear()
    server.kids = ["d-new"]
    gate.set()
    finish_background()

    assert has_key(warm_keys, clock, "d-new")
    assert not has_key(warm_keys, clock, "d-test")
    assert len(server.asked) == 3


def test_slow_fetch_from_before_clear_does_not_replace_newer_keys(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    gate = server.hold()
    server.began.clear()
    clock.advance(240)
    assert has_key(warm_keys, clock)
    assert server.began.wait(5)
    warm_keys.clear()
    server.kids = ["d-new"]
    assert has_key(warm_keys, clock, "d-new")

    gate.set()
    finish_background()

    assert has_key(warm_keys, clock, "d-new")


# Threads that do not run, and forks


def test_abandoned_fetch_is_repeated_by_the_next_request(
    warm_keys: FetchedKeys, server: FakeKeyServer, clock: SteppedClock
) -> None:
    gate = server.hold()
    clock.advance(240)
    assert has_key(warm_keys, clock)
    server.kids = ["d-new"]

    clock.advance(4.9)
    assert has_key(warm_keys, clock)
    assert len(server.asked) == 2
    clock.advance(0.1)
    assert has_key(warm_keys, clock, "d-new")
    assert server.threads[2:] == [threading.current_thread().name]

    # When it continues, its keys are older than the known keys.
    gate.set()
    finish_background()
    assert has_key(warm_keys, clock, "d-new")


@pytest.mark.parametrize("age", [240.0, 300.0])
def test_without_threads_the_request_fetches(
    warm_keys: FetchedKeys,
    server: FakeKeyServer,
    clock: SteppedClock,
    monkeypatch: pytest.MonkeyPatch,
    age: float,
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    server.kids = ["d-new"]
    clock.advance(age)

    assert has_key(warm_keys, clock, "d-new")
    assert len(server.asked) == 2


FORK_SCRIPT = """
import json, os, signal, sys, threading
from flask_ssr_session.clock import SystemClock
from flask_ssr_session.upstream.key_age import FetchedKeys
from flask_ssr_session.throttled_log import ThrottledLog
from flask_ssr_session.testing import SessionSigner

signer, clock, parent = SessionSigner(), SystemClock(), os.getpid()
began, never = threading.Event(), threading.Event()
is_warm = "warm" in sys.argv
fetches = []

def fetch(url, deadline):
    fetches.append(os.getpid())
    if os.getpid() == parent and not (is_warm and len(fetches) == 1):
        began.set()
        never.wait(20)
    return json.dumps({"keys": [signer.jwk()]}).encode(), 0.0

keys = FetchedKeys(["x"], max_stale_seconds=60, clock=clock, log=ThrottledLog(clock), fetch=fetch)
if is_warm:
    keys.get_or_fetch("d-test", clock.wall())
if "fetching" in sys.argv:
    if is_warm:
        keys._fetcher._process_state().last_start = None
    threading.Thread(target=keys.get_or_fetch, args=("d-test", clock.wall()), daemon=True).start()
    assert began.wait(5)
if "locked" in sys.argv:
    locked = threading.Event()
    def hold():
        with keys._fetcher._process_state().lock:
            locked.set()
            never.wait(20)
    threading.Thread(target=hold, daemon=True).start()
    assert locked.wait(5)
child = os.fork()
if child == 0:
    signal.alarm(5)
    has_key = keys.get_or_fetch("d-test", clock.wall()) is not None
    keys.clear()
    has_key = has_key and keys.get_or_fetch("d-test", clock.wall()) is not None
    os._exit(0 if has_key and os.getpid() in fetches else 1)
sys.stdout.write(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
sys.stdout.flush()
os._exit(0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("state", ["cold", "cold fetching", "cold locked", "warm fetching locked"])
def test_child_of_a_fork_gets_keys(state: str) -> None:
    """As under a preloading server, while another thread of the parent may hold a lock."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK_SCRIPT, *state.split()],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (result.stdout, result.stderr) == ("0", "")


# Static keys


def test_given_keys_need_no_network_and_no_time(signer: SessionSigner, clock: SteppedClock) -> None:
    keys = StaticKeys(KeySet({"d-test": signer.public_key}))
    token = signer.sign(signer.claims(issued_at=clock.wall(), valid_seconds=30 * DAY))
    session = verify_access_token(token, keys, TokenRules(), clock.wall())
    clock.advance(29 * DAY)

    assert verify_access_token(token, keys, TokenRules(), clock.wall()) is session
    assert keys.get_or_fetch("d-other", clock.wall()) is None


def test_clear_of_given_keys_forgets_tokens_only(
    signer: SessionSigner, clock: SteppedClock
) -> None:
    keys = StaticKeys(KeySet({"d-test": signer.public_key}))
    token = signer.sign(signer.claims(issued_at=clock.wall()))
    session = verify_access_token(token, keys, TokenRules(), clock.wall())

    keys.clear()

    assert keys.token_cache.get(token) is None
    assert verify_access_token(token, keys, TokenRules(), clock.wall()) is not session
