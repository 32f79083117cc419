"""The language of the texts that visitors read, and their translations by gettext."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from gettext import NullTranslations, translation
from pathlib import Path

from flask import current_app

from ..app_state import AppState, current_state
from ..errors import error_location
from ..sansio.languages import LANGUAGES, Language, find_language

DOMAIN = "flask_ssr_session"
FOLDER = Path(__file__).parents[1] / "translations"


def current_language() -> Language:
    """Return the language of this package's texts in the current request."""
    return LANGUAGES[_current_name()]


def translate(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the English *texts*, by name, in the language of the current request."""
    name = _current_name()
    if name == "en":
        return dict(texts)
    catalogue = _catalogue(name)
    return {key: catalogue.pgettext(key, text) for key, text in texts.items()}


def _current_name() -> str:
    app_state = current_state()
    if "babel" in current_app.extensions:
        name = _name_by_flask_babel(app_state)
        if name is not None:
            return name
    return app_state.settings.language or "en"


def _name_by_flask_babel(app_state: AppState) -> str | None:
    """Return the catalogue for Flask-Babel's locale; None if it has none or the selector fails."""
    try:
        from flask_babel import get_locale  # only an app that has it pays for the import

        locale = get_locale()
    # The selector is code of the app. A page about an outage must not fail with it.
    except Exception as error:  # noqa: BLE001
        app_state.warn_once(
            "locale_failed",
            f"Flask-Babel's locale cannot be read ({error_location(error)}): the texts of "
            "flask_ssr_session are in the language of SSR_SESSION_LANGUAGE",
        )
        return None
    return None if locale is None else find_language(str(locale))


@cache
def _catalogue(name: str) -> NullTranslations:
    """Return the translations of a language; a language without a catalogue keeps the English."""
    return translation(DOMAIN, FOLDER, [name], fallback=True)
