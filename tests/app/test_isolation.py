"""Two requests at once read their own sessions, and tokens that are refused are not kept.

``python -m tools.soak.isolation`` sends thousands over threads and greenlets, and
``python -m tools.soak.memory`` measures by millions what is kept.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import re
import threading
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import flask
from flask import Flask, Response, g, render_template, request, stream_with_context
from werkzeug.test import EnvironBuilder, run_wsgi_app

import flask_ssr_session as ssr
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows
from tests.tokens import expired_token, make_token

from .apps import (
    TEMPLATE_GUARD,
    add_views,
    make_app,
    requiring,
    stub_revocation,
    with_templates,
)
from .visitors import cookies


class Site:
    """An app in which each step of a request waits until the other request is there, too."""

    def __init__(self) -> None:
        self.seen: dict[str, set[str]] = {"anna": set(), "ben": set()}
        self._together = threading.Barrier(2, timeout=30)
        template = "{% if needs_refresh %}old{% else %}{{ shown() }} {{ shown() }}{% endif %}"
        app, shown = with_templates(make_app(), page=template), self.shown
        app.jinja_env.globals["shown"] = shown
        app.testing = False  # error handlers respond, as in production

        async def asynchronous() -> str:
            return shown()

        def fails() -> str:
            ssr.require_session()
            raise LookupError(shown())

        views = {
            "/required": ssr.session_required(lambda: shown()),
            "/optional": ssr.session_optional(lambda: shown()),
            "/template": lambda: render_template("page.html"),
            "/streamed": ssr.session_required(
                lambda: Response(stream_with_context(shown() for _ in range(2)))
            ),
            "/async": ssr.session_required(asynchronous),
            "/fails": fails,
        }
        self.app = add_views(app, views)
        app.register_error_handler(LookupError, lambda _error: shown())
        app.teardown_request(self.leave)

    def leave(self, _error: BaseException | None) -> None:
        self.shown()

    def shown(self) -> str:
        """Return who the session says it is, after the other request has come as far."""
        before = ssr.get_ssr_session()
        self._together.wait()
        session = ssr.get_ssr_session()
        assert before is session is g.session
        name = session.user_id if session else "nobody"
        self.seen[request.args["user"]].add(name)
        return name

    def visit(self, path: str, **cookie: dict[str, str]) -> dict[str, str]:
        """Let both visit *path* at once; return the text of each response."""

        def get(user: str) -> str:
            client = self.app.test_client(use_cookies=False)
            return client.get(f"{path}?user={user}", headers=PAGE | cookie[user]).text

        with ThreadPoolExecutor(2) as pool:
            return dict(zip(cookie, pool.map(get, cookie), strict=True))


PATHS = ("/required", "/optional", "/template", "/streamed", "/async", "/fails")


@rows("path", {path: path for path in PATHS})
def test_two_requests_at_once_read_their_own_sessions(path: str) -> None:
    site = Site()
    tokens = {user: cookies(make_token(user_id=user)) for user in ("anna", "ben")}

    texts = site.visit(path, **tokens)

    assert site.seen == {"anna": {"anna"}, "ben": {"ben"}}
    assert {user: set(re.findall("anna|ben|nobody", texts[user])) for user in texts} == site.seen


def test_session_is_not_lent_to_a_request_without_one() -> None:
    site = Site()
    site.visit("/optional", anna=cookies(make_token(user_id="anna")), ben={})

    assert site.seen == {"anna": {"anna"}, "ben": {"nobody"}}


def is_kept(text: str) -> bool:
    """Return whether a container of this process holds a string with this text."""
    gc.collect()
    # The type itself: isinstance() would also ask the proxies of other libraries, which may raise.
    kinds = (dict, list, tuple, set)
    containers = (kept for kept in gc.get_objects() if issubclass(type(kept), kinds))
    for kept in containers:
        items: Iterable[object] = [*kept, *kept.values()] if isinstance(kept, dict) else [*kept]
        if any(issubclass(type(item), str) and text in str(item) for item in items):
            return True
    return False


TOKENS: dict[str, Any] = {
    "a token that is accepted": (make_token, 200, True),
    "an expired one": (expired_token, 401, False),
    "one of an unknown key": (lambda: make_token(header={"kid": "d-other"}), 401, False),
    "one with another's signature": (lambda: f"{make_token()[:-6]}AAAAAA", 401, False),
}


@rows("make, status, kept", TOKENS)
def test_only_verified_tokens_are_kept(app: Flask, make: Any, status: int, kept: bool) -> None:
    token = make()
    client = app.test_client(use_cookies=False)

    assert client.get("/account", headers=FETCH | cookies(token)).status_code == status
    assert is_kept(token[-200:-20]) is kept


FREED: dict[str, Any] = {
    "with a session": ("/account", make_token),
    "refused": ("/account", expired_token),
    "streamed": ("/streamed", make_token),
}


@rows("path, make", FREED)
def test_request_is_freed_without_the_garbage_collector(app: Flask, path: str, make: Any) -> None:
    seen: list[Any] = []
    sent: Any = request  # the proxy
    app.before_request(lambda: seen.append(weakref.ref(sent._get_current_object())))
    with_templates(app, page=TEMPLATE_GUARD)
    app.add_url_rule("/streamed", "streamed", lambda: flask.stream_template("page.html"))
    headers = FETCH | cookies(make())
    environ = EnvironBuilder(path, headers=[*headers.items()]).get_environ()
    gc.disable()
    try:
        run_wsgi_app(app, environ, buffered=True)
        assert seen[0]() is None
    finally:
        gc.enable()


# --- functions side by side in one request -------------------------------------------------------


@ssr.session_optional
async def part(steps: int) -> None:
    for _ in range(steps):
        await asyncio.sleep(0)


async def in_tasks(_app: Flask) -> Any:
    await asyncio.gather(part(1), part(2))  # the second begins before the first ends
    return render_template("page.html")


def beside(*functions: Callable[[], Any]) -> Any:
    """Run *functions* in a thread each; return the result of the first."""
    # A thread of asyncio.to_thread has a copy of the context, and so the g of the request.
    context = contextvars.copy_context if "g" in request.args else contextvars.Context
    copies = map(flask.copy_current_request_context, functions)
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(context().run, each) for each in copies]
    return runs[0].result()


def reached(event: threading.Event) -> bool:
    event.set()
    return True


def guarded(view: Callable[[], Any], **condition: Any) -> Any:
    return ssr.session_required(**condition)(view)


def in_threads(ask_optionally: Callable[..., Any]) -> Callable[[Flask], Any]:
    """Return a view whose template decides while a thread shows something to everybody."""

    def view(_app: Flask) -> Any:
        entered, done = threading.Event(), threading.Event()

        def page() -> str:
            entered.wait(5)
            text = render_template("page.html")
            done.set()
            return text

        return beside(page, ask_optionally(lambda: reached(entered) and done.wait(5)))

    return view


def while_the_core_is_asked(condition: Callable[..., Any]) -> Callable[[Flask], Any]:
    """Return a view that requires a role while a thread shows something to everybody."""

    def view(app: Flask) -> Any:
        asked, entered, done = threading.Event(), threading.Event(), threading.Event()
        stub_revocation(app, lambda _handle: reached(asked) and not entered.wait(5))

        def page() -> Any:
            try:
                return condition(lambda: "content", role="admin", check_revoked=True)()
            finally:
                done.set()

        @ssr.session_optional
        def for_everybody() -> None:
            entered.set()
            done.wait(5)

        return beside(page, lambda: asked.wait(5) and for_everybody())

    return view


STRANGER: Any = (dict, 401)
READER: Any = (lambda: cookies(make_token(roles=["reader"])), 403)
SIDE_BY_SIDE: dict[str, Any] = {
    "tasks": (in_tasks, *STRANGER),
    "threads": (in_threads(ssr.session_optional), *STRANGER),
    "threads, by a call": (in_threads(partial(requiring, optional=True)), *STRANGER),
    "a role": (while_the_core_is_asked(guarded), *READER),
    "a role, by a call": (while_the_core_is_asked(requiring), *READER),
}


@rows("path", {"a g of their own": "/it", "one g": "/it?g"})
@rows("view, visitor, status", SIDE_BY_SIDE)
def test_function_lowers_nothing_for_others_of_its_request(
    view: Callable[[Flask], Any], visitor: Callable[[], dict[str, str]], status: int, path: str
) -> None:
    app = with_templates(make_app(), page=TEMPLATE_GUARD)
    app.add_url_rule("/it", "it", partial(app.ensure_sync(view), app))
    client = app.test_client(use_cookies=False)
    assert client.get(path, headers=FETCH | visitor()).status_code == status
    assert client.get(path, headers=FETCH | cookies(make_token(roles=["admin"]))).text == "content"
