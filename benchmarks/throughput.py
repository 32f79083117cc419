"""Measure gunicorn's throughput, as a share of the bare app's: ``python -m benchmarks.throughput``.

Each app runs under one gthread worker; the bare one has no hook, the next two the least one and the
RSA check alone. A client in this process shares the machine, and keeps all connections busy.
"""

import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle, product
from pathlib import Path

from flask_ssr_session.testing import SessionSigner
from tests.servers.support import serve

from .frame import PACKAGE, in_turns, packages, parser, show

CONNECTIONS = 16
COLD_TOKENS = 4096  # more than are remembered, so that each is new in every turn
REQUEST = "GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\nCookie: sAccessToken={}\r\n\r\n"


def visit(port: int, seconds: float, requests: Iterator[bytes], body: bytes) -> tuple[float, float]:
    """Return requests per second, and the milliseconds in which 99 % of them are answered."""
    spent: list[float] = []
    end = time.perf_counter() + seconds

    def keep_busy(_number: int) -> None:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            while (started := time.perf_counter()) < end:
                connection.sendall(next(requests))
                received = b""
                while not received.endswith(b"\r\n\r\n" + body):
                    part = connection.recv(65536)
                    if not part:
                        raise ConnectionError(f"{received[:500]!r} is not the page")
                    received += part
                spent.append(time.perf_counter() - started)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        list(pool.map(keep_busy, range(CONNECTIONS)))
    return len(spent) / seconds, statistics.quantiles(spent, n=100)[-1] * 1000


def main() -> None:
    options = parser("throughput", __doc__, rounds=12, milliseconds=500)
    options.add_argument("--threads", type=int, nargs="+", default=[1, 4, 16])
    chosen = options.parse_args()
    signer, seconds = SessionSigner(), chosen.milliseconds / 1000
    tokens = [signer.sign(signer.claims("user-1", roles=["reader"])) for _ in range(COLD_TOKENS)]
    texts = [REQUEST.format(token).encode() for token in tokens]
    loads = {"": (cycle(texts[:1]), b"ok"), "seen before": (cycle(texts[:1]), b"user-1")}
    loads["never seen"] = (cycle(texts), b"user-1")
    ours = f"ours(api_domain='http://localhost', jwks={{'keys': [{signer.jwk()}]}})"
    others = {"bare": "bare()", "floor": "floor()", "RSA check": "rsa_check()"}
    ports: dict[tuple[int, str, str], int] = {}  # by threads, app and load
    with ExitStack() as stack:
        sites = [*dict.fromkeys(others, "").items(), *packages(chosen.revision).items()]
        for threads, (name, package) in product(chosen.threads, sites):
            app = "benchmarks.sites:" + others.get(name, ours)
            gthread = ("--worker-class=gthread", f"--threads={threads}")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            server = serve(folder, None, *gthread, app=app, **{PACKAGE: package})
            port = stack.enter_context(server).port
            shown = [""] if name in others else ["seen before", "never seen"]
            ports |= {(threads, name, load): port for load in shown}
        found = in_turns(
            ports, chosen.rounds, lambda case: visit(ports[case], seconds, *loads[case[2]])
        )
    medians = {case: [*map(statistics.median, zip(*found[case], strict=True))] for case in found}
    columns: dict[str, dict[str, str]] = {"requests/s": {}, "99 % within, ms": {}}
    for (threads, app, load), (rate, p99) in medians.items():
        name, bare = f"{threads:>2} threads, {app} {load}", medians[threads, "bare", ""]
        columns["requests/s"][name] = f"{rate:.0f} ({rate / bare[0]:.2f} of bare)"
        columns["99 % within, ms"][name] = f"{p99:.1f} ({p99 / bare[1]:.2f} of bare)"
    show(f"{CONNECTIONS} connections", columns)


if __name__ == "__main__":
    main()
