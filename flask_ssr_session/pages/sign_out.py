"""The data of the macro ``sign_out_button()``."""

from __future__ import annotations

from flask import current_app

from ..app_state import current_state
from ..errors import MisuseError
from ..flask_context import current_request
from ..sansio.frozen import Frozen
from ..sansio.return_path import redirect_target

# In the environment of a request: session_script() was called.
HAS_SCRIPT = "flask_ssr_session.has_script"

_SCRIPT_MISSING = (
    "sign_out_button() needs session_script() above it: call session_script() in the page's head"
)


class SignOutView(Frozen):
    """What the macro ``sign_out_button()`` shows.

    :ivar target: where the button leads after the sign-out, validated.
    :ivar has_script: the page has the script that signs out.
    """

    target: str
    has_script: bool


def sign_out_view(to: str) -> SignOutView:
    """Return what the button for signing out needs.

    :param to: a return path; an invalid one becomes ``/``.
    :raises MisuseError: in debug only, ``session_script()`` is not above the button. In production
        the log names that, and the button is disabled.
    """
    app_state = current_state()
    has_script = HAS_SCRIPT in current_request().environ
    if not has_script:
        if current_app.debug:
            raise MisuseError(_SCRIPT_MISSING)
        app_state.warn_once("sign_out_button", _SCRIPT_MISSING)
    origins = app_state.sdk_binding().resolved.return_origins
    # Unlike a return path, this one may be the sign-in page: it does not lead back here.
    target = redirect_target(to, allowed_origins=origins, looping_paths=())
    return SignOutView(target=target, has_script=has_script)
