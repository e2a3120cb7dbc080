"""The ends of flushes, whatever the wall clock is set to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.flushes import OpenFlush, flush_start
from statsd_tcp.flush.ends import MOST_BACK, FlushEnds
from statsd_tcp.flush.timers import FlushTimers

LENGTH = 10
NOW = 1_700_000_000


def run(steps: Sequence[tuple[int, int]]) -> Iterator[tuple[OpenFlush, int, int]]:
    """Let seconds pass and set the clock, in turn; give the open flush, the wall time and how long it is open."""
    ends, flush, opened, passed, wall = FlushEnds(LENGTH), OpenFlush(NOW, LENGTH, FlushTimers()), 0, 0, NOW
    for seconds, step in steps:
        # Not further back than flushes put up with.
        wall = max(wall + step, flush.start - int(MOST_BACK))
        for _ in range(seconds):
            assert not ends.are_lost(flush, wall)
            start = ends.next_start(flush, wall)
            if start is not None:
                flush, opened = OpenFlush(start, LENGTH, FlushTimers()), passed
            yield flush, wall, passed - opened
            wall += 1
            passed += 1


class FlushEndsTests(SynchronousTestCase):
    """A clock that is asked once a second."""

    @given(st.lists(st.tuples(st.integers(1, 100), st.integers(-700, 700)), max_size=8))
    def test_steps(self, steps: list[tuple[int, int]]) -> None:
        """Ends ascend; afterwards no flush lasts longer than two, until the clock has caught up."""
        rest = 2 * int(MOST_BACK) + 4 * LENGTH
        rounds = list(run([(1, 0), *steps, (rest, 0)]))
        starts = [flush.start for flush, _, _ in rounds]
        self.assertEqual(sorted(starts), starts)
        self.assertTrue(all(start % LENGTH == 0 for start in starts))
        first = rounds[-rest][0]
        self.assertLess(max(age for flush, _, age in rounds[-rest:] if flush is not first), 2 * LENGTH)
        flush, wall, _ = rounds[-1]
        self.assertEqual(flush_start(wall, LENGTH), flush.start)

    def test_how_far(self) -> None:
        """Ten minutes are put up with, or the length of a flush if that is more."""
        for length, most in ((10, 600), (3600, 3600)):
            ends, flush = FlushEnds(length), OpenFlush(length * 1000, length, FlushTimers())
            self.assertFalse(ends.are_lost(flush, flush.start - most))
            self.assertTrue(ends.are_lost(flush, flush.start - most - 1))
