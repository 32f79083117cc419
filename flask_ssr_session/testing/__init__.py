"""Signed-in test clients for apps that use flask_ssr_session: no core, no network, no browser.

Call :func:`install_test_keys` once for an app with ``TESTING`` set; it makes the app trust a
throw-away key that lives in this process only, and no other. Nothing that serves a request imports
this module; verification itself stays as it is, and has no switch here.

=====================  ======================================================
a visitor who          is made by
=====================  ======================================================
is a stranger          ``app.test_client()``, or :func:`sign_out`
is signed in           :func:`sign_in`; ``roles=["reader"]`` for a wrong role
is half signed in      :func:`sign_in` with ``mfa_complete=False``
has an old token       :func:`expire`
was thrown out         :func:`revoke`, for ``check_revoked``
meets an outage        ``with`` :func:`outage` of keys, :func:`core_outage`
sends anything else    :func:`set_token`, with a token of :func:`signer_for`
is a browser's page    ``client.get(…, headers=PAGE_HEADERS)``
=====================  ======================================================

Cookies are set for ``SERVER_NAME``, else ``localhost``; where the session's cookie domain covers
that, for the whole cookie domain, as SuperTokens does.

freezegun and time-machine move the app's clock, too: tokens run out as the test's time passes.

For pytest there are fixtures of the same in :mod:`flask_ssr_session.pytest_plugin`.
"""

from __future__ import annotations

import json
import time
import uuid
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Flask
from flask.testing import FlaskClient

from ..app_state import ACCESS_TOKEN_COOKIE, EXTENSION_NAME, FRONT_TOKEN_COOKIE, AppState
from ..errors import CoreUnavailableError, KeysUnavailableError, MisuseError, TokenInvalidError
from ..sansio.claims import MFA_CLAIM
from ..sansio.global_claims import is_about
from ..sansio.jwt import decode_unverified_token
from ..upstream.key_set import KeySet
from ..upstream.key_store import StaticKeys

ClientMaker = Callable[..., FlaskClient]
"""The type of the pytest fixture ``signed_in_as``, which takes what :func:`sign_in` takes."""

_KEYS_EXTENSION = "ssr_session_test_keys"
_UPDATE_COOKIE = "st-last-access-token-update"

PAGE_HEADERS: Final[Mapping[str, str]] = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
}
"""What a browser sends that opens a page by a link of this site, or sends a form of it.

Without them, a test client is answered as a script is: by a status, not by a page.
"""


# The cache alone would let threads that come first at once each have a key of their own.
_making_key = Lock()


@lru_cache
def _process_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


class SessionSigner:
    """Signs access tokens as a SuperTokens core does, with a throw-away key.

    :param kid: the key id written into tokens; ``d-`` and ``s-`` begin SuperTokens' own.
    :param private_key: an RSA key; None for one made once per process.
    """

    def __init__(self, kid: str = "d-test", private_key: RSAPrivateKey | None = None) -> None:
        self.kid = kid
        with _making_key:
            self.private_key = private_key or _process_key()

    @property
    def public_key(self) -> RSAPublicKey:
        """The key that verifies what this signer signs."""
        return self.private_key.public_key()

    def jwk(self) -> dict[str, str]:
        """Return the public key as SuperTokens' key set names it."""
        numbers = self.public_key.public_numbers()
        return {
            "kty": "RSA",
            "kid": self.kid,
            "n": _base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
            "e": _base64url(numbers.e.to_bytes(3, "big")),
            "alg": "RS256",
            "use": "sig",
        }

    def header(self) -> dict[str, Any]:
        """Return the header of a session's access token."""
        return {"alg": "RS256", "kid": self.kid, "typ": "JWT", "version": "5"}

    def claims(
        self,
        user_id: str = "user-1",
        *,
        tenant_id: str = "public",
        roles: Sequence[str] | None = None,
        permissions: Sequence[str] | None = None,
        email_verified: bool | None = None,
        mfa_complete: bool | None = None,
        issued_at: float | None = None,
        valid_seconds: float = 3600,
        **payload: Any,
    ) -> dict[str, Any]:
        """Return the claims of a new session.

        :param roles: claim ``st-role``; None leaves it out, and so for the next two.
        :param mfa_complete: claim ``st-mfa``: whether the user has completed all factors of
            sign-in; None leaves it out.
        :param issued_at: seconds since the epoch; None for now.
        :param payload: more claims, or other values for these.
        :raises MisuseError: a claim that would not say what it seems to.
        """
        for name, names in (("roles", roles), ("permissions", permissions)):
            if isinstance(names, str):
                raise MisuseError(f"{name}= takes a list of names.")
        for name, switch in (("email_verified", email_verified), ("mfa_complete", mfa_complete)):
            if switch is not None and not isinstance(switch, bool):
                raise MisuseError(f"{name}= takes True, False or None.")
        if misspelt := payload.keys() & {"role", "permission"}:
            raise MisuseError(
                f"{misspelt.pop()}= is no claim of SuperTokens: roles=, permissions=."
            )
        now = int(time.time() if issued_at is None else issued_at)
        claims: dict[str, Any] = {
            "sub": user_id,
            "rsub": user_id,
            "tId": tenant_id,
            "sessionHandle": str(uuid.uuid4()),
            "refreshTokenHash1": sha256(uuid.uuid4().bytes).hexdigest(),
            "parentRefreshTokenHash1": None,
            "antiCsrfToken": None,
            "iat": now,
            "exp": now + int(valid_seconds),
        }
        for key, value in (
            ("st-role", None if roles is None else list(roles)),
            ("st-perm", None if permissions is None else list(permissions)),
            ("st-ev", email_verified),
        ):
            if value is not None:
                claims[key] = {"v": value, "t": now * 1000}
        if mfa_complete is not None:
            claims[MFA_CLAIM] = {"c": {"emailpassword": now}, "v": mfa_complete}
        return claims | payload

    def sign(self, claims: Mapping[str, Any], header: Mapping[str, Any] | None = None) -> str:
        """Return the signed token of *claims*.

        :param header: None for :meth:`header`.
        """
        return self.sign_raw(
            json.dumps(self.header() if header is None else header).encode(),
            json.dumps(claims).encode(),
        )

    def sign_raw(self, header: bytes, payload: bytes) -> str:
        """Sign any two byte strings as header and payload, well formed or not."""
        signed = f"{_base64url(header)}.{_base64url(payload)}"
        signature = self.private_key.sign(signed.encode("ascii"), PKCS1v15(), SHA256())
        return f"{signed}.{_base64url(signature)}"


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


def sign_in(
    client: FlaskClient,
    user_id: str = "user-1",
    *,
    tenant_id: str = "public",
    roles: Sequence[str] | None = None,
    permissions: Sequence[str] | None = None,
    email_verified: bool | None = None,
    mfa_complete: bool | None = None,
    valid_seconds: float = 3600,
    **payload: Any,
) -> None:
    """Give *client* the cookies of a signed-in browser.

    :param roles: the user's roles (``st-role``); None for a token without that claim, and so for
        *permissions* (``st-perm``).
    :param email_verified: whether the e-mail address is verified (``st-ev``). None for what the
        SDK in this process asks of every session, else for a token without that claim.
    :param mfa_complete: whether the user has completed all factors of sign-in (``st-mfa``); False
        for one who is half signed in, and None as for *email_verified*.
    :param valid_seconds: how long the access token is good for, from now.
    :param payload: further claims of the access token, as the SDK writes them:
        ``**PlanClaim.add_to_payload_({}, "pro", {})`` for one of your own.
    :raises MisuseError: :func:`install_test_keys` was not called for the client's app, or a claim
        would not say what it seems to.
    """
    signer = signer_for(client.application)
    asked = _claims_asked_of_every_session(client.application)
    if email_verified is None and "st-ev" in asked:
        email_verified = True
    if mfa_complete is None and MFA_CLAIM in asked:
        mfa_complete = True
    claims = signer.claims(
        user_id,
        tenant_id=tenant_id,
        roles=roles,
        permissions=permissions,
        email_verified=email_verified,
        mfa_complete=mfa_complete,
        valid_seconds=valid_seconds,
        **payload,
    )
    set_token(client, signer.sign(claims))


def _claims_asked_of_every_session(app: Flask) -> set[str]:
    """Return which claims of SuperTokens' own recipes the SDK asks of every session."""
    with app.app_context():
        global_claims = _state(app).ready().global_claims
    if global_claims is None:
        return set()
    validators = global_claims.source.added_validators()
    return {key for key in ("st-ev", MFA_CLAIM) if any(is_about(v, key) for v in validators)}


def set_token(client: FlaskClient, token: str) -> None:
    """Give *client* the cookies of a browser whose access token is *token*, whatever that is.

    It is judged by the keys that the app has, the test keys or its own.

    :raises MisuseError: flask_ssr_session is not set up for the client's app.
    """
    try:
        claims = decode_unverified_token(token).payload
    except TokenInvalidError:
        claims = {}
    # The browser SDK's own note of the session. The server asks only whether it is there.
    front_token = {
        "uid": claims.get("sub"),
        "ate": claims.get("exp", 0) * 1000,
        "up": dict(claims),
    }
    domain, origin_only = _cookie_domain(client.application)
    for name, value in (
        (ACCESS_TOKEN_COOKIE, token),
        (FRONT_TOKEN_COOKIE, b64encode(json.dumps(front_token).encode()).decode()),
        (_UPDATE_COOKIE, str(int(time.time() * 1000))),
    ):
        client.set_cookie(name, value, domain=domain, origin_only=origin_only)


def expire(client: FlaskClient) -> None:
    """Let the access token of a signed-in *client* run out; everything else stays as it is.

    :raises MisuseError: the client is not signed in.
    """
    known = _claims_of(client, "expire")
    now = int(time.time())
    times = {"iat": now - 7200, "exp": now - 3600}
    set_token(client, signer_for(client.application).sign(known | times))


def revoke(client: FlaskClient) -> None:
    """End the session of a signed-in *client* at the core, as an administrator would.

    Its access token is good until it runs out, except where ``check_revoked`` asks.

    :raises MisuseError: the client is not signed in.
    """
    handle = _claims_of(client, "revoke")["sessionHandle"]
    _installed(client.application).revoked_handles.add(handle)


def sign_out(client: FlaskClient) -> None:
    """Take the cookies of a session from *client*, as the browser SDK does at sign-out."""
    domain, _ = _cookie_domain(client.application)
    for name in (ACCESS_TOKEN_COOKIE, FRONT_TOKEN_COOKIE):
        client.delete_cookie(name, domain=domain)


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

    @property
    def token_cache(self) -> KeySet:
        # A test may move time back, and of a cached token only the end is checked.
        now = time.time()
        if now < self._latest - 1:
            self.clear()
        self._latest = now
        return super().token_cache

    def usable_cache_or_fetch(self) -> KeySet:
        self._check()
        return super().usable_cache_or_fetch()

    def get_or_fetch(self, kid: str, issued_at: float) -> RSAPublicKey | None:
        self._check()
        return super().get_or_fetch(kid, issued_at)

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


def _cookie_domain(app: Flask) -> tuple[str, bool]:
    """Return for which host cookies are set, and whether for it alone."""
    # Flask's test client asks SERVER_NAME, where one is set, and reads its host like this.
    host = urlsplit(f"//{app.config.get('SERVER_NAME') or ''}").hostname or "localhost"
    with app.app_context():
        shared = (_state(app).ready().deployment.cookie_domain or "").lstrip(".")
    return (shared, False) if shared and f".{host}".endswith(f".{shared}") else (host, True)


def _claims_of(client: FlaskClient, asked_by: str) -> dict[str, Any]:
    """Return the claims of the client's access token.

    :raises MisuseError: it has none, or one that is no session's.
    """
    domain, _ = _cookie_domain(client.application)
    cookie = client.get_cookie(ACCESS_TOKEN_COOKIE, domain=domain)
    if cookie is None:
        raise MisuseError(f"{asked_by}(): this client is not signed in; call sign_in() before.")
    try:
        return dict(decode_unverified_token(cookie.value).payload)
    except TokenInvalidError:
        raise MisuseError(f"{asked_by}(): what set_token() stored is no session's.") from None


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
