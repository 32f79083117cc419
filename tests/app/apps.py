"""Apps to test, with a view for each way to require a session, and what stands for the SDK."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Flask, g, render_template
from jinja2 import DictLoader
from supertokens_python.recipe.emailverification import EmailVerificationClaim
from supertokens_python.recipe.multifactorauth.multi_factor_auth_claim import MultiFactorAuthClaim

import flask_ssr_session as ssr
from flask_ssr_session.config.resolved import SDKSettings
from flask_ssr_session.errors import CoreUnavailableError
from flask_ssr_session.sansio.core_session import CoreSession
from flask_ssr_session.sansio.global_claims import is_about
from flask_ssr_session.testing import install_test_keys

API_DOMAIN = "https://api.example.com"

# What two of SuperTokens' recipes require of every session.
EMAIL: Any = EmailVerificationClaim
EMAIL = EMAIL.validators.is_verified()

MFA = MultiFactorAuthClaim.validators.has_completed_mfa_requirements_for_auth()

TEMPLATE_GUARD = (
    "{% from 'refresh_page.html' import refresh_page %}"
    "{% if needs_refresh %}{{ refresh_page() }}{% else %}content{% endif %}"
)


def make_app(app: str | Flask = "app", *, sdk: SDKSettings | None = None, **settings: Any) -> Flask:
    """Return an app in testing mode, set up with *settings*, that trusts the test keys.

    :param app: its name, or an app to be set up.
    :param sdk: the values of an initialised SDK; None for the SDK of this process, if it has one.
    """
    app = Flask(app) if isinstance(app, str) else app
    app.testing = True
    ssr.FlaskSSRSession(app, **{"api_domain": API_DOMAIN, **settings})
    if sdk is not None:
        read_from(app, lambda: sdk)
    install_test_keys(app)
    return app


def read_from(app: Flask, sdk_reader: Callable[[], SDKSettings | None]) -> None:
    """Let *sdk_reader* tell *app* what its SDK says, from the next binding on."""
    app.extensions["ssr_session"]._read_sdk = sdk_reader


def with_templates(app: Flask, **sources: str) -> Flask:
    """Give *app* templates named by keyword, with ``.html`` added."""
    app.jinja_loader = DictLoader({f"{name}.html": text for name, text in sources.items()})
    return app


def with_views(app: Flask) -> Flask:
    with_templates(app, page=TEMPLATE_GUARD)

    @app.route("/account", methods=["GET", "POST"])
    @ssr.session_required
    def account() -> str:
        return f"account of {g.session.user_id}"

    @app.route("/news", methods=["GET", "POST"])
    @ssr.session_optional
    def news() -> str:
        return f"news for {g.session.user_id if g.session else 'everyone'}"

    @app.route("/page", methods=["GET", "POST"])
    def page() -> str:
        return render_template("page.html")

    @app.route("/open")
    def open_to_all() -> str:
        return "open"

    return app


def add_views(app: Flask, views: dict[str, Any]) -> Flask:
    """Give *app* these views, by their path, which names the endpoint, too."""
    for path, view in views.items():
        app.add_url_rule(path, path, view, methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    return app


def requiring(content: Callable[[], Any], **condition: Any) -> Callable[..., Any]:
    """Return a view of *content* that calls ``require_session()`` itself."""

    def view(**_: str) -> Any:
        ssr.require_session(**condition)
        return content()

    return view


def sdk_values(**values: Any) -> SDKSettings:
    """Return the settings of an initialised SDK, with *values* replaced."""
    usual: dict[str, Any] = {
        "api_domain": API_DOMAIN,
        "website_origin": "https://www.example.com",
        "api_base_path": "/auth",
        "website_base_path": "/auth",
        "cookie_domain": None,
        "dynamic_signing_key": True,
        "session_expired_status": 401,
        "key_uris": ("http://127.0.0.1:1/.well-known/jwks.json",),
    }
    return SDKSettings(**usual | values)


class FakeGlobalClaims:
    """Replaces the SDK's global claims by these validators, or by the result of *override*."""

    def __init__(self, *validators: Any, override: Callable[..., Any] | None = None) -> None:
        self.added = list(validators)
        self.override = override
        self.contexts: list[dict[str, Any]] = []

    @property
    def has_mfa(self) -> bool:
        return any(is_about(validator, "st-mfa") for validator in self.added)

    @property
    def is_overridden(self) -> bool:
        return self.override is not None

    def added_validators(self) -> list[Any]:
        return self.added

    def user_context(self, request: Any) -> dict[str, Any]:
        return {"request": request}

    def validators(self, session: ssr.SSRSession, user_context: dict[str, Any]) -> Any:
        self.contexts.append(user_context)
        if self.override is None:
            return list(self.added)
        return self.override(session, list(self.added), user_context)

    def is_timeless(self, validator: Any) -> bool:
        return getattr(validator, "max_age_in_sec", None) is None


def stub_revocation(app: Flask, answer: Callable[[str], bool]) -> list[str]:
    """Replace the core's revocation check; return the list of handles that it receives."""
    asked: list[str] = []

    def look_up(session_handle: str) -> CoreSession | None:
        asked.append(session_handle)
        return None if answer(session_handle) else CoreSession()

    keys = app.extensions["ssr_session_test_keys"].keys
    app.extensions["ssr_session"].override_keys_for_testing(keys, look_up)
    return asked


def is_down(_session_handle: str) -> bool:
    """Raise the error of a core that does not respond."""
    raise CoreUnavailableError("no complete answer in time")
