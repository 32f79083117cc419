"""The decisions of ``tests/lowest.py``."""

from __future__ import annotations

import sys
from importlib.metadata import requires

import pytest

from tests import lowest as command
from tests.run import StepFailedError

from .conftest import WriteCommand


def test_what_the_package_claims_is_pinned_and_what_tests_need_is_not() -> None:
    pins, tools = command.split_requirements(
        [
            "flask>=3.0",
            "pytest>=8.3; extra == 'test'",
            'flask[async]; extra == "test"',
            "ruff~=0.17.0; extra == 'test'",
            "authlib>=1.6; extra == 'benchmarks'",
        ]
    )
    assert pins == ["flask==3.0"]
    assert tools == ["pytest>=8.3", "flask[async]"]


@pytest.mark.parametrize("requirement", ["flask", "flask==3.0", "flask>=3.0,<4", "flask~=3.0"])
def test_requirement_without_one_lowest_version_ends_the_run(requirement: str) -> None:
    with pytest.raises(StepFailedError, match="what is its lowest version"):
        command.split_requirements([requirement])


def test_every_claim_of_this_package_has_a_lowest_version() -> None:
    pins, tools = command.split_requirements(requires("flask-ssr-session") or [])
    assert {"flask", "jinja2", "cryptography", "supertokens-python"} <= {
        pin.partition("==")[0] for pin in pins
    }
    assert any(tool.startswith("pytest>=") for tool in tools)


@pytest.mark.parametrize(("status", "taken"), [(0, True), (1, False)], ids=["works", "a stub"])
def test_the_lowest_python_is_taken_where_it_works(
    write_command: WriteCommand, status: int, taken: bool
) -> None:
    python = write_command(command.LOWEST_PYTHON, f"exit {status}")
    assert command.find_python() == (str(python) if taken else sys.executable)


@pytest.mark.usefixtures("command_folder")
def test_without_the_lowest_python_the_one_that_runs_is_taken() -> None:
    assert command.find_python() == sys.executable
