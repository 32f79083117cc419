"""Tell whether an app-wide ``require_session`` stands in the way of the SDK's own hook."""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, has_request_context, request
from werkzeug.exceptions import HTTPException

from .config.resolved import ResolvedSettings
from .decorators import require_session
from .navigation import is_below_sign_in, sign_in_endpoint
from .sansio.requirements import view_mark

# Paths of SuperTokens' API, by which a route is found that catches them.
_API_PATHS = (
    ("POST", "/signin"),
    ("POST", "/session/refresh"),
    ("GET", "/authorisationurl"),
    ("GET", "/emailpassword/email/exists"),
)


def is_sdk_hook(hook: Any) -> bool:
    """Return whether *hook* is that of the SDK's middleware, which answers SuperTokens' API."""
    # A builtin may have no module.
    return str(getattr(hook, "__module__", None)).startswith("supertokens_python.")


def hook_before_api(app: Flask, deployment: ResolvedSettings) -> str | None:
    """Return what keeps strangers from the API that would sign them in; None if nothing does.

    The SDK answers from a hook of its own, which a request never gets to that an earlier hook has
    refused. Requests to the API are let through where no route answers their path.
    """
    hooks = app.before_request_funcs.get(None, [])
    sdk = next((place for place, hook in enumerate(hooks) if is_sdk_hook(hook)), 0)
    if not any(is_require_session(hook) for hook in hooks[:sdk]):
        return None
    mount_point = request.root_path if has_request_context() else app.config["APPLICATION_ROOT"]
    mount_point = mount_point.rstrip("/")
    # On the API's host, which matters where routes differ by it.
    adapter = app.url_map.bind(urlsplit(deployment.api_domain).netloc, mount_point or "/")
    for method, path in _API_PATHS:
        # With the mount point, as the SDK itself compares.
        path = f"{deployment.api_base_path}{path}"
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
        is_sign_in = rule.endpoint == sign_in_endpoint(adapter, deployment, mount_point)
        if method == "GET" and is_sign_in and is_below_sign_in(deployment, mount_point, path):
            continue
        return (
            "app.before_request(require_session) stands before SuperTokens' Middleware(app), and "
            f"the route {rule.rule!r} answers the paths of SuperTokens' API, too: the hook turns "
            "strangers away from the API that would sign them in. Put Middleware(app) first."
        )
    return None


def is_require_session(hook: Any) -> bool:
    """Return whether *hook* is ``require_session``, perhaps with conditions."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    return hook is require_session
