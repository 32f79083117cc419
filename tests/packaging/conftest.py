from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

Calls = Callable[[], list[str]]
WriteCommand = Callable[[str, str], Path]


@pytest.fixture
def command_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH: no command exists but those a test writes there."""
    folder = tmp_path / "commands"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def write_command(command_folder: Path) -> WriteCommand:
    """Put a shell script on PATH; ``$calls`` is a file it may log to."""

    def write(name: str, body: str) -> Path:
        command = command_folder / name
        calls = command_folder / "calls"
        command.write_text(f'#!/bin/sh\nPATH=/usr/bin:/bin\ncalls="{calls}"\n{body}\n')
        command.chmod(0o755)
        return command

    return write


@pytest.fixture
def calls(command_folder: Path) -> Calls:
    def read() -> list[str]:
        log = command_folder / "calls"
        return log.read_text().splitlines() if log.exists() else []

    return read
