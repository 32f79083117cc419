"""``FlaskSSRSession``: register everything with an app, in one atomic step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from flask import Flask, Response, request_started

from .app_state import EXTENSION_NAME, AppState, current_request, current_state
from .cli import commands
from .conditional_requests import drop_conditions, may_ask_conditionally, unmark_tags
from .config.settings import Settings, SettingsKeywords
from .decorators import capture_form_before_hooks
from .dispatch import watch_dispatch
from .errors import ConfigError
from .navigation import is_exempt
from .pages.refresh_page import install_templates, warn_of_replaced_loader
from .responses import finish
from .setup_checks import check_setup, watch
from .views import make_blueprint, route_before_catch_alls

if TYPE_CHECKING:
    # Type checkers know it without the package; typing.Unpack needs Python 3.11.
    from typing_extensions import Unpack


class FlaskSSRSession:
    """Keep SuperTokens sessions alive on the server-rendered pages of a Flask app.

    :param app: the app, or None to call :meth:`init_app` later.
    :param settings: defaults for the ``SSR_SESSION_*`` keys of ``app.config``, by the same names
        in lower case without the prefix; ``app.config`` wins.
    :raises ConfigError: an unknown name or an impossible value.

    One object serves any number of apps; what belongs to an app is kept with the app.
    """

    def __init__(self, app: Flask | None = None, **settings: Unpack[SettingsKeywords]) -> None:
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
        state.preparations.append(watch_dispatch)
        watch_dispatch(state)
        state.checks.append(check_setup)
        state.checks.append(lambda _state, _deployment: warn_of_replaced_loader(state))
        install_templates(app)
        app.register_blueprint(make_blueprint(app, state.settings.refresh_path))
        # First before every other hook, so that all of them may rely on g.session; and last after
        # all of them, as functions after a request run in reverse order.
        decide, finish_response = _hooks(state)
        app.before_request_funcs.setdefault(None, []).insert(0, decide)
        app.after_request_funcs.setdefault(None, []).insert(0, finish_response)
        app.teardown_request_funcs.setdefault(None, []).insert(0, state.end_request)
        request_started.connect(state.begin_before_hook, app)
        if app.url_map.host_matching or app.subdomain_matching:
            # The app keeps it: signals hold their receivers weakly.
            app.extensions[f"{EXTENSION_NAME}_router"] = route = route_before_catch_alls(app)
            request_started.connect(route, app)
        app.cli.add_command(commands)
        watch(app)
        app.extensions[EXTENSION_NAME] = state

    def clear_keys(self) -> None:
        """Drop the signing keys of the current app in this process, and all remembered tokens.

        For a key that leaked: without it a removed key verifies for up to 300 s. The next token
        fetches the keys anew. A static key set stays: deploy another one.

        :raises MisuseError: ``init_app`` was not called for the current app.
        :raises RuntimeError: there is no app context.
        """
        current_state().clear_keys()


def _hooks(state: AppState) -> tuple[Callable[[], None], Callable[[Response], Response]]:
    """Return what runs before and after each request of the app."""

    def decide() -> None:
        asked = current_request()
        record = state.begin_request(asked)
        record.exempt = is_exempt(state, asked)
        if record.exempt:
            return
        verdict = state.verdict_on(asked, record)
        if not may_ask_conditionally(verdict.state):
            drop_conditions(asked)
        elif verdict.session is not None:
            unmark_tags(asked, verdict.session.session_handle)
        if verdict.session is None:
            capture_form_before_hooks(state, asked)

    def finish_response(response: Response) -> Response:
        return finish(state, response)

    return decide, finish_response
