"""The checks of the core, of the refresh API, and of its CORS headers."""

from __future__ import annotations

from typing import Any

from flask_ssr_session.doctor import check_api, check_cookies
from flask_ssr_session.doctor.probes import CORS_HEADERS
from tests.tables import rows

from .factories import API, DOWN, PAGES, assert_findings, make_environment, reply, table

SIGNED_OUT: dict[str, Any] = {"front_token": "remove", "status": 401}
SET = {"Set_Cookie": "sAccessToken=; Path=/"}
WORKS: dict[str, Any] = {"refresh_api": reply(**SIGNED_OUT)}
ON_440, AS_440 = reply(front_token="remove", status=440), {"session_expired_status": 440}
WELL = "ok refresh_api the refresh API at api.example.com, below {}, responds as SuperTokens does"
ELSEWHERE = "problem refresh_api…does not respond as SuperTokens does (status {}) -> call Middle"
BLOCKED = "problem refresh_api…does not respond as SuperTokens does (status {}) -> see its log, and"
OTHER = "problem refresh_api…reports 'no session' with status {}, but this process expects {} ->"

REFRESHES: dict[str, Any] = {
    "no session": (reply(**SIGNED_OUT), WELL.format("/auth")),
    "no session, by another status": (ON_440, OTHER.format(440, 401)),
    "no word of the front token": (reply(status=401), BLOCKED.format(401)),
    "another word of it": (
        reply(**SIGNED_OUT | {"front_token": "e30=", **SET}),
        BLOCKED.format(401),
    ),
    "just no redirect": (reply(status=299), BLOCKED.format(299)),
    "a redirect": (reply(status=300), ELSEWHERE.format(300)),
    "a last redirect": (reply(status=399), ELSEWHERE.format(399)),
    "a bad request": (reply(status=400), BLOCKED.format(400)),
    "nothing there": (reply(status=404), ELSEWHERE.format(404)),
    "only pages there": (reply(status=405), ELSEWHERE.format(405)),
    "an error": (reply(status=500), BLOCKED.format(500)),
    "silence": (DOWN, f"problem refresh_api…below /auth, does not respond ({DOWN}) -> start"),
    "it was not asked": (None, ""),
    "its own status": ({"refresh_api": ON_440, "sdk": AS_440}, WELL.format("/auth")),
    "not that status": ({**WORKS, "sdk": AS_440}, OTHER.format(401, 440)),
    "no path": ({**WORKS, "sdk": {"api_base_path": ""}}, WELL.format("/")),
}
test_refresh_api_reports_no_session = table(check_api.check_refresh_api, REFRESHES, "refresh_api")


def test_api_that_does_not_work_is_reported_once() -> None:
    others: dict[str, Any] = {"preflight": reply(status=404), "api_key_set": "d-2"}
    for answer in (None, DOWN, reply(status=404)):
        environment = make_environment(refresh_api=answer, static_kids=["d-1"], **others)
        for check in (check_api.check_cors, check_api.check_api_keys):
            assert_findings(check(environment), "")
        assert_findings(check_cookies.check_api_cookies(environment), "")


AT_API = "api_keys the API at api.example.com"
UNKNOWN = f"warning {AT_API} publishes no keys ({{}}), so the doctor cannot see"
FAILING = "problem api_keys the key set of the API…status 500, so sign-in…-> see the log of the API"
TWO_CORES = f"problem {AT_API} has different keys than pages verify with: two cores"
OF_API: dict[str, Any] = {"jwks_uri": f"{API}/auth/jwt/jwks.json"}

KEY_SETS: dict[str, Any] = {
    "a key in common": ("d-1 d-2", f"ok {AT_API} has the keys that pages verify with"),
    "another key": ("d-2", TWO_CORES),
    "no key set": (reply(status=404), UNKNOWN.format("status 404")),
    "a last status of clients": (reply(status=499), UNKNOWN.format("status 499")),
    "an error": (reply(status=500), FAILING),
    "silence": (DOWN, UNKNOWN.format(DOWN)),
    "it was not asked": (None, ""),
}
test_api_has_to_have_the_keys_that_pages_verify_with = table(
    check_api.check_api_keys, KEY_SETS, "api_key_set", static_kids=["d-1", "d-3"], **WORKS
)
KEYS_OF_PAGES: dict[str, Any] = {
    "pages have keys in their settings": ({"static_kids": ["d-1"]}, TWO_CORES),
    "pages have keys of a core": ({"key_servers": ("d-1",)}, TWO_CORES),
    "pages have no keys": ({"key_servers": (DOWN,)}, ""),
    "pages fetched their keys from the API": ({"key_servers": ("d-1",), **OF_API}, ""),
}
test_keys_of_the_api_matter_to_pages_with_keys_from_elsewhere = table(
    check_api.check_api_keys, KEYS_OF_PAGES, api_key_set="d-2", **WORKS
)


ORIGIN, CREDENTIALS = "Access_Control_Allow_Origin", "Access_Control_Allow_Credentials"
ALLOWED, EXPOSED = "Access_Control_Allow_Headers", "Access_Control_Expose_Headers"
BOTH = {ORIGIN: PAGES, CREDENTIALS: "true"}
PREFLIGHT: dict[str, Any] = {**BOTH, ALLOWED: ", ".join(CORS_HEADERS).upper()}
RESPONSE: dict[str, Any] = {**BOTH, **SIGNED_OUT, EXPOSED: "front-token,st-access-token"}
STATUS, NAMED = "responds to OPTIONS with status {}", "does not name the site in Access-Control-All"
TWICE = "names the site in Access-Control-Allow-Origin twice, so browsers block every refresh from"
ONCE = "does not send Access-Control-Allow-Credentials exactly once, as true"
NO_MODE = "does not list st-auth-mode in Access-Control-Allow-Headers"
NO_HEADERS = f"does not list {', '.join(CORS_HEADERS)} in Access-Control-Allow-Headers"
HIDDEN = "does not list front-token in Access-Control-Expose-Headers"

CORS: dict[str, Any] = {
    "all is allowed": ({}, {}, ""),
    "headers are allowed line by line": ({ALLOWED: CORS_HEADERS}, {}, ""),
    "headers are exposed line by line": ({}, {EXPOSED: ("anti-csrf", "Front-Token")}, ""),
    "the preflight has no body": ({"status": 204}, {}, ""),
    "the preflight has a first status": ({"status": 199}, {}, STATUS.format(199)),
    "the preflight redirects": ({"status": 300}, {}, STATUS.format(300)),
    "the preflight names all": ({ORIGIN: "*"}, {}, NAMED),
    "the response names all": ({}, {ORIGIN: "*"}, NAMED),
    # A proxy and the app both add it; browsers read "a, a".
    "the preflight names it twice": ({ORIGIN: (PAGES, PAGES)}, {}, TWICE),
    "the response names it twice": ({}, {ORIGIN: (PAGES, PAGES)}, TWICE),
    "the preflight takes no cookies": ({CREDENTIALS: ""}, {}, ONCE),
    "the response takes no cookies": ({}, {CREDENTIALS: ""}, ONCE),
    "the preflight takes them twice": ({CREDENTIALS: ("true", "true")}, {}, ONCE),
    "a header is missing": ({ALLOWED: "rid, fdi-version"}, {}, NO_MODE),
    # With credentials, browsers read this as a name.
    "all headers": ({ALLOWED: "*"}, {}, NO_HEADERS),
    "the front token is hidden": ({}, {EXPOSED: "st-access-token"}, HIDDEN),
}


@rows("preflight, response, defect", CORS)
def test_api_elsewhere_has_to_let_the_pages_in(
    preflight: dict[str, Any], response: dict[str, Any], defect: str
) -> None:
    answers = reply(**PREFLIGHT | preflight), reply(**RESPONSE | response)
    environment = make_environment(preflight=answers[0], refresh_api=answers[1])
    well = f"ok cors the API at api.example.com lets pages of {PAGES} refresh"
    expected = f"problem cors the API at api.example.com {defect}" if defect else well
    assert_findings(check_api.check_cors(environment), expected)


PLACES: dict[str, Any] = {
    "pages elsewhere": ({}, f"problem cors the API at api.example.com does not…({DOWN}) -> st"),
    "pages of the API's origin": ({"site": API}, ""),
    "pages of an unknown origin": ({"site": None}, ""),
    # Another check names the cause.
    "pages of another scheme": ({"site": "http://www.example.com"}, ""),
}
test_preflight_lets_pages_in = table(check_api.check_cors, PLACES, preflight=DOWN, **WORKS)


NO_SESSION = reply({"status": "UNAUTHORISED", "message": "no such session"})
ACCEPTS = "ok core the core accepts the requests of the SDK in this process"
REJECTS = "problem core the core at core-1:3567 rejects the API key of this process"
NOT_ACCEPTED = "problem core the core at core-0:3567 does not accept the SDK's requests ({}) -> st"
OLD_VERSION = "problem core the core at core-0:3567 refuses this SDK's version…CDI 5.4 (status 400)"
UNEXPECTED = NOT_ACCEPTED.format("unexpected content")

CORES: dict[str, Any] = {
    "it knows no session": ((NO_SESSION, NO_SESSION), ACCEPTS),
    "it was not asked": ((), ""),
    "the key is wrong": ((NO_SESSION, reply("secret", 401)), REJECTS),
    "it refuses the version": ((reply("", 400), NO_SESSION), OLD_VERSION),
    "an error": ((NO_SESSION.replace(status=500),), NOT_ACCEPTED.format("status 500")),
    "a page": ((reply("<html>"),), UNEXPECTED),
    "endless": ((reply("[" * 100_000),), UNEXPECTED),
    "a session": ((reply({"status": "OK"}),), UNEXPECTED),
    "all are broken": ((DOWN, reply("", 401)), NOT_ACCEPTED.format(DOWN)),
    # check_keys reports it.
    "it is down, and no keys are known": ({"cores": (DOWN,), "static_kids": ()}, ""),
}
test_core_accepts_the_sdk = table(check_api.check_core, CORES, "cores", static_kids=["d-1"])
