"""What visitors, their browsers and the network do."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections import defaultdict
from typing import Any

from playwright.sync_api import BrowserContext, Page, Route

REFRESH_API = "**/auth/session/refresh"
SIGN_OUT_API = "**/auth/signout"

# A refresh on this page holds the lock until it is done.
SETTLE = "navigator.locks.request('flask-ssr-session-refresh', () => null)"
FOCUS = "dispatchEvent(new Event('focus'))"

# What a browser may lack or forbid, as scripts that run on every page.
WITHOUT_WEB_LOCKS = "delete Navigator.prototype.locks"
_THROW = "() { throw new DOMException('no', 'SecurityError') }"
NO_SESSION, NO_LOCAL, NO_COOKIES = (
    f"Object.defineProperty({name}', {{ get{_THROW}, set{_THROW} }});"
    for name in ("window, 'sessionStorage", "window, 'localStorage", "document, 'cookie")
)
NAMED = "window.name ||= 'mine';"

# The requests that hold() has kept waiting.
HELD: defaultdict[BrowserContext, list[list[Route]]] = defaultdict(list)


def front_token(user: str | None = "user-1", *, expires_at_ms: int = 1000, **claims: Any) -> str:
    """Return a front token, in UTF-8 as SuperTokens' SDK for Node writes it."""
    content = {"uid": user, "ate": expires_at_ms, "up": claims}
    return b64encode(json.dumps(content, ensure_ascii=False).encode()).decode()


def answer(page: Page, status: int = 200, url: str = REFRESH_API, **headers: str) -> None:
    """Answer *page* in place of an API; an underscore in a header's name is a dash."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    page.route(url, lambda route: route.fulfill(status=status, headers=named, body="{}"))


def copy_token(page: Page, **changes: Any) -> None:
    """Store the access token of *page* once more, in a cookie that differs in this."""
    token: Any = next(c for c in page.context.cookies() if c["name"] == "sAccessToken")
    token.update(changes)
    page.context.add_cookies([token])


def hold(page: Page, url: str = REFRESH_API, *, only_first: bool = False) -> list[Route]:
    """Return a list that fills with the requests of *page* for *url*, which hang."""
    held: list[Route] = []

    def decide(route: Route) -> None:
        if held and only_first:
            route.continue_()
        else:
            held.append(route)

    page.route(url, decide)
    HELD[page.context].append(held)
    return held


def try_again(page: Page) -> None:
    page.get_by_role("button", name="Try again").click()


def follow(page: Page, url: str) -> None:
    """Follow a link, as a visitor does: goto() would be a new beginning for some caches."""
    page.evaluate("url => { setTimeout(() => location.assign(url)) }", url)


def post_form(page: Page, url: str, **fields: str) -> None:
    """Post a form of *fields* from the document in *page*, without an event."""
    page.evaluate(
        """([url, fields]) => {
        const make = (tag, values) => Object.assign(document.createElement(tag), values);
        const form = make('form', { method: 'post', action: url });
        for (const [name, value] of fields) form.append(make('input', { name, value }));
        document.body.append(form);
        HTMLFormElement.prototype.submit.call(form); }""",
        [url, list(fields.items())],
    )


def open_tabs(context: BrowserContext, start: str, path: str, count: int) -> list[Page]:
    """Open tabs that have loaded *start*, and request *path* when they reload.

    :param start: URL of the page that shows nothing.
    """
    tabs = []
    for _ in range(count):
        tab = context.new_page()
        tab.goto(start)
        tab.evaluate("path => history.replaceState(null, '', path)", path)
        tabs.append(tab)
    return tabs


def reload_at_once(tabs: list[Page]) -> None:
    """Reload all *tabs* at the same moment, which each stores as ``sessionStorage.reloadedAt``."""
    moment = time.time() * 1000 + 100 + 20 * len(tabs)
    for tab in tabs:
        tab.evaluate(
            """moment => { setTimeout(() => {
                sessionStorage.reloadedAt = performance.timeOrigin + performance.now();
                location.reload();
            }, moment - Date.now()) }""",
            moment,
        )
