"""Decide what kind of request asks, and what it gets where a session is needed and not active.

A browser that asks for a document can be shown a page; everything else must get an answer that a
script understands. Knows header values, no framework.
"""

from __future__ import annotations

from .states import RequestKind, ResponseKind, SessionState


def answer_for(
    state: SessionState,
    kind: RequestKind,
    *,
    is_safe: bool,
    optional: bool = False,
    continues_signed_out: bool = False,
    always_try_refresh: bool = False,
    refresh_flow: str = "inline",
) -> ResponseKind:
    """Return what a request gets that asks for a session, or may have one.

    :param is_safe: the method asks for something and changes nothing, so it may be repeated.
    :param optional: the page has content for strangers, too.
    :param continues_signed_out: the visitor chose to see an optional page without a session.
    """
    if state is SessionState.ACTIVE:
        return ResponseKind.ALLOW
    if optional and (state is not SessionState.REFRESH or continues_signed_out):
        return ResponseKind.ALLOW
    if state is SessionState.REFUSED:
        # Never sign-in: whoever is asked to sign in comes back and does what was refused.
        return (
            ResponseKind.CROSS_SITE_PAGE
            if kind is RequestKind.DOCUMENT
            else ResponseKind.CROSS_SITE_JSON
        )
    to_sign_in = state is SessionState.ANONYMOUS and not always_try_refresh
    if kind is RequestKind.PREFETCH:
        return ResponseKind.PREFETCH_DECLINED
    if kind is RequestKind.SCRIPT:
        if state is SessionState.UNAVAILABLE:
            return ResponseKind.UNAVAILABLE_JSON
        if state is SessionState.PENDING:
            return ResponseKind.FACTOR_JSON
        return ResponseKind.UNAUTHORISED if to_sign_in else ResponseKind.TRY_REFRESH
    if state is SessionState.UNAVAILABLE:
        return ResponseKind.OUTAGE_PAGE
    if state is SessionState.PENDING:
        return ResponseKind.FACTOR_REDIRECT if is_safe else ResponseKind.FACTOR_PAGE
    # A redirect would lose the body of a post, and with it what the visitor typed.
    if to_sign_in:
        return ResponseKind.SIGN_IN_REDIRECT if is_safe else ResponseKind.SIGN_IN_PAGE
    if refresh_flow == "redirect" and is_safe:
        return ResponseKind.REFRESH_REDIRECT
    return ResponseKind.REFRESH_PAGE


def page_for(
    state: SessionState, *, claims_failed: bool = False, always_try_refresh: bool = False
) -> ResponseKind:
    """Return which page a template shows in place of content that it keeps back.

    :param claims_failed: the session is active, and lacks a claim that the page asks for.
    """
    if claims_failed:
        return ResponseKind.CLAIMS_PAGE
    if state is SessionState.PENDING:
        return ResponseKind.FACTOR_PAGE
    if state is SessionState.REFUSED:
        return ResponseKind.CROSS_SITE_PAGE
    if state is SessionState.UNAVAILABLE:
        return ResponseKind.OUTAGE_PAGE
    if state is SessionState.ANONYMOUS and not always_try_refresh:
        return ResponseKind.SIGN_IN_PAGE
    return ResponseKind.REFRESH_PAGE
