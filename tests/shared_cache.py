"""A cache in front of a WSGI app, shared or a browser's, that does all that RFC 9111 permits.

Where the standard leaves a choice, it serves more from the cache: it guesses how long a response
stays fresh, serves stale ones while the app fails, and stores ``Set-Cookie``. Section numbers are
those of RFC 9111.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from werkzeug.datastructures import Headers
from werkzeug.http import parse_dict_header, parse_set_header
from werkzeug.test import run_wsgi_app
from werkzeug.wsgi import get_current_url

from .clocks import SteppedClock

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS", "TRACE"}

# RFC 9110, section 15.1; this cache does not support 206.
_HEURISTICALLY_CACHEABLE = {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}
_HEURISTIC_SHARE = 0.1

_CONDITIONAL = ("HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_RANGE")


@dataclass
class Stored:
    """One response of the app, and the request headers that select it."""

    varied: dict[str, str | None]
    status: str
    headers: Headers
    body: bytes
    stored_at: float
    fresh_seconds: float


class SharedCache:
    """A shared cache; or that of one browser, which several visitors use in turn.

    :param heeds_vary: False for a cache with one response per URL, as of large providers.
    :param targeted: it obeys ``CDN-Cache-Control`` if a response has it (RFC 9213).
    :param in_browser: it stores private responses, one per URL, and revalidates them by their tags
        whatever the cookies are, as Chromium and Firefox do.
    :ivar stored: the stored responses, by URL.
    :ivar reused: how many requests it served.
    :ivar confirmed: for how many of them the app responded with 304.
    """

    def __init__(
        self,
        app: WSGIApplication,
        clock: SteppedClock,
        *,
        heeds_vary: bool = True,
        targeted: bool = False,
        in_browser: bool = False,
    ) -> None:
        self._app = app
        self._clock = clock
        self._heeds_vary = heeds_vary
        self._targeted = targeted
        self._in_browser = in_browser
        self.stored: dict[str, list[Stored]] = {}
        self.reused = 0
        self.confirmed = 0

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        status, headers, body = self._answer(environ)
        start_response(status, headers.to_wsgi_list())
        return [body]

    def _answer(self, environ: WSGIEnvironment) -> tuple[str, Headers, bytes]:
        url = get_current_url(environ)
        if environ["REQUEST_METHOD"] != "GET" or any(name in environ for name in _CONDITIONAL):
            status, headers, body = self._ask(environ)
            if environ["REQUEST_METHOD"] not in _SAFE_METHODS and status < "4":
                self.stored.pop(url, None)  # section 4.4
            return status, headers, body
        known = self.stored.get(url, [])
        chosen = next((one for one in reversed(known) if self._fits(one, environ)), None)
        if chosen is not None and self._is_fresh(chosen, environ):
            return self._reuse(chosen)
        status, headers, body = self._ask(environ | self._conditions(known, chosen))
        if status.startswith("304"):
            self.confirmed += 1
            same = self._confirmed(known, chosen, headers)
            self._freshen(same, environ, headers)
            return self._reuse(same)
        if status.startswith("5") and chosen is not None and self._may_be_stale(chosen):
            return self._reuse(chosen)
        self._keep(url, environ, status, headers, body)
        return status, headers, body

    def _ask(self, environ: WSGIEnvironment) -> tuple[str, Headers, bytes]:
        parts, status, headers = run_wsgi_app(self._app, environ, buffered=True)
        return status, headers, b"".join(parts)

    # --- may it be stored (section 3) ------------------------------------------------------------

    def _keep(
        self, url: str, environ: WSGIEnvironment, status: str, headers: Headers, body: bytes
    ) -> None:
        asked = _directives(environ.get("HTTP_CACHE_CONTROL"))
        said = self._control(headers)
        code = int(status[:3])
        is_understood = code in _HEURISTICALLY_CACHEABLE or code in (302, 307)
        if "must-understand" in said:
            if not is_understood:
                return
            said.pop("no-store", None)  # section 5.2.2.3
        if "no-store" in asked or "no-store" in said or code in (206, 304):
            return
        only_fields = "" if self._in_browser else said.get("private", "")
        if only_fields is None:
            return
        if "HTTP_AUTHORIZATION" in environ and not (
            {"public", "s-maxage", "must-revalidate"} & said.keys()  # section 3.5
        ):
            return
        if not (
            {"public", "max-age", "s-maxage"} & said.keys()
            or "Expires" in headers
            or code in _HEURISTICALLY_CACHEABLE
        ):
            return
        kept = Headers([pair for pair in headers if pair[0].lower() not in _listed(only_fields)])
        varied = {}
        if self._heeds_vary:
            varied = {name: _header(environ, name) for name in _listed(headers.get("Vary"))}
        fresh = self._fresh_seconds(headers, said)
        one = Stored(varied, status, kept, body, self._clock.wall(), fresh)
        others = [two for two in self.stored.get(url, []) if two.varied != varied]
        self.stored[url] = [one] if self._in_browser else [*others, one]

    # --- may it be used (section 4) --------------------------------------------------------------

    def _fits(self, one: Stored, environ: WSGIEnvironment) -> bool:
        if "*" in one.varied:
            return False
        return all(_header(environ, name) == value for name, value in one.varied.items())

    def _is_fresh(self, one: Stored, environ: WSGIEnvironment) -> bool:
        if "no-cache" in _directives(environ.get("HTTP_CACHE_CONTROL")):
            return False
        if "no-cache" in self._control(one.headers):
            return False
        return self._clock.wall() - one.stored_at < one.fresh_seconds

    def _fresh_seconds(self, headers: Headers, said: dict[str, str | None]) -> float:
        for name in ("max-age",) if self._in_browser else ("s-maxage", "max-age"):
            if name in said:
                return _seconds(said[name])
        now = self._clock.wall()
        if "Expires" in headers:
            return _time(headers["Expires"], now) - now
        if "Last-Modified" in headers:
            return (now - _time(headers["Last-Modified"], now)) * _HEURISTIC_SHARE
        return 0.0

    def _may_be_stale(self, one: Stored) -> bool:
        said = self._control(one.headers)
        forbidding = {"no-cache", "must-revalidate", "proxy-revalidate", "s-maxage"}
        return not forbidding & said.keys()  # section 4.2.4

    def _reuse(self, one: Stored) -> tuple[str, Headers, bytes]:
        self.reused += 1
        headers = Headers(one.headers)
        headers["Age"] = str(int(self._clock.wall() - one.stored_at))
        return one.status, headers, one.body

    # --- is it still right (section 4.3) ---------------------------------------------------------

    def _conditions(self, known: list[Stored], chosen: Stored | None) -> dict[str, str]:
        # Section 4.3.1: the tags of other visitors' responses may be sent, too.
        if tags := [one.headers["ETag"] for one in known if "ETag" in one.headers]:
            return {"HTTP_IF_NONE_MATCH": ", ".join(tags)}
        if chosen is not None and "Last-Modified" in chosen.headers:
            return {"HTTP_IF_MODIFIED_SINCE": chosen.headers["Last-Modified"]}
        return {}

    def _confirmed(self, known: list[Stored], chosen: Stored | None, headers: Headers) -> Stored:
        tagged = [one for one in known if one.headers.get("ETag") == headers.get("ETag", "")]
        confirmed = tagged[-1] if tagged else chosen
        assert confirmed is not None, "304 in answer to no condition"
        return confirmed

    def _freshen(self, one: Stored, environ: WSGIEnvironment, headers: Headers) -> None:
        one.headers.update(headers)
        if self._heeds_vary:
            one.varied = {name: _header(environ, name) for name in one.varied}
        one.stored_at = self._clock.wall()
        one.fresh_seconds = self._fresh_seconds(one.headers, self._control(one.headers))

    def _control(self, headers: Headers) -> dict[str, str | None]:
        if self._targeted and "CDN-Cache-Control" in headers:
            return _directives(headers["CDN-Cache-Control"])
        return _directives(", ".join(headers.getlist("Cache-Control")))


def _directives(value: str | None) -> dict[str, str | None]:
    return {name.lower(): text for name, text in parse_dict_header(value or "").items()}


def _listed(value: Any) -> set[str]:
    return {name.lower() for name in parse_set_header(value)}


def _header(environ: WSGIEnvironment, name: str) -> str | None:
    value: str | None = environ.get(f"HTTP_{name.upper().replace('-', '_')}")
    return value


def _seconds(value: str | None) -> float:
    return float(value) if value is not None and value.isdecimal() else 0.0


def _time(value: str, otherwise: float) -> float:
    try:
        return parsedate_to_datetime(value).timestamp()
    except ValueError:
        return otherwise  # section 5.3: an Expires of "0" is in the past
