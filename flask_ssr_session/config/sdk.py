"""Read what an initialised supertokens-python knows, without ever importing it.

The SDK costs 285 ms and 30 MB to import, so an app that verifies tokens only is spared it:
where nobody imported it, there is none. Nothing here calls the core.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from ..errors import ConfigError
from ..sansio.claims import MFA_CLAIM, ClaimValidator
from ..sansio.global_claims import OVERRIDE_NAME, is_about
from ..sansio.origins import parse_origin
from ..session import SSRSession
from .resolved import SDKSettings


def read_sdk() -> SDKSettings | None:
    """Return the values of the SDK initialised in this process, or None where there is none.

    :raises ConfigError: the SDK takes tokens from headers only, which a page request has not.
    """
    instance = _instance("supertokens_python.supertokens", "Supertokens")
    if instance is None:
        return None
    app_info = instance.app_info
    recipe = _instance("supertokens_python.recipe.session", "SessionRecipe")
    if recipe is not None:
        _refuse_header_mode(recipe.config)
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


# Relative to the SDK: what says the same of one payload at any time.
_TIMELESS = frozenset(
    f"supertokens_python.recipe.{name}"
    for name in (
        "emailverification.recipe.IsVerifiedSCV",
        "multifactorauth.multi_factor_auth_claim.HasCompletedMFARequirementsForAuthSCV",
    )
)


class SDKGlobalClaims:
    """The global claim validators of this process's SDK, asked as ``verify_session`` asks them.

    Nothing is kept of them: recipes and plugins may add theirs after this was made.
    """

    def __init__(self, recipe: Any) -> None:
        """Prepare; nothing is asked yet.

        :param recipe: the SDK's ``SessionRecipe``.
        """
        self._recipe = recipe
        self._wrap = import_module("supertokens_python.framework.flask.flask_request").FlaskRequest
        self._recipe_user_id = import_module("supertokens_python.types").RecipeUserId

    @property
    def has_mfa(self) -> bool:
        """Whether the MultiFactorAuth recipe added its validator."""
        return any(is_about(validator, MFA_CLAIM) for validator in self.added_validators())

    @property
    def is_overridden(self) -> bool:
        """Whether the app, or a plugin, replaced the function that lists the validators."""
        function = getattr(self._recipe.recipe_implementation, OVERRIDE_NAME)
        module = str(getattr(function, "__module__", None))
        return not module.startswith("supertokens_python.recipe.session.")

    def added_validators(self) -> Sequence[ClaimValidator]:
        """Return what recipes and plugins added, before any override."""
        validators: Sequence[ClaimValidator] = (
            self._recipe.get_claim_validators_added_by_other_recipes()
        )
        return validators

    def user_context(self, request: Request) -> dict[str, Any]:
        """Return a new context that holds *request*, wrapped as the SDK's middleware wraps it."""
        return {"_default": {"request": self._wrap(request), "keep_cache_alive": True}}

    def validators(self, session: SSRSession, user_context: dict[str, Any]) -> Any:
        """Return, or return an awaitable of, the validators for *session*."""
        return self._recipe.recipe_implementation.get_global_claim_validators(
            session.tenant_id,
            session.user_id,
            self._recipe_user_id(session.recipe_user_id),
            # A copy: an override that appends to the SDK's own list would grow it on every page.
            list(self.added_validators()),
            user_context,
        )

    def is_timeless(self, validator: ClaimValidator) -> bool:
        """Return whether *validator* is one that a recipe adds, and has no maximum age.

        Any other may read the time, a list that changes, or a claim of the app's that does.
        """
        kind = f"{type(validator).__module__}.{type(validator).__qualname__}"
        return kind in _TIMELESS and getattr(validator, "max_age_in_sec", None) is None


class SDKCookieSettings(NamedTuple):
    """How the SDK of this process sets session cookies; of no account for a page's verdict.

    :ivar same_site: ``lax``, ``strict`` or ``none``; None where it depends on the request.
    :ivar older_domain: whose cookies a refresh clears away; empty for those of the host alone.
    """

    secure: bool
    same_site: str | None
    older_domain: str | None


def read_cookie_rules() -> SDKCookieSettings | None:
    """Return how the SDK sets cookies, or None where it does not in this process."""
    recipe = _instance("supertokens_python.recipe.session", "SessionRecipe")
    if recipe is None:
        return None
    try:
        same_site = str(recipe.config.get_cookie_same_site(None, {}))
    except Exception:  # noqa: BLE001 - an origin function of the app's that wants a request
        same_site = None
    return SDKCookieSettings(
        recipe.config.cookie_secure, same_site, recipe.config.older_cookie_domain
    )


def _instance(module_name: str, class_name: str) -> Any:
    """Return the SDK's singleton of this name, or None before it is initialised."""
    module: ModuleType | None = sys.modules.get(module_name)
    if module is None:
        return None
    try:
        return getattr(module, class_name).get_instance()
    except Exception:  # noqa: BLE001 - the SDK says "not initialised" with a bare Exception
        return None


def _website_origin(app_info: Any) -> str | None:
    try:
        # The SDK keeps ":443" and the like; a browser does not, and neither do our comparisons.
        return parse_origin(app_info.get_origin(None, {}).get_as_string_dangerous())
    except Exception:  # noqa: BLE001 - an origin function of the app's that wants a request
        return None


def _core_uris(path: str) -> tuple[str, ...]:
    querier = _instance("supertokens_python.querier", "Querier")
    if querier is None:
        raise ConfigError("supertokens_python is imported but its querier is not initialised.")
    return tuple(querier.get_all_core_urls_for_path(path))


def _core_headers(instance: Any) -> dict[str, str]:
    versions = import_module("supertokens_python.constants").SUPPORTED_CDI_VERSIONS
    headers = {"cdi-version": str(versions[-1]), "rid": "session"}
    api_key = instance.supertokens_config.api_key
    return headers if api_key is None else headers | {"api-key": api_key}


def _refuse_header_mode(config: Any) -> None:
    """Refuse a configuration in which a page request could never carry a token."""
    # The function may look at the request, so it is shown what a browser's page request is.
    page_request = Request(EnvironBuilder(headers=[("Accept", "text/html")]).get_environ())
    # The SDK is loaded by now; this small part of it is not, where the app runs no middleware.
    flask_request = import_module("supertokens_python.framework.flask.flask_request")
    wrapped = flask_request.FlaskRequest(page_request)
    try:
        method = config.get_token_transfer_method(wrapped, False, {})
    except Exception:  # noqa: BLE001 - it wants more of a request: not ours to judge
        return
    if method == "header":
        raise ConfigError(
            "The SuperTokens SDK is set up to take tokens from headers only "
            "(get_token_transfer_method), but a browser that asks for a page sends cookies and "
            'nothing else: return "cookie" or "any" there.'
        )
