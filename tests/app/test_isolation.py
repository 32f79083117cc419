"""Two requests at once: each reads its own session, wherever in the request it looks.

``python -m tools.soak.isolation`` sends thousands over threads and greenlets.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from flask import Flask, Response, g, render_template, request, stream_with_context

from flask_ssr_session import get_ssr_session, require_session, session_optional, session_required

from ..browser_requests import PAGE
from ..tables import rows
from ..tokens import make_token
from .conftest import cookies, make_app, with_templates


class Site:
    """An app in which each step of a request waits until the other request is there, too."""

    def __init__(self) -> None:
        self.app = with_templates(
            make_app(),
            page="{% if needs_refresh %}old{% else %}{{ shown() }} {{ shown() }}{% endif %}",
        )
        self.seen: dict[str, set[str]] = {"anna": set(), "ben": set()}
        self._together = threading.Barrier(2, timeout=30)

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


def with_views(site: Site) -> Flask:
    app, shown = site.app, site.shown
    app.jinja_env.globals["shown"] = shown
    app.testing = False  # error handlers respond, as in production

    @app.route("/required")
    @session_required
    def required() -> str:
        return shown()

    @app.route("/optional")
    @session_optional
    def optional() -> str:
        return shown()

    @app.route("/template")
    def template() -> str:
        return render_template("page.html")

    @app.route("/streamed")
    @session_required
    def streamed() -> Response:
        def pieces() -> Iterator[str]:
            yield shown()
            yield shown()

        return Response(stream_with_context(pieces()))

    @app.route("/async")
    @session_required
    async def asynchronous() -> str:
        return shown()

    @app.route("/fails")
    def fails() -> str:
        require_session()
        raise LookupError(shown())

    @app.errorhandler(LookupError)
    def failed(_error: LookupError) -> str:
        return shown()

    @app.teardown_request
    def leave(_error: BaseException | None) -> None:
        shown()

    return app


PATHS = ("/required", "/optional", "/template", "/streamed", "/async", "/fails")


@rows("path", {path: path for path in PATHS})
def test_two_requests_at_once_read_their_own_sessions(path: str) -> None:
    site = Site()
    with_views(site)
    tokens = {user: cookies(make_token(user_id=user)) for user in ("anna", "ben")}

    texts = site.visit(path, **tokens)

    assert site.seen == {"anna": {"anna"}, "ben": {"ben"}}
    assert {user: set(re.findall("anna|ben|nobody", texts[user])) for user in texts} == site.seen


def test_session_is_not_lent_to_a_request_without_one() -> None:
    site = Site()
    with_views(site)

    site.visit("/optional", anna=cookies(make_token(user_id="anna")), ben={})

    assert site.seen == {"anna": {"anna"}, "ben": {"nobody"}}
