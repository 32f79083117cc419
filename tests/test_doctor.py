"""What the doctor makes of settings, answers, policies and tokens; each ill beside its cure."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from email.message import Message
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from flask_ssr_session.config import Deployment, SDKValues, Settings
from flask_ssr_session.doctor import OLDEST_SDK, Finding, Level, Setup, examine
from flask_ssr_session.doctor_network import (
    CORS_HEADERS,
    about_api,
    about_clock,
    about_cors,
    about_keys,
    about_refresh_page,
    about_script,
    about_sign_in,
    about_static_keys,
    ago,
    script_url,
)
from flask_ssr_session.doctor_policy import refused_directives
from flask_ssr_session.doctor_token import DEFECTS, explain_token
from flask_ssr_session.errors import FetchError, TokenDefect
from flask_ssr_session.fetching import Reply
from flask_ssr_session.jwks import KeySet
from flask_ssr_session.keystore import StaticKeys
from flask_ssr_session.sdk import CookieRules
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.tokens import TokenRules

NOW = 1_700_000_000.0
API = "https://api.example.com"
PAGES = "https://www.example.com"
DOWN = FetchError("no complete answer in time")

SDK = SDKValues(
    api_domain=API,
    api_base_path="/auth",
    website_origin=PAGES,
    website_base_path="/auth",
    cookie_domain=".example.com",
    dynamic_signing_key=True,
    session_expired_status=401,
    key_uris=("http://core:3567/.well-known/jwks.json",),
)
COOKIES = CookieRules(secure=True, same_site="lax", older_domain="")


def setup(
    *,
    site: str | None = PAGES,
    sdk: dict[str, Any] | None = None,
    cookies: dict[str, Any] | None = None,
    version: str | None = "0.31.4",
    answers_api: bool = True,
    **settings: Any,
) -> Setup:
    """Return a setup without a fault, but for what is said otherwise."""
    values = replace(SDK, **sdk or {})
    checked = Settings.from_mappings({}, settings)
    return Setup(
        settings=checked,
        deployment=Deployment.of(checked, values),
        sdk=values,
        cookies=replace(COOKIES, **cookies or {}),
        sdk_version=version,
        answers_api=answers_api,
        site=site,
    )


def ills(findings: Any) -> list[str]:
    """Return what is wrong, as ``level check``."""
    return [f"{f.level.value} {f.check}" for f in findings if f.level is not Level.OK]


def reply(body: bytes | str | dict[str, Any] = b"", status: int = 200, **headers: str) -> Reply:
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    if isinstance(body, dict):
        body = json.dumps(body)
    return Reply(status, message, body.encode() if isinstance(body, str) else body)


def keys(*kids: str, **headers: Any) -> Reply:
    return reply({"keys": [SessionSigner(kid).jwk() for kid in kids]}, **headers)


# --- settings and the SDK ------------------------------------------------------------------------


def test_sound_setup_has_no_ill_and_every_line_says_something() -> None:
    findings = list(examine(setup()))

    assert ills(findings) == []
    assert all(finding.says and not finding.advice for finding in findings)


@pytest.mark.parametrize(
    ("wrong", "ill"),
    [
        pytest.param({"version": None}, "problem sdk_version", id="no SDK installed"),
        pytest.param({"version": "0.31.3"}, "problem sdk_version", id="SDK too old"),
        pytest.param({"sdk": {"dynamic_signing_key": None}}, "problem sdk", id="no Session recipe"),
        pytest.param({"api_domain": "https://other.example.com"}, "problem settings", id="api"),
        pytest.param({"api_base_path": "/api"}, "problem settings", id="base path"),
        pytest.param({"cookie_domain": "www.example.com"}, "problem settings", id="domain"),
        pytest.param({"issuer": "https://api.example.com"}, "problem settings", id="issuer"),
        pytest.param({"refresh_path": "/auth"}, "problem settings", id="refresh at sign-in"),
        pytest.param(
            {"jwks": {"keys": []}, "jwks_uri": f"{API}/jwks"}, "warning settings", id="two sources"
        ),
        pytest.param({"insecure_cross_site": True}, "warning settings", id="cross-site"),
        pytest.param({"insecure_jwks_http": True}, "warning settings", id="keys in the clear"),
        pytest.param({"site": "https://shop.example.com"}, "warning site", id="another site"),
        pytest.param({"site": None}, "warning site", id="no site"),
    ],
)
def test_contradiction_is_named_with_its_cure(wrong: dict[str, Any], ill: str) -> None:
    findings = list(examine(setup(**wrong)))

    assert ill in ills(findings)
    assert all(finding.advice for finding in findings if finding.level is not Level.OK)


@pytest.mark.parametrize(
    "right",
    [
        {"version": "0.31.4"},
        {"version": "1.0"},
        {"version": "0.32.0rc1"},
        {"api_domain": API, "api_base_path": "/auth/"},
        {"cookie_domain": "example.com"},
        {"issuer": f"{API}/auth"},
    ],
)
def test_settings_that_only_repeat_the_sdk_are_no_contradiction(right: dict[str, Any]) -> None:
    assert ills(examine(setup(**right))) == []


def test_middleware_is_missed_only_where_the_api_has_the_origin_of_the_pages() -> None:
    here = {"api_domain": PAGES}

    assert ills(examine(setup(sdk=here, answers_api=False))) == ["warning sdk"]
    assert ills(examine(setup(sdk=here))) == []
    assert ills(examine(setup(answers_api=False))) == []


def test_oldest_sdk_is_what_the_package_asks_for() -> None:
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    asked = re.search(r'"supertokens-python>=([\d.]+)"', project)

    assert asked is not None
    assert tuple(map(int, asked[1].split("."))) == OLDEST_SDK


# --- cookies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pages", "api", "domain", "is_well"),
    [
        pytest.param(PAGES, API, ".example.com", True, id="shared"),
        pytest.param(PAGES, API, "example.com", True, id="shared, without the dot"),
        pytest.param(PAGES, PAGES, None, True, id="one host"),
        pytest.param("http://localhost:5000", "http://localhost:8000", None, True, id="ports"),
        pytest.param(PAGES, API, None, False, id="not shared"),
        pytest.param(PAGES, API, ".api.example.com", False, id="too narrow"),
        pytest.param(PAGES, API, ".ample.com", False, id="no label of its own"),
        pytest.param(PAGES, API, ".other.com", False, id="another's"),
        pytest.param("https://a.com", "https://b.com", None, False, id="two sites"),
        pytest.param("https://a.com", "https://b.com", ".com", False, id="all of com"),
        pytest.param("http://127.0.0.1", "http://localhost", None, False, id="two loopbacks"),
        pytest.param("http://10.0.0.1", "http://9.0.0.1", ".0.0.1", False, id="addresses"),
    ],
)
def test_cookies_of_the_api_have_to_reach_the_pages(
    pages: str, api: str, domain: str | None, is_well: bool
) -> None:
    told = {"api_domain": api, "website_origin": pages, "cookie_domain": domain}
    found = ills(examine(setup(site=pages, sdk=told, cookies={"secure": False})))

    assert ("problem cookie_domain" in found) is not is_well


def test_the_domain_to_share_cookies_over_is_told() -> None:
    findings = examine(setup(sdk={"cookie_domain": None}))

    (advice,) = [finding.advice for finding in findings if finding.check == "cookie_domain"]
    assert 'session.init(cookie_domain=".example.com")' in advice


@pytest.mark.parametrize(
    ("scheme", "secure", "ill"),
    [
        ("https", True, []),
        ("http", False, []),
        ("http", True, ["problem cookie_secure"]),
        ("https", False, ["warning cookie_secure"]),
    ],
)
def test_secure_cookies_fit_the_scheme(scheme: str, secure: bool, ill: list[str]) -> None:
    site, api = f"{scheme}://www.example.com", f"{scheme}://api.example.com"
    told = {"api_domain": api, "website_origin": site}

    assert ills(examine(setup(site=site, sdk=told, cookies={"secure": secure}))) == ill


def test_secure_cookies_are_kept_on_this_very_machine() -> None:
    local = "http://localhost:5000"
    told = {"api_domain": local, "website_origin": local, "cookie_domain": None}

    assert ills(examine(setup(site=local, sdk=told, cookies={"older_domain": None}))) == []


def test_plain_api_of_an_encrypted_site_is_a_problem() -> None:
    assert "problem site" in ills(examine(setup(sdk={"api_domain": "http://api.example.com"})))


@pytest.mark.parametrize(
    ("cookies", "ill"),
    [
        ({"same_site": "strict"}, ["warning cookie_same_site"]),
        ({"same_site": None}, []),
        ({"older_domain": None}, ["warning older_cookie_domain"]),
        ({"older_domain": "example.com"}, ["problem older_cookie_domain"]),
        ({"older_domain": ".www.example.com"}, []),
    ],
)
def test_cookies_that_stay_behind_are_named(cookies: dict[str, Any], ill: list[str]) -> None:
    assert ills(examine(setup(cookies=cookies))) == ill


# --- keys, clock, API ----------------------------------------------------------------------------


def of_keys(*answers: Reply | FetchError, **changes: Any) -> list[Finding]:
    asked = [(f"http://user:secret@core-{n}:3567/app", a) for n, a in enumerate(answers)]
    return list(about_keys(setup(**changes), asked, NOW))


@pytest.mark.parametrize(
    ("answers", "ill"),
    [
        ([keys("d-1699999000000", "s-1")], []),
        ([DOWN, keys("d-1")], ["warning keys"]),
        ([DOWN, DOWN], ["problem keys"]),
        ([reply(status=500)], ["problem keys"]),
        ([reply("<html>")], ["problem keys"]),
        ([keys("s-1")], ["problem keys"]),
    ],
)
def test_keys_have_to_be_there_and_of_the_right_kind(
    answers: list[Reply | FetchError], ill: list[str]
) -> None:
    findings = of_keys(*answers)

    assert ills(findings) == ill
    assert "secret" not in repr(findings)
    assert "/app" not in repr(findings)


def test_static_keys_are_the_right_kind_where_those_sign() -> None:
    assert ills(of_keys(keys("s-1"), sdk={"dynamic_signing_key": False})) == []


def test_age_of_the_newest_dynamic_key_is_told() -> None:
    (finding,) = of_keys(keys(f"d-{int(NOW - 7200) * 1000}", "d-1", "s-1"))

    assert finding.says == (
        "3 keys (2 dynamic, 1 static) at core-0:3567, the newest dynamic one 2 h old"
    )


@pytest.mark.parametrize(
    ("dynamic", "kids", "ill"),
    [
        (False, ["s-1"], []),
        (True, ["d-1"], ["warning keys"]),
        (True, ["s-1"], ["problem keys"]),
        (False, ["d-1"], ["problem keys"]),
    ],
)
def test_keys_of_the_settings_should_be_ones_that_stay(
    dynamic: bool, kids: list[str], ill: list[str]
) -> None:
    assert ills([about_static_keys(setup(sdk={"dynamic_signing_key": dynamic}), kids)]) == ill


@pytest.mark.parametrize(
    ("ahead", "ill"),
    [
        (0, []),
        (5, []),
        (6, ["warning clock"]),
        (60, ["warning clock"]),
        (61, ["problem clock"]),
        (-6, ["warning clock"]),
        (-61, ["problem clock"]),
    ],
)
def test_clocks_may_differ_by_seconds(ahead: float, ill: list[str]) -> None:
    answer = keys("d-1", Date=formatdate(NOW + ahead, usegmt=True))

    assert ills(about_clock(answer, NOW)) == ill


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 99 Nov 2023 22:13:20 GMT"])
def test_answer_without_a_time_tells_nothing(date: str) -> None:
    assert list(about_clock(keys("d-1", Date=date), NOW)) == []


@pytest.mark.parametrize(
    ("answer", "verifying", "ill"),
    [
        (keys("d-1"), {"d-1"}, []),
        (keys("d-1", "d-2"), {"d-2", "d-3"}, []),
        (keys("d-1"), set(), []),
        (keys("d-1"), {"d-2"}, ["problem refresh_api"]),
        (reply(status=404), {"d-1"}, ["problem refresh_api"]),
        (DOWN, {"d-1"}, ["problem refresh_api"]),
    ],
)
def test_api_has_to_answer_with_the_same_keys(
    answer: Reply | FetchError, verifying: set[str], ill: list[str]
) -> None:
    assert ills([about_api(setup(), answer, verifying)]) == ill


LEAVE: dict[str, Any] = {
    "Access_Control_Allow_Origin": PAGES,
    "Access_Control_Allow_Credentials": "true",
    "Access_Control_Allow_Headers": ", ".join(CORS_HEADERS).upper(),
}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({}, "lets pages of https://www.example.com refresh"),
        ({"Access_Control_Allow_Origin": "*"}, "does not name the site"),
        ({"Access_Control_Allow_Credentials": ""}, "does not allow credentials"),
        ({"Access_Control_Allow_Headers": "rid, fdi-version"}, "the headers st-auth-mode"),
        # With credentials, a browser takes this for a header of that name.
        ({"Access_Control_Allow_Headers": "*"}, "the headers fdi-version, rid, st-auth-mode"),
    ],
)
def test_api_elsewhere_has_to_let_the_pages_in(changed: dict[str, Any], says: str) -> None:
    finding = about_cors(setup(), PAGES, reply(**{**LEAVE, **changed}))

    assert says in finding.says
    assert (finding.level is Level.OK) is not bool(changed)


@pytest.mark.parametrize("answer", [reply(status=404, **LEAVE), DOWN])
def test_api_elsewhere_has_to_answer_options(answer: Reply | FetchError) -> None:
    assert ills([about_cors(setup(), PAGES, answer)]) == ["problem cors"]


# --- pages ---------------------------------------------------------------------------------------

PAGE = (
    '<link rel="stylesheet" href="/refresh-session/ssr-session-0a.css" nonce="abc">'
    '<script src="/refresh-session/ssr-session-0b.js" nonce="abc" data-mode="refresh"></script>'
)


@pytest.mark.parametrize(
    ("answer", "ill"),
    [
        (reply(PAGE, Cache_Control="no-store"), []),
        (reply(PAGE, Cache_Control="max-age=60"), ["problem refresh_page"]),
        (reply("sign in", Cache_Control="no-store"), ["problem refresh_page"]),
        (reply(PAGE, 302, Cache_Control="no-store"), ["problem refresh_page"]),
        (DOWN, ["problem refresh_page"]),
        (
            reply(PAGE, Cache_Control="no-store", Content_Security_Policy="default-src 'self'"),
            ["problem csp"],
        ),
        (
            reply(
                PAGE,
                Cache_Control="no-store",
                Content_Security_Policy=f"default-src 'self'; connect-src {API}",
            ),
            [],
        ),
    ],
)
def test_refresh_page_has_to_be_there_fresh_and_free(
    answer: Reply | FetchError, ill: list[str]
) -> None:
    assert ills(about_refresh_page(setup(), f"{PAGES}/refresh-session", answer)) == ill


@pytest.mark.parametrize(
    ("source", "at"),
    [
        ("/refresh-session/ssr-session-0b.js", f"{PAGES}/refresh-session/ssr-session-0b.js"),
        ("/mounted/refresh/ssr-session-0b.js", f"{PAGES}/mounted/refresh/ssr-session-0b.js"),
        ("https://other.example/ssr-session-0b.js", None),
        ("//other.example/ssr-session-0b.js", None),
        ("http://[/ssr-session-0b.js", None),
    ],
)
def test_script_is_asked_for_at_the_site_alone(source: str, at: str | None) -> None:
    page = reply(f'<script src="{source}"></script>')

    assert script_url(f"{PAGES}/refresh-session", page) == at


SCRIPT = ("script-src", f"{PAGES}/s/ssr.js", "abc")
STYLE = ("style-src", f"{PAGES}/s/ssr.css", None)
CONNECT = ("connect-src", f"{API}/auth/session/refresh", None)


@pytest.mark.parametrize(
    ("policies", "refused"),
    [
        ([], []),
        (["img-src 'none'"], []),
        (["default-src 'none'"], ["script-src", "style-src", "connect-src"]),
        ([f"default-src 'self' {API}"], []),
        (["DEFAULT-SRC *"], []),
        (["default-src https:"], []),
        (["default-src http:"], []),
        (["default-src 'self'"], ["connect-src"]),
        (["default-src *.example.com"], []),
        (["default-src *.ample.com"], ["script-src", "style-src", "connect-src"]),
        (["connect-src api.example.com:8443"], ["connect-src"]),
        (["connect-src api.example.com:*"], []),
        (["connect-src http://api.example.com"], []),
        ([f"connect-src {API}/auth/"], []),
        ([f"connect-src {API}/auth"], ["connect-src"]),
        ([f"connect-src {API}/auth/session/refresh"], []),
        (["script-src 'nonce-abc'"], []),
        (["script-src 'nonce-abd'"], ["script-src"]),
        (["script-src 'strict-dynamic' 'self'"], ["script-src"]),
        (["script-src 'strict-dynamic' 'nonce-abc'"], []),
        (["script-src 'none'; script-src-elem 'self'"], []),
        (["script-src 'self'; script-src 'none'"], []),
        (["script-src 'self'", "script-src 'none'"], ["script-src"]),
        (["img-src 'self', script-src 'none'"], ["script-src"]),
        (["default-src 'none'; script-src *; style-src *; connect-src *"], []),
        (["script-src"], ["script-src"]),
    ],
)
def test_policy_is_read_as_browsers_read_it(policies: list[str], refused: list[str]) -> None:
    wanted = [SCRIPT, STYLE, CONNECT]

    assert refused_directives(policies, f"{PAGES}/refresh-session", wanted) == refused


@pytest.mark.parametrize(
    ("answer", "ill"),
    [
        (reply("code", Content_Type="text/javascript; charset=utf-8"), []),
        (reply("other", Content_Type="text/javascript"), ["warning script"]),
        (reply("code", Content_Type="text/html"), ["problem script"]),
        (reply("code", 404, Content_Type="text/javascript"), ["problem script"]),
        (DOWN, ["problem script"]),
    ],
)
def test_script_has_to_arrive_as_it_is(answer: Reply | FetchError, ill: list[str]) -> None:
    assert ills([about_script(answer, b"code")]) == ill


@pytest.mark.parametrize(
    ("answer", "ill"),
    [
        (reply(), []),
        (reply(status=302), []),
        (reply(status=404), ["problem sign_in"]),
        (reply(status=401), ["problem sign_in"]),
        (reply(status=500), ["problem sign_in"]),
        (reply(status=302, SSR_Session="anonymous; reason=anonymous"), ["problem sign_in"]),
        (DOWN, ["problem sign_in"]),
    ],
)
def test_strangers_have_to_arrive_at_sign_in(answer: Reply | FetchError, ill: list[str]) -> None:
    assert ills([about_sign_in(f"{PAGES}/auth", answer)]) == ill


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (-7200, "2 h"), (172800, "2 d")],
)
def test_spans_of_time_are_short(seconds: float, told: str) -> None:
    assert ago(seconds) == told


# --- one token -----------------------------------------------------------------------------------


def explained(token: str, rules: TokenRules | None = None, **more: Any) -> dict[str, Finding]:
    known = StaticKeys(KeySet({"d-test": SessionSigner().public_key}))
    findings = list(explain_token(token, more.get("keys", known), rules or TokenRules(), NOW))
    assert len({finding.check for finding in findings}) == len(findings)
    return {finding.check: finding for finding in findings}


def made(claims: dict[str, Any] | None = None, **header: str) -> str:
    """Return a token of ten minutes ago that lives for ten more."""
    signer = SessionSigner()
    usual = signer.claims(issued_at=NOW - 600, valid_seconds=1200)
    return signer.sign({**usual, **(claims or {})}, {**signer.header(), **header})


def test_sound_token_has_no_ill() -> None:
    findings = explained(made({"iss": "x", "st-ev": {"v": True, "t": (NOW - 300) * 1000}}))

    assert ills(findings.values()) == []
    assert findings["iat"].says == "10 min ago"
    assert findings["exp"].says == "in 10 min"
    assert findings["st-ev"].says == "present, fetched 5 min ago"
    assert findings["token"].says == "the token proves a session"


@pytest.mark.parametrize(
    ("token", "ill"),
    [
        pytest.param(made({"exp": NOW - 1}), ["problem exp", "problem token"], id="ran out"),
        pytest.param(made({"iat": NOW + 120}), ["problem iat", "problem token"], id="future"),
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
def test_what_is_wrong_with_a_token_is_told(token: str, ill: list[str]) -> None:
    assert ills(explained(token).values()) == ill


def test_issuer_is_asked_for_where_the_settings_do() -> None:
    rules = TokenRules(issuer="https://api.example.com/auth")

    assert ills(explained(made({"iss": rules.issuer}), rules).values()) == []
    assert ills(explained(made({"iss": "x"}), rules).values()) == ["problem iss", "problem token"]


def test_leeway_counts() -> None:
    rules = TokenRules(leeway_seconds=10)

    assert explained(made({"exp": NOW - 9}), rules)["exp"].level is Level.OK
    assert explained(made({"exp": NOW - 10}), rules)["exp"].level is Level.PROBLEM


def test_signature_is_not_vouched_for_without_keys() -> None:
    assert explained(made(), keys=None)["token"].level is Level.WARNING
    assert explained(made({"exp": NOW - 1}), keys=None)["token"].level is Level.PROBLEM


def test_nothing_of_a_token_is_repeated_but_plain_names_of_claims() -> None:
    hostile = "\x1b[31mred"
    claims = {"sub": "user-secret", "plan": "gold-secret", "note": {"deep": "secret"}, hostile: 1}
    findings = explained(made(claims))

    told = repr([*findings.values()])
    assert "secret" not in told
    assert "red" not in told
    assert findings["others"].says == "claims of your own: note, plan and 1 more"


def test_many_claims_of_a_token_are_counted() -> None:
    token = made({f"c{n:02}": n for n in range(50)})

    assert explained(token)["others"].says.endswith("c18, c19 and 30 more")


def test_every_defect_has_words_but_those_with_errors_of_their_own() -> None:
    assert set(TokenDefect) - set(DEFECTS) == {TokenDefect.EXPIRED, TokenDefect.NOT_YET_VALID}
