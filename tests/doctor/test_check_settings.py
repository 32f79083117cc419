"""The checks of the settings, the SDK of this process, the claims and the hooks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from flask import Flask
from supertokens_python.framework.flask import Middleware

from flask_ssr_session import require_session
from flask_ssr_session.doctor import check_claims, check_settings
from flask_ssr_session.doctor.check_hooks import check_middleware
from tests.tables import rows

from .factories import API, PAGES, Expected, assert_findings, make_environment, table

LOCAL, PLAIN, OTHER = "http://localhost", "http://www.example.com", "https://other.example.com"
NO_HOOK = {"has_sdk_middleware": False}
OLD, NEW = "problem sdk_version supertokens-python 0.31.3 is older than", "ok sdk_version supert"


VERSIONS: dict[str, Any] = {
    "there is no SDK": ({"version": None}, "problem sdk_version supertokens-python is not inst"),
    "the last SDK that is too old": ({"version": "0.31.3"}, OLD),
    "the oldest SDK": ({"version": "0.31.4"}, f"{NEW}okens-python 0.31.4"),
    "a greater first number counts more": ({"version": "1.0"}, NEW),
    "a pre-release is a number": ({"version": "0.32.0rc1"}, NEW),
}
test_version_of_the_sdk = table(check_settings.check_sdk_version, VERSIONS)


def test_oldest_sdk_is_what_the_package_asks_for() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    found: Any = re.search(r'"supertokens-python>=([\d.]+)"', project)
    assert tuple(map(int, found[1].split("."))) == check_settings.OLDEST_SDK


def at(api: str, **changes: Any) -> dict[str, Any]:
    return {"sdk": {"api_domain": api, **changes}}


SDKS: dict[str, Any] = {
    "the SDK has its recipe": ({}, "ok sdk the SDK is initialised with the Session recipe"),
    "static keys sign": ({"sdk": {"dynamic_signing_key": False}}, "ok sdk the SDK is init"),
    "another process has the SDK": ({"has_sdk": False}, "ok sdk no SDK is initialised in this"),
    "the recipe is missing": ({"sdk": {"dynamic_signing_key": None}}, "problem sdk…without"),
    "nothing serves the API here": (at(PAGES) | NO_HOOK, "warning sdk the API has the site's"),
    # The SDK keeps a port that browsers leave out.
    "nothing does, at the default port": (at(f"{PAGES}:443") | NO_HOOK, "warning sdk the API"),
    "the middleware serves it": (at(PAGES), "ok sdk the SDK is"),
    "the API is elsewhere": (NO_HOOK, "ok sdk the SDK is"),
}
test_sdk_of_this_process = table(check_settings.check_sdk, SDKS)

FINE = "ok settings no settings contradict each other"
DIFFERS = "problem settings SSR_SESSION_{0} differs from the SDK's value in this process -> remove "
LOGIN_URL = "settings SSR_SESSION_LOGIN_URL"
ONE_PATH = "problem settings sign-in and the refresh page have the same path"
ON = "warning settings SSR_SESSION_INSECURE_{0} is on"
JWKS: dict[str, Any] = {"jwks": {"keys": []}}
URI = {"jwks_uri": f"{API}/jwks"}
TWO = {"api_domain": OTHER, "insecure_cross_site": True}


SETTINGS: dict[str, Any] = {
    "nothing is set": ({}, FINE),
    "no SDK is there to differ from": ({"has_sdk": False, "api_base_path": "/api"}, FINE),
    "another API": ({"api_domain": OTHER}, DIFFERS.format("API_DOMAIN")),
    "the same API": ({"api_domain": API}, FINE),
    "the same API with its port": (at(f"{API}:443") | {"api_domain": API}, FINE),
    "another path": ({"api_base_path": "/api"}, DIFFERS.format("API_BASE_PATH")),
    "the same path": ({"api_base_path": "/auth/"}, FINE),
    "other cookies": ({"cookie_domain": "www.example.com"}, DIFFERS.format("COOKIE_DOMAIN")),
    "the same cookies": ({"cookie_domain": "example.com"}, FINE),
    "an issuer without its path": ({"issuer": API}, "problem settings SSR_SESSION_ISSUER diff"),
    "the SDK's issuer": ({"issuer": f"{API}/auth"}, FINE),
    "refresh at sign-in": ({"refresh_path": "/auth"}, ONE_PATH),
    "sign-in at refresh": ({"login_url": "/refresh-session/?a=b"}, ONE_PATH),
    "sign-in below refresh": ({"login_url": "/refresh-session/in"}, FINE),
    "sign-in by a function": ({"login_url": lambda _: "/in"}, FINE),
    "a function leads to refresh": ({"login_url": lambda _: "/refresh-session"}, ONE_PATH),
    "a function that fails": ({"login_url": lambda _: None}, f"warning {LOGIN_URL} gives no"),
    "no such endpoint": ({"login_url": "in"}, f"problem {LOGIN_URL} is 'in': the app has no"),
    "two sources of keys": (JWKS | URI, "warning settings SSR_SESSION_JWKS is set, so"),
    "keys that are given": (JWKS, FINE),
    "keys that are fetched": (URI, FINE),
    "cross-site": ({"insecure_cross_site": True}, ON.format("CROSS_SITE")),
    "keys in the clear": ({"insecure_jwks_http": True}, ON.format("JWKS_HTTP")),
    "two faults": (TWO, (DIFFERS.format("API_DOMAIN"), ON.format("CROSS_SITE"))),
}
test_settings = table(check_settings.check_settings, SETTINGS)


# Browsers block plain requests of encrypted pages; no cookie works across schemes.
FAR = {"site": PLAIN, "sdk": {"website_origin": PLAIN}}
NEAR = {"site": LOCAL, **at(f"https{LOCAL[4:]}:8443", website_origin=LOCAL)}


SITES: dict[str, Any] = {
    "two origins": ({}, f"ok site the site is at {PAGES}, and the API at {API}"),
    "no site": ({"site": None}, "warning site the site's address is unknown, so cookies"),
    "no SDK names the site": ({"has_sdk": False}, "ok site"),
    "the SDK names another": ({"site": OTHER}, f"warning site…is {PAGES}, but…checks {OTHER}"),
    "a plain API, encrypted pages": (at("http://api.example.com"), "problem site…https and"),
    "an encrypted API, plain pages": (FAR, "problem site…Secure cookies never arrive at"),
    "an encrypted API, local pages": (NEAR, "problem site…do not arrive on any other"),
    "both are plain": ({"site": PLAIN, **at(PLAIN, website_origin=PLAIN)}, "ok site"),
}
test_address_of_the_site = table(check_settings.check_site, SITES)


REQUIRED = "ok claims pages require what the SDK requires of every session: st-ev"
BROKEN = {"broken": ("it waits",)}
VIEWS = tuple(f"view{number}" for number in range(8))
FIVE = "view0, view1, view2, view3, view4"
OFF, PAGE = {"pages_require_them": False}, {"guarded_by_session": ("page.html",)}
MISSING = {"missing_pages": (("st-mfa", "/auth/mfa", "PAGES"), ("a factor", "/f", "STEP_UP"))}
NOBODY = "ok claims no recipe of the SDK requires a claim of every session"
BY_SESSION = "warning session_guards page.html shows…which does not check st-ev, st-mfa -> use"
SWITCHED_OFF = "warning claims the SDK requires st-ev, st-mfa of every session, but pages do not"

NO_VIEW = "warning cures no view of this app serves "
UNSERVED = (f"{NO_VIEW}/auth/mfa, where users without st-mfa", f"{NO_VIEW}/f, where…in STEP_UP")
UNWRITTEN = {"unwritten_factors": ("totp", "otp-email")}
TO_WRITE = "warning factors views require totp, otp-email, but…-> put multifactorauth.init()"
NO_PAGE = {"factors_without_page": ("hardware",)}
TO_NAME = "warning factors views require hardware, but no page…403 -> name a page of yours in SS"
NO_RECIPES = {"missing_recipes": ("totp", "passwordless")}
TO_ADD = "warning factors…totp, passwordless -> put totp.init() and passwordless.init() into"
UNREAD = {"unwritten_claims": (("userroles", ("role=", "permission=")), ("totp", ("x",)))}
TO_INIT = (
    "warning recipes views require role=, permission=, but…userroles, which…-> put userroles.i",
    "warning recipes views require x, but…totp, which",
)
NO_LOADER = "problem user_loader views require user=True, but…-> write a function"
INNER = "ok inner_calls require_session() is called in the code of a, b;"

CLAIMS: dict[str, Any] = {
    "no fault": ("claims", {}, f"{REQUIRED}, st-mfa"),
    "no SDK": ("claims", {"added": None}, "ok claims no SDK in this process says"),
    "no recipe": ("claims", {"added": ()}, NOBODY),
    "switched off": ("claims", OFF, SWITCHED_OFF),
    "a broken override": ("claims", BROKEN, "warning claims for a made-up user…, it waits; p"),
    "an excused view": ("claims", {"waived": ("welcome",)}, f"{REQUIRED}…except on welcome"),
    "many excused views": ("claims", {"waived": VIEWS}, f"{REQUIRED}…on {FIVE} and 3 more"),
    "nobody is pending": ("pending", {}, ""),
    "a view for the pending": ("pending", {"pending": ("code",)}, "ok pending…see code be"),
    "five views for them": ("pending", {"pending": VIEWS[:5]}, f"ok pending…{FIVE} before"),
    "all pages of claims are served": ("cures", {}, ""),
    "two are not": ("cures", MISSING, UNSERVED),
    "all factors are written": ("factors", {}, ""),
    "two factors are not": ("factors", UNWRITTEN, TO_WRITE),
    "no page asks for a factor": ("factors", NO_PAGE, TO_NAME),
    "recipes are missing": ("factors", NO_RECIPES, TO_ADD),
    "all claims are written": ("recipes", {}, ""),
    "two recipes do not write them": ("recipes", UNREAD, TO_INIT),
    "no user is missing": ("user_loader", {}, ""),
    "users cannot be loaded": ("user_loader", {"lacks_user_loader": True}, NO_LOADER),
    "no calls hide requirements": ("inner_calls", {}, ""),
    "two calls are listed": ("inner_calls", {"inner_calls": ("a", "b")}, INNER),
    "templates decide by needs_refresh": ("session_guards", {}, ""),
    "a template decides by g.session": ("session_guards", PAGE, BY_SESSION),
    "it does, but no recipe": ("session_guards", {**PAGE, "added": ()}, ""),
    "it does, but switched off": ("session_guards", {**PAGE, **OFF}, ""),
}


@rows("check, claims, expected", CLAIMS)
def test_claims_that_the_sdk_and_the_views_require(
    check: str, claims: dict[str, Any], expected: Expected
) -> None:
    findings = getattr(check_claims, f"check_{check}")(make_environment(claims=claims))
    assert_findings(findings, expected)


@rows("is_first, expected", {"before": (True, "problem middleware app.bef"), "after": (False, "")})
def test_hook_that_stands_before_the_middleware(is_first: bool, expected: Expected) -> None:
    environment = make_environment()
    app: Flask = environment.state.app
    app.add_url_rule("/<path:page>", "all", lambda page: page, methods=["GET", "POST"])
    if is_first:
        app.before_request(require_session)
    Middleware(app)
    app.before_request(require_session)
    assert_findings(check_middleware(environment), expected)
