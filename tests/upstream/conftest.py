"""Servers on loopback ports, and the fetches from them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest

from flask_ssr_session.errors import FetchError
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.fetch import fetch_document

from ..key_servers import Behaviour, KeyServer, ok, read_request

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


def fetch(url: str, seconds: float = 30.0) -> tuple[bytes, float | None]:
    return fetch_document(url, Deadline(seconds))


def failure(url: str, seconds: float = 30.0) -> str:
    with pytest.raises(FetchError) as caught:
        fetch(url, seconds)
    return str(caught.value)


def recorded(requests: list[bytes]) -> Behaviour:
    def behave(connection: socket.socket) -> None:
        requests.append(read_request(connection))
        connection.sendall(ok(BODY))

    return behave
