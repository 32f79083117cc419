"""Pages and API on different hosts, ports or paths: it works, or names the missing setting."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, expect

from ..tables import rows
from . import see
from .conftest import Serve, Site, blocking_browser, both_engines, free_port

HTTPS = "two hosts over https, pages without the SDK"
APP, API = "app.example.test", "api.example.test"
SHARED = json.dumps({"cookie_domain": ".example.test"})


@dataclass
class Pages(Site):
    """The pages' site, with the API in another process.

    :ivar api: its origin.
    :ivar cookie_domain: what both share cookies over; empty for cookies of one host.
    """

    api: str = ""
    cookie_domain: str = ""

    def expire(self, page: Page) -> None:
        """Let the SDK of a page refresh, as the API has another host, perhaps, and https."""
        page.goto(self.url("/panel/"))
        with self.clock.behind():
            assert page.evaluate("supertokensWebsite.attemptRefreshingSession()")
        page.evaluate(
            """domain => { sessionStorage.clear();
            localStorage.removeItem('__st_clockSkewInMillis'); document.cookie =
            `st-last-access-token-update=${Date.now() - 30000}; path=/; domain=${domain}` }""",
            self.cookie_domain,
        )
        self.core.clear_request_log()


# The environment of each deployment's processes; "both" is for both.
DEPLOYMENTS: dict[str, dict[str, dict[str, str]]] = {
    "two hosts": {
        "both": {"SESSION_ARGUMENTS": SHARED},
        "pages": {"HOST": APP, "WITH_SDK": "1"},
        "api": {"HOST": API},
    },
    HTTPS: {
        "both": {"API_BASE_PATH": "/api/auth", "TLS": "1"},
        "pages": {
            "HOST": APP,
            "EXAMPLE_SSR_SESSION_API_BASE_PATH": "/api/auth",
            "EXAMPLE_SSR_SESSION_COOKIE_DOMAIN": ".example.test",
        },
        "api": {"HOST": API, "SESSION_ARGUMENTS": SHARED},
    },
    "two ports, behind a gateway": {
        "both": {"API_GATEWAY_PATH": "/gateway"},
        "pages": {"HOST": APP, "WITH_SDK": "1"},
        "api": {"HOST": APP},
    },
    "two hosts, nothing shared": {
        "both": {},
        "pages": {"HOST": APP, "WITH_SDK": "1"},
        "api": {"HOST": API},
    },
}
Deploy = Callable[[str], Pages]


@pytest.fixture(scope="module")
def deployed(serve: Serve) -> Deploy:
    """Each deployment is started when it is first asked for, and serves both engines."""
    started: dict[str, Pages] = {}

    def start(name: str, part: str, **more: str) -> Site:
        told = {**DEPLOYMENTS[name]["both"], **DEPLOYMENTS[name][part], **more}
        if "TLS" not in told:
            return serve("tests.browser.domains_app", PART=part, **told)
        port = str(free_port())
        site = serve("tests.browser.domains_app", PART=part, TLS_PORT=port, **told)
        return replace(site, origin=f"https://{told['HOST']}:{port}")

    def get(name: str) -> Pages:
        if name not in started:
            api = start(name, "api")
            told = {"API": api.origin}
            pages = DEPLOYMENTS[name]["pages"]
            if "WITH_SDK" not in pages:
                keys = f"{api.core.uri}/.well-known/jwks.json"
                told["EXAMPLE_SSR_SESSION_API_DOMAIN"] = api.origin
                told["EXAMPLE_SSR_SESSION_JWKS_URI"] = keys
            site = start(name, "pages", **told)
            shared = ".example.test" if "cookie_domain" in str(DEPLOYMENTS[name]) else ""
            started[name] = Pages(site.origin, site.core, site.clock, "", api.origin, shared)
        return started[name]

    return get


@rows(
    "engine, name, domain, is_secure",
    {
        "two hosts": ("chromium", "two hosts", ".example.test", False),
        "two hosts, in Firefox": ("firefox", "two hosts", ".example.test", False),
        HTTPS: ("chromium", HTTPS, ".example.test", True),
        f"{HTTPS}, in Firefox": ("firefox", HTTPS, ".example.test", True),
        "two ports, behind a gateway": ("chromium", "two ports, behind a gateway", APP, False),
    },
)
def test_a_session_lives_where_pages_and_api_are_apart(
    deployed: Deploy, browser: Browser, name: str, domain: str, is_secure: bool
) -> None:
    """A visitor signs up, is refreshed in every way, signs out, signs in again, and is revoked."""
    site = deployed(name)
    with browser.new_context(ignore_https_errors=True) as context:
        page = context.new_page()
        page.set_default_timeout(see.TIMEOUT_MS)
        warnings = see.console(page)
        user = site.sign_up_by_form(page, to="/account")
        see.user(page, user)
        cookie = next(cookie for cookie in context.cookies() if cookie["name"] == "sAccessToken")
        assert (cookie["domain"], cookie["secure"]) == (domain, is_secure)
        for path in ("/account?tab=2#claims", "/dashboard#part", "/?x=%2F"):
            site.expire(page)
            site.show(page, path, user)
            assert page.url == site.url(path)
            assert site.refresh_calls() == 1, path
        page.get_by_role("button", name="Sign out").click()
        expect(page.locator("[data-greeting]")).to_have_text("Hello, stranger.")
        page.goto(site.url("/account?tab=2"))
        page.wait_for_url(site.url("/auth?redirectToPath=/account%3Ftab%3D2"))
        site.fill_in(page)
        see.user(page, user)
        site.expire(page)
        site.core.revoke_sessions(user)
        page.goto(site.url("/account"))
        page.wait_for_url(site.url("/auth?redirectToPath=/account"))
    assert warnings == []


@both_engines
@rows("host", {"on another subdomain": APP, "on another site": "localhost"})
def test_cookies_that_cannot_arrive_are_explained(deployed: Deploy, page: Page, host: str) -> None:
    shared = deployed("two hosts, nothing shared")
    site = replace(shared, origin=shared.origin.replace(APP, host))
    warnings = see.console(page)
    page.goto(site.url("/auth/sign-up?redirectToPath=/account"))
    site.new_email()
    site.fill_in(page)
    see.cause(page, "absent", href="/auth")
    expect(page.get_by_text("did not send it back to this site")).to_be_visible()
    assert site.refresh_calls() <= 1
    warning = f"this page is at {site.origin}, so the API's cookies will not arrive here"
    assert [text for text in warnings if warning in text and f"{site.api}/auth/session" in text]


def test_an_api_that_forbids_the_page_is_named_in_the_console(deployed: Deploy, page: Page) -> None:
    site = deployed("two hosts")
    user = site.sign_up_by_form(page)
    site.expire(page)
    warnings = see.console(page)
    # The same pages and cookies under a name that the API does not know.
    page.goto(site.url("/account").replace("app.", "forgotten."))
    see.cause(page, "network")
    named = f"refreshing failed (network). The refresh API is {site.api}/auth/session/"
    assert named in warnings[0]
    assert site.refresh_calls() == 0
    site.show(page, "/account", user)


THIRD_PARTY = """async url => {
    const ask = async () => (await fetch(url, { credentials: 'include' })).text();
    await ask();
    return ask();
}"""


@both_engines
def test_a_session_lives_where_third_party_cookies_are_blocked(
    deployed: Deploy, engine: str, playwright: Playwright, tmp_path: Path
) -> None:
    """A subdomain is no third party; the same API is one to a page of another site."""
    site = deployed(HTTPS)
    probe = f"{site.api}/auth/foreign-cookie"
    with blocking_browser(engine, playwright, tmp_path, third_parties_only=True) as context:
        page = context.new_page()
        user = site.sign_up_by_form(page)
        site.expire(page)
        site.show(page, "/account", user)
        assert page.evaluate(THIRD_PARTY, probe) == "came"
        context.clear_cookies()
        page.goto(site.url("/panel/").replace(APP, "localhost"))
        assert page.evaluate(THIRD_PARTY, probe) == "none"
