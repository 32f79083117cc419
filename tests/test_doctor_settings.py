"""The doctor's checks of settings and cookies."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from flask_ssr_session.doctor.check_cookies import (
    check_api_cookies,
    check_cookie_attributes,
    check_cookie_domain,
    check_older_cookie_domain,
    observed_cookies,
)
from flask_ssr_session.doctor.check_settings import (
    OLDEST_SDK,
    check_sdk,
    check_sdk_version,
    check_settings,
    check_site,
)
from flask_ssr_session.doctor.environment import Environment
from flask_ssr_session.doctor.finding import Finding, Level
from flask_ssr_session.doctor.hosts import is_top_level

from .doctor_factories import (
    API,
    PAGES,
    environment_without_sdk,
    findings_of,
    given,
    make_environment,
    problems,
    reply,
    result,
)

SETTINGS_CHECKS = (
    check_sdk_version,
    check_sdk,
    check_settings,
    check_site,
    check_cookie_domain,
    check_cookie_attributes,
    check_older_cookie_domain,
)


def of_settings(**changes: Any) -> list[Finding]:
    return findings_of(make_environment(**changes), *SETTINGS_CHECKS)


# --- settings and the SDK ------------------------------------------------------------------------


def test_faultless_environment_has_no_problem_and_every_line_has_a_message() -> None:
    findings = of_settings()

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
def test_contradiction_is_reported_with_advice(wrong: dict[str, Any], expected: str) -> None:
    findings = of_settings(**wrong)

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
    assert problems(of_settings(**right)) == []


def test_middleware_is_required_only_if_the_api_has_the_origin_of_the_pages() -> None:
    here = {"api_domain": PAGES}

    assert problems(of_settings(sdk=here, has_sdk_middleware=False)) == ["warning sdk"]
    assert problems(of_settings(sdk=here)) == []
    # The SDK keeps a port that browsers leave out.
    spelled = {"api_domain": f"{PAGES}:443"}
    assert problems(of_settings(sdk=spelled, has_sdk_middleware=False)) == ["warning sdk"]
    assert problems(of_settings(has_sdk_middleware=False)) == []


def test_oldest_sdk_is_what_the_package_asks_for() -> None:
    project = (Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'"supertokens-python>=([\d.]+)"', project)

    assert found is not None
    assert tuple(map(int, found[1].split("."))) == OLDEST_SDK


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
    sdk = {"api_domain": api, "website_origin": pages, "cookie_domain": domain}
    found = problems(of_settings(site=pages, sdk=sdk, cookies={"secure": False}))

    assert ("problem cookie_domain" in found) is not is_well


def test_shared_cookie_domain_is_proposed() -> None:
    findings = of_settings(sdk={"cookie_domain": None})

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
def test_no_cookie_domain_is_proposed_to_different_sites(pages: str, api: str) -> None:
    sdk = {"api_domain": api, "website_origin": pages, "cookie_domain": None}
    findings = of_settings(site=pages, sdk=sdk, cookies={"secure": False})

    (found,) = [finding for finding in findings if finding.check == "cookie_domain"]
    assert "are different sites" in found.message
    assert "cookie_domain=" not in found.advice


def test_a_top_level_domain_is_a_suffix_without_the_list() -> None:
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
    sdk = {"api_domain": api, "website_origin": site}

    findings = of_settings(site=site, sdk=sdk, cookies={"secure": secure})
    assert problems(findings) == expected
    assert [
        message in finding.message for finding in findings if finding.check == "cookie_secure"
    ] == [True]


def test_secure_cookies_work_on_loopback() -> None:
    local = "http://localhost:5000"
    sdk = {"api_domain": local, "website_origin": local, "cookie_domain": None}

    assert problems(of_settings(site=local, sdk=sdk, cookies={"older_domain": None})) == []


def test_plain_api_of_an_encrypted_site_is_a_problem() -> None:
    assert "problem site" in problems(of_settings(sdk={"api_domain": "http://api.example.com"}))


def test_encrypted_api_of_a_plain_site_is_a_problem_except_on_loopback() -> None:
    far = {"website_origin": "http://www.example.com"}
    near = {
        "api_domain": "https://localhost:8443",
        "website_origin": "http://localhost",
        "cookie_domain": None,
    }

    assert "problem site" in problems(of_settings(site="http://www.example.com", sdk=far))
    assert (
        problems(of_settings(site="http://localhost", sdk=near, cookies={"older_domain": None}))
        == []
    )


def test_missing_older_cookie_domain_is_no_warning() -> None:
    findings = of_settings(cookies={"older_domain": None})

    (found,) = [finding for finding in findings if finding.check == "older_cookie_domain"]
    assert found.level is Level.OK
    assert found.message == "not set; only needed after a change of cookie_domain"

    findings = of_settings(cookies={"older_domain": ".www.example.com"})
    assert "older_cookie_domain" not in [finding.check for finding in findings]


def test_older_cookies_do_not_matter_without_shared_cookies() -> None:
    alone = {"api_domain": PAGES, "cookie_domain": None}

    findings = of_settings(sdk=alone, cookies={"older_domain": None})
    assert problems(findings) == []
    assert "older_cookie_domain" not in [finding.check for finding in findings]
    assert problems(of_settings(sdk=alone, cookies={"older_domain": ".example.com"})) == []
    assert problems(of_settings(sdk=alone, cookies={"older_domain": ""})) == [
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
def test_cookie_attributes_are_checked(cookies: dict[str, Any], expected: list[str]) -> None:
    assert problems(of_settings(cookies=cookies)) == expected


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


def with_api_cookies(environment: Environment, *cookies: str) -> Environment:
    set_cookies = (*cookies, "other=1; Partitioned", "", "=;=;")
    answer = reply(status=401, front_token="remove", Set_Cookie=set_cookies)
    return given(environment, refresh_api=result(API, answer))


def of_api_cookies(environment: Environment, *cookies: str) -> list[str]:
    return problems(check_api_cookies(with_api_cookies(environment, *cookies)))


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
        # The SDK in this process is checked instead.
        pytest.param(cleared(secure=""), [], id="not Secure"),
    ],
)
def test_cookies_of_the_running_api_are_compared_with_the_settings(
    cookies: tuple[str, ...], expected: list[str]
) -> None:
    assert of_api_cookies(make_environment(), *cookies) == expected


def test_difference_of_the_running_api_is_shown() -> None:
    narrow = cleared("; Domain=api.example.com")
    (found,) = check_api_cookies(with_api_cookies(make_environment(), *narrow))
    (well,) = check_api_cookies(with_api_cookies(make_environment(), *cleared()))

    assert found.message == (
        "the API sets session cookies for api.example.com, but this process expects them for "
        "example.com"
    )
    assert well.check == "api_cookies"
    assert observed_cookies(reply()) is None


def test_cookie_for_the_only_host_may_have_a_domain_or_none() -> None:
    one = {"api_domain": PAGES}
    with_domain, without = cleared("; Domain=www.example.com"), cleared("; Domain=")

    for configured in (None, "www.example.com"):
        environment = make_environment(sdk={**one, "cookie_domain": configured})
        assert of_api_cookies(environment, *with_domain) == []
        assert of_api_cookies(environment, *without) == []
        assert of_api_cookies(environment, *cleared()) == ["problem api_cookies"]
    # For pages on another or an unknown host, it makes a difference.
    for site in (None, "https://sub.www.example.com"):
        shared = make_environment(site=site, sdk={**one, "cookie_domain": "www.example.com"})
        assert of_api_cookies(shared, *without) == ["problem api_cookies"]
        assert of_api_cookies(shared, *with_domain) == []


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
def test_running_api_shows_cookie_attributes_without_an_sdk(
    cookies: tuple[str, ...], expected: list[str]
) -> None:
    assert of_api_cookies(environment_without_sdk(), *cookies) == expected
    assert of_api_cookies(environment_without_sdk(site=None), *cookies) == []


def test_settings_without_an_sdk_have_no_problem() -> None:
    assert problems(findings_of(environment_without_sdk(), *SETTINGS_CHECKS)) == []
