"""Which verified tokens are kept with their keys, how many, and how much memory they take."""

from __future__ import annotations

import gc
import json
import tracemalloc
from typing import Any

import pytest

from flask_ssr_session.sansio.verification import TokenRules, verify_access_token
from flask_ssr_session.session import SSRSession, deep_freeze
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.key_set import KeySet, StaticKeys

from ..clocks import SteppedClock
from ..tables import rows

SESSION = SSRSession({"sub": "anna"})


@pytest.fixture
def key_set(signer: SessionSigner) -> KeySet:
    return KeySet({"d-test": signer.public_key})


KEPT: dict[str, Any] = {
    "a token of 4,096 characters with its key": ("a" * 4096, "d-test", True, True),
    "a longer one": ("a" * 4097, "d-test", True, False),
    "an equal key of an earlier set": ("token", "d-test", False, False),
    "a key id that is not in the set": ("token", "d-gone", True, False),
}


@rows("token, kid, is_same_key, is_kept", KEPT)
def test_token_is_kept_with_the_very_key_that_verified_it(
    key_set: KeySet, signer: SessionSigner, token: str, kid: str, is_same_key: bool, is_kept: bool
) -> None:
    key = key_set.keys["d-test"] if is_same_key else signer.public_key

    key_set.put(token, kid, key, SESSION)

    assert key_set.get(token) is (SESSION if is_kept else None)
    assert key_set.get(token[:-1]) is None
    assert KeySet(key_set.keys).get(token) is None


def test_keys_of_the_source_are_copied(signer: SessionSigner) -> None:
    source = {"d-test": signer.public_key}
    key_set = KeySet(source)
    source.clear()

    assert list(key_set.keys) == ["d-test"]


def test_the_last_1024_tokens_are_kept(key_set: KeySet) -> None:
    for number in range(1024):
        key_set.put(str(number), "d-test", key_set.keys["d-test"], SESSION)
    assert key_set.get("0") is SESSION

    key_set.put("1024", "d-test", key_set.keys["d-test"], SESSION)

    assert [number for number in range(1025) if key_set.get(str(number)) is None] == [0]


def many(count: int, element: str) -> str:
    return f"[{','.join([element] * count)}]"


# JSON that grows most in memory, in the 2,600 characters that a token of 4 KiB has for claims.
DOCUMENTS: dict[str, Any] = {
    "one long text": (json.dumps("a" * 2600), True),
    "empty objects": (many(860, "{}"), False),
    "objects in objects": (many(320, '{"":{}}'), False),
    "objects 28 deep": (many(18, '{"":' * 28 + "0" + "}" * 28), False),
    "arrays of one": (many(650, "[0]"), False),
    "arrays 28 deep": (many(45, "[" * 28 + "0" + "]" * 28), False),
    "many members": (json.dumps({f"{n:x}": 0 for n in range(260)}), False),
    "short texts": (json.dumps([f"{n:02x}" for n in range(400)]), False),
    "numbers": (many(650, "1e9"), False),
}


@rows("document, takes_one_slot", DOCUMENTS)
def test_cache_takes_9_mb_whatever_the_claims(
    key_set: KeySet, signer: SessionSigner, document: str, takes_one_slot: bool
) -> None:
    claims = f'{json.dumps(signer.claims())[:-1]}, "nested": {document}}}'
    gc.collect()
    tracemalloc.start(1)
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(5):
            session = SSRSession(deep_freeze(json.loads(claims)))
            key_set.put(f"{number:04096}", "d-test", key_set.keys["d-test"], session)
        del session
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    slots = len(key_set._sessions)
    assert taken / slots * 1024 < 9.5e6
    assert (slots == 5) == takes_one_slot
    # Not so many that ordinary tokens find no room.
    assert slots < 5 * 20
    # A token that takes several slots displaces as many others.
    for number in range(1025 - slots):
        assert key_set.get(f"{0:04096}") is not None, f"{slots} slots and {number} others"
        key_set.put(str(number), "d-test", key_set.keys["d-test"], SESSION)
    assert key_set.get(f"{0:04096}") is None


def test_keys_of_the_settings_never_age_and_clear_forgets_their_tokens_only(
    signer: SessionSigner, clock: SteppedClock
) -> None:
    keys = StaticKeys(KeySet({"d-test": signer.public_key}))
    token = signer.sign(signer.claims(issued_at=clock.wall(), valid_seconds=30 * 24 * 3600))

    def verify() -> SSRSession:
        return verify_access_token(token, keys, TokenRules(), clock.wall())

    session = verify()
    clock.advance(29 * 24 * 3600)
    assert verify() is session
    assert keys.usable_cache_or_fetch() is keys.token_cache
    assert keys.get_or_fetch("d-other", clock.wall()) is None

    keys.clear()

    assert keys.token_cache.get(token) is None
    assert verify() is not session
