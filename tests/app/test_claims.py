"""The response to a session that lacks a claim, wherever an app can require claims."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, current_app, g, make_response, render_template
from flask.testing import FlaskClient
from flask.views import MethodView, View
from supertokens_python.recipe.session.claims import PrimitiveClaim
from supertokens_python.recipe.userroles import PermissionClaim, UserRoleClaim
from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.test import TestResponse

from flask_ssr_session import (
    InvalidClaimsError,
    MisuseError,
    SessionRequired,
    app_state,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.sansio.claims import ClaimFailure
from flask_ssr_session.testing import expire, outage, sign_in
from tests.browser_requests import ACCEPT_PAGE, FETCH, PAGE

from .conftest import make_app, page_shown, sdk_values, with_templates

ROLE, PERMISSION = UserRoleClaim.validators, PermissionClaim.validators
COLOUR: PrimitiveClaim[str] = PrimitiveClaim("colour", lambda *_: None)

DOCUMENTS = {
    "page": PAGE,
    "plain http": {"Accept": ACCEPT_PAGE},
    "frame": PAGE | {"Sec-Fetch-Dest": "iframe"},
}
SCRIPTS = {
    "fetch": FETCH,
    "fetch of the browser SDK": FETCH | {"rid": "anti-csrf", "st-auth-mode": "cookie"},
    "htmx": FETCH | {"HX-Request": "true"},
    "JSON client": {"Accept": "application/json"},
    "no headers": {},
}


def with_admin(app: Flask) -> Flask:
    """Give *app* one view for admins."""

    @app.route("/admin", methods=["GET", "POST"])
    @session_required(role="admin")
    def admin() -> str:
        return f"admin {g.session.user_id}"

    return app


@pytest.fixture
def app() -> Flask:
    return with_admin(make_app())


@pytest.fixture
def editor(app: Flask) -> FlaskClient:
    """Return a client whose user is an editor, but not an admin."""
    client = app.test_client()
    sign_in(client, roles=["editor", "role-nobody-should-see"])
    return client


def assert_is_kept_by_nobody(response: TestResponse) -> None:
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Robots-Tag"] == "noindex"
    assert response.headers["SSR-Session"] == "active; reason=claims"
    assert response.headers["Vary"] == "Cookie"
    assert "Set-Cookie" not in response.headers
    assert "HX-Refresh" not in response.headers


# --- what is answered ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", DOCUMENTS)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_document_without_the_claim_is_403_with_a_plain_page(
    editor: FlaskClient, method: str, kind: str
) -> None:
    headers = DOCUMENTS[kind]
    response = editor.open("/admin", method=method, headers=headers)
    assert response.status_code == 403
    assert_is_kept_by_nobody(response)
    assert page_shown(response) == ""
    if method != "HEAD":
        assert "You are signed in, but may not see this page." in response.text
    for secret in ("st-role", "editor", "role-nobody-should-see", "expectedToInclude"):
        assert secret not in response.text


def test_prefetched_page_without_the_claim_is_declined(editor: FlaskClient) -> None:
    response = editor.get("/admin", headers=PAGE | {"Sec-Purpose": "prefetch"})
    assert (response.status_code, response.data) == (503, b"")
    assert_is_kept_by_nobody(response)


@pytest.mark.parametrize("kind", SCRIPTS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_script_without_the_claim_gets_the_json_of_the_sdk(
    editor: FlaskClient, method: str, kind: str
) -> None:
    """Never 401, which the browser SDK would answer with refresh after refresh."""
    response = editor.open("/admin", method=method, headers=SCRIPTS[kind])
    assert response.status_code == 403
    assert response.json == {
        "message": "invalid claim",
        "claimValidationErrors": [
            {
                "id": "st-role",
                "reason": {
                    "message": "wrong value",
                    "expectedToInclude": "admin",
                    "actualValue": ["editor", "role-nobody-should-see"],
                },
            }
        ],
    }
    assert_is_kept_by_nobody(response)


def test_who_has_the_claim_is_let_in(app: Flask) -> None:
    client = app.test_client()
    sign_in(client, roles=["editor", "admin"])
    for headers in (*DOCUMENTS.values(), *SCRIPTS.values()):
        response = client.get("/admin", headers=headers)
        assert (response.status_code, response.text) == (200, "admin user-1")
        assert response.headers["Cache-Control"] == "private"
        assert "SSR-Session" not in response.headers


def test_status_for_scripts_is_the_sdks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk_values(invalid_claim_status=499))
    client = with_admin(make_app()).test_client()
    sign_in(client)
    assert client.get("/admin", headers=FETCH).status_code == 499
    assert client.get("/admin", headers=PAGE).status_code == 403


def test_strangers_and_expired_sessions_are_asked_for_a_session_first(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/admin", headers=PAGE).location == "/auth?redirectToPath=/admin"
    assert client.get("/admin", headers=FETCH).status_code == 401
    sign_in(client)
    expire(client)
    assert page_shown(client.get("/admin", headers=PAGE)) == "refresh"
    assert client.get("/admin", headers=FETCH).json == {"message": "try refresh token"}
    sign_in(client)
    with outage(app):
        assert client.get("/admin", headers=PAGE).status_code == 503
    assert client.get("/admin", headers=PAGE).status_code == 403


def test_every_failed_condition_is_told(app: Flask) -> None:
    asked = session_required(
        role="admin",
        permission="read",
        email_verified=True,
        validators=[COLOUR.validators.has_value("blue"), ROLE.includes("editor")],
    )
    app.add_url_rule("/all", "all", asked(lambda: "all of it"))
    client = app.test_client()
    sign_in(client, roles=["editor"], email_verified=False)
    told = client.get("/all", headers=FETCH).json
    assert told is not None
    assert [error["id"] for error in told["claimValidationErrors"]] == [
        *("st-role", "st-perm", "st-ev", "colour"),
    ]
    sign_in(
        client,
        roles=["admin", "editor"],
        permissions=["read"],
        email_verified=True,
        colour={"v": "blue", "t": 0},
    )
    assert client.get("/all", headers=FETCH).text == "all of it"


@pytest.mark.parametrize(
    ("claims", "is_warned"),
    [({}, True), ({"roles": []}, False), ({"roles": ["admin"]}, False)],
    ids=["never heard of roles", "has no role", "has the role"],
)
@pytest.mark.parametrize("headers", [PAGE, FETCH], ids=["page", "script"])
def test_claim_that_no_recipe_writes_is_warned_of_once(
    app: Flask,
    headers: dict[str, str],
    claims: dict[str, Any],
    is_warned: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = app.test_client()
    sign_in(client, **claims)
    for _ in range(2):
        client.get("/admin", headers=headers)
    assert caplog.text.count("claim_absent") == is_warned
    assert caplog.text.count("userroles.init()") == is_warned


def test_script_is_told_what_the_validators_of_the_sdk_say(app: Flask) -> None:
    validators = [
        ROLE.includes_any(["admin", "owner"]),
        PERMISSION.excludes("read", id_="no readers"),
        COLOUR.validators.has_value("blue"),
    ]
    app.add_url_rule("/any", "any", session_required(validators=validators)(lambda: "any"))
    client = app.test_client()
    sign_in(client, roles=["editor"], permissions=["read"])
    payload = {
        "st-role": {"v": ["editor"], "t": time.time() * 1000},
        "st-perm": {"v": ["read"], "t": time.time() * 1000},
    }
    theirs = [asyncio.run(validator.validate(payload, {})) for validator in validators]
    assert client.get("/any", headers=FETCH).json == {
        "message": "invalid claim",
        "claimValidationErrors": [
            {"id": validator.id, "reason": result.reason}
            for validator, result in zip(validators, theirs, strict=True)
        ],
    }


# --- the app's own page --------------------------------------------------------------------------


@pytest.mark.parametrize("error", [InvalidClaimsError, Forbidden, 403, HTTPException, Exception])
def test_app_shows_a_page_of_its_own(app: Flask, editor: FlaskClient, error: Any) -> None:
    seen: list[tuple[ClaimFailure, ...]] = []

    def handler(caught: InvalidClaimsError) -> tuple[str, int]:
        seen.append(caught.failures)
        return f"for admins only, {g.session.user_id}", 403

    app.register_error_handler(error, handler)
    response = editor.get("/admin", headers=PAGE)
    assert (response.status_code, response.text) == (403, "for admins only, user-1")
    assert_is_kept_by_nobody(response)
    ((failure,),) = seen
    assert failure == ClaimFailure(
        "st-role",
        {
            "message": "wrong value",
            "expectedToInclude": "admin",
            "actualValue": ["editor", "role-nobody-should-see"],
        },
    )
    # The response to a script is for the browser SDK, so it stays unchanged.
    assert (editor.get("/admin", headers=FETCH).json or {})["message"] == "invalid claim"


def test_handler_of_the_named_error_goes_before_that_of_its_status(
    app: Flask, editor: FlaskClient
) -> None:
    app.register_error_handler(403, lambda _error: ("any 403", 403))
    app.register_error_handler(InvalidClaimsError, lambda _error: ("the claim", 403))
    app.add_url_rule("/other", "other", lambda: _abort())
    assert editor.get("/admin", headers=PAGE).text == "the claim"
    assert editor.get("/other", headers=PAGE).text == "any 403"


def _abort() -> str:
    raise Forbidden


def test_page_of_the_app_is_kept_by_nobody_whatever_its_handler_says(
    app: Flask, editor: FlaskClient
) -> None:
    def handler(_error: InvalidClaimsError) -> Response:
        response = make_response("please ask for it", 200)
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response

    app.register_error_handler(InvalidClaimsError, handler)
    response = editor.get("/admin", headers=PAGE)
    assert response.status_code == 200
    assert_is_kept_by_nobody(response)


def test_error_page_knows_the_visitor(app: Flask, editor: FlaskClient) -> None:
    with_templates(
        app,
        forbidden=(
            "{% if needs_refresh %}held back{% else %}{{ g.session.user_id }}"
            "{% if 'admin' in g.session.roles %} admin{% else %} no admin{% endif %}{% endif %}"
        ),
    )
    app.register_error_handler(403, lambda _error: (render_template("forbidden.html"), 403))
    assert editor.get("/admin", headers=PAGE).text == "user-1 no admin"


def test_failed_claim_leaves_no_claim_value_in_the_log(
    editor: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for headers in (PAGE, FETCH):
        editor.get("/admin", headers=headers)
    assert "role-nobody-should-see" not in caplog.text
    error = InvalidClaimsError([ClaimFailure("st-role", {"actualValue": ["hidden"]})])
    assert "hidden" not in f"{error} {error!r} {error.get_response().get_data(as_text=True)}"


# --- everywhere a claim can be required -----------------------------------------------------------


def passing_on(view: Callable[..., Any]) -> Callable[..., Any]:
    """Stand for any decorator of the app's."""

    @functools.wraps(view)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return current_app.ensure_sync(view)(*args, **kwargs)

    return inner


def plain() -> str:
    return "for admins"


def asking_inside(**condition: Any) -> str:
    require_session(**condition)
    return plain()


async def coroutine() -> str:
    return "for admins"


class Page(View):
    decorators = [session_required(role="admin")]  # noqa: RUF012 - as Flask's documentation has it

    def dispatch_request(self) -> str:
        return plain()


class Methods(MethodView):
    decorators = [passing_on, session_required(role="admin"), passing_on]  # noqa: RUF012

    def get(self) -> str:
        return plain()

    async def post(self) -> str:
        return await coroutine()


class OneMethod(MethodView):
    def get(self) -> str:
        return "for everyone"

    @session_required(role="admin")
    def post(self) -> str:
        return plain()


ADMIN = session_required(role="admin")
VIEWS: dict[str, Callable[..., Any]] = {
    "plain": ADMIN(plain),
    "async": ADMIN(coroutine),
    "under another": passing_on(ADMIN(plain)),
    "over another": ADMIN(passing_on(plain)),
    "over another that hides async": ADMIN(passing_on(coroutine)),
    "twice": ADMIN(ADMIN(plain)),
    "inside of a bare one": session_required(ADMIN(plain)),
    "around a bare one": ADMIN(session_required(plain)),
    "inside of an optional one": session_optional(ADMIN(plain)),
    "around an optional one": ADMIN(session_optional(plain)),
    "inside of an ignored one": session_exempt(ADMIN(plain)),
    "around an ignored one": ADMIN(session_exempt(plain)),
    "beside another condition": session_required(permission="read")(ADMIN(plain)),
    "class": Page.as_view("page"),
    "methods": Methods.as_view("methods"),
}


@pytest.mark.parametrize("name", VIEWS)
def test_condition_holds_on_views_of_every_kind(name: str) -> None:
    app = make_app()
    app.add_url_rule("/", "view", VIEWS[name])
    client = app.test_client()
    assert client.get("/", headers=FETCH).status_code == 401
    sign_in(client, roles=["editor"], permissions=["read"])
    for headers in (FETCH, PAGE):
        response = client.get("/", headers=headers)
        assert response.status_code == 403
        assert_is_kept_by_nobody(response)
    sign_in(client, roles=["admin"], permissions=["read"])
    for headers in (FETCH, PAGE):
        assert client.get("/", headers=headers).text == "for admins"


def test_condition_on_one_method_of_a_class_leaves_the_others_alone() -> None:
    app = make_app()
    app.add_url_rule("/", view_func=OneMethod.as_view("one"))
    client = app.test_client()
    assert client.get("/", headers=FETCH).text == "for everyone"
    assert client.post("/", headers=FETCH).status_code == 401
    sign_in(client)
    assert client.post("/", headers=FETCH).status_code == 403
    sign_in(client, roles=["admin"])
    assert client.post("/", headers=FETCH).text == "for admins"


@pytest.mark.parametrize("order", [1, -1])
def test_nested_decorators_ask_for_all_of_it(order: int) -> None:
    app = make_app()
    view: Callable[..., str] = plain
    for decorator in [ADMIN, session_required(permission="read"), session_required][::order]:
        view = decorator(view)
    app.add_url_rule("/", "view", view)
    client = app.test_client()
    for claims, status in (
        ({}, 403),
        ({"roles": ["admin"]}, 403),
        ({"permissions": ["read"]}, 403),
        ({"roles": ["admin"], "permissions": ["read"]}, 200),
    ):
        sign_in(client, **claims)  # type: ignore[arg-type]
        assert client.get("/", headers=FETCH).status_code == status


def test_view_does_not_run_where_a_claim_failed(app: Flask, editor: FlaskClient) -> None:
    ran: list[str] = []

    @app.route("/runs")
    @session_required(role="admin")
    def runs() -> str:
        ran.append("view")
        return "ran"

    editor.get("/runs", headers=PAGE)
    editor.get("/runs", headers=FETCH)
    assert ran == []
    sign_in(editor, roles=["admin"])
    assert editor.get("/runs", headers=FETCH).text == "ran"
    assert ran == ["view"]


def test_condition_above_the_route_is_an_error_that_names_the_endpoint() -> None:
    app = make_app()
    session_required(role="admin")(app.route("/reports")(lambda: "secret"))
    with pytest.raises(MisuseError, match="runs without the session decorator"):
        app.test_client().get("/reports")


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"role": ["admin"]}, "role= takes one name"),
        ({"role": ""}, "role= takes one name"),
        ({"permission": 3}, "permission= takes one name"),
        ({"email_verified": "yes"}, "email_verified= takes True or False"),
        ({"validators": ROLE.includes("admin")}, "validators= takes a list"),
    ],
)
def test_condition_that_asks_nothing_is_refused_where_it_is_written(
    app: Flask, condition: dict[str, Any], message: str
) -> None:
    with pytest.raises(MisuseError, match=message):
        session_required(**condition)
    with app.test_request_context("/"), pytest.raises(MisuseError, match=message):
        require_session(**condition)


@pytest.mark.parametrize("validator", ["raises", "waits"])
def test_validator_that_fails_lets_nobody_in_and_is_named_once(
    validator: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing:
        id = "failing"

        async def validate(self, payload: dict[str, Any], _context: dict[str, Any]) -> Any:
            if validator == "waits":
                await asyncio.sleep(0)
            return payload["missing"]

    app = make_app()
    app.add_url_rule("/", "view", session_required(validators=[Failing()])(plain))
    app.add_url_rule("/async", "async", session_required(validators=[Failing()])(coroutine))
    client = app.test_client()
    sign_in(client)
    for path in ("/", "/async"):
        for headers in (PAGE, FETCH):
            response = client.get(path, headers=headers)
            assert response.status_code == 403
            assert "for admins" not in response.text
    lines = [line for line in caplog.messages if line.startswith("claim_unchecked")]
    assert len(lines) == 1
    assert "the claim validator 'failing'" in lines[0]
    app.debug = True
    with pytest.raises(MisuseError, match="'failing'"):
        client.get("/")


# --- require_session -----------------------------------------------------------------------------


def test_whole_app_asks_for_a_condition() -> None:
    app = make_app(login_url="/sign-in")
    app.before_request(partial(require_session, role="admin"))
    app.add_url_rule("/", "home", lambda: plain())
    app.add_url_rule("/news", "news", session_optional(lambda: plain()))
    app.add_url_rule("/health", "health", session_exempt(lambda: "well"))
    app.add_url_rule("/sign-in", "sign_in", lambda: "sign in here")
    client = app.test_client()
    # A condition that needs a session closes optional pages, too.
    for path in ("/", "/news", "/nowhere"):
        assert client.get(path, headers=FETCH).status_code == 401
    sign_in(client, roles=["editor"])
    for path in ("/", "/news", "/nowhere"):
        assert client.get(path, headers=FETCH).status_code == 403
        assert client.get(path, headers=PAGE).status_code == 403
    for path, text in (("/health", "well"), ("/sign-in", "sign in here")):
        assert client.get(path, headers=PAGE).text == text
    assert client.get("/refresh-session", headers=PAGE).status_code == 200
    sign_in(client, roles=["admin"])
    for path in ("/", "/news"):
        assert client.get(path, headers=PAGE).text == "for admins"
    assert client.get("/nowhere", headers=PAGE).status_code == 404


@pytest.mark.parametrize(
    ("condition", "claims"),
    [
        ({"role": "admin"}, {"roles": ["admin"]}),
        ({"permission": "read"}, {"permissions": ["read"]}),
        ({"email_verified": True}, {"email_verified": True}),
        ({"validators": [COLOUR.validators.has_value("blue")]}, {"colour": {"v": "blue", "t": 0}}),
    ],
    ids=["role", "permission", "email_verified", "validators"],
)
@pytest.mark.parametrize("where", ["decorator", "app", "blueprint", "nested blueprint", "view"])
def test_every_condition_holds_wherever_it_is_asked(
    where: str, condition: dict[str, Any], claims: dict[str, Any]
) -> None:
    app = make_app()
    if where == "decorator":
        app.add_url_rule("/", "view", session_required(**condition)(plain))
    elif where == "view":
        app.add_url_rule("/", "view", lambda: asking_inside(**condition))
    else:
        outer, inner = Blueprint("outer", "outer"), Blueprint("inner", "inner")
        asking: Any = {"app": app, "blueprint": inner, "nested blueprint": outer}[where]
        asking.before_request(partial(require_session, **condition))
        inner.add_url_rule("/", "view", lambda: plain())
        outer.register_blueprint(inner)
        app.register_blueprint(outer)
    client = app.test_client()
    assert client.get("/", headers=FETCH).status_code == 401
    sign_in(client, "user-2")
    assert client.get("/", headers=FETCH).status_code == 403
    assert client.get("/", headers=PAGE).status_code == 403
    sign_in(client, **claims)
    assert client.get("/", headers=FETCH).text == "for admins"


def test_blueprint_asks_for_its_own_pages_only() -> None:
    app = make_app()
    staff = Blueprint("staff", "staff", url_prefix="/staff")
    staff.before_request(partial(require_session, role="admin"))
    staff.add_url_rule("/desk", "desk", lambda: plain())
    staff.add_url_rule("/board", "board", session_optional(lambda: "board"))
    app.register_blueprint(staff)
    app.add_url_rule("/open", "open", lambda: "open")
    app.register_error_handler(403, lambda _error: ("no", 403))
    client = app.test_client()
    sign_in(client, roles=["editor"])
    assert client.get("/open", headers=PAGE).text == "open"
    assert client.get("/staff/desk", headers=PAGE).text == "no"
    assert client.get("/staff/board", headers=PAGE).text == "no"
    sign_in(client, roles=["admin"])
    assert client.get("/staff/desk", headers=PAGE).text == "for admins"
    assert client.get("/staff/board", headers=PAGE).text == "board"


def test_conditions_of_blueprint_and_view_add_up() -> None:
    app = make_app()
    app.before_request(require_session)
    staff = Blueprint("staff", "staff")
    staff.before_request(partial(require_session, role="admin"))
    staff.add_url_rule("/", "view", session_required(permission="read")(plain))
    app.register_blueprint(staff)
    client = app.test_client()
    for claims, failed in (
        ({}, "st-role"),
        ({"permissions": ["read"]}, "st-role"),
        ({"roles": ["admin"]}, "st-perm"),
    ):
        sign_in(client, **claims)  # type: ignore[arg-type]
        told = client.get("/", headers=FETCH).json or {}
        assert [error["id"] for error in told["claimValidationErrors"]] == [failed]
    sign_in(client, roles=["admin"], permissions=["read"])
    assert client.get("/", headers=FETCH).text == "for admins"


@pytest.mark.parametrize("is_async", [False, True])
def test_condition_inside_a_view_stops_it(is_async: bool) -> None:
    ran: list[str] = []

    def view() -> str:
        ran.append("before")
        require_session(role="admin")
        ran.append("after")
        return plain()

    async def async_view() -> str:
        return view()

    app = make_app()
    # Open without a session until the view itself requires one.
    app.add_url_rule("/", "view", session_optional(async_view if is_async else view))
    client = app.test_client()
    assert client.get("/", headers=FETCH).status_code == 401
    sign_in(client)
    assert client.get("/", headers=FETCH).status_code == 403
    assert client.get("/", headers=PAGE).status_code == 403
    assert ran == ["before"] * 3
    sign_in(client, roles=["admin"])
    assert client.get("/", headers=PAGE).text == "for admins"


def test_refusal_inside_a_view_is_json_in_an_exception_for_scripts(app: Flask) -> None:
    app.register_error_handler(HTTPException, lambda _error: ("handled", 418))
    app.add_url_rule("/inside", "inside", lambda: asking_inside(role="admin"))
    client = app.test_client()
    sign_in(client)
    assert client.get("/inside", headers=FETCH).status_code == 403
    assert client.get("/inside", headers=PAGE).status_code == 418
    assert not issubclass(InvalidClaimsError, SessionRequired)


def test_answer_that_a_view_catches_stays_out_of_caches(app: Flask) -> None:
    @app.route("/catches")
    @session_required
    def catches() -> str:
        try:
            require_session(role="admin")
        except InvalidClaimsError as error:
            return f"without {error.failures[0].id}"
        return plain()

    client = app.test_client()
    sign_in(client)
    response = client.get("/catches", headers=PAGE)
    assert (response.status_code, response.text) == (200, "without st-role")
    assert_is_kept_by_nobody(response)


@pytest.mark.parametrize("condition", [{}, {"role": "admin"}, {"check_revoked": True}])
def test_asking_outside_of_a_request_says_how_to_register_it(
    app: Flask, condition: dict[str, Any]
) -> None:
    message = r'Give before_request the function itself.* partial\(require_session, role="admin"\)'
    with pytest.raises(MisuseError, match=message):
        app.before_request(require_session(**condition))  # type: ignore[func-returns-value, type-var]
    with app.app_context(), pytest.raises(MisuseError, match=message):
        require_session(**condition)


def test_one_tenant_per_host_can_be_asked_for_in_a_hook() -> None:
    app = make_app()
    app.before_request(require_session)

    @app.before_request
    def same_tenant() -> None:
        if g.session.tenant_id != "tenant-1":
            raise Forbidden

    app.add_url_rule("/", "home", lambda: plain())
    client = app.test_client()
    sign_in(client, tenant_id="tenant-2")
    assert client.get("/", headers=PAGE).status_code == 403
    sign_in(client, tenant_id="tenant-1")
    assert client.get("/", headers=PAGE).text == "for admins"
