"""Read and check the fields of a request, from its query or its JSON body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .server import Request


class BadRequestError(Exception):
    """The endpoint does not accept the request; the text says why."""


class Fields:
    """The fields of one request."""

    def __init__(self, values: Mapping[str, Any], *, is_query: bool = False) -> None:
        self._values = values
        self._is_query = is_query

    @classmethod
    def of(cls, request: Request) -> Fields:
        """Read the query of a GET, or the JSON body of any other method.

        :raises BadRequestError: the body is not one JSON object in UTF-8.
        """
        if request.method == "GET":
            return cls(request.query, is_query=True)
        if not request.body:
            return cls({})
        try:
            body = json.loads(request.body.decode())
            # Half of a surrogate pair is valid in JSON, but cannot be encoded and stored.
            json.dumps(body, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise BadRequestError("the body is not JSON in UTF-8") from error
        if not isinstance(body, dict):
            raise BadRequestError("the body is not a JSON object")
        return cls(body)

    def text(self, name: str) -> str:
        """Return a required string that is not blank."""
        value = self.any_text(name)
        if not value.strip():
            raise BadRequestError(f"field {name}: may not be blank")
        return value

    def any_text(self, name: str) -> str:
        """Return a required string, which may be empty."""
        value = self.optional_text(name)
        if value is None:
            raise BadRequestError(f"field {name}: a string is required")
        return value

    def optional_text(self, name: str) -> str | None:
        """Return a string, or ``None`` if the field is absent or null."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, str):
            raise BadRequestError(f"field {name}: not a string")
        return value

    def optional_texts(self, name: str) -> list[str] | None:
        """Return a list of strings, or ``None`` if the field is absent or null."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise BadRequestError(f"field {name}: not a list of strings")
        return value

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        """Return a bool; required without a default."""
        value = self._values.get(name, default)
        if self._is_query and value in {"true", "false"}:
            value = value == "true"
        if not isinstance(value, bool):
            raise BadRequestError(f"field {name}: true or false is required")
        return value

    def whole_number(
        self, name: str, *, at_least: int, at_most: int, default: int | None = None
    ) -> int:
        """Return an integer in a range, given as a JSON number or as digits in a query.

        It is required without a default.
        """
        value = self._values.get(name, default)
        # Python reads no more than 4,300 digits.
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 20:
            value = int(value)
        if type(value) is not int or not at_least <= value <= at_most:
            raise BadRequestError(f"field {name}: a number from {at_least} to {at_most}")
        return value

    def object(self, name: str) -> dict[str, Any]:
        """Return a required JSON object."""
        value = self.optional_object(name)
        if value is None:
            raise BadRequestError(f"field {name}: an object is required")
        return value

    def optional_object(self, name: str) -> dict[str, Any] | None:
        """Return a JSON object, or ``None`` if the field is absent or null."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, dict):
            raise BadRequestError(f"field {name}: not an object")
        return value
