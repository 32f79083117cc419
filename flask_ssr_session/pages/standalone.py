"""The pages of this package for frameworks other than Flask: whole responses as plain values.

docs/fastapi.rst and docs/django.rst show how a framework decides the verdict and sends the result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import ContextVar
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, PrefixLoader
from markupsafe import Markup

from ..sansio.languages import LANGUAGES
from ..sansio.policy_values import Plan, PolicyOptions, RequestFacts
from ..sansio.response_policy import is_page, page_status, plan_response
from ..sansio.script_response import RETRY_AFTER_SECONDS, script_response
from ..sansio.states import ResponseKind
from ..sansio.verdict import Verdict
from . import assets
from .packaged_templates import (
    DOCUMENT,
    MACRO,
    TEMPLATE_PREFIX,
    content_security_policy,
    templates_folder,
)
from .refresh_view import BrowserSettings, RefreshView, make_refresh_view, script_element

# What a site imports.
__all__ = ["BrowserSettings", "PlainResponse", "StandalonePages"]


class PlainResponse(NamedTuple):
    """A whole response, for any framework to send.

    :ivar headers: one value for each name; ``Location`` and ``Content-Type`` are among them.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class StandalonePages:
    """Renders the responses that replace content, and serves the two static files.

    :ivar refresh_path: the two static files are below this path.
    """

    def __init__(
        self,
        options: PolicyOptions,
        browser: BrowserSettings,
        *,
        refresh_path: str = "/refresh-session",
    ) -> None:
        """Load the packaged templates.

        :raises ConfigError: the package has no templates or no browser script.
        """
        self.refresh_path = refresh_path
        # There is no page at the refresh path: the refresh page is shown in place of content.
        self._options = options._replace(redirects=False)
        self._browser = browser
        # The view of the page that this thread or task renders; the templates read it.
        self._view: ContextVar[RefreshView] = ContextVar("ssr_session_refresh_view")
        environment = Environment(
            loader=PrefixLoader(
                {TEMPLATE_PREFIX.rstrip("/"): FileSystemLoader(templates_folder())}
            ),
            autoescape=True,
            auto_reload=False,
        )
        environment.globals.update(
            ssr_language=lambda: LANGUAGES["en"],
            ssr_page_kind=lambda: self._view.get().page_kind,
            ssr_refresh_texts=lambda defaults, _texts: defaults,
            ssr_refresh_view=lambda _nonce: self._view.get(),
        )
        self._document = environment.get_template(TEMPLATE_PREFIX + DOCUMENT)
        self._files = {each.suffix: each for each in (assets.script(), assets.style())}

    def session_script(self) -> Markup:
        """Return the script element that starts the SuperTokens browser SDK on an ordinary page."""
        return script_element(self._browser, self.refresh_path, None, {"mode": "session"})

    def respond(
        self, verdict: Verdict, facts: RequestFacts, *, has_duplicates: bool
    ) -> PlainResponse:
        """Return the response that replaces content, because *verdict* has no session.

        :param has_duplicates: the request has several access tokens, equal ones included.
        :raises KeyError: *verdict* has a session.
        """
        plan = plan_response(verdict, facts, self._options)
        status, body = 302, b""
        headers = {
            "Cache-Control": "no-store",
            "Vary": "Cookie",
            "X-Robots-Tag": "noindex",
            "SSR-Session": f"{verdict.state.value}; reason={verdict.reason.value}",
        }
        # Without Flask, no error handler of the app shows a failed claim.
        if is_page(plan.kind) or plan.kind is ResponseKind.CLAIMS_ERROR:
            status = page_status(plan.page, is_safe=facts.is_safe)
            if plan.page is ResponseKind.OUTAGE_PAGE:
                headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
            headers["Content-Type"] = "text/html; charset=utf-8"
            headers["Content-Security-Policy"] = content_security_policy(self._browser.api_domain)
            headers["Referrer-Policy"] = "same-origin"
            body = self._render(plan, verdict, facts, has_duplicates=has_duplicates)
        elif plan.kind is ResponseKind.SIGN_IN_REDIRECT:
            headers["Location"] = plan.location
        else:
            answer = script_response(
                plan, session_expired_status=self._browser.session_expired_status
            )
            status = answer.status
            if answer.retry_after is not None:
                headers["Retry-After"] = str(answer.retry_after)
            if answer.body is not None:
                headers["Content-Type"] = "application/json"
                body = json.dumps(answer.body).encode()
        return PlainResponse(status, headers, body)

    def _render(
        self, plan: Plan, verdict: Verdict, facts: RequestFacts, *, has_duplicates: bool
    ) -> bytes:
        view = make_refresh_view(
            plan,
            verdict,
            facts,
            self._browser,
            return_param=self._options.login_return_param,
            has_duplicates=has_duplicates,
        )
        self._view.set(view)
        return self._document.render(refresh_page_template=TEMPLATE_PREFIX + MACRO).encode()

    def file(self, name: str) -> PlainResponse | None:
        """Return the script or the style sheet; None if *name* is neither.

        :param name: the part of the URL after :attr:`refresh_path` and a slash.
        """
        digest, _, suffix = name.removeprefix("ssr-session-").partition(".")
        asset = self._files.get(suffix) if name.startswith("ssr-session-") else None
        if asset is None:
            return None
        headers = {
            "Content-Type": asset.content_type,
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": asset.cache_control(digest),
        }
        return PlainResponse(200, headers, asset.content)
