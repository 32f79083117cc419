"""A visitor of ``benchmarks.day``: what one does, and what one meets."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import quote_plus, unquote

from playwright.async_api import BrowserContext, Error, Page, Response

from tests.browser.conftest import SDK_LOCK

from .day_site import CONTENT

LIFE_SECONDS = 20
ARRIVES_WITHIN_MS = 12_000

KINDS = {
    "link": 48,
    "search": 12,
    "post": 14,
    "bare": 4,
    "back": 8,
    "tab": 5,
    "reload": 4,
    "typed": 5,
}
PAUSES = {(0.2, 3.0): 82, (3.0, 10.0): 11, (LIFE_SECONDS + 2.0, LIFE_SECONDS + 10.0): 7}
PLAIN = ("link", "search", "post")

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
SIGN_UP = """async (email) => {
    const values = { email, password: 'correct horse 1' };
    const formFields = Object.entries(values).map(([id, value]) => ({ id, value }));
    const headers = { rid: 'emailpassword', 'content-type': 'application/json' };
    const body = JSON.stringify({ formFields });
    return (await (await fetch('/auth/signup', { method: 'POST', headers, body })).json()).user.id;
}"""
# The content has arrived, or a page that the visitor must answer.
ARRIVED = """([url, since]) => (location.href === url && window.shownAt > since) || isAnswer()
function isAnswer() {
    return location.pathname.startsWith('/auth')
        || [...document.querySelectorAll('[data-ssr-part] form button')].some((b) => b.offsetWidth);
}"""
MIDDLE = """(selector) => {
    const { x, y, width, height } = document.querySelector(selector).getBoundingClientRect();
    return [x + width / 2, y + height / 2];
}"""
STATE = """() => ({ ...document.querySelector('[data-user]')?.dataset, ...sessionStorage,
    text: document.querySelector('[data-user]')?.textContent, shownAt: window.shownAt })"""


class Step(NamedTuple):
    """What a visitor does.

    :ivar pause: seconds before it; for a form, in the middle of typing.
    :ivar is_away: the visitor looks at another tab, or another site, in the meantime.
    :ivar switches: it is done in the next tab.
    """

    kind: str
    pause: float
    is_away: bool
    switches: bool


def plan(seed: int, count: int) -> list[Step]:
    """Return the steps of one day."""
    chosen = random.Random(seed)  # noqa: S311 - no secret
    steps = []
    for _ in range(count):
        (kind,) = chosen.choices(list(KINDS), list(KINDS.values()))
        (pause,) = chosen.choices(list(PAUSES), list(PAUSES.values()))
        seconds, is_away, switches = chosen.uniform(*pause), chosen.random(), chosen.random()
        steps.append(Step(kind, seconds, seconds > LIFE_SECONDS and is_away < 0.5, switches < 0.06))
    return steps


class Click(NamedTuple):
    """A plain click on a link; milliseconds.

    :ivar left: what the token had to live.
    """

    left: float
    shown: float
    lock: float | None
    call: float | None


@dataclass
class Tab:
    """A tab and the addresses in its history."""

    page: Page
    history: list[str]
    at: int = 0

    @property
    def url(self) -> str:
        """The address that the visitor sees."""
        return self.history[self.at]


@dataclass
class Visitor:
    """One browser with cookies of its own, and what it met."""

    rival: str
    engine: str
    context: BrowserContext
    origin: str
    user: str = ""
    tabs: list[Tab] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    clicks: list[Click] = field(default_factory=list)
    inputs: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        """The name that the server knows."""
        return f"{self.engine}-{self.rival}".replace(", ", "-").replace(" ", "-")

    async def live(self, steps: Sequence[Step]) -> dict[str, Any]:
        """Take all steps; return what the server counted."""
        await self.context.add_init_script(WATCH)
        self.context.set_default_timeout(ARRIVES_WITHIN_MS)
        await self.context.add_cookies(
            [{"name": "visitor", "value": self.name, "url": self.origin}]
        )
        self.context.on("response", self._note_document)
        page = await self.context.new_page()
        await self._sign_up(page)
        self.tabs.append(Tab(page, [f"{self.origin}/page/1"]))
        await page.goto(self.tabs[0].url)
        for number, step in enumerate(steps):
            await self._take(step, number)
            if number % 20 == 19:
                say(f"{self.name}: {number + 1} of {len(steps)}")
        answer = await self.context.request.get(f"{self.origin}/visitors/{self.name}")
        counted: dict[str, Any] = await answer.json()
        arrived = Counter(counted["notes"])
        self.problems["lost entries"] += sum(not arrived[note] for note in self.notes)
        self.problems["forms sent twice"] += sum(arrived[note] > 1 for note in self.notes)
        return counted

    def _note_document(self, response: Response) -> None:
        is_document = response.request.is_navigation_request() and response.status // 100 != 3
        if (
            is_document
            and response.url.startswith(self.origin)
            and CONTENT.lower() not in response.headers
        ):
            self.foreign.append(response.url)

    async def _sign_up(self, page: Page) -> None:
        self.met["sign-ins"] += 1
        await page.goto(f"{self.origin}/panel/")
        email = f"{self.name}-{self.met['sign-ins']}@example.test"
        self.user = await page.evaluate(SIGN_UP, email)

    async def _take(self, step: Step, number: int) -> None:
        """Take one step, and look at the content that it leads to."""
        if step.switches and len(self.tabs) > 1:
            await self.tabs[-1].page.evaluate("turn('hidden')")
            self.tabs.append(self.tabs.pop(0))
            await self.tabs[-1].page.evaluate("turn('visible')")
        tab = self.tabs[-1]
        kind = "link" if step.kind == "back" and not tab.at else step.kind
        label = "bare" if "/bare/" in tab.url and kind in PLAIN else kind
        text = f"{kind} {number}" if kind in {"search", "post"} else ""
        url = self._next_url(tab, kind, text)
        if text:
            await click(tab.page, f"#{kind} input")
            await tab.page.keyboard.press("ControlOrMeta+a")  # going back has filled it in again
            await tab.page.keyboard.type(text[:3])
        await self._pause(tab, step, kind)
        await tab.page.keyboard.type(text[3:])
        left, since = await self._left(), time.time() * 1000
        self.inputs.append(since / 1000)
        self.foreign.clear()
        self.steps[label] += 1
        try:
            await self._act(tab, kind, url)
            tab = self.tabs[-1]
            await tab.page.wait_for_function(ARRIVED, arg=[url, since * (kind != "back")])
            for send in await tab.page.locator("[data-ssr-part] form button:visible").all():
                self.met["waited"] += 1
                await send.click()
                await tab.page.wait_for_function(ARRIVED, arg=[url, since])
            state = await tab.page.evaluate(STATE)
        except Error as error:
            state = {}
            self._complain("never arrived", f"{label} to {url}: {error.message[:200]}")
        self.met[label] += bool(self.foreign)
        if state.get("user") != self.user:
            self._complain("wrong user or none", f"{label} to {url}: {tab.page.url}")
            await self._begin_again(url)
        elif kind != "back" and float(state["at"]) < since:
            self._complain("stale", url)
        elif text and state["text"] != text:
            self._complain("lost entries", f"{url} shows {state['text']}")
        elif label == "link":
            moment = {name: float(value) for name, value in state.items() if name[:3] == "day"}
            begin, call, end = (moment.get(f"day{each}") for each in ("Lock", "Call", "Answer"))
            lock_ms, call_ms = (begin and call and call - begin), (end and call and end - call)
            shown_ms = state["shownAt"] - moment["dayClick"]
            self.clicks.append(Click(left, shown_ms, lock_ms, call_ms))

    def _next_url(self, tab: Tab, kind: str, text: str) -> str:
        """Return where the step leads, and remember it in the history."""
        if kind == "back":
            tab.at -= 1
        if kind in {"back", "reload"}:
            return tab.url
        number = int(tab.url.partition("?")[0].rpartition("/")[2]) + 1
        url = f"{self.origin}/{'bare' if kind == 'bare' else 'page'}/{number}"
        if text:
            url += f"?q={quote_plus(text)}"
        if kind == "post":
            self.notes.append(text)
        if kind != "tab":
            tab.at += 1
            tab.history[tab.at :] = [url]
        return url

    async def _pause(self, tab: Tab, step: Step, kind: str) -> None:
        if step.is_away and kind == "typed":
            await tab.page.goto("about:blank")
            del tab.history[:-1]
            tab.at = 0
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
            if len(self.tabs) > 3:
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

    async def _begin_again(self, url: str) -> None:
        """Close the tab, and sign in again if need be."""
        page = await self.context.new_page()
        if await self._left() == 0:
            await self._sign_up(page)
        await page.goto(url)
        await self.tabs.pop().page.close()
        self.tabs.append(Tab(page, [url]))

    def _complain(self, problem: str, detail: str) -> None:
        self.problems[problem] += 1
        say(f"{self.name}: {problem}, {detail}, documents: {self.foreign}")

    async def _left(self) -> float:
        """Return the milliseconds that the access token has to live."""
        for cookie in await self.context.cookies(self.origin):
            if cookie["name"] == "sFrontToken":
                ends: float = json.loads(b64decode(unquote(cookie["value"])))["ate"]
                return ends - time.time() * 1000
        return 0


async def click(page: Page, selector: str) -> None:
    """Click as the mouse does. Page.click() would wait for what Firefox never reports."""
    middle = await page.evaluate(MIDDLE, selector)
    await page.mouse.click(*middle)


def say(text: str) -> None:
    """Tell how far the run is."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)  # noqa: T201
