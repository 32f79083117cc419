"""Marks belong to one function, and ``require_session()`` distinguishes hooks from views."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, abort, g, request
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from flask_ssr_session import (
    InvalidClaimsError,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.testing import sign_in
from tests.browser_requests import FETCH, PAGE

from .conftest import make_app

View_ = Callable[..., Any]

STRANGER: dict[str, Any] | None = None
READER: dict[str, Any] = {}
ADMIN: dict[str, Any] = {"roles": ["admin"]}


def ask(app: Flask, path: str, claims: dict[str, Any] | None, **headers: str) -> TestResponse:
    client = app.test_client()
    if claims is not None:
        sign_in(client, **claims)
    return client.get(path, headers=headers or FETCH, buffered=True)


def content() -> str:
    return f"content for {g.session.user_id if g.session else 'strangers'}"


def plain() -> View_:
    """Return a view that no other app has decorated."""
    return lambda: content()


def for_admins(view: View_) -> View_:
    """A decorator of the app that requires a role."""

    @functools.wraps(view)
    def inner(*args: Any, **kwargs: Any) -> Any:
        require_session(role="admin")
        return view(*args, **kwargs)

    return inner


def limited(view: View_) -> View_:
    """A decorator that ignores sessions, like Flask-Limiter's."""

    @functools.wraps(view)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return view(*args, **kwargs)

    return inner


def hiding(view: View_) -> View_:
    """A decorator that does not set ``__wrapped__``."""
    return lambda *args, **kwargs: view(*args, **kwargs)


def impostor(view: View_) -> View_:
    """Have the attributes of a marked view, and be another one."""

    def other() -> str:
        return content()

    vars(other).update(vars(view))
    vars(other).pop("__wrapped__", None)
    return other


@pytest.mark.parametrize("closed", [False, True], ids=["open app", "closed app"])
@pytest.mark.parametrize("below", [session_exempt, session_optional, lambda view: view])
def test_decorator_that_asks_for_a_role_means_it(
    below: Callable[[View_], View_], closed: bool
) -> None:
    app = make_app()
    app.add_url_rule("/", "view", for_admins(below(plain())))
    app.add_url_rule("/twice", "twice", limited(for_admins(limited(below(plain())))))
    if closed:
        app.before_request(require_session)
    for path in ("/", "/twice"):
        assert ask(app, path, STRANGER).status_code == 401
        assert ask(app, path, READER).status_code == 403
        assert ask(app, path, ADMIN).text == "content for user-1"


@pytest.mark.parametrize("closed", [False, True], ids=["open app", "closed app"])
def test_decorator_around_flasks_static_view_means_it(closed: bool) -> None:
    app = make_app()
    app.static_folder = str(Path(__file__).parent)
    app.view_functions["static"] = for_admins(app.view_functions["static"])
    if closed:
        app.before_request(require_session)
    assert ask(app, "/static/conftest.py", STRANGER).status_code == 401
    assert ask(app, "/static/conftest.py", READER).status_code == 403
    assert ask(app, "/static/conftest.py", ADMIN).status_code == 200


@pytest.mark.parametrize(
    ("view", "is_open"),
    [
        pytest.param(session_exempt(plain()), True, id="ignored"),
        pytest.param(session_optional(plain()), True, id="optional"),
        pytest.param(limited(session_exempt(plain())), True, id="ignored below a limit"),
        pytest.param(limited(limited(session_optional(plain()))), True, id="optional below two"),
        pytest.param(plain(), False, id="no mark"),
        pytest.param(limited(plain()), False, id="no mark below a limit"),
        pytest.param(hiding(session_exempt(plain())), False, id="ignored below what hides it"),
        pytest.param(impostor(session_exempt(plain())), False, id="looks ignored"),
        pytest.param(impostor(session_optional(plain())), False, id="looks optional"),
        pytest.param(session_required(session_optional(plain())), False, id="required on optional"),
        pytest.param(session_required(session_exempt(plain())), False, id="required on ignored"),
        pytest.param(session_exempt(session_required(plain())), False, id="ignored on required"),
    ],
)
def test_hook_finds_the_mark_below_other_decorators(view: View_, is_open: bool) -> None:
    app = make_app()
    app.before_request(require_session)
    app.add_url_rule("/", "view", view)
    assert ask(app, "/", STRANGER).status_code == (200 if is_open else 401)
    assert ask(app, "/", READER).status_code == 200


def test_circle_of_wrapped_functions_ends() -> None:
    def view() -> str:
        return "content"

    view.__wrapped__ = view  # type: ignore[attr-defined]
    app = make_app()
    app.before_request(require_session)
    app.add_url_rule("/", "view", view)
    assert ask(app, "/", STRANGER).status_code == 401


# --- error handlers ------------------------------------------------------------------------------


def guarding(error: Exception) -> Any:
    require_session()
    return content(), getattr(error, "code", 500)


def fail() -> str:
    raise LookupError("in a view")


@pytest.mark.parametrize("trap", [False, True], ids=["", "TRAP_HTTP_EXCEPTIONS"])
@pytest.mark.parametrize("first", ["/health", None], ids=["after an exempt request", "at once"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/nowhere", 404, id="404"),
        pytest.param("/auth/nowhere", 404, id="404 below the API"),
        pytest.param("/auth", 404, id="404 at sign-in"),
        pytest.param("/post-only", 405, id="405"),
        pytest.param("/aborts", 410, id="raised by a view"),
        pytest.param("/hook", 418, id="raised by a hook"),
        pytest.param("/fails", 500, id="a view that fails"),
        pytest.param("/ignored", 410, id="raised by an exempt view"),
    ],
)
def test_error_handler_that_asks_for_a_session_means_it(
    path: str, status: int, first: str | None, trap: bool
) -> None:
    app = make_app()
    app.config.update(TRAP_HTTP_EXCEPTIONS=trap, PROPAGATE_EXCEPTIONS=False)
    app.add_url_rule("/health", "health", session_exempt(lambda: "ok"))
    app.add_url_rule("/post-only", "post", lambda: "", methods=["POST"])
    app.add_url_rule("/aborts", "aborts", lambda: abort(410))
    app.add_url_rule("/ignored", "ignored", session_exempt(lambda: abort(410)))
    app.add_url_rule("/fails", "fails", fail)
    app.add_url_rule("/hook", "hook", lambda: "")

    @app.before_request
    def teapot() -> None:
        if request.path == "/hook":
            abort(418)

    for code in (404, 405, 410, 418):
        app.register_error_handler(code, guarding)
    app.register_error_handler(LookupError, guarding)
    if first is not None:
        assert ask(app, first, STRANGER).text == "ok"
    stranger = ask(app, path, STRANGER, **PAGE)
    assert (stranger.status_code, "content" in stranger.text) in (
        (302, False),
        # At sign-in itself, a redirect to sign-in would lead nowhere.
        (200, False),
    )
    assert stranger.headers["SSR-Session"] == "anonymous; reason=anonymous"
    assert ask(app, path, READER, **PAGE).text == "content for user-1"
    assert ask(app, path, READER, **PAGE).status_code == status


def test_error_handler_that_asks_for_a_role_shows_the_page_for_it() -> None:
    app = make_app()

    @app.errorhandler(404)
    def not_found(_error: Exception) -> Any:
        require_session(role="admin")
        return content(), 404

    for headers in (PAGE, FETCH):
        answer = ask(app, "/nowhere", READER, **headers)
        assert (answer.status_code, "content" in answer.text) == (403, False)
        assert answer.headers["SSR-Session"] == "active; reason=claims"
    assert ask(app, "/nowhere", ADMIN).text == "content for user-1"


@pytest.mark.parametrize("error", [Exception, HTTPException])
def test_answers_of_ours_pass_by_handlers_for_any_error(error: type[Exception]) -> None:
    app = make_app()
    app.config["TRAP_HTTP_EXCEPTIONS"] = True
    app.register_error_handler(error, lambda _error: ("handled", 418))
    app.register_error_handler(InvalidClaimsError, lambda _error: ("no", 403))
    app.before_request(require_session)
    app.add_url_rule("/", "view", for_admins(plain()))
    assert ask(app, "/", STRANGER, **PAGE).status_code == 302
    assert ask(app, "/", READER, **PAGE).text == "no"


def test_claim_that_failed_is_403_where_http_errors_are_trapped() -> None:
    app = make_app()
    app.config["TRAP_HTTP_EXCEPTIONS"] = True
    app.add_url_rule("/", "view", for_admins(plain()))
    for propagates in (True, False):
        app.config["PROPAGATE_EXCEPTIONS"] = propagates
        assert ask(app, "/", READER, **PAGE).status_code == 403


def test_extension_that_replaces_dispatching_during_setup_changes_nothing() -> None:
    app = make_app()
    dispatch = app.dispatch_request
    # As a profiler or a debug toolbar does.
    app.dispatch_request = lambda *args: dispatch(*args)  # type: ignore[method-assign]
    app.add_url_rule("/", "view", for_admins(session_exempt(plain())))
    assert ask(app, "/", STRANGER).status_code == 401


def test_request_inside_of_a_hook_is_told_apart_from_the_hook() -> None:
    app = make_app()
    app.add_url_rule("/inner", "inner", session_optional(plain()))
    app.add_url_rule("/outer", "outer", session_optional(plain()))

    @app.before_request
    def ask_inside() -> None:
        if request.path == "/outer":
            assert app.test_client().get("/inner").text == "content for strangers"
        require_session()

    assert ask(app, "/outer", STRANGER).text == "content for strangers"


def test_view_that_is_replaced_while_the_app_serves_has_its_own_marks() -> None:
    app = make_app()
    app.before_request(require_session)
    app.add_url_rule("/", "view", session_exempt(plain()))
    assert ask(app, "/", STRANGER).text == "content for strangers"
    app.view_functions["view"] = plain()
    assert ask(app, "/", STRANGER).status_code == 401
    app.view_functions["view"] = session_optional(plain())
    assert ask(app, "/", STRANGER).text == "content for strangers"
