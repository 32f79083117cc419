"""``require_session()`` in hooks, views and error handlers, and how far the marks of a view reach.

A mark belongs to one function. The requirements of a guard apply while its function runs; those of
the view stay to the end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, abort, after_this_request, g, render_template, request
from flask import render_template_string as render
from flask import stream_template_string as stream
from flask.views import MethodView
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

import flask_ssr_session as ssr
from flask_ssr_session.testing import outage, sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows
from tests.tokens import expired_token, make_token

from . import apps
from .visitors import cookies

Function = Callable[..., Any]
CLOSED = rows("closed", {"open app": False, "closed app": True})

# The claims of a token; None stands for no token.
STRANGER: dict[str, Any] | None = None
READER: dict[str, Any] = {}
ADMIN: dict[str, Any] = {"roles": ["admin"]}
UNVERIFIED: dict[str, Any] = {"st-ev": {"v": False, "t": 1}}
GOOD: dict[str, Any] = {"st-ev": {"v": True, "t": 1}}
PENDING: dict[str, Any] = GOOD | {"st-mfa": {"c": {}, "v": False}}


def ask(app: Flask, path: str, claims: Any, headers: dict[str, str] = FETCH) -> TestResponse:
    sent = {} if claims is None else cookies(make_token(**claims))
    client = app.test_client(use_cookies=False)
    return client.get(path, headers=headers | sent, buffered=True)


def closed(app: Flask, is_closed: bool = True) -> Flask:
    if is_closed:
        app.before_request(ssr.require_session)
    return app


def content(**_: str) -> str:
    return f"content for {g.session.user_id if g.session else 'strangers'}"


def plain() -> Function:
    """Return a view that no other app has decorated."""
    return lambda **_: content()


def test_view_named_static_is_guarded_although_a_static_folder_is_set_later() -> None:
    app = closed(apps.make_app(Flask("late", static_folder=None)))
    app.static_folder = "static"
    for endpoint in ("static", "no-blueprint.static"):
        app.add_url_rule(f"/{endpoint}", endpoint, plain())
    for endpoint in ("static", "no-blueprint.static"):
        assert ask(app, f"/{endpoint}", STRANGER).status_code == 401
        assert ask(app, f"/{endpoint}", READER).text == "content for user-1"


def for_admins(view: Function) -> Function:
    @functools.wraps(view)
    def inner(*args: Any, **kwargs: Any) -> Any:
        ssr.require_session(role="admin")
        return view(*args, **kwargs)

    return inner


def limited(view: Function) -> Function:
    """A decorator that ignores sessions, like Flask-Limiter's."""
    return functools.wraps(view)(lambda *args, **kwargs: view(*args, **kwargs))


@CLOSED
@pytest.mark.parametrize("below", [ssr.session_exempt, ssr.session_optional, lambda view: view])
def test_decorator_that_asks_for_a_role_means_it(below: Function, closed: bool) -> None:
    app = apps.make_app()
    app.static_folder = str(Path(__file__).parent)
    app.view_functions["static"] = for_admins(app.view_functions["static"])
    app.add_url_rule("/", "view", for_admins(below(plain())))
    app.add_url_rule("/twice", "twice", limited(for_admins(limited(below(plain())))))
    if closed:
        app.before_request(ssr.require_session)
    # As a profiler or a debug toolbar does.
    dispatch = app.dispatch_request
    app.dispatch_request = lambda *args: dispatch(*args)  # type: ignore[method-assign]
    for path in ("/", "/twice", "/static/conftest.py"):
        for claims, status in ((STRANGER, 401), (READER, 403), (ADMIN, 200)):
            assert ask(app, path, claims).status_code == status, path


# --- optional for a blueprint --------------------------------------------------------------------

ABROAD = PAGE | {"Sec-Fetch-Site": "cross-site"}
NAMES = ("SSR-Session", "Cache-Control")
OPTIONAL = functools.partial(ssr.require_session, optional=True)


def open_area(app: Flask, *hooks: Function) -> Flask:
    """Give *app* a blueprint with *hooks*, and the view that they should be like."""
    area = Blueprint("area", "area", url_prefix="/area")
    for hook in hooks:
        area.before_request(hook)
    views = {"plain": page, "guarded": ssr.session_required(page), "admin": for_admins(page)}
    views |= {"exempt": ssr.session_exempt(page), "optional": ssr.session_optional(page)}
    for name, view in views.items():
        area.add_url_rule(f"/{name}", name, view, methods=["GET", "POST"])
    app.register_blueprint(area)
    app.add_url_rule("/marked", "marked", ssr.session_optional(page), methods=["GET", "POST"])
    return app


def page() -> str:
    return f"{content()}, held back: {render('{{ needs_refresh }}')}"


@rows("headers", {"page": PAGE, "script": FETCH, "another site": ABROAD})
@rows("path", {"": "", "by choice": "?continueSignedOut=1"})
@rows("method", {"GET": "GET", "POST": "POST"})
@rows("in_outage", {"": False, "outage": True})
def test_optional_hook_asks_what_session_optional_asks(
    claims_app: Flask, headers: dict[str, str], path: str, method: str, in_outage: bool
) -> None:
    app = open_area(claims_app, OPTIONAL)
    client = app.test_client(use_cookies=False)
    tokens = [make_token(**claims) for claims in (UNVERIFIED, GOOD, PENDING)]
    shown = set()
    with outage(app) if in_outage else app.app_context():
        for cookie in ({}, *map(cookies, (*tokens, expired_token(), "junk"))):
            answers = [
                client.open(at + path, method=method, headers=headers | cookie)
                for at in ("/marked", "/area/plain", "/area/optional")
            ]
            told = {
                (a.status_code, *map(a.headers.get, NAMES), "content for" in a.text and a.text)
                for a in answers
            }
            assert len(told) == 1, cookie
            shown |= told
    # Nobody is sent to sign in, and without the choice an expired token is refreshed.
    assert {status for status, *_ in shown} <= {200, 401, 403, 503}
    assert any(text == "content for strangers, held back: False" for *_, text in shown)


LOWERS_NOTHING: dict[str, Any] = {
    "stranger": ([OPTIONAL], "plain", STRANGER, 200),
    "a view that requires a session": ([OPTIONAL], "guarded", STRANGER, 401),
    "a session there": ([OPTIONAL], "guarded", READER, 200),
    "a view that requires a role": ([OPTIONAL], "admin", READER, 403),
    "the role": ([OPTIONAL], "admin", ADMIN, 200),
    "an exempt view": ([OPTIONAL], "exempt", STRANGER, 200),
    "a stricter hook after it": ([OPTIONAL, ssr.require_session], "plain", STRANGER, 401),
    "a stricter hook before it": ([ssr.require_session, OPTIONAL], "plain", STRANGER, 401),
    "a session for both": ([ssr.require_session, OPTIONAL], "plain", READER, 200),
}


@rows("of_area, name, claims, status", LOWERS_NOTHING)
def test_optional_hook_lowers_no_guard(of_area: Any, name: str, claims: Any, status: int) -> None:
    app = open_area(apps.make_app(), *of_area)
    assert ask(app, f"/area/{name}", claims).status_code == status


@rows("state", {"stranger": "anonymous", "expired": "expired", "outage": "outage"})
def test_require_session_in_a_view_stops_strangers(app: Flask, state: str) -> None:
    status = 503 if state == "outage" else 401

    def view(name: str = "private") -> str:
        if name == "private":
            ssr.require_session()
        return name

    async def private() -> str:
        return view()

    app.add_url_rule("/optional/<name>", "optional", ssr.session_optional(view))
    app.add_url_rule("/async", "async", ssr.session_optional(private))
    app.add_url_rule("/bare/<name>", "bare", view)
    app.add_url_rule("/exempt/<name>", "exempt", ssr.session_exempt(view))
    paths = ("/optional/private", "/async", "/bare/private", "/exempt/private")
    client = app.test_client()
    if state != "anonymous":
        sign_in(client, valid_seconds=-60 if state == "expired" else 3600)
    with outage(app) if state == "outage" else app.app_context():
        for path in (*paths, "/optional/private?continueSignedOut=1"):
            assert client.get(path, headers=FETCH).status_code == status, path
            assert client.get(path, headers=PAGE).text != "private", path
        going_on = client.get("/optional/public?continueSignedOut=1", headers=PAGE)
        assert going_on.text == "public"
    sign_in(client)
    assert [client.get(path).text for path in paths] == ["private"] * 4


def test_session_required_is_an_http_exception_that_carries_the_answer(app: Flask) -> None:
    @app.route("/catches")
    def catches() -> str:
        with pytest.raises(ssr.SessionRequired) as caught:
            ssr.require_session()
        assert isinstance(caught.value, HTTPException)
        answer = caught.value.get_response()
        assert (answer.status_code, answer.location) == (302, "/auth?redirectToPath=/catches")
        return "please sign in over there"

    response = ask(app, "/catches", STRANGER, PAGE)
    assert (response.status_code, response.text) == (200, "please sign in over there")
    # A view that catches it still keeps its page out of caches.
    assert response.headers["Cache-Control"] == "no-store"


# --- requirements last as long as their function -------------------------------------------------

TEMPLATE = "{% if needs_refresh %}held back{% else %}SECRET{% endif %}"


@pytest.fixture
def claims_app(monkeypatch: pytest.MonkeyPatch) -> Flask:
    """An app whose SDK requires a verified e-mail address of every session."""
    sdk = apps.sdk_values(global_claims=apps.FakeGlobalClaims(apps.EMAIL))
    monkeypatch.setattr(ssr.app_state, "read_sdk", lambda: sdk)
    app = apps.make_app()
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return apps.with_templates(app, page=apps.TEMPLATE_GUARD)


def decided() -> str:
    return render(TEMPLATE)


ALLOWS_PENDING = ssr.session_required(allow_pending=True)
WAIVES_CLAIMS = ssr.session_required(global_claims=False)
RAISES = ssr.session_required(allow_pending=True, role="x")


GUARDS: dict[str, Any] = {
    "optional, stranger": (ssr.session_optional, STRANGER, False, True),
    "optional, pending": (ssr.session_optional, PENDING, False, False),
    "allows pending": (ALLOWS_PENDING, PENDING, False, True),
    "waives claims": (WAIVES_CLAIMS, UNVERIFIED, True, True),
    "raises": (RAISES, PENDING, False, False),
}


@rows("guard, claims, has_session, is_shown", GUARDS)
@CLOSED
def test_guard_opens_nothing_around_its_function(
    claims_app: Flask, guard: Function, claims: Any, has_session: bool, is_shown: bool, closed: bool
) -> None:
    app, guarded = claims_app, guard(lambda: "part")

    def calls() -> str:
        try:
            guarded()
        except ssr.InvalidClaimsError:  # a claim of its own that failed
            assert guard is RAISES
        return f"{decided()} {g.session is not None}"

    @functools.wraps(guarded)
    def reports() -> Any:
        """A decorator of the app's that shows another page."""
        return decided() if "report" in request.args else guarded()

    app.add_url_rule("/it", "it", reports)
    app.add_url_rule("/calls", "calls", calls)
    if closed:
        app.before_request(ssr.require_session)
    else:
        assert ask(app, "/calls", claims).text == f"held back {has_session}"
    assert ask(app, "/calls", GOOD).text == "SECRET True"
    if is_shown:
        assert ask(app, "/it", claims).text == "part"
    assert "SECRET" not in ask(app, "/it?report", claims).text
    assert ask(app, "/it?report", GOOD).text == "SECRET"


@pytest.mark.parametrize("decorate", [ssr.session_optional, ssr.session_exempt])
def test_decorated_hook_opens_and_closes_nothing(claims_app: Flask, decorate: Function) -> None:
    app, hook = claims_app, decorate(lambda: None)
    app.before_request(hook)
    app.before_request(lambda: decided() if request.endpoint == "both" else None)
    app.add_url_rule("/both", "both", hook)
    app.add_url_rule("/dash", "dash", decided)
    app.add_url_rule("/auth", "sign_in", lambda: "sign in")
    app.add_url_rule("/health", "health", ssr.session_exempt(lambda: "ok"))
    assert "SECRET" not in ask(app, "/dash", STRANGER).text
    assert ask(app, "/both", STRANGER).text == "held back"
    app.before_request_funcs[None].append(ssr.require_session)
    assert ask(app, "/auth", STRANGER).text == "sign in"
    assert ask(app, "/health", STRANGER).text == "ok"
    assert ask(app, "/dash", STRANGER).status_code == 401


def test_hook_that_says_so_itself_admits_for_the_whole_view(claims_app: Flask) -> None:
    claims_app.before_request(functools.partial(ssr.require_session, allow_pending=True))
    claims_app.add_url_rule("/it", "it", lambda: f"{decided()} {g.session is not None}")
    assert ask(claims_app, "/it", PENDING).text == "SECRET True"
    assert ask(claims_app, "/it", STRANGER).status_code == 401


class Both(MethodView):
    """A view whose methods are guarded one by one."""

    @ssr.session_optional
    def get(self) -> str:
        return decided()


TEMPLATES: dict[str, Any] = {
    "optional view": (ssr.session_optional(lambda: decided()), "SECRET"),
    "view": (decided, "held back"),
    # A stream is rendered after the view has returned, and so after its decorator has.
    "stream of an optional view": (ssr.session_optional(lambda: stream(TEMPLATE)), "SECRET"),
    "stream of a part": (lambda: ssr.session_optional(lambda: stream(TEMPLATE))(), "held back"),
    "method that is optional": (Both.as_view("both"), "SECRET"),
}


@rows("view, shown", TEMPLATES)
def test_template_is_asked_as_its_view_is(claims_app: Flask, view: Function, shown: str) -> None:
    claims_app.add_url_rule("/it", "it", view)
    assert ask(claims_app, "/it", STRANGER).text == shown


# --- error handlers ------------------------------------------------------------------------------


def fail() -> str:
    raise LookupError("in a view")


ERRORS: dict[str, Any] = {
    "404": ("/nowhere", 404),
    "404 below the API": ("/auth/nowhere", 404),
    "404 at sign-in": ("/auth", 404),
    "raised by a view": ("/aborts", 410),
    "raised by an exempt view": ("/exempt", 410),
    "raised by a hook": ("/hook", 418),
    "a view that fails": ("/fails", 500),
    "a view that fails, handled as 500": ("/divides", 500),
}


@rows("first", {"after an exempt request": True, "at once": False})
@rows("path, status", ERRORS)
def test_error_handler_that_asks_means_it(path: str, status: int, first: bool) -> None:
    def guarding(error: Exception) -> Any:
        ssr.require_session(role="admin") if "role" in request.args else ssr.require_session()
        return content(), getattr(error, "code", 500)

    app = apps.make_app()
    app.config["PROPAGATE_EXCEPTIONS"] = False
    views = {
        "/health": ssr.session_exempt(lambda: "ok"),
        "/aborts": lambda: abort(410),
        "/exempt": ssr.session_exempt(lambda: abort(410)),
        "/fails": fail,
        "/divides": lambda: str(1 // 0),
    }
    apps.add_views(app, views)
    app.before_request(lambda: abort(418) if request.path == "/hook" else None)
    for code in (404, 410, 418, 500, LookupError):
        app.register_error_handler(code, guarding)
    if first:
        assert ask(app, "/health", STRANGER).text == "ok"
    for name, claims, query, expected, state in (
        ("stranger", STRANGER, "", 302, "anonymous; reason=anonymous"),
        ("reader", READER, "", status, None),
        ("role missing", READER, "?role", 403, "active; reason=claims"),
        ("admin", ADMIN, "?role", status, None),
    ):
        answer = ask(app, path + query, claims, PAGE)
        assert answer.status_code == expected, name
        assert answer.headers.get("SSR-Session") == state, name
        assert (answer.text == "content for user-1") is (state is None), name


@CLOSED
@rows("handled", {"any error": Exception, "HTTP errors": HTTPException, "none": KeyError})
@rows("trap", {"": False, "TRAP_HTTP_EXCEPTIONS": True})
def test_our_answers_pass_by_handlers_for_any_error(handled: Any, trap: bool, closed: bool) -> None:
    app = apps.make_app()
    app.config["TRAP_HTTP_EXCEPTIONS"] = trap
    app.register_error_handler(handled, lambda _error: ("handled", 418))
    if handled is not KeyError:
        app.register_error_handler(ssr.InvalidClaimsError, lambda _error: ("no", 403))
    app.add_url_rule("/", "view", for_admins(plain()))
    app.add_url_rule("/missing", "missing", lambda: abort(404))
    if closed:
        app.before_request(ssr.require_session)
    assert ask(app, "/", STRANGER, PAGE).location == "/auth?redirectToPath=/"
    assert ask(app, "/", STRANGER).json == {"message": "unauthorised"}
    if handled is KeyError:
        # A claim that failed is 403 also where HTTP errors are trapped.
        for app.config["PROPAGATE_EXCEPTIONS"] in (True, False):
            assert ask(app, "/", READER, PAGE).status_code == 403
        return
    assert ask(app, "/missing", STRANGER).status_code == (401 if closed else 418)
    assert ask(app, "/missing", READER).status_code == 418
    assert ask(app, "/", READER, PAGE).text == "no"


ERROR_PAGES: dict[str, Any] = {
    "404 of a factor page": (ALLOWS_PENDING(lambda: abort(404)), PENDING),
    "404 of a page that waives claims": (WAIVES_CLAIMS(lambda: abort(404)), UNVERIFIED),
    "404 of an optional page": (ssr.session_optional(lambda: abort(404)), STRANGER),
    "403 for a claim": (ssr.session_required(role="no-one")(lambda: "content"), UNVERIFIED),
    "500 after the claims page": (lambda: (render_template("page.html"), fail()), UNVERIFIED),
    "500 of an optional page, of a function after it": (
        ssr.session_optional(lambda: str(after_this_request(lambda _response: fail()))),
        STRANGER,
    ),
    "unknown address": (None, UNVERIFIED),
}


@rows("view, claims", ERROR_PAGES)
def test_error_page_shows_nobody_what_other_pages_hold_back(
    claims_app: Flask, view: Function | None, claims: dict[str, Any] | None
) -> None:
    if view is not None:
        claims_app.add_url_rule("/it", "it", view)
    for code in (403, 404, 500):
        claims_app.register_error_handler(code, lambda _error: (decided() + str(g.session), 418))
    answer = ask(claims_app, "/it", claims, PAGE)
    assert "SECRET" not in answer.text
    assert "held back" in answer.text
    assert ("SSRSession" in answer.text) is (claims is UNVERIFIED)
    # Its requirements end with the view: the error page shows what any session may see.
    assert "SECRET" in ask(claims_app, "/it", GOOD, PAGE).text


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
    ssr.require_session()
    return "SECRET"


@CLOSED
@pytest.mark.parametrize("app_class", [OwnDispatch, Flask])
def test_app_with_a_dispatch_of_its_own_fails_closed(app_class: type[Flask], closed: bool) -> None:
    app = apps.make_app(app_class("own_dispatch"))
    if closed:
        app.before_request(ssr.require_session)
    app.add_url_rule("/auth/admin", "admin", inside)
    app.add_url_rule("/public", "public", ssr.session_exempt(inside))
    app.add_url_rule("/health", "health", ssr.session_exempt(lambda: "ok"))
    for _ in range(2):
        assert ask(app, "/health", STRANGER).text == "ok"
        for path in ("/auth/admin", "/public"):
            assert ask(app, path, STRANGER).status_code == 401
            assert ask(app, path, GOOD).text == "SECRET"
        # A method that is replaced later closes and opens nothing.
        dispatch = functools.partial(app_class.dispatch_request, app)
        app.dispatch_request = dispatch  # type: ignore[method-assign]


def test_function_after_the_request_means_it(app: Flask) -> None:
    def guard(response: Response) -> Response:
        with pytest.raises(ssr.SessionRequired):
            ssr.require_session()
        response.data = "asked"
        return response

    app.add_url_rule("/auth", "sign_in", lambda: "sign in")
    app.before_request(lambda: "answered by a hook")
    app.after_request(guard)
    assert ask(app, "/auth", STRANGER).text == "asked"


def test_request_inside_of_a_hook_is_told_apart_from_the_hook() -> None:
    app = apps.make_app()
    app.add_url_rule("/inner", "inner", ssr.session_optional(plain()))
    app.add_url_rule("/outer", "outer", ssr.session_optional(plain()))

    @app.before_request
    def ask_inside() -> None:
        if request.path == "/outer":
            assert app.test_client().get("/inner").text == "content for strangers"
        ssr.require_session()

    assert ask(app, "/outer", STRANGER).text == "content for strangers"
