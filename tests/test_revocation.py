"""The revocation check: one request with a deadline, and the effect of a failing core."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from flask_ssr_session.errors import CoreUnavailableError, FetchError, HTTPClientError
from flask_ssr_session.sansio.states import Reason, SessionState
from flask_ssr_session.sansio.verdict import Verdict, apply_revocation
from flask_ssr_session.session import SSRSession, deep_freeze
from flask_ssr_session.upstream.deadline import FETCH_SECONDS, Deadline
from flask_ssr_session.upstream.revocation import COOLDOWN_SECONDS, RevocationCheck

from .clocks import SteppedClock
from .key_server import Behaviour, KeyServer, answer, dribble, flood, hang, ok, read_request, reset

KNOWN, GONE = b'{"status":"OK","sessionHandle":"handle-1"}', b'{"status":"UNAUTHORISED"}'


class Core:
    """A fake core: returns the given responses and records the requests."""

    def __init__(self) -> None:
        self.answers: Any = KNOWN
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.seconds: list[float] = []
        self.meanwhile: Callable[[], Any] = lambda: None

    def fetch(
        self, url: str, deadline: Deadline, headers: Mapping[str, str]
    ) -> tuple[bytes, float | None]:
        self.asked.append(url)
        self.headers.append(dict(headers))
        self.seconds.append(deadline.remaining())
        self.meanwhile()
        answer = self.answers.pop(0) if isinstance(self.answers, list) else self.answers
        if isinstance(answer, Exception):
            raise answer
        return answer, None


@pytest.fixture
def core() -> Core:
    return Core()


URI = "http://core:3567/recipe/session"
DOWN = FetchError("the connection failed (ConnectionRefusedError)")


def check_of(
    core: Core, clock: SteppedClock, *uris: str, headers: Mapping[str, str] | None = None
) -> RevocationCheck:
    return RevocationCheck(uris or (URI,), headers or {}, clock=clock, fetch=core.fetch)


@pytest.fixture
def check(core: Core, clock: SteppedClock) -> RevocationCheck:
    return check_of(core, clock)


def outcome(check: RevocationCheck, handle: str = "handle-1") -> bool | str:
    """Return the result, or ``down``."""
    try:
        return check.is_revoked(handle)
    except CoreUnavailableError:
        return "down"


# One look-up


@pytest.mark.parametrize(("body", "is_revoked"), [(KNOWN, False), (GONE, True)])
def test_session_is_revoked_where_the_core_does_not_know_it(
    core: Core, check: RevocationCheck, body: bytes, is_revoked: bool
) -> None:
    core.answers = body

    assert check.is_revoked("handle-1") is is_revoked


def test_result_is_not_cached(core: Core, check: RevocationCheck) -> None:
    core.answers = [KNOWN, GONE, KNOWN]

    assert [outcome(check) for _ in range(3)] == [False, True, False]
    assert len(core.asked) == 3


@pytest.mark.parametrize(
    "handle",
    [
        "5a6d2d0e-8d4e-4c7c-9d0e-0c2c8f6e7a11",
        "5a6d2d0e-8d4e-4c7c-9d0e-0c2c8f6e7a11_tenant-1",
        "a&sessionHandle=b",
        "a#b",
        "a b+c%20d",
        "../../user?x=1",
        "größe 😀",
    ],
)
def test_handle_cannot_ask_for_another_session(
    core: Core, check: RevocationCheck, handle: str
) -> None:
    check.is_revoked(handle)

    (url,) = core.asked
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == URI
    assert parse_qs(parts.query) == {"sessionHandle": [handle]}
    assert parts.fragment == ""
    assert url.isascii()
    assert " " not in url


def test_core_receives_the_required_headers(core: Core, clock: SteppedClock) -> None:
    headers = {"cdi-version": "5.4", "rid": "session", "api-key": "of-the-core"}
    check = check_of(core, clock, headers=headers)
    headers["api-key"] = "changed later"

    check.is_revoked("handle-1")

    assert core.headers == [{"cdi-version": "5.4", "rid": "session", "api-key": "of-the-core"}]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"Hello", id="text"),
        pytest.param(b"<html>OK</html>", id="a page"),
        pytest.param(b"null", id="null"),
        pytest.param(b"true", id="true"),
        pytest.param(b'"OK"', id="a text"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'["OK"]', id="list with the word"),
        pytest.param(b'[{"status":"UNAUTHORISED"}]', id="list with the answer"),
        pytest.param(b"{}", id="empty object"),
        pytest.param(b'{"status":null}', id="no status"),
        pytest.param(b'{"status":true}', id="status true"),
        pytest.param(b'{"status":["OK"]}', id="status a list"),
        pytest.param(b'{"status":{"OK":1}}', id="status an object"),
        pytest.param(b'{"status":"ok"}', id="small letters"),
        pytest.param(b'{"status":"OK "}', id="with a blank"),
        pytest.param(b'{"status":"UNAUTHORIZED"}', id="spelled otherwise"),
        pytest.param(b'{"status":"TRY_REFRESH_TOKEN"}', id="another answer of the core"),
        pytest.param(b'{"Status":"OK"}', id="another member"),
        pytest.param(KNOWN[:-1], id="broken off"),
        pytest.param(b"\xff\xfe\xff", id="no Unicode"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b"9" * 10_000, id="a number too long to be read"),
    ],
)
def test_odd_answer_is_an_outage_and_neither_good_nor_revoked(
    core: Core, check: RevocationCheck, body: bytes
) -> None:
    core.answers = body

    assert outcome(check) == "down"


def test_error_says_why_and_nothing_of_the_session(core: Core, check: RevocationCheck) -> None:
    core.answers = DOWN
    with pytest.raises(CoreUnavailableError) as first:
        check.is_revoked("handle-1")
    with pytest.raises(CoreUnavailableError) as second:
        check.is_revoked("handle-1")

    assert str(first.value) == "the connection failed (ConnectionRefusedError)"
    assert str(second.value) == "the core did not respond in the last 10 s"
    # Otherwise a traceback in a log would show the address, which contains the handle.
    assert first.value.__suppress_context__


# Cooldown after a failure


def test_core_that_failed_is_left_alone_for_ten_seconds(
    core: Core, clock: SteppedClock, check: RevocationCheck
) -> None:
    core.answers = DOWN
    assert outcome(check) == "down"
    core.answers = KNOWN

    for _ in range(3):
        assert outcome(check) == "down"
    clock.advance(COOLDOWN_SECONDS - 0.001)
    assert outcome(check, "handle-2") == "down"
    assert len(core.asked) == 1

    clock.advance(0.001)
    assert outcome(check) is False
    assert len(core.asked) == 2
    assert COOLDOWN_SECONDS == 10


def test_the_first_good_answer_ends_it(
    core: Core, clock: SteppedClock, check: RevocationCheck
) -> None:
    core.answers = [DOWN, GONE, KNOWN, KNOWN]
    outcome(check)
    clock.advance(10)

    assert [outcome(check) for _ in range(3)] == [True, False, False]


def test_failure_counts_from_its_end(
    core: Core, clock: SteppedClock, check: RevocationCheck
) -> None:
    """The cooldown starts after its three seconds."""
    core.answers = DOWN
    core.meanwhile = lambda: clock.advance(3)
    outcome(check)
    core.meanwhile = lambda: None

    clock.advance(9.999)
    outcome(check)
    assert len(core.asked) == 1
    clock.advance(0.001)
    outcome(check)
    assert len(core.asked) == 2


def test_clock_that_is_set_back_does_not_lengthen_it(
    core: Core, clock: SteppedClock, check: RevocationCheck
) -> None:
    core.answers = [DOWN, KNOWN]
    outcome(check)
    clock.wall_now -= 10**6
    clock.monotonic_now += 10

    assert outcome(check) is False


def test_one_request_tries_for_all_others(
    core: Core, clock: SteppedClock, check: RevocationCheck
) -> None:
    """While it hangs at the core, the others do not wait."""
    others: list[bool | str] = []
    core.answers = [DOWN, KNOWN, KNOWN]
    outcome(check)
    clock.advance(10)
    core.meanwhile = lambda: others.extend(outcome(check) for _ in range(3))

    assert outcome(check) is False
    assert others == ["down"] * 3
    core.meanwhile = lambda: None
    assert outcome(check) is False
    assert len(core.asked) == 3


def test_failure_is_tried_again_every_ten_seconds(
    core: Core, clock: SteppedClock, check: RevocationCheck
) -> None:
    core.answers = DOWN
    for _ in range(60):
        assert outcome(check) == "down"
        clock.advance(1)

    assert len(core.asked) == 6


def test_unexpected_response_starts_the_cooldown(
    core: Core, clock: SteppedClock, check: RevocationCheck
) -> None:
    core.answers = [b"{}", KNOWN]

    assert [outcome(check), outcome(check)] == ["down", "down"]
    clock.advance(10)
    assert outcome(check) is False


def test_what_the_core_refuses_about_one_session_holds_up_no_other(
    core: Core, clock: SteppedClock, check: RevocationCheck
) -> None:
    """A core responds 400 for a session whose tenant was deleted; the twin is a real failure."""
    refused = HTTPClientError("the response has status 400")
    core.answers = [refused, KNOWN, FetchError("the response has status 500"), refused, KNOWN]
    assert [outcome(check), outcome(check)] == ["down", False]
    assert [outcome(check), outcome(check)] == ["down", "down"]
    clock.advance(10)
    assert [outcome(check), outcome(check)] == ["down", False]


def test_internal_error_does_not_stop_the_look_ups(core: Core, check: RevocationCheck) -> None:
    core.answers = [RuntimeError("a defect"), KNOWN]
    with pytest.raises(RuntimeError):
        check.is_revoked("handle-1")

    assert outcome(check) is False


# Several addresses

CORES = tuple(f"http://core-{number}/recipe/session" for number in (1, 2, 3))


def test_addresses_are_tried_in_turn_until_one_answers(core: Core, clock: SteppedClock) -> None:
    check = check_of(core, clock, *CORES)
    core.answers = [DOWN, b"{}", GONE]

    assert check.is_revoked("handle-1")
    assert [url.partition("?")[0] for url in core.asked] == list(CORES)


def test_no_further_address_is_tried_after_a_response(core: Core, clock: SteppedClock) -> None:
    check = check_of(core, clock, *CORES)
    core.answers = GONE

    assert check.is_revoked("handle-1")
    assert len(core.asked) == 1


def test_all_addresses_have_to_fail(core: Core, clock: SteppedClock) -> None:
    check = check_of(core, clock, *CORES)
    core.answers = [DOWN, DOWN, FetchError("the last problem")]

    with pytest.raises(CoreUnavailableError, match=r"^the last problem$"):
        check.is_revoked("handle-1")
    assert outcome(check) == "down"
    assert len(core.asked) == 3


def test_every_address_gets_its_share_of_the_time(core: Core, clock: SteppedClock) -> None:
    """A first core that hangs must leave time for the others."""
    check = check_of(core, clock, *CORES)
    core.answers = DOWN
    outcome(check)

    # Each failed immediately, so its time goes to the next.
    for seconds, most in zip(core.seconds, (1.0, 1.5, 3.0), strict=True):
        assert most - 0.5 < seconds <= most
    assert FETCH_SECONDS == 3


# Which cores are tried when: seconds since the first look-up, the responses of the cores in the
# order in which they are tried, and the result.
BAD, REFUSED = b"{}", HTTPClientError("the response has status 400")
PASSED_OVER: dict[str, list[tuple[float, dict[int, Any], bool | str]]] = {
    "the first fails": [
        (0, {1: DOWN, 2: KNOWN}, False),
        (0, {2: GONE}, True),
        (9.999, {2: KNOWN}, False),
        (10, {1: DOWN, 2: KNOWN}, False),
        (10, {2: KNOWN}, False),
        (20, {1: KNOWN}, False),
        (20, {1: GONE}, True),
    ],
    "an odd answer is a failure": [
        (0, {1: BAD, 2: KNOWN}, False),
        (1, {2: KNOWN}, False),
    ],
    "a refusal is an answer": [
        (0, {1: REFUSED, 2: KNOWN}, False),
        (0, {1: KNOWN}, False),
    ],
    "the second fails while the first is passed over": [
        (0, {1: DOWN, 2: KNOWN}, False),
        (5, {2: DOWN, 3: GONE}, True),
        (9.999, {3: KNOWN}, False),
        (10, {1: KNOWN}, False),
        (12, {1: DOWN, 3: KNOWN}, False),
        (15, {2: KNOWN}, False),
        (22, {1: KNOWN}, False),
    ],
    "all fail, then the first answers": [
        (0, {1: DOWN, 2: DOWN, 3: DOWN}, "down"),
        (0, {}, "down"),
        (9.999, {}, "down"),
        (10, {1: KNOWN}, False),
        # The first response ended the cooldown, so the other cores are tried as usual.
        (10, {1: DOWN, 2: KNOWN}, False),
    ],
    "all fail, and again": [
        (0, {1: DOWN, 2: DOWN, 3: DOWN}, "down"),
        (10, {1: DOWN, 2: DOWN, 3: DOWN}, "down"),
        (19.999, {}, "down"),
        (20, {1: DOWN, 2: DOWN, 3: KNOWN}, False),
        (20, {3: KNOWN}, False),
    ],
    "all have failed, one after the other": [
        (0, {1: DOWN, 2: KNOWN}, False),
        (4, {2: DOWN, 3: KNOWN}, False),
        (8, {3: DOWN}, "down"),
        (9.999, {}, "down"),
        (10, {1: KNOWN}, False),
        (14, {1: DOWN, 2: KNOWN}, False),
    ],
    "the only one left refuses": [
        (0, {1: DOWN, 2: DOWN, 3: KNOWN}, False),
        (1, {3: REFUSED}, "down"),
        (1, {3: KNOWN}, False),
    ],
}


@pytest.mark.parametrize("row", PASSED_OVER)
def test_core_that_failed_is_passed_over_while_another_answers(
    core: Core, clock: SteppedClock, row: str
) -> None:
    check = check_of(core, clock, *CORES)
    begin = clock.monotonic()

    for seconds, answers, expected in PASSED_OVER[row]:
        clock.monotonic_now = begin + seconds
        core.asked.clear()
        core.answers = list(answers.values())
        assert outcome(check) == expected
        assert [url.partition("?")[0] for url in core.asked] == [CORES[n - 1] for n in answers]


def test_core_that_is_passed_over_leaves_its_time_to_the_others(
    core: Core, clock: SteppedClock
) -> None:
    check = check_of(core, clock, *CORES)
    core.answers = [DOWN, KNOWN, KNOWN]
    outcome(check)
    outcome(check)

    assert core.seconds[2] > 1.4


def test_pause_of_all_counts_from_the_end_of_the_last(core: Core, clock: SteppedClock) -> None:
    check = check_of(core, clock, *CORES)
    core.answers = [DOWN] * 3
    core.meanwhile = lambda: clock.advance(1)
    outcome(check)
    core.meanwhile = lambda: None

    clock.advance(9.999)
    assert outcome(check) == "down"
    assert len(core.asked) == 3
    clock.advance(0.001)
    core.answers = KNOWN
    assert outcome(check) is False


def test_one_request_tries_a_core_that_was_passed_over(core: Core, clock: SteppedClock) -> None:
    """While it hangs, the others use the core that responds."""
    check = check_of(core, clock, *CORES)
    core.answers = [DOWN, KNOWN]
    outcome(check)
    clock.advance(10)
    core.asked.clear()
    others: list[bool | str] = []

    def meanwhile() -> None:
        core.meanwhile = lambda: None
        others.extend(outcome(check) for _ in range(3))

    core.answers = [GONE, GONE, GONE, KNOWN]
    core.meanwhile = meanwhile
    assert outcome(check) is False
    assert others == [True] * 3
    assert [url.partition("?")[0] for url in core.asked] == [CORES[0], *[CORES[1]] * 3]


def test_of_many_threads_one_tries_a_core_that_was_passed_over(clock: SteppedClock) -> None:
    asked: list[str] = []
    everybody = threading.Barrier(8)

    def fetch(url: str, _deadline: Deadline, _headers: Mapping[str, str]) -> tuple[bytes, None]:
        asked.append(url.partition("?")[0])
        if asked[-1] == CORES[0]:
            raise DOWN
        return KNOWN, None

    check = RevocationCheck(CORES[:2], {}, clock=clock, fetch=fetch)
    outcome(check)

    def look_up() -> None:
        everybody.wait(10)
        outcome(check)

    for _ in range(20):
        clock.advance(10)
        asked.clear()
        threads = [threading.Thread(target=look_up) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert asked.count(CORES[0]) == 1
        assert asked.count(CORES[1]) == 8


def test_request_that_trips_over_a_defect_leaves_the_core_to_a_later_one(
    core: Core, clock: SteppedClock
) -> None:
    check = check_of(core, clock, *CORES)
    core.answers = [DOWN, KNOWN]
    outcome(check)
    clock.advance(10)
    core.answers = [RuntimeError("a defect"), KNOWN, KNOWN]
    with pytest.raises(RuntimeError):
        check.is_revoked("handle-1")
    core.asked.clear()
    outcome(check)
    clock.advance(10)
    outcome(check)

    assert [url.partition("?")[0] for url in core.asked] == [CORES[1], CORES[0]]


def test_no_address_at_all_is_an_outage(core: Core, clock: SteppedClock) -> None:
    check = RevocationCheck((), {}, clock=clock, fetch=core.fetch)

    with pytest.raises(CoreUnavailableError, match="no address is configured"):
        check.is_revoked("handle-1")


# The real fetch, against servers that misbehave


@contextmanager
def cores(*behaviours: Behaviour) -> Iterator[list[KeyServer]]:
    servers = [KeyServer(behave) for behave in behaviours]
    try:
        yield servers
    finally:
        for server in servers:
            server.close()


def check_at(servers: list[KeyServer], headers: Mapping[str, str] | None = None) -> RevocationCheck:
    uris = [f"http://127.0.0.1:{server.port}/recipe/session" for server in servers]
    return RevocationCheck(uris, headers or {}, clock=SteppedClock())


def test_request_on_the_wire_is_one_get() -> None:
    seen: list[bytes] = []

    def behave(connection: Any) -> None:
        seen.append(read_request(connection))
        connection.sendall(ok(KNOWN))

    with cores(behave) as servers:
        check = check_at(servers, {"cdi-version": "5.4", "api-key": "of-the-core"})
        assert check.is_revoked("a b") is False

    (request,) = seen
    head = request.decode("ascii").split("\r\n")
    assert head[0] == "GET /recipe/session?sessionHandle=a+b HTTP/1.1"
    assert {"cdi-version: 5.4", "api-key: of-the-core"} <= set(head)
    assert request.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("behave", "expected"),
    [
        pytest.param(answer(ok(KNOWN)), False, id="known"),
        pytest.param(answer(ok(GONE)), True, id="gone"),
        pytest.param(
            answer(b"HTTP/1.1 401 X\r\nContent-Length: 25\r\n\r\n" + GONE), "down", id="401"
        ),
        pytest.param(
            answer(b"HTTP/1.1 404 X\r\nContent-Length: 25\r\n\r\n" + GONE), "down", id="404"
        ),
        pytest.param(answer(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"), "down", id="500"),
        pytest.param(
            answer(b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n"),
            "down",
            id="redirect",
        ),
        pytest.param(reset(), "down", id="torn down"),
        pytest.param(flood(b"HTTP/1.1 200 OK\r\n\r\n"), "down", id="endless"),
    ],
)
def test_answers_over_a_real_connection(behave: Behaviour, expected: bool | str) -> None:
    with cores(behave) as servers:
        assert outcome(check_at(servers)) == expected


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(hang(), hang(), id="both hang"),
        pytest.param(hang(b"HTTP/1.1 200 OK\r\n"), dribble(b"HTTP/1.1 200 OK\r\n"), id="headers"),
        pytest.param(
            dribble(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"),
            dribble(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
            id="bodies drop by drop",
        ),
    ],
)
def test_two_cores_that_hang_take_three_seconds_in_all(first: Behaviour, second: Behaviour) -> None:
    with cores(first, second) as servers:
        check = check_at(servers)
        start = time.monotonic()
        assert outcome(check) == "down"
        first_took = time.monotonic() - start
        assert outcome(check) == "down"
        second_took = time.monotonic() - start - first_took
        connections = [server.connections for server in servers]

    assert 2.5 < first_took < 4.5  # more than 3 s for a busy machine
    assert second_took < 1
    assert connections == [1, 1]


def test_a_first_core_that_hangs_leaves_time_for_the_second_and_holds_up_one_look_up() -> None:
    with cores(hang(), answer(ok(GONE))) as servers:
        check = check_at(servers)
        start = time.monotonic()
        assert outcome(check) is True
        assert time.monotonic() - start < 2.5
        start = time.monotonic()
        assert [outcome(check) for _ in range(5)] == [True] * 5
        assert time.monotonic() - start < 1


@pytest.mark.parametrize(
    "value",
    ["a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", "\x7f", "\x1b[2J", "\u2028", "\u202e", "ключ"],
)
@pytest.mark.parametrize("where", ["value", "name"])
def test_header_that_would_write_others_is_not_sent(value: str, where: str) -> None:
    headers = {"api-key": value} if where == "value" else {value: "x"}
    with cores(answer(ok(KNOWN))) as servers:
        assert outcome(check_at(servers, headers)) == "down"
        seen = servers[0].connections
        assert outcome(check_at(servers, {"api-key": "a b"})) is False

    assert seen <= 1


def test_many_requests_at_once_all_get_the_answer() -> None:
    outcomes: list[bool | str] = []
    with cores(answer(ok(GONE))) as servers:
        check = check_at(servers)
        threads = [
            threading.Thread(target=lambda: outcomes.append(outcome(check))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)

    assert outcomes == [True] * 8


# The verdict

SESSION = SSRSession(
    deep_freeze({"sub": "user-1", "sessionHandle": "handle-1", "refreshTokenHash1": "hash-1"})
)
ACTIVE = Verdict(Reason.ACTIVE, SESSION)


def never(_handle: str) -> bool:
    raise AssertionError("the core was asked")


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.ACTIVE])
def test_core_is_called_for_sessions_only(reason: Reason) -> None:
    verdict = Verdict(reason)

    assert apply_revocation(verdict, never) is verdict


def test_session_that_exists_keeps_its_verdict() -> None:
    def is_revoked(handle: str) -> bool:
        return handle != "handle-1"

    assert apply_revocation(ACTIVE, is_revoked) is ACTIVE


def test_revoked_session_asks_the_browser_to_refresh() -> None:
    verdict = apply_revocation(ACTIVE, lambda _: True)

    assert (verdict.state, verdict.reason) == (SessionState.REFRESH, Reason.REVOKED)
    assert verdict.session is None
    assert len(verdict.fingerprint) == 16


def test_core_that_is_down_makes_the_session_unavailable() -> None:
    def down(_handle: str) -> bool:
        raise CoreUnavailableError("no complete response in time")

    verdict = apply_revocation(ACTIVE, down)

    assert (verdict.state, verdict.reason) == (SessionState.UNAVAILABLE, Reason.CORE_UNAVAILABLE)
    assert (verdict.session, verdict.detail) == (None, "no complete response in time")


def test_fingerprint_tells_the_tokens_of_one_session_apart() -> None:
    """The refresh page compares it to see whether its refresh changed anything."""
    renewed = SSRSession(
        deep_freeze({**SESSION.access_token_payload, "refreshTokenHash1": "hash-2"})
    )

    first, again, other = (
        apply_revocation(Verdict(Reason.ACTIVE, session), lambda _: True).fingerprint
        for session in (SESSION, SESSION, renewed)
    )

    assert first == again != other
    assert "hash" not in json.dumps([first, other])
