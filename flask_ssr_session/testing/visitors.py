"""Give Flask's test clients the cookies of a signed-in browser."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from flask import Flask
from flask.testing import FlaskClient

from ..errors import MisuseError, TokenInvalidError
from ..sansio.builtin_claims import EMAIL_VERIFIED_CLAIM, MFA_CLAIM
from ..sansio.cookie_header import ACCESS_TOKEN_COOKIE, FRONT_TOKEN_COOKIE
from ..sansio.core_session import CoreSession
from ..sansio.global_claims import is_about
from ..sansio.jwt import decode_unverified_token
from .backend import app_state_of, backend_of, signer_for
from .recipe_claims import check_age, recipe_claims

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
    factors: Mapping[str, float] | Sequence[str] | None = None,
    signed_in: float = 0,
    valid_seconds: float = 3600,
    **payload: Any,
) -> None:
    """Give *client* the cookies of a signed-in browser.

    :param roles: the user's roles (``st-role``); None for a token without that claim.
    :param permissions: the user's permissions (``st-perm``); None for a token without that claim.
    :param email_verified: whether the e-mail address is verified (``st-ev``). None means True if
        the SDK in this process requires it of every session, else a token without that claim.
    :param mfa_complete: whether the user completed all factors of sign-in (``st-mfa``); None as
        for *email_verified*.
    :param factors: the factors that the user completed, or how many seconds ago each was. None
        means ``emailpassword`` at sign-in, if the token has ``st-mfa`` at all.
    :param signed_in: how many seconds ago the user signed in, as the core says it.
    :param valid_seconds: how long the access token is valid, from now.
    :param payload: more claims of the access token, as the SDK writes them, for example
        ``**PlanClaim.add_to_payload_({}, "pro", {})``.
    :raises MisuseError: :func:`install_test_keys` was not called for the client's app, or a claim
        has the wrong name or type.
    """
    signer = signer_for(client.application)
    check_age("signed_in=", signed_in)
    required = _globally_required_claims(client.application)
    if email_verified is None and EMAIL_VERIFIED_CLAIM in required:
        email_verified = True
    if mfa_complete is None and MFA_CLAIM in required:
        mfa_complete = True
    claims = signer.claims(
        user_id,
        tenant_id=tenant_id,
        roles=roles,
        permissions=permissions,
        email_verified=email_verified,
        mfa_complete=mfa_complete,
        factors=factors,
        valid_seconds=valid_seconds,
        **payload,
    )
    set_token(client, signer.sign(claims))
    backend_of(client.application).sessions[claims["sessionHandle"]] = CoreSession(
        time_created=time.time() - signed_in
    )


def set_token(client: FlaskClient, token: str) -> None:
    """Give *client* the cookies of a browser with the access token *token*, valid or not.

    The app verifies it with the keys that it uses now: the test keys or its own.

    :raises MisuseError: flask_ssr_session is not set up for the client's app.
    """
    try:
        claims = decode_unverified_token(token).payload
    except TokenInvalidError:
        claims = {}
    # The browser SDK reads the front token. The server only checks whether it is there.
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
    """Make the access token of a signed-in *client* expire; its other claims stay.

    :raises MisuseError: the client is not signed in.
    """
    claims = _token_claims(client, "expire")
    now = int(time.time())
    times = {"iat": now - 7200, "exp": now - 3600}
    set_token(client, signer_for(client.application).sign(claims | times))


def revoke(client: FlaskClient) -> None:
    """Revoke the session of a signed-in *client* at the core, as an administrator would.

    Its access token stays valid until it expires, except for ``check_revoked``.

    :raises MisuseError: the client is not signed in.
    """
    handle = _token_claims(client, "revoke")["sessionHandle"]
    backend_of(client.application).revoked_handles.add(handle)


def change_claims(
    client: FlaskClient,
    *,
    roles: Sequence[str] | None = None,
    permissions: Sequence[str] | None = None,
    email_verified: bool | None = None,
    mfa_complete: bool | None = None,
    factors: Mapping[str, float] | Sequence[str] | None = None,
    **payload: Any,
) -> None:
    """Change claims of a signed-in *client* at the core, for instance because a role was given.

    Its access token keeps the old claims, which count until the next refresh, except for pages that
    ask the core.

    The named claims are those of :func:`sign_in`; each is replaced as a whole, and None keeps it.

    :param payload: more claims, as the SDK writes them, for example
        ``**PlanClaim.add_to_payload_({}, "pro", {})``; None removes a claim.
    :raises MisuseError: the client is not signed in, or a claim has the wrong name or type.
    """
    claims = _token_claims(client, "change_claims")
    sessions, handle = backend_of(client.application).sessions, claims["sessionHandle"]
    known = sessions.get(handle, CoreSession())
    changes = recipe_claims(
        int(time.time()),
        payload,
        roles=roles,
        permissions=permissions,
        email_verified=email_verified,
        mfa_complete=mfa_complete,
        factors=factors,
    )
    sessions[handle] = known.replace(claims={**(known.claims or claims), **changes})


def sign_out(client: FlaskClient) -> None:
    """Remove the session cookies of *client*, as the browser SDK does at sign-out."""
    domain, _ = _cookie_domain(client.application)
    for name in (ACCESS_TOKEN_COOKIE, FRONT_TOKEN_COOKIE):
        client.delete_cookie(name, domain=domain)


def _globally_required_claims(app: Flask) -> set[str]:
    """Return which claims of SuperTokens' own recipes the SDK requires of every session."""
    with app.app_context():
        global_claims = app_state_of(app).sdk_binding().global_claims
    if global_claims is None:
        return set()
    validators = global_claims.source.added_validators()
    return {
        key
        for key in (EMAIL_VERIFIED_CLAIM, MFA_CLAIM)
        if any(is_about(v, key) for v in validators)
    }


def _cookie_domain(app: Flask) -> tuple[str, bool]:
    """Return the domain of the session's cookies, and whether they are host-only."""
    # Flask's test client requests SERVER_NAME if it is set, and parses its host in the same way.
    host = urlsplit(f"//{app.config.get('SERVER_NAME') or ''}").hostname or "localhost"
    with app.app_context():
        shared = (app_state_of(app).sdk_binding().resolved.cookie_domain or "").lstrip(".")
    return (shared, False) if shared and f".{host}".endswith(f".{shared}") else (host, True)


def _token_claims(client: FlaskClient, caller: str) -> dict[str, Any]:
    """Return the claims of the client's access token.

    :param caller: the function to name in the error.
    :raises MisuseError: the client has no token, or one that is not a session's.
    """
    domain, _ = _cookie_domain(client.application)
    cookie = client.get_cookie(ACCESS_TOKEN_COOKIE, domain=domain)
    if cookie is None:
        raise MisuseError(f"{caller}(): this client is not signed in; call sign_in() first.")
    try:
        return dict(decode_unverified_token(cookie.value).payload)
    except TokenInvalidError:
        raise MisuseError(
            f"{caller}(): the token that set_token() stored is not a session's."
        ) from None
