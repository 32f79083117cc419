"""Run the doctor's checks on an app, or explain one access token."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from werkzeug.http import parse_cookie

from ..app_state import AppState
from ..decorator_order import check_decorator_order
from ..errors import ConfigError, MisuseError
from ..pages import assets
from ..sansio.cookie_header import ACCESS_TOKEN_COOKIE
from .check_api import check_api_keys, check_core, check_cors, check_refresh_api
from .check_claims import (
    check_claims,
    check_cures,
    check_factors,
    check_inner_calls,
    check_pending,
    check_recipes,
    check_session_guards,
    check_user_loader,
)
from .check_clocks import check_clocks
from .check_cookies import (
    check_api_cookies,
    check_cookie_attributes,
    check_cookie_domain,
    check_older_cookie_domain,
    hosts_are_apart,
)
from .check_hooks import check_decorators, check_middleware
from .check_keys import check_keys, check_static_keys
from .check_pages import (
    check_caches,
    check_connection_allowlist,
    check_csp,
    check_refresh_page,
    check_script,
    check_sign_in,
)
from .check_settings import (
    check_sdk,
    check_sdk_version,
    check_server_name,
    check_settings,
    check_site,
)
from .check_templates import check_templates
from .environment import Environment, read_environment
from .explain_token import explain_token
from .finding import Finding, problem

# In the order of the output. Every check gets the environment, and yields any number of findings.
CHECKS: tuple[Callable[[Environment], Iterator[Finding]], ...] = (
    check_decorators,
    check_middleware,
    check_server_name,
    check_sdk_version,
    check_sdk,
    check_settings,
    check_site,
    check_cookie_domain,
    check_cookie_attributes,
    check_older_cookie_domain,
    check_claims,
    check_session_guards,
    check_pending,
    check_cures,
    check_factors,
    check_recipes,
    check_user_loader,
    check_inner_calls,
    check_templates,
    check_static_keys,
    check_keys,
    check_core,
    check_refresh_api,
    check_cors,
    check_api_cookies,
    check_api_keys,
    check_clocks,
    check_refresh_page,
    check_caches,
    check_csp,
    check_connection_allowlist,
    check_script,
    check_sign_in,
)

# What these report changes with the hosts.
_AFTER_HOSTS = (check_cors, check_csp)


def run_checks(state: AppState, url: str | None, *, offline: bool) -> Iterator[Finding]:
    """Yield the findings of all checks, each as soon as it is known.

    :param url: the front page as browsers see it; None to use that of the SDK or ``SERVER_NAME``.
    :param offline: send no request over the network.
    """
    advice = "fix this first; other checks were skipped"
    try:
        check_decorator_order(state.app)
        environment = read_environment(state, url, offline=offline)
        assets.script()
        assets.style()
    except MisuseError as error:
        yield problem("decorators", str(error), advice)
        return
    except ConfigError as error:
        yield problem("setup", str(error), advice)
        return
    for check in CHECKS:
        if check not in _AFTER_HOSTS or not hosts_are_apart(environment):
            yield from check(environment)


def explain_input(state: AppState, text: str, *, offline: bool) -> Iterator[Finding]:
    """Yield findings about the access token in *text*; none repeats a part of it.

    :param text: a token, or a ``Cookie`` header with one.
    :param offline: fetch no keys, and use only those from the settings.
    """
    try:
        binding = state.sdk_binding()
    except (ConfigError, MisuseError) as error:
        yield problem("setup", str(error), "fix this first; the token was not checked")
        return
    # Other characters become "?", which no token contains.
    given = text.encode("ascii", "replace").decode().strip()
    name, _, value = given.partition(":")
    header = value if name.lower() == "cookie" else given
    raw_tokens = parse_cookie(header).getlist(ACCESS_TOKEN_COOKIE)
    if len(raw_tokens) > 1:
        yield problem(
            "cookies",
            f"the browser sends {len(raw_tokens)} cookies {ACCESS_TOKEN_COOKIE}, so every refresh "
            "fails",
            "in the API, set session.init(older_cookie_domain=...) to the previous cookie domain, "
            'or to "" if there was none',
        )
        return
    # A terminal may have broken a long line.
    raw_token = raw_tokens[0] if raw_tokens else "".join(text.split())
    keys = None if offline and binding.resolved.key_uris else binding.keys
    yield from explain_token(raw_token, keys, binding.rules, state.clock.wall())
