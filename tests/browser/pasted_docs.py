"""The site of a page of the documentation, pasted into a folder and served.

Environment: DOCS_PAGE is fastapi, django or quickstart. SIGN_IN is a heading of docs/sign-in.rst;
its examples replace the sign-in page of the quickstart. BUNDLES is a folder with more static files.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import uvicorn
from django.http import HttpResponse
from django.urls import path
from werkzeug.serving import run_simple

from tests.test_docs import TEXTS, Block, blocks
from tests.test_other_frameworks import write_example


def blocks_below(heading: str) -> list[Block]:
    """Return the examples of one section of docs/sign-in.rst."""
    # Code is indented, headings are not.
    sections = re.split(r"\n\n\n(?=\S)", TEXTS["sign-in"])
    return blocks(next(section for section in sections if section.startswith(heading)) + "\n")


def write_quickstart(folder: Path, core: str) -> str:
    """Write the files of the site, and return the source of its app."""
    page = blocks(TEXTS["quickstart"])
    other_page = blocks_below(os.environ["SIGN_IN"]) if "SIGN_IN" in os.environ else []
    if any("def sign_in(" in block.source for block in other_page):
        page = [block for block in page if "def sign_in(" not in block.source]
    for block in [*page, *other_page]:
        if block.language in ("jinja", "javascript"):
            file = folder / block.file
            file.parent.mkdir(exist_ok=True)
            file.write_text(block.source.lstrip("\n"), encoding="utf-8")
    if "BUNDLES" in os.environ:
        shutil.copytree(os.environ["BUNDLES"], folder / "static", dirs_exist_ok=True)
    sources = [block.source for block in [*page, *other_page] if block.language == "python"]
    return "\n".join(sources).replace("http://127.0.0.1:3567", core)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port: int = parser.parse_args().port
    page, core = os.environ["DOCS_PAGE"], os.environ["SUPERTOKENS_CONNECTION_URI"]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # where Flask finds the templates
        if page == "quickstart":
            source = write_quickstart(Path(folder), core)
        else:
            source = write_example(page, Path(folder), core)
        module = ModuleType("pasted")
        sys.modules[module.__name__] = module
        source = re.sub("localhost:[58]000", f"localhost:{port}", source)
        code = compile(source, "app.py", "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102
        if page == "fastapi":
            module.app.add_api_route("/panel/", lambda: "ready")
            uvicorn.run(module.app, host="localhost", port=port)
        elif page == "django":
            module.urlpatterns.append(path("panel/", lambda _request: HttpResponse("ready")))
        else:
            module.app.add_url_rule("/panel/", "ready", lambda: "ready")
        run_simple("localhost", port, module.app, threaded=True)


if __name__ == "__main__":
    main()
