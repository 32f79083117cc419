"""Take a form that came too late apart, so that a page can offer to send it again.

Only what is certain to come out as it went in is kept, and never a part of a form: what is not
kept as a whole is still in the browser, one step back. A form belongs to the user it came with: it
is offered to nobody else. Knows no framework.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from ..errors import TokenInvalidError
from .jwt import decode_unverified_token

MAX_FORM_BYTES = 64 * 1024
MAX_FIELDS = 1000

KeptField = tuple[str, "str | None"]

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
# What a browser calls the file of an input that was left empty (HTML, "entry list").
_NO_FILE_TYPE = "application/octet-stream"

# What nobody wants to find in the source of a page. Too much rather than too little: a form that is
# not kept is not lost, either.
_SECRETS = (
    "passw",
    "passphrase",
    "passcode",
    "pwd",
    "ccnumber",
    "onetimecode",
    "secret",
    "card",
    "cvc",
    "cvv",
    "otp",
    "token",
)
# Too short to be looked for inside of words such as "shipping".
_SECRET_WORDS = frozenset({"pass", "pin", "pw", "csc"})
# Flask-WTF's, also with a form's prefix: it opens nothing by itself.
_CSRF_TOKEN = "csrf_token"  # noqa: S105 - the field's name


@dataclass(frozen=True, repr=False)
class ReplayableForm:
    """The fields of a form, in the order they were sent, and how they were encoded.

    :ivar fields: name and value of each; None is the value of a file input that was left empty.
    :ivar owner: what :func:`form_owner` says; empty is nobody, so that it is never offered.
    """

    enctype: str
    fields: tuple[KeptField, ...]
    owner: str = ""


def form_owner(raw_tokens: Sequence[str], raw_front_tokens: Sequence[str]) -> str | None:
    """Return a mark of the user whose form a request brought, or None where that is not certain.

    :param raw_tokens: the access tokens that came with it; what they say is not verified.
    :param raw_front_tokens: what the browser SDK left, asked only where no token names a user.

    The mark tells two users of one browser apart and is no proof of anything: a hash of 32 bits,
    FNV-1a over UTF-8, that the browser script can make without ``crypto.subtle``, which pages on
    plain http lack. It keeps user ids out of the page, and forms from being sent by mistake.
    """
    users = set(_subjects(raw_tokens)) or set(_front_users(raw_front_tokens))
    return _mark(users.pop()) if len(users) == 1 else None


def _subjects(raw_tokens: Sequence[str]) -> Iterator[str]:
    for raw in raw_tokens:
        try:
            yield decode_unverified_token(raw).payload["sub"]
        except TokenInvalidError:  # noqa: PERF203 - one token as a rule
            continue


def _front_users(raw_front_tokens: Sequence[str]) -> Iterator[str]:
    for raw in raw_front_tokens:
        try:
            user = json.loads(b64decode(raw, validate=True))["uid"]
            if isinstance(user, str) and user:
                user.encode()
                yield user
        # Anybody may have written it: other text, JSON or nesting than the SDK's.
        except (ValueError, TypeError, LookupError, RecursionError):  # noqa: PERF203
            continue


def _mark(user_id: str) -> str:
    value = 0x811C9DC5
    for byte in user_id.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{value:08x}"


def can_replay(content_type: str | None, content_length: int | None) -> bool:
    """Tell whether the body may be read at all, before a byte of it is touched.

    :param content_length: None where the sender does not say, as in a chunked request.
    """
    mimetype, _ = parse_options_header(content_type or "")
    if mimetype not in (URLENCODED, MULTIPART):
        return False
    return content_length is not None and content_length <= MAX_FORM_BYTES


def parse_replayable_form(content_type: str, body: bytes, owner: str = "") -> ReplayableForm | None:
    """Return the form that *body* holds, or None where it cannot be sent again as it was.

    :param owner: what :func:`form_owner` says of the request.

    That is so with files (an input that was left empty has none), with names that look like
    secrets, and with text in another encoding than UTF-8.
    """
    mimetype, options = parse_options_header(content_type)
    if options.get("charset", "utf-8").lower() != "utf-8":
        return None
    fields: Sequence[KeptField]
    try:
        if mimetype == URLENCODED:
            fields = parse_qsl(
                body.decode("ascii"),
                keep_blank_values=True,
                strict_parsing=bool(body),
                errors="strict",
                max_num_fields=MAX_FIELDS,
            )
        else:
            fields = _multipart_fields(options["boundary"], body)
    except (ValueError, KeyError, RequestEntityTooLarge):  # also UnicodeDecodeError
        return None
    if any(_looks_secret(name) or not _submits_unchanged(name, value) for name, value in fields):
        return None
    # HTML carries no NUL, and a browser sends every line end as CR LF.
    texts = (text.replace("\r\n", "") for field in fields for text in field if text is not None)
    if any(set(text) & set("\0\r\n") for text in texts):
        return None
    return ReplayableForm(mimetype, tuple(fields), owner)


def _submits_unchanged(name: str, value: str | None) -> bool:
    """Tell whether a hidden input of this name sends this value (HTML, "entry list").

    One without a name sends nothing, and one named ``_charset_`` the page's own encoding.
    """
    return name != "" and (name.lower() != "_charset_" or value == "UTF-8")


def _looks_secret(name: str) -> bool:
    if name == _CSRF_TOKEN or name.endswith(f"-{_CSRF_TOKEN}"):
        return False
    # "newPass2" has three.
    words = [word.lower() for word in re.findall(r"[^\W\d_A-Z]+|[A-Z]+[^\W\d_A-Z]*|\d+", name)]
    # "pass-word" is one, too.
    letters = "".join(words)
    return any(secret in letters for secret in _SECRETS) or not _SECRET_WORDS.isdisjoint(words)


def _multipart_fields(boundary: str, body: bytes) -> list[KeptField]:
    """Return the fields of a multipart form.

    :raises ValueError: it is broken, holds a file, or text that is not UTF-8.
    """
    decoder = MultipartDecoder(boundary.encode("ascii"), MAX_FORM_BYTES, max_parts=MAX_FIELDS)
    decoder.receive_data(body)
    decoder.receive_data(None)
    fields: list[KeptField] = []
    name, is_file, content = "", False, b""
    while not isinstance(event := decoder.next_event(), (Epilogue, NeedData)):
        if isinstance(event, (Field, File)):
            name, is_file, content = event.name, isinstance(event, File), b""
            if isinstance(event, File) and (
                event.filename or event.headers.pop("Content-Type", "") != _NO_FILE_TYPE
            ):
                raise ValueError("a file")
            # Where a name needs no unescaping and no header says more, there is one way to read it.
            if not name or len(event.headers) > 1 or "\\" in str(event.headers):
                raise ValueError("a part that a browser does not send")
        elif isinstance(event, Data):
            content += event.data
            if is_file and content:
                raise ValueError("a file")
            if not event.more_data:
                fields.append((name, None if is_file else content.decode("utf-8")))
    return fields
