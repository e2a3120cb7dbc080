"""Packed values: what they say in whatever order they came, and that they are the keys of nothing."""

from __future__ import annotations

import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import statsd_tcp
from statsd_tcp.aggregate.values import Values, joined, packed, values_of

NUMBERS = st.one_of(st.integers(-3, 3).map(float), st.floats(-1e9, 1e9))
ADDED = st.lists(
    st.tuples(st.lists(NUMBERS, max_size=5), st.integers(1, 3), st.sampled_from([1.0, 2.0, 10.0])), max_size=8
)


def together(added: list[tuple[list[float], int, float]]) -> Values:
    """Add all of it to one."""
    values = Values()
    for numbers, times, rate in added:
        values.add(packed(numbers), times, rate)
    return values


class ValuesTests(SynchronousTestCase):
    """Columns."""

    @given(ADDED)
    def test_counted(self, added: list[tuple[list[float], int, float]]) -> None:
        """Each different value is there once, in order, with how often it came and what it stands for."""
        rows = sorted((value, times, times * rate) for numbers, times, rate in added for value in numbers)
        counted = together(added).counted()
        different = sorted({value for value, _, _ in rows})
        self.assertEqual(list(counted.values), different)
        self.assertEqual(
            list(counted.counts), [sum(times for each, times, _ in rows if each == one) for one in different]
        )
        self.assertEqual(
            list(counted.weights), [sum(weight for each, _, weight in rows if each == one) for one in different]
        )
        self.assertEqual(together(added).events(), sum(weight for _, _, weight in rows))

    @given(ADDED, ADDED)
    def test_extended(
        self, one: list[tuple[list[float], int, float]], two: list[tuple[list[float], int, float]]
    ) -> None:
        """What one is extended by is as if it had come to that one, in whatever order, and stays as it is."""
        first, second = together(one), together(two)
        self.assertEqual(joined([first, second]), together(one + two))
        self.assertEqual(joined([second, first]), together(one + two))
        self.assertEqual((first, second), (together(one), together(two)))

    def test_multiplied(self) -> None:
        """A scale changes the values only."""
        self.assertEqual(together([([1.0, 2.0], 3, 10.0)]).times(2.0), together([([2.0, 4.0], 3, 10.0)]))

    def test_no_more_than_its_numbers(self) -> None:
        """Values that came once and stand for themselves take eight bytes each."""
        values = values_of(map(float, range(1000)))
        self.assertEqual((len(values), len(values.values), values.counts, values.rates), (1000, 8000, b"", b""))


class TableTests(SynchronousTestCase):
    """Hashes of numbers are not salted: who chooses the numbers chooses where they meet in a table."""

    def test_numbers_are_no_keys(self) -> None:
        """No table of the package has floats as its keys."""
        package = Path(statsd_tcp.__file__).parent
        table = re.compile(r"(?:dict|Mapping|set|Counter|frozenset)\[float\b")
        self.assertEqual([path for path in package.rglob("*.py") if table.search(path.read_text())], [])
