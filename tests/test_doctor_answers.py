"""The doctor's checks of key servers, the core and the API."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from flask_ssr_session.doctor.check_api import (
    check_api_keys,
    check_core,
    check_cors,
    check_refresh_api,
)
from flask_ssr_session.doctor.check_keys import (
    check_api_clock,
    check_key_server_clock,
    check_keys,
    check_static_keys,
)
from flask_ssr_session.doctor.environment import Environment
from flask_ssr_session.doctor.finding import Finding, Level, format_age
from flask_ssr_session.doctor.probes import CORS_HEADERS, Answer
from flask_ssr_session.upstream.fetch import FetchedResponse

from .doctor_factories import (
    API,
    DOWN,
    NOW,
    PAGES,
    environment_without_sdk,
    findings_of,
    given,
    keys,
    make_environment,
    problems,
    reply,
    result,
)


def of_keys(*answers: Answer, **changes: Any) -> list[Finding]:
    probes = [
        result(f"http://user:secret@core-{n}:3567/app", answer) for n, answer in enumerate(answers)
    ]
    environment = given(make_environment(**changes), key_servers=tuple(probes))
    return findings_of(environment, check_keys, check_key_server_clock)


def of_one_server_without_sdk(answer: Answer) -> list[Finding]:
    return list(check_keys(given(environment_without_sdk(), key_servers=(result(PAGES, answer),))))


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([keys("d-1699999000000", "s-1")], []),
        ([keys("d-1"), keys("d-1", "d-2")], []),
        ([DOWN, keys("d-1")], ["warning keys"]),
        ([keys("d-1"), DOWN], ["warning keys"]),
        ([keys("d-1"), keys("d-2"), keys("d-1")], ["problem keys"]),
        ([DOWN, DOWN], ["problem keys"]),
        ([reply(status=500)], ["problem keys"]),
        ([keys("d-1")._replace(status=500)], ["problem keys"]),
        ([reply("<html>")], ["problem keys"]),
        ([keys("s-1")], ["problem keys"]),
    ],
)
def test_key_servers_need_the_same_keys_of_the_right_kind(
    answers: list[Answer], expected: list[str]
) -> None:
    findings = of_keys(*answers)

    assert problems(findings) == expected
    assert "secret" not in repr(findings)
    assert "/app" not in repr(findings)


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([DOWN, keys("d-1")], "no keys from core-0:3567 (no complete answer in time)"),
        ([keys("d-1"), reply()], "no keys from core-1:3567 (unexpected content)"),
        (
            [keys("d-1"), keys("d-2"), keys("d-3")],
            "core-1:3567, core-2:3567 and core-0:3567 have no key in common: two databases",
        ),
        (
            [reply(status=500), DOWN],
            "no keys could be fetched from core-0:3567 (status 500), core-1:3567",
        ),
    ],
)
def test_host_without_the_keys_is_named(answers: list[Answer], message: str) -> None:
    assert of_keys(*answers)[0].message.startswith(message)


def test_static_keys_are_the_right_kind_if_the_sdk_uses_them() -> None:
    assert problems(of_keys(keys("s-1"), sdk={"dynamic_signing_key": False})) == []


def test_age_of_the_newest_dynamic_key_is_shown() -> None:
    (finding,) = of_keys(keys(f"d-{int(NOW - 7200) * 1000}", "d-1", "s-1"))

    assert finding.message == (
        "3 keys (2 dynamic, 1 static) at core-0:3567, the newest dynamic one 2 h old"
    )
    # The check of the clocks reports a key from the future.
    (finding,) = of_keys(keys(f"d-{int(NOW + 1) * 1000}"))
    assert finding.message == "1 key (1 dynamic) at core-0:3567"
    (finding,) = of_keys(keys(f"d-{int(NOW) * 1000}"))
    assert finding.message.endswith("one 0 s old")
    (finding,) = of_one_server_without_sdk(keys("mine"))
    assert finding.message == "1 key at www.example.com"


@pytest.mark.parametrize(
    ("dynamic", "kids", "expected"),
    [
        (False, ["s-1"], []),
        (True, ["d-1"], ["warning keys"]),
        (True, ["s-1"], ["problem keys"]),
        (False, ["d-1"], ["problem keys"]),
    ],
)
def test_keys_in_the_settings_should_be_static(
    dynamic: bool, kids: list[str], expected: list[str]
) -> None:
    environment = make_environment(sdk={"dynamic_signing_key": dynamic}, static_kids=kids)

    assert problems(check_static_keys(environment)) == expected


@pytest.mark.parametrize(
    ("kids", "expected"),
    [
        (["s-1"], []),
        (["d-1", "s-1"], []),
        (["mine"], []),
        (["d-1"], ["warning keys"]),
        (["d-1", "mine"], ["warning keys"]),
    ],
)
def test_ids_show_the_kind_of_keys_without_an_sdk(kids: list[str], expected: list[str]) -> None:
    static = environment_without_sdk(static_kids=kids)

    assert problems(check_static_keys(static)) == expected
    assert problems(of_one_server_without_sdk(keys(*kids))) == []


def clocks(answer: Answer) -> list[Finding]:
    return list(check_api_clock(given(make_environment(), refresh_api=result(API, answer))))


@pytest.mark.parametrize(
    ("ahead", "expected"),
    [
        (0, []),
        (5, []),
        (6, ["warning clock"]),
        (60, ["warning clock"]),
        (61, ["problem clock"]),
        (-6, ["warning clock"]),
        (-60, ["warning clock"]),
        (-61, ["problem clock"]),
    ],
)
def test_clocks_may_differ_by_seconds(ahead: float, expected: list[str]) -> None:
    (finding,) = clocks(reply(Date=formatdate(NOW + ahead, usegmt=True)))

    assert problems([finding]) == expected
    assert ("ahead of" in finding.message) is (ahead > 5)
    assert ("behind" in finding.message) is (ahead < 0)


def test_clock_of_the_key_server_is_checked_with_its_keys() -> None:
    assert problems(of_keys(keys("d-1", Date=formatdate(NOW + 61, usegmt=True)))) == [
        "problem clock"
    ]


@pytest.mark.parametrize(
    ("age", "expected"), [("100", []), ("0", ["problem clock"]), ("-100", ["problem clock"])]
)
def test_age_of_a_cached_response_counts(age: str, expected: list[str]) -> None:
    answer = reply(Date=formatdate(NOW - 100, usegmt=True), Age=age)

    assert problems(clocks(answer)) == expected


@pytest.mark.parametrize(
    "answer",
    [
        keys("d-1"),
        keys("d-1", Date=""),
        keys("d-1", Date="yesterday"),
        keys("d-1", Date="Tue, 99 Nov 2023 22:13:20 GMT"),
        keys("d-1", Date=formatdate(NOW, usegmt=True), Age="old"),
        keys("d-1", Date=formatdate(NOW, usegmt=True), Age="9" * 400),
        DOWN,
    ],
)
def test_response_without_a_time_gives_no_finding(answer: Answer) -> None:
    assert clocks(answer) == []


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="only Unix lets a process change its zone")
@pytest.mark.parametrize(
    "date", ["Tue, 14 Nov 2023 22:13:20 -0000", "Wed, 15 Nov 2023 00:13:20 +0200"]
)
def test_time_is_read_by_its_zone_and_not_by_the_local_one(
    date: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        findings = clocks(reply(Date=date))
    time.tzset()

    assert [finding.level for finding in findings] == [Level.OK]


# --- the API -------------------------------------------------------------------------------------

SIGNED_OUT: dict[str, Any] = {"front_token": "remove", "status": 401}


def of_refresh_api(answer: Answer, environment: Environment | None = None) -> Finding:
    probed = given(environment or make_environment(), refresh_api=result(API, answer))
    (finding,) = check_refresh_api(probed)
    return finding


@pytest.mark.parametrize(
    ("answer", "expected", "advice"),
    [
        (reply(**SIGNED_OUT), [], ""),
        (reply(**{**SIGNED_OUT, "status": 440}), ["problem refresh_api"], "session_expired_status"),
        (reply(status=401), ["problem refresh_api"], "hooks of the app"),
        (reply(status=400), ["problem refresh_api"], "hooks of the app"),
        (reply(status=500), ["problem refresh_api"], "see its log"),
        (reply(status=300), ["problem refresh_api"], "api_base_path"),
        (reply(status=404), ["problem refresh_api"], "api_base_path"),
        (reply(status=405), ["problem refresh_api"], "api_base_path"),
        (DOWN, ["problem refresh_api"], "start it, and set api_domain with the scheme"),
    ],
)
def test_refresh_api_has_to_report_no_session(
    answer: Answer, expected: list[str], advice: str
) -> None:
    finding = of_refresh_api(answer)

    assert problems([finding]) == expected
    assert advice in finding.advice


@pytest.mark.parametrize(("base_path", "shown"), [("/auth", "/auth"), ("", "/")])
def test_address_of_the_refresh_api_is_shown(base_path: str, shown: str) -> None:
    environment = make_environment(sdk={"api_base_path": base_path})
    finding = of_refresh_api(reply(**SIGNED_OUT), environment)

    assert finding.message == (
        f"the refresh API at api.example.com, below {shown}, responds as SuperTokens does"
    )


def test_sdk_sets_the_expected_status_of_no_session() -> None:
    custom = make_environment(sdk={"session_expired_status": 440})

    assert problems([of_refresh_api(reply(**{**SIGNED_OUT, "status": 440}), custom)]) == []
    assert problems([of_refresh_api(reply(**SIGNED_OUT), custom)]) == ["problem refresh_api"]


@pytest.mark.parametrize(
    ("answer", "verification_kids", "expected"),
    [
        (keys("d-1"), {"d-1"}, []),
        (keys("d-1", "d-2"), {"d-2", "d-3"}, []),
        (keys("d-1"), {"d-2"}, ["problem api_keys"]),
        (reply(status=404), {"d-1"}, ["warning api_keys"]),
        (DOWN, {"d-1"}, ["warning api_keys"]),
    ],
)
def test_api_has_to_have_the_keys_that_pages_verify_with(
    answer: Answer, verification_kids: set[str], expected: list[str]
) -> None:
    environment = given(
        make_environment(static_kids=verification_kids),
        refresh_api=result(API, reply(**SIGNED_OUT)),
        api_key_set=result(API, answer),
    )

    assert problems(check_api_keys(environment)) == expected


PREFLIGHT: dict[str, Any] = {
    "Access_Control_Allow_Origin": PAGES,
    "Access_Control_Allow_Credentials": "true",
    "Access_Control_Allow_Headers": ", ".join(CORS_HEADERS).upper(),
}
REFRESH: dict[str, Any] = {
    **SIGNED_OUT,
    "Access_Control_Allow_Origin": PAGES,
    "Access_Control_Allow_Credentials": "true",
    "Access_Control_Expose_Headers": "front-token,st-access-token",
}


def of_cors(preflight: Answer, refresh: FetchedResponse) -> Finding:
    environment = given(
        make_environment(), refresh_api=result(API, refresh), preflight=result(API, preflight)
    )
    (finding,) = check_cors(environment)
    return finding


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"Access_Control_Allow_Origin": "*"}, "does not name the site"),
        ({"Access_Control_Allow_Origin": ()}, "does not name the site"),
        # A proxy and the app both add it; browsers read "a, a".
        (
            {"Access_Control_Allow_Origin": (PAGES, PAGES)},
            "names the site in Access-Control-Allow-",
        ),
        ({"Access_Control_Allow_Credentials": ""}, "exactly once, as true"),
        ({"Access_Control_Allow_Credentials": ("true", "true")}, "exactly once, as true"),
    ],
)
def test_both_responses_need_the_cors_headers(changed: dict[str, Any], message: str) -> None:
    for preflight, refresh in (
        ({**PREFLIGHT, **changed}, REFRESH),
        (PREFLIGHT, {**REFRESH, **changed}),
    ):
        finding = of_cors(reply(**preflight), reply(**refresh))

        assert finding.level is Level.PROBLEM
        assert message in finding.message


def test_api_elsewhere_that_lets_the_pages_in_has_no_problem() -> None:
    several = {"Access_Control_Allow_Headers": CORS_HEADERS}
    exposed = {"Access_Control_Expose_Headers": ("anti-csrf", "Front-Token")}

    assert problems([of_cors(reply(**PREFLIGHT), reply(**REFRESH))]) == []
    listed = of_cors(reply(**{**PREFLIGHT, **several}), reply(**{**REFRESH, **exposed}))
    assert problems([listed]) == []


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ("rid, fdi-version", "does not list st-auth-mode in Access-Control-Allow-Headers"),
        # With credentials, browsers read this as a literal header name.
        ("*", "does not list fdi-version, rid, st-auth-mode in"),
    ],
)
def test_api_elsewhere_has_to_allow_the_sdks_headers(headers: str, message: str) -> None:
    preflight = reply(**{**PREFLIGHT, "Access_Control_Allow_Headers": headers})

    assert message in of_cors(preflight, reply(**REFRESH)).message


def test_api_elsewhere_has_to_expose_the_front_token() -> None:
    hidden = reply(**{**REFRESH, "Access_Control_Expose_Headers": "st-access-token"})

    assert "does not list front-token in Access-Control-Expose-Headers" in (
        of_cors(reply(**PREFLIGHT), hidden).message
    )


@pytest.mark.parametrize("status", [199, 300, 404])
def test_api_elsewhere_has_to_respond_to_options(status: int) -> None:
    other_status = of_cors(reply(status=status, **PREFLIGHT), reply(**REFRESH))
    silent = of_cors(DOWN, reply(**REFRESH))
    empty = of_cors(reply(status=204, **PREFLIGHT), reply(**REFRESH))

    assert f"responds to OPTIONS with status {status}" in other_status.message
    assert problems([other_status, silent, empty]) == ["problem cors", "problem cors"]


# --- the core ------------------------------------------------------------------------------------

NO_SESSION = reply({"status": "UNAUTHORISED", "message": "no such session"})


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ([NO_SESSION, NO_SESSION], "the core accepts the requests of the SDK in this process"),
        (
            [NO_SESSION, reply("Invalid API key", 401)],
            "the core at core-1:3567 rejects the API key",
        ),
        ([reply("no such version", 400), NO_SESSION], "the core at core-0:3567 does not accept"),
        (
            [NO_SESSION._replace(status=500)],
            "the core at core-0:3567 does not accept the SDK's requests (",
        ),
        ([reply("<html>")], "the core at core-0:3567 does not accept"),
        ([reply("[" * 100_000)], "the core at core-0:3567 does not accept"),
        ([reply("[]")], "the core at core-0:3567 does not accept"),
        ([reply({"status": "OK"})], "the core at core-0:3567 does not accept"),
        ([DOWN], "the core at core-0:3567 does not accept the SDK's requests (no complete answer"),
    ],
)
def test_core_has_to_accept_the_sdks_requests(answers: list[Answer], message: str) -> None:
    cores = tuple(
        result(f"http://me:secret@core-{n}:3567/app", answer) for n, answer in enumerate(answers)
    )
    (finding,) = check_core(given(make_environment(static_kids=["d-1"]), cores=cores))

    assert finding.message.startswith(message)
    is_well = message.startswith("the core accepts")
    assert finding.level is (Level.OK if is_well else Level.PROBLEM)
    assert "secret" not in repr(finding)
    assert "Invalid" not in repr(finding)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (-7200, "2 h"), (172800, "2 d")],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert format_age(seconds) == text
