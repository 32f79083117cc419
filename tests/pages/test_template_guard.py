"""``needs_refresh``: it holds content back in every way in which a template can ask."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from flask import Flask, render_template, render_template_string, stream_template_string

from flask_ssr_session.pages.template_guard import NeedsRefresh, session_state
from flask_ssr_session.testing import outage
from tests.app.conftest import TEMPLATE_GUARD, cookies, make_app, page_shown, with_templates
from tests.browser_requests import PAGE
from tests.tables import rows
from tests.tokens import expired_token, make_token

HELD = "{% if needs_refresh %}held{% else %}shown{% endif %}"
TEMPLATES = {
    "asks": f"{{% macro asks() %}}{HELD}{{% endmacro %}}",
    "top": "{% set n = needs_refresh() %}"
    "{% macro asks() %}{{ 'held' if n else 'shown' }}{% endmacro %}",
    "included": HELD,
    "layout": "{% if needs_refresh %}held{% else %}{% block content %}{% endblock %}{% endif %}",
}


def chosen(condition: str, if_true: str = "held", if_false: str = "shown") -> str:
    return f"{{% if {condition} %}}{if_true}{{% else %}}{if_false}{{% endif %}}"


HOLDING = (
    *("needs_refresh", "needs_refresh()", "needs_refresh == true", "needs_refresh != false"),
    *("true == needs_refresh", "needs_refresh == needs_refresh() and needs_refresh"),
    *("needs_refresh is true", "needs_refresh is sameas(true)", "needs_refresh == 1"),
    *("needs_refresh == 1.0", "needs_refresh|int", "needs_refresh|float"),
    *("[needs_refresh]|map('int')|sum", "needs_refresh in [true]", "needs_refresh or false"),
    *("needs_refresh|string == 'True'", "(not not needs_refresh)|tojson == 'true'"),
    *("not needs_refresh is boolean or needs_refresh", "needs_refresh == 'x' or needs_refresh"),
)
SHOWING = (
    *("not needs_refresh", "not needs_refresh()", "needs_refresh == false"),
    *("needs_refresh is false", "needs_refresh == 0"),
)
WAYS = {condition: chosen(condition) for condition in HOLDING}
WAYS |= {condition: chosen(condition, "shown", "held") for condition in SHOWING}
WAYS |= {
    "in a variable": "{% set n = needs_refresh %}{{ 'held' if n else 'shown' }}",
    "macro without context": "{% from 'asks.html' import asks %}{{ asks() }}",
    "macro with context": "{% from 'asks.html' import asks with context %}{{ asks() }}",
    "whole module": "{% import 'asks.html' as m %}{{ m.asks() }}",
    "at the top of a macro file": "{% from 'top.html' import asks %}{{ asks() }}",
    "included": "{% include 'included.html' %}",
    "layout": "{% extends 'layout.html' %}{% block content %}shown{% endblock %}",
}


@pytest.fixture(scope="module")
def app() -> Flask:
    app = with_templates(make_app(), **TEMPLATES)
    app.add_url_rule("/", "page", lambda: "")
    return app


def shows(app: Flask, source: str, headers: dict[str, str], url: str = "/") -> str:
    app.view_functions["page"] = lambda: render_template_string(source)
    response = app.test_client(use_cookies=False).get(url, headers=PAGE | headers)
    assert response.status_code == 200
    return response.text


@rows("way", {way: way for way in WAYS})
def test_needs_refresh_holds_back_in_every_way_it_can_be_asked(app: Flask, way: str) -> None:
    good = cookies(make_token())
    # In turn, so that nothing of an earlier request is left in a file imported without context.
    assert shows(app, WAYS[way], {}) == "held"
    assert shows(app, WAYS[way], good) == "shown"
    assert shows(app, WAYS[way], cookies(expired_token())) == "held"
    assert shows(app, WAYS[way], good) == "shown"
    with outage(app):
        assert shows(app, WAYS[way], good) == "held"
    with app.app_context():
        assert render_template_string(WAYS[way]) == "held"


OPTIONAL = chosen("needs_refresh(optional=True)")

READERS: dict[str, Any] = {
    "a stranger": (None, "/", False, "shown"),
    "a session": (make_token, "/", False, "shown"),
    "an outage": (make_token, "/", True, "shown"),
    "an expired session": (expired_token, "/", False, "held"),
    "one that goes on signed out": (expired_token, "/?continueSignedOut=1", False, "shown"),
}


@rows("token, url, is_down, expected", READERS)
def test_optional_page_is_held_back_only_from_a_reader_who_can_refresh(
    app: Flask, token: Any, url: str, is_down: bool, expected: str
) -> None:
    headers = cookies(token()) if token else {}
    with outage(app) if is_down else nullcontext():
        assert shows(app, OPTIONAL, headers, url) == expected
    # It opens no page that asks plainly, before it or after it.
    plain = "shown" if token is make_token and not is_down else "held"
    with outage(app) if is_down else nullcontext():
        shown = shows(app, f"{OPTIONAL} {HELD} {OPTIONAL}", headers, url)
        assert shown == f"{expected} {plain} {expected}"


def test_value_is_a_boolean_in_python_too(app: Flask) -> None:
    for held, headers in ((False, cookies(make_token())), (True, {})):
        with app.test_request_context(headers=headers):
            asks = NeedsRefresh()
            assert (str(asks), float(asks), [0, 1][asks]) == (str(held), held, held)
            assert (asks == "x", asks == 2) == (False, False)
    with pytest.raises(TypeError, match="unhashable"):
        hash(NeedsRefresh())


def test_session_state_never_raises(app: Flask) -> None:
    source = "{{ session_state }}"
    assert session_state() == "anonymous"
    assert shows(app, source, {}) == "anonymous"
    assert shows(app, source, cookies(make_token())) == "active"
    assert shows(app, source, cookies("junk")) == "refresh"
    pending = "{{ session_state == 'pending' }}"
    assert shows(app, pending, cookies(make_token(mfa_complete=False))) == "True"
    broken = make_app(api_domain=None)
    broken.register_error_handler(Exception, lambda _e: render_template_string(source + OPTIONAL))
    assert broken.test_client().get("/anything", headers=PAGE).text == "unavailableheld"


@rows("is_down", {"stranger": False, "outage": True})
def test_error_page_that_asks_is_no_error_and_keeps_its_status(is_down: bool) -> None:
    app = with_templates(make_app(), missing="404: " + HELD)
    app.register_error_handler(404, lambda _error: (render_template("missing.html"), 404))
    client = app.test_client(use_cookies=False)
    good = PAGE | cookies(make_token())
    for path in ("/nowhere", "/auth/nowhere"):
        with outage(app) if is_down else nullcontext():
            response = client.get(path, headers=good if is_down else PAGE)
        assert (response.status_code, response.text) == (404, "404: held"), path
        assert "Retry-After" not in response.headers, path
        assert ("Cache-Control" in response.headers) is is_down, path
    assert client.get("/nowhere", headers=good).text == "404: shown"


def test_streamed_template_asks_while_it_is_sent() -> None:
    app = make_app()
    app.add_url_rule("/", "page", lambda: stream_template_string("<p>" + TEMPLATE_GUARD))
    client, good = app.test_client(use_cookies=False), PAGE | cookies(make_token())
    assert page_shown(client.get("/", headers=PAGE)) == "sign_in"
    assert client.get("/", headers=good).text == "<p>content"
    with outage(app):
        response = client.get("/", headers=good)
    assert (response.status_code, page_shown(response)) == (200, "outage")


@rows("source, said", {"plain": (HELD, "private"), "optional": (OPTIONAL, None)})
def test_content_of_a_template_is_one_visitors(app: Flask, source: str, said: str | None) -> None:
    """Exactly as behind session_required; optional content is not."""
    text = {"Content-Type": "text/plain"}
    app.view_functions["page"] = lambda: (render_template_string(source), text)
    response = app.test_client(use_cookies=False).get("/", headers=cookies(make_token()))
    assert (response.text, response.headers.get("Cache-Control")) == ("shown", said)
