"""The browsers of ``benchmarks.refresh_page`` and ``.day``, and the sites that they visit."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hatch_build import run
from tests.browser.conftest import install, launch_chromium, launch_firefox, served

from .frame import PACKAGE, ROOT, packages

BY_HAND = "by hand"
LAUNCH: dict[str, Any] = {"chromium": launch_chromium, "firefox": launch_firefox}


def build_bare_sdk(folder: Path) -> Path:
    """Bundle the browser SDK alone, as the package's own is bundled; returns the file.

    :param folder: does not exist yet.
    """
    shutil.copytree(ROOT / "frontend", folder)
    node, environment = install(folder)
    options = ["--bundle", "--minify", "--format=iife", "--target=es2017"]
    options += ["--global-name=supertokensWebsite", "--outfile=bare-sdk.js"]
    entry = "node_modules/supertokens-website/index.js"
    run([*node, "node_modules/esbuild/bin/esbuild", entry, *options], folder, environment)
    return folder / "bare-sdk.js"


@contextmanager
def sites(core_uri: str, revisions: list[str], flows: list[str]) -> Iterator[dict[str, str]]:
    """Serve the page by hand and, in each flow, this package and its revisions; yield origins."""
    kinds = {BY_HAND: ("", BY_HAND)}
    for revision, package in packages(revisions).items():
        kinds |= {f"{revision}, {flow}": (package, flow) for flow in flows}
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        told = {"BARE_SDK": str(build_bare_sdk(Path(folder, "frontend")))}
        origins = {}
        for name, (package, flow) in kinds.items():
            environment = {**told, PACKAGE: package, "FLOW": flow}
            site = served(core_uri, module="benchmarks.browser_site", environment=environment)
            origins[name] = stack.enter_context(site)
        yield origins
