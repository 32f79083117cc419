"""Which catalogue fits a locale."""

from __future__ import annotations

from flask_ssr_session.sansio.languages import find_language
from tests.tables import rows


@rows(
    "locale, name",
    {
        "a language": ("de", "de"),
        "with a region": ("pt_BR", "pt"),
        "as a tag": ("fr-CA", "fr"),
        "in capitals": ("AR", "ar"),
        "one without a catalogue": ("sv", "en"),
        "a longer name": ("deu", "en"),
        "nothing": ("", "en"),
        "Chinese": ("zh", "zh"),
        "Chinese of China": ("zh_Hans_CN", "zh"),
        "Chinese of Singapore": ("zh-SG", "zh"),
        "Chinese of Taiwan": ("zh_Hant_TW", "en"),
        "Chinese of Hong Kong": ("zh-HK", "en"),
    },
)
def test_the_language_of_a_locale(locale: str, name: str) -> None:
    assert find_language(locale) == name
