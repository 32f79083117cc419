"""No visitor sees another's session, through threads, greenlets, streams or errors.

Every user's token is full of marks of that user. Each mark in a response, a hook at the end of a
request or a generator must belong to the user of that request.
"""

from __future__ import annotations

import dataclasses
import json
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Response, g, jsonify, render_template, request, stream_with_context

from flask_ssr_session import (
    get_ssr_session,
    require_session,
    session_optional,
    session_required,
)
from tests.browser_requests import PAGE
from tests.tokens import make_token

from .app.conftest import cookies, make_app, with_templates

USERS = 40
REQUESTS = 1_800

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

    def ask_all(self, paths: tuple[str, ...]) -> None:
        """Send :data:`REQUESTS` requests in a random order, at most one per user at a time."""
        kinds = list(self._tokens[0])
        tasks = [
            (number % USERS, kinds[number % len(kinds)], paths[number % len(paths)])
            for number in range(REQUESTS)
        ]
        random.Random(3).shuffle(tasks)  # noqa: S311 - repeatable on purpose
        with ThreadPoolExecutor(USERS) as pool:
            list(pool.map(self.ask, tasks))


PATHS = ("/page", "/json", "/optional", "/streamed", "/fails", "/nowhere", "/async")


def test_1800_requests_of_40_users_over_threads_show_each_their_own() -> None:
    site = Site()
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)  # threads interrupt each other in more places
    try:
        site.ask_all(PATHS)
    finally:
        sys.setswitchinterval(usual)
    assert site.misplaced == []
    assert site.most_at_once >= 5


def test_1800_requests_of_40_users_over_greenlets_show_each_their_own() -> None:
    """In a process of its own: what gevent does to the standard library cannot be undone."""
    code = (
        "from gevent.monkey import patch_all; patch_all(); from tests import test_isolation as t; "
    )
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + "t.report_greenlets()"],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    report = json.loads(finished.stdout)
    assert report["misplaced"] == []
    assert report["most_at_once"] >= 20
    assert report["threads"] == 1


def report_greenlets() -> None:
    """Run the requests in a process that gevent has patched, and print what was seen."""
    site = Site()
    # asgiref runs no two coroutines in one thread, which all greenlets share.
    site.ask_all(tuple(path for path in PATHS if path != "/async"))
    report = {
        "misplaced": site.misplaced,
        "most_at_once": site.most_at_once,
        "threads": len(site.threads),
    }
    print(json.dumps(report))  # noqa: T201


def test_app_that_keeps_a_session_for_the_next_is_found_out() -> None:
    """What the tests above look for is there to be seen."""
    site, kept, both_are_in = Site(), {}, threading.Barrier(2)

    @site.app.route("/kept")
    def keeps() -> str:
        kept["session"] = shown_session()
        both_are_in.wait(30)
        return kept["session"]

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(site.ask, [(7, "active", "/kept"), (8, "active", "/kept")]))
    (wrong, missing) = sorted(site.misplaced, key=len, reverse=True)
    assert re.search(r"active /kept: \['0[78]'\] shown to {'0[78]'}", wrong)
    assert missing.startswith("active /kept: ")


# --- a session that is remembered for the next request -------------------------------------------


def _set_user(session: Any) -> None:
    session.user_id = "admin"


def _set_payload(session: Any) -> None:
    session.access_token_payload = {"sub": "admin"}


def _delete_payload(session: Any) -> None:
    del session.access_token_payload


def _set_claim(session: Any) -> None:
    session.access_token_payload["sub"] = "admin"


def _delete_claim(session: Any) -> None:
    del session.access_token_payload["sub"]


def _merge_claims(session: Any) -> None:
    payload = session.access_token_payload
    payload |= {"sub": "admin"}


def _set_nested(session: Any) -> None:
    session.access_token_payload["nested"]["list"][1]["deep"] = "admin"


def _set_in_list(session: Any) -> None:
    session.access_token_payload["nested"]["list"][0] = "admin"


def _set_in_claim(session: Any) -> None:
    session.access_token_payload["st-role"]["v"] = ("admin",)


def _delete_in_list(session: Any) -> None:
    del session.access_token_payload["nested"]["list"][0]


REFUSED_CHANGES: tuple[Callable[[Any], None], ...] = (
    *(_set_user, _set_payload, _delete_payload, _set_claim, _delete_claim, _merge_claims),
    *(_set_nested, _set_in_list, _set_in_claim, _delete_in_list),
)


def _change_what_is_made_of_it(session: Any) -> None:
    roles = list(session.roles)
    roles.append("admin")
    payload = dict(session.access_token_payload)
    payload["sub"] = "admin"
    payload.pop("st-role")
    assert payload | session.access_token_payload


def _change_a_copy(session: Any) -> None:
    copy = session.get_access_token_payload()
    copy["nested"]["list"].append("admin")
    copy["nested"]["list"][1]["deep"] = "admin"
    copy["st-role"]["v"][:] = ["admin"]
    copy.clear()


def _add_to_tuples(session: Any) -> None:
    roles = session.roles
    roles += ("admin",)
    nested = session.access_token_payload["nested"]["list"]
    nested += ("admin",)


def _copy_and_replace(session: Any) -> None:
    other = dataclasses.replace(session, access_token_payload={"sub": "admin"})
    assert other.user_id == "admin"


CHANGES_OF_SOMETHING_ELSE: tuple[Callable[[Any], None], ...] = (
    *(_change_what_is_made_of_it, _change_a_copy, _add_to_tuples, _copy_and_replace),
)


@pytest.mark.parametrize("change", [*REFUSED_CHANGES, *CHANGES_OF_SOMETHING_ELSE])
def test_view_cannot_change_the_session_of_the_next_request(change: Callable[[Any], None]) -> None:
    """Both requests get the very object that is remembered with the token.

    Python lets code that means to do it change anything, by object.__setattr__(), vars() or what
    the garbage collector knows. Then the requests with this one token are concerned, no others.
    """
    app, seen = make_app(), []

    @app.route("/")
    @session_required
    def view() -> str:
        seen.append(g.session)
        if "change" in request.args:
            if change in REFUSED_CHANGES:
                with pytest.raises((TypeError, AttributeError)):
                    change(g.session)
            else:
                change(g.session)
        return shown_session()

    client, headers = app.test_client(use_cookies=False), cookies(token_of(7))
    before, after = client.get("/?change", headers=headers), client.get("/", headers=headers)
    assert seen[0] is seen[1]
    assert before.status_code == 200
    assert before.text == after.text
    assert "mark-07-user" in after.text
    assert "admin" not in after.text
