"""Compile the packaged templates as they are written, however the app configures its Jinja.

An app may have other delimiters, no escaping, a ``finalize`` or extensions that rewrite sources.
The app's templates, its overrides included, stay with its environment; the packaged templates have
their own. Each can import, call and extend the other.
"""

from __future__ import annotations

from collections.abc import Hashable, MutableMapping
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, current_app
from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    Template,
    TemplateNotFound,
)

from .packaged_templates import DOCUMENT, MACRO, NOTICE, TEMPLATE_PREFIX, templates_folder
from .refresh_view import RefreshView

if TYPE_CHECKING:
    from ..sansio.languages import Language

_EXTENSION_NAME = "ssr_session_templates"

# What the templates show in place of the current request's own view.
template_view: ContextVar[RefreshView | None] = ContextVar("ssr_template_view", default=None)


class _PackagedEnvironment(Environment):
    """Compiles the packaged templates; other names that they import are the app's."""

    def __init__(self, app: Flask, loader: _PackagedLoader, *, is_async: bool) -> None:
        super().__init__(
            loader=PrefixLoader({TEMPLATE_PREFIX.rstrip("/"): loader}),
            autoescape=True,
            auto_reload=False,
            enable_async=is_async,
        )
        self._app = app
        # One dictionary for both environments: the app may add globals later.
        self.globals = app.jinja_env.globals

    def get_template(
        self,
        name: str | Template,
        parent: str | None = None,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002 - as Jinja names it
    ) -> Template:
        """Return a packaged template, or for any other name the app's."""
        if isinstance(name, str) and not name.startswith(TEMPLATE_PREFIX):
            return self._app.jinja_env.get_template(name, parent, globals)
        return super().get_template(name, parent, globals)


class _PackagedLoader(FileSystemLoader):
    """Loads the packaged templates into their own environments, for whichever loads them.

    :ivar entrance: the loader of the app: it finds the app's templates and the packaged ones.
    """

    def __init__(self, app: Flask) -> None:
        super().__init__(templates_folder())
        # Flask's own loader searches the app and then every blueprint, including late ones. The
        # packaged templates come last.
        loaders = [app.jinja_env.loader] if app.jinja_env.loader else []
        prefixed = PrefixLoader({TEMPLATE_PREFIX.rstrip("/"): self})
        self.entrance = ChoiceLoader([*loaders, self, prefixed])
        # A synchronous template cannot call an asynchronous macro, so there is one environment of
        # each kind.
        self._environments = {
            is_async: _PackagedEnvironment(app, self, is_async=is_async)
            for is_async in (False, True)
        }
        # Rendering costs more than everything else that session_script() does.
        self.render_notice = lru_cache(maxsize=64)(self._render_notice)
        self.render_page = lru_cache(maxsize=64)(self._render_page)

    def load(
        self,
        environment: Environment,
        name: str,
        globals: MutableMapping[str, Any] | None = None,  # noqa: A002
    ) -> Template:
        """Return a packaged template that templates of *environment* can import and extend."""
        return super().load(self._environments[environment.is_async], name, globals)

    def _render_notice(self, **values: Hashable) -> str:
        return self.original(NOTICE).render(values)

    def _render_page(self, _language: Language, **view: Any) -> tuple[str, ...]:
        # The templates ask for the language themselves; here it is part of the cache's key only.
        token = template_view.set(RefreshView(**view))
        try:
            return tuple(self.original_document().split("\0"))
        finally:
            template_view.reset(token)

    def original_document(self) -> str:
        """Return the whole page in its original look, which no template of the app can break."""
        return self.original(DOCUMENT).render(refresh_page_template=TEMPLATE_PREFIX + MACRO)

    def original(self, name: str) -> Template:
        """Return a packaged template that uses nothing of the app but its globals."""
        return self._environments[False].get_template(TEMPLATE_PREFIX + name)


def install_loader(app: Flask) -> None:
    """Make *app* find the packaged templates by their names and below ``TEMPLATE_PREFIX``."""
    app.extensions[_EXTENSION_NAME] = loader = _PackagedLoader(app)
    app.jinja_env.loader = loader.entrance


def original_document(app: Flask) -> str:
    """Return the whole page in its original look, which no template of *app* can break."""
    loader: _PackagedLoader = app.extensions[_EXTENSION_NAME]
    return loader.original_document()


def render_page(app: Flask, view: RefreshView, language: Language) -> tuple[str, ...]:
    """Return the whole page of *view* in its original look, rendered once for the same values.

    The page is split at the placeholders of *view*, null characters around a name. Every second
    part is such a name.

    :param language: that of the current request.
    """
    loader: _PackagedLoader = app.extensions[_EXTENSION_NAME]
    return loader.render_page(language, **vars(view))


def render_notice(app: Flask, **values: Hashable) -> str:
    """Return the notice for other users, rendered once for the same values."""
    loader: _PackagedLoader = app.extensions[_EXTENSION_NAME]
    return loader.render_notice(**values)


def is_loader_replaced(app: Flask) -> bool:
    """Return whether *app* has replaced the loader that finds the packaged templates."""
    if app.jinja_env.loader is app.extensions[_EXTENSION_NAME].entrance:
        return False  # the usual case; loading a template takes milliseconds
    try:
        app.jinja_env.get_template(TEMPLATE_PREFIX + MACRO)
    except TemplateNotFound as error:
        return error.name == TEMPLATE_PREFIX + MACRO
    except Exception:  # noqa: BLE001 - the app has a file of that name, so the loader found it
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


def overridden_templates() -> list[str]:
    """Return the names of the packaged templates that the app overrides."""
    overridden = []
    environment = current_app.jinja_env
    for name in (DOCUMENT, MACRO):
        try:
            filename = environment.get_template(name).filename
        except Exception:  # noqa: BLE001 - an override that does not even compile
            filename = None
        if filename is None or not _is_packaged(filename):
            overridden.append(name)
    return overridden


@lru_cache(maxsize=16)
def _is_packaged(filename: str) -> bool:
    return Path(filename).parent == templates_folder()


def templates_are_unmodified() -> bool:
    """Return whether the app overrides no packaged template, so that their contents are known."""
    return not overridden_templates()


def has_macro() -> bool:
    """Return whether ``refresh_page.html``, perhaps the app's own, defines ``refresh_page()``."""
    try:
        return hasattr(current_app.jinja_env.get_template(MACRO).module, "refresh_page")
    except Exception:  # noqa: BLE001 - it fails for another reason, or is asynchronous
        return True
