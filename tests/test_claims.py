"""Claims are checked by the payload alone, with the same results as the SDK's validators."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from supertokens_python.recipe.emailverification import EmailVerificationClaim
from supertokens_python.recipe.session.claims import (
    BooleanClaim,
    PrimitiveArrayClaim,
    PrimitiveClaim,
)
from supertokens_python.recipe.session.interfaces import ClaimValidationResult
from supertokens_python.recipe.userroles import PermissionClaim, UserRoleClaim

from flask_ssr_session.errors import MisuseError
from flask_ssr_session.sansio.claims import UNSET, ClaimFailure, ClaimRequirements
from flask_ssr_session.session import SSRSession, deep_freeze


def never_fetched(*_args: Any) -> Any:
    raise AssertionError("a claim was fetched")


COLOUR: PrimitiveClaim[str] = PrimitiveClaim("colour", never_fetched)
DEPTH: PrimitiveClaim[int] = PrimitiveClaim("depth", never_fetched, default_max_age_in_sec=60)
TEAMS: PrimitiveArrayClaim[list[str]] = PrimitiveArrayClaim("teams", never_fetched)
# The SDK has no types for the validators of these two.
AGREED: Any = BooleanClaim("agreed", never_fetched)
ADDRESS: Any = EmailVerificationClaim


def claim(value: Any, age_seconds: float = 0) -> dict[str, Any]:
    """Return a claim that is *age_seconds* old when the test runs, not when it is collected."""
    return {"v": value, "age": age_seconds}


def as_the_sdk_keeps_it(payload: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"v": value["v"], "t": int((time.time() - value["age"]) * 1000)}
        if isinstance(value, dict) and "age" in value
        else value
        for name, value in payload.items()
    }


def session_of(**payload: Any) -> SSRSession:
    """Return a session with these claims; ``_`` in a name stands for ``-``."""
    named = {name.replace("_", "-"): value for name, value in payload.items()}
    ids = {"sub": "user-1", "sessionHandle": "handle-1"}
    return SSRSession(deep_freeze(ids | as_the_sdk_keeps_it(named)))


def rules(
    role: Any = UNSET,
    permission: Any = UNSET,
    email_verified: Any = False,
    validators: Any = (),
) -> ClaimRequirements:
    return ClaimRequirements.of(role, permission, email_verified, validators)


def failed(required: ClaimRequirements, **payload: Any) -> list[str]:
    return [failure.id for failure in required.failures(session_of(**payload))]


# role, permission and email_verified


ROLES = {"st_role": claim(["admin", "editor"])}
PERMISSIONS = {"st_perm": claim(["read", "write"])}
VERIFIED = {"st_ev": claim(True)}


@pytest.mark.parametrize(
    ("required", "payload", "ids"),
    [
        pytest.param(rules(), {}, [], id="nothing is required"),
        pytest.param(rules(role="admin"), ROLES, [], id="role"),
        pytest.param(rules(role="editor"), ROLES, [], id="another of the roles"),
        pytest.param(rules(role="owner"), ROLES, ["st-role"], id="role that is not there"),
        pytest.param(rules(role="adm"), ROLES, ["st-role"], id="beginning of a role"),
        pytest.param(rules(role="Admin"), ROLES, ["st-role"], id="role in other letters"),
        pytest.param(rules(role="admin "), ROLES, ["st-role"], id="role and a blank"),
        pytest.param(rules(role="admin"), {}, ["st-role"], id="no roles at all"),
        pytest.param(rules(role="admin"), {"st_role": claim([])}, ["st-role"], id="empty roles"),
        pytest.param(
            rules(role="admin"), {"st_perm": claim(["admin"])}, ["st-role"], id="as a permission"
        ),
        pytest.param(
            rules(role="admin"), {"st_role": claim("administrator")}, ["st-role"], id="roles a text"
        ),
        pytest.param(
            rules(role="admin"), {"st_role": ["admin"]}, ["st-role"], id="roles as a bare list"
        ),
        pytest.param(
            rules(role="admin"), {"st_role": claim({"admin": 1})}, ["st-role"], id="roles a mapping"
        ),
        pytest.param(rules(role="admin"), {"st_role": None}, ["st-role"], id="roles removed"),
        pytest.param(rules(permission="write"), PERMISSIONS, [], id="permission"),
        pytest.param(
            rules(permission="delete"), PERMISSIONS, ["st-perm"], id="permission that is not there"
        ),
        pytest.param(rules(permission="read"), {}, ["st-perm"], id="no permissions at all"),
        pytest.param(rules(permission="admin"), ROLES, ["st-perm"], id="a role is no permission"),
        pytest.param(rules(email_verified=True), VERIFIED, [], id="verified"),
        pytest.param(
            rules(email_verified=True), {"st_ev": claim(False)}, ["st-ev"], id="not verified"
        ),
        pytest.param(rules(email_verified=True), {}, ["st-ev"], id="unknown"),
        pytest.param(
            rules(email_verified=True), {"st_ev": claim("true")}, ["st-ev"], id="verified as text"
        ),
        pytest.param(
            rules(email_verified=True), {"st_ev": claim(1)}, ["st-ev"], id="verified as a number"
        ),
        pytest.param(rules(email_verified=True), {"st_ev": True}, ["st-ev"], id="verified, bare"),
        pytest.param(rules(email_verified=False), {}, [], id="not required"),
        pytest.param(
            rules(email_verified=False), {"st_ev": claim(False)}, [], id="False asks nothing"
        ),
    ],
)
def test_conditions(required: ClaimRequirements, payload: dict[str, Any], ids: list[str]) -> None:
    assert failed(required, **payload) == ids


def test_age_of_a_claim_does_not_matter_to_our_conditions() -> None:
    required = rules(role="admin", permission="read", email_verified=True)

    assert not failed(
        required,
        st_role=claim(["admin"], 10**7),
        st_perm=claim(["read"], 10**7),
        st_ev=claim(True, 10**7),
    )


# Each: arguments, claims that meet them, id of the failure.
CONDITIONS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "role": ({"role": "admin"}, ROLES, "st-role"),
    "permission": ({"permission": "read"}, PERMISSIONS, "st-perm"),
    "verified": ({"email_verified": True}, VERIFIED, "st-ev"),
    "validator": (
        {"validators": [COLOUR.validators.has_value("blue")]},
        {"colour": claim("blue")},
        "colour",
    ),
}


@pytest.mark.parametrize("met", list(itertools.product([True, False], repeat=4)))
def test_all_conditions_have_to_hold_and_each_that_does_not_is_named(met: tuple[bool, ...]) -> None:
    required: dict[str, Any] = {}
    payload: dict[str, Any] = {}
    expected = []
    for (condition, claims, claim_id), is_met in zip(CONDITIONS.values(), met, strict=True):
        required |= condition
        if is_met:
            payload |= claims
        else:
            expected.append(claim_id)

    assert failed(rules(**required), **payload) == expected


def test_all_validators_have_to_hold_in_the_order_they_are_written() -> None:
    required = rules(
        validators=(
            COLOUR.validators.has_value("blue"),
            TEAMS.validators.includes("north", id_="first team"),
            TEAMS.validators.includes("south", id_="second team"),
        )
    )

    blue, north = claim("blue"), claim(["north"])
    assert not failed(required, colour=blue, teams=claim(["north", "south"]))
    assert failed(required, colour=blue, teams=north) == ["second team"]
    assert failed(required, colour=claim("red"), teams=north) == ["colour", "second team"]
    assert failed(required) == ["colour", "first team", "second team"]


# Side by side with the SDK

ROLE, PERMISSION = UserRoleClaim.validators, PermissionClaim.validators
DAY = 24 * 3600

# id: our arguments, the SDK's validator, the payload, whether it is met
SIDE_BY_SIDE: dict[str, tuple[dict[str, Any], Any, dict[str, Any], bool]] = {
    "role": ({"role": "admin"}, ROLE.includes("admin"), ROLES, True),
    "role, another": ({"role": "owner"}, ROLE.includes("owner"), ROLES, False),
    "role, none": ({"role": "admin"}, ROLE.includes("admin"), {"st_role": claim([])}, False),
    "role, claim missing": ({"role": "admin"}, ROLE.includes("admin"), {}, False),
    "role, claim without a value": (
        *({"role": "admin"}, ROLE.includes("admin"), {"st_role": claim(None)}, False),
    ),
    "permission": ({"permission": "read"}, PERMISSION.includes("read"), PERMISSIONS, True),
    "permission, another": (
        *({"permission": "delete"}, PERMISSION.includes("delete"), PERMISSIONS, False),
    ),
    "permission, claim missing": (
        *({"permission": "read"}, PERMISSION.includes("read"), {}, False),
    ),
    "verified": (
        {"email_verified": True},
        ADDRESS.validators.is_verified(),
        VERIFIED,
        True,
    ),
    "not verified": (
        {"email_verified": True},
        ADDRESS.validators.is_verified(),
        {"st_ev": claim(False)},
        False,
    ),
    "verified, claim missing": (
        {"email_verified": True},
        ADDRESS.validators.is_verified(),
        {},
        False,
    ),
}


def sdk_result(validator: Any, session: SSRSession) -> Any:
    """Return the result of a validator of the SDK, run as the SDK runs it."""
    return asyncio.run(validator.validate(session.get_access_token_payload(), {}))


@pytest.mark.parametrize("row", SIDE_BY_SIDE)
def test_our_conditions_answer_and_explain_as_the_sdks_validators_do(row: str) -> None:
    required, validator, payload, holds = SIDE_BY_SIDE[row]
    session = session_of(**payload)

    theirs = sdk_result(validator, session)
    ours = rules(**required).failures(session)

    assert theirs.is_valid is (not ours) is holds
    if not holds:
        assert ours == [ClaimFailure(validator.id, theirs.reason)]
        # Scripts read the same: JSON has no tuples.
        assert json.loads(json.dumps(ours[0].reason)) == theirs.reason


VALIDATORS: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    # id: the validator, a payload that it accepts, one that it refuses
    "role includes": (ROLE.includes("admin"), ROLES, {"st_role": claim(["editor"])}),
    "role includes, no claim": (ROLE.includes("admin"), ROLES, {}),
    "role excludes": (ROLE.excludes("banned"), ROLES, {"st_role": claim(["admin", "banned"])}),
    # Without the claim nothing is known, so nothing is excluded, either.
    "role excludes, no claim": (ROLE.excludes("banned"), {"st_role": claim([])}, {}),
    "role includes all": (
        ROLE.includes_all(["admin", "editor"]),
        ROLES,
        {"st_role": claim(["admin"])},
    ),
    "role includes any": (
        ROLE.includes_any(["owner", "editor"]),
        ROLES,
        {"st_role": claim(["admin"])},
    ),
    "role excludes all": (
        ROLE.excludes_all(["banned", "left"]),
        ROLES,
        {"st_role": claim(["admin", "left"])},
    ),
    "role of today": (
        ROLE.includes("admin", max_age_in_seconds=DAY),
        {"st_role": claim(["admin"], DAY - 60)},
        {"st_role": claim(["admin"], DAY + 60)},
    ),
    "permission includes": (PERMISSION.includes("read"), PERMISSIONS, {"st_perm": claim([])}),
    "permission excludes": (PERMISSION.excludes("sell"), PERMISSIONS, {"st_perm": claim(["sell"])}),
    "permission includes all": (
        PERMISSION.includes_all(["read", "write"]),
        PERMISSIONS,
        {"st_perm": claim(["write"])},
    ),
    "permission includes any": (
        PERMISSION.includes_any(["write", "sell"]),
        PERMISSIONS,
        {"st_perm": claim(["read"])},
    ),
    "permission of the last minute": (
        PERMISSION.includes_any(["read"], max_age_in_seconds=60),
        {"st_perm": claim(["read"], 30)},
        {"st_perm": claim(["read"], 90)},
    ),
    "address verified": (
        ADDRESS.validators.is_verified(),
        VERIFIED,
        {"st_ev": claim(False)},
    ),
    "address verified today": (
        ADDRESS.validators.is_verified(max_age_in_seconds=DAY),
        {"st_ev": claim(True, DAY - 60)},
        {"st_ev": claim(True, DAY + 60)},
    ),
    "primitive": (
        COLOUR.validators.has_value("blue"),
        {"colour": claim("blue")},
        {"colour": claim("red")},
    ),
    "primitive with an age of its own": (
        DEPTH.validators.has_value(3),
        {"depth": claim(3, 30)},
        {"depth": claim(3, 90)},
    ),
    "array": (
        TEAMS.validators.includes("north"),
        {"teams": claim(["north"])},
        {"teams": claim(["south"])},
    ),
    "boolean": (AGREED.validators.is_true(None), {"agreed": claim(True)}, {"agreed": claim(False)}),
    "boolean, false": (
        AGREED.validators.is_false(None),
        {"agreed": claim(False)},
        {"agreed": claim(True)},
    ),
    "with an id of its own": (
        COLOUR.validators.has_value("blue", id_="mood"),
        {"colour": claim("blue")},
        {},
    ),
}


@pytest.mark.parametrize("row", VALIDATORS)
def test_validators_of_the_sdk_judge_as_they_do_there(row: str) -> None:
    validator, taken, refused = VALIDATORS[row]
    required = rules(validators=[validator])

    assert sdk_result(validator, session_of(**taken)).is_valid
    assert required.failures(session_of(**taken)) == []
    session = session_of(**refused)
    theirs = sdk_result(validator, session)
    (ours,) = required.failures(session)
    assert not theirs.is_valid
    assert ours.id == validator.id
    if "ageInSeconds" in theirs.reason:  # a moment later
        assert ours.reason.pop("ageInSeconds") >= theirs.reason.pop("ageInSeconds")
    assert ours.reason == theirs.reason


def test_validators_of_the_sdk_work_inside_a_running_event_loop() -> None:
    async def ask() -> list[str]:
        return failed(rules(validators=[ROLE.includes("owner")]), **ROLES)

    assert asyncio.run(ask()) == ["st-role"]


# Validators of the app


@dataclass
class Validator:
    """Returns the result of *answer*; a call of should_refetch is an error."""

    answer: Callable[[dict[str, Any]], Any]
    id: str = "own"

    def validate(self, payload: dict[str, Any], user_context: dict[str, Any]) -> Any:
        assert user_context == {}
        return self.answer(payload)

    def should_refetch(self, *_args: Any) -> bool:
        raise AssertionError("a page fetched a claim")


VALID = ClaimValidationResult(is_valid=True)


def invalid(reason: str = "no") -> ClaimValidationResult:
    return ClaimValidationResult(is_valid=False, reason={"message": reason})


async def soon(result: Any) -> Any:
    return result


def in_two_steps(result: Any) -> Awaitable[Any]:
    async def outer() -> Any:
        return await soon(result)

    return outer()


@pytest.mark.parametrize("wrap", [lambda r: r, soon, in_two_steps], ids=["plain", "async", "deep"])
def test_validator_may_be_plain_or_async_and_is_never_asked_to_fetch(
    wrap: Callable[[Any], Any],
) -> None:
    taking, refusing = Validator(lambda _: wrap(VALID)), Validator(lambda _: wrap(invalid()))

    assert rules(validators=[taking]).failures(session_of()) == []
    assert rules(validators=[refusing]).failures(session_of()) == [
        ClaimFailure("own", {"message": "no"})
    ]


@pytest.mark.parametrize("is_valid", [1, "yes", None, 0, object()])
def test_anything_but_true_is_no(is_valid: Any) -> None:
    result = invalid()
    result.is_valid = is_valid

    assert failed(rules(validators=[Validator(lambda _: result)])) == ["own"]


class Waits:
    """An awaitable that needs an event loop."""

    def __await__(self) -> Iterator[None]:
        yield
        raise AssertionError("it was resumed")


async def waits() -> Any:
    await asyncio.sleep(0)
    return VALID


@pytest.mark.parametrize("awaitable", [waits, Waits], ids=["coroutine", "object"])
def test_validator_that_waits_is_an_error_and_lets_nobody_in(awaitable: Callable[[], Any]) -> None:
    required = rules(validators=[Validator(lambda _: awaitable())])

    with pytest.raises(MisuseError, match="waits for something, but a page"):
        required.failures(session_of())
    gc.collect()  # an abandoned coroutine would warn now


async def fail() -> Any:
    raise LookupError("a defect of the app's")


@pytest.mark.parametrize("is_async", [False, True])
def test_error_of_a_validator_is_named_without_its_message(is_async: bool) -> None:
    def answer(payload: dict[str, Any]) -> Any:
        return fail() if is_async else payload["missing"]

    with pytest.raises(MisuseError, match=r"'own' failed with (LookupError|KeyError) at") as caught:
        rules(validators=[Validator(answer)]).failures(session_of())
    assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize("answer", [True, None, "valid", {"is_valid": True}])
def test_result_of_another_shape_lets_nobody_in(answer: Any) -> None:
    problem = "returned None" if answer is None else "must return an object with is_valid"
    with pytest.raises(MisuseError, match=problem):
        rules(validators=[Validator(lambda _: answer)]).failures(session_of())


def test_what_a_validator_does_to_the_payload_reaches_nobody_else() -> None:
    def promote(payload: dict[str, Any]) -> Any:
        payload["st-role"]["v"].append("owner")
        payload["colour"] = {"v": "blue", "t": 0}
        del payload["sub"]
        return VALID

    session = session_of(**ROLES)
    required = rules(
        role="owner",
        validators=[
            Validator(promote),
            ROLE.includes("owner", id_="after"),
            COLOUR.validators.has_value("blue"),
        ],
    )

    assert [failure.id for failure in required.failures(session)] == ["st-role", "after", "colour"]
    assert session.roles == ("admin", "editor")
    assert session.user_id == "user-1"


def test_sdk_is_not_asked_for_a_claim_that_is_old_or_missing() -> None:
    """``verify_session`` would call the core for each of these."""
    required = rules(
        validators=[
            COLOUR.validators.has_value("blue", max_age_in_sec=1),
            AGREED.validators.is_true(None),
            ADDRESS.validators.is_verified(refetch_time_on_false_in_seconds=0),
        ]
    )
    payload = {"colour": claim("blue", 3600), "st-ev": claim(False, 3600)}

    kept = as_the_sdk_keeps_it(payload)
    assert all(v.should_refetch(kept, {}) for v in required.validators)  # type: ignore[attr-defined]
    assert failed(required, **payload) == ["colour", "agreed", "st-ev"]


def test_validator_that_waits_is_ended_at_once() -> None:
    """Its resources must be released before the error's traceback is."""
    steps: list[str] = []

    async def hold() -> Any:
        try:
            await asyncio.sleep(0)
        finally:
            steps.append("let go")

    with pytest.raises(MisuseError) as caught:
        rules(validators=[Validator(lambda _: hold())]).failures(session_of())

    assert (steps, caught.type) == (["let go"], MisuseError)


# Misuse


@pytest.mark.parametrize("name", ["role", "permission"])
@pytest.mark.parametrize(
    "value", ["", None, b"admin", 1, True, ["admin"], ("admin",), {"admin"}, object]
)
def test_role_or_permission_that_is_not_one_name_is_an_error(name: str, value: Any) -> None:
    with pytest.raises(MisuseError, match=rf"^{name}= takes one name.*includes_all.*includes_any"):
        rules(**{name: value})
    assert rules(**{name: "admin"})


@pytest.mark.parametrize("value", [None, 1, 0, "yes", "", [True]])
def test_email_verified_takes_true_or_false(value: Any) -> None:
    with pytest.raises(MisuseError, match="email_verified= takes True or False"):
        rules(email_verified=value)


A_LIST = "takes a list of SuperTokens claim validators"


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        pytest.param(ROLE.includes("admin"), A_LIST, id="not in a list"),
        pytest.param("admin", A_LIST, id="text"),
        pytest.param({"a": 1}, A_LIST, id="mapping"),
        pytest.param((v for v in [ROLE.includes("a")]), A_LIST, id="generator, which asks once"),
        pytest.param(None, A_LIST, id="None"),
        pytest.param([UserRoleClaim], "is a claim; use one of its", id="claim, not validator"),
        pytest.param([ROLE], "forget to call it", id="all validators of a claim"),
        pytest.param([ROLE.includes], "forget to call it", id="not called"),
        pytest.param([ROLE.includes("a"), "admin"], "forget to call it", id="text among them"),
        pytest.param([None], "forget to call it", id="None among them"),
        pytest.param([lambda *_: VALID], "forget to call it", id="function"),
        pytest.param([Validator], "is a class; list an instance", id="class"),
    ],
)
def test_validators_take_a_list_of_validators(value: Any, advice: str) -> None:
    with pytest.raises(MisuseError, match=f"^validators= takes.*{advice.removeprefix('takes ')}"):
        rules(validators=value)
    assert rules(validators=[ROLE.includes("admin")])


def test_list_of_validators_is_copied() -> None:
    written = [ROLE.includes("owner")]
    required = rules(validators=written)
    written.clear()

    assert failed(required, **ROLES) == ["st-role"]
