"""Render the whole page of this package, in the app's look if the app has one."""

from __future__ import annotations

import logging
import re

from flask import render_template

from ..app_state import AppState
from ..request_state import RequestState
from ..sansio.states import ResponseKind
from .jinja_env import (
    LOADER_ADVICE,
    LOADER_REPLACED,
    has_macro,
    is_loader_replaced,
    original_document,
    overridden_templates,
)
from .packaged_templates import DOCUMENT, MACRO
from .prerendered import unmodified_document
from .refresh_page import script_url


def render_document(state: RequestState, *, is_unmodified: bool) -> str:
    """Return the whole page for the request, in the app's look if the app has one.

    :param is_unmodified: the result of ``templates_are_unmodified()``.

    If a template of the app fails, the original is rendered and the cause is logged: the page that
    a visitor sees in an outage must not depend on the app's templates.
    """
    if is_unmodified:
        return unmodified_document()
    app_state = state.app_state
    try:
        page = render_template(DOCUMENT, refresh_page_template=MACRO)
    except Exception as error:  # noqa: BLE001 - the app's code may raise anything
        # The message may quote the app's values; the type and the template's location do not.
        problem = f"failed with {type(error).__name__}{_template_location(error)}"
        if not has_macro():
            problem = "defines no macro refresh_page()"
    else:
        # Without the script a visitor would stay on the refresh page for ever.
        is_refresh_page = state.page_plan.page is ResponseKind.REFRESH_PAGE
        if not is_refresh_page or _has_refresh_script(state, page):
            return page
        problem = (
            "lacks the script of the refresh page: call refresh_page() of "
            "flask_ssr_session/refresh_page.html"
        )
    if not is_loader_replaced(app_state.app):
        app_state.log.write(
            logging.ERROR,
            "override_broken",
            f"{_app_templates()} {problem}; the original is shown",
        )
    warn_of_replaced_loader(app_state)
    return original_document(app_state.app)


def warn_of_replaced_loader(app_state: AppState) -> None:
    """Log, once, that the app's templates cannot find those of this package."""
    if is_loader_replaced(app_state.app):
        app_state.warn_once("loader_replaced", f"{LOADER_REPLACED}: {LOADER_ADVICE}")


def _has_refresh_script(state: RequestState, page: str) -> bool:
    """Return whether *page* has the script of the refresh page.

    ``session_script()`` loads the same file in another mode.
    """
    script = re.escape(script_url(state.request, state.app_state.sdk_binding()))
    # The app's nonce may stand before the mode; Markup has escaped its brackets and quotes.
    return re.search(rf'<script src="{script}"[^<>]* data-mode="refresh"', page) is not None


def _app_templates() -> str:
    """Return which templates of the app the page consists of."""
    overridden = overridden_templates()
    return f"{' or '.join(overridden)} of the app" if overridden else "the app"


def _template_location(error: Exception) -> str:
    location = ""
    trace = error.__traceback__
    while trace is not None:
        # Jinja names its own frames after template files.
        if trace.tb_frame.f_code.co_filename.endswith(".html"):
            location = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return location
