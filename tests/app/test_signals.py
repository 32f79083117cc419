"""Signals: what they carry, how often they are sent, and that no receiver breaks a request."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import pytest
from blinker import NamedSignal
from flask import Flask, g, has_app_context, stream_template
from flask.testing import FlaskClient

import flask_ssr_session
import flask_ssr_session as ssr
from flask_ssr_session.app_state import AppState
from flask_ssr_session.errors import FetchError, KeysUnavailableError
from flask_ssr_session.testing import SessionSigner, expire, sign_in
from flask_ssr_session.throttled_log import ThrottledLog
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.key_age import WAIT_AFTER_SECONDS, FetchedKeys
from flask_ssr_session.upstream.key_fetcher import MAX_BACKOFF_SECONDS
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows
from tests.tokens import make_token

from ..clocks import SteppedClock
from ..key_servers import FakeKeyServer, finish_background
from ..test_docs import TEXTS, blocks
from .apps import TEMPLATE_GUARD, make_app, with_views
from .visitors import signed_in, visiting

SIGNALS = (ssr.session_active, ssr.refresh_requested, ssr.keys_renewed, ssr.keys_failing)

Heard = list[tuple[str, dict[str, Any]]]
Connect = Callable[..., None]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Connect receivers until the test is over."""
    with ExitStack() as stack:

        def connect(signal: NamedSignal, receiver: Callable[..., Any], *sender: Any) -> None:
            context: Any = signal.connected_to(receiver, *sender)
            stack.enter_context(context)

        yield connect


@pytest.fixture
def heard(connect: Connect) -> Heard:
    """The signals sent from now on: name and values."""
    heard: Heard = []

    def listen_to(signal: NamedSignal) -> None:
        connect(signal, lambda _app, **facts: heard.append((signal.name, facts)))

    for signal in SIGNALS:
        listen_to(signal)
    return heard


def asked(reason: str, answer: str = "refresh_page") -> tuple[str, dict[str, Any]]:
    return ("refresh-requested", {"reason": reason, "answer": answer})


ACTIVE: tuple[str, dict[str, Any]] = ("session-active", {})


# --- what a request tells ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def views_app() -> Flask:
    app = with_views(make_app())
    twice: Any = app.jinja_loader
    twice.mapping["twice.html"] = f"first{TEMPLATE_GUARD}{TEMPLATE_GUARD}"
    app.add_url_rule("/stream", "stream", lambda: stream_template("twice.html"))
    checked = ssr.session_required(check_revoked=True)(lambda: "still there")
    app.add_url_rule("/checked", "checked", checked)
    return app


PREFETCH = PAGE | {"Sec-Purpose": "prefetch"}
A, P = "/account", "/page"


OUTCOMES: dict[str, Any] = {
    "where it is required": ("active", A, PAGE, [ACTIVE]),
    "where nobody asks": ("active", "/open", PAGE, [ACTIVE]),
    "a stranger": ("anonymous", A, PAGE, []),
    "a stranger's script": ("anonymous", A, FETCH, []),
    "expired, where it is required": ("expired", A, PAGE, [asked("expired")]),
    "expired, where it is optional": ("expired", "/news", PAGE, [asked("expired")]),
    "expired, where nobody asks": ("expired", "/open", PAGE, []),
    "expired, where a template asks": ("expired", P, PAGE, [asked("expired")]),
    "expired, in a stream that asks twice": ("expired", "/stream", PAGE, [asked("expired")]),
    "a script": ("expired", A, FETCH, [asked("expired", "try_refresh")]),
    # The template put the refresh page, and the script got a status instead.
    "a script of a template": ("expired", P, FETCH, [asked("expired", "try_refresh")]),
    "a prefetched page": ("expired", A, PREFETCH, []),
    "a prefetched page of a template": ("expired", P, PREFETCH, []),
    "a front token alone": ("token_missing", A, PAGE, [asked("token_missing")]),
    "no token at all": ("invalid", A, PAGE, [asked("invalid")]),
    "tokens of two users": ("duplicate", A, PAGE, [asked("duplicate")]),
    # The token is good; the core says otherwise, and only for the view that asks it.
    "a revoked session": ("revoked", "/checked", PAGE, [ACTIVE, asked("revoked")]),
    "an outage": ("keys_unavailable", A, PAGE, []),
    "an outage, a template's script": ("keys_unavailable", P, FETCH, []),
    "another site": ("cross_site", A, PAGE, []),
    "the refresh path": ("anonymous", "/refresh-session", PAGE, [asked("anonymous")]),
    "the refresh path, in vain": ("active", "/refresh-session", PAGE, [ACTIVE, asked("active")]),
}


@rows("visitor, path, headers, told", OUTCOMES)
def test_request_tells_its_outcome_once(
    views_app: Flask, heard: Heard, visitor: str, path: str, headers: Any, told: Heard
) -> None:
    with visiting(views_app, visitor, headers) as sent:
        shown = views_app.test_client(use_cookies=False).get(path, headers=sent).text
    assert heard == told
    assert shown.count("data-ssr-session=") == 2 or path != "/stream"


def test_redirect_flow_tells_of_the_redirect_and_of_the_page(heard: Heard) -> None:
    client = signed_in(with_views(make_app(refresh_flow="redirect")), valid_seconds=-60)
    client.get(A, headers=PAGE, follow_redirects=True)
    assert heard == [asked("expired", "refresh_redirect"), asked("expired")]


# --- receivers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
def test_receiver_of_one_app_reads_its_session_and_hears_nothing_of_another(
    app: Flask, client: FlaskClient, connect: Connect, is_async: bool
) -> None:
    seen: list[Any] = []

    def note(sender: Flask, **facts: Any) -> None:
        seen.append((sender, facts, g.session.user_id, ssr.get_ssr_session() is g.session))

    async def note_async(sender: Flask, **facts: Any) -> None:
        note(sender, **facts)

    connect(ssr.session_active, note_async if is_async else note, app)
    for one in (client, with_views(make_app("other")).test_client()):
        sign_in(one, "user-7")
        assert one.get(A).status_code == 200
    assert seen == [(app, {}, "user-7", True)]


def test_async_receiver_inside_an_async_view_fails_and_turns_nobody_away(
    app: Flask, client: FlaskClient, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []

    async def note(_app: Flask, **_facts: Any) -> None:
        seen.append(g.session.user_id)

    def late() -> str:
        ssr.require_session()
        return "content"

    async def late_async() -> str:
        return late()

    app.add_url_rule("/late", "late", ssr.session_exempt(late))
    app.add_url_rule("/late-async", "late-async", ssr.session_exempt(late_async))
    connect(ssr.session_active, note, app)
    sign_in(client)
    for path, has_failed in (("/late", False), ("/late-async", True)):
        assert client.get(path).text == "content"
        assert seen == ["user-1"], path
        assert ("receiver_failed" in caplog.text) == has_failed, path


def test_request_in_a_receiver_is_alone(app: Flask, client: FlaskClient, connect: Connect) -> None:
    """A receiver may send a request to the app, even as another visitor."""
    inner: list[str] = []

    def ask(_app: Flask, **_facts: Any) -> None:
        if not inner:
            inner.append("asked")
            other = app.test_client()
            sign_in(other, "user-2")
            inner.append(other.get(A).text)

    connect(ssr.session_active, ask, app)
    sign_in(client, "user-1")
    assert client.get(A).text == "account of user-1"
    assert inner == ["asked", "account of user-2"]


@pytest.mark.parametrize("debug", [False, True])
def test_receiver_that_fails_turns_nobody_away_and_nothing_secret_is_logged(
    app: Flask, client: FlaskClient, connect: Connect, caplog: pytest.LogCaptureFixture, debug: bool
) -> None:
    app.debug = debug
    called: list[str] = []

    def fail(_app: Flask, name: str = "first", **_facts: Any) -> None:
        called.append(name)
        raise ZeroDivisionError(client.get_cookie("sAccessToken"))

    connect(ssr.session_active, fail)
    connect(ssr.session_active, partial(fail, name="second"))
    connect(ssr.refresh_requested, fail)
    sign_in(client)
    assert client.get(A, headers=PAGE).text == "account of user-1"
    assert sorted(called) == ["first", "second"]
    expire(client)
    assert client.get(A, headers=PAGE).headers["Cache-Control"] == "no-store"
    (line,) = [line for line in caplog.messages if line.startswith("receiver_failed")]
    start = "receiver_failed: a receiver of the signal session-active failed: ZeroDivisionError at "
    assert re.fullmatch(rf"{start}\S+test_signals\.py:\d+", line)


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

    monkeypatch.setattr(AppState, "send_signal", counted)

    def visit() -> list[Any]:
        called.clear()
        for valid_seconds in (60, -60):
            sign_in(client, valid_seconds=valid_seconds)
            client.get(A)
        return called

    assert visit() == [ssr.refresh_requested]
    for signal in (ssr.session_active, ssr.refresh_requested):
        connect(signal, lambda *_, **__: called.append("received"))
    assert visit() == [ssr.session_active, "received", ssr.refresh_requested, "received"]
    with ssr.session_active.muted(), ssr.refresh_requested.muted():
        assert visit() == [ssr.session_active, ssr.refresh_requested]


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
    app: Flask, clock: SteppedClock, server: FakeKeyServer, heard: Heard, connect: Connect
) -> None:
    contexts: set[bool] = set()

    def fail(_app: Flask, **_facts: Any) -> None:
        contexts.add(has_app_context())
        raise ZeroDivisionError  # which costs nobody the keys

    connect(ssr.keys_renewed, fail)
    keys = make_keys(app, clock, server.fetch)

    def look(seconds_later: float, is_down: bool) -> Heard:
        heard.clear()
        server.is_down = is_down
        clock.advance(seconds_later)
        with suppress(KeysUnavailableError):
            keys.get_or_fetch("d-test", clock.wall())
        finish_background()
        return heard

    def failing(failures: int, age_seconds: float | None, usable: bool) -> Heard:
        facts = {"failures": failures, "age_seconds": age_seconds, "usable": usable}
        return [("keys-failing", facts)]

    wait = WAIT_AFTER_SECONDS
    assert look(0, True) == failing(1, None, False)
    assert look(MAX_BACKOFF_SECONDS, False) == [("keys-renewed", {"failures": 1})]
    assert look(wait, True) == failing(1, wait, True)
    assert look(2 * wait, True) == failing(2, 3 * wait, False)
    assert look(MAX_BACKOFF_SECONDS, False) == [("keys-renewed", {"failures": 2})]
    assert look(wait, False) == [("keys-renewed", {"failures": 0})]
    assert keys.get_or_fetch("d-test", clock.wall()) is not None
    assert contexts == {False}


@pytest.mark.parametrize("fails", [False, True])
def test_fetch_that_was_given_up_tells_nothing(
    app: Flask, clock: SteppedClock, server: FakeKeyServer, heard: Heard, fails: bool
) -> None:
    """While it was under way somebody dropped the keys: what it brings is not used."""
    server.is_down = fails

    def fetch(uri: str, deadline: Deadline) -> tuple[bytes, float | None]:
        keys.clear()
        return server.fetch(uri, deadline)

    keys = make_keys(app, clock, fetch)
    with pytest.raises(KeysUnavailableError):
        keys.get_or_fetch("d-test", clock.wall())
    assert heard == []


def test_app_that_fetches_its_keys_tells_of_them(
    heard: Heard, monkeypatch: pytest.MonkeyPatch, connect: Connect
) -> None:
    """An app as it is in production: nothing is installed, and its key server cannot be had."""
    senders: list[Flask] = []
    connect(ssr.keys_failing, lambda sender, **_facts: senders.append(sender))
    app = with_views(Flask("in_production"))
    flask_ssr_session.FlaskSSRSession(app, api_domain="http://127.0.0.1:1")

    def fetch(*_: Any) -> None:
        raise FetchError("the connection failed")

    monkeypatch.setattr(FetchedKeys, "_fetch_any_uri", fetch)
    client = app.test_client()
    client.set_cookie("sAccessToken", make_token())
    assert client.get(A).status_code == 503
    assert heard == [("keys-failing", {"failures": 1, "age_seconds": None, "usable": False})]
    assert senders == [app]


_BEFORE = """
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
trace.set_tracer_provider(TracerProvider())
tracer = trace.get_tracer("test")
"""
_AFTER = """
import json
from flask import Flask
from prometheus_client import REGISTRY
from flask_ssr_session import FlaskSSRSession, keys_failing, keys_renewed, session_required
from flask_ssr_session.testing import PAGE_HEADERS, expire, install_test_keys, set_token, sign_in

app = Flask("watched")
app.testing = True
FlaskSSRSession(app, api_domain="https://api.example.com")
install_test_keys(app)
app.add_url_rule("/", "page", session_required(lambda: "content"))
client = app.test_client()
with tracer.start_as_current_span("request") as span:
    sign_in(client, "user-9")
    client.get("/", headers=PAGE_HEADERS)
    expire(client)
    client.get("/", headers=PAGE_HEADERS)
assert dict(span.attributes) == {"user.id": "user-9", "ssr_session.refresh": "expired"}
client.get("/", headers=PAGE_HEADERS)
client.get("/")
set_token(client, "nonsense")
client.get("/", headers=PAGE_HEADERS)
assert refresh_pages == {"expired": 2, "invalid": 1}

data = json.loads(reader.get_metrics_data().to_json())
points = data["resource_metrics"][0]["scope_metrics"][0]["metrics"][0]["data"]["data_points"]
counted = {(p["attributes"]["reason"], p["attributes"]["answer"]): p["value"] for p in points}
assert counted == {
    ("expired", "refresh_page"): 2, ("expired", "try_refresh"): 1, ("invalid", "refresh_page"): 1
}, counted

def value(name, **labels):
    return REGISTRY.get_sample_value("ssr_session_" + name, labels)

for (reason, answer), count in counted.items():
    assert value("refreshes_total", reason=reason, answer=answer) == count
for signal, facts, failures, missing in (
    (keys_failing, {"failures": 3, "age_seconds": None, "usable": False}, 3, 1),
    (keys_failing, {"failures": 4, "age_seconds": 400.0, "usable": True}, 4, 0),
    (keys_renewed, {"failures": 4}, 0, 0),
):
    app.extensions["ssr_session"].send_signal(signal, **facts)
    assert (value("key_failures"), value("keys_missing")) == (failures, missing)
"""


def test_examples_of_the_documentation_count_what_they_say() -> None:
    """In a process of its own, as their counters are global."""
    examples = [each.source for each in blocks(TEXTS["signals"]) if ".connect" in each.source]
    assert len(examples) == 3
    code = "\n".join([_BEFORE, *examples, _AFTER])
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
