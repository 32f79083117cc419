"""Turn a plan into a response, and the two exceptions that carry one."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response, current_app, jsonify, make_response, redirect
from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.urls import iri_to_uri
from werkzeug.wrappers import Response as WerkzeugResponse

from .cache_headers import header_fields, mark_no_store
from .flask_context import check_trusted_host
from .form_capture import capture_form
from .pages.document import render_document
from .pages.jinja_env import templates_are_unmodified
from .pages.packaged_templates import content_security_policy
from .request_state import RequestState
from .sansio.claims import ClaimFailure
from .sansio.policy_values import Plan
from .sansio.response_policy import is_page, leads_to_sign_in, page_status
from .sansio.script_response import RETRY_AFTER_SECONDS, script_response
from .sansio.states import ResponseKind
from .withholding import withhold

_REDIRECTS = frozenset(
    {
        ResponseKind.SIGN_IN_REDIRECT,
        ResponseKind.REFRESH_REDIRECT,
    }
)
# The pages that can offer to send a form again.
_FORM_PAGES = frozenset({ResponseKind.REFRESH_PAGE, ResponseKind.REPAIR_PAGE})


class SessionRequired(HTTPException):
    """Carries the response to a request that needs a session; raised by ``require_session()``.

    It has no status code of its own, so Flask takes its response as it is and an app's error
    handlers for other HTTP errors do not apply.
    """


class InvalidClaimsError(Forbidden):
    """The session of a document request lacks a claim that no page cures: 403.

    The app's error handler shows it.

    Its ``str`` says in words what the session lacks, without claim values.

    :ivar failures: every condition that was not met. Their reasons may hold claim values.
    """

    description = "You are signed in, but may not see this page."

    def __init__(self, failures: Sequence[ClaimFailure]) -> None:
        super().__init__()
        self.failures = tuple(failures)

    def __str__(self) -> str:
        return f"{super().__str__()} ({'; '.join(map(str, self.failures))})"


def respond(state: RequestState) -> Response:
    """Return the response that replaces the content.

    :raises InvalidClaimsError: a document was requested, and an error handler of the app shows what
        the session lacks.
    :raises SecurityError: the app does not trust the requested host; Flask responds with 400.
    """
    plan = state.plan
    if leads_to_sign_in(plan.kind):
        check_trusted_host(state.request)
    withhold(state, plan, plan.kind)
    if plan.kind is ResponseKind.CLAIMS_ERROR:
        raise InvalidClaimsError(plan.failures)
    return render(state, plan)


def render(state: RequestState, plan: Plan) -> Response:
    """Return the response that *plan* describes."""
    response: WerkzeugResponse
    if plan.kind in _REDIRECTS:
        response = redirect(plan.location)
    elif is_page(plan.kind):
        if plan.kind in _FORM_PAGES and state.scope.requirements.keep_form:
            capture_form(state)
        response = full_page_response(state)
        set_page_status(state, response, plan.kind)
    else:
        response = _respond_to_script(state, plan)
        if plan.location:
            response.headers["HX-Redirect"] = iri_to_uri(plan.location)
    if "HX-Request" in state.request.headers:
        # htmx 4 would show the body of any response in place of the fragment.
        response.headers["HX-Reswap"] = "none"
    return mark_no_store(state, current_app.make_response(response))


def full_page_response(state: RequestState) -> Response:
    """Return the whole page that the plan of the request shows."""
    is_unmodified = templates_are_unmodified()
    response = make_response(render_document(state, is_unmodified=is_unmodified))
    # An app's own document may show a page without calling the macro.
    state.shown_page = state.page_plan.page
    policy = "frame-ancestors 'self'"
    if is_unmodified:
        policy = content_security_policy(state.app_state.sdk_binding().resolved.api_domain)
    # The app's response class may have set one. Headers.setdefault() takes 4 µs.
    fields = header_fields(response)
    for name, value in (("Referrer-Policy", "same-origin"), ("Content-Security-Policy", policy)):
        if name.lower() not in fields:
            response.headers.add(name, value)
    return response


def set_page_status(state: RequestState, response: WerkzeugResponse, page: ResponseKind) -> None:
    """Give *response* the status of the page that it shows, unless it has a status of its own."""
    if page is ResponseKind.OUTAGE_PAGE:
        response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    status = page_status(page, is_safe=state.facts.is_safe)
    if response.status_code == 200 != status:
        response.status_code = status


def _respond_to_script(state: RequestState, plan: Plan) -> Response:
    resolved = state.app_state.sdk_binding().resolved
    answer = script_response(
        plan,
        session_expired_status=resolved.session_expired_status,
        invalid_claim_status=resolved.invalid_claim_status,
    )
    body = "" if answer.body is None else jsonify(answer.body)
    response = make_response(body, answer.status)
    if answer.retry_after is not None:
        response.headers["Retry-After"] = str(answer.retry_after)
    return response
