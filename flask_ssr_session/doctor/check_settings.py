"""Check the settings, the SDK of this process and the site's address against each other."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..config.settings import Settings
from ..errors import ConfigError
from ..sansio.origins import is_loopback
from ..setup_checks import check_pages
from .environment import Environment, configured_front_page
from .finding import Finding, ok, problem, warning
from .hosts import bare_domain, browser_origin

# As in pyproject.toml: the first version that marks OAuth2 tokens by the claim ``stt``.
OLDEST_SDK = (0, 31, 4)


def check_server_name(environment: Environment) -> Iterator[Finding]:
    """Check that browsers can open the site at ``SERVER_NAME``."""
    if environment.front_page is not None:
        return
    try:
        configured_front_page(environment.state.app, environment.sdk)
    except ValueError as error:
        yield problem(
            "server_name",
            f"SERVER_NAME is not an address that browsers can open: {error}",
            "correct it, or pass --url https://www.example.com",
        )


def check_sdk_version(environment: Environment) -> Iterator[Finding]:
    """Check that the installed SDK is new enough."""
    version = environment.sdk_version
    oldest = ".".join(map(str, OLDEST_SDK))
    advice = f"pip install 'supertokens-python>={oldest}'"
    if version is None:
        yield problem("sdk_version", "supertokens-python is not installed", advice)
    elif tuple(int(part) for part in re.findall(r"\d+", version)) < OLDEST_SDK:
        yield problem("sdk_version", f"supertokens-python {version} is older than {oldest}", advice)
    else:
        yield ok("sdk_version", f"supertokens-python {version}")


def check_sdk(environment: Environment) -> Iterator[Finding]:
    """Check how the SDK of this process is initialised."""
    if environment.sdk is None:
        yield ok("sdk", "no SDK is initialised in this process; the settings say where the API is")
    elif environment.sdk.dynamic_signing_key is None:
        yield problem(
            "sdk",
            "the SDK is initialised without the Session recipe, so it creates no sessions",
            "add session.init() to recipe_list",
        )
    elif environment.site == environment.api_origin and not environment.has_sdk_middleware:
        yield warning(
            "sdk",
            "the API has the site's origin, but this app does not run the SDK's middleware",
            "call Middleware(app), unless another service serves the API base path",
        )
    else:
        yield ok("sdk", "the SDK is initialised with the Session recipe")


def check_settings(environment: Environment) -> Iterator[Finding]:
    """Check for settings that contradict each other or the SDK, and for risky ones."""
    findings = [
        *_against_sdk(environment),
        *_against_each_other(environment),
        *_risks(environment.settings),
    ]
    yield from findings or [ok("settings", "no settings contradict each other")]


def _against_sdk(environment: Environment) -> Iterator[Finding]:
    settings, sdk = environment.settings, environment.sdk
    if sdk is None:
        return
    for name, ours, theirs in (
        ("API_DOMAIN", settings.api_domain, browser_origin(sdk.api_domain)),
        ("API_BASE_PATH", settings.api_base_path, sdk.api_base_path),
        ("COOKIE_DOMAIN", bare_domain(settings.cookie_domain), bare_domain(sdk.cookie_domain)),
    ):
        if ours is not None and ours != theirs:
            yield problem(
                "settings",
                f"SSR_SESSION_{name} differs from the SDK's value in this process",
                f"remove SSR_SESSION_{name}, so that the SDK's value is used; if a gateway adds a "
                "prefix, set it as the SDK's api_gateway_path",
            )
    # The SDK's own spelling, because tokens repeat it literally.
    if settings.issuer not in (None, f"{sdk.api_domain}{sdk.api_base_path}"):
        yield problem(
            "settings",
            "SSR_SESSION_ISSUER differs from the issuer that the SDK writes, so every token is "
            "rejected",
            "set it to the SDK's api_domain followed by api_base_path, or remove it",
        )


def _against_each_other(environment: Environment) -> Iterator[Finding]:
    settings = environment.settings
    if settings.jwks is not None and settings.jwks_uri is not None:
        yield warning(
            "settings",
            "SSR_SESSION_JWKS is set, so SSR_SESSION_JWKS_URI is never fetched",
            "remove one of them",
        )
    try:
        check_pages(environment.state.app, environment.resolved)
    except ConfigError as error:
        yield problem(
            "settings",
            str(error),
            "correct it: every request fails until then, so no page was requested",
        )
        return
    if environment.login_url is None:
        yield warning(
            "settings",
            "SSR_SESSION_LOGIN_URL gives no sign-in page for a visitor of the front page",
            "make the function, or url_defaults for the endpoint, work for every request; without "
            "a result, visitors sign in at the SDK's own path",
        )
    elif environment.login_url.partition("?")[0].rstrip("/") == settings.refresh_path:
        yield problem(
            "settings",
            "sign-in and the refresh page have the same path",
            "set SSR_SESSION_LOGIN_URL or SSR_SESSION_REFRESH_PATH to another path",
        )


def _risks(settings: Settings) -> Iterator[Finding]:
    if settings.insecure_jwks_http:
        yield warning(
            "settings",
            "SSR_SESSION_INSECURE_JWKS_HTTP is on: an attacker between this app and the key server "
            "can replace the keys and sign in as any user",
            "fetch the keys over https",
        )
    if settings.insecure_cross_site:
        yield warning(
            "settings",
            "SSR_SESSION_INSECURE_CROSS_SITE is on: any page on the web can send requests in a "
            "visitor's name",
            "list the sites that may send forms here in SSR_SESSION_TRUSTED_ORIGINS instead",
        )


def check_site(environment: Environment) -> Iterator[Finding]:
    """Check the site's address against the API's and the SDK's."""
    site, api = environment.site, environment.api_origin
    website = environment.sdk and environment.sdk.website_origin
    if site is None:
        yield warning(
            "site",
            "the site's address is unknown, so cookies and pages were not checked",
            "pass --url https://www.example.com",
        )
    elif site.startswith("https:") and api.startswith("http:"):
        yield problem(
            "site",
            "the site uses https and the API plain http, so browsers block every refresh",
            "serve the API over https, and set api_domain to its https URL",
        )
    # Browsers treat the scheme as part of the site: they send no SameSite cookies across schemes,
    # and other cookies have to be Secure. To localhost, Chromium and Firefox send Secure cookies
    # over plain http, too.
    elif api.startswith("https:") and site.startswith("http:"):
        arrive = (
            "do not arrive on any other host than localhost"
            if is_loopback(site)
            else "never arrive at the pages"
        )
        yield problem(
            "site",
            f"the site uses plain http and the API https, so the API's Secure cookies {arrive}",
            "use one scheme for both: serve the site over https, and pass its https URL with --url",
        )
    elif website is not None and website != site:
        yield warning(
            "site",
            f"the SDK's website_domain is {website}, but the doctor checks {site}",
            "set website_domain of the SDK to the site's address, or pass that address with --url",
        )
    else:
        yield ok("site", f"the site is at {site}, and the API at {api}")
