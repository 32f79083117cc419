"""The measured apps: bare ones, ones with the least hook, and ones with this package."""

from base64 import urlsafe_b64decode
from collections.abc import Callable
from importlib import import_module
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from flask import Flask, Response, g, render_template
from jinja2 import DictLoader

from flask_ssr_session.testing import SessionSigner


def say_ok() -> str:
    return "ok"


def render_page() -> str:
    return render_template("page.html")


def user_view() -> Callable[[], Any]:
    """Return a view that shows the user id, if there is a session; another function each time."""

    def show_user() -> str:
        session = g.session
        return session.user_id if session else "ok"

    return show_user


def bare(view: Callable[[], Any] = say_ok, template: str = "", static: str | None = None) -> Flask:
    """Return an app without any hook, and perhaps with a folder of static files."""
    app = Flask(__name__, static_folder=static, static_url_path="/static")
    app.config["PROPAGATE_EXCEPTIONS"] = True  # an error ends the run
    app.jinja_loader = DictLoader({"page.html": template})
    app.add_url_rule("/", "page", view)
    return app


def ours(view: Callable[[], Any] | None = None, template: str = "", **settings: Any) -> Flask:
    """Return an app with this package."""
    app = bare(view or user_view(), template, settings.pop("static", None))
    ssr_session = import_module("flask_ssr_session").FlaskSSRSession(app, **settings)
    if hasattr(ssr_session, "user_loader"):  # version 0.1.0 has none
        ssr_session.user_loader(lambda session: session.user_id)
    return app


def floor() -> Flask:
    """Return an app with the least hook: it sets g.session and Vary, and reads no token."""
    app = bare(user_view())

    @app.before_request
    def decide() -> None:
        g.session = None

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers.add("Vary", "Cookie")
        return response

    return app


def rsa_check() -> Flask:
    """Return an app whose hook only checks the RSA signature of a token."""
    signer = SessionSigner()
    signed, _, end = signer.sign(signer.claims("user-1", roles=["reader"])).rpartition(".")
    signature, key = urlsafe_b64decode(f"{end}=="), signer.public_key
    app, padding, digest = bare(), PKCS1v15(), SHA256()
    app.before_request(lambda: key.verify(signature, signed.encode(), padding, digest))
    return app
