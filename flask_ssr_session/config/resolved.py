"""Settings completed by the values of the SuperTokens SDK."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..errors import ConfigError
from ..sansio.global_claims import GlobalClaimSource
from ..sansio.origins import is_loopback
from .settings import Settings


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
    def resolve(cls, settings: Settings, sdk: SDKSettings | None) -> ResolvedSettings:
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
