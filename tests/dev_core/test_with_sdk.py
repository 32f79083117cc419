"""What needs the controls of the development core: its clock, its keys, its outages, its log."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jwt
import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from supertokens_python.framework.flask import Middleware
from supertokens_python.recipe import emailpassword, session, userroles
from supertokens_python.recipe.session import syncio as sessions
from supertokens_python.recipe.session.exceptions import TryRefreshTokenError, UnauthorisedError
from supertokens_python.recipe.session.jwks import reset_jwks_cache
from supertokens_python.recipe.session.syncio import get_session
from supertokens_python.recipe.userroles import syncio as roles
from werkzeug.test import TestResponse

from flask_ssr_session.dev_core import DevelopmentCore

from ..tables import rows
from .conftest import KeyFactory
from .sdk import init_sdk
from .support import LaggingClock
from .test_contract_sdk import Pair, create, refresh, use

FIELDS = [
    {"id": "email", "value": "Ada@Example.com"},
    {"id": "password", "value": "correct horse 1"},
]
SIGN_UP = "/auth/signup"
REFRESH_PATH = "/auth/session/refresh"
JWKS = ("GET", "/.well-known/jwks.json")
VERIFY = ("POST", "/recipe/session/verify")


@pytest.fixture
def core(live_core: DevelopmentCore, sdk_environment: None) -> DevelopmentCore:  # noqa: ARG001
    """A core with an initialised SDK."""
    transfer = session.init(anti_csrf="NONE", get_token_transfer_method=lambda *_: "cookie")
    init_sdk(live_core.uri, [emailpassword.init(), transfer, userroles.init()])
    return live_core


def calls(core: DevelopmentCore, step: Callable[[], object]) -> list[tuple[str, str]]:
    """Return the requests of a step to the core."""
    core.clear_request_log()
    step()
    return [(entry.method, entry.path) for entry in core.request_log()]


def kid(pair: Pair) -> str:
    name: str = jwt.get_unverified_header(pair.access)["kid"]
    return name


def test_sdk_asks_the_core_about_children_and_about_nothing_else(core: DevelopmentCore) -> None:
    first = create()
    child, sibling = refresh(first.refresh), refresh(first.refresh)

    assert calls(core, lambda: use(first.access)) == [JWKS]
    assert calls(core, lambda: use(first.access)) == []
    assert calls(core, lambda: use(child.access)) == [VERIFY]
    renewed = Pair(use(child.access))
    assert calls(core, lambda: use(renewed.access)) == []
    assert calls(core, lambda: use(sibling.access)) == [VERIFY]


@pytest.mark.usefixtures("core")
def test_expired_access_token_wants_a_refresh_which_works(lagging_clock: LaggingClock) -> None:
    lagging_clock.seconds_behind = 60
    first = create()
    lagging_clock.seconds_behind = 0
    with pytest.raises(TryRefreshTokenError):
        use(first.access)
    assert use(refresh(first.refresh).access).get_user_id() == "user-1"


@pytest.mark.usefixtures("core")
def test_session_unused_for_its_lifetime_cannot_be_refreshed(lagging_clock: LaggingClock) -> None:
    lagging_clock.seconds_behind = 144_000 * 60 + 60
    old = create()
    lagging_clock.seconds_behind = 120
    young = create()
    lagging_clock.seconds_behind = 0
    with pytest.raises(UnauthorisedError):
        refresh(old.refresh)
    assert refresh(young.refresh).refresh


def test_static_key_signs_when_the_sdk_asks_for_it(
    live_core: DevelopmentCore,
    sdk_environment: None,  # noqa: ARG001
) -> None:
    init_sdk(live_core.uri, [session.init(use_dynamic_access_token_signing_key=False)])
    first = create()
    child = refresh(first.refresh)
    assert {kid(pair)[:2] for pair in (first, child, Pair(use(child.access)))} == {"s-"}


def test_scheduled_rotation_is_not_noticed(
    lagging_clock: LaggingClock,
    key_factory: KeyFactory,
    sdk_environment: None,  # noqa: ARG001
) -> None:
    lagging_clock.seconds_behind = 120
    with DevelopmentCore(clock=lagging_clock, key_factory=key_factory) as core:
        init_sdk(core.uri, [session.init()])
        old, new = kid(create()), core.rotate_signing_key(scheduled=True)
        assert [key.kid for key in sessions.get_jwks().keys][:2] == [new, old]
        assert kid(create()) == old
        lagging_clock.seconds_behind = 0
        first = create()
        assert kid(first) == new
        assert use(first.access).get_user_id() == "user-1"


@pytest.mark.parametrize("drop_old", [False, True])
def test_dropped_key_sends_the_browser_to_the_refresh_which_works(
    core: DevelopmentCore, drop_old: bool
) -> None:
    first = create()
    core.rotate_signing_key(drop_old=drop_old)
    if drop_old:
        with pytest.raises(TryRefreshTokenError):
            use(first.access)
    else:
        use(first.access)
    assert use(refresh(first.refresh).access).get_user_id() == "user-1"


def test_stopped_key_server_is_try_refresh_to_an_sdk_without_keys(core: DevelopmentCore) -> None:
    first = create()
    for refuse in (False, True):
        core.stop_key_server(refuse=refuse)
        with pytest.raises(TryRefreshTokenError):
            use(first.access)
        core.start_key_server()
    use(first.access)
    core.stop_key_server()
    assert use(first.access).get_user_id() == "user-1"
    reset_jwks_cache()  # type: ignore[no-untyped-call]
    with pytest.raises(TryRefreshTokenError):
        use(first.access)


def test_sessions_survive_a_restart_with_the_same_file(
    tmp_path: Path,
    key_factory: KeyFactory,
    sdk_environment: None,  # noqa: ARG001
) -> None:
    database = tmp_path / "core.db"
    with DevelopmentCore(database=database, key_factory=key_factory) as before:
        init_sdk(before.uri, [session.init()])
        first = create()
        port = int(before.uri.rpartition(":")[2])
    with DevelopmentCore(database=database, port=port, key_factory=key_factory):
        reset_jwks_cache()  # type: ignore[no-untyped-call]
        assert use(first.access).get_user_id() == "user-1"
        assert use(refresh(first.refresh).access).get_handle() == first.handle


# A Flask app with the SDK's own middleware, with requests like a browser's


@pytest.fixture
def client(core: DevelopmentCore) -> FlaskClient:  # noqa: ARG001
    app = Flask(__name__)
    Middleware(app)

    @app.get("/page")
    def page() -> dict[str, object]:
        found = get_session(request, check_database="check" in request.args)
        assert found is not None
        return {"user": found.get_user_id(), "payload": found.get_access_token_payload()}

    return app.test_client()


def sign_up(client: FlaskClient) -> str:
    answer = client.post(SIGN_UP, json={"formFields": FIELDS})
    assert answer.json is not None
    assert answer.json["status"] == "OK", answer.json
    return str(answer.json["user"]["id"])


def cookie(client: FlaskClient, name: str) -> str | None:
    found = client.get_cookie(name, path=REFRESH_PATH if name == "sRefreshToken" else "/")
    return None if found is None else found.value


def test_sign_up_sign_in_and_sign_out(client: FlaskClient, core: DevelopmentCore) -> None:
    user_id = sign_up(client)
    page = client.get("/page").json
    assert page is not None
    assert (page["user"], page["payload"]["iss"]) == (user_id, "http://localhost:5000/auth")
    other = client.application.test_client()
    again = other.post(SIGN_UP, json={"formFields": FIELDS}).json
    assert again is not None
    assert again["status"] == "FIELD_ERROR"
    wrong = [FIELDS[0], {"id": "password", "value": "wrong horse 1"}]
    refused = other.post("/auth/signin", json={"formFields": wrong})
    assert (refused.json, other.get("/page").status_code) == (
        {"status": "WRONG_CREDENTIALS_ERROR"},
        401,
    )
    other.post("/auth/signin", json={"formFields": FIELDS})
    assert (other.get("/page").status_code, len(core.list_sessions())) == (200, 2)
    assert other.post("/auth/signout").json == {"status": "OK"}
    assert (cookie(other, "sAccessToken"), len(core.list_sessions())) == (None, 1)


def test_theft_ends_the_session_for_thief_and_owner(
    client: FlaskClient, core: DevelopmentCore
) -> None:
    sign_up(client)
    stolen = cookie(client, "sRefreshToken")
    assert stolen is not None
    client.post(REFRESH_PATH)
    client.get("/page")
    thief = client.application.test_client()
    thief.set_cookie("sRefreshToken", stolen, path=REFRESH_PATH)
    answers: list[TestResponse] = []
    steps = calls(core, lambda: answers.append(thief.post(REFRESH_PATH)))
    assert (answers[0].status_code, answers[0].json) == (401, {"message": "token theft detected"})
    assert [path for _, path in steps] == ["/recipe/session/refresh", "/recipe/session/remove"]
    assert core.list_sessions() == []
    assert client.post(REFRESH_PATH).json == {"message": "unauthorised"}


@pytest.mark.parametrize("is_revoked", [False, True])
@rows("method, path", {"page": ("GET", "/page?check"), "refresh": ("POST", REFRESH_PATH)})
def test_revoked_session_is_401_and_cleared_wherever_the_core_is_asked(
    client: FlaskClient, core: DevelopmentCore, method: str, path: str, is_revoked: bool
) -> None:
    user_id = sign_up(client)
    if is_revoked:
        assert len(core.revoke_sessions(user_id)) == 1
    assert client.get("/page").status_code == 200
    answer = client.open(path, method=method)
    assert answer.status_code == (401 if is_revoked else 200)
    assert (cookie(client, "sAccessToken") is None) == is_revoked
    assert (answer.headers.get("front-token") == "remove") == is_revoked


def test_roles_and_permissions_are_in_the_next_sign_in(client: FlaskClient) -> None:
    user_id = sign_up(client)
    roles.create_new_role_or_add_permissions("admin", ["read"])
    roles.add_role_to_user("public", user_id, "admin")
    client.post("/auth/signin", json={"formFields": FIELDS})
    page = client.get("/page").json
    assert page is not None
    assert [page["payload"][claim]["v"] for claim in ("st-role", "st-perm")] == [
        ["admin"],
        ["read"],
    ]


def test_failing_refresh_endpoint_is_500_and_leaves_the_cookies(
    client: FlaskClient, core: DevelopmentCore
) -> None:
    sign_up(client)
    before = cookie(client, "sRefreshToken")
    core.stop_refresh_endpoint()
    assert (client.post(REFRESH_PATH).status_code, cookie(client, "sRefreshToken")) == (500, before)
    core.start_refresh_endpoint()
    assert client.post(REFRESH_PATH).status_code == 200
    assert cookie(client, "sRefreshToken") != before
