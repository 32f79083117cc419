"""How much memory a flood of tokens takes, and how little time rejecting the worst takes.

``python -m tests.memory`` runs longer: a million of each kind, and a search for the worst.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from flask_ssr_session import app_state
from flask_ssr_session.session import SSRSession, deep_freeze
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.key_set import MAX_CACHED_TOKENS, KeySet

from .memory import Flood, hard_tokens, seconds_to_refuse

# The smallest object with its reference is larger; the noise of these tests is a tenth of it.
MAX_BYTES_PER_TOKEN = 24


@pytest.fixture
def flood(monkeypatch: pytest.MonkeyPatch) -> Flood:
    monkeypatch.setattr(app_state, "read_sdk", lambda: None)
    return Flood()


@pytest.fixture
def bytes_in_use() -> Iterator[Callable[[], int]]:
    """A function that returns how much memory was allocated since and is not freed."""

    def count() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start(1)
    yield count
    tracemalloc.stop()


def ask_all(ask: Callable[[str], object], tokens: Iterable[str]) -> set[object]:
    return set(map(ask, tokens))


def test_invalid_tokens_leave_nothing(flood: Flood, bytes_in_use: Callable[[], int]) -> None:
    ask_all(flood.judge, flood.invalid_tokens(400))
    before = bytes_in_use()
    assert ask_all(flood.judge, flood.invalid_tokens(10_000)) == {"invalid", "expired"}
    assert bytes_in_use() - before < 10_000 * MAX_BYTES_PER_TOKEN


def test_unknown_kids_leave_nothing_behind(flood: Flood, bytes_in_use: Callable[[], int]) -> None:
    """The clock advances, so that keys are fetched, each time with a new key id."""
    ask_all(flood.judge, flood.unknown_kids(400))
    before, fetches = bytes_in_use(), flood.fetches
    assert ask_all(flood.judge, flood.unknown_kids(4_000)) == {"invalid", "keys_unavailable"}
    assert bytes_in_use() - before < 4_000 * MAX_BYTES_PER_TOKEN
    assert flood.fetches >= fetches + 3


def test_requests_leave_nothing_behind(flood: Flood, bytes_in_use: Callable[[], int]) -> None:
    ask_all(flood.ask, [*flood.invalid_tokens(200), *flood.unknown_kids(200)])
    before = bytes_in_use()
    ask_all(flood.ask, flood.invalid_tokens(600))
    ask_all(flood.ask, flood.unknown_kids(600))
    assert bytes_in_use() - before < 1_200 * MAX_BYTES_PER_TOKEN


def test_verified_tokens_are_kept_only_with_their_keys(
    flood: Flood, bytes_in_use: Callable[[], int]
) -> None:
    ask_all(flood.ask, flood.valid_tokens(50))
    flood.keys.clear()
    before = bytes_in_use()
    assert ask_all(flood.ask, flood.valid_tokens(1_100)) == {"200"}
    # An ordinary cached token takes a few times its text.
    kept = bytes_in_use() - before
    assert MAX_CACHED_TOKENS * 1024 < kept < MAX_CACHED_TOKENS * 8 * 1024
    flood.keys.clear()
    assert bytes_in_use() - before < 1_100 * MAX_BYTES_PER_TOKEN


def test_leak_of_one_small_object_per_token_would_be_found(
    flood: Flood, bytes_in_use: Callable[[], int]
) -> None:
    leaked: list[object] = []
    ask_all(flood.judge, flood.invalid_tokens(400))
    before = bytes_in_use()
    for token in flood.invalid_tokens(4_000):
        flood.judge(token)
        leaked.append(object())
    assert bytes_in_use() - before >= 4_000 * MAX_BYTES_PER_TOKEN


# --- the limits of the cache ---------------------------------------------------------------------


def remembered(key_set: KeySet) -> tuple[int, int]:
    """Return the number of cached tokens, and of their characters."""
    tokens = [token for token in key_set._sessions if isinstance(token, str)]
    return len(tokens), sum(map(len, tokens))


def test_1024_tokens_of_the_longest_kept_size_are_4_mib(signer: SessionSigner) -> None:
    key_set = KeySet({signer.kid: signer.public_key})
    key, session = key_set.keys[signer.kid], SSRSession({"sub": "anna"})
    for number in range(3_000):
        key_set.put(f"{number:04096}", signer.kid, key, session)
        key_set.put(f"{number:04097}", signer.kid, key, session)
    assert remembered(key_set) == (1024, 4 * 2**20)


def _many(count: int, element: str) -> str:
    return f"[{','.join([element] * count)}]"


# JSON that grows most in memory, in the 2,600 characters that a token of 4 KiB has for claims.
SHAPES = {
    "one long text": json.dumps("a" * 2600),
    "empty objects": _many(860, "{}"),
    "objects in objects": _many(320, '{"":{}}'),
    "objects 28 deep": _many(18, '{"":' * 28 + "0" + "}" * 28),
    "arrays of one": _many(650, "[0]"),
    "arrays 28 deep": _many(45, "[" * 28 + "0" + "]" * 28),
    "many members": json.dumps({f"{n:x}": 0 for n in range(260)}, separators=(",", ":")),
    "short texts": json.dumps([f"{n:02x}" for n in range(400)]),
    "numbers": _many(650, "1e9"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_cache_takes_9_mb_whatever_the_claims(
    signer: SessionSigner, bytes_in_use: Callable[[], int], shape: str
) -> None:
    key_set = KeySet({signer.kid: signer.public_key})
    key, claims = key_set.keys[signer.kid], json.dumps(signer.claims())
    document = f'{claims[:-1]}, "nested": {SHAPES[shape]}}}'
    assert len(document) < 3_000
    before = bytes_in_use()
    number = further = 0
    while further < 20:  # more than the cache can contain
        session = SSRSession(deep_freeze(json.loads(document)))
        key_set.put(f"{number:04096}", signer.kid, key, session)
        assert key_set.get(f"{number:04096}") is session
        number += 1
        further += len(key_set._sessions) == MAX_CACHED_TOKENS
    assert bytes_in_use() - before < 9.5e6
    count, _ = remembered(key_set)
    assert (count == 1024) == (shape == "one long text")
    assert count > 50


def test_threads_exceed_the_bounds_by_no_more_than_one_token_each(signer: SessionSigner) -> None:
    key_set = KeySet({signer.kid: signer.public_key})
    key, session = key_set.keys[signer.kid], SSRSession({"sub": "anna"})
    threads, seen = 8, []
    together = threading.Barrier(threads)

    def remember(thread: int) -> None:
        together.wait(30)
        for number in range(600):
            key_set.put(f"{thread}{number:04095}", signer.kid, key, session)
            seen.append(len(key_set._sessions))

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # they interrupt each other at nearly every step
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(remember, range(threads)))
    finally:
        sys.setswitchinterval(usual)
    assert len(seen) == threads * 600
    assert MAX_CACHED_TOKENS <= max(seen) <= MAX_CACHED_TOKENS + threads
    # Two threads may each drop one where one was too many.
    count, characters = remembered(key_set)
    assert MAX_CACHED_TOKENS - threads <= count <= MAX_CACHED_TOKENS
    assert characters == count * 4096 <= 4 * 2**20


# --- the cost of rejecting -----------------------------------------------------------------------

# Twenty times the most expensive on an idle machine, for busy machines.
MAX_SECONDS = 0.02


@pytest.mark.parametrize("place", ["header", "payload"])
def test_no_token_up_to_8_kib_takes_long_to_refuse(signer: SessionSigner, place: str) -> None:
    costs = {name: seconds_to_refuse((token,)) for name, token in hard_tokens(signer, place)}
    assert len(costs) > 30
    assert {name for name, seconds in costs.items() if seconds > MAX_SECONDS} == set()
