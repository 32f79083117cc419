"""Tell a hook from a view: note when Flask begins to run a view or an error handler.

``require_session()`` lets some requests pass where it is a hook, such as those for the sign-in
page. A view or an error handler that calls it means it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .replies import InvalidClaimsError, SessionRequired
from .requirements import Requirements
from .state import AppState, current_request

# What an error page asks for by ``needs_refresh``, once the view was refused for its claims: the
# page that says so is for whoever lacks them.
_ERROR_PAGE = Requirements(global_claims=False)


def watch_dispatch(state: AppState) -> None:
    """Wrap the two methods of the app through which Flask runs views and error handlers.

    At the first request, as other extensions replace these methods while they are set up. Wrapped
    twice, they do the same.
    """
    app: Any = state.app
    app.dispatch_request = _noting_views(state, app.dispatch_request)
    app.handle_user_exception = _noting_handlers(state, app.handle_user_exception)


def _noting_views(state: AppState, dispatch: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(dispatch)
    def dispatch_request(*args: Any, **kwargs: Any) -> Any:
        state.record(current_request()).dispatched = True
        return dispatch(*args, **kwargs)

    return dispatch_request


def _noting_handlers(state: AppState, handle: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handle)
    def handle_user_exception(*args: Any, **kwargs: Any) -> Any:
        record = state.record(current_request())
        record.dispatched = True
        # The answer is complete: TRAP_HTTP_EXCEPTIONS would hand it to handlers for any error.
        if isinstance(args[-1], SessionRequired):
            return args[-1].response
        if record.lacks_claims:
            state.require(record, _ERROR_PAGE)
        try:
            return handle(*args, **kwargs)
        except SessionRequired as refusal:  # a handler asked for a session
            return refusal.response
        except InvalidClaimsError as refusal:
            if refusal is args[-1]:
                raise
            return refusal.get_response()

    return handle_user_exception
