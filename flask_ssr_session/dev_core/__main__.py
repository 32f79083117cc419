"""Run only a development core: ``python -m flask_ssr_session.dev_core``."""

from __future__ import annotations

import argparse
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing, suppress

from .development_core import DevelopmentCore


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the process is interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m flask_ssr_session.dev_core",
        description="A stand-in for a SuperTokens core, on 127.0.0.1. For development only.",
    )
    parser.add_argument("--port", type=int, default=3567, help="0 for a free port (default: 3567)")
    parser.add_argument("--database", metavar="FILE", help="default: in memory, lost on exit")
    parser.add_argument(
        "--access-token-validity",
        type=int,
        default=20,
        metavar="SECONDS",
        help="lifetime of access tokens (default: 20)",
    )
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        try:
            core = DevelopmentCore(
                database=options.database,
                access_token_validity_seconds=options.access_token_validity,
                port=options.port,
            )
            stack.enter_context(closing(core))
            core.start()
        except (OSError, OverflowError, ValueError, sqlite3.Error) as error:
            parser.error(f"cannot start: {error}")
        with suppress(KeyboardInterrupt):
            print(  # noqa: T201
                f"Development core at {core.uri}: for development only, never for real users.",
                flush=True,
            )
            threading.Event().wait()


if __name__ == "__main__":
    main()
