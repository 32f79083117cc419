"""Check whether an app-wide ``require_session`` blocks the SDK's own hook."""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, has_request_context, request
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, Rule

from .config.field_types import is_address
from .config.resolved import ResolvedSettings
from .decorators import require_session
from .sansio.requirements import view_mark
from .sign_in import is_below_sign_in, sign_in_endpoint

# Paths of SuperTokens' API, to find a route that matches the API, too.
_API_PATHS = (
    ("POST", "/signin"),
    ("POST", "/session/refresh"),
    ("GET", "/authorisationurl"),
    ("GET", "/emailpassword/email/exists"),
)


def is_sdk_hook(hook: Any) -> bool:
    """Return whether *hook* is that of the SDK's middleware, which serves SuperTokens' API."""
    # A builtin may have no module.
    return str(getattr(hook, "__module__", None)).startswith("supertokens_python.")


def hook_before_api(app: Flask, resolved: ResolvedSettings) -> str | None:
    """Describe the hook that blocks the API which signs visitors in, or return None.

    The SDK responds from its own hook, which never runs for a request that an earlier hook
    rejects. ``require_session`` lets requests to the API pass if no route matches their path.
    """
    hooks = app.before_request_funcs.get(None, [])
    sdk = next((index for index, hook in enumerate(hooks) if is_sdk_hook(hook)), 0)
    if not any(is_require_session(hook) for hook in hooks[:sdk]):
        return None
    mount_point = request.root_path if has_request_context() else app.config["APPLICATION_ROOT"]
    mount_point = mount_point.rstrip("/")
    # On the API's host, which matters if routes differ by host.
    adapter = app.url_map.bind(urlsplit(resolved.api_domain).netloc, mount_point or "/")
    for method, path in _API_PATHS:
        # Include the mount point, as the SDK does.
        path = f"{resolved.api_base_path}{path}"
        if not path.startswith(f"{mount_point}/"):
            continue
        path = path.removeprefix(mount_point)
        try:
            rule, _ = adapter.match(path, method, return_rule=True)
        except HTTPException:  # no route
            continue
        mark = view_mark(app.view_functions.get(rule.endpoint))
        if mark.exempt or mark.optional:
            continue
        if method == "GET" and _is_open(adapter, rule, resolved, mount_point, path):
            continue
        return (
            "app.before_request(require_session) stands before SuperTokens' Middleware(app), and "
            f"the route {rule.rule!r} also matches the paths of SuperTokens' API, so the hook "
            "rejects the requests that sign visitors in. Put Middleware(app) first."
        )
    return None


def _is_open(
    adapter: MapAdapter, rule: Rule, resolved: ResolvedSettings, mount_point: str, path: str
) -> bool:
    """Return whether hooks let a GET of *path* pass, because visitors sign in there."""
    login_url = resolved.login_url
    if not (isinstance(login_url, str) and is_address(login_url)):
        return True  # only requests tell, so nothing is reported
    is_sign_in = rule.endpoint == sign_in_endpoint(adapter, login_url, mount_point)
    return is_sign_in and is_below_sign_in(login_url, resolved, mount_point, path)


def is_require_session(hook: Any) -> bool:
    """Return whether *hook* is ``require_session``, perhaps with conditions."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    return hook is require_session
