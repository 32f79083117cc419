"""``FlaskSSRSession``: register everything with an app, in one atomic step."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, g, request_started

from .config import Settings
from .decorators import check_decorator_order
from .errors import ConfigError
from .pages import install_templates
from .places import is_left_alone
from .replies import finish, keep_form_early
from .state import EXTENSION_NAME, AppState, current_record, current_state, leave_request
from .views import make_blueprint


class FlaskSSRSession:
    """Keep SuperTokens sessions alive on the server-rendered pages of a Flask app.

    :param app: the app, or None to call :meth:`init_app` later.
    :param settings: defaults for the ``SSR_SESSION_*`` keys of ``app.config``, by the same names
        in lower case without the prefix; ``app.config`` wins.
    :raises ConfigError: an unknown name or an impossible value.

    One object serves any number of apps; what belongs to an app is kept with the app.
    """

    def __init__(self, app: Flask | None = None, **settings: Any) -> None:
        self._keywords = settings
        # Unknown keywords are refused where they are written, not where the app is made.
        Settings.from_mappings({}, settings)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Register the hook, the templates and the refresh page with *app*.

        Settings are read here, once; later changes of ``app.config`` are not seen. No network is
        used and the SuperTokens SDK may be initialised before or after.

        :raises ConfigError: a setting is wrong, or the app is set up already.
        """
        if EXTENSION_NAME in app.extensions:
            raise ConfigError(f"flask_ssr_session is set up for the app {app.name!r} already.")
        state = AppState(app, Settings.from_mappings(app.config, self._keywords))
        state.checks.append(check_decorator_order)
        install_templates(app)
        app.register_blueprint(make_blueprint(state.settings.refresh_path))
        # First before every other hook, so that all of them may rely on g.session; and last after
        # all of them, as functions after a request run in reverse order.
        app.before_request_funcs.setdefault(None, []).insert(0, _decide)
        app.after_request_funcs.setdefault(None, []).insert(0, _finish)
        app.teardown_request_funcs.setdefault(None, []).insert(0, _restore)
        request_started.connect(_forget, app)
        app.extensions[EXTENSION_NAME] = state

    def clear_keys(self) -> None:
        """Drop the signing keys of the current app in this process, and all remembered tokens.

        For a key that leaked: without it a removed key verifies for up to 300 s. The next token
        fetches the keys anew. Needs an app context.
        """
        current_state().clear_keys()


def _forget(_app: Flask, **_more: Any) -> None:
    # An app context may outlive a request (tests push one): its g still holds what came before.
    current_record()  # it notes whose g.session this was before
    g.session = None


def _decide() -> None:
    if not is_left_alone():
        state = current_state()
        state.verdict()
        keep_form_early(state)


def _finish(response: Response) -> Response:
    return finish(current_state(), response)


def _restore(_error: BaseException | None) -> None:
    leave_request()
