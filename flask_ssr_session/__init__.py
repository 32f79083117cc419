"""Keep SuperTokens sessions alive on server-rendered Flask pages."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .current_session import (
        current_user,
        get_current_user,
        get_session_state,
        get_ssr_session,
    )
    from .decorators import (
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
    from .request_paths import safe_return_path
    from .responses import InvalidClaimsError, SessionRequired
    from .sansio.claims import ClaimFailure
    from .sansio.states import SessionState
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
    "current_user",
    "get_current_user",
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

# Each public name is loaded when it is first used, so that a part can be imported without Flask.
_HOMES = {
    "ClaimFailure": "sansio.claims",
    "ConfigError": "errors",
    "FlaskSSRSession": "extension",
    "InvalidClaimsError": "responses",
    "MisuseError": "errors",
    "ReadOnlySessionError": "errors",
    "SSRSession": "session",
    "SSRSessionError": "errors",
    "SessionRequired": "responses",
    "SessionState": "sansio.states",
    "current_user": "current_session",
    "get_current_user": "current_session",
    "get_session_state": "current_session",
    "get_ssr_session": "current_session",
    "keys_failing": "signals",
    "keys_renewed": "signals",
    "refresh_requested": "signals",
    "require_session": "decorators",
    "safe_return_path": "request_paths",
    "session_active": "signals",
    "session_exempt": "decorators",
    "session_optional": "decorators",
    "session_required": "decorators",
}

if not TYPE_CHECKING:  # otherwise type checkers would accept any name

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
