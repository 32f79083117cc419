"""Decide whether a Content-Security-Policy lets the refresh page work (CSP Level 3)."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from ..sansio.origins import DEFAULT_PORTS
from .page_files import PageFile

# The directives that can apply to a kind of resource; the first one present does (section 6.8.3).
_FALLBACKS = {
    "script-src": ("script-src-elem", "script-src", "default-src"),
    "style-src": ("style-src-elem", "style-src", "default-src"),
    "connect-src": ("connect-src", "default-src"),
}


def blocked_directives(
    headers: Sequence[str], page: str, loads: Sequence[tuple[str, PageFile]]
) -> list[str]:
    """Return the directives that block the page.

    :param headers: the values of all ``Content-Security-Policy`` headers; every policy has to allow
        everything.
    :param page: the page's URL.
    :param loads: what the page loads, each with its directive.
    """
    policies = [_directives(policy) for header in headers for policy in header.split(",")]
    blocked = [
        directive
        for directive, file in loads
        if not all(_allows(policy, directive, file, page) for policy in policies)
    ]
    return blocked if all(map(_runs_scripts, policies)) else [*blocked, "sandbox"]


def _runs_scripts(policy: dict[str, list[str]]) -> bool:
    """Return whether ``sandbox`` lets a page run scripts and use its cookies."""
    if "sandbox" not in policy:
        return True
    return {"allow-scripts", "allow-same-origin"} <= set(map(str.lower, policy["sandbox"]))


def _directives(policy: str) -> dict[str, list[str]]:
    directives: dict[str, list[str]] = {}
    for part in policy.split(";"):
        name, *sources = part.split() or [""]
        # Browsers ignore a repeated directive.
        directives.setdefault(name.lower(), sources)
    return directives


def _allows(policy: dict[str, list[str]], directive: str, file: PageFile, page: str) -> bool:
    name = next((name for name in _FALLBACKS[directive] if name in policy), None)
    if name is None:
        return True
    sources = policy[name]
    if file.nonce is not None and f"'nonce-{file.nonce}'" in sources:
        return True
    # For scripts, 'strict-dynamic' makes browsers ignore all hosts in the list.
    if directive == "script-src" and "'strict-dynamic'" in (source.lower() for source in sources):
        return False
    return any(_matches(source, file.url, page) for source in sources)


def _matches(source: str, url: str, page: str) -> bool:
    """Return whether one source expression allows *url* (section 6.7.2.8)."""
    target, own = urlsplit(url), urlsplit(page)
    if source == "*":
        return target.scheme in DEFAULT_PORTS
    if source.lower() == "'self'":
        return (target.scheme, target.hostname, _port(url)) == (
            own.scheme,
            own.hostname,
            _port(page),
        )
    if source.endswith(":"):
        return _fits_scheme(source[:-1].lower(), target.scheme)
    scheme, mark, rest = source.partition("://")
    if not mark:
        scheme, rest = own.scheme, source
    if not _fits_scheme(scheme.lower(), target.scheme):
        return False
    authority, slash, path = rest.partition("/")
    host, _, port = authority.lower().partition(":")
    return (
        _fits_host(host, target.hostname or "")
        and _fits_port(port, url)
        and _fits_path(slash + path, target.path)
    )


def _port(url: str) -> int | None:
    parts = urlsplit(url)
    return parts.port or DEFAULT_PORTS.get(parts.scheme)


def _fits_scheme(allowed: str, actual: str) -> bool:
    return allowed == actual or (allowed, actual) == ("http", "https")


def _fits_host(allowed: str, actual: str) -> bool:
    if allowed == "*":
        return True
    return actual.endswith(allowed[1:]) if allowed.startswith("*.") else actual == allowed


def _fits_port(allowed: str, url: str) -> bool:
    if not allowed:
        return _port(url) == DEFAULT_PORTS.get(urlsplit(url).scheme)
    return allowed in ("*", str(_port(url)))


def _fits_path(allowed: str, actual: str) -> bool:
    if allowed in ("", "/"):
        return True
    return actual.startswith(allowed) if allowed.endswith("/") else actual == allowed
