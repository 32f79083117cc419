"""Who is let in: each kind of view and way to ask for a session, each visitor, and each hook."""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
from flask import Flask, current_app, g, render_template, render_template_string
from flask.views import MethodView, View

import flask_ssr_session as ssr
from flask_ssr_session.testing import outage
from tests.browser_requests import FETCH, PAGE
from tests.tokens import expired_token, make_token

from . import apps
from .visitors import cookies, page_shown, signed_in

Function = Callable[..., Any]

VERIFIED: dict[str, Any] = {"st-ev": {"v": True, "t": 1}}
UNVERIFIED: dict[str, Any] = {"st-ev": {"v": False, "t": 1}}
PENDING: dict[str, Any] = {"mfa_complete": False, "roles": ["admin"]} | VERIFIED
VISITORS: dict[str, Callable[[], dict[str, str]]] = {
    "stranger": dict,
    "expired": lambda: cookies(expired_token()),
    "pending": lambda: cookies(make_token(**PENDING)),
    "unverified": lambda: cookies(make_token(**UNVERIFIED)),
    "unverified admin": lambda: cookies(make_token(roles=["admin"], **UNVERIFIED)),
    "user": lambda: cookies(make_token(**VERIFIED)),
    "admin": lambda: cookies(make_token(roles=["admin"], **VERIFIED)),
}
# A letter for each visitor: let in with a session, let in without one, and refused.
LETTERS = {"+": "user-1", ".": "nobody", "x": "refused"}
USERS, ANYBODY, OPTIONAL, ADMINS = "xxxxx++", "...++++", ".x.++++", "xxxxxx+"


def who(name: str = "me") -> str:
    assert name == "me"
    session = ssr.get_ssr_session()
    assert session is g.session
    return session.user_id if session else "nobody"


async def coroutine(name: str = "me") -> str:
    return who(name)


def template(**_: str) -> str:
    return render_template("page.html")


class Pages:
    def home(self, name: str) -> str:
        return who(name)


def logged(view: Function) -> Function:
    """Stand for any decorator that uses functools.wraps."""

    @functools.wraps(view)
    def inner(*args: Any, **kwargs: Any) -> Any:
        return current_app.ensure_sync(view)(*args, **kwargs)

    return inner


def hiding(view: Function) -> Function:
    """Stand for any decorator that does not set ``__wrapped__``."""
    return lambda *args, **kwargs: view(*args, **kwargs)


def impostor(view: Function) -> Function:
    """Return another view with the attributes of a marked one."""
    other: Any = lambda **_: who()  # noqa: E731
    vars(other).update(vars(view))
    vars(other).pop("__wrapped__", None)
    return other  # type: ignore[no-any-return]


def view_class(guard: Function) -> Function:
    class Page(View):
        methods = ("GET", "POST")
        decorators = [guard]  # noqa: RUF012 - as Flask's documentation writes it

        def dispatch_request(self, **values: str) -> str:
            return who(**values)

    return Page.as_view("view")


def method_view(guard: Function) -> Function:
    class Methods(MethodView):
        decorators = [guard]  # noqa: RUF012

        def get(self, name: str) -> str:
            return who(name)

        async def post(self, name: str) -> str:
            return await coroutine(name)

    return Methods.as_view("view")


KINDS: dict[str, Function] = {
    "coroutine": lambda guard: guard(coroutine),
    "above another": lambda guard: guard(logged(who)),
    "above another, async": lambda guard: guard(logged(coroutine)),
    "below another": lambda guard: logged(guard(who)),
    "below another, async": lambda guard: logged(guard(coroutine)),
    "between others": lambda guard: logged(logged(guard(logged(who)))),
    "on itself": lambda guard: guard(guard(who)),
    "bound method": lambda guard: guard(Pages().home),
    "partial": lambda guard: guard(partial(who)),
    "view class": view_class,
    "method view": method_view,
}
ADMIN = ssr.session_required(role="admin")
R, O, E = ssr.session_required, ssr.session_optional, ssr.session_exempt  # noqa: E741
GUARDS: dict[str, tuple[Function, str]] = {
    "required": (R, USERS),
    "optional()": (ssr.session_optional(), OPTIONAL),
    "exempt": (E, ANYBODY),
    "of a role": (ADMIN, ADMINS),
}
PENDING_TOO = ssr.session_required(allow_pending=True)
PENDING_ADMINS = ssr.session_required(allow_pending=True, role="admin")
PENDING_CHECKED = ssr.session_required(allow_pending=True, check_revoked=True)
WAIVES = ssr.session_required(global_claims=False)
OF_ADMINS = ssr.session_required(role="admin", global_claims=False)


# For each view: who is let in by an open app, and by one whose hook requires a session everywhere.
VIEWS: dict[str, tuple[Any, str, str]] = {
    "session_required": (R(who), USERS, USERS),
    "session_required()": (ssr.session_required()(who), USERS, USERS),
    "a template that asks": (template, USERS, USERS),
    "both ask": (R(template), USERS, USERS),
    "require_session": (apps.requiring(who), USERS, USERS),
    "nobody asks": (lambda **_: who(), ANYBODY, USERS),
    "session_optional": (O(who), OPTIONAL, OPTIONAL),
    "session_optional with a template": (O(template), OPTIONAL, OPTIONAL),
    "session_exempt": (E(who), ANYBODY, ANYBODY),
    "a role": (ADMIN(who), ADMINS, ADMINS),
    "global_claims=False": (WAIVES(who), "xxx++++", "xxx++++"),
    "it waives them for its template": (WAIVES(template), "xxx++++", "xxx++++"),
    "but no condition": (OF_ADMINS(who), "xxxx+x+", "xxxx+x+"),
    "allow_pending": (PENDING_TOO(who), "xx+xx++", "xx+xx++"),
    "allow_pending with a template": (PENDING_TOO(template), "xx+xx++", "xx+xx++"),
    "allow_pending and a role": (PENDING_ADMINS(who), "xx+xxx+", "xx+xxx+"),
    # The hook does not see what asks inside the view alone.
    "allow_pending inside": (apps.requiring(who, allow_pending=True), "xx+xx++", USERS),
    "allow_pending, asked again inside": (PENDING_TOO(apps.requiring(who)), USERS, USERS),
    "and check_revoked": (PENDING_CHECKED(who), "xx+xx++", "xx+xx++"),
    # One mark on another, and a mark that does not show.
    "optional on required": (O(R(who)), USERS, USERS),
    "required on optional": (R(O(who)), USERS, USERS),
    "exempt on required": (E(R(who)), USERS, USERS),
    "required on exempt": (R(E(who)), USERS, USERS),
    "optional on a role": (O(ADMIN(who)), ADMINS, ADMINS),
    "a role on optional": (ADMIN(O(who)), ADMINS, ADMINS),
    "exempt on a role": (E(ADMIN(who)), ADMINS, ADMINS),
    "a role on exempt": (ADMIN(E(who)), ADMINS, ADMINS),
    "a mark below what hides it": (hiding(E(who)), ANYBODY, USERS),
    "a mark that was copied": (impostor(E(who)), ANYBODY, USERS),
}
VIEWS |= {
    f"{name}, {kind}": (build(guard), expected, expected)
    for name, (guard, expected) in GUARDS.items()
    for kind, build in KINDS.items()
}


HOOKS: dict[str, Any] = {
    "": None,
    "closed": ssr.require_session,
    "for admins": partial(ssr.require_session, role="admin"),
}


@cache
def app_with(hook: str) -> Flask:
    app = apps.make_app(sdk=apps.sdk_values(global_claims=apps.FakeGlobalClaims(apps.EMAIL)))
    apps.with_templates(app, page=apps.TEMPLATE_GUARD.replace("content", "{{ who() }}"))
    app.jinja_env.globals["who"] = who
    for name, (view, _, _) in VIEWS.items():
        app.add_url_rule(f"/{name}/<name>", name, view, methods=["GET", "POST"])
    if HOOKS[hook] is not None:
        app.before_request(HOOKS[hook])
    apps.stub_revocation(app, lambda _handle: False)
    return app


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("hook", HOOKS)
def test_who_is_let_in(name: str, hook: str) -> None:
    _, opened, closed = VIEWS[name]
    # A hook with a condition honours no mark but session_exempt.
    for_admins = closed if "exempt" in name else ADMINS
    expected = {"": opened, "closed": closed, "for admins": for_admins}[hook]
    client = app_with(hook).test_client(use_cookies=False)
    for (visitor, cookie), letter in zip(VISITORS.items(), expected, strict=True):
        for method, headers in (("GET", FETCH), ("POST", FETCH), ("GET", PAGE)):
            answer = client.open(f"/{name}/me", method=method, headers=headers | cookie())
            let_in = answer.text in ("user-1", "nobody")
            assert (answer.text if let_in else "refused") == LETTERS[letter], (visitor, method)
            if not let_in:
                assert "user-1" not in answer.text, visitor
                assert answer.headers["Cache-Control"] == "no-store", visitor
                refusal = 401 if visitor in ("stranger", "expired") else 403
                assert headers is PAGE or answer.status_code == refusal, visitor


def test_view_that_is_replaced_while_the_app_serves_has_its_own_mark() -> None:
    app = apps.make_app()
    app.before_request(ssr.require_session)
    bare = lambda: "content"  # noqa: E731
    app.add_url_rule("/", "view", bare)
    for view, status in ((bare, 401), (O(lambda: ""), 200), (bare, 401), (E(lambda: ""), 200)):
        app.view_functions["view"] = view
        assert app.test_client().get("/", headers=FETCH).status_code == status


@pytest.mark.parametrize("guard", [ssr.session_required, ssr.session_optional])
def test_decorator_keeps_the_name_of_a_view_and_takes_nothing_else(guard: Any) -> None:
    for decorate in (guard, E):
        names = [decorate(view).__name__ for view in (who, coroutine, Pages().home)]
        assert names == ["who", "coroutine", "home"]
    with pytest.raises(ssr.MisuseError, match=r"decorators = \[session_required\]"):
        guard(MethodView)
    with pytest.raises(ssr.MisuseError, match="decorate a view function"):
        guard("account")
    for hook in (guard, guard()):
        app = apps.with_views(apps.make_app())
        app.before_request(hook)
        with pytest.raises(ssr.MisuseError, match="before_request takes require_session"):
            app.test_client().get("/open")


def test_going_on_signed_out_is_offered_and_honoured_on_optional_pages_only(app: Flask) -> None:
    teaser = "{{ needs_refresh(optional=True) }}"
    view: Function = lambda: [render_template_string(teaser), apps.requiring(str)()]  # noqa: E731
    app.add_url_rule("/teaser", "teaser", view)
    client, mark = signed_in(app, valid_seconds=-60), "?continueSignedOut=1"
    for method in ("GET", "POST"):
        page = client.open("/news?a=1", method=method, headers=PAGE)
        assert page_shown(page) == "refresh"
        assert 'href="/news?a=1&amp;continueSignedOut=1"' in page.text, method
        assert "data-optional" in page.text
    for headers in (PAGE, FETCH):
        assert client.get("/news" + mark, headers=headers).text == "news for everyone"
    for path in ("/account", "/page", "/teaser"):
        required = client.get(path + mark, headers=PAGE)
        assert page_shown(required) == "refresh"
        assert "data-optional" not in required.text
        assert client.get(path + mark, headers=FETCH).status_code == 401
    client = signed_in(app)
    assert client.get("/news" + mark, headers=PAGE).text == "news for user-1"
    with outage(app):  # an optional page is shown signed out
        assert client.get("/news", headers=PAGE).text == "news for everyone"
        assert client.get("/account", headers=PAGE).status_code == 503


def test_session_that_ended_on_an_open_sign_in_page_leads_to_its_form() -> None:
    app = apps.make_app()
    app.add_url_rule("/auth", "sign_in", ssr.session_optional(lambda: "sign in"))
    client = signed_in(app, valid_seconds=-60)
    page = client.get("/auth?redirectToPath=/account", headers=PAGE).text
    onward = "/auth?redirectToPath=/account&amp;continueSignedOut=1"
    assert f'data-sign-in="{onward}"' in page
    assert "data-optional" not in page
    assert client.get(onward.replace("&amp;", "&"), headers=PAGE).text == "sign in"


def test_exempt_view_works_without_keys_and_settings() -> None:
    app = Flask("incomplete")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    ssr.FlaskSSRSession(app)
    app.add_url_rule("/health", "health", ssr.session_exempt(lambda: "well"))
    app.add_url_rule("/other", "other", lambda: "other")
    client = app.test_client()
    response = client.get("/health")
    assert (response.status_code, response.text) == (200, "well")
    assert "Vary" not in response.headers
    assert client.get("/other").status_code == 500
