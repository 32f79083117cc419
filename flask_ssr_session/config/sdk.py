"""Read the settings of an initialised supertokens-python, without importing it first.

Importing the SDK costs 285 ms and 30 MB, which an app that only verifies tokens need not pay: an
app that has not imported the SDK has not initialised it. Nothing here calls the core.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from werkzeug.wrappers import Request

from ..errors import ConfigError
from ..sansio.builtin_claims import MFA_CLAIM
from ..sansio.claims import ClaimValidator
from ..sansio.frozen import Frozen
from ..sansio.global_claims import OVERRIDE_NAME, is_about
from ..sansio.origins import parse_origin
from ..session import SSRSession
from .resolved import SDKSettings


def read_sdk() -> SDKSettings | None:
    """Return the settings of the SDK in this process, or None if none is initialised.

    :raises ConfigError: the SDK takes tokens from headers only, where a page request has none.
    """
    instance = _singleton("supertokens_python.supertokens", "Supertokens")
    if instance is None:
        return None
    app_info = instance.app_info
    recipe = _singleton("supertokens_python.recipe.session", "SessionRecipe")
    if recipe is not None:
        _check_token_transfer_method(recipe.config)
    return SDKSettings(
        api_domain=app_info.api_domain.get_as_string_dangerous(),
        api_base_path=app_info.api_base_path.get_as_string_dangerous(),
        website_origin=_website_origin(app_info),
        website_base_path=app_info.website_base_path.get_as_string_dangerous(),
        cookie_domain=recipe.config.cookie_domain if recipe else None,
        dynamic_signing_key=(
            recipe.config.use_dynamic_access_token_signing_key if recipe else None
        ),
        session_expired_status=recipe.config.session_expired_status_code if recipe else 401,
        key_uris=_core_uris("/.well-known/jwks.json"),
        invalid_claim_status=recipe.config.invalid_claim_status_code if recipe else 403,
        session_uris=_core_uris("/recipe/session"),
        core_headers=_core_headers(instance),
        global_claims=None if recipe is None else SDKGlobalClaims(recipe),
    )


# The SDK's validators whose result depends on the payload alone.
_TIMELESS = frozenset(
    f"supertokens_python.recipe.{name}"
    for name in (
        "emailverification.recipe.IsVerifiedSCV",
        "multifactorauth.multi_factor_auth_claim.HasCompletedMFARequirementsForAuthSCV",
    )
)


class SDKGlobalClaims:
    """The SDK's global claim validators, called as ``verify_session`` calls them.

    They are read on every call: recipes and plugins may add some later.
    """

    def __init__(self, recipe: Any) -> None:
        """Keep *recipe*, the SDK's ``SessionRecipe``."""
        self._recipe = recipe
        self._request_class = import_module(
            "supertokens_python.framework.flask.flask_request"
        ).FlaskRequest
        self._recipe_user_id = import_module("supertokens_python.types").RecipeUserId

    @property
    def has_mfa(self) -> bool:
        """Whether the MultiFactorAuth recipe added its validator."""
        return any(is_about(validator, MFA_CLAIM) for validator in self.added_validators())

    @property
    def is_overridden(self) -> bool:
        """Whether the app or a plugin overrides the function that lists the validators."""
        function = getattr(self._recipe.recipe_implementation, OVERRIDE_NAME)
        module = str(getattr(function, "__module__", None))
        return not module.startswith("supertokens_python.recipe.session.")

    def added_validators(self) -> Sequence[ClaimValidator]:
        """Return the validators of recipes and plugins, before any override."""
        validators: Sequence[ClaimValidator] = (
            self._recipe.get_claim_validators_added_by_other_recipes()
        )
        return validators

    def user_context(self, request: Request) -> dict[str, Any]:
        """Return a new context that holds *request*, wrapped as the SDK's middleware wraps it."""
        return {"_default": {"request": self._request_class(request), "keep_cache_alive": True}}

    def validators(self, session: SSRSession, user_context: dict[str, Any]) -> Any:
        """Return the validators for *session*, or an awaitable of them."""
        return self._recipe.recipe_implementation.get_global_claim_validators(
            session.tenant_id,
            session.user_id,
            self._recipe_user_id(session.recipe_user_id),
            # Pass a copy: an override may append to it, and the SDK's own list would grow.
            list(self.added_validators()),
            user_context,
        )

    def is_timeless(self, validator: ClaimValidator) -> bool:
        """Return whether *validator* comes from one of the SDK's recipes and has no maximum age.

        Any other may read the time, or a value that changes.
        """
        kind = f"{type(validator).__module__}.{type(validator).__qualname__}"
        return kind in _TIMELESS and getattr(validator, "max_age_in_sec", None) is None


class SDKCookieSettings(Frozen):
    """How the SDK sets session cookies. The doctor reads it; no verdict depends on it.

    :ivar same_site: ``lax``, ``strict`` or ``none``; None if it depends on the request.
    :ivar older_domain: a refresh deletes the cookies of this domain; empty for host-only cookies.
    """

    secure: bool
    same_site: str | None
    older_domain: str | None = None


def read_cookie_settings() -> SDKCookieSettings | None:
    """Return how the SDK sets cookies, or None without its Session recipe."""
    recipe = _singleton("supertokens_python.recipe.session", "SessionRecipe")
    if recipe is None:
        return None
    try:
        same_site = str(recipe.config.get_cookie_same_site(None, {}))
    except Exception:  # noqa: BLE001 - the app's origin function may need a request
        same_site = None
    return SDKCookieSettings(
        secure=recipe.config.cookie_secure,
        same_site=same_site,
        older_domain=recipe.config.older_cookie_domain,
    )


def read_recipe_ids() -> frozenset[str] | None:
    """Return the ids of the SDK's initialised recipes, for example ``totp``; None without an SDK.

    The doctor reads it; no verdict depends on it.
    """
    instance = _singleton("supertokens_python.supertokens", "Supertokens")
    if instance is None:
        return None
    return frozenset(str(recipe.get_recipe_id()) for recipe in instance.recipe_modules)


def _singleton(module_name: str, class_name: str) -> Any:
    """Return the SDK's object of this class, or None before it is initialised."""
    module: ModuleType | None = sys.modules.get(module_name)
    if module is None:
        return None
    try:
        return getattr(module, class_name).get_instance()
    except Exception:  # noqa: BLE001 - the SDK raises a bare Exception if not initialised
        return None


def _website_origin(app_info: Any) -> str | None:
    try:
        # The SDK keeps a default port, for example ":443". Browsers leave it out.
        return parse_origin(app_info.get_origin(None, {}).get_as_string_dangerous())
    except Exception:  # noqa: BLE001 - the app's origin function may need a request
        return None


def _core_uris(path: str) -> tuple[str, ...]:
    querier = _singleton("supertokens_python.querier", "Querier")
    if querier is None:
        raise ConfigError(
            "The SuperTokens SDK knows no core: call supertokens_python.init(...) with a "
            "supertokens_config."
        )
    return tuple(querier.get_all_core_urls_for_path(path))


def _core_headers(instance: Any) -> dict[str, str]:
    versions = import_module("supertokens_python.constants").SUPPORTED_CDI_VERSIONS
    headers = {"cdi-version": str(versions[-1]), "rid": "session"}
    api_key = instance.supertokens_config.api_key
    return headers if api_key is None else headers | {"api-key": api_key}


def _check_token_transfer_method(config: Any) -> None:
    """Check that a page request can carry a token.

    :raises ConfigError: the SDK takes tokens from headers only.
    """
    # The app's function may read the request, so it gets one like a browser's page request.
    page_request = Request.from_values(headers={"Accept": "text/html"})
    wrapped = _flask_request_class()(page_request)
    try:
        method = config.get_token_transfer_method(wrapped, False, {})
    except Exception:  # noqa: BLE001 - it needs more of a request, so the result is unknown
        return
    if method == "header":
        raise ConfigError(
            "The SuperTokens SDK is set up to take tokens from headers only "
            "(get_token_transfer_method), but a browser's page request sends tokens in cookies "
            'only: return "cookie" or "any" there.'
        )


def _flask_request_class() -> Any:
    # The SDK has not imported this module yet if the app does not run its middleware.
    return import_module("supertokens_python.framework.flask.flask_request").FlaskRequest
