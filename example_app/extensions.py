"""The extension object, in a place that both the factory and the pages may import."""

from __future__ import annotations

from flask_ssr_session import FlaskSSRSession

ssr_session = FlaskSSRSession()
