"""Visitors with different tokens, signed before anything is timed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from flask import Flask

from flask_ssr_session.app_state import EXTENSION_NAME, AppState
from flask_ssr_session.testing import SessionSigner

from .driving import FETCH_HEADERS, TimedRequest, environ
from .sites import COOKIE

VALID_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Token:
    """A signed access token; each has a different user."""

    raw: str
    user_id: str

    def request(self, path: str = "/", more_cookies: str = "") -> TimedRequest:
        """Return a browser's request with the token."""
        cookies = f"{COOKIE}={self.raw}{more_cookies}"
        return TimedRequest(environ(path, cookies), body=self.user_id.encode())

    def refused(self) -> TimedRequest:
        """Return a script's request that must be refused."""
        cookies = f"{COOKIE}={self.raw}"
        return TimedRequest(
            environ("/required", cookies, FETCH_HEADERS), "401", b"try refresh token"
        )


def sign(signer: SessionSigner, count: int, more_chars: int = 0) -> list[Token]:
    """Return *count* tokens, each with extra characters in its claims."""
    more = {"more": "x" * (more_chars * 3 // 4)} if more_chars > 0 else {}
    tokens = []
    for number in range(count):
        user_id = f"user-{number:07}"
        claims = signer.claims(user_id, roles=["reader"], valid_seconds=VALID_SECONDS)
        tokens.append(Token(signer.sign(claims | more), user_id))
    return tokens


def never_seen(app: Flask, tokens: Sequence[Token], path: str = "/") -> Iterator[TimedRequest]:
    """Yield requests with tokens that *app* does not remember.

    :raises RuntimeError: *app* remembers one.
    """
    state: AppState = app.extensions[EXTENSION_NAME]
    for token in cycle(tokens):
        with app.app_context():
            remembered = state.sdk_binding().keys.token_cache.get(token.raw)
        if remembered is not None:
            raise RuntimeError("too few tokens: a remembered one came again")
        yield token.request(path)
