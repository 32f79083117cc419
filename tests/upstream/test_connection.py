"""Names, addresses and TLS: each step gets only the time that is left."""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from flask_ssr_session.errors import CertificateError
from flask_ssr_session.upstream import connection, deadline
from flask_ssr_session.upstream.connection import DeadlineSocket

from ..clocks import SteppedClock
from ..key_servers import Behaviour, KeyServer, answer, dribble, hang, ok, speak_tls
from ..tables import rows
from .conftest import BODY, Serve, failure, fetch, recorded

Files = tuple[Path, Path]
Patch = pytest.MonkeyPatch
RESOLVER = "ssr-session-resolve"
LATE = "no complete response in time"
UNTRUSTED = "this process does not trust its certificate: "
# Since Python 3.13, the codec of host names raises a more exact error.
HOST_ERROR = "UnicodeEncodeError" if sys.version_info >= (3, 13) else "UnicodeError"
NO_HOST_NAME = f"the connection failed ({HOST_ERROR})"

URLS: dict[str, Any] = {
    "nothing": ("", "the address is not http or https"),
    "no scheme": ("/jwks.json", "the address is not http or https"),
    "another scheme": ("ftp://127.0.0.1/", "the address is not http or https"),
    "a file": ("file:///etc/passwd", "the address is not http or https"),
    "no host": ("http:///jwks.json", "the address is not http or https"),
    "half an IPv6 address": ("http://[::1/", "the connection failed (ValueError)"),
    "a port beyond 65535": ("http://127.0.0.1:99999/", "the connection failed (ValueError)"),
    "a port that is no number": ("http://127.0.0.1:p/", "the connection failed (ValueError)"),
    "a long label": (f"http://{'a' * 70}.example/", NO_HOST_NAME),
    "an empty label": ("http://a..example/", NO_HOST_NAME),
    "a surrogate": ("http://\ud800.example/", NO_HOST_NAME),
}


@rows("url, problem", URLS)
def test_bad_address_is_a_failure(url: str, problem: str) -> None:
    assert failure(url) == problem


def test_closed_port_is_a_failure_until_it_is_open(serve: Serve) -> None:
    server = serve(answer(ok(BODY)))
    server.refuse()
    assert failure(server.url) == "the connection failed (ConnectionRefusedError)"
    server.accept_again()
    assert fetch(server.url)[0] == BODY


def test_sending_has_the_time_left(clock: SteppedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deadline, "monotonic", clock.monotonic)
    left = deadline.Deadline(3)
    clock.advance(1)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        DeadlineSocket(ours, left, 0).sendall(b"GET")
        assert (ours.gettimeout(), theirs.recv(9)) == (2, b"GET")


# Names


class Network:
    """A resolver that knows what ``keys.example`` and numeric addresses resolve to.

    :ivar found: the addresses of the name, or the error.
    :ivar threads: the threads that looked a name up.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: list[tuple[str, int]] | OSError = []
        self.threads: list[threading.Thread] = []
        self.gate = threading.Event()
        self.gate.set()
        monkeypatch.setattr(socket, "getaddrinfo", self._look_up)

    def _look_up(self, host: str, port: int, *, type: int, flags: int = 0) -> list[Any]:  # noqa: A002
        assert type == socket.SOCK_STREAM
        if flags == socket.AI_NUMERICHOST:
            if host == "keys.example":
                raise socket.gaierror(socket.EAI_NONAME, "not numeric")
            assert (host, port) == ("fe80::abcd", 80)
        self.threads += [threading.current_thread()] if host == "keys.example" else []
        assert self.gate.wait(10)
        if isinstance(self.found, OSError):
            raise self.found
        return [(socket.AF_INET, type, 0, "", address) for address in self.found]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    return Network(monkeypatch)


def address(server: KeyServer) -> tuple[str, int]:
    return ("127.0.0.1", server.port)


def test_name_is_resolved_in_a_thread(serve: Serve, network: Network) -> None:
    network.found = [address(serve(answer(ok(BODY))))]

    assert fetch("http://keys.example/")[0] == BODY
    # A process may end while the resolver hangs.
    assert [(thread.name, thread.daemon) for thread in network.threads] == [(RESOLVER, True)]


def test_name_is_resolved_where_no_thread_can_start(
    serve: Serve, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    network.found = [address(serve(answer(ok(BODY))))]
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == RESOLVER:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert fetch("http://keys.example/")[0] == BODY
    assert network.threads == [threading.current_thread()]


def test_numeric_address_needs_no_thread_and_no_port(serve: Serve, network: Network) -> None:
    requests: list[bytes] = []
    network.found = [address(serve(recorded(requests)))]

    assert fetch("http://[fe80::abcd]/")[0] == BODY
    assert b"Host: [fe80::abcd]\r\n" in requests[0]
    assert network.threads == []


UNKNOWN: dict[str, Any] = {
    "the name is unknown": (socket.gaierror(socket.EAI_NONAME, "unknown"), "gaierror"),
    "the name has no address": ([], "OSError"),
}


@rows("found, problem", UNKNOWN)
def test_name_without_an_address_is_a_failure(
    network: Network, found: list[tuple[str, int]] | OSError, problem: str
) -> None:
    network.found = found

    assert failure("http://keys.example/") == f"the connection failed ({problem})"


def test_resolver_that_hangs_has_no_time_of_its_own(network: Network) -> None:
    network.gate.clear()
    assert failure("http://keys.example/", 0.2) == "the name was not resolved in time"
    network.gate.set()


@rows("fails_at", {"it does not answer": "connect", "this machine has no such network": "open"})
def test_next_address_is_tried_when_one_fails(
    serve: Serve,
    network: Network,
    clock: SteppedClock,
    monkeypatch: pytest.MonkeyPatch,
    fails_at: str,
) -> None:
    server, made = serve(answer(ok(BODY))), list[socket.socket]()
    network.found = [("192.0.2.1", 80), address(server)]
    waits: list[float | None] = []

    class Socket(socket.socket):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            made.append(self)
            if fails_at == "open" and len(made) == 1:
                super().__init__()
                self.close()
                raise OSError("Address family not supported")
            super().__init__(*arguments, **options)

        def connect(self, address: Any) -> None:
            waits.append(self.gettimeout())
            if len(waits) == 1 and fails_at == "connect":
                raise TimeoutError
            super().connect(address)

    monkeypatch.setattr(deadline, "monotonic", clock.monotonic)
    monkeypatch.setattr(socket, "socket", Socket)

    assert fetch("http://keys.example/", 40)[0] == BODY
    # The first of two has half of the time.
    assert waits == ([20, 40] if fails_at == "connect" else [40])
    # The server makes sockets, too, after these.
    assert [sock.fileno() for sock in made[:2]] == [-1, -1]


# TLS

CERTIFICATES: dict[str, Any] = {
    "a trusted authority vouches for the name": ("localhost", True, "", 1),
    "nobody vouches for it": ("localhost", False, f"{UNTRUSTED}self", 2),
    "the certificate is another host's": ("127.0.0.1", True, f"{UNTRUSTED}IP address mismatch", 2),
}


@rows("host, is_trusted, problem, reads", CERTIFICATES)
def test_certificate_must_be_trusted_for_the_host(
    serve: Serve,
    certificate: Files,
    monkeypatch: Patch,
    host: str,
    is_trusted: bool,
    problem: str,
    reads: int,
) -> None:
    """The authorities are read once, and again after a failure."""
    monkeypatch.setenv("SSL_CERT_DIR", "/nowhere")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]) if is_trusted else "")
    connection._tls_context.cache_clear()
    url = f"https://{host}:{serve(speak_tls(certificate, answer(ok(BODY)))).port}/"
    read = MagicMock(wraps=ssl.create_default_context)
    monkeypatch.setattr(ssl, "create_default_context", read)

    for _ in range(2):
        if problem:
            with pytest.raises(CertificateError, match=problem):
                fetch(url)
        else:
            assert fetch(url)[0] == BODY
    assert read.call_count == reads


HANDSHAKES: dict[str, Any] = {
    "it sends nothing": (hang(), LATE),
    # The header of a TLS record of 16 KiB.
    "it lets the handshake drip": (dribble(b"\x16\x03\x03\x40\x00"), LATE),
    "it answers without TLS": (hang(ok(BODY)), "the connection failed (SSLError)"),
}


@rows("behave, problem", HANDSHAKES)
def test_handshake_has_no_time_of_its_own(serve: Serve, behave: Behaviour, problem: str) -> None:
    url = serve(behave).url.replace("http", "https", 1)
    assert failure(url, 0.3 if problem == LATE else 5) == problem


def test_slow_connection_leaves_the_handshake_only_the_rest(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, clock: SteppedClock
) -> None:
    url = serve(hang()).url.replace("http", "https", 1)
    waits: list[float | None] = []
    shake_hands = ssl.SSLContext.wrap_socket

    class Slow(socket.socket):
        def connect(self, address: Any) -> None:
            super().connect(address)
            clock.advance(2.9)

    def observed(context: ssl.SSLContext, sock: socket.socket, **options: Any) -> ssl.SSLSocket:
        waits.append(sock.gettimeout())
        return shake_hands(context, sock, **options)

    monkeypatch.setattr(deadline, "monotonic", clock.monotonic)
    monkeypatch.setattr(socket, "socket", Slow)
    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", observed)

    assert failure(url, 3) == LATE
    assert waits == [pytest.approx(0.1)]
