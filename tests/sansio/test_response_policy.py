"""The response that replaces content: by state, kind of request and method, and its plan."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from flask_ssr_session.sansio import response_policy as policy
from flask_ssr_session.sansio.claims import ClaimFailure
from flask_ssr_session.sansio.cures import CurePages
from flask_ssr_session.sansio.policy_values import PolicyOptions, RequestFacts
from flask_ssr_session.sansio.states import Reason, RequestKind, ResponseKind, SessionState
from flask_ssr_session.sansio.verdict import Verdict
from tests.tables import rows

FAILURES = (ClaimFailure("st-role", None),)
FACTS = RequestFacts(RequestKind.DOCUMENT, True, "/account?q", "/account", "/refresh-session")
CURES = CurePages({"st-mfa": "/auth/mfa"})
OPTIONS = PolicyOptions("/auth", cures=CURES, checks_revoked=True)

REQUESTS: dict[str, dict[str, Any]] = {
    "page": {"kind": RequestKind.DOCUMENT, "is_safe": True},
    "form": {"kind": RequestKind.DOCUMENT, "is_safe": False},
    "prefetch": {"kind": RequestKind.PREFETCH, "is_safe": True},
    "fetch": {"kind": RequestKind.SCRIPT, "is_safe": True},
    "posting fetch": {"kind": RequestKind.SCRIPT, "is_safe": False},
}
SETTINGS = {
    "inline": OPTIONS,
    "redirect": OPTIONS._replace(redirects=True),
    "strangers refresh": OPTIONS._replace(always_try_refresh=True),
    "strangers refresh by redirect": OPTIONS._replace(always_try_refresh=True, redirects=True),
}
OUTAGES = ("keys_unavailable", "clock", "core_unavailable", "revocation_unknown", "internal")
REFRESHES = ("expired", "invalid", "duplicate", "revoked", "token_missing")
REFRESHED = "refresh_page refresh_page not_now try_refresh try_refresh"
REDIRECTED = "refresh_redirect refresh_page not_now try_refresh try_refresh"
MATRIX = {
    "active": "pass pass pass pass pass",
    "mfa_pending": "repair_page repair_page not_now claims_missing claims_missing",
    **dict.fromkeys(REFRESHES, REFRESHED),
    "revoked_by_app": "refresh_page refresh_page not_now revoked revoked",
    "anonymous": "sign_in_redirect sign_in_page not_now unauthorised unauthorised",
    **dict.fromkeys(OUTAGES, "outage_page outage_page not_now outage outage"),
    "cross_site": "refused_page refused_page refused refused refused",
}
# A claim can be missing in two states; elsewhere there is no session to check.
LACKING = "claims_error claims_error not_now claims_missing claims_missing"
REDIRECTS = dict.fromkeys(REFRESHES, REDIRECTED)
CHANGES = {
    "inline": {},
    "redirect": REDIRECTS,
    "strangers refresh": {"anonymous": REFRESHED},
    "strangers refresh by redirect": REDIRECTS | {"anonymous": REDIRECTED},
}
PAGES = dict.fromkeys(OUTAGES, "outage_page") | {
    "mfa_pending": "repair_page",
    "anonymous": "sign_in_page",
    "cross_site": "refused_page",
}


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("reason", MATRIX)
def test_response_where_a_session_is_needed(reason: str, setting: str) -> None:
    expected = CHANGES[setting].get(reason, MATRIX[reason]).split()
    page, verdict = PAGES.get(reason, "refresh_page"), Verdict(Reason(reason))
    if reason == "anonymous" and setting.startswith("strangers refresh"):
        page = "refresh_page"
    for (name, request), kind in zip(REQUESTS.items(), expected, strict=True):
        facts = FACTS._replace(**request)
        plan = policy.plan_response(verdict, facts, SETTINGS[setting])
        assert (plan.kind.value, plan.page.value) == (kind, page), name
        if reason in ("active", "mfa_pending"):
            lacking = policy.plan_response(verdict, facts, SETTINGS[setting], failures=FAILURES)
            assert lacking.kind.value == LACKING.split()[list(REQUESTS).index(name)], name
            assert lacking.failures == FAILURES, name
    assert set(MATRIX) == {each.value for each in Reason}


SCRIPT: dict[str, Any] = {"kind": RequestKind.SCRIPT}
HTMX: dict[str, Any] = SCRIPT | {"htmx_return_path": "/list?p=2"}
AT_FACTORS: dict[str, Any] = {"htmx_return_path": "/auth/%6Dfa/?a"}
FORM: dict[str, Any] = {"is_safe": False}
AT_SIGN_IN: dict[str, Any] = {"is_sign_in": True}
CLOSED: dict[str, Any] = {"is_sign_in": True, "sign_in_is_closed": True}
REDIRECT: dict[str, Any] = {"redirects": True}
UNCHECKED: dict[str, Any] = REDIRECT | {"checks_revoked": False}
ALWAYS: dict[str, Any] = {"always_try_refresh": True}
NO_FACTOR: dict[str, Any] = {"cures": CurePages()}
NEXT: dict[str, Any] = {"login_return_param": "next"}
SOFT: dict[str, Any] = {"optional": True}
SOFT_VIEW: dict[str, Any] = {"optional": True, "optional_view": True}
LACKS: dict[str, Any] = {"failures": FAILURES}

REFRESH, MFA = "/refresh-session?redirectBack=/account", "/auth/mfa?redirectToPath=/account"
HERE = "/account?q&continueSignedOut=1"
HELD: dict[str, dict[str, Any]] = {
    ">refresh": {"location": REFRESH},
    ">refresh-optional": {"location": f"{REFRESH}&optional=1"},
    ">sign-in": {"location": "/auth?redirectToPath=/account"},
    ">list-refresh": {"location": "/refresh-session?redirectBack=/list%3Fp%3D2"},
    ">list-sign-in": {"location": "/auth?redirectToPath=/list%3Fp%3D2"},
    ">list-mfa": {"location": "/auth/mfa?redirectToPath=/list%3Fp%3D2"},
    ">home-mfa": {"location": "/auth/mfa?redirectToPath=/"},
    "auto": {"auto_redirect": True},
    "factor": {"cure_url": MFA, "cure_call": "mfa"},
    "goes-on": {"continue_url": "/account?continueSignedOut=1", "continues_signed_out": True},
    "to-itself": {"sign_in_url": HERE, "continue_url": HERE},
    "next": {"location": "/auth?next=/account", "sign_in_url": "/auth?next=/account"},
    "closed": {"sign_in_is_closed": True},
}

PLANS: dict[str, Any] = {
    "an expired page is refreshed in place": ("expired", {}, ""),
    "or by a redirect": ("expired", REDIRECT, ">refresh"),
    "a form is never redirected": ("expired", REDIRECT | FORM, ""),
    "a script is never redirected": ("expired", REDIRECT | SCRIPT, ""),
    "revocation that the refresh page sees": ("revoked", REDIRECT, ">refresh"),
    "revocation that only the view has checked": ("revoked", UNCHECKED, ""),
    "revocation by the app, whatever is checked": ("revoked_by_app", REDIRECT, ""),
    "another reason, whatever is checked": ("expired", UNCHECKED, ">refresh"),
    "an optional part": ("expired", REDIRECT | SOFT, ">refresh goes-on"),
    "an optional view": ("expired", REDIRECT | SOFT_VIEW, ">refresh-optional goes-on"),
    "a stranger's page": ("anonymous", {}, ">sign-in auto"),
    "a stranger's form stays where it is": ("anonymous", FORM, ""),
    "a template shown to a stranger's script": ("anonymous", SCRIPT, "auto"),
    "a stranger who refreshes first": ("anonymous", ALWAYS, ""),
    "a stranger on an optional part": ("anonymous", SOFT, ">sign-in auto goes-on"),
    "an error page at sign-in only leads on": ("anonymous", AT_SIGN_IN, ">sign-in"),
    "and does not refresh": ("anonymous", ALWAYS | AT_SIGN_IN, ">sign-in"),
    "a sign-in page that needs a session": ("anonymous", CLOSED, "closed"),
    "the same by a full URL": ("anonymous", ALWAYS | {"sign_in_is_closed": True}, "closed"),
    "it is closed to strangers only": ("expired", CLOSED, ""),
    "an optional sign-in page leads to itself": ("expired", SOFT | AT_SIGN_IN, "to-itself"),
    "a page that needs a factor": ("mfa_pending", {}, "factor"),
    "a form that needs a factor stays": ("mfa_pending", FORM, "factor"),
    "a script that needs a factor": ("mfa_pending", SCRIPT, "factor"),
    "a factor whose page is unknown": ("mfa_pending", NO_FACTOR, ""),
    "htmx, expired": ("expired", HTMX, ">list-refresh"),
    "htmx, stranger": ("anonymous", HTMX, ">list-sign-in auto"),
    "htmx, stranger who refreshes first": ("anonymous", ALWAYS | HTMX, ">list-refresh"),
    "htmx, pending": ("mfa_pending", HTMX, ">list-mfa factor"),
    "htmx, pending, at that page": ("mfa_pending", HTMX | AT_FACTORS, ">home-mfa factor"),
    "htmx, pending, page unknown": ("mfa_pending", HTMX | NO_FACTOR, ""),
    "htmx in an outage stays": ("clock", HTMX, ""),
    "htmx that lacks a claim stays": ("active", HTMX | LACKS, ""),
    "htmx of another site stays": ("cross_site", HTMX, ""),
    "sign-in may have another parameter": ("anonymous", NEXT, "next auto"),
}


@rows("reason, edits, expected", PLANS)
def test_plan_holds(reason: str, edits: dict[str, Any], expected: str) -> None:
    def edits_of(*names: str) -> dict[str, Any]:
        return {name: value for name, value in edits.items() if name in names}

    facts = FACTS._replace(**edits_of(*RequestFacts._fields))
    options = OPTIONS._replace(**edits_of(*PolicyOptions._fields))
    arguments = edits_of("optional", "optional_view", "failures")
    plan = policy.plan_response(Verdict(Reason(reason)), facts, options, **arguments)
    held: dict[str, Any] = {"target": "/account", "sign_in_url": "/auth?redirectToPath=/account"}
    for word in expected.split():
        held |= HELD[word]
    skipped = ("kind", "page", "failures")
    values = {name: value for name, value in vars(plan).items() if name not in skipped}
    assert {name: value for name, value in values.items() if value} == held


@rows("optional, url", {"required": (False, ""), "optional": (True, "/news?continueSignedOut=1")})
def test_refresh_page_refreshes_whatever_the_verdict_is(optional: bool, url: str) -> None:
    plan = policy.plan_refresh_page("/news", OPTIONS, optional=optional)
    refresh = ResponseKind.REFRESH_PAGE
    expected = {"kind": refresh, "page": refresh, "target": "/news", "continue_url": url}
    expected |= {"sign_in_url": "/auth?redirectToPath=/news", "continues_signed_out": optional}
    assert vars(plan) == expected


@rows("chars, kind", {"4,000": (4000, "refresh_redirect"), "4,001": (4001, "refresh_page")})
def test_redirect_that_no_server_would_read_is_not_sent(chars: int, kind: str) -> None:
    path = "/" + "a" * (chars - len("/refresh-session?redirectBack=/"))
    options = OPTIONS._replace(redirects=True)
    plan = policy.plan_response(Verdict(Reason.EXPIRED), FACTS._replace(return_path=path), options)
    assert plan.kind.value == kind


def test_return_path_that_no_server_would_read_is_dropped() -> None:
    path = "/" + "a" * 4000
    facts = FACTS._replace(return_path=path, kind=RequestKind.SCRIPT, htmx_return_path=path)
    ways = {"expired": "/refresh-session", "anonymous": "/auth", "mfa_pending": "/auth/mfa"}
    for reason, location in ways.items():
        plan = policy.plan_response(Verdict(Reason(reason)), facts, OPTIONS)
        assert (plan.location, plan.sign_in_url) == (location, "/auth"), reason
    assert plan.cure_url == "/auth/mfa"


def test_optional_view_asks_only_an_expired_session_to_refresh() -> None:
    for state, optional, goes_on in itertools.product(SessionState, (True, False), (True, False)):
        admitted = policy.is_admitted_without_session(
            state, optional=optional, continues_signed_out=goes_on
        )
        assert admitted is (optional and (goes_on or state is not SessionState.REFRESH)), state


STATUSES = {"outage_page": (503, 503)} | dict.fromkeys(
    ("refused_page", "repair_page", "sign_in_again_page", "claims_page"), (403, 403)
)


def test_every_kind_is_a_page_asks_for_a_refresh_or_leads_to_sign_in_as_its_name_says() -> None:
    for kind in ResponseKind:
        name = kind.value
        refreshes = name in ("refresh_page", "refresh_redirect", "try_refresh")
        signs_in = name in ("refresh_page", "refresh_redirect", "sign_in_page", "sign_in_redirect")
        assert policy.is_page(kind) is name.endswith("_page"), name
        assert policy.asks_refresh(kind) is refreshes, name
        assert policy.leads_to_sign_in(kind) is signs_in, name
        statuses = tuple(policy.page_status(kind, is_safe=is_safe) for is_safe in (True, False))
        assert statuses == STATUSES.get(name, (200, 401)), name
