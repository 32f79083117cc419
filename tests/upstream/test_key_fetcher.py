"""Who fetches keys, who waits, what an abandoned fetch may still do, and forks."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest

from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.key_fetcher import KeyFetcher
from flask_ssr_session.upstream.key_set import KeySet

from ..clocks import SteppedClock
from ..key_servers import Background, FakeKeyServer, counted_waiters
from ..tables import rows


class Bench:
    """A fetcher, and what it reports: failures before a success, or the problem of a failure."""

    def __init__(self, clock: SteppedClock) -> None:
        self.clock = clock
        self.server = FakeKeyServer({})
        self.background = Background(self.server, clock)
        self.error: BaseException | None = None
        self.reports: list[object] = []
        add = self.reports.append
        self.fetcher = KeyFetcher(
            self._fetch, clock, on_success=add, on_failure=lambda *problem: add(problem)
        )

    def _fetch(self, started: float) -> KeySet:
        if self.error is not None:
            raise self.error
        self.server.fetch("", Deadline(10))
        return KeySet({}, fetched_monotonic=started)

    def renew(self, *, wait: float = 0, has_keys: bool = False, background: bool = True) -> None:
        self.fetcher.renew(in_background=background, wait_seconds=wait, may_back_off=has_keys)

    def fail(self, after: float = 60) -> None:
        self.clock.advance(after)
        self.server.is_down, self.background.mode = True, "at once"
        self.renew()
        self.server.is_down = False


@pytest.fixture
def bench(clock: SteppedClock) -> Iterator[Bench]:
    bench = Bench(clock)
    with bench.background:
        bench.renew(background=False)
        bench.reports.clear()
        yield bench


WAITS: dict[str, Any] = {
    "who starts a fetch waits for it": (0, 10, True, False, 2),
    "with usable keys, too": (0, 10, True, True, 2),
    "and who joins it": (0, 10, False, False, 2),
    "and who joins it with usable keys": (0, 10, False, True, 2),
    "in an outage, who starts a fetch without usable keys waits": (1, 10, True, False, 2),
    "with usable keys nobody waits": (1, 10, True, True, 0),
    "nor who joins a fetch": (1, 10, False, False, 0),
    "nor who joins it with usable keys": (1, 10, False, True, 0),
    "a failure less than 120 s ago is an outage": (1, 119.9, False, False, 0),
    "an older one is not": (1, 120, False, False, 2),
}


@rows("failures, pause, starts, has_keys, waited", WAITS)
def test_who_waits_for_a_fetch(
    bench: Bench, failures: int, pause: float, starts: bool, has_keys: bool, waited: float
) -> None:
    for _ in range(failures):
        bench.fail()
    bench.clock.advance(pause)
    bench.background.mode = "held"
    if not starts:
        bench.renew()
    before = len(bench.server.asked)

    bench.renew(wait=2, has_keys=has_keys)

    assert bench.background.waits == ([waited] if waited else [])
    assert len(bench.server.asked) - before == starts


def test_success_and_failure_are_reported_with_the_failures_in_a_row(bench: Bench) -> None:
    down = "the server is down"
    bench.fail()
    bench.fail()
    bench.clock.advance(60)
    bench.renew()
    bench.clock.advance(60)
    bench.renew()

    bench.fail()
    bench.fetcher.clear()
    bench.renew()

    assert bench.reports == [(down, 1), (down, 2), 2, 0, (down, 1), 0]


def test_failures_of_a_week_do_not_lengthen_the_pause(bench: Bench) -> None:
    for _ in range(1_100):
        bench.fail()
    asked = len(bench.server.asked)
    bench.clock.advance(59.9)
    bench.renew(has_keys=True)
    assert len(bench.server.asked) == asked
    bench.clock.advance(0.1)
    bench.renew(has_keys=True)
    assert len(bench.server.asked) == asked + 1


@rows("is_down", {"a good answer": False, "a failure": True})
def test_fetch_that_was_abandoned_changes_nothing_when_it_ends(bench: Bench, is_down: bool) -> None:
    bench.clock.advance(10)
    bench.background.mode, bench.server.is_down = "held", is_down
    bench.renew()
    bench.server.is_down = False
    bench.clock.advance(5)
    bench.renew()
    newer = bench.fetcher.key_set
    bench.background.release()
    bench.fail(10)

    assert newer is not None
    assert bench.fetcher.key_set is newer
    # The late failure is told as one that does not count; a late success is not told.
    late: list[object] = [("the server is down", None)] if is_down else []
    assert bench.reports == [0, *late, ("the server is down", 1)]


def test_fetch_that_ends_by_a_defect_ends_for_the_next_one_too(bench: Bench) -> None:
    bench.clock.advance(10)
    bench.error = MemoryError()
    with pytest.raises(MemoryError):
        bench.renew(background=False)
    bench.error = None
    bench.clock.advance(9.9)
    bench.renew()
    assert bench.reports == []
    bench.clock.advance(0.1)
    bench.renew()
    assert bench.reports == [1]


def test_many_threads_make_one_fetch_and_go_on_when_it_ends(clock: SteppedClock) -> None:
    with counted_waiters() as waiters:
        bench = Bench(clock)
        gate = bench.server.hold()
        with ThreadPoolExecutor(20) as pool:
            waiting = [pool.submit(bench.renew, wait=30, background=False) for _ in range(20)]
            for _ in range(19):
                assert waiters.acquire(timeout=10)
            assert not any(result.done() for result in waiting)
            gate.set()
            for result in waiting:
                result.result(10)
        assert len(bench.server.asked) == 1


def test_background_is_a_daemon_thread_with_a_name(clock: SteppedClock) -> None:
    bench = Bench(clock)
    bench.server.hold()
    bench.renew()
    assert bench.server.began.wait(10)
    seen = [thread for thread in threading.enumerate() if thread.name == "ssr-session-keys"]
    bench.server.close()

    assert [thread.daemon for thread in seen] == [True]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("state", ["cold", "cold fetching", "cold locked", "warm fetching locked"])
def test_child_of_a_fork_fetches_whatever_its_parent_was_doing(state: str) -> None:
    """As under a preloading server, while another thread of the parent may hold a lock."""
    bench = Bench(SteppedClock())
    if "warm" in state:
        bench.renew(background=False)
        bench.clock.advance(10)
    if "fetching" in state:
        bench.server.hold()
        bench.server.began.clear()
        bench.renew()
        assert bench.server.began.wait(10)
    with bench.fetcher._process_state().lock if "locked" in state else nullcontext():
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            asked = len(bench.server.asked)
            bench.renew(background=False)
            bench.fetcher.clear()
            bench.renew(background=False)
            os._exit(0 if bench.fetcher.key_set and len(bench.server.asked) == asked + 2 else 1)
    end = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    bench.server.close()

    assert end == 0
