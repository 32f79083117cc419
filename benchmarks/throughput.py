"""Measure gunicorn's throughput with the hook, as a share of the throughput without it.

``python -m benchmarks.throughput`` needs ``wrk``, which shares the machine with one gthread worker.
A round runs every case once, so that other load on the machine affects all cases; the result is the
median over the rounds. In the two rows with a flood, a second wrk sends requests to the same server
as fast as it can: without a token, for comparison, and with unknown key ids while the key server
hangs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from flask_ssr_session.testing import SessionSigner
from tests.key_servers import KeyServer, answer, hang, ok
from tests.servers.support import Server, cookie, serve

from .visitors import sign

CONNECTIONS = 16
# More tokens than are remembered, so that each is new in every turn.
COLD_TOKENS = 4096

# A Lua script for wrk: every request takes the next line of the file as its Cookie header.
SCRIPT = """
local cookies, next = {}, 0
for line in io.lines(os.getenv("COOKIES")) do cookies[#cookies + 1] = line end
request = function()
  next = next % #cookies + 1
  return wrk.format("GET", nil, { Cookie = cookies[next], Accept = "text/html" })
end
"""


@dataclass(frozen=True)
class Case:
    """One app under one load.

    :ivar cookies: the Cookie headers of visitors, in turns.
    :ivar flood: the Cookie headers of a simultaneous flood, or None.
    """

    name: str
    app: str
    cookies: list[str]
    flood: list[str] | None = None


@dataclass(frozen=True)
class Figures:
    """The result of wrk: requests per second, and milliseconds."""

    rate: float
    p50: float
    p99: float


def cases(signer: SessionSigner) -> list[Case]:
    """Return the cases; the others are compared with the first one."""
    tokens = [cookie(token.raw)["Cookie"] for token in sign(signer, COLD_TOKENS)]
    unknown = [
        cookie(SessionSigner(f"d-unknown-{number}").sign(signer.claims()))["Cookie"]
        for number in range(COLD_TOKENS)
    ]
    warm = tokens[:1]
    return [
        Case("bare", "bare", warm),
        Case("ours, anonymous", "ours", [""]),
        Case("ours, warm", "ours", warm),
        Case("ours, cold", "ours", tokens),
        Case("ours, warm, flood of strangers", "ours", warm, [""]),
        Case("ours, warm, flood of key ids", "ours", warm, unknown),
    ]


@contextmanager
def running_wrk(
    server: Server,
    folder: Path,
    name: str,
    cookies: list[str],
    connections: int,
    seconds: float,
    path: str = "/",
) -> Iterator[subprocess.Popen[str]]:
    """Run wrk until the block ends or the time is over.

    :param name: the name of its file of cookies in *folder*.
    """
    script, lines = folder / "script.lua", folder / f"{name}.txt"
    script.write_text(SCRIPT)
    lines.write_text("".join(f"{each}\n" for each in cookies))
    with subprocess.Popen(  # noqa: S603 - no argument comes from outside
        [
            *("wrk", "--latency", "--threads=1", f"--connections={connections}"),
            *(f"--duration={seconds}s", "--timeout=10s", f"--script={script}"),
            f"http://127.0.0.1:{server.port}{path}",
        ],
        env=os.environ | {"COOKIES": str(lines)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def measure(case: Case, signer: SessionSigner, threads: int, seconds: int) -> Figures:
    """Serve one case on a new server, and return the visitors' result.

    :raises RuntimeError: a visitor got something else than the page.
    """
    keys = KeyServer(answer(ok(json.dumps({"keys": [signer.jwk()]}).encode())))
    gthread = ("--worker-class=gthread", f"--threads={threads}")
    try:
        with (
            TemporaryDirectory() as temporary,
            serve(
                Path(temporary), keys.url, *gthread, app=f"benchmarks.served:{case.app}"
            ) as server,
        ):
            folder = Path(temporary)
            with running_wrk(server, folder, "warm-up", case.cookies, CONNECTIONS, 1) as wrk:
                wrk.communicate()
            visitors = (server, folder, "visitors", case.cookies, CONNECTIONS, seconds)
            if case.flood is None:
                with running_wrk(*visitors) as wrk:
                    return figures_of(wrk.communicate()[0])
            keys.behave = hang()
            with (
                running_wrk(server, folder, "flood", case.flood, CONNECTIONS, seconds + 5),
                running_wrk(*visitors) as wrk,
            ):
                return figures_of(wrk.communicate()[0])
    finally:
        keys.close()


def figures_of(text: str) -> Figures:
    """Parse the output of wrk.

    :raises RuntimeError: it reports errors.
    """
    if re.search(r"Non-2xx|Socket errors", text):
        raise RuntimeError(text)
    milliseconds = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    found = re.findall(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)$", text, re.MULTILINE)
    latency = {name: float(value) * milliseconds[unit] for name, value, unit in found}
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if rate is None:
        raise RuntimeError(text)
    return Figures(float(rate[1]), latency["50"], latency["99"])


def median(rounds: list[Figures]) -> Figures:
    """Return the median of each figure."""
    columns = zip(*(asdict(figures).values() for figures in rounds), strict=True)
    return Figures(*(statistics.median(column) for column in columns))


def main() -> int:
    """Print one table, and write one JSON file if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 4, 16])
    parser.add_argument("--seconds", type=int, default=5, help="of each run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is not installed.", file=sys.stderr)  # noqa: T201
        return 2
    signer = SessionSigner()
    compared = cases(signer)
    report: dict[str, dict[str, dict[str, float]]] = {}
    for threads in options.threads:
        seen: dict[str, list[Figures]] = defaultdict(list)
        for _ in range(options.rounds):
            for case in compared:
                seen[case.name].append(measure(case, signer, threads, options.seconds))
        figures = {name: median(rounds) for name, rounds in seen.items()}
        report[str(threads)] = {name: asdict(each) for name, each in figures.items()}
        yardstick = figures[compared[0].name]
        print(f"\n{threads} threads{'requests/s':>34} {'of bare':>8} {'p50':>9} {'p99':>9}")  # noqa: T201
        for name, each in figures.items():
            share = each.rate / yardstick.rate
            print(  # noqa: T201
                f"{name:32} {each.rate:10.0f} {share:8.2f} {each.p50:6.1f} ms {each.p99:6.1f} ms",
                flush=True,
            )
    if options.json is not None:
        options.json.write_text(json.dumps(report, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
