"""A visitor of ``benchmarks.day``: what one does, and what one meets."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote_plus, unquote

from playwright.async_api import BrowserContext, Error, Page, Response

from tests.browser.conftest import SDK_LOCK

from .day_plan import PLAIN, Step
from .day_site import CONTENT

ARRIVES_WITHIN_MS = 12_000
# Notes the moments of a click, of the SDK's first look at its lock, and of the refresh call. All
# tabs of a headless browser are visible, so the visitor says which one is not.
WATCH = """(() => {
const now = () => performance.timeOrigin + performance.now();
const { getItem } = Storage.prototype, { fetch } = window;
// A page that is left looks at the lock, too.
if (location.host && !sessionStorage.dayCall) sessionStorage.removeItem('dayLock');
Storage.prototype.getItem = function (key) {
    if (key === 'LOCK') sessionStorage.dayLock ||= now();
    return getItem.call(this, key);
};
window.fetch = async (...request) => {
    if (!String(request[0]).endsWith('/session/refresh')) return fetch(...request);
    sessionStorage.dayCall ||= now();
    const answer = await fetch(...request);
    sessionStorage.dayAnswer ||= now();
    return answer;
};
addEventListener('click', ({ isTrusted, timeStamp }) => {
    if (!isTrusted) return;
    for (const name of ['dayLock', 'dayCall', 'dayAnswer']) sessionStorage.removeItem(name);
    sessionStorage.dayClick = performance.timeOrigin + timeStamp;
}, true);
let state = 'visible';
Object.defineProperty(document, 'visibilityState', { get: () => state });
Object.defineProperty(document, 'hidden', { get: () => state === 'hidden' });
window.turn = (to) => {
    state = to;
    document.dispatchEvent(new Event('visibilitychange', { bubbles: true }));
    dispatchEvent(new Event(to === 'visible' ? 'focus' : 'blur'));
};
})()""".replace("LOCK", SDK_LOCK)
# The content has arrived, or the visitor must sign in or send a late form.
ARRIVED = """([url, since]) => (location.href === url && window.shownAt > since)
    || location.pathname.startsWith('/auth')
    || [...document.querySelectorAll('[data-ssr-part] form button')].some((b) => b.offsetWidth)"""
STATE = """() => ({ ...document.querySelector('[data-user]')?.dataset, ...sessionStorage,
    text: document.querySelector('[data-user]')?.textContent, shownAt: window.shownAt })"""
MIDDLE = """(selector) => {
    const { x, y, width, height } = document.querySelector(selector).getBoundingClientRect();
    return [x + width / 2, y + height / 2];
}"""


class Click(NamedTuple):
    """Milliseconds: what the token had to live at a plain click, and what followed."""

    left: float
    shown: float
    lock: float | None
    call: float | None


@dataclass
class Tab:
    """A tab, the addresses in its history, and the place in it."""

    page: Page
    history: list[str]
    at: int = 0


@dataclass
class Visitor:
    """One browser with cookies of its own, and what it met."""

    rival: str
    engine: str
    context: BrowserContext
    origin: str
    user: str = ""
    tabs: list[Tab] = field(default_factory=list)  # the visible one is the last
    refresh_pages: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    clicks: list[Click] = field(default_factory=list)
    inputs: list[float] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    async def live(self, steps: Sequence[Step]) -> None:
        """Take all steps, and ask the server what it counted."""
        name = f"{self.engine}-{self.rival}".replace(", ", "-").replace(" ", "-")
        await self.context.add_init_script(WATCH)
        self.context.set_default_timeout(ARRIVES_WITHIN_MS)
        await self.context.add_cookies([{"name": "visitor", "value": name, "url": self.origin}])
        self.context.on("response", self._note_refresh_page)
        await self._open(f"{self.origin}/page/1")
        for number, step in enumerate(steps):
            await self._take(step, number)
            if number % 20 == 19:
                say(f"{name}: {number + 1} of {len(steps)}")
        counted = await (await self.context.request.get(f"{self.origin}/counted")).json()
        arrived = Counter(counted.pop("notes"))
        self.counts.update(counted)
        self.counts["lost entries"] += sum(not arrived[note] for note in self.sent)
        self.counts["forms sent twice"] += sum(arrived[note] > 1 for note in self.sent)

    def _note_refresh_page(self, response: Response) -> None:
        is_document = response.request.is_navigation_request() and response.status // 100 != 3
        if is_document and CONTENT not in response.headers and response.url != "about:blank":
            self.refresh_pages.append(response.url)

    async def _open(self, url: str) -> None:
        """Open a tab, and sign up as somebody new where nobody is signed in."""
        page = await self.context.new_page()
        if not await self._milliseconds_left():
            self.counts["sign-ins"] += 1
            await page.goto(f"{self.origin}/panel/")
            self.user = await page.evaluate(f"signUp('user-{time.time_ns()}@example.test')")
        await page.goto(url)
        self.tabs.append(Tab(page, [url]))

    async def _take(self, step: Step, number: int) -> None:
        """Take one step, and look at the content that it leads to."""
        if step.switches and len(self.tabs) > 1:
            await self.tabs[-1].page.evaluate("turn('hidden')")
            self.tabs.append(self.tabs.pop(0))
            await self.tabs[-1].page.evaluate("turn('visible')")
        tab = self.tabs[-1]
        kind = "link" if step.kind == "back" and not tab.at else step.kind
        label = "bare" if "/bare/" in tab.history[tab.at] and kind in PLAIN else kind
        text = f"{kind} {number}" if kind in {"search", "post"} else ""
        url = self._next_url(tab, kind, text)
        if text:
            await click(tab.page, f"#{kind} input")
            await tab.page.keyboard.press("ControlOrMeta+a")  # going back has filled it in again
            await tab.page.keyboard.type(text[:3])
        await self._pause(tab, step, kind)
        await tab.page.keyboard.type(text[3:])
        left, since = await self._milliseconds_left(), time.time() * 1000
        self.inputs.append(since / 1000)
        self.refresh_pages.clear()
        state: dict[str, Any] = {}
        with suppress(Error):
            await self._act(tab, kind, url)
            page = self.tabs[-1].page
            await page.wait_for_function(ARRIVED, arg=[url, since * (kind != "back")])
            for send in await page.locator("[data-ssr-part] form button:visible").all():
                self.counts["forms that waited for a click"] += 1
                await send.click()
                await page.wait_for_function(ARRIVED, arg=[url, since])
            state = await page.evaluate(STATE)
        self.counts[label] += 1
        self.counts[f"refresh pages: {label}"] += bool(self.refresh_pages)
        if state.get("user") != self.user:
            self._complain("never arrived" if "user" not in state else "another user", url)
            await self.tabs.pop().page.close()
            await self._open(url)
        elif kind != "back" and float(state["at"]) < since:
            self._complain("stale", url)
        elif text and state["text"] != text:
            self._complain("lost entries", url)
        elif label == "link":
            moment = {name: float(value) for name, value in state.items() if name[:3] == "day"}
            lock, call, answer = (moment.get(f"day{each}") for each in ("Lock", "Call", "Answer"))
            times = (lock and call and call - lock), (call and answer and answer - call)
            self.clicks.append(Click(left, state["shownAt"] - moment["dayClick"], *times))

    def _next_url(self, tab: Tab, kind: str, text: str) -> str:
        """Return where the step leads, and remember it in the history."""
        tab.at -= kind == "back"
        url = tab.history[tab.at]
        if kind in {"back", "reload"}:
            return url
        number = int(url.partition("?")[0].rpartition("/")[2]) + 1
        url = f"{self.origin}/{'bare' if kind == 'bare' else 'page'}/{number}"
        url += f"?q={quote_plus(text)}" if text else ""
        if kind == "post":
            self.sent.append(text)
        if kind != "tab":
            tab.at += 1
            tab.history[tab.at :] = [url]
        return url

    async def _pause(self, tab: Tab, step: Step, kind: str) -> None:
        if step.is_away and kind == "typed":
            await tab.page.goto("about:blank")
            tab.history, tab.at = tab.history[-1:], 0
        elif step.is_away:
            await tab.page.evaluate("turn('hidden')")
        await asyncio.sleep(step.pause)
        if step.is_away and kind != "typed":
            await tab.page.evaluate("turn('visible')")

    async def _act(self, tab: Tab, kind: str, url: str) -> None:
        page = tab.page
        if kind == "tab":
            async with self.context.expect_page() as opened:
                await page.keyboard.down("ControlOrMeta")
                await click(page, "#link")
                await page.keyboard.up("ControlOrMeta")
            await page.evaluate("turn('hidden')")
            self.tabs.append(Tab(await opened.value, [url]))
            if self.tabs[3:]:
                await self.tabs.pop(0).page.close()
        elif kind == "back":
            await page.evaluate("setTimeout(() => history.back())")
        elif kind == "reload":
            await page.reload(wait_until="commit")
        elif kind == "typed":
            await page.goto(url, wait_until="commit")
        elif kind == "search":
            await page.keyboard.press("Enter")
        else:
            await click(page, "#post button" if kind == "post" else f"#{kind}")

    def _complain(self, problem: str, url: str) -> None:
        self.counts[problem] += 1
        say(f"{self.engine}, {self.rival}: {problem}: {url}, is {self.tabs[-1].page.url}")

    async def _milliseconds_left(self) -> float:
        """Return how long the access token will live, or 0 if nobody is signed in."""
        for cookie in await self.context.cookies(self.origin):
            if cookie["name"] == "sFrontToken":
                front_token = json.loads(b64decode(unquote(cookie["value"])))
                return float(front_token["ate"]) - time.time() * 1000
        return 0


async def click(page: Page, selector: str) -> None:
    """Click as the mouse does: Page.click() would wait for what Firefox never reports."""
    await page.mouse.click(*await page.evaluate(MIDDLE, selector))


def say(text: str) -> None:
    """Tell how far the run is."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)  # noqa: T201
