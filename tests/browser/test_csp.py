"""The pages work under an app's Content-Security-Policy, and no user's text becomes a script."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Response, expect

from flask_ssr_session.testing import SessionSigner

from ..tables import rows
from ..tokens import make_token
from . import act, see
from .app_pages import CANARY, CLOBBERING
from .conftest import Serve, Site, both_engines

# Playwright gets no violations from Firefox, so the page logs them; `context` fails on the text.
TELL_VIOLATIONS = """addEventListener("securitypolicyviolation", (event) => console.error(
    `Content Security Policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`))"""
PANEL, ACCOUNT, DASHBOARD = "/panel/", "/account", "/dashboard"
BY_HAND = "/refresh-session?redirectBack=/account"


@pytest.fixture
def site(serve: Serve) -> Site:
    """The app with nonces, and the policy that the cookie ``policy`` names."""
    return serve(OVERRIDES="policies")


def policy_of(response: Response) -> str | None:
    is_document = response.request.is_navigation_request() and not 300 <= response.status < 400
    return response.headers.get("content-security-policy", "") if is_document else None


def expect_style(page: Page) -> None:
    """Expect that the style sheet of this package applies."""
    expect(page.locator(".ssr-session")).to_have_css("text-align", "center")


NONCES = {
    "content_security_policy_nonce_in": ["script-src", "style-src"],
    "content_security_policy": {
        **dict.fromkeys(("connect-src", "img-src"), "'self'"),
        **dict.fromkeys(("script-src", "style-src"), ""),
        "default-src": "'none'",
    },
}


TRUSTED, DYNAMIC = "require-trusted-types-for", "'strict-dynamic'"


@rows(
    "engine, talisman, policy, words",
    {
        "self and trusted types": ("chromium", None, "self", TRUSTED),
        "self and trusted types, in Firefox": ("firefox", None, "self", TRUSTED),
        "strict-dynamic": ("chromium", None, "strict-dynamic", DYNAMIC),
        "strict-dynamic, in Firefox": ("firefox", None, "strict-dynamic", DYNAMIC),
        "Talisman": ("chromium", {}, "", "default-src 'self'; object-src 'none'"),
        "Talisman with nonces": ("chromium", NONCES, "", "script-src  'nonce-"),
    },
)
def test_every_page_of_ours_works_under_a_strict_policy(
    serve: Serve, page: Page, talisman: dict[str, Any] | None, policy: str, words: str
) -> None:
    told = {} if talisman is None else {"TALISMAN": json.dumps(talisman)}
    site = serve(OVERRIDES="policies", **told)
    page.add_init_script(TELL_VIOLATIONS)
    site.plant(page.context, policy=policy)
    policies = see.events(page, "response", policy_of)
    user = site.sign_up(page)
    for path in (ACCOUNT, DASHBOARD, BY_HAND, *(["/given-nonce"] if policy else [])):
        site.expire(page)
        site.show(page, path, user)

    page.evaluate("document.body.append(document.createElement('textarea'))")
    page.fill("textarea", "half")
    page.context.clear_cookies(name="sFrontToken")
    page.evaluate(act.FOCUS)
    expect(page.get_by_role("heading")).to_have_text("You are signed out")
    expect_style(page)

    site.expire(page)
    site.core.stop_refresh_endpoint()
    page.goto(site.url(DASHBOARD))
    see.cause(page, "status")
    expect_style(page)
    site.core.start_refresh_endpoint()
    act.try_again(page)
    see.user(page, user)

    site.expire(page)
    act.post_form(page, site.url("/form"))
    see.part(page, "renewed")
    expect_style(page)

    with site.outage(page):
        page.goto(site.url(ACCOUNT))
        expect(page.get_by_role("heading")).to_have_text("This page cannot be shown right now")
        expect_style(page)

    page.context.clear_cookies(name=re.compile("^s"))
    for path in (ACCOUNT, DASHBOARD):
        page.goto(site.url(path))
        page.wait_for_url(site.url(f"/auth?redirectToPath={path}"))
    assert [text for text in policies if words not in text] == []


@both_engines
def test_our_own_policy_allows_our_pages_and_forbids_the_rest(site: Site, unwatched: Page) -> None:
    page = unwatched
    told = see.console(page, "Content Security Policy: ")
    page.add_init_script(TELL_VIOLATIONS)
    site.signed_up_and_expired(page)
    site.core.stop_refresh_endpoint()
    policies = see.events(page, "response", policy_of)
    page.goto(site.url(ACCOUNT))
    see.cause(page, "status")
    expect_style(page)
    assert ["default-src 'none'" in policy for policy in policies] == [True]
    assert told == []
    # Twin: what a policy forbids is noticed.
    page.goto(site.url(raw("<script>pwned=1</script>")))
    assert [text for text in told if "script-src" in text]
    assert page.evaluate("window.pwned") is None


@rows("talisman", {"with our headers": {}, "with Talisman's": {"TALISMAN": "{}"}})
def test_only_the_site_itself_may_frame_our_pages(
    serve: Serve, hostile: Site, unwatched: Page, talisman: dict[str, str]
) -> None:
    site, page = serve(OVERRIDES="policies", **talisman), unwatched
    user = site.sign_up(page)
    for path in (ACCOUNT, BY_HAND):
        site.expire(page)
        # Another port is another origin, but the same site: cookies go into its frames.
        page.goto(hostile.url(f"/framer?of={quote(site.url(path))}"))
        page.wait_for_function("document.title === '1'")
        assert page.frame_locator("iframe").locator(".ssr-session").count() == 0, path
        assert site.refresh_calls() == 0, path
        page.goto(site.url(f"/framer?of={quote(site.url(path))}"))
        expect(page.frame_locator("iframe").locator(see.USER)).to_have_text(user)
        assert site.refresh_calls() == 1, path


# --- text of users -------------------------------------------------------------------------------

# True where something of a canary is more than text. Our pages have no handler and no inline
# script, only links to the web, and no template renders what comes out of it.
SPOILED = """() => window.pwned !== undefined
    || document.querySelector("[onerror], [onload], [src=x], style, script:not([src])") !== null
    || [...document.scripts].some((script) => !script.src.startsWith(location.origin))
    || [...document.querySelectorAll("[href], [action]")].some(
        (it) => !/^https?:/.test(it.href || it.action))
    || document.documentElement.outerHTML.includes(7 * 191)"""

CLAIMS: dict[str, Any] = {
    "roles": ["admin", CANARY],
    "permissions": [CANARY],
    "tenant_id": CANARY,
    CANARY: {CANARY: [CANARY, "javascript:pwned=1"]},
}
# A domain holds no slash and no blank; browsers end the script at our own closing tag.
CANARY_FOR_SETTINGS = '"><script>pwned=1<!--{{7*191}}${pwned=1}'
ENCODED = quote(CANARY, safe="")
QUERY = f"{ENCODED}?{ENCODED}={ENCODED}#{ENCODED}"
TARGETS = (CANARY, f"/{CANARY}", f"/?{CANARY}#{CANARY}", "javascript:pwned=1//")
PROBLEM = "[data-ssr-part=problem]"


@pytest.fixture
def hostile(serve: Serve, page: Page) -> Site:
    """A site with settings as hostile as the checks permit, whose policy allows every script."""
    settings = {
        "JWKS": json.dumps({"keys": [SessionSigner().jwk()]}),
        "LOGIN_URL": f"/auth?hint={CANARY_FOR_SETTINGS}",
        "COOKIE_DOMAIN": CANARY_FOR_SETTINGS,
        "API_BASE_PATH": "/hostile/auth",
    }
    prefixed = {f"EXAMPLE_SSR_SESSION_{name}": value for name, value in settings.items()}
    site = serve(OVERRIDES="policies", **prefixed)
    site.plant(page.context, policy="anything")
    return site


def plant_token(site: Site, page: Page, issued_at: int = 1_700_000_000) -> None:
    """Store a token whose user is the canary."""
    site.plant(page.context, sAccessToken=make_token(user_id=CANARY, issued_at=issued_at))


def raw(text: str) -> str:
    return f"/raw?text={quote(text)}"


def assert_unspoiled(page: Page, url: str) -> None:
    assert not page.evaluate(SPOILED), (url, page.content())


def visit(site: Site, page: Page, path: str, ready: str) -> None:
    """Open *path*, wait for the element *ready*, and look for anything that was let through."""
    page.goto(site.url(path))
    expect(page.locator(ready).first).to_be_visible()
    assert_unspoiled(page, path)


def test_the_canary_is_alive(hostile: Site, page: Page) -> None:
    page.goto(hostile.url(raw(CANARY)))
    page.wait_for_function("window.pwned === 1")
    assert page.evaluate(SPOILED)
    page.goto(hostile.url(raw(f'<p data-x="{CANARY_FOR_SETTINGS}"></script>')))
    assert page.evaluate("window.pwned") == 1
    page.goto(hostile.url(raw("<a href='javascript:pwned=1'>link</a>")))
    assert page.evaluate(SPOILED)
    visit(hostile, page, raw("<a href='/'>link</a>"), "a")


@rows("made", {"on the refresh page": 1_700_000_000, "in an outage": 4_000_000_000})
def test_no_address_becomes_script(hostile: Site, page: Page, made: int) -> None:
    plant_token(hostile, page, made)
    ready = PROBLEM if made < 2_000_000_000 else ".ssr-session-title"
    unencoded = f"/behind/{CANARY}?{CANARY}={CANARY}#{CANARY}"
    script = f"/decides/{ENCODED}?next=javascript:pwned=1//#javascript:pwned=1//"
    for path in (unencoded, f"/behind/{QUERY}", script, "/texts", "/nonce"):
        visit(hostile, page, path, ready)
    for target in TARGETS if ready == PROBLEM else ():
        for name in ("redirectBack", "optional=1&redirectBack"):
            visit(hostile, page, f"/refresh-session?{name}={quote(target)}", PROBLEM)


def test_no_address_becomes_script_on_the_way_to_sign_in(hostile: Site, page: Page) -> None:
    for path in ("behind", "decides"):
        page.goto(hostile.url(f"/{path}/{QUERY}"))
        page.wait_for_url(re.compile("/auth.*redirectToPath="))
        assert_unspoiled(page, path)
        # After a form was sent, nothing leads away by itself.
        page.goto(hostile.url(PANEL))
        act.post_form(page, f"/{path}/{ENCODED}?{ENCODED}")
        expect(page.get_by_text("so nothing was sent")).to_be_visible()
        assert_unspoiled(page, f"form for {path}")
    for target in TARGETS:
        visit(hostile, page, f"/auth?redirectToPath={quote(target)}", "form")


@pytest.mark.parametrize(
    ("answer", "cause"),
    [("403-claims", "status"), ("200-junk", "answer"), ("200-claims", "unchanged")],
)
def test_no_word_of_the_api_is_script(hostile: Site, page: Page, answer: str, cause: str) -> None:
    """Status text, headers and body hold the canary, and the front token if there is one."""
    plant_token(hostile, page)
    hostile.plant(page.context, answer=answer)
    visit(hostile, page, "/decides/it", f"[data-ssr-cause={cause}]")


def test_nothing_that_the_browser_remembers_becomes_script(hostile: Site, page: Page) -> None:
    plant_token(hostile, page)
    page.add_init_script(
        f"""const canary = {json.dumps(CANARY)};
        for (const part of [canary, JSON.stringify({{ at: canary, token: canary }})]) {{
            sessionStorage.setItem('{see.MARKER}', part);
            window.name = '{see.MARKER}' + part;
        }}
        for (const name of ['sFrontToken', '{see.UPDATE}'])
            document.cookie = `${{name}}=${{encodeURIComponent(canary)}}; path=/`;
        addEventListener('DOMContentLoaded', () => {{ document.title = canary }});"""
    )
    page.goto(hostile.url(f"/auth?{ENCODED}"))
    for path in ("/behind/it", "/decides/it"):
        with page.expect_navigation():  # with a referrer
            page.evaluate("path => { location.href = path }", path)
        expect(page.locator(PROBLEM)).to_be_visible()
        assert_unspoiled(page, path)


# --- content that shadows names in the script ----------------------------------------------------

OF_THE_BROWSER = (
    "sessionStorage,localStorage,navigator,locks,location,history,performance,name,top,parent,"
    "currentScript,querySelector,querySelectorAll,addEventListener,visibilityState,prerendering,"
    "documentElement,body,defaultView"
)
OF_THE_SDK = "supertokensWebsite,__supertokensOriginalFetch,__supertokensSessionRecipe"


@rows(
    "kind, names",
    {
        "images named like the browser's": ("image", OF_THE_BROWSER),
        "forms named like the browser's": ("form", OF_THE_BROWSER),
        **{f"{kind} named like the SDK's": (kind, OF_THE_SDK) for kind in CLOBBERING},
    },
)
def test_content_may_take_any_names(site: Site, page: Page, kind: str, names: str) -> None:
    site.plant(page.context, policy="anything")
    user = site.signed_up_and_expired(page)
    site.show(page, f"/clobbered/{kind}/{names}", user)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(site.url("/"))
