"""The site of docs/fastapi.rst or docs/django.rst, pasted into a folder and served."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import uvicorn
from django.http import HttpResponse
from django.urls import path
from werkzeug.serving import run_simple

from tests.test_other_frameworks import write_example


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port: int = parser.parse_args().port
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        source = write_example(os.environ["DOCS_PAGE"], Path(folder), os.environ["CORE"])
        source = source.replace("localhost:8000", f"localhost:{port}")
        module = ModuleType("pasted")
        sys.modules[module.__name__] = module
        code = compile(source, "app.py", "exec", dont_inherit=True)
        exec(code, vars(module))  # noqa: S102
        if os.environ["DOCS_PAGE"] == "fastapi":
            module.app.add_api_route("/panel/", lambda: "ready")
            uvicorn.run(module.app, host="localhost", port=port)
        else:
            module.urlpatterns.append(path("panel/", lambda _request: HttpResponse("ready")))
            run_simple("localhost", port, module.app, threaded=True)


if __name__ == "__main__":
    main()
