"""The names of the claims that SuperTokens' recipes write, in the payload of an access token."""

from __future__ import annotations

ROLES_CLAIM = "st-role"
PERMISSIONS_CLAIM = "st-perm"
EMAIL_VERIFIED_CLAIM = "st-ev"
# {"c": {factor: seconds since the epoch}, "v": whether all factors are complete}
MFA_CLAIM = "st-mfa"

# The id of the recipe that writes each claim; it writes the claim even for an empty value.
CLAIM_RECIPES = {
    ROLES_CLAIM: "userroles",
    PERMISSIONS_CLAIM: "userroles",
    EMAIL_VERIFIED_CLAIM: "emailverification",
    MFA_CLAIM: "multifactorauth",
}
