"""Decide the verdict on a request from its access tokens. Values in, verdict out.

Whatever a browser sends, no error is raised here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from ..errors import (
    CoreUnavailableError,
    KeysUnavailableError,
    TokenExpiredError,
    TokenInvalidError,
    TokenNotYetValidError,
)
from ..session import SSRSession, deep_freeze
from .builtin_claims import MFA_CLAIM
from .core_session import CoreSession, with_fresh_claims
from .jwt import MAX_TOKEN_CHARS, ParsedToken
from .states import STATE_OF_REASON, Reason, SessionState
from .token_choice import TokenConflictError, distinct_tokens, rank_tokens
from .verification import KeySource, TokenRules, verify_access_token


class Verdict(NamedTuple):
    """What was decided about one request.

    :ivar session: the session of an active request; None in every other state.
    :ivar pending_session: the verified session of a pending request, for a view that admits it;
        None in every other state.
    :ivar fingerprint: a short hash of the rejected token, so that the browser can tell whether a
        refresh changed anything; empty without a token.
    :ivar detail: what exactly was wrong, for the log only; None if the reason says it all.
    :ivar signed_in_at: when the user signed in, by the core, seconds since the epoch; None if the
        core was not asked.
    :ivar has_stale_claims: the core has other claims for the session than the access token.
    """

    reason: Reason
    session: SSRSession | None = None
    fingerprint: str = ""
    detail: str | None = None
    pending_session: SSRSession | None = None
    signed_in_at: float | None = None
    has_stale_claims: bool = False

    @property
    def state(self) -> SessionState:
        """The state that :attr:`reason` belongs to."""
        return STATE_OF_REASON[self.reason]


# Verdicts are immutable, so all requests share these two.
ANONYMOUS = Verdict(Reason.ANONYMOUS)
_TOKEN_MISSING = Verdict(Reason.TOKEN_MISSING)


def decide(
    raw_tokens: Sequence[str],
    *,
    has_front_token: bool,
    keys: KeySource,
    rules: TokenRules,
    now: float,
) -> Verdict:
    """Return the verdict on a request.

    :param raw_tokens: the values of all cookies named ``sAccessToken``, as the browser sent them.
    :param has_front_token: the request has ``sFrontToken``, the browser SDK's sign of a session.
    :param now: seconds since the epoch.
    """
    if not raw_tokens:
        return _TOKEN_MISSING if has_front_token else ANONYMOUS
    if len(raw_tokens) == 1 and raw_tokens[0]:
        return _verify(raw_tokens[0][: MAX_TOKEN_CHARS + 1], keys, rules, now)
    distinct = distinct_tokens(raw_tokens)
    if not distinct:
        return _TOKEN_MISSING if has_front_token else ANONYMOUS
    if len(distinct) == 1:
        return _verify(distinct[0], keys, rules, now)
    try:
        ranked = rank_tokens(distinct)
    except TokenConflictError as conflict:
        return _rejected(Reason.DUPLICATE, "".join(distinct), conflict.detail)
    verdicts = []
    for raw, token in ranked:
        verdict = _verify(raw, keys, rules, now, token)
        if verdict.state is SessionState.ACTIVE:
            return verdict
        verdicts.append(verdict)
    # If any token could not be checked, report the outage instead of asking for a refresh.
    unknown = [v for v in verdicts if v.state is SessionState.UNAVAILABLE]
    return (unknown or verdicts)[0]


def mfa_is_complete(payload: Mapping[str, Any]) -> bool | None:
    """Return whether all factors of sign-in are complete; None if the token has no such claim.

    SuperTokens creates the session after the first factor, so a token verifies before sign-in is
    complete. Any value of ``st-mfa`` but a plain "yes" counts as "not complete".
    """
    if MFA_CLAIM not in payload:
        return None
    claim = payload[MFA_CLAIM]
    return isinstance(claim, Mapping) and claim.get("v") is True


def apply_mfa(verdict: Verdict, requires_mfa: Callable[[], bool]) -> Verdict:
    """Return *verdict*, or a pending one if its user has not completed all factors.

    :param requires_mfa: returns whether a token without the claim is incomplete; called only for
        such a token.
    """
    session = verdict.session
    if session is None:
        return verdict
    is_complete = mfa_is_complete(session.access_token_payload)
    if is_complete is None:
        is_complete = not requires_mfa()
    return verdict if is_complete else _as_pending(verdict)


def _as_pending(verdict: Verdict) -> Verdict:
    return verdict._replace(
        reason=Reason.MFA_PENDING, session=None, pending_session=verdict.session
    )


def stay_pending(before: Verdict, verdict: Verdict) -> Verdict:
    """Return *verdict*, which follows *before* in one request; pending if that one was.

    Hooks of the app that check ``g.session`` have run and saw none, so no session may appear behind
    them. The next token says that sign-in is complete.
    """
    was_pending = before.pending_session is not None
    return _as_pending(verdict) if was_pending and verdict.session is not None else verdict


def apply_core_session(verdict: Verdict, look_up: Callable[[str], CoreSession | None]) -> Verdict:
    """Return the verdict once the core was asked about its session.

    A session that the core knows is active, with the claims of the core: :func:`apply_mfa` decides
    next.

    :param look_up: returns the session of a handle, or None if it is revoked; may raise
        CoreUnavailableError.
    """
    session = verdict.session or verdict.pending_session
    if session is None:
        return verdict
    try:
        found = look_up(session.session_handle)
    except CoreUnavailableError as error:
        return _rejected(Reason.CORE_UNAVAILABLE, _token_of(session), str(error))
    if found is None:
        return _rejected(Reason.REVOKED, _token_of(session))
    payload = None
    if found.claims is not None:
        payload = with_fresh_claims(session.access_token_payload, found.claims)
    if payload is not None:
        session = SSRSession(deep_freeze(payload))
    return Verdict(
        Reason.ACTIVE,
        session,
        signed_in_at=found.time_created,
        has_stale_claims=payload is not None,
    )


def apply_app_revocation(verdict: Verdict, is_revoked: bool | None) -> Verdict:
    """Return *verdict*, or the one that replaces it by the app's own list of revoked sessions.

    :param is_revoked: None if the app could not say.
    """
    session = verdict.session or verdict.pending_session
    if session is None or is_revoked is False:
        return verdict
    reason = Reason.REVOCATION_UNKNOWN if is_revoked is None else Reason.REVOKED_BY_APP
    detail = "the app's is_revoked says that the session is revoked" if is_revoked else None
    return _rejected(reason, _token_of(session), detail)


def _token_of(session: SSRSession) -> str:
    """Return what distinguishes two tokens of one session without revealing them."""
    return str(session.access_token_payload["refreshTokenHash1"])


def _verify(
    raw_token: str,
    keys: KeySource,
    rules: TokenRules,
    now: float,
    parsed: ParsedToken | None = None,
) -> Verdict:
    try:
        session = verify_access_token(raw_token, keys, rules, now, parsed)
    except TokenExpiredError:
        return _rejected(Reason.EXPIRED, raw_token)
    except TokenInvalidError as error:
        return _rejected(Reason.INVALID, raw_token, error.reason.value)
    except TokenNotYetValidError:
        return _rejected(Reason.CLOCK, raw_token)
    except KeysUnavailableError as error:
        return _rejected(Reason.KEYS_UNAVAILABLE, raw_token, str(error))
    return Verdict(Reason.ACTIVE, session)


def _rejected(reason: Reason, raw_tokens: str, detail: str | None = None) -> Verdict:
    digest = sha256(raw_tokens.encode("utf-8", "surrogatepass")).hexdigest()
    return Verdict(reason, fingerprint=digest[:16], detail=detail)
