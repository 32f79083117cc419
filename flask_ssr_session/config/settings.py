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
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..sansio.global_claims import GlobalClaimSource
from ..sansio.origins import is_loopback, parse_origin

PREFIX = "SSR_SESSION_"

_WEEK_SECONDS = 7 * 24 * 3600.0


@dataclass(frozen=True, kw_only=True)
class SDKSettings:
    """What an initialised supertokens-python says about this deployment.

    :ivar website_origin: where the pages are; None where it depends on the request.
    :ivar cookie_domain: the domain session cookies are set for; None for host-only cookies.
    :ivar dynamic_signing_key: which kind of key signs; None without the Session recipe.
    :ivar session_expired_status: the status that makes the browser SDK refresh.
    :ivar key_uris: the core's key sets, in the order they are tried.
    :ivar invalid_claim_status: the status that tells the browser SDK of a failed claim.
    :ivar session_uris: where the core tells of a session, in the order they are tried.
    :ivar core_headers: what the core wants of every request; the API key is in it.
    :ivar global_claims: what every session has to say; None without the Session recipe.
    """

    api_domain: str
    api_base_path: str
    website_origin: str | None
    website_base_path: str
    cookie_domain: str | None
    dynamic_signing_key: bool | None
    session_expired_status: int
    key_uris: tuple[str, ...]
    invalid_claim_status: int = 403
    session_uris: tuple[str, ...] = ()
    # No tuple would do in this class's place: what walks into one would show the API key.
    core_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    global_claims: GlobalClaimSource | None = field(default=None, compare=False, repr=False)


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


@dataclass(frozen=True, kw_only=True)
class ResolvedSettings:
    """Where the API, the keys and sign-in are, once everything is known.

    :ivar api_domain: origin of the refresh API.
    :ivar login_url: path or URL of sign-in, without the return path.
    :ivar website_host: host and port of the SDK's website; empty where no SDK tells it.
    :ivar website_base_path: the path below which the SDK's own pages are, such as ``/auth``; empty
        for the whole site; None where no SDK tells it.
    :ivar return_origins: origins that a full ``redirectBack`` URL may have.
    :ivar cookie_domain: the domain the browser SDK shares its cookies over; None: page host only.
    :ivar kid_prefix: what the key id of a session token begins with; None where nobody tells.
    :ivar session_expired_status: what a request by script gets, so that the browser SDK refreshes.
    :ivar key_uris: the key sets, in the order they are tried; empty for a static key set.
    :ivar trusted_origins: origins, beside the request's own, that may send unsafe requests.
    :ivar invalid_claim_status: what a request by script gets whose session lacks a claim.
    :ivar session_uris: where the core tells of a session; empty where no SDK is initialised.
    :ivar core_headers: what the core wants of every request; the API key is in it.
    :ivar factor_url: the path where a visitor completes the next factor of sign-in; None where no
        SDK tells it.
    :ivar global_claims: what every session has to say; None where no SDK tells it, or the app does
        not want it asked.
    """

    api_domain: str
    api_base_path: str
    login_url: str
    website_host: str
    website_base_path: str | None
    return_origins: frozenset[str]
    cookie_domain: str | None
    kid_prefix: str | None
    session_expired_status: int
    key_uris: tuple[str, ...]
    trusted_origins: frozenset[str]
    invalid_claim_status: int
    session_uris: tuple[str, ...]
    core_headers: Mapping[str, str] = field(repr=False)
    factor_url: str | None = None
    global_claims: GlobalClaimSource | None = field(default=None, compare=False, repr=False)

    @classmethod
    def of(cls, settings: Settings, sdk: SDKSettings | None) -> ResolvedSettings:
        """Complete *settings* by what the SDK says.

        :param sdk: None where no SDK is initialised in this process.
        :raises ConfigError: no API domain is known, or one with a password, keys would cross a
            network in the clear, or revocation has to be looked up and no SDK knows the core.
        """
        api_domain = settings.api_domain or (sdk.api_domain if sdk else None)
        if api_domain is None:
            raise ConfigError(
                "flask_ssr_session does not know where the refresh API is: call "
                "supertokens_python.init(...) before the first request, or set "
                "SSR_SESSION_API_DOMAIN, for example https://api.example.com."
            )
        if "@" in api_domain:  # the SDK's alone: of ours it is refused where it is set
            raise ConfigError(
                "api_domain of the SuperTokens SDK holds user information. Every visitor would "
                "read it in the page, and no browser refreshes at such an address: leave it out."
            )
        api_base_path = settings.api_base_path
        if api_base_path is None:
            api_base_path = sdk.api_base_path if sdk else "/auth"
        if settings.check_revoked and sdk is None:
            raise ConfigError(
                "SSR_SESSION_CHECK_REVOKED asks the SuperTokens core, which only the SDK knows: "
                "call supertokens_python.init(...) in this process, or leave the setting out."
            )
        website = {sdk.website_origin} if sdk and sdk.website_origin else set()
        kid_prefix = None
        if sdk and sdk.dynamic_signing_key is not None:
            kid_prefix = "d-" if sdk.dynamic_signing_key else "s-"
        return cls(
            api_domain=api_domain,
            api_base_path=api_base_path,
            login_url=settings.login_url or ((sdk.website_base_path or "/") if sdk else "/auth"),
            website_base_path=sdk.website_base_path if sdk else None,
            website_host=urlsplit(sdk.website_origin).netloc if sdk and sdk.website_origin else "",
            return_origins=frozenset(website.union(settings.redirect_origins)),
            cookie_domain=settings.cookie_domain or (sdk.cookie_domain if sdk else None),
            kid_prefix=kid_prefix,
            session_expired_status=sdk.session_expired_status if sdk else 401,
            key_uris=_key_uris(settings, sdk, f"{api_domain}{api_base_path}"),
            trusted_origins=frozenset(website.union(settings.trusted_origins)),
            invalid_claim_status=sdk.invalid_claim_status if sdk else 403,
            session_uris=sdk.session_uris if sdk else (),
            core_headers=sdk.core_headers if sdk else {},
            factor_url=f"{sdk.website_base_path}/mfa" if sdk else None,
            global_claims=sdk.global_claims if sdk and settings.global_claims else None,
        )


def _key_uris(settings: Settings, sdk: SDKSettings | None, api: str) -> tuple[str, ...]:
    """Return the key sets to ask, from the first source that is configured."""
    if settings.jwks is not None:
        return ()
    if settings.jwks_uri is None and sdk is not None:
        # The SDK's own verifier asks the same addresses in the same order; an inner network's
        # http is the choice the app made there.
        return sdk.key_uris
    uri = settings.jwks_uri or f"{api}/jwt/jwks.json"
    if not (urlsplit(uri).scheme == "https" or is_loopback(uri) or settings.insecure_jwks_http):
        raise ConfigError(
            "The key set would be fetched over plain http, where anyone on the way can replace "
            "it and sign in as anybody. Use https (SSR_SESSION_JWKS_URI or "
            "SSR_SESSION_API_DOMAIN), or accept the risk with SSR_SESSION_INSECURE_JWKS_HTTP."
        )
    return (uri,)
