"""The histogram of latencies: its buckets and its rows."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.load.histogram import histogram
from statsd_tcp.commands.load.results import MOST_BUCKETS, Bucket, Latencies

SECONDS = st.lists(st.floats(0, 3600), min_size=1, max_size=50)


def latencies(*seconds: float) -> Latencies:
    """Return a distribution of these values."""
    made = Latencies()
    made.fresh.extend(seconds)
    made.settle()
    return made


class BucketTests(SynchronousTestCase):
    """How values are put together."""

    def test_steps(self) -> None:
        """A value at an edge belongs to the bucket that begins there; empty ones between others are kept."""
        found = latencies(0.001, 0.0019, 0.002, 0.0121).buckets()
        expected = [Bucket(0.001, 0.002, 2), Bucket(0.002, 0.005, 1), Bucket(0.005, 0.01, 0), Bucket(0.01, 0.02, 1)]
        self.assertEqual(expected, found)

    def test_none(self) -> None:
        """Without a value there is no bucket, and no row."""
        self.assertEqual(([], []), (latencies().buckets(), histogram([], 80, "utf-8")))

    @given(SECONDS)
    def test_every_value_once(self, seconds: list[float]) -> None:
        """Every value is in one bucket, in few of them, side by side, however far apart the values are."""
        found = latencies(*seconds).buckets()
        self.assertEqual(len(seconds), sum(bucket.values for bucket in found))
        self.assertLessEqual(len(found), MOST_BUCKETS)
        for one, other in pairwise(found):
            self.assertEqual(one.most, other.least)


class RowTests(SynchronousTestCase):
    """How buckets are drawn."""

    @given(SECONDS, st.sampled_from(["utf-8", "UTF8", "ascii", "latin-1"]))
    def test_eighty_columns(self, seconds: list[float], encoding: str) -> None:
        """No row is wider than a terminal, or has characters that the output lacks."""
        for row in histogram(latencies(*seconds).buckets(), 80, encoding):
            self.assertLessEqual(len(row), 80)
            row.encode(encoding)

    def test_lengths(self) -> None:
        """The most frequent bucket has the longest bar, a rare one still has something to see, an empty one nothing."""
        buckets = [Bucket(0.001, 0.002, 10_000), Bucket(0.002, 0.005, 0), Bucket(0.005, 0.01, 1)]
        self.assertEqual(
            [
                " 1 to 2 ms  ####################  100.0% 10,000",
                " 2 to 5 ms                          0.0%      0",
                "5 to 10 ms  #                       0.0%      1",
            ],
            histogram(buckets, 47, "ascii"),
        )
        whole, none, little = histogram(buckets, 47, "utf-8")
        self.assertIn("█" * 20, whole)
        self.assertNotIn("▏", none)
        self.assertIn("▏", little)
