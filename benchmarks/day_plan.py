"""The day of ``benchmarks.day``: what its visitors do and when, and the refreshes that it needs."""

import random
from itertools import pairwise
from typing import NamedTuple

LIFE_SECONDS = 20
# What visitors do, and for how many seconds they pause before, with weights.
KINDS = dict(link=48, search=12, post=14, bare=4, back=8, tab=5, reload=4, typed=5)  # noqa: C408
PAUSES = {(0.2, 3.0): 82, (3.0, 10.0): 11, (LIFE_SECONDS + 2.0, LIFE_SECONDS + 10.0): 7}
PLAIN = ("link", "search", "post")


class Step(NamedTuple):
    """What a visitor does."""

    kind: str
    pause: float  # seconds before it; for a form, in the middle of typing
    is_away: bool  # the visitor looks at another tab, or another site, in the meantime
    switches: bool  # it is done in the tab that was left first


def plan(seed: int, count: int) -> list[Step]:
    """Return the steps of one day."""
    chosen = random.Random(seed)  # noqa: S311 - no secret
    steps = []
    for _ in range(count):
        (kind,) = chosen.choices([*KINDS], [*KINDS.values()])
        (pause,) = chosen.choices([*PAUSES], [*PAUSES.values()])
        seconds, is_away, switches = chosen.uniform(*pause), chosen.random(), chosen.random()
        steps.append(Step(kind, seconds, seconds > LIFE_SECONDS and is_away < 0.5, switches < 0.06))
    return steps


def calls_by_rule(inputs: list[float], life: float, ahead: float) -> float:
    """Return how many refresh calls a visitor needs per token life of active time.

    An input, which opens the next page, refreshes a token with less than *ahead* seconds left.
    """
    calls, ends = 0, inputs[0] + life
    for at in inputs:
        if at >= ends - ahead:
            calls, ends = calls + 1, at + life
    return calls / lives(inputs, life)


def lives(inputs: list[float], life: float) -> float:
    """Return the active time in token lives: a visitor is active for a life after an input."""
    return sum(min(after - before, life) for before, after in pairwise(inputs)) / life
