"""``flask ssr-session doctor`` on the example app, served together with the development core."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, Response, g, redirect, request
from jinja2 import ChoiceLoader, DictLoader
from supertokens_python import Supertokens, constants
from supertokens_python.framework.flask import Middleware
from supertokens_python.recipe import emailverification, multifactorauth, session

from example_app.core import DevelopmentCore
from flask_ssr_session import (
    FlaskSSRSession,
    require_session,
    session_optional,
    session_required,
)
from flask_ssr_session.doctor import probes
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream import fetch
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.fetch import FetchedResponse
from tests.development_core.sdk import init_sdk

from .conftest import MakeApp, Site, app_without_sdk, checks_run, line, run, signed_in


def test_the_example_has_no_problem(example: MakeApp, site: Site) -> None:
    result = run(example())

    assert result.exit_code == 0
    assert line(result, "site") == f"ok site the site is at {site.url}, and the API at {site.url}"
    assert line(result, "refresh_page") == "ok refresh_page /refresh-session shows the refresh page"
    assert line(result, "script") == "ok script browsers receive the script unchanged"
    assert line(result, "templates") == "ok templates the refresh page has its original look"
    assert line(result, "refresh_api").startswith("ok refresh_api")
    assert line(result, "core").startswith("ok core")
    assert line(result, "api_keys").startswith("ok api_keys")
    assert line(result, "api_cookies").startswith("ok api_cookies")
    assert result.stdout.splitlines()[-1] == "19 ok, 0 warnings, 0 problems"


def test_checking_changes_nothing(example: MakeApp, live_core: DevelopmentCore) -> None:
    app = example()
    signed_in(app)
    sessions = live_core.list_sessions()
    live_core.clear_request_log()

    assert run(app).exit_code == 0
    assert live_core.list_sessions() == sessions
    # The refresh API did not call its core: the core saw two requests of the doctor, and the API's
    # own request for the key set.
    requests = sorted((entry.method, entry.path) for entry in live_core.request_log())
    assert requests == [
        ("GET", "/.well-known/jwks.json"),
        ("GET", "/.well-known/jwks.json"),
        ("GET", "/recipe/session"),
    ]


def test_json_has_the_same_findings(example: MakeApp) -> None:
    app = example()
    output = json.loads(run(app, "--json").stdout)

    assert output["counts"] == {"ok": 19, "warning": 0, "problem": 0}
    lines = run(app).stdout.splitlines()
    assert [finding["check"] for finding in output["findings"]] == [
        row.split()[1] for row in lines[:-1]
    ]


def test_pages_opened_at_another_name_of_this_machine(example: MakeApp, site: Site) -> None:
    result = run(example(), "--url", f"http://127.0.0.1:{site.port}")

    assert result.exit_code == 1
    assert line(result, "cookie_domain") == (
        "problem cookie_domain browsers share no cookies between 127.0.0.1 and localhost -> open "
        "the site at localhost, or set the SDK's domains to 127.0.0.1"
    )


def test_cookie_domain_of_another_site(example: MakeApp) -> None:
    result = run(example(cookie_domain=".example.com"))

    assert result.exit_code == 1
    assert line(result, "cookie_domain").startswith(
        "problem cookie_domain session cookies are set for example.com, so browsers reject them "
        "from the API at localhost -> set session.init(cookie_domain=...)"
    )


def test_sdk_that_takes_tokens_from_headers_only(example: MakeApp) -> None:
    result = run(example(get_token_transfer_method=lambda *_: "header"))

    assert result.exit_code == 1
    assert line(result, "setup").startswith(
        "problem setup The SuperTokens SDK is set up to take tokens from headers only"
    )


def test_core_that_is_down(example: MakeApp, live_core: DevelopmentCore) -> None:
    app = example()
    live_core.stop_key_server()
    result = run(app)

    assert result.exit_code == 1
    host = live_core.uri.removeprefix("http://")
    # No other check sends it a request, or compares anything with it.
    assert result.stdout.splitlines()[-1].endswith("0 warnings, 1 problem")
    assert not {"core", "api_keys"} & checks_run(result)
    assert line(result, "keys") == (
        f"problem keys no keys could be fetched from {host} (status 503), so no token can be "
        "verified -> start the core, or correct connection_uri or SSR_SESSION_JWKS_URI"
    )
    live_core.start_key_server()
    assert run(app).exit_code == 0


@pytest.mark.parametrize(
    ("seconds", "finding"),
    [
        (3, "ok clock this machine and the key server have the same time"),
        (30, "warning clock the key server's clock is 30 s ahead of this machine's"),
        (300, "problem clock the key server's clock is 5 min ahead of this machine's: tokens are "),
        (-300, "problem clock the key server's clock is 5 min behind this machine's: tokens exp"),
    ],
)
def test_clock_of_this_machine(
    example: MakeApp, monkeypatch: pytest.MonkeyPatch, seconds: float, finding: str
) -> None:
    app = example()
    wall = app.extensions["ssr_session"].clock.wall
    clock = SimpleNamespace(wall=lambda: wall() - seconds - 0.5)
    monkeypatch.setattr(app.extensions["ssr_session"], "clock", clock)

    # A slow response is a second older.
    assert line(run(app), "clock").startswith((finding, finding.replace("30 s", "29 s")))


def test_api_base_path_that_the_api_does_not_have(example: MakeApp) -> None:
    result = run(example({"API_BASE_PATH": "/api/auth"}))

    assert result.exit_code == 1
    assert line(result, "settings") == (
        "problem settings SSR_SESSION_API_BASE_PATH differs from the SDK's value in this process "
        "-> remove SSR_SESSION_API_BASE_PATH, so that the SDK's value is used; if a gateway adds a "
        "prefix, set it as the SDK's api_gateway_path"
    )
    assert not {"cors", "api_cookies", "api_keys"} & checks_run(result)
    assert line(result, "refresh_api").endswith(
        "below /api/auth, does not respond as SuperTokens does (status 404) -> call "
        "Middleware(app) there, and set api_domain, api_gateway_path and api_base_path to the "
        "address that browsers use"
    )


def test_issuer_that_the_sdk_does_not_write(example: MakeApp, site: Site) -> None:
    result = run(example({"ISSUER": "https://example.com/auth"}))

    assert result.exit_code == 1
    assert line(result, "settings").startswith(
        "problem settings SSR_SESSION_ISSUER differs from the issuer that the SDK writes, so every "
        "token is rejected"
    )
    assert run(example({"ISSUER": f"{site.url}/auth"})).exit_code == 0


def override(app: Flask, source: str) -> None:
    """Give an app a ``refresh_page.html`` of its own."""
    loaders = [DictLoader({"refresh_page.html": source}), app.jinja_loader]
    app.jinja_loader = ChoiceLoader(loaders)  # type: ignore[arg-type]


def test_override_that_does_not_render(example: MakeApp) -> None:
    app = example()
    override(app, "{% macro refresh_page() %}{{ nothing.at.all }}{% endmacro %}")
    result = run(app)

    assert result.exit_code == 1
    assert line(result, "templates").startswith(
        "problem templates refresh_document.html or refresh_page.html of the app failed with "
        "UndefinedError"
    )


@pytest.mark.parametrize("layout", ["", "{{ session_script() }}"], ids=["bare", "session_script"])
def test_override_without_the_script_of_the_refresh_page(example: MakeApp, layout: str) -> None:
    app = example()
    override(app, f"{{% macro refresh_page() %}}{layout}<b>Wait</b>{{% endmacro %}}")
    result = run(app)

    assert result.exit_code == 1
    assert line(result, "templates").startswith(
        "problem templates refresh_document.html or refresh_page.html of the app shows no refresh "
    )


def test_loader_that_was_replaced(example: MakeApp) -> None:
    app = example()
    app.jinja_env.loader = app.jinja_loader
    result = run(app)

    assert result.exit_code == 1
    assert line(result, "templates").startswith(
        "problem templates app.jinja_env.loader was replaced after flask_ssr_session was set up"
    )


def test_override_that_renders(example: MakeApp) -> None:
    app = example()
    sound = (
        "{% from 'flask_ssr_session/refresh_page.html' import refresh_page as original %}"
        "{% macro refresh_page() %}<b>Wait</b>{{ original() }}{% endmacro %}"
    )
    override(app, sound)
    result = run(app)

    assert result.exit_code == 0
    assert line(result, "templates") == (
        "ok templates the app's own templates show every page of this package"
    )


def test_override_that_fails_in_an_outage_only(example: MakeApp) -> None:
    app = example()
    broken = (
        "{% from 'flask_ssr_session/refresh_page.html' import refresh_page as original %}"
        "{% macro refresh_page() %}{{ original() }}"
        "{% if ssr_refresh_view().page_kind == 'outage' %}{{ nothing.at.all }}{% endif %}"
        "{% endmacro %}"
    )
    override(app, broken)

    assert line(run(app), "templates").startswith("problem templates")


def test_override_sees_what_the_hooks_of_the_app_set(example: MakeApp) -> None:
    app = example()
    asking = (
        "{% from 'flask_ssr_session/refresh_page.html' import refresh_page as original %}"
        "{% macro refresh_page() %}{{ g.menu.title }}{{ original() }}{% endmacro %}"
    )
    override(app, asking)

    @app.before_request
    def set_menu() -> None:
        g.menu = {"title": "Menu"}

    assert line(run(app), "templates").startswith("ok templates")


def test_hook_without_a_module_is_a_hook_like_any_other() -> None:
    app = app_without_sdk()
    app.before_request([].clear)

    assert run(app, "--offline", "--url", "https://api.example.com").exit_code == 0


def test_app_that_fails_in_debug_gives_a_line_and_no_traceback() -> None:
    app = app_without_sdk()
    app.testing = True

    @app.before_request
    def fail() -> None:
        raise ZeroDivisionError

    result = run(app, "--offline", "--url", "https://www.example.com")

    assert result.exit_code == 1
    assert "(the app failed with ZeroDivisionError)" in line(result, "refresh_page")


def test_override_that_a_hook_prevents_from_rendering(example: MakeApp) -> None:
    app = example()
    app.jinja_loader = DictLoader({"refresh_document.html": "{{ nothing }}"})

    @app.before_request
    def fail() -> None:
        raise ZeroDivisionError

    assert line(run(app, "--offline"), "templates").startswith(
        "problem templates the refresh page cannot be rendered in this app (ZeroDivisionError) ->"
    )


def test_decorator_above_its_route(example: MakeApp) -> None:
    app = example()

    @session_required
    @app.get("/secret")
    def secret() -> str:
        return "secret"

    result = run(app)

    assert result.exit_code == 1
    assert line(result, "decorators").startswith(
        "problem decorators The view of endpoint 'secret' runs without the session decorator"
    )
    assert len(result.stdout.splitlines()) == 2


def test_content_policy_that_blocks_the_script(example: MakeApp) -> None:
    app = example()

    @app.after_request
    def forbid(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = "default-src 'self'; script-src 'none'"
        return response

    result = run(app)

    assert result.exit_code == 1
    assert line(result, "csp").startswith(
        "problem csp the Content-Security-Policy blocks the refresh page (script-src) -> allow"
    )


def test_sign_in_url_that_leads_nowhere(example: MakeApp) -> None:
    result = run(example({"LOGIN_URL": "/nowhere"}))

    assert result.exit_code == 1
    assert line(result, "sign_in") == (
        "problem sign_in visitors are sent to a sign-in page that does not exist -> set "
        "SSR_SESSION_LOGIN_URL to the sign-in page, or website_base_path of the SDK"
    )


def test_sign_in_page_that_requires_a_session(example: MakeApp) -> None:
    result = run(example({"LOGIN_URL": "/account"}))

    assert line(result, "sign_in").startswith(
        "problem sign_in the sign-in page itself requires a session, so no visitor can ever sign in"
    )


def test_hook_that_blocks_the_refresh_page(example: MakeApp) -> None:
    app = example()
    app.before_request(lambda: ("Members only", 403))
    result = run(app, "--offline")

    assert result.exit_code == 1
    assert line(result, "refresh_page").startswith(
        "problem refresh_page /refresh-session does not show the refresh page (status 403) -> make "
    )


def test_view_of_the_app_at_the_path_of_the_refresh_page(example: MakeApp) -> None:
    app = example()
    app.view_functions["ssr_session.refresh"] = lambda: "One moment"
    result = run(app, "--offline")

    assert line(result, "refresh_page") == (
        "problem refresh_page /refresh-session does not show the refresh page (status 200) -> make "
        "hooks of the app, and proxies in front of it, pass the endpoint 'ssr_session.refresh' and "
        "all paths below it; remove your own view at that path"
    )


def test_sign_in_page_that_redirects_to_itself(example: MakeApp) -> None:
    app = example({"LOGIN_URL": "/enter"})
    app.add_url_rule("/enter", "enter", lambda: redirect("/enter?next=/enter"))

    assert line(run(app), "sign_in").startswith("problem sign_in the sign-in page itself requires")


def test_sign_in_page_is_checked_after_one_redirect(example: MakeApp) -> None:
    app = example({"LOGIN_URL": "/enter"})
    app.add_url_rule("/enter/", "enter", lambda: ("members only", 403))
    assert line(run(app), "sign_in").startswith("problem sign_in the sign-in page itself requires")

    app.view_functions["enter"] = lambda: "sign in"
    assert line(run(app), "sign_in").startswith("ok sign_in")


def test_hook_that_rejects_posts_to_the_refresh_api(example: MakeApp) -> None:
    app = example()
    hooks = app.before_request_funcs[None]
    # Before the SDK's hook, like an extension that was registered earlier.
    hooks.insert(0, lambda: ("no CSRF token", 400) if request.method == "POST" else None)

    assert line(run(app), "refresh_api").endswith(
        "does not respond as SuperTokens does (status 400) -> see its log, and make proxies and "
        "hooks of the app (for example CSRF protection) pass requests below the API base path, "
        "with their headers"
    )


def test_proxy_that_removes_cookies(example: MakeApp) -> None:
    app = example()
    wholly = app.after_request_funcs.setdefault(None, [])

    def without_cookies(response: Response) -> Response:
        response.headers.remove("Set-Cookie")
        return response

    wholly.insert(0, without_cookies)

    assert line(run(app), "api_cookies").startswith(
        "problem api_cookies the refresh API's response sets no session cookies -> make proxies"
    )


def test_settings_of_pages_are_compared_with_cookies_of_the_api(
    example: MakeApp, site: Site
) -> None:
    example()
    keys = {"keys": [SessionSigner("s-1").jwk()]}
    pages = app_without_sdk(api_domain=site.url, jwks=keys, cookie_domain="sub.localhost")

    assert line(run(pages, "--url", site.url), "api_cookies").startswith(
        "problem api_cookies the API sets session cookies for its own host only, but this process "
        "expects them for sub.localhost -> set cookie_domain"
    )
    assert line(run(pages, "--url", site.url), "api_keys").endswith(
        "has different keys than pages verify with: two cores, or an old SSR_SESSION_JWKS -> "
        "connect both processes to one core (connection_uri), or give them one key set"
    )
    alike = app_without_sdk(api_domain=site.url, jwks=keys)
    assert line(run(alike, "--url", site.url), "api_cookies").startswith("ok api_cookies")
    assert line(run(alike, "--url", site.url), "cookie_secure").startswith("ok cookie_secure")


def test_no_secret_of_an_address_is_printed() -> None:
    pages = app_without_sdk()
    state = pages.extensions["ssr_session"]
    # Settings reject such a value; the SDK does not.
    state.settings = replace(state.settings, api_domain="https://me:pass-word@api.example.com")
    for arguments in ((), ("--json",), ("--offline",)):
        result = run(pages, "--url", "https://www.example.com", *arguments)

        assert result.exit_code == 1
        assert "holds user information" in result.output
        assert "pass-word" not in result.output


def test_public_suffixes_are_known_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for api, shown in (
        (
            "https://api.pages-of-ada.github.io",
            "does not share its cookies with the pages",
        ),
        ("https://other.github.io", "are different sites, which never share cookies"),
    ):
        pages = app_without_sdk(api_domain=api)
        result = run(pages, "--offline", "--url", "https://www.pages-of-ada.github.io")
        assert shown in line(result, "cookie_domain")


def test_cookie_domain_is_proposed_without_the_list_of_suffixes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tldextract", None)
    pages = app_without_sdk(api_domain="https://other.github.io")
    result = run(pages, "--offline", "--url", "https://www.pages-of-ada.github.io")

    assert 'cookie_domain=".github.io"' in line(result, "cookie_domain")


def test_api_key_is_sent_to_the_core_only(
    example: MakeApp, live_core: DevelopmentCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = example()
    monkeypatch.setattr(Supertokens.get_instance().supertokens_config, "api_key", "key-of-ada")
    shown_to: list[str] = []

    def record(
        method: str, url: str, deadline: Deadline, headers: Mapping[str, str]
    ) -> FetchedResponse:
        if "key-of-ada" in repr((url, headers)):
            shown_to.append(url)
        return fetch.request(method, url, deadline, headers)

    monkeypatch.setattr(probes, "request", record)
    result = run(app)

    assert result.exit_code == 0
    assert [url.partition("?")[0] for url in shown_to] == [f"{live_core.uri}/recipe/session"]
    assert "key-of-ada" not in result.output


def test_core_that_does_not_accept_the_sdks_requests(
    example: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = example()
    monkeypatch.setattr(constants, "SUPPORTED_CDI_VERSIONS", ["1.0"])

    assert "does not accept the SDK's requests (status 400)" in line(run(app), "core")


def test_script_that_a_proxy_does_not_pass(example: MakeApp, site: Site) -> None:
    app = example()
    served = app.wsgi_app

    def without_scripts(environ: Any, start_response: Any) -> Any:
        if environ["PATH_INFO"].endswith(".js"):
            environ["PATH_INFO"] = "/gone"
        return served(environ, start_response)

    app.wsgi_app = without_scripts  # type: ignore[method-assign]
    site.show(app)

    assert line(run(app), "script").startswith(
        "problem script the refresh page's script is missing (status 404) -> make proxies"
    )


def test_secure_cookies_on_plain_http(example: MakeApp) -> None:
    result = run(
        example({"API_DOMAIN": "http://www.example.com"}, cookie_secure=True),
        "--offline",
        "--url",
        "http://www.example.com",
    )

    assert line(result, "cookie_secure") == (
        "problem cookie_secure session cookies are Secure, but browsers neither store nor send "
        "them over plain http to www.example.com -> serve it over https; for development only, set "
        "session.init(cookie_secure=False)"
    )


def test_site_that_is_not_started(example: MakeApp) -> None:
    app = example()
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        result = run(app, "--url", f"http://localhost:{port}")

    assert line(result, "refresh_page") == (
        f"problem refresh_page nothing responds at localhost:{port} (the connection failed "
        "(ConnectionRefusedError)) -> start the site, pass its address with --url, or pass "
        "--offline"
    )
    assert not {"script", "sign_in"} & checks_run(result)


def test_sign_in_page_that_is_another_page_of_the_running_site(
    example: MakeApp, site: Site
) -> None:
    running = example()
    app = example({"LOGIN_URL": "/account"})
    site.show(running)

    # The site redirects visitors from there to its own sign-in page.
    assert line(run(app), "sign_in").startswith("problem sign_in the sign-in page itself requires")


@pytest.mark.parametrize("lets_in", [True, False])
def test_api_elsewhere_has_to_let_the_pages_in(example: MakeApp, site: Site, lets_in: bool) -> None:
    api = example()
    requested: list[str | None] = []

    @api.before_request
    def answer_preflight() -> Response | None:
        if request.method != "OPTIONS":
            return None
        requested.append(request.headers.get("Access-Control-Request-Method"))
        response = Response()
        response.headers["Access-Control-Allow-Headers"] = request.headers[
            "Access-Control-Request-Headers"
        ]
        return response

    @api.after_request
    def let_in(response: Response) -> Response:
        if lets_in:
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Allow-Credentials"] = "true"
        return response

    shown = line(run(app_without_sdk(api_domain=site.url), "--url", "http://localhost:1"), "cors")

    assert shown.startswith(
        f"ok cors the API at localhost:{site.port} lets pages of http://localhost:1 refresh"
        if lets_in
        else f"problem cors the API at localhost:{site.port} does not name the site in Access-"
    )
    assert requested == ["POST"]


def test_clock_is_compared_with_the_api_if_no_keys_are_fetched(
    example: MakeApp, site: Site
) -> None:
    example()
    pages = app_without_sdk(api_domain=site.url, jwks={"keys": [SessionSigner("s-1").jwk()]})

    result = run(pages, "--url", site.url)
    assert line(result, "clock") == "ok clock this machine and the API have the same time"


@pytest.mark.parametrize("arguments", [(), ("--url", "http://localhost:1")])
def test_core_is_not_checked_without_an_sdk(arguments: tuple[str, ...]) -> None:
    static = {"keys": [SessionSigner("s-1").jwk()]}
    result = run(app_without_sdk(api_domain="http://localhost:1", jwks=static), *arguments)

    assert "does not respond (the connection failed" in line(result, "refresh_api")
    assert not {"core", "cors", "api_cookies", "api_keys"} & checks_run(result)
    assert ("refresh_page" in checks_run(result)) is bool(arguments)


def test_offline_opens_no_connection(example: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    app = example()

    def refuse(*_: Any) -> None:
        raise AssertionError("a connection was attempted")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    result = run(app, "--offline")

    assert result.exit_code == 0
    assert line(result, "csp").startswith("ok csp")
    assert not {"keys", "core", "refresh_api", "script", "sign_in"} & checks_run(result)


# --- claims --------------------------------------------------------------------------------------


def with_recipes(core: DevelopmentCore, *recipes: Any, **settings: Any) -> Flask:
    """Return an app with views of every kind, and an SDK with these recipes."""
    init_sdk(core.uri, [session.init(), *recipes])
    app = Flask(__name__)
    app.jinja_loader = DictLoader(
        {
            "guard.html": "{% if g.session %}x{% else %}{{ refresh_page() }}{% endif %}",
            "layout.html": "{% if g.session %}Sign out{% endif %}",
            "decides.html": "{% if needs_refresh %}{{ refresh_page() }}{% endif %}",
        }
    )
    FlaskSSRSession(app, **settings)
    Middleware(app)
    app.add_url_rule("/welcome", "welcome", session_required(global_claims=False)(lambda: ""))
    app.add_url_rule("/code", "code", session_required(allow_pending=True)(lambda: ""))
    return app


def lines_about(app: Flask, *checks: str) -> list[str]:
    found = run(app, "--offline", "--url", "http://localhost:5000").stdout.splitlines()
    return [" ".join(row.split()) for row in found if row.split()[1:2] in [[c] for c in checks]]


@pytest.mark.usefixtures("sdk_environment")
def test_claims_that_pages_require(live_core: DevelopmentCore) -> None:
    required = emailverification.init(mode="REQUIRED")
    required_claims = (
        "ok claims pages require what the SDK requires of every session: st-ev, except on welcome"
    )
    guard = (
        "warning session_guards guard.html shows refresh_page() depending on g.session, which does "
        "not check st-ev -> use needs_refresh instead"
    )
    pending = "ok pending users can see code before they complete sign-in (allow_pending)"
    app = with_recipes(live_core, required)
    assert lines_about(app, "claims", "session_guards", "pending", "mfa") == [
        required_claims,
        guard,
        pending,
    ]


@pytest.mark.usefixtures("sdk_environment")
def test_claims_that_a_setting_switched_off(live_core: DevelopmentCore) -> None:
    app = with_recipes(live_core, emailverification.init(mode="REQUIRED"), global_claims=False)
    (line_,) = lines_about(app, "claims", "session_guards")
    assert line_.startswith(
        "warning claims the SDK requires st-ev of every session, but pages do not"
    )


@pytest.mark.usefixtures("sdk_environment")
@pytest.mark.parametrize("closed", [False, True], ids=["open app", "closed app"])
@pytest.mark.parametrize(
    ("decorate", "rule", "said", "said_if_closed"),
    [
        pytest.param(None, "", "warning", "warning", id="none"),
        pytest.param(session_required(allow_pending=True), "/auth/mfa", None, None, id="admits"),
        pytest.param(session_required, "/auth/mfa", "problem", "problem", id="required"),
        pytest.param(session_optional, "/auth/mfa", None, None, id="optional"),
        pytest.param(lambda view: view, "/auth/mfa", None, "problem", id="unmarked"),
        pytest.param(lambda view: view, "/auth/<path:page>", None, None, id="prebuilt UI"),
    ],
)
def test_second_factor_needs_a_page_that_is_open(
    live_core: DevelopmentCore,
    decorate: Any,
    rule: str,
    said: str | None,
    said_if_closed: str | None,
    closed: bool,
) -> None:
    app = with_recipes(live_core, multifactorauth.init())
    if rule:
        view = decorate(lambda **_: "")
        app.add_url_rule(rule, "mfa", view)
        if ":page" in rule:
            app.add_url_rule("/auth", "mfa", view)
    if closed:
        app.before_request(require_session)
    found = lines_about(app, "claims", "mfa")
    assert found[0].startswith(
        "ok claims pages require what the SDK requires of every session: st-mfa"
    )
    level = said_if_closed if closed else said
    assert [row.split()[:2] for row in found[1:]] == ([] if level is None else [[level, "mfa"]])
