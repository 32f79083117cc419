"""What the first request and the doctor find in the setup of an app."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable
from functools import partial, wraps
from types import MethodType
from typing import Any

import pytest
from flask import Blueprint, Flask, request
from flask_sock import Sock

from flask_ssr_session import (
    MisuseError,
    app_state,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.doctor.finding import Level
from flask_ssr_session.doctor.run import run_checks
from flask_ssr_session.testing import sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows

from .apps import make_app
from .visitors import Logs

Function = Callable[..., Any]


def hides(function: Function) -> Function:
    """Be a decorator that does not set ``__wrapped__``."""
    return lambda *args, **kwargs: function(*args, **kwargs)


def shows(function: Function) -> Function:
    """Be a decorator that does."""
    return wraps(function)(hides(function))


def registers(wrap: Function, app: Flask) -> Function:
    """Return a route that registers a wrapper of its own, as flask-sock's does."""

    def route(function: Function) -> Function:
        app.add_url_rule("/echo", "echo", wrap(function))
        return function

    return route


def blueprints(register: str, app: Flask) -> Function:
    shop = Blueprint("shop", __name__)

    def decorator(function: Function) -> Function:
        decorate = shop.errorhandler(404) if register == "errorhandler" else shop.route("/echo")
        decorate(function)
        app.register_blueprint(shop)
        return function

    return decorator


def doctor_says(app: Flask, check: str) -> list[str]:
    found = run_checks(app.extensions[app_state.EXTENSION_NAME], None, offline=True)
    return [each.message for each in found if each.check == check and each.level is Level.PROBLEM]


def assert_is_right(app: Flask, caplog: Logs) -> None:
    assert "guard_unreached" not in caplog.text
    assert doctor_says(app, "decorators") == []


# How a function is registered, and how the log names it.
VIEW, HANDLER = "the view of endpoint 'echo'", "an error handler"
LOGGED: dict[str, tuple[Function, str]] = {
    "route with a hidden wrapper": (partial(registers, hides), VIEW),
    "route with two hidden wrappers": (partial(registers, lambda view: hides(hides(view))), VIEW),
    "partial": (partial(registers, partial), VIEW),
    "error handler": (lambda app: app.errorhandler(404), HANDLER),
    "handler of an exception": (lambda app: app.errorhandler(KeyError), HANDLER),
    "blueprint's error handler": (partial(blueprints, "errorhandler"), HANDLER),
    "hook": (lambda app: app.before_request, "a before_request function"),
}
# These are an error at once, by the endpoint.
RAISED: dict[str, tuple[Function, str]] = {
    "route": (lambda app: app.route("/echo"), "echo"),
    "route with a wrapper": (partial(registers, shows), "echo"),
    "route of a blueprint": (partial(blueprints, "route"), "shop.echo"),
}


@rows("register, name", LOGGED | RAISED)
@rows("is_kept", {"kept, with one between": True, "forgotten": False})
@pytest.mark.parametrize("guard", [session_required, session_optional])
def test_guard_above_what_registers_is_found(
    caplog: Logs, guard: Any, register: Function, name: str, is_kept: bool
) -> None:
    app = make_app()

    def echo(*_: Any) -> str:
        return "secret"

    kept = [guard(shows(register(app)(echo)) if is_kept else register(app)(echo))]
    if not is_kept:  # as in a factory that has returned
        kept.clear()
        gc.collect(1)
    client = app.test_client()
    if name in ("echo", "shop.echo"):
        message = f"endpoint '{name}' runs without"
        for path in ("/echo", "/nowhere", "/echo"):
            with pytest.raises(MisuseError, match=message):
                client.get(path)
        assert message in doctor_says(app, "decorators")[0]
        app.testing = False
        for headers in (PAGE, FETCH):
            response = client.get("/echo", headers=headers)
            assert (response.status_code, "secret" in response.text) == (500, False)
        return
    app.debug = True
    with pytest.raises(MisuseError, match="runs without the session decorator"):
        client.get("/nowhere")
    app.debug = app.testing = app.config["PROPAGATE_EXCEPTIONS"] = False
    for _ in range(2):
        client.get("/nowhere")
    lines = [record for record in caplog.records if "guard_unreached" in record.message]
    assert [line.levelno for line in lines] == [logging.ERROR]
    place = f"{__name__}.test_guard_above_what_registers_is_found.<locals>.echo ({name})"
    assert place in lines[0].message
    assert place in doctor_says(app, "decorators")[0]


@rows("register, name", LOGGED | RAISED)
@pytest.mark.parametrize("guard", [session_required, session_optional])
def test_guard_below_what_registers_is_right(
    caplog: Logs, guard: Any, register: Function, name: str
) -> None:
    app = make_app(name)

    def echo(*_: Any) -> None:
        return None

    register(app)(guard(echo))
    app.testing = app.config["PROPAGATE_EXCEPTIONS"] = False
    app.test_client().get("/nowhere")
    assert_is_right(app, caplog)


@pytest.mark.parametrize("guard", [session_required, session_required(), session_optional()])
def test_guard_above_a_route_that_returns_nothing_is_an_error_at_once(guard: Any) -> None:
    """So is a route of flask-sock's: nothing is left then that could be found later."""
    with pytest.raises(MisuseError, match="given None in place of a view"):
        guard(Sock(make_app()).route("/socket")(lambda _socket: None))


class Shop:
    unused: Any = None

    def page(self) -> str:
        return "page"


@rows("is_kept", {"kept": True, "forgotten": False})
def test_bound_method_below_a_route_is_an_error(is_kept: bool) -> None:
    app, shop = make_app(), Shop()
    kept = [session_required(app.route("/page")(shop.page))]
    if not is_kept:
        kept.clear()
        gc.collect(1)
    with pytest.raises(MisuseError, match="endpoint 'page' runs without"):
        app.test_client().get("/page")


def kept_by(page: Any, guard: Function) -> Any:
    """Return *page*, which keeps a guard that nothing calls."""
    page.unused = guard
    return page


def unbound(_page: Any) -> Function:
    if _page is None:
        later = str
    return lambda: later() if False else "page"


def endless(page: Any) -> Any:
    vars(page)["__wrapped__"] = page
    return kept_by(page, session_required(lambda: ""))


def called(guard: Function) -> Function:
    return lambda: guard()


def helped(guard: Function) -> Function:
    """Return a view that calls a helper twice, once by another one."""
    helper: Function = lambda: None  # noqa: E731
    other: Function = lambda: helper()  # noqa: E731
    return lambda: other() or helper() or guard()


A, B = "/", "/guarded"
R, O = session_required, session_optional  # noqa: E741
ONE, TWO = Shop(), Shop()
PROXY: Any = request
# Nothing is wrong with these views of one function; other apps have "other" and "gone".
RIGHT: dict[str, Function] = {
    "twice": lambda page: {A: page, B: R(page)},
    "twice, hidden": lambda page: {A: hides(page), B: hides(R(page))},
    "another app guards it": lambda page: {A: page, "other": R(page)},
    "an earlier app guarded it": lambda page: {A: page, "gone": R(page)},
    "two guards of one function": lambda page: {A: O(kept_by(page, R(page)))},
    "a guard around a guard": lambda page: {A: O(hides(O(page)))},
    "twice, once under two guards": lambda page: {A: page, B: R(R(page))},
    "twice, once under two, hidden": lambda page: {A: hides(page), B: hides(R(R(page)))},
    "twice, once bound, hidden": lambda p: {A: hides(p), B: hides(MethodType(R(p), ONE))},
    "twice, once beside helpers": lambda page: {A: hides(page), B: helped(R(page))},
    "a proxy": lambda page: {A: kept_by(page, R(lambda: "")), "other": partial(PROXY)},
    "a function no app uses": lambda page: {A: called(kept_by(lambda: "page", R(page)))},
    "a guard that a view calls": lambda page: {A: called(O(page))},
    "methods of two objects": lambda _: {A: kept_by(TWO, R(ONE.page)).page, B: R(ONE.page)},
    "a name that is not bound yet": lambda page: {A: unbound(page)},
    "an endless chain": lambda page: {A: endless(page)},
}


@rows("build", RIGHT)
def test_function_may_be_called_without_its_guard_on_purpose(caplog: Logs, build: Function) -> None:
    def page(*_: Any) -> str:
        return "page"

    app, other = make_app("app"), make_app("other")
    views = build(page)
    for path, view in views.items():
        (app if path.startswith("/") else other).add_url_rule(f"/{path.strip('/')}", path, view)
    if "gone" in views:
        assert other.test_client().get("/gone", headers=FETCH).status_code == 401
        del other, views, view
        gc.collect()
    client = app.test_client()
    assert client.get(B, headers=FETCH).status_code in (401, 404)
    sign_in(client)
    assert client.get(A).text == "page"
    assert_is_right(app, caplog)


def test_guard_below_a_route_of_flask_sock_is_right(caplog: Logs) -> None:
    app = make_app()
    Sock(app).route("/socket")(session_required(lambda _socket: None))
    app.test_client().get("/")
    assert_is_right(app, caplog)


def test_guards_of_one_function_do_not_keep_each_other() -> None:
    """As factories make one for every app."""

    def page() -> str:
        return "page"

    earlier = weakref.ref(session_required(page))
    latest = weakref.ref(session_required(page))
    gc.collect()
    assert earlier() is None
    assert latest() is not None


def test_wrong_order_in_one_app_does_not_stop_another() -> None:
    wrong, right = make_app("wrong"), make_app("right")
    session_required(wrong.route("/")(lambda: "secret"))
    right.add_url_rule("/", "page", session_required(lambda: "secret"))
    with pytest.raises(MisuseError):
        wrong.test_client().get("/")
    assert right.test_client().get("/", headers=FETCH).status_code == 401


@rows("above", {"the guard is on top": lambda function: function, "another decorator is": shows})
def test_handler_that_knows_its_own_name_hides_nothing(caplog: Logs, above: Function) -> None:
    app = make_app()

    @above
    @session_required
    @app.errorhandler(404)
    def missing(_error: Exception) -> Any:
        return missing.__name__, 404

    assert app.test_client().get("/nowhere").text == "missing"
    assert "guard_unreached" in caplog.text


# --- the order of hooks --------------------------------------------------------------------------


def sdk_hook() -> None:
    """Replaces the hook of the SDK's middleware, which is recognised by its module."""


sdk_hook.__module__ = "supertokens_python.framework.flask.flask_middleware"

BEFORE, BELOW = [require_session, sdk_hook], "/auth/<path:rest>"
FOR_A_ROLE = [partial(require_session, role="admin"), sdk_hook]
BOTH, GET = ["GET", "POST"], ["GET"]


def sign_in_view(**_: str) -> str:
    return "page"


def other_view(**_: str) -> str:
    return "page"


OPTIONAL, EXEMPT = session_optional(lambda **_: "page"), session_exempt(lambda **_: "page")


HOOKS: dict[str, Any] = {
    "before": (BEFORE, BELOW, other_view, BOTH, "/auth", True),
    "after": (BEFORE[::-1], BELOW, other_view, BOTH, "/auth", False),
    "before, with a condition": (FOR_A_ROLE, BELOW, other_view, BOTH, "/auth", True),
    "no middleware": ([require_session], BELOW, other_view, BOTH, "/auth", False),
    "no hook": ([sdk_hook], BELOW, other_view, BOTH, "/auth", False),
    "whole site": (BEFORE, "/<path:rest>", other_view, BOTH, "/auth", True),
    "one path": (BEFORE, "/auth/signin", other_view, BOTH, "/auth", True),
    "one path to refresh": (BEFORE, "/auth/session/refresh", other_view, BOTH, "/auth", True),
    "one path, GET": (BEFORE, "/auth/authorisationurl", other_view, GET, "/auth", True),
    "beside": (BEFORE, "/shop/<path:rest>", other_view, BOTH, "/auth", False),
    "API elsewhere": (BEFORE, BELOW, other_view, BOTH, "/api", False),
    "optional": (BEFORE, BELOW, OPTIONAL, BOTH, "/auth", False),
    "ignored": (BEFORE, BELOW, EXEMPT, BOTH, "/auth", False),
    # For POST no route matches, so the API responds; for GET the sign-in view is open.
    "view of sign-in, GET alone": (BEFORE, BELOW, sign_in_view, GET, "/auth", False),
    "other view, GET alone": (BEFORE, BELOW, other_view, GET, "/auth", True),
    "view of sign-in, POST as well": (BEFORE, BELOW, sign_in_view, BOTH, "/auth", True),
}


@rows("hooks, rule, view, methods, api, wrong", HOOKS)
@rows("live", {"testing": False, "production": True})
def test_hook_before_the_sdks_own_is_found_where_a_route_catches_the_api(
    caplog: Logs, hooks: Any, rule: str, view: Any, methods: Any, api: str, wrong: bool, live: bool
) -> None:
    app = make_app(api_base_path=api)
    app.testing = not live
    for hook in hooks:
        app.before_request(hook)
    app.add_url_rule("/auth", "sign_in", sign_in_view)
    endpoint = "sign_in" if view is sign_in_view else "all"
    app.add_url_rule(rule, endpoint, view, methods=methods)
    client = app.test_client()
    if wrong and not live:
        with pytest.raises(MisuseError, match=r"Middleware\(app\).*Put Middleware\(app\) first"):
            client.get("/auth")
    else:
        for _ in range(2):
            assert client.get("/auth").text == "page"
    lines = [record.levelno for record in caplog.records if "hook_before_api" in record.message]
    assert lines == [logging.ERROR] * (wrong and live)
    assert len(doctor_says(app, "middleware")) == wrong


MOUNTED: dict[str, Any] = {
    "API below the mount point": ("/shop", "/shop/auth", True),
    "API of another app": ("/shop", "/auth", False),
    "not mounted": ("", "/auth", True),
}


@rows("mount_point, api, is_wrong", MOUNTED)
def test_mount_point_is_part_of_the_apis_paths(mount_point: str, api: str, is_wrong: bool) -> None:
    app = make_app(api_base_path=api)
    app.before_request(require_session)
    app.before_request(sdk_hook)
    app.add_url_rule(BELOW, "all", other_view, methods=BOTH)
    app.config["APPLICATION_ROOT"] = mount_point or "/"
    assert len(doctor_says(app, "middleware")) == is_wrong
    # A request knows better than the setting.
    app.config["APPLICATION_ROOT"], app.testing, app.debug = "/", False, True
    client, base_url = app.test_client(), f"https://www.example.com{mount_point}"
    if is_wrong:
        with pytest.raises(MisuseError, match=r"Put Middleware\(app\) first"):
            client.get("/", base_url=base_url)
    else:
        client.get("/", base_url=base_url)


@rows("host, is_wrong", {"its own": ("api.example.com", True), "other": ("www.example.com", False)})
@pytest.mark.usefixtures("sdk")
def test_routes_of_the_apis_host_count(host: str, is_wrong: bool) -> None:
    app = make_app()
    app.url_map.host_matching = True
    app.before_request(require_session)
    app.before_request(sdk_hook)
    app.add_url_rule(BELOW, "all", other_view, host=host, methods=BOTH)
    assert len(doctor_says(app, "middleware")) == is_wrong
