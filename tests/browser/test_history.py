"""Back and forward: never to the refresh page, and never to the content of another session."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from ..tables import rows
from . import act, see
from .conftest import Site, both_engines, both_flows, each_flow


def go_to(page: Page, url: str) -> None:
    act.follow(page, url)
    see.address(page, url)


def go_back(page: Page, steps: int = 1) -> None:
    page.evaluate("steps => { setTimeout(() => history.go(-steps)) }", steps)


def sign_out(page: Page) -> None:
    page.wait_for_load_state("domcontentloaded")  # the script has run
    page.evaluate("supertokensWebsite.signOut()")


# --- the refresh page is no place of the history -------------------------------------------------


@both_engines
@both_flows
def test_a_refresh_leaves_no_trace_in_history(site: Site, kept: Page) -> None:
    user = site.sign_up(kept)
    documents = see.documents(kept)
    for path in ("/account?tab=2", "/account?tab=2#claims", "/dashboard#who"):
        kept.goto(site.url("/panel/"))
        site.expire(kept)
        before = kept.evaluate("history.length")
        documents.clear()
        site.show(kept, path, user)
        assert "refresh; reason=expired" in documents, path
        assert kept.evaluate("history.length") == before + 1, path
        documents.clear()
        go_back(kept)
        see.address(kept, site.url("/panel/"))
        kept.evaluate("setTimeout(() => history.forward())")
        # Of a page that Firefox has from memory, Playwright waits for a navigation that never ends.
        shows = "user => document.querySelector('[data-user]')?.textContent === user"
        kept.wait_for_function(shows, arg=user)
        assert kept.evaluate("location.href") == site.url(path)
        assert not [state for state in documents if "refresh" in state], path


@each_flow
@rows("is_revoked", {"one that led to sign-in": True, "one that was tried again": False})
def test_no_other_refresh_leaves_a_trace(site: Site, kept: Page, is_revoked: bool) -> None:
    user = site.signed_up_and_expired(kept, to="/panel/")
    if is_revoked:
        site.core.revoke_sessions(user)
        kept.goto(site.url("/account"))
        kept.wait_for_function("() => location.pathname === '/auth'")
    else:
        site.core.stop_refresh_endpoint()
        kept.goto(site.url("/account"))
        see.cause(kept, "status")
        site.core.start_refresh_endpoint()
        act.try_again(kept)
        see.user(kept, user)
    go_back(kept)
    see.address(kept, site.url("/panel/"))


# --- pages that come back from memory ------------------------------------------------------------


def signed_in_and_gone_on(site: Site, page: Page, name: str, *, entry: str = "half") -> str:
    """Fill half a form in on the page *name* and go on to the panel; return the user's id."""
    user = site.sign_up(page, to=f"/pages/{name}")
    page.fill("#field", entry)
    go_to(page, site.url("/panel/"))
    return user


@both_engines
def test_a_page_that_comes_back_to_its_user_is_not_loaded_anew(site: Site, kept: Page) -> None:
    user = signed_in_and_gone_on(site, kept, "with-script")
    # A refresh meanwhile changes the cookies, but not the user.
    assert kept.evaluate("supertokensWebsite.attemptRefreshingSession()")
    documents = see.documents(kept)
    go_back(kept)
    see.address(kept, site.url("/pages/with-script"))
    kept.wait_for_function("() => window.wasKept")
    assert kept.input_value("#field") == "half"
    assert kept.text_content("#whose") == user
    assert documents == []


@both_engines
@rows(
    "name, is_shown",
    {
        "is hidden and asks, whatever its own style says": ("with-script", False),
        # What session_script() is good for; else only no-store keeps a page out of memory.
        "is shown from memory without our script": ("without-script", True),
        "is asked for again if nobody may store it": ("not-stored", False),
    },
)
def test_a_page_back_after_sign_out(site: Site, kept: Page, name: str, is_shown: bool) -> None:
    user = signed_in_and_gone_on(site, kept, name, entry="")
    sign_out(kept)
    go_back(kept)
    path = f"/pages/{name}"
    see.address(kept, site.url(path if is_shown else f"/auth?redirectToPath={path}"))
    if is_shown:
        assert kept.text_content("#whose") == user
    if name == "with-script":
        # It was in memory, so the script had to check.
        assert kept.evaluate("sessionStorage.getItem('shown')") == "none"


@both_engines
def test_a_page_back_for_another_user_is_theirs(site: Site, kept: Page, engine: str) -> None:
    first = signed_in_and_gone_on(site, kept, "with-script")
    sign_out(kept)
    second = site.sign_up_by_form(kept, to="/panel/")
    assert second != first
    go_back(kept, 3)  # sign-up and the panel are two more places
    see.address(kept, site.url("/pages/with-script"))
    # Of a page that Firefox has from memory, Playwright waits for a navigation that never ends. And
    # Firefox may have dropped the page: it then loads it for the second user.
    shows = "document.querySelector('#whose')?.textContent === user"
    kept.wait_for_function(f"user => window.wasKept || {shows}", arg=second, polling=100)
    if kept.evaluate("window.wasKept") or engine == "chromium":
        assert kept.evaluate("!document.querySelector('[data-ssr-part=other_user]').hidden")
        assert kept.evaluate("sessionStorage.getItem('shown')") == "none"
        kept.evaluate("document.querySelector('[data-ssr-part=other_user] button').click()")
    kept.wait_for_function(f"user => {shows}", arg=second, polling=100)
    assert kept.evaluate("document.querySelector('#field').value") == ""


@both_engines
@rows(
    "name, who, typed",
    {
        "is there for its user": ("with-script", "same", "half"),
        "is there if the SDK's cookies were deleted": ("with-script", "unknown", "half"),
        "is gone for another user": ("with-script", "other", ""),
        "is there for its user on an optional page": ("for-everyone", "same", "half"),
        "is gone after sign-out": ("for-everyone", "nobody", ""),
    },
)
def test_what_was_typed_into_a_page_that_is_no_longer_in_memory(
    site: Site, dropped: Page, name: str, who: str, typed: str
) -> None:
    """The browser loads the page again, and restores the fields itself."""
    user = signed_in_and_gone_on(site, dropped, name)
    steps = 1
    if who == "unknown":
        dropped.context.clear_cookies(name="sFrontToken")
    elif who == "other":
        sign_out(dropped)
        user, steps = site.sign_up_by_form(dropped, to="/panel/"), 3
    elif who == "nobody":
        sign_out(dropped)
        user = ""
    go_back(dropped, steps)
    see.address(dropped, site.url(f"/pages/{name}"))
    expect(dropped.locator("#whose")).to_have_text(user)
    dropped.wait_for_load_state()
    expect(dropped.locator("#field")).to_have_value(typed)


JUST_REFRESHED = """key => sessionStorage.setItem(key, JSON.stringify(
    { at: performance.timeOrigin + performance.now(), token: "" }))"""


def send_with_a_revoked_session(site: Site, page: Page, *, just_refreshed: bool = False) -> None:
    """Fill a form in and send it after the session has ended, which the browser does not know."""
    user = site.sign_up(page, to="/asks-the-core")
    page.fill("#field", "half")
    site.core.revoke_sessions(user)
    if just_refreshed:
        page.evaluate(JUST_REFRESHED, see.MARKER)
    page.click("button")


@both_engines
@rows("just_refreshed", {"after a while": False, "right after a refresh": True})
def test_a_form_is_there_again_in_an_outage(site: Site, kept: Page, just_refreshed: bool) -> None:
    """After a success status, the browser would request the page of the form again.

    It would also do so if the session's cookies changed: no response to a form signs a user out.
    """
    site.core.stop_refresh_endpoint()
    send_with_a_revoked_session(site, kept, just_refreshed=just_refreshed)
    expect(kept.locator("[data-ssr-cause=status]")).to_contain_text("are still there")
    go_back(kept)
    expect(kept.locator("#field")).to_have_value("half")


@both_engines
def test_a_form_of_an_ended_session_is_there_after_sign_in(site: Site, kept: Page) -> None:
    send_with_a_revoked_session(site, kept)
    expect(kept.locator("[data-ssr-cause=ended]")).to_contain_text("opens a new tab")
    with kept.context.expect_page() as opened:
        kept.get_by_role("link", name="Sign in").click()
    site.fill_in(opened.value)
    opened.value.wait_for_url(site.url("/asks-the-core"))
    kept.evaluate("dispatchEvent(new Event('focus'))")  # the visitor returns to this tab
    see.part(kept, "renewed")
    go_back(kept)
    expect(kept.locator("#field")).to_have_value("half")
    with kept.expect_response(lambda response: response.request.method == "POST") as sent:
        kept.click("button")
    assert sent.value.status == 200


@both_engines
def test_the_answer_to_a_form_is_never_sent_for_again(site: Site, kept: Page, engine: str) -> None:
    """A reload would send what one user typed in the name of the next."""
    site.sign_up(kept, to="/pages/with-script")
    kept.fill("#field", "for nobody else")
    with kept.expect_response(lambda response: response.request.method == "POST"):
        kept.click("button")
    kept.wait_for_load_state()
    go_to(kept, site.url("/panel/"))
    sign_out(kept)
    sent = see.requests(kept, method="POST")
    if engine == "firefox":
        go_back(kept)
        kept.wait_for_function(
            "() => document.body && !document.body.textContent.includes('for nobody else')"
        )
    else:
        with kept.expect_event("requestfailed"):  # Chromium stores no such page, and prompts first
            go_back(kept)
    assert not kept.get_by_text("for nobody else").count()
    assert sent == [] or engine == "chromium"


# --- pages that come back from the browser's HTTP cache ------------------------------------------


def leave(site: Site, page: Page) -> None:
    """Go on; Firefox then loads *page* from its HTTP cache on Back, as Chromium does here."""
    page.evaluate("addEventListener('unload', () => {})")
    go_to(page, site.url("/panel/"))


def left_and_not_in_memory(site: Site, page: Page, name: str) -> tuple[str | None, str | None]:
    """Look at the page *name* and go on; return whose it was and its number."""
    site.sign_up(page, to=f"/pages/{name}")
    seen = page.text_content("#whose"), page.text_content("#asked")
    leave(site, page)
    return seen


@both_engines
@pytest.mark.parametrize("name", ["without-script", "for-an-hour", "asked-each-time"])
def test_a_cached_page_is_shown_only_to_its_user(site: Site, page: Page, name: str) -> None:
    url = site.url(f"/pages/{name}")
    seen = left_and_not_in_memory(site, page, name)
    go_back(page)
    see.address(page, url)
    assert (page.text_content("#whose"), page.text_content("#asked")) == seen  # the twin
    leave(site, page)
    sign_out(page)
    go_back(page)
    see.address(page, site.url(f"/auth?redirectToPath=/pages/{name}"))
    left_and_not_in_memory(site, page, name)
    sign_out(page)
    second = site.sign_up(page)
    go_back(page)
    see.address(page, url)
    expect(page.locator("#whose")).to_have_text(second)
    assert second != seen[0]


@both_engines
def test_a_page_kept_for_an_hour_is_asked_for_after_sign_out(site: Site, page: Page) -> None:
    url = site.url("/pages/for-an-hour")
    seen = left_and_not_in_memory(site, page, "for-an-hour")
    go_to(page, url)
    assert page.text_content("#asked") == seen[1]  # the twin: a link to it sends no request
    page.context.clear_cookies(name=re.compile("^s(AccessToken|RefreshToken|FrontToken)$"))
    page.evaluate("setTimeout(() => location.reload())")
    page.wait_for_url(re.compile("/auth"))
    go_to(page, site.url("/panel/"))
    act.follow(page, url)
    page.wait_for_url(re.compile("/auth"))


# --- pages that respond with 304 before anything is rendered -------------------------------------

DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


def come_back(site: Site, page: Page, name: str) -> dict[str, str | None]:
    """Follow a link to the page *name*, wherever that leads; return the first request for it."""
    site.ask(f"/recorder/{name}")
    with page.expect_response(f"**/caches/{name}"):
        act.follow(page, site.url(f"/caches/{name}"))
    page.wait_for_load_state()
    asked: dict[str, str | None] = site.ask(f"/recorder/{name}")[0]
    return asked


# Both browsers send the tag of a page for other cookies, too, but not its date.
@both_engines
@rows(
    "name, has_tag, has_date",
    {
        "a template decides, tag and date": ("decides", True, True),
        "a template decides, date": ("decides-date", False, True),
        "a page looks, tag and date": ("looks", True, True),
    },
)
def test_a_page_that_could_be_unchanged_is_shown_only_to_whom_it_was_made_for(
    site: Site, page: Page, name: str, has_tag: bool, has_date: bool
) -> None:
    whose, url, decides = page.locator("#whose"), site.url(f"/caches/{name}"), "decides" in name

    def assert_sent_anew(asked: dict[str, str | None]) -> None:
        assert (asked["tag"] is not None, asked["date"]) == (has_tag, None)
        assert asked["status"] == "200"

    # A stranger's is not shown to a user, and a user's neither to the next nor to a stranger.
    if not decides:
        page.goto(url)
        expect(whose).to_have_text("everybody")
        leave(site, page)
    for is_first in (True, False):
        user = site.sign_up(page)
        site.let_time_pass(page)
        if is_first and decides:
            page.goto(url)
        else:
            assert_sent_anew(come_back(site, page, name))
        expect(whose).to_have_text(user)
        leave(site, page)
    # For the session that it was made for, it is unchanged, and after a refresh, too.
    for _ in range(2 if has_tag else 0):
        assert come_back(site, page, name)["status"] == "304"
        expect(whose).to_have_text(user)
        leave(site, page)
        page.wait_for_load_state("domcontentloaded")
        page.evaluate("supertokensWebsite.attemptRefreshingSession()")
    if decides:
        # The cookies are the same, so the browser sends tag and date: 304 would end it there.
        site.let_time_pass(page)
        come_back(site, page, name)
        expect(whose).to_have_text(user)
        leave(site, page)
        site.ask("/recorder/come-late")
        with page.expect_request("**/auth/session/refresh"):
            late = come_back(site, page, name)
        expect(whose).to_have_text(user)
        assert (late["tag"] is not None, late["date"]) == (has_tag, DATE if has_date else None)
        assert late["status"] == "200"
        leave(site, page)
    page.context.clear_cookies()
    assert_sent_anew(come_back(site, page, name))
    if decides:
        page.wait_for_url(re.compile(f"/auth\\?redirectToPath=/caches/{name}$"))
    else:
        expect(whose).to_have_text("everybody")
