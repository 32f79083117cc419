"""The benchmarks run, and check each response that they time. Tests do not judge the figures."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from benchmarks.driving import Case, TimedRequest, always, environ, run_batch
from benchmarks.sites import RIVALS, ours, site
from benchmarks.visitors import never_seen, sign
from flask_ssr_session.testing import SessionSigner
from tests.tables import rows

ROOT = Path(__file__).parents[1]
GROWTH = "--quick --sessions 100 --rounds 2 --requests 8"
RATIOS = ("supertokens get_session / this", "supertokens verify_session / this")


def run(module: str, *arguments: str, report: Path) -> dict[str, Any]:
    """Run a benchmark as a user does, and return its report."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments, "--json", str(report)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return figures


def our_app() -> Flask:
    jwks = {"keys": [SessionSigner().jwk()]}
    return ours(api_domain="https://api.example.com", jwks=jwks)


def test_hook_is_measured_beside_its_bounds_and_what_is_installed(tmp_path: Path) -> None:
    figures = run("hook", "--quick", "--rounds", "2", "--batch", "2", report=tmp_path / "hook.json")
    cases = {row["name"]: row for row in figures["cases"]}
    bounds = {"bare", "bare, static file", "the RSA check alone"}
    assert bounds | {"ours, cold", "ours, warm", "ours, anonymous"} <= set(cases)
    assert all(cases["ours, cold"][ratio] > 0 for ratio in RATIOS)
    missing = {text.partition(" (")[0] for text in figures["missing"]}
    assert set(RIVALS) - set(cases) == missing


FIGURES: dict[str, Any] = {
    "the start": ("start", "--interpreters 1", "import_ms import_mib cold_ms cold_bare_ms"),
    "the lines": ("lines", "--runs 1 --requests 2", "cold warm anonymous"),
    "the growth": ("growth", GROWTH, "sessions keys size apps threads memory pauses"),
}


@rows("module, arguments, figures", FIGURES)
def test_others_have_their_figures(
    tmp_path: Path, module: str, arguments: str, figures: str
) -> None:
    report = run(module, *arguments.split(), report=tmp_path / "report.json")
    assert all(report[name] for name in figures.split())


RESPONSES: dict[str, Any] = {
    "as expected": ("200", b"ok", True),
    "another status": ("401", b"ok", False),
    "another body": ("200", b"user-1", False),
}


@rows("status, body, expected", RESPONSES)
def test_every_timed_response_is_checked(status: str, body: bytes, expected: bool) -> None:
    case = Case("site", site(lambda: "ok"), always(TimedRequest(environ(), status, body)), "site")
    with nullcontext() if expected else pytest.raises(RuntimeError, match="is not what was exp"):
        assert run_batch(case, 2) > 0


def test_token_that_is_remembered_is_not_timed_as_a_new_one() -> None:
    app = our_app()
    case = Case("cold", app, never_seen(app, sign(SessionSigner(), 2)), "cold")
    assert all(run_batch(case, 1) > 0 for _ in range(2))
    with pytest.raises(RuntimeError, match="too few tokens"):
        run_batch(case, 1)
