"""Tests of counting elements."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.line_table import count_into


class CountIntoTests(SynchronousTestCase):
    """Counting at the speed of C."""

    def test_counts(self) -> None:
        """Each element adds 1 to what was there, whole or not."""
        counts: dict[str, float] = {"a": 0.5}
        count_into(counts, iter("aabc"))
        count_into(counts, "c")
        self.assertEqual(counts, {"a": 2.5, "b": 1, "c": 2})
