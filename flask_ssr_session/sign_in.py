"""Recognise requests for the sign-in page, and decide which of them a hook admits."""

from __future__ import annotations

from urllib.parse import parse_qsl

from flask import Request, current_app
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, RequestRedirect

from .app_state import AppState
from .config.resolved import ResolvedSettings
from .flask_context import query_args, trusted_host
from .request_paths import full_path, mounted
from .sansio.cross_site import is_unsafe
from .sansio.return_path import is_plain_path
from .sign_in_url import is_sign_in_endpoint, sign_in_name, sign_in_url


def sign_in_path(request: Request, resolved: ResolvedSettings) -> str:
    """Return the sign-in path or URL without its query and without a slash at its end."""
    return sign_in_url(request, resolved).partition("?")[0].rstrip("/")


def is_sign_in_page(request: Request, resolved: ResolvedSettings) -> bool:
    """Return whether *request* asks for the sign-in page itself."""
    if is_sign_in_endpoint(request, resolved):
        return True
    path, sign_in, rule = full_path(request), sign_in_path(request, resolved), request.url_rule
    # A slash at the end counts only if the route has it: a catch-all route may serve any page.
    is_at_its_path = path == sign_in or (
        path == f"{sign_in}/" and rule is not None and rule.rule == request.path
    )
    if not is_at_its_path:
        return False
    # The query alone may select sign-in. It must have exactly these values: of two values, some
    # views read the first and others the last.
    query = sign_in_url(request, resolved).partition("#")[0].partition("?")[2]
    args = query_args(request)
    wanted = MultiDict(parse_qsl(query, keep_blank_values=True))
    return all(args.getlist(name) == values for name, values in wanted.lists())


def sign_in_shares_path(request: Request, resolved: ResolvedSettings) -> bool:
    """Return whether the sign-in page that *request* asks for shares its path with another page."""
    return request.path == "/" or (
        "?" in sign_in_url(request, resolved) and not is_sign_in_endpoint(request, resolved)
    )


def is_open_sign_in(app_state: AppState, request: Request) -> bool:
    """Return whether a hook admits *request* because visitors sign in there.

    The sign-in page itself is open. Safe methods are also open below the sign-in path or the SDK's
    website base path, if the same endpoint serves them: SuperTokens' prebuilt UI has its pages for
    a new password, for callbacks and for a second factor there.
    """
    resolved = app_state.sdk_binding().resolved
    shares_path = sign_in_shares_path(request, resolved)
    if not (
        is_sign_in_endpoint(request, resolved)
        or is_host_of_page(request, resolved, shares_path=shares_path)
    ):
        return False
    login_url = sign_in_url(request, resolved)
    if not is_sign_in_page(request, resolved):
        rule = request.url_rule
        if rule is None or not is_below_sign_in(
            login_url, resolved, request.root_path, request.path
        ):
            return False
        adapter = None if _is_unsafe(request) else current_app.create_url_adapter(request)
        return adapter is not None and rule.endpoint == sign_in_endpoint(
            adapter, login_url, request.root_path
        )
    if not shares_path:
        return True
    # Fails closed: such a path may be the home page's, whose POST is not sign-in at all.
    app_state.warn_once(
        "sign_in_safe_only",
        f"the sign-in page {sign_in_name(resolved)} differs from another page by its query alone, "
        "or is the home page: a hook lets visitors without a session read it, and rejects their "
        "POST. Give sign-in a path of its own (SSR_SESSION_LOGIN_URL), or mark the view with "
        "session_optional.",
    )
    return not _is_unsafe(request)


def is_host_of_page(request: Request, resolved: ResolvedSettings, *, shares_path: bool) -> bool:
    """Return whether a page of the settings may be on the requested host.

    :param shares_path: other pages have its path, too.

    In an app whose routes differ by host, its path may be any page's on another host: only a route
    that is written for exactly this path counts there, and the home page of another host never
    does.
    """
    if not (current_app.url_map.host_matching or current_app.subdomain_matching):
        return True
    if trusted_host(request) == resolved.website_host:
        return True
    rule = request.url_rule
    return rule is not None and rule.rule == request.path and not shares_path


def is_below_sign_in(login_url: str, resolved: ResolvedSettings, root_path: str, path: str) -> bool:
    """Return whether *path* lies below the sign-in path or the SDK's website base path.

    :param login_url: path or URL of sign-in.
    :param root_path: where the app is mounted.
    :param path: decoded, without the mount point.

    Fails closed: false if that folder covers the whole app, or if a query selects the sign-in page,
    because its view may then serve every page.
    """
    sign_in, _, query = login_url.partition("?")
    if resolved.website_base_path == "" or query:
        return False
    mount_point = mounted(root_path, "")
    return any(
        path.startswith(f"{folder.removeprefix(mount_point).rstrip('/')}/")
        for folder in (sign_in, resolved.website_base_path or sign_in)
        if folder.rstrip("/").startswith(f"{mount_point}/")
    ) and is_plain_path(path)


def sign_in_endpoint(adapter: MapAdapter, login_url: str, root_path: str) -> str | None:
    """Return the endpoint of the sign-in path, with or without a slash; None if it has no route.

    :param adapter: the routes of the requested host.
    :param login_url: path or URL of sign-in.
    :param root_path: where the app is mounted.
    """
    mount_point = mounted(root_path, "")
    if not login_url.startswith(f"{mount_point}/"):  # another app serves it
        return None
    path = login_url.rstrip("/").removeprefix(mount_point)
    for spelling in (path, f"{path}/"):
        try:
            endpoint, _ = adapter.match(spelling, "GET")
        except RequestRedirect:
            continue
        except HTTPException:
            return None
        return str(endpoint)
    return None


def has_sign_in_route(request: Request, resolved: ResolvedSettings) -> bool:
    """Return whether a view serves the sign-in path; true if sign-in is not in this app."""
    path, mount_point = sign_in_path(request, resolved) or "/", request.root_path
    if not path.startswith(f"{mount_point}/"):
        return True
    try:
        adapter = current_app.create_url_adapter(request)
    except HTTPException:  # an invalid host
        return True
    return adapter is None or adapter.test(path.removeprefix(mount_point), "GET")


def _is_unsafe(request: Request) -> bool:
    return is_unsafe(request.method, request.headers.get)
