"""Check that the app's templates can show every page of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..app_state import AppState, current_request
from ..pages.jinja_env import (
    LOADER_ADVICE,
    LOADER_REPLACED,
    is_loader_replaced,
    templates_are_unmodified,
)
from ..pages.refresh_page import render_document
from ..sansio.states import Reason
from ..sansio.verdict import Verdict
from ..throttled_log import ThrottledLog
from .finding import Finding, ok, problem

# One for each page of ours that an app's template may have to show.
_SITUATIONS = (Reason.EXPIRED, Reason.ANONYMOUS, Reason.KEYS_UNAVAILABLE, Reason.CROSS_SITE)


class _RecordingLog(ThrottledLog):
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
def _recorded_log(state: AppState) -> Iterator[list[str]]:
    """Hear what the package would log of the app; this process serves nobody else."""
    log, state.log = state.log, (heard := _RecordingLog())
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
                _recorded_log(state) as heard,
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
