"""Decide which page cures a failed claim.

SuperTokens' prebuilt UI has such pages below the website base path; an app may name others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qs

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

    :ivar pages: the path of the page that cures a claim, by the id of the claim. Until
        :meth:`located` is called, also the name of its endpoint.
    :ivar factors: the path below which SuperTokens' prebuilt UI asks for a factor; None without an
        SDK.
    :ivar step_up: the path of the app's own page for that; None for none.
    """

    pages: Mapping[str, str] = {}
    factors: str | None = None
    step_up: str | None = None

    def located(self, path_of: Callable[[str], str | None]) -> CurePages:
        """Return these pages with paths in place of endpoints of the app.

        :param path_of: returns the path of an endpoint; None leaves the page out.
        """
        if all(page.startswith("/") for page in self.pages.values()):
            return self
        located = {
            claim: page if page.startswith("/") else path_of(page)
            for claim, page in self.pages.items()
        }
        pages = {claim: path for claim, path in located.items() if path is not None}
        return self._replace(pages=pages)

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

    def is_cured_at(
        self, failure: ClaimFailure, path: str, query: Mapping[str, Sequence[str]]
    ) -> bool:
        """Return whether *failure* is cured at the page at *path*, which never asks for its cure.

        Only these pages themselves count: what lies below them may be anything.

        :param path: decoded, mount point included.
        :param query: the values of each parameter.
        """
        pages = [self.step_up if failure.step_up else self.pages.get(failure.id)]
        if failure.id == MFA_CLAIM and self.factors is not None:
            pages += [f"{self.factors}/{factor}" for factor in _PREBUILT_FACTORS]
        return any(page is not None and _is_at(page, path, query) for page in pages)


def _is_at(page: str, path: str, query: Mapping[str, Sequence[str]]) -> bool:
    """Return whether *page* is at *path*, with or without a slash at the end.

    A query in *page* selects it, so it must have exactly these values.
    """
    page_path, _, page_query = page.partition("#")[0].partition("?")
    wanted = parse_qs(page_query, keep_blank_values=True)
    return path.removesuffix("/") == page_path.removesuffix("/") and all(
        list(query.get(name, ())) == values for name, values in wanted.items()
    )
