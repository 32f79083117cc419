"""One look-up at the core, and which core is asked after a failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from flask_ssr_session.errors import CoreUnavailableError, FetchError, HTTPClientError
from flask_ssr_session.upstream import deadline
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.session_lookup import SessionLookup, _Cooldown

from ..clocks import SteppedClock
from ..key_servers import answer, ok
from ..tables import rows
from .conftest import Serve

KNOWN = b'{"status":"OK","sessionHandle":"handle-1","timeCreated":1,"userDataInJWT":{}}'
GONE = b'{"status":"UNAUTHORISED"}'
DOWN = FetchError("the connection failed (ConnectionRefusedError)")
REFUSED = HTTPClientError("the response has status 400")

URI = "http://core:3567/recipe/session"
CORES = tuple(f"http://core-{number}/recipe/session" for number in (1, 2, 3))


class Core:
    """Cores that give the answers in :attr:`answers` in turn, or one answer to all requests."""

    def __init__(self) -> None:
        self.answers: Any = KNOWN
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.seconds: list[float] = []
        self.meanwhile: Callable[[], Any] = lambda: None

    def fetch(
        self, url: str, left: Deadline, headers: Mapping[str, str]
    ) -> tuple[bytes, float | None]:
        self.asked.append(url)
        self.headers.append(dict(headers))
        self.seconds.append(left.remaining())
        self.meanwhile()
        answer = self.answers.pop(0) if isinstance(self.answers, list) else self.answers
        if isinstance(answer, Exception):
            raise answer
        return answer, None

    def asked_cores(self) -> list[str]:
        return [url.partition("?")[0] for url in self.asked]


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture
def check(core: Core, clock: SteppedClock) -> SessionLookup:
    return SessionLookup((URI,), {}, clock=clock, fetch=core.fetch)


@pytest.fixture
def check_three(core: Core, clock: SteppedClock) -> SessionLookup:
    return SessionLookup(CORES, {}, clock=clock, fetch=core.fetch)


def outcome(check: SessionLookup, handle: str = "handle-1") -> bool | str:
    """Return the result, or ``down``."""
    try:
        return check.look_up(handle) is None
    except CoreUnavailableError:
        return "down"


BODIES: dict[str, Any] = {
    "the core knows the session": (KNOWN, False),
    "the core does not know it": (GONE, True),
    "nothing": (b"", "down"),
    "a page": (b"<html>OK</html>", "down"),
    "an empty object": (b"{}", "down"),
    "another session": (KNOWN.replace(b"-1", b"-2"), "down"),
}


@rows("body, expected", BODIES)
def test_only_the_core_s_two_answers_count(
    core: Core, check: SessionLookup, body: bytes, expected: bool | str
) -> None:
    core.answers = [body, KNOWN]

    assert outcome(check) == expected
    # No result is kept; what says nothing starts the pause of a failure.
    assert outcome(check) == ("down" if expected == "down" else False)


HANDLES: dict[str, Any] = {
    "of the core": "5a6d2d0e-8d4e-4c7c-9d0e-0c2c8f6e7a11_tenant-1",
    "that adds a parameter": "a&sessionHandle=b",
    "with a fragment": "a#b",
    "with blanks and escapes": "a b+c%20d",
    "with a path": "../../user?x=1",
    "beyond ASCII": "größe 😀",
}


@rows("handle", HANDLES)
def test_handle_asks_for_no_other_session(core: Core, check: SessionLookup, handle: str) -> None:
    core.answers = GONE
    check.look_up(handle)

    (url,) = core.asked
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == URI
    assert (parse_qs(parts.query), parts.fragment) == ({"sessionHandle": [handle]}, "")
    assert url.isascii()
    assert " " not in url


def test_core_receives_the_headers_that_it_requires(core: Core, clock: SteppedClock) -> None:
    headers = {"cdi-version": "5.4", "api-key": "of-the-core"}
    check = SessionLookup((URI,), headers, clock=clock, fetch=core.fetch)
    headers["api-key"] = "changed later"

    check.look_up("handle-1")

    assert core.headers == [{"cdi-version": "5.4", "api-key": "of-the-core"}]


def test_error_says_why_and_nothing_of_the_session(core: Core, check_three: SessionLookup) -> None:
    core.answers = [DOWN, DOWN, FetchError("the last problem")]
    with pytest.raises(CoreUnavailableError, match=r"^the last problem$") as first:
        check_three.look_up("handle-1")
    with pytest.raises(CoreUnavailableError, match=r"^the core did not respond in the last 10 s$"):
        check_three.look_up("handle-1")

    # Otherwise a traceback in a log would show the address, which contains the handle.
    assert first.value.__suppress_context__


# Steps: the seconds since the first look-up, then the cores that are asked, each with what it does:
# "+" it knows the session, "-" it does not, "x" it is down, "o" its answer is odd, "!" it refuses.
# The last answer is the outcome; if that says nothing, or nobody is asked, the core is down.
ANSWERS = {"+": KNOWN, "-": GONE, "x": DOWN, "o": b"{}", "!": REFUSED}
STORIES = {
    "the first core that answers counts": "0 1x 2o 3-",
    "one that fails is passed over for 10 s": (
        "0 1x 2+; 0 2-; 9.999 2+; 10 1x 2+; 10 2+; 20 1+; 20 1-"
    ),
    "an odd answer is a failure": "0 1o 2+; 1 2+",
    "a refusal is an answer, and may concern this session alone": "0 1! 2+; 0 1+",
    "a refusal ends the pause": "0 1x 2+; 10 1! 2+; 10 1+",
    "the second fails while the first is passed over": (
        "0 1x 2+; 5 2x 3-; 9.999 3+; 10 1+; 12 1x 3+; 15 2+; 22 1+"
    ),
    "all fail, then the first answer ends all pauses": "0 1x 2x 3x; 0; 9.999; 10 1+; 10 1x 2+",
    "all fail, and again": "0 1x 2x 3x; 10 1x 2x 3x; 19.999; 20 1x 2x 3+; 20 3+",
    "all fail, one after the other": "0 1x 2+; 4 2x 3+; 8 3x; 9.999; 10 1+; 14 1x 2+",
    "the only one left refuses": "0 1x 2x 3+; 1 3!; 1 3+",
}


@rows("steps", STORIES)
def test_core_that_failed_is_passed_over_while_another_answers(
    core: Core, clock: SteppedClock, check_three: SessionLookup, steps: str
) -> None:
    begin = clock.monotonic()
    # The wall clock is not what counts.
    clock.wall_now -= 10**6

    for step in steps.split("; "):
        seconds, *asked = step.split()
        clock.monotonic_now = begin + float(seconds)
        core.asked.clear()
        core.answers = [ANSWERS[each[1]] for each in asked]
        assert outcome(check_three) == {"+": False, "-": True}.get(step[-1], "down"), step
        assert core.asked_cores() == [CORES[int(each[0]) - 1] for each in asked], step


def test_every_core_gets_its_share_of_three_seconds(
    core: Core, clock: SteppedClock, check_three: SessionLookup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fails at once, so its time goes to the next; a core passed over takes none."""
    monkeypatch.setattr(deadline, "monotonic", clock.monotonic)
    core.answers = [DOWN, DOWN, KNOWN, KNOWN]
    outcome(check_three)
    outcome(check_three)

    assert core.seconds == [1, 1.5, 3, 3]


@rows("failing", {"the pause of one core": 1, "the pause of all, after the last": 3})
def test_pause_begins_when_the_failure_ends(core: Core, clock: SteppedClock, failing: int) -> None:
    check = SessionLookup(CORES[:failing], {}, clock=clock, fetch=core.fetch)
    core.answers, core.meanwhile = DOWN, lambda: clock.advance(3)
    assert outcome(check) == "down"
    core.answers, core.meanwhile = KNOWN, lambda: None

    clock.advance(9.999)
    assert outcome(check) == "down"
    clock.advance(0.001)
    assert outcome(check) is False
    assert len(core.asked) == failing + 1


def test_one_request_tries_the_core_for_all_others(core: Core, clock: SteppedClock) -> None:
    check = SessionLookup(CORES[:2], {}, clock=clock, fetch=core.fetch)
    core.answers = [DOWN, KNOWN]
    outcome(check)
    clock.advance(10)
    core.asked.clear()
    others: list[bool | str] = []

    def meanwhile() -> None:
        core.meanwhile = lambda: None
        others.extend(outcome(check) for _ in range(3))

    core.answers, core.meanwhile = [GONE, GONE, GONE, KNOWN], meanwhile
    assert outcome(check) is False
    assert others == [True] * 3
    assert core.asked_cores() == [CORES[n] for n in (0, 1, 1, 1)]


def test_of_requests_that_race_for_the_retry_one_gets_it() -> None:
    cooldown = _Cooldown(retry_at=10)

    assert [cooldown.take_retry(now) for now in (9.999, 10, 10)] == [False, True, False]


def test_defect_leaves_the_core_to_a_later_request(
    core: Core, clock: SteppedClock, check_three: SessionLookup
) -> None:
    core.answers = [RuntimeError("a defect"), DOWN, KNOWN]
    with pytest.raises(RuntimeError):
        check_three.look_up("handle-1")
    assert outcome(check_three) is False
    clock.advance(10)
    core.answers = [RuntimeError("a defect"), KNOWN, KNOWN]
    with pytest.raises(RuntimeError):
        check_three.look_up("handle-1")
    core.asked.clear()
    outcome(check_three)
    clock.advance(10)
    outcome(check_three)

    assert core.asked_cores() == [CORES[1], CORES[0]]


def test_no_address_at_all_is_an_outage(core: Core, clock: SteppedClock) -> None:
    check = SessionLookup((), {}, clock=clock, fetch=core.fetch)

    with pytest.raises(CoreUnavailableError, match="no address is configured"):
        check.look_up("handle-1")


@rows("body, expected", {"it knows the session": (KNOWN, False), "it does not": (GONE, True)})
def test_core_is_asked_over_a_real_connection(serve: Serve, body: bytes, expected: bool) -> None:
    uri = serve(answer(ok(body))).url

    assert (SessionLookup((uri,), {}, clock=SteppedClock()).look_up("handle-1") is None) is expected
