"""One refresh for all tabs and scripts, and no tab waits for a closed one."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from ..tables import rows
from . import act, see
from .conftest import Serve, Site, both_engines, either_lock

START, DECORATED, TEMPLATE = "/tabs/start", "/bare", "/tabs/template"
# Of eight tabs that have only the SDK's lock, which two busy processes may both take.
FEW = 4
READ_LOCK = f"localStorage.getItem('{see.SDK_LOCK}')"

# A tab in the background, until reveal() brings it to the front after so much time.
IN_BACKGROUND = """
const { isSeen = '', laterMs = '0' } = sessionStorage;
const { now } = Date, { timeOrigin } = performance, tick = performance.now.bind(performance);
let state = isSeen ? 'visible' : 'hidden', passedMs = 0;
Object.defineProperty(Document.prototype, 'visibilityState', { get: () => state });
Object.defineProperty(performance, 'timeOrigin', { get: () => timeOrigin + Number(laterMs) });
performance.now = () => tick() + passedMs;
Date.now = () => now() + Number(laterMs) + passedMs;
window.reveal = (afterMs) => {
    passedMs = afterMs;
    Object.assign(sessionStorage, { isSeen: 'yes', laterMs: afterMs });
    state = 'visible';
    document.dispatchEvent(new Event('visibilitychange'));
};
"""


def show(tabs: list[Page], user: str) -> None:
    for tab in tabs:
        # A small machine is busy with so many for longer than one page may take.
        expect(tab.locator(see.USER)).to_have_text(user, timeout=60_000)


def assert_session_lives(site: Site, page: Page, user: str) -> None:
    """Check that the last refresh token is good: one spent twice ends the session as stolen."""
    site.expire(page)
    # In a tab that refreshed just now the loop guard would stop it.
    site.show(page.context.new_page(), DECORATED, user)
    assert len(site.core.list_sessions(user)) == 1


def start_refresh(page: Page, url: str) -> None:
    """Open *url* in *page* and return when it has requested a refresh."""
    with page.expect_request(act.REFRESH_API):
        page.goto(url)


# --- how many refreshes --------------------------------------------------------------------------


@pytest.mark.parametrize(("engine", "count"), [("chromium", 12), ("firefox", 6)])
def test_many_tabs_reloaded_at_once_cost_one_refresh(
    site: Site, context: BrowserContext, page: Page, user: str, engine: str, count: int
) -> None:
    path = f"{TEMPLATE}?tab=2#part"
    tabs = act.open_tabs(context, site.url(START), path, count)
    act.reload_at_once(tabs)
    show(tabs, user)
    assert {tab.url for tab in tabs} == {site.url(path)}
    # Firefox made a second one, seldom, on a busy machine; a third would be a defect.
    assert 1 <= site.refresh_calls() <= (1 if engine == "chromium" else 2)
    assert_session_lives(site, page, user)


@both_engines
@rows("is_secure", {"a browser has no web locks": True, "the site is no secure context": False})
def test_many_tabs_cost_few_refreshes_and_no_session_where(
    site: Site, serve: Serve, context: BrowserContext, page: Page, is_secure: bool
) -> None:
    if is_secure:
        context.add_init_script(act.WITHOUT_WEB_LOCKS)
    else:  # browsers give its pages no Web Locks
        site = serve(HOST="app.example.test")
    user = site.signed_up_and_expired(page)
    tabs = act.open_tabs(context, site.url(START), DECORATED, 8)
    assert not tabs[0].evaluate("'locks' in navigator")
    act.reload_at_once(tabs)
    show(tabs, user)
    assert 1 <= site.refresh_calls() <= FEW
    assert_session_lives(site, page, user)


@both_engines
def test_frames_and_a_fetch_share_one_refresh(site: Site, page: Page, user: str) -> None:
    """The SDK handles the fetch itself, as on a page by hand: without the lock of the frames."""
    page.goto(site.url("/tabs/frames"))
    expect(page.locator(f"#out {see.USER}")).to_have_text(user)
    for frame in page.frames[1:]:
        expect(frame.locator(see.USER)).to_have_text(user)
    assert page.url == site.url("/tabs/frames")
    assert site.refresh_calls() == 1
    assert_session_lives(site, page, user)


# --- in the background ---------------------------------------------------------------------------


@rows(
    "helper, later_ms, calls",
    {
        "refreshes when it is seen first": (None, 0, 1),
        "asks nothing once another has refreshed": ("", 0, 1),
        "refreshes again where the token of another has run out": ("expired", 3_600_000, 2),
    },
)
def test_a_tab_in_the_background(
    site: Site, page: Page, user: str, other: Page, helper: str | None, later_ms: int, calls: int
) -> None:
    page.add_init_script(IN_BACKGROUND)
    page.goto(site.url(DECORATED))
    see.part(page, "working")
    if helper == "":
        site.show(other, TEMPLATE, user)
    elif helper:
        other.goto(site.url("/panel/"))
        with site.clock.behind():
            assert other.evaluate("supertokensWebsite.attemptRefreshingSession()")
    expect(page.locator(see.USER)).to_have_count(0)
    assert site.refresh_calls() == (helper is not None)
    page.evaluate(f"reveal({later_ms})")
    see.user(page, user)
    assert site.refresh_calls() == calls


# --- another holder of the SDK's lock ------------------------------------------------------------


@both_engines
def test_nobody_refreshes_without_the_lock(site: Site, page: Page, user: str, other: Page) -> None:
    other.goto(site.url(START))
    other.evaluate(
        """key => { const hold = () => { localStorage.setItem(key, JSON.stringify({
            id: 'another', iat: 'x', timeoutKey: 'x',
            timeAcquired: Date.now(), timeRefreshed: Date.now(),
        })); window.held = (window.held ?? 0) + 1 };
        hold(); window.renewals = setInterval(hold, 1000) }""",
        see.SDK_LOCK,
    )
    page.goto(site.url(DECORATED))
    see.part(page, "working")
    # In two seconds of the holder: two full tries of the SDK, of a second each.
    other.evaluate("() => { window.held = 0 }")
    other.wait_for_function("() => window.held > 2")
    assert site.refresh_calls() == 0
    other.evaluate("key => { clearInterval(renewals); localStorage.removeItem(key) }", see.SDK_LOCK)
    see.user(page, user)
    assert site.refresh_calls() == 1


# --- leaving in mid-refresh ----------------------------------------------------------------------


@both_engines
@rows("by_fetch", {"the page": False, "a fetch of the page": True})
def test_no_lock_is_left_in_mid_refresh_by(site: Site, page: Page, by_fetch: bool) -> None:
    user = site.signed_up_and_expired(page, to="/panel/")
    with site.holding_refreshes():
        with page.expect_request(act.REFRESH_API):
            if by_fetch:
                page.evaluate("fetch('/live/fragment').catch(() => {}) && null")
            else:
                page.goto(site.url(DECORATED))
        assert page.evaluate(READ_LOCK)
        page.goto(site.url(START))
        assert page.evaluate(READ_LOCK) is None
    site.show(page, TEMPLATE, user)


@both_engines
@pytest.mark.usefixtures("user")
def test_no_lock_is_left_by_a_page_that_is_taking_it(site: Site, page: Page) -> None:
    """The SDK writes its lock, and looks 30 ms later whether it is still its own."""
    page.add_init_script(
        """const { setItem } = Storage.prototype;
        Storage.prototype.setItem = function (key, value) {
            setItem.call(this, key, value);
            if (!key.startsWith('browser-tabs-lock-key')) return;
            window.setTimeout = () => 0;
            location.assign('/tabs/start');
        }"""
    )
    page.goto(site.url(DECORATED))
    page.wait_for_url(site.url(START))
    assert page.evaluate(READ_LOCK) is None


@either_lock
def test_a_page_left_takes_only_its_lock(site: Site, page: Page, other: Page, script: str) -> None:
    page.context.add_init_script(script)
    site.sign_up(page, to="/panel/")
    # It has held the lock itself, once.
    assert page.evaluate("supertokensWebsite.attemptRefreshingSession()")
    assert page.evaluate(READ_LOCK) is None
    site.expire(page)
    act.hold(other)
    start_refresh(other, site.url(DECORATED))
    # And waits for it now.
    page.evaluate("supertokensWebsite.attemptRefreshingSession() && null")
    page.goto(site.url(START))
    assert page.evaluate(READ_LOCK)
    # So does a refresh page that stops waiting.
    page.goto(site.url(DECORATED))
    see.part(page, "working")
    page.goto(site.url(START))
    assert page.evaluate(READ_LOCK)
    assert site.refresh_calls() == 0


@both_engines
@either_lock
def test_a_closed_tab_holds_nobody_up(site: Site, page: Page, other: Page, script: str) -> None:
    page.context.add_init_script(script)
    user = site.signed_up_and_expired(page)
    act.hold(other)
    start_refresh(other, site.url(DECORATED))
    page.goto(site.url(DECORATED))
    see.part(page, "working")
    other.close()
    # Firefox loses what a tab does last at times; the SDK then takes the lock away after 5 s.
    see.user(page, user)
    # Playwright lets go what it held of a tab that is closed, so that one may count, too.
    assert 1 <= site.refresh_calls() <= 2
    assert_session_lives(site, page, user)


# --- a refresh that hangs ------------------------------------------------------------------------


def test_a_tab_that_waits_for_long_says_so(site: Site, page: Page, user: str, other: Page) -> None:
    act.hold(other)
    start_refresh(other, site.url(DECORATED))
    page.clock.install()
    page.goto(site.url(DECORATED))
    see.part(page, "working")
    page.clock.fast_forward(11_000)
    expect(page.locator("[data-ssr-cause=silent]")).to_be_visible()
    page.clock.resume()
    # The visitor closes the tab that hangs, or leaves its page.
    other.goto(site.url(START))
    see.user(page, user)
    assert site.refresh_calls() == 1


def test_trying_again_after_a_refresh_that_hangs_asks(site: Site, page: Page, user: str) -> None:
    act.hold(page, only_first=True)
    page.clock.install()
    start_refresh(page, site.url(DECORATED))
    page.clock.fast_forward(11_000)
    expect(page.locator("[data-ssr-cause=silent]")).to_be_visible()
    page.clock.resume()
    # As after a laptop slept: the connection is dead, and the browser will notice in minutes.
    act.try_again(page)
    see.user(page, user)
