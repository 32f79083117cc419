"""Explain one access token, claim by claim, without repeating any of it.

What is told: which claims there are, how old the times are, which rule is broken. Names of claims
that SuperTokens does not write are told only where they are plain words; values never are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from ..errors import (
    KeysUnavailableError,
    TokenDefect,
    TokenError,
    TokenExpiredError,
    TokenInvalidError,
    TokenNotYetValidError,
)
from ..sansio.claims import MFA_CLAIM
from ..sansio.jose import decode_base64url
from ..sansio.verdict import mfa_is_complete
from ..sansio.verification import (
    MAX_CLOCK_AHEAD_SECONDS,
    KeySource,
    TokenRules,
    verify_access_token,
)
from ..upstream.key_set import KeySet
from .finding import Finding, format_age, ok, problem, warning

# As for the verifier: the last second of the year 9999.
_END_OF_TIME = 253_402_300_799

_MOST_NAMES = 20
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

_IDS = ("sub", "rsub", "tId", "sessionHandle", "refreshTokenHash1")
_VERSIONS_WITHOUT = {"tId": ("3",), "rsub": ("3", "4")}
_TIMES = ("iat", "nbf", "exp")
_FETCHED = ("st-ev", "st-role", "st-perm")
_EXPLAINED = {
    *_IDS,
    *_TIMES,
    *_FETCHED,
    MFA_CLAIM,
    "antiCsrfToken",
    "iss",
    "parentRefreshTokenHash1",
    "stt",
}

_COPY_IT = "copy the whole value of the cookie sAccessToken"
_TAKE_IT = "take the cookie sAccessToken of a session"
_ONE_CORE = "sign in anew and look again; if it stays so, let pages and API use one core"

# What is wrong, behind "the token is refused: ", and what to do.
DEFECTS = {
    TokenDefect.TOO_LARGE: ("it is larger than 8 KiB, more than browsers send", _COPY_IT),
    TokenDefect.SEGMENTS: ("it has not three parts", _COPY_IT),
    TokenDefect.ENCODING: ("a part is no base64url", _COPY_IT),
    TokenDefect.JSON: ("a part is no JSON object, or names a member twice", _COPY_IT),
    TokenDefect.ALGORITHM: ("its algorithm is not RS256, which sessions have", _TAKE_IT),
    TokenDefect.TYPE: ("its header does not say JWT", _TAKE_IT),
    TokenDefect.VERSION: (
        "it has no version of 3 or more: a token of the JWT recipe or of OAuth2",
        _TAKE_IT,
    ),
    TokenDefect.HEADER: ("its header has parameters that SuperTokens never writes", _TAKE_IT),
    TokenDefect.KEY_ID: ("its header names no key", _TAKE_IT),
    TokenDefect.KEY_KIND: (
        "the other kind of key signed it than the SDK here is set to",
        "let use_dynamic_access_token_signing_key say the same wherever the SDK is initialised",
    ),
    TokenDefect.KEY_UNKNOWN: (
        "no key of the key set signed it: it is older than the last rotation, or of another core",
        _ONE_CORE,
    ),
    TokenDefect.SIGNATURE: (
        "the signature does not fit: it was changed, or another core signed it",
        _ONE_CORE,
    ),
    TokenDefect.TIMES: ("exp, iat or nbf is no time", _TAKE_IT),
    TokenDefect.CLAIMS: ("a claim of every session is missing or no plain text", _TAKE_IT),
    TokenDefect.TOKEN_TYPE: ("it is an OAuth2 token, not one of a session", _TAKE_IT),
    TokenDefect.ISSUER: (
        "iss is not what SSR_SESSION_ISSUER says",
        "set SSR_SESSION_ISSUER to api_domain followed by api_base_path, or leave it out",
    ),
}


def explain_token(
    raw_token: str, keys: KeySource | None, rules: TokenRules, now: float
) -> Iterator[Finding]:
    """Yield a finding for each claim, and at last what a page makes of the token.

    :param keys: None where none may be fetched: the signature is not looked at then.
    """
    payload = _unverified_part(raw_token, 1)
    if payload is not None:
        header = _unverified_part(raw_token, 0) or {}
        yield from _times(payload, rules, now)
        yield from _ids(payload, header.get("version"))
        yield from _claims(payload, rules, now)
    yield _outcome(raw_token, keys, rules, now)


def _unverified_part(raw_token: str, position: int) -> Mapping[str, Any] | None:
    """Return what stands in a part of a token, or None where it cannot be read."""
    parts = raw_token.split(".")
    try:
        value = json.loads(decode_base64url(parts[position].encode("ascii")))
    except (IndexError, ValueError, RecursionError, TokenInvalidError):
        return None
    return value if isinstance(value, dict) else None


def _ids(payload: Mapping[str, Any], version: Any) -> Iterator[Finding]:
    for name in _IDS:
        if isinstance(payload.get(name), str) and payload[name]:
            yield ok(name, "present")
        elif str(version) in _VERSIONS_WITHOUT.get(name, ()):
            yield ok(name, "none, as in tokens of older cores")
        else:
            yield problem(name, "missing, or no text", _TAKE_IT)


def _claims(payload: Mapping[str, Any], rules: TokenRules, now: float) -> Iterator[Finding]:
    if payload.get("parentRefreshTokenHash1") is None:
        yield ok("parentRefreshTokenHash1", "empty: never refreshed, or used at the API since")
    else:
        yield ok("parentRefreshTokenHash1", "present: fresh from a refresh")
    if payload.get("antiCsrfToken") is not None:
        yield ok("antiCsrfToken", "present: the API asks for it in a header, pages do not")
    if payload.get("stt", 0) != 0:
        yield problem("stt", "says OAuth2, not session", _TAKE_IT)
    if rules.issuer is None:
        yield ok("iss", "present, not checked" if "iss" in payload else "absent, not checked")
    elif payload.get("iss") == rules.issuer:
        yield ok("iss", "fits SSR_SESSION_ISSUER")
    else:
        yield problem("iss", *DEFECTS[TokenDefect.ISSUER])
    for name in _FETCHED:
        if name in payload:
            yield _fetched(name, payload[name], now)
    if (is_complete := mfa_is_complete(payload)) is not None:
        told = "all factors" if is_complete else "not all factors"
        yield ok(MFA_CLAIM, f"says that {told} of sign-in are complete")
    yield from _others(payload)


def _times(payload: Mapping[str, Any], rules: TokenRules, now: float) -> Iterator[Finding]:
    for name in _TIMES:
        value = payload.get(name)
        if value is None and name == "nbf":
            continue
        if not _is_number(value, _END_OF_TIME):
            yield problem(name, "is no time", _TAKE_IT)
            continue
        left = value - now
        if name != "exp":
            if left > MAX_CLOCK_AHEAD_SECONDS:
                yield problem(
                    name,
                    f"{format_age(left)} in the future",
                    "let the core and this machine set their clocks by NTP",
                )
            else:
                yield ok(name, f"{format_age(left)} {'in the future' if left > 0 else 'ago'}")
        elif left + rules.leeway_seconds > 0:
            yield ok(
                name,
                f"in {format_age(left)}"
                if left > 0
                else f"{format_age(left)} ago, within the leeway",
            )
        else:
            yield problem(
                name,
                f"ran out {format_age(left)} ago",
                "nothing: a page asks the browser to refresh it",
            )


def _is_number(value: Any, most: float) -> TypeGuard[float]:
    """Tell whether a value is a number that can be a time; a bool is none."""
    return type(value) in (int, float) and 0 <= value < most


def _fetched(name: str, value: Any, now: float) -> Finding:
    time = value.get("t") if isinstance(value, dict) else None
    if not _is_number(time, 1e15):
        return warning(name, "present, but not as SuperTokens writes it", "fetch the claim anew")
    return ok(name, f"present, fetched {format_age(now - time / 1000)} ago")


def _others(payload: Mapping[str, Any]) -> Iterator[Finding]:
    names = [name for name in payload if name not in _EXPLAINED]
    if not names:
        return
    plain = sorted(filter(_PLAIN_NAME.fullmatch, names))
    told = ", ".join(plain[:_MOST_NAMES])
    hidden = len(names) - len(plain[:_MOST_NAMES])
    more = f"{told}{' and ' if told else ''}{hidden} more" if hidden else told
    yield ok("others", f"claims of your own: {more}")


def _outcome(raw_token: str, keys: KeySource | None, rules: TokenRules, now: float) -> Finding:
    try:
        session = verify_access_token(raw_token, _NoKeys() if keys is None else keys, rules, now)
    except _NotAskedError:
        return warning(
            "token", "well formed and in time; the signature was not checked", "leave --offline out"
        )
    except TokenExpiredError:
        return problem("token", "the token is refused: it ran out", "refresh it in the browser")
    except TokenNotYetValidError:
        return problem(
            "token",
            "the token is genuine, and begins in the future",
            "let the core and this machine set their clocks by NTP",
        )
    except TokenError as error:
        says, advice = DEFECTS[error.reason]
        return problem("token", f"the token is refused: {says}", advice)
    except KeysUnavailableError as error:
        return problem(
            "token", f"nothing is known about the token: {error}", "see ssr-session doctor"
        )
    if mfa_is_complete(session.access_token_payload) is False:
        return warning(
            "token",
            "the token proves a session whose user has not completed all factors of sign-in",
            "nothing: pages lead such visitors to the next factor",
        )
    return ok("token", "the token proves a session")


class _NotAskedError(Exception):
    """The verifier came as far as the key."""


class _NoKeys:
    """Stands for keys that may not be fetched."""

    token_cache = KeySet({})

    def usable_cache_or_fetch(self) -> KeySet:
        """Return an empty cache."""
        return self.token_cache

    def get_or_fetch(self, kid: str, issued_at: float) -> None:  # noqa: ARG002
        """Stop here."""
        raise _NotAskedError
