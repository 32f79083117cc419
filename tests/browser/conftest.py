"""Browsers, and apps on real ports with a development core whose clock can be set."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, Playwright, sync_playwright

from flask_ssr_session.dev_core import DevelopmentCore
from hatch_build import find_installed_node, find_packaged_node, run

from ..tables import rows
from . import act, see

ROOT = Path(__file__).resolve().parents[2]

# Chromium runs every test. Firefox runs what the engine decides and not our script: which cookies,
# storage and locks a page gets, what stays in history, memory and caches, how addresses are
# resolved, what a form sends, which headers a request carries, and what a policy forbids.
both_engines = pytest.mark.parametrize("engine", ["chromium", "firefox"])
both_flows = pytest.mark.parametrize("flow", ["inline", "redirect"])
# Firefox takes the flow with one navigation more.
_FLOWS = [("chromium", "inline"), ("chromium", "redirect"), ("firefox", "redirect")]
each_flow = pytest.mark.parametrize(("engine", "flow"), _FLOWS)
either_lock = rows("script", {"with web locks": "", "without": act.WITHOUT_WEB_LOCKS})

# Only names of this machine resolve, so that a test browser reaches no other.
RESOLVER_RULES = (
    "MAP *.example.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
)
# This list takes the place of Playwright's, which it repeats. The first line is the popup of the
# address bar, which Chromium otherwise loads in a process of its own for each context.
DISABLED_FEATURES = (
    *("WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup"),
    *("AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync"),
    *("BlockOriginHeaderModificationOnRedirect", "DestroyProfileOnBrowserClose", "HttpsUpgrades"),
    *("DialMediaRouteProvider", "GlobalMediaControls", "LensOverlay", "MediaRouter", "Translate"),
    *("NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding"),
    "ThirdPartyStoragePartitioning",
)
CHROMIUM_ARGUMENTS = [
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-gpu",
    f"--disable-features={','.join(DISABLED_FEATURES)}",
    f"--host-resolver-rules={RESOLVER_RULES}",
]
# All names lead to this machine.
FIREFOX_PREFERENCES: dict[str, str | float | bool] = {"network.dns.forceResolve": "127.0.0.1"}
KEEPS_NO_PAGE = {"fission.bfcacheInParent": False, "browser.sessionhistory.max_total_viewers": 0}

# A slow machine has ten minutes for what follows a refresh. A token of a core whose clock is so far
# behind has expired when it is made.
VALID_SECONDS, BEHIND_SECONDS = 600, -1200


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark these tests, and let one process run those of a file in one engine, in their order."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            engine = "firefox" if "firefox" in item.name.lower() else "chromium"
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group(f"{item.path.stem} {engine}"))


# One core serves several sites, so each user needs an address of their own.
_numbers = itertools.count(1)


class ShiftedClock:
    """The real time plus a shift in seconds."""

    def __init__(self) -> None:
        self.shift_seconds = 0.0

    def __call__(self) -> float:
        """Return seconds since the epoch."""
        return time.time() + self.shift_seconds

    @contextmanager
    def shifted(self, seconds: float) -> Iterator[None]:
        self.shift_seconds = seconds
        try:
            yield
        finally:
            self.shift_seconds = 0

    def behind(self) -> AbstractContextManager[None]:
        """Make only tokens that have expired already."""
        return self.shifted(BEHIND_SECONDS)


@dataclass
class Site:
    """An app in its own process, and its core in this process.

    :ivar origin: of the site, ``http://localhost:…``.
    :ivar email: of the user who signed up last.
    """

    origin: str
    core: DevelopmentCore
    clock: ShiftedClock
    email: str = ""

    def url(self, path: str) -> str:
        return self.origin + path

    def sign_up(self, page: Page, *, to: str | None = None) -> str:
        """Sign a new user up in the browser of *page*, and return the user's id.

        :param to: where to go then; None leaves the page as it is.
        """
        self.new_email()
        values = {"email": self.email, "password": "correct horse 1"}
        fields = [{"id": name, "value": value} for name, value in values.items()]
        user = self.call_api(page.context, "signup", {"formFields": fields})
        if to is not None:
            page.goto(self.url(to))
        return user

    def sign_up_by_form(self, page: Page, *, to: str = "/") -> str:
        """Sign a new user up as a visitor does."""
        self.new_email()
        page.goto(self.url(f"/auth/sign-up?redirectToPath={to}"))
        self.fill_in(page)
        page.wait_for_url(self.url(to))
        return str(page.evaluate("supertokensWebsite.getUserId()"))

    def new_email(self) -> None:
        self.email = f"user{next(_numbers)}@example.test"

    def fill_in(self, page: Page) -> None:
        """Fill the form for sign-up or sign-in in and send it."""
        page.fill("#email", self.email)
        page.fill("#password", "correct horse 1")
        page.click("main button")

    def call_api(self, context: BrowserContext, path: str, body: Any = None) -> str:
        """Call SuperTokens' API, store the cookies as the SDK does; return the user's id.

        The SDK's own calls need a page, and take ten times as long.
        """
        place = urlsplit(self.origin)
        sent = context.cookies(self.url("/auth/session/refresh"))
        headers = {
            "Host": place.netloc,
            "Content-Type": "application/json",
            "Cookie": "; ".join(f"{cookie['name']}={cookie['value']}" for cookie in sent),
            "rid": "session",
            "st-auth-mode": "cookie",
        }
        connection = HTTPConnection("localhost", place.port, timeout=30)
        connection.request("POST", f"/auth/{path}", json.dumps(body or {}), headers)
        answer = connection.getresponse()
        text = answer.read()
        front_token = answer.headers["front-token"]
        assert front_token, (answer.status, text)
        for line in answer.headers.get_all("Set-Cookie", []):
            for morsel in SimpleCookie(line).values():
                # Playwright takes a domain without a dot for a host.
                domain = morsel["domain"].lstrip(".")
                kept: Any = {"name": morsel.key, "value": morsel.value, "path": morsel["path"]}
                kept |= {"domain": f".{domain}" if domain else place.hostname}
                context.add_cookies([kept | {"httpOnly": True, "sameSite": "Lax"}])
        now = f"{time.time() * 1000:.0f}"
        connection.close()
        self.plant(context, sFrontToken=front_token, st_last_access_token_update=now)
        return str(json.loads(b64decode(front_token))["uid"])

    def plant(self, context: BrowserContext, **cookies: str) -> None:
        """Store cookies in the browser; an underscore in a name is a dash."""
        for name, value in cookies.items():
            cookie: Any = {"name": name.replace("_", "-"), "value": value, "url": self.origin}
            context.add_cookies([cookie | {"sameSite": "Lax"}])

    def renew(self, page: Page, age_seconds: float = 0) -> None:
        """Give the browser of *page* a new token, made so long ago; *page* does not change."""
        with self.clock.shifted(-age_seconds):
            self.call_api(page.context, "session/refresh")
        self.let_time_pass(page)
        self.core.clear_request_log()

    def expire(self, page: Page) -> None:
        """Give the browser of *page* an access token that has expired."""
        self.renew(page, -BEHIND_SECONDS)

    def let_time_pass(self, page: Page) -> None:
        """Make *page* believe that the browser stored its token half a minute ago."""
        ago = f"{time.time() * 1000 - 30_000:.0f}"
        self.plant(page.context, st_last_access_token_update=ago)
        if page.url.startswith(self.origin):
            # Clocks that differ count as equal here.
            page.evaluate("sessionStorage.clear(), delete localStorage.__st_clockSkewInMillis")

    def show(self, page: Page, path: str, user: str) -> None:
        """Open *path* in *page*, and wait until it shows *user*."""
        page.goto(self.url(path))
        see.user(page, user)

    def signed_up_and_expired(self, page: Page, *, to: str | None = None) -> str:
        user = self.sign_up(page, to=to)
        self.expire(page)
        return user

    def refresh_calls(self) -> int:
        """Count the refreshes that the core received since the session was expired."""
        return sum(entry.path == "/recipe/session/refresh" for entry in self.core.request_log())

    @contextmanager
    def outage(self, page: Page) -> Iterator[None]:
        """Stop the key server, and let the app forget its keys, until the block ends."""
        forget_keys = partial(page.request.post, self.url("/panel/forget-keys"))
        self.core.stop_key_server()
        forget_keys()
        yield
        self.core.start_key_server()
        forget_keys()

    @contextmanager
    def holding_refreshes(self) -> Iterator[None]:
        """Hold all responses of the refresh API until the block ends.

        What act.hold() holds, a browser drops early when the page is left, and the SDK can tidy up.
        """
        self.ask("/tabs/hold")
        try:
            yield
        finally:
            self.ask("/tabs/let-go")

    def ask(self, path: str) -> Any:
        """Return what the app says at *path*, which any name of this machine reaches."""
        url = f"http://localhost:{urlsplit(self.origin).port}{path}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            text = answer.read()
        return json.loads(text) if text else None


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until_served(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return once *url* responds.

    :raises RuntimeError: the process ended, or a minute passed.
    """
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=30).close()  # noqa: S310 - our own address
        except OSError:  # noqa: PERF203 - this loop waits
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        else:
            return
    raise RuntimeError(f"nothing is served at {url}")


@contextmanager
def served(
    core_uri: str | None,
    *,
    module: str = "tests.browser.app",
    arguments: tuple[str, ...] = (),
    environment: dict[str, str] | None = None,
) -> Iterator[str]:
    """Run an app in a process; yields its origin.

    :param core_uri: None for the core that the example starts itself.
    """
    port = free_port()
    told = {"SUPERTOKENS_CONNECTION_URI": core_uri} if core_uri else {}
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--port", str(port), *arguments],
        cwd=ROOT,
        env={**os.environ, **told, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until_served(f"http://localhost:{port}/panel/", process)
        yield f"http://localhost:{port}"
    finally:
        process.terminate()
        process.wait(30)


Serve = Callable[..., Site]


def server(stack: ExitStack, core: DevelopmentCore, clock: ShiftedClock) -> Serve:
    """Return a function that starts an app once for each environment."""
    started: dict[str, Site] = {}

    def serve(module: str = "tests.browser.app", **environment: str) -> Site:
        key = json.dumps([module, environment])
        if key not in started:
            origin = stack.enter_context(
                served(core.uri, module=module, environment=environment)
            ).replace("localhost", environment.get("HOST", "localhost"))
            started[key] = Site(origin, core, clock)
        return started[key]

    return serve


@pytest.fixture(scope="package")
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture(scope="package")
def core(clock: ShiftedClock, request: pytest.FixtureRequest) -> Iterator[DevelopmentCore]:
    cdi: str = request.config.getoption("cdi")
    with DevelopmentCore(clock=clock, access_token_validity_seconds=VALID_SECONDS, cdi=cdi) as core:
        yield core


@pytest.fixture(autouse=True)
def whole_core(core: DevelopmentCore) -> Iterator[None]:
    """Start everything again that a test has stopped."""
    core.clear_request_log()
    yield
    core.start()
    core.start_key_server()
    core.start_refresh_endpoint()


@pytest.fixture(scope="package")
def serve_for_all(core: DevelopmentCore, clock: ShiftedClock) -> Iterator[Serve]:
    """Start an app that lives until the last test of this folder."""
    with ExitStack() as stack:
        yield server(stack, core, clock)


@pytest.fixture(scope="module")
def serve(core: DevelopmentCore, clock: ShiftedClock) -> Iterator[Serve]:
    """Start an app that lives until the last test of the module."""
    with ExitStack() as stack:
        yield server(stack, core, clock)


@pytest.fixture
def flow() -> str:
    return "inline"


@pytest.fixture
def site(serve_for_all: Serve, flow: str) -> Site:
    """The site in this flow: its views show the refresh page, or redirect to it."""
    return serve_for_all(EXAMPLE_SSR_SESSION_REFRESH_FLOW=flow)


@pytest.fixture
def user(site: Site, page: Page) -> str:
    """A new user, whose access token in the browser of *page* has expired."""
    return site.signed_up_and_expired(page)


def install(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Install the npm packages of *folder*; return the command for Node and its environment."""
    tools = find_installed_node() or find_packaged_node()
    assert tools is not None, "the browser tests need npm"
    command = [*tools.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    run(command, folder, tools.environment)
    return [*tools.node], tools.environment


@pytest.fixture(scope="package")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder ``node_modules`` with htmx, Turbo and axe-core, from npm."""
    folder = tmp_path_factory.mktemp("libraries")
    shutil.copytree(Path(__file__).parent / "libraries", folder, dirs_exist_ok=True)
    install(folder)
    return folder / "node_modules"


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """For this folder only: while it is open, no other event loop can run."""
    with sync_playwright() as playwright:
        yield playwright


def launch_chromium(playwright: Playwright, *, keeps_pages: bool = False) -> Browser:
    """Start the Chromium of the tests; the caller closes it.

    :param keeps_pages: with its back/forward cache, which Playwright switches off.
    """
    return playwright.chromium.launch(
        executable_path=os.environ.get("SSR_SESSION_TEST_CHROMIUM") or None,
        args=CHROMIUM_ARGUMENTS,
        ignore_default_args=["--disable-back-forward-cache"] if keeps_pages else None,
        chromium_sandbox=False,
    )


def launch_firefox(playwright: Playwright, **preferences: str | float | bool) -> Browser:
    installed = os.environ.get("SSR_SESSION_TEST_FIREFOX")
    return playwright.firefox.launch(
        executable_path=installed or None,
        # Without a channel, only Playwright's own build supports the protocol.
        channel=None if "ms-playwright" in (installed or "ms-playwright") else "moz-firefox",
        firefox_user_prefs={**FIREFOX_PREFERENCES, **preferences},
    )


Launch = Callable[[str], Browser]


@pytest.fixture(scope="package")
def launch(playwright: Playwright) -> Iterator[Launch]:
    """Start an engine when a test first needs it; all tests share the process."""
    started: dict[str, Browser] = {}

    def get(engine: str) -> Browser:
        if engine not in started:
            started[engine] = (
                launch_firefox(playwright, **({} if engine == "firefox" else KEEPS_NO_PAGE))
                if "firefox" in engine
                else launch_chromium(playwright, keeps_pages=engine == "keeping chromium")
            )
        return started[engine]

    yield get
    for browser in started.values():
        browser.close()


@contextmanager
def blocking_browser(
    engine: str, playwright: Playwright, folder: Path, *, third_parties_only: bool = False
) -> Iterator[BrowserContext]:
    """Start a browser whose visitor allows no cookies and storage, or none to third parties."""
    if engine == "firefox":
        behavior = 1 if third_parties_only else 2
        browser = launch_firefox(playwright, **{"network.cookie.cookieBehavior": behavior})
        yield browser.new_context(ignore_https_errors=True)
        browser.close()
        return
    everything = {"default_content_setting_values": {"cookies": 2}}
    others = {"block_third_party_cookies": True, "cookie_controls_mode": 1}
    (folder / "Default").mkdir()
    (folder / "Default" / "Preferences").write_text(
        json.dumps({"profile": others if third_parties_only else everything})
    )
    context = playwright.chromium.launch_persistent_context(
        folder,
        executable_path=os.environ.get("SSR_SESSION_TEST_CHROMIUM") or None,
        args=CHROMIUM_ARGUMENTS,
        chromium_sandbox=False,
        ignore_https_errors=True,
    )
    yield context
    context.close()


@pytest.fixture
def engine() -> str:
    return "chromium"


@pytest.fixture
def browser(engine: str, launch: Launch) -> Browser:
    return launch(engine)


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without cookies, which fails the test in three cases.

    A page reads or sets a token, a script gets a page of this package, or a policy is broken.
    """
    with browser.new_context() as context:
        context.set_default_timeout(see.TIMEOUT_MS)
        offences = see.events(context, "response", see.offence)
        violations = see.events(context, "console", see.violation)
        yield context
        # Playwright's own task waits for each, and must not be left waiting.
        for held in act.HELD.pop(context, ()):
            for route in held:
                with suppress(Error):  # decided already, or its tab is closed
                    route.abort()
    assert (offences, violations) == ([], [])


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def other(context: BrowserContext) -> Page:
    """Another tab of the same browser."""
    return context.new_page()


@pytest.fixture
def unwatched(browser: Browser) -> Iterator[Page]:
    """A page that may do what `context` objects to."""
    with browser.new_context() as context:
        context.set_default_timeout(see.TIMEOUT_MS)
        yield context.new_page()


# What a page records when it comes back from memory: its display, after its own script, whose
# listener runs first.
NOTE = """addEventListener("DOMContentLoaded", () => addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  window.wasKept = true;
  sessionStorage.setItem("shown", getComputedStyle(document.body).display);
}));"""


@pytest.fixture
def dropped(engine: str, launch: Launch) -> Iterator[Page]:
    """A page that a browser does not keep in memory when it is left."""
    with launch("dropping firefox" if engine == "firefox" else engine).new_context() as context:
        context.set_default_timeout(see.TIMEOUT_MS)
        yield context.new_page()


@pytest.fixture
def kept(engine: str, launch: Launch) -> Iterator[Page]:
    """A page that a browser keeps in memory when it is left."""
    browser = launch("keeping chromium" if engine == "chromium" else engine)
    with browser.new_context() as context:
        context.set_default_timeout(see.TIMEOUT_MS)
        context.add_init_script(NOTE)
        yield context.new_page()
