"""What needs the controls of the development core: its clock, its keys, its outages, its log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from supertokens_python.framework.flask import Middleware
from supertokens_python.recipe import emailpassword, session, userroles
from supertokens_python.recipe.session.exceptions import TryRefreshTokenError
from supertokens_python.recipe.session.syncio import get_session
from werkzeug.test import TestResponse

from flask_ssr_session.dev_core import DevelopmentCore

from .sdk import EMAIL, FIELDS, init_sdk, sign_up
from .test_contract_sdk import Pair, create, refresh, use

REFRESH_PATH = "/auth/session/refresh"
JWKS = ("GET", "/.well-known/jwks.json")
VERIFY = ("POST", "/recipe/session/verify")


@pytest.fixture
def core(live_core: DevelopmentCore, sdk_environment: None) -> DevelopmentCore:  # noqa: ARG001
    transfer = session.init(anti_csrf="NONE", get_token_transfer_method=lambda *_: "cookie")
    init_sdk(live_core.uri, [emailpassword.init(), transfer, userroles.init()])
    return live_core


def calls(core: DevelopmentCore, step: Callable[[], object]) -> list[tuple[str, str]]:
    core.clear_request_log()
    step()
    return [(entry.method, entry.path) for entry in core.request_log()]


def test_sdk_asks_the_core_about_children_and_about_nothing_else(core: DevelopmentCore) -> None:
    first = create()
    child, sibling = refresh(first.refresh), refresh(first.refresh)

    assert calls(core, lambda: use(first.access)) == [JWKS]
    assert calls(core, lambda: use(first.access)) == []
    assert calls(core, lambda: use(child.access)) == [VERIFY]
    renewed = Pair(use(child.access))
    assert calls(core, lambda: use(renewed.access)) == []
    assert calls(core, lambda: use(sibling.access)) == [VERIFY]


@pytest.mark.parametrize("drop_old", [False, True])
def test_dropped_key_sends_the_browser_to_a_refresh(core: DevelopmentCore, drop_old: bool) -> None:
    first = create()
    core.rotate_signing_key(drop_old=drop_old)
    if drop_old:
        with pytest.raises(TryRefreshTokenError):
            use(first.access)
    else:
        use(first.access)
    assert use(refresh(first.refresh).access).get_user_id() == "user-1"


# A Flask app with the SDK's own middleware, with requests like a browser's


@pytest.fixture
def client(core: DevelopmentCore) -> FlaskClient:  # noqa: ARG001
    app = Flask(__name__)
    Middleware(app)

    @app.get("/page")
    def page() -> dict[str, object]:
        found: Any = get_session(request, check_database="check" in request.args)
        return {"user": found.get_user_id(), "payload": found.get_access_token_payload()}

    return app.test_client()


def cookie(client: FlaskClient, name: str) -> str | None:
    found = client.get_cookie(name, path=REFRESH_PATH if name == "sRefreshToken" else "/")
    return None if found is None else found.value


def test_sign_up_sign_in_and_sign_out(client: FlaskClient, core: DevelopmentCore) -> None:
    user_id = sign_up(client)
    page: Any = client.get("/page").json
    assert (page["user"], page["payload"]["iss"]) == (user_id, "http://localhost:5000/auth")
    other = client.application.test_client()
    again: Any = other.post("/auth/signup", json={"formFields": FIELDS}).json
    assert again["status"] == "FIELD_ERROR"
    wrong = [EMAIL, {"id": "password", "value": "wrong horse 1"}]
    refused = other.post("/auth/signin", json={"formFields": wrong})
    assert refused.json == {"status": "WRONG_CREDENTIALS_ERROR"}
    assert other.get("/page").status_code == 401
    other.post("/auth/signin", json={"formFields": FIELDS})
    assert (other.get("/page").status_code, len(core.list_sessions())) == (200, 2)
    assert other.post("/auth/signout").json == {"status": "OK"}
    assert (cookie(other, "sAccessToken"), len(core.list_sessions())) == (None, 1)


def test_theft_ends_the_session_for_both(client: FlaskClient, core: DevelopmentCore) -> None:
    sign_up(client)
    stolen: Any = cookie(client, "sRefreshToken")
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
