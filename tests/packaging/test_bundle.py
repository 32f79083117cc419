"""The bundle that the install puts next to the sources, and its inputs."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from hatch_build import BUNDLE, COMPRESSED, NOTICES, inputs_digest, is_fresh

CHECKOUT = Path(__file__).resolve().parents[2]
FRONTEND = CHECKOUT / "frontend"
LIBRARIES = CHECKOUT / "tests" / "browser"
STATIC = CHECKOUT / "flask_ssr_session" / "static"


def read_json(name: str, folder: Path = FRONTEND) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / name).read_text())
    return content


def test_the_bundle_was_made_from_the_present_sources_as_its_first_line_says() -> None:
    assert is_fresh(CHECKOUT)
    first_line = (STATIC / BUNDLE).read_text().splitlines()[0]
    assert first_line.startswith("/*! ")
    assert first_line.endswith(f"inputs: {inputs_digest(CHECKOUT)} */")
    assert "Apache-2.0" in first_line
    assert NOTICES in first_line


@pytest.mark.parametrize("name", COMPRESSED)
def test_scripts_and_styles_are_ascii_without_source_maps_and_have_a_twin(name: str) -> None:
    content = (STATIC / name).read_bytes()
    assert content.isascii()
    assert b"sourceMappingURL" not in content
    assert gzip.decompress((STATIC / f"{name}.gz").read_bytes()) == content


def test_the_notices_name_every_locked_package_of_the_bundle() -> None:
    notices = (STATIC / NOTICES).read_text()
    packages = read_json("package-lock.json")["packages"]
    for name in ("browser-tabs-lock", "supertokens-js-override", "supertokens-website"):
        locked = packages[f"node_modules/{name}"]
        assert f"\n{name} {locked['version']} ({locked['license']})\n" in notices
    assert "The MIT License (MIT)" in notices
    assert "Apache License\n" in notices
    assert "Copyright (c) 2020, VRAI Labs" in notices


@pytest.mark.parametrize("folder", [FRONTEND, LIBRARIES / "libraries", LIBRARIES / "prebuilt"])
def test_packages_have_exact_versions_and_checksums_and_no_address(folder: Path) -> None:
    package = read_json("package.json", folder)
    wanted = {**package["dependencies"], **package.get("devDependencies", {})}
    assert all(re.fullmatch(r"(npm:.+@)?\d+\.\d+\.\d+", version) for version in wanted.values())
    versions = {name: version.rpartition("@")[2] for name, version in wanted.items()}
    locked = read_json("package-lock.json", folder)["packages"]
    assert versions == {name: locked[f"node_modules/{name}"]["version"] for name in versions}
    for path, each in locked.items():
        assert "resolved" not in each, path
        assert path == "" or each["integrity"].startswith("sha512-"), path
    for name in ("package.json", "package-lock.json", ".npmrc"):
        assert "://" not in (folder / name).read_text(), name
