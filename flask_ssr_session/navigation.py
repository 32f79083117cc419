"""Where the current request is and where it may go: our own paths, sign-in, what is left alone."""

from __future__ import annotations

import logging
from urllib.parse import parse_qsl

from flask import Flask, Request, current_app, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter, RequestRedirect, Rule

from .app_state import AppState, current_state, query_args, trusted_host
from .config.resolved import ResolvedSettings
from .errors import MisuseError
from .sansio.csrf import is_unsafe
from .sansio.request_kind import SAFE_METHODS
from .sansio.return_path import is_plain_path, local_path, quote_path, redirect_target
from .sansio.states import SessionState


def is_exempt(state: AppState, asked: Request) -> bool:
    """Tell whether the current request is none that a session matters to."""
    rule: Rule | None = asked.url_rule
    if rule is None:
        return _is_api_request(state)
    endpoint: str = rule.endpoint
    if endpoint.endswith("static") and _serves_static_files(state.app, endpoint):
        return True
    if asked.method == "OPTIONS" and "Access-Control-Request-Method" in asked.headers:
        # Anyone can send this: it passes only where Flask answers in the view's place.
        return getattr(rule, "provide_automatic_options", False) is True
    return state.view_marks.of(state.app.view_functions, endpoint).exempt


def _is_api_request(state: AppState) -> bool:
    """Tell whether the SDK's middleware answers: below its base path, no page of the app."""
    # With the mount point, as the SDK itself compares.
    base_path = state.ready().deployment.api_base_path
    return f"{_full_path()}/".startswith(f"{base_path}/")


def _serves_static_files(app: Flask, endpoint: str) -> bool:
    """Tell whether *endpoint* is Flask's own for the static folder of the app or a blueprint."""
    owner, _, name = endpoint.rpartition(".")
    if name != "static":
        return False
    # Without a static folder the name is free for any view, also where a folder is set later.
    scaffold = app.blueprints.get(owner) if owner else app
    view = app.view_functions.get(endpoint)
    module = getattr(view, "__module__", None) or ""
    # A decorator around Flask's view, which may well ask for a session, has its module, too.
    is_flasks_own = module.partition(".")[0] == "flask" and not hasattr(view, "__wrapped__")
    return scaffold is not None and scaffold.has_static_folder and is_flasks_own


def refresh_path() -> str:
    """Return the path of the refresh page as a browser sees it."""
    return quote_path(_decoded_refresh_path())


def _decoded_refresh_path() -> str:
    return _joined(request.root_path, current_state().settings.refresh_path)


def is_sign_in_page() -> bool:
    """Tell whether the current request asks for the sign-in page itself."""
    path, sign_in, rule = _full_path(), _sign_in_url(), request.url_rule
    # With one more slash only where the route is written so: not for whatever catches all.
    is_at_its_path = path == sign_in or (
        path == f"{sign_in}/" and rule is not None and rule.rule == request.path
    )
    if not is_at_its_path:
        return False
    # A page may be sign-in by its query alone: by these values and no others, as a view that reads
    # the first of two values shows another page than one that reads the last.
    query = current_state().ready().deployment.login_url.partition("?")[2]
    args = query_args(request)
    wanted = MultiDict(parse_qsl(query, keep_blank_values=True))
    return all(args.getlist(name) == values for name, values in wanted.lists())


def is_open_sign_in() -> bool:
    """Return whether a hook lets strangers through, because this is where they sign in.

    The sign-in page itself is open, and to safe methods what its endpoint answers below the sign-in
    path or the SDK's website base path: SuperTokens' prebuilt UI has its pages for a new password,
    for callbacks and for a second factor there.
    """
    state = current_state()
    deployment = state.ready().deployment
    if not _is_sign_in_host(deployment):
        return False
    if not is_sign_in_page():
        rule = request.url_rule
        if rule is None or not is_below_sign_in(deployment, request.root_path, request.path):
            return False
        adapter = None if _is_unsafe() else current_app.create_url_adapter(request)
        return adapter is not None and rule.endpoint == sign_in_endpoint(
            adapter, deployment, request.root_path
        )
    if not _shares_its_address():
        return True
    # Fails closed: such an address may be the home page's, whose POST is not sign-in at all.
    state.warn_once(
        "sign_in_safe_only",
        f"the sign-in page {deployment.login_url!r} is told by its query or is the home page: a "
        "hook lets strangers read it, and refuses their POST. Give sign-in a path of its own "
        "(SSR_SESSION_LOGIN_URL), or mark the view with session_optional.",
    )
    return not _is_unsafe()


def _is_sign_in_host(deployment: ResolvedSettings) -> bool:
    """Return whether sign-in may be on the host that was asked, where routes differ by host.

    The path of sign-in may be any page's on another host: only a route that is written for just
    this path counts as sign-in there, and the home page of another host never does.
    """
    if not (current_app.url_map.host_matching or current_app.subdomain_matching):
        return True
    if trusted_host(request) == deployment.website_host:
        return True
    rule = request.url_rule
    return rule is not None and rule.rule == request.path and not _shares_its_address()


def is_below_sign_in(deployment: ResolvedSettings, root_path: str, path: str) -> bool:
    """Return whether *path* lies below the sign-in path or the SDK's website base path.

    :param root_path: where the app is mounted.
    :param path: decoded, without the mount point.

    Fails closed: a folder that covers the whole app is none, and a sign-in page that is told by its
    query has nothing below it. Its view may be every page's.
    """
    sign_in, _, query = deployment.login_url.partition("?")
    if deployment.website_base_path == "" or query:
        return False
    mount_point = _joined(root_path, "")
    return any(
        path.startswith(f"{folder.removeprefix(mount_point).rstrip('/')}/")
        for folder in (sign_in, deployment.website_base_path or sign_in)
        if folder.rstrip("/").startswith(f"{mount_point}/")
    ) and is_plain_path(path)


def sign_in_endpoint(
    adapter: MapAdapter, deployment: ResolvedSettings, root_path: str
) -> str | None:
    """Return what answers the sign-in path, with or without a slash; None where nothing does.

    :param adapter: the routes of the host that was asked.
    :param root_path: where the app is mounted.
    """
    mount_point = _joined(root_path, "")
    if not deployment.login_url.startswith(f"{mount_point}/"):  # it is another app's
        return None
    path = deployment.login_url.rstrip("/").removeprefix(mount_point)
    for spelling in (path, f"{path}/"):
        try:
            endpoint, _ = adapter.match(spelling, "GET")
        except RequestRedirect:
            continue
        except HTTPException:
            return None
        return str(endpoint)
    return None


def _is_unsafe() -> bool:
    return is_unsafe(request.method, request.headers.get)


def _shares_its_address() -> bool:
    """Return whether the sign-in page, now asked for, has no path of its own."""
    query = current_state().ready().deployment.login_url.partition("?")[2]
    return query != "" or request.path == "/"


def has_sign_in_route() -> bool:
    """Tell whether a view of this app answers at the sign-in path; true where that is elsewhere."""
    path, mount_point = _sign_in_url() or "/", request.root_path.rstrip("/")
    if not path.startswith(f"{mount_point}/"):
        return True
    try:
        adapter = current_app.create_url_adapter(request)
    except HTTPException:  # a host that no app can have
        return True
    return adapter is None or adapter.test(path.removeprefix(mount_point), "GET")


def is_closed_sign_in() -> bool:
    """Tell whether a stranger would be sent from the sign-in page to the sign-in page.

    :raises MisuseError: so it is, and the app is in debug or testing mode.
    """
    state = current_state()
    if state.verdict().state is not SessionState.ANONYMOUS or request.url_rule is None:
        return False
    # A POST that is refused there leads to the page itself, which is open.
    if request.method not in SAFE_METHODS and _shares_its_address():
        return False
    # A full URL is compared by what the browser says the host is: enough to end a loop, not
    # enough to let anybody in.
    if not is_sign_in_page() and not (trusted_host(request) and request.base_url == _sign_in_url()):
        return False
    problem = (
        f"The sign-in page {request.path!r} itself asks for a session, so nobody can ever "
        "sign in: mark its view with session_optional or session_exempt, and keep "
        "needs_refresh out of its template."
    )
    if current_app.debug or current_app.testing:
        raise MisuseError(problem)
    state.log.write(logging.ERROR, "sign_in_closed", problem)
    return True


def safe_target(raw: str | None) -> str:
    """Return where *raw* may lead back to; ``/`` where it may not."""
    return redirect_target(
        raw,
        allowed_origins=current_state().ready().deployment.return_origins,
        refused_paths={_decoded_refresh_path(), _sign_in_url(), _factor_url()},
    )


def request_path() -> str:
    """Return the path and query of the current request, whatever they are."""
    return local_path(request.root_path, request.path, request.query_string)


def current_return_path() -> str:
    """Return the path and query of the current request, fit to come back to."""
    return safe_target(request_path())


def safe_return_path(raw: str | None) -> str:
    """Return where a visitor may be sent after sign-in: *raw* if it is safe, ``/`` if it is not.

    :param raw: the return path a sign-in page was given, for instance
        ``request.args.get("redirectToPath")``; None counts as unsafe.
    :returns: a path on this site with query and fragment, or a full URL whose origin is the SDK's
        website origin or in ``SSR_SESSION_REDIRECT_ORIGINS``.
    :raises MisuseError: ``init_app`` was not called for this app.
    """
    return safe_target(raw)


def _sign_in_url() -> str:
    """Return the sign-in URL without its query and without a slash at its end."""
    return current_state().ready().deployment.login_url.partition("?")[0].rstrip("/")


def _factor_url() -> str:
    return current_state().ready().deployment.factor_url or _decoded_refresh_path()


def is_closed_factor_page() -> bool:
    """Return whether the page that completes sign-in would be led to itself.

    :raises MisuseError: so it is, and the app is in debug or testing mode.
    """
    state = current_state()
    if state.verdict().state is not SessionState.PENDING or request.url_rule is None:
        return False
    if _full_path().rstrip("/") != state.ready().deployment.factor_url:
        return False
    problem = (
        f"The page {request.path!r}, where visitors complete their sign-in, asks for a complete "
        "session, so nobody can ever do that: mark its view with "
        "session_required(allow_pending=True)."
    )
    if current_app.debug or current_app.testing:
        raise MisuseError(problem)
    state.log.write(logging.ERROR, "factor_page_closed", problem)
    return True


def _full_path() -> str:
    """Return the decoded path of the current request, mount point included."""
    return _joined(request.root_path, request.path)


def _joined(root_path: str, path: str) -> str:
    # A mount point may come from a proxy's header. Two slashes would name another host, and so
    # would a backslash or a tab, which browsers take for one or drop.
    mount_point = f"/{root_path.strip('/')}"
    return mount_point + path if mount_point != "/" and is_plain_path(mount_point) else path
