"""Tokens that are refused are not kept; ``python -m tools.soak.memory`` measures it by millions."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable
from typing import Any

from flask import Flask, request
from werkzeug.test import EnvironBuilder, run_wsgi_app

from ..browser_requests import FETCH
from ..tables import rows
from ..tokens import expired_token, make_token
from .visitors import cookies


def is_kept(text: str) -> bool:
    """Return whether a container of this process holds a string with this text."""
    gc.collect()
    # The type itself: isinstance() would also ask the proxies of other libraries, which may raise.
    kinds = (dict, list, tuple, set)
    containers = (kept for kept in gc.get_objects() if issubclass(type(kept), kinds))
    for kept in containers:
        items: Iterable[object] = [*kept, *kept.values()] if isinstance(kept, dict) else [*kept]
        if any(issubclass(type(item), str) and text in str(item) for item in items):
            return True
    return False


TOKENS: dict[str, Any] = {
    "a token that is accepted": (make_token, 200, True),
    "an expired one": (expired_token, 401, False),
    "one of an unknown key": (lambda: make_token(header={"kid": "d-other"}), 401, False),
    "one with another's signature": (lambda: f"{make_token()[:-6]}AAAAAA", 401, False),
}


@rows("make, status, kept", TOKENS)
def test_only_verified_tokens_are_kept(app: Flask, make: object, status: int, kept: bool) -> None:
    assert callable(make)
    token = make()
    client = app.test_client(use_cookies=False)

    assert client.get("/account", headers=FETCH | cookies(token)).status_code == status
    assert is_kept(token[-200:-20]) is kept


def test_request_is_freed_without_the_garbage_collector(app: Flask) -> None:
    seen: list[Any] = []
    sent: Any = request  # the proxy
    app.before_request(lambda: seen.append(weakref.ref(sent._get_current_object())))
    headers = FETCH | cookies(make_token())
    environ = EnvironBuilder("/account", headers=[*headers.items()]).get_environ()

    gc.disable()
    try:
        assert run_wsgi_app(app, environ, buffered=True)[1] == "200 OK"
        assert seen[0]() is None
    finally:
        gc.enable()
