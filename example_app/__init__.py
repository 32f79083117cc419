"""An example Flask site with real SuperTokens sign-in, to watch flask_ssr_session at work.

``python -m example_app`` starts it. Access tokens live 20 seconds, so a refresh is soon to be seen.
"""

from .app import create_app

__all__ = ["create_app"]
