"""Set the response headers that caches and robots obey."""

from __future__ import annotations

from urllib.parse import quote

from flask import Response
from werkzeug.wrappers import Response as WerkzeugResponse

from .conditional_requests import drop_conditions, mark_tag
from .request_state import RequestState
from .sansio.cache_policy import Caching, choose_caching, is_page
from .sansio.states import SessionState
from .sansio.verdict import Verdict

# Header fields that nginx, Akamai and LiteSpeed obey in place of Cache-Control.
_TARGETED_FIELDS = frozenset(
    {"edge-control", "surrogate-control", "x-accel-expires", "x-litespeed-cache-control"}
)

_CONDITIONAL_STATUSES = (206, 304, 412)
_CONDITIONAL_FIELDS = ("Accept-Ranges", "Content-Range", "ETag", "Last-Modified")
_CONTENT_FIELDS = (*_CONDITIONAL_FIELDS, "Content-Disposition", "Content-Encoding")


def set_cache_headers(
    state: RequestState, verdict: Verdict, response: Response, names: set[str]
) -> None:
    """Complete the cache headers of a response that shows the content.

    :param names: of its header fields, in lower case.
    """
    # A 304 without a type counts as a page: a cache copies its headers onto the stored page.
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip()
    if not media_type and response.status_code == 304:
        media_type = "text/html"
    streams = response.is_streamed and not response.direct_passthrough
    session = state.session
    caching = choose_caching(
        verdict.state if session is None else SessionState.ACTIVE,
        media_type=media_type,
        streams=streams,
        protected=state.protected,
        optional=state.optional,
    )
    if caching is Caching.PRIVATE:
        _make_private(state, response, names)
        if "etag" in names and session is not None and (state.protected or is_page(media_type)):
            tag = response.headers["ETag"]
            response.headers["ETag"] = mark_tag(tag, session.session_handle)
    elif caching is Caching.NO_STORE:
        if streams and verdict.state is not SessionState.ANONYMOUS:
            mark_no_store(state, response)
        else:  # no "noindex": crawlers have no session, and this may be content
            _set_no_store(response, names)


def mark_no_store(state: RequestState, response: Response) -> Response:
    """Add ``no-store`` and ``SSR-Session`` to a response that replaces the content."""
    verdict = state.decide()
    # An after_request function of the app may call make_conditional().
    drop_conditions(state.request)
    _set_no_store(response, header_names(response))
    has_session = verdict.session is not None or verdict.pending_session is not None
    reason = "claims" if state.lacks_claims and has_session else verdict.reason.value
    response.headers["X-Robots-Tag"] = "noindex"
    response.headers["SSR-Session"] = f"{verdict.state.value}; reason={reason}"
    response.vary.add("Cookie")
    return response


def header_names(response: WerkzeugResponse) -> set[str]:
    """Return the names of all header fields, in lower case."""
    return set(response.headers.keys(lower=True))


def undo_conditional(response: Response) -> bool:
    """Turn a conditional response back into its page; return whether the page is complete.

    ``make_conditional()`` keeps the body of a 304 or 412, and wraps that of a 206.
    """
    status, complete_length = response.status_code, response.content_range.length
    for name in _CONDITIONAL_FIELDS:
        response.headers.pop(name, None)
    if status not in _CONDITIONAL_STATUSES:
        return True
    response.status_code = 200
    response.direct_passthrough = False
    if status == 206:
        response.response = getattr(response.response, "iterable", response.response)
    response.set_data(response.get_data())
    return response.content_length == complete_length if status == 206 else bool(response.data)


def replace_content(response: Response, replacement: Response) -> None:
    """Give *response* the content of *replacement*, under the headers of the app's hooks (CORS)."""
    for name in _CONTENT_FIELDS:
        response.headers.pop(name, None)
    response.headers.update((name, value) for name, value in replacement.headers if name != "Vary")
    response.direct_passthrough = False
    response.status_code = replacement.status_code
    response.set_data(replacement.get_data())


def _set_no_store(response: WerkzeugResponse, names: set[str]) -> None:
    response.headers["Cache-Control"] = "no-store"
    _drop_cdn_cache_headers(response, names)


def _drop_cdn_cache_headers(response: WerkzeugResponse, names: set[str]) -> None:
    """Drop the fields that a CDN obeys in place of Cache-Control (RFC 9213)."""
    for name in names:
        if name.endswith("cdn-cache-control") or name in _TARGETED_FIELDS:
            response.headers.pop(name)


def _make_private(state: RequestState, response: Response, names: set[str]) -> None:
    """Change the cache headers of a view so that no shared cache stores one visitor's page."""
    _drop_cdn_cache_headers(response, names)
    if "cache-control" not in names:
        response.headers.add("Cache-Control", "private")
        return
    # Directives are case-insensitive (RFC 9111 section 5.2); Werkzeug finds lower case only.
    response.headers["Cache-Control"] = response.headers["Cache-Control"].lower()
    cache = response.cache_control
    if cache.public or cache.s_maxage is not None:
        cache.public = False
        cache.s_maxage = None
        # ``public`` is right for visitors without a session, but never for a protected view.
        if state.protected:
            state.app_state.warn_once(
                f"private.{quote(state.request.endpoint or '')}",
                "the view requires a session but allows shared caches to store its response; "
                "the response was made private",
            )
    # must-understand cancels no-store (RFC 9111 section 5.2.2.3). Werkzeug 3.0 has no attribute of
    # that name.
    if not cache.no_store or "must-understand" in cache:
        cache.private = True
