"""Measure how long a visitor waits for a refresh: ``python -m benchmarks.refresh_page``.

The time runs from the reload, with an expired token, until the content of the last tab is parsed.
Sites and a development core run on this machine.
"""

import statistics
from collections import defaultdict
from itertools import product
from typing import NamedTuple

from playwright.sync_api import Browser, sync_playwright

from flask_ssr_session.dev_core import DevelopmentCore
from tests.browser.conftest import ShiftedClock, Site, open_tabs, reload_at_once

from .browsers import BY_HAND, LAUNCH, sites
from .frame import RELEASED, in_turns, parser, show

# The first shows the content, the second nothing, so that no script is in the cache.
PATH, START = "/page/1", "/auth"
FIRST, AGAIN = "first visit", "seen before"


class Case(NamedTuple):
    """A visit of one site: tabs that reload at once."""

    engine: str
    tabs: int
    visit: str
    site: str


def visit(browser: Browser, site: Site, case: Case) -> tuple[float, int, int, int]:
    """Return the milliseconds, the refreshes, how many tabs had to sign in, and the thefts."""
    with browser.new_context() as context:
        page = context.new_page()
        site.sign_up(page, to=START)
        site.expire(page)
        if case.visit == AGAIN:  # the refresh page and the content are in the cache
            page.goto(site.url(PATH))
            page.wait_for_function("() => window.shownAt")
            site.expire(page)
            page.goto(site.url(START))
        tabs = open_tabs(context, site.url(START), PATH, case.tabs)
        site.core.clear_request_log()
        reload_at_once(tabs)
        for tab in tabs:
            tab.wait_for_function("path => window.shownAt || location.pathname !== path", arg=PATH)
        arrived = [tab for tab in tabs if tab.url.endswith(PATH)]
        shown = max(float(tab.evaluate("shownAt")) for tab in arrived)
        started = min(float(tab.evaluate("sessionStorage.reloadedAt")) for tab in tabs)
        thefts = [entry.path for entry in site.core.request_log()].count("/recipe/session/remove")
    return shown - started, site.refresh_calls(), len(tabs) - len(arrived), thefts


def main() -> None:
    options = parser("refresh_page", __doc__, rounds=3, tabs=50, tabrounds=1)
    options.set_defaults(revision=[RELEASED])
    options.add_argument("--engine", nargs="*", default=[*LAUNCH])
    chosen, clock = options.parse_args(), ShiftedClock()
    with (
        DevelopmentCore(clock=clock) as core,
        sites(core.uri, chosen.revision, ["inline"]) as origins,
        sync_playwright() as playwright,
    ):
        browsers = {engine: LAUNCH[engine](playwright) for engine in chosen.engine}

        def run(case: Case) -> tuple[float, int, int, int]:
            return visit(browsers[case.engine], Site(origins[case.site], core, clock), case)

        one = [Case(*each) for each in product(browsers, [1], [FIRST, AGAIN], origins)]
        found = in_turns(one, chosen.rounds, run)
        many = [Case(*each) for each in product(browsers, [chosen.tabs], [AGAIN], origins)]
        found |= in_turns(many, chosen.tabrounds, run, first=1)
        for browser in browsers.values():
            browser.close()
    columns: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for case, visits in found.items():
        times, *counts = zip(*visits, strict=True)
        by_hand = statistics.median(each[0] for each in found[case._replace(site=BY_HAND)])
        middle = statistics.median(times)
        name = f"{case.engine}, {case.tabs} tabs, {case.visit}: {case.site}"
        columns["ms"][name] = f"{middle:.0f} ({middle / by_hand:.2f} of by hand)"
        for head, each in zip(("refreshes", "tabs at sign-in", "thefts"), counts, strict=True):
            columns[head][name] = ", ".join(map(str, each))
    show("from reload to content", columns)


if __name__ == "__main__":
    main()
