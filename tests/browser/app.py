"""The example app with more pages: one server for most tests.

Environment: HOST is the host name in the browser, SESSION_ARGUMENTS (JSON) goes to SuperTokens'
Session recipe, OVERRIDES names one of OVERRIDES. TALISMAN (JSON) sets up Flask-Talisman.
LIBRARIES is the folder of htmx and Turbo. repair_views.py has two more.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import secrets
import threading
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timezone
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, current_app, g, render_template_string, request
from flask_talisman import Talisman
from jinja2 import ChoiceLoader, DictLoader
from markupsafe import Markup
from supertokens_python.recipe import session

from example_app import create_app
from flask_ssr_session import session_exempt, session_optional, session_required
from flask_ssr_session.clock import SystemClock
from flask_ssr_session.sansio.request_kind import kind_of_request

from . import app_pages as html
from .repair_views import repair, set_up_recipes

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

CSP = "Content-Security-Policy"
LOOSE = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data:; frame-src *"
TRUSTED_TYPES = "require-trusted-types-for 'script'; trusted-types 'none'"
POLICIES = {
    "self": f"default-src 'self'; {TRUSTED_TYPES}",
    "strict-dynamic": "default-src 'none'; connect-src 'self'; img-src 'self'; "
    f"style-src 'nonce-{{0}}'; script-src 'nonce-{{0}}' 'strict-dynamic'; {TRUSTED_TYPES}",
    "anything": "default-src * data: 'unsafe-inline' 'unsafe-eval'",
}
GET_AND_POST = ["GET", "POST"]
pages = Blueprint("more_pages", __name__)
numbers = count(1)


def own_nonce() -> str:
    """Return the nonce of this response."""
    return str(request.environ.setdefault("tests.nonce", secrets.token_urlsafe()))


def set_policy(response: Response) -> Response:
    """Set the policy that the cookie or the query names; pages with inline scripts get LOOSE."""
    named = POLICIES.get(request.cookies.get("policy", "")) or request.args.get("policy")
    is_loose = request.path.startswith(("/kinds/", "/tabs/", "/forms/"))
    if named is not None:
        response.headers[CSP] = named.format(own_nonce())
    elif is_loose and "SSR-Session" not in response.headers:
        response.headers[CSP] = LOOSE
    return response


# --- any page ------------------------------------------------------------------------------------


# A page without any script, and one that does what none of ours does.
BARE = "<!doctype html><title>Bare</title><p data-user>{{ g.session.user_id }}</p>"
RAW = "<!doctype html><title>Raw</title>{{ request.args.text|safe }}"
pages.add_url_rule("/bare", "bare", session_required(lambda: render_template_string(BARE)))
pages.add_url_rule("/raw", "raw", session_exempt(lambda: render_template_string(RAW)))
DECIDES = """{% from "refresh_page.html" import refresh_page %}
{% from "sign_out_button.html" import sign_out_button %}<!doctype html><title>Page</title>
{{ before|safe }}{% if needs_refresh %}{{ refresh_page(nonce=nonce, texts=texts) }}
{% if twice %}{{ refresh_page() }}{% endif %}{% else %}{{ session_script(nonce=nonce) }}
<p data-user>{{ g.session.user_id }}</p>{{ sign_out_button("Sign out") }}{% endif %}"""


def decide(**arguments: Any) -> str:
    """Show a page whose template decides by needs_refresh."""
    return render_template_string(DECIDES, **{"nonce": None, "texts": {}, **arguments})


pages.add_url_rule("/given-nonce", "given_nonce", lambda: decide(nonce=own_nonce()))
pages.add_url_rule("/nonce", "nonce", lambda: decide(nonce=html.CANARY))
pages.add_url_rule("/twice", "twice", lambda: decide(twice=True))
pages.add_url_rule(
    "/decides/<path:rest>", "decides", lambda rest: decide(rest=rest), methods=GET_AND_POST
)


@pages.get("/texts")
def texts() -> str:
    template = current_app.jinja_env.get_template("refresh_page.html")
    names = template.module.default_texts  # type: ignore[attr-defined]
    return decide(texts=dict.fromkeys(names, html.CANARY))


@pages.route("/behind/<path:rest>", methods=GET_AND_POST)
@session_required
def behind(rest: str) -> str:
    return render_template_string("{{ rest }} of {{ g.session.user_id }}", rest=rest)


@pages.get("/clobbered/<kind>/<names>")
def clobbered(kind: str, names: str) -> str:
    return decide(before="".join(html.CLOBBERING[kind].format(name) for name in names.split(",")))


@pages.get("/framer")
@session_exempt
def framer() -> Response:
    """Frame any page; the title counts the loads, including the browser's own error pages."""
    frame = Markup("<iframe src='{}' onload='document.title += 1'></iframe>")
    response = Response("<!doctype html><title></title>" + frame.format(request.args["of"]))
    response.headers[CSP] = "frame-src *"
    return response


@pages.post("/hostile/auth/session/refresh")
@session_exempt
def hostile_refresh() -> Response:
    """Respond as no refresh API does; the cookie ``answer`` selects how."""
    in_headers = html.CANARY.encode().decode("latin-1")
    payload = json.dumps({"uid": html.CANARY, "ate": 1000, "up": {html.CANARY: html.CANARY}})
    front_tokens = {"junk": in_headers, "claims": b64encode(payload.encode()).decode()}
    status, front_token = request.cookies.get("answer", "500-none").split("-")
    response = Response(html.CANARY, status=f"{status} {in_headers}", mimetype="text/html")
    response.headers["anti-csrf"] = response.headers["x-reason"] = in_headers
    if front_token in front_tokens:
        response.headers["front-token"] = front_tokens[front_token]
    return response


OWN = "{% include 'own.html' %}"
pages.add_url_rule("/own", "own", lambda: render_template_string(OWN), methods=GET_AND_POST)


@pages.get("/style/<name>.css")
def style(name: str) -> Response:
    return Response(html.STYLES[name], mimetype="text/css")


# --- pages that a browser keeps ------------------------------------------------------------------


@pages.route("/pages/<name>", methods=GET_AND_POST)
@session_required
def kept_page(name: str) -> Response:
    """Show one of REMEMBERED; the number counts the requests."""
    with_script, cache_control = html.REMEMBERED[name]
    template = html.KINDS["remembered"]
    text = render_template_string(template, with_script=with_script, number=next(numbers))
    response = Response(text)
    if cache_control is not None:
        response.headers["Cache-Control"] = cache_control
    return response


@pages.get("/pages/for-everyone")
@session_optional
def optional_page() -> str:
    return render_template_string(html.KINDS["remembered"], with_script=True, number=next(numbers))


@pages.route("/asks-the-core", methods=GET_AND_POST)
@session_required(check_revoked=True)
def asking_page() -> str:
    return render_template_string(html.KINDS["remembered"], with_script=False, number=next(numbers))


@pages.get("/caches/<name>")
def cached_page(name: str) -> Response:
    """Respond with 304 before anything is rendered; tag and date are the same for everyone."""
    template, has_tag, has_date = html.CACHED[name]

    def with_validators(response: Response) -> Response:
        response.cache_control.no_cache = True
        if has_tag:
            response.set_etag("revision-7")
        if has_date:
            response.last_modified = datetime(2026, 1, 1, tzinfo=timezone.utc)
        response.make_conditional(request)
        return response

    unchanged = with_validators(Response(""))
    if unchanged.status_code == 304:
        return unchanged
    return with_validators(Response(render_template_string(template)))


class ShiftedClock(SystemClock):
    """The real time plus a shift in seconds."""

    shift_seconds = 0.0

    def wall(self) -> float:
        return super().wall() + self.shift_seconds


class Recorder:
    """Records what a browser sent, before the app can change it, and the response.

    :ivar comes_late: the next request for a cached page is verified as of 20 minutes later.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app.wsgi_app
        self._clock = app.extensions["ssr_session"].clock = ShiftedClock()
        self.comes_late = False
        self.asked: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self.posts: list[dict[str, Any]] = []

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] == "POST" and path.startswith("/forms/"):
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            environ["wsgi.input"] = BytesIO(body)
            environ["tests.note"] = {
                "address": f"{path}?{environ['QUERY_STRING']}",
                "type": environ["CONTENT_TYPE"],
                "body": body.decode("latin-1"),
                "arrived": False,
            }
            self.posts.append(environ["tests.note"])
        if not path.startswith("/caches/"):
            return self._app(environ, start_response)
        conditions = {"tag": "HTTP_IF_NONE_MATCH", "date": "HTTP_IF_MODIFIED_SINCE"}
        note = {name: environ.get(key) for name, key in conditions.items()}
        self.asked[path].append(note)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            note["status"] = status[:3]
            return start_response(status, headers, *rest)

        self._clock.shift_seconds = 1200 if self.comes_late else 0
        self.comes_late = False
        try:
            return self._app(environ, start)
        finally:
            self._clock.shift_seconds = 0

    def add_views(self, app: Flask) -> None:
        """Add views that answer to the test."""

        @app.get("/recorder/<name>")
        @session_exempt
        def recorder(name: str) -> list[Any]:
            if name == "posts":
                return self.posts
            if name == "come-late":
                self.comes_late = True
            return self.asked.pop(f"/caches/{name}", [])


# --- forms ---------------------------------------------------------------------------------------

forms = Blueprint("forms", __name__, url_prefix="/forms")


def form_page(name: str) -> str:
    """Show the form, or a confirmation that it arrived."""
    if request.method == "GET":
        port = request.host.partition(":")[2]
        return render_template_string(html.FORMS[name], name=name, port=port)
    request.environ["tests.note"]["arrived"] = True
    return "<!doctype html><title>Arrived</title><p data-arrived>Arrived</p>"


for name, guard in {"keeps": session_required(keep_form=True), "plain": session_required}.items():
    forms.add_url_rule(f"/{name}/<name>", name, guard(form_page), methods=GET_AND_POST)


@forms.route("/open", methods=GET_AND_POST)
@session_exempt
def open_to_all() -> str:
    """Accept any form without a session, and show a form with another target."""
    return render_template_string(html.FORMS["simple"], name="open")


# --- every kind of request -----------------------------------------------------------------------

kinds = Blueprint("kinds", __name__, url_prefix="/kinds")
# The requests of each run by name, and the forms that reached a view, oldest first.
noted: defaultdict[str, dict[str, str]] = defaultdict(dict)
received: list[str] = []


def kind_page(name: str) -> str:
    return render_template_string(html.KINDS[name])


kinds.add_url_rule("/<name>", "page", session_required(kind_page))
kinds.add_url_rule("/open/<name>", "open", session_exempt(kind_page))


@kinds.route("/fragment", methods=["GET", "POST", "PUT"])
@session_required
def fragment() -> str:
    """Return a fragment of a page, inside a Turbo frame if one requests it."""
    if "note" in request.form:
        received.append(request.form["note"])
    return render_template_string(html.KINDS["fragment"], note=request.form.get("note", ""))


@kinds.post("/sent")
@session_required
def sent() -> tuple[str, int, dict[str, str]]:
    """Accept a form as Turbo requires it: redirect to another page."""
    received.append(request.form["note"])
    return "", 303, {"Location": "/kinds/plain?sent"}


@kinds.get("/download")
@session_required
def download() -> Response:
    attachment = {"Content-Disposition": "attachment; filename=file.txt"}
    return Response(f"file of {g.session.user_id}", headers=attachment, mimetype="text/plain")


@kinds.route("/note/<run>/<name>", methods=GET_AND_POST)
@kinds.route("/note/<run>/<name>", websocket=True)
@session_exempt
def note(run: str, name: str) -> tuple[str, int]:
    """Record the kind of a request. The browser stays on its page, because it gets no content."""
    noted[run][name] = kind_of_request(request.headers.get).value
    return "", 204


@kinds.get("/state")
@session_exempt
def state() -> dict[str, Any]:
    return {"noted": noted, "received": received}


@kinds.get("/worker/<name>.js")
@session_exempt
def worker(name: str) -> Response:
    allowed = {"Service-Worker-Allowed": "/kinds/"}
    return Response(html.WORKERS[name], headers=allowed, mimetype="text/javascript")


@kinds.get("/library/<path:name>")
@session_exempt
def library(name: str) -> Response:
    script = Path(os.environ["LIBRARIES"], name).read_text(encoding="utf-8")
    return Response(script, mimetype="text/javascript")


# --- tabs ----------------------------------------------------------------------------------------

tabs = Blueprint("tabs", __name__, url_prefix="/tabs")
# Clear while every refresh is held.
answers = threading.Event()
answers.set()


tabs.add_url_rule("/template", "template", lambda: render_template_string(html.TABS["template"]))
tabs.add_url_rule("/start", "start", session_exempt(lambda: html.TABS["start"]))
frames = session_exempt(lambda: render_template_string(html.TABS["frames"]))
tabs.add_url_rule("/frames", "frames", frames)


@tabs.get("/<any(hold, 'let-go'):what>")
@session_exempt
def hold(what: str) -> str:
    """Hold every refresh from now on, or release them all."""
    (answers.clear if what == "hold" else answers.set)()
    return ""


def wait_before_refresh() -> None:
    if request.path == "/auth/session/refresh":
        answers.wait(60)


# --- the app -------------------------------------------------------------------------------------


def behind_https(app: Flask) -> None:
    """Claim, like a proxy, that the browser uses https; Talisman requires it."""
    inner = app.wsgi_app

    def proxied(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        return inner({**environ, "HTTP_X_FORWARDED_PROTO": "https"}, start_response)

    app.wsgi_app = proxied  # type: ignore[method-assign]


def make_app(site: str) -> Flask:
    """Return the app, as the environment wants it."""
    told = os.environ
    arguments = json.loads(told.get("SESSION_ARGUMENTS", "{}"))
    session.init = functools.partial(session.init, **arguments)
    set_up_recipes()
    app = create_app(site=site)
    for blueprint in (pages, forms, kinds, tabs, repair):
        app.register_blueprint(blueprint)
    # Run before the SDK's hook, which responds to the API's requests.
    app.before_request_funcs[None].insert(0, wait_before_refresh)
    recorder = Recorder(app)
    recorder.add_views(app)
    app.wsgi_app = recorder  # type: ignore[method-assign]
    assert app.jinja_loader is not None
    app.jinja_env.globals["translations"] = html.OVERRIDES["texts"]
    templates = html.OVERRIDES[told.get("OVERRIDES", "none")]
    app.jinja_loader = ChoiceLoader([DictLoader(templates), app.jinja_loader])
    if "TALISMAN" in told:
        Talisman(app, **json.loads(told["TALISMAN"]))
        behind_https(app)
    else:
        app.after_request(set_policy)
        if told.get("OVERRIDES") == "policies":
            # Empty if the view passes the nonce itself.
            app.jinja_env.globals["csp_nonce"] = lambda: (
                "" if request.endpoint == "more_pages.given_nonce" else own_nonce()
            )
    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port = parser.parse_args().port
    app = make_app(f"http://{os.environ.get('HOST', 'localhost')}:{port}")
    app.run(host="localhost", port=port, threaded=True)


if __name__ == "__main__":
    main()
