"""During failures no visitor is signed out or loops, and every page states the cause."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from .conftest import Site, wait_for_address
from .test_loops import REFRESH_API, USER, expect_cause

pytestmark = pytest.mark.browser


def token_of(context: BrowserContext) -> str:
    return next(c["value"] for c in context.cookies() if c["name"] == "sAccessToken")


def signed_in_and_expired(site: Site, page: Page) -> str:
    user = site.sign_up(page)
    site.expire(page)
    site.core.clear_request_log()
    return user


def test_a_refresh_api_that_fails_ends_in_a_retry_that_works(site: Site, page: Page) -> None:
    user = signed_in_and_expired(site, page)
    before = token_of(page.context)
    site.core.stop_refresh_endpoint()
    page.goto(site.url("/account?tab=2#claims"))
    expect_cause(page, "status")
    expect(page.locator("[data-ssr-detail]")).to_have_text("500")
    assert token_of(page.context) == before
    site.core.start_refresh_endpoint()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(USER)).to_have_text(user)
    assert page.url == site.url("/account?tab=2#claims")


def test_a_refresh_api_that_refuses_connections_ends_in_a_retry_that_works(
    site: Site, page: Page
) -> None:
    user = signed_in_and_expired(site, page)
    page.route(REFRESH_API, lambda route: route.abort("connectionrefused"))
    page.goto(site.url("/dashboard"))
    expect_cause(page, "network")
    page.unroute(REFRESH_API)
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(USER)).to_have_text(user)


def test_a_refresh_api_that_never_answers_ends_in_a_retry_that_works(
    site: Site, page: Page
) -> None:
    user = signed_in_and_expired(site, page)
    held: list[Route] = []
    page.route(REFRESH_API, lambda route: held.append(route))  # Playwright wants a plain function
    page.clock.install()
    with page.expect_request(REFRESH_API):
        page.goto(site.url("/account"))
    page.clock.fast_forward(9_000)
    expect(page.locator("[data-ssr-part=working]")).to_be_visible()
    page.clock.fast_forward(2_000)
    expect_cause(page, "silent")
    held[0].continue_()
    page.clock.fast_forward(1_000)
    expect(page.locator(USER)).to_have_text(user)


def test_a_post_with_an_expired_token_is_not_sent_again_by_itself(site: Site, page: Page) -> None:
    signed_in_and_expired(site, page)
    posts = []
    page.on(
        "request",
        lambda request: posts.append(request.url) if request.method == "POST" else None,
    )
    page.goto(site.url("/panel/"))
    page.evaluate(
        """() => { document.body.innerHTML =
        '<form method=post action=/form><input name=note value=kept></form>';
        document.forms[0].submit() }"""
    )
    expect(page.locator("[data-ssr-part=renewed]")).to_be_visible()
    assert [url for url in posts if url.endswith("/form")] == [site.url("/form")]
    page.evaluate("document.querySelector('[data-ssr-back]').click()")  # waits for nothing
    wait_for_address(page, site.url("/panel/"))


def test_a_key_server_that_is_down_is_an_outage_only_where_no_keys_are_known(
    site: Site, page: Page
) -> None:
    user = site.sign_up(page)
    page.goto(site.url("/account"))
    site.core.stop_key_server()
    answer = page.goto(site.url("/account"))
    assert answer is not None
    assert answer.status == 200
    page.goto(site.url("/panel/"))
    with page.expect_navigation():
        page.click("text=Clear the app's keys")
    answer = page.goto(site.url("/account"))
    assert answer is not None
    assert (answer.status, answer.headers["retry-after"]) == (503, "10")
    expect(page.get_by_role("heading")).to_have_text("This page cannot be shown right now")
    site.core.start_key_server()
    # Retry-After is ten seconds, the pause between two fetches; forgetting keys ends it early.
    page.goto(site.url("/panel/"))
    with page.expect_navigation():
        page.click("text=Clear the app's keys")
    page.goto(site.url("/account"))
    expect(page.locator(USER)).to_have_text(user)


def test_a_session_from_unknown_keys_is_refreshed_into_known_ones(site: Site, page: Page) -> None:
    user = site.sign_up(page)
    site.core.rotate_signing_key(drop_old=True)
    page.goto(site.url("/panel/"))
    site.let_time_pass(page)
    with page.expect_navigation():
        page.click("text=Clear the app's keys")
    page.goto(site.url("/account"))
    expect(page.locator(USER)).to_have_text(user)


def test_signing_out_ends_in_sign_in_on_the_next_page(site: Site, page: Page) -> None:
    site.sign_up(page)
    page.click("text=Sign out")
    expect(page.locator("[data-greeting]")).to_have_text("Hello, stranger.")
    page.goto(site.url("/account"))
    page.wait_for_url(re.compile("/auth"))


def test_a_browser_clock_that_was_ahead_once_keeps_nobody_from_refreshing(
    site: Site, page: Page
) -> None:
    user = signed_in_and_expired(site, page)
    page.goto(site.url("/panel/"))
    page.evaluate(
        """document.cookie =
        `st-last-access-token-update=${Date.now() + 86400000}; path=/; SameSite=Lax`"""
    )
    page.goto(site.url("/account"))
    expect(page.locator(USER)).to_have_text(user)
    assert site.refresh_calls() == 1


def test_a_window_named_by_another_site_starts_no_false_alarm(site: Site, page: Page) -> None:
    user = signed_in_and_expired(site, page)
    page.evaluate(
        """window.name = 'ssr-session-refreshed' +
        JSON.stringify({ at: performance.timeOrigin + performance.now(), token: '' })"""
    )
    page.goto(site.url("/account"))
    expect(page.locator(USER)).to_have_text(user)


@pytest.mark.parametrize("path", ["/dashboard", "/panel/"])
def test_content_that_takes_the_place_of_the_script_element_runs_nothing(
    site: Site, page: Page, path: str
) -> None:
    user = signed_in_and_expired(site, page)
    fake = (
        "<img name=currentScript data-mode=refresh data-api-domain=http://localhost "
        "data-return-to=\"javascript:window.stop();document.title='PWNED'//\">"
    )

    def put_in_front(route: Route) -> None:
        answer = route.fetch()
        if "text/html" not in answer.headers["content-type"]:
            route.fulfill(response=answer)
            return
        route.fulfill(response=answer, body=answer.text().replace("<head>", f"<head>{fake}"))

    page.route(f"**{path}", put_in_front)
    page.goto(site.url(path))
    if path == "/dashboard":
        expect(page.locator(USER)).to_have_text(user)
    assert page.title() != "PWNED"
