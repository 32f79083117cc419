"""Plan the response that replaces content which needs a session. Values in, one plan out.

A document request gets a page; any other request gets a response that a script understands.
"""

from __future__ import annotations

from collections.abc import Mapping

from .builtin_claims import MFA_CLAIM
from .claims import ClaimFailure
from .cures import Cure
from .policy_values import CONTINUE_PARAMETER, Plan, PolicyOptions, RequestFacts
from .return_path import MAX_LOCATION_CHARS, with_query, with_return_path
from .states import Reason, RequestKind, ResponseKind, SessionState
from .verdict import Verdict

# The reason that SuperTokens' own validator gives.
PENDING_FAILURE = ClaimFailure(MFA_CLAIM, {"message": "MFA requirement for auth is not satisfied"})

_REFRESH_KINDS = frozenset(
    {ResponseKind.REFRESH_PAGE, ResponseKind.REFRESH_REDIRECT, ResponseKind.TRY_REFRESH}
)
_SIGN_IN_KINDS = frozenset(
    {
        ResponseKind.REFRESH_PAGE,
        ResponseKind.REFRESH_REDIRECT,
        ResponseKind.SIGN_IN_PAGE,
        ResponseKind.SIGN_IN_REDIRECT,
    }
)
_PAGES = {
    SessionState.ACTIVE: ResponseKind.REFRESH_PAGE,
    SessionState.PENDING: ResponseKind.REPAIR_PAGE,
    SessionState.REFRESH: ResponseKind.REFRESH_PAGE,
    SessionState.ANONYMOUS: ResponseKind.SIGN_IN_PAGE,
    SessionState.UNAVAILABLE: ResponseKind.OUTAGE_PAGE,
    SessionState.REFUSED: ResponseKind.CROSS_SITE_PAGE,
}
_ALL_PAGES = frozenset(
    {*_PAGES.values(), ResponseKind.CLAIMS_PAGE, ResponseKind.SIGN_IN_AGAIN_PAGE}
)
_SCRIPT_RESPONSES = {
    SessionState.ACTIVE: ResponseKind.ALLOW,
    SessionState.PENDING: ResponseKind.CLAIMS_JSON,
    SessionState.REFRESH: ResponseKind.TRY_REFRESH,
    SessionState.ANONYMOUS: ResponseKind.UNAUTHORISED,
    SessionState.UNAVAILABLE: ResponseKind.UNAVAILABLE_JSON,
}
_PAGE_STATUSES = {
    ResponseKind.OUTAGE_PAGE: 503,
    ResponseKind.CROSS_SITE_PAGE: 403,
    ResponseKind.REPAIR_PAGE: 403,
    ResponseKind.SIGN_IN_AGAIN_PAGE: 403,
    ResponseKind.CLAIMS_PAGE: 403,
}


def is_page(kind: ResponseKind) -> bool:
    """Return whether a response of this kind is a page of this package."""
    return kind in _ALL_PAGES


def page_status(page: ResponseKind, *, is_safe: bool) -> int:
    """Return the HTTP status of a response that shows this page.

    :param is_safe: the method of the request changes nothing.
    """
    # Success would make the browser drop the page with the form from its cache (RFC 9111
    # section 4.4), and with it what the visitor typed.
    return _PAGE_STATUSES.get(page, 200 if is_safe else 401)


def asks_refresh(kind: ResponseKind) -> bool:
    """Return whether a response of this kind asks the browser to refresh."""
    return kind in _REFRESH_KINDS


def leads_to_sign_in(kind: ResponseKind) -> bool:
    """Return whether a response of this kind leads to sign-in, at once or after a refresh."""
    return kind in _SIGN_IN_KINDS


def is_admitted_without_session(
    state: SessionState, *, optional: bool, continues_signed_out: bool
) -> bool:
    """Return whether a view admits a request that has no session.

    :param optional: the view has content for visitors without a session, too.
    :param continues_signed_out: the visitor chose to see an optional page without a session.
    """
    return optional and (state is not SessionState.REFRESH or continues_signed_out)


def plan_response(
    verdict: Verdict,
    facts: RequestFacts,
    options: PolicyOptions,
    *,
    optional: bool = False,
    optional_view: bool = False,
    failures: tuple[ClaimFailure, ...] = (),
) -> Plan:
    """Return the plan for a request that is not admitted, or whose session fails claims.

    A pending session that is not admitted fails the claim ``st-mfa``.

    :param optional: the content may also be seen without a session: the page offers to continue.
    :param optional_view: the same for the whole view, so that the redirect flow offers it, too.
    :param failures: the claims that the session does not meet.
    """
    state, target = verdict.state, facts.return_path
    if state is SessionState.PENDING and not failures:
        failures = (PENDING_FAILURE,)
    sign_in_is_closed = facts.sign_in_is_closed and state is SessionState.ANONYMOUS
    # The sign-in page, or an error page in its place, must not lead to itself.
    is_at_sign_in = sign_in_is_closed or facts.is_sign_in
    page = _PAGES[state]
    curable = [failure for failure in failures if not failure.sign_in_again]
    cure = options.cures.cure(curable)
    if failures:
        page = ResponseKind.CLAIMS_PAGE if cure is None else ResponseKind.REPAIR_PAGE
        page = page if curable else ResponseKind.SIGN_IN_AGAIN_PAGE
    elif page is ResponseKind.SIGN_IN_PAGE and options.always_try_refresh and not is_at_sign_in:
        page = ResponseKind.REFRESH_PAGE
    sign_in_url = options.sign_in_location(target)
    continue_url = with_query(target, **{CONTINUE_PARAMETER: "1"}) if optional else ""
    if optional and is_at_sign_in:
        # If the refresh finds no session, sign-in comes next, which is this page.
        sign_in_url = continue_url = with_query(facts.path, **{CONTINUE_PARAMETER: "1"})
    plan = Plan(
        kind=page,
        page=page,
        target=target,
        sign_in_url=sign_in_url,
        cure_url=options.cure_location(cure, target),
        cure_call="" if cure is None else cure.api_call,
        continue_url=continue_url,
        auto_redirect=facts.is_safe and page is ResponseKind.SIGN_IN_PAGE and not is_at_sign_in,
        continues_signed_out=optional and not is_at_sign_in,
        sign_in_is_closed=sign_in_is_closed,
        failures=failures,
    )
    if facts.kind is RequestKind.DOCUMENT:
        redirects = {
            ResponseKind.SIGN_IN_PAGE: (
                ResponseKind.SIGN_IN_REDIRECT,
                "" if sign_in_is_closed else sign_in_url,
            ),
            ResponseKind.REFRESH_PAGE: (
                ResponseKind.REFRESH_REDIRECT,
                _refresh_location(verdict, facts, options, optional=optional_view),
            ),
        }
        kind, location = _document_response(plan, state, facts, redirects)
    else:
        kind = _script_response(verdict, facts, options, failures)
        location = _htmx_location(kind, facts, options, cure)
    return plan.replace(kind=kind, location=location)


def plan_refresh_page(target: str, options: PolicyOptions, *, optional: bool) -> Plan:
    """Return the plan of ``/refresh-session``, which refreshes whatever the verdict is.

    :param target: the path that the visitor goes to afterwards, already checked.
    :param optional: *target* may also be seen without a session.
    """
    return Plan(
        kind=ResponseKind.REFRESH_PAGE,
        page=ResponseKind.REFRESH_PAGE,
        target=target,
        sign_in_url=options.sign_in_location(target),
        continue_url=with_query(target, **{CONTINUE_PARAMETER: "1"}) if optional else "",
        continues_signed_out=optional,
    )


def _document_response(
    plan: Plan,
    state: SessionState,
    facts: RequestFacts,
    redirects: Mapping[ResponseKind, tuple[ResponseKind, str]],
) -> tuple[ResponseKind, str]:
    """Return the kind of the response to a document request, and where a redirect leads."""
    if plan.page is ResponseKind.CLAIMS_PAGE:
        return ResponseKind.CLAIMS_ERROR, ""
    if state is SessionState.ACTIVE and not plan.failures:
        return ResponseKind.ALLOW, ""
    redirect, location = redirects.get(plan.page, (plan.page, ""))
    # A redirect would lose the body of a POST, and with it what the visitor typed.
    return (redirect, location) if location and facts.is_safe else (plan.page, "")


def _script_response(
    verdict: Verdict,
    facts: RequestFacts,
    options: PolicyOptions,
    failures: tuple[ClaimFailure, ...],
) -> ResponseKind:
    """Return the kind of the response to anything that is not a document request."""
    state = verdict.state
    # Never ask to sign in: after sign-in the visitor would repeat the cross-site request.
    if state is SessionState.REFUSED:
        return ResponseKind.CROSS_SITE_JSON
    # The browser shows a prefetched page later, when the state may be another.
    is_prefetch = facts.kind is RequestKind.PREFETCH
    if failures:
        return ResponseKind.PREFETCH_DECLINED if is_prefetch else ResponseKind.CLAIMS_JSON
    if is_prefetch and state is not SessionState.ACTIVE:
        return ResponseKind.PREFETCH_DECLINED
    # The core still refreshes it, so the browser SDK would refresh and ask again, ten times.
    if verdict.reason is Reason.REVOKED_BY_APP:
        return ResponseKind.REVOKED_JSON
    if state is SessionState.ANONYMOUS and options.always_try_refresh:
        return ResponseKind.TRY_REFRESH
    return _SCRIPT_RESPONSES[state]


def _refresh_location(
    verdict: Verdict, facts: RequestFacts, options: PolicyOptions, *, optional: bool
) -> str:
    """Return where the redirect flow leads; empty if the page has to be shown in place."""
    # The refresh page never asks the app's own list, and the core only where every request does.
    checked = {Reason.REVOKED: options.checks_revoked, Reason.REVOKED_BY_APP: False}
    if not (options.redirects and checked.get(verdict.reason, True)):
        return ""
    query = {"redirectBack": facts.return_path}
    if optional:
        query["optional"] = "1"
    location = with_query(facts.refresh_path, **query)
    # The path is encoded a second time here, so it can exceed the request line it came in.
    return location if len(location) <= MAX_LOCATION_CHARS else ""


def _htmx_location(
    kind: ResponseKind, facts: RequestFacts, options: PolicyOptions, cure: Cure | None
) -> str:
    """Return the URL that htmx opens in place of a page without the browser SDK, or an empty text.

    ``HX-Refresh`` reloads the page, which helps only if that page needs a session itself; a public
    page would reload for ever.
    """
    return_path = facts.htmx_return_path
    if return_path is None:
        return ""
    if kind is ResponseKind.TRY_REFRESH:
        return with_return_path(facts.refresh_path, "redirectBack", return_path)
    if kind is ResponseKind.UNAUTHORISED:
        return options.sign_in_location(return_path)
    return options.cure_location(cure, return_path) if kind is ResponseKind.CLAIMS_JSON else ""
