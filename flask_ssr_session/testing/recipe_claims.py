"""The claims of SuperTokens' recipes, from the keywords of the testing kit."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import MisuseError
from ..sansio.builtin_claims import EMAIL_VERIFIED_CLAIM, MFA_CLAIM, PERMISSIONS_CLAIM, ROLES_CLAIM

# Names that would become claims which nothing reads, and the keyword meant.
_MISSPELT = {"role": "roles", "permission": "permissions", "factor": "factors"}


def recipe_claims(
    now: int,
    payload: Mapping[str, Any],
    *,
    roles: Sequence[str] | None = None,
    permissions: Sequence[str] | None = None,
    email_verified: bool | None = None,
    mfa_complete: bool | None = None,
    factors: Mapping[str, float] | Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return *payload* and the claims that the recipes write; None leaves a claim out.

    :param now: when the recipes write them, seconds since the epoch.
    :param payload: more claims, or other values for these.
    :raises MisuseError: a claim has the wrong name or type.
    """
    for name, names in (("roles", roles), ("permissions", permissions)):
        if names is not None and not _is_list(names):
            raise MisuseError(f"{name}= takes a list of names.")
    for name, switch in (("email_verified", email_verified), ("mfa_complete", mfa_complete)):
        if switch is not None and not isinstance(switch, bool):
            raise MisuseError(f"{name}= takes True, False or None.")
    for name in _MISSPELT:
        if name in payload:
            raise MisuseError(f"{name}= is not a SuperTokens claim: use {_MISSPELT[name]}=.")
    claims: dict[str, Any] = {
        key: {"v": value, "t": now * 1000}
        for key, value in (
            (ROLES_CLAIM, None if roles is None else list(roles)),
            (PERMISSIONS_CLAIM, None if permissions is None else list(permissions)),
            (EMAIL_VERIFIED_CLAIM, email_verified),
        )
        if value is not None
    }
    if factors is not None or mfa_complete is not None:
        ages = _factor_ages(("emailpassword",) if factors is None else factors)
        completed = {name: int(now - age) for name, age in ages.items()}
        claims[MFA_CLAIM] = {"c": completed, "v": mfa_complete is not False}
    return {**claims, **payload}


def check_age(name: str, seconds: object) -> None:
    """Check how long ago something was.

    :param name: the keyword to name in the error.
    :raises MisuseError: *seconds* is not a number of at least 0.
    """
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, (int, float))
        or not 0 <= seconds < math.inf
    ):
        raise MisuseError(f"{name} takes a number of seconds, 0 or more.")


def _factor_ages(factors: Mapping[str, float] | Sequence[str]) -> Mapping[str, float]:
    """Return how many seconds ago each factor was completed."""
    if not _is_list(factors):
        raise MisuseError("factors= takes a list of names, or a mapping to seconds.")
    ages = factors if isinstance(factors, Mapping) else dict.fromkeys(factors, 0)
    for name, seconds in ages.items():
        check_age(f"factors={{{name!r}: …}}", seconds)
    return ages


def _is_list(names: object) -> bool:
    return isinstance(names, Iterable) and not isinstance(names, (str, bytes))
