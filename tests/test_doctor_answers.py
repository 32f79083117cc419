"""What the doctor makes of what key servers, the core and the API answer."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from flask_ssr_session.doctor.check_api import (
    CORS_HEADERS,
    check_api_keys,
    check_core,
    check_cors,
    check_refresh_api,
)
from flask_ssr_session.doctor.check_keys import (
    ProbeResult,
    check_clock,
    check_keys,
    check_static_keys,
)
from flask_ssr_session.doctor.finding import Finding, Level, format_age
from flask_ssr_session.errors import FetchError
from flask_ssr_session.upstream.fetch import FetchedResponse

from .doctor_factories import DOWN, NOW, PAGES, keys, pages_alone, problems, reply, setup


def of_keys(*answers: FetchedResponse | FetchError, **changes: Any) -> list[Finding]:
    heard = [
        ProbeResult(f"http://user:secret@core-{n}:3567/app", a, NOW) for n, a in enumerate(answers)
    ]
    return list(check_keys(setup(**changes), heard))


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
def test_keys_have_to_be_there_the_same_everywhere_and_of_the_right_kind(
    answers: list[FetchedResponse | FetchError], expected: list[str]
) -> None:
    findings = of_keys(*answers)

    assert problems(findings) == expected
    assert "secret" not in repr(findings)
    assert "/app" not in repr(findings)


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([DOWN, keys("d-1")], "no keys from core-0:3567 (no complete answer in time)"),
        ([keys("d-1"), reply()], "no keys from core-1:3567 (not what was asked for)"),
        (
            [keys("d-1"), keys("d-2"), keys("d-3")],
            "core-1:3567, core-2:3567 and core-0:3567 have no key in common: two databases",
        ),
        (
            [reply(status=500), DOWN],
            "no keys can be had from core-0:3567 (status 500), core-1:3567",
        ),
    ],
)
def test_the_host_that_has_not_the_keys_is_named(
    answers: list[FetchedResponse | FetchError], says: str
) -> None:
    assert of_keys(*answers)[0].says.startswith(says)


def test_static_keys_are_the_right_kind_where_those_sign() -> None:
    assert problems(of_keys(keys("s-1"), sdk={"dynamic_signing_key": False})) == []


def test_age_of_the_newest_dynamic_key_is_told() -> None:
    (finding,) = of_keys(keys(f"d-{int(NOW - 7200) * 1000}", "d-1", "s-1"))

    assert finding.says == (
        "3 keys (2 dynamic, 1 static) at core-0:3567, the newest dynamic one 2 h old"
    )
    # Of what its clock says only the clocks are to blame.
    (finding,) = of_keys(keys(f"d-{int(NOW + 1) * 1000}"))
    assert finding.says == "1 key (1 dynamic) at core-0:3567"
    (finding,) = of_keys(keys(f"d-{int(NOW) * 1000}"))
    assert finding.says.endswith("one 0 s old")
    (finding,) = check_keys(pages_alone(), [ProbeResult(PAGES, keys("mine"), NOW)])
    assert finding.says == "1 key at www.example.com"


@pytest.mark.parametrize(
    ("dynamic", "kids", "expected"),
    [
        (False, ["s-1"], []),
        (True, ["d-1"], ["warning keys"]),
        (True, ["s-1"], ["problem keys"]),
        (False, ["d-1"], ["problem keys"]),
    ],
)
def test_keys_of_the_settings_should_be_ones_that_stay(
    dynamic: bool, kids: list[str], expected: list[str]
) -> None:
    assert (
        problems([check_static_keys(setup(sdk={"dynamic_signing_key": dynamic}), kids)]) == expected
    )


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
def test_keys_of_the_settings_tell_their_kind_where_no_sdk_does(
    kids: list[str], expected: list[str]
) -> None:
    assert problems([check_static_keys(pages_alone(), kids)]) == expected
    assert problems(check_keys(pages_alone(), [ProbeResult(PAGES, keys(*kids), NOW)])) == []


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
    answer = keys("d-1", Date=formatdate(NOW + ahead, usegmt=True))
    (finding,) = check_clock(answer, NOW)

    assert problems([finding]) == expected
    assert ("ahead of" in finding.says) is (ahead > 5)
    assert ("behind" in finding.says) is (ahead < 0)


def test_clock_of_the_key_server_is_looked_at_with_its_keys() -> None:
    assert problems(of_keys(keys("d-1", Date=formatdate(NOW + 61, usegmt=True)))) == [
        "problem clock"
    ]


@pytest.mark.parametrize(
    ("age", "expected"), [("100", []), ("0", ["problem clock"]), ("-100", ["problem clock"])]
)
def test_answer_that_a_cache_kept_is_of_its_age(age: str, expected: list[str]) -> None:
    answer = keys("d-1", Date=formatdate(NOW - 100, usegmt=True), Age=age)

    assert problems(check_clock(answer, NOW)) == expected


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
def test_answer_without_a_time_tells_nothing(answer: FetchedResponse | FetchError) -> None:
    assert list(check_clock(answer, NOW)) == []


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="only Unix lets a process change its zone")
@pytest.mark.parametrize(
    "date", ["Tue, 14 Nov 2023 22:13:20 -0000", "Wed, 15 Nov 2023 00:13:20 +0200"]
)
def test_time_is_read_by_its_zone_and_never_by_ours(
    date: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        findings = list(check_clock(keys("d-1", Date=date), NOW))
    time.tzset()

    assert [finding.level for finding in findings] == [Level.OK]


# --- the API -------------------------------------------------------------------------------------

SIGNED_OUT: dict[str, Any] = {"front_token": "remove", "status": 401}


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
        (DOWN, ["problem refresh_api"], "start it, and let api_domain have the scheme"),
    ],
)
def test_refresh_api_has_to_say_that_nobody_is_signed_in(
    answer: FetchedResponse | FetchError, expected: list[str], advice: str
) -> None:
    finding = check_refresh_api(setup(), answer)

    assert problems([finding]) == expected
    assert advice in finding.advice


@pytest.mark.parametrize(("base_path", "told"), [("/auth", "/auth"), ("", "/")])
def test_place_of_the_refresh_api_is_told(base_path: str, told: str) -> None:
    finding = check_refresh_api(setup(sdk={"api_base_path": base_path}), reply(**SIGNED_OUT))

    assert finding.says == (
        f"the refresh API at api.example.com, below {told}, answers as SuperTokens does"
    )


def test_status_of_no_session_is_what_the_sdk_here_is_set_to() -> None:
    custom = setup(sdk={"session_expired_status": 440})

    assert problems([check_refresh_api(custom, reply(**{**SIGNED_OUT, "status": 440}))]) == []
    assert problems([check_refresh_api(custom, reply(**SIGNED_OUT))]) == ["problem refresh_api"]


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
    answer: FetchedResponse | FetchError, verification_kids: set[str], expected: list[str]
) -> None:
    assert problems([check_api_keys(setup(), answer, verification_kids)]) == expected


LEAVE: dict[str, Any] = {
    "Access_Control_Allow_Origin": PAGES,
    "Access_Control_Allow_Credentials": "true",
    "Access_Control_Allow_Headers": ", ".join(CORS_HEADERS).upper(),
}
LET: dict[str, Any] = {
    "status": 401,
    "Access_Control_Allow_Origin": PAGES,
    "Access_Control_Allow_Credentials": "true",
    "Access_Control_Expose_Headers": "front-token,st-access-token",
}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"Access_Control_Allow_Origin": "*"}, "does not name the site"),
        ({"Access_Control_Allow_Origin": ()}, "does not name the site"),
        # As a proxy and the app both add it; browsers read "a, a".
        (
            {"Access_Control_Allow_Origin": (PAGES, PAGES)},
            "names the site in Access-Control-Allow-",
        ),
        ({"Access_Control_Allow_Credentials": ""}, "does not say true, once,"),
        ({"Access_Control_Allow_Credentials": ("true", "true")}, "does not say true, once,"),
    ],
)
def test_api_elsewhere_has_to_let_the_pages_in_before_and_then(
    changed: dict[str, Any], says: str
) -> None:
    for leave, answer in (({**LEAVE, **changed}, LET), (LEAVE, {**LET, **changed})):
        finding = check_cors(setup(), PAGES, reply(**leave), reply(**answer))

        assert finding.level is Level.PROBLEM
        assert says in finding.says


def test_api_elsewhere_that_lets_the_pages_in_is_no_ill() -> None:
    several = {"Access_Control_Allow_Headers": CORS_HEADERS}
    exposed = {"Access_Control_Expose_Headers": ("anti-csrf", "Front-Token")}

    assert problems([check_cors(setup(), PAGES, reply(**LEAVE), reply(**LET))]) == []
    assert (
        problems(
            [check_cors(setup(), PAGES, reply(**{**LEAVE, **several}), reply(**{**LET, **exposed}))]
        )
        == []
    )


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ("rid, fdi-version", "does not list st-auth-mode in Access-Control-Allow-Headers"),
        # With credentials, a browser takes this for a header of that name.
        ("*", "does not list fdi-version, rid, st-auth-mode in"),
    ],
)
def test_api_elsewhere_has_to_allow_the_headers_of_the_browser_sdk(headers: str, says: str) -> None:
    leave = reply(**{**LEAVE, "Access_Control_Allow_Headers": headers})

    assert says in check_cors(setup(), PAGES, leave, reply(**LET)).says


def test_api_elsewhere_has_to_expose_the_front_token() -> None:
    hidden = reply(**{**LET, "Access_Control_Expose_Headers": "st-access-token"})

    assert "does not list front-token in Access-Control-Expose-Headers" in (
        check_cors(setup(), PAGES, reply(**LEAVE), hidden).says
    )


@pytest.mark.parametrize("status", [199, 300, 404])
def test_api_elsewhere_has_to_answer_options(status: int) -> None:
    refused = check_cors(setup(), PAGES, reply(status=status, **LEAVE), reply(**LET))
    silent = check_cors(setup(), PAGES, DOWN, reply(**LET))
    empty = check_cors(setup(), PAGES, reply(status=204, **LEAVE), reply(**LET))

    assert f"answers OPTIONS with status {status}" in refused.says
    assert problems([refused, silent, empty]) == ["problem cors", "problem cors"]


# --- the core ------------------------------------------------------------------------------------

NOBODY = reply({"status": "UNAUTHORISED", "message": "no such session"})


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([NOBODY, NOBODY], "the core takes what the SDK of this process asks"),
        ([NOBODY, reply("Invalid API key", 401)], "the core at core-1:3567 refuses the API key"),
        ([reply("no such version", 400), NOBODY], "the core at core-0:3567 does not take"),
        (
            [NOBODY._replace(status=500)],
            "the core at core-0:3567 does not take what the SDK asks (",
        ),
        ([reply("<html>")], "the core at core-0:3567 does not take"),
        ([reply("[" * 100_000)], "the core at core-0:3567 does not take"),
        ([reply("[]")], "the core at core-0:3567 does not take"),
        ([reply({"status": "OK"})], "the core at core-0:3567 does not take"),
        ([DOWN], "the core at core-0:3567 does not take what the SDK asks (no complete answer"),
    ],
)
def test_core_has_to_take_what_the_sdk_asks(
    answers: list[FetchedResponse | FetchError], says: str
) -> None:
    heard = [
        ProbeResult(f"http://me:secret@core-{n}:3567/app", a, NOW) for n, a in enumerate(answers)
    ]
    finding = check_core(heard)

    assert finding.says.startswith(says)
    is_well = says.startswith("the core takes")
    assert finding.level is (Level.OK if is_well else Level.PROBLEM)
    assert "secret" not in repr(finding)
    assert "Invalid" not in repr(finding)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (119, "119 s"), (120, "2 min"), (-7200, "2 h"), (172800, "2 d")],
)
def test_spans_of_time_are_short(seconds: float, told: str) -> None:
    assert format_age(seconds) == told
