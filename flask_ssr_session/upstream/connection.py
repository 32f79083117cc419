"""Open a connection, send and receive under one deadline that the server cannot extend."""

from __future__ import annotations

import io
import os
import socket
import ssl
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from ..errors import FetchError
from ..sansio.origins import DEFAULT_PORTS
from .deadline import Deadline

_Address = tuple[socket.AddressFamily, socket.SocketKind, int, tuple[Any, ...]]


class DeadlineSocket:
    """The socket methods that :class:`http.client.HTTPConnection` uses, under a deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline, max_bytes: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._max_bytes = max_bytes

    def sendall(self, data: bytes) -> None:
        """Send *data*."""
        self._sock.settimeout(self._deadline.remaining())
        self._sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return a file that stops receiving after *max_bytes*."""
        return io.BufferedReader(_DeadlineReader(self._sock, self._deadline, self._max_bytes))

    def close(self) -> None:
        """Do nothing: HTTPConnection closes its socket before the body is read."""


class _DeadlineReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Deadline, max_bytes: int) -> None:
        self._sock = sock
        self._deadline = deadline
        self._left = max_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        # HTTPResponse reads without a limit if a chunk has the length -1.
        if self._left <= 0:
            raise FetchError("the response is larger than 1 MiB")
        self._sock.settimeout(self._deadline.remaining())
        received = self._sock.recv_into(buffer)
        self._left -= received
        return received


def connect(url: str, deadline: Deadline) -> socket.socket:
    """Return a socket connected to the host of *url*, over TLS if its scheme is https.

    :raises FetchError: *url* is not http or https, or no time is left.
    :raises OSError: no connection, including an invalid certificate.
    :raises ValueError: *url* has an invalid host or port.
    """
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise FetchError("the address is not http or https")
    port = parts.port or DEFAULT_PORTS[parts.scheme]
    sock = _open_socket(_resolve(parts.hostname, port, deadline), deadline)
    if parts.scheme == "http":
        return sock
    try:
        context = _tls_context(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))
        sock.settimeout(deadline.remaining())
        # wrap_socket takes over the plain socket, and closes it if the handshake fails.
        return context.wrap_socket(sock, server_hostname=parts.hostname)
    except BaseException as error:
        if isinstance(error, ssl.SSLCertVerificationError):
            _tls_context.cache_clear()  # the files may have changed
        sock.close()
        raise


@lru_cache(maxsize=1)  # reading the authorities of this machine takes 20 ms and more
def _tls_context(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    """Return the context for all connections, while the certificates have these places."""
    return ssl.create_default_context()


def _open_socket(addresses: list[_Address], deadline: Deadline) -> socket.socket:
    """Connect to the first address that accepts; each gets an even share of the time left."""
    error: OSError = OSError("the name has no address")
    for position, (family, kind, protocol, address) in enumerate(addresses):
        try:
            # A name may have IPv6 addresses while this machine has no IPv6.
            candidate = socket.socket(family, kind, protocol)
        except OSError as failure:
            error = failure
            continue
        try:
            candidate.settimeout(deadline.remaining() / (len(addresses) - position))
            candidate.connect(address)
        except OSError as failure:
            candidate.close()
            error = failure
        except BaseException:
            candidate.close()
            raise
        else:
            return candidate
    raise error


def _resolve(host: str, port: int, deadline: Deadline) -> list[_Address]:
    def look_up(flags: int = 0) -> list[_Address]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]

    try:
        # A numeric address needs no resolver, and no thread.
        return look_up(socket.AI_NUMERICHOST)
    except socket.gaierror:
        return _run_with_deadline(look_up, deadline)


def _run_with_deadline(look_up: Callable[[], list[_Address]], deadline: Deadline) -> list[_Address]:
    """Run *look_up* in a thread: getaddrinfo has no time-out, so a thread that hangs is left."""
    outcome: list[list[_Address] | OSError] = []

    def run() -> None:
        try:
            outcome.append(look_up())
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name="ssr-session-resolve", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the process can start no thread: resolve without a deadline
        return look_up()
    thread.join(deadline.remaining())
    if not outcome:
        raise FetchError("the name was not resolved in time")
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]
