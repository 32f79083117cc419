"""Simulate an hour of many failures at once, in a minute: ``python -m tests.chaos --minutes 60``.

Signed-in users request pages of a Flask app while the key server fails in many ways, keys rotate
every minute, attackers send junk and floods, keys are cleared and processes fork. Time is stepped;
the real code fetches the key set over a real socket. The allowed responses follow from rules that
were written from the design alone: from the requests to the key server, their times and responses.
The first other response ends the run with status 1, and with the seed that reproduces it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import random
import re
import select
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from werkzeug.test import TestResponse

from flask_ssr_session.app_state import AppState
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.throttled_log import ThrottledLog, logger
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.fetch import fetch_document
from flask_ssr_session.upstream.key_age import FetchedKeys
from tests.browser_requests import FETCH, PAGE

from .app.conftest import cookies, make_app, page_shown, with_views
from .clocks import SteppedClock
from .judges import Judges
from .key_server import KeyServer, answer, hang, ok
from .token_table import NAMES, NOW, VALUES, can_be_sent, hostile_tokens

# From design.md, sections 4 and 11; deliberately not imported from the code.
COOLDOWN_SECONDS = 10.0
THROTTLE_SECONDS = 10.0
BACKOFF_SECONDS = 60.0
YOUNG_SECONDS = 300.0
ABANDONED_SECONDS = 5.0
IAT_TOLERANCE_SECONDS = 5.0
# A request may wait this long for keys, in real time, even on a slow machine.
PATIENCE_SECONDS = 0.9

# The modes of the key server, and their weights.
MODES = {
    "up": 12,
    "slow": 3,  # responds within the second that a request waits
    "late": 2,  # responds after that second, within the deadline
    "frozen": 3,  # responds long after the deadline, like a suspended process
    "hang": 2,
    "closed": 2,
    **dict.fromkeys(("status 500", "not JSON", "no keys", "a page", "redirect", "cut short"), 1),
}
GOOD_MODES = {"up", "slow"}

STATES = {
    "active": "active",
    **dict.fromkeys(("expired", "invalid", "duplicate", "token_missing"), "refresh"),
    "anonymous": "anonymous",
    **dict.fromkeys(("keys_unavailable", "clock"), "unavailable"),
}
REFUSED = frozenset({"invalid", "keys_unavailable"})
REFUSED_OR_OLD = REFUSED | {"expired"}

# Other rows contain characters that change a cookie, so another token would arrive.
SENDABLE_ROWS = [row for row in hostile_tokens().items() if can_be_sent(row[1])]


class ViolationError(Exception):
    """A violation of the design; the message says which, when, and with which seed."""


@lru_cache
def private_keys() -> tuple[RSAPrivateKey, ...]:
    return tuple(generate_private_key(public_exponent=65537, key_size=2048) for _ in range(4))


@dataclass(frozen=True)
class Key:
    """A signing key of the core; times are seconds into the run."""

    kid: str
    private_key: RSAPrivateKey
    published: float
    first_use: float
    removed: float

    @property
    def signer(self) -> SessionSigner:
        return SessionSigner(self.kid, self.private_key)


@dataclass(frozen=True)
class Mood:
    """The mode of the key server from *start* on, and its max-age."""

    start: float
    mode: str
    cache_control: bytes


class World:
    """The core and its key server: a schedule that depends only on the seed."""

    def __init__(self, seed: int, seconds: float) -> None:
        rng = random.Random(f"world {seed}")  # noqa: S311 - repeatable on purpose
        self.moods = [Mood(0.0, "up", b"")]
        while self.moods[-1].start < seconds:
            self.moods.append(
                Mood(
                    self.moods[-1].start + rng.choice((2, 5, 12, 20, 35, 70, 130)),
                    rng.choices([*MODES], [*MODES.values()])[0],
                    rng.choice(
                        (b"", *(b"Cache-Control: max-age=%d\r\n" % n for n in (0, 60, 900)))
                    ),
                )
            )
        self.keys: list[Key] = []
        first_use = published = 0.0
        while first_use < seconds:
            following = first_use + rng.choice((*(50, 60, 70) * 4, 900))
            key = Key(
                f"d-{seed}-{len(self.keys)}",
                private_keys()[len(self.keys) % len(private_keys())],
                published,
                first_use,
                following + rng.choice((0, 30, 100, 300, 900)),
            )
            self.keys.append(key)
            # A scheduled rotation is announced; after a leak the new key signs immediately.
            first_use, published = following, following - rng.choice((60, 60, 0))

    def mood(self, now: float) -> Mood:
        return [mood for mood in self.moods if mood.start <= now][-1]

    def good_since(self, now: float) -> float | None:
        """Return since when a fetch would have succeeded, or None if it would fail."""
        since = None
        for mood in self.moods:
            if mood.start > now:
                break
            if mood.mode not in GOOD_MODES:
                since = None
            elif since is None:
                since = mood.start
        return since

    def signing_key(self, now: float) -> Key:
        return [key for key in self.keys if key.first_use <= now][-1]

    def document(self, now: float) -> bytes:
        """Return the key set: newest first, then the static key, which signs the hostile tokens."""
        published = [key.signer for key in self.keys if key.published <= now < key.removed]
        signers = [*reversed(published), SessionSigner()]
        return json.dumps({"keys": [signer.jwk() for signer in signers]}).encode()


@dataclass(eq=False)
class Fetch:
    """One fetch as observed from outside.

    :ivar kids: the keys of a good response, otherwise None.
    """

    started: float
    mode: str
    epoch: int
    kids: frozenset[str] | None = None
    ended: float | None = None


@dataclass(eq=False)
class Held:
    """A background fetch whose response arrives at *until*."""

    until: float
    gate: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread = field(default_factory=threading.current_thread)


@dataclass(frozen=True)
class Token:
    """A genuine access token; times are seconds into the run."""

    text: str
    user_id: str
    key: Key
    issued: float
    expires: float


class User:
    """A user who is signed in for the whole run, and refreshes when the app requires it."""

    def __init__(self, seed: int, number: int, world: World) -> None:
        self.user_id = f"user-{number}"
        # One per user: the responses to one user must not change what another user does.
        self._rng = random.Random(f"{self.user_id} {seed}")  # noqa: S311
        self._world = world
        self.old: Token | None = None
        self.token = self._issued(0.0)

    def refresh(self, now: float) -> None:
        self.old, self.token = self.token, self._issued(now)

    def _issued(self, now: float) -> Token:
        key = self._world.signing_key(now)
        lives = self._rng.choice((20, 60, 100, 300, 300, 1200, 3600))
        claims = key.signer.claims(self.user_id, issued_at=NOW + now, valid_seconds=lives)
        return Token(
            key.signer.sign(claims), self.user_id, key, claims["iat"] - NOW, claims["exp"] - NOW
        )


@dataclass(frozen=True)
class Ask:
    """One request.

    :ivar may: the allowed reasons, or the genuine token that determines them.
    """

    who: str
    path: str
    method: str
    headers: dict[str, str]
    texts: tuple[str, ...]
    may: frozenset[str] | Token


@dataclass(frozen=True)
class Answered:
    """The response to one request.

    :ivar seconds: how long it took, in real time.
    """

    ask: Ask
    response: TestResponse
    seconds: float


@dataclass
class Figures:
    """The figures in the table at the end."""

    users: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    fetches: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    unavailable_seconds: float = 0.0
    longest_unknown_seconds: float = 0.0
    longest_removed_seconds: float = 0.0
    slowest_seconds: float = 0.0

    def table(self) -> str:
        def counts(counter: Counter[str]) -> str:
            return ", ".join(f"{name} {count}" for name, count in counter.most_common())

        rows = {
            "requests of users": counts(self.users),
            "requests of others": counts(self.others),
            "fetches by mode": counts(self.fetches),
            "happened": counts(self.events),
            "a user saw an outage for": f"{self.unavailable_seconds:.0f} s",
            "new key unknown while up": f"{self.longest_unknown_seconds:.2f} s at most",
            "removed key good while up": f"{self.longest_removed_seconds:.2f} s at most",
            "slowest request": f"{self.slowest_seconds * 1000:.0f} ms of real time",
        }
        return "\n".join(f"{name:<26} {value}" for name, value in rows.items())


class Chaos:
    """The run: users, attackers and failures, and the check of every response."""

    def __init__(self, seed: int, minutes: float) -> None:
        self.seed = seed
        self.seconds = minutes * 60
        self.figures = Figures()
        self.clock = SteppedClock(wall=float(NOW), monotonic=0.0)
        self.world = World(seed, self.seconds)
        self._rng = random.Random(f"run {seed}")  # noqa: S311
        self._max_stale = self._rng.choice((0.0, 420.0, 86_400.0))
        self._judges = Judges(SessionSigner().public_key)
        self._users = [User(seed, number, self.world) for number in range(40)]
        self._app = with_views(make_app("chaos"))
        state: AppState = self._app.extensions["ssr_session"]
        state.clock, state.log = self.clock, ThrottledLog(self.clock)
        state.override_keys_for_testing(
            FetchedKeys(
                ["https://core.example/jwks.json"],
                max_stale_seconds=self._max_stale,
                clock=self.clock,
                log=state.log,
                fetch=self._fetch,
            )
        )
        self._state = state
        self._server = KeyServer(self._serve)
        # Bound and not listening: connections are refused, and the port stays reserved.
        self._closed = socket.socket()
        self._closed.bind(("127.0.0.1", 0))
        # The fetches whose keys may be in use, None for no keys; several if a superseded fetch
        # returned. Only valid between two requests, when nothing else runs.
        self._known: list[Fetch | None] = [None]
        self._fetches: list[Fetch] = []
        self._unsettled: list[Fetch] = []
        self._held: list[Held] = []
        self._epoch = 0
        self._in_parallel = False
        self._is_out = False
        self._first_asked: dict[tuple[float, str], float] = {}
        self._logged: dict[str, float] = {}
        self._sent: list[str] = []
        self._problems: list[str] = []

    @property
    def now(self) -> float:
        """Seconds into the run."""
        return self.clock.monotonic()

    def require(self, condition: bool, message: str) -> None:
        if not condition:
            raise ViolationError(f"{self._moment()}: {message}")

    def _moment(self) -> str:
        mood = self.world.mood(self.now)
        return (
            f"seed {self.seed}, {self.now:.2f} s into the run, "
            f"key server {mood.mode!r} since {mood.start:.0f} s"
        )

    def run(self) -> Figures:
        watch = _LogWatch(self)
        level, propagate = logger.level, logger.propagate
        logger.addHandler(watch)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        try:
            while self.now < self.seconds:
                self._step()
        finally:
            for held in self._held:
                held.gate.set()
            self._held.clear()
            self._settle()
            self._server.close()
            self._closed.close()
            logger.removeHandler(watch)
            logger.setLevel(level)
            logger.propagate = propagate
        return self.figures

    # Events

    def _step(self) -> None:
        self._pass(self._rng.choice((0.25, 0.5, 0.5, 1.0, 1.0, 2.0, 4.0)))
        # Forks and clear_keys() are most revealing during a fetch.
        often = 5 if self._held else 1
        happening = self._rng.choices(
            (self._usual, self._flood, self._crowd, self._fork, self._clear, self._idle),
            (400, 0 if self._is_quiet() else 14, 12, 8 * often, 3 * often, 1),
        )[0]
        self.figures.events[happening.__name__.lstrip("_")] += 1
        happening()

    def _usual(self) -> None:
        for _ in range(self._rng.randrange(1, 5)):
            self._ask(self._some_ask())

    def _flood(self) -> None:
        """Many made-up key ids, with users in between."""
        for _ in range(30):
            self._ask(self._unknown_key())
            if self._rng.random() < 0.2:
                self._ask(self._user_ask())

    def _crowd(self) -> None:
        """Many concurrent requests; each may see the keys of the start or newer ones."""
        asks = [self._some_ask() for _ in range(24)]
        self._in_parallel = True
        with ThreadPoolExecutor(8) as pool:
            self._judged(lambda: list(pool.map(self._send, asks)), asks)
        self._in_parallel = False

    def _fork(self) -> None:
        """A forked child, like a preloaded worker: it has the keys, but no running fetch."""
        ask = self._user_ask()
        # The child alone keeps the writing end: the pipe ends with it.
        ended, alive = os.pipe()
        with warnings.catch_warnings():
            # Python 3.12 warns about forking with threads, which is the purpose here.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            status = 1
            try:
                self._fetches, self._unsettled, self._held = [], [], []
                self._ask(ask)
                status = 0
            except Exception:  # noqa: BLE001 - the parent reports it
                os.write(2, traceback.format_exc().encode())
            finally:
                os._exit(status)
        os.close(alive)
        has_ended = bool(select.select([ended], [], [], 30)[0])
        os.close(ended)
        if not has_ended:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        self.require(has_ended, f"a forked child hung, asking for {ask.who}")
        self.require(status == 0, f"a forked child failed, asking for {ask.who}")

    def _clear(self) -> None:
        self._state.clear_keys()
        self._epoch += 1
        self._known = [None]

    def _idle(self) -> None:
        self._pass(self._rng.choice((100.0, 250.0, 310.0, 500.0)))

    # Requests

    def _is_quiet(self) -> bool:
        """Attackers come in waves: without them there are fewer fetches, and keys get older."""
        return self.now % 1200 > 600

    def _some_ask(self) -> Ask:
        if self._is_quiet():
            return self._user_ask()
        make: Callable[[], Ask] = self._rng.choices(
            (
                *(self._user_ask, self._anonymous, self._front_token_only, self._two_users),
                *(self._hostile, self._bent, self._edited, self._unknown_key),
            ),
            (60, 5, 3, 2, 8, 8, 8, 6),
        )[0]
        return make()

    def _request(
        self,
        who: str,
        *texts: str,
        may: frozenset[str] | Token,
        front: bool = True,
    ) -> Ask:
        path, method = self._rng.choice(
            (
                *(("/account", "GET"), ("/news", "GET"), ("/page", "GET"), ("/account", "POST")),
                *(("/news", "POST"), ("/page", "POST"), ("/refresh-session", "GET")),
            )
        )
        browser = self._rng.choice((PAGE, FETCH))
        cookie = cookies(*texts, front=front) if texts or front else {}
        return Ask(who, path, method, browser | cookie, texts, may)

    def _user_ask(self) -> Ask:
        user = self._rng.choice(self._users)
        texts = [user.token.text]
        if user.old is not None and user.old.expires <= self.now and self._rng.random() < 0.1:
            texts.insert(0, user.old.text)  # an old cookie of a parent domain
        return self._request(user.user_id, *texts, may=user.token)

    def _anonymous(self) -> Ask:
        return self._request("a stranger", front=False, may=frozenset({"anonymous"}))

    def _front_token_only(self) -> Ask:
        return self._request("a lost cookie", may=frozenset({"token_missing"}))

    def _two_users(self) -> Ask:
        one, other = self._rng.sample(self._users, 2)
        return self._request(
            "two users", one.token.text, other.token.text, may=frozenset({"duplicate"})
        )

    def _hostile(self) -> Ask:
        name, text = self._rng.choice(SENDABLE_ROWS)
        return self._request(f"hostile row {name!r}", text, may=REFUSED_OR_OLD)

    def _bent(self) -> Ask:
        """A valid token with one character replaced."""
        text = self._rng.choice(self._users).token.text
        place = self._rng.randrange(len(text))
        other = self._rng.choice([c for c in "ABab01-_." if c != text[place]])
        text = text[:place] + other + text[place + 1 :]
        return self._request(f"a token bent at {place}", text, may=REFUSED_OR_OLD)

    def _edited(self) -> Ask:
        """A signed token issued now, with one member replaced."""
        signer = SessionSigner()
        parts = [signer.header(), signer.claims(issued_at=NOW + self.now)]
        name = self._rng.choice((*NAMES, *parts[0], *parts[1]))
        value = self._rng.choice(VALUES)
        parts[self._rng.randrange(2)][name] = value
        text = signer.sign(parts[1], parts[0])
        may = REFUSED_OR_OLD | {"clock"}
        if self._judges.claims(text, NOW + self.now) is not None:
            may |= {"active"}
        return self._request(f"a token with {name} {value!r}", text, may=may)

    def _unknown_key(self) -> Ask:
        kid = f"d-{self._rng.getrandbits(64)}"
        signer = SessionSigner(kid)
        issued = NOW + self.now - self._rng.choice((0, 0, 0, 30))
        text = signer.sign(signer.claims(issued_at=issued))
        return self._request(f"unknown key {kid}", text, may=REFUSED)

    # Time and the key server

    def _pass(self, seconds: float) -> None:
        """Advance the time, and end each fetch at its time."""
        if self._is_out:
            self.figures.unavailable_seconds += seconds
        until = self.now + seconds
        while due := [held for held in self._held if held.until <= until]:
            first = min(due, key=lambda held: held.until)
            self.clock.advance(max(first.until - self.now, 0.0))
            first.gate.set()
            self._held.remove(first)
            self._settle()
        self.clock.advance(max(until - self.now, 0.0))

    def _settle(self) -> None:
        """Wait for the fetches that are due, and record what the app must know now."""
        deadline = time.monotonic() + 30
        while moving := [
            thread
            for thread in threading.enumerate()
            if thread.name == "ssr-session-keys"
            and thread not in [held.thread for held in self._held]
        ]:
            moving[0].join(0.01)
            self.require(time.monotonic() < deadline, "a fetch in the background did not end")
        for fetch in [fetch for fetch in self._unsettled if fetch.ended is not None]:
            self._unsettled.remove(fetch)
            if fetch.kids is None or fetch.epoch != self._epoch:
                continue
            if not any(other.started > fetch.started for other in self._of_epoch()):
                self._known = [fetch]
            elif all(known is None or known.started < fetch.started for known in self._known):
                self._known.append(fetch)

    def _of_epoch(self) -> list[Fetch]:
        """Return the fetches of this process since the keys were last cleared."""
        return [fetch for fetch in self._fetches if fetch.epoch == self._epoch]

    def _fetch(self, _url: str, deadline: Deadline) -> tuple[bytes, float | None]:
        """Fetch over a socket, in as much stepped time as the mode requires."""
        mode = self.world.mood(self.now).mode
        fetch = Fetch(self.now, mode, self._epoch)
        self._check_budget(fetch)
        self._fetches.append(fetch)
        self._unsettled.append(fetch)
        self.figures.fetches[mode] += 1
        port = self._closed.getsockname()[1] if mode == "closed" else self._server.port
        if mode == "hang":
            deadline = Deadline(0.05)  # real seconds; the rest is stepped time
        kids, document = None, None
        try:
            document = fetch_document(f"http://127.0.0.1:{port}/jwks.json", deadline)
            with contextlib.suppress(ValueError):
                kids = frozenset(entry["kid"] for entry in json.loads(document[0])["keys"])
            return document
        finally:
            self._take(mode, fetch)
            # An empty set is not a good response.
            fetch.kids = kids or None
            fetch.ended = self.now

    def _take(self, mode: str, fetch: Fetch) -> None:
        if mode == "slow":
            self.clock.advance(0.25)
        elif mode in ("late", "hang", "frozen"):
            until = fetch.started + {"late": 2.5, "hang": 3.0, "frozen": 40.0}[mode]
            if threading.current_thread().name != "ssr-session-keys":
                self.clock.advance(max(until - self.now, 0.0))
                return
            held = Held(until)
            self._held.append(held)
            held.gate.wait(120)

    def _check_budget(self, fetch: Fetch) -> None:
        for last in self._of_epoch()[-1:]:
            gap = fetch.started - last.started
            given_up = last.ended is None and gap >= ABANDONED_SECONDS
            self._note_problem(
                gap >= COOLDOWN_SECONDS or given_up,
                f"a fetch {gap:.2f} s after the one before ({last.mode})",
            )

    def _note_problem(self, condition: bool, message: str) -> None:
        """Store a violation found in a thread of the app, to end the run with it."""
        if not condition:
            self._problems.append(message)

    def _serve(self, connection: socket.socket) -> None:
        mood = self.world.mood(self.now)
        body = self.world.document(self.now)
        good = ok(body, mood.cache_control)
        away = b"HTTP/1.1 302 Found\r\nLocation: /other.json\r\nContent-Length: 0\r\n\r\n"
        behave = {
            "hang": hang(),
            "status 500": answer(b"HTTP/1.1 500 Oops" + good[15:]),
            "not JSON": answer(ok(body[:-1])),
            "no keys": answer(ok(b'{"keys": []}')),
            "a page": answer(ok(b"<!doctype html><title>Sign in to the Wi-Fi</title>")),
            "redirect": answer(away),
            "cut short": answer(good[:-1]),
        }
        behave.get(mood.mode, answer(good))(connection)

    # Checks of every request

    def _ask(self, ask: Ask) -> None:
        self._judged(lambda: [self._send(ask)], [ask])

    def _send(self, ask: Ask) -> Answered:
        client = self._app.test_client(use_cookies=False)
        before = time.monotonic()
        try:
            response = client.open(ask.path, method=ask.method, headers=ask.headers)
        except Exception as error:
            raise ViolationError(f"{self._moment()}: {ask.who} met an exception") from error
        return Answered(ask, response, time.monotonic() - before)

    def _judged(self, send: Callable[[], list[Answered]], asks: list[Ask]) -> None:
        """Send requests and check each response against what the app could know meanwhile."""
        self._sent = [text for ask in asks for text in ask.texts]
        started, known, earlier = self.now, [*self._known], self._of_epoch()
        answered = send()
        self._settle()
        for problem in self._problems:
            self.require(False, problem)
        fetched = self._of_epoch()[len(earlier) :]
        for one in answered:
            self._judge(one, Knowledge(started, self.now, known, earlier, fetched))
        longest = max(one.seconds for one in answered)
        self.figures.slowest_seconds = max(self.figures.slowest_seconds, longest)
        # A request that waits in real time waits in stepped time, too.
        self._pass(float(round(longest)))

    def _judge(self, one: Answered, what: Knowledge) -> None:
        ask, may = one.ask, one.ask.may
        patient = not self._in_parallel and one.seconds < PATIENCE_SECONDS
        allowed = what.allowed(may, self._max_stale, patient) if isinstance(may, Token) else may
        reason = self._reason(one, allowed)
        (self.figures.users if isinstance(may, Token) else self.figures.others)[reason] += 1
        told = f"{ask.who} got {reason!r} for {ask.method} {ask.path}"
        self.require(reason in allowed, f"{told}; allowed: {sorted(allowed)}")
        if reason == "keys_unavailable":
            tried = [fetch for fetch in what.fetches if fetch.started > what.started - 10]
            self.require(bool(tried), f"{told}; nobody tried to fetch for 10 s")
        if isinstance(may, Token):
            self._judge_user(may, reason, what, told)

    def _judge_user(self, token: Token, reason: str, what: Knowledge, told: str) -> None:
        """Check the response against the state of the key, independent of the fetches."""
        good_since = self.world.good_since(what.started)
        self._is_out = reason == "keys_unavailable"
        if reason == "invalid":
            self.require(token.key.removed <= self.now, f"{told}; its key is in the set")
        if good_since is not None:
            asked = self._first_asked.setdefault((good_since, token.key.kid), what.started)
            if reason == "keys_unavailable" and token.key.removed > self.now:
                unknown = what.started - asked
                self.figures.longest_unknown_seconds = max(
                    self.figures.longest_unknown_seconds, unknown
                )
                self.require(
                    unknown <= COOLDOWN_SECONDS,
                    f"{told}; the server is up and the key was asked for {unknown:.2f} s ago",
                )
            if reason == "active" and token.key.removed <= what.started:
                gone = what.started - max(token.key.removed, good_since)
                self.figures.longest_removed_seconds = max(
                    self.figures.longest_removed_seconds, gone
                )
                self.require(
                    gone <= YOUNG_SECONDS, f"{told}; the key left the set {gone:.2f} s ago"
                )
        if reason in ("expired", "invalid"):
            for user in self._users:
                if user.token is token:
                    user.refresh(self.now)

    def _reason(self, one: Answered, allowed: frozenset[str]) -> str:
        """Return the verdict that a response shows, and check that it is consistent."""
        ask, response = one.ask, one.response
        told = f"{ask.who} got {response.status} for {ask.method} {ask.path}"
        text, headers = response.text, response.headers
        for segment in ".".join(ask.texts).split("."):
            if len(segment) >= 16:
                self.require(segment not in text, f"{told}, with token bytes in the page")
                self.require(segment not in str(headers), f"{told}, with token bytes in a header")
        self.require("Set-Cookie" not in headers, f"{told}, with a cookie")
        self.require("Cookie" in response.vary, f"{told}, without Vary")
        sealed = re.fullmatch(r"(\w+); reason=(\w+)", headers.get("SSR-Session", ""))
        if sealed is not None:
            state, reason = sealed.groups()
            self.require(STATES.get(reason) == state, f"{told}: {sealed.group()}")
            self.require(headers.get("Cache-Control") == "no-store", f"{told}, free to be kept")
        elif text == "news for everyone":
            signed_out = ("anonymous", "clock", "keys_unavailable")
            reason = next((reason for reason in signed_out if reason in allowed), "signed out")
            state = STATES.get(reason, "anonymous")
        else:
            state = reason = "active"
            name = re.fullmatch(r"content|(?:account of|news for) (.*)", text, re.DOTALL)
            self.require(name is not None, f"{told}, which is no page of the app's: {text[:200]!r}")
            if isinstance(ask.may, Token) and name is not None:
                self.require(name[1] in (None, ask.may.user_id), f"{told}: {text!r}")
        shown = (response.status_code, page_shown(response))
        expected = _expected(ask, state)
        self.require(
            shown == expected, f"{told}: {reason!r} is to be shown as {expected}, not {shown}"
        )
        if response.status_code == 503:
            self.require(headers.get("Retry-After") == "10", f"{told}, without Retry-After")
        return reason

    def watch(self, line: str) -> None:
        """Check one line of the log, in the thread that wrote it."""
        for run in re.findall(r"[\w-]{12,}", line):
            for place in range(len(run) - 11):
                told = any(run[place : place + 12] in text for text in self._sent)
                self._note_problem(not told, f"token bytes in the log: {line!r}")
        slug = line.partition(":")[0]
        self._note_problem(slug != "internal", line)
        gap = self.now - self._logged.get(slug, -THROTTLE_SECONDS)
        # Two threads may write the same line at the same moment.
        self._note_problem(
            gap == 0 or gap >= THROTTLE_SECONDS or self._in_parallel,
            f"two lines of {slug!r} within {gap:.2f} s",
        )
        self._logged[slug] = self.now


@dataclass(frozen=True)
class Knowledge:
    """The fetches before and during a request.

    :ivar known: the fetches whose keys may have been in use at its start.
    :ivar earlier: all fetches before it; *fetched*: those that started during it.
    """

    started: float
    ended: float
    known: list[Fetch | None]
    earlier: list[Fetch]
    fetched: list[Fetch]

    @property
    def fetches(self) -> list[Fetch]:
        return [*self.earlier, *self.fetched]

    def allowed(self, token: Token, max_stale_seconds: float, patient: bool) -> frozenset[str]:
        """Return the allowed reasons for a genuine token.

        :param patient: no other request ran, so the request must wait for everything it can.
        """
        if token.expires <= self.started:
            return frozenset({"expired"})
        landed = [fetch for fetch in self.fetched if fetch.kids is not None and fetch.ended]
        sets = [
            known
            for known in (*self.known, *landed)
            if not (patient and landed and self._has_to_wait(known, token))
        ]
        reasons = {"expired"} if token.expires <= self.ended else set()
        for keys in sets:
            reasons |= self._by(keys, token, max(max_stale_seconds, YOUNG_SECONDS))
        return frozenset(reasons)

    def _has_to_wait(self, keys: Fetch | None, token: Token) -> bool:
        """Return whether *keys* are insufficient while a fetch can succeed in time."""
        if keys in self.fetched or self.fetched[0].mode not in GOOD_MODES:
            return False
        if keys is None:
            return True
        if token.key.kid not in (keys.kids or ()):
            return True
        in_outage = bool(self.earlier) and self.earlier[-1].kids is None
        return not in_outage and self.started - keys.started >= YOUNG_SECONDS

    def _by(self, keys: Fetch | None, token: Token, usable_seconds: float) -> set[str]:
        if keys is None or keys.kids is None or self.started - keys.started > usable_seconds:
            return {"keys_unavailable"}
        if token.key.kid not in keys.kids:
            if keys.started >= self.started:
                return {"invalid"}
            could_be_new = token.issued + IAT_TOLERANCE_SECONDS >= keys.started
            return {"keys_unavailable" if could_be_new else "invalid"}
        reasons = {"active"}
        if self.ended - keys.started > usable_seconds:
            reasons.add("keys_unavailable")
        if self.started - keys.started >= YOUNG_SECONDS and not any(
            fetch.started > self.started - BACKOFF_SECONDS for fetch in self.fetches
        ):
            # Old keys may be used only while the app tries to renew them.
            return reasons - {"active"}
        return reasons


def _expected(ask: Ask, state: str) -> tuple[int, str]:
    """Return the status and page for *state* (design.md, sections 2 and 6)."""
    is_script = ask.headers["Sec-Fetch-Dest"] == "empty"
    is_told = is_script and state in ("refresh", "unavailable")
    if ask.path == "/refresh-session" and not is_told:
        return 200, "refresh"
    if state == "active" or (ask.path == "/news" and state in ("anonymous", "unavailable")):
        return 200, ""
    if is_script:
        return (503, "") if state == "unavailable" else (401, "")
    shown = 200 if ask.method == "GET" else 401
    if state == "anonymous":
        return (302, "") if (ask.path, ask.method) == ("/account", "GET") else (shown, "sign_in")
    return {"refresh": (shown, "refresh"), "unavailable": (503, "outage")}[state]


class _LogWatch(logging.Handler):
    def __init__(self, chaos: Chaos) -> None:
        super().__init__()
        self._chaos = chaos

    def emit(self, record: logging.LogRecord) -> None:
        self._chaos.watch(self.format(record))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="of stepped time")
    parser.add_argument("--seed", type=int, default=time.time_ns() & 0xFFFFFFFF)
    options = parser.parse_args()
    began = time.monotonic()
    chaos = Chaos(options.seed, options.minutes)
    try:
        chaos.run()
    except ViolationError as violation:
        traceback.print_exception(violation)
        return 1
    finally:
        print(chaos.figures.table())  # noqa: T201
    print(  # noqa: T201
        f"seed {options.seed}: {options.minutes:g} minutes in {time.monotonic() - began:.0f} s, "
        "every answer as promised"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
