"""Sign-up, sign-in and e-mail verification with the SuperTokens SDK. No e-mail is sent."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

from flask import Blueprint, render_template, request
from supertokens_python import InputAppInfo, SupertokensConfig, init
from supertokens_python.asyncio import get_user
from supertokens_python.ingredients.emaildelivery.types import (
    EmailDeliveryConfig,
    EmailDeliveryInterface,
)
from supertokens_python.recipe import (
    emailpassword,
    emailverification,
    multifactorauth,
    session,
    totp,
    userroles,
)
from supertokens_python.recipe.emailpassword.types import PasswordResetEmailTemplateVars
from supertokens_python.recipe.emailverification.interfaces import (
    RecipeInterface as EmailVerificationInterface,
)
from supertokens_python.recipe.emailverification.interfaces import (
    VerifyEmailUsingTokenInvalidTokenError,
    VerifyEmailUsingTokenOkResult,
)
from supertokens_python.recipe.emailverification.types import VerificationEmailTemplateVars
from supertokens_python.recipe.emailverification.utils import EmailVerificationOverrideConfig
from supertokens_python.recipe.session.interfaces import RecipeInterface, SessionContainer
from supertokens_python.recipe.session.utils import SessionOverrideConfig
from supertokens_python.types import RecipeUserId

from flask_ssr_session import safe_return_path, session_exempt, session_required

# These pages share the API base path with the SDK's routes, to show that they may.
sign_in_pages = Blueprint("sign_in", __name__, url_prefix="/auth")

outbox: dict[str, str] = {}
"""The link that verifies an e-mail address, for each address that waits for it; newest last."""


class _Outbox(EmailDeliveryInterface[Any]):
    """Keeps the links that verify addresses.

    The SDK's default would pass e-mail addresses to an external service.
    """

    async def send_email(
        self,
        template_vars: VerificationEmailTemplateVars | PasswordResetEmailTemplateVars,
        user_context: dict[str, Any],  # noqa: ARG002
    ) -> None:
        if isinstance(template_vars, VerificationEmailTemplateVars):
            # The link leads on to the page that required a verified address.
            return_path = quote(request.args.get("redirectToPath", "/"))
            outbox.pop(template_vars.user.email, None)
            outbox[template_vars.user.email] = (
                f"{template_vars.email_verify_link}&redirectToPath={return_path}"
            )


def _remove_used_links(recipe: EmailVerificationInterface) -> EmailVerificationInterface:
    verify = recipe.verify_email_using_token

    async def verify_and_remove(
        *args: Any, **kwargs: Any
    ) -> VerifyEmailUsingTokenOkResult | VerifyEmailUsingTokenInvalidTokenError:
        result = await verify(*args, **kwargs)
        if isinstance(result, VerifyEmailUsingTokenOkResult):
            outbox.pop(result.user.email, None)
        return result

    recipe.verify_email_using_token = verify_and_remove  # type: ignore[method-assign]
    return recipe


def _put_name_into_tokens(recipe: RecipeInterface) -> RecipeInterface:
    """Let every session know its user's name: the part of the e-mail address before the @."""
    create_new_session = recipe.create_new_session

    async def create_named_session(
        user_id: str,
        recipe_user_id: RecipeUserId,
        access_token_payload: dict[str, Any] | None,
        *args: Any,
        **kwargs: Any,
    ) -> SessionContainer:
        user = await get_user(user_id)
        name = user.emails[0].partition("@")[0] if user and user.emails else user_id
        payload = {**(access_token_payload or {}), "name": name}
        return await create_new_session(user_id, recipe_user_id, payload, *args, **kwargs)

    recipe.create_new_session = create_named_session  # type: ignore[method-assign]
    return recipe


def init_supertokens(core_uri: str, site: str) -> None:
    """Initialise the SDK for a site whose pages and API share one origin.

    :param site: the origin.
    """
    # Otherwise the SDK downloads a list of public suffixes for hosts other than localhost.
    os.environ.setdefault("SUPERTOKENS_TLDEXTRACT_DISABLE_HTTP", "1")
    init(
        app_info=InputAppInfo(app_name="Example", api_domain=site, website_domain=site),
        supertokens_config=SupertokensConfig(connection_uri=core_uri),
        framework="flask",
        recipe_list=[
            emailpassword.init(email_delivery=EmailDeliveryConfig(service=_Outbox())),
            emailverification.init(
                mode="OPTIONAL",
                email_delivery=EmailDeliveryConfig(service=_Outbox()),
                override=EmailVerificationOverrideConfig(functions=_remove_used_links),
            ),
            userroles.init(),
            # Nobody needs a second factor to sign in, but the page /vault asks for one.
            totp.init(),
            multifactorauth.init(first_factors=["emailpassword"]),
            session.init(override=SessionOverrideConfig(functions=_put_name_into_tokens)),
        ],
        mode="wsgi",
        telemetry=False,
    )


@sign_in_pages.get("")
@sign_in_pages.get("/")
@session_exempt
def sign_in() -> str:
    """Show the sign-in form, which a script sends to the API."""
    return render_template(
        "sign_in.html", return_path=safe_return_path(request.args.get("redirectToPath"))
    )


@sign_in_pages.get("/sign-up")
@session_exempt
def sign_up() -> str:
    """Show the sign-up form."""
    return render_template(
        "sign_up.html", return_path=safe_return_path(request.args.get("redirectToPath"))
    )


@sign_in_pages.get("/verify-email")
@session_exempt
def verify_email() -> str:
    """Offer to send a link; with the token of one, a script sends it to the API."""
    return render_template(
        "verify_email.html", return_path=safe_return_path(request.args.get("redirectToPath"))
    )


@sign_in_pages.get("/mfa")
@sign_in_pages.get("/mfa/totp")
@session_required(allow_pending=True)
def second_factor() -> str:
    """Set up an authenticator app, or ask for its code; a script sends the code to the API."""
    return render_template(
        "totp.html", return_path=safe_return_path(request.args.get("redirectToPath"))
    )
