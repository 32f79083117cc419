"""Log, once, each part of an app's setup that keeps visitors from signing in.

In production none of them raises an error: visitors are asked to sign in again, or rejected.
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from flask import Request, Response

from .app_state import AppState
from .errors import MisuseError
from .flask_context import trusted_host
from .sansio.builtin_claims import CLAIM_RECIPES
from .sansio.policy_values import Plan
from .sansio.response_policy import leads_to_sign_in
from .sansio.states import ResponseKind
from .session import SSRSession
from .sign_in import has_sign_in_route, sign_in_path
from .sign_in_url import sign_in_name


def warn_of_plan(
    app_state: AppState,
    request: Request,
    session: SSRSession | None,
    plan: Plan,
    rendered: ResponseKind,
) -> None:
    """Log, once, what makes *plan* a dead end for visitors.

    :param rendered: the rendered part of the plan: its kind or its page.
    :raises MisuseError: in debug or testing, the page that *plan* leads to requires what only that
        page can give.
    """
    if session is not None:
        _warn_of_absent_claims(app_state, session, plan)
    if plan.sign_in_is_closed and leads_to_sign_in(rendered):
        _report_dead_end(
            app_state,
            "sign_in_closed",
            f"The sign-in page {request.path!r} itself requires a session, so no visitor can ever "
            "sign in: mark its view with session_optional or session_exempt, and keep "
            "needs_refresh out of its template.",
        )
    # For a host that the app does not trust, Flask responds with 400, and the app shows its page.
    if leads_to_sign_in(rendered) and trusted_host(request):
        _warn_of_sign_in_setup(app_state, request)


def _report_dead_end(app_state: AppState, reason: str, problem: str) -> None:
    if app_state.app.debug or app_state.app.testing:
        raise MisuseError(problem)
    app_state.log.write(logging.ERROR, reason, problem)


def _warn_of_sign_in_setup(app_state: AppState, request: Request) -> None:
    resolved = app_state.sdk_binding().resolved
    checked = request.host, request.root_path, sign_in_path(request, resolved)
    # Looking for the route takes 20 µs, and most requests ask for the same one.
    if app_state.checked_sign_in == checked:
        return
    app_state.checked_sign_in = checked
    _warn_of_other_host(app_state, request)
    if not has_sign_in_route(request, resolved):
        app_state.warn_once(
            "no_sign_in",
            f"no view of this app serves the sign-in page {sign_in_name(resolved)}, where visitors "
            "are sent; set SSR_SESSION_LOGIN_URL if it is elsewhere",
        )


def _warn_of_other_host(app_state: AppState, request: Request) -> bool:
    """Log, once, that the host of *request* shares no cookies with the API.

    :return: whether that is so.
    """
    resolved = app_state.sdk_binding().resolved
    api_host = urlsplit(resolved.api_domain).hostname
    if resolved.cookie_domain is not None or _host_name(request.host) == api_host:
        return False
    app_state.warn_once(
        "other_host",
        f"a page was requested at another host than the API's {resolved.api_domain}, and no "
        "cookie domain is set, so browsers send that page no token, unless they use the API's "
        "host and a proxy changes Host (localhost and 127.0.0.1 are different hosts)",
    )
    return True


def _host_name(host: str) -> str:
    """Return the host name in a Host header; an IPv6 address without its brackets."""
    return host[: host.rfind("]") + 1].strip("[]") or host.partition(":")[0]


def _warn_of_absent_claims(app_state: AppState, session: SSRSession, plan: Plan) -> None:
    for failure in plan.failures:
        recipe = CLAIM_RECIPES.get(failure.id)
        if recipe is not None and failure.id not in session.access_token_payload:
            app_state.warn_once(
                "claim_absent",
                f"a view requires {failure.id}, but a token has no such claim, not even an empty "
                f"one: put {recipe}.init() into the SDK's recipe_list, and sign in again",
            )


def warn_of_header_tokens(app_state: AppState, request: Request, response: Response) -> None:
    """Log, once, that a page signs in without requesting cookies.

    The SDK then treats the browser as a native app, and sets none. Native apps do not send
    ``Sec-Fetch-Site``, and a page that wants tokens in headers sends ``st-auth-mode``.
    """
    if (
        request.url_rule is None  # the SDK's middleware responded
        and "st-access-token" in response.headers
        and "st-auth-mode" not in request.headers
        and request.headers.get("Sec-Fetch-Site") in ("same-origin", "same-site")
        and trusted_host(request)
        # The browser SDK asks for cookies at the API's host only, so there the host is the cause.
        and not _warn_of_other_host(app_state, request)
    ):
        app_state.warn_once(
            "header_tokens",
            "a page of this site signed in and got its tokens in headers, so no cookie was set and "
            "the next page has no session: put {{ session_script() }} into that page",
        )
