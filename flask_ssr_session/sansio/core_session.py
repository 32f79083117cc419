"""What the core knows about a session: when it began, and its claims now.

An access token repeats the claims as they were when it was issued. Where a page asks the core
anyway, the claims of the core count, as for the SDK's ``check_database``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .frozen import Frozen
from .jwt import is_time
from .strict_json import MAX_DEPTH, decode_json, is_nested_deeper

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


# No NamedTuple: error reporters iterate over tuples and would show the claims.
class CoreSession(Frozen):
    """What the core says about a session that exists.

    :ivar time_created: when the user signed in, seconds since the epoch; None if it is unknown.
    :ivar claims: the payload of the next access token, without the token's own claims; None if it
        is unknown.
    """

    time_created: float | None = None
    claims: Mapping[str, Any] | None = None


def parse_core_session(body: bytes, session_handle: str) -> CoreSession | None:
    """Return the session in a response of the core, or None if the session does not exist.

    :param session_handle: of the session that was looked up.
    :raises ValueError: the response says nothing about a session.
    """
    try:
        document = decode_json(body.decode())
    except (ValueError, RecursionError):  # ValueError includes bad UTF-8 and too long integers
        raise ValueError("the response is not JSON") from None
    status = document.get("status") if isinstance(document, dict) else None
    if status == "UNAUTHORISED":
        return None
    if status == "OK":
        created, claims = document.get("timeCreated"), document.get("userDataInJWT")
        # Checked as a token is: these claims replace the token's. The handle is compared because a
        # cache before the core could answer with another session.
        if (
            document.get("sessionHandle") == session_handle
            and type(created) is int
            and is_time(created // 1000)
            and isinstance(claims, dict)
            and not is_nested_deeper(claims, MAX_DEPTH)
        ):
            return CoreSession(time_created=created / 1000, claims=claims)
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
    """Compare JSON values: null is as absent, lists may be tuples, 1 equals 1.0 but not true."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return all(_is_same(one.get(key), other.get(key)) for key in one.keys() | other.keys())
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_is_same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
