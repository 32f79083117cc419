"""A shared cache in front: every visitor gets the app's own response, in any order of requests."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import permutations
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    g,
    make_response,
    redirect,
    render_template,
    request,
    send_file,
    stream_template,
)
from flask_caching import Cache
from werkzeug.http import http_date
from werkzeug.test import Client, TestResponse

from flask_ssr_session import (
    get_ssr_session,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from flask_ssr_session.testing import outage
from tests.browser_requests import FETCH, PAGE
from tests.tokens import expired_token, make_token

from ..clocks import SteppedClock
from ..shared_cache import SharedCache
from .conftest import TEMPLATE_GUARD, cookies, make_app, page_shown, with_templates

URL = "/it"
AN_HOUR_AGO = time.time() - 3600
# Written down when the tests are collected, and long before the last of them runs.
IN_EIGHT_HOURS = time.time() + 8 * 3600

View: TypeAlias = Callable[[], Any]
Visitors: TypeAlias = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def visitors() -> Visitors:
    """The cookies that distinguish the visitors."""
    return {
        "ada": cookies(make_token(user_id="ada")),
        "bob": cookies(make_token(user_id="bob")),
        "stranger": {},
        "ada, expired": cookies(expired_token("ada")),
    }


def ask(client: Client, cookie: dict[str, str], headers: dict[str, str] = PAGE) -> TestResponse:
    return client.get(URL, headers=headers | cookie, buffered=True)


def cached(app: Flask, **options: Any) -> tuple[Client, SharedCache]:
    """Put an empty cache in front of *app*."""
    cache = SharedCache(app, SteppedClock(wall=time.time()), **options)
    return Client(cache, use_cookies=False), cache


def seen(response: TestResponse) -> tuple[int, bytes, str | None, str | None]:
    """Return what distinguishes responses for a visitor."""
    return (
        response.status_code,
        response.data,
        response.headers.get("Location"),
        response.headers.get("Set-Cookie"),
    )


# --- the cache itself: it is greedy, and mixes up unprotected responses --------------------------


def who() -> str:
    """Return whom the cookie names, unverified: what a view without this package would do."""
    return next((name for name in ("ada", "bob") if name in request.cookies), "nobody")


@pytest.fixture
def unprotected() -> tuple[Flask, Visitors]:
    """An app that leaves its view alone, and cookies that it reads by itself."""
    app = make_app()
    return app, {"ada": {"Cookie": "ada=1"}, "bob": {"Cookie": "bob=1"}, "stranger": {}}


@pytest.mark.parametrize(
    ("headers", "is_mixed"),
    [
        pytest.param({"Cache-Control": "public, max-age=60"}, True, id="public"),
        pytest.param({"Cache-Control": "max-age=60"}, True, id="max-age"),
        pytest.param({"Cache-Control": "S-MaxAge=1, s-maxage=60"}, True, id="s-maxage"),
        pytest.param({"Expires": http_date(IN_EIGHT_HOURS)}, True, id="Expires"),
        pytest.param({"Last-Modified": http_date(AN_HOUR_AGO)}, True, id="Last-Modified"),
        pytest.param({"Cache-Control": "max-age=60", "Set-Cookie": "a=b"}, True, id="Set-Cookie"),
        pytest.param({"Cache-Control": 'max-age=60, private="X-A"'}, True, id="private field"),
        pytest.param({"Cache-Control": "must-understand, no-store, max-age=60"}, True, id="known"),
        pytest.param({}, False, id="nothing said"),
        pytest.param({"Expires": "0"}, False, id="expired"),
        pytest.param({"Cache-Control": "no-store"}, False, id="no-store"),
        pytest.param({"Cache-Control": "Private, max-age=60"}, False, id="private"),
        pytest.param({"Cache-Control": "public, no-cache, max-age=60"}, False, id="no-cache"),
        pytest.param({"Cache-Control": "max-age=0"}, False, id="max-age zero"),
        pytest.param({"Cache-Control": "s-maxage=0, max-age=60"}, False, id="s-maxage zero"),
        pytest.param({"Cache-Control": "max-age=60", "Vary": "Cookie"}, False, id="Vary: Cookie"),
        pytest.param({"Cache-Control": "max-age=60", "Vary": "*"}, False, id="Vary: *"),
    ],
)
def test_plain_view_is_mixed_where_the_standard_allows_it(
    unprotected: tuple[Flask, Visitors], headers: dict[str, str], is_mixed: bool
) -> None:
    app, visitors = unprotected
    app.add_url_rule(URL, "it", session_exempt(lambda: (f"of {who()}", headers)))
    client, cache = cached(app)
    assert ask(client, visitors["ada"]).text == "of ada"
    assert ask(client, visitors["bob"]).text == ("of ada" if is_mixed else "of bob")
    assert cache.reused == is_mixed


@pytest.mark.parametrize(
    ("said", "is_reused"),
    [("max-age=60", False), ("max-age=60, public", True), ("max-age=60, must-revalidate", True)],
)
def test_answer_to_an_authorization_header_is_kept_only_where_it_says_so(
    unprotected: tuple[Flask, Visitors], said: str, is_reused: bool
) -> None:
    app, _ = unprotected
    app.add_url_rule(URL, "it", session_exempt(lambda: ("x", {"Cache-Control": said})))
    client, cache = cached(app)
    for _ in range(2):
        client.get(URL, headers={"Authorization": "Bearer x"})
    assert cache.reused == is_reused


def test_cache_asks_again_once_an_answer_is_stale_and_uses_it_where_nothing_changed(
    unprotected: tuple[Flask, Visitors],
) -> None:
    app, visitors = unprotected
    asked: list[str | None] = []

    def view() -> Any:
        asked.append(request.headers.get("If-None-Match"))
        response = make_response(f"of {who()}")
        response.headers["Cache-Control"] = "max-age=60"
        response.set_etag("always the same")
        return response.make_conditional(request)

    app.add_url_rule(URL, "it", session_exempt(view))
    clock = SteppedClock()
    client = Client(SharedCache(app, clock), use_cookies=False)
    for _ in range(2):
        ask(client, visitors["ada"])
    assert asked == [None]
    clock.advance(61)
    assert ask(client, visitors["bob"]).text == "of ada"
    assert asked == [None, '"always the same"']
    assert ask(client, visitors["bob"]).headers["Age"] == "0"
    assert len(asked) == 2


def test_cache_forgets_what_was_changed_and_serves_stale_answers_while_the_app_fails(
    unprotected: tuple[Flask, Visitors],
) -> None:
    app, visitors = unprotected
    statuses = [200, 500, 200, 200]

    @app.route(URL, methods=["GET", "POST"])
    @session_exempt
    def it() -> Any:
        return f"of {who()}", statuses.pop(0), {"Cache-Control": "max-age=60"}

    clock = SteppedClock()
    client = Client(SharedCache(app, clock), use_cookies=False)
    ask(client, visitors["ada"])
    clock.advance(61)
    assert ask(client, visitors["bob"]).text == "of ada"
    client.post(URL)
    assert ask(client, visitors["bob"]).text == "of bob"


def test_file_sent_to_one_user_without_this_package_is_handed_to_all(
    unprotected: tuple[Flask, Visitors],
) -> None:
    app, visitors = unprotected

    def view() -> Response:
        return send_file(io.BytesIO(who().encode()), download_name="invoice.txt", max_age=3600)

    app.add_url_rule(URL, "it", session_exempt(view))
    client, _ = cached(app)
    assert [ask(client, cookie).text for cookie in visitors.values()] == ["ada", "ada", "ada"]


# --- every kind of view, every visitor, every order ----------------------------------------------


def name() -> str:
    """Return whose content the view shows."""
    return g.session.user_id if g.session else "everybody"


def saying(headers: dict[str, str] | None = None, status: int = 200) -> View:
    """Return a view with content of the visitor's own and *headers*."""
    return lambda: (f"secret of {name()}", status, headers or {})


def with_constant_tag() -> Any:
    """Return one tag for all visitors' content, which is a mistake."""
    response = make_response(f"secret of {name()}")
    response.cache_control.public = True
    response.cache_control.max_age = 0
    response.set_etag("always the same")
    return response.make_conditional(request)


def with_two_lines() -> Response:
    """Return a response whose second Cache-Control contradicts its first."""
    response = make_response(f"secret of {name()}")
    response.headers.add("Cache-Control", "private")
    response.headers.add("Cache-Control", "public, s-maxage=600")
    return response


def with_cookie() -> Response:
    response = make_response(f"secret of {name()}")
    response.set_cookie("basket", name())
    response.cache_control.public = True
    response.cache_control.max_age = 600
    return response


def unchanged_for_all(view: View, *, tag: bool = True, date: bool = True) -> View:
    """Return *view* with one tag and one date for all visitors, and a 304 before it runs."""

    def validated(response: Response) -> Any:
        response.cache_control.no_cache = True
        if tag:
            response.set_etag("always the same")
        if date:
            response.headers["Last-Modified"] = http_date(AN_HOUR_AGO)
        return response.make_conditional(request)

    def conditional() -> Any:
        unchanged = validated(make_response(""))
        return unchanged if unchanged.status_code == 304 else validated(make_response(view()))

    return conditional


def streamed() -> Response:
    def parts() -> Iterator[str]:
        yield "secret of "
        yield name_at_start

    name_at_start = name()
    return Response(parts(), headers={"Cache-Control": "public, max-age=600"})


def failing() -> str:
    raise RuntimeError(name())


def file_in_memory() -> Response:
    return send_file(io.BytesIO(name().encode()), download_name="invoice.txt", max_age=3600)


def checked_later() -> Any:
    require_session()
    return f"secret of {name()}", PUBLIC


PUBLIC = {"Cache-Control": "public, max-age=600"}
SHARED = {"Cache-Control": "s-maxage=600"}
EDGE = {
    "Cache-Control": "public, s-maxage=600",
    "CDN-Cache-Control": "max-age=600",
    "Edge-Control": "max-age=600",
    "Surrogate-Control": "max-age=600",
    "X-Accel-Expires": "600",
    "X-LiteSpeed-Cache-Control": "public, max-age=600",
}

REQUIRED: dict[str, View] = {
    "plain": saying(),
    "public": saying(PUBLIC),
    "s-maxage": saying({"Cache-Control": "public, s-maxage=600, max-age=5"}),
    "capitals": saying({"Cache-Control": "Public, S-MaxAge=600"}),
    "max-age": saying({"Cache-Control": "max-age=600"}),
    "must-revalidate": saying({"Cache-Control": "max-age=600, must-revalidate"}),
    "stale-if-error": saying({"Cache-Control": "public, max-age=0, stale-if-error=600"}),
    "private for one field": saying({"Cache-Control": 'max-age=600, private="X-Other"'}),
    "no-store": saying({"Cache-Control": "no-store"}),
    "two lines": with_two_lines,
    "Expires": saying({"Expires": http_date(IN_EIGHT_HOURS)}),
    "Last-Modified": saying({"Last-Modified": http_date(AN_HOUR_AGO)}),
    "Vary": saying(PUBLIC | {"Vary": "Accept"}),
    "Set-Cookie": with_cookie,
    "one tag for all": with_constant_tag,
    "file": file_in_memory,
    "streamed": streamed,
    "streamed template": lambda: stream_template("who.html"),
    "permanent redirect": lambda: redirect(f"/user/{name()}", 301),
    "not found": lambda: abort(404),
    "gone": saying(PUBLIC, 410),
    "failing": failing,
}

# A template decides, or the page is optional: only ``Vary`` separates the visitors.
VARYING: dict[str, View] = {
    "template": lambda: render_template("page.html"),
    "public template": lambda: (render_template("page.html"), PUBLIC),
    "shared template": lambda: (render_template("page.html"), SHARED),
    "modified template": lambda: (
        render_template("page.html"),
        {"Last-Modified": http_date(AN_HOUR_AGO)},
    ),
    "template that looks at g.session": lambda: (render_template("looking.html"), EDGE),
    "streamed template that decides": lambda: (stream_template("page.html"), EDGE),
    "streamed template that looks": lambda: (stream_template("looking.html"), EDGE),
    "optional": session_optional(saying()),
    "public and optional": session_optional(saying(PUBLIC)),
    "shared and optional": session_optional(saying(SHARED)),
    "optional, modified": session_optional(saying({"Last-Modified": http_date(AN_HOUR_AGO)})),
    "optional file": session_optional(file_in_memory),
    "optional redirect": session_optional(lambda: redirect(f"/user/{name()}", 301)),
    "optional, checked later": session_optional(checked_later),
}


def app_with(view: View, **settings: Any) -> Flask:
    """Return an app with one view, whose error pages decide in their template."""
    app = make_app(**settings)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    page = TEMPLATE_GUARD.replace("content", "{{ g.session.user_id }}")
    optional = page.replace("needs_refresh", "needs_refresh(optional=True)")
    with_templates(app, page=page, optional=optional, who=WHO, looking=LOOKING)
    app.add_url_rule(URL, "it", view)
    for status in (404, 500):
        app.register_error_handler(status, lambda error: (render_template("page.html"), error.code))
    return app


WHO = "secret of {{ g.session.user_id }}"
# The session itself decides, and the view has set its headers by then.
LOOKING = (
    "{% from 'refresh_page.html' import refresh_page %}"
    "{% if g.session %}{{ g.session.user_id }}{% else %}{{ refresh_page() }}{% endif %}"
)


def assert_never_mixed(app: Flask, visitors: Visitors, **options: Any) -> list[SharedCache]:
    """Request the page and the script response, in every order; return the caches."""
    direct = app.test_client(use_cookies=False)
    rounds = (PAGE, FETCH)
    expected = [
        {name: seen(ask(direct, cookie, kind)) for name, cookie in visitors.items()}
        for kind in rounds
    ]
    caches = []
    for order in permutations(visitors):
        client, cache = cached(app, **options)
        caches.append(cache)
        for kind, answers in zip(rounds, expected, strict=True):
            for visitor in order:
                assert seen(ask(client, visitors[visitor], kind)) == answers[visitor], order
    assert len(caches) == 24
    return caches


def refusals(cache: SharedCache) -> list[str]:
    """Return the responses of this package that the cache stores."""
    kept = [one for answers in cache.stored.values() for one in answers]
    return [
        one.status
        for one in kept
        if "SSR-Session" in one.headers or b"data-ssr-session" in one.body
    ]


@pytest.mark.parametrize("heeds_vary", [True, False], ids=["", "Vary ignored"])
@pytest.mark.parametrize("view", REQUIRED.values(), ids=REQUIRED)
def test_view_behind_session_required_is_kept_by_no_shared_cache(
    visitors: Visitors, view: View, heeds_vary: bool
) -> None:
    app = app_with(session_required(view))
    for cache in assert_never_mixed(app, visitors, heeds_vary=heeds_vary):
        assert not cache.stored
        assert cache.reused == 0


def test_file_on_disk_behind_session_required_is_kept_by_no_shared_cache(
    visitors: Visitors, tmp_path: Path
) -> None:
    """It has a tag and a date, and is revalidated by both."""
    for user in ("ada", "bob"):
        (tmp_path / user).write_text(f"invoice of {user}")
    app = app_with(session_required(lambda: send_file(tmp_path / name(), "text/plain", max_age=60)))
    for cache in assert_never_mixed(app, visitors, heeds_vary=False):
        assert not cache.stored
    answer = ask(app.test_client(use_cookies=False), visitors["ada"])
    assert seen(answer)[1] == b"invoice of ada"
    assert answer.headers["ETag"]
    assert answer.headers["Last-Modified"]


@pytest.mark.parametrize("flow", ["inline", "redirect"])
def test_blueprint_that_requires_a_session_is_kept_by_no_shared_cache(
    visitors: Visitors, flow: str
) -> None:
    app = make_app(refresh_flow=flow)
    blueprint = Blueprint("guarded", __name__)
    blueprint.before_request(require_session)
    blueprint.add_url_rule(URL, "it", saying(PUBLIC))
    app.register_blueprint(blueprint)
    for cache in assert_never_mixed(app, visitors, heeds_vary=False):
        assert not cache.stored


@pytest.mark.parametrize("targeted", [False, True], ids=["", "CDN-Cache-Control"])
@pytest.mark.parametrize("view", VARYING.values(), ids=VARYING)
def test_page_that_varies_is_never_mixed(visitors: Visitors, view: View, *, targeted: bool) -> None:
    for cache in assert_never_mixed(app_with(view), visitors, targeted=targeted):
        assert refusals(cache) == []


def test_pages_that_vary_are_kept_for_strangers_and_files_for_everybody_apart(
    visitors: Visitors,
) -> None:
    """Twin of the above: the cache does keep and reuse what is not of one user alone."""
    page, file = session_optional(saying(PUBLIC)), session_optional(file_in_memory)
    whose = {"ada": "ada", "bob": "bob", "stranger": "everybody"}
    for view, shown, kept in ((page, "secret of {}", ["stranger"]), (file, "{}", list(whose))):
        client, cache = cached(app_with(view))
        for _ in range(2):
            for visitor, user in whose.items():
                assert ask(client, visitors[visitor]).text == shown.format(user)
        assert len(cache.stored[f"http://localhost{URL}"]) == cache.reused == len(kept)


# --- the cache of one browser, in which visitors come and go -------------------------------------

# Each responds with 304 before it renders anything.
UNCHANGED: dict[str, View] = {
    "decided": unchanged_for_all(lambda: render_template("page.html")),
    "decided, tag": unchanged_for_all(lambda: render_template("page.html"), date=False),
    "decided, date": unchanged_for_all(lambda: render_template("page.html"), tag=False),
    "looking": unchanged_for_all(lambda: render_template("looking.html")),
    "optional": unchanged_for_all(lambda: f"secret of {name()}"),
    "marked optional": session_optional(unchanged_for_all(lambda: f"secret of {name()}")),
    "required": session_required(unchanged_for_all(lambda: f"secret of {name()}")),
}


@pytest.mark.parametrize("view", UNCHANGED.values(), ids=UNCHANGED)
def test_browser_shows_nobody_what_it_keeps_of_another_visitor(
    visitors: Visitors, view: View
) -> None:
    app = app_with(view)
    direct = app.test_client(use_cookies=False)
    # The last of them has the cookies of the first, during an outage.
    sequence = [*visitors, "ada, outage"]
    visitors = visitors | {"ada, outage": visitors["ada"]}

    def show(client: Client, visitor: str) -> tuple[int, bytes, str | None, str | None]:
        with outage(app) if "outage" in visitor else nullcontext():
            return seen(ask(client, visitors[visitor]))

    expected = {visitor: show(direct, visitor) for visitor in sequence}
    for order in permutations(sequence):
        client, _ = cached(app, in_browser=True)
        for visitor in order:
            assert show(client, visitor) == expected[visitor], order


@pytest.mark.parametrize("visitor", ["ada", "stranger"])
@pytest.mark.parametrize("view", UNCHANGED.values(), ids=UNCHANGED)
def test_browser_is_told_that_its_visitors_own_page_is_unchanged(
    visitors: Visitors, view: View, visitor: str
) -> None:
    """Twin of the above: a page of this package is never stored."""
    client, cache = cached(app_with(view), in_browser=True)
    first, second = (ask(client, visitors[visitor]) for _ in range(2))
    assert seen(first) == seen(second)
    is_ours = first.status_code == 302 or bool(page_shown(first))
    assert cache.confirmed == (0 if is_ours else 1)
    if visitor == "ada":
        assert second.cache_control.private


# --- what each answer says -----------------------------------------------------------------------


def csv_in_parts() -> Response:
    return Response((part for part in ("a,", "b\n")), mimetype="text/csv", headers=EDGE)


def html_file() -> Response:
    response = send_file(io.BytesIO(b"<p>the same for all"), "text/html", conditional=False)
    response.headers.update(EDGE)
    return response


def feed() -> Response:
    return Response("<rss/>", mimetype="application/rss+xml", headers=EDGE)


LEFT, PRIVATE, NO_STORE = EDGE["Cache-Control"], "private", "no-store"
OURS = ("no-store",) * 6

ASKING: dict[str, Callable[[], dict[str, str]]] = {
    "active": lambda: cookies(make_token()),
    "stranger": dict,
    "expired": lambda: cookies(expired_token()),
    "expired, goes on signed out": lambda: cookies(expired_token()),
    "outage": lambda: cookies(make_token()),
    "from the future": lambda: cookies(make_token(issued_at=time.time() + 120)),
    "other site": lambda: (
        cookies(make_token())
        | {"X-HTTP-Method-Override": "POST", "Origin": "https://evil.example"}
        | {"Sec-Fetch-Site": "cross-site"}
    ),
}

# view: the headers for each of ASKING, if the view sets EDGE
SAID: dict[str, tuple[View, tuple[str, ...]]] = {
    "page": (saying(EDGE), (PRIVATE, LEFT, LEFT, LEFT, NO_STORE, NO_STORE, NO_STORE)),
    "page that is a file": (
        html_file,
        (PRIVATE, LEFT, LEFT, LEFT, NO_STORE, NO_STORE, NO_STORE),
    ),
    "optional page": (
        session_optional(saying(EDGE)),
        (PRIVATE, LEFT, NO_STORE, NO_STORE, NO_STORE, NO_STORE, NO_STORE),
    ),
    "optional by its template": (
        lambda: (render_template("optional.html"), EDGE),
        (PRIVATE, LEFT, NO_STORE, NO_STORE, NO_STORE, NO_STORE, NO_STORE),
    ),
    "template that decides": (lambda: (render_template("page.html"), EDGE), (PRIVATE, *OURS)),
    "template that looks": (lambda: (render_template("looking.html"), EDGE), (PRIVATE, *OURS)),
    "streamed template that decides": (
        lambda: (stream_template("page.html"), EDGE),
        (PRIVATE, *OURS),
    ),
    "streamed template that looks": (
        lambda: (stream_template("looking.html"), EDGE),
        (PRIVATE, *OURS),
    ),
    "streamed page": (lambda: (iter(["a", "b"]), EDGE), (PRIVATE, *OURS)),
    "required page": (session_required(saying(EDGE)), (PRIVATE, *OURS)),
    "required feed": (session_required(lambda: feed()), (PRIVATE, *OURS)),
    "feed": (lambda: feed(), (LEFT,) * 7),
    "streamed CSV": (csv_in_parts, (LEFT,) * 7),
    "exempt page": (session_exempt(saying(EDGE)), (LEFT,) * 7),
    "exempt page that asks who it is": (
        session_exempt(lambda: (f"page of {get_ssr_session()}", EDGE)),
        (PRIVATE, LEFT, LEFT, LEFT, NO_STORE, NO_STORE, NO_STORE),
    ),
    "exempt streamed page": (session_exempt(lambda: (iter(["a"]), EDGE)), (LEFT,) * 7),
}


@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("view", SAID)
def test_caches_are_told_whose_an_answer_is(view: str, asking: str) -> None:
    run, said = SAID[view]
    app = app_with(run)
    client = app.test_client(use_cookies=False)
    url = f"{URL}?continueSignedOut=1" if "signed out" in asking else URL
    with outage(app) if asking == "outage" else nullcontext():
        answer = client.get(url, headers=PAGE | ASKING[asking](), buffered=True)
    expected = said[tuple(ASKING).index(asking)]
    assert answer.headers["Cache-Control"] == expected
    kept = {name for name in EDGE if name in answer.headers}
    assert kept == (set(EDGE) if expected == LEFT else {"Cache-Control"})
    assert ("Vary" in answer.headers) is (view not in ("exempt page", "exempt streamed page"))


@pytest.mark.parametrize("media_type", ["text/html", "text/vnd.turbo-stream.html"])
def test_directives_in_capitals_are_the_same(media_type: str) -> None:
    headers = {"Cache-Control": "Public, S-MaxAge=600, Max-Age=60", "Content-Type": media_type}
    client = app_with(lambda: ("page", headers)).test_client(use_cookies=False)
    said = client.get(URL, headers=PAGE | cookies(make_token())).headers["Cache-Control"]
    assert sorted(said.split(", ")) == ["max-age=60", "private"]


def test_robots_may_list_a_streamed_page_that_strangers_may_see() -> None:
    app = app_with(lambda: (stream_template("page.html"), EDGE))
    client = app.test_client(use_cookies=False)
    stranger, expired = (ask(client, ASKING[asking]()) for asking in ("stranger", "expired"))
    assert "X-Robots-Tag" not in stranger.headers
    assert expired.headers["X-Robots-Tag"] == "noindex"
    assert expired.headers["SSR-Session"] == "refresh; reason=expired"


def test_page_open_to_all_is_made_private_without_a_word(
    visitors: Visitors, caplog: pytest.LogCaptureFixture
) -> None:
    """Twin: behind session_required the view is wrong for all visitors, and the log says so."""
    for view, lines in ((saying(PUBLIC), 0), (session_required(saying(PUBLIC)), 1)):
        answer = ask(app_with(view).test_client(use_cookies=False), visitors["ada"])
        assert answer.headers["Cache-Control"] == "max-age=600, private"
        assert caplog.text.count("private.it") == lines


@pytest.mark.parametrize("heeds_vary", [True, False], ids=["", "Vary ignored"])
@pytest.mark.parametrize(
    "kind",
    [
        PAGE,
        FETCH,
        PAGE | {"Sec-Purpose": "prefetch"},
        PAGE | {"Sec-Purpose": "prefetch;prerender"},
        {"HX-Request": "true", "Accept": "*/*"},
    ],
    ids=["page", "script", "prefetch", "prerender", "htmx"],
)
@pytest.mark.parametrize(
    "settings", [{}, {"refresh_flow": "redirect"}, {"always_try_refresh": True}]
)
def test_answers_of_ours_are_kept_by_no_cache_whatever_the_app_adds(
    visitors: Visitors, settings: dict[str, Any], kind: dict[str, str], heeds_vary: bool
) -> None:
    app = app_with(session_required(saying()), **settings)

    @app.after_request
    def keep_everything(response: Response) -> Response:
        response.headers.update(PUBLIC | {"Last-Modified": http_date(AN_HOUR_AGO)})
        response.headers["Expires"] = http_date(time.time() + 600)
        response.add_etag()
        return response

    client, cache = cached(app, heeds_vary=heeds_vary)
    for url in (URL, f"/refresh-session?redirectBack={URL}", "/nothing-here"):
        for visitor, cookie in visitors.items():
            with outage(app):
                client.get(url, headers=kind | cookie)
            answer = client.get(url, headers=kind | cookie)
            assert ("SSR-Session" in answer.headers) == (url != URL or visitor in REFUSED) or (
                url == "/nothing-here"
            )
    assert refusals(cache) == []
    assert f"http://localhost{URL}" not in cache.stored


REFUSED = ("stranger", "ada, expired")


def test_outage_is_shown_to_the_user_whose_page_was_just_sent(visitors: Visitors) -> None:
    app = app_with(session_required(saying({"Cache-Control": "public, max-age=0"})))
    client, _ = cached(app)
    assert ask(client, visitors["ada"]).text == "secret of ada"
    with outage(app):
        answer = ask(client, visitors["ada"])
    assert (answer.status_code, page_shown(answer)) == (503, "outage")
    assert ask(client, visitors["ada"]).text == "secret of ada"


# --- ways around no-store and private -------------------------------------------------------------


def test_no_store_that_a_view_takes_back_is_not_enough(visitors: Visitors) -> None:
    said = {"Cache-Control": "must-understand, no-store, max-age=600"}
    for cache in assert_never_mixed(app_with(session_required(saying(said))), visitors):
        assert not cache.stored


@pytest.mark.parametrize("visitor", ["ada", "stranger", "ada, expired"])
def test_field_for_delivery_networks_alone_opens_nothing(visitors: Visitors, visitor: str) -> None:
    app = app_with(session_required(saying()))

    @app.after_request
    def keep_at_the_edge(response: Response) -> Response:
        response.headers["CDN-Cache-Control"] = "max-age=600"
        return response

    client, cache = cached(app, targeted=True)
    ask(client, visitors[visitor])
    assert not cache.stored


@pytest.mark.parametrize("said", [{}, PUBLIC], ids=["nothing said", "public"])
def test_page_that_a_template_showed_is_not_shown_again_in_an_outage(
    visitors: Visitors, said: dict[str, str]
) -> None:
    app = app_with(lambda: (render_template("page.html"), said))
    client, _ = cached(app)
    assert ask(client, visitors["ada"]).text == "ada"
    with outage(app):
        assert page_shown(ask(client, visitors["ada"])) == "outage"


# --- Flask-Caching -------------------------------------------------------------------------------


def of_user() -> str:
    """Return a key under which only one user's content is kept."""
    return f"{request.path} {g.session.user_id}"


@pytest.fixture
def caching() -> tuple[Flask, Cache]:
    app = app_with(lambda: "")
    return app, Cache(app, config={"CACHE_TYPE": "SimpleCache"})


def answers(app: Flask, visitors: Visitors, view: View, *order: str) -> list[str]:
    """Return what *view* shows to each visitor in turn."""
    app.view_functions["it"] = view
    client = app.test_client(use_cookies=False)
    pages = [ask(client, visitors[visitor]) for visitor in order]
    return [page_shown(page) or page.headers.get("Location") or page.text for page in pages]


SIGN_IN = f"/auth?redirectToPath={URL}"


def test_flask_caching_below_session_required_shows_content_to_users_only(
    caching: tuple[Flask, Cache], visitors: Visitors
) -> None:
    app, cache = caching
    counted: list[str] = []

    def view() -> str:
        counted.append(name())
        return "the same for every user"

    for order in permutations(visitors):
        cache.clear()
        counted.clear()
        shown = answers(app, visitors, session_required(cache.cached()(view)), *order)
        assert dict(zip(order, shown, strict=True)) == {
            "ada": "the same for every user",
            "bob": "the same for every user",
            "stranger": SIGN_IN,
            "ada, expired": "refresh",
        }
        assert len(counted) == 1


def test_flask_caching_with_a_key_of_the_user_mixes_nobody(
    caching: tuple[Flask, Cache], visitors: Visitors
) -> None:
    app, cache = caching
    for order in permutations(visitors):
        cache.clear()
        view = session_required(cache.cached(make_cache_key=of_user)(saying()))
        shown = answers(app, visitors, view, *order, *order)
        assert dict(zip(order, shown[:4], strict=True)) == {
            "ada": "secret of ada",
            "bob": "secret of bob",
            "stranger": SIGN_IN,
            "ada, expired": "refresh",
        }
        assert shown[:4] == shown[4:]


def test_flask_caching_without_such_a_key_hands_one_users_content_to_the_next(
    caching: tuple[Flask, Cache], visitors: Visitors
) -> None:
    """This package cannot detect it: the order is right, but the cache key is wrong."""
    app, cache = caching
    view = session_required(cache.cached()(saying()))
    assert answers(app, visitors, view, "ada", "bob") == ["secret of ada", "secret of ada"]


def test_flask_caching_above_session_required_hands_content_to_strangers(
    caching: tuple[Flask, Cache], visitors: Visitors
) -> None:
    """The wrong order, both ways round: no check is run for what is cached."""
    app, cache = caching
    wrong = cache.cached()(session_required(saying()))
    assert answers(app, visitors, wrong, "ada", "stranger") == ["secret of ada", "secret of ada"]
    cache.clear()
    assert answers(app, visitors, wrong, "ada, expired", "ada") == ["refresh", "refresh"]


def test_flask_caching_around_a_template_that_decides_hands_content_to_strangers(
    caching: tuple[Flask, Cache], visitors: Visitors
) -> None:
    app, cache = caching
    view = cache.cached()(lambda: render_template("page.html"))
    assert answers(app, visitors, view, "ada", "stranger") == ["ada", "ada"]
    # Twin: behind session_required the template only ever runs for a session.
    cache.clear()
    assert answers(app, visitors, session_required(view), "ada", "stranger") == ["ada", SIGN_IN]
