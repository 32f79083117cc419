"""Let visitors live a day on a site whose tokens last 20 seconds: ``python -m benchmarks.day``.

They click, type, search, post, go back, open tabs, reload, type addresses, leave and idle; a seed
fixes what they do and when, in real time. Both engines visit all sites at the same time, with the
real SDKs and a development core. ``--actions 200`` takes twelve minutes.
"""

import asyncio
import statistics
from collections.abc import Iterator
from itertools import accumulate

from playwright.async_api import async_playwright

from flask_ssr_session.dev_core import DevelopmentCore

from .browsers import LAUNCH, sites
from .day_plan import KINDS, LIFE_SECONDS, Step, calls_by_rule, lives, plan
from .day_visitor import Visitor
from .frame import THIS, parser, show

WRONG = ("never arrived", "another user", "stale", "lost entries", "forms that waited for a click")


def figures(visitor: Visitor, longer: list[float]) -> Iterator[tuple[str, str]]:
    """Yield the name and the cell of each row; *longer* are the inputs of a longer day."""
    counts, clicks = visitor.counts, visitor.clicks
    for kind in KINDS:
        yield f"refresh pages: {kind}", f"{counts[f'refresh pages: {kind}']} of {counts[kind]}"
    calls, stored = counts["calls"], counts["tokens"] - counts["sign-ins"]
    yield "refresh calls / tokens stored", f"{calls} / {stored}"
    yield "refresh calls / active lives", f"{calls / lives(visitor.inputs, LIFE_SECONDS):.2f}"
    for life, inputs in ((LIFE_SECONDS, visitor.inputs), (600, longer)):
        ahead = min(0.2 * life, 30) if visitor.site.startswith(THIS) else 0
        yield f"the same by the rule, {life} s", f"{calls_by_rule(inputs, life, ahead):.2f}"
    late = [click for click in clicks if click["left"] <= 0]
    calling = [click for click in late if click["call"] > 0]
    for row, times in {
        "click to content, good token, ms": [c["shown"] for c in clicks if c["left"] > 3000],
        "the same, expired token": [click["shown"] for click in late],
        "... without the refresh call": [click["shown"] - click["call"] for click in calling],
        "the refresh call": [click["call"] for click in calling],
        "the SDK's lock": [click["lock"] for click in late if click["lock"] > 0],
    }.items():
        yield row, f"{statistics.median(times):.0f} ({len(times)})" if times else "-"
    for row in (*WRONG, "thefts"):
        yield row, str(counts[row])
    yield "sign-outs", str(counts["sign-ins"] - 1)


async def visit(origins: dict[str, str], steps: list[Step]) -> list[Visitor]:
    """Let all visitors live their day at the same time."""
    async with async_playwright() as playwright:
        visitors = []
        for engine, launch in LAUNCH.items():
            browser = await launch(playwright)
            for name, origin in origins.items():
                visitors.append(Visitor(name, engine, await browser.new_context(), origin))
        await asyncio.gather(*(visitor.live(steps) for visitor in visitors))
    return visitors


def main() -> None:
    chosen = parser("day", __doc__, actions=30, seed=17).parse_args()
    steps = plan(chosen.seed, chosen.actions)
    with (
        DevelopmentCore(access_token_validity_seconds=LIFE_SECONDS) as core,
        sites(core.uri, chosen.revision, ["inline", "redirect"]) as origins,
    ):
        visitors = asyncio.run(visit(origins, steps))
    longer = [*accumulate(step.pause for step in plan(chosen.seed, 30 * chosen.actions))]
    for engine in LAUNCH:
        these = [visitor for visitor in visitors if visitor.engine == engine]
        show(engine, {each.site: dict(figures(each, longer)) for each in these})


if __name__ == "__main__":
    main()
