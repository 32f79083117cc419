"""Send the doctor's requests, as the browser of a visitor without any cookie.

Every request is a GET or OPTIONS, except one POST to the refresh API. Without a refresh token,
SuperTokens responds to that with "no session" before it calls its core, so a probe changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from functools import cached_property
from types import MappingProxyType
from urllib.parse import urljoin

from flask import Flask

from ..app_state import AppState
from ..clock import Clock
from ..errors import ConfigError, FetchError, MisuseError
from ..sansio.jwks import parse_key_set
from ..upstream.deadline import FETCH_SECONDS, Deadline
from ..upstream.fetch import FetchedResponse, request
from .hosts import browser_origin, host_and_port

# Where the probe of the refresh page wants to return to; no app has this page.
RETURN_PATH = "/flask-ssr-session-doctor"

Answer = FetchedResponse | FetchError

# A page request.
PAGE_HEADERS = MappingProxyType(
    {
        "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
        "Sec-Fetch-Dest": "document",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Site": "none",
    }
)

# The headers that the browser SDK sends to the refresh API and that CORS does not allow by default.
CORS_HEADERS = ("fdi-version", "rid", "st-auth-mode")


@dataclass(frozen=True)
class ProbeResult:
    """What one request returned.

    :ivar received_at: this machine's wall time when the response was complete.
    """

    url: str
    answer: Answer
    received_at: float

    @property
    def host(self) -> str:
        """Host and port that were requested."""
        return host_and_port(self.url)

    @cached_property
    def kids(self) -> frozenset[str]:
        """The ids of the usable keys in the response; empty if it is not a key set."""
        if isinstance(self.answer, FetchError) or self.answer.status != 200:
            return frozenset()
        try:
            return frozenset(parse_key_set(self.answer.body))
        except FetchError:
            return frozenset()

    @property
    def failure_text(self) -> str:
        """Why the response is unusable, in a few words."""
        if isinstance(self.answer, FetchError):
            return str(self.answer)
        status = self.answer.status
        return f"status {status}" if status != 200 else "unexpected content"


def send_probe(
    clock: Clock,
    url: str,
    headers: Mapping[str, str] = MappingProxyType({}),
    method: str = "GET",
) -> ProbeResult:
    """Send one request over the network."""
    answer: Answer
    try:
        answer = request(method, url, Deadline(FETCH_SECONDS), headers)
    except FetchError as error:
        answer = error
    return ProbeResult(url, answer, clock.wall())


def probe_app(clock: Clock, app: Flask, front_page: str, path: str) -> ProbeResult:
    """Request the page at *path* below *front_page* from *app* itself, without a server."""
    answer: Answer
    try:
        # Werkzeug 3.0 takes no other mapping than a dict.
        headers = dict(PAGE_HEADERS)
        response = app.test_client().get(path, base_url=front_page, headers=headers)
        message = Message()
        for name, value in response.headers:
            message[name] = value
        answer = FetchedResponse(status=response.status_code, headers=message, body=response.data)
    except Exception as error:  # noqa: BLE001 - in debug mode, any exception of the app ends here
        answer = FetchError(f"the app failed with {type(error).__name__}")
    return ProbeResult(front_page + path, answer, clock.wall())


def rejects_requests(state: AppState) -> bool:
    """Return whether the app raises an error for every request, because of its own setup."""
    try:
        state.sdk_binding()
    except (ConfigError, MisuseError):
        return True
    return False


def refresh_headers(site: str | None) -> dict[str, str]:
    """Return the headers of a refresh without cookies.

    :param site: the origin of the pages; None if it is unknown.
    """
    headers = {"Content-Length": "0", "rid": "session", "st-auth-mode": "cookie"}
    return headers if site is None else {**headers, "Origin": site}


def preflight_headers(site: str) -> dict[str, str]:
    """Return the headers of the preflight that a browser sends before a cross-origin refresh."""
    return {
        "Origin": site,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": ",".join(CORS_HEADERS),
    }


def next_url(url: str, answer: Answer) -> str | None:
    """Return where the response of *url* redirects to on the same site, or None.

    A redirect of this package also gives None: it is itself the result that a visitor gets.
    """
    if isinstance(answer, FetchError) or not 300 <= answer.status < 400:
        return None
    if "SSR-Session" in answer.headers:
        return None
    location = answer.headers.get("Location")
    if not location:
        return None
    try:
        target = urljoin(url, location)
    except ValueError:  # not a URL
        return None
    return target if browser_origin(target) == browser_origin(url) else None
