"""The kind of a request, by the headers that browsers send, and the planned response."""

from __future__ import annotations

import itertools

import pytest
from werkzeug.datastructures import Headers

from flask_ssr_session.sansio.claims import ClaimFailure
from flask_ssr_session.sansio.policy_values import Plan, PolicyOptions, RequestFacts
from flask_ssr_session.sansio.request_kind import SAFE_METHODS, kind_of_request
from flask_ssr_session.sansio.response_policy import is_admitted_without_session, plan_response
from flask_ssr_session.sansio.states import Reason, RequestKind, ResponseKind, SessionState
from flask_ssr_session.sansio.verdict import Verdict

CHROMIUM_ACCEPT = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;"
    "q=0.8,application/signed-exchange;v=b3;q=0.7"
)
FIREFOX_ACCEPT = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

CHROMIUM_NAVIGATION = {
    "Upgrade-Insecure-Requests": "1",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0.0.0 Safari/537.36",
    "Accept": CHROMIUM_ACCEPT,
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-User": "?1",
    "Sec-Fetch-Dest": "document",
    "Accept-Encoding": "gzip, deflate, br, zstd",
}
FIREFOX_NAVIGATION = {
    "Accept": FIREFOX_ACCEPT,
    "Upgrade-Insecure-Requests": "1",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
    "Sec-Fetch-User": "?1",
    "Priority": "u=0, i",
}
FETCH = {
    "Accept": "*/*",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
}

DOCUMENT, PREFETCH, SCRIPT = RequestKind.DOCUMENT, RequestKind.PREFETCH, RequestKind.SCRIPT


def without_fetch_metadata(headers: dict[str, str]) -> dict[str, str]:
    """Return what a browser sends over plain http to a host that is not this machine."""
    return {name: value for name, value in headers.items() if not name.startswith("Sec-Fetch-")}


@pytest.mark.parametrize(
    ("headers", "kind"),
    [
        # Pages
        pytest.param(CHROMIUM_NAVIGATION, DOCUMENT, id="Chromium navigation"),
        pytest.param(FIREFOX_NAVIGATION, DOCUMENT, id="Firefox navigation"),
        pytest.param(
            CHROMIUM_NAVIGATION | {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"},
            DOCUMENT,
            id="Chromium iframe",
        ),
        pytest.param(FIREFOX_NAVIGATION | {"Sec-Fetch-Dest": "frame"}, DOCUMENT, id="frame"),
        pytest.param(
            CHROMIUM_NAVIGATION
            | {
                "Sec-Fetch-Site": "same-origin",
                "Content-Type": "application/x-www-form-urlencoded",
            },
            DOCUMENT,
            id="native form",
        ),
        pytest.param({"Sec-Fetch-Dest": "document"}, DOCUMENT, id="destination document alone"),
        pytest.param({"Sec-Fetch-Dest": "iframe"}, DOCUMENT, id="destination iframe alone"),
        pytest.param({"Sec-Fetch-Dest": "frame"}, DOCUMENT, id="destination frame alone"),
        pytest.param(
            CHROMIUM_NAVIGATION | {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "same-origin"},
            DOCUMENT,
            id="Chromium navigation through a service worker",
        ),
        pytest.param(
            FIREFOX_NAVIGATION | {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "navigate"},
            DOCUMENT,
            id="Firefox navigation through a service worker",
        ),
        pytest.param(
            without_fetch_metadata(CHROMIUM_NAVIGATION), DOCUMENT, id="Chromium, plain http"
        ),
        pytest.param(
            without_fetch_metadata(FIREFOX_NAVIGATION), DOCUMENT, id="Firefox, plain http"
        ),
        pytest.param({"Accept": FIREFOX_ACCEPT}, DOCUMENT, id="old browser"),
        pytest.param({"Accept": "TEXT/HTML, */*"}, DOCUMENT, id="media types in capitals"),
        pytest.param(
            CHROMIUM_NAVIGATION | {"X-Requested-With": "com.example.app"},
            DOCUMENT,
            id="Android WebView",
        ),
        # Prefetched and prerendered pages
        pytest.param(
            CHROMIUM_NAVIGATION | {"Sec-Purpose": "prefetch", "Purpose": "prefetch"},
            PREFETCH,
            id="Chromium prefetch",
        ),
        pytest.param(
            CHROMIUM_NAVIGATION | {"Sec-Purpose": "prefetch;anonymous-client-ip"},
            PREFETCH,
            id="Chromium private prefetch",
        ),
        pytest.param(CHROMIUM_NAVIGATION | {"Purpose": "prefetch"}, PREFETCH, id="old Chromium"),
        pytest.param(FIREFOX_NAVIGATION | {"X-Moz": "prefetch"}, PREFETCH, id="old Firefox"),
        pytest.param(
            FIREFOX_NAVIGATION | {"Sec-Purpose": "Prefetch"}, PREFETCH, id="prefetch in capitals"
        ),
        pytest.param(
            CHROMIUM_NAVIGATION | {"Sec-Purpose": "prefetch;prerender", "Purpose": "prefetch"},
            DOCUMENT,
            id="Chromium prerender",
        ),
        pytest.param(CHROMIUM_NAVIGATION | {"Purpose": "preview"}, DOCUMENT, id="another purpose"),
        pytest.param(FETCH | {"Sec-Purpose": "prefetch"}, SCRIPT, id="prefetch of no page"),
        # Scripts and everything else
        pytest.param(FETCH, SCRIPT, id="fetch"),
        pytest.param(FETCH | {"Accept": "text/html"}, SCRIPT, id="fetch of HTML"),
        pytest.param(
            FETCH | {"Accept": FIREFOX_ACCEPT}, SCRIPT, id="fetch with a navigation's Accept"
        ),
        pytest.param(FETCH | {"X-Requested-With": "XMLHttpRequest"}, SCRIPT, id="XHR"),
        pytest.param(
            {"Accept": "text/html, */*; q=0.01", "X-Requested-With": "XMLHttpRequest"},
            SCRIPT,
            id="jQuery, plain http",
        ),
        pytest.param(
            {"Accept": "application/json, text/plain, */*"}, SCRIPT, id="axios, plain http"
        ),
        pytest.param(FETCH | {"HX-Request": "true", "HX-Target": "list"}, SCRIPT, id="htmx"),
        pytest.param(
            {"Accept": "text/html, */*", "HX-Request": "true"}, SCRIPT, id="htmx, plain http"
        ),
        pytest.param(
            FETCH | {"Accept": "text/html, application/xhtml+xml", "Turbo-Frame": "list"},
            SCRIPT,
            id="Turbo frame",
        ),
        pytest.param(
            {"Accept": "text/html, application/xhtml+xml, */*", "Turbo-Frame": "list"},
            SCRIPT,
            id="Turbo frame, plain http",
        ),
        pytest.param(
            {"Accept": "text/html, application/xhtml+xml"}, SCRIPT, id="Turbo visit, plain http"
        ),
        pytest.param({"Accept": "*/*"}, SCRIPT, id="curl"),
        pytest.param({"Accept": "*/*", "Accept-Encoding": "gzip"}, SCRIPT, id="requests"),
        pytest.param({"Accept": "text/html"}, SCRIPT, id="HTML only"),
        pytest.param({}, SCRIPT, id="no headers"),
        pytest.param({"Upgrade-Insecure-Requests": "1"}, SCRIPT, id="upgrade without HTML"),
        pytest.param(
            FETCH | {"Upgrade-Insecure-Requests": "1"}, SCRIPT, id="upgrade without HTML, fetch"
        ),
        pytest.param(
            {"Accept": FIREFOX_ACCEPT, "Sec-Fetch-Site": "same-origin"}, SCRIPT, id="site only"
        ),
        pytest.param({"Accept": FIREFOX_ACCEPT, "Sec-Fetch-Mode": "cors"}, SCRIPT, id="mode only"),
        pytest.param({"Accept": "image/avif,*/*", "Sec-Fetch-Dest": "image"}, SCRIPT, id="image"),
        pytest.param({"Accept": "*/*", "Sec-Fetch-Dest": "script"}, SCRIPT, id="script element"),
        pytest.param(
            {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-Fetch-Dest": "websocket"},
            SCRIPT,
            id="websocket",
        ),
        pytest.param(
            CHROMIUM_NAVIGATION | {"Upgrade": "WebSocket"}, SCRIPT, id="websocket like a page"
        ),
        pytest.param(CHROMIUM_NAVIGATION | {"Upgrade": "h2c"}, DOCUMENT, id="another upgrade"),
    ],
)
def test_kind_of_request(headers: dict[str, str], kind: RequestKind) -> None:
    assert kind_of_request(Headers(headers).get) is kind


# Answers

ACTIVE, REFRESH = SessionState.ACTIVE, SessionState.REFRESH
ANONYMOUS, UNAVAILABLE = SessionState.ANONYMOUS, SessionState.UNAVAILABLE
REFUSED = SessionState.REFUSED
PENDING = SessionState.PENDING

# One reason of each state.
REASONS = {Verdict(reason).state: reason for reason in reversed(Reason)}


def plan(
    state: SessionState,
    kind: RequestKind = DOCUMENT,
    *,
    is_safe: bool = True,
    always_try_refresh: bool = False,
    refresh_flow: str = "inline",
    failures: tuple[ClaimFailure, ...] = (),
) -> Plan:
    facts = RequestFacts(kind, is_safe, "/account", "/account", "/refresh-session")
    options = PolicyOptions(
        "/auth",
        factor_url="/auth/mfa",
        always_try_refresh=always_try_refresh,
        redirects=refresh_flow == "redirect",
    )
    return plan_response(Verdict(REASONS[state]), facts, options, failures=failures)


def answer_for(
    state: SessionState,
    kind: RequestKind,
    *,
    is_safe: bool,
    optional: bool = False,
    continues_signed_out: bool = False,
    always_try_refresh: bool = False,
    refresh_flow: str = "inline",
) -> ResponseKind:
    if state is not ACTIVE and is_admitted_without_session(
        state, optional=optional, continues_signed_out=continues_signed_out
    ):
        return ResponseKind.ALLOW
    return plan(
        state,
        kind,
        is_safe=is_safe,
        always_try_refresh=always_try_refresh,
        refresh_flow=refresh_flow,
    ).kind


@pytest.mark.parametrize(
    ("state", "kind", "is_safe", "answer"),
    [
        pytest.param(REFRESH, DOCUMENT, True, ResponseKind.REFRESH_PAGE, id="expired page"),
        pytest.param(REFRESH, DOCUMENT, False, ResponseKind.REFRESH_PAGE, id="expired form"),
        pytest.param(REFRESH, SCRIPT, True, ResponseKind.TRY_REFRESH, id="expired fetch"),
        pytest.param(
            REFRESH, SCRIPT, False, ResponseKind.TRY_REFRESH, id="expired fetch with a body"
        ),
        pytest.param(
            REFRESH, PREFETCH, True, ResponseKind.PREFETCH_DECLINED, id="expired prefetch"
        ),
        pytest.param(
            ANONYMOUS, DOCUMENT, True, ResponseKind.SIGN_IN_REDIRECT, id="stranger's page"
        ),
        pytest.param(ANONYMOUS, DOCUMENT, False, ResponseKind.SIGN_IN_PAGE, id="stranger's form"),
        pytest.param(ANONYMOUS, SCRIPT, True, ResponseKind.UNAUTHORISED, id="stranger's fetch"),
        pytest.param(ANONYMOUS, SCRIPT, False, ResponseKind.UNAUTHORISED, id="with a body"),
        pytest.param(
            ANONYMOUS, PREFETCH, True, ResponseKind.PREFETCH_DECLINED, id="stranger's prefetch"
        ),
        pytest.param(UNAVAILABLE, DOCUMENT, True, ResponseKind.OUTAGE_PAGE, id="page in an outage"),
        pytest.param(
            UNAVAILABLE, DOCUMENT, False, ResponseKind.OUTAGE_PAGE, id="form in an outage"
        ),
        pytest.param(
            UNAVAILABLE, SCRIPT, True, ResponseKind.UNAVAILABLE_JSON, id="fetch in an outage"
        ),
        pytest.param(
            UNAVAILABLE, SCRIPT, False, ResponseKind.UNAVAILABLE_JSON, id="body in an outage"
        ),
        pytest.param(
            UNAVAILABLE, PREFETCH, True, ResponseKind.PREFETCH_DECLINED, id="prefetch in an outage"
        ),
        pytest.param(
            REFUSED, DOCUMENT, False, ResponseKind.CROSS_SITE_PAGE, id="form of another site"
        ),
        pytest.param(
            REFUSED, DOCUMENT, True, ResponseKind.CROSS_SITE_PAGE, id="or a GET that says POST"
        ),
        pytest.param(
            REFUSED, SCRIPT, False, ResponseKind.CROSS_SITE_JSON, id="fetch of another site"
        ),
        pytest.param(
            REFUSED, SCRIPT, True, ResponseKind.CROSS_SITE_JSON, id="WebSocket of another site"
        ),
        pytest.param(
            REFUSED, PREFETCH, True, ResponseKind.CROSS_SITE_JSON, id="prefetch for another site"
        ),
        pytest.param(PENDING, DOCUMENT, True, ResponseKind.FACTOR_REDIRECT, id="half signed in"),
        pytest.param(PENDING, DOCUMENT, False, ResponseKind.FACTOR_PAGE, id="form, half signed in"),
        pytest.param(PENDING, SCRIPT, True, ResponseKind.FACTOR_JSON, id="fetch, half signed in"),
        pytest.param(PENDING, SCRIPT, False, ResponseKind.FACTOR_JSON, id="body, half signed in"),
        pytest.param(
            PENDING, PREFETCH, True, ResponseKind.PREFETCH_DECLINED, id="prefetch, half signed in"
        ),
    ],
)
def test_answer_where_a_session_is_needed(
    state: SessionState, kind: RequestKind, is_safe: bool, answer: ResponseKind
) -> None:
    assert answer_for(state, kind, is_safe=is_safe) is answer


@pytest.mark.parametrize(
    ("state", "kind", "is_safe", "answer"),
    [
        pytest.param(REFRESH, DOCUMENT, True, ResponseKind.REFRESH_REDIRECT, id="expired page"),
        pytest.param(REFRESH, DOCUMENT, False, ResponseKind.REFRESH_PAGE, id="expired form"),
        pytest.param(REFRESH, SCRIPT, True, ResponseKind.TRY_REFRESH, id="expired fetch"),
        pytest.param(
            REFRESH, PREFETCH, True, ResponseKind.PREFETCH_DECLINED, id="expired prefetch"
        ),
        pytest.param(
            ANONYMOUS, DOCUMENT, True, ResponseKind.SIGN_IN_REDIRECT, id="stranger's page"
        ),
        pytest.param(ANONYMOUS, DOCUMENT, False, ResponseKind.SIGN_IN_PAGE, id="stranger's form"),
        pytest.param(UNAVAILABLE, DOCUMENT, True, ResponseKind.OUTAGE_PAGE, id="page in an outage"),
        pytest.param(REFUSED, DOCUMENT, True, ResponseKind.CROSS_SITE_PAGE, id="of another site"),
        pytest.param(PENDING, DOCUMENT, True, ResponseKind.FACTOR_REDIRECT, id="half signed in"),
    ],
)
def test_answer_in_the_redirect_flow(
    state: SessionState, kind: RequestKind, is_safe: bool, answer: ResponseKind
) -> None:
    assert answer_for(state, kind, is_safe=is_safe, refresh_flow="redirect") is answer


@pytest.mark.parametrize(
    ("state", "kind", "is_safe", "refresh_flow", "answer"),
    [
        pytest.param(ANONYMOUS, DOCUMENT, True, "inline", ResponseKind.REFRESH_PAGE, id="page"),
        pytest.param(ANONYMOUS, DOCUMENT, False, "inline", ResponseKind.REFRESH_PAGE, id="form"),
        pytest.param(ANONYMOUS, SCRIPT, True, "inline", ResponseKind.TRY_REFRESH, id="fetch"),
        pytest.param(
            ANONYMOUS, PREFETCH, True, "inline", ResponseKind.PREFETCH_DECLINED, id="prefetch"
        ),
        pytest.param(
            ANONYMOUS, DOCUMENT, True, "redirect", ResponseKind.REFRESH_REDIRECT, id="redirect"
        ),
        pytest.param(
            ANONYMOUS, DOCUMENT, False, "redirect", ResponseKind.REFRESH_PAGE, id="redirect form"
        ),
        pytest.param(UNAVAILABLE, DOCUMENT, True, "inline", ResponseKind.OUTAGE_PAGE, id="outage"),
        pytest.param(
            REFUSED, DOCUMENT, False, "inline", ResponseKind.CROSS_SITE_PAGE, id="another site"
        ),
        pytest.param(
            REFUSED, SCRIPT, False, "inline", ResponseKind.CROSS_SITE_JSON, id="its fetch"
        ),
    ],
)
def test_answer_where_strangers_refresh_first(
    state: SessionState, kind: RequestKind, is_safe: bool, refresh_flow: str, answer: ResponseKind
) -> None:
    assert (
        answer_for(state, kind, is_safe=is_safe, refresh_flow=refresh_flow, always_try_refresh=True)
        is answer
    )


@pytest.mark.parametrize("always_try_refresh", [False, True])
@pytest.mark.parametrize("refresh_flow", ["inline", "redirect"])
def test_active_session_always_passes_and_nothing_else_does(
    refresh_flow: str, always_try_refresh: bool
) -> None:
    for state, kind, is_safe in itertools.product(SessionState, RequestKind, (True, False)):
        answer = answer_for(
            state,
            kind,
            is_safe=is_safe,
            continues_signed_out=True,
            always_try_refresh=always_try_refresh,
            refresh_flow=refresh_flow,
        )
        assert (answer is ResponseKind.ALLOW) == (state is ACTIVE)


@pytest.mark.parametrize("kind", RequestKind)
@pytest.mark.parametrize(
    ("state", "continues_signed_out", "passes"),
    [
        pytest.param(ACTIVE, False, True, id="active"),
        pytest.param(ANONYMOUS, False, True, id="stranger"),
        pytest.param(UNAVAILABLE, False, True, id="outage"),
        pytest.param(REFUSED, False, True, id="sent by another site"),
        pytest.param(PENDING, False, True, id="half signed in"),
        pytest.param(REFRESH, False, False, id="expired"),
        pytest.param(REFRESH, True, True, id="expired, goes on signed out"),
    ],
)
def test_optional_page_asks_only_an_expired_session_to_refresh(
    kind: RequestKind, state: SessionState, continues_signed_out: bool, passes: bool
) -> None:
    answer = answer_for(
        state, kind, is_safe=True, optional=True, continues_signed_out=continues_signed_out
    )

    assert (answer is ResponseKind.ALLOW) == passes
    if not passes:
        assert answer is answer_for(state, kind, is_safe=True)


@pytest.mark.parametrize(
    ("state", "always_try_refresh", "page"),
    [
        (REFRESH, False, ResponseKind.REFRESH_PAGE),
        (REFRESH, True, ResponseKind.REFRESH_PAGE),
        (ANONYMOUS, False, ResponseKind.SIGN_IN_PAGE),
        (ANONYMOUS, True, ResponseKind.REFRESH_PAGE),
        (UNAVAILABLE, False, ResponseKind.OUTAGE_PAGE),
        (UNAVAILABLE, True, ResponseKind.OUTAGE_PAGE),
        (REFUSED, False, ResponseKind.CROSS_SITE_PAGE),
        (REFUSED, True, ResponseKind.CROSS_SITE_PAGE),
        (PENDING, False, ResponseKind.FACTOR_PAGE),
        (PENDING, True, ResponseKind.FACTOR_PAGE),
    ],
)
def test_page_in_place_of_content(
    state: SessionState, always_try_refresh: bool, page: ResponseKind
) -> None:
    assert plan(state, always_try_refresh=always_try_refresh).page is page


def test_page_for_a_session_that_lacks_a_claim() -> None:
    failures = (ClaimFailure("st-role", None),)

    assert plan(ACTIVE, failures=failures).page is ResponseKind.CLAIMS_PAGE
    assert plan(ACTIVE).page is ResponseKind.REFRESH_PAGE


def test_safe_methods_are_those_that_change_nothing() -> None:
    assert {"GET", "HEAD", "OPTIONS", "TRACE"} == SAFE_METHODS
