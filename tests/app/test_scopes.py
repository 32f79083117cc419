"""The requirements of a guard apply while its function runs; those of the view stay to the end."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from flask import (
    Flask,
    Response,
    abort,
    g,
    render_template,
    render_template_string,
    request,
    stream_template_string,
)
from flask.views import MethodView
from werkzeug.test import TestResponse

from flask_ssr_session import (
    FlaskSSRSession,
    app_state,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.testing import install_test_keys
from tests.browser_requests import FETCH, PAGE
from tests.tokens import make_token

from .conftest import (
    EMAIL,
    TEMPLATE_GUARD,
    FakeGlobalClaims,
    cookies,
    make_app,
    sdk_values,
    with_templates,
)

View_ = Callable[..., Any]

TEMPLATE = "{% if needs_refresh %}held back{% else %}SECRET{% endif %}"

STRANGER: dict[str, Any] | None = None
UNVERIFIED: dict[str, Any] = {"st-ev": {"v": False, "t": 1}}
GOOD: dict[str, Any] = {"st-ev": {"v": True, "t": 1}}
PENDING: dict[str, Any] = GOOD | {"st-mfa": {"c": {}, "v": False}}


def ask(app: Flask, path: str, claims: dict[str, Any] | None, **headers: str) -> TestResponse:
    sent = {} if claims is None else cookies(make_token(**claims))
    client = app.test_client(use_cookies=False)
    return client.get(path, headers=(headers or FETCH) | sent, buffered=True)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Flask:
    sdk = sdk_values(global_claims=FakeGlobalClaims(EMAIL))
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk)
    app = make_app()
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return with_templates(app, page=TEMPLATE_GUARD)


def decided() -> str:
    return render_template_string(TEMPLATE)


# --- functions that a view or a hook calls -------------------------------------------------------


@pytest.mark.parametrize(
    ("inner", "claims"),
    [
        pytest.param(session_optional(lambda: "part"), STRANGER, id="optional, stranger"),
        pytest.param(session_optional(lambda: "part"), PENDING, id="optional, pending"),
        pytest.param(
            session_required(allow_pending=True)(lambda: "part"), PENDING, id="allows pending"
        ),
        pytest.param(
            session_required(global_claims=False)(lambda: "part"), UNVERIFIED, id="waives claims"
        ),
        pytest.param(
            session_required(allow_pending=True, role="x")(lambda: "part"), PENDING, id="raises"
        ),
    ],
)
def test_function_that_a_view_calls_opens_the_view_to_nobody(
    app: Flask, inner: View_, claims: dict[str, Any] | None
) -> None:
    def calls() -> str:
        try:
            inner()
        except Exception:  # noqa: BLE001 - a claim of its own that failed
            return decided()
        return decided()

    def sees() -> str:
        calls()
        return str(g.session is not None)

    app.add_url_rule("/dash", "dash", calls)
    app.add_url_rule("/sees", "sees", sees)
    assert "SECRET" not in ask(app, "/dash", claims).text
    assert ask(app, "/dash", GOOD).text == "SECRET"
    expected = claims is UNVERIFIED
    assert ask(app, "/sees", claims).text == str(expected)


@pytest.mark.parametrize("decorate", [session_optional, session_exempt])
def test_decorated_hook_opens_nothing_and_closes_nothing(
    app: Flask, decorate: Callable[[View_], View_]
) -> None:
    app.before_request(decorate(lambda: None))
    app.add_url_rule("/dash", "dash", decided)
    app.add_url_rule("/auth", "sign_in", lambda: "sign in")
    app.add_url_rule("/health", "health", session_exempt(lambda: "ok"))
    assert "SECRET" not in ask(app, "/dash", STRANGER).text
    app.before_request_funcs[None].append(require_session)
    assert ask(app, "/auth", STRANGER).text == "sign in"
    assert ask(app, "/health", STRANGER).text == "ok"
    assert ask(app, "/dash", STRANGER).status_code == 401


def reporting(view: View_) -> View_:
    """Be a decorator of the app's that shows another page."""

    @functools.wraps(view)
    def inner() -> Any:
        return decided() if "report" in request.args else view()

    return inner


@pytest.mark.parametrize("closed", [False, True], ids=["open app", "closed app"])
@pytest.mark.parametrize(
    ("below", "claims"),
    [
        pytest.param(session_optional, STRANGER, id="optional"),
        pytest.param(session_required(allow_pending=True), PENDING, id="allows pending"),
        pytest.param(session_required(global_claims=False), UNVERIFIED, id="waives claims"),
    ],
)
def test_hook_does_not_hand_the_mark_to_a_decorator_above_it(
    app: Flask, below: Callable[[View_], View_], claims: dict[str, Any] | None, closed: bool
) -> None:
    app.add_url_rule("/it", "it", reporting(below(lambda: "public")))
    if closed:
        app.before_request(require_session)
    assert ask(app, "/it", claims).text == "public"
    assert "SECRET" not in ask(app, "/it?report", claims).text
    assert ask(app, "/it?report", GOOD).text == "SECRET"


def test_hook_that_says_so_itself_admits_for_the_whole_view(app: Flask) -> None:
    app.before_request(functools.partial(require_session, allow_pending=True))
    app.add_url_rule("/it", "it", lambda: f"{decided()} {g.session is not None}")
    assert ask(app, "/it", PENDING).text == "SECRET True"
    assert ask(app, "/it", STRANGER).status_code == 401


def test_what_a_view_streams_is_asked_as_the_view_is(app: Flask) -> None:
    """It is rendered after the view has returned, and so after its decorator has."""
    app.add_url_rule("/open", "open", session_optional(lambda: stream_template_string(TEMPLATE)))
    app.add_url_rule("/part", "part", lambda: session_optional(lambda: streamed())())

    def streamed() -> Any:
        return stream_template_string(TEMPLATE)

    assert ask(app, "/open", STRANGER).text == "SECRET"
    assert ask(app, "/part", STRANGER).text == "held back"


class Both(MethodView):
    """A view whose methods are guarded one by one."""

    @session_optional
    def get(self) -> str:
        return decided()


def test_method_of_a_view_is_asked_while_it_runs(app: Flask) -> None:
    app.add_url_rule("/both", view_func=Both.as_view("both"))
    assert ask(app, "/both", STRANGER).text == "SECRET"


# --- error handlers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        pytest.param("/factor-404", PENDING, id="404 of a factor page"),
        pytest.param("/waived-404", UNVERIFIED, id="404 of a page that waives claims"),
        pytest.param("/optional-404", STRANGER, id="404 of an optional page"),
        pytest.param("/required", UNVERIFIED, id="403 for a claim"),
        pytest.param("/fails", UNVERIFIED, id="500 after the claims page"),
        pytest.param("/nowhere", UNVERIFIED, id="unknown address"),
    ],
)
def test_error_page_shows_nobody_what_other_pages_hold_back(
    app: Flask, path: str, claims: dict[str, Any] | None
) -> None:
    def fails() -> str:
        render_template("page.html")
        raise LookupError

    def gone() -> str:
        abort(404)

    app.add_url_rule("/factor-404", "a", session_required(allow_pending=True)(lambda: gone()))
    app.add_url_rule("/waived-404", "b", session_required(global_claims=False)(lambda: gone()))
    app.add_url_rule("/optional-404", "c", session_optional(lambda: gone()))
    app.add_url_rule("/required", "d", session_required(lambda: "content"))
    app.add_url_rule("/fails", "e", fails)
    for code in (403, 404, 500):
        app.register_error_handler(code, lambda _error: (decided() + str(g.session), 418))
    answer = ask(app, path, claims, **PAGE)
    assert "SECRET" not in answer.text
    assert "held back" in answer.text
    assert ("SSRSession" in answer.text) is (claims is UNVERIFIED)
    if path in ("/fails", "/nowhere"):
        assert "SECRET" in ask(app, path, GOOD, **PAGE).text


# --- what counts as a hook -----------------------------------------------------------------------


class OwnDispatch(Flask):
    """Runs views in a way of its own, past ``dispatch_request``."""

    def full_dispatch_request(self, *_: Any) -> Response:
        try:
            answer = self.preprocess_request()
            if answer is None:
                endpoint = str(request.endpoint)
                answer = self.view_functions[endpoint](**(request.view_args or {}))  # type: ignore[assignment]
        except Exception as error:  # noqa: BLE001 - as Flask does
            answer = self.handle_user_exception(e=error)
        return self.finalize_request(answer)  # type: ignore[arg-type]


def inside() -> str:
    require_session()
    return "SECRET"


@pytest.mark.parametrize("closed", [False, True], ids=["open app", "closed app"])
def test_app_that_dispatches_in_a_way_of_its_own_fails_closed(closed: bool) -> None:
    app = OwnDispatch("own_dispatch")
    app.testing = True
    FlaskSSRSession(app, api_domain="https://api.example.com")
    install_test_keys(app)
    if closed:
        app.before_request(require_session)
    app.add_url_rule("/auth/admin", "admin", inside)
    app.add_url_rule("/public", "public", session_exempt(inside))
    app.add_url_rule("/health", "health", session_exempt(lambda: "ok"))
    assert ask(app, "/health", STRANGER).text == "ok"
    for path in ("/auth/admin", "/public"):
        assert ask(app, path, STRANGER).status_code == 401
        assert ask(app, path, GOOD).text == "SECRET"


def test_method_that_is_replaced_later_closes_and_opens_nothing(app: Flask) -> None:
    app.before_request(require_session)
    app.add_url_rule("/public", "public", session_exempt(inside))
    app.add_url_rule("/health", "health", session_exempt(lambda: "ok"))
    assert ask(app, "/health", STRANGER).text == "ok"
    dispatch = type(app).dispatch_request
    app.dispatch_request = functools.partial(dispatch, app)  # type: ignore[method-assign]
    assert ask(app, "/public", STRANGER).status_code == 401
    assert ask(app, "/health", STRANGER).text == "ok"


def test_function_after_the_request_means_it(app: Flask) -> None:
    app.add_url_rule("/auth", "sign_in", lambda: "sign in")
    app.before_request(lambda: "answered by a hook")
    seen: list[type[Exception]] = []

    @app.after_request
    def guard(response: Response) -> Response:
        try:
            require_session()
        except Exception as error:  # noqa: BLE001
            seen.append(type(error))
        return response

    ask(app, "/auth", STRANGER)
    assert [error.__name__ for error in seen] == ["SessionRequired"]


def test_handler_for_500_may_ask_for_a_session(app: Flask) -> None:
    @app.get("/boom")
    def boom() -> str:
        raise RuntimeError

    @app.errorhandler(500)
    def details(_error: Exception) -> Any:
        require_session()
        return "details", 500

    assert ask(app, "/boom", STRANGER, **PAGE).status_code == 302
    assert ask(app, "/boom", STRANGER).status_code == 401
    answer = ask(app, "/boom", UNVERIFIED, **PAGE)
    assert (answer.status_code, "details" in answer.text) == (403, False)
    assert ask(app, "/boom", GOOD).text == "details"
