"""Tell whether cookies of the API reach the pages and the API again. Values in, findings out."""

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
from .finding import Environment, Finding, bare_domain, host_of, ok, problem, warning

_PARTITIONED = re.compile(r";\s*partitioned\s*(?=;|$)", re.IGNORECASE)


def check_sharing(setup: Environment, site: str) -> Finding:
    """Tell whether the cookies that the API sets come back to the pages."""
    page, api = host_of(site), host_of(setup.deployment.api_domain)
    domain = bare_domain(setup.deployment.cookie_domain)
    if domain:
        return _about_domain(setup, domain, page, api)
    if page == api:
        return ok("cookie_domain", f"pages and API are at one host, {page}")
    if is_loopback(site) and is_loopback(setup.deployment.api_domain):
        return problem(
            "cookie_domain",
            f"to a browser, {page} and {api} are two hosts that share no cookies",
            f"open the site at {api}, or give the SDK domains at {page}",
        )
    shared = _shared_domain(page, api)
    if setup.is_public_suffix(shared):
        return problem(
            "cookie_domain",
            f"{page} and {api} are two sites, which never share cookies",
            "give the API a host of the pages' own domain, or let the pages' server pass the API "
            "base path on to it",
        )
    return problem(
        "cookie_domain",
        f"nothing here shares the cookies of the API at {api} with the pages at {page}",
        f'share them: session.init(cookie_domain=".{shared}") where the API is, and '
        "SSR_SESSION_COOKIE_DOMAIN in processes of pages without the SDK",
    )


def _about_domain(setup: Environment, domain: str, page: str, api: str) -> Finding:
    for host, consequence in (
        (api, f"browsers refuse them from the API at {api}"),
        (page, f"the pages at {page} never get them"),
    ):
        if not _covers(domain, host):
            return problem(
                "cookie_domain",
                f"session cookies are set for {domain}, so {consequence}",
                "set session.init(cookie_domain=...) to a domain both hosts end with, or leave it "
                "out where they are the same",
            )
    if setup.is_public_suffix(domain) and domain != page:
        return problem(
            "cookie_domain",
            f"no browser takes cookies for the whole of {domain}",
            "set session.init(cookie_domain=...) to a domain of yours",
        )
    return ok("cookie_domain", f"session cookies of {domain} reach both {page} and {api}")


def _covers(domain: str, host: str) -> bool:
    """Tell whether a cookie of *domain* reaches *host* (RFC 6265 section 5.1.3)."""
    return host == domain or (host.endswith(f".{domain}") and not _is_address(host))


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _shared_domain(one: str, other: str) -> str:
    """Return the longest domain that both hosts end with, or nothing."""
    if _is_address(one):
        return ""
    shared: list[str] = []
    for left, right in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if left != right:
            break
        shared.insert(0, left)
    return ".".join(shared)


def check_cookies(setup: Environment, site: str, cookies: SDKCookieSettings) -> Iterator[Finding]:
    """Yield whether browsers keep and send cookies that are set so."""
    yield _about_secure(setup, site, cookies)
    if cookies.same_site == "strict":
        yield warning(
            "cookie_same_site",
            "session cookies are SameSite=Strict: who follows a link from another site arrives "
            "without them, and is sent to sign in",
            'set session.init(cookie_same_site="lax"), the default',
        )
    if cookies.same_site == "none" and not cookies.secure:
        yield problem(
            "cookie_same_site",
            "session cookies are SameSite=None without Secure, and browsers refuse those",
            'set session.init(cookie_same_site="lax"), or serve everything over https',
        )


def check_older_domain(setup: Environment, cookies: SDKCookieSettings) -> Iterator[Finding]:
    """Yield whether cookies from before a change of ``cookie_domain`` are cleared away."""
    domain, older = bare_domain(setup.deployment.cookie_domain), bare_domain(cookies.older_domain)
    if older == (domain or ""):
        yield problem(
            "older_cookie_domain",
            "older_cookie_domain and cookie_domain are the same, so every duplicate stays",
            "set older_cookie_domain to the domain it was before, or leave it out",
        )
    elif domain and older is None:
        # Whether browsers hold older cookies cannot be seen from here, so it is no warning: one
        # that nobody can answer would stand there for ever.
        yield ok("older_cookie_domain", "not set; only who changed cookie_domain needs it")


def _about_secure(setup: Environment, site: str, cookies: SDKCookieSettings) -> Finding:
    plain = next((url for url in (site, setup.api_origin) if url.startswith("http:")), None)
    if cookies.secure and plain is not None and not is_loopback(plain):
        return problem(
            "cookie_secure",
            f"session cookies are Secure, and over plain http to {host_of(plain)} no browser "
            "keeps or sends those",
            "serve it over https; in development alone, session.init(cookie_secure=False)",
        )
    if not cookies.secure and plain is None:
        return warning(
            "cookie_secure",
            "the site is https, but its session cookies would be sent over plain http, too",
            "leave cookie_secure of session.init(...) out, or set it to True",
        )
    return ok("cookie_secure", f"session cookies are {'' if cookies.secure else 'not '}Secure")


@dataclass(frozen=True)
class ObservedCookies:
    """How the API, as it answers browsers, sets the session's cookies.

    :ivar domain: without a dot in front; None for host-only cookies.
    :ivar refresh_path: the path that the refresh token is sent to.
    """

    domain: str | None
    secure: bool
    same_site: str
    refresh_path: str


def seen_cookies(answer: FetchedResponse) -> ObservedCookies | None:
    """Return how an answer of the refresh API sets cookies, or None where it sets not both."""
    found = SimpleCookie()
    for header in answer.headers.get_all("Set-Cookie") or []:
        with suppress(CookieError):
            # Python before 3.14 would pass the whole cookie over.
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


def check_seen_cookies(setup: Environment, seen: ObservedCookies | None) -> Iterator[Finding]:
    """Yield what the cookies of a running API say beyond the settings here."""
    if seen is None:
        yield problem(
            "api_cookies",
            "the refresh API's answer sets no session cookies",
            "let what stands before the API pass Set-Cookie; pages have nothing but cookies",
        )
        return
    asked, api = urlsplit(setup.refresh_api).path, host_of(setup.api_origin)
    told = bare_domain(setup.deployment.cookie_domain)
    # A cookie for the only host there is reaches it, with a domain and without.
    are_alike = host_of(setup.site or "") == api == (told or api)
    if not f"{asked}/".startswith(f"{seen.refresh_path.rstrip('/')}/"):
        yield problem(
            "api_cookies",
            "the API sets its refresh token for another path than browsers refresh at, so every "
            "refresh ends the session",
            "where the API is, let api_gateway_path and api_base_path name its place as browsers "
            "see it",
        )
    elif seen.domain != told and not (are_alike and seen.domain in (None, api)):
        yield problem(
            "api_cookies",
            f"the API sets session cookies for {seen.domain or 'its own host alone'}, and here "
            f"they are thought to be for {told or 'one host alone'}",
            "let cookie_domain of session.init(...) and SSR_SESSION_COOKIE_DOMAIN say the same "
            "everywhere, and see that no proxy changes cookies",
        )
    else:
        yield ok("api_cookies", "the API sets session cookies as is expected here")
    if setup.cookies is None and setup.site is not None:
        # No SDK here to ask, so the running API says what is not in the settings.
        yield from check_cookies(
            setup, setup.site, SDKCookieSettings(seen.secure, seen.same_site, None)
        )
