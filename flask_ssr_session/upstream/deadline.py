"""The time that fetching one document may take."""

from __future__ import annotations

from time import monotonic

from ..errors import FetchError

# For one document, however many addresses are tried.
FETCH_SECONDS = 3.0


class Deadline:
    """A moment on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left.

        :raises FetchError: no time is left.
        """
        left = self._end - monotonic()
        if left <= 0:
            raise FetchError("no complete response in time")
        return left
