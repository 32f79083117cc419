"""The settings of a real supertokens-python are read without importing it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from supertokens_python import InputAppInfo, SupertokensConfig, init
from supertokens_python.framework.request import BaseRequest
from supertokens_python.recipe import emailpassword, session

from flask_ssr_session.config.resolved import SDKSettings
from flask_ssr_session.config.sdk import SDKCookieSettings, read_cookie_settings, read_sdk
from flask_ssr_session.errors import ConfigError

from .development_core.sdk import reset_sdk

FLASK_REQUEST = "supertokens_python.framework.flask.flask_request"

NOTHING_IMPORTED = """
import sys
import flask_ssr_session
from flask_ssr_session.config.sdk import read_sdk
assert read_sdk() is None
sys.stdout.write(",".join(name for name in sys.modules if name.startswith("supertokens")))
"""


@pytest.fixture(autouse=True)
def sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Allow the test to initialise the SDK, and reset it afterwards."""
    monkeypatch.setenv("SUPERTOKENS_ENV", "testing")
    monkeypatch.setenv("SUPERTOKENS_TLDEXTRACT_DISABLE_HTTP", "1")
    reset_sdk()
    yield
    reset_sdk()


def init_sdk(
    *,
    connection_uri: str = "http://localhost:3567",
    recipes: list[Any] | None = None,
    framework: Any = "flask",
    api_key: str | None = None,
    **app_info: Any,
) -> None:
    init(
        app_info=InputAppInfo(
            **{
                "app_name": "Test",
                "api_domain": "http://localhost:5000",
                "website_domain": "http://localhost:5000",
                **app_info,
            }
        ),
        framework=framework,
        supertokens_config=SupertokensConfig(connection_uri, api_key),
        recipe_list=[session.init()] if recipes is None else recipes,
        mode="wsgi",
        telemetry=False,
    )


def read_initialised() -> SDKSettings:
    values = read_sdk()
    assert values is not None
    return values


def test_sdk_is_not_imported_to_look_for_it() -> None:
    result = subprocess.run(
        [sys.executable, "-c", NOTHING_IMPORTED], capture_output=True, text=True, check=True
    )

    assert result.stdout == ""


def test_imported_sdk_that_was_not_initialised_tells_nothing() -> None:
    assert read_sdk() is None


def test_initialised_sdk_tells_its_values() -> None:
    init_sdk()

    assert read_initialised() == SDKSettings(
        api_domain="http://localhost:5000",
        api_base_path="/auth",
        website_origin="http://localhost:5000",
        website_base_path="/auth",
        cookie_domain=None,
        dynamic_signing_key=True,
        session_expired_status=401,
        key_uris=("http://localhost:3567/.well-known/jwks.json",),
        session_uris=("http://localhost:3567/recipe/session",),
        core_headers={"cdi-version": "5.4", "rid": "session"},
    )


def test_everything_may_be_set_otherwise() -> None:
    init_sdk(
        api_domain="https://api.example.com",
        api_gateway_path="/gateway",
        api_base_path="/api/auth/",
        website_domain="https://www.example.com",
        website_base_path="/login",
        recipes=[
            session.init(
                cookie_domain=".example.com",
                use_dynamic_access_token_signing_key=False,
                session_expired_status_code=440,
                invalid_claim_status_code=499,
            )
        ],
        connection_uri="http://core-1:3567/base;https://core-2",
        api_key="of-the-core",
    )

    assert read_initialised() == SDKSettings(
        api_domain="https://api.example.com",
        api_base_path="/gateway/api/auth",
        website_origin="https://www.example.com",
        website_base_path="/login",
        cookie_domain=".example.com",
        dynamic_signing_key=False,
        session_expired_status=440,
        key_uris=(
            "http://core-1:3567/base/.well-known/jwks.json",
            "https://core-2/.well-known/jwks.json",
        ),
        invalid_claim_status=499,
        session_uris=(
            "http://core-1:3567/base/recipe/session",
            "https://core-2/recipe/session",
        ),
        core_headers={"cdi-version": "5.4", "rid": "session", "api-key": "of-the-core"},
    )


def test_base_paths_may_be_the_root() -> None:
    init_sdk(api_base_path="/", website_base_path="/")

    assert (read_initialised().api_base_path, read_initialised().website_base_path) == ("", "")


def test_sdk_without_the_session_recipe_tells_the_rest() -> None:
    init_sdk(recipes=[emailpassword.init()])

    values = read_initialised()

    assert values.api_domain == "http://localhost:5000"
    assert values.dynamic_signing_key is None
    assert values.session_expired_status == 401


@pytest.mark.parametrize("framework", ["flask", "fastapi"])
def test_sdk_without_its_flask_middleware_is_read(
    monkeypatch: pytest.MonkeyPatch, framework: str
) -> None:
    """An app whose API runs elsewhere needs no middleware."""
    monkeypatch.delitem(sys.modules, FLASK_REQUEST, raising=False)
    init_sdk(framework=framework)

    assert read_initialised().api_domain == "http://localhost:5000"


# The origin of the pages


@pytest.mark.parametrize(
    ("website", "origin"),
    [
        pytest.param("https://www.example.com", "https://www.example.com", id="origin"),
        pytest.param("www.example.com", "https://www.example.com", id="domain"),
        pytest.param("https://WWW.example.com/", "https://www.example.com", id="capitals"),
        pytest.param("https://www.example.com:443", "https://www.example.com", id="default port"),
        pytest.param("http://localhost:3000", "http://localhost:3000", id="port"),
    ],
)
def test_website_origin_is_spelled_as_browsers_do(website: str, origin: str) -> None:
    init_sdk(website_domain=website)

    assert read_initialised().website_origin == origin


def test_origin_may_be_a_function() -> None:
    init_sdk(website_domain=None, origin=lambda _request, _context: "https://one.example.com")

    assert read_initialised().website_origin == "https://one.example.com"


def test_origin_that_depends_on_the_request_is_unknown() -> None:
    def origin(request: BaseRequest | None, _context: Any) -> str:
        assert request is not None
        return "https://one.example.com"

    init_sdk(website_domain=None, origin=origin)

    assert read_initialised().website_origin is None


# How cookies are set


def test_sdk_tells_how_it_sets_cookies() -> None:
    init_sdk()
    assert read_cookie_settings() == SDKCookieSettings(
        secure=False, same_site="lax", older_domain=None
    )


def test_cookies_may_be_set_otherwise() -> None:
    init_sdk(
        api_domain="https://api.example.com",
        website_domain="https://www.example.com",
        recipes=[session.init(cookie_same_site="strict", older_cookie_domain=".example.com")],
    )
    assert read_cookie_settings() == SDKCookieSettings(
        secure=True, same_site="strict", older_domain=".example.com"
    )


def test_no_cookies_are_set_without_the_session_recipe() -> None:
    init_sdk(recipes=[emailpassword.init()])
    assert read_cookie_settings() is None


def test_cookies_of_an_origin_that_depends_on_the_request_are_unknown() -> None:
    def origin(request: BaseRequest | None, _context: Any) -> str:
        assert request is not None
        return "https://one.example.com"

    init_sdk(website_domain=None, origin=origin)
    cookies = read_cookie_settings()
    assert cookies is not None
    assert cookies.same_site is None


# Tokens in headers


def token_method(method: str) -> Callable[[BaseRequest, bool, dict[str, Any]], Any]:
    def get_token_transfer_method(
        _request: BaseRequest, _for_create: bool, _context: dict[str, Any]
    ) -> Any:
        return method

    return get_token_transfer_method


@pytest.mark.parametrize("method", ["cookie", "any"])
def test_cookies_are_accepted(method: str) -> None:
    init_sdk(recipes=[session.init(get_token_transfer_method=token_method(method))])

    assert read_initialised().dynamic_signing_key is True


def test_headers_only_is_refused_with_the_reason() -> None:
    init_sdk(recipes=[session.init(get_token_transfer_method=token_method("header"))])

    with pytest.raises(ConfigError, match=r"get_token_transfer_method.*\"cookie\" or \"any\""):
        read_sdk()


def test_function_sees_a_page_request() -> None:
    seen: list[tuple[str, str | None, bool]] = []

    def by_request(request: BaseRequest, for_create: bool, _context: dict[str, Any]) -> Any:
        seen.append((request.method(), request.get_header("st-auth-mode"), for_create))
        return "header" if "text/html" not in str(request.get_header("accept")) else "cookie"

    init_sdk(recipes=[session.init(get_token_transfer_method=by_request)])

    assert read_initialised().dynamic_signing_key is True
    assert seen == [("GET", None, False)]


def test_function_that_needs_more_of_a_request_is_not_judged() -> None:
    def failing(_request: BaseRequest, _for_create: bool, _context: dict[str, Any]) -> Any:
        raise RuntimeError("Working outside of request context.")

    init_sdk(recipes=[session.init(get_token_transfer_method=failing)])

    assert read_initialised().dynamic_signing_key is True
