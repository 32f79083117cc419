"""The browsers of ``benchmarks.refresh_page`` and ``.day``, and the sites that they visit."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.browser.conftest import build_bare_sdk, launch_chromium, launch_firefox, served

from .frame import PACKAGE, packages

BY_HAND = "by hand"
LAUNCH: dict[str, Any] = {"chromium": launch_chromium, "firefox": launch_firefox}


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
