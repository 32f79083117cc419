"""A browser, and the example app on a real port with a development core whose clock can be set."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Playwright,
    Response,
    expect,
    sync_playwright,
)

from flask_ssr_session.dev_core import DevelopmentCore
from hatch_build import find_installed_node, find_packaged_node

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT_TIMEOUT_MS = 15_000
expect.set_options(timeout=DOCUMENT_TIMEOUT_MS)

# Only names of this machine resolve, so that a test browser reaches no other.
RESOLVER_RULES = (
    "MAP *.example.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
)
CHROMIUM_ARGUMENTS = [
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
    f"--host-resolver-rules={RESOLVER_RULES}",
]

# All names lead to this machine.
FIREFOX_PREFERENCES: dict[str, str | float | bool] = {"network.dns.forceResolve": "127.0.0.1"}


# One core serves several sites, so each needs its own address.
_numbers = itertools.count(1)


class ShiftedClock:
    """The real time plus a shift in seconds."""

    def __init__(self) -> None:
        self.shift_seconds = 0.0

    def __call__(self) -> float:
        """Return seconds since the epoch."""
        return time.time() + self.shift_seconds


@dataclass
class Site:
    """The example app in its own process, and its core in this process.

    :ivar origin: of the site, ``http://localhost:…``.
    :ivar email: of the user who signed up last.
    """

    origin: str
    core: DevelopmentCore
    clock: ShiftedClock
    email: str = ""

    def url(self, path: str) -> str:
        return self.origin + path

    def sign_up(self, page: Page, *, to: str = "/") -> str:
        """Sign a new user up in *page*, and return the user's id."""
        self.email = f"user{next(_numbers)}@example.test"
        page.goto(self.url(f"/auth/sign-up?redirectToPath={to}"))
        self.fill_in(page)
        page.wait_for_url(self.url(to))
        return str(page.evaluate("supertokensWebsite.getUserId()"))

    def fill_in(self, page: Page) -> None:
        """Fill the form for sign-up or sign-in in and send it."""
        page.fill("#email", self.email)
        page.fill("#password", "correct horse 1")
        page.click("main button")

    def expire(self, page: Page) -> None:
        """Give the signed-in *page* an access token that has expired.

        The browser refreshes while the core's clock is half a minute behind, so it gets a token
        that is already half a minute old and was valid for 20 seconds.
        """
        self.clock.shift_seconds = -30
        try:
            if page.url == "about:blank" or not page.evaluate("'supertokensWebsite' in window"):
                page.goto(self.url("/panel/"))
            assert page.evaluate("supertokensWebsite.attemptRefreshingSession()")
            self.let_time_pass(page)
        finally:
            self.clock.shift_seconds = 0

    def let_time_pass(self, page: Page) -> None:
        """Make *page* believe that the browser stored its token half a minute ago."""
        page.evaluate(
            # Clocks that differ by half a minute count as equal here.
            """() => { sessionStorage.clear(); localStorage.removeItem('__st_clockSkewInMillis');
            document.cookie =
            `st-last-access-token-update=${Date.now() - 30000}; path=/; SameSite=Lax` }"""
        )

    def refresh_calls(self) -> int:
        """Count the refreshes that the core received."""
        return sum(entry.path == "/recipe/session/refresh" for entry in self.core.request_log())


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_served(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return once *url* responds.

    :raises RuntimeError: the process ended, or half a minute passed.
    """
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 - our own address
        except OSError:  # noqa: PERF203 - this loop waits
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        else:
            return
    raise RuntimeError(f"nothing is served at {url}")


@contextmanager
def served(
    core_uri: str, *, module: str = "example_app", environment: dict[str, str] | None = None
) -> Iterator[str]:
    """Run the example app, or a module that changes it, in a process; yields its origin."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--port", str(port)],
        cwd=ROOT,
        env={**os.environ, "SUPERTOKENS_CONNECTION_URI": core_uri, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_served(f"http://localhost:{port}/panel/", process)
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(10)


def wait_for_address(page: Page, url: str) -> None:
    """Wait until *page* is at *url*, even if Firefox restores it from its back/forward cache.

    Playwright does not notice that, and keeps the old address.
    """
    page.wait_for_function("url => location.href === url", arg=url)


StartSite = Callable[..., Site]


@pytest.fixture(scope="package")
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture(scope="package")
def core(clock: ShiftedClock) -> Iterator[DevelopmentCore]:
    with DevelopmentCore(clock=clock) as core:
        yield core


@pytest.fixture(scope="package")
def shared_site(core: DevelopmentCore, clock: ShiftedClock) -> Iterator[Site]:
    with served(core.uri) as origin:
        yield Site(origin, core, clock)


@pytest.fixture
def site(shared_site: Site) -> Iterator[Site]:
    """The unmodified example app; everything that a test stopped is started again."""
    shared_site.core.clear_request_log()
    yield shared_site
    shared_site.core.start()
    shared_site.core.start_key_server()
    shared_site.core.start_refresh_endpoint()


@pytest.fixture(scope="package")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder ``node_modules`` with htmx, Turbo and axe-core, from npm."""
    folder = tmp_path_factory.mktemp("libraries")
    shutil.copytree(Path(__file__).parent / "libraries", folder, dirs_exist_ok=True)
    tools = find_installed_node() or find_packaged_node()
    assert tools is not None, "the browser tests need npm"
    install = [*tools.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    subprocess.run(install, cwd=folder, env=tools.environment, check=True, capture_output=True)
    return folder / "node_modules"


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """For this folder only: while it is open, no other event loop can run."""
    with sync_playwright() as playwright:
        yield playwright


def launch_chromium(playwright: Playwright) -> Browser:
    """Start the Chromium of the tests; the caller closes it."""
    return playwright.chromium.launch(
        executable_path=os.environ.get("SSR_SESSION_TEST_CHROMIUM") or None,
        args=CHROMIUM_ARGUMENTS,
        chromium_sandbox=False,
    )


@pytest.fixture(scope="package", params=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest, playwright: Playwright) -> Iterator[Browser]:
    """Both engines, one after the other."""
    if request.param == "chromium":
        browser = launch_chromium(playwright)
    else:
        installed = os.environ.get("SSR_SESSION_TEST_FIREFOX")
        browser = playwright.firefox.launch(
            executable_path=installed or None,
            # Without a channel, only Playwright's own build supports the protocol.
            channel=None if "ms-playwright" in (installed or "ms-playwright") else "moz-firefox",
            firefox_user_prefs=FIREFOX_PREFERENCES,
        )
    yield browser
    browser.close()


# For features, or test controls, that only one engine has.
chromium_only = pytest.mark.parametrize("browser", ["chromium"], indirect=True)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without cookies, which fails the test if any page reads a token."""
    context = browser.new_context()
    context.set_default_timeout(DOCUMENT_TIMEOUT_MS)
    offences: list[str] = []

    def watch(response: Response) -> None:
        is_api = response.request.method == "POST" and "/auth/" in response.url
        touched = {"set-cookie", "front-token", "st-access-token"} & response.headers.keys()
        if touched and not is_api:
            offences.append(f"{response.request.method} {response.url} sent {sorted(touched)}")

    def listen(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            offences.append(message.text)

    context.on("response", watch)
    context.on("console", listen)
    yield context
    context.close()
    assert offences == []


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()
