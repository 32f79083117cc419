"""Check the setup of an app once, before its first verdict."""

from __future__ import annotations

import logging
from itertools import accumulate

from flask import Flask
from werkzeug.routing import Rule

from .app_state import AppState
from .config.field_types import is_address
from .config.resolved import ResolvedSettings
from .decorator_order import check_decorator_order, unreached_guards
from .errors import ConfigError, MisuseError
from .middleware_order import hook_before_api


def check_setup(app_state: AppState, resolved: ResolvedSettings) -> None:
    """Reject an app in which a check protects nothing or rejects every visitor.

    :raises ConfigError: a page of the settings is no endpoint of the app.
    :raises MisuseError: a view runs without the decorator written above it; in debug mode also if
        any other function does; in debug or testing mode also if a hook blocks SuperTokens' API.

    In other modes, the last two are logged.
    """
    app = app_state.app
    check_decorator_order(app)
    check_pages(app, resolved)
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


def check_pages(app: Flask, resolved: ResolvedSettings) -> None:
    """Reject a page of the settings if it is no endpoint, or one that needs arguments.

    :raises ConfigError: there is one.
    """
    pages = {"SSR_SESSION_LOGIN_URL": resolved.login_url} | {
        f"SSR_SESSION_CLAIM_PAGES[{claim!r}]": page for claim, page in resolved.claim_pages.items()
    }
    for setting, page in pages.items():
        if (
            isinstance(page, str)
            and not is_address(page)
            and not any(
                rule.endpoint == page and can_be_opened(app, rule)
                for rule in app.url_map.iter_rules()
            )
        ):
            raise ConfigError(
                f"{setting} is {page!r}: the app has no such endpoint for GET, or it needs "
                "arguments. Name another one, or a path that begins with a slash."
            )


def can_be_opened(app: Flask, rule: Rule) -> bool:
    """Return whether a link may lead to *rule*.

    Functions of the app may fill arguments, for example the language, in some requests only.
    """
    owners = (None, *accumulate(rule.endpoint.split(".")[:-1], "{}.{}".format))
    is_filled = rule.arguments <= set(rule.defaults or ())
    return "GET" in (rule.methods or {"GET"}) and (
        is_filled or any(app.url_default_functions.get(owner) for owner in owners)
    )
