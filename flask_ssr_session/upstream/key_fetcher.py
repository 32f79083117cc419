"""Decide who fetches signing keys and who waits for them.

One fetch runs at a time, and neither a thread nor a lock is carried over a fork.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from ..clock import Clock
from ..errors import FetchError
from .key_set import KeySet

COOLDOWN_SECONDS = 10.0
MAX_BACKOFF_SECONDS = 60.0

# After this time a fetch counts as abandoned: its process was suspended, or its server runs no
# background threads.
ABANDONED_AFTER_SECONDS = 5.0


class _RunningFetch:
    """A running fetch, which other threads may wait for."""

    def __init__(self, started: float) -> None:
        self.started = started
        self.done = threading.Event()


class _ProcessState:
    """The fetches of one process.

    :ivar running: the running fetch, or None.
    :ivar last_start: monotonic time of the last attempt, or None before the first.
    :ivar failures: the number of failed attempts in a row.
    :ivar in_outage: the attempt before the running one failed, and was recent.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.running: _RunningFetch | None = None
        self.last_start: float | None = None
        self.failures = 0
        self.in_outage = False


class KeyFetcher:
    """Fetches key sets and keeps the newest.

    :ivar key_set: the newest key set, or None before the first fetch and after :meth:`clear`.
    """

    def __init__(
        self,
        fetch: Callable[[float], KeySet],
        clock: Clock,
        *,
        on_success: Callable[[int], None],
        on_failure: Callable[[str, int | None], None],
    ) -> None:
        """Store the arguments; fetch nothing yet.

        :param fetch: returns the key set of a fetch that started at this monotonic time, or raises
            FetchError.
        :param on_success: receives the number of failed attempts before this one. It is called
            in the thread that fetched, and so is *on_failure*.
        :param on_failure: receives the problem and the number of failed attempts in a row, or
            None if another fetch or :meth:`clear` superseded this one.
        """
        self.key_set: KeySet | None = None
        self._fetch = fetch
        self._clock = clock
        self._on_success = on_success
        self._on_failure = on_failure
        # One state per process: after a fork the child has none of the parent's threads, and a
        # lock that another thread held stays locked. dict.setdefault is atomic, so creating a
        # state needs no lock.
        self._state_by_pid: dict[int, _ProcessState] = {}

    def clear(self) -> None:
        """Drop the keys of this process; the next token fetches immediately."""
        state = self._process_state()
        with state.lock:
            self.key_set = None
            # A running fetch may still return the keys that are dropped here: supersede it.
            state.running = None
            state.last_start = None
            state.failures = 0

    def renew(self, *, in_background: bool, wait_seconds: float, may_back_off: bool) -> None:
        """Start a fetch or join the running one, and wait for it.

        :param in_background: fetch in a new thread, if the process can start one. False if the
            caller has no usable keys.
        :param wait_seconds: how long after its start to wait for a fetch of another thread.
        :param may_back_off: the caller has usable keys, so the pauses between failed attempts may
            grow.
        """
        state = self._process_state()
        with state.lock:
            now = self._clock.monotonic()
            running = state.running
            abandoned = running is not None and now - running.started >= ABANDONED_AFTER_SECONDS
            is_ours = running is None or abandoned
            if running is None or abandoned:
                # Unusable keys soon after a good fetch: the wall clock jumped, and no pause helps.
                is_jump = not in_background and not state.failures
                if not (abandoned or is_jump or _may_fetch(state, now, may_back_off=may_back_off)):
                    return
                running = state.running = _RunningFetch(now)
                previous_start, state.last_start = state.last_start, now
                state.in_outage = (
                    state.failures > 0
                    and previous_start is not None
                    and now - previous_start < 2 * MAX_BACKOFF_SECONDS
                )
            if state.in_outage and (may_back_off or not is_ours):
                # During an outage, only the request that starts the fetch waits, and only if it
                # has no usable keys.
                wait_seconds = 0.0
        in_background = in_background and not abandoned
        if is_ours and not (in_background and self._start_thread(state, running)):
            self._run_fetch(state, running)
            return
        # Count from the start of the fetch: a fetch that hangs delays only the requests of its
        # first seconds, and a request with several cookies only once.
        remaining = running.started + wait_seconds - self._clock.monotonic()
        if remaining > 0:
            running.done.wait(remaining)

    def _process_state(self) -> _ProcessState:
        return self._state_by_pid.setdefault(os.getpid(), _ProcessState())

    def _start_thread(self, state: _ProcessState, running: _RunningFetch) -> bool:
        thread = threading.Thread(
            target=self._run_fetch, args=(state, running), name="ssr-session-keys", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # the process can start no more threads
            return False
        return True

    def _run_fetch(self, state: _ProcessState, running: _RunningFetch) -> None:
        """Fetch once; replace the keys, or count the failure and keep the last good keys."""
        key_set: KeySet | None = None
        problem = ""
        failures_before: int | None = None
        try:
            key_set = self._fetch(running.started)
        except FetchError as error:
            problem = str(error)
        finally:
            with state.lock:
                # A superseded fetch must not replace newer keys with older ones.
                if state.running is running:
                    state.running = None
                    failures_before = state.failures
                    if key_set is not None:
                        self.key_set = key_set
                        state.failures = 0
                    else:
                        state.failures += 1
            running.done.set()
        if key_set is None:
            self._on_failure(problem, None if failures_before is None else failures_before + 1)
        elif failures_before is not None:
            self._on_success(failures_before)


def _may_fetch(state: _ProcessState, now: float, *, may_back_off: bool) -> bool:
    if state.last_start is None:
        return True
    pause = COOLDOWN_SECONDS
    if may_back_off and state.failures:
        # The exponent is bounded: the failures of a week would overflow a float.
        doubled = COOLDOWN_SECONDS * 2.0 ** min(state.failures - 1, 8)
        pause = min(doubled, MAX_BACKOFF_SECONDS)
    return now - state.last_start >= pause
