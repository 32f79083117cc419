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
from tests.browser_requests import FETCH

from .conftest import make_app, sdk_values

Decorator = Callable[[Callable[..., Any]], Any]


def route_of_its_own(app: Flask, *, wraps: bool, returns: bool = True) -> Decorator:
    """Return a route that registers a wrapper of its own, as flask-sock's does."""

    def decorator(function: Callable[..., Any]) -> Any:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        endpoint = function.__name__
        wrapper = functools.wraps(function)(wrapper) if wraps else wrapper
        app.add_url_rule("/echo", endpoint, wrapper)
        return function if returns else None

    return decorator


def blueprint_handler(app: Flask) -> Decorator:
    shop = Blueprint("shop", __name__)

    def decorator(function: Callable[..., Any]) -> Any:
        shop.errorhandler(404)(function)
        app.register_blueprint(shop)
        return function

    return decorator


def partial_view(app: Flask) -> Decorator:
    def decorator(function: Callable[..., Any]) -> Any:
        app.add_url_rule("/echo", "echo", functools.partial(function))
        return function

    return decorator


def hides_its_function(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def hidden_route(app: Flask) -> Decorator:
    def decorator(function: Callable[..., Any]) -> Any:
        app.add_url_rule("/echo", "echo", hides_its_function(hides_its_function(function)))
        return function

    return decorator


def nothing_said(caplog: pytest.LogCaptureFixture) -> bool:
    return not [record for record in caplog.records if "guard_unreached" in record.message]


def doctor_says(app: Flask, check: str) -> list[str]:
    found = run_checks(app.extensions[app_state.EXTENSION_NAME], None, offline=True)
    return [each.message for each in found if each.check == check and each.level is Level.PROBLEM]


# How a function is registered, and how the log names it; None for an immediate error.
REGISTERS: dict[str, tuple[Callable[[Flask], Decorator], str | None]] = {
    "route": (lambda app: app.route("/echo"), None),
    "route with a wrapper": (lambda app: route_of_its_own(app, wraps=True), None),
    "route with a hidden wrapper": (
        lambda app: route_of_its_own(app, wraps=False),
        "the view of endpoint 'echo'",
    ),
    "route with two hidden wrappers": (hidden_route, "the view of endpoint 'echo'"),
    "partial": (partial_view, "the view of endpoint 'echo'"),
    "error handler": (lambda app: app.errorhandler(404), "an error handler"),
    "handler of an exception": (lambda app: app.errorhandler(KeyError), "an error handler"),
    "blueprint's error handler": (blueprint_handler, "an error handler"),
    "hook": (lambda app: app.before_request, "a before_request function"),
}


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "forgotten"])
@pytest.mark.parametrize("row", REGISTERS)
@pytest.mark.parametrize("guard", [session_required, session_optional])
def test_guard_above_what_registers_is_found(
    caplog: pytest.LogCaptureFixture, guard: Any, row: str, is_kept: bool
) -> None:
    register, place = REGISTERS[row]
    app = make_app()

    def echo(*_: Any) -> None:
        return None

    kept = [guard(register(app)(echo))]
    if not is_kept:  # as in a factory that has returned
        kept.clear()
        gc.collect()
    client = app.test_client()
    if place is None:
        for _ in range(2):
            with pytest.raises(MisuseError, match="endpoint 'echo' runs without"):
                client.get("/nowhere")
        assert "endpoint 'echo' runs without" in doctor_says(app, "decorators")[0]
        return
    app.testing = app.config["PROPAGATE_EXCEPTIONS"] = False
    for _ in range(2):
        client.get("/nowhere")
    lines = [record for record in caplog.records if "guard_unreached" in record.message]
    assert len(lines) == 1
    assert lines[0].levelno == logging.ERROR
    name = f"{__name__}.test_guard_above_what_registers_is_found.<locals>.echo"
    assert f"{name} ({place})" in lines[0].message
    assert f"{name} ({place})" in doctor_says(app, "decorators")[0]


@pytest.mark.parametrize("row", REGISTERS)
@pytest.mark.parametrize("guard", [session_required, session_optional])
def test_guard_below_what_registers_is_right(
    caplog: pytest.LogCaptureFixture, guard: Any, row: str
) -> None:
    app = make_app()

    def echo(*_: Any) -> None:
        return None

    REGISTERS[row][0](app)(guard(echo))
    app.testing = app.config["PROPAGATE_EXCEPTIONS"] = False
    app.test_client().get("/nowhere")
    assert nothing_said(caplog)
    assert doctor_says(app, "decorators") == []


@pytest.mark.parametrize("guard", [session_required, session_required(), session_optional()])
def test_guard_above_a_route_that_returns_nothing_is_an_error_at_once(guard: Any) -> None:
    """So is a route of flask-sock's: nothing is left then that could be found later."""
    app = make_app()
    with pytest.raises(MisuseError, match="given None in place of a view"):
        guard(route_of_its_own(app, wraps=True, returns=False)(lambda: "secret"))
    with pytest.raises(MisuseError, match="given None in place of a view"):
        guard(Sock(make_app()).route("/socket")(lambda _socket: None))


def test_guard_below_a_route_of_flask_sock_is_right(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()
    Sock(app).route("/socket")(session_required(lambda _socket: None))
    app.add_url_rule("/", "home", lambda: "home")
    assert app.test_client().get("/").text == "home"
    assert nothing_said(caplog)


class Shop:
    def __init__(self, app: Flask) -> None:
        self.app = app

    def page(self) -> str:
        return "page"


@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "forgotten"])
def test_bound_method_below_a_route_is_an_error(is_kept: bool) -> None:
    app = make_app()
    shop = Shop(app)
    kept = [session_required(app.route("/page")(shop.page))]
    if not is_kept:
        kept.clear()
        gc.collect()
    with pytest.raises(MisuseError, match="endpoint 'page' runs without"):
        app.test_client().get("/page")


def test_bound_method_of_another_object_is_bare_on_purpose(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = make_app()
    one, other = Shop(app), Shop(app)
    unused = session_required(one.page)
    app.add_url_rule("/guarded", "guarded", session_required(one.page))
    app.add_url_rule("/bare", "bare", other.page)
    client = app.test_client()
    assert client.get("/bare").text == "page"
    assert client.get("/guarded", headers=FETCH).status_code == 401
    assert nothing_said(caplog)
    assert unused is not None


# Nothing is wrong with these: each gets two apps and a function to begin with.


def _twice(app: Flask, _other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", page)
    app.add_url_rule("/guarded", "guarded", session_required(page))


def _twice_hidden(app: Flask, _other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", hides_its_function(page))
    app.add_url_rule("/guarded", "guarded", hides_its_function(session_required(page)))


def _other_app_guards(app: Flask, other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", page)
    other.add_url_rule("/", "page", session_required(page))


def _other_app_guards_hidden(app: Flask, other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", hides_its_function(page))
    other.register_error_handler(404, hides_its_function(session_required(page)))


def _two_guards_of_one_function(app: Flask, _other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", session_optional(page))
    page.unused = session_required(page)


def _guard_around_a_guard(app: Flask, _other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", session_optional(hides_its_function(session_optional(page))))


def _twice_once_under_two_guards(app: Flask, _other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", page)
    app.add_url_rule("/guarded", "guarded", session_required(session_required(page)))


def _twice_once_under_two_hidden_guards(app: Flask, _other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", hides_its_function(page))
    guarded = hides_its_function(session_required(session_required(page)))
    app.add_url_rule("/guarded", "guarded", guarded)


def _function_no_app_uses(app: Flask, _other: Flask, page: Any) -> None:
    app.add_url_rule("/", "page", lambda: "page")
    page.unused = session_required(page)


def _guard_called_by_a_view(app: Flask, _other: Flask, page: Any) -> None:
    guarded = session_optional(page)
    app.add_url_rule("/", "page", lambda: guarded())


def _name_not_bound_yet(app: Flask, _other: Flask, _page: Any) -> None:
    def page() -> str:
        return later() if False else "page"

    app.add_url_rule("/", "page", page)
    if app is None:

        def later() -> str:
            return ""


RIGHT = (
    _twice,
    _twice_hidden,
    _other_app_guards,
    _other_app_guards_hidden,
    _two_guards_of_one_function,
    _guard_around_a_guard,
    _twice_once_under_two_guards,
    _twice_once_under_two_hidden_guards,
    _function_no_app_uses,
    _guard_called_by_a_view,
    _name_not_bound_yet,
)


@pytest.mark.parametrize("build", RIGHT, ids=lambda build: build.__name__.strip("_"))
def test_function_may_be_called_with_and_without_its_guard_on_purpose(
    caplog: pytest.LogCaptureFixture, build: Callable[[Flask, Flask, Any], None]
) -> None:
    def page(*_: Any) -> str:
        return "page"

    app, other = make_app("app"), make_app("other")
    build(app, other, page)
    client = app.test_client()
    sign_in(client)
    assert client.get("/").text == "page"
    other.test_client().get("/")
    assert nothing_said(caplog)
    assert doctor_says(app, "decorators") == []


def test_function_that_an_app_guarded_may_be_bare_in_a_later_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def page() -> str:
        return "page"

    earlier = make_app("earlier")
    earlier.add_url_rule("/", "page", session_required(page))
    assert earlier.test_client().get("/", headers=FETCH).status_code == 401
    del earlier
    gc.collect()
    later = make_app("later")
    later.add_url_rule("/", "page", page)
    assert later.test_client().get("/").text == "page"
    assert nothing_said(caplog)


def test_guards_of_one_function_do_not_keep_each_other() -> None:
    """As factories make one for every app."""

    def page() -> str:
        return "page"

    earlier = weakref.ref(session_required(page))
    latest = weakref.ref(session_required(page))
    gc.collect()
    assert earlier() is None
    assert latest() is not None


def test_handler_that_knows_its_own_name_hides_nothing(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app()

    @session_required
    @app.errorhandler(404)
    def missing(_error: Exception) -> Any:
        return missing.__name__, 404

    assert app.test_client().get("/nowhere").text == "missing"
    assert not nothing_said(caplog)


def test_endless_chain_ends(caplog: pytest.LogCaptureFixture) -> None:
    class Endless:
        __name__ = "endless"

        def __call__(self) -> str:
            return "page"

    endless = Endless()
    vars(endless)["__wrapped__"] = endless
    app = make_app()
    app.add_url_rule("/", "endless", endless)
    kept = session_required(lambda: "")
    assert app.test_client().get("/").text == "page"
    assert nothing_said(caplog)
    assert kept is not None


# --- the order of hooks --------------------------------------------------------------------------


def sdk_hook() -> None:
    """Replaces the hook of the SDK's middleware, which is recognised by its module."""


sdk_hook.__module__ = "supertokens_python.framework.flask.flask_middleware"


def catch_all() -> Callable[..., str]:
    return lambda **_: "page"


ALL: dict[str, Any] = {"methods": ["GET", "POST"]}


@pytest.mark.parametrize(
    ("hooks", "mark", "rule", "options", "settings", "is_wrong"),
    [
        pytest.param(
            [require_session, sdk_hook], None, "/auth/<path:rest>", ALL, {}, True, id="before"
        ),
        pytest.param(
            [sdk_hook, require_session], None, "/auth/<path:rest>", ALL, {}, False, id="after"
        ),
        pytest.param(
            [functools.partial(require_session, role="admin"), sdk_hook],
            None,
            "/auth/<path:rest>",
            ALL,
            {},
            True,
            id="before, with a condition",
        ),
        pytest.param(
            [require_session], None, "/auth/<path:rest>", ALL, {}, False, id="no middleware"
        ),
        pytest.param([sdk_hook], None, "/auth/<path:rest>", ALL, {}, False, id="no hook"),
        pytest.param(
            [require_session, sdk_hook], None, "/<path:rest>", ALL, {}, True, id="whole site"
        ),
        pytest.param(
            [require_session, sdk_hook], None, "/auth/signin", ALL, {}, True, id="one path"
        ),
        pytest.param(
            [require_session, sdk_hook], None, "/shop/<path:rest>", ALL, {}, False, id="beside"
        ),
        pytest.param(
            [require_session, sdk_hook],
            None,
            "/auth/<path:rest>",
            ALL,
            {"api_base_path": "/api"},
            False,
            id="API elsewhere",
        ),
        pytest.param(
            [require_session, sdk_hook],
            session_optional,
            "/auth/<path:rest>",
            ALL,
            {},
            False,
            id="optional",
        ),
        pytest.param(
            [require_session, sdk_hook],
            session_exempt,
            "/auth/<path:rest>",
            ALL,
            {},
            False,
            id="ignored",
        ),
        # For POST no route matches, so the API responds; for GET the sign-in view is open.
        pytest.param(
            [require_session, sdk_hook],
            None,
            "/auth/<path:rest>",
            {"methods": ["GET"], "endpoint": "sign_in"},
            {},
            False,
            id="view of sign-in, GET alone",
        ),
        pytest.param(
            [require_session, sdk_hook],
            None,
            "/auth/<path:rest>",
            {"methods": ["GET"]},
            {},
            True,
            id="other view, GET alone",
        ),
        pytest.param(
            [require_session, sdk_hook],
            None,
            "/auth/<path:rest>",
            ALL | {"endpoint": "sign_in"},
            {},
            True,
            id="view of sign-in, POST as well",
        ),
    ],
)
@pytest.mark.parametrize("testing", [True, False], ids=["testing", "production"])
def test_hook_before_the_sdks_own_is_found_where_a_route_catches_the_api(
    caplog: pytest.LogCaptureFixture,
    hooks: list[Callable[[], None]],
    mark: Decorator | None,
    rule: str,
    options: dict[str, Any],
    settings: dict[str, Any],
    is_wrong: bool,
    testing: bool,
) -> None:
    app = make_app(**settings)
    app.testing = testing
    for hook in hooks:
        app.before_request(hook)
    sign_in_view = catch_all()
    app.add_url_rule("/auth", "sign_in", sign_in_view)
    view = sign_in_view if "endpoint" in options else catch_all()
    view = mark(view) if mark is not None else view
    app.add_url_rule(rule, view_func=view, **{"endpoint": "all"} | options)
    client = app.test_client()
    if is_wrong and testing:
        with pytest.raises(MisuseError, match=r"Middleware\(app\).*Put Middleware\(app\) first"):
            client.get("/auth")
    else:
        for _ in range(2):
            assert client.get("/auth").text == "page"
    lines = [record for record in caplog.records if "hook_before_api" in record.message]
    assert [line.levelno for line in lines] == [logging.ERROR] * (is_wrong and not testing)
    assert len(doctor_says(app, "middleware")) == is_wrong


@pytest.mark.parametrize(
    ("mount_point", "api_base_path", "is_wrong"),
    [
        pytest.param("/shop", "/shop/auth", True, id="API below the mount point"),
        pytest.param("/shop", "/auth", False, id="API of another app"),
        pytest.param("", "/auth", True, id="not mounted"),
    ],
)
def test_mount_point_is_part_of_the_apis_paths(
    mount_point: str, api_base_path: str, is_wrong: bool
) -> None:
    app = make_app(api_base_path=api_base_path)
    app.before_request(require_session)
    app.before_request(sdk_hook)
    app.add_url_rule("/auth/<path:rest>", "all", catch_all(), methods=["GET", "POST"])
    app.config["APPLICATION_ROOT"] = mount_point or "/"
    assert len(doctor_says(app, "middleware")) == is_wrong
    # A request knows better than the setting.
    app.config["APPLICATION_ROOT"] = "/"
    client = app.test_client()
    if is_wrong:
        with pytest.raises(MisuseError, match=r"Put Middleware\(app\) first"):
            client.get("/", base_url=f"https://www.example.com{mount_point}")
    else:
        client.get("/", base_url=f"https://www.example.com{mount_point}")


def test_routes_of_the_apis_host_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_state, "read_sdk", sdk_values)
    for host, is_wrong in (("api.example.com", True), ("www.example.com", False)):
        app = make_app()
        app.url_map.host_matching = True
        app.before_request(require_session)
        app.before_request(sdk_hook)
        app.add_url_rule("/auth/<path:rest>", "all", catch_all(), host=host, **ALL)
        assert len(doctor_says(app, "middleware")) == is_wrong


def test_guard_that_nothing_reaches_is_an_error_in_debug() -> None:
    app = make_app()
    app.debug = True
    kept = session_required(app.errorhandler(404)(lambda _error: "content"))
    with pytest.raises(MisuseError, match=r"an error handler\) runs without"):
        app.test_client().get("/nowhere")
    assert callable(kept)
