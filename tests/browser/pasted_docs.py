"""The site of docs/quickstart.rst, pasted into a folder and served.

Environment: SIGN_IN is a heading of docs/sign-in.rst; its examples replace the sign-in page of the
quickstart. BUNDLES is a folder with more static files.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from flask import Flask

from tests.test_docs import TEXTS, Block, blocks


def blocks_below(heading: str) -> list[Block]:
    """Return the examples of one section of docs/sign-in.rst."""
    # Code is indented, headings are not.
    sections = re.split(r"\n\n\n(?=\S)", TEXTS["sign-in"])
    return blocks(next(section for section in sections if section.startswith(heading)) + "\n")


def write_site(folder: Path, sign_in: str) -> str:
    """Write the files of the site, and return the source of its app."""
    page = blocks(TEXTS["quickstart"])
    other_page = blocks_below(sign_in) if sign_in else []
    if any("def sign_in(" in block.source for block in other_page):
        page = [block for block in page if "def sign_in(" not in block.source]
    for block in [*page, *other_page]:
        if block.language in ("jinja", "javascript"):
            path = folder / block.caption
            path.parent.mkdir(exist_ok=True)
            path.write_text(block.source.lstrip("\n"), encoding="utf-8")
    sources = [block.source for block in [*page, *other_page] if block.language == "python"]
    return "\n".join(sources)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port: int = parser.parse_args().port
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # where Flask finds the templates
        source = write_site(Path(folder), os.environ.get("SIGN_IN", ""))
        if "BUNDLES" in os.environ:
            shutil.copytree(os.environ["BUNDLES"], "static", dirs_exist_ok=True)
        source = source.replace("http://127.0.0.1:3567", os.environ["SUPERTOKENS_CONNECTION_URI"])
        names: dict[str, Any] = {"__name__": "pasted"}
        exec(source.replace("localhost:5000", f"localhost:{port}"), names)  # noqa: S102
        app: Flask = names["app"]
        app.add_url_rule("/panel/", "ready", lambda: "ready")
        app.run(host="localhost", port=port, threaded=True)


if __name__ == "__main__":
    main()
