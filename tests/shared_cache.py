"""A cache in front of a WSGI app, shared or a browser's, as greedy as RFC 9111 permits.

It stores whatever is not private or no-store, guesses how long a response stays fresh, and asks for
a stored page by its tag whatever the cookies are, as Chromium and Firefox do.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from werkzeug.datastructures import Headers
from werkzeug.http import parse_dict_header, parse_set_header
from werkzeug.test import run_wsgi_app
from werkzeug.wsgi import get_current_url

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Stored(NamedTuple):
    """One response of the app, and the request headers that select it."""

    varied: dict[str, str | None]
    status: str
    headers: Headers
    body: bytes


class SharedCache:
    """A shared cache; or that of one browser, which several visitors use in turn.

    :param in_browser: it stores private responses, one per URL.
    :param heeds_vary: False for a cache with one response per URL, as of large providers.
    :ivar stored: the stored responses, by URL.
    :ivar reused: how many requests got one of them.
    """

    def __init__(
        self, app: WSGIApplication, *, in_browser: bool = False, heeds_vary: bool = True
    ) -> None:
        self._app, self._in_browser, self._heeds_vary = app, in_browser, heeds_vary
        self.stored: dict[str, list[Stored]] = {}
        self.reused = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        url = get_current_url(environ)
        known = self.stored.get(url, [])
        chosen = next((one for one in known if _varied(one.varied, environ) == one.varied), None)
        if chosen is None or not self._is_fresh(chosen.headers):
            parts, status, headers = run_wsgi_app(
                self._app, environ | _conditions(known, chosen), buffered=True
            )
            tagged = [one for one in known if one.headers.get("ETag") == headers.get("ETag", "")]
            if status.startswith("304"):
                chosen = tagged[0] if tagged else chosen
                assert chosen is not None, "304 in answer to no condition"
                chosen.headers.update(headers)
            else:
                chosen = None
        if chosen is None:
            chosen = self._keep(url, environ, Stored({}, status, headers, b"".join(parts)))
        else:
            self.reused += 1
        start_response(chosen.status, chosen.headers.to_wsgi_list())
        return [chosen.body]

    def _keep(self, url: str, environ: WSGIEnvironment, new: Stored) -> Stored:
        said = _directives(new.headers)
        # "private" may name single fields, and "must-understand" cancels "no-store".
        is_private = "private" in said and said["private"] is None and not self._in_browser
        is_barred = "no-store" in said and "must-understand" not in said
        if not is_private and not is_barred and not new.status.startswith(("206", "302", "5")):
            names = parse_set_header(new.headers.get("Vary")) if self._heeds_vary else ()
            new = new._replace(varied=_varied(names, environ))
            others = [] if self._in_browser else self.stored.get(url, [])
            self.stored[url] = [one for one in others if one.varied != new.varied] + [new]
        return new

    def _is_fresh(self, headers: Headers) -> bool:
        said = _directives(headers)
        if "no-cache" in said:
            return False
        for name in ("max-age",) if self._in_browser else ("s-maxage", "max-age"):
            if name in said:
                return said[name] != "0"
        return "Expires" in headers or "Last-Modified" in headers


def _conditions(known: list[Stored], chosen: Stored | None) -> dict[str, str]:
    # Section 4.3.1: the tags of other visitors' responses may be sent, too.
    if tags := [one.headers["ETag"] for one in known if "ETag" in one.headers]:
        return {"HTTP_IF_NONE_MATCH": ", ".join(tags)}
    if chosen is not None and "Last-Modified" in chosen.headers:
        return {"HTTP_IF_MODIFIED_SINCE": chosen.headers["Last-Modified"]}
    return {}


def _directives(headers: Headers) -> dict[str, str | None]:
    lines = ", ".join(headers.getlist("Cache-Control"))
    return {name.lower(): text for name, text in parse_dict_header(lines).items()}


def _varied(names: Iterable[str], environ: WSGIEnvironment) -> dict[str, str | None]:
    keys = {name.lower(): f"HTTP_{name.upper().replace('-', '_')}" for name in names}
    return {name: environ.get(key) for name, key in keys.items()}
