"""Flood a server with made-up key ids and measure the delay of its signed-in users.

``python -m tools.soak.floods`` takes four minutes: a gunicorn with one worker of 8 threads runs
once per mode of its key server, 30 s each, and once with the same flood without tokens as the
baseline, because every flood slows other requests down. It fails if a signed-in user gets anything
but the page, if more than one fetch starts per 10 s, or if a user waits 2.5 s: a fetch that hangs
takes 3 s, but requests wait for it in its first second only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from flask_ssr_session.testing import SessionSigner
from tests.key_servers import KeyServer, answer, hang, ok
from tests.servers.support import ROOT, Server, ask, serve

VISITORS = 2
SECONDS_BETWEEN_VISITS = 0.01

_FAILURE = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


def _fail(server: KeyServer) -> None:
    server.behave = answer(_FAILURE)


def _hang(server: KeyServer) -> None:
    server.behave = hang()


# What the key server does after the first fetch.
MODES: dict[str, Callable[[KeyServer], None]] = {
    "up": lambda _server: None,
    "failing": _fail,
    "hanging": _hang,
    "closed": KeyServer.refuse,
}
YARDSTICK = "up, no tokens"


@dataclass(frozen=True)
class Figures:
    """The result of one run.

    :ivar fetches: the fetches that the flooded server started in *flood_seconds*.
    :ivar quiet: the seconds that each request of a signed-in user took before the flood.
    :ivar flooded: the same during the flood.
    :ivar wrong: responses to signed-in users other than their page.
    :ivar statuses: the count of each status of the flood.
    """

    flood_seconds: float
    fetches: int
    quiet: list[float]
    flooded: list[float]
    wrong: list[tuple[int, str]]
    statuses: dict[str, int]

    @property
    def are_good(self) -> bool:
        """Whether no response was wrong or late, and at most one fetch started per 10 s."""
        return (
            not self.wrong
            and set(self.statuses) <= {"401", "503"}
            and self.fetches <= 1 + self.flood_seconds // 10
            and max(self.flooded) < 2.5
        )

    @property
    def flood_per_second(self) -> float:
        return sum(self.statuses.values()) / self.flood_seconds


class Visitors:
    """Signed-in users who request a page repeatedly and measure the time."""

    def __init__(self, server: Server, signer: SessionSigner) -> None:
        self._server = server
        # Only the first is short enough to be cached; the other is verified each time.
        paddings = ("", "x" * 4096)
        self._users = {
            f"user-{number}": signer.sign(signer.claims(f"user-{number}", padding=padding))
            for number, padding in enumerate(paddings[:VISITORS])
        }
        self.wrong: list[tuple[int, str]] = []

    def visit(self, seconds: float) -> list[float]:
        """Return the duration of each request in seconds."""
        until = time.monotonic() + seconds

        def visit_as(user: str) -> list[float]:
            took = []
            with closing(self._server.connect()) as connection:
                while (began := time.monotonic()) < until:
                    status, body = ask(connection, "/", self._users[user])
                    took.append(time.monotonic() - began)
                    if (status, body.partition(" ")[2]) != (200, user):
                        self.wrong.append((status, body))
                    time.sleep(SECONDS_BETWEEN_VISITS)
            return took

        with ThreadPoolExecutor(VISITORS) as pool:
            return [second for took in pool.map(visit_as, self._users) for second in took]


def measure(mode: str, seconds: float) -> Figures:
    """Flood a server whose key server is in *mode*, or :data:`YARDSTICK`, for this long."""
    signer = SessionSigner()
    key_server = KeyServer(answer(ok(json.dumps({"keys": [signer.jwk()]}).encode())))
    try:
        with (
            TemporaryDirectory() as folder,
            serve(Path(folder), key_server.url, "--worker-class=gthread", "--threads=8") as server,
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "tools.soak.flooder", str(server.port)),
                    *(["--without-tokens"] if mode == YARDSTICK else []),
                ],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as flooder,
        ):
            assert flooder.stdin is not None
            assert flooder.stdout is not None
            flooder.stdout.readline()
            visitors = Visitors(server, signer)
            quiet = visitors.visit(min(seconds / 4, 5))
            fetches = _fetches(server)
            if mode != YARDSTICK:
                MODES[mode](key_server)
            # The cooldown of the first fetch is over: the flood may start one immediately.
            server.ask("/advance/10")
            flooder.stdin.write("\n")
            flooder.stdin.flush()
            flooded = visitors.visit(seconds)
            flood_seconds, statuses = json.loads(flooder.communicate()[0])
            return Figures(
                flood_seconds,
                _fetches(server) - fetches,
                quiet,
                flooded,
                visitors.wrong,
                statuses,
            )
    finally:
        key_server.close()


def _fetches(server: Server) -> int:
    return int(server.ask("/connects")[1])


def in_milliseconds(seconds: list[float]) -> str:
    in_order = sorted(seconds)
    percentile = in_order[int(len(in_order) * 0.99)]
    return f"{median(in_order) * 1000:6.1f} {percentile * 1000:6.1f} {in_order[-1] * 1000:7.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="of the flood, per mode")
    options = parser.parse_args()
    columns = f"{'p50':>6} {'p99':>6} {'max':>7}"
    print("Signed-in users, in ms, before and during the flood:")
    print(f"{'mode':13} {'flood/s':>8} {'fetches':>7}   {columns}   {columns}   wrong")
    is_good = True
    for mode in (YARDSTICK, *MODES):
        figures = measure(mode, options.seconds)
        is_good = is_good and figures.are_good
        print(
            f"{mode:13} {figures.flood_per_second:8.0f} {figures.fetches:7}   "
            f"{in_milliseconds(figures.quiet)}   {in_milliseconds(figures.flooded)}   "
            f"{len(figures.wrong)}",
            flush=True,
        )
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
