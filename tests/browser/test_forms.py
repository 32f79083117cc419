"""A form that is sent too late is not lost, and never sent twice."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, Request, expect

from .conftest import Site

pytestmark = pytest.mark.browser

TYPED = 'first line\nsecond "line" <b>&amp;</b> </textarea>\n\n  grüße 🦆 %41 a=b&c=d '


def posts_of(page: Page) -> list[str]:
    """Return a list that fills with the paths that *page* posts documents to."""
    posts: list[str] = []

    def note(request: Request) -> None:
        if request.method == "POST" and request.is_navigation_request():
            posts.append(request.url.removeprefix("http://").partition("/")[2])

    page.on("request", note)
    return posts


def type_and_expire(site: Site, page: Page) -> None:
    """Fill the form in, and let the token run out meanwhile."""
    site.sign_up(page)
    page.goto(site.url("/form"))
    page.fill("#note", TYPED)
    site.expire(page)
    site.core.clear_request_log()


def expect_received(page: Page) -> None:
    expect(page.locator("[data-received]")).to_be_visible()
    assert page.evaluate("document.querySelector('[data-received]').textContent") == TYPED


def test_a_form_sent_with_an_expired_token_just_arrives(site: Site, page: Page) -> None:
    type_and_expire(site, page)
    posts = posts_of(page)
    page.get_by_role("button", name="Send").click()
    expect_received(page)
    assert posts == ["form"]
    assert site.refresh_calls() == 1


def test_a_form_sent_with_a_good_token_costs_no_refresh(site: Site, page: Page) -> None:
    site.sign_up(page)
    page.goto(site.url("/form"))
    page.fill("#note", TYPED)
    site.core.clear_request_log()
    posts = posts_of(page)
    page.get_by_role("button", name="Send").click()
    expect_received(page)
    assert (posts, site.refresh_calls()) == (["form"], 0)


BUTTONS = """() => {
  const form = document.querySelector("form");
  form.insertAdjacentHTML("afterbegin", '<input name="submit"><input name="action" value="x">');
  form.insertAdjacentHTML("beforeend",
    '<button id="other" name="pressed" value="two" formaction="/form?by=button">Other</button>');
  window.handled = 0;
  form.addEventListener("submit", (event) => { if (window.handled++) event.preventDefault(); });
}"""


def test_the_pressed_button_counts_and_handlers_run_once(site: Site, page: Page) -> None:
    """Handlers that let a form go only once would stop it if it was submitted anew."""
    type_and_expire(site, page)
    page.evaluate(BUTTONS)
    posts = posts_of(page)
    with page.expect_request(lambda request: request.method == "POST" and "by=" in request.url) as (
        sent
    ):
        page.click("#other")
    expect_received(page)
    body = sent.value.post_data
    assert body is not None
    assert body.startswith("submit=&action=x&note=first+line%0D%0A")
    assert body.endswith("&pressed=two")
    assert posts == ["form?by=button"]


def test_a_form_that_a_script_handles_is_left_to_it(site: Site, page: Page) -> None:
    type_and_expire(site, page)
    page.evaluate(
        "document.querySelector('form').addEventListener('submit', (e) => e.preventDefault())"
    )
    posts = posts_of(page)
    page.get_by_role("button", name="Send").click()
    page.wait_for_timeout(300)
    assert (posts, site.refresh_calls()) == ([], 0)


def test_a_form_past_the_guard_is_kept_and_sent_when_the_visitor_says_so(
    site: Site, page: Page
) -> None:
    type_and_expire(site, page)
    posts = posts_of(page)
    # As a script does: no event, so nobody could ask before.
    page.evaluate("document.querySelector('form').submit()")
    send = page.get_by_role("button", name="Send them now")
    expect(send).to_be_focused()
    assert posts == ["form"]
    send.click()
    expect_received(page)
    assert posts == ["form", "form"]
    assert site.refresh_calls() == 1


def test_a_form_in_an_outage_of_the_refresh_api_is_not_lost(site: Site, page: Page) -> None:
    type_and_expire(site, page)
    site.core.stop_refresh_endpoint()
    page.get_by_role("button", name="Send").click()
    expect(page.locator("[data-ssr-cause=status]")).to_be_visible()
    site.core.start_refresh_endpoint()
    page.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name="Send them now").click()
    expect_received(page)
