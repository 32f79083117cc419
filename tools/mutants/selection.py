"""Find out which tests execute which line, and choose the tests for a mutant."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import coverage
import pytest

from .listing import PACKAGE, ROOT, Mutant, Place, module_names, source

HERE = Path(__file__).parent
BUILD = ROOT / "build" / "mutants"
DATA = BUILD / "coverage.sqlite"
TESTS = BUILD / "tests.json"
# The folders and files that drive browsers, servers and build tools, or run for long.
_LEFT_OUT = {
    *("browser", "packaging", "servers", "development_core", "test_architecture.py"),
    *("test_benchmarks.py", "test_chaos.py", "test_concurrency.py", "test_docs.py"),
    *("test_floods.py", "test_isolation.py", "test_key_model.py"),
    *("test_readme.py", "test_rotation.py"),
}
# Nothing is rewritten or cached, so that a run depends on the source alone.
PYTEST = ["-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not browser"]
# In CPU time, as other processes slow the clock down.
SLOW_SECONDS = 3.0
# A mutant meets this many tests at most. If fewer than FEW execute its line, or if it also runs on
# import, others of its module join them.
CAP, FEW = 150, 40


class _Recorder:
    """Gives coverage a context for each test, and one for each fixture that tests share."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._coverage = measured
        self._items: list[pytest.Item] = []
        self._left_out: set[str] = set()
        self._current = ""
        self._fixtures: dict[str, tuple[str, str]] = {}
        self.seconds: dict[str, float] = defaultdict(float)
        sys.addaudithook(self._audit)

    def _audit(self, event: str, _arguments: object) -> None:
        # What another process executes, no mutant changes.
        if event in ("subprocess.Popen", "os.fork", "os.posix_spawn") and self._current:
            self._left_out.add(self._current)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._items = session.items

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._current = item.nodeid
        self._coverage.switch_context(item.nodeid)
        started = time.process_time()
        yield
        self.seconds[item.nodeid] = time.process_time() - started
        self._current = ""
        self._coverage.switch_context("")

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Iterator[Any]:
        context = f"fixture {fixturedef.baseid} {fixturedef.argname}"
        if fixturedef.scope == "function":
            return (yield)
        self._fixtures[context] = fixturedef.baseid, fixturedef.argname
        self._coverage.switch_context(context)
        value = yield
        self._coverage.switch_context(self._current)
        return value

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self._left_out.add(report.nodeid)

    def facts(self) -> dict[str, Any]:
        """Return the seconds of each test to use, and the users of each shared fixture."""
        slow = {test for test, seconds in self.seconds.items() if seconds > SLOW_SECONDS}
        left_out = self._left_out | slow
        users = {
            context: [
                item.nodeid
                for item in self._items
                if item.nodeid.startswith(base) and name in getattr(item, "fixturenames", ())
            ]
            for context, (base, name) in self._fixtures.items()
        }
        kept = {test: round(s, 4) for test, s in self.seconds.items() if test not in left_out}
        return {
            "seconds": kept,
            "left_out": sorted(left_out),
            "users": users,
            "warm": sorted(filter(_is_third_party, sys.modules)),
        }


def _is_third_party(name: str) -> bool:
    path = getattr(sys.modules[name], "__file__", None)
    return "__main__" not in name and "site-packages" in str(path)


def cover(workers: int) -> int:
    """Run the tests under coverage; write what each executes, and the coverage by module.

    Every worker runs a part of the test files in a process of its own.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    paths = [
        path for path in (ROOT / "tests").rglob("test_*.py") if _LEFT_OUT.isdisjoint(path.parts)
    ]
    files = sorted(map(str, paths), key=lambda path: (Path(path).stat().st_size, path))
    parts = [BUILD / f"cover-{number}" for number in range(workers)]
    pids = []
    for number, part in enumerate(parts):
        pids.append(os.fork())
        if not pids[-1]:
            os._exit(_cover_part(part, files[number::workers]))
    failed = [os.waitpid(pid, 0)[1] for pid in pids]
    measured = coverage.Coverage(str(DATA), branch=True, source=[str(PACKAGE)], config_file=False)
    measured.erase()
    measured.combine([str(part.with_suffix(".sqlite")) for part in parts])
    measured.save()
    facts: dict[str, Any] = {"seconds": {}, "left_out": [], "users": defaultdict(list), "warm": []}
    for part in parts:
        found = json.loads(part.with_suffix(".json").read_text())
        facts["seconds"] |= found["seconds"]
        facts["left_out"] += found["left_out"]
        facts["warm"] = sorted({*facts["warm"], *found["warm"]})
        for context, tests in found["users"].items():
            facts["users"][context] += tests
    TESTS.write_text(json.dumps(facts, indent=0))
    report = BUILD / "coverage.json"
    measured.json_report(outfile=str(report))
    files = json.loads(report.read_text())["files"]
    rows = []
    for module in module_names():
        parts = files[(PACKAGE / module).relative_to(ROOT).as_posix()]
        summary = parts["summary"]
        rows.append(
            [
                *(module, summary["num_statements"], summary["missing_lines"]),
                *(summary["num_branches"], summary["missing_branches"]),
                " ".join(map(str, parts["missing_lines"])),
                " ".join(f"{start}->{end}" for start, end in parts["missing_branches"]),
            ]
        )
    header = ["module", "statements", "missed", "branches", "missed branches", "lines", "jumps"]
    write_tsv(HERE / "coverage.tsv", [header, *rows])
    return max(failed)


def _cover_part(part: Path, files: list[str]) -> int:
    """Run *files* under coverage, and write what the tests execute to files named like *part*."""
    descriptor = os.open(part.with_suffix(".txt"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    data = str(part.with_suffix(".sqlite"))
    measured = coverage.Coverage(data, branch=True, source=[str(PACKAGE)], config_file=False)
    measured.erase()
    recorder = _Recorder(measured)
    measured.start()
    options = [*PYTEST, "--tb=short", f"--basetemp={part.with_suffix('.temp')}"]
    status = int(pytest.main([*options, *files], plugins=[recorder]))
    measured.stop()
    measured.save()
    part.with_suffix(".json").write_text(json.dumps(recorder.facts()))
    return status


def write_tsv(path: Path, rows: Iterable[Iterable[object]]) -> None:
    """Write rows as text that shows well in a diff."""
    lines = ("\t".join(map(str, row)).rstrip("\t") + "\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")


class Tests:
    """The tests, by the lines that they execute."""

    def __init__(self) -> None:
        facts = json.loads(TESTS.read_text())
        self.seconds: dict[str, float] = facts["seconds"]
        self.warm: list[str] = facts["warm"]
        self._users: dict[str, list[str]] = facts["users"]
        self._data = coverage.CoverageData(str(DATA))
        self._data.read()
        self._lines: dict[str, Counter[str]] = defaultdict(Counter)
        self._by_module: dict[str, dict[str, float]] = {}
        self._by_line = {module: self._read(module) for module in module_names()}

    def _read(self, module: str) -> dict[int, set[str]]:
        by_line = self._data.contexts_by_lineno(str(PACKAGE / module))
        found: dict[int, set[str]] = {}
        for line, contexts in by_line.items():
            tests = {t for c in contexts for t in (self._users.get(c) or [c])}
            found[line] = {test for test in tests if test in self.seconds or not test}
        return found

    def choose(self, mutant: Mutant, place: Place) -> list[str]:
        """Return the tests for *mutant*, at most :data:`CAP`; none if no test executes its line.

        First come, in turn, those that execute what few others execute in its module, and those
        that execute little besides. Every test function has one row before any has a second.
        """
        found = self._contexts(mutant, place)
        scores = self._scores(mutant.module)
        shares = {test: self._share(test, mutant.module) for test in found - {""}}
        in_turn = zip(_spread(set(shares), scores), _spread(set(shares), shares), strict=True)
        direct = list(dict.fromkeys(chain.from_iterable(in_turn)))
        if not found:
            return []
        wanted = CAP if "" in found else FEW
        rest = _spread(scores.keys() - found, scores) if len(direct) < wanted else []
        if "" in found and len(direct) + len(rest) < wanted:
            others = set[str]().union(*map(self._scores, _importers(mutant.module)))
            rest += _spread(others - found - set(rest), scores)
        return (direct + rest[: max(0, wanted - len(direct))])[:CAP]

    def runs_early(self, mutant: Mutant, place: Place) -> bool:
        """Return whether the line also runs before the tests, on import or in their tables."""
        return "" in self._contexts(mutant, place)

    def _contexts(self, mutant: Mutant, place: Place) -> set[str]:
        by_line = self._by_line[mutant.module]
        lines = _statement_lines(source(mutant.module), place.line_number)
        return set[str]().union(*(by_line.get(line, set()) for line in lines))

    def _scores(self, module: str) -> dict[str, float]:
        """Return the tests that execute lines of *module*; a line that few execute counts more."""
        if module not in self._by_module:
            scores: dict[str, float] = defaultdict(float)
            for tests in self._by_line[module].values():
                for test in tests - {""}:
                    scores[test] += 1 / len(tests)
            self._by_module[module] = dict(scores)
        return self._by_module[module]

    def _share(self, test: str, module: str) -> float:
        """Return how much of what *test* executes is in *module*."""
        if not self._lines:
            for name, by_line in self._by_line.items():
                for tests in by_line.values():
                    for each in tests:
                        self._lines[each][name] += 1
        lines = self._lines[test]
        return lines[module] / lines.total()


def _spread(tests: set[str], scores: dict[str, float]) -> list[str]:
    """Order tests by score, but so that each prefix is spread over test functions."""
    rows: dict[str, list[str]] = defaultdict(list)
    for test in sorted(tests, key=lambda test: (-scores.get(test, 0), _digest(test))):
        rows[test.partition("[")[0]].append(test)
    return [test for rank in zip_longest(*rows.values()) for test in rank if test]


@functools.cache
def _digest(test: str) -> bytes:
    return hashlib.sha256(test.encode()).digest()


@functools.cache
def _statement_lines(text: str, line_number: int) -> range:
    """Return the lines of the statement around a line; of a compound one, those of its head."""
    lines = range(line_number, line_number + 1)
    for node in _statements(text):
        if node.lineno <= line_number:
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            if node.lineno <= line_number <= end:
                lines = range(node.lineno, max(end, node.lineno) + 1)
    return lines


@functools.cache
def _statements(text: str) -> list[ast.stmt]:
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.stmt)]


def _importers(module: str) -> list[str]:
    name = Path(module).stem
    return [other for other in module_names() if f"{name} import" in source(other)]
