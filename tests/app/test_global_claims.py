"""The SDK's global claim validators: where an app asks them, and what its visitors are told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, g, render_template
from supertokens_python.recipe.session.interfaces import ClaimValidationResult

from flask_ssr_session import InvalidClaimsError, MisuseError, require_session, session_required
from flask_ssr_session.testing import sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows

from .conftest import (
    EMAIL,
    TEMPLATE_GUARD,
    FakeGlobalClaims,
    ask,
    make_app,
    page_shown,
    sdk_values,
    with_templates,
)

VERIFIED: dict[str, Any] = {"st-ev": {"v": True, "t": 1}}
UNVERIFIED: dict[str, Any] = {"st-ev": {"v": False, "t": 1}}
ADMIN: dict[str, Any] = {"st-role": {"v": ["admin"], "t": 1}}


def app_with(source: FakeGlobalClaims, **settings: Any) -> Flask:
    """Return an app with these global claims, and a view for each way to require a session."""
    app = make_app(sdk=sdk_values(global_claims=source), **settings)
    with_templates(app, page=TEMPLATE_GUARD)

    def who() -> str:
        return "content" if g.session else "stranger"

    def template() -> str:
        return render_template("page.html")

    def inside() -> str:
        require_session()
        return who()

    for path, view in {
        "/required": session_required(who),
        "/template": template,
        "/both": session_required(template),
        "/inside": inside,
        "/all": session_required(role="admin")(who),
    }.items():
        app.add_url_rule(path, path, view, methods=["GET", "POST"])
    return app


def test_setting_waives_them_and_no_condition_of_a_view() -> None:
    app = app_with(FakeGlobalClaims(EMAIL), global_claims=False)
    for path in ("/required", "/template", "/inside"):
        assert ask(app, path, **UNVERIFIED).text == "content", path
    assert ask(app, "/all", **UNVERIFIED).status_code == 403


def test_template_says_why_and_error_handlers_hear_of_it() -> None:
    app = app_with(FakeGlobalClaims(EMAIL))
    heard: list[str] = []

    def handler(error: InvalidClaimsError) -> Any:
        heard.extend(failure.id for failure in error.failures)
        return render_template("page.html"), 403

    app.register_error_handler(InvalidClaimsError, handler)
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


def fails(*_: Any) -> Any:
    raise LookupError("hunter2")


BROKEN: dict[str, Any] = {
    "an override": (FakeGlobalClaims(override=fails), "the override of get_global"),
    "a validator": (FakeGlobalClaims(SimpleNamespace(id="own", validate=fails)), "'own'"),
}


@rows("source, name", BROKEN)
@pytest.mark.parametrize("path", ["/required", "/template", "/inside"])
def test_what_cannot_be_asked_is_a_failed_claim_and_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture, path: str, source: FakeGlobalClaims, name: str
) -> None:
    app = app_with(source)
    for headers in (PAGE, FETCH, PAGE, FETCH):
        assert ask(app, path, headers, **VERIFIED).status_code == 403
    (line,) = [line for line in caplog.messages if line.startswith("claim_unchecked")]
    assert name in line
    assert "hunter2" not in caplog.text
    app.debug = True
    with pytest.raises(MisuseError, match=name):
        ask(app, path, **VERIFIED)


def test_validators_are_asked_once_per_page_and_not_again_for_a_token_that_meets_them() -> None:
    asked: list[Any] = []

    def validate(payload: dict[str, Any], _context: Any) -> Any:
        asked.append(payload["sub"])
        return ClaimValidationResult(payload["sub"] == "user-1", {"message": "no"})

    validator = SimpleNamespace(id="count", validate=validate)
    source = FakeGlobalClaims(validator)
    app = app_with(source)
    app.before_request(require_session)
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
