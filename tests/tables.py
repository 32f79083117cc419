"""Rules as tables: one named row a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest


def rows(names: str, table: Mapping[str, Any]) -> pytest.MarkDecorator:
    """Run a test once for each row of *table*; the key is the name of the test.

    :param names: the arguments of the test, separated by commas. A row holds one value if there is
        one name, else a tuple of as many values.
    """
    return pytest.mark.parametrize(names, list(table.values()), ids=list(table))


def shown(value: object) -> str:
    """Return a short name of *value*, for rows that their values describe."""
    text = ascii(value)
    return text if len(text) < 60 else f"{text[:30]} and so on, {len(text)} characters"
