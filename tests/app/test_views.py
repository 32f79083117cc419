"""``/refresh-session`` and the two static files."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from hashlib import sha256

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_ssr_session.errors import ConfigError
from flask_ssr_session.pages import assets
from flask_ssr_session.testing import expire, install_test_keys, outage, sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tokens import expired_token, make_token

from .conftest import cookies, make_app, page_shown, with_templates, with_views

# --- /refresh-session ----------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["active", "expired", "invalid", "anonymous", "outage"])
def test_refresh_page_runs_the_script_whatever_the_verdict(app: Flask, state: str) -> None:
    cookie = {
        "active": cookies(make_token()),
        "expired": cookies(expired_token()),
        "invalid": cookies("junk"),
        "anonymous": {},
        "outage": cookies(make_token()),
    }[state]
    client = app.test_client(use_cookies=False)
    if state == "outage":
        with outage(app):
            response = client.get("/refresh-session?redirectBack=/account", headers=PAGE | cookie)
    else:
        response = client.get("/refresh-session?redirectBack=/account", headers=PAGE | cookie)
    assert (response.status_code, page_shown(response)) == (200, "refresh")
    assert 'data-return-to="/account"' in response.text
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Robots-Tag"] == "noindex"
    assert response.headers["Vary"] == "Cookie"
    assert response.headers["SSR-Session"].endswith(
        {"outage": "keys_unavailable"}.get(state, state)
    )
    assert "Set-Cookie" not in response.headers


def _return_to(client: FlaskClient, query: str, **options: str) -> str:
    response = client.get("/refresh-session" + query, headers=PAGE | options)
    found = re.search(r'data-return-to="([^"]*)"', response.text)
    assert found is not None
    assert f'href="{found.group(1)}"' in response.text
    return found.group(1)


@pytest.mark.parametrize(
    ("query", "target"),
    [
        ("?redirectBack=/account", "/account"),
        ("?redirectBack=/account%3Fa%3D1%26b%3D2%23part", "/account?a=1&amp;b=2#part"),
        ("?redirectBack=/%C3%A9t%C3%A9", "/%C3%A9t%C3%A9"),
        ("?redirectBack=https://app.example.com/x", "https://app.example.com/x"),
        ("", "/"),
        ("?redirectBack=", "/"),
        ("?redirectBack=https://evil.example/", "/"),
        ("?redirectBack=https://app.example.com.evil.example/", "/"),
        ("?redirectBack=https://app.example.com@evil.example/", "/"),
        ("?redirectBack=http://localhost/account", "/"),
        ("?redirectBack=//evil.example", "/"),
        ("?redirectBack=/%5Cevil.example", "/"),
        ("?redirectBack=%5C%5Cevil.example", "/"),
        ("?redirectBack=/%252Fevil.example", "/"),
        ("?redirectBack=javascript:alert(1)", "/"),
        ("?redirectBack=JaVaScRiPt:alert(1)", "/"),
        ("?redirectBack=data:text/html,x", "/"),
        ("?redirectBack=%09//evil.example", "/"),
        ("?redirectBack=/%0d%0aSet-Cookie:a=b", "/"),
        ("?redirectBack=account", "/"),
        ("?redirectBack=/refresh-session", "/"),
        ("?redirectBack=/refresh-session%3FredirectBack=/x", "/"),
        ("?redirectBack=/auth", "/"),
        ("?redirectBack=/auth/", "/"),
        ("?redirectBack=/a&redirectBack=https://evil.example", "/a"),
        ("?redirectBack=%FF%FE", "/"),
        ('?redirectBack="><script>', "/"),
    ],
)
def test_refresh_page_leads_back_to_this_site_only(query: str, target: str) -> None:
    client = with_views(make_app(redirect_origins=["https://app.example.com"])).test_client()
    assert _return_to(client, query) == target


def test_foreign_host_header_changes_nothing(client: FlaskClient) -> None:
    for host in ("evil.example", "localhost:1", "evil.example@localhost"):
        assert _return_to(client, "?redirectBack=/account", Host=host) == "/account"
        assert _return_to(client, f"?redirectBack=http://{host}/account", Host=host) == "/"
        page = client.get("/refresh-session", headers=PAGE | {"Host": host})
        assert "evil" not in page.text


def test_refresh_page_of_a_mounted_app_refuses_its_own_mounted_path() -> None:
    client = with_views(make_app()).test_client()
    for target, sent in (("/shop/refresh-session", "/"), ("/refresh-session", "/refresh-session")):
        page = client.get(
            f"/refresh-session?redirectBack={target}",
            headers=PAGE,
            base_url="http://localhost/shop",
        )
        assert f'data-return-to="{sent}"' in page.text
        assert 'src="/shop/refresh-session/ssr-session-' in page.text


def test_refresh_path_can_be_set() -> None:
    app = with_views(make_app(refresh_path="/renew", refresh_flow="redirect"))
    client = app.test_client(use_cookies=False)
    response = client.get("/account", headers=PAGE | cookies(expired_token()))
    assert response.location == "/renew?redirectBack=/account"
    assert page_shown(client.get("/renew", headers=PAGE)) == "refresh"
    assert client.get("/refresh-session", headers=PAGE).status_code == 404


def test_way_on_without_a_session_is_offered_only_where_the_page_said_so(
    client: FlaskClient,
) -> None:
    optional = client.get("/refresh-session?redirectBack=/news&optional=1", headers=PAGE)
    required = client.get("/refresh-session?redirectBack=/news", headers=PAGE)
    assert 'href="/news?continueSignedOut=1"' in optional.text
    assert "continueSignedOut" not in required.text


def test_prefetched_refresh_page_is_not_kept(client: FlaskClient) -> None:
    prefetched = client.get("/refresh-session", headers=PAGE | {"Sec-Purpose": "prefetch"})
    prerendered = client.get(
        "/refresh-session", headers=PAGE | {"Sec-Purpose": "prefetch;prerender"}
    )
    assert (prefetched.status_code, prefetched.data) == (503, b"")
    assert prefetched.headers["Cache-Control"] == "no-store"
    assert (prerendered.status_code, page_shown(prerendered)) == (200, "refresh")


def test_refresh_page_answers_head_and_refuses_posts(client: FlaskClient) -> None:
    assert client.head("/refresh-session", headers=PAGE).status_code == 200
    assert client.post("/refresh-session", headers=PAGE).status_code == 405


@pytest.mark.parametrize("token", [expired_token, lambda: "junk"], ids=["expired", "invalid"])
def test_script_that_was_redirected_to_the_refresh_page_is_told_to_refresh(
    app: Flask, token: Callable[[], str]
) -> None:
    """Swapped into a fragment's place, the page would do nothing good."""
    client = app.test_client(use_cookies=False)
    response = client.get("/refresh-session", headers=FETCH | cookies(token()))
    assert (response.status_code, response.json) == (401, {"message": "try refresh token"})
    htmx = client.get(
        "/refresh-session?redirectBack=/account/rows",
        headers=FETCH | cookies(token()) | {"HX-Request": "true", "HX-Current-URL": "/account"},
    )
    assert htmx.headers["HX-Redirect"] == "/refresh-session?redirectBack=/account"


def test_script_that_was_redirected_to_the_refresh_page_is_told_of_an_outage(app: Flask) -> None:
    app.testing = True
    install_test_keys(app)
    client = app.test_client()
    sign_in(client)
    with outage(app):
        response = client.get("/refresh-session", headers=FETCH)
        page = client.get("/refresh-session", headers=PAGE)
    assert (response.status_code, response.mimetype) == (503, "application/json")
    assert (page.status_code, page_shown(page)) == (200, "refresh")


@pytest.mark.parametrize("cookie", [{}, cookies(make_token())], ids=["anonymous", "active"])
def test_script_that_no_refresh_would_help_gets_the_refresh_page_too(
    app: Flask, cookie: dict[str, str]
) -> None:
    """Repeated requests to refresh would be a loop."""
    client = app.test_client(use_cookies=False)
    response = client.get("/refresh-session", headers=FETCH | cookie)
    assert (response.status_code, page_shown(response)) == (200, "refresh")


# --- static files --------------------------------------------------------------------------------


def _urls(client: FlaskClient) -> dict[str, str]:
    text = client.get("/refresh-session", headers=PAGE).text
    urls = re.findall(r'(?:src|href)="(/refresh-session/ssr-session-[^"]+)"', text)
    return {url.rpartition(".")[2]: url for url in urls}


@pytest.mark.parametrize(
    ("suffix", "content_type"),
    [("js", "text/javascript; charset=utf-8"), ("css", "text/css; charset=utf-8")],
)
def test_file_is_named_by_its_content_and_kept_for_ever(
    client: FlaskClient, suffix: str, content_type: str
) -> None:
    url = _urls(client)[suffix]
    response = client.get(url)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == content_type
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert f"ssr-session-{sha256(response.data).hexdigest()[:16]}.{suffix}" in url


@pytest.mark.parametrize("suffix", ["js", "css"])
@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("br;q=1, gzip;q=0.5", True),
        ("*", True),
        (None, False),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *;q=1", False),
    ],
)
def test_file_is_sent_compressed_where_the_browser_accepts_it(
    client: FlaskClient, suffix: str, accepted: str | None, compressed: bool
) -> None:
    url = _urls(client)[suffix]
    headers = {} if accepted is None else {"Accept-Encoding": accepted}
    response = client.get(url, headers=headers)
    assert response.headers.get("Content-Encoding") == ("gzip" if compressed else None)
    assert "Accept-Encoding" in response.vary
    content = gzip.decompress(response.data) if compressed else response.data
    assert content == client.get(url).data
    head = client.head(url, headers=headers)
    assert head.data == b""
    assert dict(head.headers) == dict(response.headers)
    assert response.content_length == len(response.data)


def test_file_asked_for_by_another_hash_is_sent_and_not_kept(client: FlaskClient) -> None:
    url = _urls(client)["js"]
    other = re.sub(r"session-[0-9a-f]{16}", "session-0123456789abcdef", url)
    assert other != url
    response = client.get(other)
    assert (response.status_code, response.data) == (200, client.get(url).data)
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    [
        "/refresh-session/ssr-session-x.html",
        "/refresh-session/ssr-session-.js.gz",
        "/refresh-session/other.js",
        "/refresh-session/ssr-session-..%2f..%2fpy.typed.js",
        "/refresh-session/",
    ],
)
def test_nothing_else_is_served_below_the_refresh_page(client: FlaskClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_files_are_the_same_for_everyone(app: Flask, client: FlaskClient) -> None:
    url = _urls(client)["css"]
    stranger = client.get(url)
    sign_in(client)
    user = client.get(url)
    with outage(app):
        in_outage = client.get(url)
    for response in (user, in_outage):
        assert response.data == stranger.data
        assert dict(response.headers) == dict(stranger.headers)
    assert "Cookie" not in stranger.vary
    assert "Set-Cookie" not in stranger.headers


def test_package_that_was_not_built_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert assets.script().content
    monkeypatch.setattr(assets, "_STATIC", assets._STATIC / "nowhere")
    for load in (assets.script, assets.style):
        load.cache_clear()
        with pytest.raises(ConfigError, match=r"was not built: ssr-session\.(js|css) is missing"):
            load()


@pytest.mark.parametrize("query", ["", "?optional=1", "?optional=1&continueSignedOut=1"])
def test_no_query_of_the_refresh_page_opens_what_a_template_holds_back(query: str) -> None:
    app = with_templates(
        make_app(),
        layout="{% if not needs_refresh %}SECRET{% endif %}{% block body %}{% endblock %}",
        refresh_document="{% extends 'layout.html' %}{% block body %}"
        "{% from refresh_page_template import refresh_page %}{{ refresh_page() }}{% endblock %}",
    )
    client = app.test_client()

    def shown() -> tuple[bool, bool]:
        text = client.get(f"/refresh-session{query}", headers=PAGE).text
        return "SECRET" in text, "data-ssr-session" in text

    assert shown() == (False, True)
    sign_in(client)
    assert shown() == (True, True)
    expire(client)
    assert shown() == (False, True)


def test_a_mount_point_with_two_slashes_names_no_other_host() -> None:
    app = with_views(make_app(refresh_flow="redirect"))
    client = app.test_client(use_cookies=False)
    mounted = {"SCRIPT_NAME": "//evil.example"}
    for path in ("/account", "/refresh-session"):
        response = client.get(path, headers=PAGE | cookies("junk"), environ_overrides=mounted)
        assert not (response.location or "").startswith("//")
        assert '"//' not in response.text
