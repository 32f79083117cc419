"""The read-only session of a page, ``g.session``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from .errors import ReadOnlySessionError
from .sansio.builtin_claims import EMAIL_VERIFIED_CLAIM, PERMISSIONS_CLAIM, ROLES_CLAIM
from .sansio.frozen import Immutable

# Methods of the SDK's SessionContainer that change the session, call the core or return tokens.
_SDK_ONLY_METHODS = frozenset(
    {
        "assert_claims",
        "attach_to_request_response",
        "fetch_and_set_claim",
        "get_access_token",
        "get_all_session_tokens_dangerously",
        "get_expiry",
        "get_session_data_from_database",
        "get_time_created",
        "merge_into_access_token_payload",
        "remove_claim",
        "revoke_session",
        "set_claim_value",
        "sync_assert_claims",
        "sync_attach_to_request_response",
        "sync_fetch_and_set_claim",
        "sync_get_expiry",
        "sync_get_session_data_from_database",
        "sync_get_time_created",
        "sync_merge_into_access_token_payload",
        "sync_remove_claim",
        "sync_revoke_session",
        "sync_set_claim_value",
        "sync_update_session_data_in_database",
        "update_session_data_in_database",
    }
)


class Claim(Protocol):
    """The part of a SuperTokens claim, for example ``UserRoleClaim``, that this package uses."""

    def get_value_from_payload(
        self, payload: dict[str, Any], user_context: dict[str, Any] | None = None
    ) -> Any:
        """Return the claim's value in *payload*, or None if it is absent."""
        ...


class RecipeUserIdText(str):
    """A recipe user id as a string with the method of the SDK's ``RecipeUserId``."""

    __slots__ = ()

    def get_as_string(self) -> str:
        """Return the id as a plain string."""
        return str(self)


class SSRSession(Immutable):
    """A verified SuperTokens session, with the claims of its access token.

    It is immutable, including nested values, so many requests and threads can share one object.

    :ivar access_token_payload: the token's claims; mappings are read-only, lists are tuples.
    """

    access_token_payload: Mapping[str, Any]

    def __init__(self, access_token_payload: Mapping[str, Any]) -> None:
        object.__setattr__(self, "access_token_payload", access_token_payload)

    @property
    def user_id(self) -> str:
        """The primary user id (claim ``sub``)."""
        return str(self.access_token_payload["sub"])

    @property
    def recipe_user_id(self) -> str:
        """The id of the login method (claim ``rsub``); :attr:`user_id` without account linking."""
        return str(self.access_token_payload.get("rsub", self.user_id))

    @property
    def tenant_id(self) -> str:
        """The tenant (claim ``tId``); ``public`` if the token is older than tenants."""
        return str(self.access_token_payload.get("tId", "public"))

    @property
    def session_handle(self) -> str:
        """The id of this session (claim ``sessionHandle``), which refreshing does not change."""
        return str(self.access_token_payload["sessionHandle"])

    @property
    def issued_at(self) -> datetime:
        """When this token was issued, aware UTC (claim ``iat``): at the last refresh or sign-in."""
        return datetime.fromtimestamp(self.access_token_payload["iat"], timezone.utc)

    @property
    def expires_at(self) -> datetime:
        """When this token expires, aware UTC (claim ``exp``); a refresh extends the session."""
        return datetime.fromtimestamp(self.access_token_payload["exp"], timezone.utc)

    @property
    def roles(self) -> tuple[str, ...]:
        """The user's roles (claim ``st-role``); empty if the token has none."""
        return self._strings(ROLES_CLAIM)

    @property
    def permissions(self) -> tuple[str, ...]:
        """The user's permissions (claim ``st-perm``); empty if the token has none."""
        return self._strings(PERMISSIONS_CLAIM)

    @property
    def email_verified(self) -> bool | None:
        """Whether the e-mail address is verified (``st-ev``); None if the token does not say."""
        value = self._claim_value(EMAIL_VERIFIED_CLAIM)
        return value if isinstance(value, bool) else None

    def get_user_id(self) -> str:
        """Return :attr:`user_id`, under the SDK's name."""
        return self.user_id

    def get_recipe_user_id(self) -> RecipeUserIdText:
        """Return :attr:`recipe_user_id`, under the SDK's name."""
        return RecipeUserIdText(self.recipe_user_id)

    def get_tenant_id(self) -> str:
        """Return :attr:`tenant_id`, under the SDK's name."""
        return self.tenant_id

    def get_handle(self) -> str:
        """Return :attr:`session_handle`, under the SDK's name."""
        return self.session_handle

    def get_access_token_payload(self) -> dict[str, Any]:
        """Return a mutable copy of the payload, made of plain dicts and lists."""
        payload: dict[str, Any] = _deep_thaw(self.access_token_payload)
        return payload

    def get_claim_value(self, claim: Claim) -> Any:
        """Return the value of *claim* in the token, or None; the core is not called.

        :param claim: a SuperTokens claim object, for example ``UserRoleClaim``.
        """
        return claim.get_value_from_payload(self.get_access_token_payload())

    def sync_get_claim_value(self, claim: Claim) -> Any:
        """Return :meth:`get_claim_value`, under the SDK's name for synchronous code."""
        return self.get_claim_value(claim)

    def _claim_value(self, key: str) -> Any:
        # SuperTokens stores a claim as {"v": value, "t": milliseconds}.
        claim = self.access_token_payload.get(key)
        return claim.get("v") if isinstance(claim, Mapping) else None

    def _strings(self, key: str) -> tuple[str, ...]:
        value = self._claim_value(key)
        if not isinstance(value, tuple):
            return ()
        return tuple(item for item in value if isinstance(item, str))

    def __repr__(self) -> str:
        # A repr may appear in logs, where no claim value belongs. Yet each payload has its own:
        # Flask-Caching's memoize, for example, tells the arguments of a function apart by it.
        digest = sha256(repr(self.access_token_payload).encode()).hexdigest()
        return f"<SSRSession {digest[:16]} (read-only)>"

    if not TYPE_CHECKING:  # type checkers must report these methods as missing

        def __getattr__(self, name: str) -> Callable[..., NoReturn]:
            if name not in _SDK_ONLY_METHODS:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

            def explain(*_args: object, **_kwargs: object) -> NoReturn:
                raise ReadOnlySessionError(
                    f"{name}() does not work on a page: g.session is read-only. Call it in an API "
                    "route, on the session that the SuperTokens SDK's verify_session() or "
                    "get_session() returns; the browser SDK then stores the new tokens."
                )

            return explain


def deep_freeze(value: Any) -> Any:
    """Return decoded JSON with read-only mappings, and tuples instead of lists."""
    if isinstance(value, dict):
        return MappingProxyType(
            {
                key: deep_freeze(item) if isinstance(item, (dict, list)) else item
                for key, item in value.items()
            }
        )
    if isinstance(value, list):
        return tuple(map(deep_freeze, value))
    return value


def _deep_thaw(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _deep_thaw(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_deep_thaw(item) for item in value]
    return value
