#!/usr/bin/env python3
"""Run the server-side tests on the lowest supported versions: ``python3 tests/lowest.py``.

Requirements with ``>=`` in ``pyproject.toml`` are installed with ``==``, for ``python3.10`` if it
is on the PATH, else for the Python that runs this; the test tools are the newest. The environment
``.venv/lowest`` is created once, and updated at every run. Arguments are passed to pytest.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# A script can import only from its own folder.
sys.path.insert(0, str(ROOT))

from tests.run import StepFailedError, interpreter, make_environment, run, run_or_fail, step  # noqa: E402

VENV = ROOT / ".venv" / "lowest"
PYTHON = interpreter(VENV)
LOWEST_PYTHON = "python3.10"

# These tests are not server-side, and some need more than the lowest versions.
NOT_NEEDED = ("playwright", "mypy", "pyright", "ruff")
NOT_RUN = ("tests/browser", "tests/packaging", "tests/test_docs_build.py")

REQUIREMENTS = """\
import json
from importlib.metadata import requires
print(json.dumps(requires("flask-ssr-session")))
"""
VERSIONS = """\
import platform, sys
from importlib.metadata import version
print("Python", platform.python_version(), *(f"{name} {version(name)}" for name in sys.argv[1:]))
"""


def main(pytest_arguments: list[str]) -> int:
    try:
        step("environment", lambda: make_environment(VENV, find_python()))
        step("package", lambda: pip_install("--no-deps", "--editable", "."))
        pins, tools = split_requirements(read_requirements())
        step("lowest", lambda: install(pins, tools))
    except StepFailedError as failure:
        print(failure, file=sys.stderr)
        return failure.status
    ignored = [f"--ignore={folder}" for folder in NOT_RUN]
    print("pytest", flush=True)
    options = ["-p", "no:cacheprovider", "-m", "not browser", *ignored, *pytest_arguments]
    command = [str(PYTHON), "-m", "pytest", *options]
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode


def find_python() -> str:
    """Return the lowest available Python."""
    found = shutil.which(LOWEST_PYTHON)
    # A version manager may put a command on the PATH that does not work.
    works = found and run([found, "-c", "import venv"]).returncode == 0
    return found if found and works else sys.executable


def read_requirements() -> list[str]:
    """Return the requirements in the package's metadata."""
    told = run([str(PYTHON), "-c", REQUIREMENTS])
    if told.returncode:
        raise StepFailedError(told.stdout, told.returncode)
    requirements: list[str] = json.loads(told.stdout)
    return requirements


def split_requirements(requirements: list[str]) -> tuple[list[str], list[str]]:
    """Return the requirements in their lowest versions, and the test tools.

    :raises StepFailedError: a requirement has no lowest version, or more than one bound.
    """
    pins: list[str] = []
    tools: list[str] = []
    for line in requirements:
        requirement, _, marker = (part.strip() for part in line.partition(";"))
        if not marker:
            name, separator, version = requirement.partition(">=")
            if not separator or "," in version:
                raise StepFailedError(f"{requirement}: what is its lowest version?", 2)
            pins.append(f"{name}=={version}")
        elif "test" in marker and not requirement.startswith(NOT_NEEDED):
            tools.append(requirement)
    return pins, tools


def install(pins: list[str], tools: list[str]) -> str:
    pip_install(*pins, *tools)
    names = [pin.partition("==")[0] for pin in pins]
    return run([str(PYTHON), "-c", VERSIONS, *names]).stdout.strip()


def pip_install(*arguments: str) -> str:
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run_or_fail([*pip, *arguments])
    return "done"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
