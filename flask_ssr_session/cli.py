"""The command group ``flask ssr-session``. A command is imported when it runs."""

from __future__ import annotations

from click import Command, Context
from flask.cli import AppGroup


class _LazyGroup(AppGroup):
    """Lists its commands by name, so that serving an app does not import them."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands."""
        return ["doctor"]

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002
        """Import and return a command, or None if there is none by that name."""
        if cmd_name != "doctor":
            return None
        from .doctor.command import doctor

        return doctor


commands = _LazyGroup("ssr-session", help="Check SuperTokens sessions on server-rendered pages.")
