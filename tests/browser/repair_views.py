"""Pages that require what a visitor can supply, and what a test does with users and recipes.

Environment: EMAIL_MODE is the mode of EmailVerification. LISTED (any text) gives
flask_ssr_session a list of revoked users.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Blueprint, render_template_string
from supertokens_python.recipe import emailverification
from supertokens_python.recipe.emailverification.interfaces import (
    CreateEmailVerificationTokenOkResult,
)
from supertokens_python.recipe.emailverification.syncio import (
    create_email_verification_token,
    verify_email_using_token,
)
from supertokens_python.recipe.multifactorauth.syncio import (
    add_to_required_secondary_factors_for_user,
    remove_from_required_secondary_factors_for_user,
)
from supertokens_python.types import RecipeUserId

from example_app.extensions import load_user, ssr_session
from flask_ssr_session import FlaskSSRSession, session_exempt, session_required

repair = Blueprint("repair", __name__, url_prefix="/repair")
revoked: set[str] = set()

PAGE = """<!doctype html><title>Page</title>{{ session_script() }}
<p data-user>{{ g.session.user_id }}</p><p data-note>{{ request.form.note }}</p>"""


def show() -> str:
    return render_template_string(PAGE)


REQUIREMENTS: dict[str, dict[str, Any]] = {
    "mail": {"email_verified": True, "keep_form": True},
    "code": {"factor": "totp", "within": 120, "keep_form": True},
    "recent": {"signed_in_within": 3600},
    "cure": {"email_verified": True},
}
for name, requirements in REQUIREMENTS.items():
    view = session_required(**requirements)(show)
    repair.add_url_rule(f"/{name}", name, view, methods=["GET", "POST"])


@repair.get("/do/<action>/<user>")
@session_exempt
def do(action: str, user: str) -> str:
    """Change what the core, or this app, knows about a user."""
    ACTIONS[action](user)
    return ""


def verify_email(user: str) -> None:
    """Verify the address as a link does that is opened in another browser."""
    made = create_email_verification_token("public", RecipeUserId(user))
    assert isinstance(made, CreateEmailVerificationTokenOkResult)
    verify_email_using_token("public", made.token)


ACTIONS: dict[str, Any] = {
    "verify-email": verify_email,
    "require-totp": lambda user: add_to_required_secondary_factors_for_user(user, "totp"),
    "no-longer-require-totp": (
        lambda user: remove_from_required_secondary_factors_for_user(user, "totp")
    ),
    "revoke": revoked.add,
}


def set_up_recipes() -> None:
    """Change what the example passes to SuperTokens and to flask_ssr_session."""
    if "EMAIL_MODE" in os.environ:
        changed = {"mode": os.environ["EMAIL_MODE"]}
        init = emailverification.init
        emailverification.init = lambda **given: init(**{**given, **changed})
    if "LISTED" in os.environ:
        listed = FlaskSSRSession(is_revoked=lambda session: session.user_id in revoked)
        listed.user_loader(load_user)
        ssr_session.init_app = listed.init_app  # type: ignore[method-assign]
