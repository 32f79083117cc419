"""Key servers that a test controls: one without a network, and one on a loopback port."""

from __future__ import annotations

import contextlib
import datetime
import json
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from flask_ssr_session.errors import FetchError
from flask_ssr_session.upstream import key_fetcher
from flask_ssr_session.upstream.deadline import Deadline

from .clocks import SteppedClock


class FakeKeyServer:
    """Has no network; the test decides what it returns, and when it fails or hangs."""

    def __init__(self, jwk: dict[str, str]) -> None:
        self._jwk = jwk
        self.kids = ["d-test"]
        self.body: bytes | None = None
        self.max_age: float | None = None
        self.is_down = False
        self.asked: list[str] = []
        self.began = threading.Event()
        self._held: deque[threading.Event] = deque()
        self._gates: list[threading.Event] = []

    def hold(self) -> threading.Event:
        """Make one later fetch hang until the event is set."""
        gate = threading.Event()
        self._held.append(gate)
        self._gates.append(gate)
        return gate

    def fetch(self, url: str, deadline: Deadline) -> tuple[bytes, float | None]:
        assert deadline.remaining() > 0
        self.asked.append(url)
        is_down, max_age, body = self.is_down, self.max_age, self.body
        if body is None:
            body = json.dumps({"keys": [self._jwk | {"kid": kid} for kid in self.kids]}).encode()
        gate = self._held.popleft() if self._held else None
        self.began.set()
        if gate is not None:
            assert gate.wait(10)
        if is_down:
            raise FetchError("the server is down")
        return body, max_age

    def close(self) -> None:
        for gate in self._gates:
            gate.set()
        finish_background()


def finish_background() -> None:
    for thread in threading.enumerate():
        if thread.name == "ssr-session-keys":
            thread.join(10)
            assert not thread.is_alive()


@contextlib.contextmanager
def counted_waiters() -> Iterator[threading.Semaphore]:
    """Yield a semaphore that each thread releases when it begins to wait for a fetch."""
    waiters = threading.Semaphore(0)

    class WaitedEvent(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waiters.release()
            return super().wait(timeout)

    threads = SimpleNamespace(Thread=threading.Thread, Lock=threading.Lock, Event=WaitedEvent)
    with mock.patch.object(key_fetcher, "threading", threads):
        yield waiters


class Background:
    """The threads and waits of a KeyFetcher, without real time; patches it in a ``with`` block.

    :ivar mode: when a fetch in the background ends: ``at once``; when a request waits for it,
        ``slow``; when the test says so, ``held``; or ``none`` if no thread can start.
    :ivar waits: the seconds that each request waited for a fetch; the clock advanced by them.
    """

    def __init__(self, server: FakeKeyServer, clock: SteppedClock) -> None:
        self.mode = "at once"
        self.waits: list[float] = []
        self._server, self._clock = server, clock
        self._held: list[tuple[threading.Event, threading.Thread]] = []
        threads = SimpleNamespace(Thread=self._thread, Event=self._event, Lock=threading.Lock)
        self._patch = mock.patch.object(key_fetcher, "threading", threads)

    def __enter__(self) -> Background:
        self._patch.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._patch.stop()
        self._server.close()

    def release(self, place: int = 0) -> None:
        """Let one held fetch return what the server said when it was asked."""
        gate, thread = self._held.pop(place)
        gate.set()
        thread.join(10)
        assert not thread.is_alive()

    def release_all(self) -> None:
        while self._held:
            self.release()

    def _thread(self, **options: Any) -> threading.Thread:
        thread = threading.Thread(**options)
        start = thread.start

        def start_as_told() -> None:
            if self.mode == "none":
                raise RuntimeError("can't start new thread")
            if self.mode == "at once":
                thread.run()
                return
            gate = self._server.hold()
            self._server.began.clear()
            start()
            assert self._server.began.wait(10)
            self._held.append((gate, thread))

        thread.start = start_as_told  # type: ignore[method-assign]
        return thread

    def _event(self) -> threading.Event:
        event = threading.Event()

        def wait(timeout: float | None = None) -> bool:
            if event.is_set():
                return True
            assert timeout is not None
            self.waits.append(round(timeout, 6))
            if self.mode == "slow":
                self.release_all()
            else:
                self._clock.advance(timeout)
            return event.is_set()

        event.wait = wait  # type: ignore[method-assign]
        return event


# What a server does with one connection.
Behaviour = Callable[[socket.socket], None]


class KeyServer:
    """Calls :attr:`behave` for each connection, in a thread per connection.

    :ivar behave: may be replaced at any time.
    :ivar connections: how many were accepted so far.
    """

    def __init__(self, behave: Behaviour, host: str = "127.0.0.1") -> None:
        self.behave = behave
        self.connections = 0
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{host}:{self.port}/jwks.json"
        self._is_refusing = False
        self._threads: list[threading.Thread] = []
        self._start_accepting()

    def refuse(self) -> None:
        """Close the port, and reserve it, so that no other process can open it."""
        address = self._listener.getsockname()
        self._stop_accepting()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(address)
        self._is_refusing = True

    def accept_again(self) -> None:
        """Open the port after :meth:`refuse`; do nothing if it is open."""
        if self._is_refusing:
            self._is_refusing = False
            self._listener.listen()
            self._start_accepting()

    def _start_accepting(self) -> None:
        # Pass the listener, because another may replace it meanwhile.
        self._threads.append(threading.Thread(target=self._accept, args=(self._listener,)))
        self._threads[-1].start()

    def _stop_accepting(self) -> None:
        # Closing does not wake a thread that waits in accept().
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # The client may disconnect at any moment, which is what most of these tests are about.
        with connection, contextlib.suppress(OSError):
            connection.settimeout(5)
            self.behave(connection)

    def close(self) -> None:
        """Stop listening, like a server that is down, and wait for open connections."""
        self._stop_accepting()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()


def read_request(connection: socket.socket) -> bytes:
    request = b""
    while b"\r\n\r\n" not in request and (data := connection.recv(4096)):
        request += data
    return request


def answer(data: bytes) -> Behaviour:
    """Send these bytes and close."""

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)

    return behave


def dribble(start: bytes, drop: bytes = b"x") -> Behaviour:
    """Send one small piece after the other, each well within any time-out per read."""

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(start)
        # Five seconds at most, like the others: a client without a deadline fails its test instead
        # of hanging.
        connection.settimeout(0.02)
        for _ in range(250):
            connection.sendall(drop)
            # The next drop follows after 0.02 s, unless the client has closed by then.
            with contextlib.suppress(TimeoutError):
                if not connection.recv(65536):
                    return

    return behave


def flood(start: bytes, piece: bytes = b"x" * 65536) -> Behaviour:
    """Send 3,200 pieces, by default 200 MiB in all."""

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(start)
        for _ in range(3200):
            connection.sendall(piece)

    return behave


def reset(start: bytes = b"") -> Behaviour:
    """Send the beginning and then reset the connection."""

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(start)
        # A linger time of zero sends RST instead of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return behave


def hang(start: bytes = b"") -> Behaviour:
    """Send the beginning and then nothing more."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(start)
        while connection.recv(4096):
            pass

    return behave


def ok(body: bytes, headers: bytes = b"") -> bytes:
    length = str(len(body)).encode()
    return b"HTTP/1.1 200 OK\r\n" + headers + b"Content-Length: " + length + b"\r\n\r\n" + body


def speak_tls(certificate: tuple[Path, Path], behave: Behaviour) -> Behaviour:
    """Shake hands first, with a certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def behave_within(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            behave(wrapped)

    return behave_within


def write_certificate(
    folder: Path, private_key: RSAPrivateKey, host: str = "localhost"
) -> tuple[Path, Path]:
    """Write a self-signed certificate for *host*, and its key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.timezone.utc)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(private_key.public_key()), critical=False
        )
        .sign(private_key, SHA256())
    )
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(built.public_bytes(Encoding.PEM))
    key.write_bytes(private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return certificate, key
