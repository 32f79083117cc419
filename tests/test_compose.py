"""``compose.yaml``, as far as it can be checked without docker."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMPOSE = (ROOT / "compose.yaml").read_text()


def block(name: str, text: str = COMPOSE, indent: int = 0) -> str:
    found = re.search(
        rf"^ {{{indent}}}{name}:\n((?: {{{indent + 1},}}.*\n|\n)+)", text, re.MULTILINE
    )
    assert found is not None, name
    return found[1]


def test_images_are_pinned_to_versions_that_the_docs_name() -> None:
    images = dict(re.findall(r"image: (\S+):(\S+)", COMPOSE))
    assert set(images) == {"supertokens/supertokens-postgresql", "postgres"}
    core = images["supertokens/supertokens-postgresql"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", core)
    assert re.fullmatch(r"\d+-alpine", images["postgres"])
    assert f"* - {core}\n" in (ROOT / "docs" / "deployment.rst").read_text()


def test_only_the_core_has_a_port_and_on_this_machine_only() -> None:
    services = block("services")
    assert re.findall(r'- "(.*:.*)"', block("ports", block("core", services, 2), 4)) == [
        "127.0.0.1:3567:3567"
    ]
    assert "ports:" not in block("database", services, 2)
    assert "internal: true" in block("inside", block("networks"), 2)


def test_core_waits_for_a_healthy_database_that_it_can_sign_in_to() -> None:
    services = block("services")
    core, database = block("core", services, 2), block("database", services, 2)
    user, password, name = (
        re.search(rf"POSTGRES_{key}: (\w+)", database)[1]  # type: ignore[index]
        for key in ("USER", "PASSWORD", "DB")
    )
    assert f"postgresql://{user}:{password}@database:5432/{name}" in core
    assert "condition: service_healthy" in block("depends_on", core, 4)
    assert "healthcheck:" in core
    assert "healthcheck:" in database
    assert re.search(r"- (\w+):/var/lib/postgresql/data", database)[1] + ":" in block("volumes")  # type: ignore[index]
