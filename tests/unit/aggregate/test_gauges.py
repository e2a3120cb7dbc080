"""Tests of what happens to a gauge."""

from __future__ import annotations

from functools import reduce

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.gauges import MOST_CHANGES, Change, append_change, apply_changes, merge_changes

CHANGES = st.tuples(st.integers(0, 5), st.booleans(), st.integers(-9, 9).map(float))
ORDERED = st.lists(CHANGES, max_size=8).map(lambda changes: sorted(changes, key=lambda change: change[0]))


def history(changes: list[Change]) -> list[Change]:
    """Return what one process makes of changes in the order of time."""
    result: list[Change] = []
    for change in changes:
        append_change(result, change)
    return result


HISTORIES = ORDERED.map(history)


class AppendChangeTests(SynchronousTestCase):
    """Changes in one process."""

    def test_setting_drops(self) -> None:
        """A setting drops whatever came before it."""
        self.assertEqual(history([(1, False, 5.0), (2, True, 1.0), (3, False, 7.0)]), [(3, False, 7.0)])

    def test_setting_drops_at_the_same_tick(self) -> None:
        """That is so within one tick, in which the order of the lines counts."""
        self.assertEqual(history([(1, True, 1.0), (1, False, 7.0)]), [(1, False, 7.0)])

    def test_same_tick_adds_up(self) -> None:
        """Relative changes of one tick are one change."""
        self.assertEqual(history([(1, True, 1.0), (1, True, 2.0), (2, True, 4.0)]), [(1, True, 3.0), (2, True, 4.0)])

    def test_change_after_setting(self) -> None:
        """A relative change stays apart from the setting before it, even in one tick."""
        self.assertEqual(history([(1, False, 5.0), (1, True, 2.0)]), [(1, False, 5.0), (1, True, 2.0)])

    def test_bound(self) -> None:
        """However often a gauge is changed, few changes are kept, which come to the same and stay in their order."""
        for first in (False, True):
            changes: list[Change] = [(tick, first or tick > 0, 1.0) for tick in range(10 * MOST_CHANGES + 1)]
            kept = history(changes)
            self.assertLessEqual(len(kept), MOST_CHANGES)
            self.assertEqual(apply_changes(5.0, 0, kept), apply_changes(5.0, 0, changes))
            self.assertEqual((sorted(kept), first), (kept, kept[0][1]))
            cut = [apply_changes(0.0, 0, merge_changes(each, [(5000, False, 0.0)]))[0] for each in (kept, changes)]
            self.assertLess(abs(cut[0] - cut[1]), 10 * MOST_CHANGES / 400)

    @given(ORDERED, st.integers(-9, 9))
    def test_same_result(self, changes: list[Change], value: int) -> None:
        """What is kept has the same effect as all the changes one by one."""
        self.assertEqual(apply_changes(value, 0, history(changes)), apply_changes(value, 0, changes))


class ApplyChangesTests(SynchronousTestCase):
    """Changes put to a value."""

    def test_table(self) -> None:
        """The value and the tick of its last setting, for a gauge of 10 that was set at tick 5."""
        table: list[tuple[list[Change], tuple[float, float]]] = [
            ([], (10.0, 5)),
            ([(7, True, 2.0)], (12.0, 5)),
            ([(7, False, 2.0), (8, True, 1.0)], (3.0, 7)),
            ([(5, True, -4.0)], (6.0, 5)),
            ([(4, False, 99.0)], (10.0, 5)),
            ([(4, True, 99.0), (6, True, 1.0)], (11.0, 5)),
            ([(4, False, 99.0), (6, True, 1.0)], (11.0, 5)),
        ]
        for changes, wanted in table:
            self.assertEqual(wanted, apply_changes(10.0, 5, changes), changes)


class MergeChangesTests(SynchronousTestCase):
    """Changes in several processes."""

    def test_by_time(self) -> None:
        """The order is that of the ticks, whichever process they come from."""
        one: list[Change] = [(1, False, 5.0), (4, True, 1.0)]
        other: list[Change] = [(2, True, 10.0), (3, True, 20.0)]
        merged = merge_changes(one, other)
        self.assertEqual(merged, [(1, False, 5.0), (2, True, 10.0), (3, True, 20.0), (4, True, 1.0)])
        self.assertEqual(apply_changes(0.0, 0, merged), (36.0, 1))

    def test_setting_of_another(self) -> None:
        """A setting drops what other processes did before it, and only that."""
        self.assertEqual(
            merge_changes([(1, False, 5.0), (4, True, 1.0)], [(3, False, 9.0)]), [(3, False, 9.0), (4, True, 1.0)]
        )

    def test_nothing_is_changed(self) -> None:
        """Both lists stay as they are."""
        one: list[Change] = [(1, True, 1.0)]
        other: list[Change] = [(1, True, 2.0)]
        self.assertEqual(merge_changes(one, other), [(1, True, 3.0)])
        self.assertEqual((one, other), ([(1, True, 1.0)], [(1, True, 2.0)]))

    @given(HISTORIES, HISTORIES)
    def test_commutative(self, one: list[Change], other: list[Change]) -> None:
        """It makes no difference which list is first, even where ticks are equal."""
        self.assertEqual(merge_changes(one, other), merge_changes(other, one))

    @given(HISTORIES, HISTORIES, HISTORIES)
    def test_associative(self, one: list[Change], two: list[Change], three: list[Change]) -> None:
        """It makes no difference which lists are merged first, even where ticks are equal."""
        self.assertEqual(merge_changes(merge_changes(one, two), three), merge_changes(one, merge_changes(two, three)))

    @given(st.lists(st.tuples(st.booleans(), st.integers(-9, 9), st.integers(0, 2)), max_size=10))
    def test_as_one_process(self, events: list[tuple[bool, int, int]]) -> None:
        """What three processes saw at different ticks is merged into what one would have seen."""
        workers: list[list[Change]] = [[], [], []]
        alone: list[Change] = []
        for tick, (relative, value, worker) in enumerate(events):
            append_change(workers[worker], (tick, relative, float(value)))
            append_change(alone, (tick, relative, float(value)))
        self.assertEqual(reduce(merge_changes, workers), alone)
