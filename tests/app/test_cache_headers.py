"""What caches are told of each response, and which conditions of a request (304, 412) apply."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeAlias

import pytest
from flask import (
    Flask,
    Response,
    g,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    request_started,
    send_file,
    stream_template,
)
from werkzeug.exceptions import Gone
from werkzeug.http import http_date
from werkzeug.test import TestResponse

from flask_ssr_session import (
    get_ssr_session,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.request_state import current_request_state
from flask_ssr_session.testing import core_outage
from tests.browser_requests import FETCH, PAGE
from tests.tables import rows
from tests.tokens import make_token

from .apps import TEMPLATE_GUARD, make_app, with_templates
from .visitors import VISITORS, cookies, page_shown, visiting

View: TypeAlias = Callable[[], Any]
Headers: TypeAlias = dict[str, str]

URL = "/it"
LONG_AGO = http_date(0)
FAR_OFF = http_date(4_000_000_000)

# Who asks: a reason, or an expired visitor who chose to go on without a session.
ASKING = "active", "anonymous", "expired", "signed out", "keys_unavailable", "clock", "cross_site"


def active() -> Headers:
    return cookies(make_token(sessionHandle="handle-1"))


expired = VISITORS["expired"]


def app_with(view: View, **settings: Any) -> Flask:
    """Return an app with one view, whose error pages decide in their template."""
    app = make_app(**settings)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    page = TEMPLATE_GUARD.replace("content", "{{ g.session.user_id }}")
    with_templates(
        app,
        page=page,
        optional=page.replace("needs_refresh", "needs_refresh(optional=True)"),
        # Its footer is for sessions only.
        top=page.replace("needs_refresh", "needs_refresh(optional=True)")
        + "{% if not needs_refresh %}for you{% endif %}",
        # The session itself decides, and the view has set its headers by then.
        looking=page.replace("needs_refresh", "not g.session"),
        who="secret of {{ g.session.user_id }}",
    )
    app.add_url_rule(URL, "it", view, methods=["GET", "PUT"])
    for status in (404, 500):
        app.register_error_handler(status, lambda error: (render_template("page.html"), error.code))
    return app


def ask(app: Flask, headers: Headers, method: str = "GET") -> TestResponse:
    client = app.test_client(use_cookies=False)
    return client.open(URL, method=method, headers=headers, buffered=True)


def ask_as(app: Flask, asking: str, headers: Headers) -> TestResponse:
    """Return what a visitor of this name in ASKING gets."""
    client, is_out = app.test_client(use_cookies=False), asking == "signed out"
    with visiting(app, "expired" if is_out else asking, headers) as sent:
        url = f"{URL}?continueSignedOut=1" if is_out else URL
        return client.get(url, headers=sent, buffered=True)


def name() -> str:
    """Return whose content the view shows."""
    return g.session.user_id if g.session else "everybody"


def saying(headers: Headers | None = None, status: int = 200) -> View:
    return lambda: (f"secret of {name()}", status, headers or {})


def template(file: str, said: Headers | None = None, render: Any = render_template) -> View:
    return lambda: (render(f"{file}.html"), said or {})


def sent_file(headers: Headers) -> View:
    return lambda: (send_file(io.BytesIO(b"<p>"), "text/html", conditional=False), headers)


def streaming(media_type: str, headers: Headers) -> View:
    return lambda: Response(iter(["secret of ", name()]), mimetype=media_type, headers=headers)


# --- what each response says ---------------------------------------------------------------------

PUBLIC = {"Cache-Control": "public, max-age=600"}
EDGE = {
    "Cache-Control": "public, s-maxage=600",
    "CDN-Cache-Control": "max-age=600",
    "Edge-Control": "max-age=600",
    "Surrogate-Control": "max-age=600",
    "X-Accel-Expires": "600",
    "X-LiteSpeed-Cache-Control": "public, max-age=600",
}
FEED = EDGE | {"Content-Type": "application/rss+xml"}
NO_TYPE: View = partial(Response, status=304, headers=EDGE, content_type="")
# Private, not stored, as the view says, and as it says for everybody alike.
LETTERS = {"p": "private", "n": "no-store", "-": EDGE["Cache-Control"], ".": EDGE["Cache-Control"]}


def asks_who_it_is() -> Any:
    return f"page of {get_ssr_session()}", EDGE


def checks_later() -> Any:
    require_session()
    return "page", EDGE


class Missing(Gone):
    def get_headers(self, *args: Any, **options: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*args, **options), *EDGE.items()]


def missing() -> Any:
    raise Missing


CACHING: dict[str, Any] = {  # one letter for each of ASKING
    "page": (saying(EDGE), "p---nnn"),
    "page that is a file": (sent_file(EDGE), "p---nnn"),
    "optional page": (session_optional(saying(EDGE)), "p-nnnnn"),
    "optional part of a page": (lambda: session_optional(saying(EDGE))(), "p-nnnnn"),
    "optional by its template": (template("optional", EDGE), "p-nnnnn"),
    "optional at the top of a template": (template("top", EDGE), "p-nnnnn"),
    "template that decides": (template("page", EDGE), "pnnnnnn"),
    "template that looks": (template("looking", EDGE), "pnnnnnn"),
    "streamed template that decides": (template("page", EDGE, stream_template), "pnnnnnn"),
    "streamed template that looks": (template("looking", EDGE, stream_template), "pnnnnnn"),
    "streamed page": (streaming("text/html", EDGE), "pnnnnnn"),
    "required page": (session_required(saying(EDGE)), "pnnnnnn"),
    "required redirect": (session_required(lambda: (redirect("/", 301), EDGE)), "pnnnnnn"),
    "optional page that checks later": (session_optional(checks_later), "pnnnnnn"),
    "error page of Flask": (missing, "p---nnn"),
    "feed": (saying(FEED), "-------"),
    "streamed CSV": (streaming("text/csv", EDGE), "-------"),
    "page that names no type": (partial(Response, "<p>", headers=EDGE, content_type=""), "p---nnn"),
    "304 that names no type": (NO_TYPE, "p---nnn"),
    "exempt page": (session_exempt(saying(EDGE)), "......."),
    "exempt page that asks who it is": (session_exempt(asks_who_it_is), "p---nnn"),
    "exempt streamed page": (session_exempt(streaming("text/html", EDGE)), "......."),
}


@rows("view, expected", CACHING)
def test_caches_are_told_whose_a_response_is(view: View, expected: str) -> None:
    app = app_with(view)
    for asking, letter in zip(ASKING, expected, strict=True):
        response = ask_as(app, asking, PAGE)
        assert response.headers["Cache-Control"] == LETTERS[letter], asking
        kept = {each for each in EDGE if each in response.headers}
        assert kept == (set(EDGE) if letter in "-." else {"Cache-Control"}), asking
        assert response.headers.getlist("Vary") == ([] if letter == "." else ["Cookie"]), asking


def test_robots_may_list_a_streamed_page_that_strangers_may_see() -> None:
    app = app_with(template("page", EDGE, stream_template))
    stranger, expired = (ask_as(app, asking, PAGE) for asking in ("anonymous", "expired"))
    assert not {"X-Robots-Tag", "SSR-Session"} & set(stranger.headers.keys())
    assert expired.headers["X-Robots-Tag"] == "noindex"
    assert expired.headers["SSR-Session"] == "refresh; reason=expired"


STREAMS: dict[str, Any] = {
    "a streamed template": (template("who", {}, stream_template), True),
    "a template": (template("who"), False),
    "a file": (sent_file({}), False),
}


@rows("view, streams", STREAMS)
def test_only_a_stream_may_still_show_a_page(view: View, streams: bool) -> None:
    app, seen = app_with(view), []
    app.teardown_request(lambda _error: seen.append(current_request_state().streaming))
    ask(app, PAGE | active())
    assert seen[0] is streams


SAID: dict[str, Any] = {
    "nothing": (None, "private"),
    "public": ("public, max-age=60", "max-age=60, private"),
    "s-maxage": ("s-maxage=60", "private"),
    "private": ("private, max-age=60", "private, max-age=60"),
    "private for one field": ('max-age=60, private="X-A"', "max-age=60, private"),
    "no-store": ("no-store", "no-store"),
    "no-cache": ("no-cache", "no-cache, private"),
    "public, and no-store": ("public, no-store", "no-store"),
    "no-store, taken back": ("must-understand, no-store", "must-understand, no-store, private"),
    "capitals": ("Public, S-MaxAge=600, Max-Age=60", "max-age=60, private"),
    "two lines": ("private\npublic, s-maxage=600", "private"),
    "two lines, the last forbids to store": ("max-age=60\nno-store", "max-age=60, no-store"),
}


@rows("said, sent", SAID)
def test_page_of_one_user_is_private(said: str | None, sent: str) -> None:
    def view() -> Response:
        response = make_response("secret")
        for line in [] if said is None else said.split("\n"):
            response.headers.add("Cache-Control", line)
        return response

    for media_type in ("text/html", "text/vnd.turbo-stream.html", "application/json"):
        typed: View = lambda: (view(), {"Content-Type": media_type})  # noqa: B023, E731
        response = ask(app_with(session_required(typed)), PAGE | active())
        assert response.headers["Cache-Control"] == sent, media_type
    untouched = ask(app_with(session_exempt(view)), PAGE | active())
    assert untouched.headers.get("Cache-Control") == (said.split("\n")[0] if said else None)


def test_shared_caching_of_a_required_view_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Once per endpoint. Twin: a page that is open to all is made private without a word."""
    app = app_with(saying(PUBLIC))
    app.register_error_handler(404, lambda _error: (render_template("page.html"), PUBLIC))
    for endpoint in ("one", "two"):
        app.add_url_rule(f"/{endpoint}", endpoint, session_required(saying(PUBLIC)))
    client = app.test_client(use_cookies=False)
    for path in (URL, "/one", "/one", "/two", "/nowhere"):
        app.extensions["ssr_session"].log._last.clear()
        response = client.get(path, headers=active())
        assert response.headers["Cache-Control"] == "max-age=600, private", path
    reasons = [text.partition(":")[0] for text in caplog.messages]
    assert reasons == ["private.one", "private.two", "private."]


VARIES: dict[str, Any] = {
    "nothing": (None, ["Cookie"]),
    "another": ("Accept-Language", ["Accept-Language, Cookie"]),
    "the cookie": ("cookie", ["cookie"]),
    "anything": ("*", ["*, Cookie"]),
    "two lines": ("Accept-Encoding\nOrigin", ["Accept-Encoding, Origin, Cookie"]),
}


@rows("own, sent", VARIES)
def test_what_a_view_varies_by_is_kept_beside_the_cookie(own: str | None, sent: list[str]) -> None:
    app = app_with(lambda: ("", [("vary", line) for line in (own or "").splitlines()]))
    assert ask(app, PAGE).headers.getlist("Vary") == sent


OURS: dict[str, Any] = {
    "page": ({}, PAGE),
    "page, redirected": ({"refresh_flow": "redirect"}, PAGE),
    "stranger who refreshes": ({"always_try_refresh": True}, PAGE),
    "fetch": ({}, FETCH),
    "prefetch": ({}, PAGE | {"Sec-Purpose": "prefetch"}),
}


@rows("settings, headers", OURS)
@rows("is_repeated", {"one field": False, "two, the last is ours": True})
def test_headers_that_the_app_adds_make_no_page_cacheable(
    settings: Any, headers: Headers, is_repeated: bool
) -> None:
    app = app_with(session_required(saying()), **settings)
    app.add_url_rule("/page", "page", template("page"))
    app.add_url_rule("/open", "open", lambda: jsonify())

    @app.after_request
    def keep_everything(response: Response) -> Response:
        response.headers.update(EDGE | {"Last-Modified": LONG_AGO, "Expires": FAR_OFF})
        response.headers["ETag"] = '"tag"'
        if is_repeated:
            response.headers.add("Cache-Control", "no-store")
        return response.make_conditional(request)  # type: ignore[return-value]

    client = app.test_client(use_cookies=False)
    for asking in ("anonymous", "expired"):
        visitor = headers | VISITORS[asking]() | {"If-None-Match": '"tag"'}
        for path in (URL, "/page", "/refresh-session", "/nowhere"):
            response = client.get(path, headers=visitor)
            assert response.headers.getlist("Cache-Control") == ["no-store"], path
            assert {each for each in EDGE if each in response.headers} == {"Cache-Control"}, path
            assert response.status_code != 304, path
    assert client.get("/open", headers=headers | {"If-None-Match": '"tag"'}).status_code == 304


HOOKS: dict[str, Any] = {"works": lambda response: response, "fails": lambda _response: 1 / 0}


@rows("hook", HOOKS)
def test_error_page_is_for_its_visitor_alone_if_a_function_after_the_request(hook: Any) -> None:
    app = app_with(lambda: 1 / 0)
    app.after_request(hook)
    headers = EDGE | {"ETag": '"tag"'}
    app.register_error_handler(500, lambda _error: (render_template("page.html"), 500, headers))
    for asking, said in (("active", "private"), ("anonymous", "no-store"), ("expired", "no-store")):
        response = ask_as(app, asking, PAGE)
        assert (response.status_code, response.headers["Cache-Control"]) == (500, said), asking
        assert response.headers.get("ETag", "").count(".ssr-") == (asking == "active"), asking


# --- conditional requests: which conditions reach the app ----------------------------------------

# Conditions of browsers and download managers; each alone would change the response of validated().
CONDITIONS = {
    "If-None-Match": '"revision-7"',
    "If-Modified-Since": FAR_OFF,
    "If-Match": '"another"',
    "If-Unmodified-Since": LONG_AGO,
    "If-Range": '"revision-7"',
    "Range": "bytes=0-3",
}
ALL, NONE = [sorted(CONDITIONS), [True] * 6], [[], [False] * 6]


def conditions_seen() -> Any:
    """Return which conditions a view sees: in the headers, and as Werkzeug parses them."""
    tags = [bool(each) for each in (request.if_none_match, request.if_match, request.if_range.etag)]
    others = (request.if_modified_since, request.if_unmodified_since, request.range)
    parsed = [*tags, *(each is not None for each in others)]
    return jsonify(sorted(set(CONDITIONS) & set(request.headers.keys())), parsed)


@rows("read_before", {"untouched": False, "read before the hook": True})
@rows("asking", {each: each for each in ASKING})
def test_conditions_reach_sessions_and_strangers_only(asking: str, read_before: bool) -> None:
    def read(_app: Flask, **_more: Any) -> None:
        assert conditions_seen().json == ALL

    app = app_with(conditions_seen)
    if read_before:
        request_started.connect(read, app)
    expected = ALL if asking in ("active", "anonymous") else NONE
    assert ask_as(app, asking, FETCH | CONDITIONS).json == expected


EXPIRED_CONDITIONS: dict[str, Any] = {
    "an exempt view": ("GET", session_exempt, ALL),
    "a change, which If-Match guards": ("PUT", lambda view: view, ALL),
}


@rows("method, mark, expected", EXPIRED_CONDITIONS)
def test_conditions_of_an_expired_session(method: str, mark: Any, expected: Any) -> None:
    app = app_with(mark(lambda: conditions_seen()))
    assert ask(app, FETCH | CONDITIONS | expired(), method).json == expected


@rows("mark, if_down", {"optional view": (session_optional, NONE), "exempt": (session_exempt, ALL)})
def test_conditions_of_an_unconfirmed_session_go(mark: Any, if_down: Any) -> None:
    """The session is active for the hook; a later hook of the app asks the core."""
    app = app_with(mark(lambda: conditions_seen()))
    if mark is session_exempt:
        app.before_request(lambda: current_request_state().ask_core())
    else:
        app.before_request(partial(require_session, check_revoked=True))
    assert ask(app, FETCH | CONDITIONS | active()).json == ALL
    with core_outage(app):
        assert ask(app, FETCH | CONDITIONS | active()).json == if_down


# --- pages of ours are whole ---------------------------------------------------------------------


def validated(view: View, *, passed_through: bool = False, date: bool = True) -> View:
    """Return a view with the same validators for all visitors, which handles conditions itself."""

    def conditional() -> Any:
        response = make_response(view())
        response.set_etag("revision-7")
        if date:
            response.headers["Last-Modified"] = LONG_AGO
        length = len(response.data)
        response.direct_passthrough = passed_through
        return response.make_conditional(request, accept_ranges=True, complete_length=length)

    return conditional


def rendered_in_vain() -> Any:
    """Return a 304 made by hand, once the page was rendered."""
    page = render_template("page.html")
    return ("", 304) if request.if_none_match else page


DECIDED = template("page")
SHOWN = {
    "anonymous": "200 sign_in",
    "expired": "200 refresh",
    "keys_unavailable": "503 outage",
    "clock": "503 outage",
    "cross_site": "403 refused",
}


WHOLE: dict[str, Any] = {
    "template that decides": validated(DECIDED),
    "exempt view whose template decides": session_exempt(validated(DECIDED)),
    "template that looks": validated(template("looking")),
    "page that is passed through": validated(DECIDED, passed_through=True),
}


@rows("view", WHOLE)
def test_page_of_ours_is_whole_whatever_the_request_asks(view: View) -> None:
    app = app_with(view)
    for asking, shown in SHOWN.items():
        for condition in (None, *CONDITIONS):
            headers = PAGE | ({condition: CONDITIONS[condition]} if condition else {})
            if condition == "If-Range":
                headers |= {"Range": CONDITIONS["Range"]}
            response, row = ask_as(app, asking, headers), (asking, condition)
            assert f"{response.status_code} {page_shown(response)}" == shown, row
            assert response.text.endswith("</div>"), row
            assert response.content_length == len(response.data), row
            sent = set(response.headers.keys())
            assert not {"ETag", "Last-Modified", "Accept-Ranges", "Content-Range"} & sent, row
            assert response.headers["Cache-Control"] == "no-store", row
            assert "SSR-Session" in sent, row


KEPT: dict[str, Any] = {
    "tag": ("If-None-Match", 304),
    "date": ("If-Modified-Since", 304),
    "part": ("Range", 206),
    "match": ("If-Match", 412),
}


@rows("condition, status", KEPT)
def test_content_keeps_its_conditions(condition: str, status: int) -> None:
    """Twin: the same view for an active session, and a public one without a session."""
    public = app_with(validated(session_optional(lambda: "everybody's")))
    asked = PAGE | {condition: CONDITIONS[condition]}
    for method in ("GET", "HEAD"):
        assert ask(public, asked, method).status_code in (status, 200 if status == 206 else status)
        assert ask(public, asked | expired(), method).status_code == 200, method
    own = app_with(validated(DECIDED))
    first = ask(own, PAGE | active())
    if condition == "If-None-Match":  # only a tag with the session's mark is the session's own
        asked |= {condition: first.headers["ETag"]}
    assert ask(own, asked | active()).status_code == status
    assert {"ETag", "Last-Modified"} <= set(first.headers.keys())


def test_page_is_shown_again_where_its_body_is_lost() -> None:
    """A 304 made by hand, and a part that a hook of the app's has read already."""
    by_hand, read = app_with(session_exempt(rendered_in_vain)), app_with(validated(DECIDED))
    read.after_request(lambda response: response.get_data() and response)
    for app, condition in ((by_hand, "If-None-Match"), (read, "Range")):
        response = ask(app, PAGE | {condition: CONDITIONS[condition]})
        assert (response.status_code, page_shown(response)) == (200, "sign_in"), condition
        assert "<!doctype html>" in response.text, condition
        assert response.content_length == len(response.data), condition
        script = ask(app_with(validated(DECIDED)), FETCH | {condition: CONDITIONS[condition]})
        assert (script.status_code, script.json) == (401, {"message": "unauthorised"}), condition


# --- a tag says whose page it is -----------------------------------------------------------------


TAGS: dict[str, Any] = {
    "page, from before the sign-in": ('"revision-7"', PAGE, 200),
    "Turbo": ('"revision-7"', FETCH | {"Accept": "text/html, */*"}, 200),
    "script that accepts anything": ('"revision-7"', FETCH, 304),
    "of another session": ('"revision-7.ssr-0000000000000000"', PAGE, 200),
    "script, of another one": ('"revision-7.ssr-0000000000000000"', FETCH, 200),
    "own": ("{own}", PAGE, 304),
    "own, made weak by a proxy": ("W/{own}", PAGE, 304),
    "several, of a cache": ('"revision-7", {own}', PAGE, 304),
    "any": ("*", PAGE, 200),
    "without quotes": ("revision-7", PAGE, 200),
}


@rows("asked_as, headers, status", TAGS)
def test_page_is_unchanged_for_its_session(asked_as: str, headers: Headers, status: int) -> None:
    """The tag belongs to the session, whose handle outlives its access tokens."""
    app = app_with(validated(session_optional(lambda: name()), date=False))
    earlier = cookies(make_token(sessionHandle="handle-1", issued_at=time.time() - 60))
    first = ask(app, headers | earlier)
    own = first.headers["ETag"]
    assert re.fullmatch(r'"revision-7\.ssr-[0-9a-f]{16}"', own)
    assert "handle-1" not in str(first.headers)
    again = ask(app, headers | active() | {"If-None-Match": asked_as.format(own=own)})
    assert (again.status_code, again.headers["ETag"]) == (status, own)
    assert again.headers["Cache-Control"] == "private"
    assert ask(app, headers).headers["ETag"] == '"revision-7"'  # a stranger's is the app's own


@rows("protect, status", {"required": (session_required, 200), "open": (lambda view: view, 304)})
def test_json_that_needs_a_session_is_confirmed_to_nobody_else(protect: Any, status: int) -> None:
    """Two users of one browser, and a tag that is the same for both."""
    app = app_with(protect(validated(lambda: jsonify(1), date=False)))
    tag = ask(app, FETCH | cookies(make_token(user_id="ada"))).headers["ETag"]
    assert (tag == '"revision-7"') is (status == 304)
    bob = FETCH | cookies(make_token(user_id="bob")) | {"If-None-Match": tag}
    assert ask(app, bob).status_code == status


@rows("copy", {"plainly": lambda _method: lambda wrapper: wrapper, "as functools.wraps": wraps})
def test_methods_that_another_extension_wrapped_mark_a_tag_once(copy: Any) -> None:
    """Twin: the row "own" above."""
    app = app_with(validated(lambda: name(), date=False))

    def publish(method: Any, *args: Any) -> Any:
        answer = method(*args)
        return answer and (answer.headers.update({"Cache-Control": "public"}) or answer)

    for each in ("preprocess_request", "process_response"):  # the first request wraps them again
        method = getattr(app, each)
        setattr(app, each, copy(method)(lambda *args, method=method: publish(method, *args)))
    own = ask(app, PAGE | active()).headers["ETag"]
    again = ask(app, PAGE | active() | {"If-None-Match": own})
    assert (again.status_code, again.headers["ETag"], own.count(".ssr-")) == (304, own, 1)
    assert again.headers["Cache-Control"] == "private"


def test_tag_without_quotes_is_marked_as_well() -> None:
    tag = ask(app_with(lambda: ("page", {"ETag": "bare"})), PAGE | active()).headers["ETag"]
    assert tag.startswith("bare.ssr-")
    assert not tag.endswith('"')


TAG_CONDITIONS: dict[str, Any] = {
    "of before the sign-in": ("If-None-Match", '"revision-7"', "GET", (None, '"revision-7"')),
    "any": ("If-None-Match", "*", "GET", (None, "*")),
    "a change only if nothing exists yet": ("If-None-Match", "*", "PUT", ("*", "*")),
    "own tag": ("If-None-Match", "{own}", "GET", ('"revision-7"', '"revision-7"')),
    "own tag, to change": ("If-Match", "{own}", "PUT", ('"revision-7"', '"revision-7"')),
    "own tag, for a part": ("If-Range", "{own}", "GET", ('"revision-7"', '"revision-7"')),
}


@rows("condition, asked_as, method, expected", TAG_CONDITIONS)
def test_tag_is_what_an_app_made(condition: str, asked_as: str, method: str, expected: Any) -> None:
    tag = ask(app_with(validated(lambda: "page")), PAGE | active()).headers["ETag"]
    app = app_with(lambda: jsonify(request.headers.get(condition)))
    for headers, seen in zip((PAGE, FETCH), expected, strict=True):
        sent = headers | active() | {condition: asked_as.format(own=tag)}
        assert ask(app, sent, method).json == seen, headers["Accept"]
