"""The language of the texts that visitors read, and the catalogues."""

from __future__ import annotations

import re
from collections.abc import Callable
from gettext import translation
from typing import Any

import pytest
from babel.messages.pofile import read_po
from flask import Flask, render_template_string
from flask_babel import Babel

from flask_ssr_session.pages.languages import DOMAIN, FOLDER
from flask_ssr_session.sansio.languages import LANGUAGES
from flask_ssr_session.testing import outage, sign_in
from tests.app.conftest import make_app, with_views
from tests.browser_requests import PAGE
from tests.tables import rows
from tools.catalogues import catalogue_path, english_texts

CATALOGUES = [name for name in LANGUAGES if name != "en"]


def page_in(app: Flask) -> str:
    """Return the whole page that a signed-in visitor gets in an outage."""
    client = with_views(app).test_client()
    sign_in(client)
    with outage(app):
        return client.get("/account", headers=PAGE).text


def fails() -> str:
    raise LookupError


LANGUAGES_SHOWN: dict[str, Any] = {
    "none": (None, None, "en", "This page cannot be shown"),
    "the setting": ("de", None, "de", "Diese Seite"),
    "Flask-Babel's": (None, lambda: "fr_CA", "fr", "Cette page"),
    "Flask-Babel's before the setting": ("de", lambda: "es", "es", "Esta página"),
    "one that we lack": ("de", lambda: "sv", "en", "This page cannot be shown"),
    "one of a script": (None, lambda: "zh_Hans_CN", "zh-Hans", ""),
    "one from right to left": ("ar", None, "ar", ""),
    "a selector that fails": ("de", fails, "de", "Diese Seite"),
}


@rows("setting, locale, tag, text", LANGUAGES_SHOWN)
def test_the_page_is_in_the_language(
    setting: str | None, locale: Callable[[], str] | None, tag: str, text: str
) -> None:
    app = make_app(language=setting)
    if locale is not None:
        Babel(app, locale_selector=locale)
    page = page_in(app)
    direction = "rtl" if tag == "ar" else "ltr"
    assert page.count(f'lang="{tag}" dir="{direction}"') == 2  # the document and the macro
    assert text in page
    assert ("This page cannot be shown" in page) is (tag == "en")


def test_a_selector_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()
    Babel(app, locale_selector=fails)
    page_in(app)
    assert [m for m in caplog.messages if m.startswith("locale_failed: ") and "LookupError" in m]


def test_texts_of_the_app_replace_translated_ones() -> None:
    app = make_app(language="de")

    @app.get("/own")
    def own() -> str:
        return render_template_string(
            "{% from 'refresh_page.html' import refresh_page %}"
            "{{ refresh_page(texts={'outage': 'Eigener Text'}) }}"
        )

    client = app.test_client()
    sign_in(client)
    with outage(app):
        page = client.get("/own", headers=PAGE).text
    assert "Eigener Text" in page
    assert "Ihre Sitzung" in page
    assert 'lang="' not in page


@pytest.mark.parametrize("name", CATALOGUES)
def test_a_catalogue_has_every_text_and_its_placeholders(name: str) -> None:
    with catalogue_path(name).open("rb") as file:
        catalogue = read_po(file)
    assert {(m.context, m.id) for m in catalogue if m.id} == set(english_texts())
    compiled = translation(DOMAIN, FOLDER, [name])
    for message in catalogue:
        if not message.id:
            continue
        text, english = str(message.string), str(message.id)
        assert text, message.context
        assert not message.fuzzy, message.context
        assert re.findall(r"{\w*}", text) == re.findall(r"{\w*}", english), message.context
        assert "<" not in text, message.context
        # The build has compiled this catalogue.
        assert compiled.pgettext(str(message.context), english) == text, message.context
