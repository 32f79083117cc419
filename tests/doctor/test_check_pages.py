"""The checks of the refresh page, its script, its policy, and of the sign-in page."""

from __future__ import annotations

from time import perf_counter
from types import SimpleNamespace
from typing import Any

import pytest

from flask_ssr_session.doctor import check_pages
from flask_ssr_session.doctor.csp import blocked_directives
from flask_ssr_session.doctor.page_files import PageFile, find_script
from flask_ssr_session.doctor.probes import RETURN_PATH, Answer, next_url
from flask_ssr_session.pages import assets
from flask_ssr_session.upstream.fetch import FetchedResponse
from tests.tables import rows

from . import factories
from .factories import API, DOWN, PAGES, Expected, assert_findings, make_environment, reply, table

REFRESH_PAGE = f"{PAGES}/refresh-session"
PAGE = (
    '<link rel="stylesheet" href="/refresh-session/ssr-session-0a.css" nonce="abc">'
    '<script src="/refresh-session/ssr-session-0b.js" nonce="abc" data-mode="refresh"'
    ' data-return-to="/flask-ssr-session-doctor"></script>'
)
BARE = PAGE.replace(' nonce="abc"', "")
LAYOUT = PAGE.replace('"refresh"', '"session"').replace("abc", "of the layout")


def shown(status: int = 200, page: str = PAGE, **headers: Any) -> FetchedResponse:
    usual = {"Cache_Control": "no-store", "Content_Type": "text/html; charset=utf-8"}
    if "csp" in headers:
        headers["Content_Security_Policy"] = headers.pop("csp")
    return reply(page, status, **{**usual, **headers})


WELL = "ok refresh_page /refresh-session shows the refresh page"
ALLOWED = "ok csp the Content-Security-Policy allows the refresh page"
BOTH = (WELL, ALLOWED)
STORED = ("problem refresh_page caches may store /refresh-session", ALLOWED)
SOURCE = ("problem refresh_page /refresh-session is not sent as HTML", ALLOWED)
NO_QUERY = "problem refresh_page the query of a URL does not reach the app…-> make the proxy pass"
OTHER = "problem refresh_page /refresh-session does not show the refresh page (status {}) -> {}"
HOOKS, URL = "make hooks of the app, and proxies in front of it", "pass --url with the front page"


def blocked(*directives: str) -> tuple[str, str]:
    return WELL, f"problem csp…blocks the refresh page ({', '.join(directives)}) -> allow 'self'"


SENT: dict[str, Any] = {
    "as it is sent": (shown(), BOTH),
    "not to be cached in a second line": (shown(Cache_Control=("private", "NO-STORE")), BOTH),
    "without a word on caches": (shown(Cache_Control=()), STORED),
    "as text": (shown(Content_Type="text/plain"), SOURCE),
    "without a type": (shown(Content_Type=()), SOURCE),
    "without its query": (shown(page=PAGE.replace(RETURN_PATH, "/")), (NO_QUERY, ALLOWED)),
    "another page": (shown(page="sign in"), OTHER.format(200, HOOKS)),
    "with the script of session_script() only": (shown(page=LAYOUT), OTHER.format(200, HOOKS)),
    "not quite": (shown(299), OTHER.format(299, HOOKS)),
    "redirected": (shown(300), OTHER.format(300, URL)),
    "redirected at last": (shown(399), OTHER.format(399, URL)),
    "rejected": (shown(400), OTHER.format(400, HOOKS)),
    "an outage of the app's own": (shown(503, SSR_Session="x"), OTHER.format(503, HOOKS)),
    "not found": (shown(404), OTHER.format(404, URL)),
    "not at all": (DOWN, f"problem refresh_page nothing responds at www.example.com ({DOWN})"),
    "without leave for the API": (shown(csp="default-src 'self'"), blocked("connect-src")),
    "with leave for the API": (shown(csp=f"default-src 'self'; connect-src {API}"), BOTH),
    "under two policies": (shown(csp=(f"connect-src {API}", "style-src 'nonce-abc'")), BOTH),
    "under another nonce": (shown(csp="style-src 'nonce-x'"), blocked("style-src")),
    "with its nonce": (shown(page=LAYOUT + PAGE, csp="script-src 'nonce-abc'"), BOTH),
    "without a nonce": (shown(page=BARE, csp="script-src 'nonce-abc'"), blocked("script-src")),
    "without a style sheet": (shown(page=PAGE.partition(">")[2], csp="style-src 'none'"), BOTH),
}


@rows("answer, expected", SENT)
def test_refresh_page_is_html_not_cached_and_allowed(answer: Answer, expected: Expected) -> None:
    environment = make_environment(refresh_page=answer)
    checks = check_pages.check_refresh_page, check_pages.check_csp
    assert_findings([found for check in checks for found in check(environment)], expected)


CACHED = "problem caches a cache on the way stores pages against Cache-Control…-> turn it off for"

CACHES: dict[str, Any] = {
    "no cache says a word": (shown(), ""),
    "silence": (DOWN, ""),
    "an age": (shown(Age="1"), CACHED),
    "an age of ten": (shown(Age="10"), CACHED),
    "no age": (shown(Age="0"), ""),
    "no number": (shown(Age="x"), ""),
    "a page that caches may store": (shown(Age="1", Cache_Control="private"), ""),
    "a hit": (shown(X_Cache="HIT"), CACHED),
    "a hit of the second of two": (shown(X_Cache=("MISS", "Hit from x")), CACHED),
    "a hit of squid": (shown(X_Cache="TCP_HIT from x"), CACHED),
    "a hit of nginx": (shown(X_Cache_Status="HIT"), CACHED),
    "a hit of Cloudflare": (shown(CF_Cache_Status="HIT"), CACHED),
    "a hit of the standard": (shown(Cache_Status="x; hit; ttl=9"), CACHED),
    "a miss": (shown(X_Cache="MISS from white.example"), ""),
    "a hit the second time": ({"repeated_page": shown(X_Cache="HIT")}, CACHED),
    "a miss the second time": ({"repeated_page": shown(X_Cache="MISS")}, ""),
}
test_refresh_page_has_to_come_from_the_app = table(check_pages.check_caches, CACHES, "refresh_page")


def test_site_and_api_of_two_hosts_are_both_reported() -> None:
    down = make_environment(refresh_api=reply(status=502), refresh_page=reply(status=502))
    assert_findings(check_pages.check_refresh_page(down), "problem refresh_page the site at www.ex")


def test_pages_that_were_not_requested_give_no_finding() -> None:
    environment = make_environment(site=None, refresh_page=None, script=None, sign_in=None)
    for name in ("refresh_page", "csp", "script", "sign_in"):
        assert_findings(getattr(check_pages, f"check_{name}")(environment), "")


def script_url(answer: Answer) -> str | None:
    script = find_script(factories.result(REFRESH_PAGE, answer))
    return script and script.url


NAME = "ssr-session-0b.js"

SOURCES: dict[str, Any] = {
    "its place": (f"/refresh-session/{NAME}", f"{PAGES}/refresh-session/{NAME}"),
    "below a mount point": (f"/mounted/refresh/{NAME}", f"{PAGES}/mounted/refresh/{NAME}"),
    "another site": (f"https://other.example/{NAME}", None),
    "another host": (f"//other.example/{NAME}", None),
    "no host": (f"http://[/{NAME}", None),
    # URL parsers drop tabs and line ends, and read a backslash as a slash.
    "another host after a tab": (f"/\t/other.example/{NAME}", None),
    "another host after a line end": (f"/\n/other.example/{NAME}", None),
    "another host after a backslash": (f"/\\other.example/{NAME}", None),
}


@rows("source, at", SOURCES)
def test_script_is_requested_from_the_site_only(source: str, at: str | None) -> None:
    page = f'<script src="{source}" data-mode="refresh"></script>'
    assert script_url(reply(page)) == at
    assert script_url(reply(page, 404)) is script_url(DOWN) is None


@pytest.mark.parametrize(
    "piece", ['<script src="/a/ssr-session-a.js"', '<script src="/ssr-session-a', "/ssr-session-"]
)
def test_large_page_without_an_end_is_read_quickly(piece: str) -> None:
    page = reply('<script src="/' + piece * (1024 * 1024 // len(piece)))
    began = perf_counter()
    assert script_url(page) is None
    # It takes a tenth of a second; an expression that backtracks takes minutes.
    assert perf_counter() - began < 20


# --- policies ------------------------------------------------------------------------------------

LOADS = [
    ("script-src", PageFile(f"{PAGES}/s/ssr.js", "abc")),
    ("style-src", PageFile(f"{PAGES}/s/ssr.css", None)),
    ("connect-src", PageFile(f"{API}/auth/session/refresh", None)),
]
ALL, JS, CSS, CONNECT = "script-src style-src connect-src", "script-src", "style-src", "connect-src"

POLICIES: dict[str, Any] = {
    "no policy": ("", ""),
    "a policy on pictures": ("img-src 'none'", ""),
    "nothing is allowed": ("default-src 'none'", ALL),
    "everything is": ("DEFAULT-SRC *", ""),
    "the site and the API are": (f"default-src 'self' {API}", ""),
    "the site is, the API not": ("default-src 'self'", CONNECT),
    "'self' in capitals": ("script-src 'SELF'", ""),
    "a scheme": ("default-src https:", ""),
    "a lower scheme is the upper, too": ("default-src http:", ""),
    "another scheme": ("script-src data:", JS),
    "another scheme and this": ("default-src *; script-src data: https:", ""),
    "all hosts of a scheme": ("script-src https://*", ""),
    "a scheme of sockets": ("script-src wss://www.example.com", JS),
    "all subdomains": ("default-src *.example.com", ""),
    "half a label": ("default-src *.ample.com", ALL),
    "a longer label": ("script-src aww.example.com", JS),
    "subdomains of the host": ("script-src *.www.example.com", JS),
    "another port": ("connect-src api.example.com:8443", CONNECT),
    "any port": ("connect-src api.example.com:*", ""),
    "the default port": ("script-src https://www.example.com:443", ""),
    "the plain default port": ("script-src http://www.example.com:80", JS),
    "the plain host": ("connect-src http://api.example.com", ""),
    "a folder": (f"connect-src {API}/auth/", ""),
    "a file that is a folder": (f"connect-src {API}/auth", CONNECT),
    "the root": (f"connect-src {API}/", ""),
    "a query is no scheme": ("script-src www.example.com/s/?x=://y", JS),
    "its nonce": ("script-src 'nonce-abc'", ""),
    "another nonce": ("script-src 'nonce-abd'", JS),
    "a nonce of nothing": ("style-src 'nonce-None'", CSS),
    "strict-dynamic takes no host": ("script-src 'Strict-Dynamic' 'self'", JS),
    "strict-dynamic takes a nonce": ("script-src 'strict-dynamic' 'nonce-abc'", ""),
    "strict-dynamic is for scripts": ("default-src 'strict-dynamic' *", JS),
    "no source": ("script-src", JS),
    "elements come first": ("script-src 'none'; script-src-elem 'self'", ""),
    "style elements come first": ("style-src 'none'; style-src-elem 'self'", ""),
    "the default comes last": ("default-src 'none'; script-src *; style-src *", CONNECT),
    "the first of two counts": ("script-src 'self'; script-src 'none'", ""),
    "empty parts": ("script-src 'self';; ", ""),
    "two headers have to allow it": ("script-src 'self' | script-src 'none'", JS),
    "two policies have to allow it": ("img-src 'self', script-src 'none'", JS),
    "a sandbox": ("sandbox", "sandbox"),
    "a sandbox with scripts": ("sandbox allow-scripts", "sandbox"),
    "a sandbox with scripts and cookies": ("sandbox Allow-Scripts allow-same-origin", ""),
    "a sandbox and more": ("img-src * | sandbox; script-src 'none'", f"{JS} sandbox"),
}


@rows("policies, blocked", POLICIES)
def test_policy_is_read_as_browsers_read_it(policies: str, blocked: str) -> None:
    headers = policies.split(" | ") if policies else []
    assert blocked_directives(headers, REFRESH_PAGE, LOADS) == blocked.split()


A, HTTP, A8443 = "https://a.example", "http://a.example", "https://a.example:8443"

PORTS: dict[str, Any] = {
    "everything, at any port": ("*", A8443, A8443, False),
    "a scheme, at its default port": ("https://*", A8443, A8443, True),
    "all hosts at a port": ("*:8443", A8443, A8443, False),
    "itself, at a port": ("'self'", A8443, A8443, False),
    "itself, at another port": ("'self'", A8443, "https://a.example:8444", True),
    "itself, at the default port": ("'self'", f"{A}:443", A, False),
    "itself, another host": ("'self'", A, "https://b.example", True),
    "itself, another scheme": ("'self'", HTTP, A, True),
    "the plain default port": ("a.example:80", HTTP, HTTP, False),
    "the page's plain scheme": ("a.example", HTTP, HTTP, False),
    "the page's plain scheme, or the upper": ("a.example", HTTP, A, False),
    "the page's upper scheme": ("a.example", A, HTTP, True),
}


@rows("policy, page, script, is_blocked", PORTS)
def test_ports_of_a_policy(policy: str, page: str, script: str, is_blocked: bool) -> None:
    loads = [("script-src", PageFile(f"{script}/ssr.js", None))]
    found = blocked_directives([f"script-src {policy}"], f"{page}/refresh-session", loads)
    assert found == ["script-src"] * is_blocked


# --- the script and the sign-in page -------------------------------------------------------------

NO_SCRIPT = "problem script…not sent as JavaScript"
MISSING = "problem script the refresh page's script is missing ({}) -> make proxies"

SCRIPTS: dict[str, Any] = {
    "as installed": ("code", 200, {}, "ok script browsers receive the script unchanged"),
    "another": ("other", 200, {}, "warning script the site serves a different script"),
    "compressed": ("code", 200, {"Content_Encoding": "gzip"}, "warning script…is compressed"),
    "as a page": ("code", 200, {"Content_Type": "text/html"}, NO_SCRIPT),
    "without a type": ("code", 200, {"Content_Type": ()}, NO_SCRIPT),
    "not found": ("code", 404, {}, MISSING.format("status 404")),
    "nothing responds": (None, 0, {}, MISSING.format(DOWN)),
}


@rows("body, status, headers, expected", SCRIPTS)
def test_script_has_to_arrive_unchanged(
    body: str | None, status: int, headers: Any, expected: Expected, monkeypatch: Any
) -> None:
    monkeypatch.setattr(assets, "script", lambda: SimpleNamespace(content=b"code"))
    usual = {"Content_Type": "text/javascript; charset=utf-8"}
    answer = DOWN if body is None else reply(body, status, **usual | headers)
    assert_findings(check_pages.check_script(make_environment(script=answer)), expected)


OPEN = "ok sign_in the sign-in page responds at www.example.com"
CLOSED = (
    "problem sign_in the sign-in page itself requires a session, so no visitor can ever sign in -> "
    "let visitors without a session in: remove the decorator or hook that requires"
)
FAILS = "problem sign_in the sign-in page fails (status 500) -> see the log of the server"
RESPONDS = "problem sign_in the sign-in page responds with status {} -> set SSR_SESSION_LOGIN_URL"
NO_PAGE = "problem sign_in visitors are sent to a sign-in page that does not exist -> add a view"
NO_SDK = "warning sign_in the sign-in page has no session_script()…-> add {{ session_script() }} to"
OURS: dict[str, Any] = {"SSR_Session": "anonymous; reason=anonymous"}


def to(location: str, status: int = 302, **headers: str) -> FetchedResponse:
    return reply(status=status, Location=location, **headers)


SIGN_INS: dict[str, Any] = {
    "a page with session_script()": (reply(LAYOUT), OPEN),
    "a page with SuperTokens' SDK": (reply("<SCRIPT src=/SuperTokens.js></SCRIPT>"), OPEN),
    "a page with the SDK in its script": (reply("<script>supertokens.init()"), OPEN),
    "a page with another script": (reply("<script src=/x.js></script>supertokens"), NO_SDK),
    "a page without a script": (reply(LAYOUT.replace("<script", "<link"), 299), NO_SDK),
    "a redirect to another page": (to("/auth/login"), OPEN),
    "a redirect to another site": (to("https://id.example.net/auth"), OPEN),
    "a redirect to itself": (to("/auth?next=/auth"), CLOSED),
    "a redirect back to the first page": (to("/enter"), CLOSED),
    "a redirect of this package": (to("/auth/login", **OURS), CLOSED),
    "a last redirect": (reply(status=399), OPEN),
    "a bad request": (reply(status=400), RESPONDS.format(400)),
    "unauthorised": (reply(status=401), CLOSED),
    "forbidden": (reply(status=403), CLOSED),
    "not found": (reply(status=404), NO_PAGE),
    "no pages": (reply(status=405), RESPONDS.format(405)),
    "a last status of visitors": (reply(status=499), RESPONDS.format(499)),
    "an error": (reply(status=500), FAILS),
    "a proxy": (reply(status=502), "problem sign_in the sign-in page at www.example.com does n"),
    "silence": (DOWN, f"problem sign_in nothing responds at www.example.com ({DOWN}) -> set"),
}
test_visitors_without_a_session_have_to_reach_sign_in = table(
    check_pages.check_sign_in, SIGN_INS, "sign_in", login_url="/enter"
)
UPPER = "https://WWW.example.com:443/a"

REDIRECTS: dict[str, Any] = {
    "a redirect": (to("/auth/"), f"{PAGES}/auth/"),
    "a redirect to a query": (to("?a"), f"{PAGES}/auth?a"),
    "a redirect to the same site": (to(UPPER, 308), UPPER),
    "a redirect of this package": (to("/auth/", **OURS), None),
    "a redirect to another host": (to("//other.example/"), None),
    "a redirect to plain http": (to("http://www.example.com/auth"), None),
    "a redirect to no address": (to("https://[/"), None),
    "a redirect without an address": (reply(status=302), None),
    "a first redirect": (to("/auth/", 300), f"{PAGES}/auth/"),
    "a page": (to("/auth/", 299), None),
    "a bad request": (to("/auth/", 400), None),
    "silence": (DOWN, None),
}


@rows("answer, onward", REDIRECTS)
def test_only_a_redirect_on_the_same_site_is_followed(answer: Answer, onward: str | None) -> None:
    assert next_url(f"{PAGES}/auth", answer) == onward
