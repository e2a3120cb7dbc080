"""Tests of counting elements."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.counting import count_into, slow_count_into


class CountIntoTests(SynchronousTestCase):
    """Both ways of counting."""

    def test_counts(self) -> None:
        """Each element adds 1 to what was there, whole or not, fast or slow."""
        for count in (count_into, slow_count_into):
            counts: dict[str, float] = {"a": 0.5}
            count(counts, iter("aabc"))
            count(counts, "c")
            self.assertEqual(counts, {"a": 2.5, "b": 1, "c": 2})
