"""Measure several gunicorn processes that share one core: ``python -m benchmarks.processes``.

They serve the example app to a visitor whom SuperTokens' SDK signed in. ``/account`` is verified in
the process; ``/checked`` asks the core on every request whether the session was revoked. Needs
``wrk``, which shares the machine with the processes and the core.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.servers.support import serve, serve_core
from tests.servers.test_example_app import Visitor

from .throughput import CONNECTIONS, figures_of, running_wrk

PATHS = ("/account", "/checked")


def rate(core_uri: str, workers: int, path: str, seconds: int, name: str) -> float:
    """Return the requests per second of new processes.

    :param name: the name of a new visitor.
    """
    options = ("--worker-class=gthread", f"--workers={workers}", "--threads=4")
    environment = {"SUPERTOKENS_CONNECTION_URI": core_uri, "NO_PROXY": "127.0.0.1"}
    app = "example_app.app:create_app()"
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with serve(folder, None, *options, app=app, **environment) as server:
            cookies = [f"sAccessToken={Visitor(server, name).cookies['sAccessToken']}"]
            visit = (server, folder, "visitor", cookies, CONNECTIONS)
            for each in (1, seconds):  # the first run warms the processes up
                with running_wrk(*visit, each, path) as wrk:
                    figures = figures_of(wrk.communicate()[0])
    return figures.rate


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.processes", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--seconds", type=int, default=4, help="seconds per run, default: 4")
    parser.add_argument("--rounds", type=int, default=3, help="default: 3")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    rates: dict[str, dict[int, list[float]]] = {path: defaultdict(list) for path in PATHS}
    with TemporaryDirectory() as temporary, serve_core(Path(temporary, "core.db")) as core_uri:
        for number in range(options.rounds):
            for workers in options.workers:
                for path in PATHS:
                    name = f"visitor-{number}-{workers}{path.replace('/', '-')}"
                    found = rate(core_uri, workers, path, options.seconds, name)
                    rates[path][workers].append(found)
    print(f"{'requests/s':<12}" + "".join(f"{each:>8} proc." for each in options.workers))  # noqa: T201
    for path, found_by in rates.items():
        medians = [statistics.median(found_by[workers]) for workers in options.workers]
        print(f"{path:<12}" + "".join(f"{each:>14.0f}" for each in medians))  # noqa: T201
    if options.json:
        options.json.write_text(json.dumps(rates, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
