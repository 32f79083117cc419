"""The app's own user: ``user_loader``, ``current_user`` and ``user=True``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Flask, render_template_string

import flask_ssr_session as ssr
from flask_ssr_session.testing import change_claims, expire, install_test_keys, outage, sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows

from .apps import API_DOMAIN, add_views, with_templates
from .visitors import failed_claims, signed_in


class User:
    def __init__(self, session: ssr.SSRSession) -> None:
        self.name = f"user {session.user_id}"


class Loads:
    """A loader of users that knows everyone but *stranger*, and counts its calls."""

    calls = 0

    def __call__(self, session: ssr.SSRSession) -> User | None:
        self.calls += 1
        return None if session.user_id == "stranger" else User(session)


async def load_async(session: ssr.SSRSession) -> User:
    return User(session)


@pytest.fixture
def loads() -> Loads:
    return Loads()


@pytest.fixture
def app(loads: Loads) -> Flask:
    return make_app(loads)


def make_app(loader: Callable[[ssr.SSRSession], Any] | None, **settings: Any) -> Flask:
    """Return an app with a page for each way to use the user; None registers no loader."""
    app = with_templates(
        Flask("app"),
        look="{% macro who() %}{{ current_user.name if current_user }}{% endmacro %}",
        page="{% import 'look.html' as look %}{{ look.who() }}|{{ look.who() }}",
    )
    app.testing = True
    ssr_session = ssr.FlaskSSRSession(app, api_domain=API_DOMAIN, **settings)
    if loader is not None:
        ssr_session.user_loader(loader)
    install_test_keys(app)

    def greeting() -> str:
        return f"{ssr.current_user.name}|{ssr.current_user.name}" if ssr.current_user else "nobody"

    page = ssr.session_required(lambda: render_template_string("{% include 'page.html' %}"))
    views = {
        "/account": ssr.session_required(greeting),
        "/welcome": ssr.session_required(greeting),
        "/news": ssr.session_optional(greeting),
        "/open": greeting,
        "/exempt": ssr.session_exempt(greeting),
        "/desk": ssr.session_required(user=True)(greeting),
        "/admin": ssr.session_required(user=True, role="admin")(greeting),
        "/page": page,
    }
    return add_views(app, views)


LOADED: dict[str, Any] = {
    "a page that needs a session": ("/account", "7", "user 7|user 7", 1),
    "one that does not": ("/news", "7", "user 7|user 7", 1),
    "one without a decorator": ("/open", "7", "user 7|user 7", 1),
    "an exempt one": ("/exempt", "7", "user 7|user 7", 1),
    "a template and what it imports": ("/page", "7", "user 7|user 7", 1),
    "a page that needs a user": ("/desk", "7", "user 7|user 7", 1),
    "a session without a user": ("/account", "stranger", "nobody", 1),
    "a visitor without a session": ("/open", None, "nobody", 0),
}


@rows("path, user_id, text, calls", LOADED)
def test_the_loader_runs_once_for(
    app: Flask, loads: Loads, path: str, user_id: str | None, text: str, calls: int
) -> None:
    client = signed_in(app, user_id) if user_id else app.test_client()
    assert (client.get(path, headers=PAGE).text, loads.calls) == (text, calls)


def test_an_async_loader_works() -> None:
    client = signed_in(make_app(load_async), "7")
    assert client.get("/desk", headers=PAGE).text == "user 7|user 7"


DENIED: dict[str, Any] = {
    "a session without a user": ("/desk", {}, "user"),
    "a role comes first": ("/admin", {}, "st-role"),
    "with the role": ("/admin", {"roles": ["admin"]}, "user"),
}


@rows("path, claims, failed", DENIED)
def test_a_session_without_a_user_is_not_let_in(
    app: Flask, loads: Loads, path: str, claims: dict[str, Any], failed: str
) -> None:
    failures: list[str] = []

    @app.errorhandler(ssr.InvalidClaimsError)
    def denied(error: ssr.InvalidClaimsError) -> tuple[str, int]:
        failures.extend(failure.id for failure in error.failures)
        return "denied", 403

    client = signed_in(app, "stranger", **claims)
    page, script = client.get(path, headers=PAGE), client.get(path, headers=FETCH)
    assert (page.text, failures, loads.calls) == ("denied", [failed], 2 * (failed == "user"))
    # A script gets the body that the browser SDK knows.
    assert failed_claims(script) == [failed]
    assert "message" in (script.json or {})["claimValidationErrors"][0]["reason"]
    assert signed_in(app, roles=["admin"]).get(path, headers=PAGE).status_code == 200


@rows("has_page", {"a page is named": True, "none is": False})
def test_the_app_may_name_a_page_that_creates_the_user(loads: Loads, has_page: bool) -> None:
    pages = {"claim_pages": {"user": "/welcome"}} if has_page else {}
    app = make_app(loads, **pages)
    # The hook protects the page where the user is created, which must stay open all the same.
    app.before_request(partial(ssr.require_session, user=True))
    client = signed_in(app, "stranger")
    desk, welcome = (client.get(path, headers=PAGE) for path in ("/desk", "/welcome"))
    assert (desk.status_code, welcome.status_code) == (403, 200 if has_page else 403)
    assert ("/welcome?redirectToPath=/desk" in desk.text) is has_page


@rows("path", {"a required one": "/desk", "an optional one": "/news"})
def test_a_hook_that_asks_for_a_user_lets_no_page_pass(loads: Loads, path: str) -> None:
    app = make_app(loads)
    app.before_request(partial(ssr.require_session, user=True))
    client = signed_in(app, "stranger")
    assert client.get(path, headers=PAGE).status_code == 403
    sign_in(client, "7")
    assert client.get(path, headers=PAGE).status_code == 200


def test_no_user_is_loaded_for_an_expired_session_or_in_an_outage(app: Flask, loads: Loads) -> None:
    client = signed_in(app)
    with outage(app):
        assert client.get("/desk", headers=PAGE).status_code == 503
    expire(client)
    assert client.get("/desk", headers=FETCH).status_code == 401
    assert client.get("/open", headers=PAGE).text == "nobody"
    assert loads.calls == 0


def test_what_the_loader_raises_reaches_the_app() -> None:
    """A database that is down is an error, not a user who may not see the page."""

    def load(_session: ssr.SSRSession) -> User:
        raise ConnectionError

    app = make_app(load)
    app.register_error_handler(ConnectionError, lambda _error: ("database", 503))
    client = signed_in(app)
    for path in ("/desk", "/open"):
        assert client.get(path, headers=PAGE).status_code == 503


@rows("changes, calls", {"as in the token": ({}, 1), "newer": ({"roles": ["admin"]}, 2)})
def test_the_loader_runs_for_new_claims(app: Flask, loads: Loads, changes: Any, calls: int) -> None:
    @app.get("/checked")
    def checked() -> str:
        before = ssr.get_current_user()
        ssr.require_session(check_revoked=True)
        return "same" if ssr.get_current_user() is before else "new"

    client = signed_in(app)
    change_claims(client, **changes)
    assert client.get("/checked", headers=PAGE).text == ("same" if calls == 1 else "new")
    assert loads.calls == calls


def test_without_a_loader() -> None:
    app = make_app(None)
    client = signed_in(app)
    for path in ("/desk", "/open"):
        with pytest.raises(ssr.MisuseError, match="user_loader"):
            client.get(path, headers=PAGE)
    assert client.get("/page", headers=PAGE).text == "|"


def test_outside_a_request_there_is_no_user(app: Flask) -> None:
    assert not ssr.current_user
    with app.app_context():
        assert ssr.get_current_user() is None


def test_the_template_variable_of_flask_login_stays(loads: Loads) -> None:
    app = make_app(loads)
    app.login_manager = object()  # type: ignore[attr-defined]
    client = signed_in(app, "7")
    assert client.get("/page", headers=PAGE).text == "|"
    assert client.get("/open", headers=PAGE).text == "user 7|user 7"


def no_argument() -> None: ...


@rows("loader", {"a class instance": object(), "a function without an argument": no_argument})
def test_a_loader_takes_one_argument(loader: Any) -> None:
    with pytest.raises(ssr.MisuseError, match="one argument"):
        ssr.FlaskSSRSession().user_loader(loader)
