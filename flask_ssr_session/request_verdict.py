"""Decide the verdict on a Flask request from its cookies, and check the claims of its session."""

from __future__ import annotations

from functools import partial

from flask import Request

from .app_state import AppState, SDKBinding
from .app_user import load_user
from .errors import MisuseError, error_location
from .flask_context import query_args, trusted_host
from .request_paths import full_path, request_policy
from .sansio.app_code import call_app_code
from .sansio.builtin_claims import MFA_CLAIM
from .sansio.claims import ClaimFailure
from .sansio.cookie_header import (
    ACCESS_TOKEN_COOKIE,
    FRONT_TOKEN_COOKIE,
    names_session_cookie,
    plain_values,
)
from .sansio.cross_site import is_cross_site, is_trivially_safe, is_unsafe
from .sansio.requirements import NO_USER, Requirements
from .sansio.states import Reason
from .sansio.verdict import (
    ANONYMOUS,
    Verdict,
    apply_app_revocation,
    apply_core_session,
    apply_mfa,
    decide,
)
from .session import SSRSession
from .sign_in import is_host_of_page


def decide_request(app_state: AppState, request: Request) -> Verdict:
    """Return the verdict on *request*, from its cookies and headers.

    :raises ConfigError: the settings of the app or of the SDK are invalid.
    """
    binding = app_state.sdk_binding()
    try:
        is_trivial = is_trivially_safe(request.method, request.environ)
        if not is_trivial and _was_sent_by_another_site(request, binding):
            return Verdict(Reason.CROSS_SITE)
        raw_tokens, has_front_token = session_cookies(request)
        if not (raw_tokens or has_front_token):
            return ANONYMOUS
        verdict = decide(
            raw_tokens,
            has_front_token=has_front_token,
            keys=binding.keys,
            rules=binding.rules,
            now=app_state.clock.wall(),
        )
        if verdict.session is None:
            return verdict
        return apply_mfa(verdict, partial(_requires_mfa, app_state, binding, request, verdict))
    # Fails closed: an error in this package is an outage. It neither admits a visitor nor ends a
    # session.
    except Exception as error:  # noqa: BLE001
        return _internal_error(app_state, error)


def ask_core(app_state: AppState, request: Request, verdict: Verdict) -> Verdict:
    """Ask the core about the session of *verdict*, and return the resulting verdict.

    :raises MisuseError: no SDK in this process knows the core.
    """
    binding = app_state.sdk_binding()
    if binding.look_up is None:
        raise MisuseError(
            "check_revoked and signed_in_within ask the SuperTokens core, which only the SDK "
            "knows: call supertokens_python.init(...) in this process, or leave them out."
        )
    try:
        verdict = apply_core_session(verdict, binding.look_up)
        return apply_mfa(verdict, partial(_requires_mfa, app_state, binding, request, verdict))
    except Exception as error:  # noqa: BLE001 - as for the verdict itself
        return _internal_error(app_state, error)


def ask_app(app_state: AppState, verdict: Verdict) -> Verdict:
    """Ask the app's ``is_revoked`` about the session of *verdict*; return the resulting verdict."""
    is_revoked, session = app_state.is_revoked, verdict.session or verdict.pending_session
    if is_revoked is None or session is None:
        return verdict
    answer = call_app_code(partial(is_revoked, session), "is_revoked", app_state.log_app_code)
    try:
        return apply_app_revocation(verdict, None if answer is None else bool(answer))
    except Exception as error:  # noqa: BLE001 - __bool__ is code of the app, too
        return _internal_error(app_state, error)


def check_claims(
    app_state: AppState,
    request: Request,
    session: SSRSession | None,
    requirements: Requirements,
    *,
    admits_pending: bool,
    signed_in_at: float | None = None,
) -> tuple[ClaimFailure, ...]:
    """Return everything that *requirements* name and *session* does not meet.

    :param signed_in_at: by the core, seconds since the epoch; None if it was not asked.
    :param admits_pending: sessions that lack the claim of complete factors are admitted.
    :raises MisuseError: in debug only, a validator or an override fails.
    """
    if session is None or requirements.optional:
        return ()
    failures: tuple[ClaimFailure, ...] = ()
    if requirements.global_claims:
        skip_claim = MFA_CLAIM if admits_pending else None
        failures = check_global_claims(app_state, request, session, skip_claim)
    if requirements.has_conditions:
        report = app_state.report_broken_claim
        claims = app_state.sdk_binding().global_claims
        context = {} if claims is None else claims.source.user_context(request)
        failures = (
            *failures,
            *requirements.claims.failures(session, context, report),
            *requirements.recency.failures(session, signed_in_at, app_state.clock.wall()),
        )
        # A user is loaded only for a session that lacks nothing else.
        if requirements.user and not failures and load_user(app_state, request, session) is None:
            failures = (NO_USER,)
    return failures and tuple(
        each for each in failures if not is_cured_here(app_state, request, each)
    )


def check_global_claims(
    app_state: AppState, request: Request, session: SSRSession, skip_claim: str | None = None
) -> tuple[ClaimFailure, ...]:
    """Return the claims that the SDK requires of every session and *session* does not meet.

    :param skip_claim: the key of a claim that is not checked.
    :raises MisuseError: in debug only, a validator or an override fails.
    """
    claims = app_state.sdk_binding().global_claims
    if claims is None:
        return ()
    return claims.failures(session, request, app_state.report_broken_claim, skip_claim=skip_claim)


def is_cured_here(app_state: AppState, request: Request, failure: ClaimFailure) -> bool:
    """Return whether the requested page is where users meet the claim; it does not ask for it."""
    binding, query = app_state.sdk_binding(), query_args(request).to_dict(flat=False)
    cures = request_policy(binding).cures
    return cures.is_cured_at(failure, full_path(request), query) and is_host_of_page(
        request, binding.resolved, shares_path=request.path == "/"
    )


def _requires_mfa(
    app_state: AppState, binding: SDKBinding, request: Request, verdict: Verdict
) -> bool:
    """Return whether the SDK requires ``st-mfa``, which tokens older than its recipe lack."""
    claims, session = binding.global_claims, verdict.session
    if claims is None or session is None or not claims.source.has_mfa:
        return False
    return claims.requires(MFA_CLAIM, session, request, app_state.log_broken_claim)


def _was_sent_by_another_site(request: Request, binding: SDKBinding) -> bool:
    header = request.headers.get
    if binding.settings.insecure_cross_site or not is_unsafe(request.method, header):
        return False
    return is_cross_site(header, trusted_host(request), binding.resolved.trusted_origins)


def _internal_error(app_state: AppState, error: Exception) -> Verdict:
    location = error_location(error)
    return Verdict(Reason.INTERNAL, detail=f"{location}, in the app {app_state.app.name!r}")


def session_cookies(request: Request) -> tuple[list[str], bool]:
    """Return the values of all access tokens; without one, also whether there is a front token."""
    header = _unparsed_cookies(request)
    if header is not None and not names_session_cookie(header):
        return [], False
    raw_tokens = _cookies_named(request, header, ACCESS_TOKEN_COOKIE)
    has_front_token = not any(raw_tokens) and any(
        _cookies_named(request, header, FRONT_TOKEN_COOKIE)
    )
    return raw_tokens, has_front_token


def cookies_named(request: Request, name: str) -> list[str]:
    """Return the values of all cookies called *name*."""
    return _cookies_named(request, _unparsed_cookies(request), name)


def _unparsed_cookies(request: Request) -> str | None:
    """Return the ``Cookie`` header.

    None if its cookies are parsed already, for Flask's own session, or by the app's request class.
    """
    if type(request) is Request and "cookies" not in vars(request):
        header: str = request.environ.get("HTTP_COOKIE", "")
        return header
    return None


def _cookies_named(request: Request, header: str | None, name: str) -> list[str]:
    # Parsing the whole header takes 15 µs.
    plain = None if header is None else plain_values(header, name)
    return request.cookies.getlist(name) if plain is None else plain
