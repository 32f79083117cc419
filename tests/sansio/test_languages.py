"""Which catalogue fits a locale."""

from __future__ import annotations

import pytest

from flask_ssr_session.sansio.languages import find_language

LOCALES = {"de": "de", "pt_BR": "pt", "fr-CA": "fr", "AR": "ar", "sv": "en", "deu": "en", "": "en"}
CHINESE = {"zh": "zh", "zh_Hans_CN": "zh", "zh-SG": "zh", "zh_Hant_TW": "en", "zh-HK": "en"}


@pytest.mark.parametrize(("locale", "name"), (LOCALES | CHINESE).items())
def test_the_language_of_a_locale(locale: str, name: str) -> None:
    assert find_language(locale) == name
