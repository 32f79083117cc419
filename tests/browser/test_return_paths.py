"""Return paths, checked by the URL that a browser opens."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from flask_ssr_session.testing import SessionSigner

from ..return_paths import HARMLESS, HOSTILE, LEGITIMATE, REFRESH, SIGN_IN
from .conftest import Site, served

pytestmark = pytest.mark.browser

# The address that is the site's own in the table.
OWN_ORIGIN = "https://app.example.com"

# Where the browser would go from a page of the site: the origin, or the scheme of no web page.
RESOLVE = """values => values.map((value) => {
  try {
    const url = new URL(value, location.href);
    return /^https?:$/.test(url.protocol) ? url.origin : url.protocol;
  } catch { return "none"; }
})"""

# What the refresh page passes to its script for this value.
LED_TO = """async (values) => {
  const led = [];
  for (const value of values) {
    const page = await fetch(`/refresh-session?redirectBack=${encodeURIComponent(value)}`);
    const text = await page.text();
    const parsed = new DOMParser().parseFromString(text, "text/html");
    led.push(parsed.querySelector("script[data-return-to]").dataset.returnTo);
  }
  return led;
}"""

# How the browser itself writes a path of the site.
WRITTEN = """values => values.map((value) => {
  const url = new URL(value, location.href);
  return url.origin === location.origin ? url.pathname + url.search + url.hash : url.href;
})"""


@pytest.fixture(scope="module")
def redirecting_site(shared_site: Site) -> Iterator[Site]:
    with served(
        shared_site.core.uri, environment={"EXAMPLE_SSR_SESSION_REFRESH_FLOW": "redirect"}
    ) as origin:
        yield Site(origin, shared_site.core, shared_site.clock)


def hostile_values(site: Site) -> dict[str, str]:
    """Return the table for *site*, without what no URL can hold: half a character."""
    return {
        name: value.replace(OWN_ORIGIN, site.origin)
        for name, value in HOSTILE.items()
        if not any("\ud800" <= char <= "\udfff" for char in value)
    }


def test_whatever_leads_away_in_this_browser_is_refused(site: Site, page: Page) -> None:
    page.goto(site.url("/panel/"))
    values = hostile_values(site)
    resolved = page.evaluate(RESOLVE, list(values.values()))
    away = [origin for origin in resolved if origin not in (site.origin, "none")]
    # The table bites: to this browser, much of it is another place.
    assert len(away) > 150
    led = page.evaluate(LED_TO, list(values.values()))
    assert {name: target for name, target in zip(values, led, strict=True) if target != "/"} == {}


def test_whatever_is_let_through_is_written_as_this_browser_writes_it(
    site: Site, page: Page
) -> None:
    page.goto(site.url("/panel/"))
    values = [*HARMLESS.values(), *LEGITIMATE.values()]
    assert page.evaluate(LED_TO, values) == values
    assert page.evaluate(RESOLVE, values) == [site.origin] * len(values)
    assert page.evaluate(WRITTEN, values) == values
    full = [site.origin + value for value in values]
    assert page.evaluate(LED_TO, full) == full
    assert page.evaluate(RESOLVE, full) == [site.origin] * len(values)


def test_whatever_is_let_through_stays_on_the_site_when_it_is_gone_to(
    site: Site, page: Page
) -> None:
    """By location.replace(), as our script goes; the site answers everything with its 404."""
    asked: list[str] = []

    def note(route: Route) -> None:
        if route.request.is_navigation_request():  # and no icon of the page before
            asked.append(route.request.url)
        route.fulfill(body="<!doctype html><p id=there>", content_type="text/html")

    page.goto(site.url("/panel/"))
    page.route("**/*", note)
    for value in HARMLESS.values():
        asked.clear()
        with page.expect_navigation():
            page.evaluate("value => { setTimeout(() => location.replace(value)) }", value)
        assert asked[0] == site.url(value.partition("#")[0])
        assert page.evaluate("location.href") == site.url(value)


FOLLOWED = (
    "scheme javascript",
    "javascript behind a tabulator",
    "scheme data",
    "two slashes, name",
    "slash, backslash, name",
    "tabulator between, name",
    "encoded slash, name",
    "slash encoded twice, name",
    "dots behind a name, name",
    "full URL, https, name",
    "full URL, user info",
    "header in the path",
    "our refresh page, nested twice",
    "our sign-in, letter encoded twice",
)


def test_refresh_for_a_hostile_value_ends_at_the_front_page(site: Site, page: Page) -> None:
    user = site.sign_up(page)
    values = hostile_values(site)
    elsewhere: list[str] = []
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(site.origin) else elsewhere.append(request.url)
        ),
    )
    for name in FOLLOWED:
        site.let_time_pass(page)  # a refresh so soon after another would be taken for a lap
        page.goto(site.url(f"{REFRESH}?redirectBack={quote(values[name], safe='')}"))
        page.wait_for_url(site.url("/"))
        expect(page.locator("[data-greeting]")).to_have_text(f"Hello, {user}.")
    assert elsewhere == []


# The site's pages are below /account and so on: what counts here is the query and the spelling.
@pytest.mark.parametrize(
    "address",
    [
        "/account?next=%2Fb%2fc&tag=1&tag=2&e=&q=a+b%20c;d",
        "/account?q=%E9t%e9&p=100%&r=\\`{}|^[]#%7e'/x?y",
        "/acc%6Funt?q=%c3%a9",
        LEGITIMATE["long query"].replace("/x/a", "/account"),
    ],
    ids=["query", "odd signs and fragment", "letter encoded", "4 KB"],
)
@pytest.mark.parametrize("flow", ["inline", "redirect"])
def test_refreshed_page_is_at_the_very_address_that_was_asked_for(
    site: Site, redirecting_site: Site, page: Page, flow: str, address: str
) -> None:
    served_by = site if flow == "inline" else redirecting_site
    user = served_by.sign_up(page)
    served_by.expire(page)
    page.goto(served_by.url("/panel/"))
    page.evaluate("url => { setTimeout(() => location.assign(url)) }", served_by.url(address))
    expect(page.locator("[data-user]")).to_have_text(user)
    # Servers pass decoded paths to an app, but the browser's URL loses nothing.
    came_back = address if flow == "inline" else address.replace("%6F", "o")
    assert page.evaluate("location.href") == served_by.url(came_back)


def test_sign_in_leads_back_to_the_very_address_that_was_asked_for(site: Site, page: Page) -> None:
    site.sign_up(page)
    page.context.clear_cookies()
    address = "/account?next=%2Fb%2fc&tag=1&tag=2&q=a+b%20c"
    page.goto(site.url(address))
    page.wait_for_function("path => location.pathname === path", arg=SIGN_IN)
    site.fill_in(page)
    page.wait_for_selector("[data-user]")
    assert page.evaluate("location.href") == site.url(address)


# --- the fragment, which no server sees ----------------------------------------------------------

FRAGMENT = "#/route/2?x=ä&y=%41+b"
WRITTEN_FRAGMENT = "#/route/2?x=%C3%A4&y=%41+b"


def wanted_after(url: str, parameter: str = "redirectToPath") -> str:
    """Return the way back inside a sign-in address."""
    return parse_qs(urlsplit(url).query)[parameter][0]


@pytest.mark.parametrize("flow", ["inline", "redirect"])
def test_sign_in_leads_back_to_the_fragment(
    site: Site, redirecting_site: Site, page: Page, signer: SessionSigner, flow: str
) -> None:
    served_by = site if flow == "inline" else redirecting_site
    user = served_by.sign_up(page)
    page.context.clear_cookies()
    plant_expired_token(page, served_by, signer)
    page.goto(served_by.url("/account?tab=2" + FRAGMENT))
    page.wait_for_function("path => location.pathname === path", arg=SIGN_IN)
    assert wanted_after(page.url) == "/account?tab=2" + WRITTEN_FRAGMENT
    served_by.fill_in(page)
    expect(page.locator("[data-user]")).to_have_text(user)
    assert page.evaluate("location.href") == served_by.url("/account?tab=2" + WRITTEN_FRAGMENT)


def plant_expired_token(page: Page, site: Site, signer: SessionSigner) -> None:
    """Store a token in the browser that no core knows."""
    expired = signer.sign(signer.claims(issued_at=1_700_000_000))
    page.context.add_cookies([{"name": "sAccessToken", "value": expired, "url": site.origin}])


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        pytest.param("/account#part", "/account#part", id="a fragment"),
        pytest.param("/account", "/account", id="none"),
        pytest.param("/account?q=%23#part", "/account?q=%23#part", id="a number sign in the query"),
        pytest.param(
            "/refresh-session?redirectBack=/account%23own#part", "/account#own", id="one of its own"
        ),
        pytest.param("/refresh-session?redirectBack=/account#part", "/account#part", id="by hand"),
        pytest.param(f"/account#{'x' * 4000}", "/account", id="too long for a server"),
    ],
)
def test_links_to_sign_in_lead_back_to_the_fragment(
    site: Site, page: Page, signer: SessionSigner, asked: str, wanted: str
) -> None:
    plant_expired_token(page, site, signer)
    page.route("**/auth/session/refresh", lambda route: route.fulfill(status=503))
    page.goto(site.url(asked))
    expect(page.locator("[data-ssr-cause=status]")).to_be_visible()
    hrefs = page.eval_on_selector_all("[data-ssr-sign-in]", "links => links.map(a => a.href)")
    assert {wanted_after(href) for href in hrefs} == {wanted}
    assert len(hrefs) >= 2


def test_fragment_goes_into_the_parameter_that_was_set_and_leaves_the_rest(
    site: Site, page: Page, signer: SessionSigner
) -> None:
    settings = {"LOGIN_URL": "/auth?kind=a%20b+c#form", "LOGIN_RETURN_PARAM": "next"}
    environment = {f"EXAMPLE_SSR_SESSION_{name}": value for name, value in settings.items()}
    with served(site.core.uri, environment=environment) as origin:
        plant_expired_token(page, Site(origin, site.core, site.clock), signer)
        page.goto(f"{origin}/account#part")
        page.wait_for_url(f"{origin}/auth?kind=a%20b+c&next=/account%23part#form")


def test_refresh_page_asked_for_with_a_good_session_goes_on_at_once(site: Site, page: Page) -> None:
    """An app may lead there by hand, right after sign-in; nothing was refused."""
    user = site.sign_up(page)
    page.evaluate(
        """() => {
        document.cookie = `st-last-access-token-update=${Date.now()}; path=/; SameSite=Lax`;
        setTimeout(() => location.assign("/refresh-session?redirectBack=/account"));
        }"""
    )
    expect(page.locator("[data-user], [data-ssr-part=problem]:visible")).to_have_text(user)
