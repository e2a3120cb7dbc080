"""Tests of the numbers that are made of timers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.timers import Histogram, TimerRules, clean_percentile, idle_timer
from statsd_tcp.aggregate.values import values_of
from statsd_tcp.flush.tallied import tallied
from statsd_tcp.flush.timer_numbers import block_of, numbers
from statsd_tcp.series.exact import Wholes
from tests.unit.store.timer_model import summarise


def bins(metric: str, *limits: float) -> Histogram:
    """Make bins as they are written in a configuration."""
    return Histogram(metric, tuple((f"{limit:g}", limit) for limit in limits))


def summary(values: list[float], count: float | None = None, name: str = "t", **rules: object) -> dict[str, float]:
    """Work out a timer that got these values in ten seconds."""
    return timer(values, len(values) if count is None else count, name, TimerRules(**rules))  # type: ignore[arg-type]


def timer(values: Sequence[float], count: float, name: str, rules: TimerRules) -> dict[str, float]:
    """Return the numbers of a timer whose values stand for ``count`` events."""
    nothing: Wholes = np.zeros(len(values), np.int64)
    found = tallied(nothing, np.array(values), None, 1)
    block = block_of(found.values[np.newaxis], found.counts[np.newaxis])
    (fields,) = numbers(block, [name], np.array([count]), {}, 10, rules)
    return fields


class SummaryTests(SynchronousTestCase):
    """Values to numbers; the expectations are worked out by hand from etsy's rules."""

    def test_the_plain_numbers(self) -> None:
        """Count, rate, extremes, sums, mean, median and the standard deviation of the population."""
        found = summary([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0], percentiles=())
        self.assertEqual(
            found,
            {
                "count": 8,
                "count_ps": 0.8,
                "lower": 2.0,
                "upper": 9.0,
                "sum": 40.0,
                "sum_squares": 232.0,
                "mean": 5.0,
                "median": 4.5,
                "std": 2.0,
            },
        )

    @given(
        st.lists(st.floats(-1e6, 1e6) | st.integers(0, 5).map(float), min_size=1, max_size=40),
        st.lists(st.floats(0.1, 100) | st.floats(-100, -0.1), max_size=3, unique=True),
        st.sampled_from([(), ("t", "u"), ("x", "t")]),
    )
    def test_to_the_last_bit(self, values: list[float], percentiles: list[float], texts: tuple[str, ...]) -> None:
        """Numbers are those that are worked out one value after the other."""
        rules = TimerRules(percentiles=tuple(percentiles), histograms=tuple(bins(each, 0, 2, 5.5) for each in texts))
        expected = summarise("t", values_of(values).counted(), 3.5, 10, rules)
        found = timer(values, 3.5, "t", rules)
        self.assertEqual(found, expected)
        self.assertEqual(list(found), list(expected))

    def test_percentiles(self) -> None:
        """A percentile is made of the smallest values up to its rank, a negative one of the largest."""
        values = [float(number) for number in range(1, 11)]
        cases: list[tuple[float, dict[str, float]]] = [
            (90.0, {"count_90": 9, "mean_90": 5.0, "upper_90": 9.0, "sum_90": 45.0, "sum_squares_90": 285.0}),
            # 2.5 is rounded up.
            (25.0, {"count_25": 3, "mean_25": 2.0, "upper_25": 3.0, "sum_25": 6.0, "sum_squares_25": 14.0}),
            (
                -20.0,
                {
                    "count_top20": 2,
                    "mean_top20": 9.5,
                    "lower_top20": 9.0,
                    "sum_top20": 19.0,
                    "sum_squares_top20": 181.0,
                },
            ),
            (
                -100.0,
                {
                    "count_top100": 10,
                    "mean_top100": 5.5,
                    "lower_top100": 1.0,
                    "sum_top100": 55.0,
                    "sum_squares_top100": 385.0,
                },
            ),
            # A rank of 0 says nothing.
            (4.0, {}),
        ]
        for percentile, expected in cases:
            with self.subTest(percentile=percentile):
                found = summary(values, percentiles=(percentile,))
                suffix = clean_percentile(percentile)
                self.assertEqual({name: found[name] for name in found if name.endswith(f"_{suffix}")}, expected)

    def test_one_value(self) -> None:
        """Of one value every percentile is that value, whatever its rank would be."""
        found = summary([420.0], percentiles=(1.0, -1.0))
        for name in ("mean_1", "upper_1", "sum_1", "mean_top1", "lower_top1", "median", "upper", "lower", "sum"):
            self.assertEqual(found[name], 420.0, name)
        self.assertEqual((found["count_1"], found["count_top1"], found["std"]), (1, 1, 0.0))
        self.assertEqual(found["sum_squares_1"], 420.0**2)

    def test_sampling(self) -> None:
        """Sampling corrects the count and its rate; the other numbers are of the values that came."""
        found = summary([1.0, 2.0, 3.0], count=30.0)
        self.assertEqual((found["count"], found["count_ps"]), (30.0, 3.0))
        self.assertEqual((found["sum"], found["mean"], found["count_90"]), (6.0, 2.0, 3))

    def test_names_of_percentiles(self) -> None:
        """A point becomes an underscore, and a minus the word top."""
        cases = {90.0: "90", 99.9: "99_9", -10.0: "top10", -99.95: "top99_95", 100.0: "100"}
        for percentile, expected in cases.items():
            self.assertEqual(clean_percentile(percentile), expected)

    def test_histogram(self) -> None:
        """A bin has what is below its limit and in no bin before it; what is above the last limit is left out."""
        cases = [
            (bins("", 2, 4), {"bin_2": 1, "bin_4": 2}),
            (bins("", 2, math.inf), {"bin_2": 1, "bin_inf": 4}),
            (bins("", 0.5, 100), {"bin_0_5": 0, "bin_100": 5}),
            (bins("other", 2), {}),
        ]
        for each, expected in cases:
            with self.subTest(bins=each):
                found = summary([1.0, 2.0, 3.0, 4.0, 5.0], histograms=(each,))
                histogram = {name[10:]: found[name] for name in found if name.startswith("histogram.")}
                self.assertEqual(histogram, expected)

    def test_the_first_histogram_that_fits(self) -> None:
        """Of several histograms the first whose text is part of the name counts."""
        found = summary([1.0], name="a.time", histograms=(bins("b", 1), bins("time", 2), bins("a", 3)))
        self.assertIn("histogram.bin_2", found)
        self.assertNotIn("histogram.bin_3", found)

    def test_no_bins(self) -> None:
        """A histogram without limits switches bins off for what it fits, whatever comes after it."""
        histograms = (bins("sub"), bins("time", 2))
        for name, expected in (("time.sub", set()), ("time.other", {"histogram.bin_2"})):
            found = summary([1.0], name=name, histograms=histograms)
            self.assertEqual({field for field in found if field.startswith("histogram.")}, expected)

    def test_only_some(self) -> None:
        """Only the numbers that are asked for come, those of percentiles under their general names."""
        only = frozenset({"count", "upper_percent", "lower_percent", "histogram"})
        found = summary([1.0, 2.0], percentiles=(90.0, -10.0, 50.0), histograms=(bins("", 5),), only=only)
        self.assertEqual(set(found), {"count", "upper_90", "upper_50", "histogram.bin_5"})
        self.assertEqual(idle_timer(TimerRules(only=only)), {"count": 0.0})

    def test_an_idle_timer(self) -> None:
        """A timer to which nothing came has a count and a rate of 0, and nothing else."""
        self.assertEqual(idle_timer(TimerRules()), {"count": 0.0, "count_ps": 0.0})
