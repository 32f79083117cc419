"""Turn an answer into a response, and put on every response what caches and robots must know."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlsplit

from flask import Response, current_app, jsonify, make_response, redirect, request
from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from .answers import SAFE_METHODS, Answer, RequestKind, kind_of_request
from .claims import ClaimFailure
from .cross_site import is_same_origin
from .errors import MisuseError
from .forms import kept_form, may_be_kept
from .pages import (
    content_security_policy,
    is_packaged_look,
    render_document,
    sign_in_location,
)
from .places import here, is_closed_sign_in, own_address, refresh_path, return_target
from .setup_log import warn_of_absent_claims, warn_of_header_tokens, warn_of_ways_to_sign_in
from .state import AppState, RequestRecord, current_g, current_record, current_request, own_host
from .urls import MAX_LOCATION_CHARS, with_query, with_return_path
from .verdict import SessionState, Verdict

RETRY_AFTER_SECONDS = 10

_PAGES = (Answer.REFRESH_PAGE, Answer.SIGN_IN_PAGE, Answer.OUTAGE_PAGE, Answer.REFUSED_PAGE)
_STATUS_OF_PAGE = {Answer.OUTAGE_PAGE: 503, Answer.REFUSED_PAGE: 403}

_ASKING_REFRESH = (Answer.REFRESH_PAGE, Answer.REFRESH_REDIRECT, Answer.TRY_REFRESH)

_LEADING_TO_SIGN_IN = frozenset(
    {
        Answer.REFRESH_PAGE,
        Answer.REFRESH_REDIRECT,
        Answer.SIGN_IN_PAGE,
        Answer.SIGN_IN_REDIRECT,
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
    current_record().refused = True
    warn_of_absent_claims(state, failures)
    if kind_of_request(request.headers.get) is not RequestKind.SCRIPT:
        raise InvalidClaimsError(failures)
    # The body that SuperTokens' own SDK sends, so that the browser SDK tells the page of it.
    response = make_response(
        jsonify(
            message="invalid claim",
            claimValidationErrors=[{"id": f.id, "reason": f.reason} for f in failures],
        ),
        state.ready().deployment.invalid_claim_status,
    )
    _keep_fragment(response)
    return sealed(current_app.make_response(response), state.verdict())


def reply(state: AppState, answer: Answer) -> Response:
    """Return the response that says *answer* to the current request."""
    verdict = state.verdict()
    record = current_record()
    response: WerkzeugResponse
    if answer in _LEADING_TO_SIGN_IN and is_closed_sign_in():
        answer = Answer.SIGN_IN_PAGE  # which leads nowhere by itself here
    if answer in _LEADING_TO_SIGN_IN:
        warn_of_ways_to_sign_in(state)
    record.asks_refresh = answer if answer in _ASKING_REFRESH else None
    if answer is Answer.SIGN_IN_REDIRECT:
        response = redirect(sign_in_location(state, here()))
    elif answer is Answer.REFRESH_REDIRECT:
        query = {"redirectBack": here()}
        if record.optional_view:
            query["optional"] = "1"
        location = with_query(refresh_path(), **query)
        # Encoded once more, an address may outgrow the line that a server reads.
        fits = len(location) <= MAX_LOCATION_CHARS
        response = redirect(location) if fits else document(state)
    elif answer in _PAGES:
        if answer is Answer.REFRESH_PAGE and record.keeps_form:
            keep_form(record)
        response = document(state)
        _mark_shown(response, answer)
    elif answer is Answer.NOT_NOW:
        response = make_response("", 503)
    elif answer is Answer.OUTAGE:
        response = make_response(jsonify(message="session cannot be checked right now"))
        _mark_shown(response, Answer.OUTAGE_PAGE)
    elif answer is Answer.REFUSED:
        response = make_response(jsonify(message="refused: another site sent this request"), 403)
    else:
        # The body that SuperTokens' own SDK sends; its browser SDK refreshes on the status alone.
        try_refresh = answer is Answer.TRY_REFRESH
        response = make_response(
            jsonify(message="try refresh token" if try_refresh else "unauthorised"),
            state.ready().deployment.session_expired_status,
        )
        asks_alone = "HX-Request" in request.headers and "st-auth-mode" not in request.headers
        if asks_alone and request.method in SAFE_METHODS:
            # htmx on a page without the browser SDK: the visitor leaves the page, and comes back
            # to it. After a form it stays, and with it what was typed.
            response.headers["HX-Redirect"] = _way_for_htmx(state, try_refresh=try_refresh)
    _keep_fragment(response)
    return sealed(current_app.make_response(response), verdict)


def _keep_fragment(response: WerkzeugResponse) -> None:
    if "HX-Request" in request.headers:
        # htmx 4 shows the body of every answer in place of the fragment.
        response.headers["HX-Reswap"] = "none"


def _way_for_htmx(state: AppState, *, try_refresh: bool) -> str:
    """Return where a page with htmx goes for a session.

    To reload it (``HX-Refresh``) would do for a page that asks for a session itself; one that is
    open to all would be reloaded for ever.
    """
    try:
        page = urlsplit(request.headers.get("HX-Current-URL", ""))
    except ValueError:
        page = urlsplit("/")
    back = return_target(f"{page.path}?{page.query}" if page.query else page.path)
    if try_refresh:
        return with_return_path(refresh_path(), "redirectBack", back)
    return sign_in_location(state, back)


def document(state: AppState) -> Response:
    """Return our whole page for the current request."""
    response = make_response(render_document())
    headers = response.headers
    headers.setdefault("Referrer-Policy", "same-origin")
    policy = "frame-ancestors 'self'"
    if is_packaged_look():
        policy = content_security_policy(state)
    headers.setdefault("Content-Security-Policy", policy)
    return response


def _mark_shown(response: WerkzeugResponse, page: Answer) -> None:
    """Give *response* the status of the page of ours that it shows, if it has no other."""
    if page is Answer.OUTAGE_PAGE:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if response.status_code == 200:
        # Success would make the browser drop the page with the form from its cache (RFC 9111
        # section 4.4), and with it what was typed.
        otherwise = 200 if request.method in SAFE_METHODS else 401
        response.status_code = _STATUS_OF_PAGE.get(page, otherwise)


def keep_form(record: RequestRecord) -> None:
    """Note the form that the current request brought, if it may and can be sent once more."""
    if record.form_looked_at:
        return
    record.form_looked_at = True
    content_type = request.content_type or ""
    if (
        request.method != "POST"
        or own_address() != here()
        or not is_same_origin(request.headers.get, request.host)
        or not may_be_kept(content_type, request.content_length)
    ):
        return
    try:
        body = request.get_data()
    except HTTPException:  # larger than the app allows, or broken off
        return
    # Shorter where somebody has parsed the form before: then nobody knows what was sent.
    if len(body) == request.content_length:
        record.form = kept_form(content_type, body)


def sealed(response: Response, verdict: Verdict) -> Response:
    """Mark a response that shows a visitor's state instead of content: no cache may keep it."""
    current_record().refused = True
    response.headers["Cache-Control"] = "no-store"
    _drop_targeted(response, _names(response))
    response.headers["X-Robots-Tag"] = "noindex"
    response.headers["SSR-Session"] = f"{verdict.state.value}; reason={verdict.reason.value}"
    response.vary.add("Cookie")
    return response


def _names(response: WerkzeugResponse) -> set[str]:
    """Return the names of all header fields, in lower case."""
    return {name.lower() for name, _ in response.headers}


def _drop_targeted(response: WerkzeugResponse, names: set[str]) -> None:
    """Leave no field that a delivery network follows in place of Cache-Control (RFC 9213)."""
    for name in names:
        if name.endswith("cdn-cache-control") or name == "surrogate-control":
            response.headers.pop(name)


def finish(state: AppState, response: Response) -> Response:
    """Complete a response on its way out; runs after every other ``after_request``."""
    asked = current_request()
    record = state.record(asked)
    verdict = record.verdict
    if verdict is None:
        warn_of_header_tokens(state, asked, response)
        return response
    if current_g().get("session") is not verdict.session and state.app.debug:
        raise MisuseError(
            "g.session was replaced by the app during this request. Only flask_ssr_session sets "
            "it: decorators and needs_refresh do not follow it, and readers would be misled."
        )
    names = _names(response)
    if "vary" in names:
        response.vary.add("Cookie")
    else:  # as plain text: a set of values takes ten times as long
        response.headers.add("Vary", "Cookie")
    if record.shown is not None:
        if record.return_to is None and kind_of_request(request.headers.get) is not (
            RequestKind.DOCUMENT
        ):
            # A template put the refresh page where a script or a cache will read it. What is
            # optional does not matter any more: the page chose to hold back.
            answer = state.answer()
            if answer is not Answer.PASS:
                _replace_content(response, reply(state, answer))
        _mark_shown(response, record.shown)
        # At a host that the app does not trust, this is its page for 400, which has to go out.
        if record.shown in _LEADING_TO_SIGN_IN and own_host(asked):
            warn_of_ways_to_sign_in(state)
    # Of a template that is still being streamed nobody knows yet what it will show.
    may_show = response.is_streamed and not response.direct_passthrough
    if record.refused or record.shown is not None or (may_show and _asks_to_wait(verdict)):
        # Once more: an after_request of the app's may have let caches keep it.
        sealed(response, verdict)
    elif record.protected:
        _keep_private(state, record, response, names)
    if may_show:
        record.on_its_way = True
    if record.asks_refresh is not None:
        state.announce_refresh(record)
    return response


def _asks_to_wait(verdict: Verdict) -> bool:
    return verdict.state not in (SessionState.ACTIVE, SessionState.ANONYMOUS)


_ABOUT_CONTENT = (
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Range",
    "ETag",
    "Last-Modified",
)


def _replace_content(response: Response, answer: Response) -> None:
    """Let *response* say *answer*, under the headers that the app's hooks gave it (CORS)."""
    for name in _ABOUT_CONTENT:
        response.headers.pop(name, None)
    response.headers.update((name, value) for name, value in answer.headers if name != "Vary")
    response.direct_passthrough = False
    response.status_code = answer.status_code
    response.set_data(answer.get_data())


def _keep_private(
    state: AppState, record: RequestRecord, response: Response, names: set[str]
) -> None:
    """Keep a view's own cache headers from handing one visitor's page to all."""
    if record.verdict is None or record.verdict.session is None:
        return
    _drop_targeted(response, names)
    if "cache-control" not in names:
        response.headers.add("Cache-Control", "private")
        return
    cache = response.cache_control
    if cache.public or cache.s_maxage is not None:
        cache.public = False
        cache.s_maxage = None
        state.warn_once(
            f"private.{quote(request.endpoint or '')}",
            "the view needs a session but allows shared caches to keep its answer; "
            "it was made private",
        )
    # must-understand takes no-store back (RFC 9111 section 5.2.2.3).
    # Asked as a key, as Werkzeug 3.0 has no attribute of that name.
    if not cache.no_store or "must-understand" in cache:
        cache.private = True
