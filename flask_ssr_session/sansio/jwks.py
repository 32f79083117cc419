"""Turn a JSON Web Key Set into the keys that may sign a session, and keep them as a snapshot.

A key set is trusted as far as its connection is; a broken or foreign key in it is passed over,
so that one bad neighbour does not sign everybody out.
"""

from __future__ import annotations

import json
import sys
from collections import OrderedDict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from ..errors import FetchError, TokenError
from ..session import SSRSession
from .jwt import MAX_KID_CHARS, decode_base64url

# NIST SP 800-131A: nothing shorter signs today. The upper end keeps one check from taking long.
MIN_KEY_BITS = 2048
MAX_KEY_BITS = 8192

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


def parse_key_set(document: bytes | str | Mapping[str, Any]) -> dict[str, RSAPublicKey]:
    """Return the usable signing keys of a JSON Web Key Set by key id (RFC 7517).

    Usable is an RSA key of 2,048 to 8,192 bits with a key id, not meant for anything but RS256
    signatures. A key id that stands for two different keys is usable for neither.

    :raises FetchError: it is no key set, or holds not one usable key.
    """
    try:
        value = document if isinstance(document, Mapping) else json.loads(document)
    except (ValueError, RecursionError):
        raise FetchError("the answer is not JSON") from None
    entries = value.get("keys") if isinstance(value, Mapping) else None
    if not isinstance(entries, (list, tuple)):
        raise FetchError("the answer is not a key set")
    usable: dict[str, RSAPublicKey] = {}
    ambiguous: set[str] = set()
    for entry in entries:
        key = _signing_key(entry)
        if key is None:
            continue
        kid = entry["kid"]
        if kid in usable and usable[kid].public_numbers() != key.public_numbers():
            ambiguous.add(kid)
        usable[kid] = key
    for kid in ambiguous:
        del usable[kid]
    if not usable:
        raise FetchError("the key set holds no usable RSA signing key")
    return usable


def _signing_key(entry: Any) -> RSAPublicKey | None:
    """Return the key of one entry, or None where it is not for us."""
    if not isinstance(entry, Mapping) or entry.get("kty") != "RSA":
        return None
    if entry.get("use", "sig") != "sig" or entry.get("alg", "RS256") != "RS256":
        return None
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, (list, tuple)) or "verify" not in operations:
        return None
    kid = entry.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARS:
        return None
    modulus, exponent = _number(entry.get("n")), _number(entry.get("e"))
    if modulus is None or exponent is None:
        return None
    if not MIN_KEY_BITS <= modulus.bit_length() <= MAX_KEY_BITS:
        return None
    try:
        return RSAPublicNumbers(exponent, modulus).public_key()
    except ValueError:
        return None


def _number(value: Any) -> int | None:
    """Decode a Base64urlUInt (RFC 7518 section 2)."""
    # No key in range is longer; what is longer is not worth decoding.
    if not isinstance(value, str) or not value.isascii() or len(value) > MAX_KEY_BITS // 4:
        return None
    try:
        return int.from_bytes(decode_base64url(value.encode("ascii")), "big")
    except TokenError:
        return None
