"""The benchmarks run, and check each response that they time. Tests do not judge the figures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, g

from benchmarks.driving import Case, Spread, TimedRequest, always, environ, measure, run_batch
from benchmarks.sites import RIVALS, ours, site
from benchmarks.visitors import never_seen, sign
from flask_ssr_session.testing import SessionSigner

ROOT = Path(__file__).parents[1]
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
    rows = {row["name"]: row for row in figures["cases"]}
    bare = {"bare", "bare, static file"}

    assert bare | {"the RSA check alone", "ours, cold", "ours, warm", "ours, anonymous"} <= set(
        rows
    )
    assert {"supertokens get_session", "supertokens verify_session", "PyJWT", "joserfc"} <= set(
        rows
    )
    assert {name for name, row in rows.items() if "over_bare_us" not in row} == bare
    assert all(rows["ours, cold"][ratio] > 0 for ratio in RATIOS)
    assert figures["versions"]["PyJWT"]
    missing = {text.partition(" (")[0] for text in figures["missing"]}
    assert set(RIVALS) - set(rows) == missing


@pytest.mark.parametrize(
    ("module", "arguments", "figures"),
    [
        ("start", "--interpreters 1", "import_ms import_mib cold_ms cold_bare_ms"),
        ("lines", "--runs 1 --requests 2", "cold warm anonymous"),
        (
            "growth",
            "--quick --sessions 100 --rounds 2 --requests 8",
            "sessions keys size apps threads memory pauses",
        ),
    ],
)
def test_others_have_their_figures(
    tmp_path: Path, module: str, arguments: str, figures: str
) -> None:
    report = run(module, *arguments.split(), report=tmp_path / "report.json")
    assert all(report[name] for name in figures.split())


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [("200", b"ok", True), ("401", b"ok", False), ("200", b"user-1", False)],
    ids=["expected", "another status", "another body"],
)
def test_every_timed_response_is_checked(status: str, body: bytes, expected: bool) -> None:
    case = Case("site", site(lambda: "ok"), always(TimedRequest(environ(), status, body)), "site")
    if expected:
        assert run_batch(case, 2) > 0
    else:
        with pytest.raises(RuntimeError, match="site: 200 b'ok' is not what was expected"):
            run_batch(case, 2)


def test_error_in_a_view_ends_the_run() -> None:
    app = site(lambda: str(g.nothing))
    with pytest.raises(AttributeError):
        run_batch(Case("site", app, always(TimedRequest(environ())), "site"), 1)


def requested_in_turns(app: Flask, times: int) -> Iterator[str]:
    case = Case("cold", app, never_seen(app, sign(SessionSigner(), 2)), "cold")
    for _ in range(times):
        run_batch(case, 1)
        yield "cold"


def test_token_that_is_remembered_is_not_timed_as_a_new_one() -> None:
    assert list(requested_in_turns(our_app(), 2)) == ["cold", "cold"]
    with pytest.raises(RuntimeError, match="too few tokens"):
        list(requested_in_turns(our_app(), 3))


def test_overhead_is_taken_within_a_round() -> None:
    page = always(TimedRequest(environ()))
    cases = [Case("bare", site(lambda: "ok"), page, "bare")]
    cases.append(Case("other", site(lambda: "ok"), page, "bare"))
    timings = measure(cases, 3, 1)
    assert {name: len(values) for name, values in timings.by_name.items()} == {
        "bare": 3,
        "other": 3,
    }
    timings.by_name.update(bare=[1.0, 2.0, 9.0], other=[2.0, 4.0, 12.0])
    assert timings.overhead(cases[1]) == Spread(1.5, 2.0, 2.5)
    assert timings.total("other") == Spread(3.0, 4.0, 8.0)
