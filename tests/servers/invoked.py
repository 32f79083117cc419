"""An app as a function platform runs it: ``python -m tests.servers.invoked`` handles events.

Each line of its input is an event, a request as a JSON object, and each line of its output is the
response. No port is opened. The last line lists the network events of an audit hook, set before the
first import, and the remaining threads.
"""

from __future__ import annotations

import sys

network: list[str] = []


def note_network(event: str, _arguments: object) -> None:
    if event.startswith(("socket.", "urllib.", "http.client.")):
        network.append(event)


sys.addaudithook(note_network)

import json  # noqa: E402
import threading  # noqa: E402

from flask import Flask, g, render_template_string  # noqa: E402

from flask_ssr_session import FlaskSSRSession, session_required  # noqa: E402

TEMPLATE = """
{% from "refresh_page.html" import refresh_page %}
{% if needs_refresh %}{{ refresh_page() }}{% else %}Hello, {{ g.session.user_id }}{% endif %}
"""

app = Flask(__name__)
# The key set is a variable of the function's environment, like the other settings.
app.config.from_prefixed_env()
FlaskSSRSession(app, api_domain="https://api.example.com")


@app.route("/", methods=["GET", "POST"])
@session_required
def page() -> str:
    return str(g.session.user_id)


@app.get("/template")
def template() -> str:
    return render_template_string(TEMPLATE)


def main() -> None:
    client = app.test_client(use_cookies=False)
    for line in sys.stdin:
        response = client.open(base_url="https://www.example.com", **json.loads(line))
        headers = dict(response.headers)
        print(json.dumps([response.status_code, headers, response.text]))  # noqa: T201
    threads = [thread.name for thread in threading.enumerate()]
    print(json.dumps({"network": network, "threads": threads}))  # noqa: T201


if __name__ == "__main__":
    main()
