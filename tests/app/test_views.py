"""``/refresh-session`` and the two static files, on every host of an app."""

from __future__ import annotations

import gzip
import re
from hashlib import sha256
from typing import Any

import pytest
from flask import Flask, Request, redirect, render_template, url_for
from flask.testing import FlaskClient

from flask_ssr_session import session_optional
from flask_ssr_session.errors import ConfigError
from flask_ssr_session.pages import assets
from flask_ssr_session.testing import outage
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows
from tests.tokens import make_token

from .apps import TEMPLATE_GUARD, make_app, with_templates
from .visitors import cookies, page_shown, visiting

PREFETCH = PAGE | {"Sec-Purpose": "prefetch"}
PRERENDER = PAGE | {"Sec-Purpose": "prefetch;prerender"}
OTHER = "https://app.example.com"
OUTAGE = "session cannot be checked right now"
ASKS_SOFTLY = "{% if needs_refresh(optional=True) %}x{% endif %}"
DOCUMENT = "{% from refresh_page_template import refresh_page %}{{ refresh_page() }}"


@pytest.fixture(scope="module")
def own() -> Flask:
    return make_app(redirect_origins=[OTHER])


@pytest.fixture
def client(own: Flask) -> FlaskClient:
    return own.test_client(use_cookies=False)


# --- /refresh-session ----------------------------------------------------------------------------


LAYOUTS: dict[str, Any] = {
    "the packaged document": None,
    "a layout of the app": "",
    "a layout with an optional question": ASKS_SOFTLY,
    "a layout with a guarded part": "{{ menu() }}",
    "a layout that holds something back": "{% if not needs_refresh %}SECRET{% endif %}",
}


@rows("added", LAYOUTS)
def test_refresh_page_runs_the_script_whatever_the_verdict(added: str | None) -> None:
    app = make_app()
    if added is not None:
        with_templates(app, refresh_document=added + DOCUMENT)
    app.jinja_env.globals["menu"] = session_optional(lambda: "menu")
    client = app.test_client(use_cookies=False)
    for visitor in ("active", "expired", "invalid", "anonymous", "keys_unavailable"):
        for query in ("", "&optional=1", "&optional=1&continueSignedOut=1"):
            url = f"/refresh-session?redirectBack=/account{query}"
            with visiting(app, visitor) as headers:
                response = client.get(url, headers=headers)
                prefetched = client.get(url, headers=headers | PREFETCH)
            assert (response.status_code, page_shown(response)) == (200, "refresh"), visitor
            assert 'data-return-to="/account"' in response.text, visitor
            goes_on = 'href="/account?continueSignedOut=1"' in response.text
            assert goes_on is ("optional" in query), visitor
            is_shown = visitor == "active" and "{% if not" in str(added)
            assert ("SECRET" in response.text) is is_shown
            assert (prefetched.status_code, prefetched.data) == (503, b""), visitor
            for sent in (response.headers, prefetched.headers):
                assert sent["Cache-Control"] == "no-store", visitor
                assert sent["X-Robots-Tag"] == "noindex", visitor
                assert sent["Vary"] == "Cookie", visitor
                assert sent["SSR-Session"].endswith(f"; reason={visitor}"), visitor
                assert "Set-Cookie" not in sent, visitor


TARGETS: dict[str, Any] = {
    "nothing": ("", "/"),
    "no text": ("?redirectBack=%FF%FE", "/"),
    "two: the first counts": ("?redirectBack=/a&redirectBack=https://evil.example", "/a"),
}


@rows("query, target", TARGETS)
def test_refresh_page_leads_back_to_this_site(client: FlaskClient, query: str, target: str) -> None:
    for host in ("localhost", "evil.example", "evil.example@localhost"):
        response = client.get(f"/refresh-session{query}", headers=PAGE | {"Host": host})
        assert f'data-return-to="{target}"' in response.text, host
        assert f'href="{target}"' in response.text, host
        assert "evil" not in response.text, host


REDIRECTED: dict[str, Any] = {
    "prerender": (PRERENDER, "expired", "200 refresh"),
    "script, expired": (FETCH, "expired", "401 try refresh token"),
    "script, invalid": (FETCH, "invalid", "401 try refresh token"),
    "script in an outage": (FETCH, "keys_unavailable", f"503 {OUTAGE}"),
    "script, stranger: to ask again would be a loop": (FETCH, "anonymous", "200 refresh"),
    "script, active": (FETCH, "active", "200 refresh"),
}


@rows("headers, visitor, expected", REDIRECTED)
def test_script_that_was_redirected_here_gets_its_status(
    own: Flask, client: FlaskClient, headers: dict[str, str], visitor: str, expected: str
) -> None:
    """Swapped into a fragment's place, the page would do nothing good."""
    htmx = headers | {"HX-Request": "true", "HX-Current-URL": "/list"}
    with visiting(own, visitor, htmx) as sent:
        response = client.get("/refresh-session?redirectBack=/rows", headers=sent)
    shown = response.json["message"] if response.is_json and response.json else page_shown(response)
    assert f"{response.status_code} {shown}" == expected
    way = "/refresh-session?redirectBack=/list" if "401" in expected else None
    assert response.headers.get("HX-Redirect") == way
    assert response.headers.get("HX-Reswap") == (None if "200" in expected else "none")


def test_refresh_page_answers_head_and_refuses_posts(client: FlaskClient) -> None:
    assert client.head("/refresh-session", headers=PAGE).status_code == 200
    assert client.post("/refresh-session", headers=PAGE).status_code == 405


# --- static files --------------------------------------------------------------------------------

TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
KEPT = "public, max-age=31536000, immutable"
ANY_SUFFIX = rows("suffix", {suffix: suffix for suffix in TYPES})


def files_of(text: str) -> dict[str, str]:
    urls = re.findall(r'(?:src|href)="(/refresh-session/ssr-session-[^"]+)"', text)
    assert [url.rpartition(".")[2] for url in urls] == ["css", "js"]
    return dict(zip(TYPES, urls, strict=True))


@ANY_SUFFIX
def test_file_is_named_by_its_content_and_kept_for_ever(client: FlaskClient, suffix: str) -> None:
    url = files_of(client.get("/refresh-session", headers=PAGE).text)[suffix]
    response = client.get(url)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == TYPES[suffix]
    assert response.headers["Cache-Control"] == KEPT
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    digest = sha256(response.data).hexdigest()[:16]
    assert f"ssr-session-{digest}.{suffix}" in url
    # A page of another version gets this one, which no cache keeps under that name.
    other = client.get(url.replace(digest, "0123456789abcdef"))
    assert (other.status_code, other.data) == (200, response.data)
    assert other.headers["Cache-Control"] == "no-store"


ACCEPTED: dict[str, Any] = {
    "gzip": ("gzip", True),
    "anything": ("*", True),
    "no header": (None, False),
    "refused": ("gzip;q=0", False),
    "refused, anything else": ("gzip;q=0, *;q=1", False),
}


@ANY_SUFFIX
@rows("accepted, is_compressed", ACCEPTED)
def test_file_is_compressed_where_the_browser_accepts_it_and_the_same_for_everyone(
    own: Flask, client: FlaskClient, suffix: str, accepted: str | None, is_compressed: bool
) -> None:
    url = files_of(client.get("/refresh-session", headers=PAGE).text)[suffix]
    headers = {} if accepted is None else {"Accept-Encoding": accepted}
    response = client.get(url, headers=headers)
    assert response.headers.get("Content-Encoding") == ("gzip" if is_compressed else None)
    assert response.headers["Vary"] == "Accept-Encoding"
    assert response.content_length == len(response.data)
    assert "Set-Cookie" not in response.headers
    content = gzip.decompress(response.data) if is_compressed else response.data
    assert content == client.get(url).data
    headers |= cookies(make_token())
    with outage(own):
        others = [client.open(url, method=method, headers=headers) for method in ("GET", "HEAD")]
    assert [other.data for other in others] == [response.data, b""]
    assert [dict(other.headers) for other in others] == [dict(response.headers)] * 2


def test_nothing_else_is_served_below_the_refresh_page(client: FlaskClient) -> None:
    for path in ("ssr-session-x.html", "ssr-session-.js.gz", "other.js", ""):
        assert client.get(f"/refresh-session/{path}").status_code == 404, path
    path = "ssr-session-..%2f..%2fpy.typed.js"
    assert client.get(f"/refresh-session/{path}").status_code == 404


def test_package_that_was_not_built_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert assets.script().content
    monkeypatch.setattr(assets, "_STATIC", assets._STATIC / "nowhere")
    for load in (assets.script, assets.style):
        load.cache_clear()
        with pytest.raises(ConfigError, match=r"was not built: ssr-session\.(js|css) is missing"):
            load()


# --- apps of several hosts or sub-domains --------------------------------------------------------

HOSTS = {"host_matching": True, "static_host": "a.example"}
SUB = {"subdomain_matching": True}
PLACES: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "plain": ({}, "", ["http://localhost", "http://www.example.com:8080", "http://[::1]"]),
    "hosts": (HOSTS, "", ["http://a.example", "https://b.example", "http://127.0.0.1:5000"]),
    "sub-domains": (SUB, "", ["http://site.example", "https://a.b.site.example"]),
    "a default sub-domain": (SUB, "www", ["http://www.site.example", "http://x.site.example"]),
}


def app_on(options: dict[str, Any], default: str, origins: list[str]) -> Flask:
    """Return an app with a page, a way to the refresh page and a catch-all on each of its hosts."""
    app = Flask(__name__, **options)
    if app.subdomain_matching:
        app.config["SERVER_NAME"] = "site.example"
        app.url_map.default_subdomain = default
    with_templates(make_app(app), page=TEMPLATE_GUARD)
    views: dict[str, Any] = {
        "/page": lambda: render_template("page.html"),
        "/away": lambda: redirect(url_for("ssr_session.refresh", redirectBack="/page")),
        "/<path:rest>": lambda rest: f"no page named {rest}",
    }
    for origin in origins:
        host = origin.partition("//")[2]
        place: dict[str, Any] = {}
        if app.url_map.host_matching:
            place = {"host": host}
        elif app.subdomain_matching:
            place = {"subdomain": host.removesuffix("site.example").rstrip(".")}
        for path, view in views.items():
            app.add_url_rule(path, path, view, methods=["GET", "POST"], **place)
        # To this one, Werkzeug would redirect.
        app.add_url_rule("/<any('refresh-session'):rest>/", "slash", views["/<path:rest>"], **place)
    return app


@rows("options, default, origins", PLACES)
def test_refresh_page_and_files_are_on_every_host(options: Any, default: str, origins: Any) -> None:
    """Also where the app has a catch-all for the host, which Werkzeug tries first."""
    app, seen = app_on(options, default, origins), []
    app.url_value_preprocessor(lambda endpoint, values: seen.append((endpoint, values)))
    client = app.test_client(use_cookies=False)
    for origin in origins:
        page = client.get("/page", base_url=origin, headers=PAGE | cookies("junk"))
        assert page_shown(page) == "refresh", origin
        for suffix, path in files_of(page.text).items():
            response = client.get(path, base_url=origin)
            assert (response.status_code, response.mimetype) == (200, TYPES[suffix].split(";")[0])
            assert "immutable" in response.headers["Cache-Control"], origin
        seen.clear()
        url = "/refresh-session?redirectBack=/page"
        whole = client.get(url, base_url=origin, headers=PAGE)
        assert page_shown(whole) == "refresh", origin
        assert 'data-return-to="/page"' in whole.text, origin
        assert client.get("/away", base_url=origin).location == url, origin
        assert [endpoint for endpoint, _ in seen] == ["ssr_session.refresh", "/away"], origin
        assert seen[0][1] == {} or not app.url_map.host_matching, origin
        # Nothing else of the host is taken.
        for path in ("refresh-session/other.js", "refresh-sessions", "page/refresh-session"):
            assert client.get(f"/{path}", base_url=origin).text == f"no page named {path}", origin
        posted = client.post("/refresh-session", base_url=origin)
        assert posted.text == "no page named refresh-session", origin


@rows("host", {"trusted": "a.example", "not trusted": "evil.example"})
def test_host_that_the_app_does_not_trust_gets_what_it_gets_of_a_plain_app(host: str) -> None:
    """That is 400; before version 3.1 Flask itself has no trusted hosts."""
    statuses = []
    for kind in ("plain", "hosts"):
        app = app_on(*PLACES[kind])
        app.request_class = type("Careful", (Request,), {"trusted_hosts": ["a.example"]})
        get = app.test_client().get
        response = get("/refresh-session", base_url=f"http://{host}", headers=PAGE)
        statuses.append(response.status_code)
    assert statuses[0] == statuses[1]
    assert statuses[0] == 200 or host == "evil.example"
