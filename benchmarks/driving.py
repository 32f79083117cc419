"""Time Flask apps against each other, one after the other in one process, as a server calls them.

A round asks every app a few times, in an order of its own, so that what else the machine does is
shared by all. What is reported is the time over that of a bare app in the same round. No test
client and no socket is between: what they cost would hide what is measured. Every answer is looked
at, after the clock was stopped.
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

# What Chromium sends when it asks for a page.
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
# What it sends when a script on the page calls fetch().
FETCH_HEADERS = PAGE_HEADERS | {
    "Accept": "*/*",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
}


@dataclass(frozen=True)
class Asked:
    """One request, and what its answer has to be.

    :ivar body: what the answer's body contains.
    """

    environ: dict[str, Any]
    status: str = "200"
    body: bytes = b"ok"


@dataclass(frozen=True)
class Case:
    """One app and what it is asked.

    :ivar requests: endless; taken before the clock starts.
    :ivar bare: the name of the case whose time is taken off.
    """

    name: str
    app: Flask
    requests: Iterator[Asked]
    bare: str


@dataclass(frozen=True)
class Spread:
    """The middle half of many measurements."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the quartiles of two values or more."""
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))


@dataclass
class Timings:
    """Microseconds per request, by case, one value a round."""

    cases: Sequence[Case]
    by_name: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def total(self, name: str) -> Spread:
        """Return what a whole request took."""
        return Spread.of(self.by_name[name])

    def overhead(self, case: Case) -> Spread:
        """Return what a request took more than the bare app's in the same round."""
        pairs = zip(self.by_name[case.name], self.by_name[case.bare], strict=True)
        return Spread.of([own - bare for own, bare in pairs])


def environ(
    path: str = "/", cookies: str = "", headers: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return what a WSGI server makes of a GET request."""
    sent = dict(PAGE_HEADERS if headers is None else headers)
    if cookies:
        sent["Cookie"] = cookies
    made = EnvironBuilder(path, headers=list(sent.items())).get_environ()
    # One for all: no app here reads it.
    return made | {"wsgi.input": io.BytesIO(), "SERVER_SOFTWARE": "benchmark"}


def always(asked: Asked) -> Iterator[Asked]:
    """Yield the same request for ever."""
    return cycle((asked,))


def ask(app: Flask, environs: Iterable[dict[str, Any]]) -> tuple[float, list[tuple[str, bytes]]]:
    """Return the CPU seconds that the requests took, and status and body of each answer."""
    statuses: list[str] = []
    bodies: list[bytes] = []

    def start_response(status: str, _headers: Any, _error: Any = None) -> Any:
        statuses.append(status)

    started = time.thread_time()
    for each in environs:
        answer: Any = app(each, start_response)
        bodies.append(b"".join(answer))
        answer.close()
    elapsed = time.thread_time() - started
    return elapsed, [(status[:3], body) for status, body in zip(statuses, bodies, strict=True)]


def run_batch(case: Case, size: int) -> float:
    """Return the microseconds per request of one batch.

    :raises RuntimeError: an answer is not what it has to be.
    """
    batch = [next(case.requests) for _ in range(size)]
    elapsed, answers = ask(case.app, [asked.environ.copy() for asked in batch])
    for asked, (status, body) in zip(batch, answers, strict=True):
        if status != asked.status or asked.body not in body:
            raise RuntimeError(f"{case.name}: {status} {body[:200]!r} is not what was expected")
    return elapsed / size * 1e6


def measure(cases: Sequence[Case], rounds: int, batch: int) -> Timings:
    """Time *cases* in turns; the garbage collector runs as it does in a server.

    :param rounds: two or more, beside one that warms everything up.
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
    """Return what ran, and in which versions; None where it is not installed."""
    found: dict[str, str | None] = {
        **dict.fromkeys(distributions),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
    }
    for name in distributions:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
