"""How names that several families want are found."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from unittest import mock

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.mapping.shown import Family, is_reserved, shown_name
from statsd_tcp.series import contests
from statsd_tcp.series.changes import placed
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.contests import Contests
from statsd_tcp.series.ids import number
from statsd_tcp.series.owners import Candidate, Owner
from statsd_tcp.series.plan import WIDTHS, SeriesPlan, positions_of
from statsd_tcp.store.kinds import SERIES_KINDS

Series = tuple[str, str]
"""A kind and an identity."""


class Series5:
    """Columns of all kinds, and what is found in them."""

    def __init__(self, suffix: str = "", owners: Iterable[str] = ()) -> None:
        self.columns = [SeriesColumns(kind) for kind in SERIES_KINDS]
        self.contests = Contests(self.columns, suffix, dict.fromkeys(owners, Owner(Family("", "c"))))
        self._suffix = suffix
        self._next_id = 1
        self._now = 0.0

    def come(self, *series: Series) -> None:
        """Have something come for series, in one commit."""
        self._now += 1
        for columns in self.columns:
            here = [identity for kind, identity in series if kind == columns.kind]
            plan = placed(columns, SeriesPlan(), here, *[np.ones(len(here))] * WIDTHS[columns.kind])
            number([(columns.kind, plan)], (), self._next_id)
            columns.apply(plan, self._now)
            self._next_id += len(plan.fresh.identities)

    def go(self, *series: Series) -> None:
        """Have series end."""
        for columns in self.columns:
            here = {name for kind, name in series if kind == columns.kind}
            gone = [columns.positions[name] for name in here & columns.positions.keys()]
            columns.apply(SeriesPlan(expired=positions_of(sorted(gone))), self._now)

    def found(self, most: int = 100, owners: Iterable[str] = ()) -> dict[Family, list[int]]:
        """Look at everything, and return the families that are in a conflict, with their series."""
        while True:
            while not self.contests.look(most):
                pass
            candidates = self.contests.candidates()
            if not self.contests.settle(candidates, list(owners)):
                return {each.family: list(self.contests._members[each.family]) for each in self._contested(candidates)}

    def expected(self) -> dict[Family, list[int]]:
        """Return the same by looking at everything at once."""
        families: dict[Family, list[int]] = defaultdict(list)
        for columns in self.columns:
            for series_id, identity in zip(*columns.newer_than(0, 1000), strict=True):
                name = shown_name(columns.kind, identity, self._suffix)
                if not is_reserved(name):
                    families[Family(name, columns.kind)].append(series_id)
        several = {one for one in families for other in families if one != other and set(one.names) & set(other.names)}
        return {family: families[family] for family in several}

    def _contested(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        found = list(candidates)
        return [
            each
            for each in found
            if any(each is not other and set(each.family.names) & set(other.family.names) for other in found)
        ]


class FindingTests(SynchronousTestCase):
    """What is found."""

    def test_types(self) -> None:
        """Families of one name are found with all their series, wherever these are; others are not."""
        series = Series5()
        series.come(("c", "q.d"), ("c", "other"), ("g", "q_d\nk\nv"), ("c", "q_d\nk\nw"))
        self.assertEqual(series.found(), {Family("q_d", "c"): [1, 3], Family("q_d", "g"): [4]})
        series.come(("c", "q/d"))
        self.assertEqual(series.found()[Family("q_d", "c")], [1, 3, 5])

    def test_facts(self) -> None:
        """A candidate is as old as its first series, and as recent as its latest; several commits make it lasting."""
        series = Series5()
        series.come(("c", "q.d"), ("g", "q_d"))
        series.come(("c", "q_d"))
        series.come(("g", "q.d"), ("ms", "q.d"), ("ms", "q_d"))
        series.found()
        series.go(("g", "q_d"))
        found = [each[1:] for each in sorted(series.contests.candidates())]
        self.assertEqual(found, [(1, 2.0, True, "q.d"), (4, 3.0, False, "q.d"), (5, 3.0, False, "q.d")])
        series.come(("g", "q.d"))
        self.assertTrue(min(each for each in series.contests.candidates() if each.family.kind == "g").lasting)

    def test_reserved(self) -> None:
        """What cannot be shown has no conflicts."""
        series = Series5()
        series.come(("c", "process.open.fds"), ("g", "process.open.fds"))
        self.assertEqual(series.found(), {})

    def test_owned(self) -> None:
        """A name that has an owner is looked for from the start, and for as long as it has one."""
        series = Series5(owners=["q"])
        series.come(("c", "q"))
        self.assertTrue(series.contests.look(100))
        self.assertEqual([each.family for each in series.contests.candidates()], [Family("q", "c")])
        series.contests.settle(series.contests.candidates(), ["q"])
        self.assertEqual([each.family for each in series.contests.candidates()], [Family("q", "c")])
        series.contests.settle(series.contests.candidates(), [])
        self.assertEqual(series.contests.candidates(), [])

    def test_too_many(self) -> None:
        """Of more names than are considered the first ones are."""
        series = Series5()
        with mock.patch.object(contests, "MOST_NAMES", 5):
            series.come(*((kind, f"q{number}") for number in range(20) for kind in "cg"))
            self.assertEqual(len(series.found()), 10)

    def test_names_that_came_and_went(self) -> None:
        """What is remembered of names without series is limited."""
        series = Series5()
        with mock.patch.object(contests, "_STALE", 10):
            for number in range(100):
                series.come(("c", f"q{number}"))
                series.found()
                series.go(("c", f"q{number}"))
                self.assertLessEqual(len(series.contests._kinds), 12)


NAMES = st.sampled_from(["a", "a.b", "a_b", "a.count", "a_sum", "a_count_sum", "a.total", "a_b\nk\nv"])
SOME = st.lists(st.tuples(st.sampled_from(SERIES_KINDS), NAMES), max_size=4)
STEPS = st.lists(st.tuples(SOME, SOME, st.integers(1, 4), st.booleans()), max_size=12)


class AnySeriesTests(SynchronousTestCase):
    """Whatever comes and goes."""

    @given(STEPS, st.sampled_from(["", "_total"]))
    def test_all_conflicts_are_found(
        self, steps: list[tuple[list[Series], list[Series], int, bool]], suffix: str
    ) -> None:
        """What is found in steps is what is there."""
        series = Series5(suffix)
        for come, gone, most, look in steps:
            series.come(*come)
            series.go(*gone)
            if look:
                self.assertEqual(series.found(most), series.expected())
