"""Check that the app's templates can show every page of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..app_state import AppState
from ..pages.document import render_document
from ..pages.jinja_env import (
    LOADER_ADVICE,
    LOADER_REPLACED,
    is_loader_replaced,
    templates_are_unmodified,
)
from ..request_state import request_state_of
from ..sansio.states import Reason
from ..sansio.verdict import Verdict
from ..throttled_log import ThrottledLog
from .environment import Environment
from .finding import Finding, ok, problem

# One for each page that a template of the app may have to show.
_REASONS = (Reason.EXPIRED, Reason.ANONYMOUS, Reason.KEYS_UNAVAILABLE, Reason.CROSS_SITE)


class _RecordingLog(ThrottledLog):
    """Keeps the messages about failed templates instead of logging them."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def write(self, level: int, reason: str, message: str) -> None:  # noqa: ARG002
        if reason == "override_broken":
            self.messages.append(message)


@contextmanager
def _recorded_log(state: AppState) -> Iterator[list[str]]:
    """Record what the package logs about the app; this process serves no requests."""
    log, state.log = state.log, (recording := _RecordingLog())
    try:
        yield recording.messages
    finally:
        state.log = log


def check_templates(environment: Environment) -> Iterator[Finding]:
    """Render each page of this package with the app's own templates."""
    state = environment.state
    if environment.rejects_requests:
        return
    if is_loader_replaced(state.app):
        yield problem("templates", LOADER_REPLACED, LOADER_ADVICE)
        return
    for reason in _REASONS:
        try:
            with (
                _recorded_log(state) as messages,
                state.app.test_request_context(
                    state.settings.refresh_path, base_url=environment.front_page
                ),
            ):
                if templates_are_unmodified():
                    yield ok("templates", "the refresh page has its original look")
                    return
                # Hooks of the app may set values that its templates show.
                state.app.preprocess_request()
                request_state = request_state_of(state)
                request_state.set_verdict(Verdict(reason))
                render_document(request_state, is_unmodified=False)
        except Exception as error:  # noqa: BLE001 - the app's code can raise anything
            yield problem(
                "templates",
                f"the refresh page cannot be rendered in this app ({type(error).__name__})",
                "check what before_request functions, context processors and csp_nonce() do",
            )
            return
        if messages:
            yield problem(
                "templates",
                messages[0],
                "fix the template, or remove it: in pages that call its macro, nothing replaces it",
            )
            return
    yield ok("templates", "the app's own templates show every page of this package")
