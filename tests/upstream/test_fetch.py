"""What a response must be, and that nothing it does takes more time or memory than allowed."""

from __future__ import annotations

import io
import socket
from http.client import HTTPConnection
from typing import Any

import pytest

from flask_ssr_session.errors import FetchError, HTTPClientError
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.fetch import fetch_document, request

from ..key_servers import Behaviour, answer, dribble, flood, hang, ok, reset
from ..tables import rows
from .conftest import BODY, Serve, failure, fetch, recorded

OK = b"HTTP/1.1 200 OK\r\n"
OLD = b"HTTP/1.0 200 OK\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
MANY = b" " * 2**20

ELSEWHERE = b"Location: http://127.0.0.1:9/\r\n"

LATE = "no complete response in time"
TOO_LARGE = "the response is larger than 1 MiB"
CUT_OFF = "the response was cut off"


def failed(error: str) -> str:
    return f"the connection failed ({error})"


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def cached(cache_control: str) -> Behaviour:
    return answer(ok(BODY, f"Cache-Control: {cache_control}\r\n".encode()))


# The behaviour of a server, and the seconds its document may be reused, or the failure.
ANSWERS: dict[str, tuple[Behaviour, float | str | None]] = {
    "a body with its length": (answer(ok(BODY)), None),
    "a body one byte shorter than its length": (answer(ok(BODY)[:-1]), CUT_OFF),
    "no byte of the body": (answer(ok(BODY)[: -len(BODY)]), CUT_OFF),
    "a body until the end": (answer(OLD + BODY), None),
    "chunks": (answer(CHUNKED + chunk(BODY[:6]) + chunk(BODY[6:]) + b"0\r\n\r\n"), None),
    "the end within a chunk": (answer(CHUNKED + chunk(BODY)[:6]), failed("IncompleteRead")),
    "the end between chunks": (answer(CHUNKED + chunk(BODY)), failed("IncompleteRead")),
    "a chunk size that is no number": (answer(CHUNKED + b"zz\r\n"), failed("IncompleteRead")),
    "a continue before it": (answer(b"HTTP/1.1 100 Continue\r\n\r\n" + ok(BODY)), None),
    "a second response after it": (answer(ok(BODY) + ok(b"[]")), None),
    "nothing": (answer(b""), failed("RemoteDisconnected")),
    "a torn connection": (reset(), failed("ConnectionResetError")),
    "one torn before the last byte": (reset(ok(BODY)[:-1]), failed("ConnectionResetError")),
    "half a status line": (answer(b"HTTP/1.1 2"), failed("BadStatusLine")),
    "another protocol": (answer(b"SSH-2.0-OpenSSH_9.2\r\n"), failed("BadStatusLine")),
    "a status that is no number": (answer(b"HTTP/1.1 abc\r\n\r\n"), failed("BadStatusLine")),
    "an unknown version": (answer(b"HTTP/9.9 200 OK\r\n\r\n" + BODY), failed("UnknownProtocol")),
    "200 headers": (answer(OK + b"X: y\r\n" * 200 + b"\r\n"), failed("HTTPException")),
    "a header of 70,000 bytes": (answer(OK + b"X: " + b"y" * 70_000), failed("LineTooLong")),
    "1 MiB with its length": (answer(ok(MANY)), None),
    "1 MiB and a byte with its length": (answer(ok(MANY + b" ")), TOO_LARGE),
    "1 MiB until the end": (answer(OLD + MANY), None),
    "1 MiB and a byte until the end": (answer(OLD + MANY + b" "), TOO_LARGE),
    "1 MiB in a chunk": (answer(CHUNKED + chunk(MANY) + b"0\r\n\r\n"), None),
    "1 MiB and a byte in a chunk": (answer(CHUNKED + chunk(MANY + b" ") + b"0\r\n\r\n"), TOO_LARGE),
    # How long the document may be reused.
    "max-age as the core says it": (cached("max-age=60, must-revalidate"), 60.0),
    "max-age behind another value": (cached("must-revalidate,max-age=60"), 60.0),
    "max-age in capitals": (cached("Max-Age=60"), 60.0),
    "max-age in quotes": (cached('max-age="60"'), 60.0),
    "max-age of zero": (cached("max-age=0"), 0.0),
    "max-age for shared caches": (cached("s-maxage=60"), None),
    "a value that ends like max-age": (cached("x-max-age=60"), None),
    "a negative max-age": (cached("max-age=-1"), None),
    "a max-age that is no number": (cached("max-age=soon"), None),
    "no-store": (cached("no-store"), 0.0),
    "no-cache in capitals, with a max-age": (cached("No-Cache, max-age=60"), 0.0),
    "a value that begins like no-store": (cached("no-stored, max-age=60"), 60.0),
    "a value that says nothing": (cached("public"), None),
    # Another status, with a good document. A redirect that is followed would find a closed port.
    **{
        f"status {code}": (
            answer(ok(BODY, ELSEWHERE).replace(b"200 OK", b"%d X" % code)),
            f"the response has status {code}",
        )
        for code in (201, 204, 206, 301, 302, 303, 304, 307, 308, 399, 400, 401, 404, 499, 500, 503)
    },
}


@rows("behave, expected", ANSWERS)
def test_complete_response_with_status_200_is_a_document(
    serve: Serve, behave: Behaviour, expected: float | str | None
) -> None:
    url = serve(behave).url
    if not isinstance(expected, str):
        body, seconds = fetch(url)
        assert body in (BODY, MANY)
        assert seconds == expected
        return
    with pytest.raises(FetchError) as caught:
        fetch(url)
    # A text of the server does not belong in the log.
    assert str(caught.value) == expected
    # Whether the request is at fault, or the server.
    assert isinstance(caught.value, HTTPClientError) is ("has status 4" in expected)


ENDLESS: dict[str, Any] = {
    "a body until the end": (OLD, TOO_LARGE),
    "a body of 99,999,999,999 bytes": (OK + b"Content-Length: 99999999999\r\n\r\n", TOO_LARGE),
    "a chunk of -1 bytes": (CHUNKED + b"-1\r\n", TOO_LARGE),
    "a chunk of 64 GiB": (CHUNKED + b"fffffffff\r\n", TOO_LARGE),
    "a header": (OK + b"X: ", failed("LineTooLong")),
}


@rows("start, problem", ENDLESS)
def test_endless_answer_is_not_read_for_long(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, start: bytes, problem: str
) -> None:
    sizes: list[int] = []

    class Counting(socket.socket):
        def recv_into(self, *args: Any, **options: Any) -> int:
            sizes.append(super().recv_into(*args, **options))
            return sizes[-1]

    monkeypatch.setattr(socket, "socket", Counting)

    assert failure(serve(flood(start)).url) == problem
    # The limit is checked before each read, and the last read may fill a buffer.
    assert sum(sizes) <= 2**20 + 2**16 + io.DEFAULT_BUFFER_SIZE


SLOW: dict[str, Any] = {
    "it sends nothing": (hang(), 0.2),
    "it sends a status line": (hang(OK), 0.2),
    "it sends all but the last byte": (hang(ok(BODY)[:-1]), 0.2),
    "it lets a header drip": (dribble(OK + b"X: "), 0.2),
    "it lets headers drip": (dribble(OK, b"X: y\r\n"), 0.2),
    "it lets continues drip": (dribble(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), 0.2),
    "it lets a body drip": (dribble(OLD), 0.2),
    "it lets a body with a length drip": (dribble(ok(MANY)[:60]), 0.2),
    "it lets chunks drip": (dribble(CHUNKED, b"1\r\nx\r\n"), 0.2),
    "it answers, after the deadline": (answer(ok(BODY)), 0.0),
}


@rows("behave, seconds", SLOW)
def test_nothing_stretches_the_deadline(serve: Serve, behave: Behaviour, seconds: float) -> None:
    """The servers close after five seconds, which would be another failure."""
    assert failure(serve(behave).url, seconds) == LATE


@rows("code", {"200": 200, "302": 302, "500": 500})
def test_response_of_any_status_may_be_had_within_the_same_limits(serve: Serve, code: int) -> None:
    head = f"HTTP/1.1 {code} X\r\nX-Told: yes\r\n".encode()
    url = serve(answer(head + b"Content-Length: 2\r\n\r\nno")).url

    reply = request("GET", url, Deadline(30))
    assert (reply.status, reply.headers["X-Told"], reply.body) == (code, "yes", b"no")
    with pytest.raises(FetchError, match="larger than 1 MiB"):
        request("GET", serve(flood(head + b"\r\n")).url, Deadline(30))
    with pytest.raises(FetchError, match=LATE):
        request("GET", serve(hang(head)).url, Deadline(0.1))


# The request

TARGETS: dict[str, Any] = {
    "a query is sent, a fragment is not": ("/jwks?x=1#y", b"GET /jwks?x=1 HTTP/1.1"),
    "no path is the root": ("", b"GET / HTTP/1.1"),
    "a tab vanishes": ("/a\tb", b"GET /ab HTTP/1.1"),
    "a blank is not sent": ("/a b", b""),
    "a blank in a query is not sent": ("/a?b c", b""),
    "a letter beyond ASCII is not sent": ("/ü", b""),
    "a control character is not sent": ("/a\x7f", b""),
}


@rows("target, line", TARGETS)
def test_request_asks_for_plain_json_and_no_more(serve: Serve, target: str, line: bytes) -> None:
    requests: list[bytes] = []
    server = serve(recorded(requests))
    url = f"http://user:secret@127.0.0.1:{server.port}{target}"
    if not line:
        assert failure(url) in (failed("InvalidURL"), failed("UnicodeEncodeError"))
        assert b"".join(requests) == b""
        return
    fetch(url)
    head, *headers, last, empty = requests[0].split(b"\r\n")
    assert (head, last, empty) == (line, b"", b"")
    usual = [b"Accept-Encoding: identity", b"Accept: application/json", b"Connection: close"]
    ours = [b"Host: 127.0.0.1:%d" % server.port, b"User-Agent: flask-ssr-session"]
    assert sorted(headers) == usual + ours


def test_method_and_headers_can_be_given(serve: Serve) -> None:
    requests: list[bytes] = []
    url = serve(recorded(requests)).url

    request("OPTIONS", url, Deadline(30), {"Accept": "text/html", "api-key": "a b"})
    fetch_document(url, Deadline(30), {"api-key": "a b"})

    first, second = (data.split(b"\r\n") for data in requests)
    assert first[0] == b"OPTIONS /jwks.json HTTP/1.1"
    assert b"Accept: text/html" in first
    assert b"Accept: application/json" not in first
    assert b"api-key: a b" in first
    assert b"api-key: a b" in second


VALUES = ["a\r\nX: y", "a\nb", "a\rb", "a\0b", "\x7f", "\x1b[2J", "\u2028", "\u202e", "ключ"]


@pytest.mark.parametrize("text", VALUES, ids=ascii)
def test_header_cannot_write_others(serve: Serve, text: str) -> None:
    requests: list[bytes] = []
    server = serve(recorded(requests))

    for headers in ({"api-key": text}, {text: "x"}):
        with pytest.raises(FetchError, match=r"the connection failed \(\w+Error\)"):
            fetch_document(server.url, Deadline(30), headers)
    assert b"".join(requests) == b""


def test_debug_output_of_http_client_does_not_show_headers(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(HTTPConnection, "debuglevel", 1)

    fetch_document(serve(answer(ok(BODY))).url, Deadline(30), {"api-key": "secret"})

    assert capsys.readouterr().out == ""


@rows("name", {name: name for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")})
def test_no_proxy_is_used(serve: Serve, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, serve(answer(ok(b"from the proxy"))).url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    assert fetch(serve(answer(ok(BODY))).url)[0] == BODY
