"""Control a running core: rotate keys, cause outages, list and revoke sessions, read the log.

The same controls are available over HTTP below ``/development/``, for a panel in another process.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from .fields import BadRequestError, Fields
from .key_endpoints import DEPRECATED_KEY_SET_PATH, KEY_SET_PATH
from .keys import SigningKeys
from .server import Request, Response
from .session_endpoints import REFRESH_PATH
from .session_records import SessionRecord
from .sessions import Sessions

CONTROL_PREFIX = "/development/"

_CONTROL_HEADER = "x-development-core"
_LOG_LENGTH = 1000
_KEY_SET_PATHS = frozenset({KEY_SET_PATH, DEPRECATED_KEY_SET_PATH})


class KeyServer(Enum):
    """How the endpoints that publish the key set behave."""

    SERVING = "serving"
    UNAVAILABLE = "unavailable"
    """They answer 503."""
    REFUSING = "refusing"
    """They close the connection without a response."""


@dataclass(frozen=True)
class RequestLogEntry:
    """One answered request."""

    method: str
    path: str
    """Without application, tenant and query, for example ``/recipe/session/refresh``."""
    time: float
    """Seconds since the epoch."""
    status: int | None
    """``None`` if the connection was closed without a response."""


class Controls:
    """The controls of one core, for use in the same process."""

    def __init__(
        self, sessions: Sessions, keys: SigningKeys, *, clock: Callable[[], float]
    ) -> None:
        """:param clock: returns seconds since the epoch."""
        self._sessions = sessions
        self._keys = keys
        self._clock = clock
        self._key_server = KeyServer.SERVING
        self._refresh_endpoint_serves = True
        self._log: deque[RequestLogEntry] = deque(maxlen=_LOG_LENGTH)
        self._log_lock = threading.Lock()

    def rotate_signing_key(self, *, scheduled: bool = False, drop_old: bool = False) -> str:
        """Make a new dynamic signing key and return its ``kid``.

        :param scheduled: publish the key now and sign with it in 60 s, as a core does;
            otherwise it signs at once.
        :param drop_old: remove the other dynamic keys from the key set, which invalidates every
            access token they signed.
        :raises ValueError: ``scheduled`` and ``drop_old`` together, which leaves no key for 60 s.
        """
        return self._keys.rotate(scheduled=scheduled, drop_old=drop_old).kid

    def stop_key_server(self, *, refuse: bool = False) -> None:
        """Make the key set answer 503, or close the connection without a response if *refuse*."""
        self._key_server = KeyServer.REFUSING if refuse else KeyServer.UNAVAILABLE

    def start_key_server(self) -> None:
        """Serve the key set again."""
        self._key_server = KeyServer.SERVING

    def stop_refresh_endpoint(self) -> None:
        """Make every refresh answer 500. No refresh token is used up."""
        self._refresh_endpoint_serves = False

    def start_refresh_endpoint(self) -> None:
        """Serve refreshes again."""
        self._refresh_endpoint_serves = True

    def list_sessions(self, user_id: str | None = None) -> list[SessionRecord]:
        """Return the live sessions of one user, or of all users, oldest first."""
        return self._sessions.list_live(user_id)

    def revoke_sessions(self, user_id: str | None = None) -> list[str]:
        """Remove the sessions of one user, or of all users, and return their handles."""
        return self._sessions.remove_all(user_id)

    def request_log(self) -> list[RequestLogEntry]:
        """Return the last 1000 requests, oldest first, except those to the controls."""
        with self._log_lock:
            return list(self._log)

    def clear_request_log(self) -> None:
        """Empty the request log."""
        with self._log_lock:
            self._log.clear()

    def log_request(self, method: str, path: str, status: int | None) -> None:
        """Add a request to the log."""
        with self._log_lock:
            self._log.append(RequestLogEntry(method, path, self._clock(), status))

    def outage_at(self, path: str) -> Response | None:
        """Return the response of a stopped endpoint, or ``None`` if it works."""
        if path in _KEY_SET_PATHS and self._key_server is KeyServer.REFUSING:
            return Response(status=None)
        if path in _KEY_SET_PATHS and self._key_server is KeyServer.UNAVAILABLE:
            return Response.text(503, "the key server is stopped")
        if path == REFRESH_PATH and not self._refresh_endpoint_serves:
            return Response.text(500, "the refresh endpoint is stopped")
        return None

    def state(self) -> dict[str, Any]:
        """Return the endpoints' states and the published keys; times in ms since the epoch."""
        return {
            "keyServer": self._key_server.value,
            "refreshEndpoint": "serving" if self._refresh_endpoint_serves else "failing",
            "signingKeys": [
                {"kid": key.kid, "created": key.created_ms, "signsFrom": key.signs_from_ms}
                for key in self._keys.published()
            ],
        }


Control = Callable[[Fields], "Mapping[str, Any] | None"]


class ControlEndpoints:
    """The controls over HTTP. GET reads, POST changes."""

    def __init__(self, controls: Controls) -> None:
        self._controls = controls
        self._table: dict[str, tuple[str, Control]] = {
            "state": ("GET", lambda _: controls.state()),
            "requests": ("GET", self._list_requests),
            "requests/clear": ("POST", lambda _: controls.clear_request_log()),
            "sessions": ("GET", self._list_sessions),
            "sessions/revoke": ("POST", self._revoke_sessions),
            "signing-key/rotate": ("POST", self._rotate_signing_key),
            "key-server/stop": ("POST", self._stop_key_server),
            "key-server/start": ("POST", lambda _: controls.start_key_server()),
            "refresh-endpoint/stop": ("POST", lambda _: controls.stop_refresh_endpoint()),
            "refresh-endpoint/start": (
                "POST",
                lambda _: controls.start_refresh_endpoint(),
            ),
        }

    def __call__(self, request: Request) -> Response:
        """Answer a request below ``/development/``.

        :raises BadRequestError: a field is missing or wrong.
        """
        # Fails closed: a page of another site cannot send this header without a preflight.
        if request.headers.get(_CONTROL_HEADER) != "1":
            return Response.text(403, f"the header {_CONTROL_HEADER}: 1 is required")
        entry = self._table.get(request.path.removeprefix(CONTROL_PREFIX))
        if entry is None:
            return Response.text(404, "no such control")
        method, control = entry
        if request.method != method:
            return Response.text(405, f"use {method}")
        return Response.json({"status": "OK", **(control(Fields.of(request)) or {})})

    def _list_requests(self, _: Fields) -> dict[str, Any]:
        return {"requests": [asdict(entry) for entry in self._controls.request_log()]}

    def _list_sessions(self, fields: Fields) -> dict[str, Any]:
        return {
            "sessions": [
                {
                    "sessionHandle": record.handle,
                    "userId": record.user_id,
                    "timeCreated": record.created_ms,
                    "expiry": record.expires_ms,
                }
                for record in self._controls.list_sessions(fields.optional_text("userId"))
            ]
        }

    def _revoke_sessions(self, fields: Fields) -> dict[str, Any]:
        revoked = self._controls.revoke_sessions(fields.optional_text("userId"))
        return {"sessionHandlesRevoked": revoked}

    def _rotate_signing_key(self, fields: Fields) -> dict[str, Any]:
        try:
            kid = self._controls.rotate_signing_key(
                scheduled=fields.flag("scheduled", default=False),
                drop_old=fields.flag("dropOld", default=False),
            )
        except ValueError as error:
            raise BadRequestError(str(error)) from error
        return {"kid": kid}

    def _stop_key_server(self, fields: Fields) -> None:
        self._controls.stop_key_server(refuse=fields.flag("refuse", default=False))
