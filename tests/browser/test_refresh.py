"""The main job: an expired session is refreshed by the browser, and the page comes back."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Response, Route, expect

from .conftest import (
    ROOT,
    Site,
    chromium_only,
    free_port,
    served,
    wait_for_address,
    wait_until_served,
)

pytestmark = pytest.mark.browser

USER = "[data-user]"


def documents_of(page: Page) -> list[str]:
    """Return a list that fills with the ``SSR-Session`` of each document that *page* loads."""
    seen: list[str] = []

    def note(response: Response) -> None:
        if response.request.is_navigation_request():
            seen.append(response.headers.get("ssr-session", str(response.status)))

    page.on("response", note)
    return seen


@pytest.fixture(scope="module")
def redirecting_site(shared_site: Site) -> Iterator[Site]:
    with served(
        shared_site.core.uri, environment={"EXAMPLE_SSR_SESSION_REFRESH_FLOW": "redirect"}
    ) as origin:
        yield Site(origin, shared_site.core, shared_site.clock)


@chromium_only  # it waits the true 20 seconds
def test_a_token_that_ran_out_by_itself_is_refreshed_when_the_page_is_reloaded(page: Page) -> None:
    """The example as the README starts it, with its own core and true 20 seconds."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "example_app", "--port", str(port)],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        origin = f"http://localhost:{port}"
        wait_until_served(f"{origin}/", process)
        page.goto(f"{origin}/auth/sign-up?redirectToPath=/dashboard%3Ftab=2")
        page.fill("#email", "somebody@example.test")
        page.fill("#password", "correct horse 1")
        page.click("main button")
        user = page.text_content(USER)
        expect(page.locator("[data-expires]")).to_contain_text("has expired", timeout=25_000)
        page.goto(f"{origin}/dashboard?tab=2#part")
        documents = documents_of(page)
        page.evaluate("location.reload()")
        page.wait_for_selector(USER)
        assert page.text_content(USER) == user
        assert page.url == f"{origin}/dashboard?tab=2#part"
        assert documents[-1] == "200"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("path", ["/dashboard", "/dashboard?tab=2&x=%2F", "/account?tab=2#claims"])
def test_an_expired_session_is_refreshed_once_and_the_same_address_comes_back(
    site: Site, page: Page, path: str
) -> None:
    user = site.sign_up(page)
    site.expire(page)
    site.core.clear_request_log()
    documents = documents_of(page)
    page.goto(site.url(path))
    expect(page.locator(USER)).to_have_text(user)
    assert page.url == site.url(path)
    assert documents == ["refresh; reason=expired", "200"]
    assert site.refresh_calls() == 1


def test_the_redirect_flow_keeps_query_and_fragment(redirecting_site: Site, page: Page) -> None:
    site = redirecting_site
    user = site.sign_up(page)
    site.expire(page)
    documents = documents_of(page)
    page.goto(site.url("/account?tab=2#claims"))
    expect(page.locator(USER)).to_have_text(user)
    assert page.url == site.url("/account?tab=2#claims")
    assert documents == ["refresh; reason=expired", "refresh; reason=expired", "200"]


def test_a_view_may_redirect_to_the_refresh_page_by_hand(site: Site, page: Page) -> None:
    user = site.sign_up(page)
    site.expire(page)
    page.goto(site.url("/redirected?tab=2#part"))
    expect(page.locator(USER)).to_have_text(user)
    assert page.url == site.url("/redirected?tab=2#part")


def test_a_script_that_a_view_redirects_to_the_refresh_page_gets_what_it_asked_for(
    site: Site, page: Page
) -> None:
    user = site.sign_up(page)
    page.goto(site.url("/account"))
    site.expire(page)
    text = page.evaluate("fetch('/redirected').then((answer) => answer.text())")
    assert user in text
    assert "Redirect flow" in text


def test_back_never_lands_on_the_refresh_page(site: Site, page: Page) -> None:
    site.sign_up(page)
    page.goto(site.url("/panel/"))
    site.expire(page)
    page.goto(site.url("/account"))
    page.wait_for_selector(USER)
    page.evaluate("history.back()")
    wait_for_address(page, site.url("/panel/"))


def test_a_revoked_session_ends_at_sign_in_and_then_where_the_visitor_wanted_to_go(
    site: Site, page: Page
) -> None:
    user = site.sign_up(page)
    site.expire(page)
    site.core.revoke_sessions(user)
    page.goto(site.url("/account?tab=2"))
    page.wait_for_url(re.compile("/auth"))
    site.fill_in(page)
    expect(page.locator(USER)).to_have_text(user)
    assert page.url == site.url("/account?tab=2")


@pytest.mark.parametrize("path", ["/account?tab=2", "/dashboard"])
def test_a_visitor_without_cookies_goes_straight_to_sign_in(
    site: Site, page: Page, path: str
) -> None:
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site.url(path))
    page.wait_for_url(re.compile(r"/auth\?redirectToPath="))
    assert not [url for url in asked if "session/refresh" in url]
    expect(page.locator("form[data-auth]")).to_have_attribute("data-return-path", path)


def test_a_stranger_sees_a_public_page_at_once(site: Site, page: Page) -> None:
    documents = documents_of(page)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(site.url("/"))
    expect(page.locator("[data-greeting]")).to_have_text("Hello, stranger.")
    assert documents == ["200"]
    assert not [url for url in asked if "session/refresh" in url]


def test_an_expired_reader_of_a_public_page_is_refreshed_first(site: Site, page: Page) -> None:
    user = site.sign_up(page)
    site.expire(page)
    documents = documents_of(page)
    page.goto(site.url("/"))
    expect(page.locator("[data-greeting]")).to_have_text(f"Hello, {user}.")
    assert documents == ["refresh; reason=expired", "200"]


def test_a_public_page_can_be_read_without_a_session_while_the_refresh_api_is_down(
    site: Site, page: Page
) -> None:
    site.sign_up(page)
    site.expire(page)
    site.core.stop_refresh_endpoint()
    page.goto(site.url("/?a=1#end"))
    page.click("text=Continue without signing in >> visible=true")
    expect(page.locator("[data-greeting]")).to_have_text("Hello, stranger.")
    # Twin: the same mark opens nothing where a session is required.
    page.goto(site.url("/account?continueSignedOut=1"))
    expect(page.locator("[data-ssr-cause=status]")).to_be_visible()


def test_two_tabs_share_one_refresh(site: Site, context: BrowserContext) -> None:
    first, second = context.new_page(), context.new_page()
    user = site.sign_up(first)
    second.goto(site.url("/panel/"))
    site.expire(first)
    site.core.clear_request_log()
    for tab in (first, second):
        tab.evaluate("url => { setTimeout(() => location.assign(url)) }", site.url("/account"))
    for tab in (first, second):
        expect(tab.locator(USER)).to_have_text(user)
    assert site.refresh_calls() == 1


def test_a_script_is_refreshed_without_any_page(site: Site, page: Page) -> None:
    user = site.sign_up(page)
    site.expire(page)
    # The page itself is loaded while the token is good, its fetch comes when it is not.
    page.goto(site.url("/panel/"))
    text = page.evaluate("fetch('/live/fragment').then(answer => answer.text())")
    assert user in text


def test_pages_ask_the_core_for_nothing_but_keys(site: Site, page: Page) -> None:
    site.sign_up(page)
    site.core.clear_request_log()
    for path in ("/", "/dashboard", "/account", "/redirected", "/form", "/admin", "/refresh"):
        page.goto(site.url(path))
    assert {(entry.method, entry.path) for entry in site.core.request_log()} <= {
        ("GET", "/.well-known/jwks.json")
    }


@chromium_only  # Firefox can switch scripts off for a whole profile only
def test_without_javascript_the_page_says_so_and_offers_sign_in(
    site: Site, browser: Browser, page: Page
) -> None:
    site.sign_up(page)
    site.expire(page)
    cookies = page.context.cookies()
    context = browser.new_context(java_script_enabled=False)
    context.add_cookies([{k: c[k] for k in ("name", "value", "domain", "path")} for c in cookies])  # type: ignore[misc]
    plain = context.new_page()
    plain.goto(site.url("/account"))
    expect(plain.locator("noscript a")).to_be_visible()
    context.close()


def test_the_apps_own_refresh_page_is_what_is_shown(site: Site, page: Page) -> None:
    with served(
        site.core.uri,
        module="tests.browser.overriding_app",
        environment={"OVERRIDES": "overrides"},
    ) as origin:
        own = Site(origin, site.core, site.clock)
        user = own.sign_up(page)
        for path in ("/dashboard", "/account"):
            own.expire(page)

            def look_first(route: Route) -> None:
                expect(page.locator("#own-look")).to_be_visible()
                route.continue_()

            page.route("**/session/refresh", look_first, times=1)
            page.goto(own.url(path))
            expect(page.locator(USER)).to_have_text(user)


def test_a_broken_refresh_page_does_not_break_the_whole_pages(site: Site, page: Page) -> None:
    with served(
        site.core.uri,
        module="tests.browser.overriding_app",
        environment={"OVERRIDES": "broken_overrides"},
    ) as origin:
        broken = Site(origin, site.core, site.clock)
        user = broken.sign_up(page)
        broken.expire(page)
        page.goto(broken.url("/account"))
        expect(page.locator(USER)).to_have_text(user)


def test_a_role_given_meanwhile_opens_its_page_after_the_next_refresh(
    site: Site, page: Page
) -> None:
    site.sign_up(page)
    page.goto(site.url("/admin"))
    expect(page.get_by_role("heading", name="Not for you")).to_be_visible()
    page.goto(site.url("/panel/"))
    page.click("text=Become admin")
    page.wait_for_url(site.url("/panel/?made=admin"))
    site.expire(page)
    page.goto(site.url("/admin"))
    expect(page.locator("[data-admin]")).to_contain_text("admin")


def test_an_address_is_verified_by_the_link_that_was_not_sent(site: Site, page: Page) -> None:
    site.sign_up(page)
    page.goto(site.url("/panel/"))
    links = page.locator("text=An e-mail that was not sent")
    before = links.count()
    page.click("text=Send me a verification e-mail")
    expect(links).to_have_count(before + 1)
    links.last.click()
    expect(page.locator("[data-verify]")).to_have_text("Verified.")
    site.expire(page)
    page.goto(site.url("/account"))
    expect(page.locator("dl")).to_contain_text("E-mail verifiedyes")


def test_the_quickstart_of_the_readme_signs_in_and_refreshes(site: Site, page: Page) -> None:
    with served(
        site.core.uri,
        module="tests.browser.pasted_readme",
        environment={"CORE": site.core.uri, "SUPERTOKENS_TLDEXTRACT_DISABLE_HTTP": "1"},
    ) as origin:
        pasted = Site(origin, site.core, site.clock)
        user = site.sign_up(page)
        page.context.clear_cookies()
        page.goto(f"{origin}/dashboard")
        page.wait_for_url(f"{origin}/auth?redirectToPath=/dashboard")
        page.fill("[name=email]", site.email)
        page.fill("[name=password]", "correct horse 1")
        page.click("button")
        expect(page.get_by_text(f"Hello, {user}")).to_be_visible()
        page.goto(f"{origin}/auth?redirectToPath=/")
        pasted.expire(page)
        documents = documents_of(page)
        page.goto(f"{origin}/dashboard")
        expect(page.get_by_text(f"Hello, {user}")).to_be_visible()
        assert documents == ["refresh; reason=expired", "200"]


def test_the_panel_makes_an_admin_of_whoever_asks_with_an_expired_token(
    site: Site, page: Page
) -> None:
    site.sign_up(page)
    page.goto(site.url("/panel/"))
    site.expire(page)
    with page.expect_navigation(url="**/panel/?made=admin"):
        page.click("text=Become admin")
    site.expire(page)  # the next token carries the role
    page.goto(site.url("/admin"))
    expect(page.locator("[data-admin]")).to_contain_text("admin")


def test_the_console_names_the_api_where_cookies_cannot_arrive(site: Site, page: Page) -> None:
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.goto(site.url("/"))
    assert not [text for text in messages if "flask_ssr_session" in text]
    # The same page at another name of this machine, which is another host to cookies.
    page.goto(site.url("/").replace("localhost", "other.example.test"))
    assert [text for text in messages if f"The refresh API is {site.origin}/auth" in text]
