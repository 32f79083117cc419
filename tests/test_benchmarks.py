"""The benchmarks run, and check each response that they time. Tests do not judge the figures."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext
from itertools import repeat
from pathlib import Path
from typing import Any

import pytest

from benchmarks import sites
from benchmarks.frame import ROOT
from benchmarks.hook_cases import Case, environ, run
from tests.tables import rows

MAX_LINES = 1200

TABLES: dict[str, Any] = {
    "the hook": ("hook --batches 2 --batch 2", ["floor", "token never seen", "flask-login"]),
    "the start": ("start", ["import of cryptography, ms", "loaded without need"]),
    "the throughput": (
        "throughput --threads 2 --milliseconds 200",
        [" 2 threads, this never seen"],
    ),
}


@rows("command, names", TABLES)
def test_a_benchmark_prints_its_table_and_progress(command: str, names: list[str]) -> None:
    arguments = [sys.executable, "-m", *f"benchmarks.{command} --rounds 1".split()]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *table, machine = done.stdout.splitlines()
    assert all(any(line.startswith(name) for line in table) for name in names), done.stdout
    assert machine.startswith("load ")
    assert "round 1 of 1" in done.stderr


@rows("text, expected", {"as expected": (b"ok", True), "another": (b"user-1", False)})
def test_every_timed_response_is_checked(text: bytes, expected: bool) -> None:
    case = Case(sites.bare(), repeat(environ()), text)
    with nullcontext() if expected else pytest.raises(RuntimeError, match="is not what was exp"):
        assert run(case, 2) > 0


def test_benchmarks_are_short() -> None:
    files = Path(ROOT, "benchmarks").glob("*.py")
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files) <= MAX_LINES
