"""Ask what SuperTokens asks of every session: the SDK's global claim validators.

Recipes add them (EmailVerification in mode REQUIRED, MultiFactorAuth), an app may override the
list. ``verify_session`` fetches a claim again before it refuses; a page cannot, so it asks the
payload alone. Knows no framework and no SDK.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from ..session import SSRSession
from .app_code import Report, call_app_code
from .claims import UNCHECKED, ClaimFailure, ClaimValidator, ask_validators

# The SDK's name for the function that an app overrides.
OVERRIDE_NAME = "get_global_claim_validators"


class GlobalClaimSource(Protocol):
    """What an initialised SDK knows of global claims."""

    @property
    def has_mfa(self) -> bool:
        """Whether the MultiFactorAuth recipe added its validator."""
        ...

    @property
    def is_overridden(self) -> bool:
        """Whether the app overrides the list of validators."""
        ...

    def added_validators(self) -> Sequence[ClaimValidator]:
        """Return what recipes and plugins added, before any override."""
        ...

    def user_context(self, request: Any) -> dict[str, Any]:
        """Return what the SDK hands to overrides and validators during *request*."""
        ...

    def validators(self, session: SSRSession, user_context: dict[str, Any]) -> Any:
        """Return, or return an awaitable of, the validators for *session*."""
        ...

    def is_timeless(self, validator: ClaimValidator) -> bool:
        """Return whether *validator* says the same of one payload at any time."""
        ...


class GlobalClaims:
    """Asks sessions for the global claims, and remembers what a token was told."""

    def __init__(self, source: GlobalClaimSource) -> None:
        self.source = source
        self._remembered: WeakKeyDictionary[
            SSRSession, tuple[tuple[ClaimValidator, ...], tuple[ClaimFailure, ...]]
        ] = WeakKeyDictionary()

    def failures(
        self,
        session: SSRSession,
        user_context: dict[str, Any],
        report: Report,
        *,
        except_for: str | None = None,
    ) -> tuple[ClaimFailure, ...]:
        """Return every global claim that *session* does not meet.

        :param report: is told of an override or a validator that cannot be asked; either is a
            failed claim.
        :param except_for: the key of a claim that is not asked.
        """
        validators = self._validators(session, user_context, report)
        if validators is None:
            return (ClaimFailure(OVERRIDE_NAME, UNCHECKED),)
        asked = tuple(v for v in validators if except_for is None or not is_about(v, except_for))
        if not asked:
            return ()
        remembered = self._remembered.get(session)
        if remembered is not None and list(map(id, remembered[0])) == list(map(id, asked)):
            return remembered[1]
        broken: list[str] = []

        def note(name: str, problem: str, error: BaseException | None) -> None:
            broken.append(name)
            report(name, problem, error)

        failures = tuple(ask_validators(asked, session, user_context, note))
        # What an override says may depend on the request, and a broken validator may recover.
        if (
            not broken
            and not self.source.is_overridden
            and all(map(self.source.is_timeless, asked))
        ):
            self._remembered[session] = (asked, failures)
        return failures

    def asks(
        self, claim_key: str, session: SSRSession, user_context: dict[str, Any], report: Report
    ) -> bool:
        """Return whether a validator of *claim_key* is among those for *session*.

        Fails closed: where an override cannot be asked, it is taken for one that drops nothing.
        """
        validators = self._validators(session, user_context, report)
        return validators is None or any(is_about(v, claim_key) for v in validators)

    def _validators(
        self, session: SSRSession, user_context: dict[str, Any], report: Report
    ) -> list[ClaimValidator] | None:
        """Return the validators for *session*, or None where the app's override fails."""
        name = f"the override of {OVERRIDE_NAME}"

        def ask() -> list[ClaimValidator]:
            return self.source.validators(session, user_context)  # type: ignore[no-any-return]

        validators = call_app_code(ask, name, report)
        if validators is not None and not isinstance(validators, (list, tuple)):
            report(name, "has to return a list of claim validators", None)
            return None
        return None if validators is None else list(validators)


def is_about(validator: ClaimValidator, claim_key: str) -> bool:
    """Return whether *validator* checks the claim *claim_key*, also under an id of its own."""
    claim = getattr(validator, "claim", None)
    return claim_key in (getattr(validator, "id", None), getattr(claim, "key", None))
