"""Make the URLs of pages that settings name by endpoint or function: sign-in and claim pages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any
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
    if not callable(setting):
        # The app registers the hosts of its endpoints.
        return _located(partial(url_for, setting), _SETTING, None, report)
    return _located(partial(setting, request), _SETTING, resolved, report)


def locate_claim_page(endpoint: str) -> str | None:
    """Return the path of the page that cures a claim; None if it has none for this request."""
    return _located(partial(url_for, endpoint), f"the page {endpoint!r}", None, _log_claim_page)


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


def _located(
    locate: Callable[[], Any], name: str, resolved: ResolvedSettings | None, report: Report
) -> str | None:
    """Return the checked result of *locate*, or None if it fails.

    :param name: how a log names it.
    :param resolved: as for :func:`_checked`.
    """
    url = call_app_code(locate, name, report)
    if url is None:
        return None
    try:
        return _checked(url, resolved)
    except ValueError:
        # The value is not repeated: it may hold a claim.
        report(name, "leads neither to a path of this host nor to a URL that is allowed", None)
        return None


def _checked(url: object, resolved: ResolvedSettings | None) -> str:
    """Return *url* as :func:`sign_in_url` does.

    :param resolved: names the origins that a full URL may have; None for any.
    :raises ValueError: it may not be such a page.
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


def _log_claim_page(name: str, problem: str, _error: BaseException | None) -> None:
    message = f"{name} {problem}: visitors without its claim are rejected"
    current_state().log.write(logging.ERROR, "claim_page_failed", message)


def _log_failure(name: str, problem: str, _error: BaseException | None) -> None:
    message = f"{name} {problem}: visitors sign in at the SDK's own path"
    current_state().log.write(logging.ERROR, "login_url_failed", message)
