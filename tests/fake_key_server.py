"""A key server without a network; the test decides what it returns, and when it fails or hangs."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from flask_ssr_session.errors import FetchError
from flask_ssr_session.upstream import key_fetcher
from flask_ssr_session.upstream.deadline import Deadline


class FakeKeyServer:
    """A key server that a test controls."""

    def __init__(self, jwk: dict[str, str]) -> None:
        self._jwk = jwk
        self.kids = ["d-test"]
        self.body: bytes | None = None
        self.max_age: float | None = None
        self.is_down = False
        self.asked: list[str] = []
        self.threads: list[str] = []
        self.began = threading.Event()
        self._held: deque[threading.Event] = deque()
        self._gates: list[threading.Event] = []

    def hold(self) -> threading.Event:
        """Make one later fetch hang until the event is set."""
        gate = threading.Event()
        self._held.append(gate)
        self._gates.append(gate)
        return gate

    def fetch(self, url: str, deadline: Deadline) -> tuple[bytes, float | None]:
        assert deadline.remaining() > 0
        self.asked.append(url)
        self.threads.append(threading.current_thread().name)
        is_down, max_age = self.is_down, self.max_age
        body = self.body
        if body is None:
            body = json.dumps({"keys": [self._jwk | {"kid": kid} for kid in self.kids]}).encode()
        gate = self._held.popleft() if self._held else None
        self.began.set()
        if gate is not None:
            assert gate.wait(10)
        if is_down:
            raise FetchError("the server is down")
        return body, max_age

    def close(self) -> None:
        for gate in self._gates:
            gate.set()
        finish_background()


class WaitedEvent(threading.Event):
    """The end of a fetch; a test can wait until so many threads wait for it."""

    waiters = threading.Semaphore(0)

    def wait(self, timeout: float | None = None) -> bool:
        self.waiters.release()
        return super().wait(timeout)


def count_waiters(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that waits until so many more threads wait for a fetch."""
    waiters = threading.Semaphore(0)
    monkeypatch.setattr(WaitedEvent, "waiters", waiters)
    threads = SimpleNamespace(Thread=threading.Thread, Lock=threading.Lock, Event=WaitedEvent)
    monkeypatch.setattr(key_fetcher, "threading", threads)

    def wait_for(count: int) -> None:
        for _ in range(count):
            assert waiters.acquire(timeout=10)

    return wait_for


def finish_background() -> None:
    """Wait for the background fetches."""
    for thread in threading.enumerate():
        if thread.name == "ssr-session-keys":
            thread.join(10)
            assert not thread.is_alive()
