"""The command group ``flask ssr-session``. A command is imported when it runs."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from click import Command, Context
from flask.cli import AppGroup

_HOMES = {
    "dev-core": "dev_core.command",
    "doctor": "doctor.command",
    "routes": "doctor.routes_command",
}


class _LazyGroup(AppGroup):
    """Lists its commands by name, so that serving an app does not import them."""

    def list_commands(self, ctx: Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands."""
        return list(_HOMES)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:  # noqa: ARG002
        """Import and return a command, or None if there is none by that name."""
        home = _HOMES.get(cmd_name)
        if home is None:
            return None
        module = import_module(f".{home}", __package__)
        return cast("Command", getattr(module, cmd_name.replace("-", "_")))


commands = _LazyGroup(
    "ssr-session", help="Check SuperTokens sessions on server-rendered pages, and try them out."
)
