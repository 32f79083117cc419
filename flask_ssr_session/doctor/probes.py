"""Ask the app itself, without a server: what it says of its address, hooks, templates and pages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message

from flask import Flask

from ..app_state import AppState, current_request
from ..errors import FetchError
from ..hook_order import is_sdk_hook
from ..pages.jinja_env import (
    LOADER_ADVICE,
    LOADER_REPLACED,
    is_loader_replaced,
    templates_are_unmodified,
)
from ..pages.refresh_page import render_document
from ..sansio.origins import parse_origin
from ..sansio.states import Reason
from ..sansio.verdict import Verdict
from ..throttled_log import ThrottledLog
from ..upstream.fetch import FetchedResponse
from .check_keys import Answer
from .finding import Finding, ok, problem

# One for each page of ours that an app's template may have to show.
_SITUATIONS = (Reason.EXPIRED, Reason.ANONYMOUS, Reason.KEYS_UNAVAILABLE, Reason.CROSS_SITE)


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


def answers_api(app: Flask) -> bool:
    """Tell whether the SDK's middleware is registered with the app."""
    return any(map(is_sdk_hook, app.before_request_funcs.get(None, [])))


class _Heard(ThrottledLog):
    """Keeps what would be logged of templates that failed."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def write(
        self,
        level: int,  # noqa: ARG002
        reason: str,
        message: str,
        *,
        exc_info: BaseException | None = None,  # noqa: ARG002
    ) -> None:
        if reason == "override_broken":
            self.messages.append(message)


@contextmanager
def _listening(state: AppState) -> Iterator[list[str]]:
    """Hear what the package would log of the app; this process serves nobody else."""
    log, state.log = state.log, (heard := _Heard())
    try:
        yield heard.messages
    finally:
        state.log = log


def check_templates(state: AppState, front: str | None) -> Finding:
    """Let the app's own templates show each of our pages, as they would to a visitor."""
    if is_loader_replaced(state.app):
        return problem("templates", LOADER_REPLACED, LOADER_ADVICE)
    for reason in _SITUATIONS:
        try:
            with (
                _listening(state) as heard,
                state.app.test_request_context(state.settings.refresh_path, base_url=front),
            ):
                if templates_are_unmodified():
                    return ok("templates", "the refresh page has its original look")
                # Hooks of the app may set what its templates show.
                state.app.preprocess_request()
                state.record(current_request()).verdict = Verdict(reason)
                render_document()
        except Exception as error:  # noqa: BLE001 - the app's code, anything may come out
            return problem(
                "templates",
                f"the refresh page cannot be rendered in this app ({type(error).__name__})",
                "see what before_request, context processors and csp_nonce() do there",
            )
        if heard:
            return problem("templates", heard[0], "mend the template, or take it out")
    return ok("templates", "the app's own templates show every page of ours")


def ask_app(app: Flask, front: str, path: str, headers: Mapping[str, str]) -> Answer:
    """Return what the app answers at a path below *front*."""
    try:
        response = app.test_client().get(path, base_url=front, headers=headers)
        message = Message()
        for name, value in response.headers:
            message[name] = value
        return FetchedResponse(response.status_code, message, response.data)
    except Exception as error:  # noqa: BLE001 - in debug, what the app raises comes out here
        return FetchError(f"the app failed with {type(error).__name__}")
