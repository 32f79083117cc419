"""Turn an answer into a response, and put on every response what caches and robots must know."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from flask import Response, current_app, g, jsonify, make_response, redirect, request
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as WerkzeugResponse

from .answers import SAFE_METHODS, Answer, RequestKind, kind_of_request
from .errors import MisuseError
from .pages import (
    content_security_policy,
    is_packaged_look,
    render_document,
    sign_in_location,
)
from .places import has_sign_in_route, here, is_closed_sign_in, refresh_path, return_target
from .state import AppState, RequestRecord, current_record
from .urls import with_query
from .verdict import SessionState, Verdict

RETRY_AFTER_SECONDS = 10
MAX_LOCATION_CHARS = 4000  # gunicorn's limit for the whole line is 4094

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


def reply(state: AppState, answer: Answer) -> Response:
    """Return the response that says *answer* to the current request."""
    verdict = state.verdict()
    record = current_record()
    response: WerkzeugResponse
    if answer in _LEADING_TO_SIGN_IN and is_closed_sign_in():
        answer = Answer.SIGN_IN_PAGE  # which leads nowhere by itself here
    if answer in _LEADING_TO_SIGN_IN:
        _warn_of_setup(state)
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
    elif answer in (Answer.REFRESH_PAGE, Answer.SIGN_IN_PAGE, Answer.OUTAGE_PAGE):
        response = document(state)
        if answer is Answer.OUTAGE_PAGE:
            _mark_outage(response)
    elif answer is Answer.NOT_NOW:
        response = make_response("", 503)
    elif answer is Answer.OUTAGE:
        response = make_response(jsonify(message="session cannot be checked right now"))
        _mark_outage(response)
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
    if "HX-Request" in request.headers:
        # htmx 4 shows the body of every answer in place of the fragment.
        response.headers["HX-Reswap"] = "none"
    return sealed(current_app.make_response(response), verdict)


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
        return with_query(refresh_path(), redirectBack=back)
    return sign_in_location(state, back)


def _warn_of_setup(state: AppState) -> None:
    """Say in the log, once, what lets sign-in fail without any error anywhere."""
    deployment = state.ready().deployment
    host = urlsplit(deployment.api_domain).hostname
    if deployment.cookie_domain is None and request.host.partition(":")[0] != host:
        state.warn_once(
            "other_host",
            f"a page was asked for at another host than the API's {deployment.api_domain}, and no "
            "cookie domain is set: the browser sends that page no token (localhost and 127.0.0.1 "
            "are different hosts, too)",
        )
    if not has_sign_in_route():
        state.warn_once(
            "no_sign_in",
            f"no view of this app answers {deployment.login_url}, where visitors are sent to "
            "sign in; set SSR_SESSION_LOGIN_URL if it is elsewhere",
        )


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


def _mark_outage(response: WerkzeugResponse) -> None:
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if response.status_code == 200:
        response.status_code = 503


def sealed(response: Response, verdict: Verdict) -> Response:
    """Mark a response that shows a visitor's state instead of content: no cache may keep it."""
    current_record().refused = True
    response.headers["Cache-Control"] = "no-store"
    _drop_targeted(response)
    response.headers["X-Robots-Tag"] = "noindex"
    response.headers["SSR-Session"] = f"{verdict.state.value}; reason={verdict.reason.value}"
    response.vary.add("Cookie")
    return response


def _drop_targeted(response: WerkzeugResponse) -> None:
    """Leave no field that a delivery network follows in place of Cache-Control (RFC 9213)."""
    for name in {name.lower() for name in response.headers.keys()}:  # noqa: SIM118 - no dict
        if name.endswith("cdn-cache-control") or name == "surrogate-control":
            response.headers.pop(name)


def finish(state: AppState, response: Response) -> Response:
    """Complete a response on its way out; runs after every other ``after_request``."""
    record = current_record()
    verdict = record.verdict
    if verdict is None:
        return response
    if current_app.debug and g.get("session") is not verdict.session:
        raise MisuseError(
            "g.session was replaced by the app during this request. Only flask_ssr_session sets "
            "it: decorators and needs_refresh do not follow it, and readers would be misled."
        )
    response.vary.add("Cookie")
    if record.shown is not None:
        if record.return_to is None and kind_of_request(request.headers.get) is not (
            RequestKind.DOCUMENT
        ):
            # A template put the refresh page where a script or a cache will read it. What is
            # optional does not matter any more: the page chose to hold back.
            answer = state.answer()
            if answer is not Answer.PASS:
                _replace_content(response, reply(state, answer))
        if record.shown is Answer.OUTAGE_PAGE:
            _mark_outage(response)
    # Of a template that is still being streamed nobody knows yet what it will show.
    may_show = response.is_streamed and not response.direct_passthrough
    if record.refused or record.shown is not None or (may_show and _asks_to_wait(verdict)):
        # Once more: an after_request of the app's may have let caches keep it.
        sealed(response, verdict)
    elif record.protected:
        _keep_private(state, record, response)
    return response


def _asks_to_wait(verdict: Verdict) -> bool:
    return verdict.state in (SessionState.REFRESH, SessionState.UNAVAILABLE)


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


def _keep_private(state: AppState, record: RequestRecord, response: Response) -> None:
    """Keep a view's own cache headers from handing one visitor's page to all."""
    cache = response.cache_control
    if record.verdict is None or record.verdict.session is None:
        return
    if cache.public or cache.s_maxage is not None:
        cache.public = False
        cache.s_maxage = None
        state.warn_once(
            f"private.{quote(request.endpoint or '')}",
            "the view needs a session but allows shared caches to keep its answer; "
            "it was made private",
        )
    # must-understand takes no-store back (RFC 9111 section 5.2.2.3).
    if not cache.no_store or cache.must_understand:
        cache.private = True
    _drop_targeted(response)
