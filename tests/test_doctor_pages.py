"""The doctor's checks of pages, scripts and policies."""

from __future__ import annotations

from time import perf_counter
from types import SimpleNamespace

import pytest

from flask_ssr_session.doctor.check_pages import (
    check_csp,
    check_refresh_page,
    check_script,
    check_sign_in,
)
from flask_ssr_session.doctor.csp import blocked_directives
from flask_ssr_session.doctor.finding import Finding, Level
from flask_ssr_session.doctor.page_files import PageFile, find_script
from flask_ssr_session.doctor.probes import Answer, next_url
from flask_ssr_session.pages import assets
from flask_ssr_session.upstream.fetch import FetchedResponse

from .doctor_factories import (
    API,
    DOWN,
    PAGES,
    findings_of,
    given,
    make_environment,
    problems,
    reply,
    result,
)

REFRESH_PAGE = f"{PAGES}/refresh-session"

PAGE = (
    '<link rel="stylesheet" href="/refresh-session/ssr-session-0a.css" nonce="abc">'
    '<script src="/refresh-session/ssr-session-0b.js" nonce="abc" data-mode="refresh"></script>'
)


def shown(status: int = 200, page: str = PAGE, **headers: str | tuple[str, ...]) -> FetchedResponse:
    usual = {"Cache_Control": "no-store", "Content_Type": "text/html; charset=utf-8"}
    return reply(page, status, **{**usual, **headers})


def of_refresh_page(answer: Answer) -> list[Finding]:
    environment = given(make_environment(), refresh_page=result(REFRESH_PAGE, answer))
    return findings_of(environment, check_refresh_page, check_csp)


def script_url(answer: Answer) -> str | None:
    script = find_script(result(REFRESH_PAGE, answer))
    return None if script is None else script.url


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (shown(), []),
        (shown(Cache_Control=("private", "NO-STORE")), []),
        (shown(Cache_Control=()), ["problem refresh_page"]),
        (shown(Cache_Control="max-age=60"), ["problem refresh_page"]),
        (reply("sign in", Cache_Control="no-store"), ["problem refresh_page"]),
        (shown(302), ["problem refresh_page"]),
        # The page has the script of session_script() only.
        (shown(page=PAGE.replace('"refresh"', '"session"')), ["problem refresh_page"]),
        (
            shown(
                page=PAGE.replace('"refresh"', '"session"').replace("abc", "of the layout") + PAGE,
                Content_Security_Policy="script-src 'nonce-abc'; style-src *",
            ),
            [],
        ),
        (shown(Content_Type="text/plain"), ["problem refresh_page"]),
        (DOWN, ["problem refresh_page"]),
        (
            shown(Content_Security_Policy="default-src 'self'"),
            ["problem csp"],
        ),
        (
            shown(
                Content_Security_Policy=f"default-src 'self'; connect-src {API}",
            ),
            [],
        ),
        (
            shown(
                Content_Security_Policy=(f"connect-src {API}", "style-src 'nonce-abc'"),
            ),
            [],
        ),
        (
            shown(
                Content_Security_Policy=("img-src *", "style-src 'nonce-abd'"),
            ),
            ["problem csp"],
        ),
        (
            shown(
                page=PAGE.replace(' nonce="abc"', ""),
                Content_Security_Policy="script-src 'nonce-abc'",
            ),
            ["problem csp"],
        ),
    ],
)
def test_refresh_page_has_to_be_html_not_cached_and_allowed(
    answer: Answer, expected: list[str]
) -> None:
    assert problems(of_refresh_page(answer)) == expected


@pytest.mark.parametrize(
    ("source", "at"),
    [
        ("/refresh-session/ssr-session-0b.js", f"{PAGES}/refresh-session/ssr-session-0b.js"),
        ("/mounted/refresh/ssr-session-0b.js", f"{PAGES}/mounted/refresh/ssr-session-0b.js"),
        ("https://other.example/ssr-session-0b.js", None),
        ("//other.example/ssr-session-0b.js", None),
        ("http://[/ssr-session-0b.js", None),
        # URL parsers drop tabs and line ends, and read a backslash as a slash.
        ("/\t/other.example/ssr-session-0b.js", None),
        ("/\n/other.example/ssr-session-0b.js", None),
        ("/\r/[::1/ssr-session-0b.js", None),
        ("/\\other.example/ssr-session-0b.js", None),
        ("/x y/ssr-session-0b.js", None),
        ("/é/ssr-session-0b.js", None),
    ],
)
def test_script_is_requested_from_the_site_only(source: str, at: str | None) -> None:
    page = reply(f'<script src="{source}" data-mode="refresh"></script>')

    assert script_url(page) == at


def test_only_a_page_has_a_script() -> None:
    page = reply('<script src="/a/ssr-session-0b.js" data-mode="refresh"></script>', 404)

    assert script_url(page) is None
    assert script_url(DOWN) is None


@pytest.mark.parametrize(
    "piece", ['<script src="/a/ssr-session-a.js"', '<script src="/ssr-session-a', "/ssr-session-"]
)
def test_large_page_without_an_end_is_read_quickly(piece: str) -> None:
    page = reply('<script src="/' + piece * (1024 * 1024 // len(piece)))
    began = perf_counter()

    assert script_url(page) is None
    assert perf_counter() - began < 2


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (300, "pass --url"),
        (399, "pass --url"),
        (404, "pass --url"),
        (200, "make hooks"),
        (299, "make hooks"),
        (400, "make hooks"),
    ],
)
def test_advice_depends_on_the_status(status: int, advice: str) -> None:
    (finding,) = of_refresh_page(reply("x", status))

    assert finding.advice.startswith(advice)


LOADS = [
    ("script-src", PageFile(f"{PAGES}/s/ssr.js", "abc")),
    ("style-src", PageFile(f"{PAGES}/s/ssr.css", None)),
    ("connect-src", PageFile(f"{API}/auth/session/refresh", None)),
]


@pytest.mark.parametrize(
    ("policies", "blocked"),
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
        (["default-src *; script-src data: https:"], []),
        (["script-src data:"], ["script-src"]),
        (["script-src https://*"], []),
        (["script-src aww.example.com"], ["script-src"]),
        (["script-src 'unsafe-inline' 'unsafe-eval'"], ["script-src"]),
        (["script-src 'self';; "], []),
        (["style-src 'nonce-None'"], ["style-src"]),
        (["default-src 'strict-dynamic' *"], ["script-src"]),
        (["script-src 'SELF'"], []),
        (["script-src http://www.example.com:80"], ["script-src"]),
        (["script-src https://www.example.com:443"], []),
        (["script-src wss://www.example.com"], ["script-src"]),
        (["script-src www.example.com/s/?x=://y"], ["script-src"]),
        (["script-src *.www.example.com"], ["script-src"]),
        (["sandbox"], ["sandbox"]),
        (["sandbox allow-scripts"], ["sandbox"]),
        (["sandbox Allow-Scripts allow-same-origin"], []),
        (["img-src *", "sandbox; script-src 'none'"], ["script-src", "sandbox"]),
    ],
)
def test_policy_is_read_as_browsers_read_it(policies: list[str], blocked: list[str]) -> None:
    assert blocked_directives(policies, REFRESH_PAGE, LOADS) == blocked


@pytest.mark.parametrize(
    ("policy", "page", "script", "is_blocked"),
    [
        ("*", "https://a.example:8443", "https://a.example:8443", False),
        ("https://*", "https://a.example:8443", "https://a.example:8443", True),
        ("*:8443", "https://a.example:8443", "https://a.example:8443", False),
        ("'self'", "https://a.example:8443", "https://a.example:8443", False),
        ("'self'", "https://a.example:8443", "https://a.example:8444", True),
        ("'self'", "https://a.example:443", "https://a.example", False),
        ("'self'", "https://a.example", "https://b.example", True),
        ("'self'", "http://a.example", "https://a.example", True),
        ("a.example:80", "http://a.example", "http://a.example", False),
        ("a.example", "http://a.example", "http://a.example", False),
        ("a.example", "http://a.example", "https://a.example", False),
        ("a.example", "https://a.example", "http://a.example", True),
    ],
)
def test_ports_and_schemes_of_a_policy_are_read_as_browsers_read_them(
    policy: str, page: str, script: str, is_blocked: bool
) -> None:
    loads = [("script-src", PageFile(f"{script}/ssr.js", None))]
    blocked = blocked_directives([f"script-src {policy}"], f"{page}/refresh-session", loads)

    assert blocked == ["script-src"] * is_blocked


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply("code", Content_Type="text/javascript; charset=utf-8"), []),
        (reply("other", Content_Type="text/javascript"), ["warning script"]),
        (
            reply("code", Content_Type="text/javascript", Content_Encoding="gzip"),
            ["warning script"],
        ),
        (reply("code", Content_Type="text/html"), ["problem script"]),
        (reply("code", 404, Content_Type="text/javascript"), ["problem script"]),
        (DOWN, ["problem script"]),
    ],
)
def test_script_has_to_arrive_unchanged(
    monkeypatch: pytest.MonkeyPatch, answer: Answer, expected: list[str]
) -> None:
    installed = SimpleNamespace(content=b"code")
    monkeypatch.setattr(assets, "script", lambda: installed)
    environment = given(make_environment(), script=result(f"{PAGES}/ssr.js", answer))

    assert problems(check_script(environment)) == expected


def of_sign_in(answer: Answer, url: str = f"{PAGES}/auth") -> Finding:
    (finding,) = check_sign_in(given(make_environment(), sign_in=result(url, answer)))
    return finding


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(), []),
        (reply(status=302), []),
        (reply(status=302, Location="https://id.example.net/"), []),
        (reply(status=302, Location="/auth/login"), []),
        (reply(status=302, Location="http://["), []),
        (reply(status=302, Location="/auth?next=/auth"), ["problem sign_in"]),
        (reply(status=307, Location=f"{PAGES}:443/auth"), ["problem sign_in"]),
        (reply(status=200, Location="/auth"), []),
        (reply(status=403), ["problem sign_in"]),
        (reply(status=405), ["problem sign_in"]),
        (reply(status=404), ["problem sign_in"]),
        (reply(status=401), ["problem sign_in"]),
        (reply(status=500), ["problem sign_in"]),
        (reply(status=302, SSR_Session="anonymous; reason=anonymous"), ["problem sign_in"]),
        (DOWN, ["problem sign_in"]),
    ],
)
def test_visitors_without_a_session_have_to_reach_sign_in(
    answer: Answer, expected: list[str]
) -> None:
    assert problems([of_sign_in(answer)]) == expected


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/auth", ["problem sign_in"]),
        ("/login?next=/login", ["problem sign_in"]),
        ("?again", ["problem sign_in"]),
        ("/enter", []),
    ],
)
def test_sign_in_may_redirect_but_not_in_a_loop(location: str, expected: list[str]) -> None:
    answer = reply(status=302, Location=location)

    assert problems([of_sign_in(answer, f"{PAGES}/login")]) == expected


def test_faultless_refresh_page_has_two_findings() -> None:
    findings = of_refresh_page(shown())

    assert [finding.check for finding in findings] == ["refresh_page", "csp"]


@pytest.mark.parametrize(
    ("status", "message", "advice"),
    [
        (399, "the sign-in page responds at www.example.com", ""),
        (400, "the sign-in page responds with status 400", "set SSR_SESSION_LOGIN_URL"),
        (401, "the sign-in page itself requires a session", "let visitors without a session in"),
        (402, "the sign-in page responds with status 402", "set SSR_SESSION_LOGIN_URL"),
        (403, "the sign-in page itself requires a session", "let visitors without a session in"),
        (
            404,
            "visitors are sent to a sign-in page that does not exist",
            "set SSR_SESSION_LOGIN_URL",
        ),
        (405, "the sign-in page responds with status 405", "set SSR_SESSION_LOGIN_URL"),
        (499, "the sign-in page responds with status 499", "set SSR_SESSION_LOGIN_URL"),
        (500, "the sign-in page fails (status 500)", "see the log"),
    ],
)
def test_status_of_sign_in_decides_the_finding(status: int, message: str, advice: str) -> None:
    finding = of_sign_in(reply(status=status))

    assert finding.message.startswith(message)
    assert finding.advice.startswith(advice)
    assert (finding.level is Level.OK) is not bool(advice)


@pytest.mark.parametrize(
    ("answer", "onward"),
    [
        (reply(status=302, Location="/auth/"), f"{PAGES}/auth/"),
        (
            reply(status=308, Location="https://WWW.example.com:443/a"),
            "https://WWW.example.com:443/a",
        ),
        (reply(status=302, Location="/auth/", SSR_Session="anonymous"), None),
        (reply(status=302, Location="//other.example/"), None),
        (reply(status=302, Location="http://www.example.com/auth"), None),
        (reply(status=302, Location="https://[/"), None),
        (reply(status=302), None),
        (reply(status=200, Location="/auth/"), None),
        (reply(status=300, Location="/auth/"), f"{PAGES}/auth/"),
        (reply(status=400, Location="/auth/"), None),
        (DOWN, None),
    ],
)
def test_only_a_redirect_on_the_same_site_is_followed(answer: Answer, onward: str | None) -> None:
    assert next_url(f"{PAGES}/auth", answer) == onward
