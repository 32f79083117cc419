"""Ask the SuperTokens core whether a session still exists: one GET, and nothing is changed.

An access token is good until it runs out, whatever became of its session. Who cannot wait that
long pays with a look-up per request, and with the core's outages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlencode

from .clock import Clock
from .errors import CoreUnavailableError, FetchError, RequestRefusedError
from .fetching import Deadline, fetch_document

LOOK_UP_SECONDS = 3.0
PAUSE_SECONDS = 10.0

Fetch = Callable[[str, Deadline, Mapping[str, str]], tuple[bytes, "float | None"]]


class RevocationCheck:
    """Looks sessions up at the core, and does not ask again just after it failed to answer."""

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
        self._uris = tuple(uris)
        self._headers = dict(headers)
        self._clock = clock
        self._fetch = fetch
        self._ask_again_at: float | None = None

    def is_revoked(self, session_handle: str) -> bool:
        """Tell whether the core knows no such session any more.

        :raises CoreUnavailableError: it did not answer within 3 s, just now or in the last 10 s.
        """
        now = self._clock.monotonic()
        if self._ask_again_at is not None:
            if now < self._ask_again_at:
                raise CoreUnavailableError("the core did not answer a moment ago")
            # This request tries it for all others: until it knows, they need not hang, too.
            self._ask_again_at = now + PAUSE_SECONDS
        try:
            exists = self._exists(session_handle)
        except RequestRefusedError as error:
            # It holds nobody up and may be about this session alone, such as one of a tenant that
            # was deleted.
            self._ask_again_at = None
            raise CoreUnavailableError(str(error)) from None
        except FetchError as error:
            self._ask_again_at = self._clock.monotonic() + PAUSE_SECONDS
            raise CoreUnavailableError(str(error)) from None
        self._ask_again_at = None
        return not exists

    def _exists(self, session_handle: str) -> bool:
        deadline = Deadline(LOOK_UP_SECONDS)
        query = urlencode({"sessionHandle": session_handle})
        problem = FetchError("no core is configured")
        for position, uri in enumerate(self._uris):
            try:
                share = Deadline(deadline.remaining() / (len(self._uris) - position))
                body, _ = self._fetch(f"{uri}?{query}", share, self._headers)
                return _is_known(body)
            except FetchError as error:  # noqa: PERF203 - it waits for the network
                problem = error
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
