"""What flask_ssr_session does, to be watched: a Flask site with real SuperTokens sign-in.

``python -m example_app`` starts it. Access tokens live 20 seconds, so that one need not wait long
to see a session being refreshed.
"""

from .app import create_app

__all__ = ["create_app"]
