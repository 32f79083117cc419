"""Stands in for SuperTokens while an app is tested: its signing keys and its core."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPublicKey,
)
from flask import Flask

from ..app_state import EXTENSION_NAME, AppState
from ..errors import CoreUnavailableError, KeysUnavailableError, MisuseError
from ..sansio.jwks import KeySet
from ..session import SSRSession
from ..upstream.key_store import StaticKeys
from .signer import SessionSigner

_KEYS_EXTENSION = "ssr_session_test_keys"


def install_test_keys(app: Flask) -> None:
    """Make *app* trust the keys of this module, and no others, from now on.

    :raises MisuseError: ``app.testing`` is not set, or flask_ssr_session is not set up.
    """
    if not app.testing:
        raise MisuseError(
            "install_test_keys() makes an app trust anybody who can run code in this process: it "
            'is refused unless app.testing is set (app.config["TESTING"] = True).'
        )
    state = _state(app)
    # Again for an app that has them: who was revoked is forgotten, but an outage that a test has
    # asked for goes on.
    installed: _TestBackend = app.extensions.setdefault(_KEYS_EXTENSION, _TestBackend())
    installed.revoked_handles.clear()
    state.override_keys_for_testing(installed.keys, installed.is_revoked)


def signer_for(app: Flask) -> SessionSigner:
    """Return a signer whose tokens fit the settings of *app*, to make odd ones of.

    :raises MisuseError: :func:`install_test_keys` was not called for it.

    A token without a user, for one::

        signer = signer_for(app)
        claims = signer.claims()
        del claims["sub"]
        set_token(client, signer.sign(claims))
    """
    _installed(app)
    with app.app_context():
        rules = _state(app).ready().rules
    return _IssuerSigner(f"{rules.kid_prefix or 'd-'}test", rules.issuer)


@contextmanager
def outage(app: Flask) -> Iterator[None]:
    """Let the keys of *app* be out of reach: no token can be judged, none is refused.

    :raises MisuseError: :func:`install_test_keys` was not called for it.
    """
    keys = _installed(app).keys
    keys.outages += 1
    try:
        yield
    finally:
        keys.outages -= 1


@contextmanager
def core_outage(app: Flask) -> Iterator[None]:
    """Let the core of *app* be out of reach, which nobody notices but ``check_revoked``.

    :raises MisuseError: :func:`install_test_keys` was not called for it.
    """
    installed = _installed(app)
    installed.core_outages += 1
    try:
        yield
    finally:
        installed.core_outages -= 1


class _TestKeys(StaticKeys):
    """The public half of the key of this process, under names that SuperTokens gives its keys."""

    def __init__(self) -> None:
        key = SessionSigner().public_key
        super().__init__(KeySet({"d-test": key, "s-test": key}))
        self.outages = 0
        self._latest = 0.0

    def peek(self, raw_token: str) -> SSRSession | None:
        # A test may move time back, and a remembered token is asked for nothing but its end.
        now = time.time()
        if now < self._latest - 1:
            self.clear()
        self._latest = now
        return super().peek(raw_token)

    def recall(self, raw_token: str) -> SSRSession | None:
        self._check()
        return super().recall(raw_token)

    def find(self, kid: str, issued_at: float) -> RSAPublicKey | None:
        self._check()
        return super().find(kid, issued_at)

    def _check(self) -> None:
        if self.outages:
            raise KeysUnavailableError("the test has an outage")


@dataclass(eq=False)
class _TestBackend:
    """What stands for SuperTokens while an app is tested: its keys, and its core."""

    keys: _TestKeys = field(default_factory=_TestKeys)
    core_outages: int = 0
    revoked_handles: set[str] = field(default_factory=set)

    def is_revoked(self, session_handle: str) -> bool:
        if self.core_outages:
            raise CoreUnavailableError("the test has an outage")
        return session_handle in self.revoked_handles


def _state(app: Flask) -> AppState:
    state: AppState | None = app.extensions.get(EXTENSION_NAME)
    if state is None:
        raise MisuseError("call FlaskSSRSession(app) before the test keys are used.")
    return state


def _installed(app: Flask) -> _TestBackend:
    installed: _TestBackend | None = app.extensions.get(_KEYS_EXTENSION)
    if installed is None:
        raise MisuseError("call install_test_keys(app) first.")
    return installed


class _IssuerSigner(SessionSigner):
    def __init__(self, kid: str, issuer: str | None) -> None:
        super().__init__(kid)
        self._issuer = issuer

    def claims(self, *args: Any, **options: Any) -> dict[str, Any]:
        claims = super().claims(*args, **options)
        return claims if self._issuer is None else {"iss": self._issuer, **claims}
