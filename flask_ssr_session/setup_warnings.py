"""Say in the log, once, what about an app's setup keeps its visitors from where they want to go.

Each of these fails without an error anywhere: people are asked to sign in again, or refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from flask import Request, Response, request

from .app_state import AppState, current_request_state
from .navigation import has_sign_in_route
from .sansio.claims import ClaimFailure

# By our own conditions; what these recipes write is there where a user has none, too.
_RECIPES = {"st-role": "userroles", "st-perm": "userroles", "st-ev": "emailverification"}


def warn_of_ways_to_sign_in(state: AppState) -> None:
    """Say in the log, once, what lets sign-in fail without any error anywhere.

    :raises SecurityError: the app does not trust the host that was asked.
    """
    deployment = state.ready().deployment
    host = urlsplit(deployment.api_domain).hostname
    if deployment.cookie_domain is None and _name_of(request.host) != host:
        state.warn_once(
            "other_host",
            f"a page was asked for at another host than the API's {deployment.api_domain}, and no "
            "cookie domain is set: browsers send that page no token, unless they use the API's "
            "host and a proxy in front changes Host (localhost and 127.0.0.1 are two hosts, too)",
        )
    if not has_sign_in_route():
        state.warn_once(
            "no_sign_in",
            f"no view of this app answers {deployment.login_url}, where visitors are sent to "
            "sign in; set SSR_SESSION_LOGIN_URL if it is elsewhere",
        )


def _name_of(host: str) -> str:
    """Return what a Host header says without the port; an IPv6 address without its brackets."""
    return host[: host.rfind("]") + 1].strip("[]") or host.partition(":")[0]


def warn_of_absent_claims(state: AppState, failures: Sequence[ClaimFailure]) -> None:
    """Say in the log, once, that a token lacks a claim that the SDK's recipe always writes."""
    session = current_request_state().session
    payload = session.access_token_payload if session is not None else {}
    for failure in failures:
        recipe = _RECIPES.get(failure.id)
        if recipe is not None and failure.id not in payload:
            state.warn_once(
                "claim_absent",
                f"a view asks for {failure.id}, of which a token says nothing, not even that there "
                f"is none: put {recipe}.init() into the SDK's recipe_list, and sign in again",
            )


def warn_of_header_tokens(state: AppState, asked: Request, response: Response) -> None:
    """Say in the log, once, that a page signs in without saying that it wants cookies.

    The SDK then takes the browser for a native app, and sets none. Such apps send neither of the
    two headers, and who wants tokens in headers says so.
    """
    if (
        asked.url_rule is None  # the SDK's middleware answered
        and "st-access-token" in response.headers
        and "st-auth-mode" not in asked.headers
        and asked.headers.get("Sec-Fetch-Site") in ("same-origin", "same-site")
    ):
        state.warn_once(
            "header_tokens",
            "a page of this site asked for a session and got its tokens in headers, so no cookie "
            "was set and the next page knows nobody: put {{ session_script() }} into that page",
        )
