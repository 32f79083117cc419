"""The README's quickstart with its sign-in page, pasted into a folder and served."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from flask import Flask

from tests.test_readme import paste


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port = parser.parse_args().port
    with tempfile.TemporaryDirectory() as folder:
        source = paste(Path(folder)).replace("http://127.0.0.1:3567", os.environ["CORE"])
        names: dict[str, Any] = {"__name__": "pasted"}
        exec(source.replace("localhost:5000", f"localhost:{port}"), names)  # noqa: S102
        app: Flask = names["app"]
        app.template_folder = str(Path(folder) / "templates")
        app.add_url_rule("/panel/", "ready", lambda: "ready")
        app.run(host="localhost", port=port, threaded=True)


if __name__ == "__main__":
    main()
