"""The example app under another name, with other arguments for SuperTokens' Session recipe.

HOST is the host name in the browser, SESSION_ARGUMENTS is JSON. A page's query may set its
Content-Security-Policy.
"""

from __future__ import annotations

import argparse
import functools
import json
import os

from flask import Response, g, request
from supertokens_python.recipe import session

from example_app import create_app
from flask_ssr_session import session_required


@session_required
def bare() -> str:
    """Show a page without any script."""
    return f"<!doctype html><title>Bare</title><p data-user>{g.session.user_id}</p>"


def set_policy(response: Response) -> Response:
    policy = request.args.get("policy")
    if policy is not None:
        response.headers["Content-Security-Policy"] = policy
    return response


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port = parser.parse_args().port
    arguments = json.loads(os.environ.get("SESSION_ARGUMENTS", "{}"))
    session.init = functools.partial(session.init, **arguments)
    app = create_app(site=f"http://{os.environ.get('HOST', 'localhost')}:{port}")
    app.add_url_rule("/bare", view_func=bare)
    app.after_request(set_policy)
    app.run(host="localhost", port=port, threaded=True)


if __name__ == "__main__":
    main()
