"""Check the setup of an app once, before its first verdict."""

from __future__ import annotations

import logging
from typing import Any

from flask import Flask
from werkzeug.routing import BuildError

from .app_state import AppState
from .config.resolved import ResolvedSettings
from .decorator_order import check_decorator_order, unreached_guards
from .errors import ConfigError, MisuseError
from .middleware_order import hook_before_api


def check_setup(app_state: AppState, resolved: ResolvedSettings) -> None:
    """Reject an app in which a check protects nothing or rejects every visitor.

    :raises ConfigError: a page that cures a claim is no endpoint of the app.
    :raises MisuseError: a view runs without the decorator written above it; in debug mode also if
        any other function does; in debug or testing mode also if a hook blocks SuperTokens' API.

    In other modes, the last two are logged.
    """
    app = app_state.app
    check_decorator_order(app)
    check_claim_pages(app, resolved)
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


def check_claim_pages(app: Flask, resolved: ResolvedSettings) -> None:
    """Reject a page that cures a claim if it is no endpoint, or one that needs arguments.

    :raises ConfigError: there is one.
    """
    for claim, page in resolved.claim_pages.items():
        if page.startswith("/"):
            continue
        arguments: dict[str, Any] = {}
        app.inject_url_defaults(page, arguments)  # such as the language
        try:
            app.url_map.bind("localhost").build(page, arguments)
        except BuildError:
            raise ConfigError(
                f"SSR_SESSION_CLAIM_PAGES[{claim!r}] is {page!r}: the app has no such endpoint, or "
                "it needs arguments. Name another one, or a path that begins with a slash."
            ) from None
