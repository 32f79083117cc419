"""No visitor sees another's session, through threads, greenlets, streams or errors.

Every user's token is full of marks of that user. Each mark in a response, a hook at the end of a
request or a generator must belong to the user of that request. ``python -m tools.soak.isolation``
takes about ten seconds: 1,800 requests of 40 users over threads, and as many over greenlets in a
process of its own, as what gevent does to the standard library cannot be undone. A mark of another
user ends it with status 1. Before that, it shows that it would see one.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from flask import Response, g, jsonify, render_template, request, stream_with_context

from flask_ssr_session import (
    get_ssr_session,
    require_session,
    session_optional,
    session_required,
)
from tests.app.conftest import cookies, make_app, with_templates
from tests.browser_requests import PAGE
from tests.tokens import make_token

USERS = 40

_MARK = re.compile(r"mark-(\d\d)")

PAGE_TEMPLATE = """
{% from "refresh_page.html" import refresh_page %}
{% if needs_refresh %}{{ refresh_page() }}{% else %}
{{ g.session.user_id }} {{ pause() }} {{ g.session.roles }}
{{ g.session.access_token_payload }} {{ needs_refresh }}
{% endif %}
"""


def token_of(user: int, **claims: Any) -> str:
    mark = f"mark-{user:02}"
    nested = {"list": [mark, {"deep": mark}]}
    return make_token(user_id=f"{mark}-user", roles=[f"{mark}-role"], nested=nested, **claims)


def requests_of(user: int) -> dict[str, list[str]]:
    """Return the tokens of one user's requests by the reason they are judged with."""
    good, old = token_of(user), token_of(user, issued_at=time.time() - 7200)
    return {
        "active": [good],
        "active beside an older one": [old, good],
        "expired": [old],
        "invalid": [good[:-8] + "AAAAAAAA"],
        "duplicate": [good, token_of((user + 1) % USERS)],
        "anonymous": [],
    }


def shown_session() -> str:
    """Return all there is to see of the current session, in both ways to get at it."""
    session = get_ssr_session()
    assert session is g.session
    if session is None:
        return "nobody"
    return f"{session.user_id} {session.roles} {dict(session.access_token_payload)}"


def pause() -> str:
    """Yield to other threads, greenlets or tasks."""
    time.sleep(0)
    time.sleep(0.001)
    return ""


class Site:
    """An app whose views read the session repeatedly while others run."""

    def __init__(self) -> None:
        self.app = with_templates(make_app("isolation"), page=PAGE_TEMPLATE)
        self.app.jinja_env.globals["pause"] = pause
        self.app.testing = False  # error handlers respond, as in production
        self.misplaced: list[str] = []
        self.most_at_once = 0
        self.threads: set[int] = set()
        self._inside: set[int] = set()
        self._tokens = {user: requests_of(user) for user in range(USERS)}
        self._add_hooks()
        self._add_views()

    def _add_hooks(self) -> None:
        @self.app.before_request
        def enter() -> None:
            self._inside.add(id(request.environ))
            self.threads.add(threading.get_native_id())
            self.most_at_once = max(self.most_at_once, len(self._inside))
            pause()

        @self.app.teardown_request
        def leave(_error: BaseException | None) -> None:
            pause()
            self.check("teardown", shown_session())
            self._inside.discard(id(request.environ))

        @self.app.errorhandler(LookupError)
        @self.app.errorhandler(404)
        def failed(error: Exception) -> tuple[str, int]:
            pause()
            return f"{error} {shown_session()}", 500 if isinstance(error, LookupError) else 404

    def _add_views(self) -> None:
        app = self.app

        @app.route("/page")
        def page() -> str:
            return render_template("page.html")

        @app.route("/json")
        @session_required
        def as_json() -> Response:
            shown = [g.session.user_id, list(g.session.roles)]
            pause()
            return jsonify(shown, g.session.get_access_token_payload())

        @app.route("/optional")
        @session_optional
        def optional() -> str:
            pause()
            return shown_session()

        @app.route("/streamed")
        @session_required
        def streamed() -> Response:
            def pieces() -> Iterator[str]:
                for _ in range(3):
                    yield shown_session()
                    pause()

            return Response(stream_with_context(pieces()))

        @app.route("/fails")
        def fails() -> str:
            require_session()
            pause()
            raise LookupError(shown_session())

        @app.route("/async")
        @session_required
        async def asynchronous() -> str:
            pause()
            return shown_session()

    def check(self, where: str, shown: str, user: str | None = None) -> set[str]:
        """Record marks in *shown* that do not belong to *user*, or to the user of the request."""
        marks = set(_MARK.findall(shown))
        own = {request.headers["X-User"] if user is None else user}
        if not marks <= own:
            self.misplaced.append(f"{where}: {sorted(marks)} shown to {own}")
        return marks

    def ask(self, task: tuple[int, str, str]) -> None:
        """Send one request and check every mark in the response.

        :param task: the user, the kind of request and the path.
        """
        number, kind, path = task
        user, row = f"{number:02}", f"{kind} {path}"
        tokens = self._tokens[number][kind]
        headers = {"X-User": user, **PAGE, **(cookies(*tokens) if tokens else {})}
        with self.app.test_client(use_cookies=False).get(path, headers=headers) as response:
            marks = self.check(row, response.get_data(as_text=True), user)
            reason = response.headers.get("SSR-Session", "=active").partition("=")[2]
        signed_in = kind.startswith("active")
        if marks != ({user} if signed_in else set()):
            self.misplaced.append(f"{row}: {sorted(marks)} shown to {user}")
        # Optional pages and error pages have content for visitors without a session.
        if reason not in ({"active"} if signed_in else {kind, "active"}):
            self.misplaced.append(f"{row}: judged as {reason}")

    def ask_all(self, paths: tuple[str, ...], requests: int) -> None:
        """Send so many requests in a random order, at most one per user at a time."""
        kinds = list(self._tokens[0])
        tasks = [
            (number % USERS, kinds[number % len(kinds)], paths[number % len(paths)])
            for number in range(requests)
        ]
        random.Random(3).shuffle(tasks)
        with ThreadPoolExecutor(USERS) as pool:
            list(pool.map(self.ask, tasks))


PATHS = ("/page", "/json", "/optional", "/streamed", "/fails", "/nowhere", "/async")


def over_threads(requests: int) -> bool:
    site = Site()
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)  # threads interrupt each other in more places
    try:
        site.ask_all(PATHS, requests)
    finally:
        sys.setswitchinterval(usual)
    return report("threads", site, at_once=5)


def over_greenlets(requests: int) -> bool:
    """Send the requests in a process that gevent has patched."""
    site = Site()
    # asgiref runs no two coroutines in one thread, which all greenlets share.
    site.ask_all(tuple(path for path in PATHS if path != "/async"), requests)
    return report("greenlets", site, at_once=20) and len(site.threads) == 1


def report(name: str, site: Site, at_once: int) -> bool:
    print(f"{name}: {site.most_at_once} at once, {len(site.misplaced)} wrong", flush=True)
    print(*site.misplaced[:10], sep="\n", end="")
    return not site.misplaced and site.most_at_once >= at_once


def finds_a_session_that_is_kept() -> bool:
    """Return whether an app that keeps a session for the next request is found out."""
    site, kept, both_are_in = Site(), {}, threading.Barrier(2)

    @site.app.route("/kept")
    def keeps() -> str:
        kept["session"] = shown_session()
        both_are_in.wait(30)
        return kept["session"]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(site.ask, [(7, "active", "/kept"), (8, "active", "/kept")]))
    return any(
        re.search(r"active /kept: \['0[78]'\] shown to {'0[78]'}", wrong)
        for wrong in site.misplaced
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_800)
    parser.add_argument("--greenlets", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.greenlets:
        return 0 if over_greenlets(options.requests) else 1
    if not finds_a_session_that_is_kept():
        print("a session that is kept for the next request was not found out")
        return 1
    code = (
        "from gevent.monkey import patch_all; patch_all(); import sys; "
        "from tools.soak import isolation; sys.exit(isolation.main())"
    )
    arguments = ["--greenlets", f"--requests={options.requests}"]
    is_good = over_threads(options.requests)
    greenlets = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        cwd=Path(__file__).parents[2],
        check=False,
    )
    return 0 if is_good and greenlets.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
