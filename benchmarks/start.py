"""Measure the cost of starting: ``python -m benchmarks.start``.

New interpreters import Flask, and then this package or nothing, in turns. Each reports the CPU time
and the resident memory on top of Flask's. Linux only, because memory is read from ``/proc``. An
audit hook checks that setting up an app uses no network, and that the first token does. Then the
cold start of a function is timed, from the start of its interpreter to the end of its first
response: with a static key set and a token, and with a bare app.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from flask_ssr_session.testing import SessionSigner

RESIDENT = "int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 2**20"

# The package's names are loaded when they are first used.
IMPORT = "from flask_ssr_session import FlaskSSRSession, session_required"

AFTER_FLASK = f"""
import json, os, sys, time
started = time.process_time()
import flask
flask_ms = (time.process_time() - started) * 1000
started = time.process_time()
{{statement}}
elapsed = (time.process_time() - started) * 1000
sdk = "supertokens_python" in sys.modules
print(json.dumps({{{{"ms": elapsed, "flask_ms": flask_ms, "mib": {RESIDENT}, "sdk": sdk}}}}))
"""

# No server listens at the discard port, so the fetch for the first token fails at once.
SET_UP = """
import json, logging, sys, time
import flask
from flask_ssr_session import FlaskSSRSession, session_required
from flask_ssr_session.testing import SessionSigner
logging.disable()  # the first fetch fails on purpose
events = []
sys.addaudithook(lambda event, _: event.startswith("socket.") and events.append(event))
started = time.process_time()
app = flask.Flask("start")
bare = time.process_time()
FlaskSSRSession(app, api_domain="http://127.0.0.1:9")
elapsed = (time.process_time() - bare) * 1000
app.add_url_rule("/", "page", session_required(lambda: ""))
at_set_up = list(events)
signer = SessionSigner()
client = app.test_client(use_cookies=False)
token = signer.sign(signer.claims())
status = client.get("/", headers={"Cookie": f"sAccessToken={token}"}).status_code
print(json.dumps({"ms": elapsed, "at_set_up": at_set_up, "at_first_token": events, "status": status,
    "sdk": "supertokens_python" in sys.modules}))
"""


COLD = """
import os, sys, time
events = []
sys.addaudithook(lambda event, _: event.startswith("socket.") and events.append(event))
import flask
app = flask.Flask("cold")
def page():
    return "ok"
{statements}
app.add_url_rule("/", "page", page)
import io, json
environ = {{"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": "",
    "SERVER_NAME": "localhost", "SERVER_PORT": "443", "SERVER_PROTOCOL": "HTTP/1.1",
    "wsgi.url_scheme": "https", "wsgi.input": io.BytesIO(),
    "HTTP_COOKIE": "sAccessToken=" + os.environ["TOKEN"]}}
statuses = []
body = b"".join(app(environ, lambda status, headers: statuses.append(status[:3])))
print(json.dumps({{"ms": time.process_time() * 1000, "status": statuses[0], "body": body.decode(),
    "network": events}}))
"""

WITH_SESSIONS = """
import flask_ssr_session
app.config.from_prefixed_env()
flask_ssr_session.FlaskSSRSession(app, api_domain="https://api.example.com")
page = flask_ssr_session.session_required(lambda: flask.g.session.user_id)
"""


class Interpreter:
    """Starts new interpreters with compiled modules, as in an installed package."""

    def __init__(self, compiled: str) -> None:
        """Keep the folder for compiled modules.

        :param compiled: an empty folder.
        """
        self._environment = os.environ | {"PYTHONPYCACHEPREFIX": compiled}
        self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.run(SET_UP)

    def run(self, code: str, **environment: str) -> dict[str, Any]:
        """Return the JSON that a new interpreter prints."""
        done = subprocess.run(  # noqa: S603 - our own code
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            env=self._environment | environment,
        )
        figures: dict[str, Any] = json.loads(done.stdout)
        return figures


def measure(interpreter: Interpreter, interpreters: int) -> dict[str, Any]:
    """Return medians over the interpreters of each kind.

    :raises RuntimeError: the SDK was imported, setting up used the network, or the first token did
        not, so the audit hook sees nothing.
    """
    alone, ours, set_ups = [], [], []
    for _ in range(interpreters):
        alone.append(interpreter.run(AFTER_FLASK.format(statement="pass")))
        ours.append(interpreter.run(AFTER_FLASK.format(statement=IMPORT)))
        set_ups.append(interpreter.run(SET_UP))
    if any(each["sdk"] for each in (*ours, *set_ups)):
        raise RuntimeError("supertokens_python was imported")
    if any(each["at_set_up"] for each in set_ups):
        raise RuntimeError(f"setting an app up used the network: {set_ups[0]['at_set_up']}")
    if not all("socket.connect" in each["at_first_token"] for each in set_ups):
        raise RuntimeError("the first token fetched no keys")
    return {
        "flask_ms": statistics.median(each["flask_ms"] for each in (*alone, *ours)),
        "import_ms": statistics.median(each["ms"] for each in ours),
        "import_ms_least": min(each["ms"] for each in ours),
        "import_mib": statistics.median(
            own["mib"] - other["mib"] for own, other in zip(ours, alone, strict=True)
        ),
        "set_up_ms": statistics.median(each["ms"] for each in set_ups),
        "interpreters": interpreters,
    }


def measure_cold(interpreter: Interpreter, interpreters: int) -> dict[str, Any]:
    """Return the median CPU time of functions until their first response is complete.

    :raises RuntimeError: the response is not the token's user id, or the network was used.
    """
    signer = SessionSigner()
    environment = {
        "TOKEN": signer.sign(signer.claims("user-1")),
        "FLASK_SSR_SESSION_JWKS": json.dumps({"keys": [signer.jwk()]}),
    }
    bare, ours = [], []
    for _ in range(interpreters + 1):
        bare.append(interpreter.run(COLD.format(statements=""), **environment))
        ours.append(interpreter.run(COLD.format(statements=WITH_SESSIONS), **environment))
    # The first two compiled the modules.
    del bare[0], ours[0]
    for figures in ours:
        if (figures["status"], figures["body"], figures["network"]) != ("200", "user-1", []):
            raise RuntimeError(
                f"a cold function responded {figures['status']}: {figures['network']}"
            )
    return {
        "cold_ms": statistics.median(each["ms"] for each in ours),
        "cold_ms_least": min(each["ms"] for each in ours),
        "cold_bare_ms": statistics.median(each["ms"] for each in bare),
    }


def main() -> None:
    """Print five lines."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--interpreters", type=int, default=15, help="of each kind, default: 15")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as compiled:
        interpreter = Interpreter(compiled)
        found = measure(interpreter, options.interpreters)
        found |= measure_cold(interpreter, options.interpreters)
    milliseconds = f"{found['import_ms']:.1f} ms (least {found['import_ms_least']:.1f})"
    cold = f"{found['cold_ms']:.0f} ms (least {found['cold_ms_least']:.0f})"
    cold_bare = f"{found['cold_bare_ms']:.0f} ms"
    count = f"medians of {options.interpreters} interpreters"
    for line in (
        f"import of Flask itself: {found['flask_ms']:.1f} ms",
        f"import after Flask: {milliseconds}, {found['import_mib']:.1f} MiB; {count}",
        f"FlaskSSRSession(app): {found['set_up_ms']:.1f} ms, no socket before the first token",
        f"cold start to the first verified answer: {cold}, no socket; of a bare app: {cold_bare}",
        "supertokens_python is not imported",
    ):
        print(line)  # noqa: T201
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
