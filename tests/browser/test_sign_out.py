"""A sign-out or a sign-in in one tab reaches all others, and nothing that was entered is lost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from playwright.sync_api import BrowserContext, Page, Route, expect

from ..tables import rows
from . import act, see
from .app_pages import FIELDS
from .conftest import Site, both_engines

FORM = "/pages/with-script"
FIELD = "#field"
GONE, OTHER = "You are signed out", "You are signed in with a different account"
SEEN = "document.dispatchEvent(new Event('visibilitychange', { bubbles: true }))"
REFRESH = """void navigator.locks.request("flask-ssr-session-refresh",
  () => supertokensWebsite.attemptRefreshingSession())"""
NO_CHANNEL = "delete window.BroadcastChannel"


def expect_notice(page: Page, title: str) -> None:
    """Wait for the notice, and check that nothing of the page is shown."""
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible()
    expect(page.locator("body")).to_be_hidden()


def expect_entries(page: Page, text: str = "half") -> None:
    """Wait until the page is shown again, with what was entered."""
    expect(page.locator(FIELD)).to_be_visible()
    expect(page.locator(FIELD)).to_have_value(text)
    expect(page.locator("[data-ssr-part]")).to_have_count(0)


def press(page: Page) -> None:
    page.get_by_role("button", name="Sign out").dblclick()
    expect(page.locator("[data-greeting]")).to_have_text("Hello, stranger.")


def remove_cookies(page: Page) -> None:
    """Sign out as another sub-domain does: only the cookies tell."""
    page.context.clear_cookies(name=re.compile("^s"))


# --- all tabs ------------------------------------------------------------------------------------


@rows(
    "engine, sign_out",
    {
        "the button": ("chromium", press),
        "the button, in Firefox": ("firefox", press),
        "a script": ("chromium", lambda page: page.evaluate("flaskSSRSession.signOut()")),
        "the SDK": ("chromium", lambda page: page.evaluate("supertokensWebsite.signOut()")),
        "another sub-domain": ("chromium", remove_cookies),
    },
)
def test_a_sign_out_reaches_every_tab(
    site: Site, context: BrowserContext, page: Page, sign_out: Callable[[Page], None]
) -> None:
    required, optional, edited, public = tabs = [context.new_page() for _ in range(4)]
    user = site.sign_up(page, to="/account")
    for tab, path in zip(tabs, ("/account?tab=2", "/", FORM, "/panel/"), strict=True):
        tab.goto(site.url(path))
    edited.fill(FIELD, "half")
    seen = see.documents(public)
    asked = see.requests(context, "/auth/signout")
    sign_out(page)
    if sign_out is remove_cookies:
        for tab in tabs:
            tab.evaluate(SEEN)
    required.wait_for_url(site.url("/auth?redirectToPath=/account%3Ftab%3D2"))
    expect(optional.locator("[data-greeting]")).to_have_text("Hello, stranger.")
    expect_notice(edited, GONE)
    assert seen == []
    assert len(asked) == (sign_out is not remove_cookies)
    # The same user is back: so are the entries.
    with context.expect_page() as opened:
        edited.get_by_role("link", name="Sign in").click()
    site.fill_in(opened.value)
    opened.value.wait_for_url(site.url("/"))
    expect_entries(edited)
    assert edited.text_content("#whose") == user


def test_an_answer_that_comes_late_does_not_undo_a_sign_out(site: Site, page: Page) -> None:
    """The API has refreshed before, and its answer is on its way."""
    site.sign_up(page, to="/account")
    held = act.hold(page)
    with page.expect_request(act.REFRESH_API):
        page.evaluate(REFRESH)
    page.evaluate("0")  # Playwright hands a request over a bit later than it tells of it
    answer = held[0].fetch()
    asked = see.requests(page, "/auth/signout")
    page.evaluate("void flaskSSRSession.signOut().then(() => { window.isOut = true })")
    page.evaluate("fetch('/panel/')")  # a sign-out that does not wait is asked for before
    assert asked == []
    held[0].fulfill(response=answer)
    page.wait_for_function("() => window.isOut")
    assert page.evaluate("supertokensWebsite.doesSessionExist()") is False


@rows(
    "to, where",
    {
        "a download": ("/kinds/note/sign-out/no-content", "/account"),
        "a fragment of this page": ("/account#bye", "/auth?redirectToPath=/account"),
    },
)
def test_the_button_gets_idle_if_it_leads_to(site: Site, page: Page, to: str, where: str) -> None:
    site.sign_up(page, to="/account")
    button = page.get_by_role("button", name="Sign out")
    button.evaluate("(button, to) => { button.dataset.ssrSignOutTo = to }", to)
    button.click(no_wait_after=True)
    page.wait_for_url(site.url(where))
    page.wait_for_function("() => !document.querySelector('[aria-busy]')")


@rows(
    "respond",
    {
        "the API is down": lambda route: route.fulfill(status=503),
        "the connection fails": lambda route: route.abort("connectionrefused"),
        "nothing answers": None,
    },
)
def test_a_sign_out_that_fails_says_so_and_changes_nothing(
    site: Site, page: Page, other: Page, respond: Callable[[Route], None] | None
) -> None:
    user = site.sign_up(page)
    other.goto(site.url("/account"))
    seen = see.documents(other)
    page.clock.install()
    page.goto(site.url("/account"))
    if respond:
        page.route(act.SIGN_OUT_API, respond)
    else:
        act.hold(page, act.SIGN_OUT_API)
    button = page.get_by_role("button", name="Sign out")
    with page.expect_request(act.SIGN_OUT_API):
        button.click()
    page.clock.fast_forward(11_000)
    expect(page.get_by_role("alert")).to_contain_text("You are still signed in")
    page.clock.resume()
    other.evaluate(act.FOCUS)
    see.user(other, user)
    see.user(page, user)
    assert seen == []
    page.route(act.SIGN_OUT_API, lambda route: route.abort())
    assert page.evaluate("flaskSSRSession.signOut().catch(() => 'rejected')") == "rejected"
    page.unroute(act.SIGN_OUT_API)
    button.click()
    page.wait_for_url(site.url("/"))
    other.wait_for_url(site.url("/auth?redirectToPath=/account"))


def test_what_is_no_sign_out_changes_nothing(site: Site, page: Page, other: Page) -> None:
    site.sign_up(page, to=FORM)
    page.fill(FIELD, "half")
    seen = see.documents(page)
    other.goto(site.url("/panel/"))

    def refresh() -> None:
        assert other.evaluate("supertokensWebsite.attemptRefreshingSession()")

    def fail() -> None:
        site.core.stop_refresh_endpoint()
        assert other.evaluate("supertokensWebsite.attemptRefreshingSession().catch(() => 'failed')")

    def hide_the_cookies() -> None:
        page.evaluate("document.body.append(Object.assign(new Image(), { name: 'cookie' }))")
        assert page.evaluate("typeof document.cookie") == "object"

    for change in (refresh, lambda: site.expire(other), fail, hide_the_cookies):
        change()
        page.evaluate(act.FOCUS)
        expect_entries(page)
    assert seen == []


# --- nothing that was entered is lost ------------------------------------------------------------

# A hidden page is not left, although nothing is entered. Scripts read the prototype's property.
HIDDEN = "Object.defineProperty(Document.prototype, 'visibilityState', { get: () => 'hidden' })"
IS_HIDDEN_BEHIND_NOTICE = """([edit, undo]) => {
  const [cookie] = /sFrontToken=[^;]*/.exec(document.cookie);
  eval(edit);
  document.cookie = "sFrontToken=; path=/; max-age=0";
  dispatchEvent(new Event("focus"));
  dispatchEvent(new Event("focus"));
  const { display } = getComputedStyle(document.body);
  const hasNotice = document.querySelector("html > div [data-ssr-part=signed_out]:not([hidden])");
  document.cookie = `${cookie}; path=/`;
  dispatchEvent(new Event("focus"));
  eval(undo);
  return [display, Boolean(hasNotice), getComputedStyle(document.body).display];
}"""


@both_engines
def test_every_kind_of_entry_is_noticed(site: Site, page: Page) -> None:
    page.add_init_script(HIDDEN)
    site.sign_up(page, to="/forms/keeps/fields")
    for name, (edit, undo) in FIELDS.items():
        found = page.evaluate(IS_HIDDEN_BEHIND_NOTICE, [edit, undo])
        assert found == ["none", not name.startswith("nothing"), "block"], name
    page.locator("[type=file]").set_input_files({"name": "a", "mimeType": "", "buffer": b""})
    assert page.evaluate(IS_HIDDEN_BEHIND_NOTICE, ["", ""])[1]


@both_engines
def test_entries_are_neither_shown_nor_sent_to_others(site: Site, page: Page, other: Page) -> None:
    page.add_init_script(NO_CHANNEL)
    user = site.sign_up(page, to=FORM)
    page.fill(FIELD, "half")
    mine = page.context.cookies()
    posts = see.requests(page, method="POST")
    second = site.sign_up(other, to="/account")
    # The tab has not looked yet: a form asks first.
    page.get_by_role("button", name="Send").click()
    expect_notice(page, OTHER)
    assert posts == []
    page.context.add_cookies(mine)  # type: ignore[arg-type]
    page.evaluate(act.FOCUS)
    expect_entries(page)
    assert page.text_content("#whose") == user
    site.sign_up(other)
    page.evaluate(act.FOCUS)
    expect_notice(page, OTHER)
    page.get_by_role("button", name="Discard the entries").click()
    expect(page.locator(FIELD)).to_have_value("")
    assert page.text_content("#whose") not in {user, second}
    # The twin: its own user sends a form.
    with page.expect_request(lambda request: request.method == "POST"):
        page.get_by_role("button", name="Send").click()


@rows(
    "content",
    {
        "a field of SVG": "<svg><select></select></svg>",
        "a template like the notice": "<template data-ssr-notice></template>",
    },
)
def test_content_like_ours_lets_no_form_through(site: Site, page: Page, content: str) -> None:
    site.sign_up(page, to=FORM)
    page.evaluate("html => document.head.insertAdjacentHTML('afterbegin', html)", content)
    page.evaluate("addEventListener('submit', () => { window.isSent = true }, true)")
    page.fill(FIELD, "half")
    posts = see.requests(page, method="POST")
    site.sign_up(page)
    page.get_by_role("button", name="Send").click()
    expect(page.locator("body")).to_be_hidden()
    assert posts == []
    assert page.evaluate("window.isSent") is None


def test_a_form_that_waits_is_not_sent_as_the_next_user(site: Site, page: Page) -> None:
    site.sign_up(page, to=FORM)
    page.fill(FIELD, "half")
    site.expire(page)
    held = act.hold(page)
    posts = see.requests(page, FORM, "POST")
    with page.expect_request("**/session/refresh"):
        page.get_by_role("button", name="Send").click()
    site.sign_up(page)
    held[0].fulfill(status=503)
    expect_notice(page, OTHER)
    assert posts == []


@rows("is_cached", {"a site": False, "a site whose cache has it": True})
def test_a_page_whose_script_starts_for_another_user_is_not_shown_to_them(
    site: Site, page: Page, is_cached: bool
) -> None:
    user = site.sign_up(page, to=FORM)
    cached = page.content()
    held = act.hold(page, "**/ssr-session-*.js", only_first=True)
    page.goto(site.url(FORM), wait_until="commit")
    second = site.sign_up(page)
    if is_cached:
        page.route(site.url(FORM), lambda route: route.fulfill(body=cached))
    seen = see.documents(page)
    held[0].continue_()
    if is_cached:
        expect_notice(page, OTHER)
        page.evaluate("document.querySelector('[data-ssr-discard]').click()")
        expect_notice(page, OTHER)
        assert page.text_content("#whose") == user
    else:
        expect(page.locator("#whose")).to_have_text(second)
    assert len(seen) == 1 + is_cached


def test_a_page_follows_a_sign_in_of_its_own(site: Site, page: Page) -> None:
    site.sign_up(page)
    email = site.email
    site.sign_up(page, to=FORM)
    page.fill(FIELD, "half")
    seen = see.documents(page)
    page.evaluate("supertokensWebsite.signOut()")
    page.evaluate(act.FOCUS)
    expect_entries(page)
    fields = [{"id": "email", "value": email}, {"id": "password", "value": "correct horse 1"}]
    page.evaluate(
        """body => fetch("/auth/signin", { method: "POST", body,
          headers: { "content-type": "application/json", rid: "emailpassword" } })""",
        json.dumps({"formFields": fields}),
    )
    page.evaluate(act.FOCUS)
    expect_entries(page)
    page.evaluate("supertokensWebsite.signOut()")
    site.sign_up(page)  # elsewhere
    page.evaluate(act.FOCUS)
    expect_notice(page, OTHER)
    assert seen == []


def test_a_page_may_get_the_sdks_cookies_late(site: Site, page: Page) -> None:
    """Some browsers delete them after a week; a refresh sets them again."""
    site.sign_up(page)
    cookies = page.context.cookies()
    page.context.clear_cookies(name=re.compile("^(sFrontToken|st-last)"))
    page.goto(site.url(FORM))
    page.evaluate("field.value = 'half'")
    page.context.add_cookies(cookies)  # type: ignore[arg-type]
    page.evaluate(act.FOCUS)
    expect_entries(page)


# --- a sign-in wakes the tabs that wait for one ---------------------------------------------------


def late_form(site: Site, page: Page) -> None:
    """Send a form after the session has ended, and wait for the page that says so."""
    site.signed_up_and_expired(page, to="/form")
    site.core.revoke_sessions(page.evaluate("supertokensWebsite.getUserId()"))
    act.post_form(page, site.url("/form"), note="late")
    expect(page.locator("[data-ssr-cause=ended]").first).to_be_visible()


@rows("told", {"at once": True, "when it is looked at": False})
def test_a_late_form_is_for_its_user_only(site: Site, page: Page, other: Page, told: bool) -> None:
    if not told:
        page.add_init_script(NO_CHANNEL)
    late_form(site, page)
    email = site.email

    def sign_in(path: str) -> None:
        other.goto(site.url(path))
        site.fill_in(other)
        other.wait_for_url(re.compile(r"/$"))
        if not told:
            page.evaluate(act.FOCUS)

    site.new_email()
    sign_in("/auth/sign-up")
    expect(page.get_by_role("heading", name="Your entries were not sent")).to_be_visible()
    press(other)
    site.email = email
    sign_in("/auth")
    page.get_by_role("button", name="Send them now").click()
    expect(page.locator("[data-received]")).to_have_text("late")


def test_a_strangers_form_leads_back_after_sign_in(site: Site, page: Page, other: Page) -> None:
    page.goto(site.url("/panel/"))
    act.post_form(page, site.url("/form"), note="late")
    expect(page.get_by_role("heading", name="Please sign in to continue")).to_be_visible()
    site.sign_up_by_form(other)
    expect(page.get_by_role("heading", name="You are signed in")).to_be_visible()
    page.get_by_role("button", name="Go back").click()
    page.wait_for_url(site.url("/panel/"))


def test_a_page_that_offers_sign_in_goes_on_after_it(site: Site, page: Page, other: Page) -> None:
    user = site.signed_up_and_expired(page)
    site.core.revoke_sessions(user)
    seen, calls = see.documents(page), see.calls(page)
    page.goto(site.url("/?tab=2"))
    expect(page.locator("[data-ssr-cause=ended]")).to_be_visible()
    second = site.sign_up_by_form(other)
    see.user(page, second)
    assert seen == ["refresh; reason=expired", "200"]
    assert len(calls) == 1
