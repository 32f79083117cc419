"""Which page cures a failed claim, and what that page does not ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs

from flask_ssr_session.sansio.claims import ClaimFailure
from flask_ssr_session.sansio.cures import Cure, CurePages

from ..tables import rows

EMAIL, MFA = ClaimFailure("st-ev", {}), ClaimFailure("st-mfa", {})
ROLE, PLAN = ClaimFailure("st-role", {}), ClaimFailure("plan", {})
TOTP = ClaimFailure("st-mfa", {}, step_up="totp")
KEY = ClaimFailure("st-mfa", {}, step_up="webauthn")

SDK = {"st-ev": "/auth/verify-email", "st-mfa": "/auth/mfa"}
PREBUILT = CurePages(SDK, "/auth/mfa")
OWN = CurePages({**SDK, "st-ev": "/confirm", "plan": "/plans?from=page"}, "/auth/mfa", "/step-up")
HOME = CurePages({"st-ev": "/"})
NONE = CurePages()


CURES: dict[str, Any] = {
    "e-mail": (PREBUILT, [EMAIL], Cure("/auth/verify-email", "email")),
    "factors": (PREBUILT, [MFA], Cure("/auth/mfa", "mfa")),
    "the first of two": (PREBUILT, [MFA, EMAIL], Cure("/auth/mfa", "mfa")),
    "a role": (PREBUILT, [ROLE], None),
    "a role and an e-mail": (PREBUILT, [EMAIL, ROLE], None),
    "nothing failed": (PREBUILT, [], None),
    "the app's page for an e-mail keeps the call": (OWN, [EMAIL], Cure("/confirm", "email")),
    "the app's page for its own claim": (OWN, [PLAN], Cure("/plans?from=page")),
    "a factor again": (PREBUILT, [TOTP], Cure("/auth/mfa/totp?stepUp=true")),
    "a factor that the prebuilt UI does not ask for again": (PREBUILT, [KEY], None),
    "the app's page for any factor": (OWN, [KEY], Cure("/step-up?factor=webauthn")),
    "the app's page before the prebuilt one": (OWN, [TOTP], Cure("/step-up?factor=totp")),
    "no SDK": (NONE, [EMAIL], None),
    "no SDK, a factor again": (NONE, [TOTP], None),
}


@rows("pages, failures, cure", CURES)
def test_failed_claims_lead_to_a_page_if_all_of_them_have_one(
    pages: CurePages, failures: Sequence[ClaimFailure], cure: Cure | None
) -> None:
    assert pages.cure(failures) == cure


CURED: dict[str, Any] = {
    "its page": (PREBUILT, EMAIL, "/auth/verify-email", True),
    "its page with a slash": (PREBUILT, EMAIL, "/auth/verify-email/", True),
    "the page of one factor": (PREBUILT, MFA, "/auth/mfa/totp", True),
    "below its page": (PREBUILT, EMAIL, "/auth/verify-email/invoices", False),
    "below the page of all factors": (PREBUILT, MFA, "/auth/mfa/invoices", False),
    "below the page of one factor": (PREBUILT, MFA, "/auth/mfa/totp/x", False),
    "up from the page of one factor": (PREBUILT, MFA, "/auth/mfa/totp/../../../x", False),
    "two slashes": (PREBUILT, MFA, "/auth//mfa", False),
    "two slashes at the end": (PREBUILT, MFA, "/auth/mfa//", False),
    "capital letters": (PREBUILT, MFA, "/auth/MFA", False),
    "the home page": (HOME, EMAIL, "/", True),
    "every page below the home page": (HOME, EMAIL, "/account", False),
    "a longer name": (PREBUILT, MFA, "/auth/mfas", False),
    "above its page": (PREBUILT, MFA, "/auth", False),
    "another page": (PREBUILT, EMAIL, "/account", False),
    "the page of another claim": (PREBUILT, EMAIL, "/auth/mfa", False),
    "a claim without a page": (PREBUILT, ROLE, "/auth/mfa", False),
    "a factor again, at its page": (PREBUILT, TOTP, "/auth/mfa/totp", True),
    "a factor again, at the app's page": (OWN, TOTP, "/step-up", True),
    "all factors, at the app's page for one": (OWN, MFA, "/step-up", False),
    "the app's page": (OWN, EMAIL, "/confirm", True),
    "the page that the app replaced": (OWN, EMAIL, "/auth/verify-email", False),
    "a page with its query": (OWN, PLAN, "/plans?a&from=page", True),
    "a page without its query": (OWN, PLAN, "/plans", False),
    "a page with another query": (OWN, PLAN, "/plans?from=mail", False),
    "a page with two values": (OWN, PLAN, "/plans?from=page&from=mail", False),
    "the page for any factor with its query": (OWN, KEY, "/step-up?factor=webauthn", True),
    "no SDK": (NONE, MFA, "/auth/mfa", False),
}


@rows("pages, failure, path, is_cured", CURED)
def test_page_does_not_ask_for_its_own_cure(
    pages: CurePages, failure: ClaimFailure, path: str, is_cured: bool
) -> None:
    path, _, query = path.partition("?")
    values = parse_qs(query, keep_blank_values=True)
    assert pages.is_cured_at(failure, path, values) is is_cured
