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

from example_app import create_app
from flask_ssr_session.testing import (
    PAGE_HEADERS,
    ClientMaker,
    expire,
    revoke,
    set_token,
    sign_in,
    sign_out,
)
from tests.sdk.conftest import sdk_environment

__all__ = ["sdk_environment"]

pytest_plugins = ["flask_ssr_session.pytest_plugin"]

MEMBERS_PAGES = ("/dashboard", "/account", "/form", "/checked", "/live", "/live/fragment")


@pytest.fixture
def app(sdk_environment: None, monkeypatch: pytest.MonkeyPatch) -> Flask:  # noqa: ARG001
    def refuse(_socket: socket.socket, address: object) -> NoReturn:
        raise AssertionError(f"connection to {address} attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    app = create_app(core_uri="http://127.0.0.1:9", site="http://localhost")
    app.testing = True
    return app


@pytest.mark.parametrize("path", MEMBERS_PAGES)
def test_members_see_their_pages(signed_in_client: FlaskClient, path: str) -> None:
    response = signed_in_client.get(path, headers=PAGE_HEADERS)
    assert response.status_code == 200
    assert "SSR-Session" not in response.headers
    assert "no-store" not in response.headers.get("Cache-Control", "")


@pytest.mark.parametrize("path", MEMBERS_PAGES)
def test_page_of_an_old_token_is_a_refresh_page(expired_client: FlaskClient, path: str) -> None:
    response = expired_client.get(path, headers=PAGE_HEADERS)
    assert 'data-ssr-session="refresh"' in response.text
    assert response.headers["Cache-Control"] == "no-store"
    assert "user-1" not in response.text


@pytest.mark.parametrize("path", MEMBERS_PAGES)
def test_stranger_is_led_to_sign_in_and_back(anonymous_client: FlaskClient, path: str) -> None:
    response = anonymous_client.get(path, headers=PAGE_HEADERS)
    back = f"redirectToPath={path}"
    if path == "/dashboard":  # its template decides, which is too late for a redirect
        assert 'data-ssr-session="sign_in"' in response.text
        assert back in response.text
    else:
        assert response.location == f"/auth?{back}"


@pytest.mark.usefixtures("key_outage")
@pytest.mark.parametrize("path", MEMBERS_PAGES)
def test_outage_signs_nobody_out(signed_in_client: FlaskClient, path: str) -> None:
    response = signed_in_client.get(path, headers=PAGE_HEADERS)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "10")
    assert response.headers.getlist("Set-Cookie") == []
    assert "user-1" not in response.text


def test_home_greets_whom_it_knows(
    signed_in_client: FlaskClient, anonymous_client: FlaskClient, expired_client: FlaskClient
) -> None:
    assert "Hello, user-1." in signed_in_client.get("/", headers=PAGE_HEADERS).text
    assert "Hello, stranger." in anonymous_client.get("/", headers=PAGE_HEADERS).text
    refresh = expired_client.get("/", headers=PAGE_HEADERS).text
    assert "Hello" not in refresh
    assert "continueSignedOut=1" in refresh


@pytest.mark.usefixtures("key_outage")
def test_home_is_open_in_an_outage(signed_in_client: FlaskClient) -> None:
    response = signed_in_client.get("/", headers=PAGE_HEADERS)
    assert (response.status_code, "Hello. Your session cannot" in response.text) == (200, True)
    assert "Sign in" not in response.text


@pytest.mark.parametrize(
    ("path", "claims", "shown"),
    [
        pytest.param("/", None, 'data-state="anonymous"><a href="/auth/">Sign in</a>', id="none"),
        pytest.param("/", {}, 'data-state="active">Signed in<', id="active"),
        pytest.param("/", {"mfa_complete": False}, 'data-state="pending">Signing in<', id="half"),
        pytest.param("/nowhere", {"valid_seconds": -5}, 'data-state="refresh"><', id="run out"),
    ],
)
def test_header_asks_strangers_alone_to_sign_in(
    app: Flask, signed_in_as: ClientMaker, path: str, claims: dict[str, Any] | None, shown: str
) -> None:
    client = app.test_client() if claims is None else signed_in_as(**claims)
    assert shown in client.get(path, headers=PAGE_HEADERS).text


def test_account_shows_what_the_token_says(signed_in_as: ClientMaker) -> None:
    client = signed_in_as("user-7", tenant_id="shop", email_verified=True, theme="dark")
    page = client.get("/account", headers=PAGE_HEADERS).text
    for told in ("user-7", "shop", "<dd>yes</dd>", "&#34;theme&#34;: &#34;dark&#34;"):
        assert told in page.replace('"', "&#34;")


def test_redirected_page_goes_by_way_of_the_refresh_path(expired_client: FlaskClient) -> None:
    response = expired_client.get("/redirected?tab=2", headers=PAGE_HEADERS)
    assert response.location == "/refresh-session?redirectBack=/redirected?tab%3D2"
    page = expired_client.get(response.location, headers=PAGE_HEADERS).text
    assert 'data-return-to="/redirected?tab=2"' in page
    sign_in(expired_client)
    assert "user-1" in expired_client.get("/redirected", headers=PAGE_HEADERS).text


def test_note_that_is_sent_in_time_is_received(signed_in_client: FlaskClient) -> None:
    page = signed_in_client.post("/form", data={"note": "buy milk"}, headers=PAGE_HEADERS).text
    assert "<q data-received>buy milk</q>" in page


def test_note_that_is_sent_late_is_carried_by_the_refresh_page(expired_client: FlaskClient) -> None:
    response = expired_client.post("/form", data={"note": "buy milk"}, headers=PAGE_HEADERS)
    assert response.status_code == 401
    assert "buy milk" in response.text
    assert "data-received" not in response.text


def test_note_that_another_site_sent_is_refused(signed_in_client: FlaskClient) -> None:
    headers = {**PAGE_HEADERS, "Sec-Fetch-Site": "cross-site"}
    response = signed_in_client.post("/form", data={"note": "buy milk"}, headers=headers)
    assert response.status_code == 403
    assert "buy milk" not in response.text


@pytest.mark.parametrize(
    ("roles", "status"),
    [(["admin"], 200), (["reader", "admin"], 200), (["reader"], 403), ([], 403), (None, 403)],
)
def test_admin_page_is_for_admins(
    signed_in_as: ClientMaker, roles: list[str] | None, status: int
) -> None:
    response = signed_in_as(roles=roles).get("/admin", headers=PAGE_HEADERS)
    assert response.status_code == status
    assert ("data-admin" in response.text) == (status == 200)
    assert ("Not for you" in response.text) == (status == 403)


def test_ended_session_is_noticed_where_the_core_is_asked(revoked_client: FlaskClient) -> None:
    assert revoked_client.get("/account", headers=PAGE_HEADERS).status_code == 200
    checked = revoked_client.get("/checked", headers=PAGE_HEADERS)
    assert checked.headers["SSR-Session"] == "refresh; reason=revoked"
    sign_in(revoked_client)
    assert revoked_client.get("/checked", headers=PAGE_HEADERS).status_code == 200


@pytest.mark.usefixtures("core_outage")
def test_only_the_page_that_asks_the_core_needs_it(signed_in_client: FlaskClient) -> None:
    assert signed_in_client.get("/checked", headers=PAGE_HEADERS).status_code == 503
    assert signed_in_client.get("/account", headers=PAGE_HEADERS).status_code == 200


@pytest.mark.parametrize("header", ["Accept", "HX-Request"])
def test_live_fragment_tells_a_script_to_refresh(expired_client: FlaskClient, header: str) -> None:
    response = expired_client.get("/live/fragment", headers={header: "true"})
    assert (response.status_code, response.json) == (401, {"message": "try refresh token"})


@pytest.mark.parametrize("path", ["/auth", "/auth/", "/auth/sign-up", "/auth/verify-email"])
def test_signing_in_is_open_to_everybody(
    anonymous_client: FlaskClient, expired_client: FlaskClient, path: str
) -> None:
    for client in (anonymous_client, expired_client):
        assert client.get(path, headers=PAGE_HEADERS).status_code == 200


@pytest.mark.parametrize(
    ("asked", "target"),
    [("/account?tab=2", "/account?tab=2"), ("https://evil.example/", "/"), ("//evil.example", "/")],
)
def test_sign_in_leads_back_into_this_site(
    anonymous_client: FlaskClient, asked: str, target: str
) -> None:
    page = anonymous_client.get("/auth", query_string={"redirectToPath": asked}).text
    assert f'data-return-path="{target}"' in page


def test_nobody_becomes_admin_without_a_session(
    anonymous_client: FlaskClient, expired_client: FlaskClient
) -> None:
    for client in (anonymous_client, expired_client):
        assert client.post("/panel/become-admin", headers=PAGE_HEADERS).status_code == 401


def test_panel_says_what_becoming_admin_did(
    signed_in_client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token changes only at the next refresh, so the panel must say so."""
    asking = ("create_new_role_or_add_permissions", "add_role_to_user", "fetch_and_set_claim")
    for name in ("_control", *asking):
        monkeypatch.setattr(f"example_app.panel.{name}", lambda *_: None)
    assert 'role="status"' not in signed_in_client.get("/panel/").text
    done = signed_in_client.post("/panel/become-admin", follow_redirects=True)
    assert (done.status_code, done.text.count('role="status"')) == (200, 1)


def test_error_page_is_the_sites_own_for_everybody(
    anonymous_client: FlaskClient, signed_in_client: FlaskClient
) -> None:
    for client in (anonymous_client, signed_in_client):
        response = client.get("/no-such-page", headers=PAGE_HEADERS)
        assert (response.status_code, "No such page" in response.text) == (404, True)


def test_one_visitor_goes_through_a_day(anonymous_client: FlaskClient) -> None:
    client = anonymous_client

    def account() -> str:
        response = client.get("/account", headers=PAGE_HEADERS)
        return response.headers.get("SSR-Session", "content").rpartition("=")[2]

    assert account() == "anonymous"
    sign_in(client)
    assert account() == "content"
    expire(client)
    assert account() == "expired"
    sign_in(client)
    revoke(client)
    assert account() == "content"
    set_token(client, "nonsense")
    assert account() == "invalid"
    sign_out(client)
    assert account() == "anonymous"
