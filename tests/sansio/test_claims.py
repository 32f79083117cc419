"""Claims are judged by the payload alone, with the results of the SDK's validators."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from supertokens_python.recipe.emailverification import EmailVerificationClaim
from supertokens_python.recipe.session import claims as sdk
from supertokens_python.recipe.session.interfaces import ClaimValidationResult
from supertokens_python.recipe.userroles import PermissionClaim, UserRoleClaim

from flask_ssr_session.errors import MisuseError
from flask_ssr_session.sansio.claim_words import UNCHECKED
from flask_ssr_session.sansio.claims import UNSET, ClaimFailure, ClaimRequirements
from flask_ssr_session.session import SSRSession, deep_freeze
from tests.tables import rows


def never_fetched(*_args: Any) -> NoReturn:
    raise AssertionError("a claim was fetched")


COLOUR: Any = sdk.PrimitiveClaim("colour", never_fetched).validators
DEPTH: Any = sdk.PrimitiveClaim("depth", never_fetched, default_max_age_in_sec=60).validators
TEAMS: Any = sdk.PrimitiveArrayClaim("teams", never_fetched).validators
AGREED: Any = sdk.BooleanClaim("agreed", never_fetched).validators
ADDRESS: Any = EmailVerificationClaim
ADDRESS = ADDRESS.validators
ROLE, PERMISSION = UserRoleClaim.validators, PermissionClaim.validators
DAY, LONG = 24 * 3600, 10**7

Claims = dict[str, Any]


def claim(name: str, value: Any, age_seconds: float = 0) -> Claims:
    """Return a claim that is *age_seconds* old when the test runs, not when it is collected."""
    return {name: {"v": value, "age": age_seconds}}


def roles(*names: str, age: float = 0) -> Claims:
    return claim("st-role", list(names), age)


def perms(*names: str, age: float = 0) -> Claims:
    return claim("st-perm", list(names), age)


def ev(value: Any, age: float = 0) -> Claims:
    return claim("st-ev", value, age)


def kept(claims: Claims) -> Claims:
    made = {name: each for name, each in claims.items() if isinstance(each, dict) and "age" in each}
    now = time.time()
    times = {name: int((now - each["age"]) * 1000) for name, each in made.items()}
    return claims | {name: {"v": made[name]["v"], "t": at} for name, at in times.items()}


def session_of(claims: Claims) -> SSRSession:
    return SSRSession(deep_freeze({"sub": "user-1", "sessionHandle": "handle-1"} | kept(claims)))


def rules(
    role: Any = UNSET, permission: Any = UNSET, email_verified: Any = False, validators: Any = ()
) -> ClaimRequirements:
    return ClaimRequirements.of(role, permission, email_verified, validators)


def failed(required: ClaimRequirements, claims: Claims) -> list[str]:
    return [failure.id for failure in required.failures(session_of(claims))]


def sdk_result(validator: Any, session: SSRSession) -> Any:
    """Return the result of a validator of the SDK, run as the SDK runs it."""
    return asyncio.run(validator.validate(session.get_access_token_payload(), {}))


# --- role, permission and email_verified ---------------------------------------------------------

THEIRS: dict[str, Callable[[Any], Any]] = {
    "role": ROLE.includes,
    "permission": PERMISSION.includes,
    "email_verified": lambda _: ADDRESS.is_verified(),
}

CONDITIONS: dict[str, Any] = {
    "the user has the role": ("role", "admin", roles("admin", "editor"), True),
    "a role of long ago": ("role", "admin", roles("admin", age=LONG), True),
    "a role that the user has not": ("role", "owner", roles("admin"), False),
    "the beginning of a role": ("role", "adm", roles("admin"), False),
    "a role in other letters": ("role", "Admin", roles("admin"), False),
    "no roles": ("role", "admin", roles(), False),
    "no claim of roles": ("role", "admin", {}, False),
    "roles without a value": ("role", "admin", claim("st-role", None), False),
    "a permission is no role": ("role", "admin", perms("admin"), False),
    "the user has the permission": ("permission", "write", perms("read", "write"), True),
    "a permission of long ago": ("permission", "read", perms("read", age=LONG), True),
    "no claim of permissions": ("permission", "read", {}, False),
    "a role is no permission": ("permission", "admin", roles("admin"), False),
    "the address is verified": ("email_verified", True, ev(True), True),
    "the address was verified long ago": ("email_verified", True, ev(True, LONG), True),
    "the address is not verified": ("email_verified", True, ev(False), False),
    "nothing is known of the address": ("email_verified", True, {}, False),
}


@rows("name, value, claims, is_met", CONDITIONS)
def test_condition_holds_as_in_the_sdk(name: str, value: Any, claims: Claims, is_met: bool) -> None:
    session, validator = session_of(claims), THEIRS[name](value)
    theirs = sdk_result(validator, session)
    ours = rules(**{name: value}).failures(session)
    assert theirs.is_valid is is_met
    assert ours == ([] if is_met else [ClaimFailure(validator.id, theirs.reason)])
    # Scripts read the same: JSON has no tuples.
    assert is_met or json.loads(json.dumps(ours[0].reason)) == theirs.reason


OTHER_SHAPES: dict[str, Any] = {
    "roles are a text": ("role", "admin", claim("st-role", "administrator")),
    "roles are a bare list": ("role", "admin", {"st-role": ["admin"]}),
    "roles are a mapping": ("role", "admin", claim("st-role", {"admin": 1})),
    "roles are null": ("role", "admin", {"st-role": None}),
    "verified is a text": ("email_verified", True, ev("true")),
    "verified is a number": ("email_verified", True, ev(1)),
    "verified is bare": ("email_verified", True, {"st-ev": True}),
}


@rows("name, value, claims", OTHER_SHAPES)
def test_claim_of_another_shape_meets_nothing(name: str, value: Any, claims: Claims) -> None:
    assert failed(rules(**{name: value}), claims) == [THEIRS[name](value).id]


def test_nothing_is_asked_unless_it_is_written() -> None:
    assert failed(rules(), {}) == failed(rules(email_verified=False), ev(False)) == []


def test_all_conditions_have_to_hold_and_each_that_does_not_is_named() -> None:
    held = roles("admin") | perms("read") | ev(True) | claim("colour", "blue")
    required = rules("admin", "read", True, [COLOUR.has_value("blue")])
    for met in itertools.product([True, False], repeat=4):
        claims = dict(itertools.compress(held.items(), met))
        assert failed(required, claims) == [name for name in held if name not in claims], met


# --- validators of the SDK -----------------------------------------------------------------------

VALIDATORS: dict[str, Any] = {
    "includes": (ROLE.includes("admin"), roles("admin"), roles("editor")),
    # Without the claim nothing is known, so nothing is excluded, either.
    "excludes, no claim": (ROLE.excludes("banned"), roles(), {}),
    "of today": (ROLE.includes("a", DAY), roles("a", age=DAY - 60), roles("a", age=DAY + 60)),
    "primitive of an age": (DEPTH.has_value(3), claim("depth", 3, 30), claim("depth", 3, 90)),
    "true": (AGREED.is_true(None), claim("agreed", True), claim("agreed", False)),
    "with an id": (COLOUR.has_value("blue", id_="mood"), claim("colour", "blue"), {}),
}


@rows("validator, accepted, refused", VALIDATORS)
def test_validator_judges_as_in_the_sdk(validator: Any, accepted: Claims, refused: Claims) -> None:
    required = rules(validators=[validator])
    assert sdk_result(validator, session_of(accepted)).is_valid
    assert required.failures(session_of(accepted)) == []
    session = session_of(refused)
    theirs = sdk_result(validator, session)
    (ours,) = required.failures(session)
    assert (theirs.is_valid, ours.id) == (False, validator.id)
    if "ageInSeconds" in theirs.reason:  # a moment later
        assert ours.reason.pop("ageInSeconds") >= theirs.reason.pop("ageInSeconds")
    assert ours.reason == theirs.reason


def test_all_validators_have_to_hold_in_the_order_they_are_written() -> None:
    written = [TEAMS.includes("n", id_="first"), COLOUR.has_value("blue"), TEAMS.includes("s")]
    required = rules(validators=written)
    written.clear()  # the list was copied
    assert failed(required, claim("teams", ["n", "s"]) | claim("colour", "blue")) == []
    assert failed(required, claim("teams", ["n"]) | claim("colour", "blue")) == ["teams"]
    assert failed(required, {}) == ["first", "colour", "teams"]


def test_sdk_is_not_asked_for_a_claim_that_is_old_or_missing() -> None:
    """``verify_session`` would call the core for each of these."""
    asking = [COLOUR.has_value("blue", max_age_in_sec=1), AGREED.is_true(None)]
    asking.append(ADDRESS.is_verified(refetch_time_on_false_in_seconds=0))
    claims = claim("colour", "blue", 3600) | ev(False, 3600)
    assert all(validator.should_refetch(kept(claims), {}) for validator in asking)
    assert failed(rules(validators=asking), claims) == ["colour", "agreed", "st-ev"]


# --- validators of the app -----------------------------------------------------------------------


@dataclass
class Validator:
    """Returns the result of *answer*; a call of should_refetch is an error."""

    answer: Callable[[Claims], Any]
    id: str = "own"

    def validate(self, payload: Claims, user_context: Claims) -> Any:
        assert user_context == {}
        return self.answer(payload)

    should_refetch = never_fetched


VALID = ClaimValidationResult(is_valid=True)
INVALID = ClaimValidationResult(is_valid=False, reason={"message": "no"})


async def soon(result: Any) -> Any:
    return result


async def later(result: Any) -> Any:
    return await soon(result)


@rows("wrap", {"plain": lambda result: result, "async": soon, "async in two steps": later})
def test_validator_may_be_plain_or_async_and_never_fetches(wrap: Callable[[Any], Any]) -> None:
    for result, failures in ((VALID, []), (INVALID, [ClaimFailure("own", {"message": "no"})])):
        required = rules(validators=[Validator(lambda _, result=result: wrap(result))])  # type: ignore[misc]
        assert required.failures(session_of({})) == failures


@rows("is_valid", {"1": 1, "text": "yes", "None": None, "0": 0, "an object": object()})
def test_anything_but_true_is_no(is_valid: Any) -> None:
    result = SimpleNamespace(is_valid=is_valid, reason=None)
    assert failed(rules(validators=[Validator(lambda _: result)]), {}) == ["own"]


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any) -> NoReturn:
        raise error

    return fail


class Odd:
    """A result whose attributes run code of the app."""

    is_valid = property(raising(LookupError("hunter2")))


class Waits:
    """An awaitable that needs an event loop."""

    def __await__(self) -> Iterator[None]:
        yield
        raise AssertionError("it was resumed")


async def waiting(*_: Any) -> Any:
    await asyncio.sleep(0)
    return VALID


async def sleeping(*_: Any) -> Any:
    await asyncio.get_running_loop().create_future()


async def failing(*_: Any) -> Any:
    raise LookupError("hunter2")


WAITS = "waits for something, but a page checks the payload alone"
NO_RESULT = "must return an object with is_valid and reason"

UNASKABLE: dict[str, Any] = {
    "it raises": (lambda payload: payload["missing"], "failed with KeyError at"),
    "it raises, async": (failing, "failed with LookupError at"),
    "it raises what waiting raises": (raising(RuntimeError("hunter2")), "failed with Runtime"),
    "it is cancelled": (raising(asyncio.CancelledError("hunter2")), "failed with Cancelled"),
    "it waits": (waiting, WAITS),
    "it waits by an object": (lambda _: Waits(), WAITS),
    "it asks for the running loop": (sleeping, WAITS),
    "it returns None": (lambda _: None, "returned None"),
    "it returns True": (lambda _: True, NO_RESULT),
    "it returns a mapping": (lambda _: {"is_valid": True}, NO_RESULT),
    "its result fails": (lambda _: Odd(), NO_RESULT),
}


@rows("answer, problem", UNASKABLE)
def test_broken_validator_lets_nobody_in(answer: Callable[[Any], Any], problem: str) -> None:
    required = rules(validators=[Validator(answer), COLOUR.has_value("blue")])
    with pytest.raises(MisuseError, match=f"^the claim validator 'own' {problem}") as caught:
        required.failures(session_of({}))
    assert "hunter2" not in str(caught.value)
    reported: list[str] = []
    failures = required.failures(session_of({}), None, lambda *told: reported.append(told[1]))
    assert failures[0] == ClaimFailure("own", UNCHECKED)
    assert [failure.id for failure in failures] == ["own", "colour"]
    assert [one.startswith(problem) for one in reported] == [True]
    assert (caught.value.__cause__ is None) <= (problem in (WAITS, "returned None"))
    if problem is WAITS:
        gc.collect()  # an abandoned coroutine would warn now


@rows("interrupt", {"Ctrl-C": KeyboardInterrupt(), "exit": SystemExit()})
def test_end_of_the_process_is_no_failed_claim(interrupt: BaseException) -> None:
    with pytest.raises(type(interrupt)):
        failed(rules(validators=[Validator(raising(interrupt))]), {})


def test_validator_that_waits_is_ended_at_once() -> None:
    """Its resources must be released before the error's traceback is."""
    steps: list[str] = []

    async def hold() -> Any:
        try:
            await asyncio.sleep(0)
        finally:
            steps.append("let go")

    holding: Awaitable[Any] = hold()
    with pytest.raises(MisuseError):
        rules(validators=[Validator(lambda _: holding)]).failures(session_of({}))
    assert steps == ["let go"]


ENDLESS: list[Any] = []
ENDLESS.append(ENDLESS)
TOO_DEEP: list[Any] = []
for _ in range(100_000):
    TOO_DEEP = [TOO_DEEP]

REASONS: dict[str, Any] = {
    "a mapping": ({"message": "no"}, {"message": "no"}),
    "a text": ("no", "no"),
    "None": (None, None),
    "a set": ({1, 2}, UNCHECKED),
    "an object": (object(), UNCHECKED),
    "a key that is no text": ({(1, 2): 3}, UNCHECKED),
    "a list that holds itself": (ENDLESS, UNCHECKED),
    "a list that is too deep": (TOO_DEEP, UNCHECKED),
}


@rows("reason, told", REASONS)
def test_reason_that_json_cannot_hold_is_left_out(reason: Any, told: Any) -> None:
    result = SimpleNamespace(is_valid=False, reason=reason)
    (failure,) = rules(validators=[Validator(lambda _: result)]).failures(session_of({}))
    assert failure == ClaimFailure("own", told)


def test_what_a_validator_does_to_the_payload_reaches_nobody_else() -> None:
    def promote(payload: Claims) -> Any:
        payload["st-role"]["v"].append("owner")
        payload["colour"] = {"v": "blue", "t": 0}
        del payload["sub"]
        return VALID

    session = session_of(roles("admin"))
    asking = [Validator(promote), ROLE.includes("owner", id_="after"), COLOUR.has_value("blue")]
    failures = rules(role="owner", validators=asking).failures(session)
    assert [failure.id for failure in failures] == ["st-role", "after", "colour"]
    assert (session.roles, session.user_id) == (("admin",), "user-1")


def test_validator_without_an_id_goes_by_its_class() -> None:
    without_id: Any = SimpleNamespace(validate=lambda *_: INVALID)
    assert failed(rules(validators=[without_id]), {}) == ["SimpleNamespace"]


# --- in words ------------------------------------------------------------------------------------

ABSENT = {"message": "value does not exist"}
WRONG = {"message": "wrong value", "actualValue": "tea"}

WORDS: dict[str, Any] = {
    "a role": (("st-role", WRONG), "the roles of the user do not meet the requirement"),
    "a permission": (("st-perm", WRONG), "the permissions…requirement"),
    "no role": (("st-role", ABSENT), "the roles…requirement (the token has no claim st-role)"),
    "an address": (("st-ev", WRONG), "the e-mail address of the user is not verified"),
    "factors": (("st-mfa", WRONG), "the user has not completed all required factors"),
    "a factor": (("st-mfa", WRONG, "totp"), "the user has to complete the factor totp again"),
    "a recent sign-in": (("in", WRONG, "", True), "the user has to sign in again"),
    "a claim of the app": (("drink", WRONG), "the claim drink does not meet the requirement"),
    "a text as its reason": (("drink", "tea"), "the claim drink does not meet the requirement"),
    "one that fails": (("drink", UNCHECKED), "the claim drink could not be checked"),
}


@rows("failure, words", WORDS)
def test_failure_says_what_is_missing_without_values(failure: tuple[Any, ...], words: str) -> None:
    start, _, end = words.partition("…")
    for said in (str(ClaimFailure(*failure)), f"{ClaimFailure(*failure)}"):
        assert said.startswith(start)
        assert said.endswith(end or start)
        assert "tea" not in said


# --- misuse --------------------------------------------------------------------------------------


def test_role_or_permission_that_is_not_one_name_is_an_error() -> None:
    for name, claim_name in (("role", "UserRoleClaim"), ("permission", "PermissionClaim")):
        message = rf"^{name}= takes one name.*{claim_name}.*includes_all.*includes_any"
        for value in ("", None, b"admin", 1, True, ["admin"], ("admin",), {"admin"}, object):
            with pytest.raises(MisuseError, match=message):
                rules(**{name: value})
        assert rules(**{name: "admin"})


def test_email_verified_takes_true_or_false() -> None:
    for value in (None, 1, 0, "yes", "", [True]):
        with pytest.raises(MisuseError, match="email_verified= takes True or False"):
            rules(email_verified=value)


NO_VALIDATORS: dict[str, Any] = {
    "it is not in a list": (ROLE.includes("admin"), "a list of"),
    "a text": ("admin", "a list of"),
    "a mapping": ({"a": 1}, "a list of"),
    "a generator, which asks once": ((v for v in [ROLE.includes("a")]), "a list of"),
    "None": (None, "a list of"),
    "a claim, not its validator": ([UserRoleClaim], "is a claim; use one of its"),
    "all validators of a claim": ([ROLE], "forget to call it"),
    "it is not called": ([ROLE.includes], "forget to call it"),
    "a text is among them": ([ROLE.includes("a"), "admin"], "forget to call it"),
    "a function": ([lambda *_: VALID], "forget to call it"),
    "a class": ([Validator], "is a class; list an instance"),
}


@rows("value, advice", NO_VALIDATORS)
def test_validators_take_a_list_of_validators(value: Any, advice: str) -> None:
    with pytest.raises(MisuseError, match=f"^validators= takes.*{advice}"):
        rules(validators=value)
