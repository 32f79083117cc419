"""What the core and a list of the app's say of a session: that it ended, and its claims of today.

A hook asks, or a view does; most pages go by the token.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import pytest
from flask import Blueprint, Flask, g, render_template, render_template_string, stream_template
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_ssr_session import (
    ConfigError,
    FlaskSSRSession,
    InvalidClaimsError,
    MisuseError,
    SSRSession,
    get_ssr_session,
    require_session,
    session_exempt,
    session_optional,
    session_required,
    testing,
)
from flask_ssr_session.errors import FetchError
from flask_ssr_session.request_state import current_request_state
from flask_ssr_session.signals import session_active
from flask_ssr_session.upstream import session_lookup
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.session_lookup import SessionLookup
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows
from tests.tokens import expired_token, make_token

from . import apps
from .visitors import Logs, cookies, failed_claims, page_shown, signed_in

CHECKED = session_required(check_revoked=True)
LATE = (
    "{% from 'refresh_page.html' import refresh_page %}begin {{ look_up() }}"
    "{% if needs_refresh %}{{ refresh_page() }}{% else %}secret{% endif %}"
)


def is_revoked(_handle: str) -> bool:
    return True


def is_known(_handle: str) -> bool:
    return False


def content() -> str:
    return f"for {g.session.user_id if g.session else 'everyone'}"


def roles_and_script() -> str:
    return ",".join(g.session.roles) + render_template_string("{{ session_script() }}")


def with_pages(app: Flask) -> Flask:
    """Give *app* views that ask the core, and the same ones that do not."""
    apps.with_templates(app, page=apps.TEMPLATE_GUARD)
    inside = apps.requiring(content, check_revoked=True)

    async def coroutine() -> str:
        return content()

    def often() -> str:
        return render_template_string("{{ needs_refresh }}{{ needs_refresh(optional=True) }}")

    hooked = Blueprint("hooked", "hooked")
    hooked.before_request(partial(require_session, check_revoked=True))
    hooked.add_url_rule("/hooked", "view", content)
    hooked.add_url_rule("/hooked-news", "news", session_optional(content))
    app.register_blueprint(hooked)
    views = {
        "/checks": CHECKED(content),
        "/async": CHECKED(coroutine),
        "/often": CHECKED(CHECKED(apps.requiring(often, check_revoked=True))),
        "/inside": inside,
        "/exempt-inside": session_exempt(inside),
        "/admin": session_required(check_revoked=True, role="admin")(content),
        "/trusts": session_required(content),
        "/news": session_optional(content),
        "/page": lambda: render_template("page.html"),
        "/stream": lambda: stream_template("page.html"),
        "/open": content,
        "/exempt": session_exempt(lambda: "exempt"),
        "/recent": session_required(signed_in_within=3600)(content),
        "/roles": session_required(roles_and_script),
        "/checked-roles": CHECKED(roles_and_script),
    }
    return apps.add_views(app, views)


@pytest.fixture
def app() -> Flask:
    """An app that checks revocation if a view requires it."""
    return with_pages(apps.make_app(sdk=apps.sdk_values()))


@pytest.fixture
def strict_app() -> Flask:
    """An app that checks revocation for every request."""
    return with_pages(apps.make_app(sdk=apps.sdk_values(), check_revoked=True))


def ask(app: Flask, path: str, token: str | None = None, **headers: str) -> TestResponse:
    """Return what a visitor with *token* gets, by default a good one."""
    client = app.test_client(use_cookies=False)
    return client.get(path, headers=PAGE | cookies(token or make_token()) | headers)


# --- what a revoked session gets -----------------------------------------------------------------

NOTICED = ("/checks", "/async", "/inside", "/exempt-inside", "/hooked", "/hooked-news", "/admin")
NOTICED_BY_HOOK = ("/checks", "/trusts", "/news", "/page", "/stream")
WHO_ASKS = rows("strict", {"view asks": False, "hook asks": True})


@WHO_ASKS
def test_revoked_session_is_good_until_asked(app: Flask, strict_app: Flask, strict: bool) -> None:
    asking = strict_app if strict else app
    client, other = signed_in(asking, roles=["admin"]), signed_in(asking)
    testing.revoke(client)
    for path in NOTICED_BY_HOOK if strict else NOTICED:
        response = client.get(path, headers=PAGE)
        assert (response.status_code, page_shown(response)) == (200, "refresh"), path
        assert response.headers["SSR-Session"] == "refresh; reason=revoked"
        assert response.headers["Cache-Control"] == "no-store"
        assert 'data-reason="revoked"' in response.text
        if path != "/stream":  # its status is out by then
            script = client.get(path, headers=FETCH)
            told = (script.status_code, script.json)
            assert told == (401, {"message": "try refresh token"}), path
    # A view without the check reads the session, unless the hook knows better.
    for path in ("/open",) if strict else ("/trusts", "/news", "/open"):
        assert client.get(path, headers=PAGE).text == f"for {'everyone' if strict else 'user-1'}"
    for path in ("/news", "/hooked-news"):
        going_on = client.get(f"{path}?continueSignedOut=1", headers=PAGE)
        is_seen = not strict and path == "/news"
        assert going_on.text == ("for user-1" if is_seen else "for everyone"), path
    # Another session of the user, and a new one of this browser.
    testing.sign_in(client)
    for each in (client, other):
        for path in ("/checks", "/async", "/inside", "/hooked", "/hooked-news", "/trusts"):
            assert each.get(path, headers=PAGE).text == "for user-1", path
    assert other.get("/admin", headers=FETCH).status_code == 403


def test_verdict_and_session_are_replaced_for_the_rest_of_the_request(app: Flask) -> None:
    seen: dict[str, Any] = {}

    @app.route("/late")
    @session_optional
    def late() -> str:
        seen["before"] = g.session.user_id
        with pytest.raises(InvalidClaimsError):  # the reason that counts is the last one
            require_session(role="admin")
        try:
            require_session(check_revoked=True)
        except Exception:  # noqa: BLE001 - an app that shows something else instead
            seen["then"] = (g.session, get_ssr_session())
            return render_template_string("{{ 'held back' if needs_refresh else 'secret' }}")
        return "secret"

    app.teardown_request(lambda _error: seen.update(after=(g.session, get_ssr_session())))
    client = signed_in(app)
    testing.revoke(client)
    response = client.get("/late", headers=PAGE)
    assert response.text == "held back"
    assert response.headers["SSR-Session"] == "refresh; reason=revoked"
    assert response.headers["Cache-Control"] == "no-store"
    assert seen == {"before": "user-1", "then": (None, None), "after": (None, None)}


# --- how often the core is asked -----------------------------------------------------------------


@pytest.mark.parametrize("answer", [is_known, is_revoked, apps.is_down])
def test_core_is_asked_once_per_request(app: Flask, strict_app: Flask, answer: Any) -> None:
    token = make_token(sessionHandle="handle-1")
    everywhere = ["/checks", "/trusts", "/news", "/page", "/open", "/nowhere", "/exempt-inside"]
    for asking, paths in ((app, ["/often", "/hooked"]), (strict_app, ["/often", *everywhere])):
        asked = apps.stub_revocation(asking, answer)
        for path in paths:
            asked.clear()
            ask(asking, path, token)
            assert asked == ["handle-1"], path


def test_core_is_asked_about_sessions_that_matter_only(app: Flask, strict_app: Flask) -> None:
    asked = apps.stub_revocation(strict_app, is_known)
    client = strict_app.test_client(use_cookies=False)
    for visitor in ({}, cookies(), cookies(expired_token()), cookies("junk")):
        for path in ("/checks", "/trusts", "/news", "/page"):
            client.get(path, headers=PAGE | visitor)
            assert asked == [], (path, visitor)
    with testing.outage(strict_app):
        ask(strict_app, "/checks")
    headers = PAGE | cookies(make_token())
    assert ask(strict_app, "/exempt").text == "exempt"
    client.post("/auth/session/refresh", headers=headers)
    client.options("/checks", headers=headers | {"Access-Control-Request-Method": "POST"})
    client.post("/checks", headers=headers | {"Sec-Fetch-Site": "cross-site"})
    assert asked == []
    asked = apps.stub_revocation(app, apps.is_down)
    for path in ("/trusts", "/news", "/open", "/page"):
        response = ask(app, path)
        assert (response.status_code, page_shown(response)) == (200, ""), path
    assert asked == []


# --- the core is down ----------------------------------------------------------------------------


@WHO_ASKS
def test_core_that_is_down_is_an_outage_and_signs_nobody_out(
    strict: bool, app: Flask, strict_app: Flask, caplog: Logs
) -> None:
    asking = strict_app if strict else app
    apps.stub_revocation(asking, apps.is_down)
    response, script = ask(asking, "/checks"), ask(asking, "/checks", **FETCH)
    assert (response.status_code, page_shown(response)) == (503, "outage")
    assert response.headers["SSR-Session"] == "unavailable; reason=core_unavailable"
    told = {"message": "session cannot be checked right now"}
    assert (script.status_code, script.json) == (503, told)
    (line,) = [r for r in caplog.records if r.name.startswith("flask_ssr_session")]
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith("core_unavailable: no complete answer in time")
    # An optional page that asks is shown signed out.
    for path in ("/news", "/hooked-news") if strict else ("/hooked-news",):
        response = ask(asking, path)
        assert (response.status_code, response.text) == (200, "for everyone"), path
    apps.stub_revocation(asking, is_known)
    for path in ("/checks", "/news", "/hooked-news"):
        assert ask(asking, path).text == "for user-1", path


@pytest.fixture
def late_app(app: Flask) -> Flask:
    """An app whose templates ask the core while they are rendered."""
    app.jinja_env.globals["look_up"] = lambda: current_request_state().ask_core()
    return app


def test_script_gets_the_status_of_the_page_that_was_shown_last(late_app: Flask) -> None:
    # Without a look at needs_refresh, a template shows the page to an active session, too.
    shown = "{% from 'refresh_page.html' import refresh_page %}{{ refresh_page() }}"
    apps.with_templates(late_app, late=shown + "{{ look_up() }}{{ refresh_page() }}")
    late_app.add_url_rule("/late", "late", lambda: render_template("late.html"))
    for answer, status in ((is_known, 200), (is_revoked, 401)):
        apps.stub_revocation(late_app, answer)
        assert ask(late_app, "/late", **FETCH).status_code == status


def test_page_that_streams_already_shows_the_outage(late_app: Flask) -> None:
    """Its status is out by then, but no content is."""
    app = apps.with_templates(late_app, late=LATE)
    app.add_url_rule("/late", "late", lambda: stream_template("late.html"))
    apps.stub_revocation(app, apps.is_down)
    response = ask(app, "/late")
    assert page_shown(response) == "outage"
    assert "secret" not in response.text


def test_unexpected_error_of_the_look_up_is_an_outage(app: Flask, caplog: Logs) -> None:
    def fail(handle: str) -> bool:
        raise RuntimeError(f"a defect that knows {handle}")

    apps.stub_revocation(app, fail)
    response = ask(app, "/checks", make_token(sessionHandle="handle-nobody-should-see"))
    assert response.status_code == 503
    assert response.headers["SSR-Session"] == "unavailable; reason=internal"
    assert "RuntimeError at" in caplog.text
    assert "handle-nobody-should-see" not in caplog.text


def test_failure_is_remembered_between_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the setting to the look-up, with nothing replaced but the network."""
    asked: list[tuple[str, dict[str, str]]] = []

    def fetch(url: str, _deadline: Deadline, headers: Mapping[str, str]) -> tuple[bytes, None]:
        asked.append((url, dict(headers)))
        raise FetchError("no complete answer in time")

    monkeypatch.setattr(session_lookup, "SessionLookup", partial(SessionLookup, fetch=fetch))
    uri, headers = "http://core/recipe/session", {"api-key": "of-the-core"}
    sdk = apps.sdk_values(session_uris=(uri,), core_headers=headers)
    app = with_pages(apps.make_app(sdk=sdk, check_revoked=True))
    keys = app.extensions["ssr_session_test_keys"].keys
    app.extensions["ssr_session"].override_keys_for_testing(keys)
    token = make_token(sessionHandle="handle-1")
    assert [ask(app, "/trusts", token).status_code for _ in range(3)] == [503] * 3
    assert asked == [(f"{uri}?sessionHandle=handle-1", headers)]


# --- without the SDK -----------------------------------------------------------------------------


def bare_app(**settings: Any) -> Flask:
    """Return an app that trusts keys of its own, and has neither SDK nor test keys."""
    app = with_pages(Flask("bare"))
    app.testing = True
    keys = {"keys": [testing.SessionSigner().jwk()]}
    FlaskSSRSession(app, api_domain=apps.API_DOMAIN, jwks=keys, **settings)
    return app


def test_check_without_the_sdk_says_what_to_do_and_lets_nobody_in() -> None:
    strict, app = bare_app(check_revoked=True), bare_app()
    for token in ("junk", make_token()):
        with pytest.raises(ConfigError, match=r"SSR_SESSION_CHECK_REVOKED.*supertokens_python\."):
            ask(strict, "/open", token)
        with pytest.raises(MisuseError, match=r"check_revoked and signed.*supertokens_python\.in"):
            ask(app, "/checks", token)
    assert ask(app, "/trusts").text == "for user-1"
    app.testing = False
    response = ask(app, "/checks")
    assert (response.status_code, "for user-1" in response.text) == (500, False)


def test_setting_works_with_the_test_keys_alone() -> None:
    """An app that is tested without its SDK, as the test keys promise: no core, no network."""
    client = signed_in(with_pages(apps.make_app(check_revoked=True)))
    assert client.get("/trusts", headers=PAGE).text == "for user-1"
    testing.revoke(client)
    assert page_shown(client.get("/trusts", headers=PAGE)) == "refresh"


# --- the claims and the sign-in that the core knows ----------------------------------------------

ROLE: dict[str, Any] = {"st-role": {"v": ["admin"], "t": 1}}
CHANGES: dict[str, Any] = {
    "nothing changed": ({}, {}, 200, ""),
    "a role given": ({}, ROLE, 200, "admin"),
    "a role taken": ({"roles": ["admin"]}, {"st-role": None}, 200, ""),
    "a factor completed": ({"mfa_complete": False}, {"factors": ["totp"]}, 403, ""),
    "a factor required": ({}, {"mfa_complete": False}, 403, ""),
}


@rows("before, changes, status, text", CHANGES)
def test_claims_of_the_core_count_on_a_page_that_asks_it(
    app: Flask, before: dict[str, Any], changes: dict[str, Any], status: int, text: str
) -> None:
    client, received = signed_in(app, **before), []
    if changes:
        testing.change_claims(client, **changes)
    with session_active.connected_to(lambda sender, **_: received.append(sender), app):
        page = client.get("/checked-roles", headers=PAGE)
    assert page.status_code == status
    assert status != 200 or page.text.startswith(f"{text}<script")
    assert ('data-stale-claims=""' in page.text) == (bool(changes) and status == 200)
    assert 'data-stale-claims=""' not in client.get("/roles", headers=PAGE).text
    admitted = client.get("/admin", headers=FETCH).status_code
    assert admitted == (200 if text == "admin" else 403)
    assert len(received) <= 1  # a session is active once per request


ASKED_BY: dict[str, Any] = {
    "a view": (False, "/checks", 403),
    "a view, when sign-in was": (False, "/recent", 403),
    "a hook, behind the app's": (False, "/hooked", 403),
    "the setting, before all hooks": (True, "/checks", 200),
}


@rows("strict, path, status", ASKED_BY)
def test_no_session_appears_behind_the_hooks_of_the_app(
    app: Flask, strict_app: Flask, strict: bool, path: str, status: int
) -> None:
    """The token says that a factor is missing, the core that none is."""
    asking, seen = strict_app if strict else app, []
    asking.before_request(lambda: seen.append(g.session))
    client = signed_in(asking, mfa_complete=False)
    testing.change_claims(client, mfa_complete=True)
    assert client.get(path, headers=PAGE).status_code == status
    assert [session is not None for session in seen] == [status == 200]


def test_sign_in_has_to_be_recent_and_the_same_look_up_sees_revocation(app: Flask) -> None:
    response = signed_in(app, signed_in=3601).get("/recent", headers=FETCH)
    assert (response.status_code, failed_claims(response)) == (403, ["signed_in_within"])
    client = signed_in(app, signed_in=3000)
    with testing.core_outage(app):
        assert client.get("/recent", headers=PAGE).status_code == 503
    assert client.get("/recent", headers=PAGE).status_code == 200
    testing.revoke(client)
    assert client.get("/recent", headers=PAGE).headers["SSR-Session"] == "refresh; reason=revoked"


# --- a list of the app's -------------------------------------------------------------------------


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


def listed(answer: Any, **settings: Any) -> tuple[FlaskClient, Revoked]:
    """Return a client of an app whose list gives this *answer*."""
    revoked = Revoked(answer)
    app = with_pages(apps.make_app(sdk=apps.sdk_values(), is_revoked=revoked, **settings))
    twice = session_required(lambda: require_session() or "twice")  # type: ignore[func-returns-value]
    app.add_url_rule("/twice", "twice", twice)
    return signed_in(app), revoked


class NoBool:
    def __bool__(self) -> bool:
        raise ValueError("secret")


ANSWERS: dict[str, Any] = {
    "nothing": (0, 200, "active"),
    "revoked": (True, 200, "refresh; reason=revoked_by_app"),
    "a truth": ("yes", 200, "refresh; reason=revoked_by_app"),
    "no answer": (None, 503, "unavailable; reason=revocation_unknown"),
    "an error": (ValueError("secret"), 503, "unavailable; reason=revocation_unknown"),
    "no truth": (NoBool(), 503, "unavailable; reason=internal"),
}


@rows("answer, status, header", ANSWERS)
@pytest.mark.parametrize("path", ["/trusts", "/page"])
def test_list_of_the_app_is_asked_where_a_page_needs_a_session(
    answer: Any, status: int, header: str, path: str, caplog: Logs
) -> None:
    client, revoked = listed(answer)
    response = client.get(path, headers=PAGE)
    assert (response.status_code, response.headers.get("SSR-Session", "active")) == (status, header)
    assert [session.user_id for session in revoked.asked] == ["user-1"]
    assert (page_shown(response) == "") == (header == "active")
    assert "secret" not in caplog.text
    is_logged = any(line.startswith("app_code_failed: is_revoked ") for line in caplog.messages)
    assert is_logged is header.endswith("revocation_unknown")


@rows("settings", {"by the list alone": {}, "by list and core": {"check_revoked": True}})
def test_redirect_flow_shows_its_page_in_place_where_the_list_revokes(settings: Any) -> None:
    # /refresh-session does not ask the list: it would find an active session, and sign nobody out.
    client, _ = listed(True, refresh_flow="redirect", **settings)
    response = client.get("/trusts", headers=PAGE)
    assert (response.status_code, page_shown(response)) == (200, "refresh")
    assert 'data-reason="revoked_by_app"' in response.text


@rows("answer, status", {"revoked": (True, 403), "the core could not say": (None, 503)})
def test_script_is_not_asked_to_refresh_a_session_on_the_list(answer: Any, status: int) -> None:
    # The refresh would succeed, and the answer be the same: the browser SDK would try ten times.
    client, _ = listed(answer)
    response = client.get("/trusts", headers=FETCH | {"HX-Request": "true"})
    assert (response.status_code, response.headers.get("HX-Redirect")) == (status, None)
    assert "refresh" not in response.get_json()["message"]


def test_list_of_the_app_is_asked_once_per_request_and_only_about_sessions() -> None:
    client, revoked = listed(False)
    assert client.application.test_client().get("/trusts", headers=PAGE).status_code == 302
    for path in ("/exempt", "/news", "/open"):
        assert client.get(path, headers=PAGE).status_code == 200, path
    assert revoked.asked == []
    assert client.get("/twice", headers=PAGE).text == "twice"
    assert len(revoked.asked) == 1


async def awaitable() -> bool:
    return False


LISTS: dict[str, Any] = {
    "a coroutine function": (awaitable, False),
    "no function": (True, False),
    "no argument": (lambda: True, False),
    "one by name only": (lambda *, session: session, False),
    "a second one with a default": (lambda _session, _now=0: True, True),
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
def test_awaitable_is_an_answer_only_if_it_is_done_at_once(is_done: bool, status: int) -> None:
    async def answer() -> bool:
        if not is_done:
            await asyncio.sleep(0)
        return False

    client, revoked = listed(None)
    revoked.answer = answer()
    assert client.get("/trusts", headers=PAGE).status_code == status
