"""Fetch one small document under one deadline that nothing on the other side can stretch.

No redirect is followed, no proxy, ``netrc`` or cookie of the environment is used, and no more is
read than allowed. Time-outs of ordinary HTTP clients start anew with every byte received; here
each wait, from the look-up of the name to the last byte, gets only what is left of the whole.
"""

from __future__ import annotations

import io
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.client import HTTPException, HTTPResponse
from time import monotonic
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..errors import FetchError, HTTPClientError

MAX_BODY_BYTES = 1024 * 1024
# With status line, headers and the framing of chunks.
MAX_RESPONSE_BYTES = MAX_BODY_BYTES + 64 * 1024

_Address = tuple[socket.AddressFamily, socket.SocketKind, int, tuple[Any, ...]]

# Not compiled here: that takes longer than this module's import, and no process needs it at once.
_MAX_AGE = r"(?:^|[\s,])max-age=\"?(\d{1,10})"
_NOT_REUSABLE = r"(?:^|[\s,])no-(?:store|cache)(?:$|[\s,=])"


class Deadline:
    """A moment on the monotonic clock, and how long there is until then."""

    def __init__(self, seconds: float) -> None:
        self._end = monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left.

        :raises FetchError: none are.
        """
        left = self._end - monotonic()
        if left <= 0:
            raise FetchError("no complete answer in time")
        return left


def fetch_document(
    url: str, deadline: Deadline, headers: Mapping[str, str] = MappingProxyType({})
) -> tuple[bytes, float | None]:
    """Return the body that *url* answers with, and the seconds it may be reused.

    :param headers: more headers of the request.
    :returns: the seconds are None where the answer does not say.
    :raises FetchError: anything but a complete answer with status 200 in time.
    """
    with _answer("GET", url, deadline, headers) as response:
        if response.status != 200:
            is_refused = 400 <= response.status < 500
            raise (HTTPClientError if is_refused else FetchError)(
                f"the answer has status {response.status}"
            )
        return _body(response), _reusable_seconds(response.headers.get("Cache-Control", ""))


class FetchedResponse(NamedTuple):
    """An answer of any status."""

    status: int
    headers: Message
    body: bytes


def request(
    method: str, url: str, deadline: Deadline, headers: Mapping[str, str] = MappingProxyType({})
) -> FetchedResponse:
    """Return what *url* answers, whatever the status.

    :param method: GET or OPTIONS; or POST, without a body, with ``Content-Length: 0``.
    :raises FetchError: no complete answer in time.
    """
    with _answer(method, url, deadline, headers) as response:
        return FetchedResponse(response.status, response.headers, _body(response))


@contextmanager
def _answer(
    method: str, url: str, deadline: Deadline, headers: Mapping[str, str]
) -> Iterator[HTTPResponse]:
    """Yield an answer whose headers are there; what fails until it is read is a FetchError."""
    try:
        with _connect(url, deadline) as connection:
            connection.settimeout(deadline.remaining())
            connection.sendall(_request(method, url, headers))
            response = HTTPResponse(_DeadlineSocket(connection, deadline), method=method)  # type: ignore[arg-type]
            with response:
                response.begin()
                yield response
    except TimeoutError:
        raise FetchError("no complete answer in time") from None
    except (OSError, HTTPException, ValueError) as error:
        # The type says enough: what a stranger's server wrote does not belong in our log.
        raise FetchError(f"the connection failed ({type(error).__name__})") from None


def _body(response: HTTPResponse) -> bytes:
    body = response.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise FetchError("the answer is larger than 1 MiB")
    if response.length:
        raise FetchError("the answer broke off")
    return body


def _reusable_seconds(cache_control: str) -> float | None:
    if re.search(_NOT_REUSABLE, cache_control, re.IGNORECASE):
        return 0.0
    match = re.search(_MAX_AGE, cache_control, re.IGNORECASE)
    return float(match.group(1)) if match else None


def _request(method: str, url: str, headers: Mapping[str, str]) -> bytes:
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = parts.netloc.rpartition("@")[2]
    fields = {
        "Host": host,
        "Accept": "application/json",
        # An encoded body could grow without bound when it is unpacked.
        "Accept-Encoding": "identity",
        "User-Agent": "flask-ssr-session",
        "Connection": "close",
        **headers,
    }
    if any(character <= " " or character == "\x7f" for character in target + host):
        raise ValueError("the address holds a control character")
    if any(not (name + value).isprintable() for name, value in headers.items()):
        raise ValueError("a header holds a control character")
    lines = (f"{method} {target} HTTP/1.1", *(f"{name}: {fields[name]}" for name in fields))
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _connect(url: str, deadline: Deadline) -> socket.socket:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise FetchError("the address is not http or https")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    connection = _open_socket(_resolve(parts.hostname, port, deadline), deadline)
    if parts.scheme == "http":
        return connection
    try:
        context = ssl.create_default_context()
        connection.settimeout(deadline.remaining())
        # wrap_socket takes the plain socket over, and closes it when the handshake fails.
        return context.wrap_socket(connection, server_hostname=parts.hostname)
    except BaseException:
        connection.close()
        raise


def _open_socket(addresses: list[_Address], deadline: Deadline) -> socket.socket:
    """Connect to the first address that answers; each gets an even share of the time left."""
    error: OSError = OSError("the name has no address")
    for position, (family, kind, protocol, address) in enumerate(addresses):
        try:
            # A name may have addresses of a family that this machine does not speak.
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
    """Look a name up; the resolver knows no deadline, so one that hangs is left behind."""

    def look_up(flags: int = 0) -> list[_Address]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        return [(family, kind, protocol, address) for family, kind, protocol, _, address in found]

    try:
        # A numeric address needs no resolver, so no thread.
        return look_up(socket.AI_NUMERICHOST)
    except socket.gaierror:
        return _run_with_deadline(look_up, deadline)


def _run_with_deadline(work: Callable[[], list[_Address]], deadline: Deadline) -> list[_Address]:
    outcome: list[list[_Address] | OSError] = []

    def run() -> None:
        try:
            outcome.append(work())
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=run, name="ssr-session-resolve", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # this process can start no thread: better unbounded than not at all
        return work()
    thread.join(deadline.remaining())
    if not outcome:
        raise FetchError("the name was not resolved in time")
    if isinstance(outcome[0], OSError):
        raise outcome[0]
    return outcome[0]


class _DeadlineSocket:
    """What :class:`HTTPResponse` needs of a socket: a file to read from, under the deadline."""

    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        self._connection = connection
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._connection, self._deadline))


class _DeadlineReader(io.RawIOBase):
    def __init__(self, connection: socket.socket, deadline: Deadline) -> None:
        super().__init__()
        self._connection = connection
        self._deadline = deadline
        self._left = MAX_RESPONSE_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        # HTTPResponse reads without bound where a chunk says that its length is -1.
        if self._left <= 0:
            raise FetchError("the answer is larger than 1 MiB")
        self._connection.settimeout(self._deadline.remaining())
        received = self._connection.recv_into(buffer)
        self._left -= received
        return received
