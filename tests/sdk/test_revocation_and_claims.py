"""Revocation and claims with the real SDK and the development core."""

from __future__ import annotations

import time
from typing import Any

import pytest
from flask import Flask, g, jsonify
from flask.testing import FlaskClient
from supertokens_python.framework.flask import Middleware
from supertokens_python.recipe.session.framework.flask import verify_session
from supertokens_python.recipe.session.syncio import fetch_and_set_claim
from supertokens_python.recipe.userroles import UserRoleClaim
from supertokens_python.recipe.userroles import syncio as roles

from example_app.core import DevelopmentCore
from flask_ssr_session import FlaskSSRSession, session_required
from flask_ssr_session.clock import SystemClock
from tests.development_core.sdk import reset_sdk

from .test_with_the_sdk import DOCUMENT, refresh, sign_up, start_sdk

FETCH = {"Accept": "*/*", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}
LOOK_UP = ("GET", "/recipe/session")
KEYS = ("GET", "/.well-known/jwks.json")


def make_app(**settings: Any) -> Flask:
    app = Flask(__name__)
    app.testing = True
    FlaskSSRSession(app, **settings)
    Middleware(app)
    admin = UserRoleClaim.validators.includes("admin")

    @app.get("/trusts")
    @session_required
    def trusts() -> str:
        return str(g.session.user_id)

    @app.get("/checks")
    @session_required(check_revoked=True)
    def checks() -> str:
        return str(g.session.user_id)

    @app.get("/ours")
    @session_required(role="admin")
    def ours() -> Any:
        return jsonify(seen="admin")

    @app.get("/validator")
    @session_required(validators=[admin])
    def validator() -> Any:
        return jsonify(seen="admin")

    @app.get("/theirs")
    @verify_session(override_global_claim_validators=lambda *_: [admin])
    def theirs() -> Any:
        return jsonify(seen="admin")

    return app


@pytest.fixture
def core(live_core: DevelopmentCore, sdk_environment: None) -> DevelopmentCore:  # noqa: ARG001
    start_sdk(live_core)
    return live_core


def asked(core: DevelopmentCore) -> list[tuple[str, str]]:
    """Return the requests to the core since the last call."""
    entries = [(entry.method, entry.path) for entry in core.request_log()]
    core.clear_request_log()
    return entries


@pytest.mark.parametrize("where", ["hook", "decorator"])
@pytest.mark.parametrize("refresh_flow", ["inline", "redirect"])
def test_revoked_session_ends_at_sign_in_without_going_round(
    core: DevelopmentCore, where: str, refresh_flow: str
) -> None:
    client = make_app(check_revoked=where == "hook", refresh_flow=refresh_flow).test_client()
    user = sign_up(client)
    path = "/trusts" if where == "hook" else "/checks"
    assert client.get(path, headers=DOCUMENT).text == user
    core.revoke_sessions(user)

    page = client.get(path, headers=DOCUMENT)
    assert page.headers["SSR-Session"] == "refresh; reason=revoked"
    assert "Set-Cookie" not in page.headers
    # Where the view alone asks the core, only its own page can say "revoked".
    if refresh_flow == "redirect" and where == "hook":
        assert page.location == f"/refresh-session?redirectBack={path}"
        page = client.get(page.location, headers=DOCUMENT)
    assert 'data-ssr-session="refresh"' in page.text
    assert client.get(path, headers=FETCH).json == {"message": "try refresh token"}
    # What the page's script does: the API ends the session, and there is nothing left to refresh.
    assert refresh(client).status_code == 401
    gone = client.get(path, headers=DOCUMENT)
    assert (gone.status_code, gone.location) == (302, f"/auth?redirectToPath={path}")
    # Signed in again, and admitted.
    client = make_app(check_revoked=where == "hook").test_client()
    answer = client.post(
        "/auth/signin",
        json={
            "formFields": [
                {"id": "email", "value": "ada@example.test"},
                {"id": "password", "value": "correct horse 1"},
            ]
        },
        headers={"st-auth-mode": "cookie"},
    )
    assert answer.status_code == 200
    assert client.get(path, headers=DOCUMENT).text == user


def test_core_is_asked_with_get_only_once_per_request_and_only_where_it_has_to(
    core: DevelopmentCore,
) -> None:
    client = make_app().test_client()
    user = sign_up(client)
    asked(core)

    assert client.get("/trusts", headers=DOCUMENT).text == user
    assert asked(core) == [KEYS]
    for headers in (DOCUMENT, FETCH):
        assert client.get("/checks", headers=headers).text == user
        assert asked(core) == [LOOK_UP]
    assert client.get("/trusts", headers=DOCUMENT).text == user
    assert client.get("/ours", headers=FETCH).status_code == 403
    assert client.get("/validator", headers=FETCH).status_code == 403
    assert asked(core) == []
    core.revoke_sessions(user)
    asked(core)
    client.get("/checks", headers=DOCUMENT)
    assert asked(core) == [LOOK_UP]


def test_hook_asks_for_every_page_once(core: DevelopmentCore) -> None:
    client = make_app(check_revoked=True).test_client()
    user = sign_up(client)
    asked(core)
    for path, requests in (("/trusts", [KEYS, LOOK_UP]), ("/checks", [LOOK_UP])):
        assert client.get(path, headers=DOCUMENT).text == user
        assert asked(core) == requests
    client.get("/nowhere", headers=DOCUMENT)
    assert asked(core) == [LOOK_UP]
    client.post("/auth/signout")
    client.get("/ours", headers=FETCH | {"Sec-Fetch-Site": "cross-site"})
    assert LOOK_UP not in asked(core)


def test_session_right_after_a_refresh_is_known(core: DevelopmentCore) -> None:
    """The core has not seen its new token yet; it knows the session by its handle."""
    client = make_app(check_revoked=True).test_client()
    user = sign_up(client)
    assert refresh(client).status_code == 200
    asked(core)
    assert client.get("/trusts", headers=DOCUMENT).text == user
    assert set(asked(core)) == {KEYS, LOOK_UP}


@pytest.mark.usefixtures("core")
def test_token_that_another_browser_still_has_is_refused_after_sign_out() -> None:
    app = make_app(check_revoked=True)
    first, second = app.test_client(), app.test_client()
    user = sign_up(first)
    token = first.get_cookie("sAccessToken")
    assert token is not None
    second.set_cookie("sAccessToken", token.value)
    assert second.get("/trusts").text == user
    first.post("/auth/signout", headers={"rid": "session"})
    # The same session in another browser: its token is good, and the core knows it no more.
    assert second.get("/trusts", headers=DOCUMENT).headers["SSR-Session"].endswith("revoked")


def test_core_that_stopped_is_an_outage_until_it_answers_again(
    core: DevelopmentCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = [0.0]
    monkeypatch.setattr(SystemClock, "monotonic", lambda _self: time.monotonic() + ahead[0])
    client = make_app().test_client()
    user = sign_up(client)
    assert client.get("/checks", headers=DOCUMENT).text == user
    core.stop()
    start = time.monotonic()
    for _ in range(5):
        page = client.get("/checks", headers=DOCUMENT)
        assert page.status_code == 503
        assert page.headers["SSR-Session"] == "unavailable; reason=core_unavailable"
        assert page.headers["Retry-After"] == "10"
        assert "Set-Cookie" not in page.headers
    assert client.get("/checks", headers=FETCH).status_code == 503
    assert time.monotonic() - start < 5
    # A view without the check does not notice.
    assert client.get("/trusts", headers=DOCUMENT).text == user
    core.start()
    assert client.get("/checks", headers=DOCUMENT).status_code == 503
    ahead[0] = 10
    assert client.get("/checks", headers=DOCUMENT).text == user


def test_second_core_is_asked_where_the_first_does_not_answer(core: DevelopmentCore) -> None:
    client = make_app().test_client()
    user = sign_up(client)
    token = client.get_cookie("sAccessToken")
    assert token is not None
    reset_sdk()
    start_sdk(core, f"http://127.0.0.1:9;{core.uri}")
    other = make_app(check_revoked=True).test_client()
    other.set_cookie("sAccessToken", token.value)
    assert other.get("/trusts").text == user
    core.revoke_sessions(user)
    assert other.get("/trusts").headers["SSR-Session"] == "refresh; reason=revoked"


def test_role_that_was_given_at_the_core_counts_after_a_refresh(core: DevelopmentCore) -> None:
    client = make_app().test_client()
    user = sign_up(client)
    roles.create_new_role_or_add_permissions("admin", [])
    roles.add_role_to_user("public", user, "admin")
    asked(core)
    for path in ("/ours", "/validator"):
        assert client.get(path, headers=DOCUMENT).status_code == 403
    # Pages fetch no claims: the old token still has the old one.
    assert {method for method, _ in asked(core)} <= {"GET"}
    fetch_and_set_claim(_handle_of(client), UserRoleClaim)
    assert client.get("/ours", headers=DOCUMENT).status_code == 403
    assert refresh(client).status_code == 200
    for path in ("/ours", "/validator"):
        assert client.get(path, headers=DOCUMENT).json == {"seen": "admin"}
    roles.remove_user_role("public", user, "admin")
    fetch_and_set_claim(_handle_of(client), UserRoleClaim)
    refresh(client)
    assert client.get("/ours", headers=DOCUMENT).status_code == 403


def _handle_of(client: FlaskClient) -> str:
    with client:
        client.get("/trusts")
        return str(g.session.session_handle)


@pytest.mark.usefixtures("core")
def test_script_is_refused_in_the_words_of_the_sdk() -> None:
    client = make_app().test_client()
    sign_up(client)
    theirs = client.get("/theirs", headers=FETCH)
    for path in ("/ours", "/validator"):
        ours = client.get(path, headers=FETCH)
        assert (ours.status_code, ours.json) == (theirs.status_code, theirs.json)
    assert theirs.status_code == 403
