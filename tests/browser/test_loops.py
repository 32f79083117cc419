"""No failure makes a visitor loop: a page names the cause and offers a way out.

"Calls" are what the browser sends to the refresh API.
"""

from __future__ import annotations

import itertools
import json
import random
import re
import string
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Error, Page, Playwright, Route, expect

from flask_ssr_session.testing import SessionSigner

from ..tables import rows
from ..tokens import expired_token, make_token
from . import act, see
from .conftest import Serve, Site, blocking_browser, both_engines, both_flows, each_flow

OK = '{"status":"OK"}'
SIGNED_OUT: dict[str, Any] = {"headers": {"front-token": "remove"}, "body": OK}


FRONT = {"front-token": act.front_token()}


@pytest.fixture
def planted(site: Site, context: BrowserContext) -> str:
    """An expired session that no core knows; the test answers for the refresh API."""
    token = expired_token()
    site.plant(context, sAccessToken=token, sFrontToken=act.front_token())
    site.plant(context, st_last_access_token_update="1700000000000")
    return token


def stored(token: str) -> dict[str, str]:
    return {**FRONT, "set-cookie": f"sAccessToken={token}; Path=/; HttpOnly; SameSite=Lax"}


# --- responses of the refresh API ----------------------------------------------------------------

FOR_DEVELOPERS = re.compile("cookie.domain|older_cookie|signing|core|Set-Cookie|SDK|_")


@rows(
    "status, sets, cause, console",
    {
        "429": (429, "no front token", "status", "failed (status)"),
        "no front token": (200, "no front token", "answer", "failed (answer)"),
        "no new token": (200, "", "unchanged", "another domain or path"),
        "the same token": (200, "same", "unchanged", "another domain or path"),
        "no token at all": (200, "junk", "refused", "signing keys"),
        "a token of a foreign key": (200, "foreign", "refused", "signing keys"),
        "a token where there was none": (200, "lost", "absent", "cookie domain"),
        "two tokens": (200, "two", "duplicate", "older_cookie_domain"),
    },
)
def test_an_answer_that_does_not_help_ends_on_a_page_for_visitors_and_in_the_console(
    site: Site, page: Page, planted: str, status: int, sets: str, cause: str, console: str
) -> None:
    foreign = SessionSigner(site.core.state()["signingKeys"][0]["kid"])
    tokens = {"same": planted, "junk": "junk", "foreign": make_token(foreign)}
    if sets == "lost":
        page.context.clear_cookies(name="sAccessToken")
    elif sets == "two":
        act.copy_token(page, path="/account")
    headers = {} if sets == "no front token" else stored(tokens[sets]) if sets in tokens else FRONT
    act.answer(page, status, **headers)
    calls, said = see.calls(page), see.console(page)
    page.goto(site.url("/account?tab=2#claims"))
    see.cause(page, cause, href="/auth?redirectToPath=/account%3Ftab%3D2%23claims")
    assert page.url == site.url("/account?tab=2#claims")
    assert len(calls) <= (1 if sets == "lost" else 2)
    assert [console in text for text in said] == [True]
    assert FOR_DEVELOPERS.search(page.locator("[data-ssr-session]").inner_text()) is None


@both_engines
def test_tokens_of_a_clock_behind_are_refused_at_once(site: Site, page: Page, user: str) -> None:
    """However far apart a browser's two clocks are, which are both made inexact."""
    page.add_init_script(
        """const now = Performance.prototype.now;
        Performance.prototype.now = function () { return now.call(this) + 18; };"""
    )
    calls = see.calls(page)
    with site.clock.behind():
        page.goto(site.url("/account"))
        see.cause(page, "refused")
        assert len(calls) == 1
        # Each further lap is the visitor's own.
        with page.expect_event("framenavigated"):
            act.try_again(page)
        see.cause(page, "refused")
        assert len(calls) == 2
    act.try_again(page)
    see.user(page, user)


# --- what the browser may have left --------------------------------------------------------------


@rows(
    "lost, made",
    {
        "only the update mark is left of the SDK's": ("sFrontToken", 1),
        "nothing of the SDK's": (f"sFrontToken|{see.UPDATE}", 1),
        "no update mark": (see.UPDATE, 1),
        "no access token": ("sAccessToken", 1),
        "nothing of the SDK's, and the token is good": (f"sFrontToken|{see.UPDATE}", 0),
    },
)
def test_a_session_is_found_by_what_is_left(site: Site, page: Page, lost: str, made: int) -> None:
    """With the update mark alone the SDK says "signed out" without asking."""
    user = site.sign_up(page)
    if made:
        site.expire(page)
    calls = see.calls(page)
    page.context.clear_cookies(name=re.compile(lost))
    site.show(page, "/account", user)
    assert len(calls) == made


@pytest.mark.usefixtures("planted")
@rows("signs_out", {"long after the session has ended": False, "right after a sign-out": True})
def test_a_token_is_left(site: Site, page: Page, signs_out: bool) -> None:
    """The SDK marks a sign-out like a refresh; no refresh came before, so none was in vain."""
    page.goto(site.url("/panel/"))
    page.route(act.SIGN_OUT_API, lambda route: route.fulfill(**SIGNED_OUT))
    calls = see.calls(page)
    if signs_out:
        page.evaluate("supertokensWebsite.signOut().then(() => location.assign('/account'))")
    else:
        page.context.clear_cookies(name="sFrontToken")
        page.goto(site.url("/account"))
    page.wait_for_url(re.compile(r"/auth\?redirectToPath=/account$"))
    assert len(calls) == 1


def test_a_lock_that_nobody_holds_is_removed_or_waited_out(site: Site, page: Page) -> None:
    user = site.sign_up(page)
    page.clock.install()
    future = "JSON.stringify({ id: 'x', timeRefreshed: 9e15, timeAcquired: 9e15 })"
    dead = future.replace("9e15", "Date.now()")  # a tab that is gone has left it
    for lock in ("'junk'", "null", "'[]'", "'{}'", future, dead):
        page.goto(site.url("/panel/"))
        site.expire(page)
        page.evaluate(f"localStorage.setItem('{see.SDK_LOCK}', {lock})")
        page.goto(site.url("/account"))
        if lock is dead:
            see.part(page, "working")
            for _ in range(9):
                page.clock.run_for(1000)
        see.user(page, user)
        assert site.refresh_calls() == 1, lock


# --- cookies that do not arrive, or arrive twice -------------------------------------------------


def named_site(serve: Serve, **arguments: str | bool) -> Site:
    """Serve the app on plain http as app.example.test, with arguments for the SDK."""
    return serve(HOST="app.example.test", SESSION_ARGUMENTS=json.dumps(arguments))


@both_engines
@rows(
    "arguments",
    {
        "the domain of another subdomain": {"cookie_domain": "other.example.test"},
        "Secure on plain http": {"cookie_secure": True},
    },
)
def test_refused_cookies_are_named(serve: Serve, page: Page, arguments: dict[str, Any]) -> None:
    site = named_site(serve, **arguments)
    page.goto(site.url("/auth/sign-up?redirectToPath=/account"))
    site.new_email()
    site.fill_in(page)
    see.cause(page, "absent")
    site.let_time_pass(page)
    calls = see.calls(page)
    page.goto(site.url("/account"))
    page.wait_for_url(re.compile(r"/auth\?"))
    assert len(calls) == 1
    site.fill_in(page)
    see.cause(page, "absent")
    assert len(calls) == 1


@rows(
    "older, cause",
    {
        # The SDK's refresh API responds with 500.
        "are named": ({}, "duplicate"),
        # The first response only deletes the older cookie, and sets no new token.
        "of which one is older, are cleared up": ({"older_cookie_domain": ""}, ""),
    },
)
def test_two_sessions(serve: Serve, page: Page, older: dict[str, str], cause: str) -> None:
    site = named_site(serve, cookie_domain=".example.test", **older)
    user = site.signed_up_and_expired(page)
    site.plant(page.context, sAccessToken=expired_token("another"))
    calls = see.calls(page)
    page.goto(site.url("/account"))
    see.cause(page, cause) if cause else see.user(page, user)
    assert len(calls) <= 2


# --- what the browser may block ------------------------------------------------------------------


@both_engines
def test_blocked_cookies(site: Site, engine: str, playwright: Playwright, tmp_path: Path) -> None:
    with blocking_browser(engine, playwright, tmp_path) as context:
        page = context.new_page()
        calls = see.calls(page)
        page.goto(site.url("/account"))
        assert page.url == site.url("/auth?redirectToPath=/account")
        page.goto(site.url("/refresh-session?redirectBack=/account"))
        see.cause(page, "blocked")
        act.try_again(page)
        see.cause(page, "blocked")
        assert calls == []


REFUSE = "const refuse = () => { throw new DOMException('no', 'SecurityError') };"
FULL_SESSION = """Storage.prototype.setItem = function (key, value) {
    if (this === sessionStorage) refuse(); this[key] = value };"""
FORGET_UPDATE = f"document.cookie = '{see.UPDATE}=1; path=/; SameSite=Lax';"


@rows(
    "blocking",
    {
        "local storage": act.NO_LOCAL,
        "cookies": act.NO_COOKIES,
        "everything": act.NO_COOKIES + act.NO_LOCAL + act.NO_SESSION,
        "full storage": "Storage.prototype.setItem = refuse;",
    },
)
@pytest.mark.usefixtures("planted")
def test_what_the_sdk_cannot_do_without_is_named(site: Site, page: Page, blocking: str) -> None:
    calls = see.calls(page)
    page.add_init_script(REFUSE + blocking)
    page.goto(site.url("/account"))
    see.cause(page, "blocked")
    act.try_again(page)
    see.cause(page, "blocked")
    assert len(calls) <= 2


@rows(
    "blocking, name",
    {
        "no session storage": (act.NO_SESSION, see.MARKER),
        "no session storage, and a name of the page's": (act.NO_SESSION + act.NAMED, "mine"),
        "full session storage": ("sessionStorage.setItem = refuse;", ""),
        "session storage, and a name of the page's": (act.NAMED, "mine"),
    },
)
def test_a_window_keeps_a_name(site: Site, page: Page, user: str, blocking: str, name: str) -> None:
    calls = see.calls(page)
    page.add_init_script(REFUSE + blocking)
    site.show(page, "/account", user)
    assert len(calls) == 1
    assert page.evaluate("window.name").startswith(name)


def refuse_every_token(page: Page) -> None:
    """Make the refresh API set a new token each time, which the site does not accept."""
    numbers = itertools.count()

    def answer(route: Route) -> None:
        route.fulfill(status=200, headers=stored(f"junk{next(numbers)}"), body="{}")

    page.route(act.REFRESH_API, answer)


# Each engine has its own accuracy of clocks, and its own life of a window's name.
@rows(
    "engine, clearing",
    {
        "nothing": ("chromium", ""),
        "session storage": ("chromium", "sessionStorage.clear();"),
        "session storage, in Firefox": ("firefox", "sessionStorage.clear();"),
        "the update mark": ("chromium", FORGET_UPDATE),
        "session storage, while the name is in use": ("chromium", act.NO_SESSION + act.NAMED),
        "all but the name": ("chromium", act.NO_SESSION + FORGET_UPDATE),
        "all but the name, in Firefox": ("firefox", act.NO_SESSION + FORGET_UPDATE),
        "full session storage and the update mark": ("chromium", FULL_SESSION + FORGET_UPDATE),
    },
)
@pytest.mark.usefixtures("planted")
def test_no_script_that_clears_brings_about_a_loop(site: Site, page: Page, clearing: str) -> None:
    """The tokens are never accepted."""
    refuse_every_token(page)
    calls = see.calls(page)
    page.add_init_script(REFUSE + clearing)
    page.goto(site.url("/account"))
    see.cause(page, "refused")
    assert len(calls) == 1


@pytest.mark.usefixtures("planted")
def test_a_page_that_renders_the_macro_twice_does_not_loop(site: Site, page: Page) -> None:
    """The second script element would not find the marker that the first has taken."""
    refuse_every_token(page)
    calls = see.calls(page)
    page.goto(site.url("/twice"))
    expect(page.locator("[data-ssr-cause=refused]").first).to_be_visible()
    assert page.locator("script[data-mode=refresh]").count() == 2
    assert len(calls) == 1


@rows(
    "policy",
    {
        "a blocker keeps out": "",
        "a policy forbids": "?policy=script-src 'none'",
        "a policy forbids with the style": "?policy=default-src 'none'",
    },
)
def test_a_script_that_does_not_run_leaves_links(site: Site, unwatched: Page, policy: str) -> None:
    page = unwatched
    site.plant(page.context, sAccessToken=expired_token())
    if not policy:
        page.route("**/ssr-session-*.js", lambda route: route.abort())
    calls = see.calls(page)
    page.goto(site.url(f"/account{policy or '?tab=2'}"))
    links = page.locator(".ssr-session-slow a")
    if "default" not in policy:  # style sheets alone bring the ways on, six seconds later
        expect(links.first).to_be_hidden()
        page.evaluate("document.getAnimations().forEach(one => { one.currentTime = 7000 })")
    expect(links.first).to_be_visible()
    assert links.all_text_contents() == ["Try again", "Sign in"]
    assert calls == []
    if not policy:
        page.unroute("**/ssr-session-*.js")
        page.get_by_role("link", name="Try again").click()
        page.wait_for_url(re.compile(r"/auth\?redirectToPath=/account"))


# --- hostile values in the browser's storage -----------------------------------------------------

# Digits that are a time, text that is a number, values that only look like a marker.
JUNK = [
    *("null", "-1", "NaN", "[]", '{"at":null}', '{"at":"soon","token":""}', '{"at":1e999}'),
    *('{"at":-1e999,"token":{}}', '{"at":[],"token":"\\ud800"}', "9" * 400, "{" * 5000),
    *('{"at":1700000000000,"token":"00"}', '{"at":9999999999999,"token":"00"}'),
    "<script>throw 1</script>",
]

LITTER = """([key, update, junk]) => {
    for (const storage of [sessionStorage, localStorage]) storage.setItem(key, junk);
    window.name = key + junk;
    for (const name of [key, update, 'ssr'])
        document.cookie = `${name}=${encodeURIComponent(junk)}; path=/; SameSite=Lax`;
    const query = new URLSearchParams({ [key]: junk, redirectBack: junk, at: junk });
    history.replaceState(junk, '', `/account?${query}#${encodeURIComponent(junk)}`);
}"""


def junk() -> Iterator[str]:
    """Return the values above and some random ones, the same in every run."""
    yield from JUNK
    source = random.Random(4)  # noqa: S311 - no secret
    signs = string.printable + '{}[]":,äπ😀'
    for _ in range(4):
        yield "".join(source.choices(signs, k=source.randint(1, 60)))


@rows("comes_through", {"does not defeat the guard": False, "does not raise it": True})
def test_junk_in_every_place(site: Site, page: Page, planted: str, comes_through: bool) -> None:
    if comes_through:
        page.context.clear_cookies()
        user = site.sign_up(page)
    else:
        refuse_every_token(page)
    page.goto(site.url("/no-such-page"))
    calls = see.calls(page)
    for value in junk():
        calls.clear()
        site.let_time_pass(page)
        site.plant(page.context, sAccessToken=planted, sFrontToken=act.front_token())
        page.evaluate(LITTER, [see.MARKER, see.UPDATE, value])
        page.reload()
        if comes_through:
            see.user(page, user)
            assert len(calls) == 1, value
        else:
            # In the query, the longest one makes the way back longer than servers read.
            is_long = len(page.url) > 1000
            see.cause(page, "refused", href="/auth" if is_long else "/auth?redirectToPath=")
            assert len(calls) <= 2, value


# --- no false alarm ------------------------------------------------------------------------------

FIVE_MINUTES_LATER = """([key, update]) => {
    const marker = JSON.parse(sessionStorage.getItem(key));
    marker.at -= 300000;
    sessionStorage.setItem(key, JSON.stringify(marker));
    document.cookie = `${update}=${Date.now() - 300000}; path=/; SameSite=Lax`;
}"""


@each_flow
def test_hours_go_by_unhindered(site: Site, context: BrowserContext, page: Page, user: str) -> None:
    """Two tabs without any script on their pages, and a reload as soon as the page is back."""
    tabs, calls = [page, context.new_page()], see.calls(context)
    for lap in range(4):
        tab, other = tabs[lap % 2], tabs[1 - lap % 2]
        site.plant(context, sAccessToken=expired_token(user))
        site.show(tab, f"/bare?lap={lap}" + "#part" * (lap % 3), user)
        other.goto(site.url("/bare"))
        tab.reload()
        see.user(tab, user)
        assert len(calls) == site.refresh_calls() == lap + 1
        tab.evaluate(FIVE_MINUTES_LATER, [see.MARKER, see.UPDATE])


NOW = "performance.timeOrigin + performance.now()"


@rows(
    "script",
    {
        "a browser's clock that was ahead once": (
            f"document.cookie = `{see.UPDATE}=${{Date.now() + 86400000}}; path=/; SameSite=Lax`"
        ),
        "a window named by another site": (
            f"window.name = '{see.MARKER}' + JSON.stringify({{ at: {NOW}, token: '' }})"
        ),
    },
)
def test_no_false_alarm_is_raised_by(site: Site, page: Page, script: str) -> None:
    user = site.signed_up_and_expired(page, to="/panel/")
    page.evaluate(script)
    site.show(page, "/account", user)
    assert site.refresh_calls() == 1


def test_the_refresh_page_asked_for_with_a_good_session(site: Site, page: Page) -> None:
    """An app may lead there by hand, right after sign-in; nothing was refused."""
    user = site.sign_up(page, to="/panel/")
    page.evaluate(f"document.cookie = `{see.UPDATE}=${{Date.now()}}; path=/; SameSite=Lax`")
    again = site.url("/refresh-session?redirectBack=/account")
    act.follow(page, again)
    see.user(page, user)
    # A second time within seconds, it neither refreshes nor goes on: it could be a loop.
    calls, documents = see.calls(page), see.documents(page)
    act.follow(page, again)
    see.part(page, "renewed")
    assert (len(calls), len(documents)) == (0, 1)
    page.get_by_role("link", name="Go on").click()
    see.user(page, user)


@both_engines
def test_reloads_pressed_in_a_row_end_on_the_page(site: Site, page: Page, user: str) -> None:
    page.goto(site.url("/account"), wait_until="commit")
    for _ in range(6):
        # Chromium refuses a reload that falls between two documents; a visitor's is as lost.
        with suppress(Error):
            page.reload(wait_until="commit")
    see.user(page, user)


def test_a_reload_during_a_refresh_raises_no_alarm(site: Site, page: Page, user: str) -> None:
    """The second document was asked for with the old token, and comes when the new one is there.

    In Firefox the page's own reload takes the place of the visitor's.
    """
    calls = see.calls(page)
    page.add_init_script(
        f"""const set = Storage.prototype.setItem;
        Storage.prototype.setItem = function (key, value) {{
            set.call(this, key, value);
            if (key === '{see.MARKER}') console.debug(key);
        }};"""
    )
    refreshes = act.hold(page)
    with page.expect_request(act.REFRESH_API):
        page.goto(site.url("/account"))

    def refresh_meanwhile(route: Route) -> None:
        refused = route.fetch()
        with page.expect_console_message(lambda message: message.text == see.MARKER):
            refreshes[0].continue_()
        route.fulfill(response=refused)

    page.route("**/account", refresh_meanwhile, times=1)
    page.reload()
    see.user(page, user)
    assert len(calls) == 1


# --- a session that the site has ended -----------------------------------------------------------


@both_flows
def test_a_session_revoked_after_refresh_ends_at_sign_in(site: Site, page: Page, user: str) -> None:
    """Not a page about the site's keys either: the response names the cause."""
    calls = see.calls(page)
    site.show(page, "/checked", user)
    site.core.revoke_sessions(user)
    with page.expect_request(act.SIGN_OUT_API):
        page.goto(site.url("/checked?tab=2#part"))
    page.wait_for_url(re.compile(r"/auth\?redirectToPath=/checked%3Ftab%3D2%23part$"))
    assert len(calls) == 1
    site.fill_in(page)  # the twin: a new session is shown the page
    see.user(page, user)


@rows(
    "answer, cause, refreshes",
    {
        "signed out": (SIGNED_OUT, None, 1),
        "an error": ({**SIGNED_OUT, "status": 500}, "status", 1),
        "nothing is removed": ({"body": OK}, "answer", 1),
        "not OK": ({**SIGNED_OUT, "body": '{"status":"GENERAL_ERROR"}'}, "answer", 1),
        "refreshed and refused for ever": ({"status": 401, "body": "{}"}, "answer", 2),
        "no answer": (None, "network", 1),
    },
)
@pytest.mark.usefixtures("planted")
def test_a_session_that_the_api_renews_and_the_site_refuses_is_signed_out_once(
    site: Site, page: Page, answer: dict[str, Any] | None, cause: str | None, refreshes: int
) -> None:
    """As with a list of an app's own that the core knows nothing of."""

    def say_revoked(route: Route) -> None:
        response = route.fetch()
        text = response.text().replace('data-reason="expired"', 'data-reason="revoked"')
        route.fulfill(response=response, body=text)

    def sign_out(route: Route) -> None:
        route.fulfill(**answer) if answer else route.abort("connectionrefused")

    page.route("**/account", say_revoked)
    page.route(act.SIGN_OUT_API, sign_out)
    act.answer(page, front_token=act.front_token(expires_at_ms=4_000_000_000_000))
    calls, signs_out = see.calls(page), see.requests(page, "/auth/signout")
    page.goto(site.url("/account"))
    if cause is None:
        page.wait_for_url(re.compile(r"/auth\?redirectToPath=/account$"))
    else:
        see.cause(page, cause)
        assert page.url == site.url("/account")
    assert len(calls) == len(signs_out) == refreshes
