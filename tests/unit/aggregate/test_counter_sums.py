"""The sums of counters: exact, whatever is added in whatever order, and the same in C, in Python and from a journal."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.counter_sums import CounterSums, Fall, product, reduced
from statsd_tcp.aggregate.sums import BUILT, NewSums, new_sums
from statsd_tcp.aggregate.tally import Tally
from statsd_tcp.wire.grammar import Grammar

NUMBERS = st.one_of(
    st.sampled_from([1e300, -1e300, 1.0, 1e16, -1e16, 2.0**53, 0.1, -0.1, 1e-300, 0.0]),
    st.integers(-(1 << 53), 1 << 53).map(float),
    st.floats(-1e300, 1e300),
)
ADDED = st.lists(st.tuples(NUMBERS, st.integers(1, 1 << 20)), max_size=50)


def sums_of(added: list[tuple[float, int]]) -> tuple[float, Fall]:
    """Add numbers, each a number of times, and return the rises and the falls."""
    sums = CounterSums()
    for number, times in added:
        sums.add("c", number, times)
    rises, falls = sums.take()
    return rises.get("c", 0.0), falls.get("c", Fall(0.0, 0))


def change_of(added: list[tuple[float, int]]) -> float:
    """Add numbers, each a number of times, and return what they are together."""
    rises, fall = sums_of(added)
    return fall.change(rises)


def exactly(added: list[tuple[float, int]]) -> Fraction:
    """Add up with fractions."""
    return sum((Fraction(number) * times for number, times in added), Fraction())


class ExactTests(SynchronousTestCase):
    """Numbers of all sizes."""

    def test_huge_numbers_cancel(self) -> None:
        """What is left when huge numbers have cancelled each other is there."""
        self.assertEqual(change_of([(1e300, 1), (1.0, 1), (-1e300, 1)]), 1.0)
        self.assertEqual(change_of([(1e16, 1), (1.0, 3), (-1e16, 1)]), 3.0)
        self.assertEqual(change_of([(1e300, 1), (1.0, 1), (1e-9, 1), (-1.0, 1), (-1e300, 1)]), 1e-9)
        self.assertEqual(change_of([(2.0**53, 1), (1.0, 1), (1.0, 1)]), 2.0**53 + 2)

    @given(ADDED)
    def test_nearest(self, added: list[tuple[float, int]]) -> None:
        """Rises and falls are each the double that is nearest to the true sum, in every order, and falls are counted.

        Both together are as near to the true change as one rounding more.
        """
        rising = [(number, times) for number, times in added if number >= 0.0]
        falling = [(number, times) for number, times in added if number < 0.0]
        for order in (added, added[::-1], rising + falling):
            rises, fall = sums_of(order)
            self.assertEqual((rises, fall.amount), (float(exactly(rising)), float(exactly(falling))))
            self.assertEqual(fall.lines, sum(times for _, times in falling))
            change = float(exactly(added))
            self.assertLessEqual(abs(Fraction(fall.change(rises)) - exactly(added)), Fraction(math.ulp(change)))

    def test_rises_and_falls(self) -> None:
        """What goes down takes nothing away from what goes up, and a counter that only fell went up by nothing."""
        self.assertEqual(sums_of([(10.0, 1), (-3.0, 1), (10.0, 1), (-3.0, 1)]), (20.0, Fall(-6.0, 2)))
        self.assertEqual(sums_of([(-150.0, 1), (100.0, 1)]), (100.0, Fall(-150.0, 1)))
        self.assertEqual(sums_of([(-0.5, 3)]), (0.0, Fall(-1.5, 3)))
        self.assertEqual(sums_of([(-0.0, 3)]), (0.0, Fall(0.0, 0)))

    @given(st.lists(NUMBERS, max_size=60))
    def test_reduced(self, numbers: list[float]) -> None:
        """Many numbers become few that have exactly their sum."""
        few = reduced(numbers)
        self.assertEqual(sum(map(Fraction, few)), sum(map(Fraction, numbers)))
        self.assertLessEqual(len(few), 45)

    @given(NUMBERS.filter(lambda number: number == 0 or abs(number) > 1e-290), st.integers(1, (1 << 26) - 1))
    def test_product(self, number: float, times: int) -> None:
        """A number many times is exactly two numbers."""
        self.assertEqual(sum(map(Fraction, product(number, times))), Fraction(number) * times)

    def test_few_addends_are_kept(self) -> None:
        """However many fractions come, few numbers are kept of a series."""
        sums = CounterSums()
        for number in range(10_000):
            sums.add("c", number * 0.1)
        self.assertLess(len(sums._parts["c"]), 64)
        self.assertEqual(sums.take()[0], {"c": float(sum(Fraction(number * 0.1) for number in range(10_000)))})
        self.assertEqual(sums.take(), ({}, {}))


def decimals() -> st.SearchStrategy[bytes]:
    """Numbers as the part in C reads them, and others."""
    written = st.one_of(
        st.integers(0, 10**15).map(str),
        st.decimals(0, 10**9, places=6).map(lambda number: format(number, "f")),
        st.sampled_from(
            ["0.00000000000001", "9007199254740992", "-9007199254740992", "-0.1", "1e15", "999999999999999"]
        ),
    )
    return written.map(str.encode)


class OneAlgorithmTests(SynchronousTestCase):
    """The same lines through C, through Python, and as a journal is read."""

    if not BUILT:
        skip = "the parts in C were not built"

    def counters(self, chunks: list[bytes], sums: NewSums | None) -> tuple[dict[str, float], dict[str, Fall]]:
        """Count chunks."""
        tally = Tally([("a", Grammar())], new_sums=sums)
        tally.add(0, b"a:1|c\nb:1|c|@0.3\n", 1)
        tally.take()
        for chunk in chunks:
            tally.add(0, chunk, 1)
            tally._listeners[0].split()
        interval = tally.take()
        return interval.counters, interval.falls

    @given(st.lists(st.tuples(st.sampled_from([b"a:%s|c\n", b"b:%s|c|@0.3\n", b"a:%s|c|@0.7\n"]), decimals())))
    def test_to_the_last_bit(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Both give the same, however the lines are cut and ordered."""
        lines = [shape % number for shape, number in pairs]
        expected = self.counters(lines, None)
        for sums in (None, partial(new_sums, 1)):
            self.assertEqual(self.counters(lines, sums), expected)
            self.assertEqual(self.counters([b"".join(reversed(lines))] if lines else [], sums), expected)
