"""Every error this package raises, as one tree under :class:`SSRSessionError`.

No message here ever carries a token, a cookie or a claim value: a reason slug says what was
wrong, and at most a key id is kept, as text that nobody has verified.
"""

from __future__ import annotations

import traceback
from enum import Enum


class SSRSessionError(Exception):
    """The root of all errors raised by flask_ssr_session."""


class ConfigError(SSRSessionError):
    """Setup that cannot work; the message names the setting and a value that would."""


class MisuseError(SSRSessionError):
    """Code that protects less than it seems to, or asks this package outside its reach."""


class ReadOnlySessionError(SSRSessionError):
    """An attempt to change a session while a page is rendered.

    A page request may not change tokens: only an API route, through the SuperTokens SDK, can.
    """


class TokenDefect(Enum):
    """What is wrong with an access token; the slug goes to the log, never to a visitor."""

    TOO_LARGE = "too_large"
    SEGMENTS = "segments"
    ENCODING = "encoding"
    JSON = "json"
    ALGORITHM = "algorithm"
    TYPE = "type"
    VERSION = "version"
    HEADER = "header"
    KEY_ID = "key_id"
    KEY_KIND = "key_kind"
    KEY_UNKNOWN = "key_unknown"
    SIGNATURE = "signature"
    TIMES = "times"
    CLAIMS = "claims"
    TOKEN_TYPE = "token_type"  # noqa: S105 - the name of a rule, not a secret
    ISSUER = "issuer"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"


class TokenError(SSRSessionError):
    """An access token that does not prove a session.

    :ivar reason: what is wrong with it.
    :ivar kid: the key id the token names, unverified text, or None where none could be read.
    """

    def __init__(self, reason: TokenDefect, kid: str | None = None) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.kid = kid


class TokenInvalidError(TokenError):
    """The token breaks a rule, so only the refresh API can say what became of the session."""


class TokenExpiredError(TokenError):
    """The token's time has passed; its signature was not looked at."""

    def __init__(self, kid: str | None = None) -> None:
        super().__init__(TokenDefect.EXPIRED, kid)


class TokenNotYetValidError(TokenError):
    """The token is genuine and was issued in our future: one of the two clocks is wrong."""

    def __init__(self, kid: str | None = None) -> None:
        super().__init__(TokenDefect.NOT_YET_VALID, kid)


class KeysUnavailableError(SSRSessionError):
    """No key can be had to judge a token with, so nothing is known about the session."""


class CoreUnavailableError(SSRSessionError):
    """The core did not say whether a session was revoked, so nothing is known about it."""


class FetchError(SSRSessionError):
    """A document could not be fetched; the message says why in a few words."""


class HTTPClientError(FetchError):
    """The server is up, and takes this very request for a wrong one (HTTP status 4xx)."""


def error_location(error: BaseException) -> str:
    """Return type and place of *error*; the message of an unknown error may hold a token."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {place.filename}:{place.lineno}"
