"""Run a view only for requests that its requirements admit; respond to all others."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable
from typing import Any
from weakref import WeakValueDictionary

from flask import Response

from .errors import MisuseError
from .flask_context import current_context_id, current_flask, current_g
from .request_scope import InnerScope
from .request_state import RequestState, current_request_state
from .responses import respond
from .sansio.requirements import Requirements, ViewMark, is_part, mark_view, wrapped_chain

# The functions that the decorators returned and that still exist, by id; for decorator_order.
GUARDS: WeakValueDictionary[int, Callable[..., Any]] = WeakValueDictionary()

# The default of a decorator's *view*. Not None: a decorator that returns nothing, for instance
# flask-sock's route, passes None.
NOT_GIVEN: Any = object()

_WRAPPED_BY_MARK = "_ssr_session_wrapped_by"


def check_requirements(state: RequestState, requirements: Requirements) -> Response | None:
    """Return the response that replaces the content, or None if the view may run.

    :raises InvalidClaimsError: a document was requested, and a claim without a cure failed.
    """
    scope = state.require(requirements)
    scope.set_template_optional(False)  # a template may have been rendered before
    if requirements.asks_core:
        state.ask_core()
    if requirements.allow_pending and state.decide().pending_session is not None:
        state.require(requirements, admits_pending=True)
    if not state.is_admitted(optional=requirements.optional):
        return respond(state)
    if requirements.optional:
        state.optional_shown = True
    else:
        state.protected = True
    return None


def check_apart(state: RequestState, requirements: Requirements) -> Response | None:
    """Check as :func:`check_requirements` does, for code that may run beside other code.

    The requirements then hold for the code that goes on, except in a copied request context, where
    they would hold for the view as well.
    """
    surrounding = state.scope
    inner = InnerScope(state, surrounding)
    try:
        return check_requirements(state, requirements)
    finally:
        # A copy may have the g of the view, for instance in asyncio.to_thread().
        if state.context_id == current_context_id():
            surrounding.copy_from(inner)
        _leave(state, inner)


def guard_view(view: Callable[..., Any], requirements: Requirements) -> Callable[..., Any]:
    """Return *view* behind a guard; without a view, return a decorator that takes one.

    :raises MisuseError: *view* is no view function.
    """
    if view is NOT_GIVEN:
        # ``*_``: Flask calls the result of a hook as a WSGI application, and this may be registered
        # as a hook by mistake.
        return lambda view=NOT_GIVEN, *_: guard_view(view, requirements)
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

    guard = _guard(view, requirements)
    mark_view(
        guard,
        ViewMark(
            optional=requirements.optional,
            allow_pending=requirements.allow_pending,
            global_claims=requirements.global_claims,
            keep_form=requirements.keep_form,
            curable=requirements.curable,
            requirements=(requirements,),
        ),
    )
    GUARDS[id(guard)] = guard
    # An app factory may decorate one function again: wraps() copied the attribute set below.
    guard.__dict__.pop(_WRAPPED_BY_MARK, None)
    # The wrapped functions keep a guard alive that is not registered, so that decorator_order
    # finds it.
    for inner in wrapped_chain(view):
        # A builtin can be decorated, but takes no attribute.
        with contextlib.suppress(AttributeError):
            setattr(getattr(inner, "__func__", inner), _WRAPPED_BY_MARK, guard)
    return guard


def exempt_view(view: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that runs *view* and is marked as exempt."""
    if inspect.iscoroutinefunction(view):

        @functools.wraps(view)
        async def exempt(*args: Any, **kwargs: Any) -> Any:
            return await view(*args, **kwargs)

    else:

        @functools.wraps(view)
        def exempt(*args: Any, **kwargs: Any) -> Any:
            return _call(view, *args, **kwargs)

    mark_view(exempt, ViewMark(exempt=True))
    return exempt


def _guard(view: Callable[..., Any], requirements: Requirements) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(view):

        @functools.wraps(view)
        async def guard(*args: Any, **kwargs: Any) -> Any:
            state = current_request_state()
            inner = _enter(state, guard)
            try:
                response = check_requirements(state, requirements)
                return await view(*args, **kwargs) if response is None else response
            finally:
                _leave(state, inner)

    else:

        @functools.wraps(view)
        def guard(*args: Any, **kwargs: Any) -> Any:
            state = current_request_state()
            inner = _enter(state, guard)
            try:
                response = check_requirements(state, requirements)
                return view(*args, **kwargs) if response is None else response
            finally:
                _leave(state, inner)

    return guard


def _call(view: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Run *view* as Flask would, which matters if a decorator hides that it is async."""
    return current_flask().ensure_sync(view)(*args, **kwargs)


def _enter(state: RequestState, guard: Callable[..., Any]) -> InnerScope | None:
    """Enter a scope of its own for *guard*, unless it is the view's.

    A function that the view calls, or a hook, may admit more requests than the page around it. The
    requirements of the view itself stay after it has returned: a stream is rendered later.
    """
    view = state.app_state.app.view_functions.get(state.request.endpoint or "")
    is_inner = state.in_hooks or not is_part(view, guard)
    return InnerScope(state, state.scope) if is_inner else None


def _leave(state: RequestState, inner: InnerScope | None) -> None:
    if inner is not None:
        inner.leave()
        if inner.admits_pending != state.scope.admits_pending:
            current_g()["session"] = state.session
