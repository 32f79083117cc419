"""A request is decided once and rendered once: what its response needs is computed once."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

import pytest
from flask import Flask

from flask_ssr_session.pages.refresh_page import refresh_view
from flask_ssr_session.request_facts import read_facts
from flask_ssr_session.sansio.request_kind import kind_of_request
from flask_ssr_session.sansio.response_policy import plan_response
from flask_ssr_session.sansio.return_path import redirect_target
from flask_ssr_session.sansio.verdict import decide
from flask_ssr_session.sign_in import is_sign_in_page
from tests.browser_requests import FETCH, PAGE
from tests.tokens import expired_token, make_token

from .conftest import cookies

ALL = (decide, plan_response, read_facts, kind_of_request, redirect_target, is_sign_in_page)


def count_calls(action: Callable[[], Any], *functions: Any) -> dict[str, int]:
    """Return how often *action* calls each of *functions*, wherever from."""
    names: dict[CodeType, str] = {function.__code__: function.__name__ for function in functions}
    counts: Counter[str] = Counter(dict.fromkeys(names.values(), 0))

    def count(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code in names:
            counts[names[frame.f_code]] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        action()
    finally:
        sys.setprofile(before)
    return dict(counts)


@pytest.mark.parametrize(
    ("path", "headers", "token", "rendered"),
    [
        pytest.param("/account?q=1", PAGE, expired_token(), 1, id="expired page"),
        pytest.param("/page", PAGE, expired_token(), 1, id="expired page of a template"),
        pytest.param("/account", FETCH, expired_token(), 0, id="expired fetch"),
        pytest.param("/account", PAGE, None, 0, id="page of a visitor without a session"),
    ],
)
def test_refused_request_is_decided_once(
    app: Flask, path: str, headers: dict[str, str], token: str | None, rendered: int
) -> None:
    client = app.test_client(use_cookies=False)
    headers = headers | cookies(token) if token else headers
    client.get(path, headers=headers)

    counts = count_calls(lambda: client.get(path, headers=headers), *ALL, refresh_view)

    assert counts == {**{each.__name__: 1 for each in ALL}, "refresh_view": rendered}


def test_active_request_computes_nothing_for_a_response_that_it_does_not_get(
    app: Flask,
) -> None:
    client = app.test_client(use_cookies=False)
    headers = PAGE | cookies(make_token())
    client.get("/account", headers=headers)

    counts = count_calls(lambda: client.get("/account", headers=headers), *ALL, refresh_view)

    assert counts == {**{each.__name__: 0 for each in ALL}, "refresh_view": 0, "decide": 1}
