"""``g.session`` and the one verdict of a request, and the requests that have none."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import flask
import pytest
from blinker.base import ANY_ID
from flask import (
    Blueprint,
    Flask,
    Request,
    Response,
    current_app,
    g,
    render_template,
    request,
    request_started,
)
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from werkzeug.routing import Rule

from flask_ssr_session import (
    FlaskSSRSession,
    MisuseError,
    get_ssr_session,
    request_verdict,
    require_session,
    safe_return_path,
    session_exempt,
    session_required,
)
from flask_ssr_session.testing import install_test_keys, sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows
from tests.tokens import expired_token, make_token

from .apps import API_DOMAIN, make_app, requiring, sdk_values, with_templates, with_views
from .visitors import cookies, page_shown


def user() -> str:
    session = get_ssr_session()
    assert session is g.session
    return session.user_id if session else "nobody"


def test_receivers_that_run_before_the_hook(app: Flask, client: FlaskClient) -> None:
    """They see no session until they ask for it; in a context that lives on, none left behind."""
    seen: list[Any] = []

    def look(_app: Flask, **_more: Any) -> None:
        seen.append(g.session)
        if "ask" in request.args:
            seen.append(user())

    sign_in(client)
    with request_started.connected_to(look, app), app.app_context():
        assert client.get("/account?ask").text == "account of user-1"
        assert g.session.user_id == "user-1"  # left behind, until the next request begins
        app.test_client().get("/static/none")
        assert app.test_client().get("/account", headers=FETCH).status_code == 401
    assert seen == [None, "user-1", None, None]


def test_signal_is_listened_to_only_where_others_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    # Sentry's integration, which another test starts, listens to every app.
    monkeypatch.setitem(request_started._by_sender, ANY_ID, set())

    def receivers(app: Flask) -> int:
        assert app.test_client().get("/open").text == "open"
        return len(list(request_started.receivers_for(app)))

    assert receivers(with_views(make_app())) == 0
    overheard = with_views(make_app())
    with request_started.connected_to(lambda _app, **_more: None, overheard):
        assert receivers(overheard) == 2


def test_other_receivers_of_request_started_do_not_disturb(app: Flask, client: FlaskClient) -> None:
    def plant(_app: Flask, **_more: Any) -> None:
        g.session = "planted"

    with request_started.connected_to(plant, app):
        assert client.get("/account", headers=FETCH).status_code == 401
        sign_in(client)
        assert client.get("/account").text == "account of user-1"


class FromHeader(Request):
    @property
    def cookies(self) -> MultiDict[str, str]:  # type: ignore[override]
        return MultiDict({"sAccessToken": self.headers["X-Token"]})


@rows("by_class", {"by a request class": True, "by a receiver before the hook": False})
def test_cookies_that_the_app_reads_its_own_way_are_looked_at(app: Flask, by_class: bool) -> None:
    def plant(_app: Flask, **_more: Any) -> None:
        request.cookies = ImmutableMultiDict({"sAccessToken": request.headers["X-Token"]})

    if by_class:
        app.request_class = FromHeader
    else:
        request_started.connect(plant, app)
    client = app.test_client()
    assert client.get("/account", headers={"X-Token": make_token()}).text == "account of user-1"
    assert client.get("/account", headers=FETCH | {"X-Token": "x"}).status_code == 401


def test_functions_of_the_app_stand_inside_ours_even_if_they_were_registered_first() -> None:
    app, seen = Flask("early"), []
    app.testing = True

    @app.after_request
    def store(response: Response) -> Response:
        response.headers["Cache-Control"] = "public"
        return response

    app.before_request(lambda: seen.append(g.session.user_id))  # not asked for: set already
    app.teardown_request(lambda _error: seen.append(user()))
    FlaskSSRSession(app, api_domain=API_DOMAIN)
    install_test_keys(app)

    @app.route("/<path:_rest>")
    @session_required
    def outer(_rest: str) -> str:
        if "inner" not in request.path:
            other = current_app.test_client(use_cookies=False)
            other.get("/inner", headers=cookies(make_token(user_id="inner")))
        return user()

    response = app.test_client(use_cookies=False).get("/outer", headers=cookies(make_token()))
    assert (response.text, response.headers["Cache-Control"]) == ("user-1", "private")
    assert seen == ["user-1", "inner", "inner", "user-1"]


@rows("is_copied", {"a request": False, "one whose context was copied": True})
def test_request_inside_a_request_leaves_the_outer_session(
    app: Flask, client: FlaskClient, is_copied: bool
) -> None:
    seen: list[str] = []
    app.add_url_rule("/inner", "inner", user)

    @app.route("/outer")
    @session_required
    def outer() -> str:
        if is_copied:
            flask.copy_current_request_context(str)()  # in the same g
        other = current_app.test_client()
        seen.extend([other.get("/inner").text, user()])
        sign_in(other, "other")
        seen.extend([other.get("/inner").text, user()])
        with current_app.test_request_context("/mail"):
            seen.append(render_template("mail.html"))
        return f"{user()} {render_template('mail.html')}"

    with_templates(app, mail="{{ needs_refresh }}")
    app.debug = True  # where a g.session other than the verdict's is an error
    sign_in(client)
    assert client.get("/outer").text == "user-1 False"
    assert seen == ["nobody", "user-1", "other", "user-1", "True"]


def test_object_that_the_app_puts_into_g_session_lets_no_stranger_in(app: Flask) -> None:
    class Trusting:
        user_id = "admin"

    def put_in() -> None:
        g.session = Trusting()

    app.before_request(put_in)
    app.add_url_rule("/strict", "strict", requiring(lambda: "secret"))
    for path in ("/account", "/strict"):
        assert app.test_client().get(path, headers=FETCH).status_code == 401, path
    assert page_shown(app.test_client().get("/page", headers=PAGE)) == "sign_in"
    with app.test_request_context():
        put_in()
        assert get_ssr_session() is None


@rows("debug", {"debug": True, "production": False})
def test_replacing_g_session_is_an_error(app: Flask, client: FlaskClient, debug: bool) -> None:
    @app.route("/replaces")
    def replaces() -> str:
        g.session = {"database": "session"}
        return "done"

    app.debug = debug
    if debug:
        with pytest.raises(MisuseError, match=r"g\.session was replaced by the app"):
            client.get("/replaces")
    else:
        assert client.get("/replaces").text == "done"
    assert client.get("/open").text == "open"


def test_error_page_and_early_hook_see_the_same_session(app: Flask, client: FlaskClient) -> None:
    app.register_error_handler(404, lambda _error: (f"404 for {user()}", 404))
    early: Callable[[], str | None] = lambda: user() if "early" in request.args else None  # noqa: E731
    app.before_request_funcs[None].append(early)
    sign_in(client)
    assert client.get("/nowhere").text == client.get("/auth/nowhere").text == "404 for user-1"
    assert client.get("/open?early").text == "user-1"


def test_asking_without_setup_says_what_to_do() -> None:
    guarded = session_required(lambda: "secret")
    with Flask("bare").test_request_context():
        for ask in (get_ssr_session, require_session, guarded, lambda: safe_return_path("/")):
            with pytest.raises(MisuseError, match=r"'bare': call FlaskSSRSession\(app\), or init"):
                ask()


# --- cookies of every kind -----------------------------------------------------------------------

COOKIES: dict[str, Any] = {
    "an open quote": ('sAccessToken="{token}', False),
    "quotes and spaces": ('sAccessToken=" {token} "', False),
    "200 kB": ("sAccessToken=" + "a" * 200_000, False),
    "5,000 cookies": ("; ".join(f"sAccessToken={n}" for n in range(5000)), False),
    "beside 200 kB": ("sAccessToken={token}; x=" + "b" * 200_000, True),
}


@rows("header, is_good", COOKIES)
def test_cookie_is_never_an_error(app: Flask, header: str, is_good: bool) -> None:
    environ = {"HTTP_COOKIE": header.replace("{token}", make_token())}
    client = app.test_client(use_cookies=False)
    page = client.get("/account", headers=PAGE, environ_overrides=environ)
    script = client.get("/account", headers=FETCH, environ_overrides=environ)
    assert page.status_code in (200, 302)
    assert script.status_code == (200 if is_good else 401)
    assert (page.text == script.text == "account of user-1") is is_good


@pytest.fixture(scope="module")
def shared_app() -> Flask:
    return with_views(make_app())


# In front of the values stands the name, or nothing: any bytes of a header.
@settings(max_examples=100, deadline=None)
@given(raw=st.lists(st.tuples(st.sampled_from([b"sAccessToken=", b""]), st.binary(max_size=60))))
def test_no_cookie_bytes_are_an_error(shared_app: Flask, raw: list[tuple[bytes, bytes]]) -> None:
    header = b"; ".join(name + value for name, value in raw).decode("latin-1")
    client = shared_app.test_client(use_cookies=False)
    response = client.get("/account", headers=PAGE, environ_overrides={"HTTP_COOKIE": header})
    assert response.status_code in (200, 302)
    assert "account of" not in response.text


# --- left alone ----------------------------------------------------------------------------------

PREFLIGHT = {"Origin": "https://other.example", "Access-Control-Request-Method": "GET"}


def is_left_alone(app: Flask, path: str, **options: Any) -> bool:
    """Return whether a request got no verdict: every response with a verdict has this header."""
    with app.test_client().open(path, **options) as response:
        assert response.status_code < 500
        return "Cookie" not in response.vary


@cache
def varied_app(*, closed: bool) -> Flask:
    """Return an app that requires a session everywhere, or nowhere."""
    folder = Path(__file__).parent
    app = with_views(make_app(login_url="/sign-in"))
    app.add_url_rule("/sign-in", "sign_in", lambda: "sign in", methods=["GET", "POST"])
    app.static_folder = str(folder)
    shop = Blueprint("shop", "shop", url_prefix="/shop")
    shop.static_folder, shop.static_url_path = str(folder), "/static"
    outer = Blueprint("outer", "outer", url_prefix="/outer")
    outer.register_blueprint(shop)
    unlike = Blueprint("unlike", "unlike", url_prefix="/unlike")
    unlike.add_url_rule("/report", "static", lambda: "a view that happens to be called static")
    # A view with Flask's own module, in a blueprint that has no static folder.
    unserved = Blueprint("unserved", "unserved", url_prefix="/unserved")
    unserved.add_url_rule("/static", "static", flask.get_flashed_messages)
    app.add_url_rule("/ecstatic", "ecstatic", flask.get_flashed_messages)
    for blueprint in (outer, shop, unlike, unserved):
        app.register_blueprint(blueprint)
    app.add_url_rule("/health", "health", session_exempt(lambda: "well"))
    app.add_url_rule("/auth/profile", "profile", lambda: "a page of the app's")
    app.add_url_rule("/own-options", "own_options", lambda: "x", methods=["GET", "OPTIONS"])
    app.url_map.add(Rule("/raw", endpoint="open_to_all"))
    if closed:
        app.before_request(require_session)
    return app


# Left alone, open in an app that requires a session everywhere, and closed there.
ALONE, OPEN, CLOSED = "alone", "open", "closed"


PLACES: dict[str, Any] = {
    "a static file": ("GET", "/static/conftest.py", {}, ALONE),
    "a missing one": ("GET", "/static/missing.txt", {}, ALONE),
    "that of a blueprint": ("GET", "/shop/static/conftest.py", {}, ALONE),
    "that of a nested blueprint": ("GET", "/outer/shop/static/conftest.py", {}, ALONE),
    "a view that is only called static": ("GET", "/unlike/report", {}, CLOSED),
    "the same by Flask, without a folder": ("GET", "/unserved/static", {}, CLOSED),
    "the same by Flask, of a name that ends so": ("GET", "/ecstatic", {}, CLOSED),
    "an exempt view": ("GET", "/health", {}, ALONE),
    "any view": ("GET", "/open", {}, CLOSED),
    "a preflight": ("OPTIONS", "/account", PREFLIGHT, ALONE),
    "OPTIONS that is no preflight": ("OPTIONS", "/account", {}, CLOSED),
    "the headers of a preflight": ("GET", "/account", PREFLIGHT, CLOSED),
    "a preflight that a view answers": ("OPTIONS", "/own-options", PREFLIGHT, CLOSED),
    "a preflight at a route that Flask did not add": ("OPTIONS", "/raw", PREFLIGHT, CLOSED),
    "the API": ("POST", "/auth/session/refresh", {}, ALONE),
    "its base path": ("GET", "/auth", {}, ALONE),
    "a path that begins so": ("GET", "/authentic", {}, CLOSED),
    "the base path elsewhere": ("GET", "/x/auth/y", {}, CLOSED),
    "the base path in capitals": ("GET", "/AUTH/x", {}, CLOSED),
    "a view of the app below it": ("GET", "/auth/profile", {}, CLOSED),
    "sign-in": ("GET", "/sign-in?redirectToPath=/account", {}, OPEN),
    "an optional view": ("GET", "/news?continueSignedOut=1", {}, OPEN),
    "the refresh page": ("GET", "/refresh-session?redirectBack=/account", {}, OPEN),
}


@rows("method, path, headers, place", PLACES)
def test_what_needs_no_session_is_alone(method: str, path: str, headers: Any, place: str) -> None:
    is_alone = is_left_alone(varied_app(closed=False), path, method=method, headers=headers)
    assert is_alone is (place == ALONE)
    client = varied_app(closed=True).test_client(use_cookies=False)
    headers = (FETCH if place == CLOSED else PAGE) | headers
    for cookie in ({}, cookies(expired_token()), cookies("junk")):
        with client.open(path, method=method, headers=headers | cookie) as answer:
            assert (answer.status_code == 401) is (place == CLOSED), cookie
    if place == CLOSED:
        user = client.open(path, method=method, headers=headers | cookies(make_token()))
        assert user.status_code in (200, 404)
        page = client.get(path, headers=headers | PAGE)
        assert page.location == f"/sign-in?redirectToPath={path}"


API_PATHS: dict[str, Any] = {
    "the mount point is part of it": ("/shop", "/shop/auth", "/auth/x", True),
    "and missing from it": ("/shop", "/auth", "/auth/x", False),
    "everything": ("", "/", "/anything", True),
    "two folders": ("", "/api/auth", "/api/auth/x", True),
    "the first of two": ("", "/api/auth", "/api/x", False),
}


@rows("mount, api_base_path, path, left_alone", API_PATHS)
@rows("by_sdk", {"of a setting": False, "of the SDK": True})
def test_api_path_is_compared_as_the_sdk_does_with_the_mount_point(
    mount: str, api_base_path: str, path: str, left_alone: bool, by_sdk: bool
) -> None:
    sdk = sdk_values(api_base_path=api_base_path.rstrip("/"))
    app = make_app(sdk=sdk) if by_sdk else make_app(api_base_path=api_base_path)
    assert is_left_alone(app, path, base_url=f"http://localhost{mount}") is left_alone


def test_what_is_left_alone_costs_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    app, seen = varied_app(closed=False), list[Any]()
    app.teardown_request_funcs[None].append(lambda _error: seen.append(g.session))
    monkeypatch.setattr(request_verdict, "decide", None)
    client, headers = app.test_client(use_cookies=False), cookies(make_token())
    for path, status in (("/health", 200), ("/static/conftest.py", 200), ("/auth/x", 404)):
        assert client.get(path, headers=headers, buffered=True).status_code == status, path
    app.teardown_request_funcs[None].pop()
    assert seen == [None, None, None]
