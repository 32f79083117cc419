"""Turn an answer into a response, and complete every response on its way out."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from flask import Response, current_app, jsonify, make_response, redirect, request
from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from .app_state import (
    ACCESS_TOKEN_COOKIE,
    FRONT_TOKEN_COOKIE,
    AppState,
    RequestState,
    current_g,
    current_request,
    current_request_state,
    trusted_host,
)
from .cache_headers import header_names, replace_content, sealed, send_whole, set_cache_headers
from .errors import MisuseError
from .navigation import (
    current_return_path,
    is_closed_factor_page,
    is_closed_sign_in,
    refresh_path,
    request_path,
    safe_target,
)
from .pages.jinja_env import templates_are_unmodified
from .pages.refresh_page import (
    content_security_policy,
    factor_location,
    render_document,
    sign_in_location,
)
from .sansio.claims import MFA_CLAIM, ClaimFailure
from .sansio.csrf import is_same_origin
from .sansio.form_replay import can_replay, form_owner, parse_replayable_form
from .sansio.request_kind import SAFE_METHODS, kind_of_request
from .sansio.return_path import MAX_LOCATION_CHARS, with_query, with_return_path
from .sansio.states import Reason, RequestKind, ResponseKind
from .setup_warnings import warn_of_absent_claims, warn_of_header_tokens, warn_of_ways_to_sign_in

RETRY_AFTER_SECONDS = 10

_PAGES = (
    ResponseKind.REFRESH_PAGE,
    ResponseKind.SIGN_IN_PAGE,
    ResponseKind.OUTAGE_PAGE,
    ResponseKind.CROSS_SITE_PAGE,
    ResponseKind.FACTOR_PAGE,
)
_STATUS_OF_PAGE = {
    ResponseKind.OUTAGE_PAGE: 503,
    ResponseKind.CROSS_SITE_PAGE: 403,
    ResponseKind.FACTOR_PAGE: 403,
    ResponseKind.CLAIMS_PAGE: 403,
}

_FOR_PENDING = frozenset(
    {ResponseKind.FACTOR_REDIRECT, ResponseKind.FACTOR_PAGE, ResponseKind.FACTOR_JSON}
)

# As SuperTokens' own validator says it.
_FACTOR_FAILURE = ClaimFailure(MFA_CLAIM, {"message": "MFA requirement for auth is not satisfied"})

_ASKING_REFRESH = (
    ResponseKind.REFRESH_PAGE,
    ResponseKind.REFRESH_REDIRECT,
    ResponseKind.TRY_REFRESH,
)

_LEADING_TO_SIGN_IN = frozenset(
    {
        ResponseKind.REFRESH_PAGE,
        ResponseKind.REFRESH_REDIRECT,
        ResponseKind.SIGN_IN_PAGE,
        ResponseKind.SIGN_IN_REDIRECT,
    }
)


class SessionRequired(HTTPException):
    """Carries the answer to a request that needs a session; raised by ``require_session()``.

    It has no status code of its own, so Flask takes its response as it is and an app's error
    handlers for other HTTP errors leave it alone.
    """


class InvalidClaimsError(Forbidden):
    """A document was asked for by a session that lacks a claim: 403, for the app's error handler.

    :ivar failures: every condition that was not met. Their reasons may hold claim values.
    """

    description = "You are signed in, but may not see this page."

    def __init__(self, failures: Sequence[ClaimFailure]) -> None:
        super().__init__()
        self.failures = tuple(failures)


def refuse_claims(state: AppState, failures: Sequence[ClaimFailure]) -> Response:
    """Return what tells a script that its session lacks claims.

    :raises InvalidClaimsError: a document was asked for; the app has pages of its own for that.
    """
    record = current_request_state()
    record.refused = record.lacks_claims = True
    warn_of_absent_claims(state, failures)
    if kind_of_request(request.headers.get) is RequestKind.DOCUMENT:
        raise InvalidClaimsError(failures)
    return tell_of_claims(state, failures)


def tell_of_claims(state: AppState, failures: Sequence[ClaimFailure]) -> Response:
    """Return the body that SuperTokens' own SDK sends, so that the browser SDK tells the page.

    A prefetch is declined: a page that is kept for later would be wrong by then.
    """
    if kind_of_request(request.headers.get) is RequestKind.PREFETCH:
        return reply(state, ResponseKind.PREFETCH_DECLINED)
    response = make_response(
        jsonify(
            message="invalid claim",
            claimValidationErrors=[{"id": f.id, "reason": f.reason} for f in failures],
        ),
        state.ready().deployment.invalid_claim_status,
    )
    _disable_htmx_swap(response)
    return sealed(current_app.make_response(response), state.verdict())


def _refuse_pending(state: AppState, answer: ResponseKind) -> Response | None:
    """Return what a pending request gets, or None for a page of ours.

    :raises InvalidClaimsError: a document was asked for, and nobody knows where a visitor
        completes sign-in, or that is this very page.
    """
    factor_url = state.ready().deployment.factor_url
    if answer is ResponseKind.FACTOR_JSON:
        response = tell_of_claims(state, [_FACTOR_FAILURE])
        if factor_url is not None and _is_htmx_alone():
            response.headers["HX-Redirect"] = factor_location(state, _page_of_htmx())
        return response
    if factor_url is None or is_closed_factor_page():
        current_request_state().refused = True
        raise InvalidClaimsError([_FACTOR_FAILURE])
    if answer is ResponseKind.FACTOR_REDIRECT:
        return sealed(
            current_app.make_response(redirect(factor_location(state, current_return_path()))),
            state.verdict(),
        )
    return None


def reply(state: AppState, answer: ResponseKind) -> Response:
    """Return the response that says *answer* to the current request."""
    verdict = state.verdict()
    record = current_request_state()
    response: WerkzeugResponse
    if answer in _LEADING_TO_SIGN_IN and is_closed_sign_in():
        answer = ResponseKind.SIGN_IN_PAGE  # which leads nowhere by itself here
    if answer in _LEADING_TO_SIGN_IN:
        warn_of_ways_to_sign_in(state)
    record.refresh_response = answer if answer in _ASKING_REFRESH else None
    if answer in _FOR_PENDING and (refusal := _refuse_pending(state, answer)) is not None:
        return refusal
    if answer is ResponseKind.SIGN_IN_REDIRECT:
        response = redirect(sign_in_location(state, current_return_path()))
    elif answer is ResponseKind.REFRESH_REDIRECT:
        query = {"redirectBack": current_return_path()}
        if record.requirements.optional:
            query["optional"] = "1"
        location = with_query(refresh_path(), **query)
        # Encoded once more, an address may outgrow the line that a server reads.
        fits = len(location) <= MAX_LOCATION_CHARS
        # Where this page alone asks for it, only this page can say that a session is revoked.
        is_known_there = verdict.reason is not Reason.REVOKED or state.settings.check_revoked
        response = redirect(location) if fits and is_known_there else document(state)
    elif answer in _PAGES:
        if answer is ResponseKind.REFRESH_PAGE and record.requirements.keep_form:
            keep_form(record)
        response = document(state)
        _set_page_status(response, answer)
    elif answer is ResponseKind.PREFETCH_DECLINED:
        response = make_response("", 503)
    elif answer is ResponseKind.UNAVAILABLE_JSON:
        response = make_response(jsonify(message="session cannot be checked right now"))
        _set_page_status(response, ResponseKind.OUTAGE_PAGE)
    elif answer is ResponseKind.CROSS_SITE_JSON:
        response = make_response(jsonify(message="refused: another site sent this request"), 403)
    else:
        # The body that SuperTokens' own SDK sends; its browser SDK refreshes on the status alone.
        try_refresh = answer is ResponseKind.TRY_REFRESH
        response = make_response(
            jsonify(message="try refresh token" if try_refresh else "unauthorised"),
            state.ready().deployment.session_expired_status,
        )
        if _is_htmx_alone():
            # htmx on a page without the browser SDK: the visitor leaves the page, and comes back
            # to it. After a form it stays, and with it what was typed.
            response.headers["HX-Redirect"] = _htmx_redirect_url(state, try_refresh=try_refresh)
    _disable_htmx_swap(response)
    return sealed(current_app.make_response(response), verdict)


def _disable_htmx_swap(response: WerkzeugResponse) -> None:
    if "HX-Request" in request.headers:
        # htmx 4 shows the body of every answer in place of the fragment.
        response.headers["HX-Reswap"] = "none"


def _is_htmx_alone() -> bool:
    """Return whether htmx asks, safely, on a page without the browser SDK."""
    asks_alone = "HX-Request" in request.headers and "st-auth-mode" not in request.headers
    return asks_alone and request.method in SAFE_METHODS


def _page_of_htmx() -> str:
    """Return the page that htmx runs on, fit to come back to."""
    try:
        page = urlsplit(request.headers.get("HX-Current-URL", ""))
    except ValueError:
        page = urlsplit("/")
    return safe_target(f"{page.path}?{page.query}" if page.query else page.path)


def _htmx_redirect_url(state: AppState, *, try_refresh: bool) -> str:
    """Return where a page with htmx goes for a session.

    To reload it (``HX-Refresh``) would do for a page that asks for a session itself; one that is
    open to all would be reloaded for ever.
    """
    back = _page_of_htmx()
    if try_refresh:
        return with_return_path(refresh_path(), "redirectBack", back)
    return sign_in_location(state, back)


def document(state: AppState) -> Response:
    """Return our whole page for the current request."""
    response = make_response(render_document())
    headers = response.headers
    headers.setdefault("Referrer-Policy", "same-origin")
    policy = "frame-ancestors 'self'"
    if templates_are_unmodified():
        policy = content_security_policy(state)
    headers.setdefault("Content-Security-Policy", policy)
    return response


def _set_page_status(response: WerkzeugResponse, page: ResponseKind) -> None:
    """Give *response* the status of the page of ours that it shows, if it has no other."""
    if page is ResponseKind.OUTAGE_PAGE:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if response.status_code == 200:
        # Success would make the browser drop the page with the form from its cache (RFC 9111
        # section 4.4), and with it what was typed.
        otherwise = 200 if request.method in SAFE_METHODS else 401
        response.status_code = _STATUS_OF_PAGE.get(page, otherwise)


def keep_form(record: RequestState) -> None:
    """Note the form that the current request brought, if it may and can be sent once more."""
    if record.form_checked:
        return
    record.form_checked = True
    content_type = request.content_type or ""
    if (
        request.method != "POST"
        or request_path() != current_return_path()
        or not is_same_origin(request.headers.get, request.host)
        or not can_replay(content_type, request.content_length)
    ):
        return
    cookies = request.cookies
    owner = form_owner(cookies.getlist(ACCESS_TOKEN_COOKIE), cookies.getlist(FRONT_TOKEN_COOKIE))
    if owner is None:  # to offer it to whoever is signed in later might be to the wrong one
        return
    try:
        body = request.get_data()
    except HTTPException:  # larger than the app allows, or broken off
        return
    # Shorter where somebody has parsed the form before: then nobody knows what was sent.
    if len(body) == request.content_length:
        record.form = parse_replayable_form(content_type, body, owner)


def finish(state: AppState, response: Response) -> Response:
    """Complete a response on its way out; runs after every other ``after_request``."""
    asked = current_request()
    record = state.record(asked)
    verdict = record.verdict
    if verdict is None:
        warn_of_header_tokens(state, asked, response)
        return response
    if current_g().get("session") is not record.session and state.app.debug:
        raise MisuseError(
            "g.session was replaced by the app during this request. Only flask_ssr_session sets "
            "it: decorators and needs_refresh do not follow it, and readers would be misled."
        )
    names = header_names(response)
    if "vary" in names:
        response.vary.add("Cookie")
    else:  # as plain text: a set of values takes ten times as long
        response.headers.add("Vary", "Cookie")
    if record.shown_page is not None:
        if not send_whole(response):
            replace_content(response, document(state))
        if record.return_path is None and kind_of_request(request.headers.get) is not (
            RequestKind.DOCUMENT
        ):
            # A template put the refresh page where a script or a cache will read it. What is
            # optional does not matter any more: the page chose to hold back.
            answer = state.answer()
            if record.lacks_claims:
                replace_content(
                    response, tell_of_claims(state, state.claim_failures(asked, record))
                )
            elif answer is not ResponseKind.ALLOW:
                replace_content(response, reply(state, answer))
        _set_page_status(response, record.shown_page)
        # At a host that the app does not trust, this is its page for 400, which has to go out.
        if record.shown_page in _LEADING_TO_SIGN_IN and trusted_host(asked):
            warn_of_ways_to_sign_in(state)
    if record.refused or record.shown_page is not None:
        # Once more: an after_request of the app's may have let caches keep it.
        sealed(response, verdict)
    else:
        set_cache_headers(state, record, verdict, response, names)
    # Of a template that is still being streamed nobody knows yet what it will show.
    if response.is_streamed and not response.direct_passthrough:
        record.streaming = True
    if record.refresh_response is not None:
        state.signal_refresh(record)
    return response
