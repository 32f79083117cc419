"""Measure how long a visitor waits for a refresh: ``python -m benchmarks.refresh_page``.

The time runs from the reload, with an expired token, until the content of the last tab is parsed.
Only the first engine reloads many tabs at once: Firefox takes three times as long for that.
"""

import math
import statistics
import time
from collections import defaultdict
from contextlib import suppress
from itertools import product, starmap
from typing import NamedTuple

from playwright.sync_api import Browser, Error, sync_playwright

from flask_ssr_session.dev_core import DevelopmentCore
from tests.browser import act
from tests.browser.conftest import ShiftedClock, Site

from .browsers import BY_HAND, LAUNCH, sites
from .frame import in_turns, parser, show

# The first shows the content, the second nothing, so that no script is in the cache.
PATH, START = "/page/1", "/auth"
ARRIVED = "path => window.shownAt || location.pathname !== path"  # or at sign-in
FIRST, AGAIN = "first visit", "seen before"


class Case(NamedTuple):
    """A visit of one site: tabs that reload at once."""

    engine: str
    tabs: int
    visit: str
    site: str


def visit(browser: Browser, site: Site, case: Case) -> tuple[float, int, int, int]:
    """Return the milliseconds, the refreshes, how many tabs got no content, and the thefts."""
    with browser.new_context() as context:
        page = context.new_page()
        site.sign_up(page, to=START)
        site.expire(page)
        if case.visit == AGAIN:  # the refresh page and the content are in the cache
            page.goto(site.url(PATH))
            page.wait_for_function("() => window.shownAt")
            site.expire(page)
            page.goto(site.url(START))
        tabs = act.open_tabs(context, site.url(START), PATH, case.tabs)
        site.core.clear_request_log()
        act.reload_at_once(tabs)
        end = time.monotonic() + 60
        for tab in tabs:
            with suppress(Error):  # a tab that does not arrive is counted
                left_ms = max(1, (end - time.monotonic()) * 1000)
                tab.wait_for_function(ARRIVED, arg=PATH, timeout=left_ms)
        started = min(float(tab.evaluate("sessionStorage.reloadedAt")) for tab in tabs)
        shown = [at for tab in tabs if (at := tab.evaluate("window.shownAt"))]
        thefts = [entry.path for entry in site.core.request_log()].count("/recipe/session/remove")
    elapsed = max(shown, default=math.nan) - started
    return elapsed, site.refresh_calls(), len(tabs) - len(shown), thefts


def main() -> None:
    options = parser("refresh_page", __doc__, rounds=3, tabs=50, tabrounds=1)
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

        one = starmap(Case, product(browsers, [1], [FIRST, AGAIN], origins))
        many = starmap(Case, product(chosen.engine[:1], [chosen.tabs], [AGAIN], origins))
        found = in_turns(one, chosen.rounds, run)
        found |= in_turns(many, chosen.tabrounds, run, first=1)
    columns: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for case, visits in found.items():
        times, *counts = zip(*visits, strict=True)
        by_hand = statistics.median(each[0] for each in found[case._replace(site=BY_HAND)])
        middle = statistics.median(times)
        name = f"{case.engine}, {case.tabs} tabs, {case.visit}: {case.site}"
        columns["ms"][name] = f"{middle:.0f} ({middle / by_hand:.2f} of by hand)"
        for head, each in zip(("refreshes", "tabs without content", "thefts"), counts, strict=True):
            columns[head][name] = ", ".join(map(str, each))
    show("from reload to content", columns)


if __name__ == "__main__":
    main()
