"""What the benchmarks share: interleaved rounds, medians, tables, and other revisions."""

import argparse
import os
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parents[1]
THIS = "this"
PACKAGE = "MEASURED_PACKAGE"  # the folder of a revision; empty for this one
LOAD_BEFORE = os.getloadavg()[0]

_Case = TypeVar("_Case")
_Figure = TypeVar("_Figure")


def say(text: str) -> None:
    """Report progress on standard error."""
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def parser(name: str, description: str | None, **numbers: int) -> argparse.ArgumentParser:
    """Return a parser with ``--revision``, and options that take whole numbers."""
    made = argparse.ArgumentParser(f"python -m benchmarks.{name}", None, description)
    made.add_argument("--revision", nargs="*", default=[], help="of git; 9b044de is 0.1.0")
    for name, default in numbers.items():
        made.add_argument(f"--{name}", type=int, default=default, help=f"default: {default}")
    return made


def in_turns(
    cases: Iterable[_Case], rounds: int, run: Callable[[_Case], _Figure], first: int = 0
) -> dict[_Case, list[_Figure]]:
    """Run all cases in each round, in random order; round 0 warms up and does not count."""
    found: dict[_Case, list[_Figure]] = {case: [] for case in cases}
    for number in range(first, rounds + 1):
        for case in random.sample([*found], len(found)):
            figure = run(case)
            if number:
                found[case].append(figure)
        say(f"round {number} of {rounds}")
    return found


def show(title: str, columns: Mapping[str, Mapping[str, str]]) -> None:
    """Print a table, and what ran on which machine; the load after is also the benchmark's own."""
    names = dict.fromkeys(name for column in columns.values() for name in column)
    rows = [[name, *(column.get(name, "-") for column in columns.values())] for name in names]
    lines = [[title, *columns], *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for name, *cells in lines:
        padded = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
        print(name.ljust(widths[0]), *padded, sep="   ")
    distributions = ("Flask", "Werkzeug", "PyJWT", "cryptography", "supertokens-python")
    found = ", ".join(f"{name} {version(name)}" for name in distributions)
    load = f"load {LOAD_BEFORE:.2f} before, {os.getloadavg()[0]:.2f} after, {os.cpu_count()} CPUs"
    print(f"{load}; CPython {platform.python_version()}, {found}", flush=True)


def packages(revisions: Iterable[str]) -> dict[str, str]:
    """Return the folder of each revision, which is installed once, and of this one."""
    found = {THIS: ""}
    for revision in revisions:
        command = ["git", "rev-parse", revision]
        commit = subprocess.check_output(command, cwd=ROOT, text=True).strip()
        folder = ROOT / "build" / "revisions" / commit
        if not folder.exists():
            say(f"installing {revision}")
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
            subprocess.run([*pip, str(folder), f"git+file://{ROOT}@{commit}"], check=True)
        found[revision] = str(folder)
    return found
