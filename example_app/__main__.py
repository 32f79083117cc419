"""Start the example: ``python -m example_app``."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence

from flask_ssr_session.dev_core import DevelopmentCore

from .app import create_app


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the example on this machine until the process is interrupted."""
    parser = argparse.ArgumentParser(prog="python -m example_app", description=__doc__)
    parser.add_argument("--port", type=int, default=5000, help="default: 5000")
    parser.add_argument(
        "--database",
        metavar="FILE",
        help="file for the development core's users and sessions (default: in memory)",
    )
    parser.add_argument(
        "--access-token-validity",
        type=int,
        default=20,
        metavar="SECONDS",
        help="lifetime of the development core's access tokens (default: 20)",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("flask_ssr_session").setLevel(logging.INFO)

    core_uri = os.environ.get("SUPERTOKENS_CONNECTION_URI")
    if core_uri:
        serve(core_uri, options.port)
        return
    with DevelopmentCore(
        database=options.database, access_token_validity_seconds=options.access_token_validity
    ) as core:
        print(  # noqa: T201
            f"An embedded development core runs at {core.uri}. It is for development only; set "
            "SUPERTOKENS_CONNECTION_URI to use a real core."
        )
        serve(core.uri, options.port)


def serve(core_uri: str, port: int) -> None:
    """Serve the app on ``localhost`` until the process is interrupted.

    :param core_uri: URI of the SuperTokens core.
    """
    app = create_app(core_uri=core_uri, site=f"http://localhost:{port}")
    print(f"Open http://localhost:{port} in a browser. Stop with Ctrl+C.", flush=True)  # noqa: T201
    # A reloader would start a second process with a second core.
    app.run(host="localhost", port=port, threaded=True, use_reloader=False)


if __name__ == "__main__":
    main()
