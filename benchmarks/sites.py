"""The measured apps: bare ones, ones with this package, and ones with alternatives.

All of them read the cookie ``sAccessToken``, verify it with the same key, and return the user id.
Each alternative follows its documentation, with static keys and no network per request.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask, Response, g, request

from flask_ssr_session import FlaskSSRSession, session_exempt, session_required
from flask_ssr_session.testing import SessionSigner

COOKIE = "sAccessToken"
SECRET_KEY = "benchmarks" * 4

# The environ key for the input of the bare RSA check.
SIGNED, SIGNATURE = "benchmarks.signed", "benchmarks.signature"


@dataclass(frozen=True)
class Keys:
    """The public key in the forms that libraries need."""

    signer: SessionSigner
    jwks_uri: str

    @property
    def pem(self) -> str:
        """The public key as PEM."""
        form = PublicFormat.SubjectPublicKeyInfo
        return self.signer.public_key.public_bytes(Encoding.PEM, form).decode()


def site(view: Callable[[], str], static_folder: str | None = None, **config: Any) -> Flask:
    """Return an app with only *view*."""
    app = Flask(__name__, static_folder=static_folder, static_url_path="/static")
    # An error ends the run instead of becoming a response.
    app.config.update(config, PROPAGATE_EXCEPTIONS=True)
    app.add_url_rule("/", "page", view)
    return app


def say_ok() -> str:
    """Return a fixed text."""
    return "ok"


def bare(static_folder: str | None = None, **config: Any) -> Flask:
    """Return an app without any hook."""
    return site(say_ok, static_folder, **config)


def with_empty_hook(static_folder: str | None = None) -> Flask:
    """Return an app with a hook that does nothing."""
    app = bare(static_folder)
    app.before_request(lambda: None)
    return app


def with_least_hook() -> Flask:
    """Return an app that sets g.session and Vary, and reads no token."""

    def page() -> str:
        return "ok" if g.session is None else ""

    app = site(page)

    @app.before_request
    def decide() -> None:
        g.session = None

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers.add("Vary", "Cookie")
        return response

    return app


def with_rsa_check(keys: Keys) -> Flask:
    """Return an app whose hook only checks the RSA signature."""
    app, key = bare(), keys.signer.public_key
    padding, digest = PKCS1v15(), SHA256()

    def check() -> None:
        key.verify(request.environ[SIGNATURE], request.environ[SIGNED], padding, digest)

    app.before_request(check)
    return app


def ours(
    static_folder: str | None = None, config: dict[str, Any] | None = None, **settings: Any
) -> Flask:
    """Return an app with our hook and the views ``/``, ``/required`` and ``/untouched``."""

    def page() -> str:
        session = g.session
        return session.user_id if session else "ok"

    app = site(page, static_folder, **(config or {}))
    FlaskSSRSession(app, **settings)
    app.add_url_rule("/required", "required", session_required(page))
    app.add_url_rule("/untouched", "untouched", session_exempt(say_ok))
    return app


# --- alternatives --------------------------------------------------------------------------------


def supertokens_get_session(_keys: Keys) -> Flask:
    """SuperTokens' own SDK, called in a plain view; it is initialised already."""
    get_session = import_module("supertokens_python.recipe.session.syncio").get_session

    def page() -> str:
        return str(get_session(request).get_user_id())

    return site(page)


def supertokens_verify_session(_keys: Keys) -> Flask:
    """SuperTokens' own SDK, as in its guide for Flask."""
    middleware = import_module("supertokens_python.framework.flask").Middleware
    guard = import_module("supertokens_python.recipe.session.framework.flask").verify_session()

    def page() -> str:
        return str(g.supertokens.get_user_id())

    app = site(guard(page))
    middleware(app)
    return app


def flask_jwt_extended(keys: Keys) -> Flask:
    """Flask-JWT-Extended, with tokens from cookies."""
    library = import_module("flask_jwt_extended")

    def page() -> str:
        return str(library.get_jwt_identity())

    app = site(
        library.jwt_required()(page),
        JWT_TOKEN_LOCATION=["cookies"],
        JWT_ACCESS_COOKIE_NAME=COOKIE,
        JWT_COOKIE_CSRF_PROTECT=False,
        JWT_ALGORITHM="RS256",
        JWT_PUBLIC_KEY=keys.pem,
    )
    library.JWTManager(app)
    return app


def pyjwt_with_client(keys: Keys) -> Flask:
    """PyJWT, with the keys that its own client fetched and caches."""
    jwt = import_module("jwt")
    client = jwt.PyJWKClient(keys.jwks_uri)

    def page() -> str:
        token = request.cookies[COOKIE]
        key = client.get_signing_key_from_jwt(token)
        return str(jwt.decode(token, key, algorithms=["RS256"])["sub"])

    return site(page)


def pyjwt_alone(keys: Keys) -> Flask:
    """PyJWT, with one ready key."""
    jwt, key = import_module("jwt"), keys.signer.public_key

    def page() -> str:
        return str(jwt.decode(request.cookies[COOKIE], key, algorithms=["RS256"])["sub"])

    return site(page)


def joserfc(keys: Keys) -> Flask:
    """Joserfc, which Authlib recommends as its successor, with one ready key."""
    jwt = import_module("joserfc.jwt")
    key = import_module("joserfc.jwk").RSAKey.import_key(keys.signer.jwk())
    # Otherwise the header "version" of SuperTokens' tokens is refused.
    lenient = import_module("joserfc.jws").JWSRegistry(strict_check_header=False)
    required = jwt.JWTClaimsRegistry(exp={"essential": True})

    def page() -> str:
        token = jwt.decode(request.cookies[COOKIE], key, algorithms=["RS256"], registry=lenient)
        required.validate(token.claims)
        return str(token.claims["sub"])

    return site(page)


def authlib(keys: Keys) -> Flask:
    """Authlib, with one ready key."""
    with warnings.catch_warnings(record=True):  # it is deprecated, in favour of joserfc
        library = import_module("authlib.jose")
    jwt = library.JsonWebToken(["RS256"])
    key = library.JsonWebKey.import_key(keys.signer.jwk())

    def page() -> str:
        claims = jwt.decode(request.cookies[COOKIE], key)
        claims.validate()
        return str(claims["sub"])

    return site(page)


def clerk(keys: Keys) -> Flask:
    """Clerk's SDK, with a static key and without network."""
    library = import_module("clerk_backend_api.security")
    options = import_module("clerk_backend_api.security.types").VerifyTokenOptions(jwt_key=keys.pem)

    def page() -> str:
        return str(library.verify_token(request.cookies[COOKIE], options)["sub"])

    return site(page)


def flask_login(_keys: Keys) -> Flask:
    """Flask-Login on Flask's signed session; ``/login`` signs the visitor in."""
    library: Any = import_module("flask_login")

    user = library.UserMixin()
    user.id = "user-0000000"

    def page() -> str:
        return str(library.current_user.id)

    def sign_in() -> str:
        library.login_user(user)
        return "ok"

    app = site(library.login_required(page), SECRET_KEY=SECRET_KEY)
    app.add_url_rule("/login", "login", sign_in)
    library.LoginManager(app).user_loader(lambda _user_id: user)
    return app


RIVALS: dict[str, Callable[[Keys], Flask]] = {
    "supertokens get_session": supertokens_get_session,
    "supertokens verify_session": supertokens_verify_session,
    "flask-jwt-extended": flask_jwt_extended,
    "PyJWT + PyJWKClient": pyjwt_with_client,
    "clerk verify_token": clerk,
    "flask-login": flask_login,
    "PyJWT": pyjwt_alone,
    "joserfc": joserfc,
    "Authlib": authlib,
}
