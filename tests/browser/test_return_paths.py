"""Return paths, checked by the URL that a browser opens."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, unquote, urlsplit

from playwright.sync_api import Page, Route

from ..return_paths import HARMLESS, HOSTILE, LEGITIMATE, REFRESH, SIGN_IN
from ..tokens import expired_token
from . import act, see
from .conftest import Serve, Site, both_engines, each_flow

# The address that is the site's own in the table.
OWN_ORIGIN = "https://app.example.com"

# Where the browser would go from a page of the site: the origin, or the scheme of no web page.
RESOLVE = """values => values.map((value) => {
  try {
    const url = new URL(value, location.href);
    return /^https?:$/.test(url.protocol) ? url.origin : url.protocol;
  } catch { return "none"; }
})"""

# How the browser itself writes a path of the site.
WRITTEN = """values => values.map((value) => {
  const url = new URL(value, location.href);
  return url.origin === location.origin ? url.pathname + url.search + url.hash : url.href;
})"""


def hostile_values(site: Site) -> dict[str, str]:
    """Return the table for *site*, without what no URL can hold: half a character."""
    return {
        name: value.replace(OWN_ORIGIN, site.origin)
        for name, value in HOSTILE.items()
        if not any("\ud800" <= char <= "\udfff" for char in value)
    }


@both_engines
def test_what_is_let_through_stays_on_the_site(site: Site, page: Page) -> None:
    """By location.replace(), as our script goes; the site answers everything with its 404."""
    page.goto(site.url("/panel/"))
    kept = [*HARMLESS.values(), *LEGITIMATE.values()]
    # Chromium and Firefox percent-encode different characters of a fragment, and of "|^" in a path.
    assert [unquote(url) for url in page.evaluate(WRITTEN, kept)] == [unquote(url) for url in kept]
    kept += [site.origin + value for value in kept]
    assert page.evaluate(RESOLVE, kept) == [site.origin] * len(kept)
    # The table of refused values bites: to this browser, much of it is another place.
    resolved = page.evaluate(RESOLVE, list(hostile_values(site).values()))
    assert sum(place != site.origin for place in resolved) > 150
    asked: list[str] = []

    def note(route: Route) -> None:
        if route.request.is_navigation_request():  # and no icon of the page before
            asked.append(route.request.url)
        route.fulfill(body="<!doctype html><p id=there>", content_type="text/html")

    page.route("**/*", note)
    for name, value in HARMLESS.items():
        page.goto(site.url("/elsewhere"))  # else another fragment of one page would ask for nothing
        asked.clear()
        with page.expect_navigation():
            page.evaluate("value => { setTimeout(() => location.replace(value)) }", value)
        assert unquote(asked[0]) == unquote(site.url(value.partition("#")[0])), name
        assert unquote(page.evaluate("location.href")) == unquote(site.url(value)), name


FOLLOWED = (
    "scheme javascript",
    "javascript behind a tabulator",
    "two slashes, name",
    "slash, backslash, name",
    "tabulator between, name",
    "slash encoded twice, name",
    "dots behind a name, name",
    "full URL, user info",
    "our refresh page, nested twice",
)


def test_a_refresh_for_a_hostile_value_ends_at_the_front_page(site: Site, page: Page) -> None:
    user = site.sign_up(page)
    values = hostile_values(site)
    asked = see.requests(page)
    for name in FOLLOWED:
        site.let_time_pass(page)  # a refresh so soon after another would be taken for a lap
        page.goto(site.url(f"{REFRESH}?redirectBack={quote(values[name], safe='')}"))
        page.wait_for_url(site.url("/"))
        see.user(page, user)
    assert [one.url for one in asked if not one.url.startswith(site.origin)] == []


# The site's pages are below /account and so on: what counts here is the query and the spelling.
ADDRESSES = (
    "/account?next=%2Fb%2fc&tag=1&tag=2&e=&q=a+b%20c;d",
    "/account?q=%E9t%e9&p=100%&r=\\`{}|^[]#%7e'/x?y",
    "/acc%6Funt?q=%c3%a9",
    LEGITIMATE["long query"].replace("/x/a", "/account"),
)


@each_flow
def test_a_refreshed_page_is_at_the_very_same_address(site: Site, page: Page, flow: str) -> None:
    user = site.sign_up(page)
    for address in ADDRESSES:
        page.goto(site.url("/panel/"))
        site.expire(page)
        act.follow(page, site.url(address))
        # Servers pass decoded paths to an app, but the browser's URL loses nothing.
        came_back = address.replace("%6F", "o") if flow == "redirect" else address
        see.user(page, user)
        assert page.evaluate("location.href") == site.url(came_back)


# --- the way to sign-in, and the fragment, which no server sees ----------------------------------

FRAGMENT = "#/route/2?x=ä&y=%41+b"
WRITTEN_FRAGMENT = "#/route/2?x=%C3%A4&y=%41+b"


def wanted_after(url: str) -> str:
    """Return the way back inside a sign-in address."""
    return parse_qs(urlsplit(url).query)["redirectToPath"][0]


@each_flow
def test_sign_in_leads_back_to_the_address_with_its_fragment(site: Site, page: Page) -> None:
    user = site.sign_up(page)
    page.context.clear_cookies()
    site.plant(page.context, sAccessToken=expired_token())
    page.goto(site.url(f"/account?next=%2Fb%2fc&tag=1&tag=2&q=a+b%20c{FRAGMENT}"))
    page.wait_for_function("path => location.pathname === path", arg=SIGN_IN)
    wanted = f"/account?next=%2Fb%2fc&tag=1&tag=2&q=a+b%20c{WRITTEN_FRAGMENT}"
    assert wanted_after(page.url) == wanted
    site.fill_in(page)
    see.user(page, user)
    see.address(page, site.url(wanted))


def test_links_to_sign_in_keep_the_fragment(site: Site, page: Page) -> None:
    site.plant(page.context, sAccessToken=expired_token())
    act.answer(page, 503)
    for asked, wanted in {
        "/account#part": "/account#part",
        "/account": "/account",
        "/account?q=%23#part": "/account?q=%23#part",
        f"{REFRESH}?redirectBack=/account%23own#part": "/account#own",
        f"{REFRESH}?redirectBack=/account#part": "/account#part",
        f"/account#{'x' * 4000}": "/account",  # too long for a server
    }.items():
        page.goto(site.url(asked))
        see.cause(page, "status")
        hrefs = page.eval_on_selector_all("[data-ssr-sign-in]", "links => links.map(a => a.href)")
        assert {wanted_after(href) for href in hrefs} == {wanted}, asked
        assert len(hrefs) >= 2


def test_the_fragment_goes_into_the_parameter_of_the_settings(serve: Serve, page: Page) -> None:
    settings = {"LOGIN_URL": "/auth?kind=a%20b+c#form", "LOGIN_RETURN_PARAM": "next"}
    site = serve(**{f"EXAMPLE_SSR_SESSION_{name}": value for name, value in settings.items()})
    site.plant(page.context, sAccessToken=expired_token())
    page.goto(site.url("/account#part"))
    page.wait_for_url(site.url("/auth?kind=a%20b+c&next=/account%23part#form"))
