"""Tests of the values of a timer, and of the buckets for too many of them."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.buckets import ERROR, SMALLEST, bucket_value
from statsd_tcp.aggregate.timer_values import TimerValues
from statsd_tcp.aggregate.timers import TimerRules
from tests.unit.aggregate.model import came

LARGEST = 2.0**53
values = st.one_of(
    st.floats(-LARGEST, LARGEST, allow_nan=False), st.floats(0, 1, allow_nan=False), st.sampled_from([0.0, -0.0, 1.0])
)
received = st.dictionaries(values, st.integers(1, 5).map(float), min_size=1, max_size=30)


def weights(timer: TimerValues) -> dict[float, float]:
    """Return how often each value was counted."""
    return dict(zip(timer.counted.values, timer.counted.weights, strict=True))


class BucketTests(SynchronousTestCase):
    """Single values."""

    @given(values)
    def test_the_error_is_as_stated(self, value: float) -> None:
        """What stands for a value differs from it by no more than the stated part of it."""
        self.assertLessEqual(abs(bucket_value(value) - value), max(abs(value) * ERROR * (1 + 1e-9), SMALLEST))

    @given(values)
    def test_a_bucket_stays(self, value: float) -> None:
        """What stands for a bucket is in that bucket."""
        once = bucket_value(value)
        self.assertEqual(bucket_value(once), once)

    @given(values, st.integers(0, 12), st.integers(0, 3))
    def test_wider(self, value: float, doubled: int, more: int) -> None:
        """Wider buckets are whole ones put together: it makes no difference whether a value was in a narrower one."""
        narrow = bucket_value(value, doubled)
        self.assertEqual(bucket_value(narrow, doubled + more), bucket_value(value, doubled + more))

    def test_there_are_few(self) -> None:
        """A million different values between 1 and a million need some 1400 buckets."""
        found = {bucket_value(1 + number * 37.0) for number in range(27_000)}
        self.assertLess(len(found), 1500)


class ObservedTests(SynchronousTestCase):
    """All values of a flush."""

    def test_sampled_values(self) -> None:
        """The weight is that of all events; a value counts as often as it came."""
        observed = TimerValues()
        observed.add(came({5.0: 20.0}, 10.0))
        observed.add(came({7.0: 1.0}))
        observed.count()
        self.assertEqual((observed.weight, weights(observed)), (21.0, {5.0: 2.0, 7.0: 1.0}))

    @given(st.lists(received, min_size=1, max_size=4), st.integers(0, 3))
    def test_in_buckets(self, parts: list[dict[float, float]], coarse_after: int) -> None:
        """In buckets some numbers stay exact, and the others are wrong by no more than their values may be."""
        exact, coarse = TimerValues(), TimerValues()
        for number, part in enumerate(parts):
            exact.add(came(part))
            coarse.add(came(part))
            if number == coarse_after:
                coarse.coarsen()
        rules = TimerRules(percentiles=(50.0, 90.0))
        right, found = exact.summary("t", 10, rules), coarse.summary("t", 10, rules)
        self.assertEqual(set(found), set(right))
        for name in ("count", "count_ps", "lower", "upper", "count_50", "count_90"):
            self.assertEqual(found[name], right[name], name)
        size = max(map(abs, exact.counted.values), default=0.0)
        for name in ("sum", "mean"):
            self.assertTrue(math.isclose(found[name], right[name], rel_tol=1e-9, abs_tol=1e-9 * size), name)
        for name in ("upper_50", "upper_90"):
            self.assertLessEqual(abs(found[name] - right[name]), abs(right[name]) * ERROR * 1.001 + SMALLEST, name)

    @given(received, received, st.integers(5, 16))
    def test_wider_buckets(self, one: dict[float, float], two: dict[float, float], most: int) -> None:
        """However few buckets there may be, the number of values and the exact measures stay, whatever comes later."""
        exact, wide = TimerValues(), TimerValues()
        wide.add(came(one))
        wide.coarsen()
        wide.widen(most)
        self.assertLessEqual(len(wide.counted.values), most)
        wide.add(came(two))
        for part in (one, two):
            exact.add(came(part))
        rules = TimerRules(percentiles=())
        right, found = exact.summary("t", 10, rules), wide.summary("t", 10, rules)
        for name in ("count", "lower", "upper"):
            self.assertEqual(found[name], right[name], name)

    @given(received, received)
    def test_buckets_add_up(self, one: dict[float, float], two: dict[float, float]) -> None:
        """It makes no difference whether values came before or after the others were put into buckets."""
        early, late = TimerValues(), TimerValues()
        early.add(came(one))
        early.coarsen()
        early.add(came(two))
        late.add(came(one))
        late.add(came(two))
        late.coarsen()
        early.count()
        self.assertEqual(early.counted, late.counted)

    @given(st.lists(received, min_size=1, max_size=4), st.integers(0, 3))
    def test_together(self, parts: list[dict[float, float]], coarse: int) -> None:
        """Several timers together are what one would be that had all their values."""
        one, several = TimerValues(), [TimerValues() for _ in parts]
        for number, (timer, part) in enumerate(zip(several, parts, strict=True)):
            one.add(came(part))
            timer.add(came(part))
            if number == coarse:
                timer.coarsen()
        rules = TimerRules(percentiles=(50.0,))
        right, found = one.summary("t", 10, rules), TimerValues.together(several).summary("t", 10, rules)
        size = max(map(abs, one.counted.values))
        for name in ("count", "lower", "upper", "count_50"):
            self.assertEqual(found[name], right[name], name)
        for name in ("sum", "mean"):
            self.assertTrue(math.isclose(found[name], right[name], rel_tol=1e-9, abs_tol=1e-9 * size), name)
        if coarse >= len(parts):
            self.assertEqual(found, right)
