"""Make mutants of the package, and count those that the tests notice.

``python -m tools.mutants list``, ``cover``, ``run``, ``table``, ``show`` or ``compare``: see
CONTRIBUTING.md.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from . import running, selection
from .listing import Mutant, draw, find, in_fair_order, mutate, source
from .selection import HERE, write_tsv

SEED, TOTAL = 14, 1500
LIST, RESULTS, EQUIVALENT = (HERE / f"{n}.tsv" for n in ("mutants", "results", "equivalent"))


def read_mutants(path: Path) -> dict[Mutant, str]:
    """Read a file of mutants; the value is the first column, an outcome or a reason."""
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return {Mutant(row[1], row[2], int(row[3]), row[4]): row[0] for row in rows}


def main() -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="draw the sample anew")
    cover = commands.add_parser("cover", help="find out which tests execute which line")
    run = commands.add_parser("run", help="run the tests against the mutants")
    for command in (run, commands.add_parser("show", help="show the survivors as changes")):
        command.add_argument("modules", nargs="*", help="such as sansio/verdict.py; default: all")
    for command in (cover, run):
        command.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    run.add_argument("--new", action="store_true", help="only those without a result; goes on")
    run.add_argument("--unchanged", action="store_true", help="a check: all mutants must survive")
    run.add_argument("--results", type=Path, default=RESULTS)
    commands.add_parser("table", help="count the results by module")
    compare = commands.add_parser("compare", help="list what was killed before and survives now")
    compare.add_argument("old", type=Path)
    compare.add_argument("new", type=Path)
    options = parser.parse_args()
    match options.command:
        case "list":
            origin = f"# cosmic-ray {version('cosmic-ray')}, seed {SEED}"
            write_tsv(LIST, [[origin], *(["", *mutant] for mutant in draw(SEED, TOTAL))])
        case "cover":
            return selection.cover(options.workers)
        case "run":
            _run(options)
        case "table":
            _print_table(read_mutants(RESULTS))
        case "show":
            _show(options.modules)
        case "compare":
            return _compare(read_mutants(options.old), read_mutants(options.new))
    return 0


def _run(options: argparse.Namespace) -> None:
    """Run, and keep the outcomes of what is not run again."""
    listed = read_mutants(LIST)
    old = read_mutants(options.results) if options.results.exists() else {}
    chosen = (m for m in listed if m.module in options.modules or not options.modules)
    mutants = in_fair_order((m for m in chosen if m not in old or not options.new), SEED)
    outcomes = {mutant: outcome for mutant, outcome in old.items() if mutant in listed}
    started = time.monotonic()
    ends = running.run(mutants, workers=options.workers, is_unchanged=options.unchanged)
    for count, (mutant, outcome) in enumerate(ends, 1):
        outcomes[mutant] = outcome
        if count % 25 == 0 or count == len(mutants):
            minutes = (time.monotonic() - started) / 60
            print(f"{count} of {len(mutants)}, {minutes:.1f} minutes", flush=True)
            rows = sorted((mutant, outcome) for mutant, outcome in outcomes.items())
            write_tsv(options.results, ([outcome, *mutant] for mutant, outcome in rows))


def _print_table(outcomes: Mapping[Mutant, str]) -> None:
    equivalent = read_mutants(EQUIVALENT) if EQUIVALENT.exists() else {}
    columns = ("killed", "timeout", "survived", "equivalent", "no test", "gone")
    counts: dict[str, Counter[str]] = {}
    for mutant, outcome in sorted(outcomes.items()):
        if outcome in ("survived", "no test") and mutant in equivalent:
            outcome = "equivalent"
        counts.setdefault(mutant.module, Counter())[outcome] += 1
    counts["all"] = sum(counts.values(), Counter())
    print(f"{'module':34}{'mutants':>9}", *(f"{column:>10}" for column in columns))
    for module, count in counts.items():
        print(f"{module:34}{count.total():9}", *(f"{count[column]:10}" for column in columns))


def _show(modules: list[str]) -> None:
    for mutant, outcome in sorted(read_mutants(RESULTS).items()):
        chosen = not modules or mutant.module in modules
        place = find(mutant.module).get(mutant) if chosen and outcome != "killed" else None
        if place:
            print(f"\n{mutant.module}:{place.line_number} {mutant.operator} ({outcome})")
            before, after = source(mutant.module), mutate(mutant, place)
            change = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0)
            print("\n".join(line for line in list(change)[2:] if not line.startswith("@@")))


def _compare(old: Mapping[Mutant, str], new: Mapping[Mutant, str]) -> int:
    killed = ("killed", "timeout")
    lost = sorted(m for m in old if old[m] in killed and new.get(m) not in killed)
    for mutant in lost:
        print(new.get(mutant, "not run"), *mutant, sep="\t")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
