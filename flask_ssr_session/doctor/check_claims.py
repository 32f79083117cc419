"""Check that pages require the claims that the SDK requires, and that users can complete them."""

from __future__ import annotations

from collections.abc import Iterator

from .environment import Environment
from .finding import Finding, ok, problem, warning

# Enough to act on; a large app has more views than a terminal has lines.
_MAX_NAMES = 5


def check_claims(environment: Environment) -> Iterator[Finding]:
    """Check that pages require the global claims of the SDK."""
    setup = environment.claims
    if setup.added is None:
        yield ok(
            "claims",
            "no SDK in this process says which claims every session needs; each view names its own",
        )
        return
    if not setup.added:
        yield ok("claims", "no recipe of the SDK requires a claim of every session")
        return
    claims = ", ".join(setup.added)
    if not setup.pages_require_them:
        yield warning(
            "claims",
            f"the SDK requires {claims} of every session, but pages do not: "
            "SSR_SESSION_GLOBAL_CLAIMS is off",
            "switch it on, and mark pages for users without these claims with global_claims=False",
        )
        return
    for broken in setup.broken:
        yield warning(
            "claims",
            f"for a made-up user without claims, {broken}; pages reject such users",
            "make it use only the payload, without any query",
        )
    if not setup.broken:
        without = f", except on {_listed(setup.waived)}" if setup.waived else ""
        yield ok(
            "claims", f"pages require what the SDK requires of every session: {claims}{without}"
        )


def check_session_guards(environment: Environment) -> Iterator[Finding]:
    """Check that no template decides by ``g.session``, which ignores claims."""
    setup = environment.claims
    if setup.guarded_by_session and setup.added and setup.pages_require_them:
        yield warning(
            "session_guards",
            f"{_listed(setup.guarded_by_session)} shows refresh_page() depending on g.session, "
            f"which does not check {', '.join(setup.added)}",
            "use needs_refresh instead",
        )


def check_pending(environment: Environment) -> Iterator[Finding]:
    """List the views that users see before they complete sign-in."""
    if pending := environment.claims.pending:
        yield ok(
            "pending",
            f"users can see {_listed(pending)} before they complete sign-in (allow_pending)",
        )


def check_cures(environment: Environment) -> Iterator[Finding]:
    """Check that users can open the pages that they are sent to for what a session lacks."""
    for lack, url, setting in environment.claims.missing_pages:
        yield warning(
            "cures",
            f"no view of this app serves {url}, where users without {lack} are sent",
            "add a view there, for example SuperTokens' prebuilt UI, or name a page of yours in "
            f"{setting}",
        )


def check_inner_calls(environment: Environment) -> Iterator[Finding]:
    """List the views and hooks whose requirements the doctor does not know."""
    if calls := environment.claims.inner_calls:
        yield ok(
            "inner_calls",
            f"require_session() is called in the code of {_listed(calls)}; the doctor does not see "
            "what these calls require",
        )


def check_factors(environment: Environment) -> Iterator[Finding]:
    """Check that users can complete the factors that views require, and that tokens say so."""
    setup = environment.claims
    if factors := setup.factors_without_page:
        yield warning(
            "factors",
            f"views require {_listed(factors)}, but no page asks for it: users without it get 403",
            "name a page of yours in SSR_SESSION_STEP_UP_URL",
        )
    if recipes := setup.missing_recipes:
        yield warning(
            "factors",
            "views require factors that users cannot complete: the SDK in this process has not "
            f"initialised {_listed(recipes)}",
            f"put {' and '.join(f'{recipe}.init()' for recipe in recipes)} into the SDK's "
            "recipe_list",
        )
    if factors := setup.unwritten_factors:
        yield warning(
            "factors",
            f"views require {_listed(factors)}, but the SDK writes no factor into tokens",
            "put multifactorauth.init() into the SDK's recipe_list",
        )


def check_recipes(environment: Environment) -> Iterator[Finding]:
    """Check that the SDK writes the claims into tokens that views require."""
    for recipe, conditions in environment.claims.unwritten_claims:
        yield warning(
            "recipes",
            f"views require {_listed(conditions)}, but the SDK in this process has not initialised "
            f"{recipe}, which writes claims into tokens: users without them get 403",
            f"put {recipe}.init() into the SDK's recipe_list, and sign in again",
        )


def check_user_loader(environment: Environment) -> Iterator[Finding]:
    """Check that the app has a ``user_loader`` if views require a user."""
    if environment.claims.lacks_user_loader:
        yield problem(
            "user_loader",
            "views require user=True, but the app has no user_loader, so they fail for every "
            "signed-in user",
            "write a function that returns the app's user of a session, and decorate it with "
            "user_loader of your FlaskSSRSession",
        )


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
