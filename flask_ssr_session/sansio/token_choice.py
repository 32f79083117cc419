"""Decide which of several access tokens counts first.

A request carries several if an earlier cookie domain left one, or a neighbouring site planted one.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import TokenInvalidError
from .jwt import MAX_TOKEN_CHARS, ParsedToken, decode_unverified_token

MAX_ACCESS_TOKENS = 4


class TokenConflictError(Exception):
    """None of the tokens counts; a refresh leaves one token.

    :ivar detail: why, for the log; None if the tokens belong to two users.
    """

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail


def distinct_tokens(raw_tokens: Sequence[str]) -> list[str]:
    """Return each token once, in the order of the cookies, without empty ones."""
    # One character too many is enough to reject a token, so no more is ever read.
    return list(dict.fromkeys(raw[: MAX_TOKEN_CHARS + 1] for raw in raw_tokens if raw))


def rank_tokens(distinct: Sequence[str]) -> list[tuple[str, ParsedToken | None]]:
    """Return the tokens in the order in which they count, none of them verified yet.

    The token issued last comes first. Malformed tokens come last, with None.

    :raises TokenConflictError: there are too many tokens, or they belong to two users.
    """
    if len(distinct) > MAX_ACCESS_TOKENS:
        # Fails closed, before any of them is decoded. Cookies for a longer path come first, so an
        # attacker who can plant cookies would decide which tokens "the first four" are.
        raise TokenConflictError(
            f"the browser sends {len(distinct)} different tokens; more than "
            f"{MAX_ACCESS_TOKENS} are not compared"
        )
    well_formed: list[tuple[str, ParsedToken]] = []
    malformed: list[tuple[str, None]] = []
    for raw in distinct:
        try:
            well_formed.append((raw, decode_unverified_token(raw)))
        except TokenInvalidError:  # noqa: PERF203 - four of them at most
            malformed.append((raw, None))
    if len({token.payload["sub"] for _, token in well_formed}) > 1:
        raise TokenConflictError
    well_formed.sort(key=lambda pair: pair[1].iat, reverse=True)
    return [*well_formed, *malformed]
