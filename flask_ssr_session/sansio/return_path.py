"""Decide where a visitor may be redirected, without trusting a Host header.

A return path is parsed, checked and rebuilt; an invalid one becomes ``/``, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import quote, unquote, urlencode, urlsplit

from .origins import DEFAULT_PORTS, origin_of

# The characters that browsers do not encode in these parts of a URL (URL Standard, section 1.3), so
# that a valid return path stays the same byte for byte. "%" is safe: the parts are encoded already.
_PATH_SAFE = "/%:@!$&'()*+,;=~|[]^"
_QUERY_SAFE = _PATH_SAFE + "?\\`{}"
_FRAGMENT_SAFE = _QUERY_SAFE + "#"

# Routers treat several slashes as one.
_SLASHES = re.compile("/{2,}")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f]")

# gunicorn accepts a request line of 4,094 characters, including method and version.
MAX_LOCATION_CHARS = 4000

# No real file name has more layers of percent-encoding.
_MAX_ENCODING_LAYERS = 4


def redirect_target(
    raw: str | None, *, allowed_origins: Collection[str], looping_paths: Collection[str]
) -> str:
    """Return the target of *raw*, an untrusted ``redirectBack``, or ``/`` if it is not allowed.

    :param allowed_origins: the origins that a full URL may have, in the form of
        :func:`parse_origin`.
    :param looping_paths: the refresh and sign-in paths; returning to them would loop.

    The result is a path on this site with its query and fragment, or a full URL of an allowed
    origin. It is ASCII, contains no control character and never begins with two slashes.
    """
    if not raw or _CONTROL_OR_SPACE.search(raw):
        return "/"
    try:
        parts = urlsplit(raw)
        if parts.scheme or parts.netloc:
            if parts.scheme not in DEFAULT_PORTS or (origin := origin_of(parts)) not in (
                allowed_origins
            ):
                return "/"
        # urlsplit reads "///host" as a path, browsers read it as a host.
        elif raw.startswith("//"):
            return "/"
        else:
            origin = ""
        path = parts.path or ("/" if origin else "")
        if not is_plain_path(path):
            return "/"
        if _SLASHES.sub("/", _decoded(path)).rstrip("/") in looping_paths:
            return "/"
        # Rebuild every part: the browser gets exactly what was checked.
        target = origin + quote(path, safe=_PATH_SAFE)
        if parts.query:
            target += "?" + quote(parts.query, safe=_QUERY_SAFE)
        if parts.fragment:
            target += "#" + quote(parts.fragment, safe=_FRAGMENT_SAFE)
    except ValueError:  # a broken host or port, or text that is not Unicode
        return "/"
    return target


def is_plain_path(path: str) -> bool:
    """Return whether every client and server reads *path* the same, however often it decodes."""
    decoded = _decoded(path)
    return (
        path.startswith("/")
        and "\\" not in path
        and not decoded.startswith(("//", "/\\"))
        # Still encoded after the last layer: it could decode to a second slash.
        and not decoded.startswith("/%")
        and not _CONTROL.search(decoded)
        and not {".", ".."}.intersection(decoded.replace("\\", "/").split("/"))
    )


def _decoded(path: str) -> str:
    for _ in range(_MAX_ENCODING_LAYERS):
        once = unquote(path)
        if once == path:
            break
        path = once
    return path


def with_query(url: str, **query: str) -> str:
    """Return *url* with *query* added to its query, before any fragment."""
    head, hash_mark, fragment = url.partition("#")
    separator = "&" if "?" in head else "?"
    return f"{head}{separator}{urlencode(query, quote_via=quote, safe='/')}{hash_mark}{fragment}"


def with_return_path(url: str, parameter: str, target: str) -> str:
    """Return *url* with the return path *target* in its query, or *url* alone if that is too long.

    Encoding the return path again lengthens it, so it can exceed the request line that a server
    accepts. Losing the return path is better than a 414 page.
    """
    location = with_query(url, **{parameter: target})
    return location if len(location) <= MAX_LOCATION_CHARS else url


def quote_path(path: str) -> str:
    """Return a decoded path, encoded as browsers do."""
    return quote(path, safe=_PATH_SAFE.replace("%", ""))


def local_path(root_path: str, path: str, raw_query: bytes) -> str:
    """Return the path and query of a request's URL from its decoded parts, encoded as browsers do.

    :param root_path: where the app is mounted (``SCRIPT_NAME``).
    """
    url = quote_path(root_path.rstrip("/") + path)
    query = quote(raw_query.decode("latin-1"), safe=_QUERY_SAFE, encoding="latin-1")
    return f"{url}?{query}" if query else url
