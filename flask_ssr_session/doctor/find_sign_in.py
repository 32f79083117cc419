"""Find where a visitor of the front page signs in; the app may decide it for each request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Request

from ..app_state import AppState
from ..config.field_types import is_address
from ..config.resolved import ResolvedSettings
from ..flask_context import current_request
from ..hooks import begin_request
from ..sansio.app_code import raise_misuse
from ..sign_in import has_sign_in_route
from ..sign_in_url import locate_sign_in


def find_login_url(
    state: AppState, resolved: ResolvedSettings, front_page: str | None
) -> str | None:
    """Return path or URL of sign-in for a visitor of *front_page*; None if the app gives none."""
    setting = resolved.login_url
    if isinstance(setting, str) and is_address(setting):
        return setting
    try:
        with _visit(state, front_page) as request:
            return locate_sign_in(request, resolved, raise_misuse)
    except Exception:  # noqa: BLE001 - the app's code can raise anything
        return None


def has_sign_in_view(state: AppState, resolved: ResolvedSettings, front_page: str | None) -> bool:
    """Return whether a view serves the sign-in page; true if sign-in is not in this app."""
    try:
        with _visit(state, front_page) as request:
            return has_sign_in_route(request, resolved)
    except Exception:  # noqa: BLE001 - as above
        return True


@contextmanager
def _visit(state: AppState, front_page: str | None) -> Iterator[Request]:
    with state.app.test_request_context(base_url=front_page):
        begin_request(state)
        request = current_request()
        # Hooks would ask for a session; these functions may set the language.
        for function in state.app.url_value_preprocessors.get(None, ()):
            function(request.endpoint, request.view_args)
        yield request
