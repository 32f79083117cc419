"""Check the claims of a verified session. The token's payload alone decides; nothing is fetched.

A failed claim is no reason to refresh: the session is valid, but its user may not do this.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from ..errors import MisuseError
from ..session import SSRSession
from .app_code import Report, call_app_code, raise_misuse
from .builtin_claims import EMAIL_VERIFIED_CLAIM, PERMISSIONS_CLAIM, ROLES_CLAIM
from .claim_words import UNCHECKED, VALUE_ABSENT, reason_in_words


class _Unset:
    def __repr__(self) -> str:
        return "not set"


# The default is not None: role=app.config.get("ADMIN_ROLE") must fail if the key is missing.
UNSET: Final[Any] = _Unset()


class ClaimValidator(Protocol):
    """A claim validator, for example ``UserRoleClaim.validators.includes("x")``.

    The SDK's ``should_refetch`` is never called, because a page cannot change the token.
    """

    id: str

    def validate(self, payload: dict[str, Any], user_context: dict[str, Any]) -> Any:
        """Return an object with ``is_valid`` and ``reason``, or an awaitable of it."""
        ...


class ClaimFailure(NamedTuple):
    """A claim that a session does not meet.

    :ivar id: the validator's id; ``st-role``, ``st-perm`` or ``st-ev`` for *role*, *permission*
        and *email_verified*.
    :ivar reason: the reason in the SDK's form; it may contain values of the claim, and so may the
        ``repr``. The ``str`` contains none.
    :ivar step_up: the factor that cures the failure if the user completes it again, or empty.
    :ivar sign_in_again: the failure is cured if the user signs in again.
    """

    id: str
    reason: Any
    step_up: str = ""
    sign_in_again: bool = False

    def __str__(self) -> str:
        """Return what the session lacks, in words; no value of a claim is among them."""
        if self.sign_in_again:
            return "the user has to sign in again"
        if self.step_up:
            return f"the user has to complete the factor {self.step_up} again"
        return reason_in_words(self.id, self.reason)


class ClaimRequirements(NamedTuple):
    """The claims that a view requires; a session must meet all of them."""

    role: str | None = None
    permission: str | None = None
    email_verified: bool = False
    validators: tuple[ClaimValidator, ...] = ()

    @classmethod
    def of(
        cls,
        role: str,
        permission: str,
        email_verified: bool,
        validators: Sequence[ClaimValidator],
    ) -> ClaimRequirements:
        """Check the arguments of a decorator.

        :raises MisuseError: an argument has the wrong type.
        """
        for name, value, claim in (
            ("role", role, "UserRoleClaim"),
            ("permission", permission, "PermissionClaim"),
        ):
            if value is not UNSET and (not isinstance(value, str) or not value):
                raise MisuseError(
                    f"{name}= takes one name. For several, use "
                    f"validators=[{claim}.validators.includes_all([...])], or includes_any."
                )
        if not isinstance(email_verified, bool):
            raise MisuseError("email_verified= takes True or False.")
        if not isinstance(validators, (list, tuple)):
            raise MisuseError("validators= takes a list of SuperTokens claim validators.")
        for validator in validators:
            _check_validator(validator)
        return cls(
            None if role is UNSET else role,
            None if permission is UNSET else permission,
            email_verified,
            tuple(validators),
        )

    def failures(
        self,
        session: SSRSession,
        user_context: dict[str, Any] | None = None,
        report: Report = raise_misuse,
    ) -> list[ClaimFailure]:
        """Return every requirement that *session* does not meet.

        :param user_context: the second argument of validators; None for an empty one.
        :param report: receives each validator that fails.
        """
        if self == _NONE:
            return []
        failures: list[ClaimFailure] = []
        for claim_id, expected, actual in (
            (ROLES_CLAIM, self.role, session.roles),
            (PERMISSIONS_CLAIM, self.permission, session.permissions),
        ):
            if expected is not None and expected not in actual:
                is_present = _has_value(session, claim_id)
                failures.append(
                    _failure(
                        claim_id,
                        is_present,
                        expectedToInclude=expected,
                        actualValue=list(actual) if is_present else None,
                    )
                )
        verified = session.email_verified
        if self.email_verified and verified is not True:
            failures.append(
                _failure(
                    EMAIL_VERIFIED_CLAIM,
                    verified is not None,
                    expectedValue=True,
                    actualValue=verified,
                )
            )
        return failures + run_validators(self.validators, session, user_context or {}, report)


def run_validators(
    validators: Iterable[ClaimValidator],
    session: SSRSession,
    user_context: dict[str, Any],
    report: Report,
) -> list[ClaimFailure]:
    """Return a failure for each validator that does not accept the payload of *session*.

    :param report: receives each validator that raises, waits or returns no result.

    Fails closed: a validator that fails is a failed claim.
    """
    failures = []
    for validator in validators:
        claim_id = validator_id(validator)
        name = f"the claim validator {claim_id!r}"
        # Each validator gets a copy: its changes must not reach the next one.
        call = partial(_validate, validator, session.get_access_token_payload(), user_context)
        result = call_app_code(call, name, report)
        if result is None:
            failures.append(ClaimFailure(claim_id, UNCHECKED))
            continue
        try:
            is_valid, reason = result.is_valid is True, _reason_of(result)
        except Exception as error:  # noqa: BLE001 - the attributes may run code of the app
            problem = (
                "must return an object with is_valid and reason, like the SDK's "
                "ClaimValidationResult"
            )
            report(name, problem, error)
            is_valid, reason = False, UNCHECKED
        if not is_valid:
            failures.append(ClaimFailure(claim_id, reason))
    return failures


def _reason_of(result: Any) -> Any:
    """Return the reason in *result* if JSON can hold it."""
    reason = getattr(result, "reason", None)
    try:
        json.dumps(reason)
    except (TypeError, ValueError, RecursionError):
        return UNCHECKED
    return reason


def _check_validator(given: object) -> None:
    """Check that *given* is a validator.

    :raises MisuseError: it is not; the message says how to get one.
    """
    if hasattr(given, "validators"):
        advice = "this is a claim; use one of its validators, like Claim.validators.has_value(...)"
    elif isinstance(given, type):
        advice = "this is a class; list an instance of it"
    elif not callable(getattr(given, "validate", None)):
        advice = "this has no validate(payload, user_context); did you forget to call it?"
    else:
        return
    raise MisuseError(f"validators= takes SuperTokens claim validators, not {given!r}: {advice}")


def _failure(claim_id: str, is_present: bool, **details: Any) -> ClaimFailure:
    """Return a failure in the words of the SDK's validators."""
    message = "wrong value" if is_present else VALUE_ABSENT
    return ClaimFailure(claim_id, {"message": message, **details})


def _has_value(session: SSRSession, claim_id: str) -> bool:
    claim = session.access_token_payload.get(claim_id)
    return isinstance(claim, Mapping) and claim.get("v") is not None


def validator_id(validator: ClaimValidator) -> str:
    """Return the id of *validator*, or the name of its type."""
    try:
        return str(validator.id)
    except Exception:  # noqa: BLE001 - it has none, or a property of the app fails
        return type(validator).__name__


def _validate(
    validator: ClaimValidator, payload: dict[str, Any], user_context: dict[str, Any]
) -> Any:
    return validator.validate(payload, user_context)


_NONE = ClaimRequirements()
