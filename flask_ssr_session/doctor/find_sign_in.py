"""Find where a visitor of the front page signs in; the app may decide it for each request."""

from __future__ import annotations

from ..app_state import AppState
from ..config.field_types import is_address
from ..config.resolved import ResolvedSettings
from ..flask_context import current_request
from ..hooks import begin_request
from ..sansio.app_code import raise_misuse
from ..sign_in_url import locate_sign_in


def find_login_url(
    state: AppState, resolved: ResolvedSettings, front_page: str | None
) -> str | None:
    """Return path or URL of sign-in for a visitor of *front_page*; None if the app gives none."""
    setting, app = resolved.login_url, state.app
    if isinstance(setting, str) and is_address(setting):
        return setting
    try:
        with app.test_request_context(base_url=front_page):
            begin_request(state)
            request = current_request()
            # Hooks would ask for a session; these functions may set the language.
            for function in app.url_value_preprocessors.get(None, ()):
                function(request.endpoint, request.view_args)
            return locate_sign_in(request, resolved, raise_misuse)
    except Exception:  # noqa: BLE001 - the app's code can raise anything
        return None
