"""One Flask app with the SDK's middleware and this package: both read the same session."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, g, jsonify, request
from flask.testing import FlaskClient
from supertokens_python.framework.flask import Middleware
from supertokens_python.recipe import emailpassword, session, userroles
from supertokens_python.recipe.session.syncio import fetch_and_set_claim, get_session
from supertokens_python.recipe.userroles import UserRoleClaim
from supertokens_python.recipe.userroles import syncio as roles
from werkzeug.test import TestResponse

from example_app.core import DevelopmentCore
from flask_ssr_session import (
    ConfigError,
    FlaskSSRSession,
    MisuseError,
    require_session,
    session_required,
)
from tests.development_core.sdk import init_sdk, reset_sdk
from tests.development_core.support import LaggingClock

DOCUMENT = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FIELDS = [
    {"id": "email", "value": "ada@example.test"},
    {"id": "password", "value": "correct horse 1"},
]

# What SuperTokens core writes anew when the SDK presents a token for the first time (facts E3).
RENEWED_CLAIMS = {"iat", "exp", "parentRefreshTokenHash1"}


def start_sdk(core: DevelopmentCore, uri: str | None = None, **options: Any) -> None:
    init_sdk(uri or core.uri, [emailpassword.init(), userroles.init(), session.init(**options)])


def make_app() -> Flask:
    app = Flask(__name__)
    FlaskSSRSession(app)
    Middleware(app)

    @app.get("/both")
    def both() -> Any:
        theirs = get_session(request, override_global_claim_validators=lambda *_: [])
        assert theirs is not None
        ours = g.session
        return jsonify(
            ours=[ours.user_id, ours.tenant_id, ours.session_handle],
            theirs=[theirs.get_user_id(), theirs.get_tenant_id(), theirs.get_handle()],
            our_payload=ours.get_access_token_payload(),
            their_payload=theirs.get_access_token_payload(),
            our_roles=ours.get_claim_value(UserRoleClaim),
        )

    @app.get("/page")
    @session_required
    def page() -> str:
        return str(g.session.user_id)

    @app.get("/auth/profile")
    @session_required
    def below_the_api() -> str:
        return str(g.session.user_id)

    return app


@pytest.fixture
def core(live_core: DevelopmentCore, sdk_environment: None) -> DevelopmentCore:  # noqa: ARG001
    return live_core


@pytest.fixture
def client(core: DevelopmentCore) -> FlaskClient:
    app = make_app()
    start_sdk(core)  # after init_app: the SDK is read at the first request
    return app.test_client()


def sign_up(client: FlaskClient) -> str:
    answer = client.post(
        "/auth/signup", json={"formFields": FIELDS}, headers={"st-auth-mode": "cookie"}
    )
    assert answer.json is not None
    return str(answer.json["user"]["id"])


def refresh(client: FlaskClient) -> TestResponse:
    return client.post("/auth/session/refresh", headers={"rid": "session"})


def test_both_read_the_same_session_from_the_same_token(client: FlaskClient) -> None:
    user = sign_up(client)
    answer = client.get("/both").json
    assert answer is not None
    assert answer["ours"] == answer["theirs"]
    assert answer["ours"][:2] == [user, "public"]
    assert answer["our_payload"] == answer["their_payload"]


def test_both_read_the_same_session_right_after_a_refresh(client: FlaskClient) -> None:
    user = sign_up(client)
    assert refresh(client).status_code == 200
    answer = client.get("/both").json
    assert answer is not None
    assert answer["ours"] == answer["theirs"]
    assert answer["ours"][0] == user
    ours, theirs = (dict(answer[f"{whose}_payload"]) for whose in ("our", "their"))
    assert ours["parentRefreshTokenHash1"] is not None
    for name in RENEWED_CLAIMS:
        del ours[name], theirs[name]
    assert ours == theirs


def test_claims_of_the_sdk_are_read_from_the_token(client: FlaskClient) -> None:
    user = sign_up(client)
    roles.create_new_role_or_add_permissions("admin", [])
    roles.add_role_to_user("public", user, "admin")
    before = client.get("/both").json
    assert before is not None
    assert before["our_roles"] == []
    fetch_and_set_claim(before["ours"][2], UserRoleClaim)
    refresh(client)
    answer = client.get("/both").json
    assert answer is not None
    assert answer["our_roles"] == ["admin"]


def test_pages_set_nothing_and_ask_the_core_for_keys_only(
    client: FlaskClient, core: DevelopmentCore, lagging_clock: LaggingClock
) -> None:
    sign_up(client)
    core.clear_request_log()
    answers = [client.get("/page", headers=DOCUMENT), client.get("/refresh-session")]
    # Right after a refresh the SDK's own get_session would promote the token at the core.
    lagging_clock.seconds_behind = 30
    refresh(client)
    core.clear_request_log()
    answers += [
        client.get(path, headers=DOCUMENT)
        for path in ("/page", "/refresh-session", "/nowhere", "/auth/profile")
    ]
    answers += [client.post("/page", headers=DOCUMENT), client.get("/page")]
    assert "ssr-session" in answers[2].text
    assert {(entry.method, entry.path) for entry in core.request_log()} <= {
        ("GET", "/.well-known/jwks.json")
    }
    for answer in answers:
        assert answer.status_code < 500
        assert not {"Set-Cookie", "front-token", "st-access-token"} & set(answer.headers.keys())


def test_the_sdks_routes_and_pages_live_below_one_path(client: FlaskClient) -> None:
    user = sign_up(client)
    assert client.get("/auth/profile").text == user
    api = client.get("/auth/jwt/jwks.json")
    assert api.status_code == 200
    assert "SSR-Session" not in api.headers
    assert "Cookie" not in api.headers.get("Vary", "")


def test_an_expired_token_is_refreshed_by_the_api_and_accepted_after(
    client: FlaskClient, lagging_clock: LaggingClock
) -> None:
    lagging_clock.seconds_behind = 30
    user = sign_up(client)
    lagging_clock.seconds_behind = 0
    refused = client.get("/page")
    assert (refused.status_code, refused.json) == (401, {"message": "try refresh token"})
    refresh(client)
    assert client.get("/page").text == user


def test_a_revoked_session_is_good_until_its_token_ends_and_then_only_sign_in_helps(
    client: FlaskClient, core: DevelopmentCore
) -> None:
    user = sign_up(client)
    core.revoke_sessions(user)
    assert client.get("/page").text == user
    assert refresh(client).status_code == 401
    gone = client.get("/page", headers=DOCUMENT)
    assert (gone.status_code, gone.location) == (302, "/auth?redirectToPath=/page")


def test_the_next_core_is_asked_where_the_first_does_not_answer(core: DevelopmentCore) -> None:
    start_sdk(core)
    client = make_app().test_client()
    user = sign_up(client)
    token = client.get_cookie("sAccessToken")
    assert token is not None
    reset_sdk()
    start_sdk(core, f"http://127.0.0.1:9;{core.uri}")
    other = make_app().test_client()
    other.set_cookie("sAccessToken", token.value)
    assert other.get("/page").text == user


def test_a_token_of_the_other_kind_of_key_is_not_taken(core: DevelopmentCore) -> None:
    start_sdk(core, use_dynamic_access_token_signing_key=False)
    client = make_app().test_client()
    user = sign_up(client)
    assert client.get("/page").text == user
    static_token = client.get_cookie("sAccessToken")
    assert static_token is not None
    reset_sdk()
    start_sdk(core)
    other = make_app().test_client()
    other.set_cookie("sAccessToken", static_token.value)
    assert other.get("/page").headers["SSR-Session"] == "refresh; reason=invalid"


def test_a_header_only_sdk_is_refused_with_the_reason(core: DevelopmentCore) -> None:
    start_sdk(core, get_token_transfer_method=lambda *_: "header")
    app = make_app()
    app.testing = True
    with pytest.raises(ConfigError, match="headers only"):
        app.test_client().get("/page")


def test_without_sdk_and_api_domain_the_first_request_says_what_is_missing(
    sdk_environment: None,  # noqa: ARG001
) -> None:
    app = Flask(__name__)
    app.testing = True
    FlaskSSRSession(app)
    with pytest.raises(ConfigError, match="SSR_SESSION_API_DOMAIN"):
        app.test_client().get("/")


@pytest.mark.parametrize("middleware_first", [True, False], ids=["middleware first", "hook first"])
def test_closed_app_with_a_view_for_all_below_the_api_lets_people_sign_up(
    core: DevelopmentCore, middleware_first: bool
) -> None:
    start_sdk(core)
    app = Flask(__name__)
    FlaskSSRSession(app)
    if middleware_first:
        Middleware(app)
    app.before_request(require_session)
    if not middleware_first:
        Middleware(app)

    @app.route("/auth", methods=["GET", "POST"])
    @app.route("/auth/<path:rest>", methods=["GET", "POST"])
    def ui(rest: str = "") -> str:
        return f"page {rest}"

    client = app.test_client()
    if middleware_first:
        assert client.get("/auth/reset-password").text == "page reset-password"
        sign_up(client)
        assert client.post("/auth/session/refresh").status_code == 200
        return
    # What the check is for, and the check.
    answer = client.post("/auth/signup", json={"formFields": FIELDS})
    assert (answer.status_code, answer.json) == (401, {"message": "unauthorised"})
    vars(app.extensions["ssr_session"]).pop("_binding")
    app.testing = True
    with pytest.raises(MisuseError, match=r"Put Middleware\(app\) first"):
        client.post("/auth/signup", json={"formFields": FIELDS})
