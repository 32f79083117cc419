"""Pages and API on different hosts, ports or paths: it works, or names the missing setting."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    expect,
)

from flask_ssr_session.dev_core import DevelopmentCore

from .conftest import (
    CHROMIUM_ARGUMENTS,
    FIREFOX_PREFERENCES,
    ShiftedClock,
    Site,
    free_port,
    served,
)

pytestmark = pytest.mark.browser

USER = "[data-user]"
SHARED = json.dumps({"cookie_domain": ".example.test"})


@dataclass
class Pages(Site):
    """The pages' site, with the API in another process.

    :ivar api: its origin.
    :ivar cookie_domain: what both share cookies over; empty for cookies of one host.
    """

    api: str = ""
    cookie_domain: str = ""

    def let_time_pass(self, page: Page) -> None:
        page.evaluate(
            """domain => { sessionStorage.clear(); document.cookie =
            `st-last-access-token-update=${Date.now() - 30000}; path=/; domain=${domain}` }""",
            self.cookie_domain,
        )


# The environment of each deployment's processes; "both" is for both.
DEPLOYMENTS: dict[str, dict[str, dict[str, str]]] = {
    "two hosts": {
        "both": {"SESSION_ARGUMENTS": SHARED},
        "pages": {"HOST": "app.example.test", "WITH_SDK": "1"},
        "api": {"HOST": "api.example.test"},
    },
    "two hosts over https, pages without the SDK": {
        "both": {"API_BASE_PATH": "/api/auth", "TLS": "1"},
        "pages": {
            "HOST": "app.example.test",
            "EXAMPLE_SSR_SESSION_API_BASE_PATH": "/api/auth",
            "EXAMPLE_SSR_SESSION_COOKIE_DOMAIN": ".example.test",
        },
        "api": {"HOST": "api.example.test", "SESSION_ARGUMENTS": SHARED},
    },
    "two ports, behind a gateway": {
        "both": {"API_GATEWAY_PATH": "/gateway"},
        "pages": {"HOST": "app.example.test", "WITH_SDK": "1"},
        "api": {"HOST": "app.example.test"},
    },
    "two hosts, nothing shared": {
        "both": {},
        "pages": {"HOST": "app.example.test", "WITH_SDK": "1"},
        "api": {"HOST": "api.example.test"},
    },
}


def deploy(stack: ExitStack, name: str, core: DevelopmentCore, clock: ShiftedClock) -> Pages:
    """Start both processes of a deployment."""
    told = DEPLOYMENTS[name]

    def start(part: str, **more: str) -> str:
        environment = {**told["both"], **told[part], "PART": part, **more}
        if "TLS" in environment:
            environment["TLS_PORT"] = str(free_port())
        origin = stack.enter_context(
            served(core.uri, module="tests.browser.domains_app", environment=environment)
        )
        if "TLS" in environment:
            origin = f"https://localhost:{environment['TLS_PORT']}"
        return origin.replace("localhost", environment["HOST"])

    api = start("api")
    settings = {}
    if "WITH_SDK" not in told["pages"]:
        settings = {
            "EXAMPLE_SSR_SESSION_API_DOMAIN": api,
            "EXAMPLE_SSR_SESSION_JWKS_URI": f"{core.uri}/.well-known/jwks.json",
        }
    origin = start("pages", API=api, **settings)
    is_shared = "cookie_domain" in str(told)
    return Pages(origin, core, clock, api=api, cookie_domain=".example.test" if is_shared else "")


Deploy = Callable[[str], Pages]


@pytest.fixture(scope="module")
def deployed(core: DevelopmentCore, clock: ShiftedClock) -> Iterator[Deploy]:
    """Each deployment is started when it is first asked for, and serves both engines."""
    started: dict[str, Pages] = {}
    with ExitStack() as stack:

        def get(name: str) -> Pages:
            if name not in started:
                started[name] = deploy(stack, name, core, clock)
            core.clear_request_log()
            return started[name]

        yield get


def live_through(site: Pages, page: Page) -> None:
    """Sign up, be refreshed in every way, sign out, sign in again."""
    user = site.sign_up(page, to="/account")
    expect(page.locator(USER)).to_have_text(user)
    for path in ("/account?tab=2#claims", "/dashboard#part", "/?x=%2F"):
        site.expire(page)
        site.core.clear_request_log()
        page.goto(site.url(path))
        expect(page.locator(USER)).to_have_text(user)
        assert page.url == site.url(path)
        assert site.refresh_calls() == 1
    page.get_by_role("button", name="Sign out").click()
    expect(page.locator("[data-greeting]")).to_have_text("Hello, stranger.")
    page.goto(site.url("/account?tab=2"))
    page.wait_for_url(site.url("/auth?redirectToPath=/account%3Ftab%3D2"))
    site.fill_in(page)
    expect(page.locator(USER)).to_have_text(user)
    site.expire(page)
    site.core.revoke_sessions(user)
    page.goto(site.url("/account"))
    page.wait_for_url(site.url("/auth?redirectToPath=/account"))


def access_cookie(context: BrowserContext) -> tuple[str, bool]:
    """Return the domain of the access token's cookie, and whether it is for https alone."""
    cookie = next(cookie for cookie in context.cookies() if cookie["name"] == "sAccessToken")
    return cookie["domain"], cookie["secure"]


@pytest.mark.parametrize(
    ("name", "cookie"),
    [
        ("two hosts", (".example.test", False)),
        ("two hosts over https, pages without the SDK", (".example.test", True)),
        ("two ports, behind a gateway", ("app.example.test", False)),
    ],
)
def test_a_session_lives_where_pages_and_api_are_apart(
    deployed: Deploy, browser: Browser, name: str, cookie: tuple[str, bool]
) -> None:
    site = deployed(name)
    warnings: list[str] = []
    with browser.new_context(ignore_https_errors=True) as context:
        context.on("console", lambda message: warnings.append(message.text))
        page = context.new_page()
        page.set_default_timeout(15_000)
        site.sign_up(page)
        assert access_cookie(context) == cookie
        context.clear_cookies()
        live_through(site, page)
    assert [text for text in warnings if "flask_ssr_session" in text] == []


def warnings_of(page: Page) -> list[str]:
    """Return a list that fills with the console messages of the script."""
    warnings: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.text.startswith("flask_ssr_session"):
            warnings.append(message.text)

    page.on("console", note)
    return warnings


def expect_cause(page: Page, name: str) -> None:
    """Wait until the page names this cause and no other."""
    expect(page.locator(f"[data-ssr-cause={name}]")).to_be_visible()
    expect(page.locator("[data-ssr-cause] >> visible=true")).to_have_count(1)


@pytest.mark.parametrize(
    "host",
    [
        pytest.param("app.example.test", id="subdomains"),
        pytest.param("localhost", id="different sites"),
    ],
)
def test_where_the_cookies_cannot_arrive_the_page_says_so_and_the_console_why(
    deployed: Deploy, browser: Browser, page: Page, host: str
) -> None:
    site = deployed("two hosts, nothing shared")
    site = replace(site, origin=site.origin.replace("app.example.test", host))
    warnings = warnings_of(page)
    page.goto(site.url("/auth/sign-up?redirectToPath=/account"))
    page.fill("#email", f"{host}-{browser.browser_type.name}@example.test")
    page.fill("#password", "correct horse 1")
    page.click("main button")
    expect_cause(page, "absent")
    expect(page.get_by_text("did not send it back to this site")).to_be_visible()
    assert site.refresh_calls() <= 1
    warning = f"this page is at {site.origin}, so the API's cookies will not arrive here"
    assert [text for text in warnings if warning in text and f"{site.api}/auth/session" in text]


def test_an_api_that_does_not_allow_the_page_is_named_in_the_console(
    deployed: Deploy, page: Page
) -> None:
    site = deployed("two hosts")
    user = site.sign_up(page)
    site.expire(page)
    site.core.clear_request_log()
    warnings = warnings_of(page)
    # The same pages and cookies under a name that the API does not know.
    page.goto(site.url("/account").replace("app.", "forgotten."))
    expect_cause(page, "network")
    assert (
        f"refreshing failed (network). The refresh API is {site.api}/auth/session/" in warnings[0]
    )
    assert site.refresh_calls() == 0
    page.goto(site.url("/account"))
    expect(page.locator(USER)).to_have_text(user)


@contextmanager
def without_third_parties(
    engine: str, playwright: Playwright, folder: Path
) -> Iterator[BrowserContext]:
    """Start a browser whose visitor allows cookies to the sites in the address bar alone."""
    installed = os.environ.get(f"SSR_SESSION_TEST_{engine.upper()}") or None
    if engine == "chromium":
        settings = {"profile": {"block_third_party_cookies": True, "cookie_controls_mode": 1}}
        (folder / "Default").mkdir()
        (folder / "Default" / "Preferences").write_text(json.dumps(settings))
        context = playwright.chromium.launch_persistent_context(
            folder,
            executable_path=installed,
            args=CHROMIUM_ARGUMENTS,
            chromium_sandbox=False,
            ignore_https_errors=True,
        )
        yield context
        context.close()
    else:
        browser = playwright.firefox.launch(
            executable_path=installed,
            channel=None if "ms-playwright" in (installed or "ms-playwright") else "moz-firefox",
            firefox_user_prefs={**FIREFOX_PREFERENCES, "network.cookie.cookieBehavior": 1},
        )
        yield browser.new_context(ignore_https_errors=True)
        browser.close()


THIRD_PARTY = """async url => {
    const ask = async () => (await fetch(url, { credentials: 'include' })).text();
    await ask();
    return ask();
}"""


def test_a_session_lives_where_third_party_cookies_are_blocked(
    deployed: Deploy, browser: Browser, playwright: Playwright, tmp_path: Path
) -> None:
    """A subdomain is no third party; the same API is one to a page of another site."""
    site = deployed("two hosts over https, pages without the SDK")
    probe = f"{site.api}/auth/foreign-cookie"
    with without_third_parties(browser.browser_type.name, playwright, tmp_path) as context:
        page = context.new_page()
        user = site.sign_up(page)
        site.expire(page)
        page.goto(site.url("/account"))
        expect(page.locator(USER)).to_have_text(user)
        assert page.evaluate(THIRD_PARTY, probe) == "came"
        context.clear_cookies()
        page.goto(site.url("/panel/").replace("app.example.test", "localhost"))
        assert page.evaluate(THIRD_PARTY, probe) == "none"
