"""The example app as deployed: a core in its own process, and workers without shared state."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from copy import copy
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

from .support import Server, serve, serve_core

WORKERS = 2
ANSWERED_BY = "--access-logformat=%(p)s %(U)s?%(q)s"
OPTIONS = ("--worker-class=gthread", f"--workers={WORKERS}", "--threads=8", "--access-logfile=-")
REQUESTS_AT_ONCE = 16

# Every request has its own URL, so that the log shows which worker served it.
_numbers = itertools.count()


class Visitor:
    """Stores cookies like a browser, and opens a new connection for each request."""

    def __init__(self, server: Server, name: str) -> None:
        """Sign up."""
        self._server = server
        self.cookies: dict[str, str] = {}
        fields = [{"id": "email", "value": f"{name}@example.test"}]
        fields.append({"id": "password", "value": "correct horse 1"})
        status, body = self._send("POST", "/auth/signup", json.dumps({"formFields": fields}))
        assert status == 200, body
        self.user_id: str = json.loads(body)["user"]["id"]

    def refresh(self) -> int:
        return self._send("POST", "/auth/session/refresh")[0]

    def ask_every_worker(self, path: str) -> set[tuple[int, bool]]:
        """Send requests until all workers have responded.

        :return: the statuses there were, and whether the page named the visitor.
        """
        mark = f"{path}?{next(_numbers)}"
        seen: set[tuple[int, bool]] = set()
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            for _ in range(50):  # a worker that still starts misses a round
                for status, body in pool.map(self._get, [mark] * REQUESTS_AT_ONCE):
                    seen.add((status, self.user_id in body))
                lines = [line.split() for line in self._server.log.splitlines()]
                if len({line[0] for line in lines if line[1:] == [mark]}) == WORKERS:
                    return seen
        raise AssertionError(f"not all workers answered {mark}")

    def _get(self, path: str) -> tuple[int, str]:
        return self._send("GET", path)

    def _send(self, method: str, path: str, body: str | None = None) -> tuple[int, str]:
        headers = {"st-auth-mode": "cookie", "Content-Type": "application/json"}
        headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        with closing(self._server.connect()) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            for header in response.headers.get_all("Set-Cookie", []):
                for name, morsel in SimpleCookie(header).items():
                    self.cookies[name] = morsel.coded_value
            return response.status, response.read().decode()


@contextmanager
def serve_example(folder: Path, core_uri: str) -> Iterator[Server]:
    environment = {"SUPERTOKENS_CONNECTION_URI": core_uri, "NO_PROXY": "127.0.0.1"}
    app = "example_app.app:create_app()"
    with serve(folder, None, *OPTIONS, ANSWERED_BY, app=app, **environment) as server:
        yield server


def test_what_one_worker_did_holds_for_all(tmp_path: Path) -> None:
    with serve_core(tmp_path / "core.db") as core, serve_example(tmp_path, core) as server:
        ada, eve = Visitor(server, "ada"), Visitor(server, "eve")
        for visitor in (ada, eve):
            assert visitor.ask_every_worker("/account") == {(200, True)}
            assert visitor.ask_every_worker("/checked") == {(200, True)}

        stolen = dict(ada.cookies)
        for _ in range(2):
            assert ada.refresh() == 200
            assert ada.ask_every_worker("/account") == {(200, True)}
        assert ada.cookies["sAccessToken"] != stolen["sAccessToken"]

        # A refresh token that was used before ends the session, at any worker.
        thief = copy(ada)
        thief.cookies = stolen
        assert thief.refresh() == 401
        assert ada.ask_every_worker("/checked") == {(401, False)}
        # No core was asked here, so the session stays until the access token expires.
        assert ada.ask_every_worker("/account") == {(200, True)}
        assert eve.ask_every_worker("/checked") == {(200, True)}

    assert "Exception on" not in server.log  # as Flask begins to tell of one


def test_core_that_is_started_again_costs_nobody_the_session(tmp_path: Path) -> None:
    database = tmp_path / "core.db"
    with ExitStack() as until_the_end:
        with serve_core(database) as core:
            server = until_the_end.enter_context(serve_example(tmp_path, core))
            visitor = Visitor(server, "ada")
            assert visitor.ask_every_worker("/account") == {(200, True)}

        # Pages go on with the keys they have; only what needs the core waits for it.
        assert visitor.ask_every_worker("/account") == {(200, True)}
        assert visitor.refresh() == 500

        with serve_core(database, urlsplit(core).port or 0):
            assert visitor.ask_every_worker("/checked") == {(200, True)}
            assert visitor.refresh() == 200
            assert visitor.ask_every_worker("/account") == {(200, True)}

        assert visitor.ask_every_worker("/checked") == {(503, False)}
