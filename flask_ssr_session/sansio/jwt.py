"""Parse a SuperTokens access token strictly, without verifying it.

A token is not trusted before its signature is verified, and it cannot select the algorithm.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeGuard

from ..errors import TokenDefect, TokenInvalidError
from .base64url import MAX_KID_CHARS, decode_base64url
from .frozen import Frozen
from .strict_json import MAX_DEPTH, decode_json, is_nested_deeper

MAX_TOKEN_CHARS = 8 * 1024
MAX_ID_CHARS = 1024

# The last second of the year 9999: datetime cannot represent later times.
END_OF_TIME = 253_402_300_799

# The token version that introduced each id: 4 introduced tenants, 5 account linking.
ID_CLAIM_VERSIONS = {"sub": 3, "sessionHandle": 3, "refreshTokenHash1": 3, "tId": 4, "rsub": 5}
OLDEST_KNOWN_VERSION, NEWEST_KNOWN_VERSION = 3, 5

# Parameters that supply a key, compress or encrypt the payload, or change what is signed (RFC 7515
# section 4.1, RFC 7797, RFC 7516). SuperTokens writes none of them.
_FORBIDDEN_HEADER_PARAMETERS = frozenset(
    {"b64", "crit", "enc", "jku", "jwk", "x5c", "x5t", "x5t#S256", "x5u", "zip"}
)


class ParsedToken(Frozen):
    """A well-formed token; nothing in it is verified.

    :ivar version: the token version, 3 or more.
    :ivar iat: when it was issued, seconds since the epoch.
    :ivar exp: when it expires, seconds since the epoch.
    """

    kid: str
    version: int
    payload: Mapping[str, Any]
    iat: float
    exp: float
    signed: bytes
    signature: bytes


def decode_unverified_token(raw_token: str) -> ParsedToken:
    """Parse a token and check every rule that needs neither a key nor the time.

    :raises TokenInvalidError: the token breaks a rule; ``.reason`` says which.

    Sources: RFC 7515 sections 2 to 4, RFC 7519 section 4.1, RFC 8725 sections 2 and 3, and the
    tokens that SuperTokens core issues.
    """
    # Check the size first: nothing is computed for a larger token.
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
    _check_claims(payload, version)
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


def _json_object(segment: bytes) -> dict[str, Any]:
    """Return the JSON object that *segment* encodes."""
    try:
        text = _decode_segment(segment).decode("utf-8")
        value = decode_json(text)
    except (ValueError, RecursionError):  # ValueError includes bad UTF-8 and too long integers
        raise TokenInvalidError(TokenDefect.JSON) from None
    if not isinstance(value, dict):
        raise TokenInvalidError(TokenDefect.JSON)
    # Count first, which is cheap: a text with few opening brackets cannot be nested too deeply.
    if text.count("{") + text.count("[") > MAX_DEPTH and is_nested_deeper(value, MAX_DEPTH):
        raise TokenInvalidError(TokenDefect.JSON)
    return value


# All tokens that a key signed have the same header. An invalid header raises, so it is not cached,
# and no cached header is longer than a token.
@lru_cache(maxsize=64)
def _checked_header(segment: bytes) -> tuple[str, int]:
    """Return the key id and version in the header of a SuperTokens session token."""
    header = _json_object(segment)
    # A constant: a token must not choose its algorithm (RFC 8725 section 3.1).
    if header.get("alg") != "RS256":
        raise TokenInvalidError(TokenDefect.ALGORITHM)
    if header.get("typ") != "JWT":
        raise TokenInvalidError(TokenDefect.TYPE)
    if not _FORBIDDEN_HEADER_PARAMETERS.isdisjoint(header):
        raise TokenInvalidError(TokenDefect.HEADER)
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_CHARS or not kid.isprintable():
        raise TokenInvalidError(TokenDefect.KEY_ID)
    version = header.get("version")
    # Tokens of the JWT recipe and of OAuth2 have no version, and are signed by the same keys.
    if (
        not isinstance(version, str)
        or len(version) > 2
        or not (version.isascii() and version.isdigit())
        or int(version) < OLDEST_KNOWN_VERSION
    ):
        raise TokenInvalidError(TokenDefect.VERSION)
    return kid, int(version)


def _check_claims(payload: Mapping[str, Any], version: int) -> None:
    if not (is_time(payload.get("exp")) and is_time(payload.get("iat"))):
        raise TokenInvalidError(TokenDefect.TIMES)
    if "nbf" in payload and not is_time(payload["nbf"]):
        raise TokenInvalidError(TokenDefect.TIMES)
    for name, first_version in ID_CLAIM_VERSIONS.items():
        if version >= first_version and not _is_identifier(payload.get(name)):
            raise TokenInvalidError(TokenDefect.CLAIMS)
    # OAuth2 access tokens (1) and id tokens (2) are signed by the same keys.
    token_type = payload.get("stt", 0)
    if type(token_type) is not int or token_type != 0:
        raise TokenInvalidError(TokenDefect.TOKEN_TYPE)


def is_time(value: Any) -> TypeGuard[float]:
    """Return whether *value* is a number of seconds since the epoch, before the year 10000."""
    return type(value) in (int, float) and 0 <= value < END_OF_TIME


def _is_identifier(value: Any) -> bool:
    """Return whether *value* is a non-empty string that is safe to print, compare and store."""
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID_CHARS:
        return False
    if value.isascii():
        return value.isprintable()
    return not any(
        char < " " or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff" for char in value
    )
