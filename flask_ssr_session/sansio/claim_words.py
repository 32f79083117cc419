"""Say in words why a claim failed, without any value of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from .builtin_claims import EMAIL_VERIFIED_CLAIM, MFA_CLAIM, PERMISSIONS_CLAIM, ROLES_CLAIM

# The message of the SDK's validators if the token lacks their claim.
VALUE_ABSENT: Final = "value does not exist"

# The reason if a validator gives none.
UNCHECKED: Final = {"message": "this claim could not be checked"}

_IN_WORDS = {
    ROLES_CLAIM: "the roles of the user do not meet the requirement",
    PERMISSIONS_CLAIM: "the permissions of the user do not meet the requirement",
    EMAIL_VERIFIED_CLAIM: "the e-mail address of the user is not verified",
    MFA_CLAIM: "the user has not completed all required factors",
}


def reason_in_words(claim_id: str, reason: Any) -> str:
    """Return why the claim named *claim_id* failed.

    :param reason: as a validator gave it; only whether the token has the claim is read from it.
    """
    if reason == UNCHECKED:
        return f"the claim {claim_id} could not be checked"
    words = _IN_WORDS.get(claim_id, f"the claim {claim_id} does not meet the requirement")
    is_absent = isinstance(reason, Mapping) and reason.get("message") == VALUE_ABSENT
    return f"{words} (the token has no claim {claim_id})" if is_absent else words
