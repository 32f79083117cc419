"""``flask ssr-session routes``: what each route asks of a session, and who reads one unasked."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from typing import Any

import flask
import flask_login
import pytest
from click.testing import Result
from flask import Blueprint, Flask, g, render_template, session
from flask import g as context
from flask.views import MethodView, View
from supertokens_python.framework.flask import Middleware
from supertokens_python.recipe.userroles import UserRoleClaim

import flask_ssr_session
from flask_ssr_session import current_user, get_current_user, get_ssr_session, require_session
from flask_ssr_session import require_session as demand
from flask_ssr_session.app_state import EXTENSION_NAME
from flask_ssr_session.config.resolved import ResolvedSettings
from flask_ssr_session.doctor.code_reader import read_code
from flask_ssr_session.doctor.route_list import Route, list_routes
from tests.app.conftest import sdk_values, with_templates
from tests.tables import rows

API = "https://api.example.com"
View_ = Callable[..., Any]


def nothing(**_: Any) -> str:
    return "nothing"


def app_with(view: View_ = nothing, *hooks: View_, **settings: Any) -> Flask:
    """Return an app with *view* at ``/area/it``, and *hooks* of the app."""
    app = Flask("routes")
    flask_ssr_session.FlaskSSRSession(app, **{"api_domain": API, **settings})
    for hook in hooks:
        app.before_request(hook)
    area = Blueprint("area", "area", url_prefix="/area")
    inner = Blueprint("inner", "inner")
    for each in (area, inner):
        each.add_url_rule("/it" if each is area else "/inner", "it", view)
    area.register_blueprint(inner)
    app.register_blueprint(area)
    return app


def listed(app: Flask, sdk: Any = None) -> dict[str, Route]:
    state = app.extensions[EXTENSION_NAME]
    resolved = ResolvedSettings.resolve(state.settings, sdk)
    return {route.rule: route for route in list_routes(state, resolved)}


def told(route: Route) -> str:
    """Return what a route asks, and which conditions each source adds."""
    parts = [
        f"{source.where}{source.conditions or ''}{' optional' * source.requirements.optional}"
        for source in route.sources
    ]
    return " | ".join([route.asks, *parts])


VALIDATOR = UserRoleClaim.validators.includes("admin")
ADMIN = functools.partial(require_session, role="admin")
OPTIONAL = functools.partial(require_session, optional=True)
NESTED = functools.partial(require_session, role="reader")
NESTED.__dict__["note"] = "with an attribute, it stays a partial in a partial"


def calls() -> None:
    require_session(role="admin")


def limits(view: View_) -> View_:
    """Be a decorator of another package."""
    return functools.wraps(view)(lambda **values: view(**values))


R, O = flask_ssr_session.session_required, flask_ssr_session.session_optional  # noqa: E741
E = flask_ssr_session.session_exempt
P = functools.partial
CLAIMS: dict[str, Any] = {"role": "r", "permission": "p", "email_verified": True}
RECENCY: dict[str, Any] = {"factor": "totp", "within": 60, "signed_in_within": 90}
SWITCHES: dict[str, Any] = {"global_claims": False, "check_revoked": True, "keep_form": True}
FOR_ADMIN = "required | app{'role': 'admin'}"
CHECKED = "required | app{'role': 'admin', 'check_revoked': True}"
BY_VALIDATOR = "required | view{'validators': ('st-role',)}"

ASKS: dict[str, Any] = {
    "nothing": (nothing, [], "open"),
    "a session": (R(nothing), [], "required | view"),
    "optional": (O(nothing), [], "optional | view optional"),
    "exempt": (E(nothing), [], "exempt"),
    "below another decorator": (limits(R(nothing)), [], "required | view"),
    "claims": (R(**CLAIMS)(nothing), [], f"required | view{CLAIMS}"),
    "a validator": (R(validators=[VALIDATOR])(nothing), [], BY_VALIDATOR),
    "recency": (R(**RECENCY)(nothing), [], f"required | view{RECENCY}"),
    "switches": (R(**SWITCHES)(nothing), [], f"required | view{SWITCHES}"),
    "two decorators": (R(R(role="r")(nothing)), [], "required | view | view{'role': 'r'}"),
    # Hooks.
    "closed app": (nothing, [require_session], "required | app"),
    "closed for admins": (nothing, [ADMIN], FOR_ADMIN),
    "partial of a partial": (nothing, [P(ADMIN, check_revoked=True)], CHECKED),
    "the outer of two partials": (nothing, [P(NESTED, role="admin")], FOR_ADMIN),
    "optional app": (nothing, [OPTIONAL], "optional | app optional"),
    "optional app, closed view": (R(nothing), [OPTIONAL], "required | app optional | view"),
    "marked optional": (O(nothing), [require_session], "optional | app optional | view optional"),
    "marked optional, not for a role": (O(nothing), [ADMIN], f"{FOR_ADMIN} | view optional"),
    "exempt, and closed below": (E(R(nothing)), [], "required | view"),
    "a decorated hook": (nothing, [R(lambda: None)], "required | app"),
    "a decorated hook, exempt view": (E(nothing), [R(lambda: None)], "required | app"),
    "a hook that is an error": (nothing, [P(ADMIN, role="")], "required | app"),
    # Code.
    "a hook that calls it": (nothing, [calls], "code"),
    "a view that calls it": (lambda: calls_it(), [], "open"),
    "a view that calls it itself": (lambda: require_session(), [], "code"),
    "under another name": (lambda: demand(), [], "code"),
    "through the package": (lambda: flask_ssr_session.require_session(), [], "code"),
}


@rows("view, hooks, expected", ASKS)
def test_route_says_what_it_asks(view: View_, hooks: list[View_], expected: str) -> None:
    assert told(listed(app_with(view, *hooks))["/area/it"]) == expected


def calls_it() -> None:
    """Hide the call in a function that the list does not follow."""
    require_session()


def test_hooks_of_blueprints_apply_to_their_views_alone() -> None:
    app = Flask("routes")
    flask_ssr_session.FlaskSSRSession(app, api_domain=API)
    outer, inner, other = (Blueprint(name, name) for name in ("outer", "inner", "other"))
    outer.before_request(require_session)
    inner.before_request(ADMIN)
    for blueprint in (outer, inner, other):
        blueprint.add_url_rule(f"/{blueprint.name}", "it", nothing)
    outer.register_blueprint(inner)
    app.register_blueprint(outer)
    app.register_blueprint(other)
    routes = listed(app)
    assert [told(routes[f"/{name}"]) for name in ("outer", "inner", "other")] == [
        "required | blueprint outer",
        "required | blueprint outer | blueprint outer.inner{'role': 'admin'}",
        "open",
    ]


BELOW = {"/in": "in", "/in/<path:_>": "in"}
BELOW_ASKS = {"/in": "open", "/in/<path:_>": "required"}

SIGN_INS: dict[str, Any] = {
    "the default path": ({}, {"/auth": "in"}, {"/auth": "open"}),
    "a path": ({"login_url": "/in"}, {"/in/": "in"}, {"/in/": "open"}),
    "an endpoint": ({"login_url": "in"}, {"/x": "in"}, {"/x": "open"}),
    "another path": ({"login_url": "/in"}, {"/auth": "in"}, {"/auth": "required"}),
    "the home page": ({"login_url": "/"}, {"/": "in"}, {"/": "required"}),
    "the home page by endpoint": ({"login_url": "in"}, {"/": "in"}, {"/": "required"}),
    "by a query": ({"login_url": "/in?a"}, {"/in": "in"}, {"/in": "required"}),
    "below an endpoint": ({"login_url": "in"}, BELOW, BELOW_ASKS),
    "a function": ({"login_url": lambda _: "/in"}, {"/in": "in"}, {"/in": "required"}),
}


@rows("settings, rules, expected", SIGN_INS)
@rows("has_defaults", {"": False, "with URL defaults": True})
def test_sign_in_page_is_open_in_a_closed_app(
    settings: dict[str, Any], rules: dict[str, str], expected: dict[str, str], has_defaults: bool
) -> None:
    app = app_with(nothing, require_session, **settings)
    if has_defaults:
        app.url_defaults(lambda _endpoint, _values: None)
    for rule, endpoint in rules.items():
        app.add_url_rule(rule, endpoint, nothing)
    routes = listed(app)
    assert {rule: routes[rule].asks for rule in rules} == expected
    assert {rule: routes[rule].is_sign_in for rule in rules} == {
        rule: asks == "open" for rule, asks in expected.items()
    }


def test_routes_of_the_package_of_flask_and_of_the_sdk() -> None:
    app = app_with(nothing, require_session, refresh_path="/renew")
    routes = listed(app)
    assert routes["/static/<path:filename>"].asks == "static"
    assert routes["/renew"].asks == "refresh"
    assert "/auth/<path>" not in routes
    Middleware(app)
    assert listed(app, sdk_values())["/auth/<path>"].asks == "api"
    app.view_functions["static"] = R(nothing)
    assert listed(app)["/static/<path:filename>"].asks == "required"


# --- which views read the session ----------------------------------------------------------------


def inside() -> View_:
    made = g

    def view() -> Any:
        return made.session

    return view


class Methods(MethodView):
    def get(self) -> str:
        return str(g.session)


class Guarded(MethodView):
    @O
    def get(self) -> str:
        return str(g.session)


class Dispatched(View):
    def dispatch_request(self) -> str:
        return str(get_ssr_session())


def imports() -> Any:
    from flask_ssr_session import get_ssr_session as visitor

    return visitor()


SESSION, USER = ["g.session"], ["current_user"]
GETS, ASKING = ["get_ssr_session"], ["needs_refresh"]

READS: dict[str, Any] = {
    "nothing": (nothing, [], "open"),
    "g.session": (lambda: g.session, SESSION, "open"),
    "g under another name": (lambda: context.session, SESSION, "open"),
    "g of a module": (lambda: flask.g.session, SESSION, "open"),
    "g of an outer function": (inside(), SESSION, "open"),
    "by get": (lambda: g.get("session"), SESSION, "open"),
    "by getattr": (lambda: getattr(g, "session", None), SESSION, "open"),
    "another attribute": (lambda: g.user, [], "open"),
    "Flask's own session": (lambda: (session["x"], flask.session), [], "open"),
    "two texts": (lambda: nothing(first="g", second="session"), [], "open"),
    "both, but not the one of the other": (lambda: (g, session), [], "open"),
    "a comprehension": (lambda: [g.session for _ in ()], SESSION, "open"),
    "a function inside": (lambda: lambda: g.session, SESSION, "open"),
    "get_ssr_session": (lambda: get_ssr_session(), GETS, "open"),
    "an import inside": (imports, GETS, "open"),
    "the user": (lambda: current_user.name, USER, "open"),
    "the user, by the module": (lambda: flask_ssr_session.current_user.name, USER, "open"),
    "the user, by a function": (lambda: get_current_user(), ["get_current_user"], "open"),
    "the user of Flask-Login": (lambda: flask_login.current_user.name, [], "open"),
    "the state": (lambda: flask_ssr_session.get_session_state(), ["get_session_state"], "open"),
    "below a decorator": (limits(lambda: g.session), SESSION, "open"),
    "a partial": (functools.partial(lambda _: g.session, 1), SESSION, "open"),
    "a class": (Dispatched.as_view("it"), GETS, "open"),
    "a class of methods": (Methods.as_view("it"), SESSION, "open"),
    "a class that asks": (Guarded.as_view("it"), SESSION, "code"),
    "an exempt view": (E(lambda: g.session), SESSION, "exempt"),
    "a view that asks": (R(lambda: g.session), SESSION, "required"),
    "a template": (lambda: render_template("reads.html"), SESSION, "open"),
    "the template of a template": (lambda: render_template("child.html"), SESSION, "open"),
    "a template that asks": (lambda: render_template("asks.html"), ASKING, "template"),
    "the user in a template": (lambda: render_template("user.html"), USER, "open"),
    "no template": (lambda: render_template("none.html"), [], "open"),
}


@rows("view, reads, asks", READS)
def test_route_says_what_its_code_reads(view: View_, reads: list[str], asks: str) -> None:
    app = with_templates(
        app_with(view),
        reads="{{ g.session }}",
        user="{{ current_user.name }}",
        child="{%- extends 'reads.html' %}",
        asks="{% if not needs_refresh %}content{% endif %}",
    )
    route = listed(app)["/area/it"]
    assert ([*route.reads], route.asks) == (reads, asks)
    unasked = asks in ("open", "exempt") and reads not in ([], ["get_session_state"])
    assert route.reads_unasked is unasked


def test_code_that_goes_in_circles_is_read_once() -> None:
    app = app_with()

    def view() -> Any:
        return view(), g.session

    view.__wrapped__ = view  # type: ignore[attr-defined]
    assert read_code(app, view).reads == {"g.session"}
    assert not read_code(app, None).reads


# --- the command ---------------------------------------------------------------------------------

ASSET = "/refresh-session/ssr-session-<digest>.<any(js, css):suffix>"
BY = "blueprint admin: role=admin; view: check_revoked"
TABLE = [
    ["endpoint", "methods", "rule", "asks", "by", "reads"],
    ["ssr_session.refresh", "GET", "/refresh-session", "refresh"],
    ["ssr_session.asset", "GET", ASSET, "exempt"],
    ["greeting", "GET,POST", "/hello", "open", "g.session (!)"],
    ["admin.desk", "GET", "/admin", "required", BY],
]
UNASKED = "Reads the session and asks nothing: greeting."


def small_app(**settings: Any) -> Flask:
    app = Flask("small", static_folder=None)
    flask_ssr_session.FlaskSSRSession(app, **settings)
    app.add_url_rule("/hello", "greeting", lambda: g.session, methods=["POST", "GET"])
    admin = Blueprint("admin", "admin")
    admin.before_request(ADMIN)
    admin.add_url_rule("/admin", "desk", R(check_revoked=True)(nothing))
    app.register_blueprint(admin)
    return app


def cells(result: Result) -> list[list[str]]:
    assert result.exit_code == 0
    return [re.split(" {2,}", line) for line in result.stdout.split("\n\n")[0].splitlines()]


def test_table_and_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_ssr_session.doctor.routes_command.read_sdk", lambda: None)
    runner = small_app(api_domain=API).test_cli_runner()
    result = runner.invoke(args=["ssr-session", "routes"])
    assert cells(result) == TABLE
    lines = result.stdout.splitlines()[: len(TABLE)]
    column = lines[0].index("asks")
    assert [line[column:].split()[0] for line in lines] == [row[3] for row in TABLE]
    assert "No route is marked as the sign-in page '/auth'" in result.stdout
    assert UNASKED in result.stdout
    output = json.loads(runner.invoke(args=["ssr-session", "routes", "--json"]).stdout)
    assert output["routes"][-1] == {
        "endpoint": "admin.desk",
        "methods": ["GET"],
        "host": "",
        "rule": "/admin",
        "asks": "required",
        "is_sign_in": False,
        "sources": [
            {"where": "blueprint admin", "optional": False, "role": "admin"},
            {"where": "view", "optional": False, "check_revoked": True},
        ],
        "reads": [],
        "reads_unasked": False,
    }
    assert [note.startswith(UNASKED) for note in output["notes"]] == [False, True]


def test_list_needs_neither_the_sdk_nor_complete_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flask_ssr_session.doctor.routes_command.read_sdk", lambda: None)
    result = small_app().test_cli_runner().invoke(args=["ssr-session", "routes"])
    assert cells(result) == TABLE
    assert "Sign-in and SuperTokens' API are unknown: flask_ssr_session does not" in result.stdout
