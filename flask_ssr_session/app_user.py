"""Load the app's own user of a session with the app's ``user_loader``, once per session."""

from __future__ import annotations

from typing import Any

from flask import Request

from .app_state import AppState
from .errors import MisuseError
from .session import SSRSession


def load_user(app_state: AppState, request: Request, session: SSRSession | None) -> Any:
    """Return the app's user of *session*, which is that of *request*; None if it has none.

    What the loader raises is raised here, and the next call runs it again.

    :raises MisuseError: the app has no ``user_loader``.
    """
    loader = app_state.user_loader
    if loader is None:
        raise MisuseError(
            "current_user and user=True need a function that loads the app's user: decorate it "
            "with user_loader of your FlaskSSRSession."
        )
    if session is None:
        return None
    # Kept with the request object, as RequestState is.
    key = f"{app_state.request_key}_user"
    loaded_for, user = request.__dict__.get(key, (None, None))
    if loaded_for is not session:
        user = app_state.app.ensure_sync(loader)(session)
        request.__dict__[key] = session, user
    return user
