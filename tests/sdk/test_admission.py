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
from typing import Any, NamedTuple
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

from example_app.core import DevelopmentCore
from flask_ssr_session import FlaskSSRSession, require_session, session_required
from flask_ssr_session.config.sdk import read_sdk
from tests.development_core.sdk import init_sdk
from tests.development_core.support import LaggingClock

EMAIL: Any = emailverification.EmailVerificationClaim

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FETCH = {"Accept": "*/*", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}

DECIDES = (
    "{% from 'refresh_page.html' import refresh_page %}"
    "{% if needs_refresh %}{{ refresh_page() }}{% else %}let in{% endif %}"
)

# How a page requires a session, and how the API requires the same.
OURS = ("/required", "/template", "/inside", "/hook/page")
THEIRS = "/theirs"
# The literal guide of SuperTokens: no global claims at all.
OURS_WAIVED, THEIRS_WAIVED = ("/waived",), "/theirs-waived"

# For the time of a claim, when its token is made: the SDK fetches an old "not verified" again.
JUST_NOW = "just now"


def ev(value: Any, fetched: Any = JUST_NOW) -> dict[str, Any]:
    return {"st-ev": {"v": value, "t": fetched}}


def mfa(value: Any, *factors: str) -> dict[str, Any]:
    return {"st-mfa": {"c": dict.fromkeys(factors, 1_700_000_000), "v": value}}


# --- overrides of get_global_claim_validators ----------------------------------------------------

Override = Callable[..., Any]


def _without(key: str) -> Override:
    def override(validators: list[Any], *_: Any) -> list[Any]:
        return [validator for validator in validators if validator.id != key]

    return override


def _adds_role(validators: list[Any], *_: Any) -> list[Any]:
    return [*validators, UserRoleClaim.validators.includes("admin")]


def _adds_age(validators: list[Any], *_: Any) -> list[Any]:
    role = UserRoleClaim.validators.includes("admin", max_age_in_seconds=600)
    # The SDK would fetch an old claim; here only the payload is to be judged.
    role.should_refetch = lambda *_: False  # type: ignore[method-assign]
    return [*validators, role]


def _reads_request(validators: list[Any], _tenant: str, _user: str, context: Any) -> list[Any]:
    request = context["_default"]["request"]
    return [] if request.get_header("x-kiosk") else validators


def _reads_user(validators: list[Any], tenant: str, user: str, *_: Any) -> list[Any]:
    return [] if (tenant, user) == ("public", "ada") else validators


async def _asynchronous(_validators: list[Any], *_: Any) -> list[Any]:
    return []


async def _asynchronous_all(validators: list[Any], *_: Any) -> list[Any]:
    return validators


async def _waits(validators: list[Any], *_: Any) -> list[Any]:
    await asyncio.sleep(0)
    return validators


def _fails(*_: Any) -> list[Any]:
    raise LookupError("a defect of the app's")


def _replaced(override: Override) -> session.InputOverrideConfig:
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
            return override(
                claim_validators_added_by_other_recipes, tenant_id, user_id, user_context
            )

        original.get_global_claim_validators = (  # type: ignore[method-assign]
            get_global_claim_validators
        )
        return original

    return session.InputOverrideConfig(functions=functions)


# --- the table -----------------------------------------------------------------------------------

NONE, EV, EV_OPTIONAL, MFA = "none", "ev", "ev optional", "mfa"


class Row(NamedTuple):
    """A session, and the process that checks it.

    :ivar ours: whether pages admit it; *theirs* whether verify_session does, None for an error.
    :ivar waived: the same two without global claims.
    """

    recipes: tuple[str, ...]
    claims: dict[str, Any]
    ours: bool
    theirs: bool | None
    override: Override | None = None
    waived: tuple[bool, bool] = (True, True)
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


BOTH = (EV, MFA)
PENDING_WAIVED = (False, True)
COMPLETE = mfa(True, "emailpassword", "totp")
DUE = mfa(False, "emailpassword")
ADMIN = {"st-role": {"v": ["admin"], "t": JUST_NOW}}

SAME = {
    "no recipe, no claim": Row((NONE,), {}, True, True),
    "no recipe, unverified": Row((NONE,), ev(False), True, True),
    "EV optional, verified": Row((EV_OPTIONAL,), ev(True), True, True),
    "EV optional, unverified": Row((EV_OPTIONAL,), ev(False), True, True),
    "EV optional, no claim": Row((EV_OPTIONAL,), {}, True, True),
    "EV, verified": Row((EV,), ev(True), True, True),
    "EV, unverified": Row((EV,), ev(False), False, False),
    "EV, verified long ago": Row((EV,), ev(True, 1), True, True),
    "EV, a number": Row((EV,), ev(0), False, False),
    "EV, a text": Row((EV,), ev("true"), False, False),
    "EV, a list": Row((EV,), ev([True]), False, False),
    "MFA, complete": Row((MFA,), COMPLETE, True, True),
    "MFA, complete with one factor": Row((MFA,), mfa(True, "emailpassword"), True, True),
    "MFA, complete without factors": Row((MFA,), mfa(True), True, True),
    "MFA, second factor due": Row((MFA,), DUE, False, False, waived=PENDING_WAIVED),
    "MFA, no factor at all": Row((MFA,), mfa(False), False, False, waived=PENDING_WAIVED),
    "MFA, v is null": Row((MFA,), mfa(None), False, False, waived=PENDING_WAIVED),
    "MFA, v is zero": Row((MFA,), mfa(0), False, False, waived=PENDING_WAIVED),
    "MFA, complete but unverified, EV optional": Row(
        (EV_OPTIONAL, MFA), COMPLETE | ev(False), True, True
    ),
    "both, all met": Row(BOTH, COMPLETE | ev(True), True, True),
    "both, unverified": Row(BOTH, COMPLETE | ev(False), False, False),
    "both, factor due": Row(BOTH, DUE | ev(True), False, False, waived=PENDING_WAIVED),
    "both, neither": Row(BOTH, DUE | ev(False), False, False, waived=PENDING_WAIVED),
    "override keeps all, verified": Row((EV,), ev(True), True, True, lambda v, *_: v),
    "override keeps all, unverified": Row((EV,), ev(False), False, False, lambda v, *_: v),
    "override drops all, unverified": Row((EV,), ev(False), True, True, lambda *_: []),
    "override drops EV, unverified": Row((EV,), ev(False), True, True, _without("st-ev")),
    "override drops EV, factor due": Row(
        BOTH, DUE | ev(False), False, False, _without("st-ev"), PENDING_WAIVED
    ),
    "override drops EV, complete": Row(BOTH, COMPLETE | ev(False), True, True, _without("st-ev")),
    "override drops MFA, no claim of it": Row((MFA,), {}, True, True, _without("st-mfa")),
    "override drops MFA, unverified": Row(BOTH, ev(False), False, False, _without("st-mfa")),
    "override drops MFA, verified": Row(BOTH, ev(True), True, True, _without("st-mfa")),
    "override drops another claim": Row((EV,), ev(False), False, False, _without("st-role")),
    "override adds a role, admin": Row((EV,), ev(True) | ADMIN, True, True, _adds_role),
    "override adds a role, unverified admin": Row(
        (EV,), ev(False) | ADMIN, False, False, _adds_role
    ),
    "override adds a maximum age, fresh": Row((NONE,), ADMIN, True, True, _adds_age),
    "override adds a maximum age, old": Row(
        (NONE,), {"st-role": {"v": ["admin"], "t": 1}}, False, False, _adds_age
    ),
    "override reads the request, kiosk": Row(
        (EV,), ev(False), True, True, _reads_request, headers={"X-Kiosk": "1"}
    ),
    "override reads the request, else": Row((EV,), ev(False), False, False, _reads_request),
    "override reads user and tenant": Row((EV,), ev(False), True, True, _reads_user),
    "async override drops all": Row((EV,), ev(False), True, True, _asynchronous),
    "async override keeps all, verified": Row((EV,), ev(True), True, True, _asynchronous_all),
    "async override keeps all, unverified": Row((EV,), ev(False), False, False, _asynchronous_all),
}

# A page is stricter, each time for a reason that the documentation gives.
DIFFERENT = {
    "v of MFA counts as true in Python": Row(
        (MFA,), mfa(1, "totp"), False, True, waived=PENDING_WAIVED
    ),
    "v of MFA is text": Row((MFA,), mfa("yes", "totp"), False, True, waived=PENDING_WAIVED),
    "no MFA recipe here, factor due": Row((NONE,), DUE, False, True, waived=PENDING_WAIVED),
    "override drops MFA, factor due": Row(
        (MFA,), DUE, False, True, _without("st-mfa"), PENDING_WAIVED
    ),
    "override drops all, factor due": Row((MFA,), DUE, False, True, lambda *_: [], PENDING_WAIVED),
    "override waits, verified": Row((EV,), ev(True), False, True, _waits),
    "override fails, verified": Row((EV,), ev(True), False, None, _fails, (True, False)),
}


# --- the two of them -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def core(rsa_keys: list[RSAPrivateKey]) -> Iterator[DevelopmentCore]:
    keys = itertools.cycle(rsa_keys)
    with DevelopmentCore(clock=LaggingClock(), key_factory=lambda: next(keys)) as core:
        yield core


def start_sdk(core: DevelopmentCore, row: Row) -> None:
    recipes: dict[str, Any] = {
        NONE: list,
        EV: lambda: [emailverification.init(mode="REQUIRED")],
        EV_OPTIONAL: lambda: [emailverification.init(mode="OPTIONAL")],
        MFA: lambda: [multifactorauth.init()],
    }
    override = None if row.override is None else _replaced(row.override)
    added = [recipe for name in row.recipes for recipe in recipes[name]()]
    init_sdk(core.uri, [emailpassword.init(), session.init(override=override), *added])


def make_app() -> Flask:
    app = Flask(__name__)
    app.jinja_loader = DictLoader({"page.html": DECIDES})
    FlaskSSRSession(app)
    Middleware(app)

    @app.before_request
    def below_hook() -> None:
        if request.path.startswith("/hook/"):
            require_session()

    def let_in() -> str:
        return "let in"

    def inside() -> str:
        require_session()
        return "let in"

    for path, view in {
        "/required": session_required(let_in),
        "/template": lambda: render_template("page.html"),
        "/inside": inside,
        "/hook/page": lambda: "let in",
        "/waived": session_required(global_claims=False)(let_in),
        "/theirs": verify_session()(lambda: "let in"),
        "/theirs-waived": verify_session(override_global_claim_validators=lambda *_: [])(
            lambda: "let in"
        ),
    }.items():
        app.add_url_rule(path, path, view)
    return app


def token_of(core: DevelopmentCore, claims: dict[str, Any]) -> str:
    """Create a session with this payload at the core, and return its access token."""
    now = int(time.time() * 1000)
    payload = {
        key: claim | {"t": now} if claim.get("t") == JUST_NOW else claim
        for key, claim in claims.items()
    }
    request = Request(  # noqa: S310 - the development core, on loopback
        f"{core.uri}/public/recipe/session",
        data=json.dumps(
            {
                "userId": "ada",
                "userDataInJWT": payload,
                "userDataInDatabase": {},
                "useDynamicSigningKey": True,
                "enableAntiCsrf": False,
            }
        ).encode(),
        headers={"cdi-version": "5.4", "rid": "session", "content-type": "application/json"},
    )
    with urlopen(request) as answer:  # noqa: S310
        return str(json.loads(answer.read())["accessToken"]["token"])


@pytest.mark.usefixtures("sdk_environment")
@pytest.mark.parametrize(
    "row", [pytest.param(row, id=name) for name, row in (SAME | DIFFERENT).items()]
)
def test_page_lets_nobody_in_whom_the_sdk_turns_away(core: DevelopmentCore, row: Row) -> None:
    start_sdk(core, row)
    app = make_app()
    app.config["PROPAGATE_EXCEPTIONS"] = False
    client = app.test_client()
    client.set_cookie("sAccessToken", token_of(core, row.claims))

    def is_let_in(path: str, headers: dict[str, str]) -> bool:
        answer = client.get(path, headers=headers | row.headers)
        assert (answer.text == "let in") == (answer.status_code == 200)
        if answer.status_code != 200 and not path.startswith("/theirs"):
            assert answer.status_code in (302, 403)
        return answer.status_code == 200

    for headers in (PAGE, FETCH):
        assert is_let_in(THEIRS, headers) is bool(row.theirs)
        assert {path: is_let_in(path, headers) for path in OURS} == dict.fromkeys(OURS, row.ours)
        assert is_let_in(THEIRS_WAIVED, headers) is row.waived[1]
        assert [is_let_in(path, headers) for path in OURS_WAIVED] == [row.waived[0]]


def test_table_is_as_large_as_it_should_be() -> None:
    assert len(SAME) >= 40
    assert all(row.ours == row.theirs for row in SAME.values())
    assert not any(row.ours for row in DIFFERENT.values())


# --- what only the API may do: fetch a claim -----------------------------------------------------


@pytest.mark.usefixtures("sdk_environment")
@pytest.mark.parametrize(
    ("claims", "recipe"),
    [
        pytest.param({}, EV, id="no claim: a token older than the recipe"),
        pytest.param({}, MFA, id="no st-mfa: a token older than the recipe"),
        pytest.param(ev(False, 1), EV, id="not verified, as of long ago"),
    ],
)
def test_claim_that_the_api_would_fetch_is_not_fetched_by_a_page(
    core: DevelopmentCore, claims: dict[str, Any], recipe: str
) -> None:
    """The API asks the core, and returns a new token; the page does not."""
    start_sdk(core, Row((recipe,), claims, False, True))
    client = make_app().test_client()
    client.set_cookie("sAccessToken", token_of(core, claims))
    core.clear_request_log()
    for path in OURS:
        assert client.get(path, headers=FETCH).status_code == 403
    paths = {entry.path for entry in core.request_log()}
    assert paths <= {"/.well-known/jwks.json", "/apiversion"}


def test_the_documentation_gives_the_reason_of_every_difference() -> None:
    docs = Path(__file__).parents[2] / "docs" / "decorators.rst"
    text = docs.read_text("utf-8")
    for reason in (
        "``v`` is not exactly ``true``",
        "no MFA recipe is in the process",
        "an override that drops the MFA validator",
        "an override that waits",
        "an override that raises",
    ):
        assert reason in text


@pytest.mark.parametrize(
    ("validator", "is_timeless"),
    [
        pytest.param(EMAIL.validators.is_verified(), True, id="of a recipe"),
        pytest.param(EMAIL.validators.is_verified(10, 60), False, id="with a maximum age"),
        pytest.param(UserRoleClaim.validators.includes("x"), False, id="its list may change"),
        pytest.param(object(), False, id="of the app"),
    ],
)
@pytest.mark.usefixtures("sdk_environment")
def test_only_what_recipes_add_is_remembered_with_a_token(
    core: DevelopmentCore, validator: Any, is_timeless: bool
) -> None:
    start_sdk(core, Row((NONE,), {}, True, True))
    values = read_sdk()
    assert values is not None
    assert values.global_claims is not None
    assert values.global_claims.is_timeless(validator) is is_timeless
