"""The pictures of the README, of the example app as it is: ``python -m tools.screenshots``.

With the same fonts, an unchanged page makes the same picture again. Chromium is Playwright's own,
or the one that ``SSR_SESSION_TEST_CHROMIUM`` names.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from playwright.sync_api import Page, Route, expect, sync_playwright

from flask_ssr_session.dev_core import DevelopmentCore
from tests.browser import act, see
from tests.browser.conftest import ROOT, ShiftedClock, Site, launch_chromium, served

IMAGES = ROOT / "docs" / "images"


def take_refreshing(site: Site, page: Page, folder: Path) -> None:
    """Show a page whose template requires a session, during a refresh."""
    site.signed_up_and_expired(page)
    # The refresh lasts until the API responds.
    unanswered: list[Route] = []
    page.route(act.REFRESH_API, lambda route: unanswered.append(route))
    page.goto(site.url("/dashboard"))
    expect(page.get_by_role("heading", name="your session is being renewed")).to_be_visible()
    # What it looks like after a second.
    page.evaluate("document.getAnimations().forEach(a => { a.pause(); a.currentTime = 1000 })")
    page.screenshot(path=folder / "refreshing.png")
    for route in unanswered:
        route.abort()


def take_late_form(site: Site, page: Page, folder: Path) -> None:
    """Show the page after a form that was posted with an expired token."""
    page.set_viewport_size({"width": 740, "height": 280})
    site.sign_up(page, to="/form")
    site.expire(page)
    act.post_form(page, site.url("/form"), note="A long one, typed with care.")
    expect(page.get_by_role("button", name="Send them now")).to_be_visible()
    page.screenshot(path=folder / "late-form.png")


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=IMAGES, help="default: docs/images")
    folder: Path = parser.parse_args().folder
    clock = ShiftedClock()
    with (
        sync_playwright() as playwright,
        launch_chromium(playwright) as browser,
        DevelopmentCore(clock=clock) as core,
        served(core.uri) as origin,
    ):
        for take in (take_refreshing, take_late_form):
            page = browser.new_page(viewport={"width": 860, "height": 510})
            page.set_default_timeout(see.TIMEOUT_MS)
            take(Site(origin, core, clock), page, folder)
            page.close()


if __name__ == "__main__":
    main()
