"""Run the hooks of this package outside those of the app, and track what Flask runs.

The hooks run in wrapped methods of the app, not as ``before_request`` functions and the like. So
they run before and after all functions that the app registers, whenever it registers them; and
Flask spends 1 µs on each registered function.

As a hook, ``require_session()`` lets some requests pass, for instance those for the sign-in page.
Anywhere else, in a view, a decorator or an error handler, it lets none pass, so it fails closed in
an app that replaces Flask's dispatch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flask import Response
from werkzeug.exceptions import HTTPException

from .app_state import AppState
from .flask_context import current_request
from .hooks import after_request, before_request, begin_request, end_request
from .request_state import request_state_of
from .responses import InvalidClaimsError, SessionRequired
from .sansio.requirements import Requirements

_WATCHER = "_ssr_session_watcher"


def watch_dispatch(app_state: AppState) -> None:
    """Wrap the methods of the app through which Flask runs a request.

    Called when the app is set up, and again at the first request: another extension may have
    replaced a method in between.
    """
    app: Any = app_state.app
    for name, wrap in (
        ("preprocess_request", _wrap_preprocess),
        ("process_response", _wrap_process_response),
        ("do_teardown_request", _wrap_teardown),
        ("handle_user_exception", _wrap_handle_user_exception),
        ("handle_exception", _wrap_handle_exception),
    ):
        method = getattr(app, name)
        # With the id: functools.wraps() copies the attribute to the other extension's function.
        if getattr(method, _WATCHER, None) != (app_state, id(method)):
            wrapped = wrap(app_state, method)
            setattr(wrapped, _WATCHER, (app_state, id(wrapped)))
            setattr(app, name, wrapped)


def _wrap_preprocess(app_state: AppState, preprocess: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(preprocess)
    def preprocess_request(*args: Any, **kwargs: Any) -> Any:
        state = begin_request(app_state)
        if state.in_hooks:  # another extension wrapped this method, so it was wrapped again
            return preprocess(*args, **kwargs)
        state.in_hooks = True
        try:
            before_request(state)
            return preprocess(*args, **kwargs)
        finally:
            state.in_hooks = False

    return preprocess_request


def _wrap_process_response(app_state: AppState, process: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(process)
    def process_response(*args: Any, **kwargs: Any) -> Any:
        return after_request(app_state, process(*args, **kwargs))

    return process_response


def _wrap_teardown(app_state: AppState, teardown: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(teardown)
    def do_teardown_request(*args: Any, **kwargs: Any) -> None:
        try:
            teardown(*args, **kwargs)
        finally:
            end_request(app_state)

    return do_teardown_request


def _wrap_handle_user_exception(
    app_state: AppState, handle: Callable[..., Any]
) -> Callable[..., Any]:
    @functools.wraps(handle)
    def handle_user_exception(*args: Any, **kwargs: Any) -> Any:
        error = (*args, *kwargs.values())[-1]
        # The response is complete: TRAP_HTTP_EXCEPTIONS would pass it to handlers for any error.
        if isinstance(error, SessionRequired):
            return error.response
        _leave_view(app_state)
        try:
            response = handle(*args, **kwargs)
        # A handler required a session, or HTTP errors are trapped and no handler matches this one.
        except (SessionRequired, InvalidClaimsError) as carrier:
            response = carrier
        # Flask runs an error as a WSGI application, so its page would look like a streamed one.
        return _response_of(response) if isinstance(response, HTTPException) else response

    return handle_user_exception


def _wrap_handle_exception(app_state: AppState, handle: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handle)
    def handle_exception(*args: Any, **kwargs: Any) -> Any:
        _leave_view(app_state)
        try:
            response = handle(*args, **kwargs)
        except (SessionRequired, InvalidClaimsError) as carrier:  # the handler for 500 required one
            # Later versions of Flask may pass more arguments in front of the error.
            app: Any = app_state.app
            response = app.finalize_request(
                *args[:-1], _response_of(carrier), from_error_handler=True
            )
        # Again: if an after_request function of the app fails, Flask sends the error page without
        # running the functions after it.
        return after_request(app_state, response)

    return handle_exception


def _leave_view(app_state: AppState) -> None:
    """Drop the requirements of the view: an error handler runs."""
    request_state_of(app_state).require(Requirements())


def _response_of(error: HTTPException) -> Response:
    response: Any = Response.force_type(error.get_response(current_request().environ))
    return response  # type: ignore[no-any-return]
