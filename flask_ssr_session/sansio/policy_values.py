"""The values of the response policy: facts of a request, options of an app, and the plan."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from .claims import ClaimFailure
from .cures import Cure, CurePages
from .frozen import Frozen
from .return_path import with_return_path
from .states import RequestKind, ResponseKind

# On an optional page: the visitor chose to continue without a session. Other pages ignore it.
CONTINUE_PARAMETER = "continueSignedOut"

# The query parameter in which SuperTokens' prebuilt UI reads the return path after a cure.
CURE_RETURN_PARAMETER = "redirectToPath"


class PolicyOptions(NamedTuple):
    """The settings that responses depend on; only URLs of pages may depend on the request.

    :ivar login_url: path or URL of sign-in, without a return path.
    :ivar login_return_param: the query parameter in which sign-in reads the return path.
    :ivar cures: the pages where visitors meet claims that failed.
    :ivar always_try_refresh: a visitor without any cookie is asked to refresh before sign-in.
    :ivar redirects: pages redirect to the refresh page; otherwise they show it in place.
    :ivar checks_revoked: every request sees a revocation, the refresh page's too.
    """

    login_url: str
    login_return_param: str = "redirectToPath"
    cures: CurePages = CurePages()
    always_try_refresh: bool = False
    redirects: bool = False
    checks_revoked: bool = False

    def sign_in_location(self, return_path: str) -> str:
        """Return the URL of sign-in, with *return_path* unless the URL would get too long."""
        return with_return_path(self.login_url, self.login_return_param, return_path)

    def cure_location(self, cure: Cure | None, return_path: str) -> str:
        """Return the URL of a page that cures a claim, likewise; empty without one.

        A page does not return to itself: that leads to ``/``.
        """
        if cure is None:
            return ""
        if _path_of(return_path) == _path_of(cure.url):
            return_path = "/"
        return with_return_path(cure.url, CURE_RETURN_PARAMETER, return_path)


def _path_of(url: str) -> str:
    return unquote(url.partition("?")[0]).rstrip("/")


class RequestFacts(NamedTuple):
    """What the policy needs to know about a request, read once.

    :ivar is_safe: the method changes nothing, so the browser may repeat the request.
    :ivar path: path and query.
    :ivar return_path: the same if it is safe to return to, else ``/``.
    :ivar refresh_path: the path of the refresh page, mount point included.
    :ivar is_sign_in: the request asks for the sign-in page.
    :ivar sign_in_is_closed: sign-in would lead back to this request, which asks for a session.
    :ivar htmx_return_path: the page to return to if htmx sent the request, safely, from a page
        without the browser SDK; else None.
    """

    kind: RequestKind
    is_safe: bool
    path: str
    return_path: str
    refresh_path: str
    is_sign_in: bool = False
    sign_in_is_closed: bool = False
    htmx_return_path: str | None = None


class Plan(Frozen):
    """What a request gets in place of its content. It is decided once and rendered once.

    :ivar kind: the response of a view that needs a session; ``ALLOW`` where the session is active.
    :ivar page: the page that a template shows in place of content, or a kind that ends in
        ``_PAGE``.
    :ivar target: the path that the page leads to once the session is refreshed.
    :ivar location: the URL of a redirect, by HTTP or by htmx; empty for every other kind.
    :ivar sign_in_url: sign-in, with the return path.
    :ivar cure_url: the page that cures the failed claims, with the return path; empty for none.
    :ivar cure_call: what the browser asks the API before it goes there; empty for nothing.
    :ivar continue_url: the page without a session; empty if it needs one.
    :ivar auto_redirect: the page takes the visitor to sign-in by itself.
    :ivar continues_signed_out: if the refresh finds no session, the page leads to *continue_url*,
        not to sign-in.
    :ivar sign_in_is_closed: sign-in itself asks for a session, so that no visitor can sign in.
    :ivar failures: the claims that the session does not meet.
    """

    kind: ResponseKind
    page: ResponseKind
    target: str
    location: str = ""
    sign_in_url: str = ""
    cure_url: str = ""
    cure_call: str = ""
    continue_url: str = ""
    auto_redirect: bool = False
    continues_signed_out: bool = False
    sign_in_is_closed: bool = False
    failures: tuple[ClaimFailure, ...] = ()
