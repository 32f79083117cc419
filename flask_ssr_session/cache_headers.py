"""Set the response headers that caches and robots obey."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from flask import Response
from werkzeug.wrappers import Response as WerkzeugResponse

from .conditional_requests import drop_conditions, mark_tag
from .request_state import RequestState
from .sansio.cache_policy import Caching, choose_caching, is_page
from .sansio.states import Reason, SessionState
from .sansio.verdict import Verdict

# Header fields that nginx, Akamai and LiteSpeed obey in place of Cache-Control.
_TARGETED_FIELDS = frozenset(
    {"edge-control", "surrogate-control", "x-accel-expires", "x-litespeed-cache-control"}
)

_CONDITIONAL_STATUSES = (206, 304, 412)
_CONDITIONAL_FIELDS = frozenset({"accept-ranges", "content-range", "etag", "last-modified"})
_CONTENT_FIELDS = _CONDITIONAL_FIELDS | {"content-disposition", "content-encoding"}


def set_cache_headers(
    state: RequestState, verdict: Verdict, response: Response, fields: Mapping[str, str]
) -> None:
    """Complete the cache headers of a response that shows the content.

    :param fields: as :func:`header_fields` returns them.
    """
    # What choose_caching() says of most requests without a session; it saves them 1.5 µs.
    if verdict.reason is Reason.ANONYMOUS and not (state.protected or state.streaming):
        return
    # Without a type, a browser may show it as a page, and a 304 has that of the stored page.
    media_type = fields.get("content-type", "").partition(";")[0].strip() or "text/html"
    session = state.session
    caching = choose_caching(
        verdict.state if session is None else SessionState.ACTIVE,
        media_type=media_type,
        streams=state.streaming,
        protected=state.protected,
        optional=state.optional_shown,
    )
    if caching is Caching.PRIVATE:
        _make_private(state, response, fields)
        if "etag" in fields and session is not None and (state.protected or is_page(media_type)):
            tag = response.headers["ETag"]
            response.headers["ETag"] = mark_tag(tag, session.session_handle)
    elif caching is Caching.NO_STORE:
        if state.streaming and verdict.state is not SessionState.ANONYMOUS:
            mark_no_store(state, response)
        else:  # no "noindex": crawlers have no session, and this may be content
            _set_no_store(response, fields)


def mark_no_store(state: RequestState, response: Response) -> Response:
    """Add ``no-store`` and ``SSR-Session`` to a response that replaces the content."""
    verdict = state.decide()
    # An after_request function of the app may call make_conditional().
    drop_conditions(state.request)
    fields = header_fields(response)
    _drop_cdn_cache_headers(response, fields)
    has_session = verdict.session is not None or verdict.pending_session is not None
    reason = "claims" if state.lacks_claims and has_session else verdict.reason.value
    wanted = {
        "Cache-Control": "no-store",
        "X-Robots-Tag": "noindex",
        "SSR-Session": f"{verdict.state.value}; reason={reason}",
    }
    # Setting a field takes 2 µs, and most responses come here twice. If a name occurs twice,
    # *fields* has one of its values.
    has_repeated = len(fields) != len(response.headers)
    for name, value in wanted.items():
        known = fields.get(name.lower())
        if known is None:
            response.headers.add(name, value)
        elif has_repeated or known != value:
            response.headers[name] = value
    return response


def vary_by_cookie(response: Response, fields: Mapping[str, str]) -> None:
    """Add ``Vary: Cookie``.

    :param fields: as :func:`header_fields` returns them.
    """
    # As text, where that is possible: Werkzeug's set of values takes ten times as long.
    if "vary" not in fields:
        response.headers.add("Vary", "Cookie")
    elif fields["vary"] != "Cookie":
        response.headers["Vary"] = _joined_lines(response, "Vary")
        response.vary.add("Cookie")


def header_fields(response: WerkzeugResponse) -> dict[str, str]:
    """Return the header fields by name in lower case; of several of one name, the last.

    Each look-up in Werkzeug's headers reads all of them.
    """
    return {name.lower(): value for name, value in response.headers}


def undo_conditional(response: Response, fields: Mapping[str, str]) -> bool:
    """Turn a conditional response back into its page; return whether the page is complete.

    :param fields: as :func:`header_fields` returns them.

    ``make_conditional()`` keeps the body of a 304 or 412, and wraps that of a 206.
    """
    status = response.status_code
    complete_length = response.content_range.length if status == 206 else None
    _drop_fields(response, _CONDITIONAL_FIELDS & fields.keys())
    if status not in _CONDITIONAL_STATUSES:
        return True
    response.status_code = 200
    response.direct_passthrough = False
    if status == 206:
        response.response = getattr(response.response, "iterable", response.response)
    response.set_data(response.get_data())
    return response.content_length == complete_length if status == 206 else bool(response.data)


def _joined_lines(response: Response, name: str) -> str:
    """Return all values of a field as one: Werkzeug reads its first line, and drops the others."""
    return ", ".join(response.headers.getlist(name))


def replace_content(response: Response, replacement: Response) -> None:
    """Give *response* the content of *replacement*, under the headers of the app's hooks (CORS)."""
    _drop_fields(response, _CONTENT_FIELDS & header_fields(response).keys())
    response.headers.update((name, value) for name, value in replacement.headers if name != "Vary")
    response.direct_passthrough = False
    response.status_code = replacement.status_code
    response.set_data(replacement.get_data())


def _drop_fields(response: Response, names: Iterable[str]) -> None:
    for name in names:
        response.headers.pop(name)


def _set_no_store(response: WerkzeugResponse, fields: Mapping[str, str]) -> None:
    response.headers["Cache-Control"] = "no-store"
    _drop_cdn_cache_headers(response, fields)


def _drop_cdn_cache_headers(response: WerkzeugResponse, names: Iterable[str]) -> None:
    """Drop the fields that a CDN obeys in place of Cache-Control (RFC 9213)."""
    for name in names:
        if name.endswith("cdn-cache-control") or name in _TARGETED_FIELDS:
            response.headers.pop(name)


def _make_private(state: RequestState, response: Response, fields: Mapping[str, str]) -> None:
    """Change the cache headers of a view so that no shared cache stores one visitor's page."""
    _drop_cdn_cache_headers(response, fields)
    if "cache-control" not in fields:
        response.headers.add("Cache-Control", "private")
        return
    # Directives are case-insensitive (RFC 9111 section 5.2); Werkzeug finds lower case only.
    response.headers["Cache-Control"] = _joined_lines(response, "Cache-Control").lower()
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
