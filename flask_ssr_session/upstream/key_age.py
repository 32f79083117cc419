"""Decide how old signing keys may get, and what an outage of their server means.

Requests read one :class:`KeySet`, which is replaced in one assignment. Nothing is fetched before
the first token needs a key.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ..clock import Clock
from ..errors import KeysUnavailableError
from ..sansio.jwks import parse_key_set
from ..signals import SignalSender, keys_failing, keys_renewed, send_nothing
from ..throttled_log import ThrottledLog
from .deadline import FETCH_SECONDS, Deadline
from .fetch import fetch_document, fetch_first
from .key_fetcher import KeyFetcher
from .key_set import KeySet

# The core publishes a key 60 s before it signs with it, and its max-age says when the next key
# comes. Renewing by then means that every key is known before its first use. Without a max-age,
# keys are renewed after 240 s, and a key that left the set is dropped after 300 s.
RENEW_AFTER_SECONDS = 240.0
WAIT_AFTER_SECONDS = 300.0

WAIT_SECONDS = 1.0

# ``iat`` is cut to whole seconds and comes from another machine's clock.
IAT_TOLERANCE_SECONDS = 5.0

Fetch = Callable[[str, Deadline], tuple[bytes, "float | None"]]


class FetchedKeys:
    """Keys fetched over HTTP, renewed as they age, and kept during an outage."""

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
        """Store the arguments; fetch nothing yet.

        :param uris: addresses of the same key set, tried in this order.
        :param max_stale_seconds: how long the last good keys are used while every fetch fails.
        :param send_signal: sends the result of every fetch, in the thread that fetched.
        """
        self._uris = tuple(uris)
        # Keys younger than WAIT_AFTER_SECONDS are usable regardless of the setting.
        self._usable_seconds = max(max_stale_seconds, WAIT_AFTER_SECONDS)
        self._clock = clock
        self._log = log
        self._fetch = fetch
        self._send_signal = send_signal
        self._fetcher = KeyFetcher(
            self._fetch_any_uri,
            clock,
            on_success=self._report_success,
            on_failure=self._report_failure,
        )

    @property
    def token_cache(self) -> KeySet:
        """The tokens that the known keys verified, however old these keys are."""
        return self._fetcher.key_set or KeySet({})

    def usable_cache_or_fetch(self) -> KeySet:
        """Return the tokens that usable keys verified.

        If the keys are too old, they are renewed first, as for a token that is not cached.

        :raises KeysUnavailableError: there are no usable keys.
        """
        return self._usable_key_set()

    def get_or_fetch(self, kid: str, issued_at: float) -> RSAPublicKey | None:
        """Return the key named *kid*, or None if a good response shows that it does not exist.

        :param issued_at: ``iat`` of the token, seconds since the epoch, unverified. A token older
            than the known keys cannot be signed by a newer key.
        :raises KeysUnavailableError: there are no keys, or the key may be too new to be known.
        """
        started = self._clock.monotonic()
        key_set = self._usable_key_set()
        key = key_set.keys.get(kid)
        if key is not None:
            return key
        if issued_at + IAT_TOLERANCE_SECONDS < key_set.fetched_wall:
            return None
        self._fetcher.renew(in_background=True, wait_seconds=WAIT_SECONDS, may_back_off=False)
        renewed = self._fetcher.key_set
        if renewed is not None:
            key = renewed.keys.get(kid)
            if key is not None or renewed.fetched_monotonic >= started:
                return key
        # Do not call the token invalid: the key is missing, so a refresh would not help.
        raise KeysUnavailableError("the token's key is not known yet")

    def clear(self) -> None:
        """Drop the keys and cached tokens of this process; the next token fetches new keys."""
        self._fetcher.clear()

    def _usable_key_set(self) -> KeySet:
        """Return keys young enough to be used; fetch or wait as their age requires.

        :raises KeysUnavailableError: there are none.
        """
        key_set = self._fetcher.key_set
        age = math.inf if key_set is None else self._age(key_set)
        if key_set is not None and age < key_set.fresh_seconds:
            return key_set
        if age > self._usable_seconds:
            self._fetcher.renew(in_background=False, wait_seconds=FETCH_SECONDS, may_back_off=False)
        else:
            # Young keys are renewed without waiting. The first request after a long idle time
            # waits for new keys.
            wait_seconds = 0.0 if age < WAIT_AFTER_SECONDS else WAIT_SECONDS
            self._fetcher.renew(in_background=True, wait_seconds=wait_seconds, may_back_off=True)
        renewed = self._fetcher.key_set
        if renewed is None or self._age(renewed) > self._usable_seconds:
            raise KeysUnavailableError(
                "no keys could be fetched, or the last good ones are too old"
            )
        return renewed

    def _age(self, key_set: KeySet) -> float:
        # The monotonic clock stops while a machine sleeps, and the wall clock may be set back. Take
        # the larger age, so that old keys never count as young.
        return max(
            self._clock.monotonic() - key_set.fetched_monotonic,
            self._clock.wall() - key_set.fetched_wall,
        )

    def _fetch_any_uri(self, started_monotonic: float) -> KeySet:
        started_wall = self._clock.wall()

        def fetch(uri: str, deadline: Deadline) -> KeySet:
            body, max_age_seconds = self._fetch(uri, deadline)
            return KeySet(
                parse_key_set(body),
                fetched_wall=started_wall,
                fetched_monotonic=started_monotonic,
                fresh_seconds=RENEW_AFTER_SECONDS
                if max_age_seconds is None
                else min(max_age_seconds, RENEW_AFTER_SECONDS),
            )

        return fetch_first(self._uris, Deadline(FETCH_SECONDS), fetch)

    def _report_success(self, failures_before: int) -> None:
        if failures_before:
            self._log.write(
                logging.WARNING,
                "keys_renewed",
                f"keys were renewed; failed attempts before: {failures_before}",
            )
        self._send_signal(keys_renewed, failures=failures_before)

    def _report_failure(self, problem: str, failures: int | None) -> None:
        key_set = self._fetcher.key_set
        age = None if key_set is None else self._age(key_set)
        usable = age is not None and age <= self._usable_seconds
        self._log_failure(problem, age, usable=usable)
        if failures is not None:  # a fetch that superseded this one sends its own signal
            self._send_signal(keys_failing, failures=failures, age_seconds=age, usable=usable)

    def _log_failure(self, problem: str, age: float | None, *, usable: bool) -> None:
        # Log only the hosts: a path or user information may hold secrets.
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
