"""Compare FetchedKeys with a model of its design, in any order of events; time is stepped.

The model was written from the design, not from the code: it sees what a key server sees, the time
of each request and its response. ``python -m tools.soak.key_model`` takes about two minutes. A
difference ends it with status 1 and the shortest sequence of events that shows it.
"""

from __future__ import annotations

import argparse
import sys
import threading
import traceback
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from flask_ssr_session.sansio.states import Reason
from flask_ssr_session.sansio.verdict import decide
from flask_ssr_session.sansio.verification import TokenRules
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.throttled_log import ThrottledLog
from flask_ssr_session.upstream import key_fetcher
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.key_age import FetchedKeys
from tests.clocks import SteppedClock
from tests.key_servers import FakeKeyServer

DAY = 24 * 3600.0
NEVER = float("-inf")

# The least time between two changes; a power of two, so that sums are exact.
TICK = 2.0**-6

ACTIVE, EXPIRED, INVALID = Reason.ACTIVE, Reason.EXPIRED, Reason.INVALID
UNAVAILABLE = Reason.KEYS_UNAVAILABLE

# The time without requests: around every limit of the design.
IDLE_SECONDS = st.sampled_from(
    [*(0, 0, 0, 1, 5, 9, 10, 11, 60, 61, 220, 239, 240, 299, 300, 301, 600, 3600), DAY, DAY + 1]
)

# When a thread runs: before its start returns, at a later step, or not at all.
BACKGROUND = st.sampled_from(["at once", "later", "later", "none"])


@dataclass
class Key:
    """A key in the published set.

    :ivar signs_from: when it starts to sign; it stops when a newer key starts.
    """

    kid: str
    published_at: float
    signs_from: float
    removed_at: float | None = None


@dataclass(frozen=True)
class Token:
    """An issued token.

    :ivar key: None if the key was never published.
    :ivar is_forged: it carries the signature of another token.
    """

    text: str
    kid: str
    key: Key | None
    is_forged: bool
    user_id: str
    iat: float
    exp: float


@dataclass(eq=False)
class Answer:
    """A request to the key server, and its response.

    :ivar kids: the published keys; None if the server was down.
    :ivar thread: the thread that waits for the response; None if it came immediately.
    """

    asked_at: float
    kids: frozenset[str] | None
    thread: threading.Thread | None
    gate: threading.Event | None = None


class Unwaited(threading.Event):
    """An event that no request waits for: only a later step sets it."""

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002
        return self.is_set()


class KeyModel(RuleBasedStateMachine):
    """Changes the keys and their server in every possible way, and checks every verdict."""

    outcomes: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.clock = SteppedClock()
        self.signer = SessionSigner()
        self.server = FakeKeyServer(self.signer.jwk())
        self.keys: list[Key] = []
        self.tokens: list[Token] = []
        self.up_since = self.cleared_at = NEVER
        # The fetch that counts: the last one that started, or None after clear().
        self.last: Answer | None = None
        self.known: Answer | None = None
        self.under_way: list[Answer] = []
        self.hasty: list[float] = []
        self.patches = ExitStack()
        threads = SimpleNamespace(Thread=self.thread, Event=Unwaited, Lock=threading.Lock)
        self.patches.enter_context(mock.patch.object(key_fetcher, "threading", threads))

    def teardown(self) -> None:
        self.patches.close()
        self.server.close()

    # Replaced parts

    def thread(self, **options: Any) -> threading.Thread:
        """Make a thread that runs when :attr:`background` says."""
        thread = threading.Thread(**options)
        start = thread.start

        def start_as_told() -> None:
            self.outcomes[f"background: {self.background}"] += 1
            if self.background == "none":
                raise RuntimeError("can't start new thread")
            if self.background == "at once":
                thread.run()
                return
            gate = self.server.hold()
            self.server.began.clear()
            start()
            assert self.server.began.wait(10)
            assert self.last is not None
            self.last.gate = gate

        thread.start = start_as_told  # type: ignore[method-assign]
        return thread

    def fetch(self, url: str, deadline: Deadline) -> tuple[bytes, float | None]:
        now, last, thread = self.clock.monotonic(), self.last, threading.current_thread()
        # One fetch at a time and per 10 s; one that hangs is abandoned after 5 s.
        pause = 5 if last in self.under_way else 10
        if last is not None and now - last.asked_at < pause:
            self.hasty.append(now - last.asked_at)
        answer = self.last = Answer(
            now,
            None if self.server.is_down else frozenset(self.server.kids),
            None if thread is threading.main_thread() else thread,
        )
        if answer.thread is not None:
            self.under_way.append(answer)
        else:
            self.arrive(answer)
        return self.server.fetch(url, deadline)

    def arrive(self, answer: Answer) -> None:
        # A superseded response, or one requested before clear(), is not used.
        if answer is self.last and answer.kids is not None:
            self.known = answer

    def publish(self, signs_in_seconds: float) -> None:
        now = self.clock.monotonic()
        self.keys.append(Key(f"d-{len(self.keys)}", now, now + signs_in_seconds))

    def published(self) -> list[Key]:
        return [key for key in self.keys if key.removed_at is None]

    # Events

    @initialize(
        max_stale_seconds=st.sampled_from([DAY, DAY, 600.0, 0.0]),
        max_age=st.sampled_from([None, 7 * DAY, 60.0, 0.0]),
        background=BACKGROUND,
    )
    def start(self, max_stale_seconds: float, max_age: float | None, background: str) -> None:
        self.background = background
        self.server.max_age = max_age
        self.max_stale_seconds = max_stale_seconds
        self.publish(signs_in_seconds=0)
        self.server.kids = ["d-0"]
        self.fetched = FetchedKeys(
            ["https://core.example/jwks"],
            max_stale_seconds=max_stale_seconds,
            clock=self.clock,
            log=ThrottledLog(self.clock),
            fetch=self.fetch,
        )

    @rule(
        kind=st.sampled_from(["current", "current", "newest", "removed", "made up", "forged"]),
        valid_seconds=st.sampled_from([20, 3600, DAY, 30 * DAY]),
        is_used=st.booleans(),
    )
    def issue(self, kind: str, valid_seconds: float, is_used: bool) -> None:
        key = self.key_for(kind)
        kid = "d-made-up" if key is None else key.kid
        claims, header = self.claims(valid_seconds), self.signer.header() | {"kid": kid}
        text = self.signer.sign(claims, header)
        if kind == "forged":
            other = self.signer.sign(self.claims(valid_seconds), header)
            text = text.rpartition(".")[0] + "." + other.rpartition(".")[2]
        self.tokens.append(
            Token(text, kid, key, kind == "forged", claims["sub"], claims["iat"], claims["exp"])
        )
        if is_used:
            self.verify(self.tokens[-1])

    def key_for(self, kind: str) -> Key | None:
        if kind == "made up":
            return None
        if kind == "newest":  # published, and perhaps not yet used
            return self.published()[-1]
        keys = [key for key in self.keys if (key.removed_at is not None) == (kind == "removed")]
        in_use = [key for key in keys if key.signs_from <= self.clock.monotonic()]
        return next(reversed(in_use or keys), None)

    def claims(self, valid_seconds: float) -> dict[str, Any]:
        return self.signer.claims(
            f"user-{len(self.tokens)}", issued_at=self.clock.wall(), valid_seconds=valid_seconds
        )

    @precondition(lambda self: self.tokens)
    @rule(
        idle_seconds=IDLE_SECONDS,
        back=st.lists(st.integers(0, 9), min_size=1, max_size=5),
        pauses=st.sampled_from([[0], [0], [0], [0] + 12 * [1], [0] + 8 * [10]]),
    )
    def visit(self, idle_seconds: float, back: list[int], pauses: list[int]) -> None:
        """After a while, some recent tokens are used again, perhaps several times."""
        self.clock.advance(idle_seconds)
        for seconds in pauses:
            self.clock.advance(seconds)
            for steps in back:
                self.verify(self.tokens[-1 - steps % len(self.tokens)])

    def verify(self, token: Token) -> None:
        last, needs_fetch = self.last, not self.is_fresh() or token.kid not in self.known_kids()
        verdict = decide(
            [token.text],
            has_front_token=False,
            keys=self.fetched,
            rules=TokenRules(),
            now=self.clock.wall(),
        )
        self.outcomes[verdict.reason.value] += 1
        assert verdict.reason is self.expected(token)
        assert verdict.reason in self.promised(token)
        user_id = verdict.session and verdict.session.user_id
        assert user_id == (token.user_id if verdict.reason is ACTIVE else None)
        assert not self.hasty
        assert needs_fetch or self.last is last
        assert verdict.reason is EXPIRED or self.is_renewed()

    @rule(
        change=st.sampled_from(
            ["fail_or_heal", "rotate_scheduled", "rotate_unscheduled", "remove_key", "clear"]
        ),
        background=BACKGROUND,
    )
    def change(self, change: str, background: str) -> None:
        self.background = background
        self.clock.advance(TICK)
        getattr(self, change)()
        self.server.kids = [key.kid for key in self.published()]

    def rotate_scheduled(self) -> None:
        self.publish(signs_in_seconds=60)

    def rotate_unscheduled(self) -> None:
        self.publish(signs_in_seconds=0)

    def remove_key(self) -> None:
        if len(self.published()) > 1:
            self.published()[0].removed_at = self.clock.monotonic()

    def fail_or_heal(self) -> None:
        self.server.is_down = not self.server.is_down
        self.up_since = self.clock.monotonic()

    def clear(self) -> None:
        self.fetched.clear()
        self.cleared_at = self.clock.monotonic()
        self.last = self.known = None

    @precondition(lambda self: self.under_way)
    @rule(place=st.integers(0, 9))
    def arrive_late(self, place: int) -> None:
        answer = self.under_way.pop(place % len(self.under_way))
        assert answer.gate is not None
        assert answer.thread is not None
        answer.gate.set()
        answer.thread.join(10)
        self.arrive(answer)

    # The model

    def expected(self, token: Token) -> Reason:
        """Return the verdict according to the last good response that arrived."""
        now, known = self.clock.wall(), self.known
        if token.exp <= now:
            return EXPIRED
        if known is None or self.age(known) > max(self.max_stale_seconds, 300):
            return UNAVAILABLE
        if token.kid in self.known_kids():
            return INVALID if token.is_forged else ACTIVE
        # The token is older than the response, or the response is from this moment: no such key.
        if now - token.iat > self.age(known) + 5 or self.age(known) == 0:
            return INVALID
        return UNAVAILABLE

    def promised(self, token: Token) -> set[Reason]:
        """Return the verdicts that the design allows, whatever was fetched when."""
        now, key = self.clock.monotonic(), token.key
        healthy_for = self.healthy_for()
        if token.exp <= self.clock.wall():
            return {EXPIRED}
        if key is None or token.is_forged:
            could_be_new = self.clock.wall() - token.iat <= 305
            return {INVALID} if healthy_for >= 60 and not could_be_new else {INVALID, UNAVAILABLE}
        if key.removed_at is None:
            known_by_now = healthy_for >= 10 and now - key.published_at >= 10
            return {ACTIVE} if known_by_now else {ACTIVE, UNAVAILABLE}
        # After failures, the pause between two attempts may be a minute.
        may_live = now - key.removed_at < 300 or healthy_for < 60
        may_live = may_live and key.removed_at > self.cleared_at
        return {INVALID, UNAVAILABLE, ACTIVE} if may_live else {INVALID, UNAVAILABLE}

    def is_renewed(self) -> bool:
        """Return whether the last request refreshed the keys if that was necessary."""
        if self.last is not None and self.last in self.under_way:
            return self.age(self.last) < 5 or self.is_fresh()
        return self.healthy_for() < 60 or self.is_fresh()

    def is_fresh(self) -> bool:
        max_age = 240 if self.server.max_age is None else min(self.server.max_age, 240)
        return self.known is not None and self.age(self.known) < max(max_age, 10)

    def known_kids(self) -> frozenset[str]:
        return (self.known and self.known.kids) or frozenset()

    def healthy_for(self) -> float:
        """Return for how many seconds a fetch would have succeeded immediately."""
        if self.server.is_down or self.last in self.under_way:
            return 0
        return self.clock.monotonic() - self.up_since

    def age(self, answer: Answer) -> float:
        return self.clock.monotonic() - answer.asked_at


def run(examples: int, steps: int) -> Counter[str]:
    """Run the model and return how often each thing happened."""
    KeyModel.outcomes.clear()
    run_state_machine_as_test(
        KeyModel,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return KeyModel.outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=500)
    parser.add_argument("--steps", type=int, default=80)
    options = parser.parse_args()
    try:
        outcomes = run(options.examples, options.steps)
    except AssertionError:
        traceback.print_exc()
        return 1
    print(dict(outcomes.most_common()))
    # The run is only meaningful if it reached everything.
    reasons = [reason.value for reason in (ACTIVE, EXPIRED, INVALID, UNAVAILABLE)]
    modes = [f"background: {mode}" for mode in ("at once", "later", "none")]
    return 0 if all(outcomes[name] for name in reasons + modes) else 1


if __name__ == "__main__":
    sys.exit(main())
