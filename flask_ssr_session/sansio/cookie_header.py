"""Find the cookies of one name in a request's header."""

from __future__ import annotations

ACCESS_TOKEN_COOKIE = "sAccessToken"  # noqa: S105 - the cookie's name
FRONT_TOKEN_COOKIE = "sFrontToken"  # noqa: S105


def names_session_cookie(header: str) -> bool:
    """Return whether *header* contains the name of a cookie that :func:`plain_values` may find."""
    return ACCESS_TOKEN_COOKIE in header or FRONT_TOKEN_COOKIE in header


def plain_values(header: str, name: str) -> list[str] | None:
    """Return the values of all cookies called *name*, or None if the header has to be parsed.

    :param name: letters only.

    The values are returned only if the header is unambiguous: it does not contain the name, or
    contains it once, as browsers send it, before a value without quotes and spaces.
    """
    before, found, after = header.partition(name)
    if not found:
        return []
    mark, value = after[:1], after[1:].partition(";")[0]
    is_plain = (
        (not before or before.endswith("; "))
        and mark == "="
        and '"' not in header
        and name not in after
        and " " not in value
        and "\t" not in value
        # Servers reject these; versions of Werkzeug read them differently.
        and "\n" not in header
        and value == value.strip()
    )
    return [value] if is_plain else None


def cookie_values(header: str, name: str) -> list[str]:
    """Return the values of all cookies called *name*, in the order of the header.

    For frameworks whose own parser returns one value per name: a request may carry several access
    tokens. Values stay as they are, quotes included, because no token has quotes.
    """
    pairs = (pair.partition("=") for pair in header.split(";"))
    return [value.strip() for key, _, value in pairs if key.strip() == name]
