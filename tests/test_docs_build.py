"""The documentation builds without a warning, and its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", str(DOCS)]
    finished = subprocess.run(
        [*command, str(target)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    return target


def test_the_documentation_builds_without_a_warning(built: Path) -> None:
    for page in DOCS.glob("*.rst"):
        assert (built / f"{page.stem}.html").is_file(), page.name


def test_links_are_those_that_a_forge_shows(built: Path) -> None:
    """docs/conf.py makes links to pages from links to files, and links the names of settings."""
    pages = {page.name: page.read_text("utf-8") for page in built.glob("*.html")}
    links = [
        (page, *href.partition("#")[::2])
        for page, text in pages.items()
        for href in re.findall(r'<a [^>]*class="reference internal" href="([^"]+)"', text)
    ]
    assert ("index.html", "quickstart.html", "") in links
    assert ("configuration.html", "deployment.html", "static-keys") in links
    assert ("sign-in.html", "configuration.html", "ssr-session-login-url") in links
    for page, target, anchor in links:
        assert not anchor or f'id="{anchor}"' in pages[target or page], (page, target, anchor)
    assert not re.search(r'href="[^":]*\.rst', "".join(pages.values()))


def test_no_page_loads_anything_from_another_host(built: Path) -> None:
    loaded = re.compile(
        r'<(?:script|img|iframe|link(?=[^>]*stylesheet))[^>]*(?:src|href)="([^"]+)"'
    )
    for page in built.glob("*.html"):
        addresses = loaded.findall(page.read_text("utf-8"))
        assert addresses
        for address in addresses:
            assert not re.match(r"https?:|//", address), (page.name, address)
