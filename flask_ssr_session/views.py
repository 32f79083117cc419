"""The routes of this package: the refresh page at its own path, and its two static files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, Response, current_app, has_request_context, make_response
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from .cache_headers import mark_no_store
from .flask_context import current_request, query_args, trusted_host
from .pages import assets
from .request_paths import REFRESH_ENDPOINT, request_policy, safe_target
from .request_state import current_request_state
from .responses import full_page_response, render
from .sansio.requirements import ViewMark, mark_view
from .sansio.response_policy import plan_refresh_page
from .sansio.states import RequestKind, ResponseKind, SessionState
from .withholding import withhold

_REPORTED_TO_SCRIPTS = (SessionState.REFRESH, SessionState.UNAVAILABLE)

_BLUEPRINT, _, _REFRESH = REFRESH_ENDPOINT.partition(".")
# URL parts that only these routes have; no view reads them.
_HOST = "ssr_session_host"
_SUBDOMAIN = "ssr_session_subdomain"


def make_blueprint(app: Flask, refresh_path: str) -> Blueprint:
    """Return the routes for *app*, which match on every host and sub-domain that it has.

    :param refresh_path: their path, ``SSR_SESSION_REFRESH_PATH``.
    """
    hosts: list[dict[str, Any]] = [{}]
    if app.url_map.host_matching:
        hosts = [{"host": f"<{_HOST}>"}]
    elif app.subdomain_matching:
        # No converter matches the empty sub-domain.
        hosts = [{"subdomain": ""}, {"subdomain": f"<{_SUBDOMAIN}>"}]
    blueprint = Blueprint(_BLUEPRINT, __name__)
    asset_path = f"{refresh_path}/ssr-session-<digest>.<any(js, css):suffix>"
    for host in hosts:
        blueprint.add_url_rule(refresh_path, _REFRESH, _refresh, **host)
        blueprint.add_url_rule(asset_path, "asset", _asset, **host)
    blueprint.url_defaults(_keep_host)
    return blueprint


def _keep_host(_endpoint: str, values: dict[str, Any]) -> None:
    """Make ``url_for`` build URLs of these routes on the host of the current request."""
    if not has_request_context():
        return
    request = current_request()
    if current_app.url_map.host_matching:
        values.setdefault(_HOST, trusted_host(request))
    elif current_app.subdomain_matching:
        adapter = current_app.create_url_adapter(request)
        if adapter is not None and adapter.subdomain:
            values.setdefault(_SUBDOMAIN, adapter.subdomain)


def route_before_catch_alls(app: Flask) -> Callable[..., None]:
    """Return a receiver of ``request_started`` that routes this package's paths to its views.

    For apps whose routes differ by host: Werkzeug tries the rules of a named host, its catch-all
    included, before the rules of every host.
    """
    own = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith(f"{_BLUEPRINT}.")]
    rules = {rule.endpoint: rule for rule in own}
    anywhere = [Rule(rule.rule, endpoint=rule.endpoint, methods=rule.methods) for rule in own]
    router = Map(anywhere).bind("")

    def route(_app: Flask, **_more: Any) -> None:
        request = current_request()
        if not trusted_host(request):  # the app responds with 400
            return
        try:
            endpoint, values = router.match(request.path, request.method)
        except HTTPException:  # not a path of this package
            return
        request.url_rule, request.view_args = rules[endpoint], dict(values)
        request.routing_exception = None

    return route


def _refresh(**_host: str) -> Response:
    """Refresh in the browser, whatever the verdict is, then go to ``redirectBack``.

    A script gets its status instead, unless that could send it here again and again.
    """
    state = current_request_state()
    kind = state.facts.kind
    # A redirect of some view sent the script here. The browser SDK repeats the original request.
    is_reported = kind is RequestKind.SCRIPT and state.decide().state in _REPORTED_TO_SCRIPTS
    if kind is RequestKind.PREFETCH or is_reported:
        plan = state.plan
        if kind is RequestKind.PREFETCH:
            plan = plan.replace(kind=ResponseKind.PREFETCH_DECLINED)
        withhold(state, plan, plan.kind)
        return render(state, plan)
    args, binding = query_args(state.request), state.app_state.sdk_binding()
    state.refresh_plan = plan_refresh_page(
        safe_target(state.request, binding, args.get("redirectBack")),
        request_policy(binding),
        optional="optional" in args,
    )
    return mark_no_store(state, full_page_response(state))


def _asset(digest: str, suffix: str, **_host: str) -> Response:
    asset = assets.script() if suffix == "js" else assets.style()
    gzip = current_request().accept_encodings["gzip"] > 0
    response = make_response(asset.gzipped if gzip else asset.content)
    response.headers["Content-Type"] = asset.content_type
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.vary.add("Accept-Encoding")
    if gzip:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = asset.cache_control(digest)
    return response


mark_view(_asset, ViewMark(exempt=True))
