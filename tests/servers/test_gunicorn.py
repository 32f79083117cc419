"""Real servers with each kind of thread or greenlet: keys, sessions and a clean shutdown."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from flask_ssr_session.testing import SessionSigner

from ..key_servers import KeyServer, answer, hang, ok, speak_tls
from ..tables import rows
from .support import Server, serve

GTHREAD = ("--worker-class=gthread", "--threads=8")
# It replaces ``ssl`` and ``socket`` in a process that has long imported both.
GEVENT = ("--worker-class=gevent",)


@pytest.fixture
def key_server(signer: SessionSigner, certificate: tuple[Path, Path]) -> Iterator[KeyServer]:
    """Uses TLS, and is slow enough for many requests to arrive during a fetch."""
    at_once = answer(ok(json.dumps({"keys": [signer.jwk()]}).encode()))

    def behave(connection: socket) -> None:
        time.sleep(0.2)
        at_once(connection)

    server = KeyServer(speak_tls(certificate, behave))
    server.url = f"https://localhost:{server.port}/jwks.json"
    yield server
    server.close()


@pytest.fixture
def tokens(signer: SessionSigner) -> dict[str, str]:
    return {user: signer.sign(signer.claims(user)) for user in (f"user-{n}" for n in range(40))}


def ask_all(server: Server, path: str, tokens: dict[str, str], workers: int) -> set[str]:
    """Request *path* for all users at once until so many workers responded; return their ids."""
    seen: set[str] = set()
    with ThreadPoolExecutor(len(tokens)) as pool:
        for _ in range(50):  # the first worker may be up well before the second
            answers = pool.map(lambda token: server.ask(path, token), tokens.values())
            for user, (status, body) in zip(tokens, answers, strict=True):
                worker, _, shown = body.partition(" ")
                assert (status, shown) == (200, user)
                seen.add(worker)
            if len(seen) == workers:
                break
    assert len(seen) == workers
    return seen


WORKERS: dict[str, Any] = {
    "threads": GTHREAD,
    "threads, preloaded": (*GTHREAD, "--preload"),
    "greenlets": GEVENT,
    "greenlets, preloaded": (*GEVENT, "--preload"),
}


@rows("options", WORKERS)
def test_each_worker_fetches_once_serves_everybody_and_ends_when_told(
    tmp_path: Path, key_server: KeyServer, certificate: tuple[Path, Path], tokens: Any, options: Any
) -> None:
    trust = {"SSL_CERT_FILE": str(certificate[0])}
    with serve(tmp_path, key_server.url, "--workers=2", *options, **trust) as server:
        assert str(server.process.pid) not in ask_all(server, "/", tokens, workers=2)
        if options[0] == GTHREAD[0]:  # asgiref runs no two coroutines in one thread
            ask_all(server, "/async", tokens, workers=2)
            assert server.ask("/async")[0] == 401
        assert key_server.connections == 2
        assert server.ask("/")[0] == 401

        # The server stops while a fetch hangs in the background.
        key_server.behave = speak_tls(certificate, hang())
        token = next(iter(tokens.values()))
        assert server.ask("/advance/240")[0] == 200
        until = time.monotonic() + 10
        while key_server.connections == 2 and time.monotonic() < until:
            assert server.ask("/", token)[0] == 200
        assert key_server.connections == 3

    assert server.process.returncode == 0
    for sign_of_trouble in ("Traceback", "[ERROR]", "TIMEOUT", "SIGKILL"):
        assert sign_of_trouble not in server.log


def test_key_server_that_nobody_vouches_for_is_an_outage(
    tmp_path: Path, key_server: KeyServer, tokens: dict[str, str]
) -> None:
    """The twin of the rows above: only the trust in the certificate is missing."""
    with serve(tmp_path, key_server.url, *GEVENT, "--preload") as server:
        assert server.ask("/", next(iter(tokens.values())))[0] == 503

    assert "this process does not trust its certificate" in server.log
    assert key_server.connections == 1
