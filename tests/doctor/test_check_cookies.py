"""The checks of the API's cookies: whether they reach the pages, and the API again."""

from __future__ import annotations

import socket
import sys
from typing import Any

import pytest

from flask_ssr_session.doctor import check_cookies
from flask_ssr_session.doctor.hosts import public_suffix_test
from tests.tables import rows

from .factories import API, PAGES, Expected, assert_findings, make_environment, reply, table

HOST, LOCAL, PLAIN = "www.example.com", "http://localhost:5000", "http://www.a.example"
SITES = "problem cookie_domain…are different sites, which never share cookies -> serve the API on"
API_REJECTED = "problem cookie_domain session cookies are set for {}, so browsers reject them from"
NEVER = "problem cookie_domain session cookies are set for {}, so the pages at www.example.com nev"
SUFFIX = "problem cookie_domain browsers reject cookies for the public suffix {} ->"
PROPOSED = 'problem cookie_domain…does not share…session.init(cookie_domain=".{}")'
LOOPBACKS = (
    "problem cookie_domain browsers share no cookies between 127.0.0.1 and localhost -> open the "
    "site at localhost, or set the SDK's domains to 127.0.0.1"
)
ADDRESSES = "problem cookie_domain session cookies are set for 0.0.1, so"
REACH = "ok cookie_domain session cookies for {} reach both"
ONE_HOST = "ok cookie_domain pages and API share the host {}"

DOMAINS: dict[str, Any] = {
    "a shared domain": (PAGES, API, ".example.com", REACH.format("example.com")),
    "without its dot": (PAGES, API, "example.com", REACH.format("example.com")),
    "one host": (PAGES, PAGES, None, ONE_HOST.format("www.example.com")),
    "one host with a domain": (PAGES, PAGES, HOST, REACH.format(HOST)),
    "two ports of one host": (LOCAL, "http://localhost:8000", None, ONE_HOST.format("localh")),
    "not shared": (PAGES, API, None, PROPOSED.format("example.com")),
    "the API's own": (PAGES, API, ".api.example.com", NEVER.format("api.example.com")),
    "the pages' own": (PAGES, API, "www.example.com", API_REJECTED.format("www.example.com")),
    "half a label": (PAGES, API, ".ample.com", API_REJECTED.format("ample.com")),
    "two sites": ("https://a.com", "https://b.com", None, SITES),
    "two sites below co.uk": ("https://a.co.uk", "https://b.co.uk", None, SITES),
    "all of co.uk": ("https://a.co.uk", "https://b.co.uk", ".co.uk", SUFFIX.format("co.uk")),
    "a suffix's own host": ("https://co.uk", "https://co.uk", "co.uk", REACH.format("co.uk")),
    "two loopbacks": ("http://127.0.0.1", "http://localhost", None, LOOPBACKS),
    "pages on loopback alone": (LOCAL, "http://api.example.com", None, SITES),
    "an API on loopback alone": ("http://www.example.com", LOCAL, None, SITES),
    "two addresses": ("http://10.0.0.1", "http://10.1.0.1", None, SITES),
    "the end of addresses": ("http://10.0.0.1", "http://9.0.0.1", ".0.0.1", ADDRESSES),
}


@rows("pages, api, domain, expected", DOMAINS)
def test_cookies_of_the_api_have_to_reach_the_pages(
    pages: str, api: str, domain: str | None, expected: Expected
) -> None:
    sdk = {"api_domain": api, "website_origin": pages, "cookie_domain": domain}
    environment = make_environment(site=pages, sdk=sdk)
    assert_findings(check_cookies.check_cookie_domain(environment), expected)
    is_apart = expected in (SITES, LOOPBACKS, SUFFIX.format("co.uk"), ADDRESSES)
    assert check_cookies.hosts_are_apart(environment) is is_apart


def test_cookies_are_not_checked_without_a_site() -> None:
    unknown = make_environment(site=None, cookies={"same_site": "none", "secure": False})
    assert not check_cookies.hosts_are_apart(unknown)
    for name in ("cookie_domain", "cookie_attributes", "older_cookie_domain"):
        assert_findings(getattr(check_cookies, f"check_{name}")(unknown), "")


SUFFIXES: dict[str, Any] = {
    "a top-level domain": ("com", True, True),
    "nothing": ("", True, True),
    "a country's": ("co.uk", True, False),
    "a hoster's": ("github.io", True, False),
    "a site's": ("example.com", False, False),
    "a user's": ("pages-of-ada.github.io", False, False),
}


@rows("domain, is_suffix, is_suffix_without_the_list", SUFFIXES)
def test_public_suffixes_are_known_without_network(
    domain: str, is_suffix: bool, is_suffix_without_the_list: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "connect", None)
    assert public_suffix_test()(domain) is is_suffix
    monkeypatch.setitem(sys.modules, "tldextract", None)
    assert public_suffix_test()(domain) is is_suffix_without_the_list


SECURE, NOT_SECURE = "ok cookie_secure session cookies are Secure", "ok cookie_secure…not Secure"
STRICT = "warning cookie_same_site session cookies are SameSite=Strict"
REJECTED = "problem cookie_same_site session cookies are SameSite=None without Secure"
IN_CLEAR = "warning cookie_secure…would be sent over plain http, too"
NOT_STORED = "problem cookie_secure session cookies are Secure, but browsers neither…http to "
INSECURE = {"secure": False}

ATTRIBUTES: dict[str, Any] = {
    "Secure over https": (PAGES, API, {}, SECURE),
    "in the clear over https": (PAGES, API, INSECURE, IN_CLEAR),
    "in the clear over http": (PLAIN, PLAIN, INSECURE, NOT_SECURE),
    "Secure over http": (PLAIN, PLAIN, {}, f"{NOT_STORED}www.a.example"),
    "Secure from a plain API": (PAGES, PLAIN, {}, f"{NOT_STORED}www.a.example"),
    "Secure on loopback": (LOCAL, LOCAL, {}, SECURE),
    "not Secure on loopback": (LOCAL, LOCAL, INSECURE, NOT_SECURE),
    "Strict": (PAGES, API, {"same_site": "strict"}, (SECURE, STRICT)),
    "unknown": (PAGES, API, {"same_site": None}, SECURE),
    "None": (PAGES, API, {"same_site": "none"}, SECURE),
    "None without Secure": (PAGES, API, INSECURE | {"same_site": "none"}, (IN_CLEAR, REJECTED)),
}


@rows("pages, api, cookies, expected", ATTRIBUTES)
def test_attributes_of_the_sdks_cookies(
    pages: str, api: str, cookies: dict[str, Any], expected: Expected
) -> None:
    sdk = {"api_domain": api, "website_origin": pages}
    environment = make_environment(site=pages, sdk=sdk, cookies=cookies)
    assert_findings(check_cookies.check_cookie_attributes(environment), expected)


SAME = "problem older_cookie_domain older_cookie_domain and cookie_domain are the same"
NOT_SET = "ok older_cookie_domain not set; only needed after a change of cookie_domain"


def older(domain: str | None, older: str | None) -> dict[str, Any]:
    return {"sdk": {"cookie_domain": domain}, "cookies": {"older_domain": older}}


OLDER: dict[str, Any] = {
    "host cookies were older": (older(".example.com", ""), ""),
    "a host's cookies were older": (older(".example.com", ".www.example.com"), ""),
    "older is now": (older(".example.com", "example.com"), SAME),
    # Not a warning: nobody could resolve it.
    "nothing is older": (older(".example.com", None), NOT_SET),
    "nothing is shared": (older(None, None), ""),
    "shared cookies were older": (older(None, ".example.com"), ""),
    "host cookies are not older": (older(None, ""), SAME),
}
test_cookies_of_an_earlier_domain = table(check_cookies.check_older_cookie_domain, OLDER)


REFRESH = "/auth/session/refresh"
OF_EXAMPLE, OF_WWW, OF_API = (f"; Domain={host}example.com" for host in ("", "www.", "api."))


def cleared(
    domain: str = OF_EXAMPLE, more: str = "; Secure; SameSite=Lax", path: str = REFRESH
) -> tuple[str, str]:
    """Return how the refresh API clears what is left of a session."""
    left = f"=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly{domain}{more}"
    return f"sAccessToken{left}; Path=/", f"sRefreshToken{left}; Path={path}"


def sets(*cookies: str, **changes: Any) -> dict[str, Any]:
    """Return the changes of an environment whose refresh API sets *cookies*, and others if any."""
    all_cookies = cookies and (*cookies, "other=1; Partitioned", "", "=;=;")
    answer = reply(status=401, front_token="remove", Set_Cookie=all_cookies)
    return {"refresh_api": answer, **changes}


WELL = "ok api_cookies the API sets session cookies as this process expects"
NONE_SET = "problem api_cookies the refresh API's response sets no session cookies"
DOMAIN = "problem api_cookies the API sets session cookies for {}, but this process expects them f"
PATH = "problem api_cookies the API sets the refresh token for a different path than browsers refr"

RUNNING: dict[str, Any] = {
    "as here": (sets(*cleared()), WELL),
    "in another spelling": (sets(*cleared("; domain=.Example.com")), WELL),
    "for the host alone": (sets(*cleared("")), DOMAIN.format("its own host only")),
    "narrower": (sets(*cleared(OF_API)), DOMAIN.format("api.example.com") + "or example.com"),
    "sent to the folder above": (sets(*cleared(path="/auth/")), WELL),
    "sent to half a name": (sets(*cleared(path="/auth/session/ref")), PATH),
    "sent to a gateway": (sets(*cleared(path=f"/api{REFRESH}")), PATH),
    # The SDK of this process is checked instead.
    "not Secure": (sets(*cleared(more="")), WELL),
    "none": (sets(), NONE_SET),
    "no refresh token": (sets(*cleared()[:1]), NONE_SET),
    "no access token": (sets(*cleared()[1:]), NONE_SET),
}

SUB = "https://sub.www.example.com"


def on_one_host(site: str | None, configured: str | None, domain: str) -> dict[str, Any]:
    return sets(*cleared(domain), site=site, sdk={"api_domain": PAGES, "cookie_domain": configured})


WIDER, HOST_ONLY = (DOMAIN.format(whose) for whose in ("example.com", "its own host only"))
NO_DOMAIN = "; Domain="
ONE_HOST_ONLY: dict[str, Any] = {
    "no domain at both": (on_one_host(PAGES, None, NO_DOMAIN), WELL),
    "the host's at the API": (on_one_host(PAGES, None, OF_WWW), WELL),
    "the host's at both": (on_one_host(PAGES, HOST, OF_WWW), WELL),
    "wider than here": (on_one_host(PAGES, None, OF_EXAMPLE), WIDER + "or one host only"),
    "wider than the host's here": (on_one_host(PAGES, HOST, OF_EXAMPLE), WIDER),
    "wider here": (on_one_host(PAGES, "example.com", NO_DOMAIN), HOST_ONLY),
    "pages below need the domain": (on_one_host(SUB, HOST, NO_DOMAIN), HOST_ONLY),
    "pages below get it": (on_one_host(SUB, HOST, OF_WWW), WELL),
    "unknown pages may need it": (on_one_host(None, HOST, NO_DOMAIN), HOST_ONLY),
}


def without_sdk(more: str, **changes: Any) -> dict[str, Any]:
    return sets(*cleared(more=more), has_sdk=False, **changes)


WITHOUT_SDK: dict[str, Any] = {
    "Secure": (without_sdk("; Secure; SameSite=Lax"), (WELL, SECURE)),
    "in the clear": (without_sdk("; SameSite=Lax"), (WELL, IN_CLEAR)),
    "None in the clear": (without_sdk("; SameSite=None"), (WELL, IN_CLEAR, REJECTED)),
    "Strict": (without_sdk("; Secure; SameSite=Strict"), (WELL, SECURE, STRICT)),
    "in the clear, to unknown pages": (without_sdk("", site=None), WELL),
}
RUNNING |= ONE_HOST_ONLY | WITHOUT_SDK
test_cookies_of_the_running_api = table(check_cookies.check_api_cookies, RUNNING)
