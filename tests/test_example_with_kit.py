"""The example app, tested as its developer would: with the testing kit alone.

No core runs and no connection is made. Other tests cover what the kit cannot simulate:
SuperTokens' own API, the effect of the panel's buttons on the core, and the browser.
"""

from __future__ import annotations

import socket
from typing import Any, NoReturn

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from example_app import create_app
from example_app.core import Core
from flask_ssr_session import testing
from flask_ssr_session.testing import PAGE_HEADERS, ClientMaker, sign_in
from tests.dev_core.conftest import sdk_environment
from tests.tables import rows

__all__ = ["sdk_environment"]

pytest_plugins = ["flask_ssr_session.pytest_plugin"]

MEMBERS_PAGES = ("/dashboard", "/account", "/form", "/checked", "/live", "/live/fragment")


@pytest.fixture
def app(sdk_environment: None, monkeypatch: pytest.MonkeyPatch) -> Flask:  # noqa: ARG001
    def refuse(_socket: socket.socket, address: object) -> NoReturn:
        raise AssertionError(f"connection to {address} attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    for name in ("pages", "panel"):
        monkeypatch.setattr(f"example_app.{name}.find_core", lambda: Core("real"))
    app = create_app(core_uri="http://127.0.0.1:9", site="http://localhost")
    app.testing = True
    return app


def page(client: FlaskClient, path: str) -> TestResponse:
    return client.get(path, headers=PAGE_HEADERS)


def reason(client: FlaskClient, path: str) -> str:
    return page(client, path).headers.get("SSR-Session", "content").rpartition("=")[2]


def test_members_pages_are_for_members(
    signed_in_client: FlaskClient, expired_client: FlaskClient, anonymous_client: FlaskClient
) -> None:
    for path in MEMBERS_PAGES:
        response = page(signed_in_client, path)
        assert response.status_code == 200, path
        assert "SSR-Session" not in response.headers
        assert "no-store" not in response.headers.get("Cache-Control", "")
        response = page(expired_client, path)
        assert 'data-ssr-session="refresh"' in response.text, path
        assert response.headers["Cache-Control"] == "no-store"
        assert "user-1" not in response.text
        response = page(anonymous_client, path)
        if path == "/dashboard":  # its template decides, which is too late for a redirect
            assert 'data-ssr-session="sign_in"' in response.text
            assert f"redirectToPath={path}" in response.text
        else:
            assert response.location == f"/auth?redirectToPath={path}"


@pytest.mark.usefixtures("key_outage")
def test_outage_signs_nobody_out(signed_in_client: FlaskClient) -> None:
    for path in MEMBERS_PAGES:
        response = page(signed_in_client, path)
        assert (response.status_code, response.headers["Retry-After"]) == (503, "10"), path
        assert response.headers.getlist("Set-Cookie") == []
        assert "user-1" not in response.text
    home = page(signed_in_client, "/")
    assert (home.status_code, "Hello. Your session cannot" in home.text) == (200, True)
    assert "Sign in" not in home.text


def test_home_greets_whom_it_knows(
    signed_in_client: FlaskClient, anonymous_client: FlaskClient, expired_client: FlaskClient
) -> None:
    assert "Hello, user-1." in page(signed_in_client, "/").text
    assert "Hello, stranger." in page(anonymous_client, "/").text
    refresh = page(expired_client, "/").text
    assert "Hello" not in refresh
    assert "continueSignedOut=1" in refresh


STATES: dict[str, Any] = {
    "a stranger": ("/", None, 'data-state="anonymous"><a href="/auth/">Sign in</a>'),
    "a user": ("/", {"name": "Ada"}, "Signed in as <strong>Ada</strong>"),
    "a user half signed in": (
        *("/", {"mfa_complete": False}, 'data-state="pending">Not signed in yet'),
    ),
    "an expired session": ("/nowhere", {"valid_seconds": -5}, 'data-state="refresh"><'),
}


@rows("path, claims, shown", STATES)
def test_header_asks_strangers_alone_to_sign_in(
    app: Flask, signed_in_as: ClientMaker, path: str, claims: dict[str, Any] | None, shown: str
) -> None:
    client = app.test_client() if claims is None else signed_in_as(**claims)
    assert shown in page(client, path).text


def test_account_shows_what_the_token_says(signed_in_as: ClientMaker) -> None:
    client = signed_in_as("user-7", tenant_id="shop", email_verified=True, theme="dark")
    shown = page(client, "/account").text.replace('"', "&#34;")
    for told in ("user-7", "shop", "<dd>yes</dd>", "&#34;theme&#34;: &#34;dark&#34;"):
        assert told in shown


def test_redirected_page_goes_by_way_of_the_refresh_path(expired_client: FlaskClient) -> None:
    response = page(expired_client, "/redirected?tab=2")
    assert response.location == "/refresh-session?redirectBack=/redirected?tab%3D2"
    assert 'data-return-to="/redirected?tab=2"' in page(expired_client, response.location).text
    sign_in(expired_client)
    assert "user-1" in page(expired_client, "/redirected").text


def test_note_is_received_in_time_carried_when_late_and_refused_from_another_site(
    signed_in_client: FlaskClient, expired_client: FlaskClient
) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site"}
    for client, headers, status, is_received, is_shown in (
        (signed_in_client, {}, 200, True, True),
        (expired_client, {}, 401, False, True),
        (signed_in_client, foreign, 403, False, False),
    ):
        note = {"note": "buy milk"}
        response = client.post("/form", data=note, headers={**PAGE_HEADERS, **headers})
        assert response.status_code == status
        assert ("<q data-received>buy milk</q>" in response.text) == is_received, status
        assert ("buy milk" in response.text) == is_shown, status


def test_admin_page_is_for_admins(signed_in_as: ClientMaker) -> None:
    for roles in (["admin"], ["reader", "admin"], ["reader"], [], None):
        response = page(signed_in_as(roles=roles), "/admin")
        is_admin = "admin" in (roles or ())
        assert response.status_code == (200 if is_admin else 403), roles
        assert ("data-admin" in response.text) is is_admin, roles
        assert ("Not for you" in response.text) is not is_admin, roles


@pytest.mark.usefixtures("core_outage")
def test_only_the_page_that_asks_the_core_needs_it(signed_in_client: FlaskClient) -> None:
    assert page(signed_in_client, "/checked").status_code == 503
    assert page(signed_in_client, "/account").status_code == 200


@pytest.mark.parametrize("header", ["Accept", "HX-Request"])
def test_live_fragment_tells_a_script_to_refresh(expired_client: FlaskClient, header: str) -> None:
    headers = {**testing.SCRIPT_HEADERS, header: "true"}
    response = expired_client.get("/live/fragment", headers=headers)
    assert (response.status_code, response.json) == (401, {"message": "try refresh token"})


def test_signing_in_is_open_to_everybody_and_leads_back_into_this_site(
    anonymous_client: FlaskClient, expired_client: FlaskClient
) -> None:
    for client in (anonymous_client, expired_client):
        for path in ("/auth", "/auth/", "/auth/sign-up", "/auth/verify-email"):
            assert page(client, path).status_code == 200, path
        # Nobody becomes admin without a session.
        assert client.post("/panel/become-admin", headers=PAGE_HEADERS).status_code == 401
    for asked in ("/account?tab=2", "https://evil.example/", "//evil.example"):
        target = asked if asked.startswith("/account") else "/"
        shown = anonymous_client.get("/auth", query_string={"redirectToPath": asked}).text
        assert f'data-return-path="{target}"' in shown, asked


CURES: dict[str, Any] = {
    "an address that is not verified": ("/verified", {"email_verified": False}, "verify-email"),
    "a verified address": ("/verified", {"email_verified": True}, None),
    "a code that is too old": ("/vault", {"factors": {"totp": 121}}, "mfa/totp"),
    "a recent code": ("/vault", {"factors": {"totp": 60}}, None),
    "a user half signed in": ("/account", {"mfa_complete": False}, "mfa"),
}


@rows("path, claims, cure", CURES)
def test_page_leads_to_what_the_visitor_lacks(
    signed_in_as: ClientMaker, path: str, claims: dict[str, Any], cure: str | None
) -> None:
    client = signed_in_as(**claims)
    response = page(client, path)
    assert response.status_code == (403 if cure else 200)
    assert (f'data-cure="/auth/{cure}?' in response.text) == (cure is not None)
    shown = page(client, f"/auth/{cure or 'mfa'}?redirectToPath={path}%3Fa%23b")
    assert f'data-return-path="{path}?a#b"' in shown.text


def test_form_says_at_its_field_what_is_wrong(signed_in_client: FlaskClient) -> None:
    for note, status, is_wrong in ((" ", 422, True), ("milk", 200, False)):
        response = signed_in_client.post("/form", data={"note": note}, headers=PAGE_HEADERS)
        assert (response.status_code, 'aria-invalid="true"' in response.text) == (status, is_wrong)


def test_recent_page_is_for_those_who_have_just_signed_in(signed_in_as: ClientMaker) -> None:
    for seconds, is_recent in ((60, True), (121, False)):
        response = page(signed_in_as(signed_in=seconds), "/recent")
        assert response.status_code == (200 if is_recent else 403), seconds
        assert ("data-user" in response.text) == is_recent


def test_panel_ends_sessions_and_drops_tokens_of_one_visitor(signed_in_as: ClientMaker) -> None:
    ada, eve = signed_in_as("ada"), signed_in_as("eve")
    assert ada.post("/panel/end-session", headers=PAGE_HEADERS).status_code == 303
    assert (reason(ada, "/account"), reason(eve, "/account")) == ("revoked_by_app", "content")
    eve.post("/panel/drop-token", headers=PAGE_HEADERS)
    assert reason(eve, "/account") == "token_missing"


def test_panel_says_what_becoming_admin_did(
    signed_in_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token changes only at the next refresh, so the panel must say so."""
    asking = ("create_new_role_or_add_permissions", "add_role_to_user", "fetch_and_set_claim")
    for name in ("control", *asking):
        monkeypatch.setattr(f"example_app.panel.{name}", lambda *_: None)
    assert 'role="status"' not in signed_in_client.get("/panel/").text
    done = signed_in_client.post("/panel/become-admin", follow_redirects=True)
    assert (done.status_code, done.text.count('role="status"')) == (200, 1)


def test_error_page_is_the_sites_own_for_everybody(
    anonymous_client: FlaskClient, signed_in_client: FlaskClient
) -> None:
    for client in (anonymous_client, signed_in_client):
        response = page(client, "/no-such-page")
        assert (response.status_code, "No such page" in response.text) == (404, True)


def test_one_visitor_goes_through_a_day(revoked_client: FlaskClient) -> None:
    client = revoked_client
    assert (reason(client, "/account"), reason(client, "/checked")) == ("content", "revoked")
    sign_in(client)
    assert reason(client, "/checked") == "content"
    testing.set_token(client, "nonsense")
    assert reason(client, "/account") == "invalid"
    testing.sign_out(client)
    assert reason(client, "/account") == "anonymous"
