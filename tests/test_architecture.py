"""Each folder of the package is a rule about what its modules may import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import flask_ssr_session

PACKAGE = Path(__file__).parents[1] / "flask_ssr_session"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}

FRAMEWORKS = {"flask", "jinja2", "supertokens_python"}
IO = {"concurrent", "http.client", "socket", "ssl", "threading", "time", "urllib.request"}

# What the modules of a folder never import.
FORBIDDEN = {
    "sansio": FRAMEWORKS | IO,
    "config": FRAMEWORKS | IO,
    "upstream": FRAMEWORKS,
    "pages": {"supertokens_python"} | IO,
    "doctor": {"jinja2", "supertokens_python"} | IO,
    "testing": {"jinja2", "supertokens_python"},
    "dev_core": FRAMEWORKS,
    "": {"jinja2", "supertokens_python"} | IO,
}
EXCEPTIONS = {
    ("config.sdk", "supertokens_python"): "the one module that looks at the SDK",
    ("clock", "time"): "where the time comes from",
}
# What the modules of a folder may import from the package: these folders, and modules of the root.
MAY_USE = {
    "sansio": {"sansio", "errors", "session"},
    "config": {"config", "sansio", "errors", "session"},
    "upstream": {"upstream", "sansio", "errors", "session", "clock", "signals", "throttled_log"},
}
# What is loaded only by these.
RESERVED = {
    "dev_core": {"dev_core", "cli"},
    "doctor": {"doctor", "cli"},
    "testing": {"testing", "pytest_plugin"},
}


def imports_of(module: str) -> Iterator[str]:
    """Yield what a module imports; what is of this package begins with a dot."""
    path = MODULES[module]
    package = path.parent.relative_to(PACKAGE).parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            parts = [*package[: len(package) - node.level + 1], *filter(None, [node.module])]
            target = ".".join(parts)
            yield from (
                f".{each}" if each in MODULES else f".{target}"
                for each in (".".join([*parts, alias.name]) for alias in node.names)
            )
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def folder_of(module: str) -> str:
    return module.partition(".")[0] if "." in module else ""


def is_within(imported: str, name: str) -> bool:
    return imported == name or imported.startswith(f"{name}.")


def test_modules_keep_the_rule_of_their_folder() -> None:
    for module in MODULES:
        folder = folder_of(module)
        imported = set(imports_of(module))
        forbidden = {
            name
            for name in FORBIDDEN[folder]
            if any(is_within(each, name) for each in imported) and (module, name) not in EXCEPTIONS
        }
        assert forbidden == set(), module
        used = {each[1:].partition(".")[0] for each in imported if each.startswith(".")}
        assert used <= MAY_USE.get(folder, used), module
        for reserved, users in RESERVED.items():
            assert reserved not in used or users & {folder, module}, module


def test_imports_make_no_circle() -> None:
    graph = {
        module: {each[1:] for each in imports_of(module) if each[1:] in MODULES} - {module}
        for module in MODULES
        if module != "__init__"
    }

    TopologicalSorter(graph).prepare()


def test_no_file_is_long() -> None:
    scripts = (PACKAGE.parent / "frontend").glob("*.js")
    limits = {**dict.fromkeys(MODULES.values(), 250), **dict.fromkeys(scripts, 150)}
    lines = {path: len(path.read_text().splitlines()) for path in limits}
    assert {path.name: lines[path] for path in limits if lines[path] > limits[path]} == {}


def test_public_names_come_from_the_modules_that_type_checkers_read() -> None:
    declared = {
        alias.name: node.module
        for node in ast.walk(ast.parse(MODULES["__init__"].read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }

    assert declared == flask_ssr_session._HOMES
    assert sorted(flask_ssr_session.__all__) == sorted(declared)
    for name in declared:
        assert getattr(flask_ssr_session, name) is not None


def printed(script: str) -> str:
    """Return what a fresh interpreter prints for *script*."""
    command = [sys.executable, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("folder", ["sansio", "upstream"])
def test_decisions_load_no_framework_and_no_sdk(folder: str) -> None:
    modules = [f"flask_ssr_session.{each}" for each in MODULES if folder_of(each) == folder]
    script = f"""
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
sys.stdout.write(",".join(sorted({FRAMEWORKS!r} & set(sys.modules))))
"""
    assert printed(script) == ""


def test_loading_a_module_of_upstream_starts_nothing() -> None:
    """No thread, lock or socket of an import may be carried over a fork."""
    for module in MODULES:
        called = {
            ast.unparse(node.func)
            for statement in ast.parse(MODULES[module].read_text()).body
            if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Expr))
            for node in ast.walk(statement)
            if isinstance(node, ast.Call)
        }
        assert called <= {"re.compile"} or folder_of(module) != "upstream", module


START = """
import socket, sys, threading
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = None
import flask
import flask_ssr_session
for name in flask_ssr_session.__all__:
    getattr(flask_ssr_session, name)
assert "cryptography" not in sys.modules
app = flask.Flask("started")
flask_ssr_session.FlaskSSRSession(app, api_domain="http://127.0.0.1:9")
assert "cryptography" in sys.modules
from flask_ssr_session.pages.languages import _catalogue
assert _catalogue.cache_info().currsize == 0
app.add_url_rule("/", "page", flask_ssr_session.session_required(lambda: "secret"))
assert app.test_client().get("/").status_code == 401
assert threading.active_count() == 1
unused = ("dev_core", "doctor", "pytest_plugin", "testing")
loaded = {name.removeprefix("flask_ssr_session.").partition(".")[0] for name in sys.modules}
sys.stdout.write(",".join(sorted(loaded & {*unused, "supertokens_python"})))
"""


def test_start_loads_what_serves_and_the_import_no_cryptography() -> None:
    """The import is fast for commands, and ``init_app`` loads what a request would wait for.

    Neither uses the network or starts a thread, nor does a request without a token.
    """
    assert printed(START) == ""


REQUESTS = """
import sys
from flask import Flask
from flask_ssr_session import FlaskSSRSession, session_required
from flask_ssr_session.testing import SessionSigner

app, signer = Flask("loaded"), SessionSigner()
keys = {"keys": [signer.jwk()]} if STATIC else None
FlaskSSRSession(app, api_domain="http://127.0.0.1:9", jwks=keys)
view = session_required(keep_form=True)(lambda: "")
app.add_url_rule("/", "view", view, methods=["GET", "POST"])
before = set(sys.modules)
for issued_at in (None, 1_700_000_000):
    cookie = "sAccessToken=" + signer.sign(signer.claims(issued_at=issued_at))
    headers = {"Cookie": cookie, "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "same-origin"}
    app.test_client(use_cookies=False).post("/", headers=headers, data={"a": "b"})
ours = {name for name in sys.modules if name.startswith("flask_ssr_session")}
doctor = {name for name in ours if name.startswith("flask_ssr_session.doctor")}
sys.stdout.write(",".join(sorted(ours - before | doctor)))
"""


@pytest.mark.parametrize("static", [False, True], ids=["fetched keys", "static keys"])
def test_requests_load_no_module_and_serving_loads_no_doctor(static: bool) -> None:
    """A child that is forked during an import would wait for the import's lock for ever."""
    assert printed(f"STATIC = {static}\n{REQUESTS}") == ""
