"""Independent judges of a token: PyJWT and joserfc, and the rules of a session.

Written from RFC 7515, RFC 7519 and the rules of SuperTokens' own SDK, without reading the package's
code. They do not know the package's stricter rules.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Collection
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from flask_ssr_session.errors import TokenDefect

# The rules that the judges do not have.
STRICTER: Final = {
    TokenDefect.TOO_LARGE,
    TokenDefect.ENCODING,  # canonical base64url
    TokenDefect.JSON,  # duplicate members, NaN, depth
    TokenDefect.HEADER,  # parameters that supply keys
    TokenDefect.VERSION,  # two ASCII digits at most
    TokenDefect.CLAIMS,  # empty, long or unprintable identifiers
    TokenDefect.TIMES,  # times after the year 9999
    TokenDefect.TOKEN_TYPE,  # False and 0.0 equal 0
}

_IDENTIFIERS = {3: ("sub", "sessionHandle", "refreshTokenHash1"), 4: ("tId",), 5: ("rsub",)}


class Judges:
    """Judge tokens by one key, which has these key ids."""

    def __init__(self, key: RSAPublicKey, kids: Collection[str] = ("d-test",)) -> None:
        self._key = key
        self._kids = kids
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self._jwk = RSAKey.import_key(pem)
        # "version" is not among the registered header parameters.
        self._registry = jws.JWSRegistry(algorithms=["RS256"], strict_check_header=False)
        # Its size limits are not under test.
        self._registry.max_header_length = self._registry.max_payload_length = 100_000

    def claims(self, token: str, now: float) -> dict[str, Any] | None:
        """Return the claims of *token* if both libraries and the rules of a session accept it."""
        if not token.isascii() or not self._joserfc(token):
            return None
        unchecked = ("exp", "iat", "nbf", "aud", "iss", "sub", "jti")
        try:
            decoded = jwt.PyJWT().decode_complete(
                token,
                self._key,
                algorithms=["RS256"],
                options={f"verify_{name}": False for name in unchecked},  # type: ignore[arg-type]
            )
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError, OverflowError):
            return None
        header, claims = decoded["header"], decoded["payload"]
        is_session = header.get("kid") in self._kids and _is_session(header, claims, now)
        return claims if is_session else None

    def _joserfc(self, token: str) -> bool:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                jws.deserialize_compact(token, self._jwk, registry=self._registry)
        except (JoseError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
            return False
        return True


def _is_session(header: dict[str, Any], claims: dict[str, Any], now: float) -> bool:
    if header.get("typ") != "JWT":
        return False
    version = header.get("version")
    if not isinstance(version, str) or not version.isdecimal():
        return False
    for since, names in _IDENTIFIERS.items():
        if int(version) >= since and not all(isinstance(claims.get(n), str) for n in names):
            return False
    if int(version) < 3 or claims.get("stt", 0) != 0:
        return False
    times = [claims.get("exp"), claims.get("iat"), claims.get("nbf", 0)]
    if not all(type(time) in (int, float) for time in times):
        return False
    # An int of hundreds of digits is finite, too, but does not fit into a float.
    if not all(math.isfinite(time) for time in times if type(time) is float):
        return False
    exp, iat, nbf = times
    return bool(exp > now) and bool(max(iat, nbf) <= now + 60)
