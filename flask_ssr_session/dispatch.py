"""Tell a hook from a view: note when Flask runs the functions before a request, and no view yet.

``require_session()`` lets some requests pass where it is a hook, such as those for the sign-in
page. Anywhere else, in a view, a decorator or an error handler, it means what it says: fails
closed, also where an app dispatches its requests in a way of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flask import Response

from .app_state import AppState, current_request
from .responses import InvalidClaimsError, SessionRequired

_OURS = "_ssr_session_watches"


def watch_dispatch(state: AppState) -> None:
    """Wrap the methods of the app through which Flask runs hooks and error handlers.

    When the app is set up, and again at the first request where another extension has replaced a
    method meanwhile.
    """
    app: Any = state.app
    for name, wrap in (
        ("preprocess_request", _noting_hooks),
        ("handle_user_exception", _answering),
        ("handle_exception", _answering_last),
    ):
        method = getattr(app, name)
        if getattr(method, _OURS, None) is not state:
            watched = wrap(state, method)
            setattr(watched, _OURS, state)
            setattr(app, name, watched)


def _noting_hooks(state: AppState, preprocess: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(preprocess)
    def preprocess_request(*args: Any, **kwargs: Any) -> Any:
        record = state.record(current_request())
        record.in_hooks = True
        try:
            return preprocess(*args, **kwargs)
        finally:
            record.in_hooks = False

    return preprocess_request


def _answering(state: AppState, handle: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handle)
    def handle_user_exception(*args: Any, **kwargs: Any) -> Any:
        error = (*args, *kwargs.values())[-1]
        # The answer is complete: TRAP_HTTP_EXCEPTIONS would hand it to handlers for any error.
        if isinstance(error, SessionRequired):
            return error.response
        state.leave_view()
        try:
            return handle(*args, **kwargs)
        # A handler asked for a session; or none wants the error, where HTTP errors are trapped.
        except (SessionRequired, InvalidClaimsError) as refusal:
            return _response_of(refusal)

    return handle_user_exception


def _answering_last(state: AppState, handle: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handle)
    def handle_exception(*args: Any, **kwargs: Any) -> Any:
        state.leave_view()
        try:
            return handle(*args, **kwargs)
        except (SessionRequired, InvalidClaimsError) as refusal:  # the handler for 500 asked
            # Whatever later versions of Flask hand on in front of the error.
            app: Any = state.app
            return app.finalize_request(*args[:-1], _response_of(refusal), from_error_handler=True)

    return handle_exception


def _response_of(refusal: SessionRequired | InvalidClaimsError) -> Response:
    response: Any = Response.force_type(refusal.get_response())
    return response  # type: ignore[no-any-return]
