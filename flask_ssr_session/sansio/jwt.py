"""Judge one SuperTokens access token: the strict parse, and the order in which rules are asked.

Nothing a token says is trusted before its signature was checked, and nothing it says chooses how
it is checked. The RSA check is done by ``cryptography``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..errors import TokenDefect, TokenInvalidError
from .jose import MAX_KID_CHARS, decode_base64url

MAX_TOKEN_CHARS = 8 * 1024
MAX_ID_CHARS = 1024
MAX_DEPTH = 32
NEWEST_KNOWN_VERSION = 5


# The last second of the year 9999: no later time can be written as a datetime.
_END_OF_TIME = 253_402_300_799

# Parameters that would bring a key, compress or encrypt, or change what is signed (RFC 7515
# section 4.1, RFC 7797, RFC 7516). SuperTokens writes none of them.
_REFUSED_HEADER_PARAMETERS = frozenset(
    {"b64", "crit", "enc", "jku", "jwk", "x5c", "x5t", "x5t#S256", "x5u", "zip"}
)


@dataclass(eq=False, repr=False, slots=True)
class ParsedToken:
    """A token that is well formed; nothing in it is verified.

    :ivar version: the token version, 3 or more.
    :ivar iat: seconds since the epoch; so is *exp*.
    """

    kid: str
    version: int
    payload: Mapping[str, Any]
    iat: float
    exp: float
    signed: bytes
    signature: bytes


def decode_unverified_token(raw_token: str) -> ParsedToken:
    """Take a token apart under every rule that needs neither key nor clock.

    :raises TokenInvalidError: it breaks one; ``.reason`` says which.

    Sources: RFC 7515 sections 2 to 4, RFC 7519 section 4.1, RFC 8725 sections 2 and 3, and the
    tokens that SuperTokens core mints.
    """
    # The size is looked at before a single character: what is larger costs nothing.
    if len(raw_token) > MAX_TOKEN_CHARS:
        raise TokenInvalidError(TokenDefect.TOO_LARGE)
    if not raw_token.isascii():
        raise TokenInvalidError(TokenDefect.ENCODING)
    signed, last_dot, signature_segment = raw_token.encode("ascii").rpartition(b".")
    header_segment, first_dot, payload_segment = signed.partition(b".")
    if not (last_dot and first_dot) or b"." in payload_segment:
        raise TokenInvalidError(TokenDefect.SEGMENTS)
    kid, version = _checked_header(header_segment)
    payload = _json_object(payload_segment)
    _check_claims(payload, version, kid)
    signature = _decode_segment(signature_segment)
    return ParsedToken(
        kid=kid,
        version=version,
        payload=payload,
        iat=payload["iat"],
        exp=payload["exp"],
        signed=signed,
        signature=signature,
    )


def _decode_segment(segment: bytes) -> bytes:
    try:
        return decode_base64url(segment)
    except ValueError:
        raise TokenInvalidError(TokenDefect.ENCODING) from None


def _refuse_constant(_name: str) -> float:
    raise ValueError("NaN and Infinity are not JSON")


def _finite_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number out of range")
    return number


def _without_duplicates(members: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(members)
    # Two members of one name: parsers differ in which they believe (RFC 8259 section 4).
    if len(result) != len(members):
        raise ValueError("a member is named twice")
    return result


_decode_json = json.JSONDecoder(
    object_pairs_hook=_without_duplicates,
    parse_constant=_refuse_constant,
    parse_float=_finite_float,
).decode


def _json_object(segment: bytes) -> dict[str, Any]:
    """Return the one JSON object that *segment* spells."""
    try:
        text = _decode_segment(segment).decode("utf-8")
        value = _decode_json(text)
    except (ValueError, RecursionError):  # also UnicodeDecodeError, and ints of too many digits
        raise TokenInvalidError(TokenDefect.JSON) from None
    if not isinstance(value, dict):
        raise TokenInvalidError(TokenDefect.JSON)
    # Where fewer brackets are opened, none stands that deep.
    if text.count("{") + text.count("[") > MAX_DEPTH and _is_nested_deeper(value, MAX_DEPTH):
        raise TokenInvalidError(TokenDefect.JSON)
    return value


def _is_nested_deeper(value: dict[str, Any], levels: int) -> bool:
    containers: list[Any] = [value]
    for _ in range(levels):
        containers = [
            item
            for container in containers
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, (dict, list))
        ]
        if not containers:
            return False
    return True


# All tokens of a key have one header, so it need not be judged for each. What is refused is not
# remembered, and nothing longer than a token is.
@lru_cache(maxsize=64)
def _checked_header(segment: bytes) -> tuple[str, int]:
    """Return key id and version of a header that may sign a SuperTokens session."""
    header = _json_object(segment)
    # A constant of ours: a token never chooses its algorithm (RFC 8725 section 3.1).
    if header.get("alg") != "RS256":
        raise TokenInvalidError(TokenDefect.ALGORITHM)
    if header.get("typ") != "JWT":
        raise TokenInvalidError(TokenDefect.TYPE)
    if not _REFUSED_HEADER_PARAMETERS.isdisjoint(header):
        raise TokenInvalidError(TokenDefect.HEADER)
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARS or not kid.isprintable():
        raise TokenInvalidError(TokenDefect.KEY_ID)
    version = header.get("version")
    # Without a version it is a token of the JWT recipe or of OAuth2, signed by the same keys.
    if (
        not isinstance(version, str)
        or not 0 < len(version) <= 2
        or not (version.isascii() and version.isdigit())
        or int(version) < 3
    ):
        raise TokenInvalidError(TokenDefect.VERSION, kid)
    return kid, int(version)


# Tenants came with version 4, account linking with version 5.
_IDS = ("sub", "sessionHandle", "refreshTokenHash1", "tId", "rsub")


def _check_claims(payload: Mapping[str, Any], version: int, kid: str) -> None:
    if not (_is_time(payload.get("exp")) and _is_time(payload.get("iat"))):
        raise TokenInvalidError(TokenDefect.TIMES, kid)
    if "nbf" in payload and not _is_time(payload["nbf"]):
        raise TokenInvalidError(TokenDefect.TIMES, kid)
    for name in _IDS[: min(version, NEWEST_KNOWN_VERSION)]:
        if not _is_identifier(payload.get(name)):
            raise TokenInvalidError(TokenDefect.CLAIMS, kid)
    # OAuth2 access tokens (1) and id tokens (2) are signed by the same keys.
    token_type = payload.get("stt", 0)
    if type(token_type) is not int or token_type != 0:
        raise TokenInvalidError(TokenDefect.TOKEN_TYPE, kid)


def _is_time(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < _END_OF_TIME


def _is_identifier(value: Any) -> bool:
    """Tell whether *value* is a non-empty text that is safe to print, compare and store."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARS:
        return False
    if value.isascii():
        return value.isprintable()
    return not any(
        char < " " or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff" for char in value
    )
