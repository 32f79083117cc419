"""Which forms, posted with an expired session, the refresh page carries.

What makes a form one that can be resubmitted, tests/sansio/test_form_replay.py says.
"""

from __future__ import annotations

import io
import json
import logging
import re
from base64 import b64encode
from collections.abc import Callable
from contextlib import nullcontext
from functools import cache, partial
from typing import Any

import pytest
from flask import Blueprint, Flask, g, jsonify, render_template, request
from flask.testing import FlaskClient
from flask.views import MethodView
from flask_wtf import CSRFProtect, FlaskForm  # type: ignore[import-untyped]
from werkzeug.test import TestResponse
from wtforms import StringField  # type: ignore[import-untyped]

from flask_ssr_session import require_session, session_optional, session_required
from flask_ssr_session.testing import expire, outage, revoke, sign_in
from tests.browser_forms import (
    BOTH,
    MULTIPART,
    URLENCODED,
    FieldList,
    encoded,
    sent_by_hidden_inputs,
)
from tests.browser_requests import ACCEPT_PAGE, PAGE
from tests.pages.elements import Elements
from tests.tables import rows
from tests.tokens import expired_token, make_token

from .apps import TEMPLATE_GUARD, add_views, make_app, requiring, with_templates
from .visitors import VISITORS, Logs, cookies, page_shown, signed_in

FORM = PAGE | {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
OLD = {"Accept": ACCEPT_PAGE}
FIELDS: FieldList = [("title", "Tea & cake"), ("tag", "a"), ("tag", "b"), ("action", "save")]
HIDDEN = {"type": "hidden"}
FIELDS_SEEN = [list(pair) for pair in FIELDS]


def form_of(response: TestResponse) -> dict[str, Any]:
    """Return the one form of a page as a browser reads it: its attributes and fields."""
    # The first thing that a browser does to a page.
    page = Elements(response.text.replace("\r\n", "\n").replace("\r", "\n"))
    (form,), fields = page.named("form"), []
    for attributes in page.named("input"):
        name, value = attributes.pop("name"), attributes.pop("value", None)
        assert attributes == ({"type": "file", "hidden": None} if value is None else HIDDEN)
        fields.append((name, value))
    assert not page.named("textarea")
    return {**form, "fields": fields}


def kept(response: TestResponse, shown: str = "refresh") -> FieldList | None:
    """Return the fields that the page would send, or None without a form."""
    assert page_shown(response) == shown
    if "<form" not in response.text:
        for text in ('type="hidden"', "Tea", "hunter2", "PNG"):
            assert text not in response.text
        return None
    form = form_of(response)
    assert form["method"] == "post"
    return sent_by_hidden_inputs(form["fields"])


def with_entries(app: Flask) -> Flask:
    """Give *app* views that take a form; some of them keep it."""
    with_templates(app, page=TEMPLATE_GUARD)

    def view(**_parts: str) -> Any:
        files = ((name, file.filename) for name, file in request.files.items(multi=True))
        return jsonify([*request.form.items(multi=True), *files])

    class Entries(MethodView):
        decorators = [session_required(keep_form=True)]  # noqa: RUF012

        async def post(self) -> Any:
            return view()

    keeping = session_required(keep_form=True)
    views = {
        "/entry": keeping(view),
        "/odd/<path:p>": keeping(view),
        "/checks": session_required(keep_form=True, check_revoked=True)(view),
        "/unread": keeping(lambda: "done"),
        "/inside": requiring(view, keep_form=True),
        "/plain": session_required(view),
        "/may": session_optional(view),
        "/page": lambda: render_template("page.html"),
    }
    add_views(app, views)
    app.add_url_rule("/class", view_func=Entries.as_view("class"))
    return app


@pytest.fixture
def app() -> Flask:
    return with_entries(make_app())


@cache
def shared_app(**settings: Any) -> Flask:
    """Return an app that no test changes: the first page of each app costs the most."""
    return with_entries(make_app(**settings))


@pytest.fixture
def client() -> FlaskClient:
    return expired_client(shared_app())


def expired_client(app: Flask) -> FlaskClient:
    client = signed_in(app)
    expire(client)
    return client


def post(
    client: FlaskClient,
    fields: FieldList = FIELDS,
    path: str = "/entry",
    content_type: str = URLENCODED,
    **options: Any,
) -> TestResponse:
    data = encoded(content_type, fields)
    return client.post(
        path, **{"data": data, "content_type": content_type, "headers": FORM} | options
    )


# --- what is carried, and that it arrives --------------------------------------------------------

TRICKY: FieldList = [
    ("title", "\"><script>alert('1')</script><!--"),
    ('na"me<b>&amp;', "&lt;&#13;&quot;"),
    ("lines", "one\r\n\r\n  three\t\r\n"),
    ("größe", "山田 👩\u200d👧 \u202e"),
    ("empty", ""),
    ("photo", None),
    *([("title", "a second one")] * 2),
    ("TITLE", "a second one"),
    ("{{ 7*7 }}", "{% raw %}{{ config }}"),
    *(("action", "delete"), ("method", "get"), ("data-ssr-session", "refresh"), ("renewed", "1")),
    ("csrf_token", "IjEi.YQ.abc"),
]


@BOTH
@rows("fields", {"usual": FIELDS, "tricky": TRICKY, "none": []})
def test_form_comes_out_as_it_went_in(app: Flask, content_type: str, fields: FieldList) -> None:
    client = expired_client(app)
    page = post(client, fields, "/entry?a=1&b=%22", content_type)
    assert page.status_code == 401
    assert page.headers["Cache-Control"] == "no-store"
    assert "form-action 'self'" in page.headers["Content-Security-Policy"]
    form, carried = form_of(page), kept(page)
    assert carried is not None
    assert (form["action"], form["accept-charset"]) == ("/entry?a=1&b=%22", "utf-8")
    assert form["enctype"] == content_type.partition(";")[0]
    sign_in(client)
    again = post(client, carried, form["action"], content_type)
    assert again.json == post(client, fields, "/entry", content_type).json
    assert len(again.json or []) == len(fields)
    # It is escaped where the app escapes nothing.
    expire(client)
    app.jinja_env.autoescape = False
    assert app.jinja_env.cache is not None
    app.jinja_env.cache.clear()
    bare = post(client, fields, content_type=content_type)
    assert kept(bare) == carried
    assert "<script>alert" not in bare.text


@BOTH
def test_each_field_is_there_once(client: FlaskClient, content_type: str, caplog: Logs) -> None:
    caplog.set_level(logging.DEBUG)
    fields = [(f"name-{n}-<i>", f"value-{n}-<b>") for n in range(20)]
    page = post(client, fields, content_type=content_type)
    assert kept(page) == fields
    for text in (text for field in fields for text in field):
        assert page.text.count(text.partition("<")[0]) == 1
        assert text not in page.text
    outside = re.sub("<input[^>]*>", "", page.text)
    for place in (outside, caplog.text, str(page.headers)):
        assert "name-" not in place
        assert "value-" not in place


def test_page_waits_for_the_visitor(client: FlaskClient) -> None:
    page = post(client).text
    assert "nothing was sent yet" in page
    assert re.search(r'<button [^>]*type="submit"[^>]*>Send them now</button>', page)
    assert re.search(r"<button [^>]*data-ssr-back>Go back</button>", page)
    # Hidden until the script says that the session is there.
    assert re.search(r'<div data-ssr-part="renewed"[^>]* hidden>', page)
    assert "autofocus" not in page
    assert "onsubmit" not in page
    assert "data-unsafe" in page
    # Without script nothing is sent, either: the only form is inside of what is hidden.
    assert page.index('data-ssr-part="renewed"') < page.index("<form")


def known(*tokens: str) -> dict[str, str]:
    """Return the header of a browser whose SDK knows its user."""
    front = b64encode(json.dumps({"uid": "user-1", "ate": 0, "up": {}}).encode()).decode()
    return {"Cookie": "; ".join([f"sAccessToken={t}" for t in tokens] + [f"sFrontToken={front}"])}


expired = VISITORS["expired"]


def two_users() -> dict[str, str]:
    return known(make_token(user_id="a"), make_token(user_id="b"))


PARTNER, SITE = {"Origin": "https://partner.example"}, {"Origin": "http://localhost"}
SAME_SITE, CROSS = {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site"}
CARRIED: dict[str, Any] = {
    # Whose it is.
    "expired": ("/entry", expired, FORM, "refresh", True),
    "invalid, but the SDK knows the user": ("/entry", lambda: known("x"), FORM, "refresh", True),
    "of two users": ("/entry", two_users, FORM, "refresh", False),
    "stranger": ("/entry", dict, FORM, "sign_in", False),
    # What the view says.
    "class-based async view": ("/class", expired, FORM, "refresh", True),
    "require_session in the view": ("/inside", expired, FORM, "refresh", True),
    "view that keeps none": ("/plain", expired, FORM, "refresh", False),
    "optional view": ("/may", expired, FORM, "refresh", False),
    "template": ("/page", expired, FORM, "refresh", False),
    # Where it came from: whoever pressed the button elsewhere would do what that site wanted.
    "own, older browser": ("/entry", expired, OLD | SITE, "refresh", True),
    "nobody says anything": ("/entry", expired, OLD, "refresh", False),
    "trusted, but another site": ("/entry", expired, FORM | SAME_SITE | PARTNER, "refresh", False),
    "another site": ("/entry", expired, FORM | CROSS, "refused", False),
    "another site, older browser": ("/entry", expired, OLD | {"Origin": "null"}, "refused", False),
}


@rows("path, make_cookies, headers, shown, is_kept", CARRIED)
@rows("insecure", {"": False, "cross-site check switched off": True})
@pytest.mark.parametrize("flow", ["inline", "redirect"])
def test_form_is_kept_if_it_is_known_whose_it_is_and_where_it_came_from(
    path: str, make_cookies: Any, headers: Any, shown: str, is_kept: bool, insecure: bool, flow: str
) -> None:
    trusted = (PARTNER["Origin"],)
    app = shared_app(trusted_origins=trusted, insecure_cross_site=insecure, refresh_flow=flow)
    client = app.test_client(use_cookies=False)
    if insecure and shown == "refused":
        shown = "refresh"
    page = post(client, path=path, headers=headers | make_cookies())
    assert kept(page, shown) == (FIELDS if is_kept else None)
    assert is_kept or shown == "refused" or "othing was sent" in page.text
    # With a session it is read.
    response = post(client, path=path, headers=headers | cookies(make_token()))
    if shown == "refused":
        assert response.status_code == 403
    else:
        assert response.text == "content" if path == "/page" else response.json == FIELDS_SEEN


def test_form_of_a_revoked_session_is_kept_and_none_in_an_outage() -> None:
    client = signed_in(shared_app())
    with outage(shared_app()):
        assert kept(post(client, path="/checks"), "outage") is None
    assert post(client, path="/checks", content_type=MULTIPART).json == FIELDS_SEEN
    revoke(client)
    assert kept(post(client, path="/checks")) == FIELDS


def test_page_says_whose_form_it_carries_without_naming_anybody(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    for user_id, mark in (("user-of-the-form", "14f2984f"), ("user-of-another", "0d6ba8e6")):
        page = post(client, headers=FORM | cookies(expired_token(user_id)))
        assert form_of(page)["data-ssr-owner"] == mark
        assert user_id not in page.text


KEEPS = partial(require_session, keep_form=True)
KEEPS_NOT = partial(require_session, keep_form=False)


HOOKS: dict[str, Any] = {
    "hook of the app": (KEEPS, None, None, True),
    "hook of the blueprint": (None, KEEPS, None, True),
    "hook of another blueprint": (None, KEEPS_NOT, KEEPS, False),
    "hook that keeps none": (require_session, None, None, False),
}


@rows("of_app, of_blueprint, of_another, is_kept", HOOKS)
@rows("reads_before", {"first": False, "behind one that read the form, as Flask-WTF's": True})
def test_hook_keeps_the_form(
    of_app: Any, of_blueprint: Any, of_another: Any, is_kept: bool, reads_before: bool
) -> None:
    app, shop, news = make_app(), Blueprint("shop", "shop"), Blueprint("news", "news")
    if reads_before:
        app.before_request(lambda: request.form.get("csrf_token"))
    for registry, hook in ((app, of_app), (shop, of_blueprint), (news, of_another)):
        if hook is not None:
            registry.before_request(hook)
    shop.add_url_rule("/", "home", lambda: "done", methods=["POST"])
    app.register_blueprint(shop)
    app.register_blueprint(news)
    client = signed_in(app)
    assert post(client, path="/").text == "done"
    expire(client)
    assert kept(post(client, path="/")) == (FIELDS if is_kept else None)


def test_view_that_keeps_its_form_keeps_it_behind_a_hook_for_the_whole_app(app: Flask) -> None:
    app.before_request(require_session)
    client = expired_client(app)
    assert kept(post(client)) == FIELDS
    assert kept(post(client, path="/plain")) is None


def test_url_of_sign_in_may_need_what_a_hook_sets() -> None:
    app = with_entries(make_app(login_url=lambda _: f"/{g.language}/in"))
    app.before_request(lambda: setattr(g, "language", "de"))
    for path, fields in (("/entry", FIELDS), ("/plain", None)):
        page = post(expired_client(app), path=path)
        assert kept(page) == fields
        assert 'href="/de/in?' in page.text


# --- the body is left alone ----------------------------------------------------------------------


class Body(io.RawIOBase):
    """A connection that ends, or fails, behind its first bytes."""

    def __init__(self, first: bytes, error: Exception | None) -> None:
        self.rest, self.error = first, error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self.rest and self.error is not None:
            raise self.error
        size = len(self.rest)
        buffer[:size], self.rest = self.rest, b""
        return size


UNTOUCHABLE = Body(b"", AssertionError("the body was read"))
CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}


UNREAD: dict[str, Any] = {
    "twin: it can be kept": ("expired", {}, "read"),
    "one byte too many": ("expired", {"CONTENT_LENGTH": "65537"}, "401 refresh"),
    "chunked, whatever the length says": ("expired", CHUNKED, "401 refresh"),
    "PUT": ("expired", {"REQUEST_METHOD": "PUT"}, "401 refresh"),
    "another site": ("expired", {"HTTP_SEC_FETCH_SITE": "cross-site"}, "403 refused"),
    "not asked for": ("expired", {"PATH_INFO": "/plain"}, "401 refresh"),
    "script": ("expired", {"HTTP_SEC_FETCH_DEST": "empty"}, "401 "),
    "active": ("active", {}, "200 "),
    "anonymous": ("anonymous", {}, "401 sign_in"),
    "outage": ("outage", {}, "503 outage"),
}


@rows("state, environ, answer", UNREAD)
def test_body_that_will_not_be_shown_is_not_read(state: str, environ: Any, answer: str) -> None:
    app = shared_app()
    headers = {name: value for name, value in FORM.items() if not name.startswith("Upgrade")}
    body = {"CONTENT_TYPE": URLENCODED, "CONTENT_LENGTH": "100", "wsgi.input": UNTOUCHABLE}
    client = expired_client(app) if state == "expired" else app.test_client()
    if state in ("active", "outage"):
        sign_in(client)
    with outage(app) if state == "outage" else app.app_context():
        if answer == "read":
            with pytest.raises(AssertionError, match="the body was read"):
                client.post("/unread", headers=headers, environ_overrides=body | environ)
            return
        response = client.post("/unread", headers=headers, environ_overrides=body | environ)
    assert f"{response.status_code} {page_shown(response)}" == answer
    assert (response.text == "done") is (state == "active")


HOOK_CONDITIONS: dict[str, Any] = {
    "an address": ({"email_verified": True}, True),
    "a validator": ({"validators": []}, True),
    "a factor": ({"factor": "totp"}, True),
    "a user": ({"user": True}, True),
    "a role": ({"role": "admin"}, False),
}


@rows("condition, is_read", HOOK_CONDITIONS)
def test_hook_reads_the_form_of_a_session_if_a_page_may_show_it(
    condition: dict[str, Any], is_read: bool
) -> None:
    app = make_app()
    app.before_request(partial(require_session, keep_form=True, **condition))
    client = signed_in(app)
    body = {"CONTENT_TYPE": URLENCODED, "CONTENT_LENGTH": "9", "wsgi.input": UNTOUCHABLE}
    with outage(app):
        assert client.post("/", headers=FORM, environ_overrides=body).status_code == 503
    error = pytest.raises(AssertionError, match="the body was read")
    with error if is_read else nullcontext():
        client.post("/", headers=FORM, environ_overrides=body)


@rows("limit, is_kept", {"smaller": (10, False), "larger": (65_536, True)})
def test_limit_of_the_app_holds(app: Flask, limit: int, is_kept: bool) -> None:
    """And what is larger is no 413 instead of the refresh page, as nothing of it was wanted yet."""
    app.config["MAX_CONTENT_LENGTH"] = limit
    response = post(expired_client(app))
    assert (response.status_code, kept(response)) == (401, FIELDS if is_kept else None)


@rows("error", {"ends": None, "reset": ConnectionResetError(), "timed out": TimeoutError()})
def test_body_that_breaks_off_is_not_kept(client: FlaskClient, error: Exception | None) -> None:
    body = Body(b"title=Tea", error)
    environ = {"CONTENT_TYPE": URLENCODED, "CONTENT_LENGTH": "20", "wsgi.input": body}
    response = client.post("/entry", headers=FORM, environ_overrides=environ)
    assert (response.status_code, kept(response)) == (401, None)


READS: dict[str, Callable[[], Any]] = {
    "form": lambda: request.form,
    "stream": lambda: request.stream.read(),
    "part of the stream": lambda: request.stream.read(5),
    "get_data": lambda: request.get_data(),
}


@BOTH
@pytest.mark.parametrize("name", READS)
def test_hook_that_reads_the_form_leaves_it_whole(app: Flask, name: str, content_type: str) -> None:
    app.before_request(lambda: str(READS[name]())[:0] or None)
    # Nobody knew before the hook that the last two want the form: one looks up the session.
    for path, end in (("/entry", expire), ("/checks", revoke), ("/inside", expire)):
        client = signed_in(app)
        end(client)
        response = post(client, path=path, content_type=content_type)
        is_whole = path == "/entry" or name.startswith("get_")
        assert response.status_code == 401
        assert kept(response) in ([FIELDS] if is_whole else [None, FIELDS]), path


@pytest.mark.parametrize("path", ["a/../b", "a%09b", "%5C%5Cevil.example%2F.."])
def test_form_is_not_kept_for_an_address_that_changes(client: FlaskClient, path: str) -> None:
    assert kept(post(client, path=f"/odd/{path}")) is None


PATHS = "a?next=//evil.example a%20b?q=%22%3E %C3%A9?%C3%BC=1 a%2Fb 100%25 a@b:c;d=e,f"


@pytest.mark.parametrize("path", [f"/odd/{path}" for path in PATHS.split()])
def test_form_goes_to_the_address_that_it_was_sent_to(app: Flask, path: str) -> None:
    seen: list[str] = []
    app.before_request(lambda: seen.append(f"{request.path}?{request.query_string!r}"))
    client = expired_client(app)
    action = form_of(post(client, path=path))["action"]
    sign_in(client)
    assert post(client, path=action).status_code == 200
    assert seen[0] == seen[1]
    expire(client)
    mounted = post(client, path=path, base_url="http://localhost/shop")
    assert form_of(mounted)["action"] == f"/shop{action}"


def test_one_request_leaves_nothing_to_the_next(client: FlaskClient) -> None:
    with client.application.app_context():  # a context that outlives its requests, as in tests
        assert kept(post(client)) == FIELDS
        assert kept(post(client, [("zebra", "1")])) == [("zebra", "1")]
        assert kept(client.get("/entry", headers=PAGE)) is None
        assert "zebra" not in post(client, path="/plain").text


# The hook of Flask-WTF reads the form, so before any view's decorator.
@rows("order", {"in the view": "", "in a hook before ours": "before", "and after ours": "after"})
def test_token_of_flask_wtf_survives_and_is_good_for_the_second_try(order: str) -> None:
    class Entry(FlaskForm):  # type: ignore[misc]
        title = StringField()

    def entry() -> Any:
        form = Entry()
        if form.validate_on_submit():
            return f"{g.session.user_id} wrote {form.title.data}"
        return jsonify(token=form.csrf_token.current_token, errors=form.errors)

    app = Flask("app")
    app.secret_key = "only for this test"
    for name, set_up in {"before": CSRFProtect, "": make_app, "after": CSRFProtect}.items():
        if name in ("", order):
            set_up(app)
    view = session_required(keep_form=True)(entry)
    app.add_url_rule("/entry", "entry", view, methods=["GET", "POST"])
    client = signed_in(app)
    token = (client.get("/entry", headers=PAGE).json or {})["token"]
    fields = [("csrf_token", token), ("title", "Tea")]
    assert post(client, fields).text == "user-1 wrote Tea"
    expire(client)
    page = post(client, fields)
    assert (page.status_code, kept(page)) == (401, fields)
    sign_in(client)
    assert post(client, fields).text == "user-1 wrote Tea"
    # The token admitted it.
    refused = post(client, [("title", "Tea")])
    assert "The CSRF token is missing." in refused.text
