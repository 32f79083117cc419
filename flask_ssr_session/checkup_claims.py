"""Gather what the doctor judges of claims: from the SDK, the app's views and its templates."""

from __future__ import annotations

import re

from flask import Flask
from werkzeug.test import EnvironBuilder

from .doctor_claims import ClaimSetup
from .global_claims import GlobalClaims
from .requirements import view_mark
from .sdk import read_sdk
from .session import SSRSession, frozen
from .state import AppState

# A user whom no store knows, so that an override that looks users up is found, too.
_MADE_UP = {
    "sub": "flask-ssr-session-doctor",
    "rsub": "flask-ssr-session-doctor",
    "tId": "public",
    "sessionHandle": "flask-ssr-session-doctor",
    "st-mfa": {"c": {}, "v": True},
}

_SESSION_DECIDES = re.compile(r"{%-?\s*(?:el)?if\s[^%]*\bg\.session\b[^%]*%}")
_SHOWS_REFRESH_PAGE = re.compile(r"\brefresh_page\(")


def gather_claims(state: AppState) -> ClaimSetup:
    """Return what is known of the claims that pages of the app ask."""
    sdk, app = read_sdk(), state.app
    source = sdk.global_claims if sdk else None
    factor_url = f"{sdk.website_base_path}/mfa" if sdk else None
    marks = {endpoint: view_mark(view) for endpoint, view in app.view_functions.items()}
    broken: list[str] = []
    if source is not None:
        request = app.request_class(EnvironBuilder().get_environ())
        GlobalClaims(source).failures(
            SSRSession(frozen(_MADE_UP)),
            source.user_context(request),
            lambda name, problem, _error: broken.append(f"{name} {problem}"),
        )
    return ClaimSetup(
        added=None if source is None else tuple(str(v.id) for v in source.added_validators()),
        is_asked=state.settings.global_claims,
        broken=tuple(broken),
        waived=tuple(name for name, mark in marks.items() if not mark.global_claims),
        pending=tuple(name for name, mark in marks.items() if mark.allow_pending),
        factor_url=factor_url,
        has_factor_view=factor_url is None or _has_view(app, factor_url),
        guarded_by_session=_guarded_by_session(app),
    )


def _has_view(app: Flask, path: str) -> bool:
    adapter = app.url_map.bind(app.config["SERVER_NAME"] or "localhost")
    return adapter.test(path, "GET")


def _guarded_by_session(app: Flask) -> tuple[str, ...]:
    """Return the templates that show the refresh page where there is no ``g.session``."""
    environment = app.jinja_env
    if environment.loader is None:
        return ()
    try:
        names = environment.list_templates()
    except TypeError:  # a loader of the app's that cannot list its templates
        return ()
    found = []
    for name in names:
        try:
            source, _, _ = environment.loader.get_source(environment, name)
        except Exception:  # noqa: BLE001, S112 - no text, or none in UTF-8
            continue
        if _SESSION_DECIDES.search(source) and _SHOWS_REFRESH_PAGE.search(source):
            found.append(name)
    return tuple(found)
