"""Profile a request line by line: ``python -m benchmarks.lines``.

It lists every line of this package that a request runs, with its microseconds, calls included.
Measuring takes time, so short lines look longer than they are: compare lines here, and measure
requests with ``benchmarks.hook``. Needs ``pip install -e '.[test]'``.
"""

from __future__ import annotations

import argparse
import gc
import json
import linecache
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from flask import Flask
from line_profiler import LineProfiler

import flask_ssr_session
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.key_set import MAX_CACHED_TOKENS

from . import sites
from .driving import Case, TimedRequest, always, environ, run_batch, versions
from .visitors import never_seen, sign

PACKAGE = Path(flask_ssr_session.__file__).parent
SIGNER = SessionSigner()


@dataclass(frozen=True)
class Line:
    """One line of one function.

    :ivar hits: how often a request runs it.
    :ivar us: microseconds per request.
    """

    function: str
    number: int
    source: str
    hits: float
    us: float


def our_app() -> Flask:
    """Return an app with a static key set."""
    return sites.ours(api_domain="https://api.example.com", jwks={"keys": [SIGNER.jwk()]})


def cases() -> Iterator[Case]:
    """Yield the three kinds of request of a typical site."""
    tokens = sign(SIGNER, 2 * MAX_CACHED_TOKENS)
    for name in ("warm", "cold", "anonymous"):
        app = our_app()
        requests = {
            "warm": always(tokens[0].request()),
            "cold": never_seen(app, tokens),
            "anonymous": always(TimedRequest(environ())),
        }
        yield Case(name, app, requests[name], name)


def functions_of(case: Case) -> list[FunctionType]:
    """Return the package's functions that a request runs, closures included."""
    ran: set[CodeType] = set()
    sys.setprofile(lambda frame, *_: ran.add(frame.f_code))
    run_batch(case, 1)
    sys.setprofile(None)
    ours = {code for code in ran if PACKAGE in Path(code.co_filename).parents}
    return [
        each
        for each in gc.get_objects()
        if isinstance(each, FunctionType) and each.__code__ in ours
    ]


def profile(case: Case, runs: int, count: int) -> list[Line]:
    """Return the lines that requests ran, in the order of their files.

    Each line has its shortest time of several runs, because other load only adds time.
    """
    run_batch(case, 10)
    functions = functions_of(case)
    shortest: dict[tuple[str, str, int], Line] = {}
    # A garbage collection would count for a random line; benchmarks.growth measures it.
    gc.disable()
    for _ in range(runs):
        for key, line in profiled(case, functions, count):
            if key not in shortest or line.us < shortest[key].us:
                shortest[key] = line
    gc.enable()
    return [shortest[key] for key in sorted(shortest)]


def profiled(
    case: Case, functions: list[FunctionType], count: int
) -> Iterator[tuple[tuple[str, str, int], Line]]:
    """Yield the lines of one run, by file, function and number."""
    profiler: Any = LineProfiler(*functions)
    profiler.enable()
    run_batch(case, count)
    profiler.disable()
    stats = profiler.get_stats()
    for (file, _, function), lines in stats.timings.items():
        for number, hits, spent in lines:
            source = linecache.getline(file, number).rstrip()
            us = spent * stats.unit * 1e6 / count
            name = f"{Path(file).stem}.{function}"
            yield (file, function, number), Line(name, number, source, hits / count, us)


def table(name: str, lines: list[Line]) -> Iterator[str]:
    """Yield the lines of each function, the longest function first."""
    spent: dict[str, float] = {}
    for line in lines:
        spent[line.function] = spent.get(line.function, 0.0) + line.us
    for function in sorted(spent, key=lambda each: -spent[each]):
        yield f"\n{name}: {function}, {spent[function]:.2f} µs a request"
        for line in lines:
            if line.function == function:
                yield f"{line.us:>8.2f} {line.hits:>5.1f} x {line.number:>4}  {line.source}"


def main() -> None:
    """Print one listing per case."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lines", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="default: 10")
    parser.add_argument("--requests", type=int, default=100, help="of a run, default: 100")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    report: dict[str, Any] = {"versions": versions("Flask", "Werkzeug", "cryptography")}
    for case in cases():
        lines = profile(case, options.runs, options.requests)
        report[case.name] = [asdict(line) for line in lines]
        for text in table(case.name, lines):
            print(text)  # noqa: T201
    if options.json:
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
