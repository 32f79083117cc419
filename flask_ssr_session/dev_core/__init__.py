"""A small stand-in for a SuperTokens core, for development and tests only.

It implements the part of the core's interface (CDI 5.4, or the session rules of 5.6) that
supertokens-python uses for EmailPassword, EmailVerification, Session, UserRoles, TOTP and
UserMetadata, with real refresh token rotation and theft detection. It listens on the loopback
interface only, and keeps its private keys unencrypted.
"""

from __future__ import annotations

from .controls import RequestLogEntry
from .development_core import DevelopmentCore
from .session_records import SessionRecord

__all__ = ["DevelopmentCore", "RequestLogEntry", "SessionRecord"]
