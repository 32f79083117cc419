"""Fork over and over while threads fetch and verify, and time the first token of each child.

``python -m tools.soak.forks`` takes about half a minute: 1,000 forks of a parent without keys, and
1,000 of one with keys. One thread of the parent always hangs in a fetch, and another one verifies
tokens. It fails if a child does not verify its token, or takes more than a second for it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import struct
import sys
import threading
import time
from contextlib import suppress

from flask_ssr_session.clock import SystemClock
from flask_ssr_session.errors import KeysUnavailableError
from flask_ssr_session.sansio.verification import TokenRules, verify_access_token
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.throttled_log import ThrottledLog
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.fetch import fetch_document
from flask_ssr_session.upstream.key_age import FetchedKeys
from tests.key_servers import KeyServer, answer, ok

# A child that hangs is killed; a working child takes much less time.
PATIENCE_SECONDS = 10
MAX_SECONDS = 1.0


class YieldingClock(SystemClock):
    """Yields to other threads at every call, even while a lock is held: the worst time to fork."""

    def monotonic(self) -> float:
        time.sleep(0.0005)
        return super().monotonic()


class Parent:
    """A process whose threads are busy with keys when it forks."""

    def __init__(self, *, is_warm: bool) -> None:
        self._signer, self._clock, self._pid = SessionSigner(), YieldingClock(), os.getpid()
        body = json.dumps({"keys": [self._signer.jwk()]}).encode()
        self._ended = threading.Event()
        # Never fresh, so that every child has to decide whether to fetch.
        self._good = KeyServer(answer(ok(body, b"Cache-Control: max-age=0\r\n")))
        self._hanging = KeyServer(self._hang)
        self._hangs, self._is_hanging = False, threading.Event()
        self.keys = FetchedKeys(
            [self._good.url],
            max_stale_seconds=3600,
            clock=self._clock,
            log=ThrottledLog(self._clock),
            fetch=self._fetch,
        )
        if is_warm:
            assert self._verify()
        self._hangs = True
        self._threads = [
            threading.Thread(target=self._keep_fetching),
            threading.Thread(target=self._keep_verifying),
        ]
        for thread in self._threads:
            thread.start()
        assert self._is_hanging.wait(10)

    def _hang(self, _connection: socket.socket) -> None:
        self._is_hanging.set()
        self._ended.wait(5)

    def _fetch(self, url: str, deadline: Deadline) -> tuple[bytes, float | None]:
        hangs = self._hangs and os.getpid() == self._pid
        return fetch_document(self._hanging.url if hangs else url, deadline)

    def _keep_fetching(self) -> None:
        while not self._ended.is_set():
            # As if the cooldown were over.
            self.keys._fetcher._process_state().last_start = None
            self.keys._fetcher.renew(in_background=False, wait_seconds=3, may_back_off=False)

    def _keep_verifying(self) -> None:
        # Of an unknown key: each look-up takes the lock.
        token = SessionSigner("d-unknown").sign(self._signer.claims(issued_at=time.time() + 3600))
        while not self._ended.wait(0.0001):
            with suppress(KeysUnavailableError):
                verify_access_token(token, self.keys, TokenRules(), self._clock.wall())

    def _verify(self) -> bool:
        claims = self._signer.claims()
        token = self._signer.sign(claims)
        session = verify_access_token(token, self.keys, TokenRules(), self._clock.wall())
        return bool(session.session_handle == claims["sessionHandle"])

    def fork(self) -> float | None:
        """Fork; return the seconds until the child verified a token, or None if it did not."""
        reader, writer = os.pipe()
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            try:
                signal.alarm(PATIENCE_SECONDS)
                if self._verify():
                    os.write(writer, struct.pack("d", time.monotonic() - started))
            finally:
                os._exit(0)
        os.close(writer)
        with open(reader, "rb") as pipe:  # noqa: PTH123 - a descriptor has no path
            written = pipe.read()
        os.waitpid(child, 0)
        return struct.unpack("d", written)[0] if written else None

    def close(self) -> None:
        self._ended.set()
        self._hanging.close()
        self._good.close()
        for thread in self._threads:
            thread.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forks", type=int, default=1000, help="of each parent")
    options = parser.parse_args()
    is_good = True
    for state in ("cold", "warm"):
        parent = Parent(is_warm=state == "warm")
        try:
            children = [parent.fork() for _ in range(options.forks)]
        finally:
            parent.close()
        seconds = sorted(child for child in children if child is not None)
        slowest = seconds[-1] if seconds else float("inf")
        print(f"{state}: {len(seconds)} of {options.forks} verified, the last in {slowest:.3f} s")
        is_good = is_good and len(seconds) == len(children) and slowest < MAX_SECONDS
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
