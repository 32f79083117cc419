"""Signed-in test clients for apps that use flask_ssr_session: no core, no network, no browser.

Call :func:`install_test_keys` once for an app with ``TESTING`` set; it makes the app trust a
throw-away key that lives in this process only. Nothing of the package imports this module.
"""

from __future__ import annotations

import json
import time
import uuid
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any, NoReturn

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateKey,
    RSAPublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Flask
from flask.testing import FlaskClient

from .errors import KeysUnavailableError, MisuseError
from .jwks import KeySet
from .keystore import StaticKeys
from .session import SSRSession
from .state import ACCESS_TOKEN_COOKIE, EXTENSION_NAME, FRONT_TOKEN_COOKIE, AppState
from .tokens import decode_unverified_token

_KEYS_EXTENSION = "ssr_session_test_keys"
_UPDATE_COOKIE = "st-last-access-token-update"


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
        issued_at: float | None = None,
        valid_seconds: float = 3600,
        **payload: Any,
    ) -> dict[str, Any]:
        """Return the claims of a new session.

        :param roles: claim ``st-role``; None leaves it out, and so for the next two.
        :param issued_at: seconds since the epoch; None for now.
        :param payload: more claims, or other values for these.
        :raises MisuseError: a claim that would not say what it seems to.
        """
        for name, names in (("roles", roles), ("permissions", permissions)):
            if isinstance(names, str):
                raise MisuseError(f"{name}= takes a list of names.")
        if email_verified is not None and not isinstance(email_verified, bool):
            raise MisuseError("email_verified= takes True, False or None.")
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
    key = SessionSigner().public_key
    installed = _Installed(StaticKeys(KeySet({"d-test": key, "s-test": key})))
    app.extensions[_KEYS_EXTENSION] = installed
    state.use_keys(installed.keys, installed.is_revoked)


def sign_in(
    client: FlaskClient,
    user_id: str = "user-1",
    *,
    tenant_id: str = "public",
    roles: Sequence[str] | None = None,
    permissions: Sequence[str] | None = None,
    email_verified: bool | None = None,
    valid_seconds: float = 3600,
    **payload: Any,
) -> None:
    """Give *client* the cookies of a signed-in browser.

    :param roles: the user's roles (``st-role``); None for a token without that claim, and so for
        *permissions* (``st-perm``) and *email_verified* (``st-ev``).
    :param valid_seconds: how long the access token is good for, from now.
    :param payload: further claims of the access token, as the SDK writes them:
        ``**PlanClaim.add_to_payload_({}, "pro", {})`` for one of your own.
    :raises MisuseError: :func:`install_test_keys` was not called for the client's app, or a claim
        would not say what it seems to.
    """
    signer = _signer(client.application)
    claims = signer.claims(
        user_id,
        tenant_id=tenant_id,
        roles=roles,
        permissions=permissions,
        email_verified=email_verified,
        valid_seconds=valid_seconds,
        **payload,
    )
    _store(client, signer.sign(claims), claims)


def expire(client: FlaskClient) -> None:
    """Let the access token of a signed-in *client* run out; everything else stays as it is.

    :raises MisuseError: the client is not signed in.
    """
    known = _claims_of(client, "expire")
    signer = _signer(client.application)
    claims = signer.claims(issued_at=time.time() - 7200, valid_seconds=3600)
    claims = known | {"iat": claims["iat"], "exp": claims["exp"]}
    _store(client, signer.sign(claims), claims)


def revoke(client: FlaskClient) -> None:
    """End the session of a signed-in *client* at the core, as an administrator would.

    Its access token is good until it runs out, except where ``check_revoked`` asks.

    :raises MisuseError: the client is not signed in.
    """
    handle = _claims_of(client, "revoke")["sessionHandle"]
    _installed(client.application).revoked_handles.add(handle)


def sign_out(client: FlaskClient) -> None:
    """Take the cookies of a session from *client*, as the browser SDK does at sign-out."""
    domain = _domain(client.application)
    for name in (ACCESS_TOKEN_COOKIE, FRONT_TOKEN_COOKIE):
        client.delete_cookie(name, domain=domain)


@contextmanager
def outage(app: Flask) -> Iterator[None]:
    """Let the keys of *app* be out of reach: no token can be judged, none is refused.

    :raises MisuseError: :func:`install_test_keys` was not called for it.
    """
    installed = _installed(app)
    state = _state(app)
    state.use_keys(_NoKeys(), installed.is_revoked)
    try:
        yield
    finally:
        state.use_keys(installed.keys, installed.is_revoked)


@dataclass(frozen=True)
class _Installed:
    keys: StaticKeys
    revoked_handles: set[str] = field(default_factory=set)

    def is_revoked(self, session_handle: str) -> bool:
        return session_handle in self.revoked_handles


class _NoKeys:
    def peek(self, raw_token: str) -> SSRSession | None:  # noqa: ARG002
        return None

    def recall(self, raw_token: str) -> NoReturn:  # noqa: ARG002
        raise KeysUnavailableError("the test has an outage")

    def find(self, kid: str, issued_at: float) -> NoReturn:  # noqa: ARG002
        raise KeysUnavailableError("the test has an outage")

    def remember(self, raw_token: str, kid: str, key: RSAPublicKey, session: SSRSession) -> None:
        pass

    def clear(self) -> None:
        pass


def _state(app: Flask) -> AppState:
    state: AppState | None = app.extensions.get(EXTENSION_NAME)
    if state is None:
        raise MisuseError("call FlaskSSRSession(app) before the test keys are used.")
    return state


def _installed(app: Flask) -> _Installed:
    installed: _Installed | None = app.extensions.get(_KEYS_EXTENSION)
    if installed is None:
        raise MisuseError("call install_test_keys(app) first.")
    return installed


def _signer(app: Flask) -> SessionSigner:
    """Return a signer whose tokens the app's settings accept."""
    _installed(app)
    with app.app_context():
        rules = _state(app).ready().rules
    return _IssuerSigner(f"{rules.kid_prefix or 'd-'}test", rules.issuer)


class _IssuerSigner(SessionSigner):
    def __init__(self, kid: str, issuer: str | None) -> None:
        super().__init__(kid)
        self._issuer = issuer

    def claims(self, *args: Any, **options: Any) -> dict[str, Any]:
        claims = super().claims(*args, **options)
        return claims if self._issuer is None else {"iss": self._issuer, **claims}


def _domain(app: Flask) -> str:
    # Flask's test client asks SERVER_NAME, where one is set; cookies know no ports.
    return str(app.config.get("SERVER_NAME") or "localhost").partition(":")[0]


def _store(client: FlaskClient, token: str, claims: Mapping[str, Any]) -> None:
    front_token = {"uid": claims["sub"], "ate": claims["exp"] * 1000, "up": claims}
    domain = _domain(client.application)
    for name, value in (
        (ACCESS_TOKEN_COOKIE, token),
        (FRONT_TOKEN_COOKIE, b64encode(json.dumps(front_token).encode()).decode()),
        (_UPDATE_COOKIE, str(int(time.time() * 1000))),
    ):
        client.set_cookie(name, value, domain=domain)


def _claims_of(client: FlaskClient, asked_by: str) -> dict[str, Any]:
    """Return the claims of the client's access token.

    :raises MisuseError: it has none.
    """
    cookie = client.get_cookie(ACCESS_TOKEN_COOKIE, domain=_domain(client.application))
    if cookie is None:
        raise MisuseError(f"{asked_by}(): this client is not signed in; call sign_in() before.")
    return dict(decode_unverified_token(cookie.value).payload)


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
