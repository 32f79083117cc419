"""Fetch one small document under one deadline that the server cannot extend.

No redirect is followed; proxies, ``netrc`` and cookies of the environment are ignored; the size of
a response is limited. Ordinary HTTP clients restart their time-out with every byte received. Here
each wait, from resolving the name to the last byte, gets only the time that is left.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.message import Message
from http.client import HTTPConnection, HTTPException, HTTPResponse
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from ..errors import CertificateError, FetchError, HTTPClientError
from ..sansio.frozen import Frozen
from ..sansio.origins import DEFAULT_PORTS
from .connection import DeadlineSocket, connect
from .deadline import Deadline

if TYPE_CHECKING:
    Target = TypeVar("Target")
    Result = TypeVar("Result")

MAX_BODY_BYTES = 1024 * 1024
# Includes the status line, the headers and the framing of chunks.
MAX_RESPONSE_BYTES = MAX_BODY_BYTES + 64 * 1024

# Compiled at first use: compiling takes longer than importing this module.
_MAX_AGE = r"(?:^|[\s,])max-age=\"?(\d{1,10})"
_NOT_REUSABLE = r"(?:^|[\s,])no-(?:store|cache)(?:$|[\s,=])"


class FetchedResponse(Frozen):
    """A complete response, of any status."""

    status: int
    headers: Message
    body: bytes


def fetch_first(
    targets: Sequence[Target],
    deadline: Deadline,
    fetch: Callable[[Target, Deadline], Result],
    on_failure: Callable[[Target, FetchError], None] = lambda _target, _error: None,
) -> Result:
    """Return what *fetch* returns for the first of *targets* that does not fail.

    Each target gets an even share of the time left: one that hangs leaves time for the others.

    :raises FetchError: the failure of the last target, or there are no targets.
    """
    problem = FetchError("no address is configured")
    for position, target in enumerate(targets):
        try:
            share = Deadline(deadline.remaining() / (len(targets) - position))
            return fetch(target, share)
        except FetchError as error:  # noqa: PERF203 - each turn waits for the network
            on_failure(target, error)
            problem = error
    raise problem


def fetch_document(
    url: str, deadline: Deadline, headers: Mapping[str, str] = MappingProxyType({})
) -> tuple[bytes, float | None]:
    """Return the body of a response with status 200, and the seconds it may be reused.

    :param headers: additional request headers.
    :returns: the seconds are None if ``Cache-Control`` does not limit them.
    :raises FetchError: no complete response with status 200 in time.
    """
    with _open_response("GET", url, deadline, headers) as response:
        if response.status != 200:
            is_client_error = 400 <= response.status < 500
            raise (HTTPClientError if is_client_error else FetchError)(
                f"the response has status {response.status}"
            )
        return _read_body(response), _reusable_seconds(response.headers.get("Cache-Control", ""))


def request(
    method: str, url: str, deadline: Deadline, headers: Mapping[str, str] = MappingProxyType({})
) -> FetchedResponse:
    """Return the response to a request without a body, whatever its status.

    :raises FetchError: no complete response in time.
    """
    with _open_response(method, url, deadline, headers) as response:
        return FetchedResponse(
            status=response.status, headers=response.headers, body=_read_body(response)
        )


@contextmanager
def _open_response(
    method: str, url: str, deadline: Deadline, headers: Mapping[str, str]
) -> Iterator[HTTPResponse]:
    """Yield a response whose body is not read yet; turn any failure into a FetchError."""
    try:
        if any(not (name + value).isprintable() for name, value in headers.items()):
            raise ValueError("a header contains a control character")
        parts = urlsplit(url)
        with connect(url, deadline) as sock:
            port = parts.port or DEFAULT_PORTS[parts.scheme]
            connection = HTTPConnection(parts.hostname or "", port)
            # A debug level that the app sets for all connections would print the API key.
            connection.set_debuglevel(0)
            connection.sock = DeadlineSocket(sock, deadline, MAX_RESPONSE_BYTES)
            connection.request(
                method,
                (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
                headers={
                    "Host": parts.netloc.rpartition("@")[2],
                    "Accept": "application/json",
                    # The size limit would not hold for a compressed body.
                    "Accept-Encoding": "identity",
                    "User-Agent": "flask-ssr-session",
                    "Connection": "close",
                    **headers,
                },
            )
            with connection.getresponse() as response:
                yield response
    except TimeoutError:
        raise FetchError("no complete response in time") from None
    except ssl.SSLCertVerificationError as error:
        # OpenSSL's own words; at most, they repeat the requested host.
        reason = error.verify_message.rstrip(".")
        raise CertificateError(f"this process does not trust its certificate: {reason}") from None
    except (OSError, HTTPException, ValueError) as error:
        # Only the type: text from a server does not belong in the log.
        raise FetchError(f"the connection failed ({type(error).__name__})") from None


def _read_body(response: HTTPResponse) -> bytes:
    body = response.read(MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise FetchError("the response is larger than 1 MiB")
    if response.length:
        raise FetchError("the response was cut off")
    return body


def _reusable_seconds(cache_control: str) -> float | None:
    if re.search(_NOT_REUSABLE, cache_control, re.IGNORECASE):
        return 0.0
    match = re.search(_MAX_AGE, cache_control, re.IGNORECASE)
    return float(match.group(1)) if match else None
