"""Two apps in one process share no state of this package."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from flask import Flask, Response, g, render_template, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client
from werkzeug.wrappers import Response as WerkzeugResponse

from flask_ssr_session import FlaskSSRSession, session_required
from flask_ssr_session.testing import SessionSigner, install_test_keys, outage, sign_in
from tests.browser_requests import FETCH, PAGE
from tests.tokens import make_token

from .conftest import API_DOMAIN, cookies, make_app, page_shown, with_views


@pytest.fixture
def other_signer(other_private_key: RSAPrivateKey) -> SessionSigner:
    return SessionSigner("d-test", other_private_key)


@pytest.fixture
def two_apps(other_signer: SessionSigner) -> tuple[Flask, Flask]:
    """Two apps whose keys have one name and different values, and whose settings differ."""
    one, two = Flask("one"), Flask("two")
    extension = FlaskSSRSession(api_domain=API_DOMAIN)
    for app, signer, login_url, path in (
        (one, SessionSigner(), "/one-sign-in", "/one-refresh"),
        (two, other_signer, "/two-sign-in", "/two-refresh"),
    ):
        app.testing = True
        app.config["SSR_SESSION_JWKS"] = {"keys": [signer.jwk()]}
        app.config["SSR_SESSION_LOGIN_URL"] = login_url
        app.config["SSR_SESSION_REFRESH_PATH"] = path
        extension.init_app(app)
        with_views(app)
    two.config["SSR_SESSION_LOGIN_URL"] = "/changed-later"
    return one, two


def test_settings_differ(two_apps: tuple[Flask, Flask]) -> None:
    for app, name in zip(two_apps, ("one", "two"), strict=True):
        client = app.test_client()
        location = client.get("/account", headers=PAGE).location
        assert location == f"/{name}-sign-in?redirectToPath=/account"
        assert client.get(f"/{name}-refresh", headers=PAGE).status_code == 200
        other = "two" if name == "one" else "one"
        assert client.get(f"/{other}-refresh", headers=PAGE).status_code == 404
        page = client.get(f"/{name}-refresh", headers=PAGE)
        assert f'src="/{name}-refresh/ssr-session-' in page.text


def test_token_of_one_app_is_worth_nothing_in_the_other(
    two_apps: tuple[Flask, Flask], other_signer: SessionSigner
) -> None:
    tokens = (make_token(user_id="a"), other_signer.sign(other_signer.claims("b")))
    for _ in range(2):  # the second time from the memory of verified tokens
        for position, app in enumerate(two_apps):
            client = app.test_client(use_cookies=False)
            own, foreign = tokens[position], tokens[1 - position]
            user = "ab"[position]
            assert client.get("/account", headers=cookies(own)).text == f"account of {user}"
            refused = client.get("/account", headers=FETCH | cookies(foreign))
            assert refused.status_code == 401
            assert refused.headers["SSR-Session"] == "refresh; reason=invalid"


def test_outage_and_test_keys_of_one_app_do_not_reach_the_other(
    two_apps: tuple[Flask, Flask], other_signer: SessionSigner
) -> None:
    one, two = two_apps
    install_test_keys(one)
    first, second = one.test_client(), two.test_client(use_cookies=False)
    sign_in(first)
    theirs = cookies(other_signer.sign(other_signer.claims("b")))
    with outage(one):
        assert first.get("/account", headers=PAGE).status_code == 503
        assert second.get("/account", headers=theirs).text == "account of b"
    assert first.get("/account").text == "account of user-1"
    assert second.get("/account", headers=FETCH | cookies(make_token())).status_code == 401


def test_same_view_function_serves_both_apps() -> None:
    guarded = session_required(lambda: g.session.user_id)
    one, two = make_app("one", login_url="/one"), make_app("two", login_url="/two")
    for app in (one, two):
        app.add_url_rule("/", "page", guarded)
    client = one.test_client()
    sign_in(client)
    assert client.get("/").text == "user-1"
    assert two.test_client().get("/", headers=PAGE).location == "/two?redirectToPath=/"
    assert one.test_client().get("/", headers=PAGE).location == "/one?redirectToPath=/"


@pytest.mark.parametrize("way", ["test client", "same environment"])
def test_app_called_inside_a_view_of_the_other_judges_by_itself(
    two_apps: tuple[Flask, Flask], other_signer: SessionSigner, way: str
) -> None:
    one, two = two_apps
    one.debug = True  # where a g.session other than the verdict's is an error
    seen: list[Any] = []

    @one.route("/outer")
    @session_required
    def outer() -> str:
        mine = g.session
        if way == "test client":
            inner: Any = two.test_client(use_cookies=False)
            seen.append(inner.get("/account", headers=FETCH).status_code)
            theirs = cookies(other_signer.sign(other_signer.claims("b")))
            seen.append(inner.get("/account", headers=theirs).text)
        else:
            environ = request.environ | {"PATH_INFO": "/account"}
            answer = WerkzeugResponse.from_app(two.wsgi_app, environ)
            seen.append((answer.status_code, answer.headers["SSR-Session"]))
        assert g.session is mine
        return f"{g.session.user_id} {render_template('page.html')}"

    client = one.test_client(use_cookies=False)
    response = client.get("/outer", headers=FETCH | cookies(make_token(user_id="a")))
    assert response.text == "a content"
    if way == "test client":
        assert seen == [401, "account of b"]
    else:
        assert seen == [(401, "refresh; reason=invalid")]


def test_mounted_apps_lead_back_to_themselves(two_apps: tuple[Flask, Flask]) -> None:
    one, two = two_apps
    server = DispatcherMiddleware(one, {"/two": two})
    client = Client(server, Response)
    for path, location in (
        ("/account", "/one-sign-in?redirectToPath=/account"),
        ("/two/account", "/two-sign-in?redirectToPath=/two/account"),
    ):
        assert client.get(path, headers=PAGE).headers["Location"] == location


def test_template_of_one_app_is_none_of_the_other(two_apps: tuple[Flask, Flask]) -> None:
    one, two = two_apps
    for app, expected in ((one, "sign_in"), (two, "sign_in")):
        assert page_shown(app.test_client().get("/page", headers=PAGE)) == expected
    macro = "{% macro refresh_page() %}of one app{% endmacro %}"
    one.jinja_loader.mapping["refresh_page.html"] = macro  # type: ignore[union-attr]
    one.jinja_env.cache.clear()  # type: ignore[union-attr]
    assert one.test_client().get("/page", headers=PAGE).text == "of one app"
    assert page_shown(two.test_client().get("/page", headers=PAGE)) == "sign_in"


def test_factory_makes_apps_that_know_nothing_of_each_other() -> None:
    extension = FlaskSSRSession()

    def create_app(**config: Any) -> Flask:
        app = Flask("made")
        app.config.update(TESTING=True, SSR_SESSION_API_DOMAIN=API_DOMAIN, **config)
        extension.init_app(app)
        install_test_keys(app)
        return with_views(app)

    strict, literal = create_app(), create_app(SSR_SESSION_ALWAYS_TRY_REFRESH=True)
    assert strict.test_client().get("/account", headers=PAGE).status_code == 302
    assert literal.test_client().get("/account", headers=PAGE).status_code == 200
    assert strict.extensions["ssr_session"] is not literal.extensions["ssr_session"]
