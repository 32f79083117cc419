"""The doctor explains one token, and repeats no value of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from flask_ssr_session.doctor.explain_token import explain_token
from flask_ssr_session.doctor.finding import Finding, Level
from flask_ssr_session.doctor.token_defects import DEFECTS
from flask_ssr_session.errors import KeysUnavailableError, TokenDefect
from flask_ssr_session.sansio.verification import TokenRules
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.key_set import KeySet, StaticKeys

from .doctor_factories import NOW, problems


def explained(token: str, rules: TokenRules | None = None, **more: Any) -> dict[str, Finding]:
    known = StaticKeys(KeySet({"d-test": SessionSigner().public_key}))
    findings = list(explain_token(token, more.get("keys", known), rules or TokenRules(), NOW))
    assert len({finding.check for finding in findings}) == len(findings)
    return {finding.check: finding for finding in findings}


def made(claims: dict[str, Any] | None = None, **header: str) -> str:
    """Return a token issued ten minutes ago that is valid for ten more."""
    signer = SessionSigner()
    usual = signer.claims(issued_at=NOW - 600, valid_seconds=1200)
    return signer.sign({**usual, **(claims or {})}, {**signer.header(), **header})


def without(*claims: str, version: str = "5") -> str:
    signer = SessionSigner()
    usual = signer.claims(issued_at=NOW - 600, valid_seconds=1200)
    kept = {name: value for name, value in usual.items() if name not in claims}
    return signer.sign(kept, {**signer.header(), "version": version})


def test_valid_token_has_no_problem() -> None:
    findings = explained(made({"iss": "x", "st-ev": {"v": True, "t": (NOW - 300) * 1000}}))

    assert problems(findings.values()) == []
    assert [finding.message for finding in findings.values() if finding.advice] == []
    assert findings["iat"].message == "10 min ago"
    assert findings["exp"].message == "in 10 min"
    assert findings["sub"].message == findings["sessionHandle"].message == "present"
    assert "others" not in findings
    assert findings["st-ev"].message == "present, fetched 5 min ago"
    assert findings["token"].message == "the token proves a session"


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        pytest.param(made({"exp": NOW - 1}), ["problem exp", "problem token"], id="ran out"),
        pytest.param(made({"iat": NOW + 120}), ["problem iat", "problem token"], id="future"),
        pytest.param(made({"iat": "now"}), ["problem iat", "problem token"], id="no time"),
        pytest.param(
            made({"exp": 253_402_300_799}), ["problem exp", "problem token"], id="no year"
        ),
        pytest.param(without("iat"), ["problem iat", "problem token"], id="no beginning"),
        pytest.param(made({"iat": -1}), ["problem iat", "problem token"], id="before all time"),
        pytest.param(made({"iat": 0}), [], id="when time began"),
        pytest.param("W10.W10.W10", ["problem token"], id="lists"),
        pytest.param("." + made().split(".", 1)[1], ["problem token"], id="no header"),
        pytest.param(made({"nbf": NOW + 61}), ["problem nbf", "problem token"], id="not yet"),
        pytest.param(made({"nbf": NOW + 60}), [], id="nearly"),
        pytest.param(made({"st-ev": {"t": 1e16}}), ["warning st-ev"], id="far off"),
        pytest.param(made({"tId": 1}), ["problem tId", "problem token"], id="no tenant"),
        pytest.param(without("rsub"), ["problem rsub", "problem token"], id="no login method"),
        pytest.param(without("rsub", version="4"), [], id="older core"),
        pytest.param(without("tId", version="4"), ["problem tId", "problem token"], id="older"),
        pytest.param(without("tId", "rsub", version="3"), [], id="much older core"),
        pytest.param(made({"sub": ""}), ["problem sub", "problem token"], id="no user"),
        pytest.param(made({"stt": 1}), ["problem stt", "problem token"], id="OAuth2"),
        pytest.param(made(kid="d-other"), ["problem token"], id="unknown key"),
        pytest.param(made(version="2"), ["problem token"], id="version"),
        pytest.param(made()[:-8] + "AAAAAAAA", ["problem token"], id="changed"),
        pytest.param(made({"st-role": 1}), ["warning st-role"], id="odd claim"),
        pytest.param("", ["problem token"], id="nothing"),
        pytest.param("a.b.c", ["problem token"], id="junk"),
        pytest.param("\udcff.\udcff.\udcff", ["problem token"], id="no text"),
    ],
)
def test_defect_of_a_token_is_reported(token: str, expected: list[str]) -> None:
    assert problems(explained(token).values()) == expected


def test_issuer_is_checked_if_the_settings_name_one() -> None:
    rules = TokenRules(issuer="https://api.example.com/auth")

    fitting = explained(made({"iss": rules.issuer}), rules)
    assert problems(fitting.values()) == []
    assert fitting["iss"].message == "matches SSR_SESSION_ISSUER"
    assert problems(explained(made({"iss": "x"}), rules).values()) == [
        "problem iss",
        "problem token",
    ]


def test_issuer_is_shown_without_the_setting() -> None:
    assert explained(made({"iss": "x"}))["iss"].message == "present, not checked"
    assert explained(without("iss"))["iss"].message == "absent, not checked"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("parentRefreshTokenHash1", "0a" * 32, "present: fresh from a refresh"),
        ("parentRefreshTokenHash1", None, "empty: never refreshed, or used at the API since"),
        ("antiCsrfToken", "b", "present: the API requires it in a header, pages do not"),
        ("antiCsrfToken", None, None),
        ("stt", 0, None),
    ],
)
def test_claims_of_the_sdk_are_explained(name: str, value: object, message: str | None) -> None:
    findings = explained(made({name: value}))

    assert problems(findings.values()) == []
    assert (findings[name].message if name in findings else None) == message


def test_claim_that_older_cores_do_not_write_is_explained() -> None:
    assert explained(without("rsub", version="4"))["rsub"].message == (
        "absent, as in tokens of older cores"
    )


def test_leeway_counts() -> None:
    rules = TokenRules(leeway_seconds=10)

    assert explained(made({"exp": NOW - 9}), rules)["exp"].level is Level.OK
    assert explained(made({"exp": NOW - 9}), rules)["exp"].message == "9 s ago, within the leeway"
    assert explained(made({"exp": NOW}), rules)["exp"].message == "0 s ago, within the leeway"
    assert explained(made({"exp": NOW + 1}), rules)["exp"].message == "in 1 s"
    assert explained(made({"exp": NOW - 10}), rules)["exp"].level is Level.PROBLEM


def test_iat_may_be_slightly_in_the_future() -> None:
    assert explained(made({"iat": NOW}))["iat"].message == "0 s ago"
    assert explained(made({"iat": NOW + 30}))["iat"].message == "30 s in the future"


def test_token_cannot_be_checked_during_an_outage() -> None:
    def find(*_: object) -> None:
        raise KeysUnavailableError("no key set could be fetched")

    silent = SimpleNamespace(token_cache=KeySet({}), get_or_fetch=find)
    finding = explained(made(), keys=silent)["token"]

    assert finding.level is Level.PROBLEM
    assert finding.message == "the token could not be checked: no key set could be fetched"


def test_signature_is_not_checked_without_keys() -> None:
    assert explained(made(), keys=None)["token"].level is Level.WARNING
    assert explained(made({"exp": NOW - 1}), keys=None)["token"].level is Level.PROBLEM


def test_only_plain_names_of_claims_are_repeated() -> None:
    hostile = "\x1b[31mred"
    claims = {"sub": "user-secret", "plan": "gold-secret", "note": {"deep": "secret"}, hostile: 1}
    findings = explained(made(claims))

    text = repr([*findings.values()])
    assert "secret" not in text
    assert "red" not in text
    assert findings["others"].message == "your own claims: note, plan and 1 more"


def test_many_claims_of_a_token_are_counted() -> None:
    token = made({f"c{n:02}": n for n in range(50)})

    assert explained(token)["others"].message.endswith("c18, c19 and 30 more")
    assert explained(made({"plan": 1}))["others"].level is Level.OK
    assert explained(made({"plan": 1}))["others"].message == "your own claims: plan"
    assert explained(made({"\x00": 1}))["others"].message == "your own claims: 1 more"


def test_every_defect_has_a_message_except_those_with_their_own_error() -> None:
    assert set(TokenDefect) - set(DEFECTS) == {TokenDefect.EXPIRED, TokenDefect.NOT_YET_VALID}


@pytest.mark.parametrize(
    ("value", "message", "level"),
    [
        pytest.param(True, "says that all factors of sign-in are complete", "ok", id="complete"),
        pytest.param(
            False, "says that not all factors of sign-in are complete", "warning", id="half"
        ),
    ],
)
def test_token_of_a_pending_user_is_recognised(value: bool, message: str, level: str) -> None:
    findings = explained(made({"st-mfa": {"c": {"totp": 1}, "v": value}}))
    assert findings["st-mfa"].message == message
    assert findings["token"].level.value == level
    assert "others" not in findings
