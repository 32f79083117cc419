"""Every kind of request in real browsers, with htmx and Turbo as their users have them."""

from __future__ import annotations

import re
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Response, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from ..tables import rows
from . import act, see
from .conftest import Serve, Site, both_engines

FRAGMENT = "[data-fragment]"
each_htmx = pytest.mark.parametrize("library", ["htmx-2", "htmx-4"])
where = pytest.mark.parametrize("host", ["localhost", "app.example.test"])


@pytest.fixture
def host() -> str:
    """The second one gets no Sec-Fetch-* and no Web Locks: its site is no secure context."""
    return "localhost"


@pytest.fixture
def site(serve: Serve, libraries: Path, host: str) -> Site:
    return serve(LIBRARIES=str(libraries), HOST=host)


def expired_at(site: Site, page: Page, path: str) -> str:
    """Sign a new user up, go to *path*, and let the session expire; returns the user."""
    user = site.sign_up(page, to=path)
    site.expire(page)
    return user


def received(site: Site, user: str) -> int:
    """Return how many forms of *user* a view has received."""
    forms: list[str] = site.ask("/kinds/state")["received"]
    return forms.count(user)


def answers_to(page: Page, path: str) -> list[str]:
    """Return a list that fills with method and status of each response to *page* at *path*."""

    def pick(it: Response) -> str | None:
        return f"{it.request.method} {it.status}" if urlsplit(it.url).path == path else None

    return see.events(page, "response", pick)


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


@rows(
    "host, send, method",
    {
        "fetch": ("localhost", FETCH, "GET"),
        "fetch with HEAD": ("localhost", FETCH, "HEAD"),
        "fetch with a body": ("localhost", FETCH, "PUT"),
        "XHR with a body": ("localhost", XHR, "POST"),
        "fetch with a body on plain http": ("app.example.test", FETCH, "POST"),
        "XHR with a body on plain http": ("app.example.test", XHR, "POST"),
    },
)
def test_a_scripts_request_is_repeated_once(site: Site, page: Page, send: str, method: str) -> None:
    user = expired_at(site, page, "/kinds/plain?sdk")
    answers = answers_to(page, "/kinds/fragment")
    note = user if method in ("POST", "PUT") else None
    answer = page.evaluate(send, ["/kinds/fragment", method, note])
    assert answer["status"] == 200
    assert user in answer["text"] or method == "HEAD"
    assert answers == [f"{method} 401", f"{method} 200"]
    assert site.refresh_calls() == 1
    assert received(site, user) == (1 if note else 0)


# --- htmx ----------------------------------------------------------------------------------------


@each_htmx
@where
def test_htmx_with_the_sdk_gets_sends_and_follows(site: Site, page: Page, library: str) -> None:
    user = expired_at(site, page, f"/kinds/htmx?sdk&htmx={library}")
    page.evaluate("window.stayed = true")
    page.click("text=Get")
    expect(page.locator(FRAGMENT)).to_have_text(user)
    assert site.refresh_calls() == 1
    site.expire(page)
    page.fill("[name=note]", user)
    page.click("text=Send")
    expect(page.locator(FRAGMENT)).to_have_text(f"{user} {user}")
    assert received(site, user) == 1
    site.expire(page)
    page.click("text=Boosted")
    expect(page.locator("#out")).to_have_text("plain")
    assert page.url == site.url("/kinds/plain?boosted")
    assert page.evaluate("window.stayed")


@each_htmx
def test_htmx_without_the_sdk_keeps_forms_and_reloads(site: Site, page: Page, library: str) -> None:
    user = expired_at(site, page, f"/kinds/htmx?htmx={library}")
    page.fill("[name=note]", user)
    with page.expect_response("**/kinds/fragment") as answer:
        page.click("text=Send")
    assert answer.value.status == 401
    assert not {"hx-refresh", "hx-redirect"} & answer.value.headers.keys()
    assert page.input_value("[name=note]") == user
    assert received(site, user) == 0
    # The page is requested again; what was clicked works then.
    for text, out in (("Get", user), ("Boosted", "plain")):
        page.evaluate("window.stayed = true")
        page.click(f"text={text}")
        page.wait_for_function("() => !window.stayed && window.htmx")
        see.user(page, user)
        expect(page.locator("#out")).to_have_text("old")
        page.click(f"text={text}")
        expect(page.locator("#out")).to_have_text(out)
        assert site.refresh_calls() == 1
        site.expire(page)


# When htmx 2 or 4 is done with the next request.
NOTE_END = """() => {
  window.ended = new Promise((done) => {
    for (const name of ["htmx:afterRequest", "htmx:finally:request"])
      document.addEventListener(name, () => setTimeout(done));
  });
}"""


@each_htmx
@rows(
    "event, sdk, status",
    {
        "is led to sign-in after a sign-out elsewhere": ("sign-out", "", 401),
        "keeps what it shows where the SDK finds nobody signed in": ("sign-out", "sdk&", 401),
        "keeps what it shows in an outage": ("outage", "", 503),
    },
)
def test_htmx(site: Site, page: Page, library: str, event: str, sdk: str, status: int) -> None:
    site.sign_up(page, to=f"/kinds/htmx?{sdk}htmx={library}")
    if event == "sign-out":
        page.context.clear_cookies(name=re.compile("^s[A-Z]"))
    page.evaluate(NOTE_END)
    with site.outage(page) if event == "outage" else nullcontext():
        with page.expect_response("**/kinds/fragment") as answer:
            page.click("text=Get")
        assert answer.value.status == status
    if (event, sdk) == ("sign-out", ""):
        page.wait_for_url(re.compile("/auth"))
        return
    page.evaluate("window.ended")
    assert page.text_content("#out") == "old"


@rows(
    "library, is_expired",
    {
        "htmx 2, without a session": ("htmx-2", False),
        "htmx 2, with an expired one": ("htmx-2", True),
        "htmx 4, without a session": ("htmx-4", False),
    },
)
def test_htmx_never_loops(site: Site, page: Page, library: str, is_expired: bool) -> None:
    """It leads to sign-in, or to the refresh page and back."""
    user = site.signed_up_and_expired(page) if is_expired else ""
    loads = answers_to(page, "/kinds/open/loading")
    page.goto(site.url(f"/kinds/open/loading?htmx={library}"))
    if is_expired:
        expect(page.locator(FRAGMENT)).to_have_text(user)
    else:
        page.wait_for_url(re.compile(r"/auth\?redirectToPath=/kinds/open/loading"))
    assert loads == ["GET 200"] * (1 + is_expired)


# --- Turbo ---------------------------------------------------------------------------------------


@rows(
    "click, order",
    {
        "a page": ("Visit", "sdk"),
        "a page, loaded before our script": ("Visit", "sdk-last"),
        "the page after a form": ("Send", "sdk"),
        "a frame": ("Fill the frame", "sdk"),
    },
)
def test_turbo_with_the_sdk_shows(site: Site, page: Page, click: str, order: str) -> None:
    user = expired_at(site, page, f"/kinds/turbo?{order}")
    page.fill("[name=note]", user)
    page.evaluate("window.stayed = true")
    page.click(f"text={click}")
    ready = FRAGMENT if "frame" in click else "#out >> text=plain"
    expect(page.locator(ready)).to_be_visible()
    see.user(page, user)
    assert page.evaluate("window.stayed")
    assert received(site, user) == (click == "Send")
    assert site.refresh_calls() == 1


@pytest.mark.parametrize("click", ["Send", "Fill the frame"])
def test_turbo_without_the_sdk_leaves_the_page_as_it_is(site: Site, page: Page, click: str) -> None:
    user = expired_at(site, page, "/kinds/turbo")
    page.fill("[name=note]", user)
    path = "/kinds/sent" if click == "Send" else "/kinds/fragment"
    with page.expect_response(lambda answer: urlsplit(answer.url).path == path):
        page.click(f"text={click}")
    expect(page.locator("#frame")).to_have_text("old")
    assert page.input_value("[name=note]") == user
    assert received(site, user) == 0


# --- prefetched and prerendered pages ------------------------------------------------------------

PREFETCH = """url => document.head.append(
  Object.assign(document.createElement("link"), { rel: "prefetch", href: url }))"""


def speculate(how: str) -> str:
    rules = f"{{ {how}: [{{ urls: [url], eagerness: 'immediate' }}] }}"
    return f"""url => document.head.append(Object.assign(document.createElement("script"),
      {{ type: "speculationrules", textContent: JSON.stringify({rules}) }}))"""


@rows(
    "start, early, status",
    {
        "by Turbo while the pointer rests": ("turbo", "", 401),
        "by a link": ("plain", PREFETCH, 401),
        "by speculation rules that prefetch": ("plain", speculate("prefetch"), 503),
        # Playwright lets nothing be prerendered; Chromium then prefetches what it may prerender.
        "by speculation rules that prerender": ("plain", speculate("prerender"), 200),
    },
)
def test_a_page_that_was_loaded_early_is_refreshed_when_it_is_shown(
    site: Site, page: Page, start: str, early: str, status: int
) -> None:
    user = expired_at(site, page, f"/kinds/{start}")
    path = "/kinds/plain?visited"
    with page.expect_response(lambda answer: "visited" in answer.url) as answer:
        if early:
            page.evaluate(early, path)
        else:
            page.hover("text=Visit")
    assert answer.value.status == status
    if "speculationrules" in early:
        answer.value.finished()
    assert site.refresh_calls() == 0
    if early:
        act.follow(page, path)
    else:
        page.click("text=Visit")
    page.wait_for_url(site.url(path))
    expect(page.locator("#out")).to_have_text("plain")
    see.user(page, user)
    assert site.refresh_calls() == 1


def test_a_prerendered_page_refreshes_when_it_is_shown(site: Site, page: Page, user: str) -> None:
    page.add_init_script(
        "Object.defineProperty(document, 'prerendering', { value: true, configurable: true })"
    )
    page.goto(site.url("/kinds/plain"))
    see.part(page, "working")
    # If the script had started by now, it would have requested its lock.
    locks = page.evaluate("navigator.locks.query()")
    assert (locks["held"], locks["pending"]) == ([], [])
    assert site.refresh_calls() == 0
    page.evaluate("document.dispatchEvent(new Event('prerenderingchange'))")
    see.user(page, user)
    assert site.refresh_calls() == 1


# --- service workers -----------------------------------------------------------------------------

WORKER = """async (name) => {
  await navigator.serviceWorker.register(`/kinds/worker/${name}.js`, { scope: "/kinds/" });
  await navigator.serviceWorker.ready;
}"""


@both_engines
@pytest.mark.parametrize("worker", ["pass-on", "rebuild"])
def test_what_a_service_worker_fetches_is_refreshed(site: Site, page: Page, worker: str) -> None:
    user = site.sign_up(page, to="/kinds/plain?sdk")
    page.evaluate(WORKER, worker)
    page.wait_for_function("() => navigator.serviceWorker.controller")
    site.expire(page)
    assert user in page.evaluate(FETCH, ["/kinds/fragment", "GET", None])["text"]
    assert site.refresh_calls() == 1
    site.expire(page)
    site.show(page, "/kinds/plain?next", user)
    assert page.url == site.url("/kinds/plain?next")
    assert site.refresh_calls() == 1


# --- what real engines send ----------------------------------------------------------------------

PAGES = {"iframe", "form"}
# Chromium requests them like frames, Firefox like images.
MAYBE_PAGES = {"object", "embed"}
OTHERS = {
    *("script", "module", "style", "font", "background", "img", "poster", "video", "audio"),
    *("fetch", "fetch-html", "fetch-post", "keepalive", "xhr", "beacon", "events", "socket"),
    *("worker", "prefetch"),
}
ALL_NOTED = """async ([run, names]) => {
    const state = await (await fetch("/kinds/state")).json();
    return names.every((name) => name in (state.noted[run] ?? {}));
}"""


@both_engines
@where
def test_every_kind_of_request_is_known(site: Site, page: Page, engine: str, host: str) -> None:
    page.goto(site.url(f"/kinds/open/every?run={engine}"))
    names = PAGES | MAYBE_PAGES | OTHERS
    with suppress(PlaywrightTimeoutError):
        page.wait_for_function(ALL_NOTED, arg=[engine, sorted(names)], polling=50)
    noted: dict[str, Any] = site.ask("/kinds/state")["noted"][engine]
    assert noted.keys() >= names
    as_page = noted.pop("fetch-as-page")
    # Without Sec-Fetch-* nothing distinguishes it from a page; apps do not send it like this.
    assert as_page == ("script" if host == "localhost" else "document")
    pages = PAGES | MAYBE_PAGES if engine == "chromium" else PAGES
    assert {name for name, kind in noted.items() if kind == "document"} == pages
    assert noted["prefetch"] == ("script" if host == "localhost" else "prefetch")


# --- downloads -----------------------------------------------------------------------------------


@both_engines
def test_a_file_behind_a_link_arrives_and_the_page_says_so(site: Site, page: Page) -> None:
    user = expired_at(site, page, "/kinds/downloads")
    page.clock.install()
    with page.expect_download() as download:
        page.click("'A link'")
    assert download.value.suggested_filename == "file.txt"
    assert download.value.path().read_text() == f"file of {user}"
    assert site.refresh_calls() == 1
    see.part(page, "working")
    page.clock.fast_forward(4_000)
    see.part(page, "renewed")
    with page.expect_download() as again:
        page.click("text=Go on to the page")
    assert again.value.path().read_text() == f"file of {user}"


def test_no_page_is_kept_under_the_name_of_a_file(site: Site, page: Page) -> None:
    """Firefox does not mark the request as a download, and saves any page that it gets."""
    site.sign_up(page, to="/kinds/downloads")
    failures = []
    for _ in range(2):
        with page.expect_download() as download:
            page.click("text=A link that downloads")
        failures.append(download.value.failure())
        site.expire(page)
    assert failures[0] is None
    assert failures[1] is not None
