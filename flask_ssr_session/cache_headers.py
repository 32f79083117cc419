"""Write into a response's headers what caches and robots may do with it."""

from __future__ import annotations

from urllib.parse import quote

from flask import Response, request
from werkzeug.wrappers import Response as WerkzeugResponse

from .app_state import AppState, RequestState, current_request, current_request_state
from .conditional_requests import drop_conditions, mark_tag
from .sansio.cache_policy import Caching, choose_caching, is_page
from .sansio.states import SessionState
from .sansio.verdict import Verdict

# What nginx, Akamai and LiteSpeed follow in the same way.
_TARGETED = frozenset(
    {"edge-control", "surrogate-control", "x-accel-expires", "x-litespeed-cache-control"}
)

_BY_CONDITION = (206, 304, 412)
_OF_CONDITIONS = ("Accept-Ranges", "Content-Range", "ETag", "Last-Modified")
_ABOUT_CONTENT = (*_OF_CONDITIONS, "Content-Disposition", "Content-Encoding")


def set_cache_headers(
    state: AppState, record: RequestState, verdict: Verdict, response: Response, names: set[str]
) -> None:
    """Complete the cache headers of a response on its way out.

    :param names: of its header fields, in lower case.
    """
    # A 304 without a type counts as one of a page: a cache copies its headers onto what it has.
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
    if not media_type and response.status_code == 304:
        media_type = "text/html"
    streams = response.is_streamed and not response.direct_passthrough
    session = record.session
    caching = choose_caching(
        verdict.state if session is None else SessionState.ACTIVE,
        media_type=media_type,
        streams=streams,
        protected=record.protected,
        optional=record.optional,
    )
    if caching is Caching.PRIVATE:
        _make_private(state, record, response, names)
        if "etag" in names and session is not None and (record.protected or is_page(media_type)):
            tag = response.headers["ETag"]
            response.headers["ETag"] = mark_tag(tag, session.session_handle)
    elif caching is Caching.NO_STORE:
        if streams and verdict.state is not SessionState.ANONYMOUS:
            sealed(response, verdict)
        else:  # crawlers are strangers: robots may list what may be content
            _keep_nowhere(response, names)


def sealed(response: Response, verdict: Verdict) -> Response:
    """Mark a response that shows a visitor's state instead of content: no cache may keep it."""
    current_request_state().refused = True
    # An after_request of the app's may ask make_conditional() for 304, of a stranger as well.
    drop_conditions(current_request())
    _keep_nowhere(response, header_names(response))
    response.headers["X-Robots-Tag"] = "noindex"
    reason = "claims" if current_request_state().lacks_claims else verdict.reason.value
    response.headers["SSR-Session"] = f"{verdict.state.value}; reason={reason}"
    response.vary.add("Cookie")
    return response


def header_names(response: WerkzeugResponse) -> set[str]:
    """Return the names of all header fields, in lower case."""
    return {name.lower() for name, _ in response.headers}


def send_whole(response: Response) -> bool:
    """Undo what a condition of the request made of a page of ours; return whether it is complete.

    ``make_conditional()`` leaves the body of a 304 or 412 in its place, and wraps that of a 206.
    """
    status, complete_length = response.status_code, response.content_range.length
    for name in _OF_CONDITIONS:
        response.headers.pop(name, None)
    if status not in _BY_CONDITION:
        return True
    response.status_code = 200
    response.direct_passthrough = False
    if status == 206:
        response.response = getattr(response.response, "iterable", response.response)
    response.set_data(response.get_data())
    return response.content_length == complete_length if status == 206 else bool(response.data)


def replace_content(response: Response, answer: Response) -> None:
    """Let *response* say *answer*, under the headers that the app's hooks gave it (CORS)."""
    for name in _ABOUT_CONTENT:
        response.headers.pop(name, None)
    response.headers.update((name, value) for name, value in answer.headers if name != "Vary")
    response.direct_passthrough = False
    response.status_code = answer.status_code
    response.set_data(answer.get_data())


def _keep_nowhere(response: WerkzeugResponse, names: set[str]) -> None:
    response.headers["Cache-Control"] = "no-store"
    _drop_cdn_cache_headers(response, names)


def _drop_cdn_cache_headers(response: WerkzeugResponse, names: set[str]) -> None:
    """Leave no field that a delivery network follows in place of Cache-Control (RFC 9213)."""
    for name in names:
        if name.endswith("cdn-cache-control") or name in _TARGETED:
            response.headers.pop(name)


def _make_private(
    state: AppState, record: RequestState, response: Response, names: set[str]
) -> None:
    """Keep a view's own cache headers from handing one visitor's page to all."""
    _drop_cdn_cache_headers(response, names)
    if "cache-control" not in names:
        response.headers.add("Cache-Control", "private")
        return
    # Directives are the same in capitals, but not to Werkzeug (RFC 9111 section 5.2).
    response.headers["Cache-Control"] = response.headers["Cache-Control"].lower()
    cache = response.cache_control
    if cache.public or cache.s_maxage is not None:
        cache.public = False
        cache.s_maxage = None
        # Only of a view that is wrong for everybody: a public page is public for strangers.
        if record.protected:
            state.warn_once(
                f"private.{quote(request.endpoint or '')}",
                "the view needs a session but allows shared caches to keep its answer; "
                "it was made private",
            )
    # must-understand takes no-store back (RFC 9111 section 5.2.2.3).
    # Asked as a key, as Werkzeug 3.0 has no attribute of that name.
    if not cache.no_store or "must-understand" in cache:
        cache.private = True
