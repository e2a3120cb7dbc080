"""The accounts of the fleet's clients."""

from __future__ import annotations

import pytest

from tests.fleet.records import AROUND, Account, Visit
from tests.torture.books import Death

KILL = Death("a node", 100.0, 110.0)


@pytest.mark.parametrize(
    "visit, account",
    [
        (Visit(105.0, 106.0, True, ""), (1, 0)),
        (Visit(50.0, 51.0, True, ""), (1, 0)),
        (Visit(105.0, 106.0, False, "reset"), (0, 1)),
        (Visit(90.0, 100.0 - AROUND, False, ""), (0, 1)),
        (Visit(110.0 + AROUND, 200.0, False, ""), (0, 1)),
        (Visit(90.0, 130.0, False, "time-out"), (0, 1)),
    ],
)
def test_a_visit_without_a_word_is_in_doubt_around_a_kill(visit: Visit, account: tuple[int, int]) -> None:
    """A visit is sure with `ok`, and in doubt without it from two seconds before a kill to two seconds after it."""
    assert Account.of([visit], [KILL])[:2] == account


@pytest.mark.parametrize("began", [97.9, 112.1])
def test_a_visit_without_a_word_far_from_kills_is_lost(began: float) -> None:
    """A visit that nothing explains is lost, whatever its error is."""
    visit = Visit(began, began, False, "")
    assert Account.of([visit], [KILL]) == (0, 0, [visit])
