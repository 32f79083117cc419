"""Conditional requests (304, 206, 412): they apply to the visitor's own copies, never ours."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import pytest
from flask import (
    Flask,
    Response,
    g,
    jsonify,
    make_response,
    render_template,
    request,
    request_started,
)
from werkzeug.http import http_date
from werkzeug.test import TestResponse

from flask_ssr_session import (
    app_state,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.request_state import current_request_state
from flask_ssr_session.testing import outage
from tests.browser_requests import FETCH, PAGE
from tests.tokens import expired_token, make_token

from .conftest import (
    TEMPLATE_GUARD,
    cookies,
    is_down,
    make_app,
    page_shown,
    sdk_values,
    stub_revocation,
    with_templates,
)

AN_HOUR_AGO = http_date(time.time() - 3600)
IN_AN_HOUR = http_date(time.time() + 3600)

View: TypeAlias = Callable[[], Any]

# Conditions of browsers and download managers; each alone would change the response of VALIDATED.
CONDITIONS = {
    "If-None-Match": '"revision-7"',
    "If-Modified-Since": IN_AN_HOUR,
    "If-Match": '"another"',
    "If-Unmodified-Since": http_date(0),
    "If-Range": '"revision-7"',
    "Range": "bytes=0-3",
}

VISITORS: dict[str, Callable[[], dict[str, str]]] = {
    "active": lambda: cookies(make_token(sessionHandle="handle-1")),
    "stranger": dict,
    "expired": lambda: cookies(expired_token()),
    "token missing": cookies,
    "from the future": lambda: cookies(make_token(issued_at=time.time() + 120)),
    "refused": lambda: (
        cookies(make_token())
        | {"X-HTTP-Method-Override": "POST", "Sec-Fetch-Site": "cross-site"}
        | {"Origin": "https://evil.example"}
    ),
}
TRUSTED = ("active", "stranger")


def conditions_seen() -> Any:
    """Return which conditions a view sees: in the headers, and as Werkzeug parses them."""
    return jsonify(
        headers=sorted(set(CONDITIONS) & set(request.headers.keys())),
        parsed=[
            bool(request.if_none_match),
            request.if_modified_since is not None,
            bool(request.if_match),
            request.if_unmodified_since is not None,
            bool(request.if_range.etag),
            request.range is not None,
        ],
    )


ALL_SEEN = {"headers": sorted(CONDITIONS), "parsed": [True] * 6}
NONE_SEEN = {"headers": [], "parsed": [False] * 6}


def ask(app: Flask, headers: dict[str, str], method: str = "GET", url: str = "/it") -> TestResponse:
    return app.test_client(use_cookies=False).open(url, method=method, headers=headers)


# --- who may ask whether anything has changed ----------------------------------------------------


@pytest.mark.parametrize("read_before", [False, True], ids=["", "read before the hook"])
@pytest.mark.parametrize("visitor", VISITORS)
def test_conditions_reach_the_app_of_active_sessions_and_strangers_only(
    visitor: str, read_before: bool
) -> None:
    app = make_app()
    app.add_url_rule("/it", "it", conditions_seen)

    def read(_app: Flask, **_more: Any) -> None:
        assert conditions_seen().json == ALL_SEEN

    if read_before:
        request_started.connect(read, app)
    seen = ask(app, FETCH | CONDITIONS | VISITORS[visitor]())
    assert seen.json == (ALL_SEEN if visitor in TRUSTED else NONE_SEEN)


def test_conditions_are_dropped_in_an_outage() -> None:
    app = make_app()
    app.add_url_rule("/it", "it", conditions_seen)
    headers = FETCH | CONDITIONS | VISITORS["active"]()
    assert ask(app, headers).json == ALL_SEEN
    with outage(app):
        assert ask(app, headers).json == NONE_SEEN


def test_exempt_view_sees_every_condition() -> None:
    app = make_app()
    app.add_url_rule("/it", "it", session_exempt(lambda: conditions_seen()))
    assert ask(app, FETCH | CONDITIONS | VISITORS["expired"]()).json == ALL_SEEN


@pytest.mark.parametrize(("method", "expected"), [("PUT", ALL_SEEN), ("GET", NONE_SEEN)])
def test_condition_that_guards_a_change_stays(method: str, expected: dict[str, Any]) -> None:
    """Without If-Match one user's change would overwrite another's."""
    app = make_app()
    app.add_url_rule("/it", "it", conditions_seen, methods=["GET", "PUT"])
    assert ask(app, FETCH | CONDITIONS | VISITORS["expired"](), method).json == expected


def test_head_is_asked_without_conditions_too() -> None:
    app = make_app()
    app.add_url_rule("/it", "it", validated(lambda: "page"))
    conditional = FETCH | {"If-None-Match": '"revision-7"'}
    assert ask(app, conditional, "HEAD").status_code == 304
    assert ask(app, conditional | VISITORS["expired"](), "HEAD").status_code == 200


@pytest.mark.parametrize("is_exempt", [False, True], ids=["", "exempt"])
@pytest.mark.parametrize("core", ["up", "down"])
def test_conditions_are_dropped_once_the_core_does_not_confirm_the_session(
    monkeypatch: pytest.MonkeyPatch, core: str, is_exempt: bool
) -> None:
    """The session is active for the hook; a later hook of the app checks for revocation."""
    monkeypatch.setattr(app_state, "read_sdk", sdk_values)
    app = make_app()
    stub_revocation(app, is_down if core == "down" else lambda _handle: False)
    mark = session_exempt if is_exempt else session_optional
    app.add_url_rule("/it", "it", mark(lambda: conditions_seen()))
    if is_exempt:
        app.before_request(lambda: current_request_state().check_revoked())
    else:
        app.before_request(partial(require_session, check_revoked=True))
    seen = ask(app, FETCH | CONDITIONS | VISITORS["active"]()).json
    assert seen == (NONE_SEEN if core == "down" and not is_exempt else ALL_SEEN)


# --- pages of ours are whole ---------------------------------------------------------------------


def validated(
    view: View, *, tag: bool = True, date: bool = True, passed_through: bool = False
) -> View:
    """Return a view with the same validators for all visitors, which handles conditions itself."""

    def conditional() -> Any:
        response = make_response(view())
        if tag:
            response.set_etag("revision-7")
        if date:
            response.headers["Last-Modified"] = AN_HOUR_AGO
        length = len(response.data)
        response.direct_passthrough = passed_through
        return response.make_conditional(request, accept_ranges=True, complete_length=length)

    return conditional


def rendered_in_vain() -> Any:
    """Return a 304 made by hand, once the page was rendered."""
    page = render_template("page.html")
    return ("", 304) if request.if_none_match or request.if_modified_since else page


def decided() -> str:
    return render_template("page.html")


def looking() -> str:
    return render_template("looking.html")


PAGE_VIEWS: dict[str, View] = {
    "template that decides": validated(decided),
    "exempt view whose template decides": session_exempt(validated(decided)),
    "template that looks at g.session": validated(looking),
    "page that is passed through": validated(decided, passed_through=True),
}
LOOKING = (
    "{% from 'refresh_page.html' import refresh_page %}"
    "{% if g.session %}content{% else %}{{ refresh_page() }}{% endif %}"
)
VALIDATORS = {"ETag", "Last-Modified", "Accept-Ranges", "Content-Range"}


def app_with(view: View) -> Flask:
    app = with_templates(make_app(), page=TEMPLATE_GUARD, looking=LOOKING)
    app.add_url_rule("/it", "it", view)
    return app


# visitor: (status, the page that is shown)
SHOWN = {
    "stranger": (200, "sign_in"),
    "expired": (200, "refresh"),
    "token missing": (200, "refresh"),
    "from the future": (503, "outage"),
    "refused": (403, "refused"),
}


@pytest.mark.parametrize("condition", ["none", *CONDITIONS])
@pytest.mark.parametrize("view", PAGE_VIEWS)
@pytest.mark.parametrize("visitor", SHOWN)
def test_page_of_ours_is_whole_whatever_the_request_asks(
    visitor: str, view: str, condition: str
) -> None:
    app = app_with(PAGE_VIEWS[view])
    headers = PAGE | VISITORS[visitor]()
    if condition != "none":
        headers |= {condition: CONDITIONS[condition]}
        if condition == "If-Range":
            headers |= {"Range": CONDITIONS["Range"]}
    response = ask(app, headers)
    assert (response.status_code, page_shown(response)) == SHOWN[visitor]
    assert response.text.endswith("</div>")
    assert response.content_length == len(response.data)
    assert not VALIDATORS & set(response.headers.keys())
    assert response.headers["Cache-Control"] == "no-store"
    assert "SSR-Session" in response.headers


@pytest.mark.parametrize(
    ("condition", "status"),
    [("If-None-Match", 304), ("If-Modified-Since", 304), ("Range", 206), ("If-Match", 412)],
)
def test_content_keeps_its_conditions(condition: str, status: int) -> None:
    """Twin: the same view for an active session, and a public one without a session."""
    public = app_with(validated(session_optional(lambda: "everybody's")))
    own = app_with(validated(decided))
    active = PAGE | VISITORS["active"]()
    assert ask(public, PAGE | {condition: CONDITIONS[condition]}).status_code == status
    # For a page, only a tag with the session's mark is the session's own.
    asked = ask(own, active).headers["ETag"] if "None" in condition else CONDITIONS[condition]
    assert ask(own, active | {condition: asked}).status_code == status
    assert {"ETag", "Last-Modified"} <= set(ask(own, active).headers.keys())


def test_page_is_shown_again_where_its_body_is_lost() -> None:
    """A 304 made by hand, and a part that a hook of the app's has read already."""
    by_hand = app_with(session_exempt(rendered_in_vain))
    read = app_with(validated(decided))

    @read.after_request
    def look_at_it(response: Response) -> Response:
        assert len(response.get_data()) == 4
        return response

    stale = {"If-None-Match": '"revision-7"'}
    for app, headers in ((by_hand, stale), (read, {"Range": "bytes=0-3"})):
        response = ask(app, PAGE | headers)
        assert (response.status_code, page_shown(response)) == (200, "sign_in")
        assert "<!doctype html>" in response.text
        assert response.content_length == len(response.data)


def test_script_gets_its_status_where_a_condition_was_met() -> None:
    app = app_with(validated(decided))
    for conditions in ({"If-None-Match": '"revision-7"'}, {"Range": "bytes=0-3"}):
        response = ask(app, FETCH | conditions)
        assert (response.status_code, response.json) == (401, {"message": "unauthorised"})


def test_hook_of_the_app_makes_no_304_of_an_answer_of_ours() -> None:
    """Every response has the same date, and visitors without a session keep their conditions."""
    app = app_with(session_required(lambda: "secret"))
    app.add_url_rule("/open", "open", lambda: "open")

    @app.after_request
    def make_conditional(response: Response) -> Response:
        response.headers["Last-Modified"] = AN_HOUR_AGO
        response.make_conditional(request)
        return response

    headers = PAGE | {"If-Modified-Since": IN_AN_HOUR}
    assert ask(app, headers).status_code == 302
    assert ask(app, headers, url="/open").status_code == 304


# --- a tag says whose page it is -----------------------------------------------------------------


@pytest.fixture
def tagged() -> Flask:
    app = app_with(validated(session_optional(lambda: name()), date=False))
    json = validated(lambda: jsonify(name()), date=False)
    app.add_url_rule("/json", "json", json)
    return app


def name() -> str:
    return g.session.user_id if g.session else "everybody"


def test_browser_asks_about_its_own_page_after_a_refresh_too(tagged: Flask) -> None:
    """The tag belongs to the session, whose handle outlives its access tokens."""
    first, second = (
        PAGE | cookies(make_token(sessionHandle="handle-1", issued_at=time.time() - age))
        for age in (60, 0)
    )
    assert first != second
    shown = ask(tagged, first)
    assert shown.headers["ETag"].startswith('"revision-7.ssr-')
    assert "handle-1" not in str(shown.headers)
    again = ask(tagged, second | {"If-None-Match": shown.headers["ETag"]})
    assert (again.status_code, again.headers["ETag"]) == (304, shown.headers["ETag"])
    assert again.headers["Cache-Control"] == "private"


@pytest.mark.parametrize(
    ("asked_as", "headers", "status"),
    [
        pytest.param('"revision-7"', PAGE, 200, id="page, from before the sign-in"),
        pytest.param('"revision-7"', FETCH | {"Accept": "text/html, */*"}, 200, id="Turbo"),
        pytest.param('"revision-7"', FETCH, 304, id="script that accepts anything"),
        pytest.param('"revision-7.ssr-0000000000000000"', PAGE, 200, id="of another session"),
        pytest.param('"revision-7.ssr-0000000000000000"', FETCH, 200, id="script, of another one"),
        pytest.param('"old"', PAGE, 200, id="another revision"),
        pytest.param("{own}", PAGE, 304, id="own"),
        pytest.param("W/{own}", PAGE, 304, id="own, made weak by a proxy"),
        pytest.param('"revision-7", {own}', PAGE, 304, id="several, of a cache"),
        pytest.param('"revision-7", "a, b"', PAGE, 200, id="several, none of them own"),
        pytest.param("*", PAGE, 200, id="any"),
        pytest.param("revision-7", PAGE, 200, id="without quotes"),
    ],
)
def test_page_is_unchanged_for_the_session_it_was_shown_to(
    tagged: Flask, asked_as: str, headers: dict[str, str], status: int
) -> None:
    headers = headers | VISITORS["active"]()
    own = ask(tagged, headers).headers["ETag"]
    assert ask(tagged, headers | {"If-None-Match": asked_as.format(own=own)}).status_code == status


def test_tag_of_a_stranger_and_of_other_types_is_the_apps_own(tagged: Flask) -> None:
    assert ask(tagged, PAGE).headers["ETag"] == '"revision-7"'
    signed_in = PAGE | VISITORS["active"]()
    assert ask(tagged, signed_in, url="/json").headers["ETag"] == '"revision-7"'
    asked = FETCH | VISITORS["active"]() | {"If-None-Match": '"revision-7"'}
    assert ask(tagged, asked, url="/json").status_code == 304


@pytest.mark.parametrize(
    ("protect", "status"),
    [
        pytest.param(session_required, 200, id="required"),
        pytest.param(lambda view: view, 304, id="not guarded"),
    ],
)
def test_json_that_needs_a_session_is_confirmed_to_nobody_else(
    protect: Callable[[View], View], status: int
) -> None:
    """Two users of one browser, and a tag that is the same for both."""

    def me() -> Any:
        response = Response('{"name": "…"}', mimetype="application/json")
        response.set_etag("schema-7")
        return response.make_conditional(request)

    app = app_with(protect(me))
    shown = ask(app, FETCH | cookies(make_token(user_id="ada")))
    tag = shown.headers["ETag"]
    bob = FETCH | cookies(make_token(user_id="bob"))
    assert ask(app, bob | {"If-None-Match": tag}).status_code == status


def test_tag_without_quotes_is_marked_as_well() -> None:
    app = app_with(lambda: ("page", {"ETag": "bare"}))
    tag = ask(app, PAGE | VISITORS["active"]()).headers["ETag"]
    assert tag.startswith("bare.ssr-")
    assert not tag.endswith('"')


def test_304_that_names_no_type_is_one_of_a_page() -> None:
    def unchanged() -> Response:
        response = Response(status=304, headers={"ETag": '"revision-7"', "Cache-Control": "public"})
        del response.headers["Content-Type"]
        return response

    answer = ask(app_with(unchanged), PAGE | VISITORS["active"]())
    assert answer.headers["Cache-Control"] == "private"
    assert answer.headers["ETag"].startswith('"revision-7.ssr-')


@pytest.mark.parametrize("tags", ['"revision-7"', "*"])
def test_tags_that_do_not_count_leave_no_header(tags: str) -> None:
    app = app_with(lambda: str("If-None-Match" in request.headers))
    headers = VISITORS["active"]() | {"If-None-Match": tags}
    assert ask(app, PAGE | headers).text == "False"
    assert ask(app, FETCH | headers).text == "True"


@pytest.mark.parametrize("condition", ["If-Match", "If-None-Match", "If-Range"])
def test_every_condition_by_tag_reaches_the_app_as_the_app_made_it(condition: str) -> None:
    app = app_with(lambda: request.headers.get(condition, ""))
    tag = ask(app_with(validated(lambda: "page")), PAGE | VISITORS["active"]()).headers["ETag"]
    for headers in (PAGE, FETCH):
        answer = ask(app, headers | VISITORS["active"]() | {condition: tag})
        assert answer.text == '"revision-7"'


def test_change_only_if_nothing_exists_yet_stays_conditional() -> None:
    app = make_app()
    app.add_url_rule("/it", "it", lambda: request.headers.get("If-None-Match", ""), methods=["PUT"])
    headers = PAGE | VISITORS["active"]() | {"If-None-Match": "*"}
    assert ask(app, headers, "PUT").text == "*"
