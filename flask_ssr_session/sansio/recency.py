"""Check how recently the user of a session completed a factor, or signed in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import MisuseError
from ..session import SSRSession
from .builtin_claims import MFA_CLAIM
from .claims import UNSET, ClaimFailure

# The id of the failure if sign-in was too long ago; no claim of SuperTokens says when it was.
SIGNED_IN_ID = "signed_in_within"

# The core's clock may be ahead by this much, as for an access token.
_MAX_AHEAD_SECONDS = 60.0


class Recency(NamedTuple):
    """How recent the sign-in of a session must be.

    :ivar factor: a factor that the user must have completed, by ``st-mfa``; None for none.
    :ivar within: the seconds since then at most; None for any time in this session.
    :ivar signed_in_within: the seconds since sign-in at most; None for any time.
    """

    factor: str | None = None
    within: float | None = None
    signed_in_within: float | None = None

    @classmethod
    def of(cls, factor: Any, within: Any, signed_in_within: Any) -> Recency:
        """Check the arguments of a decorator; UNSET stands for what it does not name.

        :raises MisuseError: an argument has the wrong type, or *within* has no factor.
        """
        if factor is not UNSET and (not isinstance(factor, str) or not factor):
            raise MisuseError('factor= takes the id of one factor, for example factor="totp".')
        for name, seconds in (("within", within), ("signed_in_within", signed_in_within)):
            if seconds is not UNSET and not _is_duration(seconds):
                raise MisuseError(f"{name}= takes a number of seconds above 0.")
        if within is not UNSET and factor is UNSET:
            raise MisuseError('within= bounds the age of a factor: add factor="totp", for example.')
        return cls(
            None if factor is UNSET else factor,
            None if within is UNSET else within,
            None if signed_in_within is UNSET else signed_in_within,
        )

    def failures(
        self, session: SSRSession, signed_in_at: float | None, now: float
    ) -> list[ClaimFailure]:
        """Return what is too long ago.

        :param signed_in_at: by the core, seconds since the epoch; None if it is unknown, which
            counts as too long ago.
        :param now: seconds since the epoch.
        """
        failures = []
        if self.factor is not None and not _is_recent(
            _completed_at(session, self.factor), self.within, now
        ):
            limit = {} if self.within is None else {"within": self.within}
            reason = {"message": "factor is not completed recently", "factor": self.factor, **limit}
            failures.append(ClaimFailure(MFA_CLAIM, reason, step_up=self.factor))
        if self.signed_in_within is not None and not _is_recent(
            signed_in_at, self.signed_in_within, now
        ):
            reason = {"message": "sign-in is not recent", "within": self.signed_in_within}
            failures.append(ClaimFailure(SIGNED_IN_ID, reason, sign_in_again=True))
        return failures


def _is_duration(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value > 0
    )


def _completed_at(session: SSRSession, factor: str) -> float | None:
    """Return when the factor was completed, seconds since the epoch, or None."""
    claim = session.access_token_payload.get(MFA_CLAIM)
    completed = claim.get("c") if isinstance(claim, Mapping) else None
    at = completed.get(factor) if isinstance(completed, Mapping) else None
    # A bool is an int in Python, but no time.
    return at if isinstance(at, (int, float)) and not isinstance(at, bool) else None


def _is_recent(at: float | None, within: float | None, now: float) -> bool:
    # Milliseconds in place of seconds, as in a well-known guide, would be far in the future. Only
    # comparisons: arithmetic with an integer of JSON may overflow, and NaN compares to false.
    earliest = 0.0 if within is None else now - within
    return at is not None and earliest <= at <= now + _MAX_AHEAD_SECONDS
