"""A form that was sent with an expired session arrives once, unchanged, or stays in the browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Browser, Page, Response, expect

from ..browser_forms import Fields, multipart, urlencoded
from ..tables import rows
from ..tokens import expired_token
from . import act, see
from .conftest import Site, both_engines

Post = dict[str, Any]
Press = Callable[[Page], object]

ARRIVED = "[data-arrived]"


class Posts:
    """The forms that the site was sent since this was made, oldest first."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._before = len(self._all())

    def __call__(self) -> list[Post]:
        return self._all()[self._before :]

    def arrived(self) -> list[bool]:
        """Return of each whether it came to a view."""
        return [post["arrived"] for post in self()]

    def _all(self) -> list[Post]:
        posts: list[Post] = self._site.ask("/recorder/posts")
        return posts


def is_form_post(response: Response) -> bool:
    return response.request.method == "POST" and "/forms/" in response.url


def submit_by_script(page: Page) -> None:
    """Submit the form without an event, so that no script can refresh before."""
    page.evaluate("HTMLFormElement.prototype.submit.call(document.forms[0])")


def send_kept(page: Page) -> None:
    """Press the button of the page that carries the form."""
    button = page.get_by_role("button", name="Send them now")
    expect(button).to_be_focused()
    button.click()


# --- what was typed ------------------------------------------------------------------------------

TITLE = "Grüße 山田 👩\u200d👧 \u202e \xa0\u2028 a=b&c=d %41 + ~*"
LINES = '\n\n first\n\n\tsecond "line" </textarea><script>window.pwned=1</script>\n&lt;  \n'
MARKUP = "\"'><script>window.pwned=1</script>"

BY_HAND = {
    "title": TITLE,
    "lines": LINES,
    "when": "2026-11-22T10:15",
    "number": "-1.50e3",
    "elements": "{% raw %}{{ config }}",
    '"><script>window.pwned=1</script>': MARKUP,
    "list[0][größe 🦆]": "`${1}`\\",
    "{{ 7*7 }}": "{{ 7*7 }}",
    "said": "\ufeffsaid",
}

# In the order of the page.
FIELDS: list[tuple[str, str | None]] = [
    *[("title", TITLE), ("lines", LINES), ("several", "a & b"), ("several", ""), ("tag", "a")],
    *[("tag", "on"), ("one", "2"), ("hidden", "  &quot; \xa0"), ("empty", "")],
    *[("title", "a second one"), ("when", "2026-11-22T10:15"), ("number", "-1.50e3")],
    *[("colour", "#00ff7f"), ("range", "30"), ("submit", "1"), ("action", "//evil.test/")],
    *[("method", ""), ("elements", BY_HAND["elements"]), ("length", ""), ("append", "")],
    *[("enctype", "text/plain"), ("_charset_", "UTF-8")],
    *[('"><script>window.pwned=1</script>', MARKUP), ("</form>", "</form>")],
    *[("list[0][größe 🦆]", "`${1}`\\"), ("{{ 7*7 }}", "{{ 7*7 }}"), ("&quot;", "&quot;&#13;")],
    *[("+%2B&=;", ""), ("none", None), ("said", "\ufeffsaid"), ("said.dir", "ltr")],
]
PRESSED = ("go", "now & then")


def fill_in(page: Page) -> None:
    for name, text in BY_HAND.items():
        page.locator(f"[name='{name}']").first.fill(text)
    page.select_option("[name=several]", ["a & b", ""])
    for box in page.locator("[name=tag]").all()[:2]:
        box.check()
    page.check("[name=one][value='2']")


def assert_received(post: Post, fields: Fields) -> None:
    """Compare every byte with what a browser has to send."""
    boundary = post["type"].partition("boundary=")[2]
    body = multipart(fields, boundary) if boundary else urlencoded(fields)
    assert post["body"] == body.decode("latin-1")
    assert post["arrived"]


@both_engines
@rows(
    "enctype, ways",
    {
        "urlencoded": ("application/x-www-form-urlencoded", ("in time", "guarded", "by a script")),
        "multipart": ("multipart/form-data", ("guarded", "unguarded")),
    },
)
def test_a_long_form_arrives_once_and_byte_for_byte_whatever_way_it_takes(
    site: Site, page: Page, enctype: str, ways: tuple[str, ...]
) -> None:
    address = site.url(f"/forms/keeps/long?enctype={enctype}")
    site.sign_up(page)
    for way in ways:
        site.core.clear_request_log()
        page.goto(f"{address}&bare" if way == "unguarded" else address)
        fill_in(page)
        posts = Posts(site)
        if way != "in time":
            site.expire(page)
        if way == "by a script":
            submit_by_script(page)
        else:
            page.get_by_role("button", name="Send").click()
        comes_late = way in ("by a script", "unguarded")
        if comes_late:
            expect(page.get_by_role("button", name="Send them now")).to_be_focused()
            assert page.evaluate("[window.pwned, document.forms.length]") == [None, 1]
            assert posts.arrived() == [False]  # nothing more until the visitor clicks
            send_kept(page)
        expect(page.locator(ARRIVED)).to_be_visible()
        assert posts.arrived() == ([False, True] if comes_late else [True])
        last = posts()[-1]
        assert_received(last, FIELDS if way == "by a script" else [*FIELDS, PRESSED])
        assert last["type"].startswith(enctype)
        assert site.refresh_calls() == (way != "in time")


# --- buttons, and what is none of the guard's business -------------------------------------------


def clicks(selector: str) -> Press:
    return lambda page: page.click(selector)


def runs(script: str) -> Press:
    return lambda page: page.evaluate(script)


# What leaves the page as it is.
IN_PLACE = (
    *map(clicks, ("#second", "#typed", "#elsewhere", "#multipart", "#outside", "#posts")),
    clicks("#misnested"),
    lambda page: page.press("[name=text]", "Enter"),
    runs("main.requestSubmit()"),
    runs("main.requestSubmit(outside)"),
)
# Handlers that keep a visitor from sending twice.
LOCK = """() => {
  let handled = 0;
  main.addEventListener("submit", (event) => {
    first.disabled = true;
    if (handled++) event.preventDefault();
  });
  first.click();
}"""
LOCK_LATER = """() => {
  main.addEventListener("submit", () => setTimeout(() => {
    first.disabled = true;
    first.value = "Sending";
    history.replaceState(null, "", "/forms/keeps/elsewhere");
    main.reset();
    main.remove();
  }));
  document.querySelector("[name=between]").value = "typed";
  first.click();
}"""


def comparable(post: Post) -> tuple[str, str, str]:
    """Return all of a post but the boundary that the browser has made up."""
    kind, _, boundary = post["type"].partition("; boundary=")
    return post["address"], kind, post["body"].replace(boundary, "…") if boundary else post["body"]


FILES = [
    {"name": "ä.txt", "mimeType": "text/plain", "buffer": b"one"},
    {"name": "two", "mimeType": "application/x-odd", "buffer": b"\0\r\n\xff"},
]


def open_buttons(site: Site, page: Page) -> None:
    page.goto(site.url("/forms/keeps/buttons"))
    page.set_input_files("[name=files]", FILES)  # type: ignore[arg-type]


@both_engines
def test_every_way_to_send_a_form_sends_late_what_it_sends_in_time(site: Site, page: Page) -> None:
    """They differ in what they add, in where they send to, and how."""
    site.sign_up(page)
    sent = {}
    for is_late in (False, True):
        posts = Posts(site)

        def send(press: Press, is_late: bool = is_late) -> None:
            site.core.clear_request_log()
            if is_late:
                site.expire(page)
            with page.expect_response(is_form_post):
                press(page)
            assert site.refresh_calls() == is_late

        open_buttons(site, page)
        before = page.evaluate("document.body.innerHTML")
        for press in IN_PLACE:
            send(press)
        assert page.evaluate("document.body.innerHTML") == before
        for handlers in (LOCK, LOCK_LATER):
            open_buttons(site, page)
            send(runs(handlers))
        assert all(posts.arrived())
        sent[is_late] = [comparable(post) for post in posts()]
    assert sent[True] == sent[False]


@both_engines
def test_a_form_for_a_new_tab_that_is_sent_twice_opens_one(site: Site, page: Page) -> None:
    site.sign_up(page, to="/forms/keeps/buttons")
    site.expire(page)
    posts = Posts(site)
    with page.expect_popup() as opened:
        page.evaluate("tab.click(); tab.click()")
    expect(opened.value.locator(ARRIVED)).to_be_visible()
    site.expire(page)
    with page.expect_response(is_form_post):
        page.click("#second")  # what was sent before is here by now
    assert ["&go=8&" in post["body"] for post in posts()] == [True, False]


UNTOUCHED = """() => {
  document.querySelector("dialog").showModal();
  closes.click();
  main.addEventListener("submit", (event) => event.preventDefault());
  first.click();
  main.replaceWith(main.cloneNode(true));
  // The last listener of all, and a polite one.
  addEventListener("submit", (event) => {
    if (!event.defaultPrevented) event.preventDefault();
  }, { once: true });
  first.click();
}"""


@both_engines
def test_what_is_no_form_of_ours_waits_for_no_refresh(site: Site, page: Page) -> None:
    site.sign_up(page, to="/forms/keeps/buttons")
    site.expire(page)
    posts = Posts(site)
    with page.expect_response(re.compile("127.0.0.1")):
        page.evaluate("abroad.click()")  # a click of the mouse would refresh ahead
    page.evaluate(UNTOUCHED)
    assert page.evaluate("document.querySelector('dialog').open") is False
    page.evaluate(act.SETTLE)
    assert site.refresh_calls() == 0
    # An image submits the click's coordinates, which only the browser can send.
    page.click("#image")
    answer = page.frame_locator("iframe")
    answer.get_by_role("button", name="Send them now").click()
    expect(answer.locator(ARRIVED)).to_be_visible()
    abroad, late, kept = posts()
    assert abroad["address"] == "/forms/open?"
    assert re.search(r"&spot\.x=\d+&spot\.y=\d+&", late["body"])
    assert (kept["body"], kept["arrived"]) == (late["body"], True)


# --- whose form it is ----------------------------------------------------------------------------


def sent_late(site: Site, page: Page, path: str = "/forms/keeps/simple") -> Posts:
    """Type a title into the form at *path*, and send it, by a script, after the token expired."""
    page.goto(site.url(path))
    page.fill("[name=title]", TITLE)
    if path.startswith("/forms/") and "open" not in path:
        site.expire(page)
    posts = Posts(site)
    submit_by_script(page)
    return posts


def expect_not_offered(page: Page) -> None:
    expect(page.get_by_role("heading", name="Your entries were not sent")).to_be_visible()
    expect(page.get_by_role("button", name="Send them now")).to_have_count(0)
    expect(page.get_by_role("button", name="Go back")).to_be_focused()


def test_a_form_is_not_sent_by_whoever_has_signed_in_meanwhile(site: Site, page: Page) -> None:
    site.sign_up(page)
    posts = sent_late(site, page)
    offered = page.get_by_role("button", name="Send them now")
    expect(offered).to_be_focused()
    mine = page.context.cookies()
    site.sign_up(page)
    page.evaluate(act.FOCUS)
    expect_not_offered(page)
    page.context.add_cookies(mine)  # type: ignore[arg-type]
    page.evaluate(act.FOCUS)
    expect(offered).to_be_focused()
    page.context.clear_cookies()
    offered.click()
    expect(page.get_by_text("Your session has ended.")).to_be_visible()
    site.sign_up(page)
    page.evaluate(act.FOCUS)
    expect_not_offered(page)
    page.evaluate("document.querySelector('[data-ssr-owner]').requestSubmit()")
    expect_not_offered(page)
    assert posts.arrived() == [False]
    # Twin: the one who has typed them is back.
    page.context.add_cookies(mine)  # type: ignore[arg-type]
    page.evaluate(act.FOCUS)
    send_kept(page)
    expect(page.locator(ARRIVED)).to_be_visible()
    assert posts.arrived() == [False, True]


@rows(
    "typed_by, now, is_offered",
    {
        "the same": ("user-1", "user-1", True),
        "the same, not in ASCII": ("größe 山田 😀", "größe 山田 😀", True),
        "another": ("user-1", "user-2", False),
        "a blank more": ("user-1", "user-1 ", False),
        "nobody": ("user-1", None, False),
    },
)
def test_a_kept_form_is_offered_to_the_user_it_came_with(
    site: Site, page: Page, typed_by: str, now: str | None, is_offered: bool
) -> None:
    act.answer(page, front_token=act.front_token(now))
    site.plant(page.context, sAccessToken=expired_token(typed_by))
    # The script of a page would refresh when something is typed.
    sent_late(site, page, "/forms/open?bare&to=/forms/keeps/simple")
    if is_offered:
        expect(page.get_by_role("button", name="Send them now")).to_be_focused()
    else:
        expect_not_offered(page)
    assert typed_by not in page.content()


# --- when something is wrong ---------------------------------------------------------------------


def test_a_form_sent_in_an_outage_is_kept_and_sent_later(site: Site, page: Page) -> None:
    site.sign_up(page, to="/forms/keeps/simple")
    page.fill("[name=title]", TITLE)
    site.expire(page)
    posts = Posts(site)
    act.answer(page, 503)
    page.get_by_role("button", name="Send").click()
    see.cause(page, "status")
    page.unroute(act.REFRESH_API)
    act.try_again(page)
    send_kept(page)
    expect(page.locator(ARRIVED)).to_be_visible()
    assert posts.arrived() == [False, True]
    assert_received(posts()[-1], [("title", TITLE)])


def test_a_form_is_held_back_no_longer_than_ten_seconds(site: Site, page: Page) -> None:
    site.sign_up(page, to="/forms/keeps/simple")
    site.expire(page)
    posts = Posts(site)
    held = act.hold(page)
    page.clock.install()
    with page.expect_request(act.REFRESH_API):
        page.get_by_role("button", name="Send").click(no_wait_after=True)
    page.clock.fast_forward(8_000)
    assert posts() == []
    with page.expect_request(act.REFRESH_API):
        page.clock.fast_forward(3_000)
    page.clock.fast_forward(8_000)
    see.part(page, "working")
    page.clock.fast_forward(3_000)
    see.cause(page, "silent")
    held[-1].continue_()
    send_kept(page)
    expect(page.locator(ARRIVED)).to_be_visible()
    assert posts.arrived() == [False, True]


def test_a_form_for_a_new_tab_waits_while_browsers_open_one(site: Site, page: Page) -> None:
    """Five seconds after the click, they open none."""
    site.sign_up(page, to="/forms/keeps/buttons")
    site.expire(page)
    act.hold(page)
    page.clock.install()
    with page.expect_request(act.REFRESH_API):
        page.evaluate("tab.click()")
    with page.expect_popup():
        page.clock.fast_forward(4_100)


@both_engines
def test_a_form_that_is_not_kept_is_still_there_on_the_way_back(site: Site, page: Page) -> None:
    site.sign_up(page)
    posts = sent_late(site, page, "/forms/plain/simple")
    expect(page.locator("[data-ssr-part=renewed] [data-ssr-back]")).to_be_focused()
    assert page.locator("form").count() == 0
    page.evaluate("document.activeElement.click()")  # waits for nothing
    page.wait_for_selector("[name=title]")
    expect(page.locator("[name=title]")).to_have_value(TITLE)
    page.evaluate("document.querySelector('button').click()")
    page.wait_for_selector(ARRIVED)
    assert posts.arrived() == [False, True]
    assert_received(posts()[-1], [("title", TITLE)])


def test_without_scripts_nothing_is_lost(site: Site, page: Page, browser: Browser) -> None:
    site.signed_up_and_expired(page)
    with browser.new_context(java_script_enabled=False) as context:
        context.add_cookies(page.context.cookies())  # type: ignore[arg-type]
        plain = context.new_page()
        plain.goto(site.url("/forms/open?to=/forms/keeps/simple"))
        plain.fill("[name=title]", TITLE)
        posts = Posts(site)
        plain.get_by_role("button", name="Send").click()
        expect(plain.locator("noscript p", has_text="needs JavaScript")).to_be_visible()
        expect(plain.locator("noscript p", has_text="are still there")).to_be_visible()
        plain.go_back()
        expect(plain.locator("[name=title]")).to_have_value(TITLE)
        assert posts.arrived() == [False]


@both_engines
def test_a_form_of_another_site_is_refused_without_a_trace_of_it(site: Site, page: Page) -> None:
    site.signed_up_and_expired(page)
    # No browser hands another site's form a session by itself, as SameSite is Lax.
    act.copy_token(page, sameSite="None", secure=True)
    target = site.url("/forms/keeps/simple?x=1")
    page.goto(site.url("/forms/open").replace("localhost", "127.0.0.1"))
    posts = Posts(site)
    with page.expect_response(target) as answer:
        act.post_form(page, target, title="evil")
    response = answer.value
    assert (response.status, response.headers["ssr-session"]) == (403, "refused; reason=cross_site")
    assert "sAccessToken" in response.request.all_headers()["cookie"]
    expect(page.get_by_role("heading")).to_have_text("This was not done")
    assert "evil" not in page.content()
    page.get_by_role("link", name="Go on to the page").click()
    expect(page.locator("[name=title]")).to_have_value("")
    assert page.url == target
    assert posts.arrived() == [False]
