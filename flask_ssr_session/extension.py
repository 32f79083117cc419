"""``FlaskSSRSession``: set everything up for an app, in one atomic step."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from flask import Flask, request_started

from .app_state import APPS, EXTENSION_NAME, AppState, current_state
from .cli import commands
from .config.field_types import takes_one_argument
from .config.settings import Settings
from .current_session import install_current_user
from .dispatch_watch import watch_dispatch
from .errors import ConfigError, MisuseError
from .hooks import begin_requests_early
from .pages.document import warn_of_replaced_loader
from .pages.template_guard import install_templates
from .session import SSRSession
from .views import make_blueprint, route_before_catch_alls

if TYPE_CHECKING:
    # Type checkers know it without the package; typing.Unpack needs Python 3.11.
    from typing_extensions import Unpack

    from .config.settings import SettingsKeywords


_UserLoader = TypeVar("_UserLoader", bound="Callable[[SSRSession], Any]")


class FlaskSSRSession:
    """Keep SuperTokens sessions alive on the server-rendered pages of a Flask app.

    :param app: the app, or None to call :meth:`init_app` later.
    :param settings: defaults for the ``SSR_SESSION_*`` keys of ``app.config``, by the same names
        in lower case without the prefix; ``app.config`` wins.
    :param is_revoked: called with the session of a page that needs one; returns whether the app has
        revoked it. The page is unavailable if it returns None or raises. It runs for every such
        request, so it should answer from memory or a fast store within its own time limit.
    :raises ConfigError: an unknown name or an impossible value.

    One object serves any number of apps; the state of an app is kept with the app.
    """

    def __init__(
        self,
        app: Flask | None = None,
        *,
        is_revoked: Callable[[SSRSession], Any] | None = None,
        **settings: Unpack[SettingsKeywords],
    ) -> None:
        is_plain = takes_one_argument(is_revoked) and not inspect.iscoroutinefunction(is_revoked)
        if is_revoked is not None and not is_plain:
            raise ConfigError("is_revoked takes a plain function of one argument, the session.")
        self._is_revoked = is_revoked
        self._user_loader: Callable[[SSRSession], Any] | None = None
        self._keywords = settings
        # An unknown keyword raises where it is written, not where the app is created.
        Settings.from_mappings({}, settings)
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Add the hook, the templates and the refresh page to *app*.

        Settings are read here, once; later changes of ``app.config`` have no effect. This uses no
        network, and the SuperTokens SDK may be initialised before or after.

        :raises ConfigError: a setting is wrong, or the app is set up already.
        """
        # Loaded here: not with the package, whose import commands want to be fast (cryptography
        # alone takes 12 ms); and not by a request, because a child forked during an import would
        # wait for it for ever.
        from .sansio import form_replay, signature  # noqa: F401
        from .setup_checks import check_setup
        from .upstream import session_lookup  # noqa: F401

        if EXTENSION_NAME in app.extensions:
            raise ConfigError(f"flask_ssr_session is set up for the app {app.name!r} already.")
        settings = Settings.from_mappings(app.config, self._keywords)
        if settings.jwks is None:
            from .upstream import key_age  # noqa: F401 - it fetches the keys
        app_state = AppState(
            app, settings, is_revoked=self._is_revoked, user_loader=lambda: self._user_loader
        )
        app_state.preparations += [watch_dispatch, install_current_user]
        watch_dispatch(app_state)
        app_state.checks.append(check_setup)
        app_state.checks.append(lambda _app_state, _resolved: warn_of_replaced_loader(app_state))
        install_templates(app)
        app.register_blueprint(make_blueprint(app, app_state.settings.refresh_path))
        begin_requests_early(app_state)
        if app.url_map.host_matching or app.subdomain_matching:
            app_state.receivers.append(route := route_before_catch_alls(app))
            request_started.connect(route, app)
        app.cli.add_command(commands)
        APPS[id(app)] = app
        app.extensions[EXTENSION_NAME] = app_state

    def user_loader(self, loader: _UserLoader) -> _UserLoader:
        """Register the function that returns the app's user of a session; a decorator.

        *loader*, plain or async, takes the :class:`SSRSession` and returns the app's user, or None
        if the app has none for it. It runs when ``current_user`` is first used, or a view asks for
        ``user=True``, at most once per request unless the session changes; never without a session.
        What it raises reaches the view::

            @ssr_session.user_loader
            def load_user(session):
                return db.session.get(User, session.user_id)

        :raises MisuseError: *loader* cannot be called with one argument.
        """
        if not takes_one_argument(loader):
            raise MisuseError("user_loader takes a function of one argument, the session.")
        self._user_loader = loader
        return loader

    def clear_keys(self) -> None:
        """Drop the signing keys of the current app in this process, and all cached tokens.

        Call it if a key leaked: otherwise a removed key verifies for up to 300 s. The next token
        fetches the keys again. A static key set stays: deploy another one.

        :raises MisuseError: ``init_app`` was not called for the current app.
        :raises RuntimeError: there is no app context.
        """
        current_state().clear_keys()
