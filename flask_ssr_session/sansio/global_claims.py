"""Check the claims that SuperTokens requires of every session, by the SDK's global validators.

Recipes add validators (EmailVerification in mode REQUIRED, MultiFactorAuth), and an app may
override the list. ``verify_session`` fetches a claim again before it rejects a session; a page
cannot, so the payload alone decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from ..session import SSRSession
from .app_code import Report, call_app_code
from .claim_words import UNCHECKED
from .claims import ClaimFailure, ClaimValidator, run_validators

# The SDK's function that an app may override.
OVERRIDE_NAME = "get_global_claim_validators"


class GlobalClaimSource(Protocol):
    """The global claim validators of an initialised SDK."""

    @property
    def has_mfa(self) -> bool:
        """Whether the MultiFactorAuth recipe added its validator."""
        ...

    @property
    def is_overridden(self) -> bool:
        """Whether the app overrides the list of validators."""
        ...

    def added_validators(self) -> Sequence[ClaimValidator]:
        """Return the validators of recipes and plugins, before any override."""
        ...

    def user_context(self, request: Any) -> dict[str, Any]:
        """Return the context that the SDK passes to overrides and validators for *request*."""
        ...

    def validators(self, session: SSRSession, user_context: dict[str, Any]) -> Any:
        """Return the validators for *session*, or an awaitable of them."""
        ...

    def is_timeless(self, validator: ClaimValidator) -> bool:
        """Return whether the result of *validator* depends on the payload alone."""
        ...


class GlobalClaims:
    """Checks the global claims of sessions, and remembers which sessions meet them."""

    def __init__(self, source: GlobalClaimSource) -> None:
        self.source = source
        # The claim that was not checked, and the validators that recipes and plugins had added,
        # when the session met all others. A failure is not remembered: its reason may hold as much
        # as the claim.
        self._met: WeakKeyDictionary[SSRSession, tuple[str | None, tuple[ClaimValidator, ...]]] = (
            WeakKeyDictionary()
        )

    def failures(
        self,
        session: SSRSession,
        request: Any,
        report: Report,
        *,
        skip_claim: str | None = None,
    ) -> tuple[ClaimFailure, ...]:
        """Return every global claim that *session* does not meet.

        :param request: the SDK passes it to overrides and validators.
        :param report: receives each override or validator that fails; it is a failed claim.
        :param skip_claim: the key of a claim that is not checked.
        """
        # Asking the SDK takes 20 µs and more. An override may depend on the request.
        may_remember = not self.source.is_overridden
        added = tuple(self.source.added_validators()) if may_remember else ()
        skipped, met = self._met.get(session, (None, None)) if may_remember else (None, None)
        is_same = met is not None and len(met) == len(added) and all(map(is_, met, added))
        if is_same and skipped in (None, skip_claim):
            return ()
        user_context = self.source.user_context(request)
        validators = self._validators(session, user_context, report)
        if validators is None:
            return (ClaimFailure(OVERRIDE_NAME, UNCHECKED),)
        applicable = [v for v in validators if skip_claim is None or not is_about(v, skip_claim)]
        failures = tuple(run_validators(applicable, session, user_context, report))
        if may_remember and not failures and all(map(self.source.is_timeless, applicable)):
            self._met[session] = skip_claim, added
        return failures

    def requires(self, claim_key: str, session: SSRSession, request: Any, report: Report) -> bool:
        """Return whether one of the validators for *session* checks the claim *claim_key*.

        :param request: the SDK passes it to overrides.

        Fails closed: if the app's override fails, the claim is required.
        """
        validators = self._validators(session, self.source.user_context(request), report)
        return validators is None or any(is_about(v, claim_key) for v in validators)

    def _validators(
        self, session: SSRSession, user_context: dict[str, Any], report: Report
    ) -> list[ClaimValidator] | None:
        """Return the validators for *session*, or None if the app's override fails."""
        name = f"the override of {OVERRIDE_NAME}"

        def call() -> list[ClaimValidator]:
            return self.source.validators(session, user_context)  # type: ignore[no-any-return]

        validators = call_app_code(call, name, report)
        if validators is not None and not isinstance(validators, (list, tuple)):
            report(name, "must return a list of claim validators", None)
            return None
        return None if validators is None else list(validators)


def is_about(validator: ClaimValidator, claim_key: str) -> bool:
    """Return whether *validator* checks the claim *claim_key*, even if its own id differs."""
    claim = getattr(validator, "claim", None)
    return claim_key in (getattr(validator, "id", None), getattr(claim, "key", None))
