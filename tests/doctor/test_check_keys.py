"""The checks of the keys that pages verify with, and of the clocks."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from flask_ssr_session.doctor.check_keys import (
    check_api_clock,
    check_key_server_clock,
    check_keys,
    check_static_keys,
)
from flask_ssr_session.doctor.finding import format_age
from flask_ssr_session.doctor.probes import Answer
from tests.tables import rows

from .factories import (
    API,
    DOWN,
    NOW,
    Expected,
    assert_findings,
    given,
    keys,
    make_environment,
    reply,
    result,
)

NEW, FUTURE = int(NOW) * 1000, int(NOW + 1) * 1000
WRONG_KIND = "problem keys {0} holds no {1} key, but the SDK in this process says that {1} keys"
NO_KEYS = "problem keys no keys could be fetched from core-0:3567 ({}"
MISSING = "warning keys no keys from core-{}:3567 ({}) -> start it, or remove it"
FIRST = "ok keys 1 key (1 dynamic) at core-0:3567, the newest dynamic one"
# Keys of 1970.
OLD = "the newest dynamic one 19676 d old"
THREE = (f"d-{NEW - 7_200_000} d-1 s-1",)
DISJOINT = "problem keys core-1:3567, core-2:3567 and core-0:3567 have no key in common: two dat"


@rows(
    "answers, expected",
    {
        "a dynamic key": (("d-1",), f"ok keys 1 key (1 dynamic) at core-0:3567, {OLD}"),
        "an older key, too": (("d-1", "d-1 d-2"), FIRST),
        "three keys": (THREE, "ok keys 3 keys (2 dynamic, 1 static) at core…one 2 h old"),
        "a key of this moment": ((f"d-{NEW}",), f"{FIRST} 0 s old"),
        # The check of the clocks reports it.
        "a key of the future": ((f"d-{FUTURE}",), "ok keys 1 key (1 dynamic) at core-0:3567"),
        "the first server is down": ((DOWN, "d-1"), (MISSING.format(0, DOWN), "ok keys 1 key")),
        "the second is down": (("d-1", DOWN), (MISSING.format(1, DOWN), FIRST)),
        "the second has none": (("d-1", reply()), (MISSING.format(1, "unexpected content"), FIRST)),
        "two databases": (("d-1", "d-2", "d-1"), ("problem keys core-1:3567 and core-0", FIRST)),
        "three databases": (("d-1", "d-2", "d-3"), (DISJOINT, FIRST)),
        "all are down": (
            (reply(status=500), DOWN),
            NO_KEYS.format("status 500), core-1:3567 (no c"),
        ),
        "keys of an error": ((keys("d-1")._replace(status=500),), NO_KEYS.format("status 500")),
        "a page": ((reply("<html>"),), NO_KEYS.format("unexpected content")),
        "static keys only": (("s-1",), WRONG_KIND.format("core-0:3567", "dynamic")),
    },
)
def test_key_servers_need_the_same_keys_of_the_right_kind(
    answers: tuple[Answer | str, ...], expected: Expected
) -> None:
    urls = [f"http://user:secret@core-{n}:3567/secret" for n in range(len(answers))]
    probes = tuple(map(result, urls, answers))
    assert_findings(check_keys(given(make_environment(), key_servers=probes)), expected)


@rows(
    "dynamic, kids, expected",
    {
        "dynamic ones sign": (True, "d-1", "ok keys 1 key (1 dynamic) at core:80, the newest"),
        "static ones sign": (False, "s-1", "ok keys 1 key (1 static) at core:80"),
        "dynamic ones should": (True, "s-1", WRONG_KIND.format("core:80", "dynamic")),
        "static ones should": (False, "d-1", WRONG_KIND.format("core:80", "static")),
        "nobody says which, dynamic": (None, "d-1", "ok keys 1 key (1 dynamic) at core:80, the ne"),
        "nobody says which, own": (None, "mine", "ok keys 1 key at core:80"),
    },
)
def test_kind_of_fetched_keys(dynamic: bool | None, kids: str, expected: Expected) -> None:
    environment = make_environment(sdk={"dynamic_signing_key": dynamic})
    probes = (result("http://core:80", kids),)
    assert_findings(check_keys(given(environment, key_servers=probes)), expected)


JWKS = "SSR_SESSION_JWKS"
HELD = "ok keys {} in SSR_SESSION_JWKS, so none are fetched"
DYNAMIC = "warning keys SSR_SESSION_JWKS holds dynamic keys: every token is rejected when"


@rows(
    "dynamic, kids, expected",
    {
        "none": (True, (), ""),
        "static ones, which sign": (False, ("s-1",), HELD.format("1 key (1 static)")),
        "dynamic ones, which sign": (True, ("d-1",), DYNAMIC),
        "static ones, but dynamic ones sign": (True, ("s-1",), WRONG_KIND.format(JWKS, "dynamic")),
        "dynamic ones, but static ones sign": (False, ("d-1",), "problem keys SSR_SESSION_JWKS ho"),
        # Without an SDK, the ids show the kind.
        "static": (None, ("s-1",), HELD.format("1 key (1 static)")),
        "both kinds": (None, ("d-1", "s-1"), HELD.format("2 keys (1 dynamic, 1 static)")),
        "the app's own": (None, ("mine",), HELD.format("1 key")),
        "dynamic": (None, ("d-1",), DYNAMIC),
        "dynamic and the app's own": (None, ("d-1", "mine"), DYNAMIC),
    },
)
def test_keys_in_the_settings_should_be_static(
    dynamic: bool | None, kids: tuple[str, ...], expected: Expected
) -> None:
    environment = make_environment(sdk={"dynamic_signing_key": dynamic}, static_kids=kids)
    assert_findings(check_static_keys(environment), expected)


# --- clocks --------------------------------------------------------------------------------------

SAME = "ok clock this machine and the API have the same time"
AHEAD = "{} clock the API's clock is {} ahead of this machine's"
BEHIND = "{} clock the API's clock is {} behind this machine's"
EARLY = ": tokens are not valid yet, and pages respond with 503 -> synchronise"
LATE = ": tokens expire early, or as soon as they are issued -> synchronise"


def date(ahead: float, **headers: str) -> dict[str, Any]:
    return {"Date": formatdate(NOW + ahead, usegmt=True), **headers}


@rows(
    "headers, expected",
    {
        "now": (date(0), SAME),
        "5 s ahead": (date(5), SAME),
        "6 s ahead": (date(6), AHEAD.format("warning", "6 s") + " -> synchronise"),
        "60 s ahead": (date(60), AHEAD.format("warning", "60 s")),
        "61 s ahead": (date(61), AHEAD.format("problem", "61 s") + EARLY),
        "5 min ahead": (date(300), AHEAD.format("problem", "5 min") + EARLY),
        "5 s behind": (date(-5), SAME),
        "6 s behind": (date(-6), BEHIND.format("warning", "6 s")),
        "60 s behind": (date(-60), BEHIND.format("warning", "60 s")),
        "61 s behind": (date(-61), BEHIND.format("problem", "61 s") + LATE),
        "from a cache": (date(-100, Age="100"), SAME),
        "just created": (date(-100, Age="0"), BEHIND.format("problem", "100 s")),
        "of a negative age": (date(-100, Age="-100"), BEHIND.format("problem", "100 s")),
        "one second old": (date(-6, Age="1"), SAME),
        # "-0000" is UTC, too.
        "without a zone": ({"Date": "Tue, 14 Nov 2023 22:13:20 -0000"}, SAME),
        "in another zone": ({"Date": "Wed, 15 Nov 2023 00:13:20 +0200"}, SAME),
        "missing": ({}, ""),
        "empty": ({"Date": ""}, ""),
        "in words": ({"Date": "yesterday"}, ""),
        "on no day": ({"Date": "Tue, 99 Nov 2023 22:13:20 GMT"}, ""),
        "of an age in words": (date(0, Age="old"), ""),
        "of an endless age": (date(0, Age="9" * 400), ""),
    },
)
def test_clocks_may_differ_by_seconds(
    headers: dict[str, Any], expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = given(make_environment(), refresh_api=result(API, reply(**headers)))
    with monkeypatch.context() as patch:
        if hasattr(time, "tzset"):  # the local zone does not count
            patch.setenv("TZ", "Asia/Tokyo")
            time.tzset()
        findings = list(check_api_clock(environment))
    if hasattr(time, "tzset"):
        time.tzset()
    assert_findings(findings, expected)


def test_clock_of_the_first_server_with_keys_comes_before_the_api() -> None:
    answers = DOWN, keys("d-1", **date(61)), keys("d-1", **date(0))
    servers = tuple(result("http://core", answer) for answer in answers)
    api = result(API, reply(**date(0)))
    fetched = given(make_environment(), key_servers=servers, refresh_api=api)
    assert_findings(check_key_server_clock(fetched), "problem clock the key server's clock is 61 s")
    assert_findings(check_api_clock(fetched), "")
    for nothing in ({"key_servers": servers[:1]}, {"refresh_api": None}):
        for check in (check_key_server_clock, check_api_clock):
            assert_findings(check(given(make_environment(), **nothing)), "")
    down = given(make_environment(), refresh_api=result(API, DOWN))
    assert_findings(check_api_clock(down), "")


@rows(
    "seconds, text",
    {
        "seconds": (119.4, "119 s"),
        "minutes": (-120, "2 min"),
        "nearly hours": (7199, "120 min"),
        "hours": (7200, "2 h"),
        "nearly days": (172_799, "48 h"),
        "days": (-172_800, "2 d"),
    },
)
def test_duration_is_shown_in_the_largest_unit_that_fits_twice(seconds: float, text: str) -> None:
    assert format_age(seconds) == text
