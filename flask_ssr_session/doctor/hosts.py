"""Read hosts, origins and cookie domains."""

from __future__ import annotations

from urllib.parse import urlsplit

from ..sansio.origins import parse_origin


def is_top_level(domain: str) -> bool:
    """Tell whether *domain* has one label at most; for where nobody has the list of suffixes."""
    return "." not in domain


def browser_origin(url: str) -> str:
    """Return the origin of *url* as browsers write it, where it has one; the SDK keeps ``:443``."""
    origin = f"{urlsplit(url).scheme}://{host_and_port(url)}"
    try:
        return parse_origin(origin)
    except ValueError:
        return origin


def host_of(url: str) -> str:
    """Return the host name in *url*, alone."""
    return urlsplit(url).hostname or ""


def host_and_port(url: str) -> str:
    """Return host and port in *url*, without what may be secret before or behind them."""
    return urlsplit(url).netloc.rpartition("@")[2]


def bare_domain(domain: str | None) -> str | None:
    """Return a cookie's domain without the dot that browsers drop, too."""
    return None if domain is None else domain.removeprefix(".").lower()
