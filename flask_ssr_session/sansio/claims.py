"""Ask a verified session for claims. The token's payload alone decides: nothing is fetched.

A failed claim is no reason to refresh: the session is good, its user just may not do this.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from ..errors import MisuseError
from ..session import SSRSession
from .app_code import Report, call_app_code, raise_misuse


class _Default(Enum):
    UNSET = "not asked"

    def __repr__(self) -> str:
        return self.value


# Not None: role=app.config.get("ADMIN_ROLE") must not ask for nothing where the key is missing.
UNSET: Final[Any] = _Default.UNSET


# What SuperTokens' MultiFactorAuth recipe writes: {"c": {factor: seconds}, "v": bool}.
MFA_CLAIM = "st-mfa"


class ClaimValidator(Protocol):
    """What this package needs of a validator such as ``UserRoleClaim.validators.includes("x")``.

    The SDK's ``should_refetch`` is never asked, as a page changes no token.
    """

    id: str

    def validate(self, payload: dict[str, Any], user_context: dict[str, Any]) -> Any:
        """Return, or return an awaitable of, an object with ``is_valid`` and ``reason``."""
        ...


class ClaimFailure(NamedTuple):
    """One claim that a session does not have.

    :ivar id: the validator's id; ``st-role``, ``st-perm`` and ``st-ev`` for our own conditions.
    :ivar reason: why, as the SDK words it for the browser; it may hold values of the claim.
    """

    id: str
    reason: Any


# In place of the reason that a validator would have given.
UNCHECKED: Final = {"message": "this claim could not be checked"}


class ClaimRequirements(NamedTuple):
    """What a view asks of a session beside being signed in; all of it has to hold."""

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
        """Check what was written at a view.

        :raises MisuseError: a condition that would not ask what it seems to.
        """
        for name, value, claim in (
            ("role", role, "UserRoleClaim"),
            ("permission", permission, "PermissionClaim"),
        ):
            if value is not UNSET and (not isinstance(value, str) or not value):
                raise MisuseError(
                    f"{name}= takes one name. For several, say whether all or any of them: "
                    f"validators=[{claim}.validators.includes_all([...])] or includes_any."
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
        """Return every condition that *session* does not meet; empty where it meets all.

        :param user_context: what validators get beside the payload; None for nothing.
        :param report: is told of each validator that cannot be asked.
        """
        if self == _NONE:
            return []
        failures = [
            ClaimFailure(
                claim_id,
                {
                    "message": "wrong value" if is_there else "value does not exist",
                    "expectedToInclude": expected,
                    "actualValue": list(actual) if is_there else None,
                },
            )
            for claim_id, expected, actual in (
                ("st-role", self.role, session.roles),
                ("st-perm", self.permission, session.permissions),
            )
            if expected is not None and expected not in actual
            for is_there in (_has_value(session, claim_id),)
        ]
        if self.email_verified and session.email_verified is not True:
            failures.append(
                ClaimFailure(
                    "st-ev",
                    {
                        "message": "value does not exist"
                        if session.email_verified is None
                        else "wrong value",
                        "expectedValue": True,
                        "actualValue": session.email_verified,
                    },
                )
            )
        return failures + ask_validators(self.validators, session, user_context or {}, report)


def ask_validators(
    validators: Iterable[ClaimValidator],
    session: SSRSession,
    user_context: dict[str, Any],
    report: Report,
) -> list[ClaimFailure]:
    """Return a failure for each validator that does not accept the payload of *session*.

    :param report: is told of each validator that waits, raises or returns no result.

    Fails closed: a claim that could not be checked is a failed claim.
    """
    failures = []
    for validator in validators:
        claim_id = _id_of(validator)
        name = f"the claim validator {claim_id!r}"
        # A copy for each: what one does to it must not reach the next one.
        ask = partial(_validate, validator, session.get_access_token_payload(), user_context)
        result = call_app_code(ask, name, report)
        if result is None:
            failures.append(ClaimFailure(claim_id, UNCHECKED))
            continue
        try:
            is_valid, reason = result.is_valid is True, _sendable(result)
        except Exception as error:  # noqa: BLE001 - attributes of the app's may run its code
            problem = (
                "has to return an object with is_valid and reason, as the SDK's "
                "ClaimValidationResult."
            )
            report(name, problem, error)
            is_valid, reason = False, UNCHECKED
        if not is_valid:
            failures.append(ClaimFailure(claim_id, reason))
    return failures


def _sendable(result: Any) -> Any:
    """Return the reason in *result*, where a script can be told it."""
    reason = getattr(result, "reason", None)
    try:
        json.dumps(reason)
    except (TypeError, ValueError, RecursionError):
        return UNCHECKED
    return reason


def _check_validator(given: object) -> None:
    """Say which of the things that stand beside a validator was given in its place.

    :raises MisuseError: it cannot be asked about a payload.
    """
    if hasattr(given, "validators"):
        advice = (
            "that is a claim: name one of its validators, as in Claim.validators.has_value(...)"
        )
    elif isinstance(given, type):
        advice = "that is a class: list an instance of it"
    elif not callable(getattr(given, "validate", None)):
        advice = "that has no validate(payload, user_context); was it to be called?"
    else:
        return
    raise MisuseError(f"validators= takes SuperTokens claim validators, not {given!r}: {advice}")


def _has_value(session: SSRSession, claim_id: str) -> bool:
    claim = session.access_token_payload.get(claim_id)
    return isinstance(claim, Mapping) and claim.get("v") is not None


def _id_of(validator: ClaimValidator) -> str:
    try:
        return str(validator.id)
    except Exception:  # noqa: BLE001 - it has none, or one that runs code of the app's
        return type(validator).__name__


def _validate(
    validator: ClaimValidator, payload: dict[str, Any], user_context: dict[str, Any]
) -> Any:
    return validator.validate(payload, user_context)


_NONE = ClaimRequirements()
