"""Keep SuperTokens sessions alive on server-rendered Flask pages."""

from .decorators import (
    get_session_state,
    get_ssr_session,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from .errors import (
    ConfigError,
    MisuseError,
    ReadOnlySessionError,
    SSRSessionError,
)
from .extension import FlaskSSRSession
from .navigation import safe_return_path
from .responses import InvalidClaimsError, SessionRequired
from .sansio.claims import ClaimFailure
from .sansio.verdict import SessionState
from .session import SSRSession
from .signals import keys_failing, keys_renewed, refresh_requested, session_active

__all__ = [
    "ClaimFailure",
    "ConfigError",
    "FlaskSSRSession",
    "InvalidClaimsError",
    "MisuseError",
    "ReadOnlySessionError",
    "SSRSession",
    "SSRSessionError",
    "SessionRequired",
    "SessionState",
    "get_session_state",
    "get_ssr_session",
    "keys_failing",
    "keys_renewed",
    "refresh_requested",
    "require_session",
    "safe_return_path",
    "session_active",
    "session_exempt",
    "session_optional",
    "session_required",
]
