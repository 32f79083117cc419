"""``g.session``, the one verdict of a request, exempt requests, and what no log may contain."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask import (
    Blueprint,
    Flask,
    Request,
    Response,
    current_app,
    g,
    render_template,
    request,
    stream_template,
)
from flask import request_started as flask_request_started
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from werkzeug.test import TestResponse

from flask_ssr_session import (
    MisuseError,
    app_state,
    get_ssr_session,
    request_state,
    request_verdict,
    require_session,
    safe_return_path,
    session_exempt,
    session_required,
)
from flask_ssr_session.sansio.verdict import Verdict, decide
from flask_ssr_session.testing import expire, outage, sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tokens import expired_token, make_token

from .conftest import (
    TEMPLATE_GUARD,
    cookies,
    make_app,
    page_shown,
    sdk_values,
    with_templates,
    with_views,
)

# --- g.session -----------------------------------------------------------------------------------


def test_g_session_is_none_for_strangers_and_the_session_for_users(
    app: Flask, client: FlaskClient
) -> None:
    seen: list[Any] = []

    @app.route("/look")
    def look() -> str:
        seen.append((g.session, get_ssr_session()))
        return ""

    client.get("/look")
    sign_in(client, "user-7")
    client.get("/look")
    expire(client)
    client.get("/look")

    assert seen[0] == (None, None)
    session, same = seen[1]
    assert session.user_id == "user-7"
    assert session is same
    assert seen[2] == (None, None)


def test_g_session_is_none_before_anything_else_happens(app: Flask, client: FlaskClient) -> None:
    seen: list[Any] = []

    @app.url_value_preprocessor
    def preprocess(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
        seen.append(g.session)

    sign_in(client)
    assert client.get("/account").text == "account of user-1"
    assert seen == [None]


def test_signal_is_listened_to_only_where_somebody_looks_before_the_hook() -> None:
    def entering(app: Flask) -> bool:
        client = app.test_client()
        assert client.get("/open").text == "open"
        return any(flask_request_started.receivers_for(app))

    assert not entering(with_views(make_app()))
    with_look = with_views(make_app())
    with_look.url_value_preprocessor(lambda _endpoint, _values: None)
    assert entering(with_look)
    overheard = with_views(make_app())
    with flask_request_started.connected_to(lambda _app, **_more: None, overheard):
        client = overheard.test_client()
        client.get("/open")
        assert len(list(flask_request_started.receivers_for(overheard))) == 2


@pytest.mark.parametrize("by_class", [True, False], ids=["by a request class", "before the hook"])
def test_cookies_that_the_app_reads_its_own_way_are_looked_at(app: Flask, by_class: bool) -> None:
    token = make_token()

    class FromHeader(Request):
        @property
        def cookies(self) -> MultiDict[str, str]:  # type: ignore[override]
            return MultiDict({"sAccessToken": self.headers["X-Token"]})

    def plant() -> None:
        request.cookies = ImmutableMultiDict({"sAccessToken": request.headers["X-Token"]})

    if by_class:
        app.request_class = FromHeader
    else:
        app.before_request_funcs[None].insert(0, plant)
    client = app.test_client()
    assert client.get("/account", headers={"X-Token": token}).text == "account of user-1"
    assert client.get("/account", headers=FETCH | {"X-Token": "x"}).status_code == 401


def test_whoever_asks_before_the_hook_gets_the_verdict_already(
    app: Flask, client: FlaskClient
) -> None:
    seen: list[Any] = []

    @app.url_value_preprocessor
    def preprocess(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
        seen.append((get_ssr_session(), g.session))

    sign_in(client)
    client.get("/open")
    assert seen[0][0].user_id == "user-1"
    assert seen[0][0] is seen[0][1]


def test_session_of_an_earlier_request_is_gone_in_a_context_that_lives_on(app: Flask) -> None:
    seen: list[Any] = []

    @app.url_value_preprocessor
    def preprocess(_endpoint: str | None, _values: dict[str, Any] | None) -> None:
        seen.append(g.session)

    first, second = app.test_client(), app.test_client()
    sign_in(first)
    with app.app_context():
        assert first.get("/account").text == "account of user-1"
        assert g.session.user_id == "user-1"  # left behind, until the next request begins
        second.get("/static/none")
        assert second.get("/account", headers=FETCH).status_code == 401
    assert seen == [None, None, None]


def test_request_inside_a_request_leaves_the_outer_session_in_place(
    app: Flask, client: FlaskClient
) -> None:
    seen: list[str] = []

    def user() -> str:
        return g.session.user_id if g.session else "nobody"

    @app.route("/inner")
    def inner() -> str:
        return user()

    @app.route("/outer")
    @session_required
    def outer() -> str:
        other = current_app.test_client()
        seen.append(other.get("/inner").text)
        seen.append(user())
        sign_in(other, "other")
        seen.append(other.get("/inner").text)
        seen.append(user())
        with current_app.test_request_context("/mail"):
            seen.append(render_template("mail.html"))
        seen.append(user())
        return render_template("mail.html")

    with_templates(app, mail="{{ needs_refresh }}")
    app.debug = True  # where a g.session other than the verdict's is an error
    sign_in(client)
    assert client.get("/outer").text == "False"
    assert seen == ["nobody", "user-1", "other", "user-1", "True", "user-1"]


def test_streamed_response_has_the_session_until_its_end(app: Flask, client: FlaskClient) -> None:
    """Flask tears the request down before it streams, and brings its context back for that."""

    @app.route("/streamed")
    @session_required
    def streamed() -> Any:
        return stream_template("streamed.html")

    with_templates(app, streamed="{{ g.session.user_id }} {{ needs_refresh }}")
    sign_in(client)
    assert client.get("/streamed").text == "user-1 False"


@pytest.mark.parametrize("kind", ["expired", "active"])
def test_streamed_refresh_page_is_kept_by_no_cache(
    app: Flask, client: FlaskClient, kind: str
) -> None:
    @app.route("/streamed")
    def streamed() -> Any:
        response = current_app.make_response(stream_template("streamed.html"))
        response.cache_control.max_age = 3600
        return response

    with_templates(app, streamed=TEMPLATE_GUARD)
    sign_in(client)
    if kind == "expired":
        expire(client)
    response = client.get("/streamed", headers=PAGE)
    held = kind == "expired"
    assert ("data-ssr-session" in response.text) == held
    assert response.headers["Cache-Control"] == ("no-store" if held else "max-age=3600, private")


def test_another_app_judges_the_same_request_by_its_own_keys(app: Flask) -> None:
    other = make_app("other", issuer="https://elsewhere.example")
    seen: list[Any] = []

    @app.route("/both")
    def both() -> str:
        with other.app_context():
            seen.append(get_ssr_session())
        seen.append(get_ssr_session())
        return ""

    client = app.test_client()
    sign_in(client)
    client.get("/both")
    assert seen[0] is None
    assert seen[1].user_id == "user-1"


def test_object_that_the_app_puts_into_g_session_lets_no_stranger_in(app: Flask) -> None:
    class Trusting:
        user_id = "admin"

    def put_in() -> None:
        g.session = Trusting()

    app.before_request(put_in)

    @app.route("/strict")
    def strict() -> str:
        require_session()
        return "secret"

    client = app.test_client()
    for path in ("/account", "/strict"):
        assert client.get(path, headers=FETCH).status_code == 401
    assert page_shown(client.get("/page", headers=PAGE)) == "sign_in"
    with app.test_request_context():
        put_in()
        assert get_ssr_session() is None


@pytest.mark.parametrize("debug", [True, False])
def test_replacing_g_session_is_an_error_in_debug(
    app: Flask, client: FlaskClient, debug: bool
) -> None:
    @app.route("/replaces")
    def replaces() -> str:
        g.session = {"database": "session"}
        return "done"

    app.debug = debug
    if debug:
        with pytest.raises(MisuseError, match=r"g\.session was replaced by the app"):
            client.get("/replaces")
    else:
        assert client.get("/replaces").text == "done"
    assert client.get("/open").text == "open"


def test_error_page_and_a_hook_that_answers_first_see_the_same_session(
    app: Flask, client: FlaskClient
) -> None:
    app.register_error_handler(404, lambda _error: (f"404 for {g.session.user_id}", 404))
    app.before_request_funcs[None].append(
        lambda: f"early for {g.session.user_id}" if "early" in request.args else None
    )
    sign_in(client)
    assert client.get("/nowhere").text == "404 for user-1"
    assert client.get("/open?early").text == "early for user-1"


def test_error_page_below_the_api_may_ask_too(app: Flask, client: FlaskClient) -> None:
    app.register_error_handler(404, lambda _error: (str(get_ssr_session()), 404))
    sign_in(client)
    assert client.get("/auth/nowhere").text == "<SSRSession (read-only)>"


def test_request_is_decided_once(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    decided = []

    def counting(*args: Any, **options: Any) -> Verdict:
        decided.append(1)
        return decide(*args, **options)

    monkeypatch.setattr(request_verdict, "decide", counting)
    sign_in(client)
    client.get("/page", headers=PAGE)
    client.get("/account", headers=PAGE)
    assert len(decided) == 2


def test_asking_without_setup_says_what_to_do() -> None:
    app = Flask("bare")
    guarded = session_required(lambda: "secret")
    with app.test_request_context():
        for ask in (get_ssr_session, require_session, guarded, lambda: safe_return_path("/")):
            with pytest.raises(MisuseError, match=r"'bare': call FlaskSSRSession\(app\), or init"):
                ask()


# --- cookies of every kind -----------------------------------------------------------------------

_VALID = make_token()
_HEADER, _PAYLOAD, _SIGNATURE = _VALID.split(".")

BAD_COOKIES: dict[str, str] = {
    "word": "sAccessToken=junk",
    "no value": "sAccessToken",
    "empty": "sAccessToken=; sFrontToken=e30=",
    "dots": "sAccessToken=..",
    "null byte": "sAccessToken=a\0b",
    "latin-1": "sAccessToken=\xff\xfe\x80",
    "UTF-8": "sAccessToken=\xc3\xa9",
    "octal escapes": 'sAccessToken="\\303\\050"',
    "open quote": 'sAccessToken="' + _VALID,
    "separators": "sAccessToken=;;;=;,=",
    "only separators": ";" * 5000,
    "controls": "sAccessToken=\x01\x7f",
    "swapped parts": f"sAccessToken={_PAYLOAD}.{_HEADER}.{_SIGNATURE}",
    "no signature": f"sAccessToken={_HEADER}.{_PAYLOAD}.",
    "one part more": f"sAccessToken={_VALID}.x",
    "cut": f"sAccessToken={_VALID[:-1]}",
    "prolonged": f"sAccessToken={_VALID}A",
    "padded": f"sAccessToken={_VALID}=",
    "in quotes and spaces": f'sAccessToken=" {_VALID} "',
    "200 kB": "sAccessToken=" + "a" * 200_000,
    "200 kB of dots": "sAccessToken=" + "." * 200_000,
    "200 kB around a token": f"sAccessToken={_VALID}; x=" + "b" * 200_000,
    "5,000 cookies": "; ".join(f"sAccessToken={n}" for n in range(5000)),
    "5,000 empty cookies": "; ".join(["sAccessToken="] * 5000),
    "front token of junk": "sFrontToken=\xff",
    "huge front token": "sFrontToken=" + "f" * 200_000,
    "deep JSON": "sAccessToken=" + ".".join(["W1tbW1tbW1tbW1tbW1s" * 300] * 3),
}


def _ask(app: Flask, cookie: str, headers: dict[str, str] = PAGE) -> TestResponse:
    client = app.test_client(use_cookies=False)
    return client.get("/account", headers=headers, environ_overrides={"HTTP_COOKIE": cookie})


@pytest.mark.parametrize("row", BAD_COOKIES)
def test_bad_cookie_is_never_an_error(app: Flask, row: str) -> None:
    response = _ask(app, BAD_COOKIES[row])
    if row == "200 kB around a token":
        assert response.text == "account of user-1"
        return
    reason = response.headers["SSR-Session"].partition("=")[2]
    assert reason in ("invalid", "duplicate", "token_missing", "anonymous")
    assert response.status_code == (302 if reason == "anonymous" else 200)
    assert _ask(app, BAD_COOKIES[row], FETCH).status_code == 401


def test_good_cookie_among_hundreds_of_strangers_cookies_is_found(app: Flask) -> None:
    others = "; ".join(f"c{n}={n}" for n in range(500))
    assert _ask(app, f"{others}; sAccessToken={_VALID}; {others}").text == "account of user-1"


@pytest.fixture(scope="module")
def shared_app() -> Iterator[Flask]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_state, "read_sdk", lambda: None)
        yield with_views(make_app())


@settings(max_examples=150, deadline=None)
@given(raw=st.binary(max_size=300))
def test_no_bytes_in_the_cookie_header_are_an_error(shared_app: Flask, raw: bytes) -> None:
    response = _ask(shared_app, raw.decode("latin-1"))
    assert response.status_code in (200, 302)
    assert "account of" not in response.text


@settings(max_examples=150, deadline=None)
@given(values=st.lists(st.binary(max_size=60), max_size=6))
def test_no_values_of_token_cookies_are_an_error(shared_app: Flask, values: list[bytes]) -> None:
    header = "; ".join(f"sAccessToken={value.decode('latin-1')}" for value in values)
    response = _ask(shared_app, header)
    assert response.status_code in (200, 302)
    assert "account of" not in response.text


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_change_of_a_good_token_opens_the_page(shared_app: Flask, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(_VALID) - 1))
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
    other = data.draw(st.sampled_from([char for char in alphabet if char != _VALID[place]]))
    token = _VALID[:place] + other + _VALID[place + 1 :]
    assert _ask(shared_app, f"sAccessToken={_VALID}").text == "account of user-1"
    response = _ask(shared_app, f"sAccessToken={token}")
    assert (response.status_code, page_shown(response)) == (200, "refresh")


# --- left alone ----------------------------------------------------------------------------------


def _is_left_alone(app: Flask, path: str, **options: Any) -> bool:
    """Return whether a request got no verdict: every response with a verdict has this header."""
    with app.test_client().open(path, **options) as response:
        assert response.status_code < 500
        return "Cookie" not in response.vary


@pytest.fixture
def varied_app(app: Flask, tmp_path: Any) -> Flask:
    (tmp_path / "logo.txt").write_text("logo")
    blueprint = Blueprint("shop", "shop", url_prefix="/shop")
    blueprint.static_folder, blueprint.static_url_path = str(tmp_path), "/static"
    outer = Blueprint("outer", "outer", url_prefix="/outer")
    outer.register_blueprint(blueprint)
    app.register_blueprint(outer)
    app.register_blueprint(blueprint)
    app.static_folder = str(tmp_path)

    unlike = Blueprint("unlike", "unlike", url_prefix="/unlike")

    @unlike.route("/report")
    def static() -> str:
        return "a view that happens to be called static"

    app.register_blueprint(unlike)
    app.add_url_rule("/health", "health", session_exempt(lambda: "well"))
    app.add_url_rule("/auth/profile", "profile", lambda: "a page of the app's")

    @app.route("/own-options", methods=["GET", "OPTIONS"])
    def own_options() -> str:
        return "secret"

    return app


PREFLIGHT = {"Origin": "https://other.example", "Access-Control-Request-Method": "GET"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "left_alone"),
    [
        ("GET", "/static/logo.txt", {}, True),
        ("GET", "/static/missing.txt", {}, True),
        ("GET", "/shop/static/logo.txt", {}, True),
        ("GET", "/outer/shop/static/logo.txt", {}, True),
        ("GET", "/unlike/report", {}, False),
        ("GET", "/health", {}, True),
        ("GET", "/open", {}, False),
        ("OPTIONS", "/account", PREFLIGHT, True),
        ("OPTIONS", "/account", {}, False),
        ("GET", "/account", PREFLIGHT, False),
        ("OPTIONS", "/own-options", PREFLIGHT, False),
        ("POST", "/auth/session/refresh", {}, True),
        ("GET", "/auth", {}, True),
        ("GET", "/auth/", {}, True),
        ("GET", "/authentic", {}, False),
        ("GET", "/auth-x/y", {}, False),
        ("GET", "/x/auth/y", {}, False),
        ("GET", "/AUTH/x", {}, False),
        ("GET", "/auth/profile", {}, False),
        ("GET", "/nowhere", {}, False),
    ],
)
def test_left_alone_is_what_no_session_matters_to(
    varied_app: Flask, method: str, path: str, headers: dict[str, str], left_alone: bool
) -> None:
    assert _is_left_alone(varied_app, path, method=method, headers=headers) is left_alone


@pytest.mark.parametrize(
    ("mount", "api_base_path", "path", "left_alone"),
    [
        ("", "/auth", "/auth/x", True),
        ("/shop", "/shop/auth", "/auth/x", True),
        ("/shop", "/auth", "/auth/x", False),
        ("", "/", "/anything", True),
        ("", "/api/auth", "/api/auth/x", True),
        ("", "/api/auth", "/api/x", False),
    ],
)
def test_api_path_is_compared_as_the_sdk_does_with_the_mount_point(
    mount: str, api_base_path: str, path: str, left_alone: bool
) -> None:
    app = make_app(api_base_path=api_base_path)
    assert _is_left_alone(app, path, base_url=f"http://localhost{mount}") is left_alone


def test_what_is_left_alone_has_no_session_and_costs_no_decision(
    varied_app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    @varied_app.after_request
    def look(response: Response) -> Response:
        seen.append(g.session)
        return response

    monkeypatch.setattr(request_verdict, "decide", None)
    client = varied_app.test_client()
    sign_in(client)
    assert client.get("/health").text == "well"
    assert client.get("/static/logo.txt", buffered=True).text == "logo"
    assert client.post("/auth/session/refresh").status_code == 404
    assert seen == [None, None, None]


def test_api_base_path_of_the_sdk_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk_values(api_base_path="/api/auth"))
    app = make_app()
    assert _is_left_alone(app, "/api/auth/x")
    assert not _is_left_alone(app, "/auth/x")


# --- safe_return_path ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "target"),
    [
        ("/account?tab=1#top", "/account?tab=1#top"),
        ("https://app.example.com/x", "https://app.example.com/x"),
        ("https://evil.example/x", "/"),
        ("//evil.example", "/"),
        ("/auth", "/"),
        ("/refresh-session?redirectBack=/", "/"),
        (None, "/"),
    ],
)
def test_safe_return_path_stays_on_this_site(raw: str | None, target: str) -> None:
    app = make_app(redirect_origins=["https://app.example.com"])
    with app.test_request_context(headers={"Host": "evil.example"}):
        assert safe_return_path(raw) == target


# --- secrets -------------------------------------------------------------------------------------


def _leaks(text: str, *tokens: str) -> list[str]:
    """Return what of any token is in *text*; the header of all tokens is the same."""
    parts = [part for token in tokens for part in token.split(".") if len(part) >= 16]
    return [part for part in parts if part[:16] in text or part[-16:] in text]


def test_no_log_record_answer_or_repr_holds_a_token(
    app: Flask,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    good, old = make_token(user_id="user-of-the-token"), expired_token()
    tokens = {
        "good": good,
        "expired": old,
        "tampered": good[:-20] + "A" * 20,
        "unsigned": good.rpartition(".")[0] + ".",
        "foreign key": make_token(
            header={"alg": "RS256", "typ": "JWT", "version": "5", "kid": "x"}
        ),
        "early": make_token(issued_at=time.time() + 120),
        "no token": "junk-that-is-long-enough",
    }
    app.add_url_rule("/fails", "fails", session_required(lambda: str(1 // 0)))
    app.config["PROPAGATE_EXCEPTIONS"] = False
    seen: list[str] = []

    def look(response: Response) -> Response:
        state = request_state.current_request_state()
        seen.extend(map(repr, (state, state.verdict, g.session, app_state.current_state())))
        return response

    app.after_request_funcs[None].append(look)
    client = app.test_client(use_cookies=False)

    def ask_everything() -> None:
        for token in (*tokens.values(), f"{good}; sAccessToken={old}"):
            for path in ("/account", "/page", "/news", "/fails", "/refresh-session", "/nowhere"):
                for headers in (PAGE, FETCH):
                    response = client.get(path, headers=headers | cookies(token))
                    seen.append(f"{response.headers}\n{response.text}")

    ask_everything()
    with outage(app):
        ask_everything()

    def fail(raw_tokens: list[str], **_options: Any) -> None:
        raise RuntimeError(f"cannot judge {raw_tokens}")

    monkeypatch.setattr(request_verdict, "decide", fail)
    ask_everything()

    logged = [
        f"{record.getMessage()}\n{record.exc_text or ''}\n{record.args}"
        for record in caplog.records
    ]
    assert any("internal: RuntimeError at " in line for line in logged)
    assert any(line.startswith("invalid: ") for line in logged)
    assert any("ZeroDivisionError" in line for line in logged)
    assert len(seen) > 300
    for text in (*logged, *seen):
        assert not _leaks(text, *tokens.values())


def test_internal_error_is_logged_once_with_its_place_and_not_its_message(
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    secret = "-".join(["told", "in", "confidence"])

    def fail(*_args: Any, **_options: Any) -> None:
        raise LookupError(secret)

    monkeypatch.setattr(request_verdict, "decide", fail)
    for _ in range(3):
        assert client.get("/account", headers=FETCH).status_code == 503
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert "LookupError at " in record.getMessage()
    assert "in the app 'app'" in record.getMessage()
    assert "test_state.py" in record.getMessage()
    assert secret not in caplog.text


def test_refusals_are_logged_and_ordinary_expiry_only_for_debugging(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "flask_ssr_session")
    client = app.test_client(use_cookies=False)
    for cookie in ({}, cookies(make_token()), cookies(expired_token()), cookies("junk")):
        client.get("/open", headers=PAGE | cookie)
    assert [(r.levelname, r.getMessage().partition(":")[0]) for r in caplog.records] == [
        ("DEBUG", "expired"),
        ("WARNING", "invalid"),
    ]


def test_other_receivers_of_request_started_do_not_disturb(app: Flask, client: FlaskClient) -> None:
    def receiver(_app: Flask, **_more: Any) -> None:
        g.session = "planted"

    with flask_request_started.connected_to(receiver, app):
        assert client.get("/account", headers=FETCH).status_code == 401
        sign_in(client)
        assert client.get("/account").text == "account of user-1"
