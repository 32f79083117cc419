"""One fetched key set, and the sessions of the tokens that its keys verified."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ..session import SSRSession

MAX_REMEMBERED_TOKENS = 1024
# 1,024 tokens of at most 4 KiB: never more than 4 MiB of token text.
MAX_REMEMBERED_CHARS = 4 * 1024

# What a token of 4 KiB takes with a few long claims. Claims of many small values take a dozen times
# as much: such a token counts as several, so that all together take 9 MB at most.
PLACE_BYTES = 9_000


class KeySet:
    """The keys of one good answer, never changed, with the tokens they verified.

    What was verified is kept beside the keys that did it: when a new set takes this one's place,
    no token outlives its key.

    :ivar keys: RSA public keys by key id.
    :ivar fetched_wall: when it was asked for, seconds since the epoch.
    :ivar fetched_monotonic: the same moment on the monotonic clock.
    :ivar fresh_seconds: how long after that nobody asks for another.
    """

    __slots__ = ("_remembered", "fetched_monotonic", "fetched_wall", "fresh_seconds", "keys")

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
        self._remembered: OrderedDict[object, SSRSession | None] = OrderedDict()

    def recall(self, raw_token: str) -> SSRSession | None:
        """Return the session of a token that one of these keys verified, or None."""
        return self._remembered.get(raw_token)

    def remember(self, raw_token: str, kid: str, key: RSAPublicKey, session: SSRSession) -> None:
        """Keep *session*, unless *key* is of an earlier set or the token is too long to keep."""
        if len(raw_token) > MAX_REMEMBERED_CHARS or self.keys.get(kid) is not key:
            return
        # Each step is one atomic operation on the dict, so there is no lock that a fork could
        # carry off locked. The oldest goes first.
        self._remembered[raw_token] = session
        taken_bytes = sys.getsizeof(raw_token) + _size_bytes(session.access_token_payload)
        for _ in range(taken_bytes // PLACE_BYTES):
            self._remembered[object()] = None  # a place that nobody can ask for
        while len(self._remembered) > MAX_REMEMBERED_TOKENS:
            self._remembered.popitem(last=False)


def _size_bytes(payload: object) -> int:
    """Return about how much memory a frozen payload takes, with everything in it."""
    size, waiting = 0, [payload]
    for value in waiting:
        size += sys.getsizeof(value)
        # By exact type, as asking for abstract ones takes several times as long.
        if type(value) is MappingProxyType:
            size += sys.getsizeof(value.copy())  # the mapping does not count what it shows
            waiting += value
            waiting += value.values()
        elif type(value) is tuple:
            waiting += value
    return size
