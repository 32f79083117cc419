"""The SDK's global claim validators: what they decide, how often, and what an override may do."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from supertokens_python.recipe.session.interfaces import ClaimValidationResult

from flask_ssr_session.sansio.claim_words import UNCHECKED
from flask_ssr_session.sansio.claims import ClaimFailure
from flask_ssr_session.sansio.global_claims import OVERRIDE_NAME, GlobalClaims, is_about
from flask_ssr_session.session import SSRSession, deep_freeze
from tests.app.conftest import EMAIL, MFA, FakeGlobalClaims
from tests.tables import rows

REQUEST = "the request"
DUE = {"c": {}, "v": False}
OVERRIDE = "the override of get_global_claim_validators"


def session_of(user_id: str = "user-1", **claims: Any) -> SSRSession:
    named = {name.replace("_", "-"): value for name, value in claims.items()}
    return SSRSession(deep_freeze({"sub": user_id, "sessionHandle": "handle-1"} | named))


def never(*told: Any) -> None:
    raise AssertionError(told)


def reporting(into: list[str]) -> Any:
    return lambda name, problem, _error: into.append(f"{name} {problem}")


def failed(source: FakeGlobalClaims, session: SSRSession | None = None, **skip: Any) -> list[str]:
    failures = GlobalClaims(source).failures(session or session_of(), REQUEST, never, **skip)
    return [failure.id for failure in failures]


class Counting:
    def __init__(self, **attributes: Any) -> None:
        self.id = "count"
        self.asked = 0
        vars(self).update(attributes)

    async def validate(self, payload: dict[str, Any], context: dict[str, Any]) -> Any:
        assert context == {"request": REQUEST}
        self.asked += 1
        return ClaimValidationResult(payload.get("count", True) is True, {"message": "no"})


def by_user(session: Any, validators: list[Any], _context: Any) -> list[Any]:
    return [] if session.user_id == "user-1" else validators


def by_context(_session: Any, validators: list[Any], context: dict[str, Any]) -> list[Any]:
    return [] if context["request"] == REQUEST else validators


async def drops_all(*_: Any) -> list[Any]:
    return []


def adds(_session: Any, validators: list[Any], _context: Any) -> list[Any]:
    return [*validators, MFA]


OVERRIDES: dict[str, Any] = {
    "no override": (None, ["st-ev"]),
    "it keeps all": (lambda _s, v, _c: v, ["st-ev"]),
    "it keeps all, as a tuple": (lambda _s, v, _c: tuple(v), ["st-ev"]),
    "it drops all": (lambda *_: [], []),
    "it drops all, async without waiting": (drops_all, []),
    "it adds one": (adds, ["st-ev", "st-mfa"]),
    "it reads the user": (by_user, []),
    "it reads the context": (by_context, []),
}


@rows("override, ids", OVERRIDES)
def test_override_decides_what_an_unverified_user_fails(override: Any, ids: list[str]) -> None:
    source = FakeGlobalClaims(EMAIL, override=override)
    assert failed(source, session_of(st_ev={"v": False, "t": 1}, st_mfa=DUE)) == ids
    assert failed(source, session_of(st_ev={"v": True, "t": 1}, st_mfa={"c": {}, "v": True})) == []


def test_skipped_claim_is_left_out_even_under_another_id() -> None:
    renamed: Any = SimpleNamespace(id="own", claim=MFA.claim, validate=MFA.validate)
    source = FakeGlobalClaims(EMAIL, MFA, renamed)
    pending = session_of(st_mfa=DUE)
    assert failed(source, pending) == ["st-ev", "st-mfa", "own"]
    assert failed(source, pending, skip_claim="st-mfa") == ["st-ev"]
    assert failed(FakeGlobalClaims(MFA), pending, skip_claim="st-mfa") == []
    nothing: Any = object()
    for one, is_mfa in ((EMAIL, 0), (MFA, 1), (renamed, 1), (nothing, 0)):
        assert is_about(one, "st-mfa") == is_mfa, one


def test_claim_is_required_if_one_of_the_validators_checks_it() -> None:
    for source, is_required in (
        (FakeGlobalClaims(EMAIL, MFA), True),
        (FakeGlobalClaims(EMAIL), False),
        (FakeGlobalClaims(EMAIL, override=adds), True),
        (FakeGlobalClaims(MFA, override=lambda *_: []), False),
    ):
        told = GlobalClaims(source).requires("st-mfa", session_of(), REQUEST, never)
        assert told is is_required, vars(source)


async def waits(*_: Any) -> Any:
    await asyncio.sleep(0)


def fails(*_: Any) -> Any:
    raise LookupError("hunter2")


BROKEN: dict[str, Any] = {
    "it raises": (fails, "failed with LookupError at"),
    "it waits": (waits, "waits for something"),
    "it returns nothing": (lambda *_: None, "returned None"),
    "it returns a text": (lambda *_: "all", "must return a list of claim validators"),
    "it returns one validator": (lambda *_: EMAIL, "must return a list of claim validators"),
}


@rows("override, problem", BROKEN)
def test_override_that_cannot_be_asked_is_a_failed_claim(override: Any, problem: str) -> None:
    claims = GlobalClaims(FakeGlobalClaims(EMAIL, override=override))
    for _ in range(2):
        reported: list[str] = []
        report = reporting(reported)
        failures = claims.failures(session_of(st_ev={"v": True, "t": 1}), REQUEST, report)
        assert failures == (ClaimFailure(OVERRIDE_NAME, UNCHECKED),)
        assert claims.requires("st-anything", session_of(), REQUEST, report)
        assert [line.startswith(f"{OVERRIDE} {problem}") for line in reported] == [True, True]
        assert "hunter2" not in str(reported)


def test_validator_that_fails_is_a_failed_claim_until_it_recovers() -> None:
    reported: list[str] = []
    validator = SimpleNamespace(id="broken", validate=fails)
    claims, session = GlobalClaims(FakeGlobalClaims(EMAIL, validator)), session_of()

    for times in (1, 2):
        failures = claims.failures(session, REQUEST, reporting(reported))
        assert [failure.id for failure in failures] == ["st-ev", "broken"]
        assert failures[1].reason == UNCHECKED
        assert len(reported) == times
    assert reported[0].startswith("the claim validator 'broken' failed with LookupError")
    validator.validate = lambda *_: ClaimValidationResult(True)
    assert [failure.id for failure in claims.failures(session, REQUEST, never)] == ["st-ev"]


KEPT: dict[str, Any] = {
    "that the session meets them is remembered": ({}, None, 1),
    "not where time counts": ({"max_age_in_sec": 5}, None, 3),
    "not where the app overrides": ({}, lambda _s, v, _c: v, 3),
}


@rows("attributes, override, times", KEPT)
def test_met_claims_are_asked_once(attributes: dict[str, Any], override: Any, times: int) -> None:
    # A failure is checked again: the SDK's reason repeats the claim, which may be large.
    for count, expected in ((True, []), (False, ["count"])):
        validator = Counting(**attributes)
        claims = GlobalClaims(FakeGlobalClaims(validator, override=override))
        session, other = session_of(count=count), session_of(count=not count)
        for _ in range(3):
            assert [failure.id for failure in claims.failures(session, REQUEST, never)] == expected
        assert validator.asked == (times if count else 3)
        assert len(claims.failures(other, REQUEST, never)) == (not expected)


def test_result_of_other_validators_is_not_used() -> None:
    source, session = FakeGlobalClaims(Counting()), session_of()
    claims = GlobalClaims(source)
    assert claims.failures(session, REQUEST, never) == ()
    source.added.append(EMAIL)
    assert [failure.id for failure in claims.failures(session, REQUEST, never)] == ["st-ev"]
    for _ in range(2):  # what meets all but one claim is remembered as that
        assert claims.failures(session, REQUEST, never, skip_claim="st-ev") == ()
        assert [failure.id for failure in claims.failures(session, REQUEST, never)] == ["st-ev"]
