"""Sessions that lack a claim: of a view, of the SDK's global validators, or a second factor."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Blueprint, Flask, g, render_template
from supertokens_python.recipe.session.claims import PrimitiveClaim
from supertokens_python.recipe.session.interfaces import ClaimValidationResult
from werkzeug.exceptions import Forbidden, HTTPException
from werkzeug.test import TestResponse

import flask_ssr_session as ssr
from flask_ssr_session.sansio.claims import ClaimFailure
from flask_ssr_session.testing import sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows

from . import apps
from .visitors import ask, failed_claims, page_shown, signed_in

View = Callable[..., Any]

COLOUR: Any = PrimitiveClaim("colour", lambda *_: None)
COLOUR = COLOUR.validators.has_value("blue")
ADMIN = ssr.session_required(role="admin")
READERS = ssr.session_required(permission="read")
TOTP = ssr.session_required(factor="totp")
VERIFIED: dict[str, Any] = {"st-ev": {"v": True, "t": 1}}
UNVERIFIED: dict[str, Any] = {"st-ev": {"v": False, "t": 1}}
PENDING: dict[str, Any] = {"st-mfa": {"c": {"emailpassword": 1_700_000_000}, "v": False}}
COMPLETE: dict[str, Any] = {"st-mfa": {"c": {"emailpassword": 1, "totp": 2}, "v": True}}
HIDDEN = "role-nobody-should-see"
EDITOR: dict[str, Any] = {"roles": ["editor", HIDDEN]}
REASON = {"message": "wrong value", "expectedToInclude": "admin", "actualValue": ["editor", HIDDEN]}
PENDING_HEADER = "pending; reason=mfa_pending"


def content() -> str:
    return f"for {g.session.user_id if g.session else 'everyone'}"


def app_with(views: dict[str, View] | View, **settings: Any) -> Flask:
    """Return an app with these views, by path, or with one at its root."""
    app = apps.with_templates(apps.make_app(**settings), page=apps.TEMPLATE_GUARD)
    return apps.add_views(app, views if isinstance(views, dict) else {"/": views})


def sdk_body(claim: str, reason: Any) -> dict[str, Any]:
    """Return what the browser SDK is told of a failed claim."""
    errors = [{"id": claim, "reason": reason}]
    return {"message": "invalid claim", "claimValidationErrors": errors}


def told(app: Flask, path: str = "/", **claims: Any) -> Any:
    """Return the status for a script, or the ids of the claims that failed."""
    response = ask(app, path, FETCH, **claims)
    return failed_claims(response) or response.status_code


def assert_is_kept_by_nobody(response: TestResponse) -> None:
    for name, value in {
        "Cache-Control": "no-store",
        "X-Robots-Tag": "noindex",
        "SSR-Session": "active; reason=claims",
        "Vary": "Cookie",
        "Set-Cookie": None,
    }.items():
        assert response.headers.get(name) == value, name


@pytest.fixture
def admins_app() -> Flask:
    return app_with(ADMIN(content))


REQUESTS: dict[str, Any] = {
    "a page": (PAGE, "page"),
    "a prefetched page": (PAGE | {"Sec-Purpose": "prefetch"}, "declined"),
    "fetch": (FETCH, "json"),
}


@rows("headers, shown", REQUESTS)
def test_admin_alone_is_let_in(admins_app: Flask, headers: Any, shown: str) -> None:
    response = ask(admins_app, "/", headers, **EDITOR)
    # Never 401, which the browser SDK would answer with refresh after refresh.
    assert response.status_code == (503 if shown == "declined" else 403)
    assert_is_kept_by_nobody(response)
    if shown == "json":
        assert response.json == sdk_body("st-role", REASON)
    else:
        assert page_shown(response) == ""
        says_why = "You are signed in, but may not see this page." in response.text
        assert says_why == (shown == "page")
        for secret in ("st-role", "editor", HIDDEN, "expectedToInclude"):
            assert secret not in response.text
    response = ask(admins_app, "/", headers, roles=["editor", "admin"])
    assert (response.status_code, response.text) == (200, "for user-1")


def test_status_for_scripts_is_the_sdks() -> None:
    app = app_with(ADMIN(content), sdk=apps.sdk_values(invalid_claim_status=499))
    assert [ask(app, "/", headers).status_code for headers in (FETCH, PAGE)] == [499, 403]


UNWRITTEN: dict[str, Any] = {
    "the token never heard of roles": (ADMIN, "userroles", {}, True),
    "the user has no role": (ADMIN, "userroles", {"roles": []}, False),
    "the token never heard of factors": (TOTP, "multifactorauth", {}, True),
    "the user has no factor": (TOTP, "multifactorauth", {"mfa_complete": True}, False),
}


@rows("decorator, recipe, claims, is_warned", UNWRITTEN)
@rows("headers", {"page": PAGE, "script": FETCH})
def test_claim_that_no_recipe_writes_is_warned_of_once(
    headers: Any, decorator: Any, recipe: str, claims: Any, is_warned: bool, caplog: Any
) -> None:
    app = app_with(decorator(content))
    client = signed_in(app, **claims)
    for _ in range(2):
        client.get("/", headers=headers)
    for word in (" claim_absent: ", f"{recipe}.init()"):
        assert caplog.text.count(word) == is_warned


HANDLED = (ssr.InvalidClaimsError, Forbidden, 403, HTTPException, Exception)


@pytest.mark.parametrize("error", HANDLED)
def test_app_shows_a_page_of_its_own(admins_app: Flask, error: Any) -> None:
    seen: list[ClaimFailure] = []

    def handler(caught: ssr.InvalidClaimsError) -> Any:
        seen.extend(caught.failures)
        return render_template("forbidden.html"), 200, {"Cache-Control": "public, max-age=3600"}

    page = "{{ 'held back' if needs_refresh else g.session.user_id }} {{ g.session.roles }}"
    apps.with_templates(admins_app, forbidden=page).register_error_handler(error, handler)
    if error is ssr.InvalidClaimsError:  # it goes before the handler of its status
        admins_app.register_error_handler(403, lambda _error: "any 403")
    response = ask(admins_app, "/", **EDITOR)
    assert (response.status_code, response.text[:8]) == (200, "user-1 (")
    assert_is_kept_by_nobody(response)
    assert seen == [ClaimFailure("st-role", REASON)]
    # The response to a script is for the browser SDK, so it stays unchanged.
    assert ask(admins_app, "/", FETCH, **EDITOR).json == sdk_body("st-role", REASON)


def test_failed_claim_leaves_no_claim_value_in_the_log(admins_app: Flask, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    for headers in (PAGE, FETCH):
        ask(admins_app, "/", headers, **EDITOR)
    assert HIDDEN not in caplog.text
    error = ssr.InvalidClaimsError([ClaimFailure("st-role", REASON)])
    assert "the roles of the user do not meet the requirement" in str(error)
    assert HIDDEN not in f"{error} {error!r} {error.get_response().get_data(as_text=True)}"
    assert not isinstance(error, ssr.SessionRequired)


# --- everywhere a claim can be required ----------------------------------------------------------


@rows("decorators", {"inside": [ADMIN, READERS], "outside": [READERS, ADMIN]})
def test_nested_decorators_ask_for_all_of_it(decorators: list[Any]) -> None:
    inner, outer = decorators
    app = app_with(outer(inner(content)))
    for roles, permissions in (((), ()), (["admin"], ()), ((), ["read"])):
        assert isinstance(told(app, roles=roles, permissions=permissions), list), roles
    assert told(app, roles=["admin"], permissions=["read"]) == 200


CONDITIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "role": ({"role": "admin"}, {"roles": ["admin"]}),
    "permission": ({"permission": "read"}, {"permissions": ["read"]}),
    "email_verified": ({"email_verified": True}, {"email_verified": True}),
    "validators": ({"validators": [COLOUR]}, {"colour": {"v": "blue", "t": 0}}),
}


@rows("condition, claims", CONDITIONS)
@pytest.mark.parametrize("where", ["decorator", "app", "blueprint", "nested blueprint", "view"])
def test_condition_holds_wherever_it_is_asked(where: str, condition: Any, claims: Any) -> None:
    app = apps.make_app()
    outer, inner = Blueprint("outer", "outer"), Blueprint("inner", "inner")
    hooks: dict[str, Any] = {"app": app, "blueprint": inner, "nested blueprint": outer}
    views = {
        "decorator": ssr.session_required(**condition)(content),
        "view": apps.requiring(content, **condition),
    }
    if where in hooks:
        hooks[where].before_request(partial(ssr.require_session, **condition))
    inner.add_url_rule("/", "view", views.get(where, lambda: content()))
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    assert app.test_client().get("/", headers=FETCH).status_code == 401
    assert isinstance(told(app), list)
    assert ask(app, "/").status_code == 403
    assert told(app, **claims) == 200


def test_whole_app_and_a_blueprint_ask_for_their_own_pages() -> None:
    app = app_with({"/": lambda: content(), "/news": ssr.session_optional(content)})
    app.before_request(partial(ssr.require_session, role="member"))
    staff = Blueprint("staff", "staff", url_prefix="/staff")
    staff.before_request(partial(ssr.require_session, role="admin"))
    staff.add_url_rule("/desk", "desk", READERS(content))
    staff.add_url_rule("/board", "board", ssr.session_optional(content))
    app.register_blueprint(staff)
    app.add_url_rule("/health", "health", ssr.session_exempt(lambda: "well"))
    app.add_url_rule("/auth", "sign_in", lambda: "sign in here")

    def answers(*roles: str) -> list[Any]:
        return [told(app, path, roles=roles) for path in ("/", "/news", "/nowhere", "/staff/board")]

    # A condition that needs a session closes optional pages, too.
    assert answers("editor") == [["st-role"]] * 4
    for path, text in (("/health", "well"), ("/auth", "sign in here")):
        assert ask(app, path).text == text
    assert ask(app, "/refresh-session").status_code == 200
    assert answers("member") == [200, 200, 404, ["st-role"]]
    assert answers("member", "admin") == [200, 200, 404, 200]
    both: dict[str, Any] = {"roles": ["member", "admin"]}
    assert told(app, "/staff/desk", **both) == ["st-perm"]
    assert told(app, "/staff/desk", permissions=["read"], **both) == 200


def test_refusal_inside_a_view_is_an_exception_of_its_own() -> None:
    def catches() -> str:
        try:
            ssr.require_session(role="admin")
        except ssr.InvalidClaimsError as error:
            return f"without {error.failures[0].id}"
        return "with it"

    inside = apps.requiring(content, role="admin")
    app = app_with({"/": inside, "/catches": ssr.session_required(catches)})
    app.register_error_handler(HTTPException, lambda _error: ("handled", 418))
    assert [ask(app, "/", headers).status_code for headers in (FETCH, PAGE)] == [403, 418]
    response = ask(app, "/catches")
    assert (response.status_code, response.text) == (200, "without st-role")
    assert_is_kept_by_nobody(response)


# --- the global claim validators of the SDK ------------------------------------------------------


def with_global_claims(source: apps.FakeGlobalClaims | None, **settings: Any) -> Flask:
    """Return an app with these global claims, and a view for each way to require a session."""
    template = partial(render_template, "page.html")
    failing = SimpleNamespace(id="own", validate=fails)
    views: dict[str, View] = {
        "/required": ssr.session_required(content),
        "/template": template,
        "/both": ssr.session_required(template),
        "/inside": apps.requiring(content),
        "/all": ADMIN(content),
        "/own": ssr.session_required(validators=[failing])(content),
    }
    return app_with(views, sdk=apps.sdk_values(global_claims=source), **settings)


def fails(*_: Any) -> Any:
    raise LookupError("hunter2")


def test_setting_waives_them_and_no_condition_of_a_view() -> None:
    app = with_global_claims(apps.FakeGlobalClaims(apps.EMAIL), global_claims=False)
    for path in ("/required", "/template", "/inside"):
        assert ask(app, path, **UNVERIFIED).status_code == 200, path
    assert ask(app, "/all", **UNVERIFIED).status_code == 403


def test_template_says_why_and_error_handlers_hear_of_it() -> None:
    app = with_global_claims(apps.FakeGlobalClaims(apps.EMAIL))
    heard: list[str] = []

    def handler(error: ssr.InvalidClaimsError) -> Any:
        heard.extend(failure.id for failure in error.failures)
        return render_template("page.html"), 403

    app.register_error_handler(ssr.InvalidClaimsError, handler)
    answer = ask(app, "/template", **UNVERIFIED)
    assert (answer.status_code, page_shown(answer)) == (403, "repair")
    # On an error page, too, needs_refresh admits no session that the SDK would reject.
    assert page_shown(ask(app, "/required", **UNVERIFIED)) == "repair"
    # It has a cure, so the app's page is not asked; with a role it has none.
    assert heard == []
    assert page_shown(ask(app, "/all", **UNVERIFIED)) == "repair"
    assert heard == ["st-ev", "st-role"]
    # The requirements of the view do not apply to its error page.
    assert ask(app, "/all", **VERIFIED).text == "content"


BROKEN: dict[str, Any] = {
    "an override": (apps.FakeGlobalClaims(override=fails), "/", "the override of get_global"),
    "a validator": (apps.FakeGlobalClaims(SimpleNamespace(id="own", validate=fails)), "/", "'own'"),
    "a validator of the view": (apps.FakeGlobalClaims(), "/own", "'own'"),
}


@rows("source, own_path, name", BROKEN)
@pytest.mark.parametrize("path", ["/required", "/template", "/inside"])
def test_what_cannot_be_asked_is_a_failed_claim_and_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture, path: str, source: Any, own_path: str, name: str
) -> None:
    app, path = with_global_claims(source), path if own_path == "/" else own_path
    for headers in (PAGE, FETCH, PAGE, FETCH):
        assert ask(app, path, headers, **VERIFIED).status_code == 403
    (line,) = [line for line in caplog.messages if line.startswith("claim_unchecked")]
    assert name in line
    assert "hunter2" not in caplog.text
    app.debug = True
    with pytest.raises(ssr.MisuseError, match=name):
        ask(app, path, **VERIFIED)


def test_validators_are_asked_once_per_page_and_not_again_for_a_token_that_meets_them() -> None:
    asked: list[Any] = []

    def validate(payload: dict[str, Any], _context: Any) -> Any:
        asked.append(payload["sub"])
        return ClaimValidationResult(payload["sub"] == "user-1", {"message": "no"})

    validator = SimpleNamespace(id="count", validate=validate)
    source = apps.FakeGlobalClaims(validator)
    app = with_global_claims(source)
    app.before_request(ssr.require_session)
    client = app.test_client()
    assert client.get("/required", headers=PAGE).status_code == 302
    assert source.contexts == []
    for user, status in (("user-1", 200), ("user-2", 403), ("user-1", 200)):
        asked.clear()
        sign_in(client, user)
        assert [client.get("/both").status_code for _ in range(3)] == [status] * 3
        assert asked == [user] * (1 if status == 200 else 3)
    validator.max_age_in_sec = 5
    asked.clear()
    assert [ask(app, "/both").status_code for _ in range(2)] == [200, 200]
    assert asked == ["user-1"] * 2


# --- a sign-in that lacks a factor ---------------------------------------------------------------


SOURCES: dict[str, Any] = {
    "the recipe is there": (apps.FakeGlobalClaims(apps.MFA), {}, True),
    "the recipe is not there": (apps.FakeGlobalClaims(), {}, False),
    "there is no Session recipe": (None, {}, False),
    "the setting is off": (apps.FakeGlobalClaims(apps.MFA), {"global_claims": False}, False),
    "an override drops it": (apps.FakeGlobalClaims(apps.MFA, override=lambda *_: []), {}, False),
    "an override fails": (apps.FakeGlobalClaims(apps.MFA, override=fails), {}, True),
}


@rows("source, settings, is_pending", SOURCES)
def test_token_without_the_claim_is_pending(source: Any, settings: Any, is_pending: bool) -> None:
    app = with_global_claims(source, **settings)
    answer = ask(app, "/required", FETCH)
    assert answer.headers.get("SSR-Session") == (PENDING_HEADER if is_pending else None)
    assert answer.status_code == (403 if is_pending else 200)
    # With the claim, it says so itself.
    assert ask(app, "/required", FETCH, **PENDING).headers["SSR-Session"] == PENDING_HEADER


def test_claim_of_factors_is_waived_for_a_pending_session_alone() -> None:
    """A validator of the app's may ask more of that claim than the recipe does."""
    refusing = SimpleNamespace(id="st-mfa", validate=lambda *_: ClaimValidationResult(False))
    pending = ssr.session_required(allow_pending=True)(lambda: ssr.get_session_state().value)
    app = app_with(pending, sdk=apps.sdk_values(global_claims=apps.FakeGlobalClaims(refusing)))
    assert ask(app, "/", FETCH, **PENDING).text == "pending"
    assert told(app, **COMPLETE) == ["st-mfa"]


@rows("by_app, reason", {"of the core": (False, "revoked"), "of the app": (True, "revoked_by_app")})
def test_revocation_is_asked_of_a_pending_session(by_app: bool, reason: str) -> None:
    view = ssr.session_required(allow_pending=True, check_revoked=not by_app)(content)
    app = app_with(view, is_revoked=(lambda _session: True) if by_app else None)
    asked = apps.stub_revocation(app, lambda _handle: True)
    answer = ask(app, "/", FETCH, **PENDING)
    assert (answer.status_code, len(asked)) == ((403, 0) if by_app else (401, 1))
    assert answer.headers["SSR-Session"] == f"refresh; reason={reason}"


FACTOR_PAGES: dict[str, Any] = {
    "allow_pending": (ssr.session_required(allow_pending=True), True),
    "session_optional": (ssr.session_optional, False),
    "session_exempt": (ssr.session_exempt, False),
    "session_required": (ssr.session_required, True),
}


@rows("decorate, is_seen", FACTOR_PAGES)
@pytest.mark.parametrize("closed", [False, True])
def test_page_that_completes_sign_in_is_open(closed: bool, decorate: Any, is_seen: bool) -> None:
    app = apps.make_app(sdk=apps.sdk_values())
    app.add_url_rule("/auth/mfa", "mfa", decorate(lambda: f"factor page of {bool(g.session)}"))
    if closed:
        app.before_request(ssr.require_session)
    assert ask(app, "/auth/mfa", **PENDING).text == f"factor page of {is_seen}"


def test_condition_that_asks_nothing_is_refused_where_it_is_written() -> None:
    app = apps.make_app()
    for message, condition in (
        ("role= takes one name", {"role": ["admin"]}),
        ("check_revoked= takes True or False", {"check_revoked": "yes"}),
    ):
        with pytest.raises(ssr.MisuseError, match=f"^{message}"):
            ssr.session_required(**condition)
        with app.test_request_context("/"), pytest.raises(ssr.MisuseError, match=message):
            ssr.require_session(**condition)


@pytest.mark.parametrize("condition", [{}, {"role": "admin"}, {"check_revoked": True}])
def test_asking_outside_of_a_request_says_how_to_register_it(condition: dict[str, Any]) -> None:
    message = r'Give before_request the function itself.* partial\(require_session, role="admin"\)'
    with pytest.raises(ssr.MisuseError, match=message):
        ssr.require_session(**condition)
    with apps.make_app().app_context(), pytest.raises(ssr.MisuseError, match=message):
        ssr.require_session(**condition)
