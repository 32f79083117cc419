"""What to tell a developer about each defect of an access token."""

from __future__ import annotations

from ..errors import TokenDefect

COPY_COOKIE = "copy the whole value of the cookie sAccessToken"
USE_SESSION_COOKIE = "use the cookie sAccessToken of a session"
SYNCHRONISE_CLOCKS = "synchronise the clocks of the core and this machine with NTP"
_ONE_CORE = (
    "sign in again and check the new token; if that fails too, connect pages and API to one core"
)

# Message and advice. The message follows "the token is rejected: ".
DEFECTS = {
    TokenDefect.TOO_LARGE: ("it is larger than 8 KiB, more than browsers send", COPY_COOKIE),
    TokenDefect.SEGMENTS: ("it does not have three parts", COPY_COOKIE),
    TokenDefect.ENCODING: ("a part is not base64url", COPY_COOKIE),
    TokenDefect.JSON: ("a part is not a JSON object, or names a member twice", COPY_COOKIE),
    TokenDefect.ALGORITHM: (
        "its algorithm is not RS256, which sessions use",
        USE_SESSION_COOKIE,
    ),
    TokenDefect.TYPE: ("the type in its header is not JWT", USE_SESSION_COOKIE),
    TokenDefect.VERSION: (
        "it has no version 3 or later, so it is a token of the JWT recipe or of OAuth2",
        USE_SESSION_COOKIE,
    ),
    TokenDefect.HEADER: (
        "its header has parameters that SuperTokens never writes",
        USE_SESSION_COOKIE,
    ),
    TokenDefect.KEY_ID: ("its header names no key", USE_SESSION_COOKIE),
    TokenDefect.KEY_KIND: (
        "its key is not of the kind, dynamic or static, that the SDK in this process is set to",
        "set use_dynamic_access_token_signing_key to one value wherever the SDK is initialised",
    ),
    TokenDefect.KEY_UNKNOWN: (
        "no key of the key set signed it: it is older than the last rotation, or from another core",
        _ONE_CORE,
    ),
    TokenDefect.SIGNATURE: (
        "its signature does not match: the token was changed, or another core signed it",
        _ONE_CORE,
    ),
    TokenDefect.TIMES: ("exp, iat or nbf is not a valid time", USE_SESSION_COOKIE),
    TokenDefect.CLAIMS: (
        "a claim that every session has is missing, or is not plain text",
        USE_SESSION_COOKIE,
    ),
    TokenDefect.TOKEN_TYPE: ("it is an OAuth2 token, not a session token", USE_SESSION_COOKIE),
    TokenDefect.ISSUER: (
        "iss differs from SSR_SESSION_ISSUER",
        "set SSR_SESSION_ISSUER to api_domain followed by api_base_path, or remove it",
    ),
}
