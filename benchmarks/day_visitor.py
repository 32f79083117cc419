"""A visitor of ``benchmarks.day``: what one does, and what one meets."""

import asyncio
import json
import time
from base64 import b64decode
from collections import Counter
from contextlib import suppress
from typing import Any
from urllib.parse import quote_plus, unquote

from playwright.async_api import BrowserContext, Error, Page, Response

from tests.browser import see

from .browser_site import CONTENT
from .day_plan import PLAIN, Step
from .frame import say

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
    const isRefresh = String(request[0]).endsWith('/session/refresh');
    if (isRefresh) sessionStorage.dayCall ||= now();
    const answer = await fetch(...request);
    if (isRefresh) sessionStorage.dayAnswer ||= now();
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
})()""".replace("LOCK", see.SDK_LOCK)
# The content has arrived, or the visitor must sign in or send a late form.
ARRIVED = """([url, since]) => (location.href === url && window.shownAt > since)
    || location.pathname.startsWith('/auth')
    || [...document.querySelectorAll('[data-ssr-part] form button')].some((b) => b.offsetWidth)"""
# What the page shows, and the milliseconds since the click; NaN if there was none.
STATE = """() => {
    const page = document.querySelector('[data-user]'), at = sessionStorage;
    return { ...page?.dataset, text: page?.textContent, shown: window.shownAt - at.dayClick,
        lock: at.dayCall - at.dayLock, call: at.dayAnswer - at.dayCall }; }"""
MIDDLE = """(selector) => {
    const box = document.querySelector(selector).getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2]; }"""


class Visitor:
    """One browser with cookies of its own, and what it met."""

    def __init__(self, site: str, engine: str, context: BrowserContext, origin: str) -> None:
        self.site, self.engine = site, engine
        self.counts: Counter[str] = Counter()
        self.inputs: list[float] = []  # in seconds
        # In milliseconds: what the token had to live at a plain click, and what followed.
        self.clicks: list[dict[str, Any]] = []
        self._context, self._origin, self._user = context, origin, ""
        # Each with the addresses in its history up to the present one; the last tab is visible.
        self._tabs: dict[Page, list[str]] = {}
        self._refresh_pages: list[str] = []

    async def live(self, steps: list[Step]) -> None:
        """Take all steps, and ask the server what it counted."""
        await self._context.add_init_script(WATCH)
        self._context.set_default_timeout(12_000)
        named: Any = {"name": "visitor", "value": self.engine, "url": self._origin}
        await self._context.add_cookies([named])
        self._context.on("response", self._note_refresh_page)
        await self._open(f"{self._origin}/page/1")
        for number, step in enumerate(steps, 1):
            await self._take(step, number)
            if number % 10 == 0:
                say(f"{self.engine}, {self.site}: {number} of {len(steps)}")
        counted = Counter(await (await self._context.request.get(f"{self._origin}/counted")).json())
        self.counts |= {name: counted[name] for name in ("calls", "thefts")}
        self.counts["tokens"] = sum(name.startswith("token ey") for name in counted)

    @property
    def _visible(self) -> Page:
        return [*self._tabs][-1]

    def _note_refresh_page(self, response: Response) -> None:
        is_document = response.request.is_navigation_request() and response.status // 100 != 3
        if is_document and CONTENT not in response.headers and response.url != "about:blank":
            self._refresh_pages.append(response.url)

    async def _open(self, url: str) -> None:
        """Open a tab, and sign in as somebody new if nobody is signed in."""
        page = await self._context.new_page()
        if not await self._milliseconds_left():
            self.counts["sign-ins"] += 1
            await page.goto(f"{self._origin}/panel/")
            self._user = await page.evaluate("fetch('/sign-in').then((answer) => answer.text())")
        await page.goto(url)
        self._tabs[page] = [url]

    async def _take(self, step: Step, number: int) -> None:
        """Take one step, and look at the content that it leads to."""
        if step.switches and len(self._tabs) > 1:
            await self._visible.evaluate("turn('hidden')")
            first = next(iter(self._tabs))
            self._tabs[first] = self._tabs.pop(first)
            await first.evaluate("turn('visible')")
        page, history = self._visible, self._tabs[self._visible]
        kind = "link" if step.kind == "back" and not history[1:] else step.kind
        label = "bare" if "/bare/" in history[-1] and kind in PLAIN else kind
        text = f"{kind} {number}" if kind in {"search", "post"} else ""
        url = self._next_url(history, kind, text)
        if text:
            await click(page, f"#{kind} input")
            await page.keyboard.press("ControlOrMeta+a")  # going back has filled it in again
            await page.keyboard.type(text[:3])
        if step.is_away and kind == "typed":
            await page.goto("about:blank")
            del history[:-1]
        elif step.is_away:
            await page.evaluate("turn('hidden')")
        await asyncio.sleep(step.pause)
        if step.is_away and kind != "typed":
            await page.evaluate("turn('visible')")
        await page.keyboard.type(text[3:])
        left, since = await self._milliseconds_left(), time.time() * 1000
        self.inputs.append(since / 1000)
        self._refresh_pages.clear()
        state: dict[str, Any] = {}
        with suppress(Error):
            await self._act(page, kind, url)
            page = self._visible
            await page.wait_for_function(ARRIVED, arg=[url, since * (kind != "back")])
            for send in await page.locator("[data-ssr-part] form button:visible").all():
                self.counts["forms that waited for a click"] += 1
                await send.click()
                await page.wait_for_function(ARRIVED, arg=[url, since])
            state = await page.evaluate(STATE)
        self.counts[label] += 1
        self.counts[f"refresh pages: {label}"] += bool(self._refresh_pages)
        if state.get("user") != self._user:
            self._complain("another user" if "user" in state else "never arrived", url)
            await self._tabs.popitem()[0].close()
            await self._open(url)
        elif kind != "back" and float(state["at"]) < since:
            self._complain("stale", url)
        elif text and state["text"] != text:
            self._complain("lost entries", url)
        elif label == "link":
            self.clicks.append({"left": left, **state})

    def _complain(self, problem: str, url: str) -> None:
        self.counts[problem] += 1
        say(f"{self.engine}, {self.site}: {problem}: {url}")

    def _next_url(self, history: list[str], kind: str, text: str) -> str:
        if kind == "back":
            history.pop()
        if kind in {"back", "reload"}:
            return history[-1]
        number = int(history[-1].partition("?")[0].rpartition("/")[2]) + 1
        url = f"{self._origin}/{'bare' if kind == 'bare' else 'page'}/{number}"
        url += f"?q={quote_plus(text)}" if text else ""
        if kind != "tab":
            history.append(url)
        return url

    async def _act(self, page: Page, kind: str, url: str) -> None:
        if kind == "tab":
            async with self._context.expect_page() as opened:
                await page.keyboard.down("ControlOrMeta")
                await click(page, "#link")
                await page.keyboard.up("ControlOrMeta")
            await page.evaluate("turn('hidden')")
            self._tabs[await opened.value] = [url]
            if len(self._tabs) > 3:
                first = next(iter(self._tabs))
                del self._tabs[first]
                await first.close()
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

    async def _milliseconds_left(self) -> float:
        """Return how long the access token will live, or 0 if nobody is signed in."""
        for cookie in await self._context.cookies(self._origin):
            if cookie["name"] == "sFrontToken":
                front_token = json.loads(b64decode(unquote(cookie["value"])))
                return float(front_token["ate"]) - time.time() * 1000
        return 0


async def click(page: Page, selector: str) -> None:
    """Click as the mouse does: Page.click() would wait for what Firefox never reports."""
    await page.mouse.click(*await page.evaluate(MIDDLE, selector))
