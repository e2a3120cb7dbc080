"""Tests of intervals and of merging them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.encoding import decode, encode
from statsd_tcp.aggregate.firsts import First
from statsd_tcp.aggregate.interval import Interval, ListenerCounts, merge
from tests.unit.aggregate.model import Chunk, came, chunks, expected


class MergeTests(SynchronousTestCase):
    """Several workers' intervals."""

    def test_every_field(self) -> None:
        """Every field adds up in its own way."""
        one = Interval(
            listeners={"a": ListenerCounts(1, 2, 3, 4)},
            samples={"c": 1},
            bad_lines={"truncated": 2},
            bad_tags=1,
            events=2,
            service_checks=3,
            counters={"x": 1.5, "z": 0.0},
            gauges={"g": [(1, False, 5.0)]},
            times={"t": came({1.0: 2.0})},
            distributions={"d": came({1.0: 4.0})},
            sets={"s": {"m"}},
            falls={"z": Fall(-1.0, 2)},
            met=[First(1, 0, "counters", "x"), First(9, 1, "gauges", "g")],
        )
        two = Interval(
            listeners={"a": ListenerCounts(10, 20, 30, 40), "b": ListenerCounts(1, 1, 1, 1)},
            samples={"c": 2, "g": 1},
            bad_lines={"not_utf8": 1},
            bad_tags=10,
            events=20,
            service_checks=30,
            counters={"x": 2.0, "y": 0.0, "z": 5.0},
            gauges={"g": [(2, True, 1.0)]},
            times={"t": came({1.0: 1.0, 2.0: 1.0})},
            distributions={"e": came({1.0: 1.0})},
            sets={"s": {"n"}, "u": {"m"}},
            falls={"z": Fall(-1.5, 1, 0.25), "y": Fall(-1.0, 1)},
            met=[First(2, 0, "counters", "x"), First(9, 0, "times", "t")],
        )
        both = Interval(
            listeners={"a": ListenerCounts(11, 22, 33, 44), "b": ListenerCounts(1, 1, 1, 1)},
            samples={"c": 3, "g": 1},
            bad_lines={"truncated": 2, "not_utf8": 1},
            bad_tags=11,
            events=22,
            service_checks=33,
            counters={"x": 3.5, "y": 0.0, "z": 5.0},
            gauges={"g": [(1, False, 5.0), (2, True, 1.0)]},
            times={"t": came({1.0: 3.0, 2.0: 1.0})},
            distributions={"d": came({1.0: 4.0}), "e": came({1.0: 1.0})},
            sets={"s": {"m", "n"}, "u": {"m"}},
            falls={"z": Fall(-2.5, 3, 0.25), "y": Fall(-1.0, 1)},
            met=[
                First(1, 0, "counters", "x"),
                First(2, 0, "counters", "x"),
                First(9, 0, "times", "t"),
                First(9, 1, "gauges", "g"),
            ],
        )
        self.assertEqual(merge([one, two]), both)

    def test_nothing(self) -> None:
        """No intervals make an empty one, and an empty one adds nothing."""
        self.assertTrue(merge([]).is_empty())
        one = Interval(counters={"x": 1.0})
        self.assertFalse(one.is_empty())
        self.assertEqual(merge([Interval(), one, Interval()]), one)

    def test_shares_nothing(self) -> None:
        """What is merged stays as it is, whatever happens to the sum."""
        one = expected([Chunk(0, [b"a:1|c", b"g:1|g", b"t:1|ms", b"d:1|h", b"s:m|s", b"x"], 1)])
        before = decode(encode(one))
        total = merge([one])
        total.add(expected([Chunk(0, [b"a:1|c", b"g:+1|g", b"t:1|ms", b"d:1|h", b"s:n|s", b"x"], 2)]))
        self.assertEqual(one, before)
        self.assertNotEqual(total, before)

    def test_whole_numbers_are_exact(self) -> None:
        """Whole numbers add up exactly to 2**53."""
        most = 2.0**53
        parts = [Interval(counters={"x": 1.0}), Interval(counters={"x": most - 2})]
        self.assertEqual(merge([*parts, Interval(counters={"x": 1.0})]).counters["x"], most)

    @given(chunks(), chunks())
    def test_commutative(self, one: list[Chunk], two: list[Chunk]) -> None:
        """The order of merging makes no difference."""
        intervals = [expected(one), expected(two)]
        self.assertEqual(merge(intervals), merge(reversed(intervals)))

    @given(chunks(), chunks(), chunks())
    def test_associative(self, one: list[Chunk], two: list[Chunk], three: list[Chunk]) -> None:
        """The grouping makes no difference."""
        a, b, c = expected(one), expected(two), expected(three)
        self.assertEqual(merge([merge([a, b]), c]), merge([a, merge([b, c])]))

    @given(chunks(), st.lists(st.integers(0, 2), min_size=8, max_size=8))
    def test_as_one_process(self, received: list[Chunk], workers: list[int]) -> None:
        """What three workers made of their shares is merged into what one would have made of all."""
        shares: list[list[Chunk]] = [[], [], []]
        for chunk, worker in zip(received, workers, strict=False):
            shares[worker].append(chunk)
        self.assertEqual(merge(expected(share) for share in shares), expected(received))
