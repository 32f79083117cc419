"""One Flask app with the SDK's middleware and this package, and one core behind both."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, g, jsonify, request
from flask.testing import FlaskClient
from supertokens_python.framework.flask import Middleware
from supertokens_python.recipe import emailpassword, session, userroles
from supertokens_python.recipe.session.framework.flask import verify_session
from supertokens_python.recipe.session.syncio import fetch_and_set_claim, get_session
from supertokens_python.recipe.userroles import UserRoleClaim
from supertokens_python.recipe.userroles import syncio as roles
from werkzeug.test import TestResponse

from flask_ssr_session import FlaskSSRSession, require_session, session_required
from flask_ssr_session.dev_core import DevelopmentCore
from flask_ssr_session.testing import PAGE_HEADERS
from tests.browser_requests import FETCH, PAGE
from tests.dev_core.sdk import init_sdk, reset_sdk, sign_up
from tests.dev_core.support import LaggingClock

# What SuperTokens core writes anew when the SDK presents a token for the first time (facts E3).
RENEWED_CLAIMS = {"iat", "exp", "parentRefreshTokenHash1"}
LOOK_UP, KEYS = ("GET", "/recipe/session"), ("GET", "/.well-known/jwks.json")


def start_sdk(core: DevelopmentCore, uri: str | None = None, **options: Any) -> None:
    init_sdk(uri or core.uri, [emailpassword.init(), userroles.init(), session.init(**options)])


def make_app(**settings: Any) -> Flask:
    app = Flask(__name__)
    app.testing = True
    FlaskSSRSession(app, **settings)
    Middleware(app)
    admin = UserRoleClaim.validators.includes("admin")

    def user() -> str:
        return str(g.session.user_id)

    def both() -> Any:
        theirs = get_session(request, override_global_claim_validators=lambda *_: [])
        ours = g.session
        assert theirs is not None
        return jsonify(
            ours=[ours.user_id, ours.tenant_id, ours.session_handle],
            theirs=[theirs.get_user_id(), theirs.get_tenant_id(), theirs.get_handle()],
            our_payload=ours.get_access_token_payload(),
            their_payload=theirs.get_access_token_payload(),
            our_roles=ours.get_claim_value(UserRoleClaim),
        )

    verified = verify_session(override_global_claim_validators=lambda *_: [admin])
    for path, view in {
        "/both": both,
        "/page": session_required(user),
        "/auth/profile": session_required(user),
        "/checks": session_required(check_revoked=True)(user),
        "/ours": session_required(role="admin")(user),
        "/validator": session_required(validators=[admin])(user),
        "/theirs": verified(lambda: user()),
    }.items():
        app.add_url_rule(path, path, view, methods=["GET", "POST"])
    return app


@pytest.fixture
def core(live_core: DevelopmentCore, sdk_environment: None) -> DevelopmentCore:  # noqa: ARG001
    start_sdk(live_core)
    return live_core


@pytest.fixture
def client(live_core: DevelopmentCore, sdk_environment: None) -> FlaskClient:  # noqa: ARG001
    app = make_app()
    start_sdk(live_core)  # after init_app: the SDK is read at the first request
    return app.test_client()


def refresh(client: FlaskClient) -> TestResponse:
    return client.post("/auth/session/refresh", headers={"rid": "session"})


def with_token_of(client: FlaskClient, app: Flask) -> FlaskClient:
    """Return a client of *app* with the access token of *client* alone."""
    token = client.get_cookie("sAccessToken")
    assert token is not None
    other = app.test_client()
    other.set_cookie("sAccessToken", token.value)
    return other


def asked(core: DevelopmentCore) -> list[tuple[str, str]]:
    """Return the requests to the core since the last call."""
    entries = [(entry.method, entry.path) for entry in core.request_log()]
    core.clear_request_log()
    return entries


def state(answer: TestResponse) -> str | None:
    return answer.headers.get("SSR-Session")


def test_both_read_the_same_session(client: FlaskClient, pytestconfig: pytest.Config) -> None:
    user = sign_up(client)

    def read(*renewed: str) -> Any:
        answer = client.get("/both").json
        assert answer is not None
        assert answer["ours"] == answer["theirs"]
        assert answer["ours"][:2] == [user, "public"]
        ours, theirs = answer["our_payload"], answer["their_payload"]
        assert {**ours, **dict.fromkeys(renewed)} == {**theirs, **dict.fromkeys(renewed)}
        return answer

    handle = read()["ours"][2]
    assert refresh(client).status_code == 200
    parent = read(*RENEWED_CLAIMS)["our_payload"]["parentRefreshTokenHash1"]
    assert (parent is None) == (pytestconfig.getoption("cdi") == "5.6")
    # A role that was given at the core counts after a refresh.
    roles.create_new_role_or_add_permissions("admin", [])
    for change, after in ((roles.add_role_to_user, ["admin"]), (roles.remove_user_role, [])):
        change("public", user, "admin")
        fetch_and_set_claim(handle, UserRoleClaim)
        for is_refreshed in (False, True):
            for path in ("/ours", "/validator"):
                is_admin = client.get(path, headers=PAGE).text == user
                assert is_admin == (bool(after) == is_refreshed), path
            assert is_refreshed or refresh(client).status_code == 200
        assert read(*RENEWED_CLAIMS)["our_roles"] == after
    theirs = client.get("/theirs", headers=FETCH)
    assert theirs.status_code == 403
    for path in ("/ours", "/validator"):
        ours = client.get(path, headers=FETCH)
        assert (ours.status_code, ours.json) == (theirs.status_code, theirs.json), path


def test_pages_ask_the_core_for_keys(core: DevelopmentCore, lagging_clock: LaggingClock) -> None:
    client = make_app().test_client()
    sign_up(client)
    # The API's pages and routes live below one path.
    api = client.get("/auth/jwt/jwks.json")
    assert (api.status_code, state(api), "Cookie" in api.headers.get("Vary", "")) == (200, None, 0)
    # Right after a refresh the SDK's own get_session would promote the token at the core.
    lagging_clock.seconds_behind = 30
    refresh(client)
    asked(core)
    paths = ("/page", "/refresh-session", "/nowhere", "/auth/profile", "/ours")
    answers = [client.get(path, headers=headers) for path in paths for headers in (PAGE, FETCH)]
    answers.append(client.post("/page", headers=PAGE_HEADERS))
    assert set(asked(core)) <= {KEYS}
    for answer in answers:
        assert answer.status_code < 500
        assert not {"Set-Cookie", "front-token", "st-access-token"} & set(answer.headers.keys())


def test_expired_token_can_be_refreshed(client: FlaskClient, lagging_clock: LaggingClock) -> None:
    lagging_clock.seconds_behind = 30
    user = sign_up(client)
    lagging_clock.seconds_behind = 0
    refused = client.get("/page")
    assert (refused.status_code, refused.json) == (401, {"message": "try refresh token"})
    refresh(client)
    for path in ("/page", "/auth/profile"):
        assert client.get(path).text == user, path


def test_a_token_of_the_other_kind_of_key_is_not_taken(core: DevelopmentCore) -> None:
    reset_sdk()
    start_sdk(core, use_dynamic_access_token_signing_key=False)
    client = make_app().test_client()
    user = sign_up(client)
    assert client.get("/page").text == user
    reset_sdk()
    start_sdk(core)
    assert state(with_token_of(client, make_app()).get("/page")) == "refresh; reason=invalid"


@pytest.mark.usefixtures("core")
def test_closed_app_with_a_view_for_all_below_the_api_lets_people_sign_up() -> None:
    app = Flask(__name__)
    FlaskSSRSession(app)
    Middleware(app)
    app.before_request(require_session)

    @app.route("/auth", methods=["GET", "POST"])
    @app.route("/auth/<path:rest>", methods=["GET", "POST"])
    def ui(rest: str = "") -> str:
        return f"page {rest}"

    client = app.test_client()
    assert client.get("/auth/reset-password").text == "page reset-password"
    sign_up(client)
    assert client.post("/auth/session/refresh").status_code == 200


@pytest.mark.parametrize("where", ["hook", "view", "nowhere"])
@pytest.mark.parametrize("refresh_flow", ["inline", "redirect"])
def test_revoked_session_ends_at_sign_in_without_going_round(
    core: DevelopmentCore, where: str, refresh_flow: str
) -> None:
    app = make_app(check_revoked=where == "hook", refresh_flow=refresh_flow)
    client, path = app.test_client(), "/checks" if where == "view" else "/page"
    user = sign_up(client)
    assert client.get(path, headers=PAGE).text == user
    core.revoke_sessions(user)
    page = client.get(path, headers=PAGE)
    if where == "nowhere":  # it is good until its token ends
        assert page.text == user
    else:
        assert state(page) == "refresh; reason=revoked"
        assert "Set-Cookie" not in page.headers
        # Where the view alone asks the core, only its own page can say "revoked".
        if (refresh_flow, where) == ("redirect", "hook"):
            assert page.location == f"/refresh-session?redirectBack={path}"
            page = client.get(page.location, headers=PAGE)
        assert 'data-ssr-session="refresh"' in page.text
        assert client.get(path, headers=FETCH).json == {"message": "try refresh token"}
    # What the page's script does: the API ends the session, and there is nothing left to refresh.
    assert refresh(client).status_code == 401
    gone = client.get(path, headers=PAGE)
    assert (gone.status_code, gone.location) == (302, f"/auth?redirectToPath={path}")
    assert sign_up(client, "/auth/signin") == user
    assert client.get(path, headers=PAGE).text == user


def test_core_is_asked_once_per_request_and_only_where_it_has_to(core: DevelopmentCore) -> None:
    client, strict = make_app().test_client(), make_app(check_revoked=True).test_client()
    user = sign_up(client)
    sign_up(strict, "/auth/signin")
    assert refresh(strict).status_code == 200  # the core has not seen its new token yet
    asked(core)
    for visitor, path, expected in (
        (client, "/page", [KEYS]),
        (client, "/page", []),
        (client, "/checks", [LOOK_UP]),
        (client, "/checks", [LOOK_UP]),
        (strict, "/page", [KEYS, LOOK_UP]),
        (strict, "/checks", [LOOK_UP]),
    ):
        assert visitor.get(path, headers=PAGE).text == user
        assert sorted(asked(core)) == sorted(expected), path
    for path in ("/ours", "/validator"):
        assert client.get(path, headers=FETCH).status_code == 403
        assert asked(core) == [], path
    strict.get("/nowhere", headers=PAGE)
    assert asked(core) == [LOOK_UP]
    strict.post("/page", headers=FETCH | {"Sec-Fetch-Site": "cross-site"})
    assert asked(core) == []
    core.revoke_sessions(user)
    asked(core)
    client.get("/checks", headers=PAGE)
    assert asked(core) == [LOOK_UP]
    strict.post("/auth/signout")
    assert LOOK_UP not in asked(core)
