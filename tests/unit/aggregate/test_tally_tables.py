"""Tests of the size of the tally's tables: large where lines repeat themselves only there, else small."""

from __future__ import annotations

import random
from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate import listener_lines
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.listener_lines import LARGE, TRIAL
from statsd_tcp.aggregate.tally import Tally
from statsd_tcp.wire.grammar import Grammar

SMALL = 64
"""Lines of a small table in these tests."""


class TableTests(SynchronousTestCase):
    """A tally with small tables."""

    def setUp(self) -> None:
        """Make the tally."""
        self.patch(listener_lines, "TABLE_LINES", SMALL)
        self.tally = Tally([("a", Grammar())])
        self.random = random.Random(1)

    @property
    def scale(self) -> int:
        """How much larger than a small one the next table may be."""
        return self.tally._listeners[0].scale

    def add(self, lines: list[bytes]) -> None:
        """Add lines, some at a time."""
        for start in range(0, len(lines), 16):
            self.tally.add(0, b"".join(lines[start : start + 16]), 1)
            self.tally._listeners[0].split()

    def counters(self, names: int, number: int) -> list[bytes]:
        """Make counter lines of this many names, in no order."""
        return [b"c%d:1|c\n" % self.random.randrange(names) for _ in range(number)]

    def timers(self, number: int) -> list[bytes]:
        """Make timer lines of few names, hardly any of them twice."""
        return [b"t%d:%d|ms\n" % (self.random.randrange(5), self.random.randrange(10**9)) for _ in range(number)]

    def test_repetitions(self) -> None:
        """Lines that repeat themselves in a large table make the tables large, and they stay so."""
        self.add(self.counters(4 * SMALL, 20 * TRIAL * SMALL))
        self.assertEqual(LARGE, self.scale)
        self.tally.take()
        self.assertEqual(LARGE, self.scale)

    def test_few_names(self) -> None:
        """Lines that repeat themselves in a small table need no large one."""
        self.add(self.counters(SMALL // 2, 20 * TRIAL * SMALL))
        self.assertEqual(1, self.scale)

    def test_new_names(self) -> None:
        """While names are new no large table is tried."""
        self.add([b"c%d:1|c\n" % number for number in range(3 * TRIAL * SMALL)])
        self.assertEqual((1, 0), (self.scale, self.tally._listeners[0].full_tables))

    def test_values(self) -> None:
        """Known names with ever new values have one large table tried now and then, and no second in a row."""
        seen = []
        self.add(self.timers(SMALL))
        for _ in range(3 * (TRIAL + LARGE)):
            self.add(self.timers(SMALL))
            seen.append(self.scale)
        changes = sum(one != other for one, other in pairwise(seen))
        self.assertIn(LARGE, seen)
        self.assertLess(seen.count(LARGE), len(seen) / 2)
        self.assertGreaterEqual(changes, 3)

    def test_end_of_repetitions(self) -> None:
        """When lines no longer repeat themselves the tables are small again."""
        self.add(self.counters(4 * SMALL, 20 * TRIAL * SMALL))
        self.add(self.timers(2 * LARGE * SMALL))
        self.assertEqual(1, self.scale)

    def test_same_interval(self) -> None:
        """Whatever the tables, the interval is the same."""
        lines = self.counters(4 * SMALL, 5000) + self.timers(2000) + self.counters(10**6, 500)
        intervals: list[Interval] = []
        for trial in (1, 10**9):
            self.patch(listener_lines, "TRIAL", trial)
            self.tally = Tally([("a", Grammar())])
            self.add(lines)
            intervals.append(self.tally.take())
        self.assertEqual(*intervals)
        self.assertEqual({"c": 5500, "ms": 2000}, intervals[0].samples)
