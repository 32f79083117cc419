"""Two apps in one process share no state of this package."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from flask import Flask, g, render_template, request
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response as WerkzeugResponse

from flask_ssr_session import FlaskSSRSession, get_ssr_session, safe_return_path, session_required
from flask_ssr_session.testing import SessionSigner
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows
from tests.tokens import make_token

from .apps import API_DOMAIN, with_views
from .visitors import cookies, page_shown


@pytest.fixture
def other_signer(other_private_key: RSAPrivateKey) -> SessionSigner:
    return SessionSigner("d-test", other_private_key)


@pytest.fixture
def two_apps(other_signer: SessionSigner) -> tuple[Flask, Flask]:
    """Two apps whose keys have one name and different values, and whose settings differ."""
    one, two = Flask("one"), Flask("two")
    extension = FlaskSSRSession(api_domain=API_DOMAIN)
    for app, signer in ((one, SessionSigner()), (two, other_signer)):
        app.testing = True
        app.config["SSR_SESSION_JWKS"] = {"keys": [signer.jwk()]}
        app.config["SSR_SESSION_LOGIN_URL"] = lambda _, name=app.name: f"/{name}-sign-in"
        app.config["SSR_SESSION_REFRESH_PATH"] = f"/{app.name}-refresh"
        app.config["SSR_SESSION_ALWAYS_TRY_REFRESH"] = app is two
        extension.init_app(app)
        with_views(app)
    two.config["SSR_SESSION_LOGIN_URL"] = "/changed-later"
    assert one.extensions["ssr_session"] is not two.extensions["ssr_session"]
    return one, two


@pytest.fixture
def theirs(other_signer: SessionSigner) -> dict[str, str]:
    """The cookies of a user of the second app."""
    return cookies(make_token(other_signer, user_id="b"))


def ask(app: Flask, path: str, headers: dict[str, str]) -> TestResponse:
    return app.test_client(use_cookies=False).get(path, headers=headers)


def test_settings_differ(two_apps: tuple[Flask, Flask]) -> None:
    one, two = two_apps
    assert ask(one, "/account", PAGE).location == "/one-sign-in?redirectToPath=/account"
    assert "/two-sign-in?redirectToPath=/account" in ask(two, "/account", PAGE).text
    for app, other in ((one, "two"), (two, "one")):
        page = ask(app, f"/{app.name}-refresh", PAGE)
        assert f'src="/{app.name}-refresh/ssr-session-' in page.text
        assert ask(app, f"/{other}-refresh", PAGE).status_code == 404


def test_token_of_one_app_is_worth_nothing_in_the_other(
    two_apps: tuple[Flask, Flask], theirs: dict[str, str]
) -> None:
    one, two = two_apps
    ours = cookies(make_token(user_id="a"))
    for _ in range(2):  # the second time from the memory of verified tokens
        for app, own, user, foreign in ((one, ours, "a", theirs), (two, theirs, "b", ours)):
            assert ask(app, "/account", own).text == f"account of {user}"
            refused = ask(app, "/account", FETCH | foreign)
            assert refused.status_code == 401
            assert refused.headers["SSR-Session"] == "refresh; reason=invalid"


def by_client(app: Flask, headers: dict[str, str]) -> str:
    response = ask(app, "/account", FETCH | headers)
    return response.headers.get("SSR-Session", response.text)


def by_environment(app: Flask, headers: dict[str, str]) -> str:
    environ = request.environ | {"PATH_INFO": "/account"}
    environ |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    response = WerkzeugResponse.from_app(app.wsgi_app, environ)
    return response.headers.get("SSR-Session", response.get_data(as_text=True))


WAYS: dict[str, Any] = {
    "by a test client": (by_client, "anonymous; reason=anonymous"),
    "in the same environment": (by_environment, "refresh; reason=invalid"),
}


@rows("way, refused", WAYS)
def test_app_called_inside_a_view_of_the_other_judges_by_itself(
    two_apps: tuple[Flask, Flask], theirs: dict[str, str], way: Any, refused: str
) -> None:
    one, two = two_apps
    one.debug = True  # where a g.session other than the verdict's is an error

    @one.route("/outer")
    @session_required
    def outer() -> str:
        mine, user_id = g.session, g.session.user_id
        assert way(two, {}) == refused
        assert way(two, theirs) == "account of b"
        assert safe_return_path("/one-sign-in") == "/"
        with two.app_context():
            assert get_ssr_session() is None
            assert safe_return_path("/two-sign-in") == "/"
        assert g.session is mine is get_ssr_session()
        return f"{user_id} {render_template('page.html')}"

    response = ask(one, "/outer", FETCH | cookies(make_token(user_id="a")))
    assert response.text == "a content"


def test_template_of_one_app_is_none_of_the_other(two_apps: tuple[Flask, Flask]) -> None:
    one, two = two_apps
    assert page_shown(ask(one, "/page", PAGE)) == "sign_in"
    macro = "{% macro refresh_page() %}of one app{% endmacro %}"
    one.jinja_loader.mapping["refresh_page.html"] = macro  # type: ignore[union-attr]
    one.jinja_env.cache.clear()  # type: ignore[union-attr]
    assert ask(one, "/page", PAGE).text == "of one app"
    assert page_shown(ask(two, "/page", PAGE)) == "refresh"
