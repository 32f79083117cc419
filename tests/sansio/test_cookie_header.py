"""plain_values agrees with Werkzeug's parser, or leaves the header to it."""

from __future__ import annotations

import random

from werkzeug.sansio.http import parse_cookie

from flask_ssr_session.sansio.cookie_header import cookie_values, plain_values
from tests.tables import rows, shown

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


# The values in a plain header; None where the header is left to Werkzeug.
PLAIN: dict[str, list[str] | None] = {
    "": [],
    "a=1; b=2": [],
    "sAccessToken=x.y.z": ["x.y.z"],
    "sAccessToken=": [""],
    "a=1; sAccessToken=x.y.z; b=2": ["x.y.z"],
    "a=1; sAccessToken=x=y; b=2": ["x=y"],
}
UNUSUAL = (
    *('sAccessToken="x"', 'a="; sAccessToken=x"', 'sAccessToken=x; a="', "sAccessToken=x\ty"),
    *("sAccessToken=x; sAccessToken=y", "xsAccessToken=x", "sAccessToken2=x", "sAccessToken"),
    *("sAccessToken =x", "sAccessToken= x", "sAccessToken=x ; a=1", "sAccessToken=x y"),
    *("sAccessToken=x\t", "sAccessToken=x; a=\nb", "sAccessToken=x\x0c", "a=1;sAccessToken=x"),
    "a=sAccessToken",
)


@rows("header, values", {shown(h): (h, v) for h, v in (PLAIN | dict.fromkeys(UNUSUAL)).items()})
def test_plain_header_takes_the_short_way_and_any_other_is_left_to_werkzeug(
    header: str, values: list[str] | None
) -> None:
    assert plain_values(header, NAME) == values
    assert values in (None, parse_cookie(header).getlist(NAME))


# The headers in which a name has these values.
VALUES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("x",): ("a=1; token=x; b=2", "a=1;token=x;b=2", "token = x ;b=2"),
    ("x", "y"): ("token=x; a=1; token=y",),
    ("",): ("token=; a=1", "token"),
    ("x=y",): ("token=x=y",),
    ('"x"',): ('token="x"',),
    (): ("", "mytoken=x; token2=y", "a=token=x", "Token=x"),
}


@rows("header, values", {shown(h): (h, v) for v, headers in VALUES.items() for h in headers})
def test_all_values_of_a_name_are_found(header: str, values: tuple[str, ...]) -> None:
    assert tuple(cookie_values(header, "token")) == values
