"""The checks of the core, of the refresh API, and of its CORS headers."""

from __future__ import annotations

from typing import Any

from flask_ssr_session.doctor.check_api import (
    check_api_keys,
    check_core,
    check_cors,
    check_refresh_api,
)
from flask_ssr_session.doctor.check_cookies import check_api_cookies
from flask_ssr_session.doctor.probes import CORS_HEADERS, Answer
from tests.tables import rows

from .factories import (
    API,
    DOWN,
    PAGES,
    Expected,
    assert_findings,
    given,
    make_environment,
    reply,
    result,
)

SIGNED_OUT: dict[str, Any] = {"front_token": "remove", "status": 401}
WORKS = result(API, reply(**SIGNED_OUT))
WELL = "ok refresh_api the refresh API at api.example.com, below /auth, responds as SuperTokens do"
AT_ROOT = "ok refresh_api the refresh API at api.example.com, below /, responds"
STRANGE = "problem refresh_api…does not respond as SuperTokens does (status {}) -> {}"
ELSEWHERE, BLOCKED = "call Middleware(app) there", "see its log, and make proxies and hooks of the"
OTHER = "problem refresh_api…reports 'no session' with status {}, but this process expects {} -> "
SILENT = f"problem refresh_api…below /auth, does not respond ({DOWN}) -> start it"


@rows(
    "answer, sdk, expected",
    {
        "no session": (reply(**SIGNED_OUT), {}, WELL),
        "no session, at the root": (reply(**SIGNED_OUT), {"api_base_path": ""}, AT_ROOT),
        "another status": (reply(**SIGNED_OUT | {"status": 440}), {}, OTHER.format(440, 401)),
        "a status of one's own": (reply(**SIGNED_OUT | {"status": 440}), {"ses": 440}, WELL),
        "not that status": (reply(**SIGNED_OUT), {"ses": 440}, OTHER.format(401, 440)),
        "no word of the front token": (reply(status=401), {}, STRANGE.format(401, BLOCKED)),
        "another word": (reply(status=401, front_token="e30="), {}, STRANGE.format(401, BLOCKED)),
        "a page": (reply(), {}, STRANGE.format(200, BLOCKED)),
        "just no redirect": (reply(status=299), {}, STRANGE.format(299, BLOCKED)),
        "a redirect": (reply(status=300), {}, STRANGE.format(300, ELSEWHERE)),
        "a last redirect": (reply(status=399), {}, STRANGE.format(399, ELSEWHERE)),
        "a bad request": (reply(status=400), {}, STRANGE.format(400, BLOCKED)),
        "nothing there": (reply(status=404), {}, STRANGE.format(404, ELSEWHERE)),
        "only pages there": (reply(status=405), {}, STRANGE.format(405, ELSEWHERE)),
        "an error": (reply(status=500), {}, STRANGE.format(500, BLOCKED)),
        "silence": (DOWN, {}, SILENT),
    },
)
def test_refresh_api_has_to_report_no_session(
    answer: Answer, sdk: dict[str, Any], expected: Expected
) -> None:
    renamed = {"session_expired_status" if name == "ses" else name: sdk[name] for name in sdk}
    environment = given(make_environment(sdk=renamed), refresh_api=result(API, answer))
    assert_findings(check_refresh_api(environment), expected)


def test_api_that_does_not_work_is_reported_once() -> None:
    probes = {"preflight": result(API, reply(status=404)), "api_key_set": result(API, "d-2")}
    for refresh_api in (None, result(API, DOWN), result(API, reply(status=404))):
        environment = make_environment(static_kids=["d-1"])
        given(environment, refresh_api=refresh_api, **probes)
        for check in (check_cors, check_api_cookies, check_api_keys):
            assert_findings(check(environment), "")
    assert_findings(check_refresh_api(given(make_environment(), refresh_api=None)), "")


# --- keys of the API -----------------------------------------------------------------------------

PUBLISHES = "warning api_keys the API at api.example.com publishes no keys ({}), so the doctor can"
TWO_CORES = "problem api_keys the API at api.example.com has different keys than pages verify with"
ALIKE = "ok api_keys the API at api.example.com has the keys that pages verify with"
OF_API: dict[str, Any] = {"jwks_uri": f"{API}/auth/jwt/jwks.json"}


@rows(
    "answer, changes, expected",
    {
        "the same key": ("d-1", {"static_kids": ["d-1"]}, ALIKE),
        "a key in common": ("d-1 d-2", {"static_kids": ["d-2", "d-3"]}, ALIKE),
        "another key": ("d-1", {"static_kids": ["d-2"]}, TWO_CORES),
        "no key set": (reply(status=404), {"static_kids": ["d-1"]}, PUBLISHES.format("status 404")),
        "silence": (DOWN, {"static_kids": ["d-1"]}, PUBLISHES.format(DOWN)),
        "pages have no keys": ("d-1", {}, ""),
        "pages fetch these keys": ("d-1", {"static_kids": ["d-2"], **OF_API}, ""),
        "it was not asked": (None, {"static_kids": ["d-1"]}, ""),
    },
)
def test_api_has_to_have_the_keys_that_pages_verify_with(
    answer: Answer | str | None, changes: dict[str, Any], expected: Expected
) -> None:
    probe = None if answer is None else result(API, answer)
    environment = given(make_environment(**changes), refresh_api=WORKS, api_key_set=probe)
    assert_findings(check_api_keys(environment), expected)


# --- CORS ----------------------------------------------------------------------------------------

ORIGIN, CREDENTIALS = "Access_Control_Allow_Origin", "Access_Control_Allow_Credentials"
ALLOWED, EXPOSED = "Access_Control_Allow_Headers", "Access_Control_Expose_Headers"
BOTH = {ORIGIN: PAGES, CREDENTIALS: "true"}
PREFLIGHT: dict[str, Any] = {**BOTH, ALLOWED: ", ".join(CORS_HEADERS).upper()}
RESPONSE: dict[str, Any] = {**BOTH, **SIGNED_OUT, EXPOSED: "front-token,st-access-token"}
LET_IN = f"ok cors the API at api.example.com lets pages of {PAGES} refresh"
NAMED = "does not name the site in Access-Control-Allow-Origin, so browsers block every refresh f"
ONCE = "does not send Access-Control-Allow-Credentials exactly once, as true"
STATUS = "responds to OPTIONS with status {}"
UNLISTED = "does not list {} in Access-Control-{}-Headers"


@rows(
    "preflight, response, defect",
    {
        "all is allowed": ({}, {}, None),
        "headers are allowed line by line": ({ALLOWED: CORS_HEADERS}, {}, None),
        "headers are exposed line by line": ({}, {EXPOSED: ("anti-csrf", "Front-Token")}, None),
        "the preflight has no body": ({"status": 204}, {}, None),
        "the preflight has a first status": ({"status": 199}, {}, STATUS.format(199)),
        "the preflight redirects": ({"status": 300}, {}, STATUS.format(300)),
        "the preflight finds nothing": ({"status": 404}, {}, STATUS.format(404)),
        "the preflight names all": ({ORIGIN: "*"}, {}, NAMED),
        "the response names all": ({}, {ORIGIN: "*"}, NAMED),
        "the preflight names none": ({ORIGIN: ()}, {}, NAMED),
        "the response names none": ({}, {ORIGIN: ()}, NAMED),
        # A proxy and the app both add it; browsers read "a, a".
        "the preflight names it twice": ({ORIGIN: (PAGES, PAGES)}, {}, "names the site…twice"),
        "the response names it twice": ({}, {ORIGIN: (PAGES, PAGES)}, "names the site…twice"),
        "the preflight takes no cookies": ({CREDENTIALS: ""}, {}, ONCE),
        "the response takes no cookies": ({}, {CREDENTIALS: ""}, ONCE),
        "the preflight takes them twice": ({CREDENTIALS: ("true", "true")}, {}, ONCE),
        "the response takes them twice": ({}, {CREDENTIALS: ("true", "true")}, ONCE),
        "a header is missing": (
            {ALLOWED: "rid, fdi-version"},
            {},
            UNLISTED.format("st-auth-mode", "Allow"),
        ),
        # With credentials, browsers read this as a name.
        "all headers": ({ALLOWED: "*"}, {}, UNLISTED.format(", ".join(CORS_HEADERS), "Allow")),
        "the front token is hidden": (
            {},
            {EXPOSED: "st-access-token"},
            UNLISTED.format("front-token", "Expose"),
        ),
    },
)
def test_api_elsewhere_has_to_let_the_pages_in(
    preflight: dict[str, Any], response: dict[str, Any], defect: str | None
) -> None:
    environment = given(
        make_environment(),
        preflight=result(API, reply(**PREFLIGHT | preflight)),
        refresh_api=result(API, reply(**RESPONSE | response)),
    )
    problem = f"problem cors the API at api.example.com {defect}"
    assert_findings(check_cors(environment), LET_IN if defect is None else problem)


@rows(
    "changes, preflight, expected",
    {
        "silence": (
            {},
            DOWN,
            f"problem cors the API at api.example.com does not…({DOWN}) -> start",
        ),
        "pages of the API's origin": ({"site": API}, DOWN, ""),
        "pages of an unknown origin": ({"site": None}, DOWN, ""),
        "it was not asked": ({}, None, ""),
    },
)
def test_preflight_matters_to_pages_elsewhere(
    changes: dict[str, Any], preflight: Answer | None, expected: Expected
) -> None:
    probe = None if preflight is None else result(API, preflight)
    environment = given(make_environment(**changes), refresh_api=WORKS, preflight=probe)
    assert_findings(check_cors(environment), expected)


# --- the core ------------------------------------------------------------------------------------

NO_SESSION = reply({"status": "UNAUTHORISED", "message": "no such session"})
ACCEPTS = "ok core the core accepts the requests of the SDK in this process"
REJECTS = "problem core the core at core-{}:3567 rejects the API key of this process"
NOT_ACCEPTED = "problem core the core at core-{}:3567 does not accept the SDK's requests ({}) -> st"


@rows(
    "answers, expected",
    {
        "it knows no session": ((NO_SESSION, NO_SESSION), ACCEPTS),
        "it was not asked": ((), ""),
        "the key is wrong": ((NO_SESSION, reply("secret", 401)), REJECTS.format(1)),
        "it is older": ((reply("", 400), NO_SESSION), NOT_ACCEPTED.format(0, "status 400")),
        "an error": ((NO_SESSION._replace(status=500),), NOT_ACCEPTED.format(0, "status 500")),
        "a page": ((reply("<html>"),), NOT_ACCEPTED.format(0, "unexpected content")),
        "endless": ((reply("[" * 100_000),), NOT_ACCEPTED.format(0, "unexpected content")),
        "a list": ((reply("[]"),), NOT_ACCEPTED.format(0, "unexpected content")),
        "a session": ((reply({"status": "OK"}),), NOT_ACCEPTED.format(0, "unexpected content")),
        "silence": ((DOWN,), NOT_ACCEPTED.format(0, DOWN)),
        "all are broken": ((DOWN, reply("", 401)), NOT_ACCEPTED.format(0, DOWN)),
    },
)
def test_core_has_to_accept_the_sdks_requests(
    answers: tuple[Answer, ...], expected: Expected
) -> None:
    urls = [f"http://me:secret@core-{n}:3567/secret" for n in range(len(answers))]
    cores = tuple(map(result, urls, answers))
    environment = given(make_environment(static_kids=["d-1"]), cores=cores)
    assert_findings(check_core(environment), expected)
    # Without any keys, check_keys reports a core that does not respond.
    assert_findings(check_core(given(make_environment(), cores=cores)), "")
