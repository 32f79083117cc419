"""What a browser sends and shows for a cached page after the session has changed.

The pages of ``caches_app`` respond with 304 before they render anything, and have the same ETag
and Last-Modified for all visitors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .caches_app import PAGES
from .conftest import Site, served
from .test_history import go_to, keep_out_of_memory

pytestmark = pytest.mark.browser

DECIDING = [name for name in PAGES if name.startswith("decides")]
TAGGED = [name for name, (_, has_tag, _) in PAGES.items() if has_tag]
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"


@pytest.fixture(scope="module")
def caching_site(shared_site: Site) -> Iterator[Site]:
    with served(shared_site.core.uri, module="tests.browser.caches_app") as origin:
        yield Site(origin, shared_site.core, shared_site.clock)


def asked_of(site: Site, page: Page, name: str) -> list[dict[str, Any]]:
    """Return the requests for the page *name* since the last call."""
    asked: list[dict[str, Any]] = page.request.get(site.url(f"/asked/{name}")).json()
    return asked


def leave(site: Site, page: Page) -> None:
    """Go somewhere else; the page is only in the HTTP cache from then on."""
    keep_out_of_memory(page)
    go_to(page, site.url("/panel/"))


def come_back(site: Site, page: Page, name: str) -> None:
    """Follow a link to the page *name*, wherever that leads."""
    url = site.url(f"/caches/{name}")
    page.evaluate("url => { setTimeout(() => location.assign(url)) }", url)


def shown_to_a_user(site: Site, page: Page, name: str) -> str:
    """Sign up and look at the page *name*; return the user's id."""
    user = site.sign_up(page)
    # Before the page is kept: it changes a cookie.
    site.let_time_pass(page)
    page.goto(site.url(f"/caches/{name}"))
    expect(page.locator("#whose")).to_have_text(user)
    asked_of(site, page, name)
    leave(site, page)
    return user


def assert_asked_across_visitors(asked: dict[str, Any], name: str) -> None:
    """Where the cookies differ, a browser still sends the tag of the page, and not its date."""
    assert (asked["tag"] is not None) is (name in TAGGED)
    assert asked["date"] is None
    assert asked["status"] == "200"


@pytest.mark.parametrize("name", PAGES)
def test_page_of_a_user_is_not_shown_once_the_cookies_are_gone(
    caching_site: Site, page: Page, name: str
) -> None:
    site = caching_site
    shown_to_a_user(site, page, name)
    page.context.clear_cookies()
    come_back(site, page, name)
    if name in DECIDING:
        page.wait_for_url(re.compile(f"/auth\\?redirectToPath=/caches/{name}$"))
    else:
        expect(page.locator("#whose")).to_have_text("everybody")
    assert_asked_across_visitors(asked_of(site, page, name)[-1], name)


@pytest.mark.parametrize("name", PAGES)
def test_page_of_a_user_is_not_shown_to_the_next(caching_site: Site, page: Page, name: str) -> None:
    site = caching_site
    first = shown_to_a_user(site, page, name)
    page.context.clear_cookies()
    second = site.sign_up(page, to="/panel/")
    come_back(site, page, name)
    expect(page.locator("#whose")).to_have_text(second)
    assert first != second
    assert_asked_across_visitors(asked_of(site, page, name)[-1], name)


@pytest.mark.parametrize("name", [name for name in PAGES if name not in DECIDING])
def test_page_of_a_stranger_is_not_shown_after_sign_in(
    caching_site: Site, page: Page, name: str
) -> None:
    site = caching_site
    page.goto(site.url(f"/caches/{name}"))
    expect(page.locator("#whose")).to_have_text("everybody")
    user = site.sign_up(page, to="/panel/")
    come_back(site, page, name)
    expect(page.locator("#whose")).to_have_text(user)
    assert_asked_across_visitors(asked_of(site, page, name)[-1], name)


@pytest.mark.parametrize("name", DECIDING)
def test_page_is_refreshed_once_its_token_has_run_out(
    caching_site: Site, page: Page, name: str
) -> None:
    """The cookies are the same, so the browser sends tag and date: 304 would end it there."""
    site = caching_site
    user = shown_to_a_user(site, page, name)
    page.request.get(site.url("/come-late"))
    with page.expect_request("**/auth/session/refresh"):
        come_back(site, page, name)
    expect(page.locator("#whose")).to_have_text(user)
    late, *_ = asked_of(site, page, name)
    assert (late["tag"] is not None, late["date"]) == (
        name in TAGGED,
        None if name == "decides-tag" else DATE,
    )
    assert late["status"] == "200"


@pytest.mark.parametrize("name", TAGGED)
def test_page_of_the_same_session_is_not_sent_again(
    caching_site: Site, page: Page, name: str
) -> None:
    """Twin: nor is it after a refresh, which changes the cookies and not the session."""
    site = caching_site
    user = shown_to_a_user(site, page, name)
    for _ in range(2):
        come_back(site, page, name)
        page.wait_for_url(site.url(f"/caches/{name}"))
        expect(page.locator("#whose")).to_have_text(user)
        (asked,) = asked_of(site, page, name)
        assert asked["status"] == "304"
        leave(site, page)
        page.evaluate("supertokensWebsite.attemptRefreshingSession()")
