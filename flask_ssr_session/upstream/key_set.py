"""A key set and the sessions of the tokens that its keys verified; and keys of the settings."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from ..session import SSRSession

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

MAX_CACHED_TOKENS = 1024
# 1,024 tokens of at most 4 KiB: at most 4 MiB of token text.
MAX_CACHED_CHARS = 4 * 1024

# A token of 4 KiB with a few long claims takes this much memory. A token with many small values
# takes twelve times as much, so it fills several slots: the cache takes 9 MB at most.
SLOT_BYTES = 9_000


class KeySet:
    """The keys of one good response, which never change, and the tokens they verified.

    Tokens are cached with the keys that verified them: when a new set replaces this one, no token
    outlives its key.

    :ivar keys: RSA public keys by key id.
    :ivar fetched_wall: when the fetch started, seconds since the epoch.
    :ivar fetched_monotonic: the same moment on the monotonic clock.
    :ivar fresh_seconds: how long after that moment no renewal is needed.
    """

    __slots__ = ("_sessions", "fetched_monotonic", "fetched_wall", "fresh_seconds", "keys")

    def __init__(
        self,
        keys: Mapping[str, RSAPublicKey],
        *,
        fetched_wall: float = 0.0,
        fetched_monotonic: float = 0.0,
        fresh_seconds: float = 0.0,
    ) -> None:
        self.keys = dict(keys)
        self.fetched_wall = fetched_wall
        self.fetched_monotonic = fetched_monotonic
        self.fresh_seconds = fresh_seconds
        self._sessions: OrderedDict[object, SSRSession | None] = OrderedDict()

    def get(self, raw_token: str) -> SSRSession | None:
        """Return the session of a token that one of these keys verified, or None."""
        return self._sessions.get(raw_token)

    def put(self, raw_token: str, kid: str, key: RSAPublicKey, session: SSRSession) -> None:
        """Cache *session*, unless *key* belongs to an earlier set or the token is too long."""
        if len(raw_token) > MAX_CACHED_CHARS or self.keys.get(kid) is not key:
            return
        # Each step is one atomic operation on the dict: a lock could be held during a fork, and
        # would stay locked in the child. The oldest entry is dropped first.
        self._sessions[raw_token] = session
        taken_bytes = sys.getsizeof(raw_token) + _size_bytes(session.access_token_payload)
        for _ in range(taken_bytes // SLOT_BYTES):
            self._sessions[object()] = None  # an entry that no token matches
        while len(self._sessions) > MAX_CACHED_TOKENS:
            self._sessions.popitem(last=False)


def _size_bytes(payload: object) -> int:
    """Return roughly how much memory a frozen payload takes, with all nested values."""
    size, waiting = 0, [payload]
    for value in waiting:
        size += sys.getsizeof(value)
        # Compare exact types: isinstance with an abstract type takes several times as long.
        if type(value) is MappingProxyType:
            size += sys.getsizeof(value.copy())  # getsizeof does not count the mapping behind it
            waiting += value
            waiting += value.values()
        elif type(value) is tuple:
            waiting += value
    return size


class StaticKeys:
    """Keys from the settings; they need no network and never age."""

    def __init__(self, key_set: KeySet) -> None:
        self._key_set = key_set

    @property
    def token_cache(self) -> KeySet:
        """The tokens that these keys verified."""
        return self._key_set

    def usable_cache_or_fetch(self) -> KeySet:
        """Return :attr:`token_cache`; nothing is fetched."""
        return self._key_set

    def get_or_fetch(self, kid: str, issued_at: float) -> RSAPublicKey | None:  # noqa: ARG002
        """Return the key named *kid*, or None; nothing is fetched."""
        return self._key_set.keys.get(kid)

    def clear(self) -> None:
        """Drop the cached tokens; the keys are part of the settings and stay."""
        self._key_set = KeySet(self._key_set.keys)
