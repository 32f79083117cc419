"""The worst of the floods, measured from outside of the server that it hits."""

from __future__ import annotations

from statistics import median

from ..floods import YARDSTICK, measure


def test_flood_with_a_hanging_key_server_costs_users_its_first_second_at_most() -> None:
    yardstick, hanging = measure(YARDSTICK, 1), measure("hanging", 2)

    for figures in (yardstick, hanging):
        assert figures.are_good
        assert sum(figures.statuses.values()) > 50
        assert len(figures.flooded) > 10
    assert (yardstick.fetches, hanging.fetches) == (0, 1)
    assert median(hanging.flooded) < 10 * median(yardstick.flooded)
    # A fetch that hangs takes 3 s: requests wait for it in its first second only.
    assert max(hanging.flooded) < 2.5
