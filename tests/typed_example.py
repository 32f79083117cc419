"""A typed app that uses this package: checked by mypy and pyright in strict mode, never run.

Both must refuse each line with ``type: ignore``, because an unused ignore is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any

from flask import Blueprint, Flask, Request, redirect, request
from supertokens_python.recipe.userroles import UserRoleClaim
from typing_extensions import assert_type
from werkzeug.wrappers import Response

from flask_ssr_session import (
    ClaimFailure,
    FlaskSSRSession,
    InvalidClaimsError,
    ReadOnlySessionError,
    SessionState,
    SSRSession,
    SSRSessionError,
    get_session_state,
    get_ssr_session,
    require_session,
    safe_return_path,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.testing import expire, install_test_keys, outage, revoke, sign_in, sign_out


def sign_in_page(request: Request) -> str:
    return f"/{request.accept_languages.best or 'en'}/sign-in"


ssr_session = FlaskSSRSession(
    leeway_seconds=5, redirect_origins=["https://app.example.com"], login_url=sign_in_page
)
reports = Blueprint("reports", __name__)
reports.before_request(require_session)
reports.before_request(partial(require_session, role="admin", check_revoked=True))
reports.before_request(partial(require_session, optional=True))


def create_app() -> Flask:
    app = Flask(__name__)
    ssr_session.init_app(app)
    app.register_blueprint(reports)
    app.register_error_handler(InvalidClaimsError, not_for_you)
    return app


def not_for_you(error: InvalidClaimsError) -> tuple[str, int]:
    return ", ".join(assert_type(failure, ClaimFailure).id for failure in error.failures), 403


@reports.get("/<int:number>")
@session_required
def plain(number: int) -> str:
    return str(number)


@reports.post("/<int:number>")
@session_required(
    role="admin",
    permission="reports:read",
    email_verified=True,
    validators=[UserRoleClaim.validators.includes_any(["admin", "editor"])],
    check_revoked=True,
    keep_form=True,
)
async def with_conditions(number: int) -> str:
    return str(number)


@reports.get("/")
@session_optional
def home() -> str:
    session = get_ssr_session()
    assert_type(session, SSRSession | None)
    return session.user_id if session else "stranger"


@reports.route("/factor", methods=["GET", "POST"])
@session_required(allow_pending=True, global_claims=False)
def factor() -> str:
    return assert_type(get_session_state(), SessionState).value


@reports.get("/health")
@session_exempt
def health() -> Response:
    return redirect(assert_type(safe_return_path(request.args.get("redirectBack")), str))


# A decorated view keeps its type for other callers.
def call_views() -> None:
    assert_type(plain(1), str)
    assert_type(home(), str)
    assert_type(factor(), str)
    assert_type(health(), Response)
    plain("1")  # type: ignore[arg-type]


def read(session: SSRSession) -> None:
    assert_type(session.user_id, str)
    assert_type(session.recipe_user_id, str)
    assert_type(session.tenant_id, str)
    assert_type(session.session_handle, str)
    assert_type(session.issued_at, datetime)
    assert_type(session.expires_at, datetime)
    assert_type(session.roles, tuple[str, ...])
    assert_type(session.permissions, tuple[str, ...])
    assert_type(session.email_verified, bool | None)
    assert_type(session.access_token_payload, Mapping[str, Any])
    assert_type(session.get_access_token_payload(), dict[str, Any])
    assert_type(session.get_user_id(), str)
    session.get_claim_value(UserRoleClaim)
    session.get_claim_value("st-role")  # type: ignore[arg-type]
    session.access_token_payload = {}  # type: ignore[misc]


def misuse() -> None:
    FlaskSSRSession(login_ur="/sign-in")  # type: ignore[call-arg]
    FlaskSSRSession(refresh_flow="popup")  # type: ignore[arg-type]
    FlaskSSRSession(trusted_origins="https://www.example.com")  # type: ignore[arg-type]
    session_required(role=1)  # type: ignore[call-overload]
    session_required(roles=["admin"])  # type: ignore[call-overload]
    session_required(allow_pending="yes")  # type: ignore[call-overload]
    require_session(permission=["reports:read"])  # type: ignore[arg-type]
    safe_return_path(1)  # type: ignore[arg-type]


def errors(error: ReadOnlySessionError) -> SSRSessionError:
    return error


def in_a_test() -> None:
    app = create_app()
    app.testing = True
    install_test_keys(app)
    client = app.test_client()
    sign_in(client, "user-1", roles=["admin"], email_verified=True, mfa_complete=True)
    expire(client)
    revoke(client)
    with outage(app):
        sign_out(client)
