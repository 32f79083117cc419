"""The example app with forms of many kinds, and a record of each form that it received.

CSRF sets up Flask-WTF's CSRFProtect "before" or "after" flask_ssr_session.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Flask, Response, g, jsonify, render_template_string, request
from flask_wtf import CSRFProtect, FlaskForm  # type: ignore[import-untyped]
from wtforms import StringField  # type: ignore[import-untyped]

from example_app import create_app
from example_app.extensions import ssr_session
from flask_ssr_session import FlaskSSRSession, session_exempt, session_required

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

NOTE = "tests.note"

PAGE = """<!doctype html><title>{{ name }}</title>
{% if "bare" not in request.args %}{{ session_script() }}{% endif %}"""

# Everything that a form may contain and a page may carry. Some fields are named like properties of
# a form in JavaScript, or like markup of the page that carries them.
LONG = (
    PAGE
    + """<form method="post" enctype="{{ request.args.get('enctype') }}">
<input name="title">
<textarea name="lines">
</textarea>
<select name="several" multiple><option>a &amp; b<option value="">none<option>c</select>
<input type="checkbox" name="tag" value="a"><input type="checkbox" name="tag">
<input type="checkbox" name="tag" value="c"><input type="checkbox" name="unchecked">
<input type="radio" name="one" value="1"><input type="radio" name="one" value="2">
<input type="hidden" name="hidden" value="  &amp;quot; &#160;">
<input name="empty"><input name="title" value="a second one">
<input type="datetime-local" name="when"><input type="number" name="number" step="any">
<input type="color" name="colour" value="#00ff7f"><input type="range" name="range" value="30">
<input name="submit" value="1"><input name="action" value="//evil.test/"><input name="method">
<input name="elements"><input name="length"><input name="enctype" value="text/plain">
<input name="_charset_" type="hidden">
<input name="&quot;><script>window.pwned=1</script>"><input name="</form>" value="</form>">
<input name="list[0][größe 🦆]"><input name="{% raw %}{{ 7*7 }}{% endraw %}">
<input name="&amp;quot;" value="&amp;quot;&amp;#13;"><input name="+%2B&amp;=;">
<input type="file" name="none">
<input name="said" dirname="said.dir"><input name="off" disabled><input value="nameless">
<button name="go" value="now &amp; then">Send</button><button name="go" value="no">Other</button>
</form>"""
)

# Buttons that change what is sent. The responses go into a frame, so that the page stays.
BUTTONS = (
    PAGE
    + """<iframe name="answer"></iframe>
<form id="main" method="post" target="answer"><input name="text" value="x">
<input name="submit"><input name="action"><input name="method"><input name="target">
<button id="first" name="go" value="1">1</button><input name="between">
<button id="second" name="go" value="">2</button><button id="nameless" value="x">3</button>
<input id="typed" type="submit" name="typed" value="4 &amp;">
<button id="elsewhere" name="go" formaction="/forms/keeps/buttons?by=button">5</button>
<button id="multipart" name="go" formenctype="multipart/form-data">6</button>
<button id="gets" name="go" formmethod="get" formaction="/forms/open">7</button>
<button id="tab" name="go" value="8" formtarget="_blank">8</button>
<input id="image" type="image" name="spot" alt="9">
<input type="file" name="none"><input type="file" name="files" multiple>
<fieldset><button id="fenced" name="go" value="10">10</button></fieldset>
<input name="last" value="y"></form>
<button id="outside" form="main" name="go" value="11" formaction="?outside">11</button>
<form action="/forms/open" target="answer"><button id="searches" name="q">12</button></form>
<form method="get" target="answer"><input name="text" value="z">
<button id="posts" formmethod="POST" name="go" value="13">13</button></form>
<table><form method="post" target="answer"><tr><td><input name="text"><button id="misnested"
name="go" value="14">14</button></td></tr></form></table>
<form method="post" target="answer" action="http://127.0.0.1:{{ port }}/forms/open"><button
id="abroad">15</button></form>
<dialog><form method="dialog"><button id="closes" value="16">16</button></form></dialog>"""
)

SIMPLE = (
    PAGE
    + """<form method="post" action="{{ request.args.get('to', '') }}">
<input name="title"><button>Send</button></form>"""
)
WTF = PAGE + '<form method="post">{{ form.csrf_token }}{{ form.title }}<button>Send</button></form>'
PAGES = {"long": LONG, "buttons": BUTTONS, "simple": SIMPLE}

forms = Blueprint("forms", __name__, url_prefix="/forms")
guarded = Blueprint("guarded", __name__, url_prefix="/guarded")

# Every form that was posted below /forms/ or /guarded/, oldest first, as the browser sent it.
posts: list[dict[str, Any]] = []


class Note:
    """Record each POST before anything reads it, and whether it reached a view."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] == "POST" and path.startswith(("/forms/", "/guarded/")):
            body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
            environ["wsgi.input"] = BytesIO(body)
            environ[NOTE] = {
                "address": f"{path}?{environ['QUERY_STRING']}",
                "type": environ["CONTENT_TYPE"],
                "body": body.decode("latin-1"),
                "arrived": False,
            }
            posts.append(environ[NOTE])
        return self.app(environ, start_response)


class Entry(FlaskForm):  # type: ignore[misc]
    title = StringField()


def show(name: str) -> str:
    """Show the form, or a confirmation that it arrived."""
    if request.method == "GET":
        port = request.host.partition(":")[2]
        return render_template_string(PAGES[name], name=name, port=port)
    request.environ[NOTE]["arrived"] = True
    return "<!doctype html><title>Arrived</title><p data-arrived>Arrived</p>"


forms.add_url_rule(
    "/keeps/<name>", "keeps", session_required(keep_form=True)(show), methods=["GET", "POST"]
)
forms.add_url_rule("/plain/<name>", "plain", session_required(show), methods=["GET", "POST"])


@forms.route("/open", methods=["GET", "POST"])
@session_exempt
def open_to_all() -> str:
    """Accept any form without a session, and show a form with another target."""
    return render_template_string(SIMPLE, name="open")


@forms.get("/posts")
@session_exempt
def all_posts() -> Response:
    return jsonify(posts)


@forms.after_request
def allow_frames(response: Response) -> Response:
    """Let the page of buttons frame the response of another host."""
    if "SSR-Session" not in response.headers:
        response.headers["Content-Security-Policy"] = "default-src 'self'; frame-src *"
    return response


@guarded.route("/entry", methods=["GET", "POST"])
@session_required(keep_form=True)
def entry() -> str:
    form = Entry()
    if form.validate_on_submit():
        request.environ[NOTE]["arrived"] = True
        return f"<p data-arrived>{g.session.user_id}</p>"
    return render_template_string(WTF, name="entry", form=form)


def set_up_in_order(app: Flask) -> None:
    """Set flask_ssr_session up as the example app does, and Flask-WTF before or after it."""
    app.secret_key = "only for this test"
    csrf = CSRFProtect()
    csrf.exempt(forms)
    steps = [csrf.init_app, FlaskSSRSession().init_app]
    for step in steps if os.environ["CSRF"] == "before" else reversed(steps):
        step(app)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port = parser.parse_args().port
    ssr_session.init_app = set_up_in_order  # type: ignore[method-assign]
    app = create_app(site=f"http://localhost:{port}")
    app.register_blueprint(forms)
    app.register_blueprint(guarded)
    app.wsgi_app = Note(app.wsgi_app)  # type: ignore[method-assign]
    app.run(host="localhost", port=port, threaded=True)


if __name__ == "__main__":
    main()
