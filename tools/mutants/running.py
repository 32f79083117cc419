"""Run the tests against mutants, each in a fork of a warm process; no file is changed.

Most mutants change the body of a function that runs in tests only. They meet a pytest session that
has collected everything: a fork exchanges the code of the function. What also runs on import or
while pytest collects needs a pytest of its own, which imports the package and the tests anew.
"""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import importlib.util
import os
import resource
import shutil
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from types import CodeType, FunctionType, ModuleType
from typing import Any

import hypothesis
import pytest

from .listing import PACKAGE, ROOT, Mutant, Place, find, mutate, source
from .selection import BUILD, PYTEST, Tests

# The first stage of a pytest of its own has the tests of this many files; few mutants survive it.
FIRST_FILES = 3
# What a stage may take more than its tests took under coverage: in CPU time, which other processes
# do not slow down, and on the clock, for what waits for ever.
EXTRA_SECONDS, TIMES_SLOWER, CLOCK_TIMES_SLOWER = 15, 2, 8
_OUTCOMES = {0: "survived", 5: "no test", 6: "refused", -signal.SIGXCPU: "timeout"}
_REFUSED = 6


@dataclass
class _Job:
    """One mutant with the tests that it has not met yet.

    :ivar place: where it is; None leaves the source as it is.
    :ivar slot: which of the workers runs it.
    :ivar deadline: on the monotonic clock.
    """

    mutant: Mutant
    place: Place | None
    stages: deque[list[str]]
    slot: int = 0
    deadline: float = 0.0

    def text(self) -> str:
        """Return the source of the mutant."""
        return mutate(self.mutant, self.place) if self.place else source(self.mutant.module)


def run(
    mutants: Sequence[Mutant], *, workers: int, is_unchanged: bool
) -> Iterator[tuple[Mutant, str]]:
    """Run the tests against each mutant, and return what became of it, in the order of the ends.

    :param is_unchanged: leave the source as it is, to see that every mutant survives that.
    """
    tests = Tests()
    places = {module: find(module) for module in {mutant.module for mutant in mutants}}
    in_session: list[_Job] = []
    alone: list[_Job] = []
    for mutant in mutants:
        place = places[mutant.module].get(mutant)
        if place is None:
            yield mutant, "gone"
        elif chosen := tests.choose(mutant, place):
            runs_early = tests.runs_early(mutant, place)
            stages = _stages(chosen) if runs_early else deque([chosen])
            (alone if runs_early else in_session).append(
                _Job(mutant, None if is_unchanged else place, stages)
            )
        else:
            yield mutant, "no test"
    hypothesis.settings.register_profile("mutants", database=None, derandomize=True, deadline=None)
    hypothesis.settings.load_profile("mutants")
    _warm_up(tests.warm)
    for job, outcome in _run_in_session(in_session, workers, tests.seconds):
        if outcome == "refused":
            alone.append(job)
        else:
            yield job.mutant, outcome
    for job, outcome in _run_all(alone, workers, tests.seconds, _run_alone):
        yield job.mutant, outcome


def _run_all(
    jobs: Iterable[_Job],
    workers: int,
    seconds: dict[str, float],
    run_stage: Callable[[_Job, list[str]], int],
) -> Iterator[tuple[_Job, str]]:
    """Run the stages of all jobs, *workers* at a time, each in a fork of this process."""
    queue, slots = deque(jobs), list(range(workers))
    running: dict[int, _Job] = {}
    while queue or running:
        while queue and slots:
            job = queue.popleft()
            job.slot, stage = slots.pop(), job.stages.popleft()
            allowed = EXTRA_SECONDS + TIMES_SLOWER * sum(seconds[test] for test in stage)
            job.deadline = time.monotonic() + CLOCK_TIMES_SLOWER * allowed
            pid = os.fork()
            if not pid:
                status = 3
                try:
                    _detach(f"worker-{job.slot}")
                    resource.setrlimit(resource.RLIMIT_CPU, (int(allowed), int(allowed) + 2))
                    status = run_stage(job, stage)
                finally:
                    os._exit(status)
            running[pid] = job
        time.sleep(0.01)
        for pid, job in list(running.items()):
            outcome = _outcome(pid, job)
            if outcome is None:
                continue
            del running[pid]
            slots.append(job.slot)
            if outcome == "survived" and job.stages:
                queue.appendleft(job)
            else:
                yield job, outcome


def _outcome(pid: int, job: _Job) -> str | None:
    """Return what became of a mutant in one stage; None while its tests run."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended:
        return _OUTCOMES.get(os.waitstatus_to_exitcode(status), "killed")
    if time.monotonic() > job.deadline:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return "timeout"
    return None


def _detach(name: str) -> None:
    """Give this process its own group, output and temporary folder."""
    os.setsid()
    folder = BUILD / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)
    output = os.open(BUILD / f"{name}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


# In a session that has collected everything


class _Session:
    """Runs the jobs in place of pytest's loop over the tests."""

    def __init__(
        self, jobs: list[_Job], workers: int, seconds: dict[str, float], results: int
    ) -> None:
        self._jobs, self._workers, self._seconds = jobs, workers, seconds
        self._results = results
        self._items: dict[str, pytest.Item] = {}
        self._functions: list[FunctionType] = []
        self._has_failed = False

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._items = {item.nodeid: item for item in session.items}
        functions = (thing for thing in gc.get_objects() if isinstance(thing, FunctionType))
        folder = str(PACKAGE)
        self._functions = [f for f in functions if f.__code__.co_filename.startswith(folder)]
        gc.freeze()
        numbers = {job.mutant: number for number, job in enumerate(self._jobs)}
        ends = _run_all(self._jobs, self._workers, self._seconds, self._run_stage)
        for job, outcome in ends:
            os.write(self._results, f"{numbers[job.mutant]} {outcome}\n".encode())
        return True

    def _run_stage(self, job: _Job, stage: list[str]) -> int:
        if not _exchange(job, self._functions):
            return _REFUSED
        items = [self._items[test] for test in stage if test in self._items]
        for item, following in zip_longest(items, items[1:]):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self._has_failed:
                return 1
        return 0 if items else 5

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._has_failed = True
            print(f"\n{report.nodeid}\n{report.longreprtext}", flush=True)


def _run_in_session(
    jobs: list[_Job], workers: int, seconds: dict[str, float]
) -> Iterator[tuple[_Job, str]]:
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            _detach("session")
            files = {test.partition("::")[0] for job in jobs for test in job.stages[0]}
            # Output is captured in memory: forks would share a file.
            options = [*PYTEST, "--capture=sys", "--tb=short"]
            plugin = _Session(jobs, workers, seconds, writing)
            pytest.main([*options, *(str(ROOT / file) for file in sorted(files))], [plugin])
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as lines:
        for line in lines:
            number, _, outcome = line.strip().partition(" ")
            yield jobs[int(number)], outcome
    os.waitpid(pid, 0)


def _exchange(job: _Job, functions: list[FunctionType]) -> bool:
    """Give live functions the code of the mutant; return whether that was possible."""
    path = str(PACKAGE / job.mutant.module)
    before = compile(source(job.mutant.module), path, "exec", dont_inherit=True)
    after = compile(job.text(), path, "exec", dont_inherit=True)
    codes = {_key(old): new for old, new in _pairs(before, after) if old != new}
    live = [f for f in functions if f.__code__.co_filename == path and _key(f.__code__) in codes]
    try:
        for function in live:
            function.__code__ = codes[_key(function.__code__)]
    except ValueError:  # the mutant uses other variables of the function around it
        return False
    return bool(live) or not codes


def _key(code: CodeType) -> tuple[object, ...]:
    return code.co_name, code.co_firstlineno, code.co_varnames, code.co_names


def _pairs(before: CodeType, after: CodeType) -> Iterator[tuple[CodeType, CodeType]]:
    """Return each function's code with what it is in the mutant."""
    yield before, after
    old, new = (
        [part for part in code.co_consts if isinstance(part, CodeType)] for code in (before, after)
    )
    # If the mutant lacks an inner function, the outer one makes the others anew.
    for pair in zip(old, new, strict=True) if len(old) == len(new) else ():
        yield from _pairs(*pair)


# In a pytest of its own


def _run_alone(job: _Job, stage: list[str]) -> int:
    sys.meta_path.insert(0, _MutatedFinder(job.mutant.module, job.text()))
    files = {str(ROOT / test.partition("::")[0]) for test in stage}
    options = [*PYTEST, "-x", "--tb=short"]
    return int(pytest.main([*options, *sorted(files)], plugins=[_Chosen(stage)]))


class _MutatedLoader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self._text = text

    def get_code(self, _fullname: str) -> CodeType:
        return compile(self._text, self.path, "exec", dont_inherit=True)


class _MutatedFinder:
    """Finds the one mutated module; any other is found as usual."""

    def __init__(self, module: str, text: str) -> None:
        path = PACKAGE / module
        parts = path.relative_to(ROOT).with_suffix("").parts
        self._name = ".".join(parts).removesuffix(".__init__")
        self._spec = importlib.util.spec_from_file_location(
            self._name,
            path,
            loader=_MutatedLoader(self._name, str(path), text),
            submodule_search_locations=[str(path.parent)] if path.stem == "__init__" else None,
        )

    def find_spec(
        self, name: str, _path: Any = None, _target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return self._spec if name == self._name else None


class _Chosen:
    """Keeps the chosen tests only, in their order."""

    def __init__(self, tests: list[str]) -> None:
        self._order = {test: rank for rank, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        kept = [item for item in items if item.nodeid in self._order]
        items[:] = sorted(kept, key=lambda item: self._order[item.nodeid])


def _stages(chosen: list[str]) -> deque[list[str]]:
    """Split tests into those of the first files, and all others."""
    files = list(dict.fromkeys(test.partition("::")[0] for test in chosen))
    first = files[:FIRST_FILES]
    stages = [
        [test for test in chosen if test.partition("::")[0] in first],
        [test for test in chosen if test.partition("::")[0] not in first],
    ]
    return deque(stage for stage in stages if stage)


def _warm_up(modules: list[str]) -> None:
    """Import what tests import, but neither the package nor the tests."""
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001, PERF203, S112  an optional part of its package
            continue
    gc.freeze()
