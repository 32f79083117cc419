"""Requests of a user who has not completed all factors of sign-in, and their responses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, g, render_template
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_ssr_session import (
    InvalidClaimsError,
    MisuseError,
    SessionState,
    app_state,
    get_session_state,
    get_ssr_session,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.testing import sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tokens import make_token

from .conftest import (
    MFA,
    TEMPLATE_GUARD,
    FakeGlobalClaims,
    cookies,
    make_app,
    page_shown,
    sdk_values,
    stub_revocation,
    with_templates,
    with_views,
)

PENDING: dict[str, Any] = {"st-mfa": {"c": {"emailpassword": 1_700_000_000}, "v": False}}
COMPLETE: dict[str, Any] = {
    "st-mfa": {"c": {"emailpassword": 1_700_000_000, "totp": 1_700_000_009}, "v": True}
}


HEADER = "pending; reason=mfa_pending"
SDK_BODY = {
    "message": "invalid claim",
    "claimValidationErrors": [
        {"id": "st-mfa", "reason": {"message": "MFA requirement for auth is not satisfied"}}
    ],
}
HTMX = FETCH | {"HX-Request": "true", "HX-Current-URL": "http://localhost/account?tab=2"}


def ask(app: Flask, path: str, headers: dict[str, str] = PAGE, **claims: Any) -> TestResponse:
    """Return what a visitor with a token of these claims gets."""
    method = headers.get("-method", "GET")
    sent = {name: value for name, value in headers.items() if name != "-method"}
    client = app.test_client(use_cookies=False)
    return client.open(path, method=method, headers=sent | cookies(make_token(**claims)))


POST = PAGE | {"-method": "POST", "Sec-Fetch-Site": "same-origin"}


# --- which tokens are pending --------------------------------------------------------------------


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param({"c": {"emailpassword": 1}, "v": False}, id="second factor is due"),
        pytest.param({"c": {"emailpassword": 1}}, id="no v"),
        pytest.param({"c": {}, "v": None}, id="v is null"),
        pytest.param({"c": {}, "v": 1}, id="v is a number"),
        pytest.param({"c": {}, "v": "true"}, id="v is text"),
        pytest.param({}, id="empty object"),
        pytest.param(None, id="null"),
        pytest.param(True, id="not an object"),
        pytest.param([True], id="a list"),
        pytest.param("v", id="text"),
    ],
)
@pytest.mark.parametrize("global_claims", [True, False])
def test_whatever_is_not_a_plain_yes_is_pending(claim: Any, global_claims: bool) -> None:
    app = with_views(make_app(global_claims=global_claims))
    answer = ask(app, "/account", FETCH, **{"st-mfa": claim})
    assert (answer.status_code, answer.headers["SSR-Session"]) == (403, HEADER)


@pytest.mark.parametrize("claims", [COMPLETE, {}], ids=["complete", "no MFA anywhere"])
def test_complete_session_is_active(claims: dict[str, Any]) -> None:
    assert ask(with_views(make_app()), "/account", **claims).text == "account of user-1"


def drops_mfa(_session: Any, validators: list[Any], _context: Any) -> list[Any]:
    return [validator for validator in validators if validator.id != "st-mfa"]


def fails(*_: Any) -> list[Any]:
    raise LookupError("a defect of the app's")


@pytest.mark.parametrize(
    ("source", "settings", "state_"),
    [
        pytest.param(FakeGlobalClaims(MFA), {}, "pending", id="the recipe is there"),
        pytest.param(FakeGlobalClaims(), {}, None, id="the recipe is not there"),
        pytest.param(None, {}, None, id="no Session recipe"),
        pytest.param(
            FakeGlobalClaims(MFA), {"global_claims": False}, None, id="switched off by the setting"
        ),
        pytest.param(
            FakeGlobalClaims(MFA, override=drops_mfa), {}, None, id="dropped by an override"
        ),
        pytest.param(
            FakeGlobalClaims(MFA, override=fails), {}, "pending", id="an override that fails"
        ),
    ],
)
def test_token_without_the_claim_is_pending_where_the_recipe_asks_for_it(
    monkeypatch: pytest.MonkeyPatch,
    source: FakeGlobalClaims | None,
    settings: dict[str, Any],
    state_: str | None,
) -> None:
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk_values(global_claims=source))
    app = with_views(make_app(**settings))
    answer = ask(app, "/account", FETCH)
    assert answer.headers.get("SSR-Session", "").partition(";")[0] == (state_ or "")
    assert answer.status_code == (403 if state_ else 200)


# --- what is answered ----------------------------------------------------------------------------


@pytest.mark.usefixtures("sdk")
@pytest.mark.parametrize("path", ["/account?a=b", "/page?a=b"])
@pytest.mark.parametrize(
    ("headers", "status", "page", "location"),
    [
        pytest.param(PAGE, 302, "", "/auth/mfa?redirectToPath=/account%3Fa%3Db", id="document"),
        pytest.param(POST, 403, "factor", None, id="form"),
        pytest.param(PAGE | {"Sec-Purpose": "prefetch"}, 503, "", None, id="prefetch"),
        pytest.param(FETCH, 403, "json", None, id="script"),
        pytest.param(FETCH | {"-method": "POST"}, 403, "json", None, id="script that posts"),
        pytest.param(HTMX, 403, "json", None, id="htmx"),
    ],
)
def test_pending_visitor_is_led_on(
    headers: dict[str, str], status: int, page: str, location: str | None, path: str
) -> None:
    answer = ask(with_views(make_app()), path, headers, **PENDING)
    if path.startswith("/page") and status == 302:  # a template decides when the status is sent
        status, page, location = 403, "factor", None
        target = "/auth/mfa?redirectToPath=/page%3Fa%3Db"
        assert f'<meta http-equiv="refresh" content="0;url={target}">' in answer.text
    assert (answer.status_code, answer.headers.get("Location")) == (status, location)
    assert answer.headers["SSR-Session"] == HEADER
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers
    assert "account of" not in answer.text
    assert "content" not in answer.text.replace('content="', "")
    if page == "json":
        assert answer.json == SDK_BODY
    else:
        assert page_shown(answer) == page
    if headers is POST:
        assert "Nothing was sent" in answer.text
        assert "http-equiv" not in answer.text
    if headers is HTMX:
        assert answer.headers["HX-Redirect"] == ("/auth/mfa?redirectToPath=/account%3Ftab%3D2")


@pytest.mark.parametrize("headers", [PAGE, POST], ids=["document", "form"])
def test_without_an_sdk_nobody_knows_where_to_lead_to(headers: dict[str, str]) -> None:
    app = with_views(make_app())
    app.register_error_handler(
        InvalidClaimsError, lambda error: (f"no {error.failures[0].id}", error.code)
    )
    answer = ask(app, "/account", headers, **PENDING)
    assert (answer.status_code, answer.text) == (403, "no st-mfa")
    assert answer.headers["SSR-Session"] == HEADER
    assert answer.headers["Cache-Control"] == "no-store"
    assert ask(app, "/account", FETCH, **PENDING).json == SDK_BODY
    template = ask(app, "/page", PAGE, **PENDING)
    assert (template.status_code, page_shown(template)) == (403, "factor")
    assert "/auth/mfa" not in template.text
    assert "http-equiv" not in template.text


@pytest.mark.usefixtures("sdk")
@pytest.mark.parametrize(
    "wanted", ["/auth/mfa", "/auth/mfa/totp/../", "/auth", "/refresh-session", "//evil.example"]
)
def test_way_back_is_validated(wanted: str) -> None:
    app = with_views(make_app())
    app.add_url_rule("/back", "back", session_required(lambda: "seen"))
    answer = ask(app, "/back", HTMX | {"HX-Current-URL": wanted}, **PENDING)
    assert answer.headers["HX-Redirect"] == "/auth/mfa?redirectToPath=/"


@pytest.mark.usefixtures("sdk")
def test_post_of_another_site_is_refused_first() -> None:
    answer = ask(
        with_views(make_app()), "/account", POST | {"Sec-Fetch-Site": "cross-site"}, **PENDING
    )
    assert answer.headers["SSR-Session"] == "refused; reason=cross_site"


# --- who asks ------------------------------------------------------------------------------------


def open_views(app: Flask) -> Flask:
    """Give *app* a view for each way to require a session, which returns the user that it sees."""
    with_templates(
        app, page=TEMPLATE_GUARD, who="{{ g.session.user_id if g.session else session_state }}"
    )

    def who() -> str:
        session = get_ssr_session()
        assert (session is None) == (g.session is None)
        return f"{session.user_id if session else None} {get_session_state().value}"

    def inside() -> str:
        require_session()
        return who()

    def inside_pending() -> str:
        require_session(allow_pending=True)
        return who()

    for path, view in {
        "/required": session_required(who),
        "/role": session_required(role="admin")(who),
        "/inside": inside,
        "/template": lambda: render_template("page.html"),
        "/optional": session_optional(who),
        "/optional-template": session_optional(lambda: render_template("page.html")),
        "/layout": lambda: render_template("who.html"),
        "/ignored": session_exempt(who),
        "/factor": session_required(allow_pending=True)(who),
        "/factor-template": session_required(allow_pending=True)(
            lambda: render_template("page.html")
        ),
        "/factor-role": session_required(allow_pending=True, role="admin")(who),
        "/factor-inside": inside_pending,
        "/factor-guarded": session_required(allow_pending=True)(inside),
        "/factor-checked": session_required(allow_pending=True, check_revoked=True)(who),
    }.items():
        app.add_url_rule(path, path, view, methods=["GET", "POST"])
    return app


REFUSED = None

WHO_IS_LET_IN = {
    # path: (pending, complete)
    "/required": (REFUSED, "user-1 active"),
    "/role": (REFUSED, REFUSED),
    "/inside": (REFUSED, "user-1 active"),
    "/template": (REFUSED, "content"),
    "/optional": ("None pending", "user-1 active"),
    "/optional-template": ("content", "content"),
    "/layout": ("pending", "user-1"),
    "/ignored": ("None pending", "user-1 active"),
    "/factor": ("user-1 pending", "user-1 active"),
    "/factor-template": ("content", "content"),
    "/factor-role": (REFUSED, REFUSED),
    "/factor-inside": ("user-1 pending", "user-1 active"),
    "/factor-guarded": (REFUSED, "user-1 active"),
    "/factor-checked": ("user-1 pending", "user-1 active"),
}

# The same under app.before_request(require_session): what has no mark is closed, and so is what
# asks inside the view alone.
CLOSED_APP = WHO_IS_LET_IN | {
    "/layout": (REFUSED, "user-1"),
    "/factor-inside": (REFUSED, "user-1 active"),
}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("closed", [False, True], ids=["open app", "closed app"])
@pytest.mark.parametrize("path", WHO_IS_LET_IN)
def test_who_is_let_in(path: str, closed: bool, method: str) -> None:
    app = open_views(make_app())
    if closed:
        app.before_request(require_session)
    stub_revocation(app, lambda _handle: False)
    expected = (CLOSED_APP if closed else WHO_IS_LET_IN)[path]
    for claims, text in zip((PENDING, COMPLETE), expected, strict=True):
        answer = ask(app, path, FETCH | {"-method": method}, **claims)
        if text is REFUSED:
            assert answer.status_code == 403
            assert "user-1" not in answer.text
        else:
            assert (answer.status_code, answer.text) == (200, text)


def test_hook_with_a_condition_honours_no_mark() -> None:
    app = open_views(make_app())

    @app.before_request
    def editors_only() -> None:
        require_session(role="editor")

    roles = {"st-role": {"v": ["editor"], "t": 0}}
    assert ask(app, "/factor", FETCH, **PENDING, **roles).status_code == 403
    assert ask(app, "/factor", FETCH, **COMPLETE, **roles).text == "user-1 active"


def test_revocation_is_asked_of_a_pending_session() -> None:
    app = open_views(make_app())
    asked = stub_revocation(app, lambda _handle: True)
    answer = ask(app, "/factor-checked", FETCH, **PENDING)
    assert (answer.status_code, len(asked)) == (401, 1)
    assert answer.headers["SSR-Session"] == "refresh; reason=revoked"


@pytest.mark.usefixtures("sdk")
def test_answer_to_an_admitted_visitor_is_private() -> None:
    app = make_app()

    @app.get("/factor")
    @session_required(allow_pending=True)
    def factor() -> Any:
        return "factor", {"Cache-Control": "public, max-age=60"}

    answer = ask(app, "/factor", **PENDING)
    assert "private" in answer.headers["Cache-Control"]
    assert "public" not in answer.headers["Cache-Control"]


# --- the page that completes sign-in -------------------------------------------------------------


def factor_app(decorate: Callable[[Any], Any]) -> Flask:
    app = make_app()
    app.add_url_rule("/auth/mfa", "mfa", decorate(lambda: f"factor page of {bool(g.session)}"))
    return app


@pytest.mark.usefixtures("sdk")
@pytest.mark.parametrize(
    ("decorate", "text"),
    [
        pytest.param(session_required(allow_pending=True), "True", id="allow_pending"),
        pytest.param(session_optional, "False", id="optional"),
        pytest.param(session_exempt, "False", id="ignored"),
    ],
)
def test_factor_page_is_open_by_its_mark(decorate: Callable[[Any], Any], text: str) -> None:
    for closed in (False, True):
        app = factor_app(decorate)
        if closed:
            app.before_request(require_session)
        assert ask(app, "/auth/mfa", **PENDING).text == f"factor page of {text}"


@pytest.mark.usefixtures("sdk")
def test_closed_factor_page_is_an_error_and_leads_nowhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = factor_app(session_required)
    with pytest.raises(MisuseError, match=r"allow_pending=True"):
        ask(app, "/auth/mfa?redirectToPath=/x", **PENDING)
    app.testing = False
    answer = ask(app, "/auth/mfa?redirectToPath=/x", **PENDING)
    assert (answer.status_code, answer.headers.get("Location")) == (403, None)
    assert any(line.startswith("factor_page_closed") for line in caplog.messages)


# --- what layouts say ----------------------------------------------------------------------------


def test_templates_know_the_state() -> None:
    app = with_templates(
        make_app(),
        state=(
            "{{ session_state }}|{{ session_state == 'pending' }}"
            "|{{ session_state in ('refresh', 'unavailable') }}"
        ),
    )
    app.add_url_rule("/", "state", lambda: render_template("state.html"))
    client: FlaskClient = app.test_client(use_cookies=False)
    assert client.get("/").text == "anonymous|False|False"
    assert ask(app, "/", **PENDING).text == "pending|True|False"
    assert ask(app, "/", **COMPLETE).text == "active|False|False"
    assert ask(app, "/", issued_at=1_700_000_000).text == "refresh|False|True"
    with app.app_context():
        assert render_template("state.html").startswith("anonymous|")


def test_state_has_a_type(app: Flask) -> None:
    app.add_url_rule("/state", "state", lambda: repr(get_session_state()))
    client = app.test_client()
    assert client.get("/state").text == repr(SessionState.ANONYMOUS)
    sign_in(client)
    assert client.get("/state").text == repr(SessionState.ACTIVE)
