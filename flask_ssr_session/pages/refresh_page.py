"""What templates see: the global ``needs_refresh``, the macro's data, and our whole pages.

An app's template of one of our names wins over ours; ours stay importable below
``flask_ssr_session/``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from flask import Flask, current_app, has_request_context, render_template, request
from markupsafe import Markup
from werkzeug.local import LocalProxy

from ..app_state import (
    ACCESS_TOKEN_COOKIE,
    CONTINUE_PARAMETER,
    AppState,
    current_request,
    current_request_state,
    current_state,
)
from ..errors import MisuseError
from ..navigation import (
    current_return_path,
    is_closed_factor_page,
    is_closed_sign_in,
    is_sign_in_page,
    refresh_path,
    request_path,
)
from ..sansio.form_replay import ReplayableForm
from ..sansio.request_kind import SAFE_METHODS
from ..sansio.response_policy import page_for
from ..sansio.return_path import with_query, with_return_path
from ..sansio.states import ResponseKind, SessionState
from . import assets
from .jinja_env import (
    DOCUMENT,
    LOADER_ADVICE,
    LOADER_REPLACED,
    MACRO,
    TEMPLATE_PREFIX,
    install_loader,
    is_loader_replaced,
    original_document,
)


class NeedsRefresh:
    """The template global ``needs_refresh``: true unless the page may show its content.

    It reads the same as a value and as a call. Its truth value never raises, and is true where
    there is no request. ``needs_refresh(optional=True)`` is false for visitors who are not signed
    in, and in an outage: the page has something to show them.

    What a call returns asks anew each time it is looked at, too: Jinja runs the top of a file that
    is imported without context once per process, for whoever came first.
    """

    def __init__(self, optional: bool = False) -> None:
        self._optional = optional

    def __call__(self, *, optional: bool = False) -> NeedsRefresh:
        """Return whether the content has to wait.

        :param optional: strangers may see the content, with ``g.session`` None.
        """
        return NeedsRefresh(optional)

    def __bool__(self) -> bool:
        if not has_request_context():
            return True
        # Fails closed: templates of error pages and streams ask too, and must not crash. A setup
        # error has been raised by the hook already.
        try:
            record = current_request_state()
            record.template_optional = self._optional
            is_shown = current_state().may_show(current_request(), record)
            # Such a page is one visitor's, exactly as behind session_required.
            record.protected = record.protected or (is_shown and not record.optional)
            return not is_shown
        except Exception:  # noqa: BLE001
            return True

    # However a template looks at it, as a truth value or as the number that one is in Python, it
    # must not read as "may be shown" by mistake.
    def __eq__(self, other: object) -> bool:
        return bool(self) == other if isinstance(other, (int, float, NeedsRefresh)) else False

    def __index__(self) -> int:
        return int(bool(self))

    def __float__(self) -> float:
        return float(bool(self))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return str(bool(self))


def session_state() -> str:
    """Return the value of :func:`get_session_state`, for templates; it is never an error.

    Outside a request there is nobody, which is ``anonymous``.
    """
    if not has_request_context():
        return SessionState.ANONYMOUS.value
    try:
        return current_state().verdict().state.value
    except Exception:  # noqa: BLE001 - as for needs_refresh
        return SessionState.UNAVAILABLE.value


class RefreshView(NamedTuple):
    """What the macro ``refresh_page()`` shows; every URL in it has been validated.

    :ivar page_kind: ``refresh``, ``sign_in``, ``factor``, ``claims``, ``outage`` or ``refused``.
    :ivar reason: the verdict's reason slug.
    :ivar is_safe: the page may be asked for again by itself; false after a form was sent.
    :ivar auto_redirect: the visitor is taken to sign-in, or on to the next factor, without pressing
        anything.
    :ivar retry_url: the path to ask for again.
    :ivar sign_in_url: sign-in, with the way back.
    :ivar factor_url: where sign-in is completed, with the way back; empty where nobody knows.
    :ivar continue_url: the page without a session; empty where it has nothing to show then.
    :ivar form: what was sent and can be sent again, or None.
    :ivar nonce: for the style sheet; the script element has it already.
    :ivar script: the script element, with everything it needs to know.
    """

    page_kind: str
    reason: str
    is_safe: bool
    auto_redirect: bool
    retry_url: str
    sign_in_url: str
    factor_url: str
    continue_url: str
    form: ReplayableForm | None
    style_url: str
    nonce: str | None
    script: Markup


_PAGES = {
    ResponseKind.REFRESH_PAGE: "refresh",
    ResponseKind.SIGN_IN_PAGE: "sign_in",
    ResponseKind.OUTAGE_PAGE: "outage",
    ResponseKind.CROSS_SITE_PAGE: "refused",
    ResponseKind.FACTOR_PAGE: "factor",
    ResponseKind.CLAIMS_PAGE: "claims",
}


def refresh_view(nonce: str | None = None) -> RefreshView:
    """Return what the refresh page of the current request shows, and note that it was shown.

    :param nonce: for a Content-Security-Policy; None asks the app's ``csp_nonce()`` template
        global, where it has one.
    """
    state, record = current_state(), current_request_state()
    verdict = state.verdict()
    always = state.settings.always_try_refresh
    # The sign-in page, or an error page in its place, must not lead to itself.
    at_sign_in = is_closed_sign_in() or is_sign_in_page()
    if record.return_path is not None:
        page = ResponseKind.REFRESH_PAGE
    else:
        failures = state.claim_failures(current_request(), record)
        claims_failed = bool(failures) and verdict.state is SessionState.ACTIVE
        record.lacks_claims = record.lacks_claims or claims_failed
        page = page_for(
            verdict.state,
            claims_failed=claims_failed,
            always_try_refresh=always and not at_sign_in,
        )
    record.shown_page = page
    record.refresh_response = page if page is ResponseKind.REFRESH_PAGE else None
    if record.streaming:
        state.signal_refresh(record)
    target = record.return_path if record.return_path is not None else current_return_path()
    is_safe = request.method in SAFE_METHODS
    sign_in_url = sign_in_location(state, target)
    factor_url = ""
    if page is ResponseKind.FACTOR_PAGE and not is_closed_factor_page():
        factor_url = factor_location(state, target)
    offers_continue = record.optional or record.offers_continue
    continue_url = with_query(target, **{CONTINUE_PARAMETER: "1"}) if offers_continue else ""
    if at_sign_in and offers_continue:
        # Where a session turns out to have ended on the sign-in page, signing in comes next.
        sign_in_url = continue_url = with_query(request_path(), **{CONTINUE_PARAMETER: "1"})
    return RefreshView(
        page_kind=_PAGES[page],
        reason=verdict.reason.value,
        is_safe=is_safe,
        auto_redirect=is_safe
        and (bool(factor_url) or (page is ResponseKind.SIGN_IN_PAGE and not at_sign_in)),
        retry_url=target,
        sign_in_url=sign_in_url,
        factor_url=factor_url,
        continue_url=continue_url,
        form=record.form,
        style_url=_asset_url(assets.style()),
        nonce=nonce or _app_nonce(),
        script=_script_element(
            state,
            nonce,
            {
                "mode": "refresh",
                "reason": verdict.reason.value,
                "token": verdict.fingerprint,
                # SuperTokens' refresh API counts them in the same way, equal values too.
                "duplicates": "" if len(request.cookies.getlist(ACCESS_TOKEN_COOKIE)) > 1 else None,
                "unsafe": None if is_safe else "",
                "return-to": record.return_path,
                "sign-in": sign_in_url,
                "return-param": state.settings.login_return_param,
                "optional": "" if offers_continue and not at_sign_in else None,
            },
        ),
    )


def refresh_texts(defaults: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, str]:
    """Return what the macro says: *texts* over *defaults*.

    :raises MisuseError: in debug only, a name in *texts* is none of ours. A visitor sees the
        original words instead.
    """
    if current_app.debug:
        for name in texts:
            if name not in defaults:
                near = get_close_matches(name, defaults, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise MisuseError(f"refresh_page() has no text named {name!r}{hint}")
    return {**defaults, **texts}


def sign_in_location(state: AppState, target: str) -> str:
    """Return the sign-in URL, which leads back to *target* unless it would get too long."""
    return with_return_path(
        state.ready().deployment.login_url, state.settings.login_return_param, target
    )


def factor_location(state: AppState, target: str) -> str:
    """Return the URL that completes sign-in and leads back to *target*; empty if nobody knows."""
    url = state.ready().deployment.factor_url
    # The name is that of SuperTokens' prebuilt UI, which answers there.
    return "" if url is None else with_return_path(url, "redirectToPath", target)


def session_script(nonce: str | None = None) -> Markup:
    """Return a script element that starts the SuperTokens browser SDK on an ordinary page.

    fetch and XMLHttpRequest then refresh an expired session by themselves. Put it into the head,
    before any script that sends requests.

    :param nonce: for a Content-Security-Policy; None asks the app's ``csp_nonce()`` template
        global, where it has one.
    :raises MisuseError: ``init_app`` was not called for this app.
    """
    unsafe = None if request.method in SAFE_METHODS else ""
    return _script_element(current_state(), nonce, {"mode": "session", "unsafe": unsafe})


def _script_element(state: AppState, nonce: str | None, data: dict[str, str | None]) -> Markup:
    deployment = state.ready().deployment
    data |= {
        "api-domain": deployment.api_domain,
        "api-base-path": deployment.api_base_path or "/",
        "cookie-domain": deployment.cookie_domain,
        "expired-status": str(deployment.session_expired_status),
    }
    attributes: dict[str, str | None] = {
        "src": _asset_url(assets.script()),
        "nonce": nonce or _app_nonce(),
        **{f"data-{name}": value for name, value in data.items()},
    }
    return Markup("<script{}></script>").format(
        Markup("").join(
            Markup(' {}="{}"').format(name, value)
            for name, value in attributes.items()
            if value is not None
        )
    )


def _has_refresh_script(page: str) -> bool:
    """Return whether the refresh page's own script is in *page*.

    ``session_script()`` loads the same file, and is not it.
    """
    script = re.escape(_asset_url(assets.script()))
    # A value in front of the mode may be the app's nonce, in which no bracket or quote is left.
    return re.search(rf'<script src="{script}"[^<>]* data-mode="refresh"', page) is not None


def _app_nonce() -> str | None:
    """Return what the app's template global ``csp_nonce()`` says, or None."""
    csp_nonce = current_app.jinja_env.globals.get("csp_nonce")
    # Flask-Talisman's is empty where its policy has no nonce.
    return str(csp_nonce()) or None if callable(csp_nonce) else None


def _asset_url(asset: assets.Asset) -> str:
    return f"{refresh_path()}/ssr-session-{asset.digest}.{asset.suffix}"


def render_document() -> str:
    """Return our whole page for the current request, in the app's look where it has one.

    A template of the app's that fails is passed over for the original, and the cause is logged:
    what a visitor sees in an outage must not depend on it.
    """
    try:
        page = render_template(DOCUMENT, refresh_page_template=MACRO)
    except Exception as error:  # noqa: BLE001 - it is the app's code, anything may come out
        # The message may quote values of the app's; the type and the template's place do not.
        problem = f"failed with {type(error).__name__}{_template_location(error)}"
    else:
        # Without the script nobody would ever leave a refresh page.
        asks_script = refresh_view().page_kind == _PAGES[ResponseKind.REFRESH_PAGE]
        if not asks_script or _has_refresh_script(page):
            return page
        problem = (
            "shows no refresh page: call refresh_page() of flask_ssr_session/refresh_page.html"
        )
    state = current_state()
    if not is_loader_replaced(state.app):
        state.log.write(
            logging.ERROR,
            "override_broken",
            f"{DOCUMENT} or {MACRO} of the app {problem}; the original is shown",
        )
    warn_of_replaced_loader(state)
    return original_document(state.app).render(refresh_page_template=TEMPLATE_PREFIX + MACRO)


def warn_of_replaced_loader(state: AppState) -> None:
    """Say once if the app's templates cannot find ours any more."""
    if is_loader_replaced(state.app):
        state.warn_once("loader_replaced", f"{LOADER_REPLACED}: {LOADER_ADVICE}")


def _template_location(error: Exception) -> str:
    place = ""
    trace = error.__traceback__
    while trace is not None:
        # Jinja names its own frames after template files.
        if trace.tb_frame.f_code.co_filename.endswith(".html"):
            place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def content_security_policy(state: AppState) -> str:
    """Return a policy that allows just what our untouched pages use."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' {state.ready().deployment.api_domain}; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    )


def _unwrap_needs_refresh(test: Any) -> Callable[..., Any]:
    def seen(value: object, *args: object) -> Any:
        return test(bool(value) if isinstance(value, NeedsRefresh) else value, *args)

    return seen


def install_templates(app: Flask) -> None:
    """Give *app* our templates, after all of its own, and our template globals."""
    install_loader(app)
    environment = app.jinja_env
    # Jinja's "is true" asks for the constant itself, which this global is not: it would read as
    # "may be shown".
    for name in ("boolean", "false", "sameas", "true"):
        environment.tests[name] = _unwrap_needs_refresh(environment.tests[name])
    environment.globals.update(
        needs_refresh=NeedsRefresh(),
        session_script=session_script,
        session_state=LocalProxy(session_state),
        ssr_refresh_texts=refresh_texts,
        ssr_refresh_view=refresh_view,
    )
