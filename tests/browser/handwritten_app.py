"""Pages with the signed-in user, in three ways: handwritten, decorated, and by template.

The first follows SuperTokens' guide: the server verifies the token; if that fails, a page lets the
bare browser SDK refresh, and reloads. It is the baseline for the others, and a second user of the
SDK in the same browser. BARE_SDK is the SDK's file, HOST the host name in the browser.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import jwt
from flask import Blueprint, Response, current_app, g, render_template_string, request

from example_app import create_app
from flask_ssr_session import session_exempt, session_required
from hatch_build import find_installed_node, find_packaged_node, run

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

ROOT = Path(__file__).resolve().parents[2]

# The content is in place when its script runs, by the clock that all tabs share.
CONTENT = """<!doctype html><html lang="en"><title>Content</title><link rel="icon" href="data:,">
<p data-user>{{ user }}</p><script>shownAt = performance.timeOrigin + performance.now()</script>"""

TEMPLATE = (
    '{% from "refresh_page.html" import refresh_page %}'
    "{% if needs_refresh %}<!doctype html><title>Content</title>{{ refresh_page() }}"
    "{% else %}{% set user = g.session.user_id %}" + CONTENT + "{% endif %}"
)

HANDWRITTEN = """<!doctype html><html lang="en"><title>One moment</title><p>One moment …</p>
<script src="/tabs/bare-sdk.js"></script>
<script>
supertokensWebsite.init({ apiDomain: location.origin, apiBasePath: "/auth" });
supertokensWebsite.attemptRefreshingSession()
  .then((alive) => alive ? location.reload() : location.assign("/auth"));
</script>"""

START = """<!doctype html><html lang="en"><title>Start</title><link rel="icon" href="data:,">"""

FRAMES = """<!doctype html><html lang="en"><title>Frames</title><link rel="icon" href="data:,">
{{ session_script() }}<p id="out"></p>
<iframe src="/tabs/decorated?1"></iframe><iframe src="/tabs/template?2"></iframe>
<script>fetch("/tabs/decorated?3").then((answer) => answer.text()).then((text) => {
  document.getElementById("out").innerHTML = text;
});</script>"""

tabs = Blueprint("tabs", __name__, url_prefix="/tabs")

# Clear while every refresh is held.
_answers = threading.Event()
_answers.set()


def build_bare_sdk(folder: Path) -> Path:
    """Bundle the browser SDK alone, as the package's own is bundled; returns the file.

    :param folder: does not exist yet.
    """
    tools = find_installed_node() or find_packaged_node()
    assert tools is not None, "the browser tests need npm"
    shutil.copytree(ROOT / "frontend", folder)
    run(
        [*tools.npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder, tools.environment
    )
    options = ["--bundle", "--minify", "--format=iife", "--target=es2017"]
    options += ["--global-name=supertokensWebsite", "--outfile=bare-sdk.js"]
    esbuild = [*tools.node, "node_modules/esbuild/bin/esbuild"]
    entry = "node_modules/supertokens-website/index.js"
    run([*esbuild, entry, *options], folder, tools.environment)
    return folder / "bare-sdk.js"


def open_tabs(context: BrowserContext, start: str, path: str, count: int) -> list[Page]:
    """Open tabs that have loaded *start*, and request *path* when they reload.

    :param start: URL of the page that shows nothing.
    """
    tabs = []
    for _ in range(count):
        tab = context.new_page()
        tab.goto(start)
        tab.evaluate("path => history.replaceState(null, '', path)", path)
        tabs.append(tab)
    return tabs


def reload_at_once(tabs: list[Page]) -> None:
    """Reload all *tabs* at the same moment, which each stores as ``sessionStorage.reloadedAt``."""
    moment = time.time() * 1000 + 100 + 20 * len(tabs)
    for tab in tabs:
        tab.evaluate(
            """moment => { setTimeout(() => {
                sessionStorage.reloadedAt = performance.timeOrigin + performance.now();
                location.reload();
            }, moment - Date.now()) }""",
            moment,
        )


@lru_cache
def _signing_keys() -> jwt.PyJWKClient:
    return jwt.PyJWKClient(current_app.config["CORE_URI"] + "/.well-known/jwks.json")


@tabs.get("/handwritten")
@session_exempt
def handwritten() -> str:
    """Verify and refresh by hand."""
    raw_token = request.cookies.get("sAccessToken", "")
    try:
        key = _signing_keys().get_signing_key_from_jwt(raw_token)
        claims = jwt.decode(raw_token, key, algorithms=["RS256"])
    except jwt.PyJWTError:
        return HANDWRITTEN
    return render_template_string(CONTENT, user=claims["sub"])


@tabs.get("/decorated")
@session_required
def decorated() -> str:
    return render_template_string(CONTENT, user=g.session.user_id)


@tabs.get("/template")
def template() -> str:
    return render_template_string(TEMPLATE)


@tabs.get("/start")
@session_exempt
def start() -> str:
    """Show an empty page, where a tab waits before it reloads at another address."""
    return START


@tabs.get("/<any(hold, 'let-go'):what>")
@session_exempt
def hold(what: str) -> str:
    """Hold every refresh from now on, or release them all."""
    if what == "hold":
        _answers.clear()
    else:
        _answers.set()
    return ""


def wait_before_refresh() -> None:
    if request.path == "/auth/session/refresh":
        _answers.wait(60)


@tabs.get("/frames")
@session_exempt
def frames() -> str:
    """Request protected pages in two frames, and by a fetch that the SDK intercepts."""
    return render_template_string(FRAMES)


@tabs.get("/bare-sdk.js")
@session_exempt
def bare_sdk() -> Response:
    """Send the SDK like the package's own script: compressed, and cacheable for ever."""
    response = Response(_compressed_sdk(), mimetype="text/javascript")
    response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


@lru_cache
def _compressed_sdk() -> bytes:
    return gzip.compress(Path(os.environ["BARE_SDK"]).read_bytes())


@tabs.after_request
def allow_own_scripts(response: Response) -> Response:
    """Allow the inline scripts of these pages, which the example's policy forbids."""
    # The package's own whole pages have a policy already, and keep it.
    policy = "default-src 'self' 'unsafe-inline'; img-src data:"
    response.headers.setdefault("Content-Security-Policy", policy)
    return response


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port = parser.parse_args().port
    app = create_app(site=f"http://{os.environ.get('HOST', 'localhost')}:{port}")
    app.register_blueprint(tabs)
    # Run before the SDK's hook, which responds to the API's requests.
    app.before_request_funcs[None].insert(0, wait_before_refresh)
    app.run(host="localhost", port=port, threaded=True)


if __name__ == "__main__":
    main()
