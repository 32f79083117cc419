"""Explain one access token, claim by claim, without repeating any of its values.

Findings say which claims exist, how old the times are and which rule is broken. They name the
app's own claims only if the names are plain words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import (
    KeysUnavailableError,
    TokenDefect,
    TokenError,
    TokenExpiredError,
    TokenInvalidError,
    TokenNotYetValidError,
)
from ..sansio.base64url import decode_base64url
from ..sansio.builtin_claims import EMAIL_VERIFIED_CLAIM, MFA_CLAIM, PERMISSIONS_CLAIM, ROLES_CLAIM
from ..sansio.cookie_header import ACCESS_TOKEN_COOKIE
from ..sansio.jwt import ID_CLAIM_VERSIONS, OLDEST_KNOWN_VERSION, is_time
from ..sansio.verdict import mfa_is_complete
from ..sansio.verification import (
    MAX_CLOCK_AHEAD_SECONDS,
    KeySource,
    TokenRules,
    verify_access_token,
)
from ..upstream.key_set import KeySet
from .finding import Finding, format_age, ok, problem, warning
from .token_defects import DEFECTS, SYNCHRONISE_CLOCKS, USE_SESSION_COOKIE

# Name and value together; browsers ignore a larger cookie (RFC 6265bis section 5.6).
_MAX_COOKIE_CHARS = 4096

_MAX_NAMES = 20
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

_TIMES = ("iat", "nbf", "exp")
# Claims that recipes fetch; each has the time of its fetch.
_FETCHED = (EMAIL_VERIFIED_CLAIM, ROLES_CLAIM, PERMISSIONS_CLAIM)
_EXPLAINED = {
    *ID_CLAIM_VERSIONS,
    *_TIMES,
    *_FETCHED,
    MFA_CLAIM,
    "antiCsrfToken",
    "iss",
    "parentRefreshTokenHash1",
    "stt",
}


def explain_token(
    raw_token: str, keys: KeySource | None, rules: TokenRules, now: float
) -> Iterator[Finding]:
    """Yield a finding for each claim, and finally what a page decides about the token.

    :param keys: None if no keys may be fetched; the signature is not checked then.
    """
    if len(ACCESS_TOKEN_COOKIE) + len(raw_token) > _MAX_COOKIE_CHARS:
        yield problem(
            "size",
            f"the cookie has more than {_MAX_COOKIE_CHARS:,} bytes, so browsers drop it without a "
            "word, and the refresh page says that the browser blocks cookies",
            "put less into the access token's payload: keep long lists in the database",
        )
    payload = _decode_unverified_part(raw_token, 1)
    if payload is not None:
        header = _decode_unverified_part(raw_token, 0) or {}
        yield from _explain_times(payload, rules, now)
        yield from _explain_ids(payload, header.get("version"))
        yield from _explain_claims(payload, rules, now)
    yield _explain_decision(raw_token, keys, rules, now)


def _decode_unverified_part(raw_token: str, position: int) -> Mapping[str, Any] | None:
    """Return the JSON object in a part of a token, or None if there is none."""
    parts = raw_token.split(".")
    try:
        value = json.loads(decode_base64url(parts[position].encode("ascii")))
    except (IndexError, ValueError, RecursionError, TokenInvalidError):
        return None
    return value if isinstance(value, dict) else None


def _explain_times(payload: Mapping[str, Any], rules: TokenRules, now: float) -> Iterator[Finding]:
    for name in _TIMES:
        value = payload.get(name)
        if value is None and name == "nbf":
            continue
        if not is_time(value):
            yield problem(name, "is not a valid time", USE_SESSION_COOKIE)
        elif name == "exp":
            yield _explain_expiry(value - now, rules)
        elif value - now > MAX_CLOCK_AHEAD_SECONDS:
            yield problem(name, f"{format_age(value - now)} in the future", SYNCHRONISE_CLOCKS)
        else:
            direction = "in the future" if value > now else "ago"
            yield ok(name, f"{format_age(value - now)} {direction}")


def _explain_expiry(left: float, rules: TokenRules) -> Finding:
    """Explain ``exp``, which is *left* seconds away."""
    if left > 0:
        return ok("exp", f"in {format_age(left)}")
    if left + rules.leeway_seconds > 0:
        return ok("exp", f"{format_age(left)} ago, within the leeway")
    return problem(
        "exp",
        f"expired {format_age(left)} ago",
        "nothing to do: a page makes the browser refresh it",
    )


def _explain_ids(payload: Mapping[str, Any], version: Any) -> Iterator[Finding]:
    for name, first_version in ID_CLAIM_VERSIONS.items():
        if isinstance(payload.get(name), str) and payload[name]:
            yield ok(name, "present")
        elif version in map(str, range(OLDEST_KNOWN_VERSION, first_version)):
            yield ok(name, "absent, as in tokens of older cores")
        else:
            yield problem(name, "missing, or not text", USE_SESSION_COOKIE)


def _explain_claims(payload: Mapping[str, Any], rules: TokenRules, now: float) -> Iterator[Finding]:
    if payload.get("parentRefreshTokenHash1") is None:
        yield ok("parentRefreshTokenHash1", "empty: never refreshed, or used at the API since")
    else:
        yield ok("parentRefreshTokenHash1", "present: fresh from a refresh")
    if payload.get("antiCsrfToken") is not None:
        yield ok("antiCsrfToken", "present: the API requires it in a header, pages do not")
    if payload.get("stt", 0) != 0:
        yield problem("stt", "says OAuth2, not session", USE_SESSION_COOKIE)
    if rules.issuer is None:
        yield ok("iss", "present, not checked" if "iss" in payload else "absent, not checked")
    elif payload.get("iss") == rules.issuer:
        yield ok("iss", "matches SSR_SESSION_ISSUER")
    else:
        yield problem("iss", *DEFECTS[TokenDefect.ISSUER])
    for name in _FETCHED:
        if name in payload:
            yield _explain_fetched(name, payload[name], now)
    if (is_complete := mfa_is_complete(payload)) is not None:
        factors = "all factors" if is_complete else "not all factors"
        yield ok(MFA_CLAIM, f"says that {factors} of sign-in are complete")
    yield from _explain_other_claims(payload)


def _explain_fetched(name: str, value: Any, now: float) -> Finding:
    fetched_ms: Any = value.get("t") if isinstance(value, dict) else None
    # Not "/", which overflows for a long integer.
    if not (type(fetched_ms) in (int, float) and is_time(fetched_ms // 1000)):
        return warning(
            name, "present, but not in the form that SuperTokens writes", "fetch the claim again"
        )
    return ok(name, f"present, fetched {format_age(now - fetched_ms / 1000)} ago")


def _explain_other_claims(payload: Mapping[str, Any]) -> Iterator[Finding]:
    names = [name for name in payload if name not in _EXPLAINED]
    if not names:
        return
    shown = sorted(filter(_PLAIN_NAME.fullmatch, names))[:_MAX_NAMES]
    text = ", ".join(shown)
    if hidden := len(names) - len(shown):
        text += f"{' and ' if shown else ''}{hidden} more"
    yield ok("others", f"your own claims: {text}")


def _explain_decision(
    raw_token: str, keys: KeySource | None, rules: TokenRules, now: float
) -> Finding:
    try:
        session = verify_access_token(raw_token, _NoKeys() if keys is None else keys, rules, now)
    except _KeyNeededError:
        return warning(
            "token", "well formed and not expired; the signature was not checked", "omit --offline"
        )
    except TokenExpiredError:
        return problem(
            "token", "the token is rejected: it has expired", "refresh it in the browser"
        )
    except TokenNotYetValidError:
        return problem("token", "the token is genuine, but not valid yet", SYNCHRONISE_CLOCKS)
    except TokenError as error:
        message, advice = DEFECTS[error.reason]
        return problem("token", f"the token is rejected: {message}", advice)
    except KeysUnavailableError as error:
        return problem(
            "token", f"the token could not be checked: {error}", "run flask ssr-session doctor"
        )
    if mfa_is_complete(session.access_token_payload) is False:
        return warning(
            "token",
            "the token proves a session whose user has not completed all factors of sign-in",
            "nothing to do: pages send such visitors to the next factor",
        )
    return ok("token", "the token proves a session")


class _KeyNeededError(Exception):
    """Every rule that needs no key has passed."""


class _NoKeys:
    """Stops the verification at the first rule that needs a key."""

    token_cache = KeySet({})

    def usable_cache_or_fetch(self) -> KeySet:
        """Return an empty cache."""
        return self.token_cache

    def get_or_fetch(self, kid: str, issued_at: float) -> None:  # noqa: ARG002
        """Stop the verification.

        :raises _KeyNeededError: always.
        """
        raise _KeyNeededError
