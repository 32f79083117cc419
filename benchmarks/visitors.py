"""Who asks: visitors with a token of their own, signed before anything is timed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

from flask import Flask

from flask_ssr_session.app_state import EXTENSION_NAME, AppState
from flask_ssr_session.testing import SessionSigner

from .driving import FETCH_HEADERS, Asked, environ
from .sites import COOKIE

VALID_SECONDS = 24 * 3600


@dataclass(frozen=True)
class Token:
    """A signed access token of a user of its own."""

    raw: str
    user_id: str

    def asked(self, path: str = "/", more_cookies: str = "") -> Asked:
        """Return the request of a browser that holds it."""
        cookies = f"{COOKIE}={self.raw}{more_cookies}"
        return Asked(environ(path, cookies), body=self.user_id.encode())

    def refused(self) -> Asked:
        """Return a script's request that must not get through with it."""
        cookies = f"{COOKIE}={self.raw}"
        return Asked(environ("/required", cookies, FETCH_HEADERS), "401", b"try refresh token")


def sign(signer: SessionSigner, count: int, more_chars: int = 0) -> list[Token]:
    """Return *count* tokens, with so many characters more than they need."""
    more = {"more": "x" * (more_chars * 3 // 4)} if more_chars > 0 else {}
    tokens = []
    for number in range(count):
        user_id = f"user-{number:07}"
        claims = signer.claims(user_id, roles=["reader"], valid_seconds=VALID_SECONDS)
        tokens.append(Token(signer.sign(claims | more), user_id))
    return tokens


def never_seen(app: Flask, tokens: Sequence[Token], path: str = "/") -> Iterator[Asked]:
    """Yield requests whose tokens *app* does not remember.

    :raises RuntimeError: it does.
    """
    state: AppState = app.extensions[EXTENSION_NAME]
    for token in cycle(tokens):
        with app.app_context():
            remembered = state.ready().keys.token_cache.get(token.raw)
        if remembered is not None:
            raise RuntimeError("there are too few tokens: one that is remembered came again")
        yield token.asked(path)
