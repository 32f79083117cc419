"""Encode a form as browsers do (HTML Standard)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote_plus

from .tables import rows

URLENCODED = "application/x-www-form-urlencoded"
BOUNDARY = "----WebKitFormBoundaryRe6mJ1lLxiVbeMEV"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"

# None is the value of an empty file input.
Fields = Iterable[tuple[str, "str | None"]]
FieldList = Sequence[tuple[str, "str | None"]]

BOTH = rows("content_type", {"urlencoded": URLENCODED, "multipart": MULTIPART})


def _line_ends(text: str) -> str:
    """Write every line end as CR LF, as browsers do."""
    return re.sub("\r\n|\r|\n", "\r\n", text)


def _quoted(text: str) -> str:
    # Python does not encode "~", but browsers do; for "*" it is the other way round.
    return quote_plus(_line_ends(text), safe="*").replace("~", "%7E")


def urlencoded(fields: Fields) -> bytes:
    return "&".join(f"{_quoted(name)}={_quoted(value or '')}" for name, value in fields).encode()


def multipart(fields: Fields, boundary: str = BOUNDARY) -> bytes:
    parts = []
    for name, value in fields:
        escaped = _line_ends(name).replace("\n", "%0A").replace("\r", "%0D").replace('"', "%22")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{escaped}"'
        if value is None:
            head += '; filename=""\r\nContent-Type: application/octet-stream'
        parts.append(f"{head}\r\n\r\n{_line_ends(value or '')}\r\n")
    return f"{''.join(parts)}--{boundary}--\r\n".encode()


def encoded(content_type: str, fields: Fields) -> bytes:
    """Return the form in one of the encodings of BOTH."""
    return urlencoded(fields) if content_type == URLENCODED else multipart(fields)


def multipart_file(name: str, filename: str, content: bytes = b"") -> bytes:
    """Return a form with one file input and, behind it, one field."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    return head.encode() + content + b"\r\n" + multipart([("title", "a")])


def sent_by_hidden_inputs(fields: Fields) -> list[tuple[str, str | None]]:
    """Return the body that a page with *fields* in hidden inputs submits.

    An input without a name is omitted; one named ``_charset_`` submits the encoding.
    """
    encoding = {"_charset_": "UTF-8"}
    return [(name, encoding.get(name.lower(), value)) for name, value in fields if name]
