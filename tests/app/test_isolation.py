"""Two requests at once: each reads its own session, wherever in the request it looks.

``python -m tools.soak.isolation`` sends thousands over threads and greenlets.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from flask import (
    Flask,
    Response,
    copy_current_request_context,
    g,
    render_template,
    request,
    stream_with_context,
)

from flask_ssr_session import get_ssr_session, require_session, session_optional, session_required

from ..browser_requests import FETCH, PAGE
from ..tables import rows
from ..tokens import make_token
from .apps import TEMPLATE_GUARD, make_app, requiring, stub_revocation, with_templates
from .visitors import cookies


class Site:
    """An app in which each step of a request waits until the other request is there, too."""

    def __init__(self) -> None:
        self.seen: dict[str, set[str]] = {"anna": set(), "ben": set()}
        self._together = threading.Barrier(2, timeout=30)
        template = "{% if needs_refresh %}old{% else %}{{ shown() }} {{ shown() }}{% endif %}"
        app, shown = with_templates(make_app(), page=template), self.shown
        self.app = app
        app.jinja_env.globals["shown"] = shown
        app.testing = False  # error handlers respond, as in production
        app.add_url_rule("/required", view_func=session_required(lambda: shown()), endpoint="r")
        app.add_url_rule("/optional", view_func=session_optional(lambda: shown()), endpoint="o")
        app.add_url_rule("/template", view_func=lambda: render_template("page.html"), endpoint="t")

        @app.route("/streamed")
        @session_required
        def streamed() -> Response:
            return Response(stream_with_context(shown() for _ in range(2)))

        @app.route("/async")
        @session_required
        async def asynchronous() -> str:
            return shown()

        @app.route("/fails")
        def fails() -> str:
            require_session()
            raise LookupError(shown())

        app.register_error_handler(LookupError, lambda _error: shown())

        @app.teardown_request
        def leave(_error: BaseException | None) -> None:
            shown()

    def shown(self) -> str:
        """Return who the session says it is, after the other request has come as far."""
        before = get_ssr_session()
        self._together.wait()
        session = get_ssr_session()
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


@pytest.fixture
def site() -> Site:
    return Site()


PATHS = ("/required", "/optional", "/template", "/streamed", "/async", "/fails")


@rows("path", {path: path for path in PATHS})
def test_two_requests_at_once_read_their_own_sessions(site: Site, path: str) -> None:
    tokens = {user: cookies(make_token(user_id=user)) for user in ("anna", "ben")}

    texts = site.visit(path, **tokens)

    assert site.seen == {"anna": {"anna"}, "ben": {"ben"}}
    assert {user: set(re.findall("anna|ben|nobody", texts[user])) for user in texts} == site.seen


def test_session_is_not_lent_to_a_request_without_one(site: Site) -> None:
    site.visit("/optional", anna=cookies(make_token(user_id="anna")), ben={})

    assert site.seen == {"anna": {"anna"}, "ben": {"nobody"}}


# --- functions side by side in one request -------------------------------------------------------


@session_optional
async def part(steps: int) -> None:
    for _ in range(steps):
        await asyncio.sleep(0)


async def in_tasks(_app: Flask) -> Any:
    await asyncio.gather(part(1), part(2))  # the second begins before the first ends
    return render_template("page.html")


def beside(*functions: Callable[[], Any]) -> Any:
    """Run *functions* in a thread each; return the result of the first."""
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(copy_current_request_context(each)) for each in functions]
    return runs[0].result()


def reached(event: threading.Event) -> bool:
    event.set()
    return True


def guarded(view: Callable[[], Any], **condition: Any) -> Any:
    return session_required(**condition)(view)


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

        @session_optional
        def for_everybody() -> None:
            entered.set()
            done.wait(5)

        return beside(page, lambda: asked.wait(5) and for_everybody())

    return view


STRANGER: Any = (dict, 401)
READER: Any = (lambda: cookies(make_token(roles=["reader"])), 403)
SIDE_BY_SIDE: dict[str, Any] = {
    "tasks": (in_tasks, *STRANGER),
    "threads": (in_threads(session_optional), *STRANGER),
    "threads, by a call": (in_threads(partial(requiring, optional=True)), *STRANGER),
    "a role": (while_the_core_is_asked(guarded), *READER),
    "a role, by a call": (while_the_core_is_asked(requiring), *READER),
}


@rows("view, visitor, status", SIDE_BY_SIDE)
def test_function_lowers_nothing_for_others_of_its_request(
    view: Callable[[Flask], Any], visitor: Callable[[], dict[str, str]], status: int
) -> None:
    app = with_templates(make_app(), page=TEMPLATE_GUARD)
    app.add_url_rule("/it", "it", partial(app.ensure_sync(view), app))
    client = app.test_client(use_cookies=False)
    assert client.get("/it", headers=FETCH | visitor()).status_code == status
    assert client.get("/it", headers=FETCH | cookies(make_token(roles=["admin"]))).text == "content"
