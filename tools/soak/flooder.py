"""Flood a server with made-up key ids: ``python -m tools.soak.flooder PORT``.

A separate process, so that it does not slow down the measurement. It prints when it is ready,
starts at the first line of its input, stops at its end, and prints the count of each status. With
``--without-tokens`` the same requests have no token: the baseline.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import cycle

from flask_ssr_session.testing import SessionSigner
from tests.servers.support import ask

CONNECTIONS = 16


def made_up_tokens(count: int) -> list[str]:
    """Return tokens of unknown key ids, each young enough for its key to be new."""
    stranger = SessionSigner()
    claims = stranger.claims(issued_at=time.time() + 3600)
    return [
        stranger.sign(claims, stranger.header() | {"kid": f"d-made-up-{number}"})
        for number in range(count)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("--without-tokens", action="store_true")
    options = parser.parse_args()
    tokens: list[str | None] = [None] if options.without_tokens else [*made_up_tokens(256)]
    ended = threading.Event()

    def flood(_number: int) -> Counter[int]:
        statuses: Counter[int] = Counter()
        connection = HTTPConnection("127.0.0.1", options.port, timeout=20)
        for token in cycle(tokens):
            if ended.is_set():
                break
            statuses[ask(connection, "/", token)[0]] += 1
        connection.close()
        return statuses

    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        began = time.monotonic()
        counts = [pool.submit(flood, number) for number in range(CONNECTIONS)]
        sys.stdin.read()
        ended.set()
        statuses = sum((count.result() for count in counts), Counter[int]())
    print(json.dumps([time.monotonic() - began, statuses]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
