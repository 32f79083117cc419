"""The values of the SuperTokens SDK, and what the settings resolve to together with them.

Both are read at the first request, because an app may initialise the SDK after ``init_app``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..sansio.builtin_claims import EMAIL_VERIFIED_CLAIM, MFA_CLAIM
from ..sansio.frozen import Frozen
from ..sansio.global_claims import GlobalClaimSource
from ..sansio.origins import is_loopback
from .settings import Settings


class _SharedSettings(Frozen):
    """The values that the SDK has and the settings may override; the defaults hold without an SDK.

    :ivar api_domain: origin of the refresh API.
    :ivar cookie_domain: the domain that cookies are shared over; None for host-only cookies.
    :ivar session_expired_status: the status that makes the browser SDK refresh.
    :ivar invalid_claim_status: the status that tells the browser SDK of a failed claim.
    :ivar key_uris: the key sets, in the order they are tried; empty for a static key set.
    :ivar session_uris: the core's session endpoints, in the order they are tried.
    :ivar core_headers: headers that the core requires; the API key is among them.
    :ivar global_claims: the claim validators for every session; None without the Session recipe,
        or if the app switches them off.
    """

    api_domain: str
    api_base_path: str = "/auth"
    cookie_domain: str | None = None
    session_expired_status: int = 401
    invalid_claim_status: int = 403
    key_uris: tuple[str, ...] = ()
    session_uris: tuple[str, ...] = ()
    # In no NamedTuple: error reporters iterate over tuples and would show the key.
    core_headers: Mapping[str, str] = MappingProxyType({})
    global_claims: GlobalClaimSource | None = None


class SDKSettings(_SharedSettings):
    """The values of an initialised supertokens-python.

    :ivar website_origin: origin of the pages; None if it depends on the request.
    :ivar dynamic_signing_key: which kind of key signs; None without the Session recipe.
    """

    website_origin: str | None
    website_base_path: str
    dynamic_signing_key: bool | None


class ResolvedSettings(_SharedSettings):
    """The settings of the app, completed with those of the SDK.

    :ivar login_url: path, URL or endpoint of sign-in, or the app's function; ``sign_in_url`` makes
        a URL of it.
    :ivar default_login_url: the path of sign-in if *login_url* fails: that of the SDK.
    :ivar website_host: host and port of the SDK's website; empty without an SDK.
    :ivar website_base_path: the path above the SDK's own pages, for example ``/auth``; empty for
        the whole site; None without an SDK.
    :ivar return_origins: origins that a full ``redirectBack`` URL may have.
    :ivar trusted_origins: other origins that may send unsafe requests.
    :ivar kid_prefix: what the key id of a session token begins with; None if it is unknown.
    :ivar claim_pages: the path or endpoint of the page that cures a claim, by the claim's id.
    :ivar factors_path: the path below which the prebuilt UI asks for a factor; None without an SDK.
    """

    login_url: str | Callable[[Any], Any]
    default_login_url: str
    website_host: str
    website_base_path: str | None
    return_origins: frozenset[str]
    trusted_origins: frozenset[str]
    kid_prefix: str | None
    claim_pages: Mapping[str, str]
    factors_path: str | None

    @classmethod
    def resolve(cls, settings: Settings, sdk: SDKSettings | None) -> ResolvedSettings:
        """Complete *settings* with the values of the SDK.

        :param sdk: None if no SDK is initialised in this process.
        :raises ConfigError: the API domain is unknown or holds a password, the keys would be
            fetched over plain http, or ``check_revoked`` is set without an SDK.
        """
        defaults = sdk or _WITHOUT_SDK
        api_domain = settings.api_domain or defaults.api_domain
        if not api_domain:
            raise ConfigError(
                "flask_ssr_session does not know where the refresh API is: call "
                "supertokens_python.init(...) before the first request, or set "
                "SSR_SESSION_API_DOMAIN, for example https://api.example.com."
            )
        if "@" in api_domain:  # only the SDK accepts one
            raise ConfigError(
                "api_domain of the SuperTokens SDK holds user information: remove it. Pages "
                "would show it to every visitor, and browsers do not refresh at such a URL."
            )
        if settings.check_revoked and sdk is None:
            raise ConfigError(
                "SSR_SESSION_CHECK_REVOKED asks the SuperTokens core, which only the SDK knows: "
                "call supertokens_python.init(...) in this process, or remove the setting."
            )
        api_base_path = settings.api_base_path
        if api_base_path is None:
            api_base_path = defaults.api_base_path
        default_login_url = defaults.website_base_path or "/"
        website = [defaults.website_origin] if defaults.website_origin else []
        return cls(
            api_domain=api_domain,
            api_base_path=api_base_path,
            cookie_domain=settings.cookie_domain or defaults.cookie_domain,
            session_expired_status=defaults.session_expired_status,
            invalid_claim_status=defaults.invalid_claim_status,
            key_uris=_key_uris(settings, sdk, f"{api_domain}{api_base_path}"),
            session_uris=defaults.session_uris,
            core_headers=defaults.core_headers,
            global_claims=defaults.global_claims if settings.global_claims else None,
            login_url=settings.login_url or default_login_url,
            default_login_url=default_login_url,
            website_host=urlsplit(defaults.website_origin or "").netloc,
            website_base_path=sdk.website_base_path if sdk else None,
            return_origins=frozenset([*website, *settings.redirect_origins]),
            trusted_origins=frozenset([*website, *settings.trusted_origins]),
            kid_prefix=_kid_prefix(defaults.dynamic_signing_key),
            claim_pages={
                **(_prebuilt_claim_pages(sdk) if sdk else {}),
                **(settings.claim_pages or {}),
            },
            factors_path=f"{sdk.website_base_path}/mfa" if sdk else None,
        )


_WITHOUT_SDK = SDKSettings(
    api_domain="", website_origin=None, website_base_path="/auth", dynamic_signing_key=None
)


def _prebuilt_claim_pages(sdk: SDKSettings) -> dict[str, str]:
    """Return the pages of SuperTokens' prebuilt UI."""
    base = sdk.website_base_path
    return {EMAIL_VERIFIED_CLAIM: f"{base}/verify-email", MFA_CLAIM: f"{base}/mfa"}


def _kid_prefix(dynamic: bool | None) -> str | None:
    """Return the prefix of the ids of SuperTokens' dynamic or static keys."""
    if dynamic is None:
        return None
    return "d-" if dynamic else "s-"


def _key_uris(settings: Settings, sdk: SDKSettings | None, api: str) -> tuple[str, ...]:
    """Return the URIs of the first source of keys that is configured."""
    if settings.jwks is not None:
        return ()
    if settings.jwks_uri is None and sdk is not None:
        # The SDK's own verifier uses the same URIs in the same order. If one is plain http, the app
        # chose that in the SDK's settings.
        return sdk.key_uris
    uri = settings.jwks_uri or f"{api}/jwt/jwks.json"
    if not (urlsplit(uri).scheme == "https" or is_loopback(uri) or settings.insecure_jwks_http):
        raise ConfigError(
            "The key set would be fetched over plain http, where an attacker on the network can "
            "replace it and sign in as any user. Use https (SSR_SESSION_JWKS_URI or "
            "SSR_SESSION_API_DOMAIN), or accept the risk with SSR_SESSION_INSECURE_JWKS_HTTP."
        )
    return (uri,)
