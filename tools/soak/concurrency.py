"""Let many threads need keys at once: cold starts, and floods of made-up key ids.

``python -m tools.soak.concurrency`` takes about half a minute. The promises: 200 threads without
keys make one fetch, and all get its result; a flood makes one fetch per 10 s, whatever the key
server does, and no signed-in user gets another answer or waits longer than a fetch may take; of
many threads, one tries a core that failed; the cache of tokens stays within its limit. A promise
that breaks ends it with status 1.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import cycle
from unittest import mock

from flask import Flask, g

from flask_ssr_session import FlaskSSRSession, session_required
from flask_ssr_session.errors import FetchError
from flask_ssr_session.sansio.states import Reason
from flask_ssr_session.sansio.verdict import decide
from flask_ssr_session.sansio.verification import TokenRules
from flask_ssr_session.session import SSRSession
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.throttled_log import ThrottledLog
from flask_ssr_session.upstream import key_age
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.fetch import fetch_document
from flask_ssr_session.upstream.key_age import FetchedKeys
from flask_ssr_session.upstream.key_set import MAX_CACHED_TOKENS, KeySet
from flask_ssr_session.upstream.session_lookup import SessionLookup
from tests.key_servers import KeyServer, answer, counted_waiters, finish_background, ok
from tests.servers.support import RunningClock, cookie

from .flooder import made_up_tokens
from .floods import MODES


def serve_keys(signer: SessionSigner) -> KeyServer:
    return KeyServer(answer(ok(json.dumps({"keys": [signer.jwk()]}).encode())))


def start_cold(mode: str, threads: int) -> None:
    """All requests get the result of one fetch: a page, or an outage."""
    signer = SessionSigner()
    with closing(serve_keys(signer)) as server, counted_waiters() as waiters:
        app = Flask("cold")
        FlaskSSRSession(app, api_domain="https://api.example.com", jwks_uri=server.url)
        app.add_url_rule("/", "page", session_required(lambda: g.session.user_id))
        tokens = {f"user-{n}": signer.sign(signer.claims(f"user-{n}")) for n in range(threads)}
        everybody_is_here = threading.Barrier(threads)
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
        with ThreadPoolExecutor(threads) as pool:
            answers = [pool.submit(ask, token) for token in tokens.values()]
            for _ in range(threads - 1):
                assert waiters.acquire(timeout=10), "a thread does not wait for the fetch"
            assert not any(waiting.done() for waiting in answers)
            answer_may_come.set()
            got = [waiting.result(10) for waiting in answers]
        assert server.connections == 1, f"{server.connections} fetches"
        if mode == "up":
            assert got == [(200, user) for user in tokens]
        assert {code for code, _ in got} == {200 if mode == "up" else 503}


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


def flood(mode: str, threads: int) -> None:
    """A flood makes one fetch per 10 s, and changes no answer to signed-in users."""
    signer, clock, fetched = SessionSigner(), RunningClock(), threading.Semaphore(0)
    fetches = 0

    def fetch(url: str, deadline: Deadline) -> tuple[bytes, float | None]:
        nonlocal fetches
        fetches += 1
        try:
            return fetch_document(url, deadline)
        finally:
            fetched.release()

    def judge(token: str) -> Reason:
        now, rules = clock.wall(), TokenRules()
        return decide([token], has_front_token=True, keys=keys, rules=rules, now=now).reason

    with closing(serve_keys(signer)) as server, mock.patch.object(key_age, "FETCH_SECONDS", 0.4):
        keys = FetchedKeys(
            [server.url], max_stale_seconds=3600, clock=clock, log=ThrottledLog(clock), fetch=fetch
        )
        # The second is too long to be cached: its key is looked up each time.
        genuine = [signer.sign(signer.claims(padding=padding)) for padding in ("", "x" * 4096)]
        assert judge(genuine[0]) is Reason.ACTIVE
        assert fetched.acquire(timeout=5)
        MODES[mode](server)
        signed_in = Crowd(genuine, judge, threads=2)
        flooding = Crowd(made_up_tokens(50), judge, threads=threads)
        try:
            # One pause is so long that the signed-in users' keys must be refreshed.
            for count, seconds in enumerate((10, 10, 10, 300, 10), start=2):
                clock.advance(seconds)
                assert fetched.acquire(timeout=5), "no fetch"
                finish_background()
                # An extra fetch would start with one of the next tokens.
                flooding.judge_more(30)
                finish_background()
                assert fetches == count, f"{fetches} fetches, not {count}"
        finally:
            flood_reasons, slowest_of_flood = flooding.end()
            reasons, slowest = signed_in.end()
        assert set(reasons) == {Reason.ACTIVE}, reasons
        assert set(flood_reasons) <= {Reason.KEYS_UNAVAILABLE, Reason.INVALID}, flood_reasons
        assert flood_reasons.total() > 200, flood_reasons
        # No request waits longer than a fetch takes, and no fetch takes longer than its deadline.
        assert max(slowest, slowest_of_flood) < 1.5, (slowest, slowest_of_flood)
        assert mode == "closed" or server.connections == fetches


def retry_core(mode: str, threads: int) -> None:
    """Of many threads, one tries a core that failed, and all get the answer of the other one."""
    clock, asked = RunningClock(), list[str]()

    def fetch(url: str, _deadline: Deadline, _headers: object) -> tuple[bytes, None]:
        asked.append(url.partition("?")[0])
        if asked[-1] == mode:
            raise FetchError("down")
        return b'{"status":"OK","timeCreated":1,"userDataInJWT":{}}', None

    check = SessionLookup((mode, "other"), {}, clock=clock, fetch=fetch)
    everybody = threading.Barrier(threads)

    def look_up(_number: int) -> None:
        everybody.wait(10)
        assert check.look_up("handle") is not None

    check.look_up("handle")
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(200):
            clock.advance(10)
            asked.clear()
            list(pool.map(look_up, range(threads)))
            assert Counter(asked) == {mode: 1, "other": threads}, Counter(asked)


def fill_cache(_mode: str, threads: int) -> None:
    """Threads exceed the limit of the cache by no more than one token each."""
    signer = SessionSigner()
    key_set, session = KeySet({"d-test": signer.public_key}), SSRSession({"sub": "anna"})
    together, seen = threading.Barrier(threads), list[int]()

    def remember(thread: int) -> None:
        together.wait(30)
        for number in range(2_000):
            key_set.put(f"{thread}-{number}", "d-test", key_set.keys["d-test"], session)
            seen.append(len(key_set._sessions))

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # they interrupt each other at nearly every step
    try:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(remember, range(threads)))
    finally:
        sys.setswitchinterval(usual)
    assert MAX_CACHED_TOKENS <= max(seen) <= MAX_CACHED_TOKENS + threads, max(seen)
    # Two threads may each drop one where one was too many.
    assert MAX_CACHED_TOKENS - threads <= len(key_set._sessions) <= MAX_CACHED_TOKENS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=200, help="of a cold start")
    options = parser.parse_args()
    runs: list[tuple[Callable[[str, int], None], str, int]] = [
        (start_cold, mode, options.threads) for mode in ("up", "failing")
    ]
    runs += [(flood, mode, 6) for mode in MODES]
    runs += [(retry_core, "core", 8), (fill_cache, "", 8)]
    is_good = True
    for run, mode, threads in runs:
        began = time.monotonic()
        try:
            run(mode, threads)
            outcome = "held"
        except AssertionError:
            traceback.print_exc()
            outcome, is_good = "BROKEN", False
        print(
            f"{run.__name__:10} {mode:8} {time.monotonic() - began:5.1f} s  {outcome}", flush=True
        )
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
