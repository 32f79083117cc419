"""The setup of an app: once, atomic, without network, and early enough."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_ssr_session import ConfigError, FlaskSSRSession, MisuseError
from flask_ssr_session.config.resolved import SDKSettings
from flask_ssr_session.testing import SessionSigner, install_test_keys, sign_in
from tests.browser_requests import PAGE
from tests.key_servers import KeyServer, answer, ok
from tests.tables import rows
from tests.tokens import make_token

from .apps import API_DOMAIN, make_app, read_from, sdk_values, with_views
from .visitors import cookies, signed_in


def traces(app: Flask) -> tuple[Any, ...]:
    """Return everything that setting up changes in *app*."""
    hooks = (app.before_request_funcs, app.after_request_funcs, app.teardown_request_funcs)
    return (
        dict(app.extensions),
        dict(app.blueprints),
        [str(rule) for rule in app.url_map.iter_rules()],
        [{name: list(functions) for name, functions in kind.items()} for kind in hooks],
        set(app.jinja_env.globals),
        app.jinja_env.loader,
    )


def test_constructor_and_init_app_do_the_same() -> None:
    direct, later = Flask("direct"), Flask("later")
    FlaskSSRSession(direct, api_domain=API_DOMAIN)
    extension = FlaskSSRSession(api_domain=API_DOMAIN)
    assert "ssr_session" not in later.extensions
    extension.init_app(later)
    for app in (direct, later):
        app.testing = True
        install_test_keys(app)
        assert with_views(app).test_client().get("/account", headers=PAGE).status_code == 302


def test_setting_up_twice_is_refused_and_changes_nothing(app: Flask, client: FlaskClient) -> None:
    before = traces(app)
    with pytest.raises(ConfigError, match="set up for the app 'app' already"):
        FlaskSSRSession(app, api_domain="https://other.example.com")
    assert traces(app) == before
    sign_in(client)
    assert client.get("/account").text == "account of user-1"


WRONG_SETTINGS: dict[str, Any] = {
    "a misspelt name": ("SSR_SESSION_API_DOMIAN", "https://x.example"),
    "a file of keys that is not there": ("SSR_SESSION_JWKS", "/nowhere/jwks.json"),
    "a key set without keys": ("SSR_SESSION_JWKS", {"keys": []}),
}


@rows("key, value", WRONG_SETTINGS)
def test_wrong_setting_leaves_the_app_untouched_until_corrected(key: str, value: Any) -> None:
    app = Flask("mistaken")
    app.testing = True
    before = traces(app)
    app.config[key] = value
    with pytest.raises(ConfigError, match=f"^{key}"):
        FlaskSSRSession(app)
    assert traces(app) == before
    del app.config[key]
    FlaskSSRSession(app, api_domain=API_DOMAIN)
    install_test_keys(app)
    assert traces(app) != before
    client = signed_in(with_views(app))
    assert client.get("/account").text == "account of user-1"


def test_wrong_keyword_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match=r"login_ur is not a setting .* did you mean login_url"):
        FlaskSSRSession(login_ur="/login")  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="refresh_flow"):
        FlaskSSRSession(refresh_flow="popup")  # type: ignore[arg-type]


def test_app_that_handled_a_request_cannot_be_set_up_any_more() -> None:
    app = Flask("running")
    app.add_url_rule("/", "page", lambda: "open")
    app.test_client().get("/")
    with pytest.raises(AssertionError, match="can no longer be called"):
        FlaskSSRSession(app, api_domain=API_DOMAIN)
    assert "ssr_session" not in app.extensions
    assert app.test_client().get("/").text == "open"


def headers_only() -> SDKSettings | None:
    raise ConfigError("the SDK takes tokens from headers only")


WRONG_CONFIGURATIONS: dict[str, Any] = {
    "no API domain": ({"api_domain": None}, lambda: None, "set SSR_SESSION_API_DOMAIN, for"),
    "an SDK that is set up wrongly": ({}, headers_only, "headers only"),
    "keys over plain http": ({"api_domain": "http://api.example.com"}, None, "plain http"),
}


@rows("settings, reader, message", WRONG_CONFIGURATIONS)
def test_wrong_setup_is_an_error_until_mended(settings: Any, reader: Any, message: str) -> None:
    app = with_views(make_app(**settings))
    read_from(app, reader)
    client = app.test_client()
    for path in ("/account", "/open", "/page", "/refresh-session", "/nowhere", "/account"):
        with pytest.raises(ConfigError, match=message):
            client.get(path, headers=PAGE)
    app.testing = False
    assert client.get("/account", headers=PAGE).status_code == 500
    app.testing = True
    read_from(app, lambda: sdk_values(website_base_path="/first"))
    assert client.get("/account", headers=PAGE).location == "/first?redirectToPath=/account"
    # From then on it is frozen.
    read_from(app, lambda: sdk_values(website_base_path="/second"))
    assert client.get("/account", headers=PAGE).location == "/first?redirectToPath=/account"


def test_keys_are_fetched_by_the_first_token_and_kept_until_they_are_dropped(app: Flask) -> None:
    server = KeyServer(answer(ok(json.dumps({"keys": [SessionSigner().jwk()]}).encode())))
    fetching = Flask("fetching")
    fetching.testing = True
    origin = server.url.removesuffix("/jwks.json")
    extension = FlaskSSRSession(fetching, api_domain=origin)
    client = with_views(fetching).test_client(use_cookies=False)
    with fetching.app_context():
        extension.clear_keys()  # there are none yet
    assert client.get("/account", headers=PAGE).status_code == 302
    assert client.get("/account", headers=PAGE | cookies("junk")).status_code == 200
    assert server.connections == 0
    for fetches in (1, 2):
        for _ in range(3):
            shown = client.get("/account", headers=cookies(make_token())).text
            assert (shown, server.connections) == ("account of user-1", fetches)
        with fetching.app_context():
            extension.clear_keys()
    server.close()
    # A static key set stays, and so does the extension of another app.
    with app.app_context():
        extension.clear_keys()
    with Flask("bare").app_context(), pytest.raises(MisuseError, match="not set up"):
        extension.clear_keys()
