"""Give Flask's test clients the cookies of a signed-in browser."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from flask.testing import FlaskClient

from ..app_state import ACCESS_TOKEN_COOKIE, FRONT_TOKEN_COOKIE
from ..errors import MisuseError, TokenInvalidError
from ..sansio.claims import MFA_CLAIM
from ..sansio.global_claims import is_about
from ..sansio.jwt import decode_unverified_token
from .backend import _installed, _state, signer_for

_UPDATE_COOKIE = "st-last-access-token-update"


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
