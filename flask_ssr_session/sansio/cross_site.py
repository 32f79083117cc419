"""Decide whether another site sent an unsafe request.

A cookie proves who the user is, not that the user meant the request. Browsers send the origin of a
request in ``Sec-Fetch-Site`` (W3C Fetch Metadata) or, over plain http and in older versions, in
``Origin``; a page of another site can forge neither. Only a page or a service worker of this site
can repeat a request as its own. The rules are those of Go's ``http.CrossOriginProtection``, with
the origins that belong to this app.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from .origins import parse_origin
from .request_kind import SAFE_METHODS, HeaderReader

# Middleware that honours one of these passes another method to the view than the browser sent.
_METHOD_OVERRIDE_HEADERS = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")

# The WSGI names (PEP 3333) of the headers that is_unsafe reads.
_RELEVANT_ENVIRON_KEYS = {
    f"HTTP_{name.upper().replace('-', '_')}" for name in (*_METHOD_OVERRIDE_HEADERS, "Upgrade")
}


def is_trivially_safe(method: str, environ: Mapping[str, Any]) -> bool:
    """Return whether a request is a GET without any header that :func:`is_unsafe` reads."""
    return method == "GET" and environ.keys().isdisjoint(_RELEVANT_ENVIRON_KEYS)


def is_unsafe(method: str, header: HeaderReader) -> bool:
    """Return whether a request may change state, by any of the methods it names.

    A WebSocket handshake is a GET, but its later messages pass no check (RFC 6455 section 10.2).
    """
    methods = {method.upper()}
    methods.update(
        value.strip().upper() for name in _METHOD_OVERRIDE_HEADERS if (value := header(name))
    )
    upgrades = (header("Upgrade") or "").lower().split(",")
    return not methods <= SAFE_METHODS or "websocket" in (item.strip() for item in upgrades)


def is_cross_site(
    header: HeaderReader, trusted_host: str, trusted_origins: Collection[str]
) -> bool:
    """Return whether another site sent an unsafe request.

    :param trusted_host: host and port that the request was sent to. Only the ``Origin`` of a
        request without ``Sec-Fetch-Site`` is compared with it, without the scheme: a proxy may
        terminate TLS.
    :param trusted_origins: in the form of ``parse_origin``.

    Fails open in one case: a request with neither header passes. Recent browsers send one of them
    with every form and fetch to another site, and no site can make another client, like curl, send
    cookies.
    """
    site, origin = header("Sec-Fetch-Site"), header("Origin")
    if site in ("same-origin", "none") or (site is None and origin is None):
        return False
    try:
        sender = parse_origin(origin or "")
        if sender in trusted_origins:
            return False
        # "same-site" may be a sub-domain of another owner. The browser has compared the host.
        if site is not None:
            return True
        # The browser omits a default port, and the scheme is unknown here: try both.
        own = {parse_origin(f"{scheme}://{trusted_host}") for scheme in ("http", "https")}
        return _host(sender) not in map(_host, own)
    except ValueError:  # "null", malformed or missing
        return True


def is_same_origin(header: HeaderReader, trusted_host: str) -> bool:
    """Return whether a page of this host certainly sent a request."""
    site = header("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    return header("Origin") is not None and not is_cross_site(header, trusted_host, ())


def _host(origin: str) -> str:
    return urlsplit(origin).netloc
