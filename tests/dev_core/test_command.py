"""``flask ssr-session dev-core``."""

from __future__ import annotations

import errno
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from flask_ssr_session.dev_core import DevelopmentCore
from flask_ssr_session.dev_core.command import dev_core

from ..tables import rows
from .support import send


@pytest.fixture
def interruptible_children() -> Iterator[None]:
    """Make child processes interruptible: a shell makes its background processes ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.usefixtures("interruptible_children")
def test_command_serves_without_an_app_says_what_it_is_for_and_ends_cleanly(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("import no_such_module")
    command = [sys.executable, "-m", "flask", "ssr-session", "dev-core", "--port=0"]
    with subprocess.Popen(
        [*command, "--database=core.db", "--cdi=5.6", "--api-key=secret"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            uri = line.split()[3].rstrip(":")
            versions = send(uri, "GET", "/apiversion", headers={"api-key": "secret"})
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()

    assert "for development only" in line
    assert uri.startswith("http://127.0.0.1:")
    assert versions.json["versions"][-2:] == ["5.4", "5.6"]
    assert (process.returncode, errors) == (0, "")
    assert (tmp_path / "core.db").exists()


BAD_OPTIONS: dict[str, Any] = {
    "port in use": (["--port={taken}"], "port {taken} is in use; choose another with --port."),
    "no port": (["--port=65536"], "65536 is not in the range 0<=x<=65535."),
    "another host": (["--host=0.0.0.0"], "No such option"),
    "no validity": (["--access-token-validity=0"], "0 is not in the range x>=1."),
    "too long": (["--access-token-validity=999999999"], "must live longer"),
    "no CDI": (["--cdi=5.5"], "'5.5' is not one of"),
    "no folder": (["--database={folder}/none/core.db"], "core.db: No such file or directory."),
    "a folder": (["--database={folder}"], "is a directory"),
    "another file": (["--database={folder}/note.txt"], "note.txt: file is not a database."),
    "another program's": (["--database={folder}/other.db"], "not a database of this develop"),
}


@rows("options, message", BAD_OPTIONS)
def test_command_that_cannot_start_says_why_in_one_line(
    options: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "note.txt").write_text("somebody's, and left alone" * 100)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE someone_elses (a)")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        places = {"taken": listener.getsockname()[1], "folder": tmp_path}
        arguments = ["--port=0", *(option.format(**places) for option in options)]
        result = CliRunner().invoke(dev_core, arguments)

    assert result.exit_code in {1, 2}
    line = result.output.splitlines()[-1]
    assert line.startswith("Error: ")
    assert message.format(**places) in line
    assert (tmp_path / "note.txt").read_text().startswith("somebody's")


def test_port_that_the_user_may_not_use_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_core: DevelopmentCore) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(DevelopmentCore, "start", start)
    result = CliRunner().invoke(dev_core, ["--port=80"])
    assert result.output == "Error: cannot use port 80: Permission denied.\n"


def test_help_shows_the_defaults() -> None:
    text = " ".join(CliRunner().invoke(dev_core, ["--help"]).output.split())
    for default in ("3567", "20", "5.4"):
        assert f"[default: {default}" in text
