"""Decide which page cures a failed claim.

SuperTokens' prebuilt UI has such pages below the website base path; an app may name others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .builtin_claims import EMAIL_VERIFIED_CLAIM, MFA_CLAIM
from .claims import ClaimFailure
from .return_path import with_query

# What the browser asks the API first, by claim: the API computes the claim again, and puts it into
# a new token.
API_CALLS = {EMAIL_VERIFIED_CLAIM: "email", MFA_CLAIM: "mfa"}

# The factors that SuperTokens' prebuilt UI can ask for again.
_PREBUILT_FACTORS = frozenset({"totp", "otp-email", "otp-phone"})


class Cure(NamedTuple):
    """Where a visitor meets a failed claim.

    :ivar url: the page's path, and perhaps a query, without the return path.
    :ivar api_call: what the browser asks the API before it goes there; empty for nothing.
    """

    url: str
    api_call: str = ""


class CurePages(NamedTuple):
    """The pages of an app; every path as the browser sees it.

    :ivar pages: the path of the page that cures a claim, by the id of the claim.
    :ivar factors: the path below which SuperTokens' prebuilt UI asks for a factor; None without an
        SDK.
    :ivar step_up: the path of the app's own page for that; None for none.
    """

    pages: Mapping[str, str] = {}
    factors: str | None = None
    step_up: str | None = None

    def cure(self, failures: Sequence[ClaimFailure]) -> Cure | None:
        """Return the cure of the first failure; None if one of them has none."""
        cures = [self._cure_of(failure) for failure in failures]
        return cures[0] if cures and None not in cures else None

    def _cure_of(self, failure: ClaimFailure) -> Cure | None:
        factor = failure.step_up
        if not factor:
            page = self.pages.get(failure.id)
            return None if page is None else Cure(page, API_CALLS.get(failure.id, ""))
        if self.step_up is not None:
            return Cure(with_query(self.step_up, factor=factor))
        if self.factors is None or factor not in _PREBUILT_FACTORS:
            return None
        return Cure(with_query(f"{self.factors}/{factor}", stepUp="true"))

    def is_cured_at(self, failure: ClaimFailure, path: str) -> bool:
        """Return whether the page at *path*, or one above it, is where *failure* is cured.

        Such a page never asks for its own cure.
        """
        page = self.step_up if failure.step_up else self.pages.get(failure.id)
        places = [page, self.factors if failure.id == MFA_CLAIM else None]
        return any(place and f"{path}/".startswith(f"{place.rstrip('/')}/") for place in places)
