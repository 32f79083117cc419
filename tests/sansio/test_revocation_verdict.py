"""What the core's answer makes of a verdict."""

from __future__ import annotations

import pytest

from flask_ssr_session.errors import CoreUnavailableError
from flask_ssr_session.sansio.states import Reason, SessionState
from flask_ssr_session.sansio.verdict import Verdict, apply_revocation
from flask_ssr_session.session import SSRSession, deep_freeze

from ..tables import rows

DOWN = "no complete response in time"


def verdict(version: str = "hash-1") -> Verdict:
    payload = {"sub": "u", "sessionHandle": "handle-1", "refreshTokenHash1": version}
    return Verdict(Reason.ACTIVE, SSRSession(deep_freeze(payload)))


def is_revoked(handle: str) -> bool:
    assert handle == "handle-1"
    return True


def is_down(_handle: str) -> bool:
    raise CoreUnavailableError(DOWN)


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.ACTIVE])
def test_core_is_asked_about_sessions_only(reason: Reason) -> None:
    refused = Verdict(reason)

    assert apply_revocation(refused, is_down) is refused


def test_session_that_exists_keeps_its_verdict() -> None:
    active = verdict()

    assert apply_revocation(active, lambda handle: not is_revoked(handle)) is active


@rows(
    "check, state, reason, detail",
    {
        "a revoked session": (is_revoked, SessionState.REFRESH, Reason.REVOKED, None),
        "a core that is down": (is_down, SessionState.UNAVAILABLE, Reason.CORE_UNAVAILABLE, DOWN),
    },
)
def test_session_is_gone(check: object, state: SessionState, reason: Reason, detail: str) -> None:
    assert callable(check)
    judged = apply_revocation(verdict(), check)

    assert (judged.state, judged.reason, judged.session) == (state, reason, None)
    assert judged.detail == detail or detail is None


def test_fingerprint_tells_the_tokens_of_one_session_apart() -> None:
    """The refresh page compares it to see whether its refresh changed anything."""
    first, again, other = (
        apply_revocation(verdict(text), is_revoked).fingerprint
        for text in ("hash-1", "hash-1", "hash-2")
    )

    assert first == again != other
    assert len(first) == 16
    assert "hash" not in first + other
