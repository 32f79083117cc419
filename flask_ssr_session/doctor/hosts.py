"""Read hosts, origins and cookie domains."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from ..sansio.origins import parse_origin


def browser_origin(url: str) -> str:
    """Return the origin of *url* as browsers write it, without a default port.

    An origin that browsers cannot open is returned unchanged.
    """
    origin = f"{urlsplit(url).scheme}://{host_and_port(url)}"
    try:
        return parse_origin(origin)
    except ValueError:
        return origin


def host_of(url: str) -> str:
    """Return the host name in *url*."""
    return urlsplit(url).hostname or ""


def host_and_port(url: str) -> str:
    """Return host and port in *url*, without the parts that may be secret."""
    return urlsplit(url).netloc.rpartition("@")[2]


def bare_domain(domain: str | None) -> str | None:
    """Return a cookie domain in lower case, without the leading dot that browsers ignore."""
    return None if domain is None else domain.removeprefix(".").lower()


def is_top_level(domain: str) -> bool:
    """Return whether *domain* has one label at most."""
    return "." not in domain


def public_suffix_test() -> Callable[[str], bool]:
    """Return a function that returns whether a domain is a public suffix, for example ``co.uk``.

    It uses the list that the SDK's dependency tldextract packages. Without that package, only
    top-level domains count.
    """
    try:
        from tldextract import TLDExtract
    except ImportError:
        return is_top_level
    # Use the packaged list: download nothing, and write no cache.
    extract = TLDExtract(cache_dir=None, suffix_list_urls=(), include_psl_private_domains=True)
    return lambda domain: is_top_level(domain) or extract(domain).suffix == domain
