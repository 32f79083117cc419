"""The doctor explains one token, and repeats no value of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from flask_ssr_session.doctor.explain_token import explain_token
from flask_ssr_session.doctor.finding import Finding, Level
from flask_ssr_session.doctor.token_defects import DEFECTS
from flask_ssr_session.errors import KeysUnavailableError, TokenDefect
from flask_ssr_session.sansio.verification import TokenRules
from flask_ssr_session.upstream.key_set import KeySet
from tests.tables import rows
from tests.token_table import NOW, TABLE, Recipe, good_keys, h, token_of
from tests.tokens import ABSENT

DEEP = "json documents: payload with 2000 lists"
RULES = TokenRules()
OF_A, LENIENT = TokenRules(issuer="https://a.example"), TokenRules(leeway_seconds=10)


def made(header: dict[str, Any] | None = None, /, **claims: Any) -> Recipe:
    """Return a recipe for a token issued ten minutes ago that is valid for ten more."""
    return h(header or {}, {"iat": NOW - 600, "exp": NOW + 600, **claims})


def v(version: str, *without: str) -> Recipe:
    return made({"version": version}, **dict.fromkeys(without, ABSENT))


def explained(token: str, rules: TokenRules = RULES, **keys: Any) -> dict[str, Finding]:
    findings = list(explain_token(token, keys.get("keys", good_keys()), rules, NOW))
    assert len({finding.check for finding in findings}) == len(findings)
    return {finding.check: finding for finding in findings}


def faults(findings: dict[str, Finding]) -> str:
    """Return the checks that found a fault; a warning has a question mark."""
    marks = {Level.OK: "", Level.PROBLEM: "!", Level.WARNING: "?"}
    return " ".join(f"{name}{marks[f.level]}" for name, f in findings.items() if marks[f.level])


DEFECTIVE: dict[str, Any] = {
    "sound": (made(), RULES, ""),
    "expired": (made(exp=NOW - 1), RULES, "exp! token!"),
    "expired within the leeway": (made(exp=NOW - 9), LENIENT, ""),
    "expired at the end of the leeway": (made(exp=NOW - 10), LENIENT, "exp! token!"),
    "expires in the year 10000": (made(exp=253_402_300_799), RULES, "exp! token!"),
    "issued too far in the future": (made(iat=NOW + 61), RULES, "iat! token!"),
    "issued slightly in the future": (made(iat=NOW + 60), RULES, ""),
    "issued at no time": (made(iat="now"), RULES, "iat! token!"),
    "issued when time began": (made(iat=0), RULES, ""),
    "without an issue time": (made(iat=ABSENT), RULES, "iat! token!"),
    "valid later": (made(nbf=NOW + 61), RULES, "nbf! token!"),
    "valid soon": (made(nbf=NOW + 60), RULES, ""),
    "valid from no time": (made(nbf="x"), RULES, "nbf! token!"),
    "an address that was fetched at no time": (made(**{"st-ev": {"t": 1e16}}), RULES, "st-ev?"),
    "fetched later than any time": (made(**{"st-ev": {"t": 10**400}}), RULES, "st-ev?"),
    "roles of another form": (made(**{"st-role": 1}), RULES, "st-role?"),
    "a tenant that is no text": (made(tId=1), RULES, "tId! token!"),
    "an empty user": (made(sub=""), RULES, "sub! token!"),
    "version 5 without a login method": (v("5", "rsub"), RULES, "rsub! token!"),
    "version 4 without a login method": (v("4", "rsub"), RULES, ""),
    "version 4 without a tenant": (v("4", "tId"), RULES, "tId! token!"),
    "version 3 without both": (v("3", "tId", "rsub"), RULES, ""),
    "version 2": (v("2"), RULES, "token!"),
    "OAuth2": (made(stt=1), RULES, "stt! token!"),
    "the issuer of the settings": (made(iss="https://a.example"), OF_A, ""),
    "another issuer": (made(iss="x"), OF_A, "iss! token!"),
    "no issuer": (made(), OF_A, "iss! token!"),
    "incomplete sign-in": (made(**{"st-mfa": {"v": False}}), RULES, "token?"),
    "complete sign-in": (made(**{"st-mfa": {"v": True}}), RULES, ""),
    "nothing": (lambda: "", RULES, "token!"),
    "no text": (lambda: "\udcff.\udcff.\udcff", RULES, "token!"),
    "too deep": (lambda: token_of(DEEP), RULES, "size! token!"),
}


@rows("recipe, rules, faulty", DEFECTIVE)
def test_defect_of_a_token_is_reported(recipe: Recipe, rules: TokenRules, faulty: str) -> None:
    assert faults(explained(recipe(), rules)) == faulty


def test_every_token_of_the_table_is_explained_with_keys_and_without() -> None:
    own = {TokenDefect.EXPIRED: "it has expired", TokenDefect.NOT_YET_VALID: "not valid yet"}
    assert {*own, *DEFECTS} == {*TokenDefect}
    needs_a_key = (None, TokenDefect.SIGNATURE, TokenDefect.KEY_UNKNOWN, TokenDefect.NOT_YET_VALID)
    for row, (_, defect) in TABLE.items():
        if len(token := token_of(row)) > 20_000:
            continue  # larger ones differ in nothing but their size
        finding, offline = (explained(token, keys=keys)["token"] for keys in (good_keys(), None))
        assert (finding.level is Level.OK) == (defect is None), row
        assert (offline.level is Level.WARNING) == (defect in needs_a_key), row
        if defect is not None:
            assert (own.get(defect) or DEFECTS[defect][0]) in finding.message, row


PARENT, MFA = "parentRefreshTokenHash1", "st-mfa"
FETCHED = {"v": True, "t": (NOW - 300) * 1000}
OF_THE_APP = {"plan": "gold-secret", "note": {"deep": "secret"}, "\x1b[31msecret": 1}

EXPLAINED: dict[str, Any] = {
    "the user": ({}, "sub", "present"),
    "the issue time": ({}, "iat", "10 min ago"),
    "issued now": ({"iat": NOW}, "iat", "0 s ago"),
    "issued soon": ({"iat": NOW + 30}, "iat", "30 s in the future"),
    "the expiry": ({}, "exp", "in 10 min"),
    "a second left": ({"exp": NOW + 1}, "exp", "in 1 s"),
    "expires now": ({"exp": NOW}, "exp", "0 s ago, within the leeway"),
    "nearly no leeway left": ({"exp": NOW - 9}, "exp", "9 s ago, within the leeway"),
    "an older core": ({"rsub": ABSENT}, "rsub", "absent, as in tokens of older cores"),
    "an issuer": ({"iss": "x"}, "iss", "present, not checked"),
    "no issuer": ({}, "iss", "absent, not checked"),
    "fresh": ({PARENT: "0a" * 32}, PARENT, "present: fresh from a refresh"),
    "used": ({PARENT: None}, PARENT, "empty: never refreshed, or used at the API since"),
    "no anti-CSRF token": ({}, "antiCsrfToken", None),
    "a session's type": ({"stt": 0}, "stt", None),
    "an address": ({"st-ev": FETCHED}, "st-ev", "present, fetched 5 min ago"),
    "all factors": ({MFA: {"v": True}}, MFA, "says that all factors of sign-in are complete"),
    "one factor": ({MFA: {"v": 1}}, MFA, "says that not all factors of sign-in are complete"),
    "no claims of the app's": ({"st-role": {"v": [], "t": 0}}, "others", None),
    "one of the app's": ({"plan": 1}, "others", "your own claims: plan"),
    "an unprintable one": ({"\x00": 1}, "others", "your own claims: 1 more"),
    "some to be repeated": (OF_THE_APP, "others", "your own claims: note, plan and 1 more"),
}


@rows("claims, name, message", EXPLAINED)
def test_claim_is_explained(claims: dict[str, Any], name: str, message: str | None) -> None:
    version = "4" if "rsub" in claims else "5"
    findings = explained(made({"version": version}, sub="user-secret", **claims)(), LENIENT)

    assert (findings[name].message if name in findings else None) == message
    assert name not in findings or findings[name].level is Level.OK
    assert "secret" not in repr(findings)


def test_issuer_and_anti_csrf_token_are_explained() -> None:
    findings = explained(made(iss=OF_A.issuer, antiCsrfToken="b")(), OF_A)

    assert findings["iss"].message == "matches SSR_SESSION_ISSUER"
    message = "present: the API requires it in a header, pages do not"
    assert findings["antiCsrfToken"].message == message


def test_many_claims_of_the_app_are_counted() -> None:
    claims = {f"c{number:02}": number for number in range(50)}
    message = explained(made(**claims)())["others"].message

    assert message.startswith("your own claims: c00, c01, ")
    assert message.endswith(" c18, c19 and 30 more")


def test_token_cannot_be_checked_during_an_outage() -> None:
    def find(*_: object) -> None:
        raise KeysUnavailableError("no key set could be fetched")

    silent = SimpleNamespace(token_cache=KeySet({}), get_or_fetch=find)
    finding = explained(made()(), keys=silent)["token"]

    assert finding.level is Level.PROBLEM
    assert finding.message == "the token could not be checked: no key set could be fetched"
