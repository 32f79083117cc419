"""Signed-in test clients for apps that use flask_ssr_session: no core, no network, no browser.

Call :func:`install_test_keys` once for an app with ``TESTING`` set; it makes the app trust a
throw-away key that lives in this process only, and no other. Nothing that serves a request imports
this module; verification itself stays as it is, and has no switch here.

=====================  ======================================================
a visitor who          is made by
=====================  ======================================================
is a stranger          ``app.test_client()``, or :func:`sign_out`
is signed in           :func:`sign_in`; ``roles=["reader"]`` for a wrong role
is half signed in      :func:`sign_in` with ``mfa_complete=False``
has an old token       :func:`expire`
was thrown out         :func:`revoke`, for ``check_revoked``
meets an outage        ``with`` :func:`outage` of keys, :func:`core_outage`
sends anything else    :func:`set_token`, with a token of :func:`signer_for`
is a browser's page    ``client.get(…, headers=PAGE_HEADERS)``
=====================  ======================================================

Cookies are set for ``SERVER_NAME``, else ``localhost``; where the session's cookie domain covers
that, for the whole cookie domain, as SuperTokens does.

freezegun and time-machine move the app's clock, too: tokens run out as the test's time passes.

For pytest there are fixtures of the same in :mod:`flask_ssr_session.pytest_plugin`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from flask.testing import FlaskClient

from .backend import core_outage, install_test_keys, outage, signer_for
from .clients import expire, revoke, set_token, sign_in, sign_out
from .signer import SessionSigner

__all__ = [
    "PAGE_HEADERS",
    "ClientMaker",
    "SessionSigner",
    "core_outage",
    "expire",
    "install_test_keys",
    "outage",
    "revoke",
    "set_token",
    "sign_in",
    "sign_out",
    "signer_for",
]

ClientMaker = Callable[..., FlaskClient]
"""The type of the pytest fixture ``signed_in_as``, which takes what :func:`sign_in` takes."""


PAGE_HEADERS: Final[Mapping[str, str]] = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
}
"""What a browser sends that opens a page by a link of this site, or sends a form of it.

Without them, a test client is answered as a script is: by a status, not by a page.
"""
