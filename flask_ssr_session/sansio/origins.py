"""Compare origins the way browsers do."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}

# A host in the form that browsers send.
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f.]*:[0-9a-f:.]*\]")


def parse_origin(raw: str) -> str:
    """Return *raw*, an ``http(s)://host[:port]``, in the form used for comparing.

    :raises ValueError: *raw* is not such an origin; the message says which part is wrong, without
        repeating it.
    """
    try:
        parts = urlsplit(raw.strip())
    except ValueError:
        raise ValueError("a URL cannot have this host") from None
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("it has to begin with https:// or http://")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("nothing may follow the host and port")
    return origin_of(parts)


def is_loopback(url: str) -> bool:
    """Return whether the host of *url* is this machine, so plain http to it crosses no network."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def origin_of(parts: SplitResult) -> str:
    """Return the origin of a URL whose scheme is http or https, in the form used for comparing.

    :raises ValueError: the host or the port is invalid; the message repeats neither.
    """
    if not parts.hostname:
        raise ValueError("the host is missing")
    if "@" in parts.netloc:
        raise ValueError("user information is not allowed")
    host = f"[{parts.hostname}]" if "[" in parts.netloc else parts.hostname
    if not _HOST.fullmatch(host):
        raise ValueError("the host has to be one name in ASCII; write other names as xn--...")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("the port has to be a number up to 65535") from None
    suffix = "" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{suffix}"
