"""The app that real servers run in these tests, and a function platform by its main().

:func:`main` handles events: each line of its input is a request as a JSON object, and each line of
its output the response. No port is opened. The last line lists the network events of an audit hook,
set before the first import of the package, and the remaining threads.
"""

from __future__ import annotations

import sys
from collections import Counter

network: Counter[str] = Counter()


def note_network(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith(("socket.", "urllib.", "http.client.")):
        # A closed port cannot count the connections to it.
        network[f"{event} {arguments[1]}" if event == "socket.connect" else event] += 1


sys.addaudithook(note_network)

import asyncio  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import threading  # noqa: E402
from urllib.parse import urlsplit  # noqa: E402

from flask import Flask, g, render_template_string  # noqa: E402

from flask_ssr_session import FlaskSSRSession, session_required  # noqa: E402
from flask_ssr_session.app_state import EXTENSION_NAME  # noqa: E402

from .support import RunningClock  # noqa: E402

TEMPLATE = """
{% from "refresh_page.html" import refresh_page %}
{% if needs_refresh %}{{ refresh_page() }}{% else %}Hello, {{ g.session.user_id }}{% endif %}
"""

app = Flask(__name__)
# On a platform, the settings are variables of the environment.
app.config.from_prefixed_env()
JWKS_URI = os.environ.get("JWKS_URI")
FlaskSSRSession(app, api_domain="https://api.example.com", jwks_uri=JWKS_URI)
clock = app.extensions[EXTENSION_NAME].clock = RunningClock()


@app.route("/", methods=["GET", "POST"])
@session_required
def page() -> str:
    return f"{os.getpid()} {g.session.user_id}"


@app.route("/template")
def template() -> str:
    return render_template_string(TEMPLATE)


@app.route("/async")
@session_required
async def async_page() -> str:
    before = g.session
    await asyncio.sleep(0)
    assert g.session is before
    return f"{os.getpid()} {g.session.user_id}"


@app.route("/advance/<int:seconds>")
def advance(seconds: int) -> str:
    clock.advance(seconds)
    return ""


@app.route("/connects")
def count_connects() -> str:
    port = urlsplit(JWKS_URI or "").port
    return str(network[f"socket.connect {('127.0.0.1', port)}"])


def main() -> None:
    client = app.test_client(use_cookies=False)
    for line in sys.stdin:
        response = client.open(base_url="https://www.example.com", **json.loads(line))
        headers = dict(response.headers)
        print(json.dumps([response.status_code, headers, response.text]))  # noqa: T201
    threads = [thread.name for thread in threading.enumerate()]
    print(json.dumps({"network": [*network], "threads": threads}))  # noqa: T201


if __name__ == "__main__":
    main()
