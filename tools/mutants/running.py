"""Run the tests against mutants, each in a fork of one warm process; no file is changed."""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import importlib.util
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import CodeType, ModuleType
from typing import Any

import hypothesis
import pytest

from .listing import PACKAGE, ROOT, Mutant, find, mutate, source
from .selection import BUILD, PYTEST, Tests

# The first stage has the tests of this many files; most mutants do not survive it.
FIRST_FILES = 3
EXTRA_SECONDS, TIMES_SLOWER = 30, 20


@dataclass
class _Job:
    """One mutant with the tests that it has not met yet."""

    mutant: Mutant
    text: str
    stages: deque[list[str]]
    slot: int = 0
    deadline: float = field(default=0.0)


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
    """Keeps the chosen tests only, the fastest first."""

    def __init__(self, tests: list[str]) -> None:
        self._order = {test: rank for rank, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        kept = [item for item in items if item.nodeid in self._order]
        items[:] = sorted(kept, key=lambda item: self._order[item.nodeid])


def run(
    mutants: Sequence[Mutant], *, workers: int, is_unchanged: bool
) -> Iterator[tuple[Mutant, str]]:
    """Run the tests against each mutant, and return what became of it, in the order of the ends.

    :param is_unchanged: leave the source as it is, to see that every mutant survives that.
    """
    tests = Tests()
    places = {module: find(module) for module in {mutant.module for mutant in mutants}}
    queue: deque[_Job] = deque()
    for mutant in mutants:
        place = places[mutant.module].get(mutant)
        if place is None:
            yield mutant, "gone"
        elif chosen := tests.choose(mutant, place):
            text = source(mutant.module) if is_unchanged else mutate(mutant, place)
            queue.append(_Job(mutant, text, _stages(chosen, tests.seconds)))
        else:
            yield mutant, "no test"
    _warm_up(tests.warm)
    running: dict[int, _Job] = {}
    slots = list(range(workers))
    while queue or running:
        while queue and slots:
            job = queue.popleft()
            job.slot = slots.pop()
            running[_start(job, tests.seconds)] = job
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
                yield job.mutant, outcome


def _stages(chosen: list[str], seconds: dict[str, float]) -> deque[list[str]]:
    """Split tests into those of the fastest files, and all others."""
    chosen = sorted(chosen, key=lambda test: seconds[test])
    files: dict[str, list[float]] = {}
    for test in chosen:
        files.setdefault(test.partition("::")[0], []).append(seconds[test])
    ranked = sorted(files, key=lambda file: sum(files[file]) / len(files[file]))
    first = {*ranked[:FIRST_FILES]}
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


def _start(job: _Job, seconds: dict[str, float]) -> int:
    """Fork a process that runs the next stage of *job*."""
    stage = job.stages.popleft()
    allowed = EXTRA_SECONDS + TIMES_SLOWER * sum(seconds[test] for test in stage)
    job.deadline = time.monotonic() + allowed
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 3
        try:
            status = _run_tests(job, stage)
        finally:
            os._exit(status)
    return pid


def _run_tests(job: _Job, stage: list[str]) -> int:
    os.setsid()
    output = BUILD / f"output-{job.slot}.txt"
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    hypothesis.settings.register_profile("mutants", database=None, derandomize=True, deadline=None)
    hypothesis.settings.load_profile("mutants")
    sys.meta_path.insert(0, _MutatedFinder(job.mutant.module, job.text))
    files = {str(ROOT / test.partition("::")[0]) for test in stage}
    options = [*PYTEST, "-x", "--tb=short", f"--basetemp={BUILD / f'temp-{job.slot}'}"]
    return int(pytest.main([*options, *sorted(files)], plugins=[_Chosen(stage)]))


def _outcome(pid: int, job: _Job) -> str | None:
    """Return what became of a mutant in one stage; None while its tests run."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended:
        return {0: "survived", 5: "no test"}.get(os.waitstatus_to_exitcode(status), "killed")
    if time.monotonic() > job.deadline:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return "timeout"
    return None
