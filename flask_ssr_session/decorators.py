"""Say of a view whether it needs a session, may have one, or has nothing to do with it."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast, overload
from weakref import WeakValueDictionary

from flask import Flask, Request, current_app, has_request_context, request

from .app_state import (
    REFRESH_ENDPOINT,
    AppState,
    RequestState,
    current_request,
    current_request_state,
    current_state,
)
from .errors import MisuseError
from .navigation import is_exempt, is_open_sign_in
from .responses import SessionRequired, keep_form, refuse_claims, reply
from .sansio.claims import UNSET, ClaimRequirements, ClaimValidator
from .sansio.requirements import Requirements, ViewMark, mark_view, wrapped_chain
from .sansio.states import ResponseKind, SessionState
from .session import SSRSession

_View = TypeVar("_View", bound=Callable[..., Any])

_WRAPPED_BY_MARK = "_ssr_session_wrapped_by"

# What the decorators below return, by id, as long as it lives; for setup_checks alone.
GUARDS: WeakValueDictionary[int, Callable[..., Any]] = WeakValueDictionary()

# None is what a decorator returns that returns nothing, such as a route of flask-sock.
_NOT_GIVEN: Any = object()


def get_ssr_session() -> SSRSession | None:
    """Return the session of the current request, typed; None where there is none.

    :raises MisuseError: ``init_app`` was not called for this app.

    It is what ``g.session`` was set to, whatever the app put there since.
    """
    state, record = current_state(), current_request_state()
    state.verdict()
    return record.session


def get_session_state() -> SessionState:
    """Return the state of the current request's session, for layouts and views.

    :raises MisuseError: ``init_app`` was not called for this app.

    Say "Sign in" in the state ``ANONYMOUS`` alone: in ``REFRESH`` and ``UNAVAILABLE`` the visitor
    may well be signed in. Templates have the same as ``session_state``, by its value.
    """
    return current_state().verdict().state


@overload
def session_required(view: _View) -> _View: ...
@overload
def session_required(
    *,
    role: str = UNSET,
    permission: str = UNSET,
    email_verified: bool = False,
    validators: Sequence[ClaimValidator] = (),
    check_revoked: bool = False,
    keep_form: bool = False,
    allow_pending: bool = False,
    global_claims: bool = True,
) -> Callable[[_View], _View]: ...
def session_required(
    view: Callable[..., Any] = _NOT_GIVEN,
    *,
    role: str = UNSET,
    permission: str = UNSET,
    email_verified: bool = False,
    validators: Sequence[ClaimValidator] = (),
    check_revoked: bool = False,
    keep_form: bool = False,
    allow_pending: bool = False,
    global_claims: bool = True,
) -> Callable[..., Any]:
    """Run the view only for a verified session; everyone else gets the fitting answer first.

    A browser gets the refresh page, sign-in or an honest outage page, a script a status that it
    understands. A user who has not completed all factors of sign-in is led on to the next one.
    Works with and without parentheses, on plain and async views.

    It goes **below** the route, because the route keeps what it is given::

        @app.route("/account")
        @session_required
        def account(): ...

    The SDK's global claim validators and all conditions on claims are asked of the access token's
    payload; nothing is fetched for them. Where one fails the answer is 403:
    :class:`InvalidClaimsError` for documents, SuperTokens' JSON for scripts.

    :param role: a role the user must have (``st-role``). Left out, none is asked for; None is an
        error, so that a missing setting opens nothing. *permission* likewise.
    :param permission: a permission the user must have (``st-perm``).
    :param email_verified: the user's e-mail address must be verified (``st-ev``).
    :param validators: SuperTokens claim validators, such as
        ``UserRoleClaim.validators.includes_any(["admin", "editor"])``.
    :param check_revoked: ask the core whether the session still exists: one more request to it,
        of at most 3 s, and a core that is down makes the view unavailable.
    :param keep_form: when the token of a POST has run out, let the refresh page offer to send the
        form again: up to 64 KB, from this very host, without files and fields that look secret.
    :param allow_pending: run the view for users who have not completed all factors of sign-in,
        too: for the pages where they do. ``g.session`` is set for them.
    :param global_claims: False asks none of the claims that the SDK's recipes ask of every
        session, such as a verified e-mail address where EmailVerification is ``REQUIRED``.
    :raises MisuseError: a condition that would not ask what it seems to.
    """
    requirements = Requirements.of(
        ClaimRequirements.of(role, permission, email_verified, validators),
        check_revoked=check_revoked,
        keep_form=keep_form,
        allow_pending=allow_pending,
        global_claims=global_claims,
    )
    return _decorated(view, requirements)


@overload
def session_optional(view: _View) -> _View: ...
@overload
def session_optional() -> Callable[[_View], _View]: ...
def session_optional(view: Callable[..., Any] = _NOT_GIVEN) -> Callable[..., Any]:
    """Run the view for strangers too, with ``g.session`` None.

    A visitor whose token has run out is refreshed first, so that a signed-in reader is not shown
    the signed-out page; that page offers to go on without signing in. In an outage the view runs
    with ``g.session`` None.
    """
    return _decorated(view, Requirements(optional=True))


def session_exempt(view: _View) -> _View:
    """Leave the view alone: no token is looked at and no header is added for it.

    ``g.session`` is None in it, and nobody's origin is checked.

    What it returns is left alone, not the function itself, which may well be registered under
    another address that needs a session.
    """
    passed = _exempted(view)
    mark_view(passed, ViewMark(exempt=True))
    return cast("_View", passed)


def require_session(
    *,
    role: str = UNSET,
    permission: str = UNSET,
    email_verified: bool = False,
    validators: Sequence[ClaimValidator] = (),
    check_revoked: bool = False,
    keep_form: bool = False,
    allow_pending: bool = False,
    global_claims: bool = True,
) -> None:
    """Go on only with a verified session; for ``before_request`` and inside views.

    Register it for an app or a blueprint, ``blueprint.before_request(require_session)`` or, with
    conditions, ``blueprint.before_request(partial(require_session, role="admin"))``; or call it
    in a view. The conditions are those of :func:`session_required`.

    As a hook, it lets static files, CORS preflights that Flask answers, SuperTokens' own API, the
    sign-in and refresh pages, what the sign-in page's endpoint answers below it to safe methods,
    and views marked ``session_exempt`` pass. Unless it asks a condition on claims, it honours what
    the view is marked with: ``session_optional``, ``allow_pending`` and ``global_claims=False``.
    Called inside a view or an error handler, it means what it says.

    :raises SessionRequired: an HTTPException that carries the answer.
    :raises InvalidClaimsError: a document was asked for, and a condition on claims failed.
    :raises MisuseError: there is no request, or a condition would not ask what it seems to.
    """
    if not has_request_context():
        raise MisuseError(
            "require_session() asks about the current request. Give before_request the function "
            'itself, with conditions as partial(require_session, role="admin").'
        )
    claims = ClaimRequirements.of(role, permission, email_verified, validators)
    requirements = Requirements.of(
        claims,
        check_revoked=check_revoked,
        keep_form=keep_form,
        allow_pending=allow_pending,
        global_claims=global_claims,
    )
    state, asked = current_state(), current_request()
    record = state.record(asked)
    if not record.in_hooks:
        refused = _check(state, asked, record, requirements)
    elif is_exempt(state, asked) or request.endpoint == REFRESH_ENDPOINT or is_open_sign_in():
        return
    else:
        refused = _check(state, asked, record, _as_marked(state, requirements))
        # The mark is the view's: a decorator above it, which the hook has not let in, runs first.
        if refused is None:
            admits_pending = record.admits_pending and requirements.allow_pending
            state.require(record, requirements, admits_pending=admits_pending)
    if refused is not None:
        raise SessionRequired(response=refused)


def _as_marked(state: AppState, requirements: Requirements) -> Requirements:
    """Return what a hook asks of the current view, which may be marked to need less."""
    if requirements.claims != ClaimRequirements():
        return requirements
    mark = state.view_marks.of(state.app.view_functions, request.endpoint)
    return requirements._replace(
        optional=mark.optional,
        allow_pending=requirements.allow_pending or mark.allow_pending,
        global_claims=requirements.global_claims and mark.global_claims,
    )


def _decorated(view: Callable[..., Any], requirements: Requirements) -> Callable[..., Any]:
    if view is _NOT_GIVEN:
        # Registered as a hook by mistake, this is taken for a WSGI application and called as one.
        return lambda view=_NOT_GIVEN, *_: _decorated(view, requirements)
    if view is None:
        raise MisuseError(
            "session_required and session_optional were given None in place of a view: the "
            "decorator below them, perhaps a route, registers the bare function and returns "
            "nothing. Put it above, @session_required or @session_optional right at the function."
        )
    if not callable(view) or isinstance(view, type):
        raise MisuseError(
            "session_required and session_optional decorate a view function. A class-based view "
            "takes them in its list, decorators = [session_required]; before_request takes "
            'require_session, or partial(require_session, role="admin").'
        )

    guarded = _guarded(view, requirements)
    mark_view(
        guarded,
        ViewMark(
            optional=requirements.optional,
            allow_pending=requirements.allow_pending,
            global_claims=requirements.global_claims,
            keep_form=requirements.keep_form,
        ),
    )
    GUARDS[id(guarded)] = guarded
    # wraps() copied the mark of an earlier call for the same function, as factories make them.
    guarded.__dict__.pop(_WRAPPED_BY_MARK, None)
    # A guard that nothing has registered lives as long as what it wraps, so that it is found.
    for inner in wrapped_chain(view):
        # A builtin can be decorated, only not be marked.
        with contextlib.suppress(AttributeError):
            setattr(getattr(inner, "__func__", inner), _WRAPPED_BY_MARK, guarded)
    return guarded


def _guarded(view: Callable[..., Any], requirements: Requirements) -> Callable[..., Any]:
    """Return a view that runs only for whom *requirements* let in; others get their answer."""
    if inspect.iscoroutinefunction(view):

        @functools.wraps(view)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            with _Asking(guarded, requirements) as refused:
                return await view(*args, **kwargs) if refused is None else refused

    else:

        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with _Asking(guarded, requirements) as refused:
                return _call(view, *args, **kwargs) if refused is None else refused

    return guarded


def _exempted(view: Callable[..., Any]) -> Callable[..., Any]:
    """Return a view of its own that runs *view*, to be marked."""
    if inspect.iscoroutinefunction(view):

        @functools.wraps(view)
        async def exempted(*args: Any, **kwargs: Any) -> Any:
            return await view(*args, **kwargs)

    else:

        @functools.wraps(view)
        def exempted(*args: Any, **kwargs: Any) -> Any:
            return _call(view, *args, **kwargs)

    return exempted


def _call(view: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run *view* as Flask would, which matters where a decorator hides that it is async."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    return app.ensure_sync(view)(*args, **kwargs)


class _Asking:
    """While a guarded function runs, what it asks for counts; afterwards, that of the view.

    A function that the view calls, or a hook, may be open to more people than the page around it.
    """

    __slots__ = ("_asked", "_before", "_guard", "_record", "_requirements", "_state")

    def __init__(self, guard: Callable[..., Any], requirements: Requirements) -> None:
        self._guard = guard
        self._requirements = requirements
        self._state, self._asked = current_state(), current_request()
        self._record = self._state.record(self._asked)
        self._before = self._record.requirements, self._record.admits_pending

    def __enter__(self) -> Any:
        """Return the response that refuses the current request, or None."""
        try:
            return _check(self._state, self._asked, self._record, self._requirements)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        state = self._state
        is_view = not self._record.in_hooks and state.view_marks.is_part(
            state.app.view_functions, self._asked.endpoint, self._guard
        )
        # Of the view itself it counts to the end: what it streams is rendered after it returned.
        if not is_view:
            requirements, admits_pending = self._before
            state.require(self._record, requirements, admits_pending=admits_pending)


def _check(
    state: AppState, asked: Request, record: RequestState, requirements: Requirements
) -> Any:
    """Return the response that refuses the current request, or None where the view may run.

    :raises InvalidClaimsError: a document was asked for, and a condition on claims failed.
    """
    state.require(record, requirements)
    if requirements.check_revoked:
        state.check_revoked()
    verdict = state.verdict_on(asked, record)
    if verdict.pending_session is not None and requirements.allow_pending:
        state.require(record, requirements, admits_pending=True)
    elif verdict.session is None:
        answer = state.answer(optional=requirements.optional)
        return None if answer is ResponseKind.ALLOW else reply(state, answer)
    if requirements.optional:
        return None
    record.protected = True
    failures = state.claim_failures(asked, record)
    return refuse_claims(state, failures) if failures else None


def capture_form_before_hooks(state: AppState, asked: Request) -> None:
    """Note the form of a view that keeps it, before a hook such as Flask-WTF's parses it."""
    if (
        asked.method == "POST"
        and _keeps_form(state, asked)
        and state.answer() is ResponseKind.REFRESH_PAGE
    ):
        keep_form(current_request_state())


def _keeps_form(state: AppState, asked: Request) -> bool:
    if state.view_marks.of(state.app.view_functions, asked.endpoint).keep_form:
        return True
    # A partial says what it is going to ask; of any other hook that can only be seen as it runs.
    return any(
        isinstance(hook, functools.partial)
        and hook.func is require_session
        and hook.keywords.get("keep_form") is True
        for owner in (None, *asked.blueprints)
        for hook in state.app.before_request_funcs.get(owner, ())
    )
