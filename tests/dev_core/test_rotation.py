"""How refresh tokens replace each other, as sequences of steps; run on any core with ``--core``.

A step is one of these, where R1 and A1 are the refresh token and the access token of pair 1:

``R0>1``   exchange R0, which gives pair 1
``R0!``    exchange R0, which is theft; ``R0!RECENT_PREV`` names the subtype of CDI 5.6
``R0-``    exchange R0, which finds no session
``A1``     verify A1, which gives no new token; ``A1>2`` gives access token 2; ``A1-`` finds none
``A1?``    the same with the database; ``A1?>2`` and ``A1?-`` as above
``A1?new`` the database has another payload, says CDI 5.6
``plan``   change the payload of the session
``end``    remove the session
``+31``    31 seconds pass
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flask_ssr_session.dev_core import DevelopmentCore

from ..clocks import SteppedClock
from ..tables import rows
from .conftest import KeyFactory
from .support import send
from .test_contract import NEW_SESSION, SPEND, VERIFY

AT_FIRST_USE = {
    "the current token works again while no child is used": "R0>1 R0>2 R0>3",
    "a child that was exchanged is current": "R0>1 R1>2 R1>3",
    "its parent is theft": "R0>1 R1>2 R0!",
    "its sibling is theft": "R0>1 R0>2 R1>3 R2!",
    "theft leaves the session": "R0>1 R1>2 R0! R2>3",
    "a child whose access token was used is current": "R0>1 A1>2 R1>3",
    "and its parent is theft": "R0>1 A1>2 R0!",
    "of two exchanges at once the unused one is theft": "R0>1 R0>2 A1>3 R2! R1>4",
    "the first access token is never renewed": "R0>1 R1>2 A0 A0?",
    "a child's access token is renewed at every use": "R0>1 A1>2 A1>3 A2",
    "that of an abandoned sibling lives on": "R0>1 R0>2 A1>3 A2 A2",
    "a changed payload needs the database": "plan A0 A0?>1 A1?",
    "a changed payload renews a sibling's, too": "R0>1 R0>2 A1>3 plan A2>4",
    "a removed session lives on where nobody asks": "end A0 A0?- R0-",
    "a child's access token asks": "R0>1 end A1- R1- R0-",
    "a token expires": "+19 A0 +1 A0~",
    "a session expires": "R0>1 +3601 R1-",
    "an exchange of the current token prolongs nothing": "+3000 R0>1 +601 R0-",
    "a child that is used prolongs": "+3000 R0>1 R1>2 +3600 R1>3",
    "and a moment later it is over": "+3000 R0>1 R1>2 +3601 R1-",
}
IN_REFRESH = {
    "the child is current at once": "R0>1 R1>2 R2>3",
    "access tokens name no parent and are not renewed": "R0>1 A1 A1? A0?",
    "the token before works for 30 seconds": "R0>1 +30 R0>2 R2>3",
    "and no longer": "R0>1 +31 R0!RECENT_PREV R1-",
    "a second exchange does not prolong them": "R0>1 +20 R0>2 +11 R0!RECENT_PREV",
    "a displaced child is dead at once": "R0>1 R0>2 R1!ORPHANED_BRANCH R2-",
    "an older token ends the session": "R0>1 R1>2 R0!STALE_LINEAGE R2- A2?- A2",
    "an access token of the token before is of the session": "R0>1 A0?",
    "an older one is not": "R0>1 R1>2 A0?- A0",
    "one of a displaced child is not": "R0>1 R0>2 A1?- A2?",
    "a changed payload is told, and arrives by a refresh": "plan A0 A0?new R0>1 A1?",
    "a removed session is found by the database only": "end A0 A0?- R0-",
    "each exchange prolongs": "+3000 R0>1 +3000 R1>2 +3600 R2>3",
    "unless it comes too late": "+3601 R0-",
}
RULES = {
    **{f"5.4: {name}": ("5.4", steps) for name, steps in AT_FIRST_USE.items()},
    **{f"5.6: {name}": ("5.6", steps) for name, steps in IN_REFRESH.items()},
}
STEP = re.compile(r"(?P<kind>[RA])(?P<number>\d)(?P<online>\??)(?P<outcome>.*)")


class Sequence:
    def __init__(self, uri: str, cdi: str, clock: SteppedClock | None) -> None:
        self.uri = uri
        self._cdi = cdi
        self._clock = clock
        first = self._call("POST", "/public/recipe/session", NEW_SESSION)
        self.handle = first["session"]["handle"]
        self.tokens: dict[str, str] = {}
        self._keep("0", first)

    def run(self, step: str) -> str:
        """Run a step; return it as it turned out."""
        if step.startswith("+"):
            assert self._clock is not None
            self._clock.advance(float(step))
            return step
        if step == "end":
            self._call("POST", "/recipe/session/remove", {"sessionHandles": [self.handle]})
            return step
        if step == "plan":
            body = {"sessionHandle": self.handle, "userDataInJWT": {"plan": "paid"}}
            self._call("PUT", "/recipe/jwt/data", body)
            return step
        found = STEP.fullmatch(step)
        assert found is not None, step
        token = self.tokens[found["kind"] + found["number"]]
        if found["kind"] == "R":
            got = self._call("POST", "/recipe/session/refresh", SPEND | {"refreshToken": token})
        else:
            body = VERIFY | {"accessToken": token, "checkDatabase": bool(found["online"])}
            got = self._call("POST", "/recipe/session/verify", body)
        start = found["kind"] + found["number"] + found["online"]
        return start + self._outcome(got, step.rpartition(">")[2])

    def _outcome(self, got: Any, number: str) -> str:
        if got["status"] == "TOKEN_THEFT_DETECTED":
            user = {"userId": "user-1", "recipeUserId": "user-1"}
            assert got["session"] == {"handle": self.handle, **user}
            return f"!{got.get('recentTokenReuseSubtype', '')}"
        if got["status"] != "OK":
            marks = {"UNAUTHORISED": "-", "TRY_REFRESH_TOKEN": "~"}
            return marks[got["status"]]
        if "accessToken" not in got:
            return "new" if got.get("payloadUpdateAvailable") else ""
        self._keep(number, got)
        return f">{number}"

    def _keep(self, number: str, got: Any) -> None:
        self.tokens[f"A{number}"] = got["accessToken"]["token"]
        if "refreshToken" in got:
            assert got["refreshToken"]["token"] not in self.tokens.values()
            self.tokens[f"R{number}"] = got["refreshToken"]["token"]

    def _call(self, method: str, path: str, body: Any) -> Any:
        answer = send(self.uri, method, path, body=body, headers={"cdi-version": self._cdi})
        assert answer.status == 200, answer.text
        return answer.json


@pytest.fixture(scope="module")
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(scope="module")
def cores(key_factory: KeyFactory, clock: SteppedClock) -> Iterator[dict[str, str]]:
    """A development core of each version, whose sessions live for an hour."""

    def start(cdi: str) -> DevelopmentCore:
        return DevelopmentCore(
            cdi=cdi, clock=clock.wall, key_factory=key_factory, refresh_token_validity_minutes=60
        )

    with start("5.4") as older, start("5.6") as newer:
        yield {"5.4": older.uri, "5.6": newer.uri}


@rows("cdi, steps", RULES)
def test_refresh_tokens_replace_each_other(
    cdi: str, steps: str, cores: dict[str, str], clock: SteppedClock, request: pytest.FixtureRequest
) -> None:
    uri = request.config.getoption("core") or cores[cdi]
    if uri not in cores.values():
        if "+" in steps:
            pytest.skip("the clock of a real core cannot be moved")
        if cdi not in send(uri, "GET", "/apiversion", headers={}).json["versions"]:
            pytest.skip(f"this core does not speak CDI {cdi}")
    sequence = Sequence(uri, cdi, clock)

    assert " ".join(sequence.run(step) for step in steps.split()) == steps


def test_two_cores_share_a_database(key_factory: KeyFactory, tmp_path: Path) -> None:
    first, second = (
        DevelopmentCore(database=tmp_path / "core.db", key_factory=key_factory) for _ in range(2)
    )
    with first, second:
        sequence = Sequence(first.uri, "5.4", None)
        for core, steps in ((first, "R0>1"), (second, "A1>2 R1>3"), (first, "A3>4 R0!")):
            sequence.uri = core.uri
            assert " ".join(sequence.run(step) for step in steps.split()) == steps


OLDER_SESSIONS: dict[str, Any] = {
    "a child that was never used goes on": "R1>2 R2>3",
    "and the token before it for a while": "R1>2 R1>3 R2!ORPHANED_BRANCH",
    "so does its parent": "R0>2 R2>3",
}


@rows("steps", OLDER_SESSIONS)
def test_session_of_the_older_rules_goes_on_by_the_newer(
    steps: str, key_factory: KeyFactory, tmp_path: Path
) -> None:
    def start(cdi: str) -> DevelopmentCore:
        return DevelopmentCore(cdi=cdi, database=tmp_path / "core.db", key_factory=key_factory)

    with start("5.4") as core:
        sequence = Sequence(core.uri, "5.4", None)
        assert sequence.run("R0>1") == "R0>1"
    with start("5.6") as core:
        sequence.uri = core.uri
        assert " ".join(sequence.run(step) for step in steps.split()) == steps
