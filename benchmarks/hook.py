"""Measure the CPU time of the hook per request: ``python -m benchmarks.hook``.

Each column is a kind of process: without the SDK, and with it and two recipes that require a claim.
Cells are medians of microseconds over a bare request, and compare them: to the floor or the RSA
check; alternatives to a token seen before and to one never seen. The refused page and rows with +
say what is added: to a render of the same bytes, to a token seen before, or to session_required.
"""

import json
import os
import statistics
import subprocess
import sys
from typing import Any

from .frame import PACKAGE, ROOT, in_turns, packages, parser, show

Round = dict[str, tuple[float, list[str]]]  # microseconds, and the names to compare them to


def run(package: str, *arguments: str) -> Any:
    """Return the figures of each case, from a new process."""
    command = [sys.executable, "-m", "benchmarks.hook_cases", *arguments]
    environment = os.environ | {PACKAGE: package}
    return json.loads(subprocess.check_output(command, cwd=ROOT, env=environment))


def cells(rounds: list[Round]) -> dict[str, str]:
    """Return the cell of each case."""
    medians = {name: statistics.median(found[name][0] for found in rounds) for name in rounds[0]}
    made = {}
    for name, (_, units) in rounds[0].items():
        ratios = ", ".join(f"{medians[name] / medians[unit]:.2f} x" for unit in units)
        made[name] = f"{medians[name]:.1f} ({ratios})" if ratios else f"{medians[name]:.1f}"
    return made


def main() -> None:
    chosen = parser("hook", __doc__, rounds=7, batches=60, batch=8).parse_args()
    columns = {
        f"{revision}, {kind}": (package, kind, str(chosen.batches), str(chosen.batch))
        for revision, package in packages(chosen.revision).items()
        for kind in ("no SDK", "with the SDK")
    }
    found = in_turns(columns, chosen.rounds, lambda column: run(*columns[column]))
    show("µs per request", {column: cells(rounds) for column, rounds in found.items()})


if __name__ == "__main__":
    main()
