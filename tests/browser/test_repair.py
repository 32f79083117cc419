"""A refused page leads to what the visitor lacks and back, and never round in circles.

"Laps" are the requests for the refused page, "calls" those of the refresh API.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Any

import pyotp
import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from ..dev_core.support import send
from ..tables import rows
from . import act, see
from .conftest import Serve, Site, both_engines, both_flows

TO_STEP = {"link": "Go to this step", "href": "redirectToPath="}
EMAIL_API = "**/auth/user/email/verify"
VERIFY_PAGE = re.compile(r"/auth/verify-email\?redirectToPath=")
FACTOR_PAGE = re.compile(r"/auth/mfa(/totp)?\?")
QUERY = "?tab=2&q=a b#claims"
# As a browser writes it.
WRITTEN = "?tab=2&q=a%20b#claims"


def counting(page: Page, path: str) -> Callable[[], tuple[int, ...]]:
    """Count what *page* requests: the laps, steps, calls about claims, and refreshes."""
    steps = "/auth/(verify-email|mfa(/totp)?)"
    patterns = (path, steps, "/auth/(user/email/verify|mfa/info)", "/auth/session/refresh")

    def kind(request: Request) -> int | None:
        url = re.split("[?#]", request.url)[0]
        return next((n for n, one in enumerate(patterns) if re.search(f"{one}$", url)), None)

    kinds = see.events(page, "request", kind)
    return lambda: tuple(kinds.count(n) for n in range(4))


def do(site: Site, action: str, user: str) -> None:
    site.ask(f"/repair/do/{action}/{user}")


def change_claims(site: Site, page: Page, user: str, **claims: Any) -> None:
    """Change claims of the session at the core; None removes one. The token has them, too."""
    session = site.core.list_sessions(user)[-1]
    changed = {k: v for k, v in {**session.payload, **claims}.items() if v is not None}
    body = {"sessionHandle": session.handle, "userDataInJWT": changed}
    assert send(site.core.uri, "PUT", "/recipe/jwt/data", body=body).status == 200
    site.renew(page)


# What the core or the app learns about a user (a name), or the claims of the session.
Event = str | dict[str, Any]
PENDING: list[Event] = ["require-totp", {"st-mfa": {"c": {"emailpassword": 1}, "v": False}}]


def sign_up(site: Site, page: Page, *events: Event) -> str:
    """Sign a new user up, and let *events* happen."""
    user = site.sign_up(page)
    for event in events:
        if isinstance(event, str):
            do(site, event, user)
        else:
            change_claims(site, page, user, **event)
    return user


def set_up_factor(page: Page) -> pyotp.TOTP:
    """Set an authenticator app up on the factor page, and enter its code."""
    page.get_by_role("button", name="Set it up").click()
    secret = page.locator("[data-secret] code")
    expect(secret).to_be_visible()
    device = pyotp.TOTP(secret.inner_text())
    enter_code(page, device.now())
    return device


def enter_code(page: Page, code: str) -> None:
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Continue").click()


# --- the whole flow ------------------------------------------------------------------------------


@both_engines
def test_a_verified_address_is_asked_for_and_the_page_is_shown(site: Site, page: Page) -> None:
    user = site.sign_up_by_form(page)
    counts = counting(page, "/verified")
    page.goto(site.url(f"/verified{QUERY}"))
    page.wait_for_url(VERIFY_PAGE)
    page.get_by_role("button", name="Send me the link").click()
    page.locator("[data-sent] a").click()
    page.get_by_role("link", name=f"Verify {site.email}").click()
    page.wait_for_url(site.url(f"/verified{WRITTEN}"))
    see.user(page, user)
    # Twice on the page that sends the link, and on the one that the link opens.
    assert counts() == (2, 2, 2, 0)


@rows(
    "path, events",
    {
        "a verified address, in another browser": ("/verified", ["verify-email"]),
        "a session of before the site had second factors": ("/account", [{"st-mfa": None}]),
        "a factor that is no longer required": ("/account", [*PENDING, "no-longer-require-totp"]),
    },
)
def test_the_api_alone_completes(site: Site, page: Page, path: str, events: list[Event]) -> None:
    user = sign_up(site, page, *events)
    counts = counting(page, path)
    site.show(page, path + QUERY, user)
    assert page.url == site.url(path + WRITTEN)
    assert counts() == (2, 0, 1, 0)


def test_a_recent_code_is_asked_for_and_the_page_is_shown(site: Site, page: Page) -> None:
    user = site.sign_up_by_form(page)
    counts = counting(page, "/vault")
    page.goto(site.url(f"/vault{QUERY}"))
    page.wait_for_url(FACTOR_PAGE)
    device = set_up_factor(page)
    page.wait_for_url(site.url(f"/vault{WRITTEN}"))
    see.user(page, user)
    assert counts() == (2, 1, 0, 0)
    # Too long ago again: the code is asked for, and no set-up.
    factors = {"emailpassword": int(time.time()), "totp": int(time.time()) - 121}
    change_claims(site, page, user, **{"st-mfa": {"c": factors, "v": True}})
    page.reload()
    page.wait_for_url(FACTOR_PAGE)
    enter_code(page, "000000")
    expect(page.get_by_label("Code")).to_have_accessible_description(re.compile("is wrong"))
    enter_code(page, device.at(time.time() + 30))
    page.wait_for_url(site.url(f"/vault{WRITTEN}"))
    see.user(page, user)
    assert counts() == (4, 2, 0, 0)


# --- half signed-in users ------------------------------------------------------------------------


def test_a_required_factor_is_set_up_after_sign_up(site: Site, page: Page) -> None:
    user = sign_up(site, page, *PENDING)
    counts = counting(page, "/account")
    page.goto(site.url(f"/account{QUERY}"))
    page.wait_for_url(FACTOR_PAGE)
    set_up_factor(page)
    page.wait_for_url(site.url(f"/account{WRITTEN}"))
    see.user(page, user)
    assert counts() == (2, 1, 1, 0)


# --- a recent sign-in ----------------------------------------------------------------------------


@pytest.fixture
def old_user(site: Site, page: Page) -> str:
    """A user who signed in two hours ago, whose token is new."""
    with site.clock.shifted(-7200):
        user = site.sign_up(page)
    site.renew(page)
    return user


def test_only_the_button_signs_out_for_a_new_sign_in(site: Site, page: Page, old_user: str) -> None:
    counts = counting(page, "/repair/recent")
    signed_out = see.requests(page, "/auth/signout")
    page.goto(site.url("/panel/"))
    page.goto(site.url(f"/repair/recent{QUERY}"))
    see.part(page, "sign-in-again")
    page.get_by_role("button", name="Go back").click()
    see.address(page, site.url("/panel/"))
    site.show(page, "/account", old_user)
    page.goto(site.url(f"/repair/recent{QUERY}"))
    see.part(page, "sign-in-again")
    page.wait_for_load_state("networkidle")
    assert signed_out == []
    assert counts() == (2, 0, 0, 0)
    act.answer(page, 500, act.SIGN_OUT_API)
    page.get_by_role("button", name="Sign in again").click()
    expect(page.locator("[data-ssr-cause=status]")).to_be_visible()
    assert page.url == site.url(f"/repair/recent{WRITTEN}")
    page.unroute(act.SIGN_OUT_API)
    act.try_again(page)
    page.wait_for_url(re.compile(r"/auth\?redirectToPath=/repair/recent"))
    assert len(signed_out) == 2
    site.fill_in(page)
    page.wait_for_url(site.url(f"/repair/recent{WRITTEN}"))
    see.user(page, old_user)
    assert counts() == (3, 0, 0, 0)


# --- claims of the core --------------------------------------------------------------------------


def test_a_role_counts_at_once_on_a_page_that_asks_the_core(site: Site, page: Page) -> None:
    """That page refreshes once in the background, so that the others know of the role, too."""
    site.sign_up(page, to="/checked")
    expect(page.locator("main")).to_contain_text("none")
    site.core.clear_request_log()
    counts = counting(page, "/checked")
    page.context.request.post(site.url("/panel/become-admin"))
    with page.expect_response(act.REFRESH_API):
        page.goto(site.url("/checked"))
    expect(page.locator("main")).to_contain_text("admin")
    page.goto(site.url("/admin"))
    expect(page.locator("[data-admin]")).to_be_visible()
    page.goto(site.url("/checked"))
    page.wait_for_load_state("networkidle")
    assert counts() == (2, 0, 0, 1)
    assert site.refresh_calls() == 1


# --- no failure makes a visitor go round in circles ----------------------------------------------

Sabotage = Callable[[Page], object]
CURE = re.compile(r"/auth/(verify-email|mfa(/totp)?)\?")


def api(status: int | None = 200, body: str = "{}") -> Sabotage:
    """Make the API say this of any claim; None makes it unreachable."""

    def answer(route: Route) -> None:
        if status is None:
            route.abort()
        else:
            route.fulfill(status=status, body=body, content_type="application/json")

    return lambda page: page.route(re.compile("/auth/(user/email/verify|mfa/info)"), answer)


def bounces(page: Page) -> None:
    """Make the page of the step lead back at once."""
    back = "location.replace(new URLSearchParams(location.search).get('redirectToPath'))"
    body = f"<!doctype html><script>{back}</script>"
    page.route(CURE, lambda route: route.fulfill(body=body, content_type="text/html"))


def sabotaged(page: Page, *ways: Sabotage | str) -> None:
    """Do all of these; a text is a script that runs on every page."""
    for way in ways:
        page.add_init_script(way) if isinstance(way, str) else way(page)


OK_MET = json.dumps({"status": "OK", "isVerified": True, "factors": {"next": []}})
OTHER = '{"status":"GENERAL_ERROR","message":"no"}'
Start = tuple[str, list[Event]]
MAIL: Start = ("/verified", [])
MFA: Start = ("/account", PENDING)
CODE: Start = ("/vault", [])


@rows(
    "path, events, sabotage, shown, counted",
    {
        "an API that calls it verified": (*MAIL, [api(body=OK_MET)], "unhelped", (2, 0, 1, 0)),
        "an API that calls factors complete": (*MFA, [api(body=OK_MET)], "unhelped", (2, 0, 1, 0)),
        "a page for the address that leads back": (*MAIL, [bounces], "repair", (2, 1, 2, 0)),
        "a page for factors that leads back": (*MFA, [bounces], "repair", (2, 1, 2, 0)),
        "a page for a code that leads back": (*CODE, [bounces], "repair", (2, 1, 0, 0)),
        "that, without a storage": (*CODE, [act.NO_SESSION, bounces], "repair", (2, 1, 0, 0)),
        "no licence": (*MFA, [api(402, "A licence is needed")], "status", (1, 0, 1, 0)),
        "an API that fails for the address": (*MAIL, [api(500)], "status", (1, 0, 1, 0)),
        # The API refuses its own new tokens; the SDK would refresh ten times.
        "an API that always refreshes": (*MAIL, [api(401)], "answer", (1, 0, 2, 1)),
        "an API that cannot be reached": (*MAIL, [api(None)], "network", (1, 0, 1, 0)),
        "an answer that is no JSON": (*MAIL, [api(body="<p>")], "answer", (1, 0, 1, 0)),
        "an answer without factors": (*MFA, [api(body='{"status":"OK"}')], "answer", (1, 0, 1, 0)),
        "another status": (*MAIL, [api(body=OTHER)], "answer", (1, 0, 1, 0)),
        "no local storage": (*MAIL, [act.NO_LOCAL], "blocked", (1, 0, 0, 0)),
        "no cookies": (*MFA, [act.NO_COOKIES], "blocked", (1, 0, 0, 0)),
    },
)
def test_a_step_that_does_not_help_ends_on_a_page(
    site: Site,
    page: Page,
    path: str,
    events: list[Event],
    sabotage: list[Sabotage | str],
    shown: str,
    counted: tuple[int, int, int, int],
) -> None:
    sign_up(site, page, *events)
    sabotaged(page, *sabotage)
    counts, said = counting(page, path), see.console(page)
    page.goto(site.url(path + QUERY))
    if shown == "repair":  # the visitor may have left the step undone
        see.part(page, "repair")
    else:
        see.cause(page, shown, **TO_STEP)
    page.wait_for_load_state("networkidle")
    assert counts() == counted
    assert page.url == site.url(path + WRITTEN)
    assert len(said) <= 1
    assert said or shown == "blocked"


def test_no_lap_is_made_without_a_place_for_a_mark(site: Site, page: Page) -> None:
    """Session storage is blocked, and the window has a name of the site's own."""
    site.sign_up(page)
    sabotaged(page, act.NO_SESSION, act.NAMED, bounces)
    counts = counting(page, "/vault")
    page.goto(site.url("/vault"))
    see.part(page, "repair")
    page.wait_for_load_state("networkidle")
    assert counts() == (1, 0, 0, 0)
    # Each further lap is the visitor's own.
    page.get_by_role("link", name="Go to this step").click()
    see.part(page, "repair")
    page.wait_for_load_state("networkidle")
    assert counts() == (2, 1, 0, 0)


def test_an_api_that_is_silent_is_named_and_may_be_asked_again(site: Site, page: Page) -> None:
    user = site.sign_up(page)
    page.clock.install()
    act.hold(page, EMAIL_API, only_first=True)
    counts = counting(page, "/verified")
    page.goto(site.url("/verified"))
    see.part(page, "working")
    page.clock.run_for(11_000)
    see.cause(page, "silent", **TO_STEP)
    do(site, "verify-email", user)
    act.try_again(page)
    see.user(page, user)
    assert counts() == (2, 0, 2, 0)


def test_a_session_that_ends_as_the_api_is_asked_leads_to_sign_in(site: Site, page: Page) -> None:
    """The core knows the session no more, so the API answers 401 and removes the tokens."""
    site.sign_up(page)
    page.goto(site.url("/account"))
    site.core.revoke_sessions()
    counts = counting(page, "/verified")
    page.goto(site.url(f"/verified{QUERY}"))
    page.wait_for_url(re.compile(r"/auth\?redirectToPath=/verified"))
    site.fill_in(page)
    page.wait_for_url(VERIFY_PAGE)
    assert counts() == (2, 1, 2, 0)


@both_flows
@pytest.mark.usefixtures("user")
def test_an_expired_token_is_refreshed_before_the_step(site: Site, page: Page) -> None:
    counts = counting(page, "/verified")
    page.goto(site.url(f"/verified{QUERY}"))
    page.wait_for_url(VERIFY_PAGE)
    assert counts() == (2, 1, 1, 1)


def test_a_sandboxed_frame_names_the_cause(site: Site, page: Page) -> None:
    site.sign_up(page)
    counts = counting(page, "/verified")
    frame = "<iframe sandbox='allow-scripts' src='/verified'></iframe>"
    page.goto(site.url(f"/raw?text={frame}&policy=anything"))
    expect(page.frame_locator("iframe").locator("[data-ssr-cause=blocked]")).to_be_visible()
    assert counts() == (1, 0, 0, 0)


def test_without_scripts_a_link_leads_to_the_step(site: Site, browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        site.sign_up(page)
        page.goto(site.url("/verified?tab=2"))
        expect(page.locator("noscript h1, noscript h2")).to_be_visible()
        page.locator("noscript").get_by_role("link", name="Go to this step").click()
        assert page.url == site.url("/auth/verify-email?redirectToPath=/verified%3Ftab%3D2")
        page.goto(site.url("/vault"))
        page.locator("noscript").get_by_role("link", name="Go to this step").click()
        assert page.url == site.url("/auth/mfa/totp?stepUp=true&redirectToPath=/vault")
        expect(page.locator("main noscript p")).to_contain_text("requires JavaScript")


# --- forms ---------------------------------------------------------------------------------------


@rows("path", {"an address": "/repair/mail", "a code": "/repair/code"})
def test_a_form_waits_for_the_step_and_the_visitor(site: Site, page: Page, path: str) -> None:
    user = site.sign_up(page, to="/account")
    counts = counting(page, path)
    act.post_form(page, site.url(path), note="typed with care")
    see.part(page, "repair")
    expect(page.locator("[data-ssr-part=repair]")).to_contain_text("Nothing was sent")
    page.wait_for_load_state("networkidle")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Go to this step").click()
    step = opened.value
    if "mail" in path:
        expect(step.get_by_role("button", name="Send me the link")).to_be_visible()
        do(site, "verify-email", user)
    else:
        set_up_factor(step)
        step.wait_for_url(site.url("/repair/code"))
    page.get_by_role("button", name="I have done this step").click()
    page.get_by_role("button", name="Send them now").click()
    expect(page.locator("[data-note]")).to_have_text("typed with care")
    assert counts() == (2, 0, 2 if "mail" in path else 0, 0)


def test_a_form_that_is_sent_before_the_step_is_done_stays(site: Site, page: Page) -> None:
    site.sign_up(page, to="/account")
    counts = counting(page, "/repair/code")
    act.post_form(page, site.url("/repair/code"), note="typed with care")
    for _ in range(2):
        page.get_by_role("button", name="I have done this step").click()
        page.get_by_role("button", name="Send them now").click()
        see.part(page, "repair")
    expect(page.locator("form [name=note]")).to_have_value("typed with care")
    assert counts() == (3, 0, 0, 0)


# --- pages and lists of the site's own -----------------------------------------------------------


@pytest.fixture(scope="module")
def own_site(serve: Serve) -> Site:
    """It requires a verified address everywhere, has a page for it, and a list of revoked users."""
    pages = {"EXAMPLE_SSR_SESSION_CLAIM_PAGES": '{"st-ev": "/repair/cure"}'}
    return serve(EMAIL_MODE="REQUIRED", LISTED="1", **pages)


def test_a_step_may_require_a_session(own_site: Site, page: Page) -> None:
    site = own_site
    user = site.sign_up(page)
    counts = counting(page, "/account")
    page.goto(site.url(f"/account{QUERY}"))
    page.wait_for_url(re.compile(r"/repair/cure\?redirectToPath=/account%3Ftab%3D2.*%23claims"))
    see.user(page, user)
    assert counts() == (1, 0, 1, 0)
    # Then the step itself, and back.
    do(site, "verify-email", user)
    site.show(page, "/account", user)
    assert page.url == site.url("/account")


def test_a_user_that_the_site_revokes_ends_at_sign_in(own_site: Site, page: Page) -> None:
    """The core knows the session, and refreshes it, but the site has its own list."""
    site = own_site
    user = sign_up(site, page, "verify-email")
    site.show(page, "/account", user)
    do(site, "revoke", user)
    site.let_time_pass(page)
    counts = counting(page, "/account")
    act.follow(page, site.url(f"/account{QUERY}"))
    page.wait_for_url(re.compile(r"/auth\?redirectToPath=/account"))
    page.wait_for_load_state("networkidle")
    assert counts() == (2, 0, 0, 1)
    assert site.core.list_sessions(user) == []
    # Signing in again makes another lap, of the visitor's own, and ends in the same place.
    with page.expect_response("**/auth/signout"):
        site.fill_in(page)
    page.wait_for_url(re.compile(r"/auth\?redirectToPath=/account"))
    page.wait_for_load_state("networkidle")
    assert counts()[3] <= 2
    assert site.core.list_sessions(user) == []
