"""What the doctor reads from an app: its templates, the claims of its views, its hooks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

from flask import Flask, g
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from jinja2 import FunctionLoader

from flask_ssr_session import FlaskSSRSession, require_session, session_required
from flask_ssr_session.doctor.check_templates import check_templates
from flask_ssr_session.doctor.claim_setup import ClaimSetup, read_claim_setup
from flask_ssr_session.doctor.environment import Environment
from flask_ssr_session.sansio.cures import CurePages
from tests.app.conftest import EMAIL, MFA, FakeGlobalClaims, sdk_values, with_templates
from tests.tables import rows

from .factories import API, Expected, assert_findings, line, make_environment, pages_app, run

Hook = Callable[[], ResponseReturnValue | None]


def fail() -> None:
    raise ZeroDivisionError


def set_menu() -> None:
    g.menu = {"title": "Menu"}


ORIGINAL = "{% from 'flask_ssr_session/refresh_page.html' import refresh_page as original %}"
MACRO = ORIGINAL + "{% macro refresh_page() %}…{% endmacro %}"
BROKEN = "{{ nothing.at.all }}"
MENU = "{{ g.menu.title }}{{ original() }}"
IN_OUTAGE = "{% if ssr_refresh_view().page_kind == 'outage' %}{{ no.thing }}{% endif %}"
OUTAGE = "{{ original() }}" + IN_OUTAGE
OURS, OWN = "ok templates the refresh page has its original", "ok templates the app's own templates"
UNDEFINED = "problem templates refresh_page.html of the app failed with UndefinedError"
NO_SCRIPT = "problem templates refresh_page.html of the app lacks the script of the refresh page"
NOT_HERE = "problem templates the refresh page cannot be rendered in this app (ZeroDivisionError)"

TEMPLATES: dict[str, Any] = {
    "none of its own": (None, None, None, OURS),
    "one that adds a word": ("<b>Wait</b>{{ original() }}", None, None, OWN),
    "one that shows what a hook sets": (MENU, None, set_menu, OWN),
    "one that shows what nobody sets": (MENU, None, None, UNDEFINED),
    "one that does not render": (BROKEN, None, None, UNDEFINED),
    "one that fails in an outage only": (OUTAGE, None, None, UNDEFINED),
    "one without a script": ("<b>Wait</b>", None, None, NO_SCRIPT),
    "one with another script": ("{{ session_script() }}<b>Wait</b>", None, None, NO_SCRIPT),
    "one behind a hook that fails": (None, "{{ nothing }}", fail, NOT_HERE),
    "none behind a hook that fails": (None, None, fail, OURS),
}


@rows("page, document, hook, expected", TEMPLATES)
def test_own_templates_have_to_show_every_page(
    page: str | None, document: str | None, hook: Hook | None, expected: Expected
) -> None:
    app = pages_app()
    environment = environment_of(app)
    sources = {"refresh_page": page and MACRO.replace("…", page), "refresh_document": document}
    with_templates(app, **{name: text for name, text in sources.items() if text})
    if hook is not None:
        app.before_request(hook)
    log = environment.state.log
    assert_findings(check_templates(environment), expected)
    assert environment.state.log is log


def environment_of(app: Flask) -> Environment:
    environment = make_environment()
    vars(environment)["state"] = app.extensions["ssr_session"]
    return environment


def test_loader_that_was_replaced_is_named() -> None:
    app = pages_app()
    app.jinja_env.loader = app.jinja_loader
    replaced = "problem templates app.jinja_env.loader was replaced after flask_ssr_session was set"
    assert_findings(check_templates(environment_of(app)), replaced)


PAGES_OF_CLAIMS = CurePages({"st-mfa": "/auth/mfa", "st-ev": "/mail?a"}, "/auth/mfa")


def claims_of(
    app: Flask, *added: Any, pages: CurePages = PAGES_OF_CLAIMS, **settings: Any
) -> ClaimSetup:
    sdk = sdk_values(global_claims=FakeGlobalClaims(*added, **settings))
    return read_claim_setup(app.extensions["ssr_session"], sdk, pages)


def test_claims_are_read_from_the_sdk_the_views_and_the_templates() -> None:
    app = pages_app()
    for endpoint, mark in {
        "account": session_required,
        "welcome": session_required(global_claims=False),
        "code": session_required(allow_pending=True),
    }.items():
        app.add_url_rule(f"/{endpoint}", endpoint, mark(lambda: ""))
    with_templates(
        app,
        guard="{% if g.session %}x{% else %}{{ refresh_page() }}{% endif %}",
        other="{% if x %}y{%- elif not g.session %}{{ refresh_page() }}{% endif %}",
        layout="{% if g.session %}Sign out{% endif %}",
        decides="{% if needs_refresh %}{{ refresh_page() }}{% endif %}",
    )
    found = claims_of(app, EMAIL, MFA)
    assert found.added == ("st-ev", "st-mfa")
    assert (found.pages_require_them, found.broken) == (True, ())
    assert (found.waived, found.pending) == (("welcome",), ("code",))
    assert found.guarded_by_session == ("guard.html", "other.html")
    assert found.missing_pages == (
        ("st-mfa", "/auth/mfa", "SSR_SESSION_CLAIM_PAGES"),
        ("st-ev", "/mail?a", "SSR_SESSION_CLAIM_PAGES"),
    )


def test_claims_are_unknown_without_an_sdk() -> None:
    app = pages_app(global_claims=False)
    app.jinja_env.loader = FunctionLoader(lambda _name: None)
    found = read_claim_setup(app.extensions["ssr_session"], None, PAGES_OF_CLAIMS)
    assert (found.added, found.pages_require_them) == (None, False)
    assert (found.missing_pages, found.guarded_by_session) == ((), ())


def test_override_that_fails_for_a_made_up_user_is_broken() -> None:
    def override(*_: Any) -> Any:
        raise LookupError

    (broken,) = claims_of(pages_app(), EMAIL, override=override).broken
    assert "override" in broken
    # The user has completed all factors, but has no verified address.
    assert claims_of(pages_app(), EMAIL, override=lambda _s, added, _c: added).broken == ()


SERVED: dict[str, Any] = {
    "none is served": ([EMAIL, MFA], (), ["st-mfa", "st-ev"]),
    "one is served": ([EMAIL, MFA], ("/auth/mfa",), ["st-ev"]),
    "by the prebuilt pages": ([EMAIL, MFA], ("/auth/<path:page>", "/mail"), []),
    "not required": ([MFA], (), ["st-mfa"]),
}


@rows("added, rules, missing", SERVED)
def test_pages_where_users_meet_claims_are_served(added: Any, rules: Any, missing: Any) -> None:
    app = pages_app()
    for rule in rules:
        app.add_url_rule(rule, rule, _empty)
    assert [page.lack for page in claims_of(app, *added).missing_pages] == missing


PLAN = SimpleNamespace(id="plan", validate=lambda *_: None)
MAIL, STEP_UP = ("st-ev /mail?a",), {"step_up_url": "/step-up?x=1"}

CONDITIONS: dict[str, Any] = {
    "a plain view": ({}, {}, ()),
    "a role": ({"role": "admin"}, {}, ()),
    "a verified address": ({"email_verified": True}, {}, MAIL),
    "a validator of it": ({"validators": [EMAIL]}, {}, MAIL),
    "a validator without a page": ({"validators": [PLAN]}, {}, ()),
    "a page in the settings": ({}, {"claim_pages": {"st-ev": "/mail?a"}}, MAIL),
    "a page for no validator": ({}, {"claim_pages": {"plan": "/plans"}}, ()),
    "a factor": ({"factor": "totp"}, {}, ("factor totp /auth/mfa/totp?stepUp=true",)),
    "a factor without a page": ({"factor": "hardware"}, {}, ()),
    "a page for factors": ({"factor": "totp"}, STEP_UP, ("a recent factor /step-up?x=1",)),
    "that page, which no view needs yet": ({}, STEP_UP, ("a recent factor /step-up?x=1",)),
}


def add_method(app: Flask, conditions: dict[str, Any]) -> None:
    class Page(MethodView):
        get = session_required(**conditions)(lambda _self: "")

    app.add_url_rule("/", view_func=Page.as_view("view"))


PLACES: dict[str, Callable[[Flask, dict[str, Any]], Any]] = {
    "view": lambda app, asked: app.add_url_rule("/", "view", session_required(**asked)(_empty)),
    "method of a class": add_method,
    "hook": lambda app, asked: app.before_request(partial(require_session, **asked)),
    "decorated hook": lambda app, asked: app.before_request(session_required(**asked)(_empty)),
}


@rows("conditions, settings, missing", CONDITIONS)
@rows("place", PLACES)
def test_pages_that_a_view_or_a_setting_leads_to_are_served(
    conditions: Any, settings: Any, missing: tuple[str, ...], place: Any
) -> None:
    app = pages_app(**settings)
    place(app, conditions)
    pages = PAGES_OF_CLAIMS._replace(step_up=settings.get("step_up_url"))
    found = claims_of(app, pages=pages).missing_pages
    assert tuple(f"{page.lack} {page.url}" for page in found) == missing
    for rule in ("/auth/mfa/<path:factor>", "/mail", "/step-up"):
        app.add_url_rule(rule, rule, _empty)
    assert claims_of(app, pages=pages).missing_pages == ()


def test_hook_that_fails_for_every_request_is_passed_over() -> None:
    app = pages_app()
    app.before_request(partial(require_session, role=None))  # type: ignore[arg-type]
    app.before_request(_empty)
    assert claims_of(app).missing_pages == ()


FACTORS: dict[str, Any] = {
    "a factor without the recipe": ({"factor": "totp"}, [EMAIL], ("totp",)),
    "a factor with it": ({"factor": "totp"}, [MFA], ()),
    "no factor": ({"role": "admin"}, [EMAIL], ()),
}


@rows("conditions, added, unwritten", FACTORS)
def test_factors_are_written_by_a_recipe(conditions: Any, added: Any, unwritten: Any) -> None:
    app = pages_app()
    app.add_url_rule("/", "view", session_required(**conditions)(_empty))
    assert claims_of(app, *added).unwritten_factors == unwritten
    without_sdk = read_claim_setup(app.extensions["ssr_session"], None, PAGES_OF_CLAIMS)
    assert without_sdk.unwritten_factors == ()


RECIPES: dict[str, Any] = {
    "a factor of a recipe": ("totp", ["totp", "session"], (), False),
    "a factor without it": ("totp", ["session"], ("totp",), False),
    "a code by e-mail": ("otp-email", ["passwordless"], (), False),
    "a link by e-mail, which no page asks for": ("link-email", [], ("passwordless",), True),
    "a factor of the app": ("hardware", [], (), True),
    "recipes that are unknown": ("totp", None, (), False),
}


@rows("factor, recipes, missing, is_page_missing", RECIPES)
def test_factors_need_a_recipe_and_a_page(
    factor: str, recipes: Any, missing: Any, is_page_missing: bool
) -> None:
    app = pages_app()
    app.add_url_rule("/", "view", session_required(factor=factor)(_empty))
    state = app.extensions["ssr_session"]
    found = read_claim_setup(state, None, PAGES_OF_CLAIMS, recipes)
    assert found.missing_recipes == missing
    assert found.factors_without_page == (factor,) * is_page_missing
    own_page = PAGES_OF_CLAIMS._replace(step_up="/step-up")
    assert read_claim_setup(state, None, own_page, recipes).factors_without_page == ()


ROLE, PERMISSION = {"role": "admin"}, {"permission": "write"}
VERIFIED, VALIDATED = {"email_verified": True}, {"validators": [EMAIL, PLAN, MFA]}
BY_VALIDATOR = [
    ("emailverification", ("a validator of st-ev",)),
    ("multifactorauth", ("a validator of st-mfa",)),
]

UNWRITTEN: dict[str, Any] = {
    "a role": (ROLE, ["emailverification"], [("userroles", ("role=",))]),
    "a role and its recipe": (ROLE, ["userroles"], []),
    "a permission": (PERMISSION, [], [("userroles", ("permission=",))]),
    "both": (ROLE | PERMISSION, [], [("userroles", ("role=", "permission="))]),
    "an address": (VERIFIED, ["userroles"], [("emailverification", ("email_verified=",))]),
    "an address and its recipe": (VERIFIED, ["emailverification"], []),
    "validators": (VALIDATED, ["session"], BY_VALIDATOR),
    "validators and their recipes": (VALIDATED, ["emailverification", "multifactorauth"], []),
    "recipes that are unknown": (ROLE, None, []),
    "no condition": ({}, [], []),
}


@rows("conditions, recipes, unwritten", UNWRITTEN)
@rows("place", PLACES)
def test_claims_need_a_recipe(conditions: Any, recipes: Any, unwritten: Any, place: Any) -> None:
    app = pages_app()
    place(app, conditions)
    found = read_claim_setup(app.extensions["ssr_session"], None, PAGES_OF_CLAIMS, recipes)
    assert [*found.unwritten_claims] == unwritten


@rows("place", PLACES)
def test_required_user_needs_a_loader(place: Any) -> None:
    app = Flask("pages")
    extension = FlaskSSRSession(app, api_domain=API)
    assert not claims_of(app).lacks_user_loader
    place(app, {"user": True})
    assert claims_of(app).lacks_user_loader
    extension.user_loader(lambda session: session)
    assert not claims_of(app).lacks_user_loader


def test_views_and_hooks_that_call_require_session_are_listed() -> None:
    class Page(MethodView):
        def get(self) -> str:
            require_session()
            return ""

    def inner() -> list[str]:
        def check(role: str) -> str:
            require_session(role=role)
            return role

        return list(map(check, ["admin"]))

    def hook() -> None:
        require_session()

    app = pages_app()
    app.add_url_rule("/page", view_func=Page.as_view("page"))
    app.add_url_rule("/inner", "inner", session_required(inner))
    app.add_url_rule("/outer", "outer", session_required(_empty))
    app.before_request(hook)
    for known in (require_session, partial(require_session, role="admin"), _empty, [].clear):
        app.before_request(known)
    assert claims_of(app).inner_calls == ("page", "inner", "hook")


def _empty(**_: str) -> str:
    return ""


PAGE, SHOWS = "refresh_page", "ok refresh_page /refresh-session shows the refresh page"
SHOWS_NOT = "problem refresh_page…does not show the refresh page (status {}) -> make"
POLICY = {"Content-Security-Policy": "default-src 'self'; script-src 'none'"}


def replace_view(app: Flask) -> None:
    app.view_functions["ssr_session.refresh"] = lambda: "One moment"


def hook(function: Any) -> Callable[[Flask], Any]:
    return lambda app: app.before_request(function)


def forbid_scripts(app: Flask) -> None:
    app.after_request(lambda response: response.headers.update(POLICY) or response)


def misplace(app: Flask) -> None:
    session_required(app.get("/secret")(lambda: "secret"))


CHANGES: dict[str, Any] = {
    "a hook blocks the page": (hook(lambda: ("Members", 403)), PAGE, SHOWS_NOT.format(403)),
    "a view replaces the page": (replace_view, PAGE, SHOWS_NOT.format(200)),
    "a hook fails": (hook(fail), PAGE, "problem…(the app failed with ZeroDivisionError)"),
    "a hook without a module does nothing": (hook([].clear), PAGE, SHOWS),
    "a policy forbids scripts": (forbid_scripts, "csp", "problem csp…(script-src) -> allow"),
    "a decorator is above its route": (misplace, "decorators", "problem decorators…runs"),
}


@rows("change, check, expected", CHANGES)
def test_app_itself_is_checked(change: Callable[[Flask], Any], check: str, expected: str) -> None:
    app = pages_app()
    app.testing = True
    change(app)
    result = run(app, "--offline", "--url", API)
    first, *more = expected.split("…")
    found = line(result, check)
    assert found.startswith(first)
    assert all(text in found for text in more), found
    assert result.exit_code == first.startswith("problem")
    # Nothing else is checked in an app whose decorators protect nothing.
    assert (len(result.stdout.splitlines()) == 2) is (check == "decorators")
