"""Compare the CPU time of Flask apps in one process, called as a WSGI server calls them.

A round calls every app a few times, in random order, so that other load on the machine affects all
of them. The result is the time over that of a bare app in the same round. There is no test client
and no socket, which would cost more than what is measured. Every response is checked after the
clock is stopped.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import platform
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from itertools import cycle
from typing import Any

from flask import Flask
from werkzeug.test import EnvironBuilder

# Chromium's headers when it navigates.
PAGE_HEADERS = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-GB,en;q=0.9",
    "Connection": "keep-alive",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
    "Upgrade-Insecure-Requests": "1",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0 Safari/537.36",
}
# Chromium's headers when a script on the page calls fetch().
FETCH_HEADERS = PAGE_HEADERS | {
    "Accept": "*/*",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
}


@dataclass(frozen=True)
class TimedRequest:
    """A request, and the response that is expected.

    :ivar body: text that the response's body contains.
    """

    environ: dict[str, Any]
    status: str = "200"
    body: bytes = b"ok"


@dataclass(frozen=True)
class Case:
    """An app and its requests.

    :ivar requests: endless; taken before the clock starts.
    :ivar bare: the name of the case whose time is subtracted.
    """

    name: str
    app: Flask
    requests: Iterator[TimedRequest]
    bare: str


@dataclass(frozen=True)
class Spread:
    """The quartiles of many measurements."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the quartiles of two values or more."""
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))


@dataclass
class Timings:
    """Microseconds per request by case, one value per round."""

    cases: Sequence[Case]
    by_name: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def total(self, name: str) -> Spread:
        """Return the time of a whole request."""
        return Spread.of(self.by_name[name])

    def overhead(self, case: Case) -> Spread:
        """Return the time of a request over the bare app's in the same round."""
        pairs = zip(self.by_name[case.name], self.by_name[case.bare], strict=True)
        return Spread.of([own - bare for own, bare in pairs])


def environ(
    path: str = "/", cookies: str = "", headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return the WSGI environ of a GET request."""
    sent = dict(PAGE_HEADERS if headers is None else headers)
    if cookies:
        sent["Cookie"] = cookies
    made = EnvironBuilder(path, headers=list(sent.items())).get_environ()
    # All requests share it: no app here reads the body.
    return made | {"wsgi.input": io.BytesIO(), "SERVER_SOFTWARE": "benchmark"}


def always(request: TimedRequest) -> Iterator[TimedRequest]:
    """Yield the same request endlessly."""
    return cycle((request,))


def call_app(
    app: Flask, environs: Iterable[dict[str, Any]]
) -> tuple[float, list[tuple[str, bytes]]]:
    """Return the CPU seconds of the requests, and status and body of each response."""
    statuses: list[str] = []
    bodies: list[bytes] = []

    def start_response(status: str, _headers: Any, _error: Any = None) -> Any:
        statuses.append(status)

    started = time.thread_time()
    for each in environs:
        chunks: Any = app(each, start_response)
        bodies.append(b"".join(chunks))
        chunks.close()
    elapsed = time.thread_time() - started
    return elapsed, [(status[:3], body) for status, body in zip(statuses, bodies, strict=True)]


def run_batch(case: Case, size: int) -> float:
    """Return the microseconds per request of one batch.

    :raises RuntimeError: a response is not the expected one.
    """
    batch = [next(case.requests) for _ in range(size)]
    elapsed, responses = call_app(case.app, [request.environ.copy() for request in batch])
    for request, (status, body) in zip(batch, responses, strict=True):
        if status != request.status or request.body not in body:
            raise RuntimeError(f"{case.name}: {status} {body[:200]!r} is not what was expected")
    return elapsed / size * 1e6


def measure(cases: Sequence[Case], rounds: int, batch: int) -> Timings:
    """Time *cases* in turns; the garbage collector runs as it does in a server.

    :param rounds: two or more, plus one for warming up.
    """
    timings = Timings(cases)
    for case in cases:
        run_batch(case, max(batch, 3))
    gc.collect()
    order = list(cases)
    for _ in range(rounds):
        random.shuffle(order)
        for case in order:
            timings.by_name[case.name].append(run_batch(case, batch))
    return timings


def versions(*distributions: str) -> dict[str, str | None]:
    """Return the versions of what ran; None for a package that is not installed."""
    found: dict[str, str | None] = {
        **dict.fromkeys(distributions),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
    }
    for name in distributions:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
