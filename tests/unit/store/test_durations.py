"""The histogram of commit durations."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.store.durations import BOUNDS, Durations


class DurationsTests(SynchronousTestCase):
    """Counting durations."""

    def test_buckets_are_cumulative(self) -> None:
        """Each bucket counts all that is not longer than its bound; the last one counts all."""
        durations = Durations()
        for seconds in (0.0005, 0.001, 0.3, 99.0):
            durations.note(seconds)
        buckets = dict(durations.buckets())
        self.assertEqual((buckets[0.001], buckets[0.25], buckets[0.5]), (2, 2, 3))
        self.assertEqual((buckets[BOUNDS[-1]], buckets[float("inf")]), (3, 4))
        self.assertAlmostEqual(durations.total, 99.3015)
