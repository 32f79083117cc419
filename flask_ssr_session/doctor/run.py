"""Gather what the doctor judges: from the app, from the SDK, and from whoever answers.

Nothing is changed by it. Others are asked by GET and OPTIONS, as a browser without any cookie asks
them; and the refresh API once by POST, which without a refresh token ends at "no session", before
SuperTokens asks its core.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urljoin

from werkzeug.http import parse_cookie

from ..app_state import ACCESS_TOKEN_COOKIE, AppState
from ..config.sdk import read_cookie_rules, read_sdk
from ..config.settings import ResolvedSettings
from ..errors import ConfigError, FetchError, MisuseError
from ..hook_order import hook_before_api
from ..pages import assets
from ..sansio.jwks import parse_key_set
from ..setup_checks import check_decorator_order, unreached_guards
from ..upstream.connection import Deadline
from ..upstream.fetch import FETCH_SECONDS, request
from .check_api import CORS_HEADERS, check_api_keys, check_core, check_cors, check_refresh_api
from .check_claims import check_claims
from .check_cookies import check_seen_cookies, seen_cookies
from .check_keys import Answer, ProbeResult, check_clock, check_keys, check_static_keys, key_ids
from .check_pages import check_refresh_page, check_script, check_sign_in, next_url, script_url
from .check_settings import check_settings
from .explain_token import explain_token
from .finding import Environment, Finding, Level, browser_origin, is_top_level, ok, problem
from .gather_claims import gather_claims
from .probes import answers_api, ask_app, check_templates, front_page

# A page request of a browser that has never been here.
_AS_A_BROWSER = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
}


def check_up(state: AppState, url: str | None, *, offline: bool) -> Iterator[Finding]:
    """Yield everything that can be found out about an app.

    :param url: where browsers see the front page; None for what the SDK or SERVER_NAME says.
    :param offline: ask nobody but the app itself.
    """
    try:
        check_decorator_order(state.app)
        sdk = read_sdk()
        deployment = ResolvedSettings.of(state.settings, sdk)
        script = assets.script().content
        assets.style()
    except MisuseError as error:
        yield problem("decorators", str(error), "mend this first: nothing else was looked at")
        return
    except ConfigError as error:
        yield problem("setup", str(error), "mend this first: nothing else was looked at")
        return
    if (unreached := unreached_guards(state.app)) is not None:
        yield problem(
            "decorators",
            unreached,
            "put @session_required or @session_optional right at the function, below all others",
        )
    else:
        yield ok("decorators", "every decorator stands below its route")
    if (turned_away := hook_before_api(state.app, deployment)) is not None:
        yield problem(
            "middleware", turned_away, "call Middleware(app) before you register the hook"
        )
    front: str | None = None
    try:
        front = url or front_page(state.app, sdk.website_origin if sdk else None)
    except ValueError as error:
        yield problem(
            "server_name",
            f"SERVER_NAME is no place that browsers can see the site at: {error}",
            "correct it, or pass --url https://www.example.com",
        )
    setup = Environment(
        settings=state.settings,
        deployment=deployment,
        sdk=sdk,
        cookies=read_cookie_rules(),
        sdk_version=_sdk_version(),
        answers_api=answers_api(state.app),
        site=front and browser_origin(front),
        is_public_suffix=_suffix_list(),
    )
    yield from check_settings(setup)
    yield from check_claims(gather_claims(state))
    yield check_templates(state, front)
    static = _static_kids(state)
    if static:
        yield check_static_keys(setup, static)
    if not offline:
        yield from _ask_around(state, setup, static)
        if front:
            yield from _ask_site(setup, front, script)
    elif front:
        path = state.settings.refresh_path
        page = ask_app(state.app, front, path, _AS_A_BROWSER)
        yield from check_refresh_page(setup, front + path, page)


def explain_input(state: AppState, text: str, *, offline: bool) -> Iterator[Finding]:
    """Yield what can be told of the access token in *text*, none of which is repeated.

    :param text: a token, or a ``Cookie`` header with one.
    :param offline: fetch no keys; keys that came with the settings are used all the same.
    """
    try:
        ready = state.ready()
    except (ConfigError, MisuseError) as error:
        yield problem("setup", str(error), "mend this first: the token was not looked at")
        return
    # Whatever is no ASCII is no token.
    given = text.encode("ascii", "replace").decode().strip()
    name, _, value = given.partition(":")
    header = value if name.lower() == "cookie" else given
    raw_tokens = parse_cookie(header).getlist(ACCESS_TOKEN_COOKIE)
    if len(raw_tokens) > 1:
        yield problem(
            "cookies",
            f"the browser sends {len(raw_tokens)} cookies {ACCESS_TOKEN_COOKIE}, so every refresh "
            "fails",
            'where the API is, set session.init(older_cookie_domain="") or to the domain it was',
        )
        return
    # A terminal may have broken a long line.
    raw_token = raw_tokens[0] if raw_tokens else "".join(text.split())
    keys = None if offline and ready.deployment.key_uris else ready.keys
    yield from explain_token(raw_token, keys, ready.rules, state.clock.wall())


def _sdk_version() -> str | None:
    try:
        return version("supertokens-python")
    except PackageNotFoundError:
        return None


def _suffix_list() -> Callable[[str], bool]:
    """Return how to tell public suffixes: by the list the SDK brings along, where it does."""
    try:
        from tldextract import TLDExtract
    except ImportError:
        return is_top_level
    # As packaged: neither downloaded nor kept on disk.
    extract = TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=True)
    return lambda domain: is_top_level(domain) or extract(domain).suffix == domain


def _static_kids(state: AppState) -> frozenset[str]:
    document = state.settings.jwks
    if document is None:
        return frozenset()
    return frozenset(
        parse_key_set(Path(document).read_bytes() if isinstance(document, str) else document)
    )


def _ask(
    url: str, headers: Mapping[str, str] = MappingProxyType({}), method: str = "GET"
) -> Answer:
    try:
        return request(method, url, Deadline(FETCH_SECONDS), headers)
    except FetchError as error:
        return error


def _ask_around(
    state: AppState, setup: Environment, verification_kids: Collection[str]
) -> Iterator[Finding]:
    """Ask the key servers, the core and the API."""

    def hear(url: str, headers: Mapping[str, str] = MappingProxyType({})) -> ProbeResult:
        return ProbeResult(url, _ask(url, headers), state.clock.wall())

    deployment = setup.deployment
    heard = [hear(uri) for uri in deployment.key_uris]
    if heard:
        yield from check_keys(setup, heard)
        verification_kids = frozenset[str]().union(*(key_ids(answer) for _, answer, _ in heard))
    # Where the core has not even keys to give, that was said.
    if verification_kids and deployment.session_uris:
        # Without an underscore, behind which the core would read a tenant.
        nobody = "?sessionHandle=flask-ssr-session-doctor"
        yield check_core(
            [hear(uri + nobody, deployment.core_headers) for uri in deployment.session_uris]
        )
    answer = _ask_to_refresh(setup)
    found = check_refresh_api(setup, answer)
    yield found
    if not heard:
        yield from check_clock(answer, state.clock.wall(), "the API")
    if isinstance(answer, FetchError) or found.level is not Level.OK:
        return
    if setup.site is not None and not setup.is_api_here:
        yield check_cors(setup, setup.site, _ask_leave(setup, setup.site), answer)
    yield from check_seen_cookies(setup, seen_cookies(answer))
    key_set = f"{deployment.api_domain}{deployment.api_base_path}/jwt/jwks.json"
    # Pages without a core have the API's keys; where there are none, that was said.
    if verification_kids and key_set not in deployment.key_uris:
        yield check_api_keys(setup, _ask(key_set), verification_kids)


def _ask_to_refresh(setup: Environment) -> Answer:
    """Ask the refresh API as a browser does, without a cookie: there is nothing to refresh."""
    headers = {"Content-Length": "0", "rid": "session", "st-auth-mode": "cookie"}
    if setup.site is not None:
        headers["Origin"] = setup.site
    return _ask(setup.refresh_api, headers, "POST")


def _ask_leave(setup: Environment, site: str) -> Answer:
    """Ask what a browser asks before it refreshes elsewhere."""
    headers = {
        "Origin": site,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ",".join(CORS_HEADERS),
    }
    return _ask(setup.refresh_api, headers, "OPTIONS")


def _ask_site(setup: Environment, front: str, script: bytes) -> Iterator[Finding]:
    address = front + setup.settings.refresh_path
    page = _ask(address, _AS_A_BROWSER)
    yield from check_refresh_page(setup, address, page)
    if isinstance(page, FetchError):
        return
    if (at := script_url(address, page)) is not None:
        yield check_script(_ask(at), script)
    at = sign_in = urljoin(address, setup.deployment.login_url)
    answer = _ask(at, _AS_A_BROWSER)
    # One step on: such as from /auth to /auth/, or back to itself.
    if (onward := next_url(at, answer)) is not None:
        at, answer = onward, _ask(onward, _AS_A_BROWSER)
    yield check_sign_in(sign_in, at, answer)
