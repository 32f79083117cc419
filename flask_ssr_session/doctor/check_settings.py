"""Tell what the settings and the SDK of this process come to. Values in, findings out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..config.settings import Settings
from ..sansio.origins import is_loopback
from .check_cookies import check_cookies, check_older_domain, check_sharing
from .environment import Environment
from .finding import Finding, ok, problem, warning
from .hosts import bare_domain, browser_origin

# What pyproject.toml asks for: the first that tells OAuth2 tokens from sessions (claim ``stt``).
OLDEST_SDK = (0, 31, 4)


def check_settings(setup: Environment) -> Iterator[Finding]:
    """Yield what the settings, the SDK and the two hosts come to."""
    yield _about_version(setup.sdk_version)
    yield _about_sdk(setup)
    yield from _about_settings(setup)
    if setup.site is None:
        yield warning(
            "site",
            "nobody says where the site is seen from, so cookies and pages were not looked at",
            "pass --url https://www.example.com",
        )
        return
    yield _about_site(setup, setup.site)
    yield check_sharing(setup, setup.site)
    if setup.cookies is not None:
        yield from check_cookies(setup, setup.site, setup.cookies)
        yield from check_older_domain(setup, setup.cookies)


def _about_version(version: str | None) -> Finding:
    oldest = ".".join(map(str, OLDEST_SDK))
    advice = f"pip install 'supertokens-python>={oldest}'"
    if version is None:
        return problem("sdk_version", "supertokens-python is not installed", advice)
    if _numbers(version) < OLDEST_SDK:
        message = f"supertokens-python {version} is older than {oldest}"
        return problem("sdk_version", message, advice)
    return ok("sdk_version", f"supertokens-python {version}")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _about_sdk(setup: Environment) -> Finding:
    if setup.sdk is None:
        return ok("sdk", "none is initialised in this process; the settings say where the API is")
    if setup.sdk.dynamic_signing_key is None:
        return problem(
            "sdk",
            "the SDK is initialised without the Session recipe, so nobody gets a session here",
            "put session.init() into recipe_list",
        )
    if setup.is_api_here and not setup.has_sdk_middleware:
        return warning(
            "sdk",
            "the API has this site's origin, but the SDK's middleware is not in this app",
            "call Middleware(app), unless another service answers below the API base path",
        )
    return ok("sdk", "the SDK is initialised with the Session recipe")


def _about_settings(setup: Environment) -> Iterator[Finding]:
    """Yield settings that contradict each other or the SDK, and those that are risks."""
    findings = [*_against_sdk(setup), *_against_each_other(setup), *_risks(setup.settings)]
    yield from findings or [ok("settings", "no two settings contradict each other")]


def _against_sdk(setup: Environment) -> Iterator[Finding]:
    settings, sdk = setup.settings, setup.sdk
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
                f"SSR_SESSION_{name} is not what the SDK in this process has",
                f"leave SSR_SESSION_{name} out: the SDK's value is used then; a gateway's prefix "
                "is its api_gateway_path",
            )
    # As the SDK spells it: tokens repeat that, letter by letter.
    if settings.issuer not in (None, f"{sdk.api_domain}{sdk.api_base_path}"):
        yield problem(
            "settings",
            "SSR_SESSION_ISSUER is not the issuer that the SDK writes, so no token passes",
            "set it to the SDK's api_domain followed by api_base_path, or leave it out",
        )


def _against_each_other(setup: Environment) -> Iterator[Finding]:
    settings = setup.settings
    if settings.jwks is not None and settings.jwks_uri is not None:
        yield warning(
            "settings",
            "SSR_SESSION_JWKS is set, so SSR_SESSION_JWKS_URI is never asked",
            "keep one of them",
        )
    if setup.deployment.login_url.partition("?")[0].rstrip("/") == settings.refresh_path:
        yield problem(
            "settings",
            "sign-in and the refresh page have one path",
            "set SSR_SESSION_LOGIN_URL or SSR_SESSION_REFRESH_PATH to another one",
        )


def _risks(settings: Settings) -> Iterator[Finding]:
    if settings.insecure_jwks_http:
        yield warning(
            "settings",
            "SSR_SESSION_INSECURE_JWKS_HTTP is on: whoever sits on the way to the keys can sign "
            "in as anybody",
            "fetch them over https",
        )
    if settings.insecure_cross_site:
        yield warning(
            "settings",
            "SSR_SESSION_INSECURE_CROSS_SITE is on: every page on the web can act in a visitor's "
            "name",
            "list the sites that may post here in SSR_SESSION_TRUSTED_ORIGINS instead",
        )


def _about_site(setup: Environment, site: str) -> Finding:
    website, api = setup.sdk and setup.sdk.website_origin, setup.api_origin
    if site.startswith("https:") and api.startswith("http:"):
        return problem(
            "site",
            "the site is https and the API plain http, so browsers block every refresh",
            "serve the API over https, and write api_domain so",
        )
    # Browsers take the scheme for a part of the site: SameSite cookies are not sent across, and
    # the others have to be Secure.
    if api.startswith("https:") and site.startswith("http:") and not is_loopback(site):
        return problem(
            "site",
            "the site is plain http and the API https, so no cookie works for both",
            "serve the site over https, and pass --url so",
        )
    if website is not None and website != site:
        return warning(
            "site",
            f"the SDK takes {website} for the site, and it is looked at as {site}",
            "set website_domain of the SDK to where the site is, or pass --url accordingly",
        )
    return ok("site", f"seen from {site}, with the API at {api}")
