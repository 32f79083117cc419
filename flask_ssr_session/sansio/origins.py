"""Compare origins the way browsers do."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit


def parse_origin(raw: str) -> str:
    """Return *raw*, an ``http(s)://host[:port]``, in the one spelling used for comparing.

    :raises ValueError: *raw* is no such origin; the message says which part is wrong and repeats
        none of it.
    """
    try:
        parts = urlsplit(raw.strip())
    except ValueError:
        raise ValueError("the host is not one that a URL can have") from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("it has to begin with https:// or http://")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("nothing may follow the host and port")
    return _origin(parts)


def is_loopback(url: str) -> bool:
    """Tell whether *url* names this machine, so that plain http to it crosses no network."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


_DEFAULT_PORTS = {"http": 80, "https": 443}


# What is left of a host once a browser has written it.
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f.]*:[0-9a-f:.]*\]")


def _origin(parts: SplitResult) -> str:
    if not parts.hostname:
        raise ValueError("the host is missing")
    if "@" in parts.netloc:
        raise ValueError("user information is not allowed")
    host = f"[{parts.hostname}]" if "[" in parts.netloc else parts.hostname
    if not _HOST.fullmatch(host):
        raise ValueError("the host has to be one name in ASCII, as xn--... where it is not")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("the port has to be a number up to 65535") from None
    suffix = "" if port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{host}{suffix}"
