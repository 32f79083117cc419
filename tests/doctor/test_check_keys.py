"""The checks of the keys that pages verify with, and of the clocks."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from flask_ssr_session.doctor.check_clocks import check_clocks
from flask_ssr_session.doctor.check_keys import check_keys, check_static_keys
from flask_ssr_session.doctor.finding import format_age
from flask_ssr_session.errors import CertificateError
from tests.tables import rows

from .factories import DOWN, NOW, Expected, assert_findings, keys, make_environment, reply, table

NEW, FUTURE = int(NOW) * 1000, int(NOW + 1) * 1000
WRONG_KIND = "problem keys {0} holds no {1} key, but the SDK in this process says that {1} keys"
NO_KEYS = "problem keys no keys could be fetched from core-0:3567 ({}"
MISSING = "problem keys no keys from core-{}:3567 ({})…-> start it, or remove it"
UNTRUSTED = CertificateError("not trusted")
DISTRUSTED = "problem keys no keys from core-{}:3567 (not trusted)…-> renew it if it has expired"
AT_CORE = "ok keys {} at core-0:3567"
NO_SET = "problem keys no keys from core-1:3567 (unexpected content)…-> correct its address"
FIRST = "ok keys 1 key (1 dynamic) at core-0:3567, the newest dynamic one"
ERROR = (keys("d-1").replace(status=500),)
THREE = (f"d-{NEW - 7_200_000} d-1 s-1",)
DISJOINT = "problem keys core-1:3567, core-2:3567 and core-0:3567 have no key in common: two dat"


def fetched(dynamic: bool | None, kids: str) -> dict[str, Any]:
    return {"sdk": {"dynamic_signing_key": dynamic}, "key_servers": (kids,)}


SERVERS: dict[str, Any] = {
    "a dynamic key": (("d-1",), f"{FIRST} 19676 d old"),
    "three keys": (THREE, "ok keys 3 keys (2 dynamic, 1 static)…one 2 h old"),
    "a key of this moment": ((f"d-{NEW}",), f"{FIRST} 0 s old"),
    # The check of the clocks reports it.
    "a key of the future": ((f"d-{FUTURE}",), AT_CORE.format("1 key (1 dynamic)")),
    "the first server is down": ((DOWN, "d-1"), (MISSING.format(0, DOWN), "ok keys 1 key")),
    "the second is down": (("d-1", DOWN), (MISSING.format(1, DOWN), FIRST)),
    "the second has none": (("d-1", reply()), (NO_SET, FIRST)),
    "the second is not trusted": (("d-1", UNTRUSTED), (DISTRUSTED.format(1), FIRST)),
    "all are not trusted": ((UNTRUSTED,), f"{NO_KEYS.format('not trusted)')}…-> renew it if"),
    "two databases": (("d-1", "d-2", "d-1"), ("problem keys core-1:3567 and core-0", FIRST)),
    "three databases": (("d-1", "d-2", "d-3"), (DISJOINT, FIRST)),
    "all are down": ((reply(status=500), DOWN), NO_KEYS.format("status 500), core-1:3567 (no c")),
    "keys of an error": (ERROR, NO_KEYS.format("status 500")),
    "a page": ((reply("<html>"),), NO_KEYS.format("unexpected content")),
    "static keys only": (("s-1",), WRONG_KIND.format("core-0:3567", "dynamic")),
    # The kind that signs.
    "dynamic ones sign": (fetched(True, "d-1"), FIRST),
    "static ones sign": (fetched(False, "s-1"), AT_CORE.format("1 key (1 static)")),
    "dynamic ones should": (fetched(True, "s-1"), WRONG_KIND.format("core-0:3567", "dynamic")),
    "static ones should": (fetched(False, "d-1"), WRONG_KIND.format("core-0:3567", "static")),
    "nobody says which, dynamic": (fetched(None, "d-1"), FIRST),
    "nobody says which, own": (fetched(None, "mine"), AT_CORE.format("1 key")),
}
test_key_servers_need_the_same_keys_of_the_right_kind = table(check_keys, SERVERS, "key_servers")


def held(dynamic: bool | None, *kids: str) -> dict[str, Any]:
    return {"sdk": {"dynamic_signing_key": dynamic}, "static_kids": kids}


NOT_DYNAMIC = WRONG_KIND.format("SSR_SESSION_JWKS", "dynamic")
HELD = "ok keys {} in SSR_SESSION_JWKS, so none are fetched"
DYNAMIC = "warning keys SSR_SESSION_JWKS holds dynamic keys: every token is rejected when"


SETTINGS: dict[str, Any] = {
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
}
test_keys_in_the_settings_should_be_static = table(check_static_keys, SETTINGS)


SAME = "ok clock this process and the API have the same time"
AHEAD = "{} clock the clock of the API is {} ahead of that of this process"
BEHIND = "{} clock the clock of the API is {} behind that of this process"
EARLY = ": tokens are not valid yet, and pages respond with 503 -> synchronise"
LATE = ": tokens expire early, or as soon as they are issued -> synchronise"


def date(ahead: float, **headers: str) -> dict[str, Any]:
    return {"Date": formatdate(NOW + ahead, usegmt=True), **headers}


DATES: dict[str, Any] = {
    "now": (date(0), SAME),
    "5 s ahead": (date(5), SAME),
    "6 s ahead": (date(6), AHEAD.format("warning", "6 s") + " -> synchronise"),
    "60 s ahead": (date(60), AHEAD.format("warning", "60 s")),
    "61 s ahead": (date(61), AHEAD.format("problem", "61 s") + EARLY),
    "5 min ahead": (date(300), AHEAD.format("problem", "5 min") + EARLY),
    "5 s behind": (date(-5), SAME),
    "61 s behind": (date(-61), BEHIND.format("problem", "61 s") + LATE),
    "from a cache": (date(-100, Age="100"), SAME),
    "just created": (date(-100, Age="0"), BEHIND.format("problem", "100 s")),
    "of a negative age": (date(-100, Age="-100"), BEHIND.format("problem", "100 s")),
    # "-0000" is UTC, too.
    "without a zone": ({"Date": "Tue, 14 Nov 2023 22:13:20 -0000"}, SAME),
    "in another zone": ({"Date": "Wed, 15 Nov 2023 00:13:20 +0200"}, SAME),
    "missing": ({}, ""),
    "on no day": ({"Date": "Tue, 99 Nov 2023 22:13:20 GMT"}, ""),
    "of an age in words": (date(0, Age="old"), ""),
    "of an endless age": (date(0, Age="9" * 400), ""),
}


@rows("headers, expected", DATES)
def test_clocks_may_differ_by_seconds(
    headers: dict[str, Any], expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = make_environment(refresh_api=reply(**headers))
    with monkeypatch.context() as patch:
        if hasattr(time, "tzset"):  # the local zone does not count
            patch.setenv("TZ", "Asia/Tokyo")
            time.tzset()
        findings = list(check_clocks(environment))
    if hasattr(time, "tzset"):
        time.tzset()
    assert_findings(findings, expected)


KEYS_AT, API_AT, SITE_AT = "key_servers", "refresh_api", "refresh_page"
SITE_LATE = "problem clock the clock of the site is 61 s behind those of this process, the key"
BOTH_LATE = "problem clock the clocks of this process and the site are 61 s behind those of the key"
CORE_FIRST = "problem clock the clock of the key server is 61 s ahead of those of this process, the"
APART = ("problem clock the clock of the key server", "problem clock the clock of the API")

CLOCKS: dict[str, Any] = {
    "all are right": ({KEYS_AT: 0, API_AT: 5, SITE_AT: -5}, "ok clock this process, the key s"),
    "the site is behind": ({KEYS_AT: 0, API_AT: 0, SITE_AT: -61}, f"{SITE_LATE}…{EARLY}"),
    "the site is ahead": ({KEYS_AT: 0, SITE_AT: 61}, f"problem…of the site is…ahead…{LATE}"),
    "this process is behind": ({KEYS_AT: 61, API_AT: 65}, f"problem…this process is…{EARLY}"),
    "this process is ahead": ({KEYS_AT: -61, API_AT: -61}, f"problem…this process is…{LATE}"),
    "pages are behind": ({KEYS_AT: 61, API_AT: 61, SITE_AT: 0}, f"{BOTH_LATE}…{EARLY}"),
    "the core is ahead": ({KEYS_AT: 61, API_AT: 0, SITE_AT: 0}, f"{CORE_FIRST}…{EARLY}"),
    "all differ": ({KEYS_AT: 61, API_AT: 67}, APART),
    "no server has a clock": ({KEYS_AT: None, API_AT: None, SITE_AT: None}, ""),
}


@rows("ahead, expected", CLOCKS)
def test_clock_that_differs_is_named(ahead: dict[str, float | None], expected: Expected) -> None:
    shown = {name: {} if seconds is None else date(seconds) for name, seconds in ahead.items()}
    servers: dict[str, Any] = {name: reply(**headers) for name, headers in shown.items()}
    # Only a key server that has keys counts.
    servers[KEYS_AT] = (DOWN, keys("d-1", **shown[KEYS_AT]), keys("d-1", **date(99)))
    assert_findings(check_clocks(make_environment(**servers)), expected)


def test_pages_and_api_of_one_server_are_one_clock() -> None:
    late = reply(**date(-61))
    answers: dict[str, Any] = {"key_servers": (keys("d-1", **date(0)),), "refresh_page": late}
    environment = make_environment(refresh_api=late, **answers)
    vars(environment)["refresh_api"] = environment.refresh_page
    assert_findings(check_clocks(environment), SITE_LATE.replace(",", " and"))


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
