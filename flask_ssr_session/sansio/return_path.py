"""Decide where a visitor may be sent. Nothing here trusts a Host header or knows a request.

A return path is parsed, decided and rebuilt; what does not pass becomes ``/``, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import quote, unquote, urlencode, urlsplit

from .origins import _DEFAULT_PORTS, _origin

# What a browser leaves as it is when it writes these parts of a URL (URL Standard, section 1.3),
# so that a legitimate return path comes back byte for byte. "%" stays: it is encoded already.
_PATH_SAFE = "/%:@!$&'()*+,;=~|[]^"
_QUERY_SAFE = _PATH_SAFE + "?\\`{}"
_FRAGMENT_SAFE = _QUERY_SAFE + "#"


# Routers take several slashes for one.
_SLASHES = re.compile("/{2,}")

# gunicorn takes a request line of 4,094 characters, method and version included.
MAX_LOCATION_CHARS = 4000

# More layers of percent-encoding than this are nobody's file name.
_MOST_ENCODING_LAYERS = 4


def redirect_target(
    raw: str | None, *, allowed_origins: Collection[str], refused_paths: Collection[str]
) -> str:
    """Return where *raw*, a ``redirectBack`` from anywhere, may lead; ``/`` where it may not.

    :param allowed_origins: origins, as :func:`parse_origin` spells them, a full URL may have.
    :param refused_paths: our own refresh and sign-in paths; coming back to them would go round.

    The result is a path on this site with its query and fragment, or a full URL of an allowed
    origin. It is ASCII, holds no control character and never begins with two slashes.
    """
    if not raw or any(char <= " " or char == "\x7f" for char in raw):
        return "/"
    try:
        parts = urlsplit(raw)
        if parts.scheme or parts.netloc:
            if parts.scheme not in _DEFAULT_PORTS or (origin := _origin(parts)) not in (
                allowed_origins
            ):
                return "/"
        # urlsplit takes "///host" for a path; a browser takes it for a host.
        elif raw.startswith("//"):
            return "/"
        else:
            origin = ""
        path = parts.path or ("/" if origin else "")
        if not is_plain_path(path):
            return "/"
        if _SLASHES.sub("/", _decoded(path)).rstrip("/") in refused_paths:
            return "/"
        # Every part is written anew: what the browser gets is our spelling of what was decided.
        target = origin + quote(path, safe=_PATH_SAFE)
        if parts.query:
            target += "?" + quote(parts.query, safe=_QUERY_SAFE)
        if parts.fragment:
            target += "#" + quote(parts.fragment, safe=_FRAGMENT_SAFE)
    except ValueError:  # a broken host or port, or text that is not Unicode
        return "/"
    return target


def is_plain_path(path: str) -> bool:
    """Tell whether *path* means the same place to every reader, however often it is decoded."""
    decoded = _decoded(path)
    return (
        path.startswith("/")
        and "\\" not in path
        and not decoded.startswith(("//", "/\\"))
        # Still encoded after so many layers: the next one might be a second slash.
        and not decoded.startswith("/%")
        and not any(char < " " or char == "\x7f" for char in decoded)
        and not {".", ".."}.intersection(decoded.replace("\\", "/").split("/"))
    )


def _decoded(path: str) -> str:
    for _ in range(_MOST_ENCODING_LAYERS):
        once = unquote(path)
        if once == path:
            break
        path = once
    return path


def with_query(url: str, **query: str) -> str:
    """Return *url* with *query* added to its query, in front of any fragment."""
    head, hash_mark, fragment = url.partition("#")
    separator = "&" if "?" in head else "?"
    return f"{head}{separator}{urlencode(query, quote_via=quote, safe='/')}{hash_mark}{fragment}"


def with_return_path(url: str, parameter: str, target: str) -> str:
    """Return *url* with the way back to *target* in its query, or *url* alone if that is too long.

    The way back is encoded once more than the address it came from, so that it may outgrow the
    line that a server reads. Losing the way back is better than a page that says 414.
    """
    location = with_query(url, **{parameter: target})
    return location if len(location) <= MAX_LOCATION_CHARS else url


def quote_path(path: str) -> str:
    """Return a decoded path as a browser writes it."""
    return quote(path, safe=_PATH_SAFE.replace("%", ""))


def local_path(root_path: str, path: str, raw_query: bytes) -> str:
    """Return the URL path of a request from its decoded parts, as a browser would write it.

    :param root_path: where the app is mounted (``SCRIPT_NAME``), without a slash at its end.
    """
    url = quote_path(root_path.rstrip("/") + path)
    query = quote(raw_query.decode("latin-1"), safe=_QUERY_SAFE, encoding="latin-1")
    return f"{url}?{query}" if query else url
