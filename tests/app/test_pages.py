"""``needs_refresh``, the macro ``refresh_page()``, its looks, and overrides that fail."""

from __future__ import annotations

import logging
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, abort, render_template, render_template_string
from flask import stream_template_string as stream
from flask.testing import FlaskClient
from flask_talisman import Talisman
from jinja2 import StrictUndefined

from flask_ssr_session import app_state, session_required
from flask_ssr_session.errors import MisuseError
from flask_ssr_session.pages.jinja_env import templates_folder
from flask_ssr_session.testing import expire, outage, sign_in
from tests.browser_requests import PAGE
from tests.tokens import expired_token, make_token

from .conftest import (
    EMAIL,
    TEMPLATE_GUARD,
    FakeGlobalClaims,
    cookies,
    make_app,
    page_shown,
    sdk_values,
    with_templates,
    with_views,
)

MACRO = "{% from 'refresh_page.html' import refresh_page %}"


class Elements(HTMLParser):
    """Collects the elements of a page, and the text inside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self._tag = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._tag = tag

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag in ("script", "style"):
            self.inline += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of this name."""
        return [attributes for name, attributes in self.elements if name == tag]


# --- needs_refresh -------------------------------------------------------------------------------

WAYS_TO_ASK = {
    "value": "{% if needs_refresh %}held{% else %}shown{% endif %}",
    "call": "{% if needs_refresh() %}held{% else %}shown{% endif %}",
    "negated value": "{% if not needs_refresh %}shown{% else %}held{% endif %}",
    "negated call": "{% if not needs_refresh() %}shown{% else %}held{% endif %}",
    "equal to true": "{% if needs_refresh == true %}held{% else %}shown{% endif %}",
    "equal to false": "{% if needs_refresh == false %}shown{% else %}held{% endif %}",
    "not equal": "{% if needs_refresh != false %}held{% else %}shown{% endif %}",
    "true on the left": "{% if true == needs_refresh %}held{% else %}shown{% endif %}",
    "equal to itself called": "{% if needs_refresh == needs_refresh() and needs_refresh %}held"
    "{% else %}shown{% endif %}",
    "test true": "{% if needs_refresh is true %}held{% else %}shown{% endif %}",
    "test false": "{% if needs_refresh is false %}shown{% else %}held{% endif %}",
    "test sameas": "{% if needs_refresh is sameas(true) %}held{% else %}shown{% endif %}",
    "test boolean": "{% if needs_refresh is boolean and not needs_refresh %}shown"
    "{% else %}held{% endif %}",
    "equal to one": "{% if needs_refresh == 1 %}held{% else %}shown{% endif %}",
    "as an int": "{% if needs_refresh|int %}held{% else %}shown{% endif %}",
    "as a float": "{% if needs_refresh|float %}held{% else %}shown{% endif %}",
    "summed up": "{% if [needs_refresh]|map('int')|sum %}held{% else %}shown{% endif %}",
    "in a list": "{% if needs_refresh in [true] %}held{% else %}shown{% endif %}",
    "combined": "{% if needs_refresh or false %}held{% else %}shown{% endif %}",
    "inline if": "{{ 'held' if needs_refresh else 'shown' }}",
    "kept in a variable": "{% set n = needs_refresh %}{{ 'held' if n else 'shown' }}",
    "made a plain boolean": "{% set n = (not needs_refresh)|tojson %}"
    "{{ {'false': 'held', 'true': 'shown'}[n] }}",
    "printed": "{% set n = needs_refresh|string %}{{ {'True': 'held', 'False': 'shown'}[n] }}",
    "macro without context": "{% from 'asks.html' import asks %}{{ asks() }}",
    "macro with context": "{% from 'asks.html' import asks with context %}{{ asks() }}",
    "whole module": "{% import 'asks.html' as m %}{{ m.asks() }}",
    "asked at the top of a macro file": "{% from 'top.html' import asks %}{{ asks() }}",
    "included": "{% include 'included.html' %}",
    "layout": "{% extends 'layout.html' %}{% block content %}shown{% endblock %}",
}
ASKING_TEMPLATES = {
    "asks": "{% macro asks() %}{% if needs_refresh %}held{% else %}shown{% endif %}{% endmacro %}",
    "top": "{% set n = needs_refresh() %}"
    "{% macro asks() %}{{ 'held' if n else 'shown' }}{% endmacro %}",
    "included": "{% if needs_refresh %}held{% else %}shown{% endif %}",
    "layout": "{% if needs_refresh %}held{% else %}{% block content %}{% endblock %}{% endif %}",
}


@pytest.mark.parametrize("way", WAYS_TO_ASK)
def test_needs_refresh_holds_back_in_every_way_it_can_be_asked(way: str) -> None:
    app = with_templates(make_app(), **ASKING_TEMPLATES)
    app.add_url_rule("/", "page", lambda: render_template_string(WAYS_TO_ASK[way]))
    client = app.test_client()
    assert client.get("/", headers=PAGE).text == "held"
    sign_in(client)
    assert client.get("/", headers=PAGE).text == "shown"
    expire(client)
    assert client.get("/", headers=PAGE).text == "held"
    sign_in(client)
    with outage(app):
        response = client.get("/", headers=PAGE)
        assert (response.status_code, response.text) == (200, "held")
    with app.app_context():
        assert render_template_string(WAYS_TO_ASK[way]) == "held"


def test_macro_file_imported_without_context_holds_no_state_of_an_earlier_request() -> None:
    app = with_templates(make_app(), **ASKING_TEMPLATES)
    source = WAYS_TO_ASK["macro without context"]
    app.add_url_rule("/", "page", lambda: render_template_string(source))
    user, stranger = app.test_client(), app.test_client()
    sign_in(user)
    assert [user.get("/").text, stranger.get("/").text, user.get("/").text] == [
        "shown",
        "held",
        "shown",
    ]


OPTIONAL = "{% if needs_refresh(optional=True) %}held{% else %}shown{% endif %}"


def test_optional_page_is_held_back_only_from_a_reader_who_can_refresh() -> None:
    app = make_app()
    app.add_url_rule("/", "page", lambda: render_template_string(OPTIONAL))
    client = app.test_client()
    assert client.get("/", headers=PAGE).text == "shown"
    sign_in(client)
    assert client.get("/", headers=PAGE).text == "shown"
    with outage(app):
        assert client.get("/", headers=PAGE).text == "shown"
    expire(client)
    assert client.get("/", headers=PAGE).text == "held"
    assert client.get("/?continueSignedOut=1", headers=PAGE).text == "shown"
    with app.app_context():
        assert render_template_string(OPTIONAL) == "held"


def test_layout_that_asks_optionally_opens_no_page_that_asks_plainly() -> None:
    header = "{% if needs_refresh(optional=True) %}?{% else %}menu {% endif %}"
    content = "{% if needs_refresh %}held{% else %}shown{% endif %}"
    app = with_templates(
        make_app(),
        before=header + "{% block content %}{% endblock %}",
        after="{% block content %}{% endblock %} " + header,
    )
    for layout in ("before", "after"):
        source = f"{{% extends '{layout}.html' %}}{{% block content %}}{content}{{% endblock %}}"
        app.add_url_rule(f"/{layout}", layout, render_template_string, defaults={"source": source})
    client = app.test_client()
    for mark in ("", "?continueSignedOut=1"):
        assert client.get("/before" + mark, headers=PAGE).text == "menu held"
        assert client.get("/after" + mark, headers=PAGE).text.strip() == "held menu"
    sign_in(client)
    assert client.get("/before", headers=PAGE).text == "menu shown"


def test_error_page_that_asks_is_no_error_and_keeps_its_status() -> None:
    app = with_templates(make_app(), missing="404: {{ 'held' if needs_refresh else 'shown' }}")
    app.register_error_handler(404, lambda _error: (render_template("missing.html"), 404))
    client = app.test_client()
    for path in ("/nowhere", "/auth/nowhere"):
        response = client.get(path, headers=PAGE)
        assert (response.status_code, response.text) == (404, "404: held")
        assert "Cache-Control" not in response.headers
    sign_in(client)
    assert client.get("/nowhere").text == "404: shown"
    with outage(app):
        response = client.get("/nowhere", headers=PAGE)
    assert (response.status_code, response.text) == (404, "404: held")
    assert "Retry-After" not in response.headers


def test_needs_refresh_is_true_and_no_error_where_setup_is_broken() -> None:
    app = make_app(api_domain=None)
    app.register_error_handler(Exception, lambda _error: (render_template_string(OPTIONAL), 500))
    response = app.test_client().get("/anything", headers=PAGE)
    assert (response.status_code, response.text) == (500, "held")


def test_streamed_template_asks_while_it_is_sent() -> None:
    source = MACRO + "<p>{% if needs_refresh %}{{ refresh_page() }}{% else %}shown{% endif %}"
    app = make_app()
    app.add_url_rule("/", "page", lambda: stream(source))
    client = app.test_client()
    assert page_shown(client.get("/", headers=PAGE)) == "sign_in"
    sign_in(client)
    assert client.get("/", headers=PAGE).text == "<p>shown"
    with outage(app):
        response = client.get("/", headers=PAGE)
    assert (response.status_code, page_shown(response)) == (200, "outage")


# --- the macro -----------------------------------------------------------------------------------


def test_page_with_the_macro_is_not_stored_whatever_the_view_set(app: Flask) -> None:
    @app.route("/cached")
    def cached() -> Response:
        response = app.make_response(render_template("page.html"))
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response

    client = app.test_client()
    held = client.get("/cached", headers=PAGE)
    assert held.headers["Cache-Control"] == "no-store"
    assert held.headers["X-Robots-Tag"] == "noindex"
    assert held.headers["SSR-Session"] == "anonymous; reason=anonymous"
    sign_in(client)
    shown = client.get("/cached", headers=PAGE)
    assert shown.text == "content"
    assert shown.headers["Cache-Control"] == "max-age=3600, private"
    assert "SSR-Session" not in shown.headers


@pytest.mark.parametrize(("status", "sent"), [(200, 503), (404, 404), (500, 500)])
def test_macro_in_an_outage_sets_503_unless_the_page_is_an_error_already(
    app: Flask, client: FlaskClient, status: int, sent: int
) -> None:
    app.add_url_rule("/shows", "shows", lambda: (render_template("page.html"), status))
    sign_in(client)
    assert client.get("/shows", headers=PAGE).status_code == status
    with outage(app):
        response = client.get("/shows", headers=PAGE)
    assert (response.status_code, page_shown(response)) == (sent, "outage")
    assert response.headers["Retry-After"] == "10"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("how", ["", " with context"])
def test_macro_works_imported_with_and_without_context(how: str) -> None:
    app = make_app()
    source = f"{{% from 'refresh_page.html' import refresh_page{how} %}}{{{{ refresh_page() }}}}"
    app.add_url_rule("/", "page", lambda: render_template_string(source))
    client = app.test_client(use_cookies=False)
    for cookie, part in (
        ({}, "sign_in"),
        (cookies(expired_token()), "refresh"),
        ({}, "sign_in"),
        (cookies("junk"), "refresh"),
    ):
        assert page_shown(client.get("/", headers=PAGE | cookie)) == part


def test_call_block_replaces_the_look_and_keeps_the_rest() -> None:
    source = MACRO + "{% call refresh_page() %}<b>our own look</b>{% endcall %}"
    app = make_app()
    app.add_url_rule("/own", "own", lambda: render_template_string(source))
    app.add_url_rule("/std", "std", lambda: render_template_string(MACRO + "{{ refresh_page() }}"))
    client = app.test_client(use_cookies=False)
    headers = PAGE | cookies("junk")
    own, standard = client.get("/own", headers=headers), client.get("/std", headers=headers)
    assert "<b>our own look</b>" in own.text
    assert "ssr-session-spinner" not in own.text
    assert "ssr-session-spinner" in standard.text
    for response in (own, standard):
        elements = Elements(response.text)
        assert len(elements.named("script")) == 1
        assert len(elements.named("noscript")) == 1


def test_every_text_can_be_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    sdk = sdk_values(global_claims=FakeGlobalClaims(EMAIL))
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk)
    app = make_app()
    source = (
        "{% import 'refresh_page.html' as page %}{% set t = {} %}"
        "{% for key in page.default_texts %}{% set _ = t.update({key: 'text-' ~ key}) %}"
        "{% endfor %}"
        "{{ page.refresh_page(texts=t) }}{{ page.default_texts|list|join(',') }}"
    )
    app.add_url_rule("/", "page", lambda: render_template_string(source), methods=["GET", "POST"])
    client = app.test_client(use_cookies=False)
    shown = ""
    keys: list[str] = []
    for cookie in ({}, cookies("junk"), cookies(make_token(issued_at=9_000_000_000))):
        for method in ("GET", "POST"):
            text = client.open("/", method=method, headers=PAGE | cookie).text
            shown += text
            keys = text.rpartition("</div>")[2].split(",")
    with outage(app):
        shown += client.get("/", headers=PAGE | cookies(make_token())).text
    shown += client.post("/", headers=PAGE | {"Sec-Fetch-Site": "cross-site"}).text
    shown += client.get("/", headers=PAGE | cookies(make_token(email_verified=False))).text
    shown += client.get("/", headers=PAGE | cookies(make_token(**{"st-mfa": None}))).text
    # The link to go on is shown on optional pages only, and forms are kept for views only.
    missing = [key for key in keys if f"text-{key}" not in shown]
    assert len(keys) > 20
    assert missing == ["renewed_form", "send", "other_owner", "other_owner_detail", "continue"]


@pytest.mark.parametrize("debug", [True, False])
def test_text_of_an_unknown_name_is_an_error_in_debug_only(debug: bool) -> None:
    app = make_app()
    app.debug = debug
    source = (
        "{% from 'refresh_page.html' import refresh_page %}"
        "{{ refresh_page(texts={'wroking': 'Moment'}) }}"
    )
    with app.test_request_context("/", headers=PAGE | cookies("junk")):
        app.preprocess_request()
        if debug:
            with pytest.raises(
                MisuseError, match="no text named 'wroking'; did you mean 'working'"
            ):
                render_template_string(source)
        else:
            assert "One moment" in render_template_string(source)


def test_texts_and_nonce_are_escaped() -> None:
    app = make_app()
    source = (
        "{% import 'refresh_page.html' as page %}{% set t = {} %}"
        "{% for key in page.default_texts %}{% set _ = t.update({key: given}) %}{% endfor %}"
        "{{ page.refresh_page(nonce=given, texts=t) }}"
    )
    given = "\"'><script>alert(1)</script>"

    @app.route("/", methods=["GET", "POST"])
    def page() -> str:
        return render_template_string(source, given=given)

    client = app.test_client(use_cookies=False)
    pages = [
        client.open("/", method=method, headers=PAGE | cookie).text
        for method in ("GET", "POST")
        for cookie in ({}, cookies("junk"), cookies(make_token(issued_at=9_000_000_000)))
    ]
    for text in pages:
        assert "&lt;script&gt;alert(1)" in text
        assert "<script>alert" not in text
    (script,) = Elements(pages[1]).named("script")
    assert script["nonce"] == given


HOSTILE = [
    '/x/"><script>alert(1)</script>',
    "/x/'onmouseover='alert(1)",
    "/x/a?q=\"><script>alert(1)</script>&'=<b>",
    "/x/%22%3E%3Cscript%3Ealert(1)%3C/script%3E?%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    "/x/{{ 7*7 }}?{{ config }}",
    "/x/javascript:alert(1)",
    "/x/a?javascript:alert(1)",
    "/x/-->?]]>",
]


@pytest.mark.parametrize("path", HOSTILE)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("state_of", ["refresh", "sign_in", "outage"])
def test_hostile_path_and_query_stay_inside_their_attributes(
    path: str, method: str, state_of: str
) -> None:
    app = with_templates(make_app(), page=TEMPLATE_GUARD)
    app.add_url_rule(
        "/x/<path:rest>", "x", lambda **_: render_template("page.html"), methods=["GET", "POST"]
    )
    app.add_url_rule(
        "/x/plain", "plain", lambda: render_template("page.html"), methods=["GET", "POST"]
    )
    client = app.test_client(use_cookies=False)
    cookie = {"refresh": cookies("junk"), "sign_in": {}, "outage": cookies(make_token())}[state_of]
    if state_of == "outage":
        with outage(app):
            hostile = client.open(path, method=method, headers=PAGE | cookie)
            plain = client.open("/x/plain", method=method, headers=PAGE | cookie)
    else:
        hostile = client.open(path, method=method, headers=PAGE | cookie)
        plain = client.open("/x/plain", method=method, headers=PAGE | cookie)
    assert page_shown(hostile) == page_shown(plain) == state_of
    found, expected = Elements(hostile.text), Elements(plain.text)
    # The same elements with the same attributes, and no new script.
    assert [(tag, list(attributes)) for tag, attributes in found.elements] == [
        (tag, list(attributes)) for tag, attributes in expected.elements
    ]
    assert found.inline == ""
    for _, attributes in found.elements:
        for name in ("href", "src"):
            value = attributes.get(name)
            assert value is None or (value.startswith("/") and not value.startswith("//"))
    assert "49" not in hostile.text.partition("<script")[0]


def test_url_of_an_error_page_is_escaped_too() -> None:
    app = with_templates(make_app(), page=TEMPLATE_GUARD)
    app.register_error_handler(404, lambda _error: (render_template("page.html"), 404))
    client = app.test_client(use_cookies=False)
    text = client.get('/"><script>alert(1)</script>', headers=PAGE | cookies("junk")).text
    assert len(Elements(text).named("script")) == 1


def test_script_element_says_what_the_browser_needs_to_know() -> None:
    app = with_views(make_app(cookie_domain=".example.com", api_base_path="/api/auth"))
    client = app.test_client(use_cookies=False)
    text = client.get("/page?a=1", headers=PAGE | cookies("junk")).text
    (script,) = Elements(text).named("script")
    assert script.pop("src", "").startswith("/refresh-session/ssr-session-")  # type: ignore[union-attr]
    fingerprint = script.pop("data-token")
    assert fingerprint is not None
    assert len(fingerprint) == 16
    assert script == {
        "data-mode": "refresh",
        "data-reason": "invalid",
        "data-sign-in": "/auth?redirectToPath=/page%3Fa%3D1",
        "data-return-param": "redirectToPath",
        "data-api-domain": "https://api.example.com",
        "data-api-base-path": "/api/auth",
        "data-cookie-domain": ".example.com",
        "data-expired-status": "401",
    }
    (posted,) = Elements(client.post("/page", headers=PAGE | cookies("junk")).text).named("script")
    assert "data-unsafe" in posted


def test_session_script_starts_the_sdk_on_an_ordinary_page() -> None:
    app = make_app()
    app.add_url_rule("/", "page", lambda: render_template_string("{{ session_script('n') }}"))
    (script,) = Elements(app.test_client().get("/").text).named("script")
    assert script["data-mode"] == "session"
    assert script["nonce"] == "n"
    assert script["data-api-domain"] == "https://api.example.com"
    assert "data-token" not in script


def test_macro_works_with_strict_undefined() -> None:
    app = with_views(make_app())
    app.jinja_env.undefined = StrictUndefined
    client = app.test_client(use_cookies=False)
    for path in ("/page", "/account", "/refresh-session"):
        assert page_shown(client.get(path, headers=PAGE | cookies("junk"))) == "refresh"


# --- Content-Security-Policy ---------------------------------------------------------------------


def test_nothing_on_our_pages_is_inline(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    pages = [client.get(path, headers=PAGE) for path in ("/page", "/refresh-session")]
    pages.append(client.post("/account", headers=PAGE))
    pages += [client.get("/account", headers=PAGE | cookies("junk"))]
    with outage(app):
        pages.append(client.get("/account", headers=PAGE | cookies(make_token())))
    for page in pages:
        found = Elements(page.text)
        assert found.inline == ""
        for _, attributes in found.elements:
            assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_nonce_comes_from_the_argument_or_else_from_the_apps_global() -> None:
    app = make_app()
    app.jinja_env.globals["csp_nonce"] = lambda: "of-the-app"
    for name, call in (("with", "refresh_page(nonce='given')"), ("without", "refresh_page()")):
        app.add_url_rule(
            f"/{name}", name, render_template_string, defaults={"source": f"{MACRO}{{{{{call}}}}}"}
        )
    client = app.test_client(use_cookies=False)
    pages = [
        Elements(client.get(path, headers=PAGE | cookies("junk")).text)
        for path in ("/with", "/without", "/refresh-session")
    ]
    for tag in ("script", "link"):
        nonces = [page.named(tag)[0]["nonce"] for page in pages]
        assert nonces == ["given", "of-the-app", "of-the-app"]


def test_talisman_may_replace_the_headers_of_our_pages() -> None:
    app = with_views(make_app())
    Talisman(app, force_https=False)
    client = app.test_client(use_cookies=False)
    for path in ("/account", "/page", "/refresh-session"):
        response = client.get(path, headers=PAGE | cookies("junk"))
        assert page_shown(response) == "refresh"
        assert response.headers["Content-Security-Policy"].startswith("default-src 'self'")
        assert response.headers["Cache-Control"] == "no-store"
        (script,) = Elements(response.text).named("script")
        assert "nonce" not in script
        assert (script["src"] or "").startswith("/refresh-session/")


def test_talismans_nonce_is_used() -> None:
    app = with_views(make_app())
    Talisman(
        app,
        force_https=False,
        content_security_policy={"default-src": "'self'", "script-src": "'strict-dynamic'"},
        content_security_policy_nonce_in=["script-src"],
    )
    client = app.test_client(use_cookies=False)
    for path in ("/account", "/page", "/refresh-session"):
        response = client.get(path, headers=PAGE | cookies("junk"))
        (script,) = Elements(response.text).named("script")
        assert script["nonce"]
        assert f"'nonce-{script['nonce']}'" in response.headers["Content-Security-Policy"]


# --- overrides -----------------------------------------------------------------------------------

FIVE_LINES = """\
{% import "flask_ssr_session/refresh_page.html" as packaged %}
{% macro refresh_page() %}
<p>in our own words</p>
{{ packaged.refresh_page(texts={"working": "our text"}) }}
{% endmacro %}
"""


def _templates(app: Flask, folder: Path, **sources: str) -> None:
    for name, text in sources.items():
        (folder / f"{name}.html").write_text(text)
    app.template_folder = str(folder)


def test_app_overrides_the_macro_in_five_lines(tmp_path: Path) -> None:
    app = make_app()
    _templates(app, tmp_path, refresh_page=FIVE_LINES, page=TEMPLATE_GUARD)
    app.add_url_rule("/page", "page", lambda: render_template("page.html"))
    app.add_url_rule("/account", "account", session_required(lambda: "secret"))
    client = app.test_client(use_cookies=False)
    for path in ("/page", "/account", "/refresh-session"):
        response = client.get(path, headers=PAGE | cookies("junk"))
        assert "<p>in our own words</p>" in response.text
        assert "our text" in response.text
        assert page_shown(response) == "refresh"
    policy = client.get("/account", headers=PAGE | cookies("junk")).headers
    assert policy["Content-Security-Policy"] == "frame-ancestors 'self'"


def test_app_overrides_the_document(tmp_path: Path) -> None:
    document = "our layout {% from refresh_page_template import refresh_page %}{{ refresh_page() }}"
    app = make_app()
    _templates(app, tmp_path, refresh_document=document, page=TEMPLATE_GUARD)
    app.add_url_rule("/account", "account", session_required(lambda: "secret"))
    app.add_url_rule("/page", "page", lambda: render_template("page.html"))
    client = app.test_client(use_cookies=False)
    whole = client.get("/account", headers=PAGE | cookies("junk"))
    assert whole.text.startswith("our layout")
    assert page_shown(whole) == "refresh"
    assert whole.headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    part = client.get("/page", headers=PAGE | cookies("junk"))
    assert "our layout" not in part.text


def test_blueprint_registered_late_overrides_too(tmp_path: Path) -> None:
    app = with_views(make_app())
    (tmp_path / "refresh_page.html").write_text(FIVE_LINES)
    app.register_blueprint(Blueprint("look", "look", template_folder=str(tmp_path)))
    client = app.test_client(use_cookies=False)
    response = client.get("/account", headers=PAGE | cookies("junk"))
    assert "<p>in our own words</p>" in response.text


def test_original_stays_importable_beside_an_override(tmp_path: Path) -> None:
    app = make_app()
    _templates(app, tmp_path, refresh_page="{% macro refresh_page() %}ours{% endmacro %}")
    for name in ("refresh_page.html", "flask_ssr_session/refresh_page.html"):
        source = f"{{% from '{name}' import refresh_page %}}{{{{ refresh_page() }}}}"
        with app.test_request_context(headers=PAGE):
            assert ("data-ssr-session" in render_template_string(source)) is ("/" in name)


def _context_processor_fails(app: Flask, value: str) -> None:
    @app.context_processor
    def fails() -> dict[str, Any]:
        raise ValueError(value)


BROKEN = {
    "syntax error": "{% macro refresh_page() %}{% endfor %}",
    "undefined": "{% macro refresh_page() %}{{ nobody.knows.it }}{% endmacro %}{{ no.body }}",
    "undefined in the macro": "{% macro refresh_page() %}{{ nobody.knows.it }}{% endmacro %}",
    "division": "{% macro refresh_page() %}{{ secret_value / 0 }}{% endmacro %}{{ 1 / 0 }}",
    "no macro": "nothing in it",
    "missing import": "{% import 'nowhere.html' as x %}",
    "endless": "{% macro refresh_page() %}{{ refresh_page() }}{% endmacro %}{{ refresh_page() }}",
    "aborts": "{% macro refresh_page() %}{{ stop() }}{% endmacro %}{{ stop() }}",
}


# A document may contain all texts itself; a macro that it only defines is not called.
BROKEN_FILES = [("refresh_page", broken) for broken in BROKEN] + [
    ("refresh_document", broken)
    for broken in BROKEN
    if broken not in ("no macro", "undefined in the macro")
]


ORIGINAL = "{% from 'flask_ssr_session/refresh_page.html' import refresh_page as original %}"
SCRIPTS = {
    "the original": ("{{ original() }}", True),
    "the original, with a nonce": ("{{ original(nonce='\"data-mode') }}", True),
    "the original, beside session_script": ("{{ session_script() }}{{ original() }}", True),
    "none": ("<p>One moment</p>", False),
    "session_script": ("{{ session_script() }}", False),
    "session_script with a nonce": ("{{ session_script(' data-mode=\"refresh\"') }}", False),
    "the refresh page's without its mode": (
        "<script src='{{ ssr_refresh_view().script.split('\"')[1] }}'></script>",
        False,
    ),
    "the original, escaped": ("{{ original()|string|forceescape }}", False),
}


@pytest.mark.parametrize("shown", SCRIPTS)
@pytest.mark.parametrize("file", ["refresh_page", "refresh_document"])
def test_override_is_taken_only_with_the_script_of_the_refresh_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, shown: str
) -> None:
    body, is_taken = SCRIPTS[shown]
    if file == "refresh_page":
        body = f"{{% macro refresh_page() %}}{body}{{% endmacro %}}"
    app = make_app()
    _templates(app, tmp_path, **{file: f"{ORIGINAL}<!-- ours -->{body}"})
    app.jinja_env.globals["csp_nonce"] = lambda: "n"
    response = app.test_client().get("/refresh-session", headers=PAGE)
    assert page_shown(response) == "refresh"
    modes = [script.get("data-mode") for script in Elements(response.text).named("script")]
    assert "refresh" in modes
    assert ("override_broken" in caplog.text) is not is_taken


@pytest.mark.parametrize(("file", "broken"), BROKEN_FILES)
@pytest.mark.parametrize("case", ["refresh", "outage", "refresh-session"])
def test_broken_override_of_a_whole_page_falls_back_to_the_original(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str, broken: str, case: str
) -> None:
    app = make_app()
    _templates(app, tmp_path, **{file: BROKEN[broken]})
    app.jinja_env.globals["secret_value"] = 4711

    app.jinja_env.globals["stop"] = lambda: abort(418, "told in confidence")
    app.add_url_rule("/account", "account", session_required(lambda: "secret"))
    client = app.test_client(use_cookies=False)
    if case == "outage":
        with outage(app):
            response = client.get("/account", headers=PAGE | cookies(make_token()))
        assert (response.status_code, page_shown(response)) == (503, "outage")
    else:
        path = "/account" if case == "refresh" else "/refresh-session"
        response = client.get(path, headers=PAGE | cookies("junk"))
        assert (response.status_code, page_shown(response)) == (200, "refresh")
        assert len(Elements(response.text).named("script")) == 1
    assert response.text.startswith("<!doctype html>")
    assert response.headers["Cache-Control"] == "no-store"
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    message = record.getMessage()
    assert message.startswith("override_broken: refresh_document.html or refresh_page.html")
    assert record.exc_info is None
    for value in ("4711", "told in confidence", "nobody", "junk"):
        assert value not in message


def test_broken_override_names_the_template_and_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app()
    _templates(
        app, tmp_path, refresh_page="{% macro refresh_page() %}\n\n{{ no.body }}{% endmacro %}"
    )
    app.test_client().get("/refresh-session", headers=PAGE)
    assert "UndefinedError" in caplog.text
    assert "refresh_page.html:3" in caplog.text


def test_failing_context_processor_does_not_take_our_whole_pages_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = with_views(make_app())
    _context_processor_fails(app, "told in confidence")
    client = app.test_client(use_cookies=False)
    response = client.get("/account", headers=PAGE | cookies("junk"))
    assert (response.status_code, page_shown(response)) == (200, "refresh")
    assert "override_broken" in caplog.text
    assert "ValueError" in caplog.text
    assert "told in confidence" not in caplog.text
    with pytest.raises(ValueError, match="told in confidence"):
        client.get("/page", headers=PAGE)


def test_packaged_look_has_a_policy_for_just_what_it_uses(tmp_path: Path) -> None:
    plain, overridden = with_views(make_app()), make_app()
    _templates(overridden, tmp_path, refresh_page=FIVE_LINES)
    for app, count in ((plain, 8), (overridden, 1)):
        policy = app.test_client().get("/refresh-session", headers=PAGE).headers
        assert len(policy["Content-Security-Policy"].split(";")) == count


def test_templates_are_where_the_package_says() -> None:
    assert {path.name for path in templates_folder().iterdir()} >= {
        "refresh_document.html",
        "refresh_page.html",
    }


# --- the optional page's way on ------------------------------------------------------------------


def test_macro_on_an_optional_page_offers_to_go_on_signed_out() -> None:
    app = make_app()
    source = MACRO + "{% if needs_refresh(optional=True) %}{{ refresh_page() }}{% endif %}shown"
    strict = MACRO + "{% if needs_refresh %}{{ refresh_page() }}{% endif %}shown"
    app.add_url_rule("/soft", "soft", lambda: render_template_string(source))
    app.add_url_rule("/hard", "hard", lambda: render_template_string(strict))
    client = app.test_client(use_cookies=False)
    headers = PAGE | cookies(expired_token())
    soft, hard = client.get("/soft?a=1", headers=headers), client.get("/hard", headers=headers)
    assert 'href="/soft?a=1&amp;continueSignedOut=1"' in soft.text
    assert "continueSignedOut" not in hard.text
    going_on = client.get("/soft?a=1&continueSignedOut=1", headers=headers)
    assert going_on.text == "shown"
    insisting = client.get("/hard?continueSignedOut=1", headers=headers)
    assert page_shown(insisting) == "refresh"


def test_post_is_never_led_away_by_itself(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    for path in ("/page", "/account"):
        get, post = client.get("/page", headers=PAGE), client.post(path, headers=PAGE)
        assert "http-equiv" in get.text
        assert "http-equiv" not in post.text
        assert page_shown(post) == "sign_in"


@pytest.mark.parametrize(
    ("sources", "falls_back"),
    [
        ({"refresh_page": "{% macro refresh_page() %}hello{% endmacro %}"}, True),
        ({"refresh_document": ""}, True),
        ({"refresh_page": FIVE_LINES}, False),
    ],
    ids=["macro without the original", "empty document", "macro with the original"],
)
def test_whole_page_without_the_script_is_passed_over(
    sources: dict[str, str], falls_back: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A visitor could never leave a refresh page that does not refresh."""
    app = with_templates(with_views(make_app()), **sources)
    response = app.test_client(use_cookies=False).get("/account", headers=PAGE | cookies("junk"))
    assert page_shown(response) == "refresh"
    assert "ssr-session-" in response.text
    assert ("override_broken" in caplog.text) == falls_back
