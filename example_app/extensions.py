"""The extension object, which both the app factory and the pages import."""

from __future__ import annotations

from flask_ssr_session import FlaskSSRSession

ssr_session = FlaskSSRSession()
