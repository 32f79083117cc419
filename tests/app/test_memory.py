"""Tokens that are refused take no memory; ``python -m tools.soak.memory`` sends millions."""

from __future__ import annotations

import gc
import tracemalloc

from flask import Flask

from ..browser_requests import FETCH
from ..tokens import make_token
from .conftest import cookies


def test_refused_tokens_leave_nothing_behind(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    head, payload, signature = make_token().split(".")
    found: set[int] = set()

    def bytes_after(start: int, count: int) -> int:
        """Refuse so many by their header, payload, signature and key id."""
        for number in range(start, start + count):
            for token in (
                f"{head}{number}.{payload}.{signature}",
                f"{head}.{payload}{number}.{signature}",
                f"{head}.{payload}.{signature[:-6]}{number:06}",
                make_token(header={"kid": f"d-{number}"}),
            ):
                found.add(client.get("/account", headers=FETCH | cookies(token)).status_code)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start(1)
    try:
        before = bytes_after(0, 100)
        after = bytes_after(100, 100)
    finally:
        tracemalloc.stop()

    assert found == {401}
    # The smallest object with its reference is larger.
    assert after - before < 400 * 24
