"""The example app with another templates folder in front of its own, named by OVERRIDES."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from jinja2 import ChoiceLoader, FileSystemLoader

from example_app import create_app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    port = parser.parse_args().port
    app = create_app(site=f"http://localhost:{port}")
    folder = Path(__file__).with_name(os.environ["OVERRIDES"])
    assert app.jinja_loader is not None
    app.jinja_loader = ChoiceLoader([FileSystemLoader(folder), app.jinja_loader])
    app.run(host="localhost", port=port, threaded=True)


if __name__ == "__main__":
    main()
