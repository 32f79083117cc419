"""Get the session of the current request outside templates."""

from __future__ import annotations

from .request_state import current_request_state
from .sansio.states import SessionState
from .session import SSRSession


def get_ssr_session() -> SSRSession | None:
    """Return the session of the current request, typed; None if it has none.

    :raises MisuseError: ``init_app`` was not called for this app.

    An assignment to ``g.session`` by the app does not change it.
    """
    state = current_request_state()
    state.decide()
    return state.session


def get_session_state() -> SessionState:
    """Return the state of the current request's session, for layouts and views.

    :raises MisuseError: ``init_app`` was not called for this app.

    Offer "Sign in" only in the state ``ANONYMOUS``: in ``REFRESH`` and ``UNAVAILABLE`` the visitor
    may be signed in. In templates, its value is ``session_state``.
    """
    return current_request_state().decide().state
