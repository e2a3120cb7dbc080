"""The timers of the open flush in columns: what waits, what is in buckets, what is joined or forgotten."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.aggregate.values import Values, joined, packed
from statsd_tcp.flush import timers as flush_timers
from statsd_tcp.flush.buckets import ERROR, SMALLEST, bucket_values
from statsd_tcp.flush.timers import FlushTimers
from tests.unit.aggregate.model import came
from tests.unit.store.timer_model import summarise

LARGEST = 2.0**53
values = st.one_of(
    st.floats(-LARGEST, LARGEST, allow_nan=False), st.floats(0, 1, allow_nan=False), st.sampled_from([0.0, -0.0, 1.0])
)
line = st.tuples(values, st.integers(1, 10), st.sampled_from([1.0, 10.0]))
commits = st.lists(
    st.dictionaries(st.sampled_from("abcd"), st.lists(line, min_size=1, max_size=12), min_size=1),
    min_size=1,
    max_size=5,
)
RULES = TimerRules(percentiles=(50.0, -90.0))

LIMITS = ("EXACT_VALUES", "EXACT_IN_ALL", "FEW_VALUES", "BUCKETED_IN_ALL", "FEWEST_VALUES", "WAITING")

Lines = Sequence[tuple[float, int, float]]


def said(lines: Lines) -> Values:
    """Return values that came so often, at a rate."""
    result = Values()
    for value, times, rate in lines:
        result.add(packed((value,)), times, rate)
    return result


def bucket(value: float, doubled: int = 0) -> float:
    """Return the value that stands for that of another."""
    (found,) = bucket_values(np.array([value]), np.array([doubled])).tolist()
    return float(found)


class BucketTests(SynchronousTestCase):
    """Single values."""

    @given(values)
    def test_the_error_is_as_stated(self, value: float) -> None:
        """What stands for a value differs from it by no more than the stated part of it."""
        self.assertLessEqual(abs(bucket(value) - value), max(abs(value) * ERROR * (1 + 1e-9), SMALLEST))

    @given(values)
    def test_a_bucket_stays(self, value: float) -> None:
        """What stands for a bucket is in that bucket."""
        once = bucket(value)
        self.assertEqual(bucket(once), once)

    @given(values, st.integers(0, 12), st.integers(0, 3))
    def test_wider(self, value: float, doubled: int, more: int) -> None:
        """Wider buckets are whole ones put together: it makes no difference whether a value was in a narrower one."""
        narrow = bucket(value, doubled)
        self.assertEqual(bucket(narrow, doubled + more), bucket(value, doubled + more))

    def test_there_are_few(self) -> None:
        """A million different values between 1 and a million need some 1400 buckets."""
        found = bucket_values(np.arange(27_000, dtype=np.float64) * 37 + 1, np.zeros(27_000, np.int8))
        self.assertLess(len(set(found.tolist())), 1500)


class FlushTimersTests(SynchronousTestCase):
    """All values of a flush."""

    def setUp(self) -> None:
        """Know the limits."""
        self.limits = {name: getattr(flush_timers, name) for name in LIMITS}

    def limit(self, **limits: int) -> None:
        """Set other limits, in place of those that were set before."""
        for name, most in (self.limits | limits).items():
            self.patch(flush_timers, name, most)

    def collected(self, news: Sequence[Mapping[str, Lines]], **limits: int) -> FlushTimers:
        """Add what some commits have, under other limits."""
        self.limit(**limits)
        timers = FlushTimers()
        for each in news:
            timers.add({name: said(lines) for name, lines in each.items()})
        timers.settle()
        return timers

    def assert_near(self, found: Mapping[str, float], right: Mapping[str, float], size: float) -> None:
        """Compare what stays exact in buckets; ``size`` is that of the largest value."""
        self.assertEqual(set(found), set(right))
        for name in ("count", "count_ps", "lower", "upper"):
            self.assertEqual(found[name], right[name], name)
        for name in ("sum", "mean"):
            self.assertTrue(math.isclose(found[name], right[name], rel_tol=1e-9, abs_tol=1e-9 * size), name)

    @given(commits, st.sampled_from([0, 5, 1 << 20]))
    def test_exact(self, news: Sequence[Mapping[str, Lines]], waiting: int) -> None:
        """However values come, and how many wait, each timer has the numbers of its values, to the last bit."""
        timers = self.collected(news, WAITING=waiting)
        whole = {name: [each[name] for each in news if name in each] for name in "abcd"}
        found = timers.numbers(10, RULES)
        self.assertEqual(set(found), {name for name, parts in whole.items() if parts})
        for name, fields in found.items():
            own = joined(map(said, whole[name]))
            count = sum(times * rate for part in whole[name] for _, times, rate in part)
            self.assertEqual(fields, summarise(name, own.counted(), count, 10, RULES))
        self.assertEqual(timers.approximated, 0)

    @given(commits, st.sampled_from([0, 1 << 20]), st.integers(0, 6))
    def test_in_buckets(self, news: Sequence[Mapping[str, Lines]], waiting: int, most: int) -> None:
        """In buckets some numbers stay exact, and the others are wrong by no more than their values may be."""
        right = self.collected(news).numbers(10, RULES)
        coarse = self.collected(news, WAITING=waiting, EXACT_VALUES=most)
        for name, found in coarse.numbers(10, RULES).items():
            size = max(abs(value) for each in news for value, _, _ in each.get(name, ()))
            self.assert_near(found, right[name], size)
            for field in ("upper_50", "lower_top90"):
                error = abs(right[name][field]) * ERROR * 1.001 + SMALLEST
                self.assertLessEqual(abs(found[field] - right[name][field]), error, field)
        many = [name for name in right if len({value for each in news for value, _, _ in each.get(name, ())}) > most]
        self.assertEqual(coarse.approximated, len(many))

    @given(commits, st.integers(5, 16))
    def test_wider_buckets(self, news: Sequence[Mapping[str, Lines]], most: int) -> None:
        """However few buckets there may be, the number of values and the exact measures stay, whatever comes later."""
        right = self.collected(news).numbers(10, RULES)
        limits = {"EXACT_IN_ALL": 0, "FEW_VALUES": 0, "BUCKETED_IN_ALL": 0, "FEWEST_VALUES": most}
        wide = self.collected(news, WAITING=0, **limits)
        for name, found in wide.numbers(10, RULES).items():
            size = max(abs(value) for each in news for value, _, _ in each.get(name, ()))
            self.assert_near(found, right[name], size)
        self.assertLessEqual(max(np.diff(wide._held.values.starts)), most)

    @given(commits, st.integers(0, 12))
    def test_together(self, news: Sequence[Mapping[str, Lines]], most: int) -> None:
        """Several timers together are what one would be that had all their values."""
        several, one = self.collected(news, EXACT_VALUES=most), FlushTimers()
        for each in news:
            one.add({"b": joined(said(lines) for name, lines in each.items() if name in "bc")})
        found = several.together([("b", "c"), ("x", "y")], 10, RULES)
        right = one.numbers(10, RULES)
        self.assertEqual(set(found), set(right))
        for name, fields in found.items():
            size = max(abs(value) for each in news for part in each.values() for value, _, _ in part)
            self.assert_near(fields, right[name], size)
            if not several.approximated and not one.approximated:
                self.assertEqual(fields, right[name])

    def test_too_many_values(self) -> None:
        """A timer with too many different values is counted, and its sum is still exact."""
        self.limit(EXACT_VALUES=10, WAITING=0)
        timers = FlushTimers()
        timers.add({"t": came({float(value): 1.0 for value in range(1, 11)}), "u": came({1.0: 1.0})})
        self.assertEqual(timers.approximated, 0)
        timers.add({"t": came({float(value): 1.0 for value in range(100, 1000)})})
        self.assertEqual(timers.approximated, 1)
        found = timers.numbers(10, RULES)
        self.assertEqual((found["t"]["sum"], found["t"]["upper"]), (sum(range(11)) + sum(range(100, 1000)), 999.0))
        self.assertLess(len(timers._held.values.values), 300)

    def test_too_many_in_all(self) -> None:
        """When there are very many values in all timers, each of them may only have few."""
        self.limit(EXACT_IN_ALL=100, FEW_VALUES=5)
        timers = FlushTimers()
        timers.add({"few": came({1.0: 1.0, 2.0: 1.0})})
        timers.add({name: came({float(value): 1.0 for value in range(60)}) for name in "abc"})
        timers.settle()
        self.assertEqual((timers.approximated, timers._held.are_exact().tolist()), (3, [True, False, False, False]))

    def test_too_many_buckets(self) -> None:
        """With very many values and buckets a timer's buckets are widened, which counts; its sum is exact."""
        self.limit(WAITING=1000, EXACT_IN_ALL=100, FEW_VALUES=50, BUCKETED_IN_ALL=500)
        timers, names = FlushTimers(), [f"t{number}" for number in range(40)]
        for round_ in range(3):
            news = came({float(value) * 1.1**round_: 1.0 for value in range(1, 61)})
            timers.add(dict.fromkeys(names, news))
            self.assertLessEqual(len(timers._held.values.values), 500 + len(names) * flush_timers.FEWEST_VALUES)
        self.assertGreater(timers.approximated, len(names))
        found = timers.numbers(10, RULES)
        for name in names:
            self.assertEqual((found[name]["count"], found[name]["lower"]), (180.0, 1.0))
            self.assertAlmostEqual(found[name]["sum"], 1830 * (1 + 1.1 + 1.21))

    def test_forgotten(self) -> None:
        """A timer that was taken out is not in the numbers; what comes to it then starts over."""
        timers = FlushTimers()
        timers.add({"t": came({1.0: 1.0}), "u": came({2.0: 1.0})})
        del timers.places["t"]
        self.assertEqual(list(timers.numbers(10, RULES)), ["u"])
        self.assertEqual(list(timers.together([("t", "u")], 10, RULES)), ["t"])
        timers.add({"t": came({5.0: 1.0})})
        self.assertEqual({name: each["sum"] for name, each in timers.numbers(10, RULES).items()}, {"u": 2.0, "t": 5.0})
        self.assertEqual(FlushTimers().numbers(10, RULES), {})
