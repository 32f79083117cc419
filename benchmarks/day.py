"""Let visitors live a day on a site whose tokens last 20 seconds: ``python -m benchmarks.day``.

They click, type, search, post, go back, open tabs, reload, type addresses, leave and idle. A seed
fixes what each of them does and when, in real time. Both engines visit all rivals at the same time,
with the real SDKs and a development core: this package, other revisions of it, and pages written by
hand with the SDK alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright

from flask_ssr_session.dev_core import DevelopmentCore
from tests.browser.conftest import build_bare_sdk, launch_chromium, launch_firefox, served

from .day_plan import KINDS, LIFE_SECONDS, calls_by_rule, lives, plan
from .day_visitor import Visitor, say

ROOT = Path(__file__).resolve().parents[1]
BY_HAND = "by hand"
RELEASED = "9b044de"  # version 0.1.0
LAUNCH: dict[str, Any] = {"chromium": launch_chromium, "firefox": launch_firefox}

PROBLEMS = (
    "never arrived",
    "another user",
    "stale",
    "lost entries",
    "forms sent twice",
    "forms that waited for a click",
    "thefts",
)

Column = dict[str, str]


def install(revision: str, folder: Path) -> Path:
    """Install a revision of this package, without what it depends on; returns the folder."""
    source = f"git+file://{ROOT}@{revision}"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target"]
    subprocess.run([*command, str(folder), source], check=True)  # noqa: S603 - our own
    return folder


def median(values: list[float]) -> str:
    """Return the median and how many there are."""
    return f"{statistics.median(values):.0f} ({len(values)})" if values else "-"


def column_of(visitor: Visitor, longer: list[float]) -> Column:
    """Return the figures of one visitor by the name of their row.

    :param longer: the seconds at which one acts who makes pauses of the same length for longer.
    """
    counts, column = visitor.counts, {}
    for kind in KINDS:
        column[f"refresh pages: {kind}"] = f"{counts[f'refresh pages: {kind}']} of {counts[kind]}"
    calls, stored = counts["calls"], counts["tokens"] - counts["sign-ins"]
    column["refresh calls / tokens stored"] = f"{calls} / {stored}"
    ratio = calls / lives(visitor.inputs, LIFE_SECONDS)
    column["refresh calls / active token lives"] = f"{ratio:.2f}"
    for life, inputs in ((LIFE_SECONDS, visitor.inputs), (600, longer)):
        ahead = min(0.2 * life, 30) if visitor.rival.startswith("ours") else 0
        by_rule = calls_by_rule(inputs, life, ahead) / lives(inputs, life)
        column[f"the same by the rule, {life} s"] = f"{by_rule:.2f}"
    good = [click.shown for click in visitor.clicks if click.left > 3000]
    late = [click for click in visitor.clicks if click.left <= 0]
    calling = [(click.shown, click.call) for click in late if click.call is not None]
    column["click to content, good token, ms"] = median(good)
    column["the same, expired token"] = median([click.shown for click in late])
    column["... without the refresh call"] = median([shown - call for shown, call in calling])
    column["the refresh call"] = median([call for _, call in calling])
    column["the lock, from the SDK's first look"] = median([c.lock for c in late if c.lock])
    for row in PROBLEMS:
        column[row] = str(counts[row])
    column["sign-outs"] = str(counts["sign-ins"] - 1)
    return column


def table(engine: str, columns: dict[str, Column]) -> Iterator[str]:
    """Yield the lines of one engine."""
    yield f"{engine:<36}" + "".join(f"{name:>20}" for name in columns)
    for row in next(iter(columns.values())):
        yield f"{row:<36}" + "".join(f"{column[row]:>20}" for column in columns.values())


async def visit(
    sites: dict[str, str], engines: list[str], count: int, seed: int
) -> dict[str, dict[str, Column]]:
    """Let all visitors live their day at the same time."""
    steps = plan(seed, count)
    longer = [*accumulate(step.pause for step in plan(seed, 30 * count))]
    found: dict[str, dict[str, Column]] = {}
    async with async_playwright() as playwright:
        visitors = []
        for engine in engines:
            browser: Browser = await LAUNCH[engine](playwright)
            for name, origin in sites.items():
                context = await browser.new_context()
                visitors.append(Visitor(name, engine, context, origin))
        await asyncio.gather(*(visitor.live(steps) for visitor in visitors))
    for visitor in visitors:
        found.setdefault(visitor.engine, {})[visitor.rival] = column_of(visitor, longer)
    return found


def main() -> None:
    """Print one table per engine."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.day", description=__doc__)
    parser.add_argument("--actions", type=int, default=200, help="default: 200")
    parser.add_argument("--seed", type=int, default=17, help="default: 17")
    parser.add_argument("--engine", nargs="*", choices=list(LAUNCH), default=list(LAUNCH))
    parser.add_argument("--flow", nargs="*", default=["inline", "redirect"])
    parser.add_argument(
        "--revision", nargs="*", default=[RELEASED], help=f"of git, default: {RELEASED}, 0.1.0"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        core = stack.enter_context(DevelopmentCore(access_token_validity_seconds=LIFE_SECONDS))
        environment = {"BARE_SDK": str(build_bare_sdk(folder / "frontend"))}
        rivals: dict[str, tuple[str, ...]] = {}
        for flow in options.flow:
            rivals[f"ours, {flow}"] = ("--flow", flow)
            for revision in options.revision:
                package = folder / revision
                if not package.exists():
                    install(revision, package)
                rivals[f"{revision}, {flow}"] = ("--flow", flow, "--package", str(package))
        rivals[BY_HAND] = ("--by-hand",)
        sites = {
            name: stack.enter_context(
                served(
                    core.uri,
                    module="benchmarks.day_site",
                    arguments=arguments,
                    environment=environment,
                )
            )
            for name, arguments in rivals.items()
        }
        say(f"load before: {os.getloadavg()}")
        found = asyncio.run(visit(sites, options.engine, options.actions, options.seed))
        say(f"load after: {os.getloadavg()}")
    for engine, columns in found.items():
        for line in table(engine, columns):
            print(line)  # noqa: T201
    if options.json:
        options.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
