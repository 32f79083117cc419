"""session_required and its relatives, ``require_session`` and the order of decorators."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, abort, current_app, g, render_template, request
from flask.testing import FlaskClient
from flask.views import MethodView, View
from werkzeug.exceptions import HTTPException

from flask_ssr_session import (
    FlaskSSRSession,
    MisuseError,
    SessionRequired,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.testing import expire, install_test_keys, outage, sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tokens import expired_token

from .conftest import API_DOMAIN, cookies, make_app, page_shown, with_templates, with_views

View_ = Callable[..., Any]


def plain_view(name: str = "you") -> str:
    return f"{g.session.user_id if g.session else 'everyone'} and {name}"


async def async_view(name: str = "you") -> str:
    return f"{g.session.user_id if g.session else 'everyone'} and {name}"


def logged(view: View_) -> View_:
    """Stand for any decorator that uses functools.wraps."""

    @functools.wraps(view)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return current_app.ensure_sync(view)(*args, **kwargs)

    return inner


# --- on views of every kind ----------------------------------------------------------------------


@pytest.mark.parametrize("view", [plain_view, async_view], ids=["plain", "async"])
@pytest.mark.parametrize("parentheses", [False, True], ids=["bare", "called"])
def test_required_view_runs_for_a_session_only(view: View_, parentheses: bool) -> None:
    app = make_app()
    decorated = session_required()(view) if parentheses else session_required(view)
    assert decorated.__name__ == view.__name__
    app.add_url_rule("/with/<name>", "view", decorated)
    client = app.test_client()
    refused = client.get("/with/me", headers=PAGE)
    assert (refused.status_code, refused.location) == (302, "/auth?redirectToPath=/with/me")
    sign_in(client)
    assert client.get("/with/me", headers=PAGE).text == "user-1 and me"


@pytest.mark.parametrize("view", [plain_view, async_view], ids=["plain", "async"])
@pytest.mark.parametrize("parentheses", [False, True], ids=["bare", "called"])
def test_optional_view_runs_for_strangers_too(view: View_, parentheses: bool) -> None:
    app = make_app()
    decorated = session_optional()(view) if parentheses else session_optional(view)
    app.add_url_rule("/with/<name>", "view", decorated)
    client = app.test_client()
    assert client.get("/with/me", headers=PAGE).text == "everyone and me"
    sign_in(client)
    assert client.get("/with/me", headers=PAGE).text == "user-1 and me"


def test_async_view_under_another_decorator_is_guarded() -> None:
    app = make_app()
    app.add_url_rule("/", "view", session_required(logged(async_view)))
    client = app.test_client()
    assert client.get("/", headers=FETCH).status_code == 401
    sign_in(client)
    assert client.get("/").text == "user-1 and you"


def test_class_based_views_are_guarded_by_their_decorators() -> None:
    class Page(View):
        decorators = [session_required]  # noqa: RUF012 - as Flask's documentation writes it

        def dispatch_request(self) -> str:
            return plain_view()

    class Methods(MethodView):
        decorators = [session_required()]  # noqa: RUF012

        def get(self) -> str:
            return plain_view()

        async def post(self) -> str:
            return await async_view()

    class Open(MethodView):
        def get(self) -> str:
            return plain_view()

    app = make_app()
    for position, view in enumerate((Page, Methods, Open)):
        app.add_url_rule(f"/{position}", view_func=view.as_view(f"view-{position}"))
    client = app.test_client()
    assert client.get("/0", headers=FETCH).status_code == 401
    assert client.get("/1", headers=FETCH).status_code == 401
    assert client.post("/1", headers=FETCH).status_code == 401
    assert client.get("/2", headers=FETCH).text == "everyone and you"
    sign_in(client)
    assert client.get("/0").text == "user-1 and you"
    assert client.get("/1").text == "user-1 and you"
    assert client.post("/1").text == "user-1 and you"


def test_bound_methods_and_partials_can_be_guarded() -> None:
    class Pages:
        def home(self) -> str:
            return plain_view()

    app = make_app()
    app.add_url_rule("/method", "method", session_required(Pages().home))
    app.add_url_rule("/partial", "partial", session_required(functools.partial(plain_view, "x")))
    client = app.test_client()
    for path in ("/method", "/partial"):
        assert client.get(path, headers=FETCH).status_code == 401
    sign_in(client)
    assert client.get("/method").text == "user-1 and you"
    assert client.get("/partial").text == "user-1 and x"


@pytest.mark.parametrize("decorator", [session_required, session_optional])
def test_decorator_in_the_place_of_a_hook_names_the_hook(decorator: Any) -> None:
    for hook in (decorator, decorator()):
        app = with_views(make_app())
        app.before_request(hook)
        with pytest.raises(MisuseError, match="before_request takes require_session"):
            app.test_client().get("/open")


@pytest.mark.parametrize("switch", ["check_revoked", "keep_form"])
def test_switch_is_on_or_off(switch: str) -> None:
    options: dict[str, Any] = {switch: "yes"}
    with pytest.raises(MisuseError, match=f"^{switch}= takes True or False"):
        session_required(**options)
    with make_app().test_request_context(), pytest.raises(MisuseError, match=switch):
        require_session(**options)


@pytest.mark.parametrize("decorator", [session_required, session_optional])
def test_decorating_anything_but_a_view_is_an_error(decorator: Any) -> None:
    with pytest.raises(MisuseError, match=r"decorators = \[session_required\]"):
        decorator(MethodView)
    with pytest.raises(MisuseError, match="decorate a view function"):
        decorator("account")


def test_the_stricter_of_two_decorators_holds_in_either_order() -> None:
    app = make_app()
    app.add_url_rule("/a", "a", session_required(session_optional(lambda: plain_view())))
    app.add_url_rule("/b", "b", session_optional(session_required(lambda: plain_view())))
    client = app.test_client()
    for path in ("/a", "/b"):
        assert client.get(path, headers=FETCH).status_code == 401
    sign_in(client)
    for path in ("/a", "/b"):
        assert client.get(path).text == "user-1 and you"


# --- optional pages ------------------------------------------------------------------------------


def test_optional_page_refreshes_a_reader_whose_token_ran_out(client: FlaskClient) -> None:
    sign_in(client)
    assert client.get("/news", headers=PAGE).text == "news for user-1"
    expire(client)
    response = client.get("/news", headers=PAGE)
    assert page_shown(response) == "refresh"
    assert 'href="/news?continueSignedOut=1"' in response.text
    assert "data-optional" in response.text
    required = client.get("/account", headers=PAGE)
    assert page_shown(required) == "refresh"
    assert "continueSignedOut" not in required.text
    assert "data-optional" not in required.text


def test_optional_page_is_shown_signed_out_in_an_outage(app: Flask, client: FlaskClient) -> None:
    sign_in(client)
    with outage(app):
        response = client.get("/news", headers=PAGE)
        assert client.get("/account", headers=PAGE).status_code == 503
    assert (response.status_code, response.text) == (200, "news for everyone")


def test_going_on_signed_out_is_honoured_on_optional_pages_only(client: FlaskClient) -> None:
    sign_in(client)
    expire(client)
    mark = "?continueSignedOut=1"
    assert client.get("/news" + mark, headers=PAGE).text == "news for everyone"
    assert client.get("/news" + mark, headers=FETCH).text == "news for everyone"
    for path in ("/account", "/page"):
        assert page_shown(client.get(path + mark, headers=PAGE)) == "refresh"
        assert client.get(path + mark, headers=FETCH).status_code == 401
    sign_in(client)
    assert client.get("/news" + mark, headers=PAGE).text == "news for user-1"


def test_posted_optional_page_leads_on_by_a_link_to_the_page(client: FlaskClient) -> None:
    sign_in(client)
    expire(client)
    response = client.post("/news?a=1", headers=PAGE)
    assert page_shown(response) == "refresh"
    assert 'href="/news?a=1&amp;continueSignedOut=1"' in response.text


# --- require_session -----------------------------------------------------------------------------


@pytest.fixture
def closed_app(tmp_path: Path) -> Flask:
    """An app that requires a session everywhere, with one of each kind of open view."""
    app = with_views(make_app(login_url="/sign-in"))
    app.before_request(require_session)
    (tmp_path / "logo.txt").write_text("logo")
    app.static_folder = str(tmp_path)
    app.add_url_rule("/sign-in", "sign_in", lambda: "sign in here", methods=["GET", "POST"])
    app.add_url_rule("/health", "health", session_exempt(lambda: "well"))

    @app.route("/own-options", methods=["GET", "OPTIONS"])
    def own_options() -> str:
        return "secret"

    shop = Blueprint("shop", "shop", url_prefix="/shop")

    @shop.route("/static-report")
    def static() -> str:
        return "secret"

    app.register_blueprint(shop)
    return app


def test_sign_in_page_that_is_one_by_its_query_is_open_with_it_alone() -> None:
    app = with_views(make_app(login_url="/?show=sign-in&plain="))
    app.before_request(require_session)
    app.add_url_rule("/", "home", lambda: "home")
    client = app.test_client()
    assert client.get("/?plain=&show=sign-in&redirectToPath=/", headers=FETCH).status_code == 200
    for query in ("", "?show=sign-in", "?show=account&plain=", "?plain="):
        assert client.get(f"/{query}", headers=FETCH).status_code == 401


@pytest.mark.parametrize(
    "path", ["/account", "/open", "/page", "/nowhere", "/authentic", "/shop/static-report"]
)
def test_session_required_everywhere_keeps_strangers_out(closed_app: Flask, path: str) -> None:
    client = closed_app.test_client()
    assert client.get(path, headers=FETCH).status_code == 401
    assert client.post(path, headers=FETCH).status_code == 401
    assert client.get(path, headers=PAGE).location == f"/sign-in?redirectToPath={path}"
    sign_in(client)
    assert client.get(path, headers=PAGE).status_code in (200, 404)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/static/logo.txt", 200),
        ("GET", "/sign-in", 200),
        ("GET", "/sign-in?redirectToPath=/account", 200),
        ("POST", "/sign-in", 200),
        ("GET", "/health", 200),
        ("GET", "/news", 200),
        ("GET", "/refresh-session", 200),
        ("GET", "/refresh-session?redirectBack=/account", 200),
        ("POST", "/auth/session/refresh", 404),
        ("OPTIONS", "/auth/session/refresh", 404),
    ],
)
def test_session_required_everywhere_leaves_the_way_back_in_open(
    closed_app: Flask, method: str, path: str, status: int
) -> None:
    client = closed_app.test_client(use_cookies=False)
    for cookie in ({}, cookies(expired_token()), cookies("junk")):
        if path == "/news" and cookie:
            continue  # refreshed first, as on every optional page
        with client.open(path, method=method, headers=PAGE | cookie) as response:
            assert response.status_code == status


def test_refresh_page_does_not_go_round_where_a_session_is_required_everywhere() -> None:
    app = with_views(make_app(refresh_flow="redirect"))
    app.before_request(require_session)
    client = app.test_client()
    sign_in(client)
    expire(client)
    to_refresh = client.get("/account?a=1", headers=PAGE)
    assert to_refresh.location == "/refresh-session?redirectBack=/account%3Fa%3D1"
    page = client.get(to_refresh.location, headers=PAGE)
    assert (page.status_code, page_shown(page)) == (200, "refresh")
    assert 'data-return-to="/account?a=1"' in page.text


def test_preflight_passes_where_flask_answers_it_and_not_into_a_view(closed_app: Flask) -> None:
    client = closed_app.test_client()
    preflight = {"Origin": "https://other.example", "Access-Control-Request-Method": "GET"}
    answered = client.options("/open", headers=preflight)
    assert (answered.status_code, answered.data) == (200, b"")
    assert "GET" in answered.headers["Allow"]
    assert client.options("/own-options", headers=preflight).status_code == 401
    sign_in(client)
    assert client.options("/own-options", headers=preflight).text == "secret"


def test_blueprint_requires_sessions_for_its_own_pages_only(app: Flask) -> None:
    staff = Blueprint("staff", "staff", url_prefix="/staff")
    staff.before_request(require_session)
    staff.add_url_rule("/desk", "desk", lambda: plain_view())
    staff.add_url_rule("/board", "board", session_optional(lambda: plain_view()))
    app.register_blueprint(staff)
    client = app.test_client()
    assert client.get("/staff/desk", headers=PAGE).location == "/auth?redirectToPath=/staff/desk"
    assert client.get("/staff/board").text == "everyone and you"
    assert client.get("/open").text == "open"
    sign_in(client)
    assert client.get("/staff/desk").text == "user-1 and you"


def test_require_session_inside_a_view_stops_it(app: Flask) -> None:
    ran = []

    @app.route("/inside")
    def inside() -> str:
        ran.append("before")
        require_session()
        ran.append("after")
        return plain_view()

    client = app.test_client()
    assert client.get("/inside", headers=FETCH).status_code == 401
    assert client.get("/inside", headers=PAGE).status_code == 302
    assert ran == ["before", "before"]
    sign_in(client)
    assert client.get("/inside").text == "user-1 and you"


@pytest.mark.parametrize("reason", ["anonymous", "expired", "outage"])
def test_require_session_inside_an_optional_view_lets_no_stranger_go_on(
    app: Flask, reason: str
) -> None:
    @app.route("/document/<name>")
    @session_optional
    def document(name: str) -> str:
        if name == "private":
            require_session()
        return name

    @app.route("/async-document")
    @session_optional
    async def async_document() -> str:
        require_session()
        return "private"

    client = app.test_client()
    if reason != "anonymous":
        sign_in(client)
    if reason == "expired":
        expire(client)
    paths = ("/document/private", "/async-document", "/document/private?continueSignedOut=1")
    if reason == "outage":
        with outage(app):
            assert [client.get(path, headers=PAGE).status_code for path in paths] == [503] * 3
            assert client.get("/document/public", headers=PAGE).text == "public"
    else:
        assert [client.get(path, headers=FETCH).status_code for path in paths] == [401] * 3
        going_on = client.get("/document/public?continueSignedOut=1", headers=PAGE)
        assert going_on.text == "public"
        page = client.get(paths[2], headers=PAGE)
        assert page.text != "private"
    sign_in(client)
    assert [client.get(path).text for path in paths] == ["private"] * 3


@pytest.mark.parametrize("everywhere", [False, True])
def test_generic_error_handlers_leave_the_answer_alone(app: Flask, everywhere: bool) -> None:
    if everywhere:
        app.before_request(require_session)
    app.register_error_handler(HTTPException, lambda _error: ("handled", 418))
    app.register_error_handler(Exception, lambda _error: ("handled", 418))

    @app.route("/inside")
    def inside() -> str:
        require_session()
        return plain_view()

    app.add_url_rule("/missing", "missing", lambda: abort(404))
    client = app.test_client()
    assert client.get("/inside", headers=PAGE).location == "/auth?redirectToPath=/inside"
    assert client.get("/inside", headers=FETCH).json == {"message": "unauthorised"}
    assert client.get("/missing").status_code == (401 if everywhere else 418)
    sign_in(client)
    assert client.get("/missing").status_code == 418


def test_session_required_is_an_http_exception_that_carries_the_answer(app: Flask) -> None:
    with app.test_request_context("/account", headers=PAGE):
        with pytest.raises(SessionRequired) as caught:
            require_session()
        assert isinstance(caught.value, HTTPException)
        response = caught.value.get_response()
        assert (response.status_code, response.location) == (302, "/auth?redirectToPath=/account")


def test_answer_that_a_view_catches_still_keeps_its_page_out_of_caches(app: Flask) -> None:
    @app.route("/catches")
    def catches() -> str:
        try:
            require_session()
        except SessionRequired:
            return "please sign in over there"
        return plain_view()

    response = app.test_client().get("/catches", headers=PAGE)
    assert (response.status_code, response.text) == (200, "please sign in over there")
    assert response.headers["Cache-Control"] == "no-store"


# --- ignored views -------------------------------------------------------------------------------


def test_ignored_view_works_without_keys_and_settings() -> None:
    app = Flask("incomplete")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    FlaskSSRSession(app)
    app.add_url_rule("/health", "health", session_exempt(lambda: "well"))
    app.add_url_rule("/other", "other", lambda: "other")
    client = app.test_client()
    response = client.get("/health")
    assert (response.status_code, response.text) == (200, "well")
    assert "Vary" not in response.headers
    assert client.get("/other").status_code == 500


def test_ignored_mark_shows_through_other_decorators_and_opens_no_required_view() -> None:
    app = make_app()
    app.before_request(require_session)
    app.add_url_rule("/a", "a", logged(session_exempt(lambda: "open")))
    app.add_url_rule("/b", "b", session_exempt(session_required(lambda: "secret")))
    app.add_url_rule("/c", "c", session_required(session_exempt(lambda: "secret")))
    client = app.test_client()
    assert client.get("/a").text == "open"
    for path in ("/b", "/c"):
        assert client.get(path, headers=FETCH).status_code == 401
    sign_in(client)
    for path in ("/b", "/c"):
        assert client.get(path, headers=FETCH).text == "secret"


def test_session_asked_for_inside_of_an_ignored_view_is_needed() -> None:
    app = make_app()

    @app.route("/")
    @session_exempt
    def view() -> str:
        require_session(role="admin")
        return "secret"

    client = app.test_client()
    assert client.get("/", headers=FETCH).status_code == 401
    sign_in(client)
    assert client.get("/", headers=FETCH).status_code == 403
    sign_in(client, roles=["admin"])
    assert client.get("/", headers=FETCH).text == "secret"


# --- decorator order -----------------------------------------------------------------------------


@pytest.mark.parametrize("between", [False, True], ids=["directly", "with one between"])
@pytest.mark.parametrize("decorator", [session_required, session_optional])
def test_decorator_above_the_route_is_an_error_at_every_request(
    decorator: Any, between: bool
) -> None:
    app = make_app()

    def accounts() -> str:
        return "secret"

    bare = app.route("/accounts")(accounts)
    decorator(logged(bare) if between else bare)
    app.add_url_rule("/other", "other", lambda: "other")
    client = app.test_client()
    for path in ("/accounts", "/other", "/nowhere", "/accounts"):
        with pytest.raises(MisuseError, match="endpoint 'accounts' runs without"):
            client.get(path)
    app.testing = False
    for headers in (PAGE, FETCH):
        response = client.get("/accounts", headers=headers)
        assert response.status_code == 500
        assert "secret" not in response.text


def test_order_of_blueprint_and_class_based_views_is_looked_at_too() -> None:
    app = make_app()
    shop = Blueprint("shop", "shop")

    @session_required
    @shop.route("/cart")
    def cart() -> str:
        return "secret"

    app.register_blueprint(shop)
    with pytest.raises(MisuseError, match=r"endpoint 'shop\.cart' runs without"):
        app.test_client().get("/cart")


def test_route_above_the_decorator_is_right_with_others_anywhere() -> None:
    app = make_app()
    for position, view in enumerate(
        (
            session_required(logged(lambda: "secret")),
            logged(session_required(lambda: "secret")),
            logged(session_required(logged(lambda: "secret"))),
            session_required(session_required(lambda: "secret")),
        )
    ):
        app.add_url_rule(f"/{position}", f"view-{position}", view)
    client = app.test_client()
    for position in range(4):
        assert client.get(f"/{position}", headers=FETCH).status_code == 401
    sign_in(client)
    for position in range(4):
        assert client.get(f"/{position}").text == "secret"


def test_same_function_may_be_registered_bare_and_guarded_on_purpose() -> None:
    def page() -> str:
        return plain_view()

    app = make_app()
    app.add_url_rule("/free", "free", page)
    app.add_url_rule("/guarded", "guarded", session_required(page))
    client = app.test_client()
    assert client.get("/free", headers=FETCH).text == "everyone and you"
    assert client.get("/guarded", headers=FETCH).status_code == 401


def test_factory_may_guard_the_same_function_for_every_app() -> None:
    def page() -> str:
        return plain_view()

    for decorator in (session_required, session_optional, session_required):
        app = make_app()
        app.add_url_rule("/", "page", decorator(page))
        client = app.test_client()
        sign_in(client)
        assert client.get("/").text == "user-1 and you"


def test_wrong_order_in_one_app_does_not_stop_another() -> None:
    wrong, right = make_app("wrong"), make_app("right")
    session_required(wrong.route("/")(lambda: "secret"))
    right.add_url_rule("/", "page", session_required(lambda: "secret"))
    with pytest.raises(MisuseError):
        wrong.test_client().get("/")
    assert right.test_client().get("/", headers=FETCH).status_code == 401


# --- what a guarded view may do ------------------------------------------------------------------


def test_error_in_a_guarded_view_stays_private(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/missing", "missing", session_required(lambda: abort(404)))
    sign_in(client)
    response = client.get("/missing")
    assert response.status_code == 404
    assert response.headers["Cache-Control"] == "private"


def test_template_of_an_optional_view_is_open_without_asking_again(app: Flask) -> None:
    with_templates(app, news="{% if needs_refresh %}held back{% else %}news{% endif %}")
    app.add_url_rule("/paper", "paper", session_optional(lambda: render_template("news.html")))
    app.add_url_rule("/book", "book", lambda: render_template("news.html"))
    client = app.test_client()
    assert client.get("/paper", headers=PAGE).text == "news"
    assert client.get("/book", headers=PAGE).text == "held back"


def test_extension_set_up_after_the_views_guards_them() -> None:
    app = Flask("late")
    app.testing = True
    app.add_url_rule("/", "page", session_required(lambda: request.path))
    FlaskSSRSession(app, api_domain=API_DOMAIN)
    install_test_keys(app)
    client = app.test_client()
    assert client.get("/", headers=FETCH).status_code == 401
    sign_in(client)
    assert client.get("/").text == "/"


def test_function_left_alone_at_one_address_is_guarded_at_another() -> None:
    app = make_app()
    private = Blueprint("private", __name__, url_prefix="/private")
    private.before_request(require_session)

    def serve() -> str:
        return "content"

    app.add_url_rule("/public", "public", session_exempt(serve))
    private.add_url_rule("/", "serve", serve)
    app.register_blueprint(private)
    client = app.test_client()
    assert client.get("/public").text == "content"
    assert client.get("/private/", headers=FETCH).status_code == 401
    sign_in(client)
    assert client.get("/private/").text == "content"


def test_view_that_catches_all_is_guarded_beside_the_sign_in_page() -> None:
    app = make_app()
    app.before_request(require_session)
    app.add_url_rule("/auth", "sign_in", lambda: "sign in")
    app.add_url_rule("/<path:name>", "any", lambda name: f"content of {name}")
    client = app.test_client()
    assert client.get("/auth").text == "sign in"
    for path in ("/auth/", "/auth%2f", "/auth/x"):
        response = client.get(path, headers=PAGE)
        assert (response.status_code, response.location) == (
            302,
            f"/auth?redirectToPath={'/auth/x' if path == '/auth/x' else '/'}",
        )


def test_closed_sign_in_page_is_neither_loop_nor_crash_for_visitors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = make_app()
    app.add_url_rule("/auth", "sign_in", session_required(lambda: "sign in"))
    client = app.test_client()
    with pytest.raises(MisuseError, match="sign-in page"):
        client.get("/auth", headers=PAGE)
    app.testing = False
    for _ in range(3):
        response = client.get("/auth", headers=PAGE)
        assert response.status_code == 200
        assert 'data-ssr-session="sign_in"' in response.text
        assert "http-equiv" not in response.text
    assert sum("sign_in_closed" in record.message for record in caplog.records) == 1


def test_session_that_ended_on_an_open_sign_in_page_leads_to_its_form() -> None:
    app = make_app()
    app.add_url_rule("/auth", "sign_in", session_optional(lambda: "sign in"))
    client = app.test_client()
    sign_in(client)
    expire(client)
    page = client.get("/auth?redirectToPath=/account", headers=PAGE).text
    onward = "/auth?redirectToPath=/account&amp;continueSignedOut=1"
    assert f'data-sign-in="{onward}"' in page
    assert "data-optional" not in page
    assert client.get(onward.replace("&amp;", "&"), headers=PAGE).text == "sign in"


def test_view_named_static_is_guarded_although_a_static_folder_is_set_later() -> None:
    app = Flask("late", static_folder=None)
    app.testing = True
    FlaskSSRSession(app, api_domain=API_DOMAIN)
    install_test_keys(app)
    app.before_request(require_session)
    app.static_folder = "static"
    app.add_url_rule("/files", "static", lambda: "secret")
    client = app.test_client()
    assert client.get("/files", headers=FETCH).status_code == 401
    sign_in(client)
    assert client.get("/files").text == "secret"
