"""The extension object, and what the app itself knows of users and sessions."""

from __future__ import annotations

from typing import NamedTuple

from flask_ssr_session import FlaskSSRSession, SSRSession

ended_sessions: set[str] = set()
"""Handles of the sessions that this app has ended. A real app keeps them in a store."""


def is_ended(session: SSRSession) -> bool:
    """Return whether this app has ended the session."""
    return session.session_handle in ended_sessions


ssr_session = FlaskSSRSession(is_revoked=is_ended)


class User(NamedTuple):
    """The app's user. A real app loads one from its database."""

    name: str


@ssr_session.user_loader
def load_user(session: SSRSession) -> User:
    """Return the user of a session; its token contains the name, see sign_in.py."""
    return User(session.access_token_payload.get("name", session.user_id))
