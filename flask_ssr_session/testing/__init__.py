"""Test an app that uses flask_ssr_session: signed-in test clients without core, network or browser.

Call :func:`install_test_keys` once for an app with ``TESTING`` set. From then on the app trusts
only a throw-away key that lives in this process. No module that serves requests imports this
package, and it switches off no check: tokens are verified as in production.

=======================  ====================================================
visitor                  made by
=======================  ====================================================
without a session        :func:`page_client`, or :func:`sign_out`
signed in                :func:`sign_in`; ``roles=["reader"]`` for a wrong role
partly signed in         :func:`sign_in` with ``mfa_complete=False``
with an expired token    :func:`expire`
with a revoked session   :func:`revoke`, which only ``check_revoked`` notices
with stale claims        :func:`change_claims`, likewise
after a second factor    :func:`sign_in` with ``factors={"totp": 60}``
signed in long ago       :func:`sign_in` with ``signed_in=7200``
during an outage         ``with`` :func:`outage` of the keys, :func:`core_outage`
with any other token     :func:`set_token`, with a token of :func:`signer_for`
opening a page           every request of :func:`page_client`, or
                         ``client.get(…, headers=PAGE_HEADERS)``
running a script         ``client.get(…, headers=SCRIPT_HEADERS)``
=======================  ====================================================

Cookies are set for the host in ``SERVER_NAME``, or else ``localhost``. If the session's cookie
domain covers that host, they are set for the whole cookie domain, as SuperTokens sets them.

freezegun and time-machine move the app's clock as well, so tokens expire in the test's time.

:mod:`flask_ssr_session.pytest_plugin` offers the same as pytest fixtures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from flask import Flask
from flask.testing import FlaskClient

from .backend import core_outage, install_test_keys, outage, signer_for
from .signer import SessionSigner
from .visitors import change_claims, expire, revoke, set_token, sign_in, sign_out

__all__ = [
    "PAGE_HEADERS",
    "SCRIPT_HEADERS",
    "ClientMaker",
    "SessionSigner",
    "change_claims",
    "core_outage",
    "expire",
    "install_test_keys",
    "outage",
    "page_client",
    "revoke",
    "set_token",
    "sign_in",
    "sign_out",
    "signer_for",
]

ClientMaker = Callable[..., FlaskClient]
"""The type of the pytest fixture ``signed_in_as``, which takes the arguments of :func:`sign_in`."""

PAGE_HEADERS: Final[Mapping[str, str]] = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "same-origin",
}
"""What a browser sends when it follows a link or submits a form of this site.

Without these headers, the app treats a test client as a script and responds with a status and JSON
instead of a page. :func:`page_client` sends them.
"""

SCRIPT_HEADERS: Final[Mapping[str, str]] = {
    "Accept": "*/*",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
}
"""What a browser sends for ``fetch()`` on a page of this site; htmx adds ``HX-Request: true``."""


def page_client(app: Flask) -> FlaskClient:
    """Return a test client that asks as a browser asks for a page, with :data:`PAGE_HEADERS`.

    The headers of a request replace them: ``client.get("/news", headers=SCRIPT_HEADERS)``.
    """
    client = app.test_client()
    for name, value in PAGE_HEADERS.items():
        client.environ_base[f"HTTP_{name.upper().replace('-', '_')}"] = value
    return client
