"""Rotate keys under a running app for hours, with a core over HTTP; time is stepped.

``python -m tools.soak.rotation`` takes about 20 seconds. The promises: no request notices a
scheduled rotation; the new key of an unscheduled one works within 10 s; a token of a removed key
is invalid within 300 s, at the first request after idle time, and at once after ``clear_keys()``;
the first visitor after days is answered as usual. A promise that breaks ends it with status 1.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from flask import Flask

from flask_ssr_session import FlaskSSRSession, app_state
from flask_ssr_session.dev_core import DevelopmentCore
from flask_ssr_session.dev_core import keys as core_keys
from flask_ssr_session.sansio.jwt import decode_unverified_token
from flask_ssr_session.upstream import key_age
from tests.app.conftest import cookies, with_views
from tests.browser_requests import PAGE
from tests.clocks import SteppedClock
from tests.dev_core.support import send
from tests.key_servers import finish_background

DAY = 24 * 3600.0
NEW_SESSION = {
    "userId": "user-1",
    "userDataInJWT": {},
    "userDataInDatabase": {},
    "enableAntiCsrf": False,
    "useDynamicSigningKey": True,
}

INVALID = "refresh; reason=invalid"
UNAVAILABLE = "unavailable; reason=keys_unavailable"


class BrokenPromiseError(Exception):
    """Says what was found and what was promised."""


class Site:
    """An app with a page for signed-in visitors, and the core that signs their tokens."""

    def __init__(self, core: DevelopmentCore, clock: SteppedClock) -> None:
        self.core = core
        self.clock = clock
        self._app = Flask("site")
        self._extension = FlaskSSRSession(
            self._app,
            api_domain="https://api.example.com",
            jwks_uri=f"{core.uri}/.well-known/jwks.json",
        )
        self._client = with_views(self._app).test_client(use_cookies=False)

    def sign_in(self) -> str:
        """Return an access token issued now."""
        answer = send(self.core.uri, "POST", "/recipe/session", body=NEW_SESSION)
        return str(answer.json["accessToken"]["token"])

    def visit(self, token: str) -> str:
        """Request a page; return ``active`` if it was shown, otherwise state and reason."""
        response = self._client.get("/account", headers=PAGE | cookies(token))
        # Threads need real time; the stepped time does not advance.
        finish_background()
        said = response.headers.get("SSR-Session", "active")
        expect(response.text == "account of user-1", said == "active", f"the page of {said}")
        expect(response.status_code == 503, said == UNAVAILABLE, f"the status of {said}")
        return said

    def clear_keys(self) -> None:
        with self._app.app_context():
            self._extension.clear_keys()


@contextmanager
def site(update_every_seconds: int | None = None, wait_seconds: float = 30.0) -> Iterator[Site]:
    """Run an app and its core.

    :param update_every_seconds: None for a core that announces no rotation for a week.
    :param wait_seconds: how long a request waits for keys. With the usual second, the speed of the
        machine would count.
    """
    clock = SteppedClock()
    private_keys = itertools.cycle([generate_private_key(65537, 2048) for _ in range(2)])
    with ExitStack() as stack:
        replace = mock.patch.object
        stack.enter_context(replace(app_state, "SystemClock", lambda: clock))
        stack.enter_context(replace(key_age, "FETCH_SECONDS", 30.0))
        stack.enter_context(replace(key_age, "WAIT_SECONDS", wait_seconds))
        if update_every_seconds is not None:
            interval = update_every_seconds * 1000
            stack.enter_context(replace(core_keys, "UPDATE_INTERVAL_MS", interval))
        core = DevelopmentCore(
            clock=clock.wall,
            key_factory=lambda: next(private_keys),
            access_token_validity_seconds=int(3 * DAY),
        )
        yield Site(stack.enter_context(core), clock)


def scheduled(update_every_seconds: int | None, wait_seconds: float) -> None:
    """No request of an hour notices a scheduled rotation."""
    with site(update_every_seconds, wait_seconds) as running:
        tokens = []
        for second in range(3600):
            if update_every_seconds is None and second % 250 == 249:
                running.core.rotate_signing_key(scheduled=True)
            if second % 15 == 0:
                tokens.append(running.sign_in())
            for token in (tokens[-1], tokens[second % len(tokens)]):
                expect(running.visit(token), "active", f"second {second}")
            running.clock.advance(1)
        kids = {decode_unverified_token(token).kid for token in tokens}
        expect(len(kids), 15, "key ids")


def unscheduled(age: float, unknown_for: int) -> None:
    """A new key works within 10 s, and the old one all the time."""
    with site() as running:
        old = running.sign_in()
        expect(running.visit(old), "active", "the old key")
        running.clock.advance(age)
        running.core.rotate_signing_key()
        new = running.sign_in()
        said = []
        for second in range(12):
            said.append(running.visit(new))
            expect(running.visit(old), "active", f"the old key at second {second}")
            running.clock.advance(1)
        expect(said, unknown_for * [UNAVAILABLE] + (12 - unknown_for) * ["active"], "the new key")


def removed() -> None:
    """A token that is cached and used every second is invalid within 300 s."""
    with site() as running:
        old = running.sign_in()
        running.visit(old)
        running.clock.advance(1)
        running.core.rotate_signing_key(drop_old=True)
        said = []
        for _ in range(400):
            said.append(running.visit(old))
            running.clock.advance(1)
        seconds = said.index(INVALID)
        expect(seconds <= 300, True, f"invalid after {seconds} s")
        expect(said, seconds * ["active"] + (400 - seconds) * [INVALID], "the removed key")
        expect(running.visit(running.sign_in()), "active", "the new key")


def idle(seconds: float, is_removed: bool) -> None:
    """The first request after idle time refuses what a removed key signed."""
    with site() as running:
        old = running.sign_in()
        running.visit(old)
        running.core.rotate_signing_key(drop_old=is_removed)
        running.clock.advance(seconds)
        expect(running.visit(old), INVALID if is_removed else "active", "the old key")


def cleared() -> None:
    """``clear_keys()`` ends what a removed key signed."""
    with site() as running:
        old = running.sign_in()
        running.visit(old)
        running.core.rotate_signing_key(drop_old=True)
        expect(running.visit(old), "active", "before clear_keys()")
        running.clear_keys()
        expect(running.visit(old), INVALID, "after clear_keys()")
        expect(running.visit(running.sign_in()), "active", "the new key")


def idle_days(days: int) -> None:
    """The first visitor after days is answered as usual, and learns of an outage and its end."""
    with site() as running:
        before = running.sign_in()
        running.visit(before)
        running.clock.advance(days * DAY)
        still = "active" if days < 3 else "refresh; reason=expired"
        expect(running.visit(before), still, "the token of before")
        running.clock.advance(2 * DAY)
        running.core.stop_key_server()
        token = running.sign_in()
        expect(running.visit(token), UNAVAILABLE, "in an outage")
        running.core.start_key_server()
        running.clock.advance(10)
        expect(running.visit(token), "active", "after it")


def expect(found: object, expected: object, what: str) -> None:
    if found != expected:
        raise BrokenPromiseError(f"{what}: {found}, not {expected}")


RUNS: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
    # The key set announces its next change, so no request ever waits for a key.
    (scheduled, (250, 0.0)),
    # It may be reused for a week: the first token of a new key may wait for a fetch.
    (scheduled, (None, 30.0)),
    *((unscheduled, row) for row in ((1, 9), (5, 5), (9, 1), (10, 0), (200, 0), (2 * DAY, 0))),
    (removed, ()),
    *((idle, (seconds, True)) for seconds in (300, 8 * 3600, 2 * DAY)),
    *((idle, (seconds, False)) for seconds in (300, 8 * 3600, 2 * DAY)),
    (cleared, ()),
    # The core creates a new key after nine days, and removes the first one after twenty.
    *((idle_days, (days,)) for days in (2, 9, 20)),
]


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    is_good = True
    for run, arguments in RUNS:
        try:
            run(*arguments)
            outcome = "held"
        except BrokenPromiseError as broken:
            outcome, is_good = f"BROKEN: {broken}", False
        print(f"{run.__name__:12} {arguments!s:16} {outcome}", flush=True)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
