"""Measure what refreshing ahead adds to the browser script: ``python -m benchmarks.script_size``.

The script is built as the package builds it, whole and without this job. Needs npm.
"""

import tempfile
from pathlib import Path

from hatch_build import BUNDLE, compress

from .browsers import copy_frontend
from .frame import say, show


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "frontend")
        run_node = copy_frontend(folder)

        def size() -> int:
            say("building")
            run_node("build.mjs", str(folder / "built"), "")
            return len(compress((folder / "built" / BUNDLE).read_bytes()))

        whole = size()
        (folder / "refresh_ahead.js").write_text("export function refreshAhead() {}")
        ahead = whole - size()
    sizes = {"whole": f"{whole:,}", "refresh ahead": f"{ahead:,} ({ahead / whole:.1%})"}
    show("the browser script", {"bytes, gzip": sizes})


if __name__ == "__main__":
    main()
