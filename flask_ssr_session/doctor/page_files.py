"""Find the script and the style sheet that a refresh page loads."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urljoin

from ..errors import FetchError
from ..upstream.fetch import FetchedResponse
from .probes import ProbeResult

# Only paths, so that the doctor sends no request to a host that the page names; and only characters
# that no URL parser drops. Each match ends at the next quote or bracket, so that a large page does
# not take long.
_PATH = r"/(?![/\\])[!#-;=?-\[\]-~]*/ssr-session-[0-9a-f]+"
# session_script() loads the same file, with the mode "session".
_SCRIPT = re.compile(rf'<script src="({_PATH}\.js)"[^<>]* data-mode="refresh"[^<>]*>')
_STYLE = re.compile(rf'<link rel="stylesheet" href="({_PATH}\.css)"[^<>]*>')
_OWN_NAME = re.compile(r"/ssr-session-[0-9a-f]+\.js")
_NONCE = re.compile(r' nonce="([^"]+)"')
_RETURN_PATH = re.compile(r' data-return-to="([^"]*)"')


class PageFile(NamedTuple):
    """A file that a page loads from its own site."""

    url: str
    nonce: str | None


def find_script(page: ProbeResult) -> PageFile | None:
    """Return the refresh page's script, or None if the response is not a refresh page."""
    return _find(_SCRIPT, page)


def return_path(page: ProbeResult) -> str | None:
    """Return where the refresh page returns to, or None if its script does not say it."""
    element = _search(_SCRIPT, page)
    found = element and _RETURN_PATH.search(element[0])
    return found[1] if found else None


def find_style(page: ProbeResult) -> PageFile | None:
    """Return the refresh page's style sheet, or None if the page loads none."""
    return _find(_STYLE, page)


def loads_sdk(page: FetchedResponse) -> bool:
    """Return whether a script of the page is this package's or names SuperTokens.

    A bundle may have the SDK without its name.
    """
    _, *parts = page.body.decode("utf-8", "replace").lower().split("<script")
    scripts = [part.partition("</script")[0] for part in parts]
    return any("supertokens" in script or _OWN_NAME.search(script) for script in scripts)


def _search(element: re.Pattern[str], page: ProbeResult) -> re.Match[str] | None:
    if isinstance(page.answer, FetchError) or page.answer.status != 200:
        return None
    return element.search(page.answer.body.decode("utf-8", "replace"))


def _find(element: re.Pattern[str], page: ProbeResult) -> PageFile | None:
    found = _search(element, page)
    if found is None:
        return None
    nonce = _NONCE.search(found[0])
    return PageFile(urljoin(page.url, found[1]), nonce[1] if nonce else None)
