"""A Flask application with the SDK's own middleware, with requests like a browser's."""

from __future__ import annotations

import time
from typing import Any

import pytest
from flask import Flask, g, request
from flask.testing import FlaskClient
from supertokens_python.framework.flask import Middleware
from supertokens_python.recipe import emailpassword, emailverification, session, userroles
from supertokens_python.recipe.emailverification import EmailVerificationClaim
from supertokens_python.recipe.emailverification import syncio as verification
from supertokens_python.recipe.emailverification.interfaces import (
    CreateEmailVerificationTokenOkResult,
)
from supertokens_python.recipe.session.framework.flask import verify_session
from supertokens_python.recipe.session.syncio import get_session
from supertokens_python.recipe.userroles import UserRoleClaim
from supertokens_python.recipe.userroles import syncio as roles
from supertokens_python.types import RecipeUserId
from werkzeug.test import TestResponse

from flask_ssr_session.dev_core import DevelopmentCore

from .sdk import init_sdk
from .support import LaggingClock

FIELDS = [
    {"id": "email", "value": "Ada@Example.com"},
    {"id": "password", "value": "correct horse 1"},
]
WRONG = [FIELDS[0], {"id": "password", "value": "wrong horse 1"}]


@pytest.fixture
def core(live_core: DevelopmentCore, sdk_environment: None) -> DevelopmentCore:  # noqa: ARG001
    recipes = [
        emailpassword.init(),
        emailverification.init(mode="OPTIONAL"),
        session.init(get_token_transfer_method=lambda *_: "cookie"),
        userroles.init(),
    ]
    init_sdk(live_core.uri, recipes)
    return live_core


@pytest.fixture
def client(core: DevelopmentCore) -> FlaskClient:  # noqa: ARG001
    app = Flask(__name__)
    Middleware(app)

    @app.get("/page")
    def page() -> dict[str, Any]:
        found = get_session(
            request,
            check_database="check" in request.args,
            override_global_claim_validators=lambda *_: [],
        )
        assert found is not None
        return {"user": found.get_user_id(), "payload": found.get_access_token_payload()}

    @app.get("/admin")
    @verify_session(
        override_global_claim_validators=lambda validators, *_: [
            *validators,
            UserRoleClaim.validators.includes("admin"),
        ]
    )
    def admin() -> str:
        return str(g.supertokens.get_user_id())

    @app.get("/verified")
    @verify_session(
        override_global_claim_validators=lambda *_: [
            EmailVerificationClaim.validators.has_value(True)
        ]
    )
    def verified() -> str:
        return "verified"

    @app.post("/plan")
    def plan() -> str:
        found = get_session(request)
        assert found is not None
        found.sync_merge_into_access_token_payload({"plan": "paid"})
        return "done"

    return app.test_client()


def sign_up(client: FlaskClient) -> str:
    answer = client.post("/auth/signup", json={"formFields": FIELDS})
    assert answer.json is not None
    assert answer.json["status"] == "OK", answer.json
    return str(answer.json["user"]["id"])


def refresh(client: FlaskClient) -> TestResponse:
    return client.post("/auth/session/refresh")


def calls(core: DevelopmentCore) -> list[tuple[str, str]]:
    entries = [(entry.method, entry.path) for entry in core.request_log()]
    core.clear_request_log()
    return entries


def cookie(client: FlaskClient, name: str) -> str | None:
    path = "/auth/session/refresh" if name == "sRefreshToken" else "/"
    found = client.get_cookie(name, path=path)
    return None if found is None else found.value


def test_sign_up_and_sign_in_give_a_session(client: FlaskClient) -> None:
    user_id = sign_up(client)
    page = client.get("/page")
    assert page.json is not None
    assert page.json["user"] == user_id
    assert page.json["payload"]["iss"] == "http://localhost:5000/auth"
    other = client.application.test_client()
    again = other.post("/auth/signup", json={"formFields": FIELDS})
    assert again.json is not None
    assert again.json["status"] == "FIELD_ERROR"
    wrong = other.post("/auth/signin", json={"formFields": WRONG})
    assert wrong.json == {"status": "WRONG_CREDENTIALS_ERROR"}
    assert other.get("/page").status_code == 401
    right = other.post("/auth/signin", json={"formFields": FIELDS})
    assert right.json is not None
    assert right.json["user"]["id"] == user_id
    assert other.get("/page").status_code == 200


def test_taken_address_is_found(client: FlaskClient) -> None:
    url = "/auth/emailpassword/email/exists"
    free = client.get(url, query_string={"email": "ada@example.com"})
    assert free.json == {"status": "OK", "exists": False}
    sign_up(client)
    taken = client.get(url, query_string={"email": "ADA@example.com"})
    assert taken.json == {"status": "OK", "exists": True}


def test_refresh_token_cookie_expires_with_the_refresh_token(client: FlaskClient) -> None:
    sign_up(client)
    found = client.get_cookie("sRefreshToken", path="/auth/session/refresh")
    assert found is not None
    assert found.expires is not None
    assert abs(found.expires.timestamp() - time.time() - 144_000 * 60) < 60


def test_page_with_a_good_token_asks_the_core_for_keys_once_and_never_changes_anything(
    client: FlaskClient, core: DevelopmentCore
) -> None:
    sign_up(client)
    calls(core)
    assert client.get("/page").status_code == 200
    assert calls(core) == [("GET", "/.well-known/jwks.json")]
    assert client.get("/page").status_code == 200
    assert calls(core) == []


def test_expired_page_is_401_until_the_refresh(
    client: FlaskClient, core: DevelopmentCore, lagging_clock: LaggingClock
) -> None:
    lagging_clock.seconds_behind = 60
    sign_up(client)
    lagging_clock.seconds_behind = 0
    expired = client.get("/page")
    assert (expired.status_code, expired.json) == (401, {"message": "try refresh token"})
    calls(core)
    assert refresh(client).status_code == 200
    assert calls(core) == [("POST", "/recipe/session/refresh")]
    assert client.get("/page").status_code == 200
    assert ("POST", "/recipe/session/verify") in calls(core)
    assert client.get("/page").status_code == 200
    assert calls(core) == []


def test_sign_out_removes_the_session_and_its_cookies(
    client: FlaskClient, core: DevelopmentCore
) -> None:
    sign_up(client)
    assert client.post("/auth/signout").json == {"status": "OK"}
    assert core.list_sessions() == []
    assert cookie(client, "sAccessToken") is None
    assert client.get("/page").json == {"message": "unauthorised"}


def test_theft_ends_the_session_for_thief_and_owner(
    client: FlaskClient, core: DevelopmentCore
) -> None:
    sign_up(client)
    stolen = cookie(client, "sRefreshToken")
    assert stolen is not None
    refresh(client)
    client.get("/page")
    thief = client.application.test_client()
    thief.set_cookie("sRefreshToken", stolen, path="/auth/session/refresh")
    calls(core)
    answer = refresh(thief)
    assert (answer.status_code, answer.json) == (401, {"message": "token theft detected"})
    assert [path for _, path in calls(core)] == [
        "/recipe/session/refresh",
        "/recipe/session/remove",
    ]
    assert core.list_sessions() == []
    assert refresh(client).json == {"message": "unauthorised"}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        pytest.param("GET", "/page?check", id="check database"),
        pytest.param("POST", "/plan", id="change of the payload"),
        pytest.param("POST", "/auth/session/refresh", id="refresh"),
    ],
)
@pytest.mark.parametrize("revoked", [False, True])
def test_revoked_session_is_401_and_cleared_wherever_the_core_is_asked(
    client: FlaskClient, core: DevelopmentCore, method: str, path: str, revoked: bool
) -> None:
    user_id = sign_up(client)
    if revoked:
        assert len(core.revoke_sessions(user_id)) == 1
    answer = client.open(path, method=method)
    assert answer.status_code == (401 if revoked else 200)
    assert (cookie(client, "sAccessToken") is None) == revoked
    assert (answer.headers.get("front-token") == "remove") == revoked


def test_fresh_token_of_a_revoked_session_is_401_and_cleared(
    client: FlaskClient, core: DevelopmentCore
) -> None:
    sign_up(client)
    refresh(client)
    core.revoke_sessions()
    assert client.get("/page").json == {"message": "unauthorised"}
    assert cookie(client, "sAccessToken") is None


def test_revoked_session_that_nobody_asks_about_lives_until_its_token_expires(
    client: FlaskClient, core: DevelopmentCore
) -> None:
    sign_up(client)
    core.revoke_sessions()
    assert client.get("/page").status_code == 200


def test_changed_payload_is_in_the_next_page(client: FlaskClient) -> None:
    sign_up(client)
    assert client.post("/plan").status_code == 200
    page = client.get("/page")
    assert page.json is not None
    assert page.json["payload"]["plan"] == "paid"


def test_role_claim_opens_the_page_after_the_next_refresh(client: FlaskClient) -> None:
    user_id = sign_up(client)
    refused = client.get("/admin")
    assert refused.status_code == 403
    assert refused.json is not None
    assert [error["id"] for error in refused.json["claimValidationErrors"]] == ["st-role"]
    roles.create_new_role_or_add_permissions("admin", ["read"])
    roles.add_role_to_user("public", user_id, "admin")
    client.post("/auth/signin", json={"formFields": FIELDS})
    page = client.get("/page")
    assert page.json is not None
    assert page.json["payload"]["st-role"]["v"] == ["admin"]
    assert page.json["payload"]["st-perm"]["v"] == ["read"]
    assert client.get("/admin").text == user_id


def test_verified_address_opens_the_page(client: FlaskClient) -> None:
    user_id = sign_up(client)
    assert client.get("/verified").status_code == 403
    created = verification.create_email_verification_token("public", RecipeUserId(user_id))
    assert isinstance(created, CreateEmailVerificationTokenOkResult)
    answer = client.post(
        "/auth/user/email/verify", json={"method": "token", "token": created.token}
    )
    assert answer.json == {"status": "OK"}
    assert client.get("/auth/user/email/verify").json == {"status": "OK", "isVerified": True}
    assert client.get("/verified").text == "verified"


def test_key_set_of_the_application_is_that_of_the_core(
    client: FlaskClient, core: DevelopmentCore
) -> None:
    answer = client.get("/auth/jwt/jwks.json")
    assert answer.json is not None
    published = [key["kid"] for key in core.state()["signingKeys"]]
    assert [key["kid"] for key in answer.json["keys"]] == published


def test_failing_refresh_endpoint_is_500_and_leaves_the_cookies(
    client: FlaskClient, core: DevelopmentCore
) -> None:
    sign_up(client)
    before = cookie(client, "sRefreshToken")
    core.stop_refresh_endpoint()
    assert refresh(client).status_code == 500
    assert cookie(client, "sRefreshToken") == before
    core.start_refresh_endpoint()
    assert refresh(client).status_code == 200
    assert cookie(client, "sRefreshToken") != before
