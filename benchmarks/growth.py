"""Measure how the cost of the hook grows: ``python -m benchmarks.growth``.

It grows with the number of visitors, keys, apps and threads, and with the size of a token. Also
measured: the memory of a remembered token, and the pauses of the garbage collector with a full
cache. ``--sessions 1000000`` takes half an hour, mostly for signing, and 2 GB.
"""

from __future__ import annotations

import argparse
import gc
import json
import threading
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from flask import Flask

from flask_ssr_session.app_state import EXTENSION_NAME, AppState
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.key_set import MAX_CACHED_CHARS, MAX_CACHED_TOKENS

from . import sites
from .driving import Case, TimedRequest, always, call_app, measure, versions
from .visitors import Token, never_seen, sign

SIGNER = SessionSigner()
Row = dict[str, Any]


def our_app(key_count: int = 1) -> Flask:
    """Return an app with *key_count* keys, the signer's among them."""
    jwk = SIGNER.jwk()
    more = [jwk | {"kid": f"d-{n}"} for n in range(key_count - 1)]
    return sites.ours(api_domain="https://api.example.com", jwks={"keys": [*more, jwk]})


def visit(app: Flask, tokens: Sequence[Token]) -> float:
    """Return the microseconds per request, with one request for each of *tokens*."""
    spent = 0.0
    # In batches, so that not all of a million requests are in memory.
    for start in range(0, len(tokens), 1000):
        part = tokens[start : start + 1000]
        elapsed, responses = call_app(app, [token.request().environ for token in part])
        spent += elapsed
        for token, (status, body) in zip(part, responses, strict=True):
            if (status, body) != ("200", token.user_id.encode()):
                raise RuntimeError(f"{status} {body!r} is not the response to {token.user_id}")
    return spent / len(tokens) * 1e6


def by_sessions(most: int) -> Iterator[Row]:
    """Measure 100, 1,000 and so on visitors, each with three requests in turn."""
    tokens = sign(SIGNER, most)
    count = min(100, most)
    while count <= most:
        app = our_app()
        some = tokens[:count]
        first, again = visit(app, some), min(visit(app, some) for _ in range(2))
        yield {"sessions": count, "first_us": first, "again_us": again}
        count *= 10


def curve(name: str, apps: dict[int, tuple[Flask, Flask, list[Token]]], rounds: int) -> list[Row]:
    """Return a request's time over a bare app's, with a new and a remembered token, by app."""
    cases = []
    for value, (cold, warm, tokens) in apps.items():
        bare = f"{value} bare"
        cases.append(
            Case(bare, sites.bare(), always(TimedRequest(tokens[0].request().environ)), bare)
        )
        cases.append(Case(f"{value} cold", cold, never_seen(cold, tokens), bare))
        cases.append(Case(f"{value} warm", warm, always(tokens[0].request()), bare))
    timings = measure(cases, rounds, 10)
    found = {case.name: timings.overhead(case).median for case in cases}
    return [
        {name: value, "cold_us": found[f"{value} cold"], "warm_us": found[f"{value} warm"]}
        for value in apps
    ]


def by_keys(counts: Sequence[int], tokens: list[Token], rounds: int) -> list[Row]:
    """Return the curve over the number of keys in the set."""
    return curve("keys", {n: (our_app(n), our_app(n), tokens) for n in counts}, rounds)


def by_size(sizes: Sequence[int], tokens: list[Token], rounds: int) -> list[Row]:
    """Return the curve over the characters of a token; above 4,096 it is not remembered."""
    longer = {size: sign(SIGNER, len(tokens), size - len(tokens[0].raw)) for size in sizes}
    apps = {len(some[0].raw): (our_app(), our_app(), some) for some in longer.values()}
    return curve("token_chars", apps, rounds)


def by_apps(counts: Sequence[int], tokens: Sequence[Token]) -> Iterator[Row]:
    """Measure each number of apps in *counts*, called in turn with a remembered token."""
    for count in counts:
        apps = [our_app() for _ in range(count)]
        for app in apps:
            visit(app, tokens[:1])
        rounds = max(5, 500 // count)
        spent = min(sum(visit(app, tokens[:1]) for app in apps) / count for _ in range(rounds))
        yield {"apps": count, "whole_request_us": spent}


def by_threads(counts: Sequence[int], tokens: Sequence[Token], requests: int) -> Iterator[Row]:
    """Measure each number of threads in *counts* on one app, in requests per second of them all."""
    for count in counts:
        row: Row = {"threads": count}
        for name, app, timed in (
            ("bare", sites.bare(), always(TimedRequest(tokens[0].request().environ))),
            ("warm", our_app(), always(tokens[0].request())),
            ("cold", our_app(), cycle([token.request() for token in tokens])),
        ):
            shares = [
                [each.environ.copy() for each in islice(timed, requests // count)]
                for _ in range(count)
            ]
            row[f"{name}_per_second"] = len(shares) * len(shares[0]) / at_once(app, shares)
        yield row


def at_once(app: Flask, shares: Sequence[list[dict[str, Any]]]) -> float:
    """Return the seconds until the threads have made all their requests.

    :raises RuntimeError: a response was not 200.
    """
    barrier = threading.Barrier(len(shares) + 1)
    statuses: list[str] = []

    def work(share: list[dict[str, Any]]) -> None:
        barrier.wait()
        statuses.extend(status for status, _ in call_app(app, share)[1])
        barrier.wait()

    threads = [threading.Thread(target=work, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    barrier.wait()
    started = time.perf_counter()
    barrier.wait()
    elapsed = time.perf_counter() - started
    for thread in threads:
        thread.join()
    if len(statuses) != sum(map(len, shares)) or set(statuses) != {"200"}:
        raise RuntimeError(f"not all responses were 200: {set(statuses)}")
    return elapsed


def memory(sizes: Sequence[int], count: int) -> Iterator[Row]:
    """Return the memory of a remembered token: its text, its claims and its cache entry."""
    for size in sizes:
        app = our_app()
        tokens = sign(SIGNER, count + 1, size - 900)
        visit(app, tokens[:1])
        timed = tokens[1:]
        tracemalloc.start(1)
        visit(app, timed)
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        chars = len(tokens[1].raw)
        yield {
            "token_chars": chars,
            "bytes_each": kept / count,
            "beside_text": kept / count - chars,
        }


@contextmanager
def gc_pauses() -> Iterator[dict[int, list[float]]]:
    """Collect the milliseconds of each garbage collection inside the block, by generation."""
    pauses: dict[int, list[float]] = {0: [], 1: [], 2: []}
    started = 0.0

    def look(phase: str, facts: dict[str, int]) -> None:
        nonlocal started
        if phase == "start":
            started = time.perf_counter()
        else:
            pauses[facts["generation"]].append((time.perf_counter() - started) * 1000)

    gc.callbacks.append(look)
    yield pauses
    gc.callbacks.remove(look)


def by_pauses(tokens: Sequence[Token], passes: int) -> Iterator[Row]:
    """Compare an app with a full token cache with a bare one."""
    own = our_app()
    state: AppState = own.extensions[EXTENSION_NAME]
    warm = tokens[:MAX_CACHED_TOKENS]
    page = [TimedRequest(token.request().environ) for token in warm]
    for name, app in (("bare", sites.bare()), ("remembering", own)):
        if app is own:
            visit(own, warm)
        gc.collect()
        with gc_pauses() as pauses:
            for _ in range(passes):
                call_app(app, [timed.environ.copy() for timed in page])
            gc.collect()
        row: Row = {"gc": name, "requests": passes * len(page)}
        for generation, each in pauses.items():
            row[f"gen{generation}_runs"] = len(each)
            row[f"gen{generation}_most_ms"] = max(each, default=0.0)
        yield row
    with own.app_context():
        if state.sdk_binding().keys.token_cache.get(warm[-1].raw) is None:
            raise RuntimeError("the tokens were not remembered")


def show(title: str, rows: Sequence[Row]) -> list[Row]:
    """Print a small table and return its rows."""
    print(f"\n{title}")  # noqa: T201
    widths = {name: max(len(name), 12) for name in rows[0]}
    print("".join(f"{name:>{width + 2}}" for name, width in widths.items()))  # noqa: T201
    for row in rows:
        cells = (f"{v:,.1f}" if isinstance(v, float) else f"{v}" for v in row.values())
        line = (f"{cell:>{width + 2}}" for cell, width in zip(cells, widths.values(), strict=True))
        print("".join(line), flush=True)  # noqa: T201
    return list(rows)


def main() -> None:
    """Print one table per question."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000, help="at most, default: 10000")
    parser.add_argument("--rounds", type=int, default=100, help="of the curves, default: 100")
    parser.add_argument("--requests", type=int, default=4_000, help="of the threads, default: 4000")
    parser.add_argument("--quick", action="store_true", help="few points of each curve")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    few = options.quick
    tokens = sign(SIGNER, MAX_CACHED_TOKENS + 100)
    text_sizes = (1024, 4000) if few else (1024, 2048, 4000)
    found = {
        "sessions": show(
            f"visitors in turn; {MAX_CACHED_TOKENS} are remembered",
            list(by_sessions(options.sessions)),
        ),
        "keys": show(
            "keys in the set, over bare",
            by_keys((1, 2000) if few else (1, 20, 200, 2000), tokens, options.rounds),
        ),
        "size": show(
            f"characters of a token, over bare; up to {MAX_CACHED_CHARS} it is remembered",
            by_size((1024, 8000) if few else (1024, 2048, 4000, 8000), tokens, options.rounds),
        ),
        "apps": show("apps in one process", list(by_apps((1, 10) if few else (1, 10, 50), tokens))),
        "threads": show(
            "threads at once",
            list(by_threads((1, 4) if few else (1, 2, 4, 8, 16), tokens, options.requests)),
        ),
        "memory": show("memory of a remembered token", list(memory(text_sizes, 500))),
        "pauses": show("garbage collection", list(by_pauses(tokens, 2 if few else 20))),
    }
    if options.json:
        document = {"versions": versions("Flask", "Werkzeug", "cryptography"), **found}
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
