"""Cause every state on purpose: revoke, rotate keys, stop the key server or the refresh API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, abort, current_app, g, redirect, render_template, url_for
from supertokens_python.recipe.session.syncio import fetch_and_set_claim
from supertokens_python.recipe.userroles import PermissionClaim, UserRoleClaim
from supertokens_python.recipe.userroles.syncio import (
    add_role_to_user,
    create_new_role_or_add_permissions,
)
from werkzeug.wrappers import Response

from flask_ssr_session import SSRSession, session_exempt, session_required

from .extensions import ssr_session
from .sign_in import outbox

panel = Blueprint("panel", __name__, url_prefix="/panel")


@panel.get("/")
@session_exempt
def show() -> str:
    """Show the state of the core. The view is exempt, so it works in every session state."""
    state = _control("GET", "state")
    requests = (_control("GET", "requests") or {}).get("requests", [])
    return render_template(
        "panel.html",
        state=state,
        requests=[
            {**entry, "at": time.strftime("%H:%M:%S", time.localtime(entry["time"]))}
            for entry in reversed(requests[-15:])
        ],
        outbox=list(outbox),
    )


@panel.post("/<action>")
@session_exempt
def act(action: str) -> Response:
    """Run the action of a button, then show the panel again."""
    if action not in _ACTIONS:
        abort(404)
    _ACTIONS[action]()
    return redirect(url_for("panel.show"), 303)


@panel.post("/become-admin")
@session_required
def become_admin() -> Response:
    """Give the visitor the role that the admin page requires."""
    session: SSRSession = g.session
    create_new_role_or_add_permissions("admin", ["reports:read"])
    add_role_to_user(session.tenant_id, session.user_id, "admin")
    # From the next refresh on, every token contains the claim.
    fetch_and_set_claim(session.session_handle, UserRoleClaim)
    fetch_and_set_claim(session.session_handle, PermissionClaim)
    return redirect(url_for("panel.show", made="admin"), 303)


def _revoke() -> None:
    _control("POST", "sessions/revoke")


_ACTIONS: dict[str, Callable[[], object]] = {
    "revoke-sessions": _revoke,
    "rotate-key": lambda: _control("POST", "signing-key/rotate", {"dropOld": True}),
    "stop-key-server": lambda: _control("POST", "key-server/stop"),
    "start-key-server": lambda: _control("POST", "key-server/start"),
    "stop-refresh": lambda: _control("POST", "refresh-endpoint/stop"),
    "start-refresh": lambda: _control("POST", "refresh-endpoint/start"),
    "clear-log": lambda: _control("POST", "requests/clear"),
    "forget-keys": ssr_session.clear_keys,
}


def _control(method: str, name: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Call a control of the development core; None if the core is a real one."""
    parts = urlsplit(current_app.config["CORE_URI"].split(";")[0])
    connection = HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=3)
    try:
        connection.request(
            method,
            f"/development/{name}",
            body=json.dumps(body or {}) if method == "POST" else None,
            headers={"x-development-core": "1", "content-type": "application/json"},
        )
        response = connection.getresponse()
        content: dict[str, Any] | None = json.load(response) if response.status == 200 else None
    except (OSError, ValueError):
        return None
    finally:
        connection.close()
    return content
