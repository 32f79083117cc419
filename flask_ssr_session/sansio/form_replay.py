"""Parse a form that was posted with an expired session, so that a page can offer to resubmit it.

A form is kept as a whole, and only if it can be resubmitted unchanged. Any other form is still in
the browser, one step back in its history. A form is offered only to the user who posted it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import parse_qsl

from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from ..errors import TokenInvalidError
from .front_token import front_token_users, user_hash
from .frozen import Frozen
from .jwt import decode_unverified_token

MAX_FORM_BYTES = 64 * 1024
MAX_FIELDS = 1000

ReplayableField = tuple[str, "str | None"]

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
# The type that browsers send for an empty file input (HTML, "entry list").
_NO_FILE_TYPE = "application/octet-stream"

# Parts of field names whose values must not appear in the source of a page. The list may be too
# long: a form that is not kept is not lost.
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
    "securitycode",
    # "password" in languages that the texts of this package exist in.
    "kennwort",
    "motdepasse",
    "contrase",
    "senha",
    "wachtwoord",
    "haslo",
    "hasło",
)
# Matched as whole words only: "pin" is also part of "shipping".
_SECRET_WORDS = frozenset({"pass", "pin", "pw", "csc"})
# Flask-WTF's field, also with a form's prefix. The token alone grants no access.
_CSRF_TOKEN = "csrf_token"  # noqa: S105 - the name of a field


class ReplayableForm(Frozen):
    """The fields of a form, in the order of the request, and its encoding.

    :ivar fields: the name and value of each; None is the value of an empty file input.
    :ivar owner: the result of :func:`form_owner`; a form with an empty owner is never offered.
    """

    enctype: str
    fields: tuple[ReplayableField, ...]
    owner: str = ""


def form_owner(raw_tokens: Sequence[str], raw_front_tokens: Sequence[str]) -> str | None:
    """Return a hash of the id of the user who posted a form, or None if that is not certain.

    :param raw_tokens: the access tokens of the request, unverified.
    :param raw_front_tokens: the browser SDK's front tokens, used only if no access token names a
        user.

    See :func:`~flask_ssr_session.sansio.front_token.user_hash`: a form is not submitted as another
    user by mistake.
    """
    users = set(_subjects(raw_tokens)) or front_token_users(raw_front_tokens)
    return user_hash(users.pop()) if len(users) == 1 else None


def _subjects(raw_tokens: Sequence[str]) -> Iterator[str]:
    for raw in raw_tokens:
        try:
            yield decode_unverified_token(raw).payload["sub"]
        except TokenInvalidError:  # noqa: PERF203 - usually one token
            continue


def can_replay(content_type: str | None, content_length: int | None) -> bool:
    """Return whether the body may be read, before reading any of it.

    :param content_length: None if unknown, as in a chunked request.
    """
    mimetype, _ = parse_options_header(content_type or "")
    if mimetype not in (URLENCODED, MULTIPART):
        return False
    return content_length is not None and content_length <= MAX_FORM_BYTES


def parse_replayable_form(content_type: str, body: bytes, owner: str = "") -> ReplayableForm | None:
    """Return the form in *body*, or None if it cannot be resubmitted unchanged.

    A form cannot be resubmitted if it contains a file (an empty file input is allowed), a field
    name that looks like a secret, or text that is not UTF-8.

    :param owner: the result of :func:`form_owner` for the request.
    """
    mimetype, options = parse_options_header(content_type)
    if options.get("charset", "utf-8").lower() != "utf-8":
        return None
    fields: Sequence[ReplayableField]
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
    except (ValueError, KeyError, RequestEntityTooLarge):  # includes UnicodeDecodeError
        return None
    if any(_looks_secret(name) or not _submits_unchanged(name, value) for name, value in fields):
        return None
    # HTML cannot contain NUL, and browsers send every line end as CR LF.
    texts = (text.replace("\r\n", "") for field in fields for text in field if text is not None)
    if any(set(text) & set("\0\r\n") for text in texts):
        return None
    return ReplayableForm(enctype=mimetype, fields=tuple(fields), owner=owner)


def _submits_unchanged(name: str, value: str | None) -> bool:
    """Return whether a hidden input of this name submits this value (HTML, "entry list").

    An input without a name submits nothing; one named ``_charset_`` submits the page's encoding.
    """
    return name != "" and (name.lower() != "_charset_" or value == "UTF-8")


def _looks_secret(name: str) -> bool:
    if name == _CSRF_TOKEN or name.endswith(f"-{_CSRF_TOKEN}"):
        return False
    # "newPass2" has three words.
    words = [word.lower() for word in re.findall(r"[^\W\d_A-Z]+|[A-Z]+[^\W\d_A-Z]*|\d+", name)]
    # "pass-word" is a secret, too.
    letters = "".join(words)
    return any(secret in letters for secret in _SECRETS) or not _SECRET_WORDS.isdisjoint(words)


def _multipart_fields(boundary: str, body: bytes) -> list[ReplayableField]:
    """Return the fields of a multipart form.

    :raises ValueError: it is malformed, or contains a file or text that is not UTF-8.
    """
    decoder = MultipartDecoder(boundary.encode("ascii"), MAX_FORM_BYTES, max_parts=MAX_FIELDS)
    decoder.receive_data(body)
    decoder.receive_data(None)
    fields: list[ReplayableField] = []
    name, is_file, content = "", False, b""
    while not isinstance(event := decoder.next_event(), (Epilogue, NeedData)):
        if isinstance(event, (Field, File)):
            name, is_file, content = event.name, isinstance(event, File), b""
            if isinstance(event, File) and (
                event.filename or event.headers.pop("Content-Type", "") != _NO_FILE_TYPE
            ):
                raise ValueError("a file")
            # A name without escapes and no other headers: every parser reads the part the same.
            if not name or len(event.headers) > 1 or "\\" in str(event.headers):
                raise ValueError("a part that a browser does not send")
        elif isinstance(event, Data):
            content += event.data
            if is_file and content:
                raise ValueError("a file")
            if not event.more_data:
                fields.append((name, None if is_file else content.decode("utf-8")))
    return fields
