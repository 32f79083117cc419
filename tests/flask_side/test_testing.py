"""The helpers for an app's own tests."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from typing import Any

import pytest
from flask import Flask, g
from flask.testing import FlaskClient

from flask_ssr_session import FlaskSSRSession, MisuseError, session_required, state
from flask_ssr_session.testing import (
    SessionSigner,
    expire,
    install_test_keys,
    outage,
    sign_in,
    sign_out,
)
from flask_ssr_session.tokens import decode_unverified_token

from .conftest import (
    API_DOMAIN,
    FETCH,
    PAGE,
    cookies,
    make_app,
    make_token,
    part_of,
    sdk_values,
    with_views,
)


def test_keys_are_refused_unless_the_app_is_being_tested() -> None:
    app = with_views(Flask("in_production"))
    FlaskSSRSession(app, jwks={"keys": [SessionSigner("d-other").jwk()]}, api_domain=API_DOMAIN)
    with pytest.raises(MisuseError, match=r"app\.testing is set"):
        install_test_keys(app)
    for helper in (sign_in, expire):
        with pytest.raises(MisuseError, match=r"install_test_keys\(app\) first|not signed in"):
            helper(app.test_client())
    with pytest.raises(MisuseError, match="install_test_keys"), outage(app):
        pass
    client = app.test_client(use_cookies=False)
    assert client.get("/account", headers=FETCH | cookies(make_token())).status_code == 401
    app.testing = True
    install_test_keys(app)
    assert client.get("/account", headers=FETCH | cookies(make_token())).status_code == 200


def test_keys_are_refused_where_the_extension_is_not_set_up() -> None:
    app = Flask("bare")
    app.testing = True
    with pytest.raises(MisuseError, match=r"call FlaskSSRSession\(app\) before"):
        install_test_keys(app)


@pytest.mark.parametrize(
    "server_name", [None, "localhost", "app.example.com", "app.example.com:8443"]
)
def test_client_is_signed_in_expired_signed_out_and_in_an_outage(server_name: str | None) -> None:
    app = with_views(make_app())
    app.config["SERVER_NAME"] = server_name
    client = app.test_client()
    assert client.get("/account", headers=PAGE).status_code == 302
    sign_in(client, "user-3")
    assert client.get("/account", headers=PAGE).text == "account of user-3"
    with outage(app):
        assert client.get("/account", headers=PAGE).status_code == 503
    assert client.get("/account", headers=PAGE).text == "account of user-3"
    expire(client)
    response = client.get("/account", headers=PAGE)
    assert part_of(response) == "refresh"
    assert response.headers["SSR-Session"] == "refresh; reason=expired"
    with outage(app):
        assert part_of(client.get("/account", headers=PAGE)) == "refresh"
    sign_out(client)
    assert client.get("/account", headers=PAGE).status_code == 302
    assert client.get("/account", headers=PAGE).headers["SSR-Session"].startswith("anonymous")
    sign_in(client, "user-4")
    assert client.get("/account", headers=PAGE).text == "account of user-4"


@pytest.mark.parametrize("dynamic", [True, False, None])
@pytest.mark.parametrize("issuer", [None, "https://api.example.com/auth"])
def test_tokens_fit_the_issuer_and_the_kind_of_key_that_the_app_accepts(
    monkeypatch: pytest.MonkeyPatch, dynamic: bool | None, issuer: str | None
) -> None:
    monkeypatch.setattr(state, "read_sdk", lambda: sdk_values(dynamic_signing_key=dynamic))
    app = with_views(make_app(issuer=issuer))
    client = app.test_client()
    sign_in(client)
    assert client.get("/account").text == "account of user-1"
    expire(client)
    assert client.get("/account", headers=PAGE).headers["SSR-Session"].endswith("expired")
    # The rules themselves hold: a token that fits neither is refused.
    other = app.test_client(use_cookies=False)
    for prefix in ("d-", "s-"):
        signer = SessionSigner(f"{prefix}test")
        token = signer.sign({**signer.claims(), **({"iss": issuer} if issuer else {})})
        fits = dynamic is None or dynamic is (prefix == "d-")
        status = other.get("/account", headers=FETCH | cookies(token)).status_code
        assert status == (200 if fits else 401)
    if issuer:
        foreign = make_token(iss="https://evil.example")
        assert other.get("/account", headers=FETCH | cookies(foreign)).status_code == 401


def test_claims_of_the_signed_in_user_can_be_chosen() -> None:
    app = make_app()
    seen: list[Any] = []

    @app.route("/")
    @session_required
    def page() -> str:
        seen.append(g.session)
        return ""

    client = app.test_client()
    sign_in(
        client,
        "user-5",
        tenant_id="shop",
        roles=["admin"],
        permissions=["read", "write"],
        email_verified=False,
        theme="dark",
    )
    client.get("/")
    sign_in(client)
    client.get("/")
    chosen, plain = seen
    assert (chosen.user_id, chosen.tenant_id) == ("user-5", "shop")
    assert (chosen.roles, chosen.permissions) == (("admin",), ("read", "write"))
    assert chosen.email_verified is False
    assert chosen.access_token_payload["theme"] == "dark"
    assert (plain.roles, plain.permissions, plain.email_verified) == ((), (), None)


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"roles": "admin"}, "roles= takes a list"),
        ({"permissions": "read"}, "permissions= takes a list"),
        ({"email_verified": "yes"}, "email_verified= takes True, False or None"),
        ({"role": "admin"}, "role= is no claim"),
        ({"permission": ["read"]}, "permission= is no claim"),
    ],
)
def test_claim_that_would_not_say_what_it_seems_to_is_an_error(
    client: FlaskClient, claims: dict[str, Any], message: str
) -> None:
    with pytest.raises(MisuseError, match=message):
        sign_in(client, **claims)


def test_expiring_changes_nothing_but_the_times() -> None:
    app = make_app(always_try_refresh=True)
    client = app.test_client()
    sign_in(client, "user-6", roles=["admin"], theme="dark")
    before = _claims(client)
    expire(client)
    after = _claims(client)
    assert after["exp"] < time.time() < before["exp"]
    assert {k: v for k, v in after.items() if k not in ("iat", "exp")} == {
        k: v for k, v in before.items() if k not in ("iat", "exp")
    }
    expire(client)
    assert _claims(client)["theme"] == "dark"


def _claims(client: FlaskClient) -> dict[str, Any]:
    cookie = client.get_cookie("sAccessToken")
    assert cookie is not None
    return dict(decode_unverified_token(cookie.value).payload)


def test_expiring_a_client_that_is_not_signed_in_says_what_to_do(client: FlaskClient) -> None:
    with pytest.raises(MisuseError, match=r"call sign_in\(\) before"):
        expire(client)


def test_session_shorter_than_an_hour_can_be_asked_for(client: FlaskClient) -> None:
    sign_in(client, valid_seconds=-1)
    assert client.get("/account", headers=PAGE).headers["SSR-Session"].endswith("expired")
    sign_in(client, valid_seconds=60)
    assert client.get("/account").status_code == 200


def test_outage_ends_with_its_block_even_by_an_error(app: Flask, client: FlaskClient) -> None:
    sign_in(client)
    with contextlib.suppress(ZeroDivisionError), outage(app):
        assert client.get("/account", headers=PAGE).status_code == 503
        raise ZeroDivisionError
    assert client.get("/account").status_code == 200


def test_signing_in_works_during_an_outage(app: Flask, client: FlaskClient) -> None:
    with outage(app):
        sign_in(client)
        assert client.get("/account", headers=PAGE).status_code == 503
    assert client.get("/account").status_code == 200


def test_client_gets_the_cookies_of_a_browser(client: FlaskClient) -> None:
    sign_in(client)
    names = ("sAccessToken", "sFrontToken", "st-last-access-token-update")
    assert all(client.get_cookie(name) for name in names)
    sign_out(client)
    assert [bool(client.get_cookie(name)) for name in names] == [False, False, True]


def test_nothing_in_the_package_imports_the_test_helpers() -> None:
    code = (
        "import pkgutil, sys, flask_ssr_session as package\n"
        "for module in pkgutil.iter_modules(package.__path__):\n"
        "    if module.name != 'testing':\n"
        "        __import__(f'flask_ssr_session.{module.name}')\n"
        "print(sorted(n for n in sys.modules if n.startswith('flask_ssr_session'))[-1])\n"
        "assert 'flask_ssr_session.views' in sys.modules\n"
        "assert 'flask_ssr_session.testing' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
