"""The response to a session that lacks a claim, wherever an app can require claims."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Blueprint, g, render_template
from flask.testing import FlaskClient
from supertokens_python.recipe.session.claims import PrimitiveClaim
from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.test import TestResponse

from flask_ssr_session import (
    InvalidClaimsError,
    MisuseError,
    SessionRequired,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.sansio.claims import ClaimFailure
from flask_ssr_session.testing import sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows

from .conftest import make_app, page_shown, sdk_values, with_templates

COLOUR: Any = PrimitiveClaim("colour", lambda *_: None)
COLOUR = COLOUR.validators.has_value("blue")
ADMIN = session_required(role="admin")
TOTP = session_required(factor="totp")
HIDDEN = "role-nobody-should-see"
REASON = {"message": "wrong value", "expectedToInclude": "admin", "actualValue": ["editor", HIDDEN]}
SDK_BODY = {
    "message": "invalid claim",
    "claimValidationErrors": [{"id": "st-role", "reason": REASON}],
}


def content() -> str:
    return f"for {g.session.user_id if g.session else 'everyone'}"


def with_view(view: Callable[..., Any], **settings: Any) -> FlaskClient:
    """Return a client of an app with this view at its root."""
    app = make_app(**settings)
    app.add_url_rule("/", "view", view, methods=["GET", "POST"])
    return app.test_client()


def told(client: FlaskClient, path: str = "/") -> Any:
    """Return the status for a script, or the ids of the claims that failed."""
    response = client.get(path, headers=FETCH)
    errors = (response.json or {}).get("claimValidationErrors") if response.is_json else None
    return [error["id"] for error in errors] if errors else response.status_code


def assert_is_kept_by_nobody(response: TestResponse) -> None:
    for name, value in {
        "Cache-Control": "no-store",
        "X-Robots-Tag": "noindex",
        "SSR-Session": "active; reason=claims",
        "Vary": "Cookie",
        "Set-Cookie": None,
        "HX-Refresh": None,
    }.items():
        assert response.headers.get(name) == value, name


@pytest.fixture
def editor() -> FlaskClient:
    """The client of an editor, before a view for admins."""
    client = with_view(ADMIN(content))
    sign_in(client, roles=["editor", HIDDEN])
    return client


# --- the response --------------------------------------------------------------------------------


REQUESTS: dict[str, Any] = {
    "a page": ("GET", PAGE, "page"),
    "a form": ("POST", PAGE, "page"),
    "the head of a page": ("HEAD", PAGE, ""),
    "a prefetched page": ("GET", PAGE | {"Sec-Purpose": "prefetch"}, "declined"),
    "fetch": ("GET", FETCH, "json"),
    "fetch that posts": ("POST", FETCH, "json"),
    "the browser SDK": ("GET", FETCH | {"rid": "anti-csrf", "st-auth-mode": "cookie"}, "json"),
    "htmx": ("POST", FETCH | {"HX-Request": "true"}, "json"),
}


@rows("method, headers, shown", REQUESTS)
def test_editor_is_refused_and_admin_is_let_in(
    editor: FlaskClient, method: str, headers: dict[str, str], shown: str
) -> None:
    response = editor.open("/", method=method, headers=headers)
    # Never 401, which the browser SDK would answer with refresh after refresh.
    assert response.status_code == (503 if shown == "declined" else 403)
    assert_is_kept_by_nobody(response)
    if shown == "json":
        assert response.json == SDK_BODY
    else:
        assert page_shown(response) == ""
        says_why = "You are signed in, but may not see this page." in response.text
        assert says_why == (shown == "page")
        for secret in ("st-role", "editor", HIDDEN, "expectedToInclude"):
            assert secret not in response.text
    sign_in(editor, roles=["editor", "admin"])
    response = editor.open("/", method=method, headers=headers)
    assert (response.status_code, response.text) == (200, "" if method == "HEAD" else "for user-1")
    assert response.headers["Cache-Control"] == "private"
    assert "SSR-Session" not in response.headers


def test_status_for_scripts_is_the_sdks() -> None:
    client = with_view(ADMIN(content), sdk=sdk_values(invalid_claim_status=499))
    sign_in(client)
    assert client.get("/", headers=FETCH).status_code == 499
    assert client.get("/", headers=PAGE).status_code == 403


UNWRITTEN: dict[str, Any] = {
    "the token never heard of roles": (ADMIN, "userroles", {}, True),
    "the user has no role": (ADMIN, "userroles", {"roles": []}, False),
    "the user has the role": (ADMIN, "userroles", {"roles": ["admin"]}, False),
    "the token never heard of factors": (TOTP, "multifactorauth", {}, True),
    "the user has no factor": (TOTP, "multifactorauth", {"mfa_complete": True}, False),
    "the user has the factor": (TOTP, "multifactorauth", {"factors": ["totp"]}, False),
}


@rows("decorator, recipe, claims, is_warned", UNWRITTEN)
@pytest.mark.parametrize("headers", [PAGE, FETCH], ids=["page", "script"])
def test_claim_that_no_recipe_writes_is_warned_of_once(
    headers: dict[str, str],
    decorator: Any,
    recipe: str,
    claims: dict[str, Any],
    is_warned: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = with_view(decorator(content))
    sign_in(client, **claims)
    for _ in range(2):
        client.get("/", headers=headers)
    assert caplog.text.count("claim_absent") == is_warned
    assert caplog.text.count(f"{recipe}.init()") == is_warned


# --- the app's own page --------------------------------------------------------------------------


@pytest.mark.parametrize("error", [InvalidClaimsError, Forbidden, 403, HTTPException, Exception])
def test_app_shows_a_page_of_its_own(editor: FlaskClient, error: Any) -> None:
    seen: list[ClaimFailure] = []

    def handler(caught: InvalidClaimsError) -> Any:
        seen.extend(caught.failures)
        return render_template("forbidden.html"), 200, {"Cache-Control": "public, max-age=3600"}

    app = with_templates(
        editor.application,
        forbidden="{{ 'held back' if needs_refresh else g.session.user_id }} {{ g.session.roles }}",
    )
    app.register_error_handler(error, handler)
    if error is InvalidClaimsError:  # it goes before the handler of its status
        app.register_error_handler(403, lambda _error: "any 403")
    response = editor.get("/", headers=PAGE)
    assert (response.status_code, response.text[:8]) == (200, "user-1 (")
    assert_is_kept_by_nobody(response)
    assert seen == [ClaimFailure("st-role", REASON)]
    # The response to a script is for the browser SDK, so it stays unchanged.
    assert editor.get("/", headers=FETCH).json == SDK_BODY


def test_failed_claim_leaves_no_claim_value_in_the_log(
    editor: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for headers in (PAGE, FETCH):
        editor.get("/", headers=headers)
    assert HIDDEN not in caplog.text
    error = InvalidClaimsError([ClaimFailure("st-role", REASON)])
    assert "the roles of the user do not meet the requirement" in str(error)
    assert HIDDEN not in f"{error} {error!r} {error.get_response().get_data(as_text=True)}"
    assert not isinstance(error, SessionRequired)


# --- everywhere a claim can be required ----------------------------------------------------------


def plain() -> str:
    g.ran = True
    return content()


def inside(**condition: Any) -> str:
    require_session(**condition)
    return plain()


READERS = session_required(permission="read")


@pytest.mark.parametrize("order", [1, -1])
def test_nested_decorators_ask_for_all_of_it(order: int) -> None:
    view: Callable[..., str] = plain
    for decorator in [ADMIN, READERS, session_required][::order]:
        view = decorator(view)
    client = with_view(view)
    for roles, permissions in (((), ()), (["admin"], ()), ((), ["read"])):
        sign_in(client, roles=roles, permissions=permissions)
        assert isinstance(told(client), list), (roles, permissions)
    sign_in(client, roles=["admin"], permissions=["read"])
    assert told(client) == 200


CONDITIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "role": ({"role": "admin"}, {"roles": ["admin"]}),
    "permission": ({"permission": "read"}, {"permissions": ["read"]}),
    "email_verified": ({"email_verified": True}, {"email_verified": True}),
    "validators": ({"validators": [COLOUR]}, {"colour": {"v": "blue", "t": 0}}),
}


@rows("condition, claims", CONDITIONS)
@pytest.mark.parametrize("where", ["decorator", "app", "blueprint", "nested blueprint", "view"])
def test_every_condition_holds_wherever_it_is_asked(
    where: str, condition: dict[str, Any], claims: dict[str, Any]
) -> None:
    app = make_app()
    outer, inner = Blueprint("outer", "outer"), Blueprint("inner", "inner")
    hooks: dict[str, Any] = {"app": app, "blueprint": inner, "nested blueprint": outer}
    view: Callable[..., Any] = plain
    if where in hooks:
        hooks[where].before_request(partial(require_session, **condition))
    elif where == "view":
        view = partial(inside, **condition)
    else:
        view = session_required(**condition)(plain)
    inner.add_url_rule("/", "view", view)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    client = app.test_client()
    assert told(client) == 401
    sign_in(client, "user-2")
    assert isinstance(told(client), list)
    assert client.get("/", headers=PAGE).status_code == 403
    sign_in(client, **claims)
    assert told(client) == 200


def test_whole_app_and_a_blueprint_ask_for_their_own_pages() -> None:
    app = make_app(login_url="/sign-in")
    app.before_request(partial(require_session, role="member"))
    staff = Blueprint("staff", "staff", url_prefix="/staff")
    staff.before_request(partial(require_session, role="admin"))
    staff.add_url_rule("/desk", "desk", READERS(content))
    staff.add_url_rule("/board", "board", session_optional(content))
    app.register_blueprint(staff)
    app.add_url_rule("/", "home", content)
    app.add_url_rule("/news", "news", session_optional(content))
    app.add_url_rule("/health", "health", session_exempt(lambda: "well"))
    app.add_url_rule("/sign-in", "sign_in", lambda: "sign in here")
    client = app.test_client()

    def answers() -> list[Any]:
        return [told(client, path) for path in ("/", "/news", "/nowhere", "/staff/board")]

    # A condition that needs a session closes optional pages, too.
    assert answers() == [401] * 4
    sign_in(client, roles=["editor"])
    assert answers() == [["st-role"]] * 4
    for path, text in (("/health", "well"), ("/sign-in", "sign in here")):
        assert client.get(path, headers=PAGE).text == text
    assert client.get("/refresh-session", headers=PAGE).status_code == 200
    sign_in(client, roles=["member"])
    assert answers() == [200, 200, 404, ["st-role"]]
    sign_in(client, roles=["member", "admin"])
    assert answers() == [200, 200, 404, 200]
    assert told(client, "/staff/desk") == ["st-perm"]
    sign_in(client, roles=["member", "admin"], permissions=["read"])
    assert told(client, "/staff/desk") == 200


def test_refusal_inside_a_view_is_an_exception_of_its_own() -> None:
    def catches() -> str:
        try:
            require_session(role="admin")
        except InvalidClaimsError as error:
            return f"without {error.failures[0].id}"
        return "with it"

    client = with_view(lambda: inside(role="admin"))
    app = client.application
    app.register_error_handler(HTTPException, lambda _error: ("handled", 418))
    app.add_url_rule("/catches", "catches", session_required(catches))
    sign_in(client)
    assert client.get("/", headers=FETCH).status_code == 403
    assert client.get("/", headers=PAGE).status_code == 418
    response = client.get("/catches", headers=PAGE)
    assert (response.status_code, response.text) == (200, "without st-role")
    assert_is_kept_by_nobody(response)


# --- misuse --------------------------------------------------------------------------------------


def test_condition_that_asks_nothing_is_refused_where_it_is_written() -> None:
    for message, condition in {
        "role= takes one name": {"role": ["admin"]},
        "validators= takes a list": {"validators": COLOUR},
        "check_revoked= takes True or False": {"check_revoked": "yes"},
    }.items():
        with pytest.raises(MisuseError, match=f"^{message}"):
            session_required(**condition)
        with make_app().test_request_context("/"), pytest.raises(MisuseError, match=message):
            require_session(**condition)


@pytest.mark.parametrize("condition", [{}, {"role": "admin"}, {"check_revoked": True}])
def test_asking_outside_of_a_request_says_how_to_register_it(condition: dict[str, Any]) -> None:
    message = r'Give before_request the function itself.* partial\(require_session, role="admin"\)'
    with pytest.raises(MisuseError, match=message):
        require_session(**condition)
    with make_app().app_context(), pytest.raises(MisuseError, match=message):
        require_session(**condition)


def test_validator_that_fails_lets_nobody_in_and_is_named_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing = SimpleNamespace(id="failing", validate=lambda payload, _: payload["missing"])
    client = with_view(session_required(validators=[failing])(plain))
    sign_in(client)
    for headers in (PAGE, FETCH):
        response = client.get("/", headers=headers)
        assert (response.status_code, "user-1" in response.text) == (403, False)
    (line,) = [line for line in caplog.messages if line.startswith("claim_unchecked")]
    assert "the claim validator 'failing'" in line
    client.application.debug = True
    with pytest.raises(MisuseError, match="'failing'"):
        client.get("/")
