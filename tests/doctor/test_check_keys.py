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
from tests.tables import rows

from .factories import DOWN, NOW, Expected, assert_findings, keys, make_environment, reply, table

NEW, FUTURE = int(NOW) * 1000, int(NOW + 1) * 1000
WRONG_KIND = "problem keys {0} holds no {1} key, but the SDK in this process says that {1} keys"
NO_KEYS = "problem keys no keys could be fetched from core-0:3567 ({}"
MISSING = "problem keys no keys from core-{}:3567 ({})…-> start it, or remove it"
AT_CORE = "ok keys {} at core-0:3567"
NO_SET = "problem keys no keys from core-1:3567 (unexpected content)…-> correct its address"
FIRST = "ok keys 1 key (1 dynamic) at core-0:3567, the newest dynamic one"
ERROR = (keys("d-1")._replace(status=500),)
THREE = (f"d-{NEW - 7_200_000} d-1 s-1",)
DISJOINT = "problem keys core-1:3567, core-2:3567 and core-0:3567 have no key in common: two dat"


KEY_SERVERS: dict[str, Any] = {
    "a dynamic key": (("d-1",), f"{FIRST} 19676 d old"),
    "an older key, too": (("d-1", "d-1 d-2"), FIRST),
    "three keys": (THREE, "ok keys 3 keys (2 dynamic, 1 static)…one 2 h old"),
    "a key of this moment": ((f"d-{NEW}",), f"{FIRST} 0 s old"),
    # The check of the clocks reports it.
    "a key of the future": ((f"d-{FUTURE}",), AT_CORE.format("1 key (1 dynamic)")),
    "the first server is down": ((DOWN, "d-1"), (MISSING.format(0, DOWN), "ok keys 1 key")),
    "the second is down": (("d-1", DOWN), (MISSING.format(1, DOWN), FIRST)),
    "the second has none": (("d-1", reply()), (NO_SET, FIRST)),
    "two databases": (("d-1", "d-2", "d-1"), ("problem keys core-1:3567 and core-0", FIRST)),
    "three databases": (("d-1", "d-2", "d-3"), (DISJOINT, FIRST)),
    "all are down": ((ERROR[0], DOWN), NO_KEYS.format("status 500), core-1:3567 (no c")),
    "keys of an error": (ERROR, NO_KEYS.format("status 500")),
    "a page": ((reply("<html>"),), NO_KEYS.format("unexpected content")),
    "static keys only": (("s-1",), WRONG_KIND.format("core-0:3567", "dynamic")),
}
test_key_servers_need_the_same_keys_of_the_right_kind = table(
    check_keys, KEY_SERVERS, "key_servers"
)


def fetched(dynamic: bool | None, kids: str) -> dict[str, Any]:
    return {"sdk": {"dynamic_signing_key": dynamic}, "key_servers": (kids,)}


def held(dynamic: bool | None, *kids: str) -> dict[str, Any]:
    return {"sdk": {"dynamic_signing_key": dynamic}, "static_kids": kids}


FETCHED: dict[str, Any] = {
    "dynamic ones sign": (fetched(True, "d-1"), FIRST),
    "static ones sign": (fetched(False, "s-1"), AT_CORE.format("1 key (1 static)")),
    "dynamic ones should": (fetched(True, "s-1"), WRONG_KIND.format("core-0:3567", "dynamic")),
    "static ones should": (fetched(False, "d-1"), WRONG_KIND.format("core-0:3567", "static")),
    "nobody says which, dynamic": (fetched(None, "d-1"), FIRST),
    "nobody says which, own": (fetched(None, "mine"), AT_CORE.format("1 key")),
}
test_kind_of_fetched_keys = table(check_keys, FETCHED)


NOT_DYNAMIC = WRONG_KIND.format("SSR_SESSION_JWKS", "dynamic")
HELD = "ok keys {} in SSR_SESSION_JWKS, so none are fetched"
DYNAMIC = "warning keys SSR_SESSION_JWKS holds dynamic keys: every token is rejected when"


IN_SETTINGS: dict[str, Any] = {
    "none": (held(True), ""),
    "static ones, which sign": (held(False, "s-1"), HELD.format("1 key (1 static)")),
    "dynamic ones, which sign": (held(True, "d-1"), DYNAMIC),
    "static ones, dynamic ones sign": (held(True, "s-1"), NOT_DYNAMIC),
    "dynamic ones, static ones sign": (held(False, "d-1"), "problem keys SSR"),
    # Without an SDK, the ids show the kind.
    "static": (held(None, "s-1"), HELD.format("1 key (1 static)")),
    "both kinds": (held(None, "d-1", "s-1"), HELD.format("2 keys (1 dynamic, 1 static)")),
    "the app's own": (held(None, "mine"), HELD.format("1 key")),
    "dynamic": (held(None, "d-1"), DYNAMIC),
    "dynamic and the app's own": (held(None, "d-1", "mine"), DYNAMIC),
}
test_keys_in_the_settings_should_be_static = table(check_static_keys, IN_SETTINGS)


# --- clocks --------------------------------------------------------------------------------------

SAME = "ok clock this machine and the API have the same time"
AHEAD = "{} clock the API's clock is {} ahead of this machine's"
BEHIND = "{} clock the API's clock is {} behind this machine's"
EARLY = ": tokens are not valid yet, and pages respond with 503 -> synchronise"
LATE = ": tokens expire early, or as soon as they are issued -> synchronise"


def date(ahead: float, **headers: str) -> dict[str, Any]:
    return {"Date": formatdate(NOW + ahead, usegmt=True), **headers}


CLOCKS: dict[str, Any] = {
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
}


@rows("headers, expected", CLOCKS)
def test_clocks_may_differ_by_seconds(
    headers: dict[str, Any], expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = make_environment(refresh_api=reply(**headers))
    with monkeypatch.context() as patch:
        if hasattr(time, "tzset"):  # the local zone does not count
            patch.setenv("TZ", "Asia/Tokyo")
            time.tzset()
        findings = list(check_api_clock(environment))
    if hasattr(time, "tzset"):
        time.tzset()
    assert_findings(findings, expected)


def test_clock_of_the_first_server_with_keys_comes_before_the_api() -> None:
    now, late = reply(**date(0)), keys("d-1", **date(61))
    servers = make_environment(key_servers=(DOWN, late, keys("d-1", **date(0))), refresh_api=now)
    assert_findings(check_key_server_clock(servers), "problem clock the key server's clock is 61 s")
    assert_findings(check_api_clock(servers), "")
    for answers in ({"key_servers": (DOWN,)}, {"refresh_api": None}, {"refresh_api": DOWN}):
        for check in (check_key_server_clock, check_api_clock):
            assert_findings(check(make_environment(**answers)), "")


DURATIONS: dict[str, Any] = {
    "seconds": (119.4, "119 s"),
    "minutes": (-120, "2 min"),
    "nearly hours": (7199, "120 min"),
    "hours": (7200, "2 h"),
    "nearly days": (172_799, "48 h"),
    "days": (-172_800, "2 d"),
}


@rows("seconds, text", DURATIONS)
def test_duration_is_shown_in_the_largest_unit_that_fits_twice(seconds: float, text: str) -> None:
    assert format_age(seconds) == text
