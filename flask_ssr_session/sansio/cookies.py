"""Find one cookie in a request's header without parsing all of them. Knows no framework."""

from __future__ import annotations

ACCESS_TOKEN_COOKIE = "sAccessToken"  # noqa: S105 - the cookie's name
FRONT_TOKEN_COOKIE = "sFrontToken"  # noqa: S105


def plain_values(header: str, name: str) -> list[str] | None:
    """Return the values of all cookies called *name*, or None where the header has to be parsed.

    :param name: letters only.

    It answers only where nothing can be read in two ways: the name stands nowhere in the header, or
    once, as a browser writes it, before a value without quotes and blanks.
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
        # No server lets these through; Werkzeug's versions differ over them.
        and "\n" not in header
        and value == value.strip()
    )
    return [value] if is_plain else None
