"""Read the browser SDK's front token: who it names as signed in. It is not signed, and no proof."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Sequence
from functools import lru_cache

from .jwt import MAX_ID_CHARS


def front_token_users(raw_front_tokens: Sequence[str]) -> set[str]:
    """Return the ids of the users that the cookies ``sFrontToken`` name; bad cookies name none."""
    users: set[str] = set()
    for raw in raw_front_tokens:
        try:
            user = json.loads(b64decode(raw, validate=True))["uid"]
            # Some servers accept a header of 256 KB, and user_hash() would keep as much.
            if isinstance(user, str) and 0 < len(user) <= MAX_ID_CHARS:
                user.encode()
                users.add(user)
        # The cookie may contain anything.
        except (ValueError, TypeError, LookupError, RecursionError):  # noqa: PERF203
            continue
    return users


@lru_cache(maxsize=256)  # 4 µs for a UUID
def user_hash(user_id: str) -> str:
    """Return a hash of *user_id* for pages: a 32-bit FNV-1a over UTF-8, in eight hex digits.

    It distinguishes the users of one browser and keeps user ids out of pages; it proves nothing.
    The browser script computes it, too, and pages on plain http have no ``crypto.subtle``.
    """
    value = 0x811C9DC5
    for byte in user_id.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{value:08x}"
