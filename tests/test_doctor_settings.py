"""What the doctor makes of settings and cookies; each expected beside its cure."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from flask_ssr_session.doctor.check_cookies import check_api_cookies, observed_cookies
from flask_ssr_session.doctor.check_settings import OLDEST_SDK, check_settings
from flask_ssr_session.doctor.environment import Environment
from flask_ssr_session.doctor.finding import Level
from flask_ssr_session.doctor.hosts import is_top_level

from .doctor_factories import API, PAGES, pages_alone, problems, reply, setup

# --- settings and the SDK ------------------------------------------------------------------------


def test_sound_setup_has_no_ill_and_every_line_says_something() -> None:
    findings = list(check_settings(setup()))

    assert problems(findings) == []
    assert all(finding.message and not finding.advice for finding in findings)
    checks = ["sdk_version", "sdk", "settings", "site", "cookie_domain", "cookie_secure"]
    assert [finding.check for finding in findings] == checks


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        pytest.param({"version": None}, "problem sdk_version", id="no SDK installed"),
        pytest.param({"version": "0.31.3"}, "problem sdk_version", id="SDK too old"),
        pytest.param({"sdk": {"dynamic_signing_key": None}}, "problem sdk", id="no Session recipe"),
        pytest.param({"api_domain": "https://other.example.com"}, "problem settings", id="api"),
        pytest.param({"api_base_path": "/api"}, "problem settings", id="base path"),
        pytest.param({"cookie_domain": "www.example.com"}, "problem settings", id="domain"),
        pytest.param({"issuer": "https://api.example.com"}, "problem settings", id="issuer"),
        pytest.param({"refresh_path": "/auth"}, "problem settings", id="refresh at sign-in"),
        pytest.param(
            {"jwks": {"keys": []}, "jwks_uri": f"{API}/jwks"}, "warning settings", id="two sources"
        ),
        pytest.param({"login_url": "/refresh-session/?a=b"}, "problem settings", id="query, too"),
        pytest.param({"insecure_cross_site": True}, "warning settings", id="cross-site"),
        pytest.param({"insecure_jwks_http": True}, "warning settings", id="keys in the clear"),
        pytest.param({"site": "https://shop.example.com"}, "warning site", id="another site"),
        pytest.param({"site": None}, "warning site", id="no site"),
    ],
)
def test_contradiction_is_named_with_its_cure(wrong: dict[str, Any], expected: str) -> None:
    findings = list(check_settings(setup(**wrong)))

    assert expected in problems(findings)
    assert all(finding.advice for finding in findings if finding.level is not Level.OK)


@pytest.mark.parametrize(
    "right",
    [
        {"version": "0.31.4"},
        {"version": "1.0"},
        {"version": "0.32.0rc1"},
        {"api_domain": API, "api_base_path": "/auth/"},
        {"cookie_domain": "example.com"},
        {"issuer": f"{API}/auth"},
        {"jwks": {"keys": []}},
        {"jwks_uri": f"{API}/jwks"},
        {"sdk": {"api_domain": f"{API}:443"}, "api_domain": API},
    ],
)
def test_settings_that_only_repeat_the_sdk_are_no_contradiction(right: dict[str, Any]) -> None:
    assert problems(check_settings(setup(**right))) == []


def test_middleware_is_missed_only_where_the_api_has_the_origin_of_the_pages() -> None:
    here = {"api_domain": PAGES}

    assert problems(check_settings(setup(sdk=here, has_sdk_middleware=False))) == ["warning sdk"]
    assert problems(check_settings(setup(sdk=here))) == []
    # The SDK keeps a port that browsers leave out.
    spelled = {"api_domain": f"{PAGES}:443"}
    assert problems(check_settings(setup(sdk=spelled, has_sdk_middleware=False))) == ["warning sdk"]
    assert problems(check_settings(setup(has_sdk_middleware=False))) == []


def test_oldest_sdk_is_what_the_package_asks_for() -> None:
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    asked = re.search(r'"supertokens-python>=([\d.]+)"', project)

    assert asked is not None
    assert tuple(map(int, asked[1].split("."))) == OLDEST_SDK


# --- cookies -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pages", "api", "domain", "is_well"),
    [
        pytest.param(PAGES, API, ".example.com", True, id="shared"),
        pytest.param(PAGES, API, "example.com", True, id="shared, without the dot"),
        pytest.param(PAGES, PAGES, None, True, id="one host"),
        pytest.param("http://localhost:5000", "http://localhost:8000", None, True, id="ports"),
        pytest.param(PAGES, API, None, False, id="not shared"),
        pytest.param(PAGES, API, ".api.example.com", False, id="too narrow"),
        pytest.param(PAGES, API, ".ample.com", False, id="no label of its own"),
        pytest.param(PAGES, API, ".other.com", False, id="another's"),
        pytest.param("https://a.com", "https://b.com", None, False, id="two sites"),
        pytest.param("https://a.com", "https://b.com", ".com", False, id="all of com"),
        pytest.param("https://a.co.uk", "https://b.co.uk", ".co.uk", False, id="all of co.uk"),
        pytest.param("https://co.uk", "https://co.uk", "co.uk", True, id="a suffix's own host"),
        pytest.param("http://127.0.0.1", "http://localhost", None, False, id="two loopbacks"),
        pytest.param("http://10.0.0.1", "http://9.0.0.1", ".0.0.1", False, id="addresses"),
    ],
)
def test_cookies_of_the_api_have_to_reach_the_pages(
    pages: str, api: str, domain: str | None, is_well: bool
) -> None:
    told = {"api_domain": api, "website_origin": pages, "cookie_domain": domain}
    found = problems(check_settings(setup(site=pages, sdk=told, cookies={"secure": False})))

    assert ("problem cookie_domain" in found) is not is_well


def test_the_domain_to_share_cookies_over_is_told() -> None:
    findings = check_settings(setup(sdk={"cookie_domain": None}))

    (advice,) = [finding.advice for finding in findings if finding.check == "cookie_domain"]
    assert 'session.init(cookie_domain=".example.com")' in advice


@pytest.mark.parametrize(
    ("pages", "api"),
    [
        ("https://a.co.uk", "https://b.co.uk"),
        ("https://a.com", "https://b.com"),
        ("https://a.com", "https://a.net"),
        ("http://10.0.0.1", "http://10.1.0.1"),
        ("http://localhost:5000", "http://api.example.com"),
        ("http://www.example.com", "http://localhost:5000"),
    ],
)
def test_no_domain_is_proposed_to_two_sites(pages: str, api: str) -> None:
    told = {"api_domain": api, "website_origin": pages, "cookie_domain": None}
    findings = check_settings(setup(site=pages, sdk=told, cookies={"secure": False}))

    (found,) = [finding for finding in findings if finding.check == "cookie_domain"]
    assert "are two sites" in found.message
    assert "cookie_domain=" not in found.advice


def test_a_top_level_domain_is_a_suffix_where_nobody_has_the_list() -> None:
    assert is_top_level("com")
    assert not is_top_level("example.com")


@pytest.mark.parametrize(
    ("scheme", "secure", "expected", "message"),
    [
        ("https", True, [], "session cookies are Secure"),
        ("http", False, [], "session cookies are not Secure"),
        ("http", True, ["problem cookie_secure"], "over plain http to www.example.com"),
        ("https", False, ["warning cookie_secure"], "would be sent over plain http, too"),
    ],
)
def test_secure_cookies_fit_the_scheme(
    scheme: str, secure: bool, expected: list[str], message: str
) -> None:
    site, api = f"{scheme}://www.example.com", f"{scheme}://api.example.com"
    told = {"api_domain": api, "website_origin": site}

    findings = list(check_settings(setup(site=site, sdk=told, cookies={"secure": secure})))
    assert problems(findings) == expected
    assert [
        message in finding.message for finding in findings if finding.check == "cookie_secure"
    ] == [True]


def test_secure_cookies_are_kept_on_this_very_machine() -> None:
    local = "http://localhost:5000"
    told = {"api_domain": local, "website_origin": local, "cookie_domain": None}

    assert (
        problems(check_settings(setup(site=local, sdk=told, cookies={"older_domain": None}))) == []
    )


def test_plain_api_of_an_encrypted_site_is_a_problem() -> None:
    assert "problem site" in problems(
        check_settings(setup(sdk={"api_domain": "http://api.example.com"}))
    )


def test_encrypted_api_of_a_plain_site_is_a_problem_but_on_this_very_machine() -> None:
    far = {"website_origin": "http://www.example.com"}
    near = {
        "api_domain": "https://localhost:8443",
        "website_origin": "http://localhost",
        "cookie_domain": None,
    }

    assert "problem site" in problems(check_settings(setup(site="http://www.example.com", sdk=far)))
    assert (
        problems(
            check_settings(setup(site="http://localhost", sdk=near, cookies={"older_domain": None}))
        )
        == []
    )


def test_who_has_changed_the_cookie_domain_is_reminded_without_a_warning() -> None:
    findings = check_settings(setup(cookies={"older_domain": None}))

    (found,) = [finding for finding in findings if finding.check == "older_cookie_domain"]
    assert found.level is Level.OK
    assert found.message == "not set; only who changed cookie_domain needs it"

    findings = check_settings(setup(cookies={"older_domain": ".www.example.com"}))
    assert "older_cookie_domain" not in [finding.check for finding in findings]


def test_older_cookies_are_no_matter_where_none_are_shared() -> None:
    alone = {"api_domain": PAGES, "cookie_domain": None}

    findings = list(check_settings(setup(sdk=alone, cookies={"older_domain": None})))
    assert problems(findings) == []
    assert "older_cookie_domain" not in [finding.check for finding in findings]
    assert (
        problems(check_settings(setup(sdk=alone, cookies={"older_domain": ".example.com"}))) == []
    )
    assert problems(check_settings(setup(sdk=alone, cookies={"older_domain": ""}))) == [
        "problem older_cookie_domain"
    ]


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        ({"same_site": "strict"}, ["warning cookie_same_site"]),
        ({"same_site": None}, []),
        ({"same_site": "none"}, []),
        (
            {"same_site": "none", "secure": False},
            ["warning cookie_secure", "problem cookie_same_site"],
        ),
        ({"older_domain": None}, []),
        ({"older_domain": "example.com"}, ["problem older_cookie_domain"]),
        ({"older_domain": ".www.example.com"}, []),
    ],
)
def test_cookies_that_stay_behind_are_named(cookies: dict[str, Any], expected: list[str]) -> None:
    assert problems(check_settings(setup(cookies=cookies))) == expected


# --- cookies of a running API --------------------------------------------------------------------

LEFT = "=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax"


def cleared(
    domain: str = "; Domain=example.com",
    secure: str = "; Secure",
    path: str = "/auth/session/refresh",
) -> tuple[str, ...]:
    """Return how the refresh API clears what is left of a session."""
    return (
        f"sAccessToken{LEFT}{domain}{secure}; Path=/",
        f"sRefreshToken{LEFT}{domain}{secure}; Path={path}",
    )


def seen(setup: Environment, *cookies: str) -> list[str]:
    answer = reply(status=401, Set_Cookie=(*cookies, "other=1; Partitioned", "", "=;=;"))
    return problems(check_api_cookies(setup, observed_cookies(answer)))


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        pytest.param(cleared(), [], id="as here"),
        pytest.param(cleared("; domain=.Example.com"), [], id="other spelling"),
        pytest.param(cleared(""), ["problem api_cookies"], id="host alone"),
        pytest.param(cleared("; Domain=api.example.com"), ["problem api_cookies"], id="narrower"),
        pytest.param(cleared(path="/"), [], id="everywhere"),
        pytest.param(cleared(secure="; Partitioned; Secure"), [], id="partitioned"),
        pytest.param(cleared(path="/auth/"), [], id="folder above"),
        pytest.param(cleared(path="/auth/session/ref"), ["problem api_cookies"], id="half a name"),
        pytest.param(
            cleared(path="/api/auth/session/refresh"), ["problem api_cookies"], id="gateway"
        ),
        pytest.param((), ["problem api_cookies"], id="none"),
        pytest.param(cleared()[:1], ["problem api_cookies"], id="no refresh token"),
        pytest.param(cleared()[1:], ["problem api_cookies"], id="no access token"),
        # The SDK here was asked for it.
        pytest.param(cleared(secure=""), [], id="not Secure"),
    ],
)
def test_cookies_of_the_running_api_are_what_is_thought_here(
    cookies: tuple[str, ...], expected: list[str]
) -> None:
    assert seen(setup(), *cookies) == expected


def test_what_the_running_api_does_otherwise_is_told() -> None:
    narrow = reply(Set_Cookie=cleared("; Domain=api.example.com"))
    (found,) = check_api_cookies(setup(), observed_cookies(narrow))
    (well,) = check_api_cookies(setup(), observed_cookies(reply(Set_Cookie=cleared())))

    assert found.message == (
        "the API sets session cookies for api.example.com, and here they are thought to be for "
        "example.com"
    )
    assert well.check == "api_cookies"
    assert observed_cookies(reply()) is None


def test_cookie_for_the_only_host_may_have_a_domain_or_none() -> None:
    one = {"api_domain": PAGES}
    with_domain, without = cleared("; Domain=www.example.com"), cleared("; Domain=")

    for told in (None, "www.example.com"):
        here = setup(sdk={**one, "cookie_domain": told})
        assert seen(here, *with_domain) == seen(here, *without) == []
        assert seen(here, *cleared()) == ["problem api_cookies"]
    # To a page of another host, or one that is not known, it makes a difference.
    for site in (None, "https://sub.www.example.com"):
        shared = setup(site=site, sdk={**one, "cookie_domain": "www.example.com"})
        assert seen(shared, *without) == ["problem api_cookies"]
        assert seen(shared, *with_domain) == []


@pytest.mark.parametrize(
    ("cookies", "expected"),
    [
        (cleared(), []),
        (cleared(secure=""), ["warning cookie_secure"]),
        (
            tuple(cookie.replace("Lax", "None") for cookie in cleared(secure="")),
            ["warning cookie_secure", "problem cookie_same_site"],
        ),
        (
            tuple(cookie.replace("Lax", "Strict") for cookie in cleared()),
            ["warning cookie_same_site"],
        ),
    ],
)
def test_running_api_says_how_cookies_are_set_where_no_sdk_does(
    cookies: tuple[str, ...], expected: list[str]
) -> None:
    assert seen(pages_alone(), *cookies) == expected
    assert seen(pages_alone(site=None), *cookies) == []


def test_settings_alone_are_sound_without_an_sdk() -> None:
    assert problems(check_settings(pages_alone())) == []
