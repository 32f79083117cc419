"""Read which claims the SDK, the app's views and its templates require."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.test import EnvironBuilder

from ..app_state import AppState
from ..config.resolved import SDKSettings
from ..sansio.builtin_claims import MFA_CLAIM
from ..sansio.claims import ClaimFailure, ClaimValidator
from ..sansio.cures import Cure, CurePages
from ..sansio.global_claims import GlobalClaims, is_about
from ..sansio.requirements import view_mark
from ..session import SSRSession, deep_freeze
from .inner_calls import inner_calls
from .required_claims import UnwrittenClaims, declared_requirements, unwritten_claims

# No database has this user, so an override that queries users fails here, too.
_MADE_UP_USER = {
    "sub": "flask-ssr-session-doctor",
    "rsub": "flask-ssr-session-doctor",
    "tId": "public",
    "sessionHandle": "flask-ssr-session-doctor",
    MFA_CLAIM: {"c": {}, "v": True},
}

# The ids of the recipes by which users complete a factor.
_FACTOR_RECIPES = {
    "totp": "totp",
    **dict.fromkeys(("otp-email", "otp-phone", "link-email", "link-phone"), "passwordless"),
}

_SESSION_DECIDES = re.compile(r"{%-?\s*(?:el)?if\s[^%]*\bg\.session\b[^%]*%}")
_SHOWS_REFRESH_PAGE = re.compile(r"\brefresh_page\(")


class MissingPage(NamedTuple):
    """A page that users are sent to, and that no view of the app serves.

    :ivar lack: what its users lack.
    :ivar url: its path, and perhaps a query.
    :ivar setting: the setting that names another page.
    """

    lack: str
    url: str
    setting: str


@dataclass(frozen=True)
class ClaimSetup:
    """The claims that the SDK and the pages require.

    :ivar added: ids of the claims that the SDK's recipes and plugins require of every session;
        None without the SDK's Session recipe.
    :ivar pages_require_them: the setting ``SSR_SESSION_GLOBAL_CLAIMS``.
    :ivar broken: what an override or a validator did for a made-up session.
    :ivar waived: endpoints marked ``global_claims=False``.
    :ivar pending: endpoints marked ``allow_pending``.
    :ivar missing_pages: pages that users are sent to, and that no view of the app serves.
    :ivar unwritten_factors: factors that views require, while the SDK here writes none.
    :ivar missing_recipes: ids of the recipes that users need to complete the factors that views
        require, and that the SDK here has not initialised.
    :ivar factors_without_page: factors that views require and that no page asks users for.
    :ivar unwritten_claims: conditions of views on claims that no recipe of the SDK here writes.
    :ivar lacks_user_loader: views require a user of the app, which has no ``user_loader``.
    :ivar inner_calls: views and hooks whose own code calls ``require_session()``.
    :ivar guarded_by_session: templates that decide by ``g.session`` whether to show a page.
    """

    added: tuple[str, ...] | None
    pages_require_them: bool = True
    broken: tuple[str, ...] = ()
    waived: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    missing_pages: tuple[MissingPage, ...] = ()
    unwritten_factors: tuple[str, ...] = ()
    missing_recipes: tuple[str, ...] = ()
    factors_without_page: tuple[str, ...] = ()
    unwritten_claims: tuple[UnwrittenClaims, ...] = ()
    lacks_user_loader: bool = False
    inner_calls: tuple[str, ...] = ()
    guarded_by_session: tuple[str, ...] = ()


def read_claim_setup(
    state: AppState,
    sdk: SDKSettings | None,
    pages: CurePages,
    recipe_ids: Collection[str] | None = None,
) -> ClaimSetup:
    """Return the claim setup of an app.

    :param sdk: None if no SDK is initialised in this process.
    :param pages: the pages that cure claims.
    :param recipe_ids: the recipes that the SDK has initialised; None if they are unknown.
    """
    app = state.app
    source = sdk.global_claims if sdk else None
    marks = {endpoint: view_mark(view) for endpoint, view in app.view_functions.items()}
    required = list(declared_requirements(app))
    curable = [failure for each in required for failure in each.curable]
    factors = tuple(dict.fromkeys(each.step_up for each in curable if each.step_up))
    added = () if source is None else source.added_validators()
    broken: list[str] = []
    if source is not None:
        request = app.request_class(EnvironBuilder().get_environ())
        GlobalClaims(source).failures(
            SSRSession(deep_freeze(_MADE_UP_USER)),
            request,
            lambda name, problem, _error: broken.append(f"{name} {problem}"),
        )
    return ClaimSetup(
        added=None if source is None else tuple(str(v.id) for v in added),
        pages_require_them=state.settings.global_claims,
        broken=tuple(broken),
        waived=tuple(name for name, mark in marks.items() if not mark.global_claims),
        pending=tuple(name for name, mark in marks.items() if mark.allow_pending),
        missing_pages=tuple(
            page
            for page in [
                *_claim_pages(state, added, pages, curable),
                *_factor_pages(pages, factors),
            ]
            if _endpoint_at(app, page.url.partition("?")[0]) is None
        ),
        unwritten_factors=() if source is None or source.has_mfa else factors,
        missing_recipes=() if recipe_ids is None else _missing_recipes(factors, recipe_ids),
        factors_without_page=tuple(each for each in factors if _cure_of(pages, each) is None),
        unwritten_claims=(
            () if recipe_ids is None else tuple(unwritten_claims(required, recipe_ids))
        ),
        lacks_user_loader=state.user_loader is None and any(each.user for each in required),
        inner_calls=tuple(inner_calls(app)),
        guarded_by_session=_guarded_by_session(app),
    )


def _claim_pages(
    state: AppState,
    added: Sequence[ClaimValidator],
    pages: CurePages,
    curable: Sequence[ClaimFailure],
) -> Iterator[MissingPage]:
    """Yield the page of each claim that the SDK, a view or the app's settings name.

    :param added: the validators that the SDK requires of every session.
    :param curable: what views require and a page may cure.
    """
    named = {failure.id for failure in curable if not failure.step_up}
    named.update(state.settings.claim_pages or ())
    for claim, page in pages.pages.items():
        if not page.startswith("/"):
            continue  # an endpoint, which the app has
        if claim in named or any(is_about(validator, claim) for validator in added):
            yield MissingPage(claim, page, "SSR_SESSION_CLAIM_PAGES")


def _factor_pages(pages: CurePages, factors: Sequence[str]) -> Iterator[MissingPage]:
    """Yield the pages that ask for a factor.

    :param factors: the factors that views require.
    """
    setting = "SSR_SESSION_STEP_UP_URL"
    if pages.step_up is not None:
        yield MissingPage("a recent factor", pages.step_up, setting)
        return
    for factor in factors:
        if cure := _cure_of(pages, factor):
            yield MissingPage(f"factor {factor}", cure.url, setting)


def _cure_of(pages: CurePages, factor: str) -> Cure | None:
    return pages.cure([ClaimFailure(MFA_CLAIM, None, step_up=factor)])


def _missing_recipes(factors: Sequence[str], recipe_ids: Collection[str]) -> tuple[str, ...]:
    needed = dict.fromkeys(_FACTOR_RECIPES[each] for each in factors if each in _FACTOR_RECIPES)
    return tuple(each for each in needed if each not in recipe_ids)


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
