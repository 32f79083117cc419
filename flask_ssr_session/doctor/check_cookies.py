"""Check that the API's cookies reach the pages, and the API again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import urlsplit

from ..config.sdk import SDKCookieSettings
from ..sansio.origins import is_loopback
from ..upstream.fetch import FetchedResponse
from .check_api import working_refresh_api
from .environment import Environment
from .finding import Finding, Level, ok, problem, warning
from .hosts import bare_domain, host_of

_PARTITIONED = re.compile(r";\s*partitioned\s*(?=;|$)", re.IGNORECASE)


def check_cookie_domain(environment: Environment) -> Iterator[Finding]:
    """Check that browsers send the API's cookies to the pages."""
    if (site := environment.site) is not None:
        yield _check_domain(environment, site)


def _check_domain(environment: Environment, site: str) -> Finding:
    api_domain = environment.resolved.api_domain
    page, api = host_of(site), host_of(api_domain)
    if domain := bare_domain(environment.resolved.cookie_domain):
        return _check_shared_domain(environment, domain, page, api)
    if page == api:
        return ok("cookie_domain", f"pages and API share the host {page}")
    if is_loopback(site) and is_loopback(api_domain):
        return problem(
            "cookie_domain",
            f"browsers share no cookies between {page} and {api}",
            f"open the site at {api}, or set the SDK's domains to {page}",
        )
    shared = _shared_domain(page, api)
    if environment.is_public_suffix(shared):
        return problem(
            "cookie_domain",
            f"{page} and {api} are different sites, which never share cookies",
            "serve the API on a subdomain of the pages' domain, or let the pages' server forward "
            "the API base path to the API",
        )
    return problem(
        "cookie_domain",
        f"the API at {api} does not share its cookies with the pages at {page}",
        f'set session.init(cookie_domain=".{shared}") in the API, and SSR_SESSION_COOKIE_DOMAIN in '
        "page processes without the SDK",
    )


def _check_shared_domain(environment: Environment, domain: str, page: str, api: str) -> Finding:
    for host, consequence in (
        (api, f"browsers reject them from the API at {api}"),
        (page, f"the pages at {page} never receive them"),
    ):
        if not _covers(domain, host):
            return problem(
                "cookie_domain",
                f"session cookies are set for {domain}, so {consequence}",
                "set session.init(cookie_domain=...) to a domain that both hosts end with, or "
                "remove it if pages and API have the same host",
            )
    if environment.is_public_suffix(domain) and domain != page:
        return problem(
            "cookie_domain",
            f"browsers reject cookies for the public suffix {domain}",
            "set session.init(cookie_domain=...) to a domain that you own",
        )
    return ok("cookie_domain", f"session cookies for {domain} reach both {page} and {api}")


def hosts_are_apart(environment: Environment) -> bool:
    """Return whether no cookie domain lets pages and API share cookies, so a host has to change."""
    if (site := environment.site) is None:
        return False
    shared = _shared_domain(host_of(site), host_of(environment.resolved.api_domain))
    has_problem = _check_domain(environment, site).level is Level.PROBLEM
    return has_problem and environment.is_public_suffix(shared)


def _covers(domain: str, host: str) -> bool:
    """Return whether a cookie for *domain* is sent to *host* (RFC 6265 section 5.1.3)."""
    return host == domain or (host.endswith(f".{domain}") and not _is_address(host))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _shared_domain(one: str, other: str) -> str:
    """Return the longest domain that both hosts end with, or an empty text."""
    if _is_address(one):
        return ""
    shared: list[str] = []
    for left, right in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if left != right:
            break
        shared.insert(0, left)
    return ".".join(shared)


def check_cookie_attributes(environment: Environment) -> Iterator[Finding]:
    """Check the attributes that the SDK of this process gives to session cookies."""
    if environment.site is not None and environment.cookies is not None:
        yield from _check_attributes(environment, environment.site, environment.cookies)


def _check_attributes(
    environment: Environment, site: str, cookies: SDKCookieSettings
) -> Iterator[Finding]:
    yield _check_secure(environment, site, cookies)
    if cookies.same_site == "strict":
        yield warning(
            "cookie_same_site",
            "session cookies are SameSite=Strict: a visitor who follows a link from another site "
            "arrives without them, and is sent to sign-in",
            'set session.init(cookie_same_site="lax"), the default',
        )
    if cookies.same_site == "none" and not cookies.secure:
        yield problem(
            "cookie_same_site",
            "session cookies are SameSite=None without Secure, which browsers reject",
            'set session.init(cookie_same_site="lax"), or serve everything over https',
        )


def _check_secure(environment: Environment, site: str, cookies: SDKCookieSettings) -> Finding:
    plain = next((url for url in (site, environment.api_origin) if url.startswith("http:")), None)
    if cookies.secure and plain is not None and not is_loopback(plain):
        return problem(
            "cookie_secure",
            "session cookies are Secure, but browsers neither store nor send them over plain http "
            f"to {host_of(plain)}",
            "serve it over https; for development only, set session.init(cookie_secure=False)",
        )
    if not cookies.secure and plain is None:
        return warning(
            "cookie_secure",
            "the site uses https, but its session cookies would be sent over plain http, too",
            "remove cookie_secure from session.init(...), or set it to True",
        )
    return ok("cookie_secure", f"session cookies are {'' if cookies.secure else 'not '}Secure")


def check_older_cookie_domain(environment: Environment) -> Iterator[Finding]:
    """Check that a refresh clears cookies of an earlier ``cookie_domain``."""
    if environment.site is None or environment.cookies is None:
        return
    domain = bare_domain(environment.resolved.cookie_domain)
    older = bare_domain(environment.cookies.older_domain)
    if older == (domain or ""):
        yield problem(
            "older_cookie_domain",
            "older_cookie_domain and cookie_domain are the same, so duplicate cookies remain",
            "set older_cookie_domain to the previous cookie domain, or remove it",
        )
    elif domain and older is None:
        # Not a warning: this process cannot see whether browsers hold older cookies, so a site
        # owner could never resolve it.
        yield ok("older_cookie_domain", "not set; only needed after a change of cookie_domain")


@dataclass(frozen=True)
class ObservedCookies:
    """How the running API sets session cookies.

    :ivar domain: without a leading dot; None for host-only cookies.
    :ivar refresh_path: the path that browsers send the refresh token to.
    """

    domain: str | None
    secure: bool
    same_site: str
    refresh_path: str


def observed_cookies(answer: FetchedResponse) -> ObservedCookies | None:
    """Return how a refresh response sets cookies, or None unless it sets both tokens."""
    found = SimpleCookie()
    for header in answer.headers.get_all("Set-Cookie") or []:
        with suppress(CookieError):
            # Python before 3.14 skips a cookie with this attribute.
            found.load(_PARTITIONED.sub("", header))
    access, refresh = found.get("sAccessToken"), found.get("sRefreshToken")
    if access is None or refresh is None:
        return None
    return ObservedCookies(
        domain=bare_domain(access["domain"] or None),
        secure=bool(access["secure"]),
        same_site=access["samesite"].lower(),
        refresh_path=refresh["path"],
    )


def check_api_cookies(environment: Environment) -> Iterator[Finding]:
    """Compare the cookies of the running API with the settings."""
    if (answer := working_refresh_api(environment)) is None:
        return
    observed = observed_cookies(answer)
    if observed is None:
        yield problem(
            "api_cookies",
            "the refresh API's response sets no session cookies",
            "make proxies in front of the API pass Set-Cookie; pages rely on these cookies",
        )
        return
    requested_path = urlsplit(environment.refresh_api_url).path
    api = host_of(environment.api_origin)
    configured = bare_domain(environment.resolved.cookie_domain)
    # On a single host, a cookie for that domain and a host-only cookie are equivalent.
    is_single_host = host_of(environment.site or "") == api == (configured or api)
    if not f"{requested_path}/".startswith(f"{observed.refresh_path.rstrip('/')}/"):
        yield problem(
            "api_cookies",
            "the API sets the refresh token for a different path than browsers refresh at, so "
            "every refresh ends the session",
            "in the API, set api_gateway_path and api_base_path to the path that browsers use",
        )
    elif observed.domain != configured and not (is_single_host and observed.domain in (None, api)):
        yield problem(
            "api_cookies",
            f"the API sets session cookies for {observed.domain or 'its own host only'}, but this "
            f"process expects them for {configured or 'one host only'}",
            "set cookie_domain of session.init(...) and SSR_SESSION_COOKIE_DOMAIN to the same "
            "domain everywhere, and check that no proxy changes cookies",
        )
    else:
        yield ok("api_cookies", "the API sets session cookies as this process expects")
    if environment.cookies is None and environment.site is not None:
        # Without an SDK in this process, only the running API shows these attributes.
        attributes = SDKCookieSettings(secure=observed.secure, same_site=observed.same_site)
        yield from _check_attributes(environment, environment.site, attributes)
