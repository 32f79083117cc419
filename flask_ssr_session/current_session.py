"""Get the session of the current request, and the app's user, outside templates."""

from __future__ import annotations

from typing import Any

from flask import has_request_context
from werkzeug.local import LocalProxy

from .app_state import AppState
from .app_user import load_user
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


def get_current_user() -> Any:
    """Return the app's user of the current request; None without a user, a session or a request.

    The app's ``user_loader`` runs at the first call, and again if the session has changed: after
    the core was asked, the session has the core's claims. What it raises is raised here.

    :raises MisuseError: the app has no ``user_loader``, or ``init_app`` was not called for it.
    """
    if not has_request_context():
        return None
    state = current_request_state()
    state.decide()
    return load_user(state.app_state, state.request, state.session)


# A LocalProxy; the app alone knows the type of its users.
current_user: Any = LocalProxy(get_current_user)
"""The user that :func:`get_current_user` returns; false without one. Also a template global.

It is a proxy of the user: where the user itself is needed, for instance as a value of a database
column, call :func:`get_current_user`.
"""


def install_current_user(app_state: AppState) -> None:
    """Add ``current_user`` to the templates of an app that has a ``user_loader``.

    Flask-Login has a template variable of the same name. If it is set up, that one stays.
    """
    if app_state.user_loader is not None and not hasattr(app_state.app, "login_manager"):
        app_state.app.jinja_env.globals.setdefault("current_user", current_user)
