"""Verify one access token, rule by rule in a fixed order."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ..errors import TokenDefect, TokenExpiredError, TokenInvalidError, TokenNotYetValidError
from ..session import SSRSession, deep_freeze
from .jwt import NEWEST_KNOWN_VERSION, ParsedToken, decode_unverified_token

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

# Clocks differ by seconds; a clock that is off by more than a minute is wrong.
MAX_CLOCK_AHEAD_SECONDS = 60.0


class TokenRules(NamedTuple):
    """The settings that verification depends on.

    :ivar issuer: the required ``iss``; None accepts any.
    :ivar leeway_seconds: how long after ``exp`` a token is still valid.
    :ivar kid_prefix: the required prefix of key ids, ``d-`` or ``s-``; None accepts both.
    """

    issuer: str | None = None
    leeway_seconds: float = 0.0
    kid_prefix: str | None = None


class TokenCache(Protocol):
    """The sessions of verified tokens. No method blocks."""

    def get(self, raw_token: str) -> SSRSession | None:
        """Return the session of a token that was verified before, or None."""
        ...

    def put(self, raw_token: str, kid: str, key: RSAPublicKey, session: SSRSession) -> None:
        """Cache *session*, unless *kid* now names another key than *key*, or none."""
        ...


class KeySource(Protocol):
    """Signing keys, and a cache of the tokens they verified.

    Methods whose names end in ``_or_fetch`` may wait for a fetch. They raise KeysUnavailableError
    if there are no usable keys.
    """

    @property
    def token_cache(self) -> TokenCache:
        """The tokens that the known keys verified, however old these keys are."""
        ...

    def usable_cache_or_fetch(self) -> TokenCache:
        """Return the tokens that usable keys verified; fetch keys if the known ones are too old."""
        ...

    def get_or_fetch(self, kid: str, issued_at: float) -> RSAPublicKey | None:
        """Return the key named *kid*, or None if it does not exist.

        :param issued_at: ``iat`` of the token, seconds since the epoch.
        """
        ...


def verify_access_token(
    raw_token: str,
    keys: KeySource,
    rules: TokenRules,
    now: float,
    parsed: ParsedToken | None = None,
) -> SSRSession:
    """Verify one SuperTokens access token and return its session.

    :param now: the current time, seconds since the epoch.
    :param parsed: the result of :func:`decode_unverified_token` for *raw_token*, if it is known.
    :raises TokenExpiredError: ``exp`` plus the leeway is not after *now*.
    :raises TokenNotYetValidError: the signature is valid, but ``iat`` or ``nbf`` is more than a
        minute after *now*.
    :raises TokenInvalidError: any other defect; ``.reason`` says which.
    :raises KeysUnavailableError: there is no signing key to verify it with.

    ``exp`` is checked before the key: a token expires even if its key was removed or no keys can be
    fetched. An unverified ``exp`` can only lead to a refresh.
    """
    cache = keys.token_cache
    cached = cache.get(raw_token)
    if cached is not None:
        if _has_expired(cached.access_token_payload["exp"], rules, now):
            raise TokenExpiredError
        if keys.usable_cache_or_fetch() is cache:
            return cached
    token = parsed or decode_unverified_token(raw_token)
    if _has_expired(token.exp, rules, now):
        raise TokenExpiredError
    if rules.kid_prefix is not None and not token.kid.startswith(rules.kid_prefix):
        raise TokenInvalidError(TokenDefect.KEY_KIND)
    if rules.issuer is not None and token.payload.get("iss") != rules.issuer:
        raise TokenInvalidError(TokenDefect.ISSUER)
    key = keys.get_or_fetch(token.kid, token.iat)
    if key is None:
        raise TokenInvalidError(TokenDefect.KEY_UNKNOWN)
    # init_app has loaded it.
    from .signature import is_signed_by

    if not is_signed_by(key, token.signed, token.signature):
        raise TokenInvalidError(TokenDefect.SIGNATURE)
    if max(token.iat, token.payload.get("nbf", token.iat)) > now + MAX_CLOCK_AHEAD_SECONDS:
        raise TokenNotYetValidError
    if token.version > NEWEST_KNOWN_VERSION:
        _log_newer_version(token.version)
    # Freeze only after the signature is verified.
    session = SSRSession(deep_freeze(token.payload))
    keys.token_cache.put(raw_token, token.kid, key, session)
    return session


@lru_cache
def _log_newer_version(version: int) -> None:
    """Log once per process that a token has a newer version than this package knows."""
    logging.getLogger("flask_ssr_session").warning(
        "newer_token_version: access tokens have version %d; checked by the rules of version %d",
        version,
        NEWEST_KNOWN_VERSION,
    )


def _has_expired(exp: float, rules: TokenRules, now: float) -> bool:
    return exp + rules.leeway_seconds <= now
