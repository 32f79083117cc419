"""A link or a search that comes with an expired session goes where it would have gone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from ..tables import rows
from . import act, see
from .conftest import Site, both_engines

Press = Callable[[Page], object]
NOTES = re.compile(r"/kinds/note/\w+/(?!ping-)")
CENTRE = """selector => {
  const element = document.querySelector(selector);
  element.scrollIntoView();
  const { x, y, width, height } = element.getBoundingClientRect();
  return [x + width / 2, y + height / 2];
}"""


def clicks(selector: str) -> Press:
    """Click and wait for nothing: the page stays, which Playwright does not always notice."""
    return lambda page: page.mouse.click(*page.evaluate(CENTRE, selector))


def runs(script: str) -> Press:
    return lambda page: page.evaluate(script)


def search(page: Page) -> None:
    page.evaluate("search.q.value = 'größe', search.q.focus()")
    page.keyboard.press("Enter")


def press_enter(page: Page) -> None:
    page.evaluate("plain.focus()")
    page.keyboard.press("Enter")


def press_escape(page: Page) -> None:
    page.keyboard.press("Escape")


click_plain, click_secret = clicks("#plain"), clicks("#secret")


@pytest.fixture
def links(site: Site, page: Page) -> Page:
    """The page with every link, and a session."""
    site.sign_up(page, to="/kinds/open/links?run=links")
    return page


# --- where they go -------------------------------------------------------------------------------

EVERY_LINK: dict[str, Press] = {
    **{name: clicks(f"#{name}") for name in ("plain", "secret", "policy", "pings", "changed")},
    **{name: clicks(f"#{name}") for name in ("svg", "xlink", "gets")},
    "an image map": clicks("[usemap]"),
    "a shadow tree": clicks("#host"),
    "an element in a link": clicks("#bold"),
    "the keyboard": press_enter,
    "a script": runs("plain.click()"),
    "a search": search,
}


def what_is_sent(request: Request) -> dict[str, str | None]:
    headers = request.all_headers()
    names = ("referer", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest", "sec-fetch-user")
    return {"url": request.url, **{name: headers.get(name) for name in names}}


def wait_for_ping(site: Site, links: Page, name: str) -> None:
    """Wait until the server has got the ping of a link, which the browser sends when it likes."""
    for _ in range(500):
        if name in site.ask("/kinds/state")["noted"]["links"]:
            return
        links.evaluate("new Promise(requestAnimationFrame)")
    raise AssertionError(f"no {name} arrived")


@both_engines
def test_a_link_sends_late_what_it_sends_in_time(site: Site, links: Page, engine: str) -> None:
    """In content that names its elements like what our script looks up."""
    sent: dict[bool, Any] = {}
    for is_late in (False, True):
        links.reload()
        links.evaluate("late => { pings.ping += `-${late}` }", str(is_late))
        sent[is_late] = {}
        for name, press in EVERY_LINK.items():
            site.core.clear_request_log()
            if is_late:
                site.expire(links)
            with links.expect_request(NOTES) as request:
                press(links)
            sent[is_late][name] = what_is_sent(request.value)
            assert site.refresh_calls() == is_late, name
        sent[is_late]["seen by the page"] = links.evaluate("heard")
        if engine == "chromium":  # Firefox sends no pings
            wait_for_ping(site, links, f"ping-{is_late}")
        assert links.locator("[aria-busy]").count() == 0
    assert sent[True] == sent[False]


@both_engines
def test_nobody_sees_a_refresh_page_and_the_way_back_leads_back(site: Site, links: Page) -> None:
    start, seen = links.url, see.documents(links)
    links.evaluate("plain.href = '/kinds/plain?next#out'")
    site.expire(links)
    click_plain(links)
    see.address(links, site.url("/kinds/plain?next#out"))
    expect(links.locator("#out")).to_have_text("plain")
    assert seen == ["200"]
    links.evaluate("() => { setTimeout(() => history.back()) }")
    see.address(links, start)
    assert links.evaluate("plain.getAttribute('aria-busy')") is None
    assert site.refresh_calls() == 1


# --- what waits, and what does not ---------------------------------------------------------------

# Note whether our script has held an event back, and stay on the page.
WATCH = """() => {
  window.held = [];
  const note = (event) => {
    if (event.type !== "submit" && event.target.closest("form")) return;
    held.push(event.defaultPrevented);
    event.preventDefault();
  };
  for (const type of ["click", "auxclick", "submit"]) {
    document.querySelector("html").addEventListener(type, () => {
      removeEventListener(type, note);
      addEventListener(type, note);
    }, true);
  }
}"""


def link(attributes: str = "", href: str = "/kinds/plain", content: str = "It") -> str:
    return f'<a id="it" href="{href}" {attributes}>{content}</a>'


def form(attributes: str = "", button: str = "") -> str:
    return f'<form {attributes}><input name="x"><button id="it" {button}>It</button></form>'


IMAGE = '<img width="9" height="9" alt="">'
NEW_TAB = '<base target="_blank">'
CLOSED = "<p id=it><template shadowrootmode=closed><a href=/ style='display: block'>It</a>"
WAIT = {
    "a link": link(),
    "an empty target": link('target=""'),
    "a base with this page as its target": '<base target="_self">' + link(),
    "another base": '<base href="/kinds/">' + link(href="plain"),
    "this page again": link(href=""),
    "a fragment of another page": link(href="/kinds/plain?#part"),
    "a subdomain with the same cookies": link(href="http://b.example.test/"),
    "an image": link(content=IMAGE),
    "a link in a label": f"<label>{link()}</label>",
    "a form": form(),
    "a button that searches": form('method="post"', 'formmethod="get"'),
    "an unknown method": form('method="put"'),
}
GO_ON = {
    "Alt": link(),
    "Control": link(),
    "Meta": link(),
    "Shift": link(),
    "the middle button": link(),
    "a new tab": link('target="_blank"'),
    "another frame": link('target="answer"'),
    "a base with a target": NEW_TAB + link(),
    "an empty target and a base with one": NEW_TAB + link('target=""'),
    "a download": link("download"),
    "a fragment": link(href="#part"),
    "an empty fragment": link(href="#"),
    "another origin": link(href="http://localhost:1/"),
    "another site that ends alike": link(href="http://notexample.test/"),
    "mail": link(href="mailto:a@example.test"),
    "a script's URL": link(href="javascript:void 0"),
    "a blob": link(href="blob:ORIGIN/1"),
    "an invalid URL": link(href="http://["),
    "no URL": '<a id="it">It</a>',
    "an image map of the server": link(content=IMAGE.replace("img", "img ismap")),
    "a button in a link": link(content="<button>It</button>"),
    "a closed shadow tree": CLOSED,
    "text that is edited": f"<p contenteditable>{link()}</p>",
    "a form in a new tab": form('target="_blank"'),
    "a form in a new tab by its base": NEW_TAB + form(),
    "a button for a new tab": form("", 'formtarget="_blank"'),
    "a form to another origin": form('action="http://localhost:1/"'),
    "a dialog's form": form('method="dialog"'),
}
HANDLED = {
    "a link of a script": link('onclick="event.preventDefault()"'),
    "a form of a script": form('onsubmit="event.preventDefault()"'),
}
PUT = """html => {
  box.remove();
  document.body.insertAdjacentHTML("beforeend", "<div id=box></div>");
  box.setHTMLUnsafe(html.replace("ORIGIN", location.origin));
}"""


def test_what_replaces_this_page_waits_and_nothing_else(site: Site, links: Page) -> None:
    site.expire(links)
    act.hold(links)
    links.evaluate(WATCH)
    links.evaluate("document.scripts[0].dataset.cookieDomain = '.example.test'")
    prevented, busy = set(), set()
    for name, content in {**WAIT, **GO_ON, **HANDLED}.items():
        links.evaluate(PUT, content)
        modifiers: Any = [name] if name in ("Alt", "Control", "Meta", "Shift") else []
        button: Any = "middle" if "middle" in name else "left"
        links.click("#it", no_wait_after=True, force=True, modifiers=modifiers, button=button)
        prevented |= {name} if links.evaluate("held.pop()") else set()
        busy |= {name} if links.locator("[aria-busy=true]").count() else set()
        press_escape(links)
        assert links.locator("[aria-busy]").count() == 0, name
    assert busy == set(WAIT)
    assert prevented == {*WAIT, *HANDLED}


def test_an_event_of_a_script_does_what_it_does_without_us(site: Site, links: Page) -> None:
    site.expire(links)
    calls = act.hold(links)
    with links.expect_request(NOTES):  # not cancelable
        links.evaluate("plain.dispatchEvent(new MouseEvent('click', { bubbles: true }))")
    links.evaluate(
        """() => { for (const form of [search, posts])
            form.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true })); }"""
    )
    assert (links.locator("[aria-busy]").count(), calls) == (0, [])


NO_LOCAL = """Object.defineProperty(window, 'localStorage', {
  get() { throw new DOMException('', 'SecurityError'); },
});"""


def test_a_link_waits_only_where_a_refresh_helps(site: Site, links: Page) -> None:
    act.hold(links)
    links.evaluate(WATCH)
    cookies: Any = links.context.cookies()
    links.context.clear_cookies()
    click_plain(links)
    links.context.add_cookies(cookies)
    click_plain(links)
    site.expire(links)
    click_plain(links)
    assert links.evaluate("held") == [False, False, True]  # no session, active, expired
    links.add_init_script(NO_LOCAL)  # the SDK cannot start
    links.reload()
    links.evaluate(WATCH)
    click_plain(links)
    assert links.evaluate("held") == [False]


@rows("is_own", {"this page refreshes": True, "another tab refreshes": False})
def test_a_link_waits_with_a_good_token_while(site: Site, links: Page, is_own: bool) -> None:
    """To leave would lose the answer of this page's refresh, and no other's."""
    refreshing = links if is_own else links.context.new_page()
    if not is_own:
        refreshing.goto(links.url)
    held = act.hold(refreshing)
    with refreshing.expect_request(act.REFRESH_API):
        refreshing.evaluate("void supertokensWebsite.attemptRefreshingSession()")
    links.evaluate(WATCH)
    click_plain(links)
    assert links.evaluate("held") == [is_own]
    if is_own:
        with links.expect_request(NOTES):
            held[0].continue_()
        assert site.refresh_calls() == 1


# --- how long ------------------------------------------------------------------------------------

ANSWERS: dict[str, Callable[[Route], None]] = {
    "an error": lambda route: route.fulfill(status=503),
    "no connection": lambda route: route.abort(),
    "nonsense": lambda route: route.fulfill(body="{}"),
    "the end of the session": lambda route: route.fulfill(status=401),
}
# The work that ends the wait after four seconds is done when the test wants.
LIMIT = """const after = setTimeout;
window.setTimeout = (work, ms) => ms === 4000 ? (window.limit = work, 0) : after(work, ms);"""


def test_a_link_goes_on_whatever_the_refresh_api_answers(site: Site, links: Page) -> None:
    links.add_init_script(LIMIT)  # only the API's answer can end the wait
    links.reload()
    site.expire(links)
    for name, answer in ANSWERS.items():
        links.route(act.REFRESH_API, answer)
        with links.expect_request(act.REFRESH_API), links.expect_request(NOTES):
            click_plain(links)
        links.unroute(act.REFRESH_API)
        assert links.locator("[aria-busy]").count() == 0, name


@rows("press", {"a link": click_plain, "a search": search})
def test_no_longer_than_four_seconds_waits(site: Site, links: Page, press: Press) -> None:
    links.add_init_script(LIMIT)
    links.reload()
    site.expire(links)
    act.hold(links)
    requested = navigations_of(links)
    with links.expect_request(act.REFRESH_API):
        press(links)
    assert requested == []
    with links.expect_request(NOTES):
        links.evaluate("limit()")


# --- the last click wins -------------------------------------------------------------------------


def navigations_of(page: Page) -> list[str]:
    """Return a list that fills with the last part of each address that *page* goes to."""

    def pick(it: Request) -> str | None:
        return re.sub(r".*/|\?.*", "", it.url) if it.is_navigation_request() else None

    return see.events(page, "request", pick)


press_search, press_post = clicks("#search button"), clicks("#posts button")
run_script = runs("changed.onclick = null, changed.href = 'javascript:void 0', changed.click()")
go_abroad = runs("inner.href = inner.href.replace('localhost', '127.0.0.1'), inner.click()")
take_escape = runs("void (onkeydown = (event) => event.preventDefault())")
hide = runs("dispatchEvent(new Event('pagehide'))")
leave = runs("setTimeout(() => location.assign('/kinds/note/links/elsewhere'))")
add_base = runs("document.head.insertAdjacentHTML('beforeend', '<base target=_blank>')")
# What the visitor does during a refresh, and where the page goes then. One page does it all.
PRESSES: dict[str, tuple[list[Press], list[str]]] = {
    "one link": ([click_plain], ["plain"]),
    "one link twice": ([click_plain, click_plain], ["plain"]),
    "two links": ([click_plain, click_secret], ["secret"]),
    "a link, then a search": ([click_plain, search], ["search"]),
    "a search, then another": ([press_search, search], ["search"]),
    "a link, then a form": ([click_plain, press_post], ["posted"]),
    "a form twice": ([press_post, press_post], ["posted"]),
    "a form, then a link": ([press_post, click_plain], ["posted"]),
    "a form, then a link to another site": ([press_post, go_abroad], ["posted"]),
    "a link, then one to another site": ([click_plain, go_abroad], ["inner"]),
    "a link, then a script's URL": ([click_secret, run_script], ["secret"]),
    "Escape": ([click_plain, press_escape], []),
    "Escape after a form": ([press_post, press_escape], []),
    "the page is left": ([click_secret, hide], []),
    "an Escape that the page takes": ([click_secret, take_escape, press_escape], ["secret"]),
    "a link, then a script that leaves": ([click_secret, leave], ["elsewhere"]),
    "a form, then a script that leaves": ([press_post, leave], ["elsewhere"]),
    "a link, then a base with a target": ([click_plain, add_base], ["plain"]),
}


def test_the_last_click_wins(site: Site, links: Page) -> None:
    links.evaluate("plain.setAttribute('aria-busy', 'false')")
    held, requested = act.hold(links), navigations_of(links)
    went = {}
    for name, (presses, _) in PRESSES.items():
        site.expire(links)
        with links.expect_request(act.REFRESH_API):
            presses[0](links)
        for press in presses[1:]:
            press(links)
        links.evaluate("0")  # Playwright hands a request over a bit later than it tells of it
        held.pop().continue_()
        links.evaluate(act.SETTLE)
        links.evaluate("fetch('/kinds/note/links/end')")  # what was decided before comes before
        went[name] = requested.copy()
        requested.clear()
    assert went == {name: where for name, (_, where) in PRESSES.items()}
    busy = links.evaluate("[plain, secret].map((link) => link.getAttribute('aria-busy'))")
    assert busy == ["false", None]
