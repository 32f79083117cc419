"""Paths of the current request: its own, the refresh page's, and where it may return to."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Request

from .app_state import SDKBinding, current_state
from .flask_context import current_request
from .sansio.policy_values import PolicyOptions
from .sansio.return_path import is_plain_path, local_path, quote_path, redirect_target
from .sign_in_url import locate_claim_page, sign_in_url

# The endpoint of the refresh page.
REFRESH_ENDPOINT = "ssr_session.refresh"


def mounted(root_path: str, path: str) -> str:
    """Return *path* of the app below its mount point, both decoded."""
    # A mount point may come from a proxy's header. Two slashes would name another host, and so
    # would a backslash or a tab, which browsers read as a slash or drop.
    mount_point = f"/{root_path.strip('/')}"
    return mount_point + path if mount_point != "/" and is_plain_path(mount_point) else path


def full_path(request: Request) -> str:
    """Return the decoded path of *request*, mount point included."""
    return mounted(request.root_path, request.path)


def request_path(request: Request) -> str:
    """Return the path and query of *request*, as the browser sent them."""
    return local_path(request.root_path, request.path, request.query_string)


def refresh_path(request: Request, binding: SDKBinding) -> str:
    """Return the path of the refresh page, as a browser sees it."""
    return quote_path(mounted(request.root_path, binding.settings.refresh_path))


def request_policy(binding: SDKBinding) -> PolicyOptions:
    """Return the policy for the current request, with its URL of sign-in.

    Pages that are named by endpoint have their paths.
    """
    policy = binding.policy
    login_url = sign_in_url(current_request(), binding.resolved)
    if login_url != policy.login_url:
        policy = policy._replace(login_url=login_url)
    cures = policy.cures.located(locate_claim_page)
    return policy if cures is policy.cures else policy._replace(cures=cures)


def safe_target(
    request: Request, binding: SDKBinding, raw: str | None, *, own_pages: Iterable[str] = ()
) -> str:
    """Return *raw* as a return path if it is safe, else ``/``.

    :param own_pages: more pages that must not return to themselves.
    """
    resolved = binding.resolved
    login_url = sign_in_url(request, resolved)
    own_paths = {
        mounted(request.root_path, binding.settings.refresh_path),
        *(page.partition("?")[0].rstrip("/") for page in (login_url, *own_pages)),
    }
    return redirect_target(raw, allowed_origins=resolved.return_origins, looping_paths=own_paths)


def safe_return_path(raw: str | None) -> str:
    """Return where a visitor may be sent after sign-in: *raw* if it is safe, ``/`` if it is not.

    :param raw: the return path that a sign-in page was given, for instance
        ``request.args.get("redirectToPath")``; None counts as unsafe.
    :returns: a path on this site with query and fragment, or a full URL whose origin is the SDK's
        website origin or in ``SSR_SESSION_REDIRECT_ORIGINS``.
    :raises MisuseError: ``init_app`` was not called for this app.
    """
    request, binding = current_request(), current_state().sdk_binding()
    # The page that cures a claim leaves itself once the claim is met. Other pages may return to it:
    # a visitor whose session ended there signs in first.
    own_pages = [
        page
        for page in request_policy(binding).cures.pages.values()
        if page.partition("?")[0].rstrip("/") == full_path(request).rstrip("/")
    ]
    return safe_target(request, binding, raw, own_pages=own_pages)
