"""Pages that ask the core use its claims and its time of sign-in; an app may revoke by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from flask import Flask, g, render_template_string
from flask.testing import FlaskClient

from flask_ssr_session import (
    ConfigError,
    FlaskSSRSession,
    SSRSession,
    require_session,
    session_exempt,
    session_required,
)
from flask_ssr_session.signals import session_active
from flask_ssr_session.testing import change_claims, core_outage, revoke, sign_in

from ..browser_requests import FETCH, PAGE
from ..tables import rows
from .conftest import make_app, page_shown, with_views

ADMIN: dict[str, Any] = {"st-role": {"v": ["admin"], "t": 1}}
PENDING = {"st-mfa": {"c": {}, "v": False}}
COMPLETE = {"st-mfa": {"c": {"totp": 1}, "v": True}}


@pytest.fixture
def app(sdk: None) -> Flask:  # noqa: ARG001
    app = make_app()
    conditions: dict[str, dict[str, Any]] = {
        "/checked": {"check_revoked": True},
        "/admin": {"role": "admin", "check_revoked": True},
        "/unchecked": {},
        "/recent": {"signed_in_within": 3600},
        "/both": {"factor": "totp", "within": 300, "role": "admin"},
    }
    for path, condition in conditions.items():
        view = session_required(**condition)(roles_and_script)
        app.add_url_rule(path, path, view, methods=["GET", "POST"])
    return app


def roles_and_script() -> str:
    return ",".join(g.session.roles) + render_template_string("{{ session_script() }}")


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


CHANGES: dict[str, Any] = {
    "nothing changed": ({}, {}, 200, ""),
    "a role given": ({}, ADMIN, 200, "admin"),
    "a role given by its keyword": ({}, {"roles": ["admin"]}, 200, "admin"),
    "a role taken": ({"roles": ["admin"]}, {"st-role": None}, 200, ""),
    "all roles taken": ({"roles": ["admin"]}, {"roles": []}, 200, ""),
    "a factor completed": ({"mfa_complete": False}, COMPLETE, 200, ""),
    "factors by their keyword": ({"mfa_complete": False}, {"factors": ["totp"]}, 200, ""),
    "a factor required": ({}, PENDING, 403, ""),
    "one required by its keyword": ({}, {"mfa_complete": False}, 403, ""),
}


@rows("before, changes, status, text", CHANGES)
def test_claims_of_the_core_count_on_a_page_that_asks_it(
    client: FlaskClient, before: dict[str, Any], changes: dict[str, Any], status: int, text: str
) -> None:
    sign_in(client, **before)
    if changes:
        change_claims(client, **changes)
    page = client.get("/checked", headers=PAGE)

    assert page.status_code == status
    assert status != 200 or page.text.startswith(f"{text}<script")
    is_stale = bool(changes) and status == 200
    assert ('data-stale-claims=""' in page.text) == is_stale
    assert ('data-stale-claims=""' in client.get("/unchecked", headers=PAGE).text) is False


def test_role_given_at_the_core_counts_without_a_refresh(client: FlaskClient) -> None:
    sign_in(client)
    assert client.get("/admin", headers=FETCH).status_code == 403
    change_claims(client, **ADMIN)
    assert client.get("/admin", headers=FETCH).status_code == 200
    assert client.get("/unchecked", headers=PAGE).text.startswith("<script")


def test_session_is_active_once_per_request(app: Flask, client: FlaskClient) -> None:
    sign_in(client)
    change_claims(client, **ADMIN)
    received: list[object] = []
    with session_active.connected_to(lambda sender, **_: received.append(sender), app):
        client.get("/checked", headers=PAGE)
    assert received == [app]


RECENT: dict[str, Any] = {
    "signed in now": ({}, PAGE, 200),
    "signed in within the hour": ({"signed_in": 3000}, PAGE, 200),
    "signed in long ago": ({"signed_in": 3601}, PAGE, 403),
    "the same for a script": ({"signed_in": 3601}, FETCH, 403),
}


@rows("visitor, headers, status", RECENT)
def test_sign_in_has_to_be_recent(
    client: FlaskClient, visitor: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    sign_in(client, **visitor)
    response = client.get("/recent", headers=headers)

    assert response.status_code == status
    if headers is FETCH:
        reason = {"message": "sign-in is not recent", "within": 3600}
        assert response.json["claimValidationErrors"] == [  # type: ignore[index]
            {"id": "signed_in_within", "reason": reason}
        ]


def test_recent_sign_in_notices_revocation_and_outage_by_the_same_look_up(
    app: Flask, client: FlaskClient
) -> None:
    sign_in(client)
    with core_outage(app):
        assert client.get("/recent", headers=PAGE).status_code == 503
    assert client.get("/recent", headers=PAGE).status_code == 200
    revoke(client)
    response = client.get("/recent", headers=PAGE)
    assert (page_shown(response), response.headers["SSR-Session"]) == (
        "refresh",
        "refresh; reason=revoked",
    )


FACTORS: dict[str, Any] = {
    "all": ({"roles": ["admin"], "factors": {"totp": 60}}, []),
    "factor too long ago": ({"roles": ["admin"], "factors": {"totp": 600}}, ["st-mfa"]),
    "another factor": ({"roles": ["admin"], "factors": ["otp-email"]}, ["st-mfa"]),
    "no role": ({"factors": ["totp"]}, ["st-role"]),
    "neither": ({"factors": []}, ["st-role", "st-mfa"]),
}


@rows("visitor, failed", FACTORS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_factor_is_checked_with_the_claims(
    client: FlaskClient, visitor: dict[str, Any], failed: list[str], method: str
) -> None:
    sign_in(client, **visitor)
    response = client.open("/both", method=method, headers=FETCH)

    assert response.status_code == (403 if failed else 200)
    errors = response.json["claimValidationErrors"] if failed else []  # type: ignore[index]
    assert [error["id"] for error in errors] == failed


# The app's own list


class Revoked:
    """A list of revoked sessions that records what it is asked."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[SSRSession] = []

    def __call__(self, session: SSRSession) -> Any:
        self.asked.append(session)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def awaitable() -> bool:
    return False


@pytest.fixture
def make_listed() -> Callable[[Any], tuple[FlaskClient, Revoked]]:
    def make(answer: Any) -> tuple[FlaskClient, Revoked]:
        revoked = Revoked(answer)
        app = with_views(make_app(is_revoked=revoked))
        twice = session_required(lambda: require_session() or "twice")  # type: ignore[func-returns-value]
        app.add_url_rule("/twice", "twice", twice)
        app.add_url_rule("/exempt", "exempt", session_exempt(lambda: "exempt"))
        return app.test_client(), revoked

    return make


class NoBool:
    def __bool__(self) -> bool:
        raise ValueError("secret")


ANSWERS: dict[str, Any] = {
    "not revoked": (False, 200, "active"),
    "nothing": (0, 200, "active"),
    "revoked": (True, 200, "refresh; reason=revoked_by_app"),
    "a truth": ("yes", 200, "refresh; reason=revoked_by_app"),
    "no answer": (None, 503, "unavailable; reason=revocation_unknown"),
    "an error": (ValueError("secret"), 503, "unavailable; reason=revocation_unknown"),
    "no truth": (NoBool(), 503, "unavailable; reason=internal"),
}


@rows("answer, status, header", ANSWERS)
@pytest.mark.parametrize("path", ["/account", "/page"])
def test_list_of_the_app_is_asked_where_a_page_needs_a_session(
    make_listed: Any,
    answer: Any,
    status: int,
    header: str,
    path: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    client, revoked = make_listed(answer)
    sign_in(client, "anna")
    response = client.get(path, headers=PAGE)

    assert (response.status_code, response.headers.get("SSR-Session", "active")) == (status, header)
    assert [session.user_id for session in revoked.asked] == ["anna"]
    assert (page_shown(response) == "") == (header == "active")
    assert "secret" not in caplog.text


@pytest.mark.usefixtures("sdk")
@rows("settings", {"by the list alone": {}, "by list and core": {"check_revoked": True}})
def test_redirect_flow_shows_its_page_in_place_where_the_list_revokes(
    settings: dict[str, Any],
) -> None:
    # /refresh-session does not ask the list: it would find an active session, and sign nobody out.
    app = make_app(is_revoked=lambda _: True, refresh_flow="redirect", **settings)
    client = with_views(app).test_client()
    sign_in(client)
    response = client.get("/account", headers=PAGE)

    assert (response.status_code, page_shown(response)) == (200, "refresh")
    assert 'data-reason="revoked_by_app"' in response.text


@rows("answer, status", {"revoked": (True, 403), "the core could not say": (None, 503)})
def test_script_is_not_asked_to_refresh_a_session_on_the_list(
    make_listed: Any, answer: Any, status: int
) -> None:
    # The refresh would succeed, and the answer be the same: the browser SDK would try ten times.
    client, _ = make_listed(answer)
    sign_in(client)
    response = client.get("/account", headers=FETCH | {"HX-Request": "true"})
    assert (response.status_code, response.headers.get("HX-Redirect")) == (status, None)
    assert "refresh" not in response.get_json()["message"]


def test_list_of_the_app_is_asked_once_per_request_and_only_about_sessions(
    make_listed: Any,
) -> None:
    client, revoked = make_listed(False)
    assert client.get("/account", headers=PAGE).status_code == 302
    sign_in(client)
    for path in ("/exempt", "/news", "/open"):
        assert client.get(path, headers=PAGE).status_code == 200, path
    assert revoked.asked == []
    assert client.get("/twice", headers=PAGE).text == "twice"
    assert len(revoked.asked) == 1


LISTS: dict[str, Any] = {
    "a coroutine function": (awaitable, False),
    "no function": (True, False),
    "a name": ("revoked", False),
    "no argument": (lambda: True, False),
    "two arguments": (lambda _session, _now: True, False),
    "one by name only": (lambda *, session: session, False),
    "one argument": (lambda _session: True, True),
    "a second one with a default": (lambda _session, _now=0: True, True),
    "any arguments": (lambda *_: True, True),
    "a method": (dict[Any, Any]().get, True),
    "a builtin without a signature": (max, True),
    "nothing": (None, True),
}


@rows("given, is_allowed", LISTS)
def test_list_that_cannot_be_asked_is_refused(given: Any, is_allowed: bool) -> None:
    error = pytest.raises(ConfigError, match="is_revoked takes a plain function of one argument")
    with nullcontext() if is_allowed else error:
        FlaskSSRSession(is_revoked=given)


@rows("is_done, status", {"done at once": (True, 200), "waits": (False, 503)})
def test_awaitable_is_an_answer_only_if_it_is_done_at_once(
    make_listed: Any, is_done: bool, status: int
) -> None:
    async def answer() -> bool:
        if not is_done:
            await asyncio.sleep(0)
        return False

    client, revoked = make_listed(None)
    sign_in(client)
    revoked.answer = answer()
    assert client.get("/account", headers=PAGE).status_code == status
