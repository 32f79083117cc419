"""The template global ``needs_refresh``: it fails closed, however a template uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, has_request_context
from werkzeug.local import LocalProxy

from ..request_state import current_request_state
from ..sansio.states import SessionState
from .jinja_env import install_loader
from .languages import current_language
from .prerendered import view_in_template
from .refresh_page import chosen_texts, page_kind, session_script
from .sign_out import sign_out_view


class NeedsRefresh:
    """The template global ``needs_refresh``: true unless the page may show its content.

    It works as a value and as a call. Its truth value never raises, and is true without a request.
    ``needs_refresh(optional=True)`` is false for visitors without a session and in an outage: the
    page has content for them.

    The result of a call is evaluated at each use, too: Jinja runs the top of a file that is
    imported without context once per process, for the first visitor.
    """

    def __init__(self, optional: bool = False) -> None:
        self._optional = optional

    def __call__(self, *, optional: bool = False) -> NeedsRefresh:
        """Return whether the content is withheld.

        :param optional: visitors without a session may see the content, with ``g.session`` None.
        """
        return NeedsRefresh(optional)

    def __bool__(self) -> bool:
        if not has_request_context():
            return True
        # Fails closed: templates of error pages and streams use it too, and must not crash. The
        # hook has raised a setup error already.
        try:
            state = current_request_state()
            scope = state.scope
            scope.set_template_optional(self._optional)
            optional = self._optional or scope.requirements.optional
            is_shown = state.is_admitted(optional=optional)
            if is_shown and optional:
                state.optional_shown = True
            elif is_shown:
                # The page belongs to one visitor, exactly as behind session_required.
                state.protected = True
            return not is_shown
        except Exception:  # noqa: BLE001
            return True

    # A template may use it as a bool or, as with any bool in Python, as a number. No such use may
    # show the content by mistake.
    def __eq__(self, other: object) -> bool:
        return bool(self) == other if isinstance(other, (int, float, NeedsRefresh)) else False

    def __index__(self) -> int:
        return int(bool(self))

    def __float__(self) -> float:
        return float(bool(self))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return str(bool(self))


def session_state() -> str:
    """Return the value of ``get_session_state()``, for templates; it never raises.

    Without a request it is ``anonymous``.
    """
    if not has_request_context():
        return SessionState.ANONYMOUS.value
    try:
        return current_request_state().decide().state.value
    except Exception:  # noqa: BLE001 - as for needs_refresh
        return SessionState.UNAVAILABLE.value


def install_templates(app: Flask) -> None:
    """Add the templates of this package to *app*, after all of its own, and the globals."""
    install_loader(app)
    environment = app.jinja_env
    # Jinja's "is true" compares by identity, so it would be false for this global, and the template
    # would show the content.
    for name in ("boolean", "false", "sameas", "true"):
        environment.tests[name] = _unwrap_needs_refresh(environment.tests[name])
    environment.globals.update(
        needs_refresh=NeedsRefresh(),
        session_script=session_script,
        session_state=LocalProxy(session_state),
        ssr_language=current_language,
        ssr_page_kind=page_kind,
        ssr_refresh_texts=chosen_texts,
        ssr_refresh_view=view_in_template,
        ssr_sign_out_view=sign_out_view,
    )


def _unwrap_needs_refresh(test: Any) -> Callable[..., Any]:
    def unwrapping_test(value: object, *args: object) -> Any:
        return test(bool(value) if isinstance(value, NeedsRefresh) else value, *args)

    return unwrapping_test
