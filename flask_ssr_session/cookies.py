"""Find one cookie in a request's header without parsing all of them. Knows no framework."""

from __future__ import annotations


def plain_values(header: str, name: str) -> list[str] | None:
    """Return the values of all cookies called *name*, or None where the header has to be parsed.

    :param name: letters only.

    It answers only where nothing can be read in two ways: the name stands nowhere in the header, or
    once, as a browser writes it, before a value without quotes and blanks.
    """
    before, found, after = header.partition(name)
    if not found:
        return []
    value = after.partition(";")[0]
    is_plain = (
        (not before or before.endswith("; "))
        and value.startswith("=")
        and '"' not in header
        and name not in after
        and " " not in value
        and "\t" not in value
    )
    return [value[1:]] if is_plain else None
