"""Withhold content several times in a request: a page of a template, and a guarded part of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, render_template
from jinja2 import DictLoader

from flask_ssr_session import MisuseError, require_session, session_optional, session_required
from flask_ssr_session.testing import outage
from tests.browser_requests import FETCH, PAGE
from tests.tokens import expired_token, make_token

from .conftest import TEMPLATE_GUARD, cookies, make_app, page_shown, with_templates

HTMX = FETCH | {"HX-Request": "true"}
EXPIRED = cookies(expired_token())


def quietly(view: Callable[[], Any]) -> Callable[[], str]:
    """Return what a template calls for a part of the page; a refused part is left out."""
    return lambda: result if isinstance(result := view(), str) else ""


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        pytest.param(PAGE | EXPIRED, 200, "text/html", id="expired page"),
        pytest.param(FETCH | EXPIRED, 401, "application/json", id="expired fetch"),
        pytest.param(HTMX, 401, "application/json", id="htmx without a session"),
    ],
)
def test_guarded_part_does_not_hide_the_page_that_its_template_shows(
    headers: dict[str, str], status: int, kind: str
) -> None:
    app = with_templates(make_app(), page=TEMPLATE_GUARD + "{{ orders() }}")
    app.jinja_env.globals["orders"] = quietly(session_required(lambda: "orders"))
    app.add_url_rule("/page", "page", lambda: render_template("page.html"))

    response = app.test_client(use_cookies=False).get("/page", headers=headers)

    assert (response.status_code, response.mimetype) == (status, kind)


def test_guarded_part_does_not_hide_an_outage() -> None:
    app = with_templates(make_app(), page=TEMPLATE_GUARD + "{{ orders() }}")
    app.jinja_env.globals["orders"] = quietly(session_required(lambda: "orders"))
    app.add_url_rule("/page", "page", lambda: render_template("page.html"))

    with outage(app):
        response = app.test_client(use_cookies=False).get(
            "/page", headers=FETCH | cookies(make_token())
        )

    assert (response.status_code, response.headers["Retry-After"]) == (503, "10")


@pytest.mark.parametrize("token", [None, make_token(), expired_token()])
@pytest.mark.parametrize(
    "layout",
    [
        pytest.param("", id="plain layout"),
        pytest.param("{% if needs_refresh(optional=True) %}x{% endif %}", id="optional question"),
        pytest.param("{{ menu() }}", id="guarded part"),
    ],
)
def test_refresh_session_refreshes_whatever_its_layout_asks(layout: str, token: str | None) -> None:
    app = make_app()
    document = "{% from refresh_page_template import refresh_page %}" + layout
    app.jinja_loader = DictLoader({"refresh_document.html": document + "{{ refresh_page() }}"})
    app.jinja_env.globals["menu"] = session_optional(lambda: "menu")

    response = app.test_client(use_cookies=False).get(
        "/refresh-session?redirectBack=/account", headers=PAGE | (cookies(token) if token else {})
    )

    assert page_shown(response) == "refresh"
    assert 'data-return-to="/account"' in response.text


@pytest.mark.parametrize("token", [None, make_token(), expired_token()])
def test_prefetch_of_the_refresh_page_is_declined_in_every_state(token: str | None) -> None:
    headers = PAGE | {"Sec-Purpose": "prefetch"} | (cookies(token) if token else {})

    response = make_app().test_client(use_cookies=False).get("/refresh-session", headers=headers)

    assert (response.status_code, response.data) == (503, b"")


@pytest.mark.parametrize(("host", "status"), [("evil.example", 400), ("localhost", 302)])
def test_hook_that_refuses_leaves_an_untrusted_host_to_flask(host: str, status: int) -> None:
    app = make_app()
    app.config["TRUSTED_HOSTS"] = ["localhost"]
    app.before_request(require_session)
    app.add_url_rule("/account", "account", lambda: "account")

    response = app.test_client().get("/account", headers=PAGE | {"Host": host})

    assert response.status_code == status


@pytest.mark.parametrize(
    ("decorate", "is_optional"), [(session_required, False), (session_optional, True)]
)
def test_redirect_of_a_view_is_optional_only_if_the_view_is(
    decorate: Callable[[Any], Any], is_optional: bool
) -> None:
    app = with_templates(
        make_app(refresh_flow="redirect"), menu="{{ needs_refresh(optional=True) }}"
    )

    @app.before_request
    def menu() -> None:
        render_template("menu.html")

    app.add_url_rule("/account", "account", decorate(lambda: "account"))

    response = app.test_client(use_cookies=False).get("/account", headers=PAGE | EXPIRED)

    assert ("optional=1" in response.location) is is_optional


def test_revocation_that_cannot_be_checked_closes_every_guard_of_the_request() -> None:
    app = make_app()
    state = app.extensions["ssr_session"]
    state.override_keys_for_testing(app.extensions["ssr_session_test_keys"].keys)
    guarded: Callable[[], Any] = session_required(check_revoked=True)(lambda: "secret")

    @app.route("/twice")
    def twice() -> Any:
        with pytest.raises(MisuseError):
            require_session(check_revoked=True)
        return guarded()

    client = app.test_client(use_cookies=False)
    with pytest.raises(MisuseError, match="only the SDK knows"):
        client.get("/twice", headers=PAGE | cookies(make_token()))


def test_apps_own_page_without_the_macro_keeps_the_status_of_the_page(app: Flask) -> None:
    app.jinja_loader = DictLoader({"refresh_document.html": "<p>back soon</p>"})

    with outage(app):
        response = app.test_client(use_cookies=False).get(
            "/account", headers=PAGE | cookies(make_token())
        )

    assert (response.status_code, response.text) == (503, "<p>back soon</p>")
