"""No failure reveals a part of a token, and the log has what an operator needs.

The tests search all output of a process for any twelve successive characters of a token, of its
cookie, or of a claim that only SuperTokens and the browser may see.
"""

from __future__ import annotations

import json
import logging
import re
import threading
import traceback
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, g, request
from werkzeug.debug import DebuggedApplication
from werkzeug.test import Client

from flask_ssr_session import app_state, request_state, request_verdict, session_required
from flask_ssr_session.errors import FetchError, SSRSessionError
from flask_ssr_session.sansio import jwt, verification
from flask_ssr_session.sansio import verdict as verdict_module
from flask_ssr_session.sansio.jwt import decode_unverified_token
from flask_ssr_session.sansio.verification import TokenRules, verify_access_token
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.throttled_log import THROTTLE_SECONDS, ThrottledLog, logger
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.key_age import FetchedKeys
from flask_ssr_session.upstream.key_set import KeySet, StaticKeys
from tests.browser_requests import FETCH, PAGE
from tests.tokens import make_token

from .app.conftest import cookies, make_app, with_templates, with_views
from .clocks import SteppedClock
from .token_table import CLAIMS, NOW, hostile_tokens

WINDOW = 12


class Secrets:
    """Knows some texts by every twelve characters in a row."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._windows = {
            window
            for text in texts
            for window in _windows(text)
            # Dots, brackets or one repeated letter are not secret.
            if len(set(window)) >= 6
        }

    def found_in(self, text: str) -> list[str]:
        lines = set(text.splitlines())  # most pages and log lines repeat
        return sorted(
            window for line in lines for window in self._windows.intersection(_windows(line))
        )


def _windows(text: str) -> Iterator[str]:
    return (text[start : start + WINDOW] for start in range(len(text) - WINDOW + 1))


def _token(*, header: dict[str, Any] | None = None, **claims: Any) -> str:
    return make_token(header=header, **{"user_id": "anna", "issued_at": NOW, **claims})


GOOD = _token()
TOKENS = {
    "good": GOOD,
    "expired": _token(issued_at=NOW - 7200),
    "early": _token(issued_at=NOW + 120),
    "tampered": GOOD[:-20] + "A" * 20,
    "unknown key": _token(header=SessionSigner("d-nobody").header()),
    "cut": GOOD.rpartition(".")[0],
    "no token": "something-that-is-none-of-ours",
}
HOSTILE = [text for text in hostile_tokens().values() if len(text) < 20_000]
FRONT_TOKEN = b64encode(json.dumps(CLAIMS).encode()).decode("ascii")
REFRESH_TOKEN = sha256(b"refresh").hexdigest()
# What of a session is between SuperTokens and the browser.
PRIVATE_CLAIMS = [
    value
    for token in (GOOD, TOKENS["unknown key"], make_token(**CLAIMS))
    for name, value in decode_unverified_token(token).payload.items()
    if name in ("refreshTokenHash1", "sessionHandle")
]
SECRETS = Secrets([*TOKENS.values(), *HOSTILE, FRONT_TOKEN, REFRESH_TOKEN, *PRIVATE_CLAIMS])


def cookie_line(*tokens: str) -> str:
    """Return a browser's cookies with these access tokens, as WSGI carries any bytes."""
    access = "; ".join(f"sAccessToken={token}" for token in tokens)
    text = f"{access}; sFrontToken={FRONT_TOKEN}; sRefreshToken={REFRESH_TOKEN}"
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


class Watched:
    """A client that records all output of its app: responses, log, reprs, tracebacks, warnings."""

    def __init__(
        self,
        app: Flask,
        clock: SteppedClock,
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.words: list[str] = []
        self.statuses: set[int] = set()
        self._clock, self._caplog, self._capsys = clock, caplog, capsys
        whole = DebuggedApplication(app, evalex=False) if app.debug else app
        self._client = Client(whole, use_cookies=False)
        app.testing = app.config["PROPAGATE_EXCEPTIONS"] = app.debug
        use_clock(app, clock)
        # Registered before the hook, because after_request functions run in reverse order.
        app.after_request_funcs[None].insert(0, self._look)
        app.teardown_request(self._look_at_error)
        caplog.set_level(logging.DEBUG)

    def _look(self, response: Response) -> Response:
        own = app_state.current_state()
        state = request_state.current_request_state()
        things = [state, state.verdict, g.get("session"), own, own.settings, own.log]
        binding = own.sdk_binding()
        things += [binding, binding.rules, binding.resolved, binding.keys]
        self.words += [f"{thing} {thing!r}" for thing in things]
        return response

    def _look_at_error(self, error: BaseException | None) -> None:
        if error is not None:
            self.words.append(shown(error))

    def ask(self, *tokens: str, path: str = "/account") -> None:
        """Request the page and the script response; in between, every throttle time passes."""
        environ = {"HTTP_COOKIE": cookie_line(*tokens)}
        for headers in (PAGE, FETCH):
            self._clock.advance(THROTTLE_SECONDS)
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                response = self._client.get(path, headers=headers, environ_overrides=environ)
            self.words += [f"{warning.message}" for warning in warned]
            self.words.append(f"{response.status}\n{response.headers}\n{response.text}")
            self.statuses.add(response.status_code)

    def log(self) -> str:
        """Return what was logged since the last time, as files and consoles show it."""
        records = self._caplog.get_records("call")
        text = "\n".join([self._caplog.text, *(repr(record.args) for record in records)])
        self._caplog.clear()
        return text

    def leaks(self) -> list[str]:
        """Return what of any secret is in all that was shown since the last time."""
        captured = self._capsys.readouterr()
        words, self.words = [*self.words, self.log(), captured.out, captured.err], []
        assert len(words) > 3
        return SECRETS.found_in("\n".join(words))


def shown(error: BaseException) -> str:
    return "".join(traceback.TracebackException.from_exception(error).format())


def use_clock(app: Flask, clock: SteppedClock) -> None:
    own: app_state.AppState = app.extensions[app_state.EXTENSION_NAME]
    own.clock, own.log = clock, ThrottledLog(clock)


def make_failing_app(**config: Any) -> Flask:
    app = with_views(make_app())
    app.config.update(config)

    @app.route("/fails")
    @session_required
    def fails() -> str:
        return str(1 // 0)

    return app


@pytest.fixture
def watch(
    clock: SteppedClock, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> Callable[[Flask], Watched]:
    return lambda app: Watched(app, clock, caplog, capsys)


# --- the search finds what there is --------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [GOOD, FRONT_TOKEN, *HOSTILE[:3], *PRIVATE_CLAIMS[:2]],
    ids=[
        "good token",
        "front token",
        "hostile token",
        "another hostile token",
        "a third one",
        "session handle",
        "refresh token hash",
    ],
)
def test_any_twelve_characters_of_a_secret_are_found(secret: str) -> None:
    for start in range(0, len(secret) - WINDOW, 7):
        piece = secret[start : start + WINDOW]
        if len(set(piece)) >= 6:
            assert piece in SECRETS.found_in(f"<{piece}>")
            assert SECRETS.found_in(f"<{piece[:6]}*{piece[7:]}>") == []


def _leak_in_the_answer() -> str:
    return request.cookies["sAccessToken"][:30]


def _leak_in_a_header() -> Any:
    return "", 200, {"X-Seen": request.cookies["sAccessToken"][-12:]}


def _leak_in_the_log() -> str:
    logging.getLogger("app").warning("seen %s", request.cookies["sFrontToken"][40:60])
    return ""


def _leak_in_an_error() -> str:
    raise LookupError(request.cookies["sAccessToken"])


def _leak_of_a_claim() -> str:
    return str(g.session.session_handle)


def _leak_on_the_console() -> str:
    print(request.cookies["sRefreshToken"])  # noqa: T201
    return ""


def _leak_in_a_warning() -> str:
    warnings.warn(request.cookies["sAccessToken"], stacklevel=1)
    return ""


def _no_leak() -> str:
    return "answer"


@pytest.mark.parametrize(
    ("view", "leaks"),
    [
        (_no_leak, False),
        (_leak_in_the_answer, True),
        (_leak_in_a_header, True),
        (_leak_in_the_log, True),
        (_leak_in_an_error, True),
        (_leak_of_a_claim, True),
        (_leak_on_the_console, True),
        (_leak_in_a_warning, True),
    ],
)
def test_planted_leak_is_found(
    watch: Callable[[Flask], Watched], view: Callable[[], Any], leaks: bool
) -> None:
    app = make_app()
    app.add_url_rule("/account", "account", view)
    watched = watch(app)
    watched.ask(GOOD)
    assert bool(watched.leaks()) is leaks


# --- everything that can go wrong ----------------------------------------------------------------


def test_no_hostile_token_is_told_anybody(watch: Callable[[Flask], Watched]) -> None:
    watched = watch(make_failing_app())
    for token in HOSTILE:
        watched.ask(token)
    assert watched.statuses == {200, 401}
    watched.ask(*HOSTILE[:5])
    log = watched.log()
    assert log.count("invalid: ") > 600
    assert SECRETS.found_in(log) == []
    assert watched.leaks() == []


PATHS = ("/account", "/page", "/news", "/open", "/fails", "/refresh-session", "/nowhere")


def ask_everything(watched: Watched) -> None:
    for path in PATHS:
        for token in TOKENS.values():
            watched.ask(token, path=path)
        watched.ask(GOOD, TOKENS["expired"], path=path)
        watched.ask(GOOD, _token(user_id="other"), path=path)


@pytest.mark.parametrize("debug", [False, True])
def test_failing_view_tells_no_token(watch: Callable[[Flask], Watched], debug: bool) -> None:
    watched = watch(make_failing_app(DEBUG=debug))
    ask_everything(watched)
    words = "\n".join([*watched.words, watched.log()])
    assert words.count("ZeroDivisionError: ") > 2
    assert SECRETS.found_in(words) == []
    assert watched.leaks() == []


def fetching_app(clock: SteppedClock, fetch: Callable[[str, Deadline], Any]) -> Flask:
    """Return an app that fetches its keys with *fetch*."""
    app = make_failing_app()
    use_clock(app, clock)
    own: app_state.AppState = app.extensions[app_state.EXTENSION_NAME]
    own.override_keys_for_testing(
        FetchedKeys(
            ["https://secret:word@keys.example/a-path-of-its-own/jwks.json"],
            max_stale_seconds=3600,
            clock=clock,
            log=own.log,
            fetch=fetch,
        )
    )
    return app


def _fetch_fails(_url: str, _deadline: Deadline) -> Any:
    raise FetchError("the response has status 502")


def _fetch_brings_junk(_url: str, _deadline: Deadline) -> Any:
    return json.dumps({"keys": [GOOD, {"kid": GOOD}]}).encode(), None


@pytest.mark.parametrize("fetch", [_fetch_fails, _fetch_brings_junk])
def test_outage_tells_no_token(
    watch: Callable[[Flask], Watched], clock: SteppedClock, fetch: Callable[..., Any]
) -> None:
    watched = watch(fetching_app(clock, fetch))
    ask_everything(watched)
    assert 503 in watched.statuses
    log = watched.log()
    assert "keys_unavailable: " in log
    assert not re.search("secret|word|a-path-of", log)
    assert SECRETS.found_in(log) == []
    assert watched.leaks() == []


def _broken(*args: Any, **options: Any) -> Any:
    raise RuntimeError(f"cannot work with {args} {options}")


@pytest.mark.parametrize(
    ("holder", "name"),
    [
        (request_verdict, "decide"),
        (verdict_module, "verify_access_token"),
        (verdict_module, "_rejected"),
        (verification, "decode_unverified_token"),
        (jwt, "_json_object"),
        (jwt, "_decode_segment"),
        (verification, "deep_freeze"),
        (verification, "SSRSession"),
        (KeySet, "get"),
        (KeySet, "put"),
        (StaticKeys, "get_or_fetch"),
    ],
)
def test_failure_of_our_own_code_is_logged_without_its_message(
    watch: Callable[[Flask], Watched], monkeypatch: pytest.MonkeyPatch, holder: Any, name: str
) -> None:
    app = make_failing_app()
    watched = watch(app)
    monkeypatch.setattr(holder, name, _broken)
    ask_everything(watched)
    assert 503 in watched.statuses
    log = watched.log()
    assert re.search(r"internal: RuntimeError at \S+test_secrets.py:\d+, in the app 'app'", log)
    assert "cannot work with (" not in log
    assert SECRETS.found_in(log) == []
    assert watched.leaks() == []


@pytest.mark.parametrize("place", ["in the page", "around it"])
def test_broken_override_tells_no_token(watch: Callable[[Flask], Watched], place: str) -> None:
    app = make_failing_app()
    name = "refresh_page" if place == "in the page" else "refresh_document"
    with_templates(app, **{name: "{{ fail(request.cookies['sAccessToken']) }}"})
    app.jinja_env.globals["fail"] = _broken
    watched = watch(app)
    watched.ask(TOKENS["expired"])
    assert watched.statuses == {200, 401}
    log = watched.log()
    assert "override_broken: " in log
    assert SECRETS.found_in(log) == []
    assert watched.leaks() == []


@pytest.mark.parametrize("debug", [False, True])
def test_failure_behind_the_verdict_shows_no_token_in_its_traceback(
    watch: Callable[[Flask], Watched], monkeypatch: pytest.MonkeyPatch, debug: bool
) -> None:
    """Nothing catches it, so the app's own log and Flask's debug page show it in full."""

    def broken(*_args: Any, **_options: Any) -> Any:
        raise RuntimeError("no answer")

    watched = watch(make_failing_app(DEBUG=debug))
    monkeypatch.setattr(request_state, "plan_response", broken)
    watched.ask(TOKENS["expired"])
    assert watched.statuses == {500}
    assert watched.leaks() == []


def test_errors_and_parsed_tokens_show_nothing_of_the_token() -> None:
    keys = StaticKeys(KeySet({"d-test": SessionSigner().public_key}))
    things: list[object] = [keys]
    for raw in (*TOKENS.values(), *HOSTILE):
        try:
            things.append(decode_unverified_token(raw))
            things.append(verify_access_token(raw, keys, TokenRules(), NOW))
        except SSRSessionError as error:  # noqa: PERF203 - each has an error of its own
            things += [error, error.args, shown(error)]
    assert len(things) > 3 * len(HOSTILE)
    assert SECRETS.found_in("\n".join(f"{thing} {thing!r}" for thing in things)) == []


# --- local variables -----------------------------------------------------------------------------


def _frames_with_secrets(error: BaseException) -> dict[str, list[str]]:
    """Return the functions on the way to *error* whose local variables hold a secret."""
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    found: dict[str, list[str]] = {"ours": [], "others'": []}
    for frame in stack:
        if SECRETS.found_in(" ".join((frame.locals or {}).values())):
            ours = Path(frame.filename).parent == Path(app_state.__file__).parent
            found["ours" if ours else "others'"].append(frame.name)
    return found


def test_error_tracker_finds_no_token_in_local_variables_of_ours(clock: SteppedClock) -> None:
    """Some trackers send the local variables of every frame along. Flask's own hold the cookies."""
    app, seen = make_failing_app(), []
    app.testing = False
    use_clock(app, clock)
    app.teardown_request(lambda error: seen.append(error) if error else None)
    app.test_client(use_cookies=False).get("/fails", headers=cookies(GOOD))
    (error,) = seen
    assert isinstance(error, ZeroDivisionError)
    found = _frames_with_secrets(error)
    assert found["ours"] == []
    assert "wsgi_app" in found["others'"]


# --- what an operator needs to know --------------------------------------------------------------

LINE = re.compile(
    r"(?P<reason>[a-z_]+): (?P<text>.+?)(?: \((?P<suppressed>\d+) similar messages.*)?"
)


class OwnLog(logging.Handler):
    """Keeps the package's lines with level and seconds since the first."""

    def __init__(self, clock: SteppedClock) -> None:
        super().__init__()
        self.lines: list[tuple[float, str, str, int]] = []
        self._clock, self._start = clock, clock.monotonic()

    def emit(self, record: logging.LogRecord) -> None:
        line = LINE.fullmatch(record.getMessage())
        assert line is not None, record.getMessage()
        seconds = self._clock.monotonic() - self._start
        suppressed = int(line["suppressed"] or 0)
        self.lines.append((seconds, line["reason"], line["text"], suppressed))

    def of(self, reason: str) -> list[tuple[float, str, int]]:
        return [(when, text, held) for when, of, text, held in self.lines if of == reason]


@pytest.fixture
def own_log(clock: SteppedClock) -> Iterator[OwnLog]:
    handler = OwnLog(clock)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


def test_flood_of_hostile_tokens_is_one_line_in_ten_seconds(
    clock: SteppedClock, own_log: OwnLog
) -> None:
    app = make_failing_app()
    use_clock(app, clock)
    client, refused = app.test_client(use_cookies=False), 0

    def ask(token: str) -> bool:
        environ = {"HTTP_COOKIE": cookie_line(token)}
        response = client.get("/account", headers=FETCH, environ_overrides=environ)
        return response.headers.get("SSR-Session") == "refresh; reason=invalid"

    for token in HOSTILE * 3:
        refused += ask(token)
        clock.advance(0.0625)
    clock.advance(THROTTLE_SECONDS)
    refused += ask(TOKENS["tampered"])
    lines = own_log.of("invalid")
    assert len(lines) == len(own_log.lines)
    moments = [when for when, _, _ in lines]
    assert all(later - earlier >= THROTTLE_SECONDS for earlier, later in pairwise(moments))
    assert len(lines) > 10
    # Every refusal is in a line or was counted by one.
    assert len(lines) + sum(held for _, _, held in lines) == refused > 1_900


class KeyEndpoint:
    """A key endpoint that is up or down."""

    def __init__(self) -> None:
        self.is_up = True

    def fetch(self, _url: str, _deadline: Deadline) -> Any:
        if not self.is_up:
            raise FetchError("the response has status 502")
        return json.dumps({"keys": [SessionSigner().jwk()]}).encode(), None


def _land() -> None:
    """Wait for the fetch in the background, if there is one, and for what it logs."""
    for thread in threading.enumerate():
        if thread.name == "ssr-session-keys":
            thread.join(30)


def test_log_of_an_outage_tells_its_cause_the_age_of_the_keys_and_its_end(
    clock: SteppedClock, own_log: OwnLog
) -> None:
    endpoint = KeyEndpoint()
    app = fetching_app(clock, endpoint.fetch)
    client = app.test_client(use_cookies=False)
    headers = FETCH | cookies(_token(valid_seconds=10**6))

    def ask(seconds: int, expected: set[int]) -> None:
        statuses = set()
        for _ in range(0, seconds, 25):
            clock.advance(25)
            statuses.add(client.get("/account", headers=headers).status_code)
            _land()
        assert statuses == expected

    ask(200, {200})
    assert own_log.lines == []
    endpoint.is_up = False
    ask(1_800, {200})
    failures = own_log.of("keys_not_renewed")
    ages = [int(match[1]) for _, text, _ in failures if (match := re.search(r"(\d+) s old", text))]
    assert len(ages) == len(failures) > 10
    # The keys came with the first request, after 25 s.
    assert ages == [int(when) - 25 for when, _, _ in failures]
    for _, text, _ in failures:
        assert text.startswith("the response has status 502 at keys.example; ")
        assert text.endswith("at most 3600 s")
    assert own_log.of("keys_renewed") == []
    endpoint.is_up = True
    ask(200, {200})
    ((_, text, _),) = own_log.of("keys_renewed")
    assert str(len(failures)) in text
    assert own_log.of("keys_unavailable") == []


def test_log_of_an_outage_without_keys_counts_the_requests_it_concerned(
    clock: SteppedClock, own_log: OwnLog
) -> None:
    endpoint = KeyEndpoint()
    endpoint.is_up = False
    app = fetching_app(clock, endpoint.fetch)
    client = app.test_client(use_cookies=False)

    def ask() -> int:
        clock.advance(0.5)
        return client.get("/account", headers=FETCH | cookies(GOOD)).status_code

    assert {ask() for _ in range(121)} == {503}
    causes = [text for _, text, _ in own_log.of("keys_not_fetched")]
    assert causes == ["the response has status 502 at keys.example; there are no keys"] * 7
    assert sum(held for _, _, held in own_log.of("keys_unavailable")) > 100
    endpoint.is_up = True
    clock.advance(THROTTLE_SECONDS)
    assert ask() == 200
    assert len(own_log.of("keys_renewed")) == 1
