"""Decide whether an unsafe request was meant by the visitor, or sent by another site.

A cookie proves who, not that the user wanted it. A browser says where a request comes from, in
``Sec-Fetch-Site`` (W3C Fetch Metadata) or, where it does not (plain http, older ones), in
``Origin``, and a page of another site can forge neither. Only a page or a service worker of this
site can have such a request repeated in its own name. The rules are those of Go's
``http.CrossOriginProtection``, with the origins that belong to this app. Knows no framework.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from .origins import parse_origin
from .request_kind import SAFE_METHODS, HeaderReader

# Middleware that honours one of these hands a view another method than the browser sent.
_METHOD_OVERRIDE_HEADERS = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")

# As WSGI names the headers that :func:`is_unsafe` looks at (PEP 3333).
_RELEVANT_ENVIRON_KEYS = {
    f"HTTP_{name.upper().replace('-', '_')}" for name in (*_METHOD_OVERRIDE_HEADERS, "Upgrade")
}


def is_trivially_safe(method: str, environ: Mapping[str, Any]) -> bool:
    """Tell whether :func:`is_unsafe` need not even be asked: a GET that names nothing else."""
    return method == "GET" and environ.keys().isdisjoint(_RELEVANT_ENVIRON_KEYS)


def is_unsafe(method: str, header: HeaderReader) -> bool:
    """Tell whether a request may change something, by any of the methods it names.

    A WebSocket's first request is a GET, but opens a way in both directions that no later check
    would see (RFC 6455 section 10.2).
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
    """Tell whether another site sent an unsafe request.

    :param trusted_host: host and port the request was sent to. Only a request without
        ``Sec-Fetch-Site`` is compared with it, and without the scheme: a proxy may have ended TLS.
    :param trusted_origins: as ``parse_origin`` spells them.

    Fails open in one place: a request with neither header passes. No browser of the last years
    sends a form or a fetch to another site like that, and what else has cookies, such as curl,
    nobody can make send them.
    """
    site, origin = header("Sec-Fetch-Site"), header("Origin")
    if site in ("same-origin", "none") or (site is None and origin is None):
        return False
    try:
        sender = parse_origin(origin or "")
        if sender in trusted_origins:
            return False
        # "same-site" may be anybody's sub-domain; the browser has compared the host itself.
        if site is not None:
            return True
        # Of 80 and 443 nobody knows here which one the browser left out.
        own = {parse_origin(f"{scheme}://{trusted_host}") for scheme in ("http", "https")}
        return _host(sender) not in map(_host, own)
    except ValueError:  # "null", junk, none at all
        return True


def is_same_origin(header: HeaderReader, trusted_host: str) -> bool:
    """Tell whether it is proven, not merely likely, that a page of this host sent a request."""
    site = header("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    return header("Origin") is not None and not is_cross_site(header, trusted_host, ())


def _host(origin: str) -> str:
    return urlsplit(origin).netloc
