"""What the core's answer makes of a verdict."""

from __future__ import annotations

from typing import Any

import pytest

from flask_ssr_session.errors import CoreUnavailableError
from flask_ssr_session.sansio.core_session import CoreSession
from flask_ssr_session.sansio.states import Reason, SessionState
from flask_ssr_session.sansio.verdict import Verdict, apply_core_session, apply_mfa
from flask_ssr_session.sansio.verdict import apply_app_revocation as apply_list
from flask_ssr_session.session import SSRSession, deep_freeze

from ..tables import rows

DOWN = "no complete response in time"
BY_APP = "the app's is_revoked says that the session is revoked"


def verdict(version: str = "hash-1") -> Verdict:
    payload = {"sub": "u", "sessionHandle": "handle-1", "refreshTokenHash1": version}
    return Verdict(Reason.ACTIVE, SSRSession(deep_freeze(payload)))


def is_revoked(handle: str) -> None:
    assert handle == "handle-1"


def is_down(_handle: str) -> None:
    raise CoreUnavailableError(DOWN)


def is_known(handle: str) -> CoreSession:
    assert handle == "handle-1"
    return CoreSession(time_created=1_700_000_000, claims={})


def has_role(_handle: str) -> CoreSession:
    return CoreSession(claims={"st-role": {"v": ["admin"]}})


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.ACTIVE])
def test_core_is_asked_about_sessions_only(reason: Reason) -> None:
    refused = Verdict(reason)

    assert apply_core_session(refused, is_down) is refused


def test_session_that_exists_is_active_with_the_claims_and_the_time_of_the_core() -> None:
    active = verdict()
    known, changed = (apply_core_session(active, look_up) for look_up in (is_known, has_role))

    assert known == active._replace(signed_in_at=1_700_000_000)
    assert (changed.signed_in_at, changed.has_stale_claims) == (None, True)
    assert changed.session is not None
    assert changed.session.roles == ("admin",)


def test_pending_session_is_active_until_its_factors_are_checked_again() -> None:
    pending = apply_mfa(verdict(), lambda: True)
    again = apply_core_session(pending, is_known)

    assert (pending.reason, again.reason) == (Reason.MFA_PENDING, Reason.ACTIVE)
    later = apply_mfa(again, lambda: True)
    assert (later.reason, later.signed_in_at) == (Reason.MFA_PENDING, 1_700_000_000)


LISTED: dict[str, Any] = {
    "no": (False, Reason.ACTIVE, None),
    "yes": (True, Reason.REVOKED_BY_APP, BY_APP),
    "unknown": (None, Reason.REVOCATION_UNKNOWN, None),
}


@rows("answer, reason, detail", LISTED)
def test_the_app_ends_a_session(answer: bool | None, reason: Reason, detail: str | None) -> None:
    judged = apply_list(verdict(), answer)

    assert (judged.reason, judged.detail) == (reason, detail)
    assert apply_list(Verdict(Reason.EXPIRED), answer).reason is Reason.EXPIRED


GONE: dict[str, Any] = {
    "a revoked session": (is_revoked, SessionState.REFRESH, Reason.REVOKED, None),
    "a core that is down": (is_down, SessionState.UNAVAILABLE, Reason.CORE_UNAVAILABLE, DOWN),
}


@rows("check, state, reason, detail", GONE)
def test_session_is_gone(check: object, state: SessionState, reason: Reason, detail: str) -> None:
    assert callable(check)
    judged = apply_core_session(verdict(), check)

    assert (judged.state, judged.reason, judged.session) == (state, reason, None)
    assert judged.detail == detail or detail is None


def test_fingerprint_tells_the_tokens_of_one_session_apart() -> None:
    """The refresh page compares it to see whether its refresh changed anything."""
    first, again, other = (
        apply_core_session(verdict(text), is_revoked).fingerprint
        for text in ("hash-1", "hash-1", "hash-2")
    )

    assert first == again != other
    assert len(first) == 16
    assert "hash" not in first + other
