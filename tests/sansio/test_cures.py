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
OWN = CurePages({**SDK, "st-ev": "/confirm", "plan": "/plans?from=page#a"}, "/auth/mfa", "/step-up")
HOME = CurePages({"st-ev": "/"})
CLIMBING = "/auth/mfa/totp/../../../x"
NONE = CurePages()

CURES: dict[str, Any] = {
    "e-mail": (PREBUILT, [EMAIL], Cure("/auth/verify-email", "email")),
    "factors": (PREBUILT, [MFA], Cure("/auth/mfa", "mfa")),
    "the first of two": (PREBUILT, [MFA, EMAIL], Cure("/auth/mfa", "mfa")),
    "a role": (PREBUILT, [ROLE], None),
    "a role and an e-mail": (PREBUILT, [EMAIL, ROLE], None),
    "nothing failed": (PREBUILT, [], None),
    "the app's page for an e-mail keeps the call": (OWN, [EMAIL], Cure("/confirm", "email")),
    "the app's page for its own claim": (OWN, [PLAN], Cure("/plans?from=page#a")),
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


def test_page_without_a_path_is_left_out() -> None:
    located = CurePages({"a": "/a", "b": "b", "c": "c"}).located({"b": "/b"}.get)
    assert located.pages == {"a": "/a", "b": "/b"}


# Where a failure counts as cured, and where it does not.
CURED: dict[str, tuple[CurePages, ClaimFailure, str, str]] = {
    "an address": (
        *(PREBUILT, EMAIL, "/auth/verify-email /auth/verify-email/"),
        "/auth/verify-email/invoices /account /auth/mfa",
    ),
    "factors": (PREBUILT, MFA, "", "/auth/mfa/invoices /auth//mfa /auth/mfa// /auth/MFA /auth"),
    "one factor": (PREBUILT, MFA, "/auth/mfa/totp", f"/auth/mfas /auth/mfa/totp/x {CLIMBING}"),
    "a claim without a page": (PREBUILT, ROLE, "", "/auth/mfa /auth/mfa/totp"),
    "a factor again": (PREBUILT, TOTP, "/auth/mfa/totp", ""),
    "an address, at the home page": (HOME, EMAIL, "/", "/account"),
    "an address, at the app's page": (OWN, EMAIL, "/confirm", "/auth/verify-email"),
    "factors, at the app's page for one": (OWN, MFA, "", "/step-up"),
    "a factor again, at the app's page": (OWN, TOTP, "/step-up", ""),
    "another factor, at the app's page": (OWN, KEY, "/step-up?factor=webauthn", ""),
    "a page with a query": (
        *(OWN, PLAN, "/plans?a&from=page"),
        "/plans /plans?from=mail /plans?from=page&from=mail",
    ),
    "no SDK": (NONE, MFA, "", "/auth/mfa"),
}


@rows("pages, failure, cured, others", CURED)
def test_page_does_not_ask_for_its_own_cure(
    pages: CurePages, failure: ClaimFailure, cured: str, others: str
) -> None:
    for url in [*cured.split(), *others.split()]:
        path, _, query = url.partition("?")
        values = parse_qs(query, keep_blank_values=True)
        assert pages.is_cured_at(failure, path, values) is (url in cured.split()), url
