"""Back and forward: never to the refresh page, and never to the content of another session."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from .conftest import CHROMIUM_ARGUMENTS, DOCUMENT_TIMEOUT_MS, Site, served, wait_for_address
from .test_refresh import documents_of

pytestmark = pytest.mark.browser

# What a page records when it comes back from memory: its display, after its own script, whose
# listener runs first.
NOTE = """addEventListener("DOMContentLoaded", () => addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  window.wasKept = true;
  sessionStorage.setItem("shown", getComputedStyle(document.documentElement).display);
}));"""


@pytest.fixture(scope="module", params=["inline", "redirect"])
def flowing_site(request: pytest.FixtureRequest, shared_site: Site) -> Iterator[Site]:
    """The site of these tests in either flow."""
    flow: str = request.param
    with served(
        shared_site.core.uri,
        module="tests.browser.history_app",
        environment={"EXAMPLE_SSR_SESSION_REFRESH_FLOW": flow},
    ) as origin:
        yield Site(origin, shared_site.core, shared_site.clock)


@pytest.fixture(scope="module")
def history_site(shared_site: Site) -> Iterator[Site]:
    with served(shared_site.core.uri, module="tests.browser.history_app") as origin:
        yield Site(origin, shared_site.core, shared_site.clock)


@pytest.fixture(scope="module")
def keeping_browser(browser: Browser, playwright: Playwright) -> Iterator[Browser]:
    """A browser with its back/forward cache, which Playwright switches off in Chromium."""
    if browser.browser_type.name == "firefox":
        yield browser
        return
    keeping = playwright.chromium.launch(
        executable_path=os.environ.get("SSR_SESSION_TEST_CHROMIUM") or None,
        args=CHROMIUM_ARGUMENTS,
        ignore_default_args=["--disable-back-forward-cache"],
        chromium_sandbox=False,
    )
    yield keeping
    keeping.close()


@pytest.fixture
def kept(keeping_browser: Browser) -> Iterator[Page]:
    """A page that a browser keeps in memory when it is left."""
    context: BrowserContext = keeping_browser.new_context()
    context.set_default_timeout(DOCUMENT_TIMEOUT_MS)
    context.add_init_script(NOTE)
    yield context.new_page()
    context.close()


def go_to(page: Page, url: str) -> None:
    """Follow a link, as a visitor does: goto() would be a new beginning for some caches."""
    page.evaluate("url => { setTimeout(() => location.assign(url)) }", url)
    wait_for_address(page, url)


def go_back(page: Page, steps: int = 1) -> None:
    page.evaluate("steps => { setTimeout(() => history.go(-steps)) }", steps)


def sign_out(page: Page) -> None:
    page.evaluate("supertokensWebsite.signOut()")


# --- the refresh page is no place of the history -------------------------------------------------


@pytest.mark.parametrize("path", ["/account?tab=2", "/account?tab=2#claims", "/dashboard#who"])
def test_refresh_leaves_no_trace_in_the_history(flowing_site: Site, kept: Page, path: str) -> None:
    site = flowing_site
    user = site.sign_up(kept)
    kept.goto(site.url("/panel/"))
    site.expire(kept)
    before = kept.evaluate("history.length")
    documents = documents_of(kept)
    kept.goto(site.url(path))
    expect(kept.locator("[data-user]")).to_have_text(user)
    assert "refresh; reason=expired" in documents
    assert kept.evaluate("history.length") == before + 1
    documents.clear()
    go_back(kept)
    wait_for_address(kept, site.url("/panel/"))
    kept.evaluate("setTimeout(() => history.forward())")
    # Of a page that Firefox has from memory, Playwright waits for a navigation that never ends.
    shows = "user => document.querySelector('[data-user]')?.textContent === user"
    kept.wait_for_function(shows, arg=user)
    assert kept.evaluate("location.href") == site.url(path)
    assert not [state for state in documents if "refresh" in state]


def test_sign_in_that_a_refresh_led_to_leads_back_past_it(flowing_site: Site, kept: Page) -> None:
    site = flowing_site
    user = site.sign_up(kept)
    kept.goto(site.url("/panel/"))
    site.expire(kept)
    site.core.revoke_sessions(user)
    kept.goto(site.url("/account"))
    kept.wait_for_function("() => location.pathname === '/auth'")
    go_back(kept)
    wait_for_address(kept, site.url("/panel/"))


def test_refresh_that_was_tried_again_leaves_no_trace_either(
    flowing_site: Site, kept: Page
) -> None:
    site = flowing_site
    user = site.sign_up(kept)
    kept.goto(site.url("/panel/"))
    site.expire(kept)
    site.core.stop_refresh_endpoint()
    try:
        kept.goto(site.url("/account"))
        expect(kept.locator("[data-ssr-cause=status]")).to_be_visible()
    finally:
        site.core.start_refresh_endpoint()
    kept.get_by_role("button", name="Try again").click()
    expect(kept.locator("[data-user]")).to_have_text(user)
    go_back(kept)
    wait_for_address(kept, site.url("/panel/"))


# --- pages that come back from memory ------------------------------------------------------------


def signed_in_and_gone_on(site: Site, page: Page, name: str) -> str:
    """Fill half a form in on the page *name* and go on to the panel; return the user's id."""
    user = site.sign_up(page)
    page.goto(site.url(f"/pages/{name}"))
    page.fill("#field", "half")
    go_to(page, site.url("/panel/"))
    return user


def test_page_that_comes_back_for_the_same_user_is_not_loaded_anew(
    history_site: Site, kept: Page
) -> None:
    site = history_site
    user = signed_in_and_gone_on(site, kept, "with-script")
    # A refresh meanwhile changes the cookies, but not the user.
    assert kept.evaluate("supertokensWebsite.attemptRefreshingSession()")
    documents = documents_of(kept)
    go_back(kept)
    wait_for_address(kept, site.url("/pages/with-script"))
    kept.wait_for_function("() => window.wasKept")
    assert kept.input_value("#field") == "half"
    assert kept.text_content("#whose") == user
    assert documents == []


def test_page_that_comes_back_after_sign_out_asks_and_shows_nothing(
    history_site: Site, kept: Page
) -> None:
    site = history_site
    signed_in_and_gone_on(site, kept, "with-script")
    sign_out(kept)
    go_back(kept)
    wait_for_address(kept, site.url("/auth?redirectToPath=/pages/with-script"))
    # It was in memory, so the script had to check.
    assert kept.evaluate("sessionStorage.getItem('shown')") is not None


def test_page_that_comes_back_after_another_user_signed_in_is_theirs(
    history_site: Site, kept: Page
) -> None:
    site = history_site
    first = signed_in_and_gone_on(site, kept, "with-script")
    sign_out(kept)
    second = site.sign_up(kept, to="/panel/")
    assert second != first
    go_back(kept, 3)  # sign-up and the panel are two more places
    wait_for_address(kept, site.url("/pages/with-script"))
    expect(kept.locator("#whose")).to_have_text(second)
    expect(kept.locator("#field")).to_have_value("")


JUST_REFRESHED = """() => sessionStorage.setItem("ssr-session-refreshed", JSON.stringify(
    { at: performance.timeOrigin + performance.now(), token: "" }))"""


def send_with_a_revoked_session(site: Site, page: Page, *, just_refreshed: bool = False) -> None:
    """Fill a form in and send it after the session has ended, which the browser does not know."""
    user = site.sign_up(page)
    page.goto(site.url("/asks-the-core"))
    page.fill("#field", "half")
    site.core.revoke_sessions(user)
    if just_refreshed:
        page.evaluate(JUST_REFRESHED)
    page.click("button")


@pytest.mark.parametrize("just_refreshed", [False, True], ids=["", "just refreshed"])
def test_form_is_there_again_while_nothing_can_be_renewed(
    history_site: Site, kept: Page, just_refreshed: bool
) -> None:
    """After a success status, the browser would request the page of the form again.

    It would also do so if the session's cookies changed: no response to a form signs a user out.
    """
    site = history_site
    site.core.stop_refresh_endpoint()
    try:
        send_with_a_revoked_session(site, kept, just_refreshed=just_refreshed)
        expect(kept.locator("[data-ssr-cause=status]")).to_contain_text("are still there")
        go_back(kept)
        expect(kept.locator("#field")).to_have_value("half")
    finally:
        site.core.start_refresh_endpoint()


def test_form_whose_session_has_ended_is_there_again_once_the_visitor_signed_in(
    history_site: Site, kept: Page
) -> None:
    site = history_site
    send_with_a_revoked_session(site, kept)
    expect(kept.locator("[data-ssr-cause=ended]")).to_contain_text("opens a new tab")
    with kept.context.expect_page() as opened:
        kept.get_by_role("link", name="Sign in").click()
    site.fill_in(opened.value)
    opened.value.wait_for_url(site.url("/asks-the-core"))
    kept.get_by_role("button", name="Try again").click()
    expect(kept.locator("[data-ssr-part=renewed]")).to_be_visible()
    go_back(kept)
    expect(kept.locator("#field")).to_have_value("half")
    with kept.expect_response(lambda response: response.request.method == "POST") as sent:
        kept.click("button")
    assert sent.value.status == 200


def test_page_that_comes_back_is_hidden_whatever_its_own_style_says(
    history_site: Site, kept: Page
) -> None:
    site = history_site
    signed_in_and_gone_on(site, kept, "with-script")
    sign_out(kept)
    go_back(kept)
    wait_for_address(kept, site.url("/auth?redirectToPath=/pages/with-script"))
    assert kept.evaluate("sessionStorage.getItem('shown')") == "none"


def test_page_without_our_script_is_shown_from_memory(history_site: Site, kept: Page) -> None:
    """What session_script() is good for; without it, only no-store keeps a page out of memory."""
    site = history_site
    user = signed_in_and_gone_on(site, kept, "without-script")
    sign_out(kept)
    go_back(kept)
    wait_for_address(kept, site.url("/pages/without-script"))
    assert kept.text_content("#whose") == user


def test_page_that_a_view_lets_nobody_store_is_asked_for_again(
    history_site: Site, kept: Page
) -> None:
    site = history_site
    signed_in_and_gone_on(site, kept, "not-stored")
    sign_out(kept)
    go_back(kept)
    wait_for_address(kept, site.url("/auth?redirectToPath=/pages/not-stored"))


def test_answer_to_a_form_is_never_sent_for_again(
    history_site: Site, kept: Page, keeping_browser: Browser
) -> None:
    """A reload would send what one user typed in the name of the next."""
    site = history_site
    site.sign_up(kept)
    kept.goto(site.url("/pages/with-script"))
    kept.fill("#field", "for nobody else")
    with kept.expect_response(lambda response: response.request.method == "POST"):
        kept.click("button")
    kept.wait_for_load_state()
    go_to(kept, site.url("/panel/"))
    sign_out(kept)
    sent: list[str] = []
    kept.on("request", lambda request: sent.append(request.method))
    if keeping_browser.browser_type.name == "firefox":
        go_back(kept)
        kept.wait_for_function("() => !document.body.textContent.includes('for nobody else')")
    else:
        with kept.expect_event("requestfailed"):  # Chromium stores no such page, and prompts first
            go_back(kept)
    assert not kept.get_by_text("for nobody else").count()
    assert "POST" not in sent or keeping_browser.browser_type.name == "chromium"


# --- pages that come back from the browser's HTTP cache ------------------------------------------

PAGES = ["without-script", "for-an-hour", "asked-each-time"]


def keep_out_of_memory(page: Page) -> None:
    """Make Firefox load *page* from its HTTP cache on Back, as Chromium does here."""
    page.evaluate("addEventListener('unload', () => {})")


def left_and_not_in_memory(site: Site, page: Page, name: str) -> tuple[str, str]:
    """Look at the page *name* and go on; return whose it was and its number."""
    user = site.sign_up(page)
    page.goto(site.url(f"/pages/{name}"))
    number = page.text_content("#asked")
    assert number is not None
    keep_out_of_memory(page)
    go_to(page, site.url("/panel/"))
    return user, number


@pytest.mark.parametrize("name", PAGES)
def test_page_in_the_http_cache_is_asked_for_again_after_sign_out(
    history_site: Site, page: Page, name: str
) -> None:
    site = history_site
    user, number = left_and_not_in_memory(site, page, name)
    # Twin: without a sign-out, Back shows the browser's copy.
    go_back(page)
    wait_for_address(page, site.url(f"/pages/{name}"))
    assert (page.text_content("#whose"), page.text_content("#asked")) == (user, number)
    keep_out_of_memory(page)
    go_to(page, site.url("/panel/"))
    sign_out(page)
    go_back(page)
    wait_for_address(page, site.url(f"/auth?redirectToPath=/pages/{name}"))


@pytest.mark.parametrize("name", PAGES)
def test_page_in_the_http_cache_is_not_shown_to_the_next_user(
    history_site: Site, page: Page, name: str
) -> None:
    site = history_site
    first, number = left_and_not_in_memory(site, page, name)
    sign_out(page)
    second = site.sign_up(page, to="/panel/")
    go_back(page, 3)
    wait_for_address(page, site.url(f"/pages/{name}"))
    expect(page.locator("#whose")).to_have_text(second)
    assert second != first
    assert page.text_content("#asked") != number


def test_page_kept_for_an_hour_is_asked_for_after_sign_out_by_link_and_reload(
    history_site: Site, page: Page
) -> None:
    site = history_site
    url = site.url("/pages/for-an-hour")
    _, number = left_and_not_in_memory(site, page, "for-an-hour")
    # Twin: it is cached, and a link to it sends no request.
    go_to(page, url)
    assert page.text_content("#asked") == number
    page.context.clear_cookies(name=re.compile("^s(AccessToken|RefreshToken|FrontToken)$"))
    page.evaluate("setTimeout(() => location.reload())")
    page.wait_for_url(re.compile("/auth"))
    go_to(page, site.url("/panel/"))
    page.evaluate("url => { setTimeout(() => location.assign(url)) }", url)
    page.wait_for_url(re.compile("/auth"))
