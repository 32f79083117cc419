"""Ask the SuperTokens core about a session, with one GET that changes nothing.

An access token is valid until it expires, even if its session is revoked. A view that must notice
a revocation earlier sends one request to the core per page, and depends on the core's availability.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlencode

from ..clock import Clock
from ..errors import CoreUnavailableError, FetchError, HTTPClientError
from ..sansio.core_session import CoreSession, parse_core_session
from .deadline import FETCH_SECONDS, Deadline
from .fetch import fetch_document, fetch_first

COOLDOWN_SECONDS = 10.0

Fetch = Callable[[str, Deadline, Mapping[str, str]], tuple[bytes, "float | None"]]


class _Cooldown:
    """The pause after a core failed; when it ends, one request tries the core for all others."""

    __slots__ = ("_retry_at", "_tickets")

    def __init__(self, retry_at: float) -> None:
        self._retry_at = retry_at
        self._tickets = [None]

    def take_retry(self, now: float) -> bool:
        """Return whether the caller may retry; true at most once."""
        if now < self._retry_at:
            return False
        # One atomic step instead of a lock, which could be held during a fork.
        try:
            self._tickets.pop()
        except IndexError:
            return False
        return True


class _Core:
    """One address of the core, and whether it failed recently."""

    __slots__ = ("_cooldown", "uri")

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._cooldown: _Cooldown | None = None

    def may_be_tried(self, now: float) -> bool:
        cooldown = self._cooldown
        if cooldown is None:
            return True
        if not cooldown.take_retry(now):
            return False
        # Other requests skip this core until the caller knows whether it responds.
        self.mark_failed(now)
        return True

    def mark_failed(self, now: float) -> None:
        self._cooldown = _Cooldown(now + COOLDOWN_SECONDS)

    def mark_available(self) -> None:
        self._cooldown = None


class SessionLookup:
    """Looks up sessions at the core; a core address that failed is skipped for 10 s."""

    def __init__(
        self,
        uris: Sequence[str],
        headers: Mapping[str, str],
        *,
        clock: Clock,
        fetch: Fetch = fetch_document,
    ) -> None:
        """Store the arguments; send nothing yet.

        :param uris: the core's ``/recipe/session`` at each of its addresses, tried in this order.
        :param headers: request headers that the core requires: API version and API key.
        """
        self._cores = tuple(map(_Core, uris))
        self._headers = dict(headers)
        self._clock = clock
        self._fetch = fetch

    def look_up(self, session_handle: str) -> CoreSession | None:
        """Return what the core knows about a session, or None if it does not know it.

        :raises CoreUnavailableError: the core did not respond within 3 s, now or in the last 10 s.
        """
        now = self._clock.monotonic()
        cores = [core for core in self._cores if core.may_be_tried(now)]
        if self._cores and not cores:
            raise CoreUnavailableError("the core did not respond in the last 10 s")
        try:
            return self._find(session_handle, cores)
        except FetchError as error:
            raise CoreUnavailableError(str(error)) from None

    def _find(self, session_handle: str, cores: Sequence[_Core]) -> CoreSession | None:
        query = urlencode({"sessionHandle": session_handle})
        failed: list[_Core] = []

        def query_core(core: _Core, deadline: Deadline) -> CoreSession | None:
            body, _ = self._fetch(f"{core.uri}?{query}", deadline, self._headers)
            try:
                found = parse_core_session(body, session_handle)
            except ValueError as error:
                raise FetchError(str(error)) from None
            # The later cores were not tried: end the cooldown that this request started for them.
            for other in cores[cores.index(core) :]:
                other.mark_available()
            return found

        def on_failure(core: _Core, error: FetchError) -> None:
            if isinstance(error, HTTPClientError):
                # The core responds, and the error may concern only this session: its tenant may
                # have been deleted.
                core.mark_available()
            else:
                core.mark_failed(self._clock.monotonic())
                failed.append(core)

        try:
            return fetch_first(cores, Deadline(FETCH_SECONDS), query_core, on_failure)
        except FetchError:
            # All failed: restart every cooldown now, after the last attempt.
            for core in failed:
                core.mark_failed(self._clock.monotonic())
            raise
