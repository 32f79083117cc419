"""Judge which claims pages ask, and who is let in without them. Values in, findings out."""

from __future__ import annotations

from collections.abc import Iterator

from ..sansio.claims import MFA_CLAIM
from .claim_setup import ClaimSetup
from .finding import Finding, ok, problem, warning

# Enough to act on; a large app has more views than a terminal has lines.
_MAX_NAMES = 5


def check_claims(setup: ClaimSetup) -> Iterator[Finding]:
    """Yield who is let in that the API turns away, and what stands in the way of the others."""
    if setup.added is None:
        yield ok("claims", "no SDK here says which claims every session needs; views name theirs")
    elif not setup.added:
        yield ok("claims", "no recipe of the SDK asks a claim of every session")
    else:
        yield from _check_global_claims(setup, setup.added)
    if setup.pending:
        yield ok("pending", f"half signed-in users see {_listed(setup.pending)} (allow_pending)")
    if MFA_CLAIM not in (setup.added or ()):
        return
    if not setup.has_factor_view:
        yield warning(
            "mfa",
            f"no view of this app answers {setup.factor_url}, where half signed-in users are led",
            "serve SuperTokens' prebuilt UI there, or a page of yours with allow_pending=True",
        )
    elif setup.is_factor_view_closed:
        yield problem(
            "mfa",
            f"the view at {setup.factor_url}, where half signed-in users are led, asks for a "
            "complete session, so nobody can complete sign-in",
            "mark it with session_required(allow_pending=True)",
        )


def _check_global_claims(setup: ClaimSetup, added: tuple[str, ...]) -> Iterator[Finding]:
    claims = ", ".join(added)
    if not setup.is_asked:
        yield warning(
            "claims",
            f"the SDK asks {claims} of every session, and no page does: "
            "SSR_SESSION_GLOBAL_CLAIMS is off",
            "switch it on, and mark the pages for such users with global_claims=False",
        )
        return
    for broken in setup.broken:
        yield warning(
            "claims",
            f"asked about a made-up user without claims, {broken}; pages turn such users away",
            "let it look at the payload alone, and call nobody",
        )
    if not setup.broken:
        without = f", but for {_listed(setup.waived)}" if setup.waived else ""
        yield ok("claims", f"pages ask what the SDK asks of every session: {claims}{without}")
    if setup.guarded_by_session:
        yield warning(
            "session_guards",
            f"{_listed(setup.guarded_by_session)} shows refresh_page() by g.session, which asks "
            f"who it is, and not {claims}",
            "decide by needs_refresh",
        )


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
