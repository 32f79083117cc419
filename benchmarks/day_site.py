"""The site of ``benchmarks.day``: by this package, by another version of it, or by hand."""

from __future__ import annotations

import argparse
import functools
import gzip
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import jwt
from flask import Flask, Response, g, jsonify, redirect, render_template_string, request
from supertokens_python import InputAppInfo, SupertokensConfig, init
from supertokens_python.framework.flask import Middleware
from supertokens_python.recipe import emailpassword, session

NOTHING = {"calls": 0, "thefts": 0}
# The header of each page that is not a refresh page.
CONTENT = "Day-Content"
SDK = """<script src="/bare-sdk.js"></script>
<script>supertokensWebsite.init({ apiDomain: location.origin, apiBasePath: "/auth" })</script>"""
# As in SuperTokens' guide.
REFRESH_BY_HAND = f"""<!doctype html><html lang="en"><title>One moment</title><p>One moment …</p>
{SDK}<script>supertokensWebsite.attemptRefreshingSession()
  .then((alive) => alive ? location.reload() : location.assign("/auth"));</script>"""
PAGE = """<!doctype html><html lang="en"><title>Page</title><link rel="icon" href="data:,">
{{ script }}<p data-user="{{ g.session.user_id }}" data-at="{{ at }}">{{ request.args.q }}</p>
<a id="link" href="/page/{{ number + 1 }}">Next</a>
<a id="bare" href="/bare/{{ number + 1 }}">Next, without a script</a>
<form id="search" action="/page/{{ number + 1 }}"><input name="q"><button>Search</button></form>
<form id="post" method="post" action="/notes/{{ number + 1 }}"><input name="note">
<button>Send</button></form>
<script>shownAt = performance.timeOrigin + performance.now()</script>"""


@functools.lru_cache
def bare_sdk() -> Response:
    """Send the SDK like this package's script: compressed, and cacheable for ever."""
    headers = {"Content-Encoding": "gzip", "Cache-Control": "public, max-age=31536000, immutable"}
    text = gzip.compress(Path(os.environ["BARE_SDK"]).read_bytes())
    return Response(text, headers=headers, mimetype="text/javascript")


def by_hand(keys: jwt.PyJWKClient) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that verifies the token, and lets the browser refresh if that fails."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(view)
        def guarded(**arguments: Any) -> Any:
            raw_token = request.cookies.get("sAccessToken", "")
            try:
                key = keys.get_signing_key_from_jwt(raw_token)
                claims = jwt.decode(raw_token, key, algorithms=["RS256"])
            except jwt.PyJWTError:
                return REFRESH_BY_HAND
            g.session = SimpleNamespace(user_id=claims["sub"])
            return view(**arguments)

        return guarded

    return decorate


def make_app(site: str, flow: str, *, is_by_hand: bool) -> Flask:
    """Return the app of one rival."""
    app = Flask(__name__)
    app.config["SSR_SESSION_REFRESH_FLOW"] = flow
    core_uri = os.environ["SUPERTOKENS_CONNECTION_URI"]
    init(
        app_info=InputAppInfo(app_name="Day", api_domain=site, website_domain=site),
        supertokens_config=SupertokensConfig(connection_uri=core_uri),
        framework="flask",
        recipe_list=[emailpassword.init(), session.init()],
        mode="wsgi",
        telemetry=False,
    )
    if is_by_hand:
        required = by_hand(jwt.PyJWKClient(f"{core_uri}/.well-known/jwks.json"))
        script = SDK
    else:
        package = import_module("flask_ssr_session")
        package.FlaskSSRSession(app)
        required = package.session_required(keep_form=True)
        script = "{{ session_script() }}"
    Middleware(app)
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    tokens: defaultdict[str, set[str]] = defaultdict(set)
    notes: defaultdict[str, list[str]] = defaultdict(list)

    @app.after_request
    def watch(response: Response) -> Response:
        visitor = request.cookies.get("visitor", "")
        tokens[visitor].add(request.cookies.get("sAccessToken", ""))
        if "sRefreshToken" in request.cookies:  # the browser sends it to the refresh API only
            counts[visitor]["calls"] += 1
            counts[visitor]["thefts"] += b"theft" in response.data
        return response

    def page(number: int) -> Response:
        with_script = script if request.path.startswith("/page/") else ""
        text = PAGE.replace("{{ script }}", with_script)
        content = render_template_string(text, number=number, at=time.time() * 1000)
        return Response(content, headers={CONTENT: "yes"})

    def take_note(number: int) -> Any:
        notes[request.cookies["visitor"]].append(request.form["note"])
        return redirect(f"/page/{number}?{urlencode({'q': request.form['note']})}", 303)

    app.add_url_rule("/page/<int:number>", "page", required(page))
    app.add_url_rule("/bare/<int:number>", "bare", required(page))
    app.add_url_rule("/notes/<int:number>", "notes", required(take_note), methods=["POST"])
    app.add_url_rule("/bare-sdk.js", "bare_sdk", bare_sdk)
    # The path that served() asks for.
    app.add_url_rule("/panel/", "home", lambda: render_template_string(f"Welcome {script}"))
    app.add_url_rule("/auth", "sign_in", lambda: "Sign in")

    @app.get("/visitors/<name>")
    def visitor(name: str) -> Response:
        stored = {*tokens[name], request.cookies.get("sAccessToken", "")} - {""}
        return jsonify(tokens=len(stored), notes=notes[name], **{**NOTHING, **counts[name]})

    return app


def main() -> None:
    """Serve the site of one rival."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--by-hand", action="store_true")
    parser.add_argument("--flow", default="inline")
    parser.add_argument("--package", help="the folder of another version of this package")
    options = parser.parse_args()
    if options.package:
        sys.path.insert(0, options.package)
    app = make_app(f"http://localhost:{options.port}", options.flow, is_by_hand=options.by_hand)
    app.run(host="localhost", port=options.port, threaded=True)


if __name__ == "__main__":
    main()
