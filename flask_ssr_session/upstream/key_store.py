"""Keep the signing keys: how old they may get, who fetches, who waits, what an outage means.

Requests read one immutable :class:`KeySet`, swapped in one assignment. Nothing is fetched before
the first token asks, one fetch runs at a time, and neither a thread nor a lock survives a fork.
"""

from __future__ import annotations

import logging
import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ..clock import Clock
from ..errors import FetchError, KeysUnavailableError
from ..sansio.jwks import parse_key_set
from ..session import SSRSession
from ..signals import SignalSender, keys_failing, keys_renewed, send_nothing
from ..throttled_log import ThrottledLog
from .fetch import Deadline, fetch_document
from .key_set import KeySet

# The core publishes a key 60 s before it signs, and says by max-age when the next one comes: who
# renews by then knows every key before its first use. Where nothing is said, 240 s hold, and a
# key that left the set is gone 300 s later.
RENEW_AFTER_SECONDS = 240.0
WAIT_AFTER_SECONDS = 300.0

FETCH_SECONDS = 3.0
WAIT_SECONDS = 1.0
COOLDOWN_SECONDS = 10.0
MOST_BACKOFF_SECONDS = 60.0

# A background fetch this old was frozen with its process, or its server runs no threads.
ABANDONED_AFTER_SECONDS = 5.0

# ``iat`` is cut to whole seconds and written by another machine's clock.
IAT_TOLERANCE_SECONDS = 5.0

Fetch = Callable[[str, Deadline], tuple[bytes, "float | None"]]


@dataclass(eq=False)
class _RunningFetch:
    """One running fetch that others may wait for."""

    started: float
    landed: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False)
class _Fetching:
    """Who fetches in this process, and when it was last tried.

    :ivar last_start: monotonic time of the last attempt, or None before the first.
    :ivar failures: how many attempts failed in a row.
    :ivar in_outage: the attempt before the running one failed, not long ago.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    flight: _RunningFetch | None = None
    last_start: float | None = None
    failures: int = 0
    in_outage: bool = False


class StaticKeys:
    """Keys that were given, so that no network is needed; they never age."""

    def __init__(self, key_set: KeySet) -> None:
        self._key_set = key_set

    def peek(self, raw_token: str) -> SSRSession | None:
        """Return the session of a token verified before, or None."""
        return self._key_set.recall(raw_token)

    recall = peek

    def find(self, kid: str, issued_at: float) -> RSAPublicKey | None:  # noqa: ARG002
        """Return the key named *kid*, or None."""
        return self._key_set.keys.get(kid)

    def remember(self, raw_token: str, kid: str, key: RSAPublicKey, session: SSRSession) -> None:
        """Keep *session*, so that the same token need not be verified again."""
        self._key_set.remember(raw_token, kid, key, session)

    def clear(self) -> None:
        """Forget verified tokens; the keys stay, as they came with the settings."""
        self._key_set = KeySet(self._key_set.keys)


class FetchedKeys:
    """Keys fetched over HTTP, renewed as they age, kept through an outage."""

    def __init__(
        self,
        uris: Sequence[str],
        *,
        max_stale_seconds: float,
        clock: Clock,
        log: ThrottledLog,
        fetch: Fetch = fetch_document,
        send_signal: SignalSender = send_nothing,
    ) -> None:
        """Prepare; nothing is fetched yet.

        :param uris: key sets of the same keys, tried in this order.
        :param max_stale_seconds: how long the last good keys serve while no fetch succeeds.
        :param send_signal: is told of every fetch, in its thread.
        """
        self._uris = tuple(uris)
        # Younger keys are used whether or not an outage is known of.
        self._usable_seconds = max(max_stale_seconds, WAIT_AFTER_SECONDS)
        self._clock = clock
        self._log = log
        self._fetch = fetch
        self._announce = send_signal
        self._key_set: KeySet | None = None
        # By process: after a fork the child has neither the parent's threads nor, perhaps, an
        # unlocked lock. dict.setdefault is atomic, so no lock is needed to get the lock.
        self._fetching_by_pid: dict[int, _Fetching] = {}

    def peek(self, raw_token: str) -> SSRSession | None:
        """Return the session of a token verified before, without asking whether its key holds."""
        key_set = self._key_set
        return None if key_set is None else key_set.recall(raw_token)

    def recall(self, raw_token: str) -> SSRSession | None:
        """Return the session of a token that keys still in force verified, or None.

        A remembered token is as good as its key: where the keys are too old to say, they are
        renewed first, exactly as for a token never seen.

        :raises KeysUnavailableError: there are no keys that may still be used.
        """
        return self._current(self._key_set).recall(raw_token)

    def find(self, kid: str, issued_at: float) -> RSAPublicKey | None:
        """Return the key named *kid*, or None where a good answer shows that there is none.

        :param issued_at: ``iat`` of the token, seconds since the epoch, unverified: a token older
            than the keys at hand cannot have been signed by a newer one.
        :raises KeysUnavailableError: there are no keys, or the key may be too new to be known.
        """
        asked_from = self._clock.monotonic()
        key_set = self._current(self._key_set)
        key = key_set.keys.get(kid)
        if key is not None:
            return key
        if issued_at + IAT_TOLERANCE_SECONDS < key_set.fetched_wall:
            return None
        self._renew(in_background=True, wait_seconds=WAIT_SECONDS, patient=False)
        renewed = self._key_set
        if renewed is not None:
            key = renewed.keys.get(kid)
            if key is not None or renewed.fetched_monotonic >= asked_from:
                return key
        # Refreshing could not help: what is missing is the key, not a newer token.
        raise KeysUnavailableError("the token's key is not known yet")

    def remember(self, raw_token: str, kid: str, key: RSAPublicKey, session: SSRSession) -> None:
        """Keep *session* for as long as the present keys hold."""
        key_set = self._key_set
        if key_set is not None:
            key_set.remember(raw_token, kid, key, session)

    def clear(self) -> None:
        """Drop all keys and verified tokens of this process; the next token fetches anew."""
        fetching = self._process_state()
        with fetching.lock:
            self._key_set = None
            # What is under way was asked for before this moment, and will find itself given up.
            fetching.flight = None
            fetching.last_start = None
            fetching.failures = 0

    def _current(self, key_set: KeySet | None) -> KeySet:
        """Return keys young enough to be used, fetching or waiting as their age demands.

        :raises KeysUnavailableError: there are none.
        """
        age = math.inf if key_set is None else self._age(key_set)
        if key_set is not None and age < key_set.fresh_seconds:
            return key_set
        if age > self._usable_seconds:
            self._renew(in_background=False, wait_seconds=FETCH_SECONDS, patient=False)
        else:
            # In the background of requests that need not wait; an idle night's first request does.
            wait_seconds = 0.0 if age < WAIT_AFTER_SECONDS else WAIT_SECONDS
            self._renew(in_background=True, wait_seconds=wait_seconds, patient=True)
        renewed = self._key_set
        if renewed is None or self._age(renewed) > self._usable_seconds:
            raise KeysUnavailableError("no key set could be fetched, or the last good is too old")
        return renewed

    def _age(self, key_set: KeySet) -> float:
        # The monotonic clock stands still while a machine sleeps; the wall clock may be set back.
        # The larger of the two never takes old keys for young ones.
        return max(
            self._clock.monotonic() - key_set.fetched_monotonic,
            self._clock.wall() - key_set.fetched_wall,
        )

    def _renew(self, *, in_background: bool, wait_seconds: float, patient: bool) -> None:
        """Start a fetch or join the running one, and wait for it.

        :param wait_seconds: how long after its start it is waited for.
        :param patient: usable keys are at hand, so after failures it may take longer between tries.
        """
        fetching = self._process_state()
        with fetching.lock:
            now = self._clock.monotonic()
            flight = fetching.flight
            frozen = flight is not None and now - flight.started >= ABANDONED_AFTER_SECONDS
            mine = flight is None or frozen
            if flight is None or frozen:
                if not (frozen or _may_fetch(fetching, now, patient=patient)):
                    return
                flight = fetching.flight = _RunningFetch(now)
                previous_start, fetching.last_start = fetching.last_start, now
                fetching.in_outage = (
                    fetching.failures > 0
                    and previous_start is not None
                    and now - previous_start < 2 * MOST_BACKOFF_SECONDS
                )
            if fetching.in_outage and (patient or not mine):
                # Everybody knows that it fails: the next try holds up one request at most, and
                # none that can go on.
                wait_seconds = 0.0
        in_background = in_background and not frozen
        if mine and not (in_background and self._start_thread(fetching, flight)):
            self._run_fetch(fetching, flight)
            return
        # Counted from its start: a fetch that hangs holds up a server once, not every request and
        # every cookie of it anew.
        remaining = flight.started + wait_seconds - self._clock.monotonic()
        if remaining > 0:
            flight.landed.wait(remaining)

    def _process_state(self) -> _Fetching:
        return self._fetching_by_pid.setdefault(os.getpid(), _Fetching())

    def _start_thread(self, fetching: _Fetching, flight: _RunningFetch) -> bool:
        thread = threading.Thread(
            target=self._run_fetch, args=(fetching, flight), name="ssr-session-keys", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # no more threads in this process
            return False
        return True

    def _run_fetch(self, fetching: _Fetching, flight: _RunningFetch) -> None:
        """Fetch once and land: swap the keys in, or note the failure and keep the last good."""
        key_set: KeySet | None = None
        problem = "the fetch was cut short"
        failures = 0
        given_up = True
        try:
            key_set = self._fetch_any_uri(flight.started)
        except FetchError as error:
            problem = str(error)
        finally:
            with fetching.lock:
                # A fetch that was given up must not put old keys over newer ones.
                if fetching.flight is flight:
                    given_up = False
                    fetching.flight = None
                    failures = fetching.failures
                    if key_set is not None:
                        self._key_set = key_set
                        fetching.failures = 0
                    else:
                        fetching.failures += 1
            flight.landed.set()
        if key_set is None:
            self._report_failure(problem, failures + 1, given_up=given_up)
            return
        if failures:
            self._log.write(
                logging.WARNING,
                "keys_renewed",
                f"keys are renewed again; failed attempts before: {failures}",
            )
        if not given_up:
            self._announce(keys_renewed, failures=failures)

    def _fetch_any_uri(self, started_monotonic: float) -> KeySet:
        started_wall = self._clock.wall()
        deadline = Deadline(FETCH_SECONDS)
        problem = FetchError("no key set is configured")
        for position, uri in enumerate(self._uris):
            try:
                # An even share of the time left: one that hangs must not use up the others' turn.
                share = Deadline(deadline.remaining() / (len(self._uris) - position))
                body, max_age_seconds = self._fetch(uri, share)
                keys = parse_key_set(body)
            except FetchError as error:
                problem = error
                continue
            return KeySet(
                keys,
                fetched_wall=started_wall,
                fetched_monotonic=started_monotonic,
                fresh_seconds=RENEW_AFTER_SECONDS
                if max_age_seconds is None
                else min(max_age_seconds, RENEW_AFTER_SECONDS),
            )
        raise problem

    def _report_failure(self, problem: str, failures: int, *, given_up: bool) -> None:
        key_set = self._key_set
        age = None if key_set is None else self._age(key_set)
        usable = age is not None and age <= self._usable_seconds
        self._log_failure(problem, age, usable=usable)
        if not given_up:  # whoever took its place tells how that ended
            self._announce(keys_failing, failures=failures, age_seconds=age, usable=usable)

    def _log_failure(self, problem: str, age: float | None, *, usable: bool) -> None:
        # The host alone: a path or a user part may hold what no log should.
        hosts = ", ".join(urlsplit(uri).netloc.rpartition("@")[2] for uri in self._uris)
        if age is None:
            self._log.write(
                logging.ERROR, "keys_not_fetched", f"{problem} at {hosts}; there are no keys"
            )
        elif not usable:
            self._log.write(
                logging.ERROR,
                "keys_not_fetched",
                f"{problem} at {hosts}; keys {age:.0f} s old are too old to be used",
            )
        else:
            self._log.write(
                logging.WARNING,
                "keys_not_renewed",
                f"{problem} at {hosts}; keys {age:.0f} s old stay in use, "
                f"at most {self._usable_seconds:.0f} s",
            )


def _may_fetch(fetching: _Fetching, now: float, *, patient: bool) -> bool:
    if fetching.last_start is None:
        return True
    pause = COOLDOWN_SECONDS
    if patient and fetching.failures:
        # The exponent is bounded, as a week of failures would not fit a float.
        doubled = COOLDOWN_SECONDS * 2.0 ** min(fetching.failures - 1, 8)
        pause = min(doubled, MOST_BACKOFF_SECONDS)
    return now - fetching.last_start >= pause
