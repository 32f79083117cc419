"""Which forms, posted with an expired session, the refresh page carries."""

from __future__ import annotations

import io
import json
import logging
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from html.parser import HTMLParser
from typing import Any

import pytest
from flask import Blueprint, Flask, g, jsonify, render_template, request
from flask.testing import FlaskClient
from flask.views import MethodView
from flask_wtf import CSRFProtect, FlaskForm  # type: ignore[import-untyped]
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import TestResponse
from wtforms import StringField  # type: ignore[import-untyped]

from flask_ssr_session import require_session, session_optional, session_required
from flask_ssr_session.testing import expire, outage, revoke, sign_in
from tests.browser_forms import (
    MULTIPART,
    URLENCODED,
    multipart,
    multipart_file,
    sent_by_hidden_inputs,
    urlencoded,
)
from tests.browser_requests import ACCEPT_PAGE, FETCH, PAGE
from tests.tokens import expired_token, make_token

from .conftest import TEMPLATE_GUARD, cookies, make_app, page_shown, with_templates

Fields = Sequence[tuple[str, "str | None"]]

FORM = PAGE | {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
FIELDS: Fields = [("title", "Tea & cake"), ("tag", "a"), ("tag", "b"), ("action", "save")]
ENCODERS = {URLENCODED: urlencoded, MULTIPART: multipart}
BOTH = pytest.mark.parametrize("content_type", ENCODERS, ids=["urlencoded", "multipart"])


# --- reading the page as a browser does ----------------------------------------------------------


@dataclass
class Form:
    attributes: dict[str, str | None]
    fields: list[tuple[str, str | None]] = field(default_factory=list)


class Page(HTMLParser):
    """The forms of a page, and every text and attribute outside of them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.outside: list[str] = []
        self._open: Form | None = None
        # The first thing that a browser does to a page.
        self.feed(text.replace("\r\n", "\n").replace("\r", "\n"))
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form":
            assert self._open is None
            self._open = Form(attributes)
            self.forms.append(self._open)
        elif tag == "input":
            assert self._open is not None
            name, value = attributes["name"], attributes.get("value")
            assert name is not None
            if value is None:
                assert attributes == {"type": "file", "name": name, "hidden": None}
            else:
                assert attributes == {"type": "hidden", "name": name, "value": value}
            self._open.fields.append((name, value))
        else:
            assert tag != "textarea"
            self.outside += [f"{name}={value}" for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None

    def handle_data(self, data: str) -> None:
        self.outside.append(data)


def kept(response: TestResponse) -> Fields | None:
    """Return the fields that the page would send, or None without a form."""
    page = Page(response.text)
    if not page.forms:
        assert 'type="hidden"' not in response.text
        return None
    (form,) = page.forms
    assert form.attributes["method"] == "post"
    return sent_by_hidden_inputs(form.fields)


def unread() -> Any:
    """Return a request body that fails the test when it is touched."""

    class Untouchable(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _buffer: Any) -> int:
            raise AssertionError("the body was read")

        def read(self, _size: int = -1) -> bytes:
            raise AssertionError("the body was read")

    return Untouchable()


# --- the app -------------------------------------------------------------------------------------


def with_entries(app: Flask) -> Flask:
    """Give *app* views that take a form; the first one keeps it."""
    with_templates(app, page=TEMPLATE_GUARD)

    def view(**_parts: str) -> Any:
        files = ((name, file.filename) for name, file in request.files.items(multi=True))
        return jsonify([*request.form.items(multi=True), *files])

    keeping = session_required(keep_form=True)
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    app.add_url_rule("/entry", "entry", keeping(lambda: view()), methods=methods)
    app.add_url_rule("/odd/<path:p>", "odd", keeping(lambda p: view(p=p)), methods=methods)
    app.add_url_rule("/plain", "plain", session_required(lambda: view()), methods=methods)
    app.add_url_rule("/may", "may", session_optional(lambda: view()), methods=methods)
    app.add_url_rule("/page", "page", lambda: render_template("page.html"), methods=methods)
    return app


@pytest.fixture
def app() -> Flask:
    return with_entries(make_app())


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client whose token has expired."""
    client = app.test_client()
    sign_in(client)
    expire(client)
    return client


def post(
    client: FlaskClient,
    fields: Fields | None = None,
    path: str = "/entry",
    content_type: str = URLENCODED,
    headers: dict[str, str] = FORM,
    **options: Any,
) -> TestResponse:
    data = ENCODERS[content_type](FIELDS if fields is None else fields)
    options = {"data": data, "content_type": content_type, "headers": headers} | options
    return client.post(path, **options)


# --- what is carried, and that it arrives --------------------------------------------------------

TRICKY: Fields = [
    ("title", "\"><script>alert('1')</script><!--"),
    ('na"me<b>&amp;', "&lt;&#13;&quot;"),
    ("lines", "one\r\n\r\n  three\t\r\n"),
    ("größe", "山田 👩\u200d👧 \u202e"),
    ("empty", ""),
    ("photo", None),
    ("title", "a second one"),
    ("title", "a second one"),
    ("TITLE", "a second one"),
    ("{{ 7*7 }}", "{% raw %}{{ config }}"),
    ("action", "delete"),
    ("method", "get"),
    ("data-ssr-session", "refresh"),
    ("renewed", "1"),
    ("csrf_token", "IjEi.YQ.abc"),
]


@BOTH
@pytest.mark.parametrize("fields", [FIELDS, TRICKY, []], ids=["usual", "tricky", "none"])
def test_form_comes_out_of_the_page_as_it_went_in(
    client: FlaskClient, content_type: str, fields: Fields
) -> None:
    page = post(client, fields, "/entry?a=1&b=%22", content_type)

    assert (page.status_code, page_shown(page)) == (401, "refresh")
    assert page.headers["Cache-Control"] == "no-store"
    assert "form-action 'self'" in page.headers["Content-Security-Policy"]
    (form,) = Page(page.text).forms
    assert form.attributes["action"] == "/entry?a=1&b=%22"
    assert form.attributes["enctype"] == content_type.partition(";")[0]
    assert form.attributes["accept-charset"] == "utf-8"
    sign_in(client)
    again = post(client, kept(page), str(form.attributes["action"]), content_type)
    once = post(client, fields, "/entry", content_type)
    assert again.json == once.json
    assert len(again.json or []) == len(fields)


@BOTH
def test_form_is_escaped_where_the_app_escapes_nothing(
    app: Flask, client: FlaskClient, content_type: str
) -> None:
    escaped = post(client, TRICKY, content_type=content_type)
    app.jinja_env.autoescape = False
    assert app.jinja_env.cache is not None
    app.jinja_env.cache.clear()
    bare = post(client, TRICKY, content_type=content_type)
    assert kept(bare) == kept(escaped)
    assert "<script>alert" not in bare.text


@BOTH
def test_every_field_is_in_the_page_once_and_nowhere_else(
    client: FlaskClient, content_type: str
) -> None:
    fields = [(f"name-{n}-<i>", f"value-{n}-<b>") for n in range(20)]
    page = post(client, fields, content_type=content_type)
    assert kept(page) == fields
    for name, value in fields:
        for text in (name, value):
            assert page.text.count(text.partition("<")[0]) == 1
            assert text not in page.text
    outside = "\n".join(Page(page.text).outside)
    assert "name-" not in outside
    assert "value-" not in outside


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


def test_form_reaches_neither_log_nor_header(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    page = post(client, [("diary", "dear-diary")])
    assert kept(page) == [("diary", "dear-diary")]
    assert "diary" not in caplog.text
    assert "diary" not in str(page.headers)


def with_front_token(*tokens: str, user_id: object = "user-1") -> dict[str, str]:
    """Return the header of a browser whose SDK knows this user."""
    front = b64encode(json.dumps({"uid": user_id, "ate": 0, "up": {}}).encode()).decode()
    pairs = [f"sAccessToken={token}" for token in tokens]
    return {"Cookie": "; ".join([*pairs, f"sFrontToken={front}"])}


@pytest.mark.parametrize(
    ("make_cookies", "is_kept"),
    [
        pytest.param(lambda: cookies(expired_token()), True, id="expired"),
        pytest.param(lambda: with_front_token("junk"), True, id="invalid"),
        pytest.param(lambda: cookies("junk"), False, id="invalid, and the SDK knows no user"),
        pytest.param(with_front_token, True, id="token missing"),
        pytest.param(cookies, False, id="token missing, and the SDK knows no user"),
        pytest.param(
            lambda: cookies(*(make_token(issued_at=t) for t in (1.7e9, 1.7e9 + 1))),
            True,
            id="two tokens of one user",
        ),
        pytest.param(
            lambda: with_front_token(make_token(user_id="a"), make_token(user_id="b")),
            False,
            id="duplicate",
        ),
    ],
)
@pytest.mark.parametrize("flow", ["inline", "redirect"])
def test_form_is_kept_whatever_is_refreshed_if_it_is_known_whose_it_is(
    make_cookies: Callable[[], dict[str, str]], is_kept: bool, flow: str
) -> None:
    client = with_entries(make_app(refresh_flow=flow)).test_client(use_cookies=False)
    page = post(client, headers=FORM | make_cookies())
    assert page_shown(page) == "refresh"
    assert kept(page) == (FIELDS if is_kept else None)
    assert is_kept or "Please go back, then send your entries again" in page.text


def test_page_says_whose_form_it_carries_without_naming_anybody(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    marks = {}
    for user_id in ("user-of-the-form", "user-of-another"):
        headers = FORM | cookies(expired_token(user_id))
        page = post(client, headers=headers)
        (form,) = Page(page.text).forms
        marks[user_id] = form.attributes["data-ssr-owner"]
        assert user_id not in page.text
    assert marks == {"user-of-the-form": "14f2984f", "user-of-another": "0d6ba8e6"}


def test_form_of_a_revoked_session_is_kept(app: Flask) -> None:
    view = session_required(keep_form=True, check_revoked=True)(lambda: "done")
    app.add_url_rule("/checks", "checks", view, methods=["POST"])
    client = app.test_client()
    sign_in(client)
    assert post(client, path="/checks").text == "done"
    revoke(client)
    assert kept(post(client, path="/checks")) == FIELDS


def test_class_based_and_async_views_keep_their_forms(app: Flask) -> None:
    class Entries(MethodView):
        decorators = [session_required(keep_form=True)]  # noqa: RUF012

        async def post(self) -> str:
            return str(request.form["title"])

    app.add_url_rule("/class", view_func=Entries.as_view("class"))
    client = app.test_client()
    sign_in(client)
    assert post(client, path="/class").text == "Tea & cake"
    expire(client)
    assert kept(post(client, path="/class")) == FIELDS


@pytest.mark.parametrize("where", ["app", "blueprint", "view"])
def test_require_session_keeps_forms_too(where: str) -> None:
    app = make_app()
    shop = Blueprint("shop", "shop")
    if where != "view":
        registry: Any = app if where == "app" else shop
        registry.before_request(partial(require_session, keep_form=True))

    @shop.post("/")
    def home() -> str:
        if where == "view":
            require_session(keep_form=True)
        return "done"

    app.register_blueprint(shop)
    client = app.test_client()
    sign_in(client)
    assert post(client, path="/").text == "done"
    expire(client)
    assert kept(post(client, path="/")) == FIELDS


@pytest.mark.parametrize("where", ["app", "blueprint"])
def test_hook_keeps_forms_that_a_hook_before_it_has_read(where: str) -> None:
    """As Flask-WTF's does, which guards the whole app before any blueprint is asked."""
    app = make_app()
    app.before_request(lambda: request.form.get("csrf_token"))
    shop = Blueprint("shop", "shop")
    registry: Any = app if where == "app" else shop
    registry.before_request(partial(require_session, keep_form=True))
    shop.add_url_rule("/", "home", lambda: "done", methods=["POST"])
    app.register_blueprint(shop)
    client = app.test_client()
    sign_in(client)
    expire(client)
    assert kept(post(client, path="/")) == FIELDS


def test_hook_of_another_blueprint_keeps_nothing() -> None:
    app = make_app()
    shop, news = Blueprint("shop", "shop"), Blueprint("news", "news")
    shop.before_request(partial(require_session, keep_form=True))
    news.before_request(partial(require_session, keep_form=False))
    news.add_url_rule("/", "home", lambda: "done", methods=["POST"])
    app.register_blueprint(shop)
    app.register_blueprint(news)
    client = app.test_client()
    sign_in(client)
    expire(client)
    page = post(client, path="/")
    assert page_shown(page) == "refresh"
    assert kept(page) is None


# --- what is not ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/plain", "/may", "/page"])
def test_nothing_is_kept_unless_the_view_says_so(client: FlaskClient, path: str) -> None:
    response = post(client, path=path)
    assert page_shown(response) == "refresh"
    assert kept(response) is None
    assert "Tea" not in response.text
    assert "Nothing was sent" in response.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_no_other_method_is_kept(client: FlaskClient, method: str) -> None:
    response = client.open(
        "/entry", method=method, data=urlencoded(FIELDS), content_type=URLENCODED, headers=FORM
    )
    assert page_shown(response) == "refresh"
    assert kept(response) is None
    assert "Tea" not in response.text


def test_page_that_is_asked_for_has_no_form(client: FlaskClient) -> None:
    response = client.get("/entry", data=urlencoded(FIELDS), content_type=URLENCODED, headers=FORM)
    assert page_shown(response) == "refresh"
    assert "<form" not in response.text
    assert "Tea" not in response.text


@pytest.mark.parametrize(
    ("headers", "is_kept"),
    [
        pytest.param(FORM, True, id="the browser says so"),
        pytest.param(
            PAGE | {"Sec-Fetch-Site": "same-origin"}, True, id="the browser says so, no Origin"
        ),
        pytest.param(
            FORM | {"Origin": "null"}, True, id="the browser says so, Referrer-Policy no-referrer"
        ),
        pytest.param(
            {"Accept": ACCEPT_PAGE, "Origin": "http://localhost"}, True, id="older browser"
        ),
        pytest.param({"Accept": ACCEPT_PAGE}, False, id="nobody says anything"),
        pytest.param(FORM | {"Sec-Fetch-Site": "none"}, False, id="typed"),
        pytest.param(
            FORM | {"Sec-Fetch-Site": "same-site", "Origin": "https://partner.example"},
            False,
            id="trusted, but another site",
        ),
        pytest.param(
            {"Accept": ACCEPT_PAGE, "Origin": "https://partner.example"},
            False,
            id="trusted, older browser",
        ),
    ],
)
def test_only_what_is_proven_to_come_from_this_site_is_kept(
    headers: dict[str, str], is_kept: bool
) -> None:
    app = with_entries(make_app(trusted_origins=["https://partner.example"]))
    client = app.test_client()
    sign_in(client)
    assert post(client, headers=headers).status_code == 200  # none of them is rejected
    expire(client)
    response = post(client, headers=headers)
    assert page_shown(response) == "refresh"
    assert (kept(response) == FIELDS) is is_kept
    assert ("Tea" in response.text) is is_kept


@pytest.mark.parametrize("insecure", [False, True], ids=["refused", "check switched off"])
@pytest.mark.parametrize(
    "headers",
    [
        FORM | {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        FORM | {"Sec-Fetch-Site": "same-site", "Origin": "http://blog.localhost"},
        FORM | {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Accept": ACCEPT_PAGE, "Origin": "https://evil.example"},
        {"Accept": ACCEPT_PAGE, "Origin": "null"},
    ],
    ids=["another site", "sibling", "another site that names ours", "older browser", "null"],
)
def test_form_of_another_site_is_never_kept(headers: dict[str, str], insecure: bool) -> None:
    """Whoever pressed the button would do what the other site wanted."""
    client = with_entries(make_app(insecure_cross_site=insecure)).test_client()
    sign_in(client)
    expire(client)
    response = post(client, headers=headers)
    assert page_shown(response) == ("refresh" if insecure else "refused")
    assert kept(response) is None
    assert "Tea" not in response.text


def test_nothing_is_kept_of_strangers_and_in_outages(app: Flask, client: FlaskClient) -> None:
    stranger = post(app.test_client())
    sign_in(client)
    with outage(app):
        unavailable = post(client)
    for response, part in ((stranger, "sign_in"), (unavailable, "outage")):
        assert page_shown(response) == part
        assert kept(response) is None
        assert "Tea" not in response.text
        assert "Nothing was sent" in response.text or "nothing was sent" in response.text


def test_script_gets_no_form(client: FlaskClient) -> None:
    response = post(client, headers=FETCH | {"Origin": "http://localhost"})
    assert response.json == {"message": "try refresh token"}


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (URLENCODED, urlencoded([*FIELDS, ("password", "1234")])),
        (URLENCODED, urlencoded([("card_number", "1234"), *FIELDS])),
        (MULTIPART, multipart([*FIELDS, ("one_token", "1234")])),
        (MULTIPART, multipart_file("photo", "a.png", b"\x89PNG")),
        (MULTIPART, multipart(FIELDS)[:-8]),
        (MULTIPART, multipart([("x", "1")]).replace(b'; name="x"', b"")),
        ("multipart/form-data; boundary=x", multipart([("a", "")] * 1001, "x")),
        ("multipart/form-data", multipart(FIELDS)),
        (URLENCODED, b"title=%E4"),
        (URLENCODED, urlencoded([("a", "")] * 1001)),
        ("text/plain", b"title=Tea\r\n"),
        ("application/json", b'{"title":"Tea"}'),
        ("", b"title=Tea"),
    ],
    ids=[
        *("password", "card", "token", "file", "broken multipart", "no name"),
        *("1001 parts", "no boundary", "Latin-1", "1001 fields", "plain text", "JSON", "untyped"),
    ],
)
def test_form_is_kept_as_a_whole_or_not_at_all(
    client: FlaskClient, content_type: str, body: bytes
) -> None:
    response = client.post("/entry", data=body, content_type=content_type, headers=FORM)
    assert (response.status_code, page_shown(response)) == (401, "refresh")
    assert kept(response) is None
    for text in ("Tea", "1234", "PNG"):
        assert text not in response.text
    assert "nothing was sent. Please go back" in response.text


# --- the body is left alone ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({"CONTENT_LENGTH": "65537"}, id="one byte too many"),
        pytest.param({"CONTENT_LENGTH": str(2 * 1024**3)}, id="two gigabytes"),
        pytest.param({"CONTENT_LENGTH": "9" * 30}, id="more than there is"),
        pytest.param({"CONTENT_LENGTH": ""}, id="no length"),
        pytest.param({"CONTENT_LENGTH": "many"}, id="no number"),
        pytest.param(
            {"CONTENT_LENGTH": "", "HTTP_TRANSFER_ENCODING": "chunked"}, id="chunked, no length"
        ),
        pytest.param(
            {
                "CONTENT_LENGTH": "100",
                "HTTP_TRANSFER_ENCODING": "chunked",
                "wsgi.input_terminated": True,
            },
            id="chunked, whatever the length says",
        ),
        pytest.param({"CONTENT_LENGTH": "100", "CONTENT_TYPE": "text/plain"}, id="no form"),
        pytest.param({"CONTENT_LENGTH": "100", "CONTENT_TYPE": ""}, id="no type"),
        pytest.param({"CONTENT_LENGTH": "100", "REQUEST_METHOD": "PUT"}, id="PUT"),
        pytest.param({"CONTENT_LENGTH": "100", "HTTP_SEC_FETCH_SITE": "none"}, id="not proven"),
        pytest.param(
            {"CONTENT_LENGTH": "100", "HTTP_SEC_FETCH_SITE": "cross-site"}, id="another site"
        ),
        pytest.param({"CONTENT_LENGTH": "100", "PATH_INFO": "/plain"}, id="not asked for"),
        pytest.param({"CONTENT_LENGTH": "100", "HTTP_SEC_FETCH_DEST": "empty"}, id="script"),
    ],
)
def test_body_that_cannot_be_kept_is_not_read(client: FlaskClient, environ: dict[str, Any]) -> None:
    headers = {name: value for name, value in FORM.items() if not name.startswith("Upgrade")}
    response = client.post(
        "/entry",
        headers=headers,
        environ_overrides={"CONTENT_TYPE": URLENCODED, "wsgi.input": unread()} | environ,
    )
    assert "Tea" not in response.text
    # It does not break the response either.
    assert response.status_code in (200, 401, 403)


@pytest.mark.parametrize("reason", ["active", "anonymous", "outage"])
def test_body_is_not_read_unless_it_will_be_shown(app: Flask, reason: str) -> None:
    ran: list[str] = []

    @app.post("/unread")
    @session_required(keep_form=True)
    def never_reads() -> str:
        ran.append("view")
        return "done"

    client = app.test_client()
    if reason != "anonymous":
        sign_in(client)
    environ = {"CONTENT_TYPE": URLENCODED, "CONTENT_LENGTH": "100", "wsgi.input": unread()}
    if reason == "outage":
        with outage(app):
            response = client.post("/unread", headers=FORM, environ_overrides=environ)
    else:
        response = client.post("/unread", headers=FORM, environ_overrides=environ)
    expected = {"active": (200, ""), "anonymous": (401, "sign_in"), "outage": (503, "outage")}
    assert (response.status_code, page_shown(response)) == expected[reason]
    assert ran == (["view"] if reason == "active" else [])


def test_body_that_can_be_kept_is_read(client: FlaskClient) -> None:
    """The twin of the above: the trap works."""
    with pytest.raises(AssertionError, match="the body was read"):
        client.post(
            "/entry",
            headers=FORM,
            environ_overrides={
                "CONTENT_TYPE": URLENCODED,
                "CONTENT_LENGTH": "100",
                "wsgi.input": unread(),
            },
        )


def test_largest_form_that_is_kept(client: FlaskClient) -> None:
    for size, is_kept in ((65_536, True), (65_537, False)):
        fields = [("x", "a" * (size - 2))]
        assert len(urlencoded(fields)) == size
        assert kept(post(client, fields)) == (fields if is_kept else None)


@pytest.mark.parametrize("limit", [10, 65_536])
def test_limit_of_the_app_holds(app: Flask, client: FlaskClient, limit: int) -> None:
    """And what is larger is no 413 instead of the refresh page, as nothing of it was wanted yet."""
    app.config["MAX_CONTENT_LENGTH"] = limit
    response = post(client)
    assert (response.status_code, page_shown(response)) == (401, "refresh")
    assert kept(response) == (FIELDS if limit > 10 else None)


class Broken(io.RawIOBase):
    """A connection that ends, or fails, behind its first bytes."""

    def __init__(self, error: Exception | None) -> None:
        self._first = b"title=Tea"
        self._error = error

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._first and self._error is not None:
            raise self._error
        size = len(self._first)
        buffer[:size], self._first = self._first, b""
        return size


@pytest.mark.parametrize(
    "error", [None, ConnectionResetError(), TimeoutError()], ids=["ends", "reset", "timed out"]
)
def test_body_that_breaks_off_is_not_kept(client: FlaskClient, error: Exception | None) -> None:
    response = client.post(
        "/entry",
        headers=FORM,
        environ_overrides={
            "CONTENT_TYPE": URLENCODED,
            "CONTENT_LENGTH": "20",
            "wsgi.input": Broken(error),
        },
    )
    assert (response.status_code, page_shown(response)) == (401, "refresh")
    assert kept(response) is None
    assert "Tea" not in response.text


@BOTH
@pytest.mark.parametrize("reads", ["form", "values", "files", "stream", "get_data", "get_json"])
def test_hook_that_read_the_form_before_leaves_it_whole_or_not_at_all(
    app: Flask, client: FlaskClient, reads: str, content_type: str
) -> None:
    @app.before_request
    def read() -> None:
        if reads == "stream":
            request.stream.read()
        elif reads == "get_data":
            request.get_data()
        elif reads == "get_json":
            request.get_json(silent=True, force=True)
        else:
            getattr(request, reads)

    response = post(client, content_type=content_type)
    assert (response.status_code, page_shown(response)) == (401, "refresh")
    assert kept(response) in (None, FIELDS)
    if reads in ("get_data", "get_json"):
        assert kept(response) == FIELDS


def test_form_that_a_hook_parsed_is_not_shown_as_an_empty_one(app: Flask) -> None:
    """The look-up comes behind the hook, so nobody knew before that the form would be needed."""
    app.before_request(lambda: request.form.get("x"))
    view = session_required(keep_form=True, check_revoked=True)(lambda: "done")
    app.add_url_rule("/checks", "checks", view, methods=["POST"])
    client = app.test_client()
    sign_in(client)
    revoke(client)
    response = post(client, path="/checks")
    assert page_shown(response) == "refresh"
    assert kept(response) in (None, FIELDS)


def test_half_read_body_is_not_kept(app: Flask, client: FlaskClient) -> None:
    @app.before_request
    def read() -> None:
        request.stream.read(5)

    response = post(client)
    assert page_shown(response) == "refresh"
    assert kept(response) in (None, FIELDS)


def test_view_reads_its_form_where_nothing_had_to_be_kept(app: Flask) -> None:
    client = app.test_client()
    sign_in(client)
    for content_type in ENCODERS:
        assert post(client, content_type=content_type).json == [list(pair) for pair in FIELDS]


# --- where it is sent ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/odd/a/../b", "/odd/..%2f..%2fentry", "/odd/.", "/odd/a%09b", "/odd/%5C%5Cevil.example%2F.."],
)
def test_form_is_not_kept_for_an_address_that_it_would_not_come_back_to(
    client: FlaskClient, path: str
) -> None:
    response = post(client, path=path)
    assert page_shown(response) == "refresh"
    assert kept(response) is None
    assert "Tea" not in response.text


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/odd/a?next=//evil.example",
            "/odd/a%20b?q=%22%3E",
            "/odd/%C3%A9?%C3%BC=1",
            "/odd/100%25",
        ),
        *("/odd/a@b:c;d=e,f", "/odd/a?continueSignedOut=1", "/odd/a%2Fb"),
    ],
)
def test_form_goes_to_the_address_that_it_was_sent_to(app: Flask, path: str) -> None:
    seen: list[str] = []
    app.before_request(lambda: seen.append(f"{request.path}?{request.query_string!r}"))
    client = app.test_client()
    sign_in(client)
    expire(client)
    (form,) = Page(post(client, path=path).text).forms
    sign_in(client)
    assert post(client, path=str(form.attributes["action"])).status_code == 200
    assert seen[0] == seen[1]


def test_form_of_a_mounted_app_goes_below_its_mount_point(client: FlaskClient) -> None:
    headers = FORM | {"Origin": "http://localhost"}
    page = post(client, path="/entry", headers=headers, base_url="http://localhost/shop")
    (form,) = Page(page.text).forms
    assert form.attributes["action"] == "/shop/entry"


def test_form_is_kept_behind_a_proxy(app: Flask) -> None:
    client = app.test_client(use_cookies=False)
    token = cookies(expired_token())
    old = {"Accept": ACCEPT_PAGE, "Origin": "https://localhost"} | token
    assert kept(post(client, headers=old | {"Host": "upstream"})) is None
    assert kept(post(client, headers=FORM | token | {"Host": "upstream"})) == FIELDS
    app.wsgi_app = ProxyFix(app.wsgi_app, x_host=1)  # type: ignore[method-assign]
    forwarded = {"Host": "upstream", "X-Forwarded-Host": "localhost"}
    assert kept(post(client, headers=old | forwarded)) == FIELDS


def test_one_request_leaves_nothing_to_the_next(app: Flask, client: FlaskClient) -> None:
    with app.app_context():  # a context that outlives its requests, as in tests
        assert kept(post(client)) == FIELDS
        assert kept(post(client, [("zebra", "1")])) == [("zebra", "1")]
        assert "Tea" not in client.get("/entry", headers=PAGE).text
        assert "zebra" not in post(client, path="/plain").text


# --- Flask-WTF -----------------------------------------------------------------------------------


def wtf_app(**config: Any) -> Flask:
    app = make_app()
    app.secret_key = "only for this test"
    app.config.update(config)

    class Entry(FlaskForm):  # type: ignore[misc]
        title = StringField()

    @app.route("/entry", methods=["GET", "POST"])
    @session_required(keep_form=True)
    def entry() -> Any:
        form = Entry()
        if form.validate_on_submit():
            return f"{g.session.user_id} wrote {form.title.data}"
        return jsonify(token=form.csrf_token.current_token, errors=form.errors)

    return app


def test_token_of_flask_wtf_survives_and_is_good_for_the_second_try() -> None:
    client = wtf_app().test_client()
    sign_in(client)
    token = (client.get("/entry", headers=PAGE).json or {})["token"]
    fields = [("csrf_token", token), ("title", "Tea")]
    assert post(client, fields).text == "user-1 wrote Tea"
    expire(client)
    page = post(client, fields)
    assert kept(page) == fields
    sign_in(client)
    assert post(client, kept(page)).text == "user-1 wrote Tea"
    # The token admitted it.
    refused = post(client, [("title", "Tea")]).json or {}
    assert refused["errors"] == {"csrf_token": ["The CSRF token is missing."]}


def test_form_is_kept_where_flask_wtf_guards_the_whole_app() -> None:
    """It reads the form in a hook, so before any view's decorator."""
    app = wtf_app()
    CSRFProtect(app)
    client = app.test_client()
    sign_in(client)
    token = (client.get("/entry", headers=PAGE).json or {})["token"]
    fields = [("csrf_token", token), ("title", "Tea")]
    expire(client)
    page = post(client, fields)
    assert (page.status_code, page_shown(page)) == (401, "refresh")
    assert kept(page) == fields
    sign_in(client)
    assert post(client, kept(page)).text == "user-1 wrote Tea"


def test_view_that_keeps_its_form_keeps_it_behind_a_hook_for_the_whole_app() -> None:
    app = with_entries(make_app())
    app.before_request(require_session)
    client = app.test_client()
    sign_in(client)
    expire(client)
    assert kept(post(client)) == FIELDS
    assert kept(post(client, path="/plain")) is None
