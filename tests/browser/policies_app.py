"""The example app with other Content-Security-Policies, and pages that show hostile text.

The cookie ``policy`` names one of POLICIES. If TALISMAN is set, Flask-Talisman sets the policy
instead, with its defaults or with the keyword arguments in TALISMAN (JSON).
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
from base64 import b64encode
from collections.abc import Iterable
from typing import Any

from flask import Flask, Response, render_template_string, request
from flask_talisman import Talisman
from jinja2 import ChoiceLoader, DictLoader
from markupsafe import Markup

from example_app import create_app
from flask_ssr_session import session_exempt, session_required

TRUSTED_TYPES = "require-trusted-types-for 'script'; trusted-types 'none'"
POLICIES = {
    "self": f"default-src 'self'; {TRUSTED_TYPES}",
    "strict-dynamic": "default-src 'none'; connect-src 'self'; img-src 'self'; "
    f"style-src 'nonce-{{0}}'; script-src 'nonce-{{0}}' 'strict-dynamic'; {TRUSTED_TYPES}",
    "anything": "default-src * data: 'unsafe-inline' 'unsafe-eval'",
}

# Elements, scripts, placeholders and line ends of every language that a page is written in.
CANARY = (
    "'\"`--></noscript></title></style></textarea></script><img src=x onerror=pwned=1>"
    "<script>pwned=1</script>${pwned=1}{{7*191}}{%x%}\u2028pwned=1\u2029\\"
)

TEMPLATES = {
    "base.html": """<!doctype html><title>{% block title %}{% endblock %}</title>
        {{ session_script() }}
        <script nonce="{{ csp_nonce() }}" src="/static/example.js" defer></script>
        <h1>{{ self.title() }}</h1>{% block about %}{% endblock %}
        <main>{% block content %}{% endblock %}</main>""",
    "refreshed.html": """{% from "refresh_page.html" import refresh_page %}
        <!doctype html><title>Page</title>{{ before|safe }}{% if needs_refresh %}
        {{ refresh_page(nonce=nonce, texts=texts) }}{% else %}{{ session_script(nonce=nonce) }}
        <p data-user>{{ g.session.user_id }}</p>{% endif %}""",
}

# What users may have written on a page: elements whose names shadow those of a script.
CLOBBERING = {
    "image": "<img name='{0}' id='{0}'>",
    "form": "<form name='{0}' id='{0}'><input name=init><object name=attemptRefreshingSession>"
    "</object></form>",
    "callable": "<form name='{0}' id='{0}'><object name=init></object></form>",
    "links": "<a id='{0}' href='data:,'></a><a id='{0}' name=init href='data:,'></a>",
    "frame": "<iframe name='{0}' srcdoc='<a id=init></a>'></iframe>",
}


def own_nonce() -> str:
    """Return the nonce of this response."""
    return str(request.environ.setdefault("tests.nonce", secrets.token_urlsafe()))


def global_nonce() -> str:
    """Return the value of ``csp_nonce()``: empty if the view passes the nonce itself."""
    return "" if request.endpoint == "given_nonce" else own_nonce()


def set_policy(response: Response) -> Response:
    policy = POLICIES.get(request.cookies.get("policy", ""))
    if policy is not None:
        response.headers["Content-Security-Policy"] = policy.format(own_nonce())
    return response


def page(before: str = "", nonce: str | None = None, texts: dict[str, str] | None = None) -> str:
    """Show a page whose template decides by needs_refresh."""
    return render_template_string(
        TEMPLATES["refreshed.html"], before=before, nonce=nonce, texts=texts or {}
    )


def add_pages(app: Flask) -> None:
    app.add_url_rule("/given-nonce", "given_nonce", lambda: page(nonce=own_nonce()))

    @app.route("/decides/<path:rest>", methods=["GET", "POST"])
    def decides(rest: str) -> str:  # noqa: ARG001
        return page()

    @app.get("/texts")
    def texts() -> str:
        refresh_template = app.jinja_env.get_template("refresh_page.html")
        names = refresh_template.module.default_texts  # type: ignore[attr-defined]
        return page(texts=dict.fromkeys(names, CANARY))

    @app.get("/nonce")
    def nonce() -> str:
        return page(nonce=CANARY)

    @app.route("/behind/<path:rest>", methods=["GET", "POST"])
    @session_required
    def behind(rest: str) -> str:
        return render_template_string("{{ rest }} of {{ g.session.user_id }}", rest=rest)

    @app.get("/clobbered/<kind>/<names>")
    def clobbered(kind: str, names: str) -> str:
        return page(before="".join(CLOBBERING[kind].format(name) for name in names.split(",")))

    @app.get("/framer")
    @session_exempt
    def framer() -> Response:
        """Frame any page; the title counts the loads, including the browser's own error pages."""
        frame = Markup("<iframe src='{}' onload='document.title += 1'></iframe>")
        response = Response("<!doctype html><title></title>" + frame.format(request.args["of"]))
        response.headers["Content-Security-Policy"] = "frame-src *"
        return response

    @app.get("/raw")
    @session_exempt
    def raw() -> str:
        """Do what none of our pages does."""
        return f"<!doctype html><title>Raw</title>{request.args['text']}"


def add_hostile_api(app: Flask) -> None:
    """Respond below ``/hostile`` as no refresh API does; the cookie ``answer`` selects how."""
    in_headers = CANARY.encode().decode("latin-1")
    payload = json.dumps({"uid": CANARY, "ate": 1000, "up": {CANARY: CANARY}})
    front_tokens = {"junk": in_headers, "claims": b64encode(payload.encode()).decode()}

    @app.post("/hostile/auth/session/refresh")
    @session_exempt
    def refresh() -> Response:
        status, front_token = request.cookies.get("answer", "500-none").split("-")
        response = Response(CANARY, status=f"{status} {in_headers}", mimetype="text/html")
        response.headers["anti-csrf"] = response.headers["x-reason"] = in_headers
        if front_token in front_tokens:
            response.headers["front-token"] = front_tokens[front_token]
        return response


def behind_https(app: Flask) -> None:
    """Claim, like a proxy, that the browser uses https; Talisman requires it."""
    inner = app.wsgi_app

    def proxied(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return inner({**environ, "HTTP_X_FORWARDED_PROTO": "https"}, start_response)

    app.wsgi_app = proxied  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port = parser.parse_args().port
    app = create_app(site=f"http://localhost:{port}")
    assert app.jinja_loader is not None
    app.jinja_loader = ChoiceLoader([DictLoader(TEMPLATES), app.jinja_loader])
    if "TALISMAN" in os.environ:
        Talisman(app, **json.loads(os.environ["TALISMAN"]))
        behind_https(app)
    else:
        app.jinja_env.globals["csp_nonce"] = global_nonce
        app.after_request(set_policy)
    add_pages(app)
    add_hostile_api(app)
    app.run(host="localhost", port=port, threaded=True)


if __name__ == "__main__":
    main()
