"""The state of one request: its verdict, the requirements of its view, the plan of its response.

The state is kept with the request object, so that an app's changes to ``g`` do not affect it.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import ref

from flask import Request

from .app_state import AppState, current_state
from .conditional_requests import drop_conditions, may_respond_304
from .flask_context import current_context_id, current_g, current_request, query_args
from .request_facts import read_facts
from .request_paths import request_policy
from .request_scope import INNER_SCOPE, Scope
from .request_verdict import ask_app, ask_core, check_claims, decide_request, is_cured_here
from .sansio.claims import ClaimFailure
from .sansio.form_replay import ReplayableForm
from .sansio.policy_values import CONTINUE_PARAMETER, Plan, RequestFacts
from .sansio.requirements import Requirements
from .sansio.response_policy import PENDING_FAILURE, is_admitted_without_session, plan_response
from .sansio.states import Reason, ResponseKind
from .sansio.verdict import Verdict, stay_pending
from .session import SSRSession
from .signals import session_active
from .verdict_log import log_verdict

# On g: the state of the request that runs in this app context.
CURRENT_STATE_KEY = "_ssr_session_running"


class RequestState:
    """What one app knows about one request; the class holds the defaults, which few change.

    :ivar shared: the values of ``g``, also for requests inside; *context_id*: of its own context.
    :ivar parent: that of the request around this one, or None; *parent_session*: its ``g.session``.
    :ivar verdict: None until :meth:`decide` is called; set by :meth:`set_verdict` alone.
    :ivar exempt: the request has no session; its conditions and cache headers stay unchanged.
    :ivar in_hooks: Flask is running ``before_request`` functions, not the view.
    :ivar protected: content for a session was shown; *optional_shown*: content for everybody was.
    :ivar withheld: the plan that replaces the content; None while the content is shown.
    :ivar lacks_claims: content was withheld because the session lacks claims.
    :ivar rendered: the kind of this package's response that was rendered last, or None.
    :ivar shown_page: the page of this package that is part of the response, or None.
    :ivar refresh_plan: that of ``/refresh-session``, or None; *refresh_signalled*: signal sent.
    :ivar streaming: the response is complete, but a template may still stream.
    :ivar core_asked: the core was asked about the session; *app_asked*: so was the app.
    :ivar form: the form that the page carries, or None; *form_checked*: it was looked for.
    """

    verdict: Verdict | None = None
    exempt: bool = False
    in_hooks: bool = False
    protected: bool = False
    optional_shown: bool = False
    withheld: Plan | None = None
    lacks_claims: bool = False
    rendered: ResponseKind | None = None
    shown_page: ResponseKind | None = None
    refresh_plan: Plan | None = None
    refresh_signalled: bool = False
    streaming: bool = False
    core_asked: bool = False
    app_asked: bool = False
    form_checked: bool = False
    form: ReplayableForm | None = None
    _facts: RequestFacts | None = None
    _scope: Scope | None = None

    def __init__(self, app_state: AppState, request: Request) -> None:
        self.app_state = app_state
        self._get_request: Callable[[], Request] = ref(request)  # type: ignore[assignment]
        self.context_id = current_context_id()
        self.shared = shared = current_g()
        self.parent: RequestState | None = shared.get(CURRENT_STATE_KEY)
        self.parent_session = shared.get("session")
        shared[CURRENT_STATE_KEY] = self
        shared["session"] = None  # an earlier request may have left one in a g that lives on

    @property
    def request(self) -> Request:
        """The request. It holds this state; if both held each other, they would outlive its end."""
        return self._get_request()

    def decide(self) -> Verdict:
        """Return the verdict on the request, decided at the first call.

        :raises ConfigError: the settings of the app or of the SDK are invalid.
        """
        verdict = self.verdict
        if verdict is None:
            verdict = decide_request(self.app_state, self.request)
            if self.app_state.settings.check_revoked:
                verdict = ask_core(self.app_state, self.request, verdict)
                self.core_asked = True
            self.set_verdict(verdict)
        return verdict

    def set_verdict(self, verdict: Verdict) -> None:
        """Set the verdict, and with it ``g.session``."""
        before, self.verdict = self.verdict, verdict
        self.shared["session"] = self.session
        if verdict.session is None:
            if verdict.reason is not Reason.ANONYMOUS:
                log_verdict(self.app_state, verdict)
        # Inline: a call would cost every request more.
        elif session_active.receivers and (before is None or before.session is None):
            self.app_state.send_signal(session_active)

    @property
    def session(self) -> SSRSession | None:
        """The value that ``g.session`` was set to."""
        verdict = self.verdict
        if verdict is None or verdict.pending_session is None:
            return verdict and verdict.session
        return verdict.pending_session if self.scope.admits_pending else None

    @property
    def scope(self) -> Scope:
        """What the code that runs now requires: that of an inner function, or the view's."""
        inner = INNER_SCOPE.get()
        if inner is not None and inner.owner is self:
            return inner
        return self._scope or self.__dict__.setdefault("_scope", Scope())

    def ask_core(self) -> None:
        """Ask the core about the session, once per request.

        :raises MisuseError: no SDK in this process knows the core.
        """
        before = self.decide()
        # With SSR_SESSION_CHECK_REVOKED, decide() has asked the core already.
        if not self.core_asked:
            verdict = ask_core(self.app_state, self.request, before)
            self._replace_verdict(stay_pending(before, verdict))
            self.core_asked = True

    def _replace_verdict(self, verdict: Verdict) -> None:
        if verdict is not self.verdict:
            self.set_verdict(verdict)
        if not may_respond_304(verdict.state) and not self.exempt:
            drop_conditions(self.request)

    def require(self, requirements: Requirements, *, admits_pending: bool = False) -> Scope:
        """Set the requirements of the code that runs from here on, and return its scope.

        :param admits_pending: ``g.session`` is set for a user with incomplete factors, too.
        """
        scope = self.scope
        if requirements != scope.requirements or admits_pending != scope.admits_pending:
            scope.requirements = requirements
            scope.failures = scope.plan = None
            if admits_pending != scope.admits_pending:
                scope.admits_pending = admits_pending
                current_g()["session"] = self.session
        return scope

    @property
    def failures(self) -> tuple[ClaimFailure, ...]:
        """Every claim that the view requires and the session does not meet.

        Empty without a session, and if the view is optional.

        :raises MisuseError: in debug only, a validator or an override fails.
        """
        scope, verdict = self.scope, self.decide()
        known = scope.failures
        if known is None or known[0] is not verdict:
            failures = check_claims(
                self.app_state,
                self.request,
                self.session,
                scope.requirements,
                admits_pending=scope.admits_pending,
                signed_in_at=verdict.signed_in_at,
            )
            known = scope.failures = verdict, failures
        return known[1]

    @property
    def facts(self) -> RequestFacts:
        """The facts of the request, read at the first access."""
        if self._facts is None:
            self._facts = read_facts(self.request, self.app_state.sdk_binding())
        return self._facts

    @property
    def plan(self) -> Plan:
        """The plan of the response, decided at the first access."""
        scope, verdict = self.scope, self.decide()
        known = scope.plan
        if known is None or known[0] is not verdict:
            plan = plan_response(
                verdict,
                self.facts,
                request_policy(self.app_state.sdk_binding()),
                optional=scope.optional,
                optional_view=scope.requirements.optional,
                failures=self.failures,
            )
            known = scope.plan = verdict, plan
        return known[1]

    @property
    def page_plan(self) -> Plan:
        """The plan of the page that the macro shows."""
        return self.refresh_plan or self.plan

    def is_admitted(self, *, optional: bool) -> bool:
        """Return whether the code that runs now may show its content.

        :param optional: it also has content for visitors without a session.
        :raises MisuseError: in debug only, a claim validator or an override fails.
        """
        verdict, scope = self.decide(), self.scope
        is_pending = verdict.pending_session is not None and not (optional or scope.admits_pending)
        if is_pending and is_cured_here(self.app_state, self.request, PENDING_FAILURE):
            self.require(scope.requirements, admits_pending=True)
        ask_app_now = self.app_state.is_revoked is not None and not (optional or self.app_asked)
        if ask_app_now and self.session is not None:
            self.app_asked = True
            self._replace_verdict(verdict := ask_app(self.app_state, verdict))
        if self.session is not None:
            return optional or not self.failures
        return is_admitted_without_session(
            verdict.state,
            optional=optional,
            continues_signed_out=optional and CONTINUE_PARAMETER in query_args(self.request),
        )


def request_state_of(app_state: AppState) -> RequestState:
    """Return the state of the current request, which begins without a session."""
    request = current_request()
    state: RequestState | None = request.__dict__.get(app_state.request_key)
    if state is None:
        state = request.__dict__[app_state.request_key] = RequestState(app_state, request)
    return state


def current_request_state() -> RequestState:
    """Return the state of the current request.

    :raises MisuseError: ``init_app`` was not called for this app.
    """
    return request_state_of(current_state())
