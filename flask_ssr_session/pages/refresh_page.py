"""The data of the macro ``refresh_page()``, and the script elements of this package."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from flask import Request, current_app
from markupsafe import Markup, escape

from ..app_state import SDKBinding, current_state
from ..errors import MisuseError
from ..flask_context import current_request
from ..request_paths import refresh_path
from ..request_state import current_request_state
from ..sansio.cookie_header import ACCESS_TOKEN_COOKIE
from ..sansio.policy_values import Plan
from ..sansio.request_kind import SAFE_METHODS
from ..sansio.states import ResponseKind
from ..withholding import signal_refresh, withhold
from . import assets
from .jinja_env import render_notice
from .sign_out import HAS_SCRIPT

if TYPE_CHECKING:
    from ..sansio.form_replay import ReplayableForm


class RefreshView(NamedTuple):
    """What the macro ``refresh_page()`` shows; every URL in it has been validated.

    :ivar page_kind: ``refresh``, ``sign_in``, ``repair``, ``sign_in_again``, ``claims``, ``outage``
        or ``refused``.
    :ivar reason: the slug of the verdict's reason.
    :ivar is_safe: the browser may repeat the request by itself; false after a form was sent.
    :ivar auto_redirect: the page takes the visitor to sign-in by itself.
    :ivar retry_url: the path to request again.
    :ivar sign_in_url: sign-in, with the return path.
    :ivar cure_url: the page that cures the failed claims, with the return path; empty for none.
    :ivar continue_url: the page without a session; empty if it needs one.
    :ivar form: the sent form, if it can be sent again, or None.
    :ivar nonce: for the style sheet; the script element has it already.
    :ivar script: the script element, with all its data.
    """

    page_kind: str
    reason: str
    is_safe: bool
    auto_redirect: bool
    retry_url: str
    sign_in_url: str
    cure_url: str
    continue_url: str
    form: ReplayableForm | None
    style_url: str
    nonce: str | None
    script: Markup


_PAGE_KINDS = {
    ResponseKind.REFRESH_PAGE: "refresh",
    ResponseKind.SIGN_IN_PAGE: "sign_in",
    ResponseKind.OUTAGE_PAGE: "outage",
    ResponseKind.CROSS_SITE_PAGE: "refused",
    ResponseKind.REPAIR_PAGE: "repair",
    ResponseKind.SIGN_IN_AGAIN_PAGE: "sign_in_again",
    ResponseKind.CLAIMS_PAGE: "claims",
}


# What the script of a page does, if the page has one and does not refresh.
_SCRIPT_MODES = {
    ResponseKind.REPAIR_PAGE: "repair",
    ResponseKind.SIGN_IN_AGAIN_PAGE: "sign-in-again",
    ResponseKind.SIGN_IN_PAGE: "sign-in",
}


def page_kind() -> str:
    """Return the name, for templates, of the page that the current request shows."""
    return _PAGE_KINDS[current_request_state().page_plan.page]


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
        signal_refresh(state)
    binding = state.app_state.sdk_binding()
    asset_folder = facts.refresh_path
    nonce = nonce or _app_nonce()
    duplicates = len(state.request.cookies.getlist(ACCESS_TOKEN_COOKIE)) > 1
    return RefreshView(
        page_kind=_PAGE_KINDS[plan.page],
        reason=verdict.reason.value,
        is_safe=facts.is_safe,
        auto_redirect=plan.auto_redirect,
        retry_url=plan.target,
        sign_in_url=plan.sign_in_url,
        cure_url=plan.cure_url,
        continue_url=plan.continue_url,
        form=state.form,
        style_url=_asset_url(asset_folder, assets.style()),
        nonce=nonce,
        script=_script_element(
            binding,
            asset_folder,
            nonce,
            {
                "mode": _SCRIPT_MODES.get(plan.page, "refresh"),
                "reason": verdict.reason.value,
                "token": verdict.fingerprint,
                # SuperTokens' refresh API counts duplicates the same way, equal values too.
                "duplicates": "" if duplicates else None,
                "unsafe": None if facts.is_safe else "",
                "return-to": None if state.refresh_plan is None else plan.target,
                "sign-in": plan.sign_in_url,
                "return-param": binding.policy.login_return_param,
                "cure": plan.cure_url or None,
                "cure-call": plan.cure_call or None,
                "claim": _claim_name(plan) if plan.cure_url else None,
                "optional": "" if plan.continues_signed_out else None,
            },
        ),
    )


def _claim_name(plan: Plan) -> str:
    """Return the name, for the script, of the claim that is cured next.

    Not its id alone: a session may first need ``st-mfa`` at all, then a factor of it again.
    """
    failure = plan.failures[0]
    return f"{failure.id} {failure.step_up}".rstrip()


def chosen_texts(defaults: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of a template: *texts* over *defaults*.

    :raises MisuseError: in debug only, *texts* has an unknown name. In production a visitor reads
        the default text instead.
    """
    if current_app.debug:
        for name in texts:
            if name not in defaults:
                near = get_close_matches(name, defaults, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise MisuseError(f"there is no text named {name!r}{hint}")
    return {**defaults, **texts}


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
    asset_folder, nonce = refresh_path(request, binding), nonce or _app_nonce()
    request.environ[HAS_SCRIPT] = True
    script = _script_element(
        binding,
        asset_folder,
        nonce,
        {
            "mode": "session",
            "unsafe": None if request.method in SAFE_METHODS else "",
            "stale-claims": "" if verdict is not None and verdict.has_stale_claims else None,
            "refresh-ahead": "" if binding.settings.refresh_ahead else None,
        },
    )
    if verdict is None or (verdict.session or verdict.pending_session) is None:
        return script
    notice = render_notice(
        current_app,
        style_url=_asset_url(asset_folder, assets.style()),
        sign_in_url=binding.policy.login_url,
        # Escaped, because Markup equals the same text without markup.
        texts=tuple((name, escape(text)) for name, text in (texts or {}).items()),
    )
    return script + Markup(notice)  # noqa: S704 - our own template escapes


def script_url(request: Request, binding: SDKBinding) -> str:
    """Return the URL of the browser script."""
    return _asset_url(refresh_path(request, binding), assets.script())


def _script_element(
    binding: SDKBinding, asset_folder: str, nonce: str | None, data: dict[str, str | None]
) -> Markup:
    resolved = binding.resolved
    data |= {
        "api-domain": resolved.api_domain,
        "api-base-path": resolved.api_base_path or "/",
        "cookie-domain": resolved.cookie_domain,
        "expired-status": str(resolved.session_expired_status),
    }
    attributes: dict[str, str | None] = {
        "src": _asset_url(asset_folder, assets.script()),
        "nonce": nonce,
        **{f"data-{name}": value for name, value in data.items()},
    }
    return Markup("<script{}></script>").format(
        Markup("").join(
            [
                Markup(' {}="{}"').format(name, value)
                for name, value in attributes.items()
                if value is not None
            ]
        )
    )


def _app_nonce() -> str | None:
    """Return the value of the app's template global ``csp_nonce()``, or None."""
    csp_nonce = current_app.jinja_env.globals.get("csp_nonce")
    # Flask-Talisman's is empty if its policy has no nonce.
    return str(csp_nonce()) or None if callable(csp_nonce) else None


def _asset_url(folder: str, asset: assets.Asset) -> str:
    return f"{folder}/ssr-session-{asset.digest}.{asset.suffix}"
