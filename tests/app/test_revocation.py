"""Revoked sessions, checked by the hook or by the view."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from flask import Blueprint, Flask, g, render_template, render_template_string, stream_template
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_ssr_session import (
    ConfigError,
    FlaskSSRSession,
    MisuseError,
    get_ssr_session,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.errors import FetchError
from flask_ssr_session.request_state import current_request_state
from flask_ssr_session.testing import SessionSigner, outage, revoke, sign_in
from flask_ssr_session.upstream import session_lookup
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.session_lookup import SessionLookup
from tests.browser_requests import FETCH, PAGE
from tests.tokens import expired_token, make_token

from .conftest import (
    API_DOMAIN,
    TEMPLATE_GUARD,
    cookies,
    is_down,
    make_app,
    page_shown,
    sdk_values,
    stub_revocation,
    with_templates,
)

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


def with_pages(app: Flask) -> Flask:
    """Give *app* views that look revocation up, and the same ones that do not."""
    with_templates(app, page=TEMPLATE_GUARD)
    checked_inside = partial(require_session, check_revoked=True)

    def inside() -> str:
        checked_inside()
        return content()

    async def coroutine() -> str:
        return content()

    hooked = Blueprint("hooked", "hooked")
    hooked.before_request(checked_inside)
    hooked.add_url_rule("/hooked", "view", content)
    hooked.add_url_rule("/hooked-news", "news", session_optional(content))
    app.register_blueprint(hooked)
    views: dict[str, Any] = {
        "/checks": CHECKED(content),
        "/async": CHECKED(coroutine),
        "/inside": inside,
        "/exempt-inside": session_exempt(inside),
        "/admin": session_required(check_revoked=True, role="admin")(content),
        "/trusts": session_required(content),
        "/news": session_optional(content),
        "/page": lambda: render_template("page.html"),
        "/stream": lambda: stream_template("page.html"),
        "/open": content,
        "/exempt": session_exempt(lambda: "exempt"),
    }
    for path, view in views.items():
        app.add_url_rule(path, path, view, methods=["GET", "POST"])
    return app


@pytest.fixture
def app() -> Flask:
    """An app that checks revocation if a view requires it."""
    return with_pages(make_app())


@pytest.fixture
def strict_app() -> Flask:
    """An app that checks revocation for every request."""
    return with_pages(make_app(sdk=sdk_values(), check_revoked=True))


def signed_in(app: Flask, **claims: Any) -> FlaskClient:
    client = app.test_client()
    sign_in(client, **claims)
    return client


def ask(app: Flask, path: str, token: str | None = None, **headers: str) -> TestResponse:
    """Return what a visitor with *token* gets, by default a good one."""
    client = app.test_client(use_cookies=False)
    return client.get(path, headers=PAGE | cookies(token or make_token()) | headers)


# --- what a revoked session gets -----------------------------------------------------------------

NOTICED = ("/checks", "/async", "/inside", "/exempt-inside", "/hooked", "/hooked-news", "/admin")
NOTICED_BY_HOOK = ("/checks", "/trusts", "/news", "/page", "/stream")


@pytest.mark.parametrize("strict", [False, True], ids=["view asks", "hook asks"])
def test_revoked_session_is_good_until_somebody_asks(
    app: Flask, strict_app: Flask, strict: bool
) -> None:
    asking = strict_app if strict else app
    client, other = signed_in(asking, roles=["admin"]), signed_in(asking)
    revoke(client)
    for path in NOTICED_BY_HOOK if strict else NOTICED:
        response = client.get(path, headers=PAGE)
        assert (response.status_code, page_shown(response)) == (200, "refresh"), path
        assert response.headers["SSR-Session"] == "refresh; reason=revoked"
        assert response.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in response.headers
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
        assert going_on.text == (
            "for user-1" if (strict, path) == (False, "/news") else "for everyone"
        )
    # Another session of the user, and a new one of this browser.
    sign_in(client)
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
        try:
            require_session(check_revoked=True)
        except Exception:  # noqa: BLE001 - an app that shows something else instead
            seen["then"] = (g.session, get_ssr_session())
            return render_template_string("{{ 'held back' if needs_refresh else 'secret' }}")
        return "secret"

    app.teardown_request(lambda _error: seen.update(after=(g.session, get_ssr_session())))
    client = signed_in(app)
    revoke(client)
    response = client.get("/late", headers=PAGE)
    assert response.text == "held back"
    assert response.headers["SSR-Session"] == "refresh; reason=revoked"
    assert response.headers["Cache-Control"] == "no-store"
    assert seen == {"before": "user-1", "then": (None, None), "after": (None, None)}


# --- how often the core is asked -----------------------------------------------------------------


def test_core_is_asked_once_per_request_however_often_it_is_asked_for(app: Flask) -> None:
    often = "{{ needs_refresh }}{{ needs_refresh(optional=True) }}"
    with_templates(app, often=TEMPLATE_GUARD + often)
    app.before_request(partial(require_session, check_revoked=True))

    @app.route("/often")
    @CHECKED
    @CHECKED
    def view() -> str:
        require_session(check_revoked=True)
        return render_template("often.html")

    asked = stub_revocation(app, is_known)
    token = make_token(sessionHandle="handle-1")
    for requests in (1, 2):
        assert ask(app, "/often", token).status_code == 200
        assert asked == ["handle-1"] * requests
    stub_revocation(app, is_revoked)
    assert page_shown(ask(app, "/often", token)) == "refresh"


@pytest.mark.parametrize("answer", [is_known, is_revoked, is_down])
def test_hook_and_view_ask_once_between_them(
    strict_app: Flask, answer: Callable[[str], bool]
) -> None:
    asked = stub_revocation(strict_app, answer)
    # The last one: the hook had nothing to decide there.
    for path in ("/checks", "/trusts", "/news", "/page", "/open", "/nowhere", "/exempt-inside"):
        asked.clear()
        ask(strict_app, path)
        assert len(asked) == 1, path


def test_core_is_asked_about_sessions_that_matter_only(app: Flask, strict_app: Flask) -> None:
    asked = stub_revocation(strict_app, is_known)
    client = strict_app.test_client(use_cookies=False)
    for visitor in ({}, cookies(), cookies(expired_token()), cookies("junk")):
        for path in ("/checks", "/trusts", "/news", "/page"):
            client.get(path, headers=PAGE | visitor)
            assert asked == [], (path, visitor)
    with outage(strict_app):
        ask(strict_app, "/checks")
    headers = PAGE | cookies(make_token())
    assert ask(strict_app, "/exempt").text == "exempt"
    client.post("/auth/session/refresh", headers=headers)
    client.options("/checks", headers=headers | {"Access-Control-Request-Method": "POST"})
    client.post("/checks", headers=headers | {"Sec-Fetch-Site": "cross-site"})
    assert asked == []
    asked = stub_revocation(app, is_down)
    for path in ("/trusts", "/news", "/open", "/page"):
        response = ask(app, path)
        assert (response.status_code, page_shown(response)) == (200, ""), path
    assert asked == []


# --- the core is down ----------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [False, True], ids=["view asks", "hook asks"])
def test_core_that_is_down_is_an_outage_and_signs_nobody_out(
    strict: bool, app: Flask, strict_app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    asking = strict_app if strict else app
    stub_revocation(asking, is_down)
    response = ask(asking, "/checks")
    assert (response.status_code, page_shown(response)) == (503, "outage")
    assert response.headers["SSR-Session"] == "unavailable; reason=core_unavailable"
    script = ask(asking, "/checks", **FETCH)
    told = {"message": "session cannot be checked right now"}
    assert (script.status_code, script.json) == (503, told)
    (line,) = [r for r in caplog.records if r.name.startswith("flask_ssr_session")]
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith("core_unavailable: no complete answer in time")
    # An optional page that asks is shown signed out.
    for path in ("/news", "/hooked-news") if strict else ("/hooked-news",):
        response = ask(asking, path)
        assert (response.status_code, response.text) == (200, "for everyone"), path
    stub_revocation(asking, is_known)
    for path in ("/checks", "/news", "/hooked-news"):
        assert ask(asking, path).text == "for user-1", path


def test_page_that_streams_already_shows_the_outage(app: Flask) -> None:
    """Its status is out by then, but no content is."""
    with_templates(app, late=LATE)
    app.add_url_rule("/late", "late", lambda: stream_template("late.html"))
    app.jinja_env.globals["look_up"] = lambda: current_request_state().ask_core()
    stub_revocation(app, is_down)
    response = ask(app, "/late")
    assert page_shown(response) == "outage"
    assert "secret" not in response.text


def test_unexpected_error_of_the_look_up_is_an_outage(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(handle: str) -> bool:
        raise RuntimeError(f"a defect that knows {handle}")

    stub_revocation(app, fail)
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
    sdk = sdk_values(session_uris=(uri,), core_headers=headers)
    app = with_pages(make_app(sdk=sdk, check_revoked=True))
    app.extensions["ssr_session"].override_keys_for_testing(
        app.extensions["ssr_session_test_keys"].keys
    )
    token = make_token(sessionHandle="handle-1")
    assert [ask(app, "/trusts", token).status_code for _ in range(3)] == [503] * 3
    assert asked == [(f"{uri}?sessionHandle=handle-1", headers)]


# --- without the SDK -----------------------------------------------------------------------------


def bare_app(**settings: Any) -> Flask:
    """Return an app that trusts keys of its own, and has neither SDK nor test keys."""
    app = with_pages(Flask("bare"))
    app.testing = True
    FlaskSSRSession(app, api_domain=API_DOMAIN, jwks={"keys": [SessionSigner().jwk()]}, **settings)
    return app


def test_check_without_the_sdk_says_what_to_do_and_lets_nobody_in() -> None:
    strict, app = bare_app(check_revoked=True), bare_app()
    for token in ("junk", make_token()):
        with pytest.raises(ConfigError, match=r"SSR_SESSION_CHECK_REVOKED.*supertokens_python\."):
            ask(strict, "/open", token)
        with pytest.raises(
            MisuseError, match=r"check_revoked and signed.*supertokens_python\.init"
        ):
            ask(app, "/checks", token)
    assert ask(app, "/trusts").text == "for user-1"
    app.testing = False
    response = ask(app, "/checks")
    assert (response.status_code, "for user-1" in response.text) == (500, False)


def test_setting_works_with_the_test_keys_alone() -> None:
    """An app that is tested without its SDK, as the test keys promise: no core, no network."""
    client = signed_in(with_pages(make_app(check_revoked=True)))
    assert client.get("/trusts", headers=PAGE).text == "for user-1"
    revoke(client)
    assert page_shown(client.get("/trusts", headers=PAGE)) == "refresh"
