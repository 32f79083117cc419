"""Decide which requests are exempt: static files, CORS preflights, the SDK's API, marked views."""

from __future__ import annotations

from flask import Flask, Request
from werkzeug.routing import Rule

from .app_state import AppState
from .request_paths import full_path
from .sansio.requirements import view_mark


def is_exempt(app_state: AppState, request: Request) -> bool:
    """Return whether *request* is exempt from session handling."""
    rule: Rule | None = request.url_rule
    if rule is None:
        return _is_api_request(app_state, request)
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        # Anyone can send this: it is exempt only if Flask responds in place of the view.
        return getattr(rule, "provide_automatic_options", False) is True
    app, endpoint = app_state.app, rule.endpoint
    view = app.view_functions.get(endpoint)
    known_view, exempt = app_state.exemptions.get(endpoint, (None, False))
    # Looked up once per view, which takes 2 µs; an extension may replace the view later.
    if known_view is not view:
        exempt = serves_static_files(app, endpoint) or view_mark(view).exempt
        app_state.exemptions[endpoint] = view, exempt
    return exempt


def _is_api_request(app_state: AppState, request: Request) -> bool:
    """Return whether the SDK's middleware serves a request that no route matches."""
    # Include the mount point, as the SDK does.
    base_path = app_state.sdk_binding().resolved.api_base_path
    return f"{full_path(request)}/".startswith(f"{base_path}/")


def serves_static_files(app: Flask, endpoint: str) -> bool:
    """Return whether *endpoint* is Flask's own for the static folder of the app or a blueprint."""
    owner, _, name = endpoint.rpartition(".")
    if name != "static":
        return False
    # Without a static folder any view may have the name, even if a folder is set later.
    scaffold = app.blueprints.get(owner) if owner else app
    view = app.view_functions.get(endpoint)
    module = getattr(view, "__module__", None) or ""
    # A decorator around Flask's view may require a session, and has the same module.
    is_flasks_own = module.partition(".")[0] == "flask" and not hasattr(view, "__wrapped__")
    return scaffold is not None and scaffold.has_static_folder and is_flasks_own
