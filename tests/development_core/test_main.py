from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import send

ROOT = Path(__file__).parents[2]


@pytest.fixture
def listening_to_interrupts() -> Iterator[None]:
    """Let programs be interrupted: a shell has those in its background ignore that, and children
    inherit it.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
@pytest.mark.usefixtures("listening_to_interrupts")
def test_command_serves_says_what_it_is_for_and_ends_cleanly(tmp_path: Path) -> None:
    database = tmp_path / "core.db"
    command = [sys.executable, "-m", "example_app.core", "--port", "0", "--database", str(database)]
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
