"""HTTP server on the loopback interface: it parses a :class:`Request`, writes a :class:`Response`.

Each connection has its own thread and carries one request, as supertokens-python uses it.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

_log = logging.getLogger(__name__)

LOOPBACK_HOST = "127.0.0.1"

_MAX_BODY_BYTES = 1024 * 1024
# stop() waits this long at most.
_SHUTDOWN_POLL_SECONDS = 0.02
# A silent client is disconnected after this time, which ends its thread.
_CONNECTION_TIMEOUT_SECONDS = 10


@dataclass(frozen=True)
class Request:
    """One request. Header names are lower case; the last of repeated query parameters counts."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Response:
    """One response. A ``status`` of ``None`` closes the connection without a response."""

    status: int | None
    body: bytes = field(default=b"", repr=False)
    content_type: str = "text/html;charset=UTF-8"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def text(cls, status: int, text: str) -> Response:
        """Return a response of plain text, with the type that a core gives it."""
        return cls(status, text.encode())

    @classmethod
    def json(cls, content: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
        """Return a 200 with a JSON object."""
        body = json.dumps(content, separators=(",", ":")).encode()
        return cls(200, body, "application/json; charset=utf-8", headers or {})


Application = Callable[[Request], Response]
"""Answers every request. An exception closes the connection without a response."""


class HTTPServerThread:
    """A running server. It listens from its creation until :meth:`stop`."""

    def __init__(self, application: Application, port: int) -> None:
        """Listen on a port of 127.0.0.1; 0 picks a free port.

        :raises OSError: the port is in use.
        """
        self._server = _Server((LOOPBACK_HOST, port), application)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(_SHUTDOWN_POLL_SECONDS,),
            name="development-core",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and close the socket."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], application: Application) -> None:
        self.application = application
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        # The client disconnected early; the base class would print a traceback.
        _log.debug("connection lost", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "DevelopmentCore"
    sys_version = ""
    timeout = _CONNECTION_TIMEOUT_SECONDS

    def _serve(self) -> None:
        raw_length = self.headers.get("Content-Length", "0")
        if not (raw_length.isascii() and raw_length.isdecimal()):
            self._send(Response.text(400, "Content-Length is not a number"))
            return
        if int(raw_length) > _MAX_BODY_BYTES:
            self._send(Response.text(413, "request body too large"))
            return
        url = urlsplit(self.path)
        request = Request(
            method=self.command,
            path=url.path,
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(raw_length)),
        )
        self._send(self.server.application(request))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815

    def _send(self, response: Response) -> None:
        self.close_connection = True
        _log.debug("%s %s: %s", self.command, self.path.partition("?")[0], response.status)
        if response.status is None:
            return
        self.send_response(response.status)
        self.send_header("Content-Type", response.content_type)
        self.send_header("Content-Length", str(len(response.body)))
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(response.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ARG002
        # The base class prints every request line, which may hold an e-mail address in its query.
        return
