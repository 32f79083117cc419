"""Fetching under one deadline, from a real server that misbehaves."""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from flask_ssr_session.errors import FetchError, HTTPClientError
from flask_ssr_session.upstream import deadline
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.fetch import (
    MAX_BODY_BYTES,
    MAX_RESPONSE_BYTES,
    fetch_document,
    request,
)

from .clocks import SteppedClock
from .key_server import (
    Behaviour,
    KeyServer,
    answer,
    dribble,
    flood,
    hang,
    ok,
    read_request,
    speak_tls,
    write_certificate,
)

BODY = b'{"keys": []}'

Serve = Callable[[Behaviour], KeyServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[KeyServer] = []

    def start(behave: Behaviour) -> KeyServer:
        servers.append(KeyServer(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def fetch(url: str, seconds: float = 5.0) -> tuple[bytes, float | None]:
    return fetch_document(url, Deadline(seconds))


def failure(url: str, seconds: float = 5.0) -> str:
    """Return why *url* cannot be fetched; the error must be raised in time."""
    started = time.monotonic()
    with pytest.raises(FetchError) as caught:
        fetch(url, seconds)
    assert time.monotonic() - started < seconds + 1.5
    return str(caught.value)


def test_good_answer(serve: Serve) -> None:
    assert fetch(serve(answer(ok(BODY))).url) == (BODY, None)


def test_request_asks_for_plain_json_and_nothing_else(serve: Serve) -> None:
    requests: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        requests.append(read_request(connection))
        connection.sendall(ok(BODY))

    server = serve(behave)
    fetch(server.url + "?x=1#fragment")

    head, *headers, last, empty = requests[0].split(b"\r\n")
    assert head == b"GET /jwks.json?x=1 HTTP/1.1"
    assert [last, empty] == [b"", b""]
    assert sorted(headers) == [
        b"Accept-Encoding: identity",
        b"Accept: application/json",
        b"Connection: close",
        b"Host: 127.0.0.1:%d" % server.port,
        b"User-Agent: flask-ssr-session",
    ]


def test_method_and_headers_can_be_given(serve: Serve) -> None:
    requests: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        requests.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 403 No\r\nX-Told: yes\r\nContent-Length: 2\r\n\r\nno")

    reply = request(
        "OPTIONS", serve(behave).url, Deadline(5), {"Accept": "text/html", "Origin": "o"}
    )

    assert (reply.status, reply.headers["X-Told"], reply.body) == (403, "yes", b"no")
    head, *headers = requests[0].split(b"\r\n")
    assert head == b"OPTIONS /jwks.json HTTP/1.1"
    assert [line for line in headers if line.startswith((b"Accept:", b"Origin:"))] == [
        b"Accept: text/html",
        b"Origin: o",
    ]


@pytest.mark.parametrize("status", [200, 302, 500])
def test_answer_of_any_status_is_bounded_as_a_good_one_is(serve: Serve, status: int) -> None:
    head = f"HTTP/1.1 {status} X\r\nConnection: close\r\n\r\n".encode()

    with pytest.raises(FetchError, match="larger than 1 MiB"):
        request("GET", serve(flood(head)).url, Deadline(5))
    with pytest.raises(FetchError, match="no complete response in time"):
        request("GET", serve(hang(head)).url, Deadline(0.2))


def test_address_without_a_path_asks_for_the_root(serve: Serve) -> None:
    requests: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        requests.append(read_request(connection))
        connection.sendall(ok(BODY))

    fetch(serve(behave).url.removesuffix("/jwks.json"))

    assert requests[0].startswith(b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answered",
    [
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n" + BODY, id="until the end"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"6\r\n" + BODY[:6] + b"\r\n6\r\n" + BODY[6:] + b"\r\n0\r\n\r\n",
            id="chunked",
        ),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + ok(BODY), id="after a continue"),
    ],
)
def test_body_may_be_framed_otherwise(serve: Serve, answered: bytes) -> None:
    assert fetch(serve(answer(answered)).url)[0] == BODY


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        pytest.param(b"max-age=60, must-revalidate", 60.0, id="as the core says it"),
        pytest.param(b"must-revalidate,max-age=60", 60.0, id="behind another"),
        pytest.param(b"Max-Age=60", 60.0, id="capitals"),
        pytest.param(b'max-age="60"', 60.0, id="quoted"),
        pytest.param(b"max-age=0", 0.0, id="zero"),
        pytest.param(b"s-maxage=60", None, id="for shared caches"),
        pytest.param(b"x-max-age=60", None, id="another name"),
        pytest.param(b"max-age=-1", None, id="negative"),
        pytest.param(b"max-age=soon", None, id="no number"),
        pytest.param(b"no-store", 0.0, id="not to be kept"),
        pytest.param(b"no-cache, max-age=60", 0.0, id="not to be used"),
        pytest.param(b"public", None, id="silent"),
    ],
)
def test_answer_says_how_long_it_is_good(
    serve: Serve, cache_control: bytes, seconds: float | None
) -> None:
    server = serve(answer(ok(BODY, headers=b"Cache-Control: " + cache_control + b"\r\n")))

    assert fetch(server.url) == (BODY, seconds)


@pytest.mark.parametrize(
    "status",
    [
        *("201 Created", "204 No Content", "206 Partial Content", "304 Not Modified"),
        *("401 Unauthorized", "404 Not Found", "500 Oops", "503 Service Unavailable"),
    ],
)
def test_other_status_is_a_failure(serve: Serve, status: str) -> None:
    server = serve(
        answer(b"HTTP/1.1 " + status.encode() + ok(BODY).removeprefix(b"HTTP/1.1 200 OK"))
    )

    with pytest.raises(FetchError, match=f"the response has status {status[:3]}") as caught:
        fetch(server.url)
    # Whether the request is at fault, or the server.
    assert isinstance(caught.value, HTTPClientError) is status.startswith("4")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(serve: Serve, status: int) -> None:
    target = serve(answer(ok(BODY)))
    location = f"HTTP/1.1 {status} Go\r\nLocation: {target.url}\r\n".encode()
    server = serve(answer(location + b"Content-Length: 0\r\n\r\n"))

    assert failure(server.url) == f"the response has status {status}"
    assert fetch(target.url)[0] == BODY


@pytest.mark.parametrize("framing", ["length", "end", "chunked"])
@pytest.mark.parametrize(("size", "fits"), [(MAX_BODY_BYTES, True), (MAX_BODY_BYTES + 1, False)])
def test_body_may_have_one_mebibyte(serve: Serve, framing: str, size: int, fits: bool) -> None:
    body = b" " * size
    server = serve(
        answer(
            {
                "length": ok(body),
                "end": b"HTTP/1.0 200 OK\r\n\r\n" + body,
                "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                + f"{size:x}\r\n".encode()
                + body
                + b"\r\n0\r\n\r\n",
            }[framing]
        )
    )

    if fits:
        assert len(fetch(server.url)[0]) == size
    else:
        assert failure(server.url) == "the response is larger than 1 MiB"


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(b"HTTP/1.0 200 OK\r\n\r\n", id="until the end"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", id="huge length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", id="negative chunk"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n", id="huge chunk"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", id="a header"),
    ],
)
def test_endless_answer_is_not_read_for_long(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, start: bytes
) -> None:
    sizes: list[int] = []

    class Counting(socket.socket):
        def recv_into(self, *args: Any, **options: Any) -> int:
            sizes.append(super().recv_into(*args, **options))
            return sizes[-1]

    monkeypatch.setattr(socket, "socket", Counting)

    assert failure(serve(flood(start)).url)
    # The limit is checked before each read, and the last read may fill a buffer.
    assert sum(sizes) <= MAX_RESPONSE_BYTES + io.DEFAULT_BUFFER_SIZE


@pytest.mark.parametrize(
    "answered",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 2", id="in the status line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", id="before the body"),
        pytest.param(ok(BODY)[:-1], id="one byte missing"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n" + BODY[:6],
            id="within a chunk",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n" + BODY[:6] + b"\r\n",
            id="between chunks",
        ),
    ],
)
def test_answer_that_breaks_off_is_a_failure(serve: Serve, answered: bytes) -> None:
    assert failure(serve(answer(answered)).url)


@pytest.mark.parametrize(
    "answered",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="status no number"),
        pytest.param(b"HTTP/9.9 200 OK\r\n\r\n" + BODY, id="unknown version"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", id="200 headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", id="long header"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            id="chunk size no number",
        ),
    ],
)
def test_answer_that_is_no_http_is_a_failure(serve: Serve, answered: bytes) -> None:
    message = failure(serve(answer(answered)).url)

    assert message.startswith("the connection failed (")
    assert "SSH" not in message


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(hang(), id="nothing"),
        pytest.param(hang(b"HTTP/1.1 200 OK\r\n"), id="after the status line"),
        pytest.param(hang(ok(BODY)[:-1]), id="before the last byte"),
        pytest.param(dribble(b"HTTP/1.1 200 OK\r\nX: "), id="dribbling header"),
        pytest.param(dribble(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), id="dribbling headers"),
        pytest.param(dribble(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), id="dribbling continues"),
        pytest.param(dribble(b"HTTP/1.0 200 OK\r\n\r\n"), id="dribbling body"),
        pytest.param(
            dribble(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"), id="dribbling with length"
        ),
        pytest.param(
            dribble(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
            id="dribbling chunks",
        ),
    ],
)
def test_nothing_stretches_the_deadline(serve: Serve, behaviour: Behaviour) -> None:
    assert failure(serve(behaviour).url, 0.3) == "no complete response in time"


def test_deadline_that_has_passed_fetches_nothing(serve: Serve) -> None:
    assert failure(serve(answer(ok(BODY))).url, 0.0) == "no complete response in time"


def test_closed_port_is_a_failure(serve: Serve) -> None:
    server = serve(answer(ok(BODY)))
    server.refuse()

    assert failure(server.url) == "the connection failed (ConnectionRefusedError)"
    server.accept_again()
    assert fetch(server.url)[0] == BODY


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/jwks.json",
        "ftp://127.0.0.1/jwks.json",
        "file:///etc/passwd",
        "http://",
        "http:///jwks.json",
        "http://[::1/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:port/",
        "http://" + "a" * 70 + ".example/",
        "http://a..example/",
        "http://\ud800.example/",
    ],
    ids=ascii,
)
def test_bad_address_is_a_failure(url: str) -> None:
    assert failure(url)


@pytest.mark.parametrize("target", ["/a b", "/a\tb", "/a?b c", "/ü", "/a\x7f"], ids=ascii)
def test_address_cannot_break_the_request(serve: Serve, target: str) -> None:
    requests: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        requests.append(read_request(connection))

    url = serve(behave).url.replace("/jwks.json", target)

    if "\t" in target:
        # urlsplit() removes tabs.
        failure(url)
        assert requests[0].startswith(b"GET /ab HTTP/1.1\r\n")
    else:
        assert failure(url).startswith("the connection failed (")
        assert b"".join(requests) == b""


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-Key", "secret\r\nX: y"), ("X-Key", "a\x00b"), ("X-Key\n", "secret")],
    ids=ascii,
)
def test_header_cannot_break_the_request(serve: Serve, name: str, value: str) -> None:
    with pytest.raises(FetchError, match=r"connection failed \(ValueError\)"):
        fetch_document(serve(answer(ok(BODY))).url, Deadline(5), {name: value})


def test_debug_output_of_http_client_does_not_show_headers(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(HTTPConnection, "debuglevel", 1)

    fetch_document(serve(answer(ok(BODY))).url, Deadline(5), {"api-key": "secret"})

    assert capsys.readouterr().out == ""


def test_ipv6_address_needs_no_port(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[bytes] = []

    def behave(connection: socket.socket) -> None:
        requests.append(read_request(connection))
        connection.sendall(ok(BODY))

    found = (socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", serve(behave).port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: [found])

    assert fetch("http://[fe80::abcd]/")[0] == BODY
    assert b"Host: [fe80::abcd]\r\n" in requests[0]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
def test_proxies_of_the_environment_are_not_used(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    proxy = serve(answer(ok(b"from the proxy")))
    monkeypatch.setenv(name, proxy.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert fetch(serve(answer(ok(BODY))).url)[0] == BODY


# TLS


@pytest.fixture(scope="module")
def certificate(
    tmp_path_factory: pytest.TempPathFactory, other_private_key: RSAPrivateKey
) -> tuple[Path, Path]:
    return write_certificate(tmp_path_factory.mktemp("tls"), other_private_key)


@pytest.fixture
def tls_server(serve: Serve, certificate: tuple[Path, Path]) -> KeyServer:
    return serve(speak_tls(certificate, answer(ok(BODY))))


def test_certificate_of_a_trusted_authority_is_accepted(
    tls_server: KeyServer, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    assert fetch(f"https://localhost:{tls_server.port}/")[0] == BODY


@pytest.mark.parametrize(
    ("host", "is_trusted"),
    [
        pytest.param("localhost", False, id="nobody vouches for it"),
        pytest.param("127.0.0.1", True, id="another name"),
    ],
)
def test_bad_certificate_is_a_failure(
    tls_server: KeyServer,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    host: str,
    is_trusted: bool,
) -> None:
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]) if is_trusted else "")

    message = failure(f"https://{host}:{tls_server.port}/")

    assert message == "the connection failed (SSLCertVerificationError)"


def test_plain_answer_to_tls_is_a_failure(serve: Serve) -> None:
    url = serve(hang(ok(BODY))).url

    assert failure(url.replace("http", "https", 1)) == "the connection failed (SSLError)"


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(hang(), id="hanging"),
        # The header of a TLS record of 16 KiB.
        pytest.param(dribble(b"\x16\x03\x03\x40\x00"), id="dribbling"),
    ],
)
def test_tls_handshake_has_no_time_of_its_own(serve: Serve, behaviour: Behaviour) -> None:
    url = serve(behaviour).url.replace("http", "https", 1)

    assert failure(url, 0.3) == "no complete response in time"


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

    assert failure(url, 3) == "no complete response in time"
    assert waits == [pytest.approx(0.1)]


# Host names


Resolver = Callable[..., list[Any]]


def resolver(*addresses: tuple[socket.AddressFamily, tuple[Any, ...]]) -> Resolver:
    """Return a look-up that knows one name, ``keys.example``."""

    def look_up(host: str, _port: int, *, type: int = 0, flags: int = 0) -> list[Any]:  # noqa: A002
        assert type == socket.SOCK_STREAM
        if flags == socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        assert host == "keys.example"
        return [(family, type, 0, "", address) for family, address in addresses]

    return look_up


def test_name_is_resolved(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    server = serve(answer(ok(BODY)))
    found = (socket.AF_INET, ("127.0.0.1", server.port))
    monkeypatch.setattr(socket, "getaddrinfo", resolver(found))

    assert fetch("http://keys.example/")[0] == BODY


def test_resolver_that_hangs_has_no_time_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    wake_up = threading.Event()

    def look_up(*_args: Any, flags: int = 0, **_options: Any) -> list[Any]:
        if flags == socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        wake_up.wait(10)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    assert failure("http://keys.example/", 0.2) == "the name was not resolved in time"
    wake_up.set()


def test_unknown_name_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(*_args: Any, **_options: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)

    assert failure("http://keys.example/") == "the connection failed (gaierror)"


def test_name_without_an_address_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver())

    assert failure("http://keys.example/") == "the connection failed (OSError)"


def test_numeric_address_needs_no_thread(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    url = serve(answer(ok(BODY))).url
    started: list[str] = []
    start = threading.Thread.start

    def counted(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", counted)
    fetch(url)

    assert "ssr-session-resolve" not in started


def test_name_is_resolved_where_no_thread_can_start(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(answer(ok(BODY)))
    found = (socket.AF_INET, ("127.0.0.1", server.port))
    monkeypatch.setattr(socket, "getaddrinfo", resolver(found))
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "ssr-session-resolve":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert fetch("http://keys.example/")[0] == BODY


def test_next_address_is_tried_when_one_refuses(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, down = serve(answer(ok(BODY))), serve(hang())
    down.refuse()
    closed, found = ((socket.AF_INET, ("127.0.0.1", s.port)) for s in (down, server))
    monkeypatch.setattr(socket, "getaddrinfo", resolver(closed, found))

    assert fetch("http://keys.example/")[0] == BODY


def test_next_address_is_tried_when_one_does_not_answer(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(answer(ok(BODY)))
    hanging, found = ("192.0.2.1", 80), ("127.0.0.1", server.port)
    monkeypatch.setattr(
        socket, "getaddrinfo", resolver((socket.AF_INET, hanging), (socket.AF_INET, found))
    )
    waits: list[float | None] = []

    class Network(socket.socket):
        def connect(self, address: Any) -> None:
            if address == hanging:
                waits.append(self.gettimeout())
                raise TimeoutError
            super().connect(address)

    monkeypatch.setattr(socket, "socket", Network)

    assert fetch("http://keys.example/", 4)[0] == BODY
    assert waits == [pytest.approx(2, abs=0.2)]


def test_next_address_is_tried_when_the_machine_does_not_speak_the_first(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(answer(ok(BODY)))
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        resolver(
            (socket.AF_INET6, ("::1", server.port, 0, 0)),
            (socket.AF_INET, ("127.0.0.1", server.port)),
        ),
    )

    class WithoutIPv6(socket.socket):
        def __init__(self, family: int = -1, *args: Any, **options: Any) -> None:
            if family == socket.AF_INET6:
                raise OSError("Address family not supported by protocol")
            super().__init__(family, *args, **options)

    monkeypatch.setattr(socket, "socket", WithoutIPv6)

    assert fetch("http://keys.example/")[0] == BODY
