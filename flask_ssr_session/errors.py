"""The errors of this package, in one tree under :class:`SSRSessionError`.

No message contains a token, a cookie or a claim value: a reason slug says what is wrong.
"""

from __future__ import annotations

import traceback
from enum import Enum


class SSRSessionError(Exception):
    """The base class of all errors that flask_ssr_session raises."""


class ConfigError(SSRSessionError):
    """Raised for an invalid setup; the message names the setting and a valid value."""


class MisuseError(SSRSessionError):
    """Raised for code that protects less than it seems to, or needs a setup that is missing."""


class ReadOnlySessionError(SSRSessionError):
    """Raised when a page tries to change its session.

    A page request cannot change tokens: do it in an API route, through the SuperTokens SDK.
    """


class TokenDefect(Enum):
    """What is wrong with an access token; the slug appears in the log, never on a page."""

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
    """Raised for an access token that does not prove a session.

    :ivar reason: what is wrong with the token.
    """

    def __init__(self, reason: TokenDefect) -> None:
        super().__init__(reason.value)
        self.reason = reason


class TokenInvalidError(TokenError):
    """Raised for a token that breaks a rule.

    Only the refresh API can tell whether its session still exists.
    """


class TokenExpiredError(TokenError):
    """Raised for an expired token; its signature was not verified."""

    def __init__(self) -> None:
        super().__init__(TokenDefect.EXPIRED)


class TokenNotYetValidError(TokenError):
    """Raised for a genuine token that begins in the future: one of the two clocks is wrong."""

    def __init__(self) -> None:
        super().__init__(TokenDefect.NOT_YET_VALID)


class KeysUnavailableError(SSRSessionError):
    """Raised without usable signing keys: whether the session is valid is unknown."""


class CoreUnavailableError(SSRSessionError):
    """Raised if the core did not respond: whether the session is revoked is unknown."""


class FetchError(SSRSessionError):
    """Raised if a document could not be fetched; the message says why."""


class CertificateError(FetchError):
    """Raised if a server responds with a certificate that this process does not trust."""


class HTTPClientError(FetchError):
    """Raised if a server is available, but rejects the request (HTTP status 4xx)."""


def error_location(error: BaseException) -> str:
    """Return the type and location of *error*, not its message, which may contain a token."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {frame.filename}:{frame.lineno}"
