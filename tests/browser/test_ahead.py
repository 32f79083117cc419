"""A page in use refreshes before its token expires; a refresh whose answer is lost is repeated."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from flask_ssr_session.dev_core import DevelopmentCore

from ..tables import rows
from . import act, see
from .conftest import VALID_SECONDS, Serve, ShiftedClock, Site, both_engines, either_lock, served

FORM, START = "/forms/plain/simple", "/tabs/start"
NOTE = "ssr-session-refreshing"
READ_NOTE = f"localStorage.getItem('{NOTE}')"
NO_NOTE = f"() => !{READ_NOTE}"
# A token of 600 seconds is due when 30 are left of it. A slow machine may need half a minute for a
# step, in which the browser's clock runs on.
DUE_SECONDS, FRESH_SECONDS = VALID_SECONDS - 20, VALID_SECONDS / 2
LIFE = VALID_SECONDS * 1000

# A tab that can be hidden and seen again.
HIDEABLE = """let state = 'visible';
Object.defineProperty(Document.prototype, 'visibilityState', { get: () => state });
window.see = (isSeen) => {
    state = isSeen ? 'visible' : 'hidden';
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
};"""


def press(page: Page) -> None:
    page.keyboard.press("Shift")


def refreshes(site: Site, page: Page) -> int:
    """Count the refreshes, after those that *page* has begun."""
    page.evaluate(act.SETTLE)
    return site.refresh_calls()


# --- when a page refreshes -----------------------------------------------------------------------


def test_input_refreshes_a_token_that_is_due_and_nothing_else_does(site: Site, page: Page) -> None:
    site.sign_up(page, to=FORM)
    field = page.locator("[name=title]")
    site.renew(page, FRESH_SECONDS)
    field.press("a")
    assert refreshes(site, page) == 0  # not due, until
    inputs: list[Callable[[], None]]
    inputs = [lambda: field.press("a"), lambda: page.mouse.click(1, 1), lambda: field.fill("b")]
    for make_input in inputs:
        site.renew(page, DUE_SECONDS)
        page.mouse.move(9, 9)
        page.mouse.wheel(0, 9)
        field.dispatch_event("keydown")
        field.dispatch_event("input")
        page.evaluate("field => { field.blur(); field.focus() }", field.element_handle())
        page.evaluate(act.FOCUS)
        assert refreshes(site, page) == 0
        make_input()
        make_input()
        assert refreshes(site, page) == 1


@rows("is_used, calls", {"never used": (False, 0), "used once": (True, 1)})
def test_an_idle_page_lets_its_session_end(
    site: Site, page: Page, is_used: bool, calls: int
) -> None:
    """Input makes one token last, and not the next."""
    page.clock.install()
    site.sign_up(page, to=FORM)
    if is_used:
        press(page)
    page.clock.fast_forward(LIFE - 90_000)
    assert refreshes(site, page) == 0
    page.clock.fast_forward(65_000)
    assert refreshes(site, page) == calls
    for _ in range(4):
        page.clock.fast_forward(LIFE // 2)
    page.evaluate(act.FOCUS)
    assert refreshes(site, page) == calls


def test_a_page_refreshes_only_while_it_is_seen(site: Site, page: Page) -> None:
    page.add_init_script(HIDEABLE)
    page.clock.install()
    site.sign_up(page, to=FORM)
    for case, (is_used, seconds, total) in {
        "used before, and seen again in time": (True, DUE_SECONDS, 1),
        "not used, and seen again in time": (False, 300, 1),
        "not used, and seen again soon after the token expired": (False, 100, 2),
        "used before, and seen again too late": (True, 2 * VALID_SECONDS + 60, 2),
        "touched then": (True, 0, 3),
        "not used, and seen again too late": (False, 2 * VALID_SECONDS + 60, 3),
    }.items():
        if is_used:
            press(page)
        before = refreshes(site, page)
        page.evaluate("see(false)")
        page.clock.fast_forward(seconds * 1000)
        page.evaluate(act.FOCUS)
        assert refreshes(site, page) == before, case
        page.evaluate("see(true)")
        page.clock.fast_forward(275_000 if "in time" in case else 0)
        assert refreshes(site, page) == total, case


@both_engines
def test_all_tabs_share_one_refresh(site: Site, context: BrowserContext, page: Page) -> None:
    context.clock.install()
    site.sign_up(page)
    tabs = [context.new_page() for _ in range(3)]
    for tab in tabs:
        tab.goto(site.url(FORM))
        press(tab)
    context.clock.fast_forward(DUE_SECONDS * 1000)
    assert [refreshes(site, tab) for tab in tabs] == [1, 1, 1]


@rows(
    "later, passed, calls",
    {
        # Its timers stood still meanwhile, and end much later.
        "wakes soon after the token has expired": (VALID_SECONDS + 60, 0, 1),
        "slept too long": (2 * VALID_SECONDS + 60, 0, 0),
        "has its clock set back, and the token is due": (-7200, DUE_SECONDS, 1),
    },
)
def test_a_computer_that(site: Site, page: Page, later: int, passed: int, calls: int) -> None:
    page.clock.install()
    site.sign_up(page, to=FORM)
    press(page)
    page.clock.set_system_time(time.time() + later)
    assert refreshes(site, page) == 0
    page.clock.fast_forward(passed * 1000)
    page.evaluate(act.FOCUS)
    assert refreshes(site, page) == calls
    press(page)
    assert refreshes(site, page) == 1
    # The SDK has learned the difference of the clocks: the new token is not due.
    press(page)
    assert refreshes(site, page) == 1


@rows("answer, each", {"no connection": (None, 2), "an error": (500, 1)})
def test_new_input_repeats_a_failure(site: Site, page: Page, answer: int | None, each: int) -> None:
    calls = see.calls(page)

    def fail(route: Route) -> None:
        route.fulfill(status=answer) if answer else route.abort("connectionrefused")

    page.route(act.REFRESH_API, fail)
    page.clock.install()
    site.sign_up(page, to=FORM)
    before = page.content()
    page.clock.fast_forward(DUE_SECONDS * 1000)
    press(page)
    refreshes(site, page)
    assert len(calls) == each
    for pause, total in ((1_000, each), (10_000, 2 * each), (5_000, 2 * each), (16_000, 3 * each)):
        press(page)
        page.clock.fast_forward(pause)
        refreshes(site, page)
        assert len(calls) == total
    # Without new input, it is not repeated at all.
    page.clock.fast_forward(LIFE // 2)
    page.evaluate(act.FOCUS)
    refreshes(site, page)
    assert len(calls) == 3 * each
    assert page.content() == before
    page.unroute(act.REFRESH_API)
    press(page)
    assert refreshes(site, page) == 1


def test_tokens_that_are_always_due_are_not_asked_for_at_every_key(site: Site, page: Page) -> None:
    """A clock of the API's machine is wrong; the SDK takes the difference for the browser's."""
    site.sign_up(page, to=FORM)
    site.renew(page, DUE_SECONDS)
    act.answer(page, front_token=act.front_token(expires_at_ms=5000, iat=4))
    calls = see.calls(page)
    for _ in range(5):
        press(page)
        refreshes(site, page)
    assert len(calls) == 1


def test_a_request_that_hangs_gives_the_lock_of_all_tabs_back(site: Site, page: Page) -> None:
    act.hold(page)
    page.clock.install()
    site.sign_up(page, to=FORM)
    page.clock.fast_forward(DUE_SECONDS * 1000)
    with page.expect_request(act.REFRESH_API):
        press(page)
    page.clock.fast_forward(5_000)
    assert page.evaluate("navigator.locks.query().then(({ held }) => held.length)") == 1
    page.clock.fast_forward(6_000)
    page.evaluate(act.SETTLE.replace("',", "', { signal: AbortSignal.timeout(20_000) },"))


@rows("path, calls", {"a page for everybody": ("/panel/", 0), "a page for a session": (FORM, 1)})
def test_input_without_a_token_on(site: Site, page: Page, path: str, calls: int) -> None:
    """Some browsers delete the SDK's cookies after a week."""
    site.sign_up(page)
    page.context.clear_cookies(name=re.compile("^(sFrontToken|st-last)"))
    page.goto(site.url(path))
    press(page)
    assert refreshes(site, page) == calls


def test_a_site_can_switch_it_off(site: Site, page: Page) -> None:
    def switch_off(route: Route) -> None:
        response = route.fetch()
        assert 'data-refresh-ahead=""' in response.text()
        route.fulfill(response=response, body=response.text().replace("data-refresh-ahead", "x"))

    page.route(f"**{FORM}", switch_off)
    site.sign_up(page, to=FORM)
    site.renew(page, DUE_SECONDS)
    press(page)
    assert refreshes(site, page) == 0


@both_engines
def test_a_page_from_memory_is_seen_again(site: Site, kept: Page) -> None:
    site.sign_up(kept, to=FORM)
    act.follow(kept, site.url(START))
    see.address(kept, site.url(START))
    site.renew(kept, VALID_SECONDS + 5)
    kept.evaluate("setTimeout(() => history.back())")
    see.address(kept, site.url(FORM))
    kept.wait_for_function("() => window.wasKept")
    assert refreshes(site, kept) == 1


@both_engines
def test_a_page_that_asks_before_it_is_left_and_stays(site: Site, page: Page) -> None:
    site.sign_up(page, to=FORM)
    page.evaluate(
        """addEventListener('beforeunload', (event) => event.preventDefault());
        document.body.insertAdjacentHTML('beforeend', '<a href="/panel/">Panel</a>')"""
    )
    site.renew(page, DUE_SECONDS)
    page.once("dialog", lambda dialog: dialog.dismiss())
    with (
        site.holding_refreshes(),
        page.expect_event("dialog"),
        page.expect_request(act.REFRESH_API),
    ):
        page.get_by_text("Panel").click(no_wait_after=True)
    assert refreshes(site, page) == 1
    assert page.evaluate(READ_NOTE) is None
    assert page.url == site.url(FORM)


def test_a_visit_by_turbo_keeps_the_script(serve: Serve, libraries: Path, page: Page) -> None:
    site = serve(LIBRARIES=str(libraries))
    site.sign_up(page, to="/kinds/turbo?sdk")
    page.evaluate("window.isKept = true")
    site.renew(page, FRESH_SECONDS)
    press(page)
    page.get_by_text("Visit").click()
    page.wait_for_url("**/kinds/plain?visited")
    assert page.evaluate("window.isKept")
    site.renew(page, DUE_SECONDS)
    press(page)
    assert refreshes(site, page) == 1


# --- a refresh whose answer is lost --------------------------------------------------------------


@pytest.fixture(scope="module")
def strict_site() -> Iterator[Site]:
    """A site with a core that gives old refresh tokens up after half a minute."""
    clock = ShiftedClock()
    arguments: Any = {"clock": clock, "access_token_validity_seconds": VALID_SECONDS}
    with DevelopmentCore(cdi="5.6", **arguments) as core, served(core.uri) as origin:
        yield Site(origin, core, clock)


def refresh_unheard(site: Site, page: Page) -> None:
    """Let the API refresh with the cookies of *page*, which does not get the answer."""
    browser = page.context.browser
    assert browser is not None
    with browser.new_context(storage_state=page.context.storage_state()) as context:
        site.call_api(context, "session/refresh")


@both_engines
def test_a_page_left_in_mid_refresh_may_be_followed_by_a_minute_of_reading(
    strict_site: Site, context: BrowserContext, page: Page, engine: str
) -> None:
    site, reader = strict_site, context.new_page()
    user = site.sign_up(page, to="/panel/")
    site.renew(page, DUE_SECONDS)
    act.hold(page)
    calls = see.calls(context)
    with page.expect_request(act.REFRESH_API):
        press(page)
    refresh_unheard(site, page)
    act.follow(page, site.url(START))
    page.wait_for_url(site.url(START))
    # Firefox stops the refresh when the next page is asked for, so this one has time to ask again.
    assert len(calls) <= (1 if engine == "chromium" else 2)
    calls.clear()
    # Two pages find the note at the same time.
    act.reload_at_once(act.open_tabs(context, site.url(START), "/account", 2))
    reader.goto(site.url("/account"))
    see.user(reader, user)
    reader.wait_for_function(NO_NOTE)
    reader.evaluate(act.SETTLE)
    # As in test_tabs.py, Firefox may make a second one on a busy machine.
    assert 1 <= len(calls) <= (1 if engine == "chromium" else 2)
    with site.clock.shifted(60):
        site.call_api(context, "session/refresh")
    assert len(site.core.list_sessions(user)) == 1


@either_lock
def test_a_refresh_in_another_tab_is_not_repeated(
    site: Site, page: Page, other: Page, script: str
) -> None:
    page.context.add_init_script(script)
    user = site.sign_up(page, to="/panel/")
    site.renew(page, DUE_SECONDS)
    with site.holding_refreshes():
        with page.expect_request(act.REFRESH_API):
            press(page)
        site.show(other, "/account", user)
    other.wait_for_function(NO_NOTE)
    other.evaluate("supertokensWebsite.doesSessionExist()")
    assert site.refresh_calls() == 1


def test_a_note_counts_for_seconds(site: Site, page: Page) -> None:
    site.sign_up(page, to="/panel/")
    calls, now = see.calls(page), int(time.time())
    page.clock.set_fixed_time(now)
    for note, is_repeated in {
        "junk": False,
        "": False,
        "[]": False,
        "null": False,
        "Infinity": False,
        f"{now - 20}000": False,
        f"{now + 20}000": False,
        f"{now - 20}001": True,
        f"{now + 19}999": True,  # the clock has been set back since
    }.items():
        calls.clear()
        page.evaluate("([key, note]) => localStorage.setItem(key, note)", [NOTE, note])
        page.reload()
        refreshes(site, page)
        assert len(calls) == is_repeated, note
        assert (page.evaluate(READ_NOTE) is None) is is_repeated, note


def test_a_repetition_does_not_renew_the_note(site: Site, page: Page) -> None:
    site.sign_up(page, to="/panel/")
    page.route(act.REFRESH_API, lambda route: route.abort())
    page.evaluate(f"localStorage.setItem('{NOTE}', Date.now() - 9000)")
    note = page.evaluate(READ_NOTE)
    with page.expect_request(act.REFRESH_API):
        page.reload()
    refreshes(site, page)
    assert page.evaluate(READ_NOTE) == note


@pytest.mark.parametrize("path", ["/repair/mail", "/repair/recent"])
def test_pages_about_claims_ask_for_a_lost_answer(site: Site, page: Page, path: str) -> None:
    with site.clock.shifted(-7200):
        site.sign_up(page, to=START)
    site.call_api(page.context, "session/refresh")
    page.evaluate(f"localStorage.setItem('{NOTE}', Date.now())")
    with page.expect_request(act.REFRESH_API) as asked:
        act.follow(page, site.url(path))
    assert asked.value.headers["referer"] == site.url(path)
    page.wait_for_function(NO_NOTE)


# --- how often the API is asked ------------------------------------------------------------------

OK, EMPTY, UNREADABLE, LOST = "ok", "empty", "unreadable", "lost"


@rows(
    "answers, is_shown",
    {
        "no connection": ([LOST, LOST], False),
        "a connection that fails once": ([LOST, OK], True),
        "an error": ([500], False),
        "an error behind a connection that fails": ([LOST, 503], False),
        "a front token that the SDK cannot read": ([UNREADABLE], False),
        "older cookies that are removed first": ([EMPTY, OK], True),
        "and the connection fails each time": ([LOST, EMPTY, LOST, OK], True),
        "and it fails for good": ([LOST, EMPTY, LOST, LOST], False),
        "older cookies that stay": ([LOST, EMPTY, LOST, EMPTY], False),
    },
)
def test_calls_of_the_api(site: Site, page: Page, answers: list[str | int], is_shown: bool) -> None:
    user = site.signed_up_and_expired(page)
    if EMPTY in answers:
        act.copy_token(page, path="/account")
    left = list(answers)

    def answer(route: Route) -> None:
        kind = left.pop(0)
        if kind == LOST:
            route.abort("connectionreset")
        elif kind == OK:
            page.context.clear_cookies(path="/account")
            route.continue_()
        else:
            headers = {"front-token": b64encode(b"null").decode()} if kind == UNREADABLE else {}
            status = kind if isinstance(kind, int) else 200
            route.fulfill(status=status, headers=headers, body="{}")

    page.route(act.REFRESH_API, answer)
    calls = see.calls(page)
    page.goto(site.url("/account"))
    if is_shown:
        see.user(page, user)
    else:
        expect(page.get_by_role("button", name="Try again")).to_be_focused()
    assert (len(calls), left) == (len(answers), [])
    assert (page.evaluate(READ_NOTE) is None) is (answers[-1] != LOST)
