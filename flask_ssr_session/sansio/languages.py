"""The languages of the texts that visitors read, and which of them fits a locale."""

from __future__ import annotations

from .frozen import Frozen


class Language(Frozen):
    """A language that the texts exist in.

    :ivar tag: for the attribute ``lang`` (BCP 47).
    :ivar direction: for the attribute ``dir``.
    """

    tag: str
    direction: str = "ltr"


# By the name of the catalogue's folder; English has none.
LANGUAGES = {
    "en": Language(tag="en"),
    "ar": Language(tag="ar", direction="rtl"),
    "de": Language(tag="de"),
    "es": Language(tag="es"),
    "fr": Language(tag="fr"),
    "it": Language(tag="it"),
    "ja": Language(tag="ja"),
    "nl": Language(tag="nl"),
    "pl": Language(tag="pl"),
    "pt": Language(tag="pt"),
    "zh": Language(tag="zh-Hans"),
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
