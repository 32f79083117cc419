"""Route requests to endpoints: application and tenant in the path, version, fields, errors."""

from __future__ import annotations

import logging

from .controls import CONTROL_PREFIX, ControlEndpoints, Controls
from .endpoint import EndpointTable
from .fields import BadRequestError, Fields
from .key_endpoints import CDI_VERSION, TENANT_PATH, UNVERSIONED_PATHS
from .server import Request, Response
from .tokens import TENANT_ID

_log = logging.getLogger(__name__)

_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost"})


class CoreApplication:
    """Handles every request to one core."""

    def __init__(self, table: EndpointTable, controls: Controls) -> None:
        self._table = table
        self._controls = controls
        self._control_endpoints = ControlEndpoints(controls)
        self._first_segments = {path.split("/")[1] for path in self._table}

    def __call__(self, request: Request) -> Response:
        """Answer a request, and log it unless it is a control."""
        # Against DNS rebinding: another site could point its host name at this address.
        if request.headers.get("host", "").partition(":")[0] not in _LOOPBACK_NAMES:
            return Response.text(403, "only for callers on this machine, by its loopback name")
        is_control = request.path.startswith(CONTROL_PREFIX)
        tenant_id, path = self._split_path(request.path)
        try:
            if is_control:
                response = self._control_endpoints(request)
            else:
                response = self._call_endpoint(request, tenant_id, path)
        except BadRequestError as error:
            response = Response.text(400, str(error))
        except Exception:  # noqa: BLE001
            # The caller must get a response; the log gets the cause.
            _log.exception("%s %s failed", request.method, path)
            response = Response.text(500, "internal error")
        if not is_control:
            # Log before the response is sent: its receiver may read the log at once.
            self._controls.log_request(request.method, path, response.status)
        return response

    def _split_path(self, raw_path: str) -> tuple[str, str]:
        """Split ``/appid-<id>`` and the tenant from the path; this core has one application."""
        segments = raw_path.split("/")[1:]
        if segments and segments[0].startswith("appid-"):
            segments = segments[1:]
        tenant_id = TENANT_ID
        if len(segments) > 1 and segments[0] not in self._first_segments:
            tenant_id, *segments = segments
        return tenant_id, "/" + "/".join(segments)

    def _call_endpoint(self, request: Request, tenant_id: str, path: str) -> Response:
        methods = self._table.get(path)
        if methods is None:
            return Response.text(404, "Not found")
        endpoint = methods.get(request.method)
        if endpoint is None:
            return Response.text(405, f"use {' or '.join(methods)}")
        outage = self._controls.outage_at(path)
        if outage is not None:
            return outage
        if path not in UNVERSIONED_PATHS and request.headers.get("cdi-version") != CDI_VERSION:
            return Response.text(400, f"the header cdi-version: {CDI_VERSION} is required")
        if tenant_id != TENANT_ID:
            if path == TENANT_PATH:
                return Response.json({"status": "TENANT_NOT_FOUND_ERROR"})
            return Response.text(400, f"AppId or tenantId not found => {tenant_id}")
        result = endpoint(Fields.of(request))
        return result if isinstance(result, Response) else Response.json(result)
