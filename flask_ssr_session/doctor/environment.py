"""The data of a doctor run: values of this process, and probes that run when first read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urljoin

from flask import Flask

from ..app_state import AppState
from ..config.resolved import ResolvedSettings, SDKSettings
from ..config.sdk import SDKCookieSettings, read_cookie_settings, read_recipe_ids, read_sdk
from ..config.settings import Settings
from ..config.static_keys import read_static_keys
from ..errors import FetchError
from ..middleware_order import is_sdk_hook
from ..sansio.cures import CurePages
from ..sansio.origins import parse_origin
from .claim_setup import ClaimSetup, read_claim_setup
from .find_sign_in import find_login_url
from .hosts import browser_origin, is_top_level, public_suffix_test
from .obstacles import find_obstacle
from .page_files import find_script
from .probes import (
    PAGE_HEADERS,
    RETURN_PATH,
    ProbeResult,
    next_url,
    preflight_headers,
    probe_app,
    refresh_headers,
    rejects_requests,
    send_probe,
)


@dataclass(frozen=True)
class Environment:
    """The one argument of every check.

    A probe that cannot run gives None or an empty tuple: the run is offline, the probe needs a
    value that is unknown, or the app rejects every request.

    :ivar resolved: the settings, resolved with those of the SDK.
    :ivar sdk: None if no SDK is initialised in this process; *cookies* likewise.
    :ivar recipe_ids: ids of the initialised recipes of the SDK; None without an SDK.
    :ivar sdk_version: version of the installed SDK, or None.
    :ivar has_sdk_middleware: the app runs the SDK's middleware.
    :ivar front_page: URL of the front page as browsers see it; None if it is unknown.
    :ivar static_kids: ids of the keys in ``SSR_SESSION_JWKS``.
    :ivar is_public_suffix: returns whether anyone can register names below a domain.
    :ivar rejects_requests: the app raises an error for every request, which a check reports.
    """

    state: AppState
    resolved: ResolvedSettings
    sdk: SDKSettings | None = None
    cookies: SDKCookieSettings | None = None
    recipe_ids: frozenset[str] | None = None
    sdk_version: str | None = None
    has_sdk_middleware: bool = False
    front_page: str | None = None
    static_kids: frozenset[str] = frozenset()
    is_public_suffix: Callable[[str], bool] = is_top_level
    is_offline: bool = False
    rejects_requests: bool = False

    @property
    def settings(self) -> Settings:
        """The app's own settings."""
        return self.state.settings

    @property
    def site(self) -> str | None:
        """The origin of the pages; None if it is unknown."""
        return self.front_page and browser_origin(self.front_page)

    @property
    def api_origin(self) -> str:
        """The origin of the API as browsers write it."""
        return browser_origin(self.resolved.api_domain)

    @property
    def refresh_api_url(self) -> str:
        """The URL that browsers refresh at."""
        return f"{self._api_url}/session/refresh"

    @property
    def api_key_set_url(self) -> str:
        """The URL of the API's public key set."""
        return f"{self._api_url}/jwt/jwks.json"

    @property
    def _api_url(self) -> str:
        return f"{self.resolved.api_domain}{self.resolved.api_base_path}"

    @cached_property
    def claims(self) -> ClaimSetup:
        """Which claims the SDK and the app require."""
        resolved = self.resolved
        pages = CurePages(resolved.claim_pages, resolved.factors_path, self.settings.step_up_url)
        return read_claim_setup(self.state, self.sdk, pages, self.recipe_ids)

    @cached_property
    def key_servers(self) -> tuple[ProbeResult, ...]:
        """The key set of each key server."""
        if self.is_offline:
            return ()
        return tuple(send_probe(self.state.clock, uri) for uri in self.resolved.key_uris)

    @property
    def verification_kids(self) -> frozenset[str]:
        """The ids of the keys that pages verify tokens with."""
        return self.static_kids.union(*(probe.kids for probe in self.key_servers))

    @cached_property
    def cores(self) -> tuple[ProbeResult, ...]:
        """The response of each core to a query for a session that does not exist."""
        if self.is_offline:
            return ()
        # A core reads the part of a session handle after an underscore as the tenant.
        query = "?sessionHandle=flask-ssr-session-doctor"
        return tuple(
            send_probe(self.state.clock, uri + query, self.resolved.core_headers)
            for uri in self.resolved.session_uris
        )

    @cached_property
    def refresh_api(self) -> ProbeResult | None:
        """The refresh API's response to a browser without a session."""
        if self.is_offline or (self.rejects_requests and self.has_sdk_middleware):
            return None
        headers = refresh_headers(self.site)
        return send_probe(self.state.clock, self.refresh_api_url, headers, "POST")

    @cached_property
    def preflight(self) -> ProbeResult | None:
        """The refresh API's response to the preflight of a cross-origin refresh."""
        if self.is_offline or self.site is None:
            return None
        headers = preflight_headers(self.site)
        return send_probe(self.state.clock, self.refresh_api_url, headers, "OPTIONS")

    @cached_property
    def api_key_set(self) -> ProbeResult | None:
        """The API's public key set."""
        return None if self.is_offline else send_probe(self.state.clock, self.api_key_set_url)

    @cached_property
    def refresh_page(self) -> ProbeResult | None:
        """The refresh page; an offline run requests it from the app in this process."""
        if self.front_page is None or self.rejects_requests:
            return None
        # A page that does not repeat the return path shows that a proxy drops the query.
        path = f"{self.settings.refresh_path}?redirectBack={RETURN_PATH}"
        if self.is_offline:
            return probe_app(self.state.clock, self.state.app, self.front_page, path)
        return send_probe(self.state.clock, self.front_page + path, PAGE_HEADERS)

    @cached_property
    def repeated_page(self) -> ProbeResult | None:
        """The refresh page, requested a second time."""
        if self.is_offline or self.refresh_page is None or find_script(self.refresh_page) is None:
            return None
        return send_probe(self.state.clock, self.refresh_page.url, PAGE_HEADERS)

    @cached_property
    def script(self) -> ProbeResult | None:
        """The script that the refresh page loads."""
        if self.is_offline or self.refresh_page is None:
            return None
        script = find_script(self.refresh_page)
        return None if script is None else send_probe(self.state.clock, script.url)

    @cached_property
    def login_url(self) -> str | None:
        """Path or URL of sign-in for a visitor of the front page; None if the app gives none."""
        return find_login_url(self.state, self.resolved, self.front_page)

    @property
    def sign_in_url(self) -> str | None:
        """The URL that visitors sign in at; None if it is unknown."""
        if self.front_page is None or self.login_url is None:
            return None
        return urljoin(self.front_page + self.settings.refresh_path, self.login_url)

    @cached_property
    def sign_in(self) -> ProbeResult | None:
        """The sign-in page, after at most one redirect; None also if the site is down."""
        page = self.refresh_page
        if self.is_offline or page is None or isinstance(page.answer, FetchError):
            return None
        if (url := self.sign_in_url) is None or find_obstacle(page, "") is not None:
            return None
        first = send_probe(self.state.clock, url, PAGE_HEADERS)
        # For example from /auth to /auth/.
        onward = next_url(url, first.answer)
        return first if onward is None else send_probe(self.state.clock, onward, PAGE_HEADERS)


def read_environment(state: AppState, url: str | None, *, offline: bool) -> Environment:
    """Return the environment of *state*.

    :param url: the front page as browsers see it; None to use that of the SDK or ``SERVER_NAME``.
    :raises ConfigError: the settings of the app or of the SDK are invalid.
    """
    sdk, jwks = read_sdk(), state.settings.jwks
    front_page = url
    if front_page is None:
        with suppress(ValueError):  # check_server_name reports it
            front_page = configured_front_page(state.app, sdk)
    return Environment(
        state=state,
        resolved=ResolvedSettings.resolve(state.settings, sdk),
        sdk=sdk,
        cookies=read_cookie_settings(),
        recipe_ids=read_recipe_ids(),
        sdk_version=_sdk_version(),
        has_sdk_middleware=any(map(is_sdk_hook, state.app.before_request_funcs.get(None, []))),
        front_page=front_page,
        static_kids=frozenset() if jwks is None else frozenset(read_static_keys(jwks)),
        is_public_suffix=public_suffix_test(),
        is_offline=offline,
        rejects_requests=rejects_requests(state),
    )


def configured_front_page(app: Flask, sdk: SDKSettings | None) -> str | None:
    """Return the front page that the SDK or the app's config names, or None.

    :raises ValueError: ``SERVER_NAME`` is not a host that browsers can open.
    """
    website = sdk.website_origin if sdk else None
    if website is None and app.config["SERVER_NAME"]:
        website = parse_origin(
            f"{app.config['PREFERRED_URL_SCHEME']}://{app.config['SERVER_NAME']}"
        )
    return website and website + app.config["APPLICATION_ROOT"].rstrip("/")


def _sdk_version() -> str | None:
    try:
        return version("supertokens-python")
    except PackageNotFoundError:
        return None
