"""Tell what keeps sessions from working, as far as settings show it. Values in, findings out.

Nothing here knows Flask or asks anybody. A finding names hosts and settings; it repeats no token,
no secret, no path or user part of an address, and nothing that a server said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from ipaddress import ip_address
from urllib.parse import urlsplit

from .config import Deployment, SDKValues, Settings
from .sdk import CookieRules
from .urls import is_loopback

# What pyproject.toml asks for: the first that tells OAuth2 tokens from sessions (claim ``stt``).
OLDEST_SDK = (0, 31, 4)


class Level(Enum):
    """What a finding means for the visitors."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    :ivar check: what was looked at, a word for scripts.
    :ivar says: what is so.
    :ivar advice: what to do; empty where there is nothing to do.
    """

    check: str
    level: Level
    says: str
    advice: str = ""


def ok(check: str, says: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(check, Level.OK, says)


def warning(check: str, says: str, advice: str) -> Finding:
    """Return a finding that may be meant so."""
    return Finding(check, Level.WARNING, says, advice)


def problem(check: str, says: str, advice: str) -> Finding:
    """Return a finding that keeps sessions from working, or from being safe."""
    return Finding(check, Level.PROBLEM, says, advice)


@dataclass(frozen=True)
class Setup:
    """What is known without asking anybody.

    :ivar site: origin that browsers see the pages at; None where nobody says.
    :ivar sdk: None where no SDK is initialised in this process; *cookies* likewise.
    :ivar sdk_version: of the SDK that is installed, or None.
    :ivar answers_api: the SDK's middleware is registered with the app.
    """

    settings: Settings
    deployment: Deployment
    sdk: SDKValues | None = None
    cookies: CookieRules | None = None
    sdk_version: str | None = None
    answers_api: bool = False
    site: str | None = None

    @property
    def api_host(self) -> str:
        """The host that browsers refresh at."""
        return host_of(self.deployment.api_domain)

    @property
    def is_api_here(self) -> bool:
        """Whether pages and API have one origin, so that browsers ask no leave."""
        return self.site == self.deployment.api_domain


def host_of(url: str) -> str:
    """Return the host name in *url*, alone."""
    return urlsplit(url).hostname or ""


def place_of(url: str) -> str:
    """Return host and port in *url*, without what may be secret before or behind them."""
    return urlsplit(url).netloc.rpartition("@")[2]


def examine(setup: Setup) -> Iterator[Finding]:
    """Yield what the settings, the SDK and the two hosts come to."""
    yield from _about_sdk(setup)
    yield from _about_settings(setup)
    if setup.site is None:
        yield warning(
            "site",
            "nobody says where the site is seen from, so cookies and pages were not looked at",
            "pass --url https://www.example.com",
        )
        return
    yield from _about_site(setup, setup.site)
    yield _about_sharing(setup, setup.site)
    yield from _about_cookies(setup, setup.site)


def _about_sdk(setup: Setup) -> Iterator[Finding]:
    if setup.sdk_version is None:
        yield problem(
            "sdk_version", "supertokens-python is not installed", "pip install supertokens-python"
        )
    elif _numbers(setup.sdk_version) < OLDEST_SDK:
        oldest = ".".join(map(str, OLDEST_SDK))
        yield problem(
            "sdk_version",
            f"supertokens-python {setup.sdk_version} is older than {oldest}",
            f"pip install 'supertokens-python>={oldest}'",
        )
    else:
        yield ok("sdk_version", f"supertokens-python {setup.sdk_version}")
    if setup.sdk is None:
        yield ok("sdk", "no SDK is initialised in this process; the settings say where the API is")
    elif setup.sdk.dynamic_signing_key is None:
        yield problem(
            "sdk",
            "the SDK is initialised without the Session recipe, so nobody gets a session here",
            "put session.init() into recipe_list",
        )
    elif setup.is_api_here and not setup.answers_api:
        yield warning(
            "sdk",
            "the API has this site's origin, but the SDK's middleware is not in this app",
            "call Middleware(app), unless another service answers below the API base path",
        )
    else:
        yield ok("sdk", "the SDK is initialised with the Session recipe")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _about_settings(setup: Setup) -> Iterator[Finding]:
    """Yield settings that contradict each other or the SDK, and those that are risks."""
    findings = [*_contradictions(setup), *_risks(setup.settings)]
    yield from findings or [ok("settings", "no two settings contradict each other")]


def _contradictions(setup: Setup) -> Iterator[Finding]:
    settings, deployment, sdk = setup.settings, setup.deployment, setup.sdk
    if sdk is not None:
        for name, ours, theirs in (
            ("API_DOMAIN", settings.api_domain, sdk.api_domain),
            ("API_BASE_PATH", settings.api_base_path, sdk.api_base_path),
            ("COOKIE_DOMAIN", _bare(settings.cookie_domain), _bare(sdk.cookie_domain)),
        ):
            if ours is not None and ours != theirs:
                yield problem(
                    "settings",
                    f"SSR_SESSION_{name} is not what the SDK in this process has",
                    f"leave SSR_SESSION_{name} out: the SDK's value is used then",
                )
        issuer = f"{sdk.api_domain}{sdk.api_base_path}"
        if settings.issuer is not None and settings.issuer != issuer:
            yield problem(
                "settings",
                "SSR_SESSION_ISSUER is not the issuer that the SDK writes, so no token passes",
                "set it to the SDK's api_domain followed by api_base_path, or leave it out",
            )
    if settings.jwks is not None and settings.jwks_uri is not None:
        yield warning(
            "settings",
            "SSR_SESSION_JWKS is set, so SSR_SESSION_JWKS_URI is never asked",
            "keep one of them",
        )
    if deployment.login_url.partition("?")[0].rstrip("/") == settings.refresh_path:
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


def _bare(domain: str | None) -> str | None:
    return None if domain is None else domain.lstrip(".")


def _about_site(setup: Setup, site: str) -> Iterator[Finding]:
    website = setup.sdk.website_origin if setup.sdk else None
    if site.startswith("https:") and setup.deployment.api_domain.startswith("http:"):
        yield problem(
            "site",
            "the site is https and the API plain http, so browsers block every refresh",
            "serve the API over https, and write api_domain so",
        )
    elif website is not None and website != site:
        yield warning(
            "site",
            f"the SDK takes {website} for the site, and it is looked at as {site}",
            "set website_domain of the SDK to where the site is, or pass --url accordingly",
        )
    else:
        yield ok("site", f"seen from {site}, with the API at {setup.deployment.api_domain}")


def _about_sharing(setup: Setup, site: str) -> Finding:
    """Tell whether the cookies that the API sets come back to the pages."""
    page, api = host_of(site), setup.api_host
    domain = _bare(setup.deployment.cookie_domain)
    if domain:
        for host, consequence in (
            (api, f"browsers refuse them from the API at {api}"),
            (page, f"the pages at {page} never get them"),
        ):
            if not _covers(domain, host):
                return problem(
                    "cookie_domain",
                    f"session cookies are set for {domain}, so {consequence}",
                    "set session.init(cookie_domain=...) to a domain both hosts end with, or "
                    "leave it out where they are the same",
                )
        if "." not in domain and domain != page:
            return problem(
                "cookie_domain",
                f"no browser takes cookies for the whole of {domain}",
                "set session.init(cookie_domain=...) to a domain of yours",
            )
        return ok("cookie_domain", f"session cookies of {domain} reach both {page} and {api}")
    if page == api:
        return ok("cookie_domain", f"pages and API are at one host, {page}")
    if is_loopback(site) and is_loopback(setup.deployment.api_domain):
        return problem(
            "cookie_domain",
            f"to a browser, {page} and {api} are two hosts that share no cookies",
            f"open the site at {api}, or give the SDK domains at {page}",
        )
    shared = _shared_domain(page, api)
    if not shared:
        return problem(
            "cookie_domain",
            f"{page} and {api} are two sites, which never share cookies",
            "give the API a host of the pages' own domain",
        )
    return problem(
        "cookie_domain",
        f"the API at {api} sets cookies for itself alone, so the pages at {page} never get them",
        f'share them: session.init(cookie_domain=".{shared}") where the API is, and '
        "SSR_SESSION_COOKIE_DOMAIN in processes of pages without the SDK",
    )


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
    """Return the longest domain of two labels or more that both hosts end with, or nothing."""
    if _is_address(one) or _is_address(other):
        return ""
    shared: list[str] = []
    for left, right in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if left != right:
            break
        shared.insert(0, left)
    return ".".join(shared) if len(shared) > 1 else ""


def _about_cookies(setup: Setup, site: str) -> Iterator[Finding]:
    cookies = setup.cookies
    if cookies is None:
        return
    plain = next(
        (url for url in (site, setup.deployment.api_domain) if url.startswith("http:")), None
    )
    if cookies.secure and plain is not None and not is_loopback(plain):
        yield problem(
            "cookie_secure",
            f"session cookies are Secure, and over plain http to {host_of(plain)} no browser "
            "keeps or sends those",
            "serve it over https; in development alone, session.init(cookie_secure=False)",
        )
    elif not cookies.secure and plain is None:
        yield warning(
            "cookie_secure",
            "the site is https, but its session cookies would be sent over plain http, too",
            "leave cookie_secure of session.init(...) out, or set it to True",
        )
    else:
        yield ok("cookie_secure", f"session cookies are {'' if cookies.secure else 'not '}Secure")
    if cookies.same_site == "strict":
        yield warning(
            "cookie_same_site",
            "session cookies are SameSite=Strict: who follows a link from another site arrives "
            "without them, and is sent to sign in",
            'set session.init(cookie_same_site="lax"), the default',
        )
    domain, older = _bare(setup.deployment.cookie_domain), _bare(cookies.older_domain)
    if domain and older is None:
        yield warning(
            "older_cookie_domain",
            "browsers that hold cookies from before cookie_domain was set send both, which ends "
            "in a server error at every refresh",
            'set session.init(older_cookie_domain="") for a year, or to the domain it was before',
        )
    elif domain and older == domain:
        yield problem(
            "older_cookie_domain",
            "older_cookie_domain and cookie_domain are the same, so every duplicate stays",
            "set older_cookie_domain to the domain it was before, or to an empty text",
        )
