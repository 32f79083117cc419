from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flask_ssr_session.dev_core.__main__ import main

from .support import send

ROOT = Path(__file__).parents[2]


@pytest.fixture
def interruptible_children() -> Iterator[None]:
    """Make child processes interruptible: a shell makes its background processes ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.usefixtures("interruptible_children")
def test_command_serves_says_what_it_is_for_and_ends_cleanly(tmp_path: Path) -> None:
    database = tmp_path / "core.db"
    command = [
        sys.executable,
        "-m",
        "flask_ssr_session.dev_core",
        "--port",
        "0",
        "--database",
        str(database),
    ]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            uri = line.split()[3].rstrip(":")
            assert send(uri, "GET", "/hello").text == "Hello"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=10)
        finally:
            process.kill()
    assert "for development only" in line
    assert (process.returncode, errors) == (0, "")
    assert database.exists()


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (["--port={taken}"], "in use"),
        (["--port=65536"], "port must be 0-65535"),
        (["--access-token-validity=0"], "must live longer"),
        (["--database={folder}/none/core.db"], "No such file"),
        (["--database={folder}"], "unable to open database file"),
        (["--database={folder}/note.txt"], "not a database"),
    ],
    ids=["taken", "no port", "no validity", "no folder", "folder", "other file"],
)
def test_command_that_cannot_start_says_why_in_one_line(
    options: list[str], cause: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "note.txt").write_text("somebody's, and left alone" * 100)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        places = {"taken": listener.getsockname()[1], "folder": tmp_path}
        with pytest.raises(SystemExit) as ended:
            main(["--port=0", *(option.format(**places) for option in options)])
    assert ended.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("python -m flask_ssr_session.dev_core: error: cannot start: ")
    assert cause in line
    assert (tmp_path / "note.txt").read_text().startswith("somebody's")
