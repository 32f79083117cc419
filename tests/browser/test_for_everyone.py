"""The pages for every visitor: screen readers, languages, colours, sizes, and no script.

These tests simulate the refresh API, and run in Chromium: Playwright cannot set the preferences of
an installed Firefox, nor switch its scripts off.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from ..tables import rows
from ..tokens import expired_token, make_token
from . import act, see
from .conftest import Serve, Site

# A page of this package, because the view is behind session_required, and the macro in a page of
# the app's.
WHOLE, OWN = "/form", "/own"
OUR = ".ssr-session"
RETRY = "[data-ssr-retry]"


# A core that cannot be reached.
NO_CORE = {"SUPERTOKENS_CONNECTION_URI": "http://127.0.0.1:1"}


@pytest.fixture
def plain(serve: Serve) -> str:
    """The origin of the example app as it is."""
    return serve(**NO_CORE).origin


@pytest.fixture
def translated(serve: Serve) -> str:
    """The origin of the example app with words of its own."""
    return serve(OVERRIDES="translated", **NO_CORE).origin


@pytest.fixture(scope="module")
def axe(libraries: Path) -> str:
    return (libraries / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


# --- the states of the page ----------------------------------------------------------------------


def answer(page: Page, status: int) -> None:
    act.answer(page, status, front_token=act.front_token())


def give_token(page: Page, url: str, value: str = "junk") -> None:
    page.context.add_cookies([{"name": "sAccessToken", "value": value, "url": url}])


def send_form(page: Page, url: str) -> None:
    """Send an empty form to *url* from a page of the same site."""
    page.goto(re.sub(r"(\w)/.*", r"\1/panel/", url))
    act.post_form(page, url)


# How a visitor comes to a page.
Come = Callable[[Page, str], object]


def at(page: Page, milliseconds: int) -> None:
    """Stop all animations at this time."""
    page.evaluate(
        """time => { for (const one of document.getAnimations()) {
        one.pause(); one.currentTime = time } }""",
        milliseconds,
    )


def show_working(page: Page, url: str, milliseconds: int = 1000) -> None:
    give_token(page, url)
    act.hold(page)
    page.goto(url)
    expect(page.locator(".ssr-session-look")).to_be_visible()
    at(page, milliseconds)


def show_problem(page: Page, url: str, come: Come = Page.goto) -> None:
    give_token(page, url)
    answer(page, 503)
    come(page, url)
    expect(page.locator(RETRY)).to_be_focused()


def show_renewed(page: Page, url: str) -> None:
    """The page turns out to be a download."""
    give_token(page, url)
    page.clock.install()
    answer(page, 200)
    file: Any = {"headers": {"content-disposition": "attachment"}, "body": "a file"}
    page.route(url, lambda route: route.fulfill(**file))
    page.route(url, lambda route: route.continue_(), times=1)
    with page.expect_download():
        page.goto(url)
    page.clock.fast_forward(4000)
    expect(page.get_by_role("link", name="Go on to the page")).to_be_visible()


def show_renewed_of_form(page: Page, url: str, user_id: str = "user-1") -> None:
    give_token(page, url, expired_token(user_id))
    answer(page, 200)
    send_form(page, url)
    # A page of the app's own that shows the macro carries no form.
    is_owner = user_id == "user-1" or OWN in url
    part = "renewed" if is_owner else "other_owner"
    expect(page.locator(f"[data-ssr-part={part}] [data-ssr-focus]")).to_be_focused()


def show_sign_in(page: Page, url: str) -> None:
    page.route("**/auth?*", lambda route: route.fulfill(status=204))
    send_form(page, url)
    expect(page.locator("[data-ssr-session=sign_in]")).to_be_visible()


def show_outage(page: Page, url: str, come: Come = Page.goto) -> None:
    give_token(page, url, make_token())
    come(page, url)
    expect(page.locator("[data-ssr-session=outage]")).to_be_visible()


STATES: dict[str, Callable[[Page, str], None]] = {
    "working": show_working,
    "slow": partial(show_working, milliseconds=7000),
    "problem": show_problem,
    "problem of a form": partial(show_problem, come=send_form),
    "renewed": show_renewed,
    "renewed, of a form": show_renewed_of_form,
    "renewed, form of somebody else": partial(show_renewed_of_form, user_id="user-2"),
    "sign-in": show_sign_in,
    "outage": show_outage,
    "outage of a form": partial(show_outage, come=send_form),
}


def style(page: Page, selector: str, name: str) -> str:
    script = "([selector, name]) => getComputedStyle(document.querySelector(selector))[name]"
    return str(page.evaluate(script, [selector, name]))


# --- what a checker finds ------------------------------------------------------------------------


def findings(page: Page, axe: str) -> list[str]:
    """Return what axe-core, with all of its rules, objects to, in light and in dark."""
    page.evaluate(axe)
    found: list[str] = []
    for scheme, options in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        result: dict[str, list[dict[str, Any]]] = page.evaluate("it => axe.run(it)", options)
        assert result["passes"]
        found += [
            f"{scheme}: {finding['id']} at {node['html']}"
            for finding in result["violations"] + result["incomplete"]
            for node in finding["nodes"]
        ]
    return found


CUT_OFF = """() => { const range = document.createRange();
return [...document.querySelectorAll('main *')].filter(element => {
    range.selectNodeContents(element);
    return [...range.getClientRects(), ...element.getClientRects()].some(
        box => box.left < 0 || box.right > 320 ||
        element.scrollWidth > Math.max(element.clientWidth, box.width + 1)) })
.map(element => element.outerHTML) }"""


def assert_fits(page: Page) -> None:
    """Check that nothing is cut off at the width of a window of 1280 pixels at 400 %."""
    page.set_viewport_size({"width": 320, "height": 480})
    for size in ("100%", "200%"):
        page.evaluate("size => { document.documentElement.style.fontSize = size }", size)
        assert page.evaluate(CUT_OFF) == [], size
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, size


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("place", [WHOLE, OWN])
def test_a_checker_objects_to_nothing_and_nothing_is_cut_off(
    plain: str, translated: str, page: Page, axe: str, place: str, state: str
) -> None:
    STATES[state](page, (translated if place == OWN else plain) + place)
    assert findings(page, axe) == []
    assert_fits(page)


@pytest.mark.parametrize("state", ["slow", "problem"])
@pytest.mark.parametrize("language", ["ar", "de"])
def test_no_translation_is_cut_off(translated: str, page: Page, language: str, state: str) -> None:
    STATES[state](page, f"{translated}{WHOLE}?language={language}")
    assert_fits(page)


def test_a_checker_objects_to_no_cause_but_to_a_mistake(plain: str, page: Page, axe: str) -> None:
    show_problem(page, plain + "/")  # where reading on without a session is offered, too
    causes = page.evaluate(
        "() => { const causes = [...document.querySelectorAll('[data-ssr-cause]')];"
        " for (const cause of causes) cause.hidden = false; return causes.length }"
    )
    assert page.locator("[data-ssr-cause] >> visible=true").count() == causes > 9
    assert findings(page, axe) == []
    page.evaluate("document.querySelector('[data-ssr-retry]').textContent = ''")
    assert "button-name" in findings(page, axe)[0]


def test_a_checker_objects_to_nothing_in_the_example(site: Site, page: Page, axe: str) -> None:
    found = []
    for path in ("/", "/auth", "/auth/sign-up", "/auth/verify-email?token=x", "/nowhere"):
        page.goto(site.url(path))
        found += findings(page, axe)
    user = site.signed_up_and_expired(page)
    page.goto(site.url("/dashboard"))
    see.user(page, user)  # by now, the timeline shows a refresh
    done = "/panel/?done=stop-refresh"
    for path in ("/", "/dashboard", "/account", "/form", "/live", "/admin", "/recent", done):
        page.goto(site.url(path))
        found += findings(page, axe)
    assert found == []


# --- what is read out ----------------------------------------------------------------------------

SILENT = """
- /children: equal
- status
"""
WORKING = """
- /children: equal
- status:
  - /children: equal
  - heading "One moment, your session is being renewed …" [level=1]
"""
SLOW = (
    WORKING
    + """
  - paragraph: This takes longer than usual.
  - paragraph:
    - link "Try again"
    - link "Sign in"
"""
)
PROBLEM = """
- /children: equal
- alert:
  - /children: equal
  - heading "Your session could not be renewed" [level=1]
  - paragraph: /problem \\(error 503\\)\\. You have not been signed out/
- paragraph:
  - button "Try again"
  - link "Sign in"
"""
RENEWED = """
- /children: equal
- alert:
  - heading "Your session was renewed" [level=1]
  - paragraph: /nothing was sent yet/
- button "Send them now"
- button "Go back"
"""


def test_a_refresh_is_seen_and_read_out_unless_it_is_quick(plain: str, page: Page) -> None:
    """Only what appears in a region that was there before is read out."""
    show_working(page, plain + WHOLE)
    for milliseconds, seen, opacity, slow, spoken in (
        (0, "hidden", 0.0, "hidden", SILENT),
        (149, "hidden", 0.0, "hidden", SILENT),
        (250, "visible", 0.5, "hidden", WORKING),
        (351, "visible", 1.0, "hidden", WORKING),
        (5999, "visible", 1.0, "hidden", WORKING),
        (6001, "visible", 1.0, "visible", SLOW),
    ):
        at(page, milliseconds)
        assert style(page, ".ssr-session-look", "visibility") == seen, milliseconds
        assert float(style(page, ".ssr-session-look", "opacity")) == opacity, milliseconds
        assert style(page, ".ssr-session-slow", "visibility") == slow, milliseconds
        expect(page.locator(OUR)).to_match_aria_snapshot(spoken)


@rows(
    "state, spoken", {"a problem": ("problem", PROBLEM), "a form": ("renewed, of a form", RENEWED)}
)
def test_what_is_read_out(plain: str, page: Page, state: str, spoken: str) -> None:
    STATES[state](page, plain + WHOLE)
    expect(page.locator(OUR)).to_match_aria_snapshot(spoken)


def test_the_heading_has_the_level_that_fits_its_page(translated: str, page: Page) -> None:
    for place, level in ((f"{WHOLE}?language=de", 1), (OWN, 2), (f"{OWN}?heading=4", 4)):
        show_problem(page, translated + place)
        heading = page.locator(OUR).get_by_role("heading")
        expect(heading).to_have_count(1)
        assert heading.evaluate("element => element.tagName") == f"H{level}", place


# --- what is seen --------------------------------------------------------------------------------


MOVING = """document.getAnimations().map(one => one.effect.getComputedTiming())
    .filter(timing => timing.duration > 0).map(timing => timing.iterations)"""
NO_ANIMATIONS = """() => { const sheet = new CSSStyleSheet();
    sheet.replaceSync('* { animation: none !important }');
    document.adoptedStyleSheets = [sheet] }"""


def test_nothing_moves_for_whoever_asks_for_less_motion(plain: str, page: Page) -> None:
    heading, spinner = page.get_by_role("heading"), page.locator(".ssr-session-spinner")
    show_working(page, plain + WHOLE)
    assert float("inf") in page.evaluate(MOVING)
    expect(spinner).to_be_visible()
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(MOVING) == []
    expect(spinner).to_be_hidden()
    at(page, 151)
    expect(heading).to_be_visible()
    at(page, 149)
    expect(heading).to_be_hidden()
    # Whoever switches animations off sees everything at once.
    page.evaluate(NO_ANIMATIONS)
    expect(heading).to_be_visible()
    expect(page.get_by_role("link", name="Try again")).to_be_visible()


def brightness(colour: str) -> float:
    """Return 0 for black and 255 for white."""
    red, green, blue = (float(part) for part in re.findall(r"[\d.]+", colour)[:3])
    return (red + green + blue) / 3


def test_the_page_has_the_colours_that_the_visitor_wants(plain: str, page: Page) -> None:
    show_problem(page, plain + WHOLE)
    for scheme, is_dark in (("dark", True), ("light", False)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        background = brightness(style(page, "body", "backgroundColor"))
        for selector in (".ssr-session-title", ".ssr-session-text", ".ssr-session-link"):
            assert (brightness(style(page, selector, "color")) > background) == is_dark, selector
        # The button is the other way round; its outline is seen on the page's background.
        assert (brightness(style(page, RETRY, "backgroundColor")) > background) == is_dark
        assert abs(brightness(style(page, RETRY, "color")) - background) < 20
        assert abs(brightness(style(page, RETRY, "outlineColor")) - background) > 150
    # Forced colours and paper are left to the visitor.
    assert style(page, RETRY, "color") == style(page, "body", "backgroundColor")
    page.emulate_media(forced_colors="active")
    canvas = style(page, "body", "backgroundColor")
    assert style(page, RETRY, "color") != canvas
    assert style(page, RETRY, "backgroundColor").endswith(", 0)")  # nothing behind the words
    # A ring without a gap would not be seen to turn.
    assert style(page, ".ssr-session-spinner", "borderLeftColor") == "rgba(0, 0, 0, 0)"
    assert style(page, ".ssr-session-spinner", "borderRightColor") != canvas
    page.emulate_media(forced_colors="none", media="print")
    expect(page.get_by_role("heading")).to_be_visible()
    expect(page.get_by_role("button")).to_be_hidden()
    expect(page.get_by_role("link")).to_be_hidden()


@pytest.mark.parametrize(("place", "level"), [(WHOLE, 1), (OWN, 2)])
def test_without_scripts_the_page_does_not_claim_to_renew_anything(
    translated: str, browser: Browser, place: str, level: int
) -> None:
    with browser.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        give_token(page, translated + place)
        page.goto(translated + place)
        heading = page.locator(f"noscript h{level}")
        expect(heading).to_have_text("Your session could not be renewed")
        expect(heading).to_be_visible()
        expect(page.locator("noscript a")).to_be_visible()
        expect(page.locator("[data-ssr-part=working]")).to_be_hidden()


# --- who uses the keyboard -----------------------------------------------------------------------


def test_the_retry_button_has_a_visible_focus_and_obeys_keys(plain: str, page: Page) -> None:
    give_token(page, plain)
    calls = see.calls(page)
    answer(page, 503)
    page.goto(plain + WHOLE)
    retry = page.get_by_role("button", name="Try again")
    expect(retry).to_be_focused()
    assert style(page, ":focus-visible", "outlineStyle") == "solid"
    assert style(page, ":focus-visible", "outlineWidth") == "2px"
    with page.expect_response(act.REFRESH_API):
        page.keyboard.press("Enter")
    expect(retry).to_be_focused()
    assert len(calls) == 2
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Sign in")).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/auth\?redirectToPath="))


@pytest.mark.parametrize(
    ("state", "stops"),
    [
        ("slow", ["Try again", "Sign in"]),
        ("problem of a form", ["Go back", "Sign in"]),  # the first has the focus already
        ("sign-in", ["Sign in"]),
        ("outage", ["Try again"]),
    ],
)
def test_the_tab_key_leads_everywhere(plain: str, page: Page, state: str, stops: list[str]) -> None:
    STATES[state](page, plain + WHOLE)
    seen = []
    for _ in stops:
        page.keyboard.press("Tab")
        seen.append(page.evaluate("document.activeElement.textContent"))
    assert seen == stops
    assert style(page, ":focus-visible", "outlineStyle") == "solid"


# --- other languages -----------------------------------------------------------------------------


def left_edge(locator: Locator) -> float:
    box = locator.bounding_box()
    assert box is not None
    return box["x"]


def test_a_page_in_arabic_runs_from_right_to_left(translated: str, page: Page) -> None:
    show_problem(page, f"{translated}{WHOLE}?language=ar")
    expect(page.locator("html")).to_have_attribute("lang", "ar")
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    assert page.title() == page.get_by_role("heading").inner_text()
    expect(page.locator("[data-ssr-cause=status]")).to_have_text(
        "حدثت مشكلة في خدمة تسجيل الدخول (الخطأ 503). لم يتم تسجيل خروجك."
    )
    retry = page.get_by_role("button", name="أعد المحاولة")
    assert left_edge(retry) > left_edge(page.get_by_role("link", name="تسجيل الدخول"))


@pytest.mark.parametrize(
    ("query", "language", "direction"), [("", "en", "ltr"), ("?language=ar", None, None)]
)
def test_words_that_nobody_translated_are_marked_as_english(
    translated: str, page: Page, query: str, language: str | None, direction: str | None
) -> None:
    show_working(page, f"{translated}{OWN}{query}")
    part = page.locator(OUR)
    assert part.get_attribute("lang") == language
    assert part.get_attribute("dir") == direction
