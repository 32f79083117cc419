"""What the first request and the doctor find in the setup of an app."""

from __future__ import annotations

import functools
import gc
import logging
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from flask import Blueprint, Flask
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

from .conftest import make_app

Function = Callable[..., Any]


def hides(function: Function) -> Function:
    """Be a decorator that does not set ``__wrapped__``."""
    return lambda *args, **kwargs: function(*args, **kwargs)


def shows(function: Function) -> Function:
    """Be a decorator that does."""
    return functools.wraps(function)(hides(function))


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


def assert_is_right(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    assert "guard_unreached" not in caplog.text
    assert doctor_says(app, "decorators") == []


# How a function is registered, and how the log names it.
VIEW, HANDLER = "the view of endpoint 'echo'", "an error handler"
LOGGED: dict[str, tuple[Function, str]] = {
    "route with a hidden wrapper": (functools.partial(registers, hides), VIEW),
    "route with two hidden wrappers": (
        *(functools.partial(registers, lambda view: hides(hides(view))), VIEW),
    ),
    "partial": (functools.partial(registers, functools.partial), VIEW),
    "error handler": (lambda app: app.errorhandler(404), HANDLER),
    "handler of an exception": (lambda app: app.errorhandler(KeyError), HANDLER),
    "blueprint's error handler": (functools.partial(blueprints, "errorhandler"), HANDLER),
    "hook": (lambda app: app.before_request, "a before_request function"),
}
# These are an error at once, by the endpoint.
RAISED: dict[str, tuple[Function, str]] = {
    "route": (lambda app: app.route("/echo"), "echo"),
    "route with a wrapper": (functools.partial(registers, shows), "echo"),
    "route of a blueprint": (functools.partial(blueprints, "route"), "shop.echo"),
}


@rows("register, name", LOGGED | RAISED)
@rows("is_kept", {"kept, with one between": True, "forgotten": False})
@pytest.mark.parametrize("guard", [session_required, session_optional])
def test_guard_above_what_registers_is_found(
    caplog: pytest.LogCaptureFixture, guard: Any, register: Function, name: str, is_kept: bool
) -> None:
    app = make_app()

    def echo(*_: Any) -> str:
        return "secret"

    kept = [guard(shows(register(app)(echo)) if is_kept else register(app)(echo))]
    if not is_kept:  # as in a factory that has returned
        kept.clear()
        gc.collect()
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
    caplog: pytest.LogCaptureFixture, guard: Any, register: Function, name: str
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
        guard(None)
    with pytest.raises(MisuseError, match="given None in place of a view"):
        guard(Sock(make_app()).route("/socket")(lambda _socket: None))


class Shop:
    def page(self) -> str:
        return "page"


@rows("is_kept", {"kept": True, "forgotten": False})
def test_bound_method_below_a_route_is_an_error(is_kept: bool) -> None:
    app, shop = make_app(), Shop()
    kept = [session_required(app.route("/page")(shop.page))]
    if not is_kept:
        kept.clear()
        gc.collect()
    with pytest.raises(MisuseError, match="endpoint 'page' runs without"):
        app.test_client().get("/page")


# Nothing is wrong with these: two apps, and a function that the first one serves at "/".


def twice(app: Flask, _other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", page)
    app.add_url_rule("/guarded", "guarded", session_required(page))


def twice_hidden(app: Flask, _other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", hides(page))
    app.add_url_rule("/guarded", "guarded", hides(session_required(page)))


def other_app_guards(app: Flask, other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", page)
    other.add_url_rule("/guarded", "page", session_required(page))


def other_app_guards_hidden(app: Flask, other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", hides(page))
    other.register_error_handler(404, hides(session_required(page)))


def other_app_is_gone(app: Flask, _other: Flask, page: Any) -> None:
    earlier = make_app("earlier")
    earlier.add_url_rule("/", "page", session_required(page))
    assert earlier.test_client().get("/", headers=FETCH).status_code == 401
    del earlier
    gc.collect()
    app.add_url_rule("/", "page", page)


def two_guards_of_one_function(app: Flask, _other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", session_optional(page))
    page.unused = session_required(page)


def guard_around_a_guard(app: Flask, _other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", session_optional(hides(session_optional(page))))


def twice_once_under_two_guards(app: Flask, _other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", page)
    app.add_url_rule("/guarded", "guarded", session_required(session_required(page)))


def twice_once_under_two_hidden_guards(app: Flask, _other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", hides(page))
    app.add_url_rule("/guarded", "guarded", hides(session_required(session_required(page))))


def function_no_app_uses(app: Flask, _other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", lambda: "page")
    page.unused = session_required(page)


def guard_called_by_a_view(app: Flask, _other: Flask, page: Any) -> None:
    guarded = session_optional(page)
    app.add_url_rule("/", "page", lambda: guarded())


def method_of_another_object(app: Flask, _other: Flask, page: Any) -> None:
    one = Shop()
    page.unused = session_required(one.page)
    app.add_url_rule("/guarded", "guarded", session_required(one.page))
    app.add_url_rule("/", "bare", Shop().page)


def name_not_bound_yet(app: Flask, _other: Flask, _page: Any) -> None:
    app.add_url_rule("/", "page", lambda: later() if False else "page")
    if app is None:
        later = str


def route_of_flask_sock(app: Flask, _other: Flask, page: Any) -> None:
    Sock(app).route("/guarded")(session_required(lambda _socket: None))
    app.add_url_rule("/", "page", page)


def endless_chain(app: Flask, _other: Flask, page: Any) -> None:
    def endless() -> str:
        return "page"

    vars(endless)["__wrapped__"] = endless
    app.add_url_rule("/", "endless", endless)
    page.unused = session_required(lambda: "")


RIGHT = [
    *(twice, twice_hidden, other_app_guards, other_app_guards_hidden, other_app_is_gone),
    *(two_guards_of_one_function, guard_around_a_guard, twice_once_under_two_guards),
    *(twice_once_under_two_hidden_guards, function_no_app_uses, guard_called_by_a_view),
    *(method_of_another_object, name_not_bound_yet, route_of_flask_sock, endless_chain),
]


@pytest.mark.parametrize("build", RIGHT, ids=lambda build: build.__name__)
def test_function_may_be_called_with_and_without_its_guard_on_purpose(
    caplog: pytest.LogCaptureFixture, build: Function
) -> None:
    def page(*_: Any) -> str:
        return "page"

    app, other = make_app("app"), make_app("other")
    build(app, other, page)
    client = app.test_client()
    if "/guarded" in [rule.rule for rule in app.url_map.iter_rules()] and "sock" not in str(build):
        assert client.get("/guarded", headers=FETCH).status_code == 401
    sign_in(client)
    assert client.get("/").text == "page"
    other.test_client().get("/")
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


def test_handler_that_knows_its_own_name_hides_nothing(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()

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
FOR_A_ROLE = [functools.partial(require_session, role="admin"), sdk_hook]
BOTH, GET = ["GET", "POST"], ["GET"]


def sign_in_view(**_: str) -> str:
    return "page"


def other_view(**_: str) -> str:
    return "page"


OPTIONAL, EXEMPT = session_optional(lambda **_: "page"), session_exempt(lambda **_: "page")


@rows(
    "hooks, rule, view, methods, api, is_wrong",
    {
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
    },
)
@pytest.mark.parametrize("testing", [True, False], ids=["testing", "production"])
def test_hook_before_the_sdks_own_is_found_where_a_route_catches_the_api(
    caplog: pytest.LogCaptureFixture,
    hooks: list[Function],
    rule: str,
    view: Function,
    methods: list[str],
    api: str,
    is_wrong: bool,
    testing: bool,
) -> None:
    app = make_app(api_base_path=api)
    app.testing = testing
    for hook in hooks:
        app.before_request(hook)
    app.add_url_rule("/auth", "sign_in", sign_in_view)
    endpoint = "sign_in" if view is sign_in_view else "all"
    app.add_url_rule(rule, endpoint, view, methods=methods)
    client = app.test_client()
    if is_wrong and testing:
        with pytest.raises(MisuseError, match=r"Middleware\(app\).*Put Middleware\(app\) first"):
            client.get("/auth")
    else:
        for _ in range(2):
            assert client.get("/auth").text == "page"
    lines = [record.levelno for record in caplog.records if "hook_before_api" in record.message]
    assert lines == [logging.ERROR] * (is_wrong and not testing)
    assert len(doctor_says(app, "middleware")) == is_wrong


@rows(
    "mount_point, api, is_wrong",
    {
        "API below the mount point": ("/shop", "/shop/auth", True),
        "API of another app": ("/shop", "/auth", False),
        "not mounted": ("", "/auth", True),
    },
)
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
