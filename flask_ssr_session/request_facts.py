"""Read from a Flask request the facts that the response policy needs."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Request

from .app_state import SDKBinding
from .flask_context import trusted_host
from .request_paths import refresh_path, request_path, safe_target
from .sansio.policy_values import RequestFacts
from .sansio.request_kind import SAFE_METHODS, kind_of_request
from .sign_in import is_sign_in_page, sign_in_path, sign_in_shares_path


def read_facts(request: Request, binding: SDKBinding) -> RequestFacts:
    """Return the facts of *request*."""
    resolved = binding.resolved
    path = request_path(request)
    is_safe = request.method in SAFE_METHODS
    is_sign_in = is_sign_in_page(request, resolved)
    has_route = request.url_rule is not None
    return RequestFacts(
        kind=kind_of_request(request.headers.get),
        is_safe=is_safe,
        path=path,
        return_path=safe_target(request, binding, path),
        refresh_path=refresh_path(request, binding),
        is_sign_in=is_sign_in,
        sign_in_is_closed=has_route
        # A POST that is rejected there leads to the page itself, which is open.
        and (is_safe or not sign_in_shares_path(request, resolved))
        and (is_sign_in or _is_full_sign_in_url(request, binding)),
        htmx_return_path=_htmx_return_path(request, binding, is_safe=is_safe),
    )


def _is_full_sign_in_url(request: Request, binding: SDKBinding) -> bool:
    """Return whether the request asks for a sign-in page that is set as a full URL.

    The Host header decides, which is good enough to end a loop, but not to admit a request.
    """
    sign_in = sign_in_path(request, binding.resolved)
    return "://" in sign_in and bool(trusted_host(request)) and request.base_url == sign_in


def _htmx_return_path(request: Request, binding: SDKBinding, *, is_safe: bool) -> str | None:
    """Return the page that htmx runs on, safe to return to; None for all other requests.

    None also for a form: htmx stays on the page, which keeps what the visitor typed.
    """
    headers = request.headers
    if not is_safe or "HX-Request" not in headers or "st-auth-mode" in headers:
        return None
    try:
        page = urlsplit(headers.get("HX-Current-URL", ""))
    except ValueError:
        return "/"
    path = f"{page.path}?{page.query}" if page.query else page.path
    return safe_target(request, binding, path)
