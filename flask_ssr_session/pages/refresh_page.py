"""The template globals of the current Flask request: its refresh page and its scripts."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from flask import Request, current_app
from markupsafe import Markup, escape

from ..app_state import SDKBinding, current_state
from ..errors import MisuseError
from ..flask_context import current_request
from ..request_paths import refresh_path
from ..request_state import current_request_state
from ..request_verdict import cookies_named, session_cookies
from ..sansio.cookie_header import FRONT_TOKEN_COOKIE
from ..sansio.front_token import front_token_users, user_hash
from ..sansio.request_kind import SAFE_METHODS
from ..sign_in_url import sign_in_url
from ..withholding import signal_refresh, withhold
from . import assets
from .jinja_env import render_notice
from .languages import current_language, translate
from .refresh_view import (
    PAGE_KINDS,
    BrowserSettings,
    RefreshView,
    asset_url,
    make_refresh_view,
    script_element,
)
from .sign_out import HAS_SCRIPT


def page_kind() -> str:
    """Return the name, for templates, of the page that the current request shows."""
    return PAGE_KINDS[current_request_state().page_plan.page]


def refresh_view(nonce: str | None = None) -> RefreshView:
    """Return what the refresh page of the current request shows, and note that it was shown.

    :param nonce: for a Content-Security-Policy; None calls the app's ``csp_nonce()`` template
        global, if it has one.
    """
    state = current_request_state()
    plan, verdict, facts = state.page_plan, state.decide(), state.facts
    withhold(state, plan, plan.page)
    state.shown_page = plan.page
    if state.streaming:
        signal_refresh(state, plan.page)
    binding = state.app_state.sdk_binding()
    return make_refresh_view(
        plan,
        verdict,
        facts,
        _browser_settings(binding),
        return_param=binding.policy.login_return_param,
        has_duplicates=len(session_cookies(state.request)[0]) > 1,
        at_refresh_path=state.refresh_plan is not None,
        # It is sent again to the path that it was sent to, or not at all.
        form=state.form if facts.path == facts.return_path else None,
        nonce=nonce or _app_nonce(),
    )


def chosen_texts(defaults: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of a template: *texts* over the translated *defaults*.

    :raises MisuseError: in debug only, *texts* has an unknown name. In production a visitor reads
        the default text instead.
    """
    if current_app.debug:
        for name in texts:
            if name not in defaults:
                near = get_close_matches(name, defaults, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise MisuseError(f"there is no text named {name!r}{hint}")
    return {**translate(defaults), **texts}


def session_script(nonce: str | None = None, texts: Mapping[str, str] | None = None) -> Markup:
    """Return a script element that starts the SuperTokens browser SDK on an ordinary page.

    fetch and XMLHttpRequest then refresh an expired session by themselves, and a page in use does
    so before the session expires. Put it into the head, before any script that sends requests. On a
    page for a session, a template element follows: the notice that hides what a visitor has entered
    once another user, or nobody, is signed in.

    :param nonce: for a Content-Security-Policy; None calls the app's ``csp_nonce()`` template
        global, if it has one.
    :param texts: replacements for texts of the notice, by their names in ``notice_texts`` of
        ``refresh_texts.html``.
    :raises MisuseError: ``init_app`` was not called for this app, or, in debug only, *texts* has an
        unknown name.
    """
    request, binding = current_request(), current_state().sdk_binding()
    verdict = current_request_state().verdict
    session = verdict and (verdict.session or verdict.pending_session)
    asset_folder, nonce = refresh_path(request, binding), nonce or _app_nonce()
    request.environ[HAS_SCRIPT] = True
    script = script_element(
        _browser_settings(binding),
        asset_folder,
        nonce,
        {
            "mode": "session",
            "unsafe": None if request.method in SAFE_METHODS else "",
            "stale-claims": "" if verdict is not None and verdict.has_stale_claims else None,
            "refresh-ahead": "" if binding.settings.refresh_ahead else None,
            "front-user": None if session is None else _front_user(request),
        },
    )
    if session is None:
        return script
    notice = render_notice(
        current_app,
        language=current_language(),
        style_url=asset_url(asset_folder, assets.style()),
        sign_in_url=sign_in_url(request, binding.resolved),
        # Escaped, because Markup equals the same text without markup.
        texts=tuple((name, escape(text)) for name, text in (texts or {}).items()),
    )
    return script + Markup(notice)  # noqa: S704 - our own template escapes


def script_url(request: Request, binding: SDKBinding) -> str:
    """Return the URL of the browser script."""
    return asset_url(refresh_path(request, binding), assets.script())


def _browser_settings(binding: SDKBinding) -> BrowserSettings:
    resolved = binding.resolved
    return BrowserSettings(
        resolved.api_domain,
        resolved.api_base_path,
        resolved.cookie_domain,
        resolved.session_expired_status,
    )


def _front_user(request: Request) -> str | None:
    """Return a hash of the user whom the browser named as signed in; None if that is not certain.

    The script compares it with what the browser says when the script starts. The session's own user
    id would not do: an app that maps user ids may have a front token with another id.
    """
    users = front_token_users(cookies_named(request, FRONT_TOKEN_COOKIE))
    return user_hash(users.pop()) if len(users) == 1 else None


def _app_nonce() -> str | None:
    """Return the value of the app's template global ``csp_nonce()``, or None."""
    csp_nonce = current_app.jinja_env.globals.get("csp_nonce")
    # Flask-Talisman's is empty if its policy has no nonce.
    return str(csp_nonce() or "") or None if callable(csp_nonce) else None
