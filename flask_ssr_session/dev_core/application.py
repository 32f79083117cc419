"""Route requests to endpoints: API key, app and tenant in the path, version, fields, errors."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Sequence
from typing import NamedTuple

from .controls import CONTROL_PREFIX, ControlEndpoints, Controls
from .endpoint import EndpointTable
from .fields import BadRequestError, Fields
from .key_endpoints import DEPRECATED_KEY_SET_PATH, KEY_SET_PATH, TENANT_PATH
from .server import Request, Response
from .tokens import TENANT_ID

_log = logging.getLogger(__name__)

_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost"})
_APP_ID = "public"
_APP_MARK = "appid-"

# Callers use these without a key; SDKs fetch the key set without one.
_OPEN_PATHS = frozenset({"/", "/hello", KEY_SET_PATH})
# Callers use these before they know the version.
_UNVERSIONED_PATHS = _OPEN_PATHS | {"/apiversion", DEPRECATED_KEY_SET_PATH}
# These belong to the whole app: a core refuses them for a tenant other than the default one.
_APP_WIDE = frozenset(
    {
        ("GET", "/user/id"),
        ("POST", "/user/remove"),
        ("PUT", "/recipe/user"),
        ("GET", "/recipe/session"),
        ("POST", "/recipe/session/verify"),
        ("POST", "/recipe/session/refresh"),
        ("POST", "/recipe/session/regenerate"),
        ("GET", "/recipe/session/data"),
        ("PUT", "/recipe/session/data"),
        ("PUT", "/recipe/jwt/data"),
        ("POST", "/recipe/jwt"),
        ("GET", DEPRECATED_KEY_SET_PATH),
        ("GET", KEY_SET_PATH),
        ("PUT", "/recipe/role"),
        ("POST", "/recipe/role/remove"),
        ("GET", "/recipe/roles"),
        ("GET", "/recipe/role/permissions"),
        ("POST", "/recipe/role/permissions/remove"),
        ("GET", "/recipe/permission/roles"),
        ("POST", "/recipe/totp/device"),
        ("PUT", "/recipe/totp/device"),
        ("GET", "/recipe/totp/device/list"),
        ("POST", "/recipe/totp/device/remove"),
        ("GET", "/recipe/user/metadata"),
        ("PUT", "/recipe/user/metadata"),
        ("POST", "/recipe/user/metadata/remove"),
        ("GET", "/recipe/user/email/verify"),
        ("POST", "/recipe/user/email/verify/remove"),
    }
)


class _Place(NamedTuple):
    """A path, taken apart."""

    app_id: str
    tenant_id: str
    path: str


class CoreApplication:
    """Handles every request to one core."""

    def __init__(
        self,
        table: EndpointTable,
        controls: Controls,
        *,
        versions: Sequence[str],
        api_key: str | None,
    ) -> None:
        """Serve the endpoints of *table*.

        :param versions: the CDI versions that are served.
        :param api_key: what callers must send; ``None`` lets everybody in.
        """
        self._table = table
        self._controls = controls
        self._versions = frozenset(versions)
        self._api_key = api_key
        self._control_endpoints = ControlEndpoints(controls)
        self._first_segments = {path.split("/")[1] for path in self._table}

    def __call__(self, request: Request) -> Response:
        """Answer a request, and log it unless it is a control."""
        # Against DNS rebinding: another site could point its host name at this address.
        if request.headers.get("host", "").partition(":")[0] not in _LOOPBACK_NAMES:
            return Response.text(403, "only for callers on this machine, by its loopback name")
        # A page of any site can post here; a browser then names it. Callers of a core are servers.
        if "origin" in request.headers:
            return Response.text(403, "not for browsers")
        is_control = request.path.startswith(CONTROL_PREFIX)
        place = self._take_apart(request.path)
        try:
            if is_control:
                response = self._control_endpoints(request)
            else:
                response = self._call_endpoint(request, place)
        except BadRequestError as error:
            response = Response.text(400, str(error))
        except Exception:  # noqa: BLE001
            # The caller must get a response; the log gets the cause.
            _log.exception("%s %s failed", request.method, place.path)
            response = Response.text(500, "internal error")
        if not is_control:
            # Log before the response is sent: its receiver may read the log at once.
            self._controls.log_request(request.method, place.path, response.status)
        return response

    def _take_apart(self, raw_path: str) -> _Place:
        """Split ``/appid-<id>`` and the tenant from the path."""
        app_id, tenant_id = _APP_ID, TENANT_ID
        if not raw_path.startswith("/"):
            return _Place(app_id, tenant_id, raw_path)
        segments = raw_path.split("/")[1:]
        if segments and segments[0].startswith(_APP_MARK):
            app_id = segments.pop(0).removeprefix(_APP_MARK)
        if len(segments) > 1 and segments[0] not in self._first_segments:
            tenant_id = segments.pop(0)
        return _Place(app_id, tenant_id, "/" + "/".join(segments))

    def _call_endpoint(self, request: Request, place: _Place) -> Response:
        path = place.path
        methods = self._table.get(path)
        if methods is None:
            return Response.text(404, "Not found")
        endpoint = methods.get(request.method)
        if endpoint is None:
            return Response.text(405, f"use {' or '.join(methods)}")
        outage = self._controls.outage_at(path)
        if outage is not None:
            return outage
        if path not in _OPEN_PATHS and not self._has_api_key(request):
            return Response.text(401, "Invalid API key")
        # A core takes a request without a version for one of its oldest.
        version = request.headers.get("cdi-version")
        if path not in _UNVERSIONED_PATHS and version not in {None, *self._versions}:
            return Response.text(400, f"cdi-version {', '.join(sorted(self._versions))} only")
        if place.app_id != _APP_ID:
            return Response.text(400, f"AppId or tenantId not found => {place.app_id}")
        if place.tenant_id != TENANT_ID:
            if (request.method, path) in _APP_WIDE:
                return Response.text(403, "only for the default tenant")
            if path == TENANT_PATH:
                return Response.json({"status": "TENANT_NOT_FOUND_ERROR"})
            return Response.text(400, f"AppId or tenantId not found => {place.tenant_id}")
        result = endpoint(Fields.of(request))
        return result if isinstance(result, Response) else Response.json(result)

    def _has_api_key(self, request: Request) -> bool:
        sent = request.headers.get("api-key", "")
        return self._api_key is None or hmac.compare_digest(sent.encode(), self._api_key.encode())
