"""The hooks that run before, after and at the end of each request of an app."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from flask import Flask, Response, request_started

from .app_state import AppState
from .cache_headers import (
    header_fields,
    mark_no_store,
    replace_content,
    set_cache_headers,
    undo_conditional,
    vary_by_cookie,
)
from .conditional_requests import drop_conditions, may_respond_304, unmark_tags
from .decorators import require_session
from .errors import MisuseError
from .exemptions import is_exempt
from .flask_context import current_context_id
from .form_capture import capture_form
from .request_state import CURRENT_STATE_KEY, RequestState, request_state_of
from .request_verdict import check_global_claims
from .responses import full_page_response, render, set_page_status
from .sansio.policy_values import Plan
from .sansio.request_kind import kind_of_request
from .sansio.states import RequestKind, ResponseKind, SessionState
from .setup_warnings import warn_of_header_tokens
from .withholding import signal_refresh, withhold

# The conditions of require_session that lead to a page with the form.
_CURABLE = frozenset({"email_verified", "validators", "factor", "user"})


def begin_requests_early(app_state: AppState) -> None:
    """Begin requests before receivers of the signal ``request_started`` run."""
    app_state.receivers.append(receiver := _make_early_receiver(app_state))
    request_started.connect(receiver, app_state.app)


def begin_request(app_state: AppState) -> RequestState:
    """Return the state of the current request; run the preparations before the first one."""
    if not app_state.is_prepared:
        app_state.prepare()
    return request_state_of(app_state)


def before_request(state: RequestState) -> None:
    """Set ``g.session``, and remove conditions that would show another session's page."""
    app_state, request = state.app_state, state.request
    if is_exempt(app_state, request):
        state.exempt = True
        return
    verdict = state.decide()
    if verdict.session is not None:
        unmark_tags(request, verdict.session)
    elif not may_respond_304(verdict.state):
        drop_conditions(request)
    if request.method == "POST":
        _capture_form_before_hooks(state)


def _make_early_receiver(app_state: AppState) -> Callable[..., None]:
    """Return a receiver that begins requests for other receivers of the same signal."""

    def begin_before_hook(app: Flask, **_more: Any) -> None:
        begin_request(app_state)
        # A signal costs more than the hook. Without other receivers, nothing runs before
        # dispatch_watch, which begins the request otherwise.
        if list(request_started.receivers_for(app)) == [begin_before_hook]:
            request_started.disconnect(begin_before_hook)

    return begin_before_hook


def _capture_form_before_hooks(state: RequestState) -> None:
    """Keep the form for a view that wants it, before a hook of the app (Flask-WTF's) parses it."""
    app_state, request = state.app_state, state.request
    mark = app_state.view_marks.of(app_state.app.view_functions, request.endpoint)
    # Only a partial shows its requirements before it runs.
    hooks = [
        hook.keywords
        for owner in (None, *request.blueprints)
        for hook in app_state.app.before_request_funcs.get(owner, ())
        if isinstance(hook, partial) and hook.func is require_session
    ]
    if not (mark.keep_form or any(keywords.get("keep_form") is True for keywords in hooks)):
        return
    if kind_of_request(request.headers.get) is not RequestKind.DOCUMENT:
        return
    # Which claims an active session lacks, the view finds later. Without such a condition, its
    # body is not read: no page will show it.
    may_lack_claim = bool(mark.curable) or any(_CURABLE & keywords.keys() for keywords in hooks)
    session = state.session
    if session is None:
        # Not by the plan: the URL of sign-in may need what a hook of the app puts on g.
        offers_form = state.decide().state in (SessionState.REFRESH, SessionState.PENDING)
    elif may_lack_claim or not mark.global_claims:
        offers_form = may_lack_claim
    else:
        offers_form = bool(check_global_claims(app_state, request, session))
    if offers_form:
        capture_form(state)


def after_request(app_state: AppState, response: Response) -> Response:
    """Complete a response on its way out."""
    state = request_state_of(app_state)
    if state.verdict is None:
        warn_of_header_tokens(app_state, state.request, response)
        return response
    if app_state.app.debug and state.shared.get("session") is not state.session:
        raise MisuseError(
            "g.session was replaced by the app during this request. Only flask_ssr_session sets "
            "it: decorators and needs_refresh ignore the new value."
        )
    fields = header_fields(response)
    vary_by_cookie(response, fields)
    if state.withheld is not None:
        if state.shown_page is not None:
            _complete_page(state, state.withheld, response, state.shown_page, fields)
        # Again: an after_request function of the app may let caches store the response.
        mark_no_store(state, response)
    # A streaming template may still render the refresh page.
    state.streaming = response.is_streamed and not response.direct_passthrough
    if state.withheld is None:
        set_cache_headers(state, state.verdict, response, fields)
    if state.rendered is not None:
        signal_refresh(state, state.rendered)
    return response


def _complete_page(
    state: RequestState,
    plan: Plan,
    response: Response,
    page: ResponseKind,
    fields: Mapping[str, str],
) -> None:
    """Complete a response that contains a page of this package.

    :param plan: the last one that replaced content.
    :param fields: those of *response*.
    """
    if not undo_conditional(response, fields):
        replace_content(response, full_page_response(state))
    if plan.kind is ResponseKind.ALLOW and state.lacks_claims:  # a part of the page was withheld
        plan = plan.replace(kind=ResponseKind.CLAIMS_JSON)
    # A template may render the page for a script or a prefetch, which must not get a page.
    if (
        state.refresh_plan is None
        and plan.kind is not ResponseKind.ALLOW
        and state.facts.kind is not RequestKind.DOCUMENT
    ):
        withhold(state, plan, plan.kind)
        replace_content(response, render(state, plan))
    set_page_status(state, response, page)


def end_request(app_state: AppState) -> None:
    """Restore ``g.session`` of the outer request, if the current request ran inside one.

    A view may run a request of its own app (a test client, a ``test_request_context``), and both
    share one ``g``. Without an outer request, the value stays: a response may still be streaming.
    """
    state = request_state_of(app_state)
    if state.context_id != current_context_id():  # a copy of the context ends, not the request
        return
    state.shared[CURRENT_STATE_KEY] = state.parent
    if state.parent is not None:
        state.shared["session"] = state.parent_session
