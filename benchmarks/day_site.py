"""The site of ``benchmarks.day``: by this package, by another version of it, or by hand."""

from __future__ import annotations

import argparse
import functools
import gzip
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import jwt
from flask import Flask, Response, g, redirect, render_template_string, request
from supertokens_python import InputAppInfo, SupertokensConfig, init
from supertokens_python.framework.flask import Middleware
from supertokens_python.recipe import emailpassword, session

PAGES = ("page", "bare", "notes")
# The header of each page that is not a refresh page.
CONTENT = "day-content"
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

HOME = """<!doctype html><html lang="en"><title>Home</title><link rel="icon" href="data:,">
{{ script }}<script>async function signUp(email) {
  const values = { email, password: "correct horse 1" };
  const formFields = Object.entries(values).map(([id, value]) => ({ id, value }));
  const headers = { rid: "emailpassword", "content-type": "application/json" };
  const body = JSON.stringify({ formFields });
  return (await (await fetch("/auth/signup", { method: "POST", headers, body })).json()).user.id;
}</script>"""


@functools.lru_cache
def bare_sdk() -> Response:
    """Send the SDK like this package's script: compressed, and cacheable for ever."""
    headers = {"Content-Encoding": "gzip", "Cache-Control": "public, max-age=31536000, immutable"}
    text = gzip.compress(Path(os.environ["BARE_SDK"]).read_bytes())
    return Response(text, headers=headers, mimetype="text/javascript")


def verify_by_hand(keys: jwt.PyJWKClient) -> str | None:
    """Verify the token of a page; let the browser refresh if that fails."""
    if request.endpoint not in PAGES:
        return None
    raw_token = request.cookies.get("sAccessToken", "")
    try:
        key = keys.get_signing_key_from_jwt(raw_token)
        g.session = SimpleNamespace(user_id=jwt.decode(raw_token, key, algorithms=["RS256"])["sub"])
    except jwt.PyJWTError:
        return REFRESH_BY_HAND
    return None


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
    script: str = SDK
    required: Callable[..., Any] = lambda view: view  # noqa: E731
    if is_by_hand:
        keys = jwt.PyJWKClient(f"{core_uri}/.well-known/jwks.json")
        app.before_request(lambda: verify_by_hand(keys))
    else:
        package = import_module("flask_ssr_session")
        package.FlaskSSRSession(app)
        script, required = "{{ session_script() }}", package.session_required(keep_form=True)
    Middleware(app)
    visitors: defaultdict[str, dict[str, Any]] = defaultdict(
        lambda: {"calls": 0, "thefts": 0, "tokens": set(), "notes": []}
    )

    def visitor() -> dict[str, Any]:
        return visitors[request.cookies["visitor"]]

    @app.after_request
    def watch(response: Response) -> Response:
        if "sAccessToken" in request.cookies:
            visitor()["tokens"].add(request.cookies["sAccessToken"])
        if "sRefreshToken" in request.cookies:  # the browser sends it to the refresh API only
            visitor()["calls"] += 1
            visitor()["thefts"] += b"theft" in response.data
        return response

    def page(number: int) -> Response:
        text = PAGE.replace("{{ script }}", script if request.endpoint == "page" else "")
        content = render_template_string(text, number=number, at=time.time() * 1000)
        return Response(content, headers={CONTENT: "yes"})

    def take_note(number: int) -> Any:
        visitor()["notes"].append(request.form["note"])
        return redirect(f"/page/{number}?{urlencode({'q': request.form['note']})}", 303)

    app.add_url_rule("/page/<int:number>", "page", required(page))
    app.add_url_rule("/bare/<int:number>", "bare", required(page))
    app.add_url_rule("/notes/<int:number>", "notes", required(take_note), methods=["POST"])
    app.add_url_rule("/bare-sdk.js", "bare_sdk", bare_sdk)
    home = HOME.replace("{{ script }}", script)
    # The path that served() asks for.
    app.add_url_rule("/panel/", "home", lambda: render_template_string(home))
    app.add_url_rule("/auth", "sign_in", lambda: "Sign in")

    @app.get("/counted")
    def counted() -> dict[str, Any]:
        """Return what the requests of this visitor have shown."""
        tokens = visitor()["tokens"] | {request.cookies.get("sAccessToken")}
        return {**visitor(), "tokens": len(tokens - {None})}

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
