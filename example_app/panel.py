"""Cause every state on purpose: revoke, rotate keys, stop the key server or the refresh API."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException

from flask import Blueprint, abort, g, redirect, render_template, url_for
from supertokens_python.recipe.session.syncio import fetch_and_set_claim
from supertokens_python.recipe.userroles import PermissionClaim, UserRoleClaim
from supertokens_python.recipe.userroles.syncio import (
    add_role_to_user,
    create_new_role_or_add_permissions,
)
from werkzeug.wrappers import Response

from flask_ssr_session import SSRSession, session_exempt, session_required

from .core import control, find_core
from .extensions import ended_sessions, ssr_session
from .sign_in import outbox

panel = Blueprint("panel", __name__, url_prefix="/panel")


@panel.get("/")
@session_exempt
def show() -> str:
    """Show the state of the core. The view is exempt, so it works in every session state."""
    core = find_core()
    requests = []
    if core.kind == "development":
        requests = (control("GET", "requests") or {}).get("requests", [])
    return render_template(
        "panel.html",
        core=core,
        requests=[
            {**entry, "at": time.strftime("%H:%M:%S", time.localtime(entry["time"]))}
            for entry in reversed(requests[-15:])
        ],
        outbox=list(reversed(outbox.items())),
    )


@panel.post("/<action>")
@session_exempt
def act(action: str) -> Response:
    """Run the action of a button, then show the panel again."""
    if action not in _ACTIONS:
        abort(404)
    # If the core has stopped meanwhile, the panel says so.
    with suppress(OSError, HTTPException):
        _ACTIONS[action]()
    return _done(action)


@panel.post("/drop-token")
@session_exempt
def drop_token() -> Response:
    """Remove the access token from the browser, as its expiry would."""
    response = _done("drop-token")
    response.delete_cookie("sAccessToken")
    return response


@panel.post("/end-session")
@session_required
def end_session() -> Response:
    """End the visitor's session in this app alone; the core does not know."""
    session: SSRSession = g.session
    ended_sessions.add(session.session_handle)
    return _done("end-session")


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
    return _done("become-admin")


def _done(action: str) -> Response:
    return redirect(url_for("panel.show", done=action), 303)


def _revoke() -> None:
    control("POST", "sessions/revoke")


_ACTIONS: dict[str, Callable[[], object]] = {
    "revoke-sessions": _revoke,
    "rotate-key": lambda: control("POST", "signing-key/rotate", {"dropOld": True}),
    "stop-key-server": lambda: control("POST", "key-server/stop"),
    "start-key-server": lambda: control("POST", "key-server/start"),
    "stop-refresh": lambda: control("POST", "refresh-endpoint/stop"),
    "start-refresh": lambda: control("POST", "refresh-endpoint/start"),
    "clear-log": lambda: control("POST", "requests/clear"),
    "forget-keys": ssr_session.clear_keys,
}
