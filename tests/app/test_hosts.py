"""Apps of several hosts or sub-domains: the refresh page and its files are on each of them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask, Request, redirect, render_template, url_for
from werkzeug.wrappers import Response

from flask_ssr_session import FlaskSSRSession
from flask_ssr_session.testing import install_test_keys
from tests.browser_requests import PAGE

from .conftest import API_DOMAIN, TEMPLATE_GUARD, cookies, page_shown, with_templates

APPS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "plain": ({}, ["http://localhost", "http://www.example.com:8080", "http://[::1]"]),
    "hosts": (
        {"host_matching": True, "static_host": "a.example"},
        ["http://a.example", "https://b.example", "http://b.example:8080", "http://127.0.0.1:5000"],
    ),
    "sub-domains": (
        {"subdomain_matching": True},
        ["http://site.example", "http://www.site.example", "https://a.b.site.example"],
    ),
    "a default sub-domain": (
        {"subdomain_matching": True, "default": "www"},
        ["http://site.example", "http://www.site.example", "http://shop.site.example"],
    ),
}
TYPES = {"css": "text/css", "js": "text/javascript"}
EVERY_PLACE = pytest.mark.parametrize(
    ("kind", "origin"),
    [pytest.param(kind, url, id=f"{kind}, {url}") for kind in APPS for url in APPS[kind][1]],
)


def app_of_kind(kind: str) -> Flask:
    """Return an app with a page, a way to the refresh page and a catch-all on each of its hosts."""
    options, origins = dict(APPS[kind][0]), APPS[kind][1]
    default_subdomain = options.pop("default", "")
    app = Flask(__name__, **options)
    app.testing = True
    if app.subdomain_matching:
        app.config["SERVER_NAME"] = "site.example"
        app.url_map.default_subdomain = default_subdomain
    FlaskSSRSession(app, api_domain=API_DOMAIN)
    install_test_keys(app)
    with_templates(app, page=TEMPLATE_GUARD)

    def page() -> str:
        return render_template("page.html")

    def leads_away() -> Response:
        return redirect(url_for("ssr_session.refresh", redirectBack="/page"))

    def catch_all(rest: str) -> str:
        return f"no page named {rest}"

    hosts = [origin.partition("//")[2] for origin in origins]
    places: list[dict[str, Any]] = [{}]
    if app.url_map.host_matching:
        places = [{"host": host} for host in hosts]
    elif app.subdomain_matching:
        places = [{"subdomain": host.removesuffix("site.example").rstrip(".")} for host in hosts]
    for place in places:
        app.add_url_rule("/page", "page", page, **place)
        app.add_url_rule("/leads-away", "leads_away", leads_away, **place)
        app.add_url_rule("/<path:rest>", "catch_all", catch_all, methods=["GET", "POST"], **place)
    return app


@EVERY_PLACE
def test_refresh_page_and_its_files_are_on_every_host(kind: str, origin: str) -> None:
    """Also where the app has a catch-all for the host, which Werkzeug tries first."""
    client = app_of_kind(kind).test_client(use_cookies=False)
    page = client.get("/page", base_url=origin, headers=PAGE | cookies("junk"))
    assert (page.status_code, page_shown(page)) == (200, "refresh")
    files = re.findall(r'(?:src|href)="(/refresh-session/ssr-session-[^"]+)"', page.text)
    assert [path.rpartition(".")[2] for path in files] == ["css", "js"]
    for path in files:
        response = client.get(path, base_url=origin)
        assert (response.status_code, response.mimetype) == (200, TYPES[path.rpartition(".")[2]])
        assert "immutable" in response.headers["Cache-Control"]
    whole = client.get("/refresh-session?redirectBack=/page", base_url=origin, headers=PAGE)
    assert (whole.status_code, page_shown(whole)) == (200, "refresh")
    assert 'data-return-to="/page"' in whole.text


@EVERY_PLACE
def test_nothing_else_of_the_host_is_taken(kind: str, origin: str) -> None:
    client = app_of_kind(kind).test_client(use_cookies=False)
    for path in ("refresh-session/other.js", "refresh-sessions", "page/refresh-session"):
        response = client.get(f"/{path}", base_url=origin, headers=PAGE)
        assert response.text == f"no page named {path}"
    posted = client.post("/refresh-session", base_url=origin)
    assert posted.text == "no page named refresh-session"


@EVERY_PLACE
def test_url_for_leads_to_the_refresh_page_of_the_same_host(kind: str, origin: str) -> None:
    client = app_of_kind(kind).test_client(use_cookies=False)
    response = client.get("/leads-away", base_url=origin)
    assert response.location == "/refresh-session?redirectBack=/page"


def test_hooks_of_the_app_see_the_endpoint_and_its_values_on_every_host() -> None:
    app = app_of_kind("hosts")
    seen: list[tuple[str | None, dict[str, Any] | None]] = []
    app.url_value_preprocessor(lambda endpoint, values: seen.append((endpoint, values)))
    client = app.test_client()
    for origin in APPS["hosts"][1]:
        client.get("/refresh-session", base_url=origin, headers=PAGE)
        client.get("/page", base_url=origin, headers=PAGE)
    assert {endpoint for endpoint, _ in seen} == {"ssr_session.refresh", "page"}
    assert all(values == {} for _, values in seen)


@pytest.mark.parametrize("host", ["a.example", "evil.example"])
def test_host_that_the_app_does_not_trust_gets_what_it_gets_of_a_plain_app(host: str) -> None:
    """That is 400; before version 3.1 Flask itself has no trusted hosts."""

    class CarefulRequest(Request):
        trusted_hosts = ["a.example"]  # noqa: RUF012 - as Werkzeug declares it

    statuses = []
    for kind in ("plain", "hosts"):
        app = app_of_kind(kind)
        app.request_class = CarefulRequest
        response = app.test_client().get(
            "/refresh-session", base_url=f"http://{host}", headers=PAGE
        )
        statuses.append(response.status_code)
    assert statuses[0] == statuses[1]
    assert statuses[0] == 200 or host == "evil.example"
