"""Pages and SuperTokens' API as two processes; PART selects ``pages`` or ``api``.

HOST is the host name in the browser. API is the API's origin, which the pages read from their own
SDK if WITH_SDK is set, else from ``EXAMPLE_SSR_SESSION_…`` settings. SESSION_ARGUMENTS (JSON),
API_BASE_PATH and API_GATEWAY_PATH configure the SDK. TLS_PORT serves https, too.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, render_template_string, request
from jinja2 import DictLoader
from supertokens_python import InputAppInfo, SupertokensConfig, get_all_cors_headers, init
from supertokens_python.framework.flask import Middleware
from supertokens_python.recipe import emailpassword, session
from werkzeug.wrappers import Response as WerkzeugResponse

from flask_ssr_session import (
    FlaskSSRSession,
    safe_return_path,
    session_exempt,
    session_optional,
    session_required,
)

# Other names of this machine are pages that the API does not know.
PAGES_HOSTS = frozenset({"app.example.test", "localhost"})

TEMPLATES = {
    "layout.html": """<!doctype html><title>Page</title>{{ session_script() }}
        <main>{% block content %}{% endblock %}</main>""",
    "who.html": """{% extends "layout.html" %}{% block content %}
        {% if g.session %}<p data-user>{{ g.session.user_id }}</p>
        <button onclick="supertokensWebsite.signOut().then(() => location.assign('/'))">Sign out
        </button>{% else %}<p data-greeting>Hello, stranger.</p>{% endif %}{% endblock %}""",
    "decides.html": """{% extends "layout.html" %}
        {% from "refresh_page.html" import refresh_page %}{% block content %}
        {% if needs_refresh %}{{ refresh_page() }}
        {% else %}<p data-user>{{ g.session.user_id }}</p>{% endif %}{% endblock %}""",
    "sign_in.html": """{% extends "layout.html" %}{% block content %}
        <form><input id="email"><input id="password" type="password"><button>Go</button></form>
        <script>document.forms[0].addEventListener("submit", async (event) => {
            event.preventDefault();
            const formFields = [email, password].map(({ id, value }) => ({ id, value }));
            const headers = { "content-type": "application/json", rid: "emailpassword" };
            const body = JSON.stringify({ formFields });
            const answer = await fetch({{ action|tojson }}, { method: "POST", headers, body });
            const { status } = await answer.json();
            if (status === "OK") location.assign({{ return_path|tojson }});
        })</script>{% endblock %}""",
}


def init_supertokens(api: str, website: str) -> None:
    os.environ.setdefault("SUPERTOKENS_TLDEXTRACT_DISABLE_HTTP", "1")
    init(
        app_info=InputAppInfo(
            app_name="Domains",
            api_domain=api,
            website_domain=website,
            api_base_path=os.environ.get("API_BASE_PATH", "/auth"),
            api_gateway_path=os.environ.get("API_GATEWAY_PATH", ""),
        ),
        supertokens_config=SupertokensConfig(
            connection_uri=os.environ["SUPERTOKENS_CONNECTION_URI"]
        ),
        framework="flask",
        recipe_list=[
            emailpassword.init(),
            session.init(**json.loads(os.environ.get("SESSION_ARGUMENTS", "{}"))),
        ],
        mode="wsgi",
        telemetry=False,
    )


def make_pages(website: str) -> Flask:
    app = Flask(__name__)
    app.jinja_loader = DictLoader(TEMPLATES)
    app.config.from_prefixed_env("EXAMPLE")
    api = os.environ["API"]
    if "WITH_SDK" in os.environ:
        init_supertokens(api, website)
    FlaskSSRSession(app)
    base_path = os.environ.get("API_GATEWAY_PATH", "") + os.environ.get("API_BASE_PATH", "/auth")

    def who() -> str:
        return render_template_string(TEMPLATES["who.html"])

    def sign_in(name: str) -> str:
        return render_template_string(
            TEMPLATES["sign_in.html"],
            action=f"{api}{base_path}/{name}",
            return_path=safe_return_path(request.args.get("redirectToPath")),
        )

    app.add_url_rule("/", "home", session_optional(who))
    app.add_url_rule("/account", "account", session_required(who))
    app.add_url_rule(
        "/dashboard", "dashboard", lambda: render_template_string(TEMPLATES["decides.html"])
    )
    app.add_url_rule("/panel/", "panel", session_exempt(who))
    app.add_url_rule("/auth", "sign_in", session_exempt(lambda: sign_in("signin")))
    app.add_url_rule("/auth/sign-up", "sign_up", session_exempt(lambda: sign_in("signup")))
    return app


def make_api(api: str) -> Flask:
    """Return the API alone: it shows no pages and knows nothing of flask_ssr_session."""
    app = Flask(__name__)
    scheme = urlsplit(api).scheme
    init_supertokens(api, f"{scheme}://app.example.test")

    @app.before_request
    def answer_preflight() -> Response | None:
        return Response(status=204) if request.method == "OPTIONS" else None

    Middleware(app)
    app.add_url_rule("/panel/", "ready", lambda: "ready")

    @app.get("/auth/foreign-cookie")
    def foreign_cookie() -> Response:
        """Return which cookie arrived, and set one that a page of any site may send."""
        response = Response(request.cookies.get("foreign", "none"))
        response.set_cookie("foreign", "came", secure=True, samesite="None")
        return response

    @app.after_request
    def allow_pages(response: Response) -> Response:
        origin = request.headers.get("Origin", "")
        if urlsplit(origin).hostname in PAGES_HOSTS:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Allow-Credentials"] = "true"
            response.headers["Access-Control-Allow-Headers"] = ", ".join(
                ["content-type", *get_all_cors_headers()]
            )
        response.vary.add("Origin")
        return response

    put_behind_gateway(app, os.environ.get("API_GATEWAY_PATH", ""))
    return app


def put_behind_gateway(app: Flask, prefix: str) -> None:
    """Forward only paths that begin with *prefix* to *app*, without the prefix."""
    inner = app.wsgi_app

    def gateway(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path.startswith(f"{prefix}/"):
            return inner({**environ, "PATH_INFO": path.removeprefix(prefix)}, start_response)
        if path == "/panel/":
            return inner(environ, start_response)
        return WerkzeugResponse(status=404)(environ, start_response)

    app.wsgi_app = gateway  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port: int = parser.parse_args().port
    tls_port = int(os.environ.get("TLS_PORT", "0"))
    host = os.environ["HOST"]
    origin = f"https://{host}:{tls_port}" if tls_port else f"http://{host}:{port}"
    app = make_pages(origin) if os.environ["PART"] == "pages" else make_api(origin)
    if tls_port:
        arguments = {"host": "localhost", "port": tls_port, "ssl_context": "adhoc"}
        Thread(target=app.run, kwargs={**arguments, "threaded": True}, daemon=True).start()
    app.run(host="localhost", port=port, threaded=True)


if __name__ == "__main__":
    main()
