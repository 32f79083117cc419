"""Measure how long a visitor waits for a refresh: ``python -m benchmarks.refresh_page``.

The time runs from the reload until the content is parsed, in Chromium, with a site and a
development core on this machine. Compared are a page written by hand with the SDK alone, this
package's page by decorator and by template, and only the three requests that every refresh needs.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from flask_ssr_session.dev_core import DevelopmentCore
from tests.browser.conftest import (
    CHROMIUM_ARGUMENTS,
    ShiftedClock,
    Site,
    build_bare_sdk,
    open_tabs,
    reload_at_once,
    served,
)

BY_HAND = "by hand, bare SDK"
BARE = "three bare requests"
PAGES = {
    BY_HAND: "/tabs/handwritten",
    "ours, decorator": "/tabs/decorated",
    "ours, template": "/tabs/template",
}

# The requests that every refresh needs. The first gets a document.
BARE_REQUESTS = """async (path) => {
    const headers = { Accept: "text/html", "Upgrade-Insecure-Requests": "1" };
    const start = performance.now();
    await (await fetch(path, { headers })).text();
    await (await fetch("/auth/session/refresh", { method: "POST", headers: { rid: "x" } })).text();
    const content = await (await fetch(path, { headers })).text();
    if (!content.includes("data-user")) throw new Error("no content");
    return performance.now() - start;
}"""


class Waited(NamedTuple):
    """The result of reloading tabs with an expired token.

    :ivar elapsed: milliseconds until the last tab showed its content; NaN if none did.
    :ivar lost: the number of tabs sent to sign-in although the session could be refreshed.
    :ivar thefts: the number of sessions that ended because a refresh token was used twice.
    """

    elapsed: float
    refreshes: int
    lost: int
    thefts: int


class Bench:
    """A signed-in visitor in a browser, whose token can be made to expire."""

    def __init__(self, site: Site, browser: Browser, latency_ms: float = 0) -> None:
        """Sign a visitor up.

        :param latency_ms: added to every request of the measured tabs.
        """
        self._latency_ms = latency_ms
        self._site = site
        self._browser = browser
        self._context = browser.new_context()
        self._visitor = self._context.new_page()
        self.sign_up()

    def sign_up(self) -> None:
        """Sign up a new visitor: a measurement may have signed out the last one."""
        self._context.clear_cookies()
        self._site.sign_up(self._visitor)
        self._visitor.goto(self._site.url("/panel/"))

    def wait_in_tabs(self, path: str, count: int, *, first_visit: bool) -> Waited:
        """Reload *count* tabs at once, after the token expired.

        :param first_visit: the browser's cache is empty.
        """
        self._site.expire(self._visitor)
        with self._visit(first_visit=first_visit) as context:
            tabs = open_tabs(context, self._site.url("/tabs/start"), path, count)
            for tab in tabs:
                self._slow_down(tab)
            self._site.core.clear_request_log()
            reload_at_once(tabs)
            for tab in tabs:
                tab.wait_for_function(
                    "(path) => 'shownAt' in window || location.pathname !== path", arg=path
                )
            served = [tab for tab in tabs if tab.url.endswith(path)]
            shown = max((self._number(tab, "shownAt") for tab in served), default=math.nan)
            started = min(self._number(tab, "Number(sessionStorage.reloadedAt)") for tab in tabs)
            for tab in tabs:
                tab.close()
        paths = [entry.path for entry in self._site.core.request_log()]
        thefts = paths.count("/recipe/session/remove")
        lost = count - len(served)
        return Waited(shown - started, self._site.refresh_calls(), lost, thefts)

    def bare_requests(self) -> float:
        """Return the milliseconds of the three requests."""
        self._site.expire(self._visitor)
        tab = self._context.new_page()
        tab.goto(self._site.url("/tabs/start"))
        self._slow_down(tab)
        elapsed = float(tab.evaluate(BARE_REQUESTS, PAGES["ours, decorator"]))
        tab.close()
        return elapsed

    def traffic(self, path: str, *, first_visit: bool) -> tuple[int, float]:
        """Return how many requests one tab sends from the reload to the content, and their bytes.

        Bytes are those of the responses on the wire; cached responses count as 0.
        """
        self._site.expire(self._visitor)
        sizes: list[float] = []
        with self._visit(first_visit=first_visit) as context:
            (tab,) = open_tabs(context, self._site.url("/tabs/start"), path, 1)
            network = context.new_cdp_session(tab)
            network.on("Network.loadingFinished", lambda e: sizes.append(e["encodedDataLength"]))
            network.send("Network.enable")
            reload_at_once([tab])
            tab.wait_for_function("() => 'shownAt' in window")
            tab.wait_for_load_state()
            tab.close()
        sent = [size for size in sizes if size]
        return len(sent), sum(sent)

    def _slow_down(self, tab: Page) -> None:
        if self._latency_ms:
            conditions = {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
            network = tab.context.new_cdp_session(tab)
            network.send(
                "Network.emulateNetworkConditions", conditions | {"latency": self._latency_ms}
            )

    @contextmanager
    def _visit(self, *, first_visit: bool) -> Iterator[BrowserContext]:
        if not first_visit:
            yield self._context
            return
        context = self._browser.new_context(storage_state=self._context.storage_state())
        yield context
        context.close()

    @staticmethod
    def _number(tab: Page, expression: str) -> float:
        return float(tab.evaluate(expression))


def line(name: str, times: list[float], notes: str = "") -> str:
    """Return one line of the table."""
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive")
    return f"{name:<34}{middle:>9.0f}{low:>9.0f}{high:>9.0f}{min(times):>9.0f}  {notes}"


def measure(bench: Bench, runs: int, tab_count: int, tab_runs: int) -> Iterator[str]:
    """Measure everything in turns, so that other load on the machine affects all cases."""
    one_tab: dict[tuple[str, bool], list[float]] = defaultdict(list)
    bare = []
    for run in range(runs + 1):
        for name, path in PAGES.items():
            for first_visit in (True, False):
                waited = bench.wait_in_tabs(path, 1, first_visit=first_visit)
                if run:  # the round before warms everything up
                    one_tab[name, first_visit].append(waited.elapsed)
        elapsed = bench.bare_requests()
        if run:
            bare.append(elapsed)
    yield f"{'milliseconds':<34}{'median':>9}{'25 %':>9}{'75 %':>9}{'least':>9}"
    for first_visit in (True, False):
        by_hand = statistics.median(one_tab[BY_HAND, first_visit])
        for name in PAGES:
            times = one_tab[name, first_visit]
            notes = f"{statistics.median(times) / by_hand:.2f} x by hand, "
            notes += f"bare + {statistics.median(times) - statistics.median(bare):.0f}"
            visit = "first visit" if first_visit else "cached"
            yield line(f"{name}, {visit}", times, notes)
    yield line(BARE, bare)
    for name, path in PAGES.items():
        for first_visit in (True, False):
            requests, size = bench.traffic(path, first_visit=first_visit)
            visit = "first visit" if first_visit else "cached"
            yield f"{f'{name}, {visit}':<34}{requests:>9} requests {size / 1000:>9.1f} kB"
    many: dict[str, list[Waited]] = defaultdict(list)
    for _ in range(tab_runs):
        for name, path in PAGES.items():
            bench.sign_up()
            many[name].append(bench.wait_in_tabs(path, tab_count, first_visit=False))
    shown = {
        name: [waited.elapsed for waited in results if not math.isnan(waited.elapsed)]
        for name, results in many.items()
    }
    by_hand = statistics.median(shown[BY_HAND])
    for name, results in many.items():
        times = shown[name]
        notes = f"{by_hand / statistics.median(times):.1f} x as fast as by hand, "
        notes += f"refreshes: {', '.join(str(waited.refreshes) for waited in results)}, "
        notes += f"sent to sign-in: {', '.join(str(waited.lost) for waited in results)}, "
        notes += f"thefts: {sum(waited.thefts for waited in results)}"
        yield line(f"{name}, {tab_count} tabs", times, notes)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refresh_page", description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="with one tab, default: 20")
    parser.add_argument("--tabs", type=int, default=50, help="default: 50")
    parser.add_argument(
        "--tab-runs", type=int, default=5, help="with many tabs, at least 2, default: 5"
    )
    parser.add_argument("--latency-ms", type=float, default=0, help="added to each request")
    options = parser.parse_args()
    clock = ShiftedClock()
    with tempfile.TemporaryDirectory() as scratch, DevelopmentCore(clock=clock) as core:
        environment = {"BARE_SDK": str(build_bare_sdk(Path(scratch, "frontend")))}
        module = "tests.browser.app"
        with (
            served(core.uri, module=module, environment=environment) as origin,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(
                executable_path=os.environ.get("SSR_SESSION_TEST_CHROMIUM") or None,
                args=CHROMIUM_ARGUMENTS,
                chromium_sandbox=False,
            )
            bench = Bench(Site(origin, core, clock), browser, options.latency_ms)
            for text in measure(bench, options.runs, options.tabs, options.tab_runs):
                print(text, flush=True)  # noqa: T201
            browser.close()


if __name__ == "__main__":
    main()
