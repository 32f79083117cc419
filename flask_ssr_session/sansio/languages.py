"""The languages of the texts that visitors read, and which of them fits a locale."""

from __future__ import annotations

from typing import NamedTuple


class Language(NamedTuple):
    """A language that the texts exist in.

    :ivar tag: for the attribute ``lang`` (BCP 47).
    :ivar direction: for the attribute ``dir``.
    """

    tag: str
    direction: str = "ltr"


# By the name of the catalogue's folder; English has none.
LANGUAGES = {
    "en": Language("en"),
    "ar": Language("ar", "rtl"),
    "de": Language("de"),
    "es": Language("es"),
    "fr": Language("fr"),
    "it": Language("it"),
    "ja": Language("ja"),
    "nl": Language("nl"),
    "pl": Language("pl"),
    "pt": Language("pt"),
    "zh": Language("zh-Hans"),
}
# Chinese in traditional characters, by script or by region: the catalogue has simplified ones.
_TRADITIONAL = {"hant", "tw", "hk", "mo"}


def find_language(locale: str) -> str:
    """Return the name of the catalogue for *locale*, for example ``pt_BR``; English if none fits.

    :param locale: language, and perhaps script and region, after dashes or underscores.
    """
    language, *more = locale.replace("-", "_").lower().split("_")
    if language not in LANGUAGES or (language == "zh" and _TRADITIONAL & set(more)):
        return "en"
    return language
