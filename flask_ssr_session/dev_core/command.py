"""The command ``flask ssr-session dev-core``; it needs no app."""

from __future__ import annotations

import errno
import sqlite3
import threading
from contextlib import ExitStack, closing, suppress

import click

from .cdi import CDI_VERSIONS
from .development_core import DevelopmentCore


@click.command("dev-core", context_settings={"show_default": True})
@click.option("--port", type=click.IntRange(0, 65535), default=3567, help="0 for a free port.")
@click.option(
    "--database",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Users, sessions and keys, which several cores may share. Without it, they are lost at "
    "the end.",
)
@click.option(
    "--access-token-validity",
    type=click.IntRange(min=1),
    default=20,
    metavar="SECONDS",
    help="Lifetime of access tokens.",
)
@click.option(
    "--cdi",
    type=click.Choice(CDI_VERSIONS),
    default=CDI_VERSIONS[0],
    help="The rules for refreshing: 5.6 is how cores from 12.1 on rotate refresh tokens.",
)
@click.option("--api-key", metavar="KEY", help="Refuse callers without this key.")
def dev_core(
    port: int, database: str | None, access_token_validity: int, cdi: str, api_key: str | None
) -> None:
    """Run a stand-in for a SuperTokens core on 127.0.0.1, for development only."""
    with ExitStack() as stack:
        try:
            core = DevelopmentCore(
                database=database,
                access_token_validity_seconds=access_token_validity,
                port=port,
                cdi=cdi,
                api_key=api_key,
            )
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise click.ClickException(f"cannot open {database}: {reason}.") from None
        except ValueError as error:
            raise click.ClickException(f"cannot start: {error}.") from None
        stack.enter_context(closing(core))
        try:
            core.start()
        except OSError as error:
            raise click.ClickException(_cause(error, port)) from None
        with suppress(KeyboardInterrupt):
            click.echo(
                f"Development core at {core.uri}: for development only, never for real users."
            )
            threading.Event().wait()


def _cause(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use; choose another with --port."
    return f"cannot use port {port}: {error.strerror}."
