"""What the doctor makes of the claims that pages ask."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flask_ssr_session.doctor.check_claims import check_claims
from flask_ssr_session.doctor.claim_setup import ClaimSetup

FAULTLESS = ClaimSetup(added=("st-ev", "st-mfa"), factor_url="/auth/mfa")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({}, ["ok claims"], id="no fault"),
        pytest.param({"added": None}, ["ok claims"], id="no SDK"),
        pytest.param({"added": ()}, ["ok claims"], id="no recipe that asks"),
        pytest.param({"is_asked": False}, ["warning claims"], id="switched off"),
        pytest.param({"is_asked": False, "added": ()}, ["ok claims"], id="switched off, no recipe"),
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
    findings = list(check_claims(replace(FAULTLESS, **changes)))
    assert [f"{finding.level.value} {finding.check}" for finding in findings] == expected
    assert all(bool(finding.advice) == (finding.level.value != "ok") for finding in findings)


def test_names_are_listed_and_cut() -> None:
    views = tuple(f"view{number}" for number in range(8))
    (finding, _) = check_claims(replace(FAULTLESS, waived=views, pending=views))
    assert finding.message.endswith("but for view0, view1, view2, view3, view4 and 3 more")
