"""Create the app: SuperTokens' SDK, flask_ssr_session and the pages."""

from __future__ import annotations

import os

from flask import Flask, Response
from supertokens_python.framework.flask import Middleware

from .extensions import ssr_session
from .pages import pages
from .panel import panel
from .sign_in import init_supertokens, sign_in_pages


def create_app(core_uri: str | None = None, site: str | None = None) -> Flask:
    """Return the example app.

    :param core_uri: the SuperTokens core; None reads ``SUPERTOKENS_CONNECTION_URI``.
    :param site: the origin the browser sees; None reads ``EXAMPLE_SITE``, else
        ``http://localhost:5000``.

    Every setting can be an environment variable with the prefix ``EXAMPLE_``, for example
    ``EXAMPLE_SSR_SESSION_REFRESH_FLOW=redirect``.
    """
    core_uri = core_uri or os.environ.get("SUPERTOKENS_CONNECTION_URI")
    if not core_uri:
        raise RuntimeError(
            "The example needs a SuperTokens core: start it with `python -m example_app`, which "
            "includes one, or set SUPERTOKENS_CONNECTION_URI."
        )
    app = Flask(__name__)
    app.config["CORE_URI"] = core_uri
    app.config.from_prefixed_env("EXAMPLE")
    init_supertokens(core_uri, site or os.environ.get("EXAMPLE_SITE", "http://localhost:5000"))
    ssr_session.init_app(app)
    Middleware(app)
    app.register_blueprint(pages)
    app.register_blueprint(sign_in_pages)
    app.register_blueprint(panel)
    app.after_request(_forbid_foreign_content)
    return app


def _forbid_foreign_content(response: Response) -> Response:
    # The whole example works under this strict policy, the refresh page included.
    response.headers.setdefault("Content-Security-Policy", "default-src 'self'")
    return response
