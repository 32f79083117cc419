"""The pages work under an app's Content-Security-Policy, and no user's text becomes a script."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response, expect

from flask_ssr_session.dev_core import DevelopmentCore
from flask_ssr_session.testing import SessionSigner

from .conftest import DOCUMENT_TIMEOUT_MS, ShiftedClock, Site, served
from .policies_app import CANARY, CLOBBERING

pytestmark = pytest.mark.browser

USER = "[data-user]"
MODULE = "tests.browser.policies_app"

# Playwright gets no violations from Firefox, so the page logs them; `context` fails on the text.
TELL_VIOLATIONS = """addEventListener("securitypolicyviolation", (event) => console.error(
    `Content Security Policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`))"""

StartSite = Callable[..., Site]


@pytest.fixture(scope="module")
def start(core: DevelopmentCore, clock: ShiftedClock) -> Iterator[StartSite]:
    """Each site is started when it is first asked for, and serves both engines."""
    started: dict[str, Site] = {}
    with ExitStack() as stack:

        def get(**environment: str) -> Site:
            key = json.dumps(environment)
            if key not in started:
                origin = stack.enter_context(
                    served(core.uri, module=MODULE, environment=environment)
                )
                started[key] = Site(origin, core, clock)
            core.start()
            core.start_key_server()
            core.start_refresh_endpoint()
            return started[key]

        yield get


def policies_of(page: Page) -> list[str]:
    """Return a list that fills with the policy of each document *page* loads."""
    policies: list[str] = []

    def note(response: Response) -> None:
        is_document = response.request.is_navigation_request()
        if is_document and not 300 <= response.status < 400:
            policies.append(response.headers.get("content-security-policy", ""))

    page.on("response", note)
    return policies


def forget_keys(site: Site, page: Page) -> None:
    page.goto(site.url("/panel/"))
    with page.expect_navigation():
        page.click("text=Clear the app's keys")


def is_styled(page: Page) -> bool:
    """Return whether the package's style sheet applies."""
    return bool(
        page.locator(".ssr-session").evaluate("it => getComputedStyle(it).textAlign === 'center'")
    )


@pytest.mark.parametrize(
    ("talisman", "policy", "words"),
    [
        pytest.param(None, "self", "require-trusted-types-for", id="self and trusted types"),
        pytest.param(None, "strict-dynamic", "'strict-dynamic'", id="strict-dynamic"),
        pytest.param("{}", "", "default-src 'self'; object-src 'none'", id="Talisman"),
        pytest.param(
            '{"content_security_policy_nonce_in": ["script-src", "style-src"],'
            '"content_security_policy": {"default-src": "\'none\'", "connect-src": "\'self\'",'
            '"img-src": "\'self\'", "script-src": "", "style-src": ""}}',
            "",
            "script-src  'nonce-",
            id="Talisman with nonces",
        ),
    ],
)
def test_every_page_of_ours_works_under_a_strict_policy(
    start: StartSite, page: Page, talisman: str | None, policy: str, words: str
) -> None:
    site = start() if talisman is None else start(TALISMAN=talisman)
    page.add_init_script(TELL_VIOLATIONS)
    if policy:
        page.context.add_cookies([{"name": "policy", "value": policy, "url": site.origin}])
    policies = policies_of(page)
    user = site.sign_up(page)

    paths = ["/account", "/dashboard", "/refresh-session?redirectBack=/account"]
    if talisman is None:
        paths.append("/given-nonce")
    for path in paths:
        site.expire(page)
        page.goto(site.url(path))
        expect(page.locator(USER)).to_have_text(user)

    site.expire(page)
    site.core.stop_refresh_endpoint()
    page.goto(site.url("/dashboard"))
    expect(page.locator("[data-ssr-cause=status]")).to_be_visible()
    assert is_styled(page)
    site.core.start_refresh_endpoint()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(USER)).to_have_text(user)

    site.expire(page)
    page.evaluate(
        """() => { const form = document.createElement('form');
        form.method = 'post'; form.action = '/form';
        document.body.append(form); form.submit() }"""
    )
    expect(page.locator("[data-ssr-part=renewed]")).to_be_visible()
    assert is_styled(page)

    site.core.stop_key_server()
    forget_keys(site, page)
    page.goto(site.url("/account"))
    expect(page.get_by_role("heading")).to_have_text("This page cannot be shown right now")
    assert is_styled(page)
    site.core.start_key_server()
    forget_keys(site, page)  # it ends the pause between two fetches

    page.context.clear_cookies(name=re.compile("^s"))
    for path in ("/account", "/dashboard"):
        page.goto(site.url(path))
        page.wait_for_url(site.url(f"/auth?redirectToPath={path}"))
    assert [text for text in policies if words not in text] == []


@pytest.fixture
def unwatched(browser: Browser) -> Iterator[Page]:
    """A page that may break a policy: the one of the other tests would object."""
    with browser.new_context() as context:
        context.set_default_timeout(DOCUMENT_TIMEOUT_MS)
        yield context.new_page()


def violations_of(page: Page) -> list[str]:
    """Return a list that fills with the violations that *page* reports."""
    told: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.text.startswith("Content Security Policy: "):
            told.append(message.text)

    page.on("console", note)
    page.add_init_script(TELL_VIOLATIONS)
    return told


def test_our_own_policy_allows_all_that_our_pages_do(start: StartSite, unwatched: Page) -> None:
    site, page = start(), unwatched
    told = violations_of(page)
    site.sign_up(page)
    site.expire(page)
    site.core.stop_refresh_endpoint()
    policies = policies_of(page)
    page.goto(site.url("/account"))
    expect(page.locator("[data-ssr-cause=status]")).to_be_visible()
    assert is_styled(page)
    assert ["default-src 'none'" in policy for policy in policies] == [True]
    assert told == []


def raw(text: str) -> str:
    return f"/raw?text={quote(text)}"


def test_what_a_policy_forbids_is_noticed(start: StartSite, unwatched: Page) -> None:
    site, page = start(), unwatched
    told = violations_of(page)
    page.goto(site.url(raw("<script>pwned=1</script>")))
    assert [text for text in told if "script-src" in text]
    assert page.evaluate("window.pwned") is None


# --- framed --------------------------------------------------------------------------------------


@pytest.mark.parametrize("talisman", [None, "{}"], ids=["our headers", "Talisman's"])
@pytest.mark.parametrize("path", ["/account", "/refresh-session?redirectBack=/account"])
def test_only_the_site_itself_may_frame_our_pages(
    start: StartSite,
    unwatched: Page,
    hostile_settings: dict[str, str],
    path: str,
    talisman: str | None,
) -> None:
    site, page = start() if talisman is None else start(TALISMAN=talisman), unwatched
    user = site.sign_up(page)
    site.expire(page)
    site.core.clear_request_log()
    # Another port is another origin, but the same site: cookies go into its frames.
    page.goto(start(**hostile_settings).url(f"/framer?of={quote(site.url(path))}"))
    page.wait_for_function("document.title === '1'")
    assert page.frame_locator("iframe").locator(".ssr-session").count() == 0
    assert site.refresh_calls() == 0
    page.goto(site.url(f"/framer?of={quote(site.url(path))}"))
    expect(page.frame_locator("iframe").locator(USER)).to_have_text(user)
    assert site.refresh_calls() == 1


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


@pytest.fixture(scope="module")
def hostile_settings(signer: SessionSigner) -> dict[str, str]:
    """Settings as hostile as the checks permit, and the test's own keys."""
    return {
        "EXAMPLE_SSR_SESSION_JWKS": json.dumps({"keys": [signer.jwk()]}),
        "EXAMPLE_SSR_SESSION_LOGIN_URL": f"/auth?hint={CANARY_FOR_SETTINGS}",
        "EXAMPLE_SSR_SESSION_COOKIE_DOMAIN": CANARY_FOR_SETTINGS,
        "EXAMPLE_SSR_SESSION_API_BASE_PATH": "/hostile/auth",
    }


# A domain holds no slash and no blank; browsers end the script at our own closing tag.
CANARY_FOR_SETTINGS = '"><script>pwned=1<!--{{7*191}}${pwned=1}'


def plant(page: Page, site: Site, **cookies: str) -> None:
    page.context.add_cookies(
        [{"name": name, "value": value, "url": site.origin} for name, value in cookies.items()]
    )


Hostile = tuple[Site, Callable[..., None]]


@pytest.fixture
def hostile(
    start: StartSite, page: Page, signer: SessionSigner, hostile_settings: dict[str, str]
) -> Hostile:
    """A site whose policy allows every script, and a function that plants a token of a user."""
    site = start(**hostile_settings)
    plant(page, site, policy="anything")

    def sign_in(**claims: Any) -> None:
        plant(page, site, sAccessToken=signer.sign(signer.claims(**(CLAIMS | claims))))

    return site, sign_in


def visit(page: Page, url: str, ready: str) -> None:
    """Open *url*, wait for the element *ready*, and look for anything that was let through."""
    page.goto(url)
    expect(page.locator(ready).first).to_be_visible()
    assert not page.evaluate(SPOILED), page.content()


PROBLEM = "[data-ssr-part=problem]"
RAN_OUT = {"issued_at": 1_700_000_000}

ENCODED = quote(CANARY, safe="")


def test_the_canary_is_alive(hostile: Hostile, page: Page) -> None:
    site, _ = hostile
    page.goto(site.url(raw(CANARY)))
    page.wait_for_function("window.pwned === 1")
    assert page.evaluate(SPOILED)
    page.goto(site.url(raw(f'<p data-x="{CANARY_FOR_SETTINGS}"></script>')))
    assert page.evaluate("window.pwned") == 1
    page.goto(site.url(raw("<a href='javascript:pwned=1'>link</a>")))
    assert page.evaluate(SPOILED)
    page.goto(site.url(raw("<a href='/'>link</a>")))
    assert not page.evaluate(SPOILED)


@pytest.mark.parametrize("kind", ["refresh", "outage"])
def test_no_part_of_an_address_becomes_script(hostile: Hostile, page: Page, kind: str) -> None:
    site, sign_in = hostile
    sign_in(user_id=CANARY, **(RAN_OUT if kind == "refresh" else {"issued_at": 4_000_000_000}))
    ready = PROBLEM if kind == "refresh" else ".ssr-session-title"
    for path in (
        f"/behind/{CANARY}?{CANARY}={CANARY}#{CANARY}",
        f"/behind/{ENCODED}?{ENCODED}={ENCODED}#{ENCODED}",
        f"/decides/{ENCODED}?next=javascript:pwned=1//#javascript:pwned=1//",
        "/texts",
        "/nonce",
    ):
        visit(page, site.url(path), ready)
    if kind == "refresh":
        for target in (CANARY, f"/{CANARY}", f"/?{CANARY}#{CANARY}", "javascript:pwned=1//"):
            for name in ("redirectBack", "optional=1&redirectBack"):
                visit(page, site.url(f"/refresh-session?{name}={quote(target)}"), PROBLEM)


def test_no_part_of_an_address_becomes_script_on_the_way_to_sign_in(
    hostile: Hostile, page: Page
) -> None:
    site, _ = hostile
    for path in ("behind", "decides"):
        page.goto(site.url(f"/{path}/{ENCODED}?{ENCODED}={ENCODED}#{ENCODED}"))
        page.wait_for_url(re.compile("/auth.*redirectToPath="))
        assert not page.evaluate(SPOILED), page.content()
        # After a form was sent, nothing leads away by itself.
        page.goto(site.url("/panel/"))
        page.evaluate(
            """address => { const form = document.createElement('form');
            form.method = 'post'; form.action = address;
            document.body.append(form); form.submit() }""",
            f"/{path}/{ENCODED}?{ENCODED}",
        )
        expect(page.get_by_text("nothing was sent")).to_be_visible()
        assert not page.evaluate(SPOILED), page.content()
    for target in (CANARY, f"/{CANARY}", "javascript:pwned=1//"):
        visit(page, site.url(f"/auth?redirectToPath={quote(target)}"), "form")


def test_no_claim_of_a_token_becomes_script(hostile: Hostile, page: Page) -> None:
    site, sign_in = hostile
    sign_in(user_id=CANARY)
    for path in ("/", "/account", "/dashboard", "/redirected"):
        visit(page, site.url(path), USER)
        expect(page.locator(USER)).to_have_text(CANARY.strip())
    visit(page, site.url("/admin"), "[data-admin]")
    visit(page, site.url("/form"), "form")
    visit(page, site.url(f"/behind/{ENCODED}"), "body")
    visit(page, site.url("/live"), "[data-live] >> text=with a token")
    sign_in(user_id=CANARY, roles=[CANARY])
    visit(page, site.url("/admin"), "text=Not for you")
    visit(page, site.url(f"/{ENCODED}"), "text=No such page")


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        ("500-none", "status"),
        ("403-claims", "status"),
        ("200-none", "answer"),
        ("200-junk", "answer"),
        ("200-claims", "unchanged"),
    ],
)
def test_nothing_that_the_refresh_api_says_becomes_script(
    hostile: Hostile, page: Page, answer: str, cause: str
) -> None:
    """Status text, headers and body hold the canary, and the front token if there is one."""
    site, sign_in = hostile
    sign_in(user_id=CANARY, **RAN_OUT)
    plant(page, site, answer=answer)
    visit(page, site.url("/decides/it"), f"[data-ssr-cause={cause}]")


def test_nothing_that_the_browser_remembers_becomes_script(hostile: Hostile, page: Page) -> None:
    site, sign_in = hostile
    sign_in(user_id=CANARY, **RAN_OUT)
    page.add_init_script(
        f"""const canary = {json.dumps(CANARY)};
        for (const part of [canary, JSON.stringify({{ at: canary, token: canary }})]) {{
            sessionStorage.setItem('ssr-session-refreshed', part);
            window.name = 'ssr-session-refreshed' + part;
        }}
        document.cookie = `sFrontToken=${{encodeURIComponent(canary)}}; path=/`;
        document.cookie = `st-last-access-token-update=${{encodeURIComponent(canary)}}; path=/`;
        addEventListener('DOMContentLoaded', () => {{ document.title = canary }});"""
    )
    page.goto(site.url(f"/auth?{ENCODED}"))
    for path in ("/behind/it", "/decides/it"):
        with page.expect_navigation():  # with a referrer
            page.evaluate("path => { location.href = path }", path)
        expect(page.locator(PROBLEM)).to_be_visible()
        assert not page.evaluate(SPOILED), page.content()


# --- content that shadows names in the script ----------------------------------------------------

NAMES_OF_THE_BROWSER = (
    "sessionStorage,localStorage,navigator,locks,location,history,performance,name,top,parent,"
    "currentScript,querySelector,querySelectorAll,addEventListener,visibilityState,prerendering,"
    "documentElement,body,defaultView"
)
NAMES_OF_THE_SDK = "supertokensWebsite,__supertokensOriginalFetch,__supertokensSessionRecipe"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        pytest.param("image", NAMES_OF_THE_BROWSER, id="images named like the browser's"),
        pytest.param("form", NAMES_OF_THE_BROWSER, id="forms named like the browser's"),
        *(
            pytest.param(kind, NAMES_OF_THE_SDK, id=f"{kind} named like the SDK's")
            for kind in CLOBBERING
        ),
    ],
)
def test_content_that_takes_the_names_of_others_changes_nothing(
    start: StartSite, page: Page, kind: str, names: str
) -> None:
    site = start()
    plant(page, site, policy="anything")
    user = site.sign_up(page)
    site.expire(page)
    page.goto(site.url(f"/clobbered/{kind}/{names}"))
    expect(page.locator(USER)).to_have_text(user)
