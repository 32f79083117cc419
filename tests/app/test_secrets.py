"""No failure reveals a part of a token: one list of secrets, one list of sinks.

The tests search all output of a process for any twelve successive characters of a token, of its
cookies, or of a claim that only SuperTokens and the browser may see.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, g, request
from werkzeug.debug import DebuggedApplication
from werkzeug.test import Client

from flask_ssr_session import app_state, request_state, request_verdict, session_required
from flask_ssr_session.errors import FetchError, SSRSessionError, TokenDefect
from flask_ssr_session.sansio import jwt, verification
from flask_ssr_session.sansio import verdict as verdict_module
from flask_ssr_session.sansio.verification import TokenRules, verify_access_token
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.throttled_log import THROTTLE_SECONDS, ThrottledLog
from flask_ssr_session.upstream.key_age import FetchedKeys
from flask_ssr_session.upstream.key_set import KeySet, StaticKeys
from tests.browser_requests import FETCH, PAGE
from tests.clocks import SteppedClock
from tests.tables import rows
from tests.token_table import NOW, TABLE, can_be_sent, good_keys, token_of
from tests.tokens import make_token

from .apps import make_app, with_templates, with_views
from .visitors import Logs, cookies

WINDOW = 12
HANDLE, HASH = "7c6d5d9e-3f43-4a3c-9a35-0d3f1a0f9a11", sha256(b"refresh hash").hexdigest()
FRONT_TOKEN = b64encode(json.dumps({"uid": "anna", "up": {"role": "admin"}}).encode()).decode()
REFRESH_TOKEN = sha256(b"refresh").hexdigest()


# --- the secrets ---------------------------------------------------------------------------------


def _token(**edits: Any) -> str:
    claims: dict[str, Any] = {"user_id": "anna", "issued_at": NOW, "sessionHandle": HANDLE}
    return make_token(**claims | {"refreshTokenHash1": HASH} | edits)


@cache
def tokens() -> dict[str, str]:
    """Return a token of the table for each defect that one can have, and a few others."""
    good, found = _token(), dict[str, str]()
    for row, (_, defect) in TABLE.items():
        if str(defect) not in found and can_be_sent(token_of(row)):
            found[str(defect)] = token_of(row)
    return found | {
        "good": good,
        "another user": _token(user_id="other"),
        "expired": _token(issued_at=NOW - 7200),
        "tampered": good[:-20] + "A" * 20,
        "no token": "something-that-is-none-of-ours",
        "no text": "s\u00fcr\udcffprise-öäü",
    }


def _windows(text: str) -> Iterator[str]:
    return (text[start : start + WINDOW] for start in range(len(text) - WINDOW + 1))


@cache
def secret_windows() -> frozenset[str]:
    texts = [*tokens().values(), HANDLE, HASH, FRONT_TOKEN, REFRESH_TOKEN]
    windows = {window for text in texts for window in _windows(text)}
    # Dots, brackets or one repeated letter are not secret.
    return frozenset(window for window in windows if len(set(window)) >= 6)


def secrets_in(texts: Iterable[str]) -> list[str]:
    lines = {line for text in texts for line in text.splitlines()}  # most of them repeat
    return sorted(w for line in lines for w in secret_windows().intersection(_windows(line)))


# --- the sinks -----------------------------------------------------------------------------------


def use_clock(app: Flask, clock: SteppedClock) -> app_state.AppState:
    own: app_state.AppState = app.extensions[app_state.EXTENSION_NAME]
    own.clock, own.log = clock, ThrottledLog(clock)
    return own


class Watched:
    """A client that records all output of its app: responses, log, reprs, tracebacks, warnings."""

    def __init__(self, app: Flask, clock: SteppedClock) -> None:
        self.words: list[str] = []
        self.statuses: set[int] = set()
        self._clock = clock
        whole = DebuggedApplication(app, evalex=False) if app.debug else app
        self._client = Client(whole, use_cookies=False)
        app.testing = app.config["PROPAGATE_EXCEPTIONS"] = app.debug
        use_clock(app, clock)
        # The last one to run: after_request functions run in reverse order.
        app.after_request_funcs[None].insert(0, self._look)
        app.teardown_request(self._look_at_error)

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
            self.words.append("".join(traceback.format_exception(error)))

    def ask(self, *access_tokens: str, path: str = "/account") -> None:
        """Request the page and the script response; in between, every throttle time passes."""
        access = "; ".join(f"sAccessToken={token}" for token in access_tokens)
        text = f"{access}; sFrontToken={FRONT_TOKEN}; sRefreshToken={REFRESH_TOKEN}"
        environ = {"HTTP_COOKIE": text.encode("utf-8", "surrogatepass").decode("latin-1")}
        for headers in (PAGE, FETCH):
            self._clock.advance(THROTTLE_SECONDS)
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                response = self._client.get(path, headers=headers, environ_overrides=environ)
            self.words += [f"{warning.message}" for warning in warned]
            self.words.append(f"{response.status}\n{response.headers}\n{response.text}")
            self.statuses.add(response.status_code)


Leaks = Callable[[Watched], list[str]]


@pytest.fixture
def leaks(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Leaks:
    """Return what of any secret is in all that was shown."""
    caplog.set_level(logging.DEBUG)

    def found(watched: Watched) -> list[str]:
        captured, records = capsys.readouterr(), caplog.get_records("call")
        logged = [caplog.text, *(repr(record.args) for record in records)]
        return secrets_in([*watched.words, *logged, captured.out, captured.err])

    return found


# --- the search finds what there is --------------------------------------------------------------


def _cookie(name: str = "sAccessToken") -> str:
    return request.cookies[name]


def _log() -> str:
    logging.getLogger("app").warning("seen %s", _cookie("sFrontToken")[40:60])
    return ""


def _raise() -> str:
    raise LookupError(_cookie())


LEAKS: dict[str, Any] = {
    "nothing": (lambda: "answer", False),
    "in the answer": (lambda: _cookie()[:30], True),
    "in a header": (lambda: ("", 200, {"X-Seen": _cookie()[-12:]}), True),
    "in the log": (_log, True),
    "in an error": (_raise, True),
    "of a claim": (lambda: str(g.session.session_handle), True),
    "on the console": (lambda: print(_cookie("sRefreshToken")) or "", True),  # noqa: T201
    "in a warning": (lambda: warnings.warn(_cookie(), stacklevel=1) or "", True),
}


@rows("view, is_leak", LEAKS)
def test_planted_leak_is_found(clock: SteppedClock, leaks: Leaks, view: Any, is_leak: bool) -> None:
    app = make_app()
    app.add_url_rule("/account", "account", view)
    watched = Watched(app, clock)
    watched.ask(tokens()["good"])
    assert bool(leaks(watched)) is is_leak


# --- everything that can go wrong ----------------------------------------------------------------


def broken(*args: Any, **options: Any) -> Any:
    raise RuntimeError(f"cannot work with {args} {options}")


def quietly_broken(*_args: Any, **_options: Any) -> Any:
    raise RuntimeError("no answer")


def fetching(result: Any) -> Callable[..., None]:
    """Return a set-up in which the fetch of the keys returns *result*, or raises it."""

    def fetch(_url: str, _deadline: Any) -> Any:
        if isinstance(result, Exception):
            raise result
        return json.dumps(result()).encode(), None

    def set_up(app: Flask, clock: SteppedClock, _patch: pytest.MonkeyPatch) -> None:
        own, url = use_clock(app, clock), "https://secret:word@keys.example/a-path/jwks.json"
        options: dict[str, Any] = {"max_stale_seconds": 3600, "clock": clock, "fetch": fetch}
        own.override_keys_for_testing(FetchedKeys([url], log=own.log, **options))

    return set_up


def replacing(holder: Any, name: str, replacement: Any = broken) -> Callable[..., None]:
    return lambda _app, _clock, patch: patch.setattr(holder, name, replacement)


def debugging(app: Flask, _clock: SteppedClock, _patch: pytest.MonkeyPatch) -> None:
    app.debug = True


def overriding(name: str) -> Callable[..., None]:
    def set_up(app: Flask, _clock: SteppedClock, _patch: pytest.MonkeyPatch) -> None:
        with_templates(app, **{name: "{{ fail(request.cookies['sAccessToken']) }}"})
        app.jinja_env.globals["fail"] = broken

    return set_up


OURS = r"internal: RuntimeError at \S+test_secrets.py:\d+, in the app 'app'"
NO_PLAN = replacing(request_state, "plan_response", quietly_broken)
PARTS: dict[object, str] = {
    request_verdict: "decide",
    verdict_module: "verify_access_token _rejected",
    verification: "decode_unverified_token deep_freeze SSRSession",
    jwt: "_json_object _decode_segment",
    KeySet: "get put",
    StaticKeys: "get_or_fetch",
}
FAILS: dict[str, Any] = {
    name: (replacing(holder, name), 503, OURS)
    for holder, names in PARTS.items()
    for name in names.split()
}


FAILURES: dict[str, Any] = {
    "nothing else fails": (lambda *_: None, 401, "invalid: signature"),
    "the app is debugged": (debugging, 401, "invalid: signature"),
    "keys cannot be fetched": (fetching(FetchError("status 502")), 503, "keys_unavailable: "),
    "keys are junk": (fetching(lambda: {"keys": [_token(), {"kid": _token()}]}), 503, "keys_un"),
    "the macro of the app": (overriding("refresh_page"), 200, "override_broken: "),
    "the document of the app": (overriding("refresh_document"), 200, "override_broken: "),
    "the plan, behind the verdict": (NO_PLAN, 500, "RuntimeError: no answer"),
} | FAILS


@rows("set_up, status, said", FAILURES)
def test_failure_tells_no_token(
    monkeypatch: pytest.MonkeyPatch, caplog: Logs, leaks: Leaks, set_up: Any, status: int, said: str
) -> None:
    app, clock = with_views(make_app()), SteppedClock()
    app.add_url_rule("/fails", "fails", session_required(lambda: str(1 // 0)))
    set_up(app, clock, monkeypatch)
    watched, given = Watched(app, clock), tokens()
    for token in given.values():
        watched.ask(token)
    for path in ("/page", "/news", "/open", "/fails", "/refresh-session", "/nowhere"):
        watched.ask(given["good"], path=path)
        watched.ask(given["tampered"], path=path)
    watched.ask(given["good"], given["expired"])
    watched.ask(given["good"], given["another user"])
    assert status in watched.statuses
    assert re.search(said, caplog.text)
    assert not re.search("cannot work with|secret:word|a-path", caplog.text)
    # Where the package itself works, it refuses every bad token for a reason that it logs.
    if said == "invalid: signature":
        assert "ZeroDivisionError" in "".join(watched.words)
        assert caplog.text.count("invalid: ") > 2 * (len(given) - 5)
    assert leaks(watched) == []


def test_errors_and_parsed_tokens_show_nothing_of_the_token() -> None:
    keys = StaticKeys(KeySet({"d-test": SessionSigner().public_key}))
    words = [repr(keys)]
    for raw in tokens().values():
        for read in (
            jwt.decode_unverified_token,
            lambda raw: verify_access_token(raw, keys, TokenRules(), NOW),
        ):
            try:
                thing: object = read(raw)
            except SSRSessionError as error:
                words += ["".join(traceback.format_exception(error)), repr(error.args)]
                thing = error
            words.append(f"{thing} {thing!r}")
    assert len(words) > 3 * len(tokens())
    assert secrets_in(words) == []


def test_error_tracker_finds_no_token_in_local_variables_of_ours(clock: SteppedClock) -> None:
    """Some trackers send the local variables of every frame along. Flask's own hold the cookies."""
    app, seen = make_app(), []
    app.add_url_rule("/fails", "fails", session_required(lambda: str(1 // 0)))
    app.testing = False
    use_clock(app, clock)
    app.teardown_request(lambda error: seen.append(error) if error else None)
    app.test_client(use_cookies=False).get("/fails", headers=cookies(tokens()["good"]))
    (error,) = seen
    assert isinstance(error, ZeroDivisionError)
    found: dict[bool, list[str]] = {True: [], False: []}
    stack = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    for frame in stack:
        if secrets_in((frame.locals or {}).values()):
            is_ours = Path(frame.filename).is_relative_to(Path(app_state.__file__).parent)
            found[is_ours].append(frame.name)
    assert found[True] == []
    assert "wsgi_app" in found[False]


# --- each token of the table ---------------------------------------------------------------------

ANSWERS = {
    None: (200, None),
    TokenDefect.EXPIRED: (401, "refresh; reason=expired"),
    TokenDefect.NOT_YET_VALID: (503, "unavailable; reason=clock"),
}


def frozen_app() -> Flask:
    """Return an app in the time of the table, which trusts its keys."""
    app = with_views(make_app())
    state = app.extensions["ssr_session"]
    state.clock = SteppedClock(wall=NOW)
    state.override_keys_for_testing(good_keys(), lambda _handle: False)
    return app


def test_request_with_a_token_of_the_table_gets_the_answer_for_its_defect() -> None:
    client = frozen_app().test_client(use_cookies=False)
    sent = {row: token_of(row) for row in TABLE if can_be_sent(token_of(row))}
    assert len(sent) > 600
    for row, token in sent.items():
        response = client.get("/account", headers={**FETCH, **cookies(token)})

        expected = ANSWERS.get(TABLE[row][1], (401, "refresh; reason=invalid"))
        assert (response.status_code, response.headers.get("SSR-Session")) == expected, row
        assert "Set-Cookie" not in response.headers, row
        assert ("no-store" in response.headers["Cache-Control"]) == (expected[0] != 200), row
        assert len(token) < 50 or token not in f"{response.headers}{response.text}", row
