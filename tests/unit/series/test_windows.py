"""The windows of summaries and their quantiles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.mapping.rules import PLAIN, Treatment
from statsd_tcp.series import binned
from statsd_tcp.series import windows as windows_module
from statsd_tcp.series.binned import MOST_BINS
from statsd_tcp.series.bins import ERROR, joined, numbers_of, values_of
from statsd_tcp.series.observations import gathered
from statsd_tcp.series.windows import Ages, Windows
from tests.unit.aggregate.model import came


class Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1e6

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def exact(values: Mapping[float, float], quantile: float) -> float:
    """Return the smallest value that at least this part of the weight is not above."""
    wanted = quantile * sum(values.values())
    reached = 0.0
    for value, weight in sorted(values.items()):
        reached += weight
        if reached >= wanted * (1 - 1e-9):
            return value
    return max(values)


def observe(windows: Windows, news: Mapping[int, Mapping[float, float]], treatment: Treatment = PLAIN) -> None:
    """Add values to series."""
    gathering = gathered({str(series_id): came(values) for series_id, values in news.items()})
    windows.observe(np.array(list(news)), gathering, treatment)


class WindowsTests(SynchronousTestCase):
    """What a window says, and for how long."""

    def setUp(self) -> None:
        """Make windows with a clock."""
        self.clock = Clock()
        self.windows = Windows(self.clock)

    def observe(self, values: Mapping[float, float], treatment: Treatment = PLAIN, series_id: int = 1) -> None:
        """Add values to a series."""
        observe(self.windows, {series_id: values}, treatment)

    def read(self, *series_ids: int) -> list[float]:
        """Return the values of the quantiles."""
        return [value for _, value in self.windows.read()(series_ids or (1,))]

    def close(self, found: Sequence[float], expected: Sequence[float], error: float = ERROR) -> None:
        """Compare within the error."""
        self.assertEqual(len(found), len(expected))
        for one, other in zip(found, expected, strict=True):
            self.assertTrue(math.isclose(one, other, rel_tol=error * 1.001), (found, expected))

    def level(self) -> int:
        """Return how often bins of the only part were joined at the most; no series has too many."""
        self.windows.sweep()
        (part,) = self.windows._parts[Ages(PLAIN.max_age, PLAIN.age_buckets)]
        self.assertLessEqual(max(np.diff(part.binned.starts)), MOST_BINS)
        return int(max(part.binned.levels))

    def test_labels(self) -> None:
        """Quantiles are labelled as they are written."""
        self.observe({1.0: 1.0}, Treatment(quantiles=(0.0, 0.5, 0.999, 1.0)))
        labels = [label for label, _ in self.windows.read()((1,))]
        self.assertEqual(labels, ["0.0", "0.5", "0.999", "1.0"])

    @given(
        st.dictionaries(
            st.floats(0.01, 1.0) | st.integers(0, 1).map(float), st.integers(1, 20).map(float), min_size=1, max_size=100
        )
    )
    def test_the_error_is_as_stated(self, values: dict[float, float]) -> None:
        """A quantile differs from an exact one by one part in a hundred at most, in one interval or several."""
        windows = Windows(self.clock)
        for value, weight in values.items():
            observe(windows, {1: {value: weight}})
        found = [value for _, value in windows.read()((1,))]
        self.close(found, [exact(values, quantile) for quantile in PLAIN.quantiles])

    @given(
        st.lists(
            st.dictionaries(
                st.integers(1, 9),
                st.dictionaries(st.floats(-1e4, 1e4), st.integers(1, 3).map(float), min_size=1, max_size=5),
                min_size=1,
            ),
            min_size=1,
            max_size=8,
        ),
        st.sampled_from([1, 3, 1 << 18]),
        st.sampled_from([0, 4, 1 << 20]),
        st.sampled_from([0.0, 60.0]),
    )
    def test_many_series(
        self, commits: list[dict[int, dict[float, float]]], slices: int, least: int, pause: float
    ) -> None:
        """Whatever is counted together, each series has the quantiles that it has alone."""
        self.patch(binned, "_SLICE", slices)
        self.patch(windows_module, "_LEAST", least)
        together, alone = Windows(self.clock), {series_id: Windows(self.clock) for series_id in range(1, 10)}
        for news in commits:
            observe(together, news)
            for series_id, values in news.items():
                observe(alone[series_id], {series_id: values})
            self.clock.now += pause
        found = together.read()
        for series_id, each in alone.items():
            self.assertEqual(found((series_id,)), each.read()((series_id,)))
        self.assertEqual(len(together), sum(map(len, alone.values())))

    def test_wide_ranges_stay_small(self) -> None:
        """Values over many powers of ten take no more bins than there may be, at the cost of precision."""
        values = {1.1**power: 1.0 for power in range(-150, 300)}
        for value, weight in values.items():
            self.observe({value: weight})
        level = self.level()
        self.assertGreater(level, 0)
        self.close(self.read(), [exact(values, quantile) for quantile in PLAIN.quantiles], ERROR * 2**level)

    @given(
        st.dictionaries(st.floats(-0.4, 0.4) | st.just(-1e18) | st.just(1e30), st.just(1.0), min_size=1, max_size=60),
        st.integers(0, 3),
    )
    def test_values_below_zero(self, values: dict[float, float], times: int) -> None:
        """What is below zero has bins as what is above, in the order of the values, also after they were joined."""
        ordered = np.array(sorted(values))
        numbers = numbers_of(ordered)
        at_once = joined(numbers, times)
        for _ in range(times):
            numbers = joined(numbers, 1)
        self.assertEqual(numbers.tolist(), at_once.tolist())
        self.assertEqual(sorted(numbers), numbers.tolist())
        found = values_of(numbers, np.full(len(numbers), times, np.int8)).tolist()
        self.assertEqual(sorted(found), found)
        for value, near in zip(ordered.tolist(), found, strict=True):
            self.assertTrue(math.isclose(near, value, rel_tol=0.011 * 2**times, abs_tol=1e-9), (value, near))

    def test_quantiles_below_zero(self) -> None:
        """The quantiles of values on both sides of zero are theirs."""
        self.observe({-100.0: 5.0, -1.0: 1.0, 0.0: 1.0, 3.0: 2.0, 1000.0: 1.0})
        self.close(self.read(), [-100.0, 3.0, 1000.0])

    def test_weights(self) -> None:
        """A sampled value counts as often as it stands for."""
        self.observe({1.0: 1.0, 100.0: 99.0})
        self.close(self.read()[:1], [100.0])

    def test_the_window_moves_on(self) -> None:
        """What is older than the window no longer has a part in it; nothing new means no quantiles."""
        self.observe({1000.0: 100.0})
        self.clock.now += 400
        self.observe({1.0: 1.0})
        self.close(self.read()[:1], [1000.0])
        self.clock.now += 300
        self.close(self.read(), [1.0, 1.0, 1.0])
        self.clock.now += 400
        self.assertEqual(self.read(), [])

    def test_at_least_four_fifths_of_the_time(self) -> None:
        """With five steps a value stays for four of them at least, and five at most, whenever it came."""
        for series_id in range(50):
            self.observe({1.0: 1.0}, series_id=series_id)
        self.clock.now += 479
        self.assertTrue(all(self.read(series_id) for series_id in range(50)))
        self.clock.now += 122
        self.assertFalse(any(self.read(series_id) for series_id in range(50)))

    def test_nothing_is_lost_when_old_parts_go(self) -> None:
        """The sum of the parts that stay is right after each step."""
        for step in range(40):
            self.observe({float(step + 1): 1.0})
            self.clock.now += 60
        low, high = self.read()[0], self.read()[2]
        self.assertTrue(34 <= low <= 38, low)
        self.close([high], [40.0])

    def test_options_of_the_window(self) -> None:
        """A window may be shorter; when that changes it starts over, and other quantiles are taken at once."""
        short = Treatment(max_age=10.0, age_buckets=2, quantiles=(0.5,))
        self.observe({1.0: 1.0})
        self.observe({5.0: 1.0}, short)
        self.close(self.read(), [5.0])
        self.observe({7.0: 1.0}, Treatment(max_age=10.0, age_buckets=2, quantiles=(0.0, 1.0)))
        self.close(self.read(), [5.0, 7.0])
        self.clock.now += 11
        self.assertEqual(self.read(), [])

    def test_several_series_together(self) -> None:
        """Series that are shown as one have quantiles of all their values."""
        self.observe({1.0: 10.0})
        self.observe({1.1**power: 0.001 for power in range(-150, 300)}, series_id=2)
        self.observe({100.0: 1.0}, series_id=2)
        self.assertEqual(len(self.read(1, 2, 3)), 3)
        self.close(self.read(1, 2, 3)[:1], [1.0], ERROR * 2 ** self.level())
        self.assertEqual(self.read(8, 9), [])

    def test_sweep(self) -> None:
        """Empty windows are dropped, and those of series that are gone."""
        self.observe({1.0: 1.0})
        self.clock.now += 500
        self.observe({1.0: 1.0}, series_id=2)
        self.observe({1.0: 1.0}, series_id=3)
        self.clock.now += 200
        self.windows.sweep()
        self.windows.forget(np.array([3, 99]))
        self.assertEqual((len(self.windows), self.read(1), len(self.read(2))), (1, [], 3))

    def test_there_are_not_too_many(self) -> None:
        """Beyond the limit a summary has no quantiles, which is counted; the others keep theirs."""
        windows = Windows(self.clock, most=2)
        observe(windows, {series_id: {1.0: 1.0} for series_id in (1, 2, 3)})
        observe(windows, {2: {1.0: 1.0}})
        self.assertEqual((len(windows), windows.refused), (2, 1))
        self.assertEqual([len(windows.read()((series_id,))) for series_id in (1, 2, 3)], [3, 3, 0])
