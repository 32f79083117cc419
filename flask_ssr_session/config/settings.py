"""The ``SSR_SESSION_*`` settings: names, types, defaults and examples, and how they are read.

:class:`Settings` is complete and frozen when ``init_app`` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict

from ..errors import ConfigError
from ..sansio.frozen import Frozen
from .field_types import (
    CLAIM_PAGES,
    DOMAIN,
    FLAG,
    FLOW,
    KEY_SET,
    KEY_URI,
    LANGUAGE,
    ORIGINS,
    PAGE_PATH,
    QUERY_NAME,
    REFRESH_PATH,
    SIGN_IN,
    TEXT,
    URL_PATH,
    WEB_ORIGIN,
    FieldType,
    seconds,
)

PREFIX = "SSR_SESSION_"

# A function, so it is no setting.
_KEYWORD_ONLY = "is_revoked"

_WEEK_SECONDS = 7 * 24 * 3600.0


class Field(Frozen):
    """What is known about a setting."""

    default: Any
    type: FieldType
    example: str


def _setting(default: Any, field_type: FieldType, example: str) -> Any:
    return Field(default=default, type=field_type, example=example)


if TYPE_CHECKING:
    Origins: TypeAlias = "list[str] | tuple[str, ...] | set[str] | frozenset[str]"

    class SettingsKeywords(TypedDict, total=False):
        """The keywords of ``FlaskSSRSession``, one per setting; None counts as not set."""

        api_domain: str | None
        api_base_path: str | None
        jwks: Mapping[str, Any] | str | PathLike[str] | None
        jwks_uri: str | None
        jwks_max_stale_seconds: float | None
        insecure_jwks_http: bool | None
        issuer: str | None
        leeway_seconds: float | None
        login_url: str | Callable[[Any], str] | None
        login_return_param: str | None
        refresh_path: str | None
        refresh_flow: Literal["inline", "redirect"] | None
        refresh_ahead: bool | None
        always_try_refresh: bool | None
        check_revoked: bool | None
        global_claims: bool | None
        trusted_origins: Origins | None
        insecure_cross_site: bool | None
        redirect_origins: Origins | None
        cookie_domain: str | None
        claim_pages: Mapping[str, str] | None
        step_up_url: str | None
        language: str | None


class Settings(Frozen):
    """The app's settings, one per ``SSR_SESSION_*`` key; None leaves it to the SDK."""

    api_domain: str | None = _setting(None, WEB_ORIGIN, "https://api.example.com")
    api_base_path: str | None = _setting(None, URL_PATH, "/auth")
    jwks: Mapping[str, Any] | str | None = _setting(None, KEY_SET, "/etc/keys/jwks.json")
    jwks_uri: str | None = _setting(None, KEY_URI, "https://api.example.com/auth/jwt/jwks.json")
    jwks_max_stale_seconds: float = _setting(24 * 3600.0, seconds(_WEEK_SECONDS), "86400")
    insecure_jwks_http: bool = _setting(False, FLAG, "False")
    issuer: str | None = _setting(None, TEXT, "https://api.example.com/auth")
    leeway_seconds: float = _setting(0.0, seconds(300.0), "0")
    login_url: str | Callable[[Any], Any] | None = _setting(None, SIGN_IN, "/auth")
    login_return_param: str = _setting("redirectToPath", QUERY_NAME, "redirectToPath")
    refresh_path: str = _setting("/refresh-session", REFRESH_PATH, "/refresh-session")
    refresh_flow: str = _setting("inline", FLOW, "inline")
    refresh_ahead: bool = _setting(True, FLAG, "True")
    always_try_refresh: bool = _setting(False, FLAG, "False")
    check_revoked: bool = _setting(False, FLAG, "False")
    global_claims: bool = _setting(True, FLAG, "True")
    trusted_origins: tuple[str, ...] = _setting((), ORIGINS, "['https://www.example.com']")
    insecure_cross_site: bool = _setting(False, FLAG, "False")
    redirect_origins: tuple[str, ...] = _setting((), ORIGINS, "['https://app.example.com']")
    cookie_domain: str | None = _setting(None, DOMAIN, ".example.com")
    claim_pages: Mapping[str, str] | None = _setting(
        None, CLAIM_PAGES, "{'st-ev': '/confirm-email'}"
    )
    step_up_url: str | None = _setting(None, PAGE_PATH, "/step-up")
    language: str | None = _setting(None, LANGUAGE, "de")

    def __init__(self, **values: Any) -> None:
        defaults = {name: field.default for name, field in FIELDS.items()}
        super().__init__(**defaults | values)

    @classmethod
    def from_mappings(cls, config: Mapping[str, Any], keywords: Mapping[str, Any]) -> Settings:
        """Validate the settings; *config* wins over *keywords*, both win over the defaults.

        A value of None counts as not set.

        :param config: an ``app.config``; only keys that begin with ``SSR_SESSION_`` are read.
        :param keywords: constructor keywords: the same names in lower case, without the prefix.
        :raises ConfigError: an unknown name or an invalid value.
        """
        entries = [(key, key, value) for key, value in keywords.items()]
        entries += [
            (key, key.removeprefix(PREFIX).lower(), value)
            for key, value in config.items()
            if isinstance(key, str) and key.startswith(PREFIX)
        ]
        values: dict[str, Any] = {}
        for display_name, name, value in entries:
            field = FIELDS.get(name)
            if field is None or display_name not in (name, PREFIX + name.upper()):
                raise ConfigError(_unknown(display_name, display_name in config))
            if value is None:
                continue
            try:
                values[name] = field.type.validate(value)
            except ValueError as error:
                detail = f" ({error})" if str(error) else ""
                # The value is not repeated: a misplaced secret must not end up in a log.
                raise ConfigError(
                    f"{display_name} must be {field.type.description}{detail}, "
                    f"for example {field.example}."
                ) from None
        return cls(**values)


FIELDS: Mapping[str, Field] = {
    name: value for name, value in vars(Settings).items() if isinstance(value, Field)
}


def _unknown(display_name: str, in_config: bool) -> str:
    message = f"{display_name} is not a setting of flask_ssr_session"
    name = display_name.upper().removeprefix(PREFIX).lower()
    near = get_close_matches(name, [*FIELDS, _KEYWORD_ONLY], n=1, cutoff=0.5)
    if near == [_KEYWORD_ONLY] and in_config:
        message += f"; {_KEYWORD_ONLY} is a keyword of FlaskSSRSession only"
    elif near:
        message += f"; did you mean {PREFIX + near[0].upper() if in_config else near[0]}?"
    return message
