"""Measure what refreshing ahead adds to the browser script: ``python -m benchmarks.script_size``.

The script is built as the package builds it, whole and without this job. Needs npm.
"""

import shutil
import tempfile
from pathlib import Path

from hatch_build import BUNDLE, compress, run
from tests.browser.conftest import install

from .frame import ROOT, say, show


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "frontend")
        shutil.copytree(ROOT / "frontend", folder, ignore=shutil.ignore_patterns("node_modules"))
        node, environment = install(folder)

        def size() -> int:
            say("building")
            run([*node, "build.mjs", str(folder / "built"), ""], folder, environment)
            return len(compress((folder / "built" / BUNDLE).read_bytes()))

        whole = size()
        (folder / "refresh_ahead.js").write_text("export function refreshAhead() {}")
        ahead = whole - size()
    sizes = {"whole": f"{whole:,}", "refresh ahead": f"{ahead:,} ({ahead / whole:.1%})"}
    show("the browser script", {"bytes, gzip": sizes})


if __name__ == "__main__":
    main()
