"""The day of ``benchmarks.day``: what its visitors do and when, and the refreshes that it needs."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import NamedTuple

LIFE_SECONDS = 20
# What visitors do, and for how many seconds they pause before, with weights.
KINDS = dict(link=48, search=12, post=14, bare=4, back=8, tab=5, reload=4, typed=5)  # noqa: C408
PAUSES = {(0.2, 3.0): 82, (3.0, 10.0): 11, (LIFE_SECONDS + 2.0, LIFE_SECONDS + 10.0): 7}
PLAIN = ("link", "search", "post")


class Step(NamedTuple):
    """What a visitor does.

    :ivar pause: seconds before it; for a form, in the middle of typing.
    :ivar is_away: the visitor looks at another tab, or another site, in the meantime.
    :ivar switches: it is done in the tab that was left first.
    """

    kind: str
    pause: float
    is_away: bool
    switches: bool


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


def calls_by_rule(inputs: list[float], life: float, ahead: float) -> int:
    """Return how many refresh calls a visitor needs: each input opens the next page.

    :param inputs: seconds.
    :param ahead: how many seconds before its end an input refreshes the token; 0: not before.
    """
    calls, ends = 0, inputs[0] + life
    for at in inputs:
        if at >= ends - ahead:
            calls, ends = calls + 1, at + life
    return calls


def lives(inputs: list[float], life: float) -> float:
    """Return the active time in token lives: a visitor is active for a life after an input."""
    return sum(min(after - before, life) for before, after in pairwise(inputs)) / life
