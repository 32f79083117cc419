"""The worst flood, measured from outside the flooded server."""

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
    # A fetch that hangs takes 3 s, but requests wait for it only in its first second.
    assert max(hanging.flooded) < 2.5
