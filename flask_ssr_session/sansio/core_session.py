"""What the core knows about a session: when it began, and its claims now.

An access token repeats the claims as they were when it was issued. Where a page asks the core
anyway, the claims of the core count, as for the SDK's ``check_database``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

# The claims that the SDK does not let an app change. They belong to the token, as ``iss`` does.
_TOKEN_CLAIMS = frozenset(
    {
        "antiCsrfToken",
        "exp",
        "iat",
        "iss",
        "parentRefreshTokenHash1",
        "refreshTokenHash1",
        "rsub",
        "sessionHandle",
        "stt",
        "sub",
        "tId",
    }
)


class CoreSession(NamedTuple):
    """What the core says about a session that exists.

    :ivar time_created: when the user signed in, seconds since the epoch; None if it is unknown.
    :ivar claims: the payload of the next access token, without the token's own claims; None if it
        is unknown.
    """

    time_created: float | None
    claims: Mapping[str, Any] | None


def parse_core_session(body: bytes) -> CoreSession | None:
    """Return the session in a response of the core, or None if the session does not exist.

    :raises ValueError: the response says nothing about a session.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the response is not JSON") from None
    status = document.get("status") if isinstance(document, dict) else None
    if status == "UNAUTHORISED":
        return None
    if status == "OK":
        created, claims = document.get("timeCreated"), document.get("userDataInJWT")
        if type(created) is int and isinstance(claims, dict):
            return CoreSession(created / 1000, claims)
    raise ValueError("the response says nothing about the session")


def with_fresh_claims(
    payload: Mapping[str, Any], claims: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Return *payload* with the claims of the core, or None if it has them already.

    :param payload: of an access token.
    :param claims: of :class:`CoreSession`.
    """
    own = {name: value for name, value in payload.items() if name in _TOKEN_CLAIMS}
    stale = _present(payload)
    fresh = _present(claims)
    return None if _is_same(stale, fresh) else own | fresh


def _present(claims: Mapping[str, Any]) -> dict[str, Any]:
    """Return the claims that an app may change. A claim that is null counts as absent."""
    return {
        name: value
        for name, value in claims.items()
        if name not in _TOKEN_CLAIMS and value is not None
    }


def _is_same(one: Any, other: Any) -> bool:
    """Compare JSON values: lists may be tuples, and 1 equals 1.0, but not true."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_is_same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
