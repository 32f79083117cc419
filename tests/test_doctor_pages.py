"""What the doctor makes of pages, scripts and policies as a stranger gets them."""

from __future__ import annotations

from time import perf_counter

import pytest

from flask_ssr_session.doctor.check_pages import (
    check_refresh_page,
    check_script,
    check_sign_in,
    next_url,
    script_url,
)
from flask_ssr_session.doctor.csp import refused_directives
from flask_ssr_session.doctor.finding import Level
from flask_ssr_session.errors import FetchError
from flask_ssr_session.upstream.fetch import FetchedResponse

from .doctor_factories import API, DOWN, PAGES, problems, reply, setup

PAGE = (
    '<link rel="stylesheet" href="/refresh-session/ssr-session-0a.css" nonce="abc">'
    '<script src="/refresh-session/ssr-session-0b.js" nonce="abc" data-mode="refresh"></script>'
)


def shown(status: int = 200, page: str = PAGE, **headers: str | tuple[str, ...]) -> FetchedResponse:
    usual = {"Cache_Control": "no-store", "Content_Type": "text/html; charset=utf-8"}
    return reply(page, status, **{**usual, **headers})


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (shown(), []),
        (shown(Cache_Control=("private", "NO-STORE")), []),
        (shown(Cache_Control=()), ["problem refresh_page"]),
        (shown(Cache_Control="max-age=60"), ["problem refresh_page"]),
        (reply("sign in", Cache_Control="no-store"), ["problem refresh_page"]),
        (shown(302), ["problem refresh_page"]),
        # Only what session_script() puts there.
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
def test_refresh_page_has_to_be_there_fresh_and_free(
    answer: FetchedResponse | FetchError, expected: list[str]
) -> None:
    assert problems(check_refresh_page(setup(), f"{PAGES}/refresh-session", answer)) == expected


@pytest.mark.parametrize(
    ("source", "at"),
    [
        ("/refresh-session/ssr-session-0b.js", f"{PAGES}/refresh-session/ssr-session-0b.js"),
        ("/mounted/refresh/ssr-session-0b.js", f"{PAGES}/mounted/refresh/ssr-session-0b.js"),
        ("https://other.example/ssr-session-0b.js", None),
        ("//other.example/ssr-session-0b.js", None),
        ("http://[/ssr-session-0b.js", None),
        # Readers of addresses drop tabs and line ends, and take a backslash for a slash.
        ("/\t/other.example/ssr-session-0b.js", None),
        ("/\n/other.example/ssr-session-0b.js", None),
        ("/\r/[::1/ssr-session-0b.js", None),
        ("/\\other.example/ssr-session-0b.js", None),
        ("/x y/ssr-session-0b.js", None),
        ("/é/ssr-session-0b.js", None),
    ],
)
def test_script_is_asked_for_at_the_site_alone(source: str, at: str | None) -> None:
    page = reply(f'<script src="{source}" data-mode="refresh"></script>')

    assert script_url(f"{PAGES}/refresh-session", page) == at


def test_no_script_is_looked_for_in_what_is_no_page() -> None:
    page = reply('<script src="/a/ssr-session-0b.js" data-mode="refresh"></script>', 404)

    assert script_url(f"{PAGES}/refresh-session", page) is None
    assert script_url(f"{PAGES}/refresh-session", DOWN) is None


@pytest.mark.parametrize(
    "piece", ['<script src="/a/ssr-session-a.js"', '<script src="/ssr-session-a', "/ssr-session-"]
)
def test_large_page_without_an_end_is_read_in_a_moment(piece: str) -> None:
    page = reply('<script src="/' + piece * (1024 * 1024 // len(piece)))
    began = perf_counter()

    assert script_url(f"{PAGES}/refresh-session", page) is None
    assert perf_counter() - began < 2


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (300, "pass --url"),
        (399, "pass --url"),
        (404, "pass --url"),
        (200, "let hooks"),
        (299, "let hooks"),
        (400, "let hooks"),
    ],
)
def test_way_to_the_refresh_page_is_told(status: int, advice: str) -> None:
    (finding,) = check_refresh_page(setup(), f"{PAGES}/refresh-session", reply("x", status))

    assert finding.advice.startswith(advice)


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
def test_policy_is_read_as_browsers_read_it(policies: list[str], refused: list[str]) -> None:
    wanted = [SCRIPT, STYLE, CONNECT]

    assert refused_directives(policies, f"{PAGES}/refresh-session", wanted) == refused


@pytest.mark.parametrize(
    ("policy", "page", "script", "is_refused"),
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
    policy: str, page: str, script: str, is_refused: bool
) -> None:
    wanted = [("script-src", f"{script}/ssr.js", None)]
    refused = refused_directives([f"script-src {policy}"], f"{page}/refresh-session", wanted)

    assert refused == ["script-src"] * is_refused


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
def test_script_has_to_arrive_as_it_is(
    answer: FetchedResponse | FetchError, expected: list[str]
) -> None:
    assert problems([check_script(answer, b"code")]) == expected


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
def test_strangers_have_to_arrive_at_sign_in(
    answer: FetchedResponse | FetchError, expected: list[str]
) -> None:
    assert problems([check_sign_in(f"{PAGES}/auth", f"{PAGES}/auth", answer)]) == expected


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/auth", ["problem sign_in"]),
        ("/login?next=/login", ["problem sign_in"]),
        ("?again", ["problem sign_in"]),
        ("/enter", []),
    ],
)
def test_sign_in_may_lead_on_but_not_round(location: str, expected: list[str]) -> None:
    answer = reply(status=302, Location=location)

    assert problems([check_sign_in(f"{PAGES}/auth", f"{PAGES}/login", answer)]) == expected


def test_all_that_is_well_with_the_refresh_page_is_told() -> None:
    findings = list(check_refresh_page(setup(), f"{PAGES}/refresh-session", shown()))

    assert [finding.check for finding in findings] == ["refresh_page", "csp"]


@pytest.mark.parametrize(
    ("status", "says", "advice"),
    [
        (399, "the sign-in page answers at www.example.com", ""),
        (400, "the sign-in page answers with status 400", "set SSR_SESSION_LOGIN_URL"),
        (401, "the sign-in page itself asks for a session", "let strangers in"),
        (402, "the sign-in page answers with status 402", "set SSR_SESSION_LOGIN_URL"),
        (403, "the sign-in page itself asks for a session", "let strangers in"),
        (404, "there is no sign-in page", "set SSR_SESSION_LOGIN_URL"),
        (405, "the sign-in page answers with status 405", "set SSR_SESSION_LOGIN_URL"),
        (499, "the sign-in page answers with status 499", "set SSR_SESSION_LOGIN_URL"),
        (500, "the sign-in page fails (status 500)", "see the log"),
    ],
)
def test_what_ails_sign_in_is_told_by_its_status(status: int, says: str, advice: str) -> None:
    finding = check_sign_in(f"{PAGES}/auth", f"{PAGES}/auth", reply(status=status))

    assert finding.says.startswith(says)
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
def test_only_a_redirect_on_the_same_site_is_followed(
    answer: FetchedResponse | FetchError, onward: str | None
) -> None:
    assert next_url(f"{PAGES}/auth", answer) == onward
