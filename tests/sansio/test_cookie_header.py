"""plain_values agrees with Werkzeug's parser, or leaves the header to it."""

from __future__ import annotations

import random

from werkzeug.sansio.http import parse_cookie

from flask_ssr_session.sansio.cookie_header import plain_values
from tests.tables import rows

NAME = "sAccessToken"
# Everything that has a meaning for Werkzeug's parser, and pieces of the name, to be combined.
PIECES = (
    *(NAME, NAME, f"{NAME}=", f"{NAME}=ab.c-_", f"; {NAME}=ab.c-_", "sAccess", "Token"),
    *(NAME.lower(), "=", ";", "; ", "=ab", "x", "x=1", "; y=2", ",", "%73", "\\073", "\\", '"'),
    *('"x"', '="x; y"', " ", "\t", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x80", "\x85", "\xa0"),
    *("\xc3\xa9", "\0"),
)


def test_short_way_agrees_with_werkzeug_over_headers_made_at_random() -> None:
    source = random.Random(6)  # noqa: S311 - repeatable on purpose
    answered = {0: 0, 1: 0}
    for _ in range(60_000):
        header = "".join(source.choices(PIECES, k=source.randrange(9)))
        values = plain_values(header, NAME)
        if values is not None:
            assert values == parse_cookie(header).getlist(NAME), repr(header)
            answered[len(values)] += 1
    assert min(answered.values()) > 1_500


@rows(
    "header, values",
    {
        "nothing": ("", []),
        "others only": ("a=1; b=2", []),
        "alone": ("sAccessToken=x.y.z", ["x.y.z"]),
        "empty": ("sAccessToken=", [""]),
        "among others": ("a=1; sAccessToken=x.y.z; b=2", ["x.y.z"]),
        "an equals sign within": ("a=1; sAccessToken=x=y; b=2", ["x=y"]),
        "quotes": ('sAccessToken="x"', None),
        "within quotes": ('a="; sAccessToken=x"', None),
        "a quote elsewhere": ('sAccessToken=x; a="', None),
        "twice": ("sAccessToken=x; sAccessToken=y", None),
        "the end of a name": ("xsAccessToken=x", None),
        "the beginning of a name": ("sAccessToken2=x", None),
        "no equals sign": ("sAccessToken", None),
        "a blank before the equals sign": ("sAccessToken =x", None),
        "a blank before the value": ("sAccessToken= x", None),
        "a blank behind the value": ("sAccessToken=x ; a=1", None),
        "a tabulator behind the value": ("sAccessToken=x\t", None),
        "a tabulator within": ("sAccessToken=x\ty", None),
        "a blank within": ("sAccessToken=x y", None),
        "a line feed elsewhere": ("sAccessToken=x; a=\nb", None),
        "a form feed behind the value": ("sAccessToken=x\x0c", None),
        "no blank in front": ("a=1;sAccessToken=x", None),
        "a value": ("a=sAccessToken", None),
    },
)
def test_plain_header_takes_the_short_way_and_any_other_is_left_to_werkzeug(
    header: str, values: list[str] | None
) -> None:
    assert plain_values(header, NAME) == values
    if values is not None:
        assert parse_cookie(header).getlist(NAME) == values
