"""Requests of a user who has not completed all factors of sign-in, and their responses."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, g, render_template
from supertokens_python.recipe.session.interfaces import ClaimValidationResult

from flask_ssr_session import (
    InvalidClaimsError,
    get_session_state,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows

from .conftest import (
    MFA,
    FakeGlobalClaims,
    ask,
    make_app,
    page_shown,
    sdk_values,
    stub_revocation,
    with_templates,
    with_views,
)

PENDING: dict[str, Any] = {"st-mfa": {"c": {"emailpassword": 1_700_000_000}, "v": False}}
COMPLETE: dict[str, Any] = {"st-mfa": {"c": {"emailpassword": 1, "totp": 2}, "v": True}}
HEADER = "pending; reason=mfa_pending"
SDK_REASON = {"message": "MFA requirement for auth is not satisfied"}
SDK_BODY = {
    "message": "invalid claim",
    "claimValidationErrors": [{"id": "st-mfa", "reason": SDK_REASON}],
}
POST_PAGE = PAGE | {"Sec-Fetch-Site": "same-origin"}
HTMX = FETCH | {"HX-Request": "true", "HX-Current-URL": "http://localhost/account?tab=2"}


@pytest.fixture(scope="module")
def sdk_app() -> Flask:
    app = with_views(make_app(sdk=sdk_values()))
    public = {"Cache-Control": "public, max-age=60"}
    pending = session_required(allow_pending=True)
    app.add_url_rule("/factor", "factor", pending(lambda: ("factor", public)))
    return app


# --- which tokens are pending --------------------------------------------------------------------


@pytest.mark.parametrize("global_claims", [True, False])
def test_token_with_the_claim_is_pending_or_not_whatever_is_asked(global_claims: bool) -> None:
    app = with_views(make_app(global_claims=global_claims))
    answer = ask(app, "/account", FETCH, **PENDING)
    assert (answer.status_code, answer.headers["SSR-Session"]) == (403, HEADER)
    assert ask(app, "/account", **COMPLETE).text == "account of user-1"


def fails(*_: Any) -> list[Any]:
    raise LookupError("a defect of the app's")


SOURCES: dict[str, Any] = {
    "the recipe is there": (FakeGlobalClaims(MFA), {}, True),
    "the recipe is not there": (FakeGlobalClaims(), {}, False),
    "there is no Session recipe": (None, {}, False),
    "the setting is off": (FakeGlobalClaims(MFA), {"global_claims": False}, False),
    "an override drops it": (FakeGlobalClaims(MFA, override=lambda *_: []), {}, False),
    "an override fails": (FakeGlobalClaims(MFA, override=fails), {}, True),
}


@rows("source, settings, is_pending", SOURCES)
def test_token_without_the_claim_is_pending_where_the_recipe_asks_for_it(
    source: FakeGlobalClaims | None, settings: dict[str, Any], is_pending: bool
) -> None:
    app = with_views(make_app(sdk=sdk_values(global_claims=source), **settings))
    answer = ask(app, "/account", FETCH)
    assert answer.headers.get("SSR-Session") == (HEADER if is_pending else None)
    assert answer.status_code == (403 if is_pending else 200)


# --- the response --------------------------------------------------------------------------------


def test_without_an_sdk_nobody_knows_where_to_lead_to() -> None:
    app = with_views(make_app())
    app.register_error_handler(
        InvalidClaimsError, lambda error: (f"no {error.failures[0].id}", error.code)
    )
    for headers, method in ((PAGE, "GET"), (POST_PAGE, "POST")):
        answer = ask(app, "/account", headers, method, **PENDING)
        assert (answer.status_code, answer.text) == (403, "no st-mfa")
        assert answer.headers["SSR-Session"] == HEADER
        assert answer.headers["Cache-Control"] == "no-store"
    assert ask(app, "/account", FETCH, **PENDING).json == SDK_BODY
    template = ask(app, "/page", PAGE, **PENDING)
    assert (template.status_code, page_shown(template)) == (403, "claims")
    assert "/auth/mfa" not in template.text


def test_way_back_is_validated_and_another_site_is_refused_first(sdk_app: Flask) -> None:
    for wanted in ("/auth/mfa", "/auth/%6Dfa/?a", "/auth/mfa/totp/../", "/auth", "//evil.x"):
        answer = ask(sdk_app, "/account", HTMX | {"HX-Current-URL": wanted}, **PENDING)
        assert answer.headers["HX-Redirect"] == "/auth/mfa?redirectToPath=/", wanted
    answer = ask(sdk_app, "/account", PAGE | {"Sec-Fetch-Site": "cross-site"}, "POST", **PENDING)
    assert answer.headers["SSR-Session"] == "refused; reason=cross_site"


# --- who asks ------------------------------------------------------------------------------------


def test_claim_of_factors_is_waived_for_a_pending_session_alone() -> None:
    """A validator of the app's may ask more of that claim than the recipe does."""
    refusing = SimpleNamespace(id="st-mfa", validate=lambda *_: ClaimValidationResult(False))
    app = make_app(sdk=sdk_values(global_claims=FakeGlobalClaims(refusing)))
    pending = session_required(allow_pending=True)
    app.add_url_rule("/", "factor", pending(lambda: get_session_state().value))
    assert ask(app, "/", FETCH, **PENDING).text == "pending"
    assert ask(app, "/", FETCH, **COMPLETE).status_code == 403


def test_revocation_is_asked_of_a_pending_session() -> None:
    app = make_app()
    pending = session_required(allow_pending=True, check_revoked=True)
    app.add_url_rule("/", "factor", pending(lambda: "let in"))
    asked = stub_revocation(app, lambda _handle: True)
    answer = ask(app, "/", FETCH, **PENDING)
    assert (answer.status_code, len(asked)) == (401, 1)
    assert answer.headers["SSR-Session"] == "refresh; reason=revoked"


# --- the page that completes sign-in -------------------------------------------------------------


FACTOR_PAGES: dict[str, Any] = {
    "allow_pending": (session_required(allow_pending=True), True),
    "session_optional": (session_optional, False),
    "session_exempt": (session_exempt, False),
    "session_required": (session_required, True),
}


@rows("decorate, is_seen", FACTOR_PAGES)
@pytest.mark.parametrize("closed", [False, True])
def test_page_that_completes_sign_in_is_open(
    closed: bool, decorate: Callable[[Any], Any], is_seen: bool
) -> None:
    app = make_app(sdk=sdk_values())
    app.add_url_rule("/auth/mfa", "mfa", decorate(lambda: f"factor page of {bool(g.session)}"))
    if closed:
        app.before_request(require_session)
    assert ask(app, "/auth/mfa", **PENDING).text == f"factor page of {is_seen}"


def test_templates_know_the_state() -> None:
    app = with_templates(
        make_app(),
        state="{{ session_state }}|{{ session_state == 'pending' }}"
        "|{{ session_state in ('refresh', 'unavailable') }}",
    )
    app.add_url_rule(
        "/", "state", lambda: f"{render_template('state.html')}|{get_session_state()!r}"
    )
    none = app.test_client(use_cookies=False).get("/").text
    for text, expected in (
        (none, "anonymous|False|False|<SessionState.ANONYMOUS: 'anonymous'>"),
        (ask(app, "/", **PENDING).text, "pending|True|False|<SessionState.PENDING: 'pending'>"),
        (ask(app, "/", **COMPLETE).text, "active|False|False|<SessionState.ACTIVE: 'active'>"),
        (ask(app, "/", issued_at=1).text, "refresh|False|True|<SessionState.REFRESH: 'refresh'>"),
    ):
        assert text == expected
    with app.app_context():
        assert render_template("state.html").startswith("anonymous|")
