"""Read which claims the SDK, the app's views and its templates require."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.test import EnvironBuilder

from ..app_state import AppState
from ..config.resolved import SDKSettings
from ..sansio.builtin_claims import MFA_CLAIM
from ..sansio.global_claims import GlobalClaims, GlobalClaimSource, is_about
from ..sansio.requirements import view_mark
from ..session import SSRSession, deep_freeze

# No database has this user, so an override that queries users fails here, too.
_MADE_UP_USER = {
    "sub": "flask-ssr-session-doctor",
    "rsub": "flask-ssr-session-doctor",
    "tId": "public",
    "sessionHandle": "flask-ssr-session-doctor",
    MFA_CLAIM: {"c": {}, "v": True},
}

_SESSION_DECIDES = re.compile(r"{%-?\s*(?:el)?if\s[^%]*\bg\.session\b[^%]*%}")
_SHOWS_REFRESH_PAGE = re.compile(r"\brefresh_page\(")


@dataclass(frozen=True)
class ClaimSetup:
    """The claims that the SDK and the pages require.

    :ivar added: ids of the claims that the SDK's recipes and plugins require of every session;
        None without the SDK's Session recipe.
    :ivar pages_require_them: the setting ``SSR_SESSION_GLOBAL_CLAIMS``.
    :ivar broken: what an override or a validator did for a made-up session.
    :ivar waived: endpoints marked ``global_claims=False``.
    :ivar pending: endpoints marked ``allow_pending``.
    :ivar missing_pages: paths where users meet claims of *added*, and which no view of the app
        serves, by the id of the claim.
    :ivar guarded_by_session: templates that decide by ``g.session`` whether to show a page.
    """

    added: tuple[str, ...] | None
    pages_require_them: bool = True
    broken: tuple[str, ...] = ()
    waived: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    missing_pages: Mapping[str, str] = field(default_factory=dict)
    guarded_by_session: tuple[str, ...] = ()


def read_claim_setup(
    state: AppState, sdk: SDKSettings | None, pages: Mapping[str, str]
) -> ClaimSetup:
    """Return the claim setup of an app.

    :param sdk: None if no SDK is initialised in this process.
    :param pages: the path of the page that cures a claim, by the id of the claim.
    """
    app = state.app
    source = sdk.global_claims if sdk else None
    marks = {endpoint: view_mark(view) for endpoint, view in app.view_functions.items()}
    broken: list[str] = []
    if source is not None:
        request = app.request_class(EnvironBuilder().get_environ())
        GlobalClaims(source).failures(
            SSRSession(deep_freeze(_MADE_UP_USER)),
            source.user_context(request),
            lambda name, problem, _error: broken.append(f"{name} {problem}"),
        )
    return ClaimSetup(
        added=None if source is None else tuple(str(v.id) for v in source.added_validators()),
        pages_require_them=state.settings.global_claims,
        broken=tuple(broken),
        waived=tuple(name for name, mark in marks.items() if not mark.global_claims),
        pending=tuple(name for name, mark in marks.items() if mark.allow_pending),
        missing_pages=_missing_pages(app, source, pages),
        guarded_by_session=_guarded_by_session(app),
    )


def _missing_pages(
    app: Flask, source: GlobalClaimSource | None, pages: Mapping[str, str]
) -> dict[str, str]:
    added = [] if source is None else source.added_validators()
    return {
        claim: page
        for claim, page in pages.items()
        if any(is_about(validator, claim) for validator in added)
        and _endpoint_at(app, page.partition("?")[0]) is None
    }


def _endpoint_at(app: Flask, path: str) -> str | None:
    """Return the endpoint of a GET of *path*, or of *path* with a slash, or None."""
    adapter = app.url_map.bind(app.config["SERVER_NAME"] or "localhost")
    for spelling in (path, f"{path}/"):
        try:
            return str(adapter.match(spelling, "GET")[0])
        except HTTPException:  # noqa: PERF203 - two iterations
            continue
    return None


def _guarded_by_session(app: Flask) -> tuple[str, ...]:
    """Return the templates that show the refresh page if ``g.session`` is missing."""
    environment = app.jinja_env
    if environment.loader is None:
        return ()
    try:
        names = environment.list_templates()
    except TypeError:  # the app's own loader cannot list its templates
        return ()
    found = []
    for name in names:
        try:
            source, _, _ = environment.loader.get_source(environment, name)
        except Exception:  # noqa: BLE001, S112 - not a text file, or not in UTF-8
            continue
        if _SESSION_DECIDES.search(source) and _SHOWS_REFRESH_PAGE.search(source):
            found.append(name)
    return tuple(found)
