"""Our packaged templates, compiled as they were written, whatever the app made of its Jinja.

An app may have other delimiters, no escaping, a ``finalize`` or extensions that rewrite sources.
Its own templates, overrides of ours among them, stay with its environment; ours have their own,
and each can import, call and extend the other.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from flask import Flask, current_app
from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    Template,
    TemplateNotFound,
)

from ..errors import ConfigError

DOCUMENT = "refresh_document.html"
MACRO = "refresh_page.html"
TEMPLATE_PREFIX = "flask_ssr_session/"

_EXTENSION_NAME = "ssr_session_templates"


def templates_folder() -> Path:
    """Return the folder of our templates: in the package, or beside it in a checkout.

    :raises ConfigError: they are in neither place.
    """
    package = Path(__file__).resolve().parents[1]
    inside = package / "templates"
    if (inside / MACRO).is_file():
        return inside
    # Only a checkout of this project counts, not somebody's site-packages/templates.
    beside = package.parent / "templates"
    if (package.parent / "hatch_build.py").is_file() and (beside / MACRO).is_file():
        return beside
    raise ConfigError("the templates of flask_ssr_session are missing: install it with pip")


class _PackagedEnvironment(Environment):
    """Compiles our templates; what they import by other names is the app's."""

    def __init__(self, app: Flask, loader: _PackagedLoader, *, is_async: bool) -> None:
        super().__init__(
            loader=PrefixLoader({TEMPLATE_PREFIX.rstrip("/"): loader}),
            autoescape=True,
            auto_reload=False,
            enable_async=is_async,
        )
        self._app = app
        # One dictionary for both, so that what the app adds later is seen here, too.
        self.globals = app.jinja_env.globals

    def get_template(
        self,
        name: str | Template,
        parent: str | None = None,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - as Jinja names it
    ) -> Template:
        """Return a template of ours, or by any other name the app's."""
        if isinstance(name, str) and not name.startswith(TEMPLATE_PREFIX):
            return self._app.jinja_env.get_template(name, parent, globals)
        return super().get_template(name, parent, globals)


class _PackagedLoader(FileSystemLoader):
    """Loads our templates into environments of ours, for whichever environment asks.

    :ivar entrance: finds the app's templates and ours.
    """

    def __init__(self, app: Flask) -> None:
        super().__init__(templates_folder())
        # Flask's own loader asks the app and then every blueprint, late ones too. Ours comes last.
        loaders = [app.jinja_env.loader] if app.jinja_env.loader else []
        below = PrefixLoader({TEMPLATE_PREFIX.rstrip("/"): self})
        self.entrance = ChoiceLoader([*loaders, self, below])
        # A macro that awaits cannot be called by one that does not, so there is one of each.
        self._environments = {
            is_async: _PackagedEnvironment(app, self, is_async=is_async)
            for is_async in (False, True)
        }

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002
    ) -> Template:
        """Return a template of ours that templates of *environment* can import and extend."""
        return super().load(self._environments[environment.is_async], name, globals)

    def original(self, name: str) -> Template:
        """Return a template of ours that depends on nothing of the app's but its globals."""
        return self._environments[False].get_template(TEMPLATE_PREFIX + name)


def install_loader(app: Flask) -> None:
    """Let the templates of *app* find ours: by their names, and below ``TEMPLATE_PREFIX``."""
    app.extensions[_EXTENSION_NAME] = ours = _PackagedLoader(app)
    app.jinja_env.loader = ours.entrance


def original_document(app: Flask) -> Template:
    """Return our whole page in its original look, which no template of *app* can break."""
    loader: _PackagedLoader = app.extensions[_EXTENSION_NAME]
    return loader.original(DOCUMENT)


def is_loader_replaced(app: Flask) -> bool:
    """Return whether *app* has put a loader in the place of the one that finds our templates."""
    if app.jinja_env.loader is app.extensions[_EXTENSION_NAME].entrance:
        return False  # as nearly always; to load a template takes some milliseconds
    try:
        app.jinja_env.get_template(TEMPLATE_PREFIX + MACRO)
    except TemplateNotFound as error:
        return error.name == TEMPLATE_PREFIX + MACRO
    except Exception:  # noqa: BLE001 - a file of the app's by that name, which is found
        return False
    return False


LOADER_REPLACED = (
    "app.jinja_env.loader was replaced after flask_ssr_session was set up, so templates cannot "
    f"import {MACRO}"
)
LOADER_ADVICE = (
    "set app.jinja_loader instead, or the loader before FlaskSSRSession(app), or "
    "ChoiceLoader([yours, app.jinja_env.loader])"
)


def templates_are_unmodified() -> bool:
    """Return whether the app overrides neither of our templates, so that we know what they use."""
    ours = templates_folder()
    for name in (DOCUMENT, MACRO):
        try:
            filename = current_app.jinja_env.get_template(name).filename
        except Exception:  # noqa: BLE001 - an override that does not even compile
            return False
        if filename is None or Path(filename).parent != ours:
            return False
    return True
