"""An app as a function platform runs it: ``python -m tests.servers.invoked`` handles events.

Each line of its input is an event: a request as a JSON object, in the format of the large
platforms. Each line of its output is the response. No port is opened. The last line lists the
network events of an audit hook, set before the first import, and the remaining threads.
"""

from __future__ import annotations

import sys
from typing import Any

network: list[str] = []


def note_network(event: str, _arguments: object) -> None:
    if event.startswith(("socket.", "urllib.", "http.client.")):
        network.append(event)


sys.addaudithook(note_network)

import io  # noqa: E402
import json  # noqa: E402
import threading  # noqa: E402
from base64 import b64decode  # noqa: E402
from urllib.parse import unquote_to_bytes  # noqa: E402

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


def invoke(event: dict[str, Any]) -> dict[str, Any]:
    """Call the app for one event, and return its response."""
    body = b64decode(event["body"]) if event.get("isBase64Encoded") else event["body"].encode()
    environ = {
        "REQUEST_METHOD": event["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(event["path"]).decode("latin-1"),
        "QUERY_STRING": event["query"],
        "SERVER_NAME": "www.example.com",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_COOKIE": "; ".join(event["cookies"]),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in event["headers"].items():
        environ[f"HTTP_{name.upper().replace('-', '_')}"] = value
    answer: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> Any:
        answer.update(status=int(status[:3]), headers=dict(headers))

    result = app(environ, start_response)
    answer["body"] = b"".join(result).decode()
    if hasattr(result, "close"):
        result.close()
    return answer


def main() -> None:
    for line in sys.stdin:
        print(json.dumps(invoke(json.loads(line))))  # noqa: T201
    threads = [thread.name for thread in threading.enumerate()]
    print(json.dumps({"network": network, "threads": threads}))  # noqa: T201


if __name__ == "__main__":
    main()
