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
    EmailDoesNotExistError,
    UnknownUserIdError,
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
without_email: set[str] = set()
revoked: set[str] = set()

PAGE = """<!doctype html><title>Page</title>{{ session_script() }}
<p data-user>{{ g.session.user_id }}</p><p data-note>{{ request.form.note }}</p>"""


def show() -> str:
    return render_template_string(PAGE)


REQUIREMENTS: dict[str, dict[str, Any]] = {
    "mail": {"email_verified": True, "keep_form": True},
    "plain-mail": {"email_verified": True},
    "code": {"factor": "totp", "within": 120, "keep_form": True},
    "recent": {"signed_in_within": 3600},
    "cure": {"email_verified": True},
}
for name, requirements in REQUIREMENTS.items():
    view = session_required(**requirements)(show)
    repair.add_url_rule(f"/{name}", name, view, methods=["GET", "POST"])


FORM = """<!doctype html><title>Form</title>{{ session_script() }}
<form method="post" action="/repair/plain-mail"><label>Note <input name="note"></label>
<button>Send</button></form>"""
repair.add_url_rule("/entry", "entry", session_required(lambda: render_template_string(FORM)))


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
    "drop-email": without_email.add,
    "require-totp": lambda user: add_to_required_secondary_factors_for_user(user, "totp"),
    "no-longer-require-totp": (
        lambda user: remove_from_required_secondary_factors_for_user(user, "totp")
    ),
    "revoke": revoked.add,
}


async def find_email(user: RecipeUserId, _context: dict[str, Any]) -> Any:
    """Say of some users that they have no address; the recipe looks for that of others itself."""
    is_without = user.get_as_string() in without_email
    return EmailDoesNotExistError() if is_without else UnknownUserIdError()


def set_up_recipes() -> None:
    """Change what the example passes to SuperTokens and to flask_ssr_session."""
    init = emailverification.init
    changes: dict[str, Any] = {"get_email_for_recipe_user_id": find_email}
    if "EMAIL_MODE" in os.environ:
        changes["mode"] = os.environ["EMAIL_MODE"]
    emailverification.init = lambda **given: init(**{**given, **changes})
    if "LISTED" in os.environ:
        listed = FlaskSSRSession(is_revoked=lambda session: session.user_id in revoked)
        listed.user_loader(load_user)
        ssr_session.init_app = listed.init_app  # type: ignore[method-assign]
