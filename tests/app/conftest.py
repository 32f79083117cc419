"""An app with a view for each way to require a session, and the requests that browsers send."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest
from flask import Flask, g, render_template
from flask.testing import FlaskClient
from jinja2 import DictLoader
from supertokens_python.recipe.emailverification import EmailVerificationClaim
from supertokens_python.recipe.multifactorauth.multi_factor_auth_claim import MultiFactorAuthClaim
from werkzeug.test import TestResponse

from flask_ssr_session import (
    FlaskSSRSession,
    SSRSession,
    app_state,
    request_verdict,
    require_session,
    session_optional,
    session_required,
)
from flask_ssr_session.config.resolved import SDKSettings
from flask_ssr_session.errors import CoreUnavailableError
from flask_ssr_session.sansio.core_session import CoreSession
from flask_ssr_session.sansio.global_claims import is_about
from flask_ssr_session.testing import core_outage, install_test_keys, outage, sign_in
from flask_ssr_session.testing.backend import backend_of
from tests.browser_requests import PAGE
from tests.tokens import expired_token, make_token

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
    FlaskSSRSession(app, **{"api_domain": API_DOMAIN, **settings})
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
    """Give *app* one view of each kind."""
    with_templates(app, page=TEMPLATE_GUARD)

    @app.route("/account", methods=["GET", "POST"])
    @session_required
    def account() -> str:
        return f"account of {g.session.user_id}"

    @app.route("/news", methods=["GET", "POST"])
    @session_optional
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
        require_session(**condition)
        return content()

    return view


def cookies(*tokens: str, front: bool = True) -> dict[str, str]:
    """Return the header of a browser with these access tokens."""
    pairs = [f"sAccessToken={token}" for token in tokens]
    return {"Cookie": "; ".join([*pairs, "sFrontToken=e30="] if front else pairs)}


# The cookies of a visitor who gets this reason, as far as cookies decide it.
VISITORS: dict[str, Callable[[], dict[str, str]]] = {
    "active": lambda: cookies(make_token()),
    "mfa_pending": lambda: cookies(make_token(mfa_complete=False)),
    "expired": lambda: cookies(expired_token()),
    "invalid": lambda: cookies("junk"),
    "duplicate": lambda: cookies(make_token(user_id="a"), make_token(user_id="b")),
    "revoked": lambda: cookies(make_token(sessionHandle="revoked")),
    "token_missing": cookies,
    "anonymous": dict,
    "keys_unavailable": lambda: cookies(make_token()),
    "clock": lambda: cookies(make_token(issued_at=time.time() + 120)),
    "core_unavailable": lambda: cookies(make_token()),
    "internal": lambda: cookies(make_token()),
    "cross_site": lambda: cookies(make_token()) | {"Origin": "https://evil.example"},
}


@contextmanager
def visiting(app: Flask, reason: str, headers: dict[str, str] = PAGE) -> Iterator[dict[str, str]]:
    """Let visitors of *app* get this *reason*; the value is *headers* with those of a visitor."""
    if reason == "cross_site":  # what is unsafe by its method alone is in test_cross_site.py
        headers = headers | {"X-HTTP-Method-Override": "POST"}
        if "Sec-Fetch-Site" in headers:
            headers |= {"Sec-Fetch-Site": "cross-site"}
    backend_of(app).revoked_handles.add("revoked")
    ways: dict[str, AbstractContextManager[Any]] = {
        "keys_unavailable": outage(app),
        "core_unavailable": core_outage(app),
    }
    with ways.get(reason) or nullcontext(), pytest.MonkeyPatch.context() as patch:
        if reason == "internal":
            patch.setattr(request_verdict, "decide", None)
        yield headers | VISITORS[reason]()


def ask(
    app: Flask, path: str, headers: Any = PAGE, method: Any = "GET", **claims: Any
) -> TestResponse:
    """Return what *app* responds to a visitor with a token of these claims."""
    client = app.test_client(use_cookies=False)
    return client.open(path, method=method, headers={**headers, **cookies(make_token(**claims))})


def signed_in(app: Flask, user_id: str = "user-1", **claims: Any) -> FlaskClient:
    """Return a client of *app* with the cookies of a session."""
    client = app.test_client()
    sign_in(client, user_id, **claims)
    return client


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

    def validators(self, session: SSRSession, user_context: dict[str, Any]) -> Any:
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
        return None if answer(session_handle) else CoreSession(None, None)

    keys = app.extensions["ssr_session_test_keys"].keys
    app.extensions["ssr_session"].override_keys_for_testing(keys, look_up)
    return asked


def is_down(_session_handle: str) -> bool:
    """Raise the error of a core that does not respond."""
    raise CoreUnavailableError("no complete answer in time")


def page_shown(response: TestResponse) -> str:
    """Return which page of this package *response* shows, for example ``refresh``, or ""."""
    found = re.search(r'data-ssr-session="(\w+)"', response.text)
    return found.group(1) if found else ""


@pytest.fixture(autouse=True)
def no_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the SDK of this process, which other tests may have initialised."""
    monkeypatch.setattr(app_state, "read_sdk", lambda: None)


@pytest.fixture
def sdk(no_sdk: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    """Simulate an initialised SDK by its settings."""
    monkeypatch.setattr(app_state, "read_sdk", sdk_values)


@pytest.fixture
def app() -> Flask:
    return with_views(make_app())


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
