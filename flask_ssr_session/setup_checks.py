"""Check the setup of an app once, before its first verdict."""

from __future__ import annotations

import logging

from .app_state import AppState
from .config.resolved import ResolvedSettings
from .decorator_order import check_decorator_order, unreached_guards
from .errors import MisuseError
from .middleware_order import hook_before_api


def check_setup(app_state: AppState, resolved: ResolvedSettings) -> None:
    """Reject an app in which a check protects nothing or rejects every visitor.

    :raises MisuseError: a view runs without the decorator written above it; in debug mode also if
        any other function does; in debug or testing mode also if a hook blocks SuperTokens' API.

    In other modes, the last two are logged.
    """
    app = app_state.app
    check_decorator_order(app)
    problem = unreached_guards(app)
    if problem is not None:
        if app.debug:
            raise MisuseError(problem)
        app_state.warn_once("guard_unreached", problem, logging.ERROR)
    problem = hook_before_api(app, resolved)
    if problem is not None:
        if app.debug or app.testing:
            raise MisuseError(problem)
        app_state.warn_once("hook_before_api", problem, logging.ERROR)
