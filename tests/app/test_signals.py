"""Signals: what they carry, how often they are sent, and that no receiver breaks a request."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from blinker import NamedSignal
from flask import Flask, g, has_app_context, stream_template
from flask.testing import FlaskClient

import flask_ssr_session
from flask_ssr_session import (
    get_ssr_session,
    keys_failing,
    keys_renewed,
    refresh_requested,
    require_session,
    session_active,
    session_exempt,
    session_required,
)
from flask_ssr_session.app_state import AppState
from flask_ssr_session.errors import FetchError, KeysUnavailableError
from flask_ssr_session.testing import SessionSigner, expire, outage, revoke, sign_in
from flask_ssr_session.throttled_log import ThrottledLog
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.key_age import (
    WAIT_AFTER_SECONDS,
    FetchedKeys,
)
from flask_ssr_session.upstream.key_fetcher import MAX_BACKOFF_SECONDS
from tests.browser_requests import FETCH, PAGE

from ..clocks import SteppedClock
from ..key_servers import FakeKeyServer, finish_background
from .conftest import TEMPLATE_GUARD, make_app, with_templates, with_views

SIGNALS = (session_active, refresh_requested, keys_renewed, keys_failing)

ProbeResult = list[tuple[str, dict[str, Any]]]
Connect = Callable[..., None]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect receivers until the test is over."""
    with ExitStack() as stack:

        def connect(signal: NamedSignal, receiver: Callable[..., Any], *sender: Any) -> None:
            context: AbstractContextManager[None] = signal.connected_to(receiver, *sender)
            stack.enter_context(context)

        yield connect


@pytest.fixture
def heard(connect: Connect) -> ProbeResult:
    """The signals sent from now on: name and values."""
    heard: ProbeResult = []

    def listen_to(signal: NamedSignal) -> None:
        connect(signal, lambda _app, **facts: heard.append((signal.name, facts)))

    for signal in SIGNALS:
        listen_to(signal)
    return heard


def asked(reason: str, answer: str = "refresh_page") -> tuple[str, dict[str, Any]]:
    return ("refresh-requested", {"reason": reason, "answer": answer})


ACTIVE: tuple[str, dict[str, Any]] = ("session-active", {})


def test_signals_are_exported_and_documented_under_their_names() -> None:
    for signal in SIGNALS:
        assert getattr(flask_ssr_session, signal.name.replace("-", "_")) is signal
        assert signal.name.replace("-", "_") in flask_ssr_session.__all__
        assert signal.__doc__ != NamedSignal.__doc__


def test_active_session_is_told_once_and_is_there_to_be_read(
    app: Flask, client: FlaskClient, connect: Connect
) -> None:
    seen: list[Any] = []

    def note(sender: Flask, **facts: Any) -> None:
        seen.append((sender, facts, g.session.user_id, get_ssr_session() is g.session))

    connect(session_active, note, app)
    sign_in(client, "user-7")
    client.get("/account")
    assert seen == [(app, {}, "user-7", True)]


@pytest.mark.parametrize("path", ["/account", "/news", "/open", "/page"])
def test_every_page_with_an_active_session_tells_it_once_and_asks_nothing(
    client: FlaskClient, heard: ProbeResult, path: str
) -> None:
    sign_in(client)
    client.get(path, headers=PAGE)
    assert heard == [ACTIVE]


@pytest.mark.parametrize("path", ["/account", "/page", "/news"])
def test_refresh_page_tells_its_reason_once(
    client: FlaskClient, heard: ProbeResult, path: str
) -> None:
    sign_in(client)
    expire(client)
    client.get(path, headers=PAGE)
    assert heard == [asked("expired")]


def test_page_that_needs_no_session_asks_for_no_refresh(
    client: FlaskClient, heard: ProbeResult
) -> None:
    sign_in(client)
    expire(client)
    client.get("/open", headers=PAGE)
    assert heard == []


def test_every_reason_is_told_apart(client: FlaskClient, heard: ProbeResult) -> None:
    client.set_cookie("sFrontToken", "e30=")
    client.get("/account", headers=PAGE)
    client.set_cookie("sAccessToken", "nonsense")
    client.get("/account", headers=PAGE)
    sign_in(client, "user-1")
    token = client.get_cookie("sAccessToken")
    assert token is not None
    client.set_cookie("sAccessToken", token.value, path="/account")
    sign_in(client, "user-2")
    client.get("/account", headers=PAGE)
    assert heard == [asked("token_missing"), asked("invalid"), asked("duplicate")]


def test_stranger_and_outage_are_no_refresh(
    app: Flask, client: FlaskClient, heard: ProbeResult
) -> None:
    for headers in (PAGE, FETCH):
        client.get("/account", headers=headers)
    sign_in(client)
    with outage(app):
        for headers in (PAGE, FETCH, PAGE | {"Sec-Purpose": "prefetch"}):
            client.get("/account", headers=headers)
        client.get("/page", headers=PAGE)
    client.post("/account", headers=PAGE | {"Sec-Fetch-Site": "cross-site"})
    assert heard == []


@pytest.mark.parametrize("path", ["/account", "/page"])
def test_script_is_told_as_a_script(client: FlaskClient, heard: ProbeResult, path: str) -> None:
    """Also where a template put the refresh page, and the script got a status instead."""
    sign_in(client)
    expire(client)
    assert client.get(path, headers=FETCH).status_code == 401
    assert heard == [asked("expired", "try_refresh")]


def test_prefetched_page_asks_nobody_to_refresh(client: FlaskClient, heard: ProbeResult) -> None:
    sign_in(client)
    expire(client)
    for path in ("/account", "/page"):
        client.get(path, headers=PAGE | {"Sec-Purpose": "prefetch"})
    assert heard == []


def test_redirect_flow_tells_of_the_redirect_and_of_the_page(heard: ProbeResult) -> None:
    client = with_views(make_app(refresh_flow="redirect")).test_client()
    sign_in(client)
    expire(client)
    client.get("/account", headers=PAGE, follow_redirects=True)
    assert heard == [asked("expired", "refresh_redirect"), asked("expired")]


def test_refresh_path_tells_why_it_was_opened(client: FlaskClient, heard: ProbeResult) -> None:
    client.get("/refresh-session", headers=PAGE)
    sign_in(client)
    client.get("/refresh-session", headers=PAGE)
    assert heard == [asked("anonymous"), ACTIVE, asked("active")]


def test_streamed_page_tells_when_it_comes_to_its_refresh_page(heard: ProbeResult) -> None:
    app = with_templates(make_app(), page=f"first{TEMPLATE_GUARD}{TEMPLATE_GUARD}")

    @app.route("/stream")
    def stream() -> Any:
        return stream_template("page.html")

    client = app.test_client()
    sign_in(client)
    expire(client)
    response = client.get("/stream", headers=PAGE)
    assert response.text.count("data-ssr-session=") == 2
    assert heard == [asked("expired")]


def test_session_that_turns_out_to_be_revoked_is_told_twice_over(heard: ProbeResult) -> None:
    """The token is good; the core says otherwise, and only for the view that asks it."""
    app = make_app()

    @app.route("/checked")
    @session_required(check_revoked=True)
    def checked() -> str:
        return "still there"

    client = app.test_client()
    sign_in(client)
    revoke(client)
    client.get("/checked", headers=PAGE)
    assert heard == [ACTIVE, asked("revoked")]


def test_receiver_of_one_app_hears_nothing_of_another(
    app: Flask, client: FlaskClient, connect: Connect
) -> None:
    senders: list[Flask] = []
    connect(session_active, lambda sender, **_facts: senders.append(sender), app)
    other = with_views(make_app("other")).test_client()
    for one in (client, other):
        sign_in(one)
        one.get("/account")
    assert senders == [app]


def test_async_receiver_is_run(app: Flask, client: FlaskClient, connect: Connect) -> None:
    seen: list[str] = []

    async def note(_app: Flask, **_facts: Any) -> None:
        seen.append(g.session.user_id)

    connect(session_active, note, app)
    sign_in(client)
    assert client.get("/account").status_code == 200
    assert seen == ["user-1"]


def test_async_receiver_inside_an_async_view_fails_and_turns_nobody_away(
    app: Flask, client: FlaskClient, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    async def note(_app: Flask, **_facts: Any) -> None:
        seen.append(g.session.user_id)

    @app.route("/late-async")
    @session_exempt
    async def late_async() -> str:
        require_session()
        return "content"

    @app.route("/late")
    @session_exempt
    def late() -> str:
        require_session()
        return "content"

    connect(session_active, note, app)
    sign_in(client)
    assert client.get("/late").text == "content"
    assert seen == ["user-1"]
    assert "receiver_failed" not in caplog.text
    assert client.get("/late-async").text == "content"
    assert seen == ["user-1"]
    assert "receiver_failed" in caplog.text


def test_request_inside_a_receiver_leaves_the_outer_one_as_it_is(
    app: Flask, client: FlaskClient, connect: Connect
) -> None:
    """A receiver may send a request to the app, even as another visitor."""
    inner: list[str] = []

    def ask(_app: Flask, **_facts: Any) -> None:
        if inner:
            return
        inner.append("asked")
        other = app.test_client()
        sign_in(other, "user-2")
        inner.append(other.get("/account").text)

    connect(session_active, ask, app)
    sign_in(client, "user-1")
    assert client.get("/account").text == "account of user-1"
    assert inner == ["asked", "account of user-2"]


@pytest.mark.parametrize("debug", [False, True])
def test_receiver_that_fails_turns_nobody_away_and_nothing_secret_is_logged(
    app: Flask,
    client: FlaskClient,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    debug: bool,
) -> None:
    app.debug = debug

    def fail(_app: Flask, **_facts: Any) -> None:
        raise ZeroDivisionError(client.get_cookie("sAccessToken"))

    connect(session_active, fail)
    connect(refresh_requested, fail)
    sign_in(client)
    assert client.get("/account", headers=PAGE).text == "account of user-1"
    expire(client)
    assert client.get("/account", headers=PAGE).headers["Cache-Control"] == "no-store"
    (line,) = [line for line in caplog.messages if line.startswith("receiver_failed")]
    assert re.fullmatch(
        r"receiver_failed: a receiver of the signal session-active failed: "
        r"ZeroDivisionError at \S+test_signals\.py:\d+",
        line,
    )


def test_signal_without_receivers_is_not_sent(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    """For a session that is active, not even a function is called: it is every page's way."""
    called: list[Any] = []
    send_signal = AppState.send_signal
    for signal in SIGNALS:  # other tests' receivers may not have been collected yet
        monkeypatch.setattr(signal, "receivers", {})

    def counted(state: AppState, signal: NamedSignal, /, **facts: object) -> None:
        called.append(signal)
        send_signal(state, signal, **facts)

    def send(signal: NamedSignal, *_sender: Any, **_facts: Any) -> None:
        if signal in SIGNALS:  # Flask sends its own
            called.append("sent")

    monkeypatch.setattr(AppState, "send_signal", counted)
    monkeypatch.setattr(NamedSignal, "send", send)

    def visit() -> None:
        sign_in(client)
        client.get("/account")
        expire(client)
        client.get("/account")

    visit()
    assert called == [refresh_requested]
    called.clear()
    for signal in (session_active, refresh_requested):
        connect(signal, lambda *_, **__: None)
    visit()
    assert called == [session_active, "sent", refresh_requested, "sent"]


# --- keys


@pytest.fixture
def server(signer: SessionSigner) -> Iterator[FakeKeyServer]:
    server = FakeKeyServer(signer.jwk())
    yield server
    server.close()


def make_keys(app: Flask, clock: SteppedClock, fetch: Any) -> FetchedKeys:
    state: AppState = app.extensions["ssr_session"]
    return FetchedKeys(
        ["https://core.example/jwks"],
        max_stale_seconds=2 * WAIT_AFTER_SECONDS,
        clock=clock,
        log=ThrottledLog(clock),
        fetch=fetch,
        send_signal=state.send_signal,
    )


def test_keys_tell_of_success_failure_and_of_the_end_of_an_outage(
    app: Flask, clock: SteppedClock, server: FakeKeyServer, heard: ProbeResult
) -> None:
    down = True

    def fetch(uri: str, deadline: Deadline) -> tuple[bytes, float | None]:
        if down:
            raise FetchError("no complete answer in time")
        return server.fetch(uri, deadline)

    keys = make_keys(app, clock, fetch)

    def look(seconds_later: float) -> None:
        clock.advance(seconds_later)
        with suppress(KeysUnavailableError):
            keys.get_or_fetch("d-test", clock.wall())
        finish_background()

    def failing(failures: int, age_seconds: float | None, usable: bool) -> Any:
        facts = {"failures": failures, "age_seconds": age_seconds, "usable": usable}
        return ("keys-failing", facts)

    look(0)
    down = False
    look(MAX_BACKOFF_SECONDS)
    down = True
    look(WAIT_AFTER_SECONDS)
    look(2 * WAIT_AFTER_SECONDS)
    down = False
    look(MAX_BACKOFF_SECONDS)
    look(WAIT_AFTER_SECONDS)
    assert heard == [
        failing(1, None, False),
        ("keys-renewed", {"failures": 1}),
        failing(1, WAIT_AFTER_SECONDS, True),
        failing(2, 3 * WAIT_AFTER_SECONDS, False),
        ("keys-renewed", {"failures": 2}),
        ("keys-renewed", {"failures": 0}),
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_fetch_that_was_given_up_tells_nothing(
    app: Flask, clock: SteppedClock, server: FakeKeyServer, heard: ProbeResult, fails: bool
) -> None:
    """While it was under way somebody dropped the keys: what it brings is not used."""

    def fetch(uri: str, deadline: Deadline) -> tuple[bytes, float | None]:
        keys.clear()
        if fails:
            raise FetchError("no complete answer in time")
        return server.fetch(uri, deadline)

    keys = make_keys(app, clock, fetch)
    with pytest.raises(KeysUnavailableError):
        keys.get_or_fetch("d-test", clock.wall())
    assert heard == []


def test_receiver_that_fails_does_not_cost_the_keys(
    app: Flask,
    clock: SteppedClock,
    server: FakeKeyServer,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
) -> None:
    contexts: list[bool] = []

    def fail(_app: Flask, **_facts: Any) -> None:
        contexts.append(has_app_context())
        raise ZeroDivisionError

    connect(keys_renewed, fail)
    keys = make_keys(app, clock, server.fetch)
    assert keys.get_or_fetch("d-test", clock.wall()) is not None
    clock.advance(WAIT_AFTER_SECONDS)
    assert keys.get_or_fetch("d-test", clock.wall()) is not None
    finish_background()
    assert contexts == [False, False]
    assert [r.levelno for r in caplog.records] == [logging.ERROR]
    assert "receiver_failed" in caplog.text


def test_app_that_fetches_its_keys_tells_of_them(
    heard: ProbeResult, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    """An app as it is in production: nothing is installed, and its key server cannot be had."""
    senders: list[Flask] = []
    connect(keys_failing, lambda sender, **_facts: senders.append(sender))
    app = with_views(Flask("in_production"))
    flask_ssr_session.FlaskSSRSession(app, api_domain="http://127.0.0.1:1")
    monkeypatch.setattr(
        "flask_ssr_session.upstream.key_age.FetchedKeys._fetch_any_uri",
        lambda *_: (_ for _ in ()).throw(FetchError("the connection failed")),
    )
    signer = SessionSigner()
    client = app.test_client()
    client.set_cookie("sAccessToken", signer.sign(signer.claims()))
    assert client.get("/account").status_code == 503
    assert heard == [("keys-failing", {"failures": 1, "age_seconds": None, "usable": False})]
    assert senders == [app]


# --- the examples of the documentation, each in a process of its own, as its counters are global

_DOCS = Path(__file__).parents[2] / "docs" / "signals.rst"
_EXAMPLE = re.compile(r"code-block:: python\n\n((?:   .*\n|\n)+)")

_VISITS = """
from flask import Flask
from flask_ssr_session import FlaskSSRSession, keys_failing, keys_renewed, session_required
from flask_ssr_session.testing import PAGE_HEADERS, expire, install_test_keys, set_token, sign_in

app = Flask("watched")
app.testing = True
FlaskSSRSession(app, api_domain="https://api.example.com")
install_test_keys(app)

@app.route("/")
@session_required
def page():
    return "content"

client = app.test_client()
sign_in(client)
client.get("/", headers=PAGE_HEADERS)
expire(client)
client.get("/", headers=PAGE_HEADERS)
client.get("/", headers=PAGE_HEADERS)
client.get("/")
set_token(client, "nonsense")
client.get("/", headers=PAGE_HEADERS)
send_signal = app.extensions["ssr_session"].send_signal
"""

_COUNTER = 'assert refresh_pages == {"expired": 2, "invalid": 1}'

_PROMETHEUS = """
from prometheus_client import REGISTRY

def value(name, **labels):
    return REGISTRY.get_sample_value("ssr_session_" + name, labels)

assert value("refreshes_total", reason="expired", answer="refresh_page") == 2
assert value("refreshes_total", reason="expired", answer="try_refresh") == 1
assert value("refreshes_total", reason="invalid", answer="refresh_page") == 1
assert (value("key_failures"), value("keys_missing")) == (0, 0)
send_signal(keys_failing, failures=3, age_seconds=None, usable=False)
assert (value("key_failures"), value("keys_missing")) == (3, 1)
send_signal(keys_failing, failures=4, age_seconds=400.0, usable=True)
assert (value("key_failures"), value("keys_missing")) == (4, 0)
send_signal(keys_renewed, failures=4)
assert (value("key_failures"), value("keys_missing")) == (0, 0)
"""

_OPENTELEMETRY = """
import json
data = json.loads(reader.get_metrics_data().to_json())
points = data["resource_metrics"][0]["scope_metrics"][0]["metrics"][0]["data"]["data_points"]
counted = {(p["attributes"]["reason"], p["attributes"]["answer"]): p["value"] for p in points}
assert counted == {
    ("expired", "refresh_page"): 2, ("expired", "try_refresh"): 1, ("invalid", "refresh_page"): 1
}, counted
with tracer.start_as_current_span("request") as span:
    sign_in(client, "user-9")
    client.get("/")
    expire(client)
    client.get("/")
assert dict(span.attributes) == {"user.id": "user-9", "ssr_session.refresh": "expired"}
"""

_OPENTELEMETRY_SET_UP = """
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
trace.set_tracer_provider(TracerProvider())
tracer = trace.get_tracer("test")
"""


@pytest.mark.parametrize(
    ("position", "set_up", "check"),
    [(0, "", _COUNTER), (1, "", _PROMETHEUS), (2, _OPENTELEMETRY_SET_UP, _OPENTELEMETRY)],
    ids=["counter", "prometheus", "opentelemetry"],
)
def test_examples_of_the_documentation_count_what_they_say(
    position: int, set_up: str, check: str
) -> None:
    blocks = _EXAMPLE.findall(_DOCS.read_text(encoding="utf-8"))
    examples = [block for block in blocks if ".connect" in block]
    assert len(examples) == 3
    code = "\n".join([set_up, textwrap.dedent(examples[position]), _VISITS, check])
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
