"""The example app with views for every kind of request, and a note of what each request was.

LIBRARIES names the folder of htmx and Turbo, HOST the name by which the browser knows this machine.
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

# What was asked for in which run by which name, and which forms reached a view, oldest first.
noted: defaultdict[str, dict[str, str]] = defaultdict(dict)
received: list[str] = []


@kinds.get("/<name>")
@session_required
def page(name: str) -> str:
    return render_template(f"kinds/{name}.html")


@kinds.get("/open/<name>")
@session_exempt
def open_page(name: str) -> str:
    """Show the same page to anybody, whatever the session is."""
    return render_template(f"kinds/{name}.html")


@kinds.route("/fragment", methods=["GET", "POST", "PUT"])
@session_required
def fragment() -> str:
    """Answer with a piece of a page, inside a frame of Turbo's where one asks."""
    if "note" in request.form:
        received.append(request.form["note"])
    return render_template("kinds/fragment.html", note=request.form.get("note", ""))


@kinds.post("/sent")
@session_required
def sent() -> tuple[str, int, dict[str, str]]:
    """Take a form as Turbo wants it: what comes next is another page."""
    received.append(request.form["note"])
    return "", 303, {"Location": "/kinds/plain?sent"}


@kinds.route("/handwritten", methods=["GET", "POST"])
def handwritten() -> str:
    """Do what a template by hand does: refresh, then reload."""
    if g.session is None:
        return render_template("kinds/handwritten.html")
    received.append(request.form.get("note", ""))
    return render_template("kinds/plain.html")


@kinds.route("/socket", websocket=True)
@session_required
def socket() -> str:
    """Say that the session was found; an app would talk on from here."""
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
    """Note what a request is taken for. A page that is sent no content stays where it is."""
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
