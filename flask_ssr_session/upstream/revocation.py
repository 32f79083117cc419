"""Ask the SuperTokens core whether a session still exists: one GET, and nothing is changed.

An access token is good until it runs out, whatever became of its session. Who cannot wait that
long pays with a look-up per request, and with the core's outages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlencode

from ..clock import Clock
from ..errors import CoreUnavailableError, FetchError, HTTPClientError
from .fetch import Deadline, fetch_document

LOOK_UP_SECONDS = 3.0
COOLDOWN_SECONDS = 10.0

Fetch = Callable[[str, Deadline, Mapping[str, str]], tuple[bytes, "float | None"]]


class _Pause:
    """How long a core that failed is not asked; then one request may, for all others."""

    __slots__ = ("_tickets", "_until")

    def __init__(self, until: float) -> None:
        self._until = until
        self._tickets = [None]

    def is_over_for_me(self, now: float) -> bool:
        """Return whether the caller is the one that may ask; true once at most."""
        if now < self._until:
            return False
        # One atomic step, so there is no lock that a fork could carry off locked.
        try:
            self._tickets.pop()
        except IndexError:
            return False
        return True


class _Core:
    """One address of the core, and whether it failed a moment ago."""

    __slots__ = ("_pause", "uri")

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._pause: _Pause | None = None

    def may_be_asked(self, now: float) -> bool:
        pause = self._pause
        if pause is None:
            return True
        if not pause.is_over_for_me(now):
            return False
        # The caller tries it for all others: until it knows, they need not hang, too.
        self.failed(now)
        return True

    def failed(self, now: float) -> None:
        self._pause = _Pause(now + COOLDOWN_SECONDS)

    def answered(self) -> None:
        self._pause = None


class RevocationCheck:
    """Looks sessions up at the core, and does not ask again just after it failed to answer.

    Of several addresses, one that failed is passed over for 10 s, while another one answers.
    """

    def __init__(
        self,
        uris: Sequence[str],
        headers: Mapping[str, str],
        *,
        clock: Clock,
        fetch: Fetch = fetch_document,
    ) -> None:
        """Prepare; nothing is asked yet.

        :param uris: the core's ``/recipe/session`` at each of its addresses, tried in this order.
        :param headers: what the core wants of a request: version of the interface, API key.
        """
        self._cores = tuple(map(_Core, uris))
        self._headers = dict(headers)
        self._clock = clock
        self._fetch = fetch

    def is_revoked(self, session_handle: str) -> bool:
        """Return whether the core knows no such session any more.

        :raises CoreUnavailableError: it did not answer within 3 s, just now or in the last 10 s.
        """
        now = self._clock.monotonic()
        cores = [core for core in self._cores if core.may_be_asked(now)]
        if self._cores and not cores:
            raise CoreUnavailableError("the core did not answer a moment ago")
        try:
            return not self._exists(session_handle, cores)
        except FetchError as error:
            raise CoreUnavailableError(str(error)) from None

    def _exists(self, session_handle: str, cores: Sequence[_Core]) -> bool:
        deadline = Deadline(LOOK_UP_SECONDS)
        query = urlencode({"sessionHandle": session_handle})
        problem = FetchError("no core is configured")
        failed = []
        for position, core in enumerate(cores):
            try:
                share = Deadline(deadline.remaining() / (len(cores) - position))
                body, _ = self._fetch(f"{core.uri}?{query}", share, self._headers)
                exists = _is_known(body)
            except HTTPClientError as error:  # noqa: PERF203 - it waits for the network
                # It holds nobody up and may be about this session alone, such as one of a tenant
                # that was deleted.
                problem = error
                core.answered()
            except FetchError as error:
                problem = error
                core.failed(self._clock.monotonic())
                failed.append(core)
            else:
                # An answer ends the pause of those behind it, which nobody had to ask.
                for other in cores[position:]:
                    other.answered()
                return exists
        # Nobody answered: the time it took is part of no pause, the first one's neither.
        for core in failed:
            core.failed(self._clock.monotonic())
        raise problem


def _is_known(body: bytes) -> bool:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise FetchError("the answer is not JSON") from None
    status = answer.get("status") if isinstance(answer, dict) else None
    if status not in ("OK", "UNAUTHORISED"):
        raise FetchError("the answer says nothing about the session")
    return bool(status == "OK")
