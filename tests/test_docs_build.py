"""The documentation builds without a warning, and shows what the code says of the settings."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flask_ssr_session.config.settings import FIELDS, PREFIX

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


def test_settings_are_shown_with_what_the_code_says_of_them(built: Path) -> None:
    page = (built / "configuration.html").read_text("utf-8")
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page))
    for name, field in FIELDS.items():
        for said in (
            f"{PREFIX}{name.upper()}",
            f"Takes {field.type.description}. Default: ",
            f"Keyword: {name}.",
        ):
            assert said in text, said
    assert "from 0 to 604800. Default: 86400. Keyword: jwks_max_stale_seconds." in text
    assert "Default: not set. Keyword: cookie_domain. For example .example.com." in text


def test_no_page_loads_anything_from_another_host(built: Path) -> None:
    loaded = re.compile(
        r'<(?:script|img|iframe|link(?=[^>]*stylesheet))[^>]*(?:src|href)="([^"]+)"'
    )
    for page in built.glob("*.html"):
        addresses = loaded.findall(page.read_text("utf-8"))
        assert addresses
        for address in addresses:
            assert not re.match(r"https?:|//", address), (page.name, address)
