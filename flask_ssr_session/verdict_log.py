"""Log a verdict: the level and the message of each reason."""

from __future__ import annotations

import logging

from .app_state import AppState
from .sansio.states import Reason
from .sansio.verdict import Verdict

# For the log, if a verdict has no detail of its own.
_MESSAGES = {
    Reason.EXPIRED: "the access token has expired",
    Reason.TOKEN_MISSING: "the browser sends the SDK's front token, but no access token",
    Reason.MFA_PENDING: "the user has not completed all factors of sign-in",
    Reason.DUPLICATE: "the browser sends access tokens of different users; if the cookie domain "
    "was changed, older_cookie_domain of the SDK clears the older cookies",
    Reason.REVOKED: "session revoked: the core no longer knows it",
    Reason.REVOCATION_UNKNOWN: "the app's is_revoked could not say whether the session is revoked",
    Reason.CLOCK: "a genuine token begins in the future: this machine's clock is behind the core's",
    Reason.CROSS_SITE: "another site sent an unsafe request, or a proxy hides that this site did",
}
_LEVELS = {
    Reason.EXPIRED: logging.DEBUG,
    Reason.TOKEN_MISSING: logging.DEBUG,
    Reason.MFA_PENDING: logging.DEBUG,
    Reason.INTERNAL: logging.ERROR,
}


def log_verdict(app_state: AppState, verdict: Verdict) -> None:
    """Log *verdict*; no local variable here holds a token."""
    app_state.log.write(
        _LEVELS.get(verdict.reason, logging.WARNING),
        verdict.reason.value,
        verdict.detail or _MESSAGES.get(verdict.reason) or verdict.state.value,
    )
