"""The example app with views for every kind of request, and a record of each request.

LIBRARIES is the folder of htmx and Turbo, HOST the host name in the browser.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from pathlib import Path

from flask import Blueprint, Response, g, jsonify, render_template, request, send_from_directory

from example_app import create_app
from flask_ssr_session import session_exempt, session_required
from flask_ssr_session.sansio.request_kind import kind_of_request

HERE = Path(__file__).parent

kinds = Blueprint("kinds", __name__, url_prefix="/kinds", template_folder=HERE)

# The requests of each run by name, and the forms that reached a view, oldest first.
noted: defaultdict[str, dict[str, str]] = defaultdict(dict)
received: list[str] = []


@kinds.get("/<name>")
@session_required
def page(name: str) -> str:
    return render_template(f"kinds/{name}.html")


@kinds.get("/open/<name>")
@session_exempt
def open_page(name: str) -> str:
    """Show the same page to every visitor."""
    return render_template(f"kinds/{name}.html")


@kinds.route("/fragment", methods=["GET", "POST", "PUT"])
@session_required
def fragment() -> str:
    """Return a fragment of a page, inside a Turbo frame if one requests it."""
    if "note" in request.form:
        received.append(request.form["note"])
    return render_template("kinds/fragment.html", note=request.form.get("note", ""))


@kinds.post("/sent")
@session_required
def sent() -> tuple[str, int, dict[str, str]]:
    """Accept a form as Turbo requires it: redirect to another page."""
    received.append(request.form["note"])
    return "", 303, {"Location": "/kinds/plain?sent"}


@kinds.route("/handwritten", methods=["GET", "POST"])
def handwritten() -> str:
    """Refresh and reload as a handwritten template does."""
    if g.session is None:
        return render_template("kinds/handwritten.html")
    received.append(request.form.get("note", ""))
    return render_template("kinds/plain.html")


@kinds.route("/socket", websocket=True)
@session_required
def socket() -> str:
    """Send a message that the session was found; an app would go on from here."""
    return f"socket of {g.session.user_id}"


@kinds.get("/download")
@session_required
def download() -> Response:
    return Response(
        f"file of {g.session.user_id}",
        headers={"Content-Disposition": "attachment; filename=file.txt"},
        mimetype="text/plain",
    )


@kinds.route("/note/<run>/<name>", methods=["GET", "POST"])
@kinds.route("/note/<run>/<name>", websocket=True)
@session_exempt
def note(run: str, name: str) -> tuple[str, int]:
    """Record the kind of a request. The browser stays on its page, because it gets no content."""
    noted[run][name] = kind_of_request(request.headers.get).value
    return "", 204


@kinds.get("/state")
@session_exempt
def state() -> Response:
    return jsonify(noted=noted, received=received)


@kinds.get("/worker/<name>.js")
@session_exempt
def worker(name: str) -> Response:
    response = send_from_directory(HERE / "kinds", f"{name}.js")
    response.headers["Service-Worker-Allowed"] = "/kinds/"
    return response


@kinds.get("/library/<path:name>")
@session_exempt
def library(name: str) -> Response:
    return send_from_directory(os.environ["LIBRARIES"], name)


@kinds.after_request
def allow_scripts_in_pages(response: Response) -> Response:
    if response.status_code == 200 and "SSR-Session" not in response.headers:
        response.headers["Content-Security-Policy"] = (
            "default-src 'self' 'unsafe-inline' 'unsafe-eval' data:"
        )
    return response


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port = parser.parse_args().port
    app = create_app(site=f"http://{os.environ.get('HOST', 'localhost')}:{port}")
    app.register_blueprint(kinds)
    app.run(host="localhost", port=port, threaded=True)


if __name__ == "__main__":
    main()
