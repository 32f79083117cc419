"""What the app set, checked once and frozen; and what it comes to beside the SuperTokens SDK.

:class:`Settings` holds the ``SSR_SESSION_*`` values and is complete when ``init_app`` returns.
:class:`ResolvedSettings` adds what only an initialised SDK can tell, read at the first request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from os import PathLike
from typing import Any, NamedTuple

from ..errors import ConfigError
from ..sansio.origins import parse_origin

PREFIX = "SSR_SESSION_"

_WEEK_SECONDS = 7 * 24 * 3600.0


class _Kind(NamedTuple):
    """What values a setting can have.

    :ivar takes: the same in words, for docs/configuration.rst, which says "Takes" before it.
    :ivar check: returns the value to keep, or raises ValueError for an impossible one.
    """

    takes: str
    check: Callable[[Any], Any]


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("it has to be True or False")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError("it has to be a non-empty text")
    return value.strip()


def _url_path(value: Any) -> str:
    """Check a path on this site and drop the slash at its end."""
    path = _text(value)
    if not path.startswith("/") or path.startswith("//") or set(path) & set("?#\\ <>%"):
        raise ValueError("it has to be a path that begins with one slash")
    return path.rstrip("/")


def _refresh_path(value: Any) -> str:
    path = _url_path(value)
    if not path:
        raise ValueError("it needs a path of its own, not the front page")
    return path


def _web_origin(value: Any) -> str:
    return parse_origin(_text(value))


def _origins(value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, (list, tuple, set, frozenset)):
        raise ValueError("it has to be a list of origins")
    return tuple(_web_origin(item) for item in value)


def _sign_in_url(value: Any) -> str:
    url = _text(value)
    if url.startswith("/"):
        path, mark, rest = url.partition("?")
        return (_url_path(path) or "/") + mark + rest
    if not url.startswith(("http://", "https://")):
        raise ValueError("it has to begin with / or https://")
    parse_origin("/".join(url.split("/", 3)[:3]))
    return url


def _key_uri(value: Any) -> str:
    url = _text(value)
    parse_origin("/".join(url.split("/", 3)[:3]))
    if not url.isascii() or " " in url:
        raise ValueError("characters that no address holds have to be percent-encoded")
    return url


def _key_set(value: Any) -> Mapping[str, Any] | str:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, PathLike):
        value = value.__fspath__()
    return _text(value)


def _query_name(value: Any) -> str:
    name = _text(value)
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError("it has to be the name of a query parameter")
    return name


def _flow(value: Any) -> str:
    if value not in ("inline", "redirect"):
        raise ValueError("it has to be 'inline' or 'redirect'")
    return str(value)


def _host(value: Any) -> str:
    domain = _text(value).lower()
    if set(domain) & set("/:@ "):
        raise ValueError("it has to be a domain such as .example.com")
    return domain


def _seconds(most: float) -> _Kind:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError("it has to be a number of seconds")
        if not 0 <= value <= most:  # nor is NaN
            raise ValueError(f"it has to be from 0 to {most:.0f} seconds")
        return float(value)

    return _Kind(f"a number of seconds, from 0 to {most:.0f}", check)


_FLAG = _Kind("True or False", _flag)
_TEXT = _Kind("a text that is not empty", _text)
_URL_PATH = _Kind("a path that begins with one slash", _url_path)
_REFRESH_PATH = _Kind("a path that begins with one slash, not the front page", _refresh_path)
_WEB_ORIGIN = _Kind("an origin: scheme and host, and a port if there is one", _web_origin)
_ORIGINS = _Kind("a list, tuple or set of origins", _origins)
_SIGN_IN_URL = _Kind("a path that begins with one slash, or an http or https URL", _sign_in_url)
_KEY_URI = _Kind("an http or https URL", _key_uri)
_KEY_SET = _Kind("a key set as a mapping, or the path of a file that holds one as JSON", _key_set)
_QUERY_NAME = _Kind("a name of letters, digits, dashes and underscores", _query_name)
_FLOW = _Kind("either inline or redirect", _flow)
_HOST = _Kind("a domain, with or without a dot in front", _host)


def _setting(default: Any, kind: _Kind, example: str) -> Any:
    return field(default=default, metadata={"kind": kind, "example": example})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The app's settings, one field per ``SSR_SESSION_*`` key; None leaves it to the SDK."""

    api_domain: str | None = _setting(None, _WEB_ORIGIN, "https://api.example.com")
    api_base_path: str | None = _setting(None, _URL_PATH, "/auth")
    jwks: Mapping[str, Any] | str | None = _setting(None, _KEY_SET, "/etc/keys/jwks.json")
    jwks_uri: str | None = _setting(None, _KEY_URI, "https://api.example.com/auth/jwt/jwks.json")
    jwks_max_stale_seconds: float = _setting(24 * 3600.0, _seconds(_WEEK_SECONDS), "86400")
    insecure_jwks_http: bool = _setting(False, _FLAG, "False")
    issuer: str | None = _setting(None, _TEXT, "https://api.example.com/auth")
    leeway_seconds: float = _setting(0.0, _seconds(300.0), "0")
    login_url: str | None = _setting(None, _SIGN_IN_URL, "/auth")
    login_return_param: str = _setting("redirectToPath", _QUERY_NAME, "redirectToPath")
    refresh_path: str = _setting("/refresh-session", _REFRESH_PATH, "/refresh-session")
    refresh_flow: str = _setting("inline", _FLOW, "inline")
    always_try_refresh: bool = _setting(False, _FLAG, "False")
    check_revoked: bool = _setting(False, _FLAG, "False")
    global_claims: bool = _setting(True, _FLAG, "True")
    trusted_origins: tuple[str, ...] = _setting((), _ORIGINS, "['https://www.example.com']")
    insecure_cross_site: bool = _setting(False, _FLAG, "False")
    redirect_origins: tuple[str, ...] = _setting((), _ORIGINS, "['https://app.example.com']")
    cookie_domain: str | None = _setting(None, _HOST, ".example.com")

    @classmethod
    def from_mappings(cls, config: Mapping[str, Any], keywords: Mapping[str, Any]) -> Settings:
        """Check and freeze the settings; *config* wins over *keywords*, both over defaults.

        A value of None counts as not set.

        :param config: an ``app.config``; only keys that begin with ``SSR_SESSION_`` are read.
        :param keywords: constructor keywords: the same names in lower case, without the prefix.
        :raises ConfigError: an unknown name or an impossible value.
        """
        known = {f.name: f.metadata for f in fields(cls)}
        named = [(key, key, value) for key, value in keywords.items()]
        named += [
            (key, key.removeprefix(PREFIX).lower(), value)
            for key, value in config.items()
            if isinstance(key, str) and key.startswith(PREFIX)
        ]
        values: dict[str, Any] = {}
        for shown, name, value in named:
            if name not in known or (shown != name and shown != PREFIX + name.upper()):
                raise ConfigError(_unknown(shown, shown in config, list(known)))
            if value is None:
                continue
            try:
                values[name] = known[name]["kind"].check(value)
            except ValueError as error:
                example = known[name]["example"]
                # The value is not repeated: a misplaced secret must not end up in a log.
                raise ConfigError(f"{shown}: {error}, for example {example}.") from None
        return cls(**values)


def _unknown(shown: str, in_config: bool, known: list[str]) -> str:
    message = f"{shown} is not a setting of flask_ssr_session"
    name = shown.upper().removeprefix(PREFIX).lower()
    if near := get_close_matches(name, known, n=1, cutoff=0.5):
        message += f"; did you mean {PREFIX + near[0].upper() if in_config else near[0]}?"
    return message
