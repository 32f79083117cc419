"""Concurrent cold starts, floods of made-up key ids, and forks, with a real key server."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from itertools import cycle
from pathlib import Path

import pytest
from flask import Flask, g

from flask_ssr_session import FlaskSSRSession, app_state, session_required
from flask_ssr_session.sansio.states import Reason
from flask_ssr_session.sansio.verdict import decide
from flask_ssr_session.sansio.verification import TokenRules
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.throttled_log import ThrottledLog
from flask_ssr_session.upstream import key_age
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.fetch import fetch_document
from flask_ssr_session.upstream.key_age import FetchedKeys

from .fake_key_server import count_waiters, finish_background
from .floods import MODES
from .key_server import KeyServer, answer, ok
from .servers.flooder import made_up_tokens
from .servers.support import RunningClock, cookie


@pytest.fixture
def server(signer: SessionSigner) -> Iterator[KeyServer]:
    server = KeyServer(answer(ok(json.dumps({"keys": [signer.jwk()]}).encode())))
    yield server
    server.close()


# A cold start


@pytest.mark.parametrize(
    ("mode", "status"), [("up", HTTPStatus.OK), ("failing", HTTPStatus.SERVICE_UNAVAILABLE)]
)
def test_200_threads_without_keys_make_one_fetch(
    server: KeyServer,
    signer: SessionSigner,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    status: HTTPStatus,
) -> None:
    """All requests get the result of one fetch: a page, or an outage."""
    monkeypatch.setattr(app_state, "read_sdk", lambda: None)
    wait_for_waiters = count_waiters(monkeypatch)
    app = Flask("cold")
    FlaskSSRSession(app, api_domain="https://api.example.com", jwks_uri=server.url)
    app.add_url_rule("/", "page", session_required(lambda: g.session.user_id))
    tokens = {f"user-{n}": signer.sign(signer.claims(f"user-{n}")) for n in range(200)}
    everybody_is_here = threading.Barrier(len(tokens))
    answer_may_come = threading.Event()
    MODES[mode](server)
    at_once = server.behave

    def behave(connection: socket.socket) -> None:
        answer_may_come.wait(2)
        at_once(connection)

    def ask(token: str) -> tuple[int, str]:
        everybody_is_here.wait(10)
        response = app.test_client(use_cookies=False).get("/", headers=cookie(token))
        return response.status_code, response.text

    server.behave = behave
    with ThreadPoolExecutor(len(tokens)) as pool:
        answers = [pool.submit(ask, token) for token in tokens.values()]
        wait_for_waiters(len(tokens) - 1)
        assert not any(waiting.done() for waiting in answers)
        answer_may_come.set()
        got = [waiting.result(10) for waiting in answers]

    assert server.connections == 1
    assert {code for code, _ in got} == {status}
    if mode == "up":
        assert [text for _, text in got] == list(tokens)


# Floods


class Crowd:
    """Threads that verify tokens as fast as they can, until they are stopped."""

    def __init__(self, tokens: list[str], judge: Callable[[str], Reason], threads: int) -> None:
        self._tokens, self._judge = tokens, judge
        self._ended = threading.Event()
        self._judged = threading.Semaphore(0)
        self._pool = ThreadPoolExecutor(threads)
        self._running = [self._pool.submit(self._run) for _ in range(threads)]

    def _run(self) -> tuple[Counter[Reason], float]:
        reasons, slowest_seconds = Counter[Reason](), 0.0
        for token in cycle(self._tokens):
            if self._ended.is_set():
                break
            began = time.monotonic()
            reasons[self._judge(token)] += 1
            slowest_seconds = max(slowest_seconds, time.monotonic() - began)
            self._judged.release()
            # Otherwise each thread runs for 5 ms while the others wait.
            time.sleep(0)
        return reasons, slowest_seconds

    def judge_more(self, count: int) -> None:
        """Wait until so many more tokens are judged."""
        while self._judged.acquire(blocking=False):
            pass
        for _ in range(count):
            assert self._judged.acquire(timeout=5)

    def end(self) -> tuple[Counter[Reason], float]:
        """Return the count of each verdict, and the seconds of the slowest."""
        self._ended.set()
        self._pool.shutdown()
        reasons, slowest_seconds = zip(*(thread.result() for thread in self._running), strict=True)
        return sum(reasons, Counter[Reason]()), max(slowest_seconds)


@pytest.mark.parametrize("mode", MODES)
def test_flood_of_made_up_key_ids_makes_one_fetch_per_10_s_and_no_wrong_verdict(
    server: KeyServer, signer: SessionSigner, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(key_age, "FETCH_SECONDS", 0.4)
    clock, fetched = RunningClock(), threading.Semaphore(0)
    fetches = 0

    def fetch(url: str, deadline: Deadline) -> tuple[bytes, float | None]:
        nonlocal fetches
        fetches += 1
        try:
            return fetch_document(url, deadline)
        finally:
            fetched.release()

    keys = FetchedKeys(
        [server.url], max_stale_seconds=3600, clock=clock, log=ThrottledLog(clock), fetch=fetch
    )

    def judge(token: str) -> Reason:
        verdict = decide(
            [token], has_front_token=True, keys=keys, rules=TokenRules(), now=clock.wall()
        )
        return verdict.reason

    remembered = signer.sign(signer.claims())
    # Too long to be cached: its key is looked up each time.
    never_remembered = signer.sign(signer.claims(padding="x" * 4096))
    assert judge(remembered) is Reason.ACTIVE
    assert fetched.acquire(timeout=5)
    MODES[mode](server)

    made_up = made_up_tokens(50)

    signed_in = Crowd([remembered, never_remembered], judge, threads=2)
    flood = Crowd(made_up, judge, threads=6)
    try:
        # One pause is so long that the signed-in users' keys must be refreshed.
        for count, seconds in enumerate((10, 10, 10, 300, 10), start=2):
            clock.advance(seconds)
            assert fetched.acquire(timeout=5)
            finish_background()
            # An extra fetch would start with one of the next tokens.
            flood.judge_more(30)
            finish_background()
            assert fetches == count
    finally:
        flood_reasons, slowest_of_flood = flood.end()
        reasons, slowest = signed_in.end()

    assert set(reasons) == {Reason.ACTIVE}
    assert set(flood_reasons) <= {Reason.KEYS_UNAVAILABLE, Reason.INVALID}
    assert flood_reasons.total() > 200
    # No request waits longer than a fetch takes, and no fetch takes longer than its deadline.
    assert max(slowest, slowest_of_flood) < 1.5
    if mode != "closed":
        assert server.connections == fetches


# Forks


@pytest.mark.skipif(sys.platform == "win32", reason="this system does not fork")
@pytest.mark.parametrize("state", ["cold", "warm"])
def test_children_forked_at_any_moment_verify_within_a_second(state: str) -> None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.servers.forks", "--forks=100", state],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["verified"] == 100
    assert figures["slowest_seconds"] < 1
