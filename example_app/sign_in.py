"""Sign-up, sign-in and e-mail verification with the SuperTokens SDK. No e-mail is sent."""

from __future__ import annotations

import os
from collections import deque
from typing import Any

from flask import Blueprint, render_template, request
from supertokens_python import InputAppInfo, SupertokensConfig, init
from supertokens_python.ingredients.emaildelivery.types import (
    EmailDeliveryConfig,
    EmailDeliveryInterface,
)
from supertokens_python.recipe import emailpassword, emailverification, session, userroles
from supertokens_python.recipe.emailpassword.types import PasswordResetEmailTemplateVars
from supertokens_python.recipe.emailverification.types import VerificationEmailTemplateVars

from flask_ssr_session import safe_return_path, session_exempt

# These pages share the API base path with the SDK's routes, to show that they may.
sign_in_pages = Blueprint("sign_in", __name__, url_prefix="/auth")

outbox: deque[str] = deque(maxlen=20)
"""The links in e-mails that a real site would send, newest last."""


class _Outbox(EmailDeliveryInterface[Any]):
    """Keeps the links. The SDK's default would pass e-mail addresses to an external service."""

    async def send_email(
        self,
        template_vars: VerificationEmailTemplateVars | PasswordResetEmailTemplateVars,
        user_context: dict[str, Any],  # noqa: ARG002
    ) -> None:
        if isinstance(template_vars, VerificationEmailTemplateVars):
            outbox.append(template_vars.email_verify_link)
        else:
            outbox.append(template_vars.password_reset_link)


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
                mode="OPTIONAL", email_delivery=EmailDeliveryConfig(service=_Outbox())
            ),
            userroles.init(),
            session.init(),
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
    """Show the page that a verification e-mail links to; its script sends the token to the API."""
    return render_template("verify_email.html")
