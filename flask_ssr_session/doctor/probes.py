"""Ask the app itself, without a server: what it says of its address, hooks, templates and pages."""

from __future__ import annotations

from collections.abc import Mapping
from email.message import Message
from typing import NamedTuple

from flask import Flask

from ..errors import FetchError
from ..hook_order import is_sdk_hook
from ..sansio.jwks import parse_key_set
from ..sansio.origins import parse_origin
from ..upstream.fetch import Reply


def front_page(app: Flask, website: str | None) -> str | None:
    """Return where browsers see the front page, as far as the SDK or the app's config says.

    :param website: the SDK's website origin.
    :raises ValueError: ``SERVER_NAME`` is no place that a browser can have.
    """
    if website is None and app.config["SERVER_NAME"]:
        website = parse_origin(
            f"{app.config['PREFERRED_URL_SCHEME']}://{app.config['SERVER_NAME']}"
        )
    return website and website + app.config["APPLICATION_ROOT"].rstrip("/")


def has_sdk_middleware(app: Flask) -> bool:
    """Tell whether the SDK's middleware is registered with the app."""
    return any(map(is_sdk_hook, app.before_request_funcs.get(None, [])))


def ask_app(app: Flask, front: str, path: str, headers: Mapping[str, str]) -> Answer:
    """Return what the app answers at a path below *front*."""
    try:
        response = app.test_client().get(path, base_url=front, headers=headers)
        message = Message()
        for name, value in response.headers:
            message[name] = value
        return Reply(response.status_code, message, response.data)
    except Exception as error:  # noqa: BLE001 - in debug, what the app raises comes out here
        return FetchError(f"the app failed with {type(error).__name__}")


Answer = Reply | FetchError


class ProbeResult(NamedTuple):
    """What was heard from an address, and when, in seconds since the epoch."""

    url: str
    answer: Answer
    at: float


def failure_text(answer: Answer) -> str:
    """Return in a few words why an answer is of no use."""
    if isinstance(answer, FetchError):
        return str(answer)
    return f"status {answer.status}" if answer.status != 200 else "not what was asked for"


def key_ids(answer: Answer) -> frozenset[str]:
    """Return the ids of the usable keys in an answer, none where it holds no key set."""
    if isinstance(answer, FetchError) or answer.status != 200:
        return frozenset()
    try:
        return frozenset(parse_key_set(answer.body))
    except FetchError:
        return frozenset()
