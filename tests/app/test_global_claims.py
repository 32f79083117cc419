"""The SDK's global claim validators: when they run, what they decide, and what they may not do."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from flask import Flask, g, render_template
from supertokens_python.recipe.session.interfaces import ClaimValidationResult
from werkzeug.test import TestResponse

from flask_ssr_session import (
    InvalidClaimsError,
    MisuseError,
    app_state,
    require_session,
    session_optional,
    session_required,
)
from flask_ssr_session.testing import sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tokens import make_token

from .conftest import (
    EMAIL,
    TEMPLATE_GUARD,
    FakeGlobalClaims,
    cookies,
    make_app,
    page_shown,
    sdk_values,
    with_templates,
)

VERIFIED: dict[str, Any] = {"st-ev": {"v": True, "t": 1}}
UNVERIFIED: dict[str, Any] = {"st-ev": {"v": False, "t": 1}}


class Counting:
    """Accepts a payload whose claim ``count`` is true, and counts its calls."""

    def __init__(self, claim_id: str = "count", **attributes: Any) -> None:
        self.id = claim_id
        self.asked = 0
        vars(self).update(attributes)

    async def validate(self, payload: dict[str, Any], _context: dict[str, Any]) -> Any:
        self.asked += 1
        return ClaimValidationResult(payload.get("count", True) is True, {"message": "no"})


def app_with(monkeypatch: pytest.MonkeyPatch, source: FakeGlobalClaims, **settings: Any) -> Flask:
    """Return an app with these global claims, and a view for each way to require a session."""
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk_values(global_claims=source))
    app = make_app(**settings)
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
        "/plain": who,
        "/optional": session_optional(who),
        "/waived": session_required(global_claims=False)(who),
        "/waived-template": session_required(global_claims=False)(template),
        "/role": session_required(role="admin", global_claims=False)(who),
        "/error": session_required(role="admin")(who),
    }.items():
        app.add_url_rule(path, path, view, methods=["GET", "POST"])
    return app


def ask(app: Flask, path: str, headers: dict[str, str] = PAGE, **claims: Any) -> TestResponse:
    client = app.test_client(use_cookies=False)
    return client.get(path, headers=headers | cookies(make_token(**claims)))


# --- who asks ------------------------------------------------------------------------------------

# path: whether it is open to an unverified user, in an open app and under an app-wide hook
ASKS = {
    "/required": (False, False),
    "/template": (False, False),
    "/both": (False, False),
    "/inside": (False, False),
    "/plain": (True, False),
    "/optional": (True, True),
    "/waived": (True, True),
    "/waived-template": (True, True),
}


@pytest.mark.parametrize("closed", [False, True], ids=["open app", "closed app"])
@pytest.mark.parametrize("path", ASKS)
def test_unverified_user_is_refused_where_a_session_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, path: str, closed: bool
) -> None:
    app = app_with(monkeypatch, FakeGlobalClaims(EMAIL))
    if closed:
        app.before_request(require_session)
    for headers in (PAGE, FETCH):
        assert ask(app, path, headers, **VERIFIED).text == "content"
        answer = ask(app, path, headers, **UNVERIFIED)
        if ASKS[path][closed]:
            assert (answer.status_code, answer.text) == (200, "content")
        else:
            assert answer.status_code == 403
            assert answer.headers["SSR-Session"] == "active; reason=claims"
            assert answer.headers["Cache-Control"] == "no-store"
            assert "content" not in answer.text.replace('content="', "")
    declined = ask(app, path, PAGE | {"Sec-Purpose": "prefetch"}, **UNVERIFIED)
    assert declined.status_code == (200 if ASKS[path][closed] else 503)


@pytest.mark.parametrize("path", ["/required", "/template"])
def test_script_gets_the_words_of_the_sdk(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    answer = ask(app_with(monkeypatch, FakeGlobalClaims(EMAIL)), path, FETCH, **UNVERIFIED)
    assert answer.json == {
        "message": "invalid claim",
        "claimValidationErrors": [
            {
                "id": "st-ev",
                "reason": {
                    "message": "wrong value",
                    "expectedValue": True,
                    "actualValue": False,
                },
            }
        ],
    }


def test_template_says_why_and_error_handlers_hear_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_with(monkeypatch, FakeGlobalClaims(EMAIL))
    heard: list[str] = []

    def handler(error: InvalidClaimsError) -> Any:
        heard.extend(failure.id for failure in error.failures)
        return render_template("page.html"), 403

    app.register_error_handler(InvalidClaimsError, handler)
    answer = ask(app, "/template", **UNVERIFIED)
    assert (answer.status_code, page_shown(answer)) == (403, "claims")
    # On an error page, too, needs_refresh admits no session that the SDK would reject.
    assert page_shown(ask(app, "/required", **UNVERIFIED)) == "claims"
    assert heard == ["st-ev"]
    ask(app, "/error", **UNVERIFIED)
    assert heard == ["st-ev", "st-ev", "st-role"]
    # The requirements of the view do not apply to its error page.
    assert ask(app, "/error", **VERIFIED).text == "content"


@pytest.mark.parametrize("path", ["/required", "/template", "/inside"])
def test_setting_switches_them_off(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    app = app_with(monkeypatch, FakeGlobalClaims(EMAIL), global_claims=False)
    assert ask(app, path, **UNVERIFIED).text == "content"


def test_conditions_of_the_view_stay_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_with(monkeypatch, FakeGlobalClaims(EMAIL))
    assert ask(app, "/role", **UNVERIFIED).status_code == 403
    role: dict[str, Any] = {"st-role": {"v": ["admin"], "t": 1}}
    assert ask(app, "/role", **UNVERIFIED, **role).text == "content"


def test_hook_with_a_condition_asks_them_whatever_the_view_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = app_with(monkeypatch, FakeGlobalClaims(EMAIL))
    app.before_request(partial(require_session, role="admin"))
    role: dict[str, Any] = {"st-role": {"v": ["admin"], "t": 1}}
    assert ask(app, "/waived", FETCH, **UNVERIFIED, **role).status_code == 403
    assert ask(app, "/waived", FETCH, **VERIFIED, **role).text == "content"


# --- what an override and a validator may do -----------------------------------------------------


def by_request(_session: Any, validators: list[Any], context: dict[str, Any]) -> list[Any]:
    return [] if context["request"].path == "/template" else validators


def by_user(session: Any, validators: list[Any], _context: Any) -> list[Any]:
    return [] if session.user_id == "user-1" else validators


async def asynchronous(_session: Any, _validators: list[Any], _context: Any) -> list[Any]:
    return []


@pytest.mark.parametrize(
    ("override", "path", "is_open"),
    [
        pytest.param(by_request, "/template", True, id="reads the request"),
        pytest.param(by_request, "/required", False, id="reads the request: another"),
        pytest.param(by_user, "/required", True, id="reads the user"),
        pytest.param(asynchronous, "/required", True, id="async that waits for nothing"),
        pytest.param(lambda *_: [], "/required", True, id="drops all"),
        pytest.param(lambda _s, v, _c: v, "/required", False, id="keeps all"),
        pytest.param(lambda _s, v, _c: tuple(v), "/required", False, id="a tuple"),
    ],
)
def test_override_decides(
    monkeypatch: pytest.MonkeyPatch, override: Any, path: str, is_open: bool
) -> None:
    app = app_with(monkeypatch, FakeGlobalClaims(EMAIL, override=override))
    assert ask(app, path, **UNVERIFIED).status_code == (200 if is_open else 403)


async def waits(*_: Any) -> Any:
    await asyncio.sleep(0)


def fails(*_: Any) -> Any:
    raise LookupError("hunter2")


async def sleeping() -> None:
    await asyncio.get_running_loop().create_future()


def cancels(*_: Any) -> Any:
    raise asyncio.CancelledError("hunter2")


class Odd:
    """A result whose attributes run code of the app."""

    @property
    def is_valid(self) -> bool:
        raise LookupError("hunter2")


class Broken:
    """A validator with a fixed result."""

    id = "broken"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def validate(self, payload: dict[str, Any], context: dict[str, Any]) -> Any:
        return self.answer(payload, context)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        pytest.param(FakeGlobalClaims(override=fails), "override", id="override raises"),
        pytest.param(FakeGlobalClaims(override=waits), "override", id="override waits"),
        pytest.param(
            FakeGlobalClaims(override=lambda *_: None), "override", id="override returns nothing"
        ),
        pytest.param(
            FakeGlobalClaims(override=lambda *_: "all"), "override", id="override returns text"
        ),
        pytest.param(FakeGlobalClaims(Broken(fails)), "'broken'", id="validator raises"),
        pytest.param(FakeGlobalClaims(Broken(waits)), "'broken'", id="validator waits"),
        pytest.param(
            FakeGlobalClaims(Broken(lambda *_: None)), "'broken'", id="validator says nothing"
        ),
        pytest.param(
            FakeGlobalClaims(Broken(lambda *_: True)), "'broken'", id="validator says true"
        ),
        pytest.param(FakeGlobalClaims(object()), "'object'", id="no validator"),
        pytest.param(
            FakeGlobalClaims(Broken(lambda *_: sleeping())), "waits", id="validator that sleeps"
        ),
        pytest.param(FakeGlobalClaims(Broken(cancels)), "'broken'", id="validator is cancelled"),
        pytest.param(FakeGlobalClaims(Broken(lambda *_: Odd())), "'broken'", id="odd result"),
    ],
)
@pytest.mark.parametrize("path", ["/required", "/template", "/inside"])
def test_what_cannot_be_asked_is_a_failed_claim_and_a_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    path: str,
    source: FakeGlobalClaims,
    name: str,
) -> None:
    app = app_with(monkeypatch, source)
    for _ in range(2):
        for headers in (PAGE, FETCH):
            assert ask(app, path, headers, **VERIFIED).status_code == 403
    lines = [line for line in caplog.messages if line.startswith("claim_unchecked")]
    assert len(lines) == 1
    assert name in lines[0]
    assert "hunter2" not in caplog.text
    app.debug = True
    if path != "/template":  # a template that asks is never an error
        with pytest.raises(MisuseError, match=name):
            ask(app, path, **VERIFIED)


@pytest.mark.parametrize("reason", [{1, 2}, b"bytes", object(), {(1, 2): 3}], ids=type)
def test_reason_that_no_script_can_be_told_is_left_out(
    monkeypatch: pytest.MonkeyPatch, reason: Any
) -> None:
    source = FakeGlobalClaims(Broken(lambda *_: ClaimValidationResult(False, reason)))
    app = app_with(monkeypatch, source)
    for path in ("/required", "/template"):
        answer = ask(app, path, FETCH)
        assert answer.status_code == 403
        assert answer.json is not None
        told = answer.json["claimValidationErrors"]
        assert told == [{"id": "broken", "reason": {"message": "this claim could not be checked"}}]


def test_override_cannot_change_what_the_next_page_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def appends(_session: Any, validators: list[Any], _context: Any) -> list[Any]:
        validators.append(EMAIL)
        return []

    source = FakeGlobalClaims(Counting(), override=appends)
    app = app_with(monkeypatch, source)
    for _ in range(3):
        assert ask(app, "/required").status_code == 200
    assert len(source.added) == 1


# --- how often -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "override", "times"),
    [
        pytest.param({}, None, 1, id="remembered with the token"),
        pytest.param({"max_age_in_sec": 5}, None, 3, id="not where time counts"),
        pytest.param({}, lambda _s, v, _c: v, 3, id="not where the app overrides"),
    ],
)
@pytest.mark.parametrize("count", [True, False], ids=["met", "failed"])
def test_result_is_remembered_with_the_token(
    monkeypatch: pytest.MonkeyPatch,
    attributes: dict[str, Any],
    override: Any,
    times: int,
    count: bool,
) -> None:
    validator = Counting(**attributes)
    app = app_with(monkeypatch, FakeGlobalClaims(validator, override=override))
    client = app.test_client()
    sign_in(client, count=count)
    for _ in range(3):
        assert client.get("/both").status_code == (200 if count else 403)
    assert validator.asked == times
    sign_in(client, count=not count)
    assert client.get("/both").status_code == (403 if count else 200)


def test_one_page_asks_once(monkeypatch: pytest.MonkeyPatch) -> None:
    validator = Counting(max_age_in_sec=5)
    app = app_with(monkeypatch, FakeGlobalClaims(validator))
    app.before_request(require_session)
    assert ask(app, "/both").text == "content"
    assert validator.asked == 1


def test_stranger_is_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    source = FakeGlobalClaims(Counting())
    app = app_with(monkeypatch, source)
    assert app.test_client().get("/required", headers=PAGE).status_code == 302
    assert source.contexts == []
