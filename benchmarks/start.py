"""Measure the CPU time of starting: ``python -m benchmarks.start``.

New interpreters import Flask, ``cryptography`` and this package, and set an app up. They also say
what was loaded without need, and what the first request still had to import.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

from flask_ssr_session.testing import SessionSigner

from .frame import PACKAGE, ROOT, in_turns, packages, parser, show

CODE = """
import json, os, sys, time
rows, catalogues = {}, []
sys.addaudithook(lambda event, arguments: event == "open" and str(arguments[0]).endswith(".mo")
    and catalogues.append(arguments[0]))
def timed(name, statement):
    started = time.process_time()
    exec(statement, globals())
    rows[name + ", ms"] = (time.process_time() - started) * 1000
def names(modules, prefixes):
    return ", ".join(name for name in modules if name.startswith(prefixes)) or "nothing"
settings, token = json.loads(os.environ["SETTINGS"]), os.environ["TOKEN"]
timed("import of Flask", "import flask")
timed("import of cryptography", '''
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa''')
app = flask.Flask("start")
sys.path.insert(0, os.environ["MEASURED_PACKAGE"])
timed("import of this package", "from flask_ssr_session import FlaskSSRSession, session_required")
timed("FlaskSSRSession(app)", "FlaskSSRSession(app, **settings)")
rows["the last two, ms"] = sum([*rows.values()][-2:])
loaded, own = {*sys.modules}, "flask_ssr_session."
unneeded = ("supertokens_python", own + "doctor", own + "dev_core", own + "testing", "/")
rows["loaded without need"] = names([*loaded, *catalogues], unneeded)
app.add_url_rule("/", "page", session_required(lambda: flask.g.session.user_id))
client = app.test_client(use_cookies=False)
assert client.get("/", headers={"Cookie": "sAccessToken=" + token}).text == "user-1"
rows["imported by a request"] = names({*sys.modules} - loaded, ("cryptography", own))
print(json.dumps(rows))
"""


def cell(values: list[Any]) -> str:
    """Return the median, or a text, which is the same in all runs."""
    return f"{statistics.median(values):.1f}" if isinstance(values[0], float) else values[0]


def main() -> None:
    chosen = parser("start", __doc__, rounds=15).parse_args()
    signer, folders = SessionSigner(), packages(chosen.revision)
    settings = {"api_domain": "https://api.example.com", "jwks": {"keys": [signer.jwk()]}}
    told = {"SETTINGS": json.dumps(settings), "TOKEN": signer.sign(signer.claims("user-1"))}
    with tempfile.TemporaryDirectory() as compiled:  # as an installed package has its modules
        environment = os.environ | {"PYTHONPYCACHEPREFIX": compiled} | told
        environment.pop("PYTHONDONTWRITEBYTECODE", None)

        def start(name: str) -> Any:
            command, variables = [sys.executable, "-c", CODE], {PACKAGE: folders[name]}
            output = subprocess.check_output(command, cwd=ROOT, env=environment | variables)
            return json.loads(output)

        found = in_turns(folders, chosen.rounds, start)
    columns = {}
    for name, runs in found.items():
        columns[name] = {row: cell([run[row] for run in runs]) for row in runs[0]}
    show("CPU time", columns)


if __name__ == "__main__":
    main()
