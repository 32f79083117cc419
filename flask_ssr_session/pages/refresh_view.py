"""The data of the macro ``refresh_page()``, and the script elements. Knows no framework."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from markupsafe import Markup, escape

from ..sansio.frozen import Frozen
from ..sansio.policy_values import Plan, RequestFacts
from ..sansio.states import ResponseKind
from ..sansio.verdict import Verdict
from . import assets

if TYPE_CHECKING:
    from ..sansio.form_replay import ReplayableForm


class BrowserSettings(NamedTuple):
    """What the script hands to the SuperTokens browser SDK.

    :ivar api_domain: the origin of the refresh API.
    :ivar api_base_path: the path of the refresh API.
    :ivar cookie_domain: the domain that cookies are shared over; None for host-only cookies.
    :ivar session_expired_status: the status that makes the browser SDK refresh.
    """

    api_domain: str
    api_base_path: str = "/auth"
    cookie_domain: str | None = None
    session_expired_status: int = 401


class RefreshView(Frozen):
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


PAGE_KINDS = {
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


def make_refresh_view(
    plan: Plan,
    verdict: Verdict,
    facts: RequestFacts,
    browser: BrowserSettings,
    *,
    return_param: str,
    has_duplicates: bool,
    at_refresh_path: bool = False,
    form: ReplayableForm | None = None,
    nonce: str | None = None,
) -> RefreshView:
    """Return what the page of *plan* shows.

    :param return_param: the query parameter in which sign-in reads the return path.
    :param has_duplicates: the request has several access tokens, equal ones included.
    :param at_refresh_path: the page is ``/refresh-session``, which leads to another path.
    :param form: the sent form, if the page offers to send it again.
    :param nonce: for a Content-Security-Policy; None for none.
    """
    return RefreshView(
        page_kind=PAGE_KINDS[plan.page],
        reason=verdict.reason.value,
        is_safe=facts.is_safe,
        auto_redirect=plan.auto_redirect,
        retry_url=plan.target,
        sign_in_url=plan.sign_in_url,
        cure_url=plan.cure_url,
        continue_url=plan.continue_url,
        form=form,
        style_url=asset_url(facts.refresh_path, assets.style()),
        nonce=nonce,
        script=script_element(
            browser,
            facts.refresh_path,
            nonce,
            {
                "mode": _SCRIPT_MODES.get(plan.page, "refresh"),
                "reason": verdict.reason.value,
                "token": verdict.fingerprint,
                # SuperTokens' refresh API counts duplicates the same way, equal values too.
                "duplicates": "" if has_duplicates else None,
                "unsafe": None if facts.is_safe else "",
                "return-to": plan.target if at_refresh_path else None,
                "sign-in": plan.sign_in_url,
                "return-param": return_param,
                "cure": plan.cure_url or None,
                "cure-call": plan.cure_call or None,
                "claim": _claim_name(plan) if plan.cure_url else None,
                "optional": "" if plan.continues_signed_out else None,
            },
        ),
    )


def script_element(
    browser: BrowserSettings, asset_folder: str, nonce: str | None, data: Mapping[str, str | None]
) -> Markup:
    """Return the element that loads the browser script.

    :param asset_folder: the path of the refresh page, which the two static files are below.
    :param nonce: for a Content-Security-Policy; None for none.
    :param data: the ``data-`` attributes, without that prefix; those that are None are left out.
    """
    same = _same_attributes(browser, asset_folder)
    own = _attributes({"nonce": nonce} | {f"data-{name}": value for name, value in data.items()})
    return Markup(f"<script{same}{own}></script>")  # noqa: S704 - every value is escaped


@lru_cache(maxsize=16)  # escaping them takes 3 µs
def _same_attributes(browser: BrowserSettings, asset_folder: str) -> str:
    """Return the attributes that the script elements of all pages share."""
    return _attributes(
        {
            "src": asset_url(asset_folder, assets.script()),
            "data-api-domain": browser.api_domain,
            "data-api-base-path": browser.api_base_path or "/",
            "data-cookie-domain": browser.cookie_domain,
            "data-expired-status": str(browser.session_expired_status),
        }
    )


def _attributes(values: Mapping[str, str | None]) -> str:
    """Return *values* as HTML attributes; those that are None are left out."""
    # Joined as text: Markup.format() takes 50 µs for as many attributes.
    return "".join(
        f' {name}="{escape(value)}"' for name, value in values.items() if value is not None
    )


def asset_url(folder: str, asset: assets.Asset) -> str:
    """Return the URL of a static file below the path of the refresh page, *folder*."""
    return f"{folder}/ssr-session-{asset.digest}.{asset.suffix}"


def _claim_name(plan: Plan) -> str:
    """Return the name, for the script, of the claim that is cured next.

    Not its id alone: a session may first need ``st-mfa`` at all, then a factor of it again.
    """
    failure = plan.failures[0]
    return f"{failure.id} {failure.step_up}".rstrip()
