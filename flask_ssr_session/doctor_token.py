"""Explain one access token, claim by claim, without repeating any of it.

What is told: which claims there are, how old the times are, which rule is broken. Names of claims
that SuperTokens does not write are told only where they are plain words; values never are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from .doctor import Finding, ok, problem, warning
from .doctor_network import ago
from .errors import (
    KeysUnavailableError,
    TokenDefect,
    TokenError,
    TokenExpiredError,
    TokenInvalidError,
    TokenNotYetValidError,
)
from .tokens import KeyFinder, TokenRules, decode_base64url, verify_access_token

_MOST_NAMES = 20
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")

_IDS = ("sub", "rsub", "tId", "sessionHandle", "refreshTokenHash1")
_TIMES = ("iat", "nbf", "exp")
_FETCHED = ("st-ev", "st-role", "st-perm")
_EXPLAINED = {*_IDS, *_TIMES, *_FETCHED, "iss", "stt", "parentRefreshTokenHash1", "antiCsrfToken"}

# Each ends "the token is refused: ...".
DEFECTS = {
    TokenDefect.TOO_LARGE: "it is larger than 8 KiB, more than browsers send",
    TokenDefect.SEGMENTS: "it has not three parts; is it the cookie sAccessToken, as a whole?",
    TokenDefect.ENCODING: "a part is no base64url; was something cut off or added in copying?",
    TokenDefect.JSON: "a part is no JSON object, or one with two members of one name",
    TokenDefect.ALGORITHM: "its algorithm is not RS256, which all session tokens have",
    TokenDefect.TYPE: "its header does not say JWT",
    TokenDefect.VERSION: "it has no version of 3 or more: a token of the JWT recipe or of OAuth2",
    TokenDefect.HEADER: "its header has parameters that SuperTokens never writes",
    TokenDefect.KEY_ID: "its header names no key",
    TokenDefect.KEY_KIND: "the other kind of key signed it than the SDK here is set to "
    "(use_dynamic_access_token_signing_key)",
    TokenDefect.KEY_UNKNOWN: "no key of the key set signed it: it is older than the last rotation, "
    "or of another core",
    TokenDefect.SIGNATURE: "the signature does not fit: it was changed, or another core signed it",
    TokenDefect.TIMES: "exp, iat or nbf is no time",
    TokenDefect.CLAIMS: "a claim of every session is missing or no plain text",
    TokenDefect.TOKEN_TYPE: "it is an OAuth2 token, not one of a session",
    TokenDefect.ISSUER: "iss is not what SSR_SESSION_ISSUER says",
}


def explain_token(
    raw_token: str, keys: KeyFinder | None, rules: TokenRules, now: float
) -> Iterator[Finding]:
    """Yield a finding for each claim, and at last what a page makes of the token.

    :param keys: None where none may be fetched: the signature is not looked at then.
    """
    payload = _unverified_payload(raw_token)
    if payload is not None:
        yield from _claims(payload, rules, now)
    yield _outcome(raw_token, keys, rules, now)


def _unverified_payload(raw_token: str) -> Mapping[str, Any] | None:
    """Return what stands in the middle of a token, or None where it cannot be read."""
    parts = raw_token.split(".")
    try:
        payload = json.loads(decode_base64url(parts[1].encode("ascii")))
    except (IndexError, ValueError, RecursionError, TokenInvalidError):
        return None
    return payload if isinstance(payload, dict) else None


def _claims(payload: Mapping[str, Any], rules: TokenRules, now: float) -> Iterator[Finding]:
    yield from _times(payload, rules, now)
    for name in _IDS:
        if isinstance(payload.get(name), str) and payload[name]:
            yield ok(name, "present")
        elif name in ("tId", "rsub") and name not in payload:
            yield ok(name, "absent, as in tokens of older cores")
        else:
            yield problem(name, "missing, or no text", "ask for a session's token: sAccessToken")
    if payload.get("parentRefreshTokenHash1") is None:
        yield ok("parentRefreshTokenHash1", "empty: never refreshed, or used at the API since")
    else:
        yield ok("parentRefreshTokenHash1", "present: fresh from a refresh")
    if payload.get("antiCsrfToken") is not None:
        yield ok("antiCsrfToken", "present: the API asks for it in a header, pages do not")
    if payload.get("stt", 0) != 0:
        yield problem("stt", "says OAuth2, not session", "send the cookie sAccessToken")
    if rules.issuer is not None:
        fits = payload.get("iss") == rules.issuer
        yield (
            ok("iss", "fits SSR_SESSION_ISSUER")
            if fits
            else problem("iss", "is not what SSR_SESSION_ISSUER says", "correct the setting")
        )
    else:
        yield ok("iss", "present, not checked" if "iss" in payload else "absent, not checked")
    for name in _FETCHED:
        if name in payload:
            yield _fetched(name, payload[name], now)
    yield from _others(payload)


def _times(payload: Mapping[str, Any], rules: TokenRules, now: float) -> Iterator[Finding]:
    for name in _TIMES:
        value = payload.get(name)
        if value is None and name == "nbf":
            continue
        if not _is_number(value, 1e12):
            yield problem(name, "is no time", "ask for a session's token: sAccessToken")
            continue
        left = value - now
        if name != "exp":
            if left > 60:
                yield problem(
                    name,
                    f"{ago(left)} in the future",
                    "let the core and this machine set their clocks by NTP",
                )
            else:
                yield ok(name, f"{ago(left)} {'in the future' if left > 0 else 'ago'}")
        elif left + rules.leeway_seconds > 0:
            yield ok(name, f"in {ago(left)}" if left > 0 else f"{ago(left)} ago, within the leeway")
        else:
            yield problem(
                name,
                f"ran out {ago(left)} ago",
                "nothing: a page asks the browser to refresh it",
            )


def _is_number(value: Any, most: float) -> TypeGuard[float]:
    """Tell whether a value is a number that can be a time; a bool is none."""
    return type(value) in (int, float) and 0 <= value < most


def _fetched(name: str, value: Any, now: float) -> Finding:
    time = value.get("t") if isinstance(value, dict) else None
    if not _is_number(time, 1e15):
        return warning(name, "present, but not as SuperTokens writes it", "fetch the claim anew")
    return ok(name, f"present, fetched {ago(now - time / 1000)} ago")


def _others(payload: Mapping[str, Any]) -> Iterator[Finding]:
    names = [name for name in payload if name not in _EXPLAINED]
    if not names:
        return
    plain = sorted(filter(_PLAIN_NAME.fullmatch, names))
    told = ", ".join(plain[:_MOST_NAMES])
    hidden = len(names) - len(plain[:_MOST_NAMES])
    more = f"{told}{' and ' if told else ''}{hidden} more" if hidden else told
    yield ok("others", f"claims of your own: {more}")


def _outcome(raw_token: str, keys: KeyFinder | None, rules: TokenRules, now: float) -> Finding:
    try:
        verify_access_token(raw_token, keys or _NoKeys(), rules, now)
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
        return problem(
            "token",
            f"the token is refused: {DEFECTS[error.reason]}",
            "sign in anew, and look again",
        )
    except KeysUnavailableError as error:
        return problem(
            "token", f"nothing is known about the token: {error}", "see ssr-session doctor"
        )
    return ok("token", "the token proves a session")


class _NotAskedError(Exception):
    """The verifier came as far as the key."""


class _NoKeys:
    """Stands for keys that may not be fetched."""

    def peek(self, raw_token: str) -> None:
        """Know no token."""

    recall = peek

    def find(self, kid: str, issued_at: float) -> None:  # noqa: ARG002
        """Stop here."""
        raise _NotAskedError

    def remember(self, *_: Any) -> None:
        """Keep nothing."""
