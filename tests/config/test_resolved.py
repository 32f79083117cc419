"""What the settings of the app and of the SDK resolve to together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flask_ssr_session.config.resolved import ResolvedSettings, SDKSettings
from flask_ssr_session.config.settings import Settings
from flask_ssr_session.errors import ConfigError
from tests.tables import rows

# What the SDK says, and pages take over as it is.
SAME: dict[str, Any] = {
    "api_domain": "https://api.example.com",
    "api_base_path": "/api/auth",
    "website_base_path": "/login",
    "cookie_domain": ".example.com",
    "session_expired_status": 440,
    "invalid_claim_status": 499,
    "key_uris": tuple(f"http://{each}:3567/.well-known/jwks.json" for each in ("core", "spare")),
    "session_uris": tuple(f"http://{each}:3567/recipe/session" for each in ("core", "spare")),
    "core_headers": {"api-key": "s3cr3t"},
    "global_claims": object(),
}
SDK = SDKSettings(website_origin="https://www.example.com", dynamic_signing_key=True, **SAME)
WITH_SDK: dict[str, Any] = SAME | {
    **dict.fromkeys(("login_url", "default_login_url"), "/login"),
    **{key: {"https://www.example.com"} for key in ("return_origins", "trusted_origins")},
    "website_host": "www.example.com",
    "kid_prefix": "d-",
    "claim_pages": {"st-ev": "/login/verify-email", "st-mfa": "/login/mfa"},
    "factors_path": "/login/mfa",
}
A, K = "https://a.example", "https://k.example/"


def resolve(sdk: SDKSettings | None = None, **config: Any) -> ResolvedSettings:
    return ResolvedSettings.resolve(Settings.from_mappings({}, config), sdk)


def test_without_an_sdk_the_api_domain_is_required_and_the_rest_has_defaults() -> None:
    unset_and_given: list[Any] = [None, {"keys": []}]
    for keys in unset_and_given:
        with pytest.raises(ConfigError, match=r"supertokens_python.init.* SSR_SESSION_API_DOMAIN"):
            resolve(jwks=keys)
    nothing = ("website_base_path", "cookie_domain", "kid_prefix", "factors_path", "global_claims")
    assert vars(resolve(api_domain=A)) == (
        {"api_domain": A, "api_base_path": "/auth", "login_url": "/auth", "website_host": ""}
        | {"default_login_url": "/auth"}
        | {"return_origins": set(), "trusted_origins": set(), "core_headers": {}}
        | {"claim_pages": {}}
        | {"session_expired_status": 401, "invalid_claim_status": 403, "session_uris": ()}
        | {"key_uris": (f"{A}/auth/jwt/jwks.json",), **dict.fromkeys(nothing)}
    )


def test_with_an_sdk_nothing_is_required_and_settings_win() -> None:
    assert vars(resolve(SDK)) == WITH_SDK
    config_pages: dict[str, Any] = {"claim_pages": {"st-ev": "/confirm", "plan": "/plans"}}
    pages = {"claim_pages": WITH_SDK["claim_pages"] | config_pages["claim_pages"]}
    assert vars(resolve(SDK, **config_pages)) == WITH_SDK | pages
    assert resolve(api_domain=A, **config_pages).claim_pages == config_pages["claim_pages"]
    other: dict[str, Any] = {"api_domain": A, "login_url": "/in?x=1", "cookie_domain": "x.com"}
    config = {"api_base_path": "/", "jwks_uri": K, "global_claims": False}
    origins = {"redirect_origins": ["https://b.example"], "trusted_origins": [f"{A}/"]}
    assert vars(resolve(SDK, **other, **config, **origins)) == WITH_SDK | other | {
        "api_base_path": "",
        "key_uris": (K,),
        "return_origins": {"https://www.example.com", "https://b.example"},
        "trusted_origins": {"https://www.example.com", A},
        "global_claims": None,
    }


LEFT_OPEN: dict[str, Any] = {
    "static keys sign": ({"dynamic_signing_key": False}, {"kid_prefix": "s-"}),
    "no Session recipe": ({"dynamic_signing_key": None}, {"kid_prefix": None}),
    "the origin depends on the request": (
        {"website_origin": None},
        {"website_host": "", "return_origins": set(), "trusted_origins": set()},
    ),
    "pages at the root": (
        {"website_base_path": ""},
        {
            "login_url": "/",
            "default_login_url": "/",
            "website_base_path": "",
            "factors_path": "/mfa",
            "claim_pages": {"st-ev": "/verify-email", "st-mfa": "/mfa"},
        },
    ),
    "host-only cookies": ({"cookie_domain": None}, {"cookie_domain": None}),
    "the API at the root": ({"api_base_path": ""}, {"api_base_path": ""}),
}


@rows("changes, expected", LEFT_OPEN)
def test_what_the_sdk_leaves_open(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    assert vars(resolve(SDK.replace(**changes))) == WITH_SDK | expected


def test_api_domain_with_a_password_is_refused_and_not_repeated() -> None:
    """The SDK accepts it, but pages would show it to every visitor."""
    sdk = SDK.replace(api_domain="https://user:s3cr3t@api.example.com")
    with pytest.raises(ConfigError, match="user information") as refused:
        resolve(sdk)
    assert "s3cr3t" not in str(refused.value)
    assert resolve(sdk, api_domain=A).api_domain == A


def test_revocation_needs_the_sdk() -> None:
    with pytest.raises(ConfigError, match=r"CHECK_REVOKED.*supertokens_python.init"):
        resolve(api_domain=A, check_revoked=True)
    assert resolve(SDK, check_revoked=True).session_uris == SDK.session_uris


def test_api_key_is_in_no_repr() -> None:
    assert "s3cr3t" in str(SDK.core_headers)
    # Error reporters iterate over tuples and mappings.
    shown = repr(SDK) + repr(resolve(SDK)) + json.dumps([SDK, resolve(SDK)], default=repr)
    assert "s3cr3t" not in shown


KEYS: dict[str, Any] = {"jwks": {"keys": []}}
IN_THE_CLEAR = None

SOURCES: dict[str, Any] = {
    "given keys come first": (KEYS | {"jwks_uri": K}, SDK, ()),
    "then the URI": ({"jwks_uri": K}, SDK, (K,)),
    # Its network was chosen in the SDK.
    "then the core, over http, too": ({}, SDK, SDK.key_uris),
    "then the API": ({"api_base_path": "/x"}, None, (f"{A}/x/jwt/jwks.json",)),
    "https in capitals": ({"jwks_uri": "HTTPS://k.example/"}, None, ("HTTPS://k.example/",)),
    "http": ({"jwks_uri": "http://k.example/"}, None, IN_THE_CLEAR),
    "http to the core itself": ({"jwks_uri": SDK.key_uris[0]}, SDK, IN_THE_CLEAR),
    "http in an inner network": ({"jwks_uri": "http://10.0.0.1/"}, None, IN_THE_CLEAR),
    "http, like loopback": ({"jwks_uri": "http://localhost.k.x/"}, None, IN_THE_CLEAR),
    "loopback name": ({"jwks_uri": "http://localhost:1/"}, None, ("http://localhost:1/",)),
    "loopback address": ({"jwks_uri": "http://127.0.0.1:1/"}, None, ("http://127.0.0.1:1/",)),
    "loopback address, IPv6": ({"jwks_uri": "http://[::1]:1/"}, None, ("http://[::1]:1/",)),
    "accepted risk": (
        {"jwks_uri": "http://k.x/", "insecure_jwks_http": True},
        *(None, ("http://k.x/",)),
    ),
    "API over http": ({"api_domain": "http://a.example"}, None, IN_THE_CLEAR),
    "API over http, given keys": ({"api_domain": "http://a.example"} | KEYS, None, ()),
    "API on loopback": (
        {"api_domain": "http://localhost:1"},
        *(None, ("http://localhost:1/auth/jwt/jwks.json",)),
    ),
}


@rows("config, sdk, uris", SOURCES)
def test_keys_come_from_the_first_source_and_cross_no_network_in_the_clear(
    config: dict[str, Any], sdk: SDKSettings | None, uris: tuple[str, ...] | None
) -> None:
    config = {"api_domain": A, **config}
    if uris is not IN_THE_CLEAR:
        assert resolve(sdk, **config).key_uris == uris
    else:
        with pytest.raises(ConfigError, match=r"plain http.*SSR_SESSION_INSECURE_JWKS_HTTP"):
            resolve(sdk, **config)
