"""Locate the sign-in page for a request: the one place that makes a URL of the setting."""

from __future__ import annotations

import logging
from functools import partial
from urllib.parse import unquote, urlsplit

from flask import Request, current_app, url_for

from .app_state import current_state
from .config.field_types import is_address, page_address
from .config.resolved import ResolvedSettings
from .sansio.app_code import Report, call_app_code
from .sansio.origins import origin_of
from .sansio.return_path import is_plain_path

_SETTING = "SSR_SESSION_LOGIN_URL"

# On a request: the settings, and the URL that they led to.
_URL_KEY = "_ssr_session_sign_in_url"


def sign_in_url(request: Request, resolved: ResolvedSettings) -> str:
    """Return the path or URL where the visitor signs in, without the return path.

    A path is decoded and includes the mount point. An endpoint or a function of the app is asked
    once per request; if it fails, the SDK's own path is returned and the failure is logged.
    """
    setting = resolved.login_url
    if isinstance(setting, str) and is_address(setting):
        return setting
    known: tuple[ResolvedSettings, str] | None = request.__dict__.get(_URL_KEY)
    if known is None or known[0] is not resolved:
        # The function may itself do something that leads to sign-in.
        request.__dict__[_URL_KEY] = resolved, resolved.default_login_url
        url = locate_sign_in(request, resolved, _log_failure)
        known = request.__dict__[_URL_KEY] = resolved, url or resolved.default_login_url
    return known[1]


def locate_sign_in(request: Request, resolved: ResolvedSettings, report: Report) -> str | None:
    """Return what an endpoint or a function makes of *request*; None if it fails.

    :param report: receives the failure.
    """
    setting = resolved.login_url
    locate = partial(setting, request) if callable(setting) else partial(url_for, setting)
    url = call_app_code(locate, _SETTING, report)
    if url is None:
        return None
    try:
        # The app registers the hosts of its endpoints. A function may read the request.
        return _checked(url, resolved if callable(setting) else None)
    except ValueError:
        # The value is not repeated: it may hold a claim.
        problem = "leads neither to a path of this host nor to a URL that the settings allow"
        report(_SETTING, problem, None)
        return None


def is_sign_in_endpoint(request: Request, resolved: ResolvedSettings) -> bool:
    """Return whether *request* asks for the endpoint of the setting, at a URL of its own.

    A URL with a part that ``url_defaults`` do not fill belongs to a route for several pages.
    """
    rule, setting = request.url_rule, resolved.login_url
    if rule is None or rule.endpoint != setting or is_address(setting):
        return False
    filled: dict[str, object] = dict(rule.defaults or {})
    current_app.inject_url_defaults(rule.endpoint, filled)
    return rule.arguments <= filled.keys()


def sign_in_name(resolved: ResolvedSettings) -> str:
    """Return how a log names the sign-in page."""
    setting = resolved.login_url
    return repr(setting) if isinstance(setting, str) else f"of {_SETTING}"


def _checked(url: object, resolved: ResolvedSettings | None) -> str:
    """Return *url* as :func:`sign_in_url` does.

    :param resolved: names the origins that a full URL may have; None for any.
    :raises ValueError: it may not be a sign-in page.
    """
    if not isinstance(url, str):
        raise ValueError
    path, mark, query = url.partition("?")
    if not path.startswith("/"):
        address = page_address(url)
        if resolved is not None and origin_of(urlsplit(address)) not in resolved.return_origins:
            raise ValueError
        return address
    if not is_plain_path(path):
        raise ValueError
    decoded = unquote(path) + mark + query
    page_address(decoded)
    return decoded


def _log_failure(name: str, problem: str, _error: BaseException | None) -> None:
    message = f"{name} {problem}: visitors sign in at the SDK's own path"
    current_state().log.write(logging.ERROR, "login_url_failed", message)
