"""Every kind of request in real browsers, with htmx and Turbo as their users have them."""

from __future__ import annotations

import json
import re
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import closing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, Response, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from .conftest import Site, chromium_only, served

pytestmark = pytest.mark.browser

USER = "[data-user]"
FRAGMENT = "[data-fragment]"

HTMX = ["htmx-2", "htmx-4"]


@pytest.fixture(scope="module")
def shared_kinds(shared_site: Site, libraries: Path) -> Iterator[Site]:
    core = shared_site.core
    environment = {"LIBRARIES": str(libraries)}
    with served(core.uri, module="tests.browser.kinds_app", environment=environment) as origin:
        yield Site(origin, core, shared_site.clock)


@pytest.fixture(scope="module")
def shared_plain_http(shared_site: Site, libraries: Path) -> Iterator[Site]:
    """A site that browsers give no Sec-Fetch-* and no Web Locks."""
    core = shared_site.core
    environment = {"LIBRARIES": str(libraries), "HOST": "app.example.test"}
    with served(core.uri, module="tests.browser.kinds_app", environment=environment) as origin:
        yield Site(origin.replace("localhost", "app.example.test"), core, shared_site.clock)


@pytest.fixture
def kinds(site: Site, shared_kinds: Site) -> Site:  # noqa: ARG001 - site starts everything again
    return shared_kinds


@pytest.fixture
def plain_http(site: Site, shared_plain_http: Site) -> Site:  # noqa: ARG001
    return shared_plain_http


def is_early(request: Request) -> bool:
    return "prerender" in request.headers.get("sec-purpose", "")


@pytest.fixture(autouse=True)
def pages_in_fragments(context: BrowserContext) -> Iterator[None]:
    """Check that no script ever gets a page of this package."""
    offences: list[str] = []

    def watch(response: Response) -> None:
        is_page = response.headers.get("content-type", "").startswith("text/html")
        is_empty = response.headers.get("content-length") == "0"
        if "ssr-session" in response.headers and is_page and not is_empty:
            request = response.request
            # What a worker fetches, and what is loaded before it is shown, is a page in the end.
            if not (request.is_navigation_request() or request.service_worker or is_early(request)):
                offences.append(f"{request.resource_type} {request.url}")

    context.on("response", watch)
    yield
    assert offences == []


WITH_SDK = "/kinds/open/plain?sdk"
SIGN_UP = """async (email) => {
  const formFields = [{ id: "email", value: email }, { id: "password", value: "correct horse 1" }];
  await fetch("/auth/signup", {
    method: "POST",
    headers: { "content-type": "application/json", "st-auth-mode": "cookie" },
    body: JSON.stringify({ formFields }),
  });
  return supertokensWebsite.getUserId();
}"""


def sign_up(site: Site, page: Page) -> str:
    """Sign a new user up without the form, which takes longer; returns the user."""
    page.goto(site.url(WITH_SDK))
    site.email = f"{uuid.uuid4()}@example.test"
    return str(page.evaluate(SIGN_UP, site.email))


def sign_up_and_expire(site: Site, page: Page) -> str:
    user = sign_up(site, page)
    site.expire(page)
    site.core.clear_request_log()
    return user


def signed_in_at(site: Site, page: Page, path: str) -> str:
    """Sign a new user up and go to *path*; returns the user."""
    user = sign_up(site, page)
    page.goto(site.url(path))
    return user


def expire_meanwhile(site: Site, page: Page) -> None:
    """Expire the session while *page* stays open."""
    if page.evaluate("'supertokensWebsite' in window"):
        site.expire(page)
    else:
        tab = page.context.new_page()
        tab.goto(site.url(WITH_SDK))
        site.expire(tab)
        tab.close()
    site.core.clear_request_log()


def state_of(site: Site) -> dict[str, Any]:
    """Return what the app has noted and received."""
    # Via localhost, which this process can resolve.
    port = urlsplit(site.origin).port
    with urllib.request.urlopen(f"http://localhost:{port}/kinds/state", timeout=10) as answer:
        state: dict[str, Any] = json.load(answer)
    return state


def answers_to(page: Page, path: str) -> list[str]:
    """Return a list that fills with method and status of each response to *page* at *path*."""
    seen: list[str] = []

    def note(response: Response) -> None:
        if urlsplit(response.url).path == path:
            seen.append(f"{response.request.method} {response.status}")

    page.on("response", note)
    return seen


# --- documents -----------------------------------------------------------------------------------


def test_a_page_in_a_frame_is_refreshed_in_its_frame(kinds: Site, page: Page) -> None:
    user = sign_up_and_expire(kinds, page)
    page.goto(kinds.url("/kinds/open/frames"))
    expect(page.frame_locator("iframe").locator(USER)).to_have_text(user)
    assert page.url == kinds.url("/kinds/open/frames")
    assert kinds.refresh_calls() == 1


def test_frames_of_a_page_that_run_out_together_share_one_refresh(kinds: Site, page: Page) -> None:
    user = sign_up_and_expire(kinds, page)
    page.goto(kinds.url("/kinds/open/frames?n=5"))
    for n in range(5):
        frame = page.frame_locator(f"iframe >> nth={n}")
        expect(frame.locator(USER)).to_have_text(user)
    assert kinds.refresh_calls() == 1


def send_from_another_site(page: Page, target: str, note: str) -> None:
    """Post a form from a site that *target* does not know."""
    page.goto(re.sub("//[^/:]+(:[0-9]+).*", r"//stranger.example.test\1/kinds/open/plain", target))
    page.evaluate(
        """([target, note]) => {
          document.body.innerHTML = '<form method=post><input name=note></form>';
          const form = document.forms[0];
          form.action = target;
          form.elements.note.value = note;
          form.submit();
        }""",
        [target, note],
    )


@chromium_only  # Firefox prompts before it sends a form again
def test_a_template_by_hand_sends_a_form_of_another_site_again_with_cookies(
    kinds: Site, page: Page
) -> None:
    """What the next test is about: SameSite=Lax kept the cookies away from the first one only."""
    user = sign_up_and_expire(kinds, page)
    send_from_another_site(page, kinds.url("/kinds/handwritten"), user)
    expect(page.locator(USER)).to_have_text(user)
    assert user in state_of(kinds)["received"]


def test_a_form_of_another_site_is_refused_and_never_sent_again(kinds: Site, page: Page) -> None:
    user = sign_up_and_expire(kinds, page)
    answers = answers_to(page, "/kinds/fragment")
    send_from_another_site(page, kinds.url("/kinds/fragment"), user)
    expect(page.locator("[data-ssr-session=refused]")).to_be_visible()
    # The offered link requests the page, and sends no form.
    page.locator("a:visible", has_text="Go on").click()
    expect(page.locator(FRAGMENT)).to_have_text(user)
    assert answers[:2] == ["POST 403", "GET 200"]
    assert user not in state_of(kinds)["received"]


# --- scripts -------------------------------------------------------------------------------------

FETCH = """async ([path, method, note]) => {
  const body = note && new URLSearchParams({ note });
  const answer = await fetch(path, { method, body });
  return { status: answer.status, text: await answer.text() };
}"""
XHR = """([path, method, note]) => new Promise((done) => {
  const request = new XMLHttpRequest();
  request.onload = () => done({ status: request.status, text: request.responseText });
  request.open(method, path);
  request.send(note && new URLSearchParams({ note }));
})"""


@pytest.mark.parametrize(
    ("send", "method"),
    [
        pytest.param(FETCH, "GET", id="fetch"),
        pytest.param(FETCH, "HEAD", id="fetch with HEAD"),
        pytest.param(FETCH, "PUT", id="fetch with a body"),
        pytest.param(XHR, "GET", id="XHR"),
        pytest.param(XHR, "POST", id="XHR with a body"),
    ],
)
def test_a_script_is_refreshed_and_its_request_repeated_once(
    kinds: Site, page: Page, send: str, method: str
) -> None:
    user = signed_in_at(kinds, page, "/kinds/plain?sdk")
    expire_meanwhile(kinds, page)
    answers = answers_to(page, "/kinds/fragment")
    note = user if method in ("POST", "PUT") else None
    answer = page.evaluate(send, ["/kinds/fragment", method, note])
    assert answer["status"] == 200
    assert user in answer["text"] or method == "HEAD"
    assert answers == [f"{method} 401", f"{method} 200"]
    assert kinds.refresh_calls() == 1
    assert state_of(kinds)["received"].count(user) == (1 if note else 0)


@pytest.mark.parametrize("send", [FETCH, XHR], ids=["fetch", "XHR"])
def test_a_script_on_a_page_without_the_sdk_is_told_in_json(
    kinds: Site, page: Page, send: str
) -> None:
    signed_in_at(kinds, page, "/kinds/plain")
    expire_meanwhile(kinds, page)
    answer = page.evaluate(send, ["/kinds/fragment", "GET", None])
    assert answer["status"] == 401
    assert json.loads(answer["text"]) == {"message": "try refresh token"}
    assert kinds.refresh_calls() == 0


# --- htmx ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", HTMX)
def test_htmx_with_the_sdk_gets_its_fragment(kinds: Site, page: Page, library: str) -> None:
    user = signed_in_at(kinds, page, f"/kinds/htmx?sdk&htmx={library}")
    expire_meanwhile(kinds, page)
    page.evaluate("window.stayed = true")
    page.click("text=Get")
    expect(page.locator(FRAGMENT)).to_have_text(user)
    assert page.evaluate("window.stayed")
    assert kinds.refresh_calls() == 1


@pytest.mark.parametrize("library", HTMX)
def test_htmx_with_the_sdk_sends_a_form_once(kinds: Site, page: Page, library: str) -> None:
    user = signed_in_at(kinds, page, f"/kinds/htmx?sdk&htmx={library}")
    expire_meanwhile(kinds, page)
    page.fill("[name=note]", user)
    page.click("text=Send")
    expect(page.locator(FRAGMENT)).to_have_text(f"{user} {user}")
    assert state_of(kinds)["received"].count(user) == 1


@pytest.mark.parametrize("library", HTMX)
@pytest.mark.parametrize("sdk", ["sdk", "alone"])
def test_a_link_that_htmx_boosts_arrives(kinds: Site, page: Page, library: str, sdk: str) -> None:
    user = signed_in_at(kinds, page, f"/kinds/htmx?{sdk}&htmx={library}")
    expire_meanwhile(kinds, page)
    page.evaluate("window.stayed = true")
    page.click("text=Boosted")
    if (sdk, library) == ("alone", "htmx-2"):
        # It requests its own page again; the link works then.
        page.wait_for_function("() => !window.stayed && window.htmx")
        page.click("text=Boosted")
    expect(page.locator("#out")).to_have_text("plain")
    expect(page.locator(USER)).to_have_text(user)
    assert page.url == kinds.url("/kinds/plain?boosted")


@pytest.mark.parametrize("library", HTMX)
def test_htmx_without_the_sdk_reloads_the_page_which_refreshes(
    kinds: Site, page: Page, library: str
) -> None:
    user = signed_in_at(kinds, page, f"/kinds/htmx?htmx={library}")
    expire_meanwhile(kinds, page)
    page.evaluate("window.stayed = true")
    page.click("text=Get")
    page.wait_for_function("() => !window.stayed && window.htmx")
    expect(page.locator(USER)).to_have_text(user)
    expect(page.locator("#out")).to_have_text("old")
    page.click("text=Get")
    expect(page.locator(FRAGMENT)).to_have_text(user)
    assert kinds.refresh_calls() == 1


def signed_out_meanwhile(kinds: Site, page: Page, path: str) -> None:
    signed_in_at(kinds, page, path)
    tab = page.context.new_page()
    tab.goto(kinds.url(WITH_SDK))
    tab.evaluate("supertokensWebsite.signOut()")
    tab.close()


@pytest.mark.parametrize("library", HTMX)
def test_htmx_without_the_sdk_leads_a_visitor_who_signed_out_elsewhere_to_sign_in(
    kinds: Site, page: Page, library: str
) -> None:
    signed_out_meanwhile(kinds, page, f"/kinds/htmx?htmx={library}")
    page.click("text=Get")
    page.wait_for_url(re.compile("/auth"))


# When htmx 2 or 4 is done with the next request.
NOTE_END = """() => {
  window.ended = new Promise((done) => {
    for (const name of ["htmx:afterRequest", "htmx:finally:request"])
      document.addEventListener(name, () => setTimeout(done));
  });
}"""


@pytest.mark.parametrize("library", HTMX)
def test_htmx_with_the_sdk_keeps_what_it_shows_where_nobody_is_signed_in(
    kinds: Site, page: Page, library: str
) -> None:
    signed_out_meanwhile(kinds, page, f"/kinds/htmx?sdk&htmx={library}")
    page.evaluate(NOTE_END)
    with page.expect_response("**/kinds/fragment") as answer:
        page.click("text=Get")
    assert answer.value.status == 401
    page.evaluate("window.ended")
    assert page.text_content("#out") == "old"


@pytest.mark.parametrize("library", HTMX)
def test_htmx_keeps_what_it_shows_in_an_outage(kinds: Site, page: Page, library: str) -> None:
    signed_in_at(kinds, page, f"/kinds/htmx?htmx={library}")
    forget_keys = kinds.url("/panel/forget-keys")
    kinds.core.stop_key_server()
    try:
        page.request.post(forget_keys)
        page.evaluate(NOTE_END)
        with page.expect_response("**/kinds/fragment") as answer:
            page.click("text=Get")
        assert answer.value.status == 503
        page.evaluate("window.ended")
        assert page.text_content("#out") == "old"
    finally:
        kinds.core.start_key_server()
        page.request.post(forget_keys)


@pytest.mark.parametrize("library", HTMX)
def test_htmx_without_the_sdk_keeps_the_entries_of_a_form(
    kinds: Site, page: Page, library: str
) -> None:
    user = signed_in_at(kinds, page, f"/kinds/htmx?htmx={library}")
    expire_meanwhile(kinds, page)
    page.fill("[name=note]", user)
    with page.expect_response("**/kinds/fragment") as answer:
        page.click("text=Send")
    assert answer.value.status == 401
    assert not {"hx-refresh", "hx-redirect"} & answer.value.headers.keys()
    assert page.input_value("[name=note]") == user
    assert user not in state_of(kinds)["received"]


@pytest.mark.parametrize(
    ("library", "session"), [("htmx-2", "none"), ("htmx-2", "expired"), ("htmx-4", "none")]
)
def test_htmx_does_not_reload_a_page_that_is_open_to_all_for_ever(
    kinds: Site, page: Page, library: str, session: str
) -> None:
    if session == "expired":
        sign_up_and_expire(kinds, page)
    loads = answers_to(page, "/kinds/open/loading")
    page.goto(kinds.url(f"/kinds/open/loading?htmx={library}"))
    with suppress(PlaywrightTimeoutError):
        page.wait_for_event("response", lambda _: len(loads) >= 4, timeout=2000)
    assert len(loads) < 4


# --- Turbo ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sdk", ["sdk", "alone"])
def test_a_visit_of_turbo_arrives(kinds: Site, page: Page, sdk: str) -> None:
    user = signed_in_at(kinds, page, f"/kinds/turbo?{sdk}")
    expire_meanwhile(kinds, page)
    page.click("text=Visit")
    expect(page.locator("#out")).to_have_text("plain")
    expect(page.locator(USER)).to_have_text(user)
    assert page.url == kinds.url("/kinds/plain?visited")
    assert kinds.refresh_calls() == 1


def test_turbo_with_the_sdk_sends_a_form_once(kinds: Site, page: Page) -> None:
    user = signed_in_at(kinds, page, "/kinds/turbo?sdk")
    expire_meanwhile(kinds, page)
    page.fill("[name=note]", user)
    page.click("text=Send")
    expect(page.locator("#out")).to_have_text("plain")
    assert state_of(kinds)["received"].count(user) == 1


def test_turbo_with_the_sdk_fills_a_frame(kinds: Site, page: Page) -> None:
    user = signed_in_at(kinds, page, "/kinds/turbo?sdk")
    expire_meanwhile(kinds, page)
    page.click("text=Fill the frame")
    expect(page.locator(FRAGMENT)).to_have_text(user)
    assert kinds.refresh_calls() == 1


@pytest.mark.parametrize("click", ["Send", "Fill the frame"])
def test_turbo_without_the_sdk_leaves_the_page_as_it_is(
    kinds: Site, page: Page, click: str
) -> None:
    user = signed_in_at(kinds, page, "/kinds/turbo")
    expire_meanwhile(kinds, page)
    page.fill("[name=note]", user)
    path = "/kinds/sent" if click == "Send" else "/kinds/fragment"
    with page.expect_response(lambda answer: urlsplit(answer.url).path == path):
        page.click(f"text={click}")
    expect(page.locator("#frame")).to_have_text("old")
    assert page.input_value("[name=note]") == user
    assert user not in state_of(kinds)["received"]


def test_what_turbo_loads_while_the_pointer_rests_is_not_the_refresh_page(
    kinds: Site, page: Page
) -> None:
    user = signed_in_at(kinds, page, "/kinds/turbo")
    expire_meanwhile(kinds, page)
    with page.expect_response(lambda answer: "visited" in answer.url) as early:
        page.hover("text=Visit")
    assert early.value.request.headers["x-sec-purpose"] == "prefetch"
    assert early.value.status == 401
    page.click("text=Visit")
    expect(page.locator("#out")).to_have_text("plain")
    expect(page.locator(USER)).to_have_text(user)
    assert kinds.refresh_calls() == 1


# --- prefetched and prerendered pages -----------------------------------------------------------

PREFETCH = """url => {
  const link = document.createElement("link");
  [link.rel, link.href] = ["prefetch", url];
  document.head.append(link);
}"""
SPECULATION_RULES = """([how, url]) => {
  const rules = document.createElement("script");
  rules.type = "speculationrules";
  rules.textContent = JSON.stringify({ [how]: [{ urls: [url], eagerness: "immediate" }] });
  document.head.append(rules);
}"""


def test_a_page_that_was_prefetched_by_a_link_is_asked_for_again(kinds: Site, page: Page) -> None:
    user = signed_in_at(kinds, page, "/kinds/plain")
    expire_meanwhile(kinds, page)
    with page.expect_response(lambda answer: "early" in answer.url) as early:
        page.evaluate(PREFETCH, "/kinds/plain?early")
    assert early.value.status == 401
    page.evaluate("location.assign('/kinds/plain?early')")
    expect(page.locator(USER)).to_have_text(user)
    assert page.url == kinds.url("/kinds/plain?early")
    assert kinds.refresh_calls() == 1


@chromium_only  # Firefox has no speculation rules
@pytest.mark.parametrize("how", ["prefetch", "prerender"])
def test_a_page_that_was_loaded_by_speculation_rules_is_refreshed_when_it_is_shown(
    kinds: Site, page: Page, how: str
) -> None:
    """Playwright lets nothing be prerendered; Chromium then prefetches what it may prerender."""
    user = signed_in_at(kinds, page, "/kinds/plain")
    expire_meanwhile(kinds, page)
    with page.expect_response(lambda answer: "early" in answer.url) as early:
        page.evaluate(SPECULATION_RULES, [how, "/kinds/plain?early"])
    assert early.value.status == (503 if how == "prefetch" else 200)
    early.value.finished()
    assert kinds.refresh_calls() == 0
    page.evaluate("location.assign('/kinds/plain?early')")
    expect(page.locator(USER)).to_have_text(user)
    assert page.url == kinds.url("/kinds/plain?early")
    assert kinds.refresh_calls() == 1


def test_a_prerendered_page_refreshes_nothing_before_it_is_shown(kinds: Site, page: Page) -> None:
    user = sign_up_and_expire(kinds, page)
    page.add_init_script(
        "Object.defineProperty(document, 'prerendering', { value: true, configurable: true })"
    )
    page.goto(kinds.url("/kinds/plain"))
    expect(page.locator("[data-ssr-part=working]")).to_be_visible()
    # If the script had started by now, it would have requested its lock.
    locks = page.evaluate("navigator.locks.query()")
    assert (locks["held"], locks["pending"]) == ([], [])
    assert kinds.refresh_calls() == 0
    page.evaluate("document.dispatchEvent(new Event('prerenderingchange'))")
    expect(page.locator(USER)).to_have_text(user)
    assert kinds.refresh_calls() == 1


# --- service workers -----------------------------------------------------------------------------

WORKER = """async (name) => {
  await navigator.serviceWorker.register(`/kinds/worker/${name}.js`, { scope: "/kinds/" });
  await navigator.serviceWorker.ready;
}"""


def worked_through(kinds: Site, page: Page, worker: str) -> str:
    """Sign in, expire the session, and install *worker* for all fetches; return the user."""
    user = signed_in_at(kinds, page, "/kinds/plain?sdk")
    page.evaluate(WORKER, worker)
    page.wait_for_function("() => navigator.serviceWorker.controller")
    expire_meanwhile(kinds, page)
    return user


@pytest.mark.parametrize("worker", ["pass-on", "rebuild"])
def test_a_page_through_a_service_worker_is_refreshed(kinds: Site, page: Page, worker: str) -> None:
    user = worked_through(kinds, page, worker)
    page.goto(kinds.url("/kinds/plain?next"))
    expect(page.locator(USER)).to_have_text(user)
    assert page.url == kinds.url("/kinds/plain?next")
    assert kinds.refresh_calls() == 1


@pytest.mark.parametrize("worker", ["pass-on", "rebuild"])
def test_a_fetch_through_a_service_worker_is_refreshed(
    kinds: Site, page: Page, worker: str
) -> None:
    user = worked_through(kinds, page, worker)
    answer = page.evaluate(FETCH, ["/kinds/fragment", "GET", None])
    assert user in answer["text"]
    assert kinds.refresh_calls() == 1


# --- web sockets ---------------------------------------------------------------------------------


def test_a_web_socket_is_refused_by_its_status_and_not_by_a_page(kinds: Site, page: Page) -> None:
    user = signed_in_at(kinds, page, "/kinds/plain")
    answers = []
    for cookies in ("good", "expired"):
        if cookies == "expired":
            expire_meanwhile(kinds, page)
        upgrade = {
            "Cookie": "; ".join(f"{c['name']}={c['value']}" for c in page.context.cookies()),
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            "Origin": kinds.origin,
        }
        connection = HTTPConnection("localhost", urlsplit(kinds.origin).port, timeout=10)
        with closing(connection):
            connection.request("GET", "/kinds/socket", headers=upgrade)
            answer = connection.getresponse()
            answers.append((answer.status, answer.read().decode()))
    assert answers[0] == (200, f"socket of {user}")
    assert answers[1] == (401, '{"message":"try refresh token"}\n')


# --- what real engines send ----------------------------------------------------------------------

PAGES = {"iframe", "form"}
# Chromium requests them like frames, Firefox like images.
MAYBE_PAGES = {"object", "embed"}
OTHERS = {
    *("script", "module", "style", "font", "background", "img", "poster", "video", "audio"),
    *("fetch", "fetch-html", "fetch-post", "keepalive", "xhr", "beacon", "events", "socket"),
    *("worker", "prefetch"),
}


@pytest.mark.parametrize("where", ["kinds", "plain_http"])
def test_every_request_that_a_page_causes_is_taken_for_what_it_is(
    request: pytest.FixtureRequest, page: Page, browser: Browser, where: str
) -> None:
    site: Site = request.getfixturevalue(where)
    run = browser.browser_type.name
    page.goto(site.url(f"/kinds/open/every?run={run}"))
    with suppress(PlaywrightTimeoutError):
        page.wait_for_function(
            """async ([run, names]) => {
                const state = await (await fetch("/kinds/state")).json();
                return names.every((name) => name in (state.noted[run] ?? {}));
            }""",
            arg=[run, sorted(PAGES | MAYBE_PAGES | OTHERS)],
            polling=50,
            timeout=15_000,
        )
    noted: dict[str, str] = state_of(site)["noted"][run]
    assert noted.keys() >= PAGES | MAYBE_PAGES | OTHERS
    as_page = noted.pop("fetch-as-page")
    # Without Sec-Fetch-* nothing distinguishes it from a page; apps do not send it like this.
    assert as_page == ("script" if where == "kinds" else "document")
    pages = PAGES | MAYBE_PAGES if run == "chromium" else PAGES
    assert {name for name, kind in noted.items() if kind == "document"} == pages
    assert noted["prefetch"] == ("script" if where == "kinds" else "prefetch")


# --- plain http ----------------------------------------------------------------------------------


def test_on_plain_http_a_page_is_refreshed(plain_http: Site, page: Page) -> None:
    user = sign_up_and_expire(plain_http, page)
    answer = page.goto(plain_http.url("/kinds/plain?tab=2#part"))
    assert answer is not None
    assert "sec-fetch-dest" not in answer.request.all_headers()
    expect(page.locator(USER)).to_have_text(user)
    assert page.url == plain_http.url("/kinds/plain?tab=2#part")
    assert not page.evaluate("isSecureContext || 'locks' in navigator")
    assert plain_http.refresh_calls() == 1


@pytest.mark.parametrize("send", [FETCH, XHR], ids=["fetch", "XHR"])
def test_on_plain_http_a_script_is_refreshed(plain_http: Site, page: Page, send: str) -> None:
    user = signed_in_at(plain_http, page, "/kinds/plain?sdk")
    expire_meanwhile(plain_http, page)
    answer = page.evaluate(send, ["/kinds/fragment", "POST", user])
    assert user in answer["text"]
    assert state_of(plain_http)["received"].count(user) == 1
    assert plain_http.refresh_calls() == 1


@pytest.mark.parametrize("library", HTMX)
def test_on_plain_http_htmx_gets_its_fragment(plain_http: Site, page: Page, library: str) -> None:
    user = signed_in_at(plain_http, page, f"/kinds/htmx?sdk&htmx={library}")
    expire_meanwhile(plain_http, page)
    page.click("text=Get")
    expect(page.locator(FRAGMENT)).to_have_text(user)
    assert plain_http.refresh_calls() == 1


# --- downloads -----------------------------------------------------------------------------------


def test_a_file_behind_a_link_arrives_and_the_page_says_so(kinds: Site, page: Page) -> None:
    user = signed_in_at(kinds, page, "/kinds/downloads")
    expire_meanwhile(kinds, page)
    page.clock.install()
    with page.expect_download() as download:
        page.click("'A link'")
    assert download.value.suggested_filename == "file.txt"
    assert download.value.path().read_text() == f"file of {user}"
    assert kinds.refresh_calls() == 1
    expect(page.locator("[data-ssr-part=working]")).to_be_visible()
    page.clock.fast_forward(4_000)
    expect(page.locator("[data-ssr-part=renewed]")).to_be_visible()
    with page.expect_download() as again:
        page.click("text=Go on to the page")
    assert again.value.path().read_text() == f"file of {user}"


@chromium_only  # Firefox does not mark it as a download, and saves any page that it gets
def test_no_page_is_kept_under_the_name_of_a_file(kinds: Site, page: Page) -> None:
    signed_in_at(kinds, page, "/kinds/downloads")
    failures = []
    for session in ("good", "expired"):
        if session == "expired":
            expire_meanwhile(kinds, page)
        with page.expect_download() as download:
            page.click("text=A link that downloads")
        failures.append(download.value.failure())
    assert failures[0] is None
    assert failures[1] is not None
