"""The stand-in for SuperTokens while an app is tested: its signing keys and its core."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from flask import Flask

from ..app_state import EXTENSION_NAME, AppState
from ..errors import CoreUnavailableError, KeysUnavailableError, MisuseError
from ..sansio.core_session import CoreSession
from ..upstream.key_set import KeySet, StaticKeys
from .signer import SessionSigner

_EXTENSION_KEY = "ssr_session_test_keys"


def install_test_keys(app: Flask) -> None:
    """Make *app* trust the test keys from now on, and no others.

    Calling it again forgets revoked sessions, but ends no outage.

    :raises MisuseError: ``app.testing`` is not set, or flask_ssr_session is not set up.
    """
    if not app.testing:
        raise MisuseError(
            "install_test_keys() lets any code in this process sign users in, so it works only if "
            'app.testing is set (app.config["TESTING"] = True).'
        )
    state = app_state_of(app)
    backend: _TestBackend = app.extensions.setdefault(_EXTENSION_KEY, _TestBackend())
    backend.revoked_handles.clear()
    backend.sessions.clear()
    state.override_keys_for_testing(backend.keys, backend.look_up)


def signer_for(app: Flask) -> SessionSigner:
    """Return a signer for unusual tokens, with the key id and issuer that *app* requires.

    :raises MisuseError: :func:`install_test_keys` was not called for *app*.

    For example, a token without a user::

        signer = signer_for(app)
        claims = signer.claims()
        del claims["sub"]
        set_token(client, signer.sign(claims))
    """
    backend_of(app)
    with app.app_context():
        rules = app_state_of(app).sdk_binding().rules
    return SessionSigner(f"{rules.kid_prefix or 'd-'}test", issuer=rules.issuer)


@contextmanager
def outage(app: Flask) -> Iterator[None]:
    """Make the signing keys of *app* unavailable, so that no token can be verified.

    :raises MisuseError: :func:`install_test_keys` was not called for *app*.
    """
    keys = backend_of(app).keys
    keys.outages += 1
    try:
        yield
    finally:
        keys.outages -= 1


@contextmanager
def core_outage(app: Flask) -> Iterator[None]:
    """Make the core of *app* unavailable, which only ``check_revoked`` notices.

    :raises MisuseError: :func:`install_test_keys` was not called for *app*.
    """
    backend = backend_of(app)
    backend.core_outages += 1
    try:
        yield
    finally:
        backend.core_outages -= 1


class _TestKeys(StaticKeys):
    """The public key of this process, under key ids like SuperTokens' own."""

    def __init__(self) -> None:
        key = SessionSigner().public_key
        super().__init__(KeySet({"d-test": key, "s-test": key}))
        self.outages = 0
        self._latest = 0.0

    @property
    def token_cache(self) -> KeySet:
        # A test may move time back, but for a cached token only the expiry is checked again.
        now = time.time()
        if now < self._latest - 1:
            self.clear()
        self._latest = now
        return super().token_cache

    def usable_cache_or_fetch(self) -> KeySet:
        self._check_outage()
        return super().usable_cache_or_fetch()

    def get_or_fetch(self, kid: str, issued_at: float) -> RSAPublicKey | None:
        self._check_outage()
        return super().get_or_fetch(kid, issued_at)

    def _check_outage(self) -> None:
        if self.outages:
            raise KeysUnavailableError("the test simulates an outage")


@dataclass(eq=False)
class _TestBackend:
    """The keys of one app, and the state of its core.

    :ivar sessions: what the core says about sessions, by handle. A session that is not among them
        exists, with the claims of its token.
    """

    keys: _TestKeys = field(default_factory=_TestKeys)
    core_outages: int = 0
    revoked_handles: set[str] = field(default_factory=set)
    sessions: dict[str, CoreSession] = field(default_factory=dict)

    def look_up(self, session_handle: str) -> CoreSession | None:
        if self.core_outages:
            raise CoreUnavailableError("the test simulates an outage")
        if session_handle in self.revoked_handles:
            return None
        return self.sessions.get(session_handle) or CoreSession()


def app_state_of(app: Flask) -> AppState:
    """Return the state of *app*.

    :raises MisuseError: flask_ssr_session is not set up.
    """
    state: AppState | None = app.extensions.get(EXTENSION_NAME)
    if state is None:
        raise MisuseError("call FlaskSSRSession(app) before you use flask_ssr_session.testing.")
    return state


def backend_of(app: Flask) -> _TestBackend:
    """Return the backend of *app*.

    :raises MisuseError: :func:`install_test_keys` was not called for *app*.
    """
    backend: _TestBackend | None = app.extensions.get(_EXTENSION_KEY)
    if backend is None:
        raise MisuseError("call install_test_keys(app) first.")
    return backend
