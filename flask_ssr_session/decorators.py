"""Say of a view whether it needs a session, may have one, or has nothing to do with it."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast, overload

from flask import Flask, current_app, request

from .answers import Answer
from .errors import MisuseError
from .places import IGNORED_MARK, is_left_alone, is_sign_in_page
from .replies import SessionRequired, reply
from .session import SSRSession
from .state import REFRESH_ENDPOINT, current_record, current_state

_View = TypeVar("_View", bound=Callable[..., Any])

_OPTIONAL_MARK = "_ssr_session_optional"
_WRAPPED_BY_MARK = "_ssr_session_wrapped_by"


def get_ssr_session() -> SSRSession | None:
    """Return the session of the current request, typed; None where there is none.

    :raises MisuseError: ``init_app`` was not called for this app.

    It is what ``g.session`` was set to, whatever the app put there since.
    """
    return current_state().verdict().session


@overload
def session_required(view: _View) -> _View: ...
@overload
def session_required() -> Callable[[_View], _View]: ...
def session_required(view: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Run the view only for a verified session; everyone else gets the fitting answer first.

    A browser gets the refresh page, sign-in or an honest outage page, a script a status that it
    understands. Works with and without parentheses, on plain and async views.

    It goes **below** the route, because the route keeps what it is given::

        @app.route("/account")
        @session_required
        def account(): ...
    """
    return _decorated(view, optional=False)


@overload
def session_optional(view: _View) -> _View: ...
@overload
def session_optional() -> Callable[[_View], _View]: ...
def session_optional(view: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Run the view for strangers too, with ``g.session`` None.

    A visitor whose token has run out is refreshed first, so that a signed-in reader is not shown
    the signed-out page; that page offers to go on without signing in. In an outage the view runs
    with ``g.session`` None.
    """
    return _decorated(view, optional=True)


def session_ignored(view: _View) -> _View:
    """Leave the view alone: no token is looked at and no header is added for it.

    What it returns is left alone, not the function itself, which may well be registered under
    another address that needs a session.
    """
    passed = _around(view, lambda: None)
    setattr(passed, IGNORED_MARK, True)
    return cast("_View", passed)


def require_session() -> None:
    """Go on only with a verified session; for ``before_request`` and inside views.

    Register it for an app or a blueprint, ``blueprint.before_request(require_session)``, or call
    it in a view. Static files, CORS preflights that Flask answers, SuperTokens' own API, the
    sign-in and refresh pages, and views marked ``session_ignored`` pass; views marked
    ``session_optional`` stay open to strangers. Called inside a view marked ``session_optional``,
    it lets no stranger go on.

    :raises SessionRequired: an HTTPException that carries the answer.
    """
    optional = False
    if not current_record().entered:
        if request.endpoint == REFRESH_ENDPOINT or is_left_alone() or is_sign_in_page():
            return
        view = current_app.view_functions.get(request.endpoint or "")
        optional = getattr(view, _OPTIONAL_MARK, False) is True
    refused = _check(optional=optional)
    if refused is not None:
        raise SessionRequired(response=refused)


def _decorated(view: Callable[..., Any] | None, *, optional: bool) -> Callable[..., Any]:
    if view is None:
        return functools.partial(_decorated, optional=optional)
    if not callable(view):
        raise MisuseError("session_required and session_optional decorate a view function.")

    def check() -> Any:
        current_record().entered = True
        return _check(optional=optional)

    guarded = _around(view, check)
    if optional:
        setattr(guarded, _OPTIONAL_MARK, True)
    # For check_decorator_order: what was wrapped, and by what, under other decorators, too.
    # wraps() copied the mark of an earlier call for the same function, as factories make them.
    guarded.__dict__.pop(_WRAPPED_BY_MARK, None)
    inner: Any = view
    while inner is not None:
        # A bound method or a builtin can be decorated, only not be marked.
        with contextlib.suppress(AttributeError):
            setattr(inner, _WRAPPED_BY_MARK, guarded)
        inner = getattr(inner, "__wrapped__", None)
    return guarded


def _around(view: Callable[..., Any], check: Callable[[], Any]) -> Callable[..., Any]:
    """Return a view that runs only where *check* returns None, and otherwise what it returns."""
    if inspect.iscoroutinefunction(view):

        @functools.wraps(view)
        async def around(*args: Any, **kwargs: Any) -> Any:
            refused = check()
            return await view(*args, **kwargs) if refused is None else refused

    else:

        @functools.wraps(view)
        def around(*args: Any, **kwargs: Any) -> Any:
            refused = check()
            # An async view behind a decorator that hides it is run as Flask would run it.
            return current_app.ensure_sync(view)(*args, **kwargs) if refused is None else refused

    return around


def _check(*, optional: bool) -> Any:
    """Return the response that refuses the current request, or None where the view may run."""
    state, record = current_state(), current_record()
    record.optional_view = optional
    answer = state.answer(optional=optional)
    if answer is not Answer.PASS:
        return reply(state, answer)
    if not optional:
        record.protected = True
    return None


def check_decorator_order(app: Flask) -> None:
    """Refuse an app in which a decorator above the route protects nothing.

    :raises MisuseError: names the endpoint whose view runs without the check written above it.
    """
    registered = set()
    for view in app.view_functions.values():
        inner: Any = view
        while inner is not None:
            registered.add(id(inner))
            inner = getattr(inner, "__wrapped__", None)
    for endpoint, view in app.view_functions.items():
        guarded = getattr(view, "__dict__", {}).get(_WRAPPED_BY_MARK)
        # The same function may well be registered twice on purpose, once behind the check.
        if guarded is not None and id(guarded) not in registered:
            raise MisuseError(
                f"The view of endpoint {endpoint!r} runs without the session decorator written on "
                "it: @session_required stands above @app.route, which has registered the bare "
                "function. Put the route first, @session_required below it."
            )
