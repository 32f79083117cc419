"""The decorators on views of every kind; requests reach them with and without a session."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, current_app, g
from flask.testing import FlaskClient
from flask.views import MethodView, View

from flask_ssr_session import (
    FlaskSSRSession,
    MisuseError,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.testing import outage, sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows

from .conftest import make_app, page_shown, with_views

Function = Callable[..., Any]
ALL_GUARDS = pytest.mark.parametrize("guard", [session_required, session_optional])


def plain(name: str = "me") -> str:
    return f"{g.session.user_id if g.session else 'everyone'} and {name}"


async def coroutine(name: str = "me") -> str:
    return plain(name)


class Pages:
    def home(self, name: str) -> str:
        return plain(name)


def logged(view: Function) -> Function:
    """Stand for any decorator that uses functools.wraps."""

    @functools.wraps(view)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return current_app.ensure_sync(view)(*args, **kwargs)

    return inner


def view_class(guard: Function) -> Function:
    class Page(View):
        methods = ("GET", "POST")
        decorators = [guard]  # noqa: RUF012 - as Flask's documentation writes it

        def dispatch_request(self, **values: str) -> str:
            return plain(**values)

    return Page.as_view("view")


def method_view(guard: Function) -> Function:
    class Methods(MethodView):
        decorators = [guard]  # noqa: RUF012

        def get(self, name: str) -> str:
            return plain(name)

        async def post(self, name: str) -> str:
            return await coroutine(name)

    return Methods.as_view("view")


VIEWS: dict[str, Function] = {
    "function": lambda guard: guard(plain),
    "coroutine": lambda guard: guard(coroutine),
    "above another": lambda guard: guard(logged(plain)),
    "above another, async": lambda guard: guard(logged(coroutine)),
    "below another": lambda guard: logged(guard(plain)),
    "below another, async": lambda guard: logged(guard(coroutine)),
    "between others": lambda guard: logged(guard(logged(plain))),
    "on itself": lambda guard: guard(guard(plain)),
    "bound method": lambda guard: guard(Pages().home),
    "partial": lambda guard: guard(functools.partial(plain)),
    "view class": view_class,
    "method view": method_view,
}
# What a stranger sees, a visitor whose token has expired, and an editor.
USER = "user-1 and me"
REQUIRED, OPTIONAL = ("sign-in", "refresh", USER), ("everyone and me", "refresh", USER)
REFUSED = ("sign-in", "refresh", "403")
ADMIN = session_required(role="admin")
GUARDS: dict[str, tuple[Function, tuple[str, str, str]]] = {
    "required": (session_required, REQUIRED),
    "required()": (session_required(), REQUIRED),
    "optional": (session_optional, OPTIONAL),
    "optional()": (session_optional(), OPTIONAL),
    "optional on required": (lambda view: session_optional(session_required(view)), REQUIRED),
    "required on optional": (lambda view: session_required(session_optional(view)), REQUIRED),
    "exempt": (session_exempt, ("everyone and me",) * 3),
    "exempt on required": (lambda view: session_exempt(session_required(view)), REQUIRED),
    "required on exempt": (lambda view: session_required(session_exempt(view)), REQUIRED),
    "a role": (session_required(role="editor"), REQUIRED),
    "another role": (ADMIN, REFUSED),
    "optional on another role": (lambda view: session_optional(ADMIN(view)), REFUSED),
    "another role on optional": (lambda view: ADMIN(session_optional(view)), REFUSED),
    "exempt on another role": (lambda view: session_exempt(ADMIN(view)), REFUSED),
    "another role on exempt": (lambda view: ADMIN(session_exempt(view)), REFUSED),
}


def signed_in_client(app: Flask, **options: Any) -> FlaskClient:
    client = app.test_client()
    sign_in(client, **options)
    return client


@rows("build", VIEWS)
def test_view_behind_its_decorator(build: Function) -> None:
    app = make_app()
    for number, (guard, _) in enumerate(GUARDS.values()):
        view = build(guard)
        assert view.__name__ in ("plain", "coroutine", "home", "view") or build is VIEWS["partial"]
        app.add_url_rule(f"/{number}/<name>", f"{number}", view, methods=["GET", "POST"])
    expired, editor = (signed_in_client(app, roles=["editor"], valid_seconds=s) for s in (-60, 60))
    for number, (row, (_, seen)) in enumerate(GUARDS.items()):
        for client, expected in zip((app.test_client(), expired, editor), seen, strict=True):
            path = f"/{number}/me"
            for method in ("GET", "POST"):
                page = client.open(path, method=method, headers=PAGE)
                script = client.open(path, method=method, headers=FETCH)
                if " " in expected:
                    assert (page.text, script.text) == (expected, expected), (row, method)
                    continue
                if expected == "403":
                    assert (page.status_code, script.status_code) == (403, 403), (row, method)
                    continue
                assert script.status_code == 401, (row, method)
                if (expected, method) == ("sign-in", "GET"):
                    assert page.location == f"/auth?redirectToPath={path}", row
                else:
                    assert page_shown(page) == expected.replace("-", "_"), (row, method)


@ALL_GUARDS
def test_what_is_no_view_is_an_error(guard: Any) -> None:
    with pytest.raises(MisuseError, match=r"decorators = \[session_required\]"):
        guard(MethodView)
    with pytest.raises(MisuseError, match="decorate a view function"):
        guard("account")
    for hook in (guard, guard()):
        app = with_views(make_app())
        app.before_request(hook)
        with pytest.raises(MisuseError, match="before_request takes require_session"):
            app.test_client().get("/open")


# --- optional pages ------------------------------------------------------------------------------


def test_optional_page_leads_a_reader_on_whose_token_ran_out(app: Flask) -> None:
    client = signed_in_client(app, valid_seconds=-60)
    for method in ("GET", "POST"):
        page = client.open("/news?a=1", method=method, headers=PAGE)
        assert page_shown(page) == "refresh"
        assert 'href="/news?a=1&amp;continueSignedOut=1"' in page.text, method
        assert "data-optional" in page.text
    required = client.get("/account", headers=PAGE).text
    assert "continueSignedOut" not in required
    assert "data-optional" not in required


def test_going_on_signed_out_is_honoured_on_optional_pages_only(app: Flask) -> None:
    client, mark = signed_in_client(app, valid_seconds=-60), "?continueSignedOut=1"
    for headers in (PAGE, FETCH):
        assert client.get("/news" + mark, headers=headers).text == "news for everyone"
    for path in ("/account", "/page"):
        assert page_shown(client.get(path + mark, headers=PAGE)) == "refresh"
        assert client.get(path + mark, headers=FETCH).status_code == 401
    client = signed_in_client(app)
    assert client.get("/news" + mark, headers=PAGE).text == "news for user-1"
    with outage(app):  # an optional page is shown signed out
        assert client.get("/news", headers=PAGE).text == "news for everyone"
        assert client.get("/account", headers=PAGE).status_code == 503


# --- others --------------------------------------------------------------------------------------


def test_exempt_view_works_without_keys_and_settings() -> None:
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


def test_session_that_ended_on_an_open_sign_in_page_leads_to_its_form() -> None:
    app = make_app()
    app.add_url_rule("/auth", "sign_in", session_optional(lambda: "sign in"))
    client = signed_in_client(app, valid_seconds=-60)
    page = client.get("/auth?redirectToPath=/account", headers=PAGE).text
    onward = "/auth?redirectToPath=/account&amp;continueSignedOut=1"
    assert f'data-sign-in="{onward}"' in page
    assert "data-optional" not in page
    assert client.get(onward.replace("&amp;", "&"), headers=PAGE).text == "sign in"
