"""The routes of this package: the refresh page as a page of its own, and its two static files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    has_request_context,
    make_response,
    request,
)
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from .app_state import (
    current_request,
    current_request_state,
    current_state,
    query_args,
    trusted_host,
)
from .cache_headers import sealed
from .decorators import session_exempt
from .navigation import safe_target
from .pages import assets
from .responses import document, reply
from .sansio.request_kind import kind_of_request
from .sansio.states import RequestKind, ResponseKind, SessionState

_ONE_YEAR_SECONDS = 365 * 24 * 3600

_TOLD_TO_SCRIPTS = (SessionState.REFRESH, SessionState.UNAVAILABLE)

_BLUEPRINT = "ssr_session"
# Parts of an address that only these routes have; no view looks at them.
_HOST = "ssr_session_host"
_SUBDOMAIN = "ssr_session_subdomain"


def make_blueprint(app: Flask, refresh_path: str) -> Blueprint:
    """Return the routes of *app*, which answer on every host and sub-domain that it has.

    :param refresh_path: where they are, ``SSR_SESSION_REFRESH_PATH``.
    """
    places: list[dict[str, Any]] = [{}]
    if app.url_map.host_matching:
        places = [{"host": f"<{_HOST}>"}]
    elif app.subdomain_matching:
        # No converter matches the empty sub-domain.
        places = [{"subdomain": ""}, {"subdomain": f"<{_SUBDOMAIN}>"}]
    blueprint = Blueprint(_BLUEPRINT, __name__)
    asset_path = f"{refresh_path}/ssr-session-<digest>.<any(js, css):suffix>"
    for place in places:
        blueprint.add_url_rule(refresh_path, "refresh", _refresh, **place)
        blueprint.add_url_rule(asset_path, "asset", _asset, **place)
    blueprint.url_defaults(_stay_here)
    return blueprint


def _stay_here(_endpoint: str, values: dict[str, Any]) -> None:
    """Let ``url_for`` build addresses of ours on the host that the current request came to."""
    if not has_request_context():
        return
    if current_app.url_map.host_matching:
        values.setdefault(_HOST, trusted_host(current_request()))
    elif current_app.subdomain_matching:
        adapter = current_app.create_url_adapter(current_request())
        if adapter is not None and adapter.subdomain:
            values.setdefault(_SUBDOMAIN, adapter.subdomain)


def route_before_catch_alls(app: Flask) -> Callable[..., None]:
    """Return a receiver of ``request_started`` that routes our paths to our views.

    For apps with rules of several hosts: Werkzeug tries the rules of a named host, its catch-all
    included, before the rules of every host.
    """
    own = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith(f"{_BLUEPRINT}.")]
    rules = {rule.endpoint: rule for rule in own}
    anywhere = [Rule(rule.rule, endpoint=rule.endpoint, methods=rule.methods) for rule in own]
    router = Map(anywhere).bind("")

    def route(_app: Flask, **_more: Any) -> None:
        asked = current_request()
        if not trusted_host(asked):  # the app answers 400 there
            return
        try:
            endpoint, values = router.match(asked.path, asked.method)
        except HTTPException:  # no path of ours
            return
        asked.url_rule, asked.view_args = rules[endpoint], dict(values)
        asked.routing_exception = None

    return route


def _refresh(**_place: str) -> Response:
    """Refresh in the browser, whatever the verdict, then go to ``redirectBack``.

    A script gets its status instead, unless that could send it here again and again.
    """
    state, record = current_state(), current_request_state()
    kind = kind_of_request(request.headers.get)
    if kind is RequestKind.PREFETCH:
        return reply(state, ResponseKind.PREFETCH_DECLINED)
    if kind is RequestKind.SCRIPT and state.verdict().state in _TOLD_TO_SCRIPTS:
        # Some view sent the script here by a redirect. The browser SDK repeats what was asked for.
        return reply(state, state.answer())
    args = query_args(current_request())
    record.return_path = safe_target(args.get("redirectBack"))
    record.offers_continue = "optional" in args
    return sealed(document(state), state.verdict())


@session_exempt
def _asset(digest: str, suffix: str, **_place: str) -> Response:
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
