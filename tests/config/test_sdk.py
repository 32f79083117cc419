"""The settings of a real supertokens-python are read without importing it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any
from unittest.mock import ANY

import pytest
from supertokens_python import InputAppInfo, SupertokensConfig, init
from supertokens_python.framework.request import BaseRequest
from supertokens_python.recipe import emailpassword, session

from flask_ssr_session.config.sdk import read_cookie_settings, read_recipe_ids, read_sdk
from flask_ssr_session.errors import ConfigError
from tests.dev_core.conftest import sdk_environment
from tests.tables import rows

__all__ = ["sdk_environment"]

pytestmark = pytest.mark.usefixtures("sdk_environment")

FLASK_REQUEST = "supertokens_python.framework.flask.flask_request"
LOCAL = "http://localhost:5000"
NOTHING_IMPORTED = """
import sys
import flask_ssr_session
from flask_ssr_session.config.sdk import read_sdk
assert read_sdk() is None
assert not [name for name in sys.modules if name.startswith("supertokens")]
"""
# What a plain init() tells.
PLAIN: dict[str, Any] = {
    "api_domain": LOCAL,
    "api_base_path": "/auth",
    "website_origin": LOCAL,
    "website_base_path": "/auth",
    "cookie_domain": None,
    "dynamic_signing_key": True,
    "session_expired_status": 401,
    "key_uris": ("http://localhost:3567/.well-known/jwks.json",),
    "invalid_claim_status": 403,
    "session_uris": ("http://localhost:3567/recipe/session",),
    "core_headers": {"cdi-version": "5.4", "rid": "session"},
    "global_claims": ANY,
}


def init_sdk(
    uri: str = "http://localhost:3567",
    recipes: list[Any] | None = None,
    api_key: str | None = None,
    framework: Any = "flask",
    **app_info: Any,
) -> None:
    info = {"app_name": "Test", "api_domain": LOCAL, "website_domain": LOCAL, **app_info}
    init(
        app_info=InputAppInfo(**info),
        framework=framework,
        supertokens_config=SupertokensConfig(uri, api_key),
        recipe_list=[session.init()] if recipes is None else recipes,
        mode="wsgi",
        telemetry=False,
    )


def told() -> Any:
    return read_sdk()


def cookies_told() -> Any:
    values: Any = read_cookie_settings()
    return values.secure, values.same_site, values.older_domain


def by_request(request: BaseRequest | None, _context: Any) -> str:
    assert request
    return "https://one.example.com"


def test_sdk_is_not_imported_to_look_for_it() -> None:
    subprocess.run([sys.executable, "-c", NOTHING_IMPORTED], check=True)


def test_imported_sdk_that_was_not_initialised_tells_nothing() -> None:
    assert (read_sdk(), read_cookie_settings(), read_recipe_ids()) == (None, None, None)


def test_ids_of_initialised_recipes_and_how_the_sdk_sets_cookies_are_read() -> None:
    init_sdk()
    assert "totp" not in (read_recipe_ids() or ())
    assert "session" in (read_recipe_ids() or ())
    assert cookies_told() == (False, "lax", None)


def test_cookies_of_an_origin_that_depends_on_the_request_are_unknown() -> None:
    init_sdk(website_domain=None, origin=by_request)
    assert cookies_told() == (False, None, None)


W = "website_domain"

INFO: dict[str, Any] = {
    "a plain init": ({}, {}),
    "base paths at the root": (
        {"api_base_path": "/", "website_base_path": "/"},
        {"api_base_path": "", "website_base_path": ""},
    ),
    "pages elsewhere": ({W: "https://www.x.com"}, {"website_origin": "https://www.x.com"}),
    "pages on a domain": ({W: "www.x.com"}, {"website_origin": "https://www.x.com"}),
    "pages in capitals": ({W: "https://WWW.x.com/"}, {"website_origin": "https://www.x.com"}),
    # Browsers leave it out.
    "default port": ({W: "https://www.x.com:443"}, {"website_origin": "https://www.x.com"}),
    "another port": ({W: "http://localhost:3000"}, {"website_origin": "http://localhost:3000"}),
    "origin by a function": (
        {W: None, "origin": lambda *_: "https://one.example.com"},
        {"website_origin": "https://one.example.com"},
    ),
    "origin by request": ({W: None, "origin": by_request}, {"website_origin": None}),
    # An app whose API runs elsewhere needs no middleware.
    "another framework": ({"framework": "fastapi"}, {}),
}


@rows("info, expected", INFO)
def test_initialised_sdk_tells_its_values(
    monkeypatch: pytest.MonkeyPatch, info: dict[str, Any], expected: dict[str, Any]
) -> None:
    monkeypatch.delitem(sys.modules, FLASK_REQUEST, raising=False)
    init_sdk(**info)
    assert vars(told()) == PLAIN | expected
    assert (told().global_claims.has_mfa, told().global_claims.is_overridden) == (False, False)


def test_everything_may_be_set_otherwise() -> None:
    cores = ("http://core-1:3567/base", "https://core-2")
    init_sdk(
        ";".join(cores),
        [
            session.init(
                cookie_domain=".example.com",
                use_dynamic_access_token_signing_key=False,
                session_expired_status_code=440,
                invalid_claim_status_code=499,
                cookie_same_site="strict",
                older_cookie_domain=".older.example.com",
            )
        ],
        api_key="of-the-core",
        api_domain="https://api.example.com",
        api_gateway_path="/gateway",
        api_base_path="/api/auth/",
        website_domain="https://www.example.com",
        website_base_path="/login",
    )
    assert vars(told()) == PLAIN | {
        "api_domain": "https://api.example.com",
        "api_base_path": "/gateway/api/auth",
        "website_origin": "https://www.example.com",
        "website_base_path": "/login",
        "cookie_domain": ".example.com",
        "dynamic_signing_key": False,
        "session_expired_status": 440,
        "key_uris": tuple(f"{core}/.well-known/jwks.json" for core in cores),
        "invalid_claim_status": 499,
        "session_uris": tuple(f"{core}/recipe/session" for core in cores),
        "core_headers": {"cdi-version": "5.4", "rid": "session", "api-key": "of-the-core"},
    }
    assert cookies_told() == (True, "strict", ".older.example.com")


def test_sdk_without_the_session_recipe_tells_the_rest_and_sets_no_cookies() -> None:
    init_sdk(recipes=[emailpassword.init()])
    assert vars(told()) == PLAIN | {"dynamic_signing_key": None, "global_claims": None}
    assert read_cookie_settings() is None


def test_sdk_without_a_core_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    init_sdk()
    monkeypatch.delitem(sys.modules, "supertokens_python.querier")
    with pytest.raises(ConfigError, match=r"knows no core: call supertokens_python\.init"):
        read_sdk()


def for_pages(request: BaseRequest, for_create: bool, _context: Any) -> Any:
    """Take cookies from a browser's page alone."""
    assert (request.method(), request.get_header("st-auth-mode")) == ("GET", None)
    assert for_create is False
    return "cookie" if "text/html" in str(request.get_header("accept")) else "header"


def outside(*_: Any) -> Any:
    raise RuntimeError("Working outside of request context.")


METHODS: dict[str, Any] = {
    "cookies": (lambda *_: "cookie", True),
    "any": (lambda *_: "any", True),
    "cookies for a page": (for_pages, True),
    "a function that needs more of a request": (outside, True),
    "headers only": (lambda *_: "header", False),
}


@rows("method, is_taken", METHODS)
def test_tokens_in_headers_alone_are_refused_with_the_reason(method: Any, is_taken: bool) -> None:
    init_sdk(recipes=[session.init(get_token_transfer_method=method)])
    if is_taken:
        assert told().dynamic_signing_key is True
    else:
        message = r"headers only.*get_token_transfer_method.*\"cookie\" or \"any\""
        with pytest.raises(ConfigError, match=message):
            read_sdk()
