"""The site that browsers visit: by this package, by another revision of it, or by hand.

The one by hand follows SuperTokens' guide: the server verifies the token; if that fails, a page
lets the browser SDK refresh, and reloads.
"""

import gzip
import os
import sys
import time
from collections import Counter, defaultdict
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from urllib.parse import urlencode

import jwt
from flask import Flask, Response, g, redirect, render_template_string, request
from supertokens_python.framework.flask import Middleware
from supertokens_python.recipe import emailpassword, session
from supertokens_python.recipe.session.syncio import create_new_session
from supertokens_python.types import RecipeUserId

from tests.dev_core.sdk import init_sdk

PAGES = ("page", "bare", "notes")
CONTENT = "benchmark-content"  # the header of each page that is not a refresh page
SDK = """<script src="/bare-sdk.js"></script>
<script>supertokensWebsite.init({ apiDomain: location.origin, apiBasePath: "/auth" })</script>"""
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


def make_app(site: str, flow: str) -> Flask:
    """Return the app, in a flow of this package or "by hand"."""
    app = Flask(__name__)
    core_uri = os.environ["SUPERTOKENS_CONNECTION_URI"]
    init_sdk(core_uri, [emailpassword.init(), session.init()], site)
    script, required = SDK, cast("Any", lambda view: view)
    if flow == "by hand":
        keys = jwt.PyJWKClient(f"{core_uri}/.well-known/jwks.json")
        app.before_request(lambda: verify_by_hand(keys))
        headers = {"Content-Encoding": "gzip", "Cache-Control": "max-age=31536000, immutable"}
        text = gzip.compress(Path(os.environ["BARE_SDK"]).read_bytes())
        sdk = Response(text, headers=headers, mimetype="text/javascript")
        app.add_url_rule("/bare-sdk.js", "sdk", lambda: sdk)
    else:
        package = import_module("flask_ssr_session")
        package.FlaskSSRSession(app, refresh_flow=flow)
        script, required = "{{ session_script() }}", package.session_required(keep_form=True)
    Middleware(app)
    counts: dict[str, Counter[str]] = defaultdict(Counter)  # by the name of the visitor

    @app.after_request
    def count(response: Response) -> Response:
        visitor = counts[request.cookies.get("visitor", "")]
        visitor[f"token {request.cookies.get('sAccessToken')}"] += 1
        if "sRefreshToken" in request.cookies:  # the browser sends it to the refresh API only
            visitor["calls"] += 1
            visitor["thefts"] += b"theft" in response.data
        return response

    def sign_in() -> str:
        user_id = f"user-{time.time_ns()}"
        create_new_session(request, "public", RecipeUserId(user_id))
        return user_id

    def show_page(number: int) -> Response:
        text = PAGE.replace("{{ script }}", script if request.endpoint == "page" else "")
        content = render_template_string(text, number=number, at=time.time() * 1000)
        return Response(content, headers={CONTENT: "yes"})

    def take_note(number: int) -> Any:
        return redirect(f"/page/{number}?{urlencode({'q': request.form['note']})}", 303)

    app.add_url_rule("/page/<int:number>", "page", required(show_page))
    app.add_url_rule("/bare/<int:number>", "bare", required(show_page))
    app.add_url_rule("/notes/<int:number>", "notes", required(take_note), methods=["POST"])
    app.add_url_rule("/counted", "counted", lambda: counts[request.cookies["visitor"]])
    app.add_url_rule("/auth", "auth", lambda: "Sign in")
    app.add_url_rule("/panel/", "home", lambda: render_template_string(script))
    app.add_url_rule("/sign-in", "sign_in", sign_in)
    return app


if __name__ == "__main__":
    number = int(sys.argv[2])  # after --port
    make_app(f"http://localhost:{number}", os.environ["FLOW"]).run("localhost", number)
