"""The sites of docs/fastapi.rst and docs/django.rst do what these pages say, without Flask."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import django.test
import httpx
import pytest
from django.utils.decorators import method_decorator
from django.views import View

from flask_ssr_session.clock import SystemClock
from flask_ssr_session.dev_core import DevelopmentCore
from flask_ssr_session.errors import FetchError
from flask_ssr_session.pages.standalone import BrowserSettings, StandalonePages
from flask_ssr_session.sansio.cures import CurePages
from flask_ssr_session.sansio.policy_values import PolicyOptions, RequestFacts
from flask_ssr_session.sansio.verification import TokenRules
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.throttled_log import ThrottledLog
from flask_ssr_session.upstream.key_age import FetchedKeys
from flask_ssr_session.upstream.key_set import KeySet, StaticKeys
from tests.browser_requests import FETCH, PAGE
from tests.dev_core.conftest import KeyFactory, fresh_sdk
from tests.dev_core.sdk import FIELDS
from tests.sdk.conftest import *  # noqa: F403 - fixtures, for pytest to find
from tests.tables import rows
from tests.test_docs import TEXTS, blocks
from tests.tokens import expired_token, make_token

OTHER_SITE = PAGE | {"Sec-Fetch-Site": "cross-site"}
KEYS = StaticKeys(KeySet({"d-test": SessionSigner().public_key}))


class Answer(NamedTuple):
    """A response; the names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    cookies: dict[str, str]
    text: str


class Site(NamedTuple):
    """The example of one page, with the namespace of its module."""

    send: Callable[[Any, str, str, dict[str, str], str], Answer]
    names: dict[str, Any]

    def ask(
        self, path: str = "/", *tokens: str, method: str = "GET", body: str = "", **headers: str
    ) -> Answer:
        """Send a request of a browser with these access tokens; a page request if not told."""
        sent = {**PAGE, "Host": "localhost:8000", **headers}
        if tokens:
            sent["Cookie"] = "; ".join(f"sAccessToken={token}" for token in tokens)
        return self.send(self.names["app"], method, path, sent, body)


def send_to_fastapi(app: Any, method: str, path: str, headers: dict[str, str], body: str) -> Answer:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, headers=headers, content=body)

    response = asyncio.run(send())
    headers, cookies = dict(response.headers), dict(response.cookies)
    return Answer(response.status_code, headers, cookies, response.text)


def send_to_django(_app: Any, method: str, path: str, headers: dict[str, str], body: str) -> Answer:
    response = django.test.Client().generic(
        method, path, body, content_type="application/json", headers=headers
    )
    named = {name.lower(): value for name, value in response.headers.items()}
    cookies = {name: morsel.value for name, morsel in response.cookies.items()}
    return Answer(response.status_code, named, cookies, response.content.decode())


SENDERS = {"fastapi": send_to_fastapi, "django": send_to_django}


def write_example(page: str, folder: Path, core: str) -> str:
    """Write the templates of a page, and return the source of its site."""
    (folder / "templates").mkdir()
    source = ""
    for block in blocks(TEXTS[page]):
        if block.language == "jinja":
            (folder / block.file).write_text(block.source.lstrip("\n"), encoding="utf-8")
        elif block.language == "python":
            source = block.source.lstrip("\n").replace("http://127.0.0.1:3567", core)
    return source


# Django takes its settings once per process.
@pytest.fixture(scope="module", params=list(SENDERS))
def example(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    key_factory: KeyFactory,
) -> Iterator[Site]:
    page: str = request.param
    folder, certificates = (tmp_path_factory.mktemp(name) for name in (page, "certificates"))
    module = ModuleType(f"{page}_example")
    with (
        DevelopmentCore(key_factory=key_factory) as core,
        fresh_sdk(certificates),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setitem(sys.modules, module.__name__, module)
        patch.chdir(folder)
        source = write_example(page, folder, core.uri)
        code = compile(source, f"docs/{page}.rst", "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102 - this is the test
        if page == "fastapi":
            module.app.add_api_route("/", module.home, methods=["POST"])
        yield Site(SENDERS[page], vars(module))


@pytest.fixture
def site(example: Site, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site, which trusts the test keys."""
    monkeypatch.setitem(example.names, "keys", KEYS)
    return example


def page_shown(answer: Answer) -> str:
    found = re.search(r'data-ssr-session="(\w+)"', answer.text)
    return found[1] if found else ""


HALF_SIGNED_IN = partial(make_token, mfa_complete=False)
FROM_THE_FUTURE = partial(make_token, issued_at=9_000_000_000)
OF_ANOTHER_KEY = partial(make_token, header={"kid": "d-other"})

VISITORS: dict[str, Any] = {
    "session": (make_token, PAGE, "GET", (200, "", "Hello, user-1.")),
    "session, script": (make_token, FETCH, "GET", (200, "", "Hello, user-1.")),
    "session, form": (make_token, PAGE, "POST", (200, "", "Hello, user-1.")),
    "session, form of another site": (make_token, OTHER_SITE, "POST", (403, "refused", "")),
    "expired": (expired_token, PAGE, "GET", (200, "refresh", 'data-reason="expired"')),
    "expired, script": (expired_token, FETCH, "GET", (401, "", '"try refresh token"')),
    "expired, form": (expired_token, PAGE, "POST", (401, "refresh", "data-unsafe")),
    "unknown key": (OF_ANOTHER_KEY, PAGE, "GET", (200, "refresh", 'data-reason="invalid"')),
    "half signed in": (HALF_SIGNED_IN, PAGE, "GET", (403, "claims", "")),
    "half signed in, script": (HALF_SIGNED_IN, FETCH, "GET", (403, "", '"st-mfa"')),
    "wrong clock": (FROM_THE_FUTURE, PAGE, "GET", (503, "outage", "the clock of this site")),
    "stranger": (None, PAGE, "GET", (302, "", "")),
    "stranger, script": (None, FETCH, "GET", (401, "", '"unauthorised"')),
    "stranger, form": (None, PAGE, "POST", (401, "sign_in", "")),
}


@rows("token, headers, method, expected", VISITORS)
def test_a_visitor_gets_what_the_page_says(
    site: Site, token: Any, headers: dict[str, str], method: str, expected: tuple[int, str, str]
) -> None:
    tokens = [token()] if token else []
    answer, (status, page, text) = site.ask("/", *tokens, method=method, **headers), expected
    assert (answer.status, page_shown(answer), text in answer.text) == (status, page, True)
    is_content = "Hello" in answer.text
    assert answer.headers["cache-control"] == ("private" if is_content else "no-store")
    assert ("ssr-session" in answer.headers) is not is_content
    assert "Cookie" in answer.headers["vary"]
    assert is_content or answer.headers["x-robots-tag"] == "noindex"
    if page:
        assert answer.headers["referrer-policy"] == "same-origin"
        assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    assert answer.cookies == {}
    assert not any(each in answer.text for each in tokens)


def test_misspelt_values_are_errors() -> None:
    kinds: list[Any] = [BrowserSettings, CurePages, PolicyOptions, RequestFacts, TokenRules]
    for kind in kinds:
        with pytest.raises(TypeError, match="misspelt"):
            kind(misspelt="")


def test_options_decide_where_visitors_are_led(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    options = PolicyOptions("/in", cures=CurePages({"st-mfa": "/auth/mfa"}), redirects=True)
    browser = BrowserSettings("https://api.example.com", session_expired_status=440)
    monkeypatch.setitem(site.names, "pages", StandalonePages(options, browser))
    half = site.ask("/", HALF_SIGNED_IN())
    assert (half.status, page_shown(half)) == (403, "repair")
    assert 'data-cure="/auth/mfa?redirectToPath=/"' in half.text
    assert site.ask("/").headers["location"] == "/in?redirectToPath=/"
    expired = site.ask("/", expired_token())
    # In place of content even with "redirects": the site has no page at the refresh path.
    assert (expired.status, page_shown(expired)) == (200, "refresh")
    policy = expired.headers["content-security-policy"]
    assert "connect-src 'self' https://api.example.com;" in policy
    assert site.ask("/", expired_token(), **FETCH).status == 440


def test_an_outage_signs_nobody_out(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> tuple[bytes, None]:
        raise FetchError("the test simulates an outage")

    clock, token = SystemClock(), make_token()
    log, uris = ThrottledLog(clock), ["http://core"]
    keys = FetchedKeys(uris, max_stale_seconds=0, clock=clock, log=log, fetch=fail)
    assert site.ask("/", token).status == 200
    monkeypatch.setitem(site.names, "keys", keys)
    page, script = site.ask("/", token), site.ask("/", token, **FETCH)
    assert (page.status, page_shown(page)) == (503, "outage")
    assert (script.status, "session cannot be checked" in script.text) == (503, True)
    assert page.headers["retry-after"] == script.headers["retry-after"] == "10"
    assert page.cookies == script.cookies == {}


def test_two_cookies_of_one_name_are_both_read(site: Site) -> None:
    mine, older, other = make_token(), expired_token(), make_token(user_id="user-2")
    assert "Hello, user-1." in site.ask("/", older, mine).text
    assert "Hello, user-1." in site.ask("/", mine, older).text
    for tokens in ((mine, other), (other, mine)):
        assert 'data-reason="duplicate"' in site.ask("/", *tokens).text
    assert "data-duplicates" in site.ask("/", older, older).text
    assert "data-duplicates" not in site.ask("/", older).text


def test_the_sign_of_a_session_leads_to_a_refresh(site: Site) -> None:
    assert 'data-reason="token_missing"' in site.ask("/", Cookie="sFrontToken=e30=").text
    assert site.ask("/", Cookie="theme=dark").status == 302


def test_visitors_return_where_they_were(site: Site) -> None:
    assert 'href="/?page=2&amp;q=%C3%BC"' in site.ask("/?page=2&q=%C3%BC", expired_token()).text
    assert site.ask("/?page=2").headers["location"] == "/auth?redirectToPath=/%3Fpage%3D2"
    for raw, safe in {"/?page=2": "/?page=2", "//evil.example": "/", "/auth": "/"}.items():
        assert f'data-return-path="{safe}"' in site.ask(f"/auth?redirectToPath={raw}").text


def test_a_guarded_sign_in_page_is_no_circle(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert site.ask("/").status == 302
    monkeypatch.setitem(site.names, "SIGN_IN", "/")
    answer = site.ask("/")
    assert (answer.status, page_shown(answer)) == (200, "sign_in")
    assert "http-equiv" not in answer.text


def test_the_files_of_the_refresh_page_are_served(site: Site) -> None:
    files = re.findall(r'"(/refresh-session/[^"]+)"', site.ask("/", expired_token()).text)
    assert len(files) == 2
    for path in files:
        answer = site.ask(path)
        assert answer.status == 200
        assert answer.headers["cache-control"].endswith("immutable")
        # During a rolling deployment, the page of another version asks for its own.
        other = site.ask(re.sub(r"-\w{16}\.", "-0123456789abcdef.", path))
        assert (other.text, other.headers["cache-control"]) == (answer.text, "no-store")
    for path in ("ssr-session-0123456789abcdef.txt", "other-0123456789abcdef.js", "ssr-session"):
        assert site.ask(f"/refresh-session/{path}").status == 404


def test_a_session_is_refreshed_by_the_api_of_the_sdk(example: Site) -> None:
    form = json.dumps({"formFields": FIELDS})
    script = {**FETCH, "Content-Type": "application/json", "st-auth-mode": "cookie"}
    signed_up = example.ask("/auth/signup", method="POST", body=form, **script)
    token, refresh_token = (signed_up.cookies[f"s{kind}Token"] for kind in ("Access", "Refresh"))
    assert "Hello" in example.ask("/", token).text
    assert page_shown(example.ask("/", expired_token())) == "refresh"
    refreshed = example.ask(
        "/auth/session/refresh", method="POST", **script, Cookie=f"sRefreshToken={refresh_token}"
    )
    assert refreshed.status == 200
    assert "Hello" in example.ask("/", refreshed.cookies["sAccessToken"]).text


@pytest.mark.parametrize("example", ["django"], indirect=True)
def test_a_class_based_view_of_django_is_guarded(site: Site) -> None:
    class Page(View):  # type: ignore[misc]  # Django has no types
        def get(self, _request: Any) -> Any:
            return django.http.HttpResponse("content")

    guard = method_decorator(site.names["session_required"], name="dispatch")
    view = guard(Page).as_view()
    answers = []
    for cookie in (f"sAccessToken={make_token()}", ""):
        headers = {**PAGE, "Host": "localhost", "Cookie": cookie}
        answers.append(view(django.test.RequestFactory().get("/", headers=headers)))
    assert [answer.status_code for answer in answers] == [200, 302]


ASK = {
    "fastapi": """
import asyncio, httpx
async def ask():
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get("/", headers=HEADERS)
answer = asyncio.run(ask()).text
""",
    "django": """
from django.test import Client
answer = Client().get("/", headers={**HEADERS, "Host": "localhost"}).content.decode()
""",
}


@pytest.mark.parametrize("page", list(SENDERS))
def test_the_site_runs_without_flask(page: str, tmp_path: Path) -> None:
    source = write_example(page, tmp_path, "http://127.0.0.1:9")
    headers = PAGE | {"Cookie": f"sAccessToken={expired_token()}"}
    (tmp_path / "app.py").write_text(source)
    script = f"""
from app import app
HEADERS = {headers!r}
{ASK[page]}
import sys
print('data-ssr-session="refresh"' in answer, "flask" in sys.modules)
"""
    command = [sys.executable, "-c", script]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert finished.stdout.split() == ["True", "False"]


@pytest.mark.parametrize("page", list(SENDERS))
def test_the_site_is_short(page: str) -> None:
    (source,) = (block.source for block in blocks(TEXTS[page]) if block.language == "python")
    assert len(source.strip().splitlines()) <= 100
