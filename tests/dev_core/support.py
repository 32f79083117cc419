"""Clocks for the development core, and a plain HTTP client for any core."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

CDI = {"cdi-version": "5.4"}
CONTROL = {"x-development-core": "1"}


class LaggingClock:
    """A clock some seconds behind the machine's.

    The SDK checks tokens by the machine's clock, so the tokens of a core with this clock look old.
    """

    def __init__(self) -> None:
        self.seconds_behind = 0.0

    def __call__(self) -> float:
        return time.time() - self.seconds_behind


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.text)


def send(
    uri: str, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] = CDI
) -> Answer:
    """Send one request; what is not bytes is encoded as JSON."""
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    connection = http.client.HTTPConnection(urlsplit(uri).netloc, timeout=10)
    try:
        connection.request(method, path, body=content, headers=dict(headers))
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(), dict(response.headers))
    finally:
        connection.close()
