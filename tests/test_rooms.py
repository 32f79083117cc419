"""Decisions know no framework, and imports point one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "flask_ssr_session"

# Each may import what stands before it and nothing behind.
DECISION_MODULES = (
    "errors",
    "clock",
    "logs",
    "signals",
    "session",
    "claims",
    "global_claims",
    "requirements",
    "urls",
    "cookies",
    "config",
    "sdk",
    "tokens",
    "forms",
    "jwks",
    "fetching",
    "revocation",
    "keystore",
    "verdict",
    "answers",
    "cross_site",
    "cache_policy",
    "doctor",
    "doctor_claims",
    "doctor_cookies",
    "doctor_settings",
    "doctor_keys",
    "doctor_api",
    "doctor_policy",
    "doctor_pages",
    "doctor_token",
)

IMPORT_THEM_ALONE = f"""
import importlib, sys, types
package = types.ModuleType("flask_ssr_session")
package.__path__ = [{str(PACKAGE)!r}]
sys.modules["flask_ssr_session"] = package
for name in {DECISION_MODULES!r}:
    importlib.import_module("flask_ssr_session." + name)
roots = {{name.partition(".")[0] for name in sys.modules}}
sys.stdout.write(",".join(sorted(roots & {{"flask", "jinja2", "supertokens_python"}})))
"""


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports, those of this package with a dot in front."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level and module:
                found.add(f".{module}")
            elif node.level:
                found.update(f".{alias.name}" for alias in node.names)
            else:
                found.add(module.partition(".")[0])
    return found


@pytest.mark.parametrize("module", DECISION_MODULES)
def test_imports_point_one_way(module: str) -> None:
    imported = imports_of(PACKAGE / f"{module}.py")
    earlier = {f".{name}" for name in DECISION_MODULES[: DECISION_MODULES.index(module)]}

    assert {name for name in imported if name.startswith(".")} <= earlier
    assert not imported & {"flask", "jinja2", "flask_ssr_session", "supertokens_python"}


def test_decisions_load_no_framework_and_no_sdk() -> None:
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_THEM_ALONE], capture_output=True, text=True, check=True
    )

    assert result.stdout == ""


def test_package_does_not_import_its_test_helpers() -> None:
    importers = {
        path.stem
        for path in PACKAGE.glob("*.py")
        if imports_of(path) & {".testing", ".pytest_plugin"}
    }

    assert importers == {"pytest_plugin"}


@pytest.mark.parametrize("module", ["keystore", "fetching", "jwks", "revocation"])
def test_loading_a_module_starts_nothing(module: str) -> None:
    """No thread, lock or socket of an import may be carried over a fork."""
    statements = ast.parse((PACKAGE / f"{module}.py").read_text()).body
    called = {
        ast.unparse(node.func)
        for statement in statements
        if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.Expr))
        for node in ast.walk(statement)
        if isinstance(node, ast.Call)
    }

    assert called <= {"re.compile"}
