"""Decide what will read the response: a browser that shows pages, a prefetch, or a script."""

from __future__ import annotations

from collections.abc import Callable

from .states import RequestKind

HeaderReader = Callable[[str], "str | None"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def kind_of_request(header: HeaderReader) -> RequestKind:
    """Return the kind of a request, from the headers that browsers send (W3C Fetch Metadata).

    :param header: returns the value of a request header, or None.

    A wrong guess is inconvenient, never unsafe: no kind admits a request.
    """
    if not _is_document(header):
        return RequestKind.SCRIPT
    purpose = " ".join(
        value.lower()
        for name in ("Sec-Purpose", "Purpose", "X-Moz")
        if (value := header(name)) is not None
    )
    # A prerendered page runs its script when the visitor opens it. A prefetched page is only
    # stored, and may be out of date when it is shown.
    if "prefetch" in purpose and "prerender" not in purpose:
        return RequestKind.PREFETCH
    return RequestKind.DOCUMENT


def _is_document(header: HeaderReader) -> bool:
    if (header("Upgrade") or "").lower() == "websocket":
        return False
    if header("Sec-Fetch-Dest") in ("document", "iframe", "frame"):
        return True
    accept = (header("Accept") or "").lower()
    # A navigation through a service worker has the destination "empty", but keeps this header.
    if header("Upgrade-Insecure-Requests") == "1" and "text/html" in accept:
        return True
    if any(header(f"Sec-Fetch-{name}") for name in ("Site", "Mode", "Dest")):
        return False
    # Over plain http browsers send no Sec-Fetch-*; then other headers distinguish scripts.
    return (
        "text/html" in accept
        and "*/*" in accept
        and not any(header(name) for name in ("X-Requested-With", "HX-Request", "Turbo-Frame"))
    )
