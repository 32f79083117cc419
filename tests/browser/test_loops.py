"""No failure makes a visitor loop: a page names the cause and offers a way out.

"Calls" are what the browser sends to the refresh API.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import string
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Error,
    Page,
    Playwright,
    Request,
    Route,
    expect,
)

from flask_ssr_session.testing import SessionSigner

from .conftest import (
    CHROMIUM_ARGUMENTS,
    FIREFOX_PREFERENCES,
    Site,
    chromium_only,
    served,
)

pytestmark = pytest.mark.browser

USER = "[data-user]"
REFRESH_API = "**/auth/session/refresh"
MARKER = "ssr-session-refreshed"
SDK_LOCK = "browser-tabs-lock-key-REFRESH_TOKEN_USE"


def calls_of(source: Page | BrowserContext) -> list[str]:
    """Return a list that fills with the calls of *source*."""
    calls: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.url.endswith("/auth/session/refresh"):
            calls.append(request.url)

    source.on("request", note)
    return calls


def expect_cause(page: Page, name: str, *, sign_in: str = "/auth?redirectToPath=") -> None:
    """Wait until the page names this cause, no other, and both links."""
    expect(page.locator(f"[data-ssr-cause={name}]")).to_be_visible()
    expect(page.locator("[data-ssr-cause] >> visible=true")).to_have_count(1)
    expect(page.get_by_role("button", name="Try again")).to_be_focused()
    link = page.locator("[data-ssr-part=problem]").get_by_role("link", name="Sign in")
    expect(link).to_have_attribute("href", re.compile(re.escape(sign_in)))


FRONT_TOKEN = b64encode(json.dumps({"ate": 1000, "uid": "user-1", "up": {}}).encode()).decode()


@pytest.fixture(scope="module")
def expired_token(signer: SessionSigner) -> str:
    return signer.sign(signer.claims(issued_at=1_700_000_000))


def plant(context: BrowserContext, site: Site, **cookies: str) -> None:
    """Store the cookies of an old session in the browser; no core knows that session."""
    for name, value in cookies.items():
        context.add_cookies([{"name": name.replace("_", "-"), "value": value, "url": site.origin}])


@pytest.fixture
def planted(site: Site, context: BrowserContext, expired_token: str) -> str:
    """An expired session, with a refresh API that the test controls; the user's token."""
    plant(
        context,
        site,
        sAccessToken=expired_token,
        sFrontToken=FRONT_TOKEN,
        st_last_access_token_update="1700000000000",
    )
    return expired_token


def stored(token: str) -> str:
    return f"sAccessToken={token}; Path=/; HttpOnly; SameSite=Lax"


def answer_with(page: Page, status: int = 200, **headers: str) -> None:
    """Set the response of the refresh API."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    page.route(REFRESH_API, lambda route: route.fulfill(status=status, headers=named, body="{}"))


# --- responses of the refresh API ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "headers", "cause"),
    [
        pytest.param(403, {}, "status", id="403"),
        pytest.param(429, {"retry_after": "60"}, "status", id="429"),
        pytest.param(503, {}, "status", id="503"),
        pytest.param(200, {}, "answer", id="no front token"),
        pytest.param(200, {"front_token": FRONT_TOKEN}, "unchanged", id="sets nothing"),
        pytest.param(
            200, {"front_token": FRONT_TOKEN, "set_cookie": "same"}, "unchanged", id="same token"
        ),
        pytest.param(
            200, {"front_token": FRONT_TOKEN, "set_cookie": "junk"}, "refused", id="no token"
        ),
        pytest.param(
            200,
            {"front_token": FRONT_TOKEN, "set_cookie": "foreign"},
            "refused",
            id="token of a foreign key",
        ),
    ],
)
def test_an_answer_that_does_not_help_is_asked_for_once_more_at_most(
    site: Site,
    page: Page,
    planted: str,
    signer: SessionSigner,
    status: int,
    headers: dict[str, str],
    cause: str,
) -> None:
    foreign = SessionSigner(site.core.state()["signingKeys"][0]["kid"], signer.private_key)
    tokens = {"same": planted, "junk": "junk", "foreign": foreign.sign(foreign.claims())}
    if "set_cookie" in headers:
        headers = {**headers, "set_cookie": stored(tokens[headers["set_cookie"]])}
    answer_with(page, status, **headers)
    calls = calls_of(page)
    page.goto(site.url("/account?tab=2#claims"))
    expect_cause(page, cause, sign_in="/auth?redirectToPath=/account%3Ftab%3D2")
    assert page.url == site.url("/account?tab=2#claims")
    assert len(calls) <= 2


@pytest.mark.usefixtures("planted")
def test_a_browser_that_drops_the_cookies_is_told_so(site: Site, page: Page) -> None:
    """The browser keeps what scripts store, and nothing that the server sets."""
    page.context.clear_cookies(name="sAccessToken")
    answer_with(page, front_token=FRONT_TOKEN)
    calls = calls_of(page)
    page.goto(site.url("/account"))
    expect_cause(page, "absent")
    assert len(calls) == 1


@pytest.mark.parametrize("ahead_ms", [0, 18])
def test_a_refused_token_is_named_however_far_apart_the_browsers_two_clocks_are(
    site: Site, page: Page, ahead_ms: int
) -> None:
    """One counts whole milliseconds, the other has its own start, and both are made inexact."""
    site.sign_up(page)
    site.expire(page)
    page.add_init_script(
        f"""const now = Performance.prototype.now;
        Performance.prototype.now = function () {{ return now.call(this) + {ahead_ms}; }};"""
    )
    calls = calls_of(page)
    site.clock.shift_seconds = -30
    try:
        page.goto(site.url("/account"))
        expect_cause(page, "refused")
    finally:
        site.clock.shift_seconds = 0
    assert len(calls) == 1


def test_a_core_whose_clock_is_behind_makes_tokens_that_are_refused_at_once(
    site: Site, page: Page
) -> None:
    """A token that has expired by the site's clock is expired, however new it is."""
    site.sign_up(page)
    site.expire(page)
    calls = calls_of(page)
    site.clock.shift_seconds = -30
    try:
        page.goto(site.url("/account"))
        expect_cause(page, "refused")
        assert len(calls) == 1
        # Each further lap is the visitor's own.
        with page.expect_event("framenavigated"):
            page.get_by_role("button", name="Try again").click()
        expect_cause(page, "refused")
        assert len(calls) == 2
    finally:
        site.clock.shift_seconds = 0
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(USER)).to_be_visible()


def test_a_core_whose_clock_is_ahead_ends_on_a_page_that_names_the_clock(
    site: Site, page: Page
) -> None:
    user = site.sign_up(page)
    site.expire(page)
    calls = calls_of(page)
    site.clock.shift_seconds = 120
    try:
        page.goto(site.url("/account"))
        expect(page.get_by_role("status")).to_contain_text("clock")
    finally:
        site.clock.shift_seconds = 0
    assert len(calls) == 1
    # Twin: half a minute is nothing.
    page.goto(site.url("/panel/"))
    site.expire(page)
    site.clock.shift_seconds = 30
    try:
        page.goto(site.url("/account"))
        expect(page.locator(USER)).to_have_text(user)
    finally:
        site.clock.shift_seconds = 0
    assert len(calls) == 3  # one of them by expire()


def test_a_refresh_api_of_another_origin_that_allows_nobody_is_not_asked_again(
    site: Site, page: Page
) -> None:
    """Another port is another origin: the response arrives, but the browser withholds it."""
    with served(
        site.core.uri, environment={"EXAMPLE_SSR_SESSION_API_DOMAIN": site.origin}
    ) as origin:
        site.sign_up(page)
        site.expire(page)
        calls = calls_of(page)
        page.goto(f"{origin}/account")
        expect_cause(page, "network")
        assert len(calls) <= 2


# --- what the browser may have left --------------------------------------------------------------


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param(["sFrontToken"], id="only the update mark left"),
        pytest.param(["sFrontToken", "st-last-access-token-update"], id="nothing of the SDK's"),
        pytest.param(["st-last-access-token-update"], id="no update mark"),
        pytest.param(["sAccessToken"], id="no access token"),
    ],
)
def test_a_live_session_is_found_again_by_what_is_left_of_it(
    site: Site, page: Page, lost: list[str]
) -> None:
    """With ``st-last-access-token-update`` alone the SDK says "signed out" without asking."""
    user = site.sign_up(page)
    site.expire(page)
    calls = calls_of(page)
    for name in lost:
        page.context.clear_cookies(name=name)
    page.goto(site.url("/account"))
    expect(page.locator(USER)).to_have_text(user)
    assert len(calls) == 1


def test_a_good_token_is_enough_whatever_the_sdk_forgot(site: Site, page: Page) -> None:
    user = site.sign_up(page)
    calls = calls_of(page)
    page.context.clear_cookies(name=re.compile("sFrontToken|st-last-access-token-update"))
    page.goto(site.url("/bare"))
    page.goto(site.url("/account"))
    expect(page.locator(USER)).to_have_text(user)
    assert calls == []


@pytest.mark.usefixtures("planted")
def test_an_ended_session_of_which_a_token_is_left_goes_to_sign_in(site: Site, page: Page) -> None:
    page.context.clear_cookies(name="sFrontToken")
    calls = calls_of(page)
    page.goto(site.url("/account"))
    page.wait_for_url(re.compile(r"/auth\?"))
    assert len(calls) == 1


@pytest.mark.parametrize(
    "lock", ["junk", "null", "[]", "{}", '{"id": "x", "timeRefreshed": 9e15, "timeAcquired": 9e15}']
)
def test_a_lock_that_nobody_can_have_made_holds_nobody_up(
    site: Site, page: Page, lock: str
) -> None:
    user = site.sign_up(page)
    site.expire(page)
    page.evaluate("([key, lock]) => localStorage.setItem(key, lock)", [SDK_LOCK, lock])
    calls = calls_of(page)
    page.goto(site.url("/account"))
    expect(page.locator(USER)).to_have_text(user)
    assert len(calls) == 1


def test_a_lock_that_a_dead_tab_left_is_waited_out(site: Site, page: Page) -> None:
    user = site.sign_up(page)
    site.expire(page)
    page.clock.install()
    page.evaluate(
        """key => localStorage.setItem(key, JSON.stringify({
            id: 'dead', iat: Date.now(), timeoutKey: 'dead', timeAcquired: Date.now(),
            timeRefreshed: Date.now() }))""",
        SDK_LOCK,
    )
    page.goto(site.url("/account"))
    expect(page.locator("[data-ssr-part=working]")).to_be_visible()
    for _ in range(9):
        page.clock.run_for(1000)
    expect(page.locator(USER)).to_have_text(user)


# --- cookies that do not arrive, or arrive twice -------------------------------------------------


@contextmanager
def named_site(site: Site, **arguments: str | bool) -> Iterator[Site]:
    """Serve the example on plain http as app.example.test, with arguments for the SDK."""
    environment = {"HOST": "app.example.test", "SESSION_ARGUMENTS": json.dumps(arguments)}
    with served(site.core.uri, module="tests.browser.loops_app", environment=environment) as origin:
        yield Site(origin.replace("localhost", "app.example.test"), site.core, site.clock)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"cookie_domain": "other.example.test"}, id="domain of another subdomain"),
        pytest.param({"cookie_secure": True}, id="Secure on plain http"),
    ],
)
def test_cookies_that_the_browser_refuses_are_named(
    site: Site, page: Page, arguments: dict[str, Any]
) -> None:
    with named_site(site, **arguments) as own:
        page.goto(own.url("/auth/sign-up?redirectToPath=/account"))
        own.email = f"user-of-{own.origin[-5:]}@example.test"
        own.fill_in(page)
        expect_cause(page, "absent")
        own.let_time_pass(page)
        calls = calls_of(page)
        page.goto(own.url("/account"))
        page.wait_for_url(re.compile(r"/auth\?"))
        assert len(calls) == 1
        own.fill_in(page)
        expect_cause(page, "absent")
        assert len(calls) == 1


def test_cookies_of_the_common_domain_arrive(site: Site, page: Page) -> None:
    with named_site(site, cookie_domain=".example.test") as own:
        user = own.sign_up(page)
        own.expire(page)
        page.goto(own.url("/account"))
        expect(page.locator(USER)).to_have_text(user)


@pytest.fixture(params=["one user", "two users"])
def second_user(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "two users")


def test_two_sessions_in_one_browser_are_named(
    site: Site, page: Page, signer: SessionSigner, second_user: bool
) -> None:
    """The SDK's refresh API responds with 500 to them unless older_cookie_domain is set."""
    with named_site(site, cookie_domain=".example.test") as own:
        user = own.sign_up(page)
        own.expire(page)
        sub = "somebody else" if second_user else user
        plant(
            page.context,
            own,
            sAccessToken=signer.sign(signer.claims(sub, issued_at=1_700_000_000)),
        )
        calls = calls_of(page)
        page.goto(own.url("/account"))
        expect_cause(page, "duplicate")
        assert len(calls) <= 2


def test_a_session_of_an_older_cookie_domain_is_cleared_away(
    site: Site, page: Page, signer: SessionSigner, second_user: bool
) -> None:
    """The first response only deletes the older cookie, and sets no new token."""
    with named_site(site, cookie_domain=".example.test", older_cookie_domain="") as own:
        user = own.sign_up(page)
        own.expire(page)
        sub = "somebody else" if second_user else user
        plant(
            page.context,
            own,
            sAccessToken=signer.sign(signer.claims(sub, issued_at=1_700_000_000)),
        )
        calls = calls_of(page)
        page.goto(own.url("/account"))
        expect(page.locator(USER)).to_have_text(user)
        assert len(calls) <= 2


# --- what the browser may block ------------------------------------------------------------------


@contextmanager
def without_cookies(engine: str, playwright: Playwright, folder: Path) -> Iterator[BrowserContext]:
    """Start a browser whose visitor allows no site any cookies or storage."""
    installed = os.environ.get(f"SSR_SESSION_TEST_{engine.upper()}") or None
    if engine == "chromium":
        settings = {"profile": {"default_content_setting_values": {"cookies": 2}}}
        (folder / "Default").mkdir()
        (folder / "Default" / "Preferences").write_text(json.dumps(settings))
        context = playwright.chromium.launch_persistent_context(
            folder, executable_path=installed, args=CHROMIUM_ARGUMENTS, chromium_sandbox=False
        )
        yield context
        context.close()
    else:
        browser = playwright.firefox.launch(
            executable_path=installed,
            channel=None if "ms-playwright" in (installed or "ms-playwright") else "moz-firefox",
            firefox_user_prefs={**FIREFOX_PREFERENCES, "network.cookie.cookieBehavior": 2},
        )
        yield browser.new_context()
        browser.close()


def test_blocked_cookies_are_named(
    site: Site, browser: Browser, playwright: Playwright, tmp_path: Path
) -> None:
    with without_cookies(browser.browser_type.name, playwright, tmp_path) as context:
        page = context.new_page()
        calls = calls_of(page)
        page.goto(site.url("/account"))
        assert page.url == site.url("/auth?redirectToPath=/account")
        page.goto(site.url("/refresh-session?redirectBack=/account"))
        expect_cause(page, "blocked")
        page.get_by_role("button", name="Try again").click()
        expect_cause(page, "blocked")
        assert calls == []


REFUSE = "const refuse = () => { throw new DOMException('no', 'SecurityError') };"
REFUSE_SESSION_STORAGE = "Object.defineProperty(window, 'sessionStorage', { get: refuse });"
REFUSE_LOCAL_STORAGE = "Object.defineProperty(window, 'localStorage', { get: refuse });"
REFUSE_COOKIES = "Object.defineProperty(document, 'cookie', { get: refuse, set: refuse });"


@pytest.mark.parametrize(
    "blocking",
    [
        pytest.param(REFUSE_LOCAL_STORAGE, id="local storage"),
        pytest.param(REFUSE_LOCAL_STORAGE + REFUSE_SESSION_STORAGE, id="storage"),
        pytest.param(REFUSE_COOKIES, id="cookies"),
        pytest.param(
            REFUSE_COOKIES + REFUSE_LOCAL_STORAGE + REFUSE_SESSION_STORAGE, id="everything"
        ),
        pytest.param("Storage.prototype.setItem = refuse;", id="full storage"),
    ],
)
@pytest.mark.usefixtures("planted")
def test_what_the_sdk_cannot_do_without_is_named(site: Site, page: Page, blocking: str) -> None:
    calls = calls_of(page)
    page.add_init_script(REFUSE + blocking)
    page.goto(site.url("/account"))
    expect_cause(page, "blocked")
    page.get_by_role("button", name="Try again").click()
    expect_cause(page, "blocked")
    assert len(calls) <= 2


@pytest.mark.parametrize(
    "blocking",
    [
        pytest.param(REFUSE_SESSION_STORAGE, id="no session storage"),
        pytest.param(REFUSE_SESSION_STORAGE + "window.name ||= 'mine';", id="name in use, too"),
        pytest.param("sessionStorage.setItem = refuse;", id="full session storage"),
    ],
)
def test_without_session_storage_a_session_is_refreshed(
    site: Site, page: Page, blocking: str
) -> None:
    user = site.sign_up(page)
    site.expire(page)
    calls = calls_of(page)
    page.add_init_script(REFUSE + blocking)
    page.goto(site.url("/account"))
    expect(page.locator(USER)).to_have_text(user)
    assert len(calls) == 1


def refuse_every_token(page: Page) -> None:
    """Make the refresh API set a new token each time, which the site does not accept."""
    numbers = itertools.count()

    def answer(route: Route) -> None:
        headers = {"front-token": FRONT_TOKEN, "set-cookie": stored(f"junk{next(numbers)}")}
        route.fulfill(status=200, headers=headers, body="{}")

    page.route(REFRESH_API, answer)


FORGET_UPDATE = "document.cookie = 'st-last-access-token-update=1; path=/; SameSite=Lax';"


@pytest.mark.parametrize(
    "clearing",
    [
        pytest.param("", id="nothing"),
        pytest.param("sessionStorage.clear();", id="session storage"),
        pytest.param(FORGET_UPDATE, id="the update mark"),
        pytest.param(REFUSE_SESSION_STORAGE + "window.name ||= 'mine';", id="name in use"),
        pytest.param(REFUSE_SESSION_STORAGE + FORGET_UPDATE, id="all but the name"),
        pytest.param(
            "Storage.prototype.setItem = function (key, value) {"
            "if (this === sessionStorage) refuse(); this[key] = value };" + FORGET_UPDATE,
            id="full session storage and the update mark",
        ),
    ],
)
@pytest.mark.usefixtures("planted")
def test_tokens_that_are_never_accepted_end_on_a_page_that_says_so(
    site: Site, page: Page, clearing: str
) -> None:
    """Also where the page's other scripts clear what the loop guard remembers."""
    refuse_every_token(page)
    calls = calls_of(page)
    page.add_init_script(REFUSE + clearing)
    page.goto(site.url("/account"))
    expect_cause(page, "refused")
    assert len(calls) == 1


def expect_slow_links(page: Page) -> None:
    """Wait until style sheets alone have brought the ways on, six seconds later."""
    links = page.locator(".ssr-session-slow a")
    expect(links.first).to_be_hidden()
    page.evaluate("document.getAnimations().forEach(one => { one.currentTime = 7000 })")
    expect(links.first).to_be_visible()
    assert links.all_text_contents() == ["Try again", "Sign in"]


@pytest.mark.usefixtures("planted")
def test_a_script_that_a_blocker_keeps_out_leaves_links(site: Site, page: Page) -> None:
    page.route("**/ssr-session-*.js", lambda route: route.abort())
    calls = calls_of(page)
    page.goto(site.url("/account?tab=2"))
    expect_slow_links(page)
    assert calls == []
    page.unroute("**/ssr-session-*.js")
    page.get_by_role("link", name="Try again").click()
    page.wait_for_url(re.compile(r"/auth\?redirectToPath=/account"))


@pytest.fixture(scope="module")
def odd_site(shared_site: Site) -> Iterator[Site]:
    """With a page that has no script, and pages whose policy is in their query."""
    with served(shared_site.core.uri, module="tests.browser.loops_app") as origin:
        yield Site(origin, shared_site.core, shared_site.clock)


@pytest.mark.parametrize(
    ("policy", "is_styled"),
    [("script-src 'none'", True), ("default-src 'none'", False)],
)
def test_a_policy_that_forbids_the_script_leaves_links(
    odd_site: Site, browser: Browser, expired_token: str, policy: str, is_styled: bool
) -> None:
    # `context` would fail on the browser's messages about the policy.
    with browser.new_context() as context:
        page = context.new_page()
        plant(context, odd_site, sAccessToken=expired_token)
        calls = calls_of(page)
        page.goto(odd_site.url(f"/account?policy={policy}"))
        if is_styled:
            expect_slow_links(page)
        expect(
            page.locator(".ssr-session-slow").get_by_role("link", name="Sign in")
        ).to_be_visible()
        assert calls == []


# --- hostile values in the browser's storage -----------------------------------------------------

# Digits that are a time, text that is a number, values that only look like a marker.
JUNK = [
    "null",
    "-1",
    "NaN",
    "[]",
    '{"at":null}',
    '{"at":"soon","token":""}',
    '{"at":1e999}',
    '{"at":-1e999,"token":{}}',
    '{"at":[],"token":"\\ud800"}',
    '{"at":1700000000000,"token":"00"}',
    '{"at":9999999999999,"token":"00"}',
    "9" * 400,
    "<script>throw 1</script>",
    "{" * 5000,
]

LITTER = """([key, junk]) => {
    for (const storage of [sessionStorage, localStorage]) storage.setItem(key, junk);
    window.name = key + junk;
    for (const name of [key, 'st-last-access-token-update', 'ssr'])
        document.cookie = `${name}=${encodeURIComponent(junk)}; path=/; SameSite=Lax`;
    const query = new URLSearchParams({ [key]: junk, redirectBack: junk, at: junk });
    history.replaceState(junk, '', `/account?${query}#${encodeURIComponent(junk)}`);
}"""


def junk() -> list[str]:
    """Return the values above and some random ones, the same in every run."""
    source = random.Random(4)  # noqa: S311 - no secret
    signs = string.printable + '{}[]":,äπ😀'
    return JUNK + ["".join(source.choices(signs, k=source.randint(1, 60))) for _ in range(6)]


@pytest.mark.parametrize("comes_through", [False, True], ids=["refused", "good"])
def test_junk_neither_defeats_the_guard_nor_raises_it(
    site: Site, page: Page, planted: str, comes_through: bool
) -> None:
    """Each value in every place at once: a refused token ends, and a good one comes through."""
    if comes_through:
        page.context.clear_cookies()
        user = site.sign_up(page)
    else:
        page.goto(site.url("/no-such-page"))
        refuse_every_token(page)
    calls = calls_of(page)
    for value in junk():
        del calls[:]
        site.let_time_pass(page)
        plant(page.context, site, sAccessToken=planted, sFrontToken=FRONT_TOKEN)
        page.evaluate(LITTER, [MARKER, value])
        page.reload()
        if comes_through:
            expect(page.locator(USER)).to_have_text(user)
            assert len(calls) == 1, value
        else:
            # In the query, the longest one makes the way back longer than servers read.
            is_long = len(page.url) > 1000
            sign_in = "/auth" if is_long else "/auth?redirectToPath="
            expect_cause(page, "refused", sign_in=sign_in)
            assert len(calls) <= 2, value


# --- no false alarm ------------------------------------------------------------------------------

FIVE_MINUTES_LATER = """key => {
    const marker = JSON.parse(sessionStorage.getItem(key));
    marker.at -= 300000;
    sessionStorage.setItem(key, JSON.stringify(marker));
    const stored = Date.now() - 300000;
    document.cookie = `st-last-access-token-update=${stored}; path=/; SameSite=Lax`;
}"""


@pytest.fixture(params=["inline", "redirect"])
def steady_site(request: pytest.FixtureRequest, shared_site: Site) -> Iterator[Site]:
    with served(
        shared_site.core.uri,
        module="tests.browser.loops_app",
        environment={"EXAMPLE_SSR_SESSION_REFRESH_FLOW": request.param},
    ) as origin:
        yield Site(origin, shared_site.core, shared_site.clock)


def test_a_session_refreshed_for_hours_is_never_held_up(
    steady_site: Site, context: BrowserContext, expired_token: str
) -> None:
    """Two tabs without any script on their pages, and a reload as soon as the page is back."""
    tabs = [context.new_page(), context.new_page()]
    user = steady_site.sign_up(tabs[0])
    steady_site.let_time_pass(tabs[0])
    calls = calls_of(context)
    steady_site.core.clear_request_log()
    for lap in range(20):
        tab, other = tabs[lap % 2], tabs[1 - lap % 2]
        plant(context, steady_site, sAccessToken=expired_token)
        tab.goto(steady_site.url(f"/bare?lap={lap}" + "#part" * (lap % 3)))
        expect(tab.locator(USER)).to_have_text(user)
        other.goto(steady_site.url("/bare"))
        tab.reload()
        expect(tab.locator(USER)).to_have_text(user)
        assert len(calls) == steady_site.refresh_calls() == lap + 1
        tab.evaluate(FIVE_MINUTES_LATER, MARKER)


# --- a session that the site has ended -----------------------------------------------------------

SIGN_OUT_API = "**/auth/signout"


def test_a_session_revoked_right_after_a_refresh_ends_at_sign_in(
    steady_site: Site, page: Page
) -> None:
    """Not a page about the site's keys either: the response names the cause."""
    user = steady_site.sign_up(page)
    steady_site.expire(page)
    calls = calls_of(page)
    page.goto(steady_site.url("/checked"))
    expect(page.locator(USER)).to_have_text(user)
    steady_site.core.revoke_sessions(user)
    with page.expect_request(SIGN_OUT_API):
        page.goto(steady_site.url("/checked?tab=2#part"))
    page.wait_for_url(re.compile(r"/auth\?redirectToPath=/checked%3Ftab%3D2%23part$"))
    assert len(calls) == 1
    steady_site.fill_in(page)  # the twin: a new session is shown the page
    expect(page.locator(USER)).to_have_text(user)


SIGNED_OUT = {"status": 200, "headers": {"front-token": "remove"}, "body": '{"status":"OK"}'}
RENEWED_OUT = {"status": 401, "headers": {}, "body": "{}"}


@pytest.mark.parametrize(
    ("answer", "cause", "refreshes"),
    [
        pytest.param(SIGNED_OUT, None, 1, id="signed out"),
        pytest.param({**SIGNED_OUT, "status": 500}, "status", 1, id="500"),
        pytest.param({**SIGNED_OUT, "headers": {}}, "answer", 1, id="nothing is removed"),
        pytest.param({**SIGNED_OUT, "body": '{"status":"GENERAL_ERROR"}'}, "answer", 1, id="error"),
        pytest.param(RENEWED_OUT, "answer", 2, id="refreshed and refused for ever"),
        pytest.param(None, "network", 1, id="no answer"),
    ],
)
def test_a_session_that_the_api_renews_and_the_site_refuses_is_signed_out_once(
    site: Site, page: Page, planted: str, answer: dict[str, Any] | None, cause: str, refreshes: int
) -> None:
    """As with a list of an app's own that the core knows nothing of."""
    assert planted

    def say_revoked(route: Route) -> None:
        response = route.fetch()
        body = response.text().replace('data-reason="expired"', 'data-reason="revoked"')
        route.fulfill(response=response, body=body)

    page.route("**/account", say_revoked)
    ate = 4_000_000_000_000
    front = b64encode(json.dumps({"ate": ate, "uid": "user-1", "up": {}}).encode()).decode()
    answer_with(page, front_token=front)
    signs_out: list[Route] = []

    def sign_out(route: Route) -> None:
        signs_out.append(route)
        if answer is None:
            route.abort("connectionrefused")
        else:
            route.fulfill(**answer)

    page.route(SIGN_OUT_API, sign_out)
    calls = calls_of(page)
    page.goto(site.url("/account"))
    if cause is None:
        page.wait_for_url(re.compile(r"/auth\?redirectToPath=/account$"))
    else:
        expect_cause(page, cause)
        assert page.url == site.url("/account")
    assert len(calls) == refreshes
    assert len(signs_out) == (2 if answer is RENEWED_OUT else 1)


# --- what visitors and developers read -----------------------------------------------------------

FOR_DEVELOPERS = re.compile("cookie.domain|older_cookie|signing|core|Set-Cookie|SDK|_")


@pytest.mark.parametrize(
    ("tokens", "cause", "console"),
    [
        pytest.param(["same"], "unchanged", "another domain or path", id="unchanged"),
        pytest.param(["junk"], "refused", "signing keys", id="refused"),
        pytest.param([], "absent", "cookie domain", id="absent"),
        pytest.param(["same", "other"], "duplicate", "older_cookie_domain", id="duplicate"),
    ],
)
def test_visitors_read_what_they_can_do_and_the_console_what_the_site_can(
    site: Site, page: Page, planted: str, tokens: list[str], cause: str, console: str
) -> None:
    headers = {"front_token": FRONT_TOKEN}
    if tokens == ["junk"]:
        headers["set_cookie"] = stored("junk")
    if not tokens:
        page.context.clear_cookies(name="sAccessToken")
    if "other" in tokens:
        other = {
            "name": "sAccessToken",
            "value": planted,
            "domain": "localhost",
            "path": "/account",
        }
        page.context.add_cookies([other])  # type: ignore[list-item]
    answer_with(page, **headers)  # type: ignore[arg-type]
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(site.url("/account"))
    expect_cause(page, cause)
    assert [console in text for text in said if "flask_ssr_session" in text] == [True]
    assert FOR_DEVELOPERS.search(page.locator("[data-ssr-session]").inner_text()) is None


def test_reloads_pressed_in_a_row_end_on_the_page(
    site: Site, page: Page, expired_token: str
) -> None:
    user = site.sign_up(page)
    site.let_time_pass(page)
    plant(page.context, site, sAccessToken=expired_token)
    page.goto(site.url("/account"), wait_until="commit")
    for _ in range(6):
        # Chromium refuses a reload that falls between two documents; a visitor's is as lost.
        with suppress(Error):
            page.reload(wait_until="commit")
    expect(page.locator(USER)).to_have_text(user)


@chromium_only  # in Firefox the page's own reload takes the place of the visitor's
def test_a_reload_pressed_while_the_session_is_refreshed_raises_no_alarm(
    site: Site, page: Page
) -> None:
    """The second document was asked for with the old token, and comes when the new one is there."""
    user = site.sign_up(page)
    site.expire(page)
    calls = calls_of(page)
    page.add_init_script(
        """const set = Storage.prototype.setItem;
        Storage.prototype.setItem = function (key, value) {
            set.call(this, key, value);
            if (key === 'ssr-session-refreshed') console.debug(key);
        };"""
    )
    refreshes: list[Route] = []
    page.route(REFRESH_API, lambda route: refreshes.append(route))  # Playwright wants a function
    with page.expect_request(REFRESH_API):
        page.goto(site.url("/account"))

    def refresh_meanwhile(route: Route) -> None:
        refused = route.fetch()
        with page.expect_console_message(lambda message: message.text == MARKER):
            refreshes[0].continue_()
        route.fulfill(response=refused)

    page.route("**/account", refresh_meanwhile, times=1)
    page.reload()
    expect(page.locator(USER)).to_have_text(user)
    assert len(calls) == 1
