"""Compare which sessions a page admits with those that the SDK's ``verify_session`` admits.

Each row is a session with some claims, in a process whose SDK has some recipes and perhaps an
override. For every way to require a session, page and ``verify_session`` agree, except for the
differences that docs/decorators.rst explains.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from flask import Flask, render_template, request
from jinja2 import DictLoader
from supertokens_python.framework.flask import Middleware
from supertokens_python.recipe import emailpassword, emailverification, multifactorauth, session
from supertokens_python.recipe.session.framework.flask import verify_session
from supertokens_python.recipe.session.interfaces import RecipeInterface
from supertokens_python.recipe.userroles import UserRoleClaim

from flask_ssr_session import FlaskSSRSession, require_session, session_required
from flask_ssr_session.config.sdk import read_sdk
from flask_ssr_session.dev_core import DevelopmentCore
from tests.app.conftest import TEMPLATE_GUARD
from tests.browser_requests import FETCH, PAGE
from tests.dev_core.sdk import init_sdk
from tests.dev_core.support import LaggingClock
from tests.tables import rows

EMAIL: Any = emailverification.EmailVerificationClaim
EMAIL = EMAIL.validators
ROLE = UserRoleClaim.validators

# How a page requires a session. The API requires the same at /theirs.
OURS = ("/required", "/template", "/inside", "/hook/page")

# For the time of a claim, when its token is made: the SDK fetches an old "not verified" again.
JUST_NOW = "just now"

Override = Callable[..., Any]
Claims = dict[str, Any]


def ev(value: Any, fetched: Any = JUST_NOW) -> Claims:
    return {"st-ev": {"v": value, "t": fetched}}


def mfa(value: Any, *factors: str) -> Claims:
    return {"st-mfa": {"c": dict.fromkeys(factors, 1_700_000_000), "v": value}}


# --- overrides of get_global_claim_validators ----------------------------------------------------


def without(key: str) -> Override:
    return lambda validators, *_: [v for v in validators if v.id != key]


def adds_role(validators: list[Any], *_: Any) -> list[Any]:
    return [*validators, ROLE.includes("admin")]


def by_header(name: str) -> Override:
    """Drop all for requests with this header."""

    def override(validators: list[Any], _tenant: str, _user: str, context: Any) -> list[Any]:
        return [] if context["_default"]["request"].get_header(name) else validators

    return override


def by_user(validators: list[Any], tenant: str, user: str, *_: Any) -> list[Any]:
    return [] if (tenant, user) == ("public", "ada") else validators


def keeps_all(validators: list[Any], *_: Any) -> list[Any]:
    return validators


def drops_all(*_: Any) -> list[Any]:
    return []


async def drops_all_async(*_: Any) -> list[Any]:
    return []


async def waits(validators: list[Any], *_: Any) -> list[Any]:
    await asyncio.sleep(0)
    return validators


def fails(*_: Any) -> list[Any]:
    raise LookupError("a defect of the app's")


def replaced(override: Override) -> session.InputOverrideConfig:
    """Replace the SDK's function, as an app does."""

    def functions(original: RecipeInterface) -> RecipeInterface:
        def get_global_claim_validators(
            tenant_id: str,
            user_id: str,
            recipe_user_id: Any,
            claim_validators_added_by_other_recipes: list[Any],
            user_context: dict[str, Any],
        ) -> Any:
            assert recipe_user_id.get_as_string() == user_id
            added = claim_validators_added_by_other_recipes
            return override(added, tenant_id, user_id, user_context)

        vars(original)["get_global_claim_validators"] = get_global_claim_validators
        return original

    return session.InputOverrideConfig(functions=functions)


# --- the table -----------------------------------------------------------------------------------

NONE, EV, EV_OPTIONAL, MFA = "none", "ev", "ev optional", "mfa"
COMPLETE, DUE = mfa(True, "emailpassword", "totp"), mfa(False, "emailpassword")
YES, NO = ev(True), ev(False)
ADMIN = {"st-role": {"v": ["admin"], "t": JUST_NOW}}

# recipes, claims, override, whether page and verify_session admit the session
SAME: dict[str, tuple[str, Claims, Override | None, bool]] = {
    "no recipe, unverified": (NONE, NO, None, True),
    "EV optional, verified": (EV_OPTIONAL, YES, None, True),
    "EV optional, unverified": (EV_OPTIONAL, NO, None, True),
    "EV, verified": (EV, YES, None, True),
    "EV, unverified": (EV, NO, None, False),
    "EV, verified long ago": (EV, ev(True, 1), None, True),
    "EV, a number": (EV, ev(0), None, False),
    "EV, a text": (EV, ev("true"), None, False),
    "EV, a list": (EV, ev([True]), None, False),
    "MFA, complete": (MFA, COMPLETE, None, True),
    "MFA, complete without factors": (MFA, mfa(True), None, True),
    "MFA, second factor due": (MFA, DUE, None, False),
    "MFA, v is null": (MFA, mfa(None), None, False),
    "MFA, v is zero": (MFA, mfa(0), None, False),
    "MFA and EV optional, unverified": (EV_OPTIONAL + MFA, COMPLETE | NO, None, True),
    "both, all met": (EV + MFA, COMPLETE | YES, None, True),
    "both, unverified": (EV + MFA, COMPLETE | NO, None, False),
    "both, factor due": (EV + MFA, DUE | YES, None, False),
    "override keeps all, unverified": (EV, NO, keeps_all, False),
    "override drops all, unverified": (EV, NO, drops_all, True),
    "override drops EV, unverified": (EV, NO, without("st-ev"), True),
    "override drops EV, factor due": (EV + MFA, DUE | NO, without("st-ev"), False),
    "override drops EV, complete": (EV + MFA, COMPLETE | NO, without("st-ev"), True),
    "override drops MFA, no claim of it": (MFA, {}, without("st-mfa"), True),
    "override drops MFA, unverified": (EV + MFA, NO, without("st-mfa"), False),
    "override drops MFA, verified": (EV + MFA, YES, without("st-mfa"), True),
    "override drops another claim": (EV, NO, without("st-role"), False),
    "override adds a role, admin": (EV, YES | ADMIN, adds_role, True),
    "override reads the request, kiosk": (EV, NO, by_header("x-kiosk"), True),
    "override reads the request, else": (EV, NO, by_header("x-other"), False),
    "override reads user and tenant": (EV, NO, by_user, True),
    "async override drops all": (EV, NO, drops_all_async, True),
}
# A page is stricter, each time for a reason that the documentation gives.
NOT_TRUE, DROPS_MFA = "``v`` is not exactly ``true``", "an override drops the MFA validator"
DIFFERENT: dict[str, tuple[str, Claims, Override | None, str]] = {
    "v of MFA counts as true in Python": (MFA, mfa(1, "totp"), None, NOT_TRUE),
    "v of MFA is text": (MFA, mfa("yes", "totp"), None, NOT_TRUE),
    "no MFA recipe here, factor due": (NONE, DUE, None, "the process has no MFA recipe"),
    "override drops MFA, factor due": (MFA, DUE, without("st-mfa"), DROPS_MFA),
    "override drops all, factor due": (MFA, DUE, drops_all, DROPS_MFA),
    "override waits, verified": (EV, YES, waits, "an override that waits"),
    "override fails, verified": (EV, YES, fails, "an override that raises"),
}


@pytest.fixture(scope="module")
def core(rsa_keys: list[RSAPrivateKey]) -> Iterator[DevelopmentCore]:
    keys = itertools.cycle(rsa_keys)
    with DevelopmentCore(clock=LaggingClock(), key_factory=lambda: next(keys)) as core:
        yield core


def start_sdk(core: DevelopmentCore, recipes: str, override: Override | None = None) -> None:
    added = []
    if EV in recipes:
        mode: Any = "OPTIONAL" if EV_OPTIONAL in recipes else "REQUIRED"
        added.append(emailverification.init(mode=mode))
    if MFA in recipes:
        added.append(multifactorauth.init())
    own = session.init(override=None if override is None else replaced(override))
    init_sdk(core.uri, [emailpassword.init(), own, *added])


def make_app() -> Flask:
    app = Flask(__name__)
    app.jinja_loader = DictLoader({"page.html": TEMPLATE_GUARD})
    app.config["PROPAGATE_EXCEPTIONS"] = False
    FlaskSSRSession(app)
    Middleware(app)
    app.before_request(lambda: require_session() if request.path.startswith("/hook/") else None)
    unasked = verify_session(override_global_claim_validators=lambda *_: [])

    def content() -> str:
        return "content"

    views: dict[str, Any] = {
        "/required": session_required(content),
        "/template": lambda: render_template("page.html"),
        "/inside": lambda: require_session() or content(),  # type: ignore[func-returns-value]
        "/hook/page": content,
        "/waived": session_required(global_claims=False)(content),
        "/theirs": verify_session()(content),
        "/theirs-waived": unasked(lambda: "content"),
    }
    for path, view in views.items():
        app.add_url_rule(path, path, view)
    return app


def token_of(core: DevelopmentCore, claims: Claims) -> str:
    """Create a session with this payload at the core, and return its access token."""
    now = int(time.time() * 1000)
    payload = {
        key: claim | {"t": now} if claim.get("t") == JUST_NOW else claim
        for key, claim in claims.items()
    }
    body = {"userId": "ada", "userDataInJWT": payload, "userDataInDatabase": {}}
    switches = {"useDynamicSigningKey": True, "enableAntiCsrf": False}
    request = Request(  # noqa: S310 - the development core, on loopback
        f"{core.uri}/public/recipe/session",
        data=json.dumps(body | switches).encode(),
        headers={"cdi-version": "5.4", "rid": "session", "content-type": "application/json"},
    )
    with urlopen(request) as answer:  # noqa: S310
        return str(json.loads(answer.read())["accessToken"]["token"])


@pytest.mark.usefixtures("sdk_environment")
@rows("recipes, claims, override, outcome", SAME | DIFFERENT)
def test_page_lets_nobody_in_whom_the_sdk_turns_away(
    core: DevelopmentCore, recipes: str, claims: Claims, override: Any, outcome: Any
) -> None:
    start_sdk(core, recipes, override)
    client = make_app().test_client()
    client.set_cookie("sAccessToken", token_of(core, claims))

    def admits(path: str, headers: dict[str, str]) -> bool:
        answer = client.get(path, headers=headers | {"X-Kiosk": "1"})
        assert (answer.text == "content") == (answer.status_code == 200), path
        is_ours = not path.startswith("/theirs")
        assert answer.status_code in (200, 302, 403) if is_ours else True, path
        return answer.status_code == 200

    is_same = isinstance(outcome, bool)
    # What takes no global claims: the literal guide of SuperTokens. A pending session stays out.
    is_complete = claims.get("st-mfa", {"v": True})["v"] is True
    for headers in (PAGE, FETCH):
        assert admits("/theirs", headers) is (outcome if is_same else override is not fails)
        admitted = {path: admits(path, headers) for path in OURS}
        assert admitted == dict.fromkeys(OURS, outcome if is_same else False)
        assert admits("/waived", headers) is is_complete
        assert admits("/theirs-waived", headers) is (override is not fails)


CURES: dict[str, Any] = {
    "EV, unverified": (EV, NO, "st-ev", "email"),
    "MFA, second factor due": (MFA, DUE, "st-mfa", "mfa"),
}


@pytest.mark.usefixtures("sdk_environment")
@rows("recipes, claims, claim, call", CURES)
def test_scripts_get_the_body_of_the_sdk_and_documents_a_page(
    core: DevelopmentCore, recipes: str, claims: Claims, claim: str, call: str
) -> None:
    """``verify_session`` answers a document with JSON, too, which a visitor cannot use."""
    start_sdk(core, recipes)
    client = make_app().test_client()
    client.set_cookie("sAccessToken", token_of(core, claims))
    for headers in (FETCH, PAGE):
        theirs = client.get("/theirs", headers=headers)
        assert (theirs.status_code, theirs.mimetype) == (403, "application/json")
    body = client.get("/theirs", headers=FETCH).json
    assert body is not None
    assert body["message"] == "invalid claim"
    assert [error["id"] for error in body["claimValidationErrors"]] == [claim]
    assert client.get("/required", headers=FETCH).json == body
    page = client.get("/required", headers=PAGE)
    assert (page.status_code, page.mimetype) == (403, "text/html")
    assert f'data-cure-call="{call}"' in page.text


def test_the_documentation_gives_the_reason_of_every_difference() -> None:
    text = (Path(__file__).parents[2] / "docs" / "decorators.rst").read_text("utf-8")
    for name, (_, _, _, reason) in DIFFERENT.items():
        assert reason in text, name


FETCHED: dict[str, Any] = {
    "no claim: the token is older than the recipe": ({}, EV),
    "no st-mfa: the token is older than the recipe": ({}, MFA),
    "not verified, as of long ago": (ev(False, 1), EV),
}


@pytest.mark.usefixtures("sdk_environment")
@rows("claims, recipe", FETCHED)
def test_page_fetches_no_claim(core: DevelopmentCore, claims: Claims, recipe: str) -> None:
    """The API asks the core, and returns a new token; the page does not."""
    start_sdk(core, recipe)
    client = make_app().test_client()
    client.set_cookie("sAccessToken", token_of(core, claims))
    core.clear_request_log()
    for path in OURS:
        assert client.get(path, headers=FETCH).status_code == 403, path
    paths = {entry.path for entry in core.request_log()}
    assert paths <= {"/.well-known/jwks.json", "/apiversion"}


@pytest.mark.usefixtures("sdk_environment")
def test_only_what_recipes_add_is_remembered_with_a_token(core: DevelopmentCore) -> None:
    start_sdk(core, NONE)
    values = read_sdk()
    assert values is not None
    assert values.global_claims is not None
    nothing: Any = object()
    for name, validator, is_timeless in (
        ("of a recipe", EMAIL.is_verified(), True),
        ("with a maximum age", EMAIL.is_verified(10, 60), False),
        ("its list may change", ROLE.includes("x"), False),
        ("of the app", nothing, False),
    ):
        assert values.global_claims.is_timeless(validator) is is_timeless, name


@pytest.mark.usefixtures("sdk_environment")
def test_override_cannot_change_what_the_next_page_is_asked(core: DevelopmentCore) -> None:
    def appends(validators: list[Any], *_: Any) -> list[Any]:
        validators.append(ROLE.includes("admin"))
        return []

    start_sdk(core, EV, appends)
    client = make_app().test_client()
    client.set_cookie("sAccessToken", token_of(core, NO))
    assert [client.get("/required").status_code for _ in range(2)] == [200, 200]
    claims = getattr(read_sdk(), "global_claims", None)
    assert claims is not None
    assert [validator.id for validator in claims.added_validators()] == ["st-ev"]
