"""The example app with pages that respond with 304, with one tag and one date for all visitors."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, jsonify, make_response, render_template_string, request

from example_app import create_app
from flask_ssr_session import session_exempt
from flask_ssr_session.clock import SystemClock

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# A template with needs_refresh, and one that only reads the session.
DECIDES = """{% from "refresh_page.html" import refresh_page -%}
<!doctype html><title>Page</title>{% if needs_refresh %}{{ refresh_page() }}{% else %}
<p id="whose">{{ g.session.user_id }}</p>{% endif %}"""
LOOKS = """<!doctype html><title>Page</title>
<p id="whose">{{ g.session.user_id if g.session else "everybody" }}</p>"""

# name: (template, has a tag, has a date)
PAGES = {
    "decides": (DECIDES, True, True),
    "decides-tag": (DECIDES, True, False),
    "decides-date": (DECIDES, False, True),
    "looks": (LOOKS, True, True),
    "looks-date": (LOOKS, False, True),
}


class ShiftedClock(SystemClock):
    """The real time plus a shift in seconds."""

    shift_seconds = 0.0

    def wall(self) -> float:
        return super().wall() + self.shift_seconds


class Recorder:
    """Records what a browser sent, before the app can change it, and the response.

    :ivar comes_late: the next page request is verified as of half a minute later.
    """

    def __init__(self, app: WSGIApplication, clock: ShiftedClock) -> None:
        self._app = app
        self._clock = clock
        self.comes_late = False
        self.asked: dict[str, list[dict[str, Any]]] = {}

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        note = {
            "tag": environ.get("HTTP_IF_NONE_MATCH"),
            "date": environ.get("HTTP_IF_MODIFIED_SINCE"),
        }
        self.asked.setdefault(environ["PATH_INFO"], []).append(note)

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            note["status"] = status[:3]
            return start_response(status, headers, *rest)

        if self.comes_late and environ["PATH_INFO"].startswith("/caches/"):
            self._clock.shift_seconds = 30
            self.comes_late = False
        try:
            return self._app(environ, start)
        finally:
            self._clock.shift_seconds = 0


def add_pages(app: Flask) -> None:
    clock = app.extensions["ssr_session"].clock = ShiftedClock()
    recorder = Recorder(app.wsgi_app, clock)
    app.wsgi_app = recorder  # type: ignore[method-assign]

    @app.get("/caches/<name>")
    def cached_page(name: str) -> Response:
        template, has_tag, has_date = PAGES[name]

        def with_validators(response: Response) -> Response:
            response.cache_control.no_cache = True
            if has_tag:
                response.set_etag("revision-7")
            if has_date:
                response.last_modified = datetime(2026, 1, 1, tzinfo=timezone.utc)
            response.make_conditional(request)
            return response

        # A browser that has this revision gets a 304 before anything is rendered.
        unchanged = with_validators(make_response(""))
        if unchanged.status_code == 304:
            return unchanged
        return with_validators(make_response(render_template_string(template)))

    @app.get("/come-late")
    @session_exempt
    def come_late() -> str:
        recorder.comes_late = True
        return ""

    @app.get("/asked/<name>")
    @session_exempt
    def asked(name: str) -> Response:
        return jsonify(recorder.asked.pop(f"/caches/{name}", []))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port = parser.parse_args().port
    app = create_app(site=f"http://localhost:{port}")
    add_pages(app)
    app.run(host="localhost", port=port, threaded=True)


if __name__ == "__main__":
    main()
