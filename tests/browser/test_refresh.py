"""The browser refreshes an expired session, and the page comes back; no failure signs out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from ..tables import rows
from . import act, see
from .conftest import ROOT, Serve, Site, both_engines, served

GREETING = "[data-greeting]"
AGAIN = "refresh; reason=expired"
# The SDK reads its list of top-level domains from the disk.
WITHOUT_LIST = {"SUPERTOKENS_TLDEXTRACT_DISABLE_HTTP": "1"}


def test_the_example_of_the_readme_refreshes_a_token_that_ran_out_by_itself(page: Page) -> None:
    """With its own core, on a page that says when."""
    short = ("--access-token-validity", "3")
    with served(None, module="example_app", arguments=short) as origin:
        page.goto(f"{origin}/auth/sign-up?redirectToPath=/dashboard%3Ftab=2")
        page.fill("#email", "somebody@example.test")
        page.fill("#password", "correct horse 1")
        page.click("main button")
        user = page.text_content(see.USER)
        assert user
        expect(page.locator("[data-expires]")).to_contain_text("has expired")
        documents = see.documents(page)
        page.goto(f"{origin}/account?tab=2#claims")
        see.user(page, user)
        assert page.url == f"{origin}/account?tab=2#claims"
        assert documents == [AGAIN, "200"]
        # The example's timeline shows the refresh page, which has no script of the example, and
        # shows none between sign-up and the first page.
        steps = page.locator("[data-timeline] strong").all_inner_texts()
        expected = "Sign-up call, Dashboard, Token expired, Refresh page, Refresh call, Account"
        assert expected in ", ".join(steps)


@both_engines
def test_a_page_is_refreshed_once_and_keeps_its_address(site: Site, page: Page, user: str) -> None:
    seen = see.documents(page)
    # A view requires a session, a template decides, a view redirects by hand, and a page for all.
    for path in ("/account?tab=2#claims", "/dashboard?tab=2&x=%2F", "/redirected?t=2#part", "/"):
        seen.clear()
        page.goto(site.url(path))
        see.user(page, user)
        assert page.url == site.url(path)
        assert [state for state in seen if state != "302"] == [AGAIN, "200"], path
        assert site.refresh_calls() == 1, path
        site.expire(page)
    # A script that a view redirects gets its page, too.
    assert user in page.evaluate("fetch('/redirected').then((answer) => answer.text())")


def test_a_visitor_without_cookies_is_never_refreshed(site: Site, page: Page) -> None:
    calls = see.calls(page)
    for path in ("/account?tab=2", "/dashboard"):
        page.goto(site.url(path))
        page.wait_for_url(re.compile(r"/auth\?redirectToPath="))
        expect(page.locator("form[data-auth]")).to_have_attribute("data-return-path", path)
    documents = see.documents(page)
    page.goto(site.url("/"))
    expect(page.locator(GREETING)).to_have_text("Hello, stranger.")
    assert (documents, calls) == (["200"], [])


@pytest.mark.usefixtures("user")
def test_a_public_page_can_be_read_in_an_outage(site: Site, page: Page) -> None:
    site.core.stop_refresh_endpoint()
    page.goto(site.url("/?a=1#end"))
    page.click("text=Continue without signing in >> visible=true")
    expect(page.locator(GREETING)).to_have_text("Hello, stranger.")
    # Twin: the same mark opens nothing where a session is required.
    page.goto(site.url("/account?continueSignedOut=1"))
    see.cause(page, "status")


# --- the example ---------------------------------------------------------------------------------


def test_the_timeline_tells_a_refresh_from_the_end_of_a_session(site: Site, page: Page) -> None:
    site.sign_up(page, to="/checked")
    timeline = page.locator("[data-timeline]")
    for revoke, seen in ((False, "200, a new token"), (True, "401, the session has ended")):
        if revoke:
            page.request.post(site.url("/panel/revoke-sessions"))
        else:
            site.expire(page)
        page.goto(site.url("/checked"))
        expect(timeline).to_contain_text(seen)


def test_an_address_is_verified_by_the_link_that_was_not_sent(site: Site, page: Page) -> None:
    site.sign_up(page, to="/panel/")
    link = page.get_by_role("link", name=f"Verify {site.email} ")
    for _ in range(2):  # one link for each address: the newest
        with page.expect_navigation():
            page.click("text=Verify my address")
    link.click()
    see.address(page, site.url("/verified"))
    site.expire(page)
    page.goto(site.url("/account"))
    expect(page.locator("dl")).to_contain_text("E-mail verifiedyes")
    page.goto(site.url("/panel/"))
    expect(link).to_have_count(0)


@rows(
    "docs, path, later",
    {
        "the quickstart": ("quickstart", "/account", "/account"),
        "FastAPI": ("fastapi", "/?page=2", "/?page=3#part"),
        "Django": ("django", "/?page=2", "/?page=3#part"),
    },
)
def test_a_site_of_the_documentation_signs_in_and_refreshes(
    site: Site, serve: Serve, page: Page, docs: str, path: str, later: str
) -> None:
    pasted = serve("tests.browser.pasted_docs", DOCS_PAGE=docs, **WITHOUT_LIST)
    user = site.sign_up(page)
    page.context.clear_cookies()
    page.goto(pasted.url(path))
    page.wait_for_url(pasted.url(f"/auth?redirectToPath={quote(path)}"))
    page.fill("[name=email]", site.email)
    page.fill("[name=password]", "correct horse 1")
    page.click("button")
    hello = page.get_by_text(f"Hello, {user}")
    expect(hello).to_be_visible()
    pasted.expire(page)
    documents = see.documents(page)
    page.goto(pasted.url(later))
    expect(hello).to_be_visible()
    assert page.url == pasted.url(later)
    assert documents == [AGAIN, "200"]


# --- trouble -------------------------------------------------------------------------------------


def test_a_refresh_that_fails_ends_in_a_retry_that_works(site: Site, page: Page, user: str) -> None:
    before = page.context.cookies()
    site.core.stop_refresh_endpoint()
    page.goto(site.url("/account?tab=2#claims"))
    see.cause(page, "status")
    expect(page.locator("[data-ssr-detail]")).to_have_text("500")
    assert page.context.cookies() == before
    site.core.start_refresh_endpoint()
    page.route(act.REFRESH_API, lambda route: route.abort("connectionrefused"))
    act.try_again(page)
    see.cause(page, "network")
    page.unroute(act.REFRESH_API)
    act.try_again(page)
    see.user(page, user)
    assert page.url == site.url("/account?tab=2#claims")


def test_the_pictures_are_made_by_one_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.screenshots", "--folder", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    made = {picture.name: picture.read_bytes() for picture in tmp_path.iterdir()}
    assert made.keys() == {picture.name for picture in (ROOT / "docs" / "images").iterdir()}
    for picture in made.values():
        assert picture.startswith(b"\x89PNG")
