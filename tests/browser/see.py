"""What tests see of a browser: what they wait for, and lists that fill while they go on."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response, expect

USER = "[data-user]"
# Names in storage and cookies: ours, then those of the SDK.
MARKER = "ssr-session-refreshed"
SDK_LOCK = "browser-tabs-lock-key-REFRESH_TOKEN_USE"
UPDATE = "st-last-access-token-update"

T = TypeVar("T")
TIMEOUT_MS = 30_000
expect.set_options(timeout=TIMEOUT_MS)


def part(page: Page, name: str) -> None:
    """Wait until the page shows this part of ours."""
    expect(page.locator(f"[data-ssr-part={name}]")).to_be_visible()


def cause(
    page: Page, name: str, *, link: str = "Sign in", href: str = "/auth?redirectToPath="
) -> None:
    """Wait until the page names this cause, no other, and both ways on.

    :param href: a part of the address of the *link*.
    """
    expect(page.locator(f"[data-ssr-cause={name}]")).to_be_visible()
    expect(page.locator("[data-ssr-cause] >> visible=true")).to_have_count(1)
    expect(page.get_by_role("button", name="Try again")).to_be_focused()
    way = page.locator("[data-ssr-part=problem]").get_by_role("link", name=link)
    expect(way).to_have_attribute("href", re.compile(re.escape(href)))


def user(page: Page, user: str) -> None:
    expect(page.locator(USER)).to_have_text(user)


def address(page: Page, url: str) -> None:
    """Wait until *page* is at *url*, even if Firefox restores it from its back/forward cache.

    Playwright does not notice that, and keeps the old address.
    """
    page.wait_for_function("url => location.href === url", arg=url)


def events(source: Any, name: str, pick: Callable[[Any], T | None]) -> list[T]:
    """Return a list that fills with what *pick* makes of each event, without None."""
    seen: list[T] = []

    def note(event: Any) -> None:
        picked = pick(event)
        if picked is not None:
            seen.append(picked)

    source.on(name, note)
    return seen


def documents(page: Page) -> list[str]:
    """Return a list that fills with the ``SSR-Session`` of each document that *page* loads."""
    return events(
        page,
        "response",
        lambda it: (
            it.headers.get("ssr-session", str(it.status))
            if it.request.is_navigation_request()
            else None
        ),
    )


def requests(source: Page | BrowserContext, path: str = "", method: str = "") -> list[Request]:
    """Return a list that fills with the requests for URLs that end like this."""

    def pick(it: Request) -> Request | None:
        return it if it.url.endswith(path) and it.method.startswith(method) else None

    return events(source, "request", pick)


def calls(source: Page | BrowserContext) -> list[Request]:
    """Return a list that fills with the calls of the refresh API."""
    return requests(source, "/auth/session/refresh", "POST")


def console(page: Page, start: str = "flask_ssr_session") -> list[str]:
    """Return a list that fills with the console messages of *page* that begin with *start*."""
    return events(page, "console", lambda it: it.text if it.text.startswith(start) else None)


def offence(response: Response) -> str | None:
    """Name what no response may do: touch a token on a page, or give a script a page of ours."""
    request, headers = response.request, response.headers
    is_navigation = request.is_navigation_request()
    touched = {"set-cookie", "front-token", "st-access-token"} & headers.keys()
    if touched and ("/auth/" not in response.url or is_navigation):
        return f"{request.method} {response.url} sent {sorted(touched)}"
    is_html = headers.get("content-type", "").startswith("text/html")
    is_page = is_html and headers.get("content-length") != "0"
    # What a worker fetches, and what is loaded before it is shown, is a page in the end.
    is_early = "prerender" in request.headers.get("sec-purpose", "")
    is_shown = is_navigation or request.service_worker or is_early
    if "ssr-session" in headers and is_page and not is_shown:
        return f"a script got {request.resource_type} {request.url}"
    return None


def violation(message: ConsoleMessage) -> str | None:
    """Name what a policy forbids."""
    return message.text if "Content Security Policy" in message.text else None
