"""Settings are checked and frozen at start-up; the SDK's are read later."""

from __future__ import annotations

import ast
import dataclasses
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from flask_ssr_session.config import settings as settings_module
from flask_ssr_session.config.resolved import ResolvedSettings, SDKSettings
from flask_ssr_session.config.settings import Settings
from flask_ssr_session.errors import ConfigError

SDK = SDKSettings(
    api_domain="https://api.example.com",
    api_base_path="/api/auth",
    website_origin="https://www.example.com",
    website_base_path="/login",
    cookie_domain=".example.com",
    dynamic_signing_key=True,
    session_expired_status=440,
    key_uris=("http://core:3567/.well-known/jwks.json", "http://spare:3567/.well-known/jwks.json"),
    invalid_claim_status=499,
    session_uris=("http://core:3567/recipe/session", "http://spare:3567/recipe/session"),
    core_headers={"api-key": "s3cr3t"},
)


def from_config(**config: Any) -> Settings:
    """Return the settings of an ``app.config`` with these keys, in lower case and unprefixed."""
    return Settings.from_mappings(
        {f"SSR_SESSION_{name.upper()}": value for name, value in config.items()}, {}
    )


def resolve(sdk: SDKSettings | None = None, **config: Any) -> ResolvedSettings:
    return ResolvedSettings.resolve(from_config(**config), sdk)


# Names and precedence


def test_nothing_is_required() -> None:
    settings = Settings.from_mappings({}, {})

    assert dataclasses.asdict(settings) == {
        "api_domain": None,
        "api_base_path": None,
        "jwks": None,
        "jwks_uri": None,
        "jwks_max_stale_seconds": 86400.0,
        "insecure_jwks_http": False,
        "issuer": None,
        "leeway_seconds": 0.0,
        "login_url": None,
        "login_return_param": "redirectToPath",
        "refresh_path": "/refresh-session",
        "refresh_flow": "inline",
        "always_try_refresh": False,
        "check_revoked": False,
        "global_claims": True,
        "trusted_origins": (),
        "insecure_cross_site": False,
        "redirect_origins": (),
        "cookie_domain": None,
    }


def test_type_checkers_know_every_keyword() -> None:
    source = ast.parse(Path(settings_module.__file__).read_text())
    (keywords,) = (
        node
        for node in ast.walk(source)
        if isinstance(node, ast.ClassDef) and node.name == "SettingsKeywords"
    )

    names = [ast.unparse(line.target) for line in keywords.body if isinstance(line, ast.AnnAssign)]
    assert names == [field.name for field in dataclasses.fields(Settings)]


def test_config_wins_over_keywords_and_both_over_defaults() -> None:
    settings = Settings.from_mappings(
        {"SSR_SESSION_ISSUER": "config", "SSR_SESSION_LEEWAY_SECONDS": 2},
        {"issuer": "keyword", "refresh_flow": "redirect"},
    )

    assert (settings.issuer, settings.leeway_seconds) == ("config", 2.0)
    assert (settings.refresh_flow, settings.refresh_path) == ("redirect", "/refresh-session")


def test_none_counts_as_not_set() -> None:
    settings = Settings.from_mappings(
        {"SSR_SESSION_ISSUER": None, "SSR_SESSION_REFRESH_FLOW": None}, {"issuer": "keyword"}
    )

    assert (settings.issuer, settings.refresh_flow) == ("keyword", "inline")


def test_settings_are_frozen() -> None:
    settings = Settings.from_mappings({}, {})

    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.issuer = "other"  # type: ignore[misc]


def test_other_keys_of_the_app_are_left_alone() -> None:
    config = {"SECRET_KEY": "x", "SESSION_COOKIE_NAME": "y", "SSR_SESSIONS": 1, 5: 6}

    assert Settings.from_mappings(config, {}) == Settings()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "keywords", "message"),
    [
        pytest.param(
            {"SSR_SESSION_API_DOMIAN": "x"},
            {},
            "SSR_SESSION_API_DOMIAN is not a setting of flask_ssr_session; "
            "did you mean SSR_SESSION_API_DOMAIN?",
            id="letters changed",
        ),
        pytest.param(
            {"SSR_SESSION_api_domain": "x"},
            {},
            "SSR_SESSION_api_domain is not a setting of flask_ssr_session; "
            "did you mean SSR_SESSION_API_DOMAIN?",
            id="small letters",
        ),
        pytest.param(
            {"SSR_SESSION_LOGINURL": "x"},
            {},
            "SSR_SESSION_LOGINURL is not a setting of flask_ssr_session; "
            "did you mean SSR_SESSION_LOGIN_URL?",
            id="underscore missing",
        ),
        pytest.param(
            {"SSR_SESSION_ZZZZZZ": None},
            {},
            "SSR_SESSION_ZZZZZZ is not a setting of flask_ssr_session",
            id="nothing near, even where it is None",
        ),
        pytest.param(
            {},
            {"leeway": 1},
            "leeway is not a setting of flask_ssr_session; did you mean leeway_seconds?",
            id="keyword",
        ),
        pytest.param(
            {},
            {"SSR_SESSION_API_DOMAIN": "x"},
            "SSR_SESSION_API_DOMAIN is not a setting of flask_ssr_session; "
            "did you mean api_domain?",
            id="config key as a keyword",
        ),
        pytest.param(
            {},
            {"API_DOMAIN": "x"},
            "API_DOMAIN is not a setting of flask_ssr_session; did you mean api_domain?",
            id="keyword in capitals",
        ),
    ],
)
def test_unknown_name_is_an_error_with_the_nearest_one(
    config: dict[str, Any], keywords: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_mappings(config, keywords)

    assert str(caught.value) == message


# Values, on both sides of what is possible


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("api_domain", "https://api.example.com", "https://api.example.com"),
        ("api_domain", " https://API.example.com:443/ ", "https://api.example.com"),
        ("api_domain", "http://localhost:5000", "http://localhost:5000"),
        ("api_base_path", "/auth/", "/auth"),
        ("api_base_path", "/", ""),
        ("api_base_path", "/a/b", "/a/b"),
        ("jwks", {"keys": []}, {"keys": []}),
        ("jwks", "/etc/keys/jwks.json", "/etc/keys/jwks.json"),
        ("jwks", Path("keys/jwks.json"), str(Path("keys/jwks.json"))),
        ("jwks_uri", "https://a.example/jwks.json?x=1", "https://a.example/jwks.json?x=1"),
        ("jwks_uri", "http://core:3567/a%20b", "http://core:3567/a%20b"),
        ("jwks_max_stale_seconds", 0, 0.0),
        ("jwks_max_stale_seconds", 604_800, 604_800.0),
        ("insecure_jwks_http", True, True),
        ("issuer", "https://api.example.com/auth", "https://api.example.com/auth"),
        ("leeway_seconds", 0, 0.0),
        ("leeway_seconds", 0.5, 0.5),
        ("leeway_seconds", 300, 300.0),
        ("login_url", "/auth", "/auth"),
        ("login_url", "/auth/?show=signup", "/auth?show=signup"),
        ("login_url", "/", "/"),
        ("login_url", "/?show=signin", "/?show=signin"),
        ("login_url", "https://sign.example.com/in?x#y", "https://sign.example.com/in?x#y"),
        ("login_return_param", "next", "next"),
        ("login_return_param", "return_to-2", "return_to-2"),
        ("refresh_path", "/session/refresh-me/", "/session/refresh-me"),
        ("refresh_flow", "redirect", "redirect"),
        ("always_try_refresh", True, True),
        ("redirect_origins", [], ()),
        ("redirect_origins", ["https://A.example:443"], ("https://a.example",)),
        ("redirect_origins", ("http://a.example",), ("http://a.example",)),
        ("redirect_origins", {"http://a.example"}, ("http://a.example",)),
        ("cookie_domain", ".Example.com", ".example.com"),
        ("cookie_domain", "localhost", "localhost"),
    ],
)
def test_possible_value_is_taken(name: str, value: Any, expected: object) -> None:
    assert getattr(from_config(**{name: value}), name) == expected
    assert getattr(Settings.from_mappings({}, {name: value}), name) == expected


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("api_domain", ["", " ", "api.example.com", "https://api.example.com/auth", "ftp://a", 5]),
        ("api_domain", ["https://a\n", "https://user:pw@a.example", "https://a b", b"https://a"]),
        ("api_base_path", ["auth", "//auth", "/a?b", "/a#b", "/a\\b", "/a b", "/<a>", "/%61", 5]),
        ("jwks", ["", " ", 5, b"/x", ["x"], True]),
        ("jwks_uri", ["", "/jwks.json", "ftp://a/x", "https:///x", "https://u:p@a/x", "x", 5]),
        ("jwks_uri", ["https://a.example/a b", "https://a.example/ü", "https://ü.example/a"]),
        ("jwks_max_stale_seconds", [-0.1, 604_801, math.nan, math.inf, 10**400, "60", True]),
        ("insecure_jwks_http", [0, 1, "true", "False", []]),
        ("issuer", ["", "  ", "a\x00", 5]),
        ("leeway_seconds", [-1, 300.1, math.nan, -math.inf, 10**400, "0", False, Decimal(1)]),
        ("login_url", ["", "auth", "//evil.example", "/\\evil.example", "/a#b", "/a b", 5]),
        ("login_url", ["javascript:alert(1)", "https://u@a.example/", "https://", "ftp://a/"]),
        ("login_return_param", ["", "a b", "a=b", "a&b", "_", "-", "a[]", 5]),
        ("refresh_path", ["", "/", "refresh", "//refresh", "/<path:x>", "/a?b", 5]),
        ("refresh_flow", ["", "Inline", "both", True, 5, ["inline"]]),
        ("always_try_refresh", [0, 1, "yes"]),
        ("redirect_origins", ["https://a.example", [5], [""], ["a.example"], {"a": 1}, 5]),
        ("redirect_origins", [["https://*.example.com"], ["https://a.example/x"], ["null"]]),
        ("cookie_domain", ["", "https://example.com", "example.com:80", "a b", "example.com/x", 5]),
    ],
)  # fmt: skip
def test_impossible_value_is_an_error_with_an_example(name: str, values: list[Any]) -> None:
    for value in values:
        with pytest.raises(
            ConfigError, match=rf"^SSR_SESSION_{name.upper()} must be .+, for example "
        ):
            from_config(**{name: value})
        with pytest.raises(ConfigError, match=rf"^{name} must be .+, for example "):
            Settings.from_mappings({}, {name: value})


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_value_is_not_repeated(field: dataclasses.Field[Any]) -> None:
    """It may be a misplaced secret."""
    values: list[Any] = ["\x00s3cr3t", ["s3cr3t\x00"]]
    if field.name not in ("issuer", "jwks"):
        values += ["s3cr3t s3cr3t:\\?#<>", "https://[s3cr3t]", "https://user:s3cr3t@/"]
    for value in values:
        with pytest.raises(ConfigError) as caught:
            from_config(**{field.name: value})
        assert "s3cr3t" not in str(caught.value)
        assert caught.value.__suppress_context__


@pytest.mark.parametrize("name", ["api_domain", "jwks_uri", "login_url"])
def test_password_that_looks_like_a_port_is_not_repeated(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_config(**{name: "https://user:s3cr3t"})

    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_examples_are_possible_values(field: dataclasses.Field[Any]) -> None:
    example: Any = field.metadata["example"]
    is_text = not example[0].isdigit() and example not in ("False", "True") and example[0] != "["

    from_config(**{field.name: example if is_text else ast.literal_eval(example)})


# What settings and SDK resolve to


def test_api_domain_with_a_password_is_refused_and_not_repeated() -> None:
    """The SDK accepts it, but pages would show it to every visitor."""
    sdk = dataclasses.replace(SDK, api_domain="https://user:s3cr3t@api.example.com")
    with pytest.raises(ConfigError, match="user information") as refused:
        resolve(sdk)
    assert "s3cr3t" not in str(refused.value)
    assert resolve(sdk, api_domain="https://api.example.com").api_domain == SDK.api_domain


def test_without_an_sdk_the_api_domain_is_required() -> None:
    with pytest.raises(ConfigError, match=r"supertokens_python.init.* SSR_SESSION_API_DOMAIN"):
        resolve()
    with pytest.raises(ConfigError, match="SSR_SESSION_API_DOMAIN"):
        resolve(jwks={"keys": []})


def test_without_an_sdk_the_rest_has_defaults() -> None:
    assert resolve(api_domain="https://a.example") == ResolvedSettings(
        api_domain="https://a.example",
        api_base_path="/auth",
        login_url="/auth",
        website_base_path=None,
        website_host="",
        return_origins=frozenset(),
        cookie_domain=None,
        kid_prefix=None,
        session_expired_status=401,
        key_uris=("https://a.example/auth/jwt/jwks.json",),
        trusted_origins=frozenset(),
        invalid_claim_status=403,
        session_uris=(),
        core_headers={},
    )


def test_with_an_sdk_nothing_is_required() -> None:
    assert resolve(SDK) == ResolvedSettings(
        api_domain="https://api.example.com",
        api_base_path="/api/auth",
        login_url="/login",
        website_base_path="/login",
        website_host="www.example.com",
        return_origins=frozenset({"https://www.example.com"}),
        cookie_domain=".example.com",
        kid_prefix="d-",
        session_expired_status=440,
        key_uris=SDK.key_uris,
        trusted_origins=frozenset({"https://www.example.com"}),
        invalid_claim_status=SDK.invalid_claim_status,
        session_uris=SDK.session_uris,
        core_headers=SDK.core_headers,
        factor_url="/login/mfa",
    )


def test_settings_win_over_the_sdk() -> None:
    complete = resolve(
        SDK,
        api_domain="https://other.example.com",
        api_base_path="/",
        login_url="/sign-in?x=1",
        cookie_domain="other.example.com",
        redirect_origins=["https://third.example.com"],
        jwks_uri="https://keys.example.com/set",
        trusted_origins=["https://forms.example.com/"],
    )

    assert complete == ResolvedSettings(
        api_domain="https://other.example.com",
        api_base_path="",
        login_url="/sign-in?x=1",
        website_base_path="/login",
        website_host="www.example.com",
        return_origins=frozenset({"https://www.example.com", "https://third.example.com"}),
        cookie_domain="other.example.com",
        kid_prefix="d-",
        session_expired_status=440,
        key_uris=("https://keys.example.com/set",),
        trusted_origins=frozenset({"https://www.example.com", "https://forms.example.com"}),
        invalid_claim_status=SDK.invalid_claim_status,
        session_uris=SDK.session_uris,
        core_headers=SDK.core_headers,
        factor_url="/login/mfa",
    )


def test_revocation_needs_the_sdk() -> None:
    with pytest.raises(ConfigError, match=r"CHECK_REVOKED.*supertokens_python.init"):
        resolve(api_domain="https://a.example", check_revoked=True)
    assert resolve(SDK, check_revoked=True).session_uris == SDK.session_uris


def test_api_key_is_in_no_repr() -> None:
    assert "s3cr3t" in str(SDK.core_headers)
    assert "s3cr3t" not in repr(SDK) + repr(resolve(SDK))
    # Error reporters iterate over tuples and mappings.
    assert "s3cr3t" not in json.dumps([SDK, resolve(SDK)], default=repr)


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"dynamic_signing_key": False}, "kid_prefix", "s-"),
        ({"dynamic_signing_key": None}, "kid_prefix", None),
        ({"website_origin": None}, "return_origins", frozenset()),
        ({"website_base_path": ""}, "login_url", "/"),
        ({"cookie_domain": None}, "cookie_domain", None),
        ({"api_base_path": ""}, "api_base_path", ""),
    ],
)
def test_what_the_sdk_leaves_open(changes: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(resolve(dataclasses.replace(SDK, **changes)), field) == expected


@pytest.mark.parametrize(
    ("config", "sdk", "uris"),
    [
        pytest.param(
            {"jwks": {"keys": []}, "jwks_uri": "https://k.example/"}, SDK, (), id="given keys first"
        ),
        pytest.param(
            {"jwks_uri": "https://k.example/"}, SDK, ("https://k.example/",), id="then the URI"
        ),
        pytest.param({"api_domain": "https://a.example"}, SDK, SDK.key_uris, id="then the core"),
        pytest.param(
            {"api_domain": "https://a.example", "api_base_path": "/x"},
            None,
            ("https://a.example/x/jwt/jwks.json",),
            id="then the API",
        ),
    ],
)
def test_keys_come_from_the_first_source(
    config: dict[str, Any], sdk: SDKSettings | None, uris: tuple[str, ...]
) -> None:
    config = {"api_domain": "https://a.example", **config}

    assert resolve(sdk, **config).key_uris == uris


@pytest.mark.parametrize(
    ("config", "is_accepted"),
    [
        pytest.param({"jwks_uri": "https://k.example/"}, True, id="https"),
        pytest.param({"jwks_uri": "HTTPS://k.example/"}, True, id="https in capitals"),
        pytest.param({"jwks_uri": "http://k.example/"}, False, id="http"),
        pytest.param({"jwks_uri": "http://10.0.0.1/"}, False, id="http in an inner network"),
        pytest.param({"jwks_uri": "http://localhost.k.example/"}, False, id="http, like loopback"),
        pytest.param({"jwks_uri": "http://localhost:3567/"}, True, id="loopback name"),
        pytest.param({"jwks_uri": "http://127.0.0.1:3567/"}, True, id="loopback address"),
        pytest.param({"jwks_uri": "http://[::1]:3567/"}, True, id="loopback address, IPv6"),
        pytest.param(
            {"jwks_uri": "http://k.example/", "insecure_jwks_http": True}, True, id="accepted risk"
        ),
        pytest.param({"api_domain": "http://a.example"}, False, id="API over http"),
        pytest.param({"api_domain": "http://localhost:5000"}, True, id="API on loopback"),
        pytest.param({"api_domain": "http://a.example", "jwks": {}}, True, id="given keys"),
    ],
)
def test_keys_do_not_cross_a_network_in_the_clear(
    config: dict[str, Any], is_accepted: bool
) -> None:
    config = {"api_domain": "https://a.example", **config}

    if is_accepted:
        assert len(resolve(**config).key_uris) == ("jwks" not in config)
    else:
        with pytest.raises(ConfigError, match=r"plain http.*SSR_SESSION_INSECURE_JWKS_HTTP"):
            resolve(**config)


def test_network_of_the_core_was_chosen_in_the_sdk() -> None:
    assert resolve(SDK).key_uris[0].startswith("http://core:3567/")
    with pytest.raises(ConfigError, match="plain http"):
        resolve(SDK, jwks_uri="http://core:3567/.well-known/jwks.json")
