"""The pages, one for each way to require a session."""

from __future__ import annotations

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from flask_ssr_session import session_exempt, session_optional, session_required

from .core import find_core

pages = Blueprint("pages", __name__)


@pages.get("/")
@session_optional
def home() -> str:
    """Greet signed-in visitors by name, and strangers without one."""
    return render_template("home.html")


@pages.get("/dashboard")
def dashboard() -> str:
    """Leave the decision to the template, which reads needs_refresh."""
    return render_template("dashboard.html")


@pages.get("/account")
@session_required
def account() -> str:
    """Decide before the view runs."""
    payload = g.session.get_access_token_payload()
    for name in ("antiCsrfToken", "parentRefreshTokenHash1", "refreshTokenHash1"):
        payload.pop(name, None)  # what SuperTokens keeps there for itself
    return render_template("account.html", payload=payload)


@pages.get("/redirected")
def redirected() -> str | Response:
    """Send the visitor through /refresh-session by hand."""
    if g.session is None:
        return redirect(url_for("ssr_session.refresh", redirectBack=request.full_path.rstrip("?")))
    return render_template("redirected.html")


@pages.route("/form", methods=["GET", "POST"])
@session_required(keep_form=True)
def form() -> str | tuple[str, int]:
    """Accept a form from signed-in visitors. A refresh keeps a form that arrives too late."""
    note = request.form.get("note", "").strip()
    if request.method == "POST" and not note:
        return render_template("form.html", error="Please write something."), 422
    return render_template("form.html", received=note)


@pages.get("/admin")
@session_required(role="admin")
def admin() -> str:
    """Require the role admin; other visitors get the error page below."""
    return render_template("admin.html")


@pages.get("/checked")
@session_required(check_revoked=True)
def checked() -> str:
    """Ask the core on every request whether the session still exists."""
    return render_template("checked.html", core=find_core())


@pages.get("/verified")
@session_required(email_verified=True)
def verified() -> str:
    """Require a verified e-mail address; other visitors are led to /auth/verify-email and back."""
    return render_template("verified.html")


@pages.get("/vault")
@session_required(factor="totp", within=120)
def vault() -> str:
    """Require a code of the last two minutes; other visitors are led to /auth/mfa/totp and back."""
    return render_template("vault.html")


@pages.get("/recent")
@session_required(signed_in_within=120)
def recent() -> str:
    """Require a sign-in in the last two minutes; other visitors are asked to sign in again."""
    return render_template("recent.html")


@pages.get("/live")
@session_required
def live() -> str:
    """Show a page whose script fetches a fragment every three seconds."""
    return render_template("live.html")


@pages.get("/live/fragment")
@session_required
def fragment() -> str:
    """Return the fragment; an expired token gets a 401, and the browser SDK refreshes it."""
    return render_template("fragment.html")


@pages.get("/favicon.ico")
@session_exempt
def favicon() -> Response:
    """Send a browser that asks for it, as it does on pages without an icon, to the site's icon."""
    return redirect(url_for("static", filename="icon.svg"))


@pages.app_errorhandler(403)
def forbidden(_error: Exception) -> tuple[str, int]:
    """Show the site's own page for a missing role."""
    return render_template("forbidden.html"), 403


@pages.app_errorhandler(404)
def not_found(_error: Exception) -> tuple[str, int]:
    """Show the site's own page for an unknown address."""
    return render_template("not_found.html"), 404
