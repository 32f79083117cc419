"""Settings are checked and frozen at start-up."""

from __future__ import annotations

import ast
import dataclasses
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from flask_ssr_session.config import settings as settings_module
from flask_ssr_session.config.settings import FIELDS, Settings
from flask_ssr_session.errors import ConfigError
from tests.tables import rows, shown

WEEK = 604_800


def from_config(**config: Any) -> Settings:
    """Return the settings of an ``app.config`` with these keys, in lower case and unprefixed."""
    given = {f"SSR_SESSION_{name.upper()}": value for name, value in config.items()}
    return Settings.from_mappings(given, {})


def test_nothing_is_required() -> None:
    unset = ("api_domain", "api_base_path", "jwks", "jwks_uri", "issuer", "login_url")
    off = ("insecure_jwks_http", "insecure_cross_site", "always_try_refresh", "check_revoked")
    assert vars(Settings.from_mappings({}, {})) == (
        dict.fromkeys((*unset, "cookie_domain", "claim_pages", "step_up_url", "language"))
        | dict.fromkeys(off, False)
        | {"trusted_origins": (), "redirect_origins": (), "global_claims": True}
        | {"refresh_ahead": True}
        | {"jwks_max_stale_seconds": 86400.0, "leeway_seconds": 0.0, "refresh_flow": "inline"}
        | {"login_return_param": "redirectToPath", "refresh_path": "/refresh-session"}
    )


def test_type_checkers_know_every_keyword() -> None:
    for node in ast.walk(ast.parse(Path(settings_module.__file__).read_text())):
        if isinstance(node, ast.ClassDef) and node.name == "SettingsKeywords":
            lines = [line for line in node.body if isinstance(line, ast.AnnAssign)]
    assert [ast.unparse(line.target) for line in lines] == list(FIELDS)


def test_config_wins_over_keywords_and_both_over_defaults() -> None:
    settings = Settings.from_mappings(
        {"SSR_SESSION_ISSUER": "config", "SSR_SESSION_LEEWAY_SECONDS": 2},
        {"issuer": "keyword", "refresh_flow": "redirect"},
    )
    assert (settings.issuer, settings.leeway_seconds) == ("config", 2.0)
    assert (settings.refresh_flow, settings.refresh_path) == ("redirect", "/refresh-session")
    unset: dict[str, Any] = {"SSR_SESSION_ISSUER": None, "SSR_SESSION_REFRESH_FLOW": None}
    settings = Settings.from_mappings(unset, {"issuer": "keyword"})
    assert (settings.issuer, settings.refresh_flow) == ("keyword", "inline")
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.issuer = "other"  # type: ignore[misc]


def test_other_keys_of_the_app_are_left_alone() -> None:
    config: Any = {"SECRET_KEY": "x", "SESSION_COOKIE_NAME": "y", "SSR_SESSIONS": 1, 5: 6}
    assert vars(Settings.from_mappings(config, {})) == vars(Settings())


UNKNOWN: dict[str, Any] = {
    "letters changed": ("SSR_SESSION_API_DOMIAN", True, "SSR_SESSION_API_DOMAIN"),
    "small letters": ("SSR_SESSION_api_domain", True, "SSR_SESSION_API_DOMAIN"),
    "an underscore is missing": ("SSR_SESSION_LOGINURL", True, "SSR_SESSION_LOGIN_URL"),
    "nothing is near": ("SSR_SESSION_ZZZZZZ", True, None),
    "near the keyword that is no setting": ("isrevoked", False, "is_revoked"),
    "near a setting that looks like it": ("checkrevoked", False, "check_revoked"),
    "it in the config": ("SSR_SESSION_CHECKREVOKED", True, "SSR_SESSION_CHECK_REVOKED"),
    "a keyword": ("leeway", False, "leeway_seconds"),
    "a config key as a keyword": ("SSR_SESSION_API_DOMAIN", False, "api_domain"),
    "a keyword in capitals": ("API_DOMAIN", False, "api_domain"),
}


@rows("name, in_config, nearest", UNKNOWN)
def test_unknown_name_has_the_nearest_one(name: str, in_config: bool, nearest: str | None) -> None:
    given: dict[str, Any] = {name: None}  # even where it counts as not set
    with pytest.raises(ConfigError) as caught:
        Settings.from_mappings(given if in_config else {}, {} if in_config else given)
    advice = f"; did you mean {nearest}?" if nearest else ""
    assert str(caught.value) == f"{name} is not a setting of flask_ssr_session{advice}"


def test_keyword_that_is_no_setting_is_told_from_one() -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_mappings({"SSR_SESSION_IS_REVOKED": len}, {})
    assert str(caught.value) == (
        "SSR_SESSION_IS_REVOKED is not a setting of flask_ssr_session; is_revoked is a keyword of "
        "FlaskSSRSession only"
    )


# Values that are taken as they are.
TAKEN: dict[str, tuple[Any, ...]] = {
    "api_domain": ("https://api.example.com", "http://localhost:5000"),
    "api_base_path": ("/a/b",),
    "jwks": ({"keys": []}, "/etc/keys/jwks.json"),
    "jwks_uri": ("https://a.example/jwks.json?x=1", "http://core:3567/a%20b"),
    "insecure_jwks_http": (True,),
    "issuer": ("https://api.example.com/auth",),
    "leeway_seconds": (0.5,),
    "login_url": (
        *("/auth", "/", "/?show=signin", "https://sign.example.com/in?x#y", "http://localhost/in"),
        *("shop.sign-in", str.lower),
    ),
    "login_return_param": ("next", "return_to-2"),
    "refresh_flow": ("redirect",),
    "cookie_domain": ("localhost",),
}
POSSIBLE: dict[str, Any] = {
    **{f"{name} {shown(v)}": (name, v, v) for name, values in TAKEN.items() for v in values},
    "an origin as people write it": (
        *("api_domain", " https://API.example.com:443/ ", "https://api.example.com"),
    ),
    "a base path with a slash at its end": ("api_base_path", "/auth/", "/auth"),
    "the root as a base path": ("api_base_path", "/", ""),
    "a file of keys as a path": ("jwks", Path("keys/jwks.json"), str(Path("keys/jwks.json"))),
    "stale keys for no time": ("jwks_max_stale_seconds", 0, 0.0),
    "stale keys for a week": ("jwks_max_stale_seconds", WEEK, float(WEEK)),
    "no leeway": ("leeway_seconds", 0, 0.0),
    "the longest leeway": ("leeway_seconds", 300, 300.0),
    "sign-in with a query": ("login_url", "/auth/?show=signup", "/auth?show=signup"),
    "a refresh path": ("refresh_path", "/session/refresh-me/", "/session/refresh-me"),
    "no origins": ("redirect_origins", [], ()),
    "origins in a list": ("redirect_origins", ["https://A.x:443"], ("https://a.x",)),
    "origins in a tuple": ("redirect_origins", ("http://a.x",), ("http://a.x",)),
    "origins in a set": ("redirect_origins", {"http://a.x"}, ("http://a.x",)),
    "origins in a frozenset": ("trusted_origins", frozenset({"http://a.x"}), ("http://a.x",)),
    "a cookie domain": ("cookie_domain", ".Example.com", ".example.com"),
    "a page for a factor again": ("step_up_url", "/step-up/?x=1", "/step-up?x=1"),
}


@rows("name, value, expected", POSSIBLE)
def test_possible_value_is_taken(name: str, value: Any, expected: object) -> None:
    for settings in (from_config(**{name: value}), Settings.from_mappings({}, {name: value})):
        kept = getattr(settings, name)
        assert (kept, type(kept)) == (expected, type(expected))


SWITCHES = ("refresh_ahead", "always_try_refresh", "check_revoked", "insecure_cross_site")
IMPOSSIBLE: dict[str, list[Any]] = {
    "api_domain": [
        *("", " ", "api.example.com", "https://api.example.com/auth", "ftp://a", 5),
        *("https://a\n", "https://user:pw@a.example", "https://a b", b"https://a"),
    ],
    "api_base_path": [
        *("auth", "//auth", "/a?b", "/a#b", "/a\\b", "/a b", "/<a>", "/a>", "/%61", 5)
    ],
    "jwks": ["", " ", 5, b"/x", ["x"], True],
    "jwks_uri": [
        *("", "/jwks.json", "ftp://a/x", "https:///x", "https://u:p@a/x", "x", 5),
        *("https://a.example/a b", "https://a.example/ü", "https://ü.example/a"),
    ],
    "jwks_max_stale_seconds": [-0.1, WEEK + 1, math.nan, math.inf, 10**400, "60", True],
    "insecure_jwks_http": [0, 1, "true", "False", []],
    "issuer": ["", "  ", "a\x00", 5],
    "leeway_seconds": [-1, 300.1, math.nan, -math.inf, 10**400, "0", False, Decimal(1)],
    "login_url": [
        *("", "sign in", "a..b", "auth/in", "//evil.example", "/\\evil.example", "/a#b", "/a b", 5),
        *("ftp://a/", "javascript:alert(1)", "https://u@a.example/", "https://"),
        *(lambda: "/in", lambda _request, _more: "/in"),
    ],
    "login_return_param": ["", "a b", "a=b", "a&b", "_", "-", "a[]", 5],
    "refresh_path": ["", "/", "refresh", "//refresh", "/<path:x>", "/a?b", 5],
    "refresh_flow": ["", "Inline", "both", True, 5, ["inline"]],
    **{name: [0, 1, "yes"] for name in (*SWITCHES, "global_claims")},
    "trusted_origins": ["https://a.example", ["null"]],
    "redirect_origins": [
        *("https://a.example", [5], [""], ["a.example"], {"a": 1}, 5),
        *(["https://*.example.com"], ["https://a.example/x"], ["null"]),
    ],
    "cookie_domain": ["", "https://x.com", "x.com:80", "a b", "x.com/x", "a@x.com", 5],
    "claim_pages": [
        *("/x", ["/x"], {"st-ev": "https://a.example"}, {"st-ev": "//a"}, {"st-ev": 1}),
        *({"st-ev": "a page"}, {"st-ev": "a..b"}, {"st-ev": ""}),
        *({"": "/x"}, {1: "/x"}, {"st-ev": None}),
    ],
    "step_up_url": ["", "x", "https://a.example/x", "//a.example", 5, True],
    "language": ["", "DE", "de-DE", "deutsch", "sv", 5, ["de"]],
}


def refusal(config: dict[str, Any], keywords: dict[str, Any]) -> str:
    try:
        Settings.from_mappings(config, keywords)
    except ConfigError as error:
        is_alone = error.__suppress_context__ and error.__cause__ is None
        return str(error) if is_alone else "shows what it came from"
    return "taken"


def test_impossible_value_is_an_error_with_an_example_and_not_repeated() -> None:
    assert IMPOSSIBLE.keys() == FIELDS.keys()
    for name, values in IMPOSSIBLE.items():
        kind, example = FIELDS[name].type, FIELDS[name].example
        # The value may be a misplaced secret.
        secrets: list[Any] = ["\x00s3cr3t", ["s3cr3t\x00"]]
        if name not in ("issuer", "jwks"):
            secrets += ["s3cr3t s3cr3t:\\?#<>", "https://[s3cr3t]", "https://user:s3cr3t@/"]
        if name in ("api_domain", "jwks_uri", "login_url"):
            secrets += ["https://user:s3cr3t"]
        for value in values + secrets:
            long_name = f"SSR_SESSION_{name.upper()}"
            for message, called in (
                (refusal({long_name: value}, {}), long_name),
                (refusal({}, {name: value}), name),
            ):
                told = message.startswith(f"{called} must be {kind.description}")
                assert told, (name, value, message)
                assert message.endswith(f", for example {example}."), (name, value, message)
                assert "s3cr3t" not in message, (name, value)
    with pytest.raises(ConfigError, match=r"slash \(a space and \? # \\ < > % are not allowed\),"):
        from_config(api_base_path="/a b")


def test_examples_are_possible_values() -> None:
    for name, field in FIELDS.items():
        example = field.example
        is_text = example not in ("False", "True") and example[0] not in "[{0123456789"
        from_config(**{name: example if is_text else ast.literal_eval(example)})


def test_pages_of_claims_are_paths_and_cannot_be_changed_later() -> None:
    pages = from_config(claim_pages={"st-ev": "/confirm/", "plan": "/plans?a"}).claim_pages
    assert pages == {"st-ev": "/confirm", "plan": "/plans?a"}
    with pytest.raises(TypeError):
        pages["st-ev"] = "/other"  # type: ignore[index]
