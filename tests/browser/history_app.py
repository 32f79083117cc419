"""The example app with pages to go back to: with and without our script, cacheable or not."""

from __future__ import annotations

import argparse
from itertools import count

from flask import Flask, Response, make_response, render_template_string

from example_app import create_app
from flask_ssr_session import session_required

# The number counts the requests; the style is like an app's own.
PAGE = """<!doctype html><title>Page</title>
{%- if with_script %}{{ session_script() }}{% endif %}
<link rel="stylesheet" href="/history.css">
<p id="whose">{{ g.session.user_id }}</p><p id="asked">{{ number }}</p>
<form method="post"><input id="field" name="field"><button>Send</button></form>"""

# name: (with our script, Cache-Control of the view)
PAGES = {
    "with-script": (True, None),
    "without-script": (False, None),
    "for-an-hour": (False, "max-age=3600"),
    "asked-each-time": (False, "no-cache"),
    "not-stored": (False, "no-store"),
}


def add_pages(app: Flask) -> None:
    numbers = count(1)

    @app.route("/pages/<name>", methods=["GET", "POST"])
    @session_required
    def history_page(name: str) -> Response:
        with_script, cache_control = PAGES[name]
        text = render_template_string(PAGE, with_script=with_script, number=next(numbers))
        response = make_response(text)
        if cache_control is not None:
            response.headers["Cache-Control"] = cache_control
        return response

    @app.route("/asks-the-core", methods=["GET", "POST"])
    @session_required(check_revoked=True)
    def asking_page() -> str:
        return render_template_string(PAGE, with_script=False, number=next(numbers))

    @app.get("/history.css")
    def style() -> Response:
        return Response("html { display: flow-root }", mimetype="text/css")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port = parser.parse_args().port
    app = create_app(site=f"http://localhost:{port}")
    add_pages(app)
    app.run(host="localhost", port=port, threaded=True)


if __name__ == "__main__":
    main()
