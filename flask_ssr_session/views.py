"""The routes of this package: the refresh page as a page of its own, and its two static files."""

from __future__ import annotations

from flask import Blueprint, Response, make_response, request

from . import assets
from .answers import Answer, RequestKind, kind_of_request
from .cache_headers import sealed
from .decorators import session_ignored
from .places import return_target
from .replies import document, reply
from .state import current_record, current_state
from .verdict import SessionState

_ONE_YEAR_SECONDS = 365 * 24 * 3600

_TOLD_TO_SCRIPTS = (SessionState.REFRESH, SessionState.UNAVAILABLE)


def make_blueprint(refresh_path: str) -> Blueprint:
    """Return the routes of one app.

    :param refresh_path: where they are, ``SSR_SESSION_REFRESH_PATH``.
    """
    blueprint = Blueprint("ssr_session", __name__)
    blueprint.add_url_rule(refresh_path, "refresh", _refresh)
    blueprint.add_url_rule(
        f"{refresh_path}/ssr-session-<digest>.<any(js, css):suffix>", "asset", _asset
    )
    return blueprint


def _refresh() -> Response:
    """Refresh in the browser, whatever the verdict, then go to ``redirectBack``.

    A script gets its status instead, unless that could send it here again and again.
    """
    state, record = current_state(), current_record()
    kind = kind_of_request(request.headers.get)
    if kind is RequestKind.PREFETCH:
        return reply(state, Answer.NOT_NOW)
    if kind is RequestKind.SCRIPT and state.verdict().state in _TOLD_TO_SCRIPTS:
        # Some view sent the script here by a redirect. The browser SDK repeats what was asked for.
        return reply(state, state.answer())
    record.return_to = return_target(request.args.get("redirectBack"))
    record.offers_continue = "optional" in request.args
    return sealed(document(state), state.verdict())


@session_ignored
def _asset(digest: str, suffix: str) -> Response:
    asset = assets.script() if suffix == "js" else assets.style()
    gzip = request.accept_encodings["gzip"] > 0
    response = make_response(asset.gzipped if gzip else asset.content)
    response.headers["Content-Type"] = asset.content_type
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.vary.add("Accept-Encoding")
    if gzip:
        response.headers["Content-Encoding"] = "gzip"
    # While servers are exchanged one by one, a page may ask for another one's file: it gets ours,
    # which does the same work, but nobody may keep it under that name.
    fits = digest == asset.digest
    response.headers["Cache-Control"] = (
        f"public, max-age={_ONE_YEAR_SECONDS}, immutable" if fits else "no-store"
    )
    return response
