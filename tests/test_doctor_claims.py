"""The doctor's checks of the claims that pages require."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flask_ssr_session.doctor.check_claims import (
    check_claims,
    check_mfa,
    check_pending,
    check_session_guards,
)
from flask_ssr_session.doctor.claim_setup import ClaimSetup
from flask_ssr_session.doctor.finding import Finding

from .doctor_factories import findings_of, given, make_environment

FAULTLESS = ClaimSetup(added=("st-ev", "st-mfa"), factor_url="/auth/mfa")


def of_claims(**changes: Any) -> list[Finding]:
    environment = given(make_environment(), claims=replace(FAULTLESS, **changes))
    return findings_of(environment, check_claims, check_session_guards, check_pending, check_mfa)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, ["ok claims"], id="no fault"),
        pytest.param({"added": None}, ["ok claims"], id="no SDK"),
        pytest.param({"added": ()}, ["ok claims"], id="no recipe that requires claims"),
        pytest.param({"pages_require_them": False}, ["warning claims"], id="switched off"),
        pytest.param(
            {"pages_require_them": False, "added": ()}, ["ok claims"], id="off, no recipe"
        ),
        pytest.param({"broken": ("the override waits",)}, ["warning claims"], id="broken"),
        pytest.param({"waived": ("welcome",)}, ["ok claims"], id="excused view"),
        pytest.param({"pending": ("code",)}, ["ok claims", "ok pending"], id="admits pending"),
        pytest.param({"has_factor_view": False}, ["ok claims", "warning mfa"], id="no factor view"),
        pytest.param(
            {"is_factor_view_closed": True}, ["ok claims", "problem mfa"], id="closed factor view"
        ),
        pytest.param(
            {"is_factor_view_closed": True, "added": ("st-ev",)}, ["ok claims"], id="but no MFA"
        ),
        pytest.param(
            {"has_factor_view": False, "added": ("st-ev",)}, ["ok claims"], id="no MFA recipe"
        ),
        pytest.param(
            {"guarded_by_session": ("page.html",)},
            ["ok claims", "warning session_guards"],
            id="template decides by g.session",
        ),
        pytest.param(
            {"guarded_by_session": ("page.html",), "added": ()},
            ["ok claims"],
            id="template decides by g.session, no recipe",
        ),
    ],
)
def test_findings(changes: dict[str, Any], expected: list[str]) -> None:
    findings = of_claims(**changes)
    assert [f"{finding.level.value} {finding.check}" for finding in findings] == expected
    assert all(bool(finding.advice) == (finding.level.value != "ok") for finding in findings)


def test_names_are_listed_and_cut() -> None:
    views = tuple(f"view{number}" for number in range(8))
    (finding, _) = of_claims(waived=views, pending=views)
    assert finding.message.endswith("except on view0, view1, view2, view3, view4 and 3 more")
