"""Revoked sessions, checked by the hook or by the view."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import pytest
from flask import (
    Blueprint,
    Flask,
    Response,
    g,
    render_template,
    render_template_string,
    stream_template,
)

from flask_ssr_session import (
    ConfigError,
    FlaskSSRSession,
    MisuseError,
    app_state,
    get_ssr_session,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.errors import FetchError
from flask_ssr_session.request_state import current_request_state
from flask_ssr_session.testing import (
    SessionSigner,
    expire,
    install_test_keys,
    outage,
    revoke,
    sign_in,
)
from flask_ssr_session.upstream import revocation
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.revocation import RevocationCheck
from tests.browser_requests import FETCH, PAGE
from tests.tokens import expired_token, make_token

from .conftest import (
    API_DOMAIN,
    TEMPLATE_GUARD,
    cookies,
    is_down,
    make_app,
    page_shown,
    sdk_values,
    stub_revocation,
    with_templates,
)


def is_revoked(_handle: str) -> bool:
    return True


def is_known(_handle: str) -> bool:
    return False


def with_pages(app: Flask) -> Flask:
    """Give *app* views that look revocation up, and the same ones that do not."""
    with_templates(app, page=TEMPLATE_GUARD)

    def view() -> str:
        return f"for {g.session.user_id if g.session else 'everyone'}"

    checking = session_required(check_revoked=True)
    app.add_url_rule("/checks", "checks", checking(lambda: view()), methods=["GET", "POST"])
    app.add_url_rule("/trusts", "trusts", session_required(lambda: view()))
    app.add_url_rule("/news", "news", session_optional(lambda: view()))
    app.add_url_rule("/page", "page", lambda: render_template("page.html"))
    app.add_url_rule("/open", "open", lambda: view())
    app.add_url_rule("/ignored", "ignored", session_exempt(lambda: "ignored"))
    return app


@pytest.fixture
def app() -> Flask:
    """An app that checks revocation if a view requires it."""
    return with_pages(make_app())


@pytest.fixture
def strict_app(sdk: None) -> Flask:  # noqa: ARG001
    """An app that checks revocation for every request."""
    return with_pages(make_app(check_revoked=True))


# --- in the decorator ----------------------------------------------------------------------------


def test_revoked_session_is_good_until_somebody_asks(app: Flask) -> None:
    client = app.test_client()
    sign_in(client)
    assert client.get("/checks", headers=PAGE).text == "for user-1"
    revoke(client)
    response = client.get("/checks", headers=PAGE)
    assert (response.status_code, page_shown(response)) == (200, "refresh")
    assert response.headers["SSR-Session"] == "refresh; reason=revoked"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers
    assert 'data-reason="revoked"' in response.text
    assert client.get("/checks", headers=FETCH).json == {"message": "try refresh token"}
    for path in ("/trusts", "/news", "/open"):
        assert client.get(path, headers=PAGE).text == "for user-1"
    sign_in(client)
    assert client.get("/checks", headers=PAGE).text == "for user-1"


def test_other_sessions_of_the_user_live_on(app: Flask) -> None:
    first, second = app.test_client(), app.test_client()
    sign_in(first)
    sign_in(second)
    revoke(first)
    assert page_shown(first.get("/checks", headers=PAGE)) == "refresh"
    assert second.get("/checks", headers=PAGE).text == "for user-1"


def test_page_that_asks_by_itself_tells_the_script_of_a_revoked_session_in_both_flows() -> None:
    """The refresh page's own address would take the token for a good one."""
    for flow in ("inline", "redirect"):
        client = with_pages(make_app(refresh_flow=flow)).test_client()
        sign_in(client)
        revoke(client)
        response = client.get("/checks?a=1", headers=PAGE)
        assert (response.status_code, page_shown(response)) == (200, "refresh")
        assert 'data-reason="revoked"' in response.text


def test_verdict_and_session_are_replaced_for_the_rest_of_the_request(app: Flask) -> None:
    seen: dict[str, Any] = {}

    @app.after_request
    def look(response: Response) -> Response:
        seen["after"] = (g.session, get_ssr_session())
        return response

    @app.route("/inside")
    @session_optional
    def inside() -> str:
        seen["before"] = g.session.user_id
        try:
            require_session(check_revoked=True)
        finally:
            seen["then"] = (g.session, get_ssr_session())
        return "secret"

    client = app.test_client()
    sign_in(client)
    revoke(client)
    response = client.get("/inside", headers=PAGE)
    assert page_shown(response) == "refresh"
    assert seen == {"before": "user-1", "then": (None, None), "after": (None, None)}


def test_error_page_after_the_look_up_knows_of_it(app: Flask) -> None:
    @app.route("/inside")
    def inside() -> str:
        try:
            require_session(check_revoked=True)
        except Exception:  # noqa: BLE001 - an app that shows something else instead
            return render_template_string(
                "{{ 'held back' if needs_refresh else g.session.user_id }}"
            )
        return "secret"

    client = app.test_client()
    sign_in(client)
    revoke(client)
    response = client.get("/inside", headers=PAGE)
    assert response.text == "held back"
    assert response.headers["SSR-Session"] == "refresh; reason=revoked"
    assert response.headers["Cache-Control"] == "no-store"


def test_claims_of_a_revoked_session_are_not_looked_at(app: Flask) -> None:
    decorated = session_required(check_revoked=True, role="admin")(lambda: "for admins")
    app.add_url_rule("/admin", "admin", decorated)
    client = app.test_client()
    sign_in(client, roles=["admin"])
    assert client.get("/admin", headers=FETCH).text == "for admins"
    revoke(client)
    assert client.get("/admin", headers=FETCH).status_code == 401
    sign_in(client, roles=["editor"])
    assert client.get("/admin", headers=FETCH).status_code == 403


@pytest.mark.parametrize("kind", ["app", "blueprint", "view"])
def test_require_session_looks_up_too(kind: str) -> None:
    app = make_app()
    shop = Blueprint("shop", "shop")
    if kind != "view":
        registry: Any = app if kind == "app" else shop
        registry.before_request(partial(require_session, check_revoked=True))

    @shop.route("/")
    def home() -> str:
        if kind == "view":
            require_session(check_revoked=True)
        return "secret"

    app.register_blueprint(shop)
    client = app.test_client()
    sign_in(client)
    assert client.get("/", headers=PAGE).text == "secret"
    revoke(client)
    assert page_shown(client.get("/", headers=PAGE)) == "refresh"
    assert client.get("/", headers=FETCH).status_code == 401


def test_async_view_looks_up_too(app: Flask) -> None:
    async def view() -> str:
        return "secret"

    app.add_url_rule("/async", "async", session_required(check_revoked=True)(view))
    client = app.test_client()
    sign_in(client)
    assert client.get("/async", headers=PAGE).text == "secret"
    revoke(client)
    assert page_shown(client.get("/async", headers=PAGE)) == "refresh"


# --- in the hook ---------------------------------------------------------------------------------


def test_hook_looks_up_for_every_page(strict_app: Flask) -> None:
    with_templates(strict_app, page=TEMPLATE_GUARD, stream=TEMPLATE_GUARD)
    strict_app.add_url_rule("/stream", "stream", lambda: stream_template("stream.html"))
    client = strict_app.test_client()
    sign_in(client)
    for path in ("/checks", "/trusts", "/news", "/open"):
        assert client.get(path, headers=PAGE).text == "for user-1"
    assert client.get("/page", headers=PAGE).text == "content"
    assert client.get("/stream", headers=PAGE).text == "content"
    revoke(client)
    for path in ("/checks", "/trusts", "/news", "/page", "/stream"):
        response = client.get(path, headers=PAGE)
        assert page_shown(response) == "refresh"
        assert response.headers["SSR-Session"] == "refresh; reason=revoked"
        assert response.headers["Cache-Control"] == "no-store"
    # A view without the check reads the same session.
    assert client.get("/open", headers=PAGE).text == "for everyone"
    assert client.get("/news?continueSignedOut=1", headers=PAGE).text == "for everyone"


def test_hook_decides_before_other_hooks(strict_app: Flask) -> None:
    seen: list[Any] = []

    @strict_app.before_request
    def look() -> None:
        seen.append(g.session)

    client = strict_app.test_client()
    sign_in(client)
    revoke(client)
    client.get("/open", headers=PAGE)
    assert seen == [None]


# --- how often -----------------------------------------------------------------------------------


def test_core_is_asked_once_per_request_however_often_it_is_asked_for(app: Flask) -> None:
    with_templates(
        app, often=TEMPLATE_GUARD + "{{ needs_refresh }}{{ needs_refresh(optional=True) }}"
    )
    app.before_request(partial(require_session, check_revoked=True))

    @app.route("/often")
    @session_required(check_revoked=True)
    @session_required(check_revoked=True)
    def often() -> str:
        require_session(check_revoked=True)
        return render_template("often.html")

    asked = stub_revocation(app, is_known)
    client = app.test_client(use_cookies=False)
    headers = PAGE | cookies(make_token(sessionHandle="handle-1"))
    for requests in (1, 2, 3):
        assert client.get("/often", headers=headers).status_code == 200
        assert asked == ["handle-1"] * requests
    stub_revocation(app, is_revoked)
    assert page_shown(client.get("/often", headers=headers)) == "refresh"


@pytest.mark.parametrize("answer", [is_known, is_revoked, is_down])
@pytest.mark.parametrize("path", ["/checks", "/trusts", "/news", "/page", "/open", "/nowhere"])
def test_hook_and_decorator_ask_once_between_them(
    strict_app: Flask, path: str, answer: Callable[[str], bool]
) -> None:
    asked = stub_revocation(strict_app, answer)
    client = strict_app.test_client(use_cookies=False)
    client.get(path, headers=PAGE | cookies(make_token()))
    assert len(asked) == 1


def test_late_question_asks_once_where_the_hook_had_nothing_to_decide(strict_app: Flask) -> None:
    view = session_exempt(session_required(check_revoked=True)(lambda: "secret"))
    strict_app.add_url_rule("/late", "late", view)
    asked = stub_revocation(strict_app, is_known)
    client = strict_app.test_client(use_cookies=False)
    assert client.get("/late", headers=PAGE | cookies(make_token())).text == "secret"
    assert len(asked) == 1


@pytest.mark.parametrize(
    "make_headers",
    [dict, cookies, lambda: cookies(expired_token()), lambda: cookies("junk")],
    ids=["stranger", "token missing", "expired", "invalid"],
)
def test_core_is_asked_about_no_session_that_there_is_not(
    strict_app: Flask, make_headers: Callable[[], dict[str, str]]
) -> None:
    asked = stub_revocation(strict_app, is_known)
    client = strict_app.test_client(use_cookies=False)
    for path in ("/checks", "/trusts", "/news", "/page"):
        client.get(path, headers=PAGE | make_headers())
    with outage(strict_app):
        client.get("/checks", headers=PAGE | cookies(make_token()))
    assert asked == []


def test_core_is_not_asked_for_what_no_session_matters_to(strict_app: Flask) -> None:
    asked = stub_revocation(strict_app, is_known)
    client = strict_app.test_client(use_cookies=False)
    headers = PAGE | cookies(make_token())
    assert client.get("/ignored", headers=headers).text == "ignored"
    client.post("/auth/session/refresh", headers=headers)
    client.options("/checks", headers=headers | {"Access-Control-Request-Method": "POST"})
    client.post("/checks", headers=headers | {"Sec-Fetch-Site": "cross-site"})
    assert asked == []


def test_nothing_is_asked_unless_somebody_wants_it(app: Flask) -> None:
    asked = stub_revocation(app, is_down)
    client = app.test_client(use_cookies=False)
    for path in ("/trusts", "/news", "/open", "/page"):
        response = client.get(path, headers=PAGE | cookies(make_token()))
        assert response.status_code == 200
        assert page_shown(response) == ""
    assert asked == []


# --- the core is down ----------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["hook", "decorator"])
def test_core_that_is_down_is_an_outage_and_signs_nobody_out(
    where: str, app: Flask, strict_app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    asking = strict_app if where == "hook" else app
    stub_revocation(asking, is_down)
    client = asking.test_client(use_cookies=False)
    headers = PAGE | cookies(make_token())
    response = client.get("/checks", headers=headers)
    assert (response.status_code, page_shown(response)) == (503, "outage")
    assert response.headers["SSR-Session"] == "unavailable; reason=core_unavailable"
    assert response.headers["Retry-After"] == "10"
    assert response.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in response.headers
    script = client.get("/checks", headers=FETCH | cookies(make_token()))
    assert (script.status_code, script.json) == (
        503,
        {"message": "session cannot be checked right now"},
    )
    (line,) = [r for r in caplog.records if r.name.startswith("flask_ssr_session")]
    assert line.levelno == logging.WARNING
    assert line.getMessage().startswith("core_unavailable: no complete answer in time")
    stub_revocation(asking, is_known)
    assert client.get("/checks", headers=headers).text == "for user-1"


def test_optional_page_is_shown_signed_out_while_the_core_is_down(strict_app: Flask) -> None:
    stub_revocation(strict_app, is_down)
    client = strict_app.test_client(use_cookies=False)
    response = client.get("/news", headers=PAGE | cookies(make_token()))
    assert (response.status_code, response.text) == (200, "for everyone")


def test_optional_page_that_looks_up_itself_is_shown_signed_out(app: Flask) -> None:
    app.before_request(partial(require_session, check_revoked=True))
    client = app.test_client(use_cookies=False)
    headers = PAGE | cookies(make_token())
    for answer, text in ((is_known, "for user-1"), (is_down, "for everyone")):
        stub_revocation(app, answer)
        assert client.get("/news", headers=headers).text == text
    stub_revocation(app, is_revoked)
    response = client.get("/news", headers=headers)
    assert page_shown(response) == "refresh"
    assert 'href="/news?continueSignedOut=1"' in response.text
    going_on = client.get("/news?continueSignedOut=1", headers=headers)
    assert going_on.text == "for everyone"


def test_page_that_streams_already_shows_the_outage(app: Flask) -> None:
    """Its status is out by then, but no content is."""

    @app.route("/late")
    def late() -> Iterator[str]:
        return stream_template("late.html")

    with_templates(
        app,
        late=(
            "{% from 'refresh_page.html' import refresh_page %}begin {{ ask() }}"
            "{% if needs_refresh %}{{ refresh_page() }}{% else %}secret{% endif %}"
        ),
    )
    app.jinja_env.globals["ask"] = lambda: current_check()
    stub_revocation(app, is_down)
    client = app.test_client(use_cookies=False)
    response = client.get("/late", headers=PAGE | cookies(make_token()))
    assert page_shown(response) == "outage"
    assert "secret" not in response.text


def current_check() -> str:
    """Check for revocation, as code that a template calls may do, and ignore the result."""
    current_request_state().check_revoked()
    return ""


def test_unexpected_error_of_the_look_up_is_an_outage(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(handle: str) -> bool:
        raise RuntimeError(f"a defect that knows {handle}")

    stub_revocation(app, fail)
    client = app.test_client(use_cookies=False)
    headers = PAGE | cookies(make_token(sessionHandle="handle-nobody-should-see"))
    response = client.get("/checks", headers=headers)
    assert response.status_code == 503
    assert response.headers["SSR-Session"] == "unavailable; reason=internal"
    assert "RuntimeError at" in caplog.text
    assert "handle-nobody-should-see" not in caplog.text


def test_failure_is_remembered_between_requests(
    monkeypatch: pytest.MonkeyPatch,
    sdk: None,  # noqa: ARG001
) -> None:
    """From the setting to the look-up, with nothing replaced but the network."""
    asked: list[tuple[str, dict[str, str]]] = []
    answers: list[Any] = [FetchError("no complete answer in time"), b'{"status":"OK"}']
    monkeypatch.setattr(
        app_state,
        "read_sdk",
        lambda: sdk_values(
            session_uris=("http://core/recipe/session",), core_headers={"api-key": "of-the-core"}
        ),
    )

    def fetch(url: str, _deadline: Deadline, headers: Mapping[str, str]) -> tuple[bytes, None]:
        asked.append((url, dict(headers)))
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer, None

    monkeypatch.setattr(revocation, "RevocationCheck", partial(RevocationCheck, fetch=fetch))
    app = with_pages(make_app(check_revoked=True))
    app.extensions["ssr_session"].override_keys_for_testing(
        app.extensions["ssr_session_test_keys"].keys
    )
    client = app.test_client(use_cookies=False)
    headers = PAGE | cookies(make_token(sessionHandle="handle-1"))
    statuses = [client.get("/trusts", headers=headers).status_code for _ in range(3)]
    assert statuses == [503] * 3
    assert asked == [
        ("http://core/recipe/session?sessionHandle=handle-1", {"api-key": "of-the-core"})
    ]


# --- without the SDK -----------------------------------------------------------------------------


def bare_app(**settings: Any) -> Flask:
    """Return an app that trusts keys of its own, and has neither SDK nor test keys."""
    app = with_pages(Flask("bare"))
    app.testing = True
    FlaskSSRSession(app, api_domain=API_DOMAIN, jwks={"keys": [SessionSigner().jwk()]}, **settings)
    return app


def test_setting_without_the_sdk_says_what_to_do_at_the_first_request() -> None:
    client = bare_app(check_revoked=True).test_client(use_cookies=False)
    for headers in (PAGE, PAGE | cookies(make_token())):
        with pytest.raises(ConfigError, match=r"SSR_SESSION_CHECK_REVOKED.*supertokens_python\."):
            client.get("/open", headers=headers)


def test_view_without_the_sdk_says_what_to_do_and_lets_nobody_in() -> None:
    app = bare_app()
    client = app.test_client(use_cookies=False)
    for headers in (PAGE, PAGE | cookies(make_token())):
        with pytest.raises(MisuseError, match=r"check_revoked asks.*supertokens_python\.init"):
            client.get("/checks", headers=headers)
    assert client.get("/trusts", headers=PAGE | cookies(make_token())).text == "for user-1"
    app.testing = False
    response = client.get("/checks", headers=PAGE | cookies(make_token()))
    assert response.status_code == 500
    assert "for user-1" not in response.text


def test_setting_works_with_the_test_keys_alone() -> None:
    """An app that is tested without its SDK, as the test keys promise: no core, no network."""
    app = with_pages(make_app(check_revoked=True))
    client = app.test_client()
    sign_in(client)
    assert client.get("/trusts", headers=PAGE).text == "for user-1"
    revoke(client)
    assert page_shown(client.get("/trusts", headers=PAGE)) == "refresh"


# --- the test kit --------------------------------------------------------------------------------


def test_revoking_takes_a_signed_in_client(app: Flask) -> None:
    client = app.test_client()
    with pytest.raises(MisuseError, match=r"revoke\(\): this client is not signed in"):
        revoke(client)
    other = Flask("other")
    other.testing = True
    FlaskSSRSession(other, api_domain=API_DOMAIN)
    stranger = other.test_client()
    stranger.set_cookie("sAccessToken", make_token())
    with pytest.raises(MisuseError, match="install_test_keys"):
        revoke(stranger)


def test_revoked_session_stays_revoked_through_expiry_and_outage(app: Flask) -> None:
    client = app.test_client()
    sign_in(client)
    revoke(client)
    with outage(app):
        assert client.get("/checks", headers=PAGE).status_code == 503
    assert client.get("/checks", headers=PAGE).headers["SSR-Session"].endswith("revoked")
    expire(client)
    assert client.get("/checks", headers=PAGE).headers["SSR-Session"].endswith("expired")


def test_sessions_are_revoked_for_one_app_only(app: Flask) -> None:
    other = with_pages(make_app())
    client, elsewhere = app.test_client(), other.test_client()
    for each in (client, elsewhere):
        each.set_cookie("sAccessToken", make_token(sessionHandle="shared"))
    revoke(client)
    assert page_shown(client.get("/checks", headers=PAGE)) == "refresh"
    assert elsewhere.get("/checks", headers=PAGE).text == "for user-1"


def test_keys_installed_anew_forget_who_was_revoked(app: Flask) -> None:
    client = app.test_client()
    sign_in(client)
    revoke(client)
    install_test_keys(app)
    assert client.get("/checks", headers=PAGE).text == "for user-1"
