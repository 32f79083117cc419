"""The browsers of ``benchmarks.refresh_page`` and ``.day``, and the sites that they visit."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hatch_build import run
from tests.browser.conftest import install, launch_chromium, launch_firefox, served
from tests.run import BROWSERS, find_browser

from .frame import PACKAGE, ROOT, packages

BY_HAND = "by hand"
LAUNCH: dict[str, Any] = {"chromium": launch_chromium, "firefox": launch_firefox}
# Bundles the browser SDK alone, as the package's own is bundled.
BUNDLE_SDK = "node_modules/esbuild/bin/esbuild node_modules/supertokens-website/index.js --bundle"
OPTIONS = "--minify --format=iife --target=es2017 --global-name=supertokensWebsite"


def copy_frontend(folder: Path) -> Callable[..., None]:
    """Copy the frontend to *folder* with its npm packages; return what runs Node there."""
    shutil.copytree(ROOT / "frontend", folder, ignore=shutil.ignore_patterns("node_modules"))
    node, environment = install(folder)
    return lambda *command: run([*node, *command], folder, environment)


@contextmanager
def sites(core_uri: str, revisions: list[str], flows: list[str]) -> Iterator[dict[str, str]]:
    """Find browsers; serve the page by hand and, in each flow, all revisions; yield origins."""
    os.environ.update({each.variable: find_browser(each) for each in BROWSERS})
    kinds = {BY_HAND: ("", BY_HAND)}
    for revision, package in packages(revisions).items():
        kinds |= {f"{revision}, {flow}": (package, flow) for flow in flows}
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        told, origins = {"BARE_SDK": str(Path(folder, "bare-sdk.js"))}, {}
        run_node = copy_frontend(Path(folder, "frontend"))
        run_node(*BUNDLE_SDK.split(), *OPTIONS.split(), f"--outfile={told['BARE_SDK']}")
        for name, (package, flow) in kinds.items():
            environment = {**told, PACKAGE: package, "FLOW": flow}
            site = served(core_uri, module="benchmarks.browser_site", environment=environment)
            origins[name] = stack.enter_context(site)
        yield origins
